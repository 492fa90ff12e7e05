// Bytes -> MessageV6. Lengths bound everything, so what cannot be read costs the smallest thing that depends on it: an
// attribute itself; a lease whose address, lifetimes or status it holds, and then its CLIENT_DATA is no longer the
// complete list of what the client has; a CLIENT_DATA whose client, time or VPN it is; and the message for what tells
// what the message is. A message that is a query is read whole or not at all.
//
// Tolerated without a word: unknown options; a second instance of an option that should come once (the first counts);
// identifiers of any length, since they repeat what a client once sent; identifiers that should be there and are not.
#include "proto/wire/client_data_v6.hpp"
#include "proto/wire/message_v6.hpp"
#include "proto/wire/options_v6.hpp"

#include <algorithm>
#include <memory>
#include <span>

namespace leasemirror {

ScratchV6::ScratchV6() : impl_(std::make_unique<Impl>()) {}
ScratchV6::~ScratchV6() = default;
ScratchV6::ScratchV6(ScratchV6&&) noexcept = default;
ScratchV6& ScratchV6::operator=(ScratchV6&&) noexcept = default;

namespace {

constexpr std::size_t address_bytes = 16;

Fault read_client_link(const OptionV6& option, ByteView& out) {
    if (option.data.remaining() % address_bytes != 0) return option.bad_length();
    return read_opaque(option, address_bytes, out);
}

/// A message that tells of bindings, or ends doing so. All others are queries, or answers to DHCPTLS and STARTTLS.
bool tells(MessageTypeV6 type) {
    return type == MessageTypeV6::lease_query_reply || type == MessageTypeV6::lease_query_data ||
           type == MessageTypeV6::lease_query_done;
}

Fault read_identifier(const OptionV6& option, const MessageV6& m, ByteView& out) {
    return tells(m.type) ? read_opaque(option, 0, out) : read_duid(option, out);
}

Fault read_message_option(const OptionV6& option, MessageV6& m, ScratchV6::Impl& s) {
    switch (option.known_code()) {
        case OptionCodeV6::client_id:
            return read_identifier(option, m, m.client_id);
        case OptionCodeV6::server_id:
            return read_identifier(option, m, m.server_id);
        case OptionCodeV6::option_request:
            return read_option_request(option, m.option_request);
        case OptionCodeV6::status_code:
            return read_status(option, m.status);
        case OptionCodeV6::lq_query:
            return read_query(option, m.query);
        case OptionCodeV6::client_data:
            read_client_data(option, s);
            return std::nullopt;
        case OptionCodeV6::lq_relay_data:
            return read_opaque(option, 0, m.relay_data);
        case OptionCodeV6::lq_client_link:
            return read_client_link(option, m.client_link);
        case OptionCodeV6::virtual_subnet_selection:
            return read_vss(option, m.vss);
        case OptionCodeV6::lq_base_time:
            return read_time(option, m.base_time);
        case OptionCodeV6::lq_start_time:
            return read_time(option, m.start_time);
        case OptionCodeV6::lq_end_time:
            return read_time(option, m.end_time);
        default:
            return std::nullopt;
    }
}

/// What an option costs that cannot be read. Returns the fault where it costs the message.
Fault judge_message_fault(const Fault& fault, OptionCodeV6 code, const MessageV6& m, ScratchV6::Impl& s) {
    if (!fault || !tells(m.type)) return fault;
    switch (code) {
        case OptionCodeV6::lq_base_time:
        case OptionCodeV6::virtual_subnet_selection:
            if (!s.costs_all) s.costs_all = fault;
            return std::nullopt;
        case OptionCodeV6::option_request:  // what only queries have
        case OptionCodeV6::lq_query:
        case OptionCodeV6::lq_start_time:
        case OptionCodeV6::lq_end_time:
            add_fault(s, {*fault, false, {}, {}});
            return std::nullopt;
        default:
            return fault;
    }
}

/// What stands behind the last option of a message costs the message if it may be what decides.
Fault judge_message_unread(const UnreadV6& unread, const MessageV6& m, ScratchV6::Impl& s) {
    if (unread.octets.empty()) return std::nullopt;
    const auto fault = unread.fault(DecodeFault::truncated);
    using Code = OptionCodeV6;
    const bool is_reply = m.type == MessageTypeV6::lease_query_reply;
    const bool decides = unread.may_hold(Code::client_data) || unread.may_hold(Code::lq_client_link) ||
                         (!m.base_time && unread.may_hold(Code::lq_base_time)) ||
                         (!m.status && unread.may_hold(Code::status_code)) ||
                         (!m.vss && unread.may_hold(Code::virtual_subnet_selection)) ||
                         (is_reply && m.client_id.empty() && unread.may_hold(Code::client_id)) ||
                         (is_reply && m.server_id.empty() && unread.may_hold(Code::server_id));
    if (decides || !tells(m.type)) return fault;
    add_fault(s, {fault, false, {}, {}});
    return std::nullopt;
}

/// The message's base-time or VPN cannot be read: of its bindings no more than the addresses can be told.
void lose_all(MessageV6& m, ScratchV6::Impl& s, const DecodeError& why) {
    m.base_time.reset();
    if (s.client_data.empty()) return add_fault(s, {why, false, {}, {}});
    // An empty list tells of an end, which is lost too.
    const auto is_empty = [](const ClientPlaces& at) { return at.leases_from == at.leases_to; };
    if (std::any_of(s.places.begin(), s.places.end(), is_empty)) add_fault(s, {why, true, {}, {}});
    lose_leases(s, 0, why);
    s.client_data.clear();
    s.places.clear();
}

/// RFC 5460 §4 and RFC 7653 §6.2 name all that may travel.
bool is_leasequery_type(MessageTypeV6 type) {
    switch (type) {
        case MessageTypeV6::reply:
        case MessageTypeV6::lease_query:
        case MessageTypeV6::lease_query_reply:
        case MessageTypeV6::lease_query_done:
        case MessageTypeV6::lease_query_data:
        case MessageTypeV6::active_lease_query:
        case MessageTypeV6::start_tls:
            return true;
        case MessageTypeV6::relay_forward:
            return false;
    }
    return false;
}

void resolve_places(ScratchV6::Impl& s) {
    for (std::size_t i = 0; i < s.client_data.size(); ++i) {
        const auto& at = s.places[i];
        s.client_data[i].leases = std::span(s.leases).subspan(at.leases_from, at.leases_to - at.leases_from);
        s.client_data[i].options =
            std::span(s.client_options).subspan(at.options_from, at.options_to - at.options_from);
    }
}

}  // namespace

Result<MessageV6, DecodeError> decode_v6(ByteView message, ScratchV6& scratch) {
    auto& s = scratch.impl();
    s.clear();
    MessageV6 m;
    ByteReader in(message);
    m.type = MessageTypeV6{in.u8()};
    m.xid = in.u24();
    if (!in.ok()) return Unexpected{DecodeError{DecodeFault::truncated, 0, in.offset()}};
    if (!is_leasequery_type(m.type)) return Unexpected{DecodeError{DecodeFault::wrong_message_type, 0, 0}};
    UnreadV6 unread;
    if (auto fault = for_each_option(in, unread, [&](const OptionV6& option) {
            s.options.push_back({option.code, view(option.data)});
            return judge_message_fault(read_message_option(option, m, s), option.known_code(), m, s);
        }))
        return Unexpected{*fault};
    if (auto fault = judge_message_unread(unread, m, s)) return Unexpected{*fault};
    if (s.costs_all) lose_all(m, s, *s.costs_all);
    resolve_places(s);
    m.client_data = s.client_data;
    m.options = s.options;
    m.faults = s.faults;
    return m;
}

}  // namespace leasemirror
