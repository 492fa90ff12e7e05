// What is particular to SQLite in the removal of what is past.
#include "storage/sqlite/retention.hpp"

#include "tests/storage/test_store.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::testing;
using namespace std::chrono_literals;

TEST_CASE("however much a step may look at, it holds up other writers by a bounded number of removals") {
    Fixture f(engines().at(0));
    f.settings.retention = {1000s, 1000s, 1000s};
    f.check.whole_feed = f.check.all_assignments = false;
    f.reopen();
    constexpr std::size_t rows = removed_rows_max + removed_rows_max / 2;
    std::vector<Change> changes;
    for (std::size_t i = 0; i < rows; ++i) {
        const auto address = "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250);
        changes.push_back(told(address, 100));
        changes.push_back(told(address, 200, BindingState::released));
    }
    f.apply(changes);

    const auto first = f.store->sweep(utc(9000), 1'000'000);
    CHECK(first.removed_bindings == removed_rows_max);
    CHECK(first.removed_changes == removed_rows_max);
    CHECK(first.removed_assignments == removed_rows_max);
    CHECK_FALSE(first.around);
    f.check_history();
    const auto second = f.store->sweep(utc(9000), 1'000'000);
    CHECK(second.removed_bindings == rows - removed_rows_max);
    CHECK(second.around);
    CHECK(f.engine->value("SELECT count(*) FROM binding") == "0");
}

TEST_CASE("bindings that expire right after where a step stopped removing end in the next one") {
    Fixture f(engines().at(0));
    f.settings.retention.ended = 1000s;
    f.reopen();
    std::vector<Change> changes;
    for (std::size_t i = 0; i <= removed_rows_max; ++i) {
        const auto address = "10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250);
        changes.push_back(told(address, 200, BindingState::released));
    }
    auto expiring = told("10.1.0.1", 200);
    expiring.binding.expires_at = at(3000);
    changes.push_back(expiring);
    f.apply(changes);
    CHECK(f.store->sweep(utc(9000), 1'000'000).ended == 0);
    CHECK(f.store->sweep(utc(9000), 1'000'000).ended == 1);
}

TEST_CASE("rows that were written while the clock was years ahead do not hold up the removal of the feed") {
    Fixture f(engines().at(0));
    f.settings.retention.changes = 1000s;
    f.check.whole_feed = false;
    f.reopen();
    f.now = utc(500'000'000);
    f.apply({told("10.0.0.1", 100), told("10.0.0.2", 100)});
    f.now = utc(1000);
    f.apply({told("10.0.0.3", 100)});
    // But a clock that was put back by a little costs no reader a row.
    f.now = utc(990);
    f.apply({told("10.0.0.4", 100)});
    CHECK(f.store->sweep(utc(995), 100).removed_changes == 2);
    CHECK(f.engine->value("SELECT count(*), min(address) FROM binding_change") == "2|10.0.0.3");
}
