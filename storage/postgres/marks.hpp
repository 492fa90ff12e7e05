// That the marks of a full bulk are those of this session (storage/ledger/listing_marks.hpp). Only for this folder.
#pragma once

#include "storage/ledger/listing_marks.hpp"
#include "storage/postgres/connection.hpp"

namespace leasemirror {

/// Before a batch that reconciles: require_marks(), with what the database says.
void require_postgres_marks(PostgresTransaction& transaction, const Batch& batch, const ListingMarks& marks);
/// Has the database say that this session marks, from the first time on.
void keep_postgres_marked_run(PostgresTransaction& transaction, ServerId server, const ListingMarks& marks);

}  // namespace leasemirror
