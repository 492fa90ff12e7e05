// When which server is compared with its mirror by the daemon itself, where verify_interval says so. Pure.
//
//     waits for its time ──► its turn: it is compared ──► waits for verify_interval, or less after one that came to nothing
//            ▲                     │ not live, not ours, never read in full
//            └──── look_again ◄────┘
#pragma once

#include "agent/config/config.hpp"
#include "storage/reader.hpp"

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace leasemirror {

class VerifySchedule {
public:
    /// A server that cannot be compared at the moment is looked at again after so long, or after its verify_interval.
    static constexpr std::chrono::seconds look_again{15};
    /// After a comparison that came to nothing the next one is not sooner than this, or than verify_interval.
    static constexpr std::chrono::minutes retry_least{1};

    /// `agent`: our name in server.owner.
    explicit VerifySchedule(std::string agent) : agent_(std::move(agent)) {}

    /// From now on these alone; who was there as it is keeps its turn.
    void want(std::span<const ServerConfig> servers);
    /// Whether this one is still wanted as it is here.
    [[nodiscard]] bool wants(const ServerConfig& server) const;
    /// When take() is to be called next; nothing: never.
    [[nodiscard]] std::optional<SteadyTime> next_look(SteadyTime now) const;
    /// The one that is to be compared now, if there is one. `servers`: as the database has them.
    [[nodiscard]] std::optional<ServerConfig> take(std::span<const ServerOverview> servers, Now now);
    /// The comparison is over, and took so long. `whole`: its result counts. One at a time, and never for more than half
    /// of the time.
    void on_done(const std::string& server, bool whole, std::chrono::milliseconds took, SteadyTime now);
    /// It was broken off by us, or the database was away: its turn comes again soon.
    void put_off(const std::string& server, SteadyTime now);

private:
    struct Turn {
        ServerConfig server;
        std::optional<SteadyTime> due;  ///< nothing: the database knows when it was compared last
    };
    [[nodiscard]] bool can_be_compared(const ServerOverview& server) const;
    [[nodiscard]] Turn* find(const std::string& server);

    std::string agent_;
    std::vector<Turn> turns_;
    std::optional<SteadyTime> rests_until_;
};

}  // namespace leasemirror
