#include "proto/wire/client_data_v6.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

constexpr std::size_t faults_max = 16;
constexpr std::size_t lease_bytes_min = 24;  // address and lifetimes (RFC 8415 §21.6); an IAPREFIX has one more

std::optional<IpAddress> if_specified(const IpAddress& address) {
    return address.is_unspecified() ? std::nullopt : std::optional(address);
}

void take_lease(const OptionV6& option, ClientDataV6& client, ScratchV6::Impl& s) {
    LeaseV6 lease;
    UnreadV6 unread;
    if (const auto fault = read_lease(option, lease, unread)) {
        client.complete = false;
        return add_fault(s, {*fault, true, if_specified(lease.address), {}});
    }
    s.leases.push_back(lease);
    if (!unread.octets.empty()) add_fault(s, {unread.fault(DecodeFault::runs_past_parent), false, {}, {}});
}

/// IA_NA, IA_TA and IA_PD have no place in a CLIENT_DATA (RFC 5007 §4.1.2.2). What a server means by one cannot be
/// known, least of all that the client holds nothing.
void refuse_association(const OptionV6& option, ClientDataV6& client, ScratchV6::Impl& s) {
    client.complete = false;
    auto data = option.data;
    const bool temporary = option.known_code() == OptionCodeV6::ia_ta;
    (void)data.bytes(temporary ? ia_ta_header_bytes : ia_header_bytes);
    std::size_t leases = 0;
    UnreadV6 unread;
    (void)for_each_option(data, unread, [&](const OptionV6& sub) -> Fault {
        if (sub.known_code() != OptionCodeV6::ia_address && sub.known_code() != OptionCodeV6::ia_prefix)
            return std::nullopt;
        LeaseV6 lease;
        UnreadV6 behind;
        (void)read_lease(sub, lease, behind);
        add_fault(s, {*option.bad_value(), true, if_specified(lease.address), {}});
        ++leases;
        return std::nullopt;
    });
    if (leases == 0 || !unread.octets.empty()) add_fault(s, {*option.bad_value(), true, {}, {}});
}

/// The fault is one that costs the whole CLIENT_DATA.
Fault read_client_option(const OptionV6& option, ClientDataV6& client, ScratchV6::Impl& s) {
    s.client_options.push_back({option.code, view(option.data)});
    switch (option.known_code()) {
        case OptionCodeV6::client_id:
            return read_opaque(option, 0, client.client_id);
        case OptionCodeV6::client_time:
            return read_u32(option, client.client_last_transaction_age);
        case OptionCodeV6::virtual_subnet_selection:
            client.vpn_unreadable = true;  // unless one of them can be read
            return read_vss(option, client.vss);
        case OptionCodeV6::lq_relay_data:
            return read_opaque(option, 0, client.relay_data);
        case OptionCodeV6::ia_address:
        case OptionCodeV6::ia_prefix:
            take_lease(option, client, s);
            return std::nullopt;
        case OptionCodeV6::ia_na:
        case OptionCodeV6::ia_ta:
        case OptionCodeV6::ia_pd:
            refuse_association(option, client, s);
            return std::nullopt;
        default:
            return std::nullopt;
    }
}

/// What stands behind the last option: it costs only itself, unless it may be another lease, or the VPN.
Fault judge_unread(const UnreadV6& unread, ClientDataV6& client, ScratchV6::Impl& s) {
    if (unread.octets.empty()) return std::nullopt;
    const auto fault = unread.fault(DecodeFault::runs_past_parent);
    using Code = OptionCodeV6;
    if (!client.vss && unread.may_hold(Code::virtual_subnet_selection)) {
        client.vpn_unreadable = true;
        return fault;
    }
    const auto leases = {Code::ia_address, Code::ia_prefix, Code::ia_na, Code::ia_ta, Code::ia_pd};
    const bool lost = std::any_of(leases.begin(), leases.end(),
                                  [&](OptionCodeV6 code) { return unread.may_hold(code, lease_bytes_min); });
    if (lost) client.complete = false;
    add_fault(s, {fault, lost, {}, {}});
    return std::nullopt;
}

/// Without the client's DUID there is no client, and without CLT_TIME the option "SHOULD be silently discarded"
/// (RFC 5007 §4.3.3); ours is a fault, so that it can be counted. Goes on to the end after a fault, so that the addresses
/// of what is lost can be told.
Fault read_client_options(const OptionV6& option, ClientDataV6& client, ScratchV6::Impl& s) {
    Fault first;
    bool has_client_id = false;
    UnreadV6 unread;
    (void)for_each_option(option.data, unread, [&](const OptionV6& sub) -> Fault {
        has_client_id |= sub.known_code() == OptionCodeV6::client_id;
        const auto fault = read_client_option(sub, client, s);
        if (!first) first = fault;
        return std::nullopt;
    });
    client.vpn_unreadable = client.vpn_unreadable && !client.vss;
    const auto behind = judge_unread(unread, client, s);
    if (!first) first = behind;
    if (first) return first;
    const auto missing = [&](OptionCodeV6 code) {
        return DecodeError{DecodeFault::missing_option, code_of(code), option.offset};
    };
    if (!has_client_id) return missing(OptionCodeV6::client_id);
    if (!client.client_last_transaction_age) return missing(OptionCodeV6::client_time);
    return std::nullopt;
}

}  // namespace

void add_fault(ScratchV6::Impl& s, const FaultV6& fault) {
    if (s.faults.size() < faults_max) return s.faults.push_back(fault);
    auto& last = s.faults.back();
    last = {{DecodeFault::too_many, fault.error.code, fault.error.offset}, last.lease_lost || fault.lease_lost, {}, {}};
}

void lose_leases(ScratchV6::Impl& s, std::size_t from, const DecodeError& why) {
    if (from == s.leases.size()) return add_fault(s, {why, true, {}, {}});
    for (auto i = from; i < s.leases.size(); ++i) {
        const auto& lease = s.leases[i];
        add_fault(s, {why, true, if_specified(lease.address.prefix(lease.prefix_len)), {}});
    }
    s.leases.resize(from);
}

void read_client_data(const OptionV6& option, ScratchV6::Impl& s) {
    ClientDataV6 client;
    ClientPlaces at{s.leases.size(), 0, s.client_options.size(), 0};
    const auto faults_before = s.faults.size();
    const auto fault = read_client_options(option, client, s);
    if (fault) lose_leases(s, at.leases_from, *fault);
    for (auto i = faults_before; i < s.faults.size(); ++i) {
        s.faults[i].client_id = client.client_id;
        s.faults[i].vss = client.vss;
        s.faults[i].vpn_unreadable = client.vpn_unreadable;
    }
    if (fault) return s.client_options.resize(at.options_from);
    at.leases_to = s.leases.size();
    at.options_to = s.client_options.size();
    s.client_data.push_back(client);
    s.places.push_back(at);
}

}  // namespace leasemirror
