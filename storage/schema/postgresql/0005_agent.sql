-- Who is at work: a row for each agent process, with its last sign of life.

CREATE TABLE agent (
    name         text        PRIMARY KEY,                   -- what server.owner says: cluster.name, or HOST-PID
    host         text        NOT NULL,
    pid          bigint      NOT NULL,
    version      text        NOT NULL,
    started_at   timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,                      -- each 5 s, by the clock of the database
    stopped_at   timestamptz,                               -- it ended in good order; NULL: it runs, or was killed
    servers      bigint      NOT NULL DEFAULT 0,            -- that it is at work on
    rate         double precision NOT NULL DEFAULT 0        -- changes a second, since the heartbeat before
) WITH (fillfactor = 50);

-- An agent whose last sign of life is older than 15 s is dead, or cannot write, which is the same to a reader.
CREATE VIEW agent_overview AS
SELECT name, host, pid, version, started_at, heartbeat_at, stopped_at, servers, rate,
       stopped_at IS NULL AND heartbeat_at > now() - interval '15 s' AS alive
FROM agent;

CREATE OR REPLACE VIEW server_overview AS
SELECT s.name, s.family, s.endpoint, encode(s.server_identity, 'hex') AS server_identity, s.phase, s.base_time,
       s.fresh_as_of, s.coverage, s.clock_skew_ms, s.bindings, s.connected_since, s.last_message_at,
       s.last_full_sync_at, s.gaps_open, s.last_error, s.last_error_at, s.owner, s.owner_epoch, s.server_id,
       s.certificate_expires_at, s.certificate_days, s.active_support, s.window_support, s.support_seen_at,
       s.doubts, s.unreadable, s.refused, s.known_since, s.client_data,
       coalesce(a.alive, false) AS agent_alive, a.heartbeat_at AS agent_heartbeat_at
FROM server AS s LEFT JOIN agent_overview AS a ON a.name = s.owner;
