// How the database fails its callers, sorted by what they can do about it.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace leasemirror {

/// What a caller acts on.
enum class StoreFault : std::uint8_t {
    claimed,      ///< another agent works it; trying again succeeds once that one is gone
    unavailable,  ///< nothing was written; trying again can help (locked, full, read-only, no connection)
    in_doubt,     ///< the commit may or may not have happened; applying the same batch again settles it
    fenced,       ///< another agent has taken these servers over; this one must stop writing
    unusable,     ///< not our database, or a newer schema: no retry heals it
    refused,      ///< the database refused the values themselves, or has no longer what was asked for
    behind,       ///< it has lost what it had committed (a failover, a restored backup): begin anew with open_servers()
};

/// `what()` says what happened, where, and what to do about it.
class StoreError : public std::runtime_error {
public:
    StoreError(StoreFault fault, const std::string& message) : std::runtime_error(message), fault_(fault) {}
    [[nodiscard]] StoreFault fault() const { return fault_; }

private:
    StoreFault fault_;
};

}  // namespace leasemirror
