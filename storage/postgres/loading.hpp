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

/// Makes one of the indexes that a first load has left out, whoever is at it, and tells whether there was one that the role
/// may make. In a
/// transaction of its own: it locks one whole table for as long as that takes, and no writer is to wait for all of them.
bool restore_left_out_index(PostgresTransaction& transaction);

/// What one session has to do with first loads. Its transactions are to be of their own: they lock whole tables.
class PostgresFirstLoad {
public:
    enum class Step : std::uint8_t { none, begin, restore };
    /// What to do before this batch is applied.
    [[nodiscard]] Step before(const Batch& batch);
    /// Leaves the indexes out, if this is a first load, and they are the role's. pqxx::sql_error: somebody who reads is in the
    /// way for long; then nothing has happened.
    void begin(PostgresTransaction& transaction, const Batch& batch);
    /// Whether the indexes are to be made now, one by one: nobody is loading any more, or this search cannot do without.
    [[nodiscard]] bool may_restore(PostgresTransaction& transaction);

    /// Whether it is time to look if somebody has left them out who is gone, or loads for too long.
    [[nodiscard]] bool should_look(UtcSeconds now);
    void released(ServerId server) { loading_.erase(server); }
    /// A new session holds no locks.
    void forget_session();

private:
    [[nodiscard]] bool takes_too_long(UtcSeconds now) const;

    std::set<ServerId> loading_;    // by this session
    std::set<ServerId> looked_at_;  // no need to ask the database again
    UtcSeconds since_{};
    UtcSeconds searched_at_{};  // when a search for clients last made sure of the indexes: once a second will do
    UtcSeconds next_look_{};
    bool must_search_ = false;
    bool has_lock_ = false;
};

}  // namespace leasemirror
