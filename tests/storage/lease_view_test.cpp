// The view `lease`: which server's record shows, what hides it, and that looking things up uses indexes. The view has
// no clock but the real one, so times here are long past or never.
#include "tests/storage/test_store.hpp"

#include "storage/opening.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::testing;
using Rows = std::vector<std::string>;

namespace {

/// What one server says of 10.0.0.1. Times are in the server's clock.
struct Record {
    BindingState state = BindingState::active;
    std::optional<int> seen = {};
    std::optional<int> since = {};
    DataSource source = DataSource::local;
    int base = 500;
    int skew_s = 0;
    bool past_expiry = false;
};

struct Case {
    const char* what;
    Record a, b;
    const char* shown;  // "server also_on" of the one row, "" for none
};

void tell(Fixture& f, std::size_t server, const Record& record) {
    auto change = told("10.0.0.1", record.base, record.state);
    if (record.seen) change.binding.client_last_seen = at(*record.seen);
    if (record.since) change.binding.state_since = at(*record.since);
    if (record.past_expiry) change.binding.expires_at = at(record.skew_s + 1001);
    change.binding.data_source = record.source;
    auto batch = f.batch({change}, server);
    batch.skew = std::chrono::seconds{record.skew_s};
    batch.status = ServerStatus{};
    batch.status->skew = batch.skew;
    f.store->apply(batch);
}

const auto released = BindingState::released;
const auto available = BindingState::available;
const auto remote_state = BindingState::remote;
const auto remote = DataSource::remote;

const Case cases[] = {
    {"both were seen: the later one", {.seen = 10}, {.seen = 20}, "b a"},
    {"the later one although its base-time is older", {.seen = 20, .base = 400}, {.seen = 10, .base = 900}, "a b"},
    {"one was seen: against the other's start of state", {.seen = 10}, {.since = 20}, "b a"},
    {"the same the other way round", {.seen = 30, .since = 1}, {.since = 20}, "a b"},
    {"seen counts before the start of state", {.seen = 10, .since = 99}, {.seen = 20, .since = 5}, "b a"},
    {"neither was seen: the later start of state", {.since = 30}, {.since = 20}, "a b"},
    {"a tie: local before remote", {.seen = 10, .source = remote}, {.seen = 10}, "b a"},
    {"no times at all: local before remote", {.source = remote, .base = 900}, {.base = 100}, "b a"},
    {"one has no times: local before remote", {.seen = 10, .source = remote}, {}, "b a"},
    {"still a tie: the later base-time", {.seen = 10, .base = 500}, {.seen = 10, .base = 501}, "b a"},
    {"base-times are compared in our clock", {.seen = 10, .base = 500}, {.seen = 70, .base = 550, .skew_s = 60}, "a b"},
    {"times are compared in our clock", {.seen = 10}, {.seen = 65, .skew_s = 60}, "a b"},
    {"all the same: the first server", {.seen = 10}, {.seen = 10}, "a b"},
    {"a later release hides the lease", {.seen = 10}, {.state = released, .seen = 20}, ""},
    {"an earlier release does not", {.seen = 30}, {.state = released, .seen = 20}, "a -"},
    {"a later abandonment by start of state", {.seen = 10}, {.state = BindingState::abandoned, .since = 20}, ""},
    {"a later end in v6", {.seen = 10}, {.state = BindingState::ended, .seen = 20}, ""},
    {"AVAILABLE never hides", {.seen = 10}, {.state = available, .since = 20}, "a -"},
    {"AVAILABLE without times neither", {.seen = 10}, {.state = available, .base = 900}, "a -"},
    {"REMOTE never hides", {.seen = 10}, {.state = remote_state, .seen = 20}, "a -"},
    {"a later one past its expiry hides", {.seen = 10}, {.seen = 20, .past_expiry = true}, ""},
    {"an earlier one past its expiry does not", {.seen = 30}, {.seen = 20, .past_expiry = true}, "a -"},
    {"the only one past its expiry is gone", {.past_expiry = true}, {.state = available}, ""},
};

}  // namespace

TEST_CASE("of what two servers say of an address the winner shows") {
    for (const auto& factory : engines()) {
        for (const auto& c : cases) {
            CAPTURE(c.what);
            Fixture f(factory, {"a", "b"});
            tell(f, 0, c.a);
            tell(f, 1, c.b);
            const auto shown = f.engine->rows("SELECT server || ' ' || coalesce(also_on, '-') FROM lease");
            CHECK(shown == (*c.shown == '\0' ? Rows{} : Rows{c.shown}));
        }
    }
}

TEST_CASE("a binding that the other server's bulk no longer listed does not hide the lease") {
    for (const auto& factory : engines()) {
        Fixture f(factory, {"a", "b"});
        tell(f, 0, {.seen = 10});
        tell(f, 1, {.seen = 20});
        auto batch = f.batch({}, 1);
        batch.reconcile = everything(1, 900);
        CHECK(f.store->apply(batch).reconciled == 1);
        CHECK(f.engine->rows("SELECT server, also_on FROM lease") == Rows{"a|-"});
    }
}

TEST_CASE("of three records where one has no times exactly one shows") {
    for (const auto& factory : engines()) {
        Fixture f(factory, {"a", "b", "c"});
        // Pair by pair: c beats a by its time, b beats c and a beats b by base-time.
        tell(f, 0, {.seen = 10, .base = 300});
        tell(f, 1, {.base = 200});
        tell(f, 2, {.seen = 20, .base = 100});
        CHECK(f.engine->rows("SELECT server, also_on FROM lease") == Rows{"a|b,c"});
    }
}

TEST_CASE("addresses, prefixes and VPNs do not compete with each other") {
    for (const auto& factory : engines()) {
        Fixture f(factory, {"a", "b"});
        auto red = told("2001:db8::", 20);
        red.binding.key.vpn_id = "ascii:red";
        f.apply({told("2001:db8::", 20), told("2001:db8::/48", 20), told("2001:db8::/56", 20), red});
        f.store->apply(f.batch({told("2001:db8::/56", 30)}, 1));
        CHECK(f.engine->value("SELECT count(*), count(also_on) FROM lease") == "4|1");
    }
}

TEST_CASE("identifiers show as text if they are printable, else as hex with colons") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto change = told("10.0.0.1", 20);
        change.binding.client_id = {1, 0x0a, 0xff};
        change.binding.relay_id = id("relay 7~");
        change.binding.remote_id = {'a', 0, 'b'};
        change.binding.circuit_id = {'a', 0xc3, 0xa4};
        change.binding.expires_at = at(100'000'000'0);
        f.apply({change});
        for (const char* view : {"lease", "binding_overview"})
            CHECK(f.engine->value(std::string("SELECT client_id_text, relay_id_text, remote_id_text, circuit_id_text "
                                              "FROM ") +
                                  view) == "01:0a:ff|relay 7~|61:00:62|61:c3:a4");
        change.binding = told("10.0.0.1", 30).binding;
        change.binding.client_id.clear();
        f.apply({change});
        CHECK(f.engine->value("SELECT client_id_text, relay_id_text, expires_at FROM lease") == "-|-|-");
    }
}

TEST_CASE("the view shows readable times, and the winner's freshness") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        auto batch = f.batch({told("10.0.0.1", 20)});
        batch.fresh_as_of = utc(20);
        f.store->apply(batch);
        const auto s = [](std::int64_t seconds) { return "|" + std::to_string(test_epoch + seconds); };
        CHECK(f.engine->value("SELECT server, epoch(base_time), epoch(fresh_as_of), epoch(updated_at) FROM lease") ==
              "east" + s(20) + s(20) + s(1000));
        if (std::string_view(factory.name) == "sqlite")
            CHECK(f.engine->value("SELECT fresh_as_of FROM lease") == "2023-11-14T22:13:40Z");
    }
}

TEST_CASE("looking up a lease is an index lookup, by whatever key") {
    const struct {
        const char* where;
        const char* plan;
    } lookups[] = {
        {"address = '10.0.0.1'", "SEARCH b USING INDEX binding_key (address=?"},
        {"address = ?1 AND vpn_id = ''", "SEARCH b USING INDEX binding_key (address=?"},
        {"client_id = ?1", "SEARCH b USING INDEX binding_client_id (client_id=?)"},
        {"client_id = ?1 AND server = 'a'", "SEARCH b USING INDEX binding_client_id (client_id=?)"},
        {"hw_addr = ?1", "SEARCH b USING INDEX binding_hw_addr (hw_addr=?)"},
        {"relay_id = ?1", "SEARCH b USING INDEX binding_relay_id (relay_id=?)"},
        {"remote_id = ?1", "SEARCH b USING INDEX binding_remote_id (remote_id=?)"},
        {"server = ?1", "SEARCH b USING INDEX binding_server (server_id=?)"},
    };
    Fixture f(engines().at(0));
    for (const auto& lookup : lookups) {
        CAPTURE(lookup.where);
        std::string plan;
        for (const auto& row :
             f.engine->rows(std::string("EXPLAIN QUERY PLAN SELECT * FROM lease WHERE ") + lookup.where))
            plan += row + "\n";
        CAPTURE(plan);
        CHECK(plan.find(lookup.plan) != std::string::npos);
        for (const char* table : {"SCAN b", "SCAN o", "SCAN n", "SCAN binding"})
            CHECK(plan.find(table) == std::string::npos);
    }
}

TEST_CASE("the containing prefixes of an address are found by the query that the schema gives") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        f.apply({told("2001:db8:0:100::/56", 20), told("2001:db8::/32", 20), told("2001:db8:0:200::/56", 20),
                 told("2001:db8:0:1ff::/64", 20), told("2001:db8:0:100::1", 20)});
        // The query stands in the schema as a comment: take it from there, so that it stays true.
        const bool sqlite = std::string_view(factory.name) == "sqlite";
        const std::string first = sqlite ? "WITH RECURSIVE len (l)" : "SELECT * FROM lease WHERE network >>=";
        const std::string last = sqlite ? "ORDER BY l DESC" : "ORDER BY prefix_len DESC";
        const auto schema = schema_sql(f.engine->settings());
        const auto containing = [&](const std::string& address) {
            auto sql = schema.substr(schema.find(first));
            sql.resize(sql.find(last) + last.size());
            const auto replace = [&sql](const std::string& what, const std::string& by) {
                for (auto at = sql.find(what); at != std::string::npos; at = sql.find(what))
                    sql.replace(at, what.size(), by);
            };
            replace("--", "  ");
            replace(":key", "sortable('" + address + "')");
            replace("'2001:db8::1'", "'" + address + "'");
            replace(sqlite ? "lease.*" : "SELECT *",
                    sqlite ? "lease.address || '/' || lease.prefix_len" : "SELECT host(address) || '/' || prefix_len");
            return f.engine->rows(sql);
        };
        CHECK(containing("2001:db8:0:1ff::1") == Rows{"2001:db8:0:1ff::/64", "2001:db8:0:100::/56", "2001:db8::/32"});
        CHECK(containing("2001:db8:0:300::1") == Rows{"2001:db8::/32"});
        CHECK(containing("2001:db9::1").empty());
    }
}
