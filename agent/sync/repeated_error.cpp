#include "agent/sync/repeated_error.hpp"

#include <algorithm>
#include <utility>

namespace leasemirror {
namespace {

/// Of what began `passed` ago.
std::chrono::milliseconds next_distance(std::chrono::milliseconds passed) {
    const auto& all = RepeatedError::distances;
    const auto next = std::find_if(all.begin(), all.end(), [&](auto distance) { return distance > passed; });
    if (next != all.end()) return *next;
    const std::chrono::milliseconds last = all.back();
    return (passed / last + 1) * last;
}

}  // namespace

std::optional<RepeatedError::Said> RepeatedError::on_error(const std::string& text, Now now) {
    auto at = std::find_if(known_.begin(), known_.end(), [&](const Known& k) { return k.said.text == text; });
    if (at == known_.end()) {
        if (known_.size() == texts_max)
            known_.erase(std::min_element(known_.begin(), known_.end(),
                                          [](const Known& a, const Known& b) { return a.last < b.last; }));
        known_.push_back({{text, 1, now.utc, {}}, now.steady, now.steady, now.steady + distances.front()});
        return known_.back().said;
    }
    ++at->said.times;
    at->last = now.steady;
    if (now.steady < at->say_again) return std::nullopt;
    at->say_again =
        at->began + next_distance(std::chrono::duration_cast<std::chrono::milliseconds>(now.steady - at->began));
    return at->said;
}

std::vector<RepeatedError::Said> RepeatedError::on_over(SteadyTime now) {
    std::vector<Said> out;
    for (auto& known : std::exchange(known_, {})) {
        if (known.said.times == 1) continue;
        known.said.for_so_long = std::chrono::duration_cast<std::chrono::milliseconds>(now - known.began);
        out.push_back(std::move(known.said));
    }
    return out;
}

}  // namespace leasemirror
