#include "agent/sync/connections.hpp"
#include "tests/agent/sync/words.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;

namespace {

constexpr SteadyTime t{1h};

SessionNow session_at(SteadyTime when) {
    return {when, at(0)};
}

struct World {
    explicit World(std::uint32_t slots_there_are = 16, ServerConfig its_config = server_v4())
        : config(std::move(its_config)), slots(slots_there_are) {}

    SyncConnection& bulk() {
        REQUIRE(connections.take_slot());
        return connections.open_bulk(1, t);
    }

    const ServerConfig config;
    BulkSlots slots;
    Connections connections{{0, 0}, config, our_duid, slots};
};

}  // namespace

// ---- which there are ----------------------------------------------------------------------------------------------

TEST_CASE("without a connection there is none, and nothing to wait for") {
    const World w;
    CHECK(w.connections.empty());
    CHECK_FALSE(w.connections.active());
    CHECK_FALSE(w.connections.has_open_bulk());
    CHECK(w.connections.bulk_count() == 0);
    CHECK_FALSE(w.connections.next_deadline());
}

TEST_CASE("a connection is opening until somebody says that it is open, and is found by its id") {
    World w;
    auto& active = w.connections.open_active(1, t);
    CHECK(active.is_active());
    CHECK_FALSE(active.is_open());
    CHECK_FALSE(active.is_catching_up());
    CHECK(w.connections.find(active.id) == &active);
    CHECK(w.connections.active() == &active);
    active.connect_by.reset();
    CHECK(active.is_open());
}

TEST_CASE("ids are never used twice, also after a drop") {
    World w;
    const auto first = w.connections.open_active(1, t).id;
    w.connections.drop(first);
    CHECK(w.connections.open_active(1, t).id != first);
    CHECK_FALSE(w.connections.find(first));
    CHECK_FALSE(std::as_const(w.connections).find(first));
}

TEST_CASE("a drop takes away the connection that it names, and leaves the others") {
    World w;
    const auto one = w.bulk().id;
    const auto active = w.connections.open_active(1, t).id;
    const auto two = w.bulk().id;
    w.connections.drop(active);
    CHECK_FALSE(w.connections.active());
    CHECK(w.connections.find(one));
    CHECK(w.connections.find(two));
    CHECK_FALSE(w.connections.empty());
    w.connections.drop(one);
    w.connections.drop(two);
    CHECK(w.connections.empty());
}

TEST_CASE("bulk connections are counted, open or opening; an active one is none of them") {
    World w;
    w.connections.open_active(1, t).connect_by.reset();
    CHECK(w.connections.bulk_count() == 0);
    CHECK_FALSE(w.connections.has_open_bulk());
    const auto one = w.bulk().id;
    const auto two = w.bulk().id;
    CHECK(w.connections.bulk_count() == 2);
    CHECK(w.connections.bulk_unused() == 2);
    CHECK_FALSE(w.connections.has_open_bulk());
    w.connections.find(one)->connect_by.reset();
    CHECK(w.connections.has_open_bulk());
    CHECK(w.connections.bulk_unused() == 2);
    w.connections.find(one)->item = 0;
    CHECK(w.connections.bulk_unused() == 1);
    w.connections.drop(two);
    CHECK(w.connections.bulk_count() == 1);
    CHECK(w.connections.bulk_unused() == 0);
}

// ---- slots --------------------------------------------------------------------------------------------------------

TEST_CASE("a bulk connection takes a slot, and gives it back when it is dropped") {
    World w(1);
    const auto bulk = w.bulk().id;
    CHECK_FALSE(w.slots.any_free());
    w.connections.drop(bulk);
    CHECK(w.slots.any_free());
}

TEST_CASE("an active connection needs no slot, and gives none back when it is dropped") {
    World w(1);
    const auto active = w.connections.open_active(1, t).id;
    CHECK(w.slots.any_free());
    (void)w.bulk();
    w.connections.drop(active);
    CHECK_FALSE(w.slots.any_free());
}

TEST_CASE("without a free slot a server waits until it hears of one, or gets one") {
    World w(1);
    CHECK_FALSE(w.connections.wants_slot());
    const auto bulk = w.bulk().id;
    CHECK_FALSE(w.connections.wants_slot());
    CHECK_FALSE(w.connections.take_slot());
    CHECK(w.connections.wants_slot());
    SUBCASE("hears") {
        w.connections.on_slot_free();
        CHECK_FALSE(w.connections.wants_slot());
    }
    SUBCASE("gets") {
        w.connections.drop(bulk);
        CHECK(w.connections.wants_slot());
        CHECK(w.connections.take_slot());
        CHECK_FALSE(w.connections.wants_slot());
    }
}

// ---- deadlines ----------------------------------------------------------------------------------------------------

TEST_CASE("a connection has timeouts.connect to come up; with TLS each of its three stages has") {
    auto config = server_v4();
    config.timeouts.connect = 7s;
    auto stages = 1;
    SUBCASE("off") {}
    SUBCASE("starttls") {
        config.tls.mode = TlsMode::starttls;
        stages = 3;
    }
    SUBCASE("direct") {
        config.tls.mode = TlsMode::direct;
        stages = 3;
    }
    World w(1, config);
    CHECK(w.connections.open_active(1, t).connect_by == t + stages * 7s);
    CHECK(w.bulk().connect_by == t + stages * 7s);
    CHECK(w.connections.next_deadline() == t + stages * 7s);
}

TEST_CASE("the alarm of a replay that does not end belongs to its connection, and goes with it") {
    World w;
    auto& active = w.connections.open_active(1, t);
    active.connect_by.reset();
    active.catch_up_alarm = t + 10min;
    CHECK(active.is_catching_up());
    CHECK(w.connections.next_deadline() == t + 10min);
    w.connections.drop(active.id);
    CHECK_FALSE(w.connections.next_deadline());
    auto& next = w.connections.open_active(1, t + 1min);
    CHECK_FALSE(next.is_catching_up());
    CHECK(w.connections.next_deadline() == next.connect_by);
}

TEST_CASE("the earliest deadline of all connections counts, that of a session too") {
    World w;
    w.connections.open_active(1, t + 1s);
    auto& bulk = w.bulk();
    CHECK(w.connections.next_deadline() == t + 10s);
    bulk.connect_by.reset();
    CHECK(w.connections.next_deadline() == t + 11s);
    w.connections.drop(w.connections.active()->id);
    auto& left = w.connections.all().front();
    std::get<BulkSession>(left.session).start(BulkQuery{}, {}, false, session_at(t));
    CHECK(w.connections.next_deadline() == t + w.config.timeouts.data);
}

TEST_CASE("while we do not read, the silence of the server ends no connection; its time begins anew when we go on") {
    World w;
    auto& active = w.connections.open_active(1, t);
    active.connect_by.reset();
    auto& session = std::get<ActiveSession>(active.session);
    session.start(std::nullopt, session_at(t));
    while (session.poll_action())
        ;
    session.on_sent(session_at(t));
    CHECK(w.connections.next_deadline() == t + w.config.timeouts.receive);
    w.connections.set_reading(false, session_at(t));
    CHECK_FALSE(w.connections.next_deadline());
    w.connections.set_reading(true, session_at(t + 1h));
    CHECK(w.connections.next_deadline() == t + 1h + w.config.timeouts.receive);
}

// ---- what the sessions are told -----------------------------------------------------------------------------------

TEST_CASE("v6: queries carry our DUID and the transaction-id that was drawn for the connection") {
    World w(1, server_v6());
    auto& active = w.connections.open_active(0x1234, t);
    auto& session = std::get<ActiveSession>(active.session);
    session.start(std::nullopt, session_at(t));
    const auto action = session.poll_action();
    REQUIRE(action);
    const auto& send = std::get<action::Send>(*action);
    ScratchV6 scratch;
    const auto message = decode_v6(send.bytes.subspan(2), scratch);
    REQUIRE(message);
    CHECK(message->xid == 0x1234);
    CHECK(words_of_query(*message) == "active");
}
