// What a requestor that lives longer than one query remembers of the servers it asks over UDP, to be polite to them:
// their pacing (RFC 4388 §6.6), and what they said they do not have (RFC 4388 §6.5 and §7, RFC 5007 §5).
#pragma once

#include "proto/udp/negative_cache.hpp"
#include "proto/udp/pacing.hpp"

#include <map>

namespace leasemirror {

struct UdpMemory {
    std::map<UdpEndpoint, UdpPacing> pacing;  ///< one for each v4 server ever asked
    NegativeCache negative;
};

}  // namespace leasemirror
