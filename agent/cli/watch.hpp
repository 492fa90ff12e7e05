// `leasemirror watch`: the change feed, as it grows.
#pragma once

#include <array>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>

namespace leasemirror {

struct WatchCommand {
    std::string config;
    std::optional<std::string> server;  ///< none: all
    std::optional<std::int64_t> since;  ///< none: what comes from now on
    std::optional<std::int64_t> limit;  ///< leave after so many rows
    bool json = false;
    bool skip_lost = false;  ///< say which rows have been removed, and go on

    friend bool operator==(const WatchCommand&, const WatchCommand&) = default;
};

int execute(const WatchCommand& command, std::ostream& out, std::ostream& err);

/// A line for people: seq, at, change, address, server, state, until, client.
[[nodiscard]] std::string watch_line(const std::array<std::string, 8>& cells);

}  // namespace leasemirror
