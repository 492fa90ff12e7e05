#include "agent/config/time_text.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

constexpr UtcSeconds now{1'795'180'800s};  // 2026-11-20T13:20:00Z

std::string read(std::string_view text) {
    const auto parsed = parse_time(text, now);
    return parsed ? iso_utc(*parsed) : parsed.error();
}

}  // namespace

TEST_CASE("a time on the command line is ISO 8601 with its zone, a date, a while ago, or now") {
    CHECK(read("2026-11-20T12:00:05Z") == "2026-11-20T12:00:05Z");
    CHECK(read("2026-11-20T12:00Z") == "2026-11-20T12:00:00Z");
    CHECK(read("2026-11-20 12:00:05z") == "2026-11-20T12:00:05Z");
    CHECK(read("2026-11-20T01:30+02:00") == "2026-11-19T23:30:00Z");
    CHECK(read("2026-11-20T23:30:00-0530") == "2026-11-21T05:00:00Z");
    CHECK(read("2026-11-20T12:00+01") == "2026-11-20T11:00:00Z");
    CHECK(read("2026-11-20") == "2026-11-20T00:00:00Z");
    CHECK(read("2024-02-29") == "2024-02-29T00:00:00Z");
    CHECK(read("now") == "2026-11-20T13:20:00Z");
    CHECK(read("2h") == "2026-11-20T11:20:00Z");
    CHECK(read("90s ago") == "2026-11-20T13:18:30Z");
    CHECK(read("30d") == "2026-10-21T13:20:00Z");
    CHECK(read("2030-01-01") == "2030-01-01T00:00:00Z");  // the caller knows whether that makes sense
}

TEST_CASE("anything else is no time, and a time of day without its zone is not guessed at") {
    const std::string zone = "expected Z or an offset such as +01:00 after the time of day";
    CHECK(read("2026-11-20T12:00:05") == zone);
    CHECK(read("2026-11-20 12:00") == zone);
    const std::string expected =
        "expected a time such as 2026-11-20T12:00:00Z, 2026-11-20T13:00+01:00, 2026-11-20 (its midnight in UTC), 2h "
        "(before now) or now";
    for (const std::string_view text : {"",
                                        "yesterday",
                                        "2026",
                                        "2026-11",
                                        "2026-13-01",
                                        "2026-02-29",
                                        "2026-11-20T24:00Z",
                                        "2026-11-20T12:60Z",
                                        "2026-11-20T12:00:60Z",
                                        "2026-11-20T12:00:05Zx",
                                        "2026-11-20T12:00+1",
                                        "2026-11-20T12:00+24:00",
                                        "2 h",
                                        "0h",
                                        "-2h",
                                        "2h ago ago",
                                        "26-11-20",
                                        "2026-11-20x",
                                        "2026-1a-20",
                                        " now"}) {
        CAPTURE(text);
        CHECK(read(text) == expected);
    }
}
