#include "storage/sqlite/history.hpp"

namespace leasemirror {
namespace {

constexpr const char* any_end_sql = "SELECT 1 FROM assignment WHERE ended_at IS NOT NULL LIMIT 1";

constexpr const char* last_end_sql = R"sql(
    SELECT count(*), max(ended_at) FROM assignment INDEXED BY assignment_address
    WHERE address = ?4 AND kind = ?3 AND prefix_len = ?5 AND vpn_id = ?2 AND server_id = ?1)sql";

constexpr const char* insert_sql = R"sql(
    INSERT INTO assignment (server_id, vpn_id, kind, address, prefix_len, address_key, last_key, client_id, hw_addr,
        remote_id, began_at, ended_at, end_reason, began_inferred, ended_inferred, inferred, relay_id, circuit_id,
        subscriber_id, hostname)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?14 | ?15, ?16, ?17, ?18, ?19))sql";

constexpr const char* end_sql = R"sql(
    UPDATE assignment SET ended_at = ?2, end_reason = ?3, ended_inferred = ?4, inferred = began_inferred | ?4
    WHERE assignment_id = ?1)sql";

constexpr const char* fill_sql = R"sql(
    UPDATE assignment SET client_id = coalesce(client_id, ?2), hw_addr = coalesce(hw_addr, ?3),
        remote_id = coalesce(remote_id, ?4), relay_id = coalesce(?5, relay_id), circuit_id = coalesce(?6, circuit_id),
        subscriber_id = coalesce(?7, subscriber_id), hostname = coalesce(?8, hostname)
    WHERE assignment_id = ?1)sql";

constexpr const char* feed_sql = R"sql(
    INSERT INTO binding_change (server_id, vpn_id, kind, address, prefix_len, at, change, state, client_id, expires_at,
        detail, inferred)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12))sql";

const char* word_of(EndReason reason) {
    return reason == EndReason::none ? nullptr : to_string(reason).data();
}

std::int64_t flag(bool set) {
    return set ? 1 : 0;
}

void bind_line(Use& use, int first, const LineDetails& line) {
    use.bytes_or_null(first, line.relay_id);
    use.bytes_or_null(first + 1, line.circuit_id);
    use.bytes_or_null(first + 2, line.subscriber_id);
    use.text_or_null(first + 3, line.hostname);
}

}  // namespace

SqliteHistory::SqliteHistory(SQLite::Database& db)
    : db_(db),
      any_end_(db, any_end_sql),
      last_end_(db, last_end_sql),
      insert_(db, insert_sql),
      end_(db, end_sql),
      fill_(db, fill_sql),
      feed_(db, feed_sql) {}

void SqliteHistory::load_last_ends(ServerId server, Ledger& ledger) {
    {
        // A first full bulk asks for a million keys: nothing has ended yet.
        Use any(any_end_);
        if (!any.step()) return;
    }
    for (const auto& key : ledger.unknown_keys()) {
        Use use(last_end_);
        key_.bind(use, server, key);
        use.step();
        if (const auto ended_at = use.time(1)) ledger.add_last_end(key, *ended_at);
    }
}

void SqliteHistory::write_assignments(ServerId server, Ledger& ledger, EntryRange entries) {
    for (const auto& end : ledger.assignment_ends()) {
        if (!entries.contains(end.entry)) continue;
        Use use(end_);
        use.number(1, end.assignment_id);
        use.time(2, end.ended_at);
        use.word(3, word_of(end.end_reason));
        use.number(4, flag(end.inferred));
        use.run();
    }
    for (const auto& fill : ledger.assignment_fills()) {
        if (!entries.contains(fill.entry)) continue;
        Use use(fill_);
        use.number(1, fill.assignment_id);
        use.bytes_or_null(2, fill.client_id);
        use.text_or_null(3, fill.hw_addr);
        use.bytes_or_null(4, fill.remote_id);
        bind_line(use, 5, fill.line);
        use.run();
    }
    for (const auto& assignment : ledger.new_assignments())
        if (entries.contains(assignment.entry)) insert(server, assignment, ledger.entries()[assignment.entry].row);
}

void SqliteHistory::insert(ServerId server, const NewAssignment& assignment, BindingRow& row) {
    Use use(insert_);
    key_.bind_new(use, server, row.key);
    use.bytes_or_null(8, assignment.client_id);
    use.text_or_null(9, assignment.hw_addr);
    use.bytes_or_null(10, assignment.remote_id);
    use.time(11, assignment.began_at);
    use.time(12, assignment.ended_at);
    use.word(13, word_of(assignment.end_reason));
    use.number(14, flag(assignment.began_inferred));
    use.number(15, flag(assignment.ended_inferred));
    bind_line(use, 16, assignment.line);
    use.run();
    if (!assignment.ended_at) row.assignment_id = db_.getLastInsertRowid();
}

void SqliteHistory::write_feed(ServerId server, UtcSeconds now, Ledger& ledger, EntryRange entries) {
    for (const auto& change : ledger.feed()) {
        if (!entries.contains(change.entry)) continue;
        Use use(feed_);
        key_.bind(use, server, ledger.entries()[change.entry].row.key);
        use.time(6, now);
        use.word(7, to_string(change.change).data());
        use.word(8, to_string(change.state).data());
        use.bytes_or_null(9, change.client_id);
        use.time(10, change.expires_at);
        use.text(11, change.detail);
        use.number(12, flag(change.inferred));
        use.run();
    }
}

}  // namespace leasemirror
