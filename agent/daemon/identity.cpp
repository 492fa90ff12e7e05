#include "agent/daemon/identity.hpp"

#include <unistd.h>

#include <array>

namespace leasemirror {
namespace {

std::string host_name() {
    std::array<char, 256> host{};
    if (gethostname(host.data(), host.size() - 1) != 0 || host[0] == '\0') return "unknown";
    return host.data();
}

}  // namespace

AgentIdentity identity_of_this_process(const Config& config, UtcSeconds started_at) {
    AgentIdentity agent;
    agent.host = host_name();
    agent.pid = getpid();
    agent.name = config.cluster.name.empty() ? agent.host + "-" + std::to_string(agent.pid) : config.cluster.name;
    agent.version = LEASEMIRROR_VERSION;
    agent.started_at = started_at;
    return agent;
}

}  // namespace leasemirror
