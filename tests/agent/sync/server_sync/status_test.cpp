// What `status` shows (storage/README.md, "Table `server`"), and how it all ends.
#include "tests/agent/sync/driver.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;
using namespace std::chrono_literals;

namespace {

UtcSeconds utc(std::int64_t seconds) {
    return UtcSeconds{std::chrono::seconds{t0 + seconds}};
}
/// The phase as the database would show it.
Phase shown(SyncDriver& d) {
    (void)d.writes();
    CHECK(d.status().phase == d.phase());
    return d.phase();
}

}  // namespace

TEST_CASE("phases of a server from its first contact on") {
    SyncDriver d(server_v4());
    CHECK(shown(d) == Phase::connecting);
    const auto bulk = d.accepts();
    CHECK(shown(d) == Phase::bulk);
    bulk.ends();
    CHECK(shown(d) == Phase::connecting);
    const auto active = d.accepts();
    CHECK(shown(d) == Phase::catch_up);
    active.catches_up();
    CHECK(shown(d) == Phase::live);
    active.marks(StatusCode::data_missing);
    CHECK(shown(d) == Phase::gap);
    d.accepts().ends();            // its window
    d.accepts_within(90s).ends();  // and all
    CHECK(shown(d) == Phase::live);
    active.closes();
    CHECK(shown(d) == Phase::connecting);
    d.refuses();
    CHECK(shown(d) == Phase::down);
    d.accepts_within(2min);
    CHECK(shown(d) == Phase::catch_up);
}

TEST_CASE("a server that cannot be reached is down between the attempts, and connecting during them") {
    SyncDriver d(server_v4(), resume_at(900));
    CHECK(shown(d) == Phase::connecting);
    d.refuses();
    CHECK(shown(d) == Phase::down);
    d.passes(66s);
    CHECK(shown(d) == Phase::connecting);
}

TEST_CASE("a server that may have no bulk connection now is waiting") {
    auto config = config_of({server_v4("one"), server_v4("two")});
    config.limits.bulk_connections = 1;
    SyncDriver d(config);
    const auto bulk = d.accepts(0);
    (void)d.writes();
    CHECK(d.phase(1) == Phase::waiting);
    bulk.ends();
    (void)d.accepts(1);
    (void)d.writes();
    CHECK(d.phase(1) == Phase::bulk);
}

TEST_CASE("gaps that are filled after a restart are shown as such") {
    auto point = resume_at(900);
    point.open_gaps = {{1, at(500), at(600), "DataMissing"}};
    SyncDriver d(server_v4(), point);
    (void)d.accepts();
    CHECK(shown(d) == Phase::gap);
}

TEST_CASE("status says since when we are connected, and when the server was heard last") {
    SyncDriver d(server_v4(), resume_at(900));
    d.passes(5s);
    const auto active = d.accepts();
    (void)d.writes();
    CHECK(d.status().connected_since == utc(1005));
    CHECK_FALSE(d.status().last_message_at);
    d.passes(5s);
    active.catches_up();
    d.passes(30s);
    active.keeps_alive();
    (void)d.writes();
    CHECK(d.status().connected_since == utc(1005));
    CHECK(d.status().last_message_at == utc(1040));
    active.closes();
    (void)d.writes();
    CHECK_FALSE(d.status().connected_since);
    CHECK(d.status().last_message_at == utc(1040));
}

TEST_CASE("a bulk connection beside it does not make the active one look younger") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.goes_live();
    d.passes(60s);
    active.marks(StatusCode::data_missing);
    d.accepts().ends();
    (void)d.writes();
    CHECK(d.status().connected_since == utc(1000));
}

TEST_CASE("last_error keeps the server's own words, with its time, after all is well again") {
    SyncDriver d(server_v6());
    d.passes(7s);
    const auto bulk = d.accepts();
    auto m = V6{.base = 1007, .status = StatusCode::not_allowed};
    bulk.says(m);
    (void)d.writes();
    CHECK(d.status().last_error.find("NotAllowed: why") != std::string::npos);
    CHECK(d.status().last_error_at == utc(1007));
    const auto active = d.accepts();
    d.passes(30s);
    active.keeps_alive();
    (void)d.writes();
    CHECK(d.status().last_error.find("NotAllowed: why") != std::string::npos);
    CHECK(d.status().last_error_at == utc(1007));
}

TEST_CASE("the first status after a restart still shows what was known before it") {
    auto point = resume_at(900);
    point.server_identity = {192, 0, 2, 254};
    point.skew = 1500ms;
    point.last_error = "connection refused";
    point.last_error_at = utc(800);
    SyncDriver d(server_v4(), point);
    (void)d.writes();
    CHECK(d.status().coverage == Coverage::full);
    CHECK(d.status().server_identity == point.server_identity);
    CHECK(d.status().skew == 1500ms);
    CHECK(d.status().last_full_sync_at == utc(900));
    CHECK(d.status().last_error == "connection refused");
    CHECK(d.status().last_error_at == utc(800));
    CHECK(d.written.back().fresh_as_of ==
          UtcSeconds{std::chrono::round<std::chrono::seconds>(std::chrono::milliseconds{(t0 + 900) * 1000 - 1500})});
}

TEST_CASE("last_full_sync_at is when a full bulk ended, and not when a window did") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.accepts();
    active.marks(StatusCode::data_missing);
    d.accepts().ends();
    (void)d.writes();
    CHECK(d.status().last_full_sync_at == utc(900));
    SyncDriver fresh(server_v4());
    const auto bulk = fresh.accepts();
    fresh.passes(10s);
    bulk.ends();
    (void)fresh.writes();
    CHECK(fresh.status().last_full_sync_at == utc(1010));
}

TEST_CASE("every change of phase is one line of the log, with the server's name") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.goes_live();
    active.keeps_alive();
    (void)d.writes();
    CHECK(d.times_logged("phase") == 2);
    for (const auto& line : d.logs)
        CHECK(line.fields.front() == std::pair<std::string, std::string>{"server", "four"});
}

// ---- the end ------------------------------------------------------------------------------------------------------

TEST_CASE("stop closes all connections, commits what is pending, and is done when that is in the database") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.accepts();
    active.marks(StatusCode::data_missing);
    const auto bulk = d.accepts();
    (void)d.writes();
    d.database_stalls();
    d.passes(5s);
    active.tells("192.0.2.1");
    bulk.tells("192.0.2.2");
    d.stops();
    CHECK_FALSE(active.open());
    CHECK_FALSE(bulk.open());
    CHECK_FALSE(d.engine.done());
    REQUIRE(d.waiting() == 1);
    CHECK(d.words_of(d.waiting(0)) == "192.0.2.1 active @1005 late run 2; 192.0.2.2 active @1005 run 2; base @1005");
    CHECK(d.waiting(0).status->phase == Phase::down);
    CHECK_FALSE(d.waiting(0).status->connected_since);
    d.commits();
    CHECK(d.engine.done());
}

TEST_CASE("after stop nothing is begun any more, whatever time passes") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.goes_live();
    active.closes();
    d.stops();
    CHECK(d.engine.done());
    d.passes(1h);
    CHECK(std::all_of(d.connecting.begin(), d.connecting.end(), [](const auto& c) { return c.size() <= 1; }));
    CHECK_FALSE(d.engine.next_deadline());
}

TEST_CASE("stop with batches at the database waits for all of them, in their order") {
    auto config = config_of({server_v4()});
    config.storage.batch.rows = 1;
    SyncDriver d(config, {resume_at(900)});
    const auto active = d.goes_live();
    d.database_stalls();
    for (int i = 1; i <= 10; ++i)
        active.tells("192.0.2." + std::to_string(i));
    d.stops();
    CHECK_FALSE(d.engine.done());
    const auto already = d.written.size();
    d.database_goes_on();
    CHECK(d.engine.done());
    for (auto i = already; i + 1 < d.written.size(); ++i)
        CHECK(d.written[i].number + 1 == d.written[i + 1].number);
    CHECK(d.written.back().status->phase == Phase::down);
}
