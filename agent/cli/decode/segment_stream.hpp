// One direction of a TCP connection, put together from captured segments: in order, once, and what is missing counted.
// Pure.
#pragma once

#include "proto/bytes.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>

namespace leasemirror {

class SegmentStream {
public:
    /// Segments that came before the one they wait for, at most. Beyond that one is taken for lost.
    static constexpr std::size_t waiting_bytes_max = 4 * 1024 * 1024;

    /// `deliver` is given the octets as their turn comes.
    explicit SegmentStream(std::function<void(ByteView)> deliver) : deliver_(std::move(deliver)) {}

    /// `cut_off`: octets at the end of the payload that were not captured.
    void take(std::uint32_t seq, bool syn, ByteView payload, std::size_t cut_off);
    /// So many octets were not in the capture, and others came after them: nothing more is delivered.
    [[nodiscard]] std::size_t missing() const { return missing_; }
    /// No more segments come: what still waits, waits for something that is missing.
    void finish();

private:
    void deliver_waiting();

    const std::function<void(ByteView)> deliver_;
    std::optional<std::uint32_t> first_;  ///< sequence number of the first octet
    std::uint64_t next_ = 0;              ///< the octet that is waited for, counted from the first
    std::map<std::uint64_t, Bytes> waiting_;
    std::size_t waiting_bytes_ = 0;
    std::size_t missing_ = 0;
};

}  // namespace leasemirror
