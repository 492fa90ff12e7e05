#include "storage/postgres/loading.hpp"

#include <string>
#include <vector>

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
constexpr PostgresSql noted_sql{
    "left_out", "SELECT convert_from(value, 'UTF8') FROM meta WHERE name LIKE 'left out: %' ORDER BY name"};
constexpr PostgresSql any_left_out_sql{"any_left_out",
                                       "SELECT EXISTS (SELECT 1 FROM meta WHERE name LIKE 'left out: %')"};
constexpr const char* forget_sql = "DELETE FROM meta WHERE name LIKE 'left out: %'";

constexpr PostgresSql is_first_sql{"is_first_load", R"sql(
    SELECT last_full_sync_at IS NULL AND (SELECT coalesce(sum(bindings), 0) FROM binding_count) <= $2
           AND NOT EXISTS (SELECT 1 FROM assignment OFFSET $2)
    FROM server WHERE server_id = $1)sql"};

// Held by each session that loads; whoever gets it for itself alone knows that none does.
constexpr std::int64_t load_lock = 0x4c4d4c44;  // "LMLD"
constexpr PostgresSql share_lock_sql{"share_load_lock", "SELECT pg_try_advisory_lock_shared($1, $2)"};
constexpr PostgresSql unshare_lock_sql{"unshare_load_lock", "SELECT pg_advisory_unlock_shared($1, $2)"};
constexpr PostgresSql own_lock_sql{"own_load_lock", "SELECT pg_try_advisory_xact_lock($1, $2)"};

// Who reads for long is not made to wait behind us.
constexpr const char* lock_briefly_sql =
    "SET LOCAL lock_timeout TO '1s'; LOCK TABLE binding, assignment IN ACCESS EXCLUSIVE MODE";
constexpr const char* lock_for_making_sql =
    "SET LOCAL lock_timeout TO 0; SET LOCAL statement_timeout TO 0; "
    "LOCK TABLE binding, assignment IN SHARE ROW EXCLUSIVE MODE";

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

/// Throws pqxx::sql_error where somebody reads for long, or the role does not own the tables.
void leave_out(PostgresTransaction& transaction) {
    transaction.execute(lock_briefly_sql);
    std::string names;
    for (const auto& row : transaction.run(note_sql))
        names.append(names.empty() ? "" : ", ").append(row[0].c_str());
    if (!names.empty()) transaction.execute("DROP INDEX " + names);
}

}  // namespace

void restore_left_out_indexes(PostgresTransaction& transaction) {
    if (!says_yes(transaction, any_left_out_sql)) return;
    transaction.execute(lock_for_making_sql);
    std::vector<std::string> noted;  // read under the lock: another session may have made them meanwhile
    for (const auto& row : transaction.run(noted_sql))
        noted.emplace_back(row[0].c_str());
    for (const auto& sql : noted)
        transaction.execute(sql);
    transaction.execute(forget_sql);
}

PostgresFirstLoad::Step PostgresFirstLoad::before(const Batch& batch) {
    if (searches_clients(batch) && batch.now != searched_at_) {
        searched_at_ = batch.now;
        return Step::restore;
    }
    if (!loading_.empty()) {
        const bool too_long = batch.now - since_ > first_load_patience || batch.now < since_;
        if (too_long || (loading_.contains(batch.server) && is_loaded(batch))) return Step::end;
    }
    const bool may_be_first = batch.changes.size() >= first_load_batch_min && is_of_bulk(batch) && !is_loaded(batch);
    return may_be_first && looked_at_.insert(batch.server).second ? Step::begin : Step::none;
}

void PostgresFirstLoad::begin(PostgresTransaction& transaction, const Batch& batch) {
    Parameters server;
    server.number(batch.server).number(first_load_rows_max);
    const bool joins = says_yes(transaction, any_left_out_sql);
    if (!joins) {
        if (!says_yes(transaction, is_first_sql, server)) return;
        leave_out(transaction);
    }
    if (loading_.empty()) {
        if (!says_yes(transaction, share_lock_sql, lock_of(transaction))) return;  // they are just being made
        since_ = batch.now;
    }
    loading_.insert(batch.server);
}

void PostgresFirstLoad::end(PostgresTransaction& transaction, const Batch& batch) {
    if (is_loaded(batch))
        loading_.erase(batch.server);
    else
        loading_.clear();
    if (!loading_.empty()) return;
    restore_if_abandoned(transaction);
    says_yes(transaction, unshare_lock_sql, lock_of(transaction));
}

void PostgresFirstLoad::restore_if_abandoned(PostgresTransaction& transaction) {
    others_load_ = false;
    if (!says_yes(transaction, any_left_out_sql)) return;
    others_load_ = !says_yes(transaction, own_lock_sql, lock_of(transaction));
    if (!others_load_) restore_left_out_indexes(transaction);
}

void PostgresFirstLoad::forget_session() {
    loading_.clear();
    others_load_ = false;
}

}  // namespace leasemirror
