#include "agent/query/plan.hpp"

#include <doctest/doctest.h>

#include <array>
#include <string>

using namespace leasemirror;

namespace {

constexpr UtcSeconds now{std::chrono::seconds{1'795'180'800}};  // 2026-11-20T13:20:00Z

ServerConfig server(Family family) {
    ServerConfig out;
    out.name = "east";
    out.family = family;
    return out;
}

IpAddress address(const char* text) {
    return *IpAddress::parse(text);
}

QueryFilter by_address(const char* text) {
    QueryFilter out;
    out.address = address(text);
    return out;
}
QueryFilter by_prefix(const char* text, std::uint8_t len) {
    QueryFilter out;
    out.prefix = Sought{address(text), len};
    return out;
}
QueryFilter by_link(const char* text) {
    QueryFilter out;
    out.link = address(text);
    return out;
}
QueryFilter by(Bytes QueryFilter::*id, Bytes value = {0, 3, 0, 1, 9}) {
    QueryFilter out;
    out.*id = std::move(value);
    return out;
}

QueryPlan plan(const QueryFilter& filter, Family family, QueryVia via = QueryVia::automatic) {
    const auto out = plan_query(filter, via, server(family), now);
    if (out) return *out;
    FAIL(out.error());
    return {};
}

std::string fault(const QueryFilter& filter, Family family, QueryVia via = QueryVia::automatic) {
    const auto out = plan_query(filter, via, server(family), now);
    return out ? "planned" : out.error();
}

/// "bulk", "udp" or "-": how a filter is asked where the command line leaves it open, forced to bulk, and forced to UDP.
std::array<std::string, 3> ways(const QueryFilter& filter, Family family) {
    std::array<std::string, 3> out;
    for (std::size_t i = 0; i < out.size(); ++i) {
        const auto via = std::array{QueryVia::automatic, QueryVia::bulk, QueryVia::udp}[i];
        const auto planned = plan_query(filter, via, server(family), now);
        out[i] = !planned ? "-" : planned->over_udp ? "udp" : "bulk";
    }
    return out;
}

using Ways = std::array<std::string, 3>;
const Ways both{"bulk", "bulk", "udp"};
const Ways bulk_alone{"bulk", "bulk", "-"};
const Ways udp_alone{"udp", "-", "udp"};
const Ways none{"-", "-", "-"};

}  // namespace

TEST_CASE("each filter goes the ways that the protocols of the family have") {
    CHECK(ways({}, Family::v4) == bulk_alone);
    CHECK(ways(by_address("192.0.2.7"), Family::v4) == udp_alone);
    CHECK(ways(by(&QueryFilter::client_id), Family::v4) == both);
    CHECK(ways(by(&QueryFilter::mac), Family::v4) == both);
    CHECK(ways(by(&QueryFilter::relay_id), Family::v4) == bulk_alone);
    CHECK(ways(by(&QueryFilter::remote_id), Family::v4) == both);
    CHECK(ways(by_prefix("192.0.2.0", 24), Family::v4) == none);

    CHECK(ways(by_address("2001:db8::7"), Family::v6) == both);
    CHECK(ways(by_prefix("2001:db8::", 56), Family::v6) == both);
    CHECK(ways(by(&QueryFilter::client_id), Family::v6) == both);
    CHECK(ways(by(&QueryFilter::mac), Family::v6) == none);
    CHECK(ways(by(&QueryFilter::relay_id), Family::v6) == bulk_alone);
    CHECK(ways(by(&QueryFilter::remote_id), Family::v6) == bulk_alone);
    CHECK(ways(by_link("2001:db8::1"), Family::v6) == bulk_alone);
    CHECK(ways({}, Family::v6) == none);  // nothing is configured here
}

TEST_CASE("a filter that a family or a protocol does not have is refused with what to use instead") {
    CHECK(fault(by(&QueryFilter::mac), Family::v6) ==
          "'east' (v6): DHCPv6 has no query by hardware address; use --client-id with the client's DUID");
    CHECK(fault(by_prefix("192.0.2.0", 24), Family::v4) == "'east' (v4): DHCPv4 delegates no prefixes; use --address");
    CHECK(fault(by_link("192.0.2.1"), Family::v4) ==
          "'east' (v4): DHCPv4 has no query by link; use --relay-id or --remote-id, or no filter for everything");
    CHECK(fault(by_address("192.0.2.7"), Family::v4, QueryVia::bulk) ==
          "'east' (v4): DHCPv4 has no bulk query by address; use --udp");
    CHECK(fault(by(&QueryFilter::relay_id), Family::v4, QueryVia::udp) ==
          "'east' (v4): DHCPv4 has no query over UDP by relay-id; use --bulk");
    CHECK(fault(by_link("2001:db8::1"), Family::v6, QueryVia::udp) ==
          "'east' (v6): DHCPv6 has no query over UDP by link; use --bulk");
    CHECK(fault({}, Family::v4, QueryVia::udp) ==
          "'east' (v4): over UDP one thing is asked for; give a filter such as --address, or --bulk");
    CHECK(fault({}, Family::v6) ==
          "'east' (v6): DHCPv6 has no query for everything, and no bulk.queries are "
          "configured; give a filter such as --link");
    CHECK(fault(by_address("2001:db8::7"), Family::v4) == "'east' (v4): --address: 2001:db8::7 is not for a v4 server");
    CHECK(fault(by_prefix("192.0.2.0", 24), Family::v6) == "'east' (v6): --prefix: 192.0.2.0 is not for a v6 server");
    CHECK(fault(by_link("192.0.2.1"), Family::v6) == "'east' (v6): --link: 192.0.2.1 is not for a v6 server");
}

TEST_CASE("identifiers have the lengths that the options of the family can carry") {
    CHECK(fault(by(&QueryFilter::client_id, Bytes{1}), Family::v4) ==
          "'east' (v4): --client-id: expected 2 to 255 octets, not 1");
    CHECK(fault(by(&QueryFilter::client_id, Bytes(131, 1)), Family::v6) ==
          "'east' (v6): --client-id: expected 3 to 130 octets, not 131");
    CHECK(fault(by(&QueryFilter::relay_id, Bytes(256, 1)), Family::v4) ==
          "'east' (v4): --relay-id: expected 1 to 255 octets, not 256");
    CHECK(fault(by(&QueryFilter::remote_id, Bytes(4, 1)), Family::v6) ==
          "'east' (v6): --remote-id: expected 5 to 1024 octets, not 4");
    auto as_text = by(&QueryFilter::remote_id, Bytes(8, 'x'));
    as_text.remote_id_as_text = true;
    CHECK(plan(as_text, Family::v4).queries.front().id == Bytes(8, 'x'));
    CHECK(fault(as_text, Family::v6) ==
          "'east' (v6): --remote-id: expected hex, four octets of enterprise number and "
          "then the identifier, for a v6 server");
}

TEST_CASE("one query asks by one thing, and a link narrows a v6 query by identifier") {
    auto filter = by(&QueryFilter::client_id);
    filter.relay_id = {1, 2};
    CHECK(fault(filter, Family::v6) == "one query asks by one thing: either --client-id or --relay-id");
    filter = by(&QueryFilter::client_id);
    filter.link = address("2001:db8:1::1");
    for (const auto via : {QueryVia::bulk, QueryVia::udp}) {
        const auto query = plan(filter, Family::v6, via).queries.front();
        CHECK(query == BulkQuery{QueryKind::client_id, address("2001:db8:1::1"), {0, 3, 0, 1, 9}});
    }
    CHECK(plan(by(&QueryFilter::client_id), Family::v6).queries.front().address == address("::"));
    filter = by_address("2001:db8::7");
    filter.link = address("2001:db8::1");
    CHECK(fault(filter, Family::v6) ==
          "--link does not go with --address: an address says by itself on which link it is");
}

TEST_CASE("a prefix is asked for by its first address, and what else comes back is left out") {
    const auto p = plan(by_prefix("2001:db8:100::", 56), Family::v6);
    CHECK(p.queries == std::vector{BulkQuery{QueryKind::address, address("2001:db8:100::"), {}}});
    Binding binding;
    binding.key = {"", BindingKind::prefix, address("2001:db8:100::"), 56};
    CHECK(p.takes(binding));
    binding.key.prefix_len = 48;
    CHECK_FALSE(p.takes(binding));
    binding.key = {"", BindingKind::address, address("2001:db8:100::"), 128};
    CHECK_FALSE(p.takes(binding));
    CHECK(plan(by_address("2001:db8::7"), Family::v6).takes(binding));
}

TEST_CASE("no filter asks for everything, or for each of the configured queries, and says so") {
    const auto all = plan({}, Family::v4);
    CHECK(all.queries == std::vector{BulkQuery{}});
    CHECK(all.notes.empty());
    for (const auto family : {Family::v4, Family::v6}) {
        auto config = server(family);
        config.bulk.queries = {{QueryKind::relay_id, {}, {1}}, {QueryKind::remote_id, {}, {2, 0, 0, 0, 1}}};
        const auto planned = plan_query({}, QueryVia::automatic, config, now);
        REQUIRE(planned);
        CHECK(planned->queries == config.bulk.queries);
        CHECK(planned->notes == std::vector<std::string>{
                                    "asking for its configured bulk.queries, of which there are 2, one after the other",
                                    "what several of them return is printed each time"});
    }
}

TEST_CASE("a time window is read against now, and only bulk has one") {
    QueryFilter filter;
    filter.since = "2h";
    filter.until = "2026-11-20T13:00:00Z";
    const auto window = plan(filter, Family::v4).window;
    CHECK(window.start == ServerTime{(now - std::chrono::hours{2}).time_since_epoch()});
    CHECK(window.end == ServerTime{(now - std::chrono::minutes{20}).time_since_epoch()});
    filter.since = "10m";
    CHECK(fault(filter, Family::v4) == "--since 2026-11-20T13:10:00Z is after --until 2026-11-20T13:00:00Z");
    filter.until = "2026-11-21T00:00:00Z";
    CHECK(plan(filter, Family::v4).window.end.has_value());
    filter.since = "2026-11-20T13:20:01Z";
    CHECK(fault(filter, Family::v4) == "--since: 2026-11-20T13:20:01Z is in the future");
    filter.since = "1999-12-31";
    CHECK(fault(filter, Family::v4) == "--since and --until reach from 2000 to 2105, not to 1999-12-31T00:00:00Z");
    auto over_udp = by_address("192.0.2.7");
    over_udp.since = "2h";
    CHECK(fault(over_udp, Family::v4) == "queries over UDP have no --since and --until; use --bulk");
}

TEST_CASE("DHCPv6 over UDP needs a server with an IPv6 address, and v4 one with an IPv4 address") {
    auto config = server(Family::v6);
    config.address = "192.0.2.1";
    const auto refused = plan_query(by_address("2001:db8::7"), QueryVia::udp, config, now);
    REQUIRE_FALSE(refused);
    CHECK(refused.error() == "'east' (v6): over UDP a server has an address of its own family, not 192.0.2.1");
    CHECK(plan_query(by_address("2001:db8::7"), QueryVia::bulk, config, now));
    config.address = "dhcp.example.net";
    CHECK(plan_query(by_address("2001:db8::7"), QueryVia::udp, config, now));
}

TEST_CASE("a server configured with TLS is asked in clear text over UDP only by who says so") {
    auto config = server(Family::v4);
    config.tls.mode = TlsMode::starttls;
    const auto refused = plan_query(by_address("192.0.2.7"), QueryVia::automatic, config, now);
    REQUIRE_FALSE(refused);
    CHECK(refused.error() ==
          "'east' (v4): this server is configured with tls, and a query over UDP goes in clear text; "
          "say --udp if that is all right");
    const auto told = plan_query(by_address("192.0.2.7"), QueryVia::udp, config, now);
    REQUIRE(told);
    CHECK(told->notes.size() == 1);
    CHECK(plan_query(by(&QueryFilter::mac), QueryVia::automatic, config, now)->notes.empty());
}
