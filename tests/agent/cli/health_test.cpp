#include "agent/cli/health.hpp"
#include "agent/cli/status.hpp"

#include <doctest/doctest.h>

#include <sstream>

using namespace leasemirror;
using namespace std::chrono_literals;
using Words = std::vector<std::string>;

namespace {

constexpr UtcSeconds now{1'795'180'800s};  // 2026-11-20T13:20:00Z

ServerOverview server(const std::string& phase) {
    ServerOverview out;
    out.name = "east";
    out.phase = phase;
    out.owner = "agent-1";
    out.agent_alive = true;
    out.agent_heartbeat_at = now - 3s;
    out.fresh_as_of = now - 3s;
    out.coverage = "full";
    return out;
}

ServerConfig polled_each(std::chrono::seconds interval) {
    ServerConfig out;
    out.name = "east";
    out.bulk.poll_interval = interval;
    return out;
}

ServerOverview without_agent() {
    auto out = server("live");
    out.agent_alive = false;
    out.agent_heartbeat_at = now - 3min;
    return out;
}

}  // namespace

TEST_CASE("nothing is wrong with a server whose mirror is fresh, or that is not configured") {
    const auto configured = polled_each(5min);
    for (const char* phase : {"live", "gap", "catch_up", "connecting", "down"})
        CHECK(problem_of(server(phase), &configured, 5min, now).empty());
    CHECK(problem_of(server("live"), nullptr, 5min, now).empty());
    CHECK(problem_of(server("disabled"), nullptr, 5min, now).empty());
}

TEST_CASE("differences that were found are a remark, until a full read has mended them") {
    auto one = server("live");
    one.last_verify_at = now - 2min;
    one.verify_differences = 0;
    CHECK(remarks_on(std::vector{one}, now).empty());
    one.verify_differences = 1;
    one.last_full_sync_at = now - 3min;
    CHECK(remarks_on(std::vector{one}, now) ==
          Words{"east: 1 difference was found 2 min ago, 2026-11-20T13:18:00Z; 'leasemirror verify' names them"});
    one.last_full_sync_at = now - 1min;
    CHECK(remarks_on(std::vector{one}, now).empty());
    one.coverage = "partial";
    CHECK(remarks_on(std::vector{one}, now).size() == 1);
}

TEST_CASE("a server that is paused is well, and worth a remark, as long as its agent runs") {
    const auto configured = polled_each(5min);
    auto paused = server("disabled");
    paused.paused_at = now - 2min;
    paused.paused_by = "root@web1";
    paused.fresh_as_of = now - 24h;
    CHECK(problem_of(paused, &configured, 5min, now).empty());
    CHECK(remarks_on(std::vector{server("live"), paused}, now) ==
          Words{"east: paused by root@web1 2 min ago, 2026-11-20T13:18:00Z"});
    paused.agent_alive = false;
    CHECK(problem_of(paused, &configured, 5min, now).starts_with("no agent is at work on it: 'agent-1' gave "));
}

TEST_CASE("a server whose agent is gone is not well, whatever its phase was, and nor is one that no agent has") {
    CHECK(problem_of(without_agent(), nullptr, 5min, now) ==
          "no agent is at work on it: 'agent-1' gave its last sign of life 3 min ago, 2026-11-20T13:17:00Z");
    auto stopped = without_agent();
    stopped.agent_stopped_at = now - 1min;
    CHECK(problem_of(stopped, nullptr, 5min, now) ==
          "no agent is at work on it: 'agent-1' was stopped 1 min ago, 2026-11-20T13:19:00Z");
    auto nobody = server("connecting");
    nobody.owner.clear();
    nobody.agent_alive = false;
    CHECK(problem_of(nobody, nullptr, 5min, now) == "no agent is at work on it");
    const auto configured = polled_each(5min);
    CHECK(problem_of(server("disabled"), &configured, 5min, now) == "no agent is at work on it");
}

TEST_CASE("a mirror that is older than it may be is not well, and it is said what the server is at") {
    auto late = server("live");
    late.fresh_as_of = now - 300s;
    CHECK(problem_of(late, nullptr, 5min, now).empty());
    late.fresh_as_of = now - 301s;
    CHECK(problem_of(late, nullptr, 5min, now) == "right up to 5 min ago, 2026-11-20T13:14:59Z");
    late.phase = "down";
    late.last_error = "connection refused";
    CHECK(problem_of(late, nullptr, 5min, now) ==
          "right up to 5 min ago, 2026-11-20T13:14:59Z (down: connection refused)");
    late.phase = "gap";
    late.open_gaps = {{1, ServerTime{now.time_since_epoch() - 90s}, ServerTime{now.time_since_epoch() - 61s}, "lost"}};
    CHECK(problem_of(late, nullptr, 5min, now) ==
          "right up to 5 min ago, 2026-11-20T13:14:59Z (recovering 2026-11-20T13:18:30Z to 2026-11-20T13:18:59Z "
          "(server's clock): lost)");
    auto unread = server("bulk");
    unread.fresh_as_of.reset();
    CHECK(problem_of(unread, nullptr, 5min, now) == "never read in full (bulk)");
}

TEST_CASE("a server that is polled may be as old as its polls are apart besides") {
    const auto configured = polled_each(10min);
    auto polled = server("polling");
    polled.fresh_as_of = now - 900s;
    CHECK(problem_of(polled, &configured, 5min, now).empty());
    polled.fresh_as_of = now - 901s;
    CHECK(problem_of(polled, &configured, 5min, now) == "right up to 15 min ago, 2026-11-20T13:04:59Z (polling)");
    polled.phase = "bulk";
    polled.support.active = false;
    polled.fresh_as_of = now - 900s;
    CHECK(problem_of(polled, &configured, 5min, now).empty());
}

TEST_CASE("a part of the server is not well where all of it is configured") {
    auto configured = polled_each(5min);
    auto part = server("live");
    part.coverage = "partial";
    CHECK(problem_of(part, &configured, 5min, now).empty());
    configured.bulk.covers = BulkCovers::all;
    CHECK(problem_of(part, &configured, 5min, now) == "a part of the server alone is mirrored, and bulk.covers is all");
    part.coverage = "full";
    CHECK(problem_of(part, &configured, 5min, now).empty());
}

TEST_CASE("of all servers each problem has its server's name, and one that the database does not know is missed") {
    Config config;
    config.servers = {polled_each(5min), polled_each(5min)};
    config.servers[1].name = "west";
    CHECK(
        problems_of(std::vector{without_agent()}, config, 5min, now) ==
        Words{"west: no agent has been at work on it",
              "east: no agent is at work on it: 'agent-1' gave its last sign of life 3 min ago, 2026-11-20T13:17:00Z"});
}

TEST_CASE("the status table does not call a server live that no agent works") {
    std::ostringstream out;
    print_status_table(std::vector{without_agent()}, {}, now, out);
    CHECK(out.str().find("live") == std::string::npos);
    CHECK(out.str().find("no agent") != std::string::npos);
    CHECK(out.str().find("\n  no agent is at work on it: 'agent-1' gave its last sign of life 3 min ago") !=
          std::string::npos);
}
