// A slow database, the size of batches, and what must not be torn apart (agent/README.md, "Backpressure", "When the database
// is away", "Ended bindings").
#include "tests/agent/sync/driver.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;
using namespace std::chrono_literals;

namespace {

Config rows(std::uint32_t most, std::vector<ServerConfig> servers = {server_v4()}) {
    auto config = config_of(std::move(servers));
    config.storage.batch.rows = most;
    return config;
}

/// No more is held than three batches at the database and one behind them.
Config small_queue(std::uint32_t most, std::vector<ServerConfig> servers = {server_v4()}) {
    auto config = rows(most, std::move(servers));
    config.limits.queue_bytes = 1;
    return config;
}

/// Live updates until the agent reads no more.
void fill(SyncDriver& d, const Peer& active) {
    for (int i = 0; i < 200 && active.wants() > 0; ++i)
        active.tells("192.0.2." + std::to_string(i));
    CHECK(active.wants() == 0);
    CHECK(d.waiting() == 3);
}

std::size_t changes(const SyncDriver& d) {
    std::size_t all = 0;
    for (const auto& batch : d.written)
        all += batch.changes.size();
    return all;
}

/// How many lists of a client were written, of `leases` each; none may go on in another batch.
std::size_t whole_lists(const SyncDriver& d, std::uint32_t leases) {
    std::size_t lists = 0;
    for (const auto& batch : d.written) {
        std::uint32_t open = 0;
        for (const auto& change : batch.changes) {
            if (change.kind == Change::Kind::client_list_end) {
                CHECK(change.listed == leases);
                CHECK(open == leases);
                open = 0;
                ++lists;
            } else {
                ++open;
            }
        }
        CHECK(open == 0);
    }
    return lists;
}

}  // namespace

// ---- backpressure -------------------------------------------------------------------------------------------------

TEST_CASE("with three batches at the database and a full one behind them, no connection of the server is read") {
    SyncDriver d(small_queue(5), {resume_at(900)});
    const auto active = d.accepts();
    active.marks(StatusCode::data_missing);
    const auto bulk = d.accepts();
    (void)d.writes();
    d.database_stalls();
    fill(d, active);
    CHECK(bulk.wants() == 0);
    d.passes(1h);
    CHECK(d.waiting() == 3);
    CHECK(active.open());
    CHECK(bulk.open());
}

TEST_CASE("another server is read on, and has room of its own") {
    SyncDriver d(small_queue(5, {server_v4("one"), server_v4("two")}), {resume_at(900), resume_at(900)});
    const auto one = d.accepts(0);
    const auto two = d.accepts(1);
    one.catches_up();
    two.catches_up();
    (void)d.writes();
    d.database_stalls();
    for (int i = 0; i < 200 && one.wants() > 0; ++i)
        one.tells("192.0.2." + std::to_string(i));
    CHECK(one.wants() == 0);
    CHECK(two.wants() > 0);
    two.tells("192.0.2.1");
    d.passes(20ms);
    CHECK(d.waiting(3).server == 2);
}

TEST_CASE("silence that we cause ourselves ends no connection, and the patience with the server begins anew") {
    SyncDriver d(small_queue(5), {resume_at(900)});
    const auto active = d.goes_live();
    d.database_stalls();
    fill(d, active);
    d.passes(24h);
    CHECK(active.open());
    d.database_goes_on();
    CHECK(active.wants() > 0);
    d.passes(119s);
    CHECK(active.open());
    d.passes(2s);
    CHECK_FALSE(active.open());
}

TEST_CASE("one commit is room for one more batch, and nothing of what waited is lost") {
    SyncDriver d(small_queue(5), {resume_at(900)});
    const auto active = d.goes_live();
    const auto before = changes(d);
    d.database_stalls();
    fill(d, active);
    for (int i = 0; i < 50; ++i)
        active.tells("198.51.100." + std::to_string(i));  // waits in the network
    for (int i = 0; i < 5; ++i) {
        d.commits();
        CHECK(d.waiting() <= 3);
    }
    CHECK(active.wants() == 0);
    d.database_goes_on();
    (void)d.writes();
    CHECK(changes(d) - before == 20 + 50);
}

TEST_CASE("a server that closes while it is not read is found closed once it is, and asked from what was committed") {
    SyncDriver d(small_queue(5), {resume_at(900)});
    const auto active = d.goes_live();
    d.database_stalls();
    fill(d, active);
    active.closes();
    d.passes(10min);
    CHECK(active.open());
    const auto base = unix_seconds(*d.waiting(2).base_time) - t0;
    d.database_goes_on();
    CHECK_FALSE(active.open());
    CHECK(d.accepts_within(1min).query() == "active from @" + std::to_string(base));
}

TEST_CASE("a bulk-only server adds nothing to a queue that does not move") {
    // Each poll that ends while the one before still waits closes a batch, however many are at the database.
    auto config = server_v4();
    config.mode = SyncMode::bulk;
    SyncDriver d(config);
    d.lists({"192.0.2.1"});
    (void)d.writes();
    d.database_stalls();
    for (int i = 0; i < 60; ++i) {
        for (int wait = 0; wait < 600 && d.connecting[0].empty(); ++wait)
            d.passes(1s);
        if (d.connecting[0].empty()) break;
        const auto bulk = d.accepts();
        bulk.tells("192.0.2.1");
        d.passes(1s);
        bulk.ends();
    }
    CHECK(d.waiting() <= 4);
}

TEST_CASE("a server that sends nothing but DataMissing is bounded by a slow database too") {
    // What is no binding row must count for something as well.
    SyncDriver d(small_queue(5), {resume_at(900)});
    const auto active = d.goes_live();
    d.database_stalls();
    for (int i = 0; i < 20000 && active.wants() > 0; ++i)
        active.marks(StatusCode::data_missing, 1000 + i / 100);
    CHECK(active.wants() == 0);
}

TEST_CASE("a server that sends nonsense fills the log only so fast") {
    // Each message that cannot be understood widens a gap, and each of these is a line of its own.
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.goes_live();
    auto m = active4("192.0.2.1", 1000);
    m.id = active.id();
    for (int i = 0; i < 1000; ++i)
        active.says(broken(m));
    CHECK(d.logs.size() < 100);
}

TEST_CASE(
    "a server is read on while the database is slow, up to limits.queue_bytes, and the log says when that bites") {
    // A reader that stalls costs a server like Kea the memory of all that it has still to send.
    auto config = rows(5, {server_v4(), server_v4("idle")});
    config.limits.queue_bytes = 1024 * 1024;  // a quarter of it for each
    config.servers[0].mode = SyncMode::bulk;
    SyncDriver d(config);
    const auto bulk = d.accepts();
    d.database_stalls();
    std::size_t told = 0;
    for (; told < 100'000 && bulk.wants() > 0; ++told) {
        if (told == 100) CHECK_FALSE(d.logged("reading-waits"));  // many more than three batches
        bulk.tells("192.0.2." + std::to_string(told % 250));
    }
    CHECK(bulk.wants() == 0);
    CHECK(told * sizeof(Change) > 128 * 1024);
    CHECK(told * sizeof(Change) <= 256 * 1024);
    CHECK(d.waiting() == 3);  // at the writer, which others want to use too
    CHECK(d.times_logged("reading-waits") == 1);
    for (int i = 0; i < 20; ++i) {
        d.commits();
        bulk.tells("192.0.2.1");
    }
    CHECK(d.times_logged("reading-waits") == 1);
    CHECK_FALSE(d.logged("reading-goes-on"));
    d.passes(90s);
    d.database_goes_on();
    (void)d.writes();
    CHECK(changes(d) == told + 20);
    CHECK(d.times_logged("reading-waits") == 1);
    REQUIRE(d.times_logged("reading-goes-on") == 1);
    CHECK(d.logs.back().fields.back() == std::pair<std::string, std::string>{"after_seconds", "90"});
}

TEST_CASE("a database that is slow again and again does not fill the log") {
    SyncDriver d(small_queue(5), {resume_at(900)});
    const auto active = d.goes_live();
    for (int i = 0; i < 100; ++i) {
        d.database_stalls();
        for (int n = 0; n < 200 && active.wants() > 0; ++n)
            active.tells("192.0.2." + std::to_string(n));
        d.database_goes_on();
    }
    CHECK(d.times_logged("reading-waits") == 10);
    CHECK(d.times_logged("reading-goes-on") == 10);
}

// ---- when batches close -------------------------------------------------------------------------------------------

TEST_CASE("a batch closes when enough rows wait") {
    SyncDriver d(rows(3), {resume_at(900)});
    const auto active = d.goes_live();
    const auto before = d.written.size();
    active.tells("192.0.2.1");
    active.tells("192.0.2.2");
    CHECK(d.written.size() == before);
    active.tells("192.0.2.3");
    REQUIRE(d.written.size() == before + 1);
    CHECK(d.words_of(d.written.back()) ==
          "192.0.2.1 active @1000; 192.0.2.2 active @1000; 192.0.2.3 active @1000; base @1000");
}

TEST_CASE("a lone row is committed soon, and what follows when storage.batch.delay has passed since then") {
    auto config = rows(2000);
    config.storage.batch.delay = 500ms;
    SyncDriver d(config, {resume_at(900)});
    const auto active = d.goes_live();
    const auto before = d.written.size();
    d.passes(500ms);
    active.tells("192.0.2.9");
    d.passes(2ms);
    REQUIRE(d.written.size() == before + 1);
    active.tells("192.0.2.1");
    d.passes(400ms);
    active.tells("192.0.2.2");
    d.passes(99ms);
    CHECK(d.written.size() == before + 1);
    d.passes(1ms);
    REQUIRE(d.written.size() == before + 2);
    CHECK(d.words_of(d.written.back()) == "192.0.2.1 active @1001; 192.0.2.2 active @1001; base @1001");
}

TEST_CASE("a batch closes when it holds its share of limits.queue_bytes") {
    auto config = rows(1'000'000);
    config.limits.queue_bytes = 1024 * 1024;
    config.storage.batch.delay = 1h;
    SyncDriver d(config, {resume_at(900)});
    const auto active = d.accepts();
    active.catches_up();
    for (int i = 0; i < 5000; ++i)
        active.tells("192.0.2.1");
    REQUIRE(d.written.size() > 1);
    for (const auto& batch : d.written) {
        std::size_t bytes = 0;
        for (const auto& change : batch.changes)
            bytes += change.binding.memory_bytes();
        CHECK(bytes < 300 * 1024);  // a quarter, and the one message that made it full
    }
}

TEST_CASE("batches are numbered on, and carry the time and the skew that they were closed with") {
    SyncDriver d(server_v4(), resume_at(900));
    d.server_clock = 100s;
    const auto active = d.accepts();
    for (int i = 0; i < 3; ++i) {
        active.tells("192.0.2.1");
        d.passes(1s);
    }
    REQUIRE(d.written.size() >= 3);
    for (std::size_t i = 1; i < d.written.size(); ++i) {
        CHECK(d.written[i].number == d.written[i - 1].number + 1);
        CHECK(d.written[i].now >= d.written[i - 1].now);
        CHECK(d.written[i].skew >= 99s);
        CHECK(d.written[i].skew <= 101s);
    }
}

// ---- lists of clients ---------------------------------------------------------------------------------------------

TEST_CASE("v6: what one message says of a client is in one batch, up to the end of its list") {
    auto config = rows(2, {server_v6()});
    config.servers[0].client_data = ClientData::snapshot;
    SyncDriver d(config, {resume_at(900)});
    const auto active = d.goes_live();
    d.database_stalls();
    for (int i = 0; i < 30; ++i) {
        active.says(V6{.clients = {Client{{ia("2001:db8::1"), ia("2001:db8::2"), ia("2001:db8::3")}}}, .base = 1000});
    }
    d.database_goes_on();
    (void)d.writes();
    CHECK(whole_lists(d, 3) == 30);
}

TEST_CASE("v6: a client's list is not split where the outbox becomes full in its middle") {
    auto config = small_queue(5, {server_v6()});
    config.servers[0].client_data = ClientData::snapshot;
    SyncDriver d(config, {resume_at(900)});
    const auto active = d.goes_live();
    d.database_stalls();
    std::size_t told = 0;
    for (; told < 20 && active.wants() > 0; ++told) {
        Client client;
        for (int i = 1; i <= 12; ++i)
            client.leases.push_back(ia("2001:db8::" + std::to_string(i)));
        active.says(V6{.clients = {client}, .base = 1000});
    }
    CHECK(told == 4);  // the fourth made it full, after five of its twelve leases
    CHECK(active.wants() == 0);
    CHECK(d.waiting() == 3);
    d.commits();
    d.database_goes_on();
    (void)d.writes();
    CHECK(whole_lists(d, 12) == told);
}

TEST_CASE("client_data: snapshot ends a client's list with what it held; delta only tells of empty lists") {
    const V6 two{.clients = {Client{{ia("2001:db8::1"), pd("2001:db8:f::", 56)}}}, .base = 1000};
    const V6 none{.clients = {Client{}}, .base = 1000};
    SUBCASE("snapshot") {
        auto config = server_v6();
        config.client_data = ClientData::snapshot;
        SyncDriver d(config, resume_at(900));
        const auto active = d.goes_live();
        active.says(two);
        CHECK(d.writes() == "2001:db8::1 active @1000; 2001:db8:f:: active @1000; list of 2; base @1000");
        active.says(none);
        CHECK(d.writes() == "list of 0; base @1000");
    }
    SUBCASE("delta") {
        SyncDriver d(server_v6(), resume_at(900));
        const auto active = d.goes_live();
        active.says(two);
        CHECK(d.writes() == "2001:db8::1 active @1000; 2001:db8:f:: active @1000; base @1000");
        active.says(none);
        CHECK(d.writes() == "list of 0; base @1000");
        CHECK(d.written.back().changes[0].binding.client_id == some_duid);
    }
}

TEST_CASE("a list with a lease that could not be read ends nothing: what it leaves out is in doubt") {
    auto config = server_v6();
    config.client_data = ClientData::snapshot;
    SyncDriver d(config, resume_at(900));
    const auto active = d.goes_live();
    active.says(
        V6{.clients = {Client{{ia("2001:db8::1"), ia("2001:db8::2", 600, StatusCode::unspec_fail)}}}, .base = 1000});
    (void)d.writes();
    const auto& changes = d.written.back().changes;
    const auto list = std::find_if(changes.begin(), changes.end(),
                                   [](const Change& c) { return c.kind == Change::Kind::client_list_end; });
    REQUIRE(list != changes.end());
    CHECK(list->doubt == Doubt::unreadable);
    CHECK(list->binding.client_id == some_duid);
}

TEST_CASE("bulk answers never end a client's list: servers spread one client over many messages") {
    // Kea sends one lease in each OPTION_CLIENT_DATA (proto/README.md, "Traps").
    auto config = server_v6();
    config.client_data = ClientData::snapshot;
    SyncDriver d(config);
    const auto bulk = d.accepts();
    bulk.tells("2001:db8:1::1");
    bulk.tells("2001:db8:1::2");
    bulk.says(V6{.clients = {Client{}}, .base = 1000});
    bulk.ends();
    CHECK(d.writes().find("list of") == std::string::npos);
}

// ---- poison -------------------------------------------------------------------------------------------------------

TEST_CASE("a message that cannot be understood costs itself, and goes to quarantine with its bytes and the reason") {
    SyncDriver d(server_v4(), resume_at(900));
    const auto active = d.goes_live();
    auto m = active4("192.0.2.1", 1000);
    m.id = active.id();
    const auto bytes = broken(m);
    active.says(bytes);
    active.tells("192.0.2.2");
    (void)d.writes();
    const auto& batch = d.written.back();
    REQUIRE(batch.quarantine.size() == 1);
    CHECK(batch.quarantine[0].message == Bytes(bytes.begin() + 2, bytes.end()));
    CHECK_FALSE(batch.quarantine[0].reason.empty());
    REQUIRE(batch.changes.size() == 2);
    CHECK(batch.changes[0].kind == Change::Kind::sighting);
    CHECK(batch.changes[1].binding.key.address == address("192.0.2.2"));
}
