// Configurations as text, for the tests of this room.
#pragma once

#include "agent/config/load.hpp"

#include <map>
#include <string>

namespace leasemirror::test {

extern const std::string storage_only;

Environment environment_of(std::map<std::string, std::string> variables);
/// Its mistakes, a line each.
std::string errors_text(const LoadedConfig& loaded);
/// What must be without mistakes.
Config config_of(const std::string& yaml, const Environment& environment = environment_of({}));
/// A valid configuration with one server of this family, and these further lines for it.
std::string with_server(const std::string& family, const std::string& lines = "");

}  // namespace leasemirror::test
