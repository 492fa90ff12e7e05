// The tables `gap` and `quarantine` in SQLite. Only for this folder.
#pragma once

#include "storage/batch.hpp"
#include "storage/quarantine_limits.hpp"
#include "storage/sqlite/statement.hpp"

#include <SQLiteCpp/Database.h>
#include <span>
#include <vector>

namespace leasemirror {

/// The recoveries of a server that are open, oldest first.
[[nodiscard]] std::vector<Gap> read_open_gaps(SQLite::Database& db, ServerId server);

/// Every function is to be called inside a write transaction, and throws SQLite::Exception. All are safe to repeat.
class SqliteGaps {
public:
    explicit SqliteGaps(SQLite::Database& db);
    void apply(ServerId server, UtcSeconds now, const GapChange& change, std::uint64_t reconciled);

private:
    SQLite::Statement open_, widen_, close_;
};

class SqliteQuarantine {
public:
    explicit SqliteQuarantine(SQLite::Database& db);
    void add(ServerId server, std::span<const QuarantineEntry> entries);

private:
    SQLite::Statement insert_, trim_;
};

}  // namespace leasemirror
