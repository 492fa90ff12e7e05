// Who holds a lease and through which relay it was asked for: all derived from the client's number.
#include "tests/leasesim/leases/hash.hpp"
#include "tests/leasesim/leases/life.hpp"
#include "tests/leasesim/leases/model.hpp"

#include <array>

namespace leasemirror::leasesim {

namespace {

constexpr std::uint32_t enterprise = 32473;  // for documentation (RFC 5612)

template <std::size_t N>
void put_mac(InlineBytes<N>& out, std::uint64_t client) {
    out.u8(0x02);  // locally administered
    out.number(client >> 8U, 5);
}

void put_duid(InlineBytes<40>& out, std::uint64_t client) {
    switch (client % 4) {
        case 0:  // DUID-LLT (RFC 8415 §11.2)
            out.number(0x0001'0001, 4);
            out.number(700'000'000 + (client >> 40U) % 50'000'000, 4);
            return put_mac(out, client);
        case 1:  // DUID-EN (§11.3)
            out.number(2, 2);
            out.number(enterprise, 4);
            return out.number(client, 8);
        case 2:  // DUID-LL (§11.4)
            out.number(0x0003'0001, 4);
            return put_mac(out, client);
        default:  // DUID-UUID (§11.5)
            out.number(4, 2);
            out.number(mix(client), 8);
            return out.number(client, 8);
    }
}

IpAddress v6(std::uint64_t high, std::uint64_t low) {
    InlineBytes<16> octets;
    octets.number(high, 8);
    octets.number(low, 8);
    return IpAddress::from_bytes(octets.view());
}

}  // namespace

void LeaseModel::set_identity(const Life& life, UnitState& out) const {
    out.client_id.clear();
    out.hw_addr.clear();
    out.hostname.clear();
    out.vendor_class.clear();
    if (!life.known_client) return;
    const auto client = life.client;
    if (family() == Family::v6) {
        put_duid(out.client_id, client);
    } else {
        put_mac(out.hw_addr, client);
        if (client % 8 == 1) {  // RFC 4361: IAID and DUID
            out.client_id.u8(255);
            out.client_id.number(client, 4);
            put_duid(out.client_id, client);
        } else if (client % 8 != 0) {
            out.client_id.u8(1);
            out.client_id.bytes(out.hw_addr.view());
        }
    }
    if (client % 5 != 0) {
        out.hostname.text("host-");
        out.hostname.decimal((client + life.name) % 100'000);
        out.hostname.text(".example.net");
    }
    if (client % 3 == 0) out.vendor_class.text(client % 2 == 0 ? "MSFT 5.0" : "udhcp 1.36.1");
}

void LeaseModel::set_relay_v4(const Life& life, UnitState& out) const {
    for (auto* id : {&out.relay_id, &out.remote_id, &out.circuit_id, &out.subscriber_id})
        id->clear();
    const auto r = roll(life.unit, 0, 9);
    out.relayed = life.known_client && r % options_.unrelayed_one_in != 0;
    out.link_address = IpAddress::v4(0);
    out.relay_address = IpAddress::v4(0);
    if (!out.relayed) return;
    const auto relay = (life.unit + life.relay) % options_.relays;
    out.relay_id.bytes(relay_id(static_cast<unsigned>(relay)));
    out.circuit_id.text("eth 0/");
    out.circuit_id.decimal(r % 48);
    const auto remote = mix(life.unit / 4, life.remote) % (units() / 4 + 1);
    if (remote % 2 == 0) {
        out.remote_id.text("port-");
        out.remote_id.decimal(remote);
    } else {
        out.remote_id.number(0x0200'0000'0000 + remote, 6);
    }
    if (r % 4 == 1) out.link_address = IpAddress::v4(name(life.unit).address.v4_value() & 0xffffff00U);
    if (r % 6 == 0) {
        out.subscriber_id.text("sub-");
        out.subscriber_id.decimal(life.unit);
    }
}

void LeaseModel::set_relay_v6(const Life& life, UnitState& out) const {
    for (auto* id : {&out.relay_id, &out.remote_id, &out.circuit_id, &out.subscriber_id})
        id->clear();
    const auto r = roll(life.unit, 0, 9);
    out.relayed = life.known_client && r % options_.unrelayed_one_in != 0;
    out.link_address = out.relay_address = v6(0, 0);
    if (!out.relayed) return;
    const auto relay = (link_of(life.unit) + life.relay) % options_.relays;
    out.relay_depth = r % 5 == 0 ? 2 : 1;
    out.link_address = link_address(link_of(life.unit));
    out.relay_address = v6(0x20010db8ffff0000, relay + 1);
    out.relay_id.bytes(relay_id(static_cast<unsigned>(relay)));
    out.remote_id.number(enterprise, 4);
    out.remote_id.text("r");
    out.remote_id.decimal(mix(life.unit / 4, life.remote) % (units() / 4 + 1));
    out.circuit_id.text("xe-0/0/");
    out.circuit_id.decimal(r % 48);
    if (r % 6 == 0) {
        out.subscriber_id.text("sub-");
        out.subscriber_id.decimal(life.unit);
    }
    // A DUID without a hardware address: the relay may tell it (RFC 6939).
    if (life.client % 4 == 1) put_mac(out.hw_addr, life.client);
}

Bytes LeaseModel::relay_id(unsigned relay) const {
    return {
        0, 3, 0, 1, 0x02, 0x00, 0x5e, 0x10, static_cast<std::uint8_t>(relay >> 8U), static_cast<std::uint8_t>(relay)};
}

unsigned LeaseModel::link_of(std::uint64_t unit) const {
    return static_cast<unsigned>(unit % options_.links);
}

IpAddress LeaseModel::link_address(unsigned link) const {
    return v6(0x20010db800000000 | std::uint64_t{link} << 16U, 1);
}

std::uint64_t LeaseModel::unit_of(std::uint64_t binding) const {
    if (family() == Family::v4) return binding;
    constexpr std::array<std::uint64_t, 7> at{0, 1, 1, 2, 3, 3, 3};
    return binding / 7 * 4 + at[binding % 7];
}

std::uint64_t LeaseModel::first_binding(std::uint64_t unit) const {
    if (family() == Family::v4) return unit;
    constexpr std::array<std::uint64_t, 4> at{0, 1, 3, 4};
    return unit / 4 * 7 + at[unit % 4];
}

unsigned LeaseModel::unit_size(std::uint64_t unit) const {
    if (family() == Family::v4) return 1;
    constexpr std::array<unsigned, 4> sizes{1, 2, 1, 3};
    return static_cast<unsigned>(std::min<std::uint64_t>(sizes[unit % 4], bindings() - first_binding(unit)));
}

LeaseName LeaseModel::name(std::uint64_t binding) const {
    LeaseName out;
    if (family() == Family::v4) {
        const auto spaces = options_.vpns + 1;
        out.vpn = static_cast<unsigned>(binding % spaces);
        out.address = IpAddress::v4(options_.v4_base.v4_value() + 1 + static_cast<std::uint32_t>(binding / spaces));
        return out;
    }
    const auto unit = unit_of(binding);
    const auto j = binding - first_binding(unit);
    const auto link = std::uint64_t{link_of(unit)};
    const bool delegated = unit % 4 == 2 || (unit % 4 == 1 && j == 1) || (unit % 4 == 3 && j == 2);
    if (delegated) {  // in 3fff::/20 (RFC 9637)
        out.kind = BindingKind::prefix;
        out.prefix_len = 56;
        out.address = v6(0x3fff000000000000 | link << 32U | unit << 8U, 0);
    } else {
        out.prefix_len = 128;
        out.address = v6(0x20010db800000000 | link << 16U, j << 48U | (unit + 0x100));
    }
    return out;
}

std::optional<unsigned> LeaseModel::find_link(const IpAddress& address) const {
    if (address.family() != Family::v6) return std::nullopt;
    ByteReader in(address.bytes());
    const auto high = std::uint64_t{in.u32()} << 32U | in.u32();
    if (high >> 32U == 0x20010db8 && (high & 0xffff) == 0 && (high >> 16U & 0xffff) < options_.links)
        return static_cast<unsigned>(high >> 16U & 0xffff);
    if (high >> 44U == 0x3fff0 && (high >> 32U & 0xfff) < options_.links)
        return static_cast<unsigned>(high >> 32U & 0xfff);
    return std::nullopt;
}

std::optional<std::uint64_t> LeaseModel::find(const IpAddress& address) const {
    if (address.family() != family()) return std::nullopt;
    if (family() == Family::v4) {
        const auto offset = std::uint64_t{address.v4_value()} - options_.v4_base.v4_value() - 1;
        if (offset >= (bindings() + options_.vpns) / (options_.vpns + 1)) return std::nullopt;
        return offset * (options_.vpns + 1);
    }
    ByteReader in(address.bytes());
    const auto high = std::uint64_t{in.u32()} << 32U | in.u32();
    const auto low = std::uint64_t{in.u32()} << 32U | in.u32();
    const bool delegated = high >> 44U == 0x3fff0;
    const auto unit = delegated ? (high >> 8U & 0xffffff) : (low & 0xffffffff) - 0x100;
    if (unit >= units()) return std::nullopt;
    for (unsigned j = 0; j < unit_size(unit); ++j) {
        const auto n = name(first_binding(unit) + j);
        if (n.address == (n.kind == BindingKind::prefix ? address.prefix(n.prefix_len) : address))
            return first_binding(unit) + j;
    }
    return std::nullopt;
}

}  // namespace leasemirror::leasesim
