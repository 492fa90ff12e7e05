// What is past in PostgreSQL: bindings whose expiry has passed, and rows that are no longer to be kept. In steps. Only
// for this folder.
#pragma once

#include "storage/postgres/endings.hpp"
#include "storage/postgres/servers.hpp"

#include <span>

namespace leasemirror {

/// Where a walk through the bindings of some servers has come to: from server to server, and in each by their ids.
struct SweepPlace {
    ServerId server = 0;
    std::int64_t binding_id = 0;
};

/// Looks at the next `rows` bindings and says what to do with them, by server.
struct SweepPart {
    struct Share {
        BindingIds expired, outlived;
    };
    std::map<ServerId, Share> of;
    SweepPlace reached;
    bool around = false;  ///< there are no more after these
};
[[nodiscard]] SweepPart look_through(PostgresTransaction& transaction, std::span<const ServerId> servers,
                                     const SweepPlace& after, UtcSeconds now, std::size_t rows, const Retention& keep);

/// Returns by how much the number of bindings in each state, and in doubt, changes.
[[nodiscard]] StateCounts remove_bindings(PostgresTransaction& transaction, ServerId server, const BindingIds& ids);

/// Waits until nobody else removes rows of the feed or assignments: then none will before the transaction ends.
void wait_to_remove_alone(PostgresTransaction& transaction);

/// A walk through `assignment` by its key, round and round. No index knows when they ended, since then each end would have to
/// be written in all of its indexes.
struct AssignmentWalk {
    std::int64_t reached = 0;  ///< 0: between two rounds
    UtcSeconds next_round{};   ///< before that there is nothing to do
};

/// At most `rows` of the feed, and the rows of servers that were forgotten and of which it has none any more. And of the
/// assignments, of which the next `rows` are looked at. Each wants a transaction of its own. Where another store is at it, they
/// do nothing.
[[nodiscard]] std::uint64_t remove_changes(PostgresTransaction& transaction, UtcSeconds now, std::size_t rows,
                                           const Retention& keep);
[[nodiscard]] std::uint64_t remove_assignments(PostgresTransaction& transaction, UtcSeconds now, std::size_t rows,
                                               const Retention& keep, AssignmentWalk& walk);

}  // namespace leasemirror
