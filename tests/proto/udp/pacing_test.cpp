#include "proto/udp/pacing.hpp"

#include <doctest/doctest.h>

#include <vector>

namespace leasemirror {
namespace {

using namespace std::chrono_literals;

SteadyTime t(std::chrono::milliseconds since) {
    return SteadyTime{1h} + since;
}

}  // namespace

TEST_CASE("a server that has not answered yet gets one query at a time") {
    UdpPacing pacing;
    CHECK_FALSE(pacing.proven(t(0s)));
    const auto first = pacing.begin(t(0s));
    REQUIRE(first);
    CHECK_FALSE(pacing.begin(t(0s)));
    CHECK_FALSE(pacing.begin(t(100s)));
    CHECK(pacing.keeps(*first, t(100s)));
    CHECK_FALSE(pacing.next_try(t(100s)));  // only once the first has ended
}

TEST_CASE("and the next one not sooner than ten seconds after the one before") {
    UdpPacing pacing;
    const auto first = pacing.begin(t(0s));
    REQUIRE(first);
    pacing.end(*first);
    CHECK_FALSE(pacing.begin(t(9999ms)));
    CHECK(pacing.next_try(t(5s)) == t(10s));
    CHECK(pacing.next_try(t(15s)) == t(15s));
    CHECK(pacing.begin(t(10s)));
}

TEST_CASE("a response opens the door for a minute, to a hundred at a time") {
    UdpPacing pacing;
    REQUIRE(pacing.begin(t(0s)));
    pacing.on_response(t(1s));
    CHECK(pacing.proven_until() == t(61s));
    std::vector<UdpPacing::Ticket> tickets;
    while (const auto ticket = pacing.begin(t(2s)))
        tickets.push_back(*ticket);
    CHECK(pacing.outstanding() == UdpPacing::outstanding_max);
    CHECK_FALSE(pacing.next_try(t(2s)));
    pacing.end(tickets.front());
    CHECK(pacing.next_try(t(2s)) == t(2s));
    CHECK(pacing.begin(t(2s)));
}

TEST_CASE("each response restarts the minute; when it has run out only the longest outstanding goes on") {
    UdpPacing pacing;
    const auto first = pacing.begin(t(0s));
    pacing.on_response(t(1s));
    const auto second = pacing.begin(t(2s)), third = pacing.begin(t(2s));
    REQUIRE((first && second && third));
    pacing.on_response(t(30s));
    CHECK(pacing.proven(t(89999ms)));
    CHECK(pacing.keeps(*third, t(89999ms)));
    CHECK_FALSE(pacing.proven(t(90s)));
    CHECK(pacing.keeps(*first, t(90s)));
    CHECK_FALSE(pacing.keeps(*second, t(90s)));
    pacing.end(*first);
    CHECK(pacing.keeps(*second, t(90s)));
    CHECK_FALSE(pacing.begin(t(120s)));
    pacing.end(*second);
    pacing.end(*third);
    pacing.end(*third);  // twice, or unknown, does nothing
    CHECK(pacing.outstanding() == 0);
    CHECK(pacing.begin(t(120s)));
}

}  // namespace leasemirror
