#include "proto/bulk_session.hpp"

#include "proto/numbers_v4.hpp"
#include "tests/proto/session_script.hpp"

#include <doctest/doctest.h>

#include <set>

namespace leasemirror {
namespace {

using namespace std::chrono_literals;
using test::active4;
using test::address;
using test::at;
using test::broken;
using test::BulkTalk;
using test::Client;
using test::done4;
using test::done6;
using test::ia;
using test::our_duid;
using test::reply6;
using test::server_duid;
using test::settings_for;
using test::status4;
using test::unassigned4;
using test::V4;
using test::V6;
using test::xid;
using test::operator+;

constexpr auto both = {Family::v4, Family::v6};

/// The first message of a good answer, which more will follow.
Bytes first_reply(Family family) {
    if (family == Family::v4) return active4("192.0.2.1", 5).bytes();
    return reply6({.clients = {Client{{ia("2001:db8::1")}}}, .base = 5}).bytes();
}
Bytes last_reply(Family family) {
    return family == Family::v4 ? done4().bytes() : done6().bytes();
}

/// With a status that cannot be read.
Bytes broken_status(const V4& m) {
    auto bytes = m.bytes();
    bytes.insert(bytes.end() - 1, {151, 0});
    ByteWriter(bytes).u16(static_cast<std::uint16_t>(bytes.size() - 2));
    return bytes;
}

BulkTalk listing(Family family) {
    auto talk = BulkTalk::asked(family);
    (void)talk.hears(first_reply(family));
    CHECK(talk.session.state() == BulkState::listing);
    return talk;
}

// ---- the query ----------------------------------------------------------------------------------------------------

TEST_CASE("a bulk session asks nothing by itself") {
    for (const auto family : both) {
        BulkTalk talk(family);
        CHECK(talk.poll().empty());
        CHECK(talk.session.state() == BulkState::idle);
        CHECK_FALSE(talk.session.next_deadline());
    }
}

TEST_CASE("a query that the family cannot express fails at once, sends nothing, and the next can be asked") {
    for (const auto family : both) {
        BulkTalk talk(family);
        BulkQuery query;
        query.kind = family == Family::v4 ? QueryKind::link : QueryKind::all;
        CHECK(talk.begins(query) == "failed MalformedQuery");
        CHECK(talk.session.state() == BulkState::idle);
        CHECK(talk.asks(family) == "send");
    }
}

TEST_CASE("queries on one connection have transaction-ids of their own") {
    for (const auto family : both) {
        auto talk = BulkTalk::asked(family);
        std::set<Bytes> seen;
        const std::size_t place = family == Family::v4 ? 2 + 4 : 2 + 1;
        const std::size_t width = family == Family::v4 ? 4 : 3;
        for (std::uint32_t i = 0; i < 4; ++i) {
            const auto id = ByteView(talk.all.sent).subspan(place, width);
            CHECK(seen.insert(Bytes(id.begin(), id.end())).second);
            const auto done = family == Family::v4 ? V4{.type = MessageTypeV4::lease_query_done, .id = xid + i}.bytes()
                                                   : reply6({.id = xid + i}).bytes();
            (void)talk.hears(done);
            REQUIRE(talk.session.state() == BulkState::idle);
            (void)talk.asks(family);
        }
    }
}

TEST_CASE("transaction-ids of v6 start again at 0 after 24 bits") {
    auto settings = settings_for(Family::v6);
    settings.first_xid = 0xffffff;
    BulkTalk talk(settings);
    CHECK(talk.asks(Family::v6) == "send");
    CHECK(talk.hears(reply6({.id = 0xffffff})) == "heard from 00030001bb; complete");
    CHECK(talk.asks(Family::v6) == "send");
    CHECK(talk.hears(reply6({.id = 0})) == "heard from 00030001bb; complete");
}

// ---- v4 answers ---------------------------------------------------------------------------------------------------

TEST_CASE("v4: bound and unassigned addresses until DHCPLEASEQUERYDONE; the server-identifier comes in the first") {
    auto talk = BulkTalk::asked(Family::v4);
    CHECK(talk.hears(V4{.ip = "192.0.2.1", .base = 5, .server = "198.51.100.1"}) ==
          "heard @5 from c6336401; binding 192.0.2.1 active @5");
    CHECK(talk.hears(unassigned4("192.0.2.2", 6)) == "heard @6; binding 192.0.2.2 available @6");
    CHECK(talk.hears(done4()) == "heard; complete");
    CHECK(talk.session.state() == BulkState::idle);
}

TEST_CASE("v4: DHCPLEASEQUERYDONE without data is success: there was nothing to tell") {
    auto talk = BulkTalk::asked(Family::v4);
    CHECK(talk.hears(V4{.type = MessageTypeV4::lease_query_done, .server = "198.51.100.1"}) ==
          "heard from c6336401; complete");
}

TEST_CASE("v4: a status in DHCPLEASEQUERYDONE fails the whole query, first answer or not") {
    for (const auto status : {StatusCode::unspec_fail, StatusCode::query_terminated, StatusCode::malformed_query,
                              StatusCode::not_allowed, StatusCode::data_missing, StatusCode::connection_active,
                              StatusCode::catch_up_complete, StatusCode::tls_connection_refused}) {
        const auto words = std::string(to_string(status));
        CAPTURE(words);
        auto at_once = BulkTalk::asked(Family::v4);
        CHECK(at_once.hears(done4(status, 9)) == "heard @9; failed " + words);
        CHECK(at_once.all.text == words + ": why");
        auto later = listing(Family::v4);
        CHECK(later.hears(done4(status)) == "heard; failed " + words);
        CHECK(later.session.state() == BulkState::idle);
    }
    auto success = BulkTalk::asked(Family::v4);
    CHECK(success.hears(done4(StatusCode::success)) == "heard; complete");
}

TEST_CASE("v4: a status that no RFC defines fails the query, and its number is told") {
    auto talk = BulkTalk::asked(Family::v4);
    CHECK(talk.hears(V4{.type = MessageTypeV4::lease_query_done, .status_number = 77}) ==
          "heard; failed unknown status");
    CHECK(talk.all.text.find("77") != std::string::npos);
}

TEST_CASE("v4: a status in a binding's message costs that binding; the listing goes on") {
    auto talk = BulkTalk::asked(Family::v4);
    auto m = active4("192.0.2.1", 5);
    m.status = StatusCode::unspec_fail;
    CHECK(talk.hears(m) == "heard @5; quarantine lost 192.0.2.1");
    CHECK(talk.hears(active4("192.0.2.2", 5)) == "heard @5; binding 192.0.2.2 active @5");
    CHECK(talk.hears(done4()) == "heard; complete");
}

TEST_CASE("v4: a DHCPLEASEQUERYSTATUS is no reply to a bulk query; only an error in it ends the query") {
    SUBCASE("as a keep-alive it is heard") {
        for (const auto& m :
             {status4(std::nullopt, 6), status4(StatusCode::success, 6), status4(StatusCode::connection_active, 6)}) {
            auto talk = listing(Family::v4);
            CHECK(talk.hears(m) == "heard @6");
            CHECK(talk.session.state() == BulkState::listing);
        }
    }
    SUBCASE("CatchUpComplete means nothing here") {
        auto talk = listing(Family::v4);
        CHECK(talk.hears(status4(StatusCode::catch_up_complete)) == "quarantine kept");
        CHECK(talk.session.state() == BulkState::listing);
    }
    SUBCASE("an error is one wherever it stands") {
        for (const auto status : {StatusCode::unspec_fail, StatusCode::query_terminated, StatusCode::malformed_query,
                                  StatusCode::not_allowed, StatusCode::data_missing}) {
            auto talk = BulkTalk::asked(Family::v4);
            CHECK(talk.hears(status4(status)) == "heard; failed " + std::string(to_string(status)));
        }
    }
}

TEST_CASE("v4: message types that cannot answer a bulk query are quarantined, and the query goes on") {
    for (const auto type : {MessageTypeV4::lease_unknown, MessageTypeV4::lease_query, MessageTypeV4::bulk_lease_query,
                            MessageTypeV4::active_lease_query, MessageTypeV4::tls}) {
        CAPTURE(static_cast<int>(type));
        auto talk = BulkTalk::asked(Family::v4);
        CHECK(talk.hears(V4{.type = type, .ip = "192.0.2.1"}) == "quarantine kept");
        CHECK(talk.session.state() == BulkState::asked);
        CHECK(talk.hears(done4()) == "heard; complete");
    }
}

// ---- v6 answers ---------------------------------------------------------------------------------------------------

TEST_CASE("v6: one LEASEQUERY-REPLY with the first client, LEASEQUERY-DATA with the others, LEASEQUERY-DONE") {
    auto talk = BulkTalk::asked(Family::v6);
    CHECK(talk.hears(reply6({.clients = {Client{{ia("2001:db8::1")}}}, .base = 5})) ==
          "heard @5 from 00030001bb; binding 2001:db8::1 active @5; listed 1 of 00030001cc");
    CHECK(talk.hears(V6{.clients = {Client{{ia("2001:db8::2")}}}, .base = 6}) ==
          "heard @6; binding 2001:db8::2 active @6; listed 1 of 00030001cc");
    CHECK(talk.session.state() == BulkState::listing);
    CHECK(talk.hears(done6({.base = 7})) == "heard @7; complete");
    CHECK(talk.session.state() == BulkState::idle);
}

TEST_CASE("v6: a LEASEQUERY-REPLY without OPTION_CLIENT_DATA ends the query: nothing matched, no DONE will come") {
    for (const auto& status : {std::optional<StatusCode>(), std::optional(StatusCode::success)}) {
        auto talk = BulkTalk::asked(Family::v6);
        CHECK(talk.hears(reply6({.base = 5, .status = status})) == "heard @5 from 00030001bb; complete");
        CHECK(talk.session.state() == BulkState::idle);
        CHECK_FALSE(talk.session.next_deadline());
    }
}

TEST_CASE("v6: an error status in the LEASEQUERY-REPLY ends the query, and the next can be asked") {
    for (const auto status :
         {StatusCode::unspec_fail, StatusCode::unknown_query_type, StatusCode::malformed_query,
          StatusCode::not_configured, StatusCode::not_allowed, StatusCode::query_terminated, StatusCode::data_missing,
          StatusCode::catch_up_complete, StatusCode::not_supported, StatusCode::tls_connection_refused}) {
        const auto words = std::string(to_string(status));
        CAPTURE(words);
        auto talk = BulkTalk::asked(Family::v6);
        CHECK(talk.hears(reply6({.status = status})) == "heard from 00030001bb; failed " + words);
        CHECK(talk.all.text == words + ": why");
        CHECK(talk.session.state() == BulkState::idle);
        CHECK(talk.asks(Family::v6) == "send");
    }
}

TEST_CASE("v6: client data in a LEASEQUERY-REPLY with an error status is delivered before the query fails") {
    auto talk = BulkTalk::asked(Family::v6);
    CHECK(
        talk.hears(reply6({.clients = {Client{{ia("2001:db8::1")}}}, .base = 5, .status = StatusCode::unspec_fail})) ==
        "heard @5 from 00030001bb; binding 2001:db8::1 active @5; listed 1 of 00030001cc; failed UnspecFail");
    CHECK(talk.session.state() == BulkState::idle);
}

TEST_CASE("v6: an error status in LEASEQUERY-DONE fails the query; what was delivered stays delivered") {
    for (const auto status : {StatusCode::unspec_fail, StatusCode::unknown_query_type, StatusCode::malformed_query,
                              StatusCode::not_configured, StatusCode::not_allowed, StatusCode::query_terminated,
                              StatusCode::data_missing, StatusCode::not_supported}) {
        auto talk = listing(Family::v6);
        CHECK(talk.hears(done6({.status = status})) == "heard; failed " + std::string(to_string(status)));
        CHECK(talk.all.bindings.size() == 1);
    }
    auto success = listing(Family::v6);
    CHECK(success.hears(done6({.status = StatusCode::success})) == "heard; complete");
}

TEST_CASE("v6: a status that no RFC defines fails the query, and its number is told") {
    auto talk = BulkTalk::asked(Family::v6);
    CHECK(talk.hears(reply6({.status_number = 4711})) == "heard from 00030001bb; failed unknown status");
    CHECK(talk.all.text.find("4711") != std::string::npos);
}

TEST_CASE("v6: an error status in LEASEQUERY-DATA fails the query after its bindings were delivered") {
    auto talk = listing(Family::v6);
    CHECK(talk.hears(V6{.clients = {Client{{ia("2001:db8::2")}}}, .base = 6, .status = StatusCode::query_terminated}) ==
          "heard @6; binding 2001:db8::2 active @6; listed 1 of 00030001cc; failed QueryTerminated");
}

TEST_CASE("v6: a status nested in a lease costs that lease; the listing goes on") {
    auto talk = listing(Family::v6);
    const auto bad = ia("2001:db8::2", 600, StatusCode::unspec_fail);
    CHECK(talk.hears(V6{.clients = {Client{{bad, ia("2001:db8::3")}}}, .base = 6}) ==
          "heard @6; quarantine lost 2001:db8::2; binding 2001:db8::3 active @6");
    CHECK(talk.hears(done6()) == "heard; complete");
}

TEST_CASE("v6: LEASEQUERY-DATA without OPTION_CLIENT_DATA is discarded") {
    auto talk = listing(Family::v6);
    CHECK(talk.hears(V6{.base = 6}) == "heard @6");
    CHECK(talk.session.state() == BulkState::listing);
}

TEST_CASE("v6: an answer in another order than REPLY, DATA, DONE closes the connection") {
    SUBCASE("DATA before the REPLY") {
        auto talk = BulkTalk::asked(Family::v6);
        CHECK(talk.hears(V6{.clients = {Client{{ia("2001:db8::1")}}}}) == "close protocol violation");
    }
    SUBCASE("DONE before the REPLY") {
        auto talk = BulkTalk::asked(Family::v6);
        CHECK(talk.hears(done6()) == "close protocol violation");
    }
    SUBCASE("a second REPLY") {
        auto talk = listing(Family::v6);
        CHECK(talk.hears(reply6({.clients = {Client{{ia("2001:db8::2")}}}})) == "close protocol violation");
    }
}

TEST_CASE("v6: LEASEQUERY-DONE with an error in place of the REPLY says why the query failed") {
    auto talk = BulkTalk::asked(Family::v6);
    CHECK(talk.hears(done6({.status = StatusCode::not_allowed})) == "heard; failed NotAllowed");
}

TEST_CASE("v6: a LEASEQUERY-REPLY without our identifiers closes the connection") {
    const auto answer = [](const V6& m) {
        auto talk = BulkTalk::asked(Family::v6);
        return talk.hears(m);
    };
    auto m = reply6();
    m.server_id.clear();
    CHECK(answer(m) == "close protocol violation");
    m = reply6();
    m.client_id.clear();
    CHECK(answer(m) == "close protocol violation");
    m = reply6();
    m.client_id.back() ^= 1;
    CHECK(answer(m) == "close protocol violation");
    m = reply6({.status = StatusCode::not_allowed});
    m.server_id.clear();
    CHECK(answer(m) == "close protocol violation");
}

TEST_CASE("v6: OPTION_CLIENT_LINK must not come in bulk: taken for \"no bindings\" it would end what is there") {
    const Bytes link(16, 0x20);
    auto talk = BulkTalk::asked(Family::v6);
    CHECK(talk.hears(reply6({.client_link = link})) == "close protocol violation");
    auto with_data = BulkTalk::asked(Family::v6);
    CHECK(with_data.hears(reply6({.clients = {Client{{ia("2001:db8::1")}}}, .client_link = link})) ==
          "close protocol violation");
}

TEST_CASE("v6: message types that cannot answer a bulk query are quarantined, and the query goes on") {
    for (const auto type : {MessageTypeV6::reply, MessageTypeV6::lease_query, MessageTypeV6::active_lease_query,
                            MessageTypeV6::start_tls}) {
        CAPTURE(static_cast<int>(type));
        auto talk = BulkTalk::asked(Family::v6);
        CHECK(talk.hears(V6{.type = type}) == "quarantine kept");
        CHECK(talk.session.state() == BulkState::asked);
    }
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

// ---- two queries --------------------------------------------------------------------------------------------------

TEST_CASE("a second query on the connection is answered by its own messages only") {
    for (const auto family : both) {
        auto talk = listing(family);
        (void)talk.hears(last_reply(family));
        CHECK(talk.asks(family) == "send");
        CHECK(talk.session.state() == BulkState::asked);
        if (family == Family::v4) {
            auto m = active4("192.0.2.2", 6);
            m.id = xid + 1;
            CHECK(talk.hears(m) == "heard @6; binding 192.0.2.2 active @6");
            m.id = xid;
            CHECK(talk.hears(m) == "close unknown transaction");
        } else {
            CHECK(talk.hears(reply6({.base = 6, .id = xid + 1})) == "heard @6 from 00030001bb; complete");
        }
    }
}

TEST_CASE("what came after the first answer is not taken for an answer to the second query") {
    // All in one read, and the second query is asked as soon as the first has ended: as the agent does it.
    auto talk = BulkTalk::asked(Family::v4);
    talk.session.on_bytes(done4().bytes() + active4("192.0.2.1", 5), talk.now());
    (void)talk.session.poll_action();  // Heard
    const auto done = talk.session.poll_action();
    REQUIRE(done);
    CHECK(std::holds_alternative<action::QueryDone>(*done));
    CHECK(talk.asks(Family::v4) == "send; close unknown transaction");
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

// ---- timers -------------------------------------------------------------------------------------------------------

TEST_CASE("BULK_LQ_DATA_TIMEOUT runs until the query is written, and then between replies") {
    for (const auto family : both) {
        BulkTalk talk(family);
        (void)talk.begins(BulkTalk::any_query(family));
        CHECK(talk.patience() == bulk_lq_data_timeout);
        talk.passes(100s);
        CHECK(talk.patience() == 200s);
        talk.session.on_sent(talk.now());
        CHECK(talk.patience() == 300s);
        talk.passes(299s);
        (void)talk.hears(first_reply(family));
        CHECK(talk.patience() == 300s);
        CHECK(talk.waits(300s - 1ms).empty());
        CHECK(talk.waits(1ms) == "close peer silent");
        CHECK_FALSE(talk.session.next_deadline());
    }
}

TEST_CASE("a bulk query that cannot be written closes the connection, for that reason") {
    for (const auto family : both) {
        BulkTalk talk(family);
        (void)talk.begins(BulkTalk::any_query(family));
        CHECK(talk.waits(300s) == "close query blocked");
    }
}

TEST_CASE("a bulk query that was not polled in time is not sent any more") {
    for (const auto family : both) {
        BulkTalk talk(family);
        talk.session.start(BulkTalk::any_query(family), {}, false, talk.now());
        CHECK(talk.waits(300s) == "close query blocked");
    }
}

TEST_CASE("the timeout of a bulk reply that is still being read out closes after it") {
    auto talk = BulkTalk::asked(Family::v4);
    talk.session.on_bytes(active4("192.0.2.1", 5).bytes(), talk.now());
    REQUIRE(talk.session.poll_action());  // Heard
    CHECK(talk.waits(300s) == "binding 192.0.2.1 active @5; close peer silent");
}

TEST_CASE("that the first query was written says nothing of the second") {
    for (const auto family : both) {
        auto talk = listing(family);
        (void)talk.hears(last_reply(family));
        (void)talk.begins(BulkTalk::any_query(family));
        talk.sets_reading(false);
        CHECK(talk.waits(300s) == "close query blocked");
    }
}

TEST_CASE("every message re-arms the timer of a bulk query, one that cannot be understood too") {
    for (const auto& m : {active4("192.0.2.1").bytes(), broken(active4("192.0.2.1")),
                          V4{.type = MessageTypeV4::lease_unknown}.bytes(), status4().bytes()}) {
        auto talk = BulkTalk::asked(Family::v4);
        talk.passes(200s);
        (void)talk.hears(m);
        CHECK(talk.patience() == 300s);
    }
}

TEST_CASE("half a message does not re-arm the timer: a server that dribbles octets is silent all the same") {
    auto talk = BulkTalk::asked(Family::v4);
    talk.passes(200s);
    (void)talk.hears(Bytes{1, 0, 2});
    CHECK(talk.patience() == 100s);
}

TEST_CASE("the timer of a bulk query stands still while we do not read") {
    for (const auto family : both) {
        auto talk = listing(family);
        talk.passes(200s);
        talk.sets_reading(false);
        CHECK_FALSE(talk.session.next_deadline());
        CHECK(talk.waits(3600s).empty());
        talk.sets_reading(true);
        CHECK(talk.patience() == 300s);
        talk.passes(100s);
        talk.sets_reading(true);  // nothing new
        CHECK(talk.patience() == 200s);
    }
}

TEST_CASE("not reading does not excuse a query that cannot be written") {
    for (const auto family : both) {
        BulkTalk talk(family);
        (void)talk.begins(BulkTalk::any_query(family));
        talk.passes(100s);
        talk.sets_reading(false);
        CHECK(talk.patience() == 200s);
        talk.sets_reading(true);
        CHECK(talk.patience() == 200s);
        CHECK(talk.waits(200s) == "close query blocked");
    }
}

TEST_CASE("between queries no timer runs, and early or spurious deadlines do nothing") {
    for (const auto family : both) {
        BulkTalk talk(family);
        CHECK(talk.waits(3600s).empty());
        (void)talk.asks(family);
        CHECK(talk.waits(299s).empty());
        CHECK(talk.session.state() == BulkState::asked);
        (void)talk.hears(first_reply(family) + last_reply(family));
        CHECK(talk.waits(3600s).empty());
        CHECK(talk.session.state() == BulkState::idle);
    }
}

// ---- ends ---------------------------------------------------------------------------------------------------------

TEST_CASE("a server that closes without an octet has refused") {
    for (const auto family : both) {
        BulkTalk before(family);
        CHECK(before.loses_its_peer() == "close refused silently");
        auto talk = BulkTalk::asked(family);
        CHECK(talk.loses_its_peer() == "close refused silently");
        CHECK(talk.session.state() == BulkState::closed);
    }
}

TEST_CASE("a server that closes after it began to answer has broken off, and nothing follows that") {
    for (const auto family : both) {
        auto talk = listing(family);
        CHECK(talk.loses_its_peer() == "close peer closed");
        CHECK(talk.poll().empty());
        CHECK(talk.hears(last_reply(family)).empty());
        CHECK(talk.loses_its_peer().empty());
        CHECK(talk.waits(3600s).empty());
        talk.sets_reading(false);
        talk.sets_reading(true);
        talk.session.on_sent(talk.now());
        CHECK_FALSE(talk.session.next_deadline());
    }
}

TEST_CASE("a server may close an idle connection at any time") {
    for (const auto family : both) {
        auto talk = listing(family);
        (void)talk.hears(last_reply(family));
        CHECK(talk.loses_its_peer() == "close peer closed");
    }
}

TEST_CASE("whole messages that were not read out when the server closed are delivered first") {
    auto talk = BulkTalk::asked(Family::v4);
    talk.session.on_bytes(active4("192.0.2.1", 5).bytes() + active4("192.0.2.2", 5) + Bytes{1}, talk.now());
    CHECK(talk.loses_its_peer() ==
          "heard @5; binding 192.0.2.1 active @5; heard @5; binding 192.0.2.2 active @5; close peer closed");
}

TEST_CASE("an answer that was whole when the server closed is complete") {
    for (const auto family : both) {
        auto talk = BulkTalk::asked(family);
        talk.session.on_bytes(first_reply(family) + last_reply(family), talk.now());
        talk.session.on_disconnected("end of stream", talk.now());
        const auto words = talk.poll();
        CHECK(words.find("complete; close peer closed") != std::string::npos);
    }
}

}  // namespace
}  // namespace leasemirror
