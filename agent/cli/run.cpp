#include "agent/cli/run.hpp"

#include "agent/cli/configuration.hpp"
#include "agent/config/load.hpp"
#include "agent/config/warnings.hpp"
#include "agent/daemon/daemon.hpp"
#include "agent/daemon/identity.hpp"
#include "agent/daemon/log.hpp"
#include "agent/net/host.hpp"
#include "agent/net/tls_context.hpp"
#include "agent/sync/clocks/whole_seconds.hpp"

#include <ostream>

namespace leasemirror {
namespace {

void log_warnings(const DaemonSettings& settings, Log& log) {
    for (const auto& warning : config_warnings(settings.config))
        log.warn("config_warning", {{"text", warning}});
    for (std::size_t i = 0; i < settings.tls.size(); ++i) {
        const auto trouble = settings.tls[i] ? settings.tls[i]->own_certificate_trouble() : std::nullopt;
        if (!trouble) continue;
        log.warn("certificate", {{"server", settings.config.servers[i].name},
                                 {"text", *trouble},
                                 {"then", "the agent does not connect to the server as long as this is so"}});
    }
}

/// The sections that differ, but for servers and log: "storage, limits". A daemon has opened its database, and shares
/// out its memory, with what it was started with.
std::string fixed_sections_changed(const Config& now, const Config& next) {
    std::string out;
    const auto note = [&](bool same, const char* section) {
        if (!same) out += std::string(out.empty() ? "" : ", ") + section;
    };
    note(now.storage == next.storage, "storage");
    note(now.requestor == next.requestor, "requestor");
    note(now.limits == next.limits, "limits");
    note(now.cluster == next.cluster, "cluster");
    note(now.admin == next.admin, "admin");
    return out;
}

/// The new ones, or nothing after their errors went to the log: a typing error must not stop a daemon.
std::optional<DaemonSettings> reload(const std::string& file, const Config& now, Log& log) {
    const auto complain = [&log](const std::string& text) {
        log.error("config_error", {{"text", text}, {"then", "the configuration stays as it was"}});
    };
    auto loaded = load_config_file(file, process_environment());
    auto* const config = std::get_if<Config>(&loaded);
    if (config == nullptr) {
        for (const auto& e : std::get<std::vector<ConfigError>>(loaded))
            complain(to_string(e));
        return std::nullopt;
    }
    if (const auto changed = fixed_sections_changed(now, *config); !changed.empty()) {
        complain(changed + " changed in " + file + ": a reload takes new servers and log alone; restart leasemirror");
        return std::nullopt;
    }
    auto tls = load_tls_credentials(*config);
    if (tls) return DaemonSettings{std::move(*config), *std::move(tls)};
    for (const auto& e : tls.error())
        complain(e);
    return std::nullopt;
}

std::optional<DaemonSettings> load_or_complain_of_all(const std::string& file, std::ostream& err) {
    auto config = load_or_complain(file, err);
    if (!config) return std::nullopt;
    auto tls = load_tls_credentials(*config);
    if (tls) return DaemonSettings{*std::move(config), *std::move(tls)};
    for (const auto& e : tls.error())
        err << file << ": " << e << '\n';
    return std::nullopt;
}

}  // namespace

int execute(const RunCommand& command, std::ostream&, std::ostream& err) {
    auto settings = load_or_complain_of_all(command.config, err);
    if (!settings) return exit_usage;
    const auto agent = identity_of_this_process(settings->config, whole_seconds(host_now()));
    Log log(settings->config.log);
    log_warnings(*settings, log);
    return run_daemon(*settings, agent, log, [&](const Config& now) {
        auto next = reload(command.config, now, log);
        if (next) log_warnings(*next, log);
        return next;
    });
}

}  // namespace leasemirror
