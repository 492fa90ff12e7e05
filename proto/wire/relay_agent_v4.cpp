// Option 82 (RFC 3046): what the relay said of the client's line, and of its VPN (RFC 6607).
#include "proto/wire/options_v4.hpp"
#include "proto/wire/unread.hpp"

namespace leasemirror {

RelayAgentInformation decode_relay_agent_information(ByteView option_82) {
    constexpr auto code = static_cast<std::uint16_t>(OptionCodeV4::relay_agent_information);
    RelayAgentInformation relay;
    bool vss_not_understood = false;
    // RFC 3046 says nothing of a sub-option that comes twice, and RFC 3396 joins options only: the first counts.
    const auto first = [](ByteView data, ByteView& out) {
        if (out.empty()) out = data;
        return true;
    };
    const auto read = [&](RelaySubOptionV4 sub_option, ByteView data) {
        switch (sub_option) {
            case RelaySubOptionV4::circuit_id:
                return first(data, relay.circuit_id);
            case RelaySubOptionV4::remote_id:
                return first(data, relay.remote_id);
            case RelaySubOptionV4::subscriber_id:
                return first(data, relay.subscriber_id);
            case RelaySubOptionV4::relay_id:
                return first(data, relay.relay_id);
            case RelaySubOptionV4::link_selection:
                return data.empty() || relay.link_selection || read_address(data, relay.link_selection);
            case RelaySubOptionV4::virtual_subnet_selection:
                if (relay.vss || read_vss(data, relay.vss)) return true;
                relay.vpn_unreadable = true;
                return false;
            case RelaySubOptionV4::virtual_subnet_selection_control:
                vss_not_understood |= data.empty();
                return true;
            case RelaySubOptionV4::server_id_override:
                return true;
        }
        return true;
    };
    const auto note = [&](DecodeFault fault, std::size_t offset) {
        if (!relay.fault) relay.fault = DecodeError{fault, code, offset};
    };
    constexpr auto vss_code = static_cast<std::uint8_t>(RelaySubOptionV4::virtual_subnet_selection);
    ByteReader in(option_82);
    while (!in.empty()) {
        const auto offset = in.offset();
        auto left = in;
        const auto sub_option = in.u8();
        if (sub_option == 0) continue;  // no such sub-option: relays pad with it
        const auto data = in.bytes(in.u8());
        if (!in.ok()) {
            note(DecodeFault::runs_past_parent, offset);
            relay.vpn_unreadable |= !relay.vss && may_hold_v4(left.rest(), vss_code);
        } else if (!read(RelaySubOptionV4{sub_option}, data)) {
            note(DecodeFault::bad_length, offset);
        }
    }
    // RFC 6607 §3.3: beside VSS-Control the server did not look at sub-option 151; the lease is in the default VPN.
    if (vss_not_understood) {
        relay.vss.reset();
        relay.vpn_unreadable = false;
    }
    if (relay.vss) relay.vpn_unreadable = false;
    return relay;
}

}  // namespace leasemirror
