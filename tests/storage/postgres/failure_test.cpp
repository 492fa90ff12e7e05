// What the PostgreSQL store does when the connection, the session or the server fails it: nothing half, nothing twice.
#include "storage/postgres/error.hpp"
#include "tests/storage/history_check.hpp"
#include "tests/storage/postgres_engine.hpp"
#include "tests/storage/tcp_proxy.hpp"
#include "tests/storage/test_store.hpp"

#include <doctest/doctest.h>
#include <filesystem>
#include <pqxx/pqxx>
#include <thread>

using namespace leasemirror;
using namespace leasemirror::testing;
using Rows = std::vector<std::string>;

namespace {

const EngineFactory postgres{"postgresql", make_postgres_engine};

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

std::uint16_t server_port() {
    const auto url = test_postgres_url().value();
    return static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
}

/// A fixture whose sessions can be told from those of other tests.
struct Named : Fixture {
    Named() : Fixture(postgres) {
        settings = with_named_sessions(settings);
        reopen();
    }
};

/// Returns when that many of its sessions wait for a lock.
void wait_for_waiting(const Fixture& f, int sessions) {
    while (sessions_waiting(*f.engine) < sessions)
        std::this_thread::yield();
}

Batch numbered(const Fixture& f, std::uint64_t number, std::vector<Change> changes) {
    auto out = f.batch(std::move(changes));
    out.number = number;
    return out;
}

std::string feed_count(const Fixture& f) {
    return f.engine->value("SELECT count(*) FROM binding_change");
}

}  // namespace

TEST_CASE("a session that was ended between two batches costs one try" * doctest::skip(without_postgres())) {
    Named f;
    f.store->apply(numbered(f, 1, {told("10.0.0.1", 10)}));
    end_sessions(*f.engine);
    const auto batch = numbered(f, 2, {told("10.0.0.2", 20)});
    std::string what;
    CHECK(f.fault_of([&] { f.store->apply(batch); }, &what) == StoreFault::unavailable);
    CAPTURE(what);
    CHECK(has(what, "cannot apply a batch in database 'leasemirror_test' on 127.0.0.1"));
    CHECK(f.states() == Rows{"10.0.0.1 active"});
    CHECK(f.store->apply(batch).stored == 1);
    CHECK(f.store->sweep(f.now, 10).around);
    CHECK(f.states() == Rows{"10.0.0.1 active", "10.0.0.2 active"});
}

TEST_CASE("a session that is ended in the middle of a batch leaves nothing of it" * doctest::skip(without_postgres())) {
    Named f;
    f.store->apply(numbered(f, 1, {told("10.0.0.1", 10)}));
    // Somebody holds the feed: the batch has written everything else when it comes to that.
    pqxx::connection other(f.engine->settings().url);
    std::optional<pqxx::work> holding(std::in_place, other);
    holding->exec("LOCK TABLE " + f.engine->settings().schema + ".binding_change IN EXCLUSIVE MODE");
    const auto batch = numbered(f, 2, {told("10.0.0.1", 20, BindingState::released), told("10.0.0.2", 20)});
    StoreFault fault{};
    std::thread writer([&] { fault = f.fault_of([&] { f.store->apply(batch); }); });
    wait_for_waiting(f, 1);
    end_sessions(*f.engine);
    writer.join();
    holding.reset();
    CHECK(fault == StoreFault::unavailable);
    CHECK(f.states() == Rows{"10.0.0.1 active"});
    CHECK(feed_count(f) == "1");
    CHECK(f.store->apply(batch).stored == 2);
    CHECK(f.states() == Rows{"10.0.0.1 released reported", "10.0.0.2 active"});
    CHECK(feed_count(f) == "3");
}

TEST_CASE("a commit whose answer was lost is found done, and one that was lost itself is done again" *
          doctest::skip(without_postgres())) {
    TcpProxy proxy(server_port());
    for (const auto how : {TcpProxy::Cut::before, TcpProxy::Cut::after}) {
        const bool done = how == TcpProxy::Cut::after;
        CAPTURE(done);
        Fixture f(postgres);
        f.settings.url = test_postgres_url_with("", proxy.address());
        f.reopen();
        f.store->apply(numbered(f, 1, {told("10.0.0.1", 10)}));
        const auto cuts = proxy.cuts();
        auto batch = numbered(f, 2, {told("10.0.0.1", 20, BindingState::released), told("10.0.0.2", 20)});
        batch.quarantine = {{f.now, "odd", id("x")}};
        proxy.cut(how);
        std::string what;
        CHECK(f.fault_of([&] { f.store->apply(batch); }, &what) == StoreFault::in_doubt);
        CAPTURE(what);
        CHECK(has(what, "cannot commit"));
        CHECK(proxy.cuts() == cuts + 1);
        CHECK(feed_count(f) == (done ? "3" : "1"));
        const auto applied = f.store->apply(batch);
        CHECK(applied.stored == 2);
        CHECK(applied.ended == 1);
        CHECK(feed_count(f) == "3");
        CHECK(f.engine->value("SELECT count(*) FROM quarantine") == "1");
        CHECK(f.states() == Rows{"10.0.0.1 released reported", "10.0.0.2 active"});
        CHECK(f.counted() == 1);
        CHECK(f.store->apply(batch).stored == 0);  // not in doubt any more: a plain repetition
        CHECK(f.store->apply(numbered(f, 3, {told("10.0.0.3", 30)})).stored == 1);
    }
}

TEST_CASE("what else was in doubt can be done again" * doctest::skip(without_postgres())) {
    TcpProxy proxy(server_port());
    for (const auto how : {TcpProxy::Cut::before, TcpProxy::Cut::after}) {
        Fixture f(postgres, {"east", "west"});
        f.settings.url = test_postgres_url_with("", proxy.address());
        f.reopen();
        auto change = told("10.0.0.1", 10);
        change.binding.expires_at = at(1500);
        f.apply({change});
        proxy.cut(how);
        CHECK(f.fault_of([&] { f.store->sweep(utc(2000), 10); }) == StoreFault::in_doubt);
        f.store->sweep(utc(2000), 10);
        CHECK(f.states() == Rows{"10.0.0.1 ended expired"});
        CHECK(f.counted() == 0);
        proxy.cut(how);
        CHECK(f.fault_of([&] { f.store->requestor_duid(Bytes{1}); }) == StoreFault::in_doubt);
        CHECK(f.store->requestor_duid(Bytes{2}) == (how == TcpProxy::Cut::after ? Bytes{1} : Bytes{2}));
        proxy.cut(how);
        CHECK(f.fault_of([&] { f.resume = f.store->open_servers(f.specs, "test"); }) == StoreFault::in_doubt);
        f.resume = f.store->open_servers(f.specs, "test");
        CHECK(f.apply({told("10.0.0.2", 10)}).stored == 1);
    }
}

TEST_CASE("whoever waits long for a lock says so, and tries again" * doctest::skip(without_postgres())) {
    Named f;
    f.settings.url += "&options=-c%20lock_timeout%3D20ms";
    f.reopen();
    pqxx::connection other(f.engine->settings().url);
    {
        pqxx::work holding(other);
        holding.exec("LOCK TABLE " + f.engine->settings().schema + ".assignment IN EXCLUSIVE MODE");
        std::string what;
        CHECK(f.fault_of([&] { f.apply({told("10.0.0.1", 10)}); }, &what) == StoreFault::unavailable);
        CHECK(has(what, "holds a lock"));
    }
    CHECK(f.apply({told("10.0.0.1", 10)}).stored == 1);
}

TEST_CASE("a deadlock ends in another try" * doctest::skip(without_postgres())) {
    Named f;
    f.settings.url += "&options=-c%20deadlock_timeout%3D10ms";
    f.reopen();
    f.apply({told("10.0.0.1", 10)});
    const auto use_schema = "SET LOCAL search_path TO " + f.engine->settings().schema + "; ";
    auto change = told("10.0.0.1", 20);
    change.binding.client_id = id("another");
    // The store holds its server and waits at a gate; somebody else holds the binding and waits for the server; then the
    // gate opens, and the store comes last to the knot.
    const auto url = with_named_sessions(f.engine->settings()).url;
    pqxx::connection gatekeeper(url), other(url);
    std::optional<pqxx::work> gate(std::in_place, gatekeeper);
    gate->exec(use_schema + "LOCK TABLE assignment IN EXCLUSIVE MODE");
    StoreFault fault{};
    std::thread writer([&] { fault = f.fault_of([&] { f.apply({change}); }); });
    wait_for_waiting(f, 1);
    std::thread crossing([&] {
        pqxx::work work(other);
        work.exec(use_schema + "SET LOCAL deadlock_timeout TO '1h'; SELECT 1 FROM binding FOR UPDATE");
        work.exec("SELECT 1 FROM server FOR UPDATE");
    });
    wait_for_waiting(f, 2);
    gate.reset();
    writer.join();
    crossing.join();
    CHECK(fault == StoreFault::unavailable);
    CHECK(f.apply({change}).stored == 1);
}

TEST_CASE("a transaction that cannot be serialized is tried again" * doctest::skip(without_postgres())) {
    Named f;
    // A stricter isolation is a matter of the role's settings: then whoever waited for a row finds it changed.
    f.settings.url += "&options=-c%20default_transaction_isolation%3Drepeatable%5C%20read";
    f.reopen();
    pqxx::connection other(f.engine->settings().url);
    pqxx::work first(other);
    first.exec("UPDATE " + f.engine->settings().schema + ".server SET endpoint = 'elsewhere'");
    StoreFault fault{};
    std::string what;
    std::thread writer([&] { fault = f.fault_of([&] { f.apply({told("10.0.0.9", 30)}); }, &what); });
    wait_for_waiting(f, 1);
    first.commit();
    writer.join();
    CHECK(fault == StoreFault::unavailable);
    CHECK(has(what, "could not serialize access"));
    CHECK(f.apply({told("10.0.0.9", 31)}).stored == 1);
}

TEST_CASE("a database that lost commits which it had confirmed is behind" * doctest::skip(without_postgres())) {
    Fixture f(postgres, {"east", "west"});
    f.store->apply(numbered(f, 1, {told("10.0.0.1", 10)}));
    f.store->apply(numbered(f, 2, {told("10.0.0.2", 20)}));
    f.engine->execute("UPDATE server SET committed_batch = 1 WHERE name = 'east'");  // as a failover leaves it
    std::string what;
    CHECK(f.fault_of([&] { f.store->apply(numbered(f, 3, {told("10.0.0.3", 30)})); }, &what) == StoreFault::behind);
    CHECK(has(what, "'east'"));
    CHECK(f.fault_of([&] { f.store->sweep(f.now, 10); }) == StoreFault::behind);
    f.resume = f.store->open_servers(f.specs, "test");
    CHECK(f.store->apply(numbered(f, 1, {told("10.0.0.3", 30)})).stored == 1);

    f.engine->execute("UPDATE server SET owner_epoch = owner_epoch - 1 WHERE name = 'east'");
    CHECK(f.fault_of([&] { f.store->apply(numbered(f, 2, {})); }) == StoreFault::behind);
    f.resume = f.store->open_servers(f.specs, "test");
    f.engine->execute("DELETE FROM gap; DELETE FROM server WHERE name = 'west'");
    CHECK(f.fault_of([&] { f.store->apply(f.batch({}, 1)); }) == StoreFault::behind);
}

TEST_CASE("a full disk is one to wait for, and what was begun is done when there is room" *
          doctest::skip(without_postgres())) {
    // The nearest thing to a full disk that needs no mount: a limit on the size of temporary files does not reach
    // tables, so the server's answer is given by a trigger.
    Fixture f(postgres);
    f.engine->execute(R"sql(
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END$$;
        CREATE TRIGGER disk_full AFTER INSERT ON binding_change EXECUTE FUNCTION fail())sql");
    std::string what;
    CHECK(f.fault_of([&] { f.apply({told("10.0.0.1", 10)}); }, &what) == StoreFault::unavailable);
    CHECK(has(what, "make room"));
    CHECK(f.states().empty());
    f.engine->execute("DROP TRIGGER disk_full ON binding_change");
    CHECK(f.apply({told("10.0.0.1", 10)}).stored == 1);
}

TEST_CASE("what a pooler in transaction mode does is called what it is, and waited for") {
    for (const char* code : {"26000", "42P05"}) {
        const auto error = store_error(pqxx::sql_error("prepared statement \"claim\"", "EXECUTE", code), true,
                                       "database 'leases'", "take over the servers");
        CHECK(error.fault() == StoreFault::unavailable);
        CHECK(has(error.what(), "cannot take over the servers in database 'leases'"));
        CHECK(has(error.what(), "pgbouncer with pool_mode transaction"));
        CHECK(has(error.what(), "pool_mode session"));
    }
}

TEST_CASE("a table that is gone is nothing to wait for" * doctest::skip(without_postgres())) {
    Fixture f(postgres);
    f.check.skip = true;
    f.engine->execute("DROP TABLE binding_change CASCADE");
    std::string what;
    CHECK(f.fault_of([&] { f.apply({told("10.0.0.1", 10)}); }, &what) == StoreFault::unusable);
    CHECK(has(what, "binding_change"));
    CHECK(f.states().empty());
}

TEST_CASE("values that an index does not take go to quarantine alone" * doctest::skip(without_postgres())) {
    Fixture f(postgres);
    std::vector<Change> changes;
    for (int i = 1; i <= 20; ++i)
        changes.push_back(told("10.0.0." + std::to_string(i), 10));
    Bytes huge;
    for (std::uint64_t n = 1; huge.size() < 5000; n = n * 6364136223846793005U + 1442695040888963407U)
        huge.push_back(static_cast<std::uint8_t>(n >> 33));     // does not compress
    changes[7].binding.key.vpn_id = "rfc2685:" + to_hex(huge);  // of a key
    changes[13].binding.expires_at = server_time_from_unix(std::int64_t{1} << 50);
    const auto batch = numbered(f, 1, changes);
    const auto applied = f.store->apply(batch);
    CHECK(applied.stored == 18);
    REQUIRE(applied.refused.size() == 2);
    CHECK(has(applied.refused[0], "10.0.0.8"));
    CHECK(has(applied.refused[0], "index row"));
    CHECK(has(applied.refused[1], "10.0.0.14"));
    CHECK(f.engine->value("SELECT count(*) FROM quarantine") == "2");
    CHECK(f.engine->value("SELECT count(*) FROM binding_change") == "18");
    CHECK(f.engine->value("SELECT count(*) FROM assignment") == "18");
    CHECK(f.counted() == 18);
    f.store->apply(batch);
    CHECK(f.engine->value("SELECT count(*) FROM quarantine") == "2");
    // What is long and in no index is kept.
    changes.resize(1);
    changes[0].binding.base_time = at(20);
    changes[0].binding.circuit_id = huge;
    changes[0].binding.hostname = std::string(9000, 'x');
    CHECK(f.apply(changes).refused.empty());
}
