#include "agent/sync/clock_skew.hpp"

#include <algorithm>
#include <utility>

namespace leasemirror {
namespace {

using std::chrono::milliseconds;

/// Base-times are cut to whole seconds, so a sample may be this much too low without any delay.
constexpr milliseconds cut_off{999};

}  // namespace

ClockSkew::Verdict ClockSkew::on_base_time(ServerTime base, std::optional<ServerTime> fresh_from, SteadyTime asked_at,
                                           Now now, bool prompt) {
    if (fresh_from && base < *fresh_from - disorder_max) return Verdict::stepped_back;
    follow_our_own_clock(now);
    const auto sample = std::chrono::duration_cast<Skew>(base.time_since_epoch() - now.utc.time_since_epoch());
    if (!estimate_) {
        // The value nearest to "our clocks agree" that the sample allows.
        estimate_ = std::clamp(Skew{0}, sample, sample + cut_off);
        return Verdict::steady;
    }
    const auto waited = std::chrono::floor<milliseconds>(now.steady - asked_at);
    const auto most = sample + waited + cut_off;
    if (*estimate_ > most + step_min) return Verdict::stepped_back;
    estimate_ = std::min(*estimate_, std::max(most, sample));
    if (sample >= *estimate_ + step_min) {
        estimate_ = sample + cut_off / 2;
        window_samples_ = 0;
        return Verdict::stepped_forward;
    }
    if (sample > *estimate_) estimate_ = sample;
    return prompt ? add_to_window(sample, now) : Verdict::steady;
}

ClockSkew::Verdict ClockSkew::add_to_window(Skew sample, Now now) {
    if (window_samples_++ == 0) {
        window_began_ = now.steady;
        window_highest_ = sample;
    }
    window_highest_ = std::max(window_highest_, sample);
    if (now.steady - window_began_ < window || window_samples_ < window_samples_min) return Verdict::steady;
    window_samples_ = 0;
    return close_window();
}

/// Whoever sets our clock moves all samples at once; the server's clock has not changed by that.
void ClockSkew::follow_our_own_clock(Now now) {
    const auto epoch = now.utc - std::chrono::duration_cast<milliseconds>(now.steady.time_since_epoch());
    if (our_epoch_ && estimate_) {
        const auto moved = epoch - *our_epoch_;
        if (moved > cut_off || moved < -cut_off) {
            *estimate_ -= moved;
            window_samples_ = 0;
        }
    }
    our_epoch_ = epoch;
}

ClockSkew::Verdict ClockSkew::close_window() {
    const auto too_high = *estimate_ - (window_highest_ + cut_off);
    const auto last_low = std::exchange(low_window_, std::nullopt);
    if (too_high <= milliseconds{0}) return Verdict::steady;
    if (too_high < step_min) {
        *estimate_ -= std::min<Skew>(too_high, drift_step);
        return Verdict::steady;
    }
    low_window_ = window_highest_;
    const auto settled = last_low && std::chrono::abs(window_highest_ - *last_low) <= step_settled;
    return settled ? Verdict::stepped_back : Verdict::steady;
}

}  // namespace leasemirror
