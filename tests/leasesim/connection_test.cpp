#include "tests/leasesim/peer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

using namespace leasemirror;
using namespace leasemirror::leasesim;
using namespace std::chrono_literals;

namespace {

ServerOptions options(Family family, std::uint64_t n = 300, double churn = 20) {
    ServerOptions o;
    o.model.family = family;
    o.model.bindings = n;
    o.model.churn = churn;
    o.model.seed = 11;
    o.model.skew = 3500ms;
    return o;
}

}  // namespace

TEST_CASE("a bulk of a million is made as it is read, in bounded pieces") {
    auto o = options(Family::v4, 1'000'000, 0);
    ModelServer server(o, t0);
    const auto c = server.accept(t0);
    c->on_bytes(framed(bulk_v4()), t0);
    for (int i = 0; i < 5; ++i) {
        const auto out = c->poll(t0);
        REQUIRE(out);
        CHECK(std::get<Send>(*out).bytes.size() < o.chunk_bytes + 8192);
        CHECK_FALSE(c->poll(t0));  // nothing until it has been taken
        c->on_writable(t0);
    }
    CHECK(c->messages_sent() < 2000);
    CHECK(c->space() > 0);
}

TEST_CASE("two queries on one connection are answered one after the other") {
    ModelServer server(options(Family::v4, 50), t0);
    Peer peer(server, t0);
    auto two = framed(bulk_v4(1));
    const auto second = framed(bulk_v4(2));
    two.insert(two.end(), second.begin(), second.end());
    peer.send(two);
    std::vector<std::uint32_t> xids;
    for_each_v4(peer, [&](const MessageV4& m) { xids.push_back(m.xid); });
    CHECK(xids.size() == 102);
    CHECK(std::is_sorted(xids.begin(), xids.end()));
}

TEST_CASE("connections over the cap are accepted and closed; an idle one is closed after BULK_LQ_DATA_TIMEOUT") {
    auto o = options(Family::v4);
    o.connections_max = 1;
    ModelServer server(o, t0);
    Peer first(server, t0);
    Peer second(server, t0);
    second.drain();
    CHECK(second.closed);
    CHECK(second.stream.empty());
    first.run(299s);
    CHECK_FALSE(first.closed);
    first.run(1s);
    CHECK(first.closed);
    Peer third(server, t0);
    third.drain();
    CHECK_FALSE(third.closed);
}

TEST_CASE("a reader that stalls a bulk is cut after BULK_LQ_DATA_TIMEOUT; a rate limit paces it") {
    ModelServer server(options(Family::v4, 100'000), t0);
    const auto c = server.accept(t0);
    c->on_bytes(framed(bulk_v4()), t0);
    REQUIRE(c->poll(t0));
    CHECK(c->next_deadline(t0) == t0 + 300s);
    c->on_deadline(t0 + 300s);
    CHECK(std::get<Close>(*c->poll(t0 + 300s)).abort);

    auto o = options(Family::v4, 100);
    o.messages_per_second = 10;
    ModelServer slow(o, t0);
    Peer peer(slow, t0);
    peer.ask(bulk_v4());
    peer.run(5s);
    CHECK(peer.frames().size() == 51);
}
