#include "storage/ledger/refusals.hpp"

#include "storage/ledger/stored_text.hpp"

namespace leasemirror {
namespace {

bool tells_of(const Change& change, const BindingKey& stored) {
    const auto& key = change.binding.key;
    return change.kind == Change::Kind::binding && key.address == stored.address && key.kind == stored.kind &&
           key.prefix_len == stored.prefix_len && storable_text(key.vpn_id) == stored.vpn_id;
}

void refuse(Ledger::Entry& entry, const Batch& batch, const std::string& why, Refusals& out) {
    entry.refused = true;
    for (const auto& change : batch.changes) {
        if (!tells_of(change, entry.row.key)) continue;
        const auto record = to_string(change.binding);
        auto& line = out.lines.emplace_back("the database refused a binding: ");
        line.append(why).append(": ").append(record);
        out.quarantine.push_back({batch.now, "the database refused it: " + why, Bytes(record.begin(), record.end())});
    }
}

/// By halves, down to the entries that the database refuses: most often one, and so in few steps.
void write_by_halves(Ledger& ledger, const Batch& batch, const WritePiece& write, EntryRange entries, Refusals& out) {
    if (entries.size() == 0) return;
    const auto why = write(entries);
    if (!why) return;
    if (entries.size() == 1) return refuse(ledger.entries()[entries.first], batch, *why, out);
    const auto middle = entries.first + entries.size() / 2;
    write_by_halves(ledger, batch, write, {entries.first, middle}, out);
    write_by_halves(ledger, batch, write, {middle, entries.last}, out);
}

}  // namespace

Refusals write_piecewise(Ledger& ledger, const Batch& batch, const WritePiece& write, const ShowRefusal& show) {
    Refusals out;
    write_by_halves(ledger, batch, write, ledger.all(), out);
    for (auto& entry : ledger.entries())
        if (entry.refused && entry.before) entry.refusal_shown = show(entry.row);
    return out;
}

}  // namespace leasemirror
