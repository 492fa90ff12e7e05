#include "agent/sync/bulk_planner.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace leasemirror {
namespace {

/// A windowed poll goes back this much further than the first reply of the last one: what changed within the second of
/// that base-time, or was written down by the server a little later than it happened.
constexpr std::chrono::seconds window_overlap{10};

/// Jitter on top, so that servers which were started together are not all asked in the same moment.
SteadyTime after(SteadyTime now, std::chrono::milliseconds interval, Jitter& jitter) {
    return now + interval + jitter.up_to(interval / 10);
}

}  // namespace

BulkPlanner::BulkPlanner(const ServerConfig& config, const ResumePoint& resume)
    : config_(config),
      queries_(full_read_queries(config)),
      gaps_(resume.open_gaps, resume.last_gap),
      last_run_(resume.last_run),
      gaps_first_(!resume.open_gaps.empty() && !queries_.empty()),
      read_whole_(resume.last_full_sync_at && resume.coverage == Coverage::full),
      pacing_(config.timeouts.retry / 10, config.timeouts.retry),
      repair_pacing_(config.timeouts.retry, 60 * config.timeouts.retry) {}

bool BulkPlanner::asks_all_vpns(const BulkQuery& query) const {
    return config_.family == Family::v4 && query.kind == QueryKind::all && ask_all_vpns_;
}

GapChange BulkPlanner::open_gap(ServerTime from, ServerTime to, const std::string& cause) {
    return gaps_.open(from, to, cause);
}

GapChange BulkPlanner::open_unread_gap(ServerTime from, ServerTime to, const std::string& cause) {
    return gaps_.open_for_full(from, to, cause);
}

void BulkPlanner::need_full_for_unread(SteadyTime now) {
    const auto at = now + slowed(again_after(), repair_pacing_.failures());
    const auto planned = timers_.at(Timer::full_again);
    if (!planned || at < *planned) timers_.set(Timer::full_again, at);
}

void BulkPlanner::on_lacking(bool lacking, SteadyTime now) {
    if (!lacking || !can_ask()) {
        lacking_fulls_ = 0;
        return timers_.stop(Timer::lacking);
    }
    if (!timers_.is_set(Timer::lacking)) timers_.set(Timer::lacking, now + slowed(again_after(), 1 + lacking_fulls_));
}

std::chrono::milliseconds BulkPlanner::again_after() const {
    return again_in_vain(config_.timeouts.retry, config_.bulk.poll_interval);
}

/// Full bulks whose replies cannot be read, or not be stored, come more and more rarely: what a server cannot say today, it
/// can rarely say in ten minutes.
std::chrono::milliseconds BulkPlanner::slowed(std::chrono::milliseconds interval, int failures) const {
    const auto most = std::max(interval, 60 * config_.timeouts.retry);
    for (int i = 1; i < failures && interval < most; ++i)
        interval *= 2;
    return std::min(interval, most);
}

// ---- what comes next ----------------------------------------------------------------------------------------------

bool BulkPlanner::begin_next(SteadyTime now, const Support& support, bool doubts) {
    if (job_) return false;
    if (support.has_no_windows() && gaps_.window_pending()) {
        gaps_.all_need_full();
        gaps_first_ = false;
    }
    if (!pacing_.is_due(now)) return false;
    if (const auto cause = full_due_for(now, support.is_polling(), doubts)) {
        gaps_.on_full_begun();
        job_ = BulkJob::full(begin_run(), queries_, *cause);
    } else if (support.is_polling() && windowed_.due && now >= *windowed_.due) {
        job_ = BulkJob::windowed_poll(begin_run(), *windowed_.from - window_overlap, windowed_.queries);
    } else if (const auto gap = gaps_.next_window()) {
        gaps_.on_window_begun(gap->number);
        job_ = BulkJob::window(begin_run(), *gap, queries_);
    }
    return job_.has_value();
}

/// Why a full bulk should begin now, if one should.
std::optional<std::string> BulkPlanner::full_due_for(SteadyTime now, bool polling, bool doubts) const {
    if (full_cause_) return full_cause_;
    if (timers_.is_due(Timer::full_again, now)) return "the last one was not complete";
    if (timers_.is_due(Timer::lacking, now)) return "the database had refused something";
    // One for all gaps then open, so those that a windowed bulk can still help come first.
    if (gaps_.full_due() && !gaps_.window_pending() && repair_pacing_.is_due(now)) return "gap";
    if (doubts && (!timers_.is_set(Timer::doubts) || timers_.is_due(Timer::doubts, now))) return "doubts";
    if (polling && (!timers_.is_set(Timer::poll) || timers_.is_due(Timer::poll, now))) return "poll";
    return std::nullopt;
}

std::optional<SteadyTime> BulkPlanner::next_deadline(SteadyTime planned_at, bool polling, bool doubts) const {
    Earliest first;
    const auto consider = [&](std::optional<SteadyTime> at) {
        if (at && *at > planned_at) first.consider(at);
    };
    consider(pacing_.due());
    consider(timers_.at(Timer::full_again));
    consider(timers_.at(Timer::lacking));
    if (doubts) consider(timers_.at(Timer::doubts));
    if (gaps_.full_due()) consider(repair_pacing_.due());
    if (polling) consider(timers_.at(Timer::poll));
    if (polling) consider(windowed_.due);
    return first.get();
}

// ---- how a job goes -----------------------------------------------------------------------------------------------

bool BulkPlanner::retries_without_vpns(const BulkQuery& query) {
    // Option 221 may be all that the server minds (Kea refuses any). If that was not it, the next query may ask for them
    // again.
    const auto asked = asks_all_vpns(query);
    ask_all_vpns_ = !asked;
    return asked;
}

void BulkPlanner::on_connections_lost() {
    if (job_) job_->give_back_all();
}

BulkJob BulkPlanner::take_job() {
    assert(job_);
    return *std::exchange(job_, std::nullopt);
}

ConclusionContext BulkPlanner::context(const BulkJob& job, bool polling) const {
    return {config_.family,
            covers_everything(),
            asks_all_vpns(job.items().front().query),
            polling,
            gaps_.full_running(),
            config_.timeouts.retry,
            config_.bulk.poll_interval};
}

std::vector<GapChange> BulkPlanner::on_full_ended(const BulkJob& job, const FullConclusion& conclusion, SteadyTime now,
                                                  Jitter& jitter) {
    // What was cut off is no proof that all can be read by now.
    if (job.all_read() && conclusion.asked_to_the_end) repair_pacing_.on_success();
    if (job.all_read())
        repair_pacing_.on_attempt(now, jitter);
    else
        repair_pacing_.on_failure(now, jitter);
    timers_.stop(Timer::full_again);
    timers_.set(Timer::doubts, now + slowed(10 * config_.timeouts.retry, repair_pacing_.failures()));
    if (timers_.is_set(Timer::lacking)) timers_.set(Timer::lacking, now + slowed(again_after(), 1 + ++lacking_fulls_));
    gaps_first_ = false;
    // Also of a server that is not polled: its active query may be refused next.
    timers_.set(Timer::poll, after(now, config_.bulk.poll_interval, jitter));
    refused_ = conclusion.answer == FullConclusion::Answer::refused;
    read_whole_ = conclusion.reaches_began_at;
    std::vector<GapChange> closed;
    if (conclusion.answer == FullConclusion::Answer::some) {
        full_cause_.reset();
        if (conclusion.again_after)
            timers_.set(Timer::full_again,
                        now + (job.any_cut_off() ? *conclusion.again_after
                                                 : slowed(*conclusion.again_after, repair_pacing_.failures())));
        if (conclusion.asked_to_the_end) closed = gaps_.close_by_full(conclusion.gap_outcome, job.bindings());
    } else {
        full_cause_ = job.cause();
        pacing_.on_failure(now, jitter);
        // Asking the same again would be answered the same: RFC 6926 §7.1 and RFC 5460 §5.5 want an interval before a retry.
        if (refused_) pacing_.put_off(now + 10 * config_.timeouts.retry);
    }
    gaps_.on_full_over();
    return closed;
}

bool BulkPlanner::on_full_listed(const BulkJob& full) {
    windowed_ = {std::nullopt, full.base_times_seen() ? full.began_at() : std::nullopt, full.queries_complete(),
                 full.oldest_change()};
    return full.base_times_seen() || full.bindings() == 0;
}

void BulkPlanner::plan_windowed_poll(const Support& support, SteadyTime now, Jitter& jitter) {
    const auto& interval = config_.bulk.window_interval;
    if (!interval || *interval >= config_.bulk.poll_interval) return;
    if (windowed_.from && !support.has_no_windows()) windowed_.due = after(now, *interval, jitter);
}

void BulkPlanner::on_poll_ended(const BulkJob& job, const PollConclusion& conclusion, const Support& support,
                                SteadyTime now, Jitter& jitter) {
    windowed_.due = after(now, *config_.bulk.window_interval, jitter);
    if (support.has_no_windows()) return windowed_.due.reset();
    windowed_.queries = job.queries_not_refused();
    if (conclusion.next_from) windowed_.from = conclusion.next_from;
}

void BulkPlanner::on_window_ended(const BulkJob& job, const WindowConclusion& conclusion, SteadyTime now) {
    gaps_.needs_full(job.gap());
    if (!conclusion.no_help_because.empty()) {
        gaps_first_ = false;
        full_cause_ = conclusion.no_help_because;
        return;
    }
    gaps_first_ = gaps_first_ && gaps_.next_window().has_value();
    pacing_.put_off(now + config_.timeouts.retry / 60);
}

// ---- a new epoch --------------------------------------------------------------------------------------------------

void BulkPlanner::start_afresh(const std::string& cause, SteadyTime now, Jitter& jitter) {
    job_.reset();
    timers_.stop(Timer::full_again);
    windowed_ = {};
    gaps_first_ = false;
    read_whole_ = false;
    if (!can_ask()) return;
    gaps_.all_need_full();
    full_cause_ = cause;
    pacing_.on_failure(now, jitter);
}

void BulkPlanner::on_other_server() {
    refused_ = false;
    ask_all_vpns_ = true;
    timers_.stop(Timer::poll);
}

}  // namespace leasemirror
