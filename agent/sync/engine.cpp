#include "agent/sync/engine.hpp"

#include "agent/sync/clocks/whole_seconds.hpp"
#include "agent/sync/timers.hpp"

#include <algorithm>
#include <utility>

namespace leasemirror {

Engine::Engine(const Config& config, const std::vector<ResumePoint>& resume, const Bytes& requestor_duid,
               std::uint64_t seed)
    : common_{config.storage.batch, config.limits.queue_bytes, requestor_duid, Jitter(seed)},
      slots_(config.limits.bulk_connections) {
    for (std::size_t i = 0; i < config.servers.size(); ++i)
        put(i, config.servers[i], resume[i]);
    share_memory();
}

void Engine::put(std::size_t server, const ServerConfig& config, const ResumePoint& resume) {
    if (server >= servers_.size()) servers_.resize(server + 1);
    auto& slot = servers_[server];
    if (slot.sync) slot.connections_before = slot.sync->connections_so_far();
    // All the memory, until it is shared out.
    SyncSettings settings{server,
                          common_.batch,
                          common_.queue_bytes,
                          common_.requestor_duid,
                          common_.seeds.next(),
                          slot.connections_before};
    slot.sync = std::make_unique<ServerSync>(config, resume, std::move(settings), slots_);
    slot.orders = resume.orders;
    slot.reopens = slot.retires = false;
}

/// An equal part to each of what may wait: half of limits.queue_bytes, since what is at work on it, the writers' copies and
/// the allocator's leftovers take about as much again.
void Engine::share_memory() {
    std::size_t worked = 0;
    for_each([&](const ServerSync&) { ++worked; });
    for_each([&](ServerSync& server) { server.set_queue_bytes(common_.queue_bytes / 2 / worked); });
}

void Engine::start(Now now) {
    passes(now);
    sweep_due_ = now.steady + sweep_interval;
    summon_jury();
    for (const auto& slot : servers_)
        if (slot.sync) begin(*slot.sync, slot.orders);
}

void Engine::begin(ServerSync& server, const Orders& orders) {
    if (orders.paused) return server.pause(now_);
    server.start(now_);
    server.on_resync_asked(orders.resync, now_);
}

/// Nothing may be done by a clock that jumped before all know of it.
void Engine::passes(Now now) {
    now_ = now;
    const auto jumped = host_clock_.on_event(now);
    if (!jumped) return;
    for_each([&](ServerSync& server) { server.on_our_clock_jumped(*jumped, now); });
    // What they have told was told by the clock of before.
    if (!jury_.sits()) return;
    jury_.dismiss();
    tell_jury_found(std::chrono::milliseconds{0});
}

void Engine::summon_jury() {
    std::vector<StartJury::Member> members;
    for (const auto& slot : servers_) {
        if (slot.orders.paused) continue;
        if (auto member = slot.sync->jury_member(now_)) members.push_back(std::move(*member));
    }
    jury_.summon(members, now_.steady);
    if (!jury_.sits()) return;
    // Those whose clock tells nothing of ours, too: what they store before is not to be moved with what was there.
    for_each([](ServerSync& server) { server.await_jury(); });
}

/// Whether it has found by now.
bool Engine::hear_jury() {
    if (!jury_.sits()) return false;
    for (std::size_t i = 0; i < servers_.size(); ++i)
        if (works(i) && servers_[i].sync->testimony()) jury_.hear(i, *servers_[i].sync->testimony());
    const auto ahead = jury_.find(now_.steady);
    if (ahead) tell_jury_found(*ahead);
    return ahead.has_value();
}

void Engine::tell_jury_found(std::chrono::milliseconds ahead) {
    for_each([&](ServerSync& server) { server.on_jury_found(ahead, now_); });
}

void Engine::on_event(ConnectionKey connection, const ConnectionEvent& event, Now now) {
    passes(now);
    if (works(connection.server)) servers_[connection.server].sync->on_event(connection, event, now);
}

void Engine::on_committed(std::size_t server, Batch done, const Applied& applied, Now now) {
    passes(now);
    servers_[server].sync->on_committed(std::move(done), applied, now);
}

void Engine::on_swept(const Swept& swept, Now now) {
    passes(now);
    sweeping_ = false;
    sweep_due_ = now.steady + sweep_interval;
    removed_.removed_bindings += swept.removed_bindings;
    removed_.removed_changes += swept.removed_changes;
    removed_.removed_assignments += swept.removed_assignments;
    if (swept.around) report_retention();
    if (!stopping_) follow(swept.orders);
}

/// `orders`: of those servers of which anything is asked.
void Engine::follow(const std::vector<ServerOrders>& orders) {
    for (auto& slot : servers_) {
        if (!slot.sync || slot.retires) continue;
        auto& server = *slot.sync;
        const auto found = std::find_if(orders.begin(), orders.end(),
                                        [&](const ServerOrders& asked) { return asked.server == server.id(); });
        const auto asked = found == orders.end() ? Orders{} : found->orders;
        const auto before = std::exchange(slot.orders, asked);
        if (asked.paused && !server.is_paused()) server.pause(now_);
        if (!asked.paused && before.paused) slot.reopens = true;
        if (!server.is_paused()) server.on_resync_asked(asked.resync, now_);
    }
}

/// What becomes of a server whose end is in the database by now.
std::optional<SyncAction> Engine::poll_ended() {
    if (stopping_) return std::nullopt;
    for (std::size_t i = 0; i < servers_.size(); ++i) {
        auto& slot = servers_[i];
        if (!slot.sync || !slot.sync->done()) continue;
        if (slot.retires) {
            slot.connections_before = slot.sync->connections_so_far();
            slot.sync.reset();
            share_memory();
            return sync_action::Retired{i};
        }
        if (std::exchange(slot.reopens, false)) return sync_action::Reopen{i};
    }
    return std::nullopt;
}

void Engine::open(std::size_t server, const ServerConfig& config, const ResumePoint& resume, Now now) {
    passes(now);
    if (stopping_) return;
    put(server, config, resume);
    share_memory();
    begin(*servers_[server].sync, resume.orders);
}

void Engine::retire(std::size_t server, Now now) {
    passes(now);
    servers_[server].retires = true;
    servers_[server].sync->stop(now);
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
    for_each([&](ServerSync& server) {
        const auto due = server.next_deadline();
        if (due && now.steady >= *due) server.on_deadline(now);
    });
}

void Engine::stop(Now now) {
    passes(now);
    stopping_ = true;
    jury_.dismiss();
    for_each([&](ServerSync& server) { server.stop(now); });
}

bool Engine::done() const {
    return stopping_ && !sweeping_ &&
           std::all_of(servers_.begin(), servers_.end(), [](const Slot& s) { return !s.sync || s.sync->done(); });
}

std::optional<SyncAction> Engine::poll_action() {
    offer_slots();
    if (report_) return std::exchange(report_, std::nullopt);
    do {
        if (auto next = poll_servers()) return next;
    } while (hear_jury());
    if (auto next = poll_ended()) return next;
    if (!stopping_ && !sweeping_ && sweep_due_ && now_.steady >= *sweep_due_) {
        sweeping_ = true;
        sweep_due_.reset();
        sync_action::Sweep sweep{whole_seconds(now_), sweep_rows, {}};
        for_each([&](const ServerSync& server) {
            if (server.holds_expiry()) sweep.held.push_back(server.id());
        });
        return sweep;
    }
    return std::nullopt;
}

std::optional<SyncAction> Engine::poll_servers() {
    for (std::size_t tried = 0; tried < servers_.size(); ++tried) {
        const auto i = turn_;
        turn_ = (turn_ + 1) % servers_.size();
        if (!works(i)) continue;
        if (auto next = servers_[i].sync->poll_action()) return next;
    }
    return std::nullopt;
}

/// Slots that came free go to those who wait, each in turn.
void Engine::offer_slots() {
    for (std::size_t tried = 0; tried < servers_.size() && slots_.any_free(); ++tried) {
        const auto i = slot_turn_;
        slot_turn_ = (slot_turn_ + 1) % servers_.size();
        if (works(i) && servers_[i].sync->wants_slot()) {
            servers_[i].sync->on_slot_free(now_);
            return;  // one at a time: it takes what it needs when it is polled next
        }
    }
}

std::optional<SteadyTime> Engine::next_deadline() const {
    Earliest first;
    if (!stopping_) first.consider(sweep_due_);
    first.consider(jury_.deadline());
    for (const auto& slot : servers_)
        if (slot.sync) first.consider(slot.sync->next_deadline());
    return first.get();
}

std::size_t Engine::wants_bytes(ConnectionKey connection) const {
    return works(connection.server) ? servers_[connection.server].sync->wants_bytes(connection) : 0;
}

}  // namespace leasemirror
