#include "agent/sync/clocks/host.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

Now at(std::chrono::milliseconds steady, std::chrono::milliseconds set) {
    return {SteadyTime{} + steady, UtcMillis{1'700'000'000s} + steady + set};
}

}  // namespace

TEST_CASE("time that passes is no jump, and the first event has nothing to be compared with") {
    HostClock clock;
    CHECK_FALSE(clock.on_event(at(5s, 100s)));
    CHECK_FALSE(clock.on_event(at(1h, 100s)));
}

TEST_CASE("a jump is told once, with its sign") {
    for (const auto by : {7200s, -7200s, 2s, -2s}) {
        HostClock clock;
        CHECK_FALSE(clock.on_event(at(0s, 0s)));
        CHECK(clock.on_event(at(1s, by)) == std::chrono::milliseconds{by});
        CHECK_FALSE(clock.on_event(at(2s, by)));
    }
}

TEST_CASE("a clock that is slewed never jumps, however far it comes") {
    HostClock clock;
    for (int i = 0; i < 10'000; ++i)
        CHECK_FALSE(clock.on_event(at(i * 1s, i * 1ms)));
}
