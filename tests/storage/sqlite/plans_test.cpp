// That what people look up is found through an index, however much there is. LEASEMIRROR_ROWS sets how many bindings
// there are; `cmake --build BUILD --target lookup_bench` does it with five million, and prints how long each takes.
#include "tests/storage/test_store.hpp"

#include "storage/opening.hpp"

#include <doctest/doctest.h>
#include <algorithm>
#include <chrono>
#include <cstdlib>

using namespace leasemirror;
using namespace leasemirror::testing;

namespace {

constexpr std::size_t servers = 8;

std::size_t rows_wanted() {
    const char* wanted = std::getenv("LEASEMIRROR_ROWS");
    return wanted == nullptr ? 16'000 : std::strtoull(wanted, nullptr, 10);
}

Bytes number(std::size_t n) {
    return {0, static_cast<std::uint8_t>(n >> 24), static_cast<std::uint8_t>(n >> 16),
            static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)};
}

/// Binding number n: by turns an IPv4 address, an IPv6 address and a delegated prefix. Every client has two.
void fill(Change& change, std::size_t n) {
    auto& binding = change.binding;
    const auto low = static_cast<std::uint32_t>(n);
    binding.key.prefix_len = n % 3 == 0 ? 32 : n % 3 == 1 ? 128 : 56;
    if (n % 3 == 0) {
        binding.key.address = IpAddress::v4(0x0a000000U + low);
    } else {
        Bytes octets{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
        const std::size_t at = n % 3 == 1 ? 12 : 3;  // the address, or the first 56 bits
        for (std::size_t i = 0; i < 4; ++i)
            octets[at + i] = static_cast<std::uint8_t>(low >> (24 - 8 * i));
        binding.key.address = IpAddress::from_bytes(octets);
    }
    binding.key.kind = n % 3 == 2 ? BindingKind::prefix : BindingKind::address;
    binding.client_id = number(n / 2);
    binding.hw_addr = number(n / 2);
    binding.relay_id = number(n / 500);
    binding.remote_id = number(n / 3);
    binding.circuit_id = number(n / 3);
    binding.base_time = at(100);
    binding.via = Via::active;
}

/// Every tenth address is on two servers; every fifth has been held by somebody else before.
void load(Fixture& f, std::size_t rows) {
    constexpr std::size_t batch_rows = 2000;
    for (std::size_t first = 0; first < rows; first += batch_rows) {
        std::vector<Batch> batches;
        for (std::size_t server = 0; server < servers; ++server)
            batches.push_back(f.batch({}, server));
        for (auto n = first; n < std::min(rows, first + batch_rows); ++n) {
            const auto server = n * servers / rows;
            if (n % 5 == 0) {
                auto& before = batches[server].changes.append();
                fill(before, n);
                before.binding.client_id = number(rows + n);
                before.binding.base_time = at(50);
            }
            fill(batches[server].changes.append(), n);
            if (n % 10 == 0) fill(batches[(server + 1) % servers].changes.append(), n);
        }
        for (const auto& batch : batches)
            if (!batch.changes.empty()) f.store->apply(batch);
    }
}

/// The query that stands in the schema as a comment, from `begin` to the semicolon, with its parameters filled in: taken
/// from there, so that it stays true.
std::string documented(const Fixture& f, std::string_view begin,
                       std::vector<std::pair<std::string, std::string>> values) {
    const auto schema = schema_sql(f.settings);
    const auto from = schema.find(begin);
    REQUIRE(from != std::string::npos);
    auto sql = schema.substr(from, schema.find(';', from) - from);
    values.emplace_back("--", "  ");
    for (const auto& [name, value] : values)
        for (auto found = sql.find(name); found != std::string::npos; found = sql.find(name, found + value.size()))
            sql.replace(found, name.size(), value);
    return sql;
}

struct Lookup {
    std::string what;
    std::string sql;
    std::vector<std::string> plan;  // each must stand in it
    std::string count;              // of rows it finds; empty: not counted
};

std::vector<Lookup> lookups(const Fixture& f, std::size_t rows) {
    // Numbers 30 (an IPv4 address on two servers), 31 (an IPv6 one) and 32 (a prefix) in the first half of all.
    const auto blob = [](const Bytes& bytes) { return "x'" + to_hex(bytes) + "'"; };
    const auto key_in_prefix_32 = std::string("x'20010d00000020AA00000000000000BB'");
    const auto lease_by = [](const std::string& where) { return "SELECT * FROM lease WHERE " + where; };
    const std::string moment = std::to_string(test_epoch + 150);
    static_cast<void>(rows);
    return {
        {"lease by address", lease_by("address = '10.0.0.30'"), {"SEARCH b USING INDEX binding_key (address=?"}, "1"},
        {"lease by client_id",
         lease_by("client_id = " + blob(number(15))),
         {"SEARCH b USING INDEX binding_client_id (client_id=?)"},
         "2"},
        {"lease by client_id on a server",
         lease_by("client_id = " + blob(number(15)) + " AND server = 's0'"),
         {"SEARCH b USING INDEX binding_client_id (client_id=?)"},
         "2"},
        {"lease by hw_addr",
         lease_by("hw_addr = '00:00:00:00:0f'"),
         {"SEARCH b USING INDEX binding_hw_addr (hw_addr=?)"},
         "2"},
        {"lease by relay_id",
         lease_by("relay_id = " + blob(number(1))),
         {"SEARCH b USING INDEX binding_relay_id (relay_id=?)"},
         "500"},
        {"lease by remote_id",
         lease_by("remote_id = " + blob(number(10))),
         {"SEARCH b USING INDEX binding_remote_id (remote_id=?)"},
         "3"},
        {"lease within a network",
         lease_by("address_key BETWEEN x'00000000000000000000FFFF0A000000' AND x'00000000000000000000FFFF0A00001E'"),
         {"SEARCH b USING INDEX binding_address_key (address_key>? AND address_key<?)"},
         "11"},
        {"what is in doubt",
         "SELECT * FROM binding_overview WHERE doubt IS NOT NULL",
         {"USING INDEX binding_doubt"},
         "0"},
        {"the prefixes that contain an address",
         documented(f, "WITH RECURSIVE len (l) AS (\n--       SELECT max(prefix_len) FROM binding",
                    {{":key", key_in_prefix_32}}),
         {"SEARCH b USING INDEX binding_prefix (prefix_len=? AND address_key=?)"},
         "1"},
        {"what lies within a prefix",
         documented(f, "SELECT lease.* FROM binding AS net", {{":address", "'2001:d00:0:2000::'"}, {":length", "56"}}),
         {"SEARCH net USING INDEX binding_key (address=? AND kind=? AND prefix_len=?)",
          "SEARCH b USING INDEX binding_address_key (address_key>? AND address_key<?)"},
         "1"},
        {"who had an address then",
         documented(f, "SELECT s.name AS server, a.*\n--   FROM assignment",
                    {{":address", "'10.0.0.30'"}, {":at", moment}}),
         {"SEARCH a USING INDEX assignment_address (address=? AND began_at<?)"},
         "2"},
        {"who had the prefixes then",
         documented(f, "WITH RECURSIVE len (l) AS (\n--       SELECT max(prefix_len) FROM assignment",
                    {{":key", key_in_prefix_32}, {":at", moment}}),
         {"SEARCH a USING INDEX assignment_prefix (prefix_len=? AND address_key=?)"},
         "1"},
        {"all that a client ever had",
         "SELECT * FROM assignment_overview WHERE client_id = " + blob(number(15)),
         {"SEARCH a USING INDEX assignment_client_id (client_id=?)"},
         "3"},
        {"all that a device ever had",
         "SELECT * FROM assignment_overview WHERE hw_addr = '00:00:00:00:0f'",
         {"SEARCH a USING INDEX assignment_hw_addr (hw_addr=?)"},
         "4"},
        {"all that a line ever had",
         "SELECT * FROM assignment_overview WHERE remote_id = " + blob(number(10)),
         {"SEARCH a USING INDEX assignment_remote_id (remote_id=?)"},
         "5"},
        {"all that a port ever had",
         "SELECT * FROM assignment_overview WHERE circuit_id = " + blob(number(10)),
         {"SEARCH a USING INDEX assignment_circuit_id (circuit_id=?)"},
         "5"},
        {"all behind a relay, ever",
         "SELECT * FROM assignment_overview WHERE relay_id = " + blob(number(1)),
         {"SEARCH a USING INDEX assignment_relay_id (relay_id=?)"},
         "650"},
        {"lease by circuit_id",
         lease_by("circuit_id = " + blob(number(10))),
         {"SEARCH b USING INDEX binding_circuit_id (circuit_id=?)"},
         "3"},
        {"the next changes",
         "SELECT * FROM binding_change WHERE seq > 700 ORDER BY seq LIMIT 100",
         {"SEARCH binding_change USING INTEGER PRIMARY KEY (rowid>?)"},
         "100"},
        {"the oldest assignments that ended",
         "SELECT assignment_id FROM assignment WHERE ended_at < " + moment + " ORDER BY ended_at LIMIT 100",
         {"SEARCH assignment USING COVERING INDEX assignment_ended (ended_at<?)"},
         "100"},
    };
}

void check_plans(const Fixture& f, std::size_t rows) {
    for (const auto& lookup : lookups(f, rows)) {
        CAPTURE(lookup.what);
        std::string plan;
        for (const auto& row : f.engine->rows("EXPLAIN QUERY PLAN " + lookup.sql))
            plan += row + "\n";
        CAPTURE(plan);
        for (const auto& part : lookup.plan)
            CHECK(plan.find(part) != std::string::npos);
        for (const char* table : {"SCAN b", "SCAN o", "SCAN n", "SCAN net", "SCAN a", "SCAN assignment"})
            CHECK(plan.find(std::string(table) + "\n") == std::string::npos);
        CHECK(plan.find("BLOOM FILTER") == std::string::npos);  // made of the whole table, for each query
        const auto began = std::chrono::steady_clock::now();
        const auto found = f.engine->rows("SELECT count(*) FROM (" + lookup.sql + ")");
        const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - began;
        CHECK(found.at(0) == lookup.count);
        if (std::getenv("LEASEMIRROR_ROWS") != nullptr) MESSAGE(lookup.what, ": ", took.count(), " ms");
    }
}

}  // namespace

TEST_CASE("lookups are index lookups, with the figures that we give the planner and with true ones") {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < servers; ++i)
        names.push_back("s" + std::to_string(i));
    Fixture f(engines().at(0), names);
    const auto rows = rows_wanted();
    f.check.skip = rows > 100'000;
    load(f, rows);
    check_plans(f, rows);
    f.engine->execute("ANALYZE");
    check_plans(f, rows);
}
