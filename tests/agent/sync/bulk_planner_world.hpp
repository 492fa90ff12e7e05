// A BulkPlanner, and jobs that are answered as the test says.
#pragma once

#include "agent/sync/bulk_planner.hpp"
#include "tests/agent/sync/words.hpp"

#include <doctest/doctest.h>

namespace leasemirror::test {

using Kind = BulkJob::Kind;

inline constexpr SteadyTime t{1h};

inline ServerConfig polled(std::optional<std::chrono::milliseconds> window_interval = std::nullopt) {
    auto config = server_v4();
    config.mode = SyncMode::bulk;
    config.bulk.poll_interval = 10min;
    config.bulk.window_interval = window_interval;
    return config;
}

inline ResumePoint with_gaps(std::vector<Gap> gaps) {
    auto resume = resume_at(900);
    resume.last_gap = gaps.back().number;
    resume.open_gaps = std::move(gaps);
    return resume;
}

struct PlannerWorld {
    explicit PlannerWorld(ServerConfig its_config = server_v4(), const ResumePoint& resume = {})
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
                planner.on_window_ended(job, conclude_window(job, context), now);
                break;
            case Kind::question:
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
    /// A full load begins, lists one lease that has been still since then, and is over.
    void loads_one_still_since(ServerTime changed) {
        REQUIRE(begins());
        auto& job = *planner.job();
        REQUIRE(job.take() == 0);
        job.on_reply(0, at(1000), at(1000));
        Binding still;
        still.client_last_seen = changed;
        job.on_binding(0, still);
        job.on_complete(0);
        (void)ends();
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
inline void check_about(std::optional<SteadyTime> at, SteadyTime from, std::chrono::milliseconds interval) {
    REQUIRE(at);
    CHECK(*at >= from + interval);
    CHECK(*at <= from + interval + interval / 10);
}

}  // namespace leasemirror::test
