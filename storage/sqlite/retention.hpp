// What is past and no longer to be kept, in SQLite. Only for this folder.
#pragma once

#include "storage/settings.hpp"
#include "storage/sqlite/servers.hpp"
#include "storage/sqlite/statement.hpp"

#include <SQLiteCpp/Database.h>
#include <map>

namespace leasemirror {

/// Rows of one kind that one step removes at most, however many it may look at: each is written to a handful of
/// indexes, and nobody else can write meanwhile.
constexpr std::size_t removed_rows_max = 2000;

/// Every function throws SQLite::Exception. Those that remove are to be called inside a write transaction; those that
/// look whether it is worth one, anywhere.
class SqliteRetention {
public:
    SqliteRetention(SQLite::Database& db, const Retention& keep);

    /// Bindings that are not in force, of `servers` alone (a JSON array), in (after, last]. Where that are more than
    /// one step may remove, `reached` is the last one that was.
    struct RemovedBindings {
        std::uint64_t rows = 0;
        std::int64_t reached = 0;
        std::map<ServerId, StateCounts> counts;  ///< to be added to the counts
    };
    RemovedBindings remove_bindings(UtcSeconds now, std::int64_t after, std::int64_t last, const std::string& servers);

    [[nodiscard]] bool changes_due(UtcSeconds now);
    std::uint64_t remove_changes(UtcSeconds now, std::size_t rows);
    /// Servers that were forgotten, and of which the feed has no row any more.
    [[nodiscard]] bool servers_due();
    void remove_servers();
    [[nodiscard]] bool assignments_due(UtcSeconds now);
    std::uint64_t remove_assignments(UtcSeconds now, std::size_t rows);

private:
    const Retention keep_;
    SQLite::Statement bindings_, oldest_change_, changes_, servers_due_, remove_servers_, oldest_assignment_,
        assignments_;
};

}  // namespace leasemirror
