// What operators ask of the agent through the database. Over every engine.
#include "storage/opening.hpp"
#include "storage/reader.hpp"

#include "tests/storage/test_store.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::testing;

namespace {

OrderAnswer give(const Fixture& f, OrderKind kind, const std::string& server = "east") {
    return give_order(f.engine->settings(), {kind, server, "root@web1"});
}

/// What the agent that has the servers is told at its next step of housekeeping.
Orders asked(Fixture& f, std::size_t server = 0) {
    const auto swept = f.store->sweep(f.now, 10);
    for (const auto& found : swept.orders)
        if (found.server == f.resume[server].id) return found.orders;
    return {};
}

Batch with_resync_done(Fixture& f, std::uint64_t number) {
    auto batch = f.batch();
    batch.resync_done = number;
    return batch;
}

ServerOverview overview(const Fixture& f, std::size_t server = 0) {
    return open_reader(f.engine->settings())->servers().at(server);
}

}  // namespace

TEST_CASE("a server that is paused stays so over a restart, until it is resumed") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory, {"east", "west"});
        CHECK(f.store->sweep(f.now, 10).orders.empty());
        CHECK(give(f, OrderKind::pause) == OrderAnswer::taken);
        CHECK(asked(f).paused);
        CHECK_FALSE(asked(f, 1).paused);
        CHECK(overview(f).paused_by == "root@web1");
        CHECK(overview(f).paused_at);
        CHECK(give_order(f.engine->settings(), {OrderKind::pause, "east", "bob@web2"}) == OrderAnswer::already_so);
        CHECK(overview(f).paused_by == "root@web1");
        f.reopen();
        CHECK(f.resume[0].orders.paused);
        CHECK_FALSE(f.resume[1].orders.paused);
        CHECK(overview(f).phase == "disabled");
        CHECK(overview(f, 1).phase == "connecting");
        CHECK(give(f, OrderKind::resume) == OrderAnswer::taken);
        CHECK(give(f, OrderKind::resume) == OrderAnswer::already_so);
        CHECK_FALSE(asked(f).paused);
        CHECK_FALSE(overview(f).paused_at);
        CHECK(overview(f).paused_by.empty());
    }
}

TEST_CASE("a full read is asked for until one that began after the last order has ended") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        CHECK(give(f, OrderKind::resync) == OrderAnswer::taken);
        const auto first = asked(f).resync;
        REQUIRE(first > 0);
        CHECK(overview(f).resync_asked_by == "root@web1");
        f.reopen();
        CHECK(f.resume[0].orders.resync == first);
        CHECK(give(f, OrderKind::resync) == OrderAnswer::taken);
        CHECK(asked(f).resync == first + 1);
        f.store->apply(with_resync_done(f, first));  // of the one that was under way
        CHECK(asked(f).resync == first + 1);
        f.store->apply(with_resync_done(f, first + 1));
        CHECK(asked(f).resync == 0);
        CHECK_FALSE(overview(f).resync_asked_at);
        CHECK(overview(f).resync_asked_by.empty());
        CHECK(give(f, OrderKind::resync) == OrderAnswer::taken);
        CHECK(asked(f).resync == first + 2);
    }
}

TEST_CASE("nothing is asked of a server that no agent has opened, and nothing of another store's") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory, {"east", "west"});
        CHECK(give(f, OrderKind::pause, "north") == OrderAnswer::unknown_server);
        CHECK(give(f, OrderKind::resync, "north") == OrderAnswer::unknown_server);
        CHECK(f.engine->value("SELECT count(*) FROM server") == "2");
    }
}

TEST_CASE("a server that is opened again by the same store begins anew, and the others go on") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory, {"east", "west"});
        f.apply({told("192.0.2.1", 10)});
        f.store->apply(f.batch({told("192.0.2.1", 10)}, 1));
        const auto again = f.store->open_servers({f.specs.data(), 1}, "test");
        REQUIRE(again.size() == 1);
        CHECK(again[0].id == f.resume[0].id);
        auto batch = f.batch({told("192.0.2.2", 11)});
        batch.number = 1;
        CHECK(f.store->apply(batch).stored == 1);
        CHECK(f.store->apply(f.batch({told("192.0.2.2", 11)}, 1)).stored == 1);
        CHECK(f.engine->value("SELECT count(*) FROM binding") == "4");
    }
}

TEST_CASE("the next attempt is in the row of the server while there is one") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        auto batch = f.batch();
        batch.status.emplace();
        batch.status->next_attempt_at = utc(100);
        f.store->apply(batch);
        CHECK(overview(f).next_attempt_at == utc(100));
        batch = f.batch();
        batch.status.emplace();
        f.store->apply(batch);
        CHECK_FALSE(overview(f).next_attempt_at);
    }
}

TEST_CASE("a server that is released is disabled, free for another store, and written no more") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory, {"east", "west"});
        f.store->release_servers(std::vector<std::string>{"east", "north"});
        CHECK(overview(f).phase == "disabled");
        CHECK(overview(f).owner.empty());
        CHECK(overview(f, 1).phase == "connecting");
        CHECK(f.store->apply(f.batch({told("192.0.2.2", 11)}, 1)).stored == 1);
        (void)f.store->sweep(f.now, 10);
        (void)give(f, OrderKind::pause);
        CHECK(f.store->sweep(f.now, 10).orders.empty());
        if (factory.name != std::string("sqlite")) {  // there the file has one writer
            const auto other = open_store(f.engine->settings());
            CHECK(other->open_servers({f.specs.data(), 1}, "other").front().id == f.resume[0].id);
        }
    }
}
