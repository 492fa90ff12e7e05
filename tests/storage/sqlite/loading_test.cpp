// The first full bulk goes in without the indexes of identifiers, and they are back whatever happens meanwhile.
#include "storage/sqlite/loading.hpp"

#include "tests/storage/test_store.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::testing;
using namespace std::chrono_literals;
using Rows = std::vector<std::string>;

namespace {

const EngineFactory& sqlite() {
    return engines().at(0);
}

Rows schema_of(const Engine& engine) {
    auto out = engine.rows("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name");
    for (auto& row : engine.rows("SELECT tbl, idx, stat FROM sqlite_stat1 ORDER BY tbl, idx"))
        out.push_back(std::move(row));
    for (auto& row : engine.rows("SELECT name FROM meta"))
        out.push_back(std::move(row));
    return out;
}

class Load {
public:
    explicit Load(std::vector<std::string> servers = {"east"})
        : f(sqlite(), std::move(servers)), whole(schema_of(*f.engine)) {}

    Batch begin(std::size_t server = 0, std::uint64_t run = 1) {
        auto batch = f.batch({listed("10.0.0." + std::to_string(run), 100, run)}, server);
        batch.begin_run = run;
        return batch;
    }
    Batch end(std::size_t server = 0, std::uint64_t run = 1) {
        auto batch = f.batch({listed("10.0.1." + std::to_string(run), 100, run)}, server);
        batch.reconcile = everything(run, 100);
        batch.status = ServerStatus{};
        batch.status->last_full_sync_at = f.now;
        return batch;
    }
    [[nodiscard]] bool complete() const { return schema_of(*f.engine) == whole; }
    [[nodiscard]] bool by_index() const {
        return f.engine->rows("EXPLAIN QUERY PLAN SELECT * FROM lease WHERE client_id = x'00'")[0].find(
                   "USING INDEX binding_client_id") != std::string::npos;
    }
    [[nodiscard]] std::string leases_of_client(const std::string& address) const {
        return f.engine->value("SELECT count(*) FROM lease WHERE client_id = CAST('client of " + address +
                               "' AS BLOB)");
    }

    Fixture f;
    Rows whole;
};

}  // namespace

TEST_CASE("a first full bulk goes in without the indexes of identifiers, which come back with its end") {
    Load load;
    load.f.store->apply(load.begin());
    CHECK_FALSE(load.by_index());
    CHECK(load.leases_of_client("10.0.0.1") == "1");  // slower, and right
    load.f.apply({listed("10.0.0.7", 100, 1)});
    CHECK_FALSE(load.complete());
    load.f.store->apply(load.end());
    CHECK(load.complete());
    CHECK(load.by_index());
    CHECK(load.leases_of_client("10.0.0.7") == "1");
    load.f.apply({list_end("client of 10.0.0.7", "", 200, 0)});  // the store finds it too
    CHECK(load.f.engine->value("SELECT doubt FROM binding WHERE address = '10.0.0.7'") == "link_unknown");
}

TEST_CASE("a later full bulk leaves the indexes alone") {
    Load load;
    load.f.store->apply(load.begin());
    load.f.store->apply(load.end());
    load.f.store->apply(load.begin(0, 2));
    CHECK(load.complete());
}

TEST_CASE("a first full bulk beside what is there already leaves the indexes alone") {
    Load load({"east", "west"});
    std::vector<Change> many;
    for (int i = 0; i <= first_load_rows_max; ++i)
        many.push_back(told("10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250), 100));
    load.f.store->apply(load.f.batch(many, 1));
    load.f.store->apply(load.begin());
    CHECK(load.complete());
}

TEST_CASE("after a crash in the middle of a first load the indexes are back before anything else") {
    Load load;
    load.f.store->apply(load.begin());
    load.f.reopen();
    CHECK(load.complete());
    load.f.store->apply(load.end());
    CHECK(load.complete());
}

TEST_CASE("several servers that are loaded at the same time share one first load, until the last has ended") {
    Load load({"east", "west"});
    load.f.store->apply(load.begin(0));
    load.f.store->apply(load.begin(1));
    load.f.store->apply(load.end(0));
    CHECK_FALSE(load.complete());
    load.f.store->apply(load.end(1));
    CHECK(load.complete());
}

TEST_CASE("a first load that was cut off and begun again is still one") {
    Load load;
    load.f.store->apply(load.begin(0, 1));
    load.f.store->apply(load.begin(0, 2));
    CHECK_FALSE(load.complete());
    load.f.store->apply(load.end(0, 2));
    CHECK(load.complete());
}

TEST_CASE("a server that has gone live without a reconciliation is loaded") {
    Load load;
    load.f.store->apply(load.begin());
    load.f.apply({told("10.0.0.9", 200)});
    CHECK(load.complete());
}

TEST_CASE("a batch that must find a client has its index") {
    Load load({"east", "west"});
    load.f.store->apply(load.begin());
    load.f.store->apply(load.f.batch({list_end("client of 10.0.0.1", "", 200, 0)}, 1));
    CHECK(load.complete());
}

TEST_CASE("a first load that takes too long goes on with the indexes, whether batches come or not") {
    Load load;
    load.f.store->apply(load.begin());
    load.f.now += first_load_patience;
    load.f.apply({listed("10.0.0.8", 100, 1)});
    load.f.store->sweep(load.f.now, 10);
    CHECK_FALSE(load.complete());
    load.f.now += 1s;
    SUBCASE("a batch") {
        load.f.apply({listed("10.0.0.9", 100, 1)});
    }
    SUBCASE("a sweep") {
        load.f.store->sweep(load.f.now, 10);
    }
    CHECK(load.complete());
}

TEST_CASE("a first batch that is rolled back, and one with a row that is refused, leave nothing behind") {
    Load load;
    auto bad = load.begin();
    auto refused = listed("10.0.0.2", 100, 1);
    refused.binding.key.prefix_len = 200;
    bad.changes.push_back(refused);
    CHECK(load.f.store->apply(bad).refused.size() == 1);
    CHECK_FALSE(load.complete());
    load.f.store->apply(load.end());
    CHECK(load.complete());
}
