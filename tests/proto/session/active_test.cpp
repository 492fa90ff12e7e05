#include "proto/session/active.hpp"

#include "proto/numbers_v4.hpp"
#include "proto/session/requests.hpp"
#include "tests/proto/session/either_family.hpp"
#include "tests/proto/session/script.hpp"

#include <doctest/doctest.h>

namespace leasemirror {
namespace {

using test::active4;
using test::ActiveTalk;
using test::at;
using test::both;
using test::Client;
using test::ia;
using test::keep_alive;
using test::marker;
using test::reply6;
using test::status4;
using test::unassigned4;
using test::update;
using test::update_words;
using test::V4;
using test::V6;
using test::xid;
using test::operator+;

// ---- the query ----------------------------------------------------------------------------------------------------

TEST_CASE("an active session sends its query once, and remembers the start time for the gap it may have to fill") {
    for (const auto family : both) {
        ActiveTalk talk(family);
        CHECK(talk.poll().empty());
        CHECK(talk.begins(3) == "send");
        CHECK(talk.session.state() == ActiveState::asked);
        CHECK(talk.session.start_time() == at(3));
        CHECK(talk.poll().empty());
        Bytes expected;
        REQUIRE(append_active_request(expected, test::settings_for(family), xid, at(3)));
        CHECK(talk.all.sent == expected);
    }
}

TEST_CASE("an active query that no message could hold is not sent, and the connection is given back") {
    auto settings = test::settings_for(Family::v6);
    for (std::uint32_t code = 1; code < 40000; ++code)
        settings.request_options.push_back(static_cast<std::uint16_t>(code));
    ActiveTalk talk(settings);
    CHECK(talk.begins(std::nullopt) == "close refused MalformedQuery");
}

// ---- beginning ----------------------------------------------------------------------------------------------------

TEST_CASE("v4 has no acknowledgement: the first message of any kind begins the answer") {
    for (const auto& m : {status4(StatusCode::connection_active, 5), status4(std::nullopt, 5),
                          status4(StatusCode::success, 5), active4("192.0.2.1", 5), unassigned4("192.0.2.1", 5)}) {
        auto without_start = ActiveTalk::asked(Family::v4);
        (void)without_start.hears(m);
        CHECK(without_start.session.state() == ActiveState::live);
        auto with_start = ActiveTalk::asked(Family::v4, 1);
        (void)with_start.hears(m);
        CHECK(with_start.session.state() == ActiveState::catching_up);
    }
}

TEST_CASE("v6: a LEASEQUERY-REPLY without OPTION_CLIENT_DATA begins the answer and does not end it") {
    for (const auto& status : {std::optional<StatusCode>(), std::optional(StatusCode::success)}) {
        auto without_start = ActiveTalk::asked(Family::v6);
        CHECK(without_start.hears(reply6({.base = 5, .status = status})) == "heard @5 from 00030001bb; advance @5");
        CHECK(without_start.session.state() == ActiveState::live);
        auto with_start = ActiveTalk::asked(Family::v6, 1);
        CHECK(with_start.hears(reply6({.base = 5, .status = status})) == "heard @5 from 00030001bb");
        CHECK(with_start.session.state() == ActiveState::catching_up);
    }
}

TEST_CASE("v6: the LEASEQUERY-REPLY may bring the first bindings") {
    auto talk = ActiveTalk::asked(Family::v6);
    CHECK(talk.hears(reply6({.clients = {Client{{ia("2001:db8::1")}}}, .base = 5})) ==
          "heard @5 from 00030001bb; binding 2001:db8::1 active @5; listed 1 of 00030001cc; advance @5");
}

TEST_CASE("v4: the server-identifier is told where it comes, in the first reply") {
    auto talk = ActiveTalk::asked(Family::v4);
    CHECK(talk.hears(V4{.ip = "192.0.2.1", .base = 5, .server = "198.51.100.1"}) ==
          "heard @5 from c6336401; binding 192.0.2.1 active @5; advance @5");
    CHECK(talk.hears(active4("192.0.2.2", 6)) == "heard @6; binding 192.0.2.2 active @6; advance @6");
}

TEST_CASE("v6: an answer in another order than one REPLY, then DATA, closes the connection") {
    SUBCASE("DATA before the REPLY") {
        auto talk = ActiveTalk::asked(Family::v6);
        CHECK(talk.hears(V6{.base = 5}) == "close protocol violation");
    }
    SUBCASE("a second REPLY") {
        auto talk = ActiveTalk::answered(Family::v6);
        CHECK(talk.hears(reply6({.base = 5})) == "close protocol violation");
    }
}

TEST_CASE("v6: a LEASEQUERY-REPLY without our identifiers closes the connection, an error status or not") {
    for (const auto& status : {std::optional<StatusCode>(), std::optional(StatusCode::not_supported)}) {
        auto m = reply6({.status = status});
        m.server_id.clear();
        auto no_server = ActiveTalk::asked(Family::v6);
        CHECK(no_server.hears(m) == "close protocol violation");
        m = reply6({.status = status});
        m.client_id.clear();
        auto no_client = ActiveTalk::asked(Family::v6);
        CHECK(no_client.hears(m) == "close protocol violation");
        m.client_id = {0, 3, 0, 1, 0xab};
        auto other_client = ActiveTalk::asked(Family::v6);
        CHECK(other_client.hears(m) == "close protocol violation");
    }
}

// ---- base-times ---------------------------------------------------------------------------------------------------

TEST_CASE("live, each message with a base-time advances, after everything that it says") {
    for (const auto family : both) {
        auto talk = ActiveTalk::answered(family);
        CHECK(talk.hears(update(family, 5)) == "heard @5; " + update_words(family) + "; advance @5");
        CHECK(talk.hears(keep_alive(family, 7)) == "heard @7; advance @7");
    }
}

TEST_CASE("live, a message without a base-time advances nothing") {
    for (const auto family : both) {
        auto talk = ActiveTalk::answered(family);
        (void)talk.hears(update(family, std::nullopt));
        CHECK(talk.all.words.find("advance") == std::string::npos);
        CHECK(talk.hears(keep_alive(family, std::nullopt)) == "heard");
    }
}

TEST_CASE("a base-time that goes back is passed on as it is: whoever keeps it decides") {
    for (const auto family : both) {
        auto talk = ActiveTalk::answered(family);
        (void)talk.hears(keep_alive(family, 7));
        CHECK(talk.hears(keep_alive(family, 3)) == "heard @3; advance @3");
    }
}

TEST_CASE("while catching up nothing advances, neither bindings nor keep-alives") {
    for (const auto family : both) {
        auto talk = ActiveTalk::answered(family, 1);
        CHECK(talk.hears(update(family, 5)) == "heard @5; " + update_words(family));
        CHECK(talk.hears(keep_alive(family, 6)) == "heard @6");
        CHECK(talk.session.state() == ActiveState::catching_up);
    }
}

TEST_CASE("CatchUpComplete ends the catch-up, and its base-time is the first that is kept") {
    for (const auto family : both) {
        auto talk = ActiveTalk::answered(family, 1);
        CHECK(talk.hears(marker(family, StatusCode::catch_up_complete, 8)) == "heard @8; caught-up; advance @8");
        CHECK(talk.session.state() == ActiveState::live);
        CHECK(talk.hears(update(family, 5)) == "heard @5; " + update_words(family) + "; advance @5");
    }
}

TEST_CASE("CatchUpComplete without a base-time ends the catch-up all the same") {
    for (const auto family : both) {
        auto talk = ActiveTalk::answered(family, 1);
        CHECK(talk.hears(marker(family, StatusCode::catch_up_complete)) == "heard; caught-up");
        CHECK(talk.session.state() == ActiveState::live);
    }
}

TEST_CASE("CatchUpComplete when there was nothing to catch up is a keep-alive") {
    for (const auto family : both) {
        auto talk = ActiveTalk::answered(family);
        CHECK(talk.hears(marker(family, StatusCode::catch_up_complete, 8)) == "heard @8; advance @8");
        auto again = ActiveTalk::answered(family, 1);
        (void)again.hears(marker(family, StatusCode::catch_up_complete, 8));
        CHECK(again.hears(marker(family, StatusCode::catch_up_complete, 9)) == "heard @9; advance @9");
    }
}

TEST_CASE("CatchUpComplete may be the very first message: nothing had changed") {
    auto v4 = ActiveTalk::asked(Family::v4, 1);
    CHECK(v4.hears(status4(StatusCode::catch_up_complete, 8)) == "heard @8; caught-up; advance @8");
    auto v6 = ActiveTalk::asked(Family::v6, 1);
    CHECK(v6.hears(reply6({.base = 8, .status = StatusCode::catch_up_complete})) ==
          "heard @8 from 00030001bb; caught-up; advance @8");
}

TEST_CASE("v6: the bindings of the message that says CatchUpComplete come before it") {
    auto talk = ActiveTalk::answered(Family::v6, 1);
    CHECK(
        talk.hears(V6{.clients = {Client{{ia("2001:db8::1")}}}, .base = 5, .status = StatusCode::catch_up_complete}) ==
        "heard @5; binding 2001:db8::1 active @5; listed 1 of 00030001cc; caught-up; advance @5");
}

// ---- DataMissing --------------------------------------------------------------------------------------------------

TEST_CASE("DataMissing as the first answer ends the catch-up; the gap is told before the base-time moves past it") {
    auto v4 = ActiveTalk::asked(Family::v4, 1);
    CHECK(v4.hears(V4{.type = MessageTypeV4::lease_query_status,
                      .base = 8,
                      .status = StatusCode::data_missing,
                      .server = "198.51.100.1"}) == "heard @8 from c6336401; data-missing @8; advance @8");
    CHECK(v4.session.state() == ActiveState::live);
    CHECK(v4.session.start_time() == at(1));
    auto v6 = ActiveTalk::asked(Family::v6, 1);
    CHECK(v6.hears(reply6({.base = 8, .status = StatusCode::data_missing})) ==
          "heard @8 from 00030001bb; data-missing @8; advance @8");
    CHECK(v6.session.state() == ActiveState::live);
}

TEST_CASE("after DataMissing the connection stays open, with live updates") {
    auto v4 = ActiveTalk::asked(Family::v4, 1);
    (void)v4.hears(status4(StatusCode::data_missing, 8));
    CHECK(v4.hears(active4("192.0.2.1", 9)) == "heard @9; binding 192.0.2.1 active @9; advance @9");
    auto v6 = ActiveTalk::asked(Family::v6, 1);
    (void)v6.hears(reply6({.base = 8, .status = StatusCode::data_missing}));
    CHECK(v6.hears(V6{.clients = {Client{{ia("2001:db8::1")}}}, .base = 9}) ==
          "heard @9; binding 2001:db8::1 active @9; listed 1 of 00030001cc; advance @9");
}

TEST_CASE("DataMissing may come in the middle of the catch-up") {
    for (const auto family : both) {
        auto talk = ActiveTalk::answered(family, 1);
        (void)talk.hears(update(family, 5));
        CHECK(talk.hears(marker(family, StatusCode::data_missing, 8)) == "heard @8; data-missing @8; advance @8");
        CHECK(talk.session.state() == ActiveState::live);
        // The catch-up is over: a CatchUpComplete that still comes says nothing new.
        CHECK(talk.hears(marker(family, StatusCode::catch_up_complete, 9)) == "heard @9; advance @9");
    }
}

TEST_CASE("DataMissing may come live, more than once") {
    for (const auto family : both) {
        auto talk = ActiveTalk::answered(family);
        CHECK(talk.hears(marker(family, StatusCode::data_missing, 8)) == "heard @8; data-missing @8; advance @8");
        CHECK(talk.hears(marker(family, StatusCode::data_missing, 9)) == "heard @9; data-missing @9; advance @9");
        CHECK(talk.session.state() == ActiveState::live);
    }
}

TEST_CASE("DataMissing without a base-time is told, and advances nothing") {
    for (const auto family : both) {
        auto talk = ActiveTalk::answered(family, 1);
        CHECK(talk.hears(marker(family, StatusCode::data_missing)) == "heard; data-missing");
    }
}

TEST_CASE("v6: bindings in the message that says DataMissing come first, then the gap, then the base-time") {
    auto talk = ActiveTalk::answered(Family::v6, 1);
    CHECK(talk.hears(V6{.clients = {Client{{ia("2001:db8::1")}}}, .base = 8, .status = StatusCode::data_missing}) ==
          "heard @8; binding 2001:db8::1 active @8; listed 1 of 00030001cc; data-missing @8; advance @8");
}

}  // namespace
}  // namespace leasemirror
