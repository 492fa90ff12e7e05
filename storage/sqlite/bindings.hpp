// The table `binding` in SQLite: its rows, to the ledger and from it. Only for the sqlite_* files.
#pragma once

#include "storage/ledger.hpp"
#include "storage/sqlite/key.hpp"
#include "storage/sqlite/statement.hpp"

#include <SQLiteCpp/Database.h>
#include <string>

namespace leasemirror {

/// Every function is to be called inside a write transaction, and throws SQLite::Exception.
class SqliteBindings {
public:
    explicit SqliteBindings(SQLite::Database& db);

    /// Gives the ledger the rows that it asks for.
    void load(ServerId server, Ledger& ledger);
    /// Writes one row as its entry says; sets binding_id of a new one.
    void write(ServerId server, Ledger::Entry& entry);

private:
    void load_found(Use& use, Ledger& ledger);
    void bind_row(Use& use, const BindingRow& row);
    static void bind_indexed(Use& use, const BindingRow& row);
    void insert(ServerId server, BindingRow& row);
    void update(const BindingRow& row, bool indexed);
    void mark_listed(const BindingRow& row);

    SQLite::Database& db_;
    SQLite::Statement at_address_, of_client_, insert_, update_, update_unindexed_, mark_listed_;
    KeyColumns key_;
    std::string link_address_, relay_address_;  // of the row at hand
};

}  // namespace leasemirror
