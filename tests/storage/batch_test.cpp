#include "storage/batch.hpp"
#include "storage/ledger/state_counts.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace leasemirror;

TEST_CASE("a change that is appended after a clear is a new one, whatever stood in its place") {
    ChangeList changes;
    auto& first = changes.append();
    first.kind = Change::Kind::sighting;
    first.run = 7;
    first.late = true;
    first.binding.hostname = "old";
    changes.clear();
    CHECK(changes.empty());
    const auto& again = changes.append();
    CHECK(again.kind == Change::Kind::binding);
    CHECK(again.run == 0);
    CHECK_FALSE(again.late);
    CHECK(again.binding.hostname.empty());
}

TEST_CASE("a scope is of the run of its own attempt where an earlier one was cut off, else of the whole bulk's") {
    Reconcile reconcile;
    reconcile.run = 5;
    reconcile.scopes = {{1, {}, {}, 0}, {2, {}, {}, 8}};
    CHECK(reconcile.run_of(reconcile.scopes[0]) == 5);
    CHECK(reconcile.run_of(reconcile.scopes[1]) == 8);
    CHECK(reconcile.latest_run() == 8);
    reconcile.scopes.clear();
    CHECK(reconcile.latest_run() == 5);
}

TEST_CASE("the last gap of a batch is its highest number, 0 where it has none") {
    Batch batch;
    CHECK(batch.last_gap() == 0);
    batch.gaps.resize(2);
    batch.gaps[0].gap.number = 9;
    batch.gaps[1].gap.number = 4;
    CHECK(batch.last_gap() == 9);
}

TEST_CASE("bindings that end are fewer active and more ended ones, and states that do not change are not told") {
    StateCounts counts;
    counts.end(3);
    ++counts[BindingState::active];
    ++counts[BindingState::released];
    --counts[BindingState::released];
    std::vector<std::string> told;
    counts.for_each([&](BindingState state, std::int64_t more) {
        told.push_back(std::string(to_string(state)) + " " + std::to_string(more));
    });
    CHECK(told == std::vector<std::string>{"active -2", "ended 3"});
    CHECK(counts.in_force() == -2);
}
