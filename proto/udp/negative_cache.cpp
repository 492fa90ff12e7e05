#include "proto/udp/negative_cache.hpp"

#include <algorithm>
#include <tuple>

namespace leasemirror {
namespace {

bool says_nothing_here(UdpOutcome outcome, StatusCode status) {
    switch (outcome) {
        case UdpOutcome::unassigned:
        case UdpOutcome::unknown:
        case UdpOutcome::no_binding:
            return true;
        case UdpOutcome::refused:  // the server lacks that address or link (RFC 5007 §4.1.3)
            return status == StatusCode::not_configured;
        case UdpOutcome::waiting:
        case UdpOutcome::found:
        case UdpOutcome::several_links:
        case UdpOutcome::unusable:
        case UdpOutcome::silent:
        case UdpOutcome::unsendable:
            return false;
    }
    return false;
}

auto parts_of(const BulkQuery& q) {
    return std::tie(q.kind, q.address, q.id, q.hw_type);
}

}  // namespace

/// By query first, so that forget() finds all servers of one.
bool operator<(const NegativeCache::Key& a, const NegativeCache::Key& b) {
    const auto left = parts_of(a.query), right = parts_of(b.query);
    return left != right ? left < right : a.server < b.server;
}

void NegativeCache::remember(const UdpEndpoint& server, const BulkQuery& query, UdpOutcome outcome, StatusCode status,
                             SteadyTime now) {
    if (!says_nothing_here(outcome, status) || entries_max_ == 0) return;
    erase(entries_.find({query, server}));
    if (entries_.size() >= entries_max_) erase(entries_.find(by_expiry_.begin()->second));
    const bool for_good = outcome == UdpOutcome::unknown && query.kind == QueryKind::remote_id;
    const auto expires_at = for_good ? std::nullopt : std::optional(now + lifetime);
    const auto key = Key{query, server};
    entries_.emplace(key, Entry{outcome, status, expires_at});
    by_expiry_.emplace(expires_at.value_or(SteadyTime::max()), key);
}

std::optional<NegativeCache::Entry> NegativeCache::find(const UdpEndpoint& server, const BulkQuery& query,
                                                        SteadyTime now) const {
    const auto found = entries_.find({query, server});
    if (found == entries_.end()) return std::nullopt;
    const auto& expires_at = found->second.expires_at;
    if (expires_at && now >= *expires_at) return std::nullopt;
    return found->second;
}

void NegativeCache::forget(const BulkQuery& query) {
    auto at = entries_.lower_bound({query, UdpEndpoint{}});
    while (at != entries_.end() && at->first.query == query)
        erase(at++);
}

void NegativeCache::erase(Entries::iterator entry) {
    if (entry == entries_.end()) return;
    const auto range = by_expiry_.equal_range(entry->second.expires_at.value_or(SteadyTime::max()));
    const auto same = [&](const auto& by_time) {
        return !(by_time.second < entry->first || entry->first < by_time.second);
    };
    by_expiry_.erase(std::find_if(range.first, range.second, same));
    entries_.erase(entry);
}

}  // namespace leasemirror
