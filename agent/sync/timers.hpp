// The timers of one server, in a table: what is due, and what comes next.
#pragma once

#include "proto/time.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace leasemirror {

enum class Timer : std::uint8_t {
    full_again,      ///< the last full bulk left something open
    lacking,         ///< the database has refused something that a full bulk brings again
    doubts,          ///< a full bulk because of many doubts, at the earliest
    poll,            ///< a full poll, of a server that is polled
    windowed_poll,   ///< a poll for what has changed since the last one
    active_again,    ///< a server that is polled is asked for its active leasequery again
    support_again,   ///< what the server did not support, it may support by now
    number_of_them,  ///< no timer
};

class Timers {
public:
    void set(Timer which, SteadyTime at) { slot(which) = at; }
    void stop(Timer which) { slot(which).reset(); }
    [[nodiscard]] std::optional<SteadyTime> at(Timer which) const { return table_[index(which)]; }
    [[nodiscard]] bool is_set(Timer which) const { return at(which).has_value(); }
    /// It is set, and its time has come. It stays set until somebody stops it.
    [[nodiscard]] bool is_due(Timer which, SteadyTime now) const { return is_set(which) && now >= *at(which); }

private:
    static constexpr std::size_t index(Timer which) { return static_cast<std::size_t>(which); }
    [[nodiscard]] std::optional<SteadyTime>& slot(Timer which) { return table_[index(which)]; }

    std::array<std::optional<SteadyTime>, static_cast<std::size_t>(Timer::number_of_them)> table_{};
};

/// The earliest of several moments, where a moment may be missing.
class Earliest {
public:
    void consider(std::optional<SteadyTime> at) {
        if (at && (!first_ || *at < *first_)) first_ = at;
    }
    [[nodiscard]] std::optional<SteadyTime> get() const { return first_; }

private:
    std::optional<SteadyTime> first_;
};

}  // namespace leasemirror
