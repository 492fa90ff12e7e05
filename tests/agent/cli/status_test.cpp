#include "agent/cli/status.hpp"

#include "agent/cli/exit_code.hpp"

#include <doctest/doctest.h>

#include <sstream>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

constexpr UtcSeconds now{1'795'180'800s};  // 2026-11-20T13:20:00Z

ServerTime server_time(std::chrono::seconds before_now) {
    return ServerTime{now.time_since_epoch() - before_now};
}

ServerOverview live_server() {
    ServerOverview out;
    out.server_id = 1;
    out.name = "east-v6";
    out.family = Family::v6;
    out.endpoint = "2001:db8::1 port 547";
    out.server_identity = {0x00, 0x02, 0xab};
    out.phase = "live";
    out.base_time = server_time(3s);
    out.fresh_as_of = now - 4s;
    out.coverage = "full";
    out.clock_skew_ms = 12;
    out.bindings = 100000;
    out.states = {{"active", 100000}, {"expired", 12}, {"released", 3}};
    out.connected_since = now - 1h;
    out.owner = "agent-1";
    out.agent_alive = true;
    out.agent_heartbeat_at = now - 2s;
    out.owner_epoch = 2;
    out.certificate_expires_at = now + 23 * 24h + 5h;
    out.certificate_days = 23;
    out.support = {true, true, now - 2h, true};
    out.known_since = now - 25h;
    return out;
}

ServerOverview troubled_server() {
    ServerOverview out;
    out.server_id = 2;
    out.name = "w";
    out.phase = "gap";
    out.agent_alive = true;
    out.fresh_as_of = now - 26h;
    out.coverage = "partial";
    out.clock_skew_ms = -90500;
    out.gaps_open = 1;
    out.open_gaps = {{7, server_time(100s), server_time(50s), "DataMissing in mid-stream"}};
    out.last_error = "NotAllowed: \"go\naway\"";
    out.last_error_at = now - 5min;
    out.certificate_expires_at = now - 1h;
    out.certificate_days = -1;
    out.support = {false, false, now - 2h, std::nullopt};
    out.doubts = 2;
    out.unreadable = 1;
    out.refused = 3;
    out.paused_at = now - 3min;
    out.paused_by = "root@web1";
    out.resync_asked_at = now - 1min;
    out.resync_asked_by = "al?@web2";
    out.last_verify_at = now - 20min;
    out.verify_differences = 2;
    out.next_attempt_at = now + 40s;
    return out;
}

}  // namespace

TEST_CASE("the status table tells phase, lag, skew, gaps with their cause, and the last error") {
    std::ostringstream out;
    print_status_table(std::vector{live_server(), troubled_server()}, {}, now, out);
    CHECK(out.str() ==
          "SERVER   FAMILY  PHASE  BINDINGS      LAG     SKEW  GAPS  COVERAGE  BASE TIME             FRESH AS OF\n"
          "east-v6  v6      live     100000      4 s   +12 ms     0  full      2026-11-20T13:19:57Z  "
          "2026-11-20T13:19:56Z\n"
          "  not in force: 12 expired, 3 released\n"
          "  certificate: 23 days left, until 2026-12-13T18:20:00Z\n"
          "w        v4      gap           0  1 d 2 h  -90.5 s     1  partial   -                     "
          "2026-11-19T11:20:00Z\n"
          "  paused by root@web1 3 min ago, 2026-11-20T13:17:00Z\n"
          "  full read asked for by al?@web2 1 min ago, 2026-11-20T13:19:00Z\n"
          "  next attempt in 40 s, 2026-11-20T13:20:40Z\n"
          "  in doubt: 2 bindings\n"
          "  could not be read: 1 message of the last full read and since (see quarantine)\n"
          "  refused by the database: 3 bindings of the last full read and since (see quarantine)\n"
          "  2 differences were found 20 min ago, 2026-11-20T13:00:00Z; 'leasemirror verify' names them\n"
          "  recovering 2026-11-20T13:18:20Z to 2026-11-20T13:19:10Z (server's clock): DataMissing in mid-stream\n"
          "  does not know: active leasequery, start times in bulk (found out 2 h 0 min ago)\n"
          "  certificate expired 2026-11-20T12:20:00Z\n"
          "  last error 5 min ago, 2026-11-20T13:15:00Z: NotAllowed: \"go?away\"\n");
}

TEST_CASE("a server that never answered shows dashes") {
    ServerOverview server;
    server.name = "n\xc3\xbcrnberg";
    server.phase = "connecting";
    server.agent_alive = true;
    server.coverage = "partial";
    std::ostringstream out;
    print_status_table(std::vector{server}, {}, now, out);
    CHECK(out.str() ==
          "SERVER    FAMILY  PHASE       BINDINGS  LAG  SKEW  GAPS  COVERAGE  BASE TIME  FRESH AS OF\n"
          "n\xc3\xbcrnberg  v4      connecting         0    -     -     0  partial   -          -\n"
          "  never read in full\n");
    ServerConfig configured;
    configured.name = server.name;
    configured.family = Family::v6;
    out.str("");
    print_status_table(std::vector{server}, std::vector{configured}, now, out);
    CHECK(out.str().find("\n  never read in full: no bulk.queries\n") != std::string::npos);
}

TEST_CASE("status --json gives one object per line, keyed by the columns of table server") {
    std::ostringstream out;
    print_status_json(std::vector{live_server(), troubled_server()}, out);
    CHECK(
        out.str() ==
        R"({"server":"east-v6","server_id":1,"name":"east-v6","family":"v6","endpoint":"2001:db8::1 port 547",)"
        R"("server_identity":"0002ab","phase":"live","base_time":"2026-11-20T13:19:57Z",)"
        R"("fresh_as_of":"2026-11-20T13:19:56Z","coverage":"full","clock_skew_ms":12,"bindings":100000,)"
        R"("states":{"active":100000,"expired":12,"released":3},)"
        R"("connected_since":"2026-11-20T12:20:00Z","last_message_at":null,"last_full_sync_at":null,)"
        R"("gaps_open":0,"last_error":null,"last_error_at":null,"owner":"agent-1","owner_epoch":2,)"
        R"("agent_alive":true,"agent_heartbeat_at":"2026-11-20T13:19:58Z",)"
        R"("certificate_expires_at":"2026-12-13T18:20:00Z","certificate_days":23,"active_support":"yes",)"
        R"("window_support":"yes","support_seen_at":"2026-11-20T11:20:00Z",)"
        R"("doubts":0,"unreadable":0,"refused":0,"known_since":"2026-11-19T12:20:00Z","client_data":"snapshot",)"
        R"("paused_at":null,"paused_by":null,"resync_asked_at":null,"resync_asked_by":null,)"
        R"("last_verify_at":null,"verify_differences":null,"next_attempt_at":null,"gaps":[]})"
        "\n"
        R"({"server":"w","server_id":2,"name":"w","family":"v4","endpoint":"","server_identity":null,"phase":"gap",)"
        R"("base_time":null,"fresh_as_of":"2026-11-19T11:20:00Z","coverage":"partial","clock_skew_ms":-90500,)"
        R"("bindings":0,"states":{},"connected_since":null,"last_message_at":null,"last_full_sync_at":null,"gaps_open":1,)"
        R"("last_error":"NotAllowed: \"go\naway\"","last_error_at":"2026-11-20T13:15:00Z","owner":null,)"
        R"("owner_epoch":0,"agent_alive":true,"agent_heartbeat_at":null,"certificate_expires_at":"2026-11-20T12:20:00Z","certificate_days":-1,)"
        R"("active_support":"no","window_support":"no","support_seen_at":"2026-11-20T11:20:00Z",)"
        R"("doubts":2,"unreadable":1,"refused":3,"known_since":null,"client_data":null,)"
        R"("paused_at":"2026-11-20T13:17:00Z","paused_by":"root@web1",)"
        R"("resync_asked_at":"2026-11-20T13:19:00Z","resync_asked_by":"al?@web2",)"
        R"("last_verify_at":"2026-11-20T13:00:00Z","verify_differences":2,)"
        R"("next_attempt_at":"2026-11-20T13:20:40Z","gaps":[{"gap_from":"2026-11-20T13:18:20Z","gap_to":"2026-11-20T13:19:10Z",)"
        R"("cause":"DataMissing in mid-stream"}]})"
        "\n");
}

TEST_CASE("errors of the database become the exit codes of the command line") {
    CHECK(exit_code_of(StoreError(StoreFault::unavailable, "locked")) == 3);
    CHECK(exit_code_of(StoreError(StoreFault::unusable, "newer schema")) == 3);
}
