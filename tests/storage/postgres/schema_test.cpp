// The schema in PostgreSQL: whose tables are whose, who may migrate, and what earlier versions come to.
#include "storage/migration.hpp"
#include "storage/opening.hpp"
#include "storage/reader.hpp"
#include "storage/store.hpp"
#include "storage/store_error.hpp"
#include "tests/storage/history_check.hpp"
#include "tests/storage/postgres_engine.hpp"
#include "tests/storage/test_store.hpp"

#include <doctest/doctest.h>
#include <pqxx/pqxx>
#include <thread>

using namespace leasemirror;
using namespace leasemirror::testing;
using Rows = std::vector<std::string>;

namespace {

constexpr const char* version_sql = "SELECT number FROM meta WHERE name = 'leasemirror_schema_version'";

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

std::string refusal(const StoreSettings& settings, StoreFault expected) {
    try {
        open_store(settings).reset();
    } catch (const StoreError& e) {
        CHECK(e.fault() == expected);
        return e.what();
    }
    return "opened";
}

StoreSettings as_role(const Engine& engine, const TestRole& role) {
    auto settings = engine.settings();
    settings.url = test_postgres_url_with(role.name());
    return settings;
}

/// A schema as the leasemirror of that version made it.
void make_version(const Engine& engine, int version) {
    for (int i = 0; i < version; ++i)
        engine.execute(std::string(postgresql_migrations[static_cast<std::size_t>(i)].sql));
    engine.execute("INSERT INTO meta (name, number) VALUES ('leasemirror_schema_version', " + std::to_string(version) +
                   ")");
}

/// What version 1 had: two servers, bindings in force and not, with all columns and with none.
void fill_version_1(const Engine& engine) {
    engine.execute(R"sql(
        INSERT INTO server (server_id, name, family, endpoint, phase, base_time, bindings, owner, owner_epoch, last_run)
        VALUES (1, 'east', 'v4', 'x', 'live', to_timestamp(1700000500), 2, 'old', 4, 2),
               (2, 'west', 'v6', 'y', 'live', NULL, 1, 'old', 4, 0);
        INSERT INTO binding (server_id, vpn_id, kind, address, prefix_len, family, state, client_id,
            hw_type, hw_addr, client_last_seen, state_since, expires_at, preferred_until, renew_at, rebind_at,
            link_address, relay_address, relay_id, remote_id, circuit_id, subscriber_id, hostname, options, data_source,
            end_reason, base_time, via, updated_at, epoch, seen_run, scope)
        VALUES
            (1, '', 'address', '10.0.0.1', 32, 'v4', 'active', 'A', 1, '00:01:02:03:04:05', to_timestamp(1700000400),
             to_timestamp(1700000300), to_timestamp(1700009000), to_timestamp(1700008000), to_timestamp(1700005000),
             to_timestamp(1700007000), '10.0.0.0', '10.0.0.254', '\x01', '\x02', '\x03', '\x04', 'host "1"',
             '{"39":"00ab"}', 'remote', NULL, to_timestamp(1700000500), 'active', to_timestamp(1700000510), 0, 2, 7),
            (1, 'ascii:red', 'address', '10.0.0.1', 32, 'v4', 'active', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
             NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'local',
             NULL, to_timestamp(1700000500), 'bulk', to_timestamp(1700000510), 0, 0, 0),
            (1, '', 'address', '10.0.0.2', 32, 'v4', 'released', 'B', 1, '00:01:02:03:04:06', to_timestamp(1700000400),
             to_timestamp(1700000300), to_timestamp(1700000900), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
             NULL, 'local', 'reported', to_timestamp(1700000500), 'active', to_timestamp(1700000520), 0, 0, 0),
            (2, '', 'prefix', '2001:db8::', 48, 'v6', 'active', 'C', NULL, NULL, to_timestamp(1700000450), NULL, NULL, NULL,
             NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'local', NULL,
             to_timestamp(1700000500), 'active', to_timestamp(1700000530), 0, 0, 0))sql");
}

/// All that makes up a schema, without its name.
Rows shape(const Engine& engine) {
    const std::string own = "(SELECT oid FROM pg_namespace WHERE nspname = current_schema())";
    Rows out;
    for (const auto& sql :
         {"SELECT c.relname, c.relkind, c.reloptions::text, a.attname, format_type(a.atttypid, a.atttypmod), "
          "a.attnotnull, a.attidentity, a.attgenerated, a.attcollation, pg_get_expr(d.adbin, d.adrelid) "
          "FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND "
          "d.adnum = a.attnum WHERE a.attnum > 0 AND c.relnamespace = " +
              own + " ORDER BY 1, a.attnum",
          std::string("SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() ORDER BY 1"),
          "SELECT c.conrelid::regclass::text, pg_get_constraintdef(c.oid) FROM pg_constraint c WHERE connamespace = " +
              own + " ORDER BY 1, 2",
          std::string("SELECT viewname, definition FROM pg_views WHERE schemaname = current_schema() ORDER BY 1"),
          "SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = " + own + " ORDER BY 1"})
        for (auto& row : engine.rows(sql)) {
            const auto name = engine.settings().schema;
            for (auto at = row.find(name); at != std::string::npos; at = row.find(name))
                row.erase(at, name.size());
            out.push_back(std::move(row));
        }
    return out;
}

HistoryCheck complete() {
    HistoryCheck check;
    check.times = true;
    return check;
}

}  // namespace

TEST_CASE("a PostgreSQL schema of version 1 goes on with its rows, and its feed begins with what was there" *
          doctest::skip(without_postgres())) {
    const auto engine = make_postgres_engine();
    make_version(*engine, 1);
    fill_version_1(*engine);
    CHECK(schema_version(engine->settings()).found == 1);
    CHECK(migrate_schema(engine->settings()) == schema_version(engine->settings()).known);

    CHECK(faults_of_history(*engine, complete()) == Rows{});
    CHECK(engine->rows("SELECT server_id, vpn_id, address, change, state, hex(client_id), epoch(at), inferred "
                       "FROM binding_change ORDER BY seq") ==
          Rows{"1||10.0.0.1|assigned|active|41|1700000510|t", "1|ascii:red|10.0.0.1|assigned|active||1700000510|t",
               "1||10.0.0.2|updated|released|42|1700000520|t", "2||2001:db8::|assigned|active|43|1700000530|t"});
    CHECK(engine->rows("SELECT address, hex(client_id), hw_addr, hex(remote_id), epoch(began_at), ended_at, "
                       "began_inferred, network FROM assignment ORDER BY assignment_id") ==
          Rows{"10.0.0.1|41|00:01:02:03:04:05|02|1700000300|-|f|-", "10.0.0.1||-||1700000510|-|t|-",
               "2001:db8::|43|-||1700000450|-|t|2001:db8::/48"});
    CHECK(engine->rows("SELECT address, hex(relay_id), hex(circuit_id), hex(subscriber_id), hostname "
                       "FROM lease_at(now()) ORDER BY assignment_id") ==
          Rows{"10.0.0.1|01|03|04|host \"1\"", "10.0.0.1||||-", "2001:db8::||||-"});
    CHECK(engine->rows("SELECT * FROM binding_count ORDER BY 1, 2") ==
          Rows{"1|active|2", "1|released|1", "2|active|1"});
    CHECK(engine->rows("SELECT server, address FROM lease WHERE expires_at IS NULL ORDER BY 1") ==
          Rows{"east|10.0.0.1", "west|2001:db8::"});

    const auto store = open_store(engine->settings());
    const ServerSpec specs[] = {{"east", Family::v4, "x"}, {"west", Family::v6, "y"}};
    const auto resume = store->open_servers(specs, "new");
    CHECK(resume[0].base_time == at(500));
    Batch batch;
    batch.server = resume[0].id;
    batch.now = utc(700);
    batch.changes.push_back(told("10.0.0.2", 600));
    CHECK(store->apply(batch).stored == 1);
    CHECK(faults_of_history(*engine, HistoryCheck{}) == Rows{});
}

TEST_CASE("a PostgreSQL schema of version 2 goes on with its servers, and with what others have built on its views" *
          doctest::skip(without_postgres())) {
    const auto engine = make_postgres_engine();
    make_version(*engine, 1);
    fill_version_1(*engine);
    engine->execute(std::string(postgresql_migrations[1].sql));
    engine->execute(
        "UPDATE meta SET number = 2 WHERE name = 'leasemirror_schema_version'; "
        "UPDATE server SET server_identity = '\\x0102', last_error = 'no', clock_skew_ms = -3, "
        "coverage = 'full', last_full_sync_at = to_timestamp(1700000400) WHERE name = 'east'; "
        "CREATE VIEW theirs AS SELECT name, phase FROM server_overview");
    const auto servers = engine->rows("SELECT * FROM server ORDER BY server_id");
    const auto bindings = engine->rows("SELECT * FROM binding ORDER BY binding_id");
    const auto overview = engine->rows("SELECT * FROM server_overview ORDER BY server_id");
    REQUIRE(overview.size() == 2);
    CHECK(schema_version(engine->settings()).found == 2);
    CHECK(migrate_schema(engine->settings()) == schema_version(engine->settings()).known);

    const std::string unknown = "|-|-|-|-|-", none = "|0|0|0", east = "|2023-11-14 22:20:00+00|-", west = "|-|-";
    const std::string orders = "|-|-|-|-|0|-|-|-|-", asked = "|-|-|-|-|-|-|-";
    CHECK(engine->rows("SELECT * FROM server ORDER BY server_id") ==
          Rows{servers[0] + unknown + none + "|0" + east + "|0|-|0|0" + orders + "|0",
               servers[1] + unknown + none + "|0" + west + "|0|-|0|0" + orders + "|0"});
    CHECK(engine->rows("SELECT * FROM server_overview ORDER BY server_id") ==
          Rows{overview[0] + unknown + none + east + "|f|-" + asked,
               overview[1] + unknown + none + west + "|f|-" + asked});
    CHECK(engine->rows("SELECT * FROM theirs ORDER BY name") == Rows{"east|live", "west|live"});
    auto settled = bindings;
    for (auto& row : settled)
        row += "|-";
    CHECK(engine->rows("SELECT * FROM binding ORDER BY binding_id") == settled);
    CHECK(faults_of_history(*engine, complete()) == Rows{});

    const ServerSpec specs[] = {{"east", Family::v4, "x"}, {"west", Family::v6, "y"}};
    const auto resume = open_store(engine->settings())->open_servers(specs, "new");
    CHECK(resume[0].base_time == at(500));
    CHECK(resume[0].server_identity == Bytes{1, 2});
    CHECK(resume[0].support == ServerSupport{});
}

TEST_CASE("every earlier version ends with the PostgreSQL schema that a new one has" *
          doctest::skip(without_postgres())) {
    const auto fresh = make_postgres_engine();
    open_store(fresh->settings()).reset();
    CHECK(shape(*fresh).size() > 150);
    for (int version = 0; version < static_cast<int>(postgresql_migrations.size()); ++version) {
        CAPTURE(version);
        const auto engine = make_postgres_engine();
        if (version > 0) make_version(*engine, version);
        open_store(engine->settings()).reset();
        CHECK(shape(*engine) == shape(*fresh));
    }
    const auto printed = make_postgres_engine();
    auto unnamed = printed->settings();
    unnamed.schema.clear();
    printed->execute("COMMIT; " + schema_sql(unnamed) + "BEGIN");
    CHECK(shape(*printed) == shape(*fresh));
    CHECK(schema_version(printed->settings()).found == schema_version(printed->settings()).known);
}

TEST_CASE("a migration that fails half-way leaves the version before as it was" * doctest::skip(without_postgres())) {
    const auto engine = make_postgres_engine();
    make_version(*engine, 1);
    fill_version_1(*engine);
    const auto before = engine->rows("SELECT * FROM binding ORDER BY binding_id");
    engine->execute("CREATE VIEW assignment_overview AS SELECT 1");  // stands in the way of the second, near its end
    CHECK_THROWS_AS(static_cast<void>(open_store(engine->settings())), StoreError);
    CHECK(schema_version(engine->settings()).found == 1);
    CHECK(engine
              ->rows("SELECT 1 FROM pg_class WHERE relname = 'assignment' AND relnamespace = "
                     "current_schema()::regnamespace")
              .empty());
    CHECK(engine->rows("SELECT * FROM binding ORDER BY binding_id") == before);
    engine->execute("DROP VIEW assignment_overview");
    CHECK(open_store(engine->settings()) != nullptr);
    CHECK(faults_of_history(*engine, complete()) == Rows{});
}

TEST_CASE("tables of somebody else are refused, and left as they are" * doctest::skip(without_postgres())) {
    for (const char* table : {"CREATE TABLE server (id integer)", "CREATE TABLE meta (name text, value text)",
                              "CREATE TABLE meta (name text, number integer, value text)",
                              "CREATE VIEW lease AS SELECT 1", "CREATE SEQUENCE gap"}) {
        CAPTURE(table);
        const auto engine = make_postgres_engine();
        engine->execute(table);
        const auto before = shape(*engine);
        const auto said = refusal(engine->settings(), StoreFault::unusable);
        CAPTURE(said);
        CHECK(has(said, "not of leasemirror"));
        CHECK(has(said, "set storage.schema"));
        CHECK(shape(*engine) == before);
    }
    const auto engine = make_postgres_engine();
    engine->execute("CREATE TABLE theirs (id integer); CREATE TABLE servers (id integer)");
    CHECK(open_store(engine->settings()) != nullptr);
    CHECK(engine->value("SELECT count(*) FROM theirs, servers") == "0");
}

TEST_CASE("a newer schema is refused with both versions" * doctest::skip(without_postgres())) {
    const auto engine = make_postgres_engine();
    open_store(engine->settings()).reset();
    engine->execute("UPDATE meta SET number = 99 WHERE name = 'leasemirror_schema_version'");
    const auto known = std::to_string(postgresql_migrations.size());
    const auto said = refusal(engine->settings(), StoreFault::unusable);
    CHECK(has(said, "schema version 99, and this leasemirror knows versions up to " + known));
    CHECK(engine->value(version_sql) == "99");
    CHECK_THROWS_AS(migrate_schema(engine->settings()), StoreError);
    CHECK_THROWS_AS(static_cast<void>(schema_version(engine->settings())), StoreError);
}

TEST_CASE("a schema is made where it is named, and any name will do" * doctest::skip(without_postgres())) {
    const auto engine = make_postgres_engine();
    auto settings = engine->settings();
    settings.schema += " \"odd\"; --";
    {
        const auto store = open_store(settings);
        const ServerSpec spec{"east", Family::v4, "x"};
        CHECK(store->open_servers(std::span(&spec, 1), "test").size() == 1);
    }
    CHECK(open_reader(settings)->servers().at(0).name == "east");
    CHECK(engine->rows("SELECT 1 FROM pg_class WHERE relnamespace = current_schema()::regnamespace").empty());
    std::string quoted = "\"";
    for (const char c : settings.schema)
        quoted.append(c == '"' ? 2 : 1, c);
    quoted += '"';
    CHECK(engine->value("SELECT count(*) FROM " + quoted + ".server") == "1");
    engine->execute("DROP SCHEMA " + quoted + " CASCADE");
}

TEST_CASE("without a name it is the first schema of the role's search_path" * doctest::skip(without_postgres())) {
    const auto engine = make_postgres_engine();
    const TestRole role("SUPERUSER");
    auto settings = as_role(*engine, role);
    settings.schema.clear();
    pqxx::connection admin(test_postgres_url().value());
    pqxx::nontransaction(admin).exec("ALTER ROLE " + role.name() + " SET search_path TO nowhere, " +
                                     engine->settings().schema + ", public");
    open_store(settings).reset();
    CHECK(schema_version(engine->settings()).found == schema_version(engine->settings()).known);
    pqxx::nontransaction(admin).exec("ALTER ROLE " + role.name() + " SET search_path TO nowhere");
    CHECK(has(refusal(settings, StoreFault::unusable), "set storage.schema"));
}

TEST_CASE("a role without the right to create is told who must do what" * doctest::skip(without_postgres())) {
    const auto engine = make_postgres_engine();
    const TestRole role("");
    auto settings = as_role(*engine, role);
    engine->execute("GRANT USAGE ON SCHEMA " + settings.schema + " TO " + role.name());
    auto said = refusal(settings, StoreFault::unavailable);
    CAPTURE(said);
    CHECK(has(said, "schema version 0 and needs " + std::to_string(postgresql_migrations.size())));
    CHECK(has(said, "run 'leasemirror schema migrate' with a storage.url of role 'leasemirror_test'"));
    CHECK(has(said, "GRANT CREATE ON SCHEMA \"" + settings.schema + "\" TO \"" + role.name() + "\""));

    settings.schema += "_new";
    said = refusal(settings, StoreFault::unavailable);
    CHECK(has(said, "CREATE SCHEMA \"" + settings.schema + "\" AUTHORIZATION \"" + role.name() + "\""));

    settings.schema = engine->settings().schema;
    make_version(*engine, 1);
    engine->execute("GRANT CREATE ON SCHEMA " + settings.schema + " TO " + role.name() + "; GRANT ALL ON meta TO " +
                    role.name());
    said = refusal(settings, StoreFault::unavailable);
    CHECK(has(said, "schema version 1 and needs"));
    CHECK(has(said, "with a storage.url of role 'leasemirror_test'"));
    CHECK(engine->value(version_sql) == "1");
}

TEST_CASE("a role that may only read and write rows does all of an agent's work" * doctest::skip(without_postgres())) {
    const auto engine = make_postgres_engine();
    const TestRole role("");
    auto settings = as_role(*engine, role);
    settings.retention = {std::chrono::seconds{1}, std::chrono::seconds{1}, std::chrono::seconds{1}};
    settings.record_renewals = true;
    migrate_schema(engine->settings());
    engine->execute("GRANT USAGE ON SCHEMA " + settings.schema + " TO " + role.name() +
                    "; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA " + settings.schema + " TO " +
                    role.name() + "; GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA " + settings.schema + " TO " +
                    role.name() + "; REVOKE TEMPORARY ON DATABASE leasemirror_test FROM PUBLIC");
    auto store = open_store(settings);
    const ServerSpec spec{"east", Family::v4, "x"};
    Batch batch;
    batch.server = store->open_servers(std::span(&spec, 1), "test").at(0).id;
    CHECK(store->requestor_duid(Bytes{1, 2}) == Bytes{1, 2});
    for (int i = 0; i < 3; ++i) {
        batch.changes.clear();
        for (const char* address : {"10.0.0.1", "10.0.0.2", "2001:db8::/48"}) {
            auto change = told(address, 10 + i);
            change.binding.link_address = IpAddress::parse("10.0.0.0");
            batch.changes.push_back(change);
        }
        batch.changes.push_back(list_end("client of 10.0.0.2", "10.0.0.0", 10 + i, 0));
        batch.now = utc(1000 + i * 100);
        batch.quarantine = {{batch.now, "odd", id("x")}};
        batch.gaps = {open_gap(1, 1, 5)};
        batch.reconcile = everything(1, 5);
        batch.status = ServerStatus{};
        store->apply(batch);
        static_cast<void>(store->sweep(batch.now, 100));
    }
    store->disable_servers_except({});
    CHECK(engine->value("SELECT count(*) FROM binding WHERE state = 'active'") == "2");

    engine->execute("REVOKE INSERT ON binding_change FROM " + role.name());
    batch.changes.push_back(told("10.0.0.3", 50));
    store.reset();
    const auto other = open_store(settings);
    static_cast<void>(other->open_servers(std::span(&spec, 1), "test"));
    try {
        other->apply(batch);
        FAIL_CHECK("it could write");
    } catch (const StoreError& e) {
        CHECK(e.fault() == StoreFault::unavailable);
        CHECK(has(e.what(), "binding_change"));
        CHECK(has(e.what(), "deploy/postgresql/roles.sql"));
    }
    CHECK(engine->value("SELECT count(*) FROM binding WHERE host(address) = '10.0.0.3'") == "0");
    engine->execute("GRANT INSERT ON binding_change TO " + role.name());
    CHECK(other->apply(batch).stored > 0);
}

TEST_CASE("of two agents that find an old schema one migrates and the other waits" *
          doctest::skip(without_postgres())) {
    const auto engine = make_postgres_engine();
    make_version(*engine, 1);
    fill_version_1(*engine);
    // Somebody reads the table: the first migration cannot alter it before that transaction ends.
    pqxx::connection other(engine->settings().url);
    std::optional<pqxx::work> reading(std::in_place, other);
    reading->exec("SELECT count(*) FROM " + engine->settings().schema + ".binding");
    const auto migrate = [&] {
        auto settings = with_named_sessions(engine->settings());
        settings.url += "&options=-c%20lock_timeout%3D500ms";
        CHECK(migrate_schema(settings) == schema_version(settings).known);
    };
    const auto wait_for_waiting = [&](int sessions) {
        while (sessions_waiting(*engine) < sessions)
            std::this_thread::yield();
    };
    std::thread first(migrate);
    wait_for_waiting(1);
    std::thread second(migrate);
    wait_for_waiting(2);
    // For longer than their lock_timeout is.
    while (
        engine->value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = '" +
                      engine->settings().schema + "' AND clock_timestamp() - query_start > interval '600 ms'") != "2")
        std::this_thread::yield();
    CHECK(engine->value(version_sql) == "1");
    reading.reset();
    first.join();
    second.join();
    CHECK(faults_of_history(*engine, complete()) == Rows{});
}

TEST_CASE("a database whose encoding cannot hold all names is refused" * doctest::skip(without_postgres())) {
    pqxx::connection admin(test_postgres_url().value());
    const auto engine = make_postgres_engine();
    const auto database = engine->settings().schema + "_latin1";
    pqxx::nontransaction(admin).exec("CREATE DATABASE " + database +
                                     " ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    auto settings = engine->settings();
    settings.url = test_postgres_url_with("", "", database);
    CHECK(has(refusal(settings, StoreFault::unusable), "ENCODING 'UTF8'"));
    pqxx::nontransaction(admin).exec("DROP DATABASE " + database);
}
