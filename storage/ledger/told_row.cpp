#include "storage/ledger/told_row.hpp"

#include "storage/ledger/stored_text.hpp"

namespace leasemirror {

void fill_told(BindingRow& row, const Binding& told, Skew skew, std::string& scratch) {
    const auto time = [&](const std::optional<ServerTime>& t) {
        return t ? std::optional(to_utc(*t, skew)) : std::nullopt;
    };
    row.client_id = told.client_id;
    row.hw_type = told.hw_type ? std::optional<std::int64_t>(*told.hw_type) : std::nullopt;
    colon_hex(told.hw_addr, row.hw_addr);
    row.client_last_seen = time(told.client_last_seen);
    row.state_since = time(told.state_since);
    row.expires_at = time(told.expires_at);
    row.preferred_until = time(told.preferred_until);
    row.renew_at = time(told.renew_at);
    row.rebind_at = time(told.rebind_at);
    row.link_address = told.link_address;
    row.relay_address = told.relay_address;
    row.relay_id = told.relay_id;
    row.remote_id = told.remote_id;
    row.circuit_id = told.circuit_id;
    row.subscriber_id = told.subscriber_id;
    row.hostname = storable_host_name(told.hostname, scratch);
    options_json(told.options, row.options);
    row.data_source = told.data_source;
}

BindingRow told_row(const Binding& told, Skew skew, std::string& scratch) {
    BindingRow row;
    row.key = told.key;
    if (!told.key.vpn_id.empty()) row.key.vpn_id = storable_text(told.key.vpn_id, scratch);
    fill_told(row, told, skew, scratch);
    row.state = told.state;
    row.end_reason = told.in_force() ? EndReason::none : EndReason::reported;
    row.age.base_time = unix_seconds(told.base_time);
    row.age.via = told.via;
    return row;
}

}  // namespace leasemirror
