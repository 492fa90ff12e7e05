// Identities and clocks: when what we know of a server stops being worth anything (agent/README.md, "Clocks"; RFC 7653
// §8.5). The arithmetic of the skew itself is in clock_skew_test.cpp.
#include "tests/agent/sync/driver.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;
using namespace std::chrono_literals;

namespace {

ResumePoint known(const ServerConfig& config) {
    auto point = resume_at(900);
    point.server_identity = config.family == Family::v4 ? Bytes{192, 0, 2, 254} : server_duid;
    point.skew = Skew{0};
    return point;
}

std::string everything(const ServerConfig& config) {
    return config.family == Family::v4 ? "bulk everything in every VPN" : "bulk link 2001:db8:1::1";
}

}  // namespace

TEST_CASE("another server behind the address: a fresh start, all connections closed, and a full bulk") {
    for (const auto& config : {server_v4(), server_v6()}) {
        SyncDriver d(config, known(config));
        const auto active = d.accepts();
        d.identity_v4 = "192.0.2.99";
        d.identity_v6 = {0, 3, 0, 1, 0xdd};
        active.tells(config.family == Family::v4 ? "192.0.2.1" : "2001:db8:1::a");
        CHECK_FALSE(active.open());
        CHECK(d.writes() == "fresh start");
        CHECK(d.status().server_identity == (config.family == Family::v4 ? Bytes{192, 0, 2, 99} : d.identity_v6));
        CHECK(d.status().last_error.find("another server answers at this address") == 0);
        const auto full = d.accepts_within(2min);
        CHECK(full.query() == everything(config));
        const auto began = d.server_now();
        full.ends();
        CHECK(d.accepts_within(2min).query() == "active from @" + std::to_string(began));
    }
}

TEST_CASE("the first identity ever told is no change, and the same one again is none") {
    SyncDriver d(server_v6(), resume_at(900));
    const auto active = d.goes_live();
    CHECK(d.status().server_identity == server_duid);
    active.closes();
    d.accepts_within(2min).catches_up();
    CHECK(d.writes().find("fresh start") == std::string::npos);
}

TEST_CASE("what the other server says in the message that names it is not taken for the old one's") {
    SyncDriver d(server_v4(), known(server_v4()));
    const auto active = d.accepts();
    d.identity_v4 = "192.0.2.99";
    active.says(V4{.ip = "192.0.2.1", .base = 1000});
    CHECK(d.writes() == "fresh start");
}

TEST_CASE("a clock that steps back on an open connection: a fresh start") {
    for (const auto& config : {server_v4(), server_v6()}) {
        SyncDriver d(config, known(config));
        const auto active = d.goes_live();
        d.passes(30s);
        active.keeps_alive();
        (void)d.writes();
        d.server_clock = -1h;
        d.passes(30s);
        active.keeps_alive();
        CHECK_FALSE(active.open());
        CHECK(d.writes() == "fresh start");
        CHECK(d.status().last_error.find("the server's clock went back") == 0);
        const auto full = d.accepts_within(2min);
        CHECK(full.query() == everything(config));
        const auto began = d.server_now();
        full.ends();
        CHECK(d.accepts_within(2min).query() == "active from @" + std::to_string(began));
    }
}

TEST_CASE("a clock that was set back while we were away is noticed by the first reply") {
    SyncDriver d(server_v4(), known(server_v4()));
    d.server_clock = -1h;
    const auto active = d.accepts();
    active.tells("192.0.2.1");
    CHECK_FALSE(active.open());
    CHECK(d.writes() == "fresh start");
}

TEST_CASE("a clock that was set back by less than we were away is noticed too, by when we asked") {
    SyncDriver d(server_v4(), known(server_v4()));
    d.server_clock = -50s;  // still later than the stored base-time, @900
    const auto active = d.accepts();
    active.tells("192.0.2.1");
    CHECK_FALSE(active.open());
    CHECK(d.writes() == "fresh start");
}

TEST_CASE("a step back closes every connection, bulk included") {
    SyncDriver d(server_v4(), known(server_v4()));
    const auto active = d.accepts();
    active.marks(StatusCode::data_missing);
    const auto bulk = d.accepts();
    bulk.tells("192.0.2.1");
    d.server_clock = -1h;
    active.keeps_alive();
    CHECK_FALSE(active.open());
    CHECK_FALSE(bulk.open());
}

TEST_CASE("batches of before a fresh start that are committed after it do not bring the old base-time back") {
    SyncDriver d(server_v4(), known(server_v4()));
    const auto active = d.goes_live();
    d.database_stalls();
    d.passes(30s);
    active.keeps_alive();
    d.passes(20ms);
    REQUIRE(d.waiting() == 1);
    d.server_clock = -1h;
    active.keeps_alive();
    d.passes(20ms);
    REQUIRE(d.waiting() >= 2);
    d.commits();  // the one with base @1030
    const auto full = d.accepts_within(2min);
    CHECK(full.query() == "bulk everything in every VPN");
    d.database_goes_on();
    d.passes(2s);
    CHECK(d.connecting[0].empty());
    const auto began = d.server_now();
    full.ends();
    CHECK(d.accepts_within(2min).query() == "active from @" + std::to_string(began));
}

TEST_CASE("what was pending when the clock stepped back is left to the full bulk that follows") {
    SyncDriver d(server_v4(), known(server_v4()));
    const auto active = d.goes_live();
    active.tells("192.0.2.1", 1000);
    d.server_clock = -1h;
    active.keeps_alive();
    CHECK(d.writes() == "fresh start");
    const auto fresh = std::find_if(d.written.begin(), d.written.end(), [](const Batch& b) { return b.fresh_start; });
    REQUIRE(fresh != d.written.end());
    CHECK_FALSE(fresh->fresh_as_of);
}

TEST_CASE("gaps of before a fresh start are closed by the full bulk that follows it") {
    SyncDriver d(server_v4(), known(server_v4()));
    const auto active = d.accepts();
    active.marks(StatusCode::data_missing);
    (void)d.accepts();
    d.server_clock = -1h;
    active.keeps_alive();
    const auto full = d.accepts_within(2min);
    CHECK(full.query() == "bulk everything in every VPN");
    full.ends();
    CHECK(d.writes().find("gap 1 closes recovered") != std::string::npos);
}

TEST_CASE("without bulk queries a fresh start begins with what is live, and old gaps end unrecoverable") {
    auto point = known(server_v6({}));
    point.open_gaps = {{1, at(500), at(600), "DataMissing"}};
    point.last_gap = 1;
    SyncDriver d(server_v6({}), point);
    const auto active = d.accepts();
    d.server_clock = -1h;
    active.keeps_alive();
    CHECK(d.writes() == "fresh start; gap 1 closes unrecoverable, 0");
    CHECK(d.accepts_within(2min).query() == "active");
}

TEST_CASE("a clock that steps forward is followed, and nothing else") {
    SyncDriver d(server_v4(), known(server_v4()));
    const auto active = d.goes_live();
    d.server_clock = 1h;
    d.passes(30s);
    active.keeps_alive();
    CHECK(active.open());
    CHECK(d.writes() == "base @4630");
    CHECK(d.logged("clock-stepped-forward"));
    CHECK(d.phase() == Phase::live);
    REQUIRE(d.status().skew);
    CHECK(*d.status().skew >= 3599s);
    CHECK(*d.status().skew <= 3601s);
}

TEST_CASE("our own clock being set moves the skew and not the mirror") {
    SyncDriver d(server_v4(), known(server_v4()));
    const auto active = d.goes_live();
    for (const auto set : {3600s, -7200s}) {
        d.our_clock += set;
        d.passes(30s);
        active.keeps_alive();
        CHECK(active.open());
        (void)d.writes();
        REQUIRE(d.status().skew);
        CHECK(*d.status().skew == -d.our_clock);
    }
    CHECK(std::none_of(d.written.begin(), d.written.end(), [](const Batch& b) { return b.fresh_start; }));
}

TEST_CASE("a server whose clock agrees with ours is written with a skew of zero, and ours is what status shows") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.goes_live();
    for (int i = 0; i < 30; ++i) {
        d.passes(10'300ms);
        active.keeps_alive();
        (void)d.writes();
        CHECK(d.written.back().skew == Skew{0});
        CHECK(d.status().skew == Skew{0});
    }
}

TEST_CASE("nothing heard yet, and nothing stored: the skew is not known") {
    SyncDriver d(server_v4());
    d.passes(20ms);
    CHECK_FALSE(d.status().skew);
}

TEST_CASE("messages that waited because the database was slow tell of no step back") {
    // A database that takes 40 s for each batch, so that every message waits for us by the same time.
    auto config = config_of({server_v4()});
    config.storage.batch.rows = 1;
    SyncDriver d(config, {known(config.servers[0])});
    const auto active = d.goes_live();
    d.database_stalls();
    for (int i = 0; i < 40; ++i) {
        if (active.open()) active.tells("192.0.2.1");
        d.passes(40s);
        if (i >= 8 && d.waiting() > 0) d.commits();
    }
    CHECK(active.open());
    CHECK_FALSE(d.logged("fresh-start"));
}

TEST_CASE("another server's abilities are found out anew") {
    // The old one answered active queries. The new one knows bulk alone, and closes (RFC 7724 §8.1.1): to be polled.
    SyncDriver d(server_v4(), known(server_v4()));
    const auto active = d.goes_live();
    d.identity_v4 = "192.0.2.99";
    active.closes();
    for (int refusals = 0; refusals < 5; ++refusals) {
        CHECK_FALSE(d.logged("polling-instead"));
        d.accepts_within(2min).closes();  // silently
    }
    CHECK(d.logged("polling-instead"));
}
