// Replies as octets, straight from the state of a unit: nothing is allocated per message.
#pragma once

#include "tests/leasesim/messages/request.hpp"

namespace leasemirror::leasesim {

/// Faults that lie in one message.
struct MessageFaults {
    bool wrong_xid = false;
    bool missing_server_id = false;
    bool nul_in_status = false;
    bool unassigned_with_lease_time = false;
    bool no_client_time = false;
    bool foreign_client_id = false;
    bool broken_relay_data = false;
    bool lease_in_ia = false;
    std::optional<ServerTime> base_time;  ///< told instead of the right one
    LayoutV4 layout;
};

/// What all replies to one request have in common, at the moment at which one of them is made.
struct ReplyContext {
    const LeaseModel& model;
    const Personality& personality;
    ByteView server_id;
    const Request& request;
    UtcMillis at;                  ///< the message's base-time and the state it shows are of this moment
    bool first = false;            ///< the first reply: carries the identities
    bool tells_server_id = false;  ///< v4: this reply has the server identifier
    MessageFaults faults;
};

/// DHCPLEASEACTIVE, or DHCPLEASEUNASSIGNED.
void write_binding_v4(const ReplyContext& c, const UnitState& s, ByteWriter& out);
/// DHCPLEASEQUERYDONE, DHCPLEASEQUERYSTATUS. `always_base_time`: even if nobody asked.
void write_status_v4(const ReplyContext& c, MessageTypeV4 type, std::optional<StatusCode> status, std::string_view text,
                     bool always_base_time, ByteWriter& out);

/// One OPTION_CLIENT_DATA in a LEASEQUERY-REPLY or -DATA: the leases of `held` as they are, those of `ended` as ended
/// in the server's manner.
void write_client_v6(const ReplyContext& c, MessageTypeV6 type, const UnitState& s, std::uint8_t held,
                     std::uint8_t ended, ByteWriter& out);
/// The links on which a client is found (RFC 5007 §4.1.2.5), and none of its data.
void write_client_links_v6(const ReplyContext& c, ByteView links, ByteWriter& out);
/// DHCPLEASEUNASSIGNED or DHCPLEASEUNKNOWN over UDP (RFC 4388 §6.4, RFC 6148 §4.3).
void write_none_v4(const ReplyContext& c, MessageTypeV4 type, ByteWriter& out);

/// DHCPTLS or REPLY. Without a status, and so without any option, it agrees (RFC 7724 §7.2, RFC 7653 §8.2).
void write_upgrade_answer(Family family, std::uint32_t xid, const std::optional<Status>& status, ByteWriter& out);
/// Any v6 message without OPTION_CLIENT_DATA.
void write_status_v6(const ReplyContext& c, MessageTypeV6 type, std::optional<StatusCode> status, std::string_view text,
                     bool always_base_time, ByteWriter& out);

}  // namespace leasemirror::leasesim
