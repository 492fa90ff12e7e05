// DHCPLEASEQUERY by address, hardware address and client-id (RFC 4388 §6.4), by remote-id (RFC 6148 §4.2).
#include "tests/leasesim/messages/datagrams.hpp"

#include <algorithm>

namespace leasemirror::leasesim {

namespace {

void add(Bytes& list, const IpAddress& address) {
    const auto octets = address.bytes();
    list.insert(list.end(), octets.begin(), octets.end());
}

bool same_client(const UnitState& a, const UnitState& b) {
    return std::ranges::equal(a.client_id.view(), b.client_id.view()) &&
           std::ranges::equal(a.hw_addr.view(), b.hw_addr.view());
}

/// Of a query by address: the other units that its client may have.
void add_others_of_client(const LeaseModel& model, UtcMillis now, std::vector<UnitState>& found) {
    const auto n = model.options().units_per_client;
    const auto begin = found.front().unit - found.front().unit % n;
    UnitState s;
    for (auto unit = begin; unit < std::min<std::uint64_t>(begin + n, model.units()); ++unit) {
        if (unit == found.front().unit || model.name(unit).vpn != model.name(found.front().unit).vpn) continue;
        model.state_of(unit, now, s);
        if (s.held != 0 && same_client(s, found.front())) found.push_back(s);
    }
}

/// RFC 4388 §6.4.2: the list of all addresses of the client, where it has more than one.
void set_associated(const DatagramContext& c, const std::vector<UnitState>& found, Request& q) {
    if (found.size() < 2 && !c.also_associated) return;
    constexpr std::size_t addresses_max = 200;
    for (std::size_t i = 0; i < std::min(found.size(), addresses_max); ++i)
        add(q.associated_ip, c.model.name(found[i].first_binding).address);
    if (c.also_associated) add(q.associated_ip, c.model.name(*c.also_associated).address);
}

}  // namespace

void answer_datagram_v4(Request q, const DatagramContext& c, ByteWriter& out) {
    if (c.faults.foreign_client_id) {  // the answer to another question
        if (q.binding) q.binding = (*q.binding + 1) % c.model.bindings();
        q.id.back() ^= 1U;
    }
    auto found = find_units(q, c.model, c.now);
    if (q.kind == QueryKind::address && !found.empty()) add_others_of_client(c.model, c.now, found);
    set_associated(c, found, q);
    const ReplyContext reply{c.model, c.personality, c.server_id, q, c.now, true, true, c.faults};
    if (!found.empty()) return write_binding_v4(reply, found.front(), out);
    // UNASSIGNED is for addresses alone: one of ours that nobody has.
    write_none_v4(reply, q.binding ? MessageTypeV4::lease_unassigned : MessageTypeV4::lease_unknown, out);
}

}  // namespace leasemirror::leasesim
