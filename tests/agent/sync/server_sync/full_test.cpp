// Full bulks: what they cover, what they may conclude from absence, and what becomes of refusals (agent/README.md,
// "Reconciliation"; RFC 6926 §7.2 and §8.2, RFC 5460 §6.3).
#include "tests/agent/sync/driver.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;
using namespace std::chrono_literals;

namespace {

bool contains(const std::string& words, std::string_view part) {
    return words.find(part) != std::string::npos;
}

std::vector<BulkQuery> two_links() {
    return {link_query("2001:db8:1::1"), link_query("2001:db8:2::1")};
}

/// The reconciliation of the last full bulk, in words; empty if there was none.
std::string reconciled(SyncDriver& d) {
    auto words = d.writes();
    const auto from = words.find("reconcile");
    if (from == std::string::npos) return {};
    return words.substr(from, words.find(';', from) - from);
}

}  // namespace

// ---- what cannot be understood ------------------------------------------------------------------------------------

TEST_CASE("v4: an unreadable message in a full bulk still names its address, which counts as seen") {
    SyncDriver d(server_v4());
    const auto bulk = d.accepts();
    bulk.tells("192.0.2.1");
    auto m = active4("192.0.2.2", 1000);
    m.id = bulk.id();
    bulk.says(broken(m));
    CHECK(bulk.open());
    bulk.ends();
    CHECK(d.writes() ==
          "begin 1; 192.0.2.1 active @1000 run 1; 192.0.2.2 sighted run 1; reconcile 1 everything from "
          "@1000; base @1000; 1 quarantined");
    CHECK(d.status().coverage == Coverage::full);
}

TEST_CASE("v4: an unreadable message that names no address makes doubtful whatever the answer does not list") {
    SyncDriver d(server_v4());
    const auto bulk = d.accepts();
    bulk.tells("192.0.2.1");
    auto m = active4("0.0.0.0", 1000);
    m.id = bulk.id();
    bulk.says(broken(m));
    bulk.ends();
    CHECK(reconciled(d) == "reconcile 1 everything from @1000 unread");
    CHECK(d.status().coverage == Coverage::partial);
    CHECK(contains(d.status().last_error, "could not be understood"));
}

TEST_CASE("v6: an unreadable part of an answer makes doubtful what was not listed") {
    SyncDriver d(server_v6(two_links()));
    const auto one = d.accepts();
    one.tells("2001:db8:1::a");
    const auto two = d.accepts();
    auto m = V6{.clients = {Client{.leases = {ia("2001:db8:1::b")}, .with_age = true}}, .base = 1000};
    m.id = one.id();
    one.says(broken(m));
    one.ends();
    two.tells("2001:db8:2::a");
    two.ends();
    CHECK(reconciled(d) == "reconcile 1 everything from @1000 unread");
    CHECK(d.status().coverage == Coverage::partial);
}

TEST_CASE("a full bulk that could not read everything is run again, not at once") {
    SyncDriver d(server_v4());
    const auto bulk = d.accepts();
    auto m = active4("0.0.0.0", 1000);
    m.id = bulk.id();
    bulk.says(broken(m));
    bulk.ends();
    const auto active = d.accepts();
    (void)d.writes();
    for (int i = 0; i < 9; ++i) {
        active.catches_up();
        d.passes(1min);
        CHECK(d.connecting[0].empty());
    }
    active.keeps_alive();
    const auto again = d.accepts_within(90s);
    CHECK(again.query() == "bulk everything in every VPN");
    again.ends();
    CHECK(contains(reconciled(d), "reconcile 2 everything"));
    CHECK(d.status().coverage == Coverage::full);
}

// ---- refusals -----------------------------------------------------------------------------------------------------

TEST_CASE("a query that is refused does not stop the others, whose scopes are reconciled by themselves") {
    SyncDriver d(server_v6(two_links()));
    const auto two = d.accepts();
    two.ends(StatusCode::not_configured);
    two.tells("2001:db8:2::a");
    two.ends();
    CHECK(d.writes() ==
          "begin 1; 2001:db8:2::a active @1000 run 1; reconcile 1 (link 2001:db8:2::1) from @1000; base @1000");
    CHECK(d.status().coverage == Coverage::partial);
    CHECK(d.status().last_error ==
          "full bulk incomplete: 1 of 2 queries refused: query for link 2001:db8:1::1: NotConfigured: why");
    CHECK(d.accepts().query() == "active from @1000");
}

TEST_CASE("queries that cover all of the server end everything else; those that cover a part end only their own") {
    auto config = server_v6(two_links());
    SUBCASE("all") {
        SyncDriver d(config);
        const auto one = d.accepts();
        one.ends();
        one.ends();
        CHECK(reconciled(d) == "reconcile 1 everything from @1000");
        CHECK(d.status().coverage == Coverage::full);
    }
    SUBCASE("partial") {
        config.bulk.covers = BulkCovers::partial;
        SyncDriver d(config);
        const auto one = d.accepts();
        one.ends();
        one.ends();
        CHECK(reconciled(d) == "reconcile 1 (link 2001:db8:1::1) (link 2001:db8:2::1) from @1000");
        CHECK(d.status().coverage == Coverage::partial);
    }
}

TEST_CASE("a scope by relay-id or remote-id is told by that too, so that what moved there otherwise is found") {
    auto config = server_v6({relay_query({1, 2}), link_query("2001:db8:1::1")});
    config.bulk.queries.push_back({QueryKind::remote_id, {}, {7, 8}, 1});
    config.bulk.covers = BulkCovers::partial;
    config.bulk.max_connections = 1;
    SyncDriver d(config);
    const auto bulk = d.accepts();
    for (int i = 0; i < 3; ++i)
        bulk.ends();
    (void)d.writes();
    const auto& scopes = d.written.back().reconcile->scopes;
    REQUIRE(scopes.size() == 3);
    CHECK(scopes[0].relay_id == Bytes{1, 2});
    CHECK(scopes[0].remote_id.empty());
    CHECK(scopes[1].relay_id.empty());
    CHECK(scopes[2].remote_id == Bytes{7, 8});
}

// ---- every VPN ----------------------------------------------------------------------------------------------------

TEST_CASE("v4, everything: a server that refuses option 221 is asked once more without it, for the default VPN") {
    // Kea answers any option 221 with NotAllowed (proto/README.md, "Traps").
    SyncDriver d(server_v4());
    const auto bulk = d.accepts();
    CHECK(bulk.query() == "bulk everything in every VPN");
    bulk.ends(StatusCode::not_allowed);
    CHECK(bulk.open());
    CHECK(bulk.query() == "bulk everything");
    bulk.tells("192.0.2.1");
    bulk.ends();
    CHECK(reconciled(d) == "reconcile 1 everything from @1000");
    CHECK(d.accepts().query() == "active from @1000");
}

TEST_CASE("v4: queries with a filter never ask for every VPN") {
    auto config = server_v4();
    config.bulk.queries = {relay_query({1, 2, 3})};
    SyncDriver d(config);
    CHECK(d.accepts().query() == "bulk relay-id 010203");
}

TEST_CASE("v4: only a refusal is held against option 221, not a server that just shuts down") {
    // Otherwise one QueryTerminated makes the mirror blind for every VPN but the default one, until a restart of ours,
    // while it reports coverage 'full'.
    SyncDriver d(server_v4());
    const auto bulk = d.accepts();
    bulk.tells("192.0.2.1");
    bulk.ends(StatusCode::query_terminated);
    if (bulk.open()) {
        CHECK(bulk.query() == "bulk everything in every VPN");
    } else {
        CHECK(d.accepts_within(2min).query() == "bulk everything in every VPN");
    }
}

TEST_CASE("v4: a server that refuses with and without option 221 did not mean the option") {
    // It may permit us later, and then all of its VPNs are wanted again.
    SyncDriver d(server_v4());
    const auto bulk = d.accepts();
    bulk.ends(StatusCode::not_allowed);
    bulk.ends(StatusCode::not_allowed);
    CHECK_FALSE(bulk.open());
    const auto active = d.accepts();
    for (int i = 0; i < 15 && d.connecting[0].empty(); ++i) {
        active.keeps_alive();
        d.passes(1min);
    }
    CHECK(d.accepts_within(1min).query() == "bulk everything in every VPN");
}

// ---- ends that are not refusals -----------------------------------------------------------------------------------

TEST_CASE("a bulk that the server terminates is asked again later, after a short interval") {
    // RFC 5460 §5.5, RFC 6926 §7.1: "after at least a short interval"; the server sends nothing more on this connection
    // and closes it (RFC 6926 §7.1, RFC 5460 §5.5). Asking on it at once also wastes one of the attempts.
    SyncDriver d(server_v6());
    const auto bulk = d.accepts();
    bulk.tells("2001:db8:1::a");
    const auto asked = bulk.id();
    bulk.ends(StatusCode::query_terminated);
    CHECK(bulk.id() == asked);
    CHECK(d.connecting[0].empty());
    CHECK(d.accepts_within(2min).query() == "bulk link 2001:db8:1::1");
}

TEST_CASE("a gap's window that the server terminates once is asked for again, since that is not twice") {
    SyncDriver d(server_v4(), resume_at(900));
    d.accepts().marks(StatusCode::data_missing);
    const auto window = d.accepts();
    window.ends(StatusCode::query_terminated);
    if (window.open()) window.closes();
    const auto again = d.accepts_within(30s);
    CHECK(again.query() == "bulk everything in every VPN [@900, @1000]");
}

TEST_CASE("the base-time after a bulk that broke off half-way is that of the earliest reply that was kept") {
    SyncDriver d(server_v4());
    const auto broken_off = d.accepts();
    broken_off.tells("192.0.2.1");
    d.passes(30s);
    broken_off.closes();
    const auto again = d.accepts_within(2min);
    again.tells("192.0.2.1");
    again.ends();
    CHECK(d.accepts().query() == "active from @1000");
}

// ---- what the database refuses ------------------------------------------------------------------------------------

TEST_CASE("the database is told where a full bulk begins, and where one is over that was asked to the end") {
    SyncDriver d(server_v6());
    const auto bulk = d.accepts();
    (void)d.writes();
    CHECK(d.written.back().begin_full == 1U);
    bulk.ends();
    (void)d.writes();
    CHECK_FALSE(d.written.back().begin_full);
    REQUIRE(d.written.back().reconcile);
    CHECK(d.written.back().reconcile->asked_to_the_end);
}

TEST_CASE("what the database refused and has no row for is read again, and after a restart at once") {
    auto resume = resume_at(900);
    SUBCASE("it has been refused just now") {
        SyncDriver d(server_v4(), resume);
        const auto active = d.goes_live();
        d.applied.lacking = 1;
        active.tells("192.0.2.1");
        (void)d.writes();
        for (int i = 0; i < 19; ++i) {
            d.passes(30s);
            active.keeps_alive();
        }
        CHECK(d.connecting[0].empty());
        d.passes(30s);
        CHECK(d.accepts().query() == "bulk everything in every VPN");
    }
    SUBCASE("it was before") {
        resume.lacking = 1;
        SyncDriver d(server_v4(), resume);
        const auto full = d.accepts();
        CHECK(full.query() == "bulk everything in every VPN");
        full.tells("192.0.2.1");
        const auto active = d.accepts();
        active.catches_up();
        active.keeps_alive();
        (void)d.writes();
        CHECK_FALSE(d.written.back().fresh_as_of);
        full.ends();
        active.keeps_alive();
        (void)d.writes();
        CHECK(d.written.back().fresh_as_of);  // the database knows by now whether it still lacks something
    }
}
