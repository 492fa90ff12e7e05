// Removing what one server has left in a SQLite database, beside an agent at work: in transactions of a few rows.
#include "storage/ledger/ownership.hpp"
#include "storage/sqlite/connection.hpp"
#include "storage/sqlite/error.hpp"
#include "storage/sqlite/reader.hpp"
#include "storage/sqlite/schema.hpp"
#include "storage/sqlite/statement.hpp"

#include <SQLiteCpp/Transaction.h>

#include <poll.h>
#include <optional>

namespace leasemirror {
namespace {

constexpr std::int64_t rows_per_step = 500;       // looked at in one transaction
constexpr std::chrono::milliseconds breather{2};  // for a writer that waits: it asks again and again

constexpr const char* find_sql = R"sql(
    SELECT server_id, owner, coalesce((SELECT alive FROM agent_overview WHERE agent_overview.name = owner), 0)
    FROM server WHERE name = ?1 AND forgotten_seq IS NULL)sql";

// As if no agent had ever seen it, but for the numbers that count up.
constexpr const char* begin_sql = R"sql(
    UPDATE server SET phase = 'disabled', owner = NULL, owner_epoch = owner_epoch + 1, epoch = epoch + 1, base_time = NULL,
        server_identity = NULL, fresh_as_of = NULL, coverage = 'partial', clock_skew_ms = NULL, connected_since = NULL,
        last_message_at = NULL, last_full_sync_at = NULL, gaps_open = 0, last_error = NULL, last_error_at = NULL,
        certificate_expires_at = NULL, certificate_days = NULL, active_support = NULL, window_support = NULL,
        support_seen_at = NULL, client_data = NULL, disorder = 0, unreadable = 0, refused = 0, refused_before = 0,
        lacking = 0, lacking_before = 0, known_since = NULL, written_at = NULL, paused_at = NULL, paused_by = NULL,
        resync_asked_at = NULL, resync_asked_by = NULL, last_verify_at = NULL, verify_differences = NULL
    WHERE server_id = ?1)sql";

constexpr const char* tell_sql = R"sql(
    INSERT INTO binding_change (at, server_id, vpn_id, kind, address, prefix_len, change, state, client_id, expires_at,
                                detail, inferred)
    SELECT unixepoch(), server_id, vpn_id, kind, address, prefix_len, 'ended', 'ended', client_id, expires_at,
           json_object('end_reason', 'forgotten'), 1
    FROM binding WHERE binding_id = ?1 AND state = 'active')sql";
// The end of the next rows of all servers: there is no index by server.
constexpr const char* bindings_end_sql =
    "SELECT max(binding_id) FROM (SELECT binding_id FROM binding WHERE binding_id > ?1 ORDER BY binding_id LIMIT ?2)";
constexpr const char* assignments_end_sql =
    "SELECT max(assignment_id) FROM "
    "(SELECT assignment_id FROM assignment WHERE assignment_id > ?1 ORDER BY assignment_id LIMIT ?2)";
constexpr const char* bindings_sql = R"sql(
    SELECT binding_id, state, doubt IS NOT NULL FROM binding
    WHERE binding_id > ?2 AND binding_id <= ?3 AND server_id = ?1)sql";
constexpr const char* remove_binding_sql = "DELETE FROM binding WHERE binding_id = ?1";
constexpr const char* count_sql =
    "UPDATE binding_count SET bindings = bindings - 1 WHERE server_id = ?1 AND state = ?2";
constexpr const char* count_in_server_sql =
    "UPDATE server SET bindings = bindings - ?2, doubts = doubts - ?3 WHERE server_id = ?1";

constexpr const char* assignments_sql =
    "DELETE FROM assignment WHERE assignment_id > ?2 AND assignment_id <= ?3 AND server_id = ?1";

constexpr const char* end_sql = R"sql(
    UPDATE server SET forgotten_seq =
        coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'binding_change'), 0) WHERE server_id = ?1)sql";

class SqliteForgetServer {
public:
    SqliteForgetServer(const std::string& path, const std::string& name) : db_(open_beside_agent(path)), name_(name) {}

    ForgottenServer run() {
        ForgottenServer out;
        if (!begin(out)) return out;
        in_steps(bindings_end_sql, [&](std::int64_t after, std::int64_t last) { remove_bindings(after, last, out); });
        in_steps(assignments_end_sql,
                 [&](std::int64_t after, std::int64_t last) { remove_assignments(after, last, out); });
        finish(out);
        return out;
    }

private:
    /// `work` is given the rows after the first id, up to and with the second.
    template <class Work>
    void in_steps(const char* next_sql, Work work) {
        SQLite::Statement statement(db_, next_sql);
        for (std::int64_t after = 0;;) {
            std::optional<std::int64_t> last;
            {
                Use use(statement);
                use.number(1, after);
                use.number(2, rows_per_step);
                if (use.step()) last = use.number_if_any(0);
            }
            if (!last) return;
            work(after, *last);
            after = *last;
            ::poll(nullptr, 0, static_cast<int>(breather.count()));
        }
    }

    void run_for_server(const char* sql) {
        SQLite::Statement statement(db_, sql);
        Use use(statement);
        use.number(1, server_);
        use.run();
    }

    bool begin(ForgottenServer& out) {
        SQLite::Transaction transaction(db_, SQLite::TransactionBehavior::IMMEDIATE);
        {
            SQLite::Statement find(db_, find_sql);
            Use use(find);
            use.text(1, name_);
            out.known = use.step();
            if (!out.known) return false;
            server_ = use.number(0);
            if (use.number(2) != 0) out.worked_by = use.text(1);
            if (!out.worked_by.empty()) return false;
        }
        run_for_server(begin_sql);
        transaction.commit();
        return true;
    }

    void remove_bindings(std::int64_t after, std::int64_t last, ForgottenServer& out) {
        SQLite::Transaction transaction(db_, SQLite::TransactionBehavior::IMMEDIATE);
        SQLite::Statement look(db_, bindings_sql);
        std::int64_t in_force = 0, doubts = 0;
        {
            Use found(look);
            found.number(1, server_);
            found.number(2, after);
            found.number(3, last);
            while (found.step()) {
                const std::string state(found.text(1));
                in_force += state == "active" ? 1 : 0;
                doubts += found.number(2);
                remove_binding(found.number(0), state);
                ++out.bindings;
            }
        }
        SQLite::Statement count(db_, count_in_server_sql);
        {
            Use use(count);
            use.number(1, server_);
            use.number(2, in_force);
            use.number(3, doubts);
            use.run();
        }
        transaction.commit();
        out.ended += static_cast<std::uint64_t>(in_force);
    }

    void remove_binding(std::int64_t id, const std::string& state) {
        for (const char* sql : {tell_sql, remove_binding_sql}) {
            SQLite::Statement statement(db_, sql);
            Use use(statement);
            use.number(1, id);
            use.run();
        }
        SQLite::Statement count(db_, count_sql);
        Use use(count);
        use.number(1, server_);
        use.text(2, state);
        use.run();
    }

    void remove_assignments(std::int64_t after, std::int64_t last, ForgottenServer& out) {
        SQLite::Transaction transaction(db_, SQLite::TransactionBehavior::IMMEDIATE);
        SQLite::Statement remove(db_, assignments_sql);
        {
            Use use(remove);
            use.number(1, server_);
            use.number(2, after);
            use.number(3, last);
            out.assignments += static_cast<std::uint64_t>(use.run());
        }
        transaction.commit();
    }

    void finish(ForgottenServer& out) {
        SQLite::Transaction transaction(db_, SQLite::TransactionBehavior::IMMEDIATE);
        SQLite::Statement quarantine(db_, "DELETE FROM quarantine WHERE server_id = ?1");
        {
            Use use(quarantine);
            use.number(1, server_);
            out.quarantined = static_cast<std::uint64_t>(use.run());
        }
        run_for_server("DELETE FROM gap WHERE server_id = ?1");
        run_for_server("DELETE FROM binding_count WHERE server_id = ?1");
        run_for_server(end_sql);
        transaction.commit();
    }

    SQLite::Database db_;
    const std::string name_;
    ServerId server_ = 0;
};

}  // namespace

ForgottenServer forget_sqlite_server(const std::string& path, const std::string& server) {
    return translated(path, "remove what a server has left", [&] { return SqliteForgetServer(path, server).run(); });
}

}  // namespace leasemirror
