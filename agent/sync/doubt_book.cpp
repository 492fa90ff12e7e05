#include "agent/sync/doubt_book.hpp"

#include "agent/sync/timers.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace leasemirror {
namespace {

/// Whether an answer without the binding tells that nobody has it. By address it does. By client it does where all that
/// was told was about this client. Otherwise another one may have taken it over, by what could not be read.
bool tells_of_everybody(const BulkQuery& query, Doubt why) {
    return query.kind == QueryKind::address || why == Doubt::unlisted || why == Doubt::link_unknown;
}

}  // namespace

DoubtBook::DoubtBook(Family family, const ResumePoint& resume) : family_(family), open_(resume.doubts_open) {
    for (const auto& about : resume.doubts)
        note(about, SteadyTime::min());
}

void DoubtBook::start(std::chrono::milliseconds away) {
    using Count = std::chrono::milliseconds::rep;
    questions_left_ = static_cast<int>(std::clamp<Count>(away / question_interval, 1, questions_at_once));
}

std::uint64_t DoubtBook::on_listing_asked(SteadyTime now) {
    listing_due_ = now + again_first;
    return open_ > doubts_told_max ? listed_to_ : 0;
}

void DoubtBook::learn(const Applied& applied, std::optional<std::uint64_t> listed_after, SteadyTime now) {
    if (listed_after) listed_to_ = applied.doubts.size() == doubts_told_max ? *listed_after + doubts_told_max : 0;
    const auto listed = listed_after.has_value();
    some_settled_ = !listed && (some_settled_ || applied.doubts_open < open_);
    open_ = applied.doubts_open;
    left_by_full_ = std::min(left_by_full_, open_);
    arisen_since_ += applied.doubts_told_live;
    // Where there are more than are told, those that are not may still be in doubt.
    if (listed && applied.doubts.size() == open_)
        std::erase_if(asked_, [&](const Entry& e) {
            return std::none_of(applied.doubts.begin(), applied.doubts.end(),
                                [&](const DoubtfulBinding& about) { return about.key == e.about.key; });
        });
    if (open_ == 0) {
        asked_.clear();
        full_wanted_ = false;
    }
    for (const auto& about : applied.doubts)
        note(about, about.why == Doubt::unreadable ? now + unreadable_settles : SteadyTime::min());
}

void DoubtBook::on_full_bulk_begun() {
    full_wanted_ = false;
    arisen_since_ = 0;
}

void DoubtBook::on_full_bulk_written() {
    left_by_full_ = open_ - std::min(open_, arisen_since_);
}

bool DoubtBook::knows(const IpAddress& address, const std::string& vpn_id) const {
    return std::any_of(asked_.begin(), asked_.end(), [&](const Entry& e) {
        return e.about.key.address == address && e.about.key.vpn_id == vpn_id && e.left_in == 0;
    });
}

void DoubtBook::note(const DoubtfulBinding& about, SteadyTime first_due) {
    if (about.why == Doubt::refused) return;  // the server has answered: it is the database that does not take it
    const auto known =
        std::find_if(asked_.begin(), asked_.end(), [&](const Entry& e) { return e.about.key == about.key; });
    if (known != asked_.end()) {
        if (!query_for(about)) {  // it names nobody any more
            asked_.erase(known);
            return;
        }
        if (known->about.client_id != about.client_id || known->about.hw_addr != about.hw_addr)
            *known = Entry{about, first_due};
        known->about = about;
        return;
    }
    if (!query_for(about)) return;
    if (asked_.size() == doubts_told_max) {
        const auto rests = std::max_element(asked_.begin(), asked_.end(), [](const Entry& a, const Entry& b) {
            return std::pair(a.rests(), a.due) < std::pair(b.rests(), b.due);
        });
        if (!rests->rests()) return;
        asked_.erase(rests);
    }
    asked_.push_back({about, first_due});
}

/// What to ask: v6 by address, and a prefix by its client, since no query names a prefix (RFC 5007 §4.1.2.1); v4 by client-id
/// or hardware address, since bulk knows no query by address (RFC 6926 §7.2). No v6 query of ours names a VPN.
std::optional<BulkQuery> DoubtBook::query_for(const DoubtfulBinding& about) const {
    BulkQuery query;
    if (family_ == Family::v6 && !about.key.vpn_id.empty()) return std::nullopt;
    if (family_ == Family::v6 && about.key.kind == BindingKind::address) {
        query.kind = QueryKind::address;
        query.address = about.key.address;
        return query;
    }
    const auto client_id_min = family_ == Family::v4 ? std::size_t{2} : std::size_t{1};
    if (about.client_id.size() >= client_id_min) {
        query.kind = QueryKind::client_id;
        query.id = about.client_id;
        return query;
    }
    if (family_ == Family::v6 || about.hw_addr.empty() || about.hw_type.value_or(1) > 255) return std::nullopt;
    query.kind = QueryKind::hw_addr;
    query.id = about.hw_addr;
    query.hw_type = static_cast<std::uint8_t>(about.hw_type.value_or(1));
    return query;
}

void DoubtBook::refill(SteadyTime now) {
    if (!refilled_at_ || questions_left_ >= questions_at_once) refilled_at_ = now;
    while (questions_left_ < questions_at_once && now - *refilled_at_ >= question_interval) {
        *refilled_at_ += question_interval;
        ++questions_left_;
    }
}

bool DoubtBook::lacks_listing() const {
    const auto has_room = asked_.size() < doubts_told_max ||
                          std::any_of(asked_.begin(), asked_.end(), [](const Entry& e) { return e.rests(); });
    return some_settled_ || (open_ > asked_.size() && has_room);
}

DoubtBook::Entry* DoubtBook::first_due() {
    const auto first =
        std::min_element(asked_.begin(), asked_.end(), [](const Entry& a, const Entry& b) { return a.due < b.due; });
    return first == asked_.end() ? nullptr : &*first;
}

bool DoubtBook::may_ask(SteadyTime now) {
    refill(now);
    return questions_left_ > 0;
}

bool DoubtBook::is_due(SteadyTime now) {
    const auto* entry = first_due();
    return may_ask(now) && !question_ && entry && entry->due <= now;
}

void DoubtBook::begin(std::uint64_t run) {
    assert(!question_ && first_due());
    about_ = first_due()->about;
    question_ = BulkJob::question(run, *query_for(about_), about_.key);
}

DoubtBook::Settled DoubtBook::finish(SteadyTime now) {
    assert(question_);
    const auto job = *std::exchange(question_, std::nullopt);
    const auto& item = job.items().front();
    // A server that does not know option 221 answers for the default VPN alone, without a word.
    lists_vpns_ = lists_vpns_ || (asks_all_vpns() && job.vpns_seen());
    const auto speaks_of_vpn = about_.key.vpn_id.empty() || lists_vpns_;
    Settled out{Answer::none, about_, job.began_at().value_or(ServerTime{}), item.run};
    if (job.sought()) {
        const auto same = about_.client_id.empty() || job.sought()->client_id == about_.client_id;
        out.answer = same ? Answer::there : Answer::other;
    } else if (item.state == BulkJob::ItemState::complete && item.unread == 0 && job.began_at() && speaks_of_vpn) {
        out.answer = tells_of_everybody(item.query, about_.why) ? Answer::gone : Answer::left;
    }
    // No full bulk lists what is unlistable.
    if (out.answer == Answer::left && about_.why != Doubt::unlistable) full_wanted_ = true;
    const auto entry =
        std::find_if(asked_.begin(), asked_.end(), [&](const Entry& e) { return e.about.key == about_.key; });
    if (entry == asked_.end()) return out;
    if (out.answer == Answer::left) {
        entry->left_in = item.run;
        entry->due = SteadyTime::max();
        return out;
    }
    if (out.answer != Answer::none) {
        asked_.erase(entry);
        return out;
    }
    entry->due = now + entry->again;
    entry->again = std::min<std::chrono::milliseconds>(2 * entry->again, again_most);
    return out;
}

std::vector<DoubtfulBinding> DoubtBook::take_left_before(std::uint64_t run, bool all_vpns) {
    std::vector<DoubtfulBinding> taken;
    std::erase_if(asked_, [&](const Entry& entry) {
        const auto covered = entry.left_in != 0 && entry.left_in < run && (all_vpns || entry.about.key.vpn_id.empty());
        if (covered) taken.push_back(entry.about);
        return covered;
    });
    return taken;
}

void DoubtBook::give_back() {
    if (question_) question_->give_back_all();
}

void DoubtBook::start_afresh() {
    question_.reset();
    lists_vpns_ = false;
}

std::optional<SteadyTime> DoubtBook::next_deadline(SteadyTime planned_at) const {
    if (open_ == 0) return std::nullopt;
    Earliest first;
    const auto consider = [&](SteadyTime at) {
        if (at > planned_at && at != SteadyTime::max()) first.consider(at);
    };
    if (lacks_listing()) consider(listing_due_);
    const auto may_ask_at =
        questions_left_ <= 0 && refilled_at_ ? *refilled_at_ + question_interval : SteadyTime::min();
    if (question_ && question_->waiting() > 0) consider(may_ask_at);
    if (!question_)
        for (const auto& entry : asked_)
            consider(std::max(entry.due, may_ask_at));
    return first.get();
}

}  // namespace leasemirror
