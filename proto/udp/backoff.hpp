// When a question over UDP is sent again: RFC 8415 §15 with the numbers of RFC 5007 §4.1.4 (v6), RFC 2131 §4.1 (v4).
#pragma once

#include "proto/ip_address.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>

namespace leasemirror {

/// Deterministic by its seed, the same on every machine, and hard to foretell from what it gave: transaction-ids come
/// out of it too, and a hostile server sees some of them.
using UdpRandom = std::mt19937_64;

class UdpBackoff {
public:
    /// `transmissions_max` counts the first one too (RFC 8415 §15); 0 counts as 1.
    UdpBackoff(Family family, std::uint32_t transmissions_max);

    /// How long to wait after the transmission that is made now. Nothing: there may be none any more.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> transmit(UdpRandom& random);

private:
    [[nodiscard]] std::chrono::duration<double> next_v4(UdpRandom& random);
    [[nodiscard]] std::chrono::duration<double> next_v6(UdpRandom& random) const;

    Family family_;
    std::uint32_t left_;
    std::chrono::duration<double> previous_{};  ///< v6: RTprev; v4: of the wait before, without its jitter
};

}  // namespace leasemirror
