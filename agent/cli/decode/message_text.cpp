#include "agent/cli/decode/message_text.hpp"

#include "agent/config/time_text.hpp"
#include "proto/binding.hpp"
#include "proto/wire/fill_binding.hpp"

#include <algorithm>

namespace leasemirror {

void TextOutline::begin() {
    text_.append(depth_ * 2, ' ');
}

void TextOutline::line(std::string_view name, std::string_view value) {
    begin();
    text_ += name;
    text_ += ": ";
    text_ += value;
    text_ += '\n';
}

void TextOutline::heading(std::string_view text) {
    begin();
    text_ += text;
    text_ += '\n';
}

std::string octets_text(ByteView octets) {
    if (octets.empty()) return "(empty)";
    auto out = to_hex(octets, ':');
    const bool readable =
        octets.size() > 1 && std::all_of(octets.begin(), octets.end(), [](auto c) { return c >= 0x20 && c < 0x7f; });
    if (readable) out += " ('" + std::string(octets.begin(), octets.end()) + "')";
    return out;
}

std::string status_text(const Status& status) {
    auto out = std::to_string(status.number) + " (" + std::string(to_string(status.code)) + ")";
    if (!status.text.empty()) out += ": " + printable(status.text);
    return out;
}

std::string remaining_text(std::uint32_t seconds, std::optional<ServerTime> base_time) {
    if (seconds == infinite_seconds) return "infinite";
    auto out = std::to_string(seconds) + " s";
    if (base_time) out += ", until " + iso_utc(*base_time + std::chrono::seconds{seconds});
    return out;
}

std::string age_text(std::uint32_t seconds, std::optional<ServerTime> base_time) {
    auto out = std::to_string(seconds) + " s before";
    if (base_time) out += ", at " + iso_utc(*base_time - std::chrono::seconds{seconds});
    return out;
}

std::string vss_text(std::uint8_t type, ByteView info) {
    auto out = "type " + std::to_string(type);
    if (const auto name = vpn_id_from_vss(type, info))
        out += name->empty() ? ", the default VPN" : ", " + printable(*name);
    else if (!info.empty())
        out += ", " + octets_text(info);
    return out;
}

}  // namespace leasemirror
