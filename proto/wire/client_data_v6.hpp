// OPTION_CLIENT_DATA (RFC 5007 §4.1.2.2): a client and its leases; and where decode_v6 gathers what it has read.
#pragma once

#include "proto/wire/options_v6.hpp"

#include <cstddef>
#include <optional>
#include <vector>

namespace leasemirror {

/// Spans into vectors that still grow: kept as places until the whole message is read.
struct ClientPlaces {
    std::size_t leases_from = 0, leases_to = 0;
    std::size_t options_from = 0, options_to = 0;
};

struct ScratchV6::Impl {
    std::vector<RawOptionV6> options;         // of the message
    std::vector<RawOptionV6> client_options;  // of all CLIENT_DATA
    std::vector<LeaseV6> leases;              // of all CLIENT_DATA
    std::vector<ClientDataV6> client_data;
    std::vector<ClientPlaces> places;  // of each of `client_data`
    std::vector<FaultV6> faults;
    std::optional<DecodeError> costs_all;  // base-time or VPN of the message: nothing in it can be recorded

    void clear() {
        options.clear();
        client_options.clear();
        leases.clear();
        client_data.clear();
        places.clear();
        faults.clear();
        costs_all.reset();
    }
};

/// Where there are too many, the last one stands for all of them.
void add_fault(ScratchV6::Impl& s, const FaultV6& fault);

/// All leases from the given one on are lost, with their addresses; or one that has none, if there is none.
void lose_leases(ScratchV6::Impl& s, std::size_t from, const DecodeError& why);

/// What cannot be read of it becomes faults, with the addresses that are lost by it.
void read_client_data(const OptionV6& option, ScratchV6::Impl& s);

}  // namespace leasemirror
