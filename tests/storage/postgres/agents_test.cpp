// Two agents on one PostgreSQL database: no server is worked by both, and whoever waits says for whom.
#include "storage/opening.hpp"

#include "tests/storage/postgres_engine.hpp"
#include "tests/storage/test_store.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::testing;
using Rows = std::vector<std::string>;

namespace {

const EngineFactory postgres{"postgresql", make_postgres_engine};

Heartbeat beat_of(const std::string& name, std::int64_t pid = 7) {
    return {{name, "host", pid, "1.2", utc(5)}, 1, 0.5, false};
}

}  // namespace

TEST_CASE("of two agents with one name the second waits until the first is gone" * doctest::skip(without_postgres())) {
    Fixture f(postgres);
    f.store->beat(beat_of("test", 7));
    const auto second = open_store(f.engine->settings());
    std::string what;
    CHECK(f.fault_of([&] { second->beat(beat_of("test", 8)); }, &what) == StoreFault::claimed);
    CHECK(what.find("agent 'test' (host host, pid 7), whose last sign of life was ") != std::string::npos);
    CHECK(what.find("cluster.name") != std::string::npos);
    f.engine->execute("UPDATE agent SET heartbeat_at = heartbeat_at - interval '15 s'");
    second->beat(beat_of("test", 8));
    CHECK(f.engine->value("SELECT pid FROM agent") == "8");
}

TEST_CASE("a server that one store works is not opened by another, which says who works it" *
          doctest::skip(without_postgres())) {
    Fixture f(postgres, {"east", "west"});
    f.store->beat(beat_of("test"));
    auto second = open_store(f.engine->settings());
    const std::vector<ServerSpec> wanted{{"new", Family::v4, "y"}, f.specs[1]};
    std::string what;
    CHECK(f.fault_of([&] { (void)second->open_servers(wanted, "second"); }, &what) == StoreFault::claimed);
    CHECK(what.find("'west' is worked by agent 'test' (host host, pid 7), whose last sign of life was ") !=
          std::string::npos);
    f.apply({told("10.0.0.1", 20)});  // and the first one is not disturbed
    CHECK(f.engine->rows("SELECT name, owner FROM server ORDER BY name") == Rows{"east|test", "west|test"});

    f.store.reset();
    CHECK(second->open_servers(wanted, "second").size() == 2);
    CHECK(f.engine->rows("SELECT name, owner FROM server ORDER BY name") ==
          Rows{"east|test", "new|second", "west|second"});
}

TEST_CASE("two stores work different servers, and neither disables those of the other" *
          doctest::skip(without_postgres())) {
    Fixture f(postgres, {"east", "gone"});
    f.specs.pop_back();
    f.reopen();
    const auto second = open_store(f.engine->settings());
    const std::vector<ServerSpec> wanted{{"west", Family::v4, "y"}};
    second->disable_servers_except(std::vector<std::string>{"west"});
    (void)second->open_servers(wanted, "second");
    CHECK(f.engine->rows("SELECT name, phase FROM server ORDER BY name") ==
          Rows{"east|connecting", "gone|disabled", "west|connecting"});
    f.store->disable_servers_except(std::vector<std::string>{"east"});
    CHECK(f.engine->value("SELECT phase FROM server WHERE name = 'west'") == "connecting");
    f.apply({told("10.0.0.1", 20)});
}

TEST_CASE("a store whose session was ended keeps its servers in the next one" * doctest::skip(without_postgres())) {
    Fixture f(postgres);
    f.settings = with_named_sessions(f.settings);
    f.reopen();
    end_sessions(*f.engine);
    CHECK(f.fault_of([&] { f.apply({told("10.0.0.1", 20)}); }) == StoreFault::unavailable);
    f.apply({told("10.0.0.1", 20)});
    const auto second = open_store(f.engine->settings());
    CHECK(f.fault_of([&] { (void)second->open_servers(f.specs, "second"); }) == StoreFault::claimed);
}

TEST_CASE("a store whose session was ended while another took its servers over writes nothing more" *
          doctest::skip(without_postgres())) {
    Fixture f(postgres);
    f.settings = with_named_sessions(f.settings);
    f.reopen();
    end_sessions(*f.engine);
    auto second = open_store(f.engine->settings());
    (void)second->open_servers(f.specs, "second");
    second.reset();
    CHECK(f.fault_of([&] { f.apply({told("10.0.0.1", 20)}); }) == StoreFault::unavailable);  // its session is gone
    CHECK(f.fault_of([&] { f.apply({told("10.0.0.1", 20)}); }) == StoreFault::fenced);
    CHECK(f.states().empty());
}

TEST_CASE("a further server that another agent works is refused, and what the store has stays its own" *
          doctest::skip(without_postgres())) {
    Fixture f(postgres);
    const auto second = open_store(f.engine->settings());
    const std::vector<ServerSpec> west{{"west", Family::v4, "y"}}, both{{"north", Family::v4, "z"}, west[0]};
    (void)second->open_servers(west, "second");
    CHECK(f.fault_of([&] { (void)f.store->open_servers(both, "test"); }) == StoreFault::claimed);
    CHECK(f.fault_of([&] { (void)second->open_servers(f.specs, "second"); }) == StoreFault::claimed);
    (void)second->open_servers({&both[0], 1}, "second");  // the first one has claimed none of the two
    f.apply({told("10.0.0.1", 20)});
    second->release_servers(std::vector<std::string>{"west"});
    (void)f.store->open_servers(west, "test");
    CHECK(f.fault_of([&] { (void)second->open_servers(west, "second"); }) == StoreFault::claimed);
}
