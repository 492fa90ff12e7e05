#include "proto/bytes.hpp"

#include "tests/golden/hex.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace leasemirror {
namespace {

using golden::hex;

bool equal(ByteView a, ByteView b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace

TEST_CASE("a reader takes fields in network order") {
    const auto bytes = hex("01 0203 040506 0708090a 0b0c");
    ByteReader in(bytes);
    CHECK(in.u8() == 0x01);
    CHECK(in.u16() == 0x0203);
    CHECK(in.u24() == 0x040506);
    CHECK(in.u32() == 0x0708090a);
    CHECK(in.remaining() == 2);
    CHECK(equal(in.rest(), hex("0b0c")));
    CHECK(in.empty());
    CHECK(in.ok());
}

TEST_CASE("a reader that was asked for too much gives zeros and stays where it is") {
    const auto bytes = hex("ff ff ff");
    ByteReader in(bytes, 100);
    CHECK(in.u8() == 0xff);
    CHECK(in.u32() == 0);
    CHECK_FALSE(in.ok());
    CHECK(in.u8() == 0);
    CHECK(in.rest().empty());
    CHECK(in.remaining() == 0);
    CHECK(in.offset() == 101);
}

TEST_CASE("a reader inside another cannot leave its octets, and counts from the start of the message") {
    const auto bytes = hex("00 01 02 03 04");
    ByteReader in(bytes);
    (void)in.u8();
    auto inner = in.sub(2);
    CHECK(inner.offset() == 1);
    CHECK(inner.u16() == 0x0102);
    CHECK(inner.u8() == 0);
    CHECK_FALSE(inner.ok());
    CHECK(in.ok());
    CHECK(in.u8() == 0x03);
    auto beyond = in.sub(2);
    CHECK_FALSE(beyond.ok());
    CHECK_FALSE(in.ok());
}

TEST_CASE("a writer fills fields and patches lengths") {
    std::array<std::uint8_t, 32> room{};
    ByteWriter out(room);
    out.u8(1);
    const auto outer = out.reserve_u16();
    const auto inner = out.reserve_u8();
    out.u24(0x020304);
    out.text("ab");
    out.patch_u8(inner);
    out.zeros(2);
    out.patch_u16(outer);
    out.u32(0x05060708);
    CHECK(out.ok());
    CHECK(equal(out.written(), hex("01 0008 05 020304 6162 0000 05060708")));
}

TEST_CASE("a writer without room fails as a whole") {
    std::array<std::uint8_t, 3> room{};
    ByteWriter out(room);
    out.u16(1);
    out.u16(2);
    CHECK_FALSE(out.ok());
    out.u8(3);
    CHECK_FALSE(out.ok());
    CHECK(out.written().empty());
}

TEST_CASE("a length that its field cannot hold fails the writer") {
    Bytes room(70000);
    ByteWriter small(room);
    const auto place = small.reserve_u8();
    small.zeros(256);
    small.patch_u8(place);
    CHECK_FALSE(small.ok());
    ByteWriter large(room);
    const auto wide = large.reserve_u16();
    large.zeros(65536);
    large.patch_u16(wide);
    CHECK_FALSE(large.ok());
}

}  // namespace leasemirror
