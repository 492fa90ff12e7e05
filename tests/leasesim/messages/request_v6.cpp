// LEASEQUERY over TCP (RFC 5007 §4.4.1, RFC 5460 §7.2), ACTIVELEASEQUERY and STARTTLS (RFC 7653 §9).
#include "tests/leasesim/messages/request.hpp"

#include <algorithm>

namespace leasemirror::leasesim {

namespace {

void want(ByteView option_request, std::bitset<256>& wanted) {
    ByteReader in(option_request);
    while (in.remaining() >= 2)
        if (const auto code = in.u16(); code < wanted.size()) wanted.set(code);
}

Refusal refuse(const Request& q, StatusCode status, std::string_view text) {
    Refusal r;
    r.active = q.active;
    r.xid = q.xid;
    r.status = status;
    r.text = text;
    r.close = q.active;  // RFC 7653 §9.3
    r.requestor = q.requestor;
    return r;
}

Asked with_id(Request q, QueryKind kind, ByteView id, std::string_view missing) {
    if (id.empty()) return refuse(q, StatusCode::malformed_query, missing);
    q.kind = kind;
    q.id.assign(id.begin(), id.end());
    return q;
}

Asked read_lq_query(const LqQueryV6& query, const LeaseModel& model, const Personality& p, Request q) {
    q.filtered = true;
    const bool by_address = query.type == QueryTypeV6::by_address;
    if (!(by_address && p.link_of_address_ignored) && !query.link_address.is_unspecified()) {
        q.link = model.find_link(query.link_address);
        if (!q.link) return refuse(q, StatusCode::not_configured, "not a configured link");
    }
    switch (query.type) {
        case QueryTypeV6::by_address:
            if (!query.address) return refuse(q, StatusCode::malformed_query, "no IAADDR");
            if (!model.find_link(query.address->address))
                return refuse(q, StatusCode::not_configured, "address not on a configured link");
            q.kind = QueryKind::address;
            // An address on a link, yet not one of ours: nothing is found (binding number N does not exist).
            q.binding = model.find(query.address->address).value_or(model.bindings());
            return q;
        case QueryTypeV6::by_client_id:
            return with_id(std::move(q), QueryKind::client_id, query.client_id, "no CLIENTID");
        case QueryTypeV6::by_relay_id:
            return with_id(std::move(q), QueryKind::relay_id, query.relay_id, "no RELAY_ID");
        case QueryTypeV6::by_remote_id:
            return with_id(std::move(q), QueryKind::remote_id, query.remote_id, "no REMOTE_ID");
        case QueryTypeV6::by_link_address:
            if (!q.link) return refuse(q, StatusCode::malformed_query, "no link-address");
            q.kind = QueryKind::link;
            return q;
    }
    return refuse(q, StatusCode::unknown_query_type, "unknown query type");
}

Asked discard(const Personality& p) {
    if (p.closes_on_discard) return CloseNow{};
    return Discard{};
}

Asked read_query(const MessageV6& m, const LeaseModel& model, const Personality& p, ByteView server_id) {
    Request q;
    q.xid = m.xid;
    q.active = m.type == MessageTypeV6::active_lease_query;
    q.requestor.assign(m.client_id.begin(), m.client_id.end());
    if (!p.ignores_times) q.window = {m.start_time, m.end_time};
    want(m.option_request, q.wanted);
    if (m.query) want(m.query->option_request, q.wanted);
    if (p.ignores_times) q.wanted.reset(static_cast<std::size_t>(OptionCodeV6::lq_base_time));
    if (p.relay_data_unasked) q.wanted.set(static_cast<std::size_t>(OptionCodeV6::lq_relay_data));
    if (q.active && p.on_active == OnActive::close) return CloseNow{};
    if (q.active && p.on_active == OnActive::refuse)
        return refuse(q, StatusCode::not_supported, "active leasequery is not supported");
    if (q.active && p.on_active == OnActive::not_allowed)
        return refuse(q, StatusCode::not_allowed, "active leasequery is not allowed to you");
    if (m.client_id.empty()) return discard(p);
    if (!m.server_id.empty() && !std::ranges::equal(m.server_id, server_id)) return discard(p);
    if (q.active && m.end_time) return refuse(q, StatusCode::malformed_query, "OPTION_LQ_END_TIME in an active query");
    if (m.query) return read_lq_query(*m.query, model, p, std::move(q));
    if (!q.active) return discard(p);
    return q;
}

}  // namespace

Asked read_request_v6(ByteView message, ScratchV6& scratch, const LeaseModel& model, const Personality& p,
                      ByteView server_id) {
    const auto decoded = decode_v6(message, scratch);
    if (decoded) {
        switch (decoded->type) {
            case MessageTypeV6::lease_query:
            case MessageTypeV6::active_lease_query:
                return read_query(*decoded, model, p, server_id);
            case MessageTypeV6::start_tls:
                return Upgrade{decoded->xid};
            case MessageTypeV6::reply:
            case MessageTypeV6::relay_forward:
            case MessageTypeV6::lease_query_reply:
            case MessageTypeV6::lease_query_done:
            case MessageTypeV6::lease_query_data:
                return CloseNow{};
        }
    }
    ByteReader in(message);
    const MessageTypeV6 type{in.u8()};
    if (type != MessageTypeV6::lease_query && type != MessageTypeV6::active_lease_query) return CloseNow{};
    Request q;
    q.active = type == MessageTypeV6::active_lease_query;
    q.xid = in.u24();
    return refuse(q, StatusCode::malformed_query, "the message cannot be read");
}

}  // namespace leasemirror::leasesim
