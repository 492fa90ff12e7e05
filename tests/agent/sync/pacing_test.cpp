#include "agent/sync/pacing.hpp"

#include <doctest/doctest.h>

#include <set>

using namespace leasemirror;
using namespace std::chrono_literals;

TEST_CASE("jitter is the same for the same seed, differs for others, and stays within its bounds") {
    Jitter a(1);
    Jitter b(1);
    Jitter c(2);
    bool differs = false;
    std::set<std::int64_t> seen;
    for (int i = 0; i < 1000; ++i) {
        const auto x = a.up_to(100ms);
        CHECK(x == b.up_to(100ms));
        differs = differs || x != c.up_to(100ms);
        CHECK(x >= 0ms);
        CHECK(x <= 100ms);
        seen.insert(x.count());
    }
    CHECK(differs);
    CHECK(seen.size() > 90);
    CHECK(seen.count(0) == 1);
    CHECK(seen.count(100) == 1);
    CHECK(a.up_to(0ms) == 0ms);
}

TEST_CASE("the first attempt is due at once") {
    CHECK(Pacing(60s, 60s).is_due(SteadyTime{}));
}

TEST_CASE("an attempt keeps the next one away by the spacing, and at most a tenth more") {
    Jitter jitter(1);
    for (int i = 0; i < 100; ++i) {
        Pacing pacing(60s, 60s);
        const SteadyTime now{5min};
        pacing.on_attempt(now, jitter);
        CHECK_FALSE(pacing.is_due(now + 60s - 1ms));
        CHECK(pacing.is_due(now + 66s));
    }
}

TEST_CASE("spacing doubles with each failure in a row, up to the most, and success begins anew") {
    Jitter jitter(1);
    Pacing pacing(6s, 60s);
    SteadyTime now{};
    for (const auto expected : {6'000ms, 12'000ms, 24'000ms, 48'000ms, 60'000ms, 60'000ms, 60'000ms}) {
        pacing.on_failure(now, jitter);
        CHECK(pacing.due() >= now + expected);
        CHECK(pacing.due() <= now + expected + expected / 10);
        now = pacing.due();
    }
    pacing.on_success();
    pacing.on_failure(now, jitter);
    CHECK(pacing.due() >= now + 6s);
    CHECK(pacing.due() <= now + 7s);
}

TEST_CASE("put_off only ever makes it later") {
    Jitter jitter(1);
    Pacing pacing(60s, 60s);
    pacing.put_off(SteadyTime{10min});
    CHECK(pacing.due() == SteadyTime{10min});
    pacing.put_off(SteadyTime{1min});
    CHECK(pacing.due() == SteadyTime{10min});
    pacing.on_attempt(SteadyTime{2min}, jitter);
    CHECK(pacing.due() == SteadyTime{10min});
}
