#include "agent/daemon/log.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <sstream>
#include <vector>

using namespace leasemirror;

namespace {

using Listed = std::initializer_list<LogField>;

std::string text_of(std::string_view event, Listed fields) {
    return log_text(event, {fields.begin(), fields.size()});
}

}  // namespace

TEST_CASE("a text line is an event and key=value, quoted where a value is not a plain word") {
    CHECK(text_of("live", {}) == "live");
    CHECK(text_of("gap_open", {{"server", "east-v6"}, {"gap", 3}, {"late", true}, {"text", "two words"}}) ==
          "gap_open server=east-v6 gap=3 late=true text=\"two words\"");
    CHECK(text_of("e", {{"a", ""}, {"b", "x=y"}, {"c", "2001:db8::1"}}) == "e a=\"\" b=\"x=y\" c=2001:db8::1");
    CHECK(text_of("e", {{"n", std::int64_t{-5}}, {"u", std::uint16_t{65535}}}) == "e n=-5 u=65535");
}

TEST_CASE("text from a hostile server can neither end the line nor forge a key") {
    CHECK(text_of("e", {{"text", "a\nerror fake=1\" server=x\\"}}) == R"(e text="a?error fake=1\" server=x\\")");
    CHECK(text_of("e", {{"text", "\x1b[31mred\xff"}}) == "e text=\"?[31mred?\"");
    CHECK(text_of("e", {{"text", std::string(100000, 'x')}}).size() < 3000);
}

TEST_CASE("a JSON line is one object, ASCII only, with numbers as numbers") {
    const auto members =
        log_json_members("e", std::vector<LogField>{{"text", "a\n\"\xff\xc3\xbc"}, {"n", 7}, {"flag", false}});
    CHECK(members == R"("event":"e","text":"a?\"?\u00fc","n":7,"flag":false)");
}

TEST_CASE("a log writes whole lines at or above its level") {
    std::ostringstream out;
    Log log({LogLevel::warn, LogFormat::text}, out);
    log.debug("d");
    log.info("i");
    log.warn("w", {{"k", "v"}});
    log.error("e");
    const auto lines = out.str();
    const auto second = lines.find('\n') + 1;
    // Each begins with a time like 2026-11-20T13:15:38.123Z.
    REQUIRE_MESSAGE(lines.size() > 48, lines);
    CHECK(lines.substr(10, 1) == "T");
    CHECK(lines.substr(23, second - 23) == "Z warn w k=v\n");
    CHECK(lines.substr(second + 23) == "Z error e\n");
}

TEST_CASE("each line of a JSON log parses by itself, whatever is in it") {
    std::ostringstream out;
    Log log({LogLevel::debug, LogFormat::json}, out);
    log.info("phase", {{"server", "a\"b%v{}"}, {"text", "100%"}});
    const auto line = nlohmann::json::parse(out.str());
    CHECK(line.at("level") == "info");
    CHECK(line.at("event") == "phase");
    CHECK(line.at("server") == "a\"b%v{}");
    CHECK(line.at("text") == "100%");
    CHECK(line.at("time").get<std::string>().ends_with("Z"));
}

TEST_CASE("what is shown below the log on a terminal makes way for each line of it, and comes back") {
    std::ostringstream out;
    Log log({LogLevel::info, LogFormat::text}, out, 80);
    CHECK(log.columns() == 80);
    log.show({"one", "two"});
    CHECK(out.str() == "one\ntwo");
    log.show({"one", "two"});
    CHECK(out.str() == "one\ntwo");
    out.str("");
    log.debug("d");
    CHECK(out.str().empty());
    log.info("i");
    const auto text = out.str();
    CHECK(text.starts_with("\r\x1b[1A\x1b[J2"));
    CHECK(text.ends_with("Z info i\none\ntwo"));
    out.str("");
    log.show({});
    CHECK(out.str() == "\r\x1b[1A\x1b[J");
    out.str("");
    log.show({"one"});
    log.show({});
    CHECK(out.str() == "one\r\x1b[J");
}

TEST_CASE("nothing is shown below a log that is no terminal, or not for people") {
    std::ostringstream out;
    CHECK_FALSE(Log({LogLevel::info, LogFormat::text}, out).columns());
    CHECK_FALSE(Log({LogLevel::info, LogFormat::json}, out, 80).columns());
}
