// The server's side of one TLS connection, without a socket: octets of the wire in and out on one side, octets of the
// protocol on the other. OpenSSL stays behind it.
#pragma once

#include "proto/bytes.hpp"
#include "tests/leasesim/model_connection.hpp"

#include <memory>
#include <span>
#include <string>

namespace leasemirror::leasesim {

enum class TlsVersion : std::uint8_t { tls_1_1, tls_1_2, tls_1_3 };

/// PEM files, and what is asked of requestors.
struct TlsOptions {
    std::string certificate;  ///< with its chain
    std::string key;
    std::string ca;  ///< whom a requestor's certificate must come from
    bool asks_for_certificate = true;
    /// The newest version that is spoken. With 1.1 also the weak ciphers and keys of its time, else none before 1.2.
    TlsVersion newest = TlsVersion::tls_1_3;
};

/// What all connections share. Throws std::runtime_error with the file and OpenSSL's reason if it cannot be made.
class TlsContext {
public:
    explicit TlsContext(const TlsOptions& options);
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

private:
    friend class TlsPipe;
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

class TlsPipe {
public:
    enum class State : std::uint8_t { handshaking, open, ended, failed };  ///< ended: by close_notify

    /// `context` must live longer.
    TlsPipe(const TlsContext& context, TlsTrouble trouble);
    ~TlsPipe();
    TlsPipe(const TlsPipe&) = delete;
    TlsPipe& operator=(const TlsPipe&) = delete;

    /// What came over the wire. Then look at state(), take_output() and read().
    void on_wire(ByteView in);
    [[nodiscard]] State state() const;
    /// Once failed: why, in OpenSSL's words.
    [[nodiscard]] const std::string& error() const;
    /// Whether the first octet was none that a TLS handshake begins with.
    [[nodiscard]] bool in_clear() const;
    /// Octets for the wire; after a failure the alert that tells of it.
    [[nodiscard]] Bytes take_output();

    /// Decrypted octets, as many as there are and fit; 0 if there are none (state() says whether that is for good).
    [[nodiscard]] std::size_t read(std::span<std::uint8_t> out);
    /// Encrypts whole frames, each into a record of its own (RFC 7724 §5.1), and pieces of one likewise.
    void write(ByteView frames);
    /// Says close_notify.
    void shut();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace leasemirror::leasesim
