// Servers that are odd, and the trouble that came later: see oddities.hpp.
#include "tests/sim/wire.hpp"

#include <algorithm>

namespace leasemirror::sim {

using leasesim::AllVpns;
using leasesim::Fault;
using leasesim::FaultKind;
using leasesim::OnActive;
using leasesim::Unreadable;
using namespace std::chrono_literals;

namespace {

bool one_of(Jitter& chance, std::uint64_t n) {
    return chance.next() % n == 0;
}

}  // namespace

/// The stream of one kind of oddity, for one server or, with none, for the world.
Jitter World::odd_chance(Oddity oddity, std::size_t server) const {
    return Jitter(options_.seed * 1'000'003 + static_cast<std::uint64_t>(oddity) * 1009 + server * 101 + 7);
}

/// Whether the world has it at all; then `chance` is what follows in its stream.
bool World::has(Oddity oddity, std::size_t server, std::uint64_t one_in_n, Jitter& chance) const {
    chance = odd_chance(oddity, server);
    return !options_.without.contains(oddity) && chance.next() % one_in_n == 0;
}

/// What a server is like for as long as it runs.
void World::make_odd(std::size_t server, leasesim::ServerOptions& options, ServerConfig& config) {
    auto& p = options.personality;
    Jitter chance(0);
    const bool v4 = config.family == Family::v4;
    p.absolute_expiries = has(Oddity::absolute_expiries, server, 4, chance);
    p.stale_catch_up = has(Oddity::stale_catch_up, server, 6, chance);
    if (p.stale_catch_up)
        options.messages_per_second = static_cast<double>(20 + chance.next() % 80);  // or it is over at once
    p.options_twice = has(Oddity::options_twice, server, 12, chance);
    if (v4) p.late_identity = has(Oddity::late_identity, server, 5, chance);
    if (!v4) p.late_end_of_former = has(Oddity::late_end, server, 5, chance);
    if (!v4 && options.model.links > 1 && has(Oddity::several_links, server, 3, chance))
        options.model.units_per_client = static_cast<unsigned>(2 + chance.next() % (options.model.links - 1));
    if (has(Oddity::unrelayed, server, 6, chance))
        options.model.unrelayed_one_in = static_cast<unsigned>(2 + chance.next() % 3);
    if (v4 && has(Oddity::vpns_unreached, server, 8, chance)) {
        options.model.vpns = 1;
        p.all_vpns = one_of(chance, 2) ? AllVpns::refuse : AllVpns::ignore;
        unreached_vpns_.insert(server);
    }
    if (bulk_only_.contains(server) && has(Oddity::active_not_allowed, server, 3, chance)) {
        p.on_active = OnActive::not_allowed;
        config.mode = SyncMode::automatic;
    }
}

/// What it does from its beginning on.
void World::begin_odd(std::size_t server) {
    Jitter chance(0);
    auto& model = *servers_[server];
    if (has(Oddity::reorder, server, 6, chance)) model.set_reorder(500ms + chance.up_to(1500ms));
    trace_oddities(server);
    if (!has(Oddity::unreadable, server, 8, chance)) return;
    const auto binding = chance.next() % model.model().bindings();
    const auto what = one_of(chance, 2) ? Unreadable::stray_octet : Unreadable::everything;
    trace("server " + std::to_string(server) + ": messages about " + key_of(model.model().truth(binding, now_).key) +
          (what == Unreadable::everything ? " cannot be read" : " have a stray octet"));
    model.make_unreadable(binding, what);
}

void World::trace_oddities(std::size_t server) {
    const auto& model = *servers_[server];
    const auto& p = model.options().personality;
    std::string words;
    const auto say = [&](bool is_so, const char* word) { words += is_so ? std::string(" ") + word : ""; };
    say(p.absolute_expiries, "absolute-expiries");
    say(p.stale_catch_up, "stale-catch-up");
    say(p.options_twice, "options-twice");
    say(p.late_identity, "late-identity");
    say(p.late_end_of_former, "late-end");
    say(p.all_vpns != AllVpns::serve, "vpns-unreached");
    say(p.on_active == OnActive::not_allowed, "active-not-allowed");
    say(model.options().model.units_per_client > 1, "several-links");
    say(model.options().model.unrelayed_one_in < 16, "unrelayed");
    say(model.reorder().count() > 0, "reorder");
    if (!words.empty()) trace("server " + std::to_string(server) + " is odd:" + words);
}

void World::schedule_odd() {
    Jitter chance(0);
    for (const auto oddity : {Oddity::host_clock, Oddity::server_jitter, Oddity::unconfigured, Oddity::absurd_base_time,
                              Oddity::lease_in_ia})
        if (has(oddity, 0, 3, chance)) schedule_odd(oddity, chance);
}

/// A few times in the life of the world.
void World::schedule_odd(Oddity oddity, Jitter chance) {
    const auto pause = (1min + chance.up_to(15min)) / haste_;
    after(pause, [this, oddity, chance]() mutable {
        if (!troubled_) return;
        strike_odd(oddity, chance);
        schedule_odd(oddity, chance);
    });
}

void World::strike_odd(Oddity oddity, Jitter& chance) {
    const auto server = static_cast<std::size_t>(chance.next() % servers_.size());
    auto& model = *servers_[server];
    const auto either_way = [&](std::chrono::milliseconds most) {
        const auto by = chance.up_to(most);
        return one_of(chance, 2) ? -by : by;
    };
    const auto name = "server " + std::to_string(server);
    switch (oddity) {
        case Oddity::host_clock: {
            const auto by = either_way(one_of(chance, 2) ? std::chrono::milliseconds{60s} : 3h);
            const bool while_down = one_of(chance, 2);
            if (while_down && engine_) {
                step_host_at_start_ = by;
                return stop_agent();
            }
            return step_host_clock(by);
        }
        case Oddity::server_jitter:
            return jitter_clock(server, either_way(1500ms));
        case Oddity::unconfigured:
            if (!one_of(chance, 3)) return;
            trace("a range of " + name + " is taken out of its configuration, and it restarts");
            model.unconfigure(1 + chance.next() % (1 + model.model().bindings() / 10), now_);
            model.restart(now_);
            break;
        case Oddity::absurd_base_time: {
            Fault fault{FaultKind::absurd_base_time, one_of(chance, 2) ? 2100 : 1970, {}};
            trace(name + " is to send an absurd base-time");
            model.inject(fault);
            break;
        }
        default:
            trace(name + " is to send a lease inside an IA");
            model.inject(Fault{FaultKind::lease_in_ia, std::nullopt, {}});
            break;
    }
    for (const auto& key : wires_of(server))
        pump(key);
}

/// The clock of the host, and so of the database: the steady one does not step.
void World::step_host_clock(std::chrono::milliseconds by) {
    ++stats_.host_clock_steps;
    trace("the clock of the host steps by " + std::to_string(by.count()) + " ms");
    host_offset_ += by;
    host_offsets_.push_back(host_offset_);
    database_->forget_copy();  // what is in it is of another clock, and nothing could tell
    for (auto& [server, since] : step_unknown_since_)
        since += by;
    stepped_in_this_life_ = engine_ != nullptr;
    for (std::size_t i = 0; i < servers_.size(); ++i)
        unsettled_[i].reset();
}

/// Only while the agent hears the server: a change that bears a time which was seen before is not asked for.
void World::jitter_clock(std::size_t server, std::chrono::milliseconds by) {
    const auto keys = wires_of(server);
    const bool heard = std::any_of(keys.begin(), keys.end(), [this](const auto& key) {
        return find(key)->heard && find(key)->peer->is_active_query();
    });
    if (!heard || now_ < silent_until_[server] || step_unknown_since_.contains(server)) return;
    ++stats_.jitters;
    trace("clock of server " + std::to_string(server) + " jumps by " + std::to_string(by.count()) + " ms");
    servers_[server]->step_clock(by, now_);
    database_->forget_copy();
    clock_stepped_.insert(server);
}

}  // namespace leasemirror::sim
