#include "tests/leasesim/peer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

using namespace leasemirror;
using namespace leasemirror::leasesim;
using namespace std::chrono_literals;

namespace {

ServerOptions options(Family family, std::uint64_t n = 300, double churn = 20) {
    ServerOptions o;
    o.model.family = family;
    o.model.bindings = n;
    o.model.churn = churn;
    o.model.seed = 11;
    o.model.skew = 3500ms;
    return o;
}

constexpr std::array<std::uint16_t, 2> keep_v4{60, 12};
constexpr std::array<std::uint16_t, 1> keep_v6{16};

std::map<BindingKey, Binding> truth_of(const LeaseModel& model, UtcMillis now) {
    std::map<BindingKey, Binding> out;
    const std::span<const std::uint16_t> keep = model.family() == Family::v4 ? std::span<const std::uint16_t>(keep_v4)
                                                                             : std::span<const std::uint16_t>(keep_v6);
    model.for_each_in_force(
        now, [&](const Binding& b) { out[b.key] = b; }, keep);
    return out;
}

StatusCode last_status_v4(const Peer& peer) {
    StatusCode code = StatusCode::success;
    for_each_v4(peer, [&](const MessageV4& m) { code = m.status ? m.status->code : StatusCode::success; });
    return code;
}

}  // namespace

TEST_CASE("a v4 query for everything lists every address once, and the bound ones exactly as the truth has them") {
    ModelServer server(options(Family::v4), t0);
    Peer peer(server, t0 + 37s);
    peer.ask(bulk_v4());
    const auto truth = truth_of(server.model(), peer.now());
    std::set<BindingKey> seen;
    std::size_t in_force = 0;
    for (const auto& b : bindings_of(peer, Family::v4)) {
        CHECK(seen.insert(b.key).second);
        if (!b.in_force()) continue;
        ++in_force;
        REQUIRE(truth.contains(b.key));
        CHECK_MESSAGE(same_record(b, truth.at(b.key)), to_string(b), "\n", to_string(truth.at(b.key)));
    }
    CHECK(seen.size() == 300);
    CHECK(in_force == truth.size());
    std::size_t messages = 0, with_server_id = 0, done = 0;
    for_each_v4(peer, [&](const MessageV4& m) {
        ++messages;
        if (m.server_identifier) ++with_server_id;
        if (m.type == MessageTypeV4::lease_query_done) {
            ++done;
            CHECK_FALSE(m.status);
        } else {
            CHECK(m.base_time == server.model().server_now(peer.now()));
            CHECK((m.type == MessageTypeV4::lease_active) ==
                  (m.dhcp_state == static_cast<std::uint8_t>(DhcpState::active)));
            if (m.type == MessageTypeV4::lease_unassigned) CHECK_FALSE(m.lease_time);
        }
        if (messages == 1) CHECK(m.server_identifier);
    });
    CHECK(messages == 301);
    CHECK(with_server_id == 1);
    CHECK(done == 1);
    CHECK_FALSE(peer.closed);
}

TEST_CASE("without a parameter request list the reply has none of the options of RFC 6926") {
    ModelServer server(options(Family::v4), t0);
    Peer peer(server, t0);
    auto m = bulk_v4();
    m.parameter_request_list = {};
    peer.ask(m);
    for_each_v4(peer, [&](const MessageV4& r) {
        CHECK_FALSE(r.base_time);
        CHECK_FALSE(r.dhcp_state);
        CHECK_FALSE(r.start_time_of_state_age);
        CHECK(r.host_name.empty());
    });
}

TEST_CASE("v4 queries by key find the bound addresses of that key alone") {
    ModelServer server(options(Family::v4), t0);
    const auto truth = truth_of(server.model(), t0);
    const auto sample = std::find_if(truth.begin(), truth.end(), [](const auto& t) {
                            return !t.second.client_id.empty() && !t.second.remote_id.empty();
                        })->second;
    const auto expect = [&](const MessageV4& m, auto matches) {
        Peer peer(server, t0);
        peer.ask(m);
        const auto found = bindings_of(peer, Family::v4);
        const auto n = std::count_if(truth.begin(), truth.end(), [&](const auto& t) { return matches(t.second); });
        CHECK(n > 0);
        CHECK(static_cast<std::ptrdiff_t>(found.size()) == n);
        for (const auto& b : found)
            CHECK((b.in_force() && matches(b)));
    };
    auto by_mac = bulk_v4();
    by_mac.htype = 1;
    by_mac.hlen = 6;
    by_mac.chaddr = sample.hw_addr;
    expect(by_mac, [&](const Binding& b) { return b.hw_addr == sample.hw_addr; });
    auto by_client = bulk_v4();
    by_client.client_id = sample.client_id;
    expect(by_client, [&](const Binding& b) { return b.client_id == sample.client_id; });
    for (const std::uint8_t code : {std::uint8_t{2}, std::uint8_t{12}}) {
        const auto& id = code == 2 ? sample.remote_id : sample.relay_id;
        Bytes option{code, static_cast<std::uint8_t>(id.size())};
        option.insert(option.end(), id.begin(), id.end());
        auto by_relay = bulk_v4();
        by_relay.relay_agent_information = option;
        expect(by_relay, [&](const Binding& b) { return (code == 2 ? b.remote_id : b.relay_id) == id; });
    }
}

TEST_CASE("malformed v4 bulk queries are answered with the status that RFC 6926 names") {
    auto o = options(Family::v4);
    ModelServer server(o, t0);
    const auto status = [&](const MessageV4& m) {
        Peer peer(server, t0);
        peer.ask(m);
        CHECK(peer.frames().size() == 1);
        return last_status_v4(peer);
    };
    auto with_address = bulk_v4();
    with_address.ciaddr = IpAddress::v4(1);
    CHECK(status(with_address) == StatusCode::malformed_query);
    auto two_keys = bulk_v4();
    const Bytes id{1, 2, 3};
    two_keys.client_id = id;
    two_keys.htype = 1;
    two_keys.hlen = 3;
    two_keys.chaddr = id;
    CHECK(status(two_keys) == StatusCode::not_allowed);
    auto nobody = bulk_v4();
    nobody.client_id = id;
    CHECK(status(nobody) == StatusCode::success);
    auto tls = bulk_v4();
    tls.type = MessageTypeV4::tls;
    CHECK(status(tls) == StatusCode::tls_connection_refused);
}

TEST_CASE("a message type that TCP does not know, and lost framing, close the connection") {
    ModelServer server(options(Family::v4), t0);
    Peer peer(server, t0);
    auto m = bulk_v4();
    m.type = MessageTypeV4::lease_query;
    peer.ask(m);
    CHECK(peer.closed);
    CHECK(peer.stream.empty());
    Peer lost(server, t0);
    lost.send(Bytes{0, 3, 1, 2, 3});
    CHECK(lost.closed);
}

TEST_CASE("VPNs: the default alone, one by its name, all by the wildcard; only others than the default are named") {
    auto o = options(Family::v4);
    o.model.vpns = 2;
    ModelServer server(o, t0);
    const auto count = [&](std::optional<VssV4> vss) {
        Peer peer(server, t0);
        auto m = bulk_v4();
        m.vss = vss;
        peer.ask(m);
        std::map<std::string, int> out;
        for (const auto& b : bindings_of(peer, Family::v4))
            ++out[b.key.vpn_id];
        return out;
    };
    CHECK(count({}) == std::map<std::string, int>{{"", 100}});
    const std::string name = "vpn-1";
    const Bytes info(name.begin(), name.end());
    CHECK(count(VssV4{0, info}) == std::map<std::string, int>{{"ascii:vpn-1", 100}});
    CHECK(count(VssV4{254, {}}) == std::map<std::string, int>{{"", 100}, {vpn_name(1), 100}, {vpn_name(2), 100}});
    CHECK(count(VssV4{255, {}}) == std::map<std::string, int>{{"", 100}});
}

TEST_CASE("windows of a bulk query are inclusive at both ends") {
    for (const auto family : {Family::v4, Family::v6}) {
        ModelServer server(options(family, 700, 10), t0);
        const auto now = t0 + 60s;
        const auto& model = server.model();
        const QueryWindow window{model.server_now(t0 + 20s), model.server_now(t0 + 30s)};
        std::set<BindingKey> expected, found;
        for (std::uint64_t i = 0; i < model.bindings(); ++i) {
            const auto b = model.truth(i, now);
            const auto link = family == Family::v6 && model.link_of(model.unit_of(i)) != 0;
            if ((family == Family::v4 || b.in_force()) && !link && model.changed_in(i, window, now))
                expected.insert(b.key);
        }
        Peer peer(server, now);
        if (family == Family::v4) {
            auto m = bulk_v4();
            m.query_start_time = window.start;
            m.query_end_time = window.end;
            peer.ask(m);
        } else {
            auto m = query_v6(QueryTypeV6::by_link_address, model.link_address(0));
            m.start_time = window.start;
            m.end_time = window.end;
            peer.ask(m);
        }
        for (const auto& b : bindings_of(peer, family))
            found.insert(b.key);
        CHECK(expected.size() > 5);
        CHECK(found == expected);
    }
}

TEST_CASE("v6 links together show the whole truth, REPLY first, then DATA, then DONE") {
    for (const bool together : {false, true}) {
        auto o = options(Family::v6);
        o.personality.all_leases_together = together;
        ModelServer server(o, t0);
        const auto now = t0 + 41s;
        const auto truth = truth_of(server.model(), now);
        std::size_t found = 0;
        for (unsigned link = 0; link < 8; ++link) {
            Peer peer(server, now);
            peer.ask(query_v6(QueryTypeV6::by_link_address, server.model().link_address(link)));
            for (const auto& b : bindings_of(peer, Family::v6)) {
                ++found;
                REQUIRE(truth.contains(b.key));
                CHECK_MESSAGE(same_record(b, truth.at(b.key)), to_string(b), "\n", to_string(truth.at(b.key)));
            }
            std::size_t n = 0;
            const auto last = peer.frames().size();
            for_each_v6(peer, [&](const MessageV6& m) {
                ++n;
                CHECK(m.type == (n == 1      ? MessageTypeV6::lease_query_reply
                                 : n == last ? MessageTypeV6::lease_query_done
                                             : MessageTypeV6::lease_query_data));
                CHECK(m.base_time == server.model().server_now(now));
                CHECK((n == 1) == !m.server_id.empty());
                CHECK((n == 1) == !m.client_id.empty());
                CHECK_FALSE(m.status);
                if (!together && n != last) CHECK(m.client_data.front().leases.size() == 1);
            });
        }
        CHECK(found == truth.size());
    }
}

TEST_CASE("v6 queries by address, client, relay and remote-id find what the truth has") {
    ModelServer server(options(Family::v6), t0);
    const auto truth = truth_of(server.model(), t0);
    const auto sample =
        std::find_if(truth.begin(), truth.end(), [](const auto& t) { return !t.second.remote_id.empty(); })->second;
    const auto expect = [&](MessageV6 m, auto matches) {
        Peer peer(server, t0);
        peer.ask(m);
        const auto found = bindings_of(peer, Family::v6);
        CHECK(static_cast<std::ptrdiff_t>(found.size()) ==
              std::count_if(truth.begin(), truth.end(), [&](const auto& t) { return matches(t.second); }));
        for (const auto& b : found)
            CHECK(matches(b));
    };
    const auto any = *IpAddress::parse("::");
    auto by_client = query_v6(QueryTypeV6::by_client_id, any);
    by_client.query->client_id = sample.client_id;
    expect(by_client, [&](const Binding& b) { return b.client_id == sample.client_id; });
    auto by_relay = query_v6(QueryTypeV6::by_relay_id, any);
    by_relay.query->relay_id = sample.relay_id;
    expect(by_relay, [&](const Binding& b) { return b.relay_id == sample.relay_id; });
    auto by_remote = query_v6(QueryTypeV6::by_remote_id, any);
    by_remote.query->remote_id = sample.remote_id;
    expect(by_remote, [&](const Binding& b) { return b.remote_id == sample.remote_id; });
    auto by_address = query_v6(QueryTypeV6::by_address, any);
    by_address.query->address = LeaseV6{BindingKind::address, sample.key.address, 128, 0, 0, {}, {}};
    expect(by_address, [&](const Binding& b) { return b.key == sample.key; });
}

TEST_CASE("malformed v6 queries get their status in a REPLY, or are discarded") {
    ModelServer server(options(Family::v6), t0);
    const auto any = *IpAddress::parse("::");
    const auto status = [&](const MessageV6& m) {
        Peer peer(server, t0);
        peer.ask(m);
        std::optional<StatusCode> code;
        for_each_v6(peer, [&](const MessageV6& r) {
            CHECK((r.type == MessageTypeV6::lease_query_reply || r.type == MessageTypeV6::reply));
            CHECK(r.client_data.empty());
            code = r.status ? r.status->code : StatusCode::success;
        });
        CHECK(peer.frames().size() <= 1);
        return code;
    };
    CHECK(status(query_v6(QueryTypeV6{9}, any)) == StatusCode::unknown_query_type);
    CHECK(status(query_v6(QueryTypeV6::by_relay_id, any)) == StatusCode::malformed_query);
    CHECK(status(query_v6(QueryTypeV6::by_link_address, any)) == StatusCode::malformed_query);
    CHECK(status(query_v6(QueryTypeV6::by_link_address, *IpAddress::parse("2001:db9::1"))) ==
          StatusCode::not_configured);
    auto anonymous = query_v6(QueryTypeV6::by_link_address, server.model().link_address(0));
    anonymous.client_id = {};
    CHECK(status(anonymous) == std::nullopt);
    auto misdirected = query_v6(QueryTypeV6::by_link_address, server.model().link_address(0));
    misdirected.server_id = requestor_duid;
    CHECK(status(misdirected) == std::nullopt);
    auto nobody = query_v6(QueryTypeV6::by_client_id, any);
    nobody.query->client_id = requestor_duid;
    CHECK(status(nobody) == StatusCode::success);
    MessageV6 tls;
    tls.type = MessageTypeV6::start_tls;
    CHECK(status(tls) == StatusCode::tls_connection_refused);
}

TEST_CASE("without an option request there is no base-time and no relay data") {
    ModelServer server(options(Family::v6), t0);
    Peer peer(server, t0);
    auto m = query_v6(QueryTypeV6::by_link_address, server.model().link_address(1));
    m.option_request = {};
    peer.ask(m);
    for_each_v6(peer, [&](const MessageV6& r) {
        CHECK_FALSE(r.base_time);
        for (const auto& c : r.client_data)
            CHECK(c.relay_data.empty());
    });
}

TEST_CASE("Kea: NotAllowed for everything, no unassigned, no times of RFC 6926; in v6 no base-time and success told") {
    auto o = options(Family::v4);
    o.personality = kea_personality();
    ModelServer v4(o, t0);
    Peer all(v4, t0);
    all.ask(bulk_v4());
    CHECK(last_status_v4(all) == StatusCode::not_allowed);
    Peer active(v4, t0);
    active.ask(active_v4());
    CHECK(active.closed);
    CHECK(active.stream.empty());
    Peer by_relay(v4, t0);
    const auto relay = v4.model().relay_id(0);
    Bytes option{12, static_cast<std::uint8_t>(relay.size())};
    option.insert(option.end(), relay.begin(), relay.end());
    auto m = bulk_v4();
    m.relay_agent_information = option;
    by_relay.ask(m);
    CHECK(by_relay.frames().size() > 10);
    for_each_v4(by_relay, [&](const MessageV4& r) {
        CHECK(r.type != MessageTypeV4::lease_unassigned);
        CHECK_FALSE(r.dhcp_state);
        CHECK_FALSE(r.start_time_of_state_age);
        CHECK(r.base_time.has_value() == (r.type == MessageTypeV4::lease_active));
    });
    o.model.family = Family::v6;
    ModelServer v6(o, t0);
    Peer link(v6, t0);
    link.ask(query_v6(QueryTypeV6::by_link_address, v6.model().link_address(0)));
    std::size_t n = 0;
    for_each_v6(link, [&](const MessageV6& r) {
        CHECK_FALSE(r.base_time);
        CHECK(r.status.has_value() == (n++ == 0));
    });
}

TEST_CASE("a preferred lifetime that has passed may come back whole, longer than the valid one") {
    auto o = options(Family::v6, 700, 0.01);
    o.model.short_preferred = true;
    o.personality.preferred_unreduced = true;
    ModelServer server(o, t0);
    Peer peer(server, t0 + 40h);
    peer.ask(query_v6(QueryTypeV6::by_link_address, server.model().link_address(0)));
    bool longer = false;
    for_each_v6(peer, [&](const MessageV6& r) {
        for (const auto& c : r.client_data)
            for (const auto& l : c.leases)
                longer = longer || l.preferred > l.valid;
    });
    CHECK(longer);
}
