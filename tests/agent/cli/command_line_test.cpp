#include "agent/cli/command_line.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include <string>
#include <vector>

using namespace leasemirror;

namespace {

Command parse(const std::vector<const char*>& arguments) {
    return parse_command_line(arguments);
}

Exit exit_of(const std::vector<const char*>& arguments) {
    const auto command = parse(arguments);
    REQUIRE(std::holds_alternative<Exit>(command));
    return std::get<Exit>(command);
}

/// The sentence of a usage error, without the hint that follows every one.
std::string complaint(const std::vector<const char*>& arguments) {
    const auto exit = exit_of(arguments);
    CHECK(exit.code == 2);
    CHECK(exit.text.starts_with("leasemirror: "));
    CHECK(exit.text.ends_with("\nTry 'leasemirror --help', or --help after a command.\n"));
    return exit.text.substr(13, exit.text.find('\n') - 13);
}

}  // namespace

TEST_CASE("each command parses into its own values") {
    CHECK(parse({"run", "-c", "a.yaml"}) == Command{RunCommand{"a.yaml"}});
    CHECK(parse({"run", "--config", "a.yaml"}) == Command{RunCommand{"a.yaml"}});
    CHECK(parse({"check", "-c", "a.yaml"}) == Command{CheckCommand{"a.yaml", false}});
    CHECK(parse({"check", "--connect", "-c", "a.yaml"}) == Command{CheckCommand{"a.yaml", true}});
    CHECK(parse({"status", "-c", "a.yaml"}) == Command{StatusCommand{"a.yaml", false}});
    CHECK(parse({"status", "-c", "a.yaml", "--json"}) == Command{StatusCommand{"a.yaml", true}});
    const Sought address{*IpAddress::parse("192.0.2.7"), std::nullopt};
    const Sought prefix{*IpAddress::parse("2001:db8::"), 56};
    CHECK(parse({"who", "-c", "a.yaml", "192.0.2.7"}) == Command{WhoCommand{"a.yaml", address, "", false}});
    CHECK(parse({"who", "2001:db8::/56", "-c", "a.yaml", "--at", "2h", "--json"}) ==
          Command{WhoCommand{"a.yaml", prefix, "2h", true}});
    WhoCommand line;
    line.config = "a.yaml";
    line.holder = HolderSought{HolderSought::By::circuit_id, {'a', '/', '1'}};
    CHECK(parse({"who", "-c", "a.yaml", "--circuit-id", "text:a/1"}) == Command{line});
    line.holder = HolderSought{HolderSought::By::hw_addr, {2, 0x42, 0xac, 0x11, 0, 2}};
    line.from = "2h";
    line.to = "1h";
    CHECK(parse({"who", "-c", "a.yaml", "--mac", "02:42:ac:11:00:02", "--from", "2h", "--to", "1h"}) == Command{line});
    const std::string one_of = "expected an ADDRESS, or one of --mac, --client-id, --remote-id and --circuit-id";
    CHECK(complaint({"who", "-c", "a"}) == one_of);
    CHECK(complaint({"who", "-c", "a", "192.0.2.7", "--client-id", "0102"}) == one_of);
    CHECK(complaint({"who", "-c", "a", "--remote-id", "0102", "--client-id", "0102"}) == one_of);
    CHECK(complaint({"who", "-c", "a", "192.0.2.7", "--to", "1h"}).find("--from") != std::string::npos);
    CHECK(complaint({"who", "-c", "a", "192.0.2.7", "--at", "1h", "--from", "2h"}).find("--at") != std::string::npos);
    CHECK(parse({"status", "-c", "a.yaml", "--check", "--max-age", "90s"}) ==
          Command{StatusCommand{"a.yaml", false, true, std::chrono::seconds{90}}});
    CHECK(complaint({"status", "-c", "a.yaml", "--max-age", "90s"}).find("--check") != std::string::npos);
    CHECK(parse({"watch", "-c", "a.yaml", "--skip-lost"}) == Command{WatchCommand{"a.yaml", {}, {}, {}, false, true}});
    CHECK(parse({"watch", "-c", "a.yaml"}) == Command{WatchCommand{"a.yaml", {}, {}, {}, false}});
    CHECK(parse({"watch", "-c", "a.yaml", "--server", "east", "--since", "0", "--limit", "7", "--json"}) ==
          Command{WatchCommand{"a.yaml", "east", 0, 7, true}});
    QueryCommand query;
    query.config = "a.yaml";
    query.servers = {"east"};
    CHECK(parse({"query", "-c", "a.yaml", "east"}) == Command{query});
    CHECK(parse({"pause", "-c", "a.yaml", "east"}) == Command{OrderCommand{"a.yaml", OrderKind::pause, "east"}});
    CHECK(parse({"resume", "east", "-c", "a.yaml"}) == Command{OrderCommand{"a.yaml", OrderKind::resume, "east"}});
    CHECK(parse({"resync", "-c", "a.yaml", "east"}) == Command{OrderCommand{"a.yaml", OrderKind::resync, "east"}});
    CHECK(complaint({"resync", "-c", "a.yaml"}).find("SERVER") != std::string::npos);
    CHECK(parse({"forget", "-c", "a.yaml", "--client-id", "00:03:00:01", "--yes"}) ==
          Command{ForgetCommand{"a.yaml", {{0, 3, 0, 1}, {}}, true}});
    CHECK(parse({"forget", "-c", "a.yaml", "--client-id", "text:ab"}) ==
          Command{ForgetCommand{"a.yaml", {{'a', 'b'}, {}}, false}});
    CHECK(parse({"forget", "-c", "a.yaml", "--mac", "0242AC110002"}) ==
          Command{ForgetCommand{"a.yaml", {{}, {2, 0x42, 0xac, 0x11, 0, 2}}, false}});
    CHECK(parse({"forget", "-c", "a.yaml", "--server", "west", "--yes"}) ==
          Command{ForgetCommand{"a.yaml", {}, true, "west"}});
    CHECK(complaint({"forget", "-c", "a", "--server", "w", "--mac", "0242AC110002"}) ==
          "expected one of --client-id, --mac and --server");
    CHECK(parse({"decode", "x.bin"}) == Command{DecodeCommand{"x.bin", std::nullopt}});
    CHECK(parse({"decode", "-"}) == Command{DecodeCommand{"-", std::nullopt}});
    CHECK(parse({"decode", "--family", "v4", "x.bin"}) == Command{DecodeCommand{"x.bin", Family::v4}});
    CHECK(parse({"decode", "x.bin", "--family", "v6"}) == Command{DecodeCommand{"x.bin", Family::v6}});
    CHECK(parse({"schema", "-c", "a.yaml", "print"}) == Command{SchemaCommand{"a.yaml", SchemaAction::print}});
    CHECK(parse({"schema", "-c", "a.yaml", "migrate"}) == Command{SchemaCommand{"a.yaml", SchemaAction::migrate}});
    CHECK(parse({"schema", "version", "-c", "a.yaml"}) == Command{SchemaCommand{"a.yaml", SchemaAction::version}});
}

TEST_CASE("verify takes one server, or all of them") {
    VerifyCommand verify;
    verify.config = "a.yaml";
    CHECK(parse({"verify", "-c", "a.yaml"}) == Command{verify});
    verify.server = "east";
    verify.json = true;
    CHECK(parse({"verify", "-c", "a.yaml", "east", "--json"}) == Command{verify});
}

TEST_CASE("query takes several servers, every filter, and the way to ask") {
    QueryCommand all;
    all.config = "a.yaml";
    all.servers = {"east", "west"};
    all.via = QueryVia::udp;
    all.tries = 3;
    all.limit = 7;
    all.json = true;
    all.filter.address = IpAddress::parse("192.0.2.7");
    all.filter.prefix = Sought{*IpAddress::parse("2001:db8::"), 56};
    all.filter.client_id = {0, 3, 0, 1};
    all.filter.mac = {2, 0x42, 0xac, 0x11, 0, 2};
    all.filter.relay_id = {'r'};
    all.filter.remote_id = {'p', '1'};
    all.filter.remote_id_as_text = true;
    all.filter.link = IpAddress::parse("2001:db8:1::1");
    all.filter.since = "2h";
    all.filter.until = "now";
    CHECK(parse({"query",       "-c",          "a.yaml",    "east",         "west",
                 "--udp",       "--tries",     "3",         "--limit",      "7",
                 "--json",      "--address",   "192.0.2.7", "--prefix",     "2001:db8::/56",
                 "--client-id", "00030001",    "--mac",     "0242ac110002", "--relay-id",
                 "text:r",      "--remote-id", "text:p1",   "--link",       "2001:db8:1::1",
                 "--since",     "2h",          "--until",   "now"}) == Command{all});
    CHECK(std::get<QueryCommand>(parse({"query", "-c", "a", "e", "--bulk"})).via == QueryVia::bulk);
    CHECK(std::get<QueryCommand>(parse({"query", "-c", "a", "e", "--udp", "--multicast"})).multicast);
    CHECK_FALSE(
        std::get<QueryCommand>(parse({"query", "-c", "a", "e", "--remote-id", "7031"})).filter.remote_id_as_text);
}

TEST_CASE("--help and --version work everywhere and exit with 0") {
    for (const char* const command :
         {"run", "check", "status", "who", "watch", "query", "verify", "forget", "decode", "schema"}) {
        CAPTURE(command);
        const auto help = exit_of({command, "--help"});
        CHECK(help.code == 0);
        CHECK(help.text.find("Usage: leasemirror " + std::string(command)) != std::string::npos);
        const auto version = exit_of({command, "--version"});
        CHECK(version.code == 0);
        CHECK(version.text.starts_with("leasemirror "));
        CHECK(exit_of({"--help"}).text.find(command) != std::string::npos);
    }
    CHECK(exit_of({"--help"}).code == 0);
    CHECK(exit_of({"--version"}) == exit_of({"run", "--version"}));
}

TEST_CASE("a usage error exits with 2 and names the nearest command or option") {
    const std::string commands =
        "expected run, check, status, who, watch, query, verify, resync, pause, resume, forget, decode or schema";
    CHECK(complaint({}) == "no command; " + commands);
    CHECK(complaint({"statsu"}) == "unknown command 'statsu'; did you mean 'status'?");
    CHECK(complaint({"xyzzy"}) == "unknown command 'xyzzy'; " + commands);
    CHECK(complaint({"status", "-c", "a", "--jsn"}) == "unknown option '--jsn'; did you mean '--json'?");
    CHECK(complaint({"check", "-c", "a", "--conect=1"}) == "unknown option '--conect'; did you mean '--connect'?");
    CHECK(complaint({"-c", "a", "status"}) == "option '-c' goes after the command");
    CHECK(complaint({"--verson"}) == "unknown option '--verson'; did you mean '--version'?");
    CHECK(complaint({"status", "-c", "a", "-q"}) ==
          "unknown option '-q'; expected --help, --version, --config, --json, --check or --max-age");
}

TEST_CASE("missing and superfluous arguments are usage errors") {
    REQUIRE_FALSE(std::filesystem::exists("/etc/leasemirror/leasemirror.yaml"));  // else that would be used
    CHECK(complaint({"run"}) == "--config is required");
    CHECK(complaint({"decode"}) == "FILE is required");
    CHECK(complaint({"schema", "-c", "a"}) == "ACTION is required");
    CHECK(complaint({"schema", "-c", "a", "prnt"}) == "ACTION: prnt not in {print,migrate,version}");
    CHECK(complaint({"decode", "--family", "v5", "x"}) == "--family: v5 not in {v4,v6}");
    CHECK(complaint({"watch"}) == "--config is required");
    CHECK(complaint({"query", "-c", "a"}) == "SERVER is required");
    CHECK(complaint({"query", "-c", "a", "east", "--udp", "--bulk"}) == "--bulk excludes --udp");
    CHECK(complaint({"query", "-c", "a", "east", "--multicast"}) == "--multicast requires --udp");
    CHECK(complaint({"forget", "-c", "a"}) == "expected one of --client-id, --mac and --server");
    CHECK(complaint({"forget", "-c", "a", "--client-id", "0102", "--mac", "02:42:ac:11:00:02"}) ==
          "expected one of --client-id, --mac and --server");
    CHECK(complaint({"run", "-c", "a", "b"}) == "The following argument was not expected: b");
}

TEST_CASE("a value that cannot be read is a usage error that says what was expected") {
    const std::string address =
        "ADDRESS: expected an address such as 192.0.2.7, or a prefix such as 2001:db8::/56, not ";
    CHECK(complaint({"who", "-c", "a", "192.0.2.300"}) == address + "'192.0.2.300'");
    CHECK(complaint({"who", "-c", "a", "/56"}) == address + "'/56'");
    CHECK(complaint({"who", "-c", "a", "192.0.2.0/33"}) ==
          "ADDRESS: after the /, expected a whole number from 0 to 32, not '192.0.2.0/33'");
    CHECK(complaint({"who", "-c", "a", "2001:db8::5/56"}) ==
          "ADDRESS: expected no bits set behind the prefix; did you mean 2001:db8::/56?");
    CHECK(
        complaint({"who", "-c", "a", "192.0.2.7", "--at", "yesterday"}) ==
        "--at: expected a time such as 2026-11-20T12:00:00Z, 2026-11-20T13:00+01:00, 2026-11-20 (its midnight in UTC), "
        "2h (before now) or now, not 'yesterday'");
    CHECK(complaint({"watch", "-c", "a", "--since", "x"}) ==
          "--since: expected a whole number from 0 to 9223372036854775807, not 'x'");
    CHECK(complaint({"watch", "-c", "a", "--limit", "0"}) ==
          "--limit: expected a whole number from 1 to 9223372036854775807, not '0'");
    CHECK(complaint({"query", "-c", "a", "e", "--address", "::"}) ==
          "--address: expected an address such as 192.0.2.7 or 2001:db8::7, not '::'");
    CHECK(complaint({"query", "-c", "a", "e", "--prefix", "2001:db8::"}) ==
          "--prefix: expected a prefix with its length, such as 2001:db8:100::/56, not '2001:db8::'");
    CHECK(complaint({"query", "-c", "a", "e", "--prefix", "2001:db8::5/56"}) ==
          "--prefix: expected no bits set behind the prefix; did you mean 2001:db8::/56?");
    CHECK(complaint({"query", "-c", "a", "e", "--relay-id", "0g"}) ==
          "--relay-id: expected hex with or without colons (00:03:00:01), or text:..., not '0g'");
    CHECK(complaint({"query", "-c", "a", "e", "--tries", "0"}) ==
          "--tries: expected a whole number from 1 to 10, not '0'");
    CHECK(complaint({"query", "-c", "a", "e", "--adress", "192.0.2.7"}) ==
          "unknown option '--adress'; did you mean '--address'?");
    CHECK(complaint({"forget", "-c", "a", "--client-id", "01"}) == "--client-id: expected 2 to 1024 octets, not '01'");
    CHECK(complaint({"forget", "-c", "a", "--mac", "text:x"}) ==
          "--mac: expected a hardware address such as 02:42:ac:11:00:02, not 'text:x'");
    CHECK(complaint({"forget", "-c", "a", "--mac", "02:42:ac:11:00"}) ==
          "--mac: expected a hardware address such as 02:42:ac:11:00:02, which has 6 octets and not 5, not "
          "'02:42:ac:11:00'");
}
