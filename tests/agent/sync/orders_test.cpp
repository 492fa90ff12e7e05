// What operators ask of the agent: a full read now, or to leave a server alone (agent/sync/engine.hpp).
#include "tests/agent/sync/driver.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;
using namespace std::chrono_literals;

namespace {

/// What the database says at the next step of housekeeping, and later ones.
void ask(SyncDriver& d, Orders orders, ServerId server = 1) {
    d.swept.orders = {{server, orders}};
    d.passes(1s);
}
void ask_nothing(SyncDriver& d) {
    d.swept.orders.clear();
    d.passes(1s);
}

/// The numbers of orders that the database was told to be done with.
std::vector<std::uint64_t> done(const SyncDriver& d) {
    std::vector<std::uint64_t> all;
    for (const auto& batch : d.written)
        if (batch.resync_done) all.push_back(*batch.resync_done);
    return all;
}

ResumePoint paused_at(std::int64_t base) {
    auto point = resume_at(base);
    point.orders.paused = true;
    return point;
}

ResumePoint whole_at(std::int64_t base) {
    auto point = resume_at(base);
    point.coverage = Coverage::full;
    point.last_full_sync_at = UtcSeconds{std::chrono::seconds{t0 + base}};
    return point;
}

}  // namespace

// ---- resync ---------------------------------------------------------------------------------------------------------

TEST_CASE(
    "a full read that is asked for begins within a step of housekeeping, beside the active query, and ends the order") {
    SyncDriver d(server_v4(), whole_at(900));
    const auto active = d.goes_live();
    ask(d, {.paused = false, .resync = 4});
    const auto bulk = d.accepts();
    CHECK(active.open());
    bulk.tells("192.0.2.1");
    CHECK(done(d).empty());
    bulk.ends();
    (void)d.writes();
    CHECK(done(d) == std::vector<std::uint64_t>{4});
    d.passes(5s);  // the order is told until the database has ended it, and not obeyed again
    CHECK(d.connecting[0].empty());
    CHECK(d.times_logged("full-bulk") == 1);
}

TEST_CASE("a full read that is asked for again while one is under way is done again") {
    SyncDriver d(server_v4(), whole_at(900));
    (void)d.goes_live();
    ask(d, {.paused = false, .resync = 4});
    const auto bulk = d.accepts();
    ask(d, {.paused = false, .resync = 5});
    bulk.ends();
    (void)d.writes();
    CHECK(done(d) == std::vector<std::uint64_t>{4});
    d.lists({"192.0.2.1"});
    (void)d.writes();
    CHECK(done(d) == std::vector<std::uint64_t>{4, 5});
}

TEST_CASE("a full read that is asked for keeps no distance from an attempt that failed, and a broken one is repeated") {
    SyncDriver d(server_v4());
    d.refuses();
    CHECK(d.connecting[0].empty());
    ask(d, {.paused = false, .resync = 1});
    REQUIRE_FALSE(d.connecting[0].empty());
    d.refuses();
    d.passes(2s);
    CHECK(d.connecting[0].empty());  // but the next attempt does
    d.accepts_within(2min).ends();
    (void)d.writes();
    CHECK(done(d) == std::vector<std::uint64_t>{1});
}

TEST_CASE("an order from before a restart is done, and one that the server refuses ends with its words") {
    auto resume = whole_at(900);
    resume.orders.resync = 9;
    SyncDriver d(server_v4(), resume);
    CHECK(d.logged("full-bulk"));
    SyncDriver silent(server_v6({}), resume);
    (void)silent.writes();
    CHECK(done(silent) == std::vector<std::uint64_t>{9});
    CHECK(silent.status().last_error == "resync: nothing can be asked without bulk.queries");
}

// ---- pause and resume -----------------------------------------------------------------------------------------------

TEST_CASE("a server that is paused has no connection and the phase 'disabled', and the others go on") {
    Config config;
    config.servers = {server_v4("east"), server_v4("west")};
    SyncDriver d(config, {whole_at(900), whole_at(900)});
    const auto east = d.accepts(0);
    const auto west = d.accepts(1);
    east.catches_up();
    west.catches_up();
    ask(d, {.paused = true, .resync = 0});
    (void)d.writes();
    CHECK_FALSE(east.open());
    CHECK(west.open());
    CHECK(d.phase(0) == Phase::disabled);
    CHECK(d.phase(1) == Phase::live);
    d.passes(1h);
    CHECK(d.connecting[0].empty());
    CHECK(d.reopenings.empty());
}

TEST_CASE("what was told before a pause is committed") {
    SyncDriver d(server_v4(), whole_at(900));
    const auto active = d.goes_live();
    active.tells("192.0.2.7");
    ask(d, {.paused = true, .resync = 0});
    CHECK(d.writes().find("192.0.2.7 active") != std::string::npos);
}

TEST_CASE("a server that is resumed begins anew from what the database has, on connections never used before") {
    SyncDriver d(server_v4(), whole_at(900));
    const auto active = d.goes_live();
    ask(d, {.paused = true, .resync = 0});
    ask_nothing(d);
    REQUIRE(d.reopenings == std::vector<std::size_t>{0});
    d.reopens(whole_at(990));
    const auto again = d.accepts();
    CHECK(again.query() != active.query());
    again.catches_up();
    CHECK(d.phase() == Phase::live);
    CHECK_FALSE(active.open());
}

TEST_CASE("a resume waits until the end of what was told before the pause is in the database") {
    SyncDriver d(server_v4(), whole_at(900));
    const auto active = d.goes_live();
    d.database_stalls();
    active.tells("192.0.2.7");
    ask(d, {.paused = true, .resync = 0});
    ask_nothing(d);
    CHECK(d.reopenings.empty());
    d.database_goes_on();
    d.passes(1s);
    CHECK(d.reopenings.size() == 1);
}

TEST_CASE("a server that was paused before the start is left alone, and no jury hears it") {
    SyncDriver d(server_v4(), paused_at(900));
    d.passes(1h);
    CHECK(d.connecting[0].empty());
    CHECK(d.phase() == Phase::disabled);
    d.stops();
    CHECK(d.engine.done());
}

TEST_CASE("an order to read a paused server in full waits until it is resumed") {
    SyncDriver d(server_v4(), paused_at(900));
    ask(d, {.paused = true, .resync = 3});
    CHECK(done(d).empty());
    d.swept.orders = {{1, {.paused = false, .resync = 3}}};
    d.passes(1s);
    REQUIRE(d.reopenings.size() == 1);
    auto resume = whole_at(990);
    resume.orders.resync = 3;
    d.reopens(resume);
    CHECK(d.logged("full-bulk"));
}

// ---- the next attempt -----------------------------------------------------------------------------------------------

TEST_CASE("while nothing is open the status says when the server is tried again") {
    SyncDriver d(server_v4(), whole_at(900));
    d.refuses();
    (void)d.writes();
    REQUIRE(d.status().next_attempt_at);
    const auto wait = *d.status().next_attempt_at - d.now().utc;
    CHECK(wait > 0s);
    CHECK(wait <= 70s);
    (void)d.accepts_within(2min);
    d.passes(1s);
    CHECK_FALSE(d.status().next_attempt_at);
}

// ---- another configuration ------------------------------------------------------------------------------------------

TEST_CASE("a server that is retired commits what was told, and the engine knows it no more") {
    Config config;
    config.servers = {server_v4("east"), server_v4("west")};
    SyncDriver d(config, {whole_at(900), whole_at(900)});
    const auto east = d.accepts(0);
    const auto west = d.accepts(1);
    east.catches_up();
    west.catches_up();
    d.database_stalls();
    east.tells("192.0.2.7");
    d.retires(0);
    CHECK_FALSE(east.open());
    CHECK(west.open());
    CHECK(d.retired.empty());
    d.database_goes_on();
    CHECK(d.retired == std::vector<std::size_t>{0});
    CHECK_FALSE(d.engine.works(0));
    CHECK(d.writes().find("192.0.2.7 active") != std::string::npos);
    CHECK(d.phase(1) == Phase::live);
    d.passes(1h);
    CHECK(d.connecting[0].empty());
    d.reopens(whole_at(990));
    CHECK(d.accepts(0).open());
}

TEST_CASE("a paused server can be retired, and whoever stops waits for nobody that is not worked") {
    SyncDriver d(server_v4(), paused_at(900));
    d.retires(0);
    CHECK(d.retired.size() == 1);
    d.stops();
    CHECK(d.engine.done());
}
