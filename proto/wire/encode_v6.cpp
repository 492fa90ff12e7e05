// MessageV6 -> bytes: at every level the typed fields that are set, ascending by code, then the other options.
#include "proto/wire/message_v6.hpp"

namespace leasemirror {
namespace {

/// Writes code and length around what `body` writes.
template <class Body>
void write_option(ByteWriter& out, OptionCodeV6 code, Body body) {
    out.u16(static_cast<std::uint16_t>(code));
    const auto length = out.reserve_u16();
    body();
    out.patch_u16(length);
}

void write_opaque(ByteWriter& out, OptionCodeV6 code, ByteView value) {
    if (value.empty()) return;
    write_option(out, code, [&] { out.bytes(value); });
}

void write_u32(ByteWriter& out, OptionCodeV6 code, const std::optional<std::uint32_t>& value) {
    if (value) write_option(out, code, [&] { out.u32(*value); });
}

/// Absolute times count from 2000 in v6, modulo 2^32 (RFC 7653 §6.3.1).
void write_time(ByteWriter& out, OptionCodeV6 code, const std::optional<ServerTime>& value) {
    if (value) write_option(out, code, [&] { out.u32(static_cast<std::uint32_t>(unix_seconds(*value) - epoch_2000)); });
}

void write_status(ByteWriter& out, const std::optional<Status>& status) {
    if (!status) return;
    write_option(out, OptionCodeV6::status_code, [&] {
        out.u16(status->number);
        out.text(status->text);
    });
}

void write_vss(ByteWriter& out, const std::optional<VssV6>& vss) {
    if (!vss) return;
    write_option(out, OptionCodeV6::virtual_subnet_selection, [&] {
        out.u8(vss->type);
        out.bytes(vss->info);
    });
}

/// A default-constructed address is v4's 0.0.0.0: on this wire it is ::, "any link".
void write_address(ByteWriter& out, const IpAddress& address) {
    if (address.family() == Family::v6)
        out.bytes(address.bytes());
    else
        out.zeros(16);
}

void write_lease(ByteWriter& out, const LeaseV6& lease) {
    const bool prefix = lease.kind == BindingKind::prefix;
    write_option(out, prefix ? OptionCodeV6::ia_prefix : OptionCodeV6::ia_address, [&] {
        if (!prefix) write_address(out, lease.address);
        out.u32(lease.preferred);
        out.u32(lease.valid);
        if (prefix) {
            out.u8(lease.prefix_len);
            write_address(out, lease.address);
        }
        write_status(out, lease.status);
        if (lease.binding_status)
            write_option(out, OptionCodeV6::failover_binding_status, [&] { out.u8(*lease.binding_status); });
    });
}

void write_leases(ByteWriter& out, std::span<const LeaseV6> leases, BindingKind kind) {
    for (const auto& lease : leases)
        if (lease.kind == kind) write_lease(out, lease);
}

/// Those options whose typed field is not set.
template <class IsTyped>
void write_raw(ByteWriter& out, std::span<const RawOptionV6> options, IsTyped is_typed) {
    for (const auto& raw : options)
        if (!is_typed(OptionCodeV6{raw.code})) write_option(out, OptionCodeV6{raw.code}, [&] { out.bytes(raw.data); });
}

bool is_typed(const ClientDataV6& client, OptionCodeV6 code) {
    switch (code) {
        case OptionCodeV6::client_id:
            return !client.client_id.empty();
        case OptionCodeV6::ia_address:
        case OptionCodeV6::ia_prefix:
            return !client.leases.empty();
        case OptionCodeV6::client_time:
            return client.client_last_transaction_age.has_value();
        case OptionCodeV6::lq_relay_data:
            return !client.relay_data.empty();
        case OptionCodeV6::virtual_subnet_selection:
            return client.vss.has_value();
        default:
            return false;
    }
}

void write_client_data(ByteWriter& out, const ClientDataV6& client) {
    write_option(out, OptionCodeV6::client_data, [&] {
        write_opaque(out, OptionCodeV6::client_id, client.client_id);
        write_leases(out, client.leases, BindingKind::address);
        write_leases(out, client.leases, BindingKind::prefix);
        write_u32(out, OptionCodeV6::client_time, client.client_last_transaction_age);
        write_opaque(out, OptionCodeV6::lq_relay_data, client.relay_data);
        write_vss(out, client.vss);
        write_raw(out, client.options, [&](OptionCodeV6 code) { return is_typed(client, code); });
    });
}

void write_query(ByteWriter& out, const LqQueryV6& query) {
    write_option(out, OptionCodeV6::lq_query, [&] {
        out.u8(static_cast<std::uint8_t>(query.type));
        write_address(out, query.link_address);
        write_opaque(out, OptionCodeV6::client_id, query.client_id);
        if (query.address) write_lease(out, *query.address);
        write_opaque(out, OptionCodeV6::option_request, query.option_request);
        write_opaque(out, OptionCodeV6::remote_id, query.remote_id);
        write_opaque(out, OptionCodeV6::relay_id, query.relay_id);
        write_vss(out, query.vss);
    });
}

bool is_typed(const MessageV6& m, OptionCodeV6 code) {
    switch (code) {
        case OptionCodeV6::client_id:
            return !m.client_id.empty();
        case OptionCodeV6::server_id:
            return !m.server_id.empty();
        case OptionCodeV6::option_request:
            return !m.option_request.empty();
        case OptionCodeV6::status_code:
            return m.status.has_value();
        case OptionCodeV6::lq_query:
            return m.query.has_value();
        case OptionCodeV6::client_data:
            return !m.client_data.empty();
        case OptionCodeV6::lq_relay_data:
            return !m.relay_data.empty();
        case OptionCodeV6::lq_client_link:
            return !m.client_link.empty();
        case OptionCodeV6::virtual_subnet_selection:
            return m.vss.has_value();
        case OptionCodeV6::lq_base_time:
            return m.base_time.has_value();
        case OptionCodeV6::lq_start_time:
            return m.start_time.has_value();
        case OptionCodeV6::lq_end_time:
            return m.end_time.has_value();
        default:
            return false;
    }
}

}  // namespace

void encode_v6(const MessageV6& m, ByteWriter& out) {
    out.u8(static_cast<std::uint8_t>(m.type));
    out.u24(m.xid);
    write_opaque(out, OptionCodeV6::client_id, m.client_id);
    write_opaque(out, OptionCodeV6::server_id, m.server_id);
    write_opaque(out, OptionCodeV6::option_request, m.option_request);
    write_status(out, m.status);
    if (m.query) write_query(out, *m.query);
    for (const auto& client : m.client_data)
        write_client_data(out, client);
    write_opaque(out, OptionCodeV6::lq_relay_data, m.relay_data);
    write_opaque(out, OptionCodeV6::lq_client_link, m.client_link);
    write_vss(out, m.vss);
    write_time(out, OptionCodeV6::lq_base_time, m.base_time);
    write_time(out, OptionCodeV6::lq_start_time, m.start_time);
    write_time(out, OptionCodeV6::lq_end_time, m.end_time);
    write_raw(out, m.options, [&](OptionCodeV6 code) { return is_typed(m, code); });
}

}  // namespace leasemirror
