#include "agent/cli/orders.hpp"

#include "agent/cli/configuration.hpp"
#include "agent/cli/exit_code.hpp"
#include "agent/cli/health.hpp"
#include "agent/config/exit_codes.hpp"
#include "agent/config/store_settings.hpp"
#include "agent/daemon/identity.hpp"
#include "storage/opening.hpp"
#include "storage/reader.hpp"

#include <algorithm>
#include <chrono>
#include <ostream>

namespace leasemirror {
namespace {

std::string_view name_of(OrderKind kind) {
    switch (kind) {
        case OrderKind::pause:
            return "pause";
        case OrderKind::resume:
            return "resume";
        case OrderKind::resync:
            return "resync";
    }
    return "?";
}

std::string outcome_of(OrderKind kind, OrderAnswer answer, const std::string& server) {
    const auto changed = answer == OrderAnswer::taken;
    switch (kind) {
        case OrderKind::pause:
            return server + (changed ? " is paused, until 'leasemirror resume " + server + "'" : " was paused already");
        case OrderKind::resume:
            return server + (changed ? " is resumed" : " was not paused");
        case OrderKind::resync:
            break;
    }
    return "a full read of " + server + " is asked for; 'leasemirror status' shows when it has ended";
}

/// Why the order has to wait, if it has to; it stays in the database.
std::string what_it_waits_for(const ServerOverview& server, OrderKind kind, UtcSeconds now) {
    if (auto missing = missing_agent(server, now); !missing.empty()) return missing;
    if (kind == OrderKind::resync && server.paused_at) return paused_text(server, now);
    return {};
}

int give(const OrderCommand& command, const StoreSettings& settings, std::ostream& out, std::ostream& err) {
    const auto answer = give_order(settings, {command.kind, command.server, user_at_host()});
    if (answer == OrderAnswer::unknown_server) {
        err << "leasemirror " << name_of(command.kind) << ": no agent has opened '" << command.server
            << "' yet: start 'leasemirror run' with it first\n";
        return exit_found_wrong;
    }
    out << outcome_of(command.kind, answer, command.server) << '\n';
    const auto servers = open_reader(settings)->servers();
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    const auto found = std::find_if(servers.begin(), servers.end(), [&](auto& s) { return s.name == command.server; });
    if (found == servers.end()) return exit_fine;
    if (const auto waits = what_it_waits_for(*found, command.kind, now); !waits.empty())
        err << "it waits: " << waits << '\n';
    return exit_fine;
}

}  // namespace

int execute(const OrderCommand& command, std::ostream& out, std::ostream& err) {
    const auto config = load_or_complain(command.config, err);
    if (!config) return exit_usage;
    const auto complain = [&](const std::string& what) {
        err << "leasemirror " << name_of(command.kind) << ": " << what << '\n';
        return exit_usage;
    };
    const auto server = find_server(command.server, *config);
    if (!server) return complain(server.error());
    if (command.kind == OrderKind::resync && (*server)->family == Family::v6 && (*server)->bulk.queries.empty())
        return complain("'" + command.server + "' cannot be read in full: DHCPv6 has no query for everything, and " +
                        "bulk.queries is empty");
    try {
        return give(command, store_settings(*config), out, err);
    } catch (const StoreError& e) {
        err << "leasemirror " << name_of(command.kind) << ": " << e.what() << '\n';
        return exit_code_of(e);
    }
}

}  // namespace leasemirror
