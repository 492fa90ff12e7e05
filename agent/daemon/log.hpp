// Log lines: an event name, then key=value, one line each on stderr. Passed in, never global.
#pragma once

#include "agent/config/config.hpp"

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace leasemirror {

/// One key=value. Text may come from a peer and be hostile: it can neither end the line nor forge a key.
struct LogField {
    std::string_view key;  ///< one of our own words
    std::variant<std::string_view, std::int64_t, bool> value;

    LogField(std::string_view k, std::string_view text) : key(k), value(text) {}
    LogField(std::string_view k, const std::string& text) : key(k), value(std::string_view(text)) {}
    LogField(std::string_view k, const char* text) : key(k), value(std::string_view(text)) {}
    LogField(std::string_view k, bool flag) : key(k), value(flag) {}
    template <std::integral T>
    LogField(std::string_view k, T number) : key(k), value(static_cast<std::int64_t>(number)) {}
};
using LogFields = std::span<const LogField>;

/// `live server=east-v6 gaps=2 text="with a space"`: bare words stay bare, all else is quoted, with \" and \\ inside;
/// control characters, marks that turn the direction of text, and what is not UTF-8 become '?'.
[[nodiscard]] std::string log_text(std::string_view event, LogFields fields);
/// `"event":"live","server":"east-v6","gaps":2`: members of a JSON object, ASCII only.
[[nodiscard]] std::string log_json_members(std::string_view event, LogFields fields);

/// Any thread may write. Lines appear whole, in text as `TIME LEVEL event key=value`, in JSON as one object with
/// "time", "level" and "event".
class Log {
public:
    explicit Log(const LogConfig& config);  // to stderr
    /// `columns`: of the terminal that `out` is, if it is one.
    Log(const LogConfig& config, std::ostream& out, std::optional<std::size_t> columns = std::nullopt);
    ~Log();
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    /// How wide the terminal is that the log goes to; nothing if it is none, or the format is not for people.
    [[nodiscard]] std::optional<std::size_t> columns() const;
    /// Keeps these lines below the log, on a terminal: they are written anew after each line of it, and replace those of
    /// before. None of them is longer than columns().
    void show(std::vector<std::string> lines);

    /// From the next line on.
    void configure(const LogConfig& config);
    void write(LogLevel level, std::string_view event, LogFields fields);

    using Listed = std::initializer_list<LogField>;
    void debug(std::string_view event, Listed fields = {}) { write(LogLevel::debug, event, as_fields(fields)); }
    void info(std::string_view event, Listed fields = {}) { write(LogLevel::info, event, as_fields(fields)); }
    void warn(std::string_view event, Listed fields = {}) { write(LogLevel::warn, event, as_fields(fields)); }
    void error(std::string_view event, Listed fields = {}) { write(LogLevel::error, event, as_fields(fields)); }

private:
    [[nodiscard]] static LogFields as_fields(Listed fields) { return {fields.begin(), fields.size()}; }

    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace leasemirror
