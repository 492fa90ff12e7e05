#include "agent/sync/clocks/stored.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace std::chrono_literals;
using Finding = StoredClock::Finding;

namespace {

constexpr UtcMillis began{1'700'000'000s};

/// Our clock jumped ahead by two hours at `began`, and a server that shows what ours showed before.
struct Jumped {
    StoredClock clock = StoredClock::afresh(false);
    bool slept;

    explicit Jumped(bool it_slept) : slept(it_slept) { clock.on_jump_ahead(2h); }

    /// `after` the jump; the message was built `late` before.
    Finding hears(std::chrono::seconds after, std::chrono::seconds asked, std::chrono::seconds late = 0s,
                  bool built_after_asked = true) {
        const auto now = clock.read({SteadyTime{} + after, began + 2h + after});
        const auto theirs = began + after - late + (slept ? 2h : 0h);
        const ServerTime base{std::chrono::floor<std::chrono::seconds>(theirs.time_since_epoch())};
        return clock.judge({base, std::nullopt, SteadyTime{} + asked, true, built_after_asked}, Skew{0}, now);
    }
};

}  // namespace

TEST_CASE("without a jump there is nothing to find, and the clock is read as it is") {
    auto clock = StoredClock::afresh(false);
    CHECK_FALSE(clock.is_undecided());
    CHECK(clock.may_expire());
    CHECK(clock.read({SteadyTime{}, began}).utc == began);
    CHECK(clock.judge({ServerTime{1s}, std::nullopt, {}, true, true}, Skew{0}, {SteadyTime{}, began}) == Finding::none);
}

TEST_CASE("after a jump ahead all goes on in the clock of before, and nothing expires") {
    auto clock = StoredClock::afresh(false);
    clock.on_jump_ahead(2h);
    CHECK(clock.is_undecided());
    CHECK_FALSE(clock.may_expire());
    CHECK(clock.read({SteadyTime{}, began + 2h}).utc == began);
    CHECK(clock.decide() == 2h);
    CHECK(clock.may_expire());
    CHECK(clock.read({SteadyTime{}, began + 2h}).utc == began + 2h);
}

TEST_CASE("a server that did not jump with us: our clock was set") {
    CHECK(Jumped(false).hears(10s, 9s) == Finding::was_set);
}

TEST_CASE("a server that is ahead by as much as we jumped: the host slept, however late the message") {
    CHECK(Jumped(true).hears(10s, 9s) == Finding::slept);
    CHECK(Jumped(true).hears(600s, 0s, 500s) == Finding::slept);
}

TEST_CASE("a message that may be from before the jump proves nothing") {
    CHECK(Jumped(false).hears(10s, 9s, 0s, false) == Finding::none);  // built before we asked, maybe
    CHECK(Jumped(true).hears(10s, -7200s, 7205s) == Finding::none);   // it lay in our socket while we slept
}

TEST_CASE("at a start nothing expires before the first message, and after a fresh start before a full read") {
    auto started = StoredClock::at_start(std::nullopt, false);
    CHECK_FALSE(started.may_expire());
    started.on_heard();
    CHECK(started.may_expire());
    auto afresh = StoredClock::afresh(true);
    afresh.on_heard();
    CHECK_FALSE(afresh.may_expire());
    afresh.on_read(7);
    CHECK_FALSE(afresh.may_expire());  // it is told, and not written
    afresh.on_committed(7);
    CHECK(afresh.may_expire());
}

TEST_CASE("a full read that a fresh start waits for is waited for after a restart, too, jury or none") {
    auto clock = StoredClock::at_start(UtcSeconds{1'700'000'000s}, true);
    clock.await_jury();
    clock.on_found();
    clock.on_heard();
    clock.let_expire();
    CHECK_FALSE(clock.may_expire());
    CHECK_FALSE(clock.was_read());
    clock.on_read(7);
    clock.on_committed(7);
    CHECK(clock.may_expire());
    CHECK(clock.was_read());
}

TEST_CASE("a clock that shows less than when the agent wrote last was set back meanwhile") {
    const auto clock = StoredClock::at_start(UtcSeconds{1'700'000'100s}, false);
    CHECK(clock.went_back({SteadyTime{}, began}));
    CHECK_FALSE(clock.went_back({SteadyTime{}, began + 200s}));
}
