// Decoding and encoding of DHCPv6 leasequery messages: golden bytes, the whole / cut / trailing matrix, and round trips.
#include "proto/wire/message_v6.hpp"

#include "tests/golden/messages_v6.hpp"
#include "tests/proto/wire/wire.hpp"

#include <doctest/doctest.h>

#include <string>

namespace leasemirror {
namespace {

using golden::hex;
using test::equal;
using test::text;

/// A decoder with its own scratch, so that what it gives lives as long as it does.
class Decoded {
public:
    explicit Decoded(Bytes message) : bytes_(std::move(message)), result_(decode_v6(bytes_, scratch_)) {}
    explicit Decoded(const golden::Message& message) : Decoded(message.bytes()) {}
    [[nodiscard]] bool ok() const { return static_cast<bool>(result_); }
    const MessageV6* operator->() const {
        REQUIRE(ok());
        return &*result_;
    }
    const MessageV6& operator*() const { return *operator->(); }
    [[nodiscard]] DecodeError error() const {
        REQUIRE_FALSE(ok());
        return result_.error();
    }

private:
    Bytes bytes_;
    ScratchV6 scratch_;
    Result<MessageV6, DecodeError> result_;
};

Bytes option(std::uint16_t code, ByteView data) {
    Bytes out(4 + data.size());
    ByteWriter writer(out);
    writer.u16(code);
    writer.u16(static_cast<std::uint16_t>(data.size()));
    writer.bytes(data);
    return out;
}

Bytes join(std::initializer_list<Bytes> parts) {
    Bytes out;
    for (const auto& part : parts)
        out.insert(out.end(), part.begin(), part.end());
    return out;
}

const Bytes data_header = hex("11 000202");
const Bytes client_7 = hex("0001 000a 00030001 020000000007");
const Bytes client_time = hex("002e 0004 00000005");
const Bytes address_7 = hex("0005 0018 20010db8000100000000000000000007 00000708 00000e10");

/// A LEASEQUERY-DATA with one CLIENT_DATA whose sub-options are `parts`, then a good one.
Decoded with_client(std::initializer_list<Bytes> parts) {
    return Decoded(join({data_header, option(45, join(parts)), option(45, join({client_7, address_7, client_time}))}));
}

Bytes encode(const MessageV6& m) {
    Bytes room(65535);
    ByteWriter out(room);
    encode_v6(m, out);
    REQUIRE(out.ok());
    room.resize(out.size());
    return room;
}

/// An option that its length at `offset` does not fit.
constexpr DecodeError bad_length(std::uint16_t code, std::size_t offset) {
    return {DecodeFault::bad_length, code, offset};
}

}  // namespace

TEST_CASE("a LEASEQUERY-REPLY gives every field at every level") {
    const Decoded m(golden::v6_lease_query_reply);
    CHECK(m->type == MessageTypeV6::lease_query_reply);
    CHECK(m->xid == 0x202);
    CHECK(equal(m->client_id, hex("000300010200deadbeef")));
    CHECK(equal(m->server_id, hex("000200007a69")));
    CHECK(m->status == Status{StatusCode::success, 0, "ok"});
    CHECK(unix_seconds(*m->base_time) == 0x30000078 + 946684800LL);
    CHECK(m->relay_data.empty());
    CHECK(m->options.size() == 5);
    CHECK(m->faults.empty());
    REQUIRE(m->client_data.size() == 1);
    const auto& client = m->client_data[0];
    CHECK(equal(client.client_id, hex("0001000130000000020000000001")));
    CHECK(client.client_last_transaction_age == 120);
    CHECK(client.vss->type == 0);
    CHECK(text(client.vss->info) == "blue");
    CHECK(client.relay_data.size() == 102);
    CHECK(client.options.size() == 7);
    REQUIRE(client.leases.size() == 2);
    const auto& address = client.leases[0];
    CHECK(address.kind == BindingKind::address);
    CHECK(address.address.to_string() == "2001:db8:1::1");
    CHECK(address.prefix_len == 128);
    CHECK(address.preferred == 1800);
    CHECK(address.valid == 3600);
    CHECK(address.binding_status == 1);
    CHECK_FALSE(address.status);
    const auto& prefix = client.leases[1];
    CHECK(prefix.kind == BindingKind::prefix);
    CHECK(prefix.address.to_string() == "2001:db8:8000:100::");
    CHECK(prefix.prefix_len == 56);
    CHECK(prefix.preferred == 3600);
    CHECK(prefix.valid == 7200);
    CHECK(prefix.status == Status{StatusCode::success, 0, "ok"});
}

TEST_CASE("every other type of v6 message decodes to what it says") {
    const Decoded query(golden::v6_lease_query);
    CHECK(query->type == MessageTypeV6::lease_query);
    REQUIRE(query->query);
    CHECK(query->query->type == QueryTypeV6::by_address);
    CHECK(query->query->link_address.to_string() == "2001:db8:1::");
    CHECK(query->query->address->address.to_string() == "2001:db8:1::1");
    CHECK(equal(query->query->option_request, hex("002f")));

    const Decoded done(golden::v6_lease_query_done);
    CHECK(done->type == MessageTypeV6::lease_query_done);
    CHECK(done->status == Status{StatusCode::query_terminated, 11, "stop"});
    CHECK(done->client_id.empty());  // the checks are for the REPLY only (RFC 5460 §5.2)
    CHECK(done->base_time);

    const Decoded data(golden::v6_lease_query_data);
    CHECK(data->type == MessageTypeV6::lease_query_data);
    REQUIRE(data->client_data.size() == 2);
    CHECK(data->client_data[0].leases.size() == 1);
    CHECK(data->client_data[0].leases[0].valid == 0xffffffff);
    CHECK(data->client_data[1].leases.empty());  // all this client had on the link has ended
    CHECK(data->client_data[1].client_last_transaction_age == 10);

    const Decoded active(golden::v6_active_lease_query);
    CHECK(active->type == MessageTypeV6::active_lease_query);
    CHECK(equal(active->option_request, hex("0064002f")));
    CHECK(unix_seconds(*active->start_time) == 0x30000000 + 946684800LL);

    CHECK(Decoded(golden::v6_start_tls)->type == MessageTypeV6::start_tls);

    const Decoded refused(golden::v6_reply);
    CHECK(refused->type == MessageTypeV6::reply);
    CHECK(refused->status == Status{StatusCode::tls_connection_refused, 15, ""});
}

TEST_CASE("a keep-alive without any option is a message") {
    const Decoded m(hex("11 000009"));
    CHECK(m->type == MessageTypeV6::lease_query_data);
    CHECK(m->xid == 9);
    CHECK(m->client_data.empty());
}

bool tells(MessageTypeV6 type) {
    return type == MessageTypeV6::lease_query_reply || type == MessageTypeV6::lease_query_data ||
           type == MessageTypeV6::lease_query_done;
}

TEST_CASE("octets after the last option cost themselves, or a query") {
    for (const auto& golden : golden::messages_v6) {
        CAPTURE(golden.name);
        const Decoded whole(golden);
        for (const auto* tail : {"00", "0000", "000000", "0027 0005 00"}) {
            const Decoded longer(join({golden.bytes(), hex(tail)}));
            if (!tells(whole->type)) {
                CHECK(longer.error().fault == DecodeFault::truncated);
                continue;
            }
            CHECK(longer->options.size() == whole->options.size());
            CHECK(longer->client_data.size() == whole->client_data.size());
            REQUIRE(longer->faults.size() == 1);
            CHECK(longer->faults[0].error.fault == DecodeFault::truncated);
            CHECK(longer->faults[0].error.offset == golden.bytes().size());
            CHECK_FALSE(longer->faults[0].lease_lost);
        }
        // What decides may be among them: a CLIENT_DATA, a link to ask, a status, a base-time, a VPN.
        for (const auto* tail : {"002d", "002d 0040 00", "0030 0010", "0027 0040 0009 002d 0004 00"})
            CHECK(Decoded(join({golden.bytes(), hex(tail)})).error().fault == DecodeFault::truncated);
        const Decoded more(join({golden.bytes(), hex("ffff 0002 abcd")}));
        CHECK(more->options.size() == whole->options.size() + 1);
        CHECK(more->options.back().code == 0xffff);
    }
    for (const auto* tail : {"000d 0004 00", "0064 0004 00", "0044 0004 00"})
        CHECK(Decoded(join({data_header, hex(tail)})).error().fault == DecodeFault::truncated);
    for (const auto* tail : {"0001 0004 00", "0002 0004 00"}) {
        CHECK(Decoded(join({data_header, hex(tail)})).ok());  // which only a LEASEQUERY-REPLY must have
        CHECK_FALSE(Decoded(join({hex("0f 000202"), hex(tail)})).ok());
    }
}

TEST_CASE("a v6 message cut anywhere is refused or lacks what was cut") {
    for (const auto& golden : golden::messages_v6) {
        CAPTURE(golden.name);
        const Decoded whole(golden);
        const auto bytes = golden.bytes();
        for (std::size_t length = 0; length < bytes.size(); ++length) {
            CAPTURE(length);
            const Decoded cut(Bytes(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)));
            if (!cut.ok()) {
                CHECK(cut.error().fault == DecodeFault::truncated);
                continue;
            }
            CHECK(cut->options.size() < whole->options.size());
            for (const auto& fault : cut->faults) {
                CHECK(fault.error.fault == DecodeFault::truncated);
                CHECK_FALSE(fault.lease_lost);
            }
        }
    }
}

TEST_CASE("what is encoded decodes to the same octets") {
    for (const auto& golden : golden::messages_v6) {
        CAPTURE(golden.name);
        // Ours are written ascending by code within the typed ones, and the others after them.
        const auto once = encode(*Decoded(golden));
        CHECK(once.size() == golden.bytes().size());
        const Decoded again(once);
        CHECK(again->options.size() == Decoded(golden)->options.size());
        CHECK(encode(*again) == once);
        if (golden.name != golden::v6_lease_query_reply.name) CHECK(once == golden.bytes());
    }
    const Decoded reply(encode(*Decoded(golden::v6_lease_query_reply)));
    CHECK(reply->client_data[0].leases.size() == 2);
    CHECK(reply->client_data[0].leases[0].binding_status == 1);
    CHECK(reply->client_data[0].leases[1].prefix_len == 56);
    CHECK(text(reply->client_data[0].vss->info) == "blue");
    CHECK(reply->client_data[0].options.size() == 7);
}

TEST_CASE("every field of a query makes the round trip") {
    const auto duid = hex("00030001020000000001");
    const auto remote_id = hex("00000009 01");
    const auto codes = hex("0064 0035");
    MessageV6 m;
    m.type = MessageTypeV6::lease_query;
    m.xid = 0xabcdef;
    m.client_id = duid;
    m.option_request = codes;
    m.start_time = server_time_from_unix(1795180538);
    m.end_time = server_time_from_unix(1795180539);
    m.vss = VssV6{1, hex("")};
    m.query = LqQueryV6{};
    m.query->type = QueryTypeV6{9};
    m.query->client_id = duid;
    m.query->relay_id = duid;
    m.query->remote_id = remote_id;
    m.query->option_request = codes;
    m.query->vss = VssV6{0, codes};
    const Decoded again(encode(m));
    CHECK(again->xid == 0xabcdef);
    CHECK(again->start_time == m.start_time);
    CHECK(again->end_time == m.end_time);
    CHECK(again->vss->type == 1);
    CHECK(equal(again->option_request, codes));
    REQUIRE(again->query);
    CHECK(again->query->type == QueryTypeV6{9});
    CHECK(again->query->link_address.to_string() == "::");
    CHECK(equal(again->query->client_id, duid));
    CHECK(equal(again->query->relay_id, duid));
    CHECK(equal(again->query->remote_id, remote_id));
    CHECK(equal(again->query->option_request, codes));
    CHECK(again->query->vss->type == 0);
    CHECK_FALSE(again->query->address);
}

TEST_CASE("an encoder without room fails") {
    const Decoded m(golden::v6_lease_query_reply);
    for (std::size_t room_bytes = 0; room_bytes < golden::v6_lease_query_reply.bytes().size(); ++room_bytes) {
        Bytes room(room_bytes);
        ByteWriter out(room);
        encode_v6(*m, out);
        CHECK_FALSE(out.ok());
    }
}

TEST_CASE("a raw option is written where its typed field is not set") {
    const auto bad = hex("010203");
    const RawOptionV6 raw[] = {{100, bad}, {300, bad}};
    MessageV6 m;
    m.type = MessageTypeV6::lease_query_data;
    m.options = raw;
    CHECK(Decoded(encode(m))->faults[0].error == bad_length(100, 4));
    m.base_time = server_time_from_unix(1795180538);
    CHECK(Decoded(encode(m))->options.size() == 2);
}

TEST_CASE("a CLIENT_DATA whose client, time or VPN cannot be read is lost, with the addresses in it, and no sibling") {
    const auto lost = [](std::initializer_list<Bytes> parts, const DecodeError& error, const std::string& addresses) {
        const auto m = with_client(parts);
        REQUIRE(m->client_data.size() == 1);
        CHECK(equal(m->client_data[0].client_id, hex("00030001020000000007")));
        REQUIRE(m->client_data[0].leases.size() == 1);
        CHECK(m->client_data[0].leases[0].address.to_string() == "2001:db8:1::7");
        CHECK(m->client_data[0].options.size() == 3);
        std::string told;
        for (const auto& fault : m->faults) {
            CHECK(fault.lease_lost);
            CHECK(fault.error == error);
            told += (fault.address ? fault.address->to_string() : "?") + " ";
        }
        CHECK(told == addresses);
    };
    const auto missing = [](std::uint16_t code) { return DecodeError{DecodeFault::missing_option, code, 4}; };
    const auto prefix = hex("001a 0019 00000001 00000002 38 20010db8010000000000000000000001");
    lost({client_7, address_7}, missing(46), "2001:db8:1::7 ");
    lost({address_7, client_time}, missing(1), "2001:db8:1::7 ");
    lost({address_7, prefix, client_time}, missing(1), "2001:db8:1::7 2001:db8:100:: ");
    lost({}, missing(1), "? ");
    lost({client_7, hex("002e 0003 000000"), address_7}, bad_length(46, 22), "2001:db8:1::7 ");
    lost({client_7, client_time, hex("0044 0000")}, bad_length(68, 30), "? ");
    lost({client_7, client_time, address_7, hex("0044 0005 00")}, {DecodeFault::runs_past_parent, 68, 58},
         "2001:db8:1::7 ");
    lost({client_7, client_time, address_7, hex("0027 0040 0044 0002 00 61")}, {DecodeFault::runs_past_parent, 39, 58},
         "2001:db8:1::7 ");
}

TEST_CASE("octets behind the last option of a CLIENT_DATA cost no lease, unless one may be among them") {
    for (const auto* tail : {"00", "0027", "0027 0009 00 04 \"host\"", "ff ff ff ff ff ff"}) {
        const auto m = with_client({client_7, client_time, address_7, hex(tail)});
        REQUIRE(m->client_data.size() == 2);
        CHECK(m->client_data[0].leases.size() == 1);
        CHECK(m->client_data[0].complete);
        REQUIRE(m->faults.size() == 1);
        CHECK_FALSE(m->faults[0].lease_lost);
        CHECK(m->faults[0].error.fault == DecodeFault::runs_past_parent);
        CHECK(m->faults[0].error.offset == 58);
    }
    for (const auto* tail : {"0005", "0005 0018 20", "001a 0019", "0003 0028 00", "0027 0040 0005 0018 00*24"}) {
        const auto m = with_client({client_7, client_time, address_7, hex(tail)});
        REQUIRE(m->client_data.size() == 2);
        CHECK(m->client_data[0].leases.size() == 1);
        CHECK_FALSE(m->client_data[0].complete);
        REQUIRE(m->faults.size() == 1);
        CHECK(m->faults[0].lease_lost);
        CHECK_FALSE(m->faults[0].address);
        CHECK(equal(m->faults[0].client_id, hex("00030001020000000007")));
    }
}

TEST_CASE("client identifiers of any length are kept as they came") {
    for (const auto octets : {0U, 1U, 131U, 2000U}) {
        const Bytes duid(octets, 0xaa);
        const auto m = with_client({option(1, duid), client_time, address_7});
        CHECK(m->faults.empty());
        REQUIRE(m->client_data.size() == 2);
        CHECK(equal(m->client_data[0].client_id, duid));
        CHECK(m->client_data[0].leases.size() == 1);
    }
    const Decoded reply(join({hex("0f 000202 0001 0000"), option(2, Bytes(300, 0xbb))}));
    CHECK(reply->server_id.size() == 300);
    CHECK(reply->client_id.empty());
}

TEST_CASE("a lease that cannot be read costs itself, and the list is then not the complete one") {
    const auto lost = [](const Bytes& lease) {
        const auto m = with_client({client_7, client_time, address_7, lease});
        REQUIRE(m->client_data.size() == 2);
        CHECK(m->client_data[0].leases.size() == 1);
        CHECK_FALSE(m->client_data[0].complete);
        CHECK(m->client_data[1].complete);
        REQUIRE(m->faults.size() == 1);
        CHECK(m->faults[0].lease_lost);
        CHECK(equal(m->faults[0].client_id, hex("00030001020000000007")));
        return m->faults[0];
    };
    const auto prefix = [](unsigned length) {
        return join({hex("001a 0019 00000001 00000002"), Bytes{static_cast<std::uint8_t>(length)},
                     hex("20010db8000800000000000000000000")});
    };
    CHECK(lost(prefix(129)).error == DecodeError{DecodeFault::bad_value, 26, 58});
    CHECK(with_client({client_7, client_time, prefix(128)})->faults.empty());
    const auto address = hex("20010db8000100000000000000000008");
    const auto in_lease = [&](std::string_view behind) {
        return option(5, join({address, hex("00000001 00000002"), hex(behind)}));
    };
    const auto lost_8 = [&](const Bytes& lease) {
        const auto fault = lost(lease);
        CHECK(fault.address == IpAddress::parse("2001:db8:1::8"));
        return fault.error;
    };
    CHECK(lost_8(in_lease("000d 0001 00")) == bad_length(13, 86));
    CHECK(lost_8(in_lease("0072 0002 0101")) == bad_length(114, 86));
    CHECK(lost_8(in_lease("000d 0009 0000")) == DecodeError{DecodeFault::runs_past_parent, 13, 86});
    CHECK(lost_8(option(5, join({address, Bytes(7)}))) == bad_length(5, 58));
    CHECK_FALSE(lost(option(5, Bytes(15))).address);
    CHECK_FALSE(lost(option(26, Bytes(24))).address);
}

TEST_CASE("octets behind the options of a lease cost no lease") {
    const auto lease = option(5, join({hex("20010db8000100000000000000000008 00000001 00000002"), hex("ff")}));
    const auto m = with_client({client_7, client_time, lease});
    REQUIRE(m->client_data.size() == 2);
    CHECK(m->client_data[0].leases.size() == 1);
    CHECK(m->client_data[0].complete);
    REQUIRE(m->faults.size() == 1);
    CHECK_FALSE(m->faults[0].lease_lost);
}

TEST_CASE("an identity association in a CLIENT_DATA is never read as that the client holds nothing") {
    const auto address_8 = hex("0005 0018 20010db8000100000000000000000008 00000708 00000e10");
    const auto prefix_9 = hex("001a 0019 00000001 00000002 38 20010db8000900000000000000000000");
    const auto lost = [](const Bytes& association) {
        const auto m = with_client({client_7, client_time, association});
        REQUIRE(m->client_data.size() == 2);
        CHECK_FALSE(m->client_data[0].complete);
        REQUIRE_FALSE(m->faults.empty());
        CHECK(m->faults[0].lease_lost);
        CHECK(m->faults[0].error.fault == DecodeFault::bad_value);
        return m->faults[0].address;
    };
    CHECK(lost(option(3, join({Bytes(12), address_8}))) == IpAddress::parse("2001:db8:1::8"));
    CHECK(lost(option(4, join({Bytes(4), address_8}))) == IpAddress::parse("2001:db8:1::8"));
    CHECK(lost(option(25, join({Bytes(12), prefix_9}))) == IpAddress::parse("2001:db8:9::"));
    CHECK(lost(option(3, Bytes(12))) == std::nullopt);
    CHECK(lost(option(3, {})) == std::nullopt);
    CHECK(lost(option(3, join({Bytes(12), hex("0005 0018 20")}))) == std::nullopt);
}

TEST_CASE("at most sixteen faults are listed, and the last stands for the others") {
    Bytes message = data_header;
    for (int i = 0; i < 100; ++i) {
        const auto client = option(45, address_7);
        message.insert(message.end(), client.begin(), client.end());
    }
    const Decoded m(message);
    CHECK(m->client_data.empty());
    REQUIRE(m->faults.size() == 16);
    CHECK(m->faults[14].address);
    CHECK(m->faults[15].lease_lost);
    CHECK_FALSE(m->faults[15].address);
    CHECK(m->faults[15].error.fault == DecodeFault::too_many);
}

TEST_CASE("statuses are told apart by where they stand") {
    const auto lease = option(5, join({Bytes(24), hex("000d 0003 0009 \"x\"")}));
    const Decoded m(join({data_header, hex("000d 0002 000d"), option(45, join({client_7, client_time, lease}))}));
    CHECK(m->status->code == StatusCode::catch_up_complete);
    REQUIRE(m->client_data.size() == 1);
    CHECK(m->client_data[0].leases[0].status == Status{StatusCode::not_configured, 9, "x"});
}

TEST_CASE("of an option that should come once the first counts") {
    const Decoded m(join({data_header, hex("0064 0004 00000001  0064 0004 00000002  000d 0002 000c  000d 0002 000b"),
                          option(45, join({client_7, client_time, hex("0001 0002 ffff 002e 0004 00000063")}))}));
    CHECK(unix_seconds(*m->base_time) == 946684801);
    CHECK(m->status->code == StatusCode::data_missing);
    CHECK(equal(m->client_data[0].client_id, hex("00030001020000000007")));
    CHECK(m->client_data[0].client_last_transaction_age == 5);
}

TEST_CASE("a fault at message level costs the message") {
    const auto fault = [](std::string_view wire) { return Decoded(join({data_header, hex(wire)})).error(); };
    CHECK(fault("000d 0001 00") == bad_length(13, 4));
    CHECK(fault("0030 0000") == bad_length(48, 4));
    CHECK(fault("0030 0011 00*17") == bad_length(48, 4));
    CHECK(fault("002d 0001") == DecodeError{DecodeFault::truncated, 45, 4});
    // A query must be whole.
    const auto in_query = [](std::string_view wire) { return Decoded(join({hex("0e 000202"), hex(wire)})).error(); };
    CHECK(in_query("0001 0000") == bad_length(1, 4));
    CHECK(in_query("0001 0083 00*131") == bad_length(1, 4));
    CHECK(in_query("0002 0000") == bad_length(2, 4));
    CHECK(in_query("0006 0003 000000") == bad_length(6, 4));
    CHECK(in_query("002c 0010 00*16") == bad_length(44, 4));
    CHECK(in_query("0044 0000") == bad_length(68, 4));
    CHECK(in_query("0064 0003 000000") == bad_length(100, 4));
    CHECK(in_query("0065 0005 0000000000") == bad_length(101, 4));
    CHECK(in_query("0066 0000") == bad_length(102, 4));
    CHECK(in_query("002c 0015 00*17 0005 0001") == DecodeError{DecodeFault::runs_past_parent, 5, 25});
    CHECK(Decoded(hex("")).error() == DecodeError{DecodeFault::truncated, 0, 0});
    CHECK(Decoded(hex("11 0000")).error().fault == DecodeFault::truncated);
}

TEST_CASE("what only queries have costs an answer nothing") {
    for (const auto* wire : {"0006 0003 000000", "002c 0010 00*16", "0065 0005 0000000000", "0066 0000"}) {
        const Decoded m(join({data_header, hex(wire), option(45, join({client_7, client_time, address_7}))}));
        CHECK(m->client_data.size() == 1);
        REQUIRE(m->faults.size() == 1);
        CHECK_FALSE(m->faults[0].lease_lost);
    }
}

TEST_CASE("where the base-time or the VPN of a message cannot be read all its leases are lost, with their addresses") {
    const auto address_8 = hex("0005 0018 20010db8000100000000000000000008 00000708 00000e10");
    for (const auto* wire : {"0064 0003 000000", "0064 0000 0064 0004 00000001", "0044 0000"}) {
        CAPTURE(wire);
        const Decoded m(join({data_header, option(45, join({client_7, client_time, address_7, address_8})), hex(wire),
                              hex("000d 0002 000d")}));
        CHECK(m->client_data.empty());
        CHECK_FALSE(m->base_time);
        CHECK(m->status->code == StatusCode::catch_up_complete);  // which is told all the same
        REQUIRE(m->faults.size() == 2);
        CHECK(m->faults[0].lease_lost);
        CHECK(m->faults[0].address == IpAddress::parse("2001:db8:1::7"));
        CHECK(m->faults[1].address == IpAddress::parse("2001:db8:1::8"));
        // An empty list tells of an end, which is lost too.
        const Decoded empty(join({data_header, option(45, join({client_7, client_time})), hex(wire)}));
        REQUIRE_FALSE(empty->faults.empty());
        CHECK(empty->faults[0].lease_lost);
        const Decoded keep_alive(join({data_header, hex(wire)}));
        REQUIRE(keep_alive->faults.size() == 1);
        CHECK_FALSE(keep_alive->faults[0].lease_lost);
    }
}

TEST_CASE("only types that travel on a leasequery connection are taken") {
    for (unsigned type = 0; type < 256; ++type) {
        const Decoded m(Bytes{static_cast<std::uint8_t>(type), 0, 0, 1});
        const bool known = type == 7 || (type >= 14 && type <= 17) || type == 22 || type == 23;
        CHECK(m.ok() == known);
        if (!known) CHECK(m.error().fault == DecodeFault::wrong_message_type);
    }
}

TEST_CASE("client links and relay data at message level are handed on") {
    const Decoded m(join({hex("0f 000001"), option(47, hex("0102")), option(48, Bytes(32))}));
    CHECK(m->client_link.size() == 32);
    CHECK(equal(m->relay_data, hex("0102")));
}

TEST_CASE("64 KiB of leases, of clients and of options decode") {
    Bytes leases = join({client_7, client_time});
    while (leases.size() + address_7.size() <= 65535 - 8)
        leases.insert(leases.end(), address_7.begin(), address_7.end());
    const Decoded one_client(join({data_header, option(45, leases)}));
    CHECK(one_client->client_data[0].leases.size() == (leases.size() - 22) / 28);
    const auto client = option(45, join({client_7, client_time, address_7}));
    Bytes message = data_header;
    while (message.size() + client.size() <= 65535)
        message.insert(message.end(), client.begin(), client.end());
    const Decoded clients(message);
    CHECK(clients->client_data.size() == (message.size() - 4) / client.size());
    for (const auto& c : clients->client_data)
        REQUIRE((c.leases.size() == 1 && c.options.size() == 3));
    message = data_header;
    while (message.size() + 4 <= 65535)
        message.insert(message.end(), {0xff, 0xff, 0, 0});
    CHECK(Decoded(message)->options.size() == (message.size() - 4) / 4);
}

TEST_CASE("a decoder that has warmed up reuses its room") {
    ScratchV6 scratch;
    const auto bytes = golden::v6_lease_query_reply.bytes();
    const auto first = decode_v6(bytes, scratch);
    REQUIRE(first);
    const auto* leases = first->client_data[0].leases.data();
    const auto* options = first->options.data();
    for (int i = 0; i < 3; ++i) {
        REQUIRE(decode_v6(golden::v6_start_tls.bytes(), scratch));
        const auto again = decode_v6(bytes, scratch);
        REQUIRE(again);
        CHECK(again->client_data[0].leases.data() == leases);
        CHECK(again->options.data() == options);
    }
}

}  // namespace leasemirror
