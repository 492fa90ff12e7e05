#include "agent/cli.hpp"

#include <doctest/doctest.h>

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
    CHECK(parse({"decode", "x.bin"}) == Command{DecodeCommand{"x.bin", std::nullopt}});
    CHECK(parse({"decode", "-"}) == Command{DecodeCommand{"-", std::nullopt}});
    CHECK(parse({"decode", "--family", "v4", "x.bin"}) == Command{DecodeCommand{"x.bin", Family::v4}});
    CHECK(parse({"decode", "x.bin", "--family", "v6"}) == Command{DecodeCommand{"x.bin", Family::v6}});
    CHECK(parse({"schema", "-c", "a.yaml", "print"}) == Command{SchemaCommand{"a.yaml", SchemaAction::print}});
    CHECK(parse({"schema", "-c", "a.yaml", "migrate"}) == Command{SchemaCommand{"a.yaml", SchemaAction::migrate}});
    CHECK(parse({"schema", "version", "-c", "a.yaml"}) == Command{SchemaCommand{"a.yaml", SchemaAction::version}});
}

TEST_CASE("--help and --version work everywhere and exit with 0") {
    for (const char* const command : {"run", "check", "status", "decode", "schema"}) {
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
    CHECK(complaint({}) == "no command; expected run, check, status, decode or schema");
    CHECK(complaint({"statsu"}) == "unknown command 'statsu'; did you mean 'status'?");
    CHECK(complaint({"xyzzy"}) == "unknown command 'xyzzy'; expected run, check, status, decode or schema");
    CHECK(complaint({"status", "-c", "a", "--jsn"}) == "unknown option '--jsn'; did you mean '--json'?");
    CHECK(complaint({"check", "-c", "a", "--conect=1"}) == "unknown option '--conect'; did you mean '--connect'?");
    CHECK(complaint({"-c", "a", "status"}) == "option '-c' goes after the command");
    CHECK(complaint({"--verson"}) == "unknown option '--verson'; did you mean '--version'?");
    CHECK(complaint({"status", "-c", "a", "-q"}) ==
          "unknown option '-q'; expected --help, --version, --config or --json");
}

TEST_CASE("missing and superfluous arguments are usage errors") {
    CHECK(complaint({"run"}) == "--config is required");
    CHECK(complaint({"decode"}) == "FILE is required");
    CHECK(complaint({"schema", "-c", "a"}) == "ACTION is required");
    CHECK(complaint({"schema", "-c", "a", "prnt"}) == "ACTION: prnt not in {print,migrate,version}");
    CHECK(complaint({"decode", "--family", "v5", "x"}) == "--family: v5 not in {v4,v6}");
    CHECK(complaint({"run", "-c", "a", "b"}) == "The following argument was not expected: b");
}
