#include "tests/sim/world.hpp"

#include "tests/sim/mirror.hpp"

#include <algorithm>
#include <cassert>
#include <filesystem>
#include <iostream>
#include <utility>

namespace leasemirror::sim {

using leasesim::ModelConnection;
using leasesim::ModelServer;
using namespace std::chrono_literals;

namespace {

/// A round date; nothing depends on which.
const UtcMillis beginning{std::chrono::seconds{1'800'000'000}};
constexpr std::size_t window_bytes = 32 * 1024;  // what the network holds of one direction

}  // namespace

/// A connection between the agent and a model server: octets on their way, and how the network treats them.
struct World::Wire {
    struct Chunk {
        UtcMillis arrives;
        Bytes bytes;
        std::size_t taken = 0;
    };
    WireKey key;
    std::unique_ptr<ModelConnection> peer;
    std::deque<Chunk> to_agent;
    std::deque<Bytes> to_peer;
    std::size_t on_their_way = 0;
    UtcMillis stalled_until{};
    std::chrono::milliseconds latency{1};
    bool blocked_peer = false;          // it waits for on_writable()
    std::optional<std::string> closes;  // how, once all octets have arrived
    std::uint64_t peer_timer = 0;
    bool heard = false;       // something has been delivered
    bool delivering = false;  // the agent is being given something of it just now
    bool gone = false;        // the agent has closed it
};

World::World(const WorldOptions& options)
    : options_(options), chance_(options.seed), began_(beginning), now_(beginning), store_down_until_(beginning) {
    for (const auto* suffix : {"", "-wal", "-shm", ".lock"})
        std::filesystem::remove(options_.database + suffix);
    make_servers();
}

World::~World() {
    engine_.reset();
    wires_.clear();
}

// ---- time ---------------------------------------------------------------------------------------------------------

void World::at(UtcMillis when, Work work) {
    events_.push({std::max(when, now_), order_++, std::move(work)});
}

Now World::now() const {
    return {SteadyTime{std::chrono::hours{1} + (now_ - began_)}, now_};
}

void World::run_until(UtcMillis until) {
    while (!wrong_ && !events_.empty() && events_.top().at <= until) {
        auto event = std::move(const_cast<Event&>(events_.top()));
        events_.pop();
        now_ = event.at;
        event.work();
    }
    if (!wrong_) now_ = until;
}

// ---- the agent ----------------------------------------------------------------------------------------------------

void World::start_agent() {
    const auto life = ++life_;
    std::vector<ServerSpec> specs;
    for (const auto& server : config_.servers)
        specs.push_back({server.name, server.family, server.address});
    StoreSettings settings;
    settings.url = "sqlite://" + options_.database;
    store_ = open_store(settings);
    const auto resume = store_->open_servers(specs, "agent " + std::to_string(life));
    const Bytes duid = store_->requestor_duid(Bytes{0, 4, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
    engine_ = std::make_unique<Engine>(config_, resume, duid, chance_.next());
    trace("agent starts, life " + std::to_string(life));
    engine_->start(now());
    drain();
}

/// As kill -9 does: nothing is said, nothing is finished. What the database was given stays, the rest is gone.
void World::crash_agent() {
    if (!engine_) return;
    ++stats_.crashes;
    trace("agent crashes");
    engine_.reset();
    store_.reset();
    writes_.clear();
    writing_ = false;
    timer_.reset();
    for (auto& [key, wire] : wires_)
        wire->peer->on_end_of_stream(now_);
    wires_.clear();
    ++life_;
    after(1ms + up_to(one_in(4) ? 10min : 5s), [this] { start_agent(); });
}

void World::drain() {
    const auto life = life_;
    while (auto action = engine_->poll_action()) {
        std::visit([this](auto& a) { perform(a); }, *action);
        if (life != life_) return;  // the agent crashed meanwhile
    }
    std::vector<WireKey> keys;
    for (const auto& [key, wire] : wires_)
        keys.push_back(key);
    for (const auto& key : keys) {
        if (auto* wire = find(key)) deliver(*wire);
        if (life != life_) return;
    }
    arm_timer();
}

void World::arm_timer() {
    const auto due = engine_->next_deadline();
    if (!due || timer_ == due) return;
    timer_ = due;
    const auto when = now_ + std::chrono::ceil<std::chrono::milliseconds>(*due - now().steady);
    at(when, [this, life = life_, due] {
        if (life != life_ || timer_ != due) return;
        timer_.reset();
        engine_->on_deadline(now());
        drain();
    });
}

void World::perform(LogEvent& event) {
    if (event.name == "gap") ++stats_.gaps;
    if (!options_.trace) return;
    std::string line = "  " + event.name;
    for (const auto& [key, value] : event.fields)
        line += " " + key + "=" + value;
    trace(line);
}

void World::trace(const std::string& text) {
    if (options_.trace)
        std::cout << unix_seconds(std::chrono::floor<std::chrono::seconds>(now_)) << " " << text << "\n";
}

// ---- the database -------------------------------------------------------------------------------------------------

void World::perform(engine_action::Commit& a) {
    writes_.emplace_back(std::move(a));
    write_next();
}

void World::perform(engine_action::Sweep& a) {
    writes_.emplace_back(a);
    write_next();
}

void World::write_next() {
    if (writing_ || writes_.empty()) return;
    writing_ = true;
    after(1ms + up_to(one_in(20) ? 500ms : 5ms), [this, life = life_] {
        if (life == life_) write_front();
    });
}

/// One step of the writer: it may fail before anything is written, after everything is, or with the agent's death on
/// either side of the commit.
void World::write_front() {
    const auto try_again = [this] {
        ++stats_.store_faults;
        after(100ms + up_to(2s), [this, life = life_] {
            if (life == life_) write_front();
        });
    };
    if (now_ < store_down_until_) return try_again();
    if (troubled_ && one_in(400)) return crash_agent();
    auto& front = writes_.front();
    const auto life = life_;
    if (auto* sweep = std::get_if<engine_action::Sweep>(&front)) {
        const auto swept = store_->sweep(sweep->now, sweep->rows);
        writes_.pop_front();
        writing_ = false;
        engine_->on_swept(swept, now());
    } else {
        auto& commit = std::get<engine_action::Commit>(front);
        const auto applied = store_->apply(commit.batch);
        ++stats_.commits;
        if (!applied.refused.empty()) wrong_ = "the store refused a row: " + applied.refused.front();
        if (troubled_ && one_in(400)) return crash_agent();
        if (troubled_ && one_in(100)) return try_again();  // in doubt: the same batch comes again
        const auto server = commit.server;
        auto batch = std::move(commit.batch);
        writes_.pop_front();
        writing_ = false;
        engine_->on_committed(server, std::move(batch), applied, now());
    }
    if (life != life_) return;
    write_next();
    drain();
}

// ---- the network --------------------------------------------------------------------------------------------------

World::Wire* World::find(WireKey key) {
    const auto found = wires_.find(key);
    return found == wires_.end() ? nullptr : found->second.get();
}

void World::perform(engine_action::Connect& a) {
    const WireKey key{a.server, a.connection};
    const auto latency = 1ms + up_to(one_in(10) ? 400ms : 20ms);
    after(latency, [this, life = life_, key, latency] {
        if (life != life_) return;
        if (!servers_[key.first]->accepting() || (troubled_ && one_in(30))) {
            engine_->on_connect_failed(key.first, key.second, "refused by the simulation", now());
            return drain();
        }
        auto wire = std::make_unique<Wire>();
        wire->key = key;
        wire->latency = latency;
        wire->peer = servers_[key.first]->accept(now_);
        auto& placed = *(wires_[key] = std::move(wire));
        engine_->on_connected(key.first, key.second, now());
        pump(placed);
        if (life == life_) drain();
    });
}

void World::perform(engine_action::Send& a) {
    const WireKey key{a.server, a.connection};
    auto* wire = find(key);
    if (!wire) return;
    after(wire->latency, [this, life = life_, key, bytes = std::move(a.bytes)] {
        if (life != life_) return;
        auto* there = find(key);
        if (!there || there->closes || there->gone) return;
        assert(there->peer->space() >= bytes.size());
        there->peer->on_bytes(bytes, now_);
        engine_->on_sent(key.first, key.second, now());
        pump(*there);
        if (life == life_) drain();
    });
}

void World::perform(engine_action::Disconnect& a) {
    auto* wire = find({a.server, a.connection});
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
    while (engine_->wants_bytes(key.first, key.second) > 0) {
        auto& there = *wires_.at(key);
        if (there.to_agent.empty()) {
            if (!there.closes) break;
            engine_->on_disconnected(key.first, key.second, *std::exchange(there.closes, std::nullopt), now());
            there.gone = true;
            return drain();
        }
        if (there.to_agent.front().arrives > now_) break;
        there.delivering = true;
        engine_->on_bytes(key.first, key.second, take_piece(there), now());
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
    const auto wanted = engine_->wants_bytes(wire.key.first, wire.key.second);
    const auto n = std::min({wanted, left, one_in(3) ? std::size_t{1} + below(1500) : left});
    const auto from = chunk.bytes.begin() + static_cast<std::ptrdiff_t>(chunk.taken);
    Bytes piece(from, from + static_cast<std::ptrdiff_t>(n));
    chunk.taken += n;
    wire.on_their_way -= n;
    wire.heard = true;
    if (chunk.taken == chunk.bytes.size()) wire.to_agent.pop_front();
    return piece;
}

/// Nothing arrives for a while. Not before the first message: a skew has to be told by something (clock_skew.hpp).
void World::stall(WireKey key) {
    auto* wire = find(key);
    if (!wire || !wire->heard) return;
    ++stats_.stalls;
    wire->stalled_until = now_ + up_to(one_in(3) ? std::chrono::milliseconds{200s} : 10s);
    trace("connection stalls");
}

std::vector<World::WireKey> World::wires_of(std::size_t server) const {
    std::vector<WireKey> keys;
    for (const auto& [key, wire] : wires_) {
        if (key.first == server) keys.push_back(key);
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
