// The first full bulk into an empty database, which both engines take without the indexes of identifiers.
#pragma once

#include "storage/batch.hpp"

#include <chrono>
#include <cstdint>

namespace leasemirror {

/// With more rows than this in a table its indexes stay: a search that reads more of them is not to be had.
constexpr std::int64_t first_load_rows_max = 10'000;
/// A load that is not over by then goes on with the indexes.
constexpr std::chrono::minutes first_load_patience{15};

/// Whether the store has to look for what a client holds: the one search of its own by an identifier.
[[nodiscard]] bool searches_clients(const Batch& batch);

/// Whether the server of the batch is loaded: a full bulk ends with a reconciliation, or else is followed by what happens.
[[nodiscard]] bool is_loaded(const Batch& batch);

}  // namespace leasemirror
