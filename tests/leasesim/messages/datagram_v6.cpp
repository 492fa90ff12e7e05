// LEASEQUERY over UDP: RFC 5007 §4.4.
#include "tests/leasesim/messages/datagrams.hpp"

namespace leasemirror::leasesim {

namespace {

/// RFC 5460 §4: the types that it adds MUST be answered with NotAllowed over UDP.
Refusal only_over_tcp(const MessageV6& m, const Personality& p) {
    Refusal r;
    r.xid = m.xid;
    r.requestor.assign(m.client_id.begin(), m.client_id.end());
    r.status = p.udp_bulk_types_unknown ? StatusCode::unknown_query_type : StatusCode::not_allowed;
    r.text = "this query is for bulk leasequery";
    return r;
}

bool is_bulk_type(QueryTypeV6 type) {
    return type == QueryTypeV6::by_relay_id || type == QueryTypeV6::by_link_address ||
           type == QueryTypeV6::by_remote_id;
}

}  // namespace

std::optional<Asked> read_datagram_v6(ByteView message, ScratchV6& scratch, const DatagramContext& c) {
    const auto decoded = decode_v6(message, scratch);
    if (!decoded || decoded->type != MessageTypeV6::lease_query) return std::nullopt;
    const bool valid = !decoded->client_id.empty() && decoded->query;
    if (valid && is_bulk_type(decoded->query->type)) {
        // To another server it would not even be refused.
        const auto& wanted = decoded->server_id;
        if (!wanted.empty() && !std::ranges::equal(wanted, c.server_id)) return std::nullopt;
        return only_over_tcp(*decoded, c.personality);
    }
    auto asked = read_request_v6(message, scratch, c.model, c.personality, c.server_id);
    if (std::holds_alternative<Discard>(asked) || std::holds_alternative<CloseNow>(asked)) return std::nullopt;
    if (auto* q = std::get_if<Request>(&asked)) {
        // RFC 7653 §6.3.1: base-time is for active and bulk queries.
        q->wanted.reset(static_cast<std::size_t>(OptionCodeV6::lq_base_time));
        q->window = {};
    }
    return asked;
}

void answer_datagram_v6(const Asked& asked, const DatagramContext& c, ByteWriter& out) {
    auto manner = c.personality;
    manner.relay_data_outside = manner.relay_data_outside || manner.udp_relay_data_outside;
    const auto context = [&](const Request& q) {
        return ReplyContext{c.model, manner, c.server_id, q, c.now, true, true, c.faults};
    };
    if (const auto* r = std::get_if<Refusal>(&asked)) {
        Request q;
        q.xid = r->xid;
        q.requestor = r->requestor;
        return write_status_v6(context(q), MessageTypeV6::lease_query_reply, r->status, r->text, false, out);
    }
    const auto& q = std::get<Request>(asked);
    const auto found = find_units(q, c.model, c.now);
    const bool tells_success = manner.success == SuccessStatus::in_reply;
    if (found.empty())
        return write_status_v6(context(q), MessageTypeV6::lease_query_reply,
                               tells_success ? std::optional(StatusCode::success) : std::nullopt,
                               tells_success ? "no active leases" : "", false, out);
    // One unit is one client on one link. On one link alone: all of its leases there (RFC 5007 §4.1.2.2).
    if (found.size() == 1)
        return write_client_v6(context(q), MessageTypeV6::lease_query_reply, found.front(), found.front().held, 0, out);
    Bytes links;
    for (const auto& s : found) {
        const auto link = c.model.link_address(c.model.link_of(s.unit));
        const auto octets = link.bytes();
        links.insert(links.end(), octets.begin(), octets.end());
    }
    write_client_links_v6(context(q), links, out);
}

}  // namespace leasemirror::leasesim
