#include "agent/cli/decode/packet.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

constexpr std::uint16_t ethertype_v4 = 0x0800, ethertype_v6 = 0x86dd;
constexpr std::uint16_t ethertype_vlan = 0x8100, ethertype_qinq = 0x88a8;
constexpr std::uint8_t protocol_tcp = 6, protocol_udp = 17;
// IPv6 extension headers that may come before TCP or UDP (RFC 8200 §4).
constexpr std::uint8_t hop_by_hop = 0, routing = 43, fragment = 44, destination = 60;

using Outcome = std::variant<Packet, NoPacket>;

/// The ethertype after the header of the link; 0: none that we know.
std::uint16_t skip_link(ByteReader& in, LinkType link) {
    switch (link) {
        case LinkType::ethernet: {
            (void)in.bytes(12);
            auto type = in.u16();
            while (in.ok() && (type == ethertype_vlan || type == ethertype_qinq)) {
                (void)in.u16();
                type = in.u16();
            }
            return type;
        }
        case LinkType::linux_sll:
            (void)in.bytes(14);
            return in.u16();
        case LinkType::linux_sll2: {
            const auto type = in.u16();
            (void)in.bytes(18);
            return type;
        }
        case LinkType::loopback:
            (void)in.bytes(4);
            return 0;
        case LinkType::raw_ip:
            return 0;
    }
    return 0;
}

/// `size`: of the segment or datagram as it was sent.
Outcome read_transport(ByteReader in, std::uint8_t protocol, std::size_t size, Packet packet) {
    const auto available = in.remaining();
    packet.tcp = protocol == protocol_tcp;
    packet.from.port = in.u16();
    packet.to.port = in.u16();
    std::size_t header = 8;
    if (packet.tcp) {
        packet.seq = in.u32();
        (void)in.u32();  // acknowledgement
        header = std::size_t{in.u8()} >> 4U << 2U;
        packet.syn = (in.u8() & 0x02U) != 0;
        (void)in.bytes(6);
        if (!in.ok() || header < 20) return NoPacket::damaged;
        (void)in.bytes(header - 20);
    } else {
        size = std::min<std::size_t>(size, in.u16());
        (void)in.u16();
    }
    if (!in.ok() || size < header) return NoPacket::damaged;
    const auto captured = std::min(size, available) - header;
    packet.payload = in.bytes(captured);
    packet.cut_off = size - header - captured;
    return packet;
}

Outcome read_v4(ByteReader in) {
    const auto start = in.remaining();
    const auto header = std::size_t{in.u8() & 0x0fU} * 4;
    (void)in.u8();
    const auto total = in.u16();
    (void)in.u16();
    const auto flags = in.u16();
    (void)in.u8();
    const auto protocol = in.u8();
    (void)in.u16();
    Packet packet;
    const auto from = in.bytes(4), to = in.bytes(4);
    if (!in.ok() || header < 20) return NoPacket::damaged;
    packet.from.address = IpAddress::from_bytes(from);
    packet.to.address = IpAddress::from_bytes(to);
    (void)in.bytes(header - 20);
    // 0: the network card was to fill it in (segmentation offload).
    const auto size = total == 0 ? start : std::size_t{total};
    if (!in.ok() || size < header) return NoPacket::damaged;
    if ((flags & 0x3fffU) != 0) return NoPacket::fragment;  // an offset, or more to come
    if (protocol != protocol_tcp && protocol != protocol_udp) return NoPacket::other;
    return read_transport(in, protocol, size - header, packet);
}

Outcome read_v6(ByteReader in) {
    (void)in.u32();
    std::size_t size = in.u16();
    auto next = in.u8();
    (void)in.u8();
    Packet packet;
    const auto from = in.bytes(16), to = in.bytes(16);
    if (!in.ok()) return NoPacket::damaged;
    packet.from.address = IpAddress::from_bytes(from);
    packet.to.address = IpAddress::from_bytes(to);
    if (size == 0) size = in.remaining();
    while (next == hop_by_hop || next == routing || next == destination) {
        next = in.u8();
        const auto length = (std::size_t{in.u8()} + 1) * 8;
        (void)in.bytes(length - 2);
        if (!in.ok() || size < length) return NoPacket::damaged;
        size -= length;
    }
    if (next == fragment) return NoPacket::fragment;
    if (next != protocol_tcp && next != protocol_udp) return NoPacket::other;
    return read_transport(in, next, size, packet);
}

}  // namespace

std::string to_string(const SocketAddress& e) {
    const auto address = e.address.to_string();
    return (e.address.family() == Family::v6 ? "[" + address + "]" : address) + ":" + std::to_string(e.port);
}

Outcome read_packet(ByteView frame, LinkType link) {
    ByteReader in(frame);
    const auto ethertype = skip_link(in, link);
    if (!in.ok() || in.empty()) return NoPacket::damaged;
    if (ethertype != 0 && ethertype != ethertype_v4 && ethertype != ethertype_v6) return NoPacket::other;
    auto look = in;
    const auto version = look.u8() >> 4U;
    if (version == 4 && ethertype != ethertype_v6) return read_v4(in);
    if (version == 6 && ethertype != ethertype_v4) return read_v6(in);
    return NoPacket::other;
}

}  // namespace leasemirror
