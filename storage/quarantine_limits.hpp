// How much of what could not be understood is kept, in every engine.
#pragma once

#include <cstddef>
#include <cstdint>

namespace leasemirror {

constexpr std::int64_t quarantine_rows_max = 1000;           // per server; the newest stay
constexpr std::size_t quarantine_message_bytes_max = 65536;  // of one message; the rest is cut off

}  // namespace leasemirror
