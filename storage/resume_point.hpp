// Where the agent goes on with a server: what the database knows of it when a store is opened.
#pragma once

#include "proto/binding.hpp"
#include "storage/orders.hpp"

#include <chrono>
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
    /// v6: what its lists of a client's leases leave out has ended, or not (`client_data: auto`).
    std::optional<bool> complete_lists = {};
    /// By how much base-times of its live messages have been out of order; 0: never.
    std::chrono::seconds disorder{0};

    friend bool operator==(const ServerSupport&, const ServerSupport&) = default;
};

/// Why it is not settled whether a binding is as the mirror has it (storage/README.md, "Table `binding`"; agent/README.md,
/// "Doubt"). It stays as it is, the column `doubt` says why, and the server is asked.
enum class Doubt : std::uint8_t {
    none,
    unlisted,          ///< a newer list of its client leaves it out
    link_unknown,      ///< likewise, but it cannot be told whether the list speaks of its link
    other_client,      ///< an end was told of another client than the one that has it
    unreadable,        ///< something was told of it that could not be read
    scope_unreadable,  ///< a full read did not list it, and had replies that could not be read
    unlistable,        ///< something may have been missed, and no bulk query of ours can list it
    refused,           ///< the database refused what was told of it last
};
/// It comes of what a server tells live. The others are of a full bulk, too, of a message that could not be read or of what it
/// could not list, and the next one may bring as many.
[[nodiscard]] constexpr bool is_told_live(Doubt d) {
    return d == Doubt::unlisted || d == Doubt::link_unknown || d == Doubt::other_client;
}
[[nodiscard]] std::string_view to_string(Doubt d);  // "unlisted", ...; empty for none
/// The word in a column `doubt`; NULL reads as the empty word.
[[nodiscard]] Doubt doubt_from_word(std::string_view word);
/// No more bindings in doubt than this are told at once: where there are more, a full bulk asks for all of them.
constexpr std::size_t doubts_told_max = 64;

/// Whom a question about one binding is about, as far as the mirror knows.
struct DoubtfulBinding {
    BindingKey key;
    Doubt why = Doubt::none;
    Bytes client_id;
    std::optional<std::uint16_t> hw_type;
    Bytes hw_addr;
    std::optional<IpAddress> link_address;

    friend bool operator==(const DoubtfulBinding&, const DoubtfulBinding&) = default;
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
    std::uint64_t unreadable = 0;
    std::uint64_t lacking = 0;   ///< Applied::lacking
    std::uint64_t bindings = 0;  ///< in force
    std::optional<UtcSeconds> known_since;
    std::optional<UtcSeconds> written_at;  ///< our clock when the last batch was closed
    std::vector<DoubtfulBinding> doubts;   ///< doubts_told_max at most
    std::uint64_t doubts_open = 0;         ///< how many there are
    Orders orders;
};

}  // namespace leasemirror
