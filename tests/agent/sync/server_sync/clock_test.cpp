// Identities and clocks: when what we know of a server stops being worth anything (agent/README.md, "Clocks"; RFC 7653
// §8.5). The arithmetic of the skew itself is in clock_skew_test.cpp.
#include "tests/agent/sync/driver.hpp"

#include <doctest/doctest.h>

#include <algorithm>

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

/// Live for a while; then our clock jumps two hours ahead.
Peer lives_and_jumps_ahead(SyncDriver& d) {
    const auto active = d.goes_live();
    d.passes(2min);
    active.keeps_alive();
    d.our_clock += 7200s;
    d.passes(2s);
    return active;
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

TEST_CASE("v4: an identity that only a later message tells is known from then on, and over a restart") {
    // RFC 6926 §7.3 wants it in the first one.
    const auto tells_late = [](const Peer& peer, const std::string& identity) {
        peer.tells("192.0.2.1");
        auto second = active4("192.0.2.2", 1000);
        second.server = identity;
        peer.says(second);
        peer.tells("192.0.2.3");
    };
    SyncDriver first(server_v4());
    first.identity_v4.clear();
    const auto bulk = first.accepts();
    tells_late(bulk, "192.0.2.254");
    bulk.ends();
    const auto active = first.accepts();
    tells_late(active, "192.0.2.254");
    CHECK(active.open());
    (void)first.writes();
    CHECK_FALSE(first.logged("fresh-start"));
    CHECK(first.status().server_identity == Bytes{192, 0, 2, 254});

    SyncDriver again(server_v4(), known(server_v4()));
    again.identity_v4.clear();
    const auto resumed = again.accepts();
    SUBCASE("the same server") {
        tells_late(resumed, "192.0.2.254");
        CHECK(resumed.open());
        CHECK_FALSE(again.logged("fresh-start"));
    }
    SUBCASE("another one: what it said before it told its name is not taken for the old one's") {
        tells_late(resumed, "192.0.2.99");
        CHECK_FALSE(resumed.open());
        CHECK(again.writes() == "fresh start");
        tells_late(again.accepts_within(2min), "192.0.2.99");
        CHECK(again.times_logged("fresh-start") == 1);
    }
}

TEST_CASE("the first identity on a connection holds for all of it: a server with several is no other server") {
    for (const auto& config : {server_v4(), server_v6()}) {
        SyncDriver d(config);
        const auto tells_another = [&](const Peer& peer) {
            if (config.family == Family::v6) {
                peer.tells("2001:db8:1::a");
                return peer.says(V6{.clients = {Client{{ia("2001:db8:1::b")}}}, .base = 1000, .server_id = {0, 3, 9}});
            }
            peer.tells("192.0.2.1");
            auto second = active4("192.0.2.2", 1000);
            second.server = "192.0.2.99";
            peer.says(second);
        };
        const auto bulk = d.accepts();
        tells_another(bulk);
        bulk.ends();
        const auto active = d.accepts_within(2min);
        tells_another(active);
        CHECK(active.open());
        (void)d.writes();
        CHECK_FALSE(d.logged("fresh-start"));
        CHECK(d.status().server_identity == (config.family == Family::v4 ? Bytes{192, 0, 2, 254} : server_duid));
    }
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
        active.insists();
        CHECK_FALSE(active.open());
        CHECK(d.writes() == "fresh start; 2 quarantined");
        CHECK(d.status().last_error.find("the server's clock went back") == 0);
        const auto full = d.accepts_within(2min);
        CHECK(full.query() == everything(config));
        const auto began = d.server_now();
        full.ends();
        CHECK(d.accepts_within(2min).query() == "active from @" + std::to_string(began));
    }
}

TEST_CASE("a clock that was set back while we were away is noticed by the first replies") {
    SyncDriver d(server_v4(), known(server_v4()));
    d.server_clock = -1h;
    const auto active = d.accepts();
    active.insists();
    CHECK_FALSE(active.open());
    CHECK(d.writes() == "fresh start; 2 quarantined");
}

TEST_CASE("a clock that was set back by less than we were away is noticed too, by when we asked") {
    SyncDriver d(server_v4(), known(server_v4()));
    d.server_clock = -50s;  // still later than the stored base-time, @900
    const auto active = d.accepts();
    active.keeps_alive();  // in the catch-up phase what was built earlier may come, and this could be that
    CHECK(active.open());
    active.marks(StatusCode::catch_up_complete);
    active.insists();
    CHECK_FALSE(active.open());
    CHECK(d.writes().find("fresh start") != std::string::npos);
}

TEST_CASE("a step back closes every connection, bulk included") {
    SyncDriver d(server_v4(), known(server_v4()));
    const auto active = d.accepts();
    active.marks(StatusCode::data_missing);
    const auto bulk = d.accepts();
    bulk.tells("192.0.2.1");
    d.server_clock = -1h;
    active.insists();
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
    active.insists();
    d.passes(20ms);
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
    active.insists();
    CHECK(d.writes() == "fresh start; 2 quarantined");
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
    active.insists();
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
    active.insists();
    CHECK(d.writes() == "fresh start; gap 1 closes unrecoverable, 0; 2 quarantined");
    CHECK(d.accepts_within(2min).query() == "active");
}

TEST_CASE("a clock that steps forward: a fresh start too, since servers keep the moment when a lease ends") {
    SyncDriver d(server_v4(), known(server_v4()));
    const auto active = d.goes_live();
    d.server_clock = 1h;
    d.passes(30s);
    active.insists();
    CHECK_FALSE(active.open());
    CHECK(d.writes().find("fresh start") != std::string::npos);
    CHECK(d.status().last_error.find("the server's clock went forward") == 0);
    REQUIRE(d.status().skew);
    CHECK(*d.status().skew >= 3599s);
    CHECK(*d.status().skew <= 3601s);
    CHECK(d.accepts_within(2min).query() == everything(server_v4()));
}

TEST_CASE("one message with an absurd base-time goes to quarantine, and what it said is asked for") {
    for (const auto absurd : {std::int64_t{2'400'000'000}, std::int64_t{-1'000'000'000}}) {
        SyncDriver d(server_v4(), known(server_v4()));
        const auto active = d.goes_live();
        d.passes(30s);
        active.tells("192.0.2.1", absurd);
        CHECK(active.open());
        (void)d.writes();
        CHECK_FALSE(d.logged("fresh-start"));
        const auto quarantined =
            std::count_if(d.written.begin(), d.written.end(), [](const Batch& b) { return b.quarantine.size() == 1; });
        CHECK(quarantined == 1);
        CHECK(d.logged("gap"));               // the mirror has no row for it that could be in doubt
        CHECK(d.phase() == Phase::catch_up);  // it may be the first of a clock that was set
        CHECK(d.accepts().query() == "bulk everything in every VPN");
        active.tells("192.0.2.2");
        CHECK(d.writes().find("192.0.2.2") != std::string::npos);
        CHECK(d.phase() == Phase::gap);
    }
}

TEST_CASE(
    "a list of a client in a message with an absurd base-time: what it leaves out may have ended, and is in doubt") {
    auto config = server_v6();
    SUBCASE("lists are complete") {
        config.client_data = ClientData::snapshot;
    }
    SUBCASE("they may be") {
        config.client_data = ClientData::automatic;
    }
    SUBCASE("they are not") {}
    SyncDriver d(config, known(config));
    const auto active = d.goes_live();
    d.passes(30s);
    active.tells("2001:db8:1::a", std::int64_t{2'400'000'000});
    CHECK((d.writes().find("list of 0 (doubts)") != std::string::npos) == (config.client_data != ClientData::delta));
}

TEST_CASE("our own clock is set back: the stored times move with it, and the mirror is not read anew") {
    SyncDriver d(server_v4(), known(server_v4()));
    const auto active = d.goes_live();
    active.tells("192.0.2.1");
    d.our_clock -= 7200s;
    d.passes(30s);
    active.keeps_alive();
    CHECK(active.open());
    (void)d.writes();
    REQUIRE(d.status().skew);
    CHECK(*d.status().skew == 7200s);
    const auto moved =
        std::find_if(d.written.begin(), d.written.end(), [](const Batch& b) { return b.our_clock_moved; });
    REQUIRE(moved != d.written.end());
    CHECK(*moved->our_clock_moved == -7200s);
    CHECK(moved->changes.empty());  // what was told before belongs to the clock of before
    CHECK(std::none_of(d.written.begin(), d.written.end(), [](const Batch& b) { return b.fresh_start; }));
}

TEST_CASE(
    "the message that tells that our clock was set tells of a loss, too: at no moment does the mirror pass for live") {
    SyncDriver d(server_v4(), known(server_v4()));
    (void)lives_and_jumps_ahead(d);
    const auto again = d.accepts_within(2min);
    d.written.clear();
    again.says(active4("192.0.2.1"));
    again.marks(StatusCode::data_missing);
    (void)d.writes();
    const auto gap = std::find_if(d.written.begin(), d.written.end(), [](const Batch& b) { return !b.gaps.empty(); });
    REQUIRE(gap != d.written.end());
    CHECK(gap->status->phase == Phase::gap);
    CHECK(std::none_of(d.written.begin(), gap,
                       [](const Batch& b) { return b.status && b.status->phase == Phase::live; }));
}

TEST_CASE("our own clock jumps ahead: until the server tells, nothing expires by it, and the server is asked at once") {
    SyncDriver d(server_v4(), known(server_v4()));
    const auto active = lives_and_jumps_ahead(d);
    CHECK_FALSE(active.open());
    REQUIRE_FALSE(d.sweeps.empty());
    CHECK(d.sweeps.back().held == std::vector<ServerId>{1});
    const auto again = d.accepts_within(2min);

    SUBCASE("it was set: the stored times move with it") {
        again.catches_up();
        d.passes(2s);
        const auto moved =
            std::find_if(d.written.begin(), d.written.end(), [](const Batch& b) { return b.our_clock_moved; });
        REQUIRE(moved != d.written.end());
        CHECK(*moved->our_clock_moved == 7200s);
        REQUIRE(d.status().skew);
        CHECK(*d.status().skew == -7200s);
    }
    SUBCASE("the host slept: all that is stored is right") {
        d.server_clock = 7200s;
        again.catches_up();
        d.passes(2s);
        CHECK(std::none_of(d.written.begin(), d.written.end(), [](const Batch& b) { return b.our_clock_moved; }));
        REQUIRE(d.status().skew);
        CHECK(*d.status().skew == Skew{0});
    }
    CHECK(d.phase() == Phase::live);
    CHECK(d.sweeps.back().held.empty());
    CHECK(std::none_of(d.written.begin(), d.written.end(), [](const Batch& b) { return b.fresh_start; }));
}

TEST_CASE("our clock was set, and the database is slow: nothing expires before the stored times have moved there") {
    SyncDriver d(server_v4(), known(server_v4()));
    (void)lives_and_jumps_ahead(d);
    d.database_stalls();
    d.accepts_within(2min).catches_up();
    d.sweeps.clear();
    d.passes(20s);
    REQUIRE_FALSE(d.sweeps.empty());
    CHECK(d.sweeps.back().held == std::vector<ServerId>{1});
    d.database_goes_on();
    d.passes(20s);
    CHECK(d.sweeps.back().held.empty());
}

TEST_CASE("a catch-up message may be old, so that it fits tells nothing of our clock") {
    SyncDriver d(server_v4(), known(server_v4()));
    d.server_clock = -50s;  // to us the same as our own clock that much ahead
    const auto active = d.accepts();
    active.tells("192.0.2.1");
    active.catches_up();
    CHECK(d.phase() == Phase::catch_up);
    d.passes(2s);
    CHECK(d.sweeps.back().held == std::vector<ServerId>{1});
}

TEST_CASE("after a start nothing expires before a message shows that our clock is as it was, or none can be had") {
    SUBCASE("it is") {
        SyncDriver d(server_v4(), known(server_v4()));
        d.passes(2s);
        CHECK(d.sweeps.back().held == std::vector<ServerId>{1});
        (void)d.goes_live();
        d.passes(2s);
        CHECK(d.sweeps.back().held.empty());
    }
    SUBCASE("the server is away: its leases end by our clock") {
        SyncDriver d(server_v4(), known(server_v4()));
        d.refuses();
        d.passes(2s);
        CHECK(d.sweeps.back().held.empty());
    }
    SUBCASE("it is not: all is read anew first") {
        SyncDriver d(server_v4(), known(server_v4()));
        d.server_clock = 2h;  // to us the same as our own clock two hours behind
        const auto active = d.accepts();
        active.catches_up();
        CHECK(d.phase() == Phase::catch_up);  // one message that does not fit proves nothing yet
        active.insists();
        d.passes(2s);
        CHECK(d.sweeps.back().held == std::vector<ServerId>{1});
        d.accepts_within(2min).ends();
        d.passes(2s);
        CHECK(d.sweeps.back().held.empty());
    }
}

TEST_CASE("a message that waited fits a clock that was set, too: the next that did not tells") {
    SyncDriver d(server_v4(), known(server_v4()));
    d.server_clock = 5s;  // to us the same as our own clock five seconds behind
    const auto active = d.accepts();
    const auto base = d.server_now();
    d.passes(10s);
    active.marks(StatusCode::catch_up_complete, base);
    active.keeps_alive(base);
    CHECK(d.phase() == Phase::catch_up);
    d.passes(2s);
    CHECK(d.sweeps.back().held == std::vector<ServerId>{1});
    active.insists();
    CHECK(d.logged("fresh-start"));
}

TEST_CASE("a first attempt that fails proves nothing: a shift that is heard later may still be one of our own clock") {
    const auto was_unsure = [](bool heard_before) {
        const auto config = server_v4();
        auto resume = known(config);
        resume.written_at = UtcSeconds{std::chrono::seconds{t0 + 990}};
        SyncDriver d(config, resume);
        d.refuses();
        auto active = d.accepts_within(2min);
        if (heard_before) {
            active.catches_up();
            active.keeps_alive();
        }
        d.server_clock = 3600s;
        active.insists();
        (void)d.writes();
        const auto afresh =
            std::find_if(d.written.begin(), d.written.end(), [](const Batch& b) { return b.fresh_start; });
        REQUIRE(afresh != d.written.end());
        return afresh->before.ours_unsure;
    };
    CHECK(was_unsure(false));
    CHECK_FALSE(was_unsure(true));
}

TEST_CASE("a second fresh start before all was read leaves what is stored as unsure as the first one") {
    const auto config = server_v4();
    auto resume = known(config);
    resume.written_at = UtcSeconds{std::chrono::seconds{t0 + 990}};
    SyncDriver d(config, resume);
    d.server_clock = 3600s;
    d.accepts().insists();
    d.identity_v4 = "192.0.2.99";
    d.accepts_within(2min).ends();
    const auto read = d.accepts_within(2min);
    read.ends();
    d.identity_v4 = "192.0.2.98";
    d.accepts_within(2min).catches_up();
    (void)d.writes();
    std::vector<bool> unsure;
    for (const auto& batch : d.written)
        if (batch.fresh_start) unsure.push_back(batch.before.ours_unsure);
    CHECK(unsure == std::vector{true, true, false});
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
