#include "agent/sync/support.hpp"

#include "agent/sync/clocks/whole_seconds.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace leasemirror {
namespace {

/// A server that has answered an active query may have too many connections, or just be starting: it is asked so often
/// more, at its pace, before it is polled instead.
constexpr int silent_refusals_borne = 5;

/// A server with too many connections closes without a word, too (RFC 7724 §8.1), and so does one that permits no connection
/// at all; but that one answers no bulk query either. So often in a row, each time with an answer to a bulk query since
/// the last, and it is the message type.
constexpr int silent_refusals_proof = 3;

/// So many leases in a row that were left out had all ended, or all not: that is how the server lists.
constexpr int list_lessons = 8;

}  // namespace

Support::Support(const ServerConfig& config, bool can_poll, const ServerSupport& stored)
    : mode_(config.mode),
      can_poll_(can_poll),
      retry_(config.timeouts.retry),
      known_(stored),
      polling_(config.mode == SyncMode::bulk),
      active_pacing_(config.timeouts.retry, config.timeouts.retry) {}

void Support::start(Now now) {
    if (known_.active != false && known_.windows != false) return;
    if (!known_.seen_at) known_.seen_at = whole_seconds(now);
    // A clock of ours that was set back must not make this last for longer.
    const auto age = std::max(now.utc - UtcMillis{*known_.seen_at}, std::chrono::milliseconds{0});
    timers_.set(Timer::support_again, now.steady + std::max(lasts - age, std::chrono::milliseconds{0}));
    if (known_.active != false) return;
    silent_refusals_ = silent_refusals_proof - 1;  // a day later, one more confirms it
    polling_ = polling_ || (mode_ == SyncMode::automatic && can_poll_);
}

void Support::on_other_server(bool can_poll, const ServerConfig& config) {
    const auto pacing = active_pacing_;
    *this = Support(config, can_poll, {});
    active_pacing_ = pacing;
}

bool Support::on_deadline(Now now) {
    if (timers_.is_due(Timer::support_again, now.steady)) ask_anew(now);
    if (!polling_ || !timers_.is_due(Timer::active_again, now.steady)) return false;
    polling_ = false;
    timers_.stop(Timer::active_again);
    return true;
}

std::optional<SteadyTime> Support::next_deadline(SteadyTime after) const {
    Earliest first;
    for (const auto timer : {Timer::active_again, Timer::support_again})
        if (timers_.is_set(timer) && *timers_.at(timer) > after) first.consider(timers_.at(timer));
    return first.get();
}

/// A day has passed: the server may have been replaced by a newer version of it.
void Support::ask_anew(Now now) {
    timers_.stop(Timer::support_again);
    if (known_.windows == false) known_.windows.reset();
    if (known_.active == false) {
        known_.active.reset();
        if (mode_ == SyncMode::automatic) timers_.set(Timer::active_again, now.steady);
    }
    if (!known_.active && !known_.windows) known_.seen_at.reset();
}

void Support::on_active_answered(Now now) {
    silent_refusals_ = 0;
    learn(known_.active, known_.windows, true, now);
}

bool Support::on_active_not_supported(Now now) {
    put_off_active(now);
    learn(known_.active, known_.windows, false, now);
    return poll_instead(lasts, now);
}

bool Support::on_active_refused(Now now) {
    put_off_active(now);
    return poll_instead(not_soon(), now);
}

Support::Refusal Support::on_active_refused_silently(Now now) {
    auto ask_again = not_soon();
    ++silent_refusals_;
    if (known_.active == true) {
        if (silent_refusals_ < silent_refusals_borne) return Refusal::borne;
        silent_refusals_ = 0;
        known_.active.reset();
    } else if (!std::exchange(bulk_answered_, false)) {
        --silent_refusals_;  // it may refuse everything: no proof of anything
    } else if (silent_refusals_ >= silent_refusals_proof) {
        learn(known_.active, known_.windows, false, now);
        ask_again = lasts;
    }
    put_off_active(now);
    return poll_instead(ask_again, now) ? Refusal::now_polled : Refusal::put_off;
}

bool Support::on_windows(bool supported, Now now) {
    const auto news = known_.windows != supported;
    learn(known_.windows, known_.active, supported, now);
    return news;
}

void Support::on_disorder(std::chrono::seconds late) {
    // Base-times are cut to whole seconds: it may have been nearly one more.
    known_.disorder = std::max(known_.disorder, std::min(late + std::chrono::seconds{1}, Change::disorder_window));
}

bool Support::on_unlisted_lease(bool ended) {
    if (ended != (ended_in_a_row_ > 0)) ended_in_a_row_ = 0;
    ended_in_a_row_ += ended ? 1 : -1;
    if (std::abs(ended_in_a_row_) < list_lessons || known_.complete_lists == ended) return false;
    known_.complete_lists = ended;
    return true;
}

/// Both share one time. It is that of a 'no', if there is one, and of two the older.
void Support::learn(std::optional<bool>& ability, const std::optional<bool>& other, bool supported, Now now) {
    if (ability == supported) return;
    ability = supported;
    if (other != false) known_.seen_at = whole_seconds(now);
    if (!supported && !timers_.is_set(Timer::support_again)) timers_.set(Timer::support_again, now.steady + lasts);
}

void Support::put_off_active(Now now) {
    active_pacing_.put_off(now.steady + not_soon());
}

bool Support::poll_instead(std::chrono::milliseconds ask_again, Now now) {
    if (mode_ != SyncMode::automatic || !can_poll_) return false;
    polling_ = true;
    timers_.set(Timer::active_again, now.steady + ask_again);
    return true;
}

}  // namespace leasemirror
