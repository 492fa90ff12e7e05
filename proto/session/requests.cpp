#include "proto/session/requests.hpp"

#include "proto/wire/message_v4.hpp"
#include "proto/wire/message_v6.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace leasemirror {
namespace {

/// What the columns of the table `binding` are filled from. RFC 6926 §7.2 names the first four.
constexpr std::array options_v4 = {
    OptionCodeV4::base_time,
    OptionCodeV4::lease_time,
    OptionCodeV4::start_time_of_state,
    OptionCodeV4::client_last_transaction_time,
    OptionCodeV4::dhcp_state,
    OptionCodeV4::data_source,
    OptionCodeV4::relay_agent_information,
    OptionCodeV4::client_identifier,
    OptionCodeV4::server_identifier,
    OptionCodeV4::renewal_time,
    OptionCodeV4::rebinding_time,
    OptionCodeV4::host_name,
    OptionCodeV4::client_fqdn,
    OptionCodeV4::vendor_class,
    OptionCodeV4::virtual_subnet_selection,
};

constexpr std::array options_v6 = {
    OptionCodeV6::lq_base_time, OptionCodeV6::lq_relay_data,           OptionCodeV6::remote_id,
    OptionCodeV6::client_fqdn,  OptionCodeV6::failover_binding_status, OptionCodeV6::virtual_subnet_selection,
};

/// A BOOTP message has 64 octets of vendor information at least (RFC 951 §3): shorter ones do not pass every relay and
/// server. What fills it up are pad options behind the end option.
constexpr std::size_t datagram_bytes_min_v4 = 300;
/// What an IPv4 packet can hold behind its header and that of UDP; more than any question needs.
constexpr std::size_t datagram_bytes_max = 65507;

/// What one frame can hold (RFC 5460 §5.1, RFC 6926 §6.1).
constexpr std::size_t frame_bytes_max = 2 + 65535;

Bytes wanted_options_v4(std::span<const std::uint16_t> request_options) {
    Bytes wanted;
    const auto add = [&wanted](std::uint8_t code) {
        if (std::find(wanted.begin(), wanted.end(), code) == wanted.end()) wanted.push_back(code);
    };
    for (const auto code : options_v4)
        add(static_cast<std::uint8_t>(code));
    for (const auto code : request_options) {
        if (code > 0 && code < 255) add(static_cast<std::uint8_t>(code));
    }
    return wanted;
}

Bytes wanted_options_v6(std::span<const std::uint16_t> request_options) {
    Bytes wanted;
    std::set<std::uint16_t> added;
    const auto add = [&](std::uint16_t code) {
        if (!added.insert(code).second) return;
        wanted.push_back(static_cast<std::uint8_t>(code >> 8));
        wanted.push_back(static_cast<std::uint8_t>(code & 0xff));
    };
    for (const auto code : options_v6)
        add(static_cast<std::uint16_t>(code));
    for (const auto code : request_options)
        add(code);
    return wanted;
}

MessageV4 request_v4(MessageTypeV4 type, std::uint32_t xid, ByteView wanted) {
    MessageV4 m;
    m.op = static_cast<std::uint8_t>(OpV4::boot_request);
    m.type = type;
    m.xid = xid;
    m.parameter_request_list = wanted;
    return m;
}

template <class Message, class Encode>
bool append_framed(Bytes& out, const Message& m, Encode encode) {
    Bytes room(frame_bytes_max);
    ByteWriter writer(room);
    const auto length = writer.reserve_u16();
    encode(m, writer);
    writer.patch_u16(length);
    if (!writer.ok()) return false;
    const auto frame = writer.written();
    out.insert(out.end(), frame.begin(), frame.end());
    return true;
}

bool append_v4(Bytes& out, const MessageV4& m) {
    return append_framed(out, m, [](const MessageV4& message, ByteWriter& w) { encode_v4(message, w); });
}

bool append_v6(Bytes& out, const MessageV6& m) {
    return append_framed(out, m, [](const MessageV6& message, ByteWriter& w) { encode_v6(message, w); });
}

/// Option 82 with the one sub-option that makes a query (RFC 6926 §7.2).
bool relay_sub_option(RelaySubOptionV4 code, ByteView id, Bytes& out) {
    if (id.size() > 255) return false;
    out.push_back(static_cast<std::uint8_t>(code));
    out.push_back(static_cast<std::uint8_t>(id.size()));
    out.insert(out.end(), id.begin(), id.end());
    return true;
}

/// Fills in the primary query. Exactly one, or none for all configured addresses (RFC 6926 §7.2).
bool set_primary_query(MessageV4& m, const BulkQuery& query, Bytes& option_82) {
    switch (query.kind) {
        case QueryKind::all:
            return true;
        case QueryKind::client_id:
            m.client_id = query.id;
            return query.id.size() >= 2;
        case QueryKind::hw_addr:
            m.htype = query.hw_type;
            m.hlen = static_cast<std::uint8_t>(query.id.size());
            m.chaddr = query.id;
            return !query.id.empty() && query.id.size() <= chaddr_bytes_v4;
        case QueryKind::relay_id:
        case QueryKind::remote_id: {
            const auto code =
                query.kind == QueryKind::relay_id ? RelaySubOptionV4::relay_id : RelaySubOptionV4::remote_id;
            if (!relay_sub_option(code, query.id, option_82)) return false;
            m.relay_agent_information = option_82;
            return !query.id.empty();
        }
        case QueryKind::address:  // RFC 6926 §7.2 has no bulk query by address,
        case QueryKind::link:
            return false;  // and links are a notion of v6.
    }
    return false;
}

bool append_bulk_v4(Bytes& out, const SessionSettings& settings, std::uint32_t xid, const BulkQuery& query,
                    const QueryWindow& window, bool all_vpns) {
    const auto wanted = wanted_options_v4(settings.request_options);
    auto m = request_v4(MessageTypeV4::bulk_lease_query, xid, wanted);
    Bytes option_82;
    if (!set_primary_query(m, query, option_82)) return false;
    m.query_start_time = window.start;
    m.query_end_time = window.end;
    if (all_vpns) m.vss = VssV4{static_cast<std::uint8_t>(VssType::all_vpns), {}};
    return append_v4(out, m);
}

/// Each type with the option, or the link-address, that it requires (RFC 5007 §4.1.2.1, RFC 5460 §5.3).
std::optional<LqQueryV6> lq_query(const BulkQuery& query, ByteView wanted) {
    const auto any_link = IpAddress::from_bytes(std::array<std::uint8_t, 16>{});
    LqQueryV6 q;
    q.link_address = query.address.family() == Family::v6 ? query.address : any_link;
    // The RFCs do not say which option request list counts for OPTION_LQ_BASE_TIME; both carry it.
    q.option_request = wanted;
    switch (query.kind) {
        case QueryKind::address: {
            if (query.address.family() != Family::v6 || query.address.is_unspecified()) return std::nullopt;
            LeaseV6 asked;
            asked.address = query.address;
            q.link_address = any_link;
            q.type = QueryTypeV6::by_address;
            q.address = asked;
            return q;
        }
        case QueryKind::client_id:
            if (query.id.empty()) return std::nullopt;
            q.type = QueryTypeV6::by_client_id;
            q.client_id = query.id;
            return q;
        case QueryKind::relay_id:
            if (query.id.empty()) return std::nullopt;
            q.type = QueryTypeV6::by_relay_id;
            q.relay_id = query.id;
            return q;
        case QueryKind::remote_id:
            if (query.id.empty()) return std::nullopt;
            q.type = QueryTypeV6::by_remote_id;
            q.remote_id = query.id;
            return q;
        case QueryKind::link:
            if (q.link_address.is_unspecified()) return std::nullopt;
            q.type = QueryTypeV6::by_link_address;
            return q;
        case QueryKind::all:      // RFC 5460 defines no query for everything,
        case QueryKind::hw_addr:  // and none by hardware address.
            return std::nullopt;
    }
    return std::nullopt;
}

bool append_bulk_v6(Bytes& out, const SessionSettings& settings, std::uint32_t xid, const BulkQuery& query,
                    const QueryWindow& window) {
    const auto wanted = wanted_options_v6(settings.request_options);
    MessageV6 m;
    m.type = MessageTypeV6::lease_query;
    m.xid = xid;
    m.client_id = settings.requestor_duid;
    m.option_request = wanted;
    m.query = lq_query(query, wanted);
    if (!m.query) return false;
    m.start_time = window.start;
    m.end_time = window.end;
    return append_v6(out, m);
}

/// Exactly one of ciaddr, hardware address, client-id and remote-id, all else zero or absent (RFC 4388 §6.2,
/// RFC 6148 §4.1).
bool set_udp_query_v4(MessageV4& m, const BulkQuery& query, Bytes& option_82) {
    switch (query.kind) {
        case QueryKind::address:
            m.ciaddr = query.address;
            return query.address.family() == Family::v4 && !query.address.is_unspecified();
        case QueryKind::client_id:
        case QueryKind::hw_addr:
        case QueryKind::remote_id:
            return set_primary_query(m, query, option_82);
        case QueryKind::all:
        case QueryKind::relay_id:
        case QueryKind::link:
            return false;
    }
    return false;
}

bool encode_udp_v4(ByteWriter& out, const UdpQuestion& question) {
    auto wanted = wanted_options_v4(question.request_options);
    // A server adds it unasked where a client has several addresses; asked for, RFC 6148 §4.1 demands it.
    wanted.push_back(static_cast<std::uint8_t>(OptionCodeV4::associated_ip));
    auto m = request_v4(MessageTypeV4::lease_query, question.xid, wanted);
    m.giaddr = question.giaddr;
    Bytes option_82;
    if (!set_udp_query_v4(m, question.query, option_82)) return false;
    encode_v4(m, out);
    if (out.size() < datagram_bytes_min_v4) out.zeros(datagram_bytes_min_v4 - out.size());
    return out.ok();
}

bool encode_udp_v6(ByteWriter& out, const UdpQuestion& question) {
    // RFC 5460 §3: its query types must not be sent over UDP.
    if (question.query.kind != QueryKind::address && question.query.kind != QueryKind::client_id) return false;
    const auto wanted = wanted_options_v6(question.request_options);
    MessageV6 m;
    m.type = MessageTypeV6::lease_query;
    m.xid = question.xid;
    m.client_id = question.requestor_duid;
    m.server_id = question.server_id;
    m.option_request = wanted;
    m.query = lq_query(question.query, wanted);
    if (!m.query) return false;
    if (question.query.kind == QueryKind::address) m.query->link_address = question.link_address;
    encode_v6(m, out);
    return out.ok();
}

}  // namespace

bool append_udp_request(Bytes& out, const UdpQuestion& question) {
    Bytes room(datagram_bytes_max);
    ByteWriter writer(room);
    const bool written =
        question.family == Family::v4 ? encode_udp_v4(writer, question) : encode_udp_v6(writer, question);
    if (!written) return false;
    const auto datagram = writer.written();
    out.insert(out.end(), datagram.begin(), datagram.end());
    return true;
}

bool append_bulk_request(Bytes& out, const SessionSettings& settings, std::uint32_t xid, const BulkQuery& query,
                         const QueryWindow& window, bool all_vpns) {
    return settings.family == Family::v4 ? append_bulk_v4(out, settings, xid, query, window, all_vpns)
                                         : append_bulk_v6(out, settings, xid, query, window);
}

bool append_active_request(Bytes& out, const SessionSettings& settings, std::uint32_t xid,
                           std::optional<ServerTime> start) {
    if (settings.family == Family::v4) {
        const auto wanted = wanted_options_v4(settings.request_options);
        // No key, no option 82 or 221, no end time: an active query is always for all updates (RFC 7724 §7.3).
        auto m = request_v4(MessageTypeV4::active_lease_query, xid, wanted);
        m.query_start_time = start;
        return append_v4(out, m);
    }
    const auto wanted = wanted_options_v6(settings.request_options);
    // No OPTION_LQ_QUERY: all updates (RFC 7653 §6.2.1).
    MessageV6 m;
    m.type = MessageTypeV6::active_lease_query;
    m.xid = xid;
    m.client_id = settings.requestor_duid;
    m.option_request = wanted;
    m.start_time = start;
    return append_v6(out, m);
}

}  // namespace leasemirror
