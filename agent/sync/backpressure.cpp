#include "agent/sync/backpressure.hpp"

#include <chrono>
#include <string>
#include <utility>

namespace leasemirror {
namespace {

/// A message read this soon after we had stopped reading may have waited for us.
constexpr std::chrono::seconds prompt_after{30};

}  // namespace

std::optional<bool> Backpressure::follow(const Outbox& outbox, SteadyTime now, StatusReport& report) {
    const auto blocked = outbox.full();
    if (blocked || blocked_) last_blocked_ = now;
    const auto changed = blocked != std::exchange(blocked_, blocked);
    report_change(outbox, now, report);
    return changed ? std::optional(!blocked) : std::nullopt;
}

bool Backpressure::reads_promptly(SteadyTime now) const {
    return !last_blocked_ || now - *last_blocked_ >= prompt_after;
}

void Backpressure::report_change(const Outbox& outbox, SteadyTime now, StatusReport& report) {
    if (blocked_ && !waiting_) {
        const auto left_out = log_limit_.admit(now);
        waiting_ = Waiting{now, left_out.has_value()};
        if (!left_out) return;
        report.log(
            LogLevel::warn, "reading-waits",
            {{"reason", "the database is slower than the server; reading from the server goes on when there is room"},
             {"held_bytes", std::to_string(outbox.held_bytes())},
             {"left_out_before", std::to_string(*left_out)}});
    } else if (!blocked_ && waiting_ && !outbox.behind()) {
        const auto ended = *std::exchange(waiting_, std::nullopt);
        const auto lasted = std::chrono::floor<std::chrono::seconds>(now - ended.since);
        if (ended.said)
            report.log(LogLevel::info, "reading-goes-on", {{"after_seconds", std::to_string(lasted.count())}});
    }
}

}  // namespace leasemirror
