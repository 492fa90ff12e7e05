#include "proto/binding.hpp"

#include <chrono>

namespace leasemirror {
namespace {

/// ISO 8601, to the second; the `S` says that it is the server's clock and not UTC that we vouch for.
std::string to_text(ServerTime t) {
    using std::chrono::days;
    const auto since = t.time_since_epoch();
    const auto day = std::chrono::floor<days>(since);
    const std::chrono::year_month_day date{std::chrono::sys_days{day}};
    const auto second = (since - day).count();
    const auto padded = [](long long v, std::size_t width) {
        auto digits = std::to_string(v);
        if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
        return digits;
    };
    return padded(static_cast<int>(date.year()), 4) + '-' + padded(static_cast<unsigned>(date.month()), 2) + '-' +
           padded(static_cast<unsigned>(date.day()), 2) + 'T' + padded(second / 3600, 2) + ':' +
           padded(second / 60 % 60, 2) + ':' + padded(second % 60, 2) + 'S';
}

void append(std::string& out, std::string_view name, std::string_view value) {
    out += ' ';
    out += name;
    out += '=';
    out += value;
}
void append(std::string& out, std::string_view name, const Bytes& value) {
    if (!value.empty()) append(out, name, to_hex(value, ':'));
}
void append(std::string& out, std::string_view name, const std::optional<ServerTime>& value) {
    if (value) append(out, name, to_text(*value));
}
void append(std::string& out, std::string_view name, const std::optional<IpAddress>& value) {
    if (value) append(out, name, value->to_string());
}

}  // namespace

std::string_view to_string(BindingKind k) {
    switch (k) {
        case BindingKind::address:
            return "address";
        case BindingKind::prefix:
            return "prefix";
    }
    return "?";
}

std::string_view to_string(BindingState s) {
    switch (s) {
        case BindingState::active:
            return "active";
        case BindingState::available:
            return "available";
        case BindingState::expired:
            return "expired";
        case BindingState::released:
            return "released";
        case BindingState::abandoned:
            return "abandoned";
        case BindingState::reset:
            return "reset";
        case BindingState::remote:
            return "remote";
        case BindingState::transitioning:
            return "transitioning";
        case BindingState::ended:
            return "ended";
    }
    return "?";
}

std::string_view to_string(DataSource s) {
    switch (s) {
        case DataSource::local:
            return "local";
        case DataSource::remote:
            return "remote";
    }
    return "?";
}

std::string_view to_string(Via v) {
    switch (v) {
        case Via::bulk:
            return "bulk";
        case Via::query:
            return "query";
        case Via::active:
            return "active";
    }
    return "?";
}

void Binding::clear() {
    // Move the buffers out and back in, so that a new field cannot be forgotten here: only capacity is kept.
    Binding fresh;
    const auto keep = [](auto& from, auto& to) {
        from.clear();
        to = std::move(from);
    };
    keep(key.vpn_id, fresh.key.vpn_id);
    keep(client_id, fresh.client_id);
    keep(hw_addr, fresh.hw_addr);
    keep(relay_id, fresh.relay_id);
    keep(remote_id, fresh.remote_id);
    keep(circuit_id, fresh.circuit_id);
    keep(subscriber_id, fresh.subscriber_id);
    keep(hostname, fresh.hostname);
    keep(options, fresh.options);
    *this = std::move(fresh);
}

std::size_t Binding::memory_bytes() const {
    return sizeof(*this) + key.vpn_id.capacity() + client_id.capacity() + hw_addr.capacity() + relay_id.capacity() +
           remote_id.capacity() + circuit_id.capacity() + subscriber_id.capacity() + hostname.capacity() +
           options.capacity();
}

std::string to_string(const Binding& b) {
    std::string out;
    if (!b.key.vpn_id.empty()) out += '[' + b.key.vpn_id + "] ";
    out += b.key.address.to_string();
    if (b.key.kind == BindingKind::prefix) out += '/' + std::to_string(b.key.prefix_len);
    out += ' ';
    out += to_string(b.state);
    append(out, "client_id", b.client_id);
    if (b.hw_type) append(out, "hw_type", std::to_string(*b.hw_type));
    append(out, "hw_addr", b.hw_addr);
    append(out, "client_last_seen", b.client_last_seen);
    append(out, "state_since", b.state_since);
    append(out, "expires_at", b.expires_at);
    append(out, "preferred_until", b.preferred_until);
    append(out, "renew_at", b.renew_at);
    append(out, "rebind_at", b.rebind_at);
    append(out, "link_address", b.link_address);
    append(out, "relay_address", b.relay_address);
    append(out, "relay_id", b.relay_id);
    append(out, "remote_id", b.remote_id);
    append(out, "circuit_id", b.circuit_id);
    append(out, "subscriber_id", b.subscriber_id);
    if (!b.hostname.empty()) append(out, "hostname", b.hostname);
    append(out, "options", b.options);
    append(out, "data_source", to_string(b.data_source));
    append(out, "base_time", to_text(b.base_time));
    append(out, "via", to_string(b.via));
    return out;
}

std::string to_hex(ByteView in, char separator) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    out.reserve(in.size() * (separator == '\0' ? 2 : 3));
    for (const auto octet : in) {
        if (separator != '\0' && !out.empty()) out += separator;
        out += digits[octet >> 4];
        out += digits[octet & 0xf];
    }
    return out;
}

}  // namespace leasemirror
