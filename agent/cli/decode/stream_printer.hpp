// Prints the messages of one direction of a leasequery connection, as its octets come.
#pragma once

#include "agent/cli/decode/message_text.hpp"
#include "proto/ip_address.hpp"
#include "proto/wire/frame_buffer.hpp"

#include <functional>
#include <iosfwd>
#include <string>

namespace leasemirror {

class StreamPrinter {
public:
    /// `before` is called right before each message is printed. `out` outlives this object.
    StreamPrinter(Family family, std::ostream& out, std::function<void()> before = {});

    void take(ByteView octets);
    /// A length was met that no message has: nothing more can be made of the stream.
    [[nodiscard]] bool lost() const { return frames_.bad_length().has_value(); }
    /// What follows is TLS, after a message that asked for it (RFC 7653 §5.2, RFC 7724 §4.2). It is not printed.
    [[nodiscard]] bool is_secured() const { return secured_; }
    [[nodiscard]] std::size_t messages() const { return number_; }
    /// How it ended, and the exit code. `suspicion`: what the stream seems to be instead, if none of its messages could be
    /// read.
    [[nodiscard]] int finish(const std::string& suspicion);
    /// Octets that are not in the capture.
    void miss(std::size_t octets);

    /// A message by itself, without a length before it: false if it is none of leasequery, and nothing is printed.
    static bool print_datagram(Family family, ByteView message, std::ostream& out, const std::function<void()>& before);

    [[nodiscard]] static bool is_leasequery(Family family, ByteView message);

private:
    [[nodiscard]] std::size_t until_message_ends(ByteView octets) const;
    [[nodiscard]] int say_the_end();
    void print(ByteView message);

    Family family_;
    FrameBuffer frames_;
    ScratchV4 scratch_v4_;
    ScratchV6 scratch_v6_;
    std::ostream& out_;
    const std::function<void()> before_;
    std::size_t number_ = 0;
    std::size_t offset_ = 0;
    bool any_read_ = false;
    bool asked_for_tls_ = false;
    bool secured_ = false;
    std::size_t missing_ = 0;
    std::size_t message_left_ = 0;         // of the one that has begun, once its length is known
    std::uint8_t length_begins_with_ = 0;  // where only that octet has come
};

/// Length, and the part of the first message that tells its family.
constexpr std::size_t family_head_bytes = 2 + header_bytes_v4;
/// By the magic cookie; of a head too short to hold one, by the first octet, which is 1 or 2 in v4 and never in a
/// leasequery message of v6.
[[nodiscard]] Family detect_family(ByteView head);
/// A record of TLS begins so (RFC 8446 §5.1).
[[nodiscard]] bool begins_as_tls(ByteView octets);

}  // namespace leasemirror
