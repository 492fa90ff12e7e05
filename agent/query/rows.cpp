#include "agent/query/rows.hpp"

#include "proto/status.hpp"
#include "storage/ledger/stored_text.hpp"

namespace leasemirror {
namespace {

Value text_or_null(std::string text) {
    if (text.empty()) return std::monostate{};
    return text;
}

Value bytes_or_null(const Bytes& octets) {
    if (octets.empty()) return std::monostate{};
    return octets;
}

Value address_or_null(const std::optional<IpAddress>& address) {
    if (!address) return std::monostate{};
    return address->to_string();
}

Value json_or_null(ByteView options) {
    std::string json;
    options_json(options, json);
    if (json.empty()) return std::monostate{};
    return JsonText{std::move(json)};
}

}  // namespace

Record query_record(const Binding& b, const std::string& server, Skew skew) {
    const auto time = [&](const std::optional<ServerTime>& t) -> Value {
        if (!t) return std::monostate{};
        return to_utc(*t, skew);
    };
    return {{"server", server},
            {"vpn_id", b.key.vpn_id},
            {"kind", std::string(to_string(b.key.kind))},
            {"family", std::string(to_string(b.key.address.family()))},
            {"address", b.key.address.to_string()},
            {"prefix_len", std::int64_t{b.key.prefix_len}},
            {"state", std::string(to_string(b.state))},
            {"client_id", bytes_or_null(b.client_id)},
            {"hw_type", b.hw_type ? Value(std::int64_t{*b.hw_type}) : Value()},
            {"hw_addr", text_or_null(to_hex(b.hw_addr, ':'))},
            {"hostname", text_or_null(storable_host_name(b.hostname))},
            {"client_last_seen", time(b.client_last_seen)},
            {"state_since", time(b.state_since)},
            {"expires_at", time(b.expires_at)},
            {"preferred_until", time(b.preferred_until)},
            {"renew_at", time(b.renew_at)},
            {"rebind_at", time(b.rebind_at)},
            {"link_address", address_or_null(b.link_address)},
            {"relay_address", address_or_null(b.relay_address)},
            {"relay_id", bytes_or_null(b.relay_id)},
            {"remote_id", bytes_or_null(b.remote_id)},
            {"circuit_id", bytes_or_null(b.circuit_id)},
            {"subscriber_id", bytes_or_null(b.subscriber_id)},
            {"options", json_or_null(b.options)},
            {"data_source", std::string(to_string(b.data_source))},
            {"base_time", to_utc(b.base_time, Skew{0})},
            {"via", std::string(to_string(b.via))}};
}

}  // namespace leasemirror
