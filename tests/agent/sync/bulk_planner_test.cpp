// What can be asked of a server, full bulks, fresh starts, deadlines (bulk_planner.hpp).
#include "tests/agent/sync/bulk_planner_world.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;
using World = PlannerWorld;

namespace {

/// The full bulk that is due now has a reply that could not be read.
void reads_in_part(PlannerWorld& w) {
    REQUIRE(w.next() == Kind::full);
    w.answer(at(1000));
    w.planner.job()->on_lease_unread(0);
    (void)w.ends();
}

}  // namespace

TEST_CASE("full bulks with replies that cannot be read come more and more rarely, until one is read whole") {
    PlannerWorld w;
    w.planner.need_full("why");
    for (const auto distance : {10min, 20min, 40min, 60min, 60min}) {
        reads_in_part(w);
        w.now += distance - 1s;
        CHECK_FALSE(w.begins());
        CHECK_FALSE(w.planner.begin_next(w.now, w.support, true));  // nor because of doubts
        CHECK(w.due(w.now) == w.now + 1s);
        w.now += 1s;
    }
    REQUIRE(w.next() == Kind::full);
    (void)w.answered();
    w.planner.need_full("why");
    reads_in_part(w);
    w.now += 10min;
    CHECK(w.begins());
}

TEST_CASE("windowed replies that cannot be read bring a full bulk on, at the same pace, and do not put it off") {
    PlannerWorld w;
    w.planner.need_full_for_unread(w.now);
    w.now += 5min;
    w.planner.need_full_for_unread(w.now);
    CHECK(w.due(w.now) == w.now + 5min);
    w.now += 5min;
    reads_in_part(w);
    w.now += 10min;
    reads_in_part(w);
    w.planner.need_full_for_unread(w.now);
    w.now += 20min - 1s;
    CHECK_FALSE(w.begins());
    w.now += 1s;
    CHECK(w.begins());
}

// ---- what can be asked --------------------------------------------------------------------------------------------

TEST_CASE("v4 without queries asks for everything in every VPN; v6 without queries can ask nothing") {
    World four;
    CHECK(four.planner.can_ask());
    CHECK(four.planner.covers_everything());
    CHECK(four.planner.asks_all_vpns(BulkQuery{}));
    World six(server_v6({}), with_gaps({{1, at(10), at(20), "x"}}));
    CHECK_FALSE(six.planner.can_ask());
    CHECK_FALSE(six.planner.covers_everything());
    CHECK_FALSE(six.planner.holds_active_query());  // what would it wait for?
}

TEST_CASE("configured queries cover everything if one is for everything, or if bulk.covers says so") {
    auto config = server_v4();
    config.bulk.queries = {relay_query({1})};
    CHECK_FALSE(World(config).planner.covers_everything());
    config.bulk.covers = BulkCovers::all;
    CHECK(World(config).planner.covers_everything());
    config.bulk.covers = BulkCovers::partial;
    config.bulk.queries.push_back(BulkQuery{});
    CHECK(World(config).planner.covers_everything());
}

TEST_CASE("only the v4 query for everything asks for every VPN") {
    World four;
    CHECK_FALSE(four.planner.asks_all_vpns(relay_query({1})));
    World six(server_v6());
    CHECK_FALSE(six.planner.asks_all_vpns(BulkQuery{}));
}

TEST_CASE("a query that is refused with option 221 is asked once more without; refused without, it stays refused") {
    World w;
    CHECK(w.planner.retries_without_vpns(BulkQuery{}));
    CHECK_FALSE(w.planner.asks_all_vpns(BulkQuery{}));
    CHECK_FALSE(w.planner.retries_without_vpns(BulkQuery{}));
    CHECK(w.planner.asks_all_vpns(BulkQuery{}));  // that was not it
    CHECK(w.planner.retries_without_vpns(BulkQuery{}));
}

// ---- full bulks ---------------------------------------------------------------------------------------------------

TEST_CASE("a server that is followed and lacks nothing is asked nothing") {
    World w;
    CHECK_FALSE(w.begins());
    CHECK_FALSE(w.planner.job());
}

TEST_CASE("a full bulk that somebody asked for begins at once, one job at a time, and runs count up") {
    World w(server_v4(), resume_at(900));
    w.planner.need_full("why");
    CHECK(w.next() == Kind::full);
    CHECK(w.planner.job()->cause() == "why");
    CHECK(w.planner.job()->run() == 2);
    CHECK(w.planner.last_run() == 2);
    CHECK_FALSE(w.begins());
    CHECK(w.planner.last_run() == 2);
    CHECK(w.planner.begin_run() == 3);
    CHECK(w.planner.last_run() == 3);
}

TEST_CASE("a full bulk that was answered is not asked for again") {
    World w;
    w.planner.need_full("why");
    REQUIRE(w.begins());
    (void)w.answered();
    CHECK_FALSE(w.planner.job());
    w.now += 1000h;
    CHECK_FALSE(w.begins());
}

TEST_CASE("a full bulk can be asked for at a time") {
    World w;
    w.planner.need_full_again(t + 5s);
    CHECK_FALSE(w.begins());
    CHECK(w.due() == t + 5s);
    w.now = t + 5s;
    CHECK(w.next() == Kind::full);
    CHECK(w.planner.job()->cause() == "the last one was not complete");
    (void)w.answered();
    w.now += 1000h;
    CHECK_FALSE(w.begins());
}

TEST_CASE("a full bulk that was cut off in all is asked for again for its cause, at a pace that doubles") {
    World w;
    w.planner.need_full("why");
    for (const auto pace : {6s, 12s, 24s, 48s, 60s, 60s}) {
        REQUIRE(w.begins());
        CHECK(w.planner.job()->cause() == "why");
        w.cut_off();
        (void)w.ends();
        CHECK_FALSE(w.planner.is_refused());
        CHECK_FALSE(w.begins());
        CHECK_FALSE(w.planner.may_connect(w.now));
        check_about(w.due(), w.now, pace);
        w.now = *w.due();
        CHECK(w.planner.may_connect(w.now));
    }
}

TEST_CASE("an answered query begins the pace of failures anew") {
    World w;
    for (int i = 0; i < 4; ++i)
        w.planner.on_failure(w.now, w.jitter);
    w.now += 1h;
    w.planner.on_answered();
    w.planner.on_failure(w.now, w.jitter);
    check_about(w.due(), w.now, 6s);
}

TEST_CASE("a full bulk that was refused is put off by ten times the retry interval, and told until one is answered") {
    World w;
    w.planner.need_full("why");
    REQUIRE(w.begins());
    w.refuse();
    (void)w.ends();
    CHECK(w.planner.is_refused());
    CHECK(w.due() == t + 10min);
    w.now = t + 10min - 1ms;
    CHECK_FALSE(w.begins());
    w.now = t + 10min;
    REQUIRE(w.begins());
    CHECK(w.planner.job()->cause() == "why");
    CHECK(w.planner.is_refused());
    (void)w.answered();
    CHECK_FALSE(w.planner.is_refused());
}

TEST_CASE("a full bulk of which one query was cut off is asked for again, and closes no gap") {
    auto config = server_v4();
    config.bulk.queries = {relay_query({1}), relay_query({2})};
    World w(config);
    (void)w.planner.open_gap(at(10), at(20), "x");
    w.planner.need_full("why");
    REQUIRE(w.begins());
    auto& job = *w.planner.job();
    REQUIRE(job.take() == 0);
    job.on_reply(0, at(1000), at(1000));
    job.on_complete(0);
    w.cut_off();
    CHECK(w.ends().empty());
    CHECK(w.planner.gaps().full_due());
    CHECK_FALSE(w.begins());
    w.now += 60s;
    CHECK(w.next() == Kind::full);
    CHECK(w.planner.job()->cause() == "the last one was not complete");
    CHECK(w.answered() == Numbers{1});
}

TEST_CASE("a job that is dropped leaves room for the next, and its gaps with the full bulk that was") {
    World w;
    w.planner.need_full("why");
    REQUIRE(w.begins());
    w.planner.drop_job();
    CHECK_FALSE(w.planner.job());
    CHECK(w.next() == Kind::full);
}

// ---- a fresh start ------------------------------------------------------------------------------------------------

TEST_CASE("a fresh start drops the job, leaves all gaps to a full bulk, and paces that like a failure") {
    World w;
    (void)w.planner.open_gap(at(10), at(20), "x");
    w.planner.need_full_again(t + 1s);
    REQUIRE(w.next() == Kind::gap_window);
    w.planner.start_afresh("another clock", t, w.jitter);
    CHECK_FALSE(w.planner.job());
    CHECK(w.planner.gaps().full_due());
    CHECK_FALSE(w.begins());
    check_about(w.due(), t, 6s);
    w.now = *w.due();
    REQUIRE(w.next() == Kind::full);
    CHECK(w.planner.job()->cause() == "another clock");
    CHECK(w.answered() == Numbers{1});
    w.now += 1000h;
    CHECK_FALSE(w.begins());  // what was due again is forgotten
}

TEST_CASE("a fresh start forgets the windowed polls: when, from where, and what the last full load listed") {
    World w(polled(1min));
    w.loads_one_still_since(at(100));
    w.planner.start_afresh("another clock", t, w.jitter);
    CHECK_FALSE(w.planner.oldest_change());
    w.now = *w.due();
    check_about(w.due(w.now), t, 10min);  // the poll that was planned; no windowed one before it
    REQUIRE(w.next() == Kind::full);
    w.cut_off();
    (void)w.ends();
    w.planner.plan_windowed_poll(w.support, w.now, w.jitter);  // there is nothing to begin at
    w.now += 2min;
    CHECK(w.next() == Kind::full);
}

TEST_CASE("where nothing can be asked a fresh start plans nothing") {
    World w(server_v6({}));
    w.planner.start_afresh("another clock", t, w.jitter);
    w.now += 1000h;
    CHECK_FALSE(w.begins());
}

TEST_CASE("another server need not refuse what the last one refused, and is polled at once") {
    World w(polled());
    CHECK(w.planner.retries_without_vpns(BulkQuery{}));
    REQUIRE(w.begins());
    w.refuse();
    (void)w.ends();
    CHECK(w.planner.is_refused());
    w.planner.on_other_server();
    CHECK_FALSE(w.planner.is_refused());
    CHECK(w.planner.asks_all_vpns(BulkQuery{}));
    CHECK_FALSE(w.planner.is_poll_planned());
}

// ---- deadlines ----------------------------------------------------------------------------------------------------

TEST_CASE("what was due by the last plan waits for an event, not for the time") {
    World w;
    w.planner.need_full_again(t + 5s);
    CHECK(w.due(t) == t + 5s);
    CHECK_FALSE(w.due(t + 5s));
}

TEST_CASE("what a job is concluded by is what was configured") {
    auto config = polled();
    config.timeouts.retry = 30s;
    World w(config);
    REQUIRE(w.begins());
    w.answer(at(1000));
    const auto c = w.planner.context(*w.planner.job(), true);
    CHECK(c.family == Family::v4);
    CHECK(c.covers_everything);
    CHECK(c.all_vpns);
    CHECK(c.polling);
    CHECK(c.retry == 30s);
    CHECK(c.poll_interval == 10min);
    CHECK_FALSE(w.planner.context(*w.planner.job(), false).polling);
}

TEST_CASE("what the database has refused is asked for again, ever more rarely, until it has taken all") {
    PlannerWorld w(server_v4(), resume_at(900));
    w.planner.on_lacking(true, w.now);
    for (const auto distance : {10min, 20min, 40min, 60min, 60min}) {
        CHECK_FALSE(w.begins());
        w.now += distance - 1s;
        w.planner.on_lacking(true, w.now);  // each commit says so
        CHECK_FALSE(w.begins());
        CHECK(w.due() == w.now + 1s);
        w.now += 1s;
        CHECK(w.next() == Kind::full);
        w.answer(at(1000));
        (void)w.ends();
    }
    w.planner.on_lacking(false, w.now);
    w.now += 24h;
    CHECK_FALSE(w.begins());
    w.planner.on_lacking(true, w.now);
    w.now += 10min;
    CHECK(w.next() == Kind::full);
}
