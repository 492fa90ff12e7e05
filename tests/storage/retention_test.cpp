// What is past is removed, in steps, and nothing else. Over every engine.
#include "tests/storage/test_store.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::testing;
using namespace std::chrono_literals;
using Rows = std::vector<std::string>;

namespace {

struct Removed {
    std::uint64_t bindings = 0, changes = 0, assignments = 0;
    std::size_t steps = 0;
    friend bool operator==(const Removed&, const Removed&) = default;
};

/// Steps until one came to the end of the table, and a whole round with nothing left to do.
Removed sweep_all(Store& store, UtcSeconds now, std::size_t rows) {
    Removed out;
    for (bool idle = false; !idle;) {
        idle = true;
        for (bool around = false; !around; ++out.steps) {
            const auto swept = store.sweep(now, rows);
            CHECK(swept.removed_changes <= rows);
            CHECK(swept.removed_assignments <= rows);
            CHECK(swept.removed_bindings <= rows);
            out.bindings += swept.removed_bindings;
            out.changes += swept.removed_changes;
            out.assignments += swept.removed_assignments;
            idle = idle && swept.removed_bindings + swept.removed_changes + swept.removed_assignments == 0;
            around = swept.around;
        }
    }
    return out;
}

std::string counts(const Fixture& f) {
    return f.engine->value(
        "SELECT (SELECT count(*) FROM binding), (SELECT count(*) FROM binding_change), "
        "(SELECT count(*) FROM assignment)");
}

/// Twenty addresses, every second one of them released at 1000 (our time), and all that since.
void live_and_end(Fixture& f) {
    for (int i = 0; i < 20; ++i) {
        const auto address = "10.0.0." + std::to_string(i);
        f.apply({told(address, 100)});
        if (i % 2 == 0) f.apply({told(address, 900, BindingState::released)});
    }
}

}  // namespace

TEST_CASE("without retention nothing is ever removed") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        live_and_end(f);
        const auto removed = sweep_all(*f.store, utc(2'000'000'000), 100);
        CHECK(removed == Removed{0, 0, 0, removed.steps});
        CHECK(counts(f) == "20|30|20");
    }
}

TEST_CASE("bindings that ended go when their time has passed, and those in force stay however old they are") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory, {"east", "west"});
        f.settings.retention.ended = 1000s;
        f.reopen();
        live_and_end(f);
        f.store->apply(f.batch({told("10.0.0.1", 100), told("10.0.0.1", 900, BindingState::released)}, 1));
        CHECK(sweep_all(*f.store, utc(2000), 7).bindings == 0);
        CHECK(sweep_all(*f.store, utc(2001), 7).bindings == 11);
        CHECK(f.counted() == 10);
        CHECK(counts(f) == "10|32|21");
        CHECK(f.engine->value("SELECT count(*) FROM binding WHERE state <> 'active'") == "0");
    }
}

TEST_CASE("a binding that expires is kept from then on, and one that is told again from then on") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.settings.retention.ended = 1000s;
        f.reopen();
        auto change = told("10.0.0.1", 100);
        change.binding.expires_at = at(1500);
        f.apply({change, told("10.0.0.2", 100, BindingState::abandoned)});
        CHECK(f.store->sweep(utc(5000), 100).ended == 1);
        CHECK(f.states() == Rows{"10.0.0.1 ended expired"});
        f.now = utc(5500);
        f.apply({told("10.0.0.1", 5500, BindingState::available)});
        CHECK(sweep_all(*f.store, utc(6500), 100).bindings == 0);
        CHECK(sweep_all(*f.store, utc(6501), 100).bindings == 1);
    }
}

TEST_CASE("an address whose row was removed remembers in its assignments when it became free") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.settings.retention.ended = 1s;
        f.reopen();
        f.apply({told("10.0.0.1", 100), told("10.0.0.1", 900, BindingState::released)});
        CHECK(sweep_all(*f.store, utc(5000), 100).bindings == 1);
        auto next = told("10.0.0.1", 5000);
        next.binding.state_since = at(500);
        f.now = utc(5000);
        f.apply({next});
        CHECK(f.engine->rows("SELECT epoch(began_at) - 1700000000, CAST(began_inferred AS INTEGER) FROM assignment "
                             "ORDER BY assignment_id") == Rows{"100|0", "900|1"});
    }
}

TEST_CASE("the change feed is removed from its beginning, and only what is old enough") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.settings.retention.changes = 1000s;
        f.check.whole_feed = false;
        f.reopen();
        for (int i = 0; i < 30; ++i) {
            f.now = utc(1000 + 10 * i);
            f.apply({told("10.0.0." + std::to_string(i), 100)});
        }
        CHECK(f.store->sweep(utc(2000), 100).removed_changes == 0);
        CHECK(f.store->sweep(utc(2101), 4).removed_changes == 4);
        CHECK(f.engine->value("SELECT min(seq), max(seq) FROM binding_change") == "5|30");
        CHECK(sweep_all(*f.store, utc(2101), 4).changes == 7);
        CHECK(f.engine->value("SELECT epoch(min(at)) - 1700000000, count(*) FROM binding_change") == "1110|19");
        CHECK(sweep_all(*f.store, utc(9000), 100).changes == 19);
        f.apply({told("10.0.1.1", 100)});
        CHECK(f.engine->rows("SELECT seq FROM binding_change") == Rows{"31"});
    }
}

TEST_CASE("assignments go some time after they ended, and open ones stay") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory);
        f.settings.retention.assignments = 1000s;
        f.check.all_assignments = false;
        f.reopen();
        live_and_end(f);
        CHECK(sweep_all(*f.store, utc(1900), 3).assignments == 0);
        const auto first = f.store->sweep(utc(1901), 3).removed_assignments;
        CHECK(first >= 1);
        CHECK(first <= 3);
        CHECK(sweep_all(*f.store, utc(1901), 3).assignments == 10 - first);
        CHECK(counts(f) == "20|30|10");
        CHECK(f.engine->value("SELECT count(*) FROM assignment WHERE ended_at IS NULL") == "10");
    }
}

TEST_CASE("a sweep looks only at the servers that its store has opened") {
    for (const auto& factory : engines()) {
        CAPTURE(factory.name);
        Fixture f(factory, {"east", "west"});
        f.settings.retention.ended = 1000s;
        auto change = told("10.0.0.1", 100);
        change.binding.expires_at = at(1500);
        const std::vector<Change> changes{change, told("10.0.0.2", 100, BindingState::released)};
        f.apply(changes);
        f.store->apply(f.batch(changes, 1));
        f.specs.pop_back();
        f.reopen();
        std::uint64_t ended = 0;
        for (int round = 0; round < 3; ++round)
            ended += f.store->sweep(utc(3000), 100).ended;
        CHECK(ended == 1);
        CHECK(f.engine->rows("SELECT s.name || ' ' || host(b.address) || ' ' || b.state FROM binding b "
                             "JOIN server s USING (server_id) ORDER BY s.name, sortable(b.address)") ==
              Rows{"east 10.0.0.1 ended", "west 10.0.0.1 active", "west 10.0.0.2 released"});
    }
}
