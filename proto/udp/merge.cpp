#include "proto/udp/merge.hpp"

#include <algorithm>
#include <compare>
#include <map>

namespace leasemirror {
namespace {

/// A time of the record in our own clock, so that the records of servers whose clocks differ can be compared.
std::optional<ServerTime> ours(const std::optional<ServerTime>& time, const UdpBinding& of) {
    return time ? std::optional(*time - of.server_ahead) : std::nullopt;
}

/// Greater: `a` is later told. Nothing to compare is neither.
std::strong_ordering compare_times(const UdpBinding& a, const UdpBinding& b) {
    const auto seen_a = ours(a.binding.client_last_seen, a), seen_b = ours(b.binding.client_last_seen, b);
    // Where only one has a client-last-transaction-time it is held against the other's start of state.
    const auto time_a = seen_a ? seen_a : ours(a.binding.state_since, a);
    const auto time_b = seen_b ? seen_b : ours(b.binding.state_since, b);
    if (!time_a || !time_b) return std::strong_ordering::equal;
    return time_a->time_since_epoch().count() <=> time_b->time_since_epoch().count();
}

/// Of a binding that its own server does not hold, though another may: a failover partner, say.
bool says_nothing_of_others(const Binding& b) {
    return b.state == BindingState::available || b.state == BindingState::remote;
}

}  // namespace

bool supersedes(const UdpBinding& a, const UdpBinding& b) {
    const bool holds_a = a.binding.in_force(), holds_b = b.binding.in_force();
    if (holds_a != holds_b && says_nothing_of_others(holds_a ? b.binding : a.binding)) return holds_a;
    if (const auto order = compare_times(a, b); order != std::strong_ordering::equal)
        return order == std::strong_ordering::greater;
    if (a.binding.data_source != b.binding.data_source) return a.binding.data_source == DataSource::local;
    return holds_a && !holds_b;
}

std::vector<MergedBinding> merge(const std::vector<UdpAnswer>& answers) {
    std::map<BindingKey, MergedBinding> merged;
    for (std::size_t i = 0; i < answers.size(); ++i) {
        for (const auto& told : answers[i].bindings) {
            const auto [at, is_new] = merged.try_emplace(told.binding.key, MergedBinding{told, i, {}});
            if (is_new) continue;
            auto& entry = at->second;
            if (supersedes(told, entry.best)) {
                entry.also_in.push_back(entry.answer);
                entry.best = told;
                entry.answer = i;
            } else {
                entry.also_in.push_back(i);
            }
        }
    }
    std::vector<MergedBinding> out;
    for (auto& [key, entry] : merged) {
        std::sort(entry.also_in.begin(), entry.also_in.end());
        out.push_back(std::move(entry));
    }
    return out;
}

}  // namespace leasemirror
