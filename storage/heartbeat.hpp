// What an agent says of itself: its row of `agent`.
#pragma once

#include "proto/time.hpp"

#include <cstdint>
#include <string>

namespace leasemirror {

/// Who it is. Two that run at the same time have different names.
struct AgentIdentity {
    std::string name;  ///< cluster.name, or HOST-PID; also in `server.owner`
    std::string host;
    std::int64_t pid = 0;
    std::string version;
    UtcSeconds started_at{};
};

/// A sign of life. When it came is for the database to say, by the clock that its readers ask.
struct Heartbeat {
    AgentIdentity agent;
    std::int64_t servers = 0;  ///< that it is at work on
    double rate = 0;           ///< changes of bindings that it has written, a second, since the one before
    bool stopping = false;     ///< the last one: it ends in good order
};

}  // namespace leasemirror
