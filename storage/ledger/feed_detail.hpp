// The column `detail` of the change feed (ledger.hpp, FeedRow::detail).
#pragma once

#include "storage/ledger/binding_row.hpp"

#include <string>

namespace leasemirror {

/// All that `row` has: for a row of the feed that begins with an empty one.
void full_detail(const BindingRow& row, std::string& out);

/// What is another value in `now` than in `before`, and all times.
void changed_detail(const BindingRow& before, const BindingRow& now, std::string& out);

/// As changed_detail(), with `client_id` where the row of the feed names another client than `now` has.
void changed_detail_with_client(const BindingRow& before, const BindingRow& now, std::string& out);

/// Whether anything that people read differs: the times, and all but the times, key and age aside.
[[nodiscard]] bool same_times(const BindingRow& a, const BindingRow& b);
/// By no more than a second each.
[[nodiscard]] bool same_times_but_for_jitter(const BindingRow& a, const BindingRow& b);
[[nodiscard]] bool same_attributes(const BindingRow& a, const BindingRow& b);

/// "2026-11-20T12:00:00Z"
void append_iso_utc(std::string& out, UtcSeconds t);

}  // namespace leasemirror
