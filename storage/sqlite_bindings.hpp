// The table `binding` in SQLite: what a server's word does to it. Only for the sqlite_* files.
#pragma once

#include "storage/sqlite_statement.hpp"
#include "storage/store.hpp"

#include <SQLiteCpp/Database.h>
#include <string>

namespace leasemirror {

/// What is the same for all changes of one batch.
struct BatchContext {
    ServerId server = 0;
    std::int64_t epoch = 0;
    UtcSeconds now{};
    Skew skew{};
};

/// What a batch did, summed up.
struct Tally {
    std::uint64_t stored = 0;
    std::uint64_t ended = 0;
    std::uint64_t reconciled = 0;
    std::int64_t in_force = 0;  ///< by how much the number of bindings in force has changed
};

/// Writes what servers say. Every function is to be called inside a write transaction, and throws SQLite::Exception;
/// after one that refuses_values() the transaction can go on as if the call had not been made, since each writes with
/// one statement and SQLite undoes a failed statement alone.
class SqliteBindings {
public:
    explicit SqliteBindings(SQLite::Database& db);

    void store(const BatchContext& context, const Change& change, Tally& tally);
    void mark_sighted(const BatchContext& context, const Change& sighting);

private:
    struct Stored;   // what the table has under the key of a change
    struct Outcome;  // what it will have

    bool find(const BatchContext& context, const Change& change, Stored& stored);
    void mark_listed(std::int64_t binding_id, const Change& change);
    void prepare_texts(const Binding& told);
    void bind_row(Use& use, const BatchContext& context, const Change& change, const Outcome& outcome);
    void bind_indexed(Use& use, const Binding& told);
    void insert(const BatchContext& context, const Change& change, const Outcome& outcome);
    void update(const BatchContext& context, const Change& change, const Stored& stored, const Outcome& outcome);

    SQLite::Statement find_, insert_, update_, update_unindexed_, mark_listed_, mark_sighted_;
    // The texts of the change at hand; members, so that a steady stream of changes reuses their memory.
    std::string vpn_id_, address_, hw_addr_, link_address_, relay_address_, hostname_, options_, scratch_;
};

}  // namespace leasemirror
