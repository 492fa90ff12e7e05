#include "agent/cli/command_options.hpp"

#include "agent/cli/values.hpp"
#include "agent/config/time_text.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>

namespace leasemirror {
namespace {

/// A check of CLI11: what was expected, or nothing.
template <class Parse>
auto checked(Parse parse) {
    return [parse](const std::string& text) {
        const auto parsed = parse(text);
        if (parsed) return std::string();
        return parsed.error().ends_with('?') ? parsed.error() : parsed.error() + ", not " + in_quotes(text);
    };
}

/// An option whose text becomes a value: `parse` turns a string_view into a Parsed<T>.
template <class T, class Parse>
CLI::Option* add_parsed(CLI::App& app, const std::string& name, T& out, Parse parse, const std::string& what) {
    const auto store = [&out, parse](const std::string& text) { out = *parse(text); };
    return app.add_option_function<std::string>(name, store, what)->check(checked(parse));
}

/// More transmissions would not come nearer an answer: five take two minutes in v4.
Parsed<std::uint32_t> parse_tries(std::string_view text) {
    return parse_number<std::uint32_t>(text, 1, 10);
}

/// Rows that `watch` and `query` may be told to leave after.
Parsed<std::int64_t> parse_limit(std::string_view text) {
    return parse_number<std::int64_t>(text, 1);
}

/// Whether it is in the future is for the command to say, which has a clock.
Parsed<UtcSeconds> parse_some_time(std::string_view text) {
    return parse_time(text, UtcSeconds{});
}

Parsed<IpAddress> parse_query_address(std::string_view text) {
    const auto parsed = IpAddress::parse(text);
    if (parsed && !parsed->is_unspecified()) return *parsed;
    return Unexpected{std::string("expected an address such as 192.0.2.7 or 2001:db8::7")};
}

constexpr const char* usual_config = "/etc/leasemirror/leasemirror.yaml";

void add_config(CLI::App& app, std::string& config) {
    auto* const option = app.add_option("-c,--config", config,
                                        "Configuration file (YAML). Where it is left out: " + std::string(usual_config))
                             ->type_name("FILE");
    std::error_code unknown;
    if (std::filesystem::exists(usual_config, unknown))
        config = usual_config;
    else
        option->required();
}

void add_json(CLI::App& app, bool& json) {
    app.add_flag("--json", json, "One JSON object per line");
}

struct RunOptions {
    static constexpr const char* name = "run";
    static constexpr const char* what = "The daemon, in the foreground, log on stderr";

    explicit RunOptions(CLI::App& app) { add_config(app, out.config); }
    [[nodiscard]] Command command() const { return out; }

    RunCommand out;
};

struct CheckOptions {
    static constexpr const char* name = "check";
    static constexpr const char* what = "Validate the configuration file";

    explicit CheckOptions(CLI::App& app) {
        add_config(app, out.config);
        app.add_flag("--connect", out.connect, "Also try the database and each server");
    }
    [[nodiscard]] Command command() const { return out; }

    CheckCommand out;
};

struct StatusOptions {
    static constexpr const char* name = "status";
    static constexpr const char* what = "State of every server, read from the database";

    explicit StatusOptions(CLI::App& app) {
        add_config(app, out.config);
        add_json(app, out.json);
        auto* const check = app.add_flag("--check", out.check, "For monitoring: one line, and 1 if anything is wrong");
        add_parsed(
            app, "--max-age", out.max_age, [](auto t) { return parse_duration(t, std::chrono::seconds{1}); },
            "How long ago a server may have been fresh, above bulk.poll_interval where it is polled; default 5m")
            ->type_name("TIME")
            ->needs(check);
    }
    [[nodiscard]] Command command() const { return out; }

    StatusCommand out;
};

struct WhoOptions {
    static constexpr const char* name = "who";
    static constexpr const char* what = "Who holds an address, or held it; what a client or a line held";

    explicit WhoOptions(CLI::App& app) {
        add_config(app, out.config);
        add_parsed(app, "ADDRESS", address, parse_sought,
                   "Finds the delegated prefix around it too. PREFIX/LENGTH finds that prefix alone");
        add_holder(app, "--mac", HolderSought::By::hw_addr, parse_mac, "Instead: all of this hardware address")
            ->type_name("MAC");
        add_holder(app, "--client-id", HolderSought::By::client_id, parse_client_id,
                   "Of this client: v4 option 61, v6 its DUID")
            ->type_name("ID");
        add_holder(app, "--remote-id", HolderSought::By::remote_id, parse_query_id,
                   "Of this line; v6: enterprise number (four octets) and identifier")
            ->type_name("ID");
        add_holder(app, "--circuit-id", HolderSought::By::circuit_id, parse_query_id,
                   "Of this port: option 82.1, or v6 Interface-ID")
            ->type_name("ID");
        auto* const at = add_time(app, "--at", out.at,
                                  "2026-11-20T12:00:00Z, 2026-11-20 (its midnight in UTC), 2h (before now), now");
        auto* const from = add_time(app, "--from", out.from, "All that was held at some time from then on ...");
        add_time(app, "--to", out.to, "... and before then; now if left out")->needs(from);
        from->excludes(at);
        add_json(app, out.json);
        app.footer(
            "Identifiers are hex, with or without colons, or text:... Exit codes: 0 found; 1 nobody, or nothing;\n"
            "2 usage or configuration error; 3 no database.");
    }
    [[nodiscard]] Command command() const {
        if ((address ? 1 : 0) + holders != 1)
            return usage_error("expected an ADDRESS, or one of --mac, --client-id, --remote-id and --circuit-id");
        auto asked = out;
        if (address) asked.sought = *address;
        return asked;
    }

    WhoCommand out;
    std::optional<Sought> address;
    int holders = 0;

private:
    template <class Parse>
    CLI::Option* add_holder(CLI::App& app, const std::string& option, HolderSought::By by, Parse parse,
                            const std::string& help) {
        const auto store = [this, by, parse](const std::string& text) {
            out.holder = HolderSought{by, *parse(text)};
            ++holders;
        };
        return app.add_option_function<std::string>(option, store, help)->check(checked(parse));
    }
    static CLI::Option* add_time(CLI::App& app, const std::string& option, std::string& text, const std::string& help) {
        return app.add_option(option, text, help)->type_name("TIME")->check(checked(parse_some_time));
    }
};

struct WatchOptions {
    static constexpr const char* name = "watch";
    static constexpr const char* what = "Follow the change feed";

    explicit WatchOptions(CLI::App& app) {
        add_config(app, out.config);
        app.add_option("--server", out.server, "Rows of this server alone")->type_name("NAME");
        add_parsed(app, "--since", out.since, parse_seq,
                   "Start after this seq; 0 is the whole feed. Default: from now on")
            ->type_name("SEQ");
        add_parsed(app, "--limit", out.limit, parse_limit, "Leave after so many rows")->type_name("ROWS");
        app.add_flag("--skip-lost", out.skip_lost,
                     "Where rows have been removed, say which ones, and go on; else that ends it with 1");
        add_json(app, out.json);
    }
    [[nodiscard]] Command command() const { return out; }

    WatchCommand out;
};

struct QueryOptions {
    static constexpr const char* name = "query";
    static constexpr const char* what = "Ask a DHCP server, now, past the database";

    explicit QueryOptions(CLI::App& app);
    void add_filters(CLI::App& app);
    [[nodiscard]] Command command() const {
        auto asked = out;
        if (bulk || udp) asked.via = bulk ? QueryVia::bulk : QueryVia::udp;
        return asked;
    }

    QueryCommand out;
    bool bulk = false;
    bool udp = false;
};

QueryOptions::QueryOptions(CLI::App& app) {
    add_config(app, out.config);
    app.add_option("SERVER", out.servers, "By its name in the configuration; may be several")->required();
    add_filters(app);
    auto* const by_bulk = app.add_flag("--bulk", bulk, "Over TCP: any number of bindings, printed as they come");
    auto* const by_udp = app.add_flag("--udp", udp, "Over UDP: for one address, client or (v4) remote-id");
    by_bulk->excludes(by_udp);
    app.add_flag("--multicast", out.multicast, "Over UDP, v6: ask every server that answers at ff05::1:3 too")
        ->needs(by_udp);
    add_parsed(app, "--tries", out.tries, parse_tries,
               "Over UDP: how often to send a query that is not answered; default 5, as the RFCs")
        ->type_name("N");
    add_parsed(app, "--limit", out.limit, parse_limit,
               "At most so many bindings of each server; over UDP, of all together")
        ->type_name("ROWS");
    add_json(app, out.json);
    app.footer(
        "Without a filter it asks for everything: by bulk.queries where they are configured. Give one filter; --link,\n"
        "--since and --until may come on top. Identifiers are hex, with or without colons, or text:...\n"
        "Without --bulk and --udp it asks over bulk, or over UDP where bulk has no such query (v4 by address).\n"
        "Bindings go to stdout, all else to stderr. Exit codes: 0 answered, if only with nothing; 1 refused, cut off "
        "or\n"
        "interrupted; 2 usage or configuration error; 3 could not connect, or no answer over UDP.");
}

void QueryOptions::add_filters(CLI::App& app) {
    auto& filter = out.filter;
    add_parsed(app, "--address", filter.address, parse_query_address, "v6: with all else that its client has there")
        ->type_name("ADDRESS");
    add_parsed(app, "--prefix", filter.prefix, parse_prefix, "A delegated prefix (v6)")->type_name("PREFIX/LENGTH");
    add_parsed(app, "--client-id", filter.client_id, parse_query_id, "v4 option 61; v6 the client's DUID")
        ->type_name("ID");
    add_parsed(app, "--mac", filter.mac, parse_mac, "Hardware address (v4)")->type_name("MAC");
    add_parsed(app, "--relay-id", filter.relay_id, parse_query_id, "What came through this relay (bulk)")
        ->type_name("ID");
    add_parsed(app, "--remote-id", filter.remote_id, parse_query_id,
               "v6: enterprise number (four octets) and identifier; bulk")
        ->type_name("ID")
        ->each([&filter](const std::string& text) { filter.remote_id_as_text = text.starts_with("text:"); });
    add_parsed(app, "--link", filter.link, parse_query_address,
               "All of the link that has this address; with another filter, that link alone (v6)")
        ->type_name("ADDRESS");
    app.add_option("--since", filter.since,
                   "What changed since then by the server's clock: 2026-11-20T12:00:00Z, 2h (bulk)")
        ->type_name("TIME")
        ->check(checked(parse_some_time));
    app.add_option("--until", filter.until, "And not after then (bulk)")
        ->type_name("TIME")
        ->check(checked(parse_some_time));
}

/// Of `pause`, `resume` and `resync`.
struct OrderOptions {
    explicit OrderOptions(CLI::App& app, OrderKind kind) {
        out.kind = kind;
        add_config(app, out.config);
        app.add_option("SERVER", out.server, "By its name in the configuration")->required();
        app.footer(
            "Through the database, so from any host. The agent that works the server sees it within two seconds, or\n"
            "when it starts. Exit codes: 0 it stands there; 1 no agent has opened the server yet; 2 usage or\n"
            "configuration error; 3 no database.");
    }
    [[nodiscard]] Command command() const { return out; }

    OrderCommand out;
};
struct PauseOptions : OrderOptions {
    static constexpr const char* name = "pause";
    static constexpr const char* what = "Leave a server alone: no connection, until 'resume'";
    explicit PauseOptions(CLI::App& app) : OrderOptions(app, OrderKind::pause) {}
};
struct ResumeOptions : OrderOptions {
    static constexpr const char* name = "resume";
    static constexpr const char* what = "Work a server again that was paused";
    explicit ResumeOptions(CLI::App& app) : OrderOptions(app, OrderKind::resume) {}
};
struct ResyncOptions : OrderOptions {
    static constexpr const char* name = "resync";
    static constexpr const char* what = "Read all of a server now, and end what it does not have";
    explicit ResyncOptions(CLI::App& app) : OrderOptions(app, OrderKind::resync) {}
};

struct VerifyOptions {
    static constexpr const char* name = "verify";
    static constexpr const char* what = "Compare the database with what the servers list";

    explicit VerifyOptions(CLI::App& app) {
        add_config(app, out.config);
        app.add_option("SERVER", out.server, "By its name in the configuration; all of them if left out");
        app.add_flag("--repair", out.repair,
                     "Where they differ, have the agent read the server in full ('resync'), and compare again");
        add_json(app, out.json);
        app.footer(
            "Reads each server in full, as the agent does, while that goes on. What changes meanwhile is no "
            "difference.\n"
            "Differences go to stdout, all else to stderr. Exit codes: 0 none; 1 some, or not all could be compared;\n"
            "2 usage or configuration error; 3 could not connect.");
    }
    [[nodiscard]] Command command() const { return out; }

    VerifyCommand out;
};

struct ForgetOptions {
    static constexpr const char* name = "forget";
    static constexpr const char* what = "Remove one client's history, or what a server has left";

    explicit ForgetOptions(CLI::App& app) {
        add_config(app, out.config);
        add_parsed(app, "--client-id", out.client.client_id, parse_client_id,
                   "Hex, with or without colons, or text:...")
            ->type_name("ID");
        add_parsed(app, "--mac", out.client.hw_addr, parse_mac, "Hardware address in hex, with or without colons")
            ->type_name("MAC");
        app.add_option("--server", out.server, "A server that is in no configuration any more: all that it has left")
            ->type_name("NAME");
        app.add_flag("--yes", out.yes, "Do not ask");
    }
    [[nodiscard]] Command command() const {
        const int given = (out.client.client_id.empty() ? 0 : 1) + (out.client.hw_addr.empty() ? 0 : 1) +
                          (out.server.empty() ? 0 : 1);
        if (given == 1) return out;
        return usage_error("expected one of --client-id, --mac and --server");
    }

    ForgetCommand out;
};

struct DecodeOptions {
    static constexpr const char* name = "decode";
    static constexpr const char* what = "Print the leasequery messages in a capture";

    explicit DecodeOptions(CLI::App& app) {
        app.add_option(
               "FILE", out.file,
               "A capture of packets (pcap, pcapng), or the octets of one direction of a TCP stream; - for stdin")
            ->required();
        app.add_option("--family", family, "v4 or v6; told by the first message if not given")
            ->check(CLI::IsMember({"v4", "v6"}));
    }
    [[nodiscard]] Command command() const {
        if (family.empty()) return out;
        return DecodeCommand{out.file, family == "v4" ? Family::v4 : Family::v6};
    }

    DecodeCommand out;
    std::string family;
};

struct SchemaOptions {
    static constexpr const char* name = "schema";
    static constexpr const char* what = "The database schema";

    explicit SchemaOptions(CLI::App& app) {
        add_config(app, out.config);
        app.add_option("ACTION", action, "print, migrate or version")
            ->required()
            ->check(CLI::IsMember({"print", "migrate", "version"}));
    }
    [[nodiscard]] Command command() const {
        if (action == "migrate") return SchemaCommand{out.config, SchemaAction::migrate};
        return SchemaCommand{out.config, action == "version" ? SchemaAction::version : SchemaAction::print};
    }

    SchemaCommand out;
    std::string action;
};

template <class Options>
KnownCommand add(CLI::App& app) {
    auto* const parser = app.add_subcommand(Options::name, Options::what);
    parser->set_version_flag("--version", version_text, "Print the version and leave");
    auto options = std::make_shared<Options>(*parser);  // the parser fills it
    return {parser, [options] { return options->command(); }};
}

}  // namespace

std::vector<KnownCommand> add_commands(CLI::App& app) {
    return {add<RunOptions>(app),   add<CheckOptions>(app),  add<StatusOptions>(app), add<WhoOptions>(app),
            add<WatchOptions>(app), add<QueryOptions>(app),  add<VerifyOptions>(app), add<ResyncOptions>(app),
            add<PauseOptions>(app), add<ResumeOptions>(app), add<ForgetOptions>(app), add<DecodeOptions>(app),
            add<SchemaOptions>(app)};
}

Exit usage_error(const std::string& what) {
    return {exit_usage, "leasemirror: " + what + "\nTry 'leasemirror --help', or --help after a command.\n"};
}

}  // namespace leasemirror
