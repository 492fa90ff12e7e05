// DHCPLEASEQUERY over UDP: RFC 4388 §6.4, RFC 6148 §4.2.
#include "tests/leasesim/peer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

using namespace leasemirror;
using namespace leasemirror::leasesim;
using namespace std::chrono_literals;

namespace {

const auto our_address = IpAddress::v4(0xc0000201);

ServerOptions options(unsigned units_per_client = 1) {
    ServerOptions o;
    o.model.family = Family::v4;
    o.model.bindings = 300;
    o.model.seed = 5;
    o.model.units_per_client = units_per_client;
    return o;
}

MessageV4 question() {
    static constexpr std::array<std::uint8_t, 10> wanted{51, 58, 82, 61, 91, 92, 152, 153, 156, 157};
    MessageV4 m;
    m.op = 1;
    m.type = MessageTypeV4::lease_query;
    m.xid = 7;
    m.giaddr = our_address;
    m.parameter_request_list = wanted;
    return m;
}
MessageV4 by_address(const IpAddress& address) {
    auto m = question();
    m.ciaddr = address;
    return m;
}
MessageV4 by_hardware(ByteView mac) {
    auto m = question();
    m.htype = 1;
    m.hlen = static_cast<std::uint8_t>(mac.size());
    m.chaddr = mac;
    return m;
}
MessageV4 by_client(ByteView id) {
    auto m = question();
    m.client_id = id;
    return m;
}
Bytes sub_option(std::uint8_t code, ByteView data) {
    Bytes out(2 + data.size());
    ByteWriter w(out);
    w.u8(code);
    w.u8(static_cast<std::uint8_t>(data.size()));
    w.bytes(data);
    return out;
}

class Asked {
public:
    Asked(ModelServer& server, const MessageV4& asked) {
        const auto frame = framed(asked);
        answers = server.on_datagram(ByteView(frame).subspan(2), t0);
    }
    [[nodiscard]] const MessageV4& answer() {
        REQUIRE(answers.size() == 1);
        CHECK(answers[0].giaddr == our_address);
        const auto m = decode_v4(answers[0].octets, scratch_);
        REQUIRE(m);
        message_ = *m;
        CHECK(message_.op == 2);
        CHECK(message_.xid == 7);
        CHECK(message_.giaddr == our_address);
        return message_;
    }
    std::vector<Datagram> answers;

private:
    ScratchV4 scratch_;
    MessageV4 message_;
};

std::set<std::uint32_t> associated(const MessageV4& m) {
    std::set<std::uint32_t> out;
    ByteReader in(m.associated_ip);
    while (!in.empty())
        out.insert(in.u32());
    return out;
}

std::vector<UnitState> states(const ModelServer& server) {
    std::vector<UnitState> out(server.model().units());
    for (std::uint64_t unit = 0; unit < out.size(); ++unit)
        server.model().state_of(unit, t0, out[unit]);
    return out;
}

}  // namespace

TEST_CASE("v4 by address: ACTIVE with the options asked for, UNASSIGNED bare, UNKNOWN for what is not ours") {
    ModelServer server(options(), t0);
    std::size_t active = 0;
    for (const auto& s : states(server)) {
        const auto address = server.model().name(s.unit).address;
        Asked asked(server, by_address(address));
        const auto& m = asked.answer();
        CHECK(m.ciaddr == address);
        if (s.held == 0) {
            CHECK(m.type == MessageTypeV4::lease_unassigned);
            CHECK(m.options.size() == 1);  // RFC 4388 §6.4.2: no other options
            continue;
        }
        ++active;
        CHECK(m.type == MessageTypeV4::lease_active);
        CHECK(std::ranges::equal(m.chaddr, s.hw_addr.view()));
        CHECK(std::ranges::equal(m.client_id, s.client_id.view()));
        CHECK(m.lease_time.has_value());
        CHECK(m.client_last_transaction_age);
        CHECK(m.server_identifier);
        CHECK(m.relay_agent_information.empty() == !s.relayed);
        CHECK(m.associated_ip.empty());
        // Options of bulk (RFC 6926) have no place here, asked for or not.
        CHECK_FALSE((m.base_time || m.start_time_of_state_age || m.dhcp_state || m.data_source));
    }
    CHECK(active > 100);
    Asked elsewhere(server, by_address(IpAddress::v4(0xc6336401)));
    CHECK(elsewhere.answer().type == MessageTypeV4::lease_unknown);
    CHECK(elsewhere.answer().options.size() == 1);
    CHECK(elsewhere.answer().ciaddr == IpAddress::v4(0xc6336401));
}

TEST_CASE("v4 by hardware address and client-id: the address used last, all of them in associated-ip") {
    for (const unsigned units : {1U, 3U}) {
        ModelServer server(options(units), t0);
        std::map<Bytes, std::vector<UnitState>> clients;
        for (const auto& s : states(server)) {
            const auto mac = s.hw_addr.view();
            if (s.held != 0) clients[Bytes(mac.begin(), mac.end())].push_back(s);
        }
        std::size_t several = 0;
        for (const auto& client : clients) {
            const auto& mac = client.first;  // no structured binding: clang 14 captures none
            const auto& held = client.second;
            std::set<std::uint32_t> addresses;
            auto latest = held.front();
            for (const auto& s : held) {
                addresses.insert(server.model().name(s.unit).address.v4_value());
                if (s.last_seen > latest.last_seen) latest = s;
            }
            CHECK(held.size() <= units);
            several += held.size() > 1;
            const auto check = [&](const MessageV4& asked_for) {
                Asked asked(server, asked_for);
                const auto& m = asked.answer();
                CHECK(m.type == MessageTypeV4::lease_active);
                CHECK(m.ciaddr == server.model().name(latest.unit).address);
                CHECK(associated(m) == (held.size() > 1 ? addresses : std::set<std::uint32_t>{}));
            };
            check(by_hardware(mac));
            if (!held.front().client_id.empty()) check(by_client(held.front().client_id.view()));
            // By address the others are told too, whichever is asked for.
            Asked asked(server, by_address(server.model().name(held.back().unit).address));
            CHECK(associated(asked.answer()) == (held.size() > 1 ? addresses : std::set<std::uint32_t>{}));
        }
        CHECK((several > 0) == (units > 1));
        const Bytes nobody{2, 0, 0, 0, 0, 1};
        CHECK(Asked(server, by_hardware(nobody)).answer().type == MessageTypeV4::lease_unknown);
        CHECK(Asked(server, by_client(nobody)).answer().type == MessageTypeV4::lease_unknown);
        CHECK(Asked(server, by_client(nobody)).answer().options.size() == 1);
    }
}

TEST_CASE("v4 by remote-id: all addresses behind it; UNKNOWN echoes option 82") {
    ModelServer server(options(), t0);
    std::map<Bytes, std::set<std::uint32_t>> behind;
    for (const auto& s : states(server)) {
        const auto id = s.remote_id.view();
        if (s.held != 0 && s.relayed)
            behind[Bytes(id.begin(), id.end())].insert(server.model().name(s.unit).address.v4_value());
    }
    std::size_t several = 0;
    for (const auto& [id, addresses] : behind) {
        const auto option = sub_option(2, id);
        auto q = question();
        q.relay_agent_information = option;
        Asked asked(server, q);
        const auto& m = asked.answer();
        CHECK(m.type == MessageTypeV4::lease_active);
        CHECK(addresses.contains(m.ciaddr.v4_value()));
        several += addresses.size() > 1;
        CHECK(associated(m) == (addresses.size() > 1 ? addresses : std::set<std::uint32_t>{}));
    }
    CHECK(several > 5);
    const Bytes nobody{9, 9, 9};
    const auto option = sub_option(2, nobody);
    auto q = question();
    q.relay_agent_information = option;
    Asked asked(server, q);
    CHECK(asked.answer().type == MessageTypeV4::lease_unknown);
    CHECK(std::ranges::equal(asked.answer().relay_agent_information, option));
    CHECK(asked.answer().options.size() == 2);
}

TEST_CASE("v4: not answered are queries without giaddr, with no key or two, to another server, and other messages") {
    ModelServer server(options(), t0);
    const auto address = server.model().name(0).address;
    auto homeless = by_address(address);
    homeless.giaddr = IpAddress::v4(0);
    const Bytes mac{2, 0, 0, 0, 0, 1};
    auto two = by_hardware(mac);
    two.ciaddr = address;
    auto other = by_address(address);
    other.server_identifier = IpAddress::v4(0xc6336401);
    auto bulk = bulk_v4();
    bulk.giaddr = our_address;
    auto reply = by_address(address);
    reply.op = 2;
    for (const auto& m : {homeless, two, other, bulk, reply, question()})
        CHECK(Asked(server, m).answers.empty());
    const Bytes garbage(100, 1);
    CHECK(server.on_datagram(garbage, t0).empty());
    auto ours = by_address(address);
    ours.server_identifier = IpAddress::from_bytes(server.server_id());
    CHECK(Asked(server, ours).answers.size() == 1);
    CHECK(server.stats().datagrams == 8);
    CHECK(server.stats().datagrams_answered == 1);
}

TEST_CASE("v4 in a VPN: the same address is another lease there, and the answer names the VPN") {
    auto o = options();
    o.model.vpns = 2;
    ModelServer server(o, t0);
    for (unsigned vpn = 0; vpn <= 2; ++vpn) {
        std::uint64_t unit = vpn;
        UnitState s;
        do {
            server.model().state_of(unit += 3, t0, s);
        } while (s.held == 0);
        const std::string name = "vpn-1";
        const Bytes rfc2685{0, 0, 0x5e, 0, 0, 0, 2};
        auto q = by_address(server.model().name(unit).address);
        if (vpn == 1) q.vss = VssV4{0, ByteView(reinterpret_cast<const std::uint8_t*>(name.data()), name.size())};
        if (vpn == 2) q.vss = VssV4{1, rfc2685};
        Asked asked(server, q);
        CHECK(asked.answer().type == MessageTypeV4::lease_active);
        CHECK(std::ranges::equal(asked.answer().chaddr, s.hw_addr.view()));
        CHECK(asked.answer().vss.has_value() == (vpn != 0));
    }
    auto nowhere = by_address(server.model().name(0).address);
    nowhere.vss = VssV4{1, {}};
    CHECK(Asked(server, nowhere).answer().type == MessageTypeV4::lease_unknown);
}

TEST_CASE("v4 as Kea answers: key and server-id come back in negative answers; no query by remote-id") {
    auto o = options();
    o.personality = kea_personality();
    ModelServer server(o, t0);
    const Bytes nobody{2, 0, 0, 0, 0, 1};
    Asked hardware(server, by_hardware(nobody));
    CHECK(std::ranges::equal(hardware.answer().chaddr, nobody));
    CHECK(hardware.answer().server_identifier);
    Asked client(server, by_client(nobody));
    CHECK(std::ranges::equal(client.answer().client_id, nobody));
    Asked address(server, by_address(IpAddress::v4(0xc6336401)));
    CHECK(address.answer().ciaddr == IpAddress::v4(0xc6336401));
    CHECK(address.answer().server_identifier);
    const auto option = sub_option(2, nobody);
    auto remote = question();
    remote.relay_agent_information = option;
    CHECK(Asked(server, remote).answers.empty());
}

TEST_CASE("v4 faults: another address associated, the answer to another question") {
    auto o = options();
    o.faults = {*parse_fault("associated-ip=17@msg:1"), *parse_fault("foreign-client-id@msg:2")};
    ModelServer server(o, t0);
    std::uint64_t unit = 0;
    for (const auto& s : states(server))
        if (s.held != 0) unit = s.unit;
    const auto asked_for = server.model().name(unit).address;
    Asked first(server, by_address(asked_for));
    CHECK(associated(first.answer()) == std::set{asked_for.v4_value(), server.model().name(17).address.v4_value()});
    Asked second(server, by_address(asked_for));
    CHECK(second.answer().ciaddr != asked_for);
    Asked third(server, by_address(asked_for));
    CHECK(third.answer().ciaddr == asked_for);
}
