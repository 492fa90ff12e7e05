// What a one-off query asks for, as values.
#pragma once

#include "proto/bytes.hpp"
#include "proto/ip_address.hpp"
#include "storage/record.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace leasemirror {

/// What is asked for; nothing in it: everything. What a family or a protocol does not have is for plan_query()
/// (plan.hpp) to say, which knows the server.
struct QueryFilter {
    std::optional<IpAddress> address;
    std::optional<Sought> prefix;  ///< with its length
    Bytes client_id, mac, relay_id, remote_id;
    bool remote_id_as_text = false;  ///< was written as text:...
    std::optional<IpAddress> link;
    std::string since, until;  ///< as parse_time() reads them; empty: no bound

    friend bool operator==(const QueryFilter&, const QueryFilter&) = default;
};

enum class QueryVia : std::uint8_t { automatic, bulk, udp };

}  // namespace leasemirror
