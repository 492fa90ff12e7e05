#include "agent/sync/bulk_planner.hpp"
#include "tests/agent/sync/words.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;

namespace {

using Kind = BulkJob::Kind;

constexpr SteadyTime t{1h};

ServerConfig polled(std::optional<std::chrono::milliseconds> window_interval = std::nullopt) {
    auto config = server_v4();
    config.mode = SyncMode::bulk;
    config.bulk.poll_interval = 10min;
    config.bulk.window_interval = window_interval;
    return config;
}

ResumePoint with_gaps(std::vector<Gap> gaps) {
    auto resume = resume_at(900);
    resume.last_gap = gaps.back().number;
    resume.open_gaps = std::move(gaps);
    return resume;
}

/// A planner, and jobs that are answered as the test says.
struct World {
    explicit World(ServerConfig its_config = server_v4(), const ResumePoint& resume = {})
        : config(std::move(its_config)), planner(config, resume), support(config, planner.can_ask(), {}) {}

    bool begins() { return planner.begin_next(now, support); }
    /// The kind of the job that begins; there must be one.
    Kind next() {
        REQUIRE(begins());
        return planner.job()->kind();
    }
    [[nodiscard]] std::optional<SteadyTime> due(SteadyTime planned_at = SteadyTime::min()) const {
        return planner.next_deadline(planned_at, support.is_polling());
    }

    void answer(std::optional<ServerTime> base) {
        auto& job = *planner.job();
        while (const auto item = job.take()) {
            job.on_reply(*item, base, at(2000));
            job.on_complete(*item);
        }
    }
    void refuse() {
        while (const auto item = planner.job()->take())
            planner.job()->on_refused(*item, "NotAllowed");
    }
    void cut_off() {
        while (const auto item = planner.job()->take())
            planner.job()->on_cut_off(*item, "closed");
    }

    /// The job is over: the numbers of the gaps that it closes.
    std::vector<std::uint64_t> ends() {
        const auto job = planner.take_job();
        const auto context = planner.context(job, support.is_polling());
        std::vector<GapChange> closed;
        switch (job.kind()) {
            case Kind::full: {
                const auto conclusion = conclude_full(job, context);
                closed = planner.on_full_ended(job, conclusion, now, jitter);
                if (conclusion.answer != FullConclusion::Answer::some) break;
                if (!planner.on_full_listed(job)) (void)support.on_windows(false, {now, {}});
                planner.plan_windowed_poll(support, now, jitter);
                break;
            }
            case Kind::gap_window:
                if (auto change = planner.on_window_ended(job, conclude_window(job, context), now))
                    closed.push_back(*change);
                break;
            case Kind::windowed_poll:
                planner.on_poll_ended(job, conclude_poll(job, context, planner.oldest_change()), support, now, jitter);
                break;
        }
        std::vector<std::uint64_t> numbers;
        for (const auto& change : closed)
            numbers.push_back(change.gap.number);
        return numbers;
    }
    std::vector<std::uint64_t> answered(std::optional<ServerTime> base = at(1000)) {
        answer(base);
        return ends();
    }

    const ServerConfig config;
    BulkPlanner planner;
    Support support;
    Jitter jitter{1};
    SteadyTime now = t;
};

using Numbers = std::vector<std::uint64_t>;

/// Within a tenth of the interval after it: that is the jitter.
void check_about(std::optional<SteadyTime> at, SteadyTime from, std::chrono::milliseconds interval) {
    REQUIRE(at);
    CHECK(*at >= from + interval);
    CHECK(*at <= from + interval + interval / 10);
}

}  // namespace

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

// ---- gaps ---------------------------------------------------------------------------------------------------------

TEST_CASE("a gap is recovered by a windowed bulk of all queries, and closes where that shows what ended") {
    World w;
    CHECK(w.planner.open_gap(at(10), at(20), "x").gap.number == 1);
    CHECK(w.next() == Kind::gap_window);
    CHECK(w.planner.job()->query_window() == QueryWindow{at(10), at(20)});
    CHECK_FALSE(w.planner.gaps().next_window());
    CHECK(w.answered() == Numbers{1});
    CHECK(w.planner.gaps().empty());
}

TEST_CASE("windows of gaps keep a sixtieth of the retry interval between them, oldest gap first") {
    World w(server_v4(), with_gaps({{1, at(10), at(20), "x"}, {2, at(30), at(40), "y"}}));
    REQUIRE(w.next() == Kind::gap_window);
    CHECK(w.answered() == Numbers{1});
    CHECK_FALSE(w.begins());
    CHECK(w.due() == t + 1s);
    w.now = t + 1s;
    REQUIRE(w.next() == Kind::gap_window);
    CHECK(w.answered() == Numbers{2});
}

TEST_CASE("gaps whose windows show no ends wait for one full bulk for all of them, after the last window") {
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

// ---- polls --------------------------------------------------------------------------------------------------------

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
    REQUIRE(w.begins());
    auto& job = *w.planner.job();
    REQUIRE(job.take() == 0);
    job.on_reply(0, at(1000), at(1000));
    Binding still;
    still.client_last_seen = at(100);
    job.on_binding(0, still);
    job.on_complete(0);
    (void)w.ends();
    CHECK(w.planner.oldest_change() == at(100));
    w.now += 11min;
    REQUIRE(w.next() == Kind::full);
    (void)w.answered();
    CHECK_FALSE(w.planner.oldest_change());  // it is of the last one alone
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
    REQUIRE(w.begins());
    auto& job = *w.planner.job();
    REQUIRE(job.take() == 0);
    job.on_reply(0, at(1000), at(1000));
    Binding still;
    still.client_last_seen = at(100);
    job.on_binding(0, still);
    job.on_complete(0);
    (void)w.ends();
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
