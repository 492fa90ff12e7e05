#include "agent/config/full_read.hpp"

#include <algorithm>

namespace leasemirror {

std::vector<BulkQuery> full_read_queries(const ServerConfig& config) {
    if (config.bulk.queries.empty() && config.family == Family::v4) return {BulkQuery{}};
    return config.bulk.queries;
}

bool full_read_covers_everything(const ServerConfig& config) {
    const auto& queries = config.bulk.queries;
    if (queries.empty()) return config.family == Family::v4;
    const auto all =
        std::any_of(queries.begin(), queries.end(), [](const auto& q) { return q.kind == QueryKind::all; });
    return all || config.bulk.covers == BulkCovers::all;
}

}  // namespace leasemirror
