#include "agent/sync/log_limit.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

constexpr SteadyTime t{1h};

}  // namespace

TEST_CASE("so many lines a minute are written, further ones left out") {
    LogLimit limit;
    for (int i = 0; i < LogLimit::lines_per_minute; ++i)
        CHECK(limit.admit(t + i * 1s) == 0);
    CHECK_FALSE(limit.admit(t + 59s));
    CHECK_FALSE(limit.admit(t + 1min - 1ms));
}

TEST_CASE("a minute after its first line there is room again, and that line says once how many were left out") {
    LogLimit limit;
    for (int i = 0; i < LogLimit::lines_per_minute + 7; ++i)
        (void)limit.admit(t);
    CHECK(limit.admit(t + 1min) == 7);
    for (int i = 1; i < LogLimit::lines_per_minute; ++i)
        CHECK(limit.admit(t + 1min) == 0);
    CHECK_FALSE(limit.admit(t + 1min));
    CHECK(limit.admit(t + 2min) == 1);
}

TEST_CASE("a minute begins with the first line in it, not with the last") {
    LogLimit limit;
    (void)limit.admit(t);
    for (int i = 1; i < LogLimit::lines_per_minute; ++i)
        CHECK(limit.admit(t + 59s));
    CHECK(limit.admit(t + 60s));
}

TEST_CASE("a line that is left out is counted, however many minutes pass in silence") {
    LogLimit limit;
    for (int i = 0; i < LogLimit::lines_per_minute + 1; ++i)
        (void)limit.admit(t);
    CHECK(limit.admit(t + 24h) == 1);
    CHECK(limit.admit(t + 24h) == 0);
}
