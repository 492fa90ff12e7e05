// Any stream in pieces of any size: the frames put together are the stream again, and the buffer stays bounded. The
// first octet says how large the pieces are.
#include "proto/wire/frame_buffer.hpp"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>

using namespace leasemirror;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::size_t step = 1 + std::size_t{data[0]} * data[0];
    const ByteView stream(data + 1, size - 1);
    for (const std::size_t header_bytes : {std::size_t{0}, std::size_t{4}, std::size_t{240}}) {
        FrameBuffer frames(header_bytes);
        std::size_t taken = 0;
        for (std::size_t at = 0; at < stream.size();) {
            const auto count = std::min({step, stream.size() - at, frames.space()});
            assert(count > 0);
            frames.append(stream.subspan(at, count));
            at += count;
            while (const auto message = frames.next()) {
                assert(message->size() >= header_bytes);
                assert(std::equal(message->begin(), message->end(), stream.begin() + static_cast<long>(taken) + 2));
                taken += 2 + message->size();
            }
            assert(frames.pending() <= FrameBuffer::frame_bytes_max);
            if (frames.bad_length()) break;
            assert(taken + frames.pending() == at);
        }
    }
    return 0;
}
