// What the changes of a batch do in SQLite: the ledger decides, this carries it out. Only for this folder.
#pragma once

#include "storage/ledger/refusals.hpp"
#include "storage/sqlite/bindings.hpp"
#include "storage/sqlite/history.hpp"

#include <SQLiteCpp/Database.h>
#include <optional>
#include <span>
#include <string>

namespace leasemirror {

/// Every function is to be called inside a write transaction, and throws SQLite::Exception.
class SqliteChanges {
public:
    SqliteChanges(SQLite::Database& db, const LedgerSettings& settings);

    /// Applies the changes of a batch. A row that the database refuses is an exception: the transaction is to be
    /// rolled back.
    Tally apply(const BatchContext& context, const Batch& batch);

    /// The same for a batch that has such rows.
    Tally apply_piecewise(const BatchContext& context, const Batch& batch, Refusals& refusals);

    /// These servers were taken over.
    void opened(std::span<const ResumePoint> servers) { ledger_.opened(servers); }

    /// Of the last batch.
    [[nodiscard]] std::vector<DoubtfulBinding> new_doubts() const { return ledger_.new_doubts(); }
    /// Of one server, those known longest first, but for the first `after`; doubts_told_max at most.
    [[nodiscard]] std::vector<DoubtfulBinding> in_doubt(ServerId server, std::uint64_t after = 0) {
        return bindings_.in_doubt(server, after);
    }

private:
    bool show_refusal(const BindingRow& row);
    void decide(const BatchContext& context, const Batch& batch);
    void write(const BatchContext& context, EntryRange entries);
    std::optional<std::string> write_piece(const BatchContext& context, EntryRange entries);

    SQLite::Database& db_;
    Ledger ledger_;
    SqliteBindings bindings_;
    SqliteHistory history_;
    SQLite::Statement show_refusal_;
};

}  // namespace leasemirror
