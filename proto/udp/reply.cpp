#include "proto/udp/reply.hpp"

#include "proto/session/reply_reader.hpp"

#include <algorithm>
#include <array>
#include <set>

namespace leasemirror {
namespace {

using Refusal = std::optional<UdpDiscard>;

bool equal(ByteView a, ByteView b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

bool is_error(const std::optional<Status>& status) {
    return status && status->code != StatusCode::success;
}

/// Each address once, in their order; `left_out` and the unspecified one not at all.
std::vector<IpAddress> distinct_addresses(ByteView list, std::size_t address_bytes, const IpAddress& left_out) {
    std::vector<IpAddress> out;
    std::set<IpAddress> seen{left_out};
    ByteReader in(list);
    while (in.remaining() >= address_bytes) {
        const auto address = IpAddress::from_bytes(in.bytes(address_bytes));
        if (!address.is_unspecified() && seen.insert(address).second) out.push_back(address);
    }
    return out;
}

/// The bindings of the message that `reader` holds, and what of it could not be read.
void take_records(ReplyReader& reader, const std::optional<ServerTime>& base_time, ServerTime server_now,
                  UdpReply& reply) {
    const auto ahead = base_time ? *base_time - server_now : std::chrono::seconds{0};
    reader.begin_records(server_now);
    while (const auto record = reader.next_record()) {
        if (const auto* told = std::get_if<action::Deliver>(&*record))
            reply.bindings.push_back({*told->binding, ahead});
        else if (const auto* lost = std::get_if<action::Quarantine>(&*record)) {
            reply.notes.push_back("not understood: " + lost->reason);
            if (lost->lease_lost) ++reply.left_out;
        }
    }
}

bool any_in_force(const UdpReply& reply) {
    return std::any_of(reply.bindings.begin(), reply.bindings.end(),
                       [](const UdpBinding& b) { return b.binding.in_force(); });
}

void refuse(const Status& status, UdpReply& reply) {
    reply.outcome = UdpOutcome::refused;
    reply.status = status.code;
    reply.text = status_in_words(status);
}

// --- v4 ---

/// An option that a server may leave out: where it is there, it is that of the query.
bool contradicts(ByteView told, ByteView asked) {
    return !told.empty() && !equal(told, asked);
}

bool has_other_remote_id(const MessageV4& m, ByteView asked) {
    const auto relay = decode_relay_agent_information(m.relay_agent_information);
    return contradicts(relay.remote_id, asked);
}

/// A reply repeats what it was asked for: an ACTIVE because it describes that client or address (RFC 4388 §6.4), an
/// UNKNOWN or UNASSIGNED because servers echo the query, or not at all.
bool is_about_another(const MessageV4& m, const BulkQuery& query) {
    const bool active = m.type == MessageTypeV4::lease_active;
    switch (query.kind) {
        case QueryKind::address:
            return m.ciaddr != query.address && !(m.type == MessageTypeV4::lease_unknown && m.ciaddr.is_unspecified());
        case QueryKind::hw_addr:
            // The type is not compared: Kea answers 1 whatever was asked.
            return active ? !equal(m.chaddr, query.id) : contradicts(m.chaddr, query.id);
        case QueryKind::client_id:  // may be among the options that a server does not tell (RFC 4388 §6.4.2)
            return contradicts(m.client_id, query.id);
        case QueryKind::remote_id:
            return has_other_remote_id(m, query.id);
        case QueryKind::all:
        case QueryKind::relay_id:
        case QueryKind::link:
            return true;  // never asked over UDP
    }
    return true;
}

/// UNASSIGNED is "only returned for a query by IP address" (RFC 4388 §6.4), but that binds servers, and no rule has us
/// discard it: ISC dhcpd answers any query so where the client's newest lease is not active.
bool is_reply(MessageTypeV4 type) {
    return type == MessageTypeV4::lease_active || type == MessageTypeV4::lease_unknown ||
           type == MessageTypeV4::lease_unassigned;
}

Refusal judge(const MessageV4& m, const UdpQuestion& question, ByteView server_id) {
    if (!is_reply(m.type)) return UdpDiscard::wrong_type;
    if (m.server_identifier && !server_id.empty() && !equal(m.server_identifier->bytes(), server_id))
        return UdpDiscard::wrong_identifiers;
    if (is_about_another(m, question.query)) return UdpDiscard::not_asked;
    return std::nullopt;
}

/// RFC 4388 §5: what is known of the client's other addresses is found by asking for each by IP.
void follow_associated_ip(const MessageV4& m, QueryKind asked, UdpReply& reply) {
    auto others = distinct_addresses(m.associated_ip, 4, m.ciaddr);
    if (others.empty()) return;
    if (asked != QueryKind::address) {
        reply.named = std::move(others);
        return;
    }
    // Asked for one address, we do not go on to others.
    reply.notes.push_back("the client has more addresses, such as " + others.front().to_string());
}

Result<UdpReply, UdpDiscard> read_v4(ReplyReader& reader, const MessageV4& m, const UdpQuestion& question,
                                     ByteView server_id, ServerTime server_now) {
    if (const auto refusal = judge(m, question, server_id)) return Unexpected{*refusal};
    UdpReply reply;
    if (m.server_identifier) {
        const auto id = m.server_identifier->bytes();
        reply.server_id.assign(id.begin(), id.end());
    }
    if (is_error(m.status)) {
        refuse(*m.status, reply);
        return reply;
    }
    if (m.type == MessageTypeV4::lease_unknown) return reply;
    const bool active = m.type == MessageTypeV4::lease_active;
    reply.outcome = active ? UdpOutcome::found : UdpOutcome::unassigned;
    take_records(reader, m.base_time, server_now, reply);
    if (reply.bindings.empty()) return Unexpected{UdpDiscard::undecodable};
    // Over UDP giaddr is our own address, and says nothing of the client's relay (RFC 4388 §6.2).
    for (auto& told : reply.bindings)
        told.binding.relay_address.reset();
    if (active) follow_associated_ip(m, question.query.kind, reply);
    return reply;
}

// --- v6 ---

bool covers(const LeaseV6& lease, const IpAddress& address) {
    return lease.prefix_len > 0 && address.prefix(lease.prefix_len) == lease.address.prefix(lease.prefix_len);
}

/// By address: one of the client's leases is that address, or a prefix that contains it (RFC 5007 §4.1.2.1).
bool is_about_another(const ClientDataV6& client, const BulkQuery& query) {
    if (query.kind == QueryKind::client_id) return !equal(client.client_id, query.id);
    if (!client.complete) return false;  // what could not be read may be it
    return std::none_of(client.leases.begin(), client.leases.end(),
                        [&](const LeaseV6& lease) { return covers(lease, query.address); });
}

Refusal judge(const MessageV6& m, const UdpQuestion& question, ByteView server_id) {
    if (m.type != MessageTypeV6::lease_query_reply) return UdpDiscard::wrong_type;
    if (wrong_identifiers(m, question.requestor_duid)) return UdpDiscard::wrong_identifiers;
    if (!server_id.empty() && !equal(m.server_id, server_id)) return UdpDiscard::wrong_identifiers;
    for (const auto& client : m.client_data)
        if (is_about_another(client, question.query)) return UdpDiscard::not_asked;
    return std::nullopt;
}

void follow_links(const MessageV6& m, const UdpQuestion& question, UdpReply& reply) {
    auto links = distinct_addresses(m.client_link, 16, {});
    if (links.empty()) return;
    const bool any_link = question.query.kind == QueryKind::client_id && question.query.address.is_unspecified();
    if (any_link)
        reply.named = std::move(links);
    else  // only a query over all links is answered so (RFC 5007 §4.1.2.5); following them might never end
        reply.notes.emplace_back("the server named links although it was asked for one: not followed");
}

Result<UdpReply, UdpDiscard> read_v6(ReplyReader& reader, const MessageV6& m, const UdpQuestion& question,
                                     ByteView server_id, ServerTime server_now) {
    if (const auto refusal = judge(m, question, server_id)) return Unexpected{*refusal};
    UdpReply reply;
    reply.server_id.assign(m.server_id.begin(), m.server_id.end());
    if (is_error(m.status)) {
        refuse(*m.status, reply);
        return reply;
    }
    take_records(reader, m.base_time, server_now, reply);
    follow_links(m, question, reply);
    // A CLIENT_DATA that could not be read is not the same as none: the next answer may be better.
    if (reply.bindings.empty() && reply.named.empty() && reply.left_out > 0) return Unexpected{UdpDiscard::undecodable};
    const auto without_data = reply.named.empty() ? UdpOutcome::no_binding : UdpOutcome::several_links;
    reply.outcome = any_in_force(reply) ? UdpOutcome::found : without_data;
    return reply;
}

}  // namespace

Result<std::uint32_t, UdpDiscard> udp_reply_xid(Family family, ByteView datagram) {
    ByteReader in(datagram);
    if (family == Family::v4) {
        if (datagram.size() < header_bytes_v4) return Unexpected{UdpDiscard::undecodable};
        if (OpV4{in.u8()} != OpV4::boot_reply) return Unexpected{UdpDiscard::wrong_type};
        return ByteReader(datagram.subspan(4)).u32();
    }
    if (datagram.size() < header_bytes_v6) return Unexpected{UdpDiscard::undecodable};
    if (MessageTypeV6{in.u8()} != MessageTypeV6::lease_query_reply) return Unexpected{UdpDiscard::wrong_type};
    return in.u24();
}

Result<UdpReply, UdpDiscard> read_udp_reply(ByteView datagram, const UdpQuestion& question, ByteView server_id,
                                            ServerTime server_now) {
    if (datagram.size() > 0xffff) return Unexpected{UdpDiscard::undecodable};
    // The same reader as for a stream: with a length in front, the datagram is one frame.
    ReplyReader reader(question.family, Via::query, {question.request_options.begin(), question.request_options.end()});
    const std::array length = {static_cast<std::uint8_t>(datagram.size() >> 8),
                               static_cast<std::uint8_t>(datagram.size() & 0xff)};
    reader.feed(length);
    reader.feed(datagram);
    const auto message = reader.next_message();
    if (const auto* v4 = std::get_if<const MessageV4*>(&message))
        return read_v4(reader, **v4, question, server_id, server_now);
    if (const auto* v6 = std::get_if<const MessageV6*>(&message))
        return read_v6(reader, **v6, question, server_id, server_now);
    return Unexpected{UdpDiscard::undecodable};
}

bool is_of_another_client(const Binding& binding, const BulkQuery& query) {
    const auto differs = [&](ByteView told) { return !told.empty() && !equal(told, query.id); };
    switch (query.kind) {
        case QueryKind::client_id:
            return differs(binding.client_id);
        case QueryKind::hw_addr:
            return differs(binding.hw_addr);
        case QueryKind::remote_id:
            return differs(binding.remote_id);
        case QueryKind::relay_id:
            return differs(binding.relay_id);
        case QueryKind::all:
        case QueryKind::address:
        case QueryKind::link:
            return false;
    }
    return false;
}

}  // namespace leasemirror
