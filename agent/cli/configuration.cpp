#include "agent/cli/configuration.hpp"

#include "agent/config/load.hpp"
#include "agent/config/values.hpp"
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

Result<const ServerConfig*, std::string> find_server(const std::string& name, const Config& config) {
    std::vector<std::string_view> names;
    for (const auto& server : config.servers) {
        if (server.name == name) return &server;
        names.push_back(server.name);
    }
    return Unexpected{"unknown server " + in_quotes(name) + "; " + did_you_mean(name, names)};
}

Bytes asking_duid(const Config& config) {
    return config.requestor.duid.empty() ? new_duid() : config.requestor.duid;
}

}  // namespace leasemirror
