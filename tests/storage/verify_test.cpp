// What `verify` reads, and what it leaves behind. Over every engine.
#include "tests/storage/test_store.hpp"

#include "storage/ledger/mirror_reader.hpp"
#include "storage/ledger/told_row.hpp"
#include "storage/opening.hpp"
#include "storage/postgres/verify.hpp"
#include "storage/sqlite/verify.hpp"

#include <doctest/doctest.h>
#include <algorithm>

using namespace leasemirror;
using namespace leasemirror::testing;
using Rows = std::vector<std::string>;

namespace {

Rows texts(std::vector<BindingRow> rows) {
    std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
    Rows out;
    for (const auto& row : rows)
        out.push_back(row.key.address.to_string() + "/" + std::to_string(row.key.prefix_len) + " " + row.key.vpn_id +
                      " " + std::string(to_string(row.state)));
    return out;
}

IpAddress address(const std::string& text) {
    return IpAddress::parse(text).value();
}

Change in_vpn(Change change, const std::string& vpn) {
    change.binding.key.vpn_id = vpn;
    return change;
}

}  // namespace

TEST_CASE("every row of one server at an address is read, in force or not, in whatever VPN") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory, {"east", "west"});
        f.apply({told("10.0.0.1", 100), in_vpn(told("10.0.0.1", 100), "ascii:blue"),
                 told("10.0.0.2", 100, BindingState::released), told("10.0.0.3", 100)});
        f.store->apply(f.batch({told("10.0.0.1", 100)}, 1));
        const auto reader = open_mirror_reader(f.settings);
        const std::vector wanted{address("10.0.0.1"), address("10.0.0.2"), address("10.0.0.9")};
        CHECK(texts(reader->rows_at(f.resume[0].id, wanted)) ==
              Rows{"10.0.0.1/32  active", "10.0.0.2/32  released", "10.0.0.1/32 ascii:blue active"});
        CHECK(reader->rows_at(f.resume[0].id, {}).empty());
    }
}

TEST_CASE("a row that is read back is, column by column, what the server told") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        auto change = in_vpn(told("10.0.0.1", 100), "ascii:a\x01");
        auto& b = change.binding;
        b.hw_type = 1;
        b.hw_addr = {2, 0, 0, 0, 0, 1};
        b.client_last_seen = at(90);
        b.state_since = at(80);
        b.expires_at = at(4000);  // the tests' clock is before that
        b.preferred_until = at(3000);
        b.renew_at = at(2000);
        b.rebind_at = at(2500);
        b.link_address = address("10.0.0.254");
        b.relay_address = address("10.0.0.253");
        b.relay_id = id("relay");
        b.remote_id = id("remote");
        b.circuit_id = id("circuit");
        b.subscriber_id = id("subscriber");
        b.hostname =
            "a\x02"
            "b";
        b.options = {0, 12, 0, 1, 7, 0, 60, 0, 2, 1, 2};
        b.data_source = DataSource::remote;
        change.skew = Skew{-2400};
        f.apply({change});
        std::string scratch;
        const auto expected = told_row(b, Skew{-2400}, scratch);
        const auto found = open_mirror_reader(f.settings)->rows_at(f.resume[0].id, std::vector{b.key.address});
        REQUIRE(found.size() == 1);
        const auto& row = found[0];
        CHECK(row.in_force());
        CHECK(row.key == expected.key);
        CHECK(row.client_id == expected.client_id);
        CHECK(row.hw_type == expected.hw_type);
        CHECK(row.hw_addr == expected.hw_addr);
        CHECK(row.client_last_seen == expected.client_last_seen);
        CHECK(row.state_since == expected.state_since);
        CHECK(row.expires_at == expected.expires_at);
        CHECK(row.preferred_until == expected.preferred_until);
        CHECK(row.renew_at == expected.renew_at);
        CHECK(row.rebind_at == expected.rebind_at);
        CHECK(row.link_address == expected.link_address);
        CHECK(row.relay_address == expected.relay_address);
        CHECK(row.relay_id == expected.relay_id);
        CHECK(row.remote_id == expected.remote_id);
        CHECK(row.circuit_id == expected.circuit_id);
        CHECK(row.subscriber_id == expected.subscriber_id);
        CHECK(row.hostname == expected.hostname);
        CHECK(row.options == expected.options);
        CHECK(row.data_source == expected.data_source);
        CHECK(row.age.base_time == expected.age.base_time);
    }
}

TEST_CASE("what is in force is read page by page, each row once") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory, {"east", "west"});
        for (int i = 1; i <= 9; ++i) {
            const auto text = "10.0.0." + std::to_string(i);
            // Of the other server between, so that the numbers have holes; and two pages without anything in force.
            f.apply({i >= 3 && i <= 6 ? told(text, 100, BindingState::released) : told(text, 100)});
            f.store->apply(f.batch({told(text, 100)}, 1));
        }
        const auto reader = open_mirror_reader(f.settings);
        std::vector<BindingRow> all;
        int pages = 0;
        for (std::int64_t after = 0;; ++pages) {
            auto page = reader->in_force_after(f.resume[0].id, after, 2);
            CHECK(page.rows.size() <= 2);
            if (page.cursor == after) break;
            after = page.cursor;
            all.insert(all.end(), page.rows.begin(), page.rows.end());
        }
        CHECK(pages == 5);
        CHECK(texts(all) == Rows{"10.0.0.1/32  active", "10.0.0.2/32  active", "10.0.0.7/32  active",
                                 "10.0.0.8/32  active", "10.0.0.9/32  active"});
    }
}

TEST_CASE("a result is written beside an agent at work, which goes on") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory, {"east", "west"});
        f.apply({told("10.0.0.1", 100)});
        record_verify(f.settings, f.resume[0].id, utc(500), 3);
        const auto sql =
            std::string("SELECT name, verify_differences, last_verify_at IS NULL FROM server ORDER BY name");
        const auto yes = f.engine->rows("SELECT last_verify_at IS NULL FROM server WHERE name = 'west'").at(0);
        const auto no = f.engine->rows("SELECT last_verify_at IS NULL FROM server WHERE name = 'east'").at(0);
        CHECK(yes != no);
        CHECK(f.engine->rows(sql) == Rows{"east|3|" + no, "west|-|" + yes});
        CHECK(f.apply({told("10.0.0.2", 101)}).stored == 1);
        CHECK(f.engine->rows(sql).at(0) == "east|3|" + no);
        record_verify(f.settings, f.resume[0].id, utc(600), 0);
        CHECK(f.engine->rows(sql).at(0) == "east|0|" + no);
    }
}

TEST_CASE("no query of verify reads a whole table") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.apply({told("10.0.0.1", 100)});
        const bool sqlite = std::string(factory.name) == "sqlite";
        for (const auto& sql : sqlite ? sqlite_verify_queries() : postgres_verify_queries()) {
            CAPTURE(sql);
            const auto parameters = sql.find("$3") != std::string::npos ? "NULL, NULL, NULL" : "NULL, NULL";
            const auto explain =
                sqlite ? "EXPLAIN QUERY PLAN " + sql
                       : "SET enable_seqscan TO off; SET plan_cache_mode TO force_generic_plan; DEALLOCATE ALL; "
                         "PREPARE q AS " +
                             sql + "; EXPLAIN (COSTS OFF) EXECUTE q (" + parameters + ")";
            std::string plan;
            for (const auto& row : f.engine->rows(explain))
                plan += row + "\n";
            CAPTURE(plan);
            CHECK(plan.find("SCAN binding") == std::string::npos);
            CHECK(plan.find("Seq Scan") == std::string::npos);
            CHECK(plan.find("TEMP B-TREE") == std::string::npos);
            CHECK(plan.find("Sort") == std::string::npos);
            const bool by_index = plan.find("USING ") != std::string::npos || plan.find("Index") != std::string::npos;
            CHECK(by_index);
        }
    }
}
