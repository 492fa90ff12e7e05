#include "proto/wire/fill_binding.hpp"

#include "tests/golden/messages_v6.hpp"
#include "tests/proto/wire/wire.hpp"

#include <doctest/doctest.h>

namespace leasemirror {
namespace {

using golden::hex;

constexpr std::int64_t base = 0x30000078 + epoch_2000;
constexpr std::int64_t server_now = 1000;
constexpr std::uint32_t infinite = 0xffffffff;

std::int64_t at(const std::optional<ServerTime>& t) {
    REQUIRE(t);
    return unix_seconds(*t);
}

struct Filled {
    Binding binding;
    std::optional<DecodeError> fault;
    std::optional<DecodeError> relay_fault;

    Filled(const MessageV6& m, const ClientDataV6& client, const LeaseV6& lease,
           std::span<const std::uint16_t> keep = {}) {
        fault =
            fill_binding(m, client, lease, {server_time_from_unix(server_now), Via::bulk, keep}, binding, relay_fault);
    }
};

/// One client with one address, and a message without a base-time around it.
struct Least {
    Bytes duid = hex("0002 00000009 01");
    MessageV6 message;
    ClientDataV6 client;
    LeaseV6 lease;

    Least() {
        message.type = MessageTypeV6::lease_query_data;
        client.client_id = duid;
        client.client_last_transaction_age = 100;
        lease.address = *IpAddress::parse("2001:db8::1");
        lease.preferred = 1800;
        lease.valid = 3600;
    }
    [[nodiscard]] Filled fill(std::span<const std::uint16_t> keep = {}) const { return {message, client, lease, keep}; }
};

}  // namespace

TEST_CASE("the leases of a LEASEQUERY-REPLY become whole bindings") {
    ScratchV6 scratch;
    const auto bytes = golden::v6_lease_query_reply.bytes();
    const auto m = decode_v6(bytes, scratch);
    REQUIRE(m);
    const std::uint16_t keep[] = {39, 7, 1};
    const auto& client = m->client_data[0];
    const Filled address(*m, client, client.leases[0], keep);
    CHECK_FALSE(address.fault);
    CHECK_FALSE(address.relay_fault);

    Binding want;
    want.key.vpn_id = "ascii:blue";
    want.key.address = *IpAddress::parse("2001:db8:1::1");
    want.key.prefix_len = 128;
    want.client_id = hex("0001000130000000020000000001");
    want.hw_type = 1;
    want.hw_addr = hex("020000000001");
    want.client_last_seen = server_time_from_unix(base - 120);
    want.expires_at = server_time_from_unix(base + 3600);
    want.preferred_until = server_time_from_unix(base + 1800);
    want.link_address = *IpAddress::parse("2001:db8:1::1");
    want.relay_address = *IpAddress::parse("fe80::2");
    want.circuit_id = hex("\"ge-0/0/0:7\"");
    want.hostname = "laptop.example";
    want.options = hex("0027 0010 00 06 \"laptop\" 07 \"example\" 0001 000e 0001000130000000020000000001");
    want.base_time = server_time_from_unix(base);
    CHECK(to_string(address.binding) == to_string(want));
    CHECK(address.binding == want);

    want.key.kind = BindingKind::prefix;
    want.key.address = *IpAddress::parse("2001:db8:8000:100::");
    want.key.prefix_len = 56;
    want.expires_at = server_time_from_unix(base + 7200);
    want.preferred_until = server_time_from_unix(base + 3600);
    CHECK(to_string(Filled(*m, client, client.leases[1], keep).binding) == to_string(want));
}

TEST_CASE("without a base-time all times count from what the server's clock is thought to show") {
    const auto filled = Least().fill();
    CHECK(unix_seconds(filled.binding.base_time) == server_now);
    CHECK(at(filled.binding.client_last_seen) == server_now - 100);
    CHECK(at(filled.binding.expires_at) == server_now + 3600);
    CHECK(at(filled.binding.preferred_until) == server_now + 1800);
}

TEST_CASE("infinite lifetimes are none, Kea's reduced ones too") {
    Least l;
    l.lease.valid = l.lease.preferred = infinite;
    CHECK_FALSE(l.fill().binding.expires_at);
    CHECK_FALSE(l.fill().binding.preferred_until);
    l.lease.valid = l.lease.preferred = infinite - 100;  // the age of the lease is 100
    CHECK_FALSE(l.fill().binding.expires_at);
    CHECK_FALSE(l.fill().binding.preferred_until);
    l.lease.valid = infinite - 101;
    CHECK(at(l.fill().binding.expires_at) == server_now + 0xffffffffLL - 101);
    l.lease.valid = infinite;
    l.lease.preferred = 50;
    CHECK_FALSE(l.fill().binding.expires_at);
    CHECK(at(l.fill().binding.preferred_until) == server_now + 50);
    l.lease.valid = 60;
    l.lease.preferred = infinite;
    CHECK(at(l.fill().binding.preferred_until) == server_now + 60);
}

TEST_CASE("a preferred lifetime past the valid one is cut, and a preferred lifetime of 0 has ended") {
    Least l;
    l.lease.preferred = 54000;
    l.lease.valid = 26376;
    CHECK(at(l.fill().binding.preferred_until) == server_now + 26376);
    l.lease.preferred = 0;
    CHECK(at(l.fill().binding.preferred_until) == server_now);
    CHECK(l.fill().binding.state == BindingState::active);
}

TEST_CASE("a lease whose client is a DUID of zeros was declined: nobody holds it") {
    Least l;
    const Bytes declined{0, 0, 0};
    l.client.client_id = declined;
    CHECK(l.fill().binding.state == BindingState::abandoned);
    CHECK(l.fill().binding.client_id.empty());
    l.lease.valid = 0;
    CHECK(l.fill().binding.state == BindingState::ended);
    l.lease.valid = 3600;
    const Bytes somebody{0, 0, 1};
    l.client.client_id = somebody;
    CHECK(l.fill().binding.state == BindingState::active);
    CHECK(l.fill().binding.client_id == somebody);
}

TEST_CASE("a lease has ended by its valid lifetime or by its binding status") {
    Least l;
    CHECK(l.fill().binding.state == BindingState::active);
    l.lease.valid = 0;
    CHECK(l.fill().binding.state == BindingState::ended);
    CHECK(at(l.fill().binding.expires_at) == server_now);
    l.lease.binding_status = 1;
    CHECK(l.fill().binding.state == BindingState::ended);
    l.lease.valid = 3600;
    struct Case {
        std::uint8_t number;
        BindingState state;
    };
    for (const auto& [number, state] :
         {Case{1, BindingState::active}, Case{2, BindingState::expired}, Case{3, BindingState::released},
          Case{4, BindingState::transitioning}, Case{5, BindingState::available}, Case{6, BindingState::available},
          Case{7, BindingState::abandoned}, Case{8, BindingState::reset}, Case{0, BindingState::ended},
          Case{99, BindingState::ended}}) {
        l.lease.binding_status = number;
        CHECK(l.fill().binding.state == state);
    }
}

TEST_CASE("what nobody can hold is refused") {
    Least l;
    l.lease.address = *IpAddress::parse("::");
    CHECK(l.fill().fault == DecodeError{DecodeFault::bad_value, 5, 0});
    l.lease.kind = BindingKind::prefix;
    l.lease.address = *IpAddress::parse("2001:db8::");
    l.lease.prefix_len = 0;
    CHECK(l.fill().fault == DecodeError{DecodeFault::bad_value, 26, 0});
}

TEST_CASE("a prefix is recorded without the bits after its length") {
    Least l;
    l.lease.kind = BindingKind::prefix;
    l.lease.address = *IpAddress::parse("2001:db8:8000:1ff::7");
    l.lease.prefix_len = 56;
    CHECK(l.fill().binding.key.address.to_string() == "2001:db8:8000:100::");
}

TEST_CASE("the VPN stands beside the client, else beside the requestor") {
    const auto blue = hex("\"blue\"");
    const auto red = hex("\"red\"");
    Least l;
    CHECK(l.fill().binding.key.vpn_id == "");
    l.message.vss = VssV6{0, red};
    CHECK(l.fill().binding.key.vpn_id == "ascii:red");
    l.client.vss = VssV6{0, blue};
    CHECK(l.fill().binding.key.vpn_id == "ascii:blue");
    l.client.vss = VssV6{254, {}};
    CHECK(l.fill().fault == DecodeError{DecodeFault::bad_value, 68, 0});
}

TEST_CASE("the VPN that a relay asked for is not the VPN of the binding: only the server can tell whether it gave it") {
    const auto relay = hex("fe80000000000000000000000000000f 0c 00 00*16 00*16 0044 0004 00 626c75 0026 0001 0a");
    Least l;
    l.client.relay_data = relay;
    CHECK(l.fill().binding.key.vpn_id == "");
    CHECK(l.fill().binding.subscriber_id == hex("0a"));
}

TEST_CASE("hardware addresses come from DUID-LL and DUID-LLT, and from no other kind") {
    struct Case {
        std::string_view duid;
        bool known;
    };
    for (const auto& c : {Case{"0003 0001 020000000001", true}, Case{"0001 0001 30000000 020000000001", true},
                          Case{"0002 00000009 0102", false}, Case{"0004 00112233445566778899aabbccddeeff", false},
                          Case{"0003 0001", false}, Case{"0003 00", false}, Case{"0001 0001 300000", false},
                          Case{"0001 0001 30000000", false}, Case{"01", false}, Case{"000001", false}}) {
        CAPTURE(c.duid);
        Least l;
        l.duid = hex(c.duid);
        l.client.client_id = l.duid;
        const auto b = l.fill().binding;
        CHECK(b.client_id == l.duid);
        CHECK(b.hw_type.has_value() == c.known);
        CHECK(b.hw_addr == (c.known ? hex("020000000001") : Bytes{}));
    }
    const auto llt = hex("0001 0006 30000000 0200");
    CHECK(duid_hardware(llt)->hw_type == 6);
    CHECK(at(duid_hardware(llt)->time) == 0x30000000 + epoch_2000);
    CHECK_FALSE(duid_hardware(hex("0003 0001 02"))->time);
}

TEST_CASE("a DUID without hardware address leaves it to the relay to tell") {
    const auto relay = hex("fe80000000000000000000000000000f 0c 00 00*16 00*16 004f 0008 0006 02000000000a");
    const auto short_relay = hex("fe80000000000000000000000000000f 0c 00 00*16 00*16 004f 0002 0006");
    Least l;
    l.client.relay_data = relay;
    CHECK(l.fill().binding.hw_type == 6);
    CHECK(l.fill().binding.hw_addr == hex("02000000000a"));
    l.duid = hex("0003 0001 020000000001");
    l.client.client_id = l.duid;
    CHECK(l.fill().binding.hw_addr == hex("020000000001"));
    l.duid = hex("0002 00000009 01");
    l.client.client_id = l.duid;
    l.client.relay_data = short_relay;
    CHECK_FALSE(l.fill().binding.hw_type);
}

TEST_CASE("relay data is looked for inside the CLIENT_DATA, then at message level") {
    const auto inside = hex("fe80000000000000000000000000000a 0c 00 00*16 00*16 0026 0001 0a");
    const auto outside = hex("fe80000000000000000000000000000b 0c 00 00*16 00*16 0026 0001 0b 0035 0003 000201");
    Least l;
    l.message.relay_data = outside;
    CHECK(l.fill().binding.relay_address->to_string() == "fe80::b");
    CHECK(l.fill().binding.relay_id == hex("000201"));
    l.client.relay_data = inside;
    CHECK(l.fill().binding.relay_address->to_string() == "fe80::a");
    CHECK(l.fill().binding.subscriber_id == hex("0a"));
    CHECK(l.fill().binding.relay_id.empty());
}

TEST_CASE("remote-id, subscriber-id and relay-id in the CLIENT_DATA itself fill what the relay data does not tell") {
    const auto remote = hex("00000009 0102");
    const auto subscriber = hex("\"sub7\"");
    const auto relay = hex("0002 00000009 aa");
    const RawOptionV6 options[] = {{37, remote}, {38, subscriber}, {53, relay}};
    Least l;
    l.client.options = options;
    auto b = l.fill().binding;
    CHECK(b.remote_id == remote);
    CHECK(b.subscriber_id == subscriber);
    CHECK(b.relay_id == relay);
    const auto relay_data = hex("fe80000000000000000000000000000a 0c 00 00*16 00*16 0025 0005 00000009 ff");
    l.client.relay_data = relay_data;
    b = l.fill().binding;
    CHECK(b.remote_id == hex("00000009 ff"));
    CHECK(b.subscriber_id == subscriber);
}

TEST_CASE("of an option that is to be kept every instance is kept, in the order in which they came") {
    const auto first = hex("00000009 0001");
    const auto second = hex("00000137 0002");
    const RawOptionV6 options[] = {{17, first}, {39, {}}, {17, second}};
    Least l;
    l.client.options = options;
    const std::uint16_t keep[] = {17};
    const Filled filled(l.message, l.client, l.lease, keep);
    CHECK(filled.binding.options == hex("0011 0006 00000009 0001 0011 0006 00000137 0002"));
}

TEST_CASE("relay data of which a part cannot be read leaves that empty") {
    const auto odd = hex("fe80000000000000000000000000000a 0c 00 00*16 00*16 0026 0001 0a 0012 0009 00");
    Least l;
    l.client.relay_data = odd;
    const auto filled = l.fill();
    CHECK_FALSE(filled.fault);
    CHECK(filled.relay_fault == DecodeError{DecodeFault::runs_past_parent, 18, 55});
    CHECK(filled.binding.relay_address->to_string() == "fe80::a");
    CHECK(filled.binding.subscriber_id == hex("0a"));
    CHECK(filled.binding.circuit_id.empty());
}

TEST_CASE("relay data that cannot be read leaves its columns empty and keeps the lease") {
    const auto broken = hex("fe80000000000000000000000000000a 0c 00 00*16 00*16 0026 0001 0a 0009 00");
    Least l;
    l.client.relay_data = broken;
    const auto filled = l.fill();
    CHECK_FALSE(filled.fault);
    CHECK(filled.relay_fault == DecodeError{DecodeFault::runs_past_parent, 9, 55});
    CHECK_FALSE(filled.binding.relay_address);
    CHECK(filled.binding.subscriber_id.empty());
    CHECK(at(filled.binding.expires_at) == server_now + 3600);
}

TEST_CASE("the host name is option 39, and a malformed one is kept as text") {
    Least l;
    const auto name_of = [&](std::string_view wire) {
        const auto fqdn = hex(wire);
        const RawOptionV6 options[] = {{39, fqdn}};
        l.client.options = options;
        return l.fill().binding.hostname;
    };
    CHECK(name_of("01 02 \"h1\" 07 \"example\" 00") == "h1.example");
    CHECK(name_of("00 02 \"h1\"") == "h1");
    CHECK(name_of("00 02 6800") == R"(h\x00)");
    CHECK(name_of("00 c0 0c") == R"(\xc0\x0c)");
    CHECK(name_of("00 05 \"h1\"") == R"(\x05h1)");
    CHECK(name_of("00 09 \"host.prod\" 03 \"lan\" 00") == R"(host\.prod.lan)");
    CHECK(name_of("00 04 \"host\" 04 \"prod\" 03 \"lan\" 00") == "host.prod.lan");
    CHECK(name_of("00") == "");
    CHECK(name_of("") == "");
}

}  // namespace leasemirror
