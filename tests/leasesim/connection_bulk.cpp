// Bulk queries: RFC 6926 §8.2, RFC 5460 §7.2; and refusals of any query.
#include "tests/leasesim/connection_impl.hpp"

#include <algorithm>

namespace leasemirror::leasesim {

namespace {

constexpr int units_per_look = 20'000;  // between two looks at the clock, when nothing matches

std::uint8_t all_of(const UnitState& s) {
    return static_cast<std::uint8_t>((1U << s.size) - 1U);
}

}  // namespace

ReplyContext ModelConnection::Impl::context(UtcMillis at, const MessageFaults& faults) {
    const auto& p = server.options().personality;
    const bool tells_server_id = p.late_identity ? replies == 1 : first;
    return ReplyContext{server.model(), p, server.server_id(), request, at, first, tells_server_id, faults};
}

void ModelConnection::Impl::refuse(const Refusal& r, UtcMillis now) {
    request = Request{};
    request.xid = r.xid;
    request.requestor = r.requestor;
    const auto faults = message_faults(false, true, false, now);
    emit(now, [&](ByteWriter& w) {
        const auto c = context(now, faults);
        if (v4()) {
            const auto type = r.active ? MessageTypeV4::lease_query_status : MessageTypeV4::lease_query_done;
            write_status_v4(c, type, r.status, r.text, false, w);
        } else {
            write_status_v6(c, MessageTypeV6::lease_query_reply, r.status, r.text, false, w);
        }
    });
    if (r.close) close(false);
}

void ModelConnection::Impl::start_bulk(Request q, UtcMillis now) {
    ++server.stats_.bulk_queries;
    request = std::move(q);
    const auto& model = server.model();
    bulk = BulkQueryState{0, model.units(), 1, now, 0};
    if (request.binding) {
        bulk.next_unit = *request.binding < model.bindings() ? model.unit_of(*request.binding) : model.units();
        bulk.end_unit = std::min(bulk.next_unit + 1, model.units());
    } else if (request.link) {
        bulk.next_unit = *request.link;
        bulk.stride = model.options().links;
    }
    state = ConnectionState::bulk;
}

std::uint8_t ModelConnection::Impl::matching(const UnitState& s) const {
    const auto& q = request;
    const auto& p = server.options().personality;
    const auto& model = server.model();
    // RFC 6926 §8.2: only the query for everything shows what is not bound.
    const bool whole = v4() && q.kind == QueryKind::all && p.all_configured && !q.active;
    auto leases = whole || q.active ? all_of(s) : s.held;
    if (leases == 0 || !s.configured) return 0;
    if (v4() && q.vpn && model.name(s.first_binding).vpn != *q.vpn) return 0;
    if (q.link && model.link_of(s.unit) != *q.link) return 0;
    if (q.binding) {
        if (*q.binding < s.first_binding || *q.binding >= s.first_binding + s.size) return 0;
        const auto asked = static_cast<std::uint8_t>(leases & (1U << (*q.binding - s.first_binding)));
        // RFC 5007 §4.1.2.2: it MUST return all of the client's leases on that link.
        leases = p.all_leases_together && asked != 0 ? leases : asked;
    }
    const auto is = [&](ByteView id) { return std::ranges::equal(id, q.id); };
    switch (q.kind) {
        case QueryKind::all:
        case QueryKind::address:
        case QueryKind::link:
            break;
        case QueryKind::client_id:
            if (!is(s.client_id.view())) return 0;
            break;
        case QueryKind::hw_addr:
            if (!is(s.hw_addr.view()) || s.hw_type != q.hw_type) return 0;
            break;
        case QueryKind::relay_id:
            if (!s.relayed || !is(s.relay_id.view())) return 0;
            break;
        case QueryKind::remote_id:
            if (!s.relayed || !is(s.remote_id.view())) return 0;
            break;
    }
    if (q.active || (!q.window.start && !q.window.end)) return leases;
    if (p.v4_times_only && s.last_seen) {  // Kea looks at the client's last transaction alone
        const auto stamp = model.stamp(s, *s.last_seen);
        const bool within = (!q.window.start || stamp >= *q.window.start) && (!q.window.end || stamp <= *q.window.end);
        return within ? leases : 0;
    }
    if (!model.changed_in(s, q.window)) return 0;
    return leases;
}

ModelConnection::Impl::Step ModelConnection::Impl::produce_bulk(UtcMillis now) {
    if (now < allowed_at(bulk.began, bulk.sent)) return Step::idle;
    const auto& model = server.model();
    for (int looked = 0; bulk.next_unit < bulk.end_unit; ++looked) {
        if (looked == units_per_look) return Step::more;
        model.state_of(bulk.next_unit, now, unit);
        bulk.next_unit += bulk.stride;
        const auto leases = matching(unit);
        if (leases == 0) continue;
        send_change(unit, 0, now, now);
        return Step::made;
    }
    const auto& p = server.options().personality;
    const bool tells_success = p.success == SuccessStatus::in_done && !v4();
    finish_bulk(tells_success ? std::optional(StatusCode::success) : std::nullopt, "", false, now);
    return Step::made;
}

void ModelConnection::Impl::finish_bulk(std::optional<StatusCode> status, std::string_view text, bool always_base_time,
                                        UtcMillis now) {
    const auto faults = message_faults(false, status.has_value(), false, now);
    emit(now, [&](ByteWriter& w) {
        const auto c = context(now, faults);
        if (v4()) return write_status_v4(c, MessageTypeV4::lease_query_done, status, text, always_base_time, w);
        // RFC 5460 §7.2: nothing found is a LEASEQUERY-REPLY alone, and no LEASEQUERY-DONE follows.
        if (first && !status && server.options().personality.success == SuccessStatus::in_reply)
            return write_status_v6(c, MessageTypeV6::lease_query_reply, StatusCode::success, "no active leases", false,
                                   w);
        const bool found = !first;
        write_status_v6(c, found ? MessageTypeV6::lease_query_done : MessageTypeV6::lease_query_reply,
                        found || status != StatusCode::success ? status : std::nullopt, text, always_base_time, w);
    });
    last_activity = now;
    if (state == ConnectionState::bulk) state = ConnectionState::awaiting;
}

}  // namespace leasemirror::leasesim
