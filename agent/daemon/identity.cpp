#include "agent/daemon/identity.hpp"

#include <pwd.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

namespace leasemirror {
namespace {

std::string host_name() {
    std::array<char, 256> host{};
    if (gethostname(host.data(), host.size() - 1) != 0 || host[0] == '\0') return "unknown";
    return host.data();
}

std::string user_name() {
    if (const char* const caller = std::getenv("SUDO_USER"); caller != nullptr && *caller != '\0') return caller;
    std::array<char, 4096> buffer{};
    passwd entry{};
    passwd* found = nullptr;
    if (getpwuid_r(getuid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
        return found->pw_name;
    return "uid " + std::to_string(getuid());
}

}  // namespace

std::string user_at_host() {
    return user_name() + "@" + host_name();
}

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
