// What both halves of fill_binding() need. Not for other code.
#pragma once

#include "proto/binding.hpp"
#include "proto/numbers_v4.hpp"

#include <optional>
#include <string>

namespace leasemirror::detail {

/// Refills in place, so that the capacity of `out` is kept.
inline void assign(Bytes& out, ByteView in) {
    out.assign(in.begin(), in.end());
}

/// An age counts back from base-time. 64-bit seconds: no sum of wire values overflows.
inline std::optional<ServerTime> before(ServerTime base, const std::optional<std::uint32_t>& age) {
    if (!age) return std::nullopt;
    return base - std::chrono::seconds{*age};
}

/// Kea 3.3.1 reduces even an infinite lifetime by its age.
inline bool is_infinite(std::uint32_t remaining, std::uint32_t age) {
    return remaining == infinite_seconds || (remaining > 0 && std::uint64_t{remaining} + age == infinite_seconds);
}

/// A remaining time counts on from base-time; nothing if it is infinite. `age`: since the client's last transaction.
inline std::optional<ServerTime> after(ServerTime base, const std::optional<std::uint32_t>& remaining,
                                       std::uint32_t age) {
    if (!remaining || is_infinite(*remaining, age)) return std::nullopt;
    return base + std::chrono::seconds{*remaining};
}

/// vpn_id_from_vss() into a string that is reused; false where that gives nothing.
[[nodiscard]] bool assign_vpn_id(std::string& out, std::uint8_t type, ByteView info);

/// One entry of Binding::options: code, length, data. Data longer than its length field can say is cut off at
/// that, which no message of ours reaches.
void append_kept_option(Bytes& out, std::uint16_t code, ByteView data);

/// A host name as append_lossless() writes it, without the NULs that some put at its end (RFC 2132 §2). False if it is
/// longer than DNS allows and had to be cut.
[[nodiscard]] bool append_host_name(std::string& out, ByteView name);

/// A DNS name in wire form (RFC 1035 §3.1), whole or partial, as dotted text: each label as append_lossless() writes it,
/// and a dot inside a label as `\.` (RFC 4343 §2.1). A malformed name is taken for text, since clients send such; so is
/// a compressed one, which is not allowed here (RFC 4702 §2.3.1, RFC 8415 §10). False as above.
[[nodiscard]] bool append_wire_name(std::string& out, ByteView name);

}  // namespace leasemirror::detail
