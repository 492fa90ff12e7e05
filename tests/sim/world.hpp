// A world on virtual time: one agent (Engine and real stores), some model servers, and a network and a database that
// fail as one seed says. Two phases, as in TigerBeetle's VOPR: while faults strike, anything may drop, stall or
// crash, and only safety is checked; then the world heals, and within a bounded virtual time the mirror must equal the
// servers, attribute by attribute, and the history in the database agree with them.
#pragma once

#include "agent/daemon/writer_group.hpp"
#include "agent/sync/engine.hpp"
#include "storage/store.hpp"
#include "storage/store_error.hpp"
#include "tests/leasesim/model_connection.hpp"
#include "tests/leasesim/model_server.hpp"
#include "tests/sim/database.hpp"
#include "tests/sim/mirror.hpp"
#include "tests/sim/oddities.hpp"

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
    std::string engine = "sqlite";                                  ///< of the database
    std::set<Oddity> without;                                       ///< these do not happen, or are not judged
};

/// What happened, to show that a seed tested something.
struct WorldStats {
    std::uint64_t crashes = 0, drops = 0, stalls = 0, restarts = 0, clock_steps = 0, identities = 0, store_faults = 0,
                  server_faults = 0, commits = 0, bindings = 0, gaps = 0, stops = 0, restores = 0, terminations = 0,
                  fenced = 0, feed_rows = 0, bulk_only = 0, windowed_polls = 0, support_changes = 0,
                  host_clock_steps = 0, jitters = 0, judged = 0, compared = 0, settled = 0, damages_found = 0;
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
    using WireKey = ConnectionKey;

    // Time.
    void at(UtcMillis when, Work work);
    void after(std::chrono::milliseconds delay, Work work) { at(now_ + delay, std::move(work)); }
    void run_until(UtcMillis until);
    [[nodiscard]] Now now() const;
    [[nodiscard]] UtcMillis host_now() const { return now_ + host_offset_; }

    // Chance.
    [[nodiscard]] std::uint64_t below(std::uint64_t n) { return chance_.next() % n; }
    [[nodiscard]] bool one_in(std::uint64_t n) { return below(n) == 0; }
    [[nodiscard]] std::chrono::milliseconds up_to(std::chrono::milliseconds most) { return chance_.up_to(most); }

    void make_database();
    void make_servers();

    // The agent.
    void start_agent();
    [[nodiscard]] std::optional<Writer::Opened> open_desks();
    void crash_agent();
    void drain();
    void perform(sync_action::Connect& a);
    void perform(sync_action::Send& a);
    void perform(sync_action::Disconnect& a);
    void perform(sync_action::Commit& a);
    void perform(sync_action::Sweep& a);
    void perform(sync_action::Reopen& a);
    void perform(sync_action::Retired&) {}  // no configuration changes here
    void perform(LogEvent& event);
    void stop_agent();
    void end_life(std::chrono::milliseconds pause);
    void arm_timer();

    // What is written, and read by others meanwhile.
    struct Desk;
    void write_next(std::size_t desk);
    void write_front(std::size_t desk);
    void on_store_error(std::size_t desk, const StoreError& error);
    void settle(std::size_t server, std::uint64_t batch);
    void on_written(std::size_t desk, const Applied& applied, const Swept& swept);
    void on_reopened(std::size_t desk, const ResumePoint& resume);
    [[nodiscard]] ServerSpec spec_of(std::size_t server) const;
    [[nodiscard]] std::string name_of_agent() const;
    void try_again(std::size_t desk);
    void leave_behind(Desk desk);
    void look_at_feed();
    void lose_commits();
    void judge_history(bool whole);

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
    void change_support(std::size_t server);
    void step_clock(std::size_t server, std::chrono::milliseconds by);
    [[nodiscard]] double hasty_churn(double rate, std::uint64_t bindings) const;
    // What came later (oddities.cpp).
    [[nodiscard]] Jitter odd_chance(Oddity oddity, std::size_t server) const;
    [[nodiscard]] bool has(Oddity oddity, std::size_t server, std::uint64_t one_in_n, Jitter& chance) const;
    void make_odd(std::size_t server, leasesim::ServerOptions& options, ServerConfig& config);
    void begin_odd(std::size_t server);
    void trace_oddities(std::size_t server);
    void schedule_odd();
    void schedule_odd(Oddity oddity, Jitter chance);
    void strike_odd(Oddity oddity, Jitter& chance);
    void step_host_clock(std::chrono::milliseconds by);
    void jitter_clock(std::size_t server, std::chrono::milliseconds by);

    void stall(WireKey key);
    [[nodiscard]] bool has_octets_on_the_way(WireKey key);
    [[nodiscard]] std::vector<WireKey> wires_of(std::size_t server) const;
    void trace(const std::string& text) const;
    void trace_batch(const std::string& server, const Batch& batch) const;

    void heal();

    // Judgement (judge.cpp).
    [[nodiscard]] Witness witness(std::size_t server) const;
    [[nodiscard]] std::chrono::seconds stepped_back(std::size_t server) const;
    void judge_mirror(std::size_t server);
    [[nodiscard]] std::optional<std::string> judge_assignments() const;
    [[nodiscard]] std::optional<std::string> difference();

    // `verify` beside the agent (verifying.cpp).
    struct Verifying;
    [[nodiscard]] std::optional<std::string> verify_all();
    [[nodiscard]] std::optional<std::string> verify(std::size_t server);

    WorldOptions options_;
    WorldStats stats_;
    Jitter chance_;
    Jitter kinds_;  // of what came later to the simulation: the seeds before it keep what they draw from chance_
    UtcMillis began_;
    UtcMillis now_;
    std::uint64_t order_ = 0;
    std::priority_queue<Event> events_;
    std::optional<std::string> wrong_;
    bool troubled_ = true;
    std::int64_t haste_ = 1;  // how much faster than in an ordinary world changes and troubles follow one another
    std::set<std::size_t> clock_stepped_;
    /// By how much, where that is less than an open connection can tell soon from messages that wait, or from silence.
    std::map<std::size_t, std::chrono::seconds> stepped_back_a_little_;
    struct ClockStep {
        UtcMillis at;
        std::chrono::milliseconds by{0};
    };
    std::map<std::size_t, ClockStep> last_step_;
    std::set<std::size_t> bulk_only_;
    std::map<std::size_t, UtcMillis> silent_until_;
    std::map<std::size_t, UtcMillis>
        step_unknown_since_;                   // until the database has what was told after it; host's clock
    Skew host_offset_{0};                      // the host's clock minus true time
    std::vector<Skew> host_offsets_{Skew{0}};  // all that it ever was
    std::optional<std::chrono::milliseconds> step_host_at_start_;
    /// Servers of which the database has nothing that was closed since the host's clock stepped; and the number of the
    /// first batch that was.
    std::map<std::size_t, std::optional<std::uint64_t>> unsettled_;
    bool stepped_in_this_life_ = false;  // the agent was at work when the host's clock stepped
    std::set<std::size_t> unreached_vpns_;
    std::map<std::size_t, UtcMillis> judged_at_;
    std::optional<bool> doubts_;  // whether the database has a column for them

    Config config_;
    std::vector<std::unique_ptr<leasesim::ModelServer>> servers_;
    std::map<WireKey, std::unique_ptr<Wire>> wires_;

    /// A writer: its part of the servers, and what waits to be written.
    struct Desk {
        std::unique_ptr<Store> store;
        std::deque<std::variant<sync_action::Commit, sync_action::Sweep, sync_action::Reopen>> steps;
        bool writing = false;
        bool in_doubt = false;  // the front step has been taken, and nobody was told
    };
    std::optional<Database> database_;
    std::size_t writers_ = 1;
    std::optional<WriterGroup> group_;
    std::vector<Desk> desks_;
    bool left_behind_ = false;  // a session of an agent that died lives on
    std::unique_ptr<Engine> engine_;
    std::uint64_t life_ = 0;    // counts starts and ends of the agent: work of an earlier life is void
    std::uint64_t opened_ = 0;  // the life whose stores were opened last
    UtcMillis store_down_until_;
    std::optional<SteadyTime> timer_;
};

}  // namespace leasemirror::sim
