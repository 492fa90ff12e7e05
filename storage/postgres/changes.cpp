#include "storage/postgres/changes.hpp"

#include "storage/postgres/doubts.hpp"

#include <algorithm>

namespace leasemirror {

Tally PostgresChanges::apply(PostgresTransaction& transaction, const BatchContext& context, const Batch& batch) {
    decide(transaction, context, batch);
    write(transaction, context, ledger_.all());
    return ledger_.tally();
}

void PostgresChanges::write_feed(PostgresFeed& feed, const BatchContext& context, PostgresFeed::Then then) {
    feed.write(context.server, context.now, ledger_, ledger_.all(), then);
}

Tally PostgresChanges::apply_piecewise(PostgresTransaction& transaction, PostgresFeed& feed,
                                       const BatchContext& context, const Batch& batch, Refusals& refusals) {
    decide(transaction, context, batch);
    feed.lock();
    refusals = write_piecewise(
        ledger_, batch, [&](EntryRange entries) { return write_piece(transaction, feed, context, entries); },
        [&](const BindingRow& row) { return show_refusal(transaction, context.server, row); });
    return ledger_.tally();
}

void PostgresChanges::decide(PostgresTransaction& transaction, const BatchContext& context, const Batch& batch) {
    ledger_.begin(context, batch);
    load_bindings(transaction, context.server, ledger_);
    load_last_ends(transaction, context.server, ledger_, any_end_);
    ledger_.run();
    const auto news = ledger_.new_assignments();
    const bool ends = !ledger_.assignment_ends().empty() ||
                      std::any_of(news.begin(), news.end(), [](const auto& a) { return a.ended_at.has_value(); });
    if (ends) any_end_ = true;
}

void PostgresChanges::write(PostgresTransaction& transaction, const BatchContext& context, EntryRange entries) {
    write_assignments(transaction, context.server, ledger_, entries);
    write_bindings(transaction, context.server, ledger_, entries);
}

std::optional<std::string> PostgresChanges::write_piece(PostgresTransaction& transaction, PostgresFeed& feed,
                                                        const BatchContext& context, EntryRange entries) {
    std::optional<std::string> why;
    transaction.execute("SAVEPOINT piece");
    try {
        write(transaction, context, entries);
        feed.write(context.server, context.now, ledger_, entries, PostgresFeed::Then::more);
    } catch (const pqxx::failure& e) {
        if (!refuses_values(e)) throw;
        why = first_line(e.what());
    }
    transaction.execute(why ? "ROLLBACK TO piece; RELEASE piece" : "RELEASE piece");
    return why;
}

}  // namespace leasemirror
