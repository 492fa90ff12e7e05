// What a visit does to a unit: the actions, their weights, and what they leave behind.
#pragma once

#include "tests/leasesim/leases/model.hpp"

namespace leasemirror::leasesim {

enum class Action : std::uint8_t {
    assign,     ///< a new client gets all leases of the unit
    come_back,  ///< the client on record gets them again
    renew,
    change_source,  ///< renewed by the other one of the failover partners
    change_relay,
    change_remote,
    change_name,
    release,
    release_one,  ///< v6: the last of several leases
    expire,
    abandon,
    reset,
    transition,
    hand_over,  ///< becomes REMOTE: for the partner to give away
    free        ///< becomes AVAILABLE
};

/// A unit between two visits. Instants stay visit numbers until somebody asks for them.
struct LeaseModel::Life {
    std::uint64_t unit = 0;
    std::uint64_t visit = 0;  ///< the latest
    BindingState state = BindingState::available;
    std::uint8_t held = 0;
    std::uint8_t all = 1;  ///< the mask of all leases of the unit
    bool known_client = false;
    bool seen = false;  ///< `seen_visit` means something
    bool expired_by_visit = false;
    DataSource source = DataSource::local;
    std::uint64_t client = 0;  ///< from which everything about the client is derived
    std::uint64_t relay = 0, remote = 0, name = 0;
    std::uint64_t seen_visit = 0;
    std::uint64_t since_visit = 0;
};

[[nodiscard]] Action action_v4(bool active, BindingState state, bool known_client, double x);
[[nodiscard]] Action action_v6(bool active, bool known_client, double x);

}  // namespace leasemirror::leasesim
