// Removing one client's history from a PostgreSQL database, beside agents at work: what is to go is looked for without
// a lock, and removed in transactions of a few rows.
#include "storage/ledger/client_trail.hpp"
#include "storage/ledger/stored_text.hpp"
#include "storage/postgres/reader.hpp"
#include "storage/postgres/retention.hpp"
#include "storage/postgres/schema.hpp"

#include <algorithm>
#include <map>
#include <span>

namespace leasemirror {
namespace {

constexpr std::size_t rows_per_step = 500;      // removed at one time
constexpr std::int64_t rows_per_look = 10'000;  // of the feed, looked at in one time

// One of the two identifiers is NULL, and finds nothing.
constexpr PostgresSql assignments_sql{"forget_assignments", R"sql(
    SELECT assignment_id FROM assignment WHERE client_id = $1 AND ended_at IS NOT NULL
    UNION ALL SELECT assignment_id FROM assignment WHERE hw_addr = $2 AND ended_at IS NOT NULL)sql"};
constexpr PostgresSql bindings_sql{"forget_bindings", R"sql(
    SELECT server_id, binding_id, state = 'active' FROM binding WHERE client_id = $1
    UNION ALL SELECT server_id, binding_id, state = 'active' FROM binding WHERE hw_addr = $2)sql"};
constexpr PostgresSql quarantine_sql{"forget_quarantine",
                                     "SELECT quarantine_id FROM quarantine WHERE position($1::bytea IN message) > 0"};

// The last who began before the feed does. When it ended does not matter: its end may have been written later.
constexpr PostgresSql held_sql{"forget_held", R"sql(
    WITH feed AS MATERIALIZED (SELECT at AS begins FROM binding_change ORDER BY seq LIMIT 1)
    SELECT concat_ws('|', server_id, vpn_id, kind, host(address), prefix_len) FROM assignment AS a, feed
    WHERE hw_addr = $1 AND began_at <= feed.begins AND NOT EXISTS
        (SELECT 1 FROM assignment AS n
         WHERE n.address = a.address AND n.kind = a.kind AND n.prefix_len = a.prefix_len AND n.vpn_id = a.vpn_id
           AND n.server_id = a.server_id AND n.began_at > a.began_at AND n.began_at <= feed.begins))sql"};
constexpr PostgresSql feed_sql{"forget_feed", R"sql(
    SELECT seq, concat_ws('|', server_id, vpn_id, kind, host(address), prefix_len), change = 'assigned', client_id,
           detail ->> 'client_id', detail ? 'hw_addr', detail ->> 'hw_addr'
    FROM binding_change WHERE seq > $1 ORDER BY seq LIMIT $2)sql"};

// A row may have changed since it was found: it is removed if it is still past.
constexpr PostgresSql remove_assignments_sql{"forget_remove_assignments", R"sql(
    DELETE FROM assignment WHERE assignment_id = ANY ($1::bigint[]) AND ended_at IS NOT NULL)sql"};
constexpr PostgresSql remove_quarantine_sql{"forget_remove_quarantine",
                                            "DELETE FROM quarantine WHERE quarantine_id = ANY ($1::bigint[])"};
constexpr PostgresSql remove_changes_sql{"forget_remove_changes",
                                         "DELETE FROM binding_change WHERE seq = ANY ($1::bigint[])"};
constexpr PostgresSql raise_removed_sql{"forget_raise_removed", R"sql(
    INSERT INTO meta (name, number) SELECT 'feed_removed_to', max(seq) FROM unnest($1::bigint[]) AS gone (seq)
    ON CONFLICT (name) DO UPDATE SET number = greatest(meta.number, excluded.number))sql"};

// As a writer does, which holds the lock on the server while it touches its bindings.
constexpr PostgresSql lock_server_sql{"forget_lock_server",
                                      "SELECT 1 FROM server WHERE server_id = $1 FOR NO KEY UPDATE"};
constexpr PostgresSql remove_bindings_sql{"forget_remove_bindings", R"sql(
    WITH gone AS (
        DELETE FROM binding WHERE server_id = $1 AND binding_id = ANY ($2::bigint[]) AND state <> 'active'
        RETURNING state, doubt),
    settled AS (
        UPDATE server SET doubts = doubts - (SELECT count(doubt) FROM gone)
        WHERE server_id = $1 AND EXISTS (SELECT 1 FROM gone WHERE doubt IS NOT NULL)),
    less AS (
        UPDATE binding_count AS c SET bindings = bindings - g.rows
        FROM (SELECT state, count(*) AS rows FROM gone GROUP BY state) AS g
        WHERE c.server_id = $1 AND c.state = g.state)
    SELECT count(*) FROM gone)sql"};

using Ids = std::vector<std::int64_t>;

class PostgresForget {
public:
    PostgresForget(const StoreSettings& settings, const ClientIdentity& client)
        : connection_(settings, PostgresUse::writing), client_(client) {
        require_current_postgres_schema(connection_);
        colon_hex(client.hw_addr, hw_addr_);
    }

    Forgotten run() {
        return connection_.translated("remove a client's history", [&] {
            Forgotten out;
            out.changes = forget_changes();
            forget_bindings(out);
            out.assignments = remove(assignments_sql, remove_assignments_sql, identifiers());
            const auto& octets = client_.client_id.empty() ? client_.hw_addr : client_.client_id;
            out.quarantined = remove(quarantine_sql, remove_quarantine_sql, Parameters().bytes(octets));
            return out;
        });
    }

private:
    Parameters identifiers() const { return Parameters().bytes_or_null(client_.client_id).text_or_null(hw_addr_); }

    static Parameters& add(Parameters& parameters, std::span<const std::int64_t> ids) {
        ArrayParameter list;
        for (const auto id : ids)
            list.number(id);
        return parameters.array(list);
    }

    pqxx::result look(const PostgresSql& sql, const Parameters& parameters) {
        pqxx::nontransaction transaction(connection_.session());
        return connection_.run(transaction, sql, parameters);
    }

    // ---- the feed ----

    std::uint64_t forget_changes() {
        ClientTrail trail(client_);
        if (!hw_addr_.empty())
            for (const auto& row : look(held_sql, Parameters().text(hw_addr_)))
                trail.held_before(std::string(Fields(row).text()));
        std::uint64_t removed = 0;
        for (std::int64_t after = 0;;) {
            const auto [last, mine] = look_at_feed(trail, after);
            removed += remove_changes(mine);
            if (last == after) return removed;
            after = last;
        }
    }

    /// The last seq that was looked at, and those of the client.
    std::pair<std::int64_t, Ids> look_at_feed(ClientTrail& trail, std::int64_t after) {
        std::pair<std::int64_t, Ids> out{after, {}};
        TrailRow row;
        for (const auto& found : look(feed_sql, Parameters().number(after).number(rows_per_look))) {
            Fields fields(found);
            out.first = fields.number();
            row.binding = fields.text();
            row.assigned = fields.flag();
            row.client_id = fields.bytes();
            row.other_client_id = fields.text();
            row.tells_hw_addr = fields.flag();
            row.hw_addr = fields.text();
            if (trail.take(row)) out.second.push_back(out.first);
        }
        return out;
    }

    std::uint64_t remove_changes(const Ids& seqs) {
        return in_steps(seqs, [](PostgresTransaction& transaction, std::span<const std::int64_t> step) {
            wait_to_remove_alone(transaction);
            Parameters gone;
            transaction.run(raise_removed_sql, add(gone, step));
            return transaction.run(remove_changes_sql, gone).affected_rows();
        });
    }

    // ---- the tables ----

    void forget_bindings(Forgotten& out) {
        std::map<ServerId, Ids> past;
        for (const auto& row : look(bindings_sql, identifiers())) {
            Fields fields(row);
            const auto server = fields.number();
            const auto id = fields.number();
            if (fields.flag())
                ++out.in_force;
            else
                past[server].push_back(id);
        }
        for (const auto& [server, ids] : past) {
            Parameters of_server;
            of_server.number(server);
            out.bindings += in_steps(ids, [&](PostgresTransaction& transaction, std::span<const std::int64_t> step) {
                transaction.run(lock_server_sql, of_server);
                auto gone = of_server;
                return Fields(transaction.run(remove_bindings_sql, add(gone, step))[0]).number();
            });
        }
    }

    std::uint64_t remove(const PostgresSql& find, const PostgresSql& remove, const Parameters& parameters) {
        Ids ids;
        for (const auto& row : look(find, parameters))
            ids.push_back(Fields(row).number());
        return in_steps(ids, [&](PostgresTransaction& transaction, std::span<const std::int64_t> step) {
            wait_to_remove_alone(transaction);
            Parameters gone;
            return transaction.run(remove, add(gone, step)).affected_rows();
        });
    }

    /// `work` is given some of the ids and a transaction of its own, and returns how many rows it has removed.
    template <class Work>
    std::uint64_t in_steps(std::span<const std::int64_t> ids, Work work) {
        std::uint64_t removed = 0;
        while (!ids.empty()) {
            const auto step = ids.first(std::min(ids.size(), rows_per_step));
            PostgresTransaction transaction(connection_);
            const auto rows = static_cast<std::uint64_t>(work(transaction, step));
            transaction.commit();
            removed += rows;
            ids = ids.subspan(step.size());
        }
        return removed;
    }

    PostgresConnection connection_;
    const ClientIdentity client_;
    std::string hw_addr_;  // empty: by client_id
};

}  // namespace

Forgotten forget_postgres_client(const StoreSettings& settings, const ClientIdentity& client) {
    return PostgresForget(settings, client).run();
}

}  // namespace leasemirror
