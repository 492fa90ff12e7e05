// The table `server` in SQLite: who writes, and how far each server's mirror is right. Only for this folder.
#pragma once

#include "storage/ledger/ledger.hpp"
#include "storage/ledger/ownership.hpp"
#include "storage/ledger/state_counts.hpp"
#include "storage/sqlite/statement.hpp"

#include <SQLiteCpp/Database.h>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace leasemirror {

struct ServerSpec;

/// Every function but committed() is to be called inside a write transaction; throws SQLite::Exception, or StoreError
/// `fenced` or `behind`.
class SqliteServers {
public:
    explicit SqliteServers(SQLite::Database& db);

    std::vector<ResumePoint> take_over(std::span<const ServerSpec> servers, const std::string& owner);
    void disable_except(std::span<const std::string> listed);
    /// Marks those of ours disabled. To be followed by released() when that is committed.
    std::vector<ServerId> release(std::span<const std::string> names);
    void released(std::span<const ServerId> servers);

    /// Checks that the batch's server is still ours, and takes the fields that come before the changes. Returns the
    /// epoch that the changes belong to; none if the batch is a repeated one, of which nothing is to be done.
    std::optional<std::int64_t> begin(const Batch& batch);
    /// Counts what the batch did, and takes the fields that come after the changes. Tells how many bindings are in doubt
    /// then, or lacking.
    void finish(const Batch& batch, const Tally& tally, Applied& applied);
    /// To be told once the transaction of a numbered batch is over and has succeeded.
    void committed(const Batch& batch) { owned_.committed(batch); }

    /// That no server has been taken over from us.
    void require_owned();
    /// The ids of the servers that we have taken over, as a JSON array: a parameter cannot be a list.
    [[nodiscard]] std::string owned_json_without(std::span<const ServerId> held) const;
    /// Corrects how many bindings there are in each state, and in doubt.
    void count(ServerId server, const StateCounts& more);

private:
    void disable(std::span<const ServerId> servers);
    ResumePoint take_over_one(const ServerSpec& spec, const std::string& owner);
    std::optional<ServerOwner> find(ServerId server);
    void count_refused(const Batch& batch, const Tally& tally);
    void store_status(const Batch& batch, const ServerStatus& status);

    SQLite::Database& db_;
    Ownership owned_;
    SQLite::Statement find_, begin_, count_refused_, finish_, count_gaps_, count_, count_in_server_, status_;
};

}  // namespace leasemirror
