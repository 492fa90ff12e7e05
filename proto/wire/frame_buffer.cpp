#include "proto/wire/frame_buffer.hpp"

#include <cassert>

namespace leasemirror {

std::size_t FrameBuffer::space() const {
    return pending() > frame_bytes_max ? 0 : read_bytes_max;
}

void FrameBuffer::append(ByteView in) {
    assert(in.size() <= space());
    if (bad_length_) return;  // nothing after a lost framing means anything
    // What was taken goes first, so that the buffer never grows past one frame and one read.
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(at_));
    at_ = 0;
    bytes_.insert(bytes_.end(), in.begin(), in.end());
}

std::optional<ByteView> FrameBuffer::next() {
    if (bad_length_) return std::nullopt;
    ByteReader in(ByteView(bytes_).subspan(at_));
    const std::size_t length = in.u16();
    if (!in.ok()) return std::nullopt;
    if (length < header_bytes_) {
        bad_length_ = length;
        return std::nullopt;
    }
    const auto message = in.bytes(length);
    if (!in.ok()) return std::nullopt;
    at_ += 2 + length;
    return message;
}

}  // namespace leasemirror
