#include "agent/cli.hpp"

#include "agent/cli_values.hpp"
#include "agent/time_text.hpp"

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
    std::string config, file, family, action, address, at, server, since, limit, client_id, mac;
    bool connect = false;
    bool json = false;
    bool yes = false;

private:
    void add_who();
    void add_watch();
    void add_forget();
    [[nodiscard]] WatchCommand watch() const;
    [[nodiscard]] Command forget() const;
};

/// A check of CLI11: what was expected, or nothing.
template <class Parse>
auto checked(Parse parse) {
    return [parse](const std::string& text) {
        const auto parsed = parse(text);
        if (parsed) return std::string();
        return parsed.error().ends_with('?') ? parsed.error() : parsed.error() + ", not " + in_quotes(text);
    };
}

/// Rows that `watch` may be told to leave after.
Parsed<std::int64_t> parse_limit(std::string_view text) {
    return parse_number<std::int64_t>(text, 1);
}

CommandLine::CommandLine() {
    app.set_version_flag("--version", version_text, "Print the version and leave");
    app.require_subcommand(1);
    app.footer("Exit codes: 0 fine, 1 something is wrong, 2 usage or configuration error, 3 could not connect.");
    add_with_config("run", "The daemon, in the foreground, log on stderr");
    add_with_config("check", "Validate the configuration file")
        ->add_flag("--connect", connect, "Also try the database and each server");
    add_with_config("status", "State of every server, read from the database")
        ->add_flag("--json", json, "One JSON object per line");
    add_who();
    add_watch();
    add_forget();
    auto* const decode = add("decode", "Print the messages in a raw capture of a leasequery stream");
    decode->add_option("FILE", file, "Octets of one direction of a TCP stream; - for stdin")->required();
    decode->add_option("--family", family, "v4 or v6; told by the first message if not given")
        ->check(CLI::IsMember({"v4", "v6"}));
    add_with_config("schema", "The database schema")
        ->add_option("ACTION", action, "print, migrate or version")
        ->required()
        ->check(CLI::IsMember({"print", "migrate", "version"}));
}

void CommandLine::add_who() {
    auto* const who = add_with_config("who", "Who holds an address, or held it then");
    who->add_option("ADDRESS", address,
                    "Also found: the delegated prefix around it. Or PREFIX/LENGTH, for that very one")
        ->required()
        ->check(checked(parse_sought));
    // Whether it is in the future is for the command to say, which has a clock.
    who->add_option("--at", at, "2026-11-20T12:00:00Z, 2026-11-20 (its midnight in UTC), 2h (before now), now")
        ->type_name("TIME")
        ->check(checked([](std::string_view text) { return parse_time(text, UtcSeconds{}); }));
    who->add_flag("--json", json, "One JSON object per line");
}

void CommandLine::add_watch() {
    auto* const watch = add_with_config("watch", "Follow the change feed");
    watch->add_option("--server", server, "Of this server alone")->type_name("NAME");
    watch->add_option("--since", since, "Go on after this seq; 0 = all there is. Default: from now on")
        ->type_name("SEQ")
        ->check(checked(parse_seq));
    watch->add_option("--limit", limit, "Leave after so many rows")->type_name("ROWS")->check(checked(parse_limit));
    watch->add_flag("--json", json, "One JSON object per line");
}

void CommandLine::add_forget() {
    auto* const forget = add_with_config("forget", "Remove one client's history");
    auto* const by_id = forget->add_option("--client-id", client_id, "Hex, with or without colons, or text:...");
    by_id->type_name("ID")->check(checked(parse_client_id));
    auto* const by_mac = forget->add_option("--mac", mac, "Hardware address in hex, with or without colons");
    by_mac->type_name("MAC")->check(checked(parse_mac));
    forget->add_flag("--yes", yes, "Do not ask");
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
    if (name == "who") return WhoCommand{config, *parse_sought(address), at, json};
    if (name == "watch") return watch();
    if (name == "forget") return forget();
    if (name == "schema") return SchemaCommand{config, schema_action(action)};
    DecodeCommand decode{file, std::nullopt};
    if (!family.empty()) decode.family = family == "v4" ? Family::v4 : Family::v6;
    return decode;
}

WatchCommand CommandLine::watch() const {
    WatchCommand out;
    out.config = config;
    out.json = json;
    if (!server.empty()) out.server = server;
    if (!since.empty()) out.since = *parse_seq(since);
    if (!limit.empty()) out.limit = *parse_limit(limit);
    return out;
}

Exit usage_error(const std::string& what) {
    return {exit_usage, "leasemirror: " + what + "\nTry 'leasemirror --help', or --help after a command.\n"};
}

Command CommandLine::forget() const {
    if (client_id.empty() == mac.empty()) return usage_error("expected either --client-id or --mac");
    ForgetCommand out{config, {}, yes};
    if (mac.empty())
        out.client.client_id = *parse_client_id(client_id);
    else
        out.client.hw_addr = *parse_mac(mac);
    return out;
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
        return usage_error(explain(line.app, arguments, e.what()));
    }
    return line.command();
}

}  // namespace leasemirror
