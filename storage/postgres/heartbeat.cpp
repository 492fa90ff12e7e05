#include "storage/postgres/heartbeat.hpp"

#include "storage/ledger/ownership.hpp"

namespace leasemirror {
namespace {

// Not now(), which is when the transaction began. No row comes back while another one of that name is alive.
constexpr PostgresSql beat_sql{"beat", R"sql(
    INSERT INTO agent AS a (name, host, pid, version, started_at, heartbeat_at, stopped_at, servers, rate)
    VALUES ($1, $2, $3, $4, $5, clock_timestamp(), CASE WHEN $8 THEN clock_timestamp() END, $6, $7::float8)
    ON CONFLICT (name) DO UPDATE SET host = excluded.host, pid = excluded.pid, version = excluded.version,
        started_at = excluded.started_at, heartbeat_at = excluded.heartbeat_at, stopped_at = excluded.stopped_at,
        servers = excluded.servers, rate = excluded.rate
    WHERE (a.host, a.pid) = (excluded.host, excluded.pid) OR a.stopped_at IS NOT NULL
       OR a.heartbeat_at <= clock_timestamp() - interval '15 s'
    RETURNING 1)sql"};

constexpr PostgresSql namesake_sql{"namesake", R"sql(
    SELECT host, pid, extract(epoch FROM clock_timestamp() - heartbeat_at)::bigint FROM agent WHERE name = $1)sql"};

constexpr PostgresSql forget_gone_sql{"forget_gone_agents", R"sql(
    DELETE FROM agent AS a WHERE heartbeat_at < now() - interval '30 days'
        AND NOT EXISTS (SELECT 1 FROM server AS s WHERE s.owner = a.name))sql"};

}  // namespace

void write_heartbeat(PostgresTransaction& transaction, const Heartbeat& heartbeat) {
    const auto& agent = heartbeat.agent;
    Parameters parameters;
    parameters.text(agent.name).text(agent.host).number(agent.pid).text(agent.version).time(agent.started_at);
    parameters.number(heartbeat.servers).text(std::to_string(heartbeat.rate)).flag(heartbeat.stopping);
    if (transaction.run(beat_sql, parameters).empty()) {
        const auto namesake = transaction.run(namesake_sql, Parameters().text(agent.name));
        Fields fields(namesake[0]);
        OtherAgent other;
        other.name = agent.name;
        other.host = fields.text();
        other.pid = fields.number();
        other.quiet_for = fields.number_if_any();
        fail_for_namesake(other);
    }
    transaction.run(forget_gone_sql);
}

}  // namespace leasemirror
