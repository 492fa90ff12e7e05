// What a requestor asked for, in the terms of both families, or why it gets none of it.
#pragma once

#include "proto/query.hpp"
#include "proto/wire/message_v4.hpp"
#include "proto/wire/message_v6.hpp"
#include "tests/leasesim/options.hpp"

#include <bitset>
#include <variant>

namespace leasemirror::leasesim {

struct Request {
    bool active = false;
    std::uint32_t xid = 0;
    bool filtered = false;  ///< v6 active: a LQ_QUERY narrows it; bulk: always
    QueryKind kind = QueryKind::all;
    Bytes id;
    std::uint8_t hw_type = 0;
    std::optional<std::uint64_t> binding;  ///< v6 by address
    std::optional<unsigned> link;          ///< v6
    std::optional<unsigned> vpn = 0;       ///< v4; none: all VPNs
    QueryWindow window;
    std::bitset<256> wanted;  ///< v4 parameter request list; v6 both OROs
    Bytes requestor;          ///< v6 CLIENTID
    // v4 over UDP, in every answer.
    IpAddress giaddr;
    Bytes associated_ip;
};

/// DHCPTLS or STARTTLS.
struct Upgrade {
    std::uint32_t xid = 0;
};
/// The answer is a status in a DHCPLEASEQUERYDONE or STATUS, or LEASEQUERY-REPLY.
struct Refusal {
    bool active = false;
    std::uint32_t xid = 0;
    StatusCode status = StatusCode::malformed_query;
    std::string_view text;
    bool close = false;
    Bytes requestor;
};
/// No answer at all (RFC 5007 §4.2.1).
struct Discard {};
/// RFC 7724 §8.1.1: a message type that is not supported over TCP.
struct CloseNow {};

using Asked = std::variant<Request, Upgrade, Refusal, Discard, CloseNow>;

[[nodiscard]] Asked read_request_v4(ByteView message, ScratchV4& scratch, const LeaseModel& model,
                                    const Personality& personality);
/// A DHCPLEASEQUERY over UDP (RFC 4388 §6.3, RFC 6148 §4.1). `kind` address: `binding`, none where the address is not
/// one of ours. Nothing: it is not answered.
[[nodiscard]] std::optional<Request> read_datagram_v4(ByteView message, ScratchV4& scratch, const LeaseModel& model,
                                                      const Personality& personality, ByteView server_id);
[[nodiscard]] Asked read_request_v6(ByteView message, ScratchV6& scratch, const LeaseModel& model,
                                    const Personality& personality, ByteView server_id);

}  // namespace leasemirror::leasesim
