#include "proto/session/active.hpp"

#include "proto/numbers_v4.hpp"
#include "tests/proto/session/either_family.hpp"
#include "tests/proto/session/script.hpp"

#include <doctest/doctest.h>

namespace leasemirror {
namespace {

using test::active4;
using test::ActiveTalk;
using test::broken;
using test::Client;
using test::done4;
using test::done6;
using test::ia;
using test::keep_alive;
using test::reply6;
using test::status4;
using test::V4;
using test::V6;
using test::xid;
using test::operator+;

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

}  // namespace
}  // namespace leasemirror
