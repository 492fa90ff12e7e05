#include "agent/cli/command_line.hpp"

#include "agent/cli/values.hpp"
#include "agent/config/time_text.hpp"

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
    std::string prefix, relay_id, remote_id, link, until, tries;
    std::vector<std::string> servers;
    bool connect = false;
    bool bulk = false;
    bool udp = false;
    bool multicast = false;
    bool json = false;
    bool yes = false;

private:
    void add_who();
    void add_watch();
    void add_query();
    void add_query_filters(CLI::App& query);
    void add_forget();
    [[nodiscard]] WatchCommand watch() const;
    [[nodiscard]] Command query() const;
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

/// More transmissions would not come nearer an answer: five take two minutes in v4.
Parsed<std::uint32_t> parse_tries(std::string_view text) {
    return parse_number<std::uint32_t>(text, 1, 10);
}

/// Rows that `watch` and `query` may be told to leave after.
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
    add_query();
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

void CommandLine::add_query() {
    auto* const query = add_with_config("query", "Ask a DHCP server, now, past the database");
    query->add_option("SERVER", servers, "By its name in the configuration; may be several")->required();
    add_query_filters(*query);
    auto* const by_bulk = query->add_flag("--bulk", bulk, "Over TCP: any number of bindings, printed as they come");
    auto* const by_udp = query->add_flag("--udp", udp, "Over UDP: of one address, client or (v4) remote-id");
    by_bulk->excludes(by_udp);
    query->add_flag("--multicast", multicast, "Over UDP, v6: and of whoever else answers at ff05::1:3")->needs(by_udp);
    query
        ->add_option("--tries", tries,
                     "Over UDP: how often to send a query that is not answered; default 5, as the RFCs")
        ->type_name("N")
        ->check(checked(parse_tries));
    query->add_option("--limit", limit, "Leave after so many bindings")->type_name("ROWS")->check(checked(parse_limit));
    query->add_flag("--json", json, "One JSON object per line");
    query->footer(
        "Without a filter: everything; where bulk.queries are configured, all of these. One filter at a time, but for\n"
        "--link, --since and --until. Identifiers are hex, with or without colons, or text:...\n"
        "Without --bulk and --udp it is bulk, but where only UDP has the query (v4 by address).\n"
        "Bindings go to stdout, all else to stderr. Exit codes: 0 answered, if only with nothing; 1 refused, cut off "
        "or\n"
        "interrupted; 2 usage or configuration error; 3 could not connect, or no answer over UDP.");
}

void CommandLine::add_query_filters(CLI::App& query) {
    const auto address_check = checked([](std::string_view text) -> Parsed<IpAddress> {
        const auto parsed = IpAddress::parse(text);
        if (parsed && !parsed->is_unspecified()) return *parsed;
        return Unexpected{std::string("expected an address such as 192.0.2.7 or 2001:db8::7")};
    });
    const auto time_check = checked([](std::string_view text) { return parse_time(text, UtcSeconds{}); });
    query.add_option("--address", address, "v6: and what else the server tells of its client there")
        ->type_name("ADDRESS")
        ->check(address_check);
    query.add_option("--prefix", prefix, "A delegated prefix (v6)")
        ->type_name("PREFIX/LENGTH")
        ->check(checked(parse_prefix));
    query.add_option("--client-id", client_id, "v4 option 61; v6 the client's DUID")
        ->type_name("ID")
        ->check(checked(parse_query_id));
    query.add_option("--mac", mac, "Hardware address (v4)")->type_name("MAC")->check(checked(parse_mac));
    query.add_option("--relay-id", relay_id, "What came through this relay (bulk)")
        ->type_name("ID")
        ->check(checked(parse_query_id));
    query.add_option("--remote-id", remote_id, "v6: enterprise number (four octets) and identifier; bulk")
        ->type_name("ID")
        ->check(checked(parse_query_id));
    query
        .add_option("--link", link,
                    "All of this link, named by an address on it; with another filter: there alone (v6)")
        ->type_name("ADDRESS")
        ->check(address_check);
    query
        .add_option("--since", since, "What changed since then by the server's clock: 2026-11-20T12:00:00Z, 2h (bulk)")
        ->type_name("TIME")
        ->check(time_check);
    query.add_option("--until", until, "And not after then (bulk)")->type_name("TIME")->check(time_check);
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
    if (name == "query") return query();
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

Command CommandLine::query() const {
    QueryCommand out;
    out.config = config;
    out.servers = servers;
    out.json = json;
    if (bulk || udp) out.via = bulk ? QueryVia::bulk : QueryVia::udp;
    out.multicast = multicast;
    if (!limit.empty()) out.limit = static_cast<std::uint64_t>(*parse_limit(limit));
    if (!tries.empty()) out.tries = *parse_tries(tries);
    auto& filter = out.filter;
    if (!address.empty()) filter.address = IpAddress::parse(address);
    if (!link.empty()) filter.link = IpAddress::parse(link);
    if (!prefix.empty()) filter.prefix = *parse_prefix(prefix);
    if (!client_id.empty()) filter.client_id = *parse_query_id(client_id);
    if (!mac.empty()) filter.mac = *parse_mac(mac);
    if (!relay_id.empty()) filter.relay_id = *parse_query_id(relay_id);
    if (!remote_id.empty()) filter.remote_id = *parse_query_id(remote_id);
    filter.remote_id_as_text = remote_id.starts_with("text:");
    filter.since = since;
    filter.until = until;
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
