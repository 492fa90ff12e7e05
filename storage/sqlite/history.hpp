// The tables `assignment` and `binding_change` in SQLite: what the ledger writes there. Only for this folder.
#pragma once

#include "storage/ledger/ledger.hpp"
#include "storage/sqlite/key.hpp"
#include "storage/sqlite/statement.hpp"

#include <SQLiteCpp/Database.h>

namespace leasemirror {

/// Every function is to be called inside a write transaction, and throws SQLite::Exception.
class SqliteHistory {
public:
    explicit SqliteHistory(SQLite::Database& db);

    /// Gives the ledger the ends of assignments whose bindings are gone.
    void load_last_ends(ServerId server, Ledger& ledger);
    /// Writes what belongs to these entries. Sets assignment_id of the entries whose assignment is open: so before
    /// the rows of `binding`.
    void write_assignments(ServerId server, Ledger& ledger, EntryRange entries);
    void write_feed(ServerId server, UtcSeconds now, Ledger& ledger, EntryRange entries);

private:
    void insert(ServerId server, const NewAssignment& assignment, BindingRow& row);

    SQLite::Database& db_;
    SQLite::Statement any_end_, last_end_, insert_, end_, fill_, feed_;
    KeyColumns key_;
};

}  // namespace leasemirror
