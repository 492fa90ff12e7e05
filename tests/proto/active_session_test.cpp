#include "proto/active_session.hpp"

#include "proto/numbers_v4.hpp"
#include "proto/requests.hpp"
#include "tests/proto/session_script.hpp"

#include <doctest/doctest.h>

namespace leasemirror {
namespace {

using namespace std::chrono_literals;
using test::active4;
using test::ActiveTalk;
using test::at;
using test::broken;
using test::Client;
using test::done4;
using test::done6;
using test::ia;
using test::reply6;
using test::status4;
using test::unassigned4;
using test::V4;
using test::V6;
using test::xid;
using test::operator+;

constexpr auto both = {Family::v4, Family::v6};

// What says the same thing in both families.
Bytes keep_alive(Family family, std::optional<std::int64_t> base) {
    return family == Family::v4 ? status4(StatusCode::connection_active, base).bytes() : V6{.base = base}.bytes();
}
Bytes marker(Family family, StatusCode status, std::optional<std::int64_t> base = std::nullopt) {
    return family == Family::v4 ? status4(status, base).bytes() : V6{.base = base, .status = status}.bytes();
}
Bytes update(Family family, std::optional<std::int64_t> base) {
    return family == Family::v4 ? active4("192.0.2.1", base).bytes()
                                : V6{.clients = {Client{{ia("2001:db8::1")}}}, .base = base}.bytes();
}
std::string update_words(Family family) {
    return family == Family::v4 ? "binding 192.0.2.1 active @5"
                                : "binding 2001:db8::1 active @5; listed 1 of 00030001cc";
}
Bytes end_of_query(Family family, std::optional<StatusCode> status, std::optional<std::int64_t> base = std::nullopt) {
    return family == Family::v4 ? done4(status, base).bytes() : done6({.base = base, .status = status}).bytes();
}

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

// ---- what does not belong here ------------------------------------------------------------------------------------

TEST_CASE("a message with a transaction-id that is not the query's closes an active connection") {
    auto v4 = ActiveTalk::answered(Family::v4);
    auto m = active4("192.0.2.1", 8);
    m.id = xid + 1;
    CHECK(v4.hears(m) == "close unknown transaction");
    for (auto m6 : {reply6(), V6{.base = 8}, done6()}) {
        m6.id = xid + 1;
        auto first = ActiveTalk::asked(Family::v6);
        CHECK(first.hears(m6) == "close unknown transaction");
        auto later = ActiveTalk::answered(Family::v6);
        CHECK(later.hears(m6) == "close unknown transaction");
    }
}

TEST_CASE("a message before the query was sent answers nothing") {
    ActiveTalk v4(Family::v4);
    CHECK(v4.hears(active4("192.0.2.1", 8)) == "close unknown transaction");
    ActiveTalk v6(Family::v6);
    CHECK(v6.hears(reply6({.base = 8})) == "close unknown transaction");
}

TEST_CASE("message types that cannot answer an active query are quarantined, and the stream goes on") {
    for (const auto type : {MessageTypeV4::lease_unknown, MessageTypeV4::lease_query, MessageTypeV4::bulk_lease_query,
                            MessageTypeV4::active_lease_query, MessageTypeV4::tls}) {
        auto talk = ActiveTalk::answered(Family::v4);
        CHECK(talk.hears(V4{.type = type, .ip = "192.0.2.1", .base = 8}) == "quarantine kept");
        CHECK(talk.hears(keep_alive(Family::v4, 9)) == "heard @9; advance @9");
    }
    for (const auto type : {MessageTypeV6::reply, MessageTypeV6::lease_query, MessageTypeV6::active_lease_query,
                            MessageTypeV6::start_tls}) {
        auto talk = ActiveTalk::answered(Family::v6);
        CHECK(talk.hears(V6{.type = type, .base = 8}) == "quarantine kept");
        CHECK(talk.hears(keep_alive(Family::v6, 9)) == "heard @9; advance @9");
    }
}

TEST_CASE("a message that cannot be decoded goes to quarantine, advances nothing, and the stream goes on") {
    auto v4 = ActiveTalk::answered(Family::v4);
    const auto bad = broken(active4("192.0.2.7", 8));
    CHECK(v4.hears(bad) == "quarantine lost 192.0.2.7");
    CHECK(v4.all.quarantined_bytes[0] == Bytes(bad.begin() + 2, bad.end()));
    CHECK(v4.hears(keep_alive(Family::v4, 9)) == "heard @9; advance @9");
    auto v6 = ActiveTalk::answered(Family::v6);
    CHECK(v6.hears(broken(V6{.clients = {Client{{ia("2001:db8::7")}}}})) == "quarantine lost");
    CHECK(v6.hears(keep_alive(Family::v6, 9)) == "heard @9; advance @9");
}

TEST_CASE("an undecodable first message begins the answer, so that the stream goes on") {
    auto v4 = ActiveTalk::asked(Family::v4, 1);
    CHECK(v4.hears(broken(active4("192.0.2.7", 8))) == "quarantine lost 192.0.2.7");
    CHECK(v4.hears(status4(StatusCode::catch_up_complete, 9)) == "heard @9; caught-up; advance @9");
    auto v6 = ActiveTalk::asked(Family::v6, 1);
    CHECK(v6.hears(broken(reply6())) == "quarantine lost");
    CHECK(v6.session.state() == ActiveState::catching_up);
    CHECK(v6.hears(V6{.base = 9, .status = StatusCode::catch_up_complete}) == "heard @9; caught-up; advance @9");
}

TEST_CASE("a base-time that cannot be read in a message without bindings loses no lease, and advances nothing") {
    const Bytes odd{1, 2, 3};
    auto v4 = ActiveTalk::answered(Family::v4);
    auto status = status4(StatusCode::connection_active);
    status.raw = {{152, odd}};
    CHECK(v4.hears(status) == "quarantine kept");
    auto v6 = ActiveTalk::answered(Family::v6);
    auto keep_alive_6 = V6{}.bytes() + Bytes{0, 100, 0, 3, 1, 2, 3};
    ByteWriter(keep_alive_6).u16(static_cast<std::uint16_t>(keep_alive_6.size() - 2));
    CHECK(v6.hears(keep_alive_6) == "heard; quarantine kept");
}

TEST_CASE("v4: a DHCPLEASEQUERYDONE that cannot be understood ends the active query") {
    auto talk = ActiveTalk::answered(Family::v4);
    auto done = done4();
    const Bytes nothing;
    done.raw = {{151, nothing}};
    CHECK(talk.hears(done) == "quarantine kept; close query terminated");
}

TEST_CASE("v6: an undecodable LEASEQUERY-DONE ends the query: nothing will follow it") {
    auto talk = ActiveTalk::answered(Family::v6);
    CHECK(talk.hears(broken(done6({.base = 8}))) == "quarantine kept; close query terminated");
}

TEST_CASE("an undecodable message of another transaction closes an active connection") {
    auto v4 = ActiveTalk::answered(Family::v4);
    auto m = active4("192.0.2.7", 8);
    m.id = xid + 1;
    CHECK(v4.hears(broken(m)) == "close unknown transaction");
}

TEST_CASE("a lost lease is told before the base-time moves past it") {
    auto v4 = ActiveTalk::answered(Family::v4);
    CHECK(v4.hears(active4("0.0.0.0", 8)) == "heard @8; quarantine lost; advance @8");
    auto v6 = ActiveTalk::answered(Family::v6);
    CHECK(v6.hears(V6{.clients = {Client{{ia("2001:db8::1"), ia("2001:db8::2", 600, StatusCode::unspec_fail)}}},
                      .base = 8}) ==
          "heard @8; binding 2001:db8::1 active @8; quarantine lost 2001:db8::2; advance @8");
}

TEST_CASE("a length that no message can have closes an active connection, after what came before it") {
    auto talk = ActiveTalk::answered(Family::v6);
    CHECK(talk.hears(V6{.base = 8}.bytes() + Bytes{0, 3}) == "heard @8; advance @8; close framing lost");
    CHECK(talk.hears(V6{.base = 9}).empty());
}

// ---- timers -------------------------------------------------------------------------------------------------------

TEST_CASE("BULK_LQ_DATA_TIMEOUT runs until the active query is written, then ACTIVE_LQ_RCV_TIMEOUT") {
    for (const auto family : both) {
        ActiveTalk talk(family);
        CHECK_FALSE(talk.session.next_deadline());
        (void)talk.begins(1);
        CHECK(talk.patience() == bulk_lq_data_timeout);
        talk.passes(250s);
        talk.session.on_sent(talk.now());
        CHECK(talk.patience() == active_lq_rcv_timeout);
        CHECK(talk.waits(120s - 1ms).empty());
        CHECK(talk.waits(1ms) == "close peer silent");
        CHECK_FALSE(talk.session.next_deadline());
    }
}

TEST_CASE("an active query that cannot be written closes the connection, for that reason") {
    for (const auto family : both) {
        ActiveTalk talk(family);
        (void)talk.begins(1);
        CHECK(talk.waits(299s).empty());
        CHECK(talk.waits(1s) == "close query blocked");
    }
}

TEST_CASE("an active query that was not polled in time is not sent any more") {
    for (const auto family : both) {
        ActiveTalk talk(family);
        talk.session.start(std::nullopt, talk.now());
        CHECK(talk.waits(300s) == "close query blocked");
    }
}

TEST_CASE("an answer proves that the query was written, told or not") {
    auto v4 = ActiveTalk(Family::v4);
    (void)v4.begins(1);
    (void)v4.hears(keep_alive(Family::v4, 5));
    CHECK(v4.patience() == active_lq_rcv_timeout);
    CHECK(v4.waits(120s) == "close peer silent");
}

TEST_CASE("every message re-arms ACTIVE_LQ_RCV_TIMEOUT, catching up and live, understood or not") {
    for (const auto& start : {std::optional<std::int64_t>(), std::optional<std::int64_t>(1)}) {
        for (const auto family : both) {
            const auto not_understood =
                family == Family::v4 ? broken(active4("192.0.2.1")) : broken(V6{.clients = {Client{}}});
            for (const auto& m : {keep_alive(family, 5), keep_alive(family, std::nullopt), update(family, 5),
                                  marker(family, StatusCode::catch_up_complete), not_understood}) {
                auto talk = ActiveTalk::answered(family, start);
                talk.passes(100s);
                (void)talk.hears(m);
                CHECK(talk.patience() == 120s);
            }
        }
    }
}

TEST_CASE("the receive timeout stands still while we do not read") {
    for (const auto family : both) {
        auto talk = ActiveTalk::answered(family);
        talk.passes(100s);
        talk.sets_reading(false);
        CHECK_FALSE(talk.session.next_deadline());
        CHECK(talk.waits(3600s).empty());
        CHECK(talk.session.state() == ActiveState::live);
        talk.sets_reading(true);
        CHECK(talk.patience() == 120s);
        talk.passes(20s);
        talk.sets_reading(true);
        CHECK(talk.patience() == 100s);
    }
}

TEST_CASE("not reading does not excuse an active query that cannot be written") {
    for (const auto family : both) {
        ActiveTalk talk(family);
        (void)talk.begins(1);
        talk.passes(100s);
        talk.sets_reading(false);
        CHECK(talk.patience() == 200s);
        CHECK(talk.waits(200s) == "close query blocked");
    }
}

TEST_CASE("the timeouts are the operator's") {
    auto settings = test::settings_for(Family::v4);
    settings.data_timeout = 7s;
    settings.receive_timeout = 3s;
    ActiveTalk talk(settings);
    (void)talk.begins(1);
    CHECK(talk.patience() == 7s);
    talk.session.on_sent(talk.now());
    CHECK(talk.patience() == 3s);
    CHECK(talk.waits(3s) == "close peer silent");
}

TEST_CASE("early and spurious deadlines do nothing to an active session") {
    for (const auto family : both) {
        ActiveTalk talk(family);
        CHECK(talk.waits(3600s).empty());
        (void)talk.asks(1);
        CHECK(talk.waits(119s).empty());
        CHECK(talk.session.state() == ActiveState::asked);
        (void)talk.loses_its_peer();
        CHECK(talk.waits(3600s).empty());
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
