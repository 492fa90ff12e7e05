// The options of each command: as the parser knows them, and what they make of the arguments. Private to cli: its header
// shows CLI11.
#pragma once

#include "agent/cli/commands.hpp"

#include <CLI/CLI.hpp>

#include <functional>
#include <string>
#include <vector>

namespace leasemirror {

inline constexpr const char* version_text = "leasemirror " LEASEMIRROR_VERSION;

struct KnownCommand {
    CLI::App* parser;
    std::function<Command()> command;  ///< once the parser has parsed it
};
/// All of them, added to `app`.
[[nodiscard]] std::vector<KnownCommand> add_commands(CLI::App& app);

/// With the hint that follows every one.
[[nodiscard]] Exit usage_error(const std::string& what);

}  // namespace leasemirror
