// The record that a mirror should hold, from the state that the model holds.
#include "tests/leasesim/leases/model.hpp"
#include "tests/leasesim/messages/reply_parts.hpp"

namespace leasemirror::leasesim {

namespace {

void put(Bytes& out, ByteView in) {
    out.assign(in.begin(), in.end());
}

}  // namespace

std::string vpn_name(unsigned vpn) {
    if (vpn == 0) return "";
    if (vpn % 2 == 1) return "ascii:vpn-" + std::to_string(vpn);
    return "rfc2685:" + to_hex(vss_of(vpn).info());
}

void LeaseModel::fill(const UnitState& s, std::uint64_t binding, UtcMillis now, Binding& out,
                      std::span<const std::uint16_t> keep_options) const {
    const auto shown = [&](const std::optional<UtcMillis>& at) -> std::optional<ServerTime> {
        if (!at) return std::nullopt;
        return clock_.shown(*at, now);
    };
    const auto n = name(binding);
    const bool held = (s.held >> (binding - s.first_binding) & 1U) != 0;
    out.clear();
    out.key = BindingKey{vpn_name(n.vpn), n.kind, n.address, n.prefix_len};
    out.state = held || s.state != BindingState::active ? s.state : BindingState::ended;
    out.base_time = clock_.reads(now);
    put(out.client_id, s.client_id.view());
    const auto hw = family() == Family::v4 ? HardwareOf{s.hw_type, s.hw_addr.view()} : hardware_of(s);
    if (!hw.address.empty()) {
        out.hw_type = hw.type;
        put(out.hw_addr, hw.address);
    }
    out.client_last_seen = shown(s.last_seen);
    if (family() == Family::v4) {
        out.state_since = shown(s.since);
        out.data_source = s.source;
    }
    if (held) {
        out.expires_at = shown(s.expires);
        if (family() == Family::v6) {
            out.preferred_until = shown(s.preferred_until);
        } else {
            if (s.renew_at && clock_.shown(*s.renew_at, now) > out.base_time) out.renew_at = shown(s.renew_at);
            if (s.rebind_at && clock_.shown(*s.rebind_at, now) > out.base_time) out.rebind_at = shown(s.rebind_at);
        }
    }
    if (s.relayed) {
        if (!s.link_address.is_unspecified()) out.link_address = s.link_address;
        if (!s.relay_address.is_unspecified()) out.relay_address = s.relay_address;
        put(out.relay_id, s.relay_id.view());
        put(out.remote_id, s.remote_id.view());
        put(out.circuit_id, s.circuit_id.view());
        put(out.subscriber_id, s.subscriber_id.view());
    }
    out.hostname = s.hostname.chars();
    for (const auto code : keep_options)
        append_kept_option(family(), s, code, out.options);
}

}  // namespace leasemirror::leasesim
