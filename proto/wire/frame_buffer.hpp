// A TCP byte stream cut into whole messages: two octets of length, then the message (RFC 5460 §5.1,
// RFC 6926 §6.1). Bounded: it never holds more than one largest frame and one read.
#pragma once

#include "proto/bytes.hpp"

#include <cstddef>
#include <optional>

namespace leasemirror {

class FrameBuffer {
public:
    static constexpr std::size_t frame_bytes_max = 2 + 65535;
    static constexpr std::size_t read_bytes_max = 64 * 1024;

    /// `header_bytes` is the least a message can have: 240 (v4), 4 (v6). A shorter length loses the framing.
    explicit FrameBuffer(std::size_t header_bytes) : header_bytes_(header_bytes) {}

    /// How many octets append() takes now: zero once more than one largest frame waits to be taken.
    [[nodiscard]] std::size_t space() const;
    /// Takes `in` whole; it must not exceed space(). Invalidates views from next().
    void append(ByteView in);
    /// The next whole message, without its length, valid until append(). Nothing if none is complete or framing
    /// is lost.
    [[nodiscard]] std::optional<ByteView> next();
    /// Set once a frame announced fewer octets than a header has; the buffer yields nothing from then on.
    [[nodiscard]] std::optional<std::size_t> bad_length() const { return bad_length_; }
    /// Octets of a message that has begun and is not whole: not zero at end of stream means it broke off.
    [[nodiscard]] std::size_t pending() const { return bytes_.size() - at_; }

private:
    std::size_t header_bytes_;
    Bytes bytes_;
    std::size_t at_ = 0;
    std::optional<std::size_t> bad_length_;
};

}  // namespace leasemirror
