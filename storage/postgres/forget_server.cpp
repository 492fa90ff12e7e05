// Removing what one server has left in a PostgreSQL database, beside agents at work: in transactions of a few rows.
#include "storage/postgres/history.hpp"
#include "storage/postgres/reader.hpp"
#include "storage/postgres/schema.hpp"

namespace leasemirror {
namespace {

constexpr std::int64_t rows_per_step = 1000;  // removed at one time

constexpr PostgresSql find_sql{"forget_find_server", R"sql(
    SELECT server_id, owner, coalesce((SELECT alive FROM agent_overview AS a WHERE a.name = owner), false)
    FROM server WHERE name = $1 AND forgotten_seq IS NULL FOR NO KEY UPDATE)sql"};

// As if no agent had ever seen it, but for the numbers that count up.
constexpr PostgresSql begin_sql{"forget_begin", R"sql(
    UPDATE server SET phase = 'disabled', owner = NULL, owner_epoch = owner_epoch + 1, epoch = epoch + 1, base_time = NULL,
        server_identity = NULL, fresh_as_of = NULL, coverage = 'partial', clock_skew_ms = NULL, connected_since = NULL,
        last_message_at = NULL, last_full_sync_at = NULL, gaps_open = 0, last_error = NULL, last_error_at = NULL,
        certificate_expires_at = NULL, certificate_days = NULL, active_support = NULL, window_support = NULL,
        support_seen_at = NULL, client_data = NULL, disorder = 0, unreadable = 0, refused = 0, refused_before = 0,
        lacking = 0, lacking_before = 0, known_since = NULL, written_at = NULL, paused_at = NULL, paused_by = NULL,
        resync_asked_at = NULL, resync_asked_by = NULL, last_verify_at = NULL, verify_differences = NULL
    WHERE server_id = $1)sql"};

constexpr PostgresSql lock_server_sql{"forget_server_lock",
                                      "SELECT 1 FROM server WHERE server_id = $1 FOR NO KEY UPDATE"};
constexpr PostgresSql remove_bindings_sql{"forget_server_bindings", R"sql(
    WITH gone AS MATERIALIZED (
        DELETE FROM binding WHERE server_id = $1 AND binding_id IN
            (SELECT binding_id FROM binding WHERE server_id = $1 ORDER BY binding_id LIMIT $2)
        RETURNING *),
    told AS (
        INSERT INTO binding_change (at, server_id, vpn_id, kind, address, prefix_len, change, state, client_id,
                                    expires_at, detail, inferred)
        SELECT now(), server_id, vpn_id, kind, address, prefix_len, 'ended', 'ended', client_id, expires_at,
               jsonb_build_object('end_reason', 'forgotten'), true
        FROM gone WHERE state = 'active' ORDER BY binding_id),
    less AS (
        UPDATE binding_count AS c SET bindings = bindings - g.rows
        FROM (SELECT state, count(*) AS rows FROM gone GROUP BY state) AS g
        WHERE c.server_id = $1 AND c.state = g.state),
    less_in_server AS (
        UPDATE server SET bindings = bindings - (SELECT count(*) FROM gone WHERE state = 'active'),
            doubts = doubts - (SELECT count(doubt) FROM gone)
        WHERE server_id = $1)
    SELECT count(*), count(*) FILTER (WHERE state = 'active') FROM gone)sql"};

// Of the next rows of all servers: there is no index by server.
constexpr PostgresSql remove_assignments_sql{"forget_server_assignments", R"sql(
    WITH next AS MATERIALIZED (
        SELECT assignment_id, server_id FROM assignment WHERE assignment_id > $2 ORDER BY assignment_id LIMIT $3),
    gone AS (
        DELETE FROM assignment WHERE assignment_id IN (SELECT assignment_id FROM next WHERE server_id = $1) RETURNING 1)
    SELECT (SELECT max(assignment_id) FROM next), (SELECT count(*) FROM gone))sql"};
constexpr PostgresSql remove_quarantine_sql{"forget_server_quarantine", "DELETE FROM quarantine WHERE server_id = $1"};
constexpr PostgresSql remove_gaps_sql{"forget_server_gaps", "DELETE FROM gap WHERE server_id = $1"};
constexpr PostgresSql remove_counts_sql{"forget_server_counts", "DELETE FROM binding_count WHERE server_id = $1"};
constexpr PostgresSql end_sql{"forget_end", R"sql(
    UPDATE server SET forgotten_seq = coalesce((SELECT max(seq) FROM binding_change), 0) WHERE server_id = $1)sql"};

class PostgresForgetServer {
public:
    PostgresForgetServer(const StoreSettings& settings, const std::string& name)
        : connection_(settings, PostgresUse::writing), name_(name) {
        require_current_postgres_schema(connection_);
    }

    ForgottenServer run() {
        return connection_.translated("remove what a server has left", [&] {
            ForgottenServer out;
            if (!begin(out)) return out;
            while (remove_bindings(out)) {
            }
            for (std::int64_t after = 0; remove_assignments(after, out);) {
            }
            finish(out);
            return out;
        });
    }

private:
    Parameters of_server() const { return Parameters().number(server_); }

    bool begin(ForgottenServer& out) {
        PostgresTransaction transaction(connection_);
        const auto found = transaction.run(find_sql, Parameters().text(name_));
        out.known = !found.empty();
        if (!out.known) return false;
        Fields fields(found[0]);
        server_ = fields.number();
        const auto owner = std::string(fields.text());
        if (fields.flag()) out.worked_by = owner;
        if (!out.worked_by.empty()) return false;
        transaction.run(begin_sql, of_server());
        transaction.commit();
        return true;
    }

    /// False: there was none.
    bool remove_bindings(ForgottenServer& out) {
        PostgresTransaction transaction(connection_);
        transaction.run(lock_server_sql, of_server());
        PostgresFeed feed(transaction);
        feed.lock();
        const auto gone = transaction.run(remove_bindings_sql, of_server().number(rows_per_step));
        feed.notify();
        transaction.commit();
        Fields fields(gone[0]);
        const auto removed = static_cast<std::uint64_t>(fields.number());
        out.bindings += removed;
        out.ended += static_cast<std::uint64_t>(fields.number());
        return removed > 0;
    }

    bool remove_assignments(std::int64_t& after, ForgottenServer& out) {
        PostgresTransaction transaction(connection_);
        const auto gone = transaction.run(remove_assignments_sql, of_server().number(after).number(10 * rows_per_step));
        transaction.commit();
        Fields fields(gone[0]);
        const auto last = fields.number_if_any();
        out.assignments += static_cast<std::uint64_t>(fields.number());
        after = last.value_or(after);
        return last.has_value();
    }

    void finish(ForgottenServer& out) {
        PostgresTransaction transaction(connection_);
        out.quarantined =
            static_cast<std::uint64_t>(transaction.run(remove_quarantine_sql, of_server()).affected_rows());
        transaction.run(remove_gaps_sql, of_server());
        transaction.run(remove_counts_sql, of_server());
        transaction.run(end_sql, of_server());
        transaction.commit();
    }

    PostgresConnection connection_;
    const std::string name_;
    ServerId server_ = 0;
};

}  // namespace

ForgottenServer forget_postgres_server(const StoreSettings& settings, const std::string& server) {
    return PostgresForgetServer(settings, server).run();
}

}  // namespace leasemirror
