#include "proto/wire/fill_binding.hpp"

#include "tests/golden/messages_v4.hpp"
#include "tests/proto/wire/wire.hpp"

#include <doctest/doctest.h>

namespace leasemirror {
namespace {

using golden::hex;

constexpr std::int64_t base = 0x6b000000;
constexpr std::int64_t server_now = 1000;

std::int64_t at(const std::optional<ServerTime>& t) {
    REQUIRE(t);
    return unix_seconds(*t);
}

/// Fills from a message that only a test changes; keeps what fill_binding() said.
struct Filled {
    Binding binding;
    std::optional<DecodeError> fault;
    std::optional<DecodeError> relay_fault;

    explicit Filled(const MessageV4& m, std::span<const std::uint16_t> keep = {}) {
        fault = fill_binding(m, {server_time_from_unix(server_now), Via::active, keep}, binding, relay_fault);
    }
};

/// The least that makes a record.
MessageV4 least(MessageTypeV4 type = MessageTypeV4::lease_active) {
    MessageV4 m;
    m.type = type;
    m.ciaddr = IpAddress::v4(0x0a0a0001);
    return m;
}

}  // namespace

TEST_CASE("a DHCPLEASEACTIVE becomes a whole binding") {
    ScratchV4 scratch;
    const auto bytes = golden::v4_lease_active.bytes();
    const auto m = decode_v4(bytes, scratch);
    REQUIRE(m);
    const std::uint16_t keep[] = {60, 43, 300, 12};
    const Filled filled(*m, keep);
    CHECK_FALSE(filled.fault);
    CHECK_FALSE(filled.relay_fault);

    Binding want;
    want.key.vpn_id = "ascii:blue";
    want.key.address = *IpAddress::parse("10.10.0.1");
    want.key.prefix_len = 32;
    want.state = BindingState::active;
    want.client_id = hex("01020000000001");
    want.hw_type = 1;
    want.hw_addr = hex("020000000001");
    want.client_last_seen = server_time_from_unix(base - 120);
    want.state_since = server_time_from_unix(base - 7200);
    want.expires_at = server_time_from_unix(base + 3600);
    want.renew_at = server_time_from_unix(base + 900);
    want.rebind_at = server_time_from_unix(base + 2400);
    want.link_address = *IpAddress::parse("10.10.0.0");
    want.relay_address = *IpAddress::parse("192.0.2.1");
    want.relay_id = hex("\"relay-A\"");
    want.remote_id = hex("\"dslam\"");
    want.circuit_id = hex("\"eth1\"");
    want.subscriber_id = hex("\"sub7\"");
    want.hostname = "laptop";
    want.options = hex("003c 0004 \"MSFT\" 000c 0006 \"laptop\"");
    want.data_source = DataSource::remote;
    want.base_time = server_time_from_unix(base);
    want.via = Via::active;
    CHECK(to_string(filled.binding) == to_string(want));
    CHECK(filled.binding == want);
}

TEST_CASE("a record of its least parts tells nothing that was not sent") {
    const Filled filled(least());
    CHECK_FALSE(filled.fault);
    Binding want;
    want.key.address = IpAddress::v4(0x0a0a0001);
    want.key.prefix_len = 32;
    want.base_time = server_time_from_unix(server_now);
    want.via = Via::active;
    CHECK(filled.binding == want);
}

TEST_CASE("a record leaves nothing behind in the next") {
    ScratchV4 scratch;
    const auto bytes = golden::v4_lease_active.bytes();
    const auto m = decode_v4(bytes, scratch);
    REQUIRE(m);
    Filled filled(*m);
    std::optional<DecodeError> relay_fault;
    CHECK_FALSE(
        fill_binding(least(), {server_time_from_unix(server_now), Via::active, {}}, filled.binding, relay_fault));
    CHECK(filled.binding == Filled(least()).binding);
}

TEST_CASE("the state of a DHCPLEASEUNASSIGNED is its dhcp-state, or available") {
    auto m = least(MessageTypeV4::lease_unassigned);
    CHECK(Filled(m).binding.state == BindingState::available);
    struct Case {
        std::uint8_t number;
        BindingState state;
    };
    for (const auto& [number, state] :
         {Case{1, BindingState::available}, Case{2, BindingState::available}, Case{3, BindingState::expired},
          Case{4, BindingState::released}, Case{5, BindingState::abandoned}, Case{6, BindingState::reset},
          Case{7, BindingState::remote}, Case{8, BindingState::transitioning}, Case{9, BindingState::available},
          Case{0, BindingState::available}}) {
        m.dhcp_state = number;
        CHECK(Filled(m).binding.state == state);
        CHECK_FALSE(Filled(m).fault);
    }
}

TEST_CASE("a DHCPLEASEACTIVE whose dhcp-state is another one contradicts itself") {
    auto m = least();
    for (const int state : {1, 3, 4, 5, 6, 7, 8, 9, 0}) {
        m.dhcp_state = static_cast<std::uint8_t>(state);
        CHECK(Filled(m).fault->fault == DecodeFault::contradiction);
    }
    m.dhcp_state = 2;
    CHECK_FALSE(Filled(m).fault);
}

TEST_CASE("a message that speaks of no address, or of no binding, is refused") {
    auto m = least();
    m.ciaddr = {};
    CHECK(Filled(m).fault == DecodeError{DecodeFault::bad_value, 0, 12});
    CHECK(Filled(least(MessageTypeV4::lease_query_done)).fault->fault == DecodeFault::wrong_message_type);
}

TEST_CASE("times are 64 bit, count from the base, and the infinite one is none") {
    auto m = least();
    m.base_time = server_time_from_unix(0xffffffff);
    m.lease_time = 0xfffffffe;
    m.renewal_time = 0xffffffff;
    m.rebinding_time = 0;
    m.client_last_transaction_age = 0xffffffff;
    CHECK(at(Filled(m).binding.expires_at) == 0xffffffffLL + 0xfffffffeLL);
    CHECK_FALSE(Filled(m).binding.renew_at);
    CHECK(at(Filled(m).binding.rebind_at) == 0xffffffffLL);
    CHECK(at(Filled(m).binding.client_last_seen) == 0);
    m.lease_time = 0xffffffff;
    CHECK_FALSE(Filled(m).binding.expires_at);
    m.base_time.reset();
    m.lease_time = 60;
    m.client_last_transaction_age = 2000;
    CHECK(at(Filled(m).binding.expires_at) == server_now + 60);
    CHECK(at(Filled(m).binding.client_last_seen) == server_now - 2000);
}

TEST_CASE("the data source is REMOTE by its lowest bit only") {
    auto m = least();
    for (const auto& [flags, source] : {std::pair{0x01, DataSource::remote}, std::pair{0x80, DataSource::local},
                                        std::pair{0xff, DataSource::remote}, std::pair{0x00, DataSource::local}}) {
        m.data_source = static_cast<std::uint8_t>(flags);
        CHECK(Filled(m).binding.data_source == source);
    }
}

TEST_CASE("no hardware address is none, and neither are Kea's sixteen zeros") {
    const auto mac = hex("020000000001");
    auto m = least();
    m.htype = 1;
    CHECK_FALSE(Filled(m).binding.hw_type);
    m.hlen = 6;
    m.chaddr = mac;
    CHECK(Filled(m).binding.hw_type == 1);
    CHECK(Filled(m).binding.hw_addr == mac);
    const Bytes zeros(16);
    m.hlen = 16;
    m.chaddr = zeros;
    CHECK_FALSE(Filled(m).binding.hw_type);
    CHECK(Filled(m).binding.hw_addr.empty());
}

TEST_CASE("the VPN comes from option 221, else from option 82, else it is the default") {
    const auto relay = hex("97 05 00 \"blue\" 02 01 aa");
    const auto oui = hex("00000c 00000001");
    const auto name = hex("\"red\"");
    auto m = least();
    m.relay_agent_information = relay;
    CHECK(Filled(m).binding.key.vpn_id == "ascii:blue");
    m.vss = VssV4{0, name};
    CHECK(Filled(m).binding.key.vpn_id == "ascii:red");
    m.vss = VssV4{1, oui};
    CHECK(Filled(m).binding.key.vpn_id == "rfc2685:00000c00000001");
    m.vss = VssV4{255, {}};
    CHECK(Filled(m).binding.key.vpn_id == "");
    m.vss = VssV4{254, {}};
    CHECK(Filled(m).fault == DecodeError{DecodeFault::bad_value, 221, 0});
}

TEST_CASE("a VPN that option 82 named and that cannot be read is not the default one") {
    auto m = least();
    for (const auto* wire : {"97 02 01 00", "97 00", "97 01 fe", "01 02 \"c1\" 97 05 00 \"blu\"",
                             "02 63 97 05 00 \"blue\"", "97 02 00 07"}) {
        CAPTURE(wire);
        const auto relay = hex(wire);
        m.relay_agent_information = relay;
        m.vss.reset();
        CHECK(Filled(m).fault->code == 82);
        m.vss = VssV4{255, {}};  // option 221 says it instead
        CHECK_FALSE(Filled(m).fault);
        CHECK(Filled(m).binding.key.vpn_id == "");
    }
}

TEST_CASE("two VPNs stay two, whatever stands in sub-option 152 besides") {
    auto m = least();
    const auto blue = hex("97 05 00 \"blue\" 98 01 01");
    const auto red = hex("97 04 00 \"red\" 98 01 01");
    m.relay_agent_information = blue;
    CHECK(Filled(m).binding.key.vpn_id == "ascii:blue");
    m.relay_agent_information = red;
    CHECK(Filled(m).binding.key.vpn_id == "ascii:red");
}

TEST_CASE("only VPN names that can be a key are taken") {
    CHECK(vpn_id_from_vss(0, hex("\"a b\"")) == "ascii:a b");
    CHECK_FALSE(vpn_id_from_vss(0, {}));
    CHECK_FALSE(vpn_id_from_vss(0, hex("6100")));
    CHECK_FALSE(vpn_id_from_vss(0, hex("c3bc")));
    CHECK_FALSE(vpn_id_from_vss(0, Bytes(255, 'a')));
    CHECK(vpn_id_from_vss(0, Bytes(254, 'a')));
    CHECK_FALSE(vpn_id_from_vss(1, hex("000000000001")));
    CHECK_FALSE(vpn_id_from_vss(1, hex("0000000000000001")));
    CHECK(vpn_id_from_vss(255, {}) == "");
    CHECK_FALSE(vpn_id_from_vss(255, hex("00")));
    CHECK_FALSE(vpn_id_from_vss(254, {}));
    CHECK_FALSE(vpn_id_from_vss(2, hex("61")));
}

TEST_CASE("relay information of which a part cannot be read leaves that empty and keeps the lease") {
    auto m = least();
    m.giaddr = IpAddress::v4(0xc0000201);
    for (const auto* wire : {"01 02 \"c1\" 02 05 \"abc\"", "05 03 010203 01 02 \"c1\"", "01 02 \"c1\" ff"}) {
        const auto relay = hex(wire);
        m.relay_agent_information = relay;
        const Filled filled(m);
        CHECK_FALSE(filled.fault);
        CHECK(filled.relay_fault->code == 82);
        CHECK(filled.binding.circuit_id == hex("\"c1\""));
        CHECK(filled.binding.remote_id.empty());
        CHECK_FALSE(filled.binding.link_address);
        CHECK(filled.binding.relay_address->to_string() == "192.0.2.1");
    }
    m.relay_agent_information = {};
    CHECK_FALSE(Filled(m).relay_fault);
}

TEST_CASE("the host name is option 12, else the name in option 81 in either of its forms") {
    const auto wire = hex("04 00 00 04 \"host\" 07 \"example\" 03 \"net\" 00");
    const auto ascii = hex("00 00 00 \"host.example.net\"");
    const auto broken = hex("04 00 00 40 \"host\"");
    const auto flags = hex("04 00 00");
    auto m = least();
    m.client_fqdn = wire;
    CHECK(Filled(m).binding.hostname == "host.example.net");
    m.client_fqdn = ascii;
    CHECK(Filled(m).binding.hostname == "host.example.net");
    m.host_name = "pc";
    CHECK(Filled(m).binding.hostname == "pc");
    m.host_name = {};
    for (const ByteView none : {ByteView(flags), ByteView(flags).first(1)}) {
        m.client_fqdn = none;
        CHECK(Filled(m).binding.hostname == "");
        CHECK_FALSE(Filled(m).fault);
    }
    m.client_fqdn = broken;  // clients send such: it is kept as text
    CHECK(Filled(m).binding.hostname == "@host");
}

TEST_CASE("of a host name nothing is lost") {
    using namespace std::string_view_literals;
    auto m = least();
    const auto name_of = [&](std::string_view octets) {
        m.host_name = octets;
        const Filled filled(m);
        CHECK_FALSE(filled.relay_fault);
        return filled.binding.hostname;
    };
    CHECK(name_of("pc\0"sv) == "pc");  // RFC 2132 §2: NULs at the end are no part of it
    CHECK(name_of("pc ") == "pc ");
    CHECK(name_of("p\0c\xff"sv) == R"(p\x00c\xff)");
    CHECK(name_of("\xab\xa5\xad\xa0") == R"(\xab\xa5\xad\xa0)");
    CHECK(name_of(R"(a\x00)") == R"(a\\x00)");
    CHECK(name_of("a.b") == "a.b");
    CHECK(name_of("Z\xc3\xbcrich") == "Z\xc3\xbcrich");
    const std::string longest(255, 'a');
    CHECK(name_of(longest) == longest);
}

TEST_CASE("a host name longer than DNS allows is cut, and that is told") {
    auto m = least();
    const std::string name(300, 'a');
    m.host_name = name;
    CHECK(Filled(m).binding.hostname.size() == 255);
    CHECK(Filled(m).relay_fault == DecodeError{DecodeFault::bad_length, 12, 0});
}

TEST_CASE("a dot inside a label of a name in wire form is not two labels") {
    auto m = least();
    const auto one = hex("04 00 00 09 \"host.prod\" 03 \"lan\" 00");
    const auto two = hex("04 00 00 04 \"host\" 04 \"prod\" 03 \"lan\" 00");
    const auto odd = hex("04 00 00 04 5c 00 ff 20 00");
    m.client_fqdn = one;
    CHECK(Filled(m).binding.hostname == R"(host\.prod.lan)");
    m.client_fqdn = two;
    CHECK(Filled(m).binding.hostname == "host.prod.lan");
    m.client_fqdn = odd;
    CHECK(Filled(m).binding.hostname == R"(\\\x00\xff )");
}

TEST_CASE("an infinite time is none, one that is reduced by the age of the lease too") {
    auto m = least();
    m.client_last_transaction_age = 100;
    m.lease_time = m.renewal_time = m.rebinding_time = 0xffffffff - 100;
    const auto b = Filled(m).binding;
    CHECK_FALSE(b.expires_at);
    CHECK_FALSE(b.renew_at);
    CHECK_FALSE(b.rebind_at);
    m.lease_time = 0xffffffff - 101;
    CHECK(at(Filled(m).binding.expires_at) == server_now + 0xffffffffLL - 101);
}

}  // namespace leasemirror
