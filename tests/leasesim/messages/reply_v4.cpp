// RFC 6926 §8.3: building a single reply.
#include "tests/leasesim/messages/reply.hpp"
#include "tests/leasesim/messages/reply_parts.hpp"

#include <array>

namespace leasemirror::leasesim {

namespace {

using enum OptionCodeV4;
using namespace std::string_view_literals;

bool wants(const ReplyContext& c, OptionCodeV4 code) {
    return c.request.wanted.test(static_cast<std::size_t>(code));
}

std::uint8_t dhcp_state_of(BindingState s) {
    switch (s) {
        case BindingState::active:
            return static_cast<std::uint8_t>(DhcpState::active);
        case BindingState::expired:
            return static_cast<std::uint8_t>(DhcpState::expired);
        case BindingState::released:
            return static_cast<std::uint8_t>(DhcpState::released);
        case BindingState::abandoned:
            return static_cast<std::uint8_t>(DhcpState::abandoned);
        case BindingState::reset:
            return static_cast<std::uint8_t>(DhcpState::reset);
        case BindingState::remote:
            return static_cast<std::uint8_t>(DhcpState::remote);
        case BindingState::transitioning:
            return static_cast<std::uint8_t>(DhcpState::transitioning);
        case BindingState::available:
        case BindingState::ended:
            break;
    }
    return static_cast<std::uint8_t>(DhcpState::available);
}

/// Seconds between what the clock shows for `at` and the base-time; never negative.
std::uint32_t since(const ReplyContext& c, UtcMillis at) {
    const auto age = c.model.server_now(c.at) - c.model.clock().shown(at, c.at);
    return age.count() < 0 ? 0 : static_cast<std::uint32_t>(age.count());
}
std::uint32_t until(const ReplyContext& c, UtcMillis at) {
    const auto left = c.model.clock().shown(at, c.at) - c.model.server_now(c.at);
    return left.count() < 0 ? 0 : static_cast<std::uint32_t>(left.count());
}

MessageV4 begin(const ReplyContext& c, MessageTypeV4 type) {
    MessageV4 m;
    m.op = static_cast<std::uint8_t>(OpV4::boot_reply);
    m.type = type;
    m.xid = c.request.xid ^ (c.faults.wrong_xid ? 0x5a5a5a5aU : 0U);
    if (c.request.giaddr.family() == Family::v4) m.giaddr = c.request.giaddr;
    // RFC 6926 §8.3: in the first message, not in later ones.
    if (c.tells_server_id && !c.faults.missing_server_id) m.server_identifier = IpAddress::from_bytes(c.server_id);
    return m;
}

void set_times(const ReplyContext& c, const UnitState& s, MessageV4& m) {
    const bool all = !c.personality.v4_times_only;
    if (wants(c, base_time)) m.base_time = c.faults.base_time.value_or(c.model.server_now(c.at));
    if (wants(c, client_last_transaction_time) && s.last_seen) m.client_last_transaction_age = since(c, *s.last_seen);
    if (all && wants(c, start_time_of_state)) m.start_time_of_state_age = since(c, s.since);
    if (all && wants(c, dhcp_state)) m.dhcp_state = dhcp_state_of(s.state);
    if (all && wants(c, data_source) && s.source == DataSource::remote) m.data_source = data_source_remote;
    if (m.type == MessageTypeV4::lease_unassigned) {
        if (c.faults.unassigned_with_lease_time) m.lease_time = 3600;
        return;
    }
    if (wants(c, lease_time)) m.lease_time = s.expires ? until(c, *s.expires) : infinite_seconds;
    // Absent once past (RFC 4388 §6.4.2).
    if (wants(c, renewal_time) && s.renew_at && until(c, *s.renew_at) > 0) m.renewal_time = until(c, *s.renew_at);
    if (wants(c, rebinding_time) && s.rebind_at && until(c, *s.rebind_at) > 0)
        m.rebinding_time = until(c, *s.rebind_at);
}

}  // namespace

void write_binding_v4(const ReplyContext& c, const UnitState& s, ByteWriter& out) {
    // RFC 6926 §8.3: DHCPLEASEACTIVE if and only if the state is ACTIVE.
    auto m = begin(c, s.held != 0 ? MessageTypeV4::lease_active : MessageTypeV4::lease_unassigned);
    const auto name = c.model.name(s.first_binding);
    m.ciaddr = name.address;
    if (!s.hw_addr.empty()) {
        m.htype = static_cast<std::uint8_t>(s.hw_type);
        m.hlen = static_cast<std::uint8_t>(s.hw_addr.view().size());
        m.chaddr = s.hw_addr.view();
    }
    set_times(c, s, m);
    if (wants(c, client_identifier)) m.client_id = s.client_id.view();
    std::array<std::uint8_t, 160> room{};
    ByteWriter relay(room);
    if (s.relayed && wants(c, relay_agent_information)) {
        write_relay_agent_information(s, c.faults.broken_relay_data, relay);
        m.relay_agent_information = relay.written();
    }
    if (wants(c, host_name)) m.host_name = s.hostname.chars();
    std::array<RawOptionV4, 1> extra;
    if (wants(c, vendor_class) && !s.vendor_class.empty()) {
        extra[0] = {static_cast<std::uint8_t>(vendor_class), s.vendor_class.view()};
        m.options = extra;
    }
    // RFC 6926 §8.2: for any other than the default VPN it MUST appear.
    const auto vss = vss_of(name.vpn);
    m.associated_ip = c.request.associated_ip;
    if (name.vpn != 0) m.vss = VssV4{vss.type, vss.info()};
    encode_v4(m, out, c.faults.layout);
}

void write_none_v4(const ReplyContext& c, MessageTypeV4 type, ByteWriter& out) {
    auto m = begin(c, type);
    const auto& q = c.request;
    if (!c.personality.udp_echoes) m.server_identifier.reset();
    std::array<std::uint8_t, 300> room{};
    ByteWriter relay(room);
    switch (q.kind) {
        case QueryKind::address:
            m.ciaddr = IpAddress::from_bytes(q.id);
            break;
        case QueryKind::hw_addr:
            m.htype = q.hw_type;
            m.hlen = static_cast<std::uint8_t>(q.id.size());
            m.chaddr = q.id;
            break;
        case QueryKind::client_id:
            if (c.personality.udp_echoes) m.client_id = q.id;
            break;
        case QueryKind::remote_id:  // RFC 6148 §4.3: option 82 MUST be echoed
            relay.u8(static_cast<std::uint8_t>(RelaySubOptionV4::remote_id));
            relay.u8(static_cast<std::uint8_t>(q.id.size()));
            relay.bytes(q.id);
            m.relay_agent_information = relay.written();
            break;
        case QueryKind::all:
        case QueryKind::relay_id:
        case QueryKind::link:
            break;
    }
    encode_v4(m, out, c.faults.layout);
}

void write_status_v4(const ReplyContext& c, MessageTypeV4 type, std::optional<StatusCode> status, std::string_view text,
                     bool always_base_time, ByteWriter& out) {
    auto m = begin(c, type);
    if (c.faults.nul_in_status) text = "status\0with NUL"sv;
    if (status) m.status = make_status_v4(*status, text);
    // Kea's DONE has no base-time.
    const bool asked = wants(c, base_time) && !c.personality.v4_times_only;
    if (asked || always_base_time) m.base_time = c.faults.base_time.value_or(c.model.server_now(c.at));
    encode_v4(m, out, c.faults.layout);
}

}  // namespace leasemirror::leasesim
