#include "agent/sync/engine.hpp"

#include "agent/sync/clocks/whole_seconds.hpp"
#include "agent/sync/timers.hpp"

#include <algorithm>
#include <utility>

namespace leasemirror {

Engine::Engine(const Config& config, const std::vector<ResumePoint>& resume, const Bytes& requestor_duid,
               std::uint64_t seed)
    : batch_(config.storage.batch),
      queue_share_(config.limits.queue_bytes / std::max<std::size_t>(config.servers.size(), 1)),
      requestor_duid_(requestor_duid),
      seeds_(seed),
      slots_(config.limits.bulk_connections) {
    for (std::size_t i = 0; i < config.servers.size(); ++i) {
        servers_.push_back(make(i, config.servers[i], resume[i], 0));
        orders_.push_back(resume[i].orders);
    }
}

std::unique_ptr<ServerSync> Engine::make(std::size_t server, const ServerConfig& config, const ResumePoint& resume,
                                         std::uint64_t connections_before) {
    SyncSettings settings{server, batch_, queue_share_, requestor_duid_, seeds_.next(), connections_before};
    return std::make_unique<ServerSync>(config, resume, std::move(settings), slots_);
}

void Engine::start(Now now) {
    passes(now);
    sweep_due_ = now.steady + sweep_interval;
    summon_jury();
    for (std::size_t i = 0; i < servers_.size(); ++i)
        begin(*servers_[i], orders_[i]);
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
    for (auto& server : servers_)
        server->on_our_clock_jumped(*jumped, now);
    // What they have told was told by the clock of before.
    if (!jury_.sits()) return;
    jury_.dismiss();
    tell_jury_found(std::chrono::milliseconds{0});
}

void Engine::summon_jury() {
    std::vector<StartJury::Member> members;
    for (std::size_t i = 0; i < servers_.size(); ++i) {
        if (orders_[i].paused) continue;
        if (auto member = servers_[i]->jury_member(now_)) members.push_back(std::move(*member));
    }
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
    if (!stopping_) follow(swept.orders);
}

/// `orders`: of those servers of which anything is asked.
void Engine::follow(const std::vector<ServerOrders>& orders) {
    for (std::size_t i = 0; i < servers_.size(); ++i) {
        auto& server = *servers_[i];
        const auto found = std::find_if(orders.begin(), orders.end(),
                                        [&](const ServerOrders& asked) { return asked.server == server.id(); });
        const auto asked = found == orders.end() ? Orders{} : found->orders;
        const auto before = std::exchange(orders_[i], asked);
        if (asked.paused && !server.is_paused()) server.pause(now_);
        if (!asked.paused && before.paused && !is_reopening(i)) reopening_.push_back(i);
        if (!server.is_paused()) server.on_resync_asked(asked.resync, now_);
    }
}

bool Engine::is_reopening(std::size_t server) const {
    return std::find(reopening_.begin(), reopening_.end(), server) != reopening_.end();
}

/// One whose end is in the database by now.
std::optional<SyncAction> Engine::poll_reopening() {
    if (stopping_) return std::nullopt;
    const auto next = std::find_if(reopening_.begin(), reopening_.end(), [&](auto i) { return servers_[i]->done(); });
    if (next == reopening_.end()) return std::nullopt;
    const sync_action::Reopen action{*next};
    reopening_.erase(next);
    return action;
}

void Engine::reopen(std::size_t server, const ServerConfig& config, const ResumePoint& resume, Now now) {
    passes(now);
    if (stopping_) return;
    servers_[server] = make(server, config, resume, servers_[server]->connections_so_far());
    orders_[server] = resume.orders;
    begin(*servers_[server], resume.orders);
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
    if (auto next = poll_reopening()) return next;
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
