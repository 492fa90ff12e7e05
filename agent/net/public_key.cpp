#include "agent/net/public_key.hpp"

#include <openssl/evp.h>
#include <openssl/x509.h>

namespace leasemirror {
namespace {

constexpr std::size_t hash_bytes = 32;

}  // namespace

Bytes public_key_hash(const X509* certificate) {
    Bytes hash(hash_bytes);
    unsigned char* der = nullptr;
    const int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    if (length <= 0) return hash;
    EVP_Digest(der, static_cast<std::size_t>(length), hash.data(), nullptr, EVP_sha256(), nullptr);
    OPENSSL_free(der);
    return hash;
}

}  // namespace leasemirror
