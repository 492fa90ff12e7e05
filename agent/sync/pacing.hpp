// When to try again: never sooner than allowed, and not all at once.
#pragma once

#include "proto/time.hpp"

#include <chrono>
#include <cstdint>

namespace leasemirror {

/// A small deterministic source of jitter: same seed, same numbers, on every machine (SplitMix64).
class Jitter {
public:
    explicit Jitter(std::uint64_t seed) : state_(seed) {}
    [[nodiscard]] std::uint64_t next();
    /// Evenly spread in [0, most].
    [[nodiscard]] std::chrono::milliseconds up_to(std::chrono::milliseconds most);

private:
    std::uint64_t state_;
};

/// Paces attempts at one thing. Spacing counts from the start of the last attempt and is a floor: jitter comes on top,
/// never below (RFC 7653 §8.1, RFC 7724 §7.1: not more often than one per ACTIVE_LQ_IDLE_TIMEOUT).
class Pacing {
public:
    /// The spacing doubles with each failure in a row, from `first` up to `most`.
    Pacing(std::chrono::milliseconds first, std::chrono::milliseconds most) : first_(first), most_(most) {}

    /// The earliest time for the next attempt.
    [[nodiscard]] SteadyTime due() const { return due_; }
    [[nodiscard]] bool is_due(SteadyTime now) const { return now >= due_; }
    /// An attempt begins: the next one keeps its distance, whatever becomes of this one.
    void on_attempt(SteadyTime now, Jitter& jitter);
    /// An attempt failed: the next one keeps its distance from now.
    void on_failure(SteadyTime now, Jitter& jitter);
    void on_success() { failures_ = 0; }
    /// In a row; no more than make the spacing its most.
    [[nodiscard]] int failures() const { return failures_; }
    /// The next attempt is somebody's wish, and need keep no distance.
    void forget() { *this = Pacing(first_, most_); }
    /// Not before `at`, whatever else holds.
    void put_off(SteadyTime at) { due_ = at > due_ ? at : due_; }

private:
    [[nodiscard]] std::chrono::milliseconds spacing() const;

    std::chrono::milliseconds first_;
    std::chrono::milliseconds most_;
    SteadyTime due_ = SteadyTime::min();
    int failures_ = 0;
};

}  // namespace leasemirror
