// The third of ServerSync that decides what to ask for next; see the head of server_sync.hpp.
#include "agent/sync/server_sync.hpp"

#include <algorithm>
#include <cassert>

namespace leasemirror {

void ServerSync::plan(Now now) {
    if (stopping_) return;
    planned_at_ = now.steady;
    if (polling_ && ask_active_again_ && now.steady >= *ask_active_again_) {
        polling_ = false;
        ask_active_again_.reset();
        if (!committed_) full_cause_ = "no base-time to resume from";
    }
    if (ask_support_again_ && now.steady >= *ask_support_again_) ask_support_anew(now);
    // A batch holds one reconciliation: the end of this job waits until that of the last one is on its way.
    if (job_ && job_->over() && !outbox_.pending().reconcile) finish_job(now);
    plan_job(now);
    plan_active(now);
}

void ServerSync::plan_active(Now now) {
    if (polling_ || hold_active_ || !active_pacing_.is_due(now.steady)) return;
    const auto has_one = std::any_of(links_.begin(), links_.end(), [](const Link& l) { return l.active(); });
    if (has_one) return;
    // A start time that is not in the database yet would be lost by a crash, and a query without one would leave a hole
    // behind the bulk (DESIGN section 3.1). Of a server that answers no bulk query at all, what is live is all there is.
    if (!queries_.empty() && !bulk_refused_ && !(kept_ && committed_)) return;
    active_pacing_.on_attempt(now.steady, jitter_);
    const auto& link = open_link(true, now);
    actions_.push_back(sync_action::Connect{link.id});
}

void ServerSync::plan_job(Now now) {
    if (queries_.empty()) return;
    if (!job_) {
        if (status_.support.windows == false && gaps_.window_pending()) {
            gaps_.all_need_full();
            hold_active_ = false;
        }
        if (const auto cause = full_due_for(now)) {
            begin_full(*cause, now);
        } else if (recent_due(now)) {
            begin_recent(now);
        } else if (const auto gap = gaps_.next_window(); gap && !full_cause_ && bulk_pacing_.is_due(now.steady)) {
            begin_window(*gap, now);
        }
    }
    if (job_) open_bulk_links(now);
}

/// From here on all that is told belongs to the next run (store.hpp, Change::run).
void ServerSync::begin_run(Now now) {
    ++last_run_;
    outbox_.touch(now.steady);
    outbox_.pending().begin_run = last_run_;
}

/// Why a full bulk should begin now, if one should.
std::optional<std::string> ServerSync::full_due_for(Now now) const {
    if (!bulk_pacing_.is_due(now.steady)) return std::nullopt;
    if (full_cause_) return full_cause_;
    if (full_again_ && now.steady >= *full_again_) return "the last one was not complete";
    // One for all gaps then open (DESIGN section 3.3), so those that a windowed bulk can still help come first.
    if (gaps_.full_due() && !gaps_.window_pending() && full_pacing_.is_due(now.steady)) return "gap";
    if (polling_ && (!poll_due_ || now.steady >= *poll_due_)) return "poll";
    return std::nullopt;
}

void ServerSync::begin_full(const std::string& cause, Now now) {
    begin_run(now);
    gaps_.all_need_full();  // from here on none of them may grow: what changes later is not in this listing for sure
    job_ = BulkJob::full(last_run_, queries_, gaps_.numbers(), cause);
    log(LogLevel::info, "full-bulk", {{"run", std::to_string(last_run_)}, {"cause", cause}});
}

void ServerSync::begin_window(const Gap& gap, Now now) {
    begin_run(now);
    job_ = BulkJob::window(last_run_, gap, queries_);
    gaps_.on_window_begun(gap.number);
    log(LogLevel::info, "windowed-bulk",
        {{"from", std::to_string(unix_seconds(gap.from))}, {"to", std::to_string(unix_seconds(gap.to))}});
}

void ServerSync::open_bulk_links(Now now) {
    for (;;) {
        std::size_t bulk_links = 0;
        std::size_t unused = 0;
        for (const auto& link : links_) {
            if (link.active()) continue;
            ++bulk_links;
            if (!link.item) ++unused;
        }
        if (unused >= job_->waiting() || bulk_links >= config_.bulk.max_connections) return;
        if (!bulk_pacing_.is_due(now.steady)) return;
        if (!slots_.take()) {
            wants_slot_ = true;
            hold_active_ = false;  // others may keep the slots for long; the active query must not grow old meanwhile
            return;
        }
        const auto& link = open_link(false, now);
        actions_.push_back(sync_action::Connect{link.id});
    }
}

ServerSync::Link& ServerSync::open_link(bool active, Now now) {
    SessionSettings settings;
    settings.family = config_.family;
    settings.requestor_duid = settings_.requestor_duid;
    settings.request_options = config_.request_options;
    settings.receive_timeout = config_.timeouts.receive;
    settings.data_timeout = config_.timeouts.data;
    // Never 0, and far from the end of 24 bits: transaction-ids count up from here on one connection.
    settings.first_xid = 1 + static_cast<std::uint32_t>(jitter_.next() % 0x7fffff);
    auto session = active ? Link::Session(ActiveSession(settings)) : Link::Session(BulkSession(settings));
    // TCP, over TLS the answer to the upgrade, and the handshake: the shell bounds each, this is for all of them.
    const auto stages = config_.tls.mode == TlsMode::off ? 1 : 3;
    return links_.emplace_back(++last_connection_, std::move(session), now.steady + stages * config_.timeouts.connect);
}

/// Gives a connection the next query of the job; without one it has no use any more (RFC 6926 §7.8).
void ServerSync::ask_next(Link& link, Now now) {
    const auto usable = job_ && !std::get<BulkSession>(link.session).disconnected();
    const auto item = usable ? job_->take() : std::nullopt;
    if (!item) return drop(link.id, true);
    link.item = item;
    if (job_->items()[*item].attempts > 1) {
        begin_run(now);
        job_->renumber(*item, last_run_);
    }
    // What the server sent before this query was asked is older than its answer.
    link.fresh_from = highest_heard_;
    link.asked_at = now.steady;
    const auto& query = job_->items()[*item].query;
    std::get<BulkSession>(link.session).start(query, job_->query_window(), asks_all_vpns(query), session_now(now));
    log(LogLevel::debug, "bulk-query", {{"query", to_string(query)}});
}

void ServerSync::finish_job(Now now) {
    const auto job = *std::exchange(job_, std::nullopt);
    outbox_.touch(now.steady);
    if (job.is_full()) {
        finish_full(job, now);
    } else if (job.is_recent()) {
        finish_recent(job, now);
    } else {
        finish_window(job, now);
    }
    replan_ = true;
}

void ServerSync::finish_full(const BulkJob& job, Now now) {
    full_pacing_.on_attempt(now.steady, jitter_);
    full_again_.reset();
    hold_active_ = false;
    // Jitter on top, so that servers which were started together are not all read in the same minute. Also of a server that
    // is not polled: its active query may be refused next.
    poll_due_ = now.steady + config_.bulk.poll_interval + jitter_.up_to(config_.bulk.poll_interval / 10);
    bulk_refused_ = !job.any_complete() && !job.any_cut_off();
    if (!job.any_complete()) {
        full_cause_ = job.cause();
        set_error("full bulk failed: " + job.trouble());
        bulk_pacing_.on_failure(now.steady, jitter_);
        // Asking the same again would be answered the same (REQUIREMENTS 2.4, 2.5: do not repeat unchanged, long backoff).
        if (bulk_refused_) bulk_pacing_.put_off(now.steady + 10 * config_.timeouts.retry);
        return;
    }
    full_cause_.reset();
    plan_polls(job, now);
    auto& pending = outbox_.pending();
    outbox_.touch(now.steady);
    pending.reconcile = reconcile_of(job);
    const auto proven = job.absence_proves();
    if (!job.any_cut_off()) close_gaps(job);
    std::string lacks = proven ? "bulk.queries cover a part of the server (bulk.covers: partial)" : "";
    if (!proven || !job.all_read()) {
        lacks = job.all_complete() ? "some replies could not be understood (see quarantine); nothing is concluded from "
                                     "their absence"
                                   : job.trouble();
        set_error((job.all_complete() ? "full bulk: " : "full bulk incomplete: ") + lacks);
        full_again_ = now.steady + full_again_after(job);
    }
    status_.coverage = proven && covers_everything_ ? Coverage::full : Coverage::partial;
    // What was cut off is asked for again, also after a restart: that looks here (start()).
    if (!job.any_cut_off()) status_.last_full_sync_at = utc_now();
    // Of a server that is polled, what a query did not bring is as old as its last answer.
    if (polling_ ? !job.any_cut_off() && !job.any_refused() : !(kept_ && committed_)) {
        kept_ = job.began_at();
        // A server that sends no base-times has none to resume from, unless it turns out to know active leasequery after
        // all: then equal clocks are assumed (RFC 7653 §6.3.2, REQUIREMENTS RC-58), or nearly so.
        kept_guessed_ = !polling_ && !job.base_times_seen();
        if (kept_guessed_) *kept_ -= told_late;
        if (job.base_times_seen() || !polling_) pending.base_time = kept_;
    }
    const auto partial = status_.coverage == Coverage::partial;
    log(LogLevel::info, "full-bulk-done",
        {{"run", std::to_string(job.run())},
         {"bindings", std::to_string(job.bindings())},
         {"coverage", std::string(to_string(status_.coverage)) + (partial ? ": " + lacks : "")}});
}

/// A server that is polled is read again before long anyway, and one query that is always cut off must not make it send
/// all the others each minute.
std::chrono::milliseconds ServerSync::full_again_after(const BulkJob& job) const {
    const auto retry = config_.timeouts.retry;
    const auto interval = config_.bulk.poll_interval;
    if (!job.any_cut_off()) return std::max(10 * retry, interval);
    return polling_ ? std::min(10 * retry, interval) : retry;
}

/// Every query was answered or refused: asking again would bring the same. The gaps end, and say how.
void ServerSync::close_gaps(const BulkJob& job) {
    const auto* outcome = job.absence_proves() && job.all_read() ? "recovered" : "recovered in part";
    for (const auto number : job.gaps()) {
        if (!gaps_.awaits_full(number)) continue;
        outbox_.pending().gaps.push_back(gaps_.close(number, outcome, job.bindings()));
    }
}

Reconcile ServerSync::reconcile_of(const BulkJob& job) const {
    Reconcile r;
    r.run = job.run();
    assert(job.began_at());  // a query that ended well had a first reply
    r.listed_from = *job.began_at();
    r.all_vpns = asks_all_vpns(job.items().front().query);
    r.everything = covers_everything_ && job.absence_proves();
    for (const auto& item : job.items()) {
        if (item.state != BulkJob::ItemState::complete || item.lease_lost) continue;
        Reconcile::Scope scope{item.query.scope_id(), {}, {}, item.run};
        if (item.query.kind == QueryKind::relay_id) scope.relay_id = item.query.id;
        if (item.query.kind == QueryKind::remote_id) scope.remote_id = item.query.id;
        r.scopes.push_back(std::move(scope));
    }
    return r;
}

void ServerSync::finish_window(const BulkJob& job, Now now) {
    const auto number = job.gaps().front();
    const auto shows_ended = std::all_of(job.items().begin(), job.items().end(),
                                         [](const BulkJob::Item& i) { return i.query.shows_ended(); });
    // A v6 server puts a base-time into every reply if it knows time windows at all (RFC 7653 §9.3).
    const auto heeds = job.heeds_start(config_.family, std::nullopt);
    const auto knows_windows = heeds != false && (job.base_times_seen() || config_.family == Family::v4);
    if (heeds) learn_windows(*heeds, "its answer to a windowed query");
    hold_active_ = hold_active_ && gaps_.next_window().has_value();
    if (!job.all_complete() || !knows_windows) {
        // It refuses, breaks off, or would ignore the window: a full bulk at once (DESIGN section 3.3).
        hold_active_ = false;
        gaps_.needs_full(number);
        full_cause_ =
            job.all_complete() ? "the server knows no time windows" : "windowed bulk failed: " + job.trouble();
        return;
    }
    bulk_pacing_.put_off(now.steady + config_.timeouts.retry / 60);
    if (shows_ended && job.all_read()) {
        outbox_.pending().gaps.push_back(gaps_.close(number, "recovered", job.bindings()));
    } else {
        gaps_.needs_full(number);
    }
}

std::optional<SteadyTime> ServerSync::plan_deadline() const {
    std::optional<SteadyTime> first;
    // What was due when plan() last ran has been tried, and waits for an event, not for the time.
    const auto consider = [&](std::optional<SteadyTime> at) {
        if (at && *at > planned_at_ && (!first || *at < *first)) first = at;
    };
    consider(active_pacing_.due());
    consider(bulk_pacing_.due());
    if (gaps_.full_due()) consider(full_pacing_.due());
    if (polling_) consider(poll_due_);
    if (polling_) consider(window_due_);
    consider(ask_active_again_);
    consider(ask_support_again_);
    consider(full_again_);
    return first;
}

}  // namespace leasemirror
