#include "proto/session/active.hpp"

#include "tests/proto/session/either_family.hpp"
#include "tests/proto/session/script.hpp"

#include <doctest/doctest.h>

namespace leasemirror {
namespace {

using namespace std::chrono_literals;
using test::active4;
using test::ActiveTalk;
using test::both;
using test::broken;
using test::Client;
using test::keep_alive;
using test::marker;
using test::update;
using test::V6;

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

}  // namespace
}  // namespace leasemirror
