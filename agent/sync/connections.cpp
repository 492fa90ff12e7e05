#include "agent/sync/connections.hpp"

#include <algorithm>
#include <cassert>

namespace leasemirror {

Connections::Connections(ConnectionKey last, const ServerConfig& config, Bytes requestor_duid, BulkSlots& slots)
    : config_(config), requestor_duid_(std::move(requestor_duid)), slots_(slots), last_id_(last) {}

SyncConnection& Connections::open_active(std::uint32_t first_xid, SteadyTime now) {
    return add(ActiveSession(settings(first_xid)), now);
}

SyncConnection& Connections::open_bulk(std::uint32_t first_xid, SteadyTime now) {
    return add(BulkSession(settings(first_xid)), now);
}

bool Connections::take_slot() {
    wants_slot_ = !slots_.take();
    return !wants_slot_;
}

SyncConnection& Connections::add(SyncConnection::Session session, SteadyTime now) {
    // TCP, over TLS the answer to the upgrade, and the handshake: the shell bounds each, this is for all of them.
    const auto stages = config_.tls.mode == TlsMode::off ? 1 : 3;
    ++last_id_.number;
    return all_.emplace_back(last_id_, std::move(session), now + stages * config_.timeouts.connect);
}

SessionSettings Connections::settings(std::uint32_t first_xid) const {
    SessionSettings out;
    out.family = config_.family;
    out.requestor_duid = requestor_duid_;
    out.request_options = config_.request_options;
    out.receive_timeout = config_.timeouts.receive;
    out.data_timeout = config_.timeouts.data;
    out.secured = config_.tls.mode != TlsMode::off;
    out.first_xid = first_xid;
    return out;
}

void Connections::drop(ConnectionKey id) {
    const auto found = std::find_if(all_.begin(), all_.end(), [&](const SyncConnection& c) { return c.id == id; });
    assert(found != all_.end());
    if (!found->is_active()) slots_.give_back();
    all_.erase(found);
}

SyncConnection* Connections::find(ConnectionKey id) {
    const auto found = std::find_if(all_.begin(), all_.end(), [&](const SyncConnection& c) { return c.id == id; });
    return found == all_.end() ? nullptr : &*found;
}

const SyncConnection* Connections::find(ConnectionKey id) const {
    return const_cast<Connections*>(this)->find(id);
}

const SyncConnection* Connections::active() const {
    const auto found = std::find_if(all_.begin(), all_.end(), [](const SyncConnection& c) { return c.is_active(); });
    return found == all_.end() ? nullptr : &*found;
}

bool Connections::has_open_bulk() const {
    return std::any_of(all_.begin(), all_.end(),
                       [](const SyncConnection& c) { return !c.is_active() && c.is_open() && !c.for_question; });
}

std::size_t Connections::bulk_count() const {
    return static_cast<std::size_t>(
        std::count_if(all_.begin(), all_.end(), [](const SyncConnection& c) { return !c.is_active(); }));
}

std::size_t Connections::bulk_unused() const {
    return static_cast<std::size_t>(std::count_if(all_.begin(), all_.end(), [](const SyncConnection& c) {
        return !c.is_active() && !c.item && !c.for_question;
    }));
}

bool Connections::has_question() const {
    return std::any_of(all_.begin(), all_.end(), [](const SyncConnection& c) { return c.for_question; });
}

bool Connections::idle() const {
    return std::all_of(all_.begin(), all_.end(), [](const SyncConnection& c) { return c.for_question; });
}

bool Connections::awaits_first_answer() const {
    const auto opening = [](const SyncConnection& c) { return !c.is_open(); };
    const auto silent_bulk = [](const SyncConnection& c) { return !c.is_active() && !c.heard && !c.for_question; };
    const auto may_be_refused = [](const SyncConnection& c) { return c.refused_by.has_value(); };
    const auto any_open = !std::all_of(all_.begin(), all_.end(), opening);
    return !all_.empty() && !any_heard() &&
           (!any_open || std::any_of(all_.begin(), all_.end(), silent_bulk) ||
            std::any_of(all_.begin(), all_.end(), may_be_refused));
}

bool Connections::any_heard() const {
    return std::any_of(all_.begin(), all_.end(), [](const SyncConnection& c) { return c.heard; });
}

void Connections::on_connected(SyncConnection& connection, SteadyTime now) const {
    connection.connect_by.reset();
    connection.asked_at = now;
    if (config_.tls.mode != TlsMode::off) connection.refused_by = now + refusal_delay_max;
}

void Connections::set_reading(bool reading, SessionNow now) {
    for (auto& connection : all_)
        std::visit([&](auto& session) { session.set_reading(reading, now); }, connection.session);
}

std::optional<SteadyTime> Connections::next_deadline() const {
    Earliest first;
    for (const auto& connection : all_) {
        first.consider(connection.connect_by);
        first.consider(connection.refused_by);
        first.consider(connection.catch_up_alarm);
        first.consider(std::visit([](const auto& session) { return session.next_deadline(); }, connection.session));
    }
    return first.get();
}

}  // namespace leasemirror
