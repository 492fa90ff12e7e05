// What a server that is not worked any more has left, and how it goes. Over every engine.
#include "storage/opening.hpp"
#include "storage/reader.hpp"

#include "tests/storage/test_store.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::testing;
using Rows = std::vector<std::string>;

namespace {

/// Two servers with two bindings each, one of them ended; the first is worked no more.
void fill(Fixture& f) {
    for (std::size_t server : {0U, 1U}) {
        auto batch = f.batch(
            {told("192.0.2.1", 10), told("192.0.2.2", 10), told("192.0.2.2", 11, BindingState::released)}, server);
        batch.quarantine.push_back({f.now, "odd", id("xx")});
        f.store->apply(batch);
    }
    f.store->release_servers(std::vector<std::string>{"east"});
}

std::string count(const Fixture& f, const std::string& table, std::size_t server) {
    return f.engine->value("SELECT count(*) FROM " + table +
                           " WHERE server_id = " + std::to_string(f.resume[server].id));
}

}  // namespace

TEST_CASE("what a server has left goes, the feed tells of what was in force, and other servers stay") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory, {"east", "west"});
        fill(f);
        f.check.all_assignments = false;
        const auto done = forget_server(f.engine->settings(), "east");
        CHECK(done.known);
        CHECK(done.worked_by.empty());
        CHECK(done.bindings == 2);
        CHECK(done.ended == 1);
        CHECK(done.assignments == 2);
        CHECK(done.quarantined == 1);
        for (const char* table : {"binding", "assignment", "quarantine", "gap", "binding_count"}) {
            CAPTURE(table);
            CHECK(count(f, table, 0) == "0");
        }
        CHECK(count(f, "binding", 1) == "2");
        CHECK(count(f, "assignment", 1) == "2");
        CHECK(f.engine->rows("SELECT change, address FROM binding_change WHERE server_id = " +
                             std::to_string(f.resume[0].id) + " ORDER BY seq DESC LIMIT 1") == Rows{"ended|192.0.2.1"});
        const auto servers = open_reader(f.engine->settings())->servers();
        REQUIRE(servers.size() == 1);
        CHECK(servers[0].name == "west");
        CHECK(f.engine->value("SELECT count(*) FROM server_overview") == "1");
        CHECK(f.engine->value("SELECT count(*) FROM lease") == "1");
        CHECK_FALSE(forget_server(f.engine->settings(), "east").known);
    }
}

TEST_CASE("the row of a forgotten server goes with its last row of the feed") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory, {"east", "west"});
        fill(f);
        f.check.all_assignments = false;
        (void)forget_server(f.engine->settings(), "east");
        (void)f.store->sweep(f.now, 100);
        CHECK(f.engine->value("SELECT count(*) FROM server") == "2");
        f.check.whole_feed = false;
        f.engine->execute("DELETE FROM binding_change");
        (void)f.store->sweep(f.now, 100);
        CHECK(f.engine->value("SELECT count(*) FROM server") == "1");
    }
}

TEST_CASE("a forgotten server that is configured again begins as a new one") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory, {"east", "west"});
        fill(f);
        f.check.all_assignments = false;
        f.engine->execute("UPDATE server SET last_error = 'x', coverage = 'full'");
        (void)forget_server(f.engine->settings(), "east");
        const auto again = f.store->open_servers({f.specs.data(), 1}, "test").front();
        CHECK_FALSE(again.base_time);
        CHECK_FALSE(again.known_since);
        CHECK(again.doubts_open == 0);
        CHECK(again.last_error.empty());
        CHECK(again.coverage == Coverage::partial);
        CHECK(open_reader(f.engine->settings())->servers().size() == 2);
        f.resume[0] = again;
        CHECK(f.store->apply(f.batch({told("192.0.2.1", 5)})).stored == 1);
    }
}

TEST_CASE("a server that an agent works, or that there is none of, is not forgotten") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.store->beat({{"test", "host", 7, "1", utc(5)}, 1, 0, false});
        f.apply({told("192.0.2.1", 10)});
        const auto worked = forget_server(f.engine->settings(), "east");
        CHECK(worked.known);
        CHECK(worked.worked_by == "test");
        CHECK(count(f, "binding", 0) == "1");
        CHECK_FALSE(forget_server(f.engine->settings(), "north").known);
        f.apply({told("192.0.2.2", 11)});
    }
}
