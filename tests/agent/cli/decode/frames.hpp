// Frames as a network card would have seen them, and captures of such.
#pragma once

#include "proto/bytes.hpp"

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace leasemirror::test {

inline Bytes bytes_of(std::initializer_list<int> values) {
    Bytes out;
    for (const auto value : values)
        out.push_back(static_cast<std::uint8_t>(value));
    return out;
}
inline Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}
inline ByteView as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline Bytes to_bytes(std::string_view text) {
    return {text.begin(), text.end()};
}
inline Bytes u16(std::size_t value) {
    return bytes_of({static_cast<int>(value >> 8U & 0xffU), static_cast<int>(value & 0xffU)});
}
inline Bytes u32(std::uint32_t value) {
    return u16(value >> 16U) + u16(value & 0xffffU);
}

inline Bytes tcp_segment(std::uint16_t from, std::uint16_t to, std::uint32_t seq, std::string_view payload,
                         bool syn = false) {
    return u16(from) + u16(to) + u32(seq) + u32(0) + bytes_of({0x50, syn ? 2 : 0x10}) + Bytes(6) + to_bytes(payload);
}
inline Bytes udp_datagram(std::uint16_t from, std::uint16_t to, std::string_view payload) {
    return u16(from) + u16(to) + u16(8 + payload.size()) + u16(0) + to_bytes(payload);
}
/// From 192.0.2.1 to 192.0.2.2, or `back`.
inline Bytes ipv4(int protocol, const Bytes& segment, bool back = false) {
    const auto one = bytes_of({192, 0, 2, 1}), two = bytes_of({192, 0, 2, 2});
    return bytes_of({0x45, 0}) + u16(20 + segment.size()) + Bytes(4) + bytes_of({64, protocol, 0, 0}) +
           (back ? two + one : one + two) + segment;
}
/// From 2001:db8::1 to 2001:db8::2.
inline Bytes ipv6(int next, const Bytes& segment) {
    const auto host = [](int last) { return bytes_of({0x20, 1, 0xd, 0xb8}) + Bytes(11) + bytes_of({last}); };
    return bytes_of({0x60, 0, 0, 0}) + u16(segment.size()) + bytes_of({next, 64}) + host(1) + host(2) + segment;
}
inline Bytes ethernet(std::uint16_t type, const Bytes& packet) {
    return Bytes(12) + u16(type) + packet;
}

/// A pcap file, big-endian, of raw IP packets, one each second from 2026-11-20T13:20:00.25Z on.
inline std::string capture_of(const std::vector<Bytes>& packets, std::uint32_t link = 101) {
    auto out = u32(0xa1b2c3d4U) + u16(2) + u16(4) + u32(0) + u32(0) + u32(65535) + u32(link);
    std::uint32_t second = 1'795'180'800U;
    for (const auto& packet : packets) {
        const auto size = static_cast<std::uint32_t>(packet.size());
        out = out + u32(second++) + u32(250'000) + u32(size) + u32(size) + packet;
    }
    return {out.begin(), out.end()};
}

}  // namespace leasemirror::test
