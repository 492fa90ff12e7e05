// LEASEQUERY over UDP: RFC 5007 §4.4.
#include "tests/leasesim/peer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <map>

using namespace leasemirror;
using namespace leasemirror::leasesim;
using namespace std::chrono_literals;

namespace {

const IpAddress any_link = IpAddress::from_bytes(std::array<std::uint8_t, 16>{});

ServerOptions options(unsigned units_per_client = 1) {
    ServerOptions o;
    o.model.family = Family::v6;
    o.model.bindings = 280;
    o.model.seed = 5;
    o.model.units_per_client = units_per_client;
    return o;
}

MessageV6 by_address(const IpAddress& address, const IpAddress& link = any_link) {
    auto m = query_v6(QueryTypeV6::by_address, link);
    m.query->address = LeaseV6{BindingKind::address, address, 128, 0, 0, {}, {}};
    m.query->option_request = wanted_v6;
    return m;
}
MessageV6 by_client(ByteView duid, const IpAddress& link = any_link) {
    auto m = query_v6(QueryTypeV6::by_client_id, link);
    m.query->client_id = duid;
    m.query->option_request = wanted_v6;
    return m;
}

/// One question and its one answer, decoded.
class Asked {
public:
    Asked(ModelServer& server, const MessageV6& question) {
        const auto frame = framed(question);
        answers = server.on_datagram(ByteView(frame).subspan(2), t0);
    }
    [[nodiscard]] const MessageV6& answer() {
        REQUIRE(answers.size() == 1);
        CHECK_FALSE(answers[0].giaddr);
        const auto m = decode_v6(answers[0].octets, scratch_);
        REQUIRE(m);
        message_ = *m;
        CHECK(message_.type == MessageTypeV6::lease_query_reply);
        CHECK(message_.xid == 7);
        CHECK(std::ranges::equal(message_.client_id, requestor_duid));
        CHECK_FALSE(message_.server_id.empty());
        return message_;
    }
    [[nodiscard]] std::uint16_t status() {
        const auto& m = answer();
        CHECK(m.client_data.empty());
        return m.status ? m.status->number : std::uint16_t{0};
    }
    std::vector<Datagram> answers;

private:
    ScratchV6 scratch_;
    MessageV6 message_;
};

/// Clients that hold something, each with the units that it has.
std::map<Bytes, std::vector<UnitState>> clients(const ModelServer& server) {
    std::map<Bytes, std::vector<UnitState>> out;
    for (std::uint64_t unit = 0; unit < server.model().units(); ++unit) {
        UnitState s;
        server.model().state_of(unit, t0, s);
        const auto id = s.client_id.view();
        if (s.held != 0) out[Bytes(id.begin(), id.end())].push_back(s);
    }
    return out;
}

}  // namespace

TEST_CASE("v6 by address: all leases of its client on its link, in one CLIENT_DATA, without base-time") {
    ModelServer server(options(), t0);
    const auto& model = server.model();
    std::size_t answered = 0, several = 0;
    for (std::uint64_t binding = 0; binding < model.bindings(); ++binding) {
        UnitState s;
        model.state_of(model.unit_of(binding), t0, s);
        Asked asked(server, by_address(model.name(binding).address));
        const auto& m = asked.answer();
        CHECK_FALSE(m.base_time);
        CHECK_FALSE(m.status);
        const bool held = (s.held >> (binding - s.first_binding) & 1U) != 0;
        REQUIRE(m.client_data.size() == (held ? 1U : 0U));
        if (!held) continue;
        ++answered;
        const auto& client = m.client_data[0];
        CHECK(std::ranges::equal(client.client_id, s.client_id.view()));
        CHECK(client.leases.size() == static_cast<std::size_t>(std::popcount(s.held)));
        CHECK(client.client_last_transaction_age);
        CHECK(client.relay_data.empty() == !s.relayed);
        several += client.leases.size() > 1;
    }
    CHECK(answered > 100);
    CHECK(several > 10);
}

TEST_CASE("v6 by client-id: the client on its one link; on several, their list and nothing else") {
    for (const unsigned units : {1U, 2U, 3U}) {
        ModelServer server(options(units), t0);
        const auto& model = server.model();
        std::size_t listed = 0;
        for (const auto& [duid, held] : clients(server)) {
            CHECK(held.size() <= units);
            Asked asked(server, by_client(duid));
            const auto& m = asked.answer();
            if (held.size() == 1) {
                CHECK(m.client_link.empty());
                REQUIRE(m.client_data.size() == 1);
                continue;
            }
            ++listed;
            CHECK(m.client_data.empty());
            REQUIRE(m.client_link.size() == 16 * held.size());
            // Each link asked for gives what the client has there (RFC 5007 §4.1.2.5).
            for (std::size_t i = 0; i < held.size(); ++i) {
                const auto link = IpAddress::from_bytes(m.client_link.subspan(16 * i, 16));
                Asked there(server, by_client(duid, link));
                const auto& found = there.answer();
                REQUIRE(found.client_data.size() == 1);
                const auto at = model.find_link(found.client_data[0].leases[0].address);
                CHECK(model.link_address(*at) == link);
            }
        }
        CHECK((listed > 0) == (units > 1));
    }
}

TEST_CASE("v6: what is not there, not configured, not complete, unknown, or for bulk alone") {
    ModelServer server(options(), t0);
    const Bytes stranger{0, 3, 0, 1, 9, 9, 9, 9, 9, 9};
    CHECK(Asked(server, by_client(stranger)).status() == 0);
    const auto elsewhere = *IpAddress::parse("2001:db9::1");
    CHECK(Asked(server, by_address(elsewhere)).status() == 9);
    CHECK(Asked(server, by_client(stranger, elsewhere)).status() == 9);
    CHECK(Asked(server, by_address(server.model().name(0).address, elsewhere)).status() == 9);
    // Another link than that of the address: nothing is found there.
    CHECK(Asked(server, by_address(server.model().name(0).address, server.model().link_address(3))).status() == 0);
    CHECK(Asked(server, query_v6(QueryTypeV6::by_address, any_link)).status() == 8);
    CHECK(Asked(server, query_v6(QueryTypeV6::by_client_id, any_link)).status() == 8);
    CHECK(Asked(server, query_v6(QueryTypeV6{77}, any_link)).status() == 7);
    for (const auto type : {QueryTypeV6::by_relay_id, QueryTypeV6::by_link_address, QueryTypeV6::by_remote_id})
        CHECK(Asked(server, query_v6(type, server.model().link_address(0))).status() == 10);
    CHECK(server.stats().datagrams == 11);
    CHECK(server.stats().datagrams_answered == 11);
}

TEST_CASE("v6: discarded are queries without CLIENTID or LQ_QUERY, to another server, and what is no LEASEQUERY") {
    ModelServer server(options(), t0);
    const auto address = server.model().name(0).address;
    auto nobody = by_address(address);
    nobody.client_id = {};
    auto nothing = by_address(address);
    nothing.query.reset();
    auto other = by_address(address);
    const Bytes duid{0, 3, 0, 1, 1, 1, 1, 1, 1, 1};
    other.server_id = duid;
    auto bulk_elsewhere = query_v6(QueryTypeV6::by_link_address, any_link);
    bulk_elsewhere.server_id = duid;
    auto active = active_v6();
    auto upgrade = by_address(address);
    upgrade.type = MessageTypeV6::start_tls;
    for (const auto& m : {nobody, nothing, other, bulk_elsewhere, active, upgrade})
        CHECK(Asked(server, m).answers.empty());
    const Bytes garbage{14, 0, 0, 7, 0, 44, 0, 200, 1};
    CHECK(server.on_datagram(garbage, t0).empty());
    CHECK(server.on_datagram({}, t0).empty());
    auto ours = by_address(address);
    ours.server_id = server.server_id();
    CHECK(Asked(server, ours).answers.size() == 1);
    server.shutdown(t0);
    CHECK(Asked(server, ours).answers.empty());
}

TEST_CASE("v6 as Kea answers: relay data at message level, UnknownQueryType for bulk's types, Success in words") {
    auto o = options();
    o.personality = kea_personality();
    ModelServer server(o, t0);
    std::size_t outside = 0;
    for (std::uint64_t binding = 0; binding < 100; ++binding) {
        Asked asked(server, by_address(server.model().name(binding).address));
        const auto& m = asked.answer();
        REQUIRE(m.status);
        CHECK(m.status->number == 0);
        outside += !m.relay_data.empty();
        for (const auto& client : m.client_data)
            CHECK(client.relay_data.empty());
    }
    CHECK(outside > 30);
    CHECK(Asked(server, query_v6(QueryTypeV6::by_link_address, server.model().link_address(0))).status() == 7);
}

TEST_CASE("faults over UDP: lost, late, twice, from another port, and wrong in each way that must be noticed") {
    const auto tried = [](std::string_view fault) {
        auto o = options();
        const auto f = parse_fault(fault);
        REQUIRE(f);
        o.faults.push_back(*f);
        auto server = std::make_unique<ModelServer>(o, t0);
        const auto question = framed(by_address(server->model().name(0).address));
        std::vector<std::vector<Datagram>> out;
        for (int i = 0; i < 4; ++i)
            out.push_back(server->on_datagram(ByteView(question).subspan(2), t0));
        return out;
    };
    ScratchV6 scratch;
    const auto first = [&](const std::vector<std::vector<Datagram>>& rounds) {
        const auto m = decode_v6(rounds.front().front().octets, scratch);
        REQUIRE(m);
        return *m;
    };
    const auto dropped = tried("udp-drop=3@now");
    CHECK(dropped[2].empty());
    CHECK(dropped[3].size() == 1);
    CHECK(tried("udp-duplicate=2@now")[0].size() == 3);
    CHECK(tried("udp-delay=250@now")[0][0].delay == 250ms);
    const auto moved = tried("udp-other-port@msg:2*2");
    CHECK_FALSE(moved[0][0].other_port);
    CHECK(moved[1][0].other_port);
    CHECK(moved[2][0].other_port);
    CHECK_FALSE(moved[3][0].other_port);
    CHECK(first(tried("wrong-xid@now")).xid != 7);
    CHECK(first(tried("missing-server-id@now")).server_id.empty());
    CHECK_FALSE(std::ranges::equal(first(tried("foreign-client-id@now")).client_id, requestor_duid));
    const auto garbage = tried("garbage-message@now");
    CHECK_FALSE(decode_v6(garbage[0][0].octets, scratch));
    CHECK(decode_v6(garbage[1][0].octets, scratch));
}
