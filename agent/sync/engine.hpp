// All servers of the configuration in one plain object: what the daemon drives with sockets, threads and clocks, and the
// simulation on virtual time. It adds to ServerSync (server_sync.hpp) what servers share: bulk connections, memory
// for what waits to be committed, the sweep for bindings that expired and for what retention removes, and the question
// whether our own clock was set.
#pragma once

#include "agent/config/config.hpp"
#include "agent/sync/clocks/host.hpp"
#include "agent/sync/clocks/start_jury.hpp"
#include "agent/sync/server_sync.hpp"
#include "storage/batch.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace leasemirror {

class Engine {
public:
    /// One sweep step each second looks at this many rows: a table of five million is gone through in under five
    /// minutes, with the database busy for a few milliseconds each time. The view `lease` hides an expired binding at
    /// once in any case.
    static constexpr std::size_t sweep_rows = 20000;
    static constexpr std::chrono::seconds sweep_interval{1};
    /// What retention removed is said once per round of the sweep, and not more often than this.
    static constexpr std::chrono::minutes retention_report{10};

    /// `resume[i]` is of `config.servers[i]`. `seed` feeds jitter and transaction-ids.
    Engine(const Config& config, const std::vector<ResumePoint>& resume, const Bytes& requestor_duid,
           std::uint64_t seed);

    void start(Now now);
    void on_event(ConnectionKey connection, const ConnectionEvent& event, Now now);
    void on_committed(std::size_t server, Batch done, const Applied& applied, Now now);
    void on_swept(const Swept& swept, Now now);
    /// Works a server from what the database has: one that a Reopen asked for, that was retired, or a further one. Its index
    /// is the caller's choice, and need not be the next.
    void open(std::size_t server, const ServerConfig& config, const ResumePoint& resume, Now now);
    /// The server is worked no more: its connections are closed, what is whole is committed, and then comes a Retired.
    void retire(std::size_t server, Now now);
    void on_deadline(Now now);
    /// Close all connections, commit what is whole; done() tells when.
    void stop(Now now);

    /// The next thing to do. After every event, poll until there is none.
    [[nodiscard]] std::optional<SyncAction> poll_action();
    [[nodiscard]] std::optional<SteadyTime> next_deadline() const;
    /// How many octets to read from the connection now; 0: do not read, ask again after the next event.
    [[nodiscard]] std::size_t wants_bytes(ConnectionKey connection) const;
    [[nodiscard]] bool done() const;

    /// By which it names itself to DHCPv6 servers.
    [[nodiscard]] const Bytes& requestor_duid() const { return common_.requestor_duid; }
    [[nodiscard]] std::size_t size() const { return servers_.size(); }
    [[nodiscard]] bool works(std::size_t i) const { return i < servers_.size() && servers_[i].sync; }
    /// One that it works.
    [[nodiscard]] const ServerSync& server(std::size_t i) const { return *servers_[i].sync; }

private:
    void passes(Now now);
    void summon_jury();
    bool hear_jury();
    void tell_jury_found(std::chrono::milliseconds ahead);
    [[nodiscard]] std::optional<SyncAction> poll_servers();
    void offer_slots();
    void report_retention();
    void follow(const std::vector<ServerOrders>& orders);
    void begin(ServerSync& server, const Orders& orders);
    void put(std::size_t server, const ServerConfig& config, const ResumePoint& resume);
    void share_memory();
    [[nodiscard]] std::optional<SyncAction> poll_ended();
    /// Of all that it works.
    template <class Do>
    void for_each(Do act) {
        for (auto& slot : servers_)
            if (slot.sync) act(*slot.sync);
    }

    /// A server by its index.
    struct Slot {
        std::unique_ptr<ServerSync> sync;  ///< none: not worked
        Orders orders;                     ///< as the database had them last
        bool reopens = false;              ///< an operator has ended the pause, and it has not been opened
        bool retires = false;              ///< not to be worked once it is done
        std::uint64_t connections_before = 0;
    };

    /// Of every server.
    struct Common {
        BatchConfig batch;
        std::uint64_t queue_bytes = 0;  ///< of all together
        Bytes requestor_duid;
        Jitter seeds;
    };
    Common common_;
    BulkSlots slots_;
    std::vector<Slot> servers_;
    std::size_t turn_ = 0;       // whose actions come next: all servers get their turn
    std::size_t slot_turn_ = 0;  // who is offered the next free bulk slot first
    Now now_{};
    HostClock host_clock_;
    StartJury jury_;
    std::optional<SteadyTime> sweep_due_;
    bool sweeping_ = false;
    Swept removed_;  // since it was last said
    std::optional<SteadyTime> removed_said_;
    std::optional<LogEvent> report_;
    bool stopping_ = false;
};

}  // namespace leasemirror
