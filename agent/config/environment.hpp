// The variables that ${VAR} in a configuration file stands for.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace leasemirror {

/// Looks up a variable; a test gives its own.
using Environment = std::function<std::optional<std::string>(const std::string&)>;
[[nodiscard]] Environment process_environment();

}  // namespace leasemirror
