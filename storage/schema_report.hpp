// What `schema` and `check` tell of a database.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace leasemirror {

/// The version in the database (0: none yet), and the one that this program knows.
struct SchemaVersion {
    int found = 0;
    int known = 0;
};

/// One migration that is about to be applied.
struct MigrationStep {
    std::string_view file;  ///< "0007_lines.sql"
    int version = 0;        ///< that it leads to, and ...
    int last = 0;           ///< ... that the last of them does
};
/// Called before each step; may be empty.
using OnMigration = std::function<void(const MigrationStep&)>;

struct StoreReport {
    std::string engine;  ///< "PostgreSQL 15.8 on 127.0.0.1, database 'leases', schema 'public', role 'mirror'"
    SchemaVersion version;
    std::vector<std::string> lacks;  ///< what an agent could not do here, and what to do about it; empty: nothing
};

}  // namespace leasemirror
