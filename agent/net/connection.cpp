#include "agent/net/connection.hpp"

#include "agent/net/tcp_stream.hpp"
#include "agent/net/tls_context.hpp"
#include "agent/net/tls_stream.hpp"
#include "proto/session/tls_upgrade.hpp"

#include <algorithm>
#include <asio/steady_timer.hpp>
#include <cassert>
#include <random>
#include <utility>

namespace leasemirror {
namespace {

enum class Stage : std::uint8_t { resolving, connecting, upgrading, handshaking, open, closed };

std::string error_text(const asio::error_code& error) {
    return error == asio::error::eof ? "closed by the server" : error.message();
}

std::string connect_error_text(const asio::error_code& error) {
    const auto* hint =
        error == asio::error::connection_refused ? "; does the server listen there for leasequery over TCP?" : "";
    return error.message() + hint;
}

/// Of the message that asks for TLS. Queries count up from less than this (ServerSync).
std::uint32_t upgrade_xid() {
    return 0x800000 | (std::random_device{}() & 0x7fffff);
}

static_assert(Connection::read_bytes_max == TcpStream::read_bytes_max);

/// The stages of the connection over its streams. It hears nothing from them any more once it is closed.
class SocketConnection final : public Connection, public TcpStream::Owner {
public:
    SocketConnection(asio::io_context& context, ConnectionTarget target, std::shared_ptr<TlsCredentials> credentials,
                     ConnectionHooks hooks)
        : target_(std::move(target)),
          credentials_(std::move(credentials)),
          hooks_(std::move(hooks)),
          stage_timer_(context),
          tcp_(context, *this, target_.host, target_.port) {
        assert((target_.tls == TlsMode::off) == (credentials_ == nullptr));
    }

    void open() {
        enter(Stage::resolving);
        tcp_.resolve();
    }

    void send(Bytes bytes) override {
        if (stage_ != Stage::open) return;
        if (tls_) return tls_->send(bytes);
        tcp_.write(std::move(bytes), TcpStream::Tells::sent);
    }

    void read_if_wanted() override {
        if (stage_ != Stage::open || tcp_.reading()) return;
        const auto octets = std::min(hooks_.wants(), read_bytes_max);
        if (octets == 0) return;
        if (!tls_) return tcp_.read(octets);
        if (tls_->may_hold_octets()) return tcp_.read_none();
        tcp_.read(read_bytes_max);
    }

    void close() override {
        if (stage_ != Stage::closed) shut();
    }

    [[nodiscard]] const std::string& endpoint() const override { return tcp_.endpoint(); }

private:
    // ---- stages ----

    void enter(Stage next) {
        stage_ = next;
        stage_timer_.cancel();
        if (next == Stage::open) return;
        stage_timer_.expires_after(target_.stage_timeout);
        // A timer that has expired cannot be cancelled any more: it must know which stage it was for.
        stage_timer_.async_wait([this, alive = shared_from_this(), number = ++timed_stage_](const auto& error) {
            if (!error && number == timed_stage_) on_stage_timeout();
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

    void on_resolved(const asio::error_code& error) override {
        if (error) return lose("the name cannot be resolved: " + error_text(error));
        if (credentials_ && !refresh_credentials()) return;
        stage_ = Stage::connecting;  // in the time that resolving has left
        tcp_.connect();
    }

    /// False when our own certificate cannot be shown now; that has ended the connection, before it began.
    [[nodiscard]] bool refresh_credentials() {
        if (const auto trouble = credentials_->refresh(); trouble && hooks_.warn) hooks_.warn(*trouble);
        const auto trouble = credentials_->own_certificate_trouble();
        if (trouble) lose("TLS: " + *trouble);
        return !trouble;
    }

    void on_connected(const asio::error_code& error) override {
        if (error) return lose(connect_error_text(error));
        switch (target_.tls) {
            case TlsMode::off:
                enter(Stage::open);
                return hooks_.connected(std::nullopt);
            case TlsMode::direct:
                return begin_handshake();
            case TlsMode::starttls:
                enter(Stage::upgrading);
                upgrade_.emplace(target_.family, upgrade_xid());
                tcp_.write(Bytes(upgrade_->request().begin(), upgrade_->request().end()), TcpStream::Tells::nothing);
                return tcp_.read(std::min(upgrade_->wants_bytes(), read_bytes_max));
        }
    }

    void on_upgrade_answer(ByteView in) {
        upgrade_->on_bytes(in);
        if (upgrade_->state() == UpgradeState::granted)
            if (const auto behind = tcp_.available(); behind > 0) upgrade_->on_octets_behind(behind);
        switch (upgrade_->state()) {
            case UpgradeState::asked:
                return tcp_.read(std::min(upgrade_->wants_bytes(), read_bytes_max));
            case UpgradeState::granted:
                return begin_handshake();
            case UpgradeState::refused:
                return lose(upgrade_->why());
        }
    }

    void begin_handshake() {
        enter(Stage::handshaking);
        tls_.emplace(tcp_, open_tls_session(credentials_->loaded()));
        go_on_with_handshake();
    }

    void go_on_with_handshake() {
        switch (tls_->handshake()) {
            case TlsSession::Handshake::wants_more:
                return tcp_.read(read_bytes_max);
            case TlsSession::Handshake::done:
                enter(Stage::open);
                return hooks_.connected(tls_->first_end());
            case TlsSession::Handshake::failed:
                return lose(tls_->why());
        }
    }

    // ---- octets ----

    void on_sent() override { hooks_.sent(); }

    void on_write_error(const asio::error_code& error) override {
        const auto why = tls_ ? tls_->why_cut_off(stage_ == Stage::handshaking) : std::nullopt;
        lose(why.value_or(error_text(error)));
    }

    void on_octets(ByteView in) override {
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
        const auto octets = hooks_.wants();
        if (octets == 0) return;
        const auto portion = tls_->read(octets);
        switch (portion.what) {
            case TlsStream::What::octets:
                return hooks_.received(portion.octets);
            case TlsStream::What::nothing:
                return tcp_.read(read_bytes_max);
            case TlsStream::What::closed:
                return lose(error_text(asio::error::eof));
            case TlsStream::What::failed:
                return lose(tls_->why());
        }
    }

    void on_read_error(const asio::error_code& error) override {
        const auto cut_off = error == asio::error::eof;
        switch (stage_) {
            case Stage::upgrading:
                upgrade_->on_disconnected(error_text(error));
                return lose(upgrade_->why());
            case Stage::handshaking:
                return lose("TLS: the handshake was cut off: " + error_text(error) + hint_of_mode());
            case Stage::open:
                // Without close_notify anybody on the way may have ended it (RFC 8446 §6.1): what is whole stays valid.
                return lose(tls_ && cut_off ? "the TLS stream was cut off: closed without close_notify"
                                            : error_text(error));
            case Stage::resolving:
            case Stage::connecting:
            case Stage::closed:
                return;
        }
    }

    // ---- the end ----

    /// The one way in which it ends from the other side.
    void lose(const std::string& why) {
        const auto had_it = stage_ == Stage::open && !(tls_ && tls_->refused());
        shut();
        (had_it ? hooks_.disconnected : hooks_.connect_failed)(why);
    }

    void shut() {
        const auto last_words = tls_ ? tls_->last_words(stage_ == Stage::open) : Bytes();
        stage_ = Stage::closed;
        stage_timer_.cancel();
        tcp_.close(last_words);
    }

    const ConnectionTarget target_;
    const std::shared_ptr<TlsCredentials> credentials_;
    ConnectionHooks hooks_;
    asio::steady_timer stage_timer_;
    Stage stage_ = Stage::resolving;
    int timed_stage_ = 0;
    TcpStream tcp_;
    std::optional<TlsUpgrade> upgrade_;
    std::optional<TlsStream> tls_;
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
