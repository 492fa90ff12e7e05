// DHCPLEASEACTIVE and DHCPLEASEUNASSIGNED -> Binding (RFC 4388 §6.4.2, RFC 6926 §7.3-7.4).
#include "proto/wire/fill_binding.hpp"
#include "proto/wire/fill_common.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

using detail::after;
using detail::assign;
using detail::before;
using Fault = std::optional<DecodeError>;

constexpr std::size_t ciaddr_offset = 12;
constexpr std::uint8_t prefix_len_v4 = 32;
constexpr std::size_t client_fqdn_header_bytes = 3;  // flags, RCODE1, RCODE2 (RFC 4702 §2)

constexpr std::uint16_t code_of(OptionCodeV4 c) {
    return static_cast<std::uint16_t>(c);
}

/// The dhcp-state of an address that has no lease. A missing, unknown or contradicting one leaves "available": the
/// message type already says that nobody holds it.
BindingState unassigned_state(const std::optional<std::uint8_t>& dhcp_state) {
    switch (DhcpState{dhcp_state.value_or(0)}) {
        case DhcpState::available:
        case DhcpState::active:
            return BindingState::available;
        case DhcpState::expired:
            return BindingState::expired;
        case DhcpState::released:
            return BindingState::released;
        case DhcpState::abandoned:
            return BindingState::abandoned;
        case DhcpState::reset:
            return BindingState::reset;
        case DhcpState::remote:
            return BindingState::remote;
        case DhcpState::transitioning:
            return BindingState::transitioning;
    }
    return BindingState::available;
}

/// RFC 6926 §8.3: the type is DHCPLEASEACTIVE if and only if the state is ACTIVE; §6.2.7: absent means ACTIVE.
Fault fill_state(const MessageV4& m, Binding& out) {
    constexpr auto active = static_cast<std::uint8_t>(DhcpState::active);
    if (m.type == MessageTypeV4::lease_active) {
        if (m.dhcp_state.value_or(active) != active)
            return DecodeError{DecodeFault::contradiction, code_of(OptionCodeV4::dhcp_state), 0};
        out.state = BindingState::active;
        return std::nullopt;
    }
    if (m.type != MessageTypeV4::lease_unassigned)
        return DecodeError{DecodeFault::wrong_message_type, code_of(OptionCodeV4::message_type), 0};
    out.state = unassigned_state(m.dhcp_state);
    return std::nullopt;
}

void fill_times(const MessageV4& m, const FillContext& context, Binding& out) {
    out.base_time = m.base_time.value_or(context.server_now);
    out.client_last_seen = before(out.base_time, m.client_last_transaction_age);
    out.state_since = before(out.base_time, m.start_time_of_state_age);
    const auto age = m.client_last_transaction_age.value_or(0);
    out.expires_at = after(out.base_time, m.lease_time, age);
    out.renew_at = after(out.base_time, m.renewal_time, age);
    out.rebind_at = after(out.base_time, m.rebinding_time, age);
}

void fill_client(const MessageV4& m, Binding& out) {
    assign(out.client_id, m.client_id);
    // Kea 3.3.1 sends a hardware address of more than 16 octets as 16 zeros in their place: that is no
    // address, and many clients would share it.
    const bool blank = m.hlen == chaddr_bytes_v4 &&
                       std::all_of(m.chaddr.begin(), m.chaddr.end(), [](std::uint8_t o) { return o == 0; });
    if (m.chaddr.empty() || blank) return;
    out.hw_type = m.htype;
    assign(out.hw_addr, m.chaddr);
}

Fault fill_host_name(const MessageV4& m, Binding& out) {
    constexpr auto too_long = [](OptionCodeV4 code) { return DecodeError{DecodeFault::bad_length, code_of(code), 0}; };
    const auto& host = m.host_name;
    if (!detail::append_host_name(out.hostname, {reinterpret_cast<const std::uint8_t*>(host.data()), host.size()}))
        return too_long(OptionCodeV4::host_name);
    if (!out.hostname.empty() || m.client_fqdn.size() <= client_fqdn_header_bytes) return std::nullopt;
    const auto name = m.client_fqdn.subspan(client_fqdn_header_bytes);
    const bool whole = (m.client_fqdn[0] & client_fqdn_wire_form) != 0 ? detail::append_wire_name(out.hostname, name)
                                                                       : detail::append_host_name(out.hostname, name);
    if (!whole) return too_long(OptionCodeV4::client_fqdn);
    return std::nullopt;
}

/// Option 221 names the VPN; where it is missing, the relay's sub-option may (RFC 6926 §6.2.9, RFC 6607 §3.2). A VPN that
/// was named and cannot be read is not the default one.
Fault fill_vpn(const MessageV4& m, const RelayAgentInformation& relay, Binding& out) {
    const auto take = [&](const VssV4& vss, OptionCodeV4 code) -> Fault {
        if (detail::assign_vpn_id(out.key.vpn_id, vss.type, vss.info)) return std::nullopt;
        return DecodeError{DecodeFault::bad_value, code_of(code), 0};
    };
    if (m.vss) return take(*m.vss, OptionCodeV4::virtual_subnet_selection);
    if (relay.vpn_unreadable) return relay.fault;
    if (relay.vss) return take(*relay.vss, OptionCodeV4::relay_agent_information);
    return std::nullopt;
}

void fill_relay(const MessageV4& m, const RelayAgentInformation& relay, Binding& out) {
    if (!m.giaddr.is_unspecified()) out.relay_address = m.giaddr;
    out.link_address = relay.link_selection;
    assign(out.relay_id, relay.relay_id);
    assign(out.remote_id, relay.remote_id);
    assign(out.circuit_id, relay.circuit_id);
    assign(out.subscriber_id, relay.subscriber_id);
}

void fill_kept_options(const MessageV4& m, const FillContext& context, Binding& out) {
    for (const auto code : context.keep_options) {
        const auto found = std::find_if(m.options.begin(), m.options.end(),
                                        [&](const RawOptionV4& option) { return option.code == code; });
        if (found != m.options.end()) detail::append_kept_option(out.options, code, found->data);
    }
}

}  // namespace

std::optional<std::string> vpn_id_of(const MessageV4& m) {
    Binding out;
    if (fill_vpn(m, decode_relay_agent_information(m.relay_agent_information), out)) return std::nullopt;
    return out.key.vpn_id;
}

std::optional<DecodeError> fill_binding(const MessageV4& m, const FillContext& context, Binding& out,
                                        std::optional<DecodeError>& relay_fault) {
    out.clear();
    relay_fault.reset();
    if (m.ciaddr.is_unspecified()) return DecodeError{DecodeFault::bad_value, 0, ciaddr_offset};
    out.key.address = m.ciaddr;
    out.key.prefix_len = prefix_len_v4;
    if (auto fault = fill_state(m, out)) return fault;
    const auto relay = decode_relay_agent_information(m.relay_agent_information);
    if (auto fault = fill_vpn(m, relay, out)) return fault;
    out.via = context.via;
    // Unassigned bits are ignored, and no option means local (RFC 6926 §6.2.8).
    out.data_source = (m.data_source.value_or(0) & data_source_remote) != 0 ? DataSource::remote : DataSource::local;
    fill_times(m, context, out);
    fill_client(m, out);
    fill_relay(m, relay, out);
    relay_fault = relay.fault;
    const auto name_fault = fill_host_name(m, out);
    if (!relay_fault) relay_fault = name_fault;
    fill_kept_options(m, context, out);
    return std::nullopt;
}

}  // namespace leasemirror
