// A world on virtual time: one agent (Engine and a real SQLite store), some model servers, and a network and a database
// that fail as one seed says. Two phases, as in TigerBeetle's VOPR: while faults strike, anything may drop, stall or
// crash, and only safety is checked; then the world heals, and within a bounded virtual time the mirror must equal the
// servers, attribute by attribute.
#pragma once

#include "agent/engine.hpp"
#include "storage/store.hpp"
#include "tests/leasesim/model_connection.hpp"
#include "tests/leasesim/model_server.hpp"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

namespace leasemirror::sim {

/// What a run may do to the world; everything else follows from the seed.
struct WorldOptions {
    std::uint64_t seed = 1;
    std::chrono::milliseconds troubled = std::chrono::minutes{30};  ///< faults strike this long
    std::chrono::milliseconds to_heal = std::chrono::hours{3};      ///< and the mirror must be right this long after
    bool trace = false;                                             ///< log lines and faults on stdout
    std::string database;                                           ///< path of an SQLite file, made anew
};

/// What happened, to show that a seed tested something.
struct WorldStats {
    std::uint64_t crashes = 0, drops = 0, stalls = 0, restarts = 0, clock_steps = 0, identities = 0, store_faults = 0,
                  server_faults = 0, commits = 0, bindings = 0, gaps = 0;
};

class World {
public:
    explicit World(const WorldOptions& options);
    ~World();

    /// The first thing that was wrong, in words; nothing if all held.
    [[nodiscard]] std::optional<std::string> run();
    [[nodiscard]] const WorldStats& stats() const { return stats_; }

private:
    using Work = std::function<void()>;
    struct Event {
        UtcMillis at;
        std::uint64_t order;
        Work work;
        bool operator<(const Event& other) const { return std::tie(other.at, other.order) < std::tie(at, order); }
    };
    struct Wire;
    using WireKey = std::pair<std::size_t, ConnectionId>;

    // Time.
    void at(UtcMillis when, Work work);
    void after(std::chrono::milliseconds delay, Work work) { at(now_ + delay, std::move(work)); }
    void run_until(UtcMillis until);
    [[nodiscard]] Now now() const;

    // Chance.
    [[nodiscard]] std::uint64_t below(std::uint64_t n) { return chance_.next() % n; }
    [[nodiscard]] bool one_in(std::uint64_t n) { return below(n) == 0; }
    [[nodiscard]] std::chrono::milliseconds up_to(std::chrono::milliseconds most) { return chance_.up_to(most); }

    // The agent and its database.
    void make_servers();
    void start_agent();
    void crash_agent();
    void drain();
    void perform(engine_action::Connect& a);
    void perform(engine_action::Send& a);
    void perform(engine_action::Disconnect& a);
    void perform(engine_action::Commit& a);
    void perform(engine_action::Sweep& a);
    void perform(LogEvent& event);
    void write_next();
    void write_front();
    void arm_timer();

    // The network.
    void pump(Wire& wire);
    void pump(WireKey key);
    void deliver(Wire& wire);
    [[nodiscard]] Bytes take_piece(Wire& wire);
    void arm_peer(Wire& wire);
    void break_wire(WireKey key, const std::string& how);
    [[nodiscard]] Wire* find(WireKey key);

    // Trouble.
    void schedule_trouble();
    void strike();
    void strike_server(std::size_t server);
    void step_clock(std::size_t server, std::chrono::milliseconds by);
    void stall(WireKey key);
    [[nodiscard]] bool has_octets_on_the_way(WireKey key);
    [[nodiscard]] std::vector<WireKey> wires_of(std::size_t server) const;
    void trace(const std::string& text);

    void heal();

    // Judgement.
    [[nodiscard]] std::optional<std::string> difference();

    WorldOptions options_;
    WorldStats stats_;
    Jitter chance_;
    UtcMillis began_;
    UtcMillis now_;
    std::uint64_t order_ = 0;
    std::priority_queue<Event> events_;
    std::optional<std::string> wrong_;
    bool troubled_ = true;
    std::set<std::size_t> clock_stepped_;
    std::map<std::size_t, UtcMillis> silent_until_;

    Config config_;
    std::vector<std::unique_ptr<leasesim::ModelServer>> servers_;
    std::map<WireKey, std::unique_ptr<Wire>> wires_;

    std::unique_ptr<Store> store_;
    std::unique_ptr<Engine> engine_;
    std::uint64_t life_ = 0;  // counts starts of the agent: work of an earlier life is void
    std::deque<std::variant<engine_action::Commit, engine_action::Sweep>> writes_;
    bool writing_ = false;
    UtcMillis store_down_until_;
    std::optional<SteadyTime> timer_;
};

}  // namespace leasemirror::sim
