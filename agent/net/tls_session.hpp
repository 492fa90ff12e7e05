// TLS as octets in, octets out: the client's side of one connection, without a socket. Whoever owns the socket feeds
// what arrived and writes what take_output() gives. It is OpenSSL over two buffers in memory, so that a handshake, a
// refusal or an attack is a test without a network, and close_notify can be sent without waiting for its answer.
#pragma once

#include "agent/config/certificate_end.hpp"
#include "proto/bytes.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace leasemirror {

struct LoadedTls;

class TlsSession {
public:
    TlsSession() = default;
    TlsSession(const TlsSession&) = delete;
    TlsSession& operator=(const TlsSession&) = delete;
    virtual ~TlsSession() = default;

    enum class Handshake : std::uint8_t { wants_more, done, failed };
    /// Goes as far as what was fed allows. Once `done`, the server is who the configuration says.
    [[nodiscard]] virtual Handshake handshake() = 0;

    /// Takes what arrived. It holds all of it until read() has given it out, so feed no more before read() gave
    /// nothing.
    virtual void feed(ByteView arrived) = 0;
    /// What is to be written to the socket now: after every other call.
    [[nodiscard]] virtual Bytes take_output() = 0;

    /// After the handshake.
    virtual void write(ByteView octets) = 0;
    struct Read {
        enum class What : std::uint8_t { octets, nothing, closed, failed };
        What what;
        std::size_t count = 0;  ///< of octets
    };
    /// `nothing`: more must be fed. `closed`: the server ended the stream in order.
    [[nodiscard]] virtual Read read(std::span<std::uint8_t> into) = 0;
    /// Says close_notify.
    virtual void close() = 0;

    /// Once failed: a sentence for people, that begins with "TLS: ".
    [[nodiscard]] virtual const std::string& why() const = 0;
    /// The failure is that the server, by an alert, does not want us.
    [[nodiscard]] virtual bool refused_by_server() const = 0;
    /// The earlier end of the server's certificate and our own. Of a handshake that is done.
    [[nodiscard]] virtual CertificateEnd first_end() const = 0;
};

/// `credentials` as TlsCredentials::loaded() gives them (tls_context.hpp).
[[nodiscard]] std::unique_ptr<TlsSession> open_tls_session(std::shared_ptr<const LoadedTls> credentials);

}  // namespace leasemirror
