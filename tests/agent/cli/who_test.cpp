#include "agent/cli/who.hpp"
#include "agent/cli/forget.hpp"
#include "agent/cli/watch.hpp"

#include <doctest/doctest.h>

#include <sstream>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

constexpr UtcSeconds now{1'795'180'800s};  // 2026-11-20T13:20:00Z

Record lease(const std::string& address) {
    return {{"server", std::string("east")},  {"also_on", std::monostate{}},    {"fresh_as_of", now - 3s},
            {"vpn_id", std::string()},        {"kind", std::string("address")}, {"address", address},
            {"prefix_len", std::int64_t{32}}, {"client_id", Bytes{1, 2, 3}},    {"hw_addr", std::monostate{}},
            {"hostname", std::monostate{}},   {"began_at", now - 1h},           {"inferred", false},
            {"expires_at", now + 1h}};
}

Record holder(const std::string& address) {
    return {{"server", std::string("east")},
            {"vpn_id", std::string("ascii:blue")},
            {"kind", std::string("prefix")},
            {"address", address},
            {"prefix_len", std::int64_t{56}},
            {"client_id", Bytes{'a', 'b'}},
            {"hw_addr", std::string("02:00:00:00:00:01")},
            {"remote_id", std::monostate{}},
            {"began_at", now - 48h},
            {"ended_at", now - 24h},
            {"end_reason", std::string("expired")},
            {"began_inferred", true},
            {"ended_inferred", true}};
}

void set(Record& row, std::string_view column, Value value) {
    for (auto& [name, stored] : row)
        if (name == column) stored = std::move(value);
}

ServerOverview server(const std::string& name, Family family) {
    ServerOverview out;
    out.name = name;
    out.family = family;
    out.phase = "live";
    out.fresh_as_of = now - 5s;
    out.coverage = "full";
    return out;
}

std::string printed(const WhoAnswer& answer) {
    std::ostringstream out;
    print_who(answer, out);
    return out.str();
}

WhoAnswer asked_for(const std::string& address) {
    WhoAnswer out;
    out.sought.address = *IpAddress::parse(address);
    out.now = now;
    return out;
}

}  // namespace

TEST_CASE("who holds it now, where that is in doubt: why, in words, below the table") {
    auto answer = asked_for("10.0.0.1");
    answer.rows = {lease("10.0.0.1"), lease("10.0.0.2"), lease("10.0.0.3")};
    answer.rows[1].emplace_back("doubt", std::string("unreadable"));
    answer.rows[2].emplace_back("doubt", std::string("a word of a newer version"));
    const auto text = printed(answer);
    CHECK(
        text.find("\n  10.0.0.2 on east is in doubt: something was told of it that could not be read (unreadable)\n") !=
        std::string::npos);
    CHECK(text.find("\n  10.0.0.3 on east is in doubt (a word of a newer version)\n") != std::string::npos);
    CHECK(text.find("10.0.0.1 on") == std::string::npos);
    for (const auto doubt : {Doubt::unlisted, Doubt::link_unknown, Doubt::other_client, Doubt::unreadable,
                             Doubt::scope_unreadable, Doubt::unlistable, Doubt::refused}) {
        answer.rows = {lease("10.0.0.1")};
        answer.rows[0].emplace_back("doubt", std::string(to_string(doubt)));
        CHECK(printed(answer).find("is in doubt: ") != std::string::npos);
    }
}

TEST_CASE("who holds it now: a line each, with the columns that have something in them") {
    auto answer = asked_for("192.0.2.7");
    answer.rows = {lease("192.0.2.7")};
    CHECK(printed(answer) ==
          "ADDRESS    SERVER  CLIENT    MAC  SINCE                 UNTIL                 AS OF\n"
          "192.0.2.7  east    01:02:03  -    2026-11-20T12:20:00Z  2026-11-20T14:20:00Z  2026-11-20T13:19:57Z\n");
    set(answer.rows[0], "also_on", std::string("west"));
    set(answer.rows[0], "vpn_id", std::string("ascii:blue"));
    set(answer.rows[0], "hostname", std::string("pc"));
    set(answer.rows[0], "inferred", true);
    set(answer.rows[0], "expires_at", std::monostate{});
    CHECK(printed(answer) ==
          "ADDRESS    VPN         SERVER  ALSO ON  CLIENT    MAC  HOSTNAME  SINCE                    UNTIL     AS OF\n"
          "192.0.2.7  ascii:blue  east    west     01:02:03  -    pc        by 2026-11-20T12:20:00Z  for ever  "
          "2026-11-20T13:19:57Z\n");
}

TEST_CASE("who held it then: when it began and ended, and why; a bound is marked") {
    auto answer = asked_for("2001:db8::5");
    answer.at = now - 30h;
    answer.rows = {holder("2001:db8::")};
    CHECK(
        printed(answer) ==
        "ADDRESS        VPN         SERVER  CLIENT  MAC                SINCE                    UNTIL                  "
        "  ENDED\n"
        "2001:db8::/56  ascii:blue  east    ab      02:00:00:00:00:01  by 2026-11-18T13:20:00Z  by "
        "2026-11-19T13:20:00Z  expired\n");
    set(answer.rows[0], "ended_at", std::monostate{});
    set(answer.rows[0], "end_reason", std::monostate{});
    CHECK(printed(answer).ends_with("by 2026-11-18T13:20:00Z  now    -\n"));
}

TEST_CASE("that nobody holds it is said, with what the mirror cannot know") {
    auto answer = asked_for("192.0.2.7");
    CHECK(printed(answer) == "nobody holds 192.0.2.7 now as far as is known here\n  no v4 server is mirrored\n");
    answer.servers = {server("fine", Family::v4), server("other", Family::v6)};
    CHECK(printed(answer) == "nobody holds 192.0.2.7 now as far as is known here\n");
    auto stale = server("stale", Family::v4);
    stale.phase = "down";
    stale.fresh_as_of = now - 10min;
    auto fresh = server("new", Family::v4);
    fresh.fresh_as_of.reset();
    auto refused = server("refused", Family::v4), doubtful = server("doubtful", Family::v4);
    refused.coverage = "partial";
    refused.refused = 2;
    doubtful.doubts = 3;
    auto partial = server("partial", Family::v4);
    partial.coverage = "partial";
    answer.servers = {server("fine", Family::v4), stale, fresh, partial, refused, doubtful};
    CHECK(printed(answer) ==
          "nobody holds 192.0.2.7 now as far as is known here\n"
          "  stale: its mirror is right up to 2026-11-20T13:10:00Z only (phase down)\n"
          "  new: nothing of it is mirrored yet\n"
          "  partial: its coverage is partial: it may hold what the configured queries do not return\n"
          "  refused: the database refused bindings of it (2; see quarantine)\n"
          "  doubtful: bindings of it are in doubt (3)\n");
}

TEST_CASE("that nobody held it then is said with how long assignments are kept") {
    auto answer = asked_for("2001:db8::");
    answer.sought.prefix_len = 56;
    answer.at = now - 48h;
    answer.retention = 24h;
    answer.servers = {server("fine", Family::v6)};
    CHECK(printed(answer) ==
          "nobody held 2001:db8::/56 at 2026-11-18T13:20:00Z as far as is known here\n"
          "  what ended more than 1d ago is removed (storage.retention.assignments)\n");
    answer.retention = 0s;  // for ever
    CHECK(printed(answer) == "nobody held 2001:db8::/56 at 2026-11-18T13:20:00Z as far as is known here\n");
    // What a mirror missed after that time does not matter.
    answer.servers[0].fresh_as_of = now - 47h;
    CHECK(printed(answer) == "nobody held 2001:db8::/56 at 2026-11-18T13:20:00Z as far as is known here\n");
    answer.servers[0].known_since = now - 48h;
    CHECK(printed(answer) == "nobody held 2001:db8::/56 at 2026-11-18T13:20:00Z as far as is known here\n");
    answer.servers[0].known_since = now - 47h;
    CHECK(printed(answer) ==
          "nobody held 2001:db8::/56 at 2026-11-18T13:20:00Z as far as is known here\n"
          "  fine: its history begins 2026-11-18T14:20:00Z; who held what before is not known\n");
}

TEST_CASE("forget says in words what is gone and what is left") {
    CHECK(forgotten_text({1, 1, 1, 1, 1}) ==
          "removed 1 ended assignment, 1 ended binding, 1 row of the change feed and 1 message in quarantine\n"
          "left 1 binding that is in force, and its open assignment: that is what the servers say now\n");
    CHECK(forgotten_text({0, 12, 3, 0, 0}) ==
          "removed 3 ended assignments, no ended bindings, 12 rows of the change feed and no messages in quarantine\n");
}

TEST_CASE("a line of watch has its columns in one place unless something is longer") {
    CHECK(
        watch_line({"7", "2026-11-20T13:20:00Z", "assigned", "192.0.2.7", "east", "active", "", "01:02"}) ==
        "7         2026-11-20T13:20:00Z  assigned  192.0.2.7           east          active     -                     "
        "01:02\n");
    CHECK(
        watch_line({"7", "2026-11-20T13:20:00Z", "ended", "2001:db8:1234:5678::/64", "e", "ended", "", ""}) ==
        "7         2026-11-20T13:20:00Z  ended     2001:db8:1234:5678::/64  e             ended      -                 "
        "    -\n");
}
