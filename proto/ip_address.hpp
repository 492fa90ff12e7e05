// One address of either family: a value, ordered, printable as RFC 5952 demands.
#pragma once

#include "proto/bytes.hpp"

#include <array>
#include <compare>
#include <optional>
#include <string>
#include <string_view>

namespace leasemirror {

enum class Family : std::uint8_t { v4, v6 };

[[nodiscard]] std::string_view to_string(Family f);  // "v4", "v6"

/// An IPv4 or IPv6 address. The default is 0.0.0.0.
class IpAddress {
public:
    constexpr IpAddress() = default;
    [[nodiscard]] static IpAddress v4(std::uint32_t host_order);
    /// `in` has 4 octets (v4) or 16 (v6); any other length is a broken invariant.
    [[nodiscard]] static IpAddress from_bytes(ByteView in);
    /// Dotted quad or any RFC 4291 text form, without zone; nothing if it is neither.
    [[nodiscard]] static std::optional<IpAddress> parse(std::string_view text);

    [[nodiscard]] Family family() const { return family_; }
    [[nodiscard]] bool is_unspecified() const;  // 0.0.0.0 or ::
    /// The 4 or 16 octets of the address in network order; lives as long as this object.
    [[nodiscard]] ByteView bytes() const;
    [[nodiscard]] std::uint32_t v4_value() const;  // host order; only for v4
    /// 16 octets that sort as addresses do: v6 as it is, v4 as ::ffff:a.b.c.d.
    [[nodiscard]] std::array<std::uint8_t, 16> sortable() const;
    /// Canonical text: dotted quad, or RFC 5952.
    [[nodiscard]] std::string to_string() const;
    /// This address with all bits after the first `len` cleared.
    [[nodiscard]] IpAddress prefix(std::uint8_t len) const;

    friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

private:
    Family family_ = Family::v4;
    std::array<std::uint8_t, 16> octets_{};  // v4 uses the first four, the rest stay zero
};

}  // namespace leasemirror
