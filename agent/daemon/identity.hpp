// Who this process is to the readers of the database.
#pragma once

#include "agent/config/config.hpp"
#include "storage/heartbeat.hpp"

namespace leasemirror {

/// Named cluster.name, or else HOST-PID.
[[nodiscard]] AgentIdentity identity_of_this_process(const Config& config, UtcSeconds started_at);

/// "alice@web1": who runs this process and where, for `status`. Behind sudo, who called it.
[[nodiscard]] std::string user_at_host();

}  // namespace leasemirror
