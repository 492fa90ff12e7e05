// What is asked of a SQLite database from outside the agent that writes it: its state, and its schema.
#include "storage/file_lock.hpp"
#include "storage/sqlite_error.hpp"
#include "storage/sqlite_gaps.hpp"
#include "storage/sqlite_schema.hpp"
#include "storage/sqlite_store.hpp"

#include <SQLiteCpp/Transaction.h>
#include <filesystem>

namespace leasemirror {
namespace {

constexpr const char* overview_sql = R"sql(
    SELECT server_id, name, family, endpoint, server_identity, phase, base_time, fresh_as_of, coverage, clock_skew_ms,
           bindings, connected_since, last_message_at, last_full_sync_at, gaps_open, last_error, last_error_at, owner,
           owner_epoch
    FROM server ORDER BY name)sql";

ServerOverview read_row(Use& use) {
    ServerOverview out;
    out.server_id = use.number(0);
    out.name = use.text(1);
    out.family = use.text(2) == to_string(Family::v4) ? Family::v4 : Family::v6;
    out.endpoint = use.text(3);
    out.server_identity = use.bytes(4);
    out.phase = use.text(5);
    if (const auto base_time = use.number_if_any(6)) out.base_time = server_time_from_unix(*base_time);
    out.fresh_as_of = use.time(7);
    out.coverage = use.text(8);
    out.clock_skew_ms = use.number_if_any(9);
    out.bindings = use.number(10);
    out.connected_since = use.time(11);
    out.last_message_at = use.time(12);
    out.last_full_sync_at = use.time(13);
    out.gaps_open = use.number(14);
    out.last_error = use.text(15);
    out.last_error_at = use.time(16);
    out.owner = use.text(17);
    out.owner_epoch = use.number(18);
    return out;
}

void require_current_schema(SQLite::Database& db, const std::string& path) {
    const int found = sqlite_version_found(db, path);
    if (found == known_sqlite_version()) return;
    throw StoreError(StoreFault::unavailable, path + " has schema version " + std::to_string(found) + " and needs " +
                                                  std::to_string(known_sqlite_version()) +
                                                  ": start the agent, or run 'leasemirror schema migrate'");
}

}  // namespace

std::vector<ServerOverview> read_sqlite_overview(const std::string& path) {
    auto db = open_for_reading(path);
    return translated(path, "read the state of the servers", [&] {
        SQLite::Transaction one_snapshot(db);
        require_current_schema(db, path);
        std::vector<ServerOverview> out;
        SQLite::Statement statement(db, overview_sql);
        for (Use use(statement); use.step();)
            out.push_back(read_row(use));
        for (auto& server : out)
            server.open_gaps = read_open_gaps(db, server.server_id);
        return out;
    });
}

SchemaVersion sqlite_schema_version(const std::string& path) {
    if (!std::filesystem::exists(path)) return {0, known_sqlite_version()};
    auto db = open_for_reading(path);
    const int found = translated(path, "read the schema version", [&] { return sqlite_version_found(db, path); });
    return {found, known_sqlite_version()};
}

int migrate_sqlite_schema(const std::string& path) {
    refuse_foreign_file(path);
    // An agent at work has migrated already: no need to fight it for the lock.
    const auto version = sqlite_schema_version(path);
    if (version.found == version.known) return version.found;
    const FileLock lock(path);
    auto db = open_for_writing(path, {});
    return translated(path, "read the schema version", [&] { return sqlite_version_found(db, path); });
}

}  // namespace leasemirror
