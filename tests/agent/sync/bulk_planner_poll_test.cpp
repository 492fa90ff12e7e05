// When a server that is polled is read, in full and in between (bulk_planner.hpp).
#include "tests/agent/sync/bulk_planner_world.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;
using World = PlannerWorld;

TEST_CASE("a server that is polled is read in full at once, and then each poll interval") {
    World w(polled());
    CHECK_FALSE(w.planner.is_poll_planned());
    for (int i = 0; i < 3; ++i) {
        REQUIRE(w.next() == Kind::full);
        CHECK(w.planner.job()->cause() == "poll");
        (void)w.answered();
        CHECK(w.planner.is_poll_planned());
        CHECK_FALSE(w.begins());
        check_about(w.due(w.now), w.now, 10min);
        w.now = *w.due(w.now) - 1ms;
        CHECK_FALSE(w.begins());
        w.now += 1ms;
    }
}

TEST_CASE("a full poll that failed is asked for at the pace of failures, not of polls") {
    World w(polled());
    REQUIRE(w.begins());
    w.cut_off();
    (void)w.ends();
    check_about(w.due(), t, 6s);
    w.now = *w.due();
    CHECK(w.next() == Kind::full);
}

TEST_CASE("a server that is followed has no poll due, though the time of one runs in case it is polled instead") {
    World w;
    w.planner.need_full("why");
    REQUIRE(w.begins());
    (void)w.answered();
    CHECK(w.planner.is_poll_planned());
    CHECK_FALSE(w.due(t));
    REQUIRE(w.support.on_active_not_supported({t, {}}));
    CHECK_FALSE(w.begins());
    check_about(w.due(t), t, 10 * w.config.bulk.poll_interval / 10);
    w.now = *w.due(t);
    CHECK(w.next() == Kind::full);
}

TEST_CASE("between full polls a server is asked for what has changed, from a little before the last poll began") {
    World w(polled(1min));
    REQUIRE(w.next() == Kind::full);
    (void)w.answered(at(1000));
    check_about(w.due(t), t, 1min);
    w.now = *w.due(t) - 1ms;
    CHECK_FALSE(w.begins());
    w.now += 1ms;
    REQUIRE(w.next() == Kind::windowed_poll);
    CHECK(w.planner.job()->query_window() == QueryWindow{at(990), std::nullopt});
    (void)w.answered(at(1060));
    CHECK_FALSE(w.begins());
    check_about(w.due(w.now), w.now, 1min);
    w.now = *w.due(w.now);
    REQUIRE(w.next() == Kind::windowed_poll);
    CHECK(w.planner.job()->query_window() == QueryWindow{at(1050), std::nullopt});
}

TEST_CASE("a full poll that is due goes before a windowed one") {
    World w(polled(1min));
    REQUIRE(w.begins());
    (void)w.answered();
    w.now += 1h;
    CHECK(w.next() == Kind::full);
}

TEST_CASE("a windowed poll that was cut off goes back as far again") {
    World w(polled(1min));
    REQUIRE(w.begins());
    (void)w.answered(at(1000));
    w.now = *w.due(t);
    REQUIRE(w.next() == Kind::windowed_poll);
    w.cut_off();
    (void)w.ends();
    check_about(w.due(w.now), w.now, 1min);
    w.now = *w.due(w.now);
    REQUIRE(w.next() == Kind::windowed_poll);
    CHECK(w.planner.job()->query_window().start == at(990));
    CHECK(w.planner.job()->items().size() == 1);  // nor is the query forgotten
}

TEST_CASE("a windowed poll asks what the full poll answered, and no more what a windowed one refused") {
    auto config = polled(1min);
    config.bulk.queries = {relay_query({1}), relay_query({2}), relay_query({3})};
    World w(config);
    REQUIRE(w.begins());
    auto& full = *w.planner.job();
    REQUIRE(full.take() == 0);
    full.on_refused(0, "NotAllowed");
    (void)w.answered(at(1000));
    w.now = *w.due(t);
    REQUIRE(w.next() == Kind::windowed_poll);
    auto& poll = *w.planner.job();
    REQUIRE(poll.items().size() == 2);
    CHECK(poll.items()[0].query == relay_query({2}));
    REQUIRE(poll.take() == 0);
    poll.on_refused(0, "MalformedQuery");
    (void)w.answered(at(1060));
    w.now = *w.due(w.now);
    REQUIRE(w.next() == Kind::windowed_poll);
    REQUIRE(w.planner.job()->items().size() == 1);
    CHECK(w.planner.job()->items()[0].query == relay_query({3}));
}

TEST_CASE("no windowed polls where none are configured, or not more often than full ones") {
    for (const auto interval : {std::optional<std::chrono::milliseconds>{}, {10min}, {11min}}) {
        World w(polled(interval));
        REQUIRE(w.begins());
        (void)w.answered();
        check_about(w.due(t), t, 10min);
        w.now = *w.due(t);
        CHECK(w.next() == Kind::full);
    }
}

TEST_CASE("no windowed polls of a server whose replies carry no base-time; an empty answer tells nothing of that") {
    World w(polled(1min));
    REQUIRE(w.begins());
    SUBCASE("bindings") {
        auto& job = *w.planner.job();
        REQUIRE(job.take() == 0);
        job.on_reply(0, std::nullopt, at(2000));
        job.on_binding(0, {});
        job.on_complete(0);
        CHECK_FALSE(w.planner.on_full_listed(job));
    }
    SUBCASE("empty") {
        w.answer(std::nullopt);
        CHECK(w.planner.on_full_listed(*w.planner.job()));
    }
    (void)w.ends();
    check_about(w.due(t), t, 10min);
}

TEST_CASE("no windowed polls of a server that heeds no start time, found out before the first or by one") {
    World w(polled(1min));
    SUBCASE("before") {
        (void)w.support.on_windows(false, {t, {}});
        REQUIRE(w.begins());
        (void)w.answered();
    }
    SUBCASE("by one") {
        REQUIRE(w.begins());
        (void)w.answered();
        w.now = *w.due(t);
        REQUIRE(w.next() == Kind::windowed_poll);
        (void)w.support.on_windows(false, {w.now, {}});
        (void)w.answered();
    }
    check_about(w.due(w.now), t, 10min);
    w.now = *w.due(w.now) - 1ms;
    CHECK_FALSE(w.begins());
}

TEST_CASE("what the last full load listed longest unchanged is kept for the windowed polls") {
    World w(polled(1min));
    w.loads_one_still_since(at(100));
    CHECK(w.planner.oldest_change() == at(100));
    w.now += 11min;
    REQUIRE(w.next() == Kind::full);
    (void)w.answered();
    CHECK_FALSE(w.planner.oldest_change());  // it is of the last one alone
}
