// The scope of a listing: the number under which the database knows what a bulk query covers.
#pragma once

#include "proto/query.hpp"

#include <cstdint>

namespace leasemirror {

/// Stays the same as long as the query does, on every machine and whatever the order of the configuration. Never 0, which
/// stands for "no query listed it".
[[nodiscard]] std::uint32_t scope_id(const BulkQuery& query);

}  // namespace leasemirror
