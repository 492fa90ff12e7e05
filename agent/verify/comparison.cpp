#include "agent/verify/comparison.hpp"

#include <algorithm>
#include <utility>

namespace leasemirror {
namespace {

bool in_force(const BindingRow* row) {
    return row != nullptr && row->in_force();
}

/// Its time is up, or will be before anybody has looked: one side may have noticed, and the other not yet.
bool is_expiring(const BindingRow& row, UtcSeconds now) {
    return row.expires_at && *row.expires_at <= now + same_time;
}

/// The row may have been told after that: what the server said then proves nothing of it. A message of a live stream may
/// carry a base-time that is too low by as much as its messages are out of order. Otherwise only a later second tells.
bool is_told_after(const BindingRow& row, std::int64_t base_time) {
    const auto late = row.age.via == Via::active ? Comparison::order_slack : std::chrono::seconds{0};
    return row.age.base_time + late.count() > base_time;
}
bool is_newer(const BindingRow& row, const BindingRow& told) {
    return is_told_after(row, told.age.base_time);
}

/// As far as it goes here: what is not in force is not compared (storage keeps it for a while, and servers list some).
bool are_alike(const BindingRow* told, const BindingRow* mirror, UtcSeconds now) {
    if (!in_force(told) && !in_force(mirror)) return true;
    if (!in_force(mirror)) return is_expiring(*told, now);
    if (!in_force(told)) return is_expiring(*mirror, now);
    return column_differences(mirror, told, now).empty();
}

/// Somebody has written it in between: an agent that was told of it again, or a change by hand.
bool is_touched(const BindingRow* before, const BindingRow* now) {
    if (before == nullptr || now == nullptr) return before != now;
    return before->binding_id != now->binding_id || before->age.base_time != now->age.base_time ||
           before->age.epoch != now->age.epoch || before->age.via != now->age.via ||
           before->updated_at != now->updated_at || before->state != now->state ||
           before->end_reason != now->end_reason || before->doubt != now->doubt;
}

/// The latest that the server says of when something happened to it; nothing if it says none.
std::optional<UtcSeconds> last_change(const BindingRow& told) {
    if (!told.client_last_seen) return told.state_since;
    return std::max(*told.client_last_seen, told.state_since.value_or(UtcSeconds::min()));
}

const BindingRow* pointer(const std::optional<BindingRow>& row) {
    return row ? &*row : nullptr;
}

Difference::Kind kind_of(const BindingRow* told, const BindingRow* mirror) {
    if (!in_force(mirror)) return Difference::Kind::missing;
    return in_force(told) ? Difference::Kind::changed : Difference::Kind::extra;
}

std::map<BindingKey, const BindingRow*> by_key(const std::vector<BindingRow>& rows) {
    std::map<BindingKey, const BindingRow*> out;
    for (const auto& row : rows)
        out.emplace(row.key, &row);
    return out;
}

const BindingRow* find(const std::map<BindingKey, const BindingRow*>& rows, const BindingKey& key) {
    const auto found = rows.find(key);
    return found == rows.end() ? nullptr : found->second;
}

}  // namespace

std::uint64_t Compared::count(Difference::Kind kind) const {
    return static_cast<std::uint64_t>(
        std::count_if(differences.begin(), differences.end(), [&](const Difference& d) { return d.kind == kind; }));
}

std::string_view to_string(Difference::Kind kind) {
    switch (kind) {
        case Difference::Kind::missing:
            return "missing";
        case Difference::Kind::extra:
            return "extra";
        case Difference::Kind::changed:
            return "changed";
    }
    return "";
}

void Comparison::on_listed(const BindingRow& told, UtcSeconds heard_at, const BindingRow* mirror, UtcSeconds now) {
    if (mirror != nullptr) seen_.push_back(mirror->binding_id);
    const auto known = candidates_.find(told.key);
    if (known != candidates_.end()) {
        if (is_newer(*known->second.told, told)) return;  // it comes late, by another query
        candidates_.erase(known);
    }
    if (mirror != nullptr && is_newer(*mirror, told)) return;
    if (are_alike(&told, mirror, now)) return;
    Candidate candidate;
    candidate.told = told;
    if (mirror != nullptr) candidate.mirror = *mirror;
    candidate.observed_at = heard_at;
    add(told.key, std::move(candidate));
}

void Comparison::end_listing(const Reading& first) {
    first_ = first;
    std::sort(seen_.begin(), seen_.end());
}

void Comparison::on_row(const BindingRow& mirror, UtcSeconds now) {
    if (!mirror.in_force() || std::binary_search(seen_.begin(), seen_.end(), mirror.binding_id)) return;
    if (!first_.absence.proves(mirror) || is_expiring(mirror, now)) return;
    // Told after the server had begun to list: it may have passed the place where this one belongs.
    if (is_told_after(mirror, unix_seconds(first_.began))) return;
    Candidate candidate;
    candidate.mirror = mirror;
    candidate.observed_at = first_.ended;
    add(mirror.key, std::move(candidate));
}

void Comparison::add(const BindingKey& key, Candidate candidate) {
    if (candidates_.size() >= candidates_max) {
        ++(mark_.moves || is_covered(candidate, mark_) ? result_.left_out : result_.pending);
        return;
    }
    // One that was listed stays: its row was written after that.
    candidates_.emplace(key, std::move(candidate));
}

/// Whether what the server said had to be in the mirror by then.
bool Comparison::is_covered(const Candidate& candidate, const MirrorMark& mark) const {
    if (!mark.right_up_to) return false;
    const auto reached = *mark.right_up_to - order_slack;
    if (candidate.observed_at <= reached) return true;
    if (mark.moves) return false;
    // The mirror stays behind. But the server may say itself that this is how it has been since before that moment. When it
    // ceased to have what it does not list nobody says.
    const auto changed = candidate.told ? last_change(*candidate.told) : std::nullopt;
    return changed && *changed <= reached;
}

std::vector<IpAddress> Comparison::addresses() const {
    std::vector<IpAddress> out;
    out.reserve(candidates_.size());
    for (const auto& [key, candidate] : candidates_)
        out.push_back(key.address);
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

void Comparison::look_again(const std::vector<BindingRow>& rows, const MirrorMark& mark, UtcSeconds now) {
    mark_ = mark;
    const auto found = by_key(rows);
    for (auto at = candidates_.begin(); at != candidates_.end();) {
        auto& candidate = at->second;
        if (is_settled(candidate, find(found, at->first), now)) {
            at = candidates_.erase(at);
            continue;
        }
        candidate.covered = candidate.covered || is_covered(candidate, mark);
        ++at;
    }
}

/// Whether there is nothing more to find out about it; else it has the row as it is now.
bool Comparison::is_settled(Candidate& candidate, const BindingRow* mirror, UtcSeconds now) {
    if (are_alike(pointer(candidate.told), mirror, now)) return true;
    const auto told_since = candidate.told ? mirror != nullptr && is_newer(*mirror, *candidate.told)
                                           : is_touched(pointer(candidate.mirror), mirror);
    if (told_since) {
        ++result_.changed;
        return true;
    }
    if (mirror != nullptr && mirror->doubt != Doubt::none) {
        ++result_.in_doubt;
        return true;
    }
    candidate.mirror = mirror != nullptr ? std::optional(*mirror) : std::nullopt;
    return false;
}

bool Comparison::waits() const {
    return std::any_of(candidates_.begin(), candidates_.end(), [](const auto& c) { return !c.second.covered; });
}

void Comparison::stop_waiting() {
    result_.pending += std::erase_if(candidates_, [](const auto& c) { return !c.second.covered; });
}

void Comparison::on_listed_again(const BindingRow& told) {
    const auto found = candidates_.find(told.key);
    if (found == candidates_.end()) return;
    auto& again = found->second.told_again;
    if (!again || !is_newer(*again, told)) again = told;
}

void Comparison::conclude(const std::vector<BindingRow>& rows, const Reading& second, UtcSeconds now) {
    const auto found = by_key(rows);
    for (const auto& [key, candidate] : candidates_)
        conclude_one(key, candidate, find(found, key), second, now);
    candidates_.clear();
}

void Comparison::conclude_one(const BindingKey& key, const Candidate& candidate, const BindingRow* mirror,
                              const Reading& second, UtcSeconds now) {
    const auto* const told = pointer(candidate.told);
    const auto* const again = pointer(candidate.told_again);
    const bool listed_again = again != nullptr;
    if ((told != nullptr) != listed_again) {
        // Not heard of: has it changed, or was it not reached?
        const bool known = listed_again || second.whole;
        ++(known ? result_.changed : result_.unconfirmed);
        return;
    }
    if (told == nullptr && !second.absence.proves(*candidate.mirror)) {
        ++result_.unconfirmed;
        return;
    }
    const bool same_word =
        told == nullptr || (told->state == again->state && column_differences(told, again, now).empty());
    if (!same_word || is_touched(pointer(candidate.mirror), mirror) || are_alike(again, mirror, now)) {
        ++result_.changed;
        return;
    }
    if (mirror != nullptr && mirror->doubt != Doubt::none) {
        ++result_.in_doubt;
        return;
    }
    // Of what is not in force, nothing is there to be compared.
    const auto* const ours = in_force(mirror) ? mirror : nullptr;
    const auto* const theirs = in_force(again) ? again : nullptr;
    const auto& holder = theirs != nullptr ? *theirs : *ours;
    result_.differences.push_back(
        {kind_of(again, mirror), key, column_differences(ours, theirs, now), holder.client_id, holder.hw_addr});
}

}  // namespace leasemirror
