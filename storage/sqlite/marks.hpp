// What a full bulk has listed as it is stored, for SQLite (storage/ledger/listing_marks.hpp). Only for this folder.
#pragma once

#include "storage/ledger/listing_marks.hpp"
#include "storage/sqlite/statement.hpp"

#include <SQLiteCpp/Database.h>

namespace leasemirror {

/// Every function that is not const is to be called inside a write transaction, but for committed() and forget().
class SqliteMarks {
public:
    /// Makes the function marked_run(server_id, binding_id) of this connection: ListingMarks::run_of().
    explicit SqliteMarks(SQLite::Database& db);
    SqliteMarks(const SqliteMarks&) = delete;
    SqliteMarks& operator=(const SqliteMarks&) = delete;

    /// Throws StoreError `behind` where require_marks() does.
    void begin(const Batch& batch);
    /// After the changes of a batch: has the database say that this session marks, from the first time on.
    void keep(ServerId server);
    void committed(const Batch& batch) { marks_.committed(batch); }
    void forget(ServerId server) { marks_.forget(server); }
    [[nodiscard]] ListingMarks& marks() { return marks_; }

private:
    ListingMarks marks_;
    SQLite::Statement kept_, keep_;
};

}  // namespace leasemirror
