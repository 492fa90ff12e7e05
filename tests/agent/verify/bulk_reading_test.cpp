#include "agent/verify/bulk_reading.hpp"

#include "agent/config/full_read.hpp"
#include "proto/wire/message_v4.hpp"
#include "storage/scope.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

using namespace leasemirror;
using namespace std::chrono_literals;

namespace {

constexpr ServerTime base{1'795'180'800s};
const std::vector<BulkQuery> two_relays{{QueryKind::relay_id, {}, {1}}, {QueryKind::relay_id, {}, {2}}};

/// A v4 server played by hand, 30 seconds ahead of us unless a test says otherwise, as the mirror knows.
struct Asking {
    explicit Asking(std::vector<BulkQuery> queries = {}, Skew ahead = 30s) : skew(ahead) {
        server.name = "east";
        server.bulk.queries = std::move(queries);
        SessionSettings settings;
        settings.first_xid = 7;
        reading.emplace(
            server, settings, skew,
            [this](const BindingRow& row, UtcSeconds heard_at) {
                rows.push_back(row);
                heard.push_back(heard_at);
            },
            [this](const std::string& note) { notes.push_back(note); });
        reading->start(session_now());
        pump();
    }

    [[nodiscard]] UtcMillis ours() const { return UtcMillis{base.time_since_epoch() - skew}; }
    [[nodiscard]] SessionNow session_now() const { return {SteadyTime{1s}, ServerTime{ours_in_seconds()}}; }
    [[nodiscard]] std::chrono::seconds ours_in_seconds() const {
        return std::chrono::floor<std::chrono::seconds>(ours().time_since_epoch());
    }

    void pump() {
        while (const auto action = reading->session().poll_action()) {
            if (const auto* const send = std::get_if<action::Send>(&*action)) {
                asked.emplace_back(send->bytes.begin(), send->bytes.end());
                reading->session().on_sent(session_now());
            }
            reading->on_action(*action, {SteadyTime{1s}, ours()}, session_now());
        }
    }
    void answer(MessageV4 m, std::optional<ServerTime> at) {
        ScratchV4 scratch;
        m.op = 2;
        m.xid = decode_v4(ByteView(asked.back()).subspan(2), scratch)->xid;
        m.server_identifier = IpAddress::v4(0xc0000201);
        m.base_time = at;
        Bytes room(4096);
        ByteWriter writer(room);
        const auto length = writer.reserve_u16();
        encode_v4(m, writer);
        writer.patch_u16(length);
        reading->session().on_bytes(writer.written(), session_now());
        pump();
    }
    void lease(std::uint32_t host, std::optional<ServerTime> at = base) {
        MessageV4 m;
        m.type = MessageTypeV4::lease_active;
        m.ciaddr = IpAddress::v4(0xc0000200 + host);
        m.lease_time = 3600;
        m.client_last_transaction_age = 60;
        answer(m, at);
    }
    void done(std::optional<StatusCode> status = {}, std::optional<ServerTime> at = base) {
        MessageV4 m;
        m.type = MessageTypeV4::lease_query_done;
        if (status) m.status = make_status_v4(*status, "said so");
        answer(m, at);
    }
    [[nodiscard]] bool for_all_vpns() const {
        ScratchV4 scratch;
        return decode_v4(ByteView(asked.back()).subspan(2), scratch)->vss.has_value();
    }

    const Skew skew;
    ServerConfig server;
    std::optional<BulkReading> reading;
    std::vector<Bytes> asked;
    std::vector<BindingRow> rows;
    std::vector<UtcSeconds> heard;
    std::vector<std::string> notes;
};

BindingRow in_scope(const BulkQuery& query) {
    BindingRow out;
    out.scope = scope_id(query);
    return out;
}

}  // namespace

TEST_CASE("a v4 server is asked for everything, and its times are converted by the skew that the mirror has") {
    Asking a;
    CHECK(a.for_all_vpns());
    a.lease(7);
    a.lease(8, base + 3s);
    a.done(std::nullopt, base + 4s);
    REQUIRE(a.reading->over());
    REQUIRE(a.rows.size() == 2);
    CHECK(a.rows[0].key.address.to_string() == "192.0.2.7");
    CHECK(a.rows[0].expires_at == UtcSeconds{base.time_since_epoch() + 3570s});
    CHECK(a.heard[1] == UtcSeconds{base.time_since_epoch() - 27s});
    const auto reading = a.reading->reading();
    CHECK(reading.whole);
    CHECK(reading.began == base);
    CHECK(reading.ended == UtcSeconds{base.time_since_epoch() - 26s});
    CHECK(reading.absence.everything);
    CHECK_FALSE(reading.absence.all_vpns);  // nothing of another VPN was listed
    CHECK(a.notes.empty());
}

TEST_CASE("messages without a base-time count from when they came, by our clock") {
    Asking a;
    a.lease(7, std::nullopt);
    REQUIRE(a.rows.size() == 1);
    CHECK(a.heard[0] == UtcSeconds{a.ours_in_seconds()});
    CHECK(a.rows[0].expires_at == UtcSeconds{a.ours_in_seconds() + 3600s});
}

TEST_CASE("a server that refuses the query for all VPNs is asked for the default one, and proves nothing of others") {
    Asking a;
    a.done(StatusCode::not_allowed);
    REQUIRE(a.asked.size() == 2);
    CHECK_FALSE(a.for_all_vpns());
    a.lease(7);
    a.done();
    CHECK(a.reading->reading().whole);
    CHECK_FALSE(a.reading->reading().absence.all_vpns);
    CHECK(a.notes.size() == 1);
}

TEST_CASE("a refusal without a base-time says nothing of the clock of a server that is behind") {
    Asking a(std::vector<BulkQuery>{}, -30s);
    a.done(StatusCode::not_allowed, std::nullopt);
    REQUIRE(a.asked.size() == 2);
    a.lease(7);
    a.done();
    CHECK(a.rows.size() == 1);
    CHECK(a.reading->reading().whole);
    CHECK(a.reading->reading().began == base);
}

TEST_CASE("without any base-time it began when it was asked, by the skew that is known") {
    Asking a(std::vector<BulkQuery>{}, -30s);
    a.lease(7, std::nullopt);
    a.done(std::nullopt, std::nullopt);
    CHECK(a.reading->reading().began == base);
}

TEST_CASE("what a refused query would have listed is not judged, and what others list is") {
    Asking a(two_relays);
    a.server.bulk.covers = BulkCovers::all;
    a.done(StatusCode::malformed_query);
    REQUIRE(a.asked.size() == 2);
    a.lease(7);
    a.done();
    REQUIRE(a.reading->over());
    const auto reading = a.reading->reading();
    CHECK_FALSE(reading.whole);
    CHECK_FALSE(reading.absence.everything);
    CHECK_FALSE(reading.absence.proves(in_scope(two_relays[0])));
    CHECK(reading.absence.proves(in_scope(two_relays[1])));
    CHECK(a.notes == std::vector<std::string>{"the query for relay-id 01 failed: MalformedQuery: said so"});
}

TEST_CASE("a connection that breaks off proves only what was answered before") {
    Asking a(two_relays);
    a.server.bulk.covers = BulkCovers::all;
    a.lease(7);
    a.done();
    a.lease(8);
    a.reading->session().on_disconnected("reset", a.session_now());
    a.pump();
    REQUIRE(a.reading->over());
    const auto reading = a.reading->reading();
    CHECK_FALSE(reading.whole);
    CHECK_FALSE(reading.absence.everything);
    CHECK(reading.absence.proves(in_scope(two_relays[0])));
    CHECK_FALSE(reading.absence.proves(in_scope(two_relays[1])));
    CHECK(a.notes.back() == "not answered to the end: 1 of 2 queries");
}

TEST_CASE("queries cover the server only where the configuration says so, or one asks for everything") {
    ServerConfig server;
    CHECK(full_read_covers_everything(server));
    CHECK(full_read_queries(server).size() == 1);
    server.bulk.queries = two_relays;
    CHECK_FALSE(full_read_covers_everything(server));
    server.bulk.covers = BulkCovers::all;
    CHECK(full_read_covers_everything(server));
    server.bulk.covers = BulkCovers::partial;
    server.bulk.queries.push_back({});
    CHECK(full_read_covers_everything(server));
    server.family = Family::v6;
    server.bulk.queries.clear();
    server.bulk.covers = BulkCovers::all;
    CHECK_FALSE(full_read_covers_everything(server));
    CHECK(full_read_queries(server).empty());
}

TEST_CASE("a clock that was set ends it: every time would differ") {
    Asking a;
    a.lease(7, base + 61s);
    CHECK(a.reading->over());
    CHECK(a.rows.empty());
    CHECK_FALSE(a.reading->reading().whole);
    CHECK_FALSE(a.reading->reading().absence.everything);
    REQUIRE(a.notes.size() == 1);
    CHECK(a.notes[0].find("was set") != std::string::npos);
}

TEST_CASE(
    "a message whose base-time cannot be right says nothing of its address; an old one may be that of the answer") {
    Asking a;
    a.lease(1);
    a.lease(2, base + 61s);
    a.lease(3, base - 6s);
    a.lease(4, base - 5s);
    a.done();
    CHECK(a.rows.size() == 2);
    const auto reading = a.reading->reading();
    CHECK_FALSE(reading.whole);
    CHECK(reading.absence.everything);
    BindingRow row;
    row.key.address = IpAddress::v4(0xc0000202);
    CHECK_FALSE(reading.absence.proves(row));
    row.key.address = IpAddress::v4(0xc0000205);
    CHECK(reading.absence.proves(row));
}
