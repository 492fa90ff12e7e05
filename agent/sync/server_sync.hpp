// How one server is kept in sync: which connections it has, what each is for, and what of all they say becomes a batch.
// No sockets, no clock, no database: events in, actions out.
//
// ServerSync is the coordinator of its parts, each of which decides one thing:
//
//     Connections    which connections there are                        Checkpoint   from where to resume
//     BulkPlanner    which bulk job is next, and what follows from one  ClockSkew    how the server's clock stands to ours
//     Support        whether the server is followed or polled           Outbox       what waits for the database
//     GapBook        what was missed (BulkPlanner's)                    Backpressure whether to read
//     DoubtBook      which bindings to ask about                        StoredClock  in which clock the mirror is
//     Recorder       what becomes a change of the batch                 StatusReport what `status` and the log say
//
// What a server needs is decided in this order:
//
//   1. No base-time to resume from (new server, clock set back, another identity): a full bulk, whose end is committed
//      together with the base-time of its first reply.
//   2. A base-time, and none of the windowed bulks that a restart left open: the active query from that base-time.
//   3. What the BulkPlanner says: gaps, polls.
//
// An active query and one bulk job can run at the same time, the job over several connections. plan() looks at what is
// missing and opens connections. It runs after whatever happened, be it an event, a word of a session or the end of a
// batch, and decides everything anew from the parts, so that there is no path between two phases that can be forgotten.
#pragma once

#include "agent/sync/actions.hpp"
#include "agent/sync/backpressure.hpp"
#include "agent/sync/bulk_planner.hpp"
#include "agent/sync/bulk_slots.hpp"
#include "agent/sync/checkpoint.hpp"
#include "agent/sync/clocks/skew.hpp"
#include "agent/sync/clocks/stored.hpp"
#include "agent/sync/connections.hpp"
#include "agent/sync/doubt_book.hpp"
#include "agent/sync/outbox.hpp"
#include "agent/sync/pacing.hpp"
#include "agent/sync/recorder.hpp"
#include "agent/sync/status_report.hpp"
#include "agent/sync/support.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace leasemirror {

struct SyncSettings {
    std::size_t server = 0;  ///< index into Config::servers
    BatchConfig batch;
    std::uint64_t queue_bytes = 64ULL * 1024 * 1024;  ///< this server's share of limits.queue_bytes
    Bytes requestor_duid;
    std::uint64_t seed = 1;                ///< of jitter and transaction-ids
    std::uint64_t connections_before = 0;  ///< numbers of connections that an earlier object of this server has used
};

class ServerSync {
public:
    /// `slots` outlives this object.
    ServerSync(const ServerConfig& config, const ResumePoint& resume, SyncSettings settings, BulkSlots& slots);
    ServerSync(const ServerSync&) = delete;
    ServerSync& operator=(const ServerSync&) = delete;

    void start(Now now);
    /// Events of connections that were closed are ignored.
    void on_event(ConnectionKey id, const ConnectionEvent& event, Now now);
    void on_committed(Batch done, const Applied& applied, Now now);
    /// A bulk slot came free somewhere.
    void on_slot_free(Now now);
    /// Early or spurious calls are no-ops.
    void on_deadline(Now now);
    /// The clock of our host jumped by so much, positive: ahead (HostClock).
    void on_our_clock_jumped(std::chrono::milliseconds by, Now now);
    /// Before start(): whether its clock can tell of ours, and that a jury sits about that.
    [[nodiscard]] std::optional<StartJury::Member> jury_member(Now now) const;
    void await_jury();
    /// What its first message told of our clock. It is not read any further before on_jury_found(), nor is a connection whose
    /// messages have no base-time.
    [[nodiscard]] const std::optional<StartJury::Shift>& testimony() const { return epoch_.stored_clock.testimony(); }
    /// Our clock was set ahead by so much while the agent was away; 0: nothing shows that it was.
    void on_jury_found(std::chrono::milliseconds ahead, Now now);
    /// The times of its bindings may be in another clock than ours is now: none of them may expire by it.
    [[nodiscard]] bool holds_expiry() const { return !epoch_.stored_clock.may_expire(); }
    /// What is asked of the agent now. A full read that somebody asks for begins at once, whatever keeps its distance
    /// otherwise; once it has ended, the batch that says so ends the order.
    void on_resync_asked(std::uint64_t number, Now now);
    /// Close all connections and commit what is whole; done() tells when that has happened.
    void stop(Now now);
    /// Likewise, in phase 'disabled': an operator wants the server left alone.
    void pause(Now now);
    /// This server's share of limits.queue_bytes is another one now.
    void set_queue_bytes(std::uint64_t bytes) { outbox_.set_bytes_max(bytes); }

    [[nodiscard]] std::optional<SyncAction> poll_action();
    [[nodiscard]] std::optional<SteadyTime> next_deadline() const;
    /// How many octets to read from the connection now; 0: do not read.
    [[nodiscard]] std::size_t wants_bytes(ConnectionKey id) const;
    [[nodiscard]] bool wants_slot() const { return connections_.wants_slot(); }
    [[nodiscard]] bool done() const { return is_stopped() && outbox_.idle() && actions_.empty(); }

    [[nodiscard]] Phase phase() const { return report_.phase(); }
    /// Nothing: none is under way.
    [[nodiscard]] std::optional<FullReadProgress> full_read() const;
    [[nodiscard]] const ServerConfig& config() const { return config_; }
    [[nodiscard]] ServerId id() const { return outbox_.server(); }
    [[nodiscard]] bool is_paused() const { return asked_.work == Work::paused; }
    [[nodiscard]] std::uint64_t connections_so_far() const { return connections_.so_far(); }

private:
    /// What is known in the server's clock. Another clock, or another server, begins a new one.
    struct Epoch {
        Checkpoint checkpoint;
        ClockSkew skew;
        StoredClock stored_clock;
        ClocksBefore before;                                   ///< as it was known when the epoch began
        std::optional<UtcSeconds> fresh_as_of = std::nullopt;  ///< as last told to the database
    };

    enum class Work : std::uint8_t { going_on, stopped, paused };
    /// What somebody outside wants.
    struct Asked {
        Work work = Work::going_on;
        // Full reads, by their numbers.
        std::uint64_t resync = 0;
        std::uint64_t resync_begun = 0;  ///< the last full bulk does for those up to here
        std::uint64_t resync_done = 0;   ///< as the database is told
    };
    [[nodiscard]] bool is_stopped() const { return asked_.work != Work::going_on; }

    void end_work(Work work, Now now);
    /// Every event and every word of a session comes through here: plan() has to look again.
    void happened(Now now);
    void plan_anew() { planned_at_.reset(); }
    void on_connected(SyncConnection& connection, const std::optional<CertificateEnd>& first_end);
    void on_connect_failed(const SyncConnection& connection, const std::string& why);

    // What to do next (server_sync.cpp).
    void plan();
    void plan_active();

    // Bulk jobs and what they prove (server_sync_bulks.cpp).
    void plan_bulk();
    [[nodiscard]] bool has_room_for_bulk() const;
    void announce(const BulkJob& job);
    Batch& open_run(std::uint64_t run);
    void plan_questions();
    void list_doubts();
    void begin_question();
    void finish_question();
    void ask_next(SyncConnection& connection);
    void finish_job();
    void report_bulk(const BulkJob& job, const std::string& error);
    void finish_full(const BulkJob& job);
    void end_resync(const FullConclusion& conclusion);
    void settle_left(const BulkJob& job, const FullConclusion& conclusion);
    void finish_window(const BulkJob& job);
    void finish_poll(const BulkJob& job);
    void learn_windows(const std::optional<bool>& heeds_start, const std::string& told_by);

    // Which clock times are told in (server_sync_clocks.cpp).
    void on_base_time(SyncConnection& connection, const action::Heard& heard, std::chrono::milliseconds ago);
    void on_server_clock_set(ServerTime base, std::string_view where, std::optional<Skew> skew_before);
    [[nodiscard]] bool testifies(SyncConnection& connection, const ClockSkew::Sample& told, ByteView message);
    void wait_for_jury(SyncConnection& connection, ByteView message);
    void drop_undated_that_wait();
    void hear_what_waited();
    void settle_our_clock(const ClockSkew::Sample& told);
    void distrust(SyncConnection& connection, const action::Heard& heard);
    void move_stored_times(std::chrono::milliseconds by);
    void start_afresh(const std::string& cause, const ClockSkew& skew, std::optional<Skew> skew_before);

    // What the sessions say (server_sync_replies.cpp).
    [[nodiscard]] bool pump();
    void handle(SyncConnection& connection, const SessionAction& action);
    void on_heard(SyncConnection& connection, const action::Heard& heard);
    void on_reply(const SyncConnection& connection);
    void on_undated_reply(const SyncConnection& connection);
    void on_deliver(SyncConnection& connection, const Binding& binding);
    void on_client_listed(SyncConnection& connection, const action::ClientListed& listed);
    void on_lease_lost(SyncConnection& connection, const std::string& reason, const std::optional<IpAddress>& address,
                       const std::string& vpn_id);
    void on_quarantine(SyncConnection& connection, const action::Quarantine& quarantine);
    void on_data_missing(SyncConnection& connection, std::optional<ServerTime> base_time);
    void on_query_done(SyncConnection& connection, const action::QueryDone& done);
    void on_close(const SyncConnection& connection, const action::Close& close);
    void on_active_closed(const action::Close& close, bool heard);
    void on_active_refused_silently(const std::string& text);
    void on_polled_instead(const std::string& why);
    void open_unread_gap(const std::string& reason);
    void on_sightings_written(const Batch& done);
    void record_gap(GapChange change);

    void drop(ConnectionKey id, bool tell_shell);
    [[nodiscard]] ServerTime asked_at(const SyncConnection& connection) const;
    [[nodiscard]] Telling told_on(const SyncConnection& connection);
    [[nodiscard]] BulkJob* job_of(const SyncConnection& connection);
    [[nodiscard]] std::optional<bool> complete_lists() const;
    [[nodiscard]] std::uint32_t new_xid();
    [[nodiscard]] SessionNow session_now() const { return {now_.steady, epoch_.skew.server_now(now_.utc)}; }
    void commit_if_due(bool at_once);
    void close_batch();
    void close_batch_as_of_before();
    void follow_backpressure();
    [[nodiscard]] Activity activity() const;
    [[nodiscard]] std::optional<UtcSeconds> freshness() const;
    [[nodiscard]] std::optional<UtcSeconds> next_attempt_at() const;

    const ServerConfig config_;
    Now now_{};
    std::optional<SteadyTime> planned_at_;  // nothing has happened since
    Asked asked_;
    SyncActions actions_;
    Jitter jitter_;
    Outbox outbox_;
    Connections connections_;
    BulkPlanner bulk_;
    Epoch epoch_;
    Support support_;
    DoubtBook doubts_;
    Recorder recorder_;
    StatusReport report_;
    Backpressure backpressure_;
};

}  // namespace leasemirror
