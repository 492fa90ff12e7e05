#include "agent/sync/gap_book.hpp"

#include <algorithm>
#include <cassert>

namespace leasemirror {

GapBook::GapBook(std::vector<Gap> open, std::uint64_t last_number) : last_number_(last_number) {
    for (auto& gap : open)
        gaps_.push_back({std::move(gap), Stage::window_due});
}

GapChange GapBook::open(ServerTime from, ServerTime to, const std::string& cause) {
    to = std::max(from, to);
    if (auto* neighbour = mergeable(from, to)) {
        auto& gap = neighbour->gap;
        gap.from = std::min(gap.from, from);
        gap.to = std::max(gap.to, to);
        neighbour->stage = Stage::window_due;
        return {GapChange::Kind::widen, gap, {}, 0};
    }
    gaps_.push_back({Gap{++last_number_, from, to, cause}, Stage::window_due});
    return {GapChange::Kind::open, gaps_.back().gap, {}, 0};
}

GapChange GapBook::open_for_full(ServerTime from, ServerTime to, const std::string& cause) {
    to = std::max(from, to);
    const auto waiting =
        std::find_if(gaps_.begin(), gaps_.end(), [](const Entry& e) { return e.stage == Stage::full_due; });
    if (waiting == gaps_.end()) {
        auto change = open(from, to, cause);
        set_stage(change.gap.number, Stage::full_due);
        return change;
    }
    waiting->gap.from = std::min(waiting->gap.from, from);
    waiting->gap.to = std::max(waiting->gap.to, to);
    return {GapChange::Kind::widen, waiting->gap, {}, 0};
}

GapBook::Entry* GapBook::mergeable(ServerTime from, ServerTime to) {
    const auto touches = [&](const Entry& e) {
        return e.stage == Stage::window_due && from <= e.gap.to && e.gap.from <= to;
    };
    const auto found = std::find_if(gaps_.begin(), gaps_.end(), touches);
    if (found != gaps_.end()) return &*found;
    if (gaps_.size() < gaps_max) return nullptr;
    // The newest, unless its recovery runs at this moment: there can be only one such, so the one before it.
    auto last = std::prev(gaps_.end());
    if (last->stage == Stage::window_running) --last;
    return &*last;
}

GapChange GapBook::close(std::uint64_t number, std::string outcome, std::uint64_t recovered) {
    const auto found = std::find_if(gaps_.begin(), gaps_.end(), [&](const Entry& e) { return e.gap.number == number; });
    assert(found != gaps_.end());
    GapChange change{GapChange::Kind::close, found->gap, std::move(outcome), recovered};
    gaps_.erase(found);
    return change;
}

std::optional<ServerTime> GapBook::earliest() const {
    std::optional<ServerTime> first;
    for (const auto& e : gaps_)
        first = first ? std::min(*first, e.gap.from) : e.gap.from;
    return first;
}

std::vector<std::uint64_t> GapBook::numbers() const {
    std::vector<std::uint64_t> all;
    for (const auto& e : gaps_)
        all.push_back(e.gap.number);
    return all;
}

std::optional<Gap> GapBook::next_window() const {
    for (const auto& e : gaps_) {
        if (e.stage == Stage::window_due) return e.gap;
    }
    return std::nullopt;
}

bool GapBook::full_due() const {
    return std::any_of(gaps_.begin(), gaps_.end(), [](const Entry& e) { return e.stage == Stage::full_due; });
}

bool GapBook::full_running() const {
    return std::any_of(gaps_.begin(), gaps_.end(), [](const Entry& e) { return e.stage == Stage::full_running; });
}

std::vector<GapChange> GapBook::close_by_full(const std::string& outcome, std::uint64_t recovered) {
    std::vector<GapChange> out;
    for (const auto& e : gaps_)
        if (e.stage == Stage::full_running) out.push_back({GapChange::Kind::close, e.gap, outcome, recovered});
    std::erase_if(gaps_, [](const Entry& e) { return e.stage == Stage::full_running; });
    return out;
}

std::vector<GapChange> GapBook::close_all(const std::string& outcome) {
    std::vector<GapChange> out;
    for (auto& e : gaps_)
        out.push_back({GapChange::Kind::close, std::move(e.gap), outcome, 0});
    gaps_.clear();
    return out;
}

void GapBook::on_full_over() {
    for (auto& e : gaps_)
        if (e.stage == Stage::full_running) e.stage = Stage::full_due;
}

bool GapBook::window_pending() const {
    return std::any_of(gaps_.begin(), gaps_.end(),
                       [](const Entry& e) { return e.stage == Stage::window_due || e.stage == Stage::window_running; });
}

void GapBook::set_all(Stage stage) {
    for (auto& e : gaps_)
        e.stage = stage;
}

void GapBook::set_stage(std::uint64_t number, Stage stage) {
    const auto found = std::find_if(gaps_.begin(), gaps_.end(), [&](const Entry& e) { return e.gap.number == number; });
    assert(found != gaps_.end());
    found->stage = stage;
}

}  // namespace leasemirror
