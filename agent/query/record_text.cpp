#include "agent/query/record_text.hpp"

#include "agent/config/time_text.hpp"
#include "proto/binding.hpp"
#include "proto/status.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace leasemirror {
namespace {

using Json = nlohmann::ordered_json;

struct ToJson {
    Json operator()(std::monostate) const { return nullptr; }
    Json operator()(bool value) const { return value; }
    Json operator()(std::int64_t value) const { return value; }
    Json operator()(const std::string& value) const { return value; }
    Json operator()(const Bytes& value) const { return to_hex(value); }
    Json operator()(UtcSeconds value) const { return iso_utc(value); }
    Json operator()(const JsonText& value) const {
        auto parsed = Json::parse(value.text, nullptr, false);
        return parsed.is_discarded() ? Json(value.text) : parsed;
    }
};

struct ToCell {
    std::string operator()(std::monostate) const { return {}; }
    std::string operator()(bool value) const { return value ? "yes" : "no"; }
    std::string operator()(std::int64_t value) const { return std::to_string(value); }
    std::string operator()(const std::string& value) const { return printable(value); }
    std::string operator()(const Bytes& value) const { return identifier_text(value); }
    std::string operator()(UtcSeconds value) const { return iso_utc(value); }
    std::string operator()(const JsonText& value) const { return printable(value.text); }
};

std::string text_of(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

const Value* find(const Record& row, std::string_view column) {
    const auto found = std::find_if(row.begin(), row.end(), [&](const auto& entry) { return entry.first == column; });
    return found == row.end() ? nullptr : &found->second;
}

}  // namespace

std::string json_line(const Record& row) {
    auto out = Json::object();
    for (const auto& [name, value] : row)
        out[name] = std::visit(ToJson{}, value);
    return text_of(out);
}

std::string json_value(const Value& value) {
    return text_of(std::visit(ToJson{}, value));
}

std::string cell_of(const Record& row, std::string_view column) {
    const auto* const value = find(row, column);
    return value == nullptr ? std::string() : std::visit(ToCell{}, *value);
}

bool flag_of(const Record& row, std::string_view column) {
    const auto* const value = find(row, column);
    const auto* const flag = value == nullptr ? nullptr : std::get_if<bool>(value);
    return flag != nullptr && *flag;
}

std::int64_t number_of(const Record& row, std::string_view column) {
    const auto* const value = find(row, column);
    const auto* const number = value == nullptr ? nullptr : std::get_if<std::int64_t>(value);
    return number == nullptr ? 0 : *number;
}

std::string address_cell(const Record& row) {
    auto out = cell_of(row, "address");
    if (cell_of(row, "kind") == to_string(BindingKind::prefix)) out += "/" + cell_of(row, "prefix_len");
    return out;
}

std::string identifier_text(ByteView octets) {
    if (std::all_of(octets.begin(), octets.end(), [](std::uint8_t c) { return c >= ' ' && c <= '~'; }))
        return {octets.begin(), octets.end()};
    return to_hex(octets, ':');
}

}  // namespace leasemirror
