// How bindings end without being told so: complete lists, full bulks, expiry. Over every engine.
#include "tests/storage/test_store.hpp"

#include <doctest/doctest.h>

#include <array>

using namespace leasemirror;
using namespace leasemirror::testing;
using Rows = std::vector<std::string>;

namespace {
Change of(std::string_view client, const std::string& link, const std::string& address, std::int64_t base) {
    auto out = told(address, base);
    out.binding.client_id = id(client);
    if (!link.empty()) out.binding.link_address = IpAddress::parse(link).value();
    return out;
}
}  // namespace

TEST_CASE("a complete list ends the client's other bindings on that link, and no others") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        f.apply({of("c", "2001:db8:1::", "2001:db8:1::1", 20), of("c", "2001:db8:1::", "2001:db8:1::2", 20),
                 of("c", "2001:db8:2::", "2001:db8:2::1", 20), of("d", "2001:db8:1::", "2001:db8:1::9", 20),
                 of("c", "", "2001:db8:3::1", 20)});
        const auto applied =
            f.apply({of("c", "2001:db8:1::", "2001:db8:1::2", 30), list_end("c", "2001:db8:1::", 30, 1)});
        CHECK(applied.ended == 1);
        CHECK(f.states() == Rows{"2001:db8:1::1 ended unlisted", "2001:db8:1::2 active", "2001:db8:1::9 active",
                                 "2001:db8:2::1 active", "2001:db8:3::1 active"});
        CHECK(f.counted() == 4);
    }
}

TEST_CASE(
    "a list of an unknown link, and what is on an unknown link, leave it open: it is in doubt, and nothing ends") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        f.apply({of("c", "2001:db8:1::", "2001:db8:1::1", 20), of("c", "2001:db8:1::", "2001:db8:1::2", 20),
                 of("c", "", "2001:db8:3::1", 20)});
        CHECK(f.apply({list_end("c", "2001:db8:2::", 30, 0)}).ended == 0);
        CHECK(f.doubts() == Rows{"2001:db8:3::1 link_unknown"});
        const auto applied = f.apply({of("c", "2001:db8:1::", "2001:db8:1::2", 40), list_end("c", "", 40, 1)});
        CHECK(applied.ended == 0);
        CHECK(applied.doubts_open == 2);
        CHECK(f.doubts() == Rows{"2001:db8:1::1 link_unknown", "2001:db8:3::1 link_unknown"});
        CHECK(f.counted() == 3);
    }
}

TEST_CASE("a list ends nothing newer, and nothing that it names but that could not be understood") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        const std::string link = "2001:db8:ff::";
        f.apply({of("c", link, "2001:db8::1", 40), of("c", link, "2001:db8::2", 20), of("c", link, "2001:db8::3", 20)});
        auto sighted = of("c", "", "2001:db8::2", 30);
        sighted.kind = Change::Kind::sighting;
        f.apply({sighted, list_end("c", link, 30, 1)});
        CHECK(f.states() == Rows{"2001:db8::1 active", "2001:db8::2 active", "2001:db8::3 ended unlisted"});
        // What was told before the list does not come back when it arrives late.
        f.apply({of("c", link, "2001:db8::3", 20)});
        CHECK(f.states()[2] == "2001:db8::3 ended unlisted");
    }
}

TEST_CASE("a list of one VPN leaves the client's bindings in another alone") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto red = of("c", "10.0.0.0", "10.0.0.1", 20);
        red.binding.key.vpn_id = "ascii:red";
        f.apply({of("c", "10.0.0.0", "10.0.0.1", 20), red, list_end("c", "10.0.0.0", 30, 0)});
        CHECK(f.engine->rows("SELECT vpn_id FROM binding WHERE state = 'active'") == Rows{"ascii:red"});
    }
}

TEST_CASE("what was told in the second in which a full bulk began ends unless it was told after that, or listed") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        f.apply({told("10.0.0.1", 100), told("10.0.0.2", 100)});
        auto after = told("10.0.0.2", 100);
        after.run = 1;
        auto batch = f.batch({after});
        batch.begin_run = 1;
        batch.reconcile = everything(1, 100);
        CHECK(f.store->apply(batch).reconciled == 1);
        CHECK(f.states() == Rows{"10.0.0.1 ended reconciled", "10.0.0.2 active"});
    }
}

TEST_CASE("what only a cut-off attempt of a query listed was not listed; what another query listed then was") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto cut_off = listed("10.0.0.1", 100, 1);
        cut_off.scope = 7;
        auto again = listed("10.0.0.2", 102, 2);
        again.scope = 7;
        auto other = listed("10.0.0.3", 100, 1);
        other.scope = 8;
        auto batch = f.batch({cut_off, other, again});
        batch.begin_run = 2;
        batch.reconcile = everything(1, 100);
        batch.reconcile->scopes = {{.id = 7, .relay_id = {}, .remote_id = {}, .run = 2},
                                   {.id = 8, .relay_id = {}, .remote_id = {}, .run = 1}};
        CHECK(f.store->apply(batch).reconciled == 1);
        CHECK(f.states() == Rows{"10.0.0.1 ended reconciled", "10.0.0.2 active", "10.0.0.3 active"});
    }
}

TEST_CASE("a full bulk of everything ends what it did not list and no newer message has touched") {
    for (const auto& factory : engines()) {
        Fixture f(factory, {"east", "west"});
        f.apply({listed("10.0.0.1", 20, 1), listed("10.0.0.2", 20, 1), told("10.0.0.3", 99), told("10.0.0.4", 101),
                 told("10.0.0.5", 20, BindingState::released)});
        f.store->apply(f.batch({told("10.0.0.1", 20)}, 1));
        auto meanwhile = told("10.0.0.6", 100);
        meanwhile.run = 2;
        auto batch = f.batch({listed("10.0.0.1", 100, 2), meanwhile});
        batch.begin_run = 2;
        batch.reconcile = everything(2, 100);
        const auto applied = f.store->apply(batch);
        CHECK(applied.reconciled == 2);
        CHECK(applied.ended == 2);
        CHECK(f.states() == Rows{"10.0.0.1 active", "10.0.0.2 ended reconciled", "10.0.0.3 ended reconciled",
                                 "10.0.0.4 active", "10.0.0.5 released reported", "10.0.0.6 active",
                                 "10.0.0.1 active"});
        CHECK(f.counted() == 4);
        // What was told before the bulk began does not come back when it arrives late; what came after does.
        f.apply({told("10.0.0.2", 99), told("10.0.0.3", 101)});
        CHECK(f.states()[1] == "10.0.0.2 ended reconciled");
        CHECK(f.states()[2] == "10.0.0.3 active");
    }
}

TEST_CASE("a full bulk of some scopes ends only what belongs to them") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto by_relay = told("10.0.0.3", 20);
        by_relay.binding.relay_id = {0xab, 0};
        auto by_remote = told("10.0.0.4", 20);
        by_remote.binding.remote_id = id("r");
        auto other_relay = told("10.0.0.5", 20);
        other_relay.binding.relay_id = {0xab};
        f.apply({listed("10.0.0.1", 20, 1, 7), listed("10.0.0.2", 20, 1, 8), by_relay, by_remote, other_relay,
                 told("10.0.0.6", 20)});
        auto batch = f.batch();
        batch.reconcile = Reconcile{.run = 2,
                                    .listed_from = at(100),
                                    .everything = false,
                                    .scopes = {{7, {}, {}}, {9, {0xab, 0}, {}}, {0, {}, id("r")}}};
        CHECK(f.store->apply(batch).reconciled == 3);
        CHECK(f.states() == Rows{"10.0.0.1 ended reconciled", "10.0.0.2 active", "10.0.0.3 ended reconciled",
                                 "10.0.0.4 ended reconciled", "10.0.0.5 active", "10.0.0.6 active"});
        CHECK(f.counted() == 3);
    }
}

TEST_CASE("after a fresh start a full bulk ends what is of the older epoch whatever its base-time") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        f.apply({told("10.0.0.1", 900), told("10.0.0.2", 900)});
        auto batch = f.batch({listed("10.0.0.1", 100, 2)});
        batch.fresh_start = true;
        batch.begin_run = 2;
        batch.reconcile = everything(2, 100);
        CHECK(f.store->apply(batch).reconciled == 1);
        CHECK(f.states() == Rows{"10.0.0.1 active", "10.0.0.2 ended reconciled"});
        f.reopen();
        CHECK(f.resume[0].last_run == 2);
    }
}

TEST_CASE("a full bulk that did not ask for every VPN ends nothing outside the default one") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto red = told("10.0.0.1", 20);
        red.binding.key.vpn_id = "ascii:red";
        f.apply({told("10.0.0.1", 20), red});
        auto batch = f.batch();
        batch.reconcile = everything(2, 100);
        CHECK(f.store->apply(batch).reconciled == 1);
        CHECK(f.engine->rows("SELECT vpn_id FROM binding WHERE state = 'active'") == Rows{"ascii:red"});
        batch.reconcile->all_vpns = true;
        CHECK(f.store->apply(batch).reconciled == 1);
        CHECK(f.counted() == 0);
    }
}

TEST_CASE("an address that was sighted in this bulk is not ended, in any VPN") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto red = told("10.0.0.1", 20);
        red.binding.key.vpn_id = "ascii:red";
        f.apply({told("10.0.0.1", 20), red, told("10.0.0.2", 20)});
        Change sighting;
        sighting.kind = Change::Kind::sighting;
        sighting.run = 2;
        sighting.binding.key.address = IpAddress::parse("10.0.0.1").value();
        auto batch = f.batch({sighting});
        batch.reconcile = everything(2, 100);
        batch.reconcile->all_vpns = true;
        CHECK(f.store->apply(batch).reconciled == 1);
        CHECK(f.counted() == 2);
    }
}

TEST_CASE("the sweep leaves out servers whose times may be in another clock, and comes around all the same") {
    for (const auto& factory : engines()) {
        Fixture f(factory, {"east", "west"});
        auto change = told("10.0.0.1", 20);
        change.binding.expires_at = at(2000);
        f.apply({change});
        f.store->apply(f.batch({change}, 1));
        const std::array held{f.resume[0].id};
        const auto first = f.store->sweep(utc(2000), 1000, held);
        CHECK(first.around);
        CHECK(first.ended == 1);
        CHECK(f.counted() == 1);
        CHECK(f.store->sweep(utc(2000), 1000).ended == 1);
    }
}

TEST_CASE("the expiry sweep ends what is due, step by step, and the counter follows") {
    for (const auto& factory : engines()) {
        Fixture f(factory, {"east", "west"});
        std::vector<Change> changes;
        for (int i = 0; i < 25; ++i) {
            auto change = told("10.0.0." + std::to_string(i), 20);
            if (i % 5 != 0) change.binding.expires_at = at(i % 2 == 0 ? 2000 : 3000);
            changes.push_back(change);
        }
        f.apply(changes);
        f.store->apply(f.batch(changes, 1));
        CHECK(f.counted() == 50);
        std::uint64_t ended = 0;
        int steps = 0;
        for (bool around = false; !around; ++steps) {
            const auto step = f.store->sweep(utc(2000), 7);
            around = step.around;
            ended += step.ended;
        }
        CHECK(steps == 8);
        CHECK(ended == 20);
        CHECK(f.counted() == 30);
        CHECK(f.store->sweep(utc(2000), 1000).ended == 0);
        CHECK(f.engine->value("SELECT count(*) FROM binding WHERE end_reason = 'expired' AND state = 'ended'") == "20");
    }
}
