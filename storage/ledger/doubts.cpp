// What the server said of a binding without telling how it is: it was in a message that could not be read, or was left
// out of a list or of an answer. The binding ends, or is in doubt (batch.hpp, Change::Kind).
#include "storage/ledger/ledger.hpp"
#include "storage/ledger/stored_text.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

bool is_one_of(const BindingKey& key, std::span<const Change> listed) {
    return std::any_of(listed.begin(), listed.end(), [&key](const Change& change) {
        const auto& other = change.binding.key;
        if (other.address != key.address) return false;
        return change.kind == Change::Kind::sighting || (other.kind == key.kind && other.prefix_len == key.prefix_len);
    });
}

/// A message that could not be read may have hidden its base-time too.
bool has_age(const Change& change) {
    return change.binding.base_time != ServerTime{};
}

}  // namespace

bool Ledger::concerns_client_alone(Doubt doubt) {
    return doubt == Doubt::none || doubt == Doubt::unlisted || doubt == Doubt::link_unknown;
}

void Ledger::mark_sighted(const Change& sighting) {
    const auto first = first_at_.find(sighting.binding.key.address);
    if (first == first_at_.end()) return;
    for (auto at = first->second; at != none; at = accounts_[at].next_at_address) {
        if (!exists(at)) continue;
        const auto& row = entries_[at].row;
        if (sighting.doubt != Doubt::none && (!has_age(sighting) || is_newer(sighting, row)))
            doubt_row(at, sighting.doubt, sighting);
        else
            mark_listed(at, sighting);
    }
}

void Ledger::mark_doubtful(const Change& change) {
    const auto at = find(stored_key(change.binding.key));
    if (at == none || !exists(at) || (has_age(change) && !is_newer(change, entries_[at].row))) return;
    doubt_row(at, change.doubt, change);
}

/// It stays as it is. But what had been told before does not settle the doubt when it arrives late. A list does not weaken a
/// doubt that is about more than its client.
void Ledger::doubt_row(std::size_t at, Doubt why, const Change& change) {
    mark_listed(at, change);
    auto& row = entries_[at].row;
    if (concerns_client_alone(why) && !concerns_client_alone(row.doubt)) why = row.doubt;
    const auto told = age_of(change);
    auto age = row.age;
    if (told.epoch == age.epoch) {
        age.base_time = std::max(age.base_time, told.base_time);
    } else if (has_age(change)) {
        age.epoch = told.epoch;
        age.base_time = told.base_time;
    }
    if (row.doubt == why && row.age.epoch == age.epoch && row.age.base_time == age.base_time) return;
    row.doubt = why;
    row.age = age;
    entries_[at].doubted_live = entries_[at].doubted_live || is_told_live(why);
    rewrite(at);
}

void Ledger::end_absent(const Change& answer) {
    const auto at = find(stored_key(answer.binding.key));
    if (at == none || !exists(at)) return;
    auto& row = entries_[at].row;
    if (row.doubt == Doubt::none || !is_newer(answer, row)) return;
    if (row.in_force()) return end_in_force(at, answer, EndReason::asked);
    row.doubt = Doubt::none;
    rewrite(at);
}

void Ledger::end_unlisted(const Change& list_end, std::span<const Change> listed) {
    const auto& link = list_end.binding.link_address;
    for (const auto at : held_by(list_end.binding)) {
        const auto& row = entries_[at].row;
        if (!is_newer(list_end, row) || is_one_of(row.key, listed)) continue;
        if (!link || !row.link_address)
            doubt_row(at, list_end.doubt == Doubt::unreadable ? Doubt::unreadable : Doubt::link_unknown, list_end);
        else if (*link != *row.link_address)
            continue;
        else if (list_end.doubt != Doubt::none)
            doubt_row(at, list_end.doubt, list_end);
        else
            end_in_force(at, list_end, EndReason::unlisted);
    }
}

/// What this client has in force. Not in the order in which it was loaded: that is the engine's.
std::vector<std::size_t> Ledger::held_by(const Binding& client) const {
    std::vector<std::size_t> rows;
    if (const auto found = held_by_.find({storable_text(client.key.vpn_id), client.client_id}); found != held_by_.end())
        for (const auto at : found->second)
            if (entries_[at].row.in_force() && entries_[at].row.client_id == client.client_id) rows.push_back(at);
    std::sort(rows.begin(), rows.end(), [this](auto a, auto b) { return entries_[a].row.key < entries_[b].row.key; });
    return rows;
}

/// What ends a binding here also takes over its age, so that an older message that arrives later does not bring it back.
void Ledger::end_in_force(std::size_t at, const Change& change, EndReason reason) {
    auto& row = entries_[at].row;
    before_ = row;
    row.state = BindingState::ended;
    row.end_reason = reason;
    if (reason != EndReason::unlisted || concerns_client_alone(row.doubt)) row.doubt = Doubt::none;
    row.age = age_of(change);
    row.updated_at = context_.now;
    mark_listed(at, change);
    rewrite(at);
    auto end = told_at(change);
    end.inferred = end.inferred || reason == EndReason::asked;
    write_ended(at, end_hold(at, end, reason));
}

void Ledger::rewrite(std::size_t at) {
    auto& entry = entries_[at];
    const bool same_doubt = entry.row.doubt == entry.doubt_before;
    const auto write = same_doubt ? Entry::Write::renewal : Entry::Write::whole;
    entry.write = std::max(entry.write, entry.before ? write : Entry::Write::insert);
}

}  // namespace leasemirror
