// What `forget` is asked and what it answers.
#pragma once

#include "proto/bytes.hpp"

#include <cstdint>
#include <string>

namespace leasemirror {

/// Whose history `forget` removes: by one of the two, the other is empty.
struct ClientIdentity {
    Bytes client_id;
    Bytes hw_addr;

    friend bool operator==(const ClientIdentity&, const ClientIdentity&) = default;
};

/// What forget_client() removed, and what it left.
struct Forgotten {
    std::uint64_t bindings = 0;
    std::uint64_t changes = 0;
    std::uint64_t assignments = 0;
    std::uint64_t quarantined = 0;
    std::uint64_t in_force = 0;  ///< bindings that the client holds now
};

/// What forget_server() removed.
struct ForgottenServer {
    bool known = true;        ///< false: the database has no server of that name, and nothing was done
    std::string worked_by;    ///< if not empty: an agent of this name works it, and nothing was done
    std::uint64_t ended = 0;  ///< of the bindings: were in force, and the change feed tells of their end
    std::uint64_t bindings = 0;
    std::uint64_t assignments = 0;
    std::uint64_t quarantined = 0;
};

}  // namespace leasemirror
