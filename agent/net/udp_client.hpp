// The socket of a query over UDP (proto/udp/query.hpp): name resolution, the address and port that answers come to, and
// the loop between the socket, the clock and the query. Decides nothing.
#pragma once

#include "agent/config/config.hpp"
#include "proto/udp/query.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

class UdpClient {
public:
    UdpClient();
    ~UdpClient();
    UdpClient(const UdpClient&) = delete;
    UdpClient& operator=(const UdpClient&) = delete;

    /// Resolves the servers, all of one family, each within its `timeouts.connect`, and opens the socket: v4 bound to
    /// giaddr and the port to which servers answer (RFC 4388 §6.4.3), v6 to port 546 where that can be had, else to any.
    /// Fills in `servers` and `giaddr`. What is in the way, and what to do about it; or nothing.
    [[nodiscard]] std::optional<std::string> open(const std::vector<const ServerConfig*>& servers,
                                                  const RequestorConfig& requestor, UdpSettings& settings);
    /// Starts the query, and returns when it is done or was interrupted. `looked` is called after every event.
    void run(UdpQuery& query, const std::function<void()>& looked);
    /// From any thread: open() and run() return at once, also when they are called later.
    void interrupt();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace leasemirror
