#include "agent/daemon/load_progress.hpp"

#include "agent/config/time_text.hpp"
#include "proto/status.hpp"

#include <algorithm>
#include <utility>

namespace leasemirror {
namespace {

/// `listed` bindings in the time that passed.
void estimate(LoadProgress::State& state, std::uint64_t listed, std::chrono::milliseconds passed) {
    if (passed.count() <= 0) return;
    const auto so_far = state.progress.bindings;
    state.per_second = listed * 1000 / static_cast<std::uint64_t>(passed.count());
    state.left.reset();
    const auto expected = state.progress.expected.value_or(0);
    if (state.per_second > 0 && expected > so_far)
        state.left = std::chrono::seconds{(expected - so_far) / state.per_second + 1};
}

}  // namespace

void LoadProgress::look(const std::vector<Read>& reads, SteadyTime now) {
    std::map<std::string, Known> next;
    for (const auto& [server, progress] : reads) {
        const auto before = under_way_.find(server);
        const bool goes_on = before != under_way_.end() && before->second.state.progress.run == progress.run;
        auto known =
            goes_on ? before->second : Known{{server, progress, 0, std::nullopt}, progress.bindings, now, now, now};
        known.state.progress = progress;
        known.looked = now;
        known.began_with = std::min(known.began_with, progress.bindings);  // a query may have begun again
        estimate(known.state, progress.bindings - known.began_with,
                 std::chrono::duration_cast<std::chrono::milliseconds>(now - known.began));
        next.emplace(server, std::move(known));
    }
    under_way_ = std::move(next);
}

std::vector<std::string> LoadProgress::lines(std::size_t columns) const {
    std::vector<std::string> out;
    std::size_t further = 0;
    for (const auto& [server, known] : under_way_) {
        if (known.looked - known.began < shown_after) continue;
        if (out.size() == lines_max)
            ++further;
        else
            out.push_back(to_string(known.state).substr(0, columns));
    }
    if (further > 0) out.push_back("and " + std::to_string(further) + " more");
    return out;
}

std::vector<LoadProgress::State> LoadProgress::due(SteadyTime now) {
    std::vector<State> out;
    for (auto& [server, known] : under_way_) {
        if (now - known.said < say_interval) continue;
        known.said = now;
        out.push_back(known.state);
    }
    return out;
}

std::string to_string(const LoadProgress::State& state) {
    const auto& read = state.progress;
    auto out = printable(state.server) + "  ";
    if (read.queries > 1)
        out += std::to_string(read.queries_over) + " of " + std::to_string(read.queries) + " queries, ";
    out += std::to_string(read.bindings);
    if (read.expected) out += " of about " + std::to_string(*read.expected);
    out += " bindings, " + std::to_string(state.per_second) + " per second";
    if (state.left) out += ", " + rough_duration(*state.left) + " left";
    return out;
}

}  // namespace leasemirror
