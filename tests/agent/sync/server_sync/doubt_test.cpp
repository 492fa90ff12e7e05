// Bindings in doubt: how the server is asked about them, and what its answer becomes (agent/README.md, "Doubt").
#include "tests/agent/sync/driver.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;
using namespace std::chrono_literals;

namespace {

DoubtfulBinding about(const std::string& text) {
    DoubtfulBinding out;
    out.key = {"", BindingKind::address, address(text), 128};
    out.why = Doubt::unlisted;
    out.client_id = some_duid;
    return out;
}

Applied in_doubt(std::vector<DoubtfulBinding> doubts) {
    Applied out;
    out.doubts_open = doubts.size();
    out.doubts = std::move(doubts);
    return out;
}

/// Live, and the database has just told that a binding is in doubt.
SyncDriver::Peer goes_live_with(SyncDriver& d, const Applied& applied) {
    const auto active = d.goes_live();
    d.applied = applied;
    active.keeps_alive();
    (void)d.writes();
    d.applied.doubts.clear();
    return active;
}

}  // namespace

TEST_CASE("a binding in doubt is asked about within two seconds, alone, while the server is followed") {
    SyncDriver d(server_v6(), resume_at(900));
    const auto active = goes_live_with(d, in_doubt({about("2001:db8:1::a")}));
    const auto question = d.accepts_within(2s);
    CHECK(question.query() == "bulk address 2001:db8:1::a");
    CHECK(active.open());
    CHECK(d.phase() == Phase::live);

    SUBCASE("the server has it") {
        question.tells("2001:db8:1::a");
        question.ends();
        const auto words = d.writes();
        CHECK(words.find("2001:db8:1::a active") != std::string::npos);
        CHECK(words.find("absent") == std::string::npos);
    }
    SUBCASE("it does not") {
        question.ends();
        CHECK(d.writes().find("2001:db8:1::a absent @1000") != std::string::npos);
    }
    SUBCASE("it has no such address at all") {
        question.ends(StatusCode::not_configured);
        CHECK(d.writes().find("2001:db8:1::a absent @1000") != std::string::npos);
    }
    SUBCASE("it does not say: nothing ends, and it is asked again later") {
        question.ends(StatusCode::not_allowed);
        CHECK(d.writes().find("absent") == std::string::npos);
        for (int i = 0; i < 4 && d.connecting[0].empty(); ++i) {
            d.passes(30s);
            active.keeps_alive();
        }
        CHECK(d.accepts().query() == "bulk address 2001:db8:1::a");
    }
    CHECK(d.phase() == Phase::live);
}

TEST_CASE("v4: the client that the mirror has left an address of which something unreadable was told") {
    auto in_mirror = about("192.0.2.1");
    in_mirror.key.prefix_len = 32;
    in_mirror.why = Doubt::unreadable;
    SyncDriver d(server_v4(), resume_at(900));
    (void)goes_live_with(d, in_doubt({in_mirror}));
    const auto question = d.accepts_within(2s);
    CHECK(question.query() == "bulk client-id " + to_hex(some_duid));
    question.ends();
    // Its lease is over. Who has the address now, a full bulk tells.
    CHECK(d.writes().find("192.0.2.1 absent @1001; 192.0.2.1 in doubt: unreadable") != std::string::npos);
    const auto full = d.accepts_within(2s);
    CHECK(full.query() == "bulk everything in every VPN");
    SUBCASE("nobody: the doubt is settled") {
        full.ends();
        const auto words = d.writes();
        CHECK(words.find("192.0.2.1 absent") != std::string::npos);
        CHECK(words.find("in doubt") == std::string::npos);
    }
    SUBCASE("it cannot be read whole: the doubt stays") {
        auto lost = active4("0.0.0.0", d.server_now());
        lost.id = full.id();
        full.says(broken(lost));
        full.ends();
        CHECK(d.writes().find("absent") == std::string::npos);
    }
}

TEST_CASE("an answer without base-time is as old as its question, each of several on one connection for itself") {
    SyncDriver d(server_v6(), resume_at(900));
    (void)goes_live_with(d, in_doubt({about("2001:db8:1::a"), about("2001:db8:1::b")}));
    const auto question = d.accepts_within(2s);
    d.jumps(5s);
    question.says(V6{});
    d.jumps(7s);
    question.says(V6{});
    const auto words = d.writes();
    CHECK(words.find("2001:db8:1::a absent @1000") != std::string::npos);
    CHECK(words.find("2001:db8:1::b absent @1005") != std::string::npos);
}

TEST_CASE("an answer whose base-time cannot be right is as old as its question, and orders nothing in years to come") {
    SyncDriver d(server_v6(), resume_at(900));
    (void)goes_live_with(d, in_doubt({about("2001:db8:1::a")}));
    d.accepts_within(2s).says(V6{.base = 4'102'444'800});
    CHECK(d.writes().find("2001:db8:1::a absent @1000") != std::string::npos);
}

TEST_CASE("several questions go over one connection, which is closed when none is left") {
    SyncDriver d(server_v6(), resume_at(900));
    (void)goes_live_with(d, in_doubt({about("2001:db8:1::a"), about("2001:db8:1::b")}));
    const auto question = d.accepts_within(2s);
    question.ends();
    CHECK(question.query() == "bulk address 2001:db8:1::b");
    question.ends();
    CHECK_FALSE(question.open());
    CHECK(d.connecting[0].empty());
}

TEST_CASE("the connection of a question breaks: the question is asked again over another") {
    SyncDriver d(server_v6(), resume_at(900));
    (void)goes_live_with(d, in_doubt({about("2001:db8:1::a")}));
    d.accepts_within(2s).closes();
    CHECK(d.accepts_within(2min).query() == "bulk address 2001:db8:1::a");
}

TEST_CASE("the doubts of before a restart are asked about, beside the active query") {
    auto resume = resume_at(900);
    resume.doubts = {about("2001:db8:1::a")};
    resume.doubts_open = 1;
    SyncDriver d(server_v6(), resume);
    CHECK(d.accepts().query() == "active from @900");
    CHECK(d.accepts_within(2s).query() == "bulk address 2001:db8:1::a");
}

TEST_CASE("an agent that is started again and again asks one question each time") {
    auto resume = resume_at(900);
    resume.written_at = UtcSeconds{std::chrono::seconds{t0 + 995}};
    resume.doubts = {about("2001:db8:1::a"), about("2001:db8:1::b")};
    resume.doubts_open = 2;
    SyncDriver d(server_v6(), resume);
    d.applied.doubts_open = 2;
    CHECK(d.accepts().query() == "active from @900");
    const auto question = d.accepts_within(2s);
    question.ends();
    CHECK_FALSE(question.open());
    d.passes(14s);
    CHECK(d.connecting[0].empty());
    CHECK(d.accepts_within(2s).query() == "bulk address 2001:db8:1::b");
}

TEST_CASE("a question that gets no answer holds up neither the active query nor a full bulk") {
    SyncDriver d(server_v6(), resume_at(900));
    const auto active = goes_live_with(d, in_doubt({about("2001:db8:1::a")}));
    const auto question = d.accepts_within(2s);
    active.closes();
    const auto again = d.accepts_within(2min);
    CHECK(again.query() == "active from @1000");
    again.marks(StatusCode::data_missing);
    const auto window = d.accepts_within(2s);
    CHECK(window.query().starts_with("bulk link 2001:db8:1::1 [@1000, "));
    CHECK(question.open());
}

TEST_CASE("where only one bulk connection is allowed, a question waits for the bulk queries that are due") {
    auto config = server_v6();
    config.bulk.max_connections = 1;
    auto resume = resume_at(900);
    resume.open_gaps = {{1, at(900), at(950), "DataMissing"}};
    resume.last_gap = 1;
    resume.doubts = {about("2001:db8:1::a"), about("2001:db8:1::b")};
    resume.doubts_open = 2;
    SyncDriver d(config, resume);
    d.applied.doubts_open = 2;
    const auto window = d.accepts();
    CHECK(window.query() == "bulk link 2001:db8:1::1 [@900, @950]");
    window.ends();
    const auto active = d.accepts();
    CHECK(active.query() == "active from @900");
    active.catches_up();
    const auto full = d.accepts_within(2s);
    CHECK(full.query() == "bulk link 2001:db8:1::1");
    full.ends();
    const auto question = d.accepts_within(2s);
    CHECK(question.query() == "bulk address 2001:db8:1::a");
    active.marks(StatusCode::data_missing);
    question.ends();
    CHECK_FALSE(question.open());
    const auto again = d.accepts_within(2s);
    CHECK(again.query().starts_with("bulk link 2001:db8:1::1 ["));
}

TEST_CASE("bulk queries leave one connection to questions: none waits for the end of a long full bulk") {
    auto config = server_v6({link_query("2001:db8:1::1"), link_query("2001:db8:2::1"), link_query("2001:db8:3::1")});
    config.bulk.max_connections = 2;
    auto resume = resume_at(900);
    resume.last_full_sync_at.reset();  // a full bulk is due, beside the active query
    SyncDriver d(config, resume);
    const auto bulk = d.accepts();
    CHECK(bulk.query() == "bulk link 2001:db8:1::1");
    bulk.tells("2001:db8:1::b");
    const auto active = d.accepts();
    REQUIRE(active.query() == "active from @900");
    active.catches_up();
    CHECK(d.connecting[0].empty());
    d.applied = in_doubt({about("2001:db8:1::a")});
    active.keeps_alive();
    (void)d.writes();
    d.applied.doubts.clear();
    const auto question = d.accepts_within(2s);
    CHECK(question.query() == "bulk address 2001:db8:1::a");
    CHECK(bulk.query() == "bulk link 2001:db8:1::1");
}

TEST_CASE("many doubts become one full bulk, not soon followed by another") {
    SyncDriver d(server_v6(), resume_at(900));
    Applied many = in_doubt({about("2001:db8:1::a")});
    many.doubts_open = doubts_told_max + 1;
    const auto active = d.goes_live();
    d.applied = many;
    active.keeps_alive();
    d.passes(20ms);
    std::vector<std::string> queries;
    for (int i = 0; i < 2; ++i) {
        const auto peer = d.accepts_within(2s);
        queries.push_back(peer.query());
        peer.ends();
    }
    CHECK(std::count(queries.begin(), queries.end(), "bulk link 2001:db8:1::1") == 1);
    d.passes(5min);
    CHECK(d.times_logged("full-bulk") == 1);
}

TEST_CASE(
    "client_data auto: what a list leaves out is in doubt, until eight answers in a row show how the server lists") {
    for (const bool gone : {true, false}) {
        auto config = server_v6();
        config.client_data = ClientData::automatic;
        SyncDriver d(config, resume_at(900));
        std::vector<DoubtfulBinding> doubts;
        for (int i = 1; i <= 8; ++i)
            doubts.push_back(about("2001:db8:1::" + std::to_string(i)));
        const auto active = goes_live_with(d, in_doubt(doubts));
        active.tells("2001:db8:1::c");
        CHECK(d.writes().find("list of 1 (doubts)") != std::string::npos);
        const auto question = d.accepts_within(2s);
        for (int i = 1; i <= 8; ++i) {
            CHECK_FALSE(d.status().support.complete_lists);
            if (!gone) question.tells("2001:db8:1::" + std::to_string(i));
            question.ends();
            (void)d.writes();
        }
        CHECK(d.logged("client-lists"));
        CHECK(d.status().support.complete_lists == gone);
        active.tells("2001:db8:1::c");
        const auto words = d.writes();
        CHECK((words.find("list of 1") != std::string::npos) == gone);
        CHECK(words.find("(doubts)") == std::string::npos);
    }
}
