// Bytes -> MessageV6. The message level and OPTION_LQ_QUERY are all or nothing; each OPTION_CLIENT_DATA stands or
// falls alone, since its length bounds it. It falls as a whole: with one of its leases left out, it would say that
// the client gave that lease up (agent/README.md, "Ended bindings").
//
// Strict: lengths of known options, nested lengths that pass their container. Tolerated: unknown options; a second
// instance of an option that should come once (the first counts); identifiers that should be there and are not.
#include "proto/message_v6.hpp"

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

    void clear() {
        options.clear();
        client_options.clear();
        leases.clear();
        client_data.clear();
        places.clear();
        faults.clear();
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

/// Calls `visit` for every option of `in` until one returns a fault. `overrun` says what it means when an option is
/// longer than what holds it.
template <class Visit>
Fault for_each_option(ByteReader in, DecodeFault overrun, Visit visit) {
    while (!in.empty()) {
        const auto offset = in.offset();
        const auto code = in.u16();
        const auto data = in.sub(in.u16());
        if (!in.ok()) return DecodeError{overrun, code, offset};
        if (auto fault = visit(OptionV6{code, offset, data})) return fault;
    }
    return std::nullopt;
}

ByteView view(ByteReader data) {
    return data.rest();
}

std::string_view as_text(ByteView data) {
    return {reinterpret_cast<const char*>(data.data()), data.size()};
}

/// RFC 8415 §11.1 for the length; what is in it is opaque.
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

/// OPTION_IAADDR has the address first (RFC 8415 §21.6), OPTION_IAPREFIX the lifetimes (§21.22).
Fault read_lease(const OptionV6& option, LeaseV6& lease) {
    auto data = option.data;
    if (option.known_code() == OptionCodeV6::ia_prefix) {
        lease.kind = BindingKind::prefix;
        lease.preferred = data.u32();
        lease.valid = data.u32();
        lease.prefix_len = data.u8();
    }
    const auto address = data.bytes(address_bytes);
    if (option.known_code() == OptionCodeV6::ia_address) {
        lease.preferred = data.u32();
        lease.valid = data.u32();
    }
    if (!data.ok()) return option.bad_length();
    if (lease.prefix_len > prefix_len_max) return option.bad_value();
    lease.address = IpAddress::from_bytes(address);
    return for_each_option(data, DecodeFault::runs_past_parent,
                           [&](const OptionV6& sub) { return read_lease_sub_option(sub, lease); });
}

Fault read_query_option(const OptionV6& option, LqQueryV6& query) {
    switch (option.known_code()) {
        case OptionCodeV6::ia_address: {
            LeaseV6 lease;
            if (auto fault = read_lease(option, lease)) return fault;
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
    if (auto fault = for_each_option(data, DecodeFault::runs_past_parent,
                                     [&](const OptionV6& sub) { return read_query_option(sub, query); }))
        return fault;
    if (!out) out = query;
    return std::nullopt;
}

Fault read_client_option(const OptionV6& option, ClientDataV6& client, ScratchV6::Impl& s) {
    s.client_options.push_back({option.code, view(option.data)});
    switch (option.known_code()) {
        case OptionCodeV6::client_id:
            return read_duid(option, client.client_id);
        case OptionCodeV6::client_time:
            return read_u32(option, client.client_last_transaction_age);
        case OptionCodeV6::virtual_subnet_selection:
            return read_vss(option, client.vss);
        case OptionCodeV6::lq_relay_data:
            return read_opaque(option, 0, client.relay_data);
        case OptionCodeV6::ia_address:
        case OptionCodeV6::ia_prefix: {
            LeaseV6 lease;
            if (auto fault = read_lease(option, lease)) return fault;
            s.leases.push_back(lease);
            return std::nullopt;
        }
        default:
            return std::nullopt;
    }
}

/// Without the client's DUID there is no client, and without CLT_TIME the option "SHOULD be silently discarded"
/// (RFC 5007 §4.3.3); ours is a fault, so that it can be counted.
Fault read_client_options(const OptionV6& option, ClientDataV6& client, ScratchV6::Impl& s) {
    if (auto fault = for_each_option(option.data, DecodeFault::runs_past_parent,
                                     [&](const OptionV6& sub) { return read_client_option(sub, client, s); }))
        return fault;
    const auto missing = [&](OptionCodeV6 code) {
        return DecodeError{DecodeFault::missing_option, code_of(code), option.offset};
    };
    if (client.client_id.empty()) return missing(OptionCodeV6::client_id);
    if (!client.client_last_transaction_age) return missing(OptionCodeV6::client_time);
    return std::nullopt;
}

void read_client_data(const OptionV6& option, ScratchV6::Impl& s) {
    ClientDataV6 client;
    ClientPlaces at{s.leases.size(), 0, s.client_options.size(), 0};
    if (const auto fault = read_client_options(option, client, s)) {
        s.leases.resize(at.leases_from);
        s.client_options.resize(at.options_from);
        if (s.faults.size() < faults_max) s.faults.push_back({*fault, true});
        return;
    }
    at.leases_to = s.leases.size();
    at.options_to = s.client_options.size();
    s.client_data.push_back(client);
    s.places.push_back(at);
}

Fault read_client_link(const OptionV6& option, ByteView& out) {
    if (option.data.remaining() % address_bytes != 0) return option.bad_length();
    return read_opaque(option, address_bytes, out);
}

Fault read_message_option(const OptionV6& option, MessageV6& m, ScratchV6::Impl& s) {
    s.options.push_back({option.code, view(option.data)});
    switch (option.known_code()) {
        case OptionCodeV6::client_id:
            return read_duid(option, m.client_id);
        case OptionCodeV6::server_id:
            return read_duid(option, m.server_id);
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
    if (auto fault = for_each_option(in, DecodeFault::truncated,
                                     [&](const OptionV6& option) { return read_message_option(option, m, s); }))
        return Unexpected{*fault};
    resolve_places(s);
    m.client_data = s.client_data;
    m.options = s.options;
    m.faults = s.faults;
    return m;
}

}  // namespace leasemirror
