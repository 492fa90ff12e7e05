// The database as the commands look at it (`status`, `who`, `watch`): connections of their own, which need no running
// agent and never hold one up.
#pragma once

#include "storage/record.hpp"
#include "storage/resume_point.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace leasemirror {

/// One line of `status`: a row of `server` and what is derived from it, times in UTC.
struct ServerOverview {
    ServerId server_id = 0;
    std::string name;
    Family family = Family::v4;
    std::string endpoint;
    Bytes server_identity;
    std::string phase;
    std::optional<ServerTime> base_time;
    std::optional<UtcSeconds> fresh_as_of;
    std::string coverage;
    std::optional<std::int64_t> clock_skew_ms;
    std::int64_t bindings = 0;
    std::optional<UtcSeconds> connected_since, last_message_at, last_full_sync_at;
    std::int64_t gaps_open = 0;
    std::string last_error;
    std::optional<UtcSeconds> last_error_at;
    std::string owner;
    std::int64_t owner_epoch = 0;
    std::optional<UtcSeconds> certificate_expires_at;
    std::optional<std::int64_t> certificate_days;
    ServerSupport support;
    std::int64_t doubts = 0, unreadable = 0, refused = 0;
    std::optional<UtcSeconds> known_since;
    /// Of `owner`: whether it has given a sign of life in the last 15 s, when it gave the last one, and when it was
    /// stopped in good order.
    bool agent_alive = false;
    std::optional<UtcSeconds> agent_heartbeat_at, agent_stopped_at;
    /// What is asked of the agent and has not been done, and by whom.
    std::optional<UtcSeconds> paused_at, resync_asked_at;
    std::string paused_by, resync_asked_by;
    /// The last comparison that went to its end, and what it found.
    std::optional<UtcSeconds> last_verify_at;
    std::optional<std::int64_t> verify_differences;
    std::optional<UtcSeconds> next_attempt_at;
    std::vector<Gap> open_gaps;
    /// How many bindings in which state, by the words of `binding.state`; only states that occur.
    std::map<std::string, std::int64_t> states;
};

/// Not thread-safe. Every function throws StoreError, after which it may be called again: where the connection was
/// lost, that opens a new one.
class Reader {
public:
    Reader() = default;
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    virtual ~Reader() = default;

    /// A line of `status` for each server, in the order of their names.
    virtual std::vector<ServerOverview> servers() = 0;

    /// Rows of the view `lease` of what is sought, in all VPNs, the most specific first: its columns, and `began_at` and
    /// `inferred` of the open assignment.
    virtual std::vector<Record> leases_of(const Sought& sought) = 0;

    /// The same of a client or a line, in the order of their addresses.
    virtual std::vector<Record> leases_of(const HolderSought& sought) = 0;

    /// Rows of `assignment` that held what is sought within that time (began_at < to, ended_at > from), the most specific
    /// first, then by when they began: its columns, with `server` by name.
    virtual std::vector<Record> holders_of(const Sought& sought, const TimeSpan& within) = 0;
    /// The same of a client or a line, by when they began.
    virtual std::vector<Record> holders_of(const HolderSought& sought, const TimeSpan& within) = 0;
    /// At a moment.
    std::vector<Record> holders_of(const Sought& sought, UtcSeconds at) {
        return holders_of(sought, {at, at + std::chrono::seconds{1}});
    }

    /// Where the change feed begins and ends: the lowest and highest `seq` there is, and the highest there ever was. All
    /// 0 while it has never had a row; `first` is last + 1 if retention has emptied it.
    struct FeedEnds {
        std::int64_t first = 0;
        std::int64_t last = 0;
        /// The highest that was ever removed. What is missing below `first` and above this was never there: numbers may
        /// be left out.
        std::int64_t removed_to = 0;
    };
    virtual FeedEnds feed_ends() = 0;
    /// The next rows of `binding_change` after `seq`, at most `rows`, in order: its columns, with `server` by name.
    /// `server`: of this one alone. `cursor` is where to go on, also when no row of that server was among them. `ends` is
    /// of the same moment: rows between `seq` and `ends.first` have been removed if
    /// `ends.removed_to` is past `seq`, and a `seq` past `ends.last` is one
    /// that this database has not given out, or has lost.
    struct FeedPart {
        std::vector<Record> rows;
        std::int64_t cursor = 0;
        FeedEnds ends;
    };
    virtual FeedPart changes_after(std::int64_t seq, const std::optional<std::string>& server, std::size_t rows) = 0;
    /// Returns when the feed may have grown since the last changes_after(), or after `patience`, or when a signal came.
    virtual void wait_for_changes(std::chrono::milliseconds patience) = 0;
};

}  // namespace leasemirror
