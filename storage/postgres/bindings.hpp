// The table `binding` in PostgreSQL: what a batch touches, in and out, in sets. Only for the postgres_* files.
#pragma once

#include "storage/ledger.hpp"
#include "storage/postgres/connection.hpp"

namespace leasemirror {

/// Entries of a ledger, from `first` up to `last`, which is no longer one of them.
struct LedgerRange {
    std::size_t first = 0;
    std::size_t last = 0;
    [[nodiscard]] bool contains(std::size_t entry) const { return entry >= first && entry < last; }
    [[nodiscard]] std::size_t size() const { return last - first; }
};

/// Gives the ledger every row that it asks for.
void load_bindings(PostgresTransaction& transaction, ServerId server, Ledger& ledger);

/// Writes the rows of these entries. Refused values are an exception of libpqxx (refuses_values()); the transaction is
/// then to be rolled back to before it.
void write_bindings(PostgresTransaction& transaction, ServerId server, Ledger& ledger, LedgerRange entries);

}  // namespace leasemirror
