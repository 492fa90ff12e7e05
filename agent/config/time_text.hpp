// Times as people and programs read them.
#pragma once

#include "agent/config/values.hpp"
#include "proto/time.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace leasemirror {

/// "2026-11-20T12:00:00Z"
[[nodiscard]] std::string iso_utc(UtcSeconds t);
/// A server's own clock, read as UTC.
[[nodiscard]] std::string iso_utc(ServerTime t);
/// The same, or "none".
[[nodiscard]] std::string iso_utc_or_none(const std::optional<ServerTime>& t);

/// Roughly, for a table: "0 s", "59 s", "12 min", "3 h 5 min", "2 d 4 h". Negative times get a minus.
[[nodiscard]] std::string rough_duration(std::chrono::seconds d);

/// Signed, in the unit that suits it: "+12 ms", "-3.5 s".
[[nodiscard]] std::string skew_text(std::int64_t milliseconds);

/// A moment on the command line: 2026-11-20T12:00:00Z, 2026-11-20T13:00+01:00 (seconds may be left out, a space may
/// stand for the T), 2026-11-20 for its midnight in UTC, 2h for two hours before `now`, now.
[[nodiscard]] Parsed<UtcSeconds> parse_time(std::string_view text, UtcSeconds now);

}  // namespace leasemirror
