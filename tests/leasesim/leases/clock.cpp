#include "tests/leasesim/leases/clock.hpp"

#include <algorithm>
#include <cassert>

namespace leasemirror::leasesim {

void SteppedClock::step(std::chrono::milliseconds delta, UtcMillis now) {
    assert(steps_.empty() || steps_.back().from <= now);
    steps_.push_back(Step{now, offset(now) + delta});
}

Skew SteppedClock::offset(UtcMillis at) const {
    for (auto s = steps_.rbegin(); s != steps_.rend(); ++s)
        if (s->from <= at) return s->offset;
    return first_;
}

ServerTime SteppedClock::shown(UtcMillis at, UtcMillis now) const {
    return ServerTime{std::chrono::floor<std::chrono::seconds>((at + offset(now)).time_since_epoch())};
}

UtcMillis SteppedClock::earliest_stamped(ServerTime start) const {
    const UtcMillis wanted{start.time_since_epoch()};
    // Segment by segment: the clock of each reaches `start` at wanted - offset, if that lies within the segment.
    UtcMillis from = UtcMillis::min();
    Skew offset = first_;
    for (const auto& s : steps_) {
        const auto reached = std::max(from, wanted - offset);
        if (reached < s.from) return reached;
        from = s.from;
        offset = s.offset;
    }
    return std::max(from, wanted - offset);
}

std::vector<UtcMillis> SteppedClock::steps() const {
    std::vector<UtcMillis> out;
    for (const auto& s : steps_)
        out.push_back(s.from);
    return out;
}

}  // namespace leasemirror::leasesim
