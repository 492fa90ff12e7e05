// The first full bulk into an empty SQLite database. Only for this folder.
//
// Clients do not come in the order of their addresses, so each row dirties one page in each index of identifiers: past
// some hundred thousand rows a load writes little else. So while servers are loaded for the first time into what is as
// good as empty, these indexes are not there; they are made of the sorted whole when the last of the servers has been
// loaded, in the transaction that ends it. Meanwhile everything works, only a search for an identifier reads the table.
//
// What is missing stands in `meta`, so that it is made up for whatever happens in between.
#pragma once

#include "storage/ledger/first_load.hpp"
#include "storage/sqlite/statement.hpp"

#include <SQLiteCpp/Database.h>
#include <set>

namespace leasemirror {

/// Makes the indexes that a first load has left out, if any. To be called before the schema is migrated.
void restore_left_out_indexes(SQLite::Database& db);

/// Every function is to be called inside a write transaction, and throws SQLite::Exception.
class SqliteFirstLoad {
public:
    explicit SqliteFirstLoad(SQLite::Database& db);

    /// Before the changes of a batch, and after all of it.
    void begin(const Batch& batch);
    void finish(const Batch& batch);
    void on_time(UtcSeconds now);

private:
    [[nodiscard]] bool under_way();
    [[nodiscard]] bool is_first(ServerId server);
    void leave_out();
    void restore();

    SQLite::Database& db_;
    SQLite::Statement any_left_out_, is_first_;
    std::set<ServerId> loading_;
    UtcSeconds since_{};
};

}  // namespace leasemirror
