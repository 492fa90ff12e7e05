// Many new rows at once by COPY, which costs the server half of what arrays as parameters do. It takes two round trips, so
// it is not for a few rows. Only for this folder.
#pragma once

#include "storage/postgres/connection.hpp"

#include <cstdint>
#include <optional>
#include <pqxx/stream_to>
#include <string>
#include <string_view>
#include <vector>

namespace leasemirror {

/// From so many rows on COPY is the better way.
constexpr std::size_t copy_rows_min = 200;

/// The values of one row, from the left to the right, in the text form of COPY.
class CopyRow {
public:
    /// The first columns, which are the same in all rows: what was written so far.
    void keep() { kept_ = starts_.size(), kept_text_ = text_.size(); }
    /// Forgets what was written behind them.
    void begin();

    void null() { starts_.push_back(is_null); }
    void number(std::int64_t value);
    void number(const std::optional<std::int64_t>& value) { value ? number(*value) : null(); }
    void flag(bool value) { word(value ? "t" : "f"); }
    /// Of our own enumerations. Empty gives NULL.
    void word(std::string_view value) { value.empty() ? null() : text(value); }
    void text(std::string_view value);
    void text_or_null(std::string_view value) { value.empty() ? null() : text(value); }
    void bytes_or_null(ByteView value);
    void time(UtcSeconds value);
    void time(const std::optional<UtcSeconds>& value) { value ? time(*value) : null(); }
    void address(const IpAddress& value);
    void address(const std::optional<IpAddress>& value) { value ? address(*value) : null(); }

    /// Null pointers for NULL; valid until something is written.
    [[nodiscard]] const std::vector<const char*>& fields();
    /// The same as COPY reads it.
    [[nodiscard]] std::string line() const;

private:
    static constexpr std::size_t is_null = ~std::size_t{0};
    void begin_field() { starts_.push_back(text_.size()); }
    void end_field() { text_ += '\0'; }

    std::string text_;                 // each value with a NUL behind it
    std::vector<std::size_t> starts_;  // of each in it
    std::vector<const char*> fields_;
    std::size_t kept_ = 0, kept_text_ = 0;
};

/// Until complete() nothing else can be done with the connection. Whoever does not come to it gives up the transaction.
class CopyRows {
public:
    /// `columns` as they stand in SQL, with commas between. `constants` are the values of the first of them.
    template <class Constants>
    CopyRows(PostgresTransaction& transaction, const std::string& table, const std::string& columns,
             const Constants& constants)
        : stream_(open(transaction, table, columns)) {
        constants(row_);
        row_.keep();
    }
    void begin_row() {
        if (rows_++ > 0) send();
        row_.begin();
    }
    [[nodiscard]] CopyRow& next() { return row_; }
    [[nodiscard]] std::size_t rows() const { return rows_; }
    /// Values that the server refuses are an exception of libpqxx (refuses_values()).
    void complete() {
        if (rows_ > 0) send();
        stream_.complete();
    }

private:
    static pqxx::stream_to open(PostgresTransaction& transaction, const std::string& table, const std::string& columns);
    void send();

    pqxx::stream_to stream_;
    CopyRow row_;
    std::size_t rows_ = 0;
};

}  // namespace leasemirror
