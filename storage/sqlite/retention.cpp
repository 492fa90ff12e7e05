#include "storage/sqlite/retention.hpp"

#include "storage/ledger/binding_row.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

constexpr const char* bindings_sql = R"sql(
    DELETE FROM binding WHERE binding_id IN
        (SELECT binding_id FROM binding
         WHERE binding_id > ?1 AND binding_id <= ?2 AND state <> 'active' AND updated_at < ?3
           AND server_id IN (SELECT value FROM json_each(?4))
         ORDER BY binding_id LIMIT ?5)
    RETURNING binding_id, server_id, state, doubt IS NOT NULL)sql";

// Only ever from the beginning of the feed, so that a reader can tell by its first `seq` whether it has missed
// anything. A row from a time that is further ahead than rows are kept was written while the clock was wrong: it must
// not hold up all that follow.
constexpr const char* oldest_change_sql = "SELECT seq, at FROM binding_change ORDER BY seq LIMIT 1";
constexpr const char* changes_sql = R"sql(
    DELETE FROM binding_change WHERE seq <
        (WITH oldest AS MATERIALIZED (SELECT seq, at FROM binding_change ORDER BY seq LIMIT ?3)
         SELECT coalesce((SELECT min(seq) FROM oldest WHERE at BETWEEN ?1 AND ?2),
                         (SELECT max(seq) + 1 FROM oldest))))sql";

constexpr const char* servers_due_sql = R"sql(
    SELECT 1 FROM server WHERE forgotten_seq IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM binding_change WHERE seq <= forgotten_seq))sql";
constexpr const char* remove_servers_sql = R"sql(
    DELETE FROM server WHERE forgotten_seq IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM binding_change WHERE seq <= forgotten_seq))sql";

constexpr const char* oldest_assignment_sql =
    "SELECT assignment_id, ended_at FROM assignment WHERE ended_at IS NOT NULL ORDER BY ended_at LIMIT 1";
constexpr const char* assignments_sql = R"sql(
    DELETE FROM assignment WHERE assignment_id IN
        (SELECT assignment_id FROM assignment WHERE ended_at < ?1 ORDER BY ended_at LIMIT ?2))sql";

}  // namespace

SqliteRetention::SqliteRetention(SQLite::Database& db, const Retention& keep)
    : keep_(keep),
      bindings_(db, bindings_sql),
      oldest_change_(db, oldest_change_sql),
      changes_(db, changes_sql),
      servers_due_(db, servers_due_sql),
      remove_servers_(db, remove_servers_sql),
      oldest_assignment_(db, oldest_assignment_sql),
      assignments_(db, assignments_sql) {}

SqliteRetention::RemovedBindings SqliteRetention::remove_bindings(UtcSeconds now, std::int64_t after, std::int64_t last,
                                                                  const std::string& servers) {
    RemovedBindings out;
    out.reached = last;
    if (for_ever(keep_.ended)) return out;
    std::int64_t highest = 0;
    Use use(bindings_);
    use.number(1, after);
    use.number(2, last);
    use.time(3, now - keep_.ended);
    use.text(4, servers);
    use.number(5, static_cast<std::int64_t>(removed_rows_max));
    while (use.step()) {
        highest = std::max(highest, use.number(0));
        auto& counts = out.counts[use.number(1)];
        --counts[state_from_word(use.text(2))];
        counts.doubts -= use.number(3);
        ++out.rows;
    }
    if (out.rows == removed_rows_max) out.reached = highest;
    return out;
}

bool SqliteRetention::changes_due(UtcSeconds now) {
    if (for_ever(keep_.changes)) return false;
    Use use(oldest_change_);
    if (!use.step()) return false;
    const auto at = use.time(1);
    return *at < now - keep_.changes || *at > now + keep_.changes;
}

std::uint64_t SqliteRetention::remove_changes(UtcSeconds now, std::size_t rows) {
    Use use(changes_);
    use.time(1, now - keep_.changes);
    use.time(2, now + keep_.changes);
    use.number(3, static_cast<std::int64_t>(std::min(rows, removed_rows_max)));
    return static_cast<std::uint64_t>(use.run());
}

bool SqliteRetention::servers_due() {
    Use use(servers_due_);
    return use.step();
}

void SqliteRetention::remove_servers() {
    Use use(remove_servers_);
    use.run();
}

bool SqliteRetention::assignments_due(UtcSeconds now) {
    if (for_ever(keep_.assignments)) return false;
    Use use(oldest_assignment_);
    return use.step() && *use.time(1) < now - keep_.assignments;
}

std::uint64_t SqliteRetention::remove_assignments(UtcSeconds now, std::size_t rows) {
    Use use(assignments_);
    use.time(1, now - keep_.assignments);
    use.number(2, static_cast<std::int64_t>(std::min(rows, removed_rows_max)));
    return static_cast<std::uint64_t>(use.run());
}

}  // namespace leasemirror
