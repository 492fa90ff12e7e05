// From a YAML file to a configuration.
#pragma once

#include "agent/config/config.hpp"
#include "agent/config/environment.hpp"
#include "agent/config/error.hpp"

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace leasemirror {

/// The configuration, or every error in it at once. `*_file` secrets are read relative to the file.
using LoadedConfig = std::variant<Config, std::vector<ConfigError>>;
[[nodiscard]] LoadedConfig load_config_file(const std::string& path, const Environment& environment);
[[nodiscard]] LoadedConfig parse_config(std::string_view yaml, const std::string& file_name,
                                        const Environment& environment);

}  // namespace leasemirror
