// What one word of the server does to a binding, to the feed, and to who held it (ledger.hpp has the rules in words).
#include "storage/ledger/feed_detail.hpp"
#include "storage/ledger/ledger.hpp"
#include "storage/ledger/told_row.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

/// Two times that are the same but for the estimate of the skew, which moves by little.
constexpr std::chrono::seconds same_moment{5};
/// A boundary that had to be moved by no more than this is still the true one.
constexpr std::chrono::seconds exact_within{2};

bool is_live(const Change& change) {
    return change.binding.via == Via::active && !change.late;
}

bool same_client(const BindingRow& before, const BindingRow& after) {
    if (!before.client_id.empty()) return before.client_id == after.client_id;
    return before.hw_addr.empty() || before.hw_addr == after.hw_addr;
}

bool names_somebody(const BindingRow& row) {
    return !row.client_id.empty() || !row.hw_addr.empty();
}

/// An end that DHCPv6 tells of another client than the one that has it in force: it is that other one's, from before
/// (RFC 5007 §4.1.2.2 speaks of one client).
bool ends_other_client(const BindingRow& before, const BindingRow& told) {
    return told.key.address.family() == Family::v6 && !told.in_force() && !before.client_id.empty() &&
           !told.client_id.empty() && before.client_id != told.client_id;
}

/// It is a DHCPv6 end, from no later than what could not be read: who has the address since then may have been told in that.
bool leaves_doubt(const BindingRow& before, const BindingRow& told) {
    const auto unread = before.doubt == Doubt::unreadable || before.doubt == Doubt::scope_unreadable;
    return unread && told.key.address.family() == Family::v6 && !told.in_force() &&
           told.age.epoch == before.age.epoch && told.age.base_time <= before.age.base_time;
}

template <class T>
bool differ_where_told(const T& a, const T& b) {
    return !a.empty() && !b.empty() && a != b;
}

bool moved(const BindingRow& a, const BindingRow& b) {
    return differ_where_told(a.hw_addr, b.hw_addr) || differ_where_told(a.remote_id, b.remote_id);
}

template <class T>
bool tells_other(const T& before, const T& told) {
    return !told.empty() && before != told;
}

/// Of who holds it, and where.
bool tells_more(const BindingRow& before, const BindingRow& told) {
    return tells_other(before.client_id, told.client_id) || tells_other(before.hw_addr, told.hw_addr) ||
           tells_other(before.remote_id, told.remote_id) || tells_other(before.relay_id, told.relay_id) ||
           tells_other(before.circuit_id, told.circuit_id) || tells_other(before.subscriber_id, told.subscriber_id) ||
           tells_other(before.hostname, told.hostname);
}

LineDetails line_of(const BindingRow& row) {
    return {row.relay_id, row.circuit_id, row.subscriber_id, row.hostname};
}

}  // namespace

void LineDetails::update(const BindingRow& row) {
    if (!row.relay_id.empty()) relay_id = row.relay_id;
    if (!row.circuit_id.empty()) circuit_id = row.circuit_id;
    if (!row.subscriber_id.empty()) subscriber_id = row.subscriber_id;
    if (!row.hostname.empty()) hostname = row.hostname;
}

void Ledger::tell(const Change& change) {
    const auto& told = change.binding;
    const auto key = stored_key(told.key);
    auto at = find(key);
    if (at == none) at = add_entry(key);
    auto& entry = entries_[at];
    const bool known = exists(at);
    if (known && !is_newer(change, entry.row)) return mark_listed(at, change);

    before_ = entry.row;
    const bool was_in_force = known && before_.in_force();
    fill_next(entry.row, change, known);
    if (was_in_force && ends_other_client(before_, entry.row)) {
        entry.row = before_;
        return doubt_row(at, Doubt::other_client, change);
    }
    if (is_unchanged_listing(entry, change)) {
        context_.marks->mark(context_.server, before_.binding_id);
        entry.row = before_;
        entry.row.seen_run = static_cast<std::int64_t>(change.run);
        return;
    }
    entry.row.age = age_of(change);
    if (leaves_doubt(before_, entry.row)) {
        entry.row.doubt = before_.doubt;
        entry.row.age.base_time = before_.age.base_time;
    }
    entry.row.updated_at = context_.now;
    ++entry.stored;
    const auto& row = entry.row;
    const bool same_indexed = row.client_id == before_.client_id && row.hw_addr == before_.hw_addr &&
                              row.relay_id == before_.relay_id && row.remote_id == before_.remote_id &&
                              row.circuit_id == before_.circuit_id && row.doubt == before_.doubt;
    const auto write = !entry.before  ? Entry::Write::insert
                       : same_indexed ? Entry::Write::renewal
                                      : Entry::Write::whole;
    entry.write = std::max(entry.write, write);
    remember_client(at);

    if (row.in_force())
        become_active(at, change, was_in_force);
    else if (row.end_reason == EndReason::expired)
        arrive_expired(at, change, was_in_force);
    else
        become_inactive(at, change, was_in_force);
}

/// A full bulk lists what is stored, in the table and in this batch, as it is stored. Times of servers that tell no base-time
/// jitter with the way of the message: that is no change, and does not add up, since it is compared with what is stored.
bool Ledger::is_unchanged_listing(const Entry& entry, const Change& change) const {
    const auto& row = entry.row;
    if (context_.marks == nullptr || !context_.marks->is_open(context_.server, change.run)) return false;
    if (!entry.before || entry.write != Entry::Write::none || change.binding.via != Via::bulk) return false;
    if (before_.age.epoch != context_.epoch || before_.doubt != Doubt::none || before_.scope != row.scope) return false;
    if (before_.end_reason != row.end_reason || !same_attributes(before_, row) ||
        !same_times_but_for_jitter(before_, row))
        return false;
    return row.in_force() || context_.now - before_.updated_at < settings_.refresh;
}

/// The row as it is told now. Its age and the hidden columns of its assignment are left as they were.
void Ledger::fill_next(BindingRow& row, const Change& change, bool known) {
    fill_told(row, change.binding, change.skew.value_or(context_.skew), scratch_);
    fill_state(row, change, known);
    row.doubt = Doubt::none;
    const bool same_relaying = row.relay_id == before_.relay_id && row.remote_id == before_.remote_id &&
                               row.link_address == before_.link_address;
    row.seen_run = std::max(before_.seen_run, static_cast<std::int64_t>(change.run));
    row.scope = change.scope != 0 ? change.scope : same_relaying ? before_.scope : 0;
}

/// Whether it is in force, by what was said and by our clock.
void Ledger::fill_state(BindingRow& row, const Change& change, bool known) const {
    const auto& told = change.binding;
    if (!told.in_force()) {
        row.state = told.state;
        row.end_reason = EndReason::reported;
        return;
    }
    // The lease whose expiry has passed here before, told before that: it stays expired. The very record does whenever it was
    // told; another one only shortly before, since our clock may have run ahead and been put right.
    const bool expired_before = known && before_.age.epoch == context_.epoch &&
                                before_.end_reason == EndReason::expired && before_.expires_at && row.expires_at &&
                                *row.expires_at <= *before_.expires_at && same_client(before_, row);
    const bool again =
        expired_before &&
        (before_.age.base_time == unix_seconds(told.base_time) ||
         (now_ + same_moment >= *before_.expires_at && *row.expires_at + same_moment >= *before_.expires_at));
    // Our clock may be the one that is off. Not expired when it was told: if it has since, the sweep finds it.
    const auto now = change.clock_unsure ? std::min(now_, ours(told.base_time, change)) : now_;
    const bool expired = again || (row.expires_at && *row.expires_at <= now);
    row.state = expired ? BindingState::ended : BindingState::active;
    row.end_reason = expired ? EndReason::expired : EndReason::none;
}

void Ledger::become_active(std::size_t at, const Change& change, bool was_in_force) {
    if (!was_in_force) {
        begin_hold(at, begin_of(change));
        return write_assigned(at);
    }
    const auto& row = entries_[at].row;
    const bool other_clock = before_.age.epoch != context_.epoch && batch_->before.ours_unsure;
    if (same_client(before_, row) && !other_clock && !has_come_back(row, change)) return stay_with_client(at, change);
    pass_to_other_client(at, change);
    write_assigned(at);
}

/// The client that has it had left in between: its hold began anew, later than the one that is known here, by more than
/// clocks differ (start-time-of-state, RFC 6926 §6.2.4). After a fresh start the clocks are others: then it also began after
/// the client was last heard of, and is not as much later as times are that a server keeps over a step of its clock.
bool Ledger::has_come_back(const BindingRow& row, const Change& change) const {
    if (!row.state_since || !before_.state_since) return false;
    const auto later = *row.state_since - *before_.state_since;
    if (later <= same_moment) return false;
    if (before_.age.epoch == context_.epoch) return true;
    // Not after the row was written: that may be in a clock of ours that was set since.
    if (*row.state_since + same_moment < before_.client_last_seen.value_or(*before_.state_since)) return false;
    if (!batch_->before.skew) return true;
    const auto by_the_step = *batch_->before.skew - change.skew.value_or(context_.skew);
    return std::chrono::abs(later - by_the_step) > same_moment;
}

void Ledger::stay_with_client(std::size_t at, const Change& change) {
    auto& row = entries_[at].row;
    if (moved(before_, row)) {
        move(at, change);
    } else if (const auto open = accounts_[at].open_assignment; open != none) {
        auto& assignment = new_assignments_[open];
        if (assignment.hw_addr.empty()) assignment.hw_addr = row.hw_addr;
        if (assignment.remote_id.empty()) assignment.remote_id = row.remote_id;
        if (assignment.client_id.empty()) assignment.client_id = row.client_id;
        assignment.line.update(row);
    } else if (row.assignment_id != 0 && tells_more(before_, row)) {
        assignment_fills_.push_back({at, row.assignment_id, row.client_id, row.hw_addr, row.remote_id, line_of(row)});
    }
    if (!same_attributes(before_, row))
        write_updated(at, FeedChange::updated, change);
    else if (settings_.record_renewals && !same_times(before_, row))
        write_updated(at, FeedChange::renewed, change);
}

void Ledger::move(std::size_t at, const Change& change) {
    begin_hold(at, end_hold(at, told_at(change), EndReason::moved));
}

/// The end of one client's hold and the beginning of the next one's are one moment.
void Ledger::pass_to_other_client(std::size_t at, const Change& change) {
    auto begin = begin_of(change);
    // A server that does not begin the state anew for the new client tells the beginning of the old one's.
    const auto old_began = before_.boundary_at.value_or(UtcSeconds{});
    if (begin.at <= old_began) begin = told_at(change);
    // And nobody else had it while the old one was still heard of.
    const auto old_seen = std::max(old_began, before_.client_last_seen.value_or(UtcSeconds{}));
    begin = bounded(begin, std::min(old_seen, std::max(old_began, now_)));

    const bool expired_first = before_.expires_at && *before_.expires_at < begin.at;
    const auto reason = expired_first ? EndReason::expired : EndReason::replaced;
    end_hold(at, {expired_first ? *before_.expires_at : begin.at, true}, reason);
    // The feed tells both: the one's end, as a row that nobody holds, and the other's beginning.
    auto gone = before_;
    gone.end_reason = reason;
    auto& out = feed_.emplace_back();
    out = {at, FeedChange::ended, BindingState::ended, before_.client_id, before_.expires_at, {}, true};
    changed_detail(before_, gone, out.detail);
    begin_hold(at, begin);
}

void Ledger::become_inactive(std::size_t at, const Change& change, bool was_in_force) {
    const auto& row = entries_[at].row;
    if (!was_in_force) return note_inactive(at, change);
    auto end = row.state_since && !change.clock_unsure ? Moment{*row.state_since, false} : told_at(change);
    // What is told of another client ended its time and not the holder's, which was over by then. And where something may
    // have been missed, the holder may have left and come back.
    if (!is_seen_live(change) || (!same_client(before_, row) && names_somebody(row))) end.inferred = true;
    write_ended(at, end_hold(at, end, EndReason::reported));
}

/// It was not in force, and is not.
void Ledger::note_inactive(std::size_t at, const Change& change) {
    const auto& row = entries_[at].row;
    if (!was_known(at) || !same_attributes(before_, row) || (settings_.record_renewals && !same_times(before_, row)))
        write_updated(at, FeedChange::updated, change);
}

/// The server still calls it active, but its time has passed: whoever had it held it until then.
void Ledger::arrive_expired(std::size_t at, const Change& change, bool was_in_force) {
    const auto& row = entries_[at].row;
    const bool held_until_then = was_known(at) && !was_in_force && same_client(before_, row) && before_.boundary_at &&
                                 *row.expires_at <= *before_.boundary_at + same_moment;
    if (held_until_then) return note_inactive(at, change);
    if (!was_in_force || !same_client(before_, row)) {
        if (was_in_force) {
            pass_to_other_client(at, change);
        } else {
            const auto begin = begin_of(change);
            begin_hold(at, begin.at <= *row.expires_at ? begin : Moment{*row.expires_at, true});
        }
        before_ = row;
        before_.state = BindingState::active;
        before_.end_reason = EndReason::none;
        write_assigned(at);
    }
    write_ended(at, end_hold(at, {*row.expires_at, true}, EndReason::expired));
}

/// Ends the assignment that is open: not before it began, nor after the time until which it was given. Gives the moment
/// that it came to.
Ledger::Moment Ledger::end_hold(std::size_t at, Moment end, EndReason reason) {
    auto& row = entries_[at].row;
    const bool told_when = reason == EndReason::reported && row.state_since && same_client(before_, row);
    if (!told_when && before_.expires_at && *before_.expires_at < end.at && reason != EndReason::expired)
        end = {*before_.expires_at, true};
    end = bounded(end, row.boundary_at);
    auto& open = accounts_[at].open_assignment;
    if (open != none) {
        auto& assignment = new_assignments_[open];
        assignment.ended_at = end.at;
        assignment.end_reason = reason;
        assignment.ended_inferred = end.inferred;
    } else if (row.assignment_id != 0) {
        assignment_ends_.push_back({at, row.assignment_id, end.at, reason, end.inferred});
    }
    open = none;
    row.assignment_id = 0;
    row.boundary_at = end.at;
    return end;
}

void Ledger::begin_hold(std::size_t at, Moment begin) {
    auto& row = entries_[at].row;
    begin = bounded(begin, row.boundary_at);
    accounts_[at].open_assignment = new_assignments_.size();
    new_assignments_.push_back({at, row.client_id, row.hw_addr, row.remote_id, begin.at, std::nullopt, EndReason::none,
                                begin.inferred, false, line_of(row)});
    row.assignment_id = 0;
    row.boundary_at = begin.at;
}

/// Of the assignment that was begun last. An expired one is told as it was while it was in force.
void Ledger::write_assigned(std::size_t at) {
    const auto& row = entries_[at].row;
    auto& out = feed_.emplace_back();
    out = {at,
           FeedChange::assigned,
           BindingState::active,
           row.client_id,
           row.expires_at,
           {},
           new_assignments_.back().began_inferred};
    full_detail(row.in_force() ? row : before_, out.detail);
}

void Ledger::write_updated(std::size_t at, FeedChange word, const Change& change) {
    const auto& row = entries_[at].row;
    auto& out = feed_.emplace_back();
    out = {at, word, row.state, row.client_id, row.expires_at, {}, !is_live(change)};
    if (was_known(at))
        changed_detail(before_, row, out.detail);
    else
        full_detail(row, out.detail);
}

void Ledger::write_ended(std::size_t at, Moment end) {
    auto& entry = entries_[at];
    ++entry.ended;
    auto& out = feed_.emplace_back();
    out = {at, FeedChange::ended, entry.row.state, before_.client_id, entry.row.expires_at, {}, end.inferred};
    if (entry.row.client_id == before_.client_id)
        changed_detail(before_, entry.row, out.detail);
    else
        changed_detail_with_client(before_, entry.row, out.detail);
}

/// The row was there before the word at hand, in the table or by an earlier word of this batch.
bool Ledger::was_known(std::size_t at) const {
    return entries_[at].before || entries_[at].stored > 1;
}

/// It is told as it happens, and nothing that was told of the address before it is missing.
bool Ledger::is_seen_live(const Change& change) const {
    const auto missing = !concerns_client_alone(before_.doubt) && before_.doubt != Doubt::other_client;
    return is_live(change) && !missing;
}

/// When this hold on the address began, as far as the message says.
Ledger::Moment Ledger::begin_of(const Change& change) const {
    const auto& told = change.binding;
    if (change.clock_unsure) return told_at(change);
    if (told.state_since) return {ours(*told.state_since, change), false};
    if (told.client_last_seen) return {ours(*told.client_last_seen, change), !is_seen_live(change)};
    return told_at(change);
}

Ledger::Moment Ledger::told_at(const Change& change) const {
    if (change.clock_unsure) return {change.told_at.value_or(context_.now), true};
    return {ours(change.binding.base_time, change), !is_seen_live(change)};
}

/// Not after it was told, and not before the boundary before it; moved by more than what is exact, it is inferred.
Ledger::Moment Ledger::bounded(Moment m, const std::optional<UtcSeconds>& boundary) const {
    auto at = std::min(m.at, now_);
    if (boundary) at = std::max(at, *boundary);
    return {at, m.inferred || std::chrono::abs(at - m.at) > exact_within};
}

UtcSeconds Ledger::ours(ServerTime t, const Change& change) const {
    return to_utc(t, change.skew.value_or(context_.skew));
}

}  // namespace leasemirror
