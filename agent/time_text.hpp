// Times as people and programs read them.
#pragma once

#include "proto/time.hpp"

#include <chrono>
#include <cstdint>
#include <string>

namespace leasemirror {

/// "2026-11-20T12:00:00Z"
[[nodiscard]] std::string iso_utc(UtcSeconds t);
/// A server's own clock, read as UTC.
[[nodiscard]] std::string iso_utc(ServerTime t);

/// Roughly, for a table: "0 s", "59 s", "12 min", "3 h 5 min", "2 d 4 h". Negative times get a minus.
[[nodiscard]] std::string rough_duration(std::chrono::seconds d);

/// Signed, in the unit that suits it: "+12 ms", "-3.5 s".
[[nodiscard]] std::string skew_text(std::int64_t milliseconds);

}  // namespace leasemirror
