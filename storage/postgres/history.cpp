#include "storage/postgres/history.hpp"

#include "storage/postgres/copy.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

namespace leasemirror {
namespace {

// The interval keeps the planner from looking for the maximum in the index of all ends.
constexpr PostgresSql last_ends_sql{"last_ends", R"sql(
    SELECT n.place, a.ended_at
    FROM unnest($2::text[], $3::text[], $4::inet[], $5::smallint[])
             WITH ORDINALITY AS n (vpn_id, kind, address, prefix_len, place)
         CROSS JOIN LATERAL
             (SELECT max(a.ended_at + interval '0') AS ended_at FROM assignment AS a
              WHERE a.address = n.address AND a.kind = n.kind AND a.prefix_len = n.prefix_len AND a.vpn_id = n.vpn_id
                AND a.server_id = $1) AS a
    WHERE a.ended_at IS NOT NULL)sql"};

constexpr PostgresSql any_end_sql{"any_end", "SELECT EXISTS (SELECT 1 FROM assignment WHERE ended_at IS NOT NULL)"};

constexpr PostgresSql new_ids_sql{"assignment_ids", R"sql(
    SELECT nextval(s.sequence)
    FROM (SELECT pg_get_serial_sequence('assignment', 'assignment_id')::regclass AS sequence OFFSET 0) AS s,
         generate_series(1, $1::bigint))sql"};

const std::string inserted_names =
    "server_id, assignment_id, vpn_id, kind, address, prefix_len, client_id, hw_addr, remote_id, began_at, ended_at, "
    "end_reason, began_inferred, ended_inferred, relay_id, circuit_id, subscriber_id, hostname";
const std::string insert_text = "INSERT INTO assignment (" + inserted_names + R"sql()
    SELECT $1::bigint, n.*
    FROM unnest($2::bigint[], $3::text[], $4::text[], $5::inet[], $6::smallint[], $7::bytea[], $8::text[], $9::bytea[],
        $10::timestamptz[], $11::timestamptz[], $12::text[], $13::boolean[], $14::boolean[],
        $15::bytea[], $16::bytea[], $17::bytea[], $18::text[]) AS n)sql";
const PostgresSql insert_sql{"insert_assignments", insert_text};

constexpr PostgresSql end_sql{"end_assignments", R"sql(
    UPDATE assignment AS a SET ended_at = n.ended_at, end_reason = n.end_reason, ended_inferred = n.inferred
    FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::boolean[])
        AS n (assignment_id, ended_at, end_reason, inferred)
    WHERE a.assignment_id = n.assignment_id)sql"};

// The same assignment may be told of more than once in a batch. Of who holds it the first word counts, of the line the last.
constexpr PostgresSql fill_sql{"fill_assignments", R"sql(
    UPDATE assignment AS a SET client_id = coalesce(a.client_id, n.client_id),
        hw_addr = coalesce(a.hw_addr, n.hw_addr), remote_id = coalesce(a.remote_id, n.remote_id),
        relay_id = coalesce(n.relay_id, a.relay_id), circuit_id = coalesce(n.circuit_id, a.circuit_id),
        subscriber_id = coalesce(n.subscriber_id, a.subscriber_id), hostname = coalesce(n.hostname, a.hostname)
    FROM (SELECT assignment_id, (array_agg(client_id ORDER BY place) FILTER (WHERE client_id IS NOT NULL))[1],
                 (array_agg(hw_addr ORDER BY place) FILTER (WHERE hw_addr IS NOT NULL))[1],
                 (array_agg(remote_id ORDER BY place) FILTER (WHERE remote_id IS NOT NULL))[1],
                 (array_agg(relay_id ORDER BY place DESC) FILTER (WHERE relay_id IS NOT NULL))[1],
                 (array_agg(circuit_id ORDER BY place DESC) FILTER (WHERE circuit_id IS NOT NULL))[1],
                 (array_agg(subscriber_id ORDER BY place DESC) FILTER (WHERE subscriber_id IS NOT NULL))[1],
                 (array_agg(hostname ORDER BY place DESC) FILTER (WHERE hostname IS NOT NULL))[1]
          FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[], $8::text[])
              WITH ORDINALITY AS f (assignment_id, client_id, hw_addr, remote_id, relay_id, circuit_id, subscriber_id,
                                    hostname, place)
          GROUP BY assignment_id)
         AS n (assignment_id, client_id, hw_addr, remote_id, relay_id, circuit_id, subscriber_id, hostname)
    WHERE a.assignment_id = n.assignment_id)sql"};

// The lock of the feed, its rows and the wake-up in one statement: others wait for the lock meanwhile. The rows are joined
// to it, so that it is held before the first of them gets its number.
constexpr PostgresSql feed_sql{"write_feed", R"sql(
    WITH written AS (
        INSERT INTO binding_change (at, server_id, vpn_id, kind, address, prefix_len, change, state, client_id,
            expires_at, detail, inferred)
        SELECT $1::timestamptz, $2::bigint, n.vpn_id, n.kind, n.address, n.prefix_len, n.change, n.state, n.client_id,
               n.expires_at, n.detail, n.inferred
        FROM (SELECT pg_advisory_xact_lock($3, $4) OFFSET 0) AS locked
             CROSS JOIN unnest($6::text[], $7::text[], $8::inet[], $9::smallint[], $10::text[], $11::text[], $12::bytea[],
                               $13::timestamptz[], $14::jsonb[], $15::boolean[])
                 WITH ORDINALITY AS n (vpn_id, kind, address, prefix_len, change, state, client_id, expires_at, detail,
                                       inferred, place)
        ORDER BY n.place
        RETURNING seq)
    SELECT pg_notify('leasemirror', max(seq)::text) FROM written HAVING $5)sql"};

const std::string copied_feed_names =
    "at, server_id, vpn_id, kind, address, prefix_len, change, state, client_id, expires_at, detail, inferred";

constexpr PostgresSql lock_sql{"lock_feed", "SELECT pg_advisory_xact_lock($1, $2)"};
constexpr std::int64_t feed_lock = 0x4c4d4946;  // "LMIF"

// Under the lock the highest number is our own last one.
constexpr PostgresSql notify_sql{
    "notify", "SELECT pg_notify('leasemirror', max(seq)::text) FROM binding_change HAVING max(seq) IS NOT NULL"};

constexpr std::size_t key_columns = 4;
template <class Rows>
void put_key(Rows& rows, const BindingKey& key) {
    rows.next().text(key.vpn_id);
    rows.next().word(to_string(key.kind));
    rows.next().address(key.address);
    rows.next().number(std::int64_t{key.prefix_len});
}

template <class Rows>
void put_line(Rows& rows, const LineDetails& line) {
    rows.next().bytes_or_null(line.relay_id);
    rows.next().bytes_or_null(line.circuit_id);
    rows.next().bytes_or_null(line.subscriber_id);
    rows.next().text_or_null(line.hostname);
}

/// For all new assignments, whether they stay open or not; in their order.
std::vector<std::int64_t> new_ids(PostgresTransaction& transaction, std::size_t count) {
    std::vector<std::int64_t> out;
    if (count == 0) return out;
    out.reserve(count);
    for (const auto& row : transaction.run(new_ids_sql, Parameters().number(static_cast<std::int64_t>(count))))
        out.push_back(Fields(row).number());
    return out;
}

template <class Rows>
void put_assignments(Rows& rows, Ledger& ledger, EntryRange entries, std::span<const std::int64_t> ids) {
    for (const auto& assignment : ledger.new_assignments()) {
        if (!entries.contains(assignment.entry)) continue;
        const auto id = ids[rows.rows()];
        auto& binding = ledger.entries()[assignment.entry].row;
        if (!assignment.ended_at) binding.assignment_id = id;
        rows.begin_row();
        rows.next().number(id);
        put_key(rows, binding.key);
        rows.next().bytes_or_null(assignment.client_id);
        rows.next().text_or_null(assignment.hw_addr);
        rows.next().bytes_or_null(assignment.remote_id);
        rows.next().time(assignment.began_at);
        rows.next().time(assignment.ended_at);
        rows.next().word(to_string(assignment.end_reason));
        rows.next().flag(assignment.began_inferred);
        rows.next().flag(assignment.ended_inferred);
        put_line(rows, assignment.line);
    }
}

void insert_assignments(PostgresTransaction& transaction, ServerId server, Ledger& ledger, EntryRange entries) {
    const auto news = ledger.new_assignments();
    const auto count = static_cast<std::size_t>(
        std::count_if(news.begin(), news.end(), [&](const auto& a) { return entries.contains(a.entry); }));
    const auto ids = new_ids(transaction, count);
    if (count >= copy_rows_min) {
        CopyRows rows(transaction, "assignment", inserted_names, [&](CopyRow& row) { row.number(server); });
        put_assignments(rows, ledger, entries, ids);
        rows.complete();
    } else if (count > 0) {
        ArrayParameters rows(key_columns + 13);
        put_assignments(rows, ledger, entries, ids);
        transaction.run(insert_sql, Parameters().number(server).arrays(rows));
    }
}

template <class Rows>
void put_feed(Rows& rows, Ledger& ledger, EntryRange entries) {
    for (const auto& change : ledger.feed()) {
        if (!entries.contains(change.entry)) continue;
        rows.begin_row();
        put_key(rows, ledger.entries()[change.entry].row.key);
        rows.next().word(to_string(change.change));
        rows.next().word(to_string(change.state));
        rows.next().bytes_or_null(change.client_id);
        rows.next().time(change.expires_at);
        rows.next().text(change.detail);
        rows.next().flag(change.inferred);
    }
}

}  // namespace

void load_last_ends(PostgresTransaction& transaction, ServerId server, Ledger& ledger, std::optional<bool>& any) {
    const auto keys = ledger.unknown_keys();
    if (keys.empty()) return;
    if (keys.size() >= copy_rows_min && !any) any = Fields(transaction.run(any_end_sql)[0]).flag();
    if (any == false) return;
    ArrayParameters rows(key_columns);
    for (const auto& key : keys) {
        rows.begin_row();
        put_key(rows, key);
    }
    for (const auto& row : transaction.run(last_ends_sql, Parameters().number(server).arrays(rows))) {
        Fields fields(row);
        const auto place = static_cast<std::size_t>(fields.number() - 1);
        ledger.add_last_end(keys.at(place), fields.time().value_or(UtcSeconds{}));
    }
}

void write_assignments(PostgresTransaction& transaction, ServerId server, Ledger& ledger, EntryRange entries) {
    ArrayParameters ended(4), filled(8);
    for (const auto& end : ledger.assignment_ends()) {
        if (!entries.contains(end.entry)) continue;
        ended.begin_row();
        ended.next().number(end.assignment_id);
        ended.next().time(end.ended_at);
        ended.next().word(to_string(end.end_reason));
        ended.next().flag(end.inferred);
    }
    for (const auto& fill : ledger.assignment_fills()) {
        if (!entries.contains(fill.entry)) continue;
        filled.begin_row();
        filled.next().number(fill.assignment_id);
        filled.next().bytes_or_null(fill.client_id);
        filled.next().text_or_null(fill.hw_addr);
        filled.next().bytes_or_null(fill.remote_id);
        put_line(filled, fill.line);
    }
    if (ended.rows() > 0) transaction.run(end_sql, Parameters().arrays(ended));
    if (filled.rows() > 0) transaction.run(fill_sql, Parameters().arrays(filled));
    insert_assignments(transaction, server, ledger, entries);
}

void PostgresFeed::write(ServerId server, UtcSeconds now, Ledger& ledger, EntryRange entries, Then then) {
    const auto feed = ledger.feed();
    const auto count = static_cast<std::size_t>(
        std::count_if(feed.begin(), feed.end(), [&](const FeedRow& row) { return entries.contains(row.entry); }));
    if (count >= copy_rows_min) {
        lock();
        CopyRows rows(transaction_, "binding_change", copied_feed_names,
                      [&](CopyRow& row) { row.time(now), row.number(server); });
        put_feed(rows, ledger, entries);
        rows.complete();
    } else if (count > 0) {
        ArrayParameters rows(key_columns + 6);
        put_feed(rows, ledger, entries);
        Parameters parameters;
        parameters.time(now).number(server).number(feed_lock).number(transaction_.schema_key());
        transaction_.run(feed_sql, parameters.flag(then == Then::commit).arrays(rows));
        must_notify_ = then != Then::commit;
    }
}

void PostgresFeed::lock() {
    if (!std::exchange(locked_, true))
        transaction_.run(lock_sql, Parameters().number(feed_lock).number(transaction_.schema_key()));
    must_notify_ = true;
}

void PostgresFeed::notify() {
    if (must_notify_) transaction_.run(notify_sql);
}

}  // namespace leasemirror
