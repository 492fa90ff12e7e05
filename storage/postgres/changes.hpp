// What the changes of a batch do in PostgreSQL: the ledger decides, this carries it out. Only for the postgres_* files.
#pragma once

#include "storage/ledger.hpp"
#include "storage/postgres/history.hpp"

#include <string>
#include <vector>

namespace leasemirror {

class PostgresChanges {
public:
    explicit PostgresChanges(bool record_renewals) : ledger_(record_renewals) {}

    /// Applies the changes of a batch, all but what they write to the feed. A row that the database refuses is an
    /// exception: the transaction is to be rolled back.
    Tally apply(PostgresTransaction& transaction, const BatchContext& context, const Batch& batch);
    /// The rest of it.
    void write_feed(PostgresFeed& feed, const BatchContext& context, PostgresFeed::Then then);

    /// A change of which nothing was written, because the database refused a row of its binding.
    struct Refused {
        const Change* change = nullptr;
        std::string why;
    };
    /// Both of the above for a batch that has such rows: their bindings stay as they were, and all the others are
    /// written.
    Tally apply_piecewise(PostgresTransaction& transaction, PostgresFeed& feed, const BatchContext& context,
                          const Batch& batch, std::vector<Refused>& refused);

private:
    void decide(PostgresTransaction& transaction, const BatchContext& context, const Batch& batch);
    void write_piecewise(PostgresTransaction& transaction, PostgresFeed& feed, const BatchContext& context,
                         const Batch& batch, LedgerRange entries, std::vector<Refused>& refused);

    Ledger ledger_;
};

}  // namespace leasemirror
