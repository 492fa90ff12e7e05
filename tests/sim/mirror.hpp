// Compares what the database holds of one server with what the model server knows: the promise "equal"
// (agent/README.md, "Promises") as a function.
#pragma once

#include "tests/leasesim/leases/model.hpp"
#include "tests/storage/test_engine.hpp"

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace leasemirror::sim {

/// A binding in one form, whether it is a row in force or the truth: columns as text, times in seconds of one clock.
struct Row {
    std::array<std::string, 11> words;
    std::array<std::optional<std::int64_t>, 4> times;
    std::string doubt;  ///< column `doubt`; empty: none
    [[nodiscard]] const std::optional<std::int64_t>& expires_at() const { return times[2]; }
};
using Rows = std::map<std::string, Row>;  ///< by "VPN KIND ADDRESS/LENGTH"

/// A server, and how far it can be asked to be equal.
struct Witness {
    std::string name;
    const leasesim::LeaseModel& model;
    /// The agent's clock minus true time. All that the database holds is in that clock.
    Skew host{0};
    /// By how much times may differ: base-times are whole seconds of a clock whose skew is an estimate.
    std::chrono::seconds tolerance{2};
    /// Bindings that no message tells in a way that can be read: they may be missing, or there in doubt.
    std::set<std::string> unreadable = {};
    /// Clients that hold one of these: no answer about such a client can be read whole, so what the mirror has of it may
    /// stay in doubt.
    std::set<std::string> unreadable_clients = {};
    /// Each full read has replies that cannot be read, and there are more bindings than questions may be asked until the world
    /// has to be right: what no full read settles may be left in doubt.
    bool more_than_may_be_asked = false;
    /// The same for all that are not in the default VPN: no bulk query reaches them.
    bool vpns_unreached = false;
    /// Its clock stepped, and it says of what is past what its clock showed: that may be told either way.
    bool past_is_moot = false;

    [[nodiscard]] UtcMillis host_time(UtcMillis at) const { return at + host; }
    [[nodiscard]] bool may_be_unknown(const std::string& key) const;
};

[[nodiscard]] std::string key_of(const BindingKey& key);
/// The number of the binding of that key; none: the server has no such address.
[[nodiscard]] std::optional<std::uint64_t> number_of(const leasesim::LeaseModel& model, const std::string& key);

/// The rows of that server that are in force in the eyes of a clock that shows `host_now`. `doubts`: there is a column
/// of that name.
[[nodiscard]] Rows rows_in_force(const testing::Engine& database, const std::string& server, UtcMillis host_now,
                                 bool doubts);
/// What is in force at `at`, in the agent's clock.
[[nodiscard]] Row truth_row(const Binding& truth, const Witness& witness, UtcMillis at);
/// The first column that differs, in words.
[[nodiscard]] std::optional<std::string> compare(const std::string& key, const Row& row, const Row& truth,
                                                 const Witness& witness);
/// What expires this soon may already have been ended by one side and not by the other.
[[nodiscard]] bool expires_soon(const Row& row, UtcMillis host_now);

/// The first difference between the rows in force of a server in the database and the model at `now`, in words;
/// nothing if they are equal, attribute by attribute.
[[nodiscard]] std::optional<std::string> compare_mirror(const testing::Engine& database, const Witness& witness,
                                                        UtcMillis now, bool doubts);

/// A row that is wrong without a word: it differs from all that has been true of its binding between `since` and `now`,
/// and is not in doubt.
[[nodiscard]] std::optional<std::string> find_silent_lie(const testing::Engine& database, const Witness& witness,
                                                         UtcMillis since, UtcMillis now, bool doubts);

}  // namespace leasemirror::sim
