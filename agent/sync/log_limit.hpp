// Keeps a peer that sends nonsense from filling the log.
#pragma once

#include "proto/time.hpp"

#include <cstdint>
#include <optional>

namespace leasemirror {

class LogLimit {
public:
    static constexpr int lines_per_minute = 10;
    /// Nothing: leave this line out. Else how many lines were left out since the last one that was written.
    [[nodiscard]] std::optional<std::uint64_t> admit(SteadyTime now);

private:
    SteadyTime minute_began_ = SteadyTime::min();
    int lines_ = 0;
    std::uint64_t left_out_ = 0;
};

}  // namespace leasemirror
