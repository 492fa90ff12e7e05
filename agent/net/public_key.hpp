// What a pin is compared with (agent/config/tls_pin.hpp).
#pragma once

#include "proto/bytes.hpp"

struct x509_st;

namespace leasemirror {

/// SHA-256 of the certificate's SubjectPublicKeyInfo (RFC 7469 §2.4); of a certificate without a readable key all zeros,
/// which no key has.
[[nodiscard]] Bytes public_key_hash(const x509_st* certificate);

}  // namespace leasemirror
