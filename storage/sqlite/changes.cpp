#include "storage/sqlite/changes.hpp"

#include "storage/sqlite/error.hpp"

namespace leasemirror {
namespace {
constexpr const char* show_refusal_sql = R"sql(
    UPDATE binding SET doubt = 'refused', epoch = ?2, base_time = ?3, seen_run = ?4, scope = ?5 WHERE binding_id = ?1)sql";
}  // namespace

SqliteChanges::SqliteChanges(SQLite::Database& db, const LedgerSettings& settings)
    : db_(db), ledger_(settings), bindings_(db), history_(db), show_refusal_(db, show_refusal_sql) {}

Tally SqliteChanges::apply(const BatchContext& context, const Batch& batch) {
    decide(context, batch);
    write(context, ledger_.all());
    return ledger_.tally();
}

Tally SqliteChanges::apply_piecewise(const BatchContext& context, const Batch& batch, Refusals& refusals) {
    decide(context, batch);
    refusals = write_piecewise(
        ledger_, batch, [&](EntryRange entries) { return write_piece(context, entries); },
        [&](const BindingRow& row) { return show_refusal(row); });
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
    for (auto& entry : ledger_.entries(entries))
        bindings_.write(context.server, entry);
    history_.write_feed(context.server, context.now, ledger_, entries);
}

std::optional<std::string> SqliteChanges::write_piece(const BatchContext& context, EntryRange entries) {
    std::optional<std::string> why;
    db_.exec("SAVEPOINT piece");  // not SQLite::Savepoint, which leaves it standing after it has gone back to it
    try {
        write(context, entries);
    } catch (const SQLite::Exception& e) {
        if (!refuses_values(e)) throw;
        why = e.what();
        db_.exec("ROLLBACK TO piece");
    }
    db_.exec("RELEASE piece");
    return why;
}

/// A statement that fails has changed nothing.
bool SqliteChanges::show_refusal(const BindingRow& row) {
    try {
        Use use(show_refusal_);
        use.number(1, row.binding_id);
        use.number(2, row.age.epoch);
        use.number(3, row.age.base_time);
        use.number(4, row.seen_run);
        use.number(5, row.scope);
        use.run();
        return true;
    } catch (const SQLite::Exception& e) {
        if (!refuses_values(e)) throw;
        return false;
    }
}

}  // namespace leasemirror
