// The first load, and the hand-over from bulk to active (agent/README.md, "No hole between bulk and active"; RFC 7653 §4,
// RFC 7724 §4).
#include "tests/agent/sync/driver.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;
using namespace std::chrono_literals;

TEST_CASE("a new server is asked for everything, and then for updates from the first reply of that on") {
    SyncDriver d(server_v4());
    const auto bulk = d.accepts();
    CHECK(bulk.query() == "bulk everything in every VPN");
    CHECK(d.writes() == "begin 1");
    d.passes(1s);
    bulk.tells("192.0.2.1");
    d.passes(30s);
    bulk.tells("192.0.2.2");
    CHECK(d.writes() == "192.0.2.1 active @1001 run 1 | 192.0.2.2 active @1031 run 1");
    CHECK(d.connecting[0].empty());
    d.passes(30s);
    bulk.ends();
    CHECK_FALSE(bulk.open());
    CHECK(d.writes() == "reconcile 1 everything from @1001; base @1001");
    CHECK(d.accepts().query() == "active from @1001");
}

TEST_CASE("the active query waits until the end of the bulk is in the database") {
    SyncDriver d(server_v4());
    const auto bulk = d.accepts();
    bulk.tells("192.0.2.1");
    (void)d.writes();
    d.database_stalls();
    bulk.ends();
    d.passes(10min);
    REQUIRE(d.waiting() == 1);
    CHECK(d.words_of(d.waiting(0)) == "reconcile 1 everything from @1000; base @1000");
    CHECK(d.connecting[0].empty());
    d.commits();
    CHECK(d.accepts().query() == "active from @1000");
}

TEST_CASE("what a bulk brings is written while it runs, and its end comes after all of it") {
    SyncDriver d(server_v4());
    const auto bulk = d.accepts();
    d.database_stalls();
    for (int i = 1; i <= 3; ++i) {
        bulk.tells("192.0.2." + std::to_string(i));
        d.passes(20ms);
    }
    bulk.ends();
    d.database_goes_on();
    CHECK(d.writes() ==
          "begin 1; 192.0.2.1 active @1000 run 1 | 192.0.2.2 active @1000 run 1; 192.0.2.3 active @1000 run 1; "
          "reconcile 1 everything from @1000; base @1000");
}

TEST_CASE("an empty server is synchronised too") {
    SUBCASE("v4: a bare DONE") {
        SyncDriver d(server_v4());
        d.lists({});
        CHECK(d.writes() == "begin 1; reconcile 1 everything from @1000; base @1000");
        CHECK(d.accepts().query() == "active from @1000");
    }
    SUBCASE("v6: a REPLY without data, and no DONE after it") {
        SyncDriver d(server_v6());
        d.lists({});
        CHECK(d.writes() == "begin 1; reconcile 1 everything from @1000; base @1000");
        CHECK(d.accepts().query() == "active from @1000");
    }
}

TEST_CASE("v6: links are asked for over several connections, and the earliest first reply is the base-time") {
    SyncDriver d(server_v6({link_query("2001:db8:1::1"), link_query("2001:db8:2::1"), link_query("2001:db8:3::1")}));
    const auto one = d.accepts();
    CHECK(one.query() == "bulk link 2001:db8:1::1");
    CHECK(d.connecting[0].empty());
    d.passes(5s);
    one.tells("2001:db8:1::a");
    const auto two = d.accepts();
    const auto three = d.accepts();
    CHECK(d.connecting[0].empty());
    CHECK(two.query() == "bulk link 2001:db8:2::1");
    CHECK(three.query() == "bulk link 2001:db8:3::1");
    d.passes(5s);
    two.tells("2001:db8:2::a");
    one.ends();
    CHECK_FALSE(one.open());
    d.passes(5s);
    two.ends();
    three.ends();
    (void)d.writes();
    const auto& last = *std::find_if(d.written.begin(), d.written.end(), [](const Batch& b) { return b.reconcile; });
    CHECK(d.words_of(last) == "reconcile 1 everything from @1005; base @1005");
    CHECK(d.accepts().query() == "active from @1005");
}

TEST_CASE("with fewer connections than queries, each connection takes one query after the other") {
    auto config = server_v6({link_query("2001:db8:1::1"), link_query("2001:db8:2::1"), link_query("2001:db8:3::1")});
    config.bulk.max_connections = 2;
    SyncDriver d(config);
    const auto one = d.accepts();
    const auto first_id = one.id();
    one.tells("2001:db8:1::a");
    const auto two = d.accepts();
    CHECK(d.connecting[0].empty());
    one.ends();
    CHECK(one.query() == "bulk link 2001:db8:3::1");
    CHECK(one.id() != first_id);
    two.ends();
    CHECK_FALSE(two.open());
    CHECK(one.open());
    one.ends();
    CHECK_FALSE(one.open());
    CHECK(d.accepts().query() == "active from @1000");
}

TEST_CASE("a server that puts no base-times into its replies is asked from our guess of its clock") {
    // RFC 7653 §6.3.2: failing anything better, the clocks are taken to agree.
    SyncDriver d(server_v4());
    const auto bulk = d.accepts();
    d.passes(3s);
    bulk.says(active4("192.0.2.1"));
    d.passes(10s);
    bulk.says(done4());
    CHECK(d.accepts().query() == "active from @990");  // a little before, should they not agree quite
}

TEST_CASE("a guess of the server's clock that was ahead of it is no time to resume from") {
    // What changes until its clock has come so far would not be asked for after the next disconnection.
    SyncDriver d(server_v4());
    d.server_clock = -1h;
    const auto bulk = d.accepts();
    bulk.says(done4());
    auto active = d.accepts();
    CHECK(active.query() == "active from @990");
    active.keeps_alive();
    CHECK_FALSE(active.open());
    CHECK(d.logged("fresh-start"));
    const auto again = d.accepts_within(5min);
    const auto clock = d.server_now();
    again.says(done4());
    active = d.accepts_within(5min);
    const auto from = std::stoll(active.query().substr(active.query().find('@') + 1));
    CHECK(from <= clock - 9);  // the skew that a base-time tells may be a second off
    CHECK(from >= clock - 11);
    active.keeps_alive();
    CHECK(active.open());
    CHECK(d.times_logged("fresh-start") == 1);
}

TEST_CASE("v6 without bulk queries: there is nothing to load, and the active query begins at once without a start") {
    SyncDriver d(server_v6({}));
    const auto active = d.accepts();
    CHECK(active.query() == "active");
    active.tells("2001:db8:1::a");
    CHECK(d.writes() == "2001:db8:1::a active @1000; base @1000");
    CHECK(d.phase() == Phase::live);
    CHECK(d.status().coverage == Coverage::partial);
}

TEST_CASE("after a restart the active query goes on from the stored base-time, without any bulk") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.accepts();
    CHECK(active.query() == "active from @900");
    CHECK(d.connecting[0].empty());
}

TEST_CASE("a bulk that breaks off reconciles nothing, keeps what it brought, and is asked again from its start") {
    SyncDriver d(server_v4());
    const auto broken = d.accepts();
    broken.tells("192.0.2.1");
    broken.closes();
    CHECK(d.writes() == "begin 1; 192.0.2.1 active @1000 run 1");
    CHECK(d.connecting[0].empty());
    const auto again = d.accepts_within(2min);
    CHECK(again.query() == "bulk everything in every VPN");
    again.tells("192.0.2.1");
    again.tells("192.0.2.2");
    again.ends();
    CHECK(d.writes().find("reconcile 1 everything from @1000; base @1000") != std::string::npos);
}

TEST_CASE("a bulk that breaks off time and again is given up, begun anew, and never taken for whole") {
    SyncDriver d(server_v4());
    for (int i = 0; i < 12; ++i) {
        const auto bulk = d.accepts_within(5min);
        CHECK(bulk.query() == "bulk everything in every VPN");
        bulk.tells("192.0.2.1");
        bulk.closes();
    }
    (void)d.writes();
    for (const auto& batch : d.written) {
        CHECK_FALSE(batch.reconcile);
        CHECK_FALSE(batch.base_time);
    }
    CHECK(d.status().coverage == Coverage::partial);
    const auto whole = d.accepts_within(5min);
    whole.tells("192.0.2.1");
    whole.ends();
    // Each attempt is a run of its own: what only one that broke off listed is not taken for listed.
    CHECK(d.writes().find("reconcile 11 everything") != std::string::npos);
    REQUIRE(d.written.back().reconcile);
    CHECK(d.written.back().reconcile->scopes.at(0).run == 13);
    CHECK(d.status().coverage == Coverage::full);
}

TEST_CASE("one link that breaks off is asked again on its own, while the others go on") {
    SyncDriver d(server_v6({link_query("2001:db8:1::1"), link_query("2001:db8:2::1")}));
    const auto one = d.accepts();
    one.tells("2001:db8:1::a");
    const auto two = d.accepts();
    two.tells("2001:db8:2::a");
    one.closes();
    CHECK(two.open());
    two.ends();
    CHECK(two.query() == "bulk link 2001:db8:1::1");  // a connection that works is used for what waits
    two.ends();
    CHECK(d.writes().find("reconcile 1 everything from @1000; base @1000") != std::string::npos);
}

TEST_CASE("a server that refuses every bulk query is followed live at least, and asked for bulk again, rarely") {
    SyncDriver d(server_v6());
    const auto bulk = d.accepts();
    bulk.ends(StatusCode::not_allowed);
    CHECK_FALSE(bulk.open());
    const auto active = d.accepts();
    CHECK(active.query() == "active");
    active.tells("2001:db8:1::a");
    CHECK(d.writes() == "begin 1; 2001:db8:1::a active @1000; base @1000");
    CHECK(d.status().coverage == Coverage::partial);
    CHECK(d.status().last_error == "full bulk failed: query for link 2001:db8:1::1: NotAllowed: why");
    for (int i = 0; i < 9; ++i) {
        d.passes(1min);
        active.keeps_alive();
        CHECK(d.connecting[0].empty());
    }
    const auto again = d.accepts_within(3min);
    CHECK(again.query() == "bulk link 2001:db8:1::1");
    again.tells("2001:db8:1::a");
    again.ends();
    CHECK(d.writes().find("reconcile 2 everything from ") != std::string::npos);
    CHECK(d.status().coverage == Coverage::full);
}

TEST_CASE("a mirror that was never loaded is still to be loaded after a restart") {
    // The base-times of the live stream alone (see the test before this one) are stored too, and say nothing of what
    // was there before. What was not seen must be caught up with once the server allows it.
    auto point = resume_at(900);
    point.last_full_sync_at.reset();
    point.coverage = Coverage::partial;
    SyncDriver d(server_v6(), point);
    while (!d.connecting[0].empty()) {
        const auto peer = d.accepts();
        if (peer.query() == "bulk link 2001:db8:1::1") return;
        peer.catches_up();
    }
    FAIL("no bulk query");
}

TEST_CASE("a full bulk that left a link out is completed after a restart too") {
    // One link was cut off five times, the other was loaded: there is a base-time, and the coverage is partial although
    // the queries cover all. Nothing but a full bulk ever brings the other link.
    auto point = resume_at(900);
    point.coverage = Coverage::partial;
    SyncDriver d(server_v6({link_query("2001:db8:1::1"), link_query("2001:db8:2::1")}), point);
    CHECK(d.accepts().query() == "bulk link 2001:db8:1::1");
}

TEST_CASE(
    "of a server that is covered in part nobody knows after a restart whether a query was refused: all is read anew") {
    auto config = server_v6();
    config.bulk.covers = BulkCovers::partial;
    auto resume = resume_at(900);
    resume.coverage = Coverage::partial;
    SyncDriver d(config, resume);
    const auto full = d.accepts();
    CHECK(full.query() == "bulk link 2001:db8:1::1");
    full.tells("2001:db8:1::a");
    const auto active = d.accepts();
    active.catches_up();
    active.keeps_alive();
    (void)d.writes();
    CHECK_FALSE(d.written.back().fresh_as_of);
    SUBCASE("it is answered to its end") {
        full.ends();
        active.keeps_alive();
        (void)d.writes();
        CHECK(d.written.back().fresh_as_of);
    }
    SUBCASE("it is refused again") {
        full.ends(StatusCode::not_allowed);
        active.keeps_alive();
        (void)d.writes();
        CHECK_FALSE(d.written.back().fresh_as_of);
    }
}
