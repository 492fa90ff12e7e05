// The manners and faults that are hard on a mirror: clocks, order, lists, VPNs, and what cannot be read.
#include "tests/leasesim/peer.hpp"
#include "tests/leasesim/program/command_line.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include <map>
#include <set>

using namespace leasemirror;
using namespace leasemirror::leasesim;
using namespace std::chrono_literals;

namespace {

ServerOptions options(Family family, std::string_view personality = "", std::string_view fault = "") {
    ServerOptions o;
    o.model.family = family;
    o.model.bindings = 300;
    o.model.churn = 20;
    o.model.seed = 37;
    if (!personality.empty()) REQUIRE(apply_personality(personality, o.personality));
    if (fault.empty()) return o;
    const auto f = parse_fault(fault);
    REQUIRE(f);
    o.faults.push_back(*f);
    return o;
}

void ask_active(Peer& peer, Family family, std::optional<ServerTime> start = {}) {
    if (family == Family::v4)
        peer.ask(active_v4(start));
    else
        peer.ask(active_v6(start));
}

void ask_bulk(Peer& peer, const LeaseModel& model, unsigned link = 0) {
    if (model.family() == Family::v4)
        peer.ask(bulk_v4());
    else
        peer.ask(query_v6(QueryTypeV6::by_link_address, model.link_address(link)));
}

/// Of all links.
std::vector<Binding> everything(ModelServer& server, UtcMillis now) {
    const auto& model = server.model();
    std::vector<Binding> all;
    for (unsigned link = 0; link < (model.family() == Family::v4 ? 1 : model.options().links); ++link) {
        Peer peer(server, now);
        ask_bulk(peer, model, link);
        for (auto& b : bindings_of(peer, model.family()))
            if (b.in_force()) all.push_back(std::move(b));
    }
    return all;
}

std::vector<ServerTime> base_times(const Peer& peer, Family family) {
    std::vector<ServerTime> out;
    if (family == Family::v4)
        for_each_v4(peer, [&](const MessageV4& m) { out.push_back(m.base_time.value()); });
    else
        for_each_v6(peer, [&](const MessageV6& m) { out.push_back(m.base_time.value()); });
    return out;
}

/// Frames of which something cannot be read.
std::size_t unreadable(const Peer& peer, Family family) {
    std::size_t n = 0;
    ScratchV4 v4;
    ScratchV6 v6;
    for (const auto frame : peer.frames()) {
        if (family == Family::v4) {
            const auto m = decode_v4(frame, v4);
            n += !m || m->left_out.has_value();
        } else {
            const auto m = decode_v6(frame, v6);
            n += !m || !m->faults.empty();
        }
    }
    return n;
}

}  // namespace

TEST_CASE("absolute expiries: after a step of the clock leases end as many seconds earlier or later") {
    for (const auto family : {Family::v4, Family::v6}) {
        for (const auto step : {-600s, 600s}) {
            ModelServer kept(options(family), t0), absolute(options(family, "absolute-expiries"), t0);
            for (auto* server : {&kept, &absolute}) {
                server->stop_churn(t0 + 20s);
                server->step_clock(step, t0 + 30s);
            }
            std::map<BindingKey, Binding> told;
            for (const auto& b : everything(absolute, t0 + 40s))
                told[b.key] = b;
            std::size_t compared = 0;
            for (const auto& b : everything(kept, t0 + 40s)) {
                const auto same = told.find(b.key);
                if (same == told.end() || !b.expires_at) continue;
                ++compared;
                // Both in the clock that runs now: what was written down is `step` behind what was kept.
                CHECK(*b.expires_at - *same->second.expires_at == step);
                CHECK((*b.client_last_seen - *same->second.client_last_seen == step ||
                       same->second.client_last_seen == absolute.model().server_now(t0 + 40s)));
            }
            CHECK(compared > 50);
        }
    }
}

TEST_CASE("absolute expiries: a step forward ends leases at once, and the truth agrees with what is told") {
    auto o = options(Family::v4, "absolute-expiries");
    ModelServer server(o, t0);
    server.step_clock(48h, t0 + 30s);
    const auto before = server.model().count_in_force(t0 + 29s);
    const auto after = server.model().count_in_force(t0 + 31s);
    CHECK(after < before);
    CHECK(everything(server, t0 + 31s).size() == after);
}

TEST_CASE("jitter: the clock steps a little, now and then, either way") {
    ModelServer server(options(Family::v4, "", "clock-jitter=1500@prob:0.2"), t0);
    Peer peer(server, t0);
    ask_active(peer, Family::v4);
    peer.run(60s);
    const auto times = base_times(peer, Family::v4);
    std::size_t back = 0;
    for (std::size_t i = 1; i < times.size(); ++i)
        back += times[i] < times[i - 1];
    CHECK(back > 10);
    CHECK(server.model().clock().offset(t0 + 60s) != Skew{0});
}

TEST_CASE(
    "reorder: changes are told out of order, each within the window, those of one binding in order, and all of them") {
    for (const auto family : {Family::v4, Family::v6}) {
        ModelServer plain(options(family), t0), server(options(family, "", "reorder=3000@now"), t0);
        Peer straight(plain, t0), peer(server, t0);
        for (auto* p : {&straight, &peer}) {
            ask_active(*p, family);
            p->run(30s);
        }
        plain.stop_churn(t0 + 30s);
        server.stop_churn(t0 + 30s);
        straight.run(60s);  // until what was to expire has expired
        peer.run(60s);
        const auto times = base_times(peer, family);
        CHECK_FALSE(std::is_sorted(times.begin(), times.end()));
        auto highest = times.front();
        for (const auto t : times) {
            CHECK(highest - t <= 4s);
            highest = std::max(highest, t);
        }
        std::map<BindingKey, std::vector<Binding>> in_order, out_of_order;
        for (const auto& b : bindings_of(straight, family))
            in_order[b.key].push_back(b);
        for (const auto& b : bindings_of(peer, family))
            out_of_order[b.key].push_back(b);
        CHECK(in_order == out_of_order);
    }
}

TEST_CASE("stale catch-up: its messages are older than live ones between them, and their last word is the truth") {
    auto o = options(Family::v4, "stale-catch-up");
    o.messages_per_second = 20;
    ModelServer server(o, t0);
    const auto start = server.model().server_now(t0 + 5s);
    Peer peer(server, t0 + 20s);
    ask_active(peer, Family::v4, start);
    peer.run(60s);
    const auto times = base_times(peer, Family::v4);
    CHECK_FALSE(std::is_sorted(times.begin(), times.end()));
    std::map<BindingKey, Binding> last;
    for (const auto& b : bindings_of(peer, Family::v4))
        last[b.key] = b;
    for (const auto& [key, b] : last) {
        const auto number = *server.model().find(key.address);
        CHECK(b.client_id == server.model().truth(number, peer.now()).client_id);
    }
}

TEST_CASE("stale catch-up: what ended before it is told, also of a client that a live message told of first") {
    for (const auto* end : {"end-valid-zero", "end-binding-status"}) {
        auto o = options(Family::v6, "stale-catch-up");
        REQUIRE(apply_personality(end, o.personality));
        o.model.bindings = 3000;
        o.model.churn = 60;
        o.messages_per_second = 20;
        ModelServer server(o, t0);
        Peer peer(server, t0 + 20s);
        ask_active(peer, Family::v6, server.model().server_now(t0 + 5s));
        peer.run(60s);
        std::map<BindingKey, Binding> last;
        for (const auto& b : bindings_of(peer, Family::v6))
            last[b.key] = b;
        std::size_t ended = 0;
        for (std::uint64_t number = 0; number < server.model().bindings(); ++number) {
            const auto before = server.model().truth(number, t0 + 5s);
            if (!before.in_force() || server.model().truth(number, peer.now()).in_force()) continue;
            ++ended;
            const auto told = last.find(before.key);
            CHECK(told != last.end());
            const auto now = server.model().server_now(peer.now());
            const auto over = [&](const Binding& b) { return !b.in_force() || (b.expires_at && *b.expires_at <= now); };
            if (told != last.end()) CHECK(over(told->second));
        }
        CHECK(ended > 0);
    }
}

TEST_CASE("an absurd base-time comes in one message, of the year that was asked for") {
    for (const auto family : {Family::v4, Family::v6}) {
        for (const auto& [fault, seconds] :
             {std::pair{"absurd-base-time@msg:5", 4'102'444'800}, std::pair{"absurd-base-time=1970@msg:5", 0L}}) {
            ModelServer server(options(family, "", fault), t0);
            Peer peer(server, t0);
            ask_bulk(peer, server.model());
            const auto times = base_times(peer, family);
            // 32 bits on the wire: the year 1970 may be read as 2106.
            CHECK((unix_seconds(times[4]) & 0xffffffff) == seconds);
            std::size_t right = 0;
            for (const auto t : times)
                right += t == server.model().server_now(t0);
            CHECK(right == times.size() - 1);
        }
    }
}

TEST_CASE("late end of the former client: told after the lease was passed on, and naming who had it") {
    for (const auto* end : {"end-valid-zero", "end-binding-status", "end-snapshot", "end-empty"}) {
        auto o = options(Family::v6, "late-end-of-former");
        REQUIRE(apply_personality(end, o.personality));
        ModelServer server(o, t0);
        Peer peer(server, t0);
        ask_active(peer, Family::v6);
        peer.run(60s);
        std::size_t late = 0;
        std::map<BindingKey, Bytes> holder;
        for_each_v6(peer, [&](const MessageV6& m) {
            for (const auto& c : m.client_data) {
                const Bytes client(c.client_id.begin(), c.client_id.end());
                for (const auto& l : c.leases) {
                    auto& held_by = holder[{"", l.kind, l.address, l.prefix_len}];
                    if (l.valid > 0)
                        held_by = client;
                    else
                        late += !held_by.empty() && held_by != client;
                }
                late += c.leases.empty() && std::string_view(end) != "end-valid-zero";
            }
        });
        CHECK_MESSAGE(late > 3, end);
    }
}

TEST_CASE(
    "VPNs that bulk does not reach: a query for all is refused, or answered for the default one; Active tells all") {
    for (const auto* word : {"refuses-all-vpns", "ignores-all-vpns"}) {
        auto o = options(Family::v4, word);
        o.model.vpns = 1;
        ModelServer server(o, t0);
        auto all = bulk_v4();
        all.vss = VssV4{254, {}};
        Peer bulk(server, t0);
        bulk.ask(all);
        std::set<std::string> vpns;
        for (const auto& b : bindings_of(bulk, Family::v4))
            vpns.insert(b.key.vpn_id);
        if (std::string_view(word) == "refuses-all-vpns") {
            CHECK(vpns.empty());
            for_each_v4(bulk, [&](const MessageV4& m) { CHECK(m.status->code == StatusCode::not_allowed); });
        } else {
            CHECK(vpns == std::set<std::string>{""});
        }
        Peer active(server, t0);
        active.ask(active_v4());
        active.run(20s);
        for (const auto& b : bindings_of(active, Family::v4))
            vpns.insert(b.key.vpn_id);
        CHECK(vpns == std::set<std::string>{"", vpn_name(1)});
    }
}

TEST_CASE("a range that is taken out of the configuration vanishes from every answer, and nobody says so") {
    for (const auto family : {Family::v4, Family::v6}) {
        ModelServer server(options(family), t0);
        std::set<BindingKey> before, after, told;
        for (const auto& b : everything(server, t0))
            before.insert(b.key);
        server.unconfigure(40, t0 + 1ms);
        std::size_t gone = 0;
        for (std::uint64_t unit = 0; unit < server.model().units(); ++unit)
            gone += server.model().configured(unit, t0 + 1ms) ? 0 : server.model().unit_size(unit);
        CHECK(gone > 10);
        for (const auto& b : everything(server, t0 + 1ms))
            after.insert(b.key);
        CHECK(after.size() < before.size());
        CHECK(server.model().count_in_force(t0) == before.size());
        CHECK(server.model().count_in_force(t0 + 1ms) == after.size());
        Peer active(server, t0 + 1s);
        ask_active(active, family, server.model().server_now(t0));
        active.run(60s);
        const auto& model = server.model();
        for (const auto& b : bindings_of(active, family))
            CHECK(model.configured(model.unit_of(*model.find(b.key.address)), t0 + 1s));
    }
}

TEST_CASE("the fault unconfigure does it in the middle of a connection") {
    ModelServer server(options(Family::v4, "", "unconfigure=50@msg:100"), t0);
    Peer peer(server, t0);
    peer.ask(bulk_v4());
    CHECK(peer.frames().size() < 301);
}

TEST_CASE(
    "a binding with a stray octet behind its last option, or one that cannot be read at all, is so in each message") {
    for (const auto family : {Family::v4, Family::v6}) {
        for (const auto* fault : {"unreadable-option=0@now", "unreadable-lease=0@now"}) {
            ModelServer server(options(family, "", fault), t0);
            const auto before = server.model().truth(0, t0).in_force();
            for (int again = 0; again < 3; ++again) {
                Peer peer(server, t0);
                ask_bulk(peer, server.model());
                CHECK(unreadable(peer, family) == (before || family == Family::v4 ? 1 : 0));
            }
            server.clear_faults();
            Peer active(server, t0);
            ask_active(active, family);
            active.run(300s);
            CHECK(unreadable(active, family) > 3);
            CHECK(unreadable(active, family) < active.frames().size() / 10);
        }
    }
}

TEST_CASE("options of fixed length that come twice mean the same to who takes the first") {
    ModelServer server(options(Family::v6, "options-twice"), t0);
    Peer peer(server, t0);
    ask_bulk(peer, server.model());
    ScratchV6 scratch;
    for (const auto frame : peer.frames()) {
        const auto m = decode_v6(frame, scratch);
        REQUIRE(m);
        CHECK(std::count_if(m->options.begin(), m->options.end(), [](const RawOptionV6& o) { return o.code == 100; }) ==
              2);
    }
    ModelServer v4(options(Family::v4, "options-twice"), t0);
    Peer other(v4, t0);
    ask_bulk(other, v4.model());
    const Bytes base_time{152, 4};
    const auto frame = other.frames().front();
    const auto first = std::search(frame.begin() + 240, frame.end(), base_time.begin(), base_time.end());
    REQUIRE(first != frame.end());
    CHECK(std::equal(first, first + 6, first + 6));
}

TEST_CASE("late identity: the server identifier comes in the second reply and in no other") {
    ModelServer server(options(Family::v4, "late-identity"), t0);
    Peer peer(server, t0);
    peer.ask(bulk_v4());
    std::vector<std::size_t> with;
    std::size_t n = 0;
    for_each_v4(peer, [&](const MessageV4& m) {
        if (m.server_identifier) with.push_back(n);
        ++n;
    });
    CHECK(with == std::vector<std::size_t>{1});
}

TEST_CASE("an active query may be refused by a status: NotAllowed, and the connection closes") {
    for (const auto family : {Family::v4, Family::v6}) {
        ModelServer server(options(family, "active-not-allowed"), t0);
        Peer peer(server, t0);
        ask_active(peer, family);
        std::optional<StatusCode> code;
        if (family == Family::v4)
            for_each_v4(peer, [&](const MessageV4& m) { code = m.status->code; });
        else
            for_each_v6(peer, [&](const MessageV6& m) { code = m.status->code; });
        CHECK(code == StatusCode::not_allowed);
        CHECK(peer.closed);
        CHECK_FALSE(everything(server, t0).empty());
    }
}

TEST_CASE("leases inside IA_NA and IA_PD: one message in which nobody should find them") {
    ModelServer server(options(Family::v6, "", "lease-in-ia@msg:3"), t0);
    Peer peer(server, t0);
    ask_bulk(peer, server.model());
    std::size_t hidden = 0;
    ScratchV6 scratch;
    for (const auto frame : peer.frames()) {
        const auto m = decode_v6(frame, scratch);
        if (!m) {
            ++hidden;
            continue;
        }
        hidden += !m->faults.empty();
        for (const auto& c : m->client_data)
            hidden += m->faults.empty() && c.leases.empty();
    }
    CHECK(hidden == 1);
}

TEST_CASE("the command line knows the words") {
    const char* argv[] = {"leasesim",
                          "--personality",
                          "absolute-expiries,late-identity,options-twice,stale-catch-up",
                          "--personality",
                          "late-end-of-former,refuses-all-vpns,active-not-allowed",
                          "--fault",
                          "reorder=500@now",
                          "--fault",
                          "unconfigure=3@time:5s",
                          "--fault",
                          "unreadable-option=7@now",
                          "--fault",
                          "unreadable-lease=8@now",
                          "--fault",
                          "clock-jitter@prob:0.01",
                          "--fault",
                          "absurd-base-time=1970@msg:9",
                          "--fault",
                          "lease-in-ia@msg:2"};
    const auto parsed = parse_command_line(static_cast<int>(std::size(argv)), argv);
    REQUIRE(std::holds_alternative<Run>(parsed));
    const auto& p = std::get<Run>(parsed).server.personality;
    CHECK(p.absolute_expiries);
    CHECK(p.all_vpns == AllVpns::refuse);
    CHECK(p.on_active == OnActive::not_allowed);
}

TEST_CASE("clients that are attached directly: as many as were asked for, and no link is told of them") {
    auto o = options(Family::v6);
    o.model.unrelayed_one_in = 2;
    ModelServer server(o, t0);
    std::size_t with = 0, without = 0;
    for (const auto& b : everything(server, t0))
        ++(b.link_address ? with : without);
    CHECK(with > 60);
    CHECK(without > 60);
}
