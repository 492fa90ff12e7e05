// The table `binding` in SQLite: its rows, to the ledger and from it. Only for this folder.
#pragma once

#include "storage/ledger/binding_columns.hpp"
#include "storage/ledger/ledger.hpp"
#include "storage/sqlite/key.hpp"
#include "storage/sqlite/statement.hpp"

#include <SQLiteCpp/Database.h>
#include <string>
#include <vector>

namespace leasemirror {

/// A SELECT of whole rows, `from` behind the name of the table ...
[[nodiscard]] std::string select_bindings_sql(const std::string& from);
/// ... and those that it gives, behind what `out` has already.
void read_bindings(Use& use, std::vector<BindingRow>& out);

/// Every function is to be called inside a write transaction, and throws SQLite::Exception.
class SqliteBindings {
public:
    explicit SqliteBindings(SQLite::Database& db);

    /// Gives the ledger the rows that it asks for.
    void load(ServerId server, Ledger& ledger);
    /// Writes one row as its entry says; sets binding_id of a new one.
    void write(ServerId server, Ledger::Entry& entry);
    /// Those known longest first, but for the first `after`; doubts_told_max at most.
    std::vector<DoubtfulBinding> in_doubt(ServerId server, std::uint64_t after);

private:
    void insert(ServerId server, BindingRow& row);
    static void update(SQLite::Statement& statement, ColumnUses uses, const BindingRow& row);
    void mark_listed(const BindingRow& row);

    SQLite::Database& db_;
    SQLite::Statement at_address_, of_client_, in_doubt_, insert_, update_, renew_, mark_listed_;
    KeyColumns key_;
};

}  // namespace leasemirror
