// How one server is kept in sync (DESIGN section 3): which connections it has, what each is for, and what of all they
// say becomes a batch. No sockets, no clock, no database: events in, actions out.
//
// Needs, in the order in which they are seen to:
//
//   1. No base-time to resume from (new server, clock set back, another identity): a full bulk, whose end is committed
//      together with the base-time of its first reply.
//   2. A base-time, and none of the windowed bulks that a restart left open: the active query from that base-time.
//   3. Open gaps: a windowed bulk each; where that cannot show what ended, one paced full bulk for all of them.
//   4. A server that only knows bulk: a full bulk each poll_interval, and between them, each window_interval, what is new
//      since the last poll, if the server heeds a start time (server_sync_polls.cpp).
//
// An active query and one bulk job can run at the same time, the job over several connections. plan() looks at what is
// missing and opens connections; it runs after every event that changed something, and decides everything anew from
// the state, so that there is no path between two phases that can be forgotten.
#pragma once

#include "agent/config/config.hpp"
#include "agent/sync/bulk_job.hpp"
#include "agent/sync/certificate_watch.hpp"
#include "agent/sync/clock_skew.hpp"
#include "agent/sync/gap_book.hpp"
#include "agent/sync/outbox.hpp"
#include "agent/sync/pacing.hpp"
#include "proto/active_session.hpp"
#include "proto/bulk_session.hpp"
#include "storage/store.hpp"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace leasemirror {

/// Names one connection of one server; never used twice.
using ConnectionId = std::uint64_t;

/// Something an operator should read: an event name, then key=value.
struct LogEvent {
    LogLevel level = LogLevel::info;
    std::string name;
    std::vector<std::pair<std::string, std::string>> fields;
};

/// Lets a peer that sends nonsense fill the log only so fast.
class LogLimit {
public:
    static constexpr int lines_per_minute = 10;
    /// Whether to write this line. If lines were left out before it, `left_out` says how many.
    [[nodiscard]] bool allows(SteadyTime now, std::uint64_t& left_out);

private:
    SteadyTime minute_began_ = SteadyTime::min();
    int lines_ = 0;
    std::uint64_t left_out_ = 0;
};

namespace sync_action {
/// Open a TCP connection to the server.
struct Connect {
    ConnectionId connection;
};
struct Send {
    ConnectionId connection;
    Bytes bytes;
};
/// Close it gracefully; no further events of it are expected.
struct Disconnect {
    ConnectionId connection;
};
/// Give it to the store; it comes back through on_committed(), in order.
struct Commit {
    Batch batch;
};
struct Log {
    LogEvent event;
};
}  // namespace sync_action

using SyncAction = std::variant<sync_action::Connect, sync_action::Send, sync_action::Disconnect, sync_action::Commit,
                                sync_action::Log>;

/// The bulk connections that all servers together may have (limits.bulk_connections).
class BulkSlots {
public:
    explicit BulkSlots(std::uint32_t most) : free_(most) {}
    [[nodiscard]] bool take() { return free_ > 0 && (--free_, true); }
    void give_back() { ++free_; }
    [[nodiscard]] bool any_free() const { return free_ > 0; }

private:
    std::uint32_t free_;
};

struct SyncSettings {
    BatchConfig batch;
    std::uint64_t queue_bytes = 64ULL * 1024 * 1024;  ///< this server's share of limits.queue_bytes
    Bytes requestor_duid;
    std::uint64_t seed = 1;  ///< of jitter and transaction-ids
};

class ServerSync {
public:
    /// How long it is taken for granted that a server does not support something.
    static constexpr std::chrono::milliseconds support_lasts = std::chrono::hours{24};

    /// `slots` outlives this object.
    ServerSync(const ServerConfig& config, const ResumePoint& resume, SyncSettings settings, BulkSlots& slots);

    void start(Now now);
    /// `first_end`: over TLS, of the two certificates.
    void on_connected(ConnectionId connection, Now now, std::optional<CertificateEnd> first_end = std::nullopt);
    /// Also after on_connected(), while nothing has been received: over TLS a server may refuse us only then.
    void on_connect_failed(ConnectionId connection, const std::string& why, Now now);
    void on_sent(ConnectionId connection, Now now);
    /// `in` must not exceed wants_bytes() of the connection. Events of connections that were closed are ignored.
    void on_bytes(ConnectionId connection, ByteView in, Now now);
    void on_disconnected(ConnectionId connection, const std::string& how, Now now);
    void on_committed(Batch done, const Applied& applied, Now now);
    /// A bulk slot came free somewhere.
    void on_slot_free(Now now);
    /// Early or spurious calls are no-ops.
    void on_deadline(Now now);
    /// Close all connections and commit what is whole; done() tells when that has happened.
    void stop(Now now);

    [[nodiscard]] std::optional<SyncAction> poll_action();
    [[nodiscard]] std::optional<SteadyTime> next_deadline() const;
    /// How many octets to read from the connection now; 0: do not read.
    [[nodiscard]] std::size_t wants_bytes(ConnectionId connection) const;
    [[nodiscard]] bool wants_slot() const { return wants_slot_; }
    [[nodiscard]] bool done() const { return stopping_ && outbox_.idle() && actions_.empty(); }

    [[nodiscard]] Phase phase() const { return phase_; }
    [[nodiscard]] const ServerConfig& config() const { return config_; }
    [[nodiscard]] ServerId id() const { return id_; }

private:
    /// How much later than it happened a server may tell a change; also how far our guess of its clock is trusted.
    static constexpr std::chrono::seconds told_late{10};

    /// One connection. The session exists from the start, its query once connected.
    struct Link {
        using Session = std::variant<ActiveSession, BulkSession>;
        Link(ConnectionId its_id, Session its_session, SteadyTime by)
            : id(its_id), session(std::move(its_session)), connect_by(by) {}

        ConnectionId id;
        Session session;
        bool connected = false;
        SteadyTime connect_by;
        std::optional<std::size_t> item;       ///< of the job, while its query is outstanding
        SteadyTime asked_at{};                 ///< when its query was sent
        bool heard = false;                    ///< anything at all
        std::optional<ServerTime> fresh_from;  ///< no message on it can honestly carry an earlier base-time
        [[nodiscard]] bool active() const { return std::holds_alternative<ActiveSession>(session); }
    };

    // What is missing (server_sync_plan.cpp).
    void plan(Now now);
    void plan_active(Now now);
    void plan_job(Now now);
    void begin_full(const std::string& cause, Now now);
    void begin_window(const Gap& gap, Now now);
    void begin_run(Now now);
    void open_bulk_links(Now now);
    void ask_next(Link& link, Now now);
    void finish_job(Now now);
    void finish_full(const BulkJob& job, Now now);
    void finish_window(const BulkJob& job, Now now);
    void close_gaps(const BulkJob& job);
    [[nodiscard]] Reconcile reconcile_of(const BulkJob& job) const;
    [[nodiscard]] std::optional<SteadyTime> plan_deadline() const;
    [[nodiscard]] std::optional<std::string> full_due_for(Now now) const;
    [[nodiscard]] std::chrono::milliseconds full_again_after(const BulkJob& job) const;

    // Servers that only know bulk, and what a server supports (server_sync_polls.cpp).
    [[nodiscard]] bool recent_due(Now now) const;
    void begin_recent(Now now);
    void finish_recent(const BulkJob& job, Now now);
    void plan_polls(const BulkJob& full, Now now);
    void resume_support(Now now);
    void ask_support_anew(Now now);
    void learn_active(bool supported);
    void learn_windows(bool supported, const std::string& why);
    void learn(std::optional<bool>& ability, const std::optional<bool>& other, bool supported);
    void poll_instead(std::chrono::milliseconds ask_again, const std::string& why);
    void on_refused_silently(const std::string& text);
    void forget_abilities();

    // What the sessions say (server_sync_replies.cpp).
    [[nodiscard]] bool pump();
    void handle(Link& link, const SessionAction& action);
    void on_heard(Link& link, const action::Heard& heard);
    void on_binding(Link& link, const Binding& binding);
    void on_client_listed(Link& link, const action::ClientListed& listed);
    void on_quarantine(Link& link, const action::Quarantine& quarantine);
    void on_advance(ServerTime base_time);
    void on_data_missing(Link& link, std::optional<ServerTime> base_time);
    void on_query_done(Link& link, const action::QueryDone& done);
    void on_close(Link& link, const action::Close& close);
    void on_active_closed(const action::Close& close, bool heard);
    void on_bulk_closed(Link& link, const std::string& text);

    [[nodiscard]] bool asks_all_vpns(const BulkQuery& query) const {
        return config_.family == Family::v4 && query.kind == QueryKind::all && ask_all_vpns_;
    }
    void open_gap(ServerTime from, ServerTime to, const std::string& cause);
    void give_up_guess();
    void start_afresh(const std::string& cause);
    void drop(ConnectionId connection, bool tell_shell);
    [[nodiscard]] Link* find(ConnectionId connection);
    [[nodiscard]] const Link* find(ConnectionId connection) const;
    [[nodiscard]] Link& open_link(bool active, Now now);
    [[nodiscard]] SessionNow session_now(Now now) const { return {now.steady, skew_.server_now(now.utc)}; }
    [[nodiscard]] UtcSeconds utc_now() const;
    void commit_if_due(bool at_once);
    void close_batch();
    void follow_backpressure();
    void say_backpressure(bool blocked);
    void warn_of_certificate();
    void update_phase();
    [[nodiscard]] Phase phase_now() const;
    [[nodiscard]] std::optional<UtcSeconds> freshness() const;
    void set_error(const std::string& text);
    void log(LogLevel level, std::string name, std::vector<std::pair<std::string, std::string>> fields = {});

    const ServerConfig config_;
    const SyncSettings settings_;
    const ServerId id_;
    BulkSlots& slots_;
    std::vector<BulkQuery> queries_;  // empty: no bulk possible
    bool covers_everything_ = false;

    Now now_{};
    SteadyTime planned_at_ = SteadyTime::min();
    std::deque<SyncAction> actions_;
    std::vector<Link> links_;
    ConnectionId last_connection_ = 0;
    Outbox outbox_;
    ClockSkew skew_;
    Jitter jitter_;

    std::optional<ServerTime> kept_;       // base-time that the pending batches, once committed, bring the mirror up to
    bool kept_guessed_ = false;            // and no message has told yet what the server's clock shows
    std::optional<ServerTime> committed_;  // the part of it that is in the database: where an active query starts
    std::uint64_t afresh_in_batch_ = 0;    // commits of earlier batches say nothing about base-times any more
    std::optional<ServerTime> highest_heard_;
    Bytes identity_;
    GapBook gaps_;
    std::optional<BulkJob> job_;
    std::uint64_t last_run_;

    std::optional<std::string> full_cause_;  // a full bulk is due as soon as it may be asked for
    bool polling_;                           // the server only knows bulk
    bool hold_active_;                       // gaps that a restart left open are filled first
    bool bulk_refused_ = false;              // every bulk query was refused the last time
    int silent_refusals_ = 0;                // of active queries, in a row
    bool bulk_answered_ = false;             // since the last of them
    bool ask_all_vpns_ = true;               // until the server refuses option 221
    bool failing_ = false;                   // something went wrong, and nothing has been heard since
    bool stopping_ = false;
    bool replan_ = false;
    bool blocked_ = false;
    bool wants_slot_ = false;
    Pacing active_pacing_;
    Pacing bulk_pacing_;
    Pacing full_pacing_;  // full bulks that repair gaps
    std::optional<SteadyTime> poll_due_;
    // Windowed polls: when the next is due, from where, and what is asked: the queries that the last full one answered.
    std::optional<SteadyTime> window_due_;
    std::optional<ServerTime> window_from_;
    std::vector<BulkQuery> window_queries_;
    std::optional<ServerTime> oldest_change_;  // of what the last full bulk listed
    std::optional<SteadyTime> full_again_;     // the last full bulk left something open
    std::optional<SteadyTime> ask_active_again_;
    std::optional<SteadyTime> ask_support_again_;  // what the server did not support, it may by now
    std::optional<SteadyTime> catch_up_alarm_;     // set while the active query is catching up
    std::optional<SteadyTime> last_blocked_;
    std::optional<SteadyTime> waiting_since_;  // the database is behind, and reading has stopped for it
    bool waiting_said_ = false;
    LogLimit pressure_log_;
    CertificateWatch certificate_;
    LogLimit quarantine_log_;
    LogLimit gap_log_;
    std::uint64_t quarantine_dropped_ = 0;  // as the log has it

    Phase phase_ = Phase::connecting;
    ServerStatus status_;
};

}  // namespace leasemirror
