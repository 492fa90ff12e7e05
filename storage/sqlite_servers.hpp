// The table `server` in SQLite: who writes, and how far each server's mirror is right. Only for the sqlite_* files.
#pragma once

#include "storage/sqlite_statement.hpp"
#include "storage/store.hpp"

#include <SQLiteCpp/Database.h>
#include <map>
#include <span>

namespace leasemirror {

/// Every function is to be called inside a write transaction; throws SQLite::Exception, or StoreError `fenced`.
class SqliteServers {
public:
    explicit SqliteServers(SQLite::Database& db);

    std::vector<ResumePoint> take_over(std::span<const ServerSpec> servers, const std::string& owner);
    void disable_except(std::span<const std::string> names);

    /// Checks that the batch's server is still ours, and takes the fields that come before the changes. Returns the
    /// epoch that the changes belong to.
    std::int64_t begin(const Batch& batch);
    /// Takes the fields that come after the changes.
    void finish(const Batch& batch, std::int64_t in_force_delta);

    /// That no server has been taken over from us.
    void require_owned();
    void count_in_force(ServerId server, std::int64_t delta);

private:
    ResumePoint take_over_one(const ServerSpec& spec, const std::string& owner);
    void require_owned(ServerId server, std::int64_t epoch_known);
    void store_status(ServerId server, const ServerStatus& status);

    SQLite::Database& db_;
    std::map<ServerId, std::int64_t> owner_epochs_;  // as of our own take-over
    SQLite::Statement owner_epoch_, begin_, finish_, count_, status_;
};

}  // namespace leasemirror
