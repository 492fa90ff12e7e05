// The table `binding` in PostgreSQL: what a batch touches, in and out, in sets. Only for this folder.
#pragma once

#include "storage/ledger/ledger.hpp"
#include "storage/postgres/connection.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace leasemirror {

/// A SELECT of whole rows, `from` behind the name of the table ...
[[nodiscard]] std::string select_bindings_text(const std::string& from);
/// ... and those that it gave.
[[nodiscard]] std::vector<BindingRow> read_binding_rows(const pqxx::result& found);

/// Every row of the server at one of these addresses.
[[nodiscard]] std::vector<BindingRow> read_bindings_at(PostgresTransaction& transaction, ServerId server,
                                                       std::span<const IpAddress> addresses);
/// The statement of that.
[[nodiscard]] std::string_view bindings_at_addresses_text();

/// Gives the ledger every row that it asks for.
void load_bindings(PostgresTransaction& transaction, ServerId server, Ledger& ledger);

/// Of one server, those known longest first, but for the first `after`; doubts_told_max at most.
[[nodiscard]] std::vector<DoubtfulBinding> read_doubts(PostgresTransaction& transaction, ServerId server,
                                                       std::uint64_t after = 0);

/// Writes the rows of these entries. Refused values are an exception of libpqxx (refuses_values()); the transaction is
/// then to be rolled back to before it.
void write_bindings(PostgresTransaction& transaction, ServerId server, Ledger& ledger, EntryRange entries);

}  // namespace leasemirror
