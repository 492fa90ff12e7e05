// `leasemirror decode`: the messages in a capture.
#pragma once

#include "proto/ip_address.hpp"

#include <iosfwd>
#include <optional>
#include <string>

namespace leasemirror {

struct DecodeCommand {
    std::string file;              ///< "-" = stdin
    std::optional<Family> family;  ///< none: told by the first message

    friend bool operator==(const DecodeCommand&, const DecodeCommand&) = default;
};

int execute(const DecodeCommand& command, std::ostream& out, std::ostream& err);

/// Prints every message of the octets of one direction of a connection, or of a capture of packets. 1 if the stream
/// breaks off inside a message or the framing is lost; see decode_capture().
[[nodiscard]] int decode_stream(std::istream& in, std::optional<Family> family, std::ostream& out, std::ostream& err);

}  // namespace leasemirror
