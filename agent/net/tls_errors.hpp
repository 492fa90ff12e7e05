// What went wrong with TLS, as a sentence for the people who run the agent and the server: whose certificate it is,
// what is wrong with it, and what to look at. Never a key, nor anything else that is secret.
#pragma once

#include "agent/config/config.hpp"
#include "proto/time.hpp"

#include <string>

struct x509_st;
struct x509_store_ctx_st;

namespace leasemirror {

/// How the sentences name what the configuration says.
struct TlsNames {
    TlsMode mode = TlsMode::direct;
    std::string ca, cert, crl;  ///< files
    std::string expected;       ///< the name or the address that the server's certificate must carry,
    std::string expected_key;   ///< and the key that says so: "tls.server_name" or "address"
    std::string own;            ///< our own certificate: "CN=agent"
};

/// Its subject, or where that is empty its names: "CN=dhcp.example.net".
[[nodiscard]] std::string certificate_name(const x509_st* certificate);
[[nodiscard]] UtcSeconds certificate_begin(const x509_st* certificate);
[[nodiscard]] UtcSeconds certificate_end(const x509_st* certificate);

/// Why the server's certificate, or one above it, was not accepted: `context` as the verification left it.
[[nodiscard]] std::string verification_error(const x509_store_ctx_st* context, const TlsNames& names);
/// The key is none of tls.pin; `hash` is what it is instead, as tls.pin would have it.
[[nodiscard]] std::string pin_error(const x509_st* certificate, const std::string& hash);
/// The server sent this fatal alert (RFC 8446 §6).
[[nodiscard]] std::string alert_error(int description, const TlsNames& names);
/// Of OpenSSL's oldest error in this thread, which is thereby forgotten.
[[nodiscard]] std::string library_error(const TlsNames& names);

}  // namespace leasemirror
