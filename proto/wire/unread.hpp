// Octets at the end of a list of options that are no whole option: something runs past its container, or stray octets
// stand there. What was read before them is good, unless an option that decides may be among them.
#pragma once

#include "proto/bytes.hpp"

namespace leasemirror {

/// Whether an option of DHCPv4, or a sub-option of option 82, with this code may stand in `unread`: at its start, or
/// further on with room for its length and an octet of data.
[[nodiscard]] inline bool may_hold_v4(ByteView unread, std::uint8_t code) {
    if (unread.empty()) return false;
    if (unread[0] == code) return true;
    for (std::size_t i = 1; i + 2 < unread.size(); ++i)
        if (unread[i] == code) return true;
    return false;
}

/// The same for DHCPv6: at its start, or further on with room for its length and the least data that it has.
[[nodiscard]] inline bool may_hold_v6(ByteView unread, std::uint16_t code, std::size_t least_data = 0) {
    const auto stands_at = [&](std::size_t i) { return ByteReader(unread.subspan(i)).u16() == code; };
    if (unread.size() < sizeof code) return false;
    if (stands_at(0)) return true;
    for (std::size_t i = 1; i + 4 + least_data <= unread.size(); ++i)
        if (stands_at(i)) return true;
    return false;
}

}  // namespace leasemirror
