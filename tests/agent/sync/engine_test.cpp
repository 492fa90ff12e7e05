// What servers share, and that they share nothing else (agent/sync/engine.hpp).
#include "agent/sync/engine.hpp"

#include "tests/agent/sync/driver.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;
using namespace std::chrono_literals;

namespace {

Config several(std::size_t count, std::uint32_t bulk_connections = 16) {
    Config config;
    for (std::size_t i = 0; i < count; ++i)
        config.servers.push_back(server_v4("server-" + std::to_string(i)));
    config.limits.bulk_connections = bulk_connections;
    return config;
}

std::vector<BulkQuery> links(int count) {
    std::vector<BulkQuery> all;
    for (int i = 1; i <= count; ++i)
        all.push_back(link_query("2001:db8:" + std::to_string(i) + "::1"));
    return all;
}

}  // namespace

// ---- bulk connections ---------------------------------------------------------------------------------------------

TEST_CASE("all servers together have no more bulk connections than limits.bulk_connections") {
    SyncDriver d(several(5, 2));
    std::size_t attempts = 0;
    for (const auto& server : d.connecting)
        attempts += server.size();
    CHECK(attempts == 2);
}

TEST_CASE("a bulk connection that comes free goes to those who wait, in turn") {
    SyncDriver d(several(4, 1));
    std::vector<std::size_t> order;
    for (int i = 0; i < 4; ++i) {
        for (std::size_t server = 0; server < 4; ++server) {
            if (d.connecting[server].empty()) continue;
            const auto peer = d.accepts(server);
            if (peer.query().find("bulk") != 0) continue;
            order.push_back(server);
            peer.ends();
            break;
        }
    }
    CHECK(order == std::vector<std::size_t>{0, 1, 2, 3});
}

TEST_CASE("an attempt that fails gives its place to the next server") {
    SyncDriver d(several(2, 1));
    CHECK(d.connecting[1].empty());
    d.refuses("connection refused", 0);
    CHECK(d.connecting[1].size() == 1);
}

TEST_CASE("an attempt that nobody answers gives its place back with timeouts.connect") {
    SyncDriver d(several(2, 1));
    d.passes(9s);
    CHECK(d.connecting[1].empty());
    d.passes(2s);
    CHECK(d.connecting[1].size() == 1);
}

TEST_CASE("a fresh start gives its bulk connections back") {
    auto config = several(2, 1);
    SyncDriver d(config);
    const auto bulk = d.accepts(0);
    bulk.tells("192.0.2.1");
    d.server_clock = -1h;
    for (const auto* lease : {"192.0.2.2", "192.0.2.3", "192.0.2.4"})
        bulk.tells(lease);
    CHECK_FALSE(bulk.open());
    CHECK(d.connecting[1].size() == 1);
}

TEST_CASE("active connections need no place among the bulk connections") {
    SyncDriver d(several(3, 1), {resume_at(900), resume_at(900), resume_at(900)});
    for (std::size_t i = 0; i < 3; ++i)
        CHECK(d.accepts(i).query() == "active from @900");
}

TEST_CASE("no server has more bulk connections than its bulk.max_connections") {
    auto config = server_v6(links(6));
    config.bulk.max_connections = 3;
    SyncDriver d(config);
    CHECK(d.connecting[0].size() == 1);  // whether the server takes any, the first one shows
    d.accepts().tells("2001:db8::a");
    CHECK(d.connecting[0].size() == 2);
    d.passes(9s);
    CHECK(d.connecting[0].size() == 2);
}

TEST_CASE("a server never opens more bulk connections than it has queries") {
    SyncDriver d(server_v6(links(2)));
    d.accepts().tells("2001:db8::a");
    CHECK(d.connecting[0].size() == 1);
}

TEST_CASE("a server that waits for a place begins its active query all the same") {
    auto one = resume_at(900);
    one.open_gaps = {{1, at(500), at(600), "DataMissing"}};
    SyncDriver d(several(2, 1), {ResumePoint{}, one});
    CHECK(d.connecting[0].size() == 1);
    CHECK(d.accepts(1).query() == "active from @900");
}

// ---- apart from each other ----------------------------------------------------------------------------------------

TEST_CASE("trouble with one server delays no other") {
    SyncDriver d(several(3), {resume_at(900), resume_at(900), resume_at(900)});
    const auto silent = d.accepts(0);
    const auto hostile = d.accepts(1);
    const auto good = d.accepts(2);
    hostile.says(Bytes{0, 1, 0});  // a frame of one octet
    CHECK_FALSE(hostile.open());
    good.catches_up();
    for (int i = 0; i < 10; ++i) {
        d.passes(60s);
        good.tells("192.0.2.1");
        (void)d.writes();
        const auto of_good =
            std::find_if(d.written.rbegin(), d.written.rend(), [](const Batch& b) { return b.server == 3; });
        REQUIRE(of_good != d.written.rend());
        CHECK(of_good->base_time == at(d.server_now()));
    }
    CHECK(good.open());
    CHECK_FALSE(silent.open());
}

TEST_CASE("each server counts its own batches") {
    SyncDriver d(several(2), {resume_at(900), resume_at(900)});
    for (std::size_t i = 0; i < 2; ++i)
        d.accepts(i).catches_up();
    (void)d.writes();
    std::map<ServerId, std::uint64_t> last;
    for (const auto& batch : d.written)
        CHECK(batch.number == ++last[batch.server]);
    CHECK(last.size() == 2);
}

TEST_CASE("servers share limits.queue_bytes evenly") {
    auto config = several(4);
    config.limits.queue_bytes = 2 * 4 * 4 * 128 * 1024;  // a batch of 128 KiB each
    config.storage.batch.rows = 1'000'000;
    config.storage.batch.delay = 1h;
    SyncDriver d(config, std::vector<ResumePoint>(4, resume_at(900)));
    const auto active = d.accepts(0);
    active.catches_up();
    std::uint64_t bytes = 0;
    while (d.written.empty() && bytes < 1024 * 1024) {
        active.tells("192.0.2.1");
        bytes += sizeof(Binding);
    }
    REQUIRE(d.written.size() == 1);
    CHECK(bytes >= 100 * 1024);
    CHECK(bytes <= 140 * 1024);
}

TEST_CASE("servers that lost their connections in the same moment do not all come back in the same moment") {
    SyncDriver d(several(8), std::vector<ResumePoint>(8, resume_at(900)));
    for (std::size_t i = 0; i < 8; ++i)
        d.refuses("network is unreachable", i);
    std::map<std::size_t, std::chrono::milliseconds> back;
    while (back.size() < 8 && d.elapsed() < 5min) {
        d.passes(100ms);
        for (std::size_t i = 0; i < 8; ++i) {
            if (!d.connecting[i].empty()) back.emplace(i, d.elapsed());
        }
    }
    REQUIRE(back.size() == 8);
    std::vector<std::chrono::milliseconds> moments;
    for (const auto& [server, moment] : back)
        moments.push_back(moment);
    const auto [first, last] = std::minmax_element(moments.begin(), moments.end());
    CHECK(*first >= 60s);
    CHECK(*last - *first >= 1s);
}

TEST_CASE("events of connections that are closed, or never were, are ignored") {
    SyncDriver d(several(1), {resume_at(900)});
    const auto active = d.accepts();
    active.catches_up();
    active.closes();
    const Bytes octets{1, 2, 3};
    for (const auto id : {active.connection(), ConnectionKey{0, 4711}}) {
        d.engine.on_event(id, connection_event::Connected{}, d.now());
        d.engine.on_event(id, connection_event::Sent{}, d.now());
        d.engine.on_event(id, connection_event::Received{octets}, d.now());
        d.engine.on_event(id, connection_event::Disconnected{"again"}, d.now());
        d.engine.on_event(id, connection_event::ConnectFailed{"again"}, d.now());
        CHECK(d.engine.wants_bytes(id) == 0);
    }
    d.passes(1s);
    CHECK(d.phase() == Phase::down);
}

TEST_CASE("calls to on_deadline before the time change nothing") {
    SyncDriver d(several(2));
    (void)d.writes();
    const auto written = d.written.size();
    for (int i = 0; i < 100; ++i)
        d.engine.on_deadline(d.now());
    CHECK_FALSE(d.engine.poll_action());
    CHECK(d.written.size() == written);
}

// ---- the sweep for expired bindings -------------------------------------------------------------------------------

TEST_CASE("the sweep takes a step each second") {
    SyncDriver d(several(1), {resume_at(900)});
    CHECK(d.sweeps.empty());
    d.passes(1s);
    REQUIRE(d.sweeps.size() == 1);
    CHECK(d.sweeps[0].rows == Engine::sweep_rows);
    CHECK(d.sweeps[0].now == UtcSeconds{std::chrono::seconds{t0 + 1001}});
    d.passes(10s);
    CHECK(d.sweeps.size() == 11);
    CHECK(d.sweeps.back().now == UtcSeconds{std::chrono::seconds{t0 + 1011}});
}

TEST_CASE("what retention removed is said when the sweep has been around, summed up, and not too often") {
    SyncDriver d(several(1), {resume_at(900)});
    d.passes(5s);
    d.swept.around = true;
    d.passes(5s);
    CHECK_FALSE(d.logged("retention"));  // nothing was removed
    d.swept = {7, 1, 2, 3, false};
    d.passes(2s);
    CHECK_FALSE(d.logged("retention"));
    d.swept = {7, 0, 0, 1, true};
    d.passes(1s);
    REQUIRE(d.times_logged("retention") == 1);
    const auto said = *std::find_if(d.logs.begin(), d.logs.end(), [](const auto& e) { return e.name == "retention"; });
    CHECK(said.fields == std::vector<std::pair<std::string, std::string>>{
                             {"bindings_removed", "2"}, {"changes_removed", "4"}, {"assignments_removed", "7"}});
    d.passes(9min);
    CHECK(d.times_logged("retention") == 1);
    d.passes(2min);
    REQUIRE(d.times_logged("retention") == 2);
    for (auto event = d.logs.rbegin(); event != d.logs.rend(); ++event) {
        if (event->name != "retention") continue;
        CHECK(event->fields.back() == std::pair<std::string, std::string>{"assignments_removed", "600"});
        break;
    }
}

TEST_CASE("a sweep that the database has not finished is not followed by another") {
    SyncDriver d(several(1), {resume_at(900)});
    d.sweep_answered = false;
    d.passes(1h);
    CHECK(d.sweeps.size() == 1);
    d.sweep_answered = true;
    d.engine.on_swept({}, d.now());
    d.passes(1s);
    CHECK(d.sweeps.size() == 2);
}

TEST_CASE("the end waits for a sweep under way, and begins no other") {
    SyncDriver d(several(1), {resume_at(900)});
    d.sweep_answered = false;
    d.passes(1s);
    REQUIRE(d.sweeps.size() == 1);
    d.stops();
    CHECK_FALSE(d.engine.done());
    d.engine.on_swept({}, d.now());
    CHECK(d.engine.done());
    d.passes(1min);
    CHECK(d.sweeps.size() == 1);
}

// ---- our own clock, set while the agent was away ------------------------------------------------------------------

namespace {

/// Two of one family that do not share a host, as far as is known. Written last at @990.
Config two_hosts() {
    auto config = several(2);
    config.servers[1].address = "192.0.2.253";
    return config;
}
ResumePoint written(std::int64_t at_second = 990) {
    auto point = resume_at(at_second - 10);
    point.skew = Skew{0};
    point.written_at = UtcSeconds{std::chrono::seconds{t0 + at_second}};
    return point;
}
std::vector<std::chrono::seconds> moves(const SyncDriver& d, ServerId server) {
    std::vector<std::chrono::seconds> all;
    for (const auto& batch : d.written)
        if (batch.server == server && batch.our_clock_moved) all.push_back(*batch.our_clock_moved);
    return all;
}
bool began_afresh(const SyncDriver& d) {
    return std::any_of(d.written.begin(), d.written.end(), [](const Batch& b) { return b.fresh_start; });
}

}  // namespace

TEST_CASE("our clock was set while the agent was away: the servers together tell, and the stored times move") {
    for (const auto ahead : {3600s, -3600s}) {  // the servers' clocks, as we see them
        CAPTURE(ahead.count());
        const auto before = written(ahead > 0s ? 990 : 990 - 3600);
        SyncDriver d(two_hosts(), {before, before});
        d.server_clock = ahead;
        const auto first = d.accepts(0);
        const auto second = d.accepts(1);
        // In the catch-up phase an old message may seem to tell that ours is ahead; one that tells the other is not old.
        if (ahead < 0s) first.catches_up();
        first.tells("192.0.2.1");
        CHECK(first.wants() == 0);  // it waits for the other one
        CHECK(d.writes().find("192.0.2.1") == std::string::npos);
        CHECK(d.phase() == Phase::catch_up);
        second.keeps_alive();
        CHECK(d.logged("our-clock-was-set") == (ahead > 0s));
        second.catches_up();
        second.keeps_alive();
        CHECK(d.logged("our-clock-was-set"));
        (void)d.writes();
        REQUIRE(moves(d, 1).size() == 1);
        REQUIRE(moves(d, 2).size() == 1);
        CHECK(std::chrono::abs(moves(d, 1)[0] + ahead) <= 1s);
        CHECK(moves(d, 2) == moves(d, 1));
        CHECK(first.wants() > 0);
        if (ahead > 0s) first.catches_up();
        (void)d.writes();
        CHECK(d.phase(0) == Phase::live);
        CHECK(d.phase(1) == Phase::live);
        CHECK_FALSE(began_afresh(d));
        CHECK(std::chrono::abs(*d.status().skew - ahead) <= 1s);
        // What was told meanwhile is told in the clock as it is now.
        const auto lease =
            std::find_if(d.written.begin(), d.written.end(), [](const Batch& b) { return b.changes.size() > 0; });
        REQUIRE(lease != d.written.end());
        CHECK(std::chrono::abs(lease->changes[0].skew.value_or(lease->skew) - ahead) <= 1s);
    }
}

TEST_CASE("two servers that replay what they had built while the agent was away tell nothing of our clock") {
    SyncDriver d(two_hosts(), {written(400), written(400)});
    const auto first = d.accepts(0);
    const auto second = d.accepts(1);
    first.tells("192.0.2.1", 420);
    second.tells("192.0.2.2", 420);
    CHECK(first.wants() > 0);
    CHECK_FALSE(d.logged("our-clock-was-set"));
    first.catches_up();
    first.keeps_alive();
    second.catches_up();
    second.keeps_alive();
    (void)d.writes();
    CHECK(d.phase(0) == Phase::live);
    CHECK(d.phase(1) == Phase::live);
    CHECK(moves(d, 1).empty());
    CHECK_FALSE(began_afresh(d));
}

TEST_CASE("one server whose clock was set while the agent was away is not believed: the others tell of none") {
    SyncDriver d(two_hosts(), {written(), written()});
    d.server_clock = 3600s;
    const auto first = d.accepts(0);
    const auto second = d.accepts(1);
    first.insists();
    CHECK(first.open());
    d.server_clock = 0s;
    second.catches_up();
    CHECK(moves(d, 1).empty());
    CHECK_FALSE(first.open());
    (void)d.writes();
    CHECK(began_afresh(d));
    CHECK(d.phase(1) == Phase::live);
}

TEST_CASE("nobody else can tell of our clock: what was told waits no longer than the jury has patience") {
    SyncDriver d(two_hosts(), {written(), written()});
    d.server_clock = 3600s;
    const auto first = d.accepts(0);
    d.refuses("connection refused", 1);
    first.insists();
    CHECK(first.open());
    d.passes(StartJury::patience);
    CHECK(first.wants() > 0);
    first.insists();  // what was not read meanwhile came late, and may be of any clock
    CHECK_FALSE(first.open());
    CHECK(moves(d, 1).empty());
    (void)d.writes();
    CHECK(began_afresh(d));
}

TEST_CASE("what waited for the jury tells of its server's clock by when it came, and not by when the jury found") {
    auto config = two_hosts();
    config.servers.push_back(server_v4("new"));
    auto fresh = written();  // an earlier life had begun afresh with it, and not read all
    fresh.id = 3;
    fresh.base_time.reset();
    fresh.skew.reset();
    SyncDriver d(config, {written(), written(), fresh});
    d.server_clock = 3600s;
    const auto full = d.accepts(2);
    full.tells("192.0.2.3");
    CHECK(full.wants() == 0);
    d.refuses("connection refused", 0);
    d.refuses("connection refused", 1);
    d.passes(StartJury::patience);
    full.ends();
    (void)d.writes();
    const auto lease =
        std::find_if(d.written.begin(), d.written.end(), [](const Batch& b) { return b.changes.size() > 0; });
    REQUIRE(lease != d.written.end());
    CHECK(std::chrono::abs(lease->changes[0].skew.value() - 3600s) <= 1s);
}

TEST_CASE(
    "what a server replays before the jury has found is told in the clock as it is, once the stored times moved") {
    const auto before = written(990 - 3600);
    SyncDriver d(two_hosts(), {before, before});
    d.server_clock = -3600s;
    const auto first = d.accepts(0);
    const auto second = d.accepts(1);
    first.tells("192.0.2.1", 985 - 3600);
    CHECK(first.wants() > 0);
    CHECK(d.writes().find("192.0.2.1") == std::string::npos);
    SUBCASE("our clock was set ahead") {
        first.catches_up();
        second.catches_up();
        (void)d.writes();
        REQUIRE(moves(d, 1) == std::vector{3600s});
        const auto replayed =
            std::find_if(d.written.begin(), d.written.end(), [](const Batch& b) { return b.changes.size() > 0; });
        REQUIRE(replayed != d.written.end());
        CHECK(replayed->our_clock_moved == 3600s);  // which comes first within a batch
        CHECK(std::chrono::abs(replayed->skew + 3600s) <= 1s);
        CHECK(std::chrono::abs(replayed->changes[0].skew.value() + 3600s) <= 1s);
        CHECK(replayed->now == UtcSeconds{std::chrono::seconds{t0 + 1000}});
    }
    SUBCASE("the agent stops before anybody knows") {
        d.written.clear();
        d.stops();
        CHECK(d.engine.done());
        CHECK(d.written.empty());
    }
}

TEST_CASE("a server without base-times waits for the jury: what it tells would move with what was stored before") {
    for (const auto ahead : {3600s, 0s}) {
        CAPTURE(ahead.count());
        auto config = two_hosts();
        config.servers.push_back(server_v4("undated"));
        config.servers.back().mode = SyncMode::bulk;
        auto undated = written();
        undated.skew.reset();
        undated.id = 3;
        SyncDriver d(config, {written(), written(), undated});
        d.server_clock = ahead;
        const auto polled = d.accepts(2);
        polled.says(active4("192.0.2.3"));
        polled.says(done4());
        CHECK(d.writes().find("192.0.2.3") == std::string::npos);
        const auto first = d.accepts(0);
        const auto second = d.accepts(1);
        first.catches_up();
        if (ahead > 0s) CHECK(d.writes().find("192.0.2.3") == std::string::npos);
        second.catches_up();
        const auto words = d.writes();
        CHECK(moves(d, 3).size() == (ahead > 0s ? 1U : 0U));
        // Our clock orders its records: those of before are worth nothing, and all is asked anew.
        CHECK(began_afresh(d) == (ahead > 0s));
        // And what waited would be dated by when it was heard.
        CHECK(words.find("192.0.2.3 active") == std::string::npos);
        CHECK_FALSE(polled.open());
        if (ahead > 0s) continue;
        const auto again = d.accepts_within(2min, 2);
        again.says(active4("192.0.2.3"));
        again.says(done4());
        CHECK(d.writes().find("192.0.2.3 active") != std::string::npos);
    }
}

TEST_CASE("of what waited for the jury on several connections of one server nothing stays behind") {
    auto config = several(2);
    config.servers[1].address = "192.0.2.253";
    auto doubts = written();
    doubts.doubts = {DoubtfulBinding{
        {"", BindingKind::address, *IpAddress::parse("192.0.2.1"), 32}, Doubt::unreadable, Bytes{1, 2, 3}, {}, {}, {}}};
    doubts.doubts_open = 1;
    SyncDriver d(config, {doubts, written()});
    auto active = d.accepts(0);
    active.keeps_alive();
    auto question = d.accepts(0);
    REQUIRE(question.query().find("client-id") != std::string::npos);
    question.says(active4("192.0.2.1"));  // without a base-time: it waits
    CHECK(question.wants() == 0);
    d.server_clock = 3600s;
    active.keeps_alive();  // and so does this one
    CHECK(active.wants() == 0);
    d.refuses("connection refused", 1);
    d.passes(StartJury::patience);
    CHECK(active.wants() > 0);
    CHECK_FALSE(question.open());
    CHECK(d.accepts_within(2min).query() == question.query());
}

TEST_CASE("our clock jumps while a server waits to be heard about it: it is asked anew") {
    SyncDriver d(two_hosts(), {written(), written()});
    d.server_clock = 3600s;
    const auto first = d.accepts(0);
    first.keeps_alive();
    d.our_clock += 3600s;
    d.passes(2s);
    CHECK_FALSE(first.open());
    d.accepts_within(2min).catches_up();
    d.accepts_within(2min, 1).catches_up();
    (void)d.writes();
    CHECK(d.phase(0) == Phase::live);
    CHECK(d.phase(1) == Phase::live);
}

TEST_CASE("a server that is being read anew is no witness: its skew may be of the clock as it is now") {
    auto config = two_hosts();
    config.servers.push_back(server_v4("anew"));
    config.servers.back().address = "192.0.2.252";
    auto anew = written();  // an earlier life had begun afresh with it, by the clock as it is now, and not read all
    anew.id = 3;
    anew.base_time.reset();
    anew.coverage = Coverage::partial;
    anew.skew = Skew{3600s};
    SyncDriver d(config, {written(), written(), anew});
    d.server_clock = 3600s;
    const auto full = d.accepts(2);
    full.tells("192.0.2.3");  // it fits the skew of this server, and tells nothing of the others
    CHECK_FALSE(full.wants() > 0);
    d.accepts(0).keeps_alive();
    CHECK_FALSE(d.logged("our-clock-was-set"));
    d.accepts(1).keeps_alive();
    CHECK(d.logged("our-clock-was-set"));
    (void)d.writes();
    CHECK(moves(d, 1).size() == 1);
    CHECK(moves(d, 2).size() == 1);
    // It is told all of it in the clock as it is now. To move its skew would make that wrong.
    CHECK(moves(d, 3).empty());
    CHECK(full.wants() > 0);
    full.ends();
    (void)d.writes();
    CHECK_FALSE(began_afresh(d));
    const auto lease = std::find_if(d.written.begin(), d.written.end(),
                                    [](const Batch& b) { return b.server == 3 && b.changes.size() > 0; });
    REQUIRE(lease != d.written.end());
    CHECK(std::chrono::abs(lease->changes[0].skew.value_or(lease->skew) - 3600s) <= 1s);
}
