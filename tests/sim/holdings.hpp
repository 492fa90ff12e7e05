// Holds the assignments in the database against who really held each lease, from when to when.
#pragma once

#include "tests/sim/mirror.hpp"

#include <optional>
#include <string>
#include <vector>

namespace leasemirror::sim {

/// The first assignment of that server that says something wrong, in words. Its client must have held the lease when it
/// began. A boundary that is not inferred must be the true moment, within the witness's tolerance; where v6 does not tell
/// that a client has come back, that of an earlier or later holding of the same client. `offsets`: all that the host's
/// clock ever was ahead of true time, since what ended before a step stays in the clock of its time. `all_kept`: none was
/// removed for its age.
[[nodiscard]] std::optional<std::string> find_wrong_assignment(const testing::Engine& database, const Witness& witness,
                                                               UtcMillis now, const std::vector<Skew>& offsets,
                                                               bool all_kept);

}  // namespace leasemirror::sim
