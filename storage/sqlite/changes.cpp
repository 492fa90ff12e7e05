#include "storage/sqlite/changes.hpp"

#include "storage/sqlite/error.hpp"
#include "storage/stored_text.hpp"

namespace leasemirror {

SqliteChanges::SqliteChanges(SQLite::Database& db, bool record_renewals)
    : db_(db), ledger_(record_renewals), bindings_(db), history_(db) {}

Tally SqliteChanges::apply(const BatchContext& context, const Batch& batch) {
    decide(context, batch);
    write(context, {0, ledger_.entries().size()});
    return ledger_.tally();
}

Tally SqliteChanges::apply_piecewise(const BatchContext& context, const Batch& batch, std::vector<Refused>& refused) {
    decide(context, batch);
    write_piecewise(context, batch, {0, ledger_.entries().size()}, refused);
    return ledger_.tally();
}

void SqliteChanges::decide(const BatchContext& context, const Batch& batch) {
    ledger_.begin(context, batch);
    bindings_.load(context.server, ledger_);
    history_.load_last_ends(context.server, ledger_);
    ledger_.run();
}

void SqliteChanges::write(const BatchContext& context, EntryRange entries) {
    history_.write_assignments(context.server, ledger_, entries);
    for (auto& entry : ledger_.entries().subspan(entries.first, entries.size()))
        bindings_.write(context.server, entry);
    history_.write_feed(context.server, context.now, ledger_, entries);
}

/// By halves, down to the entries that the database refuses: most often one, and so in few steps.
void SqliteChanges::write_piecewise(const BatchContext& context, const Batch& batch, EntryRange entries,
                                    std::vector<Refused>& refused) {
    if (entries.size() == 0) return;
    std::string why;
    db_.exec("SAVEPOINT piece");  // not SQLite::Savepoint, which leaves it standing after it has gone back to it
    try {
        write(context, entries);
        db_.exec("RELEASE piece");
        return;
    } catch (const SQLite::Exception& e) {
        if (!refuses_values(e)) throw;
        why = e.what();
    }
    db_.exec("ROLLBACK TO piece");
    db_.exec("RELEASE piece");
    if (entries.size() > 1) {
        const auto middle = entries.first + entries.size() / 2;
        write_piecewise(context, batch, {entries.first, middle}, refused);
        return write_piecewise(context, batch, {middle, entries.last}, refused);
    }
    auto& entry = ledger_.entries()[entries.first];
    entry.refused = true;
    for (const auto& change : batch.changes) {
        const auto& key = change.binding.key;
        if (change.kind == Change::Kind::binding && key.address == entry.row.key.address &&
            key.kind == entry.row.key.kind && key.prefix_len == entry.row.key.prefix_len &&
            storable_text(key.vpn_id) == entry.row.key.vpn_id)
            refused.push_back({&change, why});
    }
}

}  // namespace leasemirror
