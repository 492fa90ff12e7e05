#include "tests/leasesim/messages/datagrams.hpp"

#include "tests/leasesim/messages/reply_parts.hpp"
#include "tests/leasesim/model_server.hpp"

#include <algorithm>

namespace leasemirror::leasesim {

namespace {

constexpr std::size_t datagram_bytes_max = 16 * 1024;

bool is_about(const Request& q, const UnitState& s) {
    const auto is = [&](ByteView id) { return std::ranges::equal(id, q.id); };
    switch (q.kind) {
        case QueryKind::client_id:
            return is(s.client_id.view());
        case QueryKind::hw_addr:
            return is(s.hw_addr.view()) && s.hw_type == q.hw_type;
        case QueryKind::remote_id:
            return s.relayed && is(s.remote_id.view());
        case QueryKind::address:
        case QueryKind::all:
        case QueryKind::relay_id:
        case QueryKind::link:
            break;
    }
    return false;
}

std::int64_t argument(const std::optional<Fault>& fault, std::int64_t otherwise, std::int64_t most) {
    return std::clamp<std::int64_t>(fault->arg.value_or(otherwise), 0, most);
}

}  // namespace

std::vector<UnitState> find_units(const Request& q, const LeaseModel& model, UtcMillis now) {
    std::vector<UnitState> found;
    UnitState s;
    if (q.binding) {
        if (*q.binding >= model.bindings()) return found;
        model.state_of(model.unit_of(*q.binding), now, s);
        const bool held = (s.held >> (*q.binding - s.first_binding) & 1U) != 0;
        const bool there = !q.link || model.link_of(s.unit) == *q.link;
        if (held && there) found.push_back(s);
        return found;
    }
    for (std::uint64_t unit = 0; unit < model.units(); ++unit) {
        if (q.link && model.link_of(unit) != *q.link) continue;
        if (model.family() == Family::v4 && q.vpn && model.name(unit).vpn != *q.vpn) continue;
        model.state_of(unit, now, s);
        if (s.held != 0 && is_about(q, s)) found.push_back(s);
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const UnitState& a, const UnitState& b) { return a.last_seen > b.last_seen; });
    return found;
}

std::optional<Fault> ModelServer::strike_datagram(FaultKind kind, UtcMillis now) {
    std::vector<std::size_t> nothing_struck;  // each datagram is like a connection of its own
    return strike(kind, stats_.datagrams_answered + 1, true, nothing_struck, now);
}

std::vector<Datagram> ModelServer::on_datagram(ByteView message, UtcMillis now) {
    ++stats_.datagrams;
    if (shut_down_) return {};
    if (datagrams_to_drop_ == 0)
        if (const auto drop = strike_datagram(FaultKind::udp_drop, now))
            datagrams_to_drop_ = static_cast<std::uint64_t>(argument(drop, 1, INT32_MAX));
    if (datagrams_to_drop_ > 0) {
        --datagrams_to_drop_;
        return {};
    }
    const bool v4 = model_.family() == Family::v4;
    ScratchV4 scratch_v4;
    ScratchV6 scratch_v6;
    DatagramContext c{model_, options_.personality, options_.server_id, now, {}, {}};
    std::optional<Asked> asked;
    if (v4) {
        if (auto q = read_datagram_v4(message, scratch_v4, model_, options_.personality, options_.server_id))
            asked = std::move(*q);
    } else {
        asked = read_datagram_v6(message, scratch_v6, c);
    }
    if (!asked) return {};
    const auto struck_by = [&](FaultKind kind) { return strike_datagram(kind, now).has_value(); };
    c.faults.wrong_xid = struck_by(FaultKind::wrong_xid);
    c.faults.missing_server_id = struck_by(FaultKind::missing_server_id);
    c.faults.foreign_client_id = struck_by(FaultKind::foreign_client_id);
    if (const auto more = v4 ? strike_datagram(FaultKind::associated_ip, now) : std::nullopt)
        c.also_associated = static_cast<std::uint64_t>(argument(more, 0, INT32_MAX)) % model_.bindings();

    Bytes room(datagram_bytes_max);
    ByteWriter out(room);
    Datagram answer;
    if (const auto* q = std::get_if<Request>(&*asked); q != nullptr && v4) answer.giaddr = q->giaddr;
    if (struck_by(FaultKind::garbage_message)) {
        const auto* q = std::get_if<Request>(&*asked);
        write_garbage(model_.family(), MessageTypeV6::lease_query_reply, q != nullptr ? q->xid : 0, out);
    } else if (v4) {
        answer_datagram_v4(std::move(std::get<Request>(*asked)), c, out);
    } else {
        answer_datagram_v6(*asked, c, out);
    }
    assert(out.ok());
    room.resize(out.size());
    answer.octets = std::move(room);
    return finish_datagram(std::move(answer), now);
}

/// What happens to an answer on its way.
std::vector<Datagram> ModelServer::finish_datagram(Datagram answer, UtcMillis now) {
    if (const auto late = strike_datagram(FaultKind::udp_delay, now))
        answer.delay = std::chrono::milliseconds{argument(late, 1000, 3'600'000)};
    answer.other_port = strike_datagram(FaultKind::udp_other_port, now).has_value();
    std::size_t copies = 1;
    if (const auto more = strike_datagram(FaultKind::udp_duplicate, now))
        copies += static_cast<std::size_t>(argument(more, 1, 1000));
    ++stats_.datagrams_answered;
    return std::vector<Datagram>(copies, answer);
}

}  // namespace leasemirror::leasesim
