// A leasequery server without sockets: leases, a bounded history, an identity, and connections that it accepted.
// The tests' virtual world and the `leasesim` executable drive the same class. Single-threaded, reads no clock.
#pragma once

#include "tests/leasesim/leases/model.hpp"
#include "tests/leasesim/options.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace leasemirror::leasesim {

class ModelConnection;

struct Datagram {
    Bytes octets;
    std::optional<IpAddress> giaddr;     ///< v4: where to send it, port 67; none: back to where the query came from
    std::chrono::milliseconds delay{0};  ///< before it is sent
    bool other_port = false;             ///< not from the port that was asked
};

/// What about the messages that concern a binding cannot be read.
enum class Unreadable : std::uint8_t { stray_octet, everything };

class ModelServer {
public:
    ModelServer(ServerOptions options, UtcMillis t0);
    ~ModelServer();
    ModelServer(const ModelServer&) = delete;
    ModelServer& operator=(const ModelServer&) = delete;

    /// A peer connected. Over the cap, or under the fault `refuse`, the connection wants to be closed at once
    /// (RFC 6926 §8.1). It must not outlive the server.
    [[nodiscard]] std::unique_ptr<ModelConnection> accept(UtcMillis now);

    /// A datagram arrived (RFC 5007, RFC 4388, RFC 6148): the answers to it, mostly one or none.
    [[nodiscard]] std::vector<Datagram> on_datagram(ByteView message, UtcMillis now);

    // What happens to the server.
    void set_churn(double events_per_second, UtcMillis now) { model_.set_churn(events_per_second, now); }
    void stop_churn(UtcMillis now) { model_.stop_churn(now); }
    void step_clock(std::chrono::milliseconds delta, UtcMillis now) { model_.step_clock(delta, now); }
    /// The clock steps by up to the argument of the fault, in ms, either way.
    void jitter_clock(const Fault& jitter, UtcMillis now);
    void set_identity(Bytes server_id);
    /// It learned active leasequery, or forgot it; for connections made from now on. restart() ends the others.
    void set_on_active(OnActive on_active) { options_.personality.on_active = on_active; }
    /// Every request in progress ends with QueryTerminated and a base-time, then its connection closes; new
    /// connections are refused until restart().
    /// After this, restart() and inject(), poll every connection.
    void shutdown(UtcMillis now);
    /// As after a crash: connections drop without a word, the history of changes is lost, leases are not.
    void restart(UtcMillis now);
    /// Strikes on the next occasion (or by its trigger), on any connection.
    void inject(const Fault& fault);
    /// Neighbouring bindings are taken out of the configuration (LeaseModel::unconfigure).
    void unconfigure(std::uint64_t count, UtcMillis now) { model_.unconfigure(count, now); }
    /// From now on messages about this binding have a stray octet, or cannot be read at all.
    void make_unreadable(std::uint64_t binding, Unreadable what) { unreadable_[binding] = what; }
    /// From now on changes are told out of order, each up to so much later than it happened.
    void set_reorder(std::chrono::milliseconds window) { reorder_ = window; }
    /// No fault strikes any more. What they did for ever stays.
    void clear_faults() { faults_.clear(); }

    [[nodiscard]] const LeaseModel& model() const { return model_; }
    [[nodiscard]] const ServerOptions& options() const { return options_; }
    [[nodiscard]] ByteView server_id() const { return options_.server_id; }
    [[nodiscard]] const std::map<std::uint64_t, Unreadable>& unreadable() const { return unreadable_; }
    [[nodiscard]] std::chrono::milliseconds reorder() const { return reorder_; }
    [[nodiscard]] bool accepting() const { return !shut_down_; }
    /// Changes up to this instant are no longer in the history.
    [[nodiscard]] UtcMillis history_floor(UtcMillis now) const;
    /// Whether an active query from `start` can be answered: all changes stamped at or after it are on record.
    [[nodiscard]] bool covers(ServerTime start, UtcMillis now) const;

    struct Stats {
        std::uint64_t accepted = 0, refused = 0, bulk_queries = 0, active_queries = 0, messages = 0, octets = 0;
        std::uint64_t faults = 0, data_missing = 0;
        std::uint64_t datagrams = 0, datagrams_answered = 0;
        // With TLS on. What came in clear text: requests for an upgrade, and all other messages, answered or not.
        std::uint64_t upgrade_requests = 0, clear_queries = 0;
        std::uint64_t handshakes = 0, handshakes_failed = 0;
        std::string handshake_error;  ///< the latest
    };
    [[nodiscard]] const Stats& stats() const { return stats_; }
    [[nodiscard]] std::size_t open_connections() const { return connections_.size(); }
    [[nodiscard]] std::vector<ModelConnection*> connections() const { return connections_; }

private:
    friend class ModelConnection;
    struct Armed {
        Fault fault;
        std::uint64_t struck = 0;
    };
    void forget(ModelConnection* connection);
    /// Whether a fault of this kind strikes now; counts it. `message` is the number of the next message of the
    /// connection, `sending` whether one is about to be made, `struck` what struck that connection before.
    [[nodiscard]] std::optional<Fault> strike(FaultKind kind, std::uint64_t message, bool sending,
                                              std::vector<std::size_t>& struck, UtcMillis now);
    [[nodiscard]] std::optional<Fault> strike_datagram(FaultKind kind, UtcMillis now);
    [[nodiscard]] std::vector<Datagram> finish_datagram(Datagram answer, UtcMillis now);
    /// What a fault of the kinds that last for ever does.
    void make_lasting(const Fault& fault, UtcMillis now);
    [[nodiscard]] bool is_due(const Armed& armed, std::uint64_t message, bool sending, UtcMillis now);
    [[nodiscard]] std::optional<UtcMillis> next_timed_fault(UtcMillis now) const;

    ServerOptions options_;
    LeaseModel model_;
    UtcMillis began_;
    UtcMillis history_from_;  // of this run of the server: restart() moves it
    bool shut_down_ = false;
    std::uint64_t dice_;
    std::vector<Armed> faults_;
    std::vector<ModelConnection*> connections_;
    std::uint64_t datagrams_to_drop_ = 0;
    std::map<std::uint64_t, Unreadable> unreadable_;  // by number of binding
    std::chrono::milliseconds reorder_{0};
    Stats stats_;
};

}  // namespace leasemirror::leasesim
