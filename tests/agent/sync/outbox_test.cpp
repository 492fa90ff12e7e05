#include "agent/sync/outbox.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <utility>

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

Batch take(Outbox& box) {
    box.close(t);
    auto batch = box.next();
    REQUIRE(batch);
    return std::move(*batch);
}

}  // namespace

TEST_CASE("an empty outbox is due at no time") {
    Outbox box(1, limits, much);
    CHECK(box.idle());
    CHECK_FALSE(box.dirty());
    CHECK_FALSE(box.deadline());
    CHECK_FALSE(box.due(t + 1h));
}

TEST_CASE("a lone row is due soon, the next ones when the delay since then has passed, or when they are enough") {
    Outbox box(1, limits, much);
    add_rows(box, 1);
    CHECK(box.deadline() == t + 2ms);
    CHECK_FALSE(box.due(t + 1ms));
    CHECK(box.due(t + 2ms));
    box.on_committed(take(box));
    add_rows(box, 1);
    CHECK(box.deadline() == t + 20ms);
    CHECK_FALSE(box.due(t + 19ms));
    CHECK(box.due(t + 20ms));
    (void)box.edit(t + 10ms);
    CHECK(box.deadline() == t + 20ms);
    add_rows(box, 2);
    CHECK(box.due(t));
    box.on_committed(take(box));
    (void)box.edit(t + 1h);
    CHECK(box.deadline() == t + 1h + 2ms);
}

TEST_CASE("a batch grows while the writer is at work on the one before") {
    Outbox box(1, limits, much);
    add_rows(box, 1);
    auto away = take(box);
    add_rows(box, 2);
    CHECK_FALSE(box.deadline());
    CHECK_FALSE(box.due(t + 1h));
    box.on_committed(std::move(away));
    CHECK(box.due(t + 20ms));
}

TEST_CASE("what is held back waits, and goes its way corrected for a clock that was set ahead") {
    Outbox box(1, limits, much);
    CHECK_FALSE(box.correct_held(1h));
    box.hold_back();
    auto& change = box.add_change(t);
    change.skew = Skew{500ms};
    change.told_at = UtcSeconds{3600s};
    box.account(change);
    box.edit(t).skew = Skew{500ms};
    box.edit(t).fresh_as_of = UtcSeconds{10s};
    box.edit(t).status.emplace().skew = Skew{500ms};
    CHECK_FALSE(box.deadline());
    box.close(t);
    CHECK_FALSE(box.next());
    const auto* const first = box.correct_held(3600s);
    REQUIRE(first);
    CHECK(first->number == 1);
    box.release();
    const auto batch = box.next();
    REQUIRE(batch);
    CHECK(batch->skew == 500ms - 1h);
    CHECK(batch->changes[0].skew == 500ms - 1h);
    CHECK(batch->status.value().skew == 500ms - 1h);
    CHECK(batch->changes[0].told_at == UtcSeconds{3600s});
    CHECK(batch->fresh_as_of == UtcSeconds{3610s});
}

TEST_CASE("what is held back is bounded in octets, and can be thrown away") {
    constexpr std::uint64_t share = 4ULL * 1024 * 1024;
    constexpr auto most = static_cast<int>(share / sizeof(Change));
    Outbox box(1, {100, 20ms}, share);
    box.hold_back();
    int rows = 0;
    for (; !box.full() && rows < 2 * most; ++rows) {
        add_rows(box, 1);
        if (box.due(t)) box.close(t);
    }
    CHECK(rows > most / 2);
    CHECK(rows <= most);
    CHECK(box.held_bytes() <= share);
    box.discard();
    CHECK(box.idle());
    CHECK(box.held_bytes() == 0);
}

TEST_CASE("taking a batch leaves an empty one, with the next number and for the same server") {
    Outbox box(7, limits, much);
    auto& batch = box.edit(t);
    batch.base_time = server_time_from_unix(5);
    batch.fresh_start = true;
    batch.begin_run = 3;
    add_rows(box, 1);
    CHECK(box.next_number() == 1);
    const auto first = take(box);
    CHECK(first.number == 1);
    CHECK(first.server == 7);
    CHECK(first.changes.size() == 1);
    CHECK(first.fresh_start);
    CHECK_FALSE(box.dirty());
    CHECK_FALSE(box.idle());
    add_rows(box, 1);
    const auto second = take(box);
    CHECK(second.number == 2);
    CHECK(second.server == 7);
    CHECK(second.changes.size() == 1);
    CHECK_FALSE(second.base_time);
    CHECK_FALSE(second.fresh_start);
    CHECK_FALSE(second.begin_run);
}

TEST_CASE("with batches_in_flight_max on their way nothing more is due, and at its limit a small outbox is full") {
    Outbox box(1, limits, 1);
    std::vector<Batch> away;
    for (std::size_t i = 0; i < Outbox::batches_in_flight_max; ++i) {
        add_rows(box, 3);
        CHECK_FALSE(box.full());
        away.push_back(take(box));
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

TEST_CASE("with room left batches are closed behind those on their way, and given out in order as these come back") {
    Outbox box(1, limits, much);
    std::deque<Batch> away;
    for (std::size_t i = 0; i < Outbox::batches_in_flight_max; ++i) {
        add_rows(box, 3);
        away.push_back(take(box));
    }
    CHECK_FALSE(box.behind());
    for (int i = 0; i < 5; ++i) {
        add_rows(box, 3);
        CHECK(box.behind());
        CHECK_FALSE(box.full());
        CHECK(box.due(t));
        box.close(t);
        CHECK_FALSE(box.next());
    }
    add_rows(box, 1);
    CHECK_FALSE(box.due(t + 1h));  // what is not a whole batch waits until the writer has room
    const auto held = box.held_bytes();
    CHECK(held >= 25 * sizeof(Change));
    for (std::uint64_t number = 4; number <= 8; ++number) {
        box.on_committed(std::move(away.front()));
        away.pop_front();
        auto next = box.next();
        REQUIRE(next);
        CHECK(next->number == number);
        CHECK_FALSE(box.next());
        away.push_back(std::move(*next));
    }
    CHECK(box.held_bytes() == held - 15 * (held / 25));
    CHECK_FALSE(box.behind());
    CHECK_FALSE(box.idle());
    for (auto& batch : away)
        box.on_committed(std::move(batch));
    CHECK(box.due(t + 1h));
    box.on_committed(take(box));
    CHECK(box.idle());
    CHECK(box.held_bytes() == 0);
}

TEST_CASE("an outbox is full before it holds more than its share, whatever its batches are made of") {
    const std::uint64_t share = 1024 * 1024;
    Outbox box(1, {50, 20ms}, share);
    const auto fill = [&](auto add) {
        for (int i = 0; i < 1'000'000 && !box.full(); ++i) {
            add();
            if (!box.due(t)) continue;
            box.close(t);
            (void)box.next();
        }
        CHECK(box.full());
        CHECK(box.held_bytes() <= share);
        CHECK(box.held_bytes() >= share / 2);
    };
    SUBCASE("rows") {
        fill([&] { box.account(box.add_change(t)); });
    }
    SUBCASE("rows that nobody accounted for") {
        fill([&] { (void)box.add_change(t); });
    }
    SUBCASE("gaps") {
        fill([&] { box.edit(t).gaps.emplace_back(); });
    }
}

TEST_CASE("octets count as rows do, quarantined ones too") {
    const std::uint64_t share = 64 * 1024;  // the least: a message can be that large
    Outbox box(1, {1'000'000, 20ms}, 1);
    SUBCASE("rows") {
        std::uint64_t held = 0;
        for (int i = 0; i < 1'000'000 && !box.due(t); ++i) {
            auto& change = box.add_change(t);
            change.binding.options.resize(100);
            held += sizeof(Change) - sizeof(Binding) + change.binding.memory_bytes();
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
    auto first = take(box);
    const auto* rows = first.changes.begin();
    box.on_committed(std::move(first));
    add_rows(box, 1);
    (void)take(box);  // the one that was begun meanwhile
    CHECK(box.pending().changes.empty());
    CHECK(box.add_change(t).binding.key.address == IpAddress{});
    CHECK(box.pending().changes.begin() == rows);
}
