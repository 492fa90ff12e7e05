#include "agent/sync/gap_book.hpp"

#include <doctest/doctest.h>

#include <tuple>

using namespace leasemirror;

namespace {

ServerTime at(std::int64_t seconds) {
    return server_time_from_unix(seconds);
}

GapBook empty_book() {
    return GapBook({}, 0);
}

}  // namespace

TEST_CASE("a gap opens with the next number, both ends and its cause") {
    GapBook book({}, 7);
    const auto change = book.open(at(10), at(20), "DataMissing");
    CHECK(change.kind == GapChange::Kind::open);
    CHECK(change.gap == Gap{8, at(10), at(20), "DataMissing"});
    CHECK(book.earliest() == at(10));
    CHECK(book.size() == 1);
}

TEST_CASE("a gap whose end is before its start is one moment") {
    auto book = empty_book();
    CHECK(book.open(at(20), at(10), "x").gap.to == at(20));
}

TEST_CASE("a gap that touches one whose recovery has not begun widens it, on either side or within") {
    for (const auto& [from, to, low, high] :
         {std::tuple{20, 30, 10, 30}, {5, 10, 5, 20}, {12, 15, 10, 20}, {5, 30, 5, 30}}) {
        auto book = empty_book();
        (void)book.open(at(10), at(20), "first");
        const auto change = book.open(at(from), at(to), "second");
        CHECK(change.kind == GapChange::Kind::widen);
        CHECK(change.gap == Gap{1, at(low), at(high), "first"});
        CHECK(book.size() == 1);
    }
}

TEST_CASE("gaps that do not touch stand apart, and the oldest is recovered first") {
    auto book = empty_book();
    (void)book.open(at(10), at(20), "x");
    CHECK(book.open(at(22), at(30), "y").kind == GapChange::Kind::open);
    CHECK(book.numbers() == std::vector<std::uint64_t>{1, 2});
    REQUIRE(book.next_window());
    CHECK(book.next_window()->number == 1);
    book.on_window_begun(1);
    CHECK(book.next_window()->number == 2);
    book.on_window_begun(2);
    CHECK_FALSE(book.next_window());
    CHECK(book.window_pending());
}

TEST_CASE("a gap that touches one whose window runs already stands apart: the window would not show it") {
    auto book = empty_book();
    (void)book.open(at(10), at(20), "x");
    book.on_window_begun(1);
    CHECK(book.open(at(15), at(25), "y").kind == GapChange::Kind::open);
    CHECK(book.size() == 2);
}

TEST_CASE("a gap that waits for a full bulk does not grow") {
    auto book = empty_book();
    (void)book.open(at(10), at(20), "x");
    book.needs_full(1);
    CHECK(book.full_due());
    CHECK_FALSE(book.window_pending());
    CHECK(book.open(at(15), at(25), "y").kind == GapChange::Kind::open);
    CHECK(book.next_window()->number == 2);
}

TEST_CASE("a full bulk takes over all gaps, windowed or not, and closes them when it ends well") {
    auto book = empty_book();
    (void)book.open(at(10), at(20), "x");
    (void)book.open(at(30), at(40), "y");
    book.on_window_begun(1);
    book.on_full_begun();
    CHECK_FALSE(book.next_window());
    CHECK_FALSE(book.window_pending());
    const auto closed = book.close_by_full("recovered", 7);
    REQUIRE(closed.size() == 2);
    CHECK(closed[0].gap.number == 1);
    CHECK(closed[1].gap.number == 2);
    CHECK(closed[1].outcome == "recovered");
    CHECK(closed[1].recovered == 7);
    CHECK(book.empty());
}

TEST_CASE("a gap that opens while a full bulk runs is none of those that it closes, even where the two touch") {
    auto book = empty_book();
    (void)book.open(at(10), at(20), "x");
    book.on_full_begun();
    CHECK(book.open(at(15), at(25), "y").kind == GapChange::Kind::open);
    REQUIRE(book.close_by_full("recovered", 0).size() == 1);
    CHECK(book.numbers() == std::vector<std::uint64_t>{2});
}

TEST_CASE("a full bulk that failed leaves its gaps for another one") {
    auto book = empty_book();
    (void)book.open(at(10), at(20), "x");
    book.on_full_begun();
    CHECK_FALSE(book.full_due());
    book.on_full_over();
    CHECK(book.full_due());
    CHECK(book.close_by_full("recovered", 0).empty());
    CHECK(book.size() == 1);
}

TEST_CASE("where nothing can be asked all gaps end") {
    auto book = empty_book();
    (void)book.open(at(10), at(20), "x");
    (void)book.open(at(30), at(40), "y");
    const auto closed = book.close_all("unrecoverable");
    REQUIRE(closed.size() == 2);
    CHECK(closed[1].kind == GapChange::Kind::close);
    CHECK(closed[1].outcome == "unrecoverable");
    CHECK(book.empty());
}

TEST_CASE("closing says which, how, and how much it brought") {
    auto book = empty_book();
    (void)book.open(at(10), at(20), "x");
    (void)book.open(at(30), at(40), "y");
    const auto change = book.close(1, "recovered", 5);
    CHECK(change.kind == GapChange::Kind::close);
    CHECK(change.gap.number == 1);
    CHECK(change.outcome == "recovered");
    CHECK(change.recovered == 5);
    CHECK(book.earliest() == at(30));
    (void)book.close(2, "recovered", 0);
    CHECK(book.empty());
    CHECK_FALSE(book.earliest());
}

TEST_CASE("gaps of before a restart are recovered from the beginning, and their numbers never come again") {
    GapBook book({{3, at(10), at(20), "x"}, {5, at(30), at(40), "y"}}, 9);
    CHECK(book.next_window()->number == 3);
    CHECK(book.open(at(50), at(60), "z").gap.number == 10);
}

TEST_CASE("there are never more than gaps_max: one more widens a neighbour, and nothing of it is forgotten") {
    auto book = empty_book();
    for (int i = 0; i < 40; ++i) {
        const auto change = book.open(at(100 * i), at(100 * i + 10), "x");
        CHECK(book.size() <= GapBook::gaps_max);
        CHECK(change.gap.from <= at(100 * i));
        CHECK(change.gap.to >= at(100 * i + 10));
    }
    CHECK(book.size() == GapBook::gaps_max);
}

TEST_CASE("even at gaps_max the gap whose window runs is left alone, and one that a full bulk waited for is windowed") {
    auto book = empty_book();
    for (std::size_t i = 0; i < GapBook::gaps_max; ++i)
        (void)book.open(at(static_cast<std::int64_t>(100 * i)), at(static_cast<std::int64_t>(100 * i)), "x");
    book.on_full_begun();
    book.on_window_begun(GapBook::gaps_max);
    const auto change = book.open(at(9000), at(9001), "y");
    CHECK(change.kind == GapChange::Kind::widen);
    CHECK(change.gap.number == GapBook::gaps_max - 1);
    CHECK(book.next_window()->number == change.gap.number);
    const auto closed = book.close_by_full("recovered", 0);
    CHECK(closed.size() == GapBook::gaps_max - 2);
    CHECK(book.numbers() == std::vector<std::uint64_t>{change.gap.number, GapBook::gaps_max});  // it has grown since
}
