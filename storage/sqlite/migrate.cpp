// What `schema` and `check` ask of a SQLite database.
#include "storage/sqlite/error.hpp"
#include "storage/sqlite/file_lock.hpp"
#include "storage/sqlite/reader.hpp"
#include "storage/sqlite/schema.hpp"
#include "storage/sqlite/store.hpp"

#include <SQLiteCpp/Database.h>
#include <unistd.h>
#include <filesystem>

namespace leasemirror {

SchemaVersion sqlite_schema_version(const std::string& path) {
    if (!std::filesystem::exists(path)) return {0, known_sqlite_version()};
    auto db = open_for_reading(path);
    const int found = translated(path, "read the schema version", [&] { return sqlite_version_found(db, path); });
    return {found, known_sqlite_version()};
}

StoreReport inspect_sqlite(const std::string& path) {
    refuse_misplaced(path);
    const auto directory = std::filesystem::absolute(path).parent_path();
    StoreReport out;
    out.engine = std::string("SQLite ") + SQLite::getLibVersion() + ", " + path;
    out.version = sqlite_schema_version(path);
    const bool exists = std::filesystem::exists(path);
    // SQLite makes the files of its log beside the database.
    if (::access(directory.c_str(), W_OK | X_OK) != 0)
        out.lacks.push_back("this user may not write to the directory " + directory.string() +
                            "; change its permissions");
    if (exists && ::access(path.c_str(), R_OK | W_OK) != 0)
        out.lacks.push_back("this user may not write to " + path + "; change its permissions");
    return out;
}

int migrate_sqlite_schema(const std::string& path, const OnMigration& before_each) {
    refuse_foreign_file(path);
    // An agent at work has migrated already: no need to fight it for the lock.
    const auto version = sqlite_schema_version(path);
    if (version.found == version.known) return version.found;
    const FileLock lock(path);
    auto db = open_for_writing(path, {}, before_each);
    return translated(path, "read the schema version", [&] { return sqlite_version_found(db, path); });
}

}  // namespace leasemirror
