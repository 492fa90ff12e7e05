#include "agent/bulk_job.hpp"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <utility>

namespace leasemirror {

BulkJob::BulkJob(bool full, std::uint64_t run, const std::vector<BulkQuery>& queries) : full_(full), run_(run) {
    assert(run != 0);
    for (const auto& query : queries) {
        auto& item = items_.emplace_back();
        item.query = query;
        item.run = run;
    }
}

BulkJob BulkJob::full(std::uint64_t run, const std::vector<BulkQuery>& queries, std::vector<std::uint64_t> gaps,
                      std::string cause) {
    BulkJob job(true, run, queries);
    job.gaps_ = std::move(gaps);
    job.cause_ = std::move(cause);
    return job;
}

BulkJob BulkJob::window(std::uint64_t run, const Gap& gap, const std::vector<BulkQuery>& queries) {
    BulkJob job(false, run, queries);
    job.window_ = {gap.from, gap.to};
    job.gaps_ = {gap.number};
    job.cause_ = gap.cause;
    return job;
}

std::optional<std::size_t> BulkJob::take() {
    for (std::size_t i = 0; i < items_.size(); ++i) {
        auto& item = items_[i];
        if (item.state != ItemState::waiting) continue;
        item.state = ItemState::running;
        item.began = false;
        item.lease_lost = false;
        item.unread = false;
        item.bindings = 0;
        ++item.attempts;
        return i;
    }
    return std::nullopt;
}

std::size_t BulkJob::waiting() const {
    return static_cast<std::size_t>(
        std::count_if(items_.begin(), items_.end(), [](const Item& i) { return i.state == ItemState::waiting; }));
}

bool BulkJob::has_running() const {
    return std::any_of(items_.begin(), items_.end(), [](const Item& i) { return i.state == ItemState::running; });
}

void BulkJob::on_reply(std::size_t item, std::optional<ServerTime> base, ServerTime server_now) {
    if (base) base_times_seen_ = true;
    if (std::exchange(items_[item].began, true)) return;
    const auto first = base.value_or(server_now);
    items_[item].first_base = first;
    began_at_ = began_at_ ? std::min(*began_at_, first) : first;
}

void BulkJob::on_complete(std::size_t item) {
    assert(items_[item].state == ItemState::running);
    items_[item].state = ItemState::complete;
}

void BulkJob::on_refused(std::size_t item, std::string why) {
    assert(items_[item].state == ItemState::running);
    items_[item].state = ItemState::refused;
    items_[item].trouble = std::move(why);
}

void BulkJob::on_cut_off(std::size_t item, std::string why) {
    auto& it = items_[item];
    assert(it.state == ItemState::running);
    it.state =
        it.attempts < (is_full() ? full_attempts_max : window_attempts_max) ? ItemState::waiting : ItemState::cut_off;
    it.trouble = std::move(why);
}

void BulkJob::give_back(std::size_t item) {
    assert(items_[item].state == ItemState::running);
    items_[item].state = ItemState::waiting;
    --items_[item].attempts;
}

bool BulkJob::all_complete() const {
    return std::all_of(items_.begin(), items_.end(), [](const Item& i) { return i.state == ItemState::complete; });
}

bool BulkJob::any_complete() const {
    return std::any_of(items_.begin(), items_.end(), [](const Item& i) { return i.state == ItemState::complete; });
}

bool BulkJob::absence_proves() const {
    return all_complete() && std::none_of(items_.begin(), items_.end(), [](const Item& i) { return i.lease_lost; });
}

bool BulkJob::all_read() const {
    return std::none_of(items_.begin(), items_.end(), [](const Item& i) { return i.unread; });
}

std::uint64_t BulkJob::bindings() const {
    return std::accumulate(items_.begin(), items_.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const Item& i) { return sum + i.bindings; });
}

bool BulkJob::any_cut_off() const {
    return std::any_of(items_.begin(), items_.end(), [](const Item& i) { return i.state == ItemState::cut_off; });
}

std::string BulkJob::trouble() const {
    for (const auto& item : items_) {
        if (item.state == ItemState::complete || item.trouble.empty()) continue;
        return "query for " + to_string(item.query) + ": " + item.trouble;
    }
    return {};
}

}  // namespace leasemirror
