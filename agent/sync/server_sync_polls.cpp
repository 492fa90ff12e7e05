// The part of ServerSync for servers that only know bulk (DESIGN section 3.5): windowed polls between the full ones, and
// what each server supports; see the head of server_sync.hpp.
//
// What it supports is seen from what arrives, and remembered in the database:
//
//     active   yes: an active query was answered. no: NotSupported, or closed without a word several times while bulk
//              queries were answered in between.
//     windows  yes: what changed before the start time is left out. no: it is not, or replies carry no base-time.
//
// A 'no' is good for a day, or until another server answers at the address.
#include "agent/sync/server_sync.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

/// A server that has answered an active query may have too many connections, or just be starting: it is asked so often
/// more, at its pace, before it is polled instead.
constexpr int silent_refusals_borne = 5;

/// v4 has no word for a message type that a server does not know: it closes the connection (RFC 7724 §8.1.1). So does one
/// that has too many connections, and one that permits no connection at all; but that one answers no bulk query either.
/// So often in a row, each time with an answer to a bulk query since the last, and it is the message type.
constexpr int silent_refusals_proof = 3;

/// A windowed poll goes back this much further than the first reply of the last one: what changed within the second of
/// that base-time, or was written down by the server a little later than it happened.
constexpr std::chrono::seconds window_overlap{10};

}  // namespace

// ---- windowed polls -----------------------------------------------------------------------------------------------

bool ServerSync::recent_due(Now now) const {
    return polling_ && window_due_ && now.steady >= *window_due_ && bulk_pacing_.is_due(now.steady);
}

/// A full poll has ended: what is asked for from now on is what changes after its first reply.
void ServerSync::plan_polls(const BulkJob& full, Now now) {
    oldest_change_ = full.oldest_change();
    window_queries_ = full.queries_complete();
    window_due_.reset();
    if (!full.base_times_seen() && full.bindings() > 0)
        learn_windows(false, "its replies carry no base-time, so a start time has no clock");
    window_from_ = full.base_times_seen() ? full.began_at() : std::nullopt;  // else the server's clock is not known
    const auto& interval = config_.bulk.window_interval;
    if (!interval || *interval >= config_.bulk.poll_interval) return;
    if (window_from_ && status_.support.windows != false)
        window_due_ = now.steady + *interval + jitter_.up_to(*interval / 10);
}

void ServerSync::begin_recent(Now now) {
    begin_run(now);
    const auto start = *window_from_ - window_overlap;
    job_ = BulkJob::recent(last_run_, start, window_queries_);
    log(LogLevel::debug, "windowed-poll",
        {{"run", std::to_string(last_run_)}, {"from", std::to_string(unix_seconds(start))}});
}

/// It brings what is new and concludes nothing from what is absent. The mirror is right up to its first reply only where
/// the answer shows what ended, too; else up to the last full poll (promise P6).
void ServerSync::finish_recent(const BulkJob& job, Now now) {
    const auto& interval = *config_.bulk.window_interval;
    log(LogLevel::debug, "windowed-poll-done",
        {{"run", std::to_string(job.run())}, {"bindings", std::to_string(job.bindings())}});
    window_due_ = now.steady + interval + jitter_.up_to(interval / 10);
    if (!job.all_complete()) set_error("windowed poll incomplete: " + job.trouble());
    if (const auto heeds = job.heeds_start(config_.family, oldest_change_))
        learn_windows(*heeds, *heeds ? "" : "it lists what had not changed since");
    // What the full poll was told, and is refused with a start time, is refused for that.
    if (!job.any_complete() && !job.any_cut_off()) learn_windows(false, job.trouble());
    if (status_.support.windows == false) return window_due_.reset();
    window_queries_ = job.queries_not_refused();
    if (job.any_cut_off() || !job.any_complete()) return;  // the next one begins where this one did
    // An empty answer may be so because the server's clock was set back: without a base-time it proves nothing, and the
    // next one goes back as far (RFC 6926 §6.2.5: the start time comes from what the server said).
    if (!job.base_times_seen()) return;
    window_from_ = job.began_at();
    const auto shows_ended = std::all_of(job.items().begin(), job.items().end(),
                                         [](const BulkJob::Item& i) { return i.query.shows_ended(); });
    if (shows_ended && job.all_complete() && job.all_read() && kept_) {
        kept_ = std::max(*kept_, *job.began_at());
        outbox_.pending().base_time = kept_;
    }
}

// ---- what the server supports -------------------------------------------------------------------------------------

/// What an earlier life of the agent has found out.
void ServerSync::resume_support(Now now) {
    auto& support = status_.support;
    if (support.active != false && support.windows != false) return;
    if (!support.seen_at) support.seen_at = utc_now();
    // A clock of ours that was set back must not make this last for longer.
    const auto age = std::max(now.utc - UtcMillis{*support.seen_at}, std::chrono::milliseconds{0});
    ask_support_again_ = now.steady + std::max(support_lasts - age, std::chrono::milliseconds{0});
    if (support.active != false) return;
    silent_refusals_ = silent_refusals_proof - 1;  // a day later, one more confirms it
    polling_ = polling_ || (config_.mode == SyncMode::automatic && !queries_.empty());
}

/// A day has passed: the server may have been replaced by a newer version of it.
void ServerSync::ask_support_anew(Now now) {
    ask_support_again_.reset();
    auto& support = status_.support;
    if (support.windows == false) support.windows.reset();
    if (support.active == false) {
        support.active.reset();
        if (config_.mode == SyncMode::automatic) ask_active_again_ = now.steady;
    }
    if (!support.active && !support.windows) support.seen_at.reset();
    outbox_.touch(now.steady);
    replan_ = true;
}

void ServerSync::learn_active(bool supported) {
    if (supported) silent_refusals_ = 0;
    learn(status_.support.active, status_.support.windows, supported);
}

void ServerSync::learn_windows(bool supported, const std::string& why) {
    const auto news = status_.support.windows != supported;
    learn(status_.support.windows, status_.support.active, supported);
    if (news && !supported && config_.bulk.window_interval)
        log(LogLevel::warn, "no-windowed-polls", {{"reason", "the server heeds no start time: " + why}});
}

/// Both share one time. It is that of a 'no', if there is one, and of two the older.
void ServerSync::learn(std::optional<bool>& ability, const std::optional<bool>& other, bool supported) {
    if (ability == supported) return;
    ability = supported;
    if (other != false) status_.support.seen_at = utc_now();
    if (!supported && !ask_support_again_) ask_support_again_ = now_.steady + support_lasts;
    outbox_.touch(now_.steady);
}

void ServerSync::on_refused_silently(const std::string& text) {
    ++silent_refusals_;
    if (status_.support.active == true) {
        if (silent_refusals_ < silent_refusals_borne) return;
        silent_refusals_ = 0;
        status_.support.active.reset();
    } else if (!std::exchange(bulk_answered_, false)) {
        --silent_refusals_;  // it may refuse everything: no proof of anything
    } else if (silent_refusals_ >= silent_refusals_proof) {
        learn_active(false);
        return poll_instead(support_lasts, text);
    }
    poll_instead(10 * config_.timeouts.retry, text);
}

void ServerSync::poll_instead(std::chrono::milliseconds ask_again, const std::string& why) {
    active_pacing_.put_off(now_.steady + 10 * config_.timeouts.retry);
    if (config_.mode != SyncMode::automatic || queries_.empty()) return;
    polling_ = true;
    failing_ = false;
    ask_active_again_ = now_.steady + ask_again;
    log(LogLevel::warn, "polling-instead", {{"reason", why}});
}

/// Another server need not know what the last one knew.
void ServerSync::forget_abilities() {
    status_.support = {};
    ask_support_again_.reset();
    silent_refusals_ = 0;
    bulk_answered_ = false;
    bulk_refused_ = false;
    ask_all_vpns_ = true;
    polling_ = config_.mode == SyncMode::bulk;
    ask_active_again_.reset();
    poll_due_.reset();
}

}  // namespace leasemirror
