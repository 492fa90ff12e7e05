#include "storage/postgres/changes.hpp"

#include "storage/stored_text.hpp"

namespace leasemirror {

Tally PostgresChanges::apply(PostgresTransaction& transaction, const BatchContext& context, const Batch& batch) {
    decide(transaction, context, batch);
    const LedgerRange all{0, ledger_.entries().size()};
    write_assignments(transaction, context.server, ledger_, all);
    write_bindings(transaction, context.server, ledger_, all);
    return ledger_.tally();
}

void PostgresChanges::write_feed(PostgresFeed& feed, const BatchContext& context, PostgresFeed::Then then) {
    feed.write(context.server, context.now, ledger_, {0, ledger_.entries().size()}, then);
}

Tally PostgresChanges::apply_piecewise(PostgresTransaction& transaction, PostgresFeed& feed,
                                       const BatchContext& context, const Batch& batch, std::vector<Refused>& refused) {
    decide(transaction, context, batch);
    feed.lock();
    write_piecewise(transaction, feed, context, batch, {0, ledger_.entries().size()}, refused);
    return ledger_.tally();
}

void PostgresChanges::decide(PostgresTransaction& transaction, const BatchContext& context, const Batch& batch) {
    ledger_.begin(context, batch);
    load_bindings(transaction, context.server, ledger_);
    load_last_ends(transaction, context.server, ledger_);
    ledger_.run();
}

/// By halves, down to the entries that the database refuses: most often one, and so in few steps.
void PostgresChanges::write_piecewise(PostgresTransaction& transaction, PostgresFeed& feed, const BatchContext& context,
                                      const Batch& batch, LedgerRange entries, std::vector<Refused>& refused) {
    if (entries.size() == 0) return;
    std::string why;
    transaction.execute("SAVEPOINT piece");
    try {
        write_assignments(transaction, context.server, ledger_, entries);
        write_bindings(transaction, context.server, ledger_, entries);
        feed.write(context.server, context.now, ledger_, entries, PostgresFeed::Then::more);
        transaction.execute("RELEASE piece");
        return;
    } catch (const pqxx::failure& e) {
        if (!refuses_values(e)) throw;
        why = first_line(e.what());
    }
    transaction.execute("ROLLBACK TO piece; RELEASE piece");
    if (entries.size() > 1) {
        const auto middle = entries.first + entries.size() / 2;
        write_piecewise(transaction, feed, context, batch, {entries.first, middle}, refused);
        return write_piecewise(transaction, feed, context, batch, {middle, entries.last}, refused);
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
