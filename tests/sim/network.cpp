// The network: octets on their way, connections that stall, break and are read in pieces.
#include "tests/sim/wire.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace leasemirror::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t window_bytes = 32 * 1024;  // what the network holds of one direction

}  // namespace

World::Wire* World::find(WireKey key) {
    const auto found = wires_.find(key);
    return found == wires_.end() ? nullptr : found->second.get();
}

void World::perform(sync_action::Connect& a) {
    const auto key = a.connection;
    const auto latency = 1ms + up_to(one_in(10) ? 400ms : 20ms);
    after(latency, [this, life = life_, key, latency] {
        if (life != life_) return;
        if (!servers_[key.server]->accepting() || (troubled_ && one_in(30))) {
            engine_->on_event(key, connection_event::ConnectFailed{"refused by the simulation"}, now());
            return drain();
        }
        auto wire = std::make_unique<Wire>();
        wire->key = key;
        wire->latency = latency;
        wire->peer = servers_[key.server]->accept(now_);
        auto& placed = *(wires_[key] = std::move(wire));
        engine_->on_event(key, connection_event::Connected{}, now());
        pump(placed);
        if (life == life_) drain();
    });
}

void World::perform(sync_action::Send& a) {
    const auto key = a.connection;
    auto* wire = find(key);
    if (!wire) return;
    after(wire->latency, [this, life = life_, key, bytes = std::move(a.bytes)] {
        if (life != life_) return;
        auto* there = find(key);
        if (!there || there->closes || there->gone) return;
        assert(there->peer->space() >= bytes.size());
        there->peer->on_bytes(bytes, now_);
        engine_->on_event(key, connection_event::Sent{}, now());
        pump(*there);
        if (life == life_) drain();
    });
}

void World::perform(sync_action::Disconnect& a) {
    auto* wire = find(a.connection);
    if (!wire) return;
    wire->peer->on_end_of_stream(now_);
    wire->gone = true;
    // Not here: the agent may be inside an event of this very wire.
    after(0ms, [this, life = life_, key = wire->key] {
        if (life == life_) wires_.erase(key);
    });
}

/// Takes from the server what the network has room for.
void World::pump(Wire& wire) {
    if (wire.closes || wire.gone) return;
    if (wire.blocked_peer && wire.on_their_way < window_bytes) {
        wire.blocked_peer = false;
        wire.peer->on_writable(now_);
    }
    while (!wire.blocked_peer) {
        auto output = wire.peer->poll(now_);
        if (!output) break;
        if (const auto* close = std::get_if<leasesim::Close>(&*output)) {
            if (close->abort) wire.to_agent.clear();
            wire.closes = close->abort ? "connection reset" : "closed by the server";
            break;
        }
        const auto bytes = std::get<leasesim::Send>(*output).bytes;
        wire.to_agent.push_back({now_ + wire.latency, Bytes(bytes.begin(), bytes.end())});
        wire.on_their_way += bytes.size();
        wire.blocked_peer = wire.on_their_way >= window_bytes;
        if (!wire.blocked_peer) wire.peer->on_writable(now_);
    }
    arm_peer(wire);
    after(wire.latency, [this, life = life_, key = wire.key] {
        if (life != life_) return;
        if (auto* there = find(key)) deliver(*there);
    });
}

void World::arm_peer(Wire& wire) {
    const auto due = wire.peer->next_deadline(now_);
    const auto turn = ++wire.peer_timer;
    if (!due || wire.closes || wire.blocked_peer) return;
    at(std::max(*due, now_ + 1ms), [this, life = life_, key = wire.key, turn] {
        if (life != life_) return;
        auto* there = find(key);
        if (!there || there->peer_timer != turn) return;
        there->peer->on_deadline(now_);
        pump(*there);
    });
}

/// Gives the agent what has arrived, in pieces of any size, as far as it wants to read. The end of a stream is found
/// by reading too, so it also waits until the agent wants to.
void World::deliver(Wire& wire) {
    const auto life = life_;
    const auto key = wire.key;
    if (wire.delivering || wire.gone) return;
    if (now_ < wire.stalled_until) {
        at(wire.stalled_until, [this, life, key] {
            auto* there = life == life_ ? find(key) : nullptr;
            if (there) deliver(*there);
        });
        return;
    }
    bool moved = false;
    while (engine_->wants_bytes(key) > 0) {
        auto& there = *wires_.at(key);
        if (there.to_agent.empty()) {
            if (!there.closes) break;
            engine_->on_event(key, connection_event::Disconnected{*std::exchange(there.closes, std::nullopt)}, now());
            there.gone = true;
            return drain();
        }
        if (there.to_agent.front().arrives > now_) break;
        there.delivering = true;
        const auto piece = take_piece(there);
        engine_->on_event(key, connection_event::Received{piece}, now());
        moved = true;
        drain();
        if (life != life_) return;
        auto* left = find(key);
        if (!left || left->gone) return;
        left->delivering = false;
    }
    if (moved) pump(*wires_.at(key));
}

Bytes World::take_piece(Wire& wire) {
    auto& chunk = wire.to_agent.front();
    const auto left = chunk.bytes.size() - chunk.taken;
    const auto wanted = engine_->wants_bytes(wire.key);
    const auto n = std::min({wanted, left, one_in(3) ? std::size_t{1} + below(1500) : left});
    const auto from = chunk.bytes.begin() + static_cast<std::ptrdiff_t>(chunk.taken);
    Bytes piece(from, from + static_cast<std::ptrdiff_t>(n));
    chunk.taken += n;
    wire.on_their_way -= n;
    wire.heard = true;
    if (chunk.taken == chunk.bytes.size()) wire.to_agent.pop_front();
    return piece;
}

/// Nothing arrives for a while. Not before the first message: a skew has to be told by something (clocks/skew.hpp).
void World::stall(WireKey key) {
    auto* wire = find(key);
    if (!wire || !wire->heard) return;
    ++stats_.stalls;
    wire->stalled_until = now_ + up_to(one_in(3) ? std::chrono::milliseconds{200s} : 10s) / haste_;
    trace("connection stalls");
}

std::vector<World::WireKey> World::wires_of(std::size_t server) const {
    std::vector<WireKey> keys;
    for (const auto& [key, wire] : wires_) {
        if (key.server == server) keys.push_back(key);
    }
    return keys;
}

bool World::has_octets_on_the_way(WireKey key) {
    const auto* wire = find(key);
    return wire && (wire->on_their_way > 0 || wire->peer->next_deadline(now_) <= now_);
}

void World::pump(WireKey key) {
    if (auto* wire = find(key)) pump(*wire);
}

void World::break_wire(WireKey key, const std::string& how) {
    auto* wire = find(key);
    if (!wire || wire->closes || wire->gone) return;
    wire->peer->on_end_of_stream(now_);
    wire->closes = how;
    if (one_in(2)) {  // as a reset does: what was on its way is lost
        wire->to_agent.clear();
        wire->on_their_way = 0;
    }
    deliver(*wire);
}

}  // namespace leasemirror::sim
