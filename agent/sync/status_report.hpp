// What one server's row of `status` and its log lines say. Every change of the status goes through here and is noticed, so
// that the next batch carries it.
//
// The phase is the one exception to "set where the event is": it says in one word what connections, jobs and gaps are
// there, and phase_of() is the only place that knows how.
#pragma once

#include "agent/sync/actions.hpp"
#include "agent/sync/certificate_watch.hpp"
#include "agent/sync/log_limit.hpp"
#include "agent/sync/repeated_error.hpp"
#include "proto/session/active.hpp"
#include "storage/batch.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace leasemirror {

/// What goes on with a server at a moment.
struct Activity {
    enum class Bulk : std::uint8_t { none, windowed_poll, other };  ///< over an open connection

    bool stopping = false;
    bool paused = false;                     ///< and an operator has asked for that
    ActiveState active = ActiveState::idle;  ///< idle: also where there is no active query
    Bulk bulk = Bulk::none;
    bool connecting = false;      ///< a connection is there, open or opening
    bool clock_unsure = false;    ///< the stored times may be in another clock than ours
    bool recovering = false;      ///< a gap is open, or a bulk job is not over
    bool resumable = false;       ///< something to resume from has been reached
    bool polling = false;         ///< the server is polled instead of followed
    bool poll_planned = false;    ///< and the first full poll is behind us
    bool waits_for_slot = false;  ///< limits.bulk_connections leaves no room
    bool failing = false;         ///< something went wrong, and nothing has been heard since
};
[[nodiscard]] Phase phase_of(const Activity& activity);

class StatusReport {
public:
    using Fields = std::vector<std::pair<std::string, std::string>>;

    /// Log lines go to `actions`, which outlives this object.
    StatusReport(std::string server, const ResumePoint& resume, SyncActions& actions);

    void log(LogLevel level, std::string name, Fields fields = {});
    /// Where the text of an error is from.
    enum class Source : std::uint8_t {
        seen,  ///< we
        told,  ///< the server's own words
        guess  ///< it said nothing, and we can only guess why: its own words, said before, are the likelier cause
    };
    /// What went wrong, and so what ends it: each kind of query is counted for itself.
    enum class Scope : std::uint8_t { connection, active, bulk };
    /// Something went wrong: it becomes last_error, and a line of the log, or counts as one more of the same
    /// (repeated_error.hpp). A guess does not take the place of what the server told.
    void error(const std::string& text, Now now, Scope scope, Source source = Source::seen);
    /// A query was answered: there is a connection, and what the server told before is not why it would say nothing.
    void on_answered(Now now);
    /// What went wrong with queries of this kind is over: the active query was answered, a bulk job ended without trouble.
    void on_over(Scope scope, Now now);
    /// A message has arrived: whatever went wrong before is over.
    void on_heard(Now now);
    void on_recovered() { failing_ = false; }
    [[nodiscard]] bool is_failing() const { return failing_; }

    /// `first_end`: over TLS, of the two certificates.
    void on_connected(bool active, const std::optional<CertificateEnd>& first_end, Now now);
    /// A connection is gone; `last`: there is none left.
    void on_dropped(bool last);
    /// Returns the one before.
    Bytes set_identity(const Bytes& identity);
    void set_coverage(Coverage coverage);
    /// A full read is over, which listed so many bindings. `unreadable`: so many of its messages cost a binding. If any did, the
    /// mirror lacks something.
    void on_read_in_full(Now now, std::uint64_t unreadable, std::uint64_t listed);
    /// How many the last one listed; after a restart how many are in force.
    [[nodiscard]] std::optional<std::uint64_t> last_listed() const { return last_listed_; }
    /// Every configured query was answered to its end: from now on history is observed, if it was not before.
    void on_history_begins(Now now);
    /// A message cost a binding.
    void on_lease_lost();
    /// Nobody can tell which one it was, so no doubt stands for it: until the next full read the mirror lacks something.
    void on_lacking() { lacking_ = true; }
    [[nodiscard]] bool is_lacking() const { return lacking_; }
    [[nodiscard]] bool has_history() const { return status_.known_since.has_value(); }
    void enter(Phase phase);
    [[nodiscard]] Phase phase() const { return status_.phase; }
    [[nodiscard]] Coverage coverage() const { return status_.coverage; }
    [[nodiscard]] bool was_read_in_full() const { return status_.last_full_sync_at.has_value(); }

    // Lines that a peer could make many of.
    void on_quarantined(const std::string& reason, SteadyTime now);
    /// So many quarantined messages in all were counted without being kept.
    void on_quarantine_dropped(std::uint64_t so_far);
    void on_gap(const Gap& gap, const std::string& cause, SteadyTime now);
    /// At once when a certificate is about to end, then each day.
    void warn_of_certificate(Now now);
    [[nodiscard]] std::optional<SteadyTime> next_deadline() const { return certificate_.next_deadline(); }

    /// Another part's share of the status has changed.
    void touch() { changed_ = true; }
    /// Whether anything has changed since the last call.
    [[nodiscard]] bool take_changed() { return std::exchange(changed_, false); }
    /// What the batch that is closed now brings to the row.
    [[nodiscard]] ServerStatus snapshot(std::optional<Skew> skew, const ServerSupport& support,
                                        std::optional<UtcSeconds> next_attempt_at = std::nullopt) const;

private:
    std::string server_;
    SyncActions& actions_;
    ServerStatus status_;
    bool failing_ = false;
    bool cause_told_ = false;              // last_error has the server's own words, and nothing was answered since
    std::array<RepeatedError, 3> errors_;  // by Scope
    bool lacking_ = false;                 // something, and no row of the mirror is in doubt for it
    bool changed_ = false;
    std::optional<std::uint64_t> last_listed_;
    CertificateWatch certificate_;
    LogLimit quarantine_log_;
    LogLimit gap_log_;
    std::uint64_t quarantine_dropped_ = 0;  // as the log has it
};

}  // namespace leasemirror
