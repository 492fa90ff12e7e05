// How bindings end in SQLite that no message ends: not listed by a full bulk, or past their expiry. Whole sets at once,
// in all three tables. Only for this folder.
#pragma once

#include "storage/ledger/ledger.hpp"
#include "storage/sqlite/marks.hpp"
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

    /// Who is not marked, and not written as listed, has not been listed.
    [[nodiscard]] SqliteMarks& marks() { return marks_; }

    struct Reconciled {
        std::uint64_t ended = 0;
        std::int64_t settled = 0;  ///< of these, how many had been in doubt
        std::int64_t doubted = 0;  ///< how many are in doubt now, and were not
    };
    Reconciled reconcile(const BatchContext& context, const Reconcile& reconcile);
    /// By server. Of `servers` alone, a JSON array of their ids.
    std::map<ServerId, std::int64_t> expire(UtcSeconds now, BindingRange range, const std::string& servers);

private:
    std::int64_t look(SQLite::Statement& statement, const BatchContext& context, const Reconcile& reconcile,
                      const std::string& scopes);
    void end_chosen(EndReason reason, UtcSeconds now);
    void forget_chosen();

    SqliteMarks marks_;
    SQLite::Statement choose_unlisted_, choose_expired_, doubt_unread_, doubt_unreached_, count_doubts_, count_chosen_,
        forget_chosen_;
    SQLite::Statement tell_, end_assignments_, end_unlisted_, end_expired_;
};

}  // namespace leasemirror
