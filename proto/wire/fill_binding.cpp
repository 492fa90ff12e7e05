#include "proto/wire/fill_binding.hpp"

#include "proto/numbers_v4.hpp"
#include "proto/numbers_v6.hpp"
#include "proto/wire/fill_common.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

/// As long as a name in DHCPv4's option can be, and what a key column can hold.
constexpr std::size_t vpn_name_bytes_max = 254;
constexpr std::size_t dns_name_bytes_max = 255;  // RFC 1035 §2.3.4
constexpr std::size_t dns_label_bytes_max = 63;  // RFC 1035 §2.3.4

bool is_nvt_ascii(ByteView info) {
    return std::all_of(info.begin(), info.end(), [](std::uint8_t c) { return c >= 0x20 && c < 0x7f; });
}

}  // namespace

std::optional<std::string> vpn_id_from_vss(std::uint8_t type, ByteView info) {
    std::string vpn_id;
    if (!detail::assign_vpn_id(vpn_id, type, info)) return std::nullopt;
    return vpn_id;
}

std::optional<DuidHardware> duid_hardware(ByteView duid) {
    ByteReader in(duid);
    const auto type = DuidType{in.u16()};
    if (type != DuidType::link_layer && type != DuidType::link_layer_time) return std::nullopt;
    DuidHardware hardware;
    hardware.hw_type = in.u16();
    if (type == DuidType::link_layer_time) hardware.time = server_time_from_unix(epoch_2000 + std::int64_t{in.u32()});
    hardware.address = in.rest();
    if (!in.ok() || hardware.address.empty()) return std::nullopt;
    return hardware;
}

namespace detail {

bool assign_vpn_id(std::string& out, std::uint8_t type, ByteView info) {
    switch (VssType{type}) {
        case VssType::nvt_ascii:
            // This becomes part of a key: a name that we would have to change to store it is refused instead.
            if (info.empty() || info.size() > vpn_name_bytes_max || !is_nvt_ascii(info)) return false;
            out = "ascii:";
            out += as_text(info);
            return true;
        case VssType::rfc2685:
            if (info.size() != rfc2685_bytes) return false;
            out = "rfc2685:";
            out += to_hex(info);  // 14 characters: short enough not to allocate
            return true;
        case VssType::global:
            out.clear();
            return info.empty();
        case VssType::all_vpns:
            return false;  // only a query may say this (RFC 6926 §7.2)
    }
    return false;
}

void append_kept_option(Bytes& out, std::uint16_t code, ByteView data) {
    data = data.first(std::min<std::size_t>(data.size(), 0xffff));
    const std::uint8_t header[] = {static_cast<std::uint8_t>(code >> 8), static_cast<std::uint8_t>(code),
                                   static_cast<std::uint8_t>(data.size() >> 8), static_cast<std::uint8_t>(data.size())};
    out.insert(out.end(), std::begin(header), std::end(header));
    out.insert(out.end(), data.begin(), data.end());
}

bool append_host_name(std::string& out, ByteView name) {
    while (!name.empty() && name.back() == 0)
        name = name.first(name.size() - 1);
    append_lossless(out, as_text(name.first(std::min(name.size(), dns_name_bytes_max))));
    return name.size() <= dns_name_bytes_max;
}

bool append_wire_name(std::string& out, ByteView name) {
    const auto start = out.size();
    ByteReader in(name);
    while (!in.empty()) {
        const auto length = in.u8();
        if (length == 0) return true;  // the root: the name is whole
        const auto label = in.bytes(length);
        if (!in.ok() || length > dns_label_bytes_max || in.offset() > dns_name_bytes_max) {
            out.resize(start);
            return append_host_name(out, name);
        }
        if (out.size() > start) out += '.';
        append_lossless(out, as_text(label), '.');
    }
    return true;
}

}  // namespace detail
}  // namespace leasemirror
