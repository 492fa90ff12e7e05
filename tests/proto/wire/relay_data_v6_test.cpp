// OPTION_LQ_RELAY_DATA: nests of one to five relays, with right lengths and with Kea's short ones.
#include "proto/wire/message_v6.hpp"

#include "tests/golden/hex.hpp"
#include "tests/proto/wire/wire.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>

namespace leasemirror {
namespace {

using golden::hex;
using test::equal;
using test::text;

void append(Bytes& out, ByteView more) {
    out.insert(out.end(), more.begin(), more.end());
}

void append_option(Bytes& out, unsigned code, ByteView data, std::size_t length) {
    for (const auto v : {code >> 8, code & 0xff})
        out.push_back(static_cast<std::uint8_t>(v));
    for (const auto v : {length >> 8, length & 0xff})
        out.push_back(static_cast<std::uint8_t>(v));
    append(out, data);
}

/// Option 47 of `relays` relays, the innermost being number 0. Every relay names itself in its interface-id.
/// `shorten` says how many octets to take off the length of the RELAY_MSG that the relay of that number writes.
template <class Shorten>
Bytes nest(int relays, Shorten shorten) {
    Bytes inner;
    for (int i = 0; i < relays; ++i) {
        Bytes level{12, static_cast<std::uint8_t>(i)};
        append(level, i == 1 ? hex("20010db8000100000000000000000001") : Bytes(16));  // link-address
        append(level, Bytes(16));
        const std::string name = "if" + std::to_string(i);
        append_option(level, 18, ByteView(reinterpret_cast<const std::uint8_t*>(name.data()), name.size()),
                      name.size());
        if (i == 0) append_option(level, 37, hex("00000009 01"), 5);
        if (i == relays - 1) append_option(level, 53, hex("0002 00000009 aa"), 7);
        if (i > 0) append_option(level, 9, inner, inner.size() - shorten(i));
        inner = level;
    }
    Bytes out = hex("fe80000000000000000000000000000f");
    append(out, inner);
    return out;
}

void check_nest(ByteView option_47, int relays) {
    const auto relay = decode_relay_data(option_47);
    REQUIRE(relay);
    CHECK(relay->peer_address.to_string() == "fe80::f");
    CHECK(text(relay->interface_id) == "if0");
    CHECK(equal(relay->remote_id, hex("00000009 01")));
    CHECK(equal(relay->relay_id, hex("0002 00000009 aa")));
    CHECK(relay->link_address.has_value() == (relays > 1));
    if (relay->link_address) CHECK(relay->link_address->to_string() == "2001:db8:1::1");
}

DecodeError fault(ByteView option_47) {
    const auto relay = decode_relay_data(option_47);
    REQUIRE_FALSE(relay);
    return relay.error();
}

const std::string head = "fe80000000000000000000000000000f 0c 00 00*16 00*16 ";

}  // namespace

TEST_CASE("of one to five relays, every option comes from the one nearest to the client that has it") {
    for (int relays = 1; relays <= 5; ++relays) {
        CAPTURE(relays);
        check_nest(nest(relays, [](int) { return 0U; }), relays);
    }
}

TEST_CASE("Kea 3.3.1's lengths, four octets short per relay beyond the third, are read all the same") {
    for (int relays = 4; relays <= 8; ++relays) {
        CAPTURE(relays);
        check_nest(nest(relays, [](int i) { return i > 2 ? 4U * static_cast<unsigned>(i - 2) : 0U; }), relays);
    }
}

TEST_CASE("options after a RELAY_MSG are read where the lengths fit") {
    const auto bytes = hex(head + "0009 0029 0c 00 00*16 00*16 0012 0003 \"if0\"  0012 0003 \"if1\"  0035 0003 000201");
    const auto relay = decode_relay_data(bytes);
    REQUIRE(relay);
    CHECK(text(relay->interface_id) == "if0");
    CHECK(equal(relay->relay_id, hex("000201")));
}

TEST_CASE("a client's message that was left in the innermost relay's is not looked at") {
    const auto bytes = hex(head + "0012 0003 \"if0\" 0009 0005 01 aabbcc ff");
    const auto relay = decode_relay_data(bytes);
    REQUIRE(relay);
    CHECK(text(relay->interface_id) == "if0");
    CHECK(decode_relay_data(hex(head + "0009 0000")));
}

TEST_CASE("every option of a relay is told") {
    const auto bytes = hex(head + "0026 0004 \"sub7\" 004f 0008 0001 020000000001 0012 0002 \"if\" ffff 0000");
    const auto relay = decode_relay_data(bytes);
    REQUIRE(relay);
    CHECK(text(relay->subscriber_id) == "sub7");
    CHECK(equal(relay->client_link_layer, hex("0001 020000000001")));
    CHECK_FALSE(relay->link_address);
}

TEST_CASE("relay data that cannot be read says why") {
    CHECK(fault(hex("00*15")) == DecodeError{DecodeFault::bad_length, 47, 0});
    CHECK(fault(hex("00*16")) == DecodeError{DecodeFault::bad_value, 47, 16});
    CHECK(fault(hex("00*16 0d 00 00*32")) == DecodeError{DecodeFault::bad_value, 47, 16});
    CHECK(fault(hex("00*16 0c 00 00*31")) == DecodeError{DecodeFault::runs_past_parent, 0, 16});
    // Another relay may be among what cannot be read, and would name the link.
    CHECK(fault(hex(head + "0009 0029 0c 00 00*16")) == DecodeError{DecodeFault::runs_past_parent, 9, 50});
    CHECK(fault(hex(head + "0012 0040 \"if0\" 0009 0001 01")) == DecodeError{DecodeFault::runs_past_parent, 18, 50});
}

TEST_CASE("one odd option of a relay is left out, and the others count") {
    for (const auto& [wire, fault] : {std::pair{"0025 0004 00000009", DecodeError{DecodeFault::bad_length, 37, 50}},
                                      std::pair{"0035 0000", DecodeError{DecodeFault::bad_length, 53, 50}},
                                      std::pair{"004f 0001 00", DecodeError{DecodeFault::bad_length, 79, 50}}}) {
        const auto bytes = hex(head + wire + "0012 0003 \"if0\" 0026 0001 aa");
        const auto relay = decode_relay_data(bytes);
        REQUIRE(relay);
        CHECK(relay->fault == fault);
        CHECK(text(relay->interface_id) == "if0");
        CHECK(equal(relay->subscriber_id, hex("aa")));
        CHECK(relay->remote_id.empty());
        CHECK(relay->relay_id.empty());
        CHECK(relay->client_link_layer.empty());
    }
    for (const auto* tail : {"00", "000000", "0026 0004 aa"}) {
        const auto bytes = hex(head + "0012 0003 \"if0\"" + tail);
        const auto relay = decode_relay_data(bytes);
        REQUIRE(relay);
        CHECK(relay->fault->fault == DecodeFault::runs_past_parent);
        CHECK(text(relay->interface_id) == "if0");
    }
    const auto long_id = hex(head + "0035 00ff aa*255");  // what relays send, servers store
    CHECK(decode_relay_data(long_id)->relay_id.size() == 255);
    CHECK_FALSE(decode_relay_data(long_id)->fault);
}

TEST_CASE("relay data cut anywhere is refused or lacks what was cut") {
    const auto whole = nest(3, [](int) { return 0U; });
    for (std::size_t length = 0; length < whole.size(); ++length) {
        CAPTURE(length);
        const auto relay = decode_relay_data(ByteView(whole).first(length));
        if (relay) CHECK(relay->remote_id.empty());  // it stands last of all
    }
}

TEST_CASE("a nest deeper than any real one is refused, without recursion") {
    CHECK(decode_relay_data(nest(32, [](int) { return 0U; })));
    CHECK(fault(nest(33, [](int) { return 0U; })).fault == DecodeFault::too_many);
    CHECK(fault(nest(1000, [](int) { return 0U; })).fault == DecodeFault::too_many);
}

}  // namespace leasemirror
