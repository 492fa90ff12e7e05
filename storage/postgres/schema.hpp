// Whether the tables in a schema are ours, and of which version; and bringing them up to date. Only for this folder.
#pragma once

#include "storage/postgres/connection.hpp"
#include "storage/schema_report.hpp"

#include <string>

namespace leasemirror {

[[nodiscard]] int known_postgres_version();
/// All migrations, in order, each under a comment with its number; `schema` as in StoreSettings.
[[nodiscard]] std::string postgres_schema_sql(const std::string& schema);

/// The version in the connection's schema, 0 if there is nothing of ours. Reads only. Throws StoreError `unusable` if
/// tables with our names are somebody else's, or newer than we know.
[[nodiscard]] int postgres_version_found(PostgresConnection& connection);
/// For readers: throws StoreError unless it is the version that we know.
void require_current_postgres_schema(PostgresConnection& connection);

/// Creates the schema where it is named and missing, and applies the migrations that are, each in a transaction of its
/// own. Waits for another one who is at it. Where nothing is missing it needs no rights and changes nothing.
void migrate_postgres(PostgresConnection& connection, const OnMigration& before_each = {});

}  // namespace leasemirror
