// The clock of the simulated server: true time plus an offset that may step.
//
// One rule for steps: durations are kept in true time. An instant is stored as true time and shown in the clock
// that runs now, so the age of a client and what remains of a lease survive a step (ModelOptions::absolute_times is the
// other way to go about it). Only two things look at the stepped clock: base-time, and the comparison of changes with a query's window. The latter uses what the clock
// showed when the change happened, as a server that writes its clock into its log would.
#pragma once

#include "proto/time.hpp"

#include <vector>

namespace leasemirror::leasesim {

class SteppedClock {
public:
    explicit SteppedClock(Skew skew) : first_(skew) {}

    /// The clock shows `delta` more from `now` on. Steps come in the order of time.
    void step(std::chrono::milliseconds delta, UtcMillis now);

    /// Clock minus true time at `at`.
    [[nodiscard]] Skew offset(UtcMillis at) const;
    [[nodiscard]] ServerTime reads(UtcMillis now) const { return shown(now, now); }
    /// How the clock that runs at `now` expresses the instant `at`: the server counts whole seconds.
    [[nodiscard]] ServerTime shown(UtcMillis at, UtcMillis now) const;
    /// What the clock showed at `at`.
    [[nodiscard]] ServerTime stamped(UtcMillis at) const { return shown(at, at); }
    /// No instant before this one was stamped `start` or later.
    [[nodiscard]] UtcMillis earliest_stamped(ServerTime start) const;
    /// When it stepped.
    [[nodiscard]] std::vector<UtcMillis> steps() const;

private:
    struct Step {
        UtcMillis from;
        Skew offset;
    };
    Skew first_;
    std::vector<Step> steps_;
};

}  // namespace leasemirror::leasesim
