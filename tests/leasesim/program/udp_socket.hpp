// The UDP side of a ModelServer. Of the shell: included by shell.cpp alone.
#pragma once

#include "tests/leasesim/model_server.hpp"
#include "tests/leasesim/program/command_line.hpp"

#include <asio/io_context.hpp>
#include <asio/ip/udp.hpp>

namespace leasemirror::leasesim {

/// Answers until it is destroyed or closed. `server` must live as long. Throws std::system_error if it cannot be bound.
class UdpSocket {
public:
    UdpSocket(asio::io_context& io, const Run& run, ModelServer& server);
    void start() { receive(); }
    void close();
    [[nodiscard]] asio::ip::udp::endpoint local() const { return socket_.local_endpoint(); }

private:
    void receive();
    void answer(Datagram datagram);
    void send(const Datagram& datagram, const asio::ip::udp::endpoint& to);

    asio::io_context& io_;
    asio::ip::udp::socket socket_;
    asio::ip::udp::socket other_;  ///< the same address, another port
    std::uint16_t reply_port_;
    ModelServer& server_;
    asio::ip::udp::endpoint from_;
    Bytes buffer_ = Bytes(64 * 1024);
};

}  // namespace leasemirror::leasesim
