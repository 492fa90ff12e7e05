// The daemon: all servers of the configuration, kept in sync until a signal ends it.
#pragma once

#include "agent/config/config.hpp"
#include "agent/config/exit_codes.hpp"
#include "agent/daemon/log.hpp"
#include "agent/net/tls_context.hpp"
#include "storage/heartbeat.hpp"

#include <functional>

namespace leasemirror {

/// Why the daemon came back.
struct DaemonEnd {
    int exit_code = exit_fine;  ///< 0 after an orderly stop, 3 if the database cannot be used
    bool reload = false;        ///< SIGHUP: to be run again, with the new configuration
};

/// Runs until a signal or a database that no retry heals. `agent` is who we are to readers of the database. `tls` is of
/// `config`. On SIGHUP `may_reload` is asked, from the event loop, whether there is something valid to go on with; if not, nothing changes.
[[nodiscard]] DaemonEnd run_daemon(const Config& config, const AgentIdentity& agent, const TlsOfServers& tls, Log& log,
                                   std::function<bool()> may_reload);

}  // namespace leasemirror
