// How bindings end in SQLite that no message ends: not listed by a full bulk, or past their expiry. Whole sets at once,
// in all three tables. Only for this folder.
#pragma once

#include "storage/ledger.hpp"
#include "storage/sqlite/statement.hpp"

#include <SQLiteCpp/Database.h>
#include <map>

namespace leasemirror {

/// What lies between two places in the table, `after` < binding_id <= `last`.
struct BindingRange {
    std::int64_t after = 0;
    std::int64_t last = 0;
};

/// Every function is to be called inside a write transaction, and throws SQLite::Exception.
class SqliteEndings {
public:
    /// Makes a temporary table, which belongs to this connection and is seen by no other.
    explicit SqliteEndings(SQLite::Database& db);

    /// The number of bindings that ended.
    std::uint64_t reconcile(const BatchContext& context, const Reconcile& reconcile);
    /// By server. Of `servers` alone, a JSON array of their ids.
    std::map<ServerId, std::int64_t> expire(UtcSeconds now, BindingRange range, const std::string& servers);

private:
    void end_chosen(EndReason reason, UtcSeconds now);
    void forget_chosen();

    SQLite::Statement choose_unlisted_, choose_expired_, count_chosen_, forget_chosen_;
    SQLite::Statement tell_, end_assignments_, end_unlisted_, end_expired_;
};

}  // namespace leasemirror
