// What a full bulk lists as it is stored is not written, and counts as listed all the same. Over every engine.
#include "storage/ledger/listing_marks.hpp"

#include "tests/storage/test_store.hpp"

#include <doctest/doctest.h>

#include <limits>

using namespace leasemirror;
using namespace leasemirror::testing;
using namespace std::chrono_literals;
using Rows = std::vector<std::string>;

namespace {

/// A server with three bindings, listed at 100 by the full bulk 1.
class Listing {
public:
    explicit Listing(const EngineFactory& factory) : f(factory) {
        f.now = utc(1000);
        f.store->apply(full(1, 100, {"10.0.0.1", "10.0.0.2", "10.0.0.3"}));
        f.store->apply(end(1, 100));
        f.now = utc(2000);
    }
    [[nodiscard]] Change one(const std::string& address, std::int64_t base, std::uint64_t run) const {
        auto out = listed(address, base, run);
        out.binding.expires_at = at(1'000'000);
        out.binding.client_last_seen = at(50);
        return out;
    }
    [[nodiscard]] Batch full(std::uint64_t run, std::int64_t base, const Rows& addresses) const {
        std::vector<Change> changes;
        for (const auto& address : addresses)
            changes.push_back(one(address, base, run));
        auto batch = f.batch(std::move(changes));
        batch.begin_run = batch.begin_full = run;
        return batch;
    }
    [[nodiscard]] Batch end(std::uint64_t run, std::int64_t base) const {
        auto batch = f.batch();
        batch.reconcile = everything(run, base);
        return batch;
    }
    /// Those written since the first bulk.
    [[nodiscard]] Rows written() const {
        return f.engine->rows("SELECT address FROM binding WHERE seen_run <> 1 ORDER BY address");
    }
    Fixture f;
};

}  // namespace

TEST_CASE("a full bulk of what is stored writes nothing, and ends what it does not list") {
    for (const auto& factory : engines()) {
        Listing l(factory);
        l.f.store->apply(l.full(2, 200, {"10.0.0.1", "10.0.0.3"}));
        CHECK(l.written().empty());
        const auto applied = l.f.store->apply(l.end(2, 200));
        CHECK(applied.reconciled == 1);
        CHECK(l.written().empty());
        CHECK(l.f.states() == Rows{"10.0.0.1 active", "10.0.0.2 ended reconciled", "10.0.0.3 active"});
        // What the bulk before had listed does not count for the next one.
        l.f.store->apply(l.full(3, 300, {"10.0.0.3"}));
        CHECK(l.f.store->apply(l.end(3, 300)).reconciled == 1);
        CHECK(l.f.counted() == 1);
        l.f.check_history();
    }
}

TEST_CASE("what differs is written: a column, a time by more than jitter, a scope, what is in doubt") {
    for (const auto& factory : engines()) {
        Listing l(factory);
        auto batch = l.full(2, 200, {});
        auto change = l.one("10.0.0.1", 200, 2);
        SUBCASE("nothing") {}
        SUBCASE("a second") {
            change.binding.expires_at = at(1'000'001);
            change.binding.client_last_seen = at(49);
        }
        SUBCASE("two seconds") {
            change.binding.expires_at = at(1'000'002);
        }
        SUBCASE("a time that was not told before") {
            change.binding.renew_at = at(500);
        }
        SUBCASE("a name") {
            change.binding.hostname = "other";
        }
        SUBCASE("a scope") {
            change.scope = 2;
        }
        SUBCASE("told live") {
            change.binding.via = Via::active;
        }
        const bool same = change.scope == 1 && change.binding.hostname.empty() && !change.binding.renew_at &&
                          change.binding.expires_at != at(1'000'002) && change.binding.via == Via::bulk;
        batch.changes.push_back(change);
        l.f.store->apply(batch);
        CHECK(l.written() == (same ? Rows{} : Rows{"10.0.0.1"}));
    }
    for (const auto& factory : engines()) {
        Listing l(factory);
        auto doubt = l.one("10.0.0.1", 150, 0);
        doubt.kind = Change::Kind::doubt;
        doubt.doubt = Doubt::unreadable;
        l.f.apply({doubt});
        CHECK(l.f.doubts() == Rows{"10.0.0.1 unreadable"});
        l.f.store->apply(l.full(2, 200, {"10.0.0.1"}));
        CHECK(l.f.doubts().empty());
    }
}

TEST_CASE("jitter does not add up") {
    for (const auto& factory : engines()) {
        Listing l(factory);
        for (std::uint64_t run = 2; run <= 4; ++run) {
            auto batch = l.full(run, 100 * static_cast<std::int64_t>(run), {});
            batch.changes.push_back(l.one("10.0.0.1", 100 * static_cast<std::int64_t>(run), run));
            batch.changes.begin()->binding.expires_at = at(999'999 + static_cast<std::int64_t>(run));
            l.f.store->apply(batch);
        }
        // 1,000,001 was not written, 1,000,002 was, and 1,000,003 is near that.
        CHECK(l.f.engine->value("SELECT seen_run FROM binding WHERE address = '10.0.0.1'") == "3");
    }
}

TEST_CASE("what is not in force and listed is written once in a while, so that retention keeps it") {
    for (const auto& factory : engines()) {
        Listing l(factory);
        const auto list = [&](std::uint64_t run) {
            auto batch = l.full(run, 100 * static_cast<std::int64_t>(run), {"10.0.0.1"});
            batch.changes.begin()->binding.state = BindingState::available;
            l.f.store->apply(batch);
        };
        list(2);
        CHECK(l.written() == Rows{"10.0.0.1"});
        l.f.now += 24h - 1s;
        list(3);
        CHECK(l.f.engine->value("SELECT seen_run FROM binding WHERE address = '10.0.0.1'") == "2");
        l.f.now += 1s;
        list(4);
        CHECK(l.f.engine->value("SELECT seen_run FROM binding WHERE address = '10.0.0.1'") == "4");
    }
}

TEST_CASE("what is told live of a marked binding is written with the bulk that has listed it") {
    for (const auto& factory : engines()) {
        Listing l(factory);
        l.f.store->apply(l.full(2, 200, {"10.0.0.1", "10.0.0.2", "10.0.0.3"}));
        auto renewed = told("10.0.0.1", 150);
        renewed.binding.expires_at = at(2'000'000);
        l.f.apply({renewed});
        CHECK(l.written() == Rows{"10.0.0.1"});
        CHECK(l.f.store->apply(l.end(2, 200)).reconciled == 0);
    }
}

TEST_CASE("a bulk that is cut off and begun again counts what it lists anew alone") {
    for (const auto& factory : engines()) {
        Listing l(factory);
        l.f.store->apply(l.full(2, 200, {"10.0.0.1", "10.0.0.2"}));
        l.f.store->apply(l.full(3, 300, {"10.0.0.2", "10.0.0.3"}));
        CHECK(l.f.store->apply(l.end(3, 300)).reconciled == 1);
        CHECK(l.f.states() == Rows{"10.0.0.1 ended reconciled", "10.0.0.2 active", "10.0.0.3 active"});
    }
}

TEST_CASE("a full bulk that ends in the batch in which the next one begins keeps what it has listed") {
    for (const auto& factory : engines()) {
        Listing l(factory);
        l.f.store->apply(l.full(2, 200, {"10.0.0.1", "10.0.0.2"}));
        auto batch = l.end(2, 200);
        batch.begin_run = batch.begin_full = 3;
        CHECK(l.f.store->apply(batch).reconciled == 1);
        CHECK(l.f.states() == Rows{"10.0.0.1 active", "10.0.0.2 active", "10.0.0.3 ended reconciled"});
        // That one is written, and all the same right.
        auto next = l.f.batch({l.one("10.0.0.2", 300, 3)});
        l.f.store->apply(next);
        CHECK(l.written() == Rows{"10.0.0.2"});
        CHECK(l.f.store->apply(l.end(3, 300)).reconciled == 1);
        l.f.store->apply(l.full(4, 400, {"10.0.0.2"}));
        CHECK(l.f.store->apply(l.end(4, 400)).reconciled == 0);
        CHECK(l.f.counted() == 1);
    }
}

TEST_CASE("another attempt of a query of the same bulk counts by its own number") {
    for (const auto& factory : engines()) {
        Listing l(factory);
        l.f.store->apply(l.full(2, 200, {"10.0.0.1", "10.0.0.2", "10.0.0.3"}));
        auto again = l.f.batch({l.one("10.0.0.3", 250, 3)});
        again.begin_run = 3;
        l.f.store->apply(again);
        CHECK(l.written() == Rows{"10.0.0.3"});
        auto end = l.end(2, 200);
        end.reconcile->scopes.push_back({.id = 1, .relay_id = {}, .remote_id = {}, .run = 3});
        CHECK(l.f.store->apply(end).reconciled == 2);
        CHECK(l.f.states() == Rows{"10.0.0.1 ended reconciled", "10.0.0.2 ended reconciled", "10.0.0.3 active"});
    }
}

TEST_CASE("what was not read is in doubt, but not what is marked") {
    for (const auto& factory : engines()) {
        Listing l(factory);
        l.f.store->apply(l.full(2, 200, {"10.0.0.1", "10.0.0.3"}));
        auto end = l.end(2, 200);
        SUBCASE("a reply") {
            end.reconcile->unread = true;
            l.f.store->apply(end);
            CHECK(l.f.doubts() == Rows{"10.0.0.2 scope_unreadable"});
        }
        SUBCASE("a query") {
            end.reconcile->everything = false;
            end.reconcile->doubt_unreached = true;
            l.f.store->apply(end);
            CHECK(l.f.doubts() == Rows{"10.0.0.2 unlistable"});
        }
        CHECK(l.f.counted() == 3);
    }
}

TEST_CASE("a batch that is applied twice, or rolled back first, ends nothing that was listed") {
    for (const auto& factory : engines()) {
        Listing l(factory);
        auto batch = l.full(2, 200, {"10.0.0.1", "10.0.0.2", "10.0.0.3"});
        auto refused = l.one("10.0.0.9", 200, 2);
        refused.binding.key.prefix_len = 200;
        batch.changes.push_back(refused);  // the first try is rolled back
        CHECK(l.f.store->apply(batch).refused.size() == 1);
        batch.number = 0;
        l.f.store->apply(batch);
        CHECK(l.f.store->apply(l.end(2, 200)).reconciled == 0);
        CHECK(l.f.counted() == 3);
    }
}

TEST_CASE("a session that does not know what was marked ends nothing by it") {
    for (const auto& factory : engines()) {
        Listing l(factory);
        l.f.store->apply(l.full(2, 200, {"10.0.0.1", "10.0.0.2"}));
        l.f.reopen();
        std::string what;
        CHECK(l.f.fault_of([&] { l.f.store->apply(l.end(2, 200)); }, &what) == StoreFault::behind);
        CHECK(what.find("full bulk 2") != std::string::npos);
        CHECK(l.f.counted() == 3);
        l.f.reopen();
        l.f.store->apply(l.full(3, 300, {"10.0.0.1", "10.0.0.2"}));
        CHECK(l.f.store->apply(l.end(3, 300)).reconciled == 1);
    }
}

TEST_CASE("after a fresh start all that is listed is written, as the new clock has it") {
    for (const auto& factory : engines()) {
        Listing l(factory);
        auto batch = l.full(2, 200, {"10.0.0.1", "10.0.0.2"});
        batch.fresh_start = true;
        l.f.store->apply(batch);
        CHECK(l.written() == Rows{"10.0.0.1", "10.0.0.2"});
        CHECK(l.f.store->apply(l.end(2, 200)).reconciled == 1);
    }
}

TEST_CASE("the ranges of the marks are all numbers, once, with the bits of what is marked") {
    ListingMarks marks;
    Batch batch;
    batch.server = 7;
    const auto count = [&](std::int64_t after, std::int64_t& ranges) {
        std::int64_t found = 0;
        for (ranges = 1;; ++ranges) {
            const auto range = marks.range(7, after);
            CHECK(range.after == after);
            CHECK(range.last > after);
            for (std::size_t i = 0; i < range.bits.size() * 8; ++i)
                if ((range.bits[i / 8] >> i % 8 & 1U) != 0) {
                    const auto id = after + 1 + static_cast<std::int64_t>(i);
                    CHECK(id <= range.last);
                    CHECK(marks.run_of(7, id) == 4);
                    ++found;
                }
            if (range.last == std::numeric_limits<std::int64_t>::max()) return found;
            after = range.last;
        }
    };
    std::int64_t ranges = 0;
    CHECK(count(0, ranges) == 0);
    batch.begin_full = 4;
    marks.begin(batch);
    CHECK(marks.is_open(7, 4));
    CHECK_FALSE(marks.is_open(7, 3));
    CHECK_FALSE(marks.is_open(8, 4));
    CHECK(marks.run_to_keep(7) == 0);
    std::int64_t marked = 0;
    for (std::int64_t id = 1; id < 3'000'000; id = id * 2 + 1, marked += 2) {
        marks.mark(7, id);
        marks.mark(7, 10'000'000 + id);
    }
    CHECK(marks.run_to_keep(7) == 4);
    CHECK(count(0, ranges) == marked);
    CHECK(ranges > 4);
    CHECK(count(5, ranges) == marked - 2);  // 1 and 3
    CHECK(count(10'000'000, ranges) == marked / 2);
    marks.begin(batch);  // of the same bulk: again
    CHECK(count(0, ranges) == marked);
    marks.committed(batch);
    CHECK(marks.run_to_keep(7) == 0);
    CHECK(marks.run_of(8, 1) == 0);
    batch.begin_full = 5;
    marks.begin(batch);
    CHECK(count(0, ranges) == 0);
}

TEST_CASE("of a new server what lies above all that it has told is not looked for, and all else is found") {
    for (const auto& factory : engines()) {
        Fixture f(factory);
        f.apply({told("10.0.0.1", 10), told("10.0.0.5", 10)});
        f.apply({told("10.0.0.5", 20, BindingState::released), told("10.0.0.9", 20), told("10.0.0.3", 20)});
        f.apply({told("10.0.0.9", 30, BindingState::released), told("10.0.0.9", 31), told("10.0.0.1", 30)});
        CHECK(f.states() ==
              Rows{"10.0.0.1 active", "10.0.0.3 active", "10.0.0.5 released reported", "10.0.0.9 active"});
        CHECK(f.counted() == 3);
        f.reopen();  // now rows may be there
        f.apply({told("10.0.0.1", 40, BindingState::released), told("10.0.0.9", 40, BindingState::released)});
        CHECK(f.counted() == 1);
        f.check_history();
    }
}
