#include "proto/wire/options_v6.hpp"

namespace leasemirror {
namespace {

constexpr std::size_t address_bytes = 16;
constexpr std::uint8_t prefix_len_max = 128;

Fault read_u8(const OptionV6& option, std::optional<std::uint8_t>& out) {
    auto data = option.data;
    if (data.remaining() != 1) return option.bad_length();
    if (!out) out = data.u8();
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

}  // namespace

ByteView view(ByteReader data) {
    return data.rest();
}

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

Fault read_u32(const OptionV6& option, std::optional<std::uint32_t>& out) {
    auto data = option.data;
    if (data.remaining() != 4) return option.bad_length();
    if (!out) out = data.u32();
    return std::nullopt;
}

Fault read_time(const OptionV6& option, std::optional<ServerTime>& out) {
    auto data = option.data;
    if (data.remaining() != 4) return option.bad_length();
    if (!out) out = server_time_from_unix(epoch_2000 + std::int64_t{data.u32()});
    return std::nullopt;
}

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

}  // namespace leasemirror
