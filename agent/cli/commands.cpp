#include "agent/cli/commands.hpp"

#include "agent/net/host.hpp"

#include <ostream>

namespace leasemirror {

std::optional<Config> load_or_complain(const std::string& file, std::ostream& err) {
    auto loaded = load_config_file(file, process_environment());
    if (auto* const config = std::get_if<Config>(&loaded)) return std::move(*config);
    for (const auto& e : std::get<std::vector<ConfigError>>(loaded))
        err << to_string(e) << '\n';
    return std::nullopt;
}

int exit_code_of(const StoreError& e) {
    switch (e.fault()) {
        case StoreFault::unavailable:
        case StoreFault::in_doubt:
        case StoreFault::behind:
            return exit_cannot_connect;
        case StoreFault::fenced:
        case StoreFault::unusable:
        case StoreFault::refused:
            return exit_found_wrong;
    }
    return exit_found_wrong;
}

Bytes asking_duid(const Config& config) {
    return config.requestor.duid.empty() ? new_duid() : config.requestor.duid;
}

int execute(const Exit& exit, std::ostream& out, std::ostream& err) {
    (exit.code == exit_fine ? out : err) << exit.text;
    return exit.code;
}

}  // namespace leasemirror
