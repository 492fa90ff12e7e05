// Whether our own clock was set while the agent was away (agent/README.md, "Clocks").
//
// While the agent runs, the steady clock tells. At a start only the servers can: if ours was set, the clocks of all of them read
// otherwise than when the agent wrote last, and by as much. One server alone may have been set itself, and so may two
// that share a host: it takes two with different addresses of one family. And the agent must have been away for a time that can
// be: two servers may send the same absurd base-time.
//
// Until the jury has found, the servers that told of a shift are not read any further. It finds as soon as one server tells
// of none, as soon as there are enough that agree, and otherwise when its patience is over.
#pragma once

#include "proto/binding.hpp"
#include "proto/time.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

class StartJury {
public:
    static constexpr std::chrono::seconds patience{10};
    /// Less than this is no shift: drift, and base-times are cut to the second.
    static constexpr std::chrono::seconds shift_min{2};
    /// Nothing is believed after longer than this.
    static constexpr std::chrono::hours away_max{30 * 24};

    /// By how much a server's clock is further ahead of ours than when the agent wrote last: somewhere from `least` to `most`.
    struct Shift {
        std::chrono::milliseconds least;
        std::chrono::milliseconds most;
    };
    /// A server of which is known how its clock stood to ours.
    struct Member {
        std::size_t server = 0;  ///< index into Config::servers
        Family family = Family::v4;
        std::string address;
        std::chrono::milliseconds away{};  ///< by our clock as it is now, since the agent wrote last
    };

    /// It sits if these can ever find that our clock was set.
    void summon(const std::vector<Member>& members, SteadyTime now);
    [[nodiscard]] bool sits() const { return patient_until_.has_value(); }
    /// What a member told first.
    void hear(std::size_t server, Shift shift);
    /// By how much our clock was set ahead (negative: back); 0: it was not, or nobody can tell. Nothing: not found yet. With
    /// that the jury is over.
    [[nodiscard]] std::optional<std::chrono::milliseconds> find(SteadyTime now);
    void dismiss() { patient_until_.reset(); }
    [[nodiscard]] std::optional<SteadyTime> deadline() const { return patient_until_; }

private:
    struct Witness {
        Member member;
        std::optional<Shift> told = std::nullopt;
    };
    [[nodiscard]] std::optional<std::chrono::milliseconds> agreed() const;

    std::vector<Witness> witnesses_;
    std::optional<SteadyTime> patient_until_;
};

}  // namespace leasemirror
