// TLS around a TCP stream: it feeds the session what arrived, writes what the session has to say, and gives out what
// was decrypted in portions. The owner of both reads from the TCP stream. Private to net.
#pragma once

#include "agent/net/tcp_stream.hpp"
#include "agent/net/tls_session.hpp"

#include <memory>
#include <optional>
#include <string>

namespace leasemirror {

class TlsStream {
public:
    TlsStream(TcpStream& tcp, std::unique_ptr<TlsSession> session);

    /// Takes what arrived.
    void feed(ByteView arrived);
    /// Goes as far as that allows.
    [[nodiscard]] TlsSession::Handshake handshake();

    void send(ByteView octets);
    using What = TlsSession::Read::What;
    struct Portion {
        What what;
        ByteView octets;  ///< until the next call
    };
    /// At most `octets` of what was fed. `nothing`: read more from the TCP stream.
    [[nodiscard]] Portion read(std::size_t octets);
    /// read() may give octets without more being fed.
    [[nodiscard]] bool may_hold_octets() const { return may_hold_octets_; }

    /// Once the TCP stream takes no more: why, if the server said so by an alert before it hung up.
    [[nodiscard]] std::optional<std::string> why_cut_off(bool handshaking);
    /// Once `failed`.
    [[nodiscard]] const std::string& why() const { return flooded_ ? *flooded_ : session_->why(); }
    /// The server does not want our certificate. With TLS 1.3 it may say so only after the handshake (RFC 8446 §4.4.2).
    [[nodiscard]] bool refused() const { return session_->refused_by_server() && !received_anything_; }
    [[nodiscard]] CertificateEnd first_end() const { return session_->first_end(); }

    /// What is left to say: an alert, or close_notify of a stream that is `open`.
    [[nodiscard]] Bytes last_words(bool open);

private:
    [[nodiscard]] bool flush();

    TcpStream& tcp_;
    const std::unique_ptr<TlsSession> session_;
    Bytes decrypted_;
    bool may_hold_octets_ = false;
    bool received_anything_ = false;
    std::optional<std::string> flooded_;
};

}  // namespace leasemirror
