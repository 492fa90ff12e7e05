// Times that were stored while our own clock was wrong. Only for this folder.
#pragma once

#include "storage/batch.hpp"
#include "storage/sqlite/statement.hpp"

#include <SQLiteCpp/Database.h>
#include <chrono>

namespace leasemirror {

/// Every function is to be called inside a write transaction, and throws SQLite::Exception.
class SqliteClock {
public:
    explicit SqliteClock(SQLite::Database& db);

    /// Moves all times of this server that are in our clock: of its bindings, of the assignments that are open, and
    /// `fresh_as_of`.
    void move(ServerId server, std::chrono::seconds by);
    /// What is stored of this server may be in another clock: the beginnings of its open assignments are inferred, and
    /// `fresh_as_of` is not known.
    void doubt(ServerId server);

private:
    SQLite::Statement assignments_, bindings_, server_, beginnings_, freshness_;
};

}  // namespace leasemirror
