// Pacing, and servers that know bulk alone (DESIGN section 3.5, REQUIREMENTS RC-02, RC-03, RC-06, R4-46, R6-36, trap 24).
#include "tests/agent/sync_driver.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;
using namespace std::chrono_literals;

namespace {

ServerConfig with_mode(ServerConfig config, SyncMode mode) {
    config.mode = mode;
    return config;
}

/// Past the first bulk, with the active query asked.
struct Loaded {
    SyncDriver d;
    explicit Loaded(const ServerConfig& config) : d(config) { d.lists({}); }
    Peer active() {
        auto peer = d.accepts();
        CHECK(peer.query().find("active from") == 0);
        return peer;
    }
};

std::chrono::milliseconds next_attempt(SyncDriver& d, std::chrono::milliseconds patience = 30min) {
    const auto from = d.elapsed();
    while (d.connecting[0].empty() && d.elapsed() - from < patience)
        d.passes(100ms);
    return d.elapsed() - from;
}

}  // namespace

// ---- pacing -------------------------------------------------------------------------------------------------------

TEST_CASE("active attempts are never closer than timeouts.retry, and jitter comes on top of it") {
    SyncDriver d(server_v4(), resume_at(900));
    for (int i = 0; i < 20; ++i) {
        d.refuses();
        const auto spacing = next_attempt(d);
        CHECK(spacing >= 60s);
        CHECK(spacing <= 66'100ms);
    }
}

TEST_CASE("a connection that broke soon is tried again timeouts.retry after its attempt began") {
    SyncDriver d(server_v4(), resume_at(900));
    for (int i = 0; i < 5; ++i) {
        const auto active = d.accepts();
        active.keeps_alive();
        d.passes(20s);
        active.closes();
        const auto spacing = 20s + next_attempt(d);
        CHECK(spacing >= 60s);
        CHECK(spacing <= 66'200ms);
    }
}

TEST_CASE("a connection that lived long is tried again at once") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.goes_live();
    d.passes(90s);
    active.keeps_alive();
    active.closes();
    CHECK(d.connecting[0].size() == 1);
}

TEST_CASE("an attempt that is not answered ends with timeouts.connect") {
    SyncDriver d(server_v4(), resume_at(900));
    CHECK(d.connecting[0].size() == 1);
    d.passes(9'900ms);
    CHECK(d.connecting[0].size() == 1);
    d.passes(200ms);
    CHECK(d.connecting[0].empty());
    CHECK(d.status().last_error == "cannot connect to 192.0.2.254 port 67: no answer in time");
}

TEST_CASE("an active query that is refused is put off for much longer") {
    SyncDriver d(server_v4(), resume_at(900));
    d.accepts().marks(StatusCode::not_allowed);
    CHECK(next_attempt(d) >= 10min);
    CHECK(d.status().last_error == "the server ended the active query: NotAllowed: why");
}

TEST_CASE("bulk connections that fail are tried ever more rarely, up to timeouts.retry") {
    SyncDriver d(server_v4());
    std::chrono::milliseconds last{0};
    for (int i = 0; i < 8; ++i) {
        d.refuses();
        const auto spacing = next_attempt(d);
        CHECK(spacing >= 6s);
        CHECK(spacing <= 66'200ms);
        last = spacing;
    }
    CHECK(last >= 60s);
}

TEST_CASE("an active connection that falls silent is given up after timeouts.receive") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.goes_live();
    active.keeps_alive();
    d.passes(119s);
    CHECK(active.open());
    d.passes(2s);
    CHECK_FALSE(active.open());
    CHECK(d.status().last_error == "nothing received on the active connection for 120 s");
}

// ---- mode auto ----------------------------------------------------------------------------------------------------

TEST_CASE("mode auto: a v6 server that says NotSupported is polled, and asked again after a day") {
    Loaded s(with_mode(server_v6(), SyncMode::automatic));
    const auto active = s.active();
    active.says(V6{.base = 1000, .status = StatusCode::not_supported});
    CHECK_FALSE(active.open());
    CHECK(s.d.logged("polling-instead"));
    int polls = 0;
    while (s.d.elapsed() < 23h) {
        (void)next_attempt(s.d);
        const auto peer = s.d.accepts();
        REQUIRE(peer.query() == "bulk link 2001:db8:1::1");
        peer.ends();
        ++polls;
    }
    CHECK(polls >= 250);  // each five minutes, and up to a tenth of that on top
    CHECK(polls <= 23 * 12);
    CHECK(s.d.phase() == Phase::polling);
    std::string query;
    while (s.d.elapsed() < 25h && query.find("active") != 0) {
        (void)next_attempt(s.d);
        const auto peer = s.d.accepts();
        query = peer.query();
        if (query.find("active") != 0) peer.ends();
    }
    CHECK(query.find("active from @") == 0);
}

TEST_CASE("mode auto: a v4 server that closes without a word is polled, and asked again after ten retries") {
    Loaded s(server_v4());
    s.active().closes();
    CHECK(s.d.logged("polling-instead"));
    const auto began = s.d.elapsed();
    std::string query;
    while (query.find("active") != 0) {
        (void)next_attempt(s.d);
        const auto peer = s.d.accepts();
        query = peer.query();
        if (query.find("active") != 0) peer.ends();
    }
    CHECK(s.d.elapsed() - began >= 10min);
    CHECK(s.d.elapsed() - began <= 16min);
}

TEST_CASE("mode auto: a server that has answered an active query before may close a few times without a word") {
    Loaded s(server_v4());
    const auto active = s.active();
    active.catches_up();
    active.closes();
    for (int i = 0; i < 5; ++i) {
        CHECK_FALSE(s.d.logged("polling-instead"));
        (void)next_attempt(s.d);
        const auto again = s.d.accepts();
        CHECK(again.query().find("active from @") == 0);
        again.closes();
    }
    CHECK(s.d.logged("polling-instead"));
}

TEST_CASE("mode auto: a server that said NotSupported has not answered an active query") {
    // A day later it is asked again, and closes without a word. It is to be polled on.
    Loaded s(server_v6());
    s.active().says(V6{.base = 1000, .status = StatusCode::not_supported});
    std::string query;
    while (query.find("active") != 0) {
        (void)next_attempt(s.d);
        const auto peer = s.d.accepts();
        query = peer.query();
        if (query.find("active") == 0) {
            peer.closes();
        } else {
            peer.ends();
        }
    }
    (void)next_attempt(s.d);
    CHECK(s.d.accepts().query() == "bulk link 2001:db8:1::1");
}

TEST_CASE("mode active: a server without active leasequery is asked again and again, and not polled") {
    Loaded s(with_mode(server_v4(), SyncMode::active));
    for (int i = 0; i < 3; ++i) {
        (void)next_attempt(s.d);
        const auto active = s.d.accepts();
        CHECK(active.query().find("active from @") == 0);
        active.closes();
    }
    CHECK_FALSE(s.d.logged("polling-instead"));
    (void)s.d.writes();
    CHECK(s.d.phase() == Phase::down);
}

TEST_CASE("mode auto: when active leasequery turns up after all, it goes on from the first reply of the last poll") {
    Loaded s(server_v4());
    s.active().closes();
    std::string query;
    std::int64_t last_poll = 0;
    while (query.find("active") != 0) {
        (void)next_attempt(s.d);
        const auto peer = s.d.accepts();
        query = peer.query();
        if (query.find("active") == 0) break;
        last_poll = s.d.server_now();
        peer.tells("192.0.2.1");
        s.d.passes(5s);
        peer.ends();
    }
    CHECK(query == "active from @" + std::to_string(last_poll));
}

// ---- mode bulk ----------------------------------------------------------------------------------------------------

TEST_CASE("mode bulk: a full bulk with reconciliation each poll_interval, and never an active query") {
    SyncDriver d(with_mode(server_v4(), SyncMode::bulk));
    for (std::uint64_t run = 1; run <= 5; ++run) {
        const auto bulk = d.accepts();
        CHECK(bulk.query() == "bulk everything in every VPN");
        const auto base = std::to_string(d.server_now());
        bulk.tells("192.0.2.1");
        bulk.ends();
        const auto words = d.writes();
        CHECK(words.find("reconcile " + std::to_string(run) + " everything in every VPN from @" + base + "; base @" +
                         base) != std::string::npos);
        CHECK(d.phase() == Phase::polling);
        CHECK(d.written.back().fresh_as_of ==
              UtcSeconds{std::chrono::seconds{t0} + std::chrono::seconds{std::stoll(base)}});
        const auto wait = next_attempt(d);
        CHECK(wait >= 299s);
        CHECK(wait <= 331s);
    }
}

TEST_CASE("mode bulk: a server without base-times is polled all the same, and nothing is stored to resume from") {
    SyncDriver d(with_mode(server_v4(), SyncMode::bulk));
    const auto bulk = d.accepts();
    bulk.says(active4("192.0.2.1"));
    bulk.says(done4());
    const auto words = d.writes();
    CHECK(words.find("reconcile 1 everything in every VPN from @1000") != std::string::npos);
    CHECK(words.find("base") == std::string::npos);
}

TEST_CASE("mode bulk: a poll that fails is tried again sooner than the next one is due") {
    SyncDriver d(with_mode(server_v4(), SyncMode::bulk));
    d.lists({});
    (void)next_attempt(d);
    d.accepts().closes();
    CHECK(next_attempt(d) < 2min);
}

TEST_CASE("mode bulk: a server that cannot be reached is down, not polling") {
    SyncDriver d(with_mode(server_v4(), SyncMode::bulk));
    d.lists({});
    for (int i = 0; i < 10; ++i) {
        (void)next_attempt(d);
        d.refuses();
    }
    (void)d.writes();
    CHECK(d.phase() == Phase::down);
}

// ---- timers -------------------------------------------------------------------------------------------------------

TEST_CASE("a timer that another event overtakes is not lost") {
    // The event loop can hand over an event that came at the deadline before the timer itself (run.cpp arms the timer
    // anew after each). Nothing but the deadline would wake this server again.
    SyncDriver d(with_mode(server_v4(), SyncMode::bulk));
    d.lists({});
    (void)d.writes();
    d.database_stalls();
    (void)next_attempt(d);
    d.refuses();
    d.passes(1s);
    REQUIRE(d.waiting() > 0);  // what status shows of that, for the database
    d.jumps(1min);
    while (d.waiting() > 0)
        d.commits();
    CHECK(next_attempt(d, 1h) < 2min);
}
