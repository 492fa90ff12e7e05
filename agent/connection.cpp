#include "agent/connection.hpp"

#include <algorithm>
#include <array>
#include <asio/connect.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/write.hpp>
#include <deque>
#include <utility>

namespace leasemirror {
namespace {

using asio::ip::tcp;

std::string words(const asio::error_code& error) {
    return error == asio::error::eof ? "closed by the server" : error.message();
}

/// Handlers hold it alive; after close() they find open_ false and do nothing.
class TcpConnection final : public Connection, public std::enable_shared_from_this<TcpConnection> {
public:
    TcpConnection(asio::io_context& context, ConnectionHooks hooks)
        : hooks_(std::move(hooks)), resolver_(context), socket_(context) {}

    void open(const std::string& host, std::uint16_t port) {
        resolver_.async_resolve(host, std::to_string(port), tcp::resolver::numeric_service,
                                [self = shared_from_this()](auto error, auto endpoints) {
                                    if (!self->open_) return;
                                    if (error) return self->hooks_.connect_failed(words(error));
                                    self->connect(endpoints);
                                });
    }

    void send(Bytes bytes) override {
        if (!open_) return;
        outgoing_.push_back(std::move(bytes));
        if (outgoing_.size() == 1) write_next();
    }

    void read_if_wanted() override {
        if (!open_ || !connected_ || reading_) return;
        const auto octets = std::min(hooks_.wants(), read_bytes_max);
        if (octets == 0) return;
        reading_ = true;
        socket_.async_read_some(asio::buffer(incoming_.data(), octets),
                                [self = shared_from_this()](auto error, auto n) {
                                    self->reading_ = false;
                                    if (!self->open_) return;
                                    if (error) return self->hooks_.disconnected(words(error));
                                    self->hooks_.received(ByteView(self->incoming_.data(), n));
                                });
    }

    void close() override {
        if (!std::exchange(open_, false)) return;
        asio::error_code ignored;  // the peer may have closed first; there is nothing left to do about it
        resolver_.cancel();
        socket_.shutdown(tcp::socket::shutdown_both, ignored);
        socket_.close(ignored);
    }

private:
    void connect(const tcp::resolver::results_type& endpoints) {
        asio::async_connect(socket_, endpoints, [self = shared_from_this()](auto error, const auto&) {
            if (!self->open_) return;
            if (error) return self->hooks_.connect_failed(words(error));
            self->connected_ = true;
            asio::error_code ignored;  // both options only help; a connection without them is as right
            self->socket_.set_option(tcp::no_delay(true), ignored);
            self->socket_.set_option(asio::socket_base::keep_alive(true), ignored);
            self->hooks_.connected();
        });
    }

    void write_next() {
        asio::async_write(socket_, asio::buffer(outgoing_.front()), [self = shared_from_this()](auto error, auto) {
            if (!self->open_) return;
            if (error) return self->hooks_.disconnected(words(error));
            self->outgoing_.pop_front();
            if (!self->outgoing_.empty()) self->write_next();
            self->hooks_.sent();
        });
    }

    ConnectionHooks hooks_;
    tcp::resolver resolver_;
    tcp::socket socket_;
    bool open_ = true;
    bool connected_ = false;
    bool reading_ = false;
    std::deque<Bytes> outgoing_;  // one query at a time is outstanding, so never more than a few
    std::array<std::uint8_t, read_bytes_max> incoming_;
};

}  // namespace

std::shared_ptr<Connection> open_tcp_connection(asio::io_context& context, const std::string& host, std::uint16_t port,
                                                ConnectionHooks hooks) {
    auto connection = std::make_shared<TcpConnection>(context, std::move(hooks));
    connection->open(host, port);
    return connection;
}

}  // namespace leasemirror
