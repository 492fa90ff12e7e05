// What `schema` asks of a SQLite database.
#include "storage/file_lock.hpp"
#include "storage/sqlite_error.hpp"
#include "storage/sqlite_schema.hpp"
#include "storage/sqlite_store.hpp"

#include <filesystem>

namespace leasemirror {

SchemaVersion sqlite_schema_version(const std::string& path) {
    if (!std::filesystem::exists(path)) return {0, known_sqlite_version()};
    auto db = open_for_reading(path);
    const int found = translated(path, "read the schema version", [&] { return sqlite_version_found(db, path); });
    return {found, known_sqlite_version()};
}

int migrate_sqlite_schema(const std::string& path) {
    refuse_foreign_file(path);
    // An agent at work has migrated already: no need to fight it for the lock.
    const auto version = sqlite_schema_version(path);
    if (version.found == version.known) return version.found;
    const FileLock lock(path);
    auto db = open_for_writing(path, {});
    return translated(path, "read the schema version", [&] { return sqlite_version_found(db, path); });
}

}  // namespace leasemirror
