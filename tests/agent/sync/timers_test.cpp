#include "agent/sync/timers.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

constexpr SteadyTime t{1h};

}  // namespace

TEST_CASE("a timer that nobody set is never due") {
    const Timers timers;
    CHECK_FALSE(timers.is_set(Timer::poll));
    CHECK_FALSE(timers.at(Timer::poll));
    CHECK_FALSE(timers.is_due(Timer::poll, SteadyTime::max()));
}

TEST_CASE("a timer is due from its time on, and stays set until somebody stops it") {
    Timers timers;
    timers.set(Timer::poll, t);
    CHECK(timers.at(Timer::poll) == t);
    CHECK_FALSE(timers.is_due(Timer::poll, t - 1ms));
    CHECK(timers.is_due(Timer::poll, t));
    CHECK(timers.is_due(Timer::poll, t + 1ms));
    CHECK(timers.is_set(Timer::poll));
    timers.stop(Timer::poll);
    CHECK_FALSE(timers.is_set(Timer::poll));
    CHECK_FALSE(timers.is_due(Timer::poll, t));
}

TEST_CASE("setting a timer again replaces its time, later or earlier") {
    Timers timers;
    timers.set(Timer::poll, t);
    timers.set(Timer::poll, t + 1s);
    CHECK(timers.at(Timer::poll) == t + 1s);
    timers.set(Timer::poll, t - 1s);
    CHECK(timers.at(Timer::poll) == t - 1s);
}

TEST_CASE("each timer has a time of its own") {
    Timers timers;
    for (std::uint8_t i = 0; i < static_cast<std::uint8_t>(Timer::number_of_them); ++i)
        timers.set(Timer{i}, t + i * 1s);
    timers.stop(Timer::active_again);
    for (std::uint8_t i = 0; i < static_cast<std::uint8_t>(Timer::number_of_them); ++i) {
        if (Timer{i} == Timer::active_again) continue;
        CHECK(timers.at(Timer{i}) == t + i * 1s);
    }
    CHECK_FALSE(timers.is_set(Timer::active_again));
}

TEST_CASE("the earliest of several moments, in whatever order they are told; missing ones do not count") {
    Earliest first;
    CHECK_FALSE(first.get());
    first.consider(std::nullopt);
    CHECK_FALSE(first.get());
    first.consider(t + 2s);
    CHECK(first.get() == t + 2s);
    first.consider(t + 3s);
    first.consider(std::nullopt);
    CHECK(first.get() == t + 2s);
    first.consider(t + 1s);
    CHECK(first.get() == t + 1s);
}
