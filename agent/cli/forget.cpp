#include "agent/cli/forget.hpp"

#include "agent/cli/configuration.hpp"
#include "agent/cli/exit_code.hpp"
#include "agent/cli/health.hpp"
#include "agent/config/exit_codes.hpp"
#include "agent/config/store_settings.hpp"
#include "agent/query/record_text.hpp"
#include "proto/binding.hpp"
#include "storage/opening.hpp"

#include <unistd.h>
#include <iostream>
#include <string>

namespace leasemirror {
namespace {

std::string client_text(const ClientIdentity& client) {
    if (client.client_id.empty()) return "hardware address " + to_hex(client.hw_addr, ':');
    return "client-id " + identifier_text(client.client_id);
}

std::string counted(std::uint64_t count, const std::string& one, const std::string& many) {
    if (count == 0) return "no " + many;
    return std::to_string(count) + " " + (count == 1 ? one : many);
}

/// Whether whoever sits at the terminal wants it. Without a terminal there is nobody to ask.
bool is_wanted(const std::string& what, std::ostream& err) {
    if (::isatty(STDIN_FILENO) == 0) {
        err << "leasemirror forget: removes " << what << " for good; add --yes if that is wanted\n";
        return false;
    }
    err << "This removes " << what << " for good. Go on? [y/N] " << std::flush;
    std::string answer;
    std::getline(std::cin, answer);
    if (answer == "y" || answer == "Y" || answer == "yes") return true;
    err << "nothing was removed\n";
    return false;
}

int forget_that_server(const ForgetCommand& command, const Config& config, std::ostream& out, std::ostream& err) {
    const auto complain = [&](const std::string& what) { err << "leasemirror forget: " << what << '\n'; };
    if (configured_as(command.server, config.servers) != nullptr) {
        complain("'" + command.server + "' is in " + command.config +
                 ": remove it there, and reload the agent with SIGHUP, else it comes back");
        return exit_usage;
    }
    const auto settings = store_settings(config);
    const auto forgotten = forget_server(settings, command.server);
    if (!forgotten.known) {
        complain("the database has no server '" + command.server + "'; 'leasemirror status' lists those that it has");
        return exit_usage;
    }
    if (!forgotten.worked_by.empty()) {
        complain("agent '" + forgotten.worked_by + "' works '" + command.server +
                 "': remove it from that agent's configuration first");
        return exit_found_wrong;
    }
    out << forgotten_text(forgotten);
    return exit_fine;
}

int forget_that_client(const ForgetCommand& command, const Config& config, std::ostream& out) {
    out << forgotten_text(forget_client(store_settings(config), command.client));
    return exit_fine;
}

}  // namespace

std::string forgotten_text(const ForgottenServer& forgotten) {
    std::string out = "removed " + counted(forgotten.bindings, "binding", "bindings") + ", " +
                      counted(forgotten.assignments, "assignment", "assignments") + " and " +
                      counted(forgotten.quarantined, "message in quarantine", "messages in quarantine") + "\n";
    if (forgotten.ended > 0)
        out += counted(forgotten.ended, "of them was", "of them were") +
               " in force: the change feed tells of the end, with the reason 'forgotten'\n";
    return out;
}

std::string forgotten_text(const Forgotten& forgotten) {
    std::string out = "removed " + counted(forgotten.assignments, "ended assignment", "ended assignments") + ", " +
                      counted(forgotten.bindings, "ended binding", "ended bindings") + ", " +
                      counted(forgotten.changes, "row of the change feed", "rows of the change feed") + " and " +
                      counted(forgotten.quarantined, "message in quarantine", "messages in quarantine") + "\n";
    if (forgotten.in_force > 0)
        out += "left " +
               counted(forgotten.in_force, "binding that is in force, and its open assignment",
                       "bindings that are in force, and their open assignments") +
               ": that is what the servers say now\n";
    return out;
}

int execute(const ForgetCommand& command, std::ostream& out, std::ostream& err) {
    const auto config = load_or_complain(command.config, err);
    if (!config) return exit_usage;
    const auto what = command.server.empty() ? "the history of " + client_text(command.client)
                                             : "all that server '" + command.server + "' has left";
    if (!command.yes && !is_wanted(what, err)) return exit_usage;
    try {
        return command.server.empty() ? forget_that_client(command, *config, out)
                                      : forget_that_server(command, *config, out, err);
    } catch (const StoreError& e) {
        err << "leasemirror forget: " << e.what() << '\n';
        return exit_code_of(e);
    }
}

}  // namespace leasemirror
