#include "proto/session/active.hpp"

#include "proto/numbers_v4.hpp"
#include "tests/proto/session/either_family.hpp"
#include "tests/proto/session/script.hpp"

#include <doctest/doctest.h>

namespace leasemirror {
namespace {

using namespace std::chrono_literals;
using test::active4;
using test::ActiveTalk;
using test::both;
using test::Client;
using test::end_of_query;
using test::ia;
using test::keep_alive;
using test::marker;
using test::reply6;
using test::status4;
using test::V4;
using test::V6;
using test::operator+;

// ---- ends that the server tells -----------------------------------------------------------------------------------

TEST_CASE("QueryTerminated ends the query, in DHCPLEASEQUERYSTATUS as in DONE, and its base-time is kept when live") {
    for (const auto family : both) {
        auto by_done = ActiveTalk::answered(family);
        CHECK(by_done.hears(end_of_query(family, StatusCode::query_terminated, 8)) ==
              "heard @8; advance @8; close query terminated QueryTerminated");
        auto by_marker = ActiveTalk::answered(family);
        CHECK(by_marker.hears(marker(family, StatusCode::query_terminated, 8)) ==
              "heard @8; advance @8; close query terminated QueryTerminated");
        CHECK(by_marker.session.state() == ActiveState::closed);
    }
}

TEST_CASE("QueryTerminated before the catch-up ended keeps no base-time") {
    for (const auto family : both) {
        auto by_done = ActiveTalk::answered(family, 1);
        CHECK(by_done.hears(end_of_query(family, StatusCode::query_terminated, 8)) ==
              "heard @8; close query terminated QueryTerminated");
        auto by_marker = ActiveTalk::answered(family, 1);
        CHECK(by_marker.hears(marker(family, StatusCode::query_terminated, 8)) ==
              "heard @8; close query terminated QueryTerminated");
    }
}

TEST_CASE("DONE ends an active query whatever its status, success included") {
    for (const auto family : both) {
        for (const auto& status : {std::optional<StatusCode>(), std::optional(StatusCode::success)}) {
            auto live = ActiveTalk::answered(family);
            CHECK(live.hears(end_of_query(family, status, 8)) == "heard @8; advance @8; close query terminated");
            auto catching_up = ActiveTalk::answered(family, 1);
            CHECK(catching_up.hears(end_of_query(family, status, 8)) == "heard @8; close query terminated");
            auto at_once = ActiveTalk::asked(family);
            CHECK(at_once.hears(end_of_query(family, status, 8)) == "heard @8; close query terminated");
        }
        auto missing = ActiveTalk::answered(family, 1);
        CHECK(missing.hears(end_of_query(family, StatusCode::data_missing, 8)) ==
              "heard @8; close refused DataMissing");
        auto caught_up = ActiveTalk::answered(family, 1);
        CHECK(caught_up.hears(end_of_query(family, StatusCode::catch_up_complete, 8)) ==
              "heard @8; close refused CatchUpComplete");
    }
}

TEST_CASE("an error status as the first answer refuses the query; nothing has been told, so nothing is kept") {
    const auto refused4 = [](StatusCode status) {
        auto talk = ActiveTalk::asked(Family::v4);
        const auto words = talk.hears(status4(status, 8));
        CHECK(talk.all.text.find("why") != std::string::npos);
        return words;
    };
    CHECK(refused4(StatusCode::unspec_fail) == "heard @8; close refused UnspecFail");
    CHECK(refused4(StatusCode::malformed_query) == "heard @8; close refused MalformedQuery");
    CHECK(refused4(StatusCode::not_allowed) == "heard @8; close refused NotAllowed");
    CHECK(refused4(StatusCode::tls_connection_refused) == "heard @8; close refused TLSConnectionRefused");
    CHECK(refused4(StatusCode::query_terminated) == "heard @8; close query terminated QueryTerminated");

    const auto refused6 = [](StatusCode status) {
        auto talk = ActiveTalk::asked(Family::v6);
        const auto words = talk.hears(reply6({.base = 8, .status = status}));
        CHECK(talk.all.text.find("why") != std::string::npos);
        return words;
    };
    const std::string heard = "heard @8 from 00030001bb; close ";
    CHECK(refused6(StatusCode::unspec_fail) == heard + "refused UnspecFail");
    CHECK(refused6(StatusCode::unknown_query_type) == heard + "refused UnknownQueryType");
    CHECK(refused6(StatusCode::malformed_query) == heard + "refused MalformedQuery");
    CHECK(refused6(StatusCode::not_configured) == heard + "refused NotConfigured");
    CHECK(refused6(StatusCode::not_allowed) == heard + "refused NotAllowed");
    CHECK(refused6(StatusCode::tls_connection_refused) == heard + "refused TLSConnectionRefused");
    CHECK(refused6(StatusCode::query_terminated) == heard + "query terminated QueryTerminated");
    CHECK(refused6(StatusCode::not_supported) == heard + "not supported NotSupported");
}

TEST_CASE("an error status later ends the query, and does not bring the mirror up to its base-time") {
    // The server could not go on: whether it told all that happened until then, it does not say.
    for (const auto family : both) {
        for (const auto status : {StatusCode::unspec_fail, StatusCode::malformed_query, StatusCode::not_allowed}) {
            const auto end = "heard @8; close refused " + std::string(to_string(status));
            auto by_marker = ActiveTalk::answered(family);
            CHECK(by_marker.hears(marker(family, status, 8)) == end);
            auto by_done = ActiveTalk::answered(family);
            CHECK(by_done.hears(end_of_query(family, status, 8)) == end);
            auto catching_up = ActiveTalk::answered(family, 1);
            CHECK(catching_up.hears(marker(family, status, 8)) == end);
        }
    }
}

TEST_CASE("a status that no RFC defines ends an active query as an error, and its number is told") {
    auto v4 = ActiveTalk::answered(Family::v4);
    CHECK(v4.hears(V4{.type = MessageTypeV4::lease_query_status, .base = 8, .status_number = 77}) ==
          "heard @8; close refused unknown status");
    CHECK(v4.all.text.find("77") != std::string::npos);
    auto v6 = ActiveTalk::asked(Family::v6);
    CHECK(v6.hears(reply6({.base = 8, .status_number = 4711})) ==
          "heard @8 from 00030001bb; close refused unknown status");
    CHECK(v6.all.text.find("4711") != std::string::npos);
}

TEST_CASE("v6: bindings in the message that ends the query are delivered before the connection is closed") {
    auto talk = ActiveTalk::answered(Family::v6);
    CHECK(talk.hears(V6{.clients = {Client{{ia("2001:db8::1")}}}, .base = 8, .status = StatusCode::query_terminated}) ==
          "heard @8; binding 2001:db8::1 active @8; listed 1 of 00030001cc; advance @8; "
          "close query terminated QueryTerminated");
}

TEST_CASE("v4: a status in a binding's message costs that binding and is no marker") {
    auto talk = ActiveTalk::answered(Family::v4, 1);
    for (const auto status : {StatusCode::catch_up_complete, StatusCode::data_missing, StatusCode::query_terminated,
                              StatusCode::unspec_fail}) {
        auto m = active4("192.0.2.1", 8);
        m.status = status;
        CHECK(talk.hears(m) == "heard @8; quarantine lost 192.0.2.1");
        CHECK(talk.session.state() == ActiveState::catching_up);
    }
}

// ---- ends ---------------------------------------------------------------------------------------------------------

TEST_CASE("a server that closes an active connection without an octet has refused") {
    for (const auto family : both) {
        auto talk = ActiveTalk::asked(family, 1);
        CHECK(talk.loses_its_peer() == "close refused silently");
        CHECK(talk.session.state() == ActiveState::closed);
    }
}

TEST_CASE("a server that closes later has broken off, and nothing follows that") {
    for (const auto family : both) {
        auto talk = ActiveTalk::answered(family);
        CHECK(talk.loses_its_peer() == "close peer closed");
        CHECK(talk.poll().empty());
        CHECK(talk.hears(keep_alive(family, 9)).empty());
        CHECK(talk.loses_its_peer().empty());
        talk.sets_reading(false);
        talk.sets_reading(true);
        talk.session.on_sent(talk.now());
        CHECK_FALSE(talk.session.next_deadline());
    }
}

TEST_CASE("whole messages that were not read out when the connection ended are delivered, and advance") {
    auto talk = ActiveTalk::answered(Family::v4);
    talk.session.on_bytes(active4("192.0.2.1", 8).bytes() + status4(StatusCode::connection_active, 9) + Bytes{1},
                          talk.now());
    CHECK(talk.loses_its_peer() ==
          "heard @8; binding 192.0.2.1 active @8; advance @8; heard @9; advance @9; close peer closed");
}

TEST_CASE("the timeout of a message that is still being read out closes after it") {
    auto talk = ActiveTalk::answered(Family::v6);
    talk.session.on_bytes(V6{.clients = {Client{{ia("2001:db8::1"), ia("2001:db8::2")}}}, .base = 8}.bytes(),
                          talk.now());
    REQUIRE(talk.session.poll_action());  // Heard
    REQUIRE(talk.session.poll_action());  // the first binding
    CHECK(talk.session.inside_message());
    CHECK(talk.session.wants_bytes() == 0);
    CHECK(talk.waits(120s) == "binding 2001:db8::2 active @8; listed 2 of 00030001cc; advance @8; close peer silent");
}

}  // namespace
}  // namespace leasemirror
