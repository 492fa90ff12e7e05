#include "proto/ip_address.hpp"

#include "tests/golden/hex.hpp"

#include <doctest/doctest.h>

namespace leasemirror {
namespace {

std::string canonical(std::string_view text) {
    const auto address = IpAddress::parse(text);
    return address ? address->to_string() : "refused";
}

}  // namespace

TEST_CASE("IPv6 text is what RFC 5952 shows in its own examples") {
    // §1, §2: one address, many spellings.
    for (const auto* text :
         {"2001:db8:0:0:1:0:0:1", "2001:0db8:0:0:1:0:0:1", "2001:db8::1:0:0:1", "2001:db8::0:1:0:0:1",
          "2001:0db8::1:0:0:1", "2001:db8:0:0:1::1", "2001:db8:0000:0:1::1", "2001:DB8:0:0:1::1"})
        CHECK(canonical(text) == "2001:db8::1:0:0:1");
    CHECK(canonical("2001:0db8::0001") == "2001:db8::1");                                                    // §4.1
    CHECK(canonical("2001:db8:0:0:0:0:2:1") == "2001:db8::2:1");                                             // §4.2.1
    CHECK(canonical("2001:db8::0:1") == "2001:db8::1");                                                      // §4.2.1
    CHECK(canonical("2001:db8:0:1:1:1:1:1") == "2001:db8:0:1:1:1:1:1");                                      // §4.2.2
    CHECK(canonical("2001:0:0:1:0:0:0:1") == "2001:0:0:1::1");                                               // §4.2.3
    CHECK(canonical("2001:db8:aaaa:bbbb:cccc:dddd:EEEE:AAAA") == "2001:db8:aaaa:bbbb:cccc:dddd:eeee:aaaa");  // §4.3
    CHECK(canonical("::FFFF:192.0.2.1") == "::ffff:192.0.2.1");                                              // §5
    CHECK(canonical("::ffff:c000:201") == "::ffff:192.0.2.1");                                               // §5
}

TEST_CASE("IPv6 text holds at the corners") {
    CHECK(canonical("::") == "::");
    CHECK(canonical("::1") == "::1");
    CHECK(canonical("1::") == "1::");
    CHECK(canonical("0:1:2:3:4:5:6:7") == "0:1:2:3:4:5:6:7");
    CHECK(canonical("1:2:3:4:5:6:7::") == "1:2:3:4:5:6:7:0");
    CHECK(canonical("0:0:1:0:0:0:0:0") == "0:0:1::");
    CHECK(canonical("64:ff9b::192.0.2.33") == "64:ff9b::c000:221");
    CHECK(canonical("fe80:0:0:0:0:0:0:42") == "fe80::42");
}

TEST_CASE("text that is not an address is refused") {
    for (const auto* text : {"",
                             ":",
                             ":::",
                             "1",
                             "1:2:3:4:5:6:7",
                             "1:2:3:4:5:6:7:8:9",
                             "1::2::3",
                             "12345::",
                             "g::",
                             "1:2:3:4:5:6:7:8::",
                             "::1:2:3:4:5:6:7:8",
                             "fe80::1%eth0",
                             " ::1",
                             "::1 ",
                             ":1:2:3:4:5:6:7",
                             "1:2:3:4:5:6:7:",
                             "::ffff:1.2.3",
                             "1:2:3:4:5:6:7:1.2.3.4",
                             "::1.2.3.4:5",
                             "1.2.3",
                             "1.2.3.4.5",
                             "256.1.1.1",
                             "01.2.3.4",
                             "1..2.3",
                             "1.2.3.4 ",
                             "a.b.c.d",
                             "1.2.3.-4",
                             "0001.2.3.4"}) {
        CAPTURE(text);
        CHECK_FALSE(IpAddress::parse(text));
    }
}

TEST_CASE("IPv4 addresses go through text, number and bytes") {
    const auto address = IpAddress::v4(0xc0000201);
    CHECK(address.to_string() == "192.0.2.1");
    CHECK(IpAddress::parse("192.0.2.1") == address);
    CHECK(IpAddress::from_bytes(golden::hex("c0000201")) == address);
    CHECK(address.v4_value() == 0xc0000201);
    CHECK(address.bytes().size() == 4);
    CHECK(IpAddress().is_unspecified());
    CHECK(canonical("0.0.0.0") == "0.0.0.0");
    CHECK(canonical("255.255.255.255") == "255.255.255.255");
}

TEST_CASE("addresses sort by family and then by value, and v4 sorts as mapped among sixteen octets") {
    const auto low = *IpAddress::parse("9.0.0.1");
    const auto high = *IpAddress::parse("10.0.0.1");
    CHECK(low < high);
    CHECK(high < *IpAddress::parse("::"));
    CHECK(low.sortable() < high.sortable());
    CHECK(low.sortable() == IpAddress::parse("::ffff:9.0.0.1")->sortable());
}

TEST_CASE("a prefix keeps its first bits and clears the rest") {
    const auto v6 = *IpAddress::parse("2001:db8:ffff:ffff::1");
    CHECK(v6.prefix(0).to_string() == "::");
    CHECK(v6.prefix(33).to_string() == "2001:db8:8000::");
    CHECK(v6.prefix(56).to_string() == "2001:db8:ffff:ff00::");
    CHECK(v6.prefix(128) == v6);
    const auto v4 = *IpAddress::parse("10.255.255.255");
    CHECK(v4.prefix(12).to_string() == "10.240.0.0");
    CHECK(v4.prefix(32) == v4);
    CHECK(v4.prefix(0).to_string() == "0.0.0.0");
}

}  // namespace leasemirror
