// The queries we send: RFC 6926 §7.2, RFC 7724 §7.3, RFC 5007 §4.3.1, RFC 5460 §6.2, RFC 7653 §8.3.
#pragma once

#include "proto/query.hpp"
#include "proto/session.hpp"

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

}  // namespace leasemirror
