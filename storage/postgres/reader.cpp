#include "storage/postgres/reader.hpp"

#include "storage/ledger/reader_columns.hpp"
#include "storage/ledger/server_row.hpp"
#include "storage/ledger/stored_text.hpp"
#include "storage/postgres/gaps.hpp"
#include "storage/postgres/schema.hpp"

#include <poll.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <optional>
#include <type_traits>
#include <utility>

namespace leasemirror {
namespace {

// ---- queries ----

std::string select_list(std::span<const ReaderColumn> columns) {
    std::string out;
    for (const auto& column : columns)
        out.append(out.empty() ? "" : ", ").append(column.source);
    return out;
}

std::string leases_sql(const std::string& condition,
                       const std::string& order = "l.prefix_len DESC, l.kind, l.vpn_id, l.server") {
    return "SELECT " + select_list(lease_columns) +
           " FROM lease AS l LEFT JOIN assignment AS a ON a.assignment_id = "
           "(SELECT b.assignment_id FROM binding AS b WHERE b.server_id = l.server_id AND b.binding_id = l.binding_id) "
           "WHERE " +
           condition + " ORDER BY " + order;
}

std::string holders_sql(const std::string& condition,
                        const std::string& order = "a.prefix_len DESC, a.kind, a.vpn_id, s.name, a.began_at") {
    return "SELECT " + select_list(assignment_columns) +
           " FROM assignment AS a JOIN server AS s ON s.server_id = a.server_id WHERE " + condition +
           " AND a.began_at < $3 AND (a.ended_at IS NULL OR a.ended_at > $2) ORDER BY " + order;
}

using By = HolderSought::By;

std::string leases_by_sql(By by) {
    return leases_sql("l." + std::string(column_of(by)) + " = $1", "l.address, l.prefix_len, l.vpn_id, l.server");
}
std::string holders_by_sql(By by) {
    const auto column = "a." + std::string(column_of(by));
    // Of these it is a digest that is indexed: 0007_lines.sql.
    const auto digest =
        by == By::remote_id || by == By::circuit_id ? "md5(" + column + ") = md5($1::bytea) AND " : std::string();
    return holders_sql(digest + column + " = $1", "a.began_at, a.assignment_id");
}

struct Queries {
    // $1 the address; $2 of leases the length, of holders the time from $2 to $3, and $4 the length.
    const std::string lease_at = leases_sql("l.address = $1::inet AND l.kind = 'address'");
    const std::string lease_like = leases_sql("l.address = $1::inet AND l.prefix_len = $2");
    const std::string leases_around = leases_sql("l.network >>= $1::inet");
    const std::string holder_at = holders_sql("a.address = $1::inet AND a.kind = 'address'");
    const std::string holder_like = holders_sql("a.address = $1::inet AND a.prefix_len = $4");
    const std::string holders_around = holders_sql("a.network >>= $1::inet");
    // $1 the value; of holders from $2 to $3. By HolderSought::By.
    const std::array<std::string, 4> leases_by{leases_by_sql(By::hw_addr), leases_by_sql(By::client_id),
                                               leases_by_sql(By::remote_id), leases_by_sql(By::circuit_id)};
    const std::array<std::string, 4> holders_by{holders_by_sql(By::hw_addr), holders_by_sql(By::client_id),
                                                holders_by_sql(By::remote_id), holders_by_sql(By::circuit_id)};
    // $1 after which seq, $2 up to which, $3 a server's name or NULL.
    const std::string changes = "SELECT " + select_list(change_columns) +
                                " FROM binding_change AS c JOIN server AS s ON s.server_id = c.server_id "
                                "WHERE c.seq > $1 AND c.seq <= $2 AND ($3::text IS NULL OR s.name = $3) ORDER BY c.seq";
};

constexpr std::array leases_by_names{"leases_by_hw_addr", "leases_by_client_id", "leases_by_remote_id",
                                     "leases_by_circuit_id"};
constexpr std::array holders_by_names{"holders_by_hw_addr", "holders_by_client_id", "holders_by_remote_id",
                                      "holders_by_circuit_id"};

Parameters value_of(const HolderSought& sought) {
    Parameters out;
    if (sought.by != By::hw_addr) return out.bytes(sought.value);
    std::string text;
    colon_hex(sought.value, text);
    return out.text(text);
}

/// Statements have to live as long as the program.
const Queries& queries() {
    static const Queries all;
    return all;
}

constexpr PostgresSql overview_sql{"overview", R"sql(
    SELECT server_id, s.name, family, endpoint, server_identity, phase, base_time, fresh_as_of, coverage, clock_skew_ms,
           bindings, connected_since, last_message_at, last_full_sync_at, gaps_open, last_error, last_error_at, owner,
           owner_epoch, certificate_expires_at, certificate_days, active_support, window_support, support_seen_at,
           doubts, unreadable, refused, known_since, client_data, heartbeat_at, stopped_at, coalesce(alive, false),
           paused_at, paused_by, resync_asked_at, resync_asked_by, last_verify_at, verify_differences, next_attempt_at
    FROM server AS s LEFT JOIN agent_overview AS a ON a.name = s.owner WHERE forgotten_seq IS NULL ORDER BY s.name)sql"};

constexpr PostgresSql states_sql{"states", "SELECT server_id, state, bindings FROM binding_count WHERE bindings <> 0"};

constexpr PostgresSql ends_sql{"feed_ends", R"sql(
    SELECT (SELECT min(seq) FROM binding_change), greatest((SELECT max(seq) FROM binding_change), removed.seq, 0),
           removed.seq
    FROM (SELECT (SELECT number FROM meta WHERE name = 'feed_removed_to') AS seq) AS removed)sql"};

constexpr PostgresSql part_end_sql{"part_end", R"sql(
    SELECT max(seq) FROM (SELECT seq FROM binding_change WHERE seq > $1 ORDER BY seq LIMIT $2) AS part)sql"};

constexpr PostgresSql in_recovery_sql{"in_recovery", "SELECT pg_is_in_recovery()"};

// ---- rows ----

ServerOverview read_server(Fields fields) {
    ServerOverview out;
    out.server_id = fields.number();
    out.name = fields.text();
    out.family = fields.text() == to_string(Family::v4) ? Family::v4 : Family::v6;
    out.endpoint = fields.text();
    out.server_identity = fields.bytes();
    out.phase = fields.text();
    out.base_time = fields.server_time();
    out.fresh_as_of = fields.time();
    out.coverage = fields.text();
    out.clock_skew_ms = fields.number_if_any();
    out.bindings = fields.number();
    out.connected_since = fields.time();
    out.last_message_at = fields.time();
    out.last_full_sync_at = fields.time();
    out.gaps_open = fields.number();
    out.last_error = fields.text();
    out.last_error_at = fields.time();
    out.owner = fields.text();
    out.owner_epoch = fields.number();
    out.certificate_expires_at = fields.time();
    out.certificate_days = fields.number_if_any();
    out.support.active = support_of(fields.text());
    out.support.windows = support_of(fields.text());
    out.support.seen_at = fields.time();
    out.doubts = fields.number();
    out.unreadable = fields.number();
    out.refused = fields.number();
    out.known_since = fields.time();
    out.support.complete_lists = complete_lists_of(fields.text());
    out.agent_heartbeat_at = fields.time();
    out.agent_stopped_at = fields.time();
    out.agent_alive = fields.flag();
    out.paused_at = fields.time();
    out.paused_by = fields.text();
    out.resync_asked_at = fields.time();
    out.resync_asked_by = fields.text();
    out.last_verify_at = fields.time();
    out.verify_differences = fields.number_if_any();
    out.next_attempt_at = fields.time();
    return out;
}

Value read_value(Fields& fields, ColumnType type) {
    if (fields.is_null()) {
        fields.skip();
        return std::monostate{};
    }
    switch (type) {
        case ColumnType::text:
            return std::string(fields.text());
        case ColumnType::address:
            return fields.address()->to_string();
        case ColumnType::number:
            return fields.number();
        case ColumnType::flag:
            return fields.flag();
        case ColumnType::bytes:
            return fields.bytes();
        case ColumnType::time:
            return *fields.time();
        case ColumnType::json:
            return JsonText{std::string(fields.text())};
    }
    return std::monostate{};
}

std::vector<Record> read_rows(const pqxx::result& rows, std::span<const ReaderColumn> columns) {
    std::vector<Record> out;
    for (const auto& row : rows) {
        Fields fields(row);
        auto& record = out.emplace_back();
        for (const auto& column : columns)
            record.emplace_back(column.name, read_value(fields, column.type));
    }
    return out;
}

void append(std::vector<Record> more, std::vector<Record>& out) {
    std::move(more.begin(), more.end(), std::back_inserter(out));
}

// ---- the reader ----

class PostgresReader final : public Reader {
public:
    explicit PostgresReader(const StoreSettings& settings) : settings_(settings) {
        with_connection("open it", [](PostgresConnection&) {});
    }

    std::vector<ServerOverview> servers() override;
    std::vector<Record> leases_of(const Sought& sought) override;
    std::vector<Record> leases_of(const HolderSought& sought) override;
    using Reader::holders_of;
    std::vector<Record> holders_of(const Sought& sought, const TimeSpan& within) override;
    std::vector<Record> holders_of(const HolderSought& sought, const TimeSpan& within) override;
    FeedEnds feed_ends() override;
    FeedPart changes_after(std::int64_t seq, const std::optional<std::string>& server, std::size_t rows) override;
    void wait_for_changes(std::chrono::milliseconds patience) override;

private:
    /// Opened when it is needed, and again after an error.
    PostgresConnection& connected() {
        if (connection_ && connection_->is_open()) return *connection_;
        listens_ = false;
        connection_.emplace(settings_, PostgresUse::reading);
        require_current_postgres_schema(*connection_);
        return *connection_;
    }

    /// Runs `work` on a connection that does not outlive an error.
    template <class Work>
    std::invoke_result_t<Work, PostgresConnection&> with_connection(std::string_view doing, Work&& work) {
        try {
            auto& connection = connected();
            return connection.translated(doing, [&] { return work(connection); });
        } catch (const StoreError&) {
            connection_.reset();
            throw;
        }
    }

    /// Runs `work` on the tables as they are at one moment.
    template <class Work>
    std::invoke_result_t<Work, PostgresTransaction&> in_snapshot(std::string_view doing, Work&& work) {
        return with_connection(doing, [&](PostgresConnection& connection) {
            PostgresTransaction transaction(connection);
            transaction.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY");
            return work(transaction);
        });
    }

    /// Before the first look at the feed, so that whatever is committed after that look is told of.
    void listen() {
        with_connection("listen for changes", [this](PostgresConnection& connection) {
            if (std::exchange(listens_, true)) return;
            pqxx::nontransaction transaction(connection.session());
            const auto standby = connection.run(transaction, in_recovery_sql);
            if (!Fields(standby[0]).flag()) transaction.exec("LISTEN leasemirror");  // a standby cannot
        });
    }

    static FeedEnds read_ends(PostgresTransaction& transaction) {
        const auto answer = transaction.run(ends_sql);
        Fields fields(answer[0]);
        const auto first = fields.number_if_any();
        const auto last = fields.number();
        return {first.value_or(last == 0 ? 0 : last + 1), last, fields.number()};
    }

    const StoreSettings settings_;
    std::optional<PostgresConnection> connection_;
    bool listens_ = false;
};

std::vector<ServerOverview> PostgresReader::servers() {
    return in_snapshot("read the state of the servers", [](PostgresTransaction& transaction) {
        std::vector<ServerOverview> out;
        std::vector<ServerId> ids;
        for (const auto& row : transaction.run(overview_sql))
            ids.push_back(out.emplace_back(read_server(Fields(row))).server_id);
        auto gaps = read_open_gaps(transaction, ids);
        std::map<ServerId, std::map<std::string, std::int64_t>> states;
        for (const auto& row : transaction.run(states_sql)) {
            Fields fields(row);
            auto& of_server = states[fields.number()];
            const std::string state(fields.text());
            of_server[state] = fields.number();
        }
        for (auto& server : out) {
            server.open_gaps = std::move(gaps[server.server_id]);
            server.states = std::move(states[server.server_id]);
        }
        return out;
    });
}

std::vector<Record> PostgresReader::leases_of(const Sought& sought) {
    return in_snapshot("look up a lease", [&](PostgresTransaction& transaction) {
        Parameters address;
        address.address(sought.address);
        if (sought.prefix_len)
            return read_rows(
                transaction.run({"lease_like", queries().lease_like}, address.number(std::int64_t{*sought.prefix_len})),
                lease_columns);
        auto out = read_rows(transaction.run({"lease_at", queries().lease_at}, address), lease_columns);
        append(read_rows(transaction.run({"leases_around", queries().leases_around}, address), lease_columns), out);
        return out;
    });
}

std::vector<Record> PostgresReader::leases_of(const HolderSought& sought) {
    return in_snapshot("look up leases", [&](PostgresTransaction& transaction) {
        const auto by = static_cast<std::size_t>(sought.by);
        return read_rows(transaction.run({leases_by_names[by], queries().leases_by[by]}, value_of(sought)),
                         lease_columns);
    });
}

std::vector<Record> PostgresReader::holders_of(const HolderSought& sought, const TimeSpan& within) {
    return in_snapshot("look up assignments", [&](PostgresTransaction& transaction) {
        const auto by = static_cast<std::size_t>(sought.by);
        auto parameters = value_of(sought);
        return read_rows(transaction.run({holders_by_names[by], queries().holders_by[by]},
                                         parameters.time(within.from).time(within.to)),
                         assignment_columns);
    });
}

std::vector<Record> PostgresReader::holders_of(const Sought& sought, const TimeSpan& within) {
    return in_snapshot("look up an assignment", [&](PostgresTransaction& transaction) {
        Parameters moment;
        moment.address(sought.address).time(within.from).time(within.to);
        if (sought.prefix_len)
            return read_rows(transaction.run({"holder_like", queries().holder_like},
                                             moment.number(std::int64_t{*sought.prefix_len})),
                             assignment_columns);
        auto out = read_rows(transaction.run({"holder_at", queries().holder_at}, moment), assignment_columns);
        append(read_rows(transaction.run({"holders_around", queries().holders_around}, moment), assignment_columns),
               out);
        return out;
    });
}

Reader::FeedEnds PostgresReader::feed_ends() {
    return in_snapshot("read the change feed", [](PostgresTransaction& transaction) { return read_ends(transaction); });
}

Reader::FeedPart PostgresReader::changes_after(std::int64_t seq, const std::optional<std::string>& server,
                                               std::size_t rows) {
    listen();
    return in_snapshot("read the change feed", [&](PostgresTransaction& transaction) {
        FeedPart out;
        out.ends = read_ends(transaction);
        const auto end =
            transaction.run(part_end_sql, Parameters().number(seq).number(static_cast<std::int64_t>(rows)));
        out.cursor = Fields(end[0]).number_if_any().value_or(seq);
        const auto part =
            transaction.run({"changes", queries().changes},
                            Parameters().number(seq).number(out.cursor).text_or_null(server.value_or("")));
        out.rows = read_rows(part, change_columns);
        return out;
    });
}

void PostgresReader::wait_for_changes(std::chrono::milliseconds patience) {
    listen();
    with_connection("wait for changes", [&](PostgresConnection& connection) {
        auto& session = connection.session();
        if (session.get_notifs() > 0) return;  // came along with the answer to a query
        pollfd socket{session.sock(), POLLIN, 0};
        if (::poll(&socket, 1, static_cast<int>(patience.count())) > 0) session.get_notifs();
    });
}

}  // namespace

std::unique_ptr<Reader> open_postgres_reader(const StoreSettings& settings) {
    return std::make_unique<PostgresReader>(settings);
}

std::vector<std::string> postgres_lookup_queries() {
    const auto& all = queries();
    std::vector<std::string> out{all.lease_at,    all.lease_like,     all.leases_around, all.holder_at,
                                 all.holder_like, all.holders_around, all.changes};
    out.insert(out.end(), all.leases_by.begin(), all.leases_by.end());
    out.insert(out.end(), all.holders_by.begin(), all.holders_by.end());
    return out;
}

}  // namespace leasemirror
