// What `query` asks of one server, from its filters and the server's configuration: which protocol has such a query
// (RFC 4388, 5007, 5460, 6148, 6926), or in words why none has. Pure.
#pragma once

#include "agent/config/config.hpp"
#include "agent/config/values.hpp"
#include "agent/query/filter.hpp"
#include "proto/binding.hpp"
#include "proto/query.hpp"

#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

struct QueryPlan {
    bool over_udp = false;
    std::vector<BulkQuery> queries;  ///< one after the other; over UDP exactly one
    QueryWindow window;              ///< in the server's clock, taken to agree with ours
    std::optional<Sought> only;      ///< of what comes back, this delegated prefix alone
    std::vector<std::string> notes;  ///< what the one who asks should know before the answer

    /// Whether a binding that was told is one that was asked for.
    [[nodiscard]] bool takes(const Binding& binding) const;
};

/// A plan, or a usage error that says what to do instead. `now` is what times like 2h count from.
[[nodiscard]] Result<QueryPlan, std::string> plan_query(const QueryFilter& filter, QueryVia via,
                                                        const ServerConfig& server, UtcSeconds now);

}  // namespace leasemirror
