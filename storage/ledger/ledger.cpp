#include "storage/ledger/ledger.hpp"

#include "storage/ledger/stored_text.hpp"

#include <algorithm>
#include <cassert>
#include <functional>

namespace leasemirror {
namespace {

std::string_view chars(ByteView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

LedgerSettings ledger_settings(const StoreSettings& settings) {
    LedgerSettings out;
    out.record_renewals = settings.record_renewals;
    if (!for_ever(settings.retention.ended)) out.refresh = std::min(out.refresh, settings.retention.ended / 4);
    return out;
}

std::string_view to_string(FeedChange change) {
    switch (change) {
        case FeedChange::assigned:
            return "assigned";
        case FeedChange::renewed:
            return "renewed";
        case FeedChange::updated:
            return "updated";
        case FeedChange::ended:
            return "ended";
    }
    return "";
}

std::size_t Ledger::AddressHash::operator()(const IpAddress& a) const {
    return std::hash<std::string_view>{}(chars(a.bytes()));
}

std::size_t Ledger::ClientHash::operator()(const Client& c) const {
    return std::hash<std::string_view>{}(chars(c.client_id)) ^ std::hash<std::string_view>{}(c.vpn_id);
}

void Ledger::begin(const BatchContext& context, const Batch& batch) {
    context_ = context;
    batch_ = &batch;
    entries_.clear();
    accounts_.clear();
    first_at_.clear();
    held_by_.clear();
    to_load_.addresses.clear();
    to_load_.clients.clear();
    auto* const highest = to_load_.new_servers.highest(context.server);
    to_load_.bounded = highest != nullptr;
    if (to_load_.bounded) to_load_.up_to = *highest;
    feed_.clear();
    new_assignments_.clear();
    assignment_ends_.clear();
    assignment_fills_.clear();
    for (const auto& change : batch.changes) {
        if (change.kind == Change::Kind::client_list_end) {
            Client client{storable_text(change.binding.key.vpn_id), change.binding.client_id};
            if (held_by_.try_emplace(client).second) to_load_.clients.push_back(std::move(client));
        } else if (const auto& address = change.binding.key.address; first_at_.try_emplace(address, none).second) {
            if (may_be_stored(address)) to_load_.addresses.push_back(address);
            if (to_load_.bounded) *highest = std::max(highest->value_or(address), address);
        }
    }
}

bool Ledger::may_be_stored(const IpAddress& address) const {
    return !to_load_.bounded || (to_load_.up_to && address <= *to_load_.up_to);
}

std::span<const IpAddress> Ledger::addresses() const {
    return to_load_.addresses;
}

std::span<const Ledger::Client> Ledger::clients() const {
    return to_load_.clients;
}

void Ledger::add_stored(BindingRow row) {
    if (find(row.key) != none) return;
    const auto at = add_entry(row.key);
    entries_[at].before = row.state;
    entries_[at].doubt_before = row.doubt;
    if (context_.marks != nullptr)
        row.seen_run = std::max(row.seen_run, context_.marks->run_of(context_.server, row.binding_id));
    entries_[at].row = std::move(row);
    remember_client(at);
}

std::vector<BindingKey> Ledger::unknown_keys() const {
    std::vector<BindingKey> keys;
    for (const auto& change : batch_->changes) {
        if (change.kind != Change::Kind::binding || !may_be_stored(change.binding.key.address)) continue;
        auto key = change.binding.key;
        key.vpn_id = storable_text(key.vpn_id);
        if (find(key) == none) keys.push_back(std::move(key));
    }
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    return keys;
}

void Ledger::add_last_end(const BindingKey& key, UtcSeconds ended_at) {
    auto at = find(key);
    if (at == none) at = add_entry(key);
    auto& boundary = entries_[at].row.boundary_at;
    boundary = boundary ? std::max(*boundary, ended_at) : ended_at;
}

void Ledger::run() {
    const auto& changes = batch_->changes;
    for (std::size_t i = 0; i < changes.size(); ++i) {
        const auto& change = changes[i];
        now_ = change.told_at.value_or(context_.now);
        switch (change.kind) {
            case Change::Kind::binding:
                tell(change);
                break;
            case Change::Kind::client_list_end:
                assert(change.listed <= i);
                end_unlisted(change, std::span(changes).subspan(i - change.listed, change.listed));
                break;
            case Change::Kind::sighting:
                mark_sighted(change);
                break;
            case Change::Kind::doubt:
                mark_doubtful(change);
                break;
            case Change::Kind::absent:
                end_absent(change);
                break;
        }
    }
}

std::span<const FeedRow> Ledger::feed() const {
    return feed_;
}

std::span<const NewAssignment> Ledger::new_assignments() const {
    return new_assignments_;
}

std::span<const AssignmentEnd> Ledger::assignment_ends() const {
    return assignment_ends_;
}

std::span<const AssignmentFill> Ledger::assignment_fills() const {
    return assignment_fills_;
}

Tally Ledger::tally() const {
    Tally tally;
    for (const auto& entry : entries_) {
        tally.refused += entry.refused ? 1 : 0;
        tally.lacking += entry.refused && !entry.refusal_shown ? 1 : 0;
        tally.by_state.doubts += entry.refusal_shown && entry.doubt_before == Doubt::none ? 1 : 0;
        if (entry.refused || entry.write == Entry::Write::none || entry.write == Entry::Write::listing) continue;
        if (entry.before) --tally.by_state[*entry.before];
        ++tally.by_state[entry.row.state];
        tally.doubts_told_live += entry.doubted_live && is_told_live(entry.row.doubt) ? 1 : 0;
        tally.by_state.doubts += (entry.row.doubt == Doubt::none ? 0 : 1) - (entry.doubt_before == Doubt::none ? 0 : 1);
        tally.stored += entry.stored;
        tally.ended += entry.ended;
    }
    return tally;
}

std::vector<DoubtfulBinding> Ledger::new_doubts() const {
    std::vector<DoubtfulBinding> out;
    for (const auto& entry : entries_) {
        if (out.size() == doubts_told_max) break;
        if (entry.refused) {
            if (!entry.refusal_shown) continue;
            out.push_back(doubtful(entry.row));
            out.back().why = Doubt::refused;
        } else if (entry.row.doubt != Doubt::none && entry.row.doubt != entry.doubt_before) {
            out.push_back(doubtful(entry.row));
        }
    }
    return out;
}

std::size_t Ledger::find(const BindingKey& key) const {
    const auto first = first_at_.find(key.address);
    if (first == first_at_.end()) return none;
    for (auto at = first->second; at != none; at = accounts_[at].next_at_address)
        if (entries_[at].row.key == key) return at;
    return none;
}

std::size_t Ledger::add_entry(const BindingKey& key) {
    const auto at = entries_.size();
    entries_.emplace_back().row.key = key;
    auto& first = first_at_.try_emplace(key.address, none).first->second;
    accounts_.push_back({first, none});
    first = at;
    return at;
}

/// In the table, or to be inserted.
bool Ledger::exists(std::size_t at) const {
    return entries_[at].before || entries_[at].write != Entry::Write::none;
}

/// For the lists of clients in this batch: what they hold by now.
void Ledger::remember_client(std::size_t at) {
    if (held_by_.empty() || entries_[at].row.client_id.empty()) return;
    const auto found = held_by_.find({entries_[at].row.key.vpn_id, entries_[at].row.client_id});
    if (found == held_by_.end()) return;
    auto& held = found->second;
    if (std::find(held.begin(), held.end(), at) == held.end()) held.push_back(at);
}

BindingKey Ledger::stored_key(const BindingKey& told) {
    auto key = told;
    if (!key.vpn_id.empty()) key.vpn_id = storable_text(told.vpn_id, scratch_);
    return key;
}

/// Whether what is told now is as new as what there is, or newer (batch.hpp, Change::Kind::binding). What one bulk lists
/// is younger than all that came before it was asked, whatever exchange that came by. What is in doubt since this second
/// yields to what was asked for after that, and to what is told live: a bulk that was under way may have listed it before.
bool Ledger::is_newer(const Change& change, const BindingRow& row) const {
    const RecordAge age = age_of(change);
    const auto run = static_cast<std::int64_t>(change.run);
    const bool in_stream =
        age.epoch == row.age.epoch && age.via == Via::active && row.age.via == Via::active && !change.late;
    // What a question told was of one client: it says nothing of the next one.
    const bool of_next_client = age.epoch == row.age.epoch && age.via == Via::active &&
                                row.end_reason == EndReason::asked && change.kind == Change::Kind::binding &&
                                change.binding.in_force() && change.binding.client_id != row.client_id;
    const bool may_be_out_of_order = in_stream || of_next_client;
    if (may_be_out_of_order && age.base_time + Change::disorder_window.count() >= row.age.base_time) return true;
    const bool same_second = age.epoch == row.age.epoch && age.base_time == row.age.base_time;
    if (same_second && row.doubt != Doubt::none && run == row.seen_run) return age.via == Via::active;
    if (same_second && run != 0 && run != row.seen_run) return run > row.seen_run;
    return replaces(age, row.age);
}

RecordAge Ledger::age_of(const Change& change) const {
    return {context_.epoch, unix_seconds(change.binding.base_time), change.binding.via};
}

/// A record that lost to a newer one still says that the server has the binding.
void Ledger::mark_listed(std::size_t at, const Change& change) {
    if (change.run == 0 && change.scope == 0) return;
    auto& entry = entries_[at];
    entry.row.seen_run = std::max(entry.row.seen_run, static_cast<std::int64_t>(change.run));
    if (change.scope != 0) entry.row.scope = change.scope;
    entry.write = std::max(entry.write, Entry::Write::listing);
}

}  // namespace leasemirror
