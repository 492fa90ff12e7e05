// What the world is made of, and what goes wrong in it: every choice is drawn from the seed.
#include "tests/sim/world.hpp"

#include <algorithm>
#include <iostream>
#include <utility>

namespace leasemirror::sim {

using leasesim::EndEncoding;
using leasesim::Fault;
using leasesim::FaultKind;
using leasesim::Personality;
using namespace std::chrono_literals;

namespace {

/// Faults of single messages and requests that a mirror can recover from without a later change of the same binding.
/// Not here: broken relay data, which costs the columns of the relay for good.
constexpr FaultKind message_faults[] = {
    FaultKind::tiny_writes,
    FaultKind::hold_frames,
    FaultKind::truncated_frame,
    FaultKind::zero_length_frame,
    FaultKind::wrong_xid,
    FaultKind::missing_server_id,
    FaultKind::split_option_82,
    FaultKind::overloaded_options,
    FaultKind::nul_in_status,
    FaultKind::no_catch_up_complete,
    FaultKind::silence,
    FaultKind::close_in_catch_up,
    FaultKind::unassigned_with_lease_time,
    FaultKind::data_before_reply,
    FaultKind::second_reply,
    FaultKind::done_for_foreign_xid,
    FaultKind::no_client_time,
    FaultKind::foreign_client_id,
    FaultKind::garbage_message,
    FaultKind::data_missing,
    FaultKind::refuse,
    FaultKind::cut,
    FaultKind::done_with_error,
    FaultKind::query_terminated,
};

/// One world in four is in haste: a whole recovery, and many changes, fit into one second of base-time, which then puts
/// nothing in order. Its seconds count for this many.
constexpr std::int64_t haste_of_some = 60;

/// One server in four knows bulk alone, and is polled. Not from chance_: what the seeds of other servers draw stays the
/// same.
bool make_bulk_only(Jitter& chance, Personality& personality, ServerConfig& server) {
    const auto below = [&](std::uint64_t n) { return chance.next() % n; };
    if (below(4) != 0) return false;
    personality.on_active = below(2) == 0 ? leasesim::OnActive::refuse : leasesim::OnActive::close;
    if (below(3) != 0) server.bulk.window_interval = server.bulk.poll_interval / static_cast<int>(2 + below(8));
    if (below(2) == 0) server.mode = SyncMode::bulk;
    if (server.family == Family::v6) {
        personality.ignores_times = below(3) == 0;
        personality.preferred_unreduced = below(3) == 0;
        if (below(3) == 0) personality.end = EndEncoding::nothing;
    }
    return true;
}

/// Of a server's clock, in one step: what is less passes for a slow message or a second not yet full.
constexpr std::chrono::milliseconds smallest_step_back = ClockSkew::step_min + 2s;

}  // namespace

void World::make_database() {
    DatabaseOptions options;
    options.engine = options_.engine;
    options.record_renewals = one_in(2);
    if (one_in(4)) {  // things past are removed while all the rest goes on
        options.retention.ended = std::chrono::seconds{60 + below(1200)};
        options.retention.changes = std::chrono::seconds{60 + below(1200)};
        options.retention.assignments = std::chrono::seconds{60 + below(1200)};
    }
    database_.emplace(options);
    if (!database_->is_sqlite()) writers_ = 1 + below(3);
}

void World::make_servers() {
    if (Jitter(~options_.seed).next() % 4 == 0) {  // not from chance_: seeds of ordinary worlds keep their meaning
        haste_ = haste_of_some;
        options_.troubled /= haste_;
        config_.storage.batch.delay = 200ms;  // long enough for much to come between the parts of one batch
    }
    const auto count = 1 + below(3);
    config_.storage.batch.rows = static_cast<std::uint32_t>(1 + below(200));
    config_.limits.bulk_connections = static_cast<std::uint32_t>(1 + below(4));
    config_.limits.queue_bytes = 2 * 64 * 1024 * (1 + below(64));  // of which half may wait
    for (std::size_t i = 0; i < count; ++i) {
        leasesim::ServerOptions options;
        auto& model = options.model;
        model.family = one_in(2) ? Family::v4 : Family::v6;
        model.bindings = 20 + below(one_in(5) ? 2000 : 300);
        model.seed = chance_.next();
        model.churn = hasty_churn(0.05 + static_cast<double>(below(200)) / 100, model.bindings);
        model.skew = one_in(2) ? Skew{0} : Skew{static_cast<std::int64_t>(below(200'000)) - 100'000};
        model.links = static_cast<unsigned>(1 + below(4));
        model.vpns = one_in(4) ? 1 : 0;
        model.v4_base = IpAddress::v4(0x0a000000 + static_cast<std::uint32_t>(i << 16));
        model.v4_prefix_len = 16;
        options.history_age = std::chrono::seconds{60 + below(1200)};
        if (one_in(3)) options.history_events = 5 + below(100);
        auto& personality = options.personality;
        personality.all_leases_together = one_in(2);
        personality.relay_data_outside = one_in(4) && !personality.all_leases_together;
        personality.end = static_cast<EndEncoding>(below(4));  // (e) is silence: nothing there to be equal to
        personality.success = static_cast<leasesim::SuccessStatus>(below(3));
        if (personality.end == EndEncoding::snapshot) personality.all_leases_together = true;
        options.chunk_bytes = 200 + below(8000);

        ServerConfig server;
        server.name = "s" + std::to_string(i);
        server.family = model.family;
        server.address = "model " + std::to_string(i);
        server.timeouts.retry /= haste_;
        server.bulk.poll_interval /= haste_;
        server.bulk.max_connections = static_cast<std::uint32_t>(1 + below(4));
        server.client_data = personality.end == EndEncoding::snapshot ? ClientData::snapshot : ClientData::delta;
        if (make_bulk_only(kinds_, options.personality, server)) {
            bulk_only_.insert(i);
            ++stats_.bulk_only;
        }
        make_odd(i, options, server);
        servers_.push_back(std::make_unique<leasesim::ModelServer>(options, began_));
        begin_odd(i);
        if (model.family == Family::v6) {
            server.bulk.covers = BulkCovers::all;
            for (unsigned link = 0; link < model.links; ++link) {
                BulkQuery query;
                query.kind = QueryKind::link;
                query.address = servers_.back()->model().link_address(link);
                server.bulk.queries.push_back(query);
            }
        }
        config_.servers.push_back(std::move(server));
    }
}

std::optional<std::string> World::run() {
    start_agent();
    schedule_trouble();
    schedule_odd();
    run_until(began_ + options_.troubled);
    heal();
    const auto last = now_ + options_.to_heal;
    auto verdict = wrong_;
    while (!wrong_ && now_ < last) {
        run_until(now_ + 5min);
        verdict = wrong_ ? wrong_ : difference();
        if (!verdict) break;
        trace("not equal yet: " + *verdict);
    }
    for (const auto& server : servers_)
        stats_.bindings += server->model().count_in_force(now_);
    if (!verdict) verdict = database_->fault_of_history(true, stats_.host_clock_steps > 0);
    if (!verdict) verdict = judge_assignments();
    if (!verdict) verdict = database_->finish_feed();
    stats_.feed_rows += database_->feed_rows_seen();
    if (!verdict) verdict = verify_all();
    return verdict;
}

void World::schedule_trouble() {
    after(up_to(one_in(3) ? 3min : 20s) / haste_, [this] {
        if (!troubled_) return;
        strike();
        schedule_trouble();
    });
}

void World::strike() {
    const auto server = below(servers_.size());
    switch (below(8)) {
        case 0:
            if (one_in(4)) return stop_agent();
            if (one_in(4) && !database_->is_sqlite()) {
                ++stats_.terminations;
                trace("the sessions of the agent are terminated");
                return database_->terminate_sessions();
            }
            return engine_ ? crash_agent() : void();
        case 1:
            if (one_in(2) && database_->is_sqlite()) return lose_commits();
            ++stats_.store_faults;
            store_down_until_ = now_ + up_to(one_in(3) ? 5min : 20s) / haste_;
            return trace("database away until " + std::to_string(store_down_until_.time_since_epoch().count() / 1000));
        case 2:
        case 3: {
            if (wires_.empty()) return;
            auto wire = wires_.begin();
            std::advance(wire, below(wires_.size()));
            if (one_in(2)) return stall(wire->first);
            ++stats_.drops;
            trace("connection drops");
            return break_wire(wire->first, "dropped by the simulation");
        }
        default:
            return strike_server(server);
    }
}

void World::strike_server(std::size_t server) {
    auto& model = *servers_[server];
    switch (below(12)) {
        case 0:
            ++stats_.restarts;
            trace("server " + std::to_string(server) + " restarts, its history is lost");
            change_support(server);
            model.restart(now_);
            break;
        case 1:
            ++stats_.restarts;
            trace("server " + std::to_string(server) + " shuts down");
            model.shutdown(now_);
            after((1s + up_to(3min)) / haste_, [this, server] {
                servers_[server]->restart(now_);
                trace("server " + std::to_string(server) + " is back");
            });
            break;
        case 2:
            step_clock(server, std::chrono::milliseconds{static_cast<std::int64_t>(below(400'000)) - 200'000});
            break;
        case 3: {
            if (!one_in(3)) break;
            ++stats_.identities;
            trace("server " + std::to_string(server) + " gets another identity");
            const auto v4 = config_.servers[server].family == Family::v4;
            const auto octet = static_cast<std::uint8_t>(below(250));
            model.set_identity(v4 ? Bytes{192, 0, 2, octet} : Bytes{0, 3, 0, 1, 2, 0, 0, 0, 0, octet});
            model.restart(now_);
            break;
        }
        case 4:
            trace("churn of server " + std::to_string(server) + " changes");
            model.set_churn(hasty_churn(static_cast<double>(below(300)) / 100, model.model().bindings()), now_);
            break;
        default: {
            ++stats_.server_faults;
            Fault fault;
            fault.kind = message_faults[below(std::size(message_faults))];
            if (fault.kind == FaultKind::silence) {
                fault.arg = static_cast<std::int64_t>(1 + below(200));
                silent_until_[server] = now_ + 400s;
            }
            if (fault.kind == FaultKind::data_missing) fault.arg = static_cast<std::int64_t>(1 + below(60));
            trace("server " + std::to_string(server) + " is given fault " +
                  std::to_string(static_cast<int>(fault.kind)));
            model.inject(fault);
            break;
        }
    }
    for (const auto& key : wires_of(server)) {
        pump(key);
    }
}

/// A server that knew bulk alone comes back as a version that knows active leasequery, or the other way round. Not one
/// that cannot, because it has no base-times or does not tell what ended.
void World::change_support(std::size_t server) {
    const auto& personality = servers_[server]->options().personality;
    if (!bulk_only_.contains(server) || kinds_.next() % 3 != 0) return;
    if (personality.ignores_times || personality.end == EndEncoding::nothing) return;
    const auto serves = personality.on_active == leasesim::OnActive::serve;
    trace("server " + std::to_string(server) + (serves ? " forgets" : " learns") + " active leasequery");
    ++stats_.support_changes;
    servers_[server]->set_on_active(serves ? leasesim::OnActive::close : leasesim::OnActive::serve);
}

/// Not so much that one lease changes twice within a second: one that is shorter than that never was in force, as a
/// clock of whole seconds sees it.
double World::hasty_churn(double rate, std::uint64_t bindings) const {
    const auto units_at_least = static_cast<double>(bindings) / 2;  // of the model: what changes as one
    return haste_ == 1 ? rate : std::min(rate * static_cast<double>(haste_), units_at_least / 2);
}

/// A message that is on its way while the server's clock steps keeps a base-time of the old clock, and nothing can tell
/// that from the new one: the times it tells are off until it is told again. That is known, so it is not tried here. Nor
/// is a step back that is too small to be told from slow messages (ClockSkew::step_min): where nobody listened, what
/// changes next bears a time that we have already seen, and no query asks for it. Nor are two steps, back and forth, in
/// one absence of the agent: what changed in between may bear a time that we have already seen, too.
void World::step_clock(std::size_t server, std::chrono::milliseconds by) {
    if (by < 0s && by > -smallest_step_back) by -= smallest_step_back;
    if (now_ < silent_until_[server]) return;  // the model makes the messages of a silence as if before it
    if (step_unknown_since_.contains(server)) return;
    const auto keys = wires_of(server);
    if (std::any_of(keys.begin(), keys.end(), [this](const auto& key) { return has_octets_on_the_way(key); })) {
        return after(1s, [this, server, by] {
            if (troubled_) step_clock(server, by);
        });
    }
    ++stats_.clock_steps;
    trace("clock of server " + std::to_string(server) + " steps by " + std::to_string(by.count()) + " ms");
    servers_[server]->step_clock(by, now_);
    database_->forget_copy();  // a base-time of that age would be of another clock, and nothing could tell
    clock_stepped_.insert(server);
    // Back and forth, before the first of the two was believed, is one step, of their sum.
    const auto before = std::exchange(last_step_[server], {now_, by});
    const auto sum = before.by != 0ms && now_ < before.at + ClockSkew::window ? before.by + by : by;
    last_step_[server].by = sum;
    if (sum < 0s && sum > -ClockSkew::window)
        stepped_back_a_little_[server] += std::chrono::ceil<std::chrono::seconds>(-sum);
    step_unknown_since_[server] = host_now();
}

/// Nothing goes wrong from here on. Every connection is made anew, since some faults would last as long as theirs.
void World::heal() {
    trace("the world heals");
    troubled_ = false;
    store_down_until_ = now_;
    for (std::size_t i = 0; i < servers_.size(); ++i) {
        servers_[i]->clear_faults();
        if (!servers_[i]->accepting()) servers_[i]->restart(now_);
        after(up_to(5min) / haste_, [this, i] { servers_[i]->stop_churn(now_); });
    }
    std::vector<WireKey> keys;
    for (const auto& [key, wire] : wires_)
        keys.push_back(key);
    for (const auto& key : keys)
        break_wire(key, "the simulation heals");
}

}  // namespace leasemirror::sim
