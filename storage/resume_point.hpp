// Where the agent goes on with a server: what the database knows of it when a store is opened.
#pragma once

#include "proto/binding.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace leasemirror {

using ServerId = std::int64_t;

/// Whether all of the server is mirrored, or a part of it (storage/README.md, "Table `server`").
enum class Coverage : std::uint8_t { full, partial };
[[nodiscard]] std::string_view to_string(Coverage c);

/// A recovery that is open: what changed at the server between `from` and `to` (its own clock, inclusive) may be
/// missing here.
struct Gap {
    std::uint64_t number = 0;  ///< counts up per server
    ServerTime from{};
    ServerTime to{};
    std::string cause;

    friend bool operator==(const Gap&, const Gap&) = default;
};

/// What a server has shown that it can do (agent/README.md, "Servers that only know bulk"). Empty: not known yet.
struct ServerSupport {
    std::optional<bool> active;         ///< it answers an active query
    std::optional<bool> windows;        ///< it heeds the start time of a bulk query
    std::optional<UtcSeconds> seen_at;  ///< when either was last found out

    friend bool operator==(const ServerSupport&, const ServerSupport&) = default;
};

/// Where to go on with a server: all of it committed together with the data it stands for.
struct ResumePoint {
    ServerId id = 0;
    /// Which run of the server's clock and database the base-times belong to. A clock that stepped back, or another
    /// server behind the address, starts a new one: older records then lose whatever their base-time.
    std::uint32_t epoch = 0;
    std::optional<ServerTime> base_time;  ///< none: a full bulk is due
    Bytes server_identity;                ///< v6 DUID, v4 server-identifier; empty if never told
    std::optional<Skew> skew;
    std::uint64_t last_run = 0;  ///< number of the last bulk that was begun
    std::uint64_t last_gap = 0;  ///< highest gap number ever used
    std::vector<Gap> open_gaps;  ///< oldest first
    // What `status` said last, to be gone on with (ServerStatus).
    Coverage coverage = Coverage::partial;
    std::optional<UtcSeconds> last_full_sync_at;
    std::string last_error;
    std::optional<UtcSeconds> last_error_at;
    std::optional<UtcSeconds> certificate_expires_at;
    ServerSupport support;
};

}  // namespace leasemirror
