// Which base-times are kept, and from where a connection goes on (agent/README.md, "Base-time"; RFC 7653 §8.3 and §8.4, RFC
// 7724 §7.3 and §7.4).
#include "tests/agent/sync/driver.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;
using namespace std::chrono_literals;

namespace {

std::vector<ServerConfig> both() {
    return {server_v4(), server_v6()};
}
std::string some_lease(const ServerConfig& config) {
    return config.family == Family::v4 ? "192.0.2.1" : "2001:db8:1::a";
}

}  // namespace

TEST_CASE("nothing that arrives during catch-up moves the base-time, keep-alives included") {
    for (const auto& config : both()) {
        SyncDriver d(config, resume_at(900));
        const auto active = d.accepts();
        active.tells(some_lease(config));
        active.keeps_alive();
        d.passes(1min);
        active.tells(some_lease(config));
        CHECK(d.writes() == some_lease(config) + " active @1000 late | " + some_lease(config) + " active @1060 late");
        CHECK(d.phase() == Phase::catch_up);
    }
}

TEST_CASE("the base-time of CatchUpComplete itself counts") {
    for (const auto& config : both()) {
        SyncDriver d(config, resume_at(900));
        const auto active = d.accepts();
        active.tells(some_lease(config), 1000);
        d.passes(5s);
        active.marks(StatusCode::catch_up_complete, 1004);
        CHECK(d.writes() == some_lease(config) + " active @1000 late | base @1004");
        CHECK(d.phase() == Phase::live);
    }
}

TEST_CASE("live, every message that carries a base-time moves it, and keep-alives are committed too") {
    for (const auto& config : both()) {
        SyncDriver d(config, resume_at(900));
        const auto active = d.goes_live();
        d.passes(10s);
        active.tells(some_lease(config));
        CHECK(d.writes() == some_lease(config) + " active @1010; base @1010");
        for (int i = 0; i < 3; ++i) {
            d.passes(60s);
            active.keeps_alive();
            CHECK(d.writes() == "base @" + std::to_string(d.server_now()));
        }
    }
}

TEST_CASE("what is told in the catch-up phase is late, with the message that ends it; what is told live is not") {
    // RFC 7653 §8.4.1, RFC 7724 §7.4.1: replay and live updates cannot be told apart until then.
    for (const auto& config : both()) {
        const auto lease = some_lease(config);
        SyncDriver d(config, resume_at(900));
        const auto active = d.accepts();
        active.tells(lease);
        CHECK(d.writes() == lease + " active @1000 late");
        active.catches_up();
        active.tells(lease);
        CHECK(d.writes() == lease + " active @1000; base @1000");
        active.closes();
        const auto again = d.accepts_within(5min);
        again.tells(lease);
        CHECK(d.writes().find(" late") != std::string::npos);
        again.marks(StatusCode::data_missing);
        (void)d.writes();
        again.tells(lease);
        CHECK(d.writes().find(" late") != std::string::npos);  // what came before it may be missing
        d.accepts().ends();
        d.accepts_within(2s).ends();
        (void)d.writes();
        again.tells(lease);
        CHECK(d.writes().find(" late") == std::string::npos);
    }
    auto snapshot = server_v6();
    snapshot.client_data = ClientData::snapshot;
    SyncDriver d(snapshot, resume_at(900));
    const auto active = d.accepts();
    active.says(V6{.clients = {Client{{ia("2001:db8:1::a")}}}, .base = 1000});
    active.says(V6{.clients = {Client{{ia("2001:db8:1::b")}}}, .base = 1000, .status = StatusCode::catch_up_complete});
    active.says(V6{.clients = {Client{{ia("2001:db8:1::c")}}}, .base = 1000});
    CHECK(d.writes() ==
          "2001:db8:1::a active @1000 late; list of 1 late; 2001:db8:1::b active @1000 late; list of 1 late; "
          "2001:db8:1::c active @1000; list of 1; base @1000");
}

TEST_CASE("without a start time there is no catch-up phase, and nothing is late") {
    SyncDriver d(server_v6({}));
    const auto active = d.accepts();
    CHECK(active.query() == "active");
    active.tells("2001:db8:1::a");
    CHECK(d.writes() == "2001:db8:1::a active @1000; base @1000");
}

TEST_CASE("it goes back with a stream whose base-times do: changes may be dated by a clock that was set a little") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.goes_live();
    active.tells("192.0.2.1", 1000);
    active.tells("192.0.2.2", 999);
    CHECK(d.writes() == "192.0.2.1 active @1000; 192.0.2.2 active @999; base @999");
}

TEST_CASE("a base-time is in the same batch as the last data that it stands for, or in a later one") {
    auto config = config_of({server_v4()});
    config.storage.batch.rows = 1;
    SyncDriver d(config, {resume_at(900)});
    const auto active = d.goes_live();
    d.database_stalls();
    for (int i = 1; i <= 20; ++i) {
        d.jumps(1s);
        active.tells("192.0.2." + std::to_string(i), 1000 + i);
    }
    d.database_goes_on();
    (void)d.writes();
    std::int64_t seen = 0;
    for (const auto& batch : d.written) {
        for (const auto& change : batch.changes)
            seen = std::max(seen, unix_seconds(change.binding.base_time) - t0);
        if (batch.base_time && seen > 0) CHECK(*batch.base_time <= at(seen));
    }
    CHECK(seen == 1020);
    CHECK(d.written.back().base_time == at(1020));
}

TEST_CASE("a connection that is lost while live goes on from the last committed base-time, itself included") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.goes_live();
    d.passes(90s);
    active.tells("192.0.2.1");
    (void)d.writes();
    const auto committed = d.server_now();
    active.closes();
    CHECK(d.accepts().query() == "active from @" + std::to_string(committed));
}

TEST_CASE("a base-time that is still on its way to the database is not one to go on from") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.goes_live();
    d.passes(90s);
    active.tells("192.0.2.1");
    (void)d.writes();
    d.database_stalls();
    d.passes(10s);
    active.tells("192.0.2.2");
    d.passes(20ms);
    REQUIRE(d.waiting() == 1);
    active.closes();
    CHECK(d.accepts().query() == "active from @1090");
}

TEST_CASE("a connection that is lost during catch-up goes on from where the one before it stood") {
    for (const auto& config : both()) {
        SyncDriver d(config, resume_at(900));
        const auto first = d.accepts();
        first.tells(some_lease(config));
        d.passes(2min);
        first.tells(some_lease(config));
        first.closes();
        CHECK(d.accepts_within(2min).query() == "active from @900");
    }
}

TEST_CASE("the end of the query during catch-up, even an orderly one with a base-time, keeps nothing either") {
    for (const auto& config : both()) {
        SyncDriver d(config, resume_at(900));
        const auto first = d.accepts();
        first.tells(some_lease(config));
        first.ends(StatusCode::query_terminated);
        CHECK_FALSE(first.open());
        CHECK(d.accepts_within(2min).query() == "active from @900");
    }
}

TEST_CASE("live, the base-time of an orderly end counts") {
    for (const auto& config : both()) {
        SyncDriver d(config, resume_at(900));
        const auto active = d.goes_live();
        d.passes(90s);
        active.ends(StatusCode::query_terminated);
        CHECK(d.writes() == "base @1090");
        CHECK(d.accepts().query() == "active from @1090");
    }
}

TEST_CASE("a server that answers a start time with neither CatchUpComplete nor DataMissing is complained about") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.accepts();
    for (int i = 0; i < 11; ++i) {
        d.passes(1min);
        active.tells("192.0.2.1");
    }
    CHECK(d.writes().find("base") == std::string::npos);
    CHECK(d.status().last_error == "catch-up has not ended: the server sent neither CatchUpComplete nor DataMissing");
    active.catches_up();
    CHECK(d.writes() == "base @" + std::to_string(d.server_now()));
}

TEST_CASE("an active query without a start time is live from its first message on") {
    SyncDriver d(server_v6({}));
    const auto active = d.accepts();
    CHECK(d.phase() == Phase::catch_up);
    active.keeps_alive();
    CHECK(d.writes() == "base @1000");
    CHECK(d.phase() == Phase::live);
    active.closes();
    CHECK(d.accepts_within(2min).query() == "active from @1000");
}
