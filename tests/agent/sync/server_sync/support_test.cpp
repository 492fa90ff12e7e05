// Windowed polls between the full ones, and what is remembered of what a server supports (agent/README.md, "Servers that
// only know bulk"; RFC 7724 §8.1.1).
#include "tests/agent/sync/driver.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;
using namespace std::chrono_literals;

namespace {

/// Polled in full each ten minutes, and each minute for what is new.
ServerConfig polled(ServerConfig config, SyncMode mode = SyncMode::bulk) {
    config.mode = mode;
    config.bulk.poll_interval = 10min;
    config.bulk.window_interval = 1min;
    return config;
}

ServerConfig by_relay(SyncMode mode = SyncMode::bulk) {
    auto config = polled(server_v4(), mode);
    config.bulk.queries = {relay_query({'a'})};
    config.bulk.covers = BulkCovers::all;
    return config;
}

/// A lease whose client was last heard `age` ago.
V4 lease4(std::string ip, std::int64_t base, std::uint32_t age) {
    auto m = active4(std::move(ip), base);
    m.age = age;
    m.lease_time = 3600;
    return m;
}

/// The next connection, however long that takes, and how long it took.
Peer next(SyncDriver& d, std::chrono::milliseconds patience = 25h) {
    return d.accepts_within(patience);
}

bool is_windowed(const Peer& peer) {
    return peer.query().find('[') != std::string::npos;
}

/// Answers polls with one lease each until the next active query.
Peer next_active(SyncDriver& d) {
    for (int i = 0; i < 2000; ++i) {
        const auto peer = next(d);
        if (peer.query().find("active") == 0) return peer;
        peer.tells(d.config.servers[0].family == Family::v4 ? "192.0.2.1" : "2001:db8:1::a");
        peer.ends();
    }
    FAIL("never asked");
    return next(d);
}

ResumePoint resume_knowing(ServerSupport support) {
    auto point = resume_at(900);
    point.support = support;
    return point;
}

UtcSeconds utc_at(std::int64_t seconds) {
    return UtcSeconds{std::chrono::seconds{t0 + seconds}};
}

}  // namespace

// ---- windowed polls -----------------------------------------------------------------------------------------------

TEST_CASE("between full polls windowed ones ask from the first reply of the last poll, and a little before it") {
    SyncDriver d(by_relay());
    const auto full = next(d);
    CHECK(full.query() == "bulk relay-id 61");
    full.says(lease4("192.0.2.1", 1000, 500));
    d.passes(30s);
    full.says(lease4("192.0.2.2", 1030, 1));
    full.ends();
    CHECK(d.writes().find("reconcile 1 everything") != std::string::npos);
    std::string from = "990";
    for (int i = 0; i < 3; ++i) {
        const auto before = d.elapsed();
        const auto windowed = next(d);
        CHECK(d.elapsed() - before >= 59s);
        CHECK(d.elapsed() - before <= 67s);
        CHECK(windowed.query() == "bulk relay-id 61 [@" + from + ", ]");
        CHECK(d.phase() == Phase::polling);
        from = std::to_string(d.server_now() - 10);
        windowed.says(lease4("192.0.2.2", d.server_now(), 1));
        d.passes(20s);  // its first reply counts, not its end
        windowed.ends();
    }
}

TEST_CASE("a windowed poll reconciles nothing, and what it brings belongs to its run") {
    SyncDriver d(by_relay());
    const auto full = next(d);
    full.says(lease4("192.0.2.1", 1000, 500));
    full.ends();
    (void)d.writes();
    const auto windowed = next(d);
    const auto base = d.server_now();
    windowed.says(lease4("192.0.2.2", base, 1));
    windowed.ends();
    CHECK(d.writes() == "begin 2 | 192.0.2.2 active @" + std::to_string(base) + " run 2");
    CHECK_FALSE(d.written.back().reconcile);
}

TEST_CASE("a keyed query does not show what ended: a windowed poll moves neither base-time nor fresh_as_of") {
    SyncDriver d(by_relay());
    const auto full = next(d);
    full.says(lease4("192.0.2.1", 1000, 500));
    full.ends();
    CHECK(d.writes().find("base @1000") != std::string::npos);
    CHECK(d.written.back().fresh_as_of == utc_at(1000));
    const auto windowed = next(d);
    windowed.says(lease4("192.0.2.2", d.server_now(), 1));
    windowed.ends();
    CHECK(d.writes().find("base") == std::string::npos);
    CHECK(d.written.back().fresh_as_of == utc_at(1000));
}

TEST_CASE(
    "a windowed poll brings what changed, and moves neither base-time nor fresh_as_of: it cannot show all that ended") {
    SyncDriver d(polled(server_v4()));
    const auto full = next(d);
    full.says(lease4("192.0.2.1", 1000, 500));
    full.ends();
    (void)d.writes();
    const auto windowed = next(d);
    CHECK(windowed.query() == "bulk everything in every VPN [@990, ]");
    const auto base = d.server_now();
    windowed.says(unassigned4("192.0.2.1", base));
    windowed.ends();
    CHECK(d.writes() == "begin 2 | 192.0.2.1 available @" + std::to_string(base) + " run 2");
    CHECK(d.written.back().fresh_as_of == utc_at(1000));
}

TEST_CASE("a windowed poll with a reply that could not be read moves nothing") {
    SyncDriver d(polled(server_v4()));
    const auto full = next(d);
    full.says(lease4("192.0.2.1", 1000, 500));
    full.ends();
    (void)d.writes();
    const auto windowed = next(d);
    windowed.says(lease4("192.0.2.2", d.server_now(), 1));
    auto m = active4("192.0.2.3", d.server_now());
    m.id = windowed.id();
    windowed.says(broken(m));
    windowed.ends();
    CHECK(d.writes().find("base") == std::string::npos);
    CHECK_FALSE(d.written.back().fresh_as_of);
}

TEST_CASE("a windowed poll that breaks off is asked again from its start, and the next one goes back as far") {
    SyncDriver d(by_relay());
    const auto full = next(d);
    full.says(lease4("192.0.2.1", 1000, 500));
    full.ends();
    for (int i = 0; i < 4; ++i) {
        const auto windowed = next(d);
        CHECK(windowed.query() == "bulk relay-id 61 [@990, ]");
        windowed.says(lease4("192.0.2.2", d.server_now(), 1));
        windowed.closes();
    }
    CHECK(d.logged("error"));
    const auto windowed = next(d);
    CHECK(windowed.query() == "bulk relay-id 61 [@990, ]");
}

TEST_CASE("full polls keep their interval, and without a window_interval there is nothing between them") {
    auto config = by_relay();
    SUBCASE("none") {
        config.bulk.window_interval.reset();
    }
    SUBCASE("not shorter than poll_interval") {
        config.bulk.window_interval = config.bulk.poll_interval;
    }
    SyncDriver d(config);
    for (int i = 0; i < 5; ++i) {
        const auto before = d.elapsed();
        const auto full = next(d);
        CHECK(full.query() == "bulk relay-id 61");
        if (i > 0) CHECK(d.elapsed() - before >= 9min);
        full.says(lease4("192.0.2.1", d.server_now(), 1));
        full.ends();
    }
}

TEST_CASE("windowed polls do not put off the full ones") {
    SyncDriver d(by_relay());
    int full = 0;
    int windowed = 0;
    while (d.elapsed() < 65min) {
        const auto peer = next(d);
        (is_windowed(peer) ? windowed : full) += 1;
        peer.says(lease4("192.0.2.1", d.server_now(), is_windowed(peer) ? 1 : 900));
        peer.ends();
    }
    CHECK(full >= 6);
    CHECK(full <= 7);
    CHECK(windowed >= 45);
    CHECK(windowed <= 62);
}

TEST_CASE("what a full poll was refused is not asked for in between") {
    auto config = by_relay();
    config.bulk.queries = {relay_query({'a'}), relay_query({'b'})};
    config.bulk.max_connections = 1;
    SyncDriver d(config);
    const auto full = next(d);
    full.says(lease4("192.0.2.1", 1000, 500));
    full.ends();
    CHECK(full.query() == "bulk relay-id 62");
    full.ends(StatusCode::not_allowed);
    CHECK(d.writes().find("reconcile 1 (relay-id 61)") != std::string::npos);
    CHECK(d.status().coverage == Coverage::partial);
    CHECK(d.status().last_error ==
          "full bulk incomplete: 1 of 2 queries refused: query for relay-id 62: NotAllowed: why");
    CHECK_FALSE(d.written.back().fresh_as_of);  // what it did not answer for is as old as it was
    for (int i = 0; i < 3; ++i) {
        const auto windowed = next(d);
        CHECK(windowed.query().find("bulk relay-id 61 [") == 0);
        windowed.says(lease4("192.0.2.2", d.server_now(), 1));
        windowed.ends();
    }
}

TEST_CASE("the clock of the server is set back: the window of the old clock is not asked for") {
    SyncDriver d(by_relay());
    const auto full = next(d);
    full.says(lease4("192.0.2.1", 1000, 500));
    full.ends();
    d.server_clock = -1h;
    const auto windowed = next(d);
    for (const auto* lease : {"192.0.2.2", "192.0.2.3", "192.0.2.4"})
        windowed.says(lease4(lease, d.server_now(), 1));
    CHECK(d.logged("fresh-start"));
    CHECK(next(d).query() == "bulk relay-id 61");
}

TEST_CASE("an empty answer without base-time proves nothing: the next window goes back as far") {
    SyncDriver d(polled(server_v4()));
    const auto full = next(d);
    full.says(lease4("192.0.2.1", 1000, 500));
    full.ends();
    (void)d.writes();
    const auto fresh = d.written.back().fresh_as_of;
    REQUIRE(fresh);
    d.server_clock = -1h;
    for (int i = 0; i < 3; ++i) {
        const auto windowed = next(d);
        CHECK(windowed.query() == "bulk everything in every VPN [@990, ]");
        windowed.says(done4());
        (void)d.writes();
        CHECK(d.written.back().fresh_as_of == fresh);
    }
}

// ---- does the server heed a start time? ---------------------------------------------------------------------------

TEST_CASE("v4: a server that lists again what had not changed heeds no start time: said once, and no windowed polls") {
    SyncDriver d(by_relay());
    const auto full = next(d);
    full.says(lease4("192.0.2.1", 1000, 500));
    full.ends();
    const auto windowed = next(d);
    REQUIRE(is_windowed(windowed));
    windowed.says(lease4("192.0.2.1", d.server_now(), 560));
    windowed.ends();
    (void)d.writes();
    CHECK(d.status().support.windows == false);
    while (d.elapsed() < 23h) {
        const auto peer = next(d);
        CHECK_FALSE(is_windowed(peer));
        peer.says(lease4("192.0.2.1", d.server_now(), 560));
        peer.ends();
    }
    CHECK(d.times_logged("no-windowed-polls") == 1);
    // A day later it is asked again, and may have learned it.
    bool windowed_again = false;
    while (d.elapsed() < 25h && !windowed_again) {
        const auto peer = next(d);
        windowed_again = is_windowed(peer);
        peer.says(lease4("192.0.2.1", d.server_now(), windowed_again ? 1 : 900));
        peer.ends();
    }
    CHECK(windowed_again);
    (void)d.writes();
    CHECK(d.status().support.windows == true);
    CHECK(d.times_logged("no-windowed-polls") == 1);
}

TEST_CASE("v4: that a server heeds a start time is known once it left something out") {
    SyncDriver d(by_relay());
    std::uint32_t age = 0;
    bool known = false;
    SUBCASE("there was something older") {
        age = 500;
        known = true;
    }
    SUBCASE("all leases are new") {
        age = 1;
    }
    const auto full = next(d);
    full.says(lease4("192.0.2.1", 1000, age));
    full.ends();
    (void)d.writes();
    CHECK_FALSE(d.status().support.windows);
    next(d).ends();
    (void)d.writes();
    CHECK(d.status().support.windows.has_value() == known);
    CHECK_FALSE(d.logged("no-windowed-polls"));
}

TEST_CASE("v4: what is no proof against a server: cut seconds, what ended, and what a partner told it") {
    SyncDriver d(polled(server_v4()));
    const auto full = next(d);
    full.says(lease4("192.0.2.1", 1000, 500));
    full.ends();
    const auto windowed = next(d);
    const auto base = d.server_now();
    windowed.says(lease4("192.0.2.2", base, static_cast<std::uint32_t>(base - 990 + 5)));
    auto ended = unassigned4("192.0.2.3", base);
    ended.age = 5000;
    windowed.says(ended);
    auto remote = lease4("192.0.2.4", base, 5000);
    const Bytes flags{1};
    remote.raw = {RawOptionV4{static_cast<std::uint8_t>(OptionCodeV4::data_source), flags}};
    windowed.says(remote);
    windowed.ends();
    (void)d.writes();
    CHECK(d.status().support.windows == true);
}

TEST_CASE("v4: one old lease among new ones may have changed in a way that no time tells") {
    SyncDriver d(by_relay());
    const auto full = next(d);
    full.says(lease4("192.0.2.1", 1000, 5000));
    full.ends();
    const auto windowed = next(d);
    windowed.says(lease4("192.0.2.2", d.server_now(), 1));
    windowed.says(lease4("192.0.2.3", d.server_now(), 500));
    windowed.ends();
    (void)d.writes();
    CHECK(d.status().support.windows == true);
}

TEST_CASE("v6: replies without base-time give no clock for a start time: no windowed poll is even tried") {
    // Kea ignores the start time in v6, and has no base-time (deploy/kea/README.md).
    SyncDriver d(polled(server_v6()));
    for (int i = 0; i < 5; ++i) {
        const auto full = next(d);
        CHECK(full.query() == "bulk link 2001:db8:1::1");
        full.says(V6{.clients = {Client{{ia("2001:db8:1::a")}}}});
        full.says(done6());
    }
    (void)d.writes();
    CHECK(d.status().support.windows == false);
    CHECK(d.times_logged("no-windowed-polls") == 1);
}

TEST_CASE("v6: a server with base-times is asked for what is new") {
    SyncDriver d(polled(server_v6()));
    const auto full = next(d);
    full.says(V6{.clients = {Client{{ia("2001:db8:1::a")}}}, .base = 1000});
    full.ends();
    SUBCASE("and heeds the start time") {
        const auto windowed = next(d);
        CHECK(windowed.query() == "bulk link 2001:db8:1::1 [@990, ]");
        windowed.ends();
        (void)d.writes();
        CHECK(d.status().support.windows == true);
        CHECK(is_windowed(next(d)));
    }
    SUBCASE("and lists all the same") {
        const auto windowed = next(d);
        windowed.says(V6{.clients = {Client{.leases = {ia("2001:db8:1::a")}, .age = 900}}, .base = d.server_now()});
        windowed.ends();
        (void)d.writes();
        CHECK(d.status().support.windows == false);
        CHECK_FALSE(is_windowed(next(d)));
    }
    SUBCASE("and answers without base-time then") {
        const auto windowed = next(d);
        windowed.says(V6{.clients = {Client{{ia("2001:db8:1::a")}}}});
        windowed.says(done6());
        (void)d.writes();
        CHECK(d.status().support.windows == false);
    }
    SUBCASE("and refuses the query for its start time") {
        next(d).ends(StatusCode::malformed_query);
        (void)d.writes();
        CHECK(d.status().support.windows == false);
        CHECK(d.times_logged("no-windowed-polls") == 1);
        CHECK_FALSE(is_windowed(next(d)));
    }
}

TEST_CASE("a server that heeds no start time has its gaps filled by a full bulk at once") {
    auto point = resume_knowing({true, false, utc_at(900)});
    SyncDriver d(server_v4(), point);
    d.accepts().marks(StatusCode::data_missing);
    const auto bulk = d.accepts();
    CHECK(bulk.query() == "bulk everything in every VPN");
    bulk.ends();
    CHECK(d.writes().find("gap 1 closes recovered") != std::string::npos);
}

// ---- active leasequery --------------------------------------------------------------------------------------------

TEST_CASE("mode auto: three silent refusals with bulk answered in between are a server without active leasequery") {
    SyncDriver d(polled(server_v4(), SyncMode::automatic));
    next(d).ends();
    for (int i = 0; i < 3; ++i) {
        (void)d.writes();
        CHECK_FALSE(d.status().support.active);
        next_active(d).closes();
        CHECK(d.times_logged("polling-instead") == static_cast<std::size_t>(i) + 1);
    }
    (void)d.writes();
    CHECK(d.status().support.active == false);
    const auto since = d.elapsed();
    CHECK(since < 1h);
    // A day later once more; one refusal confirms it then.
    next_active(d).closes();
    CHECK(d.elapsed() - since >= 23h + 59min);
    CHECK(d.elapsed() - since <= 24h + 11min);
    (void)d.writes();
    CHECK(d.status().support.active == false);
    const auto again = d.elapsed();
    const auto active = next_active(d);
    CHECK(d.elapsed() - again >= 23h + 59min);
    active.catches_up();
    (void)d.writes();
    CHECK(d.status().support.active == true);
    CHECK(d.phase() == Phase::live);
}

TEST_CASE("mode auto: a server that does not answer an active query at all is polled too") {
    SyncDriver d(polled(server_v4(), SyncMode::automatic));
    next(d).ends();
    for (int i = 0; i < 3; ++i) {
        const auto active = next_active(d);
        d.passes(d.config.servers[0].timeouts.receive + 1s);
        CHECK_FALSE(active.open());
    }
    (void)d.writes();
    CHECK(d.status().support.active == false);
    CHECK(d.times_logged("polling-instead") == 3);
}

TEST_CASE("mode auto: the full bulk before the active query was refused is the first poll") {
    SyncDriver d(polled(server_v4(), SyncMode::automatic));
    next(d).ends();
    next_active(d).closes();
    const auto since = d.elapsed();
    for (auto poll = next(d); d.elapsed() - since < 9min; poll = next(d)) {
        CHECK(is_windowed(poll));
        poll.ends();
    }
}

TEST_CASE("mode auto: a server without base-times is asked for active leasequery again, and polled again after that") {
    ResumePoint point;
    point.support = {false, {}, utc_at(1000 - 20 * 3600)};
    SyncDriver d(polled(server_v4(), SyncMode::automatic), point);
    const auto poll_until_active = [&d] {
        for (int polls = 0;; ++polls) {
            const auto peer = next(d, 1h);
            if (peer.query().find("active") == 0) {
                peer.closes();
                return polls;
            }
            peer.says(active4("192.0.2.1"));
            peer.says(done4());
        }
    };
    CHECK(poll_until_active() > 20);
    CHECK(d.elapsed() >= 4h);
    CHECK(poll_until_active() > 100);
    CHECK(d.elapsed() >= 27h);
}

TEST_CASE("mode auto: a server that refuses bulk queries just as silently has proved nothing") {
    SyncDriver d(polled(server_v4(), SyncMode::automatic), resume_at(900));
    int asked = 0;
    while (d.elapsed() < 5h) {
        const auto peer = next(d);
        if (peer.query().find("active") == 0) ++asked;
        peer.closes();
    }
    (void)d.writes();
    CHECK_FALSE(d.status().support.active);
    CHECK(asked >= 20);       // each ten minutes
    next_active(d).closes();  // now that bulk queries are answered, this one is the first that counts
    (void)d.writes();
    CHECK_FALSE(d.status().support.active);
}

TEST_CASE("mode auto: what a server does not support is known after a restart, for the rest of the day") {
    SyncDriver d(polled(server_v4(), SyncMode::automatic), resume_knowing({false, {}, utc_at(1000 - 20 * 3600)}));
    next_active(d).closes();
    CHECK(d.elapsed() >= 4h);
    CHECK(d.elapsed() <= 4h + 11min);
    (void)d.writes();
    CHECK(d.status().support.active == false);
    CHECK(d.status().support.seen_at >= utc_at(1000 + 4 * 3600));
}

TEST_CASE("mode auto: a time that is to come does not keep a 'no' for more than a day") {
    SyncDriver d(polled(server_v4(), SyncMode::automatic), resume_knowing({false, {}, utc_at(1000 + 90 * 86400)}));
    (void)next_active(d);
    CHECK(d.elapsed() >= 23h);
    CHECK(d.elapsed() <= 24h + 11min);
}

TEST_CASE("mode auto: a server that is known to have active leasequery is borne with after a restart, too") {
    SyncDriver d(polled(server_v4(), SyncMode::automatic), resume_knowing({true, {}, utc_at(0)}));
    for (int i = 0; i < 4; ++i) {
        const auto peer = next(d);
        CHECK(peer.query().find("active from @900") == 0);
        peer.closes();
    }
    CHECK_FALSE(d.logged("polling-instead"));
    next(d).closes();
    CHECK(d.logged("polling-instead"));
}

TEST_CASE("another server at the address is asked for all of it at once") {
    auto point = resume_knowing({false, false, utc_at(900)});
    point.server_identity = address("192.0.2.253").bytes().empty() ? Bytes{} : Bytes{192, 0, 2, 253};
    SyncDriver d(polled(server_v4(), SyncMode::automatic), point);
    next(d).tells("192.0.2.1");  // says that it is 192.0.2.254
    CHECK(d.logged("fresh-start"));
    (void)d.writes();
    CHECK(d.status().support == ServerSupport{});
    const auto full = next(d);
    full.tells("192.0.2.1");
    full.ends();
    CHECK(next(d, 10s).query().find("active") == 0);
}

TEST_CASE("mode bulk: what an earlier mode has found out of active leasequery is not tried again") {
    SyncDriver d(polled(server_v4()), resume_knowing({false, {}, utc_at(1000 - 23 * 3600)}));
    while (d.elapsed() < 3h) {
        const auto peer = next(d);
        CHECK(peer.query().find("bulk") == 0);
        peer.says(lease4("192.0.2.1", d.server_now(), 1));
        peer.ends();
    }
}

TEST_CASE("mode auto: a server that says NotSupported is polled over restarts, until a day has passed") {
    SyncDriver d(polled(server_v6(), SyncMode::automatic));
    next(d).ends();
    next_active(d).says(V6{.base = d.server_now(), .status = StatusCode::not_supported});
    (void)d.writes();
    const auto known = d.status().support;
    CHECK(known.active == false);
    SyncDriver later(polled(server_v6(), SyncMode::automatic), resume_knowing(known));
    (void)next_active(later);
    CHECK(later.elapsed() >= 23h);
    CHECK(later.elapsed() <= 24h + 11min);
}

TEST_CASE("mode auto: a server that refuses the active query by status is polled, and asked for it again soon") {
    for (const auto status : {StatusCode::not_allowed, StatusCode::malformed_query}) {
        for (const auto& server : {server_v4(), server_v6()}) {
            SyncDriver d(polled(server, SyncMode::automatic));
            const auto v4 = server.family == Family::v4;
            next(d).ends();
            const auto active = next_active(d);
            if (v4)
                active.says(V4{.type = MessageTypeV4::lease_query_status, .status = status});
            else
                active.says(V6{.base = d.server_now(), .status = status});
            const auto refused_at = d.elapsed();
            const auto polled = next(d);
            CHECK(polled.query().find("bulk") == 0);
            polled.tells(v4 ? "192.0.2.7" : "2001:db8:1::7");
            polled.ends();
            CHECK(d.writes().find(v4 ? "192.0.2.7 active" : "2001:db8:1::7 active") != std::string::npos);
            CHECK(d.status().phase == Phase::polling);
            CHECK(d.status().support.active == std::nullopt);
            (void)next_active(d);
            CHECK(d.elapsed() - refused_at >= 10 * server.timeouts.retry);
            CHECK(d.elapsed() - refused_at <= 11 * server.timeouts.retry + server.bulk.poll_interval);
        }
    }
}
