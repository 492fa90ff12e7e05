#include "storage/sqlite/clock.hpp"

namespace leasemirror {
namespace {

// What has ended stays where it is written down, in the feed too, and so do bindings that are not in force. So an open
// assignment that moves back does not move to before the end of the one before it: there it is a bound.
constexpr const char* assignments_sql = R"sql(
    UPDATE assignment SET began_at = m.began_at, began_inferred = began_inferred | (m.began_at <> m.wanted),
        inferred = inferred | (m.began_at <> m.wanted)
    FROM (SELECT o.assignment_id, o.began_at + ?2 AS wanted,
                 max(o.began_at + ?2,
                     coalesce((SELECT max(p.ended_at) FROM assignment AS p INDEXED BY assignment_address
                               WHERE p.address = o.address AND p.kind = o.kind AND p.prefix_len = o.prefix_len
                                 AND p.vpn_id = o.vpn_id AND p.server_id = o.server_id),
                              o.began_at + ?2)) AS began_at
          FROM binding AS b INDEXED BY binding_server CROSS JOIN assignment AS o ON o.assignment_id = b.assignment_id
          WHERE b.server_id = ?1) AS m
    WHERE assignment.assignment_id = m.assignment_id)sql";

constexpr const char* bindings_sql = R"sql(
    UPDATE binding INDEXED BY binding_server SET client_last_seen = client_last_seen + ?2,
        state_since = state_since + ?2, expires_at = expires_at + ?2, preferred_until = preferred_until + ?2,
        renew_at = renew_at + ?2, rebind_at = rebind_at + ?2,
        boundary_at = coalesce((SELECT began_at FROM assignment AS a WHERE a.assignment_id = binding.assignment_id),
                               boundary_at)
    WHERE server_id = ?1 AND state = 'active')sql";

constexpr const char* server_sql = "UPDATE server SET fresh_as_of = fresh_as_of + ?2 WHERE server_id = ?1";

constexpr const char* beginnings_sql = R"sql(
    UPDATE assignment SET began_inferred = 1, inferred = 1
    FROM binding AS b INDEXED BY binding_server
    WHERE b.server_id = ?1 AND b.state = 'active' AND assignment.assignment_id = b.assignment_id
      AND NOT assignment.began_inferred)sql";

constexpr const char* freshness_sql = "UPDATE server SET fresh_as_of = NULL WHERE server_id = ?1";

}  // namespace

SqliteClock::SqliteClock(SQLite::Database& db)
    : assignments_(db, assignments_sql),
      bindings_(db, bindings_sql),
      server_(db, server_sql),
      beginnings_(db, beginnings_sql),
      freshness_(db, freshness_sql) {}

void SqliteClock::move(ServerId server, std::chrono::seconds by) {
    if (by.count() == 0) return;
    for (auto* statement : {&assignments_, &bindings_, &server_}) {
        Use use(*statement);
        use.number(1, server);
        use.number(2, by.count());
        use.run();
    }
}

void SqliteClock::doubt(ServerId server) {
    for (auto* statement : {&beginnings_, &freshness_}) {
        Use use(*statement);
        use.number(1, server);
        use.run();
    }
}

}  // namespace leasemirror
