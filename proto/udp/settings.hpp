// What a query over UDP is told before it starts, its limits, and what cannot be asked.
#pragma once

#include "proto/query.hpp"
#include "proto/udp/answer.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

struct UdpSettings {
    Family family = Family::v4;
    Bytes requestor_duid;  ///< v6: our CLIENTID; answers must repeat it. 1 to duid_bytes_max octets
    IpAddress giaddr;      ///< v4: our own address; answers are sent to it, port 67 (RFC 4388 §6.4.3)
    /// v6, with a query by address: the link to look at, :: = any. A query by client-id has it in BulkQuery::address.
    IpAddress link_address = IpAddress::from_bytes(std::array<std::uint8_t, 16>{});
    std::vector<std::uint16_t> request_options;  ///< asked for and kept raw, beyond what a Binding needs
    std::vector<UdpEndpoint> servers;            ///< each asked by unicast
    std::optional<UdpEndpoint> multicast;        ///< v6: All_DHCP_Servers, asked beside them
    std::uint32_t transmissions_max = 5;         ///< of each question; LQ_MAX_RC
    /// Links or addresses that are asked for: of each of `servers`, and of all together that answer the multicast.
    std::uint32_t follow_ups_max = 100;
    /// Of transaction-ids and jitter. The transaction-id is what a forger has to guess: take it from the system.
    std::uint64_t seed = 0;
};

/// Bounds that no setting changes. What is over is left out, and said in UdpAnswer::notes.
struct UdpLimits {
    static constexpr std::size_t responders_max = 32;  ///< servers that answer one multicast
    static constexpr std::size_t bindings_max = 4096;  ///< for each answer
    static constexpr std::size_t notes_max = 16;       ///< for each answer
};

/// All_DHCP_Servers (RFC 8415 §7.1), server port.
[[nodiscard]] UdpEndpoint all_dhcp_servers();

/// Why this cannot be asked over UDP, in words that name what can: a filter that the protocol does not have (RFC 5007
/// knows addresses and client-ids only, RFC 5460 §3; RFC 4388 and RFC 6148 know addresses, hardware addresses, client-ids
/// and remote-ids; neither has a time window), an identifier of impossible length, an unspecified address, no giaddr.
/// Nothing: it can.
[[nodiscard]] std::optional<std::string> udp_objection(const UdpSettings& settings, const BulkQuery& query,
                                                       const QueryWindow& window = {});
/// Those of them that need to know neither servers nor giaddr: to be said before names are resolved and a socket is
/// opened, whose faults would hide them.
[[nodiscard]] std::optional<std::string> udp_query_objection(const UdpSettings& settings, const BulkQuery& query,
                                                             const QueryWindow& window = {});

}  // namespace leasemirror
