// Whether feed, assignments and counts agree with `binding`: what anybody could find out from the tables alone.
#pragma once

#include "tests/storage/test_engine.hpp"

#include <string>
#include <vector>

namespace leasemirror::testing {

/// How much of the history can be held against the table (history_check.hpp).
struct HistoryCheck {
    bool times = false;           ///< renewals are in the feed, from its beginning
    bool whole_feed = true;       ///< nothing was removed from it
    bool all_assignments = true;  ///< nor from those
    bool skip = false;
    /// The clock of our host was set: all times of a binding may have moved by as much, which the feed does not tell.
    bool clock_was_set = false;
};

/// What is wrong, one line each; nothing if all is as it should be:
///
/// - assignments of one key never overlap, at most the last one is open, and it is exactly while the binding is in
///   force; `binding` knows which one that is and where the last boundary lies;
/// - replaying `binding_change` from the beginning gives `binding` (HistoryCheck says what of it);
/// - the feed's words tell of as many beginnings and ends as there are assignments;
/// - `binding_count` and `server.bindings` are what there is to count.
[[nodiscard]] std::vector<std::string> faults_of_history(const Engine& engine, const HistoryCheck& check);

}  // namespace leasemirror::testing
