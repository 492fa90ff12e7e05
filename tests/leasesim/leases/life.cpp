#include "tests/leasesim/leases/life.hpp"

#include "tests/leasesim/leases/hash.hpp"

#include <array>

namespace leasemirror::leasesim {

namespace {

struct Weighted {
    double up_to;
    Action action;
};

template <std::size_t N>
Action pick(const std::array<Weighted, N>& table, double x) {
    for (const auto& w : table)
        if (x < w.up_to) return w.action;
    return table.back().action;
}

constexpr std::array<Weighted, 12> active_v4{{{0.46, Action::renew},
                                              {0.52, Action::change_source},
                                              {0.58, Action::change_relay},
                                              {0.63, Action::change_remote},
                                              {0.68, Action::change_name},
                                              {0.76, Action::release},
                                              {0.88, Action::expire},
                                              {0.92, Action::assign},
                                              {0.94, Action::abandon},
                                              {0.96, Action::reset},
                                              {0.98, Action::transition},
                                              {1.00, Action::hand_over}}};
constexpr std::array<Weighted, 9> active_v6{{{0.50, Action::renew},
                                             {0.58, Action::change_relay},
                                             {0.64, Action::change_remote},
                                             {0.70, Action::change_name},
                                             {0.78, Action::release},
                                             {0.88, Action::expire},
                                             {0.91, Action::assign},
                                             {0.97, Action::release_one},
                                             {1.00, Action::come_back}}};

}  // namespace

Action action_v4(bool active, BindingState state, bool known_client, double x) {
    if (active) return pick(active_v4, x);
    if (x < 0.18 && known_client && state != BindingState::abandoned) return Action::come_back;
    if (x < 0.34 && state != BindingState::available) return Action::free;
    if (x < 0.38 && state == BindingState::available) return Action::hand_over;
    return Action::assign;
}

Action action_v6(bool active, bool known_client, double x) {
    if (active) return pick(active_v6, x);
    return x < 0.3 && known_client ? Action::come_back : Action::assign;
}

std::uint64_t LeaseModel::roll(std::uint64_t unit, std::uint64_t visit, std::uint64_t salt) const {
    return mix(mix(options_.seed, unit), (visit << 8U) ^ salt);
}

LeaseModel::Life LeaseModel::begin_block(std::uint64_t unit, std::uint64_t visit) const {
    Life life;
    life.unit = unit;
    life.visit = visit;
    life.all = static_cast<std::uint8_t>((1U << unit_size(unit)) - 1U);
    life.state = BindingState::active;
    life.held = life.all;
    life.known_client = life.seen = true;
    life.client = roll(unit - unit % options_.units_per_client, visit, 1);
    life.relay = life.remote = life.name = visit;
    life.seen_visit = life.since_visit = visit;
    return life;
}

LeaseModel::Life LeaseModel::initial(std::uint64_t unit) const {
    auto life = begin_block(unit, 0);
    const auto r = roll(unit, 0, 2);
    if (family() == Family::v4 && roll(unit, 0, 3) % 8 == 0) life.source = DataSource::remote;
    if (fraction(r) < options_.occupied) return life;
    life.held = 0;
    constexpr std::array<BindingState, 8> idle{
        BindingState::available, BindingState::available, BindingState::available, BindingState::available,
        BindingState::expired,   BindingState::released,  BindingState::remote,    BindingState::abandoned};
    // A v6 server has no record of an address without a client, or of a client that is gone.
    life.state = family() == Family::v6 ? BindingState::available : idle[roll(unit, 0, 4) % idle.size()];
    life.known_client = life.seen = life.state != BindingState::available && life.state != BindingState::remote;
    return life;
}

void LeaseModel::step(Life& life, std::uint64_t unit, std::uint64_t visit) const {
    const auto x = fraction(roll(unit, visit, 5));
    const bool active = life.state == BindingState::active;
    const auto action = family() == Family::v4 ? action_v4(active, life.state, life.known_client, x)
                                               : action_v6(active, life.known_client, x);
    const auto end = [&](BindingState state, bool client_spoke) {
        life.state = state;
        life.held = 0;
        life.since_visit = visit;
        if (client_spoke) life.seen_visit = visit;
        life.expired_by_visit = state == BindingState::expired;
    };
    life.visit = visit;
    switch (action) {
        case Action::assign:
            life = begin_block(unit, visit);
            return;
        case Action::come_back:
            if (!active) life.since_visit = visit;
            life.state = BindingState::active;
            life.held = life.all;
            life.expired_by_visit = false;
            break;
        case Action::renew:
            break;
        case Action::change_source:
            life.source = life.source == DataSource::local ? DataSource::remote : DataSource::local;
            break;
        case Action::change_relay:
            life.relay = visit;
            break;
        case Action::change_remote:
            life.remote = visit;
            break;
        case Action::change_name:
            life.name = visit;
            break;
        case Action::release_one:
            if (life.all != 1 && (life.held & (life.held - 1U)) != 0)
                life.held &= static_cast<std::uint8_t>(life.all >> 1U);
            if (life.held == 0) life.held = 1;
            break;
        case Action::release:
            return end(BindingState::released, true);
        case Action::expire:
            return end(BindingState::expired, false);
        case Action::abandon:
            return end(BindingState::abandoned, true);
        case Action::reset:
            return end(BindingState::reset, false);
        case Action::transition:
            return end(BindingState::transitioning, false);
        case Action::hand_over:
            end(BindingState::remote, false);
            life.known_client = life.seen = false;
            return;
        case Action::free:
            end(BindingState::available, false);
            life.known_client = life.seen = false;
            return;
    }
    life.seen = true;
    life.seen_visit = visit;
}

LeaseModel::Life LeaseModel::life_after(std::uint64_t unit, std::uint64_t visits, std::uint8_t& held_before) const {
    const auto block = visits / visits_per_block * visits_per_block;
    auto life = block == 0 ? initial(unit) : begin_block(unit, block);
    held_before = life.held;
    for (auto visit = block + 1; visit <= visits; ++visit) {
        held_before = life.held;
        step(life, unit, visit);
    }
    return life;
}

bool LeaseModel::expires_next(const Life& life) const {
    const auto visit = life.visit + 1;
    if (life.state != BindingState::active || visit % visits_per_block == 0) return false;
    const auto x = fraction(roll(life.unit, visit, 5));
    const auto action = family() == Family::v4 ? action_v4(true, life.state, true, x) : action_v6(true, true, x);
    return action == Action::expire;
}

}  // namespace leasemirror::leasesim
