#include "agent/sync/clocks/start_jury.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

using Shift = StartJury::Shift;
using Member = StartJury::Member;

/// Two that tell of one step differ by no more than this: clocks drift, and what is stored of one is an estimate.
constexpr std::chrono::seconds slack{1};

bool is_none(const Shift& s) {
    return s.least <= StartJury::shift_min && s.most >= -StartJury::shift_min;
}

bool share_a_host(const Member& a, const Member& b) {
    return a.family != b.family || a.address == b.address;
}

/// By the clock as it was, not less than nothing and not for ages.
bool may_have_been_away(const Member& m, std::chrono::milliseconds set_ahead) {
    const auto away = m.away - set_ahead;
    return away >= -StartJury::shift_min && away <= StartJury::away_max;
}

std::chrono::milliseconds middle(const Shift& a, const Shift& b) {
    return (std::max(a.least, b.least) + std::min(a.most, b.most)) / 2;
}

}  // namespace

void StartJury::summon(const std::vector<Member>& members, SteadyTime now) {
    witnesses_.clear();
    for (const auto& member : members)
        witnesses_.push_back({member});
    const auto any_pair = [&](const Witness& a) {
        return std::any_of(witnesses_.begin(), witnesses_.end(),
                           [&](const Witness& b) { return !share_a_host(a.member, b.member); });
    };
    if (std::any_of(witnesses_.begin(), witnesses_.end(), any_pair)) patient_until_ = now + patience;
}

void StartJury::hear(std::size_t server, Shift shift) {
    for (auto& witness : witnesses_)
        if (witness.member.server == server && !witness.told) witness.told = shift;
}

std::optional<std::chrono::milliseconds> StartJury::find(SteadyTime now) {
    if (!sits()) return std::nullopt;
    auto found = agreed();
    const auto all_told =
        std::all_of(witnesses_.begin(), witnesses_.end(), [](const Witness& w) { return w.told.has_value(); });
    if (!found && (all_told || now >= *patient_until_)) found = std::chrono::milliseconds{0};
    if (found) dismiss();
    return found;
}

std::optional<std::chrono::milliseconds> StartJury::agreed() const {
    for (const auto& a : witnesses_)
        if (a.told && is_none(*a.told)) return std::chrono::milliseconds{0};
    for (const auto& a : witnesses_) {
        if (!a.told) continue;
        for (const auto& b : witnesses_) {
            if (!b.told || share_a_host(a.member, b.member) || a.told->least > b.told->most + slack ||
                b.told->least > a.told->most + slack)
                continue;
            const auto ahead = -middle(*a.told, *b.told);
            if (may_have_been_away(a.member, ahead) && may_have_been_away(b.member, ahead)) return ahead;
        }
    }
    return std::nullopt;
}

}  // namespace leasemirror
