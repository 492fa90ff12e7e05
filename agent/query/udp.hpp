// What the servers said to a query over UDP, in words and as rows. Pure.
#pragma once

#include "agent/query/plan.hpp"
#include "agent/query/rows.hpp"
#include "proto/udp/query.hpp"

#include <span>
#include <string>
#include <vector>

namespace leasemirror {

/// The names of the servers asked, in the order of UdpSettings::servers.
using ServerNames = std::vector<std::string>;

/// The bindings of all servers, merged, into `rows`, as far as `plan` takes them and --limit lets it; `also_on` names the
/// other servers that speak of one. Counts them in `report`.
void add_udp_rows(const std::vector<UdpAnswer>& answers, const ServerNames& names, const QueryPlan& plan, RowSink& rows,
                  QueryReport& report);

/// Lines about what one server said: always what keeps its answer from being a whole one; where `told`, also that it was
/// one. `query` is what was asked.
[[nodiscard]] std::vector<std::string> udp_answer_lines(const UdpAnswer& answer, const BulkQuery& query, bool told);

/// Exit code of the command as far as this answer goes: 3 if the server was not heard, 1 if it refused or left something
/// out, else 0.
[[nodiscard]] int udp_exit_code(const UdpAnswer& answer);

/// "2 with a wrong transaction-id, 1 from an unexpected source (192.0.2.9:67)"; empty: none.
[[nodiscard]] std::string udp_discards_text(const UdpDiscards& discards);

/// "asked 3 times, heard 1 of 2 servers", while it is waited for.
[[nodiscard]] std::string udp_progress_text(const std::vector<UdpAnswer>& answers);

}  // namespace leasemirror
