// `decode` of a capture of packets, as tcpdump and Wireshark write them: the leasequery messages of all connections and
// datagrams in it.
#pragma once

#include "proto/bytes.hpp"
#include "proto/ip_address.hpp"

#include <cstdio>
#include <iosfwd>
#include <optional>

namespace leasemirror {

/// Whether a file that begins so is one, in any of its formats.
[[nodiscard]] bool begins_as_capture(ByteView head);

/// Prints each message as its last octet is captured, with time and endpoints. `family`: of all; none: told by the port, 67
/// or 547, or else by the first message. Takes `file` over. Returns the exit code: 1 if a connection breaks off inside a
/// message or lacks octets, if there are no messages, or if the file breaks off; 2 for what is no such file.
[[nodiscard]] int decode_capture(std::FILE* file, std::optional<Family> family, std::ostream& out, std::ostream& err);

}  // namespace leasemirror
