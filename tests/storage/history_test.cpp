// What a batch leaves in the change feed and in `assignment`, over every engine. The rules themselves are held to in
// ledger_test.cpp; here, that every engine writes what they say, and ends by whole sets as they say it. Each Fixture
// ends with a check of the whole history.
#include "tests/storage/test_store.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace leasemirror;
using namespace leasemirror::testing;
using Rows = std::vector<std::string>;

namespace {

/// "address change state client", and a '~' where it is inferred.
Rows feed(const Fixture& f, const std::string& where = "TRUE") {
    return f.engine->rows(
        "SELECT host(address) || ' ' || change || ' ' || state || coalesce(' ' || hex(client_id), '') "
        "|| CASE CAST(inferred AS INTEGER) WHEN 1 THEN '~' ELSE '' END FROM binding_change WHERE " +
        where + " ORDER BY seq");
}

/// "address client began-ended reason", seconds after the fixed moment, and a '~' after a boundary that is inferred.
Rows assignments(const Fixture& f) {
    return f.engine->rows(
        "SELECT host(address) || ' ' || coalesce(hex(client_id), '?') || ' ' || (epoch(began_at) - 1700000000) "
        "|| CASE CAST(began_inferred AS INTEGER) WHEN 1 THEN '~' ELSE '' END || '-' "
        "|| coalesce((epoch(ended_at) - 1700000000) || CASE CAST(ended_inferred AS INTEGER) WHEN 1 THEN '~' ELSE '' "
        "END "
        "|| ' ' || end_reason, '') FROM assignment ORDER BY assignment_id");
}

nlohmann::json last_detail(const Fixture& f) {
    return nlohmann::json::parse(f.engine->value("SELECT detail FROM binding_change ORDER BY seq DESC LIMIT 1"));
}

Change of(std::string_view client, const std::string& address, std::int64_t base) {
    auto out = told(address, base);
    out.binding.client_id = id(client);
    return out;
}

Change until(Change change, std::int64_t expires) {
    change.binding.expires_at = at(expires);
    return change;
}

}  // namespace

TEST_CASE("the feed tells a lease's life in order, and one assignment spans it") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.apply({until(of("A", "10.0.0.1", 100), 2000)});
        f.apply({until(of("A", "10.0.0.1", 200), 2100)});  // a renewal
        auto named = until(of("A", "10.0.0.1", 300), 2200);
        named.binding.hostname = "host";
        f.apply({named});
        auto released = of("A", "10.0.0.1", 400);
        released.binding.state = BindingState::released;
        released.binding.hostname = "host";
        f.apply({released});
        CHECK(feed(f) ==
              Rows{"10.0.0.1 assigned active 41", "10.0.0.1 updated active 41", "10.0.0.1 ended released 41"});
        CHECK(assignments(f) == Rows{"10.0.0.1 41 100-400 reported"});
        CHECK(f.engine->value("SELECT epoch(expires_at), epoch(at) FROM binding_change WHERE change = 'updated'") ==
              std::to_string(test_epoch + 2200) + "|" + std::to_string(test_epoch + 1000));
    }
}

TEST_CASE("renewals are in the feed where that is asked for, and the feed then has every time") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.settings.record_renewals = true;
        f.check.times = true;
        f.reopen();
        auto change = until(of("A", "10.0.0.1", 100), 2000);
        change.binding.client_last_seen = at(100);
        change.binding.renew_at = at(1500);
        f.apply({change});
        change.binding.base_time = at(200);
        f.apply({change});  // nothing but the base-time: nothing to tell
        change.binding.base_time = at(300);
        change.binding.client_last_seen = at(300);
        change.binding.renew_at.reset();
        change.binding.expires_at = at(2300);
        f.apply({change});
        CHECK(feed(f) == Rows{"10.0.0.1 assigned active 41", "10.0.0.1 renewed active 41"});
        CHECK(last_detail(f)["client_last_seen"] == "2023-11-14T22:18:20Z");
        CHECK(last_detail(f)["renew_at"].is_null());
        CHECK(assignments(f) == Rows{"10.0.0.1 41 100-"});
    }
}

TEST_CASE("a client that has an address, loses it and gets it back within one batch has held it twice") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.apply({of("A", "10.0.0.1", 100), of("B", "10.0.0.1", 200), of("A", "10.0.0.1", 300)});
        CHECK(feed(f) == Rows{"10.0.0.1 assigned active 41", "10.0.0.1 ended ended 41~", "10.0.0.1 assigned active 42",
                              "10.0.0.1 ended ended 42~", "10.0.0.1 assigned active 41"});
        CHECK(assignments(f) ==
              Rows{"10.0.0.1 41 100-200~ replaced", "10.0.0.1 42 200-300~ replaced", "10.0.0.1 41 300-"});
        // And over batches the same.
        f.apply({of("B", "10.0.0.1", 400)});
        f.apply({of("A", "10.0.0.1", 500)});
        CHECK(assignments(f).size() == 5);
        CHECK(f.engine->value("SELECT count(*) FROM binding") == "1");
    }
}

TEST_CASE("a client that moves begins another assignment, and what becomes known of it is filled in") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        auto first = of("A", "10.0.0.1", 100);
        first.binding.hw_addr = {2, 1};
        f.apply({first});
        auto change = of("A", "10.0.0.1", 200);  // says no more of what it said before
        change.binding.remote_id = id("port 1");
        f.apply({change});
        CHECK(f.engine->rows("SELECT hw_addr, hex(remote_id) FROM assignment") == Rows{"02:01|706F72742031"});
        change.binding.remote_id = id("port 2");
        change.binding.base_time = at(300);
        f.apply({change});
        CHECK(assignments(f) == Rows{"10.0.0.1 41 100-300 moved", "10.0.0.1 41 300-"});
        CHECK(feed(f, "seq > 1") == Rows{"10.0.0.1 updated active 41", "10.0.0.1 updated active 41"});
    }
}

TEST_CASE("an assignment has its line and host name as last told, and goes on when they change") {
    const char* const line =
        "SELECT hex(relay_id), hex(circuit_id), hex(subscriber_id), hostname FROM assignment "
        "ORDER BY assignment_id";
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        auto change = of("A", "10.0.0.1", 100);
        change.binding.relay_id = id("r");
        change.binding.circuit_id = id("c");
        change.binding.hostname = "one";
        f.apply({change});
        CHECK(f.engine->rows(line) == Rows{"72|63||one"});
        // Twice in one batch: the last counts. What is not told any more stays.
        auto second = of("A", "10.0.0.1", 200);
        second.binding.hostname = "two";
        second.binding.subscriber_id = id("s");
        auto third = of("A", "10.0.0.1", 201);
        third.binding.hostname = "three";
        third.binding.circuit_id = id("d");
        f.apply({second, third});
        CHECK(f.engine->rows(line) == Rows{"72|64|73|three"});
        auto other = of("B", "10.0.0.1", 300);
        other.binding.relay_id = other.binding.circuit_id = other.binding.subscriber_id = id("x");
        other.binding.hostname = "four";
        auto renamed = other;
        renamed.binding.base_time = at(301);
        renamed.binding.hostname = "five";
        f.apply({other, renamed});  // begun and changed in one batch
        CHECK(f.engine->rows(line) == Rows{"72|64|73|three", "78|78|78|five"});
        f.check_history();
    }
}

TEST_CASE("seq strictly grows over all servers, in the order of the batches") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory, {"east", "west"});
        for (int i = 0; i < 10; ++i)
            f.store->apply(f.batch({of("A", "10.0.0." + std::to_string(i), 100 + i)}, static_cast<std::size_t>(i % 2)));
        CHECK(f.engine->rows("SELECT host(address) FROM binding_change ORDER BY seq") ==
              Rows{"10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7",
                   "10.0.0.8", "10.0.0.9"});
        const auto last = f.engine->value("SELECT max(seq) FROM binding_change");
        f.engine->execute("DELETE FROM binding_change");
        f.check.whole_feed = false;
        f.reopen();
        f.apply({of("A", "10.0.1.1", 200)});
        CHECK(std::stoll(f.engine->value("SELECT seq FROM binding_change")) > std::stoll(last));
    }
}

TEST_CASE("what was not seen as it happened is inferred") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        auto late = of("A", "10.0.0.2", 100);
        late.late = true;
        auto since = of("A", "10.0.0.3", 100);
        since.binding.via = Via::bulk;
        since.binding.state_since = at(50);
        auto by_bulk = of("A", "10.0.0.4", 100);
        by_bulk.binding.via = Via::bulk;
        f.apply({of("A", "10.0.0.1", 100), late, since, by_bulk});
        CHECK(feed(f) == Rows{"10.0.0.1 assigned active 41", "10.0.0.2 assigned active 41~",
                              "10.0.0.3 assigned active 41", "10.0.0.4 assigned active 41~"});
        CHECK(assignments(f) == Rows{"10.0.0.1 41 100-", "10.0.0.2 41 100~-", "10.0.0.3 41 50-", "10.0.0.4 41 100~-"});
    }
}

TEST_CASE("what a full bulk no longer lists ends now, or when it was to end, and the feed says so") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        auto full = until(of("A", "10.0.0.2", 100), 5000);
        full.binding.client_last_seen = at(90);
        full.binding.state_since = at(80);
        full.binding.renew_at = at(3000);
        full.binding.hostname = "host";
        f.apply({of("A", "10.0.0.1", 100), until(of("A", "10.0.0.2", 100), 1500), full});
        f.now = utc(2000);
        auto late = f.batch({of("A", "10.0.0.3", 1990)});
        late.reconcile = everything(1, 1000);
        CHECK(f.store->apply(late).reconciled == 2);
        CHECK(feed(f, "change = 'ended'") == Rows{"10.0.0.1 ended ended 41~", "10.0.0.2 ended ended 41~"});
        CHECK(last_detail(f) == nlohmann::json{{"end_reason", "reconciled"},
                                               {"client_last_seen", "2023-11-14T22:14:50Z"},
                                               {"state_since", "2023-11-14T22:14:40Z"},
                                               {"preferred_until", nullptr},
                                               {"renew_at", "2023-11-14T23:03:20Z"},
                                               {"rebind_at", nullptr}});
        CHECK(assignments(f) ==
              Rows{"10.0.0.1 41 100-2000~ reconciled", "10.0.0.2 41 100-2000~ reconciled", "10.0.0.3 41 1990-"});
        CHECK(f.engine->value("SELECT count(*) FROM binding WHERE assignment_id IS NULL AND epoch(boundary_at) = " +
                              std::to_string(test_epoch + 2000)) == "2");
    }
}

TEST_CASE("what had expired before a full bulk did not list it ended at its expiry") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.apply({until(of("A", "10.0.0.1", 100), 1500)});
        f.now = utc(2000);
        auto late = f.batch();
        late.reconcile = everything(1, 1900);
        CHECK(f.store->apply(late).reconciled == 1);
        CHECK(assignments(f) == Rows{"10.0.0.1 41 100-1500~ reconciled"});
        // Who comes then, comes after that.
        auto next = of("B", "10.0.0.1", 1950);
        next.binding.state_since = at(1400);
        f.apply({next});
        CHECK(assignments(f)[1] == "10.0.0.1 42 1500~-");
    }
}

TEST_CASE("a sweep ends assignments at their expiry, whenever it comes by") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory, {"east", "west"});
        f.apply(
            {until(of("A", "10.0.0.1", 100), 1500), until(of("A", "10.0.0.2", 100), 1600), of("A", "10.0.0.3", 100)});
        f.store->apply(f.batch({until(of("B", "10.0.0.1", 100), 1500)}, 1));
        CHECK(f.store->sweep(utc(1599), 100).ended == 2);
        CHECK(feed(f, "change = 'ended'") == Rows{"10.0.0.1 ended ended 41~", "10.0.0.1 ended ended 42~"});
        CHECK(last_detail(f)["end_reason"] == "expired");
        CHECK(assignments(f) == Rows{"10.0.0.1 41 100-1500~ expired", "10.0.0.2 41 100-", "10.0.0.3 41 100-",
                                     "10.0.0.1 42 100-1500~ expired"});
        CHECK(f.engine->value("SELECT epoch(min(at)) FROM binding_change WHERE change = 'ended'") ==
              std::to_string(test_epoch + 1599));
        CHECK(f.counted() == 2);
    }
}

TEST_CASE("a complete list ends what it leaves out at its own time") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        auto one = of("A", "2001:db8::1", 100), other = of("A", "2001:db8::2", 100);
        one.binding.link_address = other.binding.link_address = IpAddress::parse("2001:db8:ff::").value();
        f.apply({one, other});
        one.binding.base_time = at(200);
        f.apply({one, list_end("A", "2001:db8:ff::", 200, 1)});
        CHECK(feed(f, "change = 'ended'") == Rows{"2001:db8::2 ended ended 41"});
        CHECK(assignments(f) == Rows{"2001:db8::1 41 100-", "2001:db8::2 41 100-200 unlisted"});
    }
}

TEST_CASE("a numbered batch that comes again does nothing, whatever is in it") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        auto batch = f.batch({of("A", "10.0.0.1", 100), of("B", "10.0.0.1", 100), of("A", "10.0.0.1", 100)});
        batch.number = 1;
        batch.quarantine = {{utc(1), "too short", id("x")}};
        CHECK(f.store->apply(batch).stored == 3);
        const auto once = feed(f);
        const auto again = f.store->apply(batch);
        CHECK(again.stored == 0);
        CHECK(feed(f) == once);
        CHECK(assignments(f).size() == 3);
        batch.number = 2;
        CHECK(f.store->apply(batch).stored == 3);
        CHECK(f.engine->value("SELECT committed_batch FROM server") == "2");
        // An older one neither; and the numbers begin anew with the next to take over.
        batch.number = 1;
        CHECK(f.store->apply(batch).stored == 0);
        f.reopen();
        batch = f.batch({of("C", "10.0.0.1", 300)});
        batch.number = 1;
        CHECK(f.store->apply(batch).stored == 1);
    }
}

TEST_CASE("a repeated batch without a number leaves no second row in feed or assignments") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.apply({until(of("A", "10.0.0.9", 50), 1500)});
        auto batch = f.batch({of("A", "10.0.0.1", 100), of("A", "10.0.0.2", 100)});
        batch.reconcile = everything(1, 90);
        f.store->apply(batch);
        const auto told = feed(f);
        const auto held = assignments(f);
        f.store->apply(batch);
        CHECK(feed(f) == told);
        CHECK(assignments(f) == held);
    }
}

TEST_CASE("a database that has lost what it had committed is told as behind") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        auto batch = f.batch({of("A", "10.0.0.1", 100)});
        for (std::uint64_t number = 1; number <= 3; ++number) {
            batch.number = number;
            f.store->apply(batch);
        }
        f.engine->execute("UPDATE server SET committed_batch = 2");
        batch.number = 4;
        std::string what;
        CHECK(f.fault_of([&] { f.store->apply(batch); }, &what) == StoreFault::behind);
        CHECK(what.find("'east'") != std::string::npos);
        CHECK(f.fault_of([&] { f.store->sweep(f.now, 10); }) == StoreFault::behind);
        f.reopen();
        batch.number = 1;
        CHECK_NOTHROW(f.store->apply(batch));
        f.engine->execute("UPDATE server SET owner_epoch = owner_epoch - 1");
        CHECK(f.fault_of([&] { f.store->apply(batch); }) == StoreFault::behind);
    }
}

TEST_CASE("refused rows go to quarantine alone, with all that they did, and the others of the batch go in") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.apply({of("A", "10.0.0.1", 100)});
        std::vector<Change> changes;
        for (int i = 1; i <= 40; ++i) {
            const auto address = "10.0.0." + std::to_string(i);
            changes.push_back(of("B", address, 200));
            if (i % 13 != 0) continue;
            auto bad = of("B", address, 200);
            bad.binding.key.prefix_len = 200;
            changes.push_back(bad);
            bad.binding.client_id = id("C");
            changes.push_back(bad);
        }
        auto batch = f.batch(changes);
        batch.number = 1;
        batch.base_time = at(200);
        const auto applied = f.store->apply(batch);
        CHECK(applied.stored == 40);
        CHECK(applied.refused.size() == 6);
        CHECK(f.engine->value("SELECT count(*) FROM quarantine WHERE reason LIKE '%refused%'") == "6");
        CHECK(f.engine->value("SELECT count(*), max(prefix_len) FROM binding") == "40|32");
        CHECK(f.engine->value("SELECT count(*), max(prefix_len) FROM assignment") == "41|32");
        CHECK(f.engine->value("SELECT count(*), max(prefix_len) FROM binding_change") == "42|32");
        CHECK(f.counted() == 40);
        CHECK(f.store->apply(batch).refused.empty());  // repeated
        f.apply({of("D", "10.0.0.1", 300)});           // and nothing is left over
        CHECK(f.counted() == 40);
    }
}
