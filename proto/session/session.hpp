// What the two sessions (bulk_session.hpp, active_session.hpp) take and give: their settings, the actions they ask for.
//
// A session is one query's, or one connection's, life as a plain state machine. It is fed events (on_*), is polled for
// actions until there are none, and never touches a socket or a clock. Messages are decoded one at a time as actions
// are polled: who stops polling stops the decoding, and nothing queues up behind it. That is our backpressure.
#pragma once

#include "proto/binding.hpp"
#include "proto/query.hpp"
#include "proto/status.hpp"
#include "proto/time.hpp"
#include "proto/wire/decode_error.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace leasemirror {

struct SessionSettings {
    Family family = Family::v4;
    Bytes requestor_duid;                        ///< v6: our message-level CLIENTID (RFC 5007 §4.3.1)
    std::vector<std::uint16_t> request_options;  ///< asked for and kept raw, beyond what the columns need
    std::chrono::milliseconds receive_timeout = std::chrono::seconds{120};  ///< ACTIVE_LQ_RCV_TIMEOUT
    std::chrono::milliseconds data_timeout = std::chrono::seconds{300};     ///< BULK_LQ_DATA_TIMEOUT
    bool secured = false;                                                   ///< the session runs inside TLS
    std::uint32_t first_xid = 1;  ///< later queries on the connection count up from here (RFC 5460 §6.5, RFC 6926 §7.1)
};

/// Time of an event, and the best guess of what the server's clock shows: base for messages without a base-time.
struct SessionNow {
    SteadyTime steady;
    ServerTime server;
};

/// Why a connection was, or is to be, closed.
enum class CloseReason : std::uint8_t {
    peer_closed,          ///< the server closed in the middle of an exchange
    refused_silently,     ///< the server closed without a byte: capacity, permission, or a message type it lacks
    peer_silent,          ///< nothing came for the receive timeout
    query_blocked,        ///< our query could not be written for BULK_LQ_DATA_TIMEOUT
    framing_lost,         ///< a length that no message can have
    unknown_transaction,  ///< a reply to a query that we did not make on this connection
    protocol_violation,   ///< messages in an order, or with identifiers, that the RFCs rule out
    query_terminated,     ///< the server ended the query: QueryTerminated, or DONE of an active query
    refused,              ///< an error status
    not_supported,        ///< status NotSupported: bulk there, but no active leasequery (RFC 7653 §9.2)
};
[[nodiscard]] std::string_view to_string(CloseReason r);

/// How a bulk query ended.
enum class QueryOutcome : std::uint8_t {
    complete,  ///< every reply arrived
    failed,    ///< an error status; what arrived stays valid, nothing may be concluded from absence
};

namespace action {

/// Write these octets; valid until the next on_*() call. Tell the session with on_sent().
struct Send {
    ByteView bytes;
};
/// A whole message arrived from the server we asked. Comes before anything that the message contains. The views live
/// until the next poll_action() or on_bytes().
struct Heard {
    ByteView message;
    std::optional<ServerTime> base_time;  ///< as the server sent it
    ByteView server_identity;             ///< empty in messages that carry none
};
/// The message speaks of this binding; valid until the next poll_action().
struct Deliver {
    const Binding* binding;
};
/// The `listed` bindings delivered right before this are all that one OPTION_CLIENT_DATA held. `client` has client_id,
/// vpn_id, link_address, base_time and via; valid until the next poll_action().
struct ClientListed {
    const Binding* client;
    std::uint32_t listed;
};
/// A message, or a part of one, could not be understood. `message` is the whole message, valid until the next
/// poll_action() or on_bytes(). `lease_lost`: a binding may have been in it. `address`: of that binding (of a prefix,
/// its first), where it can be told. `client_id`: of the client whose list it was in, likewise; v6 only. No ClientListed
/// comes for that list, so what it leaves out is not known either. Lives as long as `message`. `vpn_id`: of binding and list;
/// none: a VPN was named, or may have been, and cannot be read.
struct Quarantine {
    ByteView message;
    std::string reason;
    bool lease_lost;
    std::optional<IpAddress> address;
    ByteView client_id = {};
    std::optional<std::string> vpn_id = std::string();
};
/// Everything that the message says, and all before it, has been delivered; its base-time may be kept as the point to
/// resume from (never during catch-up: RFC 7653 §8.4.1, RFC 7724 §7.4.1; nor when the server ended the query with an
/// error, since it does not say then whether it told all). What could not be understood was quarantined before.
struct Advance {
    ServerTime base_time;
};
/// The catch-up phase is over: all that changed since the start time has been delivered.
struct CaughtUp {};
/// The server cannot tell what changed between our start time and `base_time`. The connection goes on, live.
struct DataMissing {
    std::optional<ServerTime> base_time;
};
/// A bulk query has ended; the connection can take another one.
struct QueryDone {
    QueryOutcome outcome;
    StatusCode status;
    std::string text;
};
/// Close the connection (gracefully, RFC 6926 §7.8). The session is over. `text` is a sentence for people.
struct Close {
    CloseReason why;
    StatusCode status;
    std::string text;
};

}  // namespace action

using SessionAction =
    std::variant<action::Send, action::Heard, action::Deliver, action::ClientListed, action::Quarantine,
                 action::Advance, action::CaughtUp, action::DataMissing, action::QueryDone, action::Close>;

/// How many bits of a transaction-id travel: 32 in v4, 24 in v6.
[[nodiscard]] constexpr std::uint32_t transaction_id_mask(Family family) {
    return family == Family::v4 ? 0xffffffff : 0x00ffffff;
}

/// Sentences that both sessions need.
[[nodiscard]] std::string status_in_words(const Status& status);
[[nodiscard]] std::string framing_lost_text(std::size_t length);
[[nodiscard]] std::string foreign_transaction_text(std::uint32_t theirs, std::uint32_t ours);
[[nodiscard]] std::string unexpected_type_text(int message_type);

struct MessageV6;
/// What is wrong with the identifiers of a LEASEQUERY-REPLY. RFC 5007 §4.2.2 discards such a reply over UDP; on a
/// connection nothing valid can follow it, so it ends the connection.
[[nodiscard]] std::optional<std::string> wrong_identifiers(const MessageV6& reply, ByteView requestor_duid);

/// Builds a visitor out of lambdas. Clang 14 needs the guide.
template <class... Ts>
struct Overload : Ts... {
    using Ts::operator()...;
};
template <class... Ts>
Overload(Ts...) -> Overload<Ts...>;

}  // namespace leasemirror
