#include "agent/sync/outbox.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace leasemirror {

Outbox::Outbox(ServerId server, BatchConfig limits, std::uint64_t bytes_max) : server_(server), limits_(limits) {
    set_bytes_max(bytes_max);
    reset(pending_);
}

void Outbox::set_bytes_max(std::uint64_t bytes_max) {
    bytes_max_ = bytes_max;
    batch_bytes_max_ = std::max<std::uint64_t>(bytes_max / (batches_in_flight_max + 1), 64 * 1024);
}

Batch& Outbox::edit(SteadyTime now) {
    if (!opened_) opened_ = now;
    return pending_;
}

Change& Outbox::add_change(SteadyTime now) {
    return edit(now).changes.append();
}

void Outbox::add_quarantine(QuarantineEntry entry, SteadyTime now) {
    auto& batch = edit(now);
    if (batch.quarantine.size() >= quarantine_entries_max) {
        ++quarantine_dropped_;
        return;
    }
    pending_bytes_ += entry.message.size();
    batch.quarantine.push_back(std::move(entry));
}

void Outbox::drop_changes() {
    pending_.changes.clear();
    pending_.reconcile.reset();
    pending_bytes_ = 0;
}

Batch* Outbox::correct_held(std::chrono::milliseconds ahead) {
    if (!held_ || closed_.empty()) return nullptr;
    for (auto& [batch, bytes] : closed_) {
        batch.skew -= ahead;
        if (batch.status && batch.status->skew) *batch.status->skew -= ahead;
        if (batch.fresh_as_of) *batch.fresh_as_of += std::chrono::round<std::chrono::seconds>(ahead);
        for (auto& change : batch.changes)
            if (change.skew) *change.skew -= ahead;
    }
    return &closed_.front().batch;
}

void Outbox::discard() {
    for (const auto& waiting : closed_)
        closed_bytes_ -= waiting.bytes;
    closed_.clear();
    reset(pending_);
    pending_bytes_ = 0;
    opened_.reset();
}

bool Outbox::due(SteadyTime now) const {
    if (!opened_) return false;
    if (at_limit()) return !full();
    const auto at = deadline();
    return at && now >= *at;
}

std::optional<SteadyTime> Outbox::deadline() const {
    if (!opened_ || !writer_is_idle()) return std::nullopt;
    return due_at();
}

void Outbox::close(SteadyTime now) {
    assert(dirty());
    last_closed_ = now;
    const auto bytes = pending_bytes();
    Batch next;
    if (!spare_.empty()) {
        next = std::move(spare_.back());
        spare_.pop_back();
    }
    reset(next);
    std::swap(next, pending_);
    next.number = next_number_++;
    closed_.push_back({std::move(next), bytes});
    closed_bytes_ += bytes;
    pending_bytes_ = 0;
    opened_.reset();
}

std::optional<Batch> Outbox::next() {
    if (closed_.empty() || !writer_has_room()) return std::nullopt;
    auto oldest = std::move(closed_.front());
    closed_.pop_front();
    in_flight_.push_back({oldest.batch.number, oldest.bytes});
    return std::move(oldest.batch);
}

void Outbox::on_committed(Batch done) {
    assert(!in_flight_.empty() && in_flight_.front().number == done.number);
    closed_bytes_ -= in_flight_.front().bytes;
    in_flight_.pop_front();
    if (spare_.size() < batches_in_flight_max) spare_.push_back(std::move(done));
}

void Outbox::reset(Batch& batch) const {
    batch.server = server_;
    batch.number = 0;
    batch.our_clock_moved.reset();
    batch.list_doubts = false;
    batch.doubts_after = 0;
    batch.begin_run.reset();
    batch.begin_full.reset();
    batch.resync_done.reset();
    batch.fresh_start = false;
    batch.changes.clear();
    batch.reconcile.reset();
    batch.gaps.clear();
    batch.base_time.reset();
    batch.fresh_as_of.reset();
    batch.status.reset();
    batch.quarantine.clear();
}

}  // namespace leasemirror
