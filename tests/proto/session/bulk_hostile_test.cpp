#include "proto/session/bulk.hpp"

#include "tests/proto/session/either_family.hpp"
#include "tests/proto/session/script.hpp"

#include <doctest/doctest.h>

namespace leasemirror {
namespace {

using test::active4;
using test::both;
using test::broken;
using test::BulkTalk;
using test::Client;
using test::done4;
using test::done6;
using test::ia;
using test::last_reply;
using test::listing;
using test::reply6;
using test::status4;
using test::V4;
using test::V6;
using test::xid;
using test::operator+;

/// With a status that cannot be read.
Bytes broken_status(const V4& m) {
    auto bytes = m.bytes();
    bytes.insert(bytes.end() - 1, {151, 0});
    ByteWriter(bytes).u16(static_cast<std::uint16_t>(bytes.size() - 2));
    return bytes;
}

// ---- transaction-ids ----------------------------------------------------------------------------------------------

TEST_CASE("a reply with a transaction-id that is not the query's closes the connection, whatever it is") {
    for (const std::uint32_t id : {xid - 1, xid + 1, 0U}) {
        auto v4 = BulkTalk::asked(Family::v4);
        auto m4 = active4("192.0.2.1");
        m4.id = id;
        CHECK(v4.hears(m4) == "close unknown transaction");
        CHECK(v4.session.state() == BulkState::closed);
        auto done = listing(Family::v4);
        auto foreign_done = done4();
        foreign_done.id = id;
        CHECK(done.hears(foreign_done) == "close unknown transaction");
        for (auto m6 : {reply6(), V6{.clients = {Client{{ia("2001:db8::1")}}}}, done6()}) {
            m6.id = id;
            auto v6 = BulkTalk::asked(Family::v6);
            CHECK(v6.hears(m6) == "close unknown transaction");
            auto later = listing(Family::v6);
            CHECK(later.hears(m6) == "close unknown transaction");
        }
    }
    auto high = BulkTalk::asked(Family::v4);  // v4 compares all 32 bits
    auto m = active4("192.0.2.1");
    m.id = xid | 0x01000000;
    CHECK(high.hears(m) == "close unknown transaction");
}

TEST_CASE("a foreign reply between good ones closes after the good ones were delivered") {
    auto talk = BulkTalk::asked(Family::v4);
    auto foreign = active4("192.0.2.9", 5);
    foreign.id = xid + 7;
    CHECK(talk.hears(active4("192.0.2.1", 5).bytes() + foreign + active4("192.0.2.2", 5)) ==
          "heard @5; binding 192.0.2.1 active @5; close unknown transaction");
}

TEST_CASE("a foreign reply that cannot be decoded closes too: its transaction-id can be read") {
    auto v4 = BulkTalk::asked(Family::v4);
    auto m4 = active4("192.0.2.1");
    m4.id = xid + 1;
    CHECK(v4.hears(broken(m4)) == "close unknown transaction");
    auto v6 = BulkTalk::asked(Family::v6);
    CHECK(v6.hears(broken(reply6({.id = xid + 1}))) == "close unknown transaction");
}

TEST_CASE("a message when no query is outstanding closes the connection") {
    for (const auto family : both) {
        BulkTalk before(family);
        CHECK(before.hears(last_reply(family)) == "close unknown transaction");
        auto after = listing(family);
        (void)after.hears(last_reply(family));
        CHECK(after.hears(last_reply(family)) == "close unknown transaction");
    }
}

// ---- what cannot be understood ------------------------------------------------------------------------------------

TEST_CASE("a message that cannot be decoded goes to quarantine as it came, and the listing goes on") {
    auto v4 = listing(Family::v4);
    const auto bad = broken(active4("192.0.2.7", 5));
    CHECK(v4.hears(bad) == "quarantine lost 192.0.2.7");
    CHECK(v4.all.quarantined_bytes[0] == Bytes(bad.begin() + 2, bad.end()));
    CHECK(v4.all.quarantined[0].reason.find("option 51") != std::string::npos);
    CHECK(v4.hears(active4("192.0.2.8", 5)) == "heard @5; binding 192.0.2.8 active @5");
    CHECK(v4.hears(done4()) == "heard; complete");

    auto v6 = listing(Family::v6);
    CHECK(v6.hears(broken(V6{.clients = {Client{{ia("2001:db8::7")}}}})) == "quarantine lost");
    CHECK(v6.hears(V6{.clients = {Client{{ia("2001:db8::8")}}}, .base = 6}) ==
          "heard @6; binding 2001:db8::8 active @6; listed 1 of 00030001cc");
    CHECK(v6.hears(done6()) == "heard; complete");
}

TEST_CASE("v6: an undecodable LEASEQUERY-REPLY costs itself; the DATA after it are still an answer") {
    auto talk = BulkTalk::asked(Family::v6);
    CHECK(talk.hears(broken(reply6({.clients = {Client{{ia("2001:db8::1")}}}}))) == "quarantine lost");
    CHECK(talk.session.state() == BulkState::listing);
    CHECK(talk.hears(V6{.clients = {Client{{ia("2001:db8::2")}}}, .base = 6}) ==
          "heard @6; binding 2001:db8::2 active @6; listed 1 of 00030001cc");
    CHECK(talk.hears(done6()) == "heard; complete");
}

/// A message with stray octets behind its last option, where a v4 message has its end option.
Bytes with_stray_octets(const V4& m) {
    auto bytes = m.bytes();
    bytes.back() = 7;
    return bytes;
}
Bytes with_stray_octets(const V6& m) {
    auto bytes = m.bytes() + Bytes{7};
    ByteWriter(bytes).u16(static_cast<std::uint16_t>(bytes.size() - 2));
    return bytes;
}

TEST_CASE("a stray octet behind the options of a message costs nothing but a place in quarantine") {
    auto v4 = BulkTalk::asked(Family::v4);
    CHECK(v4.hears(with_stray_octets(active4("192.0.2.7", 5))) ==
          "heard @5; quarantine kept; binding 192.0.2.7 active @5");
    CHECK(v4.hears(with_stray_octets(status4(StatusCode::connection_active, 6))) == "heard @6; quarantine kept");
    CHECK(v4.hears(with_stray_octets(done4(std::nullopt, 7))) == "heard @7; quarantine kept; complete");
    auto v6 = BulkTalk::asked(Family::v6);
    CHECK(v6.hears(with_stray_octets(reply6({.clients = {Client{{ia("2001:db8::1")}}}, .base = 5}))) ==
          "heard @5 from 00030001bb; quarantine kept; binding 2001:db8::1 active @5; listed 1 of 00030001cc");
    CHECK(v6.hears(with_stray_octets(done6({.base = 6}))) == "heard @6; quarantine kept; complete");
    CHECK(v6.asks(Family::v6) == "send");
    CHECK(v6.hears(with_stray_octets(reply6({.base = 6, .id = xid + 1}))) ==
          "heard @6 from 00030001bb; quarantine kept; complete");
}

TEST_CASE("v4: a message that ends the answer, or keeps it alive, loses no lease when it cannot be understood") {
    auto talk = listing(Family::v4);
    CHECK(talk.hears(broken_status(status4())) == "quarantine kept");
    CHECK(talk.hears(broken_status(done4())) == "quarantine kept; failed unknown status");
    CHECK(talk.session.state() == BulkState::idle);
}

TEST_CASE("v4: the server-identifier is told by the message that carries it, first or later, and by no other") {
    auto talk = BulkTalk::asked(Family::v4);
    CHECK(talk.hears(active4("192.0.2.1", 5)) == "heard @5; binding 192.0.2.1 active @5");
    auto with_identity = active4("192.0.2.2", 5);
    with_identity.server = "198.51.100.1";
    CHECK(talk.hears(with_identity) == "heard @5 from c6336401; binding 192.0.2.2 active @5");
    CHECK(talk.hears(active4("192.0.2.3", 6)) == "heard @6; binding 192.0.2.3 active @6");
    auto unreadable = active4("192.0.2.4", 6);
    const Bytes odd{198, 51, 100};
    unreadable.raw = {{54, odd}};
    CHECK(talk.hears(unreadable) == "heard @6; quarantine kept; binding 192.0.2.4 active @6");
}

TEST_CASE("v6: an undecodable LEASEQUERY-DONE ends the query, as one that failed: nobody knows its status") {
    auto talk = listing(Family::v6);
    CHECK(talk.hears(broken(done6())) == "quarantine kept; failed unknown status");
    CHECK(talk.session.state() == BulkState::idle);
}

TEST_CASE("v6: a client that cannot be read does not make the answer look empty") {
    Client without_age{{ia("2001:db8::1")}};
    without_age.with_age = false;
    auto talk = BulkTalk::asked(Family::v6);
    CHECK(talk.hears(reply6({.clients = {without_age}, .base = 5})) ==
          "heard @5 from 00030001bb; quarantine lost 2001:db8::1");
    CHECK(talk.session.state() == BulkState::listing);
    CHECK(talk.hears(done6()) == "heard; complete");
}

TEST_CASE("a length that no message can have closes the connection, after what came before it") {
    auto v4 = BulkTalk::asked(Family::v4);
    CHECK(v4.hears(active4("192.0.2.1", 5).bytes() + Bytes{0, 239}) ==
          "heard @5; binding 192.0.2.1 active @5; close framing lost");
    auto v6 = BulkTalk::asked(Family::v6);
    CHECK(v6.hears(Bytes{0, 0}) == "close framing lost");
    CHECK(v6.hears(reply6()).empty());
}

}  // namespace
}  // namespace leasemirror
