#include "proto/udp/backoff.hpp"

#include "proto/numbers_v4.hpp"
#include "proto/numbers_v6.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

/// Uniform in [-1, +1]. The standard's distributions differ from library to library; this does not.
double symmetric(UdpRandom& random) {
    constexpr auto steps = std::uint64_t{1} << 53;  // what a double holds exactly
    return 2.0 * static_cast<double>(random() % (steps + 1)) / static_cast<double>(steps) - 1.0;
}

/// RAND of RFC 8415 §15.
double rand_v6(UdpRandom& random) {
    return 0.1 * symmetric(random);
}

}  // namespace

UdpBackoff::UdpBackoff(Family family, std::uint32_t transmissions_max)
    : family_(family), left_(std::max(transmissions_max, 1U)) {}

std::optional<std::chrono::nanoseconds> UdpBackoff::transmit(UdpRandom& random) {
    if (left_ == 0) return std::nullopt;
    --left_;
    if (family_ == Family::v4) return std::chrono::duration_cast<std::chrono::nanoseconds>(next_v4(random));
    previous_ = next_v6(random);
    return std::chrono::duration_cast<std::chrono::nanoseconds>(previous_);
}

/// Doubled without the jitter: "4 seconds", "8 seconds", each "randomized by ... the range -1 to +1" (RFC 2131 §4.1).
std::chrono::duration<double> UdpBackoff::next_v4(UdpRandom& random) {
    previous_ = previous_.count() == 0 ? udp_backoff_first_v4
                                       : std::min<decltype(previous_)>(2 * previous_, udp_backoff_max_v4);
    return previous_ + symmetric(random) * udp_backoff_jitter_v4;
}

/// Doubled with the jitter: RT = 2*RTprev + RAND*RTprev (RFC 8415 §15).
std::chrono::duration<double> UdpBackoff::next_v6(UdpRandom& random) const {
    if (previous_.count() == 0) return (1.0 + rand_v6(random)) * std::chrono::duration<double>(lq_timeout_v6);
    const auto next = (2.0 + rand_v6(random)) * previous_;
    if (next <= lq_max_rt_v6) return next;
    return (1.0 + rand_v6(random)) * std::chrono::duration<double>(lq_max_rt_v6);
}

}  // namespace leasemirror
