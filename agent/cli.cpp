#include "agent/cli.hpp"

#include "agent/config_values.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <vector>

namespace leasemirror {
namespace {

constexpr const char* version_text = "leasemirror " LEASEMIRROR_VERSION;

/// The parser with the variables that it fills.
struct CommandLine {
    CommandLine();
    CommandLine(const CommandLine&) = delete;
    CommandLine& operator=(const CommandLine&) = delete;

    CLI::App* add(const std::string& name, const std::string& what);
    CLI::App* add_with_config(const std::string& name, const std::string& what);
    [[nodiscard]] Command command() const;

    CLI::App app{"Mirrors the leases of DHCP servers into SQL.", "leasemirror"};
    std::string config, file, family, action;
    bool connect = false;
    bool json = false;
};

CommandLine::CommandLine() {
    app.set_version_flag("--version", version_text, "Print the version and leave");
    app.require_subcommand(1);
    app.footer("Exit codes: 0 fine, 1 something is wrong, 2 usage or configuration error, 3 could not connect.");
    add_with_config("run", "The daemon, in the foreground, log on stderr");
    add_with_config("check", "Validate the configuration file")
        ->add_flag("--connect", connect, "Also try the database and each server");
    add_with_config("status", "State of every server, read from the database")
        ->add_flag("--json", json, "One JSON object per line");
    auto* const decode = add("decode", "Print the messages in a raw capture of a leasequery stream");
    decode->add_option("FILE", file, "Octets of one direction of a TCP stream; - for stdin")->required();
    decode->add_option("--family", family, "v4 or v6; told by the first message if not given")
        ->check(CLI::IsMember({"v4", "v6"}));
    add_with_config("schema", "The database schema")
        ->add_option("ACTION", action, "print, migrate or version")
        ->required()
        ->check(CLI::IsMember({"print", "migrate", "version"}));
}

CLI::App* CommandLine::add(const std::string& name, const std::string& what) {
    auto* const command = app.add_subcommand(name, what);
    command->set_version_flag("--version", version_text, "Print the version and leave");
    return command;
}

CLI::App* CommandLine::add_with_config(const std::string& name, const std::string& what) {
    auto* const command = add(name, what);
    command->add_option("-c,--config", config, "Configuration file (YAML)")->required()->type_name("FILE");
    return command;
}

SchemaAction schema_action(const std::string& word) {
    if (word == "migrate") return SchemaAction::migrate;
    return word == "version" ? SchemaAction::version : SchemaAction::print;
}

Command CommandLine::command() const {
    const auto& name = app.get_subcommands().at(0)->get_name();
    if (name == "run") return RunCommand{config};
    if (name == "check") return CheckCommand{config, connect};
    if (name == "status") return StatusCommand{config, json};
    if (name == "schema") return SchemaCommand{config, schema_action(action)};
    DecodeCommand decode{file, std::nullopt};
    if (!family.empty()) decode.family = family == "v4" ? Family::v4 : Family::v6;
    return decode;
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

std::string did_you_mean(std::string_view word, const std::vector<std::string>& names) {
    const std::vector<std::string_view> candidates(names.begin(), names.end());
    const auto meant = nearest(word, candidates);
    if (!meant.empty()) return "did you mean " + in_quotes(meant) + "?";
    return "expected " + either_of(candidates);
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
    return "unknown option " + in_quotes(name) + "; " + did_you_mean(name, options);
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
                return "unknown command " + in_quotes(argument) + "; " + did_you_mean(argument, names);
            scope = app.get_subcommand(std::string(argument));
        }
    }
    const std::vector<std::string_view> commands(names.begin(), names.end());
    return scope == &app ? "no command; expected " + either_of(commands) : fallback;
}

}  // namespace

Command parse_command_line(std::span<const char* const> arguments) {
    CommandLine line;
    std::vector<std::string> reversed(arguments.begin(), arguments.end());  // as CLI11 wants them
    std::reverse(reversed.begin(), reversed.end());
    try {
        line.app.parse(std::move(reversed));
    } catch (const CLI::CallForHelp&) {
        return Exit{exit_fine, line.app.help()};
    } catch (const CLI::CallForVersion&) {
        return Exit{exit_fine, std::string(version_text) + "\n"};
    } catch (const CLI::ParseError& e) {
        return Exit{exit_usage, "leasemirror: " + explain(line.app, arguments, e.what()) +
                                    "\nTry 'leasemirror --help', or --help after a command.\n"};
    }
    return line.command();
}

}  // namespace leasemirror
