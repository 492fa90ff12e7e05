// The rules of what a batch does, over tables in memory.
#include "tests/storage/ledger/tables.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>
#include <vector>

using namespace leasemirror;
using namespace leasemirror::testing;

TEST_CASE("a lease's life is assigned, renewed, ended") {
    Tables tables(true);
    tables.apply({until(told("alice", 0), 100)}, 0);
    tables.apply({until(told("alice", 50), 150)}, 50);
    tables.apply({told("alice", 60, BindingState::released)}, 61);
    CHECK(tables.words() == Words{"assigned alice", "renewed alice", "ended alice"});
    CHECK(tables.history() == Words{"alice 0..60 reported"});
}

TEST_CASE("renewals are recorded only where that is asked for") {
    Tables tables;
    tables.apply({until(told("alice", 0), 100)}, 0);
    tables.apply({until(told("alice", 50), 150)}, 50);
    CHECK(tables.words() == Words{"assigned alice"});
}

TEST_CASE("what is told again says nothing new") {
    Tables tables(true);
    tables.apply({until(told("alice", 0), 100)}, 0);
    tables.apply({until(told("alice", 0), 100)}, 1);
    tables.apply({listed(until(told("alice", 5), 100))}, 5);
    CHECK(tables.words() == Words{"assigned alice"});
}

TEST_CASE("changes of client inside one batch are all there") {
    Tables tables;
    tables.apply({told("alice", 0)}, 0);
    tables.apply({told("bob", 10), told("carol", 20), told("carol", 25, BindingState::released), told("alice", 30)},
                 30);
    CHECK(tables.words() == Words{"assigned alice", "ended alice inferred", "assigned bob", "ended bob inferred",
                                  "assigned carol", "ended carol", "assigned alice"});
    CHECK(tables.history() ==
          Words{"alice 0..10~ replaced", "bob 10..20~ replaced", "carol 20..25 reported", "alice 30.."});
}

TEST_CASE("a client that lost its time before another came ends with its time") {
    Tables tables;
    tables.apply({until(told("alice", 0), 100)}, 0);
    tables.apply({told("bob", 500)}, 500);
    CHECK(tables.history() == Words{"alice 0..100~ expired", "bob 500.."});
}

TEST_CASE("a new client never takes over the old one's past") {
    SUBCASE("a server that does not begin the state anew") {
        Tables tables;
        tables.apply({since(told("alice", 50), 0)}, 50);
        tables.apply({since(told("bob", 80), 0)}, 80);
        CHECK(tables.history() == Words{"alice 0..80~ replaced", "bob 80.."});
    }
    SUBCASE("the old one was heard of later than the new one says it began") {
        Tables tables;
        auto renewed = since(told("alice", 70), 0);
        renewed.binding.client_last_seen = at(70);
        tables.apply({renewed}, 70);
        tables.apply({since(told("bob", 80), 30)}, 80);
        CHECK(tables.history() == Words{"alice 0..70~ replaced", "bob 70~.."});
    }
}

TEST_CASE("within one second of base-time a bulk asked later is younger, and one asked earlier is not") {
    Tables tables;
    auto live = told("alice", 100);
    live.run = 3;
    tables.apply({live}, 100);
    auto repair = listed(told("bob", 100));
    repair.run = 3;
    SUBCASE("asked before alice was told: active beats bulk") {
        tables.apply({repair}, 101);
        CHECK(tables.words() == Words{"assigned alice"});
    }
    SUBCASE("asked after: it knows of what was lost since") {
        repair.run = 4;
        tables.apply({repair}, 101);
        CHECK(tables.history() == Words{"alice 100..100~ replaced", "bob 100~.."});
        // And an answer of the earlier bulk that comes late does not undo it.
        auto late = listed(told("alice", 100));
        late.run = 3;
        tables.apply({late}, 102);
        CHECK(tables.feed.size() == 3);
        CHECK(tables.rows.begin()->second.seen_run == 4);
    }
}

TEST_CASE("what a bulk or the catch-up phase tells is a bound, but for start-time-of-state") {
    Tables tables;
    auto first = listed(told("alice", 100));
    first.binding.client_last_seen = at(40);
    tables.apply({first}, 100);
    auto gone = told("alice", 200, BindingState::released);
    gone.late = true;
    tables.apply({gone}, 200);
    tables.apply({listed(since(told("bob", 300), 250))}, 300);
    CHECK(tables.history() == Words{"alice 40~..200~ reported", "bob 250.."});
    CHECK(tables.words() == Words{"assigned alice inferred", "ended alice inferred", "assigned bob"});
}

TEST_CASE("what was told while the server's clock was unsure is a bound by our own clock, even start-time-of-state") {
    Tables tables;
    auto first = since(told("alice", 100), 60);
    first.clock_unsure = true;
    first.told_at = utc(205);
    tables.apply({first}, 210);
    auto gone = told("alice", 150, BindingState::released);
    gone.binding.state_since = at(140);
    gone.clock_unsure = true;
    gone.told_at = utc(255);
    tables.apply({gone}, 260);
    CHECK(tables.history() == Words{"alice 205~..255~ reported"});
}

TEST_CASE("while the clocks are unsure, what was in force when it was told has not expired") {
    Tables tables;
    auto change = until(told("alice", 100), 200);
    change.late = change.clock_unsure = true;
    change.told_at = utc(3700);
    SUBCASE("it was") {
        tables.apply({change}, 3700);
        CHECK(tables.state() == BindingState::active);
    }
    SUBCASE("it was not") {
        change.binding.expires_at = at(90);
        tables.apply({change}, 3700);
        CHECK(tables.rows.begin()->second.end_reason == EndReason::expired);
    }
}

TEST_CASE("a lease that arrives expired was held until then") {
    Tables tables;
    SUBCASE("by a client we had not heard of") {
        tables.apply({listed(until(told("alice", 100), 60))}, 100);
        CHECK(tables.history() == Words{"alice 60~..60~ expired"});
        CHECK(tables.words() == Words{"assigned alice inferred", "ended alice inferred"});
        // Again and again the same, as polling tells it: nothing more.
        tables.apply({listed(until(told("alice", 400), 61))}, 400);
        CHECK(tables.feed.size() == 2);
    }
    SUBCASE("by one that had it") {
        tables.apply({until(told("alice", 0), 50)}, 0);
        tables.apply({until(told("alice", 20), 60)}, 100);
        CHECK(tables.history() == Words{"alice 0..60~ expired"});
    }
    SUBCASE("while another one had it") {
        tables.apply({until(told("alice", 0), 500)}, 0);
        tables.apply({until(told("bob", 20), 60)}, 100);
        CHECK(tables.history() == Words{"alice 0..20~ replaced", "bob 20..60~ expired"});
        CHECK(tables.words() == Words{"assigned alice", "ended alice inferred", "assigned bob", "ended bob inferred"});
    }
}

TEST_CASE("a client that moves gets a row of its own, and one that becomes known does not") {
    Tables tables;
    auto alice = told("alice", 0);
    tables.apply({alice}, 0);
    alice = told("alice", 10);
    alice.binding.remote_id = id("port-1");
    tables.apply({alice}, 10);
    CHECK(tables.history() == Words{"alice 0.."});
    CHECK(tables.holds[0].what.remote_id == id("port-1"));
    alice.binding.base_time = at(20);
    alice.binding.remote_id = id("port-2");
    tables.apply({alice}, 20);
    CHECK(tables.history() == Words{"alice 0..20 moved", "alice 20.."});
    CHECK(tables.words() == Words{"assigned alice", "updated alice", "updated alice"});
}

TEST_CASE("who comes after nobody may have been there, and who comes after somebody unnamed is another") {
    Tables tables;
    tables.apply({told("", 0)}, 0);
    tables.apply({told("alice", 10)}, 10);
    CHECK(tables.history() == Words{"alice 0.."});
    tables.apply({told("", 20)}, 20);
    tables.apply({told("bob", 30)}, 30);
    CHECK(tables.history() == Words{"alice 0..20~ replaced", "bob 20.."});
}

TEST_CASE("two clients behind one hardware address are two, also with an unnamed one between them") {
    Tables tables;
    auto lease = told("alice", 0);
    lease.binding.hw_addr = {2, 1};
    tables.apply({lease}, 0);
    lease.binding.client_id.clear();
    lease.binding.base_time = at(10);
    tables.apply({lease}, 10);
    lease.binding.client_id = id("bob");
    lease.binding.base_time = at(20);
    tables.apply({lease}, 20);
    CHECK(tables.history() == Words{"alice 0..10~ replaced", "bob 10.."});
}

TEST_CASE("a binding that never was in force is told once") {
    Tables tables;
    tables.apply({listed(told("", 0, BindingState::available))}, 0);
    tables.apply({listed(told("", 10, BindingState::available))}, 10);
    tables.apply({listed(told("", 20, BindingState::abandoned))}, 20);
    CHECK(tables.words() == Words{"updated  inferred", "updated  inferred"});
    CHECK(tables.holds.empty());
}

TEST_CASE("a list ends what the client no longer has, what this batch gave it too") {
    Tables tables;
    auto first = told("alice", 0);
    first.binding.link_address = IpAddress::parse("10.0.0.0");
    auto second = first;
    second.binding.key.address = *IpAddress::parse("192.0.2.2");
    tables.apply({first}, 0);
    Change list;
    list.kind = Change::Kind::client_list_end;
    list.binding.client_id = id("alice");
    list.binding.link_address = IpAddress::parse("10.0.0.0");
    list.binding.base_time = at(5);
    list.binding.via = Via::active;
    tables.apply({second, list}, 5);
    CHECK(tables.words() == Words{"assigned alice", "assigned alice", "ended alice", "ended alice"});
    for (const auto& [key, row] : tables.rows)
        CHECK(row.end_reason == EndReason::unlisted);
}

TEST_CASE("after its row was removed an address remembers when it became free") {
    Tables tables;
    tables.apply({told("alice", 0), told("alice", 50, BindingState::released)}, 50);
    --tables.counts[static_cast<std::size_t>(BindingState::released)];
    tables.rows.clear();
    tables.apply({since(told("bob", 100), 20)}, 100);
    CHECK(tables.history() == Words{"alice 0..50 reported", "bob 50~.."});
}

TEST_CASE("batches of any size tell the same history") {
    for (unsigned seed = 1; seed <= 400; ++seed) {
        CAPTURE(seed);
        std::mt19937 dice(seed);
        const auto below = [&dice](unsigned n) { return static_cast<std::int64_t>(dice() % n); };
        std::vector<Change> story;
        std::int64_t base = 0;
        const std::vector<std::string> clients{"alice", "bob", ""};
        const std::vector<BindingState> states{BindingState::active,   BindingState::active,  BindingState::active,
                                               BindingState::released, BindingState::expired, BindingState::available};
        for (int i = 0; i < 40; ++i) {
            base += below(4) == 0 ? 0 : below(30);
            auto change = told(clients[static_cast<std::size_t>(below(3))],
                               std::max<std::int64_t>(0, base - below(3) * below(20)),
                               states[static_cast<std::size_t>(below(6))]);
            change.binding.key.address = IpAddress::v4(static_cast<std::uint32_t>(0xc0000200 + below(2)));
            if (below(2)) change.binding.hw_addr = {2, 0, 0, 0, 0, static_cast<std::uint8_t>(below(2))};
            if (below(3) == 0) change.binding.remote_id = id(below(2) ? "port-1" : "port-2");
            if (below(2)) change.binding.state_since = at(base - below(40));
            if (below(2)) change.binding.client_last_seen = at(base - below(40));
            if (below(2)) change.binding.expires_at = at(base + below(80));
            if (below(3) == 0) change = listed(change);
            change.late = below(4) == 0;
            story.push_back(change);
        }
        // One `now` for all: else what has expired on arrival would depend on when the batch was closed.
        Tables whole(true), single(true);
        whole.apply(story, base);
        for (const auto& change : story)
            single.apply({change}, base);
        CHECK(whole.words() == single.words());
        CHECK(whole.history() == single.history());
        REQUIRE(whole.feed.size() == single.feed.size());
        for (std::size_t i = 0; i < whole.feed.size(); ++i)
            REQUIRE(whole.feed[i].second.detail == single.feed[i].second.detail);
        CHECK(whole.counts == single.counts);
    }
}
