// DHCPBULKLEASEQUERY (RFC 6926 §8.2), DHCPACTIVELEASEQUERY (RFC 7724 §8.2), DHCPTLS (RFC 7724 §8.1).
#include "tests/leasesim/messages/reply_parts.hpp"
#include "tests/leasesim/messages/request.hpp"

#include <algorithm>

namespace leasemirror::leasesim {

namespace {

constexpr std::int64_t kea_time_max = 0x80000000;  // Kea 3.3.1

Refusal refuse(const MessageV4& m, StatusCode status, std::string_view text) {
    Refusal r;
    r.active = m.type == MessageTypeV4::active_lease_query;
    r.xid = m.xid;
    r.status = status;
    r.text = text;
    return r;
}

/// How many primary queries there are (RFC 6926 §8.2), the last of them in `out`.
int read_keys(const MessageV4& m, Request& out) {
    int keys = 0;
    const auto key = [&](QueryKind kind, ByteView id) {
        ++keys;
        out.kind = kind;
        out.id.assign(id.begin(), id.end());
    };
    if (m.hlen != 0 || m.htype != 0) {
        key(QueryKind::hw_addr, m.chaddr);
        out.hw_type = m.htype;
    }
    if (!m.client_id.empty()) key(QueryKind::client_id, m.client_id);
    const auto relay = decode_relay_agent_information(m.relay_agent_information);
    if (!relay.remote_id.empty()) key(QueryKind::remote_id, relay.remote_id);
    if (!relay.relay_id.empty()) key(QueryKind::relay_id, relay.relay_id);
    return keys;
}

/// False for a VPN that is not configured: nothing is found there.
bool read_vpn(const MessageV4& m, unsigned vpns, const Personality& p, Request& out) {
    if (p.all_vpns == AllVpns::ignore) return true;
    if (!m.vss || m.vss->type == static_cast<std::uint8_t>(VssType::global)) return true;
    if (m.vss->type == static_cast<std::uint8_t>(VssType::all_vpns)) {
        out.vpn.reset();
        return true;
    }
    for (unsigned vpn = 1; vpn <= vpns; ++vpn) {
        const auto vss = vss_of(vpn);
        if (vss.type != m.vss->type || !std::ranges::equal(vss.info(), m.vss->info)) continue;
        out.vpn = vpn;
        return true;
    }
    return false;
}

bool kea_refuses_times(const QueryWindow& w) {
    const auto too_late = [](const std::optional<ServerTime>& t) { return t && unix_seconds(*t) >= kea_time_max; };
    return too_late(w.start) || too_late(w.end) || (w.start && w.end && *w.start > *w.end);
}

Asked read_bulk(const MessageV4& m, const LeaseModel& model, const Personality& p, Request out) {
    if (!m.ciaddr.is_unspecified() || !m.yiaddr.is_unspecified() || !m.siaddr.is_unspecified())
        return refuse(m, StatusCode::malformed_query, "ciaddr, yiaddr and siaddr must be zero");
    if (decode_relay_agent_information(m.relay_agent_information).fault)
        return refuse(m, StatusCode::malformed_query, "option 82 cannot be read");
    const auto keys = read_keys(m, out);
    if (keys > 1)
        return refuse(m, p.several_keys_are_malformed ? StatusCode::malformed_query : StatusCode::not_allowed,
                      "more than one primary query");
    if (m.vss && !p.vpn) return refuse(m, StatusCode::not_allowed, "VPN-ID is not supported");
    const bool all_vpns = m.vss && m.vss->type == static_cast<std::uint8_t>(VssType::all_vpns);
    if (all_vpns && p.all_vpns == AllVpns::refuse)
        return refuse(m, StatusCode::not_allowed, "a query for all VPNs is not supported");
    if (keys == 0 && !p.all_configured)
        return refuse(m, StatusCode::not_allowed, "query for all configured addresses is not supported");
    if (p.v4_times_only && kea_refuses_times(out.window))
        return refuse(m, StatusCode::malformed_query, "invalid query times");
    if (!read_vpn(m, model.options().vpns, p, out)) out.vpn = model.options().vpns + 1;
    return out;
}

/// RFC 7724 §7.3: no ciaddr, no chaddr, no client-id; no query types at all (§4).
Asked read_active(const MessageV4& m, const Personality& p, Request out) {
    if (p.on_active == OnActive::not_allowed) {
        auto not_allowed = refuse(m, StatusCode::not_allowed, "active leasequery is not allowed to you");
        not_allowed.close = true;
        return not_allowed;
    }
    if (p.on_active != OnActive::serve) return CloseNow{};
    auto refusal = refuse(m, StatusCode::malformed_query, "query-end-time in an active query");
    refusal.close = true;
    if (m.query_end_time) return refusal;
    Request ignored;
    refusal.text = "an active query has no primary query";
    if (read_keys(m, ignored) > 0 || !m.ciaddr.is_unspecified()) return refusal;
    out.active = true;
    out.vpn.reset();
    return out;
}

void want(const MessageV4& m, const Personality& p, std::bitset<256>& wanted) {
    for (const auto code : m.parameter_request_list)
        wanted.set(code);
    // Without a list: what RFC 4388 §6.4.2 has a server return, and Kea always does.
    using enum OptionCodeV4;
    if (!m.parameter_request_list.empty() && !p.v4_times_only) return;
    wanted.reset();
    for (const auto code : {lease_time, client_identifier, relay_agent_information, client_last_transaction_time})
        wanted.set(static_cast<std::size_t>(code));
    if (p.v4_times_only)
        for (const auto code : {base_time, renewal_time, rebinding_time})
            wanted.set(static_cast<std::size_t>(code));
}

}  // namespace

Asked read_request_v4(ByteView message, ScratchV4& scratch, const LeaseModel& model, const Personality& p) {
    const auto decoded = decode_v4(message, scratch);
    if (!decoded) {
        ByteReader in(message);
        (void)in.u32();
        Refusal r;
        r.xid = in.u32();
        r.text = "the message cannot be read";
        r.close = true;
        return r;
    }
    const auto& m = *decoded;
    Request out;
    out.xid = m.xid;
    out.window = {m.query_start_time, m.query_end_time};
    want(m, p, out.wanted);
    switch (m.type) {
        case MessageTypeV4::bulk_lease_query:
            return read_bulk(m, model, p, std::move(out));
        case MessageTypeV4::active_lease_query:
            return read_active(m, p, std::move(out));
        case MessageTypeV4::tls:
            return Upgrade{m.xid};
        case MessageTypeV4::lease_query:
        case MessageTypeV4::lease_unassigned:
        case MessageTypeV4::lease_unknown:
        case MessageTypeV4::lease_active:
        case MessageTypeV4::lease_query_done:
        case MessageTypeV4::lease_query_status:
            return CloseNow{};
    }
    return CloseNow{};
}

std::optional<Request> read_datagram_v4(ByteView message, ScratchV4& scratch, const LeaseModel& model,
                                        const Personality& p, ByteView server_id) {
    const auto decoded = decode_v4(message, scratch);
    if (!decoded || decoded->type != MessageTypeV4::lease_query ||
        decoded->op != static_cast<std::uint8_t>(OpV4::boot_request))
        return std::nullopt;
    const auto& m = *decoded;
    if (m.giaddr.is_unspecified()) return std::nullopt;  // RFC 4388 §6.4.3: it MUST NOT be answered
    if (m.server_identifier && !std::ranges::equal(m.server_identifier->bytes(), server_id)) return std::nullopt;
    Request out;
    out.xid = m.xid;
    out.giaddr = m.giaddr;
    want(m, p, out.wanted);
    // Options of RFC 6926, for bulk queries.
    using enum OptionCodeV4;
    for (const auto code : {base_time, start_time_of_state, dhcp_state, data_source})
        out.wanted.reset(static_cast<std::size_t>(code));
    auto keys = read_keys(m, out);
    if (keys > 0 && (out.kind == QueryKind::relay_id || (out.kind == QueryKind::remote_id && p.udp_echoes)))
        return std::nullopt;  // RFC 6148 §4: who does not know it SHOULD simply not respond
    if (!m.ciaddr.is_unspecified()) {
        ++keys;
        out.kind = QueryKind::address;
        const auto address = m.ciaddr.bytes();
        out.id.assign(address.begin(), address.end());
    }
    if (keys != 1 || (m.vss && !p.vpn)) return std::nullopt;
    if (!read_vpn(m, model.options().vpns, p, out)) out.vpn = model.options().vpns + 1;
    if (!out.vpn) return std::nullopt;  // all VPNs: a question of bulk (RFC 6607 §3.5)
    if (*out.vpn > model.options().vpns) return out;
    if (const auto first = model.find(m.ciaddr); first && *first + *out.vpn < model.bindings())
        out.binding = *first + *out.vpn;
    return out;
}

}  // namespace leasemirror::leasesim
