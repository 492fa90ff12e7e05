#include "agent/verify/columns.hpp"
#include "storage/ledger/binding_columns.hpp"
#include "tests/agent/verify/rows.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace leasemirror;
using namespace leasemirror::testing;
using namespace std::chrono_literals;
using Names = std::vector<std::string>;

namespace {

const auto now = utc(1000);

Names names(const BindingRow& mirror, const BindingRow& server) {
    Names out;
    for (const auto& difference : column_differences(&mirror, &server, now))
        out.emplace_back(difference.column);
    return out;
}

}  // namespace

TEST_CASE("rows of the same content are alike, whatever the mirror notes about its own") {
    auto mirror = row("10.0.0.1", 0);
    const auto server = row("10.0.0.1", 500);
    mirror.age = {3, start + 7, Via::active};
    mirror.updated_at = utc(8);
    mirror.seen_run = 9;
    mirror.scope = 10;
    mirror.assignment_id = 11;
    mirror.boundary_at = utc(12);
    mirror.doubt = Doubt::unreadable;
    mirror.client_last_seen = utc(13);
    CHECK(names(mirror, server) == Names{});
}

TEST_CASE("each column that a server tells is compared") {
    const auto mirror = row("10.0.0.1", 0);
    struct Case {
        const char* column;
        void (*set)(BindingRow&);
    };
    const std::vector<Case> cases{{"state", [](BindingRow& r) { r.state = BindingState::abandoned; }},
                                  {"hw_type", [](BindingRow& r) { r.hw_type = 6; }},
                                  {"state_since", [](BindingRow& r) { r.state_since = utc(1); }},
                                  {"expires_at", [](BindingRow& r) { r.expires_at = utc(2); }},
                                  {"preferred_until", [](BindingRow& r) { r.preferred_until = utc(3); }},
                                  {"renew_at", [](BindingRow& r) { r.renew_at = utc(4); }},
                                  {"rebind_at", [](BindingRow& r) { r.rebind_at = utc(5); }},
                                  {"link_address", [](BindingRow& r) { r.link_address = IpAddress::v4(1); }},
                                  {"relay_address", [](BindingRow& r) { r.relay_address = IpAddress::v4(2); }},
                                  {"circuit_id", [](BindingRow& r) { r.circuit_id = {1}; }},
                                  {"subscriber_id", [](BindingRow& r) { r.subscriber_id = {2}; }},
                                  {"hostname", [](BindingRow& r) { r.hostname = "other"; }},
                                  {"options", [](BindingRow& r) { r.options = R"({"39":"00"})"; }},
                                  {"data_source", [](BindingRow& r) { r.data_source = DataSource::remote; }},
                                  {"client_id",
                                   [](BindingRow& r) {
                                       r.client_id = {9, 9};
                                   }},
                                  {"hw_addr", [](BindingRow& r) { r.hw_addr = "02:00:00:00:00:01"; }},
                                  {"relay_id", [](BindingRow& r) { r.relay_id = {3}; }},
                                  {"remote_id", [](BindingRow& r) { r.remote_id = {4}; }}};
    for (const auto& one : cases) {
        CAPTURE(one.column);
        auto server = mirror;
        one.set(server);
        CHECK(names(mirror, server) == Names{one.column});
    }
    // A column that is added to the table is compared, or has to be left out here.
    std::size_t told = 0;
    for (const auto& column : binding_columns)
        told += column.use == ColumnUse::told || column.use == ColumnUse::indexed ? 1 : 0;
    CHECK(told == cases.size() + 11);
}

TEST_CASE("times are alike within five seconds, and one that is not told is not") {
    auto mirror = row("10.0.0.1", 0);
    auto server = mirror;
    mirror.expires_at = utc(5000);
    server.expires_at = utc(5005);
    CHECK(names(mirror, server) == Names{});
    server.expires_at = utc(5006);
    CHECK(names(mirror, server) == Names{"expires_at"});
    server.expires_at = utc(4994);
    CHECK(names(mirror, server) == Names{"expires_at"});
    server.expires_at.reset();
    CHECK(names(mirror, server) == Names{"expires_at"});
}

TEST_CASE("a renewal time that is past need not be told any more") {
    auto mirror = row("10.0.0.1", 0);
    const auto server = mirror;
    mirror.renew_at = now + 5s;
    mirror.rebind_at = now - 100s;
    CHECK(names(mirror, server) == Names{});
    mirror.renew_at = now + 6s;
    CHECK(names(mirror, server) == Names{"renew_at"});
    CHECK(names(server, mirror) == Names{"renew_at", "rebind_at"});  // the server tells them, the mirror has none
}

TEST_CASE("a preferred lifetime that begins anew with each message is no difference") {
    auto mirror = row("2001:db8::1", 0);
    auto server = row("2001:db8::1", 300);
    mirror.preferred_until = utc(1800);
    server.preferred_until = utc(2100);
    CHECK(names(mirror, server) == Names{});
    server.preferred_until = utc(2110);
    CHECK(names(mirror, server) == Names{"preferred_until"});
    server.preferred_until = utc(1700);
    CHECK(names(mirror, server) == Names{"preferred_until"});
}

TEST_CASE("values are given as they are printed; of a row that is not there there are none") {
    auto mirror = row("10.0.0.1", 0);
    auto server = mirror;
    mirror.options = R"({"39":"00"})";
    server.client_id = {2};
    const auto found = column_differences(&mirror, &server, now);
    REQUIRE(found.size() == 2);
    CHECK(found[0] == ColumnDifference{"options", JsonText{R"({"39":"00"})"}, std::monostate{}});
    CHECK(found[1] == ColumnDifference{"client_id", Bytes{1, 1}, Bytes{2}});
    const auto all = column_differences(nullptr, &server, now);
    REQUIRE(all.size() == 4);
    CHECK(all[0] == ColumnDifference{"state", std::monostate{}, std::string("active")});
    CHECK(all[1] == ColumnDifference{"hostname", std::monostate{}, std::string("host")});
    CHECK(all[2] == ColumnDifference{"data_source", std::monostate{}, std::string("local")});
    CHECK(all[3] == ColumnDifference{"client_id", std::monostate{}, Bytes{2}});
}
