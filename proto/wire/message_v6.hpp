// DHCPv6 leasequery messages: RFC 5007, 5460, 7653, and the options of RFC 8415 and others inside them.
#pragma once

#include "proto/binding.hpp"
#include "proto/bytes.hpp"
#include "proto/ip_address.hpp"
#include "proto/numbers_v6.hpp"
#include "proto/result.hpp"
#include "proto/status.hpp"
#include "proto/time.hpp"
#include "proto/wire/decode_error.hpp"

#include <memory>
#include <optional>
#include <span>

namespace leasemirror {

struct RawOptionV6 {
    std::uint16_t code = 0;
    ByteView data;
};

/// Option 68 (RFC 6607 §3.4).
struct VssV6 {
    std::uint8_t type = 255;
    ByteView info;
};

/// OPTION_IAADDR or OPTION_IAPREFIX. Lifetimes are seconds remaining at base-time; 0xffffffff is infinite.
struct LeaseV6 {
    BindingKind kind = BindingKind::address;
    IpAddress address;
    std::uint8_t prefix_len = 128;
    std::uint32_t preferred = 0;
    std::uint32_t valid = 0;
    std::optional<Status> status;                ///< nested option 13: concerns this lease only
    std::optional<std::uint8_t> binding_status;  ///< nested option 114 (RFC 8156)
};

/// OPTION_CLIENT_DATA (RFC 5007 §4.1.2.2).
struct ClientDataV6 {
    ByteView client_id;
    std::optional<std::uint32_t> client_last_transaction_age;  ///< CLT_TIME
    std::optional<VssV6> vss;
    bool vpn_unreadable = false;  ///< a VPN was named, or may have been, and cannot be read
    ByteView relay_data;          ///< LQ_RELAY_DATA, not yet taken apart; empty if it was not inside
    std::span<const LeaseV6> leases;
    std::span<const RawOptionV6> options;  ///< all direct sub-options, the typed ones included
    bool complete = true;                  ///< every lease in it was read
};

/// OPTION_LQ_QUERY (RFC 5007 §4.1.2.1).
struct LqQueryV6 {
    QueryTypeV6 type{};
    IpAddress link_address;          ///< :: = any
    std::optional<LeaseV6> address;  ///< IAADDR, for query by address
    ByteView client_id, relay_id, remote_id;
    std::optional<VssV6> vss;
    ByteView option_request;  ///< ORO: u16 codes
};

/// One thing wrong inside a message whose other parts are good: that part was left out.
struct FaultV6 {
    DecodeError error;
    bool lease_lost = true;            ///< false: nothing that decides is missing
    std::optional<IpAddress> address;  ///< of the lease that is lost, where it can be told
    ByteView client_id;                ///< likewise
    std::optional<VssV6> vss = {};     ///< of its CLIENT_DATA
    bool vpn_unreadable = false;       ///< likewise
};

/// A whole message. Views live until the frame or the scratch changes; see MessageV4.
struct MessageV6 {
    MessageTypeV6 type{};
    std::uint32_t xid = 0;  ///< 24 bits
    ByteView client_id;     ///< the requestor's DUID
    ByteView server_id;
    std::optional<Status> status;
    std::optional<ServerTime> base_time;   ///< 100
    std::optional<ServerTime> start_time;  ///< 101
    std::optional<ServerTime> end_time;    ///< 102
    ByteView option_request;               ///< message-level ORO
    std::optional<VssV6> vss;              ///< 68 beside the requestor's DUID: the VPN of the whole exchange
    std::optional<LqQueryV6> query;        ///< 44
    ByteView relay_data;                   ///< 47 at message level (Kea over UDP)
    ByteView client_link;                  ///< 48: 16 octets each
    std::span<const ClientDataV6> client_data;
    std::span<const RawOptionV6> options;  ///< message level, the typed ones included
    /// What was left out, at most 16 of them; the last then stands for all that came after it.
    std::span<const FaultV6> faults;
};

/// What LQ_RELAY_DATA tells (RFC 5007 §4.1.2.4): from nested RELAY-FORW messages, outermost first. Of an
/// option that several relays added, the one of the relay nearest to the client counts.
struct RelayDataV6 {
    IpAddress peer_address;                 ///< the sixteen octets before the message
    std::optional<IpAddress> link_address;  ///< innermost that is not ::
    ByteView interface_id, remote_id, subscriber_id, relay_id;
    ByteView client_link_layer;        ///< option 79 (RFC 6939): hardware type u16, then the address
    std::optional<DecodeError> fault;  ///< the first option that could not be read; the others count
};

class ScratchV6 {
public:
    ScratchV6();
    ~ScratchV6();
    ScratchV6(ScratchV6&&) noexcept;
    ScratchV6& operator=(ScratchV6&&) noexcept;
    struct Impl;
    [[nodiscard]] Impl& impl() { return *impl_; }

private:
    std::unique_ptr<Impl> impl_;
};

/// Decodes one whole message, without its frame length. What cannot be read costs the smallest thing that depends on it,
/// and is listed in `faults`: itself, one lease, its OPTION_CLIENT_DATA, or all of them where the message's base-time
/// or VPN cannot be read. It is an error where the message itself cannot be told.
[[nodiscard]] Result<MessageV6, DecodeError> decode_v6(ByteView message, ScratchV6& scratch);

/// A RELAY_MSG that is last in its level runs to the end of what contains it, whatever its own length says: Kea
/// 3.3.1 gives lengths that are 4 short from the fourth relay on. So a nest whose lengths do
/// not fit each other is read a second time with every RELAY_MSG running to the end. Offsets in the error count
/// from the start of the option's data.
[[nodiscard]] Result<RelayDataV6, DecodeError> decode_relay_data(ByteView option_47);

/// Writes a whole message, without its frame length: typed fields first, ascending by code, then those of
/// `options` whose typed field is not set (a simulated server can so send a malformed one). Inside CLIENT_DATA
/// likewise.
void encode_v6(const MessageV6& m, ByteWriter& out);

}  // namespace leasemirror
