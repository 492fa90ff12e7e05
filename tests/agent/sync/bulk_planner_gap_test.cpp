// Which bulk job recovers what gap (bulk_planner.hpp).
#include "tests/agent/sync/bulk_planner_world.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;
using World = PlannerWorld;

TEST_CASE(
    "a gap's window is asked for at once, by all queries, and a full bulk closes it: v4 too, where an address that the "
    "server does not configure any more is in no listing") {
    World w;
    CHECK(w.planner.open_gap(at(10), at(20), "x").gap.number == 1);
    CHECK(w.next() == Kind::gap_window);
    CHECK(w.planner.job()->query_window() == QueryWindow{at(10), at(20)});
    CHECK_FALSE(w.planner.gaps().next_window());
    CHECK(w.answered().empty());
    w.now += 1s;
    REQUIRE(w.next() == Kind::full);
    CHECK(w.answered() == Numbers{1});
    CHECK(w.planner.gaps().empty());
}

TEST_CASE("windows of gaps keep a sixtieth of the retry interval between them, oldest gap first") {
    World w(server_v4(), with_gaps({{1, at(10), at(20), "x"}, {2, at(30), at(40), "y"}}));
    REQUIRE(w.next() == Kind::gap_window);
    CHECK(w.planner.job()->gap() == 1);
    (void)w.answered();
    CHECK_FALSE(w.begins());
    CHECK(w.due() == t + 1s);
    w.now = t + 1s;
    REQUIRE(w.next() == Kind::gap_window);
    CHECK(w.planner.job()->gap() == 2);
}

TEST_CASE("gaps wait for one full bulk for all of them, after the last window") {
    World w(server_v6(), with_gaps({{1, at(10), at(20), "x"}, {2, at(30), at(40), "y"}}));
    REQUIRE(w.next() == Kind::gap_window);
    CHECK(w.answered().empty());
    w.now += 1s;
    REQUIRE(w.next() == Kind::gap_window);
    CHECK(w.planner.job()->gap() == 2);
    CHECK(w.answered().empty());
    w.now += 1s;
    REQUIRE(w.next() == Kind::full);
    CHECK(w.planner.job()->cause() == "gap");
    CHECK(w.answered() == Numbers{1, 2});
}

TEST_CASE("full bulks that repair gaps keep the retry interval between them") {
    World w(server_v6());
    (void)w.planner.open_gap(at(10), at(20), "x");
    w.planner.need_full("why");
    REQUIRE(w.next() == Kind::full);
    CHECK(w.answered() == Numbers{1});
    (void)w.planner.open_gap(at(30), at(40), "y");
    REQUIRE(w.next() == Kind::gap_window);
    (void)w.answered();
    w.now += 1s;
    CHECK_FALSE(w.begins());
    check_about(w.due(w.now), t, 60s);
    w.now = *w.due(w.now);
    CHECK(w.next() == Kind::full);
}

TEST_CASE("a window that failed is followed by a full bulk that says why") {
    World w;
    (void)w.planner.open_gap(at(10), at(20), "x");
    REQUIRE(w.next() == Kind::gap_window);
    w.refuse();
    CHECK(w.ends().empty());
    REQUIRE(w.next() == Kind::full);
    CHECK(w.planner.job()->cause() == "windowed bulk failed: query for everything: NotAllowed");
    CHECK(w.answered() == Numbers{1});
}

TEST_CASE("a server that heeds no start time is asked no window: a full bulk takes the gaps") {
    World w(server_v4(), with_gaps({{1, at(10), at(20), "x"}, {2, at(30), at(40), "y"}}));
    CHECK(w.planner.holds_active_query());
    (void)w.support.on_windows(false, {t, {}});
    REQUIRE(w.next() == Kind::full);
    CHECK(w.planner.job()->cause() == "gap");
    CHECK_FALSE(w.planner.holds_active_query());
    CHECK(w.answered() == Numbers{1, 2});
}

TEST_CASE("a gap that opens while a full bulk runs is not closed by it, even where it touches an older one") {
    World w;
    (void)w.planner.open_gap(at(10), at(20), "x");
    w.planner.need_full("why");
    REQUIRE(w.next() == Kind::full);
    CHECK(w.planner.open_gap(at(15), at(25), "y").gap.number == 2);
    CHECK(w.answered() == Numbers{1});
    CHECK(w.planner.gaps().numbers() == Numbers{2});
    CHECK(w.next() == Kind::gap_window);
    CHECK(w.planner.job()->gap() == 2);
}

TEST_CASE("a gap that grows while a full bulk runs is not closed by it") {
    World w;
    for (std::size_t i = 0; i < GapBook::gaps_max; ++i)
        (void)w.planner.open_gap(at(static_cast<std::int64_t>(100 * i)), at(static_cast<std::int64_t>(100 * i)), "x");
    w.planner.need_full("why");
    REQUIRE(w.next() == Kind::full);
    const auto grown = w.planner.open_gap(at(9000), at(9001), "y");  // there is no room for another one
    CHECK(grown.kind == GapChange::Kind::widen);
    CHECK(w.answered().size() == GapBook::gaps_max - 1);
    CHECK(w.planner.gaps().numbers() == Numbers{grown.gap.number});
    CHECK(w.next() == Kind::gap_window);
}

TEST_CASE("the gaps of a full bulk that failed are left to the next one") {
    World w;
    (void)w.planner.open_gap(at(10), at(20), "x");
    w.planner.need_full("why");
    REQUIRE(w.next() == Kind::full);
    SUBCASE("cut off") {
        w.cut_off();
    }
    SUBCASE("refused") {
        w.refuse();
    }
    CHECK(w.ends().empty());
    CHECK(w.planner.gaps().full_due());
    w.now += 10min;
    REQUIRE(w.next() == Kind::full);
    CHECK(w.answered() == Numbers{1});
}

TEST_CASE("where nothing can be asked gaps are given up") {
    World w(server_v6({}));
    const auto gap = w.planner.open_gap(at(10), at(20), "x").gap.number;
    const auto change = w.planner.give_up_gap(gap);
    CHECK(change.kind == GapChange::Kind::close);
    CHECK(change.outcome == "unrecoverable");
    (void)w.planner.open_gap(at(10), at(20), "x");
    const auto all = w.planner.give_up_gaps();
    REQUIRE(all.size() == 1);
    CHECK(all[0].outcome == "unrecoverable");
    CHECK(w.planner.gaps().empty());
}

// ---- the active query waits for the gaps of before a restart ------------------------------------------------------

TEST_CASE("the active query waits for the windows of the gaps that a restart left open, not for gaps that open later") {
    World fresh;
    CHECK_FALSE(fresh.planner.holds_active_query());
    (void)fresh.planner.open_gap(at(10), at(20), "x");
    CHECK_FALSE(fresh.planner.holds_active_query());

    World w(server_v4(), with_gaps({{1, at(10), at(20), "x"}, {2, at(30), at(40), "y"}}));
    CHECK(w.planner.holds_active_query());
    REQUIRE(w.next() == Kind::gap_window);
    (void)w.answered();
    CHECK(w.planner.holds_active_query());
    w.now += 1s;
    REQUIRE(w.next() == Kind::gap_window);
    (void)w.answered();
    CHECK_FALSE(w.planner.holds_active_query());
    (void)w.planner.open_gap(at(50), at(60), "z");
    (void)w.planner.open_gap(at(70), at(80), "z");
    w.now += 1s;
    REQUIRE(w.next() == Kind::gap_window);
    (void)w.answered();
    CHECK_FALSE(w.planner.holds_active_query());
}

TEST_CASE("the active query waits no longer once a window failed, a full bulk ended, or somebody releases it") {
    World w(server_v4(), with_gaps({{1, at(10), at(20), "x"}, {2, at(30), at(40), "y"}}));
    SUBCASE("failed") {
        REQUIRE(w.next() == Kind::gap_window);
        w.refuse();
        (void)w.ends();
    }
    SUBCASE("full") {
        w.planner.need_full("why");
        REQUIRE(w.next() == Kind::full);
        w.cut_off();
        (void)w.ends();
    }
    SUBCASE("released") {
        w.planner.release_active_query();
    }
    SUBCASE("afresh") {
        w.planner.start_afresh("why", t, w.jitter);
    }
    CHECK_FALSE(w.planner.holds_active_query());
}
