// The command line as values: parsing it runs nothing and prints nothing.
#pragma once

#include "agent/cli/commands.hpp"

#include <span>

namespace leasemirror {

/// `arguments` without the program's name.
[[nodiscard]] Command parse_command_line(std::span<const char* const> arguments);

}  // namespace leasemirror
