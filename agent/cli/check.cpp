#include "agent/cli/check.hpp"

#include "agent/cli/configuration.hpp"
#include "agent/cli/exit_code.hpp"
#include "agent/config/exit_codes.hpp"
#include "agent/config/store_settings.hpp"
#include "agent/config/time_text.hpp"
#include "agent/config/warnings.hpp"
#include "agent/net/tls_context.hpp"
#include "agent/query/probe.hpp"
#include "proto/status.hpp"
#include "storage/opening.hpp"

#include <algorithm>
#include <future>
#include <ostream>
#include <vector>

namespace leasemirror {
namespace {

/// Servers asked at the same time: most of the wait is for those that do not answer.
constexpr std::size_t probes_at_once = 16;

int check_database(const Config& config, std::ostream& out) {
    try {
        const auto report = inspect_store(store_settings(config));
        out << "database  reachable, " << printable(report.engine);
        if (report.version.found == 0 && report.lacks.empty())
            out << ": nothing there yet; 'leasemirror run' or 'leasemirror schema migrate' creates it";
        else if (report.version.found > 0)
            out << ": schema version " << report.version.found << " (this program: " << report.version.known << ")";
        out << '\n';
        for (const auto& lack : report.lacks)
            out << "  " << lack << '\n';
        return report.lacks.empty() ? exit_fine : exit_found_wrong;
    } catch (const StoreError& e) {
        out << "database  " << e.what() << '\n';
        return exit_code_of(e);
    }
}

/// Whether the configured mode can work with what the server said of itself.
std::string mismatch(const ServerConfig& server, const ProbeResult& result) {
    const auto fails = [](const Support& s) { return s.answer == Answer::no || s.answer == Answer::refused; };
    if (server.mode == SyncMode::bulk && fails(result.bulk))
        return "mode is bulk, but the server offers no bulk leasequery";
    if (server.mode == SyncMode::active && fails(result.active))
        return "mode is active, which the server does not offer; set it to auto or bulk";
    if (server.mode != SyncMode::automatic || !fails(result.active)) return {};
    if (fails(result.bulk)) return "the server offers neither bulk nor active leasequery to this host";
    if (result.bulk.answer == Answer::not_asked)
        return "the server has no active leasequery, so it needs bulk.queries to be polled with";
    return {};
}

int print_probe(const ServerConfig& server, const ProbeResult& result, std::ostream& out) {
    out << printable(server.name) << "  ";
    if (!result.reachable()) {
        out << "not reachable: " << printable(result.error) << '\n';
        return exit_cannot_connect;
    }
    out << "reachable  bulk: " << to_string(result.bulk) << "  active: " << to_string(result.active);
    if (result.base_time && result.skew)
        out << "  (base-time " << iso_utc(*result.base_time) << ", skew " << skew_text(result.skew->count()) << ")";
    if (result.first_end) out << "  (TLS: the first certificate ends " << iso_utc(result.first_end->at) << ")";
    out << '\n';
    int code = exit_fine;
    for (std::size_t i = 0; i < result.queries.size(); ++i) {
        if (result.queries[i].answer == Answer::yes) continue;
        out << "  query for " << to_string(server.bulk.queries[i]) << ": " << to_string(result.queries[i]) << '\n';
        code = exit_found_wrong;
    }
    if (const auto fault = mismatch(server, result); !fault.empty()) {
        out << "  " << fault << '\n';
        code = exit_found_wrong;
    }
    return code;
}

int check_servers(const Config& config, std::ostream& out) {
    ProbeSettings settings;
    settings.requestor_duid = asking_duid(config);
    int code = exit_fine;
    for (std::size_t first = 0; first < config.servers.size(); first += probes_at_once) {
        const auto end = std::min(first + probes_at_once, config.servers.size());
        std::vector<std::future<ProbeResult>> probes;
        for (auto i = first; i < end; ++i)
            probes.push_back(
                std::async(std::launch::async, probe_server, std::cref(config.servers[i]), std::cref(settings)));
        for (auto i = first; i < end; ++i)
            code = std::max(code, print_probe(config.servers[i], probes[i - first].get(), out));
    }
    return code;
}

/// Here an own certificate out of its time is a mistake too, although `run` would go on with the other servers.
bool check_tls(const CheckCommand& command, const Config& config, std::ostream& err) {
    bool good = true;
    for (const auto& server : config.servers) {
        const auto tls = load_tls_credentials(server);
        const auto wrong = !tls ? tls.error() : *tls ? (*tls)->own_certificate_trouble() : std::optional<std::string>();
        if (!wrong) continue;
        err << command.config << ": server " << server.name << ": " << *wrong << '\n';
        good = false;
    }
    return good;
}

}  // namespace

int execute(const CheckCommand& command, std::ostream& out, std::ostream& err) {
    const auto config = load_or_complain(command.config, err);
    if (!config) return exit_usage;
    if (!check_tls(command, *config, err)) return exit_usage;
    for (const auto& warning : config_warnings(*config))
        out << "warning: " << warning << '\n';
    out << command.config << ": valid, " << config->servers.size()
        << (config->servers.size() == 1 ? " server\n" : " servers\n");
    if (!command.connect) return exit_fine;
    // Of several findings the most urgent decides: not reachable (3) before wrong (1).
    const int database = check_database(*config, out);
    return std::max(database, check_servers(*config, out));
}

}  // namespace leasemirror
