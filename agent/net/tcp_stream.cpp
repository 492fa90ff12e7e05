#include "agent/net/tcp_stream.hpp"

#include <asio/connect.hpp>
#include <asio/post.hpp>
#include <asio/write.hpp>
#include <utility>

namespace leasemirror {

using asio::ip::tcp;

TcpStream::TcpStream(asio::io_context& context, Owner& owner, std::string host, std::uint16_t port)
    : owner_(&owner),
      resolver_(context),
      socket_(context),
      host_(std::move(host)),
      port_(port),
      endpoint_(host_ + " port " + std::to_string(port)) {}

void TcpStream::resolve() {
    resolver_.async_resolve(host_, std::to_string(port_), tcp::resolver::numeric_service,
                            unless_closed([this](const auto& error, const auto& addresses) {
                                addresses_ = addresses;
                                owner_->on_resolved(error);
                            }));
}

void TcpStream::connect() {
    const auto note = [this](const asio::error_code&, const tcp::endpoint& next) {
        endpoint_ = next.address().to_string() + " port " + std::to_string(next.port());
        return true;
    };
    asio::async_connect(socket_, addresses_, note, unless_closed([this](const auto& error, const auto&) {
                            if (!error) {
                                asio::error_code ignored;  // both options only help; without them it is as right
                                socket_.set_option(tcp::no_delay(true), ignored);
                                socket_.set_option(asio::socket_base::keep_alive(true), ignored);
                            }
                            owner_->on_connected(error);
                        }));
}

void TcpStream::write(Bytes bytes, Tells tells) {
    if (bytes.empty()) return;
    outgoing_.push_back({std::move(bytes), tells});
    if (outgoing_.size() == 1) write_next();
}

void TcpStream::write_next() {
    asio::async_write(socket_, asio::buffer(outgoing_.front().bytes), unless_closed([this](const auto& error, auto) {
                          if (error) return owner_->on_write_error(error);
                          const auto tells = outgoing_.front().tells;
                          outgoing_.pop_front();
                          if (!outgoing_.empty()) write_next();
                          if (tells == Tells::sent) owner_->on_sent();
                      }));
}

void TcpStream::read(std::size_t octets) {
    if (reading_) return;
    reading_ = true;
    socket_.async_read_some(asio::buffer(incoming_.data(), octets), unless_closed([this](const auto& error, auto n) {
                                reading_ = false;
                                if (error) return owner_->on_read_error(error);
                                owner_->on_octets(ByteView(incoming_.data(), n));
                            }));
}

void TcpStream::read_none() {
    reading_ = true;
    asio::post(socket_.get_executor(), unless_closed([this] {
                   reading_ = false;
                   owner_->on_octets({});
               }));
}

ByteView TcpStream::read_now() {
    asio::error_code ended;
    socket_.non_blocking(true, ended);
    if (ended) return {};
    return ByteView(incoming_).first(socket_.read_some(asio::buffer(incoming_), ended));
}

std::size_t TcpStream::available() const {
    asio::error_code ignored;
    return socket_.available(ignored);
}

void TcpStream::close(ByteView last_words) {
    owner_ = nullptr;
    asio::error_code ignored;  // the peer may have closed first; there is nothing left to do about it
    resolver_.cancel();
    if (!last_words.empty() && outgoing_.empty()) {
        socket_.non_blocking(true, ignored);
        socket_.write_some(asio::buffer(last_words.data(), last_words.size()), ignored);
    }
    socket_.shutdown(tcp::socket::shutdown_both, ignored);
    socket_.close(ignored);
}

}  // namespace leasemirror
