// What one datagram answers to one question: the checks that make a forged or stray one harmless, and the records in it.
#pragma once

#include "proto/result.hpp"
#include "proto/session/requests.hpp"
#include "proto/udp/answer.hpp"

namespace leasemirror {

struct UdpReply {
    UdpOutcome outcome = UdpOutcome::unknown;
    StatusCode status = StatusCode::success;
    std::string text;  ///< of `refused`: status and its text
    Bytes server_id;   ///< v6 DUID; v4 option 54 if it was sent
    std::vector<UdpBinding> bindings;
    std::size_t left_out = 0;        ///< bindings that could not be read
    std::vector<IpAddress> named;    ///< links or addresses to ask for next: each once, none unspecified
    std::vector<std::string> notes;  ///< what could not be read or is not followed
};

/// Out of the fixed header: which question this claims to answer. Only a reply has one.
[[nodiscard]] Result<std::uint32_t, UdpDiscard> udp_reply_xid(Family family, ByteView datagram);

/// Reads a datagram whose transaction-id is that of `question`. `server_id`: of the server that the question went to, if
/// it is known; an answer in another's name is refused. `server_now` is the base of a message without base-time.
[[nodiscard]] Result<UdpReply, UdpDiscard> read_udp_reply(ByteView datagram, const UdpQuestion& question,
                                                          ByteView server_id, ServerTime server_now);

/// Whether the binding is, as far as it says, that of another client than the one `query` asks for.
[[nodiscard]] bool is_of_another_client(const Binding& binding, const BulkQuery& query);

}  // namespace leasemirror
