#include "storage/postgres/statement.hpp"

#include <array>
#include <charconv>

namespace leasemirror {
namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";
constexpr std::int64_t day_seconds = 86400;

void append_number(std::string& out, std::int64_t value) {
    std::array<char, 20> digits{};
    out.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr);
}

void append_padded(std::string& out, std::int64_t value, std::size_t width) {
    const auto before = out.size();
    append_number(out, value);
    const auto length = out.size() - before;
    if (length < width) out.insert(before, width - length, '0');
}

void append_hex(std::string& out, ByteView value) {
    for (const auto octet : value) {
        out += hex_digits[octet >> 4];
        out += hex_digits[octet & 0xf];
    }
}

struct Date {
    std::int64_t year = 0;
    std::int64_t month = 0;
    std::int64_t day = 0;
};

// Days since 1970-01-01 in the Gregorian calendar, by eras of 400 years that begin on the first of March. Not <chrono>:
// its years end at 32767, and what a server says may lie beyond.
constexpr std::int64_t era_days = 146097;
constexpr std::int64_t era_shift = 719468;  // from 0000-03-01 to 1970-01-01

Date date_of(std::int64_t days) {
    days += era_shift;
    const auto era = (days >= 0 ? days : days - era_days + 1) / era_days;
    const auto of_era = days - era * era_days;
    const auto year = (of_era - of_era / 1460 + of_era / 36524 - of_era / (era_days - 1)) / 365;
    const auto of_year = of_era - (365 * year + year / 4 - year / 100);
    const auto from_march = (5 * of_year + 2) / 153;
    const auto month = from_march < 10 ? from_march + 3 : from_march - 9;
    return {year + era * 400 + (month <= 2 ? 1 : 0), month, of_year - (153 * from_march + 2) / 5 + 1};
}

std::int64_t days_of(const Date& date) {
    const auto year = date.year - (date.month <= 2 ? 1 : 0);
    const auto era = (year >= 0 ? year : year - 399) / 400;
    const auto of_era = year - era * 400;
    const auto of_year = (153 * (date.month > 2 ? date.month - 3 : date.month + 9) + 2) / 5 + date.day - 1;
    return era * era_days + of_era * 365 + of_era / 4 - of_era / 100 + of_year - era_shift;
}

/// Reads "12-34" as numbers and what is between them.
class Digits {
public:
    explicit Digits(std::string_view in) : at_(in.data()), end_(in.data() + in.size()) {}
    std::int64_t number() {
        std::int64_t out = 0;
        const auto [after, fault] = std::from_chars(at_, end_, out);
        ok_ = ok_ && fault == std::errc{} && out >= 0;
        at_ = after;
        return out;
    }
    void skip(char expected) {
        ok_ = ok_ && at_ != end_ && *at_ == expected;
        if (ok_) ++at_;
    }
    [[nodiscard]] bool ok() const { return ok_; }

private:
    const char* at_;
    const char* end_;
    bool ok_ = true;
};

template <class T>
T or_conversion_error(std::optional<T> value, std::string_view text) {
    if (!value) throw pqxx::conversion_error("unexpected value in the database: " + std::string(text));
    return *std::move(value);
}

int nibble(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

std::optional<Bytes> parse_bytes(std::string_view text) {
    if (text.size() < 2 || text.size() % 2 != 0 || text[0] != '\\' || text[1] != 'x') return std::nullopt;
    Bytes out;
    out.reserve(text.size() / 2 - 1);
    for (std::size_t i = 2; i < text.size(); i += 2) {
        const int high = nibble(text[i]), low = nibble(text[i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        out.push_back(static_cast<std::uint8_t>(high * 16 + low));
    }
    return out;
}

}  // namespace

void append_bytes(std::string& out, ByteView value) {
    out += "\\x";
    append_hex(out, value);
}

void append_timestamp(std::string& out, std::int64_t unix_seconds) {
    auto days = unix_seconds / day_seconds;
    auto second = unix_seconds % day_seconds;
    if (second < 0) {
        second += day_seconds;
        --days;
    }
    const auto date = date_of(days);
    append_padded(out, date.year > 0 ? date.year : 1 - date.year, 4);
    out += '-';
    append_padded(out, date.month, 2);
    out += '-';
    append_padded(out, date.day, 2);
    out += ' ';
    append_padded(out, second / 3600, 2);
    out += ':';
    append_padded(out, second / 60 % 60, 2);
    out += ':';
    append_padded(out, second % 60, 2);
    out += "+00";
    if (date.year <= 0) out += " BC";
}

std::optional<std::int64_t> parse_timestamp(std::string_view text) {
    Digits in(text);
    Date date;
    date.year = in.number();
    in.skip('-');
    date.month = in.number();
    in.skip('-');
    date.day = in.number();
    in.skip(' ');
    auto second = in.number() * 3600;
    in.skip(':');
    second += in.number() * 60;
    in.skip(':');
    second += in.number();
    if (!in.ok()) return std::nullopt;  // 'infinity', which we never write
    if (text.ends_with(" BC")) date.year = 1 - date.year;
    return days_of(date) * day_seconds + second;
}

void ArrayParameter::next() {
    text_ += size_ == 0 ? '{' : ',';
    ++size_;
}

void ArrayParameter::null() {
    next();
    text_ += "NULL";
}

void ArrayParameter::number(std::int64_t value) {
    next();
    append_number(text_, value);
}

void ArrayParameter::number(const std::optional<std::int64_t>& value) {
    value ? number(*value) : null();
}

void ArrayParameter::word(std::string_view value) {
    if (value.empty()) return null();
    next();
    text_ += value;
}

void ArrayParameter::text(std::string_view value) {
    next();
    text_ += '"';
    for (const char c : value) {
        if (c == '"' || c == '\\') text_ += '\\';
        text_ += c;
    }
    text_ += '"';
}

void ArrayParameter::text_or_null(std::string_view value) {
    value.empty() ? null() : text(value);
}

void ArrayParameter::bytes(ByteView value) {
    next();
    text_ += "\"\\\\x";
    append_hex(text_, value);
    text_ += '"';
}

void ArrayParameter::bytes_or_null(ByteView value) {
    value.empty() ? null() : bytes(value);
}

void ArrayParameter::time(UtcSeconds value) {
    next();
    text_ += '"';
    append_timestamp(text_, unix_seconds(value));
    text_ += '"';
}

void ArrayParameter::time(const std::optional<UtcSeconds>& value) {
    value ? time(*value) : null();
}

void ArrayParameter::address(const IpAddress& value) {
    next();
    text_ += value.to_string();
}

void ArrayParameter::address(const std::optional<IpAddress>& value) {
    value ? address(*value) : null();
}

std::string& ArrayParameter::close() {
    text_ += size_ == 0 ? "{}" : "}";
    return text_;
}

Parameters& Parameters::null() {
    values_.emplace_back(std::nullopt);
    return *this;
}

Parameters& Parameters::number(std::int64_t value) {
    append_number(values_.emplace_back(std::string{}).value(), value);
    return *this;
}

Parameters& Parameters::number(const std::optional<std::int64_t>& value) {
    return value ? number(*value) : null();
}

Parameters& Parameters::flag(bool value) {
    values_.emplace_back(value ? "t" : "f");
    return *this;
}

Parameters& Parameters::text(std::string_view value) {
    values_.emplace_back(std::string(value));
    return *this;
}

Parameters& Parameters::text_or_null(std::string_view value) {
    return value.empty() ? null() : text(value);
}

Parameters& Parameters::bytes(ByteView value) {
    append_bytes(values_.emplace_back(std::string{}).value(), value);
    return *this;
}

Parameters& Parameters::bytes_or_null(ByteView value) {
    return value.empty() ? null() : bytes(value);
}

Parameters& Parameters::time(UtcSeconds value) {
    append_timestamp(values_.emplace_back(std::string{}).value(), unix_seconds(value));
    return *this;
}

Parameters& Parameters::time(const std::optional<UtcSeconds>& value) {
    return value ? time(*value) : null();
}

Parameters& Parameters::time(ServerTime value) {
    append_timestamp(values_.emplace_back(std::string{}).value(), unix_seconds(value));
    return *this;
}

Parameters& Parameters::time(const std::optional<ServerTime>& value) {
    return value ? time(*value) : null();
}

Parameters& Parameters::address(const IpAddress& value) {
    return text(value.to_string());
}

Parameters& Parameters::array(ArrayParameter& value) {
    values_.emplace_back(std::move(value.close()));
    return *this;
}

Parameters& Parameters::arrays(ArrayParameters& values) {
    for (auto& column : values.columns_)
        array(column);
    return *this;
}

bool Fields::is_null() const {
    return row_[at_].is_null();
}

std::string_view Fields::text() {
    const auto field = row_[at_++];
    return field.is_null() ? std::string_view{} : std::string_view(field.c_str(), field.size());
}

std::optional<std::int64_t> Fields::number_if_any() {
    if (is_null()) {
        skip();
        return std::nullopt;
    }
    const auto in = text();
    std::int64_t out = 0;
    const auto [end, fault] = std::from_chars(in.data(), in.data() + in.size(), out);
    const bool whole = fault == std::errc{} && end == in.data() + in.size();
    return or_conversion_error(whole ? std::optional(out) : std::nullopt, in);
}

std::int64_t Fields::number() {
    return number_if_any().value_or(0);
}

bool Fields::flag() {
    return text() == "t";
}

Bytes Fields::bytes() {
    const auto in = text();
    return in.empty() ? Bytes{} : or_conversion_error(parse_bytes(in), in);
}

std::optional<UtcSeconds> Fields::time() {
    const auto in = text();
    if (in.empty()) return std::nullopt;
    return UtcSeconds{std::chrono::seconds{or_conversion_error(parse_timestamp(in), in)}};
}

std::optional<ServerTime> Fields::server_time() {
    const auto in = text();
    if (in.empty()) return std::nullopt;
    return server_time_from_unix(or_conversion_error(parse_timestamp(in), in));
}

std::optional<IpAddress> Fields::address() {
    const auto in = text();
    if (in.empty()) return std::nullopt;
    return or_conversion_error(IpAddress::parse(in), in);
}

}  // namespace leasemirror
