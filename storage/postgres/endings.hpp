// How bindings end in PostgreSQL that no message ends: not listed by a full bulk, or past their expiry. Whole sets at
// once, in all three tables. Only for this folder.
#pragma once

#include "storage/ledger/ledger.hpp"
#include "storage/postgres/history.hpp"

#include <vector>

namespace leasemirror {

/// Of one server, in order.
using BindingIds = std::vector<std::int64_t>;

/// How many of them one statement chooses and ends: what bounds memory here, whatever a full bulk did not list.
constexpr std::size_t ended_at_once_max = 10'000;

struct Unlisted {
    BindingIds ids;
    std::int64_t doubts = 0;  ///< how many of them are in doubt
};

/// The first bindings after `after` that this full bulk ends, at most ended_at_once_max.
[[nodiscard]] Unlisted choose_unlisted(PostgresTransaction& transaction, const BatchContext& context,
                                       const Reconcile& reconcile, std::int64_t after);
/// What a statement is given that looks for what a full bulk did not list: $1 to $8, and the scopes
/// as $9 to $13.
[[nodiscard]] ArrayParameters scopes_of(const Reconcile& reconcile);
[[nodiscard]] Parameters unlisted_by(const BatchContext& context, const Reconcile& reconcile, std::int64_t after,
                                     ArrayParameters& scopes);
void end_unlisted(PostgresTransaction& transaction, PostgresFeed& feed, const BatchContext& context,
                  const Reconcile& reconcile, const BindingIds& ids);

void end_expired(PostgresTransaction& transaction, PostgresFeed& feed, ServerId server, UtcSeconds now,
                 const BindingIds& ids);

}  // namespace leasemirror
