// The two time contexts (RFC 6926 §7.4, RFC 7653 §8.5) as two types that cannot be mixed by accident.
#pragma once

#include <chrono>
#include <cstdint>

namespace leasemirror {

/// The clock of one DHCP server. Nobody here can read it: values only arrive in messages, and go back to
/// that same server in query start and end times.
struct ServerClock {
    using duration = std::chrono::seconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<ServerClock, duration>;
    static constexpr bool is_steady = false;
};

/// A point in a server's context, counted in Unix seconds for both families: the v6 wire epoch
/// (2000-01-01, RFC 7653 §6.3.1) is converted where the message is decoded.
using ServerTime = ServerClock::time_point;

/// Our own wall clock, in UTC: seconds for what is stored, milliseconds where skew is measured.
using UtcSeconds = std::chrono::sys_seconds;
using UtcMillis = std::chrono::sys_time<std::chrono::milliseconds>;

/// Deadlines. The core never reads a clock: `Now` is an argument of every event.
using SteadyTime = std::chrono::steady_clock::time_point;

struct Now {
    SteadyTime steady;
    UtcMillis utc;
};

/// Server clock minus ours: positive when the server is ahead (agent/README.md, "Clocks").
using Skew = std::chrono::milliseconds;

/// What our clock showed when the server's showed `t`, to the nearest second.
[[nodiscard]] inline UtcSeconds to_utc(ServerTime t, Skew skew) {
    const auto ours = UtcMillis{t.time_since_epoch()} - skew;
    return std::chrono::round<std::chrono::seconds>(ours);
}

/// What the server's clock shows when ours shows `t`, to the nearest second.
[[nodiscard]] inline ServerTime to_server(UtcMillis t, Skew skew) {
    return ServerTime{std::chrono::round<std::chrono::seconds>((t + skew).time_since_epoch())};
}

[[nodiscard]] inline ServerTime server_time_from_unix(std::int64_t unix_seconds) {
    return ServerTime{std::chrono::seconds{unix_seconds}};
}
[[nodiscard]] inline std::int64_t unix_seconds(ServerTime t) {
    return t.time_since_epoch().count();
}
[[nodiscard]] inline std::int64_t unix_seconds(UtcSeconds t) {
    return t.time_since_epoch().count();
}

}  // namespace leasemirror
