// One lease of one OPTION_CLIENT_DATA -> Binding (RFC 5007 §4.1.2.2, RFC 7653 §8.5).
#include "proto/wire/fill_binding.hpp"
#include "proto/wire/fill_common.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

using detail::assign;
using Fault = std::optional<DecodeError>;

constexpr std::uint16_t code_of(OptionCodeV6 c) {
    return static_cast<std::uint16_t>(c);
}

/// No RFC says how an ended binding looks, so both ways count.
BindingState lease_state(const LeaseV6& lease) {
    const auto by_lifetime = lease.valid == 0 ? BindingState::ended : BindingState::active;
    if (!lease.binding_status) return by_lifetime;
    switch (BindingStatusV6{*lease.binding_status}) {
        case BindingStatusV6::active:
            return by_lifetime;
        case BindingStatusV6::expired:
            return BindingState::expired;
        case BindingStatusV6::released:
            return BindingState::released;
        case BindingStatusV6::pending_free:
            return BindingState::transitioning;
        case BindingStatusV6::free:
        case BindingStatusV6::free_backup:
            return BindingState::available;
        case BindingStatusV6::abandoned:
            return BindingState::abandoned;
        case BindingStatusV6::reset:
            return BindingState::reset;
    }
    return BindingState::ended;
}

/// A DUID of zeros alone names no client: no type 0 is assigned (RFC 8415 §11.1). Kea 3.3.1 puts 00:00:00 in the place
/// of the client's where a client has declined the address, and lists that lease among the active ones.
bool names_nobody(ByteView duid) {
    return !duid.empty() && std::all_of(duid.begin(), duid.end(), [](std::uint8_t octet) { return octet == 0; });
}

void fill_times(const MessageV6& m, const ClientDataV6& client, const LeaseV6& lease, const FillContext& context,
                Binding& out) {
    const auto age = client.client_last_transaction_age.value_or(0);
    out.base_time = m.base_time.value_or(context.server_now);
    out.client_last_seen = detail::before(out.base_time, client.client_last_transaction_age);
    out.expires_at = detail::after(out.base_time, lease.valid, age);
    if (detail::is_infinite(lease.preferred, age)) {
        out.preferred_until = out.expires_at;
        return;
    }
    // Kea sends a preferred lifetime that has run out at its full value, longer than the valid one: the lease is
    // good, so it is cut and not refused.
    out.preferred_until = out.base_time + std::chrono::seconds{lease.preferred};
    if (out.expires_at) out.preferred_until = std::min(*out.preferred_until, *out.expires_at);
}

Fault fill_key(const LeaseV6& lease, Binding& out) {
    const bool prefix = lease.kind == BindingKind::prefix;
    const auto option = code_of(prefix ? OptionCodeV6::ia_prefix : OptionCodeV6::ia_address);
    // :: and a prefix of length 0 are what clients send for "any" (RFC 8415 §18.2.4); nobody can hold them.
    if (lease.address.is_unspecified() || lease.prefix_len == 0) return DecodeError{DecodeFault::bad_value, option, 0};
    out.key.kind = lease.kind;
    out.key.address = lease.address.prefix(lease.prefix_len);
    out.key.prefix_len = lease.prefix_len;
    return std::nullopt;
}

Fault fill_vpn(const MessageV6& m, const ClientDataV6& client, Binding& out) {
    const auto& vss = client.vss ? client.vss : m.vss;
    if (!vss) return std::nullopt;
    if (!detail::assign_vpn_id(out.key.vpn_id, vss->type, vss->info))
        return DecodeError{DecodeFault::bad_value, code_of(OptionCodeV6::virtual_subnet_selection), 0};
    return std::nullopt;
}

Fault fill_relay(const MessageV6& m, const ClientDataV6& client, Binding& out) {
    const auto option_47 = client.relay_data.empty() ? m.relay_data : client.relay_data;
    if (option_47.empty()) return std::nullopt;
    const auto relay = decode_relay_data(option_47);
    if (!relay) return relay.error();
    if (!relay->peer_address.is_unspecified()) out.relay_address = relay->peer_address;
    out.link_address = relay->link_address;
    assign(out.relay_id, relay->relay_id);
    assign(out.remote_id, relay->remote_id);
    assign(out.circuit_id, relay->interface_id);
    assign(out.subscriber_id, relay->subscriber_id);
    ByteReader in(relay->client_link_layer);
    if (out.hw_addr.empty() && in.remaining() > sizeof(std::uint16_t)) {
        out.hw_type = in.u16();
        assign(out.hw_addr, in.rest());
    }
    return relay->fault;
}

/// What we ask for beyond the relay's message stands in the CLIENT_DATA itself (RFC 5007 §4.1.2.2). It fills what the
/// relay data does not tell.
void fill_relay_options(const ClientDataV6& client, Binding& out) {
    for (const auto& option : client.options) {
        const auto fill = [&](Bytes& column) {
            if (column.empty()) assign(column, option.data);
        };
        switch (OptionCodeV6{option.code}) {
            case OptionCodeV6::remote_id:
                fill(out.remote_id);
                break;
            case OptionCodeV6::subscriber_id:
                fill(out.subscriber_id);
                break;
            case OptionCodeV6::relay_id:
                fill(out.relay_id);
                break;
            default:
                break;
        }
    }
}

void fill_client(const ClientDataV6& client, Binding& out) {
    if (names_nobody(client.client_id)) return;
    assign(out.client_id, client.client_id);
    if (const auto hardware = duid_hardware(client.client_id)) {
        out.hw_type = hardware->hw_type;
        assign(out.hw_addr, hardware->address);
    }
}

const RawOptionV6* find_option(const ClientDataV6& client, std::uint16_t code) {
    const auto found = std::find_if(client.options.begin(), client.options.end(),
                                    [&](const RawOptionV6& option) { return option.code == code; });
    return found == client.options.end() ? nullptr : &*found;
}

/// RFC 4704 §4: one octet of flags, then the name in wire form, partial without its root label.
Fault fill_host_name(const ClientDataV6& client, Binding& out) {
    const auto* fqdn = find_option(client, code_of(OptionCodeV6::client_fqdn));
    if (fqdn == nullptr || fqdn->data.empty() || detail::append_wire_name(out.hostname, fqdn->data.subspan(1)))
        return std::nullopt;
    return DecodeError{DecodeFault::bad_length, fqdn->code, 0};
}

/// An option may come more than once, such as one of each vendor (RFC 8415 §21.17): all are kept, in their order.
void fill_kept_options(const ClientDataV6& client, const FillContext& context, Binding& out) {
    for (const auto code : context.keep_options)
        for (const auto& option : client.options)
            if (option.code == code) detail::append_kept_option(out.options, code, option.data);
}

}  // namespace

std::optional<DecodeError> fill_binding(const MessageV6& m, const ClientDataV6& client, const LeaseV6& lease,
                                        const FillContext& context, Binding& out,
                                        std::optional<DecodeError>& relay_fault) {
    out.clear();
    relay_fault.reset();
    if (auto fault = fill_key(lease, out)) return fault;
    if (auto fault = fill_vpn(m, client, out)) return fault;
    out.state = lease_state(lease);
    // Somebody else uses the address, and the server keeps it from everybody for a while.
    if (out.state == BindingState::active && names_nobody(client.client_id)) out.state = BindingState::abandoned;
    out.via = context.via;
    fill_times(m, client, lease, context, out);
    fill_client(client, out);
    relay_fault = fill_relay(m, client, out);
    fill_relay_options(client, out);
    const auto name_fault = fill_host_name(client, out);
    if (!relay_fault) relay_fault = name_fault;
    fill_kept_options(client, context, out);
    return std::nullopt;
}

std::optional<DecodeError> fill_client_list(const MessageV6& m, const ClientDataV6& client, const FillContext& context,
                                            Binding& out, std::optional<DecodeError>& relay_fault) {
    out.clear();
    relay_fault.reset();
    if (auto fault = fill_vpn(m, client, out)) return fault;
    out.via = context.via;
    out.base_time = m.base_time.value_or(context.server_now);
    fill_client(client, out);
    relay_fault = fill_relay(m, client, out);
    return std::nullopt;
}

}  // namespace leasemirror
