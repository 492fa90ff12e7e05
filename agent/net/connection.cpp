#include "agent/net/connection.hpp"

#include "agent/net/tls_context.hpp"
#include "agent/net/tls_session.hpp"
#include "proto/tls_upgrade.hpp"

#include <algorithm>
#include <array>
#include <asio/connect.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/write.hpp>
#include <cassert>
#include <deque>
#include <random>
#include <utility>

namespace leasemirror {
namespace {

using asio::ip::tcp;

enum class Stage : std::uint8_t { resolving, connecting, upgrading, handshaking, open, closed };

/// Writes that may wait for the server to read. Of queries one at a time is outstanding, so it is never more than a
/// few.
constexpr std::size_t outgoing_max = 64;

std::string words(const asio::error_code& error) {
    return error == asio::error::eof ? "closed by the server" : error.message();
}

std::string connect_words(const asio::error_code& error) {
    const auto* hint =
        error == asio::error::connection_refused ? "; does the server listen there for leasequery over TCP?" : "";
    return error.message() + hint;
}

/// Of the message that asks for TLS. Queries count up from less than this (ServerSync).
std::uint32_t upgrade_xid() {
    return 0x800000 | (std::random_device{}() & 0x7fffff);
}

/// Handlers hold it alive; after close() they find Stage::closed and do nothing.
class SocketConnection final : public Connection, public std::enable_shared_from_this<SocketConnection> {
public:
    SocketConnection(asio::io_context& context, ConnectionTarget target, std::shared_ptr<TlsCredentials> credentials,
                     ConnectionHooks hooks)
        : target_(std::move(target)),
          credentials_(std::move(credentials)),
          hooks_(std::move(hooks)),
          resolver_(context),
          socket_(context),
          stage_timer_(context),
          endpoint_(target_.host + " port " + std::to_string(target_.port)) {
        assert((target_.tls == TlsMode::off) == (credentials_ == nullptr));
    }

    void open() {
        enter(Stage::resolving);
        resolver_.async_resolve(target_.host, std::to_string(target_.port), tcp::resolver::numeric_service,
                                [self = shared_from_this()](auto error, auto endpoints) {
                                    if (self->stage_ != Stage::resolving) return;
                                    if (error) return self->lose("the name cannot be resolved: " + words(error));
                                    if (self->credentials_ && !self->refresh_credentials()) return;
                                    self->connect(endpoints);
                                });
    }

    void send(Bytes bytes) override {
        if (stage_ != Stage::open) return;
        if (!tls_) return enqueue(std::move(bytes), Tells::sent);
        tls_->write(bytes);
        enqueue(tls_->take_output(), Tells::sent);
    }

    void read_if_wanted() override {
        if (stage_ != Stage::open || reading_) return;
        const auto octets = std::min(hooks_.wants(), read_bytes_max);
        if (octets == 0) return;
        if (!tls_) return read_socket(octets);
        if (!decrypted_may_wait_) return read_socket(read_bytes_max);
        reading_ = true;
        asio::post(socket_.get_executor(), [self = shared_from_this()] {
            self->reading_ = false;
            if (self->stage_ == Stage::open) self->deliver_decrypted();
        });
    }

    void close() override {
        if (stage_ != Stage::closed) shut();
    }

    [[nodiscard]] const std::string& endpoint() const override { return endpoint_; }

private:
    enum class Tells : std::uint8_t { nothing, sent };
    struct Outgoing {
        Bytes bytes;
        Tells tells;
    };

    // ---- stages ----

    void enter(Stage next) {
        stage_ = next;
        stage_timer_.cancel();
        if (next == Stage::open) return;
        stage_timer_.expires_after(target_.stage_timeout);
        // A timer that has expired cannot be cancelled any more: it must know which stage it was for.
        stage_timer_.async_wait([self = shared_from_this(), number = ++timed_stage_](const asio::error_code& error) {
            if (!error && number == self->timed_stage_) self->on_stage_timeout();
        });
    }

    void on_stage_timeout() {
        switch (stage_) {
            case Stage::resolving:
                return lose("the name was not resolved in time");
            case Stage::connecting:
                return lose("no answer in time");
            case Stage::upgrading:
                upgrade_->on_silence();
                return lose(upgrade_->why());
            case Stage::handshaking:
                return lose("TLS: the handshake did not end in time" + hint_of_mode());
            case Stage::open:
            case Stage::closed:
                return;
        }
    }

    /// Whoever expects a DHCP message first takes our first octets for the length of one, and waits for the rest.
    [[nodiscard]] std::string hint_of_mode() const {
        if (target_.tls == TlsMode::starttls) return "";
        return "; if the server expects " + std::string(target_.family == Family::v4 ? "DHCPTLS" : "STARTTLS") +
               " first, set tls.mode to starttls; " + std::string(no_tls_hint);
    }

    /// False when our own certificate cannot be shown now; that has ended the connection, before it began.
    [[nodiscard]] bool refresh_credentials() {
        if (const auto trouble = credentials_->refresh(); trouble && hooks_.warn) hooks_.warn(*trouble);
        const auto trouble = credentials_->own_certificate_trouble();
        if (trouble) lose("TLS: " + *trouble);
        return !trouble;
    }

    void connect(const tcp::resolver::results_type& endpoints) {
        stage_ = Stage::connecting;  // in the time that resolving has left
        const auto note = [this](const asio::error_code&, const tcp::endpoint& next) {
            endpoint_ = next.address().to_string() + " port " + std::to_string(next.port());
            return true;
        };
        asio::async_connect(socket_, endpoints, note, [self = shared_from_this()](auto error, const auto&) {
            if (self->stage_ != Stage::connecting) return;
            if (error) return self->lose(connect_words(error));
            asio::error_code ignored;  // both options only help; a connection without them is as right
            self->socket_.set_option(tcp::no_delay(true), ignored);
            self->socket_.set_option(asio::socket_base::keep_alive(true), ignored);
            self->on_tcp_connected();
        });
    }

    void on_tcp_connected() {
        switch (target_.tls) {
            case TlsMode::off:
                enter(Stage::open);
                return hooks_.connected(std::nullopt);
            case TlsMode::direct:
                return begin_handshake();
            case TlsMode::starttls:
                enter(Stage::upgrading);
                upgrade_.emplace(target_.family, upgrade_xid());
                enqueue(Bytes(upgrade_->request().begin(), upgrade_->request().end()), Tells::nothing);
                return read_socket(std::min(upgrade_->wants_bytes(), read_bytes_max));
        }
    }

    void on_upgrade_answer(ByteView in) {
        upgrade_->on_bytes(in);
        asio::error_code ignored;
        if (upgrade_->state() == UpgradeState::granted)
            if (const auto behind = socket_.available(ignored); behind > 0) upgrade_->on_octets_behind(behind);
        switch (upgrade_->state()) {
            case UpgradeState::asked:
                return read_socket(std::min(upgrade_->wants_bytes(), read_bytes_max));
            case UpgradeState::granted:
                return begin_handshake();
            case UpgradeState::refused:
                return lose(upgrade_->why());
        }
    }

    void begin_handshake() {
        enter(Stage::handshaking);
        tls_ = open_tls_session(credentials_->loaded());
        decrypted_.resize(read_bytes_max);
        go_on_with_handshake();
    }

    void go_on_with_handshake() {
        switch (tls_->handshake()) {
            case TlsSession::Handshake::wants_more:
                if (flush_tls()) read_socket(read_bytes_max);
                return;
            case TlsSession::Handshake::done:
                if (!flush_tls()) return;
                decrypted_may_wait_ = true;
                enter(Stage::open);
                return hooks_.connected(tls_->first_end());
            case TlsSession::Handshake::failed:
                return lose(tls_->why());
        }
    }

    // ---- writing ----

    void enqueue(Bytes bytes, Tells tells) {
        if (bytes.empty()) return;
        outgoing_.push_back({std::move(bytes), tells});
        if (outgoing_.size() == 1) write_next();
    }

    /// What TLS itself has to say. A server that makes it say much and reads nothing must not fill our memory.
    /// False when that has ended the connection.
    [[nodiscard]] bool flush_tls() {
        if (outgoing_.size() >= outgoing_max) {
            lose("TLS: the server makes us answer more than it reads");
            return false;
        }
        enqueue(tls_->take_output(), Tells::nothing);
        return true;
    }

    void write_next() {
        asio::async_write(socket_, asio::buffer(outgoing_.front().bytes),
                          [self = shared_from_this()](auto error, auto) {
                              if (self->stage_ == Stage::closed) return;
                              if (error) return self->on_write_error(error);
                              const auto tells = self->outgoing_.front().tells;
                              self->outgoing_.pop_front();
                              if (!self->outgoing_.empty()) self->write_next();
                              if (tells == Tells::sent) self->hooks_.sent();
                          });
    }

    /// Over TLS, an alert that the server sent before it hung up explains more than that it did.
    void on_write_error(const asio::error_code& error) {
        if (!tls_) return lose(words(error));
        asio::error_code ended;
        socket_.non_blocking(true, ended);
        while (!ended) {
            const auto n = socket_.read_some(asio::buffer(incoming_), ended);
            tls_->feed(ByteView(incoming_).first(n));
        }
        if (stage_ == Stage::handshaking && tls_->handshake() == TlsSession::Handshake::failed)
            return lose(tls_->why());
        if (stage_ == Stage::open && !received_anything_ &&
            tls_->read(decrypted_).what == TlsSession::Read::What::failed)
            return lose(tls_->why());
        lose(words(error));
    }

    // ---- reading ----

    /// At most `octets` into incoming_, then on_octets().
    void read_socket(std::size_t octets) {
        if (reading_) return;
        reading_ = true;
        socket_.async_read_some(asio::buffer(incoming_.data(), octets),
                                [self = shared_from_this()](auto error, auto n) {
                                    self->reading_ = false;
                                    if (self->stage_ == Stage::closed) return;
                                    if (error) return self->on_read_error(error);
                                    self->on_octets(ByteView(self->incoming_.data(), n));
                                });
    }

    void on_octets(ByteView in) {
        switch (stage_) {
            case Stage::upgrading:
                return on_upgrade_answer(in);
            case Stage::handshaking:
                tls_->feed(in);
                return go_on_with_handshake();
            case Stage::open:
                if (!tls_) return hooks_.received(in);
                tls_->feed(in);
                return deliver_decrypted();
            case Stage::resolving:
            case Stage::connecting:
            case Stage::closed:
                return;
        }
    }

    /// One portion, no larger than wanted; the rest waits for the next read_if_wanted().
    void deliver_decrypted() {
        decrypted_may_wait_ = true;
        const auto octets = std::min(hooks_.wants(), decrypted_.size());
        if (octets == 0) return;
        const auto read = tls_->read(std::span(decrypted_).first(octets));
        switch (read.what) {
            case TlsSession::Read::What::octets:
                received_anything_ = true;
                return hooks_.received(ByteView(decrypted_).first(read.count));
            case TlsSession::Read::What::nothing:  // a record has begun, or one that only TLS itself had use for
                decrypted_may_wait_ = false;
                if (flush_tls()) read_socket(read_bytes_max);
                return;
            case TlsSession::Read::What::closed:
                return lose(words(asio::error::eof));
            case TlsSession::Read::What::failed:
                return lose(tls_->why());
        }
    }

    void on_read_error(const asio::error_code& error) {
        const auto cut_off = error == asio::error::eof;
        switch (stage_) {
            case Stage::upgrading:
                upgrade_->on_disconnected(words(error));
                return lose(upgrade_->why());
            case Stage::handshaking:
                return lose("TLS: the handshake was cut off: " + words(error) + hint_of_mode());
            case Stage::open:
                // Without close_notify anybody on the way may have ended it (RFC 8446 §6.1): what is whole stays valid.
                return lose(tls_ && cut_off ? "the TLS stream was cut off: closed without close_notify" : words(error));
            case Stage::resolving:
            case Stage::connecting:
            case Stage::closed:
                return;
        }
    }

    // ---- the end ----

    /// The one way in which it ends from the other side.
    void lose(const std::string& why) {
        const auto had_it = stage_ == Stage::open && !(tls_ && tls_->refused_by_server() && !received_anything_);
        shut();
        (had_it ? hooks_.disconnected : hooks_.connect_failed)(why);
    }

    void shut() {
        asio::error_code ignored;  // the peer may have closed first; there is nothing left to do about it
        if (tls_ && stage_ == Stage::open) tls_->close();
        stage_ = Stage::closed;
        stage_timer_.cancel();
        resolver_.cancel();
        // An alert or close_notify, if the socket takes it at once, and not into the middle of something else.
        if (tls_ && outgoing_.empty()) {
            socket_.non_blocking(true, ignored);
            socket_.write_some(asio::buffer(tls_->take_output()), ignored);
        }
        socket_.shutdown(tcp::socket::shutdown_both, ignored);
        socket_.close(ignored);
    }

    const ConnectionTarget target_;
    const std::shared_ptr<TlsCredentials> credentials_;
    ConnectionHooks hooks_;
    tcp::resolver resolver_;
    tcp::socket socket_;
    asio::steady_timer stage_timer_;
    std::string endpoint_;
    Stage stage_ = Stage::resolving;
    int timed_stage_ = 0;
    std::optional<TlsUpgrade> upgrade_;
    std::unique_ptr<TlsSession> tls_;
    Bytes decrypted_;
    bool decrypted_may_wait_ = false;
    bool received_anything_ = false;  // over TLS
    bool reading_ = false;
    std::deque<Outgoing> outgoing_;
    std::array<std::uint8_t, read_bytes_max> incoming_;
};

}  // namespace

ConnectionTarget target_of(const ServerConfig& server) {
    return {server.address, server.port, server.family, server.tls.mode, server.timeouts.connect};
}

std::shared_ptr<Connection> open_connection(asio::io_context& context, const ConnectionTarget& target,
                                            std::shared_ptr<TlsCredentials> credentials, ConnectionHooks hooks) {
    auto connection = std::make_shared<SocketConnection>(context, target, std::move(credentials), std::move(hooks));
    connection->open();
    return connection;
}

}  // namespace leasemirror
