#include "agent/sync/clocks/skew.hpp"

#include <algorithm>
#include <utility>

namespace leasemirror {
namespace {

using std::chrono::milliseconds;

/// Two clocks drift apart by no more than one part in so many.
constexpr int drift_parts = 5000;

}  // namespace

Skew ClockSkew::Sample::at_least(Now now) const {
    return std::chrono::duration_cast<Skew>(base.time_since_epoch() - now.utc.time_since_epoch());
}

Skew ClockSkew::Sample::at_most(Now now) const {
    return at_least(now) + std::chrono::floor<milliseconds>(now.steady - asked_at) + cut_off;
}

ClockSkew::ClockSkew(std::optional<Skew> stored) : estimate_(stored) {
    if (stored) bound_ = *stored + cut_off;
}

bool ClockSkew::lags(ServerTime base, Now now) const {
    return lags(Sample{base, std::nullopt}.at_least(now));
}

ClockSkew::Verdict ClockSkew::on_base_time(const Sample& told, Now now) {
    const auto sample = told.at_least(now);
    const auto most = told.at_most(now);
    if (!estimate_) {
        begin_anew(sample, most, now);
        return Verdict::steady;
    }
    if (!bound_at_) bound_at_ = now.steady;
    const auto kept = bound(now);
    const auto ahead = kept && sample > *kept + step_min;
    const auto behind = told.built_after_asked && *estimate_ > most + step_min;
    const auto before = told.fresh_from && told.base < *told.fresh_from - disorder_max;
    if (ahead || behind || before || joins_doubt(told, sample)) return doubt(sample, most, now);
    doubted_.reset();
    if (told.built_after_asked) {
        narrow_bound(most, now);
        estimate_ = std::min(*estimate_, std::max(most, sample));
    }
    estimate_ = std::max(*estimate_, sample);
    return told.prompt ? add_to_window(sample, now) : Verdict::steady;
}

/// Whether a message tells what an earlier one did that cannot be right. Long after we asked it might have waited for as long,
/// and would be no evidence by itself; but then the earlier one cannot have waited so long.
bool ClockSkew::joins_doubt(const Sample& told, Skew sample) const {
    return doubted_ && told.built_after_asked && lags(sample) &&
           std::chrono::abs(sample - doubted_->sample) <= step_settled;
}

/// One message that cannot be right may be wrong by itself; when several tell the same, the clock was set.
ClockSkew::Verdict ClockSkew::doubt(Skew sample, Skew most, Now now) {
    if (doubted_ && std::chrono::abs(sample - doubted_->sample) <= step_settled)
        ++doubted_->witnesses;
    else
        doubted_ = Doubted{sample};
    if (doubted_->witnesses < step_witnesses) return Verdict::doubtful;
    const auto before = *estimate_;
    begin_anew(sample, most, now);
    return sample < before ? Verdict::stepped_back : Verdict::stepped_forward;
}

void ClockSkew::begin_anew(Skew sample, Skew most, Now now) {
    *this = ClockSkew{};
    // The value nearest to "our clocks agree" that the sample allows.
    estimate_ = std::clamp(Skew{0}, sample, sample + cut_off);
    narrow_bound(std::max(most, *estimate_), now);
}

void ClockSkew::narrow_bound(Skew most, Now now) {
    const auto kept = bound(now);
    if (kept && *kept <= most) return;
    bound_ = most;
    bound_at_ = now.steady;
}

std::optional<Skew> ClockSkew::bound(Now now) const {
    if (!bound_) return std::nullopt;
    const auto drift = std::chrono::ceil<milliseconds>((now.steady - bound_at_.value_or(now.steady)) / drift_parts);
    return *bound_ + drift;
}

void ClockSkew::on_our_clock_moved(milliseconds by) {
    if (estimate_) *estimate_ -= by;
    if (bound_) *bound_ -= by;
    doubted_.reset();
    window_ = {};
}

ClockSkew::Verdict ClockSkew::add_to_window(Skew sample, Now now) {
    if (window_.samples++ == 0) {
        window_.began = now.steady;
        window_.highest = sample;
    }
    window_.highest = std::max(window_.highest, sample);
    if (now.steady - window_.began < window || window_.samples < window_samples_min) return Verdict::steady;
    window_.samples = 0;
    return close_window();
}

ClockSkew::Verdict ClockSkew::close_window() {
    const auto too_high = *estimate_ - (window_.highest + cut_off);
    const auto last_low = std::exchange(window_.low_before, std::nullopt);
    if (too_high <= milliseconds{0}) return Verdict::steady;
    if (too_high < window_step_min) {
        *estimate_ -= std::min<Skew>(too_high, drift_step);
        return Verdict::steady;
    }
    window_.low_before = window_.highest;
    const auto settled = last_low && std::chrono::abs(window_.highest - *last_low) <= step_settled;
    if (!settled) return Verdict::steady;
    const auto highest = window_.highest;
    *this = ClockSkew{};
    estimate_ = std::clamp(Skew{0}, highest, highest + cut_off);
    return Verdict::stepped_back;
}

}  // namespace leasemirror
