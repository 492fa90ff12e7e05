#include "storage/sqlite/schema.hpp"

#include "storage/migration.hpp"
#include "storage/store_error.hpp"

#include <SQLiteCpp/Transaction.h>

namespace leasemirror {
namespace {

// "LMIR". In the header of every database of ours from the transaction that creates its first table.
constexpr int application_id = 0x4c4d4952;

int pragma(SQLite::Database& db, const char* query) {
    return db.execAndGet(query).getInt();
}

[[noreturn]] void refuse_foreign(const std::string& path) {
    throw StoreError(StoreFault::unusable, path +
                                               " is a SQLite database, but not a leasemirror database; it was left "
                                               "as it is: point storage.url at another file");
}

}  // namespace

int known_sqlite_version() {
    return static_cast<int>(sqlite_migrations.size());
}

std::string sqlite_schema_sql() {
    std::string out = "PRAGMA application_id = " + std::to_string(application_id) + ";\n";
    int version = 0;
    for (const auto& migration : sqlite_migrations) {
        out.append("\n-- ").append(migration.file).append("\n").append(migration.sql);
        out.append("PRAGMA user_version = ").append(std::to_string(++version)).append(";\n");
    }
    return out;
}

int sqlite_version_found(SQLite::Database& db, const std::string& path) {
    const int id = pragma(db, "PRAGMA application_id");
    const int version = pragma(db, "PRAGMA user_version");
    if (id != application_id) {
        const bool empty = id == 0 && version == 0 && pragma(db, "SELECT count(*) FROM sqlite_schema") == 0;
        if (!empty) refuse_foreign(path);
        return 0;
    }
    if (version > known_sqlite_version())
        throw StoreError(StoreFault::unusable, path + " has schema version " + std::to_string(version) +
                                                   ", and this leasemirror knows versions up to " +
                                                   std::to_string(known_sqlite_version()) +
                                                   ": it was left as it is; upgrade leasemirror");
    return version;
}

void require_known_sqlite_version(SQLite::Database& db, const std::string& path) {
    const int found = sqlite_version_found(db, path);
    if (found == known_sqlite_version()) return;
    throw StoreError(StoreFault::unavailable, path + " has schema version " + std::to_string(found) + " and needs " +
                                                  std::to_string(known_sqlite_version()) +
                                                  ": start the agent, or run 'leasemirror schema migrate'");
}

void migrate_sqlite(SQLite::Database& db, int found, const OnMigration& before_each) {
    for (int version = found; version < known_sqlite_version(); ++version) {
        const auto& migration = sqlite_migrations[static_cast<std::size_t>(version)];
        if (before_each) before_each({migration.file, version + 1, known_sqlite_version()});
        SQLite::Transaction transaction(db, SQLite::TransactionBehavior::IMMEDIATE);
        db.exec("PRAGMA application_id = " + std::to_string(application_id));
        db.exec(std::string(migration.sql));
        db.exec("PRAGMA user_version = " + std::to_string(version + 1));
        transaction.commit();
    }
}

}  // namespace leasemirror
