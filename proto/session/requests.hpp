// The queries we send: RFC 6926 §7.2, RFC 7724 §7.3, RFC 5007 §4.3.1, RFC 5460 §6.2, RFC 7653 §8.3, and over UDP
// RFC 4388 §6.2, RFC 6148 §4.1, RFC 5007 §4.3.1.
#pragma once

#include "proto/query.hpp"
#include "proto/session/session.hpp"

#include <span>

namespace leasemirror {

/// Appends a framed bulk query to `out`. `all_vpns` asks a v4 server for every VPN (option 221 of type 254,
/// RFC 6926 §7.2); without it a server answers for the default VPN. `out` stays as it was, and the result is false,
/// when the query cannot be expressed in the family or is too long for a message.
[[nodiscard]] bool append_bulk_request(Bytes& out, const SessionSettings& settings, std::uint32_t xid,
                                       const BulkQuery& query, const QueryWindow& window, bool all_vpns);

/// Appends a framed active query. With a start time the connection begins in the catch-up phase. False, and `out` as it
/// was, when the options asked for are too many for a message.
[[nodiscard]] bool append_active_request(Bytes& out, const SessionSettings& settings, std::uint32_t xid,
                                         std::optional<ServerTime> start);

/// One question over UDP, as it goes into one datagram. Views are the caller's.
struct UdpQuestion {
    Family family = Family::v4;
    std::uint32_t xid = 0;
    BulkQuery query;                                 ///< with a query by client-id, `address` is the link-address
    IpAddress link_address;                          ///< v6, with a query by address; unspecified: any link
    IpAddress giaddr;                                ///< v4: where answers go to
    ByteView requestor_duid;                         ///< v6
    ByteView server_id;                              ///< v6 multicast: the only server that is to answer; empty: all
    std::span<const std::uint16_t> request_options;  ///< beyond what the columns need
};

/// Appends the datagram: no length in front. `out` stays as it was, and the result is false, when the query cannot be
/// expressed over UDP in the family, or is too long for a datagram.
[[nodiscard]] bool append_udp_request(Bytes& out, const UdpQuestion& question);

}  // namespace leasemirror
