#include "proto/session/bulk.hpp"

#include "proto/numbers_v4.hpp"
#include "tests/proto/session/either_family.hpp"
#include "tests/proto/session/script.hpp"

#include <doctest/doctest.h>

#include <set>

namespace leasemirror {
namespace {

using namespace std::chrono_literals;
using test::active4;
using test::both;
using test::BulkTalk;
using test::done4;
using test::first_reply;
using test::last_reply;
using test::listing;
using test::reply6;
using test::settings_for;
using test::V4;
using test::xid;
using test::operator+;

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
