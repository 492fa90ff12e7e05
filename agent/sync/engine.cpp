#include "agent/sync/engine.hpp"

#include "agent/sync/clocks/whole_seconds.hpp"
#include "agent/sync/timers.hpp"

#include <algorithm>
#include <utility>

namespace leasemirror {

Engine::Engine(const Config& config, const std::vector<ResumePoint>& resume, const Bytes& requestor_duid,
               std::uint64_t seed)
    : slots_(config.limits.bulk_connections) {
    Jitter seeds(seed);
    const auto share = config.limits.queue_bytes / std::max<std::size_t>(config.servers.size(), 1);
    for (std::size_t i = 0; i < config.servers.size(); ++i) {
        SyncSettings settings{i, config.storage.batch, share, requestor_duid, seeds.next()};
        servers_.push_back(std::make_unique<ServerSync>(config.servers[i], resume[i], std::move(settings), slots_));
    }
}

void Engine::start(Now now) {
    passes(now);
    sweep_due_ = now.steady + sweep_interval;
    summon_jury();
    for (auto& server : servers_)
        server->start(now);
}

/// Nothing may be done by a clock that jumped before all know of it.
void Engine::passes(Now now) {
    now_ = now;
    const auto jumped = host_clock_.on_event(now);
    if (!jumped) return;
    for (auto& server : servers_)
        server->on_our_clock_jumped(*jumped, now);
    // What they have told was told by the clock of before.
    if (!jury_.sits()) return;
    jury_.dismiss();
    tell_jury_found(std::chrono::milliseconds{0});
}

void Engine::summon_jury() {
    std::vector<StartJury::Member> members;
    for (const auto& server : servers_)
        if (auto member = server->jury_member(now_)) members.push_back(std::move(*member));
    jury_.summon(members, now_.steady);
    if (!jury_.sits()) return;
    // Those whose clock tells nothing of ours, too: what they store before is not to be moved with what was there.
    for (auto& server : servers_)
        server->await_jury();
}

/// Whether it has found by now.
bool Engine::hear_jury() {
    if (!jury_.sits()) return false;
    for (std::size_t i = 0; i < servers_.size(); ++i)
        if (const auto& told = servers_[i]->testimony()) jury_.hear(i, *told);
    const auto ahead = jury_.find(now_.steady);
    if (ahead) tell_jury_found(*ahead);
    return ahead.has_value();
}

void Engine::tell_jury_found(std::chrono::milliseconds ahead) {
    for (auto& server : servers_)
        server->on_jury_found(ahead, now_);
}

void Engine::on_event(ConnectionKey connection, const ConnectionEvent& event, Now now) {
    passes(now);
    servers_[connection.server]->on_event(connection, event, now);
}

void Engine::on_committed(std::size_t server, Batch done, const Applied& applied, Now now) {
    passes(now);
    servers_[server]->on_committed(std::move(done), applied, now);
}

void Engine::on_swept(const Swept& swept, Now now) {
    passes(now);
    sweeping_ = false;
    sweep_due_ = now.steady + sweep_interval;
    removed_.removed_bindings += swept.removed_bindings;
    removed_.removed_changes += swept.removed_changes;
    removed_.removed_assignments += swept.removed_assignments;
    if (swept.around) report_retention();
}

void Engine::report_retention() {
    if (removed_.removed_bindings + removed_.removed_changes + removed_.removed_assignments == 0) return;
    if (removed_said_ && now_.steady < *removed_said_ + retention_report) return;
    removed_said_ = now_.steady;
    report_ = LogEvent{LogLevel::info,
                       "retention",
                       {{"bindings_removed", std::to_string(removed_.removed_bindings)},
                        {"changes_removed", std::to_string(removed_.removed_changes)},
                        {"assignments_removed", std::to_string(removed_.removed_assignments)}}};
    removed_ = {};
}

void Engine::on_deadline(Now now) {
    passes(now);
    for (auto& server : servers_) {
        const auto due = server->next_deadline();
        if (due && now.steady >= *due) server->on_deadline(now);
    }
}

void Engine::stop(Now now) {
    passes(now);
    stopping_ = true;
    jury_.dismiss();
    for (auto& server : servers_)
        server->stop(now);
}

bool Engine::done() const {
    return stopping_ && !sweeping_ &&
           std::all_of(servers_.begin(), servers_.end(), [](const auto& s) { return s->done(); });
}

std::optional<SyncAction> Engine::poll_action() {
    offer_slots();
    if (report_) return std::exchange(report_, std::nullopt);
    do {
        if (auto next = poll_servers()) return next;
    } while (hear_jury());
    if (!stopping_ && !sweeping_ && sweep_due_ && now_.steady >= *sweep_due_) {
        sweeping_ = true;
        sweep_due_.reset();
        sync_action::Sweep sweep{whole_seconds(now_), sweep_rows, {}};
        for (std::size_t i = 0; i < servers_.size(); ++i)
            if (servers_[i]->holds_expiry()) sweep.held.push_back(servers_[i]->id());
        return sweep;
    }
    return std::nullopt;
}

std::optional<SyncAction> Engine::poll_servers() {
    for (std::size_t tried = 0; tried < servers_.size(); ++tried) {
        const auto i = turn_;
        turn_ = (turn_ + 1) % servers_.size();
        if (auto next = servers_[i]->poll_action()) return next;
    }
    return std::nullopt;
}

/// Slots that came free go to those who wait, each in turn.
void Engine::offer_slots() {
    for (std::size_t tried = 0; tried < servers_.size() && slots_.any_free(); ++tried) {
        auto& server = *servers_[slot_turn_];
        slot_turn_ = (slot_turn_ + 1) % servers_.size();
        if (server.wants_slot()) {
            server.on_slot_free(now_);
            return;  // one at a time: it takes what it needs when it is polled next
        }
    }
}

std::optional<SteadyTime> Engine::next_deadline() const {
    Earliest first;
    if (!stopping_) first.consider(sweep_due_);
    first.consider(jury_.deadline());
    for (const auto& server : servers_)
        first.consider(server->next_deadline());
    return first.get();
}

std::size_t Engine::wants_bytes(ConnectionKey connection) const {
    return servers_[connection.server]->wants_bytes(connection);
}

}  // namespace leasemirror
