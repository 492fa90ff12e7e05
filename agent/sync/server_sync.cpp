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

std::string iso_or_none(const std::optional<ServerTime>& time) {
    return time ? iso_utc(*time) : "none";
}

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
      connections_(settings.server, config_, std::move(settings.requestor_duid), slots),
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

std::optional<StartJury::Member> ServerSync::jury_member(Now now) const {
    const auto away = epoch_.stored_clock.away(now);
    if (!away || !epoch_.skew.known()) return std::nullopt;
    return StartJury::Member{connections_.server(), config_.family, config_.address, *away};
}

void ServerSync::await_jury() {
    if (!epoch_.stored_clock.was_written()) return;
    epoch_.stored_clock.await_jury();
    outbox_.hold();
}

void ServerSync::on_jury_found(std::chrono::milliseconds ahead, Now now) {
    happened(now);
    epoch_.stored_clock.on_found();
    const bool was_set = ahead != std::chrono::milliseconds{0} && epoch_.stored_clock.was_written();
    if (was_set) {
        report_.log(LogLevel::warn, "our-clock-was-set", {{"by_ms", std::to_string(ahead.count())}});
        move_stored_times(ahead);
    }
    outbox_.release();
    // Where our clock is all that orders its records, those of before are worth nothing.
    if (was_set && !epoch_.skew.known())
        return start_afresh("our own clock was set while the agent was away", {}, std::nullopt);
    connections_.set_reading(backpressure_.is_reading(), session_now());
    if (was_set) drop_undated_that_wait();
    hear_what_waited();
}

void ServerSync::hear_what_waited() {
    std::vector<ConnectionKey> all;
    for (const auto& connection : connections_.all())
        all.push_back(connection.id);
    for (const auto id : all) {
        auto* const connection = connections_.find(id);
        if (!connection) return;  // by what another one told, all of them were dropped
        const auto waited = std::exchange(connection->waits_for_jury, std::nullopt);
        if (!waited) continue;
        const auto ago = std::chrono::round<std::chrono::milliseconds>(now_.steady - waited->since);
        if (connection->base_time)
            on_base_time(*connection, {waited->message, connection->base_time, {}}, ago);
        else
            on_undated_reply(*connection);
    }
}

/// Their messages were dated by our clock as it is and by what was known of the server's before. The server tells them again.
void ServerSync::drop_undated_that_wait() {
    std::vector<ConnectionKey> undated;
    for (const auto& connection : connections_.all())
        if (connection.waits_for_jury && !connection.base_time) undated.push_back(connection.id);
    for (const auto id : undated) {
        const auto& connection = *connections_.find(id);
        if (auto* job = job_of(connection)) job->give_back(*connection.item);
        drop(id, true);
    }
}

void ServerSync::on_our_clock_jumped(std::chrono::milliseconds by, Now now) {
    const auto before = epoch_.stored_clock.read(now).utc - by;
    report_.log(LogLevel::warn, "our-clock-jumped", {{"by_ms", std::to_string(by.count())}});
    const bool went_back = by < std::chrono::milliseconds{0};  // no host sleeps backwards
    if (went_back) {
        now_ = {now.steady, before};
        move_stored_times(by);
    } else {
        epoch_.stored_clock.on_jump_ahead(by);
    }
    happened(now);
    // Our clock is all that orders its records.
    if (!epoch_.skew.known()) return start_afresh("our own clock was set", {}, std::nullopt);
    if (went_back) return;
    // What is on its way may be from before the jump, and proves nothing: ask anew.
    while (!connections_.empty())
        drop(connections_.all().back().id, true);
    bulk_.on_connections_lost();
    doubts_.give_back();
}

/// What is stored, and what waits to be, is in a clock that was wrong by so much.
void ServerSync::move_stored_times(std::chrono::milliseconds by) {
    if (outbox_.dirty()) close_batch_as_of_before();
    const auto seconds = std::chrono::round<std::chrono::seconds>(by);
    epoch_.skew.on_our_clock_moved(by);
    // What is held back was never stored: it is told in the clock as it is, after all has moved.
    auto* const held = outbox_.correct_held(by);
    auto& batch = held ? *held : outbox_.edit(now_.steady);
    batch.our_clock_moved = seconds;
    epoch_.stored_clock.on_mended(held ? held->number : outbox_.next_number());
    if (epoch_.fresh_as_of) *epoch_.fresh_as_of += seconds;
    report_.log(LogLevel::warn, "stored-times-moved", {{"by_seconds", std::to_string(seconds.count())}});
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
    report_.log(LogLevel::info, "active-query", {{"start", iso_or_none(from)}});
    if (from) connection.catch_up_alarm = now_.steady + catch_up_patience;
}

void ServerSync::on_connect_failed(const SyncConnection& connection, const std::string& why) {
    if (!connection.is_active()) bulk_.release_active_query();
    if (auto* job = job_of(connection)) job->give_back(*connection.item);
    drop(connection.id, false);
    epoch_.stored_clock.let_expire();
    report_.error("cannot connect to " + config_.address + " port " + std::to_string(config_.port) + ": " + why, now_);
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
        report_.error("catch-up has not ended: the server sent neither CatchUpComplete nor DataMissing", now);
        connection.catch_up_alarm = now.steady + catch_up_patience;
    }
    for (const auto id : late) {
        actions_.push_back(sync_action::Disconnect{id});
        on_connect_failed(*connections_.find(id), "no answer in time");
    }
    report_.warn_of_certificate(now);
    commit_if_due(false);
}

void ServerSync::stop(Now now) {
    happened(now);
    stopping_ = true;
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
    if (stopping_) return first.get();
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
    if (stopping_) return;
    const auto known = support_.known();
    if (support_.on_deadline(now_) && !epoch_.checkpoint.committed()) bulk_.need_full(nothing_to_resume_from);
    if (support_.known() != known) report_.touch();
    // A batch holds one reconciliation: the end of this job waits until that of the last one is on its way.
    if (const auto* job = bulk_.job(); job && job->over() && !outbox_.pending().reconcile) finish_job();
    plan_bulk();
    plan_active();
    plan_questions();
}

/// Questions about doubts go beside the other queries, one at a time: what nobody answers must not hold up anything.
void ServerSync::plan_questions() {
    finish_question();
    if (doubts_.wants_listing(now_.steady)) list_doubts();
    if (doubts_.is_due(now_.steady)) begin_question();
    const auto* question = doubts_.question();
    if (!question || question->waiting() == 0 || connections_.has_question()) return;
    if (!doubts_.may_ask(now_.steady) || !bulk_.may_connect(now_.steady) || connections_.awaits_first_answer() ||
        connections_.bulk_count() >= config_.bulk.max_connections || !connections_.take_slot())
        return;
    auto& connection = connections_.open_bulk(new_xid(), now_.steady);
    connection.for_question = true;
    actions_.push_back(sync_action::Connect{connection.id});
}

/// Each time the next ones, where there are many.
void ServerSync::list_doubts() {
    auto& batch = outbox_.edit(now_.steady);
    if (batch.list_doubts) return;
    batch.list_doubts = true;
    batch.doubts_after = doubts_.on_listing_asked(now_.steady);
}

void ServerSync::begin_question() {
    const auto run = bulk_.begin_run();
    doubts_.begin(run);
    open_run(run);
}

void ServerSync::finish_question() {
    if (const auto* question = doubts_.question(); !question || !question->over()) return;
    const auto settled = doubts_.finish(now_.steady);
    const auto gone = settled.answer == DoubtBook::Answer::gone;
    if (gone || settled.answer == DoubtBook::Answer::left) recorder_.on_absent(settled, epoch_.skew.estimate(), now_);
    const auto lesson = settled.about.why == Doubt::unlisted && (gone || settled.answer == DoubtBook::Answer::there);
    if (!lesson || !support_.on_unlisted_lease(gone)) return;
    report_.touch();
    report_.log(LogLevel::info, "client-lists", {{"learned", gone ? "snapshot" : "delta"}});
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

void ServerSync::plan_bulk() {
    if (!bulk_.can_ask()) return;
    if (bulk_.begin_next(now_.steady, support_, doubts_.wants_full_bulk())) {
        auto& batch = open_run(bulk_.job()->run());
        if (bulk_.job()->is_full()) {
            batch.begin_full = bulk_.job()->run();
            doubts_.on_full_bulk_begun();
        }
        announce(*bulk_.job());
    }
    const auto* job = bulk_.job();
    while (job && connections_.bulk_unused() < job->waiting() && has_room_for_bulk()) {
        if (!bulk_.may_connect(now_.steady) || connections_.awaits_first_answer()) return;
        // Others may keep the slots for long; the active query must not grow old meanwhile.
        if (!connections_.take_slot()) return bulk_.release_active_query();
        actions_.push_back(sync_action::Connect{connections_.open_bulk(new_xid(), now_.steady).id});
    }
}

/// A question is not to wait until a full bulk ends. So one connection is left to it where something may come into doubt,
/// unless there is but one.
bool ServerSync::has_room_for_bulk() const {
    const auto most = config_.bulk.max_connections;
    const auto may_doubt = doubts_.open() > 0 || (epoch_.checkpoint.is_resumable() && !support_.is_polling());
    const auto kept = most > 1 && may_doubt && !connections_.has_question() ? std::size_t{1} : std::size_t{0};
    return connections_.bulk_count() + kept < most;
}

void ServerSync::announce(const BulkJob& job) {
    const auto run = std::to_string(job.run());
    switch (job.kind()) {
        case BulkJob::Kind::full:
            return report_.log(LogLevel::info, "full-bulk", {{"run", run}, {"cause", job.cause()}});
        case BulkJob::Kind::gap_window:
            return report_.log(
                LogLevel::info, "windowed-bulk",
                {{"from", iso_or_none(job.query_window().start)}, {"to", iso_or_none(job.query_window().end)}});
        case BulkJob::Kind::question:
            return;
        case BulkJob::Kind::windowed_poll:
            return report_.log(LogLevel::debug, "windowed-poll",
                               {{"run", run}, {"from", iso_or_none(job.query_window().start)}});
    }
}

/// From here on all that is told belongs to this run (storage/batch.hpp, Change::run).
Batch& ServerSync::open_run(std::uint64_t run) {
    auto& batch = outbox_.edit(now_.steady);
    batch.begin_run = run;
    return batch;
}

/// Never 0, and far from the end of 24 bits: transaction-ids count up from here on one connection.
std::uint32_t ServerSync::new_xid() {
    return 1 + static_cast<std::uint32_t>(jitter_.next() % 0x7fffff);
}

/// Gives a connection the next query of the job; without one it has no use any more (RFC 6926 §7.8).
void ServerSync::ask_next(SyncConnection& connection) {
    auto& session = std::get<BulkSession>(connection.session);
    if (connection.for_question) finish_question();
    const auto bulk_waits = bulk_.job() && bulk_.job()->waiting() > 0;
    if (connection.for_question && !bulk_waits && doubts_.is_due(now_.steady)) begin_question();
    auto* const job = session.disconnected() ? nullptr : connection.for_question ? doubts_.question() : bulk_.job();
    const auto item = job ? job->take() : std::nullopt;
    if (!item) return drop(connection.id, true);
    connection.item = item;
    if (connection.for_question) doubts_.on_asked();
    if (job->items()[*item].attempts > 1) {
        job->renumber(*item, bulk_.begin_run());
        open_run(bulk_.last_run());
    }
    // What the server sent before this query was asked is older than its answer.
    connection.fresh_from = epoch_.checkpoint.highest_heard();
    connection.asked_at = now_.steady;
    const auto& query = job->items()[*item].query;
    const auto all_vpns = connection.for_question ? doubts_.asks_all_vpns() : bulk_.asks_all_vpns(query);
    session.start(query, job->query_window(), all_vpns, session_now());
    report_.log(LogLevel::debug, "bulk-query", {{"query", to_string(query)}});
}

// ---- the end of a job ---------------------------------------------------------------------------------------------

void ServerSync::finish_job() {
    plan_anew();
    const auto job = bulk_.take_job();
    report_.touch();
    switch (job.kind()) {
        case BulkJob::Kind::full:
            return finish_full(job);
        case BulkJob::Kind::gap_window:
            return finish_window(job);
        case BulkJob::Kind::windowed_poll:
            return finish_poll(job);
        case BulkJob::Kind::question:
            return;  // it is no job of the planner
    }
}

void ServerSync::finish_full(const BulkJob& job) {
    const auto polling = support_.is_polling();
    auto context = bulk_.context(job, polling);
    context.something_missed |= polling || !epoch_.checkpoint.is_resumable();
    const auto conclusion = conclude_full(job, context);
    auto closed = bulk_.on_full_ended(job, conclusion, now_.steady, jitter_);
    if (!conclusion.error.empty()) report_.error(conclusion.error, now_);
    if (conclusion.answer != FullConclusion::Answer::some) return;
    report_.on_recovered();  // it answers: what is wrong with some of it does not make the server unreachable
    if (!bulk_.on_full_listed(job))
        learn_windows(false, "its replies carry no base-time, so a start time has no clock");
    bulk_.plan_windowed_poll(support_, now_.steady, jitter_);
    settle_left(job, conclusion);
    auto& batch = outbox_.edit(now_.steady);
    batch.reconcile = conclusion.reconcile;
    if (doubts_.open() > 0) list_doubts();
    std::move(closed.begin(), closed.end(), std::back_inserter(batch.gaps));
    report_.set_coverage(conclusion.coverage);
    // What was cut off is asked for again, also after a restart: that looks here (start()).
    if (conclusion.asked_to_the_end) {
        report_.on_read_in_full(now_, job.unread());
        epoch_.stored_clock.on_read(outbox_.next_number());
    }
    if (conclusion.reaches_began_at) report_.on_history_begins(now_);
    // Of a server that is polled, what a query did not bring is as old as its last answer.
    auto& checkpoint = epoch_.checkpoint;
    if (polling ? conclusion.reaches_began_at : !checkpoint.is_resumable()) {
        if (polling || job.base_times_seen())
            checkpoint.begin_at(*job.began_at());
        else
            checkpoint.guess(*job.began_at());
        // A server that is polled and sends no base-times has none to resume from.
        if (!polling || job.base_times_seen()) batch.base_time = checkpoint.reached();
    }
    const auto lacks = conclusion.coverage == Coverage::partial ? ": " + conclusion.lacks : "";
    report_.log(LogLevel::info, "full-bulk-done",
                {{"run", std::to_string(job.run())},
                 {"bindings", std::to_string(job.bindings())},
                 {"coverage", std::string(to_string(conclusion.coverage)) + lacks}});
}

/// Addresses that their clients had left: this bulk lists who has them by now, or nobody has.
void ServerSync::settle_left(const BulkJob& job, const FullConclusion& conclusion) {
    if (conclusion.reconcile.all_vpns) doubts_.on_vpns_listed();
    if (conclusion.coverage != Coverage::full || !job.all_read()) return;
    for (const auto& about : doubts_.take_left_before(job.run(), conclusion.reconcile.all_vpns))
        recorder_.on_absent({DoubtBook::Answer::gone, about, *job.began_at(), job.run()}, epoch_.skew.estimate(), now_);
}

void ServerSync::finish_window(const BulkJob& job) {
    const auto conclusion = conclude_window(job, bulk_.context(job, support_.is_polling()));
    learn_windows(conclusion.heeds_start, "its answer to a windowed query");
    bulk_.on_window_ended(job, conclusion, now_.steady);
}

/// It brings what is new and concludes nothing from what is absent: the mirror is right up to the last full poll.
void ServerSync::finish_poll(const BulkJob& job) {
    const auto conclusion = conclude_poll(job, bulk_.context(job, support_.is_polling()), bulk_.oldest_change());
    report_.log(LogLevel::debug, "windowed-poll-done",
                {{"run", std::to_string(job.run())}, {"bindings", std::to_string(job.bindings())}});
    if (!conclusion.error.empty()) report_.error(conclusion.error, now_);
    learn_windows(conclusion.heeds_start, conclusion.told_by);
    bulk_.on_poll_ended(job, conclusion, support_, now_.steady, jitter_);
}

void ServerSync::learn_windows(const std::optional<bool>& heeds_start, const std::string& told_by) {
    if (!heeds_start || !support_.on_windows(*heeds_start, now_) || *heeds_start || !config_.bulk.window_interval)
        return;
    report_.log(LogLevel::warn, "no-windowed-polls", {{"reason", "the server heeds no start time: " + told_by}});
}

// ---- batches ------------------------------------------------------------------------------------------------------

void ServerSync::commit_if_due(bool at_once) {
    // Nobody knows yet by which clock it has to be told. The server tells it again.
    if (stopping_ && outbox_.is_held()) return outbox_.discard();
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
    batch.status = report_.snapshot(epoch_.skew.known(), support_.known());
    (void)report_.take_changed();
    outbox_.close();
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

Activity ServerSync::activity() const {
    Activity out;
    out.stopping = stopping_;
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
