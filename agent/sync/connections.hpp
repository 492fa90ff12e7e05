// The connections to one server: an active one at most, and bulk ones up to bulk.max_connections, as far as
// limits.bulk_connections has room. Knows which there are and what each was last asked; what to ask is the coordinator's
// (server_sync.hpp).
//
//     opening --on_connected--> open: its session speaks        either way: drop()
#pragma once

#include "agent/config/config.hpp"
#include "agent/sync/actions.hpp"
#include "agent/sync/bulk_slots.hpp"
#include "agent/sync/timers.hpp"
#include "proto/session/active.hpp"
#include "proto/session/bulk.hpp"

#include <cstdint>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace leasemirror {

/// One connection. The session exists from the start, its query once connected.
struct SyncConnection {
    using Session = std::variant<ActiveSession, BulkSession>;
    SyncConnection(ConnectionKey its_id, Session its_session, SteadyTime by)
        : id(its_id), session(std::move(its_session)), connect_by(by) {}

    ConnectionKey id;
    Session session;
    std::optional<SteadyTime> connect_by;  ///< while opening
    /// Over TLS, until something was heard: by then a server that refuses our certificate has told (connection.hpp).
    std::optional<SteadyTime> refused_by;
    /// Active, while it replays: when to complain that this does not end.
    std::optional<SteadyTime> catch_up_alarm;
    std::optional<std::size_t> item;       ///< bulk: of the job, while its query is outstanding
    bool for_question = false;             ///< bulk: the job is the question about a doubt
    SteadyTime asked_at{};                 ///< when its query was sent
    bool heard = false;                    ///< anything at all
    bool identified = false;               ///< the server has told its identity on it
    std::optional<ServerTime> fresh_from;  ///< no message on it can honestly carry an earlier base-time
    std::optional<ServerTime> base_time;   ///< of the message at hand, if it has one that can be right
    bool distrusted = false;               ///< the message at hand has one that cannot be right
    /// Octets of a message, and when they came.
    struct Waiting {
        Bytes message;
        SteadyTime since;
    };
    /// Its message at hand waits until it is found whether our clock was set: this, and `base_time`.
    std::optional<Waiting> waits_for_jury = std::nullopt;

    [[nodiscard]] bool is_active() const { return std::holds_alternative<ActiveSession>(session); }
    [[nodiscard]] bool is_open() const { return !connect_by; }
    /// Told in the catch-up phase: the base-time is not when it happened (RFC 7653 §8.4.1, RFC 7724 §7.4.1).
    [[nodiscard]] bool is_catching_up() const { return catch_up_alarm.has_value(); }
};

class Connections {
public:
    /// With TLS 1.3 a server tells that it refuses our certificate after the handshake: a round trip, and some time to think.
    static constexpr std::chrono::seconds refusal_delay_max{1};

    /// Of the server of `last`, the key of the last connection that it ever had. `slots` and `config` outlive this object.
    Connections(ConnectionKey last, const ServerConfig& config, Bytes requestor_duid, BulkSlots& slots);

    /// `first_xid` is that of the connection's first query. The references live until the next open or drop.
    SyncConnection& open_active(std::uint32_t first_xid, SteadyTime now);
    /// A slot must be taken for it before: see take_slot().
    SyncConnection& open_bulk(std::uint32_t first_xid, SteadyTime now);
    /// False while all servers together have as many bulk connections as they may: on_slot_free() ends the waiting.
    [[nodiscard]] bool take_slot();
    void on_slot_free() { wants_slot_ = false; }
    [[nodiscard]] bool wants_slot() const { return wants_slot_; }
    void drop(ConnectionKey id);

    [[nodiscard]] SyncConnection* find(ConnectionKey id);
    [[nodiscard]] const SyncConnection* find(ConnectionKey id) const;
    [[nodiscard]] const SyncConnection* active() const;
    /// None for a question counts.
    [[nodiscard]] bool has_open_bulk() const;
    [[nodiscard]] std::size_t bulk_count() const;
    /// Bulk connections, open or opening, without a query outstanding, and not for a question.
    [[nodiscard]] std::size_t bulk_unused() const;
    /// One of them is there for a question.
    [[nodiscard]] bool has_question() const;
    /// Whether the server takes connections, and ours, is not known yet: another one would only fail in the same way. An
    /// active query may be silent for long, and a question may get no answer, so where one is open it is not waited for, but
    /// for a late refusal.
    [[nodiscard]] bool awaits_first_answer() const;
    /// The server has spoken on one of them.
    [[nodiscard]] bool any_heard() const;
    /// It stands, and its query goes out now.
    void on_connected(SyncConnection& connection, SteadyTime now) const;
    [[nodiscard]] bool empty() const { return all_.empty(); }
    /// None but for a question.
    [[nodiscard]] bool idle() const;
    /// Index into Config::servers.
    [[nodiscard]] std::size_t server() const { return last_id_.server; }
    [[nodiscard]] std::uint64_t so_far() const { return last_id_.number; }
    [[nodiscard]] std::vector<SyncConnection>& all() { return all_; }

    /// We stop reading, or go on.
    void set_reading(bool reading, SessionNow now);
    [[nodiscard]] std::optional<SteadyTime> next_deadline() const;

private:
    SyncConnection& add(SyncConnection::Session session, SteadyTime now);
    [[nodiscard]] SessionSettings settings(std::uint32_t first_xid) const;

    const ServerConfig& config_;
    Bytes requestor_duid_;
    BulkSlots& slots_;
    std::vector<SyncConnection> all_;
    ConnectionKey last_id_;
    bool wants_slot_ = false;
};

}  // namespace leasemirror
