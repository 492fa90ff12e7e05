// Bindings in doubt in PostgreSQL, beyond what the ledger itself marks. Only for this folder.
#pragma once

#include "storage/ledger/ledger.hpp"
#include "storage/postgres/connection.hpp"

namespace leasemirror {

/// What a full bulk leaves in doubt: what it did not list where a reply could not be read, and what it could not list.
/// The number of bindings that came to be so. To be called before the bulk ends any.
[[nodiscard]] std::int64_t doubt_unlisted(PostgresTransaction& transaction, const BatchContext& context,
                                          const Reconcile& reconcile);

/// Puts a binding in doubt of which the database refused what was told, which came to `row`; unless it refuses that, too.
[[nodiscard]] bool show_refusal(PostgresTransaction& transaction, ServerId server, const BindingRow& row);

}  // namespace leasemirror
