// What a server may do to the octets of a reply that encode_v4() and encode_v6() would not: messages that are odd but
// mean the same, and messages of which a part cannot be read.
#pragma once

#include "proto/binding.hpp"
#include "proto/bytes.hpp"

namespace leasemirror::leasesim {

/// The same message, in which options of fixed length (v4: all that there are; v6: base-time and CLT_TIME) come twice.
void write_fixed_options_twice(Family family, ByteView message, ByteWriter& out);

/// The same message with one octet behind its last option, which begins another that is not there.
void write_stray_octet(Family family, ByteView message, ByteWriter& out);

}  // namespace leasemirror::leasesim
