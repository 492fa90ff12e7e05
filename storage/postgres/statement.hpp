// Statements, what is given to them and what comes back, in PostgreSQL's text forms. Only for this folder.
#pragma once

#include "proto/bytes.hpp"
#include "proto/ip_address.hpp"
#include "proto/time.hpp"

#include <cstdint>
#include <deque>
#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <string_view>
#include <vector>

namespace leasemirror {

/// A statement is known to the server by its name: no two with the same. Both must outlive every session.
struct PostgresSql {
    std::string_view name;
    std::string_view text;
};

/// An array that is one parameter: a column of many rows, for unnest($1::text[], ...).
class ArrayParameter {
public:
    void null();
    void number(std::int64_t value);
    void number(const std::optional<std::int64_t>& value);
    void flag(bool value) { word(value ? "t" : "f"); }
    /// Of our own enumerations: nothing in it needs quotes. Empty gives NULL.
    void word(std::string_view value);
    void text(std::string_view value);
    void text_or_null(std::string_view value);
    void bytes(ByteView value);
    void bytes_or_null(ByteView value);
    void time(UtcSeconds value);
    void time(const std::optional<UtcSeconds>& value);
    void address(const IpAddress& value);
    void address(const std::optional<IpAddress>& value);

    [[nodiscard]] std::size_t size() const { return size_; }
    /// The literal; no more may be added then.
    std::string& close();

private:
    void next();
    std::string text_;
    std::size_t size_ = 0;
};

/// Rows as arrays, a column each: begin_row(), and then next() once for each column.
class ArrayParameters {
public:
    explicit ArrayParameters(std::size_t columns) : columns_(columns) {}
    void begin_row() {
        at_ = 0;
        ++rows_;
    }
    [[nodiscard]] ArrayParameter& next() { return columns_.at(at_++); }
    [[nodiscard]] std::size_t rows() const { return rows_; }

private:
    friend class Parameters;
    std::vector<ArrayParameter> columns_;
    std::size_t at_ = 0;
    std::size_t rows_ = 0;
};

/// $1, $2, ... in this order.
class Parameters {
public:
    Parameters& null();
    Parameters& number(std::int64_t value);
    Parameters& number(const std::optional<std::int64_t>& value);
    Parameters& flag(bool value);
    Parameters& text(std::string_view value);
    Parameters& text_or_null(std::string_view value);
    Parameters& bytes(ByteView value);
    Parameters& bytes_or_null(ByteView value);
    Parameters& time(UtcSeconds value);
    Parameters& time(const std::optional<UtcSeconds>& value);
    Parameters& time(ServerTime value);
    Parameters& time(const std::optional<ServerTime>& value);
    Parameters& address(const IpAddress& value);
    Parameters& array(ArrayParameter& value);
    Parameters& arrays(ArrayParameters& values);

    [[nodiscard]] const std::deque<std::optional<std::string>>& values() const { return values_; }

private:
    std::deque<std::optional<std::string>> values_;
};

/// The columns of one row, from the left to the right. What does not fit the type asked for is pqxx::conversion_error.
class Fields {
public:
    explicit Fields(const pqxx::row& row) : row_(row) {}

    [[nodiscard]] bool is_null() const;  ///< the next one
    void skip() { ++at_; }
    [[nodiscard]] std::string_view text();  ///< empty for NULL; lives as long as the result
    [[nodiscard]] std::int64_t number();    ///< 0 for NULL
    [[nodiscard]] std::optional<std::int64_t> number_if_any();
    [[nodiscard]] bool flag();
    [[nodiscard]] Bytes bytes();  ///< empty for NULL
    [[nodiscard]] std::optional<UtcSeconds> time();
    [[nodiscard]] std::optional<ServerTime> server_time();
    [[nodiscard]] std::optional<IpAddress> address();

private:
    const pqxx::row row_;
    pqxx::row::size_type at_ = 0;
};

/// "\x0102".
void append_bytes(std::string& out, ByteView value);
/// "2026-11-20 12:00:00+00", as PostgreSQL takes and, in a session of ours, gives it; years before 1 as it writes them.
void append_timestamp(std::string& out, std::int64_t unix_seconds);
[[nodiscard]] std::optional<std::int64_t> parse_timestamp(std::string_view text);

}  // namespace leasemirror
