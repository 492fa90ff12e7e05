#include "storage/ledger/refusals.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

using namespace leasemirror;

namespace {

/// A ledger that has run `count` new bindings, and a database that refuses those of some places.
struct Fixture {
    explicit Fixture(unsigned count) {
        batch.now = UtcSeconds{std::chrono::seconds{2000}};
        for (unsigned i = 0; i < count; ++i) {
            auto& change = batch.changes.append();
            change.binding.key.address = *IpAddress::parse("10.0.0." + std::to_string(i));
            change.binding.key.prefix_len = 32;
            change.binding.state = BindingState::active;
        }
        ledger.begin({1, 1, batch.now, {}}, batch);
        ledger.run();
    }

    Refusals write(const std::set<std::size_t>& refused) {
        return write_piecewise(
            ledger, batch,
            [&](EntryRange piece) -> std::optional<std::string> {
                tried.push_back(std::to_string(piece.first) + "-" + std::to_string(piece.last));
                for (const auto at : refused)
                    if (piece.contains(at)) return "too long";
                return std::nullopt;
            },
            [](const BindingRow&) { return true; });
    }

    Batch batch;
    Ledger ledger{LedgerSettings{}};
    std::vector<std::string> tried;
};

}  // namespace

TEST_CASE("what the database takes as a whole is written once") {
    Fixture f(5);
    const auto refusals = f.write({});
    CHECK(f.tried == std::vector<std::string>{"0-5"});
    CHECK(refusals.lines.empty());
    CHECK(f.ledger.tally().stored == 5);
}

TEST_CASE("one binding that is refused is found by halves, and all others are written") {
    Fixture f(8);
    const auto refusals = f.write({5});
    CHECK(f.tried == std::vector<std::string>{"0-8", "0-4", "4-8", "4-6", "4-5", "5-6", "6-8"});
    REQUIRE(refusals.lines.size() == 1);
    CHECK(refusals.lines[0].starts_with("the database refused a binding: too long: "));
    CHECK(refusals.lines[0].find("10.0.0.5") != std::string::npos);
    REQUIRE(refusals.quarantine.size() == 1);
    CHECK(refusals.quarantine[0].at == f.batch.now);
    CHECK(refusals.quarantine[0].reason == "the database refused it: too long");
    CHECK(f.ledger.tally().stored == 7);
}

TEST_CASE("every change of a refused binding goes to quarantine, and no change of another one") {
    Fixture f(2);
    f.batch.changes.push_back(Change(f.batch.changes[1]));
    f.ledger.begin({1, 1, f.batch.now, {}}, f.batch);
    f.ledger.run();
    CHECK(f.write({1}).quarantine.size() == 2);
}

TEST_CASE("a failure that is no refusal of values comes through") {
    Fixture f(2);
    const auto broken = [](EntryRange) -> std::optional<std::string> {
        throw StoreError(StoreFault::unavailable, "gone");
    };
    CHECK_THROWS_AS(
        static_cast<void>(write_piecewise(f.ledger, f.batch, broken, [](const BindingRow&) { return true; })),
        StoreError);
}

TEST_CASE("a batch is looked at piece by piece only after the database has refused it") {
    std::vector<Care> cares;
    apply_with_care([&](Care care) {
        cares.push_back(care);
        if (care == Care::none) throw StoreError(StoreFault::refused, "a value");
    });
    CHECK(cares == std::vector<Care>{Care::none, Care::piecewise});
    cares.clear();
    const auto locked = [&](Care care) {
        cares.push_back(care);
        throw StoreError(StoreFault::unavailable, "locked");
    };
    CHECK_THROWS_AS(apply_with_care(locked), StoreError);
    CHECK(cares == std::vector<Care>{Care::none});
}
