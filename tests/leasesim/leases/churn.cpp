#include "tests/leasesim/leases/churn.hpp"

#include "tests/leasesim/leases/hash.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

namespace leasemirror::leasesim {

namespace {

constexpr std::uint64_t ns_per_ms = 1'000'000;

std::uint64_t multiply_mod(std::uint64_t a, std::uint64_t b, std::uint64_t m) {
    return static_cast<std::uint64_t>(static_cast<unsigned __int128>(a) * b % m);
}

/// a^-1 mod m by the extended Euclidean algorithm; gcd(a, m) = 1.
std::uint64_t inverse_mod(std::uint64_t a, std::uint64_t m) {
    __int128 t = 0, next_t = 1;
    std::uint64_t r = m, next_r = a % m;
    while (next_r != 0) {
        const auto q = r / next_r;
        t -= static_cast<__int128>(q) * next_t;
        std::swap(t, next_t);
        r -= q * next_r;
        std::swap(r, next_r);
    }
    return static_cast<std::uint64_t>(t < 0 ? t + m : t);
}

std::uint64_t period_of(double events_per_second) {
    if (!(events_per_second > 0)) return 0;
    return static_cast<std::uint64_t>(std::max(1.0, std::round(1e9 / events_per_second)));
}

}  // namespace

Churn::Churn(std::uint64_t seed, std::uint64_t units, double events_per_second, UtcMillis t0)
    : units_(units), rate_(events_per_second) {
    assert(units > 0);
    // Near the golden section: neighbours in time are far apart in the order of units.
    step_ = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(static_cast<double>(units) * 0.6180339887));
    while (std::gcd(step_, units) != 1)
        ++step_;
    step_ %= units;
    inverse_ = units == 1 ? 0 : inverse_mod(step_, units);
    shift_ = mix(seed, 0x5f17) % units;
    segments_.push_back(Segment{t0, period_of(events_per_second), 0, std::nullopt});
}

void Churn::set_rate(double events_per_second, UtcMillis now) {
    auto& last = segments_.back();
    assert(now >= last.from);
    last.count = count_by(last, now);
    const auto first = last.first + *last.count;
    rate_ = events_per_second;
    segments_.push_back(Segment{now, period_of(events_per_second), first, std::nullopt});
}

std::uint64_t Churn::count_by(const Segment& s, UtcMillis at) {
    if (s.period_ns == 0 || at < s.from) return 0;
    const auto ms = static_cast<std::uint64_t>((at - s.from).count());
    const auto n = ((ms + 1) * ns_per_ms - 1) / s.period_ns;
    return s.count ? std::min(n, *s.count) : n;
}

UtcMillis Churn::time_of(const Segment& s, std::uint64_t m) {
    return s.from + std::chrono::milliseconds{static_cast<std::int64_t>((m + 1) * s.period_ns / ns_per_ms)};
}

std::uint64_t Churn::limit(const Segment& s) const {
    if (s.period_ns == 0) return 0;
    return s.count ? *s.count + units_ : UINT64_MAX;
}

std::uint64_t Churn::events_by(UtcMillis now) const {
    for (auto s = segments_.rbegin(); s != segments_.rend(); ++s)
        if (s->from <= now) return s->first + count_by(*s, now);
    return 0;
}

std::uint64_t Churn::unit_of(std::uint64_t event) const {
    return (multiply_mod(step_, event % units_, units_) + shift_) % units_;
}

std::uint64_t Churn::first_event(std::uint64_t unit) const {
    return multiply_mod(inverse_, (unit + units_ - shift_) % units_, units_);
}

std::uint64_t Churn::visits(std::uint64_t unit, UtcMillis now) const {
    const auto events = events_by(now);
    const auto first = first_event(unit);
    return events > first ? (events - 1 - first) / units_ + 1 : 0;
}

const Churn::Segment& Churn::segment_of(std::uint64_t event) const {
    for (auto s = segments_.rbegin(); s != segments_.rend(); ++s)
        if (s->first <= event && s->period_ns != 0 && (!s->count || event < s->first + *s->count)) return *s;
    return segments_.back();
}

const Churn::Segment& Churn::segment_of_visit(std::uint64_t unit, std::uint64_t visit) const {
    return visit == 0 ? segments_.front() : segment_of(first_event(unit) + (visit - 1) * units_);
}

UtcMillis Churn::visit_time(std::uint64_t unit, std::uint64_t visit) const {
    assert(visit > 0);
    const auto event = first_event(unit) + (visit - 1) * units_;
    const auto& s = segment_of(event);
    return time_of(s, event - s.first);
}

std::optional<UtcMillis> Churn::planned_next(std::uint64_t unit, std::uint64_t visit) const {
    const auto& s = segment_of_visit(unit, visit);
    if (s.period_ns == 0) return std::nullopt;
    return time_of(s, first_event(unit) + visit * units_ - s.first);
}

std::chrono::milliseconds Churn::round_at(std::uint64_t unit, std::uint64_t visit) const {
    const auto& s = segment_of_visit(unit, visit);
    return std::chrono::milliseconds{static_cast<std::int64_t>(units_ * s.period_ns / ns_per_ms)};
}

ChurnCursor Churn::cursor_after(UtcMillis at) const {
    ChurnCursor cursor;
    for (const auto& s : segments_) {
        auto whole = s;
        whole.count.reset();  // tails count
        cursor.next_.push_back(std::min(count_by(whole, at), limit(s)));
    }
    return cursor;
}

std::optional<ChurnEvent> Churn::peek(const ChurnCursor& cursor) const {
    std::optional<ChurnEvent> best;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
        const auto& s = segments_[i];
        const auto m = i < cursor.next_.size() ? cursor.next_[i] : 0;
        if (m >= limit(s)) continue;
        const auto at = time_of(s, m);
        if (best && best->at <= at) continue;
        best = ChurnEvent{at, unit_of(s.first + m), s.count && m >= *s.count, i};
    }
    return best;
}

void Churn::advance(ChurnCursor& cursor, const ChurnEvent& past) const {
    if (cursor.next_.size() < segments_.size()) cursor.next_.resize(segments_.size(), 0);
    ++cursor.next_[past.segment];
}

std::uint64_t Churn::events_between(UtcMillis after, UtcMillis until) const {
    std::uint64_t n = 0;
    for (const auto& s : segments_) {
        auto whole = s;
        whole.count.reset();
        n += std::min(count_by(whole, until), limit(s)) - std::min(count_by(whole, after), limit(s));
    }
    return n;
}

UtcMillis Churn::time_before_last(std::uint64_t events, UtcMillis now) const {
    auto low = began() - std::chrono::milliseconds{1};
    auto high = now;
    while (low < high) {  // the earliest time with few enough events after it
        const auto middle = low + (high - low) / 2;
        if (events_between(middle, now) <= events)
            high = middle;
        else
            low = middle + std::chrono::milliseconds{1};
    }
    return high;
}

}  // namespace leasemirror::leasesim
