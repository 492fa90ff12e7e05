// What single options of DHCPv4 hold, and sub-options of option 82. A reader says false for a length that the definition
// does not allow. Views are of the octets given.
#pragma once

#include "proto/wire/message_v4.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace leasemirror {

bool read_u8(ByteView data, std::optional<std::uint8_t>& out);
bool read_u32(ByteView data, std::optional<std::uint32_t>& out);
/// Absolute times count from 1970 in v4 (RFC 6926 §6.2.3).
bool read_time(ByteView data, std::optional<ServerTime>& out);
bool read_address(ByteView data, std::optional<IpAddress>& out);
/// Octets that mean something to others only, `least` or more of them.
bool read_at_least(std::size_t least, ByteView data, ByteView& out);
bool read_vss(ByteView data, std::optional<VssV4>& out);
bool read_status(ByteView data, std::optional<Status>& out);

}  // namespace leasemirror
