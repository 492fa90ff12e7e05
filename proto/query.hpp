// What a requestor can ask a leasequery server for, in the terms of both families.
#pragma once

#include "proto/bytes.hpp"
#include "proto/ip_address.hpp"
#include "proto/time.hpp"

#include <optional>
#include <string>

namespace leasemirror {

/// v4: all | client_id | hw_addr | relay_id | remote_id (RFC 6926 §7.2).
/// v6: address | client_id | relay_id | link | remote_id (RFC 5007 §4.1.2.1, RFC 5460 §5.4). There is no v6 bulk
/// query for everything.
enum class QueryKind : std::uint8_t { all, address, client_id, hw_addr, relay_id, remote_id, link };

/// One bulk query without its time window: the scope that it covers.
struct BulkQuery {
    QueryKind kind = QueryKind::all;
    IpAddress address;         ///< `address`: which; `link`: the link-address; else a v6 link filter, :: = any
    Bytes id;                  ///< client-id, hardware address, relay-id or remote-id
    std::uint8_t hw_type = 1;  ///< with `hw_addr`

    friend bool operator==(const BulkQuery&, const BulkQuery&) = default;
};

/// "everything", "link 2001:db8:1::1", "relay-id 0003...": for logs and errors.
[[nodiscard]] std::string to_string(const BulkQuery& q);

/// Bounds of a query in the server's own clock, both inclusive (RFC 6926 §8.2).
struct QueryWindow {
    std::optional<ServerTime> start;
    std::optional<ServerTime> end;

    friend bool operator==(const QueryWindow&, const QueryWindow&) = default;
};

}  // namespace leasemirror
