// What is hard on a mirror and came to the simulation after its first seeds: each kind can be left out of a run, and draws
// from a stream of its own, so that the others stay as they are.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace leasemirror::sim {

enum class Oddity : std::uint8_t {
    absolute_expiries,   ///< a server's clock steps, and its leases end by what the clock shows
    server_jitter,       ///< a server's clock steps by a second or so while it tells of changes
    host_clock,          ///< the clock of the agent's host steps, while it runs or while it is down
    reorder,             ///< live changes are told out of order, within a window
    stale_catch_up,      ///< messages of the catch-up are older than live ones between them
    absurd_base_time,    ///< one message has a base-time of another century
    several_links,       ///< clients have leases on several links
    unrelayed,           ///< many clients are attached directly: no list of theirs names a link
    late_end,            ///< the end of the former client is told after the beginning of the next
    vpns_unreached,      ///< no bulk query reaches the VPNs that Active tells of
    unconfigured,        ///< a range is taken out of the configuration while nobody listens
    unreadable,          ///< the messages about a binding cannot be read, or have a stray octet
    options_twice,       ///< options of fixed length come twice
    late_identity,       ///< the server identifier comes in the second reply
    active_not_allowed,  ///< active queries are refused by a status
    lease_in_ia,         ///< one message has its leases where none should be
    silent_lie,          ///< judged: what the mirror says while all lights are green (World::judge_mirror)
    history,             ///< judged: each boundary of an assignment that is not inferred
};

inline constexpr std::array<std::pair<std::string_view, Oddity>, 18> oddity_names{
    {{"absolute-expiries", Oddity::absolute_expiries},
     {"server-jitter", Oddity::server_jitter},
     {"host-clock", Oddity::host_clock},
     {"reorder", Oddity::reorder},
     {"stale-catch-up", Oddity::stale_catch_up},
     {"absurd-base-time", Oddity::absurd_base_time},
     {"several-links", Oddity::several_links},
     {"unrelayed", Oddity::unrelayed},
     {"late-end", Oddity::late_end},
     {"vpns-unreached", Oddity::vpns_unreached},
     {"unconfigured", Oddity::unconfigured},
     {"unreadable", Oddity::unreadable},
     {"options-twice", Oddity::options_twice},
     {"late-identity", Oddity::late_identity},
     {"active-not-allowed", Oddity::active_not_allowed},
     {"lease-in-ia", Oddity::lease_in_ia},
     {"silent-lie", Oddity::silent_lie},
     {"history", Oddity::history}}};

[[nodiscard]] constexpr std::optional<Oddity> find_oddity(std::string_view name) {
    for (const auto& [word, oddity] : oddity_names)
        if (word == name) return oddity;
    return std::nullopt;
}

}  // namespace leasemirror::sim
