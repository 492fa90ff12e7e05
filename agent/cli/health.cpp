#include "agent/cli/health.hpp"

#include "agent/cli/table_text.hpp"
#include "agent/config/time_text.hpp"
#include "proto/status.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

/// "3 min ago, 2026-11-20T13:17:00Z"
std::string when(UtcSeconds then, UtcSeconds now) {
    return ago(then, now) + ", " + iso_utc(then);
}

/// What the server is at, where that is why its mirror is behind.
std::string cause_of(const ServerOverview& server) {
    if (server.phase == "live") return {};
    if (server.phase == "down") return server.last_error.empty() ? "down" : "down: " + printable(server.last_error);
    if (server.open_gaps.empty()) return server.phase;
    return recovery_text(server.open_gaps.front());
}

bool is_polled(const ServerOverview& server, const ServerConfig& configured) {
    return configured.mode == SyncMode::bulk || server.support.active == false || server.phase == "polling";
}

std::string in_brackets(const std::string& cause) {
    return cause.empty() ? cause : " (" + cause + ")";
}

}  // namespace

std::string ago(UtcSeconds then, UtcSeconds now) {
    return rough_duration(std::max(now - then, std::chrono::seconds{0})) + " ago";
}

std::string recovery_text(const Gap& gap) {
    return "recovering " + iso_utc(gap.from) + " to " + iso_utc(gap.to) + " (server's clock): " + printable(gap.cause);
}

std::string missing_agent(const ServerOverview& server, UtcSeconds now) {
    if (server.agent_alive || (server.phase == "disabled" && !server.paused_at)) return {};
    if (server.owner.empty()) return "no agent is at work on it";
    const auto named = "no agent is at work on it: '" + printable(server.owner) + "' ";
    if (server.agent_stopped_at) return named + "was stopped " + when(*server.agent_stopped_at, now);
    if (!server.agent_heartbeat_at) return named + "has never given a sign of life";
    return named + "gave its last sign of life " + when(*server.agent_heartbeat_at, now);
}

std::string paused_text(const ServerOverview& server, UtcSeconds now) {
    if (!server.paused_at) return {};
    return "paused by " + printable(server.paused_by) + " " + when(*server.paused_at, now);
}

std::string never_read(const ServerOverview& server, const ServerConfig* configured) {
    if (server.fresh_as_of || server.phase == "disabled") return {};
    // DHCPv6 has no query for everything (RFC 5460 §5.4).
    const bool cannot = configured != nullptr && configured->family == Family::v6 && configured->bulk.queries.empty();
    return cannot ? "never read in full: no bulk.queries" : "never read in full";
}

std::string differences_text(const ServerOverview& server, UtcSeconds now) {
    const auto differences = server.verify_differences.value_or(0);
    if (differences == 0 || !server.last_verify_at) return {};
    const bool read_since = server.last_full_sync_at && *server.last_full_sync_at > *server.last_verify_at;
    if (read_since && server.coverage == "full") return {};  // of a part, who knows which one
    return std::to_string(differences) + (differences == 1 ? " difference was" : " differences were") + " found " +
           when(*server.last_verify_at, now) + "; 'leasemirror verify' names them";
}

const ServerConfig* configured_as(const std::string& name, std::span<const ServerConfig> servers) {
    const auto at =
        std::find_if(servers.begin(), servers.end(), [&](const auto& server) { return server.name == name; });
    return at == servers.end() ? nullptr : &*at;
}

std::string problem_of(const ServerOverview& server, const ServerConfig* configured, std::chrono::milliseconds max_age,
                       UtcSeconds now) {
    if (auto missing = missing_agent(server, now); !missing.empty()) return missing;
    if (server.paused_at) return {};
    if (server.phase == "disabled") return configured == nullptr ? "" : "no agent is at work on it";
    if (const auto never = never_read(server, configured); !never.empty()) return never + in_brackets(cause_of(server));
    const auto polls = configured != nullptr && is_polled(server, *configured) ? configured->bulk.poll_interval
                                                                               : std::chrono::milliseconds{0};
    if (now - *server.fresh_as_of > max_age + polls)
        return "right up to " + when(*server.fresh_as_of, now) + in_brackets(cause_of(server));
    if (configured != nullptr && configured->bulk.covers == BulkCovers::all && server.coverage != "full")
        return "a part of the server alone is mirrored, and bulk.covers is all";
    return {};
}

std::vector<std::string> problems_of(std::span<const ServerOverview> servers, const Config& config,
                                     std::chrono::milliseconds max_age, UtcSeconds now) {
    std::vector<std::string> out;
    for (const auto& configured : config.servers) {
        const auto is_it = [&](const auto& server) { return server.name == configured.name; };
        if (std::none_of(servers.begin(), servers.end(), is_it))
            out.push_back(configured.name + ": no agent has been at work on it");
    }
    for (const auto& server : servers) {
        const auto problem = problem_of(server, configured_as(server.name, config.servers), max_age, now);
        if (!problem.empty()) out.push_back(printable(server.name) + ": " + problem);
    }
    return out;
}

std::vector<std::string> remarks_on(std::span<const ServerOverview> servers, UtcSeconds now) {
    std::vector<std::string> out;
    for (const auto& server : servers) {
        if (server.paused_at) out.push_back(printable(server.name) + ": " + paused_text(server, now));
        if (const auto found = differences_text(server, now); !found.empty())
            out.push_back(printable(server.name) + ": " + found);
    }
    return out;
}

}  // namespace leasemirror
