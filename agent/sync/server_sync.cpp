#include "agent/sync/server_sync.hpp"

#include "agent/sync/clocks/whole_seconds.hpp"

#include "agent/config/time_text.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace leasemirror {
namespace {

/// Replay that does not end is an error each time this has passed: without CatchUpComplete or DataMissing the base-time
/// must not move (RFC 7653 §8.4.1, RFC 7724 §7.4.1), and somebody has to know.
constexpr std::chrono::minutes catch_up_patience{10};

constexpr auto nothing_to_resume_from = "no base-time to resume from";

std::optional<std::uint64_t> listing_of(const Batch& batch) {
    return batch.list_doubts ? std::optional(batch.doubts_after) : std::nullopt;
}

/// An earlier life of the agent began afresh, and has not read all of it.
bool awaits_full_read(const ResumePoint& resume) {
    return resume.written_at && !resume.base_time && resume.coverage == Coverage::partial;
}

}  // namespace

ServerSync::ServerSync(const ServerConfig& config, const ResumePoint& resume, SyncSettings settings, BulkSlots& slots)
    : config_(config),
      jitter_(settings.seed),
      outbox_(resume.id, settings.batch, settings.queue_bytes),
      connections_({settings.server, settings.connections_before}, config_, std::move(settings.requestor_duid), slots),
      bulk_(config_, resume),
      epoch_{Checkpoint(resume.base_time),
             ClockSkew(resume.skew),
             StoredClock::at_start(resume.written_at, bulk_.can_ask() && awaits_full_read(resume)),
             // A fresh start whose full read has not ended may have been for our clock.
             {std::nullopt, true}},
      support_(config_, bulk_.can_ask(), resume.support),
      doubts_(config.family, resume),
      recorder_(outbox_),
      report_(config_.name, resume, actions_) {}

void ServerSync::happened(Now now) {
    now_ = epoch_.stored_clock.read(now);
    plan_anew();
}

// ---- events -------------------------------------------------------------------------------------------------------

void ServerSync::start(Now now) {
    happened(now);
    if (!epoch_.checkpoint.reached()) {
        if (bulk_.can_ask()) bulk_.need_full(nothing_to_resume_from);
    } else if (!report_.was_read_in_full() || report_.is_lacking() || report_.coverage() == Coverage::partial) {
        bulk_.need_full_again(now.steady);  // the base-time may stem from a stream that no whole load preceded
    }
    support_.start(now);
    if (const auto away = epoch_.stored_clock.away(now)) doubts_.start(*away);
    report_.touch();
    // Where the server tells no base-time, ours orders its records, and those of a clock that goes back would all be old.
    if (!epoch_.skew.known() && epoch_.stored_clock.went_back(now))
        start_afresh("our own clock was set back while the agent was away", {}, std::nullopt);
}

void ServerSync::on_event(ConnectionKey id, const ConnectionEvent& event, Now now) {
    happened(now);
    auto* const connection = connections_.find(id);
    if (!connection) return;
    const auto tell = [&](auto what) { std::visit(what, connection->session); };
    std::visit(
        Overload{
            [&](const connection_event::Connected& e) { on_connected(*connection, e.first_end); },
            [&](const connection_event::ConnectFailed& e) { on_connect_failed(*connection, e.why); },
            [&](const connection_event::Sent&) { tell([&](auto& s) { s.on_sent(session_now()); }); },
            [&](const connection_event::Received& e) { tell([&](auto& s) { s.on_bytes(e.octets, session_now()); }); },
            [&](const connection_event::Disconnected& e) {
                tell([&](auto& s) { s.on_disconnected(e.how, session_now()); });
            },
        },
        event);
}

void ServerSync::on_connected(SyncConnection& connection, const std::optional<CertificateEnd>& first_end) {
    connections_.on_connected(connection, now_.steady);
    report_.on_connected(connection.is_active(), first_end, now_);
    connection.fresh_from = epoch_.checkpoint.highest_heard();
    if (!backpressure_.is_reading())
        std::visit([&](auto& session) { session.set_reading(false, session_now()); }, connection.session);
    auto* const active = std::get_if<ActiveSession>(&connection.session);
    if (!active) return ask_next(connection);
    const auto from = epoch_.checkpoint.committed();
    active->start(from, session_now());
    report_.log(LogLevel::info, "active-query", {{"start", iso_utc_or_none(from)}});
    if (from) connection.catch_up_alarm = now_.steady + catch_up_patience;
}

void ServerSync::on_connect_failed(const SyncConnection& connection, const std::string& why) {
    if (!connection.is_active()) bulk_.release_active_query();
    if (auto* job = job_of(connection)) job->give_back(*connection.item);
    drop(connection.id, false);
    epoch_.stored_clock.let_expire();
    report_.error("cannot connect to " + config_.address + " port " + std::to_string(config_.port) + ": " + why, now_,
                  StatusReport::Scope::connection);
    // It is the server's trouble, not that of one query: one attempt for all of them.
    support_.active_pacing().on_failure(now_.steady, jitter_);
    bulk_.on_failure(now_.steady, jitter_);
}

void ServerSync::on_committed(Batch done, const Applied& applied, Now now) {
    happened(now);
    epoch_.checkpoint.on_committed(done.number, done.base_time);
    epoch_.stored_clock.on_committed(done.number);
    if (done.reconcile)
        report_.log(LogLevel::info, "reconciled",
                    {{"run", std::to_string(done.reconcile->run)}, {"ended", std::to_string(applied.reconciled)}});
    for (const auto& refused : applied.refused)
        report_.log(LogLevel::error, "row-refused", {{"reason", refused}});
    bulk_.on_lacking(applied.lacking > 0, now_.steady);
    doubts_.learn(applied, listing_of(done), now_.steady);
    if (done.reconcile) doubts_.on_full_bulk_written();
    on_sightings_written(done);
    outbox_.on_committed(std::move(done));
    commit_if_due(false);
    follow_backpressure();
}

void ServerSync::on_slot_free(Now now) {
    happened(now);
    connections_.on_slot_free();
}

void ServerSync::on_deadline(Now now) {
    happened(now);
    std::vector<ConnectionKey> late;
    for (auto& connection : connections_.all()) {
        if (connection.connect_by && now.steady >= *connection.connect_by) late.push_back(connection.id);
        if (connection.refused_by && now.steady >= *connection.refused_by) connection.refused_by.reset();
        std::visit([&](auto& session) { session.on_deadline(session_now()); }, connection.session);
        if (!connection.catch_up_alarm || now.steady < *connection.catch_up_alarm) continue;
        report_.error("catch-up has not ended: the server sent neither CatchUpComplete nor DataMissing", now,
                      StatusReport::Scope::active);
        connection.catch_up_alarm = now.steady + catch_up_patience;
    }
    for (const auto id : late) {
        actions_.push_back(sync_action::Disconnect{id});
        on_connect_failed(*connections_.find(id), "no answer in time");
    }
    report_.warn_of_certificate(now);
    commit_if_due(false);
}

void ServerSync::on_resync_asked(std::uint64_t number, Now now) {
    if (number <= std::max(asked_.resync, asked_.resync_done)) return;
    happened(now);
    asked_.resync = number;
    if (bulk_.can_ask()) {
        bulk_.need_full_at_once("resync");
        if (const auto* job = bulk_.job(); job && job->is_full() && !job->any_asked()) asked_.resync_begun = number;
        return;
    }
    report_.error("resync: nothing can be asked without bulk.queries", now, StatusReport::Scope::bulk);
    outbox_.edit(now.steady).resync_done = asked_.resync_done = number;
}

void ServerSync::pause(Now now) {
    report_.log(LogLevel::info, "paused");
    end_work(Work::paused, now);
}

void ServerSync::stop(Now now) {
    end_work(is_paused() ? Work::paused : Work::stopped, now);
}

void ServerSync::end_work(Work work, Now now) {
    happened(now);
    asked_.work = work;
    while (!connections_.empty())
        drop(connections_.all().back().id, true);
    bulk_.drop_job();
    doubts_.start_afresh();
    report_.enter(phase_of(activity()));
    report_.touch();
    commit_if_due(true);
}

// ---- actions ------------------------------------------------------------------------------------------------------

std::optional<SyncAction> ServerSync::poll_action() {
    for (;;) {
        if (!actions_.empty()) {
            auto next = std::move(actions_.front());
            actions_.pop_front();
            return next;
        }
        if (pump()) {
            plan_anew();
        } else if (!planned_at_) {
            plan();
            report_.enter(phase_of(activity()));
        } else {
            commit_if_due(false);
            follow_backpressure();
            if (actions_.empty() && planned_at_) return std::nullopt;
        }
    }
}

std::size_t ServerSync::wants_bytes(ConnectionKey id) const {
    const auto* connection = connections_.find(id);
    if (!connection || outbox_.full() || testimony() || connection->waits_for_jury) return 0;
    return std::visit([](const auto& session) { return session.wants_bytes(); }, connection->session);
}

std::optional<SteadyTime> ServerSync::next_deadline() const {
    Earliest first;
    first.consider(connections_.next_deadline());
    first.consider(outbox_.deadline());
    first.consider(report_.next_deadline());
    if (is_stopped()) return first.get();
    // What was due when plan() last ran has been tried, and waits for an event, not for the time.
    const auto planned_at = planned_at_.value_or(SteadyTime::min());
    if (support_.active_pacing().due() > planned_at) first.consider(support_.active_pacing().due());
    first.consider(bulk_.next_deadline(planned_at, support_.is_polling(), doubts_.wants_full_bulk()));
    first.consider(doubts_.next_deadline(planned_at));
    first.consider(support_.next_deadline(planned_at));
    return first.get();
}

void ServerSync::drop(ConnectionKey id, bool tell_shell) {
    if (tell_shell) actions_.push_back(sync_action::Disconnect{id});
    connections_.drop(id);
    report_.on_dropped(connections_.empty());
}

// ---- what to do next ----------------------------------------------------------------------------------------------

void ServerSync::plan() {
    planned_at_ = now_.steady;
    if (is_stopped()) return;
    const auto known = support_.known();
    if (support_.on_deadline(now_) && !epoch_.checkpoint.committed()) bulk_.need_full(nothing_to_resume_from);
    if (support_.known() != known) report_.touch();
    // A batch holds one reconciliation: the end of this job waits until that of the last one is on its way.
    if (const auto* job = bulk_.job(); job && job->over() && !outbox_.pending().reconcile) finish_job();
    plan_bulk();
    plan_active();
    plan_questions();
}

void ServerSync::plan_active() {
    if (support_.is_polling() || bulk_.holds_active_query() || !support_.active_pacing().is_due(now_.steady)) return;
    if (connections_.active() || connections_.awaits_first_answer()) return;
    // A start time that is not in the database yet would be lost by a crash, and a query without one would leave a hole
    // behind the bulk. Of a server that answers no bulk query at all, what is live is all there is.
    if (bulk_.can_ask() && !bulk_.is_refused() && !epoch_.checkpoint.is_resumable()) return;
    support_.active_pacing().on_attempt(now_.steady, jitter_);
    actions_.push_back(sync_action::Connect{connections_.open_active(new_xid(), now_.steady).id});
}

/// Never 0, and far from the end of 24 bits: transaction-ids count up from here on one connection.
std::uint32_t ServerSync::new_xid() {
    return 1 + static_cast<std::uint32_t>(jitter_.next() % 0x7fffff);
}

// ---- batches ------------------------------------------------------------------------------------------------------

void ServerSync::commit_if_due(bool at_once) {
    // Nobody knows yet by which clock it has to be told. The server tells it again.
    if (is_stopped() && outbox_.is_held()) return outbox_.discard();
    if (report_.take_changed()) (void)outbox_.edit(now_.steady);
    if (outbox_.dirty() && (at_once || outbox_.due(now_.steady))) close_batch();
    while (auto batch = outbox_.next())
        actions_.push_back(sync_action::Commit{connections_.server(), std::move(*batch)});
}

void ServerSync::close_batch() {
    report_.enter(phase_of(activity()));
    if (const auto fresh = freshness()) outbox_.edit(now_.steady).fresh_as_of = epoch_.fresh_as_of = fresh;
    close_batch_as_of_before();
}

/// In the middle of a message: what the message does to the phase, and to how fresh the mirror is, comes in the next one.
void ServerSync::close_batch_as_of_before() {
    auto& batch = outbox_.edit(now_.steady);
    batch.now = whole_seconds(now_);
    batch.skew = epoch_.skew.estimate();
    batch.before = epoch_.before;
    batch.status = report_.snapshot(epoch_.skew.known(), support_.known(), next_attempt_at());
    (void)report_.take_changed();
    outbox_.close(now_.steady);
    if (const auto* job = bulk_.job(); job && job->over()) planned_at_.reset();
    report_.on_quarantine_dropped(outbox_.quarantine_dropped());
}

void ServerSync::follow_backpressure() {
    if (const auto read = backpressure_.follow(outbox_, now_.steady, report_))
        connections_.set_reading(*read, session_now());
}

/// The mirror is right up to here: the last message whose base-time counted, and not past the start of an open gap. It moves
/// no further, only back, while a part was not read at all, or is known to lack something. Nothing: it stays.
std::optional<UtcSeconds> ServerSync::freshness() const {
    const auto reached = epoch_.checkpoint.reached();
    if (!reached) return std::nullopt;
    const auto fresh = to_utc(std::min(*reached, bulk_.gaps().earliest().value_or(*reached)), epoch_.skew.estimate());
    const bool may_move_on = bulk_.was_read_whole() && !report_.is_lacking();
    return may_move_on || fresh < epoch_.fresh_as_of ? std::optional(fresh) : std::nullopt;
}

/// Nothing while something is open or on its way, or waits for an event and not for a time.
std::optional<UtcSeconds> ServerSync::next_attempt_at() const {
    if (is_stopped() || !connections_.empty()) return std::nullopt;
    Earliest first;
    const auto consider = [&](std::optional<SteadyTime> at) {
        if (at && *at > now_.steady) first.consider(at);
    };
    if (!support_.is_polling()) consider(support_.active_pacing().due());
    if (bulk_.can_ask()) consider(bulk_.next_deadline(now_.steady, support_.is_polling(), doubts_.wants_full_bulk()));
    if (!first.get()) return std::nullopt;
    return std::chrono::ceil<std::chrono::seconds>(now_.utc + (*first.get() - now_.steady));
}

Activity ServerSync::activity() const {
    Activity out;
    out.stopping = is_stopped();
    out.paused = is_paused();
    if (const auto* active = connections_.active()) out.active = std::get<ActiveSession>(active->session).state();
    const auto* job = bulk_.job();
    if (connections_.has_open_bulk())
        out.bulk =
            job && job->kind() == BulkJob::Kind::windowed_poll ? Activity::Bulk::windowed_poll : Activity::Bulk::other;
    out.connecting = !connections_.idle();
    out.clock_unsure = epoch_.stored_clock.is_unsure() || epoch_.skew.is_doubted();
    out.recovering = job || !bulk_.gaps().empty();
    out.resumable = epoch_.checkpoint.reached().has_value();
    out.polling = support_.is_polling();
    out.poll_planned = bulk_.is_poll_planned();
    out.waits_for_slot = connections_.wants_slot();
    out.failing = report_.is_failing();
    return out;
}

}  // namespace leasemirror
