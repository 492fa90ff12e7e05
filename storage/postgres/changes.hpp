// What the changes of a batch do in PostgreSQL: the ledger decides, this carries it out. Only for this folder.
#pragma once

#include "storage/ledger/refusals.hpp"
#include "storage/postgres/history.hpp"

#include <optional>
#include <span>
#include <string>

namespace leasemirror {

class PostgresChanges {
public:
    explicit PostgresChanges(const LedgerSettings& settings) : ledger_(settings) {}

    /// Applies the changes of a batch, all but what they write to the feed. A row that the database refuses is an
    /// exception: the transaction is to be rolled back.
    Tally apply(PostgresTransaction& transaction, const BatchContext& context, const Batch& batch);
    /// The rest of it.
    void write_feed(PostgresFeed& feed, const BatchContext& context, PostgresFeed::Then then);

    /// Both of the above for a batch that has such rows.
    Tally apply_piecewise(PostgresTransaction& transaction, PostgresFeed& feed, const BatchContext& context,
                          const Batch& batch, Refusals& refusals);

    /// That an assignment of a server of this store has ended by something else than a batch's changes.
    void note_ends() { any_end_ = true; }
    /// These servers were taken over.
    void opened(std::span<const ResumePoint> servers) {
        any_end_.reset();
        ledger_.opened(servers);
    }

    /// Of the last batch.
    [[nodiscard]] std::vector<DoubtfulBinding> new_doubts() const { return ledger_.new_doubts(); }

private:
    void decide(PostgresTransaction& transaction, const BatchContext& context, const Batch& batch);
    void write(PostgresTransaction& transaction, const BatchContext& context, EntryRange entries);
    std::optional<std::string> write_piece(PostgresTransaction& transaction, PostgresFeed& feed,
                                           const BatchContext& context, EntryRange entries);

    Ledger ledger_;
    std::optional<bool> any_end_;  // of the assignments of all servers; none: not known
};

}  // namespace leasemirror
