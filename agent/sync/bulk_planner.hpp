// Which bulk job a server needs next, when, and what becomes of its schedule when one is over. What is needed, in the order
// in which it is seen to:
//
//   1. A full bulk that somebody asked for (need_full), or that is due again since the last one left something open.
//   2. A server that is polled: a full bulk each poll_interval, and between them, each window_interval, what has changed
//      since the last poll, if the server heeds a start time.
//   3. Open gaps: a windowed bulk each, which brings back what began; then one paced full bulk for all of them, which shows
//      what ended, too.
//
// One job at a time, over as many connections as there are (connections.hpp).
#pragma once

#include "agent/config/config.hpp"
#include "agent/config/full_read.hpp"
#include "agent/sync/bulk_job.hpp"
#include "agent/sync/conclusion.hpp"
#include "agent/sync/gap_book.hpp"
#include "agent/sync/pacing.hpp"
#include "agent/sync/support.hpp"
#include "agent/sync/timers.hpp"
#include "storage/batch.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

class BulkPlanner {
public:
    /// `config` outlives this object.
    BulkPlanner(const ServerConfig& config, const ResumePoint& resume);

    /// False: no bulk query is configured, and v6 has none for everything (RFC 5460 §5.4).
    [[nodiscard]] bool can_ask() const { return !queries_.empty(); }
    /// The configured queries together ask for all that the server has.
    [[nodiscard]] bool covers_everything() const { return full_read_covers_everything(config_); }
    /// The server refused every bulk query the last time: what an active query tells is all there is.
    [[nodiscard]] bool is_refused() const { return refused_; }
    /// The last full bulk answered every configured query to its end: what is told since brings the mirror up to then.
    [[nodiscard]] bool was_read_whole() const { return read_whole_; }
    [[nodiscard]] bool asks_all_vpns(const BulkQuery& query) const;
    [[nodiscard]] const GapBook& gaps() const { return gaps_; }
    /// The active query waits until the gaps that a restart left open are filled.
    [[nodiscard]] bool holds_active_query() const { return gaps_first_; }
    void release_active_query() { gaps_first_ = false; }

    /// A full bulk is due as soon as it may be asked for.
    void need_full(std::string cause) { full_cause_ = std::move(cause); }
    /// Likewise, and nothing that failed before keeps it waiting.
    void need_full_at_once(std::string cause) {
        pacing_.forget();
        need_full(std::move(cause));
    }
    void need_full_again(SteadyTime at) { timers_.set(Timer::full_again, at); }
    /// A reply of another job than a full one could not be read: the next full bulk may bring what it said.
    void need_full_for_unread(SteadyTime now);
    /// Whether the database has refused something for which no row is in doubt (Applied::lacking): full bulks bring it again.
    void on_lacking(bool lacking, SteadyTime now);
    [[nodiscard]] GapChange open_gap(ServerTime from, ServerTime to, const std::string& cause);
    /// A message could not be read: the next full bulk repairs it, at a pace that slows down while they cannot be read either.
    [[nodiscard]] GapChange open_unread_gap(ServerTime from, ServerTime to, const std::string& cause);
    /// Nothing can be asked that would bring back what a gap is missing.
    [[nodiscard]] GapChange give_up_gap(std::uint64_t number) { return gaps_.close(number, "unrecoverable", 0); }
    [[nodiscard]] std::vector<GapChange> give_up_gaps() { return gaps_.close_all("unrecoverable"); }

    [[nodiscard]] BulkJob* job() { return job_ ? &*job_ : nullptr; }
    [[nodiscard]] const BulkJob* job() const { return job_ ? &*job_ : nullptr; }
    /// Begins the next job if one is due and none is under way.
    /// `doubts`: more bindings are in doubt than the server can be asked about one by one.
    [[nodiscard]] bool begin_next(SteadyTime now, const Support& support, bool doubts = false);
    /// A query is asked that was cut off before: its listing counts from here on alone.
    std::uint64_t begin_run() { return ++last_run_; }
    /// The run of whatever is told from now on by other connections than the job's.
    [[nodiscard]] std::uint64_t last_run() const { return last_run_; }

    // What became of a query of the job. Pacing: further attempts keep their distance.
    [[nodiscard]] bool may_connect(SteadyTime now) const { return pacing_.is_due(now); }
    [[nodiscard]] SteadyTime may_connect_at() const { return pacing_.due(); }
    void on_answered() { pacing_.on_success(); }
    /// We closed all connections ourselves: what was asked is to be asked again, at once.
    void on_connections_lost();
    void on_failure(SteadyTime now, Jitter& jitter) { pacing_.on_failure(now, jitter); }
    /// An error status for a query: true, it is to be asked once more, for the default VPN alone.
    [[nodiscard]] bool retries_without_vpns(const BulkQuery& query);

    // The end of a job, by its kind. It is taken off before.
    [[nodiscard]] BulkJob take_job();
    void drop_job() { job_.reset(); }
    [[nodiscard]] ConclusionContext context(const BulkJob& job, bool polling) const;
    /// The gaps that it closes.
    [[nodiscard]] std::vector<GapChange> on_full_ended(const BulkJob& job, const FullConclusion& conclusion,
                                                       SteadyTime now, Jitter& jitter);
    /// After a full job with an answer: windowed polls ask for what changes from then on. False: its replies carry no
    /// base-time, so that a start time would have no clock.
    [[nodiscard]] bool on_full_listed(const BulkJob& full);
    void plan_windowed_poll(const Support& support, SteadyTime now, Jitter& jitter);
    void on_window_ended(const BulkJob& job, const WindowConclusion& conclusion, SteadyTime now);
    [[nodiscard]] std::optional<ServerTime> oldest_change() const { return windowed_.oldest_change; }
    void on_poll_ended(const BulkJob& job, const PollConclusion& conclusion, const Support& support, SteadyTime now,
                       Jitter& jitter);

    /// What was told in the old clock, or by another server, is worth nothing: all gaps are left to a full bulk.
    void start_afresh(const std::string& cause, SteadyTime now, Jitter& jitter);
    /// Another server need not refuse what the last one refused.
    void on_other_server();

    [[nodiscard]] bool is_poll_planned() const { return timers_.is_set(Timer::poll); }
    /// When to ask begin_next() again; of what was due by `planned_at` that is an event, not a time.
    [[nodiscard]] std::optional<SteadyTime> next_deadline(SteadyTime planned_at, bool polling,
                                                          bool doubts = false) const;

private:
    /// Polls between the full ones: all of it belongs to one clock and one server.
    struct WindowedPolls {
        std::optional<SteadyTime> due;
        std::optional<ServerTime> from;           ///< what has changed since
        std::vector<BulkQuery> queries;           ///< that the last full poll answered
        std::optional<ServerTime> oldest_change;  ///< of what the last full bulk listed
    };
    [[nodiscard]] std::chrono::milliseconds again_after() const;
    [[nodiscard]] std::chrono::milliseconds slowed(std::chrono::milliseconds interval, int failures) const;
    [[nodiscard]] std::optional<std::string> full_due_for(SteadyTime now, bool polling, bool doubts) const;

    const ServerConfig& config_;
    std::vector<BulkQuery> queries_;
    GapBook gaps_;
    std::optional<BulkJob> job_;
    std::uint64_t last_run_;
    std::optional<std::string> full_cause_;
    bool gaps_first_;
    bool refused_ = false;
    bool read_whole_;           // after a restart only full coverage proves it
    bool ask_all_vpns_ = true;  // until the server refuses option 221
    Pacing pacing_;
    Pacing repair_pacing_;   // full bulks that repair gaps; a failure is one with a reply that could not be read
    int lacking_fulls_ = 0;  // full bulks in a row after which the database still lacked something
    Timers timers_;          // full_again, doubts, lacking, poll
    WindowedPolls windowed_;
};

}  // namespace leasemirror
