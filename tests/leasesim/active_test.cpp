#include "tests/leasesim/peer.hpp"

#include <doctest/doctest.h>

#include <map>
#include <set>

using namespace leasemirror;
using namespace leasemirror::leasesim;
using namespace std::chrono_literals;

namespace {

ServerOptions options(Family family, std::uint64_t n = 300, double churn = 20) {
    ServerOptions o;
    o.model.family = family;
    o.model.bindings = n;
    o.model.churn = churn;
    o.model.seed = 23;
    return o;
}

/// Statuses with their base-times, in the order of arrival, for both families.
struct Marker {
    StatusCode code;
    std::optional<ServerTime> base_time;
    bool in_reply;  ///< v6: in the LEASEQUERY-REPLY
};
std::vector<Marker> markers_of(const Peer& peer, Family family) {
    std::vector<Marker> out;
    if (family == Family::v4)
        for_each_v4(peer, [&](const MessageV4& m) {
            if (m.status) out.push_back({m.status->code, m.base_time, false});
        });
    else
        for_each_v6(peer, [&](const MessageV6& m) {
            if (m.status) out.push_back({m.status->code, m.base_time, m.type == MessageTypeV6::lease_query_reply});
        });
    return out;
}

void ask_active(Peer& peer, Family family, std::optional<ServerTime> start = {}) {
    if (family == Family::v4)
        peer.ask(active_v4(start));
    else
        peer.ask(active_v6(start));
}

/// A mirror kept by what the stream says alone, v6 ends told as `valid 0`.
void mirror(const Peer& peer, Family family, std::map<BindingKey, Binding>& out) {
    for (auto& b : bindings_of(peer, family))
        out[b.key] = b;
}

void check_equal(const std::map<BindingKey, Binding>& held, const LeaseModel& model, UtcMillis now) {
    static constexpr std::array<std::uint16_t, 2> keep_v4{60, 12};
    static constexpr std::array<std::uint16_t, 1> keep_v6{16};
    std::size_t in_force = 0, expected = 0;
    const auto server_now = model.server_now(now);
    for (const auto& [key, b] : held)
        in_force += b.in_force() && (!b.expires_at || *b.expires_at > server_now) ? 1U : 0U;
    const std::span<const std::uint16_t> keep = model.family() == Family::v4 ? std::span<const std::uint16_t>(keep_v4)
                                                                             : std::span<const std::uint16_t>(keep_v6);
    model.for_each_in_force(
        now,
        [&](Binding b) {
            ++expected;
            REQUIRE(held.contains(b.key));
            auto mine = held.at(b.key);
            mine.renew_at = b.renew_at;  // may have passed since it was told
            mine.rebind_at = b.rebind_at;
            CHECK_MESSAGE(same_record(mine, b), to_string(mine), "\n", to_string(b));
        },
        keep);
    CHECK(in_force == expected);
}

void load_all(ModelServer& server, UtcMillis now, std::map<BindingKey, Binding>& out) {
    if (server.model().family() == Family::v4) {
        Peer peer(server, now);
        peer.ask(bulk_v4());
        return mirror(peer, Family::v4, out);
    }
    for (unsigned link = 0; link < server.model().options().links; ++link) {
        Peer peer(server, now);
        peer.ask(query_v6(QueryTypeV6::by_link_address, server.model().link_address(link)));
        mirror(peer, Family::v6, out);
    }
}

}  // namespace

TEST_CASE("a bulk and the live updates from its beginning on make the whole truth, at any time") {
    for (const auto family : {Family::v4, Family::v6}) {
        ModelServer server(options(family), t0);
        std::map<BindingKey, Binding> held;
        Peer live(server, t0 + 5s);
        ask_active(live, family);
        load_all(server, t0 + 5s, held);
        for (int i = 0; i < 5; ++i) {
            live.run(7s);
            mirror(live, family, held);
            check_equal(held, server.model(), live.now());
        }
        server.stop_churn(live.now());
        live.run(60s);
        mirror(live, family, held);
        check_equal(held, server.model(), live.now());
        CHECK_FALSE(live.closed);
    }
}

TEST_CASE("base-times on one connection never go back, and none is past an untold change") {
    ModelServer server(options(Family::v4, 100, 50), t0);
    Peer peer(server, t0);
    ask_active(peer, Family::v4);
    peer.at(t0 + 10s);  // nothing was read for ten seconds
    peer.drain();
    std::optional<ServerTime> last;
    std::size_t n = 0;
    for_each_v4(peer, [&](const MessageV4& m) {
        CHECK((!last || *last <= *m.base_time));
        last = m.base_time;
        ++n;
    });
    CHECK(n == 500);
    CHECK(last == server.model().server_now(t0 + 10s));
}

TEST_CASE("an active query from a covered start replays what changed, then says CatchUpComplete") {
    for (const auto family : {Family::v4, Family::v6})
        for (const auto gap : {4s, 200s}) {  // fewer events than units, and many more
            auto o = options(family, 700, 40);
            ModelServer server(o, t0);
            std::map<BindingKey, Binding> held;
            load_all(server, t0 + 30s, held);
            const auto start = server.model().server_now(t0 + 30s);
            Peer peer(server, t0 + 30s + gap);
            ask_active(peer, family, start);
            peer.run(5s);
            mirror(peer, family, held);
            check_equal(held, server.model(), peer.now());
            const auto markers = markers_of(peer, family);
            REQUIRE(markers.size() == 1);
            CHECK(markers[0].code == StatusCode::catch_up_complete);
            CHECK_FALSE(markers[0].in_reply);
            CHECK(markers[0].base_time);
            CHECK_FALSE(peer.connection().catching_up());
        }
}

TEST_CASE("a start outside the history gives DataMissing at once with a base-time, then live updates") {
    for (const auto family : {Family::v4, Family::v6}) {
        auto o = options(family);
        o.history_age = 10s;
        ModelServer server(o, t0);
        Peer peer(server, t0 + 60s);
        ask_active(peer, family, server.model().server_now(t0 + 49s));
        auto markers = markers_of(peer, family);
        REQUIRE(markers.size() == 1);
        CHECK(peer.frames().size() == 1);
        CHECK(markers[0].code == StatusCode::data_missing);
        CHECK(markers[0].base_time == server.model().server_now(t0 + 60s));
        CHECK(markers[0].in_reply == (family == Family::v6));
        peer.run(5s);
        CHECK(peer.frames().size() > 50);
        CHECK(markers_of(peer, family).size() == 1);
        CHECK_FALSE(peer.closed);
    }
}

TEST_CASE("history is bounded in seconds, in events, and by a restart") {
    auto o = options(Family::v4);
    o.history_age = 60s;
    ModelServer by_age(o, t0);
    const auto at = [&](const ModelServer& s, UtcMillis t) { return s.model().server_now(t); };
    CHECK(by_age.covers(at(by_age, t0), t0 + 30s));
    CHECK(by_age.covers(at(by_age, t0 + 41s), t0 + 100s));
    CHECK_FALSE(by_age.covers(at(by_age, t0 + 40s), t0 + 100s));
    CHECK_FALSE(by_age.covers(at(by_age, t0) - 1s, t0));
    o.history_age.reset();
    o.history_events = 200;  // ten seconds of churn
    ModelServer by_events(o, t0);
    CHECK(by_events.covers(at(by_events, t0 + 52s), t0 + 60s));
    CHECK_FALSE(by_events.covers(at(by_events, t0 + 49s), t0 + 60s));
    by_events.restart(t0 + 60s);
    CHECK_FALSE(by_events.covers(at(by_events, t0 + 59s), t0 + 61s));
    CHECK(by_events.covers(at(by_events, t0 + 61s), t0 + 61s));
}

TEST_CASE("history that is overrun during catch-up ends it with DataMissing") {
    for (const auto family : {Family::v4, Family::v6}) {
        auto o = options(family, 10'000, 20);
        o.history_age = 20s;
        o.messages_per_second = 5;
        ModelServer server(o, t0);
        Peer peer(server, t0 + 60s);
        ask_active(peer, family, server.model().server_now(t0 + 42s));
        peer.run(30s);
        const auto markers = markers_of(peer, family);
        REQUIRE(markers.size() == 1);
        CHECK(markers[0].code == StatusCode::data_missing);
        CHECK(markers[0].base_time);
        CHECK_FALSE(markers[0].in_reply);
        CHECK_FALSE(peer.closed);
    }
}

TEST_CASE("an idle active query gets a keep-alive each 60 seconds, with a base-time if asked") {
    for (const auto family : {Family::v4, Family::v6}) {
        ModelServer server(options(family, 100, 0), t0);
        Peer peer(server, t0);
        ask_active(peer, family);
        CHECK(peer.frames().size() == (family == Family::v6 ? 1 : 0));
        peer.forget();
        peer.run(59s);
        CHECK(peer.frames().empty());
        peer.run(1s);
        CHECK(peer.frames().size() == 1);
        peer.run(120s);
        CHECK(peer.frames().size() == 3);
        if (family == Family::v4) {
            for (const auto& m : markers_of(peer, family))
                CHECK(m.code == StatusCode::connection_active);
        } else {
            for_each_v6(peer, [&](const MessageV6& m) {
                CHECK(m.type == MessageTypeV6::lease_query_data);
                CHECK(m.client_data.empty());
                CHECK(m.base_time);
            });
        }
    }
}

TEST_CASE("a requestor that does not read an active query for 120 seconds is cut") {
    ModelServer server(options(Family::v4), t0);
    const auto c = server.accept(t0);
    c->on_bytes(framed(active_v4()), t0);
    CHECK_FALSE(c->poll(t0));
    REQUIRE(c->poll(t0 + 1s));
    CHECK(c->next_deadline(t0 + 1s) == t0 + 121s);
    c->on_deadline(t0 + 120s);
    CHECK_FALSE(c->poll(t0 + 120s));
    c->on_deadline(t0 + 121s);
    CHECK(std::get<Close>(*c->poll(t0 + 121s)).abort);
    CHECK(server.open_connections() == 0);
}

TEST_CASE("shutdown: QueryTerminated with a base-time is the last message, then the connection closes") {
    for (const auto family : {Family::v4, Family::v6}) {
        ModelServer server(options(family), t0);
        Peer peer(server, t0);
        ask_active(peer, family);
        peer.run(3s);
        server.shutdown(peer.now());
        peer.drain();
        CHECK(peer.closed);
        CHECK_FALSE(peer.aborted);
        const auto markers = markers_of(peer, family);
        REQUIRE(markers.size() == 1);
        CHECK(markers[0].code == StatusCode::query_terminated);
        CHECK(markers[0].base_time);
        Peer late(server, peer.now());
        late.drain();
        CHECK(late.closed);
        server.restart(peer.now());
        CHECK(server.accepting());
    }
}

TEST_CASE("a restart drops connections without a word") {
    ModelServer server(options(Family::v6), t0);
    Peer peer(server, t0);
    ask_active(peer, Family::v6);
    peer.forget();
    server.restart(t0 + 1s);
    peer.drain();
    CHECK(peer.closed);
    CHECK(peer.aborted);
    CHECK(peer.stream.empty());
}

TEST_CASE("an end time in an active query is MalformedQuery and close; so is another request while it runs") {
    for (const auto family : {Family::v4, Family::v6}) {
        ModelServer server(options(family), t0);
        Peer peer(server, t0);
        const auto end = server.model().server_now(t0);
        if (family == Family::v4) {
            auto m = active_v4();
            m.query_end_time = end;
            peer.ask(m);
        } else {
            auto m = active_v6();
            m.end_time = end;
            peer.ask(m);
        }
        const auto markers = markers_of(peer, family);
        REQUIRE(markers.size() == 1);
        CHECK(markers[0].code == StatusCode::malformed_query);
        CHECK(peer.closed);
        Peer twice(server, t0);
        ask_active(twice, family);
        ask_active(twice, family);
        CHECK(twice.closed);
    }
}

TEST_CASE("a bulk-only server says NotSupported in v6, closes without a word in v4") {
    auto o = options(Family::v6);
    o.personality.on_active = OnActive::refuse;
    ModelServer v6(o, t0);
    Peer peer(v6, t0);
    ask_active(peer, Family::v6);
    REQUIRE(markers_of(peer, Family::v6).size() == 1);
    CHECK(markers_of(peer, Family::v6)[0].code == StatusCode::not_supported);
    CHECK(peer.closed);
    o.model.family = Family::v4;
    ModelServer v4(o, t0);
    Peer silent(v4, t0);
    ask_active(silent, Family::v4);
    CHECK(silent.closed);
    CHECK(silent.stream.empty());
}

TEST_CASE("a v6 active query may be narrowed to a link or an address") {
    ModelServer server(options(Family::v6, 70), t0);
    const auto link = server.model().link_address(2);
    const auto name = server.model().name(server.model().first_binding(2));
    for (const auto type : {QueryTypeV6::by_link_address, QueryTypeV6::by_address}) {
        auto m = query_v6(type, link);
        m.type = MessageTypeV6::active_lease_query;
        m.query->address =
            LeaseV6{BindingKind::address, name.address, 128, 0, 0, {}, {}};  // in a prefix: that finds it
        Peer peer(server, t0);
        peer.ask(m);
        peer.run(60s);
        const auto told = bindings_of(peer, Family::v6);
        CHECK(told.size() > 5);
        for (const auto& b : told) {
            CHECK(server.model().find_link(b.key.address) == 2);
            if (type == QueryTypeV6::by_address) CHECK(b.key.address == name.address);
        }
    }
}

TEST_CASE("each v6 manner of telling an end says what it is meant to say") {
    for (const auto end : {EndEncoding::valid_zero, EndEncoding::binding_status, EndEncoding::empty_client_data,
                           EndEncoding::snapshot, EndEncoding::nothing}) {
        auto o = options(Family::v6, 700, 50);
        o.personality.end = end;
        o.personality.all_leases_together = end == EndEncoding::snapshot;
        ModelServer server(o, t0);
        Peer peer(server, t0);
        ask_active(peer, Family::v6);
        peer.run(60s);
        std::size_t zero = 0, status = 0, empty = 0;
        for_each_v6(peer, [&](const MessageV6& m) {
            for (const auto& c : m.client_data) {
                if (c.leases.empty()) ++empty;
                for (const auto& l : c.leases) {
                    if (l.valid == 0) ++zero;
                    if (l.binding_status) ++status;
                }
            }
        });
        CHECK((zero > 0) == (end == EndEncoding::valid_zero || end == EndEncoding::binding_status));
        CHECK((status > 0) == (end == EndEncoding::binding_status));
        CHECK((empty > 0) == (end == EndEncoding::empty_client_data || end == EndEncoding::snapshot));
    }
}

TEST_CASE("a clock step moves base-time and windows, not what is left of a lease") {
    ModelServer server(options(Family::v4, 100, 0), t0);
    std::map<BindingKey, Binding> before, after;
    load_all(server, t0 + 10s, before);
    server.step_clock(-1h, t0 + 20s);
    load_all(server, t0 + 30s, after);
    for (const auto& [key, b] : after) {
        CHECK(b.base_time == before[key].base_time + 20s - 1h);
        if (b.expires_at) CHECK(*b.expires_at - *before[key].expires_at == -1h);
    }
}
