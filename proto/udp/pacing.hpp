// How many DHCPLEASEQUERY messages one server is asked at a time (RFC 4388 §6.6).
//
// A timer of one minute starts with each response of the server. While it runs, the server is known to answer, and many
// queries may be outstanding. Before the first response, and once it has run out, only one query may be outstanding: all
// others are to be dropped, and that one polls the server about every 64 seconds.
#pragma once

#include "proto/time.hpp"

#include <cstdint>
#include <optional>
#include <set>

namespace leasemirror {

class UdpPacing {
public:
    using Ticket = std::uint64_t;  ///< one outstanding query; never 0

    static constexpr std::chrono::seconds timer{60};
    /// "limited to 100 or 200, to avoid swamping the DHCP server"
    static constexpr std::size_t outstanding_max = 100;
    /// To a server not known to answer, "not more than approximately one packet every 10 seconds": the rest between the
    /// first transmission of one query and that of the next. Retransmissions have their own, longer, backoff.
    static constexpr std::chrono::seconds unproven_spacing{10};

    /// Takes a place for one query, if there is one now.
    [[nodiscard]] std::optional<Ticket> begin(SteadyTime now);
    /// When begin() may be tried again, if nobody gives back a place before. Nothing: only then.
    [[nodiscard]] std::optional<SteadyTime> next_try(SteadyTime now) const;
    /// Gives the place back: answered, or given up. Unknown tickets are ignored.
    void end(Ticket ticket);
    void on_response(SteadyTime now);

    /// Whether the server has answered within the last minute.
    [[nodiscard]] bool proven(SteadyTime now) const { return proven_until_ && now < *proven_until_; }
    /// Whether the query may go on: the server is proven, or this is the one that polls it (the longest outstanding).
    [[nodiscard]] bool keeps(Ticket ticket, SteadyTime now) const;
    /// When the timer runs out, if it runs.
    [[nodiscard]] std::optional<SteadyTime> proven_until() const { return proven_until_; }
    [[nodiscard]] std::size_t outstanding() const { return tickets_.size(); }

private:
    std::optional<SteadyTime> proven_until_;
    std::optional<SteadyTime> last_begun_;
    std::set<Ticket> tickets_;  // ascending, so the first is the longest outstanding
    Ticket next_ticket_ = 1;
};

}  // namespace leasemirror
