// Whether a file is ours, and of which version; and bringing it up to date.
#pragma once

#include "storage/schema_report.hpp"

#include <SQLiteCpp/Database.h>
#include <string>

namespace leasemirror {

[[nodiscard]] int known_sqlite_version();
/// All migrations, in order, each under a comment with its number.
[[nodiscard]] std::string sqlite_schema_sql();

/// The version in the database, 0 if it is empty. Throws StoreError `unusable` if it is of somebody else or newer
/// than we know. Reads only.
[[nodiscard]] int sqlite_version_found(SQLite::Database& db, const std::string& path);

/// For who only reads: throws StoreError `unavailable` if the version found is not the one we know, and says what to do.
void require_known_sqlite_version(SQLite::Database& db, const std::string& path);

/// Applies the migrations after `found`, each in a transaction of its own.
void migrate_sqlite(SQLite::Database& db, int found, const OnMigration& before_each);

}  // namespace leasemirror
