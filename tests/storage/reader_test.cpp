// What `status`, `who` and `watch` are told. Over every engine.
#include "tests/storage/test_store.hpp"

#include "storage/opening.hpp"
#include "storage/postgres/reader.hpp"
#include "storage/reader.hpp"
#include "storage/sqlite/reader.hpp"

#include <doctest/doctest.h>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

using namespace leasemirror;
using namespace leasemirror::testing;
using namespace std::chrono_literals;
using Rows = std::vector<std::string>;

namespace {

/// A column as text: times in seconds after the tests' epoch, bytes as text, "-" for NULL, "?" for no such column.
struct AsText {
    std::string operator()(std::monostate) const { return "-"; }
    std::string operator()(bool value) const { return value ? "yes" : "no"; }
    std::string operator()(std::int64_t value) const { return std::to_string(value); }
    std::string operator()(const std::string& value) const { return value; }
    std::string operator()(const Bytes& value) const { return {value.begin(), value.end()}; }
    std::string operator()(UtcSeconds value) const { return std::to_string(unix_seconds(value) - test_epoch); }
    std::string operator()(const JsonText& value) const { return value.text; }
};

std::string column(const Record& row, std::string_view name) {
    for (const auto& [known, value] : row)
        if (known == name) return std::visit(AsText{}, value);
    return "?";
}

/// Of each row these columns, with blanks between them.
Rows columns(const std::vector<Record>& rows, const std::vector<std::string_view>& names) {
    Rows out;
    for (const auto& row : rows) {
        auto& line = out.emplace_back();
        for (const auto name : names)
            line += (line.empty() ? "" : " ") + column(row, name);
    }
    return out;
}

std::int64_t seq_of(const Record& row) {
    return std::get<std::int64_t>(row.at(0).second);
}

Sought sought(const std::string& address) {
    return {IpAddress::parse(address).value(), std::nullopt};
}
Sought prefix(const std::string& address, std::uint8_t len) {
    return {IpAddress::parse(address).value(), len};
}

Change told_of(const std::string& address, std::int64_t base, std::string_view client) {
    auto out = told(address, base);
    out.binding.client_id = id(client);
    return out;
}
Change ended_of(const std::string& address, std::int64_t base, std::string_view client) {
    auto out = told_of(address, base, client);
    out.binding.state = BindingState::ended;
    return out;
}

/// The plan of each query of a reader. PostgreSQL takes a whole table as long as it is small, unless told not to.
std::vector<std::string> plans(const Fixture& f, const std::string& engine) {
    std::vector<std::string> out;
    const bool sqlite = engine == "sqlite";
    for (const auto& sql : sqlite ? sqlite_lookup_queries() : postgres_lookup_queries()) {
        std::string explain = "EXPLAIN QUERY PLAN " + sql;
        if (!sqlite)
            explain =
                "SET enable_seqscan TO off; SET plan_cache_mode TO force_generic_plan; DEALLOCATE ALL; PREPARE q AS " +
                sql + "; EXPLAIN (COSTS OFF) EXECUTE q (" +
                (sql.find("$4") != std::string::npos   ? "NULL, NULL, NULL, NULL"
                 : sql.find("$3") != std::string::npos ? "NULL, NULL, NULL"
                 : sql.find("$2") != std::string::npos ? "NULL, NULL"
                                                       : "NULL") +
                ")";
        auto& plan = out.emplace_back(sql + "\n");
        for (const auto& row : f.engine->rows(explain))
            plan += row + "\n";
    }
    return out;
}

/// A v6 and a v4 server.
struct TwoServers : Fixture {
    explicit TwoServers(const EngineFactory& factory) : Fixture(factory, {"east", "west"}) {
        specs[1].family = Family::v6;
        reopen();
    }
    void apply_west(std::vector<Change> changes) { store->apply(batch(std::move(changes), 1)); }
};

}  // namespace

TEST_CASE("the state of the servers is told with open gaps and with the number of bindings in each state") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory, {"west", "east"});
        auto batch =
            f.batch({told("10.0.0.1", 100), told("10.0.0.2", 100), told("10.0.0.3", 100, BindingState::released)});
        batch.gaps = {open_gap(1, 10, 20), open_gap(2, 30, 40)};
        batch.base_time = at(100);
        batch.fresh_as_of = utc(99);
        ServerStatus status;
        status.phase = Phase::gap;
        status.coverage = Coverage::full;
        status.server_identity = id("duid");
        status.skew = Skew{-1500};
        status.connected_since = utc(1);
        status.last_message_at = utc(2);
        status.last_full_sync_at = utc(3);
        status.last_error = "no";
        status.last_error_at = utc(4);
        status.certificate_expires_at = batch.now + std::chrono::hours{47};
        status.support = {false, true, utc(5)};
        batch.status = status;
        f.store->apply(batch);
        const auto servers = open_reader(f.settings)->servers();
        REQUIRE(servers.size() == 2);
        CHECK(servers[0].name == "east");
        CHECK(servers[0].states.empty());
        CHECK(servers[0].phase == "connecting");
        CHECK_FALSE(servers[0].base_time);
        const auto& west = servers[1];
        CHECK(west.name == "west");
        CHECK(west.server_id == f.resume[0].id);
        CHECK(west.family == Family::v4);
        CHECK(west.endpoint == "192.0.2.1 port 67");
        CHECK(west.server_identity == id("duid"));
        CHECK(west.phase == "gap");
        CHECK(west.base_time == at(100));
        CHECK(west.fresh_as_of == utc(99));
        CHECK(west.coverage == "full");
        CHECK(west.clock_skew_ms == -1500);
        CHECK(west.bindings == 2);
        CHECK(west.states == std::map<std::string, std::int64_t>{{"active", 2}, {"released", 1}});
        CHECK(west.connected_since == utc(1));
        CHECK(west.last_message_at == utc(2));
        CHECK(west.last_full_sync_at == utc(3));
        CHECK(west.gaps_open == 2);
        CHECK(west.open_gaps == std::vector<Gap>{open_gap(1, 10, 20).gap, open_gap(2, 30, 40).gap});
        CHECK(west.last_error == "no");
        CHECK(west.last_error_at == utc(4));
        CHECK(west.owner == "test");
        CHECK(west.owner_epoch == 1);
        CHECK(west.certificate_expires_at == batch.now + std::chrono::hours{47});
        CHECK(west.certificate_days == 1);
        CHECK(west.support == ServerSupport{false, true, utc(5)});
        CHECK_FALSE(servers[0].certificate_expires_at);
        CHECK_FALSE(servers[0].certificate_days);
        CHECK(servers[0].support == ServerSupport{});
    }
}

TEST_CASE("who holds an address: the lease, the prefixes around it, in every VPN, the most specific first") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        TwoServers f(factory);
        auto blue = told_of("10.0.0.1", 100, "blue");
        blue.binding.key.vpn_id = "ascii:blue";
        f.apply({told_of("10.0.0.1", 100, "a"), blue, told_of("10.0.0.10", 100, "b")});
        f.apply_west({told_of("2001:db8:1:2::5", 100, "c"), told_of("2001:db8:1::/48", 100, "d"),
                      told_of("2001:db8:1::/56", 100, "e"), told_of("2001:db8:1:200::/56", 100, "f"),
                      told_of("2001:db8:1:2::/64", 100, "g"), told_of("2001:db8:1:2::6", 100, "h")});
        const auto reader = open_reader(f.settings);
        const auto holders = [&](const Sought& what) {
            return columns(reader->leases_of(what), {"address", "prefix_len", "kind", "vpn_id", "server", "client_id"});
        };
        CHECK(holders(sought("10.0.0.1")) ==
              Rows{"10.0.0.1 32 address  east a", "10.0.0.1 32 address ascii:blue east blue"});
        CHECK(holders(sought("10.0.0.2")).empty());
        CHECK(holders(sought("2001:db8:1:2::5")) ==
              Rows{"2001:db8:1:2::5 128 address  west c", "2001:db8:1:2:: 64 prefix  west g",
                   "2001:db8:1:: 56 prefix  west e", "2001:db8:1:: 48 prefix  west d"});
        CHECK(holders(sought("2001:db8:1:2ff:ffff:ffff:ffff:ffff")) ==
              Rows{"2001:db8:1:200:: 56 prefix  west f", "2001:db8:1:: 48 prefix  west d"});
        CHECK(holders(sought("2001:db8:2::")).empty());
        CHECK(holders(sought("2001:db8:0:ffff:ffff:ffff:ffff:ffff")).empty());
        // With a length, that very prefix.
        CHECK(holders(prefix("2001:db8:1::", 56)) == Rows{"2001:db8:1:: 56 prefix  west e"});
        CHECK(holders(prefix("2001:db8:1::", 48)) == Rows{"2001:db8:1:: 48 prefix  west d"});
        CHECK(holders(prefix("2001:db8:1::", 52)).empty());
        CHECK(holders(prefix("2001:db8:1:2::5", 128)) == Rows{"2001:db8:1:2::5 128 address  west c"});
    }
}

TEST_CASE("a lease is told with all its columns, and since when its client has it") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory, {"east", "west"});
        auto change = told_of("10.0.0.1", 100, "a\x01");
        auto& binding = change.binding;
        binding.hw_type = 1;
        binding.hw_addr = {2, 0, 0, 0, 0, 1};
        binding.state_since = at(50);
        binding.client_last_seen = at(60);
        // Not before the test is over.
        binding.expires_at = server_time_from_unix(std::int64_t{7'000'000'000});
        binding.relay_address = IpAddress::parse("10.0.0.254").value();
        binding.remote_id = id("port 1");
        binding.hostname = "pc";
        binding.options = {0, 60, 0, 1, 'v'};
        auto batch = f.batch({change});
        batch.fresh_as_of = utc(99);
        f.store->apply(batch);
        f.store->apply(f.batch({told_of("10.0.0.1", 90, "a\x01")}, 1));
        const auto rows = open_reader(f.settings)->leases_of(sought("10.0.0.1"));
        REQUIRE(rows.size() == 1);
        std::string names;
        for (const auto& [name, value] : rows[0])
            names += (names.empty() ? "" : " ") + name;
        CHECK(names ==
              "server also_on fresh_as_of vpn_id kind family address prefix_len state doubt client_id client_id_text "
              "hw_type "
              "hw_addr hostname began_at inferred client_last_seen state_since expires_at preferred_until renew_at "
              "rebind_at link_address relay_address relay_id relay_id_text remote_id remote_id_text circuit_id "
              "circuit_id_text subscriber_id options data_source base_time via updated_at server_id");
        CHECK(
            columns(rows, {"server",      "also_on",    "fresh_as_of", "family",        "state",     "client_id_text",
                           "hw_type",     "hw_addr",    "hostname",    "began_at",      "inferred",  "client_last_seen",
                           "state_since", "expires_at", "renew_at",    "relay_address", "remote_id", "remote_id_text",
                           "relay_id",    "options",    "data_source", "base_time",     "via",       "updated_at"}) ==
            Rows{
                "east west 99 v4 active 61:01 1 02:00:00:00:00:01 pc 50 no 60 50 5300000000 - 10.0.0.254 port 1 port 1 "
                "- " +
                column(rows[0], "options") + " local 100 active 1000"});
        CHECK(column(rows[0], "options").find("\"60\"") != std::string::npos);
    }
}

TEST_CASE("a lease that has expired is nobody's, though nothing was swept yet") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.now = utc(150);
        auto change = told("10.0.0.1", 100);
        change.binding.expires_at = at(200);
        f.apply({change});
        CHECK(f.states() == Rows{"10.0.0.1 active"});
        CHECK(open_reader(f.settings)->leases_of(sought("10.0.0.1")).empty());
    }
}

TEST_CASE("who held an address then: whoever's interval that moment lies in, with its bounds") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        TwoServers f(factory);
        f.apply({told_of("10.0.0.1", 100, "a")});
        f.apply({ended_of("10.0.0.1", 200, "a")});
        f.apply({told_of("10.0.0.1", 300, "b")});
        f.apply({told_of("10.0.0.1", 400, "c")});
        f.apply_west({told_of("2001:db8:1::/56", 100, "d"), told_of("2001:db8:1::/48", 150, "e"),
                      told_of("2001:db8:1::7", 150, "f")});
        f.apply_west({ended_of("2001:db8:1::/56", 200, "d")});
        const auto reader = open_reader(f.settings);
        const auto then = [&](const Sought& what, std::int64_t moment) {
            return columns(reader->holders_of(what, utc(moment)),
                           {"address", "prefix_len", "server", "client_id", "began_at", "ended_at", "end_reason",
                            "began_inferred", "ended_inferred", "inferred"});
        };
        CHECK(then(sought("10.0.0.1"), 99).empty());
        CHECK(then(sought("10.0.0.1"), 100) == Rows{"10.0.0.1 32 east a 100 200 reported no no no"});
        CHECK(then(sought("10.0.0.1"), 199) == Rows{"10.0.0.1 32 east a 100 200 reported no no no"});
        CHECK(then(sought("10.0.0.1"), 200).empty());
        CHECK(then(sought("10.0.0.1"), 300) == Rows{"10.0.0.1 32 east b 300 400 replaced no yes yes"});
        CHECK(then(sought("10.0.0.1"), 400) == Rows{"10.0.0.1 32 east c 400 - - no no no"});
        CHECK(then(sought("10.0.0.1"), 5000) == Rows{"10.0.0.1 32 east c 400 - - no no no"});
        CHECK(then(prefix("10.0.0.1", 32), 400).size() == 1);
        CHECK(then(sought("2001:db8:1::7"), 120) == Rows{"2001:db8:1:: 56 west d 100 200 reported no no no"});
        CHECK(then(sought("2001:db8:1::7"), 160) == Rows{"2001:db8:1::7 128 west f 150 - - no no no",
                                                         "2001:db8:1:: 56 west d 100 200 reported no no no",
                                                         "2001:db8:1:: 48 west e 150 - - no no no"});
        CHECK(then(sought("2001:db8:1:100::"), 160) == Rows{"2001:db8:1:: 48 west e 150 - - no no no"});
        CHECK(then(prefix("2001:db8:1::", 56), 160) == Rows{"2001:db8:1:: 56 west d 100 200 reported no no no"});
        CHECK(then(prefix("2001:db8:1::", 56), 200).empty());
    }
}

TEST_CASE("what a client or a line holds, and what it held within a time") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        TwoServers f(factory);
        const auto of_line = [](const std::string& address, std::int64_t base, std::string_view client,
                                BindingState state = BindingState::active) {
            auto out = told_of(address, base, client);
            out.binding.state = state;
            out.binding.hw_type = 1;
            out.binding.hw_addr = {2, 0, 0, 0, 0, 0xab};
            out.binding.remote_id = Bytes(3000, 'r');  // longer than an index entry may be
            out.binding.circuit_id = id("eth0/1");
            out.binding.hostname = "pc";
            return out;
        };
        f.apply({of_line("10.0.0.9", 100, "a"), told_of("10.0.0.3", 100, "b")});
        f.apply({of_line("10.0.0.9", 200, "a", BindingState::ended)});
        f.apply({of_line("10.0.0.8", 200, "a")});
        f.apply_west({of_line("2001:db8:1::/56", 300, "duid")});
        const auto reader = open_reader(f.settings);
        const auto mac = HolderSought{HolderSought::By::hw_addr, {2, 0, 0, 0, 0, 0xab}};
        const auto client = HolderSought{HolderSought::By::client_id, id("a")};
        const auto line = HolderSought{HolderSought::By::remote_id, Bytes(3000, 'r')};
        const auto port = HolderSought{HolderSought::By::circuit_id, id("eth0/1")};
        for (const auto& sought : {mac, line, port}) {
            CHECK(columns(reader->leases_of(sought), {"address", "server"}) ==
                  Rows{"10.0.0.8 east", "2001:db8:1:: west"});
            CHECK(columns(reader->holders_of(sought, {utc(0), utc(1000)}),
                          {"address", "client_id", "circuit_id", "hostname", "began_at", "ended_at"}) ==
                  Rows{"10.0.0.9 a eth0/1 pc 100 200", "10.0.0.8 a eth0/1 pc 200 -",
                       "2001:db8:1:: duid eth0/1 pc 300 -"});
        }
        CHECK(columns(reader->leases_of(client), {"address"}) == Rows{"10.0.0.8"});
        const auto held = [&](std::int64_t from, std::int64_t to) {
            return columns(reader->holders_of(client, {utc(from), utc(to)}), {"address"});
        };
        CHECK(held(0, 100).empty());  // it is half-open
        CHECK(held(0, 101) == Rows{"10.0.0.9"});
        CHECK(held(199, 200) == Rows{"10.0.0.9"});
        CHECK(held(200, 201) == Rows{"10.0.0.8"});
        CHECK(held(150, 250) == Rows{"10.0.0.9", "10.0.0.8"});
        CHECK(reader->holders_of({HolderSought::By::client_id, id("c")}, {utc(0), utc(1000)}).empty());
        CHECK(columns(reader->holders_of(sought("10.0.0.9"), {utc(0), utc(1000)}), {"client_id", "ended_at"}) ==
              Rows{"a 200"});
        CHECK(reader->holders_of(sought("10.0.0.9"), {utc(200), utc(1000)}).empty());
    }
}

TEST_CASE("the change feed is read in parts, each of which says where to go on") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        TwoServers f(factory);
        const auto reader = open_reader(f.settings);
        CHECK(reader->feed_ends().first == 0);
        CHECK(reader->feed_ends().last == 0);
        auto part = reader->changes_after(0, std::nullopt, 10);
        CHECK(part.rows.empty());
        CHECK(part.cursor == 0);

        for (int i = 1; i <= 5; ++i)
            f.apply({told_of("10.0.0." + std::to_string(i), 100, "a")});
        f.apply_west({told_of("2001:db8:1::/56", 100, "b")});
        const auto ends = reader->feed_ends();
        CHECK(ends.last - ends.first == 5);
        part = reader->changes_after(0, std::nullopt, 4);
        CHECK(part.rows.size() == 4);
        CHECK(part.cursor == seq_of(part.rows.back()));
        CHECK(part.ends.first == ends.first);
        CHECK(part.ends.last == ends.last);
        part = reader->changes_after(part.cursor, std::nullopt, 4);
        CHECK(columns(part.rows, {"at", "server", "vpn_id", "kind", "address", "prefix_len", "change", "state",
                                  "client_id", "expires_at", "inferred"}) ==
              Rows{"1000 east  address 10.0.0.5 32 assigned active a - no",
                   "1000 west  prefix 2001:db8:1:: 56 assigned active b - no"});
        CHECK(column(part.rows[0], "detail").find("data_source") != std::string::npos);
        CHECK(part.cursor == ends.last);
        part = reader->changes_after(part.cursor, std::nullopt, 4);
        CHECK(part.rows.empty());
        CHECK(part.cursor == ends.last);
        // Of one server: the cursor moves on over what the others have.
        part = reader->changes_after(0, "west", 4);
        CHECK(part.rows.empty());
        CHECK(part.cursor == ends.first + 3);
        part = reader->changes_after(part.cursor, "west", 4);
        CHECK(part.rows.size() == 1);
        CHECK(part.cursor == ends.last);
        CHECK(reader->changes_after(0, "nobody", 100).rows.empty());
    }
}

TEST_CASE("where the feed begins moves with retention, and where it ends does not move back") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.check.whole_feed = false;
        for (int i = 1; i <= 4; ++i) {
            f.now = utc(i * 100);
            f.apply({told("10.0.0." + std::to_string(i), i * 100)});
        }
        const auto reader = open_reader(f.settings);
        const auto before = reader->feed_ends();
        f.settings.retention.changes = 150s;
        f.reopen();
        static_cast<void>(f.store->sweep(utc(400), 100));  // rows at 100 and 200 are too old
        CHECK(reader->feed_ends().first == before.first + 2);
        CHECK(reader->feed_ends().last == before.last);
        static_cast<void>(f.store->sweep(utc(4000), 100));
        CHECK(f.engine->value("SELECT count(*) FROM binding_change") == "0");
        CHECK(reader->feed_ends().first == before.last + 1);
        CHECK(reader->feed_ends().last == before.last);
        const auto part = reader->changes_after(0, std::nullopt, 10);
        CHECK(part.cursor == 0);
        CHECK(part.ends.first == before.last + 1);
        f.now = utc(5000);
        f.apply({told("10.0.0.9", 4500)});
        CHECK(reader->changes_after(before.last, std::nullopt, 10).rows.size() == 1);
    }
}

TEST_CASE("waiting for changes ends with the next commit, or when patience does") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        const auto reader = open_reader(f.settings);
        static_cast<void>(reader->changes_after(0, std::nullopt, 10));
        reader->wait_for_changes(1ms);
        const auto began = std::chrono::steady_clock::now();
        // Committed since the last look: it does not wait at all.
        f.apply({told("10.0.0.1", 100)});
        reader->wait_for_changes(60s);
        CHECK(reader->changes_after(0, std::nullopt, 10).rows.size() == 1);
        // Committed while it waits.
        std::thread writer([&] { f.apply({told("10.0.0.2", 100)}); });
        reader->wait_for_changes(60s);
        writer.join();
        CHECK(std::chrono::steady_clock::now() - began < 30s);
    }
}

TEST_CASE("a reader that polls as fast as it can, while several write, misses no row and sees none twice") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        const bool one_writer = std::string(factory.name) == "sqlite";
        Fixture f(factory, {"s0", "s1", "s2"});
        f.check.skip = true;  // the stores below take the servers over
        if (!one_writer) f.store.reset();
        constexpr int batches = 60;
        std::atomic<int> at_work = one_writer ? 1 : 3;
        const auto write = [&](Store& store, const ResumePoint& server, std::size_t index) {
            for (int i = 0; i < batches; ++i) {
                Batch batch;
                batch.server = server.id;
                batch.now = utc(1000 + i);
                for (int n = 0; n < 15; ++n)  // each with another client than the last time
                    batch.changes.push_back(
                        told_of("10." + std::to_string(index) + ".0." + std::to_string(n), 100 + i, std::to_string(i)));
                store.apply(batch);
            }
        };
        std::vector<std::thread> writers;
        if (one_writer)
            writers.emplace_back([&] {
                for (std::size_t s = 0; s < 3; ++s)
                    write(*f.store, f.resume[s], s);
                --at_work;
            });
        for (std::size_t s = 0; s < 3 && !one_writer; ++s)
            writers.emplace_back([&, s] {
                const auto store = open_store(f.settings);
                const auto resume = store->open_servers(std::vector{f.specs[s]}, "writer");
                write(*store, resume.at(0), s);
                --at_work;
            });
        const auto reader = open_reader(f.settings);
        std::vector<std::int64_t> all, of_one;
        std::int64_t cursor = 0, cursor_of_one = 0;
        for (bool last_look = false;;) {
            const auto part = reader->changes_after(cursor, std::nullopt, 37);
            for (const auto& row : part.rows)
                all.push_back(seq_of(row));
            const auto more = reader->changes_after(cursor_of_one, "s1", 41);
            for (const auto& row : more.rows)
                of_one.push_back(seq_of(row));
            const bool idle = part.cursor == cursor && more.cursor == cursor_of_one;
            cursor = part.cursor;
            cursor_of_one = more.cursor;
            if (idle && last_look) break;
            last_look = at_work == 0;  // asked before the next look: what it does not see is not there
        }
        for (auto& writer : writers)
            writer.join();
        const auto stored = [&](const std::string& condition) {
            std::vector<std::int64_t> out;
            for (const auto& row : f.engine->rows("SELECT c.seq FROM binding_change AS c JOIN server AS s ON "
                                                  "s.server_id = c.server_id WHERE " +
                                                  condition + " ORDER BY c.seq"))
                out.push_back(std::stoll(row));
            return out;
        };
        CHECK(all.size() == 3 * (15 + 2 * 15 * (batches - 1)));
        CHECK(all == stored("1 = 1"));
        CHECK(of_one == stored("s.name = 's1'"));
    }
}

TEST_CASE("a reader writes nothing, and says what to do where there is no schema yet") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        const auto engine = factory.make();
        for (int i = 0; i < 2; ++i) {
            try {
                static_cast<void>(open_reader(engine->settings()));
                FAIL("no StoreError");
            } catch (const StoreError& e) {
                CHECK(e.fault() == StoreFault::unavailable);
                CHECK(std::string(e.what()).find("schema migrate") != std::string::npos);
            }
        }
        CHECK(schema_version(engine->settings()).found == 0);
    }
}

TEST_CASE("the queries of readers look up what they are asked for in an index, in tables of any size") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.apply({told("10.0.0.1", 100), told("2001:db8:1::/56", 100)});
        for (const auto& plan : plans(f, factory.name)) {
            CAPTURE(plan);
            for (const char* whole_table :
                 {"SCAN b\n", "SCAN l\n", "SCAN a\n", "SCAN c\n", "SCAN o\n", "SCAN n\n", "Seq Scan on binding",
                  "Seq Scan on assignment", "Seq Scan on binding_change"})
                CHECK(plan.find(whole_table) == std::string::npos);
            const bool uses_index =
                plan.find("USING ") != std::string::npos || plan.find("Index Cond") != std::string::npos;
            CHECK(uses_index);
        }
    }
}
