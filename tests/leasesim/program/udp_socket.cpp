#include "tests/leasesim/program/udp_socket.hpp"

#include "tests/leasesim/program/socket_connection.hpp"

#include <asio/steady_timer.hpp>

#include <memory>

namespace leasemirror::leasesim {

using asio::ip::udp;

UdpSocket::UdpSocket(asio::io_context& io, const Run& run, ModelServer& server)
    : io_(io),
      socket_(io, udp::endpoint(asio::ip::make_address(run.udp_address), run.udp_port)),
      other_(io, udp::endpoint(asio::ip::make_address(run.udp_address), 0)),
      reply_port_(run.udp_reply_port),
      server_(server) {}

void UdpSocket::close() {
    asio::error_code ignored;
    socket_.close(ignored);
    other_.close(ignored);
}

void UdpSocket::receive() {
    socket_.async_receive_from(asio::buffer(buffer_), from_, [this](const asio::error_code& error, std::size_t n) {
        if (error == asio::error::operation_aborted) return;
        // Any other error is one of a datagram that we sent, such as "port unreachable".
        if (!error)
            for (auto& datagram : server_.on_datagram(ByteView(buffer_).first(n), now_utc()))
                answer(std::move(datagram));
        receive();
    });
}

void UdpSocket::answer(Datagram datagram) {
    auto to = from_;
    if (datagram.giaddr) to = {asio::ip::make_address_v4(datagram.giaddr->v4_value()), reply_port_};
    if (datagram.delay.count() == 0) return send(datagram, to);
    const auto timer = std::make_shared<asio::steady_timer>(io_, datagram.delay);
    timer->async_wait([this, timer, to, datagram = std::move(datagram)](const asio::error_code& error) {
        if (!error) send(datagram, to);
    });
}

void UdpSocket::send(const Datagram& datagram, const udp::endpoint& to) {
    asio::error_code ignored;  // a datagram may be lost
    (datagram.other_port ? other_ : socket_).send_to(asio::buffer(datagram.octets), to, 0, ignored);
}

}  // namespace leasemirror::leasesim
