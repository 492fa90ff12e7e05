#include "agent/sync/clocks/skew.hpp"

#include <doctest/doctest.h>

#include <algorithm>

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
        const auto verdict = skew.on_base_time({base, fresh_from, asked_at, prompt, true}, now());
        if (verdict != Verdict::doubtful) fresh_from = fresh_from ? std::max(*fresh_from, base) : base;
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
    /// So many messages in a row, a second apart, until one is not steady and not doubtful.
    Verdict witnesses(int times, std::chrono::milliseconds late = 0ms) {
        auto verdict = Verdict::doubtful;
        for (int i = 0; i < times && verdict == Verdict::doubtful; ++i) {
            elapsed += 1s;
            verdict = says(late);
        }
        return verdict;
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
    s.elapsed += 5s;
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
        CHECK(s.witnesses(2) == Verdict::doubtful);
        CHECK(s.witnesses(1) == Verdict::stepped_back);
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
    s.ahead = -10s;
    CHECK(s.witnesses(2) == Verdict::doubtful);
    CHECK(s.witnesses(1) == Verdict::stepped_back);
    CHECK(near(s.skew.estimate(), -10s, 1s));
}

TEST_CASE(
    "base-times that trail each other by a few seconds are no step: servers queue messages, and NTP sets clocks") {
    Server s;
    (void)s.says_for(10s, 1s);
    const auto now = s.now();
    const auto highest = *s.fresh_from;
    CHECK(s.skew.on_base_time({highest - 5s, highest, s.asked_at, true, true}, now) == Verdict::steady);
    CHECK(s.skew.on_base_time({highest - 6s, highest, s.asked_at, true, true}, now) == Verdict::doubtful);
}

TEST_CASE("one message with an absurd base-time is one bad message, whichever way") {
    for (const auto off : {std::chrono::hours{24 * 365 * 74}, std::chrono::hours{-24 * 365 * 50}, 1h, -1h}) {
        Server s;
        s.ahead = 3s;
        (void)s.says_for(2min, 1s);
        const auto before = s.skew.estimate();
        const auto base = *s.fresh_from + off;
        CHECK(s.skew.on_base_time({base, s.fresh_from, s.asked_at, true, true}, s.now()) == Verdict::doubtful);
        CHECK(s.skew.estimate() == before);
        CHECK(s.says_for(10min, 20s) == Verdict::steady);
        CHECK(near(s.skew.estimate(), before, 1s));
    }
}

TEST_CASE("absurd base-times that do not agree are no step, however many") {
    Server s;
    (void)s.says_for(2min, 1s);
    for (int i = 1; i < 20; ++i) {
        s.elapsed += 1s;
        const auto base = *s.fresh_from + i * 1h;
        CHECK(s.skew.on_base_time({base, s.fresh_from, s.asked_at, true, true}, s.now()) == Verdict::doubtful);
    }
    CHECK(s.says() == Verdict::steady);
}

TEST_CASE("a constant delay of five seconds is no step, when it begins and when it ends") {
    Server s;
    (void)s.says_for(5min, 1'370ms);
    CHECK(s.says_for(2h, 1'370ms, 5s) == Verdict::steady);
    CHECK(s.says_for(5min, 1'370ms) == Verdict::steady);
    CHECK(near(s.skew.estimate(), 0s, 1s));
}

TEST_CASE("what was built earlier may be told in the catch-up phase, but not before the start that we asked from") {
    Server s;
    (void)s.says_for(10s, 1s);
    const auto start = *s.fresh_from - 1h;
    s.asks();
    CHECK(s.skew.on_base_time({start + 10min, start, s.asked_at, false, false}, s.now()) == Verdict::steady);
    CHECK(s.skew.on_base_time({start - 1min, start, s.asked_at, false, false}, s.now()) == Verdict::doubtful);
    CHECK(near(s.skew.estimate(), 0s, 1s));
}

TEST_CASE("a clock that was set ahead while the agent was away is noticed by the first messages") {
    Server s;
    s.skew = ClockSkew(Skew{0});
    s.ahead = 600s;
    s.asks();
    CHECK(s.witnesses(3) == Verdict::stepped_forward);
}

TEST_CASE(
    "what the first answer told against the clock counts until later ones say otherwise, however seldom they come") {
    Server s;
    s.asks();
    CHECK(s.says() == Verdict::steady);
    s.elapsed += 1h;
    s.ahead = -35s;
    s.asks();
    s.fresh_from.reset();
    CHECK(s.says() == Verdict::doubtful);
    s.elapsed += 60s;
    CHECK(s.says() == Verdict::doubtful);
    s.elapsed += 60s;
    CHECK(s.says() == Verdict::stepped_back);
    CHECK(near(s.skew.estimate(), -35s, 1s));
    // An absurd one is forgotten with the next that is right.
    Server other;
    other.asks();
    CHECK(other.says() == Verdict::steady);
    other.elapsed += 1s;
    other.ahead = -35s;
    CHECK(other.says() == Verdict::doubtful);
    other.ahead = 0s;
    other.elapsed += 60s;
    CHECK(other.says() == Verdict::steady);
    other.elapsed += 60s;
    CHECK(other.says(35s) == Verdict::steady);
}

TEST_CASE("a clock that went back while nothing was asked shows as two windows that are low by the same") {
    Server s;
    (void)s.says_for(2min, 5s);
    s.elapsed += 1h;
    s.ahead = -100s;
    s.fresh_from.reset();
    CHECK(s.says_for(5min, 5s) == Verdict::stepped_back);
}

TEST_CASE("a step forward is told once, when three messages agree on it") {
    Server s;
    (void)s.says_for(2min, 1'370ms);
    s.ahead = 600s;
    CHECK(s.witnesses(2) == Verdict::doubtful);
    CHECK(s.witnesses(1) == Verdict::stepped_forward);
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
        s.skew.on_our_clock_moved(set);
        s.elapsed += 1s;
        CHECK(s.says() == Verdict::steady);
        CHECK(near(s.skew.estimate(), before - set, 1s));
        CHECK(s.says_for(5min, 1'370ms) == Verdict::steady);
    }
}
