#include "proto/wire/frame_buffer.hpp"

#include "tests/golden/hex.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace leasemirror {
namespace {

using golden::hex;

Bytes frame(std::size_t length, std::uint8_t fill) {
    Bytes out{static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length)};
    out.insert(out.end(), length, fill);
    return out;
}

}  // namespace

TEST_CASE("frames come out whole however the stream is cut") {
    Bytes stream;
    for (std::uint8_t i = 1; i <= 5; ++i) {
        const auto one = frame(4U * i, i);
        stream.insert(stream.end(), one.begin(), one.end());
    }
    for (std::size_t step = 1; step <= stream.size(); ++step) {
        FrameBuffer frames(4);
        std::uint8_t seen = 0;
        for (std::size_t at = 0; at < stream.size(); at += step) {
            frames.append(ByteView(stream).subspan(at, std::min(step, stream.size() - at)));
            while (const auto message = frames.next()) {
                ++seen;
                REQUIRE(message->size() == 4U * seen);
                REQUIRE(std::all_of(message->begin(), message->end(), [&](auto b) { return b == seen; }));
            }
        }
        CHECK(seen == 5);
        CHECK(frames.pending() == 0);
    }
}

TEST_CASE("octets of a frame that broke off are counted") {
    FrameBuffer frames(4);
    frames.append(hex("00"));
    CHECK_FALSE(frames.next());
    CHECK(frames.pending() == 1);
    frames.append(hex("05 01020304"));
    CHECK_FALSE(frames.next());
    CHECK(frames.pending() == 6);
}

TEST_CASE("a length below a header loses the framing for good") {
    FrameBuffer frames(4);
    frames.append(hex("0004 01020304 0003 010203 0004 01020304"));
    CHECK(frames.next());
    CHECK_FALSE(frames.bad_length());
    CHECK_FALSE(frames.next());
    CHECK(frames.bad_length() == 3);
    CHECK_FALSE(frames.next());
    frames.append(frame(4, 1));
    CHECK_FALSE(frames.next());

    FrameBuffer empty(240);
    empty.append(hex("0000"));
    CHECK_FALSE(empty.next());
    CHECK(empty.bad_length() == 0);
}

TEST_CASE("the largest frame passes, and the buffer never holds more than that and one read") {
    const auto largest = frame(65535, 7);
    FrameBuffer frames(4);
    std::size_t taken = 0;
    for (int i = 0; i < 6; ++i) {
        for (std::size_t at = 0; at < largest.size();) {
            if (frames.space() == 0) {
                CHECK(frames.pending() > FrameBuffer::frame_bytes_max);
                REQUIRE(frames.next());
                ++taken;
                continue;
            }
            const auto step = std::min({frames.space(), largest.size() - at, FrameBuffer::read_bytes_max});
            frames.append(ByteView(largest).subspan(at, step));
            CHECK(frames.pending() <= FrameBuffer::frame_bytes_max + FrameBuffer::read_bytes_max);
            at += step;
        }
    }
    while (frames.next())
        ++taken;
    CHECK(taken == 6);
}

}  // namespace leasemirror
