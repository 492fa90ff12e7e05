// What the sync room asks of the shell: the actions of one server, polled until there is none.
#pragma once

#include "agent/config/config.hpp"
#include "storage/store.hpp"

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace leasemirror {

/// Names one connection of one server; never used twice.
using ConnectionId = std::uint64_t;

/// Something an operator should read: an event name, then key=value.
struct LogEvent {
    LogLevel level = LogLevel::info;
    std::string name;
    std::vector<std::pair<std::string, std::string>> fields;
};

namespace sync_action {
/// Open a TCP connection to the server.
struct Connect {
    ConnectionId connection;
};
struct Send {
    ConnectionId connection;
    Bytes bytes;
};
/// Close it gracefully; no further events of it are expected.
struct Disconnect {
    ConnectionId connection;
};
/// Give it to the store; it comes back through on_committed(), in order.
struct Commit {
    Batch batch;
};
struct Log {
    LogEvent event;
};
}  // namespace sync_action

using SyncAction = std::variant<sync_action::Connect, sync_action::Send, sync_action::Disconnect, sync_action::Commit,
                                sync_action::Log>;
using SyncActions = std::deque<SyncAction>;

}  // namespace leasemirror
