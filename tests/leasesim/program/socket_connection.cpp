#include "tests/leasesim/program/socket_connection.hpp"

#include <asio/read.hpp>
#include <asio/write.hpp>

#include <algorithm>

namespace leasemirror::leasesim {

namespace {

using asio::ip::tcp;

constexpr std::chrono::seconds linger_time{2};  // for the peer to read our last words, and to close

}  // namespace

UtcMillis now_utc() {
    return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

SocketConnection::SocketConnection(tcp::socket socket, std::unique_ptr<ModelConnection> model, const TlsContext* tls)
    : socket_(std::move(socket)), timer_(socket_.get_executor()), model_(std::move(model)), context_(tls) {}

void SocketConnection::start() {
    asio::error_code ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
    pump();
}

void SocketConnection::drop() {
    if (!over_) close(Close{true});
    asio::error_code ignored;
    socket_.close(ignored);
}

void SocketConnection::pump() {
    do {
        while (!over_ && !writing_ && !flush_tls()) {
            const auto output = model_->poll(now_utc());
            if (!output) break;
            act(*output);
        }
    } while (!over_ && give_to_model());
    if (over_) return;
    // A reader that takes nothing is cut by its deadline even while a write is under way.
    if (sending_ && model_->next_deadline(now_utc()) && *model_->next_deadline(now_utc()) <= now_utc())
        if (const auto output = model_->poll(now_utc()); output && std::holds_alternative<Close>(*output))
            return close(std::get<Close>(*output));
    // Only now: what the model has just read may have been the last message before TLS.
    read();
    arm();
}

void SocketConnection::act(const Output& output) {
    if (const auto* s = std::get_if<Send>(&output)) return send(s->bytes);
    if (const auto* begin = std::get_if<BeginTls>(&output)) {
        tls_ = std::make_unique<TlsPipe>(*context_, begin->trouble);
        return;
    }
    close(std::get<Close>(output));
}

void SocketConnection::read() {
    if (reading_ || at_end_) return;
    const bool handshaking = tls_ && tls_->state() == TlsPipe::State::handshaking;
    const auto room = handshaking ? buffer_.size() : std::min(model_->space(), buffer_.size());
    if (room == 0) return;
    reading_ = true;
    socket_.async_read_some(asio::buffer(buffer_.data(), room),
                            [self = shared_from_this()](const asio::error_code& error, std::size_t n) {
                                self->reading_ = false;
                                if (self->over_) return self->linger();
                                self->on_read(static_cast<bool>(error), n);
                                self->pump();
                            });
}

void SocketConnection::on_read(bool at_end, std::size_t n) {
    if (!at_end) {
        const ByteView octets(buffer_.data(), n);
        return tls_ ? on_tls_read(octets) : model_->on_bytes(octets, now_utc());
    }
    at_end_ = true;
    if (tls_ && tls_->state() == TlsPipe::State::handshaking)
        model_->on_handshake_failed("the requestor closed the connection", false, now_utc());
    else
        model_->on_end_of_stream(now_utc());
}

void SocketConnection::on_tls_read(ByteView octets) {
    const auto before = tls_->state();
    tls_->on_wire(octets);
    if (before != TlsPipe::State::handshaking || tls_->state() == before) return;
    if (tls_->state() == TlsPipe::State::open)
        model_->on_secured(now_utc());
    else
        model_->on_handshake_failed(tls_->error(), tls_->in_clear(), now_utc());
}

/// Whether there was something from within TLS.
bool SocketConnection::give_to_model() {
    if (!tls_ || tls_->state() != TlsPipe::State::open) return false;
    Bytes plain(std::min(model_->space(), buffer_.size()));
    const auto n = tls_->read(plain);
    if (tls_->state() == TlsPipe::State::ended) {
        at_end_ = true;
        model_->on_end_of_stream(now_utc());
        return true;
    }
    if (tls_->state() == TlsPipe::State::failed) {
        (void)flush_tls();  // the alert
        close(Close{});
        return false;
    }
    if (n > 0) model_->on_bytes(ByteView(plain).first(n), now_utc());
    return n > 0;
}

void SocketConnection::send(ByteView bytes) {
    sending_ = true;
    if (!tls_) return write(bytes);
    tls_->write(bytes);
    if (!flush_tls()) close(Close{true});  // it has failed
}

/// Begins to write what TLS has for the wire; false if there is nothing, or something is on its way.
bool SocketConnection::flush_tls() {
    if (!tls_ || writing_) return false;
    wire_ = tls_->take_output();
    if (wire_.empty()) return false;
    write(wire_);
    return true;
}

void SocketConnection::write(ByteView bytes) {
    writing_ = true;
    asio::async_write(socket_, asio::buffer(bytes.data(), bytes.size()),
                      [self = shared_from_this()](const asio::error_code& error, std::size_t) {
                          self->writing_ = false;
                          if (self->over_) return;
                          if (error) return self->close(Close{true});
                          self->on_written();
                      });
}

void SocketConnection::on_written() {
    if (flush_tls()) return;
    if (sending_) model_->on_writable(now_utc());
    sending_ = false;
    pump();
}

void SocketConnection::arm() {
    if (writing_ && !sending_) return;  // a flight of a handshake: it fits into any socket
    const auto next = model_->next_deadline(now_utc());
    if (!next) return;
    timer_.expires_after(std::max<std::chrono::milliseconds>(*next - now_utc(), std::chrono::milliseconds{0}));
    timer_.async_wait([self = shared_from_this()](const asio::error_code& error) {
        if (error || self->over_) return;
        self->model_->on_deadline(now_utc());
        self->pump();
    });
}

void SocketConnection::close(Close how) {
    over_ = true;
    timer_.cancel();
    model_.reset();
    asio::error_code ignored;
    if (how.abort) {  // RFC 6926 §8.5: gracefully; a crash resets.
        socket_.set_option(asio::socket_base::linger(true, 0), ignored);
        socket_.close(ignored);
        return;
    }
    if (tls_ && !writing_ && !how.unannounced) {
        tls_->shut();
        wire_ = tls_->take_output();
        socket_.non_blocking(true, ignored);  // a peer that does not read is told nothing
        socket_.write_some(asio::buffer(wire_), ignored);
    }
    if (!tls_) {
        socket_.shutdown(tcp::socket::shutdown_send, ignored);
        socket_.close(ignored);
        return;
    }
    // With TLS 1.3 the requestor may speak before it hears that its certificate will not do: octets that nobody
    // reads would make a reset of our close, and the alert would be lost.
    if (!writing_) socket_.shutdown(tcp::socket::shutdown_send, ignored);
    timer_.expires_after(linger_time);
    timer_.async_wait([self = shared_from_this()](const asio::error_code& error) {
        asio::error_code unheard;
        if (!error) self->socket_.close(unheard);
    });
    linger();
}

/// Reads and forgets until the peer closes.
void SocketConnection::linger() {
    if (reading_ || !socket_.is_open()) return;
    reading_ = true;
    socket_.async_read_some(asio::buffer(buffer_), [self = shared_from_this()](const asio::error_code& error, auto) {
        self->reading_ = false;
        if (!error) return self->linger();
        asio::error_code ignored;
        self->timer_.cancel();
        self->socket_.close(ignored);
    });
}

}  // namespace leasemirror::leasesim
