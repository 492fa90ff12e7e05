#include "agent/commands.hpp"
#include "agent/log.hpp"
#include "agent/run.hpp"

namespace leasemirror {
namespace {

void log_warnings(const Config& config, Log& log) {
    for (const auto& warning : config_warnings(config))
        log.warn("config_warning", {{"text", warning}});
}

/// The new configuration, or nothing after its errors went to the log: a typing error must not stop a daemon.
std::optional<Config> reload(const std::string& file, Log& log) {
    auto loaded = load_config_file(file, process_environment());
    if (auto* const config = std::get_if<Config>(&loaded)) return std::move(*config);
    for (const auto& e : std::get<std::vector<ConfigError>>(loaded))
        log.error("config_error", {{"text", to_string(e)}, {"then", "the configuration stays as it was"}});
    return std::nullopt;
}

}  // namespace

int execute(const RunCommand& command, std::ostream&, std::ostream& err) {
    auto config = load_or_complain(command.config, err);
    if (!config) return exit_usage;
    while (true) {
        Log log(config->log);
        log_warnings(*config, log);
        std::optional<Config> next;
        const auto end = run_daemon(*config, log, [&] {
            next = reload(command.config, log);
            return next.has_value();
        });
        if (!end.reload || !next) return end.exit_code;
        config = std::move(next);
    }
}

}  // namespace leasemirror
