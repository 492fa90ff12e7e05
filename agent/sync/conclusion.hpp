// What follows from a bulk job that is over, as values: nothing here changes anything.
#pragma once

#include "agent/sync/bulk_job.hpp"
#include "storage/batch.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>

namespace leasemirror {

/// What a conclusion depends on besides the job.
struct ConclusionContext {
    Family family = Family::v4;
    bool covers_everything = false;  ///< the configured queries together cover the whole server
    bool all_vpns = false;           ///< the job asked for every VPN (RFC 6926 §7.2)
    bool polling = false;
    bool something_missed = false;              ///< before the job began: a gap is open, or nobody tells of changes
    std::chrono::milliseconds retry{};          ///< timeouts.retry
    std::chrono::milliseconds poll_interval{};  ///< bulk.poll_interval
};

/// After how long a full bulk is repeated that another one may not mend either.
[[nodiscard]] inline std::chrono::milliseconds again_in_vain(std::chrono::milliseconds retry,
                                                             std::chrono::milliseconds poll_interval) {
    return std::max(10 * retry, poll_interval);
}

/// Of a full load.
struct FullConclusion {
    enum class Answer : std::uint8_t {
        none,     ///< no query was answered to its end
        refused,  ///< likewise, and asking again would bring the same answer
        some,     ///< at least one query was
    };
    Answer answer = Answer::some;
    /// What went wrong, for last_error; empty: nothing.
    std::string error;
    /// Every query was answered or refused: asking again would bring the same.
    bool asked_to_the_end = false;
    // All below only with Answer::some.
    Coverage coverage = Coverage::partial;
    std::string lacks;                                     ///< why coverage is partial
    Reconcile reconcile;                                   ///< what the absence of a binding proves, or makes doubtful
    std::string gap_outcome;                               ///< of the gaps that it closes, if asked_to_the_end
    std::optional<std::chrono::milliseconds> again_after;  ///< something is left open: when to try again
    /// Every query was answered in full: of a server that is polled, the mirror is right up to began_at.
    bool reaches_began_at = false;
};
[[nodiscard]] FullConclusion conclude_full(const BulkJob& job, const ConclusionContext& context);

/// Of the window of a gap. It brings back quickly what began. What ended, it does not show: of v6 at all, and of v4 only
/// for addresses that the server still configures, in VPNs that the query reaches (RFC 6926 §8.2). A full bulk closes the gap.
struct WindowConclusion {
    /// Whether the server heeds start times; nothing where the answer fits both.
    std::optional<bool> heeds_start;
    /// Empty: the window was answered. Else why it cannot be, and a full bulk is due at once.
    std::string no_help_because;
};
[[nodiscard]] WindowConclusion conclude_window(const BulkJob& job, const ConclusionContext& context);

/// Of a windowed poll: nothing is concluded from what is absent.
struct PollConclusion {
    std::string error;  ///< for last_error; empty: nothing
    /// Whether the server heeds start times, and if not, from what that is told; nothing where the answer fits both.
    std::optional<bool> heeds_start;
    std::string told_by;
    /// The next poll may begin where this one did; nothing: it goes back as far again.
    std::optional<ServerTime> next_from;
};
/// `oldest` as in BulkJob::heeds_start().
[[nodiscard]] PollConclusion conclude_poll(const BulkJob& job, const ConclusionContext& context,
                                           std::optional<ServerTime> oldest);

}  // namespace leasemirror
