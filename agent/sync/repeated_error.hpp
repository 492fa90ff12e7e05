// Keeps trouble that goes on for hours from filling the log, and from being forgotten there: an error is said at once, and
// when it comes again and again, at growing distances with how often.
#pragma once

#include "proto/time.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

class RepeatedError {
public:
    /// When an error that comes again is said again, after it came first; from the last on, each so long.
    static constexpr std::array<std::chrono::minutes, 3> distances{std::chrono::minutes{1}, std::chrono::minutes{10},
                                                                   std::chrono::minutes{60}};
    /// So many texts are known apart; what comes beyond takes the place of the one that was silent for longest.
    static constexpr std::size_t texts_max = 8;

    struct Said {
        std::string text;
        std::uint64_t times = 1;  ///< that it came, this one included
        UtcMillis since{};        ///< it came first
        std::chrono::milliseconds for_so_long{0};
    };
    /// It is to be said, with how often it has come; nothing: to be left out.
    [[nodiscard]] std::optional<Said> on_error(const std::string& text, Now now);
    /// The trouble is over: what had come more than once. All is forgotten.
    [[nodiscard]] std::vector<Said> on_over(SteadyTime now);

private:
    struct Known {
        Said said;
        SteadyTime began;
        SteadyTime last;
        SteadyTime say_again;
    };
    std::vector<Known> known_;
};

}  // namespace leasemirror
