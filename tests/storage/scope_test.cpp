#include "storage/scope.hpp"

#include <doctest/doctest.h>

#include <set>

namespace leasemirror {
namespace {

BulkQuery link(const char* address) {
    BulkQuery query;
    query.kind = QueryKind::link;
    query.address = IpAddress::parse(address).value();
    return query;
}

TEST_CASE("the scope of a query is a number that databases in the field already hold") {
    CHECK(scope_id(BulkQuery{}) == 0x38d03fda);
    CHECK(scope_id(link("2001:db8:1::1")) == 0xc87243a6);
}

TEST_CASE("queries that differ in anything have scopes of their own, and no scope is 0") {
    BulkQuery relay;
    relay.kind = QueryKind::relay_id;
    relay.id = {0, 3, 0, 1, 0xaa};
    auto other_relay = relay;
    other_relay.id.back() = 0xab;
    auto remote = relay;
    remote.kind = QueryKind::remote_id;
    BulkQuery mac;
    mac.kind = QueryKind::hw_addr;
    mac.id = relay.id;
    auto other_type = mac;
    other_type.hw_type = 6;
    std::set<std::uint32_t> scopes{0};
    for (const auto& query :
         {BulkQuery{}, link("2001:db8:1::1"), link("2001:db8:2::1"), relay, other_relay, remote, mac, other_type})
        CHECK(scopes.insert(scope_id(query)).second);
}

}  // namespace
}  // namespace leasemirror
