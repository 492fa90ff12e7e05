// The two ways in which `query` asks: over bulk on a TCP connection, over UDP. The sockets and clocks around
// bulk.hpp and proto/udp/query.hpp; blocking, until the answer has come or Ctrl-C.
#pragma once

#include "agent/config/config.hpp"
#include "agent/query/interrupt.hpp"
#include "agent/query/plan.hpp"
#include "agent/query/progress.hpp"
#include "agent/query/rows.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

/// What both share. References outlive the exchange.
struct QueryExchange {
    Bytes requestor_duid;
    const RequestorConfig& requestor;
    RowSink& rows;
    QueryProgress& progress;
    Interrupt& stop;
    std::function<void(const std::string& server, const std::string& note)> say;
};

/// Prints bindings as they come.
[[nodiscard]] QueryReport ask_over_bulk(const ServerConfig& server, const QueryPlan& plan, const QueryExchange& with);

/// Asks servers of one family by one exchange, and prints the bindings, merged, when all have answered or been given up.
/// `tries`: transmissions of each question; none: as many as the RFCs have. `multicast`, v6: All_DHCP_Servers too.
[[nodiscard]] QueryReport ask_over_udp(const std::vector<const ServerConfig*>& servers, const QueryPlan& plan,
                                       std::optional<std::uint32_t> tries, bool multicast, const QueryExchange& with);

}  // namespace leasemirror
