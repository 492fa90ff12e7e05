#include "storage/sqlite_servers.hpp"

#include "storage/sqlite_gaps.hpp"
#include "storage/stored_text.hpp"

#include <algorithm>
#include <cassert>

namespace leasemirror {
namespace {

// A name that comes back with the other family is another server: its base-time means nothing, and its old bindings,
// of an older epoch now, end with the first full bulk.
constexpr const char* take_over_sql = R"sql(
    INSERT INTO server (name, family, endpoint, owner, owner_epoch) VALUES (?1, ?2, ?3, ?4, 1)
    ON CONFLICT (name) DO UPDATE SET
        epoch = epoch + (family <> excluded.family), base_time = iif(family = excluded.family, base_time, NULL),
        server_identity = iif(family = excluded.family, server_identity, NULL),
        family = excluded.family, endpoint = excluded.endpoint, phase = 'connecting', connected_since = NULL,
        owner = excluded.owner, owner_epoch = owner_epoch + 1
    RETURNING server_id, epoch, base_time, server_identity, clock_skew_ms, last_run, last_gap, owner_epoch, coverage,
              last_full_sync_at, last_error, last_error_at)sql";

constexpr const char* all_names_sql = "SELECT server_id, name FROM server";
constexpr const char* disable_sql = R"sql(
    UPDATE server SET phase = 'disabled', connected_since = NULL, owner = NULL, owner_epoch = owner_epoch + 1
    WHERE server_id = ?1)sql";

constexpr const char* owner_epoch_sql = "SELECT owner_epoch, owner, name FROM server WHERE server_id = ?1";

constexpr const char* begin_sql = R"sql(
    UPDATE server SET last_run = max(last_run, ?2), epoch = epoch + ?3, base_time = iif(?3, NULL, base_time)
    WHERE server_id = ?1
    RETURNING epoch)sql";

constexpr const char* finish_sql = R"sql(
    UPDATE server SET bindings = bindings + ?2, last_gap = max(last_gap, ?3), base_time = coalesce(?4, base_time),
        fresh_as_of = coalesce(?5, fresh_as_of),
        gaps_open = (SELECT count(*) FROM gap WHERE gap.server_id = ?1 AND closed_at IS NULL)
    WHERE server_id = ?1)sql";

constexpr const char* count_sql = "UPDATE server SET bindings = bindings + ?2 WHERE server_id = ?1";

// The last error stays until there is another: ServerStatus says so.
constexpr const char* status_sql = R"sql(
    UPDATE server SET phase = ?2, coverage = ?3, server_identity = ?4, clock_skew_ms = ?5, connected_since = ?6,
        last_message_at = ?7, last_full_sync_at = ?8, last_error = coalesce(?9, last_error),
        last_error_at = coalesce(?10, last_error_at)
    WHERE server_id = ?1)sql";

}  // namespace

SqliteServers::SqliteServers(SQLite::Database& db)
    : db_(db),
      owner_epoch_(db, owner_epoch_sql),
      begin_(db, begin_sql),
      finish_(db, finish_sql),
      count_(db, count_sql),
      status_(db, status_sql) {}

std::vector<ResumePoint> SqliteServers::take_over(std::span<const ServerSpec> servers, const std::string& owner) {
    owner_epochs_.clear();
    std::vector<ResumePoint> out;
    for (const auto& spec : servers)
        out.push_back(take_over_one(spec, owner));
    return out;
}

ResumePoint SqliteServers::take_over_one(const ServerSpec& spec, const std::string& owner) {
    ResumePoint out;
    SQLite::Statement statement(db_, take_over_sql);
    Use use(statement);
    use.text(1, spec.name);
    use.word(2, to_string(spec.family).data());
    use.text(3, spec.endpoint);
    use.text(4, owner);
    use.step();
    out.id = use.number(0);
    out.epoch = static_cast<std::uint32_t>(use.number(1));
    if (const auto base_time = use.number_if_any(2)) out.base_time = server_time_from_unix(*base_time);
    out.server_identity = use.bytes(3);
    if (const auto skew = use.number_if_any(4)) out.skew = Skew{*skew};
    out.last_run = static_cast<std::uint64_t>(use.number(5));
    out.last_gap = static_cast<std::uint64_t>(use.number(6));
    owner_epochs_[out.id] = use.number(7);
    out.coverage = use.text(8) == to_string(Coverage::full) ? Coverage::full : Coverage::partial;
    out.last_full_sync_at = use.time(9);
    out.last_error = use.text(10);
    out.last_error_at = use.time(11);
    out.open_gaps = read_open_gaps(db_, out.id);
    return out;
}

void SqliteServers::disable_except(std::span<const std::string> listed) {
    std::vector<ServerId> others;
    SQLite::Statement names(db_, all_names_sql);
    for (Use use(names); use.step();) {
        const auto name = use.text(1);
        if (std::find(listed.begin(), listed.end(), name) == listed.end()) others.push_back(use.number(0));
    }
    SQLite::Statement disable(db_, disable_sql);
    for (const auto server : others) {
        Use use(disable);
        use.number(1, server);
        use.run();
    }
}

void SqliteServers::require_owned(ServerId server, std::int64_t epoch_known) {
    Use use(owner_epoch_);
    use.number(1, server);
    const bool found = use.step();
    if (found && use.number(0) == epoch_known) return;
    throw StoreError(StoreFault::fenced, found ? "server '" + std::string(use.text(2)) +
                                                     "' has been taken over by agent '" + std::string(use.text(1)) +
                                                     "'; this one must stop writing for it"
                                               : "server " + std::to_string(server) + " is no longer in the database");
}

void SqliteServers::require_owned() {
    for (const auto& [server, epoch] : owner_epochs_)
        require_owned(server, epoch);
}

std::int64_t SqliteServers::begin(const Batch& batch) {
    const auto owned = owner_epochs_.find(batch.server);
    assert(owned != owner_epochs_.end());  // a batch is for a server that open_servers() of this store returned
    require_owned(batch.server, owned->second);
    Use use(begin_);
    use.number(1, batch.server);
    use.number(2, static_cast<std::int64_t>(batch.begin_run.value_or(0)));
    use.number(3, std::int64_t{batch.fresh_start ? 1 : 0});
    use.step();
    return use.number(0);
}

void SqliteServers::finish(const Batch& batch, std::int64_t in_force_delta) {
    std::uint64_t last_gap = 0;
    for (const auto& change : batch.gaps)
        last_gap = std::max(last_gap, change.gap.number);
    {
        Use use(finish_);
        use.number(1, batch.server);
        use.number(2, in_force_delta);
        use.number(3, static_cast<std::int64_t>(last_gap));
        use.number(4, batch.base_time ? std::optional(unix_seconds(*batch.base_time)) : std::nullopt);
        use.time(5, batch.fresh_as_of);
        use.run();
    }
    if (batch.status) store_status(batch.server, *batch.status);
}

void SqliteServers::count_in_force(ServerId server, std::int64_t delta) {
    Use use(count_);
    use.number(1, server);
    use.number(2, delta);
    use.run();
}

void SqliteServers::store_status(ServerId server, const ServerStatus& status) {
    const auto last_error = storable_text(status.last_error);
    Use use(status_);
    use.number(1, server);
    use.word(2, to_string(status.phase).data());
    use.word(3, to_string(status.coverage).data());
    use.bytes_or_null(4, status.server_identity);
    use.number(5, status.skew ? std::optional<std::int64_t>(status.skew->count()) : std::nullopt);
    use.time(6, status.connected_since);
    use.time(7, status.last_message_at);
    use.time(8, status.last_full_sync_at);
    use.text_or_null(9, last_error);
    use.time(10, status.last_error_at);
    use.run();
}

}  // namespace leasemirror
