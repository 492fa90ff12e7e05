// Who is at work: the table `agent`. Over every engine. Two agents at a time: postgres/agents_test.cpp; in SQLite the second
// one waits for the lock of the file (sqlite/files_test.cpp).
#include "storage/opening.hpp"
#include "storage/reader.hpp"

#include "tests/storage/test_store.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::testing;
using Rows = std::vector<std::string>;

namespace {

Heartbeat beat_of(const std::string& name, std::int64_t pid = 7) {
    return {{name, "host", pid, "1.2", utc(5)}, 1, 0.5, false};
}

/// As if the last sign of life had been given that long ago.
void age(const Engine& engine, const std::string& name, int seconds) {
    const auto time = std::string(engine.settings().url).starts_with("sqlite")
                          ? "heartbeat_at - " + std::to_string(seconds)
                          : "heartbeat_at - interval '" + std::to_string(seconds) + " s'";
    engine.execute("UPDATE agent SET heartbeat_at = " + time + " WHERE name = '" + name + "'");
}

ServerOverview overview(const Engine& engine) {
    return open_reader(engine.settings())->servers().at(0);
}

}  // namespace

TEST_CASE("an agent has a row, which says that it is alive for fifteen seconds after each sign of life") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);  // the agent "test"
        CHECK_FALSE(overview(*f.engine).agent_alive);
        CHECK_FALSE(overview(*f.engine).agent_heartbeat_at);
        f.store->beat(beat_of("test"));
        CHECK(f.engine->rows("SELECT name, host, pid, version, epoch(started_at), servers, rate, epoch(stopped_at) "
                             "FROM agent") == Rows{"test|host|7|1.2|" + std::to_string(test_epoch + 5) + "|1|0.5|-"});
        CHECK(overview(*f.engine).agent_alive);
        CHECK(overview(*f.engine).agent_heartbeat_at);
        CHECK(f.engine->value("SELECT CAST(agent_alive AS INTEGER) FROM server_overview") == "1");
        CHECK(f.engine->value("SELECT CAST(alive AS INTEGER) FROM agent_overview") == "1");
        age(*f.engine, "test", 13);
        CHECK(overview(*f.engine).agent_alive);
        age(*f.engine, "test", 3);
        CHECK_FALSE(overview(*f.engine).agent_alive);
        CHECK(f.engine->value("SELECT CAST(agent_alive AS INTEGER) FROM server_overview") == "0");
        f.store->beat(beat_of("test"));
        CHECK(overview(*f.engine).agent_alive);
    }
}

TEST_CASE("an agent that was stopped is not alive, and is again when it is started") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        auto last = beat_of("test");
        last.stopping = true;
        f.store->beat(last);
        CHECK_FALSE(overview(*f.engine).agent_alive);
        CHECK(overview(*f.engine).agent_stopped_at);
        f.store->beat(beat_of("test", 8));
        CHECK(overview(*f.engine).agent_alive);
        CHECK_FALSE(overview(*f.engine).agent_stopped_at);
    }
}

TEST_CASE("rows of agents that are long gone are removed, unless a server still names them") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        for (const char* name : {"test", "long gone", "gone"})
            f.store->beat(beat_of(name));
        age(*f.engine, "test", 31 * 86400);
        age(*f.engine, "long gone", 31 * 86400);
        age(*f.engine, "gone", 29 * 86400);
        f.store->beat(beat_of("other"));
        CHECK(f.engine->rows("SELECT name FROM agent ORDER BY name") == Rows{"gone", "other", "test"});
    }
}
