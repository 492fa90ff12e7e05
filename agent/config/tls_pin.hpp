// The pin of a public key in curl's notation (RFC 7469 §2.4 has the hash): sha256//BASE64 of the SHA-256 of a
// certificate's SubjectPublicKeyInfo.
#pragma once

#include "agent/config/values.hpp"
#include "proto/bytes.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace leasemirror {

/// One or several, separated by ';'.
[[nodiscard]] Parsed<std::vector<Bytes>> parse_pins(std::string_view text);
[[nodiscard]] std::string pin_text(const Bytes& hash);

}  // namespace leasemirror
