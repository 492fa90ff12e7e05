// Prepared statements that are kept, and the binding of the types that our tables hold. Only for this folder.
#pragma once

#include "proto/bytes.hpp"
#include "proto/time.hpp"

#include <SQLiteCpp/Column.h>
#include <SQLiteCpp/Statement.h>
#include <optional>
#include <string>
#include <string_view>

namespace leasemirror {

/// One use of a kept statement: reset at the end, whatever happens, so that it holds no lock and no pointer into
/// what was bound. Bound text and bytes are not copied: they must live as long as this does.
class Use {
public:
    explicit Use(SQLite::Statement& statement) : statement_(statement) {}
    ~Use() { statement_.tryReset(); }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

    void number(int at, std::int64_t value) { statement_.bind(at, value); }
    void number(int at, std::optional<std::int64_t> value) {
        if (value)
            statement_.bind(at, *value);
        else
            statement_.bind(at);
    }
    void real(int at, double value) { statement_.bind(at, value); }
    void time(int at, std::optional<UtcSeconds> value) {
        number(at, value ? std::optional<std::int64_t>(unix_seconds(*value)) : std::nullopt);
    }
    void text(int at, const std::string& value) { statement_.bindNoCopy(at, value); }
    void text_or_null(int at, const std::string& value) {
        if (value.empty())
            statement_.bind(at);
        else
            statement_.bindNoCopy(at, value);
    }
    /// For the words of our own enumerations and other literals, which end in a zero; null gives NULL.
    void word(int at, const char* value) {
        if (value == nullptr)
            statement_.bind(at);
        else
            statement_.bindNoCopy(at, value);
    }
    void bytes_or_null(int at, ByteView value) {
        if (value.empty())
            statement_.bind(at);
        else
            statement_.bindNoCopy(at, value.data(), static_cast<int>(value.size()));
    }
    /// An empty value is empty and not null.
    void bytes(int at, ByteView value) {
        statement_.bindNoCopy(at, value.empty() ? "" : static_cast<const void*>(value.data()),
                              static_cast<int>(value.size()));
    }

    bool step() { return statement_.executeStep(); }
    /// Runs to the end; the number of rows changed.
    int run() { return statement_.exec(); }

    [[nodiscard]] bool is_null(int column) { return statement_.getColumn(column).isNull(); }
    [[nodiscard]] std::int64_t number(int column) { return statement_.getColumn(column).getInt64(); }
    [[nodiscard]] std::optional<std::int64_t> number_if_any(int column) {
        const auto value = statement_.getColumn(column);
        return value.isNull() ? std::nullopt : std::optional<std::int64_t>(value.getInt64());
    }
    [[nodiscard]] std::optional<UtcSeconds> time(int column) {
        const auto value = number_if_any(column);
        return value ? std::optional(UtcSeconds{std::chrono::seconds{*value}}) : std::nullopt;
    }
    /// Text or bytes of the present row, empty for NULL; gone with the next step.
    [[nodiscard]] std::string_view text(int column) {
        const auto value = statement_.getColumn(column);
        const auto* data = static_cast<const char*>(value.getBlob());
        return data == nullptr ? std::string_view{}
                               : std::string_view(data, static_cast<std::size_t>(value.getBytes()));
    }
    [[nodiscard]] Bytes bytes(int column) {
        const auto value = text(column);
        return {value.begin(), value.end()};
    }

private:
    SQLite::Statement& statement_;
};

}  // namespace leasemirror
