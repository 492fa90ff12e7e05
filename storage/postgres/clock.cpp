#include "storage/postgres/clock.hpp"

namespace leasemirror {
namespace {

// What has ended stays where it is written down, in the feed too, and so do bindings that are not in force. So an open
// assignment that moves back does not move to before the end of the one before it: there it is a bound.
constexpr PostgresSql move_sql{"move_clock", R"sql(
    WITH moved AS (
        UPDATE assignment AS a SET began_at = m.began_at, began_inferred = a.began_inferred OR m.began_at <> m.wanted
        FROM (SELECT o.assignment_id, o.began_at + $2 * interval '1 s' AS wanted,
                     greatest(o.began_at + $2 * interval '1 s',
                              (SELECT max(p.ended_at + interval '0') FROM assignment AS p
                               WHERE p.address = o.address AND p.kind = o.kind AND p.prefix_len = o.prefix_len
                                 AND p.vpn_id = o.vpn_id AND p.server_id = o.server_id)) AS began_at
              FROM (SELECT assignment_id FROM binding WHERE server_id = $1 AND state = 'active' OFFSET 0) AS b
                   JOIN assignment AS o ON o.assignment_id = b.assignment_id
              OFFSET 0) AS m
        WHERE a.assignment_id = m.assignment_id
        RETURNING a.assignment_id, a.began_at)
    UPDATE binding AS b SET client_last_seen = b.client_last_seen + $2 * interval '1 s',
        state_since = b.state_since + $2 * interval '1 s', expires_at = b.expires_at + $2 * interval '1 s',
        preferred_until = b.preferred_until + $2 * interval '1 s', renew_at = b.renew_at + $2 * interval '1 s',
        rebind_at = b.rebind_at + $2 * interval '1 s', boundary_at = coalesce(m.began_at, b.boundary_at)
    FROM (SELECT i.binding_id, moved.began_at
          FROM (SELECT binding_id, assignment_id FROM binding WHERE server_id = $1 AND state = 'active' OFFSET 0) AS i
               LEFT JOIN moved ON moved.assignment_id = i.assignment_id
          OFFSET 0) AS m
    WHERE b.server_id = $1 AND b.binding_id = m.binding_id)sql"};

constexpr PostgresSql server_sql{
    "move_fresh_as_of", "UPDATE server SET fresh_as_of = fresh_as_of + $2 * interval '1 s' WHERE server_id = $1"};

constexpr PostgresSql beginnings_sql{"doubt_beginnings", R"sql(
    UPDATE assignment AS a SET began_inferred = true
    FROM (SELECT assignment_id FROM binding WHERE server_id = $1 AND state = 'active' OFFSET 0) AS b
    WHERE a.assignment_id = b.assignment_id AND NOT a.began_inferred)sql"};

constexpr PostgresSql freshness_sql{"forget_fresh_as_of", "UPDATE server SET fresh_as_of = NULL WHERE server_id = $1"};

// It joins all of the server's bindings once: a way that is not to be had with what suits the rest of a session.
constexpr const char* join_freely = "SET LOCAL enable_hashjoin TO on";
constexpr const char* as_before = "SET LOCAL enable_hashjoin TO off";

}  // namespace

void move_clock(PostgresTransaction& transaction, ServerId server, std::chrono::seconds by) {
    if (by.count() == 0) return;
    transaction.execute(join_freely);
    transaction.run(move_sql, Parameters().number(server).number(by.count()));
    transaction.execute(as_before);
    transaction.run(server_sql, Parameters().number(server).number(by.count()));
}

void doubt_clock(PostgresTransaction& transaction, ServerId server) {
    transaction.execute(join_freely);
    transaction.run(beginnings_sql, Parameters().number(server));
    transaction.execute(as_before);
    transaction.run(freshness_sql, Parameters().number(server));
}

}  // namespace leasemirror
