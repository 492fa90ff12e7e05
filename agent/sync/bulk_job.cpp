#include "agent/sync/bulk_job.hpp"

#include <algorithm>
#include <cassert>
#include <numeric>
#include <utility>

namespace leasemirror {
namespace {

/// So many queries are named where several went wrong.
constexpr std::size_t troubles_named_max = 3;

/// When a binding last changed at the latest. Nothing where that cannot be told: what ended, and what is known from
/// another server, may have changed here long after its client was last heard.
std::optional<ServerTime> last_change(const Binding& b) {
    if (b.state != BindingState::active || b.data_source == DataSource::remote) return std::nullopt;
    return std::max(b.client_last_seen, b.state_since);  // what is not told is the lesser one
}

}  // namespace

BulkJob::BulkJob(Kind kind, std::uint64_t run, const std::vector<BulkQuery>& queries) : kind_(kind), run_(run) {
    assert(run != 0);
    for (const auto& query : queries) {
        auto& item = items_.emplace_back();
        item.query = query;
        item.run = run;
    }
}

BulkJob BulkJob::full(std::uint64_t run, const std::vector<BulkQuery>& queries, std::string cause) {
    BulkJob job(Kind::full, run, queries);
    job.cause_ = std::move(cause);
    return job;
}

BulkJob BulkJob::window(std::uint64_t run, const Gap& gap, const std::vector<BulkQuery>& queries) {
    BulkJob job(Kind::gap_window, run, queries);
    job.window_ = {gap.from, gap.to};
    job.gap_ = gap.number;
    job.cause_ = gap.cause;
    return job;
}

BulkJob BulkJob::windowed_poll(std::uint64_t run, ServerTime start, const std::vector<BulkQuery>& queries) {
    BulkJob job(Kind::windowed_poll, run, queries);
    job.window_ = {start, std::nullopt};
    job.cause_ = "poll";
    return job;
}

BulkJob BulkJob::question(std::uint64_t run, const BulkQuery& query, const BindingKey& sought) {
    BulkJob job(Kind::question, run, {query});
    job.cause_ = "doubt";
    job.sought_ = sought;
    return job;
}

std::optional<std::size_t> BulkJob::take() {
    for (std::size_t i = 0; i < items_.size(); ++i) {
        auto& item = items_[i];
        if (item.state != ItemState::waiting) continue;
        item.state = ItemState::running;
        item.began = false;
        item.lease_lost = false;
        item.unread = 0;
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

bool BulkJob::any_asked() const {
    return std::any_of(items_.begin(), items_.end(), [](const Item& item) { return item.attempts > 0; });
}

bool BulkJob::has_running() const {
    return std::any_of(items_.begin(), items_.end(), [](const Item& i) { return i.state == ItemState::running; });
}

void BulkJob::on_reply(std::size_t item, std::optional<ServerTime> base, ServerTime asked_at) {
    if (base) base_times_seen_ = true;
    if (std::exchange(items_[item].began, true)) return;
    const auto first = base.value_or(asked_at);
    items_[item].first_base = first;
    began_at_ = began_at_ ? std::min(*began_at_, first) : first;
}

void BulkJob::on_binding(std::size_t item, const Binding& binding) {
    ++items_[item].bindings;
    vpns_seen_ = vpns_seen_ || !binding.key.vpn_id.empty();
    if (kind_ == Kind::question && binding.key == sought_ && binding.in_force()) found_ = binding;
    const auto changed = last_change(binding);
    if (!changed) return;
    oldest_change_ = oldest_change_ ? std::min(*oldest_change_, *changed) : *changed;
    ++dated_;
    if (window_.start && *changed < *window_.start - window_slack) ++still_;
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

void BulkJob::give_back_all() {
    for (std::size_t i = 0; i < items_.size(); ++i)
        if (items_[i].state == ItemState::running) give_back(i);
}

bool BulkJob::all_complete() const {
    return std::all_of(items_.begin(), items_.end(), [](const Item& i) { return i.state == ItemState::complete; });
}

bool BulkJob::any_complete() const {
    return std::any_of(items_.begin(), items_.end(), [](const Item& i) { return i.state == ItemState::complete; });
}

bool BulkJob::any_refused() const {
    return std::any_of(items_.begin(), items_.end(), [](const Item& i) { return i.state == ItemState::refused; });
}

bool BulkJob::absence_proves() const {
    return all_complete() && std::none_of(items_.begin(), items_.end(), [](const Item& i) { return i.lease_lost; });
}

bool BulkJob::all_read() const {
    return unread() == 0;
}

std::uint64_t BulkJob::unread() const {
    return std::accumulate(items_.begin(), items_.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const Item& i) { return sum + i.unread; });
}

std::uint64_t BulkJob::bindings() const {
    return std::accumulate(items_.begin(), items_.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const Item& i) { return sum + i.bindings; });
}

FullReadProgress BulkJob::progress() const {
    FullReadProgress out{run_, bindings(), items_.size(), 0, std::nullopt};
    for (const auto& item : items_)
        if (item.state != ItemState::waiting && item.state != ItemState::running) ++out.queries_over;
    return out;
}

bool BulkJob::any_cut_off() const {
    return std::any_of(items_.begin(), items_.end(), [](const Item& i) { return i.state == ItemState::cut_off; });
}

std::string BulkJob::trouble() const {
    std::string all;
    std::size_t troubles = 0;
    for (const auto& item : items_) {
        if (item.state == ItemState::complete || item.trouble.empty() || ++troubles > troubles_named_max) continue;
        all += (all.empty() ? "query for " : "; query for ") + to_string(item.query) + ": " + item.trouble;
    }
    if (troubles > troubles_named_max) all += "; and " + std::to_string(troubles - troubles_named_max) + " more";
    return all;
}

std::vector<BulkQuery> BulkJob::queries_complete() const {
    std::vector<BulkQuery> out;
    for (const auto& item : items_)
        if (item.state == ItemState::complete) out.push_back(item.query);
    return out;
}

std::vector<BulkQuery> BulkJob::queries_not_refused() const {
    std::vector<BulkQuery> out;
    for (const auto& item : items_)
        if (item.state != ItemState::refused) out.push_back(item.query);
    return out;
}

std::optional<bool> BulkJob::heeds_start(Family family, std::optional<ServerTime> oldest) const {
    assert(window_.start);
    // A few may have changed in ways that neither of their times tells (RFC 6926 §8.2).
    if (2 * still_ > dated_) return false;
    if (!any_complete()) return std::nullopt;
    // A v6 server puts a base-time into its replies if it knows time windows at all (RFC 7653 §9.3).
    if (family == Family::v6 && base_times_seen_) return true;
    if (family == Family::v6) return bindings() > 0 ? std::optional(false) : std::nullopt;
    // There was something to leave out, and it did.
    if (oldest && *oldest < *window_.start - window_slack && !(oldest_change_ && *oldest_change_ <= *oldest))
        return true;
    return std::nullopt;
}

}  // namespace leasemirror
