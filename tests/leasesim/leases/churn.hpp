// When which unit changes, in closed form: event number k happens at t0 + (k + 1) / rate and touches unit
// (a * k + b) mod N, with a and N coprime. So each unit is touched once in N events, in an order that looks random,
// and both questions, "what changed then" and "when did this change last", cost O(1) and no memory.
//
// The rate may change; each span of one rate is a segment. A lease that was granted in one segment and was to
// expire there expires by the clock even if the segment has ended meanwhile: for one round of N events after its end
// a segment has a tail, in which only such expiries are changes.
#pragma once

#include "proto/time.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace leasemirror::leasesim {

/// One touch of one unit. A `tail` event is a change only if the unit's lease expires at that very instant.
struct ChurnEvent {
    UtcMillis at;
    std::uint64_t unit = 0;
    bool tail = false;
    std::size_t segment = 0;
};

/// A place in the stream of events, ordered by time. A value: no memory beyond one number per segment.
class ChurnCursor {
public:
    friend class Churn;

private:
    std::vector<std::uint64_t> next_;
};

class Churn {
public:
    Churn(std::uint64_t seed, std::uint64_t units, double events_per_second, UtcMillis t0);

    void set_rate(double events_per_second, UtcMillis now);
    [[nodiscard]] double rate() const { return rate_; }
    [[nodiscard]] std::uint64_t units() const { return units_; }
    [[nodiscard]] UtcMillis began() const { return segments_.front().from; }

    /// How many events have happened by `now`, and how often `unit` was touched by them.
    [[nodiscard]] std::uint64_t events_by(UtcMillis now) const;
    [[nodiscard]] std::uint64_t visits(std::uint64_t unit, UtcMillis now) const;
    /// When the visit number `visit` (1, 2, ...) to `unit` happened; it must have happened.
    [[nodiscard]] UtcMillis visit_time(std::uint64_t unit, std::uint64_t visit) const;
    /// When, as things stood at visit `visit` (0: at the beginning), the next one was to come. None: never.
    [[nodiscard]] std::optional<UtcMillis> planned_next(std::uint64_t unit, std::uint64_t visit) const;
    /// How long a round over all units took at the rate of that visit; zero if there was no churn.
    [[nodiscard]] std::chrono::milliseconds round_at(std::uint64_t unit, std::uint64_t visit) const;

    /// The stream of events after `at` (those of that very millisecond are before the cursor).
    [[nodiscard]] ChurnCursor cursor_after(UtcMillis at) const;
    /// The next event of the stream, whether its time has come or not; none while there is no churn.
    [[nodiscard]] std::optional<ChurnEvent> peek(const ChurnCursor& cursor) const;
    void advance(ChurnCursor& cursor, const ChurnEvent& past) const;
    /// How many events, tails included, lie in (after, until]: what a bound on history in events counts.
    [[nodiscard]] std::uint64_t events_between(UtcMillis after, UtcMillis until) const;
    /// The earliest time after which at most `events` events happened until `now`.
    [[nodiscard]] UtcMillis time_before_last(std::uint64_t events, UtcMillis now) const;

private:
    struct Segment {
        UtcMillis from;
        std::uint64_t period_ns = 0;         // 0: no churn
        std::uint64_t first = 0;             // number of its first event
        std::optional<std::uint64_t> count;  // events until it was ended; none: it runs
    };
    [[nodiscard]] static std::uint64_t count_by(const Segment& s, UtcMillis at);
    [[nodiscard]] static UtcMillis time_of(const Segment& s, std::uint64_t m);
    [[nodiscard]] std::uint64_t limit(const Segment& s) const;
    [[nodiscard]] std::uint64_t unit_of(std::uint64_t event) const;
    [[nodiscard]] std::uint64_t first_event(std::uint64_t unit) const;
    [[nodiscard]] const Segment& segment_of(std::uint64_t event) const;
    [[nodiscard]] const Segment& segment_of_visit(std::uint64_t unit, std::uint64_t visit) const;

    std::uint64_t units_;
    std::uint64_t step_ = 1;
    std::uint64_t inverse_ = 1;
    std::uint64_t shift_ = 0;
    double rate_ = 0;
    std::vector<Segment> segments_;
};

}  // namespace leasemirror::leasesim
