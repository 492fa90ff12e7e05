#include "proto/udp/negative_cache.hpp"
#include "tests/proto/udp/talk.hpp"

#include <doctest/doctest.h>

namespace leasemirror {
namespace {

using namespace std::chrono_literals;
using test::ask_by;
using test::ask_for;

const UdpEndpoint east{IpAddress::v4(0xc0000201), 67};
const UdpEndpoint west{IpAddress::v4(0xc0000202), 67};
const SteadyTime t0{1h};

}  // namespace

TEST_CASE("what a server says it does not have is known for five minutes, of that server and that question") {
    NegativeCache cache;
    cache.remember(east, ask_for("10.0.0.1"), UdpOutcome::unassigned, StatusCode::success, t0);
    const auto known = cache.find(east, ask_for("10.0.0.1"), t0 + 4min + 59s);
    REQUIRE(known);
    CHECK(known->outcome == UdpOutcome::unassigned);
    CHECK_FALSE(cache.find(east, ask_for("10.0.0.1"), t0 + 5min));
    CHECK_FALSE(cache.find(west, ask_for("10.0.0.1"), t0));
    CHECK_FALSE(cache.find(east, ask_for("10.0.0.2"), t0));
    CHECK_FALSE(cache.find(east, ask_by(QueryKind::hw_addr, {1}), t0));
}

TEST_CASE("only what says that nothing is there") {
    NegativeCache cache;
    const auto remembers = [&](UdpOutcome outcome, StatusCode status = StatusCode::success) {
        const auto query =
            ask_by(QueryKind::client_id, {static_cast<std::uint8_t>(outcome), static_cast<std::uint8_t>(status)});
        cache.remember(east, query, outcome, status, t0);
        return cache.find(east, query, t0).has_value();
    };
    CHECK(remembers(UdpOutcome::unknown));
    CHECK(remembers(UdpOutcome::unassigned));
    CHECK(remembers(UdpOutcome::no_binding));
    CHECK(remembers(UdpOutcome::refused, StatusCode::not_configured));
    CHECK_FALSE(remembers(UdpOutcome::refused, StatusCode::not_allowed));
    CHECK_FALSE(remembers(UdpOutcome::found));
    CHECK_FALSE(remembers(UdpOutcome::several_links));
    CHECK_FALSE(remembers(UdpOutcome::silent));
    CHECK_FALSE(remembers(UdpOutcome::unsendable));
    CHECK_FALSE(remembers(UdpOutcome::waiting));
}

TEST_CASE("a remote-id that a server does not know is not asked there again (RFC 6148 section 4.6)") {
    NegativeCache cache;
    const auto line = ask_by(QueryKind::remote_id, {7});
    cache.remember(east, line, UdpOutcome::unknown, StatusCode::success, t0);
    CHECK(cache.find(east, line, t0 + std::chrono::hours{1000}));
}

TEST_CASE("a lease that was seen elsewhere makes all servers worth asking again") {
    NegativeCache cache;
    for (const auto& server : {east, west})
        cache.remember(server, ask_for("10.0.0.1"), UdpOutcome::unassigned, StatusCode::success, t0);
    cache.remember(east, ask_for("10.0.0.2"), UdpOutcome::unassigned, StatusCode::success, t0);
    cache.forget(ask_for("10.0.0.1"));
    CHECK_FALSE(cache.find(east, ask_for("10.0.0.1"), t0));
    CHECK_FALSE(cache.find(west, ask_for("10.0.0.1"), t0));
    CHECK(cache.find(east, ask_for("10.0.0.2"), t0));
    CHECK(cache.size() == 1);
}

TEST_CASE("the memory is bounded: what expires first makes room") {
    NegativeCache cache(3);
    const auto line = ask_by(QueryKind::remote_id, {7});  // never expires
    cache.remember(east, line, UdpOutcome::unknown, StatusCode::success, t0);
    for (std::uint8_t i = 1; i <= 100; ++i) {
        cache.remember(east, ask_by(QueryKind::hw_addr, {i}), UdpOutcome::unknown, StatusCode::success, t0 + i * 1s);
        REQUIRE(cache.size() <= 3);
    }
    CHECK(cache.find(east, line, t0 + 100s));
    CHECK(cache.find(east, ask_by(QueryKind::hw_addr, {100}), t0 + 100s));
    CHECK_FALSE(cache.find(east, ask_by(QueryKind::hw_addr, {98}), t0 + 100s));

    NegativeCache none(0);
    none.remember(east, line, UdpOutcome::unknown, StatusCode::success, t0);
    CHECK(none.size() == 0);
}

TEST_CASE("said again, it counts from then") {
    NegativeCache cache;
    cache.remember(east, ask_for("10.0.0.1"), UdpOutcome::unassigned, StatusCode::success, t0);
    cache.remember(east, ask_for("10.0.0.1"), UdpOutcome::unknown, StatusCode::success, t0 + 4min);
    const auto known = cache.find(east, ask_for("10.0.0.1"), t0 + 8min);
    REQUIRE(known);
    CHECK(known->outcome == UdpOutcome::unknown);
    CHECK(cache.size() == 1);
}

}  // namespace leasemirror
