// From one configuration to the next, one server at a time (agent/daemon/roster.hpp).
#include "agent/daemon/roster.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <random>
#include <set>

using namespace leasemirror;
using Kind = Roster::Step::Kind;
using Words = std::vector<std::string>;

namespace {

Roster::Server server(const std::string& name, std::uint16_t port = 67) {
    Roster::Server out;
    out.config.name = name;
    out.config.port = port;
    return out;
}

/// All steps that there are, in words: "retire 0 east".
Words steps(Roster& roster) {
    Words out;
    while (const auto step = roster.poll()) {
        const auto* word = step->kind == Kind::retire ? "retire " : step->kind == Kind::open ? "open " : "release ";
        out.push_back(word + std::to_string(step->server) + " " + roster.server(step->server).config.name);
    }
    return out;
}

}  // namespace

TEST_CASE("what has not changed goes on, in any order") {
    Roster roster({server("east"), server("west")});
    roster.want({server("west"), server("east")});
    CHECK(steps(roster).empty());
    CHECK(roster.wanted() == 2);
}

TEST_CASE("a server whose certificate has changed is connected to anew") {
    Roster roster({server("east"), server("west")});
    auto east = server("east");
    east.tls_stamp = "new";
    roster.want({east, server("west")});
    CHECK(steps(roster) == Words{"retire 0 east"});
    roster.on_retired(0);
    CHECK(steps(roster) == Words{"open 0 east"});
    CHECK(roster.on_opened(0));
    roster.want({east, server("west")});
    CHECK(steps(roster).empty());
}

TEST_CASE("a server that is added is opened and worked") {
    Roster roster({server("east")});
    roster.want({server("west"), server("east")});
    CHECK(steps(roster) == Words{"open 1 west"});
    CHECK(roster.on_opened(1));
    CHECK(steps(roster).empty());
}

TEST_CASE("a server that is removed ends, is released, and leaves its place to another") {
    Roster roster({server("east"), server("west")});
    roster.want({server("west")});
    CHECK(steps(roster) == Words{"retire 0 east"});
    roster.on_retired(0);
    CHECK(steps(roster) == Words{"release 0 east"});
    roster.on_released(0);
    CHECK(steps(roster).empty());
    roster.want({server("west"), server("north")});
    CHECK(steps(roster) == Words{"open 0 north"});
}

TEST_CASE("a server that has changed ends and is opened anew, without being released") {
    Roster roster({server("east"), server("west")});
    roster.want({server("east", 1067), server("west")});
    CHECK(steps(roster) == Words{"retire 0 east"});
    roster.on_retired(0);
    CHECK(steps(roster) == Words{"open 0 east"});
    CHECK(roster.server(0).config.port == 1067);
    CHECK(roster.on_opened(0));
}

TEST_CASE("a configuration that comes while another is being followed is what counts in the end") {
    Roster roster({server("east")});
    roster.want({server("east", 1)});
    CHECK(steps(roster) == Words{"retire 0 east"});
    roster.want({server("east", 2)});
    CHECK(steps(roster).empty());
    roster.on_retired(0);
    CHECK(steps(roster) == Words{"open 0 east"});
    CHECK(roster.server(0).config.port == 2);
    roster.want({server("east", 3)});
    CHECK_FALSE(roster.on_opened(0));  // of port 2
    CHECK(steps(roster) == Words{"open 0 east"});
    CHECK(roster.server(0).config.port == 3);
    roster.want({server("other")});
    CHECK_FALSE(roster.on_opened(0));
    CHECK(steps(roster) == Words{"release 0 east", "open 1 other"});
}

TEST_CASE("a server that another agent works is waited for, and given up when nobody wants it") {
    Roster roster({server("east")});
    roster.want({server("east"), server("west")});
    CHECK(steps(roster) == Words{"open 1 west"});
    roster.on_claimed(1);
    CHECK(steps(roster).empty());
    CHECK(roster.any_claimed());
    roster.try_claimed_again();
    CHECK(steps(roster) == Words{"open 1 west"});
    roster.on_claimed(1);
    roster.want({server("east")});
    CHECK(steps(roster).empty());  // it was never ours: nothing is to be released
    CHECK_FALSE(roster.any_claimed());
    CHECK(roster.wanted() == 1);
}

TEST_CASE("a server that an operator resumes is opened as it is, or as it is wanted by then") {
    Roster roster({server("east")});
    roster.reopen(0);
    CHECK(steps(roster) == Words{"open 0 east"});
    CHECK(roster.on_opened(0));
    roster.want({server("east", 9)});
    CHECK(steps(roster) == Words{"retire 0 east"});
    roster.reopen(0);  // too late
    CHECK(steps(roster).empty());
}

TEST_CASE("all begins anew with what is wanted") {
    Roster roster({server("east"), server("west")});
    roster.want({server("west", 5), server("north")});
    (void)steps(roster);
    roster.begin_anew();
    CHECK(steps(roster).empty());
    REQUIRE(roster.configs().size() == 2);
    CHECK(roster.server(0).config == roster.configs()[0]);
    CHECK(roster.server(0).config.name == "west");
    CHECK(roster.server(0).config.port == 5);
    CHECK(roster.server(1).config.name == "north");
}

namespace {

/// A daemon that does what it is told, some time later.
class Follower {
public:
    explicit Follower(std::uint32_t seed) : dice_(seed) {}

    void wants_something() {
        wanted_.clear();
        for (const char* name : {"a", "b", "c", "d", "e"})
            if (dice_() % 3 != 0) wanted_.push_back(server(name, static_cast<std::uint16_t>(dice_() % 3)));
        roster_.want(wanted_);
    }
    void goes_on() {
        while (const auto step = roster_.poll()) {
            CHECK((step->kind == Kind::retire) == worked_.contains(step->server));
            waiting_.push_back(*step);
        }
        if (waiting_.empty()) return;
        const auto at = waiting_.begin() + static_cast<std::ptrdiff_t>(dice_() % waiting_.size());
        const auto step = *at;
        waiting_.erase(at);
        switch (step.kind) {
            case Kind::retire:
                worked_.erase(step.server);
                return roster_.on_retired(step.server);
            case Kind::release:
                return roster_.on_released(step.server);
            case Kind::open:
                if (dice_() % 4 == 0) return roster_.on_claimed(step.server);
                if (roster_.on_opened(step.server)) worked_.insert(step.server);
        }
    }
    void comes_to_rest() {
        for (int i = 0; i < 1000; ++i) {
            roster_.try_claimed_again();
            goes_on();
        }
        std::set<std::pair<std::string, std::uint16_t>> works, wanted;
        for (const auto i : worked_)
            works.emplace(roster_.server(i).config.name, roster_.server(i).config.port);
        for (const auto& one : wanted_)
            wanted.emplace(one.config.name, one.config.port);
        CHECK(works == wanted);
        CHECK(works.size() == worked_.size());
        CHECK(waiting_.empty());
    }
    [[nodiscard]] std::uint32_t die() { return static_cast<std::uint32_t>(dice_()); }

private:
    std::mt19937 dice_;
    Roster roster_{{server("a"), server("b")}};
    std::vector<Roster::Server> wanted_{server("a"), server("b")};
    std::set<std::size_t> worked_{0, 1};
    std::vector<Roster::Step> waiting_;
};

}  // namespace

TEST_CASE("whatever comes when, in the end exactly what is wanted is worked, each server once") {
    for (std::uint32_t seed = 1; seed <= 200; ++seed) {
        CAPTURE(seed);
        Follower daemon(seed);
        for (int i = 0; i < 40; ++i) {
            if (daemon.die() % 5 == 0) daemon.wants_something();
            daemon.goes_on();
        }
        daemon.comes_to_rest();
    }
}
