#include "agent/cli/decode/decode.hpp"
#include "proto/wire/message_v4.hpp"
#include "proto/wire/message_v6.hpp"
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
    const int code = decode_stream(in, family, out);
    return {code, out.str()};
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
    for (const char* magic : {"\xd4\xc3\xb2\xa1", "\xa1\xb2\xc3\xd4", "\x4d\x3c\xb2\xa1", "\x0a\x0d\x0d\x0a"})
        CHECK(contains(end_of(magic + rest), "a capture of packets (pcap); take the octets of one TCP direction"));
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
