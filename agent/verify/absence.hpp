// What one reading of a server proves of the bindings that it did not list. Pure.
#pragma once

#include "proto/query.hpp"
#include "storage/ledger/binding_row.hpp"

#include <cstdint>
#include <set>
#include <vector>

namespace leasemirror {

/// By the rules of reconciliation (agent/README.md, "Reconciliation"; storage/batch.hpp, Reconcile).
struct Absence {
    struct Scope {
        std::uint32_t id = 0;  ///< scope_id() of a query that was answered to its end
        Bytes relay_id, remote_id;
        bool unread = false;  ///< a reply could not be read, not even whose lease it was
    };
    bool everything = false;         ///< the queries cover the server, and all were answered and could be read
    bool all_vpns = false;           ///< they were asked for all VPNs, and something in one was listed
    std::vector<Scope> scopes;       ///< of the queries that were answered to their end
    std::set<IpAddress> unreadable;  ///< something was told of these that could not be read

    /// That the server does not have the binding of this row.
    [[nodiscard]] bool proves(const BindingRow& row) const;
};

[[nodiscard]] Absence::Scope absence_scope(const BulkQuery& query, bool unread);

}  // namespace leasemirror
