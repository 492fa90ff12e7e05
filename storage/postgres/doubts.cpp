#include "storage/postgres/doubts.hpp"

#include "storage/postgres/endings.hpp"
#include "storage/postgres/error.hpp"

namespace leasemirror {
namespace {

// The parameters are those of unlisted_by() (endings.hpp). Only what is not in doubt yet.
const std::string doubt_unread_text = R"sql(
    WITH marked AS (
        UPDATE binding AS b SET doubt = 'scope_unreadable', epoch = $4, base_time = $5
        WHERE )sql" + in_range_text() +
                                      " AND " + seen_run_text() + R"sql( < $3
          AND b.doubt IS NULL AND (b.epoch < $4 OR b.base_time <= $5) AND ($6 OR b.vpn_id = '')
          AND (($7 AND $17 AND )sql" + seen_run_text() +
                                      R"sql( < $8)
               OR EXISTS (SELECT 1 FROM unnest($9::bigint[], $10::bytea[], $11::bytea[], $12::bigint[], $13::boolean[])
                              AS s (scope, relay_id, remote_id, run, unread)
                          WHERE s.unread AND )sql" +
                                      seen_run_text() + R"sql( < s.run
                            AND (b.scope = s.scope OR b.relay_id = s.relay_id OR b.remote_id = s.remote_id)))
        RETURNING 1)
    SELECT count(*) FROM marked)sql";
const PostgresSql doubt_unread_sql{"doubt_unread", doubt_unread_text};

const std::string doubt_unreached_text = R"sql(
    WITH marked AS (
        UPDATE binding AS b SET doubt = 'unlistable', epoch = $4, base_time = $5
        WHERE )sql" + in_range_text() + " AND " +
                                         seen_run_text() + R"sql( < least($3::bigint, $8::bigint)
          AND b.doubt IS NULL AND (b.epoch < $4 OR b.base_time <= $5)
          AND NOT (($6 OR b.vpn_id = '')
                   AND ($7
                        OR EXISTS (SELECT 1 FROM unnest($9::bigint[], $10::bytea[], $11::bytea[], $12::bigint[],
                                                        $13::boolean[]) AS s (scope, relay_id, remote_id, run, unread)
                                   WHERE b.scope = s.scope OR b.relay_id = s.relay_id OR b.remote_id = s.remote_id)))
        RETURNING 1)
    SELECT count(*) FROM marked)sql";
const PostgresSql doubt_unreached_sql{"doubt_unreached", doubt_unreached_text};

constexpr PostgresSql show_refusal_sql{"show_refusal", R"sql(
    UPDATE binding SET doubt = 'refused', epoch = $3, base_time = $4, seen_run = $5, scope = $6
    WHERE server_id = $1 AND binding_id = $2)sql"};

}  // namespace

std::int64_t doubt_unlisted(PostgresTransaction& transaction, const BatchContext& context, const Reconcile& reconcile) {
    std::int64_t doubts = 0;
    if (!reconcile.doubt_unreached && !reconcile.any_unread()) return doubts;
    const auto scopes = scopes_of(reconcile);
    for (auto range = range_behind(context, 0);; range = range_behind(context, range.last)) {
        auto parameters = unlisted_by(context, reconcile, range, scopes);
        if (reconcile.doubt_unreached) doubts += Fields(transaction.run(doubt_unreached_sql, parameters)[0]).number();
        parameters.flag(reconcile.unread);
        if (reconcile.any_unread()) doubts += Fields(transaction.run(doubt_unread_sql, parameters)[0]).number();
        if (is_last(range)) return doubts;
    }
}

bool show_refusal(PostgresTransaction& transaction, ServerId server, const BindingRow& row) {
    bool shown = true;
    transaction.execute("SAVEPOINT refusal");
    try {
        transaction.run(show_refusal_sql, Parameters()
                                              .number(server)
                                              .number(row.binding_id)
                                              .number(row.age.epoch)
                                              .time(server_time_from_unix(row.age.base_time))
                                              .number(row.seen_run)
                                              .number(row.scope));
    } catch (const pqxx::failure& e) {
        if (!refuses_values(e)) throw;
        shown = false;
    }
    transaction.execute(shown ? "RELEASE refusal" : "ROLLBACK TO refusal; RELEASE refusal");
    return shown;
}

}  // namespace leasemirror
