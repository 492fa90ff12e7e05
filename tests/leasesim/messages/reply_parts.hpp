// Pieces of replies that are made in more than one place.
#pragma once

#include "proto/numbers_v6.hpp"
#include "tests/leasesim/leases/model.hpp"

namespace leasemirror::leasesim {

inline constexpr std::uint16_t vendor_class_v6 = 16;  ///< RFC 8415 §21.16

/// Option 221 of VPN number `vpn` (RFC 6607 §3.5): odd ones have a name, even ones an RFC 2685 identifier.
struct Vss {
    std::uint8_t type = 255;
    InlineBytes<16> value;
    [[nodiscard]] ByteView info() const { return value.view(); }
};
[[nodiscard]] Vss vss_of(unsigned vpn);

/// Where a v6 client's hardware address can be learned: from its DUID, else from its relay. A view into `s`.
struct HardwareOf {
    std::uint16_t type = 0;
    ByteView address;
};
[[nodiscard]] HardwareOf hardware_of(const UnitState& s);

/// Option 82 without code and length; LQ_RELAY_DATA likewise. `broken`: a length that runs past its container.
void write_relay_agent_information(const UnitState& s, bool broken, ByteWriter& out);
void write_relay_data(const UnitState& s, bool broken, ByteWriter& out);

/// A good header, in v6 of this type, then an option that runs past the message.
void write_garbage(Family family, MessageTypeV6 type, std::uint32_t xid, ByteWriter& out);

/// Option 39 (RFC 4704 §4) and v6 option 16 (RFC 8415 §21.16), without code and length.
void write_client_fqdn(std::string_view name, ByteWriter& out);
void write_vendor_class(const UnitState& s, ByteWriter& out);

/// Appends option `code` to `out` as Binding::options holds it, if the unit has it: v4 12 and 60, v6 39 and 16.
void append_kept_option(Family family, const UnitState& s, std::uint16_t code, Bytes& out);

}  // namespace leasemirror::leasesim
