// Handshakes in memory: the server's side as leasesim has it, against OpenSSL as a client.
#include "tests/leasesim/program/tls_pipe.hpp"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <stdexcept>

using namespace leasemirror;
using namespace leasemirror::leasesim;

namespace {

/// A key and a certificate that it signed itself, in a file that goes with it. Each side trusts that one file.
class Identity {
public:
    explicit Identity(const char* name) : key_(EVP_EC_gen("P-256")), certificate_(X509_new()) {
        X509_set_version(certificate_, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(certificate_), 1);
        X509_gmtime_adj(X509_getm_notBefore(certificate_), -3600);
        X509_gmtime_adj(X509_getm_notAfter(certificate_), 3600);
        X509_set_pubkey(certificate_, key_);
        auto* subject = X509_get_subject_name(certificate_);
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name), -1, -1,
                                   0);
        X509_set_issuer_name(certificate_, subject);
        REQUIRE(X509_sign(certificate_, key_, EVP_sha256()) > 0);
        char path[] = "/tmp/leasesim-tls-XXXXXX";
        const int file = ::mkstemp(path);
        path_ = path;
        auto* out = ::fdopen(file, "w");
        REQUIRE(PEM_write_PrivateKey(out, key_, nullptr, nullptr, 0, nullptr, nullptr) == 1);
        REQUIRE(PEM_write_X509(out, certificate_) == 1);
        REQUIRE(std::fclose(out) == 0);
    }
    ~Identity() {
        std::filesystem::remove(path_);
        X509_free(certificate_);
        EVP_PKEY_free(key_);
    }
    Identity(const Identity&) = delete;
    Identity& operator=(const Identity&) = delete;
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    EVP_PKEY* key_;
    X509* certificate_;
    std::string path_;
};

TlsOptions options(const Identity& server, const Identity& client) {
    TlsOptions o;
    o.certificate = o.key = server.path();
    o.ca = client.path();
    return o;
}

/// OpenSSL's client, driven to and fro with a pipe.
class Client {
public:
    explicit Client(const Identity* identity)
        : context_(SSL_CTX_new(TLS_client_method())), in_(BIO_new(BIO_s_mem())), out_(BIO_new(BIO_s_mem())) {
        // Speaks everything, so that it is the server that decides.
        SSL_CTX_set_min_proto_version(context_, TLS1_1_VERSION);
        SSL_CTX_set_cipher_list(context_, "ALL:@SECLEVEL=0");
        if (identity != nullptr) {
            REQUIRE(SSL_CTX_use_certificate_file(context_, identity->path().c_str(), SSL_FILETYPE_PEM) == 1);
            REQUIRE(SSL_CTX_use_PrivateKey_file(context_, identity->path().c_str(), SSL_FILETYPE_PEM) == 1);
        }
        ssl_ = SSL_new(context_);
        SSL_set_bio(ssl_, in_, out_);
        SSL_set_connect_state(ssl_);
    }
    ~Client() {
        SSL_free(ssl_);
        SSL_CTX_free(context_);
    }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    /// Until both have nothing more to say.
    void talk(TlsPipe& server) {
        for (int quiet = 0; quiet < 2;) {
            if (!connected && SSL_do_handshake(ssl_) == 1) connected = true;
            if (connected) read();
            const auto said = to_server(server);
            const auto answered = server.take_output();
            from_server.push_back(answered);
            if (!answered.empty()) (void)BIO_write(in_, answered.data(), static_cast<int>(answered.size()));
            quiet = said || !answered.empty() ? 0 : quiet + 1;
        }
    }
    void write(ByteView octets) { REQUIRE(SSL_write(ssl_, octets.data(), static_cast<int>(octets.size())) > 0); }
    void shut() { (void)SSL_shutdown(ssl_); }
    [[nodiscard]] bool said_goodbye() const { return (SSL_get_shutdown(ssl_) & SSL_RECEIVED_SHUTDOWN) != 0; }
    [[nodiscard]] long renegotiations() const { return SSL_num_renegotiations(ssl_); }
    [[nodiscard]] std::string version() const { return SSL_get_version(ssl_); }

    bool connected = false;
    Bytes received;
    std::vector<std::size_t> records;  ///< their sizes, decrypted
    std::vector<Bytes> from_server;

private:
    void read() {
        Bytes room(20'000);
        std::size_t n = 0;
        while (SSL_read_ex(ssl_, room.data(), room.size(), &n) == 1) {
            received.insert(received.end(), room.begin(), room.begin() + static_cast<std::ptrdiff_t>(n));
            records.push_back(n);
        }
    }
    bool to_server(TlsPipe& server) {
        Bytes said(BIO_ctrl_pending(out_));
        if (said.empty()) return false;
        (void)BIO_read(out_, said.data(), static_cast<int>(said.size()));
        server.on_wire(said);
        return true;
    }

    SSL_CTX* context_;
    BIO *in_, *out_;
    SSL* ssl_;
};

Bytes two_frames() {
    Bytes out{0, 3, 'a', 'b', 'c', 0, 200};
    out.resize(out.size() + 200, 'z');
    return out;
}

}  // namespace

TEST_CASE("both sides show certificates, octets pass, and each message is one record") {
    const Identity us("server");
    const Identity them("client");
    for (const auto& [newest, name] :
         {std::pair{TlsVersion::tls_1_1, "TLSv1.1"}, std::pair{TlsVersion::tls_1_2, "TLSv1.2"},
          std::pair{TlsVersion::tls_1_3, "TLSv1.3"}}) {
        auto o = options(us, them);
        o.newest = newest;
        const TlsContext context(o);
        TlsPipe server(context, TlsTrouble::none);
        Client client(&them);
        client.talk(server);
        REQUIRE(client.connected);
        CHECK(server.state() == TlsPipe::State::open);
        CHECK(client.version() == name);
        const Bytes question{0, 1, '?'};
        client.write(question);
        client.talk(server);
        Bytes room(100);
        REQUIRE(server.read(room) == 3);
        CHECK(room[2] == '?');
        CHECK(server.read(room) == 0);
        const auto answer = two_frames();
        server.write(answer);
        client.talk(server);
        CHECK(client.received == answer);
        CHECK(client.records == std::vector<std::size_t>{5, 202});
        server.shut();
        client.talk(server);
        CHECK(client.said_goodbye());
        client.shut();
        client.talk(server);
        CHECK(server.read(room) == 0);
        CHECK(server.state() == TlsPipe::State::ended);
    }
}

TEST_CASE("a requestor without a certificate, or with a stranger's, is turned away; unless none is asked for") {
    const Identity us("server");
    const Identity them("client");
    const Identity stranger("stranger");
    const TlsContext context(options(us, them));
    for (const auto* shown : {static_cast<const Identity*>(nullptr), &stranger}) {
        TlsPipe server(context, TlsTrouble::none);
        Client client(shown);
        client.talk(server);
        CHECK(server.state() == TlsPipe::State::failed);
        CHECK_FALSE(server.error().empty());
        CHECK_FALSE(server.in_clear());
    }
    auto open = options(us, them);
    open.asks_for_certificate = false;
    const TlsContext lax(open);
    TlsPipe server(lax, TlsTrouble::none);
    Client client(nullptr);
    client.talk(server);
    CHECK(server.state() == TlsPipe::State::open);
}

TEST_CASE("clear text in the place of a handshake is known as such") {
    const Identity us("server");
    const TlsContext context(options(us, us));
    TlsPipe server(context, TlsTrouble::none);
    const Bytes query{0, 4, 14, 0, 0, 7};
    server.on_wire(query);
    CHECK(server.state() == TlsPipe::State::failed);
    CHECK(server.in_clear());
}

TEST_CASE("troubles: half a flight, no TLS at all, silence, another handshake") {
    const Identity us("server");
    const Identity them("client");
    auto o = options(us, them);
    o.newest = TlsVersion::tls_1_2;
    const TlsContext context(o);
    const auto first_flight = [&](TlsTrouble trouble, TlsPipe::State state) {
        TlsPipe server(context, trouble);
        Client client(&them);
        client.talk(server);
        CHECK(server.state() == state);
        CHECK(client.connected == (state == TlsPipe::State::open));
        return client.from_server.front();
    };
    const auto whole = first_flight(TlsTrouble::none, TlsPipe::State::open);
    const auto half = first_flight(TlsTrouble::truncated, TlsPipe::State::failed);
    CHECK(half.size() > whole.size() / 3);
    CHECK(half.size() < whole.size() * 2 / 3);
    CHECK(first_flight(TlsTrouble::stall, TlsPipe::State::handshaking).empty());
    CHECK(first_flight(TlsTrouble::garbage, TlsPipe::State::handshaking).front() == 'H');

    // A client that may renegotiate does; octets pass meanwhile as before.
    TlsPipe server(context, TlsTrouble::renegotiate);
    Client client(&them);
    client.talk(server);
    CHECK(client.connected);
    Bytes room(10);
    for (int flight = 0; flight < 2; ++flight) {
        CHECK(server.read(room) == 0);  // which is where the second handshake goes on
        client.talk(server);
    }
    CHECK(client.renegotiations() == 1);
    const Bytes question{0, 1, '?'};
    client.write(question);
    client.talk(server);
    CHECK(server.read(room) == 3);
    CHECK(server.state() == TlsPipe::State::open);
}

TEST_CASE("files that cannot be used are named") {
    const Identity us("server");
    auto o = options(us, us);
    o.key = "/nonexistent/key.pem";
    CHECK_THROWS_WITH_AS(TlsContext{o}, doctest::Contains("/nonexistent/key.pem"), std::runtime_error);
}
