// A Connection over a socket of loopback, in clear text and over TLS: how much it reads, in what portions, how it ends.
#include "agent/net/connection.hpp"

#include "agent/net/tls_context.hpp"
#include "tests/agent/net/tls_files.hpp"

#include <openssl/ssl.h>

#include <doctest/doctest.h>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include <algorithm>
#include <csignal>
#include <functional>
#include <memory>
#include <thread>

using namespace leasemirror;
using namespace leasemirror::test;
using asio::ip::tcp;

namespace {

Bytes pattern(std::size_t count) {
    Bytes out(count);
    for (std::size_t i = 0; i < count; ++i)
        out[i] = static_cast<std::uint8_t>(i * 31 >> 3);
    return out;
}

/// The server's end: blocking, in a thread of its own.
class Line {
public:
    virtual ~Line() = default;
    virtual void write(const Bytes& octets) = 0;
    /// How many octets came; 0 at an orderly end, -1 at any other.
    virtual int read(Bytes& into) = 0;
};

class ClearLine final : public Line {
public:
    explicit ClearLine(tcp::socket& socket) : socket_(socket) {}
    void write(const Bytes& octets) override {
        asio::error_code ended;
        for (std::size_t at = 0; at < octets.size() && !ended;)
            at += socket_.write_some(asio::buffer(octets.data() + at, octets.size() - at), ended);
    }
    int read(Bytes& into) override {
        asio::error_code ended;
        const auto n = socket_.read_some(asio::buffer(into), ended);
        return ended ? 0 : static_cast<int>(n);
    }

private:
    tcp::socket& socket_;
};

class TlsLine final : public Line {
public:
    TlsLine(tcp::socket& socket, const Identity& identity) : context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free) {
        std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets that the other side has closed
        SSL_CTX_use_certificate(context_.get(), const_cast<X509*>(identity.certificate()));
        SSL_CTX_use_PrivateKey(context_.get(), identity.key());
        ssl_.reset(SSL_new(context_.get()), SSL_free);
        SSL_set_fd(ssl_.get(), socket.native_handle());
        SSL_accept(ssl_.get());
    }
    void write(const Bytes& octets) override { SSL_write(ssl_.get(), octets.data(), static_cast<int>(octets.size())); }
    int read(Bytes& into) override {
        const int n = SSL_read(ssl_.get(), into.data(), static_cast<int>(into.size()));
        if (n > 0) return n;
        return SSL_get_error(ssl_.get(), n) == SSL_ERROR_ZERO_RETURN ? 0 : -1;
    }

private:
    std::shared_ptr<SSL_CTX> context_;
    std::shared_ptr<SSL> ssl_;
};

/// Serves one connection, which `play` is the script of.
struct World {
    TemporaryDirectory directory;
    Identity authority{std::string("authority")};
    Identity agent{CertificateSpec{"agent", {}}, authority};
    Identity dhcp{CertificateSpec{"dhcp", "IP:127.0.0.1"}, authority};
    asio::io_context loop{1};
    asio::io_context its_context;
    tcp::acceptor acceptor{its_context, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
    std::thread thread;
    std::size_t wants = Connection::read_bytes_max;
    Bytes received;
    std::size_t largest = 0;  // of the portions
    std::string ended;
    std::size_t sent = 0;
    std::shared_ptr<Connection> connection;

    World() = default;
    World(const World&) = delete;
    World& operator=(const World&) = delete;
    ~World() {
        if (connection) connection->close();  // what the server's end may still wait for, when a test has failed
        if (thread.joinable()) thread.join();
    }

    void open(TlsMode mode, std::function<void(Line&)> play) {
        thread = std::thread([this, mode, play = std::move(play)] {
            auto socket = acceptor.accept();
            if (mode == TlsMode::off) {
                ClearLine line(socket);
                return play(line);
            }
            TlsLine line(socket, dhcp);
            play(line);
        });
        auto server = server_over_tls(directory, authority, agent);
        server.tls.mode = mode;
        server.port = acceptor.local_endpoint().port();
        auto credentials = load_tls_credentials(server);
        if (!credentials) FAIL(credentials.error());
        ConnectionHooks hooks;
        hooks.connected = [this](auto) { on_connected(); };
        hooks.connect_failed = [this](const std::string& why) { ended = "not connected: " + why; };
        hooks.sent = [this] { ++sent; };
        hooks.received = [this](ByteView in) {
            largest = std::max(largest, in.size());
            received.insert(received.end(), in.begin(), in.end());
            on_received();
        };
        hooks.disconnected = [this](const std::string& how) { ended = how; };
        hooks.wants = [this] { return wants; };
        connection = open_connection(loop, target_of(server), *std::move(credentials), std::move(hooks));
    }
    std::function<void()> on_connected = [this] { connection->read_if_wanted(); };
    std::function<void()> on_received = [this] { connection->read_if_wanted(); };

    template <class Condition>
    void run_until(Condition condition) {
        const auto patience = std::chrono::steady_clock::now() + std::chrono::minutes{1};
        while (!condition() && std::chrono::steady_clock::now() < patience) {
            loop.restart();
            loop.run_one_until(patience);
        }
        REQUIRE(condition());
    }
};

}  // namespace

TEST_CASE("what a server sends arrives whole, in portions no larger than wanted, and not while nothing is wanted") {
    for (const auto mode : {TlsMode::off, TlsMode::direct}) {
        World w;
        const auto all = pattern(200'000);
        w.wants = 700;
        w.open(mode, [&all](Line& line) {
            for (std::size_t at = 0; at < all.size(); at += 50'000)
                line.write(Bytes(all.begin() + static_cast<std::ptrdiff_t>(at),
                                 all.begin() + static_cast<std::ptrdiff_t>(at + 50'000)));
            Bytes room(100);
            CHECK(line.read(room) == 0);
        });
        w.run_until([&] { return w.received.size() >= 100'000; });
        // Nothing is wanted: even what has been decrypted already stays where it is, whatever the loop does meanwhile.
        w.wants = 0;
        const auto before = w.received.size();
        CHECK(w.largest <= 700);
        w.connection->read_if_wanted();
        w.loop.poll();
        w.connection->read_if_wanted();
        w.loop.poll();
        CHECK(w.received.size() - before <= 700);  // a read that was under way may bring what it was asked for
        w.wants = 3000;
        w.connection->read_if_wanted();
        w.run_until([&] { return w.received.size() == all.size(); });
        CHECK(w.received == all);
        CHECK(w.largest <= 3000);
        w.connection->close();
        w.thread.join();
    }
}

TEST_CASE("each message is told to have been sent, and arrives as it was") {
    for (const auto mode : {TlsMode::off, TlsMode::direct}) {
        World w;
        Bytes arrived;
        w.on_connected = [&w] {
            w.connection->send(pattern(100));
            w.connection->send(pattern(40'000));
            w.connection->read_if_wanted();
        };
        w.open(mode, [&arrived](Line& line) {
            Bytes room(20'000);
            while (arrived.size() < 40'100) {
                const int n = line.read(room);
                if (n <= 0) return;
                arrived.insert(arrived.end(), room.begin(), room.begin() + n);
            }
            line.write(Bytes{1});
            CHECK(line.read(room) == 0);
        });
        w.run_until([&] { return w.received == Bytes{1} || !w.ended.empty(); });
        CHECK(w.ended.empty());
        CHECK(w.sent == 2);
        w.connection->close();
        w.thread.join();
        auto expected = pattern(100);
        const auto more = pattern(40'000);
        expected.insert(expected.end(), more.begin(), more.end());
        CHECK(arrived == expected);
    }
}

TEST_CASE("no hook is called once the connection is closed") {
    for (const auto mode : {TlsMode::off, TlsMode::direct}) {
        World w;
        w.on_connected = [&w] {
            w.connection->send(pattern(10));
            w.connection->read_if_wanted();
            w.connection->close();
        };
        w.open(mode, [](Line& line) {
            line.write(pattern(10));
            Bytes room(100);
            while (line.read(room) > 0) {
            }
        });
        w.loop.run();
        w.thread.join();
        CHECK(w.sent == 0);
        CHECK(w.received.empty());
        CHECK(w.ended.empty());
    }
}

TEST_CASE("a connection that cannot be had says why, with the endpoint that was tried") {
    World w;
    const auto port = w.acceptor.local_endpoint().port();
    w.acceptor.close();
    ConnectionHooks hooks;
    hooks.connect_failed = [&w](const std::string& why) { w.ended = why; };
    ConnectionTarget target;
    target.host = "localhost";
    target.port = port;
    w.connection = open_connection(w.loop, target, nullptr, std::move(hooks));
    w.loop.run();
    CHECK(w.ended == "Connection refused; does the server listen there for leasequery over TCP?");
    const auto& tried = w.connection->endpoint();
    const auto ending = " port " + std::to_string(port);
    CHECK((tried == "127.0.0.1" + ending || tried == "::1" + ending));
}

TEST_CASE("with a certificate of our own that has expired, no server is connected to, and that is why") {
    World w;
    w.agent = Identity({"old", {}, -std::chrono::hours{2}, -std::chrono::hours{1}}, w.authority);
    for (const auto mode : {TlsMode::starttls, TlsMode::direct}) {
        auto server = server_over_tls(w.directory, w.authority, w.agent);
        server.tls.mode = mode;
        server.port = w.acceptor.local_endpoint().port();
        auto credentials = load_tls_credentials(server);
        if (!credentials) FAIL(credentials.error());
        ConnectionHooks hooks;
        w.ended.clear();
        hooks.connect_failed = [&w](const std::string& why) { w.ended = why; };
        w.connection = open_connection(w.loop, target_of(server), *std::move(credentials), std::move(hooks));
        CHECK(w.ended.empty());
        w.loop.restart();
        w.loop.run();
        CHECK(w.ended.starts_with("TLS: the certificate in tls.cert " + server.tls.cert + " (CN=old) expired on "));
    }
    w.acceptor.non_blocking(true);
    asio::error_code nobody;
    w.acceptor.accept(nobody);
    CHECK(nobody == asio::error::would_block);
}
