// One connection to a DHCP server, over TCP or over TLS: a thin shell that moves octets and decides nothing.
//
// Secure mode is a property of the connection. Whoever uses it hears of `connected` or `connect_failed`, and of nothing
// in between; so no query can leave in clear text, and there is no fallback to forget. What the stages are:
//
//     off        TCP
//     starttls   TCP, DHCPTLS or STARTTLS and its answer (proto/session/tls_upgrade.hpp), TLS handshake
//     direct     TCP, TLS handshake
#pragma once

#include "agent/config/certificate_end.hpp"
#include "agent/config/config.hpp"
#include "proto/bytes.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace asio {
class io_context;
}

namespace leasemirror {

class TlsCredentials;

/// Where to connect to, and how.
struct ConnectionTarget {
    std::string host;  ///< a name or an address; each of its addresses is tried
    std::uint16_t port = 0;
    Family family = Family::v4;  ///< in which the upgrade to TLS is asked for
    TlsMode tls = TlsMode::off;
    std::chrono::milliseconds stage_timeout = std::chrono::seconds{10};  ///< for each; TCP includes resolving the name
};
/// `timeouts.connect` bounds each stage.
[[nodiscard]] ConnectionTarget target_of(const ServerConfig& server);

/// What happens on it. Called from the event loop, and never from within open_connection(), send() or read_if_wanted();
/// none is called after close(), connect_failed() or disconnected().
struct ConnectionHooks {
    /// It stands, and where asked for it is secured; then the earlier end of the two certificates, the server's and our
    /// own, is told.
    std::function<void(std::optional<CertificateEnd> first_end)> connected;
    /// It could not be had. With TLS 1.3 a server may tell only after `connected` that it refuses our certificate; that
    /// is this hook too, in the place of disconnected(), as long as nothing was received.
    std::function<void(const std::string& why)> connect_failed;
    std::function<void()> sent;
    std::function<void(ByteView in)> received;
    std::function<void(const std::string& how)> disconnected;
    /// How many octets to read next; 0: leave them in the socket, so that TCP slows the server down.
    std::function<std::size_t()> wants;
    /// Something about our own certificates that an operator should see; optional.
    std::function<void(const std::string& text)> warn;
};

class Connection {
public:
    static constexpr std::size_t read_bytes_max = 64 * 1024;

    Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    virtual ~Connection() = default;

    /// Once connected. Over TLS, each call makes a record of its own where it fits into one (RFC 7724 §5.1).
    virtual void send(Bytes bytes) = 0;
    /// Begins a read if none is under way and some octets are wanted. To be called after every event.
    virtual void read_if_wanted() = 0;
    /// Both directions at once: several servers answer nothing more to a requestor that only closed its sending side
    /// (proto/README.md, "Traps"). Over TLS a close_notify goes first; nobody waits for its answer.
    virtual void close() = 0;
    /// "2001:db8::1 port 547": the address that answered, or was tried last; the target's host before that.
    [[nodiscard]] virtual const std::string& endpoint() const = 0;
};

/// `credentials` of the server (tls_context.hpp), kept until the connection is gone; null if and only if `tls` is off.
[[nodiscard]] std::shared_ptr<Connection> open_connection(asio::io_context& context, const ConnectionTarget& target,
                                                          std::shared_ptr<TlsCredentials> credentials,
                                                          ConnectionHooks hooks);

}  // namespace leasemirror
