#include "agent/sync/support.hpp"
#include "tests/agent/sync/words.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;

namespace {

using Refusal = Support::Refusal;

constexpr auto retry = 60s;  // timeouts.retry

Now after(std::chrono::milliseconds span) {
    return {SteadyTime{1h} + span, UtcMillis{std::chrono::seconds{t0}} + span};
}
UtcSeconds utc(std::chrono::seconds span) {
    return UtcSeconds{std::chrono::seconds{t0}} + span;
}

Support support(SyncMode mode = SyncMode::automatic, const ServerSupport& stored = {}, bool can_poll = true) {
    auto config = server_v4();
    config.mode = mode;
    config.timeouts.retry = retry;
    Support out(config, can_poll, stored);
    out.start(after(0s));
    return out;
}

std::optional<std::chrono::milliseconds> due(const Support& s) {
    const auto at = s.next_deadline(SteadyTime::min());
    if (!at) return std::nullopt;
    return std::chrono::floor<std::chrono::milliseconds>(*at - after(0s).steady);
}

/// The next of several silent refusals, each after an answer to a bulk query.
Refusal refused_after_bulk(Support& s, Now now) {
    s.on_bulk_answered();
    return s.on_active_refused_silently(now);
}

}  // namespace

// ---- modes --------------------------------------------------------------------------------------------------------

TEST_CASE("a server of which nothing is known is followed, and there is nothing to ask anew") {
    for (const auto mode : {SyncMode::automatic, SyncMode::active}) {
        const auto s = support(mode);
        CHECK_FALSE(s.is_polling());
        CHECK_FALSE(s.has_no_windows());
        CHECK_FALSE(due(s));
    }
}

TEST_CASE("mode bulk polls from the start and never asks for an active query") {
    auto s = support(SyncMode::bulk, {true, true, utc(0s)});
    CHECK(s.is_polling());
    CHECK_FALSE(s.on_deadline(after(365 * 24h)));
    CHECK(s.is_polling());
}

TEST_CASE("mode bulk asks for no active query either when an old 'no' is forgotten") {
    auto s = support(SyncMode::bulk, {false, {}, utc(-48h)});
    CHECK_FALSE(s.on_deadline(after(0s)));
    CHECK_FALSE(s.known().active);
    CHECK(s.is_polling());
}

TEST_CASE("mode active never polls, whatever the server says or was stored of it") {
    auto s = support(SyncMode::active, {false, {}, utc(0s)});
    CHECK_FALSE(s.is_polling());
    CHECK_FALSE(s.on_active_not_supported(after(0s)));
    for (int i = 0; i < 10; ++i)
        CHECK(refused_after_bulk(s, after(0s)) == Refusal::put_off);
    CHECK_FALSE(s.is_polling());
    CHECK_FALSE(s.on_deadline(after(25h)));
}

TEST_CASE("a server that cannot be polled is followed whatever it says") {
    auto s = support(SyncMode::automatic, {false, {}, utc(0s)}, false);
    CHECK_FALSE(s.is_polling());
    CHECK_FALSE(s.on_active_not_supported(after(0s)));
    CHECK(s.on_active_refused_silently(after(0s)) == Refusal::put_off);
    CHECK_FALSE(s.is_polling());
}

TEST_CASE("an active query refused by another status is asked again when it may be, and the server polled until then") {
    auto s = support();
    CHECK(s.on_active_refused(after(0s)));
    CHECK(s.is_polling());
    CHECK(s.known() == ServerSupport{});
    CHECK(due(s) == 10 * retry);
    CHECK(s.active_pacing().due() == after(10 * retry).steady);
    CHECK(s.on_deadline(after(10 * retry)));
    CHECK_FALSE(support(SyncMode::active).on_active_refused(after(0s)));
    CHECK_FALSE(support(SyncMode::automatic, {}, false).on_active_refused(after(0s)));
}

TEST_CASE(
    "the disorder of a server's messages is remembered, with a second for what base-times leave out, up to a bound") {
    auto s = support();
    CHECK(s.disorder() == 0s);
    s.on_disorder(2s);
    CHECK(s.known().disorder == 3s);
    s.on_disorder(1s);
    CHECK(s.disorder() == 3s);
    s.on_disorder(40s);
    CHECK(s.disorder() == Change::disorder_window);
    CHECK(support(SyncMode::active, s.known()).disorder() == Change::disorder_window);
}

// ---- a 'no' lasts a day -------------------------------------------------------------------------------------------

TEST_CASE("NotSupported is believed at once, and for a day; then the active query is asked again") {
    auto s = support();
    CHECK(s.on_active_not_supported(after(1h)));
    CHECK(s.is_polling());
    CHECK(s.known() == ServerSupport{false, {}, utc(1h)});
    CHECK(due(s) == 25h);
    CHECK_FALSE(s.on_deadline(after(25h - 1ms)));
    CHECK(s.is_polling());
    CHECK(s.on_deadline(after(25h)));
    CHECK_FALSE(s.is_polling());
    CHECK(s.known() == ServerSupport{});
    CHECK_FALSE(due(s));
    CHECK_FALSE(s.on_deadline(after(25h)));  // once
}

TEST_CASE("a stored 'no' is good for what is left of its day") {
    auto s = support(SyncMode::automatic, {false, {}, utc(-3h)});
    CHECK(s.is_polling());
    CHECK(due(s) == 21h);
    CHECK_FALSE(s.on_deadline(after(21h - 1ms)));
    CHECK(s.on_deadline(after(21h)));
    CHECK_FALSE(s.is_polling());
}

TEST_CASE("a stored 'no' of the day before is asked anew at once") {
    auto s = support(SyncMode::automatic, {false, {}, utc(-25h)});
    CHECK(due(s) == 0ms);
    CHECK(s.on_deadline(after(0s)));
    CHECK_FALSE(s.is_polling());
    CHECK_FALSE(s.known().active);
}

TEST_CASE("a stored 'no' from our own future, or without a time, lasts a day and no longer") {
    CHECK(due(support(SyncMode::automatic, {false, {}, utc(1000h)})) == 24h);
    const auto s = support(SyncMode::automatic, {false, {}, {}});
    CHECK(due(s) == 24h);
    CHECK(s.known().seen_at == utc(0s));
}

TEST_CASE("a stored 'yes' is nothing to ask anew") {
    const auto s = support(SyncMode::automatic, {true, true, utc(-1000h)});
    CHECK_FALSE(due(s));
    CHECK(s.known() == ServerSupport{true, true, utc(-1000h)});
}

TEST_CASE("a day after a stored 'no' one silent refusal with a bulk answer before it confirms it") {
    auto s = support(SyncMode::automatic, {false, {}, utc(-24h)});
    REQUIRE(s.on_deadline(after(0s)));
    CHECK(refused_after_bulk(s, after(1min)) == Refusal::now_polled);
    CHECK(s.known().active == false);
}

TEST_CASE("the next deadline is one after the moment that is given: what was due then has been tried") {
    auto s = support();
    REQUIRE(s.on_active_not_supported(after(0s)));
    CHECK(s.next_deadline(after(24h).steady - 1ms) == after(24h).steady);
    CHECK_FALSE(s.next_deadline(after(24h).steady));
}

// ---- silent refusals ----------------------------------------------------------------------------------------------

TEST_CASE("a server that has answered an active query before is borne four silent refusals; the fifth is polled") {
    auto s = support();
    s.on_active_answered(after(0s));
    CHECK(s.known() == ServerSupport{true, {}, utc(0s)});
    for (int i = 0; i < 4; ++i) {
        CHECK(refused_after_bulk(s, after(1min)) == Refusal::borne);
        CHECK_FALSE(s.is_polling());
    }
    CHECK(refused_after_bulk(s, after(1min)) == Refusal::now_polled);
    CHECK(s.is_polling());
    CHECK_FALSE(s.known().active);  // not a 'no': it is not known any more
    CHECK(due(s) == 1min + 10 * retry);
    CHECK(s.on_deadline(after(1min + 10 * retry)));
}

TEST_CASE("an answer in between begins the count of silent refusals anew") {
    auto s = support();
    for (int round = 0; round < 3; ++round) {
        s.on_active_answered(after(0s));
        for (int i = 0; i < 4; ++i)
            CHECK(s.on_active_refused_silently(after(0s)) == Refusal::borne);
    }
}

TEST_CASE("after the fifth refusal the proof begins from nothing") {
    auto s = support();
    s.on_active_answered(after(0s));
    for (int i = 0; i < 5; ++i)
        (void)s.on_active_refused_silently(after(0s));
    for (int i = 0; i < 2; ++i) {
        (void)refused_after_bulk(s, after(0s));
        CHECK_FALSE(s.known().active);
    }
    (void)refused_after_bulk(s, after(0s));
    CHECK(s.known().active == false);
}

TEST_CASE("silent refusals prove nothing while no bulk query is answered: the server may refuse everything") {
    auto s = support();
    for (int i = 0; i < 20; ++i) {
        CHECK(s.on_active_refused_silently(after(i * 10 * retry)) == Refusal::now_polled);
        CHECK_FALSE(s.known().active);
        CHECK(due(s) == (i + 1) * 10 * retry);
        CHECK(s.on_deadline(after((i + 1) * 10 * retry)));
    }
}

TEST_CASE("refusals that proved nothing do not count towards the proof, however many there were") {
    auto s = support();
    for (int i = 0; i < 20; ++i)
        (void)s.on_active_refused_silently(after(0s));
    for (int i = 0; i < 2; ++i) {
        (void)refused_after_bulk(s, after(0s));
        CHECK_FALSE(s.known().active);
    }
    (void)refused_after_bulk(s, after(0s));
    CHECK(s.known().active == false);
}

TEST_CASE("one answer to a bulk query is no proof for two refusals") {
    auto s = support();
    s.on_bulk_answered();
    for (int i = 0; i < 20; ++i)
        (void)s.on_active_refused_silently(after(0s));
    CHECK_FALSE(s.known().active);
}

TEST_CASE("the third silent refusal with a bulk answer between each is a 'no', for a day") {
    auto s = support();
    for (int i = 0; i < 2; ++i) {
        CHECK(refused_after_bulk(s, after(0s)) == Refusal::now_polled);
        CHECK_FALSE(s.known().active);
        CHECK(due(s) == 10 * retry);
    }
    CHECK(refused_after_bulk(s, after(1h)) == Refusal::now_polled);
    CHECK(s.known() == ServerSupport{false, {}, utc(1h)});
    CHECK_FALSE(s.on_deadline(after(25h - 1ms)));
    CHECK(s.on_deadline(after(25h)));
}

TEST_CASE("an active query that is answered after a 'no' makes it a 'yes'") {
    auto s = support();
    REQUIRE(s.on_active_not_supported(after(0s)));
    REQUIRE(s.on_deadline(after(24h)));
    s.on_active_answered(after(24h));
    CHECK(s.known() == ServerSupport{true, {}, utc(24h)});
}

// ---- windows ------------------------------------------------------------------------------------------------------

TEST_CASE("whether a server heeds a start time is news once, and a 'no' is forgotten after a day") {
    auto s = support();
    CHECK(s.on_windows(true, after(0s)));
    CHECK_FALSE(s.on_windows(true, after(1s)));
    CHECK_FALSE(s.has_no_windows());
    CHECK_FALSE(due(s));
    CHECK(s.on_windows(false, after(1h)));
    CHECK_FALSE(s.on_windows(false, after(2h)));
    CHECK(s.has_no_windows());
    CHECK(s.known() == ServerSupport{{}, false, utc(1h)});
    CHECK(due(s) == 25h);
    CHECK_FALSE(s.on_deadline(after(25h)));  // the active query has nothing to do with it
    CHECK_FALSE(s.has_no_windows());
    CHECK(s.known() == ServerSupport{});
}

TEST_CASE("a stored 'no' to windows alone leaves the server followed") {
    auto s = support(SyncMode::automatic, {true, false, utc(-3h)});
    CHECK_FALSE(s.is_polling());
    CHECK(s.has_no_windows());
    CHECK_FALSE(s.on_deadline(after(21h)));
    CHECK(s.known() == ServerSupport{true, {}, utc(-3h)});
}

TEST_CASE("both share one time: that of a 'no', and of two the older") {
    SUBCASE("no, then yes") {
        auto s = support();
        (void)s.on_windows(false, after(1h));
        s.on_active_answered(after(2h));
        CHECK(s.known() == ServerSupport{true, false, utc(1h)});
    }
    SUBCASE("yes, then no") {
        auto s = support();
        s.on_active_answered(after(1h));
        (void)s.on_windows(false, after(2h));
        CHECK(s.known() == ServerSupport{true, false, utc(2h)});
    }
    SUBCASE("no, then no") {
        auto s = support();
        (void)s.on_windows(false, after(1h));
        (void)s.on_active_not_supported(after(2h));
        CHECK(s.known() == ServerSupport{false, false, utc(1h)});
        CHECK(due(s) == 25h);
        CHECK(s.on_deadline(after(25h)));  // both are asked anew
        CHECK(s.known() == ServerSupport{});
    }
    SUBCASE("the same again changes nothing") {
        auto s = support();
        s.on_active_answered(after(1h));
        s.on_active_answered(after(2h));
        CHECK(s.known() == ServerSupport{true, {}, utc(1h)});
    }
}
