#include "proto/udp/pacing.hpp"

#include <algorithm>

namespace leasemirror {

std::optional<UdpPacing::Ticket> UdpPacing::begin(SteadyTime now) {
    const auto limit = proven(now) ? outstanding_max : 1;
    if (tickets_.size() >= limit) return std::nullopt;
    if (!proven(now) && last_begun_ && now < *last_begun_ + unproven_spacing) return std::nullopt;
    last_begun_ = now;
    tickets_.insert(next_ticket_);
    return next_ticket_++;
}

std::optional<SteadyTime> UdpPacing::next_try(SteadyTime now) const {
    if (proven(now)) return tickets_.size() < outstanding_max ? std::optional(now) : std::nullopt;
    if (!tickets_.empty()) return std::nullopt;
    return last_begun_ ? std::max(now, *last_begun_ + unproven_spacing) : now;
}

void UdpPacing::end(Ticket ticket) {
    tickets_.erase(ticket);
}

void UdpPacing::on_response(SteadyTime now) {
    proven_until_ = now + timer;
}

bool UdpPacing::keeps(Ticket ticket, SteadyTime now) const {
    return proven(now) || (!tickets_.empty() && *tickets_.begin() == ticket);
}

}  // namespace leasemirror
