#include "agent/cli/query_rows.hpp"
#include "agent/query/progress.hpp"
#include "agent/query/record_text.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <sstream>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

constexpr ServerTime base{1'795'180'800s};  // 2026-11-20T13:20:00Z

Binding v4_binding() {
    Binding out;
    out.key = {"ascii:blue", BindingKind::address, *IpAddress::parse("192.0.2.7"), 32};
    out.client_id = {1, 2, 0x42, 0xac, 0x11, 0, 2};
    out.hw_type = 1;
    out.hw_addr = {2, 0x42, 0xac, 0x11, 0, 2};
    out.client_last_seen = base - 60s;
    out.state_since = base - 3600s;
    out.expires_at = base + 3540s;
    out.renew_at = base + 1740s;
    out.rebind_at = base + 3000s;
    out.relay_address = IpAddress::parse("192.0.2.1");
    out.remote_id = {'p', 'o', 'r', 't', ' ', '1'};
    out.hostname = "pc\x01";
    out.options = {0, 12, 0, 2, 'p', 'c'};
    out.base_time = base;
    return out;
}

Binding v6_prefix(const char* prefix) {
    Binding out;
    out.key = {"", BindingKind::prefix, *IpAddress::parse(prefix), 56};
    out.client_id = {0, 3, 0, 1, 2};
    out.base_time = base;
    return out;
}

}  // namespace

TEST_CASE("a binding becomes a row with the columns of the table, in our time but for the base-time") {
    CHECK(json_line(query_record(v4_binding(), "east", 10s)) ==
          R"({"server":"east","vpn_id":"ascii:blue","kind":"address","family":"v4","address":"192.0.2.7",)"
          R"("prefix_len":32,"state":"active","client_id":"010242ac110002","hw_type":1,"hw_addr":"02:42:ac:11:00:02",)"
          R"("hostname":"pc\\x01","client_last_seen":"2026-11-20T13:18:50Z","state_since":"2026-11-20T12:19:50Z",)"
          R"("expires_at":"2026-11-20T14:18:50Z","preferred_until":null,"renew_at":"2026-11-20T13:48:50Z",)"
          R"("rebind_at":"2026-11-20T14:09:50Z","link_address":null,"relay_address":"192.0.2.1","relay_id":null,)"
          R"("remote_id":"706f72742031","circuit_id":null,"subscriber_id":null,"options":{"12":"7063"},)"
          R"("data_source":"local","base_time":"2026-11-20T13:20:00Z","via":"bulk"})");
}

TEST_CASE("rows for people come in parts, each as soon as it is flushed, under one heading") {
    std::ostringstream out;
    QueryRows rows(out, false, std::nullopt);
    CHECK(rows.add(query_record(v6_prefix("2001:db8:100::"), "east", 0s)));
    CHECK(out.str().empty());
    rows.flush();
    const std::string first =
        "ADDRESS            STATE   CLIENT          EXPIRES   LAST SEEN  SERVER\n"
        "2001:db8:100::/56  active  00:03:00:01:02  for ever  -          east\n";
    CHECK(out.str() == first);
    rows.flush();
    CHECK(out.str() == first);
    // The columns stay where they are, though this part alone would need less room.
    auto ended = v6_prefix("2001:db8::");
    ended.state = BindingState::ended;
    CHECK(rows.add(query_record(ended, "east", 0s)));
    rows.flush();
    CHECK(out.str() == first + "2001:db8::/56      ended   00:03:00:01:02  -         -          east\n");
    CHECK(rows.count() == 2);
}

TEST_CASE("a column that a later part needs first comes with a new heading") {
    std::ostringstream out;
    QueryRows rows(out, false, std::nullopt);
    CHECK(rows.add(query_record(v6_prefix("2001:db8::"), "e", 0s)));
    rows.flush();
    out.str("");
    auto relayed = v6_prefix("2001:db8:1::");
    relayed.relay_id = {0, 3, 0, 1};
    CHECK(rows.add(query_record(relayed, "e", 0s)));
    rows.flush();
    CHECK(out.str() ==
          "ADDRESS          STATE   CLIENT          EXPIRES   LAST SEEN  RELAY ID     SERVER\n"
          "2001:db8:1::/56  active  00:03:00:01:02  for ever  -          00:03:00:01  e\n");
}

TEST_CASE("the row after the limit is not printed, and tells that there is more") {
    std::ostringstream out;
    QueryRows rows(out, true, 1);
    CHECK(rows.add(query_record(v4_binding(), "e", 0s)));
    CHECK_FALSE(rows.full());
    CHECK_FALSE(rows.add(query_record(v4_binding(), "e", 0s)));
    CHECK(rows.full());
    rows.flush();
    CHECK(rows.count() == 1);
    const auto text = out.str();
    CHECK(std::count(text.begin(), text.end(), '\n') == 1);
}

TEST_CASE("each server has the limit to itself") {
    std::ostringstream out;
    QueryRows rows(out, true, 1);
    for (const auto* const server : {"a", "b"}) {
        rows.begin();
        CHECK(rows.add(query_record(v4_binding(), server, 0s)));
        CHECK_FALSE(rows.add(query_record(v4_binding(), server, 0s)));
        CHECK(rows.count() == 1);
    }
    rows.flush();
    CHECK(out.str().find("\"server\":\"b\"") != std::string::npos);
}

TEST_CASE("an output that takes nothing any more is noticed") {
    std::ostringstream out;
    QueryRows rows(out, true, std::nullopt);
    CHECK_FALSE(rows.broken());
    out.setstate(std::ios::badbit);
    CHECK(rows.add(query_record(v4_binding(), "e", 0s)));
    rows.flush();
    CHECK(rows.broken());
}

TEST_CASE("progress is shown on a terminal alone, and at most four times a second") {
    const SteadyTime began{100s};
    std::ostringstream err;
    QueryProgress hidden(err, false, began);
    hidden.tick(1000, began + 10s);
    hidden.clear();
    CHECK(err.str().empty());
    QueryProgress shown(err, true, began);
    shown.tick(10, began + 249ms);
    CHECK(err.str().empty());
    shown.tick(1000, began + 500ms);
    shown.tick(1100, began + 700ms);
    CHECK(err.str() == "\r1000 bindings, 2000 per second\x1b[K");
    shown.show("asked 2 times", began + 701ms);
    shown.clear();
    shown.clear();
    CHECK(err.str() == "\r1000 bindings, 2000 per second\x1b[K\r\x1b[K");
    shown.show("asked once", began);
    CHECK(err.str().ends_with("\r\x1b[K\rasked once\x1b[K"));
}

TEST_CASE("the closing lines say how many bindings came, how long it took, and what is wrong with the answer") {
    QueryReport report;
    report.server = "east-v6";
    report.took = 240ms;
    CHECK(closing_text(report) == "no bindings from east-v6 in 0.2 s\n");
    report.bindings = 1;
    report.discarded = 0;
    CHECK(closing_text(report) == "1 binding from east-v6 in 0.2 s, 0 datagrams discarded\n");
    report.bindings = 17;
    report.discarded = 1;
    report.not_understood = 2;
    report.before_window = 1;
    report.limited = true;
    report.fault = "the query for everything failed: NotAllowed: go\x01 away";
    CHECK(closing_text(report) ==
          "east-v6: 2 messages could not be understood; the answer is not complete\n"
          "east-v6: 1 binding has not changed since --since: this server does not heed it\n"
          "east-v6: there is more; --limit ended the query\n"
          "east-v6: the query for everything failed: NotAllowed: go? away\n"
          "17 bindings from east-v6 in 0.2 s, 1 datagram discarded\n");
    QueryReport unreached;
    unreached.server = "e";
    unreached.code = 3;
    unreached.fault = "cannot connect";
    CHECK(closing_text(unreached) == "e: cannot connect\n");
    QueryReport interrupted;
    interrupted.server = "e";
    interrupted.bindings = 5;
    interrupted.interrupted = true;
    CHECK(closing_text(interrupted) == "e: interrupted; there may be more\n5 bindings from e in 0.0 s\n");
}
