#include "storage/postgres/copy.hpp"

#include <array>
#include <charconv>
#include <tuple>

namespace leasemirror {

void CopyRow::begin() {
    text_.resize(kept_text_);
    starts_.resize(kept_);
}

void CopyRow::number(std::int64_t value) {
    std::array<char, 20> digits{};
    text({digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr});
}

void CopyRow::text(std::string_view value) {
    begin_field();
    text_ += value;
    end_field();
}

void CopyRow::bytes_or_null(ByteView value) {
    if (value.empty()) return null();
    begin_field();
    append_bytes(text_, value);
    end_field();
}

void CopyRow::time(UtcSeconds value) {
    begin_field();
    append_timestamp(text_, unix_seconds(value));
    end_field();
}

void CopyRow::address(const IpAddress& value) {
    text(value.to_string());
}

const std::vector<const char*>& CopyRow::fields() {
    fields_.clear();
    for (const auto start : starts_)
        fields_.push_back(start == is_null ? nullptr : text_.data() + start);
    return fields_;
}

std::string CopyRow::line() const {
    std::string out;
    out.reserve(text_.size() + text_.size() / 8);
    for (const auto& start : starts_) {
        if (&start != starts_.data()) out += '\t';
        if (start == is_null) {
            out += "\\N";
            continue;
        }
        for (const char* c = text_.data() + start; *c != '\0'; ++c)
            switch (*c) {
                case '\\':
                    out += "\\\\";
                    break;
                case '\t':
                    out += "\\t";
                    break;
                case '\n':
                    out += "\\n";
                    break;
                case '\r':
                    out += "\\r";
                    break;
                default:
                    out += *c;
            }
    }
    return out;
}

}  // namespace leasemirror

// Version 6 takes rows of a fixed number of fields alone, and builds them slowly. So a row of ours is one field, which
// brings its own text with it. Version 7 takes a container of fields.
#if PQXX_VERSION_MAJOR < 7
namespace pqxx::internal {
template <>
std::string TypedCopyEscaper::operator()(const leasemirror::CopyRow* t) const {
    return t->line();
}
}  // namespace pqxx::internal
#endif

namespace leasemirror {

#if PQXX_VERSION_MAJOR < 7
// A list of columns gets commas in between: one that is all of them stays as it is.
pqxx::stream_to CopyRows::open(PostgresTransaction& transaction, const std::string& table, const std::string& columns) {
    return {transaction.work(), table, std::array{columns}};
}

void CopyRows::send() {
    stream_ << std::tie(row_);
}
#else
pqxx::stream_to CopyRows::open(PostgresTransaction& transaction, const std::string& table, const std::string& columns) {
    return pqxx::stream_to::raw_table(transaction.work(), table, columns);
}

void CopyRows::send() {
    stream_.write_row(row_.fields());
}
#endif

}  // namespace leasemirror
