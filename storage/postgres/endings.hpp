// How bindings end in PostgreSQL that no message ends: not listed by a full bulk, or past their expiry. Whole sets at
// once, in all three tables. Only for this folder.
#pragma once

#include "storage/ledger/ledger.hpp"
#include "storage/postgres/history.hpp"

#include <string>
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

/// The first bindings after `after` that this full bulk ends, at most ended_at_once_max. What it has listed, and is not
/// written so, is marked in context.marks.
[[nodiscard]] Unlisted choose_unlisted(PostgresTransaction& transaction, const BatchContext& context,
                                       const Reconcile& reconcile, std::int64_t after);
/// What a statement is given that looks for what a full bulk did not list, in one range: $1 to $8, the scopes as $9 to $13,
/// and $14 to $16 of the range.
[[nodiscard]] ArrayParameters scopes_of(const Reconcile& reconcile);
[[nodiscard]] Parameters unlisted_by(const BatchContext& context, const Reconcile& reconcile, const MarkedRange& range,
                                     ArrayParameters scopes);
/// In such a statement, where `b` is the table: that it lies in the range ...
[[nodiscard]] std::string in_range_text();
/// ... and the last bulk that listed it, in the row or by a mark.
[[nodiscard]] std::string seen_run_text();
/// The range behind `after`.
[[nodiscard]] MarkedRange range_behind(const BatchContext& context, std::int64_t after);
/// Whether none comes after it.
[[nodiscard]] bool is_last(const MarkedRange& range);
void end_unlisted(PostgresTransaction& transaction, PostgresFeed& feed, const BatchContext& context,
                  const Reconcile& reconcile, const BindingIds& ids);

void end_expired(PostgresTransaction& transaction, PostgresFeed& feed, ServerId server, UtcSeconds now,
                 const BindingIds& ids);

}  // namespace leasemirror
