#include "proto/session/reply_reader.hpp"

#include "tests/proto/session/script.hpp"

#include <doctest/doctest.h>

namespace leasemirror {
namespace {

using test::active4;
using test::address;
using test::Asked;
using test::at;
using test::broken;
using test::Client;
using test::ia;
using test::pd;
using test::some_duid;
using test::unassigned4;
using test::V4;
using test::V6;
using test::operator+;

/// All that one message says of bindings. Every message here is whole and can be decoded.
Asked read(ReplyReader& reader, ByteView framed) {
    Asked out;
    reader.feed(framed);
    const auto next = reader.next_message();
    const auto decoded =
        std::holds_alternative<const MessageV4*>(next) || std::holds_alternative<const MessageV6*>(next);
    REQUIRE(decoded);
    reader.begin_records(at(1000));
    while (const auto record = reader.next_record())
        out.add(*record);
    CHECK_FALSE(reader.inside_message());
    return out;
}
Asked read(const V4& m) {
    ReplyReader reader(Family::v4, Via::active, {});
    return read(reader, m.bytes());
}
Asked read(const V6& m) {
    ReplyReader reader(Family::v6, Via::active, {});
    return read(reader, m.bytes());
}

// ---- the stream ---------------------------------------------------------------------------------------------------

TEST_CASE("a stream without a whole message holds nothing yet") {
    ReplyReader reader(Family::v4, Via::bulk, {});
    CHECK(std::holds_alternative<ReplyReader::Nothing>(reader.next_message()));
    const auto message = active4("192.0.2.1").bytes();
    reader.feed(ByteView(message).first(message.size() - 1));
    CHECK(std::holds_alternative<ReplyReader::Nothing>(reader.next_message()));
    CHECK(reader.broken_off_bytes() == message.size() - 1);
    reader.feed(ByteView(message).last(1));
    CHECK(std::holds_alternative<const MessageV4*>(reader.next_message()));
    CHECK(reader.broken_off_bytes() == 0);
}

TEST_CASE("a length that no message can have loses the framing for good") {
    for (const auto family : {Family::v4, Family::v6}) {
        ReplyReader reader(family, Via::bulk, {});
        reader.feed(Bytes{0, 3, 15, 1, 2, 3});
        const auto next = reader.next_message();
        const auto* lost = std::get_if<ReplyReader::FramingLost>(&next);
        REQUIRE(lost);
        CHECK(lost->length == 3);
        CHECK(std::holds_alternative<ReplyReader::FramingLost>(reader.next_message()));
    }
}

TEST_CASE("while a message is being read out there is no room for more octets, since its views would move") {
    ReplyReader reader(Family::v4, Via::bulk, {});
    reader.feed(active4("192.0.2.1").bytes());
    CHECK(reader.space() > 0);
    REQUIRE(std::holds_alternative<const MessageV4*>(reader.next_message()));
    reader.begin_records(at(0));
    CHECK(reader.space() == 0);
    CHECK(reader.inside_message());
    CHECK(reader.next_record());
    CHECK(reader.space() == 0);
    CHECK_FALSE(reader.next_record());
    CHECK(reader.space() > 0);
}

TEST_CASE("a v4 message that cannot be decoded still tells its address, if it has one, and its transaction-id") {
    const auto garbled = [](const V4& m) {
        ReplyReader reader(Family::v4, Via::bulk, {});
        reader.feed(broken(m));
        const auto next = reader.next_message();
        const auto* out = std::get_if<ReplyReader::Garbled>(&next);
        REQUIRE(out);
        CHECK(out->error.code == 51);
        CHECK(out->xid == test::xid);
        return out->address;
    };
    CHECK(garbled(active4("192.0.2.7")) == address("192.0.2.7"));
    CHECK(garbled(active4("0.0.0.0")) == std::nullopt);
}

TEST_CASE("a v6 message that cannot be decoded still tells its type and its transaction-id") {
    ReplyReader reader(Family::v6, Via::bulk, {});
    reader.feed(broken(test::reply6()));
    const auto next = reader.next_message();
    const auto* out = std::get_if<ReplyReader::Garbled>(&next);
    REQUIRE(out);
    CHECK(out->type_v6 == MessageTypeV6::lease_query_reply);
    CHECK(out->xid == test::xid);
    CHECK(out->address == std::nullopt);
}

// ---- v4 records ---------------------------------------------------------------------------------------------------

TEST_CASE("a v4 message is one binding, by the base-time that it carries") {
    CHECK(read(active4("192.0.2.1", 5)).words == "binding 192.0.2.1 active @5");
    CHECK(read(unassigned4("192.0.2.1", 5)).words == "binding 192.0.2.1 available @5");
}

TEST_CASE("a message without base-time counts from what the server's clock is believed to show") {
    const auto read4 = read(V4{.ip = "192.0.2.1", .lease_time = 60});
    CHECK(read4.words == "binding 192.0.2.1 active @1000");
    CHECK(read4.bindings[0].expires_at == at(1060));
    const auto read6 = read(V6{.clients = {{{ia("2001:db8::1", 60)}}}});
    CHECK(read6.words == "binding 2001:db8::1 active @1000; listed 1 of 00030001cc");
    CHECK(read6.bindings[0].expires_at == at(1060));
}

TEST_CASE("a record says by which exchange it came, and keeps the options that were asked for") {
    ReplyReader reader(Family::v4, Via::bulk, {60});
    V4 m = active4("192.0.2.1");
    const Bytes vendor{'a', 'b'};
    m.raw = {{60, vendor}, {43, vendor}};
    const auto out = read(reader, m.bytes());
    CHECK(out.bindings[0].via == Via::bulk);
    CHECK(out.bindings[0].options == Bytes{0, 60, 0, 2, 'a', 'b'});
}

TEST_CASE("DHCPLEASEUNASSIGNED says why by dhcp-state, and is no lease although it may have a lease-time") {
    const auto state = [](std::uint8_t dhcp_state) {
        const auto out = read(V4{.type = MessageTypeV4::lease_unassigned,
                                 .ip = "192.0.2.1",
                                 .base = 5,
                                 .state = dhcp_state,
                                 .lease_time = 60});
        REQUIRE(out.bindings.size() == 1);
        CHECK_FALSE(out.bindings[0].in_force());
        return out.words;
    };
    CHECK(state(1) == "binding 192.0.2.1 available @5");
    CHECK(state(3) == "binding 192.0.2.1 expired @5");
    CHECK(state(4) == "binding 192.0.2.1 released @5");
    CHECK(state(5) == "binding 192.0.2.1 abandoned @5");
    CHECK(state(6) == "binding 192.0.2.1 reset @5");
    CHECK(state(7) == "binding 192.0.2.1 remote @5");
    CHECK(state(8) == "binding 192.0.2.1 transitioning @5");
}

TEST_CASE("an error status in a v4 binding's message costs that binding alone, and is told with its address") {
    for (const auto status : {StatusCode::unspec_fail, StatusCode::query_terminated, StatusCode::malformed_query,
                              StatusCode::not_allowed, StatusCode::data_missing, StatusCode::connection_active,
                              StatusCode::catch_up_complete, StatusCode::tls_connection_refused}) {
        CAPTURE(to_string(status));
        for (auto m : {active4("192.0.2.1", 5), unassigned4("192.0.2.1", 5)}) {
            m.status = status;
            CHECK(read(m).words == "quarantine lost 192.0.2.1");
        }
    }
    auto unknown = active4("192.0.2.1", 5);
    unknown.status_number = 77;
    const auto out = read(unknown);
    CHECK(out.words == "quarantine lost 192.0.2.1");
    CHECK(out.quarantined[0].reason.find("77") != std::string::npos);
}

TEST_CASE("status Success in a v4 binding's message is as good as none") {
    auto m = active4("192.0.2.1", 5);
    m.status = StatusCode::success;
    CHECK(read(m).words == "binding 192.0.2.1 active @5");
}

TEST_CASE("a v4 message without an address speaks of no binding that could be named") {
    CHECK(read(active4("0.0.0.0", 5)).words == "quarantine lost");
}

TEST_CASE("a v4 message that contradicts itself is quarantined whole, with its address") {
    auto m = active4("192.0.2.1", 5);
    m.state = 3;  // DHCPLEASEACTIVE, and EXPIRED
    const auto out = read(m);
    CHECK(out.words == "quarantine lost 192.0.2.1");
    const auto framed = m.bytes();
    CHECK(out.quarantined_bytes[0] == Bytes(framed.begin() + 2, framed.end()));
}

TEST_CASE("relay data that cannot be read costs its columns and keeps the v4 lease") {
    auto m = active4("192.0.2.1", 5);
    m.option_82 = {1, 200, 7};
    CHECK(read(m).words == "binding 192.0.2.1 active @5; quarantine kept");
}

// ---- v6 records ---------------------------------------------------------------------------------------------------

TEST_CASE("every lease of an OPTION_CLIENT_DATA is one binding, and how many it listed is told after them") {
    const V6 m{.clients = {{{ia("2001:db8::1"), ia("2001:db8::2"), pd("2001:db8:100::", 56)}}}, .base = 5};
    const auto out = read(m);
    CHECK(out.words ==
          "binding 2001:db8::1 active @5; binding 2001:db8::2 active @5; binding 2001:db8:100::/56 active @5; "
          "listed 3 of 00030001cc");
    CHECK(out.lists[0].base_time == at(5));
    CHECK(out.lists[0].via == Via::active);
}

TEST_CASE("each client of a message has its own list") {
    const Bytes other{0, 3, 0, 1, 0xdd};
    const V6 m{.clients = {{{ia("2001:db8::1")}}, {{ia("2001:db8::2"), ia("2001:db8::3")}, other}}, .base = 5};
    CHECK(read(m).words ==
          "binding 2001:db8::1 active @5; listed 1 of 00030001cc; "
          "binding 2001:db8::2 active @5; binding 2001:db8::3 active @5; listed 2 of 00030001dd");
}

TEST_CASE("a client without any lease has an empty list, with client, link and base-time") {
    // LQ_RELAY_DATA: peer-address, then RELAY-FORW, hop 0, link-address and peer-address.
    auto relay_data = Bytes(16, 0xfe) + Bytes{12, 0};
    const auto link = address("2001:db8:1::1");
    relay_data = std::move(relay_data) + Bytes(link.bytes().begin(), link.bytes().end()) + Bytes(16, 0xfe);
    Client client;
    client.relay_data = relay_data;
    const auto out = read(V6{.clients = {client}, .base = 5});
    CHECK(out.words == "listed 0 of 00030001cc");
    REQUIRE(out.lists.size() == 1);
    CHECK(out.lists[0].client_id == some_duid);
    CHECK(out.lists[0].link_address == link);
    CHECK(out.lists[0].base_time == at(5));
    CHECK(out.lists[0].via == Via::active);
    CHECK(out.lists[0].key.address.is_unspecified());
}

TEST_CASE("an empty list does not take over the leases of the client before it") {
    const Bytes other{0, 3, 0, 1, 0xdd};
    const V6 m{.clients = {{{ia("2001:db8::1")}}, {{}, other}, {{ia("2001:db8::2")}}}, .base = 5};
    CHECK(read(m).words ==
          "binding 2001:db8::1 active @5; listed 1 of 00030001cc; listed 0 of 00030001dd; "
          "binding 2001:db8::2 active @5; listed 1 of 00030001cc");
}

TEST_CASE("an ended lease is listed as a binding that is not in force") {
    CHECK(read(V6{.clients = {{{ia("2001:db8::1", 0)}}}, .base = 5}).words ==
          "binding 2001:db8::1 ended @5; listed 1 of 00030001cc");
}

TEST_CASE("a status nested in a v6 lease costs that lease alone, and the list is then not the complete one") {
    for (const auto status : {StatusCode::unspec_fail, StatusCode::not_configured, StatusCode::not_allowed,
                              StatusCode::query_terminated, StatusCode::data_missing}) {
        CAPTURE(to_string(status));
        const V6 m{.clients = {{{ia("2001:db8::1"), ia("2001:db8::2", 600, status), ia("2001:db8::3")}}}, .base = 5};
        CHECK(read(m).words ==
              "binding 2001:db8::1 active @5; quarantine lost 2001:db8::2; binding 2001:db8::3 active @5");
    }
}

TEST_CASE("status Success nested in a v6 lease is as good as none") {
    const V6 m{.clients = {{{ia("2001:db8::1", 600, StatusCode::success)}}}, .base = 5};
    CHECK(read(m).words == "binding 2001:db8::1 active @5; listed 1 of 00030001cc");
}

TEST_CASE("a lost list does not spoil that of the next client") {
    const V6 m{
        .clients = {{{ia("2001:db8::1"), ia("2001:db8::2", 600, StatusCode::unspec_fail)}}, {{ia("2001:db8::3")}}},
        .base = 5};
    CHECK(read(m).words ==
          "binding 2001:db8::1 active @5; quarantine lost 2001:db8::2; "
          "binding 2001:db8::3 active @5; listed 1 of 00030001cc");
}

TEST_CASE("of a prefix that cannot be recorded the address is told as it is stored, without host bits") {
    const V6 m{.clients = {{{pd("2001:db8:100:1::1", 56, StatusCode::unspec_fail)}}}, .base = 5};
    CHECK(read(m).words == "quarantine lost 2001:db8:100::");
}

TEST_CASE("a lease on :: names no address, so none is told") {
    const V6 m{.clients = {{{ia("::"), ia("2001:db8::1")}}}, .base = 5};
    CHECK(read(m).words == "quarantine lost; binding 2001:db8::1 active @5");
}

TEST_CASE("an OPTION_CLIENT_DATA that cannot be read is told first, costs itself alone, and no list is complete") {
    Client without_age{{ia("2001:db8::9")}};
    without_age.with_age = false;
    const V6 m{.clients = {{{ia("2001:db8::1")}}, without_age, {{ia("2001:db8::2")}}}, .base = 5};
    CHECK(read(m).words == "quarantine lost 2001:db8::9; binding 2001:db8::1 active @5; binding 2001:db8::2 active @5");
}

TEST_CASE("a list of a client that cannot be told is nobody's") {
    Client nobody{{ia("2001:db8::1")}};
    nobody.duid = {0, 0, 0};
    const V6 m{.clients = {nobody, {{ia("2001:db8::2")}}}, .base = 5};
    CHECK(read(m).words == "binding 2001:db8::1 abandoned @5; binding 2001:db8::2 active @5; listed 1 of 00030001cc");
}

TEST_CASE("relay data that cannot be read costs its columns and keeps every v6 lease") {
    Client client{{ia("2001:db8::1"), ia("2001:db8::2")}};
    client.relay_data = {1, 2, 3};
    CHECK(read(V6{.clients = {client}, .base = 5}).words ==
          "binding 2001:db8::1 active @5; quarantine kept; binding 2001:db8::2 active @5; quarantine kept; "
          "listed 2 of 00030001cc");
}

TEST_CASE("after a message that broke off in reading out nothing of it is left for the next") {
    ReplyReader reader(Family::v6, Via::active, {});
    const V6 bad{.clients = {{{ia("2001:db8::1", 600, StatusCode::unspec_fail)}}}, .base = 5};
    const V6 good{.clients = {{{ia("2001:db8::2")}}}, .base = 6};
    CHECK(read(reader, bad.bytes()).words == "quarantine lost 2001:db8::1");
    CHECK(read(reader, good.bytes()).words == "binding 2001:db8::2 active @6; listed 1 of 00030001cc");
}

}  // namespace
}  // namespace leasemirror
