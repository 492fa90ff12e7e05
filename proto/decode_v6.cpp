// Bytes -> MessageV6. Lengths bound everything, so what cannot be read costs the smallest thing that depends on it: an
// attribute itself; a lease whose address, lifetimes or status it holds, and then its CLIENT_DATA is no longer the
// complete list of what the client has; a CLIENT_DATA whose client, time or VPN it is; and the message for what tells
// what the message is. A message that is a query is read whole or not at all.
//
// Tolerated without a word: unknown options; a second instance of an option that should come once (the first counts);
// identifiers of any length, since they repeat what a client once sent; identifiers that should be there and are not.
#include "proto/message_v6.hpp"
#include "proto/unread.hpp"

#include <algorithm>
#include <vector>

namespace leasemirror {
namespace {

/// Spans into vectors that still grow: kept as places until the whole message is read.
struct ClientPlaces {
    std::size_t leases_from = 0, leases_to = 0;
    std::size_t options_from = 0, options_to = 0;
};

}  // namespace

struct ScratchV6::Impl {
    std::vector<RawOptionV6> options;         // of the message
    std::vector<RawOptionV6> client_options;  // of all CLIENT_DATA
    std::vector<LeaseV6> leases;              // of all CLIENT_DATA
    std::vector<ClientDataV6> client_data;
    std::vector<ClientPlaces> places;  // of each of `client_data`
    std::vector<FaultV6> faults;
    std::optional<DecodeError> costs_all;  // base-time or VPN of the message: nothing in it can be recorded

    void clear() {
        options.clear();
        client_options.clear();
        leases.clear();
        client_data.clear();
        places.clear();
        faults.clear();
        costs_all.reset();
    }
};

ScratchV6::ScratchV6() : impl_(std::make_unique<Impl>()) {}
ScratchV6::~ScratchV6() = default;
ScratchV6::ScratchV6(ScratchV6&&) noexcept = default;
ScratchV6& ScratchV6::operator=(ScratchV6&&) noexcept = default;

namespace {

using Fault = std::optional<DecodeError>;

constexpr std::size_t faults_max = 16;
constexpr std::size_t address_bytes = 16;
constexpr std::uint8_t prefix_len_max = 128;
constexpr std::size_t lease_bytes_min = 24;  // address and lifetimes (RFC 8415 §21.6); an IAPREFIX has one more

constexpr std::uint16_t code_of(OptionCodeV6 c) {
    return static_cast<std::uint16_t>(c);
}

/// One option and where it stands. `data` reads within the option only.
struct OptionV6 {
    std::uint16_t code = 0;
    std::size_t offset = 0;
    ByteReader data;

    [[nodiscard]] OptionCodeV6 known_code() const { return OptionCodeV6{code}; }
    [[nodiscard]] Fault bad_length() const { return DecodeError{DecodeFault::bad_length, code, offset}; }
    [[nodiscard]] Fault bad_value() const { return DecodeError{DecodeFault::bad_value, code, offset}; }
};

/// Octets at the end of a list of options that are no whole option.
struct UnreadV6 {
    ByteView octets;
    std::size_t offset = 0;

    [[nodiscard]] bool may_hold(OptionCodeV6 code, std::size_t least_data = 0) const {
        return may_hold_v6(octets, code_of(code), least_data);
    }
    [[nodiscard]] DecodeError fault(DecodeFault overrun) const { return {overrun, ByteReader(octets).u16(), offset}; }
};

/// Calls `visit` for every whole option of `in`, until one returns a fault. `unread` is what stands behind them.
template <class Visit>
Fault for_each_option(ByteReader in, UnreadV6& unread, Visit visit) {
    while (!in.empty()) {
        const auto offset = in.offset();
        auto left = in;
        const auto code = in.u16();
        const auto data = in.sub(in.u16());
        if (!in.ok()) {
            unread = {left.rest(), offset};
            return std::nullopt;
        }
        if (auto fault = visit(OptionV6{code, offset, data})) return fault;
    }
    return std::nullopt;
}

/// The same where nothing may be left unread.
template <class Visit>
Fault for_all_options(ByteReader in, Visit visit) {
    UnreadV6 unread;
    if (auto fault = for_each_option(in, unread, visit)) return fault;
    if (!unread.octets.empty()) return unread.fault(DecodeFault::runs_past_parent);
    return std::nullopt;
}

/// Where there are too many, the last one stands for all of them.
void add_fault(ScratchV6::Impl& s, const FaultV6& fault) {
    if (s.faults.size() < faults_max) return s.faults.push_back(fault);
    auto& last = s.faults.back();
    last = {{DecodeFault::too_many, fault.error.code, fault.error.offset}, last.lease_lost || fault.lease_lost, {}, {}};
}

ByteView view(ByteReader data) {
    return data.rest();
}

std::string_view as_text(ByteView data) {
    return {reinterpret_cast<const char*>(data.data()), data.size()};
}

/// In a query. RFC 8415 §11.1 for the length; what is in it is opaque.
Fault read_duid(const OptionV6& option, ByteView& out) {
    const auto duid = view(option.data);
    if (duid.empty() || duid.size() > duid_bytes_max) return option.bad_length();
    if (out.empty()) out = duid;
    return std::nullopt;
}

Fault read_opaque(const OptionV6& option, std::size_t least, ByteView& out) {
    if (option.data.remaining() < least) return option.bad_length();
    if (out.empty()) out = view(option.data);
    return std::nullopt;
}

Fault read_option_request(const OptionV6& option, ByteView& out) {
    if (option.data.remaining() % 2 != 0) return option.bad_length();
    return read_opaque(option, 0, out);
}

Fault read_status(const OptionV6& option, std::optional<Status>& out) {
    auto data = option.data;
    const auto number = data.u16();
    if (!data.ok()) return option.bad_length();
    if (!out) out = Status{status_code_v6(number), number, as_text(data.rest())};
    return std::nullopt;
}

Fault read_vss(const OptionV6& option, std::optional<VssV6>& out) {
    auto data = option.data;
    const auto type = data.u8();
    if (!data.ok()) return option.bad_length();
    if (!out) out = VssV6{type, data.rest()};
    return std::nullopt;
}

Fault read_u8(const OptionV6& option, std::optional<std::uint8_t>& out) {
    auto data = option.data;
    if (data.remaining() != 1) return option.bad_length();
    if (!out) out = data.u8();
    return std::nullopt;
}

Fault read_u32(const OptionV6& option, std::optional<std::uint32_t>& out) {
    auto data = option.data;
    if (data.remaining() != 4) return option.bad_length();
    if (!out) out = data.u32();
    return std::nullopt;
}

/// Absolute times count from 2000 in v6 (RFC 7653 §6.3.1).
Fault read_time(const OptionV6& option, std::optional<ServerTime>& out) {
    auto data = option.data;
    if (data.remaining() != 4) return option.bad_length();
    if (!out) out = server_time_from_unix(epoch_2000 + std::int64_t{data.u32()});
    return std::nullopt;
}

Fault read_lease_sub_option(const OptionV6& option, LeaseV6& lease) {
    switch (option.known_code()) {
        case OptionCodeV6::status_code:
            return read_status(option, lease.status);
        case OptionCodeV6::failover_binding_status:
            return read_u8(option, lease.binding_status);
        default:
            return std::nullopt;
    }
}

/// OPTION_IAADDR has the address first (RFC 8415 §21.6), OPTION_IAPREFIX the lifetimes (§21.22). The address is there
/// after a fault too, if it could be read. `unread` is what stands behind the sub-options.
Fault read_lease(const OptionV6& option, LeaseV6& lease, UnreadV6& unread) {
    auto data = option.data;
    if (option.known_code() == OptionCodeV6::ia_prefix) {
        lease.kind = BindingKind::prefix;
        lease.preferred = data.u32();
        lease.valid = data.u32();
        lease.prefix_len = data.u8();
    }
    const auto address = data.bytes(address_bytes);
    if (data.ok()) lease.address = IpAddress::from_bytes(address);
    if (option.known_code() == OptionCodeV6::ia_address) {
        lease.preferred = data.u32();
        lease.valid = data.u32();
    }
    if (!data.ok()) return option.bad_length();
    if (lease.prefix_len > prefix_len_max) return option.bad_value();
    if (auto fault =
            for_each_option(data, unread, [&](const OptionV6& sub) { return read_lease_sub_option(sub, lease); }))
        return fault;
    // Both decide whether the lease is in force.
    if ((!lease.status && unread.may_hold(OptionCodeV6::status_code)) ||
        (!lease.binding_status && unread.may_hold(OptionCodeV6::failover_binding_status)))
        return unread.fault(DecodeFault::runs_past_parent);
    return std::nullopt;
}

Fault read_query_option(const OptionV6& option, LqQueryV6& query) {
    switch (option.known_code()) {
        case OptionCodeV6::ia_address: {
            LeaseV6 lease;
            UnreadV6 unread;
            if (auto fault = read_lease(option, lease, unread)) return fault;
            if (!unread.octets.empty()) return unread.fault(DecodeFault::runs_past_parent);
            if (!query.address) query.address = lease;
            return std::nullopt;
        }
        case OptionCodeV6::client_id:
            return read_duid(option, query.client_id);
        case OptionCodeV6::relay_id:
            return read_duid(option, query.relay_id);
        case OptionCodeV6::remote_id:
            return read_opaque(option, 1, query.remote_id);
        case OptionCodeV6::virtual_subnet_selection:
            return read_vss(option, query.vss);
        case OptionCodeV6::option_request:
            return read_option_request(option, query.option_request);
        default:
            return std::nullopt;
    }
}

/// RFC 5007 §4.1.2.1: the type comes before the link-address.
Fault read_query(const OptionV6& option, std::optional<LqQueryV6>& out) {
    LqQueryV6 query;
    auto data = option.data;
    query.type = QueryTypeV6{data.u8()};
    const auto link_address = data.bytes(address_bytes);
    if (!data.ok()) return option.bad_length();
    query.link_address = IpAddress::from_bytes(link_address);
    if (auto fault = for_all_options(data, [&](const OptionV6& sub) { return read_query_option(sub, query); }))
        return fault;
    if (!out) out = query;
    return std::nullopt;
}

std::optional<IpAddress> if_specified(const IpAddress& address) {
    return address.is_unspecified() ? std::nullopt : std::optional(address);
}

void take_lease(const OptionV6& option, ClientDataV6& client, ScratchV6::Impl& s) {
    LeaseV6 lease;
    UnreadV6 unread;
    if (const auto fault = read_lease(option, lease, unread)) {
        client.complete = false;
        return add_fault(s, {*fault, true, if_specified(lease.address), {}});
    }
    s.leases.push_back(lease);
    if (!unread.octets.empty()) add_fault(s, {unread.fault(DecodeFault::runs_past_parent), false, {}, {}});
}

/// IA_NA, IA_TA and IA_PD have no place in a CLIENT_DATA (RFC 5007 §4.1.2.2). What a server means by one cannot be
/// known, least of all that the client holds nothing.
void refuse_association(const OptionV6& option, ClientDataV6& client, ScratchV6::Impl& s) {
    client.complete = false;
    auto data = option.data;
    const bool temporary = option.known_code() == OptionCodeV6::ia_ta;
    (void)data.bytes(temporary ? ia_ta_header_bytes : ia_header_bytes);
    std::size_t leases = 0;
    UnreadV6 unread;
    (void)for_each_option(data, unread, [&](const OptionV6& sub) -> Fault {
        if (sub.known_code() != OptionCodeV6::ia_address && sub.known_code() != OptionCodeV6::ia_prefix)
            return std::nullopt;
        LeaseV6 lease;
        UnreadV6 behind;
        (void)read_lease(sub, lease, behind);
        add_fault(s, {*option.bad_value(), true, if_specified(lease.address), {}});
        ++leases;
        return std::nullopt;
    });
    if (leases == 0 || !unread.octets.empty()) add_fault(s, {*option.bad_value(), true, {}, {}});
}

/// The fault is one that costs the whole CLIENT_DATA.
Fault read_client_option(const OptionV6& option, ClientDataV6& client, ScratchV6::Impl& s) {
    s.client_options.push_back({option.code, view(option.data)});
    switch (option.known_code()) {
        case OptionCodeV6::client_id:
            return read_opaque(option, 0, client.client_id);
        case OptionCodeV6::client_time:
            return read_u32(option, client.client_last_transaction_age);
        case OptionCodeV6::virtual_subnet_selection:
            client.vpn_unreadable = true;  // unless one of them can be read
            return read_vss(option, client.vss);
        case OptionCodeV6::lq_relay_data:
            return read_opaque(option, 0, client.relay_data);
        case OptionCodeV6::ia_address:
        case OptionCodeV6::ia_prefix:
            take_lease(option, client, s);
            return std::nullopt;
        case OptionCodeV6::ia_na:
        case OptionCodeV6::ia_ta:
        case OptionCodeV6::ia_pd:
            refuse_association(option, client, s);
            return std::nullopt;
        default:
            return std::nullopt;
    }
}

/// What stands behind the last option: it costs only itself, unless it may be another lease, or the VPN.
Fault judge_unread(const UnreadV6& unread, ClientDataV6& client, ScratchV6::Impl& s) {
    if (unread.octets.empty()) return std::nullopt;
    const auto fault = unread.fault(DecodeFault::runs_past_parent);
    using Code = OptionCodeV6;
    if (!client.vss && unread.may_hold(Code::virtual_subnet_selection)) {
        client.vpn_unreadable = true;
        return fault;
    }
    const auto leases = {Code::ia_address, Code::ia_prefix, Code::ia_na, Code::ia_ta, Code::ia_pd};
    const bool lost = std::any_of(leases.begin(), leases.end(),
                                  [&](OptionCodeV6 code) { return unread.may_hold(code, lease_bytes_min); });
    if (lost) client.complete = false;
    add_fault(s, {fault, lost, {}, {}});
    return std::nullopt;
}

/// Without the client's DUID there is no client, and without CLT_TIME the option "SHOULD be silently discarded"
/// (RFC 5007 §4.3.3); ours is a fault, so that it can be counted. Goes on to the end after a fault, so that the addresses
/// of what is lost can be told.
Fault read_client_options(const OptionV6& option, ClientDataV6& client, ScratchV6::Impl& s) {
    Fault first;
    bool has_client_id = false;
    UnreadV6 unread;
    (void)for_each_option(option.data, unread, [&](const OptionV6& sub) -> Fault {
        has_client_id |= sub.known_code() == OptionCodeV6::client_id;
        const auto fault = read_client_option(sub, client, s);
        if (!first) first = fault;
        return std::nullopt;
    });
    client.vpn_unreadable = client.vpn_unreadable && !client.vss;
    const auto behind = judge_unread(unread, client, s);
    if (!first) first = behind;
    if (first) return first;
    const auto missing = [&](OptionCodeV6 code) {
        return DecodeError{DecodeFault::missing_option, code_of(code), option.offset};
    };
    if (!has_client_id) return missing(OptionCodeV6::client_id);
    if (!client.client_last_transaction_age) return missing(OptionCodeV6::client_time);
    return std::nullopt;
}

/// All leases from the given one on are lost, with their addresses; or one that has none, if there is none.
void lose_leases(ScratchV6::Impl& s, std::size_t from, const DecodeError& why) {
    if (from == s.leases.size()) return add_fault(s, {why, true, {}, {}});
    for (auto i = from; i < s.leases.size(); ++i) {
        const auto& lease = s.leases[i];
        add_fault(s, {why, true, if_specified(lease.address.prefix(lease.prefix_len)), {}});
    }
    s.leases.resize(from);
}

void read_client_data(const OptionV6& option, ScratchV6::Impl& s) {
    ClientDataV6 client;
    ClientPlaces at{s.leases.size(), 0, s.client_options.size(), 0};
    const auto faults_before = s.faults.size();
    const auto fault = read_client_options(option, client, s);
    if (fault) lose_leases(s, at.leases_from, *fault);
    for (auto i = faults_before; i < s.faults.size(); ++i) {
        s.faults[i].client_id = client.client_id;
        s.faults[i].vss = client.vss;
        s.faults[i].vpn_unreadable = client.vpn_unreadable;
    }
    if (fault) return s.client_options.resize(at.options_from);
    at.leases_to = s.leases.size();
    at.options_to = s.client_options.size();
    s.client_data.push_back(client);
    s.places.push_back(at);
}

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
