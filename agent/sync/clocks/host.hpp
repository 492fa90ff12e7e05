// Whether somebody set the clock of the host we run on: UTC is compared with the steady clock, which nobody sets.
#pragma once

#include "proto/time.hpp"

#include <chrono>
#include <optional>

namespace leasemirror {

class HostClock {
public:
    /// Less is no step: NTP slews, and events are a little late.
    static constexpr std::chrono::milliseconds step_min{1000};

    /// By how much UTC has jumped since the last event, positive: ahead. A host that slept looks the same as one whose clock
    /// was set ahead, since the steady clock stands still meanwhile.
    [[nodiscard]] std::optional<std::chrono::milliseconds> on_event(Now now);

private:
    std::optional<UtcMillis> at_steady_zero_;
};

}  // namespace leasemirror
