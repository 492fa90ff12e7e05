#include "proto/session/bulk.hpp"

#include "proto/numbers_v4.hpp"
#include "tests/proto/session/either_family.hpp"
#include "tests/proto/session/script.hpp"

#include <doctest/doctest.h>

namespace leasemirror {
namespace {

using namespace std::chrono_literals;
using test::active4;
using test::both;
using test::broken;
using test::BulkTalk;
using test::first_reply;
using test::last_reply;
using test::listing;
using test::status4;
using test::V4;
using test::operator+;

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

}  // namespace
}  // namespace leasemirror
