#include "agent/cli/status.hpp"

#include "agent/cli/configuration.hpp"
#include "agent/cli/exit_code.hpp"
#include "agent/cli/health.hpp"
#include "agent/cli/table_text.hpp"
#include "agent/config/exit_codes.hpp"
#include "agent/config/store_settings.hpp"
#include "agent/config/time_text.hpp"
#include "proto/status.hpp"
#include "storage/opening.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <ostream>
#include <vector>

namespace leasemirror {
namespace {

using Column = TextTable::Column;
using enum Column::Align;

std::vector<Column> status_columns() {
    return {{"SERVER"},      {"FAMILY"},      {"PHASE"},    {"BINDINGS", right}, {"LAG", right},
            {"SKEW", right}, {"GAPS", right}, {"COVERAGE"}, {"BASE TIME"},       {"FRESH AS OF"}};
}

std::vector<std::string> cells_of(const ServerOverview& server, UtcSeconds now) {
    return {printable(server.name),
            std::string(to_string(server.family)),
            missing_agent(server, now).empty() ? server.phase : "no agent",
            std::to_string(server.bindings),
            server.fresh_as_of ? rough_duration(std::max(now - *server.fresh_as_of, std::chrono::seconds{0})) : "",
            server.clock_skew_ms ? skew_text(*server.clock_skew_ms) : "",
            std::to_string(server.gaps_open),
            server.coverage,
            server.base_time ? iso_utc(*server.base_time) : "",
            server.fresh_as_of ? iso_utc(*server.fresh_as_of) : ""};
}

/// Only what is out of the ordinary.
std::string lacking_support(const ServerSupport& support, UtcSeconds now) {
    std::string lacks;
    if (support.active == false) lacks = "active leasequery";
    if (support.windows == false) lacks += lacks.empty() ? "start times in bulk" : ", start times in bulk";
    if (lacks.empty() || !support.seen_at) return lacks;
    return lacks + " (found out " + ago(*support.seen_at, now) + ")";
}

void add_certificate(const ServerOverview& server, TextTable& table) {
    if (!server.certificate_expires_at || !server.certificate_days) return;
    const auto days = *server.certificate_days;
    table.add_note((days < 0 ? "certificate expired " : "certificate: " + std::to_string(days) + " days left, until ") +
                   iso_utc(*server.certificate_expires_at));
}

/// What is not settled, or known to be lacking (agent/README.md, "Doubt").
void add_lacking(const ServerOverview& server, TextTable& table) {
    const auto counted = [](std::int64_t count, std::string_view one, std::string_view many) {
        return std::to_string(count).append(" ").append(count == 1 ? one : many);
    };
    if (server.doubts > 0) table.add_note("in doubt: " + counted(server.doubts, "binding", "bindings"));
    if (server.unreadable > 0)
        table.add_note("could not be read: " + counted(server.unreadable, "message", "messages") +
                       " of the last full read and since (see quarantine)");
    if (server.refused > 0)
        table.add_note("refused by the database: " + counted(server.refused, "binding", "bindings") +
                       " of the last full read and since (see quarantine)");
}

/// What somebody asked for, and what comes next.
void add_orders(const ServerOverview& server, UtcSeconds now, TextTable& table) {
    if (server.paused_at) table.add_note(paused_text(server, now));
    if (server.resync_asked_at)
        table.add_note("full read asked for by " + printable(server.resync_asked_by) + " " +
                       ago(*server.resync_asked_at, now) + ", " + iso_utc(*server.resync_asked_at));
    if (server.next_attempt_at && *server.next_attempt_at > now)
        table.add_note("next attempt in " + rough_duration(*server.next_attempt_at - now) + ", " +
                       iso_utc(*server.next_attempt_at));
}

/// What the table has no room for: bindings that are not in force, what is lacking, what is being recovered and why, what
/// the server does not know, its certificate, and what went wrong last.
void add_details(const ServerOverview& server, const ServerConfig* configured, UtcSeconds now, TextTable& table) {
    if (const auto missing = missing_agent(server, now); !missing.empty()) table.add_note(missing);
    if (const auto never = never_read(server, configured); !never.empty()) table.add_note(never);
    add_orders(server, now, table);
    std::string others;
    for (const auto& [state, count] : server.states)
        if (state != to_string(BindingState::active))
            others += (others.empty() ? "" : ", ") + std::to_string(count) + " " + state;
    if (!others.empty()) table.add_note("not in force: " + others);
    add_lacking(server, table);
    if (const auto found = differences_text(server, now); !found.empty()) table.add_note(found);
    for (const auto& gap : server.open_gaps)
        table.add_note(recovery_text(gap));
    if (const auto lacks = lacking_support(server.support, now); !lacks.empty())
        table.add_note("does not know: " + lacks);
    add_certificate(server, table);
    if (server.last_error.empty()) return;
    std::string when;
    if (server.last_error_at) when = " " + ago(*server.last_error_at, now) + ", " + iso_utc(*server.last_error_at);
    table.add_note("last error" + when + ": " + printable(server.last_error));
}

using Json = nlohmann::ordered_json;

template <class Time>
Json time_or_null(const std::optional<Time>& t) {
    return t ? Json(iso_utc(*t)) : Json(nullptr);
}

Json support_or_null(std::optional<bool> supported) {
    return supported ? Json(*supported ? "yes" : "no") : Json(nullptr);
}

Json client_data_or_null(std::optional<bool> complete_lists) {
    return complete_lists ? Json(*complete_lists ? "snapshot" : "delta") : Json(nullptr);
}

Json text_or_null(const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
}

Json gaps_json(const std::vector<Gap>& gaps) {
    auto out = Json::array();
    for (const auto& gap : gaps)
        out.push_back({{"gap_from", iso_utc(gap.from)}, {"gap_to", iso_utc(gap.to)}, {"cause", gap.cause}});
    return out;
}

Json json_of(const ServerOverview& server) {
    return {{"server", server.name},
            {"server_id", server.server_id},
            {"name", server.name},
            {"family", to_string(server.family)},
            {"endpoint", server.endpoint},
            {"server_identity", text_or_null(to_hex(server.server_identity))},
            {"phase", server.phase},
            {"base_time", time_or_null(server.base_time)},
            {"fresh_as_of", time_or_null(server.fresh_as_of)},
            {"coverage", server.coverage},
            {"clock_skew_ms", server.clock_skew_ms ? Json(*server.clock_skew_ms) : Json(nullptr)},
            {"bindings", server.bindings},
            {"states", server.states},
            {"connected_since", time_or_null(server.connected_since)},
            {"last_message_at", time_or_null(server.last_message_at)},
            {"last_full_sync_at", time_or_null(server.last_full_sync_at)},
            {"gaps_open", server.gaps_open},
            {"last_error", text_or_null(server.last_error)},
            {"last_error_at", time_or_null(server.last_error_at)},
            {"owner", text_or_null(server.owner)},
            {"owner_epoch", server.owner_epoch},
            {"agent_alive", server.agent_alive},
            {"agent_heartbeat_at", time_or_null(server.agent_heartbeat_at)},
            {"certificate_expires_at", time_or_null(server.certificate_expires_at)},
            {"certificate_days", server.certificate_days ? Json(*server.certificate_days) : Json(nullptr)},
            {"active_support", support_or_null(server.support.active)},
            {"window_support", support_or_null(server.support.windows)},
            {"support_seen_at", time_or_null(server.support.seen_at)},
            {"doubts", server.doubts},
            {"unreadable", server.unreadable},
            {"refused", server.refused},
            {"known_since", time_or_null(server.known_since)},
            {"client_data", client_data_or_null(server.support.complete_lists)},
            {"paused_at", time_or_null(server.paused_at)},
            {"paused_by", text_or_null(server.paused_by)},
            {"resync_asked_at", time_or_null(server.resync_asked_at)},
            {"resync_asked_by", text_or_null(server.resync_asked_by)},
            {"last_verify_at", time_or_null(server.last_verify_at)},
            {"verify_differences", server.verify_differences ? Json(*server.verify_differences) : Json(nullptr)},
            {"next_attempt_at", time_or_null(server.next_attempt_at)},
            {"gaps", gaps_json(server.open_gaps)}};
}

void print_check(const std::vector<std::string>& problems, const std::vector<std::string>& remarks, std::size_t servers,
                 std::ostream& out) {
    std::string line;
    if (problems.empty())
        line = "all is well with " + std::to_string(servers) + (servers == 1 ? " server" : " servers");
    for (const auto* part : {&problems, &remarks})
        for (const auto& text : *part)
            line += (line.empty() ? "" : "; ") + text;
    out << line << '\n';
}

}  // namespace

void print_status_table(std::span<const ServerOverview> servers, std::span<const ServerConfig> configured,
                        UtcSeconds now, std::ostream& out) {
    TextTable table(status_columns());
    for (const auto& server : servers) {
        table.add(cells_of(server, now));
        add_details(server, configured_as(server.name, configured), now, table);
    }
    table.print(out);
}

void print_status_json(std::span<const ServerOverview> servers, std::ostream& out) {
    for (const auto& server : servers)
        out << json_of(server).dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
}

int execute(const StatusCommand& command, std::ostream& out, std::ostream& err) {
    const auto config = load_or_complain(command.config, err);
    if (!config) return exit_usage;
    try {
        const auto servers = open_reader(store_settings(*config))->servers();
        const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
        const auto problems =
            command.check ? problems_of(servers, *config, command.max_age, now) : std::vector<std::string>();
        if (command.json)
            print_status_json(servers, out);
        else if (command.check)
            print_check(problems, remarks_on(servers, now), servers.size(), out);
        else if (servers.empty())
            out << "no server in the database yet: 'leasemirror run' has not been started with it\n";
        else
            print_status_table(servers, config->servers, now, out);
        return problems.empty() ? exit_fine : exit_found_wrong;
    } catch (const StoreError& e) {
        err << "leasemirror status: " << e.what() << '\n';
        return exit_code_of(e);
    }
}

}  // namespace leasemirror
