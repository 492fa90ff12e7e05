#include "storage/sqlite/reader.hpp"

#include "storage/ledger/reader_columns.hpp"
#include "storage/ledger/server_row.hpp"
#include "storage/ledger/stored_text.hpp"
#include "storage/sqlite/connection.hpp"
#include "storage/sqlite/error.hpp"
#include "storage/sqlite/gaps.hpp"
#include "storage/sqlite/reader_sql.hpp"
#include "storage/sqlite/schema.hpp"

#include <SQLiteCpp/Transaction.h>

#include <poll.h>
#include <sys/stat.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <type_traits>

namespace leasemirror {
namespace {

constexpr const char* overview_sql = R"sql(
    SELECT server_id, s.name, family, endpoint, server_identity, phase, base_time, fresh_as_of, coverage, clock_skew_ms,
           bindings, connected_since, last_message_at, last_full_sync_at, gaps_open, last_error, last_error_at, owner,
           owner_epoch, certificate_expires_at, certificate_days, active_support, window_support, support_seen_at,
           doubts, unreadable, refused, known_since, client_data, heartbeat_at, stopped_at,
           coalesce((SELECT alive FROM agent_overview WHERE agent_overview.name = s.owner), 0),
           paused_at, paused_by, resync_asked_at, resync_asked_by, last_verify_at, verify_differences, next_attempt_at
    FROM server AS s LEFT JOIN agent ON agent.name = s.owner WHERE forgotten_seq IS NULL ORDER BY s.name)sql";

constexpr const char* states_sql = "SELECT state, bindings FROM binding_count WHERE server_id = ?1 AND bindings <> 0";

// AUTOINCREMENT keeps the highest number there ever was; there is no row for it before the first.
constexpr const char* ends_sql = R"sql(
    SELECT (SELECT min(seq) FROM binding_change),
           coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'binding_change'), 0))sql";

constexpr const char* part_end_sql =
    "SELECT max(seq) FROM (SELECT seq FROM binding_change WHERE seq > ?1 ORDER BY seq LIMIT ?2)";

// ---- rows ----

ServerOverview read_server(Use& use) {
    ServerOverview out;
    out.server_id = use.number(0);
    out.name = use.text(1);
    out.family = use.text(2) == to_string(Family::v4) ? Family::v4 : Family::v6;
    out.endpoint = use.text(3);
    out.server_identity = use.bytes(4);
    out.phase = use.text(5);
    if (const auto base_time = use.number_if_any(6)) out.base_time = server_time_from_unix(*base_time);
    out.fresh_as_of = use.time(7);
    out.coverage = use.text(8);
    out.clock_skew_ms = use.number_if_any(9);
    out.bindings = use.number(10);
    out.connected_since = use.time(11);
    out.last_message_at = use.time(12);
    out.last_full_sync_at = use.time(13);
    out.gaps_open = use.number(14);
    out.last_error = use.text(15);
    out.last_error_at = use.time(16);
    out.owner = use.text(17);
    out.owner_epoch = use.number(18);
    out.certificate_expires_at = use.time(19);
    out.certificate_days = use.number_if_any(20);
    out.support = {
        support_of(use.text(21)), support_of(use.text(22)), use.time(23), complete_lists_of(use.text(28)), {}};
    out.doubts = use.number(24);
    out.unreadable = use.number(25);
    out.refused = use.number(26);
    out.known_since = use.time(27);
    out.agent_heartbeat_at = use.time(29);
    out.agent_stopped_at = use.time(30);
    out.agent_alive = use.number(31) != 0;
    out.paused_at = use.time(32);
    out.paused_by = use.text(33);
    out.resync_asked_at = use.time(34);
    out.resync_asked_by = use.text(35);
    out.last_verify_at = use.time(36);
    out.verify_differences = use.number_if_any(37);
    out.next_attempt_at = use.time(38);
    return out;
}

std::map<std::string, std::int64_t> read_states(SQLite::Database& db, ServerId server) {
    SQLite::Statement statement(db, states_sql);
    Use use(statement);
    use.number(1, server);
    std::map<std::string, std::int64_t> out;
    while (use.step())
        out.emplace(use.text(0), use.number(1));
    return out;
}

Value read_value(Use& use, int column, ColumnType type) {
    if (use.is_null(column)) return std::monostate{};
    switch (type) {
        case ColumnType::text:
        case ColumnType::address:
            return std::string(use.text(column));
        case ColumnType::number:
            return use.number(column);
        case ColumnType::flag:
            return use.number(column) != 0;
        case ColumnType::bytes:
            return use.bytes(column);
        case ColumnType::time:
            return UtcSeconds{std::chrono::seconds{use.number(column)}};
        case ColumnType::json:
            return JsonText{std::string(use.text(column))};
    }
    return std::monostate{};
}

void append_rows(Use& use, std::span<const ReaderColumn> columns, std::vector<Record>& out) {
    while (use.step()) {
        auto& row = out.emplace_back();
        for (const auto& column : columns)
            row.emplace_back(column.name, read_value(use, static_cast<int>(row.size()), column.type));
    }
}

// ---- what is sought ----

/// As the queries take it; what is bound points into it.
struct SoughtText {
    explicit SoughtText(const Sought& sought)
        : address(sought.address.to_string()), key(sought.address.sortable()), family(sought.address.family()) {
        if (sought.prefix_len) prefix_len = *sought.prefix_len;
    }
    void bind_exact(Use& use) const {
        use.text(1, address);
        use.number(2, prefix_len);
    }
    void bind_around(Use& use) const {
        use.bytes(1, key);
        use.word(2, to_string(family).data());
    }

    std::string address;
    std::array<std::uint8_t, 16> key;
    Family family;
    std::optional<std::int64_t> prefix_len;
};

struct HolderText {
    explicit HolderText(const HolderSought& sought) : value(sought.value) {
        if (sought.by == HolderSought::By::hw_addr) colon_hex(sought.value, hw_addr);
    }
    void bind(Use& use) const {
        if (hw_addr.empty())
            use.bytes(1, value);
        else
            use.text(1, hw_addr);
    }

    const Bytes& value;
    std::string hw_addr;  // empty: by another column, which has octets
};

void bind_span(Use& use, const TimeSpan& within) {
    use.time(3, within.from);
    use.time(4, within.to);
}

// ---- the connection ----

/// SQLite tells nobody that something was committed: this is how often it is asked. It costs a look at the index of
/// the write-ahead log, which is in shared memory.
constexpr std::chrono::milliseconds ask_every{100};

/// Which file stands at a path.
struct FileIdentity {
    explicit FileIdentity(const std::string& path) {
        struct stat found {};
        if (::stat(path.c_str(), &found) != 0) return;
        device = found.st_dev;
        inode = found.st_ino;
    }
    friend bool operator==(const FileIdentity&, const FileIdentity&) = default;

    dev_t device = 0;
    ino_t inode = 0;
};

/// Opened when it is needed, and again after an error.
class ReadConnection {
public:
    explicit ReadConnection(std::string path) : path_(std::move(path)) {}

    /// Runs `work` on the tables as they are at one moment.
    template <class Work>
    std::invoke_result_t<Work, SQLite::Database&> in_snapshot(std::string_view doing, Work&& work) {
        return closing_on_error(doing, [&] {
            SQLite::Transaction snapshot(*db_);
            require_known_sqlite_version(*db_, path_);
            return work(*db_);
        });
    }

    /// To be called in a snapshot: what is committed after it has not been seen.
    void mark_seen() { seen_version_ = version(); }
    [[nodiscard]] bool has_unseen() {
        return closing_on_error("ask for changes", [&] { return version() != seen_version_; });
    }

private:
    template <class Work>
    std::invoke_result_t<Work> closing_on_error(std::string_view doing, Work&& work) {
        try {
            open();
            return translated(path_, doing, work);
        } catch (const StoreError&) {
            db_.reset();
            throw;
        }
    }

    void open() {
        const FileIdentity file(path_);
        if (db_ && file == file_) return;  // else another file has taken its place: a restored backup, say
        db_.reset();
        db_.emplace(open_for_reading(path_));
        file_ = file;
        seen_version_.reset();
    }

    [[nodiscard]] std::int64_t version() { return db_->execAndGet("PRAGMA data_version").getInt64(); }

    const std::string path_;
    std::optional<SQLite::Database> db_;
    FileIdentity file_{""};
    std::optional<std::int64_t> seen_version_;
};

class SqliteReader final : public Reader {
public:
    explicit SqliteReader(std::string path) : connection_(std::move(path)) {
        connection_.in_snapshot("read the schema version", [](SQLite::Database&) {});
    }

    std::vector<ServerOverview> servers() override {
        return connection_.in_snapshot("read the state of the servers", [](SQLite::Database& db) {
            std::vector<ServerOverview> out;
            SQLite::Statement statement(db, overview_sql);
            for (Use use(statement); use.step();)
                out.push_back(read_server(use));
            for (auto& server : out) {
                server.open_gaps = read_open_gaps(db, server.server_id);
                server.states = read_states(db, server.server_id);
            }
            return out;
        });
    }

    std::vector<Record> leases_of(const Sought& sought) override {
        return connection_.in_snapshot("look up a lease", [&](SQLite::Database& db) {
            const SoughtText text(sought);
            std::vector<Record> out;
            const auto exact = [&](Use& use) { text.bind_exact(use); };
            const auto around = [&](Use& use) { text.bind_around(use); };
            find(db, lease_at_sql(), lease_columns, exact, out);
            if (!sought.prefix_len) find(db, leases_around_sql(), lease_columns, around, out);
            return out;
        });
    }

    std::vector<Record> leases_of(const HolderSought& sought) override {
        return connection_.in_snapshot("look up leases", [&](SQLite::Database& db) {
            std::vector<Record> out;
            const HolderText text(sought);
            find(
                db, leases_by_sql(column_of(sought.by)), lease_columns, [&](Use& use) { text.bind(use); }, out);
            return out;
        });
    }

    std::vector<Record> holders_of(const HolderSought& sought, const TimeSpan& within) override {
        return connection_.in_snapshot("look up assignments", [&](SQLite::Database& db) {
            std::vector<Record> out;
            const HolderText text(sought);
            const auto bind = [&](Use& use) {
                text.bind(use);
                bind_span(use, within);
            };
            find(db, holders_by_sql(column_of(sought.by)), assignment_columns, bind, out);
            return out;
        });
    }

    using Reader::holders_of;
    std::vector<Record> holders_of(const Sought& sought, const TimeSpan& within) override {
        return connection_.in_snapshot("look up an assignment", [&](SQLite::Database& db) {
            const SoughtText text(sought);
            std::vector<Record> out;
            const auto exact = [&](Use& use) {
                text.bind_exact(use);
                bind_span(use, within);
            };
            const auto around = [&](Use& use) {
                text.bind_around(use);
                bind_span(use, within);
            };
            find(db, holder_at_sql(), assignment_columns, exact, out);
            if (!sought.prefix_len) find(db, holders_around_sql(), assignment_columns, around, out);
            return out;
        });
    }

    FeedEnds feed_ends() override {
        return connection_.in_snapshot("read the change feed", [](SQLite::Database& db) { return read_ends(db); });
    }

    FeedPart changes_after(std::int64_t seq, const std::optional<std::string>& server, std::size_t rows) override {
        return connection_.in_snapshot("read the change feed", [&](SQLite::Database& db) {
            FeedPart out;
            const std::string name = server.value_or("");  // no server has an empty name
            out.ends = read_ends(db);
            out.cursor = read_part_end(db, seq, rows);
            const auto part = [&](Use& use) {
                use.number(1, seq);
                use.number(2, out.cursor);
                use.text_or_null(3, name);
            };
            find(db, changes_sql(), change_columns, part, out.rows);
            connection_.mark_seen();
            return out;
        });
    }

    void wait_for_changes(std::chrono::milliseconds patience) override {
        for (auto left = patience; !connection_.has_unseen() && left.count() > 0; left -= ask_every) {
            const auto interval = std::min(left, ask_every);
            if (::poll(nullptr, 0, static_cast<int>(interval.count())) < 0 && errno == EINTR) return;
        }
    }

private:
    template <class Bind>
    static void find(SQLite::Database& db, const std::string& sql, std::span<const ReaderColumn> columns, Bind bind,
                     std::vector<Record>& out) {
        SQLite::Statement statement(db, sql);
        Use use(statement);
        bind(use);
        append_rows(use, columns, out);
    }

    static FeedEnds read_ends(SQLite::Database& db) {
        SQLite::Statement statement(db, ends_sql);
        Use use(statement);
        use.step();
        const auto last = use.number(1);
        const auto first = use.number_if_any(0).value_or(last == 0 ? 0 : last + 1);
        return {first, last, first == 0 ? 0 : first - 1};  // AUTOINCREMENT leaves no number out
    }

    static std::int64_t read_part_end(SQLite::Database& db, std::int64_t seq, std::size_t rows) {
        SQLite::Statement statement(db, part_end_sql);
        Use use(statement);
        use.number(1, seq);
        use.number(2, static_cast<std::int64_t>(rows));
        use.step();
        return use.number_if_any(0).value_or(seq);
    }

    ReadConnection connection_;
};

}  // namespace

std::unique_ptr<Reader> open_sqlite_reader(const std::string& path) {
    return std::make_unique<SqliteReader>(path);
}

std::vector<std::string> sqlite_lookup_queries() {
    std::vector<std::string> out{lease_at_sql(), leases_around_sql(), holder_at_sql(), holders_around_sql(),
                                 changes_sql()};
    for (const auto by : every_holder_column) {
        out.push_back(leases_by_sql(column_of(by)));
        out.push_back(holders_by_sql(column_of(by)));
    }
    return out;
}

}  // namespace leasemirror
