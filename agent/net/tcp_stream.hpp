// A TCP stream to a server: it resolves the name, connects, writes in order, and reads when it is told to. Private to
// net: its header shows Asio.
#pragma once

#include "proto/bytes.hpp"

#include <array>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

namespace leasemirror {

class TcpStream {
public:
    static constexpr std::size_t read_bytes_max = 64 * 1024;

    /// Who owns the stream, and is kept alive while something is under way. Called from the event loop alone, and never
    /// after close().
    class Owner : public std::enable_shared_from_this<Owner> {
    public:
        virtual void on_resolved(const asio::error_code& error) = 0;
        virtual void on_connected(const asio::error_code& error) = 0;
        /// What was written with Tells::sent is in the socket's hands.
        virtual void on_sent() = 0;
        virtual void on_write_error(const asio::error_code& error) = 0;
        virtual void on_octets(ByteView in) = 0;
        virtual void on_read_error(const asio::error_code& error) = 0;

    protected:
        ~Owner() = default;
    };

    TcpStream(asio::io_context& context, Owner& owner, std::string host, std::uint16_t port);

    void resolve();
    /// To the addresses that were found, one after the other.
    void connect();

    enum class Tells : std::uint8_t { nothing, sent };
    void write(Bytes bytes, Tells tells);
    /// How many writes the server has not taken yet.
    [[nodiscard]] std::size_t writes_waiting() const { return outgoing_.size(); }

    /// Calls on_octets() with at most `octets`, unless a read is under way already.
    void read(std::size_t octets);
    [[nodiscard]] bool reading() const { return reading_; }
    /// Calls on_octets() with none, from the event loop: for an owner that has some of its own. It counts as a read.
    void read_none();
    /// What has arrived and needs no waiting; empty: no more.
    [[nodiscard]] ByteView read_now();
    [[nodiscard]] std::size_t available() const;

    /// `last_words` go first if the socket takes them at once, and not into the middle of something else.
    void close(ByteView last_words);

    /// "2001:db8::1 port 547": connected, or tried last; before that the host as it was given.
    [[nodiscard]] const std::string& endpoint() const { return endpoint_; }

private:
    struct Outgoing {
        Bytes bytes;
        Tells tells;
    };

    /// A handler that keeps the owner alive, and does nothing after close().
    template <class Handler>
    auto unless_closed(Handler handler) {
        return [this, alive = owner_->shared_from_this(), handler](const auto&... results) {
            if (owner_ != nullptr) handler(results...);
        };
    }
    void write_next();

    Owner* owner_;  // null once closed
    asio::ip::tcp::resolver resolver_;
    asio::ip::tcp::resolver::results_type addresses_;
    asio::ip::tcp::socket socket_;
    const std::string host_;
    const std::uint16_t port_;
    std::string endpoint_;
    std::deque<Outgoing> outgoing_;  // the first of them is being written
    bool reading_ = false;
    std::array<std::uint8_t, read_bytes_max> incoming_;
};

}  // namespace leasemirror
