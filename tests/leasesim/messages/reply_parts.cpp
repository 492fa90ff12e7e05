#include "tests/leasesim/messages/reply_parts.hpp"

#include "proto/numbers_v6.hpp"

#include <array>

namespace leasemirror::leasesim {

namespace {

constexpr std::uint32_t vendor_enterprise = 311;

void sub_option(RelaySubOptionV4 code, ByteView data, ByteWriter& out) {
    if (data.empty()) return;
    out.u8(static_cast<std::uint8_t>(code));
    out.u8(static_cast<std::uint8_t>(data.size()));
    out.bytes(data);
}

void option(OptionCodeV6 code, ByteView data, ByteWriter& out) {
    if (data.empty()) return;
    out.u16(static_cast<std::uint16_t>(code));
    out.u16(static_cast<std::uint16_t>(data.size()));
    out.bytes(data);
}

void relay_options(const UnitState& s, ByteWriter& out) {
    option(OptionCodeV6::interface_id, s.circuit_id.view(), out);
    option(OptionCodeV6::remote_id, s.remote_id.view(), out);
    option(OptionCodeV6::subscriber_id, s.subscriber_id.view(), out);
    option(OptionCodeV6::relay_id, s.relay_id.view(), out);
    if (s.hw_addr.empty()) return;
    out.u16(static_cast<std::uint16_t>(OptionCodeV6::client_link_layer_address));
    out.u16(static_cast<std::uint16_t>(2 + s.hw_addr.view().size()));
    out.u16(s.hw_type);
    out.bytes(s.hw_addr.view());
}

}  // namespace

Vss vss_of(unsigned vpn) {
    Vss out;
    if (vpn == 0) return out;
    out.type = static_cast<std::uint8_t>(vpn % 2 == 1 ? VssType::nvt_ascii : VssType::rfc2685);
    if (vpn % 2 == 1) {
        out.value.text("vpn-");
        out.value.decimal(vpn);
    } else {
        out.value.number(0x00005e, 3);
        out.value.number(vpn, 4);
    }
    return out;
}

HardwareOf hardware_of(const UnitState& s) {
    const auto duid = s.client_id.view();
    if (duid.size() > 8 && duid[0] == 0 && duid[1] == static_cast<std::uint8_t>(DuidType::link_layer_time))
        return {hw_type_ethernet, duid.subspan(8)};
    if (duid.size() > 4 && duid[0] == 0 && duid[1] == static_cast<std::uint8_t>(DuidType::link_layer))
        return {hw_type_ethernet, duid.subspan(4)};
    if (s.relayed) return {s.hw_type, s.hw_addr.view()};
    return {};
}

void write_relay_agent_information(const UnitState& s, bool broken, ByteWriter& out) {
    sub_option(RelaySubOptionV4::circuit_id, s.circuit_id.view(), out);
    sub_option(RelaySubOptionV4::remote_id, s.remote_id.view(), out);
    if (!s.link_address.is_unspecified()) sub_option(RelaySubOptionV4::link_selection, s.link_address.bytes(), out);
    sub_option(RelaySubOptionV4::subscriber_id, s.subscriber_id.view(), out);
    sub_option(RelaySubOptionV4::relay_id, s.relay_id.view(), out);
    if (broken) {
        out.u8(static_cast<std::uint8_t>(RelaySubOptionV4::circuit_id));
        out.u8(200);
    }
}

void write_relay_data(const UnitState& s, bool broken, ByteWriter& out) {
    static constexpr std::array<std::uint8_t, 16> unspecified{};
    out.bytes(s.relay_address.bytes());
    // RFC 5007 §4.1.2.4: the Relay-forward as received, outermost first, without the client's own message.
    for (unsigned depth = s.relay_depth; depth > 0; --depth) {
        const bool innermost = depth == 1;
        out.u8(static_cast<std::uint8_t>(MessageTypeV6::relay_forward));
        out.u8(static_cast<std::uint8_t>(depth - 1));
        out.bytes(innermost ? s.link_address.bytes() : ByteView(unspecified));
        out.bytes(s.relay_address.bytes());
        if (innermost) {
            relay_options(s, out);
            if (!broken) return;
            out.u16(static_cast<std::uint16_t>(OptionCodeV6::interface_id));
            out.u16(500);
            return;
        }
        // Only one outer relay adds options: its RELAY_MSG runs to the end, so its length is that of the rest.
        std::array<std::uint8_t, 512> inner{};
        UnitState nested = s;
        nested.relay_depth = depth - 1;
        ByteWriter rest(inner);
        write_relay_data(nested, broken, rest);
        const auto message = rest.written().subspan(16);
        option(OptionCodeV6::relay_message, message, out);
        return;
    }
}

void write_garbage(Family family, MessageTypeV6 type, std::uint32_t xid, ByteWriter& out) {
    if (family == Family::v6) {
        out.u8(static_cast<std::uint8_t>(type));
        out.u24(xid);
        out.u16(static_cast<std::uint16_t>(OptionCodeV6::client_data));
        out.u16(4096);
        return;
    }
    out.u8(static_cast<std::uint8_t>(OpV4::boot_reply));
    out.zeros(3);
    out.u32(xid);
    out.zeros(header_bytes_v4 - 12);
    out.u32(magic_cookie_v4);
    out.u8(static_cast<std::uint8_t>(OptionCodeV4::message_type));
    out.u8(1);
    out.u8(static_cast<std::uint8_t>(MessageTypeV4::lease_active));
    out.u8(static_cast<std::uint8_t>(OptionCodeV4::lease_time));
    out.u8(200);
}

void write_client_fqdn(std::string_view name, ByteWriter& out) {
    out.u8(0);
    while (!name.empty()) {
        const auto dot = std::min(name.find('.'), name.size());
        out.u8(static_cast<std::uint8_t>(dot));
        out.text(name.substr(0, dot));
        name.remove_prefix(std::min(dot + 1, name.size()));
    }
    out.u8(0);
}

void write_vendor_class(const UnitState& s, ByteWriter& out) {
    out.u32(vendor_enterprise);
    out.u16(static_cast<std::uint16_t>(s.vendor_class.view().size()));
    out.bytes(s.vendor_class.view());
}

void append_kept_option(Family family, const UnitState& s, std::uint16_t code, Bytes& out) {
    std::array<std::uint8_t, 128> room{};
    ByteWriter value(room);
    if (family == Family::v4) {
        if (code == static_cast<std::uint16_t>(OptionCodeV4::host_name)) value.bytes(s.hostname.view());
        if (code == static_cast<std::uint16_t>(OptionCodeV4::vendor_class)) value.bytes(s.vendor_class.view());
    } else {
        if (code == static_cast<std::uint16_t>(OptionCodeV6::client_fqdn) && !s.hostname.empty())
            write_client_fqdn(s.hostname.chars(), value);
        if (code == vendor_class_v6 && !s.vendor_class.empty()) write_vendor_class(s, value);
    }
    const auto data = value.written();
    if (data.empty()) return;
    for (const auto v : {code, static_cast<std::uint16_t>(data.size())}) {
        out.push_back(static_cast<std::uint8_t>(v >> 8U));
        out.push_back(static_cast<std::uint8_t>(v));
    }
    out.insert(out.end(), data.begin(), data.end());
}

}  // namespace leasemirror::leasesim
