#include "storage/postgres/servers.hpp"

#include "storage/ledger/server_row.hpp"
#include "storage/ledger/stored_text.hpp"
#include "storage/postgres/bindings.hpp"
#include "storage/postgres/gaps.hpp"
#include "storage/postgres/orders.hpp"
#include "storage/store.hpp"

namespace leasemirror {
namespace {

constexpr PostgresSql add_new_sql{"add_servers", R"sql(
    INSERT INTO server (name, family, endpoint)
    SELECT n.name, n.family, n.endpoint FROM unnest($1::text[], $2::text[], $3::text[]) AS n (name, family, endpoint)
    WHERE NOT EXISTS (SELECT 1 FROM server AS s WHERE s.name = n.name)
    ORDER BY n.name
    ON CONFLICT DO NOTHING)sql"};

constexpr PostgresSql lock_named_sql{"lock_named_servers", R"sql(
    SELECT server_id FROM server WHERE name = ANY ($1::text[]) ORDER BY server_id FOR NO KEY UPDATE)sql"};

// Whoever works a server holds an advisory lock for it, as long as its session lasts. The rows come first, so that the
// function is called for them alone.
constexpr PostgresSql claim_sql{"claim_servers", R"sql(
    SELECT s.name, s.owner, a.host, a.pid, extract(epoch FROM clock_timestamp() - a.heartbeat_at)::bigint,
           pg_try_advisory_lock($2, s.server_id::int), s.server_id
    FROM (SELECT server_id, name, owner FROM server WHERE name = ANY ($1::text[]) ORDER BY server_id OFFSET 0) AS s
         LEFT JOIN agent AS a ON a.name = s.owner)sql"};
constexpr PostgresSql unclaim_sql{"unclaim_server", "SELECT pg_advisory_unlock($1, $2)"};
constexpr PostgresSql ids_of_sql{"ids_of_servers", "SELECT server_id FROM server WHERE name = ANY ($1::text[])"};
constexpr PostgresSql claim_again_sql{"claim_server_again", "SELECT pg_advisory_lock($1, $2)"};
constexpr PostgresSql unclaimed_sql{"unclaimed_servers", R"sql(
    SELECT s.server_id, pg_try_advisory_xact_lock($2, s.server_id::int)
    FROM (SELECT server_id FROM server WHERE name <> ALL ($1::text[]) ORDER BY server_id OFFSET 0) AS s)sql"};
constexpr std::int32_t claim_lock = 0x4c4d4f57;  // "LMOW"
// In which the server gets to know that the session before is broken. Then it is tried again, like anything else.
constexpr const char* claim_patience = "SET LOCAL lock_timeout TO '2s'";

// A name that comes back with the other family is another server: its base-time means nothing, and its old bindings,
// of an older epoch now, end with the first full bulk.
constexpr PostgresSql take_over_sql{"take_over", R"sql(
    UPDATE server AS s SET epoch = epoch + CASE WHEN s.family = n.family THEN 0 ELSE 1 END,
        base_time = CASE WHEN s.family = n.family THEN base_time END,
        server_identity = CASE WHEN s.family = n.family THEN server_identity END,
        active_support = CASE WHEN s.family = n.family THEN active_support END,
        window_support = CASE WHEN s.family = n.family THEN window_support END,
        support_seen_at = CASE WHEN s.family = n.family THEN support_seen_at END,
        client_data = CASE WHEN s.family = n.family THEN client_data END,
        disorder = CASE WHEN s.family = n.family THEN disorder ELSE 0 END,
        known_since = CASE WHEN s.family = n.family THEN known_since END,
        unreadable = CASE WHEN s.family = n.family THEN unreadable ELSE 0 END,
        refused = CASE WHEN s.family = n.family THEN refused ELSE 0 END,
        lacking = CASE WHEN s.family = n.family THEN lacking ELSE 0 END,
        family = n.family, endpoint = n.endpoint, connected_since = NULL, next_attempt_at = NULL, forgotten_seq = NULL,
        phase = CASE WHEN paused_at IS NULL THEN 'connecting' ELSE 'disabled' END, owner = $4,
        owner_epoch = owner_epoch + 1, committed_batch = 0
    FROM unnest($1::text[], $2::text[], $3::text[]) AS n (name, family, endpoint) WHERE s.name = n.name
    RETURNING s.name, server_id, epoch, base_time, server_identity, clock_skew_ms, last_run, last_gap, owner_epoch,
              coverage, last_full_sync_at, last_error, last_error_at, certificate_expires_at, active_support,
              window_support, support_seen_at, client_data, unreadable, known_since, written_at, doubts,
              disorder, lacking, paused_at IS NOT NULL,
              CASE WHEN resync_asked_at IS NULL THEN 0 ELSE resync_number END, bindings)sql"};

constexpr PostgresSql disable_sql{"disable_servers", R"sql(
    UPDATE server SET phase = 'disabled', connected_since = NULL, next_attempt_at = NULL, owner = NULL,
        owner_epoch = owner_epoch + 1
    WHERE server_id = ANY ($1::bigint[]))sql"};

constexpr PostgresSql lock_owned_sql{"lock_owned_servers", R"sql(
    SELECT server_id, owner_epoch, owner, name, committed_batch, epoch FROM server
    WHERE server_id = ANY ($1::bigint[]) ORDER BY server_id FOR NO KEY UPDATE)sql"};

// Of the last full bulk and since. One that is over ($5) leaves out what was refused before it began, be it in this batch
// ($6). One that begins after that, or without that ($4), notes what was before.
constexpr PostgresSql count_refused_sql{"count_refused", R"sql(
    UPDATE server SET
        refused = refused + $2 - CASE WHEN NOT $5 THEN 0 WHEN $6 THEN refused ELSE refused_before END,
        lacking = lacking + $3 - CASE WHEN NOT $5 THEN 0 WHEN $6 THEN lacking ELSE lacking_before END,
        refused_before = CASE WHEN $4 THEN refused - CASE WHEN $5 THEN refused_before ELSE 0 END
                              WHEN $5 THEN 0 ELSE refused_before END,
        lacking_before = CASE WHEN $4 THEN lacking - CASE WHEN $5 THEN lacking_before ELSE 0 END
                              WHEN $5 THEN 0 ELSE lacking_before END
    WHERE server_id = $1)sql"};

const std::string finish_text = R"sql(
    WITH counted AS (
        INSERT INTO binding_count AS c (server_id, state, bindings)
        SELECT $1::bigint, n.state, n.more FROM unnest($11::text[], $12::bigint[]) AS n (state, more) ORDER BY n.state
        ON CONFLICT (server_id, state) DO UPDATE SET bindings = c.bindings + excluded.bindings)
    UPDATE server SET committed_batch = greatest(committed_batch, $2::bigint), epoch = $3,
        base_time = CASE WHEN $4 THEN $5 ELSE coalesce($5, base_time) END,
        fresh_as_of = CASE WHEN lacking > 0 AND coalesce($6 >= fresh_as_of, true) THEN fresh_as_of
                           ELSE coalesce($6, fresh_as_of) END,
        last_run = greatest(last_run, $7::bigint), last_gap = greatest(last_gap, $8::bigint),
        gaps_open = CASE WHEN $9 THEN (SELECT count(*) FROM gap WHERE gap.server_id = $1 AND closed_at IS NULL)
                    ELSE gaps_open END,
        bindings = bindings + $10, doubts = doubts + $13, written_at = $14)sql";
// The last error stays until there is another: ServerStatus says so.
const std::string status_text = R"sql(,
        phase = $15, coverage = CASE WHEN lacking > 0 THEN 'partial' ELSE $16 END, server_identity = $17,
        clock_skew_ms = $18, connected_since = $19, last_message_at = $20, last_full_sync_at = $21,
        last_error = coalesce($22, last_error), last_error_at = coalesce($23, last_error_at),
        certificate_expires_at = $24, certificate_days = $25, active_support = $26, window_support = $27,
        support_seen_at = $28, client_data = $29, unreadable = $30, known_since = $31, disorder = $32,
        next_attempt_at = $33)sql";
const std::string of_server_text = " WHERE server_id = $1 RETURNING doubts, lacking";
const std::string finish_without_status = finish_text + of_server_text;
const std::string finish_with_status = finish_text + status_text + of_server_text;
const PostgresSql finish_sql{"finish_batch", finish_without_status};
const PostgresSql finish_with_status_sql{"finish_batch_with_status", finish_with_status};

constexpr PostgresSql count_states_sql{"count_states", R"sql(
    INSERT INTO binding_count AS c (server_id, state, bindings)
    SELECT $1::bigint, n.state, n.more FROM unnest($2::text[], $3::bigint[]) AS n (state, more) ORDER BY n.state
    ON CONFLICT (server_id, state) DO UPDATE SET bindings = c.bindings + excluded.bindings)sql"};
constexpr PostgresSql count_in_server_sql{
    "count_in_server", "UPDATE server SET bindings = bindings + $2, doubts = doubts + $3 WHERE server_id = $1"};

ArrayParameters changed_counts(const StateCounts& more) {
    ArrayParameters rows(2);
    more.for_each([&](BindingState state, std::int64_t bindings) {
        rows.begin_row();
        rows.next().word(to_string(state));
        rows.next().number(bindings);
    });
    return rows;
}

ResumePoint read_resume_point(Fields& row, std::int64_t& owner_epoch) {
    ResumePoint out;
    out.id = row.number();
    out.epoch = static_cast<std::uint32_t>(row.number());
    out.base_time = row.server_time();
    out.server_identity = row.bytes();
    if (const auto skew = row.number_if_any()) out.skew = Skew{*skew};
    out.last_run = static_cast<std::uint64_t>(row.number());
    out.last_gap = static_cast<std::uint64_t>(row.number());
    owner_epoch = row.number();
    out.coverage = row.text() == to_string(Coverage::full) ? Coverage::full : Coverage::partial;
    out.last_full_sync_at = row.time();
    out.last_error = row.text();
    out.last_error_at = row.time();
    out.certificate_expires_at = row.time();
    out.support.active = support_of(row.text());
    out.support.windows = support_of(row.text());
    out.support.seen_at = row.time();
    out.support.complete_lists = complete_lists_of(row.text());
    out.unreadable = static_cast<std::uint64_t>(row.number());
    out.known_since = row.time();
    out.written_at = row.time();
    out.doubts_open = static_cast<std::uint64_t>(row.number());
    out.support.disorder = std::chrono::seconds{row.number()};
    out.lacking = static_cast<std::uint64_t>(row.number());
    out.orders.paused = row.flag();
    out.orders.resync = static_cast<std::uint64_t>(row.number());
    out.bindings = static_cast<std::uint64_t>(row.number());
    return out;
}

void add_status(Parameters& parameters, const ServerStatus& status, UtcSeconds now) {
    parameters.text(to_string(status.phase)).text(to_string(status.coverage)).bytes_or_null(status.server_identity);
    parameters.number(status.skew ? std::optional<std::int64_t>(status.skew->count()) : std::nullopt);
    parameters.time(status.connected_since).time(status.last_message_at).time(status.last_full_sync_at);
    parameters.text_or_null(storable_text(status.last_error)).time(status.last_error_at);
    parameters.time(status.certificate_expires_at).number(days_until(status.certificate_expires_at, now));
    parameters.text_or_null(support_text(status.support.active)).text_or_null(support_text(status.support.windows));
    parameters.time(status.support.seen_at).text_or_null(client_data_text(status.support.complete_lists));
    parameters.number(static_cast<std::int64_t>(status.unreadable)).time(status.known_since);
    parameters.number(status.support.disorder.count()).time(status.next_attempt_at);
}

void count_refused(PostgresTransaction& transaction, const Batch& batch, const Tally& tally) {
    if (tally.refused == 0 && !batch.begin_full && !batch.full_is_over()) return;
    Parameters parameters;
    parameters.number(batch.server).number(tally.refused).number(tally.lacking);
    parameters.flag(batch.begin_full && !batch.begun_full_is_over());
    parameters.flag(batch.full_is_over()).flag(batch.begun_full_is_over());
    transaction.run(count_refused_sql, parameters);
}

/// What is one number for the lock's purpose and for the schema; the other is the server.
std::int64_t claim_key(const PostgresTransaction& transaction) {
    return std::int64_t{claim_lock ^ transaction.schema_key()};
}

/// One claim less; a server may have been claimed several times by one session.
bool unclaim(PostgresTransaction& transaction, ServerId server) {
    const auto held = transaction.run(unclaim_sql, Parameters().number(claim_key(transaction)).number(server));
    return Fields(held[0]).flag();
}

/// The session's, and so beyond the transaction. Throws StoreError `claimed` that says who works a server already: none
/// of them is claimed then that was not before.
void claim(PostgresTransaction& transaction, Parameters named) {
    std::vector<ServerId> claimed;
    std::optional<std::pair<std::string, OtherAgent>> in_the_way;
    for (const auto& row : transaction.run(claim_sql, named.number(claim_key(transaction)))) {
        Fields fields(row);
        const auto server = std::string(fields.text());
        OtherAgent other;
        other.name = fields.text();
        other.host = fields.text();
        other.pid = fields.number();
        other.quiet_for = fields.number_if_any();
        const auto ours = fields.flag();
        if (ours) claimed.push_back(fields.number());
        if (!ours && !in_the_way) in_the_way.emplace(server, other);
    }
    if (!in_the_way) return;
    for (const auto server : claimed)
        (void)unclaim(transaction, server);
    fail_for_other(in_the_way->first, in_the_way->second);
}

std::optional<ServerOwner> found_of(const std::map<ServerId, ServerOwner>& found, ServerId server) {
    const auto at = found.find(server);
    return at == found.end() ? std::nullopt : std::optional(at->second);
}

}  // namespace

void PostgresServers::claim_again(PostgresTransaction& transaction) const {
    transaction.execute(claim_patience);
    for (const auto server : owned_.servers())
        transaction.run(claim_again_sql, Parameters().number(claim_key(transaction)).number(server));
}

std::vector<ResumePoint> PostgresServers::take_over(PostgresTransaction& transaction,
                                                    std::span<const ServerSpec> servers, const std::string& owner) {
    ArrayParameters specs(3);
    ArrayParameter names;
    for (const auto& spec : servers) {
        specs.begin_row();
        specs.next().text(spec.name);
        specs.next().word(to_string(spec.family));
        specs.next().text(spec.endpoint);
        names.text(spec.name);
    }
    Parameters wanted, named;
    wanted.arrays(specs);
    named.array(names);
    transaction.run(add_new_sql, wanted);
    claim(transaction, named);
    transaction.run(lock_named_sql, named);
    std::map<std::string, ResumePoint, std::less<>> by_name;
    std::vector<ServerId> ids;
    for (const auto& row : transaction.run(take_over_sql, wanted.text(owner))) {
        Fields fields(row);
        const auto name = std::string(fields.text());
        std::int64_t owner_epoch = 0;
        const auto& resume = by_name[name] = read_resume_point(fields, owner_epoch);
        owned_.take_over(resume.id, owner_epoch);
        doubts_.erase(resume.id);
        ids.push_back(resume.id);
    }
    auto gaps = read_open_gaps(transaction, ids);
    std::vector<ResumePoint> out;
    for (const auto& spec : servers) {
        out.push_back(by_name.at(spec.name));
        out.back().open_gaps = std::move(gaps[out.back().id]);
        if (out.back().doubts_open > 0) out.back().doubts = read_doubts(transaction, out.back().id);
    }
    return out;
}

std::vector<ServerId> PostgresServers::release(PostgresTransaction& transaction, std::span<const std::string> names) {
    ArrayParameter listed;
    for (const auto& name : names)
        listed.text(name);
    std::vector<ServerId> ours;
    for (const auto& row : transaction.run(ids_of_sql, Parameters().array(listed)))
        if (const auto server = Fields(row).number(); owned_.has(server)) ours.push_back(server);
    ArrayParameter ids;
    for (const auto& [server, owner] : lock(transaction, ours))
        ids.number(server);
    transaction.run(disable_sql, Parameters().array(ids));
    for (const auto server : ours)
        while (unclaim(transaction, server)) {
        }
    return ours;
}

void PostgresServers::released(std::span<const ServerId> servers) {
    for (const auto server : servers) {
        owned_.release(server);
        doubts_.erase(server);
    }
}

void PostgresServers::disable_except(PostgresTransaction& transaction, std::span<const std::string> names) {
    ArrayParameter listed;
    for (const auto& name : names)
        listed.text(name);
    std::vector<ServerId> unclaimed;
    for (const auto& row : transaction.run(unclaimed_sql, Parameters().array(listed).number(claim_key(transaction)))) {
        Fields fields(row);
        const auto server = fields.number();
        if (fields.flag()) unclaimed.push_back(server);
    }
    ArrayParameter ids;
    for (const auto& [server, owner] : lock(transaction, unclaimed))
        ids.number(server);
    transaction.run(disable_sql, Parameters().array(ids));
}

std::map<ServerId, ServerOwner> PostgresServers::lock(PostgresTransaction& transaction,
                                                      std::span<const ServerId> servers) {
    ArrayParameter ids;
    for (const auto server : servers)
        ids.number(server);
    std::map<ServerId, ServerOwner> out;
    for (const auto& row : transaction.run(lock_owned_sql, Parameters().array(ids))) {
        Fields fields(row);
        auto& owner = out[fields.number()];
        owner.owner_epoch = fields.number();
        owner.owner = fields.text();
        owner.name = fields.text();
        owner.committed_batch = fields.number();
        owner.epoch = fields.number();
    }
    return out;
}

std::optional<std::int64_t> PostgresServers::begin(PostgresTransaction& transaction, const Batch& batch) {
    return owned_.begin(batch, found_of(lock(transaction, {&batch.server, 1}), batch.server));
}

void PostgresServers::finish(PostgresTransaction& transaction, const Batch& batch, std::int64_t epoch,
                             const Tally& tally, Applied& applied) {
    count_refused(transaction, batch, tally);
    if (batch.resync_done) end_postgres_resync(transaction, batch.server, *batch.resync_done);
    Parameters parameters;
    parameters.number(batch.server).number(static_cast<std::int64_t>(batch.number)).number(epoch);
    parameters.flag(batch.fresh_start).time(batch.base_time).time(batch.fresh_as_of);
    parameters.number(static_cast<std::int64_t>(batch.begin_run.value_or(0)));
    parameters.number(static_cast<std::int64_t>(batch.last_gap()))
        .flag(!batch.gaps.empty())
        .number(tally.by_state.in_force());
    auto counts = changed_counts(tally.by_state);
    parameters.arrays(counts).number(tally.by_state.doubts).time(batch.now);
    if (batch.status) add_status(parameters, *batch.status, batch.now);
    const auto counted = transaction.run(batch.status ? finish_with_status_sql : finish_sql, parameters);
    if (counted.empty()) return;
    Fields fields(counted[0]);
    applied.doubts_open = static_cast<std::uint64_t>(fields.number());
    applied.lacking = static_cast<std::uint64_t>(fields.number());
}

void PostgresServers::committed(const Batch& batch) {
    owned_.committed(batch);
    doubts_.erase(batch.server);
}

void PostgresServers::in_doubt(const Batch& batch, const Applied& applied) {
    doubts_[batch.server] = {batch.number, applied};
}

Applied PostgresServers::what_was_in_doubt(const Batch& batch) const {
    const auto doubt = doubts_.find(batch.server);
    return doubt != doubts_.end() && doubt->second.batch == batch.number ? doubt->second.applied : Applied{};
}

void PostgresServers::require_owned(PostgresTransaction& transaction) {
    const auto servers = owned_.servers();
    const auto found = lock(transaction, servers);
    for (const auto server : servers)
        owned_.require(server, found_of(found, server));
}

void PostgresServers::count(PostgresTransaction& transaction, ServerId server, const StateCounts& more) {
    auto counts = changed_counts(more);
    if (counts.rows() > 0) transaction.run(count_states_sql, Parameters().number(server).arrays(counts));
    if (more.in_force() == 0 && more.doubts == 0) return;
    transaction.run(count_in_server_sql, Parameters().number(server).number(more.in_force()).number(more.doubts));
}

}  // namespace leasemirror
