#include "agent/query/bulk.hpp"
#include "proto/wire/message_v4.hpp"
#include "tests/agent/query/json_rows.hpp"

#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

constexpr ServerTime base{1'795'180'800s};

/// A v4 server played by hand, and the one who asks it.
struct Asking {
    explicit Asking(std::vector<BulkQuery> queries = {{}}, std::optional<std::uint64_t> limit = {}) : rows(out, limit) {
        server.name = "east";
        plan.queries = std::move(queries);
        SessionSettings settings;
        settings.first_xid = 7;
        bulk.emplace(server, plan, settings, rows, [this](const std::string& note) { notes.push_back(note); });
    }

    void start() {
        bulk->start(session_now());
        pump();
    }
    [[nodiscard]] SessionNow session_now() const { return {SteadyTime{1s}, base}; }

    void pump() {
        while (const auto action = bulk->session().poll_action()) {
            if (const auto* const send = std::get_if<action::Send>(&*action)) {
                asked.emplace_back(send->bytes.begin(), send->bytes.end());
                bulk->session().on_sent(session_now());
            }
            bulk->on_action(*action, {SteadyTime{1s}, UtcMillis{base.time_since_epoch() - ahead}}, session_now());
        }
        rows.flush();
    }

    void answer(MessageV4 m) {
        ScratchV4 scratch;
        m.op = 2;
        m.xid = decode_v4(ByteView(asked.back()).subspan(2), scratch)->xid;
        m.server_identifier = IpAddress::v4(0xc0000201);
        m.base_time = base;
        Bytes room(4096);
        ByteWriter writer(room);
        const auto length = writer.reserve_u16();
        encode_v4(m, writer);
        writer.patch_u16(length);
        bulk->session().on_bytes(writer.written(), session_now());
        pump();
    }
    void lease(std::uint32_t host, std::uint32_t seconds_since_seen = 60) {
        MessageV4 m;
        m.type = MessageTypeV4::lease_active;
        m.ciaddr = IpAddress::v4(0xc0000200 + host);
        m.lease_time = 3600;
        m.client_last_transaction_age = seconds_since_seen;
        answer(m);
    }
    void done(std::optional<StatusCode> status = {}) {
        MessageV4 m;
        m.type = MessageTypeV4::lease_query_done;
        if (status) m.status = make_status_v4(*status, "said so");
        answer(m);
    }
    /// Whether the query number `n` asked for all VPNs.
    bool for_all_vpns(std::size_t n) {
        ScratchV4 scratch;
        return decode_v4(ByteView(asked[n]).subspan(2), scratch)->vss.has_value();
    }

    ServerConfig server;
    QueryPlan plan;
    std::ostringstream out;
    JsonRows rows;
    std::optional<QueryBulk> bulk;
    std::vector<Bytes> asked;
    std::vector<std::string> notes;
    std::chrono::milliseconds ahead{0};  // the server's clock
};

const std::vector<BulkQuery> two_relays{{QueryKind::relay_id, {}, {1}}, {QueryKind::relay_id, {}, {2}}};

}  // namespace

TEST_CASE("bindings are printed as they come, and the query ends with its DONE") {
    Asking a;
    a.ahead = 30s;
    a.start();
    CHECK(a.for_all_vpns(0));
    a.lease(7);
    CHECK(a.out.str().find(R"("address":"192.0.2.7")") != std::string::npos);
    CHECK(a.out.str().find(R"("expires_at":"2026-11-20T14:19:30Z")") != std::string::npos);  // in our time
    CHECK_FALSE(a.bulk->over());
    a.done();
    CHECK(a.bulk->over());
    CHECK(a.bulk->report().code == 0);
    CHECK(a.bulk->report().bindings == 1);
    CHECK(a.bulk->report().fault == "");
}

TEST_CASE("queries are asked one after the other, and one that fails does not keep the next from being asked") {
    Asking a(two_relays);
    a.start();
    CHECK(a.asked.size() == 1);
    CHECK_FALSE(a.for_all_vpns(0));
    a.done(StatusCode::malformed_query);
    REQUIRE(a.asked.size() == 2);
    CHECK(a.notes == std::vector<std::string>{"the query for relay-id 01 failed: MalformedQuery: said so"});
    a.lease(1);
    a.done();
    CHECK(a.bulk->over());
    CHECK(a.bulk->report().code == 1);
    CHECK(a.bulk->report().bindings == 1);
}

TEST_CASE("a refusal is told with the server's words, and what was not asked any more with it") {
    Asking a(two_relays);
    a.start();
    a.done(StatusCode::not_allowed);
    CHECK(a.bulk->over());
    CHECK(a.asked.size() == 1);
    CHECK(a.bulk->report().code == 1);
    CHECK(a.bulk->report().fault ==
          "the query for relay-id 01 failed: NotAllowed: said so; not asked any more: 1 of the queries");
}

TEST_CASE("a server that refuses the query for all VPNs is asked for the default one") {
    Asking a;
    a.start();
    a.done(StatusCode::not_allowed);  // Kea's word for it
    REQUIRE(a.asked.size() == 2);
    CHECK(a.for_all_vpns(0));
    CHECK_FALSE(a.for_all_vpns(1));
    CHECK(a.notes.size() == 1);
    a.done(StatusCode::malformed_query);
    CHECK(a.bulk->over());
    CHECK(a.bulk->report().fault ==
          "the query for everything failed: MalformedQuery: said so; a server without such a query is asked with a "
          "filter, or as bulk.queries has it");
}

TEST_CASE("an answer that is cut off is not whole: what came stays, the exit code tells") {
    Asking a;
    a.start();
    a.lease(1);
    a.bulk->session().on_disconnected("End of file", a.session_now());
    a.pump();
    CHECK(a.bulk->over());
    CHECK(a.bulk->report().bindings == 1);
    CHECK(a.bulk->report().code == 1);
    CHECK(a.bulk->report().fault == "the connection ended inside a bulk query: End of file");
}

TEST_CASE("a server that falls silent is told apart from one that has ended") {
    Asking a;
    a.start();
    a.lease(1);
    a.bulk->on_silence(300s);
    CHECK(a.bulk->over());
    CHECK(a.bulk->report().code == 1);
    CHECK(a.bulk->report().fault == "no reply to the bulk query for 5m (timeouts.data)");
}

TEST_CASE("the limit ends the query as soon as one more comes, and not before") {
    Asking a({{}}, 2);
    a.start();
    a.lease(1);
    a.lease(2);
    CHECK_FALSE(a.bulk->over());
    a.lease(3);
    CHECK(a.bulk->over());
    CHECK(a.bulk->report().limited);
    CHECK(a.bulk->report().bindings == 2);
    CHECK(a.bulk->report().code == 0);

    Asking exactly({{}}, 2);
    exactly.start();
    exactly.lease(1);
    exactly.lease(2);
    exactly.done();
    CHECK(exactly.bulk->over());
    CHECK_FALSE(exactly.bulk->report().limited);
}

TEST_CASE("a message that cannot be understood costs itself, is told, and the answer counts as not complete") {
    Asking a;
    a.start();
    a.lease(0);  // 192.0.2.0 is fine; 0.0.0.0 below is no address to record
    MessageV4 m;
    m.type = MessageTypeV4::lease_active;
    m.lease_time = 3600;
    for (int i = 0; i < 7; ++i)
        a.answer(m);
    a.lease(1);
    a.done();
    CHECK(a.bulk->over());
    CHECK(a.bulk->report().bindings == 2);
    CHECK(a.bulk->report().not_understood == 7);
    CHECK(a.bulk->report().code == 1);
    REQUIRE(a.notes.size() == 5);
    CHECK(a.notes.front().starts_with("a message could not be understood: "));
}

TEST_CASE("a server that does not heed the time window is found out by its bindings") {
    Asking a;
    a.plan.window.start = base - 600s;
    a.start();
    a.lease(1, 599);
    a.lease(2, 601);
    CHECK(a.bulk->report().before_window == 0);  // times are cut to seconds on their way
    a.lease(3, 602);
    CHECK(a.bulk->report().before_window == 1);
    a.done();
    CHECK(a.bulk->report().code == 0);
}
