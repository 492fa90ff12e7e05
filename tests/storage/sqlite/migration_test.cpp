// Databases that an earlier leasemirror has written, brought up to date with what is in them.
#include "storage/migration.hpp"
#include "storage/opening.hpp"
#include "storage/reader.hpp"
#include "storage/sqlite/file_lock.hpp"
#include "storage/sqlite/store.hpp"
#include "storage/store.hpp"
#include "storage/store_error.hpp"

#include "tests/storage/history_check.hpp"
#include "tests/storage/test_store.hpp"

#include <SQLiteCpp/SQLiteCpp.h>
#include <doctest/doctest.h>
#include <unistd.h>

using namespace leasemirror;
using namespace leasemirror::testing;
using Rows = std::vector<std::string>;

namespace {

const EngineFactory& sqlite() {
    return engines().at(0);
}

std::string path_of(const Engine& engine) {
    return engine.settings().url.substr(std::string_view("sqlite://").size());
}

/// A database as the leasemirror of that schema version made it.
void make_version(const Engine& engine, int version) {
    SQLite::Database db(path_of(engine), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    db.exec("PRAGMA application_id = 0x4c4d4952");
    for (int i = 0; i < version; ++i)
        db.exec(std::string(sqlite_migrations[static_cast<std::size_t>(i)].sql));
    db.exec("PRAGMA user_version = " + std::to_string(version));
    db.exec("PRAGMA journal_mode = WAL");
}

/// What version 1 had: two servers, bindings in force and not, with all columns and with none.
void fill_version_1(const Engine& engine) {
    SQLite::Database(path_of(engine), SQLite::OPEN_READWRITE).exec(R"sql(
        INSERT INTO server (server_id, name, family, endpoint, phase, base_time, bindings, owner, owner_epoch, last_run)
        VALUES (1, 'east', 'v4', 'x', 'live', 1700000500, 2, 'old', 4, 2), (2, 'west', 'v6', 'y', 'live', NULL, 1, 'old', 4, 0);
        INSERT INTO binding (server_id, vpn_id, kind, address, prefix_len, address_key, last_key, family, state, client_id,
            hw_type, hw_addr, client_last_seen, state_since, expires_at, preferred_until, renew_at, rebind_at,
            link_address, relay_address, relay_id, remote_id, circuit_id, subscriber_id, hostname, options, data_source,
            end_reason, base_time, via, updated_at, epoch, seen_run, scope)
        VALUES
            (1, '', 'address', '10.0.0.1', 32, x'00000000000000000000FFFF0A000001', NULL, 'v4', 'active', x'41', 1,
             '00:01:02:03:04:05', 1700000400, 1700000300, 1700009000, 1700008000, 1700005000, 1700007000,
             '10.0.0.0', '10.0.0.254', x'01', x'02', x'03', x'04', 'host "1"', '{"39":"00ab"}', 'remote',
             NULL, 1700000500, 'active', 1700000510, 0, 2, 7),
            (1, 'ascii:red', 'address', '10.0.0.1', 32, x'00000000000000000000FFFF0A000001', NULL, 'v4', 'active', NULL,
             NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'local',
             NULL, 1700000500, 'bulk', 1700000510, 0, 0, 0),
            (1, '', 'address', '10.0.0.2', 32, x'00000000000000000000FFFF0A000002', NULL, 'v4', 'released', x'42', 1,
             '00:01:02:03:04:06', 1700000400, 1700000300, 1700000900, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
             NULL, NULL, 'local', 'reported', 1700000500, 'active', 1700000520, 0, 0, 0),
            (2, '', 'prefix', '2001:db8::', 48, x'20010DB8000000000000000000000000',
             x'20010DB80000FFFFFFFFFFFFFFFFFFFF', 'v6', 'active', x'43', NULL, NULL, 1700000450, NULL, NULL, NULL, NULL,
             NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'local', NULL, 1700000500, 'active', 1700000530, 0, 0, 0))sql");
}

HistoryCheck complete() {
    HistoryCheck check;
    check.times = true;
    return check;
}

}  // namespace

TEST_CASE("a database of version 1 goes on with its rows, and its feed begins with what was there") {
    const auto engine = sqlite().make();
    make_version(*engine, 1);
    fill_version_1(*engine);
    CHECK(schema_version(engine->settings()).found == 1);
    CHECK(migrate_schema(engine->settings()) == schema_version(engine->settings()).known);

    CHECK(faults_of_history(*engine, complete()) == Rows{});
    CHECK(engine->rows("SELECT server_id, vpn_id, address, change, state, hex(client_id), at, inferred "
                       "FROM binding_change ORDER BY seq") ==
          Rows{"1||10.0.0.1|assigned|active|41|1700000510|1", "1|ascii:red|10.0.0.1|assigned|active||1700000510|1",
               "1||10.0.0.2|updated|released|42|1700000520|1", "2||2001:db8::|assigned|active|43|1700000530|1"});
    CHECK(engine->rows("SELECT address, hex(client_id), hw_addr, hex(remote_id), began_at, ended_at, began_inferred, "
                       "hex(last_key) FROM assignment ORDER BY assignment_id") ==
          Rows{"10.0.0.1|41|00:01:02:03:04:05|02|1700000300|-|0|", "10.0.0.1||-||1700000510|-|1|",
               "2001:db8::|43|-||1700000450|-|1|20010DB80000FFFFFFFFFFFFFFFFFFFF"});
    CHECK(engine->rows("SELECT address, hex(relay_id), hex(circuit_id), hex(subscriber_id), hostname FROM assignment "
                       "ORDER BY assignment_id") ==
          Rows{"10.0.0.1|01|03|04|host \"1\"", "10.0.0.1||||-", "2001:db8::||||-"});
    CHECK(engine->rows("SELECT * FROM binding_count ORDER BY 1, 2") ==
          Rows{"1|active|2", "1|released|1", "2|active|1"});
    CHECK(engine->rows("SELECT server, address FROM lease WHERE expires_at IS NULL ORDER BY 1") ==
          Rows{"east|10.0.0.1", "west|2001:db8::"});
}

TEST_CASE("a database of version 2 goes on with its servers, and of what they support nothing is known yet") {
    const auto engine = sqlite().make();
    make_version(*engine, 1);
    fill_version_1(*engine);
    {
        SQLite::Database db(path_of(*engine), SQLite::OPEN_READWRITE);
        db.exec(std::string(sqlite_migrations[1].sql));
        db.exec(
            "PRAGMA user_version = 2; UPDATE server SET server_identity = x'0102', last_error = 'no', "
            "clock_skew_ms = -3, coverage = 'full', last_full_sync_at = 1700000400 WHERE name = 'east'");
    }
    const auto servers = engine->rows("SELECT * FROM server ORDER BY server_id");
    const auto bindings = engine->rows("SELECT * FROM binding ORDER BY binding_id");
    const auto overview = engine->rows("SELECT * FROM server_overview ORDER BY server_id");
    REQUIRE(overview.size() == 2);
    CHECK(schema_version(engine->settings()).found == 2);
    CHECK(migrate_schema(engine->settings()) == schema_version(engine->settings()).known);

    const std::string unknown = "|-|-|-|-|-", none = "|0|0|0", orders = "|-|-|-|-|0|-|-|-|-", asked = "|-|-|-|-|-|-|-";
    CHECK(engine->rows("SELECT * FROM server ORDER BY server_id") ==
          Rows{servers[0] + unknown + none + "|0|1700000400|-|0|-|0|0" + orders + "|0",
               servers[1] + unknown + none + "|0|-|-|0|-|0|0" + orders + "|0"});
    CHECK(engine->rows("SELECT * FROM server_overview ORDER BY server_id") ==
          Rows{overview[0] + unknown + none + "|2023-11-14T22:20:00Z|-|0|-" + asked,
               overview[1] + unknown + none + "|-|-|0|-" + asked});
    auto settled = bindings;
    for (auto& row : settled)
        row += "|-";
    CHECK(engine->rows("SELECT * FROM binding ORDER BY binding_id") == settled);
    CHECK(faults_of_history(*engine, complete()) == Rows{});
    CHECK_THROWS(engine->execute("UPDATE server SET active_support = 'maybe'"));

    const ServerSpec specs[] = {{"east", Family::v4, "x"}, {"west", Family::v6, "y"}};
    const auto resume = open_store(engine->settings())->open_servers(specs, "new");
    CHECK(resume[0].base_time == at(500));
    CHECK(resume[0].server_identity == Bytes{1, 2});
    CHECK(resume[0].coverage == Coverage::full);
    CHECK(resume[0].support == ServerSupport{});
    CHECK_FALSE(resume[0].certificate_expires_at);
}

TEST_CASE("a database of version 3 goes on with what others have made of it, and can be copied while it is only read") {
    const auto engine = sqlite().make();
    make_version(*engine, 3);
    fill_version_1(*engine);
    engine->execute(
        "INSERT INTO assignment (server_id, vpn_id, kind, address, prefix_len, address_key, began_at, ended_at, "
        "end_reason, began_inferred, ended_inferred) VALUES (1, '', 'address', '10.0.0.9', 32, x'00', 1, 2, 'expired', "
        "1, 0), (1, '', 'address', '10.0.0.9', 32, x'00', 3, 4, 'expired', 0, 1), "
        "(1, '', 'address', '10.0.0.9', 32, x'00', 5, 6, 'expired', 0, 0)");
    engine->execute("CREATE VIEW theirs AS SELECT began_at, inferred FROM assignment");
    engine->execute("CREATE INDEX their_index ON binding (hostname)");
    engine->execute("CREATE TRIGGER their_trigger AFTER UPDATE ON assignment BEGIN SELECT 1; END");
    CHECK(migrate_schema(engine->settings()) == schema_version(engine->settings()).known);
    CHECK(engine->rows("SELECT * FROM theirs ORDER BY began_at") == Rows{"1|1", "3|1", "5|0"});
    CHECK(engine->rows("SELECT name FROM sqlite_schema WHERE name LIKE 'their%' ORDER BY name") ==
          Rows{"their_index", "their_trigger", "theirs"});
    engine->execute("UPDATE assignment SET end_reason = 'asked' WHERE began_at = 5");
    engine->execute("UPDATE binding SET state = 'ended', end_reason = 'asked' WHERE binding_id = 1");
    CHECK_THROWS(engine->execute("UPDATE binding SET end_reason = 'moved' WHERE binding_id = 1"));
    CHECK_THROWS(engine->execute("UPDATE binding SET doubt = 'none'"));
    CHECK(engine->rows("PRAGMA integrity_check") == Rows{"ok"});

    const TempDir directory;
    const auto copy = (directory.path() / "copy.db").string();
    SQLite::Database(path_of(*engine), SQLite::OPEN_READONLY).exec("VACUUM INTO '" + copy + "'");
    CHECK(SQLite::Database(copy, SQLite::OPEN_READONLY).execAndGet("SELECT count(*) FROM assignment").getInt() == 3);
}

TEST_CASE("after a migration the agent goes on where the older one was") {
    const auto engine = sqlite().make();
    make_version(*engine, 1);
    fill_version_1(*engine);
    const auto store = open_store(engine->settings());
    const ServerSpec specs[] = {{"east", Family::v4, "x"}, {"west", Family::v6, "y"}};
    const auto resume = store->open_servers(specs, "new");
    CHECK(resume[0].base_time == at(500));
    CHECK(resume[0].last_run == 2);

    Batch batch;
    batch.server = resume[0].id;
    batch.number = 1;
    batch.now = utc(700);
    auto released = told("10.0.0.1", 600, BindingState::released);
    released.binding.state_since = at(600);
    auto taken = told("10.0.0.2", 600);
    taken.binding.state_since = at(450);
    batch.changes.push_back(released);
    batch.changes.push_back(taken);
    CHECK(store->apply(batch).stored == 2);
    CHECK(engine->rows("SELECT address, vpn_id, began_at, ended_at, end_reason FROM assignment WHERE server_id = 1 "
                       "AND vpn_id = '' ORDER BY assignment_id") ==
          Rows{"10.0.0.1||1700000300|1700000600|reported", "10.0.0.2||1700000520|-|-"});
    CHECK(faults_of_history(*engine, HistoryCheck{}) == Rows{});
}

TEST_CASE("every earlier version ends with the schema that a new database has") {
    const auto schema_of = [](const Engine& engine) {
        return engine.rows("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name");
    };
    const auto fresh = sqlite().make();
    open_store(fresh->settings()).reset();
    for (int version = 0; version < static_cast<int>(sqlite_migrations.size()); ++version) {
        CAPTURE(version);
        const auto engine = sqlite().make();
        if (version > 0) make_version(*engine, version);
        open_store(engine->settings()).reset();
        CHECK(schema_of(*engine) == schema_of(*fresh));
        CHECK(engine->rows("SELECT * FROM sqlite_stat1 ORDER BY 1, 2") ==
              fresh->rows("SELECT * FROM sqlite_stat1 ORDER BY 1, 2"));
    }
}

TEST_CASE("a migration that cannot be finished leaves the old version as it was, and is tried again") {
    const auto engine = sqlite().make();
    make_version(*engine, 1);
    fill_version_1(*engine);
    const auto before = engine->rows("SELECT * FROM binding");
    engine->execute("CREATE TABLE assignment (mine)");  // stands in the way of the second migration, in its middle
    CHECK_THROWS_AS((void)open_store(engine->settings()), StoreError);
    CHECK(schema_version(engine->settings()).found == 1);
    CHECK(engine->rows("SELECT name FROM sqlite_schema WHERE name = 'binding_change'").empty());
    CHECK(engine->rows("SELECT * FROM binding") == before);
    engine->execute("DROP TABLE assignment");
    CHECK(open_store(engine->settings()) != nullptr);
    CHECK(faults_of_history(*engine, complete()) == Rows{});
}

TEST_CASE("while one agent migrates another one is refused, and a reader is told to wait") {
    const auto engine = sqlite().make();
    make_version(*engine, 1);
    const auto refused = [&](const std::function<void()>& work) {
        try {
            work();
        } catch (const StoreError& e) {
            CHECK(e.fault() == StoreFault::unavailable);
            return std::string(e.what());
        }
        return std::string("not refused");
    };
    const auto whose = "process " + std::to_string(::getpid());
    {
        const FileLock first(path_of(*engine));
        CHECK(refused([&] { open_store(engine->settings()).reset(); }).find(whose) != std::string::npos);
        CHECK(refused([&] { migrate_schema(engine->settings()); }).find(whose) != std::string::npos);
        CHECK(refused([&] { open_reader(engine->settings())->servers(); }).find("schema version 1") !=
              std::string::npos);
    }
    CHECK(migrate_schema(engine->settings()) == schema_version(engine->settings()).known);
    CHECK(open_reader(engine->settings())->servers().empty());
}

TEST_CASE("a migration waits for a program that writes at this moment") {
    const auto engine = sqlite().make();
    make_version(*engine, 1);
    const SqliteTuning impatient{.busy_timeout = std::chrono::milliseconds{1}};
    {
        SQLite::Database other(path_of(*engine), SQLite::OPEN_READWRITE);
        SQLite::Transaction writing(other, SQLite::TransactionBehavior::IMMEDIATE);
        try {
            open_sqlite_store(engine->settings(), impatient).reset();
            FAIL_CHECK("it did not wait");
        } catch (const StoreError& e) {
            CHECK(e.fault() == StoreFault::unavailable);
            CHECK(std::string(e.what()).find("locked") != std::string::npos);
        }
    }
    CHECK(open_sqlite_store(engine->settings(), impatient) != nullptr);
}
