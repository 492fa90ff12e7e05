// What goes between the sync room and the shell around it: events of connections in, actions out. The same types all the
// way from one server's coordinator to the sockets, so that nobody in between says them again.
#pragma once

#include "agent/config/certificate_end.hpp"
#include "agent/config/config.hpp"
#include "storage/batch.hpp"

#include <compare>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace leasemirror {

/// Names one connection; never used twice.
struct ConnectionKey {
    std::size_t server = 0;    ///< index into Config::servers
    std::uint64_t number = 0;  ///< among those of that server

    friend auto operator<=>(const ConnectionKey&, const ConnectionKey&) = default;
};

namespace connection_event {
/// `first_end`: over TLS, of the two certificates.
struct Connected {
    std::optional<CertificateEnd> first_end;
};
/// Also after Connected, while nothing has been received: over TLS a server may refuse us only then.
struct ConnectFailed {
    std::string why;
};
/// The octets of the last Send are on their way.
struct Sent {};
/// At most as many octets as wants_bytes() of the connection told.
struct Received {
    ByteView octets;
};
/// The peer closed, or the connection broke; `how` is for people.
struct Disconnected {
    std::string how;
};
}  // namespace connection_event

using ConnectionEvent =
    std::variant<connection_event::Connected, connection_event::ConnectFailed, connection_event::Sent,
                 connection_event::Received, connection_event::Disconnected>;

/// Something an operator should read: an event name, then key=value.
struct LogEvent {
    LogLevel level = LogLevel::info;
    std::string name;
    std::vector<std::pair<std::string, std::string>> fields;
};

namespace sync_action {
/// Open a TCP connection to the server.
struct Connect {
    ConnectionKey connection;
};
struct Send {
    ConnectionKey connection;
    Bytes bytes;
};
/// Close it gracefully; no further events of it are expected.
struct Disconnect {
    ConnectionKey connection;
};
/// Store::apply(), then Engine::on_committed(). Batches of one server keep their order.
struct Commit {
    std::size_t server;  ///< index into Config::servers
    Batch batch;
};
/// Store::sweep() of every store, then Engine::on_swept() with the sums. For all servers together.
struct Sweep {
    UtcSeconds now;
    std::size_t rows;
    std::vector<ServerId> held = {};  ///< servers of which nothing may expire by our clock now
};
/// Store::open_servers() for this one, then Engine::open() with what it returns: an operator lets the agent work it again.
struct Reopen {
    std::size_t server;  ///< index into Config::servers
};
/// The answer to Engine::retire(): all that was told is committed, and the engine knows the server no more.
struct Retired {
    std::size_t server;
};
}  // namespace sync_action

using SyncAction = std::variant<sync_action::Connect, sync_action::Send, sync_action::Disconnect, sync_action::Commit,
                                sync_action::Sweep, sync_action::Reopen, sync_action::Retired, LogEvent>;
using SyncActions = std::deque<SyncAction>;

}  // namespace leasemirror
