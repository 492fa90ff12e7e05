// Handshakes in memory: our side against OpenSSL as a server. tests/e2e/test_tls.py does the same over sockets.
#include "agent/net/tls_session.hpp"

#include "agent/config/tls_pin.hpp"
#include "agent/net/public_key.hpp"
#include "agent/net/tls_context.hpp"
#include "tests/agent/net/tls_files.hpp"

#include <openssl/ssl.h>

#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <vector>

using namespace leasemirror;
using namespace leasemirror::test;

namespace {

using Handshake = TlsSession::Handshake;
using What = TlsSession::Read::What;

Bytes octets(std::size_t count) {
    Bytes out(count);
    for (std::size_t i = 0; i < count; ++i)
        out[i] = static_cast<std::uint8_t>(i * 7);
    return out;
}

/// A server that shows `identity`, and wants certificates of `authority`.
class Server {
public:
    Server(const Identity& identity, const Identity& authority, int newest = TLS1_3_VERSION)
        : context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) {
        auto* const c = context_.get();
        SSL_CTX_set_security_level(c, 0);
        SSL_CTX_set_min_proto_version(c, TLS1_VERSION);
        SSL_CTX_set_max_proto_version(c, newest);
        SSL_CTX_use_certificate(c, const_cast<X509*>(identity.certificate()));
        SSL_CTX_use_PrivateKey(c, identity.key());
        X509_STORE_add_cert(SSL_CTX_get_cert_store(c), const_cast<X509*>(authority.certificate()));
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
        ssl_.reset(SSL_new(c), SSL_free);
        SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        SSL_set_accept_state(ssl_.get());
    }

    [[nodiscard]] SSL* ssl() { return ssl_.get(); }
    /// Shows this certificate behind its own.
    void show_also(const Identity& above) { SSL_add1_chain_cert(ssl(), const_cast<X509*>(above.certificate())); }
    /// Takes what the client sent, goes on with the handshake, and reads what is for it.
    void take(const Bytes& in) {
        if (!in.empty()) BIO_write(SSL_get_rbio(ssl()), in.data(), static_cast<int>(in.size()));
        if (!SSL_is_init_finished(ssl())) SSL_do_handshake(ssl());
        Bytes room(20000);
        for (int n = 0; SSL_is_init_finished(ssl()) && (n = SSL_read(ssl(), room.data(), 20000)) > 0;)
            received.insert(received.end(), room.begin(), room.begin() + n);
    }
    [[nodiscard]] Bytes output() {
        Bytes out(BIO_ctrl_pending(SSL_get_wbio(ssl())));
        if (!out.empty()) BIO_read(SSL_get_wbio(ssl()), out.data(), static_cast<int>(out.size()));
        return out;
    }
    void send(const Bytes& message) { SSL_write(ssl(), message.data(), static_cast<int>(message.size())); }

    Bytes received;

private:
    std::shared_ptr<SSL_CTX> context_;
    std::shared_ptr<SSL> ssl_;
};

struct Setting {
    TemporaryDirectory directory;
    Identity authority{std::string("authority")};
    Identity agent{CertificateSpec{"agent", {}}, authority};
    Identity dhcp{CertificateSpec{"dhcp", "IP:127.0.0.1", -std::chrono::hours{1}, std::chrono::days{60}}, authority};
    ServerConfig config = server_over_tls(directory, authority, agent);

    [[nodiscard]] std::unique_ptr<TlsSession> open() const {
        const auto credentials = load_tls_credentials(config);
        if (!credentials) FAIL(credentials.error());
        return open_tls_session((*credentials)->loaded());
    }
};

/// Until neither has anything to say. `portion`: octets that arrive at a time, 0 = all.
Handshake shake(TlsSession& client, Server& server, std::size_t portion = 0) {
    auto state = client.handshake();
    for (int quiet = 0; quiet < 2 && state == Handshake::wants_more;) {
        server.take(client.take_output());
        const auto in = server.output();
        quiet = in.empty() ? quiet + 1 : 0;
        for (std::size_t at = 0; at < in.size() && state == Handshake::wants_more;) {
            const auto count = portion == 0 ? in.size() : std::min(portion, in.size() - at);
            client.feed(ByteView(in).subspan(at, count));
            at += count;
            state = client.handshake();
            if (state == Handshake::done && at < in.size()) client.feed(ByteView(in).subspan(at));
        }
    }
    server.take(client.take_output());
    return state;
}

/// All that can be read now, in portions.
Bytes read_all(TlsSession& client, std::size_t portion, What& last) {
    Bytes out;
    Bytes room(portion);
    while (true) {
        const auto read = client.read(room);
        last = read.what;
        if (read.what != What::octets) return out;
        CHECK(read.count <= portion);
        out.insert(out.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(read.count));
    }
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a handshake succeeds whatever the pieces it arrives in, and octets go both ways") {
    const Setting s;
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        for (const std::size_t portion : {0U, 1U, 100U}) {
            Server server(s.dhcp, s.authority, version);
            const auto client = s.open();
            REQUIRE_MESSAGE(shake(*client, server, portion) == Handshake::done, client->why());
            CHECK(SSL_version(server.ssl()) == version);
            client->write(octets(100));
            server.take(client->take_output());
            CHECK(server.received == octets(100));
            server.send(octets(3000));
            client->feed(server.output());
            What last{};
            CHECK(read_all(*client, 700, last) == octets(3000));
            CHECK(last == What::nothing);
            CHECK_FALSE(client->refused_by_server());
        }
    }
}

TEST_CASE("the earlier end of the two certificates is told, and whose it is") {
    Setting s;
    Server server(s.dhcp, s.authority);
    const auto client = s.open();
    REQUIRE(shake(*client, server) == Handshake::done);
    CHECK(client->first_end().whose == CertificateEnd::Whose::the_servers);
    const auto left = client->first_end().at - std::chrono::system_clock::now();
    CHECK(left > std::chrono::days{59});
    CHECK(left < std::chrono::days{61});

    const Identity soon({"soon", {}, -std::chrono::hours{1}, std::chrono::days{3}}, s.authority);
    s.config = server_over_tls(s.directory, s.authority, soon);
    Server again(s.dhcp, s.authority);
    const auto other = s.open();
    REQUIRE(shake(*other, again) == Handshake::done);
    CHECK(other->first_end().whose == CertificateEnd::Whose::ours);
}

TEST_CASE("each message that is sent is a record of its own") {  // RFC 7724 §5.1
    const Setting s;
    Server server(s.dhcp, s.authority, TLS1_2_VERSION);
    const auto client = s.open();
    REQUIRE(shake(*client, server) == Handshake::done);
    client->write(octets(300));
    client->write(octets(300));
    const auto out = client->take_output();
    std::vector<int> kinds;
    for (std::size_t at = 0; at + 5 <= out.size(); at += 5U + static_cast<std::size_t>(out[at + 3] << 8 | out[at + 4]))
        kinds.push_back(out[at]);
    CHECK(kinds == std::vector<int>{23, 23});
}

TEST_CASE("a stream that ends in order is told apart") {
    const Setting s;
    Server server(s.dhcp, s.authority);
    const auto client = s.open();
    REQUIRE(shake(*client, server) == Handshake::done);
    server.send(octets(10));
    SSL_shutdown(server.ssl());
    client->feed(server.output());
    What last{};
    CHECK(read_all(*client, 4, last) == octets(10));
    CHECK(last == What::closed);
    client->close();
    server.take(client->take_output());
    CHECK((SSL_get_shutdown(server.ssl()) & SSL_RECEIVED_SHUTDOWN) != 0);
}

TEST_CASE("octets that were tampered with end the session") {
    const Setting s;
    Server server(s.dhcp, s.authority);
    const auto client = s.open();
    REQUIRE(shake(*client, server) == Handshake::done);
    client->feed(server.output());
    server.send(octets(100));
    auto bad = server.output();
    bad.back() ^= 1;
    client->feed(bad);
    What last{};
    CHECK(read_all(*client, 1000, last).empty());
    CHECK(last == What::failed);
    CHECK(client->why().starts_with("TLS: "));
    CHECK_FALSE(client->refused_by_server());
    client->write(octets(1));  // harmless by now
    CHECK(client->read(bad).what == What::failed);
}

TEST_CASE("a server that asks for a renegotiation is not gone along with") {
    const Setting s;
    Server server(s.dhcp, s.authority, TLS1_2_VERSION);
    const auto client = s.open();
    REQUIRE(shake(*client, server) == Handshake::done);
    SSL_renegotiate(server.ssl());
    SSL_do_handshake(server.ssl());
    client->feed(server.output());
    What last{};
    CHECK(read_all(*client, 1000, last).empty());
    CHECK(last == What::failed);
    CHECK(contains(client->why(), "asked for a renegotiation"));
}

TEST_CASE("a server that refuses our certificate says so, in TLS 1.3 after our side is done") {
    const Setting s;
    const Identity stranger("stranger");
    Server strict(s.dhcp, stranger, TLS1_2_VERSION);
    const auto client = s.open();
    CHECK(shake(*client, strict) == Handshake::failed);
    CHECK(client->refused_by_server());
    CHECK(client->why() == "TLS: the server refused our certificate (CN=agent, tls.cert " + s.config.tls.cert +
                               ") by alert 'unknown CA'; does it trust the authority that issued it?");

    Server late(s.dhcp, stranger);
    const auto other = s.open();
    REQUIRE(shake(*other, late) == Handshake::done);
    other->write(octets(10));
    other->feed(late.output());
    std::array<std::uint8_t, 10> room{};
    CHECK(other->read(room).what == What::failed);
    CHECK(other->refused_by_server());
    CHECK(contains(other->why(), "the server refused our certificate"));
}

TEST_CASE("a server is who the configuration says, or there is no session") {
    Setting s;
    const auto refused = [&](const Identity& shown, int newest = TLS1_3_VERSION) {
        Server server(shown, s.authority, newest);
        const auto client = s.open();
        CHECK(shake(*client, server) == Handshake::failed);
        CHECK_FALSE(SSL_is_init_finished(server.ssl()));
        CHECK(server.received.empty());
        CHECK(client->handshake() == Handshake::failed);
        return client->why();
    };
    const auto named = [&](const std::string& alternative) { return Identity({"dhcp", alternative}, s.authority); };
    CHECK(contains(refused(named("IP:127.0.0.2")), "is for 127.0.0.2, not for 127.0.0.1 (address)"));
    CHECK(contains(refused(named("")), "is for no name or address at all"));
    CHECK(contains(refused(Identity(CertificateSpec{"dhcp", "IP:127.0.0.1"}, Identity("somebody"))),
                   "does not come from an authority in "));
    CHECK(contains(refused(Identity("dhcp")), "is signed by itself"));
    CHECK(contains(refused(s.dhcp, TLS1_1_VERSION), "older"));
    // What a server calls itself goes into the log: it can neither end the line nor run for pages.
    const Identity hostile({"a\nb\x1b[31m" + std::string(40, 'x'), "DNS:evil"}, s.authority);
    const auto why = refused(hostile);
    CHECK(why.find_first_of("\n\x1b") == std::string::npos);

    s.config.tls.server_name = "dhcp";  // what the subject says is no name to go by
    CHECK(contains(refused(named("")), "not for dhcp (tls.server_name)"));
    s.config.tls.server_name = "*.example";
    CHECK(contains(refused(named("DNS:a.example")), "not for *.example (tls.server_name)"));
    s.config.tls.server_name = "dhcp-a.net.example.";
    CHECK(contains(refused(named("DNS:dhcp*.net.example")),
                   "not for dhcp-a.net.example"));  // RFC 9525 §6.3: whole labels alone
    Server whole(named("DNS:*.net.example"), s.authority);
    const auto client = s.open();
    CHECK(shake(*client, whole) == Handshake::done);
}

TEST_CASE("a pinned server has that very key, whatever else is right") {
    Setting s;
    s.config.tls.pins = {public_key_hash(s.agent.certificate())};
    Server other(s.dhcp, s.authority);
    const auto refused = s.open();
    CHECK(shake(*refused, other) == Handshake::failed);
    const auto its_pin = pin_text(public_key_hash(s.dhcp.certificate()));
    CHECK(refused->why() == "TLS: the server's certificate (CN=dhcp) has the key " + its_pin +
                                ", which is not in tls.pin; if its key was changed on purpose, add it there");
    s.config.tls.pins.push_back(public_key_hash(s.dhcp.certificate()));
    Server same(s.dhcp, s.authority);
    const auto accepted = s.open();
    CHECK(shake(*accepted, same) == Handshake::done);
    s.config.tls.ca = s.config.tls.cert;  // a pin comes on top of the authority, not in its place
    Server strange(s.dhcp, s.authority);
    CHECK(shake(*s.open(), strange) == Handshake::failed);
}

TEST_CASE("with tls.crl each authority of the chain has a list there, and none of the chain is revoked") {
    Setting s;
    const Identity between({"between", {}, -std::chrono::hours{1}, std::chrono::days{90}, true}, s.authority);
    const Identity dhcp({"dhcp", "IP:127.0.0.1"}, between);
    s.config.tls.crl = s.directory / "crl.pem";
    const auto said = [&](const std::string& lists) {
        put_file(s.config.tls.crl, lists);
        Server server(dhcp, s.authority);
        server.show_also(between);
        const auto client = s.open();
        return shake(*client, server) == Handshake::done ? "" : client->why();
    };
    const auto of_root = revocation_list_pem(s.authority, {&s.agent});
    const auto of_between = revocation_list_pem(between, {});
    CHECK(said(of_root + of_between) == "");
    CHECK(contains(said(of_root + revocation_list_pem(between, {&dhcp})),
                   "the server's certificate (CN=dhcp) has been revoked by its authority"));
    CHECK(contains(said(revocation_list_pem(s.authority, {&between}) + of_between),
                   "the certificate of an authority above the server's (CN=between) has been revoked"));
    CHECK(contains(said(of_root), "the server's certificate (CN=dhcp) cannot be checked for revocation"));
    CHECK(contains(said(of_between), "authority above the server's (CN=between) cannot be checked for revocation: " +
                                         s.config.tls.crl + " (tls.crl) has no list of the authority that issued it"));

    put_file(s.config.tls.crl, of_root);  // one authority: its list alone
    Server simple(s.dhcp, s.authority);
    const auto client = s.open();
    CHECK_MESSAGE(shake(*client, simple) == Handshake::done, client->why());
}

TEST_CASE("octets that are not TLS are said to be none, with what may be the reason") {
    Setting s;
    const auto said = [&] {
        const auto client = s.open();
        CHECK(client->handshake() == Handshake::wants_more);
        const std::string text = "HTTP/1.1 400 Bad Request\r\n\r\n";
        client->feed(Bytes(text.begin(), text.end()));
        CHECK(client->handshake() == Handshake::failed);
        return client->why();
    };
    CHECK(said() ==
          "TLS: what the server sent is not TLS; if it expects DHCPTLS or STARTTLS first, set tls.mode to "
          "starttls; if it has no TLS at all, as ISC Kea, nothing but tls.mode off reaches it, for a path that "
          "is trusted");
    s.config.tls.mode = TlsMode::starttls;
    CHECK(contains(said(), "after it had agreed to TLS: a fault in it, or somebody on the way is attacking"));
}
