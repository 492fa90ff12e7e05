#include "storage/postgres/loading.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace leasemirror {
namespace {

// By the identifiers, whose order has nothing to do with that of the addresses. They come back as they were.
constexpr PostgresSql note_sql{"note_left_out", R"sql(
    INSERT INTO meta (name, value)
    SELECT 'left out: ' || c.relname, convert_to(pg_get_indexdef(c.oid), 'UTF8')
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relkind = 'i' AND c.relname IN
        ('binding_client_id', 'binding_hw_addr', 'binding_relay_id', 'binding_remote_id', 'binding_circuit_id',
         'assignment_client_id', 'assignment_hw_addr', 'assignment_relay_id', 'assignment_remote_id',
         'assignment_circuit_id')
    RETURNING quote_ident(substr(name, length('left out: ') + 1)))sql"};
constexpr PostgresSql noted_sql{"left_out", R"sql(
    SELECT name, split_part(substr(name, length('left out: ') + 1), '_', 1), convert_from(value, 'UTF8')
    FROM meta WHERE name LIKE 'left out: %'
        AND (SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'binding'::regclass)
    ORDER BY name LIMIT 1)sql"};
constexpr PostgresSql any_left_out_sql{"any_left_out",
                                       "SELECT EXISTS (SELECT 1 FROM meta WHERE name LIKE 'left out: %')"};
constexpr PostgresSql forget_sql{"forget_left_out", "DELETE FROM meta WHERE name = $1"};

// Nobody else may leave out what is not theirs, nor make it again.
constexpr PostgresSql is_first_sql{"is_first_load", R"sql(
    SELECT last_full_sync_at IS NULL AND (SELECT coalesce(sum(bindings), 0) FROM binding_count) <= $2
           AND NOT EXISTS (SELECT 1 FROM assignment OFFSET $2)
           AND (SELECT bool_and(pg_has_role(c.relowner, 'USAGE')) FROM pg_class AS c
                WHERE c.oid IN ('binding'::regclass, 'assignment'::regclass))
    FROM server WHERE server_id = $1)sql"};

// Held by each session that loads; whoever gets it for itself alone knows that none does.
constexpr std::int64_t load_lock = 0x4c4d4c44;  // "LMLD"
constexpr PostgresSql share_lock_sql{"share_load_lock", "SELECT pg_try_advisory_lock_shared($1, $2)"};
constexpr PostgresSql unshare_lock_sql{"unshare_load_lock", "SELECT pg_advisory_unlock_shared($1, $2)"};
constexpr PostgresSql own_lock_sql{"own_load_lock", "SELECT pg_try_advisory_xact_lock($1, $2)"};

// Who reads for long is not made to wait behind us; and that is over before anybody takes it for a deadlock.
constexpr const char* lock_briefly_sql =
    "SET LOCAL lock_timeout TO '500ms'; LOCK TABLE assignment, binding IN ACCESS EXCLUSIVE MODE";
constexpr const char* lock_for_making_sql =
    "SET LOCAL lock_timeout TO 0; SET LOCAL statement_timeout TO 0; LOCK TABLE ";

/// Between two looks for what somebody else has left.
constexpr std::chrono::seconds look_interval{60};

bool says_yes(PostgresTransaction& transaction, const PostgresSql& sql, const Parameters& parameters = {}) {
    const auto answer = transaction.run(sql, parameters);
    return !answer.empty() && Fields(answer[0]).flag();
}

Parameters lock_of(const PostgresTransaction& transaction) {
    Parameters out;
    out.number(load_lock).number(transaction.schema_key());
    return out;
}

bool is_of_bulk(const Batch& batch) {
    return !batch.changes.empty() && batch.changes.begin()->run != 0;
}

/// Throws pqxx::sql_error where somebody reads for long.
void leave_out(PostgresTransaction& transaction) {
    transaction.execute(lock_briefly_sql);
    std::string names;
    for (const auto& row : transaction.run(note_sql))
        names.append(names.empty() ? "" : ", ").append(row[0].c_str());
    if (!names.empty()) transaction.execute("DROP INDEX " + names);
}

}  // namespace

bool restore_left_out_index(PostgresTransaction& transaction) {
    const auto noted = transaction.run(noted_sql);
    if (noted.empty()) return false;
    const std::string name = noted[0][0].c_str(), table = noted[0][1].c_str();
    std::string sql = noted[0][2].c_str();
    // Another session may have made it between our look and our lock.
    constexpr std::string_view create = "CREATE INDEX ";
    if (sql.starts_with(create)) sql.insert(create.size(), "IF NOT EXISTS ");
    transaction.execute(lock_for_making_sql + table + " IN SHARE ROW EXCLUSIVE MODE");
    transaction.execute(sql);
    transaction.run(forget_sql, Parameters().text(name));
    return true;
}

bool PostgresFirstLoad::takes_too_long(UtcSeconds now) const {
    return !loading_.empty() && (now - since_ > first_load_patience || now < since_);
}

PostgresFirstLoad::Step PostgresFirstLoad::before(const Batch& batch) {
    if (batch.now != searched_at_ && searches_clients(batch)) {
        searched_at_ = batch.now;
        must_search_ = true;
        return Step::restore;
    }
    if (takes_too_long(batch.now)) {
        loading_.clear();
        return Step::restore;
    }
    if (is_loaded(batch)) {
        const bool was_last = loading_.erase(batch.server) > 0 && loading_.empty();
        return was_last ? Step::restore : Step::none;
    }
    const bool may_be_first = batch.changes.size() >= first_load_batch_min && is_of_bulk(batch);
    return may_be_first && looked_at_.insert(batch.server).second ? Step::begin : Step::none;
}

void PostgresFirstLoad::begin(PostgresTransaction& transaction, const Batch& batch) {
    Parameters server;
    server.number(batch.server).number(first_load_rows_max);
    const bool joins = says_yes(transaction, any_left_out_sql);
    if (!joins && !says_yes(transaction, is_first_sql, server)) return;
    if (!has_lock_) has_lock_ = says_yes(transaction, share_lock_sql, lock_of(transaction));
    if (!has_lock_) return;  // they are just being made
    if (!joins) leave_out(transaction);
    if (loading_.empty()) since_ = batch.now;
    loading_.insert(batch.server);
}

bool PostgresFirstLoad::may_restore(PostgresTransaction& transaction) {
    if (std::exchange(must_search_, false)) return true;
    if (!loading_.empty() || !says_yes(transaction, any_left_out_sql)) return false;
    if (std::exchange(has_lock_, false)) says_yes(transaction, unshare_lock_sql, lock_of(transaction));
    return says_yes(transaction, own_lock_sql, lock_of(transaction));
}

bool PostgresFirstLoad::should_look(UtcSeconds now) {
    if (takes_too_long(now)) loading_.clear();
    const bool clock_went_back = next_look_ > now + look_interval;
    if (!loading_.empty() || (now < next_look_ && !clock_went_back)) return false;
    next_look_ = now + look_interval;
    return true;
}

void PostgresFirstLoad::forget_session() {
    loading_.clear();
    has_lock_ = false;
}

}  // namespace leasemirror
