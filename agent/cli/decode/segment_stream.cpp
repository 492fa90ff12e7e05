#include "agent/cli/decode/segment_stream.hpp"

#include <algorithm>

namespace leasemirror {

void SegmentStream::take(std::uint32_t seq, bool syn, ByteView payload, std::size_t cut_off) {
    if (missing_ > 0) return;
    if (syn) ++seq;  // it counts as an octet (RFC 9293 §3.4)
    if (!first_) first_ = seq;
    if (payload.empty()) return;
    // Sequence numbers go around; a segment is never further away than half of them.
    const auto from_next = static_cast<std::int32_t>(seq - (*first_ + static_cast<std::uint32_t>(next_)));
    const auto at = static_cast<std::int64_t>(next_) + from_next;
    const auto end = at + static_cast<std::int64_t>(payload.size());
    if (end <= static_cast<std::int64_t>(next_)) return;  // sent again
    if (at > static_cast<std::int64_t>(next_)) {
        auto& waiting = waiting_[static_cast<std::uint64_t>(at)];
        if (waiting.size() < payload.size()) {
            waiting_bytes_ += payload.size() - waiting.size();
            waiting.assign(payload.begin(), payload.end());
        }
        if (waiting_bytes_ > waiting_bytes_max) finish();
        return;
    }
    const auto fresh = payload.subspan(static_cast<std::size_t>(static_cast<std::int64_t>(next_) - at));
    next_ += fresh.size();
    deliver_(fresh);
    if (cut_off > 0) {
        missing_ = cut_off;
        return;
    }
    deliver_waiting();
}

void SegmentStream::deliver_waiting() {
    while (!waiting_.empty() && waiting_.begin()->first <= next_) {
        const auto node = waiting_.extract(waiting_.begin());
        waiting_bytes_ -= node.mapped().size();
        const auto known = static_cast<std::size_t>(next_ - node.key());
        if (known >= node.mapped().size()) continue;
        const auto fresh = ByteView(node.mapped()).subspan(known);
        next_ += fresh.size();
        deliver_(fresh);
    }
}

void SegmentStream::finish() {
    if (waiting_.empty() || missing_ > 0) return;
    missing_ = static_cast<std::size_t>(waiting_.begin()->first - next_);
    waiting_.clear();
    waiting_bytes_ = 0;
}

}  // namespace leasemirror
