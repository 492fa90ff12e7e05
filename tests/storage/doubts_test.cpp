// Bindings in doubt, over every engine: what marks and settles them (the rules for single words are held to in
// ledger/doubts_test.cpp), what full bulks leave in doubt, and where it is seen. Each Fixture ends with a check that
// server.doubts is what there is to count.
#include "tests/storage/test_store.hpp"

#include "storage/forgetting.hpp"
#include "storage/opening.hpp"
#include "storage/reader.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::testing;
using Rows = std::vector<std::string>;

namespace {

Change doubted(const std::string& address, std::int64_t base, Doubt why = Doubt::unreadable) {
    auto out = told(address, base);
    out.kind = Change::Kind::doubt;
    out.doubt = why;
    return out;
}
Change absent(const std::string& address, std::int64_t base) {
    auto out = told(address, base);
    out.kind = Change::Kind::absent;
    out.binding.via = Via::query;
    return out;
}
Change in_vpn(Change change, const std::string& vpn) {
    change.binding.key.vpn_id = vpn;
    return change;
}
std::string keys(const std::vector<DoubtfulBinding>& doubts) {
    std::string out;
    for (const auto& doubt : doubts)
        out += (out.empty() ? "" : ", ") + doubt.key.address.to_string() + ' ' + std::string(to_string(doubt.why));
    return out;
}

}  // namespace

TEST_CASE("a doubt is told, shown, kept over a restart, and settled by an answer") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        auto change = told("10.0.0.1", 20);
        change.binding.hw_type = 1;
        change.binding.hw_addr = {0, 1, 2, 0xab, 0xcd, 0xef};
        change.binding.link_address = IpAddress::parse("10.0.0.254");
        f.apply({change, told("10.0.0.2", 20)});
        const auto applied = f.apply({doubted("10.0.0.1", 30)});
        CHECK(applied.doubts_open == 1);
        REQUIRE(applied.doubts.size() == 1);
        const auto& doubt = applied.doubts[0];
        CHECK(doubt.key == change.binding.key);
        CHECK(doubt.why == Doubt::unreadable);
        CHECK(doubt.client_id == id("client of 10.0.0.1"));
        CHECK(doubt.hw_type == 1);
        CHECK(doubt.hw_addr == change.binding.hw_addr);
        CHECK(doubt.link_address == change.binding.link_address);

        CHECK(f.engine->rows("SELECT host(address), doubt FROM lease ORDER BY 1") ==
              Rows{"10.0.0.1|unreadable", "10.0.0.2|-"});
        CHECK(f.engine->rows("SELECT host(address), doubt FROM binding_overview ORDER BY 1") ==
              Rows{"10.0.0.1|unreadable", "10.0.0.2|-"});
        CHECK(f.engine->value("SELECT doubts FROM server_overview") == "1");
        CHECK(f.engine->value("SELECT count(*) FROM binding_change") == "2");
        CHECK(open_reader(f.settings)->servers()[0].doubts == 1);

        f.reopen();
        CHECK(f.resume[0].doubts_open == 1);
        REQUIRE(f.resume[0].doubts.size() == 1);
        CHECK(f.resume[0].doubts[0] == doubt);
        CHECK(f.resume[0].written_at == f.now);

        const auto answered = f.apply({absent("10.0.0.1", 40), absent("10.0.0.2", 40)});
        CHECK(answered.ended == 1);
        CHECK(answered.doubts_open == 0);
        CHECK(answered.doubts.empty());
        CHECK(f.states() == Rows{"10.0.0.1 ended asked", "10.0.0.2 active"});
        CHECK(f.engine->value("SELECT end_reason, epoch(ended_at), CAST(inferred AS INTEGER) FROM assignment "
                              "WHERE end_reason IS NOT NULL") == "asked|1700000040|1");
        f.reopen();
        CHECK(f.resume[0].doubts.empty());
    }
}

TEST_CASE("all that is in doubt is told where that is asked for, up to a number") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory, {"east", "west"});
        std::vector<Change> changes, doubts;
        for (std::size_t i = 0; i < doubts_told_max + 6; ++i) {
            changes.push_back(told("10.0.0." + std::to_string(i), 20));
            doubts.push_back(doubted("10.0.0." + std::to_string(i), 30));
        }
        f.apply(changes);
        f.store->apply(f.batch(changes, 1));
        auto applied = f.apply(doubts);
        CHECK(applied.doubts.size() == doubts_told_max);
        CHECK(applied.doubts_open == doubts_told_max + 6);
        auto batch = f.batch({told("10.0.0.0", 40)});
        CHECK(f.store->apply(batch).doubts.empty());
        batch.list_doubts = true;
        applied = f.store->apply(batch);
        CHECK(applied.doubts.size() == doubts_told_max);
        CHECK(applied.doubts[0].key.address.to_string() == "10.0.0.1");
        batch.doubts_after = doubts_told_max;
        applied = f.store->apply(batch);
        REQUIRE(applied.doubts.size() == 5);
        CHECK(applied.doubts[0].key.address.to_string() == "10.0.0.65");
        batch = f.batch({}, 1);
        batch.list_doubts = true;
        applied = f.store->apply(batch);
        CHECK(applied.doubts.empty());
        CHECK(applied.doubts_open == 0);
        f.reopen();
        CHECK(f.resume[0].doubts.size() == doubts_told_max);
        CHECK(f.resume[0].doubts_open == doubts_told_max + 5);
    }
}

TEST_CASE("what a full bulk did not list is in doubt where a reply could not be read, and the next one settles it") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.apply({told("10.0.0.1", 20), told("10.0.0.2", 20), told("10.0.0.3", 200),
                 in_vpn(told("10.0.0.4", 20), "ascii:red"), told("10.0.0.5", 20, BindingState::released)});
        auto batch = f.batch({listed("10.0.0.1", 100, 1)});
        batch.begin_run = 1;
        batch.reconcile = everything(1, 100);
        batch.reconcile->unread = true;
        auto applied = f.store->apply(batch);
        CHECK(applied.ended == 0);
        CHECK(applied.doubts_open == 1);
        CHECK(keys(applied.doubts) == "10.0.0.2 scope_unreadable");
        CHECK(f.doubts() == Rows{"10.0.0.2 scope_unreadable"});
        // What had been told before the bulk began does not settle it when it arrives late.
        f.apply({listed("10.0.0.2", 99, 0)});
        CHECK(f.doubts().size() == 1);

        SUBCASE("by listing it") {
            batch = f.batch({listed("10.0.0.1", 300, 2), listed("10.0.0.2", 300, 2), listed("10.0.0.3", 300, 2)});
            batch.reconcile = everything(2, 300);
            applied = f.store->apply(batch);
            CHECK(applied.ended == 0);
        }
        SUBCASE("by not listing it") {
            batch = f.batch({listed("10.0.0.1", 300, 2), listed("10.0.0.3", 300, 2)});
            batch.reconcile = everything(2, 300);
            applied = f.store->apply(batch);
            CHECK(applied.reconciled == 1);
        }
        CHECK(applied.doubts_open == 0);
        CHECK(f.doubts().empty());
    }
}

TEST_CASE("of the scopes of a full bulk only those with an unreadable reply leave anything in doubt") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        auto both = listed("10.0.0.3", 20, 1, 8);
        both.binding.relay_id = id("relay");
        f.apply({listed("10.0.0.1", 20, 1, 7), listed("10.0.0.2", 20, 1, 8), both, listed("10.0.0.4", 20, 1, 9)});
        auto batch = f.batch();
        batch.reconcile = Reconcile{.run = 2, .listed_from = at(100)};
        batch.reconcile->scopes = {{.id = 7, .relay_id = {}, .remote_id = {}, .run = 0, .unread = true},
                                   {.id = 8, .relay_id = {}, .remote_id = {}},
                                   {.id = 10, .relay_id = id("relay"), .remote_id = {}, .run = 0, .unread = true}};
        const auto applied = f.store->apply(batch);
        CHECK(applied.reconciled == 1);
        CHECK(f.states() == Rows{"10.0.0.1 active", "10.0.0.2 ended reconciled", "10.0.0.3 active", "10.0.0.4 active"});
        CHECK(f.doubts() == Rows{"10.0.0.1 scope_unreadable", "10.0.0.3 scope_unreadable"});
    }
}

TEST_CASE("what no query of a full bulk could have listed is in doubt where something may have been missed") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.apply({told("10.0.0.1", 20), listed("10.0.0.2", 20, 1, 7), in_vpn(listed("10.0.0.3", 20, 1, 7), "ascii:red"),
                 told("10.0.0.4", 200)});
        auto batch = f.batch();
        batch.reconcile = Reconcile{.run = 2, .listed_from = at(100)};
        batch.reconcile->scopes = {{.id = 7, .relay_id = {}, .remote_id = {}}};
        SUBCASE("not where nothing was") {
            CHECK(f.store->apply(batch).doubts_open == 0);
            CHECK(f.states()[1] == "10.0.0.2 ended reconciled");
        }
        SUBCASE("of some scopes, in the default VPN") {
            batch.reconcile->doubt_unreached = true;
            CHECK(f.store->apply(batch).doubts_open == 2);
            CHECK(f.doubts() == Rows{"10.0.0.1 unlistable", "10.0.0.3 unlistable"});
            CHECK(f.states()[1] == "10.0.0.2 ended reconciled");
        }
        SUBCASE("of everything in the default VPN") {
            batch.reconcile->doubt_unreached = true;
            batch.reconcile->everything = true;
            CHECK(f.store->apply(batch).doubts_open == 1);
            CHECK(f.doubts() == Rows{"10.0.0.3 unlistable"});
        }
        SUBCASE("of everything") {
            batch.reconcile->doubt_unreached = batch.reconcile->everything = batch.reconcile->all_vpns = true;
            CHECK(f.store->apply(batch).doubts_open == 0);
        }
    }
}

TEST_CASE("what expires stays in doubt, and with the row the doubt goes") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.settings.retention.ended = std::chrono::seconds{100};
        f.check.all_assignments = false;
        f.reopen();
        auto brief = told("10.0.0.1", 20);
        brief.binding.expires_at = at(1500);
        f.apply({brief, told("10.0.0.2", 20)});
        f.apply({doubted("10.0.0.1", 30), doubted("10.0.0.2", 30)});
        CHECK(f.store->sweep(utc(1500), 100).ended == 1);
        CHECK(f.doubts().size() == 2);
        f.check_history();
        CHECK(f.store->sweep(utc(1700), 100).removed_bindings == 1);
        CHECK(f.engine->value("SELECT doubts FROM server") == "1");
        f.apply({told("10.0.0.2", 40, BindingState::released), doubted("10.0.0.2", 50)});
        CHECK(f.engine->value("SELECT doubts FROM server") == "1");
        f.store.reset();
        CHECK(forget_client(f.settings, {id("client of 10.0.0.2"), {}}).bindings == 1);
        CHECK(f.engine->value("SELECT doubts FROM server") == "0");
        f.check.skip = true;
    }
}

namespace {

/// From now on the database refuses rows whose host name is 'no'.
void refuse_no(const Engine& engine, std::string_view name) {
    if (name != "sqlite") return engine.execute("ALTER TABLE binding ADD CONSTRAINT no CHECK (hostname <> 'no')");
    for (const std::string when : {"INSERT", "UPDATE"})
        engine.execute("CREATE TRIGGER no_" + when + " BEFORE " + when +
                       " ON binding WHEN NEW.hostname = 'no' BEGIN SELECT raise(ABORT, 'we do not want it'); END");
}
void take_all(const Engine& engine, std::string_view name) {
    if (name != "sqlite") return engine.execute("ALTER TABLE binding DROP CONSTRAINT no");
    engine.execute("DROP TRIGGER no_INSERT");
    engine.execute("DROP TRIGGER no_UPDATE");
}
Change unwanted(Change change) {
    change.binding.hostname = "no";
    return change;
}
/// A batch of a server that is well as of then, as far as the agent knows.
Batch well(Batch batch, std::int64_t fresh_as_of) {
    batch.status = ServerStatus{};
    batch.status->coverage = Coverage::full;
    batch.fresh_as_of = utc(fresh_as_of);
    return batch;
}
Reconcile all_of(std::uint64_t run, std::int64_t listed_from) {
    auto out = everything(run, listed_from);
    out.asked_to_the_end = true;
    return out;
}

}  // namespace

TEST_CASE("what the database refuses leaves the row in doubt, and is counted until a full bulk has done without") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.apply({told("10.0.0.1", 20), told("10.0.0.2", 20)});
        refuse_no(*f.engine, factory.name);
        auto applied = f.apply({unwanted(told("10.0.0.1", 30)), told("10.0.0.2", 30)});
        CHECK(applied.stored == 1);
        CHECK(applied.refused.size() == 1);
        CHECK(applied.doubts_open == 1);
        CHECK(applied.lacking == 0);  // the row says it
        CHECK(keys(applied.doubts) == "10.0.0.1 refused");
        CHECK(f.doubts() == Rows{"10.0.0.1 refused"});
        CHECK(f.engine->value("SELECT refused FROM server_overview") == "1");
        // Refused again by a full bulk: it is one row, and that bulk counts its own.
        auto batch = f.batch({listed("10.0.0.2", 100, 1), unwanted(listed("10.0.0.1", 100, 1))});
        batch.begin_run = batch.begin_full = 1;
        f.store->apply(batch);
        CHECK(f.engine->value("SELECT refused FROM server") == "2");
        batch = f.batch();
        batch.reconcile = all_of(1, 50);
        f.store->apply(batch);
        CHECK(f.engine->value("SELECT refused FROM server") == "1");
        CHECK(f.doubts() == Rows{"10.0.0.1 refused"});
        CHECK(open_reader(f.settings)->servers()[0].refused == 1);
        batch = f.batch({listed("10.0.0.1", 200, 2), listed("10.0.0.2", 200, 2)});
        batch.begin_run = batch.begin_full = 2;
        batch.reconcile = all_of(2, 200);
        applied = f.store->apply(batch);
        CHECK(applied.doubts_open == 0);
        CHECK(f.engine->value("SELECT refused FROM server") == "0");
    }
}

TEST_CASE("a full bulk that lists what the database refuses does not end it") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.apply({told("10.0.0.1", 20)});
        refuse_no(*f.engine, factory.name);
        auto batch = f.batch({unwanted(listed("10.0.0.1", 100, 1))});
        batch.begin_run = batch.begin_full = 1;
        batch.reconcile = all_of(1, 100);
        CHECK(f.store->apply(batch).reconciled == 0);
        CHECK(f.states() == Rows{"10.0.0.1 active"});
        CHECK(f.doubts() == Rows{"10.0.0.1 refused"});
        batch = f.batch({});
        batch.begin_run = batch.begin_full = 2;
        batch.reconcile = all_of(2, 200);
        CHECK(f.store->apply(batch).reconciled == 1);
        CHECK(f.doubts().empty());
    }
}

TEST_CASE("what was told before a refusal does not settle the doubt when it arrives late") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.apply({told("10.0.0.1", 20)});
        refuse_no(*f.engine, factory.name);
        f.apply({unwanted(told("10.0.0.1", 40))});
        auto late = listed("10.0.0.1", 30, 1);
        late.binding.client_id = id("another");
        f.apply({late});
        CHECK(f.doubts() == Rows{"10.0.0.1 refused"});
        CHECK(f.engine->value("SELECT count(*) FROM binding WHERE client_id = unhex('" + to_hex(id("another")) +
                              "')") == "0");
        late.run = 2;
        late.binding.base_time = at(40);
        f.apply({late});
        CHECK(f.doubts().empty());
    }
}

TEST_CASE(
    "a row that is refused and was not there is lacking: nothing is fresh or whole until a full bulk has brought it") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        const auto shown = [&] { return f.engine->value("SELECT coverage, epoch(fresh_as_of), refused FROM server"); };
        CHECK(f.resume[0].lacking == 0);
        CHECK(f.store->apply(well(f.batch({told("10.0.0.1", 20)}), 20)).lacking == 0);
        CHECK(shown() == "full|1700000020|0");
        refuse_no(*f.engine, factory.name);
        CHECK(f.store->apply(well(f.batch({unwanted(told("10.0.0.2", 30))}), 30)).lacking == 1);
        CHECK(shown() == "partial|1700000020|1");
        CHECK(f.store->apply(well(f.batch({told("10.0.0.1", 40)}), 40)).lacking == 1);
        CHECK(shown() == "partial|1700000020|1");
        // A gap that began before it: fresh_as_of goes back all the same.
        CHECK(f.store->apply(well(f.batch(), 18)).lacking == 1);
        CHECK(shown() == "partial|1700000018|1");
        f.reopen();
        CHECK(f.resume[0].lacking == 1);
        // A full bulk that it is refused in again, and one that was cut off.
        auto batch = well(f.batch({listed("10.0.0.1", 50, 1), unwanted(listed("10.0.0.2", 50, 1))}), 50);
        batch.begin_run = batch.begin_full = 1;
        batch.reconcile = all_of(1, 50);
        CHECK(f.store->apply(batch).lacking == 1);
        take_all(*f.engine, factory.name);
        batch = well(f.batch({listed("10.0.0.1", 60, 2)}), 60);
        batch.begin_run = batch.begin_full = 2;
        batch.reconcile = all_of(2, 60);
        batch.reconcile->everything = batch.reconcile->asked_to_the_end = false;
        CHECK(f.store->apply(batch).lacking == 1);
        CHECK(shown() == "partial|1700000018|1");
        batch = well(f.batch({listed("10.0.0.1", 70, 3), listed("10.0.0.2", 70, 3)}), 70);
        batch.begin_run = batch.begin_full = 3;
        batch.reconcile = all_of(3, 70);
        CHECK(f.store->apply(batch).lacking == 0);
        CHECK(shown() == "full|1700000070|0");
        CHECK(f.states() == Rows{"10.0.0.1 active", "10.0.0.2 active"});
    }
}

TEST_CASE("a row that is not even taken in doubt is lacking, too") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.apply({unwanted(told("10.0.0.1", 20))});
        f.engine->execute(
            factory.name == std::string("sqlite")
                ? "CREATE TRIGGER no BEFORE UPDATE ON binding BEGIN SELECT raise(ABORT, 'no'); END"
                : "ALTER TABLE binding ADD CONSTRAINT no CHECK (doubt IS NULL AND hostname IS NOT DISTINCT FROM 'no')");
        const auto applied = f.apply({told("10.0.0.1", 30)});
        CHECK(applied.refused.size() == 1);
        CHECK(applied.lacking == 1);
        CHECK(f.doubts().empty());
    }
}

TEST_CASE("only the beginning of a full bulk divides what it refused from what was before") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        const auto refused = [&] { return f.engine->value("SELECT refused FROM server"); };
        refuse_no(*f.engine, factory.name);
        std::uint64_t run = 0;
        for (const bool next_begins : {false, true}) {
            auto batch = f.batch({unwanted(listed("10.0.0.1", 50, ++run))});
            batch.begin_run = batch.begin_full = run;
            f.store->apply(batch);
            batch = f.batch({unwanted(told("10.0.0.2", 60))});
            batch.begin_run = run + 1;  // a question meanwhile
            f.store->apply(batch);
            batch = f.batch();
            batch.reconcile = all_of(run, 50);
            run += 2;
            if (next_begins) batch.begin_run = batch.begin_full = run;
            CHECK(f.store->apply(batch).lacking == 2);
            CHECK(refused() == "2");
        }
        auto batch = f.batch();
        batch.reconcile = all_of(run, 70);
        CHECK(f.store->apply(batch).lacking == 0);
        CHECK(refused() == "0");
    }
}

TEST_CASE("identifiers of any length are stored, and found") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        auto change = told("2001:db8::1", 20);
        Bytes noise;
        for (std::uint32_t i = 0, x = 1; i < 9000; ++i, x = x * 1664525 + 1013904223)
            noise.push_back(static_cast<std::uint8_t>(x >> 24));
        change.binding.client_id = change.binding.relay_id = change.binding.remote_id = noise;
        change.binding.hw_addr = noise;
        CHECK(f.apply({change}).refused.empty());
        const auto hex = to_hex(noise);
        for (const char* column : {"client_id", "relay_id", "remote_id"})
            CHECK(f.engine->value(std::string("SELECT count(*) FROM lease WHERE ") + column + " = unhex('" + hex +
                                  "')") == "1");
        CHECK(f.engine->value("SELECT length(hw_addr) FROM lease") == "26999");
        CHECK(f.engine->value("SELECT count(*) FROM assignment WHERE client_id = unhex('" + hex + "')") == "1");
        change.binding.base_time = at(30);
        change.binding.state = BindingState::released;
        CHECK(f.apply({change}).ended == 1);
    }
}

TEST_CASE("what is known to be lacking of a server is kept over a restart, and not for another one of its name") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        CHECK(f.resume[0].unreadable == 0);
        CHECK_FALSE(f.resume[0].known_since);
        CHECK_FALSE(f.resume[0].written_at);
        CHECK_FALSE(f.resume[0].support.complete_lists);
        auto batch = f.batch();
        batch.status = ServerStatus{};
        batch.status->unreadable = 3;
        batch.status->known_since = utc(700);
        batch.status->support.complete_lists = true;
        f.store->apply(batch);
        CHECK(f.engine->value("SELECT unreadable, epoch(known_since), client_data FROM server_overview") ==
              "3|1700000700|snapshot");
        f.reopen();
        CHECK(f.resume[0].unreadable == 3);
        CHECK(f.resume[0].known_since == utc(700));
        CHECK(f.resume[0].written_at == f.now);
        CHECK(f.resume[0].support.complete_lists == true);
        const auto server = open_reader(f.settings)->servers()[0];
        CHECK(server.unreadable == 3);
        CHECK(server.known_since == utc(700));
        CHECK(server.support.complete_lists == true);
        f.specs[0].family = Family::v6;
        f.reopen();
        CHECK(f.resume[0].unreadable == 0);
        CHECK_FALSE(f.resume[0].known_since);
        CHECK_FALSE(f.resume[0].support.complete_lists);
    }
}
