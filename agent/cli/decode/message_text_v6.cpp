#include "agent/cli/decode/message_text.hpp"
#include "agent/config/time_text.hpp"
#include "proto/binding.hpp"
#include "proto/wire/fill_binding.hpp"

#include <algorithm>
#include <array>

namespace leasemirror {
namespace {

struct OptionName {
    OptionCodeV6 code;
    std::string_view name;
};

constexpr std::array<OptionName, 23> option_names{{
    {OptionCodeV6::client_id, "client-id"},
    {OptionCodeV6::server_id, "server-id"},
    {OptionCodeV6::ia_address, "ia-address"},
    {OptionCodeV6::option_request, "option-request"},
    {OptionCodeV6::relay_message, "relay-message"},
    {OptionCodeV6::status_code, "status"},
    {OptionCodeV6::interface_id, "interface-id"},
    {OptionCodeV6::ia_prefix, "ia-prefix"},
    {OptionCodeV6::remote_id, "remote-id"},
    {OptionCodeV6::subscriber_id, "subscriber-id"},
    {OptionCodeV6::client_fqdn, "client-fqdn"},
    {OptionCodeV6::lq_query, "lq-query"},
    {OptionCodeV6::client_data, "client-data"},
    {OptionCodeV6::client_time, "client-last-transaction-time"},
    {OptionCodeV6::lq_relay_data, "relay-data"},
    {OptionCodeV6::lq_client_link, "client-link"},
    {OptionCodeV6::relay_id, "relay-id"},
    {OptionCodeV6::virtual_subnet_selection, "vss"},
    {OptionCodeV6::client_link_layer_address, "client-link-layer-address"},
    {OptionCodeV6::lq_base_time, "base-time"},
    {OptionCodeV6::lq_start_time, "start-time"},
    {OptionCodeV6::lq_end_time, "end-time"},
    {OptionCodeV6::failover_binding_status, "binding-status"},
}};

std::string option_name(std::uint16_t code) {
    for (const auto& known : option_names)
        if (static_cast<std::uint16_t>(known.code) == code)
            return std::string(known.name) + " (" + std::to_string(code) + ")";
    return "option " + std::to_string(code);
}

std::string option_name(OptionCodeV6 code) {
    return option_name(static_cast<std::uint16_t>(code));
}

std::string duid_text(ByteView duid) {
    auto out = octets_text(duid);
    if (const auto hardware = duid_hardware(duid))
        out += " (hardware type " + std::to_string(hardware->hw_type) + ", " + to_hex(hardware->address, ':') + ")";
    return out;
}

std::string codes_text(ByteView codes) {
    std::string out;
    for (ByteReader in(codes); in.remaining() >= 2;)
        out += (out.empty() ? "" : " ") + std::to_string(in.u16());
    return out;
}

std::string links_text(ByteView octets) {
    std::string out;
    for (; octets.size() >= 16; octets = octets.subspan(16))
        out += (out.empty() ? "" : " ") + IpAddress::from_bytes(octets.first(16)).to_string();
    return out;
}

std::string binding_status_text(std::uint8_t status) {
    constexpr std::array<std::string_view, 9> names{"",     "active",      "expired",   "released", "pending-free",
                                                    "free", "free-backup", "abandoned", "reset"};
    auto out = std::to_string(status);
    if (status > 0 && status < names.size()) out += " (" + std::string(names[status]) + ")";
    return out;
}

void describe_lease(const LeaseV6& lease, std::optional<ServerTime> base_time, TextOutline& out) {
    const bool prefix = lease.kind == BindingKind::prefix;
    out.line(option_name(prefix ? OptionCodeV6::ia_prefix : OptionCodeV6::ia_address),
             lease.address.to_string() + (prefix ? "/" + std::to_string(lease.prefix_len) : ""));
    out.indent();
    out.line("preferred", remaining_text(lease.preferred, base_time));
    out.line("valid", remaining_text(lease.valid, base_time));
    if (lease.status) out.line(option_name(OptionCodeV6::status_code), status_text(*lease.status));
    if (lease.binding_status)
        out.line(option_name(OptionCodeV6::failover_binding_status), binding_status_text(*lease.binding_status));
    out.outdent();
}

void describe_relay_data(ByteView option_47, TextOutline& out) {
    const auto relay = decode_relay_data(option_47);
    out.line(option_name(OptionCodeV6::lq_relay_data),
             relay ? std::to_string(option_47.size()) + " octets" : octets_text(option_47));
    out.indent();
    if (!relay) {
        out.line("malformed", to_string(relay.error()));
    } else {
        if (relay->fault) out.line("malformed", to_string(*relay->fault));
        out.line("peer-address", relay->peer_address.to_string());
        if (relay->link_address) out.line("link-address", relay->link_address->to_string());
        const auto id = [&](std::string_view name, ByteView octets) {
            if (!octets.empty()) out.line(name, octets_text(octets));
        };
        id("interface-id", relay->interface_id);
        id("remote-id", relay->remote_id);
        id("subscriber-id", relay->subscriber_id);
        id("relay-id", relay->relay_id);
        id("client-link-layer-address", relay->client_link_layer);
    }
    out.outdent();
}

void describe_client(const ClientDataV6& client, std::optional<ServerTime> base_time, TextOutline& out) {
    out.heading(option_name(OptionCodeV6::client_data));
    out.indent();
    std::size_t leases = 0;
    for (const auto& option : client.options) {
        switch (OptionCodeV6{option.code}) {
            case OptionCodeV6::client_id:
                out.line(option_name(option.code), duid_text(option.data));
                break;
            case OptionCodeV6::client_time:
                out.line(option_name(option.code), age_text(client.client_last_transaction_age.value_or(0), base_time));
                break;
            case OptionCodeV6::virtual_subnet_selection:
                if (client.vss) out.line(option_name(option.code), vss_text(client.vss->type, client.vss->info));
                break;
            case OptionCodeV6::lq_relay_data:
                describe_relay_data(option.data, out);
                break;
            case OptionCodeV6::ia_address:
            case OptionCodeV6::ia_prefix:
                // In the order of the message, so the n-th of these options is the n-th lease.
                if (leases < client.leases.size()) describe_lease(client.leases[leases++], base_time, out);
                break;
            default:
                out.line(option_name(option.code), octets_text(option.data));
        }
    }
    while (leases < client.leases.size())
        describe_lease(client.leases[leases++], base_time, out);
    out.outdent();
}

std::string query_type_text(QueryTypeV6 type) {
    constexpr std::array<std::string_view, 6> names{
        "", "by address", "by client-id", "by relay-id", "by link-address", "by remote-id"};
    const auto number = static_cast<std::size_t>(type);
    auto out = std::to_string(number);
    if (number > 0 && number < names.size()) out += " (" + std::string(names[number]) + ")";
    return out;
}

void describe_query(const LqQueryV6& query, TextOutline& out) {
    out.line(option_name(OptionCodeV6::lq_query), "type " + query_type_text(query.type));
    out.indent();
    out.line("link-address", query.link_address.to_string());
    if (query.address) describe_lease(*query.address, std::nullopt, out);
    if (!query.client_id.empty()) out.line(option_name(OptionCodeV6::client_id), duid_text(query.client_id));
    if (!query.relay_id.empty()) out.line(option_name(OptionCodeV6::relay_id), octets_text(query.relay_id));
    if (!query.remote_id.empty()) out.line(option_name(OptionCodeV6::remote_id), octets_text(query.remote_id));
    if (query.vss)
        out.line(option_name(OptionCodeV6::virtual_subnet_selection), vss_text(query.vss->type, query.vss->info));
    if (!query.option_request.empty())
        out.line(option_name(OptionCodeV6::option_request), codes_text(query.option_request));
    out.outdent();
}

void describe_option(const RawOptionV6& option, const MessageV6& m, TextOutline& out) {
    const auto name = option_name(option.code);
    switch (OptionCodeV6{option.code}) {
        case OptionCodeV6::client_id:
        case OptionCodeV6::server_id:
            return out.line(name, duid_text(option.data));
        case OptionCodeV6::status_code:
            if (m.status) out.line(name, status_text(*m.status));
            return;
        case OptionCodeV6::lq_base_time:
            return out.line(name, iso_utc(m.base_time.value_or(ServerTime{})));
        case OptionCodeV6::lq_start_time:
            return out.line(name, iso_utc(m.start_time.value_or(ServerTime{})));
        case OptionCodeV6::lq_end_time:
            return out.line(name, iso_utc(m.end_time.value_or(ServerTime{})));
        case OptionCodeV6::option_request:
            return out.line(name, codes_text(option.data));
        case OptionCodeV6::lq_client_link:
            return out.line(name, links_text(option.data));
        case OptionCodeV6::lq_relay_data:
            return describe_relay_data(option.data, out);
        case OptionCodeV6::lq_query:
            if (m.query) describe_query(*m.query, out);
            return;
        case OptionCodeV6::client_data:
            return;  // below: those that are malformed are not among the decoded ones
        default:
            return out.line(name, octets_text(option.data));
    }
}

}  // namespace

std::string message_name(MessageTypeV6 type) {
    switch (type) {
        case MessageTypeV6::reply:
            return "REPLY";
        case MessageTypeV6::relay_forward:
            return "RELAY-FORW";
        case MessageTypeV6::lease_query:
            return "LEASEQUERY";
        case MessageTypeV6::lease_query_reply:
            return "LEASEQUERY-REPLY";
        case MessageTypeV6::lease_query_done:
            return "LEASEQUERY-DONE";
        case MessageTypeV6::lease_query_data:
            return "LEASEQUERY-DATA";
        case MessageTypeV6::active_lease_query:
            return "ACTIVELEASEQUERY";
        case MessageTypeV6::start_tls:
            return "STARTTLS";
    }
    return "type " + std::to_string(static_cast<int>(type));
}

void describe(const MessageV6& m, TextOutline& out) {
    for (const auto& option : m.options)
        describe_option(option, m, out);
    for (const auto& client : m.client_data)
        describe_client(client, m.base_time, out);
    for (const auto& fault : m.faults)
        out.line(fault.lease_lost ? "malformed, a lease is lost" : "malformed, the lease is good",
                 to_string(fault.error));
}

}  // namespace leasemirror
