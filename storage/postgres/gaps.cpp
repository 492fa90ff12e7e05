#include "storage/postgres/gaps.hpp"

#include "storage/ledger/stored_text.hpp"
#include "storage/quarantine_limits.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

constexpr PostgresSql open_gaps_sql{"open_gaps", R"sql(
    SELECT server_id, gap_number, gap_from, gap_to, cause FROM gap
    WHERE server_id = ANY ($1::bigint[]) AND closed_at IS NULL ORDER BY server_id, gap_number)sql"};

// A number that is there already, open or closed, is this very gap: the batch is a repeated one.
constexpr PostgresSql open_sql{"open_gap", R"sql(
    INSERT INTO gap (server_id, gap_number, gap_from, gap_to, cause, opened_at) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT DO NOTHING)sql"};

// Never narrower, whatever comes in which order; and a gap that is not there opens.
constexpr PostgresSql widen_sql{"widen_gap", R"sql(
    INSERT INTO gap (server_id, gap_number, gap_from, gap_to, cause, opened_at) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (server_id, gap_number) DO UPDATE SET gap_from = least(gap.gap_from, excluded.gap_from),
        gap_to = greatest(gap.gap_to, excluded.gap_to), cause = coalesce(nullif(excluded.cause, ''), gap.cause)
    WHERE gap.closed_at IS NULL)sql"};

constexpr PostgresSql close_sql{"close_gap", R"sql(
    UPDATE gap SET closed_at = $3, outcome = $4, bindings_recovered = $5
    WHERE server_id = $1 AND gap_number = $2 AND closed_at IS NULL)sql"};

// The same message at the same time for the same reason is the same row: the batch is a repeated one.
constexpr PostgresSql quarantine_sql{"quarantine", R"sql(
    INSERT INTO quarantine (server_id, at, reason, message, message_bytes)
    SELECT $1::bigint, n.at, n.reason, n.message, n.message_bytes
    FROM unnest($2::timestamptz[], $3::text[], $4::bytea[], $5::bigint[])
        WITH ORDINALITY AS n (at, reason, message, message_bytes, place)
    WHERE NOT EXISTS (SELECT 1 FROM quarantine AS q WHERE q.server_id = $1 AND q.at = n.at AND q.reason = n.reason
                          AND q.message = n.message AND q.message_bytes = n.message_bytes)
    GROUP BY n.at, n.reason, n.message, n.message_bytes ORDER BY min(n.place))sql"};

constexpr std::size_t statement_bytes_max = 4U << 20;  // of messages that are sent at once

constexpr PostgresSql trim_sql{"trim_quarantine", R"sql(
    DELETE FROM quarantine WHERE server_id = $1 AND quarantine_id <=
        (SELECT quarantine_id FROM quarantine WHERE server_id = $1 ORDER BY quarantine_id DESC OFFSET $2 LIMIT 1))sql"};

void apply_gap_change(PostgresTransaction& transaction, const Batch& batch, const GapChange& change,
                      std::uint64_t reconciled) {
    Parameters parameters;
    parameters.number(batch.server).number(static_cast<std::int64_t>(change.gap.number));
    if (change.kind == GapChange::Kind::close) {
        parameters.time(batch.now).text_or_null(storable_text(change.outcome));
        parameters.number(static_cast<std::int64_t>(change.recovered + reconciled));
        transaction.run(close_sql, parameters);
        return;
    }
    parameters.time(change.gap.from).time(change.gap.to).text(storable_text(change.gap.cause)).time(batch.now);
    transaction.run(change.kind == GapChange::Kind::open ? open_sql : widen_sql, parameters);
}

bool both_widen(const GapChange& a, const GapChange& b) {
    return a.kind == GapChange::Kind::widen && b.kind == GapChange::Kind::widen && a.gap.number == b.gap.number;
}

}  // namespace

std::map<ServerId, std::vector<Gap>> read_open_gaps(PostgresTransaction& transaction,
                                                    std::span<const ServerId> servers) {
    ArrayParameter ids;
    for (const auto server : servers)
        ids.number(server);
    std::map<ServerId, std::vector<Gap>> out;
    for (const auto& row : transaction.run(open_gaps_sql, Parameters().array(ids))) {
        Fields fields(row);
        auto& gap = out[fields.number()].emplace_back();
        gap.number = static_cast<std::uint64_t>(fields.number());
        gap.from = fields.server_time().value_or(ServerTime{});
        gap.to = fields.server_time().value_or(ServerTime{});
        gap.cause = fields.text();
    }
    return out;
}

void apply_gap_changes(PostgresTransaction& transaction, const Batch& batch, std::uint64_t reconciled) {
    // A stream of messages that nobody understands widens one gap with each of them: one statement for all of these.
    for (std::size_t i = 0; i < batch.gaps.size(); ++i) {
        auto change = batch.gaps[i];
        while (i + 1 < batch.gaps.size() && both_widen(change, batch.gaps[i + 1])) {
            const auto& next = batch.gaps[++i].gap;
            change.gap.from = std::min(change.gap.from, next.from);
            change.gap.to = std::max(change.gap.to, next.to);
            if (!next.cause.empty()) change.gap.cause = next.cause;
        }
        apply_gap_change(transaction, batch, change, reconciled);
    }
}

void add_to_quarantine(PostgresTransaction& transaction, ServerId server, std::span<const QuarantineEntry> entries) {
    if (entries.empty()) return;
    if (entries.size() > quarantine_rows_max) entries = entries.last(quarantine_rows_max);
    while (!entries.empty()) {
        ArrayParameters rows(4);
        std::size_t bytes = 0;
        for (; !entries.empty() && bytes < statement_bytes_max; entries = entries.subspan(1)) {
            const auto& entry = entries.front();
            const auto kept =
                ByteView(entry.message).first(std::min(entry.message.size(), quarantine_message_bytes_max));
            bytes += kept.size();
            rows.begin_row();
            rows.next().time(entry.at);
            rows.next().text(storable_text(entry.reason));
            rows.next().bytes(kept);
            rows.next().number(static_cast<std::int64_t>(entry.message.size()));
        }
        transaction.run(quarantine_sql, Parameters().number(server).arrays(rows));
    }
    transaction.run(trim_sql, Parameters().number(server).number(quarantine_rows_max));
}

}  // namespace leasemirror
