// One TCP connection to a DHCP server: a thin shell that moves octets and decides nothing.
#pragma once

#include "proto/bytes.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace asio {
class io_context;
}

namespace leasemirror {

/// What happens on it. Called from the event loop; none is called after close().
struct ConnectionHooks {
    std::function<void()> connected;
    std::function<void(const std::string& why)> connect_failed;
    std::function<void()> sent;
    std::function<void(ByteView in)> received;
    std::function<void(const std::string& how)> disconnected;
    /// How many octets to read next; 0: leave them in the socket, so that TCP slows the server down.
    std::function<std::size_t()> wants;
};

class Connection {
public:
    static constexpr std::size_t read_bytes_max = 64 * 1024;

    Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    virtual ~Connection() = default;

    virtual void send(Bytes bytes) = 0;
    /// Begins a read if none is under way and some octets are wanted. To be called after every event.
    virtual void read_if_wanted() = 0;
    /// Both directions at once: several servers answer nothing more to a requestor that only closed its sending side
    /// (REQUIREMENTS trap 26).
    virtual void close() = 0;
};

/// Resolves `host` (a name or an address), tries each of its addresses, and goes on from there.
[[nodiscard]] std::shared_ptr<Connection> open_tcp_connection(asio::io_context& context, const std::string& host,
                                                              std::uint16_t port, ConnectionHooks hooks);

}  // namespace leasemirror
