#include "agent/cli/command_line.hpp"

#include "agent/cli/command_options.hpp"
#include "agent/config/values.hpp"

#include <algorithm>
#include <vector>

namespace leasemirror {
namespace {

std::vector<std::string_view> views(const std::vector<std::string>& names) {
    return {names.begin(), names.end()};
}

std::vector<std::string> command_names(const CLI::App& app) {
    std::vector<std::string> out;
    for (const auto* const command : app.get_subcommands([](const CLI::App*) { return true; }))
        out.push_back(command->get_name());
    return out;
}

std::vector<std::string> option_names(const CLI::App& app) {
    std::vector<std::string> out;
    for (const auto* const option : app.get_options())
        for (const auto& name : option->get_lnames())
            out.push_back("--" + name);
    return out;
}

bool knows_short(const CLI::App& app, std::string_view name) {
    for (const auto* const option : app.get_options())
        for (const auto& known : option->get_snames())
            if (name == "-" + known) return true;
    return false;
}

/// What is wrong with an option, or nothing if `scope` has it.
std::string explain_option(const CLI::App& app, const CLI::App& scope, std::string_view argument) {
    const auto name = argument.starts_with("--") ? argument.substr(0, argument.find('=')) : argument.substr(0, 2);
    const auto options = option_names(scope);
    if (knows_short(scope, name) || std::find(options.begin(), options.end(), name) != options.end()) return {};
    for (const auto* const command : app.get_subcommands([](const CLI::App*) { return true; })) {
        const auto theirs = option_names(*command);
        if (&scope == &app &&
            (knows_short(*command, name) || std::find(theirs.begin(), theirs.end(), name) != theirs.end()))
            return "option " + in_quotes(name) + " goes after the command";
    }
    return "unknown option " + in_quotes(name) + "; " + did_you_mean(name, views(options));
}

/// CLI11 says that a word was not expected; we say which one was.
std::string explain(const CLI::App& app, std::span<const char* const> arguments, const std::string& fallback) {
    const auto names = command_names(app);
    const CLI::App* scope = &app;
    for (const std::string_view argument : arguments) {
        if (argument == "--") break;
        const bool is_option = argument.size() > 1 && argument.front() == '-';
        if (is_option) {
            if (auto fault = explain_option(app, *scope, argument); !fault.empty()) return fault;
        } else if (scope == &app) {
            if (std::find(names.begin(), names.end(), argument) == names.end())
                return "unknown command " + in_quotes(argument) + "; " + did_you_mean(argument, views(names));
            scope = app.get_subcommand(std::string(argument));
        }
    }
    return scope == &app ? "no command; expected " + either_of(views(names)) : fallback;
}

}  // namespace

Command parse_command_line(std::span<const char* const> arguments) {
    CLI::App app{"Mirrors the leases of DHCP servers into SQL.", "leasemirror"};
    app.set_version_flag("--version", version_text, "Print the version and leave");
    app.require_subcommand(1);
    app.footer("Exit codes: 0 fine, 1 something is wrong, 2 usage or configuration error, 3 could not connect.");
    const auto known = add_commands(app);
    std::vector<std::string> reversed(arguments.begin(), arguments.end());  // as CLI11 wants them
    std::reverse(reversed.begin(), reversed.end());
    try {
        app.parse(std::move(reversed));
    } catch (const CLI::CallForHelp&) {
        return Exit{exit_fine, app.help()};
    } catch (const CLI::CallForVersion&) {
        return Exit{exit_fine, std::string(version_text) + "\n"};
    } catch (const CLI::ParseError& e) {
        return usage_error(explain(app, arguments, e.what()));
    }
    const auto given = std::find_if(known.begin(), known.end(), [](const auto& k) { return k.parser->parsed(); });
    return given->command();
}

}  // namespace leasemirror
