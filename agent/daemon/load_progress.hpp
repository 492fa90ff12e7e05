// How far the full reads have come that are under way: per server, so far, expected if known, rate, time left. Pure.
#pragma once

#include "agent/sync/bulk_job.hpp"
#include "proto/time.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

class LoadProgress {
public:
    /// Shorter reads are over before anybody could look.
    static constexpr std::chrono::seconds shown_after{1};
    static constexpr std::chrono::minutes say_interval{1};
    /// So many servers have a line on a terminal.
    static constexpr std::size_t lines_max = 8;

    struct Read {
        std::string server;
        FullReadProgress progress;
    };
    /// What a line says of one server.
    struct State {
        std::string server;
        FullReadProgress progress;
        std::uint64_t per_second = 0;
        std::optional<std::chrono::seconds> left;  ///< as it has gone until now
    };

    /// All full reads that are under way at `now`.
    void look(const std::vector<Read>& reads, SteadyTime now);

    /// Lines for a terminal that is so many columns wide.
    [[nodiscard]] std::vector<std::string> lines(std::size_t columns) const;
    /// Of which servers it is time to say it again: each minute once, from the first minute on.
    [[nodiscard]] std::vector<State> due(SteadyTime now);

private:
    struct Known {
        State state;
        std::uint64_t began_with;  ///< bindings, when we saw it first
        SteadyTime began;
        SteadyTime said;
        SteadyTime looked;
    };

    std::map<std::string, Known> under_way_;
};

/// "east-v6  120000 of about 300000 bindings, 24100 per second, 8 s left"; "east-v6  2 of 4 queries, 31000 bindings, ...".
[[nodiscard]] std::string to_string(const LoadProgress::State& state);

}  // namespace leasemirror
