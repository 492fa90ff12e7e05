// Resume points, gaps, quarantine, ownership, and the overview. Over every engine.
#include "storage/opening.hpp"
#include "storage/reader.hpp"

#include "tests/storage/test_store.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::testing;
using Rows = std::vector<std::string>;

TEST_CASE("what was committed is there after a crash") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        CHECK_FALSE(f.resume[0].base_time);
        auto batch = f.batch({told("10.0.0.1", 20)});
        batch.begin_run = 3;
        batch.base_time = at(20);
        batch.status = ServerStatus{};
        batch.status->server_identity = {1, 2};
        batch.status->skew = Skew{-1500};
        batch.status->certificate_expires_at = utc(77);
        batch.status->support = {true, false, utc(60), true, std::chrono::seconds{3}};
        batch.gaps.push_back(open_gap(4, 5, 9));
        f.store->apply(batch);
        f.reopen();
        const auto& resume = f.resume[0];
        CHECK(resume.base_time == at(20));
        CHECK(resume.server_identity == Bytes{1, 2});
        CHECK(resume.skew == Skew{-1500});
        CHECK(resume.certificate_expires_at == utc(77));
        CHECK(resume.support == ServerSupport{true, false, utc(60), true, std::chrono::seconds{3}});
        CHECK(resume.last_run == 3);
        CHECK(resume.last_gap == 4);
        CHECK(resume.open_gaps == std::vector<Gap>{{4, at(5), at(9), "data missing"}});
        CHECK(f.states() == Rows{"10.0.0.1 active"});
    }
}

TEST_CASE("a batch without a new base-time keeps the one there is, and a fresh start forgets it") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto batch = f.batch();
        batch.base_time = at(20);
        f.store->apply(batch);
        f.apply({told("10.0.0.1", 30)});
        f.reopen();
        CHECK(f.resume[0].base_time == at(20));
        batch = f.batch();
        batch.fresh_start = true;
        f.store->apply(batch);
        f.reopen();
        CHECK_FALSE(f.resume[0].base_time);
    }
}

TEST_CASE("gaps open, widen and close, and a closed one stays closed") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto batch = f.batch();
        const auto change_gap = [&](GapChange change) {
            batch.gaps.clear();
            batch.gaps.push_back(std::move(change));
            f.store->apply(batch);
        };
        const auto widen = [](GapChange to, std::string cause) {
            to.kind = GapChange::Kind::widen;
            to.gap.cause = std::move(cause);
            return to;
        };
        change_gap(open_gap(1, 10, 20));
        change_gap(open_gap(2, 50, 60));
        change_gap(widen(open_gap(1, 15, 30), "merged"));
        f.reopen();
        CHECK(f.resume[0].open_gaps ==
              std::vector<Gap>{{1, at(10), at(30), "merged"}, {2, at(50), at(60), "data missing"}});
        CHECK(f.engine->value("SELECT gaps_open FROM server") == "2");
        batch.reconcile = everything(1, 5);
        change_gap(close_gap(1, 12));
        change_gap(close_gap(1, 99));
        change_gap(widen(open_gap(1, 0, 99), ""));
        CHECK(f.engine->value("SELECT gaps_open FROM server") == "1");
        CHECK(f.engine->value("SELECT bindings_recovered, outcome, epoch(closed_at), epoch(gap_to) FROM gap "
                              "WHERE gap_number = 1") ==
              "12|recovered|" + std::to_string(test_epoch + 1000) + "|" + std::to_string(test_epoch + 30));
    }
}

TEST_CASE("a gap that one batch widens several times is as wide as all of it") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto batch = f.batch();
        const auto widened = [](std::uint64_t number, std::int64_t from, std::int64_t to, std::string cause) {
            auto change = open_gap(number, from, to);
            change.kind = GapChange::Kind::widen;
            change.gap.cause = std::move(cause);
            return change;
        };
        batch.gaps = {open_gap(1, 10, 20),         widened(1, 5, 40, "later"),   widened(1, 10, 30, ""),
                      widened(2, 60, 70, "other"), widened(1, 8, 45, "at last"), widened(2, 50, 65, "")};
        f.store->apply(batch);
        f.reopen();
        CHECK(f.resume[0].open_gaps == std::vector<Gap>{{1, at(5), at(45), "at last"}, {2, at(50), at(70), "other"}});
    }
}

TEST_CASE("what a full bulk ends in the batch that closes a gap counts as recovered") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        f.apply({told("10.0.0.1", 20), told("10.0.0.2", 20)});
        auto batch = f.batch();
        batch.reconcile = everything(1, 100);
        batch.gaps.push_back(open_gap(1, 10, 20));
        batch.gaps.push_back(close_gap(1, 5));
        f.store->apply(batch);
        CHECK(f.engine->value("SELECT bindings_recovered FROM gap") == "7");
    }
}

TEST_CASE("the quarantine keeps the newest rows of each server, and a bounded part of each message") {
    for (const auto& factory : engines()) {
        Fixture f(factory, {"east", "west"});
        auto other = f.batch({}, 1);
        other.quarantine = {{utc(0), "of west", id("x")}};
        f.store->apply(other);
        for (int part = 0; part < 3; ++part) {
            auto batch = f.batch();
            for (int i = 0; i < 500; ++i) {
                const auto n = std::to_string(part * 500 + i);
                batch.quarantine.push_back({utc(part), "number " + n, id(n)});
            }
            f.store->apply(batch);
        }
        CHECK(f.engine->rows(
                  "SELECT s.name, count(*), CAST(min(quarantine_id) > 500 AS INTEGER) FROM quarantine q JOIN server s "
                  "USING (server_id) GROUP BY 1 ORDER BY 1") == Rows{"east|1000|1", "west|1|0"});
        auto batch = f.batch();
        batch.quarantine = {{utc(9), "long", Bytes(100'000, 7)}};
        f.store->apply(batch);
        CHECK(f.engine->value("SELECT length(message), message_bytes FROM quarantine WHERE reason = 'long'") ==
              "65536|100000");
    }
}

TEST_CASE("an agent whose server was taken over is fenced and writes nothing") {
    for (const auto& factory : engines()) {
        Fixture f(factory, {"east", "west"});
        f.apply({told("10.0.0.1", 20)});
        f.engine->execute("UPDATE server SET owner = 'other', owner_epoch = owner_epoch + 1 WHERE name = 'east'");
        std::string what;
        CHECK(f.fault_of([&] { f.apply({told("10.0.0.2", 20)}); }, &what) == StoreFault::fenced);
        CHECK(what.find("'east'") != std::string::npos);
        CHECK(what.find("'other'") != std::string::npos);
        CHECK(f.fault_of([&] { f.store->sweep(f.now, 10); }) == StoreFault::fenced);
        CHECK(f.states() == Rows{"10.0.0.1 active"});
        f.store->apply(f.batch({told("10.0.0.2", 20)}, 1));  // the other server is still ours
    }
}

TEST_CASE("servers that are no longer configured are marked disabled, and keep what they said") {
    for (const auto& factory : engines()) {
        Fixture f(factory, {"east", "west"});
        f.store->apply(f.batch({told("10.0.0.1", 20)}, 1));
        f.specs.pop_back();
        f.reopen();
        f.store->disable_servers_except(std::vector<std::string>{"east"});
        CHECK(f.resume.size() == 1);
        CHECK(f.engine->rows("SELECT name, phase FROM server ORDER BY name") ==
              Rows{"east|connecting", "west|disabled"});
        CHECK(f.states() == Rows{"10.0.0.1 active"});
    }
}

TEST_CASE("an agent writes no more for servers that were disabled under it") {
    for (const auto& factory : engines()) {
        Fixture f(factory, {"east", "west"});
        f.store->disable_servers_except(std::vector<std::string>{"east", "never seen"});
        CHECK(f.fault_of([&] { f.store->apply(f.batch({told("10.0.0.1", 20)}, 1)); }) == StoreFault::fenced);
        f.apply({told("10.0.0.1", 20)});
        CHECK(f.engine->rows("SELECT name, owner FROM server ORDER BY name") == Rows{"east|test", "west|-"});
    }
}

TEST_CASE("resume points come in the order of the configuration") {
    for (const auto& factory : engines()) {
        Fixture f(factory, {"b", "a"});
        f.specs = {f.specs[1], {"c", Family::v6, "x"}, f.specs[0]};
        const auto before = f.resume;
        f.reopen();
        CHECK(f.resume[0].id == before[1].id);
        CHECK(f.resume[2].id == before[0].id);
    }
}

TEST_CASE("a name that comes back with the other family is another server") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto batch = f.batch();
        batch.base_time = at(20);
        batch.status = ServerStatus{};
        batch.status->support = {true, true, utc(20)};
        f.store->apply(batch);
        f.specs[0].family = Family::v6;
        f.reopen();
        CHECK_FALSE(f.resume[0].base_time);
        CHECK(f.resume[0].epoch == 1);
        CHECK(f.resume[0].support == ServerSupport{});
    }
}

TEST_CASE("the requestor's DUID is the first that was proposed, for ever") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        CHECK(f.store->requestor_duid(Bytes{0, 4, 1}) == Bytes{0, 4, 1});
        f.reopen();
        CHECK(f.store->requestor_duid(Bytes{0, 4, 2}) == Bytes{0, 4, 1});
    }
}

TEST_CASE("the last error stays with its time until there is another") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto batch = f.batch();
        batch.status = ServerStatus{};
        batch.status->phase = Phase::down;
        batch.status->last_error = "no route";
        batch.status->last_error_at = utc(5);
        batch.status->connected_since = utc(1);
        f.store->apply(batch);
        batch.status = ServerStatus{};
        batch.status->phase = Phase::live;
        f.store->apply(batch);
        CHECK(f.engine->value("SELECT phase, last_error, epoch(last_error_at), epoch(connected_since) FROM server") ==
              "live|no route|" + std::to_string(test_epoch + 5) + "|-");
    }
}

TEST_CASE("what a server supports and how long its certificate is good are shown, and gone when they are not known") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        auto batch = f.batch();
        const auto shown = [&](std::optional<UtcSeconds> until, ServerSupport support) {
            batch.status = ServerStatus{};
            batch.status->certificate_expires_at = until;
            batch.status->support = support;
            f.store->apply(batch);
            return f.engine->value(
                "SELECT certificate_days, epoch(certificate_expires_at), active_support, "
                "window_support, epoch(support_seen_at) FROM server_overview");
        };
        const auto day = std::chrono::hours{24};
        const auto text = [](UtcSeconds t) { return "|" + std::to_string(t.time_since_epoch().count()) + "|"; };
        CHECK(shown({}, {}) == "-|-|-|-|-");
        CHECK(shown(batch.now + 2 * day, {true, {}, utc(7)}) ==
              "2" + text(batch.now + 2 * day) + "yes|-|" + std::to_string(test_epoch + 7));
        CHECK(shown(batch.now + 2 * day - std::chrono::seconds{1}, {}) ==
              "1" + text(batch.now + 2 * day - std::chrono::seconds{1}) + "-|-|-");
        CHECK(shown(batch.now - std::chrono::seconds{1}, {false, false, utc(8)}) ==
              "-1" + text(batch.now - std::chrono::seconds{1}) + "no|no|" + std::to_string(test_epoch + 8));
        f.reopen();
        CHECK(f.resume[0].support == ServerSupport{false, false, utc(8)});
        CHECK(shown({}, {}) == "-|-|-|-|-");
        f.reopen();
        CHECK(f.resume[0].support == ServerSupport{});
        CHECK_FALSE(f.resume[0].certificate_expires_at);
    }
}

TEST_CASE("the overview shows every server with its open gaps while the agent has the database open") {
    for (const auto& factory : engines()) {
        Fixture f(factory, {"west", "east"});
        auto batch = f.batch({told("10.0.0.1", 20)}, 1);
        batch.base_time = at(20);
        batch.fresh_as_of = utc(19);
        batch.gaps.push_back(open_gap(1, 5, 9));
        batch.status = ServerStatus{};
        batch.status->phase = Phase::gap;
        batch.status->coverage = Coverage::full;
        batch.status->skew = Skew{250};
        f.store->apply(batch);
        const auto overview = open_reader(f.engine->settings())->servers();
        REQUIRE(overview.size() == 2);
        const auto& east = overview[0];
        CHECK(east.name == "east");
        CHECK(east.phase == "gap");
        CHECK(east.coverage == "full");
        CHECK(east.base_time == at(20));
        CHECK(east.fresh_as_of == utc(19));
        CHECK(east.clock_skew_ms == 250);
        CHECK(east.bindings == 1);
        CHECK(east.gaps_open == 1);
        CHECK(east.open_gaps == std::vector<Gap>{{1, at(5), at(9), "data missing"}});
        CHECK(east.owner == "test");
        CHECK(overview[1].name == "west");
        CHECK(f.engine->value("SELECT epoch(fresh_as_of), epoch(base_time) FROM server_overview WHERE name = 'east'") ==
              std::to_string(test_epoch + 19) + "|" + std::to_string(test_epoch + 20));
    }
}
