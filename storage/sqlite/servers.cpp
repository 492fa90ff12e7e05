#include "storage/sqlite/servers.hpp"

#include "storage/ledger/server_row.hpp"
#include "storage/ledger/stored_text.hpp"
#include "storage/sqlite/gaps.hpp"
#include "storage/sqlite/orders.hpp"
#include "storage/store.hpp"

#include <algorithm>

namespace leasemirror {
namespace {

// A name that comes back with the other family is another server: its base-time means nothing, and its old bindings,
// of an older epoch now, end with the first full bulk.
constexpr const char* take_over_sql = R"sql(
    INSERT INTO server (name, family, endpoint, owner, owner_epoch) VALUES (?1, ?2, ?3, ?4, 1)
    ON CONFLICT (name) DO UPDATE SET
        epoch = epoch + (family <> excluded.family), base_time = iif(family = excluded.family, base_time, NULL),
        server_identity = iif(family = excluded.family, server_identity, NULL),
        active_support = iif(family = excluded.family, active_support, NULL),
        window_support = iif(family = excluded.family, window_support, NULL),
        support_seen_at = iif(family = excluded.family, support_seen_at, NULL),
        client_data = iif(family = excluded.family, client_data, NULL),
        disorder = iif(family = excluded.family, disorder, 0),
        known_since = iif(family = excluded.family, known_since, NULL),
        unreadable = iif(family = excluded.family, unreadable, 0), refused = iif(family = excluded.family, refused, 0),
        lacking = iif(family = excluded.family, lacking, 0),
        family = excluded.family, endpoint = excluded.endpoint, connected_since = NULL,
        phase = iif(paused_at IS NULL, 'connecting', 'disabled'), next_attempt_at = NULL, forgotten_seq = NULL,
        owner = excluded.owner, owner_epoch = owner_epoch + 1, committed_batch = 0
    RETURNING server_id, epoch, base_time, server_identity, clock_skew_ms, last_run, last_gap, owner_epoch, coverage,
              last_full_sync_at, last_error, last_error_at, certificate_expires_at, active_support, window_support,
              support_seen_at, client_data, unreadable, known_since, written_at, doubts, disorder, lacking,
              paused_at IS NOT NULL, iif(resync_asked_at IS NULL, 0, resync_number), bindings)sql";

constexpr const char* all_names_sql = "SELECT server_id, name FROM server";
constexpr const char* disable_sql = R"sql(
    UPDATE server SET phase = 'disabled', connected_since = NULL, next_attempt_at = NULL, owner = NULL,
        owner_epoch = owner_epoch + 1
    WHERE server_id = ?1)sql";

constexpr const char* find_sql =
    "SELECT owner_epoch, owner, name, committed_batch, epoch FROM server WHERE server_id = ?1";

constexpr const char* begin_sql = R"sql(
    UPDATE server SET last_run = max(last_run, ?2), epoch = ?3, base_time = iif(?4, NULL, base_time)
    WHERE server_id = ?1)sql";

// Of the last full bulk and since. One that is over (?5) leaves out what was refused before it began, be it in this batch
// (?6). One that begins after that, or without that (?4), notes what was before.
constexpr const char* count_refused_sql = R"sql(
    UPDATE server SET
        refused = refused + ?2 - CASE WHEN NOT ?5 THEN 0 WHEN ?6 THEN refused ELSE refused_before END,
        lacking = lacking + ?3 - CASE WHEN NOT ?5 THEN 0 WHEN ?6 THEN lacking ELSE lacking_before END,
        refused_before = CASE WHEN ?4 THEN refused - iif(?5, refused_before, 0) WHEN ?5 THEN 0 ELSE refused_before END,
        lacking_before = CASE WHEN ?4 THEN lacking - iif(?5, lacking_before, 0) WHEN ?5 THEN 0 ELSE lacking_before END
    WHERE server_id = ?1)sql";

constexpr const char* finish_sql = R"sql(
    UPDATE server SET committed_batch = max(committed_batch, ?2), base_time = coalesce(?3, base_time),
        fresh_as_of = iif(lacking > 0, min(fresh_as_of, coalesce(?4, fresh_as_of)), coalesce(?4, fresh_as_of)),
        written_at = ?5
    WHERE server_id = ?1
    RETURNING doubts, lacking)sql";

constexpr const char* count_gaps_sql = R"sql(
    UPDATE server SET last_gap = max(last_gap, ?2),
        gaps_open = (SELECT count(*) FROM gap WHERE gap.server_id = ?1 AND closed_at IS NULL)
    WHERE server_id = ?1)sql";

constexpr const char* count_sql = R"sql(
    INSERT INTO binding_count (server_id, state, bindings) VALUES (?1, ?2, ?3)
    ON CONFLICT DO UPDATE SET bindings = bindings + excluded.bindings)sql";
constexpr const char* count_in_server_sql =
    "UPDATE server SET bindings = bindings + ?2, doubts = doubts + ?3 WHERE server_id = ?1";

// The last error stays until there is another: ServerStatus says so.
constexpr const char* status_sql = R"sql(
    UPDATE server SET phase = ?2, coverage = iif(lacking > 0, 'partial', ?3), server_identity = ?4, clock_skew_ms = ?5,
        connected_since = ?6, last_message_at = ?7, last_full_sync_at = ?8, last_error = coalesce(?9, last_error),
        last_error_at = coalesce(?10, last_error_at), certificate_expires_at = ?11, certificate_days = ?12,
        active_support = ?13, window_support = ?14, support_seen_at = ?15, client_data = ?16, unreadable = ?17,
        known_since = ?18, disorder = ?19, next_attempt_at = ?20
    WHERE server_id = ?1)sql";

}  // namespace

SqliteServers::SqliteServers(SQLite::Database& db)
    : db_(db),
      find_(db, find_sql),
      begin_(db, begin_sql),
      count_refused_(db, count_refused_sql),
      finish_(db, finish_sql),
      count_gaps_(db, count_gaps_sql),
      count_(db, count_sql),
      count_in_server_(db, count_in_server_sql),
      status_(db, status_sql) {}

std::vector<ResumePoint> SqliteServers::take_over(std::span<const ServerSpec> servers, const std::string& owner) {
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
    owned_.take_over(out.id, use.number(7));
    out.coverage = use.text(8) == to_string(Coverage::full) ? Coverage::full : Coverage::partial;
    out.last_full_sync_at = use.time(9);
    out.last_error = use.text(10);
    out.last_error_at = use.time(11);
    out.certificate_expires_at = use.time(12);
    out.support = {support_of(use.text(13)), support_of(use.text(14)), use.time(15), complete_lists_of(use.text(16)),
                   std::chrono::seconds{use.number(21)}};
    out.unreadable = static_cast<std::uint64_t>(use.number(17));
    out.known_since = use.time(18);
    out.written_at = use.time(19);
    out.doubts_open = static_cast<std::uint64_t>(use.number(20));
    out.lacking = static_cast<std::uint64_t>(use.number(22));
    out.orders.paused = use.number(23) != 0;
    out.orders.resync = static_cast<std::uint64_t>(use.number(24));
    out.bindings = static_cast<std::uint64_t>(use.number(25));
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
    disable(others);
}

std::vector<ServerId> SqliteServers::release(std::span<const std::string> names) {
    std::vector<ServerId> ours;
    SQLite::Statement all(db_, all_names_sql);
    for (Use use(all); use.step();) {
        const auto server = use.number(0);
        if (owned_.has(server) && std::find(names.begin(), names.end(), use.text(1)) != names.end())
            ours.push_back(server);
    }
    disable(ours);
    return ours;
}

void SqliteServers::released(std::span<const ServerId> servers) {
    for (const auto server : servers)
        owned_.release(server);
}

void SqliteServers::disable(std::span<const ServerId> servers) {
    SQLite::Statement disable(db_, disable_sql);
    for (const auto server : servers) {
        Use use(disable);
        use.number(1, server);
        use.run();
    }
}

std::optional<ServerOwner> SqliteServers::find(ServerId server) {
    Use use(find_);
    use.number(1, server);
    if (!use.step()) return std::nullopt;
    return ServerOwner{use.number(0), std::string(use.text(1)), std::string(use.text(2)), use.number(3), use.number(4)};
}

void SqliteServers::require_owned() {
    for (const auto server : owned_.servers())
        owned_.require(server, find(server));
}

std::string SqliteServers::owned_json_without(std::span<const ServerId> held) const {
    std::string out;
    for (const auto server : owned_.servers())
        if (std::find(held.begin(), held.end(), server) == held.end())
            out.append(out.empty() ? "[" : ",").append(std::to_string(server));
    return out.append(out.empty() ? "[]" : "]");
}

std::optional<std::int64_t> SqliteServers::begin(const Batch& batch) {
    const auto epoch = owned_.begin(batch, find(batch.server));
    if (!epoch || (!batch.begin_run && !batch.fresh_start)) return epoch;
    Use use(begin_);
    use.number(1, batch.server);
    use.number(2, static_cast<std::int64_t>(batch.begin_run.value_or(0)));
    use.number(3, *epoch);
    use.number(4, std::int64_t{batch.fresh_start ? 1 : 0});
    use.run();
    return epoch;
}

void SqliteServers::finish(const Batch& batch, const Tally& tally, Applied& applied) {
    count(batch.server, tally.by_state);
    count_refused(batch, tally);
    {
        Use use(finish_);
        use.number(1, batch.server);
        use.number(2, static_cast<std::int64_t>(batch.number));
        use.number(3, batch.base_time ? std::optional(unix_seconds(*batch.base_time)) : std::nullopt);
        use.time(4, batch.fresh_as_of);
        use.time(5, batch.now);
        if (use.step()) {
            applied.doubts_open = static_cast<std::uint64_t>(use.number(0));
            applied.lacking = static_cast<std::uint64_t>(use.number(1));
        }
    }
    if (!batch.gaps.empty()) {
        Use use(count_gaps_);
        use.number(1, batch.server);
        use.number(2, static_cast<std::int64_t>(batch.last_gap()));
        use.run();
    }
    if (batch.status) store_status(batch, *batch.status);
    if (batch.resync_done) end_sqlite_resync(db_, batch.server, *batch.resync_done);
}

void SqliteServers::count_refused(const Batch& batch, const Tally& tally) {
    if (tally.refused == 0 && !batch.begin_full && !batch.full_is_over()) return;
    Use use(count_refused_);
    use.number(1, batch.server);
    use.number(2, tally.refused);
    use.number(3, tally.lacking);
    use.number(4, std::int64_t{batch.begin_full && !batch.begun_full_is_over() ? 1 : 0});
    use.number(5, std::int64_t{batch.full_is_over() ? 1 : 0});
    use.number(6, std::int64_t{batch.begun_full_is_over() ? 1 : 0});
    use.run();
}

void SqliteServers::count(ServerId server, const StateCounts& more) {
    more.for_each([&](BindingState state, std::int64_t bindings) {
        Use use(count_);
        use.number(1, server);
        use.word(2, to_string(state).data());
        use.number(3, bindings);
        use.run();
    });
    if (more.in_force() == 0 && more.doubts == 0) return;
    Use use(count_in_server_);
    use.number(1, server);
    use.number(2, more.in_force());
    use.number(3, more.doubts);
    use.run();
}

void SqliteServers::store_status(const Batch& batch, const ServerStatus& status) {
    const auto last_error = storable_text(status.last_error);
    const std::string active(support_text(status.support.active));
    const std::string windows(support_text(status.support.windows));
    const std::string client_data(client_data_text(status.support.complete_lists));
    Use use(status_);
    use.number(1, batch.server);
    use.word(2, to_string(status.phase).data());
    use.word(3, to_string(status.coverage).data());
    use.bytes_or_null(4, status.server_identity);
    use.number(5, status.skew ? std::optional<std::int64_t>(status.skew->count()) : std::nullopt);
    use.time(6, status.connected_since);
    use.time(7, status.last_message_at);
    use.time(8, status.last_full_sync_at);
    use.text_or_null(9, last_error);
    use.time(10, status.last_error_at);
    use.time(11, status.certificate_expires_at);
    use.number(12, days_until(status.certificate_expires_at, batch.now));
    use.text_or_null(13, active);
    use.text_or_null(14, windows);
    use.time(15, status.support.seen_at);
    use.text_or_null(16, client_data);
    use.number(17, static_cast<std::int64_t>(status.unreadable));
    use.time(18, status.known_since);
    use.number(19, status.support.disorder.count());
    use.time(20, status.next_attempt_at);
    use.run();
}

}  // namespace leasemirror
