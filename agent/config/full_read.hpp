// What a full read of a server asks for: the same for the agent and for `verify`.
#pragma once

#include "agent/config/config.hpp"

#include <vector>

namespace leasemirror {

/// What a full read of the server asks: bulk.queries, or everything. Empty: DHCPv6 has no query for that (RFC 5460 §5.4).
[[nodiscard]] std::vector<BulkQuery> full_read_queries(const ServerConfig& config);
/// Together they ask for all that the server has.
[[nodiscard]] bool full_read_covers_everything(const ServerConfig& config);

}  // namespace leasemirror
