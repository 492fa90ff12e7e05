// Removing one client's history from a SQLite database, beside an agent at work: what is to go is looked for without
// holding it up, and removed in transactions of a few rows.
#include "storage/ledger/client_trail.hpp"
#include "storage/ledger/stored_text.hpp"
#include "storage/sqlite/connection.hpp"
#include "storage/sqlite/error.hpp"
#include "storage/sqlite/reader.hpp"
#include "storage/sqlite/schema.hpp"
#include "storage/sqlite/statement.hpp"

#include <SQLiteCpp/Transaction.h>

#include <poll.h>
#include <algorithm>
#include <span>

namespace leasemirror {
namespace {

constexpr std::size_t rows_per_step = 200;        // removed at one time
constexpr std::int64_t rows_per_look = 5000;      // of the feed, looked at in one time
constexpr std::chrono::milliseconds breather{2};  // for a writer that waits: it asks again and again
constexpr std::chrono::milliseconds checkpoint_wait{500};

constexpr const char* feed_begin_sql =
    "SELECT coalesce(min(at), 0) FROM (SELECT at FROM binding_change ORDER BY seq LIMIT 1)";

// The last who began before the feed does. When it ended does not matter: its end may have been written later.
constexpr const char* held_then_sql = R"sql(
    SELECT server_id || '|' || vpn_id || '|' || kind || '|' || address || '|' || prefix_len FROM assignment AS a
    WHERE hw_addr = ?1 AND began_at <= ?2 AND NOT EXISTS
        (SELECT 1 FROM assignment AS n
         WHERE n.address = a.address AND n.kind = a.kind AND n.prefix_len = a.prefix_len AND n.vpn_id = a.vpn_id
           AND n.server_id = a.server_id AND n.began_at > a.began_at AND n.began_at <= ?2))sql";

constexpr const char* feed_sql = R"sql(
    SELECT seq, server_id || '|' || vpn_id || '|' || kind || '|' || address || '|' || prefix_len,
           change = 'assigned', client_id, json_extract(detail, '$.client_id'),
           json_type(detail, '$.hw_addr') IS NOT NULL, json_extract(detail, '$.hw_addr')
    FROM binding_change WHERE seq > ?1 ORDER BY seq LIMIT ?2)sql";

/// What is looked for by one of the two identifiers, and removed by the rowid that was found.
struct Table {
    std::string_view look;
    const char* remove;
};
// A row may have changed since it was found: it is removed if it is still past.
constexpr Table assignments{"SELECT assignment_id FROM assignment WHERE ended_at IS NOT NULL AND ",
                            "DELETE FROM assignment WHERE assignment_id = ?1 AND ended_at IS NOT NULL"};
constexpr Table bindings{
    "SELECT binding_id FROM binding WHERE state <> 'active' AND ",
    "DELETE FROM binding WHERE binding_id = ?1 AND state <> 'active' RETURNING server_id, state, doubt IS NOT NULL"};
constexpr const char* remove_change_sql = "DELETE FROM binding_change WHERE seq = ?1";
constexpr const char* quarantine_look_sql = "SELECT quarantine_id FROM quarantine WHERE instr(message, ?1) > 0";
constexpr const char* quarantine_remove_sql = "DELETE FROM quarantine WHERE quarantine_id = ?1";
constexpr const char* count_doubt_sql = "UPDATE server SET doubts = doubts - 1 WHERE server_id = ?1";
constexpr const char* count_sql =
    "UPDATE binding_count SET bindings = bindings - 1 WHERE server_id = ?1 AND state = ?2";

class SqliteForget {
public:
    SqliteForget(const std::string& path, const ClientIdentity& client)
        : db_(open(path)), client_(client), octets_(client.client_id.empty() ? client.hw_addr : client.client_id) {
        colon_hex(client.hw_addr, hw_addr_);
    }

    Forgotten run() {
        Forgotten out;
        out.changes = forget_changes();
        out.bindings = remove(found(bindings), bindings.remove);
        out.assignments = remove(found(assignments), assignments.remove);
        out.quarantined = remove(found_in_quarantine(), quarantine_remove_sql);
        out.in_force = count_in_force();
        // What was overwritten in the file still stands in its log, until that is copied and starts over. The long
        // part of that holds nobody up. A reader may hold up the rest; then the agent's next checkpoint does it.
        db_.tryExec("PRAGMA wal_checkpoint(PASSIVE)");
        db_.setBusyTimeout(static_cast<int>(checkpoint_wait.count()));
        db_.tryExec("PRAGMA wal_checkpoint(TRUNCATE)");
        return out;
    }

private:
    static SQLite::Database open(const std::string& path) {
        auto db = open_beside_agent(path);
        db.exec("PRAGMA secure_delete = ON");  // overwritten with zeros, and not only marked as free
        return db;
    }

    std::uint64_t forget_changes() {
        ClientTrail trail(client_);
        if (!hw_addr_.empty()) remember_what_was_held(trail);
        std::uint64_t removed = 0;
        for (std::int64_t after = 0;;) {
            const auto [last, mine] = look_at_feed(trail, after);
            removed += remove(mine, remove_change_sql);
            if (last == after) return removed;
            after = last;
        }
    }

    void remember_what_was_held(ClientTrail& trail) {
        SQLite::Statement statement(db_, held_then_sql);
        Use use(statement);
        use.text(1, hw_addr_);
        use.number(2, db_.execAndGet(feed_begin_sql).getInt64());
        while (use.step())
            trail.held_before(std::string(use.text(0)));
    }

    /// The last seq that was looked at, and those of the client.
    std::pair<std::int64_t, std::vector<std::int64_t>> look_at_feed(ClientTrail& trail, std::int64_t after) {
        SQLite::Statement statement(db_, feed_sql);
        Use use(statement);
        use.number(1, after);
        use.number(2, rows_per_look);
        std::pair<std::int64_t, std::vector<std::int64_t>> out{after, {}};
        TrailRow row;
        while (use.step()) {
            out.first = use.number(0);
            row.binding = use.text(1);
            row.assigned = use.number(2) != 0;
            row.client_id = use.bytes(3);
            row.other_client_id = use.text(4);
            row.tells_hw_addr = use.number(5) != 0;
            row.hw_addr = use.text(6);
            if (trail.take(row)) out.second.push_back(out.first);
        }
        return out;
    }

    std::vector<std::int64_t> found(const Table& table) {
        return ids(std::string(table.look) + by_identifier(), [&](Use& use) { bind_identifier(use); });
    }
    std::vector<std::int64_t> found_in_quarantine() {
        return ids(quarantine_look_sql, [&](Use& use) { use.bytes(1, octets_); });
    }
    std::uint64_t count_in_force() {
        return ids("SELECT binding_id FROM binding WHERE state = 'active' AND " + by_identifier(),
                   [&](Use& use) { bind_identifier(use); })
            .size();
    }

    std::string by_identifier() const { return hw_addr_.empty() ? "client_id = ?1" : "hw_addr = ?1"; }
    void bind_identifier(Use& use) const {
        if (hw_addr_.empty())
            use.bytes(1, client_.client_id);
        else
            use.text(1, hw_addr_);
    }

    template <class Bind>
    std::vector<std::int64_t> ids(const std::string& sql, Bind bind) {
        SQLite::Statement statement(db_, sql);
        Use use(statement);
        bind(use);
        std::vector<std::int64_t> out;
        while (use.step())
            out.push_back(use.number(0));
        return out;
    }

    std::uint64_t remove(std::span<const std::int64_t> rows, const char* sql) {
        std::uint64_t removed = 0;
        while (!rows.empty()) {
            const auto step = rows.first(std::min(rows.size(), rows_per_step));
            SQLite::Transaction transaction(db_, SQLite::TransactionBehavior::IMMEDIATE);
            SQLite::Statement statement(db_, sql);
            for (const auto id : step)
                removed += remove_row(statement, id);
            transaction.commit();
            rows = rows.subspan(step.size());
            ::poll(nullptr, 0, static_cast<int>(breather.count()));
        }
        return removed;
    }

    std::uint64_t remove_row(SQLite::Statement& statement, std::int64_t id) {
        Use use(statement);
        use.number(1, id);
        if (statement.getColumnCount() == 0) return static_cast<std::uint64_t>(use.run());
        std::uint64_t removed = 0;  // of `binding`, where each is counted by its state
        while (use.step()) {
            count_one_less(use.number(0), std::string(use.text(1)));
            if (use.number(2) != 0) count_one_doubt_less(use.number(0));
            ++removed;
        }
        return removed;
    }

    void count_one_doubt_less(ServerId server) {
        SQLite::Statement statement(db_, count_doubt_sql);
        Use use(statement);
        use.number(1, server);
        use.run();
    }

    void count_one_less(ServerId server, const std::string& state) {
        SQLite::Statement statement(db_, count_sql);
        Use use(statement);
        use.number(1, server);
        use.text(2, state);
        use.run();
    }

    SQLite::Database db_;
    const ClientIdentity client_;
    const Bytes octets_;
    std::string hw_addr_;  // empty: by client_id
};

}  // namespace

Forgotten forget_sqlite_client(const std::string& path, const ClientIdentity& client) {
    return translated(path, "remove a client's history", [&] { return SqliteForget(path, client).run(); });
}

}  // namespace leasemirror
