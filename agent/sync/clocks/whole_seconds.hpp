// The moment of an event, as the database keeps it.
#pragma once

#include "proto/time.hpp"

#include <chrono>

namespace leasemirror {

[[nodiscard]] inline UtcSeconds whole_seconds(Now now) {
    return std::chrono::floor<std::chrono::seconds>(now.utc);
}

}  // namespace leasemirror
