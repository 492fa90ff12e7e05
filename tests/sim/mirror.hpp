// Compares what the database holds of one server with what the model server knows: the promise "equal"
// (agent/README.md, "Promises") as a function.
#pragma once

#include "tests/leasesim/lease_model.hpp"
#include "tests/storage/test_engine.hpp"

#include <optional>
#include <string>

namespace leasemirror::sim {

/// The first difference between the rows in force of server `name` in the database and the model at `now`, in words;
/// nothing if they are equal, attribute by attribute. Times may differ by `tolerance`: base-times are whole seconds of
/// a clock whose skew is an estimate.
[[nodiscard]] std::optional<std::string> compare_mirror(const testing::Engine& database, const std::string& name,
                                                        const leasesim::LeaseModel& model, UtcMillis now,
                                                        std::chrono::seconds tolerance);

}  // namespace leasemirror::sim
