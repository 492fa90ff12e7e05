#include "tests/leasesim/peer.hpp"
#include "tests/leasesim/program/command_line.hpp"
#include "tests/leasesim/program/control.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace leasemirror;
using namespace leasemirror::leasesim;
using namespace std::chrono_literals;

namespace {

ServerOptions options(Family family) {
    ServerOptions o;
    o.model.family = family;
    o.model.bindings = 300;
    o.model.churn = 20;
    o.model.seed = 31;
    return o;
}

/// A server with one fault, and a peer that asked for a bulk (v6: of link 0), or for an active query.
struct Struck {
    Struck(Family family, std::string_view fault, bool active = false, std::optional<ServerTime> start = {})
        : server(with(family, fault), t0), peer(server, t0 + 30s) {
        if (family == Family::v4)
            peer.ask(active ? active_v4(start) : bulk_v4());
        else if (active)
            peer.ask(active_v6(start));
        else
            peer.ask(query_v6(QueryTypeV6::by_link_address, server.model().link_address(0)));
    }
    static ServerOptions with(Family family, std::string_view fault) {
        auto o = options(family);
        const auto f = parse_fault(fault);
        REQUIRE(f);
        o.faults.push_back(*f);
        return o;
    }
    ModelServer server;
    Peer peer;
};

std::size_t undecodable(const Peer& peer, Family family) {
    std::size_t n = 0;
    ScratchV4 v4;
    ScratchV6 v6;
    for (const auto frame : peer.frames())
        n += family == Family::v4 ? !decode_v4(frame, v4) : !decode_v6(frame, v6);
    return n;
}

}  // namespace

TEST_CASE("faults of framing: cut, half a frame, a length of zero, octet by octet, garbage") {
    for (const auto family : {Family::v4, Family::v6}) {
        Struck cut(family, "cut@msg:6");
        CHECK(cut.peer.closed);
        CHECK(cut.peer.frames().size() == 5);

        Struck half(family, "truncated-frame@msg:6");
        CHECK(half.peer.closed);
        CHECK(half.peer.frames().size() == 5);
        std::size_t whole = 0;
        for (const auto f : half.peer.frames())
            whole += 2 + f.size();
        CHECK(half.peer.stream.size() > whole);

        Struck zero(family, "zero-length-frame@msg:6");
        const auto frames = zero.peer.frames();
        CHECK(std::count_if(frames.begin(), frames.end(), [](ByteView f) { return f.empty(); }) == 1);

        Struck tiny(family, "tiny-writes=50@msg:1");
        CHECK(std::count(tiny.peer.writes.begin(), tiny.peer.writes.end(), 1U) == 50);
        CHECK(undecodable(tiny.peer, family) == 0);

        Struck garbage(family, "garbage-message@msg:4*1");
        CHECK(undecodable(garbage.peer, family) == 1);
        CHECK_FALSE(garbage.peer.closed);
    }
}

TEST_CASE("faults of identity: a wrong xid, no server-id, a foreign client-id, a DONE that nobody asked for") {
    for (const auto family : {Family::v4, Family::v6}) {
        for (const auto* fault : {"wrong-xid@msg:3", "done-for-foreign-xid@msg:3"}) {
            Struck s(family, fault);
            std::size_t wrong = 0;
            if (family == Family::v4)
                for_each_v4(s.peer, [&](const MessageV4& m) { wrong += m.xid != 7; });
            else
                for_each_v6(s.peer, [&](const MessageV6& m) { wrong += m.xid != 7; });
            CHECK(wrong == 1);
        }
        Struck s(family, "missing-server-id@now");
        if (family == Family::v4)
            for_each_v4(s.peer, [&](const MessageV4& m) { CHECK_FALSE(m.server_identifier); });
        else
            for_each_v6(s.peer, [&](const MessageV6& m) { CHECK(m.server_id.empty()); });
    }
    Struck foreign(Family::v6, "foreign-client-id@now");
    for_each_v6(foreign.peer, [&](const MessageV6& m) {
        if (m.type == MessageTypeV6::lease_query_reply) CHECK_FALSE(std::ranges::equal(m.client_id, requestor_duid));
    });
}

TEST_CASE("faults of encoding in v4: split, overloaded, option 51 in UNASSIGNED, a NUL, a broken option 82") {
    for (const auto* fault : {"split-option-82=7@prob:1", "overloaded-options@prob:1"}) {
        Struck plain(Family::v4, "cut@msg:100000");
        Struck struck(Family::v4, fault);
        CHECK(struck.peer.stream != plain.peer.stream);
        CHECK(bindings_of(struck.peer, Family::v4) == bindings_of(plain.peer, Family::v4));
    }
    Struck timed(Family::v4, "unassigned-with-lease-time@now");
    std::size_t n = 0;
    for_each_v4(timed.peer,
                [&](const MessageV4& m) { n += m.type == MessageTypeV4::lease_unassigned && m.lease_time; });
    CHECK(n == 1);
    Struck broken(Family::v4, "broken-relay-data@msg:5");
    std::size_t bad = 0;
    for_each_v4(broken.peer, [&](const MessageV4& m) {
        bad += decode_relay_agent_information(m.relay_agent_information).fault.has_value();
    });
    CHECK(bad == 1);
    auto m = bulk_v4();
    m.ciaddr = IpAddress::v4(1);
    Struck refused(Family::v4, "nul-in-status@now");
    refused.peer.ask(m);
    bool seen = false;
    for_each_v4(refused.peer, [&](const MessageV4& r) {
        seen = seen || (r.status && r.status->text.find('\0') != std::string_view::npos);
    });
    CHECK(seen);
}

TEST_CASE("faults of order and content in v6") {
    Struck early(Family::v6, "data-before-reply@now");
    Struck twice(Family::v6, "second-reply@msg:4");
    std::vector<MessageTypeV6> first;
    for_each_v6(early.peer, [&](const MessageV6& m) { first.push_back(m.type); });
    CHECK(first.at(0) == MessageTypeV6::lease_query_data);
    CHECK(first.at(1) == MessageTypeV6::lease_query_reply);
    std::size_t replies = 0;
    for_each_v6(twice.peer, [&](const MessageV6& m) { replies += m.type == MessageTypeV6::lease_query_reply; });
    CHECK(replies == 2);
    Struck timeless(Family::v6, "no-client-time@msg:3");
    std::size_t faults = 0;
    for_each_v6(timeless.peer, [&](const MessageV6& m) { faults += m.faults.size(); });
    CHECK(faults == 1);
    Struck broken(Family::v6, "broken-relay-data@msg:3");
    std::size_t bad = 0;
    for_each_v6(broken.peer, [&](const MessageV6& m) {
        for (const auto& c : m.client_data) {
            if (c.relay_data.empty()) continue;
            const auto relay = decode_relay_data(c.relay_data);
            bad += !relay || relay->fault;
        }
    });
    CHECK(bad == 1);
}

TEST_CASE("requests that end with an error, or with QueryTerminated, close the connection") {
    for (const auto family : {Family::v4, Family::v6})
        for (const bool active : {false, true})
            for (const auto* fault : {"done-with-error@msg:6", "query-terminated@msg:6"}) {
                Struck s(family, fault, active);
                s.peer.run(5s);
                CHECK(s.peer.closed);
                std::optional<StatusCode> last;
                if (family == Family::v4)
                    for_each_v4(s.peer, [&](const MessageV4& m) {
                        last = m.status ? std::optional(m.status->code) : std::nullopt;
                    });
                else
                    for_each_v6(s.peer, [&](const MessageV6& m) {
                        last = m.status ? std::optional(m.status->code) : std::nullopt;
                    });
                CHECK(last == (fault[0] == 'd' ? StatusCode::unspec_fail : StatusCode::query_terminated));
            }
}

TEST_CASE("silence sends nothing, not even keep-alives, and loses nothing") {
    Struck s(Family::v4, "silence=130@time:40s", true);
    s.peer.run(10s);
    s.peer.forget();
    s.peer.run(129s);
    CHECK(s.peer.frames().empty());
    s.peer.run(5s);
    CHECK(s.peer.frames().size() > 20 * 125);
}

TEST_CASE("catch-up that never completes, and one that is cut") {
    for (const auto family : {Family::v4, Family::v6}) {
        const auto start = ServerTime{std::chrono::duration_cast<std::chrono::seconds>((t0 + 20s).time_since_epoch())};
        Struck endless(family, "no-catch-up-complete@now", true, start);
        endless.peer.run(100s);
        std::size_t statuses = 0;
        if (family == Family::v4)
            for_each_v4(endless.peer, [&](const MessageV4& m) { statuses += m.status.has_value(); });
        else
            for_each_v6(endless.peer, [&](const MessageV6& m) { statuses += m.status.has_value(); });
        CHECK(statuses == 0);
        CHECK(endless.peer.frames().size() > 2000);
        Struck cut(family, "close-in-catch-up@msg:10", true, start);
        CHECK(cut.peer.closed);
        CHECK(cut.peer.frames().size() == 9);
    }
}

TEST_CASE("DataMissing while live really loses changes, and carries the base-time of its end") {
    for (const auto family : {Family::v4, Family::v6}) {
        Struck s(family, "data-missing=5@time:40s", true);
        s.peer.run(9s);
        s.peer.forget();
        s.peer.run(2s);
        const auto before = s.peer.frames().size();
        s.peer.run(5s);
        std::optional<ServerTime> base;
        const auto check = [&](const auto& m) {
            if (m.status && m.status->code == StatusCode::data_missing) base = m.base_time;
        };
        if (family == Family::v4)
            for_each_v4(s.peer, check);
        else
            for_each_v6(s.peer, check);
        REQUIRE(base);
        CHECK(*base == s.server.model().server_now(t0 + 45s));
        CHECK(before <= 60);
        CHECK_FALSE(s.peer.closed);
    }
}

TEST_CASE("refuse, clock steps, and frames that are held together") {
    Struck refused(Family::v4, "refuse@now*0");
    CHECK(refused.peer.closed);
    CHECK(refused.peer.stream.empty());
    Struck stepped(Family::v4, "clock-step=-60000@time:31s", true);
    stepped.peer.run(2s);
    CHECK(stepped.server.model().server_now(t0 + 32s) == ServerTime{1'760'000'000s - 28s});
    Struck held(Family::v4, "hold-frames=5@time:35s", true);
    held.peer.run(5s);
    held.peer.forget();
    held.peer.run(1s);
    CHECK(held.peer.writes.front() > 1000);
}

TEST_CASE("a fault with a number of times strikes that often, and by chance about as often as it should") {
    Struck thrice(Family::v4, "broken-relay-data@prob:0.5*3");
    CHECK(thrice.server.stats().faults == 3);
    Struck chance(Family::v4, "wrong-xid@prob:0.1");
    CHECK(chance.server.stats().faults > 10);
    CHECK(chance.server.stats().faults < 60);
}

TEST_CASE("the command line says what is wrong with it") {
    const auto parse = [](std::vector<const char*> words) {
        words.insert(words.begin(), "leasesim");
        return parse_command_line(static_cast<int>(words.size()), words.data());
    };
    const auto good =
        parse({"--family", "v6", "--listen", "[::1]:0", "--personality", "all-leases,end-snapshot", "--fault",
               "cut@msg:5", "--fault", "silence=200@time:1m", "--history", "30s", "--skew", "-1500"});
    REQUIRE(std::holds_alternative<Run>(good));
    const auto& run = std::get<Run>(good);
    CHECK(run.server.faults.size() == 2);
    CHECK(run.server.personality.end == EndEncoding::snapshot);
    CHECK(run.server.model.skew == -1500ms);
    CHECK(run.address == "::1");
    const std::vector<std::vector<const char*>> bad{
        {"--fault", "cut"}, {"--personality", "odd"}, {"--listen", "here"}, {"--family", "v5"}, {"--nonsense"}};
    for (const auto& words : bad)
        CHECK(std::get<Exit>(parse(words)).code == 2);
}

TEST_CASE("control commands answer in lines of which the last is ok or error") {
    ModelServer server(options(Family::v6), t0);
    std::vector<std::string> lines;
    const auto command = [&](std::string_view line) {
        lines.clear();
        return control(server, line, t0 + 5s, [&](const std::string& text) { lines.push_back(text); });
    };
    CHECK(command("dump").understood);
    CHECK(lines.size() == server.model().count_in_force(t0 + 5s) + 1);
    CHECK(lines.front().find("\"client_id\":\"") != std::string::npos);
    CHECK(lines.back() == "ok " + std::to_string(lines.size() - 1));
    CHECK(command("step-clock -2000").understood);
    CHECK(server.model().clock().offset(t0 + 6s) == -2s);
    CHECK(command("stop-churn").understood);
    CHECK(command("identity 00:03:00:01:02:03:04:05:06:07").understood);
    CHECK(server.server_id().size() == 10);
    CHECK(command("fault cut@now").understood);
    CHECK_FALSE(command("sing").understood);
    CHECK(lines.back().starts_with("error"));
    CHECK(command("shutdown").leave);
}
