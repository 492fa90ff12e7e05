#include "agent/cli/query.hpp"

#include "agent/cli/configuration.hpp"
#include "agent/cli/output_pipe.hpp"
#include "agent/cli/query_rows.hpp"
#include "agent/config/exit_codes.hpp"
#include "agent/config/values.hpp"
#include "agent/daemon/stop_signal.hpp"
#include "agent/query/exchange.hpp"
#include "proto/status.hpp"

#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <ostream>

namespace leasemirror {
namespace {

struct Planned {
    const ServerConfig* server;
    QueryPlan plan;
};

/// What each server is to be asked, before the first is; or a usage error.
Result<std::vector<Planned>, std::string> plan_all(const QueryCommand& command, const Config& config) {
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    std::vector<Planned> out;
    for (const auto& name : command.servers) {
        const auto server = find_server(name, config);
        if (!server) return Unexpected{server.error()};
        const auto same = [&](const Planned& other) { return other.server == *server; };
        if (std::any_of(out.begin(), out.end(), same)) return Unexpected{in_quotes(name) + " is named twice"};
        const auto plan = plan_query(command.filter, command.via, **server, now);
        if (!plan) return Unexpected{plan.error()};
        if (command.multicast && (*server)->family == Family::v4)
            return Unexpected{in_quotes(name) + " is a DHCPv4 server: --multicast is for DHCPv6"};
        if (command.tries && !plan->over_udp) return Unexpected{std::string("--tries is for queries over UDP")};
        out.push_back({*server, *plan});
    }
    return out;
}

/// Servers that are asked together: those over UDP of one family. Over bulk each is asked by itself.
std::vector<Planned> take_group(std::vector<Planned>& planned) {
    std::vector<Planned> group{planned.front()};
    planned.erase(planned.begin());
    if (!group.front().plan.over_udp) return group;
    const auto apart = std::stable_partition(planned.begin(), planned.end(), [&](const Planned& p) {
        return !p.plan.over_udp || p.server->family != group.front().server->family;
    });
    group.insert(group.end(), apart, planned.end());
    planned.erase(apart, planned.end());
    return group;
}

QueryReport ask(const std::vector<Planned>& group, const QueryCommand& command, const QueryExchange& with) {
    for (const auto& [server, plan] : group)
        for (const auto& note : plan.notes)
            with.say(server->name, note);
    const auto& first = group.front();
    if (!first.plan.over_udp) return ask_over_bulk(*first.server, first.plan, with);
    std::vector<const ServerConfig*> servers;
    servers.reserve(group.size());
    for (const auto& planned : group)
        servers.push_back(planned.server);
    return ask_over_udp(servers, first.plan, command.tries, command.multicast, with);
}

}  // namespace

int execute(const QueryCommand& command, std::ostream& out, std::ostream& err) {
    const auto config = load_or_complain(command.config, err);
    if (!config) return exit_usage;
    auto planned = plan_all(command, *config);
    if (!planned) {
        err << "leasemirror query: " << planned.error() << '\n';
        return exit_usage;
    }
    StopSignal stop;
    QueryRows rows(out, command.json, command.limit);
    int code = exit_fine;
    while (!planned->empty() && !rows.broken() && !stop.asked()) {
        const auto group = take_group(*planned);
        rows.begin();
        // Rows on the same terminal show by themselves that it goes on.
        const bool shown =
            ::isatty(STDERR_FILENO) == 1 && (group.front().plan.over_udp || ::isatty(STDOUT_FILENO) == 0);
        QueryProgress progress(err, shown, std::chrono::steady_clock::now());
        const auto say = [&](const std::string& server, const std::string& note) {
            progress.clear();
            err << printable(server) << ": " << printable(note) << std::endl;
        };
        const auto report = ask(group, command, {asking_duid(*config), config->requestor, rows, progress, stop, say});
        progress.clear();
        code = std::max(code, report.code);
        if (!rows.broken()) err << closing_text(report) << std::flush;
    }
    if (!rows.broken() || nobody_reads()) return code;
    err << "leasemirror query: cannot write to the standard output\n";
    return exit_found_wrong;
}

}  // namespace leasemirror
