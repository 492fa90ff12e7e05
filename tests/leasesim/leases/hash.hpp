// Seeded choices without state: the same (seed, unit, visit, salt) always gives the same number.
#pragma once

#include <cstdint>

namespace leasemirror::leasesim {

/// One step of splitmix64.
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27U)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31U);
}
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
    return mix(mix(a) ^ b);
}
/// `x` as a number in [0, 1).
[[nodiscard]] constexpr double fraction(std::uint64_t x) {
    return static_cast<double>(x >> 11U) / 9007199254740992.0;
}

}  // namespace leasemirror::leasesim
