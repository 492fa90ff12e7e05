#include "storage/sqlite/heartbeat.hpp"

#include "storage/sqlite/statement.hpp"

#include <SQLiteCpp/Database.h>

namespace leasemirror {
namespace {

// No other agent can be alive: it would hold the lock of the file.
constexpr const char* beat_sql = R"sql(
    INSERT INTO agent (name, host, pid, version, started_at, heartbeat_at, stopped_at, servers, rate)
    VALUES (?1, ?2, ?3, ?4, ?5, unixepoch(), iif(?8, unixepoch(), NULL), ?6, ?7)
    ON CONFLICT (name) DO UPDATE SET host = excluded.host, pid = excluded.pid, version = excluded.version,
        started_at = excluded.started_at, heartbeat_at = excluded.heartbeat_at, stopped_at = excluded.stopped_at,
        servers = excluded.servers, rate = excluded.rate)sql";

constexpr const char* forget_gone_sql = R"sql(
    DELETE FROM agent WHERE heartbeat_at < unixepoch() - 30 * 86400
        AND NOT EXISTS (SELECT 1 FROM server WHERE owner = agent.name))sql";

}  // namespace

void write_heartbeat(SQLite::Database& db, const Heartbeat& heartbeat) {
    const auto& agent = heartbeat.agent;
    SQLite::Statement beat(db, beat_sql);
    Use use(beat);
    use.text(1, agent.name);
    use.text(2, agent.host);
    use.number(3, agent.pid);
    use.text(4, agent.version);
    use.time(5, agent.started_at);
    use.number(6, heartbeat.servers);
    use.real(7, heartbeat.rate);
    use.number(8, std::int64_t{heartbeat.stopping ? 1 : 0});
    use.run();
    db.exec(forget_gone_sql);
}

}  // namespace leasemirror
