#include "agent/sync/pacing.hpp"

#include <algorithm>

namespace leasemirror {

std::uint64_t Jitter::next() {
    state_ += 0x9e3779b97f4a7c15;
    auto z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

std::chrono::milliseconds Jitter::up_to(std::chrono::milliseconds most) {
    if (most.count() <= 0) return std::chrono::milliseconds{0};
    return std::chrono::milliseconds{
        static_cast<std::int64_t>(next() % (static_cast<std::uint64_t>(most.count()) + 1))};
}

void Pacing::on_attempt(SteadyTime now, Jitter& jitter) {
    // A tenth on top: enough that servers which went down together are not all asked in the same second.
    put_off(now + spacing() + jitter.up_to(spacing() / 10));
}

void Pacing::on_failure(SteadyTime now, Jitter& jitter) {
    on_attempt(now, jitter);
    if (spacing() < most_) ++failures_;
}

std::chrono::milliseconds Pacing::spacing() const {
    auto spacing = first_;
    for (int i = 0; i < failures_ && spacing < most_; ++i)
        spacing *= 2;
    return std::min(spacing, most_);
}

}  // namespace leasemirror
