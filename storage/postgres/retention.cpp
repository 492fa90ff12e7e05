#include "storage/postgres/retention.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

// The servers come in order, so that the nested loop gives the bindings in theirs, and ends at the limit.
constexpr PostgresSql look_sql{"look_through", R"sql(
    SELECT b.server_id, b.binding_id, b.state = 'active' AND b.expires_at <= $4, b.state <> 'active' AND b.updated_at < $5
    FROM unnest($1::bigint[]) AS s (server_id)
         CROSS JOIN LATERAL
             (SELECT * FROM binding AS o
              WHERE o.server_id = s.server_id AND o.binding_id > CASE WHEN s.server_id = $2 THEN $3 ELSE 0 END
              ORDER BY o.binding_id LIMIT $6) AS b
    LIMIT $6)sql"};

constexpr PostgresSql remove_bindings_sql{"remove_bindings", R"sql(
    DELETE FROM binding AS b
    USING (SELECT $1::bigint AS server_id, unnest($2::bigint[]) AS binding_id OFFSET 0) AS n
    WHERE b.server_id = n.server_id AND b.binding_id = n.binding_id
    RETURNING b.state, b.doubt IS NOT NULL)sql"};

constexpr PostgresSql try_lock_sql{"lock_retention", "SELECT pg_try_advisory_xact_lock($1, $2)"};
constexpr PostgresSql wait_lock_sql{"wait_retention", "SELECT pg_advisory_xact_lock($1, $2)"};
constexpr std::int64_t retention_lock = 0x4c4d4952;  // "LMIR"

// Only ever from the beginning of the feed, so that a reader can tell by its first `seq` whether it has missed
// anything. A row from a time that is further ahead than rows are kept was written while the clock was wrong: it must
// not hold up all that follow.
constexpr PostgresSql changes_due_sql{"changes_due", R"sql(
    SELECT coalesce((SELECT at NOT BETWEEN $1 AND $2 FROM binding_change ORDER BY seq LIMIT 1), false))sql"};
constexpr PostgresSql remove_changes_sql{"remove_changes", R"sql(
    WITH oldest AS MATERIALIZED (SELECT seq, at FROM binding_change ORDER BY seq LIMIT $3),
    gone AS (
        DELETE FROM binding_change WHERE seq <
            (SELECT coalesce(min(seq) FILTER (WHERE at BETWEEN $1 AND $2), max(seq) + 1) FROM oldest)
        RETURNING seq),
    kept AS (
        INSERT INTO meta (name, number) SELECT 'feed_removed_to', max(seq) FROM gone HAVING max(seq) IS NOT NULL
        ON CONFLICT (name) DO UPDATE SET number = greatest(meta.number, excluded.number))
    SELECT count(*) FROM gone)sql"};

// Servers that were forgotten, once the feed has no row of theirs any more.
constexpr PostgresSql remove_servers_sql{"remove_forgotten_servers", R"sql(
    DELETE FROM server WHERE forgotten_seq IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM binding_change WHERE seq <= forgotten_seq))sql"};

constexpr PostgresSql remove_assignments_sql{"remove_assignments", R"sql(
    WITH looked_at AS MATERIALIZED (
        SELECT assignment_id, ended_at FROM assignment WHERE assignment_id > $3 ORDER BY assignment_id LIMIT $2),
    gone AS (
        DELETE FROM assignment WHERE assignment_id IN (SELECT assignment_id FROM looked_at WHERE ended_at < $1)
        RETURNING 1)
    SELECT (SELECT count(*) FROM gone), count(*), max(assignment_id) FROM looked_at)sql"};
/// A round through all of them is made so often in the time that they are kept.
constexpr int rounds_kept = 1000;

bool told_true(const pqxx::result& answer) {
    return Fields(answer[0]).flag();
}

bool alone(PostgresTransaction& transaction) {
    return told_true(
        transaction.run(try_lock_sql, Parameters().number(retention_lock).number(transaction.schema_key())));
}

}  // namespace

SweepPart look_through(PostgresTransaction& transaction, std::span<const ServerId> servers, const SweepPlace& after,
                       UtcSeconds now, std::size_t rows, const Retention& keep) {
    ArrayParameter list;
    for (const auto server : servers)
        if (server >= after.server) list.number(server);
    Parameters parameters;
    parameters.array(list).number(after.server).number(after.binding_id).time(now);
    parameters.time(for_ever(keep.ended) ? std::nullopt : std::optional(now - keep.ended));
    const auto seen = transaction.run(look_sql, parameters.number(static_cast<std::int64_t>(rows)));
    SweepPart part;
    for (const auto& row : seen) {
        Fields fields(row);
        part.reached = {fields.number(), fields.number()};
        auto& share = part.of[part.reached.server];
        if (fields.flag()) share.expired.push_back(part.reached.binding_id);
        if (fields.flag()) share.outlived.push_back(part.reached.binding_id);
    }
    part.around = seen.size() < rows;
    return part;
}

StateCounts remove_bindings(PostgresTransaction& transaction, ServerId server, const BindingIds& ids) {
    StateCounts counts;
    if (ids.empty()) return counts;
    ArrayParameter list;
    for (const auto id : ids)
        list.number(id);
    for (const auto& row : transaction.run(remove_bindings_sql, Parameters().number(server).array(list))) {
        Fields fields(row);
        --counts[state_from_word(fields.text())];
        counts.doubts -= fields.flag() ? 1 : 0;
    }
    return counts;
}

void wait_to_remove_alone(PostgresTransaction& transaction) {
    transaction.run(wait_lock_sql, Parameters().number(retention_lock).number(transaction.schema_key()));
}

std::uint64_t remove_changes(PostgresTransaction& transaction, UtcSeconds now, std::size_t rows,
                             const Retention& keep) {
    transaction.run(remove_servers_sql);
    if (for_ever(keep.changes)) return 0;
    Parameters kept;
    kept.time(now - keep.changes).time(now + keep.changes);
    if (!told_true(transaction.run(changes_due_sql, kept)) || !alone(transaction)) return 0;
    const auto gone = transaction.run(remove_changes_sql, kept.number(static_cast<std::int64_t>(rows)));
    return static_cast<std::uint64_t>(Fields(gone[0]).number());
}

std::uint64_t remove_assignments(PostgresTransaction& transaction, UtcSeconds now, std::size_t rows,
                                 const Retention& keep, AssignmentWalk& walk) {
    if (for_ever(keep.assignments)) return 0;
    const bool clock_went_back = walk.next_round > now + keep.assignments;
    if (walk.reached == 0 && now < walk.next_round && !clock_went_back) return 0;
    if (!alone(transaction)) return 0;
    if (walk.reached == 0) walk.next_round = now + keep.assignments / rounds_kept;
    Parameters parameters;
    parameters.time(now - keep.assignments).number(static_cast<std::int64_t>(rows)).number(walk.reached);
    const auto done = transaction.run(remove_assignments_sql, parameters);
    Fields fields(done[0]);
    const auto gone = static_cast<std::uint64_t>(fields.number());
    const bool around = fields.number() < static_cast<std::int64_t>(rows);
    walk.reached = around ? 0 : fields.number();
    return gone;
}

}  // namespace leasemirror
