// What the agent writes to the database, how that fails, and who reads meanwhile.
#include "storage/store_error.hpp"
#include "tests/sim/wire.hpp"

#include <utility>

namespace leasemirror::sim {

using namespace std::chrono_literals;

void World::perform(sync_action::Commit& a) {
    const auto unsettled = unsettled_.find(a.server);
    // What was told before the step is in batches of its own, before the one that moves the times.
    const auto moves = a.batch.our_clock_moved || a.batch.fresh_start;
    if (unsettled != unsettled_.end() && !unsettled->second && (moves || !stepped_in_this_life_))
        unsettled->second = a.batch.number;
    const auto desk = group_->writer_of(a.server);
    desks_[desk].steps.emplace_back(std::move(a));
    write_next(desk);
}

void World::perform(sync_action::Sweep& a) {
    for (std::size_t desk = 0; desk < desks_.size(); ++desk) {
        desks_[desk].steps.emplace_back(a);
        write_next(desk);
    }
}

void World::perform(sync_action::Reopen& a) {
    const auto desk = group_->writer_of(a.server);
    desks_[desk].steps.emplace_back(a);
    write_next(desk);
}

void World::write_next(std::size_t desk) {
    if (desks_[desk].writing || desks_[desk].steps.empty()) return;
    desks_[desk].writing = true;
    after(1ms + up_to(one_in(20) ? 500ms : 5ms), [this, life = life_, desk] {
        if (life == life_) write_front(desk);
    });
}

/// One step of a writer. It may fail before anything is written, or after everything is, without a word of which it
/// was; or the agent dies on either side of the commit.
void World::write_front(std::size_t desk) {
    if (now_ < store_down_until_) return try_again(desk);
    if (troubled_ && one_in(400)) return crash_agent();
    auto& store = *desks_[desk].store;
    auto& step = desks_[desk].steps.front();
    const auto is_batch = std::holds_alternative<sync_action::Commit>(step);
    const auto repeated_at =
        std::exchange(desks_[desk].in_doubt, false) && is_batch ? std::optional(database_->newest_seq()) : std::nullopt;
    Applied applied;
    Swept swept;
    std::optional<ResumePoint> resume;
    try {
        if (const auto* reopening = std::get_if<sync_action::Reopen>(&step)) {
            const auto spec = spec_of(reopening->server);
            resume = store.open_servers({&spec, 1}, name_of_agent()).front();
        } else if (const auto* sweep = std::get_if<sync_action::Sweep>(&step)) {
            swept = store.sweep(sweep->now, sweep->rows, sweep->held);
        } else {
            applied = store.apply(std::get<sync_action::Commit>(step).batch);
        }
    } catch (const StoreError& error) {
        return on_store_error(desk, error);
    }
    ++stats_.commits;
    if (repeated_at && *repeated_at != database_->newest_seq()) wrong_ = "a repeated batch was told in the feed again";
    if (!applied.refused.empty()) wrong_ = "the store refused a row: " + applied.refused.front();
    if (one_in(4)) look_at_feed();
    if (troubled_ && one_in(400)) return crash_agent();
    if (troubled_ && one_in(100)) {
        desks_[desk].in_doubt = true;
        return try_again(desk);
    }
    if (resume) return on_reopened(desk, *resume);
    on_written(desk, applied, swept);
}

void World::on_reopened(std::size_t desk, const ResumePoint& resume) {
    const auto server = std::get<sync_action::Reopen>(desks_[desk].steps.front()).server;
    desks_[desk].steps.pop_front();
    desks_[desk].writing = false;
    engine_->open(server, config_.servers[server], resume, now());
    write_next(desk);
    drain();
}

void World::on_written(std::size_t desk, const Applied& applied, const Swept& swept) {
    const auto life = life_;
    auto step = std::move(desks_[desk].steps.front());
    desks_[desk].steps.pop_front();
    desks_[desk].writing = false;
    auto* commit = std::get_if<sync_action::Commit>(&step);
    if (commit) {
        trace_batch(config_.servers[commit->server].name, commit->batch);
        settle(commit->server, commit->batch.number);
        const auto& heard = commit->batch.status ? commit->batch.status->last_message_at : std::nullopt;
        const auto unknown = step_unknown_since_.find(commit->server);
        if (heard && unknown != step_unknown_since_.end() && *heard > unknown->second)
            step_unknown_since_.erase(unknown);
        engine_->on_committed(commit->server, std::move(commit->batch), applied, now());
    } else if (const auto all = group_->on_swept(desk, swept)) {
        engine_->on_swept(*all, now());
    }
    if (life != life_) return;
    if (commit) judge_mirror(commit->server);
    write_next(desk);
    drain();
}

void World::trace_batch(const std::string& server, const Batch& batch) const {
    if (!options_.trace) return;
    std::string line = "  written server=" + server + " batch=" + std::to_string(batch.number) +
                       " changes=" + std::to_string(batch.changes.size());
    for (const auto& change : batch.changes)
        if (change.kind != Change::Kind::binding && change.kind != Change::Kind::client_list_end)
            line += " " + std::string(to_string(change.doubt)) + "=" + change.binding.key.address.to_string();
    if (batch.fresh_start) line += " fresh-start";
    if (batch.our_clock_moved) line += " moved=" + std::to_string(batch.our_clock_moved->count());
    if (batch.reconcile) line += " reconcile";
    if (batch.begin_run) line += " run=" + std::to_string(*batch.begin_run);
    if (!batch.gaps.empty()) line += " gaps=" + std::to_string(batch.gaps.size());
    if (batch.base_time) line += " base=" + std::to_string(unix_seconds(*batch.base_time));
    if (batch.fresh_as_of) line += " fresh=" + std::to_string(batch.fresh_as_of->time_since_epoch().count());
    if (batch.status) line += " phase=" + std::string(to_string(batch.status->phase));
    trace(line);
}

void World::settle(std::size_t server, std::uint64_t batch) {
    const auto unsettled = unsettled_.find(server);
    if (unsettled != unsettled_.end() && unsettled->second && batch >= *unsettled->second) unsettled_.erase(unsettled);
}

/// Real trouble with a real database, which terminate_sessions() makes.
void World::on_store_error(std::size_t desk, const StoreError& error) {
    trace(std::string("database: ") + error.what());
    switch (error.fault()) {
        case StoreFault::claimed:
        case StoreFault::unavailable:
        case StoreFault::in_doubt:
            return try_again(desk);
        case StoreFault::behind:
            if (stats_.restores > 0) return end_life(up_to(2s));
            [[fallthrough]];
        case StoreFault::fenced:
        case StoreFault::unusable:
        case StoreFault::refused:
            wrong_ = std::string("database: ") + error.what();
    }
}

void World::try_again(std::size_t desk) {
    ++stats_.store_faults;
    after(100ms + up_to(2s), [this, life = life_, desk] {
        if (life == life_) write_front(desk);
    });
}

/// A session of a dead agent commits what it was given. Before the next agent opens the servers that is as good as if
/// the agent had died later; after that it must not.
void World::leave_behind(Desk desk) {
    left_behind_ = true;
    after(1ms + up_to(one_in(2) ? 10s : 10min), [this, life = life_, left = std::make_shared<Desk>(std::move(desk))] {
        const auto* commit = std::get_if<sync_action::Commit>(&left->steps.front());
        if (!commit || now_ < store_down_until_) return;
        try {
            (void)left->store->apply(commit->batch);
            if (opened_ > life) wrong_ = "a batch of an agent that has lost its servers was taken";
        } catch (const StoreError& error) {
            if (error.fault() == StoreFault::fenced && opened_ > life) ++stats_.fenced;
            if (error.fault() == StoreFault::fenced && opened_ <= life) wrong_ = std::string("fenced: ") + error.what();
            if (error.fault() == StoreFault::refused) wrong_ = std::string("refused: ") + error.what();
        }
    });
}

/// A copy is kept; some time later it is put back, under whoever is at work with it.
void World::lose_commits() {
    if (!database_->has_copy()) return database_->keep_copy();
    ++stats_.restores;
    trace("the database is put back to an earlier copy");
    database_->put_back_copy();
    database_->forget_copy();
}

void World::look_at_feed() {
    const auto wrong = database_->poll_feed(1 + below(one_in(10) ? 1000 : 20));
    if (wrong) wrong_ = wrong;
}

void World::judge_history(bool whole) {
    if (wrong_) return;
    wrong_ = database_->fault_of_history(whole, stats_.host_clock_steps > 0);
}

}  // namespace leasemirror::sim
