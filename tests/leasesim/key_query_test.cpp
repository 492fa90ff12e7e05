// Questions about one client or one address over bulk connections (RFC 5460 §4, RFC 6926 §8.2): what a mirror asks to
// settle a doubt.
#include "tests/leasesim/options.hpp"
#include "tests/leasesim/peer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <map>
#include <set>

using namespace leasemirror;
using namespace leasemirror::leasesim;
using namespace std::chrono_literals;

namespace {

ServerOptions options(Family family, std::string_view personality = "") {
    ServerOptions o;
    o.model.family = family;
    o.model.bindings = 300;
    o.model.churn = 20;
    o.model.seed = 37;
    if (!personality.empty()) REQUIRE(apply_personality(personality, o.personality));
    return o;
}

}  // namespace

TEST_CASE("a client with leases on several links: a query by client-id over TCP brings all, or those of one link") {
    auto o = options(Family::v6);
    o.model.links = 4;
    o.model.units_per_client = 4;
    o.model.churn = 0;
    ModelServer server(o, t0);
    const auto& model = server.model();
    std::map<Bytes, std::set<BindingKey>> held;
    model.for_each_in_force(t0, [&](const Binding& b) { held[b.client_id].insert(b.key); });
    const auto& most = *std::max_element(
        held.begin(), held.end(), [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
    const auto& client = most.first;  // no structured binding: clang 14 captures none
    const auto& keys = most.second;
    CHECK(keys.size() == 7);
    const auto ask = [&](const IpAddress& link) {
        Peer peer(server, t0);
        auto q = query_v6(QueryTypeV6::by_client_id, link);
        q.query->client_id = client;
        peer.ask(q);
        std::set<BindingKey> found;
        for (const auto& b : bindings_of(peer, Family::v6))
            found.insert(b.key);
        return found;
    };
    CHECK(ask(*IpAddress::parse("::")) == keys);
    std::set<BindingKey> one_by_one;
    for (unsigned link = 0; link < 4; ++link) {
        const auto there = ask(model.link_address(link));
        CHECK(there.size() < keys.size());
        one_by_one.insert(there.begin(), there.end());
    }
    CHECK(one_by_one == keys);
}

TEST_CASE(
    "a query by address over TCP: the lease alone, or with all of its client on that link; nothing once it ended") {
    for (const bool together : {false, true}) {
        auto o = options(Family::v6);
        o.personality.all_leases_together = together;
        ModelServer server(o, t0);
        const auto& model = server.model();
        UnitState s;
        for (std::uint64_t unit = 0; unit < model.units(); ++unit) {
            model.state_of(unit, t0 + 20s, s);
            for (unsigned j = 0; j < s.size; ++j) {
                const auto name = model.name(s.first_binding + j);
                auto q = query_v6(QueryTypeV6::by_address, *IpAddress::parse("::"));
                q.query->address = LeaseV6{BindingKind::address, name.address, 128, 0, 0, {}, {}};
                Peer peer(server, t0 + 20s);
                peer.ask(q);
                const bool held = (s.held >> j & 1U) != 0;
                const auto found = bindings_of(peer, Family::v6);
                const auto expected = !held ? 0 : together ? std::popcount(s.held) : 1;
                CHECK(static_cast<int>(found.size()) == expected);
                CHECK(std::any_of(found.begin(), found.end(),
                                  [&](const Binding& b) { return b.key.address == name.address; }) == held);
            }
        }
    }
}

TEST_CASE(
    "v4 queries by client-id and by hardware address over TCP bring the client's bindings in the VPN, also as Kea") {
    for (const bool kea : {false, true}) {
        auto o = options(Family::v4, kea ? "kea" : "");
        o.model.vpns = kea ? 0 : 2;
        o.model.churn = 0;
        o.model.units_per_client = 6;
        ModelServer server(o, t0);
        std::map<std::pair<std::string, Bytes>, std::set<BindingKey>> of_client, of_hardware;
        server.model().for_each_in_force(t0, [&](const Binding& b) {
            if (!b.client_id.empty()) of_client[{b.key.vpn_id, b.client_id}].insert(b.key);
            of_hardware[{b.key.vpn_id, b.hw_addr}].insert(b.key);
        });
        const auto ask = [&](const MessageV4& m) {
            Peer peer(server, t0);
            peer.ask(m);
            std::set<BindingKey> found;
            for (const auto& b : bindings_of(peer, Family::v4))
                if (b.in_force()) found.insert(b.key);
            return found;
        };
        const std::string vpn_one = "vpn-1";
        const Bytes info(vpn_one.begin(), vpn_one.end());
        for (const auto& [who, keys] : of_client) {
            if (who.first != "" && who.first != vpn_name(1)) continue;
            auto m = bulk_v4();
            m.client_id = who.second;
            if (who.first != "") m.vss = VssV4{0, info};
            CHECK(ask(m) == keys);
        }
        for (const auto& [who, keys] : of_hardware) {
            if (who.first != "") continue;
            auto m = bulk_v4();
            m.htype = 1;
            m.hlen = 6;
            m.chaddr = who.second;
            CHECK(ask(m) == keys);
        }
        CHECK(of_client.size() > 20);
    }
}

TEST_CASE(
    "as Kea, v6 queries by address and by client-id over TCP: success in the REPLY, one message for each lease, DONE") {
    auto o = options(Family::v6, "kea");
    o.model.links = 4;
    o.model.units_per_client = 4;
    o.model.churn = 0;
    ModelServer server(o, t0);
    Binding sample;
    std::map<Bytes, std::size_t> held;
    server.model().for_each_in_force(t0, [&](const Binding& b) {
        if (++held[b.client_id] == 4) sample = b;
    });
    const auto types = [&](const MessageV6& q) {
        Peer peer(server, t0);
        peer.ask(q);
        std::vector<MessageTypeV6> out;
        for_each_v6(peer, [&](const MessageV6& m) {
            CHECK(m.status.has_value() == out.empty());
            CHECK(m.client_data.size() == (m.type == MessageTypeV6::lease_query_done ? 0 : 1));
            for (const auto& c : m.client_data)
                CHECK(c.leases.size() == 1);
            out.push_back(m.type);
        });
        return out;
    };
    using enum MessageTypeV6;
    auto by_address = query_v6(QueryTypeV6::by_address, *IpAddress::parse("::"));
    by_address.query->address = LeaseV6{BindingKind::address, sample.key.address, 128, 0, 0, {}, {}};
    CHECK(types(by_address) == std::vector{lease_query_reply, lease_query_done});
    auto by_client = query_v6(QueryTypeV6::by_client_id, *IpAddress::parse("::"));
    by_client.query->client_id = sample.client_id;
    std::vector<MessageTypeV6> expected(held[sample.client_id] + 1, lease_query_data);
    expected.front() = lease_query_reply;
    expected.back() = lease_query_done;
    CHECK(types(by_client) == expected);
}
