#include "agent/cli/decode/decode.hpp"
#include "agent/cli/decode/stream_printer.hpp"
#include "proto/wire/message_v4.hpp"
#include "proto/wire/message_v6.hpp"
#include "tests/agent/cli/decode/frames.hpp"
#include "tests/agent/cli/outcome.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

using namespace leasemirror;
using test::contains;

namespace {

std::string framed(const std::string& message) {
    std::string out;
    out += static_cast<char>(message.size() >> 8);
    out += static_cast<char>(message.size() & 0xff);
    return out + message;
}

std::string encoded(const MessageV4& m) {
    Bytes room(4096);
    ByteWriter out(room);
    encode_v4(m, out);
    REQUIRE(out.ok());
    return framed({out.written().begin(), out.written().end()});
}

std::string encoded(const MessageV6& m) {
    Bytes room(4096);
    ByteWriter out(room);
    encode_v6(m, out);
    REQUIRE(out.ok());
    return framed({out.written().begin(), out.written().end()});
}

MessageV4 active_v4() {
    static const Bytes chaddr{2, 0, 0, 0, 0, 1};
    MessageV4 m;
    m.op = 2;
    m.htype = 1;
    m.hlen = 6;
    m.chaddr = chaddr;
    m.xid = 0x13;
    m.type = MessageTypeV4::lease_active;
    m.ciaddr = IpAddress::v4(0x0a0a0001);
    m.base_time = server_time_from_unix(1795180538);
    m.lease_time = 3600;
    m.renewal_time = 0xffffffff;
    m.client_last_transaction_age = 60;
    m.dhcp_state = 2;
    m.data_source = 1;
    return m;
}

MessageV6 status_v6() {
    MessageV6 m;
    m.type = MessageTypeV6::lease_query_done;
    m.xid = 0x22;
    m.status = make_status_v6(StatusCode::query_terminated, "bye\nnow");
    m.base_time = server_time_from_unix(1795180538);
    return m;
}

struct Decoded {
    int code;
    std::string text;
};

Decoded decode(const std::string& octets, std::optional<Family> family = std::nullopt) {
    std::istringstream in(octets);
    std::ostringstream out;
    std::ostringstream err;
    const int code = decode_stream(in, family, out, err);
    return {code, out.str() + err.str()};
}

std::string capture(const std::string& name) {
    std::ifstream in(std::string(LEASEMIRROR_SOURCE_DIR "/tests/golden/kea/") + name + ".bin", std::ios::binary);
    REQUIRE_MESSAGE(in.good(), name);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::size_t count(const std::string& text, const std::string& word) {
    std::size_t out = 0;
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
        ++out;
    return out;
}

}  // namespace

TEST_CASE("a v4 message is printed with its fields named and its times in UTC") {
    const auto decoded = decode(encoded(active_v4()));
    CHECK(decoded.code == 0);
    CHECK(decoded.text.starts_with("message 1, octet 0, "));
    for (const std::string line :
         {"octets: DHCPLEASEACTIVE xid 0x00000013\n", "  op: 2 (reply)\n", "  ciaddr: 10.10.0.1\n",
          "  chaddr: hardware type 1, 02:00:00:00:00:01\n", "  base-time (152): 2026-11-20T13:15:38Z\n",
          "  lease-time (51): 3600 s, until 2026-11-20T14:15:38Z\n", "  renewal-time (58): infinite\n",
          "  client-last-transaction-time (91): 60 s before, at 2026-11-20T13:14:38Z\n",
          "  dhcp-state (156): 2 (active)\n", "  data-source (157): remote\n"})
        CHECK_MESSAGE(contains(decoded.text, line), line << "in\n" << decoded.text);
}

TEST_CASE("a v6 status is printed by name, and its text cannot forge a line") {
    const auto decoded = decode(encoded(status_v6()));
    CHECK(decoded.code == 0);
    CHECK(contains(decoded.text, "octets: LEASEQUERY-DONE xid 0x000022\n"));
    CHECK(contains(decoded.text, "  status (13): 11 (QueryTerminated): bye?now\n"));
    CHECK(contains(decoded.text, "  base-time (100): 2026-11-20T13:15:38Z\n"));
}

TEST_CASE("captures of Kea decode without a rest, and nested data is shown") {
    struct Case {
        std::string name;
        std::size_t messages;
        std::vector<std::string> parts;
    };
    const Case cases[] = {
        {"v4-remote-1", 20, {"circuit-id: 65:74:68:31 ('eth1')\n", "    relay-id: 72:65:6c:61:79:2d:41 ('relay-A')\n"}},
        {"v4-remote-1.req", 1, {"DHCPBULKLEASEQUERY", "    remote-id: "}},
        {"v4-malformed-multi", 1, {"DHCPLEASEQUERYDONE", "status (151): 3 (MalformedQuery)"}},
        {"v4-closed-activelq", 0, {"no messages: the stream is empty\n"}},
        {"v4-closed-activelq.req", 1, {"DHCPACTIVELEASEQUERY"}},
        {"v4-interleaved", 192, {}},
        {"v6-relay-R1",
         39,
         {"  client-data (45)\n    client-id (1): 00:03:00:01:02:00:00:00:00:01 (hardware type 1, 02:00:00:00:00:01)\n",
          "      link-address: 2001:db8:1::1\n", "      interface-id: 67:65:2d:30:2f:30:2f:31 ('ge-0/0/1')\n",
          "    ia-address (5): 2001:db8:1::1\n      preferred: 53938 s\n      valid: 86338 s\n"}},
        {"v6-relay-R1.req", 1, {"lq-query (44): type 3 (by relay-id)\n    link-address: ::\n"}},
        {"v6-client-42", 5, {"ia-prefix (26): "}},
        {"v6-qtype-unknown", 1, {"status (13): 7 (UnknownQueryType)"}},
        {"v6-closed-starttls.req", 1, {"STARTTLS xid"}},
        {"v6-interleaved", 234, {}},
    };
    for (const auto& c : cases) {
        CAPTURE(c.name);
        const auto decoded = decode(capture(c.name));
        CHECK(decoded.code == 0);
        CHECK(count(decoded.text, "\nmessage ") + (decoded.text.starts_with("message ") ? 1 : 0) == c.messages);
        CHECK_FALSE(contains(decoded.text, "malformed"));
        for (const auto& part : c.parts)
            CHECK_MESSAGE(contains(decoded.text, part), part << "in\n" << decoded.text.substr(0, 2000));
    }
}

TEST_CASE("a malformed message is shown as such, and decoding goes on behind it") {
    const std::string good = encoded(status_v6());
    const std::string bad = framed(std::string("\x11\x00\x00\x22\x00\x0d\x00\xff", 8));  // status runs past the end
    const auto decoded = decode(good + bad + good);
    CHECK(decoded.code == 0);
    CHECK(contains(decoded.text, "message 2, octet " + std::to_string(good.size()) + ", 8 octets: malformed\n"));
    CHECK(contains(decoded.text, "  octets: 11000022000d00ff\n"));
    CHECK(contains(decoded.text, "message 3, octet " + std::to_string(good.size() + 10) + ", "));
}

TEST_CASE("a stream that breaks off inside a message says where, and is wrong") {
    const std::string whole = encoded(active_v4());
    for (const std::size_t cut : {std::size_t{1}, std::size_t{2}, std::size_t{100}, whole.size() - 1}) {
        CAPTURE(cut);
        const auto first = decode(whole.substr(0, cut));
        CHECK(first.code == 1);
        CHECK(first.text ==
              "the stream breaks off at octet " + std::to_string(cut) + ", inside message 1 that begins at octet 0\n");
        const auto second = decode(whole + whole.substr(0, cut));
        CHECK(second.code == 1);
        CHECK(contains(second.text, "the stream breaks off at octet " + std::to_string(whole.size() + cut) +
                                        ", inside message 2 that begins at octet " + std::to_string(whole.size())));
    }
}

TEST_CASE("what is no leasequery stream is called what it seems to be") {
    const auto end_of = [](const std::string& octets) {
        const auto text = decode(octets).text;
        const auto at = text.rfind("it seems to be ");
        return at == std::string::npos ? std::string() : text.substr(at);
    };
    const std::string rest(300, '\1');
    CHECK(contains(end_of("\x1f\x8b" + rest), "compressed by gzip"));
    CHECK(contains(end_of("SQLite format 3" + rest), "an SQLite database"));
    CHECK(contains(end_of("00 f0 02 01 06 00\n"), "hex; 'xxd -r -p FILE > octets.bin'"));
    CHECK(end_of("storage: { url: sqlite:///x }\n") == "it seems to be text\n");
    CHECK(end_of(encoded(active_v4()).substr(0, 100)).empty());
    CHECK(end_of(encoded(active_v4())).empty());
    CHECK(end_of("").empty());
}

TEST_CASE("a length that no message can have ends the decoding") {
    const std::string good = encoded(status_v6());
    const auto decoded = decode(good + std::string("\x00\x03\x01\x02\x03", 5) + good);
    CHECK(decoded.code == 1);
    CHECK(contains(decoded.text, "framing lost at octet " + std::to_string(good.size()) +
                                     ": a message of 3 octets, and v6 has none"));
    CHECK(count(decoded.text, "message ") == 2);  // the good one, and the sentence about the length
}

TEST_CASE("the family can be forced") {
    const auto decoded = decode(encoded(status_v6()), Family::v4);
    CHECK(decoded.code == 1);
    CHECK(contains(decoded.text, "framing lost at octet 0"));
    CHECK(decode(encoded(active_v4()), Family::v4).code == 0);
}

TEST_CASE("no stream makes decoding fail otherwise than by saying so") {
    std::uint64_t state = 1;
    for (int round = 0; round < 300; ++round) {
        auto octets = capture(round % 2 == 0 ? "v6-relay-R1" : "v4-remote-1").substr(0, 2000);
        for (int i = 0; i < 20; ++i) {
            state = state * 6364136223846793005ULL + 1442695040888963407ULL;
            octets[(state >> 33) % octets.size()] = static_cast<char>(state >> 20);
        }
        const auto decoded = decode(octets);
        CHECK((decoded.code == 0 || decoded.code == 1));
        CHECK_FALSE(decoded.text.empty());
    }
}

// ---- captures of packets --------------------------------------------------------------------------------------------

namespace {

using namespace test;

Bytes from_server(std::uint32_t seq, std::string_view payload, std::uint16_t port = 67) {
    return ipv4(6, tcp_segment(port, 4000, seq, payload), true);
}

}  // namespace

TEST_CASE("of a capture each message is printed as its last octet comes, with time and endpoints") {
    const auto one = encoded(active_v4());
    const auto decoded = decode(capture_of(
        {ipv4(6, tcp_segment(4000, 67, 10, "", true)), ipv4(6, tcp_segment(67, 4000, 50, "", true), true),
         from_server(51 + static_cast<std::uint32_t>(one.size()), one.substr(0, 9)), from_server(51, one),
         from_server(51, one.substr(0, 20)), from_server(60 + static_cast<std::uint32_t>(one.size()), one.substr(9))}));
    CHECK(decoded.code == 0);
    CHECK(contains(decoded.text,
                   "2026-11-20T13:20:03.250000Z 192.0.2.2:67 > 192.0.2.1:4000\n"
                   "message 1, octet 0, " +
                       std::to_string(one.size() - 2) + " octets: DHCPLEASEACTIVE xid 0x00000013\n"));
    CHECK(contains(decoded.text, "2026-11-20T13:20:05.250000Z 192.0.2.2:67 > 192.0.2.1:4000\nmessage 2, "));
    CHECK(contains(decoded.text, "192.0.2.2:67 > 192.0.2.1:4000: 2 messages\n"));
    CHECK_FALSE(contains(decoded.text, "left out"));
}

TEST_CASE("datagrams of leasequery are printed, and other DHCP is not") {
    const auto message = encoded(active_v4()).substr(2);
    auto discover = message;
    discover.replace(discover.find("\x35\x01"), 3, "\x35\x01\x01");
    const auto decoded =
        decode(capture_of({ipv4(17, udp_datagram(67, 67, message)), ipv4(17, udp_datagram(68, 67, discover)),
                           ipv4(17, udp_datagram(53, 53, message))}));
    CHECK(decoded.code == 0);
    CHECK(contains(decoded.text, "2026-11-20T13:20:00.250000Z 192.0.2.1:67 > 192.0.2.2:67\ndatagram, " +
                                     std::to_string(message.size()) + " octets: DHCPLEASEACTIVE"));
    CHECK_FALSE(contains(decoded.text, "13:20:01"));
    CHECK_FALSE(contains(decoded.text, "13:20:02"));
}

TEST_CASE("at another port leasequery is known by its first message, and other connections are passed over") {
    const auto message = encoded(status_v6());
    const auto decoded =
        decode(capture_of({ipv4(6, tcp_segment(80, 4001, 9, "HTTP/1.1 200 OK")), from_server(1, message, 5547),
                           ipv4(6, tcp_segment(80, 4001, 24, std::string(70000, 'x').substr(0, 60000)))}));
    CHECK(decoded.code == 0);
    CHECK(contains(decoded.text, "192.0.2.2:5547 > 192.0.2.1:4000: 1 message\n"));
    CHECK_FALSE(contains(decoded.text, ":80"));
}

TEST_CASE("TLS is called so, from the beginning or after a message that asks for it") {
    const std::string hello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
    CHECK(
        contains(decode(capture_of({from_server(1, hello)})).text, "192.0.2.2:67 > 192.0.2.1:4000: TLS, unreadable\n"));
    MessageV6 start;
    start.type = MessageTypeV6::start_tls;
    start.xid = 1;
    const auto decoded = decode(capture_of({from_server(1, encoded(start) + hello, 547)}));
    CHECK(decoded.code == 0);
    CHECK(contains(decoded.text, "TLS from octet " + std::to_string(encoded(start).size()) + " on"));
    CHECK(contains(decode(encoded(start) + hello).text, "TLS from octet "));
}

TEST_CASE("what a capture lacks is said, and its exit code is 1") {
    const auto one = encoded(active_v4());
    const auto size = static_cast<std::uint32_t>(one.size());
    const auto hole = decode(capture_of({from_server(1, one), from_server(1 + size + 7, one)}));
    CHECK(hole.code == 1);
    CHECK(contains(hole.text, "7 octets or more after octet " + std::to_string(size) + " are not in the capture"));
    const auto broken = decode(capture_of({from_server(1, one.substr(0, 100))}));
    CHECK(broken.code == 1);
    CHECK(contains(broken.text, "the stream breaks off at octet 100, inside message 1"));
    const auto file = capture_of({from_server(1, one), from_server(1 + size, one)});
    const auto short_file = decode(file.substr(0, file.size() - 10));
    CHECK(short_file.code == 1);
    CHECK(contains(short_file.text, "message 1, octet 0"));
    CHECK(contains(short_file.text, "the capture breaks off: "));
    const auto nothing = decode(capture_of({ipv4(1, Bytes(8))}));
    CHECK(nothing.code == 1);
    CHECK(contains(nothing.text, "no leasequery messages in 1 packets"));
    auto part = ipv4(17, udp_datagram(67, 67, "x"));
    part[6] = 0x20;
    CHECK(contains(decode(capture_of({part})).text, "left out: 1 fragments of IP packets\n"));
}

TEST_CASE("a capture of a link that is not understood, or a damaged one, is a mistake that says so") {
    const auto link = decode(capture_of({}, 105));
    CHECK(link.code == 2);
    CHECK(contains(link.text, "packets of 802.11 are not understood"));
    const auto damaged = decode(std::string("\xd4\xc3\xb2\xa1", 4) + std::string(300, '\1'));
    CHECK(damaged.code == 2);
    CHECK(contains(damaged.text, "the capture cannot be read: "));
}

TEST_CASE("a stream is printed alike however it is cut, also inside of a length") {
    const auto whole = encoded(active_v4()) + encoded(active_v4()) + encoded(active_v4());
    const auto expected = decode(whole).text;
    CHECK(contains(expected, "message 3, "));
    for (std::size_t piece = 1; piece < 300; piece += 7) {
        std::ostringstream out;
        StreamPrinter printer(Family::v4, out);
        for (std::size_t at = 0; at < whole.size(); at += piece)
            printer.take(as_bytes(std::string_view(whole).substr(at, piece)));
        CHECK(printer.finish({}) == 0);
        CHECK(out.str() == expected);
    }
}
