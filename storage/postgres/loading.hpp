// The first full bulk into an empty PostgreSQL database. Only for this folder.
//
// As in SQLite (storage/sqlite/loading.hpp): while servers are loaded for the first time into what is as good as empty, the
// indexes of identifiers are not there. They are made of the sorted whole before the last batch of the last of these
// servers. Meanwhile everything works, only a search for an identifier reads the table.
//
// What is missing stands in `meta`, so that it is made up for whatever happens in between; and each session that loads
// holds a lock, so that the others know whether somebody still does.
#pragma once

#include "storage/ledger/first_load.hpp"
#include "storage/postgres/connection.hpp"

#include <cstdint>
#include <set>

namespace leasemirror {

/// A batch with fewer changes is none of a load that is worth it.
constexpr std::size_t first_load_batch_min = 1000;

/// Makes the indexes that a first load has left out, if any, whoever is at it.
void restore_left_out_indexes(PostgresTransaction& transaction);

/// What one session has to do with first loads. Its transactions are to be of their own: they lock whole tables.
class PostgresFirstLoad {
public:
    enum class Step : std::uint8_t { none, begin, end, restore };
    /// What to do before this batch is applied.
    [[nodiscard]] Step before(const Batch& batch);
    /// Leaves the indexes out, if this is a first load. pqxx::sql_error: somebody who reads is in the way for long, or the
    /// role does not own the tables; then nothing has happened.
    void begin(PostgresTransaction& transaction, const Batch& batch);
    /// The server of the batch is loaded: makes the indexes, unless other servers are not.
    void end(PostgresTransaction& transaction, const Batch& batch);
    /// Makes the indexes now, if nobody is loading any more.
    void restore_if_abandoned(PostgresTransaction& transaction);
    /// That was not so when it was last looked at, and they are still to be made.
    [[nodiscard]] bool waits_for_others() const { return others_load_; }
    /// A new session holds no locks.
    void forget_session();

private:
    std::set<ServerId> loading_;    // by this session
    std::set<ServerId> looked_at_;  // no need to ask the database again
    UtcSeconds since_{};
    UtcSeconds searched_at_{};  // when a search for clients last made sure of the indexes: once a second will do
    bool others_load_ = false;
};

}  // namespace leasemirror
