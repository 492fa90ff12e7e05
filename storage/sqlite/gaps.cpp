#include "storage/sqlite/gaps.hpp"

#include "storage/ledger/stored_text.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

constexpr const char* open_gaps_sql = R"sql(
    SELECT gap_number, gap_from, gap_to, cause FROM gap WHERE server_id = ?1 AND closed_at IS NULL
    ORDER BY gap_number)sql";

// A number that is there already, open or closed, is this very gap: the batch is a repeated one.
constexpr const char* open_sql = R"sql(
    INSERT INTO gap (server_id, gap_number, gap_from, gap_to, cause, opened_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT DO NOTHING)sql";

// Never narrower, whatever comes in which order; and a gap that is not there opens.
constexpr const char* widen_sql = R"sql(
    INSERT INTO gap (server_id, gap_number, gap_from, gap_to, cause, opened_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT DO UPDATE SET gap_from = min(gap_from, excluded.gap_from), gap_to = max(gap_to, excluded.gap_to),
        cause = iif(excluded.cause = '', cause, excluded.cause)
    WHERE closed_at IS NULL)sql";

constexpr const char* close_sql = R"sql(
    UPDATE gap SET closed_at = ?3, outcome = ?4, bindings_recovered = ?5
    WHERE server_id = ?1 AND gap_number = ?2 AND closed_at IS NULL)sql";

// The same message at the same time for the same reason is the same row: the batch is a repeated one.
constexpr const char* quarantine_sql = R"sql(
    INSERT INTO quarantine (server_id, at, reason, message, message_bytes)
    SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS
        (SELECT 1 FROM quarantine WHERE server_id = ?1 AND at = ?2 AND reason = ?3 AND message = ?4
                                    AND message_bytes = ?5))sql";

constexpr const char* trim_sql = R"sql(
    DELETE FROM quarantine WHERE server_id = ?1 AND quarantine_id NOT IN
        (SELECT quarantine_id FROM quarantine WHERE server_id = ?1 ORDER BY quarantine_id DESC LIMIT ?2))sql";

}  // namespace

std::vector<Gap> read_open_gaps(SQLite::Database& db, ServerId server) {
    SQLite::Statement statement(db, open_gaps_sql);
    Use use(statement);
    use.number(1, server);
    std::vector<Gap> out;
    while (use.step())
        out.push_back({static_cast<std::uint64_t>(use.number(0)), server_time_from_unix(use.number(1)),
                       server_time_from_unix(use.number(2)), std::string(use.text(3))});
    return out;
}

SqliteGaps::SqliteGaps(SQLite::Database& db) : open_(db, open_sql), widen_(db, widen_sql), close_(db, close_sql) {}

void SqliteGaps::apply(ServerId server, UtcSeconds now, const GapChange& change, std::uint64_t reconciled) {
    const auto number = static_cast<std::int64_t>(change.gap.number);
    if (change.kind == GapChange::Kind::close) {
        const auto outcome = storable_text(change.outcome);
        Use use(close_);
        use.number(1, server);
        use.number(2, number);
        use.time(3, now);
        use.text_or_null(4, outcome);
        use.number(5, static_cast<std::int64_t>(change.recovered + reconciled));
        use.run();
        return;
    }
    const auto cause = storable_text(change.gap.cause);
    Use use(change.kind == GapChange::Kind::open ? open_ : widen_);
    use.number(1, server);
    use.number(2, number);
    use.number(3, unix_seconds(change.gap.from));
    use.number(4, unix_seconds(change.gap.to));
    use.text(5, cause);
    use.time(6, now);
    use.run();
}

SqliteQuarantine::SqliteQuarantine(SQLite::Database& db) : insert_(db, quarantine_sql), trim_(db, trim_sql) {}

void SqliteQuarantine::add(ServerId server, std::span<const QuarantineEntry> entries) {
    if (entries.empty()) return;
    if (entries.size() > quarantine_rows_max) entries = entries.last(quarantine_rows_max);
    for (const auto& entry : entries) {
        const auto reason = storable_text(entry.reason);
        const auto kept = std::min(entry.message.size(), quarantine_message_bytes_max);
        Use use(insert_);
        use.number(1, server);
        use.time(2, entry.at);
        use.text(3, reason);
        use.bytes(4, ByteView(entry.message).first(kept));
        use.number(5, static_cast<std::int64_t>(entry.message.size()));
        use.run();
    }
    Use use(trim_);
    use.number(1, server);
    use.number(2, quarantine_rows_max);
    use.run();
}

}  // namespace leasemirror
