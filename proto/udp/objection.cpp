// What cannot be asked over UDP, said before anything is sent.
#include "proto/udp/settings.hpp"

#include "proto/numbers_v4.hpp"
#include "proto/numbers_v6.hpp"
#include "proto/session/requests.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

using Objection = std::optional<std::string>;

/// Everything over UDP in v4 (RFC 4388 §6.2, RFC 6148 §4.1).
Objection missing_filter_v4(QueryKind kind) {
    switch (kind) {
        case QueryKind::address:
        case QueryKind::hw_addr:
        case QueryKind::client_id:
        case QueryKind::remote_id:
            return std::nullopt;
        case QueryKind::all:
            return "DHCPv4 over UDP has no query for everything (RFC 4388 section 6.2): name an address, MAC, "
                   "client-id or "
                   "remote-id, or ask with bulk leasequery";
        case QueryKind::relay_id:
            return "DHCPv4 over UDP has no query by relay-id (RFC 4388 section 6.2): ask with bulk leasequery";
        case QueryKind::link:
            return "DHCPv4 has no query by link: that is a notion of DHCPv6";
    }
    return std::nullopt;
}

/// RFC 5007 §4.1.2.1; the types that RFC 5460 added must not be sent over UDP (§3).
Objection missing_filter_v6(QueryKind kind) {
    const auto bulk_only = [](std::string_view what) {
        return "DHCPv6 over UDP has no query by " + std::string(what) +
               " (RFC 5460 section 3): ask with bulk leasequery";
    };
    switch (kind) {
        case QueryKind::address:
        case QueryKind::client_id:
            return std::nullopt;
        case QueryKind::relay_id:
            return bulk_only("relay-id");
        case QueryKind::link:
            return bulk_only("link");
        case QueryKind::remote_id:
            return bulk_only("remote-id");
        case QueryKind::hw_addr:
            return "DHCPv6 has no query by MAC, over UDP or else: clients are known by their DUID, so ask by client-id";
        case QueryKind::all:
            return "DHCPv6 has no query for everything: name an address or client-id";
    }
    return std::nullopt;
}

Objection length_objection(std::string_view what, std::size_t octets, std::size_t least, std::size_t most) {
    if (octets >= least && octets <= most) return std::nullopt;
    return "a " + std::string(what) + " has " + std::to_string(least) + " to " + std::to_string(most) +
           " octets, not " + std::to_string(octets);
}

Objection value_objection(Family family, const BulkQuery& query) {
    switch (query.kind) {
        case QueryKind::address:
            if (query.address.family() != family)
                return query.address.to_string() + " is not a DHCP" + std::string(to_string(family)) + " address";
            if (query.address.is_unspecified())
                return query.address.to_string() + " is no address that a client can have";
            return std::nullopt;
        case QueryKind::client_id:
            if (family == Family::v6 && query.address.family() == Family::v4 && !query.address.is_unspecified())
                return query.address.to_string() + " is not the address of a DHCPv6 link";
            // v4: RFC 2132 §9.14, one option; v6: a DUID (RFC 8415 §11.1).
            return family == Family::v4 ? length_objection("client-id", query.id.size(), 2, 255)
                                        : length_objection("DUID", query.id.size(), 1, duid_bytes_max);
        case QueryKind::hw_addr:
            return length_objection("MAC", query.id.size(), 1, chaddr_bytes_v4);
        case QueryKind::remote_id:
            return length_objection("remote-id", query.id.size(), 1, 253);  // with its header, in one option 82
        case QueryKind::all:
        case QueryKind::relay_id:
        case QueryKind::link:
            return std::nullopt;
    }
    return std::nullopt;
}

Objection requestor_objection(const UdpSettings& settings) {
    const bool v4 = settings.family == Family::v4;
    if (!v4 && (settings.requestor_duid.empty() || settings.requestor_duid.size() > duid_bytes_max))
        return "no DUID of our own: servers discard a query without one (RFC 5007 section 4.2.1)";
    if (v4 && settings.multicast) return "DHCPv4 Leasequery is not multicast (RFC 4388 section 6.2): name a server";
    return std::nullopt;
}

Objection endpoints_objection(const UdpSettings& settings) {
    const auto is_foreign = [&](const UdpEndpoint& e) { return e.address.family() != settings.family; };
    if (settings.family == Family::v4 && (settings.giaddr.is_unspecified() || settings.giaddr.family() != Family::v4))
        return "no giaddr: servers send their answers to that address of ours (RFC 4388 section 6.4.3)";
    if (settings.servers.empty() && !settings.multicast) return "no server to ask";
    if (std::any_of(settings.servers.begin(), settings.servers.end(), is_foreign) ||
        (settings.multicast && is_foreign(*settings.multicast)))
        return "a server's address is of the other family";
    return std::nullopt;
}

}  // namespace

UdpEndpoint all_dhcp_servers() {
    // RFC 8415 §7.1
    constexpr std::array<std::uint8_t, 16> address = {0xff, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 3};
    return {IpAddress::from_bytes(address), server_port_v6};
}

std::optional<std::string> udp_objection(const UdpSettings& settings, const BulkQuery& query,
                                         const QueryWindow& window) {
    if (auto objection = udp_query_objection(settings, query, window)) return objection;
    return endpoints_objection(settings);
}

std::optional<std::string> udp_query_objection(const UdpSettings& settings, const BulkQuery& query,
                                               const QueryWindow& window) {
    const auto kind = query.kind;
    if (auto missing = settings.family == Family::v4 ? missing_filter_v4(kind) : missing_filter_v6(kind))
        return missing;
    if (window.start || window.end)
        return "a query over UDP has no time window: a start or end time needs bulk leasequery";
    if (auto objection = value_objection(settings.family, query)) return objection;
    if (auto objection = requestor_objection(settings)) return objection;
    UdpQuestion question;
    question.family = settings.family;
    question.query = query;
    question.requestor_duid = settings.requestor_duid;
    question.request_options = settings.request_options;
    Bytes datagram;
    if (append_udp_request(datagram, question)) return std::nullopt;
    return "more options are asked for than fit into a datagram";
}

}  // namespace leasemirror
