// What captured frames carry (agent/cli/decode/packet.hpp), and streams put together from them (segment_stream.hpp).
#include "agent/cli/decode/packet.hpp"
#include "agent/cli/decode/segment_stream.hpp"
#include "tests/agent/cli/decode/frames.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

using namespace leasemirror;
using namespace leasemirror::test;

namespace {

std::string words(const std::variant<Packet, NoPacket>& read) {
    if (const auto* const why = std::get_if<NoPacket>(&read))
        return *why == NoPacket::other ? "other" : *why == NoPacket::fragment ? "fragment" : "damaged";
    const auto& p = std::get<Packet>(read);
    return (p.tcp ? "tcp " + std::to_string(p.seq) + (p.syn ? " syn " : " ") : "udp ") + to_string(p.from) + " > " +
           to_string(p.to) + " " + std::string(as_text(p.payload)) +
           (p.cut_off > 0 ? " -" + std::to_string(p.cut_off) : "");
}

}  // namespace

TEST_CASE("a TCP segment and a UDP datagram are read over each kind of link") {
    const auto tcp = ipv4(6, tcp_segment(4000, 67, 77, "abc"));
    const std::string told = "tcp 77 192.0.2.1:4000 > 192.0.2.2:67 abc";
    CHECK(words(read_packet(ethernet(0x0800, tcp), LinkType::ethernet)) == told);
    CHECK(words(read_packet(ethernet(0x8100, bytes_of({0, 5, 8, 0}) + tcp), LinkType::ethernet)) == told);
    CHECK(words(read_packet(Bytes(14) + bytes_of({8, 0}) + tcp, LinkType::linux_sll)) == told);
    CHECK(words(read_packet(bytes_of({8, 0}) + Bytes(18) + tcp, LinkType::linux_sll2)) == told);
    CHECK(words(read_packet(bytes_of({2, 0, 0, 0}) + tcp, LinkType::loopback)) == told);
    CHECK(words(read_packet(tcp, LinkType::raw_ip)) == told);
    CHECK(words(read_packet(ethernet(0x86dd, ipv6(17, udp_datagram(546, 547, "x"))), LinkType::ethernet)) ==
          "udp [2001:db8::1]:546 > [2001:db8::2]:547 x");
    // A destination options header comes before (RFC 8200 §4.6).
    CHECK(words(read_packet(ipv6(60, bytes_of({17, 0, 1, 4, 0, 0, 0, 0}) + udp_datagram(546, 547, "x")),
                            LinkType::raw_ip)) == "udp [2001:db8::1]:546 > [2001:db8::2]:547 x");
}

TEST_CASE("what is no TCP or UDP, a fragment, or does not hold together is told apart") {
    CHECK(words(read_packet(ethernet(0x0806, Bytes(28)), LinkType::ethernet)) == "other");
    CHECK(words(read_packet(ipv4(1, Bytes(20)), LinkType::raw_ip)) == "other");
    auto part = ipv4(17, udp_datagram(1, 67, "x"));
    part[6] = 0x20;
    CHECK(words(read_packet(part, LinkType::raw_ip)) == "fragment");
    CHECK(words(read_packet(ipv6(44, Bytes(24)), LinkType::raw_ip)) == "fragment");
    CHECK(words(read_packet({}, LinkType::raw_ip)) == "damaged");
    auto lies = ipv4(6, tcp_segment(4000, 67, 77, "abc"));
    lies[32] = 0xf0;  // a header of 60 octets
    CHECK(words(read_packet(lies, LinkType::raw_ip)) == "damaged");
}

TEST_CASE("padding is no payload, and what was not captured is counted") {
    const auto tcp = ipv4(6, tcp_segment(4000, 67, 77, "abcdef"));
    CHECK(words(read_packet(tcp + Bytes(10), LinkType::raw_ip)) == "tcp 77 192.0.2.1:4000 > 192.0.2.2:67 abcdef");
    CHECK(words(read_packet(ByteView(tcp).first(tcp.size() - 2), LinkType::raw_ip)) ==
          "tcp 77 192.0.2.1:4000 > 192.0.2.2:67 abcd -2");
}

TEST_CASE("no frame makes a view past its end, whatever was done to it") {
    std::mt19937 dice(7);
    const std::vector<Bytes> frames{
        ethernet(0x0800, ipv4(6, tcp_segment(4000, 67, 77, "abcdef"))),
        ethernet(0x86dd, ipv6(60, bytes_of({17, 0, 1, 4, 0, 0, 0, 0}) + udp_datagram(546, 547, "x")))};
    for (int i = 0; i < 20000; ++i) {
        auto frame = frames[dice() % frames.size()];
        for (std::uint32_t changes = dice() % 4; changes > 0; --changes)
            frame[dice() % frame.size()] = static_cast<std::uint8_t>(dice());
        frame.resize(dice() % (frame.size() + 1));
        for (const auto link : {LinkType::ethernet, LinkType::linux_sll, LinkType::linux_sll2, LinkType::raw_ip}) {
            const auto read = read_packet(frame, link);
            const auto* const packet = std::get_if<Packet>(&read);
            if (packet == nullptr || packet->payload.empty()) continue;
            REQUIRE(packet->payload.data() >= frame.data());
            REQUIRE(packet->payload.data() + packet->payload.size() <= frame.data() + frame.size());
        }
    }
}

TEST_CASE("a stream comes out in order and once, from segments in any order, cut anyhow, and sent again") {
    const std::string text = "the quick brown fox jumps over the lazy dog";
    std::mt19937 dice(3);
    for (int round = 0; round < 500; ++round) {
        std::string out;
        SegmentStream stream([&](ByteView octets) { out += as_text(octets); });
        const std::uint32_t start =
            0xfffffff0U + static_cast<std::uint32_t>(dice() % 64);  // around the end of the numbers
        stream.take(start, true, {}, 0);
        std::vector<std::pair<std::size_t, std::size_t>> pieces;
        for (std::size_t at = 0; at < text.size();) {
            const auto size = std::min<std::size_t>(1 + dice() % 7, text.size() - at);
            pieces.emplace_back(at, size + dice() % 3);
            at += size;
        }
        for (int again = 0; again < 3; ++again)
            pieces.push_back(pieces[dice() % pieces.size()]);
        std::shuffle(pieces.begin(), pieces.end(), dice);
        for (const auto& piece : pieces) {
            const auto part = text.substr(piece.first, piece.second);
            stream.take(start + 1 + static_cast<std::uint32_t>(piece.first), false, as_bytes(part), 0);
        }
        stream.finish();
        CHECK(out == text);
        CHECK(stream.missing() == 0);
    }
}

TEST_CASE("what is missing in a stream is counted, and nothing after it comes out") {
    std::string out;
    SegmentStream stream([&](ByteView octets) { out += as_text(octets); });
    stream.take(10, true, {}, 0);
    stream.take(11, false, as_bytes("ab"), 0);
    stream.take(18, false, as_bytes("cd"), 0);
    stream.finish();
    CHECK(out == "ab");
    CHECK(stream.missing() == 5);
    stream.take(13, false, as_bytes("late"), 0);
    CHECK(out == "ab");

    std::string cut;
    SegmentStream other([&](ByteView octets) { cut += as_text(octets); });
    other.take(11, false, as_bytes("ab"), 3);  // without its beginning: from what comes first
    other.take(16, false, as_bytes("cd"), 0);
    other.finish();
    CHECK(cut == "ab");
    CHECK(other.missing() == 3);
}

TEST_CASE("a peer that never sends what is waited for does not fill the memory") {
    SegmentStream stream([](ByteView) {});
    stream.take(0, true, {}, 0);
    const Bytes much(60000);
    for (std::uint32_t i = 0; i < 200; ++i)
        stream.take(100 + i * 60000, false, much, 0);
    CHECK(stream.missing() == 99);
}
