// Decoding and encoding of DHCPv4 leasequery messages: golden bytes, the whole / cut / trailing matrix, and round trips.
#include "proto/wire/message_v4.hpp"

#include "tests/golden/messages_v4.hpp"
#include "tests/proto/wire/wire.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace leasemirror {
namespace {

using golden::hex;
using test::equal;
using test::text;

/// A decoder with its own scratch, so that what it gives lives as long as it does.
class Decoded {
public:
    explicit Decoded(Bytes message) : bytes_(std::move(message)), result_(decode_v4(bytes_, scratch_)) {}
    explicit Decoded(const golden::Message& message) : Decoded(message.bytes()) {}
    [[nodiscard]] bool ok() const { return static_cast<bool>(result_); }
    const MessageV4* operator->() const {
        REQUIRE(ok());
        return &*result_;
    }
    const MessageV4& operator*() const { return *operator->(); }
    [[nodiscard]] DecodeError error() const {
        REQUIRE_FALSE(ok());
        return result_.error();
    }

private:
    Bytes bytes_;
    ScratchV4 scratch_;
    Result<MessageV4, DecodeError> result_;
};

/// Header and cookie of a reply, then `options`.
Bytes with_options(std::string_view options) {
    auto bytes = golden::v4_tls.bytes();
    bytes.resize(header_bytes_v4);
    bytes[0] = 2;
    const auto more = hex(options);
    bytes.insert(bytes.end(), more.begin(), more.end());
    return bytes;
}

Bytes encode(const MessageV4& m, const LayoutV4& layout = {}) {
    Bytes room(65535);
    ByteWriter out(room);
    encode_v4(m, out, layout);
    REQUIRE(out.ok());
    room.resize(out.size());
    return room;
}

constexpr DecodeError bad_length(std::uint16_t code, std::size_t offset) {
    return {DecodeFault::bad_length, code, offset};
}

/// All that a round trip must keep. `options` differ in order only.
void check_same(const MessageV4& a, const MessageV4& b) {
    CHECK(a.op == b.op);
    CHECK(a.htype == b.htype);
    CHECK(a.hlen == b.hlen);
    CHECK(a.hops == b.hops);
    CHECK(a.xid == b.xid);
    CHECK(a.ciaddr == b.ciaddr);
    CHECK(a.yiaddr == b.yiaddr);
    CHECK(a.siaddr == b.siaddr);
    CHECK(a.giaddr == b.giaddr);
    CHECK(equal(a.chaddr, b.chaddr));
    CHECK(a.type == b.type);
    CHECK(a.status == b.status);
    CHECK(a.server_identifier == b.server_identifier);
    CHECK(a.base_time == b.base_time);
    CHECK(a.lease_time == b.lease_time);
    CHECK(a.renewal_time == b.renewal_time);
    CHECK(a.rebinding_time == b.rebinding_time);
    CHECK(a.client_last_transaction_age == b.client_last_transaction_age);
    CHECK(a.start_time_of_state_age == b.start_time_of_state_age);
    CHECK(a.query_start_time == b.query_start_time);
    CHECK(a.query_end_time == b.query_end_time);
    CHECK(a.dhcp_state == b.dhcp_state);
    CHECK(a.data_source == b.data_source);
    CHECK(a.vss.has_value() == b.vss.has_value());
    if (a.vss && b.vss) CHECK((a.vss->type == b.vss->type && equal(a.vss->info, b.vss->info)));
    CHECK(equal(a.client_id, b.client_id));
    CHECK(equal(a.parameter_request_list, b.parameter_request_list));
    CHECK(equal(a.relay_agent_information, b.relay_agent_information));
    CHECK(equal(a.associated_ip, b.associated_ip));
    CHECK(a.host_name == b.host_name);
    CHECK(equal(a.client_fqdn, b.client_fqdn));
    const auto without_overload = [](const MessageV4& m) {
        std::vector<std::pair<int, Bytes>> out;
        for (const auto& o : m.options)
            if (o.code != 52) out.emplace_back(o.code, Bytes(o.data.begin(), o.data.end()));
        std::sort(out.begin(), out.end());
        return out;
    };
    CHECK(without_overload(a) == without_overload(b));
}

}  // namespace

TEST_CASE("a DHCPLEASEACTIVE gives every field of its header and options") {
    const Decoded m(golden::v4_lease_active);
    CHECK(m->op == 2);
    CHECK(m->htype == 1);
    CHECK(m->hlen == 6);
    CHECK(m->xid == 0xdeadbeef);
    CHECK(m->ciaddr.to_string() == "10.10.0.1");
    CHECK(m->giaddr.to_string() == "192.0.2.1");
    CHECK(equal(m->chaddr, hex("020000000001")));
    CHECK(m->type == MessageTypeV4::lease_active);
    CHECK(m->host_name == "laptop");
    CHECK(m->lease_time == 3600);
    CHECK(m->server_identifier->to_string() == "198.51.100.1");
    CHECK(m->renewal_time == 900);
    CHECK(m->rebinding_time == 2400);
    CHECK(equal(m->client_id, hex("01020000000001")));
    CHECK(m->client_fqdn.size() == 18);
    CHECK(m->client_last_transaction_age == 120);
    CHECK(m->status == Status{StatusCode::success, 0, "ok"});
    CHECK(unix_seconds(*m->base_time) == 0x6b000000);
    CHECK(m->start_time_of_state_age == 7200);
    CHECK(m->dhcp_state == 2);
    CHECK(m->data_source == 0xfd);
    CHECK(m->vss->type == 0);
    CHECK(text(m->vss->info) == "blue");
    CHECK(m->relay_agent_information.size() == 34);
    REQUIRE(m->options.size() == 17);
    CHECK(m->options[0].code == 53);
    CHECK(m->options[6].code == 60);
    CHECK(text(m->options[6].data) == "MSFT");
    CHECK(m->options[16].code == 82);
}

TEST_CASE("every other type of v4 message decodes to what it says") {
    const Decoded query(golden::v4_lease_query);
    CHECK(query->type == MessageTypeV4::lease_query);
    CHECK(query->op == 1);
    CHECK(query->ciaddr.to_string() == "10.10.0.1");
    CHECK(equal(query->parameter_request_list, hex("333a3b525b")));

    const Decoded unassigned(golden::v4_lease_unassigned);
    CHECK(unassigned->type == MessageTypeV4::lease_unassigned);
    CHECK(unassigned->dhcp_state == 3);
    CHECK(unassigned->hlen == 0);
    CHECK(unassigned->chaddr.empty());
    CHECK_FALSE(unassigned->lease_time);

    CHECK(Decoded(golden::v4_lease_unknown)->type == MessageTypeV4::lease_unknown);

    const Decoded bulk(golden::v4_bulk_lease_query);
    CHECK(bulk->type == MessageTypeV4::bulk_lease_query);
    CHECK(unix_seconds(*bulk->query_start_time) == 0x6affff00);
    CHECK(unix_seconds(*bulk->query_end_time) == 0x6b000000);
    CHECK(bulk->vss->type == 254);
    CHECK(bulk->vss->info.empty());

    const Decoded done(golden::v4_lease_query_done);
    CHECK(done->type == MessageTypeV4::lease_query_done);
    CHECK(done->status == Status{StatusCode::not_allowed, 4, "not for us"});

    const Decoded active(golden::v4_active_lease_query);
    CHECK(active->type == MessageTypeV4::active_lease_query);
    CHECK(active->query_start_time);

    const Decoded status(golden::v4_lease_query_status);
    CHECK(status->type == MessageTypeV4::lease_query_status);
    CHECK(status->status == Status{StatusCode::catch_up_complete, 7, ""});

    const Decoded tls(golden::v4_tls);
    CHECK(tls->type == MessageTypeV4::tls);
    CHECK(tls->options.size() == 1);
}

TEST_CASE("octets after the end option change nothing") {
    for (const auto& golden : golden::messages_v4) {
        CAPTURE(golden.name);
        auto longer = golden.bytes();
        const auto tail = hex("00 33 04 ffffffff 35 01");
        longer.insert(longer.end(), tail.begin(), tail.end());
        check_same(*Decoded(golden), *Decoded(longer));
    }
}

TEST_CASE("a v4 message cut anywhere is refused or lacks what was cut") {
    for (const auto& golden : golden::messages_v4) {
        CAPTURE(golden.name);
        const Decoded whole(golden);
        const auto bytes = golden.bytes();
        for (std::size_t length = 0; length < bytes.size(); ++length) {
            CAPTURE(length);
            const Decoded cut(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)));
            if (length < header_bytes_v4) CHECK(cut.error().fault == DecodeFault::truncated);
            if (!cut.ok()) continue;
            // Only the end option may be missed without a trace.
            const bool only_end_missing = length + 1 == bytes.size();
            CHECK((cut->options.size() == whole->options.size()) == only_end_missing);
            REQUIRE(cut->options.size() <= whole->options.size());
            for (std::size_t i = 0; i < cut->options.size(); ++i)
                CHECK(equal(cut->options[i].data, whole->options[i].data));
        }
    }
}

TEST_CASE("what is encoded decodes to the same, in one piece, split and overloaded") {
    for (const auto& golden : golden::messages_v4) {
        CAPTURE(golden.name);
        const Decoded original(golden);
        for (const std::size_t split_at : {255U, 253U, 100U, 7U, 4U, 3U, 1U})
            for (const bool overload : {false, true}) {
                CAPTURE(split_at);
                CAPTURE(overload);
                const Decoded again(encode(*original, {split_at, overload}));
                check_same(*original, *again);
            }
    }
}

TEST_CASE("an overloaded message really uses sname and file, and the options field says so") {
    const Decoded original(golden::v4_lease_active);
    const auto bytes = encode(*original, {255, true});
    CHECK(bytes[44] != 0);
    CHECK(bytes[44] != 255);
    CHECK(bytes[108] != 0);
    CHECK(bytes[108] != 255);
    CHECK(equal(ByteView(bytes).subspan(240, 6), hex("35010d 340103")));
    CHECK(bytes.size() < encode(*original).size());
}

TEST_CASE("the encoder puts the type first, option 82 last, and fails where there is no room") {
    const Decoded original(golden::v4_lease_active);
    const auto bytes = encode(*original);
    CHECK(equal(ByteView(bytes).subspan(240, 3), hex("35010d")));
    CHECK(bytes.back() == 255);
    CHECK(bytes[bytes.size() - 1 - 34 - 2] == 82);
    for (const bool overload : {false, true})
        for (std::size_t room_bytes = 0; room_bytes < encode(*original, {255, overload}).size(); ++room_bytes) {
            Bytes room(room_bytes);
            ByteWriter out(room);
            encode_v4(*original, out, {255, overload});
            CHECK_FALSE(out.ok());
        }
}

TEST_CASE("a raw option is written where its typed field is not set") {
    const auto bad = hex("010203");
    const RawOptionV4 raw[] = {{51, bad}, {200, bad}};
    MessageV4 m;
    m.type = MessageTypeV4::lease_active;
    m.options = raw;
    CHECK(Decoded(encode(m)).error() == bad_length(51, 243));
    m.lease_time = 60;
    const Decoded good(encode(m));
    CHECK(good->lease_time == 60);
    CHECK(good->options.size() == 3);
}

TEST_CASE("an option in several pieces is joined in the order options, file, sname") {
    auto bytes = with_options("35 01 0d  34 01 03  3d 03 010203  0c 02 \"ab\"  ff");
    const auto in_sname = hex("3d 02 0607 ff");
    const auto in_file = hex("0c 01 \"c\" 3d 02 0405 ff");
    std::copy(in_sname.begin(), in_sname.end(), bytes.begin() + 44);
    std::copy(in_file.begin(), in_file.end(), bytes.begin() + 108);
    const Decoded m(bytes);
    CHECK(equal(m->client_id, hex("01020304050607")));
    CHECK(m->host_name == "abc");
    CHECK(m->options.size() == 4);
}

TEST_CASE("sname and file are not looked at unless option 52 says so") {
    auto bytes = with_options("35 01 0d ff");
    const auto junk = hex("3d ff 01");
    std::copy(junk.begin(), junk.end(), bytes.begin() + 44);
    std::copy(junk.begin(), junk.end(), bytes.begin() + 108);
    CHECK(Decoded(bytes)->client_id.empty());
    bytes = with_options("35 01 0d 34 01 02 ff");
    std::copy(junk.begin(), junk.end(), bytes.begin() + 44);
    CHECK(Decoded(bytes).error() == DecodeError{DecodeFault::truncated, 61, 44});
    bytes[44] = 12;
    CHECK(Decoded(bytes)->left_out == DecodeError{DecodeFault::truncated, 12, 44});
    CHECK(Decoded(with_options("35 01 0d 34 01 04 ff")).error() == DecodeError{DecodeFault::bad_value, 52, 243});
    CHECK(Decoded(with_options("35 01 0d 34 01 00 ff")).error() == DecodeError{DecodeFault::bad_value, 52, 243});
    CHECK(Decoded(with_options("35 01 0d 34 02 0101 ff")).error() == bad_length(52, 243));
}

TEST_CASE("an option 82 of more than 255 octets is joined before its sub-options are read") {
    Bytes information = hex("01 fd");
    information.insert(information.end(), 253, 0xaa);
    const auto tail = hex("02 03 \"dsl\"");
    information.insert(information.end(), tail.begin(), tail.end());
    MessageV4 m;
    m.type = MessageTypeV4::lease_active;
    m.relay_agent_information = information;
    for (const std::size_t split_at : {255U, 253U, 17U}) {
        const Decoded again(encode(m, {split_at, false}));
        const auto relay = decode_relay_agent_information(again->relay_agent_information);
        CHECK(relay.circuit_id.size() == 253);
        CHECK(text(relay.remote_id) == "dsl");
    }
}

TEST_CASE("sub-options of option 82 are told apart, and of a repeated one the first counts") {
    const auto bytes = hex(R"(
        01 02 "c1" 01 02 "c2" 02 02 "r1" 05 04 0a000000 05 04 0b000000 06 02 "s1" 0b 04 01020304 0c 02 "i1"
        97 05 00 "blue" 97 01 ff c8 01 00)");
    const auto relay = decode_relay_agent_information(bytes);
    CHECK(text(relay.circuit_id) == "c1");
    CHECK(text(relay.remote_id) == "r1");
    CHECK(relay.link_selection->to_string() == "10.0.0.0");
    CHECK(text(relay.subscriber_id) == "s1");
    CHECK(text(relay.relay_id) == "i1");
    CHECK(relay.vss->type == 0);
    CHECK(text(relay.vss->info) == "blue");
    CHECK_FALSE(relay.fault);
    CHECK_FALSE(decode_relay_agent_information({}).fault);
}

TEST_CASE("a VPN that the server did not look at is not believed, and says so by sub-option 152 without data") {
    const auto vpn = [](std::string_view wire) {
        const auto bytes = hex(wire);
        const auto relay = decode_relay_agent_information(bytes);
        CHECK_FALSE(relay.fault);
        CHECK_FALSE(relay.vpn_unreadable);
        return relay.vss ? std::string(text(relay.vss->info)) : std::string("none");
    };
    CHECK(vpn("97 05 00 \"blue\" 98 00") == "none");  // RFC 6607 §3.3
    CHECK(vpn("98 00 97 05 00 \"blue\"") == "none");
    // Somebody's older use of the code controls nothing.
    CHECK(vpn("97 05 00 \"blue\" 98 01 00") == "blue");
    CHECK(vpn("98 04 00000001 97 04 00 \"red\"") == "red");
}

TEST_CASE("pad octets and empty sub-options of option 82 tell nothing, and cost nothing") {
    for (const auto* wire :
         {"01 04 \"eth0\" 02 04 \"host\" 00", "01 04 \"eth0\" 00 00 02 04 \"host\"",
          "00 01 04 \"eth0\" 05 00 02 04 \"host\"", "01 00 01 04 \"eth0\" 02 04 \"host\" 00 00 00"}) {
        CAPTURE(wire);
        const auto bytes = hex(wire);
        const auto relay = decode_relay_agent_information(bytes);
        CHECK_FALSE(relay.fault);
        CHECK(text(relay.circuit_id) == "eth0");
        CHECK(text(relay.remote_id) == "host");
    }
}

TEST_CASE("a sub-option of option 82 that cannot be read says where, and the others count") {
    const auto read = [](std::string_view wire, const DecodeError& fault, bool vpn_unreadable) {
        const auto bytes = hex(wire);
        const auto relay = decode_relay_agent_information(bytes);
        CHECK(relay.fault == fault);
        CHECK(relay.vpn_unreadable == vpn_unreadable);
        CHECK(text(relay.circuit_id) == "c1");
    };
    read("01 02 \"c1\" 02 05 \"abc\"", {DecodeFault::runs_past_parent, 82, 4}, false);
    read("01 02 \"c1\" ff", {DecodeFault::runs_past_parent, 82, 4}, false);
    read("05 03 010203 01 02 \"c1\"", bad_length(82, 0), false);
    // A VPN that was named, or may have been, is not the default one.
    read("01 02 \"c1\" 97 00", bad_length(82, 4), true);
    read("01 02 \"c1\" 97 05 00 \"blu\"", {DecodeFault::runs_past_parent, 82, 4}, true);
    read("01 02 \"c1\" 02 63 97 05 00 \"blue\"", {DecodeFault::runs_past_parent, 82, 4}, true);
    read("01 02 \"c1\" 97 05 00 \"blue\" 02 63 97", {DecodeFault::runs_past_parent, 82, 11}, false);
}

struct Odd {
    std::string_view wire;
    std::uint16_t code;
};

TEST_CASE("a known option of impossible length on which nothing depends is left out, with its code and place") {
    for (const auto& c : {Odd{"36 03 010203", 54}, Odd{"37 00", 55}, Odd{"3a 02 0102", 58},
                          Odd{"3b 08 0102030405060708", 59}, Odd{"5b 03 010203", 91}, Odd{"5c 03 010203", 92},
                          Odd{"5c 00", 92}, Odd{"5c 06 010203040506", 92}, Odd{"99 05 0102030405", 153},
                          Odd{"9a 00", 154}, Odd{"9b 01 01", 155}, Odd{"9d 00", 157}, Odd{"9d 02 0101", 157}}) {
        for (const auto* type : {"0d", "0b", "0f", "11"}) {
            CAPTURE(c.code);
            const Decoded m(with_options("35 01 " + std::string(type) + std::string(c.wire) + " 33 04 00000e10 ff"));
            CHECK(m->left_out == bad_length(c.code, 243));
            CHECK(m->lease_time == 3600);
        }
        for (const auto* query : {"0a", "0e", "10"})  // what somebody asks must be whole
            CHECK(Decoded(with_options("35 01 " + std::string(query) + std::string(c.wire) + " ff")).error() ==
                  bad_length(c.code, 243));
    }
}

TEST_CASE("a known option of impossible length that decides what a message says costs the message") {
    for (const auto& c : {Odd{"33 03 010203", 51}, Odd{"33 05 0102030405", 51}, Odd{"33 00", 51}, Odd{"97 00", 151},
                          Odd{"98 03 010203", 152}, Odd{"9c 00", 156}, Odd{"9c 02 0102", 156}, Odd{"dd 00", 221},
                          Odd{"34 02 0101", 52}}) {
        CAPTURE(c.code);
        CHECK(Decoded(with_options("35 01 0d " + std::string(c.wire) + " ff")).error() == bad_length(c.code, 243));
    }
    CHECK(Decoded(with_options("35 02 0d0d ff")).error() == bad_length(53, 240));
    // A lease's options decide nothing in a message that ends the answer.
    CHECK(Decoded(with_options("35 01 0f 33 03 010203 ff"))->left_out == bad_length(51, 243));
}

TEST_CASE("an option of fixed length that comes more than once, each time whole, counts as it came first") {
    const Decoded m(with_options(R"(35 01 0d 36 04 c0000201 36 04 c0000202 33 04 00000e10 33 04 00000001
        3a 04 00000708 3a 04 00000001 3b 04 00000b00 3b 04 00000001 5b 04 0000003c 5b 04 00000001 98 04 6b000000
        98 04 00000001 99 04 0000000a 99 04 00000001 9c 01 02 9c 01 03 9d 01 00 9d 01 01 35 01 0b ff)"));
    CHECK_FALSE(m->left_out);
    CHECK(m->type == MessageTypeV4::lease_active);
    CHECK(m->server_identifier->to_string() == "192.0.2.1");
    CHECK(m->lease_time == 3600);
    CHECK(m->renewal_time == 1800);
    CHECK(m->rebinding_time == 0xb00);
    CHECK(m->client_last_transaction_age == 60);
    CHECK(unix_seconds(*m->base_time) == 0x6b000000);
    CHECK(m->start_time_of_state_age == 10);
    CHECK(m->dhcp_state == 2);
    CHECK(m->data_source == 0);
    CHECK(m->options.size() == 10);
    const Decoded done(with_options("35 01 0f 9a 04 00000001 9a 04 00000002 9b 04 00000003 9b 04 00000004 ff"));
    CHECK(unix_seconds(*done->query_start_time) == 1);
    CHECK(unix_seconds(*done->query_end_time) == 3);
    // One that is split is joined all the same (RFC 3396 §7).
    CHECK(Decoded(with_options("35 01 0d 33 02 0000 33 02 0e10 ff"))->lease_time == 3600);
    CHECK(Decoded(with_options("35 01 0d 33 00 33 04 00000e10 ff"))->lease_time == 3600);
}

TEST_CASE("what a client once sent is not judged: empty host names, short names and any client-id pass") {
    CHECK(Decoded(with_options("35 01 0d 3d 00 ff"))->client_id.empty());
    CHECK(equal(Decoded(with_options("35 01 0d 3d 01 07 ff"))->client_id, hex("07")));
    const Decoded m(with_options("35 01 0d 0c 00 51 01 04 3c 00 ff"));
    CHECK_FALSE(m->left_out);
    CHECK(m->host_name.empty());
    CHECK(m->client_fqdn.size() == 1);
}

TEST_CASE("a hardware address of more than sixteen octets does not fit, and is none") {
    auto bytes = golden::v4_lease_active.bytes();
    for (const auto hlen : {17, 20, 255}) {
        bytes[2] = static_cast<std::uint8_t>(hlen);
        const Decoded m(bytes);
        CHECK(m->hlen == hlen);
        CHECK(m->chaddr.empty());
        CHECK_FALSE(m->left_out);
    }
}

TEST_CASE("a header that cannot be is refused") {
    auto bytes = golden::v4_lease_active.bytes();
    bytes[2] = 16;
    CHECK(Decoded(bytes)->chaddr.size() == 16);
    bytes[236] ^= 1;
    CHECK(Decoded(bytes).error() == DecodeError{DecodeFault::bad_value, 0, 236});
}

TEST_CASE("a message without a type, or with one that leasequery does not know, is refused") {
    CHECK(Decoded(with_options("33 04 00000001 ff")).error() == DecodeError{DecodeFault::missing_option, 53, 240 + 7});
    CHECK(Decoded(with_options("35 01 02 ff")).error() == DecodeError{DecodeFault::wrong_message_type, 53, 240});
    CHECK(Decoded(with_options("35 01 09 ff")).error().fault == DecodeFault::wrong_message_type);
    CHECK(Decoded(with_options("35 01 13 ff")).error().fault == DecodeFault::wrong_message_type);
    CHECK(Decoded(with_options("ff")).error().fault == DecodeFault::missing_option);
}

TEST_CASE("octets that are no option cost only themselves") {
    for (const auto* wire : {"05", "3a", "0c 09 \"host\"", "c8 20 0102", "35", "35 01"}) {
        CAPTURE(wire);
        const Decoded m(with_options("35 01 0d 98 04 6b000000 33 04 00000e10 3d 02 0102 " + std::string(wire)));
        CHECK(m->left_out == DecodeError{DecodeFault::truncated, static_cast<std::uint16_t>(hex(wire)[0]), 259});
        CHECK(m->lease_time == 3600);
        CHECK(equal(m->client_id, hex("0102")));
        CHECK(m->host_name.empty());
    }
}

TEST_CASE("octets that are no option cost the message where something that decides may be among them") {
    const auto refused = [](std::string_view wire) {
        return Decoded(with_options("35 01 0d " + std::string(wire))).error();
    };
    const auto truncated = [](std::uint16_t code, std::size_t offset) {
        return DecodeError{DecodeFault::truncated, code, offset};
    };
    CHECK(refused("3d 0a 0102") == truncated(61, 243));
    CHECK(refused("3d") == truncated(61, 243));
    CHECK(refused("3d 02 0102 3d 04 03") == truncated(61, 247));  // its second piece
    CHECK(refused("33 04 0000") == truncated(51, 243));
    CHECK(refused("dd 05 00 \"blu\"") == truncated(221, 243));
    CHECK(refused("52 10 01 02 \"c1\"") == truncated(82, 243));  // it may name the VPN
    // An odd length swallows what follows: the VPN, the state, the lifetime.
    CHECK(refused("0c 40 \"host\" dd 01 ff") == truncated(12, 243));
    CHECK(refused("0c 40 \"host\" 9c 01 02") == truncated(12, 243));
    CHECK(refused("0c 40 \"host\" 33 04 00000e10") == truncated(12, 243));
    CHECK(Decoded(with_options("33 04 00000001 35 02")).error() == truncated(53, 246));
    CHECK(Decoded(with_options("35 01 0f 97 05 00")).error() == truncated(151, 243));
    CHECK(Decoded(with_options("35 01 0a 0c 09 \"host\"")).error() == truncated(12, 243));
}

TEST_CASE("the type of a message that is refused can still be told") {
    CHECK(message_type_v4(with_options("35 01 0f 97 05 00")) == MessageTypeV4::lease_query_done);
    CHECK(message_type_v4(with_options("00 33 00 35 01 11 98 01")) == MessageTypeV4::lease_query_status);
    for (const auto* wire : {"", "ff 35 01 0f", "35 02 0f0f", "35 01", "35", "33 7f 35 01 0f"})
        CHECK_FALSE(message_type_v4(with_options(wire)));
    CHECK_FALSE(message_type_v4(hex("02 01 06")));
}

TEST_CASE("unknown options and statuses are kept as they are") {
    const Decoded m(with_options("35 01 0d 00 00 c8 03 010203 97 02 63 21 9c 01 63 ff"));
    CHECK(m->options.size() == 4);
    CHECK(equal(m->options[1].data, hex("010203")));
    CHECK(m->status->code == StatusCode::unknown);
    CHECK(m->status->number == 0x63);
    CHECK(m->dhcp_state == 0x63);
}

TEST_CASE("64 KiB of options decode, in many options as in many pieces of one") {
    auto pieces = with_options("35 01 0d");
    while (pieces.size() + 2 <= 65535)
        pieces.insert(pieces.end(), {200, 0});
    CHECK(Decoded(pieces)->options.size() == 2);
    pieces = with_options("35 01 0d");
    while (pieces.size() + 3 <= 65535)
        pieces.insert(pieces.end(), {200, 1, 0x5a});
    const Decoded joined(pieces);
    REQUIRE(joined->options.size() == 2);
    CHECK(joined->options[1].data.size() == (pieces.size() - 243) / 3);
    auto mixed = with_options("35 01 0d");
    for (std::uint8_t code = 100; mixed.size() + 258 <= 65535;
         code = static_cast<std::uint8_t>(code == 118 ? 100 : code + 1)) {
        mixed.insert(mixed.end(), {code, 255});
        mixed.insert(mixed.end(), 255, code);
    }
    const Decoded many(mixed);
    CHECK(many->options.size() == 20);
    for (const auto& option : many->options.subspan(1))
        CHECK(std::all_of(option.data.begin(), option.data.end(), [&](auto b) { return b == option.code; }));
}

TEST_CASE("a decoder that has warmed up reuses its room") {
    ScratchV4 scratch;
    const auto plain = golden::v4_lease_active.bytes();
    const auto split = encode(*Decoded(golden::v4_lease_active), {3, false});
    const auto first = decode_v4(split, scratch);
    REQUIRE(first);
    const auto* options = first->options.data();
    const auto* joined = first->client_id.data();
    for (int i = 0; i < 3; ++i) {
        REQUIRE(decode_v4(plain, scratch));
        const auto again = decode_v4(split, scratch);
        REQUIRE(again);
        CHECK(again->options.data() == options);
        CHECK(again->client_id.data() == joined);
    }
}

}  // namespace leasemirror
