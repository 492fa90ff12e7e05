// What a captured frame carries: a piece of a TCP stream, or a UDP datagram. Pure; every length is checked.
#pragma once

#include "proto/bytes.hpp"
#include "proto/ip_address.hpp"

#include <compare>
#include <cstdint>
#include <string>
#include <variant>

namespace leasemirror {

/// What comes before the IP header.
enum class LinkType : std::uint8_t {
    ethernet,    ///< also with VLAN tags
    linux_sll,   ///< "any" interface
    linux_sll2,  ///< likewise, by newer programs
    raw_ip,
    loopback,  ///< four octets that name the family
};

struct SocketAddress {
    IpAddress address;
    std::uint16_t port = 0;

    friend auto operator<=>(const SocketAddress&, const SocketAddress&) = default;
};
/// "192.0.2.1:67", "[2001:db8::1]:547"
[[nodiscard]] std::string to_string(const SocketAddress& e);

struct Packet {
    SocketAddress from, to;
    bool tcp = false;
    std::uint32_t seq = 0;  ///< of the first octet of the payload; TCP only
    bool syn = false;
    ByteView payload;         ///< of the frame
    std::size_t cut_off = 0;  ///< so many octets of the payload were not captured
};

/// Why a frame is of no interest.
enum class NoPacket : std::uint8_t {
    other,     ///< neither TCP nor UDP over IP
    fragment,  ///< of an IP packet
    damaged,   ///< a header runs past what was captured
};

/// `frame` as it was captured, which may be less than was sent.
[[nodiscard]] std::variant<Packet, NoPacket> read_packet(ByteView frame, LinkType link);

}  // namespace leasemirror
