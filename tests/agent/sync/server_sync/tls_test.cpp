// What ServerSync makes of a connection's being secured, or not: the connection itself is tests/agent/tls_*.
#include "tests/agent/sync/driver.hpp"

#include <doctest/doctest.h>

using namespace leasemirror;
using namespace leasemirror::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* refused = "TLS: the server refused our certificate";

ServerConfig over_tls(ServerConfig server) {
    server.tls.mode = TlsMode::starttls;
    return server;
}

CertificateEnd ends_in(const SyncDriver& d, std::chrono::seconds left) {
    return {std::chrono::floor<std::chrono::seconds>(d.now().utc) + left, CertificateEnd::Whose::the_servers};
}

}  // namespace

TEST_CASE("over TLS three stages may each take timeouts.connect, in clear text there is one") {
    auto config = server_v4();
    config.timeouts.connect = 10s;
    SyncDriver clear(config);
    REQUIRE(clear.connecting[0].size() == 1);
    clear.passes(10s);
    CHECK(clear.phase() == Phase::down);

    SyncDriver secured(over_tls(config));
    secured.passes(29s);
    CHECK(secured.phase() == Phase::connecting);
    CHECK(secured.connecting[0].size() == 1);
    secured.passes(1s);
    CHECK(secured.phase() == Phase::down);
}

TEST_CASE("a server that refuses us after the handshake cannot be connected to, and keeps nothing of the job") {
    SyncDriver d(over_tls(server_v4()));
    const auto bulk = d.accepts();
    CHECK(bulk.query() == "bulk everything in every VPN");
    bulk.refuses_late(refused);
    (void)d.writes();
    CHECK(d.status().last_error.ends_with(std::string(": ") + refused));
    CHECK(d.status().last_error.starts_with("cannot connect to "));
    // However often: it is not the query that failed, so the job goes on when the server has made up its mind.
    for (int i = 0; i < 20; ++i) {
        const auto again = d.accepts_within(2min);
        CHECK(again.query() == "bulk everything in every VPN");
        again.refuses_late(refused);
    }
    const auto at_last = d.accepts_within(2min);
    at_last.tells("192.0.2.1");
    at_last.ends();
    CHECK(d.accepts_within(2min).query().starts_with("active from @"));
}

TEST_CASE("a refusal after the handshake says nothing of whether the server knows active leasequery") {
    SyncDriver d(over_tls(server_v4()), resume_at(900));
    for (int i = 0; i < 8; ++i) {
        const auto active = d.accepts_within(2min);
        CHECK(active.query() == "active from @900");
        active.refuses_late(refused);
        CHECK(d.phase() == Phase::down);
    }
    CHECK_FALSE(d.logged("polling-instead"));
    const auto active = d.accepts_within(2min);
    active.catches_up();
    CHECK(d.phase() == Phase::live);
    for (int minute = 0; minute < 11; ++minute) {  // of the attempts before, no alarm about their catch-up is left
        d.passes(1min);
        active.keeps_alive();
    }
    (void)d.writes();
    CHECK(d.status().last_error.ends_with(refused));
}

TEST_CASE("a server that closes, or refuses us late, before it has answered anything is left alone by all queries") {
    // A full bulk and the active query are due. Some servers close without a word where they refuse a certificate.
    for (const bool says_why : {false, true}) {
        auto resume = resume_at(900);
        resume.last_full_sync_at.reset();
        SyncDriver d(over_tls(server_v4()), resume);
        bool active_had_its_turn = false;
        for (std::size_t i = 1; i <= 5; ++i) {
            const auto peer = d.accepts();
            active_had_its_turn = active_had_its_turn || peer.query().starts_with("active");
            says_why ? peer.refuses_late(refused) : peer.closes();
            CHECK(d.times_logged("error") >= 1);
            CHECK(d.times_logged("error") <= i);  // one attempt is one line at most
            d.passes(4'900ms);
            REQUIRE(d.connecting[0].empty());
            for (int waited = 0; d.connecting[0].empty() && waited < 70; ++waited)
                d.passes(1s);
            REQUIRE(d.connecting[0].size() == 1);
        }
        CHECK((says_why || active_had_its_turn));  // it may be the bulk query alone that the server does not know
    }
}

TEST_CASE("an active query that is closed without an answer puts off the questions about doubts, too") {
    auto resume = resume_at(900);
    resume.doubts_open = 1;
    resume.doubts.resize(1);
    resume.doubts[0].key = {"", BindingKind::address, address("2001:db8:1::a"), 128};
    resume.doubts[0].why = Doubt::unlisted;
    SyncDriver d(over_tls(server_v6()), resume);
    d.applied.doubts_open = 1;
    d.accepts().closes();
    d.passes(5'900ms);
    CHECK(d.times_logged("error") == 1);
    CHECK(d.connecting[0].empty());
}

TEST_CASE("the end of the certificate is in the status, and warned of each day while it is near") {
    SyncDriver d(over_tls(server_v4()), resume_at(900));
    const auto end = ends_in(d, std::chrono::days{5} + 1h);
    const auto active = d.accepts(0, end);
    active.catches_up();
    (void)d.writes();
    CHECK(d.status().certificate_expires_at == end.at);
    CHECK(d.times_logged("certificate") == 1);
    for (int hour = 1; hour <= 24; ++hour) {
        CHECK(d.times_logged("certificate") == 1);
        for (int minute = 0; minute < 60; ++minute) {
            d.passes(1min);
            active.keeps_alive();
        }
    }
    CHECK(d.times_logged("certificate") == 2);
    active.closes();
    d.accepts_within(2min, 0, end).catches_up();
    CHECK(d.times_logged("certificate") == 2);
}

TEST_CASE("a certificate that lasts is not warned of") {
    SyncDriver d(over_tls(server_v4()), resume_at(900));
    const auto end = ends_in(d, std::chrono::days{60});
    d.accepts(0, end).catches_up();
    d.passes(1min);
    (void)d.writes();
    CHECK(d.status().certificate_expires_at == end.at);
    CHECK_FALSE(d.logged("certificate"));
}

TEST_CASE("a server without TLS has no certificate to show, even if it had one") {
    auto point = resume_at(900);
    point.certificate_expires_at = UtcSeconds{std::chrono::seconds{t0 + 5000}};
    SyncDriver d(server_v4(), point);
    d.accepts().catches_up();
    (void)d.writes();
    CHECK_FALSE(d.status().certificate_expires_at);
}
