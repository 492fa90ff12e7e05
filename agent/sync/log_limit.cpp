#include "agent/sync/log_limit.hpp"

#include <chrono>
#include <utility>

namespace leasemirror {

std::optional<std::uint64_t> LogLimit::admit(SteadyTime now) {
    if (now >= minute_began_ + std::chrono::minutes{1}) {
        minute_began_ = now;
        lines_ = 0;
    }
    if (lines_ >= lines_per_minute) {
        ++left_out_;
        return std::nullopt;
    }
    ++lines_;
    return std::exchange(left_out_, 0);
}

}  // namespace leasemirror
