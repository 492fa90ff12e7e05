// `leasemirror query`: a question to DHCP servers, past the database.
#pragma once

#include "agent/query/filter.hpp"

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

struct QueryCommand {
    std::string config;
    std::vector<std::string> servers;  ///< at least one
    QueryFilter filter;
    QueryVia via = QueryVia::automatic;
    std::optional<std::uint32_t> tries;  ///< transmissions of each question over UDP
    std::optional<std::uint64_t> limit;  ///< of each server, or of all that are asked together over UDP
    bool json = false;
    bool multicast = false;  ///< over UDP, v6: All_DHCP_Servers too

    friend bool operator==(const QueryCommand&, const QueryCommand&) = default;
};

int execute(const QueryCommand& command, std::ostream& out, std::ostream& err);

}  // namespace leasemirror
