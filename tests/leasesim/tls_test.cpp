// STARTTLS and DHCPTLS as the model decides them. The handshake itself is tls_pipe_test.cpp.
#include "tests/leasesim/peer.hpp"
#include "tests/leasesim/program/command_line.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::leasesim;
using namespace std::chrono_literals;

namespace {

ServerOptions options(Family family, TlsMode tls, std::string_view fault = "") {
    ServerOptions o;
    o.model.family = family;
    o.model.bindings = 100;
    o.tls = tls;
    if (const auto f = parse_fault(fault)) o.faults.push_back(*f);
    return o;
}

void ask_for_tls(Peer& peer, Family family) {
    if (family == Family::v4) {
        MessageV4 m;
        m.op = 1;
        m.type = MessageTypeV4::tls;
        m.xid = 7;
        return peer.ask(m);
    }
    MessageV6 m;
    m.type = MessageTypeV6::start_tls;
    m.xid = 7;
    peer.ask(m);
}

void ask_for_data(Peer& peer, ModelServer& server, bool active) {
    if (server.model().family() == Family::v4) return peer.ask(active ? active_v4() : bulk_v4());
    if (active) return peer.ask(active_v6());
    peer.ask(query_v6(QueryTypeV6::by_link_address, server.model().link_address(0)));
}

/// The only frame there is, as the status in it; 0 for none. Checks type and transaction-id on the way.
std::uint16_t only_answer(const Peer& peer, Family family, std::uint32_t xid = 7) {
    REQUIRE(peer.frames().size() == 1);
    std::uint16_t number = 0;
    const auto look = [&](const auto& m, auto type) {
        CHECK(m.type == type);
        CHECK(m.xid == xid);
        CHECK(m.options.size() <= (family == Family::v4 ? 2U : 1U));
        if (m.status) number = m.status->number;
    };
    if (family == Family::v4)
        for_each_v4(peer, [&](const MessageV4& m) { look(m, MessageTypeV4::tls); });
    else
        for_each_v6(peer, [&](const MessageV6& m) { look(m, MessageTypeV6::reply); });
    return number;
}

constexpr std::array families{Family::v4, Family::v6};

}  // namespace

TEST_CASE("an upgrade is agreed to without options, then TLS begins, and queries are answered within it") {
    for (const auto family : families)
        for (const bool active : {false, true}) {
            ModelServer server(options(family, TlsMode::starttls), t0);
            Peer peer(server, t0);
            ask_for_tls(peer, family);
            CHECK(only_answer(peer, family) == 0);
            CHECK(peer.begun == std::vector{TlsTrouble::none});
            CHECK(peer.connection().space() == 0);  // the handshake is not the model's
            peer.connection().on_secured(t0);
            peer.forget();
            ask_for_data(peer, server, active);
            CHECK(peer.connection().is_active_query() == active);
            CHECK(server.stats().bulk_queries + server.stats().active_queries == 1);
            CHECK(server.stats().upgrade_requests == 1);
            CHECK(server.stats().clear_queries == 0);
            CHECK(server.stats().handshakes == 1);
            CHECK_FALSE(peer.closed);
        }
}

TEST_CASE("with direct TLS the handshake comes first, and nothing is said before it") {
    for (const auto family : families) {
        ModelServer server(options(family, TlsMode::direct), t0);
        Peer peer(server, t0);
        peer.drain();
        CHECK(peer.begun.size() == 1);
        CHECK(peer.stream.empty());
        peer.connection().on_secured(t0);
        ask_for_data(peer, server, false);
        CHECK(server.stats().bulk_queries == 1);
        // Within TLS there is nothing to upgrade.
        ask_for_tls(peer, family);
        CHECK(peer.closed);
    }
}

TEST_CASE("a query in clear text is counted; it closes the connection, unless clear text is allowed") {
    for (const auto family : families)
        for (const bool allowed : {false, true}) {
            auto o = options(family, TlsMode::starttls);
            o.clear_text_allowed = allowed;
            ModelServer server(o, t0);
            Peer peer(server, t0);
            ask_for_data(peer, server, false);
            CHECK(server.stats().clear_queries == 1);
            CHECK(peer.closed == !allowed);
            CHECK(peer.stream.empty() == !allowed);
            if (!allowed) continue;
            // RFC 7653 §9.1: STARTTLS is the first message, or it is none.
            ask_for_tls(peer, family);
            CHECK(peer.closed);
        }
}

TEST_CASE("octets behind the request for an upgrade close the connection") {
    for (const auto family : families) {
        ModelServer server(options(family, TlsMode::starttls), t0);
        Peer peer(server, t0);
        MessageV4 v4;
        v4.type = MessageTypeV4::tls;
        MessageV6 v6;
        v6.type = MessageTypeV6::start_tls;
        auto octets = family == Family::v4 ? framed(v4) : framed(v6);
        octets.push_back(22);
        peer.send(octets);
        CHECK(peer.closed);
        CHECK(peer.stream.empty());
        CHECK(peer.begun.empty());
    }
}

TEST_CASE("without TLS an upgrade is refused with TLSConnectionRefused, and by a bulk-only server with a close") {
    for (const auto family : families) {
        ModelServer server(options(family, TlsMode::off), t0);
        Peer peer(server, t0);
        ask_for_tls(peer, family);
        CHECK(only_answer(peer, family) == (family == Family::v4 ? 8 : 15));
        CHECK_FALSE(peer.closed);
        CHECK(server.stats().upgrade_requests == 0);  // counted only where TLS is on
        auto o = options(family, TlsMode::off);
        o.personality = kea_personality();
        ModelServer kea(o, t0);
        Peer other(kea, t0);
        ask_for_tls(other, family);
        CHECK(other.closed);
        CHECK(other.stream.empty());
    }
}

TEST_CASE("faults of the upgrade: refused, another status, another transaction-id, silence, close, octets behind it") {
    for (const auto family : families) {
        const auto tried = [&](std::string_view fault, auto check) {
            INFO(fault);
            ModelServer server(options(family, TlsMode::starttls, fault), t0);
            Peer peer(server, t0);
            ask_for_tls(peer, family);
            CHECK(server.stats().faults == 1);
            check(peer);
        };
        tried("tls-refused@now", [&](const Peer& p) {
            CHECK(only_answer(p, family) == (family == Family::v4 ? 8 : 15));
            CHECK(p.begun.empty());
        });
        for (const int number : {1, 10, 200})
            tried("tls-status=" + std::to_string(number) + "@now", [&](const Peer& p) {
                CHECK(only_answer(p, family) == number);
                CHECK(p.begun.empty());
            });
        tried("tls-no-answer@now", [&](const Peer& p) {
            CHECK(p.stream.empty());
            CHECK_FALSE(p.closed);
        });
        tried("tls-close@now", [&](const Peer& p) {
            CHECK(p.stream.empty());
            CHECK(p.closed);
        });
        tried("tls-wrong-xid@now", [&](const Peer& p) { CHECK(only_answer(p, family, 7 ^ 0x5a5a5a) == 0); });
        tried("tls-clear-octets@now", [&](const Peer& p) {
            CHECK(p.frames().size() == 2);
            CHECK(p.writes.size() == 1);  // in one write with the answer
            CHECK(p.begun.size() == 1);
        });
    }
}

TEST_CASE("faults of the handshake are told to whoever makes it, with STARTTLS and without") {
    for (const auto mode : {TlsMode::starttls, TlsMode::direct})
        for (const auto& [word, trouble] :
             {std::pair{"tls-truncated@now", TlsTrouble::truncated}, std::pair{"tls-garbage@now", TlsTrouble::garbage},
              std::pair{"tls-stall@now", TlsTrouble::stall},
              std::pair{"tls-renegotiate@now", TlsTrouble::renegotiate}}) {
            ModelServer server(options(Family::v6, mode, word), t0);
            Peer peer(server, t0);
            if (mode == TlsMode::starttls)
                ask_for_tls(peer, Family::v6);
            else
                peer.drain();
            CHECK(peer.begun == std::vector{trouble});
            Peer second(server, t0);  // once, unless told otherwise
            if (mode == TlsMode::starttls)
                ask_for_tls(second, Family::v6);
            else
                second.drain();
            CHECK(second.begun == std::vector{TlsTrouble::none});
        }
}

TEST_CASE("a handshake that fails closes the connection; one that never ends does so after BULK_LQ_DATA_TIMEOUT") {
    ModelServer server(options(Family::v6, TlsMode::direct), t0);
    Peer failed(server, t0);
    failed.drain();
    failed.connection().on_handshake_failed("wrong version number", true, t0);
    failed.drain();
    CHECK(failed.closed);
    CHECK(server.stats().handshakes_failed == 1);
    CHECK(server.stats().handshake_error == "wrong version number");
    CHECK(server.stats().clear_queries == 1);
    Peer slow(server, t0);
    slow.run(299s);
    CHECK_FALSE(slow.closed);
    slow.run(1s);
    CHECK(slow.closed);
}

TEST_CASE("tls-cut ends a secured connection without close_notify; other ends announce themselves") {
    for (const std::string fault : {"tls-cut@msg:4", "cut@msg:4"}) {
        ModelServer server(options(Family::v4, TlsMode::direct, fault), t0);
        Peer peer(server, t0);
        peer.drain();
        peer.connection().on_secured(t0);
        ask_for_data(peer, server, false);
        CHECK(peer.closed);
        CHECK(peer.frames().size() == 3);
        CHECK(peer.unannounced == (fault == "tls-cut@msg:4"));
    }
}

TEST_CASE("the command line asks for what TLS needs") {
    const auto parsed = [](std::vector<const char*> words) {
        words.insert(words.begin(), "leasesim");
        return parse_command_line(static_cast<int>(words.size()), words.data());
    };
    const auto run = parsed({"--tls", "starttls", "--tls-cert", "c", "--tls-key", "k", "--tls-ca", "a", "--tls-max",
                             "1.2", "--tls-optional"});
    REQUIRE(std::holds_alternative<Run>(run));
    CHECK(std::get<Run>(run).server.tls == TlsMode::starttls);
    CHECK(std::get<Run>(run).server.clear_text_allowed);
    CHECK(std::get<Run>(run).tls.newest == TlsVersion::tls_1_2);
    CHECK(std::get<Run>(run).tls.asks_for_certificate);
    CHECK(std::holds_alternative<Exit>(parsed({"--tls", "direct"})));
    CHECK(std::holds_alternative<Exit>(parsed({"--tls", "direct", "--tls-cert", "c", "--tls-key", "k"})));
    const auto open = parsed({"--tls", "direct", "--tls-cert", "c", "--tls-key", "k", "--tls-no-client-cert"});
    REQUIRE(std::holds_alternative<Run>(open));
    CHECK_FALSE(std::get<Run>(open).tls.asks_for_certificate);
    CHECK(std::holds_alternative<Exit>(parsed({"--tls", "sometimes"})));
}
