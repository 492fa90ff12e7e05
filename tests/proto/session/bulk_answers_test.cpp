#include "proto/session/bulk.hpp"

#include "proto/numbers_v4.hpp"
#include "tests/proto/session/either_family.hpp"
#include "tests/proto/session/script.hpp"

#include <doctest/doctest.h>

namespace leasemirror {
namespace {

using test::active4;
using test::BulkTalk;
using test::Client;
using test::done4;
using test::done6;
using test::ia;
using test::listing;
using test::reply6;
using test::status4;
using test::unassigned4;
using test::V4;
using test::V6;
using test::operator+;

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

}  // namespace
}  // namespace leasemirror
