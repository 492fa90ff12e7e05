// What operators ask of the agent about a server, through the database: `pause`, `resume` and `resync`.
#pragma once

#include <cstdint>
#include <string>

namespace leasemirror {

/// What is asked of a server and has not been done.
struct Orders {
    bool paused = false;       ///< it is to be left alone
    std::uint64_t resync = 0;  ///< a full read is asked for, by the number of whoever asked last; 0: none is

    friend bool operator==(const Orders&, const Orders&) = default;
};

enum class OrderKind : std::uint8_t { pause, resume, resync };

struct Order {
    OrderKind kind = OrderKind::resync;
    std::string server;  ///< by name
    std::string by;      ///< who asks, for `status`: USER@HOST
};

/// What the database has of an order now.
enum class OrderAnswer : std::uint8_t {
    taken,           ///< it stands there for whichever agent works the server, now or later
    already_so,      ///< paused already, or not paused: nothing has changed
    unknown_server,  ///< no agent has opened a server of that name yet
};

}  // namespace leasemirror
