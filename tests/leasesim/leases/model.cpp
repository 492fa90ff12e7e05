#include "tests/leasesim/leases/model.hpp"

#include "tests/leasesim/leases/hash.hpp"
#include "tests/leasesim/leases/life.hpp"

#include <algorithm>
#include <cassert>

namespace leasemirror::leasesim {

namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::uint64_t units_for(const ModelOptions& o) {
    if (o.family == Family::v4) return o.bindings;
    // Four units have 1 + 2 + 1 + 3 = 7 leases; the last unit may lack some of its own.
    constexpr std::uint64_t begun[7] = {0, 1, 2, 2, 3, 4, 4};
    return o.bindings / 7 * 4 + begun[o.bindings % 7];
}

}  // namespace

LeaseModel::LeaseModel(const ModelOptions& options, UtcMillis t0)
    : options_(options), t0_(t0), churn_(options.seed, units_for(options), options.churn, t0), clock_(options.skew) {
    assert(options.bindings > 0 && options.links > 0 && options.links <= 4096 && options.relays > 0 &&
           options.unrelayed_one_in > 0);
    assert(options.family == Family::v6 ||
           options.bindings / (options.vpns + 1) + 2 <= (std::uint64_t{1} << (32U - options.v4_prefix_len)));
    assert(options.family == Family::v4 || units() < 0x1000000);
    assert(options.units_per_client > 0 && (options.family == Family::v4 || options.units_per_client <= options.links));
}

UtcMillis LeaseModel::instant(std::uint64_t unit, std::uint64_t visit, seconds age) const {
    return visit == 0 ? t0_ - age : churn_.visit_time(unit, visit);
}

void LeaseModel::state_of(std::uint64_t unit, UtcMillis now, UnitState& out) const {
    std::uint8_t held_before = 0;
    const auto life = life_after(unit, churn_.visits(unit, now), held_before);
    out.unit = unit;
    out.as_of = now;
    out.configured = configured(unit, now);
    out.first_binding = first_binding(unit);
    out.size = unit_size(unit);
    out.held = life.held;
    out.ended = static_cast<std::uint8_t>(held_before & ~life.held);
    out.state = life.state;
    out.source = life.source;
    out.known_client = life.known_client;
    // What was so at the beginning became so in the hour before, the state up to a month before.
    const seconds seen_age{1 + static_cast<std::int64_t>(roll(unit, 0, 6) % 3600)};
    const seconds since_age = seen_age + seconds{static_cast<std::int64_t>(roll(unit, 0, 7) % 2'592'000)};
    out.last_seen.reset();
    if (life.seen)
        out.last_seen = instant(unit, life.seen_visit, life.state == BindingState::active ? seen_age : since_age);
    out.since = instant(unit, life.since_visit, life.state == BindingState::active ? since_age : seen_age);
    if (life.expired_by_visit)  // a lease expires when it was to; churn may have become slower meanwhile
        if (const auto planned = churn_.planned_next(unit, life.since_visit - 1); planned && *planned < out.since)
            out.since = *planned;
    out.changed = out.last_seen ? std::max(*out.last_seen, out.since) : out.since;
    set_lifetimes(life, out);
    set_identity(life, out);
    if (family() == Family::v4)
        set_relay_v4(life, out);
    else
        set_relay_v6(life, out);
    if (options_.absolute_times) keep_written(out, now);
    lapse(out, now);
    if (!out.configured) take_away(out);
}

bool LeaseModel::configured(std::uint64_t unit, UtcMillis now) const {
    return std::none_of(removed_.begin(), removed_.end(),
                        [&](const Removed& r) { return r.at <= now && unit >= r.first && unit < r.end; });
}

void LeaseModel::unconfigure(std::uint64_t count, UtcMillis now) {
    const auto first = roll(removed_.size(), 0, 10) % units();
    auto end = first;
    for (std::uint64_t taken = 0; end < units() && taken < count; ++end)
        taken += unit_size(end);
    removed_.push_back({first, end, now});
}

void LeaseModel::take_away(UnitState& out) {
    out.held = out.ended = 0;
    out.state = BindingState::available;
    out.known_client = out.relayed = false;
    out.last_seen.reset();
    out.expires.reset();
    out.client_id.clear();
    out.hw_addr.clear();
}

/// What was written down before the clock stepped.
void LeaseModel::keep_written(UnitState& out, UtcMillis now) const {
    const auto kept = [&](UtcMillis at, UtcMillis written) { return at + clock_.offset(written) - clock_.offset(now); };
    for (auto* time : {&out.expires, &out.preferred_until, &out.renew_at, &out.rebind_at})
        if (*time) *time = kept(**time, *out.last_seen);
    if (out.last_seen) out.last_seen = kept(*out.last_seen, *out.last_seen);
    out.since = kept(out.since, out.since);
    out.changed = kept(out.changed, out.changed);
}

bool LeaseModel::apply(const ChurnEvent& event, UnitState& out) const {
    state_of(event.unit, event.at, out);
    return !event.tail || (out.state == BindingState::expired && out.since == event.at);
}

void LeaseModel::set_lifetimes(const Life& life, UnitState& out) const {
    out.expires.reset();
    out.preferred_until.reset();
    out.renew_at.reset();
    out.rebind_at.reset();
    if (life.state != BindingState::active) return;
    const auto granted = *out.last_seen;
    const auto planned = churn_.planned_next(life.unit, life.visit);
    const auto r = roll(life.unit, life.visit, 8);
    const bool ends_next = planned && expires_next(life);
    if (!ends_next && r % 50 == 0) return;  // infinite
    const auto reserve = hours{24} + seconds{static_cast<std::int64_t>(r % (6 * 86400))};
    out.expires = ends_next ? *planned : granted + 2 * churn_.round_at(life.unit, life.visit) + reserve;
    const auto length = *out.expires - granted;
    out.renew_at = granted + length / 2;
    out.rebind_at = granted + length / 8 * 7;
    if (options_.short_preferred)
        out.preferred_until = granted + length / 4;
    else
        out.preferred_until = ends_next ? *out.expires : *out.expires - std::min<milliseconds>(length / 5, hours{1});
}

void LeaseModel::lapse(UnitState& out, UtcMillis now) const {
    if (!out.expires || clock_.shown(*out.expires, now) > clock_.reads(now)) return;
    out.state = BindingState::expired;
    out.since = out.changed = *out.expires;
    out.ended = out.held;
    out.held = 0;
    out.expires.reset();
    out.preferred_until.reset();
    out.renew_at.reset();
    out.rebind_at.reset();
}

bool LeaseModel::changed_in(const UnitState& s, const QueryWindow& window) const {
    const auto within = [&](UtcMillis at) {
        const auto written = stamp(s, at);
        return (!window.start || written >= *window.start) && (!window.end || written <= *window.end);
    };
    // RFC 6926 §8.2: client-last-transaction-time or start-time-of-state; v6 knows one time of change.
    if (family() == Family::v6) return within(s.changed);
    return within(s.since) || (s.last_seen && within(*s.last_seen));
}

ServerTime LeaseModel::stamp(const UnitState& s, UtcMillis at) const {
    return options_.absolute_times ? clock_.shown(at, s.as_of) : clock_.stamped(at);
}

bool LeaseModel::changed_in(std::uint64_t binding, const QueryWindow& window, UtcMillis now) const {
    UnitState s;
    state_of(unit_of(binding), now, s);
    return changed_in(s, window);
}

void LeaseModel::truth(std::uint64_t binding, UtcMillis now, Binding& out,
                       std::span<const std::uint16_t> keep_options) const {
    UnitState s;
    state_of(unit_of(binding), now, s);
    fill(s, binding, now, out, keep_options);
}

Binding LeaseModel::truth(std::uint64_t binding, UtcMillis now, std::span<const std::uint16_t> keep_options) const {
    Binding b;
    truth(binding, now, b, keep_options);
    return b;
}

void LeaseModel::for_each_in_force(UtcMillis now, const std::function<void(const Binding&)>& visit,
                                   std::span<const std::uint16_t> keep_options) const {
    UnitState s;
    Binding b;
    for (std::uint64_t unit = 0; unit < units(); ++unit) {
        state_of(unit, now, s);
        for (unsigned j = 0; j < s.size; ++j) {
            if ((s.held >> j & 1U) == 0) continue;
            fill(s, s.first_binding + j, now, b, keep_options);
            visit(b);
        }
    }
}

std::uint64_t LeaseModel::count_in_force(UtcMillis now) const {
    UnitState s;
    std::uint64_t n = 0;
    for (std::uint64_t unit = 0; unit < units(); ++unit) {
        state_of(unit, now, s);
        for (unsigned j = 0; j < s.size; ++j)
            n += s.held >> j & 1U;
    }
    return n;
}

}  // namespace leasemirror::leasesim
