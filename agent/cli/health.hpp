// Whether what the database says of a server is as an operator wants it: for `status --check`.
#pragma once

#include "agent/config/config.hpp"
#include "storage/reader.hpp"

#include <chrono>
#include <span>
#include <string>
#include <vector>

namespace leasemirror {

/// "3 min ago"; never in the future.
[[nodiscard]] std::string ago(UtcSeconds then, UtcSeconds now);
/// "recovering 2026-11-20T13:18:20Z to 2026-11-20T13:19:10Z (server's clock): DataMissing"
[[nodiscard]] std::string recovery_text(const Gap& gap);

/// "no agent is at work on it: 'east-1' gave its last sign of life 3 min ago, 2026-11-20T13:17:00Z"; empty if one is, or if
/// the server is disabled and not merely paused.
[[nodiscard]] std::string missing_agent(const ServerOverview& server, UtcSeconds now);

/// "paused by root@web1 3 min ago, 2026-11-20T13:17:00Z"; empty if it is not.
[[nodiscard]] std::string paused_text(const ServerOverview& server, UtcSeconds now);

/// "3 differences were found 3 min ago, 2026-11-20T13:17:00Z; 'leasemirror verify' names them"; empty if the last comparison
/// found none, or a full read of all the server has come since, which mends them.
[[nodiscard]] std::string differences_text(const ServerOverview& server, UtcSeconds now);

/// "never read in full: no bulk.queries", where it never was and is not disabled; else empty.
[[nodiscard]] std::string never_read(const ServerOverview& server, const ServerConfig* configured);

/// The server of that name in the configuration; none if another agent has it.
[[nodiscard]] const ServerConfig* configured_as(const std::string& name, std::span<const ServerConfig> servers);

/// What is wrong with it, in words; empty if nothing is: no agent, a part of the server where all of it is configured, or
/// a mirror that was right longer ago than `max_age`, or than that and bulk.poll_interval where the server is polled.
/// `configured` is none for a server of another agent's configuration.
[[nodiscard]] std::string problem_of(const ServerOverview& server, const ServerConfig* configured,
                                     std::chrono::milliseconds max_age, UtcSeconds now);

/// The same of all servers, "east-v6: never read in full"; and of those configured that the database does not know.
[[nodiscard]] std::vector<std::string> problems_of(std::span<const ServerOverview> servers, const Config& config,
                                                   std::chrono::milliseconds max_age, UtcSeconds now);

/// What is as somebody wants it, and worth a word all the same: "east-v6: paused by ...".
[[nodiscard]] std::vector<std::string> remarks_on(std::span<const ServerOverview> servers, UtcSeconds now);

}  // namespace leasemirror
