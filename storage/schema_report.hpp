// What `schema` and `check` tell of a database.
#pragma once

#include <string>
#include <vector>

namespace leasemirror {

/// The version in the database (0: none yet), and the one that this program knows.
struct SchemaVersion {
    int found = 0;
    int known = 0;
};

struct StoreReport {
    std::string engine;  ///< "PostgreSQL 15.8 on 127.0.0.1, database 'leases', schema 'public', role 'mirror'"
    SchemaVersion version;
    std::vector<std::string> lacks;  ///< what an agent could not do here, and what to do about it; empty: nothing
};

}  // namespace leasemirror
