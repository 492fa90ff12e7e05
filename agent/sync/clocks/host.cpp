#include "agent/sync/clocks/host.hpp"

namespace leasemirror {

std::optional<std::chrono::milliseconds> HostClock::on_event(Now now) {
    using std::chrono::milliseconds;
    const auto zero = now.utc - std::chrono::duration_cast<milliseconds>(now.steady.time_since_epoch());
    const auto moved = at_steady_zero_ ? zero - *at_steady_zero_ : milliseconds{0};
    at_steady_zero_ = zero;
    if (moved > -step_min && moved < step_min) return std::nullopt;
    return moved;
}

}  // namespace leasemirror
