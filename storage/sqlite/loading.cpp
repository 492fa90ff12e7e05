#include "storage/sqlite/loading.hpp"

#include <SQLiteCpp/Transaction.h>

#include <string>
#include <vector>

namespace leasemirror {
namespace {

// By the identifiers, whose order has nothing to do with that of the addresses.
constexpr const char* left_out[] = {"binding_client_id",    "binding_hw_addr",     "binding_relay_id",
                                    "binding_remote_id",    "binding_circuit_id",  "assignment_client_id",
                                    "assignment_hw_addr",   "assignment_relay_id", "assignment_remote_id",
                                    "assignment_circuit_id"};

// As they stand in the schema, so that they come back as they were; DROP INDEX also loses what the planner knows of them.
constexpr const char* note_sql = R"sql(
    INSERT INTO meta (name, value)
    SELECT 'left out: ' || name, CAST(sql AS BLOB) FROM sqlite_schema WHERE type = 'index' AND name = ?1
    UNION ALL
    SELECT 'left out, stat: ' || idx, CAST(stat AS BLOB) FROM sqlite_stat1 WHERE idx = ?1)sql";

constexpr const char* any_left_out_sql =
    "SELECT 1 FROM meta WHERE name >= 'left out: ' AND name < 'left out:!' LIMIT 1";
constexpr const char* noted_sql = "SELECT CAST(value AS TEXT) FROM meta WHERE name LIKE 'left out: %' ORDER BY name";
constexpr const char* restore_stat_sql = R"sql(
    INSERT INTO sqlite_stat1 (tbl, idx, stat)
    SELECT tbl_name, s.name, CAST(value AS TEXT)
    FROM meta JOIN sqlite_schema AS s ON s.type = 'index' AND meta.name = 'left out, stat: ' || s.name)sql";
constexpr const char* forget_sql = "DELETE FROM meta WHERE name LIKE 'left out%'";

constexpr const char* is_first_sql = R"sql(
    SELECT last_full_sync_at IS NULL AND (SELECT coalesce(sum(bindings), 0) FROM binding_count) <= ?2
    FROM server WHERE server_id = ?1)sql";

bool has(SQLite::Database& db, const char* sql) {
    SQLite::Statement statement(db, sql);
    return statement.executeStep();
}

void make_noted_indexes(SQLite::Database& db) {
    std::vector<std::string> noted;
    {
        SQLite::Statement statement(db, noted_sql);
        for (Use use(statement); use.step();)
            noted.emplace_back(use.text(0));
    }
    for (const auto& sql : noted)
        db.exec(sql);
    db.exec(restore_stat_sql);
    db.exec(forget_sql);
    db.exec("ANALYZE sqlite_schema");  // reads the figures of sqlite_stat1 anew
}

}  // namespace

void restore_left_out_indexes(SQLite::Database& db) {
    SQLite::Transaction transaction(db, SQLite::TransactionBehavior::IMMEDIATE);
    if (!has(db, any_left_out_sql)) return;
    make_noted_indexes(db);
    transaction.commit();
}

SqliteFirstLoad::SqliteFirstLoad(SQLite::Database& db)
    : db_(db), any_left_out_(db, any_left_out_sql), is_first_(db, is_first_sql) {}

void SqliteFirstLoad::begin(const Batch& batch) {
    const bool is_under_way = under_way();
    if (batch.begin_run && (is_under_way || is_first(batch.server))) {
        if (!is_under_way) {
            leave_out();
            loading_.clear();
            since_ = batch.now;
        }
        loading_.insert(batch.server);
    }
    if (searches_clients(batch) && under_way()) restore();
}

void SqliteFirstLoad::finish(const Batch& batch) {
    if (!under_way()) return;
    if (is_loaded(batch)) loading_.erase(batch.server);
    if (loading_.empty()) return restore();
    on_time(batch.now);
}

void SqliteFirstLoad::on_time(UtcSeconds now) {
    const bool too_long = now - since_ > first_load_patience || now < since_;
    if (too_long && under_way()) restore();
}

/// By what the database says: a transaction of ours may have been rolled back.
bool SqliteFirstLoad::under_way() {
    Use use(any_left_out_);
    return use.step();
}

bool SqliteFirstLoad::is_first(ServerId server) {
    Use use(is_first_);
    use.number(1, server);
    use.number(2, first_load_rows_max);
    return use.step() && use.number(0) != 0;
}

void SqliteFirstLoad::leave_out() {
    for (const auto* index : left_out) {
        SQLite::Statement note(db_, note_sql);
        note.bind(1, index);
        if (note.exec() > 0) db_.exec(std::string("DROP INDEX ") + index);
    }
}

void SqliteFirstLoad::restore() {
    make_noted_indexes(db_);
    loading_.clear();
}

}  // namespace leasemirror
