// The agent's signs of life, on an event loop of their own. No test waits for one to be due: they look at what is said at
// once, and at what is not.
#include "agent/daemon/pulse.hpp"

#include <doctest/doctest.h>
#include <asio/io_context.hpp>

#include <vector>

using namespace leasemirror;

namespace {

struct Beating {
    asio::io_context loop;
    std::vector<Heartbeat> sent;
    Pulse pulse{loop, {"east", "host", 7, "1.0", {}}, 3, [this](Heartbeat beat) { sent.push_back(std::move(beat)); }};
};

}  // namespace

TEST_CASE("the first sign of life comes at once, and says who the agent is and how many servers it works") {
    Beating b;
    b.pulse.start();
    REQUIRE(b.sent.size() == 1);
    CHECK(b.sent[0].agent.name == "east");
    CHECK(b.sent[0].servers == 3);
    CHECK_FALSE(b.sent[0].stopping);
    CHECK_FALSE(b.pulse.on_written());
    b.pulse.stop();
    b.loop.run();
    CHECK(b.sent.size() == 1);
}

TEST_CASE("the last one is said once, and the end waits until it is written, not one that was under way before") {
    Beating b;
    b.pulse.start();
    b.pulse.on_changes(10);
    b.pulse.say_last();
    b.pulse.say_last();
    REQUIRE(b.sent.size() == 2);
    CHECK(b.sent[1].stopping);
    CHECK(b.sent[1].rate > 0);
    CHECK_FALSE(b.pulse.on_written());
    CHECK(b.pulse.on_written());
    b.loop.run();
    CHECK(b.sent.size() == 2);
}

TEST_CASE("with writers that were opened anew nothing is under way any more") {
    Beating b;
    b.pulse.start();
    b.pulse.stop();
    b.pulse.start();
    CHECK_FALSE(b.pulse.on_written());
    b.pulse.say_last();
    CHECK(b.pulse.on_written());
}
