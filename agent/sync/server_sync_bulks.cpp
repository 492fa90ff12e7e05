// The bulk jobs of ServerSync, from what is due to what the answers prove; see the head of server_sync.hpp.
#include "agent/config/time_text.hpp"
#include "agent/sync/server_sync.hpp"

#include <algorithm>
#include <utility>

namespace leasemirror {
namespace {

/// What went wrong with a job whose queries were not refused says less than a server's own words did before.
StatusReport::Source source_of(const BulkJob& job) {
    return job.any_refused() ? StatusReport::Source::told : StatusReport::Source::guess;
}

}  // namespace

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

void ServerSync::plan_bulk() {
    if (!bulk_.can_ask()) return;
    if (bulk_.begin_next(now_.steady, support_, doubts_.wants_full_bulk())) {
        auto& batch = open_run(bulk_.job()->run());
        if (bulk_.job()->is_full()) {
            batch.begin_full = bulk_.job()->run();
            asked_.resync_begun = asked_.resync;
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

std::optional<FullReadProgress> ServerSync::full_read() const {
    const auto* const job = bulk_.job();
    if (job == nullptr || !job->is_full()) return std::nullopt;
    auto out = job->progress();
    out.expected = report_.last_listed();
    return out;
}

void ServerSync::announce(const BulkJob& job) {
    const auto run = std::to_string(job.run());
    switch (job.kind()) {
        case BulkJob::Kind::full:
            return report_.log(LogLevel::info, "full-bulk", {{"run", run}, {"cause", job.cause()}});
        case BulkJob::Kind::gap_window:
            return report_.log(
                LogLevel::info, "windowed-bulk",
                {{"from", iso_utc_or_none(job.query_window().start)}, {"to", iso_utc_or_none(job.query_window().end)}});
        case BulkJob::Kind::question:
            return;
        case BulkJob::Kind::windowed_poll:
            return report_.log(LogLevel::debug, "windowed-poll",
                               {{"run", run}, {"from", iso_utc_or_none(job.query_window().start)}});
    }
}

/// From here on all that is told belongs to this run (storage/batch.hpp, Change::run).
Batch& ServerSync::open_run(std::uint64_t run) {
    auto& batch = outbox_.edit(now_.steady);
    batch.begin_run = run;
    return batch;
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

void ServerSync::report_bulk(const BulkJob& job, const std::string& error) {
    if (error.empty())
        report_.on_over(StatusReport::Scope::bulk, now_);
    else
        report_.error(error, now_, StatusReport::Scope::bulk, source_of(job));
}

void ServerSync::finish_full(const BulkJob& job) {
    const auto polling = support_.is_polling();
    auto context = bulk_.context(job, polling);
    context.something_missed |= polling || !epoch_.checkpoint.is_resumable();
    const auto conclusion = conclude_full(job, context);
    auto closed = bulk_.on_full_ended(job, conclusion, now_.steady, jitter_);
    report_bulk(job, conclusion.error);
    end_resync(conclusion);
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
        report_.on_read_in_full(now_, job.unread(), job.bindings());
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

/// With the end of a bulk that asked everything. One that was cut off is repeated, and the order stays.
void ServerSync::end_resync(const FullConclusion& conclusion) {
    if (asked_.resync > asked_.resync_begun)
        bulk_.need_full_at_once("resync");  // asked for while this one was under way
    if (asked_.resync_begun <= asked_.resync_done) return;
    if (!conclusion.asked_to_the_end && conclusion.answer != FullConclusion::Answer::refused) return;
    outbox_.edit(now_.steady).resync_done = asked_.resync_done = asked_.resync_begun;
    report_.log(LogLevel::info, "resync-done");
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
    report_bulk(job, conclusion.error);
    learn_windows(conclusion.heeds_start, conclusion.told_by);
    bulk_.on_poll_ended(job, conclusion, support_, now_.steady, jitter_);
}

void ServerSync::learn_windows(const std::optional<bool>& heeds_start, const std::string& told_by) {
    if (!heeds_start || !support_.on_windows(*heeds_start, now_) || *heeds_start || !config_.bulk.window_interval)
        return;
    report_.log(LogLevel::warn, "no-windowed-polls", {{"reason", "the server heeds no start time: " + told_by}});
}

}  // namespace leasemirror
