#include "agent/cli/configuration.hpp"

#include "agent/config/load.hpp"
#include "agent/net/host.hpp"

#include <ostream>
#include <utility>

namespace leasemirror {

std::optional<Config> load_or_complain(const std::string& file, std::ostream& err) {
    auto loaded = load_config_file(file, process_environment());
    if (auto* const config = std::get_if<Config>(&loaded)) return std::move(*config);
    for (const auto& e : std::get<std::vector<ConfigError>>(loaded))
        err << to_string(e) << '\n';
    return std::nullopt;
}

Bytes asking_duid(const Config& config) {
    return config.requestor.duid.empty() ? new_duid() : config.requestor.duid;
}

}  // namespace leasemirror
