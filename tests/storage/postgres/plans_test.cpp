// That PostgreSQL looks things up by an index in tables of a size that counts: for readers, by the plans that it tells;
// for the store, by the rows that it has touched.
#include "tests/storage/postgres_engine.hpp"
#include "tests/storage/test_store.hpp"

#include "storage/opening.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::testing;
using Rows = std::vector<std::string>;

namespace {

/// 100,000 addresses on 8 servers, each with what it was before in `assignment`, and 20,000 prefixes. The addresses of
/// the first two servers are the same ones, as of failover partners.
constexpr const char* fill_sql = R"sql(
    INSERT INTO binding (server_id, vpn_id, kind, address, prefix_len, family, state, client_id, hw_addr,
        client_last_seen, expires_at, relay_id, remote_id, circuit_id, data_source, base_time, via, updated_at, epoch, seen_run,
        scope, assignment_id, boundary_at)
    SELECT s.server_id, '', 'address', inet '10.0.0.0' + n + CASE WHEN s.place > 2 THEN 20000 * s.place ELSE 0 END, 32, 'v4',
        CASE WHEN n % 10 = 0 THEN 'released' ELSE 'active' END, ('client ' || s.place || ' ' || n)::bytea,
        'hw ' || s.place || ' ' || n, to_timestamp(1700000000), CASE WHEN n % 3 > 0 THEN now() + interval '1 day' END,
        ('relay ' || s.place || ' ' || n / 100)::bytea, ('line ' || s.place || ' ' || n)::bytea,
        ('port ' || s.place || ' ' || n)::bytea, 'local', to_timestamp(1700000000), 'active',
        to_timestamp(1700000000), 0, 1, 7, NULL, to_timestamp(1700000000)
    FROM (SELECT server_id, row_number() OVER (ORDER BY server_id) AS place FROM server) AS s,
         generate_series(1, 12500) AS n;
    UPDATE binding SET end_reason = 'reported' WHERE state <> 'active';
    INSERT INTO binding (server_id, vpn_id, kind, address, prefix_len, family, state, client_id, data_source, base_time,
        via, updated_at, epoch, seen_run, scope)
    SELECT (SELECT max(server_id) FROM server), '', 'prefix', ('2001:db8:' || to_hex(n) || '::')::inet, 48, 'v6', 'active',
        ('prefix client ' || n)::bytea, 'local', to_timestamp(1700000000), 'active', to_timestamp(1700000000), 0, 1, 7
    FROM generate_series(1, 20000) AS n;
    INSERT INTO assignment (server_id, vpn_id, kind, address, prefix_len, client_id, hw_addr, relay_id, remote_id,
        circuit_id, began_at, began_inferred, ended_at, end_reason)
    SELECT server_id, vpn_id, kind, address, prefix_len, client_id, hw_addr, relay_id, remote_id, circuit_id,
        to_timestamp(1600000000 + binding_id), false,
        to_timestamp(1600900000 + binding_id), 'reported'
    FROM binding;
    INSERT INTO assignment (server_id, vpn_id, kind, address, prefix_len, client_id, hw_addr, relay_id, remote_id,
        circuit_id, began_at, began_inferred)
    SELECT server_id, vpn_id, kind, address, prefix_len, client_id, hw_addr, relay_id, remote_id, circuit_id, boundary_at,
        false
    FROM binding WHERE state = 'active' AND boundary_at IS NOT NULL;
    INSERT INTO binding_change (at, server_id, vpn_id, kind, address, prefix_len, change, state, client_id, detail, inferred)
    SELECT to_timestamp(1700000000), server_id, vpn_id, kind, address, prefix_len, 'assigned', state, client_id, '{}', false
    FROM binding)sql";

/// The one database of this file: filling it takes seconds.
struct Large : Fixture {
    Large() : Fixture({"postgresql", make_postgres_engine_alone}, {"s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"}) {
        check.skip = true;
        for (const char* table : {"binding", "assignment", "binding_change"})
            engine->execute(std::string("ALTER TABLE ") + table + " SET (autovacuum_enabled = false)");
    }
    void fill() { engine->execute(fill_sql); }

    /// A batch of all kinds of writing, 200 changes; of addresses of which a full table has those with "10.0.3.".
    Applied write(std::int64_t base, const std::string& known_net = "10.0.3.") {
        auto out = batch();
        for (int n = 0; n < 100; ++n) {
            auto known = told(known_net + std::to_string(n), base);
            if (n % 10 == 0) known.binding.client_id = id(std::to_string(base));
            if (n % 10 == 1) known.binding.state = BindingState::released;
            out.changes.push_back(known);
            out.changes.push_back(told("172.16.0." + std::to_string(n), base));
        }
        out.changes.push_back(list_end("client 1 5000", "", base, 0));
        out.changes.push_back(listed(known_net + "5", 0, 3));
        return store->apply(out);
    }

    std::string plan(const std::string& sql) const {
        std::string out;
        for (const auto& line : engine->rows("EXPLAIN " + sql))
            out += line + '\n';
        return out;
    }

    /// Rows of the large tables that were read so far, by sessions that are gone or have been idle.
    std::int64_t rows_read_by_others() const {
        return std::stoll(
            engine->value("SELECT sum(seq_tup_read) + sum(idx_tup_fetch) FROM pg_stat_user_tables WHERE "
                          "relname IN ('binding', 'assignment', 'binding_change')"));
    }
    /// And by the store, which is gone after this.
    std::int64_t rows_read() {
        store.reset();
        while (engine->value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'leasemirror' AND datname "
                             "= current_database()") != "0") {
        }
        return rows_read_by_others();
    }
};

const struct {
    const char* where;
    const char* index;
} lookups[] = {
    {"address = '10.0.5.5'", "binding_key"},
    {"address = '10.0.5.5' AND vpn_id = '' AND kind = 'address'", "binding_key"},
    {"address = '10.0.5.5' AND server = 's1'", "binding_key"},
    {"address <<= '10.0.5.0/28'", "binding_key"},
    {"address << '2001:db8:100::/44'", "binding_key"},
    {"network >>= '2001:db8:77::1'", "binding_network"},
    {"network >>= '2001:db8:77::1' OR address = '2001:db8:77::1'", "binding_network"},
    {"network && '2001:db8:100::/44'", "binding_network"},
    {"client_id = 'client 1 77'", "binding_client_id"},
    {"hw_addr = 'hw 1 77'", "binding_hw_addr"},
    {"relay_id = 'relay 1 5'", "binding_relay_id"},
    {"remote_id = 'line 1 8'", "binding_remote_id"},
    {"circuit_id = 'port 1 8'", "binding_circuit_id"},
};

const struct {
    const char* where;
    const char* index;
} lookups_then[] = {
    {"address = '10.0.5.5'", "assignment_address"},
    {"network >>= '2001:db8:77::1'", "assignment_network"},
    {"client_id = 'client 1 77'", "assignment_client_id"},
    {"hw_addr = 'hw 1 77'", "assignment_hw_addr"},
    {"md5(relay_id) = md5('relay 1 5'::bytea) AND relay_id = 'relay 1 5'", "assignment_relay_id"},
    {"md5(remote_id) = md5('line 1 8'::bytea) AND remote_id = 'line 1 8'", "assignment_remote_id"},
    {"md5(circuit_id) = md5('port 1 8'::bytea) AND circuit_id = 'port 1 8'", "assignment_circuit_id"},
};

}  // namespace

TEST_CASE("leases are looked up by an index, now and then, before and after ANALYZE" *
          doctest::skip(without_postgres())) {
    Large f;
    f.fill();
    for (const char* statistics : {"none", "ANALYZE"}) {
        CAPTURE(statistics);
        if (std::string(statistics) == "ANALYZE") f.engine->execute("ANALYZE");
        for (const auto& lookup : lookups) {
            const auto plan = f.plan(std::string("SELECT * FROM lease WHERE ") + lookup.where);
            CAPTURE(plan);
            CHECK(plan.find(lookup.index) != std::string::npos);
            CHECK(plan.find("Seq Scan on binding") == std::string::npos);
            CHECK(plan.find("Index Cond") != std::string::npos);
        }
        for (const auto& lookup : lookups_then) {
            const auto plan =
                f.plan(std::string("SELECT * FROM lease_at('2021-01-01 00:00:00Z') WHERE ") + lookup.where);
            CAPTURE(plan);
            CHECK(plan.find(lookup.index) != std::string::npos);
            CHECK(plan.find("Seq Scan on assignment") == std::string::npos);
        }
        CHECK(f.plan("SELECT * FROM binding_change WHERE seq > 50000 ORDER BY seq LIMIT 100")
                  .find("binding_change_pkey") != std::string::npos);
    }
    CHECK(f.plan("SELECT * FROM binding_overview WHERE doubt IS NOT NULL").find("binding_doubt") != std::string::npos);
    CHECK(f.engine->rows("SELECT server, also_on, host(address) FROM lease WHERE client_id = 'client 1 77'") ==
          Rows{"s1|s2|10.0.0.77"});
    CHECK(f.engine->value("SELECT network FROM lease WHERE network >>= '2001:db8:77::1'") == "2001:db8:77::/48");
    CHECK(f.engine->value("SELECT count(*) FROM lease_at('2020-09-20 00:00:00Z') WHERE address = '10.0.5.5'") == "2");
}

TEST_CASE("what the store reads for a batch does not grow with its tables" * doctest::skip(without_postgres())) {
    Large f;
    // Plans are kept: those that were made for empty tables too.
    f.write(100, "172.16.1.");
    f.write(101, "172.16.1.");
    f.fill();
    f.engine->execute("SELECT pg_stat_force_next_flush()");
    const auto filled = f.rows_read_by_others();
    f.write(200);
    CHECK(f.rows_read() - filled < 10'000);

    for (const char* statistics : {"none", "ANALYZE"}) {
        CAPTURE(statistics);
        if (std::string(statistics) == "ANALYZE") f.engine->execute("ANALYZE");
        auto before = f.rows_read();
        f.reopen();
        f.write(std::string(statistics) == "none" ? 300 : 400);
        CHECK(f.rows_read() - before < 5000);

        before = f.rows_read();
        f.reopen();
        auto listing = f.batch();
        listing.list_doubts = true;
        f.store->apply(listing);
        CHECK(f.rows_read() - before < 1000);

        // Each store looks at its own servers.
        before = f.rows_read();
        f.store = open_store(f.settings);
        const auto own = std::span(f.specs).first(1);
        f.resume = f.store->open_servers(own, "test");
        static_cast<void>(f.store->sweep(f.now, 1000));
        CHECK(f.rows_read() - before < 1100);

        before = f.rows_read();
        f.store = open_store(f.settings);
        f.resume = f.store->open_servers(own, "test");
        auto batch = f.batch();
        batch.reconcile = everything(1, 100);
        f.store->apply(batch);
        CHECK(f.rows_read() - before < 13'500);
    }
}
