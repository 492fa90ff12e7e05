#include "agent/cli/decode/message_text.hpp"
#include "agent/config/time_text.hpp"
#include "proto/binding.hpp"

#include <array>

namespace leasemirror {
namespace {

struct OptionName {
    OptionCodeV4 code;
    std::string_view name;
};

constexpr std::array<OptionName, 26> option_names{{
    {OptionCodeV4::host_name, "host-name"},
    {OptionCodeV4::requested_ip_address, "requested-ip-address"},
    {OptionCodeV4::lease_time, "lease-time"},
    {OptionCodeV4::overload, "overload"},
    {OptionCodeV4::message_type, "message-type"},
    {OptionCodeV4::server_identifier, "server-identifier"},
    {OptionCodeV4::parameter_request_list, "parameter-request-list"},
    {OptionCodeV4::renewal_time, "renewal-time"},
    {OptionCodeV4::rebinding_time, "rebinding-time"},
    {OptionCodeV4::vendor_class, "vendor-class"},
    {OptionCodeV4::client_identifier, "client-identifier"},
    {OptionCodeV4::client_fqdn, "client-fqdn"},
    {OptionCodeV4::relay_agent_information, "relay-agent-information"},
    {OptionCodeV4::client_last_transaction_time, "client-last-transaction-time"},
    {OptionCodeV4::associated_ip, "associated-ip"},
    {OptionCodeV4::vendor_identifying_specific, "vendor-identifying"},
    {OptionCodeV4::status_code, "status"},
    {OptionCodeV4::base_time, "base-time"},
    {OptionCodeV4::start_time_of_state, "start-time-of-state"},
    {OptionCodeV4::query_start_time, "query-start-time"},
    {OptionCodeV4::query_end_time, "query-end-time"},
    {OptionCodeV4::dhcp_state, "dhcp-state"},
    {OptionCodeV4::data_source, "data-source"},
    {OptionCodeV4::virtual_subnet_selection, "vss"},
    {OptionCodeV4::pad, "pad"},
    {OptionCodeV4::end, "end"},
}};

std::string option_name(std::uint8_t code) {
    for (const auto& known : option_names)
        if (static_cast<std::uint8_t>(known.code) == code)
            return std::string(known.name) + " (" + std::to_string(code) + ")";
    return "option " + std::to_string(code);
}

std::string state_text(std::uint8_t state) {
    constexpr std::array<std::string_view, 9> names{"",          "available", "active", "expired",      "released",
                                                    "abandoned", "reset",     "remote", "transitioning"};
    auto out = std::to_string(state);
    if (state > 0 && state < names.size()) out += " (" + std::string(names[state]) + ")";
    return out;
}

void describe_relay(ByteView option_82, TextOutline& out) {
    const auto info = decode_relay_agent_information(option_82);
    out.line(option_name(82), info.fault ? octets_text(option_82) : std::to_string(option_82.size()) + " octets");
    out.indent();
    if (info.fault) out.line("malformed", to_string(*info.fault));
    const auto id = [&](std::string_view name, ByteView octets) {
        if (!octets.empty()) out.line(name, octets_text(octets));
    };
    id("circuit-id", info.circuit_id);
    id("remote-id", info.remote_id);
    if (info.link_selection) out.line("link-selection", info.link_selection->to_string());
    id("subscriber-id", info.subscriber_id);
    id("relay-id", info.relay_id);
    if (info.vss) out.line("vss", vss_text(info.vss->type, info.vss->info));
    out.outdent();
}

std::string codes_text(ByteView codes) {
    std::string out;
    for (const auto code : codes)
        out += (out.empty() ? "" : " ") + std::to_string(code);
    return out;
}

std::string addresses_text(ByteView octets) {
    std::string out;
    for (; octets.size() >= 4; octets = octets.subspan(4))
        out += (out.empty() ? "" : " ") + IpAddress::from_bytes(octets.first(4)).to_string();
    return out;
}

/// The value of a known option, which decode_v4() has checked; nothing for one without a typed field.
std::optional<std::string> typed_value(OptionCodeV4 code, const MessageV4& m) {
    using Text = std::optional<std::string>;  // nothing for what could not be read
    const auto remaining = [&](const auto& field) {
        return field ? Text(remaining_text(*field, m.base_time)) : Text();
    };
    const auto age = [&](const auto& field) { return field ? Text(age_text(*field, m.base_time)) : Text(); };
    const auto time = [](const auto& field) { return field ? Text(iso_utc(*field)) : Text(); };
    switch (code) {
        case OptionCodeV4::host_name:
            return printable(m.host_name);
        case OptionCodeV4::lease_time:
            return remaining(m.lease_time);
        case OptionCodeV4::renewal_time:
            return remaining(m.renewal_time);
        case OptionCodeV4::rebinding_time:
            return remaining(m.rebinding_time);
        case OptionCodeV4::client_last_transaction_time:
            return age(m.client_last_transaction_age);
        case OptionCodeV4::start_time_of_state:
            return age(m.start_time_of_state_age);
        case OptionCodeV4::base_time:
            return time(m.base_time);
        case OptionCodeV4::query_start_time:
            return time(m.query_start_time);
        case OptionCodeV4::query_end_time:
            return time(m.query_end_time);
        case OptionCodeV4::parameter_request_list:
            return codes_text(m.parameter_request_list);
        case OptionCodeV4::associated_ip:
            return addresses_text(m.associated_ip);
        case OptionCodeV4::status_code:
            return m.status ? std::optional(status_text(*m.status)) : std::nullopt;
        case OptionCodeV4::server_identifier:
            return m.server_identifier ? std::optional(m.server_identifier->to_string()) : std::nullopt;
        case OptionCodeV4::dhcp_state:
            return m.dhcp_state ? std::optional(state_text(*m.dhcp_state)) : std::nullopt;
        case OptionCodeV4::data_source:
            return (m.data_source.value_or(0) & data_source_remote) != 0 ? "remote" : "local";
        case OptionCodeV4::virtual_subnet_selection:
            return m.vss ? std::optional(vss_text(m.vss->type, m.vss->info)) : std::nullopt;
        default:
            return std::nullopt;
    }
}

void describe_header(const MessageV4& m, TextOutline& out) {
    out.line("op", m.op == 1 ? "1 (request)" : m.op == 2 ? "2 (reply)" : std::to_string(m.op));
    const auto address = [&](std::string_view name, const IpAddress& a) {
        if (!a.is_unspecified()) out.line(name, a.to_string());
    };
    address("ciaddr", m.ciaddr);
    address("yiaddr", m.yiaddr);
    address("siaddr", m.siaddr);
    address("giaddr", m.giaddr);
    if (m.hops != 0) out.line("hops", std::to_string(m.hops));
    if (!m.chaddr.empty())
        out.line("chaddr", "hardware type " + std::to_string(m.htype) + ", " + to_hex(m.chaddr, ':'));
}

}  // namespace

std::string message_name(MessageTypeV4 type) {
    switch (type) {
        case MessageTypeV4::lease_query:
            return "DHCPLEASEQUERY";
        case MessageTypeV4::lease_unassigned:
            return "DHCPLEASEUNASSIGNED";
        case MessageTypeV4::lease_unknown:
            return "DHCPLEASEUNKNOWN";
        case MessageTypeV4::lease_active:
            return "DHCPLEASEACTIVE";
        case MessageTypeV4::bulk_lease_query:
            return "DHCPBULKLEASEQUERY";
        case MessageTypeV4::lease_query_done:
            return "DHCPLEASEQUERYDONE";
        case MessageTypeV4::active_lease_query:
            return "DHCPACTIVELEASEQUERY";
        case MessageTypeV4::lease_query_status:
            return "DHCPLEASEQUERYSTATUS";
        case MessageTypeV4::tls:
            return "DHCPTLS";
    }
    return "type " + std::to_string(static_cast<int>(type));
}

void describe(const MessageV4& m, TextOutline& out) {
    describe_header(m, out);
    for (const auto& option : m.options) {
        const auto code = OptionCodeV4{option.code};
        if (code == OptionCodeV4::message_type) continue;  // stands in the heading
        if (code == OptionCodeV4::relay_agent_information)
            describe_relay(option.data, out);
        else
            out.line(option_name(option.code), typed_value(code, m).value_or(octets_text(option.data)));
    }
    if (m.left_out) out.line("malformed, the lease is good", to_string(*m.left_out));
}

}  // namespace leasemirror
