#include "agent/sync/checkpoint.hpp"

#include <algorithm>
#include <utility>

namespace leasemirror {

Checkpoint Checkpoint::afresh(std::uint64_t first_batch) {
    Checkpoint out;
    out.first_batch_ = first_batch;
    return out;
}

std::chrono::seconds Checkpoint::advance(ServerTime base, std::chrono::seconds disorder) {
    highest_told_ = std::max(base, highest_told_.value_or(base));
    const auto late = *highest_told_ - base;
    reached_ = std::min(base, *highest_told_ - std::max(disorder, late));
    return late;
}

void Checkpoint::begin_at(ServerTime base) {
    reached_ = base;
    guessed_ = false;
}

void Checkpoint::guess(ServerTime server_now) {
    reached_ = server_now - reporting_delay_max;
    guessed_ = true;
}

bool Checkpoint::on_heard(ServerTime base) {
    if (std::exchange(guessed_, false) && reached_ && base < *reached_) return false;
    highest_heard_ = highest_heard_ ? std::max(*highest_heard_, base) : base;
    return true;
}

void Checkpoint::on_committed(std::uint64_t batch, std::optional<ServerTime> base) {
    if (batch >= first_batch_ && base) committed_ = base;
}

}  // namespace leasemirror
