#include "tests/leasesim/leases/model.hpp"

#include "tests/leasesim/peer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

using namespace leasemirror;
using namespace leasemirror::leasesim;
using namespace std::chrono_literals;

namespace {

ModelOptions options(Family family, std::uint64_t n, double churn) {
    ModelOptions o;
    o.family = family;
    o.bindings = n;
    o.churn = churn;
    o.seed = 42;
    return o;
}

}  // namespace

TEST_CASE("churn in closed form equals its replay event by event, through changes of rate") {
    for (const std::uint64_t units : {1U, 2U, 7U, 30U}) {
        Churn churn(units, units, 10, t0);
        churn.set_rate(0, t0 + 5s);
        churn.set_rate(33, t0 + 8s);
        churn.set_rate(1, t0 + 9s);
        std::map<std::uint64_t, std::uint64_t> visits;
        auto cursor = churn.cursor_after(t0);
        std::uint64_t total = 0;
        std::optional<UtcMillis> last;
        while (const auto event = churn.peek(cursor)) {
            if (event->at > t0 + 60s) break;
            CHECK((!last || *last <= event->at));
            last = event->at;
            churn.advance(cursor, *event);
            if (event->tail) continue;
            ++total;
            const auto v = ++visits[event->unit];
            CHECK(churn.visit_time(event->unit, v) == event->at);
            CHECK(churn.visits(event->unit, event->at) >= v);
            CHECK(churn.visits(event->unit, event->at - 1ms) <= v - (units > 1 ? 1 : 0));
        }
        CHECK(churn.events_by(t0 + 60s) == total);
        CHECK(total == 50 + 33 + 51);
        for (std::uint64_t u = 0; u < units; ++u)
            CHECK(churn.visits(u, t0 + 60s) == visits[u]);
    }
}

TEST_CASE("every unit is visited once in a round") {
    const Churn churn(5, 1000, 100, t0);
    std::set<std::uint64_t> seen;
    auto cursor = churn.cursor_after(t0);
    for (int i = 0; i < 1000; ++i) {
        const auto event = churn.peek(cursor);
        seen.insert(event->unit);
        churn.advance(cursor, *event);
    }
    CHECK(seen.size() == 1000);
}

TEST_CASE("a bound on history in events finds the time before the last of them") {
    Churn churn(5, 100, 10, t0);
    const auto at = churn.time_before_last(20, t0 + 60s);
    CHECK(churn.events_between(at, t0 + 60s) <= 20);
    CHECK(churn.events_between(at - 1ms, t0 + 60s) > 20);
}

TEST_CASE("a stepped clock stamps by what it showed then and shows by what it shows now") {
    SteppedClock clock(2s);
    clock.step(-1h, t0 + 10min);
    CHECK(clock.reads(t0) == ServerTime{1'760'000'002s});
    CHECK(clock.stamped(t0 + 5min) == ServerTime{1'760'000'302s});
    CHECK(clock.shown(t0 + 5min, t0 + 20min) == ServerTime{1'760'000'302s - 1h});
    CHECK(clock.earliest_stamped(ServerTime{1'760'000'302s}) == t0 + 5min);
    CHECK(clock.earliest_stamped(ServerTime{1'760'000'302s + 10min}) == t0 + 75min);
}

TEST_CASE("states follow each other plausibly, and nothing depends on the order of asking") {
    for (const auto family : {Family::v4, Family::v6}) {
        const LeaseModel model(options(family, 70, 10), t0);
        std::set<BindingState> states;
        UnitState before, now_state, again;
        std::set<Bytes> clients;
        for (std::uint64_t unit = 0; unit < model.units(); ++unit) {
            model.state_of(unit, t0, before);
            for (std::uint64_t visit = 1; visit < 60; ++visit) {
                const auto at = model.churn().visit_time(unit, visit);
                model.state_of(unit, at, now_state);
                states.insert(now_state.state);
                CHECK((now_state.held != 0) == (now_state.state == BindingState::active));
                CHECK(now_state.since <= at);
                CHECK((!now_state.last_seen || *now_state.last_seen <= at));
                CHECK(now_state.changed > before.changed - 1ms);
                if (now_state.state == BindingState::expired && before.state == BindingState::active) {
                    REQUIRE(before.expires);
                    CHECK(*before.expires == at);
                    CHECK(now_state.since == at);
                }
                if (now_state.held != 0 && now_state.expires) CHECK(*now_state.expires > at);
                model.state_of(unit, at, again);
                CHECK(again.client_id.chars() == now_state.client_id.chars());
                before = now_state;
            }
        }
        CHECK(states.size() == (family == Family::v4 ? 8 : 3));
    }
}

TEST_CASE("a lease that was to expire at its next visit expires by the clock when churn has stopped") {
    for (const auto family : {Family::v4, Family::v6}) {
        LeaseModel model(options(family, 700, 100), t0);
        model.stop_churn(t0 + 3s);
        std::uint64_t expired = 0;
        UnitState s;
        for (auto cursor = model.churn().cursor_after(t0 + 3s); const auto event = model.churn().peek(cursor);) {
            CHECK(event->tail);
            if (model.apply(*event, s)) ++expired;
            model.churn().advance(cursor, *event);
        }
        CHECK(expired > 10);
        std::uint64_t before = 0, after = 0;
        for (std::uint64_t u = 0; u < model.units(); ++u) {
            model.state_of(u, t0 + 3s, s);
            before += s.held != 0 ? 1U : 0U;
            model.state_of(u, t0 + 30s, s);
            after += s.held != 0 ? 1U : 0U;
        }
        // Those of the running second count as expired before their very millisecond.
        CHECK(before - after <= expired);
        CHECK(before - after + 20 >= expired);
    }
}

TEST_CASE("names are unique, found again, and lie on their links") {
    for (const auto family : {Family::v4, Family::v6}) {
        auto o = options(family, 1000, 0);
        if (family == Family::v4) o.vpns = 2;
        const LeaseModel model(o, t0);
        std::set<BindingKey> keys;
        for (std::uint64_t i = 0; i < model.bindings(); ++i) {
            const auto b = model.truth(i, t0);
            CHECK(keys.insert(b.key).second);
            const auto n = model.name(i);
            if (n.vpn == 0) CHECK(model.find(n.address) == i);
            if (family == Family::v6) CHECK(model.find_link(n.address) == model.link_of(model.unit_of(i)));
            const auto unit = model.unit_of(i);
            CHECK(model.first_binding(unit) <= i);
            CHECK(i < model.first_binding(unit) + model.unit_size(unit));
        }
        CHECK(model.unit_of(model.bindings() - 1) == model.units() - 1);
    }
}

TEST_CASE("ten million bindings take no memory of their size") {
    static_assert(sizeof(LeaseModel) < 1024);
    for (const auto family : {Family::v4, Family::v6}) {
        const LeaseModel model(options(family, 10'000'000, 5000), t0);
        const auto now = t0 + 24h * 30;
        // Events count from their whole millisecond on: here five of them share one.
        CHECK(model.churn().events_by(now) - 5000ULL * 86'400 * 30 < 5);
        for (const std::uint64_t i : {0ULL, 1ULL, 4'999'999ULL, 9'999'999ULL}) {
            const auto b = model.truth(i, now);
            CHECK(b.client_last_seen.value_or(model.server_now(now)) <= model.server_now(now));
            CHECK(model.find(b.key.address) == i);
        }
    }
}

TEST_CASE("windows are inclusive and compare with the clock of the change") {
    LeaseModel model(options(Family::v4, 100, 1), t0);
    model.step_clock(-1h, t0 + 50s);
    UnitState s;
    model.state_of(model.churn().peek(model.churn().cursor_after(t0 + 20s))->unit, t0 + 30s, s);
    const auto stamp = model.clock().stamped(s.changed);
    CHECK(model.changed_in(s, {stamp, stamp}));
    CHECK_FALSE(model.changed_in(s, {stamp + 1s, std::nullopt}));
    CHECK(model.changed_in(s, {std::nullopt, stamp}));
}
