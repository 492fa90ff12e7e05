#include "storage/postgres/endings.hpp"

#include <limits>

namespace leasemirror {
namespace {

// The rows that this run listed, nearly all, are passed over before any scope is looked at. What may have been in a reply
// that could not be read does not end. bool_and: of all the scopes that it belongs to; NULL where it belongs to none.
const std::string choose_unlisted_text = "SELECT b.binding_id, b.doubt IS NOT NULL FROM binding AS b WHERE " +
                                         in_range_text() + " AND " + seen_run_text() + R"sql( < $3
      AND (b.epoch < $4 OR b.base_time <= $5) AND ($6 OR b.vpn_id = '')
      AND NOT ($7 AND $17 AND )sql" + seen_run_text() +
                                         R"sql( < $8)
      AND coalesce((SELECT bool_and(NOT s.unread)
                    FROM unnest($9::bigint[], $10::bytea[], $11::bytea[], $12::bigint[], $13::boolean[])
                        AS s (scope, relay_id, remote_id, run, unread)
                    WHERE )sql" + seen_run_text() +
                                         R"sql( < s.run
                      AND (b.scope = s.scope OR b.relay_id = s.relay_id OR b.remote_id = s.remote_id)),
                   $7 AND )sql" + seen_run_text() +
                                         R"sql( < $8)
    ORDER BY b.binding_id LIMIT $18)sql";
const PostgresSql choose_unlisted_sql{"choose_unlisted", choose_unlisted_text};

// One look at the rows serves all three tables. When holds end: by the rules in ledger/ledger.hpp; `detail` as the ledger tells
// an end: what changed, and all times. What a full bulk ends also takes over its age ($5, $6, $7), so that an older
// message that arrives later does not bring it back, and it settles the doubt; what expires stays in doubt ($8).
constexpr PostgresSql end_sql{"end_bindings", R"sql(
    WITH chosen AS MATERIALIZED (
        SELECT b.*, greatest(b.boundary_at, least($4::timestamptz, b.expires_at)) AS hold_ended_at
        FROM (SELECT $1::bigint AS server_id, unnest($2::bigint[]) AS binding_id OFFSET 0) AS n
             JOIN binding AS b ON b.server_id = n.server_id AND b.binding_id = n.binding_id),
    ended_binding AS (
        UPDATE binding AS b SET state = 'ended', end_reason = $3, doubt = CASE WHEN $8 THEN b.doubt END, updated_at = $4, assignment_id = NULL,
            boundary_at = c.hold_ended_at, epoch = coalesce($5, b.epoch), base_time = coalesce($6, b.base_time),
            via = coalesce($7, b.via)
        FROM chosen AS c WHERE b.server_id = c.server_id AND b.binding_id = c.binding_id),
    ended_assignment AS (
        UPDATE assignment AS a SET ended_at = c.hold_ended_at, end_reason = $3, ended_inferred = true
        FROM chosen AS c WHERE a.assignment_id = c.assignment_id)
    INSERT INTO binding_change (at, server_id, vpn_id, kind, address, prefix_len, change, state, client_id, expires_at,
        detail, inferred)
    SELECT $4, server_id, vpn_id, kind, address, prefix_len, 'ended', 'ended', client_id, expires_at,
           jsonb_build_object('end_reason', $3::text,
               'client_last_seen', utc_text(client_last_seen), 'state_since', utc_text(state_since),
               'preferred_until', utc_text(preferred_until), 'renew_at', utc_text(renew_at),
               'rebind_at', utc_text(rebind_at)), true
    FROM chosen ORDER BY binding_id)sql"};

Parameters chosen(ServerId server, const BindingIds& ids, EndReason reason, UtcSeconds now) {
    ArrayParameter list;
    for (const auto id : ids)
        list.number(id);
    Parameters out;
    out.number(server).array(list).text(to_string(reason)).time(now);
    return out;
}

}  // namespace

std::string in_range_text() {
    return "b.server_id = $1 AND b.binding_id > $2 AND b.binding_id <= $14 AND b.state = 'active'";
}

// CASE: no other order of evaluation may ask for a bit that is not there.
std::string seen_run_text() {
    return "greatest(b.seen_run, CASE WHEN b.binding_id > $2 AND b.binding_id <= $14 THEN CASE get_bit($15::bytea, "
           "b.binding_id - $2 - 1) WHEN 1 THEN $16::bigint END END)";
}

MarkedRange range_behind(const BatchContext& context, std::int64_t after) {
    if (context.marks != nullptr) return context.marks->range(context.server, after);
    return {after, std::numeric_limits<std::int64_t>::max(), {}, 0};
}

bool is_last(const MarkedRange& range) {
    return range.last == std::numeric_limits<std::int64_t>::max();
}

ArrayParameters scopes_of(const Reconcile& reconcile) {
    ArrayParameters out(5);
    for (const auto& scope : reconcile.scopes) {
        out.begin_row();
        out.next().number(scope.id == 0 ? std::nullopt : std::optional<std::int64_t>(scope.id));
        out.next().bytes_or_null(scope.relay_id);
        out.next().bytes_or_null(scope.remote_id);
        out.next().number(static_cast<std::int64_t>(reconcile.run_of(scope)));
        out.next().flag(scope.unread);
    }
    return out;
}

Parameters unlisted_by(const BatchContext& context, const Reconcile& reconcile, const MarkedRange& range,
                       ArrayParameters scopes) {
    Parameters out;
    out.number(context.server).number(range.after).number(static_cast<std::int64_t>(reconcile.latest_run()));
    out.number(context.epoch).time(reconcile.listed_from).flag(reconcile.all_vpns).flag(reconcile.everything);
    out.number(static_cast<std::int64_t>(reconcile.run)).arrays(scopes);
    out.number(range.last).bytes_or_null(range.bits).number(range.run);
    return out;
}

Unlisted choose_unlisted(PostgresTransaction& transaction, const BatchContext& context, const Reconcile& reconcile,
                         std::int64_t after) {
    const auto scopes = scopes_of(reconcile);
    Unlisted out;
    for (auto range = range_behind(context, after);; range = range_behind(context, range.last)) {
        auto parameters = unlisted_by(context, reconcile, range, scopes);
        parameters.flag(reconcile.unread).number(static_cast<std::int64_t>(ended_at_once_max - out.ids.size()));
        for (const auto& row : transaction.run(choose_unlisted_sql, parameters)) {
            Fields fields(row);
            out.ids.push_back(fields.number());
            out.doubts += fields.flag() ? 1 : 0;
        }
        if (out.ids.size() == ended_at_once_max || is_last(range)) return out;
    }
}

void end_unlisted(PostgresTransaction& transaction, PostgresFeed& feed, const BatchContext& context,
                  const Reconcile& reconcile, const BindingIds& ids) {
    if (ids.empty()) return;
    feed.lock();
    auto parameters = chosen(context.server, ids, EndReason::reconciled, context.now);
    parameters.number(context.epoch).time(reconcile.listed_from).text(to_string(Via::bulk)).flag(false);
    transaction.run(end_sql, parameters);
}

void end_expired(PostgresTransaction& transaction, PostgresFeed& feed, ServerId server, UtcSeconds now,
                 const BindingIds& ids) {
    if (ids.empty()) return;
    feed.lock();
    auto parameters = chosen(server, ids, EndReason::expired, now);
    transaction.run(end_sql, parameters.null().null().null().flag(true));
}

}  // namespace leasemirror
