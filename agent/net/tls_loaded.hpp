// What one state of the files of a server's `tls` gave: between tls_context.cpp, which reads it, and tls_session.cpp,
// which uses it. Private to the two; no other header sees OpenSSL.
#pragma once

#include "agent/config/config.hpp"
#include "agent/net/tls_errors.hpp"
#include "proto/time.hpp"

#include <openssl/ssl.h>

#include <memory>

namespace leasemirror {

struct FreeSsl {
    void operator()(SSL_CTX* p) const { SSL_CTX_free(p); }
    void operator()(SSL* p) const { SSL_free(p); }
    void operator()(X509* p) const { X509_free(p); }
    void operator()(BIO* p) const { BIO_free(p); }
};
template <class T>
using SslPtr = std::unique_ptr<T, FreeSsl>;

struct LoadedTls {
    SslPtr<SSL_CTX> context;
    TlsConfig config;
    TlsNames names;
    UtcSeconds expires_at;  ///< of our own certificate
};

}  // namespace leasemirror
