#include "agent/sync/bulk_job.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;

namespace {

ServerTime at(std::int64_t seconds) {
    return server_time_from_unix(seconds);
}

std::vector<BulkQuery> three() {
    std::vector<BulkQuery> all(3);
    for (std::uint8_t i = 0; i < 3; ++i) {
        all[i].kind = QueryKind::relay_id;
        all[i].id = {i};
    }
    return all;
}

BulkJob full() {
    return BulkJob::full(4, three(), "why");
}

}  // namespace

TEST_CASE("a full job has a run and no window, a windowed one the gap's bounds, both inclusive") {
    const auto all = full();
    CHECK(all.is_full());
    CHECK(all.run() == 4);
    CHECK(all.query_window() == QueryWindow{});
    const auto window = BulkJob::window(5, {9, at(10), at(20), "DataMissing"}, three());
    CHECK_FALSE(window.is_full());
    CHECK(window.query_window() == QueryWindow{at(10), at(20)});
    CHECK(window.gap() == 9);
}

TEST_CASE("queries are handed out once each, in order, and the job is over when all have ended") {
    auto job = full();
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(job.waiting() == 3 - i);
        CHECK(job.take() == i);
    }
    CHECK_FALSE(job.take());
    CHECK(job.has_running());
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK_FALSE(job.over());
        job.on_complete(i);
    }
    CHECK(job.over());
    CHECK(job.all_complete());
    CHECK(job.absence_proves());
}

TEST_CASE("the progress of a job is what it has listed, and how many of its queries are over") {
    auto job = full();
    CHECK(job.progress() == FullReadProgress{4, 0, 3, 0, std::nullopt});
    const auto first = job.take();
    REQUIRE(first);
    job.on_binding(*first, Binding{});
    CHECK(job.progress() == FullReadProgress{4, 1, 3, 0, std::nullopt});
    job.on_complete(*first);
    const auto second = job.take();
    REQUIRE(second);
    job.on_refused(*second, "no");
    CHECK(job.progress() == FullReadProgress{4, 1, 3, 2, std::nullopt});
}

TEST_CASE("a query that was cut off waits again, as often as its job is worth it") {
    auto window = BulkJob::window(5, {9, at(10), at(20), "x"}, {BulkQuery{}});
    auto all = BulkJob::full(1, {BulkQuery{}}, "x");
    for (auto* job : {&window, &all}) {
        const auto most = job->is_full() ? BulkJob::full_attempts_max : BulkJob::window_attempts_max;
        for (int i = 0; i < most; ++i) {
            CHECK_FALSE(job->over());
            REQUIRE(job->take());
            job->on_cut_off(0, "closed");
        }
        CHECK(job->over());
        CHECK(job->any_cut_off());
        CHECK_FALSE(job->any_complete());
        CHECK(job->trouble() == "query for everything: closed");
    }
}

TEST_CASE("a query that was given back has not been tried") {
    auto job = BulkJob::window(5, {9, at(10), at(20), "x"}, {BulkQuery{}});
    for (int i = 0; i < 10; ++i) {
        REQUIRE(job.take());
        job.give_back(0);
    }
    CHECK(job.waiting() == 1);
}

TEST_CASE("a refused query is over, and absence proves nothing any more") {
    auto job = full();
    (void)job.take();
    (void)job.take();
    (void)job.take();
    job.on_complete(0);
    job.on_refused(1, "NotAllowed");
    job.on_complete(2);
    CHECK(job.over());
    CHECK(job.any_complete());
    CHECK_FALSE(job.all_complete());
    CHECK_FALSE(job.absence_proves());
    CHECK_FALSE(job.any_cut_off());
    CHECK(job.trouble() == "query for relay-id 01: NotAllowed");
}

TEST_CASE("the job began with the earliest first reply of its queries, whatever came later") {
    auto job = full();
    CHECK_FALSE(job.began_at());
    (void)job.take();
    (void)job.take();
    job.on_reply(1, at(50), at(1));
    job.on_reply(1, at(40), at(1));
    CHECK(job.began_at() == at(50));
    job.on_reply(0, at(45), at(1));
    CHECK(job.began_at() == at(45));
    CHECK(job.items()[0].first_base == at(45));
    CHECK(job.base_times_seen());
}

TEST_CASE("a reply without base-time began when our guess of the server's clock says") {
    auto job = full();
    (void)job.take();
    job.on_reply(0, std::nullopt, at(33));
    CHECK(job.began_at() == at(33));
    CHECK_FALSE(job.base_times_seen());
}

TEST_CASE("a reply that could not be read leaves its query complete, and absence without proof") {
    auto job = BulkJob::full(1, {BulkQuery{}}, "x");
    (void)job.take();
    job.on_lease_lost(0);
    job.on_complete(0);
    CHECK(job.all_complete());
    CHECK_FALSE(job.absence_proves());
}

TEST_CASE("a query that is asked again from its start is judged by what the new answer brings") {
    // Otherwise one bad message in an attempt that broke off anyway costs another full bulk, and 'partial' until then.
    auto job = BulkJob::full(1, {BulkQuery{}}, "x");
    (void)job.take();
    job.on_binding(0, {});
    job.on_lease_lost(0);
    job.on_cut_off(0, "closed");
    (void)job.take();
    job.on_binding(0, {});
    job.on_complete(0);
    CHECK(job.absence_proves());
    CHECK(job.bindings() == 1);
}

TEST_CASE("trouble that has been overcome is no trouble") {
    auto job = BulkJob::full(1, {BulkQuery{}}, "x");
    (void)job.take();
    job.on_cut_off(0, "closed");
    (void)job.take();
    job.on_complete(0);
    CHECK(job.trouble().empty());
}
