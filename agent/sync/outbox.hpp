// What waits to be committed for one server: the batch being filled, those that are closed, and those on their way to
// the database. Bounded by octets: a server may keep all that it still has to send in its memory (Kea does), so it is read
// on while the database is slow; but when this is full its sockets are not read, and TCP makes the server wait
// (agent/README.md, "Backpressure").
#pragma once

#include "agent/config/config.hpp"
#include "storage/batch.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

namespace leasemirror {

class Outbox {
public:
    /// Enough to keep the writer busy while the next batch fills; more would only make other servers wait for theirs.
    static constexpr std::size_t batches_in_flight_max = 3;
    /// What comes together goes together: so long even a lone change waits.
    static constexpr std::chrono::milliseconds coalescing{2};
    /// Recoveries opened and closed in one batch, before no more messages are read out.
    static constexpr std::size_t gap_changes_max = 64;
    /// Quarantined messages kept per batch; further ones are only counted. They may be 64 KiB each.
    static constexpr std::size_t quarantine_entries_max = 16;

    /// `bytes_max` is this server's share of limits.queue_bytes.
    Outbox(ServerId server, BatchConfig limits, std::uint64_t bytes_max);
    /// From now on.
    void set_bytes_max(std::uint64_t bytes_max);

    /// The batch being filled, to be changed: from now on there is something to commit.
    [[nodiscard]] Batch& edit(SteadyTime now);
    [[nodiscard]] const Batch& pending() const { return pending_; }
    [[nodiscard]] Change& add_change(SteadyTime now);
    /// Counts what the caller put into the change it got last.
    void account(const Change& change) { pending_bytes_ += change.binding.memory_bytes() - sizeof(Binding); }
    void add_quarantine(QuarantineEntry entry, SteadyTime now);
    /// Takes back the changes that are not on their way yet, and the reconciliation of what they belong to.
    void drop_changes();

    /// Nothing goes to the writer any more: its times may have to be corrected first.
    void hold_back() { held_ = true; }
    [[nodiscard]] bool is_held() const { return held_; }
    /// What is held was converted by a skew that holds no longer: our clock had been set ahead by so much. The first batch of it;
    /// none: nothing is held.
    Batch* correct_held(std::chrono::milliseconds ahead);
    void release() { held_ = false; }
    /// Throws all of it away that is not on its way yet.
    void discard();

    /// No more messages may be read out before a commit.
    [[nodiscard]] bool full() const {
        return at_limit() && !writer_has_room() && held_bytes() + batch_bytes_max_ > bytes_max_;
    }
    /// Batches wait for the writer.
    [[nodiscard]] bool behind() const { return !closed_.empty() || (at_limit() && !writer_has_room()); }
    /// About what all of it takes in memory.
    [[nodiscard]] std::uint64_t held_bytes() const { return closed_bytes_ + pending_bytes(); }
    /// Whether the pending batch should be closed now. It grows while the writer is at work on another one, so that batches
    /// are large when there is much to do; a lone change hardly waits.
    [[nodiscard]] bool due(SteadyTime now) const;
    [[nodiscard]] std::optional<SteadyTime> deadline() const;
    /// Whether anything is pending at all.
    [[nodiscard]] bool dirty() const { return opened_.has_value(); }
    [[nodiscard]] bool idle() const { return !dirty() && closed_.empty() && in_flight_.empty(); }

    /// Closes the pending batch and begins another one. Its `now`, `skew` and `status` are the caller's to set before, by
    /// edit().
    void close(SteadyTime now);
    /// The oldest closed batch, to be given to the writer; nothing if there is none, or the writer has enough.
    [[nodiscard]] std::optional<Batch> next();
    /// A batch came back committed: its room is free, and its memory used again.
    void on_committed(Batch done);
    [[nodiscard]] ServerId server() const { return server_; }
    [[nodiscard]] std::uint64_t next_number() const { return next_number_; }
    /// Entries that add_quarantine() did not keep.
    [[nodiscard]] std::uint64_t quarantine_dropped() const { return quarantine_dropped_; }

private:
    struct Closed {
        Batch batch;
        std::uint64_t bytes = 0;
    };
    struct InFlight {
        std::uint64_t number = 0;
        std::uint64_t bytes = 0;
    };
    [[nodiscard]] bool writer_is_idle() const { return !held_ && in_flight_.empty() && closed_.empty(); }
    /// One batch each limits_.delay, unless they are full.
    [[nodiscard]] SteadyTime due_at() const {
        const auto soonest = *opened_ + std::min<SteadyTime::duration>(coalescing, limits_.delay);
        return last_closed_ ? std::max(soonest, *last_closed_ + limits_.delay) : soonest;
    }
    [[nodiscard]] bool writer_has_room() const { return !held_ && in_flight_.size() < batches_in_flight_max; }
    /// Whatever was not accounted for counts as what it takes at least.
    [[nodiscard]] std::uint64_t pending_bytes() const {
        return pending_bytes_ + sizeof(Change) * (pending_.changes.size() + pending_.gaps.size());
    }
    [[nodiscard]] bool at_limit() const {
        return pending_.changes.size() >= limits_.rows || pending_bytes() >= batch_bytes_max_ ||
               pending_.gaps.size() >= gap_changes_max;
    }
    void reset(Batch& batch) const;

    ServerId server_;
    BatchConfig limits_;
    std::uint64_t bytes_max_ = 0;
    std::uint64_t batch_bytes_max_ = 0;
    Batch pending_;
    std::uint64_t pending_bytes_ = 0;  // beyond the changes themselves
    std::optional<SteadyTime> opened_, last_closed_;
    bool held_ = false;
    std::deque<Closed> closed_;       // they wait for the writer, oldest first
    std::deque<InFlight> in_flight_;  // the writer has them, oldest first
    std::uint64_t closed_bytes_ = 0;  // of both
    std::vector<Batch> spare_;        // empty batches whose memory waits to be used again
    std::uint64_t next_number_ = 1;
    std::uint64_t quarantine_dropped_ = 0;
};

}  // namespace leasemirror
