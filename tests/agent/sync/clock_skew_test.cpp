#include "agent/sync/clock_skew.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace std::chrono_literals;
using Verdict = ClockSkew::Verdict;

namespace {

/// A server whose clock is `ahead` of ours, and messages of it that arrive `late` after they were made.
struct Server {
    ClockSkew skew;
    std::chrono::milliseconds elapsed{0};
    std::chrono::milliseconds our_clock{0};  ///< set by this much
    std::chrono::milliseconds ahead{0};
    SteadyTime asked_at{};
    std::optional<ServerTime> fresh_from{};

    [[nodiscard]] Now now() const {
        return {SteadyTime{} + elapsed, UtcMillis{std::chrono::seconds{1'700'000'000}} + elapsed + our_clock};
    }
    Verdict says(std::chrono::milliseconds late = 0ms, bool prompt = true) {
        const auto made = UtcMillis{std::chrono::seconds{1'700'000'000}} + elapsed - late + ahead;
        const ServerTime base{std::chrono::floor<std::chrono::seconds>(made.time_since_epoch())};
        const auto verdict = skew.on_base_time(base, fresh_from, asked_at, now(), prompt);
        fresh_from = fresh_from ? std::max(*fresh_from, base) : base;
        return verdict;
    }
    /// One each `interval`.
    Verdict says_for(std::chrono::milliseconds span, std::chrono::milliseconds interval,
                     std::chrono::milliseconds late = 0ms, bool prompt = true) {
        for (const auto until = elapsed + span; elapsed < until;) {
            elapsed += interval;
            if (const auto verdict = says(late, prompt); verdict != Verdict::steady) return verdict;
        }
        return Verdict::steady;
    }
    /// A new connection, whose query goes out now.
    void asks() { asked_at = now().steady; }
};

bool near(Skew a, Skew b, Skew by) {
    return std::chrono::abs(a - b) <= by;
}

}  // namespace

TEST_CASE("before anything was heard, the skew is unknown and taken for zero") {
    CHECK_FALSE(ClockSkew().known());
    CHECK(ClockSkew().estimate() == Skew{0});
    CHECK(ClockSkew(Skew{1500}).known() == Skew{1500});
}

TEST_CASE("a server whose clock agrees with ours keeps exactly zero, at whatever part of a second it is heard") {
    Server s;
    CHECK(s.says_for(1h, 7'130ms) == Verdict::steady);
    CHECK(s.skew.estimate() == Skew{0});
}

TEST_CASE(
    "the skew of a server that is ahead or behind is found to within a second, positive when its clock is ahead") {
    for (const auto ahead : {90s, -90s, 3600s, -86400s}) {
        Server s;
        s.ahead = ahead;
        CHECK(s.says_for(10min, 1'370ms) == Verdict::steady);
        CHECK(near(s.skew.estimate(), ahead, 1s));
        CHECK(s.skew.server_now(s.now().utc) >= to_server(s.now().utc, Skew{ahead} - 1s));
    }
}

TEST_CASE("a sample that proves the estimate too low lifts it at once") {
    Server s;
    s.ahead = 10s;
    (void)s.says(4s);  // waited on its way
    CHECK(s.skew.estimate() <= 7s);
    s.elapsed += 1s;
    (void)s.says();
    CHECK(near(s.skew.estimate(), 10s, 1s));
}

TEST_CASE("a delayed packet among others moves nothing") {
    Server s;
    s.ahead = 10s;
    (void)s.says_for(2min, 1'370ms);
    const auto before = s.skew.estimate();
    for (const auto late : {500ms, 5'000ms, 60'000ms}) {
        s.elapsed += 100ms;
        s.fresh_from.reset();
        CHECK(s.says(late) == Verdict::steady);
        CHECK(s.skew.estimate() == before);
    }
    CHECK(s.says_for(2min, 1'370ms) == Verdict::steady);
    CHECK(near(s.skew.estimate(), before, 20ms));
}

TEST_CASE("replies that waited in a server's queue move nothing: a draining queue comes nearer all the time") {
    Server s;
    (void)s.says_for(10min, 1s);
    for (auto late = 200'000ms; late > 0ms; late -= 300ms) {
        s.elapsed += 1s;
        s.fresh_from.reset();
        CHECK(s.says(late) == Verdict::steady);
    }
    CHECK(near(s.skew.estimate(), 0s, 1s));
}

TEST_CASE("messages that are known to have waited are a lower bound, and never evidence of a step") {
    Server s;
    (void)s.says_for(2min, 1s);
    s.fresh_from.reset();
    CHECK(s.says_for(1h, 1s, 30s, false) == Verdict::steady);
    CHECK(s.skew.estimate() == Skew{0});
}

TEST_CASE("the time at which we asked bounds the skew from above, however late the reply is read") {
    SUBCASE("a little too high: the estimate comes down") {
        Server s;
        s.skew = ClockSkew(Skew{2500});
        s.asks();
        CHECK(s.says() == Verdict::steady);
        CHECK(s.skew.estimate() <= 1s);
    }
    SUBCASE("clearly too high: the clock was set back while we were away") {
        Server s;
        s.skew = ClockSkew(Skew{30s});
        s.asks();
        s.elapsed += 10s;
        CHECK(s.says() == Verdict::stepped_back);
    }
    SUBCASE("a reply that could be old proves nothing of the kind") {
        Server s;
        s.skew = ClockSkew(Skew{30s});
        s.asks();
        s.elapsed += 1min;
        CHECK(s.says(29s) == Verdict::steady);
    }
}

TEST_CASE("a base-time clearly below one that the server had sent before we asked is a step back") {
    Server s;
    (void)s.says_for(10s, 1s);
    s.elapsed += 1s;
    s.ahead = -10s;
    CHECK(s.says() == Verdict::stepped_back);
}

TEST_CASE("base-times that trail each other by a second or two are no step: servers build replies in threads") {
    Server s;
    (void)s.says_for(10s, 1s);
    const auto now = s.now();
    const auto highest = *s.fresh_from;
    CHECK(s.skew.on_base_time(highest - 2s, highest, s.asked_at, now, true) == Verdict::steady);
    CHECK(s.skew.on_base_time(highest - 3s, highest, s.asked_at, now, true) == Verdict::stepped_back);
}

TEST_CASE("a clock that went back while nothing was asked shows as two windows that are low by the same") {
    Server s;
    (void)s.says_for(2min, 5s);
    s.elapsed += 1h;
    s.ahead = -100s;
    s.fresh_from.reset();
    CHECK(s.says_for(5min, 5s) == Verdict::stepped_back);
}

TEST_CASE("a step forward is told once, and followed") {
    Server s;
    (void)s.says_for(2min, 1'370ms);
    s.ahead = 600s;
    s.elapsed += 1s;
    CHECK(s.says() == Verdict::stepped_forward);
    CHECK(near(s.skew.estimate(), 600s, 1s));
    CHECK(s.says_for(10min, 1'370ms) == Verdict::steady);
    CHECK(near(s.skew.estimate(), 600s, 1s));
}

TEST_CASE("slow drift is followed by small steps, in both directions") {
    for (const auto drift : {5ms, -5ms}) {  // each second: far more than quartz does... a thousandth is 1 ms
        Server s;
        (void)s.says_for(2min, 1s);
        for (int i = 0; i < 1800; ++i) {
            s.elapsed += 1s;
            s.ahead += drift / 5;
            const auto before = s.skew.estimate();
            CHECK(s.says() == Verdict::steady);
            CHECK(s.skew.estimate() - before >= -ClockSkew::drift_step);
        }
        CHECK(near(s.skew.estimate(), s.ahead, 1'500ms));
    }
}

TEST_CASE("somebody sets our own clock: the skew moves by as much, at once, and nobody's clock has stepped") {
    for (const auto set : {3600s, -3600s, 5s, -5s}) {
        Server s;
        s.ahead = 10s;
        (void)s.says_for(5min, 1'370ms);
        const auto before = s.skew.estimate();
        s.our_clock = set;
        s.elapsed += 1s;
        CHECK(s.says() == Verdict::steady);
        CHECK(near(s.skew.estimate(), before - set, 1s));
        CHECK(s.says_for(5min, 1'370ms) == Verdict::steady);
    }
}

TEST_CASE("reset forgets everything") {
    Server s;
    s.ahead = 50s;
    (void)s.says();
    s.skew.reset();
    CHECK_FALSE(s.skew.known());
}
