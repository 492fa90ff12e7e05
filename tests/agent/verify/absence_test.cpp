#include "agent/verify/absence.hpp"
#include "storage/scope.hpp"
#include "tests/agent/verify/rows.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::testing;

namespace {

const BulkQuery by_relay{QueryKind::relay_id, {}, {7}};
const BulkQuery by_remote{QueryKind::remote_id, {}, {8}};
const BulkQuery by_link{QueryKind::link, IpAddress::parse("2001:db8::1").value(), {}};

BindingRow in_scope(const BulkQuery& query) {
    auto out = row("2001:db8::7", 0);
    out.scope = scope_id(query);
    return out;
}

}  // namespace

TEST_CASE("what covers the server proves absence of everything, but for VPNs that were not listed") {
    Absence absence;
    absence.everything = true;
    auto binding = row("10.0.0.1", 0);
    CHECK(absence.proves(binding));
    binding.key.vpn_id = "ascii:blue";
    CHECK_FALSE(absence.proves(binding));
    absence.all_vpns = true;
    CHECK(absence.proves(binding));
}

TEST_CASE(
    "what covers a part proves absence of what its queries listed last, or whose relay-id or remote-id they ask for") {
    Absence absence;
    absence.scopes = {absence_scope(by_relay, false), absence_scope(by_remote, false), absence_scope(by_link, false)};
    CHECK(absence.proves(in_scope(by_link)));
    CHECK_FALSE(absence.proves(row("2001:db8::7", 0)));  // no query has listed it
    auto relayed = row("2001:db8::7", 0);
    relayed.relay_id = {7};
    CHECK(absence.proves(relayed));
    relayed.relay_id = {9};
    CHECK_FALSE(absence.proves(relayed));
    relayed.remote_id = {8};
    CHECK(absence.proves(relayed));
    CHECK_FALSE(absence.proves(in_scope({QueryKind::link, IpAddress::parse("2001:db8:1::1").value(), {}})));
}

TEST_CASE(
    "nothing is proven by a query of which a reply could not be read, nor for an address that could not be read") {
    Absence absence;
    absence.everything = true;
    absence.scopes = {absence_scope(by_relay, false), absence_scope(by_link, true)};
    auto both = in_scope(by_link);
    both.relay_id = {7};
    CHECK_FALSE(absence.proves(both));
    CHECK(absence.proves(in_scope(by_relay)));
    absence.unreadable.insert(both.key.address);
    CHECK_FALSE(absence.proves(in_scope(by_relay)));
}
