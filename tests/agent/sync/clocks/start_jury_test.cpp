// Whether our own clock was set while the agent was away (start_jury.hpp). What follows from it is in
// server_sync/clock_test.cpp.
#include "agent/sync/clocks/start_jury.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

constexpr SteadyTime start{1h};

/// Away for a day by our clock, until a test says that that was set.
StartJury::Member four(std::size_t server, const std::string& address, std::chrono::milliseconds away = 24h) {
    return {server, Family::v4, address, away};
}
StartJury::Member six(std::size_t server, const std::string& address) {
    return {server, Family::v6, address, 24h};
}
StartJury::Shift about(std::chrono::milliseconds shift) {
    return {shift, shift + 1s};
}

}  // namespace

TEST_CASE("two servers that tell of one shift: our clock was set") {
    StartJury jury;
    jury.summon({four(0, "192.0.2.1"), four(1, "192.0.2.2"), six(2, "2001:db8::1")}, start);
    REQUIRE(jury.sits());
    CHECK(jury.deadline() == start + StartJury::patience);
    jury.hear(0, about(3600s));
    CHECK_FALSE(jury.find(start));
    jury.hear(1, about(3600s + 400ms));
    const auto found = jury.find(start);
    REQUIRE(found);
    CHECK(*found <= -3600s);
    CHECK(*found >= -3601s);
    CHECK_FALSE(jury.sits());
    CHECK_FALSE(jury.find(start));
}

TEST_CASE("one server that tells of none: our clock was not set, whatever the others tell") {
    StartJury jury;
    jury.summon({four(0, "192.0.2.1"), four(1, "192.0.2.2")}, start);
    jury.hear(0, about(-3600s));
    CHECK_FALSE(jury.find(start));
    jury.hear(1, about(-1s));
    CHECK(jury.find(start) == 0ms);
}

TEST_CASE("servers that tell of different shifts, and one alone, are not believed") {
    StartJury jury;
    jury.summon({four(0, "192.0.2.1"), four(1, "192.0.2.2")}, start);
    SUBCASE("different") {
        jury.hear(0, about(3600s));
        jury.hear(1, about(60s));
        CHECK(jury.find(start) == 0ms);
    }
    SUBCASE("alone, until the patience is over") {
        jury.hear(0, about(3600s));
        CHECK_FALSE(jury.find(start + StartJury::patience - 1s));
        CHECK(jury.find(start + StartJury::patience) == 0ms);
    }
}

TEST_CASE("one host alone is not believed, so there is nothing to wait for") {
    StartJury jury;
    jury.summon({}, start);
    CHECK_FALSE(jury.sits());
    jury.summon({four(0, "192.0.2.1")}, start);
    CHECK_FALSE(jury.sits());
    jury.summon({four(0, "192.0.2.1"), four(1, "192.0.2.1"), six(2, "2001:db8::1")}, start);
    CHECK_FALSE(jury.sits());
}

TEST_CASE("a host that may be the same does not count twice") {
    StartJury jury;
    jury.summon({four(0, "192.0.2.1"), four(1, "192.0.2.2"), six(2, "2001:db8::1")}, start);
    jury.hear(0, about(3600s));
    jury.hear(2, about(3600s));
    CHECK_FALSE(jury.find(start));
}

TEST_CASE("the time that the agent would have been away must be one that can be") {
    const auto found = [](std::chrono::milliseconds away, std::chrono::milliseconds shift) {
        StartJury jury;
        jury.summon({four(0, "192.0.2.1", away), four(1, "192.0.2.2", away)}, start);
        jury.hear(0, about(shift));
        jury.hear(1, about(shift));
        return jury.find(start).value();
    };
    CHECK(found(100s, -60s) == 59500ms);
    CHECK(found(100s, -200s) == 0ms);  // it would have written in the future
    CHECK(found(-3500s, 3600s) == -3600500ms);
    CHECK(found(100s, 24h * 365 * 73) == 0ms);                   // 73 years
    CHECK(found(-24h * 365 * 50, 24h * 365 * 50 + 100s) < 0ms);  // the host began in 1970
}
