// What a Reader is asked, and the rows that it gives: plain values.
#pragma once

#include "proto/bytes.hpp"
#include "proto/ip_address.hpp"
#include "proto/time.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace leasemirror {

/// One column of a row, as the commands print it: bytes as hex, times as ISO 8601 UTC, `json` as it is.
struct JsonText {
    std::string text;
    friend bool operator==(const JsonText&, const JsonText&) = default;
};
using Value = std::variant<std::monostate, bool, std::int64_t, std::string, Bytes, UtcSeconds, JsonText>;

/// A row: its columns by name, in the order in which people want to see them.
using Record = std::vector<std::pair<std::string, Value>>;

/// What `who` is asked: an address and the delegated prefixes that contain it; or, with a length, that very prefix.
struct Sought {
    IpAddress address;
    std::optional<std::uint8_t> prefix_len;

    friend bool operator==(const Sought&, const Sought&) = default;
};

/// A client, or the line that it is on: what `who` is asked for all that it held.
struct HolderSought {
    enum class By : std::uint8_t { hw_addr, client_id, remote_id, circuit_id };
    By by = By::client_id;
    Bytes value;

    friend bool operator==(const HolderSought&, const HolderSought&) = default;
};

/// Half-open.
struct TimeSpan {
    UtcSeconds from{}, to{};

    friend bool operator==(const TimeSpan&, const TimeSpan&) = default;
};

}  // namespace leasemirror
