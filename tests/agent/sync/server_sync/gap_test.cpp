// Gaps: how they open, what is asked for, and what closes them (agent/README.md, "Gaps"; RFC 7653 §8.4.1, RFC 7724
// §7.4.1).
#include "tests/agent/sync/driver.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;
using namespace std::chrono_literals;

namespace {

/// A live v6 server whose gap has been windowed and now waits for the paced full bulk.
struct AfterWindow {
    SyncDriver d{server_v6(), resume_at(900)};
    Peer active = d.accepts();

    AfterWindow() {
        active.marks(StatusCode::data_missing);
        const auto window = d.accepts();
        CHECK(window.query() == "bulk link 2001:db8:1::1 [@900, @1000]");
        window.tells("2001:db8:1::a");
        window.ends();
        CHECK(d.writes() ==
              "begin 2; 2001:db8:1::a active @1000 run 2; gap 1 opens [@900, @1000]: DataMissing; base @1000");
    }
};

}  // namespace

TEST_CASE("DataMissing at once: the gap is written with the base-time that passes its start, and asked for by bulk") {
    for (const auto& config : {server_v4(), server_v6()}) {
        SyncDriver d(config, resume_at(900));
        const auto active = d.accepts();
        active.marks(StatusCode::data_missing);
        CHECK(active.open());
        const auto bulk = d.accepts();
        CHECK(bulk.query() == (config.family == Family::v4 ? "bulk everything in every VPN [@900, @1000]"
                                                           : "bulk link 2001:db8:1::1 [@900, @1000]"));
        CHECK(d.writes() == "begin 2; gap 1 opens [@900, @1000]: DataMissing; base @1000");
        CHECK(d.phase() == Phase::gap);
    }
}

TEST_CASE("DataMissing in the middle of catch-up: the gap begins at the start time of the active query") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.accepts();
    active.tells("192.0.2.1");
    d.passes(10s);
    active.marks(StatusCode::data_missing);
    CHECK(d.accepts().query() == "bulk everything in every VPN [@900, @1010]");
    CHECK(d.writes() == "192.0.2.1 active @1000 late | begin 2; gap 1 opens [@900, @1010]: DataMissing; base @1010");
}

TEST_CASE(
    "DataMissing while live: the gap begins at the last base-time, over DHCPv4 at the start of the active query") {
    // RFC 7653 §8.4.1; RFC 7724 §7.4.1.
    for (const auto& config : {server_v4(), server_v6()}) {
        SyncDriver d(config, resume_at(900));
        const auto active = d.goes_live();
        d.passes(30s);
        active.keeps_alive();
        d.passes(30s);
        active.marks(StatusCode::data_missing);
        const auto window = config.family == Family::v4 ? "[@900, @1060]" : "[@1030, @1060]";
        CHECK(d.accepts().query().ends_with(window));
        CHECK(d.writes() == "base @1030 | begin 2; gap 1 opens " + std::string(window) + ": DataMissing; base @1060");
    }
}

TEST_CASE("live updates go on, and are committed, while a gap is filled on another connection") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.accepts();
    active.marks(StatusCode::data_missing);
    const auto bulk = d.accepts();
    (void)d.writes();
    d.passes(5s);
    active.tells("192.0.2.1");
    bulk.tells("192.0.2.2");
    CHECK(d.writes() == "192.0.2.1 active @1005 late run 2; 192.0.2.2 active @1005 run 2; base @1005");
    CHECK(d.phase() == Phase::gap);
}

TEST_CASE(
    "v4, everything: the window brings what changed, and a full bulk closes the gap: an address that is not configured "
    "any more is in no listing") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.accepts();
    active.marks(StatusCode::data_missing);
    const auto bulk = d.accepts();
    bulk.tells("192.0.2.1");
    bulk.says(unassigned4("192.0.2.2", 1000));
    bulk.ends();
    CHECK_FALSE(bulk.open());
    CHECK(d.writes() ==
          "begin 2; 192.0.2.1 active @1000 run 2; 192.0.2.2 available @1000 run 2; gap 1 opens [@900, @1000]: "
          "DataMissing; base @1000");
    CHECK(d.phase() == Phase::gap);
    const auto full = d.accepts_within(2s);
    CHECK(full.query() == "bulk everything in every VPN");
    full.ends();
    CHECK(d.writes().find("gap 1 closes recovered, 0") != std::string::npos);
    CHECK(d.phase() == Phase::live);
    d.passes(1h - 1s);
    CHECK(d.connecting[0].size() <= 1);  // the active one at most, whose server says nothing here
}

TEST_CASE("v6: a paced full bulk with reconciliation closes the gap, since a window shows nothing that ended") {
    AfterWindow w;
    const auto full = w.d.accepts_within(2min);
    CHECK(full.query() == "bulk link 2001:db8:1::1");
    full.tells("2001:db8:1::a", 1001);
    full.ends();
    CHECK(w.d.writes() ==
          "begin 3 | 2001:db8:1::a active @1001 run 3; reconcile 3 everything from @1001; gap 1 closes recovered, 1");
    CHECK(w.d.phase() == Phase::live);
}

TEST_CASE("what is told after a full bulk ended, in the batch that reconciles it, need not have been listed by it") {
    // All of it within one second of the server: no base-time says that the new lease is younger than the listing.
    AfterWindow w;
    const auto full = w.d.accepts_within(2min);
    full.tells("2001:db8:1::a");
    full.ends();
    w.active.tells("2001:db8:1::b");
    const auto base = "@" + std::to_string(w.d.server_now());
    const auto words = w.d.writes();
    CHECK(words == "begin 3 | 2001:db8:1::a active " + base + " run 3; 2001:db8:1::b active " + base +
                       " late run 3; reconcile 3 everything from " + base + "; gap 1 closes recovered, 1; base " +
                       base);
    // Late: what ended in the gap is still there when it is read.
    w.active.tells("2001:db8:1::c");
    CHECK(w.d.writes() == "2001:db8:1::c active " + base + " run 3; base " + base);
}

TEST_CASE("v4 with a filter: the window does not close the gap either, the full bulk does") {
    auto config = server_v4();
    config.bulk.queries = {relay_query({1, 2, 3})};
    SyncDriver d(config, resume_at(900));
    const auto active = d.accepts();
    active.marks(StatusCode::data_missing);
    const auto window = d.accepts();
    CHECK(window.query() == "bulk relay-id 010203 [@900, @1000]");
    window.ends();
    CHECK(d.writes() == "begin 2; gap 1 opens [@900, @1000]: DataMissing; base @1000");
    const auto full = d.accepts_within(2min);
    CHECK(full.query() == "bulk relay-id 010203");
    full.ends();
    CHECK(d.writes() == "begin 3 | reconcile 3 (relay-id 010203) from @" + std::to_string(d.server_now()) +
                            "; gap 1 closes recovered, 0");
}

TEST_CASE("full bulks that repair gaps keep timeouts.retry between them") {
    AfterWindow w;
    w.d.accepts_within(2min).ends();
    CHECK(w.d.writes().find("gap 1 closes") != std::string::npos);
    const auto first = w.d.elapsed();
    w.active.marks(StatusCode::data_missing);
    w.d.accepts_within(10s).ends();  // the window
    const auto second = w.d.accepts_within(3min);
    CHECK(second.query() == "bulk link 2001:db8:1::1");
    CHECK(w.d.elapsed() - first >= 60s);
    CHECK(w.d.elapsed() - first <= 67s);
}

TEST_CASE("one full bulk closes all gaps that were open when it began, and none that opened later") {
    AfterWindow w;
    w.d.passes(20ms);
    w.active.tells("2001:db8:1::a");
    w.d.passes(500ms);
    w.active.marks(StatusCode::data_missing);
    w.d.accepts_within(2s).ends();  // the second window
    const auto full = w.d.accepts_within(2min);
    CHECK(full.query() == "bulk link 2001:db8:1::1");
    const auto opened = w.d.writes();
    CHECK(opened.find("gap 2 opens") != std::string::npos);
    w.active.marks(StatusCode::data_missing);
    CHECK(w.d.writes().find("gap 3 opens") != std::string::npos);
    full.ends();
    const auto closed = w.d.writes();
    CHECK(closed.find("gap 1 closes recovered") != std::string::npos);
    CHECK(closed.find("gap 2 closes recovered") != std::string::npos);
    CHECK(closed.find("gap 3") == std::string::npos);
    CHECK(w.d.phase() == Phase::gap);
}

TEST_CASE("DataMissing twice before the recovery begins is one gap") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.accepts();
    active.marks(StatusCode::data_missing, 1000);
    active.marks(StatusCode::data_missing, 1001);
    CHECK(d.accepts().query() == "bulk everything in every VPN [@900, @1000]");
    CHECK(d.writes() ==
          "begin 2; gap 1 opens [@900, @1000]: DataMissing; gap 2 opens [@900, @1001]: DataMissing; base @1001");
}

TEST_CASE("gaps that touch while they wait are merged, and asked for as one") {
    SyncDriver d(server_v6(), resume_at(900));
    const auto active = d.accepts();
    active.marks(StatusCode::data_missing);
    d.refuses();  // the bulk connection: its recovery has begun all the same, so the next gaps stand apart
    d.passes(1s);
    active.marks(StatusCode::data_missing);
    d.passes(1s);
    active.marks(StatusCode::data_missing);
    CHECK(d.writes() ==
          "begin 2; gap 1 opens [@900, @1000]: DataMissing; base @1000 | gap 2 opens [@1000, @1001]: DataMissing; base "
          "@1001 | "
          "gap 2 widens [@1000, @1002]; base @1002");
    const auto first = d.accepts_within(1min);
    CHECK(first.query() == "bulk link 2001:db8:1::1 [@900, @1000]");
    first.ends();
    const auto second = d.accepts_within(10s);
    CHECK(second.query() == "bulk link 2001:db8:1::1 [@1000, @1002]");
    second.ends();
    d.accepts_within(10s).ends();
    CHECK(d.writes().find("gap 2 closes recovered, 0") != std::string::npos);
    CHECK(d.phase() == Phase::live);
}

TEST_CASE("a server that closes the windowed bulk twice is asked for everything instead") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.accepts();
    active.marks(StatusCode::data_missing);
    for (int i = 0; i < 2; ++i) {
        const auto window = d.accepts_within(2min);
        CHECK(window.query() == "bulk everything in every VPN [@900, @1000]");
        window.closes();
    }
    const auto full = d.accepts_within(2min);
    CHECK(full.query() == "bulk everything in every VPN");
    full.ends();
    const auto words = d.writes();
    CHECK(words.find("reconcile 4 everything") != std::string::npos);
    CHECK(words.find("gap 1 closes recovered, 0") != std::string::npos);
}

TEST_CASE("a server that refuses the window is asked for everything at once") {
    SyncDriver d(server_v6(), resume_at(900));
    d.accepts().marks(StatusCode::data_missing);
    d.accepts().ends(StatusCode::malformed_query);
    const auto full = d.accepts();
    CHECK(full.query() == "bulk link 2001:db8:1::1");
    full.ends();
    CHECK(d.writes().find("gap 1 closes recovered, 0") != std::string::npos);
}

TEST_CASE("v6: a windowed answer without base-times came from a server that knows no windows: everything at once") {
    // RFC 7653 §9.3 wants them in every reply; Kea ignores the window and lists all.
    SyncDriver d(server_v6(), resume_at(900));
    d.accepts().marks(StatusCode::data_missing);
    const auto window = d.accepts();
    window.says(V6{.clients = {Client{{ia("2001:db8:1::a")}}}});
    window.says(done6());
    CHECK(d.accepts().query() == "bulk link 2001:db8:1::1");
}

TEST_CASE("without bulk queries a gap cannot be recovered, and both the gap and the coverage say so") {
    auto point = resume_at(900);
    SyncDriver d(server_v6({}), point);
    const auto active = d.accepts();
    active.marks(StatusCode::data_missing);
    CHECK(d.connecting[0].empty());
    CHECK(d.writes() == "gap 1 opens [@900, @1000]: DataMissing; gap 1 closes unrecoverable, 0; base @1000");
    CHECK(d.status().coverage == Coverage::partial);
    CHECK(d.phase() == Phase::live);
}

TEST_CASE("gaps that a restart left open are filled first, and then the active query goes on") {
    auto point = resume_at(900);
    point.open_gaps = {{3, at(500), at(600), "DataMissing"}, {4, at(700), at(800), "DataMissing"}};
    point.last_gap = 4;
    SyncDriver d(server_v4(), point);
    for (const auto* window : {"[@500, @600]", "[@700, @800]"}) {
        const auto bulk = d.accepts_within(5s);
        CHECK(bulk.query() == "bulk everything in every VPN " + std::string(window));
        CHECK(d.connecting[0].empty());
        bulk.ends();
    }
    CHECK(d.accepts().query() == "active from @900");
    d.accepts_within(10s).ends();
    const auto words = d.writes();
    CHECK(words.find("gap 3 closes recovered, 0; gap 4 closes recovered, 0") != std::string::npos);
}

TEST_CASE("a gap that a restart left open does not keep the active query waiting when it cannot be filled") {
    auto point = resume_at(900);
    point.open_gaps = {{1, at(500), at(600), "DataMissing"}};
    point.last_gap = 1;
    SyncDriver d(server_v4(), point);
    d.refuses();
    const auto window = d.accepts_within(2min);
    CHECK(window.query() == "bulk everything in every VPN [@500, @600]");
    window.tells("192.0.2.1");  // and no more: it takes its time
    CHECK(d.accepts_within(2min).query() == "active from @900");
}

TEST_CASE("new gaps are numbered on from the highest number ever used") {
    auto point = resume_at(900);
    point.last_gap = 41;
    SyncDriver d(server_v4(), point);
    d.accepts().marks(StatusCode::data_missing);
    CHECK(d.writes().find("begin 2; gap 42 opens") == 0);
}

TEST_CASE("an active message that cannot be understood, and names no address, opens a gap that a full bulk closes") {
    // What it told may have waited in the server for a while behind what we could read. A window would be as blind.
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.goes_live();
    d.passes(30s);
    auto m = active4("0.0.0.0", 1030);
    m.id = active.id();
    active.says(broken(m));
    CHECK(active.open());
    const auto words = d.writes();
    CHECK(words.find("gap 1 opens [@990, @1030]: a message could not be understood") != std::string::npos);
    CHECK(words.find("1 quarantined") != std::string::npos);
    CHECK(d.status().unreadable == 1);
    CHECK(d.written.back().fresh_as_of == UtcSeconds{std::chrono::seconds{t0 + 990}});  // back to the gap
    const auto full = d.accepts();
    CHECK(full.query() == "bulk everything in every VPN");
    active.keeps_alive();
    CHECK(d.writes().find("base @1030") != std::string::npos);
    CHECK_FALSE(d.written.back().fresh_as_of);  // something is lacking, and no row is in doubt for it
    full.ends();
    active.keeps_alive();
    CHECK(d.writes().find("gap 1 closes recovered, 0") != std::string::npos);
    CHECK(d.status().unreadable == 0);
    CHECK(d.written.back().fresh_as_of);
}

TEST_CASE(
    "an active message that cannot be understood, but names its address, makes that binding doubtful, and no gap") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.goes_live();
    auto m = active4("192.0.2.1", 1000);
    m.id = active.id();
    SUBCASE("the mirror has it: the server is asked") {
        DoubtfulBinding row;
        row.why = Doubt::unreadable;
        row.client_id = some_duid;
        row.key = {"", BindingKind::address, address("192.0.2.1"), 32};
        d.applied.doubts = {row};
        d.applied.doubts_open = 1;
        active.says(broken(m));
        const auto words = d.writes();
        CHECK(words.find("sighted") != std::string::npos);
        CHECK(words.find("gap") == std::string::npos);
        // A bulk reply that was built before does not settle the doubt when it is read after (storage/batch.hpp).
        CHECK(d.written.back().changes[0].binding.base_time == at(1001));
        CHECK(d.phase() == Phase::live);
        // And what is built after the question is not older than the doubt.
        const auto question = d.accepts_within(2s);
        CHECK(question.query() == "bulk client-id " + to_hex(some_duid));
        CHECK(d.server_now() >= 1001);
    }
    SUBCASE("it does not: a gap, which a full bulk closes") {
        active.says(broken(m));
        d.passes(20ms);
        CHECK(d.writes().find("gap 1 opens") != std::string::npos);
        CHECK(d.accepts().query() == "bulk everything in every VPN");
    }
}

TEST_CASE("v6: what could not be read of a VPN does not put the same address of another one in doubt instead") {
    SyncDriver d(server_v6(), resume_at(900));
    const auto active = d.goes_live();
    DoubtfulBinding row;
    row.why = Doubt::unreadable;
    row.key = {"", BindingKind::address, address("2001:db8::1"), 128};
    d.applied.doubts = {row};
    d.applied.doubts_open = 1;
    Client client{{ia("2001:db8::1", 600, StatusCode::unspec_fail)}};
    std::string expected;
    SUBCASE("of the default VPN: the row there is in doubt, and the client's list") {}
    SUBCASE("of a VPN of which the mirror has no row in doubt: a gap, and the client's list there") {
        client.vpn = "blue";
        expected = "ascii:blue";
    }
    SUBCASE("of one that cannot be read: a gap, since the list may be of any") {
        client.vpn = "blue";
        client.vpn_type = 7;
    }
    active.says(V6{.clients = {client}, .base = 1000});
    d.passes(40ms);
    const auto words = d.writes();
    CHECK((words.find("gap 1 opens") != std::string::npos) == !client.vpn.empty());
    bool listed = false;
    for (const auto& batch : d.written)
        for (const auto& change : batch.changes) {
            CHECK(change.binding.key.vpn_id == expected);
            listed = listed || change.kind == Change::Kind::client_list_end;
        }
    CHECK(listed);
}

TEST_CASE(
    "messages that cannot be understood, one after the other, are one gap and full bulks that come more and more "
    "rarely") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.goes_live();
    std::size_t full_bulks = 0;
    for (int i = 0; i < 30 * 60; ++i) {
        d.passes(2s);
        auto m = active4("0.0.0.0", d.server_now());
        m.id = active.id();
        active.says(broken(m));
        if (d.connecting[0].empty()) continue;
        const auto full = d.accepts();
        auto lost = active4("0.0.0.0", d.server_now());
        lost.id = full.id();
        full.says(broken(lost));
        full.ends();
        ++full_bulks;
    }
    CHECK(full_bulks <= 12);  // in an hour
    CHECK(d.phase() == Phase::gap);
}

TEST_CASE("the mirror is fresh up to the start of the oldest gap, and up to the last message when none is open") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.accepts();
    active.marks(StatusCode::data_missing);
    const auto bulk = d.accepts();
    (void)d.writes();
    CHECK(d.written.back().fresh_as_of == UtcSeconds{std::chrono::seconds{t0 + 900}});
    bulk.ends();
    d.accepts_within(2s).ends();
    (void)d.writes();
    CHECK(d.written.back().fresh_as_of == UtcSeconds{std::chrono::seconds{t0 + 1000}});
}

TEST_CASE("DataMissing without a base-time reaches up to our guess of the server's clock") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.accepts();
    d.passes(3s);
    active.says(status4(StatusCode::data_missing));
    CHECK(d.accepts().query() == "bulk everything in every VPN [@900, @1003]");
}

TEST_CASE("a window in which a message could not be understood has not recovered all") {
    // That it named its address saves the row from reconciliation in a full bulk; here it says nothing of the lease.
    SyncDriver d(server_v4(), resume_at(900));
    d.accepts().marks(StatusCode::data_missing);
    const auto window = d.accepts();
    auto m = active4("192.0.2.2", 1000);
    m.id = window.id();
    window.says(broken(m));
    window.ends();
    CHECK(d.writes().find("gap 1 closes recovered") == std::string::npos);
}
