#include "storage/sqlite/marks.hpp"

#include <sqlite3.h>

namespace leasemirror {
namespace {

constexpr const char* kept_sql = "SELECT marked_run FROM server WHERE server_id = ?1";
constexpr const char* keep_sql = "UPDATE server SET marked_run = ?2 WHERE server_id = ?1";

void marked_run(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
    const auto& marks = *static_cast<const ListingMarks*>(sqlite3_user_data(context));
    sqlite3_result_int64(context, marks.run_of(sqlite3_value_int64(values[0]), sqlite3_value_int64(values[1])));
}

SQLite::Database& with_function(SQLite::Database& db, ListingMarks& marks) {
    db.createFunction("marked_run", 2, false, &marks, marked_run);
    return db;
}

}  // namespace

SqliteMarks::SqliteMarks(SQLite::Database& db) : kept_(with_function(db, marks_), kept_sql), keep_(db, keep_sql) {}

void SqliteMarks::begin(const Batch& batch) {
    if (batch.reconcile) {
        Use use(kept_);
        use.number(1, batch.server);
        require_marks(batch, use.step() ? use.number(0) : 0, marks_);
    }
    marks_.begin(batch);
}

void SqliteMarks::keep(ServerId server) {
    const auto run = marks_.run_to_keep(server);
    if (run == 0) return;
    Use use(keep_);
    use.number(1, server);
    use.number(2, run);
    use.run();
}

}  // namespace leasemirror
