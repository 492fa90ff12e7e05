// The daemon: all servers of the configuration, kept in sync until a signal ends it.
#pragma once

#include "agent/config/config.hpp"
#include "agent/config/exit_codes.hpp"
#include "agent/daemon/log.hpp"
#include "agent/net/tls_context.hpp"
#include "storage/heartbeat.hpp"

#include <functional>
#include <optional>

namespace leasemirror {

/// A configuration, and the certificates and keys that it names.
struct DaemonSettings {
    Config config;
    TlsOfServers tls;
};

/// SIGHUP, on the event loop: what to go on with instead of `now`, or nothing, and the log says why. Only `servers` and `log`
/// may differ.
using Reload = std::function<std::optional<DaemonSettings>(const Config& now)>;

/// Runs until a signal or a database that no retry heals. `agent` is who we are to readers of the database. Returns the
/// exit code: 0 after an orderly stop, 3 if the database cannot be used.
[[nodiscard]] int run_daemon(const DaemonSettings& settings, const AgentIdentity& agent, Log& log, Reload reload);

}  // namespace leasemirror
