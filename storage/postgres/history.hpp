// The tables `assignment` and `binding_change` in PostgreSQL: what the ledger writes there. Only for this folder.
#pragma once

#include "storage/ledger/ledger.hpp"
#include "storage/postgres/bindings.hpp"
#include "storage/postgres/connection.hpp"

#include <optional>

namespace leasemirror {

/// Gives the ledger the ends of assignments whose bindings are gone. A first full bulk asks for very many, and there are none:
/// `any` says whether any assignment has ended. It is found out where that is worth it, and not known.
void load_last_ends(PostgresTransaction& transaction, ServerId server, Ledger& ledger, std::optional<bool>& any);

/// Writes what belongs to these entries. Sets assignment_id of the entries whose assignment is open: so before the rows
/// of `binding`.
void write_assignments(PostgresTransaction& transaction, ServerId server, Ledger& ledger, EntryRange entries);

/// The end of the change feed, in one transaction. Who writes there holds a lock from before the first row to after the
/// commit, so that numbers become visible in their order: so as the last thing of the transaction.
class PostgresFeed {
public:
    explicit PostgresFeed(PostgresTransaction& transaction) : transaction_(transaction) {}

    /// What comes next: with `commit`, it wakes who listens, too.
    enum class Then : std::uint8_t { more, commit };
    void write(ServerId server, UtcSeconds now, Ledger& ledger, EntryRange entries, Then then);
    /// For those who write there with statements of their own. Not inside of a savepoint: going back to it would end
    /// the lock.
    void lock();
    /// To be called once, right before the commit: wakes who listens, if anything was written since they were woken.
    void notify();

private:
    PostgresTransaction& transaction_;
    bool locked_ = false;  // by a statement of its own
    bool must_notify_ = false;
};

}  // namespace leasemirror
