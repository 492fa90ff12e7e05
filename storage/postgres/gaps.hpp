// The tables `gap` and `quarantine` in PostgreSQL. Only for this folder.
#pragma once

#include "storage/batch.hpp"
#include "storage/postgres/connection.hpp"

#include <map>
#include <span>
#include <vector>

namespace leasemirror {

/// The recoveries of these servers that are open, of each the oldest first.
[[nodiscard]] std::map<ServerId, std::vector<Gap>> read_open_gaps(PostgresTransaction& transaction,
                                                                  std::span<const ServerId> servers);

/// Both are safe to repeat. `reconciled`: what the same batch ended as not listed.
void apply_gap_changes(PostgresTransaction& transaction, const Batch& batch, std::uint64_t reconciled);
void add_to_quarantine(PostgresTransaction& transaction, ServerId server, std::span<const QuarantineEntry> entries);

}  // namespace leasemirror
