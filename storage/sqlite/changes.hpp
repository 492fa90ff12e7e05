// What the changes of a batch do in SQLite: the ledger decides, this carries it out. Only for the sqlite_* files.
#pragma once

#include "storage/ledger.hpp"
#include "storage/sqlite/bindings.hpp"
#include "storage/sqlite/history.hpp"

#include <SQLiteCpp/Database.h>
#include <string>
#include <vector>

namespace leasemirror {

/// Every function is to be called inside a write transaction, and throws SQLite::Exception.
class SqliteChanges {
public:
    SqliteChanges(SQLite::Database& db, bool record_renewals);

    /// Applies the changes of a batch. A row that the database refuses is an exception: the transaction is to be
    /// rolled back.
    Tally apply(const BatchContext& context, const Batch& batch);

    /// A change of which nothing was written, because the database refused a row of its binding.
    struct Refused {
        const Change* change = nullptr;
        std::string why;
    };
    /// The same for a batch that has such rows: their bindings stay as they were, and all the others are written.
    Tally apply_piecewise(const BatchContext& context, const Batch& batch, std::vector<Refused>& refused);

private:
    void decide(const BatchContext& context, const Batch& batch);
    void write(const BatchContext& context, EntryRange entries);
    void write_piecewise(const BatchContext& context, const Batch& batch, EntryRange entries,
                         std::vector<Refused>& refused);

    SQLite::Database& db_;
    Ledger ledger_;
    SqliteBindings bindings_;
    SqliteHistory history_;
};

}  // namespace leasemirror
