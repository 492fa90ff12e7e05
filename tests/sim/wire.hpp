// Private to the world: a connection between the agent and a model server.
#pragma once

#include "tests/sim/world.hpp"

namespace leasemirror::sim {

/// Octets on their way, and how the network treats them.
struct World::Wire {
    struct Chunk {
        UtcMillis arrives;
        Bytes bytes;
        std::size_t taken = 0;
    };
    WireKey key;
    std::unique_ptr<leasesim::ModelConnection> peer;
    std::deque<Chunk> to_agent;
    std::deque<Bytes> to_peer;
    std::size_t on_their_way = 0;
    UtcMillis stalled_until{};
    std::chrono::milliseconds latency{1};
    bool blocked_peer = false;          // it waits for on_writable()
    std::optional<std::string> closes;  // how, once all octets have arrived
    std::uint64_t peer_timer = 0;
    bool heard = false;       // something has been delivered
    bool delivering = false;  // the agent is being given something of it just now
    bool gone = false;        // the agent has closed it
};

}  // namespace leasemirror::sim
