// What a server's word does to its bindings, over every engine.
#include "tests/storage/test_store.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::testing;
using Rows = std::vector<std::string>;

namespace {
/// Everything a reader can see but the order of writing.
Rows dump(const Engine& engine) {
    auto out = engine.rows("SELECT * FROM binding ORDER BY binding_id");
    for (const char* table : {"server", "gap", "quarantine"})
        for (auto& row : engine.rows(std::string("SELECT * FROM ") + table + " ORDER BY 1, 2"))
            out.push_back(row);
    return out;
}
}  // namespace

TEST_CASE("a batch applied twice leaves the same rows as once") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.apply({told("10.0.0.9", 10), listed("10.0.0.8", 5, 0)});
        auto batch = f.batch({listed("10.0.0.1", 20, 1), told("10.0.0.1", 21), told("10.0.0.2", 22),
                              told("10.0.0.2", 22, BindingState::released), told("10.0.0.9", 23)});
        batch.begin_run = 1;
        batch.reconcile = everything(1, 20);
        batch.gaps.push_back(open_gap(1, 1, 5));
        batch.gaps.push_back(open_gap(2, 7, 9));
        batch.gaps.push_back(close_gap(1, 3));
        batch.base_time = at(23);
        batch.fresh_as_of = utc(23);
        batch.quarantine = {{utc(23), "too short", id("abc")}};
        f.store->apply(batch);
        const auto once = dump(*f.engine);
        CHECK(f.states() ==
              Rows{"10.0.0.1 active", "10.0.0.2 released reported", "10.0.0.8 ended reconciled", "10.0.0.9 active"});
        f.store->apply(batch);
        CHECK(dump(*f.engine) == once);
        CHECK(f.counted() == 2);
    }
}

TEST_CASE("an older record loses, and a newer one wins") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        CHECK(f.apply({told("10.0.0.1", 20)}).stored == 1);
        CHECK(f.apply({told("10.0.0.1", 14, BindingState::released)}).stored == 0);
        CHECK(f.states() == Rows{"10.0.0.1 active"});
        const auto applied = f.apply({told("10.0.0.1", 21, BindingState::released)});
        CHECK(applied.stored == 1);
        CHECK(applied.ended == 1);
        CHECK(f.states() == Rows{"10.0.0.1 released reported"});
        CHECK(f.counted() == 0);
    }
}

TEST_CASE("at the same base-time active beats bulk and bulk does not beat active") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        f.apply({listed("10.0.0.1", 20, 0), told("10.0.0.1", 20, BindingState::released)});
        CHECK(f.states() == Rows{"10.0.0.1 released reported"});
        f.apply({listed("10.0.0.1", 20, 0)});
        CHECK(f.states() == Rows{"10.0.0.1 released reported"});
        f.apply({listed("10.0.0.1", 21, 0)});
        CHECK(f.states() == Rows{"10.0.0.1 active"});
    }
}

TEST_CASE("a record of an older epoch loses whatever its base-time") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto first = f.batch({told("10.0.0.1", 900)});
        first.base_time = at(900);
        f.store->apply(first);
        auto fresh = f.batch({told("10.0.0.1", 100, BindingState::released)});
        fresh.fresh_start = true;
        f.store->apply(fresh);
        CHECK(f.states() == Rows{"10.0.0.1 released reported"});
        f.reopen();
        CHECK(f.resume[0].epoch == 1);
        CHECK_FALSE(f.resume[0].base_time);
    }
}

TEST_CASE("changes of one key in a batch take effect in order") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        const auto applied = f.apply({told("10.0.0.1", 20), told("10.0.0.1", 20, BindingState::released),
                                      told("10.0.0.1", 21), told("10.0.0.1", 22, BindingState::expired)});
        CHECK(applied.stored == 4);
        CHECK(applied.ended == 2);
        CHECK(f.states() == Rows{"10.0.0.1 expired reported"});
        CHECK(f.counted() == 0);
    }
}

TEST_CASE("a renewal keeps its row and a change of client shows in the identifiers") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto change = told("10.0.0.1", 20);
        change.binding.expires_at = at(5000);
        change.binding.hw_addr = {0, 0x1A, 2};
        f.apply({change});
        change.binding.base_time = at(30);
        change.binding.expires_at = at(6000);
        f.apply({change});
        CHECK(f.engine->value("SELECT count(*), epoch(min(expires_at)), min(hw_addr) FROM binding") ==
              "1|" + std::to_string(test_epoch + 6000) + "|00:1a:02");
        change.binding.base_time = at(40);
        change.binding.client_id = id("other");
        change.binding.hw_addr.clear();
        f.apply({change});
        CHECK(f.engine->value("SELECT client_id, hw_addr FROM binding WHERE client_id = unhex('6F74686572')") ==
              "other|-");
        CHECK(f.engine->rows("SELECT 1 FROM binding WHERE hw_addr = '00:1a:02'").empty());
    }
}

TEST_CASE("times are stored in our clock and the base-time in the server's") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto change = told("10.0.0.1", 3600);
        change.binding.expires_at = at(7200);
        change.binding.client_last_seen = at(3590);
        auto batch = f.batch({change});
        batch.skew = Skew{3600 * 1000};
        f.store->apply(batch);
        const auto s = [](std::int64_t n) { return std::to_string(test_epoch + n); };
        CHECK(f.engine->value("SELECT epoch(expires_at), epoch(client_last_seen), epoch(base_time) FROM binding") ==
              s(3600) + "|" + s(-10) + "|" + s(3600));
    }
}

TEST_CASE("an active record whose expiry has passed on arrival is stored ended") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto change = told("10.0.0.1", 900);
        change.binding.expires_at = at(1000);
        f.apply({change});
        CHECK(f.states() == Rows{"10.0.0.1 ended expired"});
        CHECK(f.counted() == 0);
        change.binding.expires_at = at(1001);
        change.binding.base_time = at(901);
        f.apply({change});
        CHECK(f.states() == Rows{"10.0.0.1 active"});
    }
}

TEST_CASE("a repeated batch does not bring back what has expired since") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto change = told("10.0.0.1", 900);
        change.binding.expires_at = at(1100);
        const auto batch = f.batch({change});
        f.store->apply(batch);
        CHECK(f.store->sweep(utc(1100), 10).ended == 1);
        f.store->apply(batch);
        CHECK(f.states() == Rows{"10.0.0.1 ended expired"});
        // But a server that tells it anew, after our clock ran ahead and was put right, is believed.
        auto again = change;
        again.binding.base_time = at(950);
        f.apply({again});
        CHECK(f.states() == Rows{"10.0.0.1 active"});
    }
}

TEST_CASE("a lifetime of zero in v6 is an end that the server reported") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        f.apply({told("2001:db8::1", 20), told("2001:db8:1::/48", 20)});
        f.apply({told("2001:db8::1", 21, BindingState::ended)});
        CHECK(f.states() == Rows{"2001:db8::1 ended reported", "2001:db8:1:: active"});
        CHECK(f.engine->value("SELECT family, prefix_len FROM binding WHERE kind = 'prefix'") == "v6|48");
        const bool sqlite = std::string_view(factory.name) == "sqlite";
        CHECK(f.engine->value(sqlite ? "SELECT hex(address_key), hex(last_key) FROM binding WHERE kind = 'prefix'"
                                     : "SELECT network FROM binding WHERE network IS NOT NULL") ==
              (sqlite ? "20010DB8000100000000000000000000|20010DB80001FFFFFFFFFFFFFFFFFFFF" : "2001:db8:1::/48"));
    }
}

TEST_CASE("addresses of different VPNs are different bindings") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto red = told("10.0.0.1", 20);
        red.binding.key.vpn_id = "ascii:red";
        f.apply({told("10.0.0.1", 20), red});
        CHECK(f.counted() == 2);
        red.binding.base_time = at(21);
        red.binding.state = BindingState::released;
        f.apply({red});
        CHECK(f.counted() == 1);
    }
}

TEST_CASE("a scope stays until the relay changes, and a bulk record that lost still marks it") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        const auto marks = [&] { return f.engine->value("SELECT seen_run, scope FROM binding"); };
        f.apply({listed("10.0.0.1", 20, 3, 7)});
        CHECK(marks() == "3|7");
        f.apply({told("10.0.0.1", 21)});
        CHECK(marks() == "3|7");
        auto moved = told("10.0.0.1", 22);
        moved.binding.relay_id = id("relay 2");
        f.apply({moved});
        CHECK(marks() == "3|0");
        f.apply({listed("10.0.0.1", 20, 4, 8)});
        CHECK(marks() == "4|8");
        CHECK(f.engine->value("SELECT via, relay_id FROM binding") == "active|relay 2");
    }
}

TEST_CASE("text from servers is stored as valid UTF-8 and options as JSON") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto change = told("10.0.0.1", 20);
        change.binding.hostname = std::string("a\0b\xff\\", 5);
        change.binding.options = {0, 39, 0, 2, 0, 0xab, 0, 16, 0, 0};
        f.apply({change});
        CHECK(f.engine->value("SELECT hostname, options FROM binding") == R"(a\x00b\xff\|{"16":"","39":"00ab"})");
    }
}

TEST_CASE("a change whose values the database refuses goes to quarantine alone") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto bad = told("10.0.0.2", 20);
        bad.binding.key.prefix_len = 200;
        const auto applied = f.apply({told("10.0.0.1", 20), bad, told("10.0.0.3", 20)});
        CHECK(applied.stored == 2);
        REQUIRE(applied.refused.size() == 1);
        CHECK(applied.refused[0].find("10.0.0.2") != std::string::npos);
        CHECK(f.states() == Rows{"10.0.0.1 active", "10.0.0.3 active"});
        CHECK(f.counted() == 2);
        CHECK(f.engine->value("SELECT count(*) FROM quarantine WHERE hex(message) LIKE '%31302E302E302E32%'") == "1");
    }
}
