// Who this process is to the readers of the database.
#pragma once

#include "agent/config/config.hpp"
#include "storage/heartbeat.hpp"

namespace leasemirror {

/// Named cluster.name, or else HOST-PID.
[[nodiscard]] AgentIdentity identity_of_this_process(const Config& config, UtcSeconds started_at);

}  // namespace leasemirror
