// The certificates, keys and rules for TLS towards one server: what `tls` of its configuration names, loaded and
// checked, and read again when the files change.
//
// TLS 1.2 or newer, for 1.2 only ephemeral elliptic-curve key exchange with AEAD ciphers, no compression, no
// renegotiation (RFC 9325). The server's certificate must come from `ca`, be in its time, not revoked by `crl`, carry
// `server_name` or else the address of the server, and, with `pin`, have that very key. Our certificate is always
// shown.
#pragma once

#include "agent/config/config.hpp"
#include "proto/result.hpp"
#include "proto/time.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

struct LoadedTls;

/// Shared by all connections to the server. One thread at a time.
class TlsCredentials {
public:
    TlsCredentials() = default;
    TlsCredentials(const TlsCredentials&) = delete;
    TlsCredentials& operator=(const TlsCredentials&) = delete;
    virtual ~TlsCredentials() = default;

    /// Before each connection: reads the files again if one has changed. If they cannot be used now, those read before
    /// stay in use, and the reason is returned: once for each state of the files.
    [[nodiscard]] virtual std::optional<std::string> refresh() = 0;
    /// Why our own certificate is of no use at this moment: it has expired, or is not valid yet. Not a mistake of the
    /// files: time, or the clock of this host, may bring it or end it; as long as it lasts, connect to nobody.
    [[nodiscard]] virtual std::optional<std::string> own_certificate_trouble() const = 0;
    /// Of the files as they were read last: another one where any of them has changed.
    [[nodiscard]] virtual std::string stamp() const = 0;
    /// When our own certificate ends.
    [[nodiscard]] virtual UtcSeconds expires_at() const = 0;

    /// What the handshake needs, for open_tls_session() (tls_session.hpp).
    [[nodiscard]] virtual std::shared_ptr<const LoadedTls> loaded() const = 0;
};

/// For a server whose tls.mode is not off; else null. The error names the file and says what to do. That our own
/// certificate is out of its time is none: see own_certificate_trouble().
[[nodiscard]] Result<std::shared_ptr<TlsCredentials>, std::string> load_tls_credentials(const ServerConfig& server);

/// Of each server of the configuration in its order, or every error, each with the server's name.
using TlsOfServers = std::vector<std::shared_ptr<TlsCredentials>>;
[[nodiscard]] Result<TlsOfServers, std::vector<std::string>> load_tls_credentials(const Config& config);

}  // namespace leasemirror
