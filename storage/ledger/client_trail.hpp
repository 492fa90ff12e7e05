// Which rows of the change feed tell of one client: for `forget`, over every engine. Pure.
#pragma once

#include "storage/forgetting.hpp"

#include <cstdint>
#include <string>
#include <unordered_set>

namespace leasemirror {

/// A row of the feed, as far as it matters here.
struct TrailRow {
    std::string binding;  ///< the key of the binding, in whatever form
    bool assigned = false;
    Bytes client_id;
    std::string other_client_id;  ///< `client_id` in `detail`, hex
    bool tells_hw_addr = false;   ///< `hw_addr` is in `detail`, be it null
    std::string hw_addr;
};

/// Takes the rows in order. A row names its client_id; but its hw_addr only where that is new, so that it takes what
/// came before to know whose a row is that names none. Memory grows with what the one client held, not with the feed.
class ClientTrail {
public:
    explicit ClientTrail(const ClientIdentity& client);

    /// The client held this before the first row.
    void held_before(const std::string& binding) { held_.insert(binding); }
    /// Whether this row tells of the client, or names it.
    [[nodiscard]] bool take(const TrailRow& row);

private:
    [[nodiscard]] bool take_by_hw_addr(const TrailRow& row);

    const Bytes client_id_;
    const std::string client_id_hex_;
    std::string hw_addr_;
    std::unordered_set<std::string> held_;
};

}  // namespace leasemirror
