#include "agent/outbox.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

constexpr BatchConfig limits{3, 20ms};
constexpr std::uint64_t much = 64ULL * 1024 * 1024;
const SteadyTime t{1h};

void add_rows(Outbox& box, int n) {
    for (int i = 0; i < n; ++i)
        box.account(box.add_change(t));
}

}  // namespace

TEST_CASE("an empty outbox is due at no time") {
    Outbox box(1, limits, much);
    CHECK(box.idle());
    CHECK_FALSE(box.dirty());
    CHECK_FALSE(box.deadline());
    CHECK_FALSE(box.due(t + 1h));
}

TEST_CASE("a batch is due when its oldest row has waited, and at once when it has enough rows") {
    Outbox box(1, limits, much);
    add_rows(box, 1);
    CHECK(box.deadline() == t + 20ms);
    CHECK_FALSE(box.due(t + 19ms));
    CHECK(box.due(t + 20ms));
    box.touch(t + 10ms);
    CHECK(box.deadline() == t + 20ms);
    add_rows(box, 2);
    CHECK(box.due(t));
}

TEST_CASE("taking a batch leaves an empty one, with the next number and for the same server") {
    Outbox box(7, limits, much);
    box.pending().base_time = server_time_from_unix(5);
    box.pending().fresh_start = true;
    box.pending().begin_run = 3;
    add_rows(box, 1);
    CHECK(box.next_number() == 1);
    const auto first = box.take();
    CHECK(first.number == 1);
    CHECK(first.server == 7);
    CHECK(first.changes.size() == 1);
    CHECK(first.fresh_start);
    CHECK_FALSE(box.dirty());
    CHECK_FALSE(box.idle());
    add_rows(box, 1);
    const auto second = box.take();
    CHECK(second.number == 2);
    CHECK(second.server == 7);
    CHECK(second.changes.size() == 1);
    CHECK_FALSE(second.base_time);
    CHECK_FALSE(second.fresh_start);
    CHECK_FALSE(second.begin_run);
}

TEST_CASE("with batches_in_flight_max on their way nothing more is due, and at its limit the outbox is full") {
    Outbox box(1, limits, much);
    std::vector<Batch> away;
    for (std::size_t i = 0; i < Outbox::batches_in_flight_max; ++i) {
        add_rows(box, 3);
        CHECK_FALSE(box.full());
        away.push_back(box.take());
    }
    add_rows(box, 2);
    CHECK_FALSE(box.full());
    CHECK_FALSE(box.due(t + 1h));
    CHECK_FALSE(box.deadline());
    add_rows(box, 1);
    CHECK(box.full());
    box.on_committed(std::move(away[0]));
    CHECK_FALSE(box.full());
    CHECK(box.due(t));
}

TEST_CASE("octets count as rows do, quarantined ones too") {
    const std::uint64_t share = 64 * 1024;  // the least: a message can be that large
    Outbox box(1, {1'000'000, 20ms}, 1);
    SUBCASE("rows") {
        std::uint64_t held = 0;
        for (int i = 0; i < 1'000'000 && !box.due(t); ++i) {
            auto& change = box.add_change(t);
            change.binding.options.resize(100);
            held += change.binding.memory_bytes();
            box.account(change);
        }
        CHECK(held >= share);
        CHECK(held < share + 4096);
    }
    SUBCASE("quarantine") {
        box.add_quarantine({{}, "why", Bytes(share)}, t);
        CHECK(box.due(t));
    }
}

TEST_CASE("of many quarantined messages a batch keeps a few, and counts the rest") {
    Outbox box(1, limits, much);
    for (int i = 0; i < 100; ++i)
        box.add_quarantine({{}, "why", {1}}, t);
    CHECK(box.pending().quarantine.size() == Outbox::quarantine_entries_max);
    CHECK(box.quarantine_dropped() == 100 - Outbox::quarantine_entries_max);
}

TEST_CASE("the memory of a committed batch is used again") {
    Outbox box(1, limits, much);
    add_rows(box, 3);
    auto first = box.take();
    const auto* rows = first.changes.begin();
    box.on_committed(std::move(first));
    add_rows(box, 1);
    (void)box.take();  // the one that was begun meanwhile
    CHECK(box.pending().changes.empty());
    CHECK(box.add_change(t).binding.key.address == IpAddress{});
    CHECK(box.pending().changes.begin() == rows);
}
