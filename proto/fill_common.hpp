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

/// A remaining time counts on from base-time; nothing if it is infinite.
inline std::optional<ServerTime> after(ServerTime base, const std::optional<std::uint32_t>& remaining) {
    if (!remaining || *remaining == infinite_seconds) return std::nullopt;
    return base + std::chrono::seconds{*remaining};
}

/// vpn_id_from_vss() into a string that is reused; false where that gives nothing.
[[nodiscard]] bool assign_vpn_id(std::string& out, std::uint8_t type, ByteView info);

/// One entry of Binding::options: code, length, data. Data longer than its length field can say is cut off at
/// that, which no message of ours reaches.
void append_kept_option(Bytes& out, std::uint16_t code, ByteView data);

/// A host name as text: no longer than DNS allows, safe to store.
void append_host_name(std::string& out, std::string_view name);

/// A DNS name in wire form (RFC 1035 §3.1), whole or partial, as dotted text. Appends nothing if it is malformed;
/// compression is not allowed here (RFC 4702 §2.3.1, RFC 8415 §10).
void append_wire_name(std::string& out, ByteView name);

}  // namespace leasemirror::detail
