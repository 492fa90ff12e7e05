// The first full bulk goes in without the indexes of identifiers, and they are back whatever happens meanwhile. And what is
// too long for an index of the usual kind gets another one.
#include "storage/postgres/loading.hpp"

#include "storage/postgres/copy.hpp"
#include "tests/storage/postgres_engine.hpp"
#include "tests/storage/test_store.hpp"

#include "storage/opening.hpp"

#include <doctest/doctest.h>
#include <pqxx/pqxx>
#include <span>

using namespace leasemirror;
using namespace leasemirror::testing;
using namespace std::chrono_literals;
using Rows = std::vector<std::string>;

namespace {

const EngineFactory postgres{"postgresql", make_postgres_engine};

Rows indexes_of(const Engine& engine) {
    return engine.rows(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = current_schema() UNION ALL "
        "SELECT name FROM meta WHERE name LIKE 'left out%' ORDER BY 1");
}

class Load {
public:
    explicit Load(std::vector<std::string> servers = {"east"})
        : f(postgres, std::move(servers)), whole(indexes_of(*f.engine)) {}

    /// A large batch of the bulk `run`.
    Batch piece(std::size_t server = 0, std::uint64_t run = 1, int net = 0) {
        std::vector<Change> changes;
        for (std::size_t n = 0; n < first_load_batch_min; ++n)
            changes.push_back(listed("10." + std::to_string(net + 10 * static_cast<int>(server)) + "." +
                                         std::to_string(n / 250) + "." + std::to_string(n % 250),
                                     100, run));
        auto batch = f.batch(std::move(changes), server);
        batch.begin_run = run;
        return batch;
    }
    Batch end(std::size_t server = 0, std::uint64_t run = 1) {
        auto batch = f.batch({listed("10.200.1." + std::to_string(server), 100, run)}, server);
        batch.reconcile = everything(run, 100);
        batch.status = ServerStatus{};
        batch.status->last_full_sync_at = f.now;
        return batch;
    }
    [[nodiscard]] bool complete() const { return indexes_of(*f.engine) == whole; }
    [[nodiscard]] std::string left_out() const {
        return f.engine->value("SELECT count(*) FROM meta WHERE name LIKE 'left out%'");
    }
    /// Another session that works on this database, as another writer or agent has.
    std::unique_ptr<Store> other(const std::string& name) {
        auto store = open_store(f.settings);
        const ServerSpec spec{name, Family::v4, "nowhere"};
        others = store->open_servers(std::span(&spec, 1), "other").at(0).id;
        return store;
    }

    Fixture f;
    Rows whole;
    ServerId others = 0;
};

}  // namespace

TEST_CASE("a first full bulk goes in without the indexes of identifiers, which are back before its end is told" *
          doctest::skip(without_postgres())) {
    Load load;
    CHECK(load.f.store->apply(load.piece()).stored == first_load_batch_min);
    CHECK(load.left_out() == "10");
    CHECK_FALSE(load.complete());
    CHECK(load.f.engine->value("SELECT count(*) FROM lease WHERE client_id = 'client of 10.0.0.7'::bytea") == "1");
    load.f.apply({listed("10.100.0.7", 100, 1)});
    CHECK_FALSE(load.complete());
    load.f.store->apply(load.end());
    CHECK(load.complete());
    CHECK(load.f.engine->value("SELECT last_full_sync_at IS NOT NULL FROM server") == "t");
    load.f.store->apply(load.piece(0, 2, 5));  // a later one leaves them alone
    CHECK(load.complete());
    load.f.check_history();
}

TEST_CASE("small bulks, and a first one beside what is there already, leave the indexes alone" *
          doctest::skip(without_postgres())) {
    Load load({"east", "west"});
    SUBCASE("small") {
        auto small = load.f.batch({listed("10.0.0.1", 100, 1)});
        small.begin_run = 1;
        load.f.store->apply(small);
    }
    SUBCASE("beside bindings") {
        std::vector<Change> many;
        for (int i = 0; i <= first_load_rows_max; ++i)
            many.push_back(told("10.50." + std::to_string(i / 250) + "." + std::to_string(i % 250), 100));
        load.f.store->apply(load.f.batch(many, 1));
        load.f.store->apply(load.piece());
    }
    SUBCASE("beside history") {
        load.f.engine->execute(
            "INSERT INTO assignment (server_id, vpn_id, kind, address, prefix_len, began_at, began_inferred, ended_at, "
            "end_reason) SELECT 1, '', 'address', inet '10.77.0.0' + n, 32, now(), false, now(), 'expired' "
            "FROM generate_series(1, 10001) AS n");
        load.f.check.skip = true;
        load.f.store->apply(load.piece());
    }
    CHECK(load.complete());
}

TEST_CASE("after a crash in the middle of a first load the indexes are back before anything else" *
          doctest::skip(without_postgres())) {
    Load load;
    load.f.store->apply(load.piece());
    CHECK_FALSE(load.complete());
    load.f.reopen();
    CHECK(load.complete());
    load.f.store->apply(load.end());
    CHECK(load.complete());
}

TEST_CASE("several servers share one first load until the last has ended, on one connection or on several" *
          doctest::skip(without_postgres())) {
    Load load({"east", "west"});
    load.f.store->apply(load.piece(0));
    SUBCASE("one") {
        load.f.store->apply(load.piece(1));
        load.f.store->apply(load.end(0));
        CHECK_FALSE(load.complete());
        load.f.store->apply(load.end(1));
    }
    SUBCASE("several") {
        const auto other = load.other("north");
        CHECK_FALSE(load.complete());  // a session that comes does not take them from who is loading
        auto piece = load.piece(1);
        piece.server = load.others;
        other->apply(piece);
        load.f.store->apply(load.end(0));
        CHECK_FALSE(load.complete());
        auto end = load.end(1);
        end.server = load.others;
        other->apply(end);
    }
    SUBCASE("several, and the last one goes away") {
        {
            const auto other = load.other("north");
            auto piece = load.piece(1);
            piece.server = load.others;
            other->apply(piece);
            load.f.store->apply(load.end(0));
            CHECK_FALSE(load.complete());
        }
        load.f.store->sweep(load.f.now, 10);  // whoever is there makes them
    }
    CHECK(load.complete());
}

TEST_CASE("a server that goes live without a reconciliation, a search for a client, or too long a load ends it" *
          doctest::skip(without_postgres())) {
    Load load({"east", "west"});
    load.f.store->apply(load.piece());
    CHECK_FALSE(load.complete());
    SUBCASE("live") {
        load.f.apply({told("10.100.0.9", 200)});
    }
    SUBCASE("a search") {
        load.f.store->apply(load.f.batch({list_end("client of 10.0.0.1", "", 200, 0)}, 1));
    }
    SUBCASE("too long") {
        load.f.now += first_load_patience + 1s;
        load.f.store->apply(load.f.batch({told("10.100.0.9", 100)}, 1));
    }
    SUBCASE("too long, and no batch comes") {
        load.f.store->sweep(load.f.now + first_load_patience, 10);
        CHECK_FALSE(load.complete());
        load.f.store->sweep(load.f.now + first_load_patience + 61s, 10);
    }
    CHECK(load.complete());
}

TEST_CASE("whoever reads for long keeps the indexes, and is not waited for" * doctest::skip(without_postgres())) {
    Load load;
    pqxx::connection reader(load.f.settings.url);
    pqxx::work reading(reader);
    reading.exec("SELECT count(*) FROM " + load.f.settings.schema + ".binding");
    CHECK(load.f.store->apply(load.piece()).stored == first_load_batch_min);
    CHECK(load.complete());
    load.f.store->apply(load.end());
    CHECK(load.complete());
}

TEST_CASE("many rows at once are written as they would be one by one" * doctest::skip(without_postgres())) {
    Fixture f(postgres);
    std::vector<Change> changes;
    for (std::size_t n = 0; n < copy_rows_min; ++n) {
        changes.push_back(told("10.0.1." + std::to_string(n), 10));
        auto& binding = changes.back().binding;
        binding.hostname = n % 2 == 0 ? "a\tb\nc\rd\\e" : "";
        binding.circuit_id = {0, 9, 10, 13, 92, 255};
        binding.subscriber_id = id("\\N");
        if (n % 3 == 0) binding.expires_at.reset();
    }
    auto few = changes;
    few.resize(copy_rows_min - 1);
    const auto stored = [&] {
        return f.engine->rows(
            "SELECT to_jsonb(b) - 'binding_id' - 'assignment_id' FROM binding AS b WHERE address <> '10.0.1." +
            std::to_string(copy_rows_min - 1) + "' ORDER BY address");
    };
    CHECK(f.apply(changes).stored == copy_rows_min);
    CHECK(f.engine->value("SELECT count(*) FROM quarantine") == "0");
    const auto at_once = stored();
    f.check_history();
    Fixture g(postgres);
    g.apply(few);
    CHECK(at_once ==
          g.engine->rows("SELECT to_jsonb(b) - 'binding_id' - 'assignment_id' FROM binding AS b ORDER BY address"));
}

TEST_CASE("an identifier that is too long for a B-tree gets a hash index, and is found" *
          doctest::skip(without_postgres())) {
    Fixture f(postgres);
    const auto kind = [&](const std::string& column) {
        return f.engine->value(
            "SELECT amname FROM pg_class AS c JOIN pg_am AS a ON a.oid = c.relam WHERE c.oid = 'binding_" + column +
            "'::regclass");
    };
    CHECK(kind("circuit_id") == "btree");
    Bytes huge;
    for (std::uint64_t n = 1; huge.size() < 5000; n = n * 6364136223846793005U + 1442695040888963407U)
        huge.push_back(static_cast<std::uint8_t>(n >> 33));  // does not compress
    auto change = told("10.0.0.1", 10);
    change.binding.circuit_id = huge;
    CHECK(f.apply({change}).refused.empty());
    CHECK(kind("circuit_id") == "hash");
    CHECK(kind("remote_id") == "btree");
    CHECK(f.engine->value("SELECT address FROM lease WHERE circuit_id = '\\x" + to_hex(huge) + "'") == "10.0.0.1");
    change.binding.remote_id = huge;
    f.reopen();
    CHECK(f.apply({change}).refused.empty());
    CHECK(kind("remote_id") == "hash");

    // Somebody is at the table for long: refused, and shown so, until the next try.
    pqxx::connection reader(f.settings.url);
    {
        pqxx::work reading(reader);
        reading.exec("SELECT count(*) FROM " + f.settings.schema + ".binding");
        change.binding.relay_id = huge;
        CHECK(f.apply({change}).refused.size() == 1);
        CHECK(f.doubts() == Rows{"10.0.0.1 refused"});
    }
    change.binding.base_time = at(20);
    CHECK(f.apply({change}).refused.empty());
    CHECK(kind("relay_id") == "hash");
    CHECK(f.doubts().empty());
}

TEST_CASE("an index that a first load has left out comes back as one that takes what was told meanwhile" *
          doctest::skip(without_postgres())) {
    Load load;
    load.f.store->apply(load.piece());
    auto change = listed("10.100.0.1", 100, 1);
    for (std::uint64_t n = 1; change.binding.circuit_id.size() < 5000;
         n = n * 6364136223846793005U + 1442695040888963407U)
        change.binding.circuit_id.push_back(static_cast<std::uint8_t>(n >> 33));
    CHECK(load.f.apply({change}).refused.empty());
    load.f.store->apply(load.end());
    CHECK(load.left_out() == "0");
    CHECK(load.f.engine->value("SELECT indexdef LIKE '%USING hash (circuit_id)%' FROM pg_indexes WHERE schemaname = "
                               "current_schema() AND indexname = 'binding_circuit_id'") == "t");
}

TEST_CASE("a server that is given up in its first load does not keep the indexes away" *
          doctest::skip(without_postgres())) {
    Load load({"east", "west"});
    load.f.store->apply(load.piece());
    CHECK_FALSE(load.complete());
    const std::string east = "east";
    load.f.store->release_servers(std::span(&east, 1));
    load.f.store->sweep(load.f.now + 60s, 10);
    CHECK(load.complete());
}
