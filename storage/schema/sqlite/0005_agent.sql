-- Who is at work: a row for each agent process, with its last sign of life.

CREATE TABLE agent (
    name         TEXT    PRIMARY KEY,          -- what server.owner says: cluster.name, or HOST-PID
    host         TEXT    NOT NULL,
    pid          INTEGER NOT NULL,
    version      TEXT    NOT NULL,
    started_at   INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL,             -- each 5 s
    stopped_at   INTEGER,                      -- it ended in good order; NULL: it runs, or was killed
    servers      INTEGER NOT NULL DEFAULT 0,   -- that it is at work on
    rate         REAL    NOT NULL DEFAULT 0    -- changes a second, since the heartbeat before
) WITHOUT ROWID;

-- An agent whose last sign of life is older than 15 s is dead, or cannot write, which is the same to a reader. One that
-- lies in the future was given before somebody set the clock of this host back: it says nothing.
CREATE VIEW agent_overview AS
SELECT name, host, pid, version,
       strftime('%Y-%m-%dT%H:%M:%SZ', started_at, 'unixepoch') AS started_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', heartbeat_at, 'unixepoch') AS heartbeat_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', stopped_at, 'unixepoch') AS stopped_at,
       servers, rate,
       stopped_at IS NULL AND heartbeat_at BETWEEN unixepoch() - 14 AND unixepoch() + 14 AS alive
FROM agent;

DROP VIEW server_overview;
CREATE VIEW server_overview AS
SELECT s.name, s.family, s.endpoint, lower(hex(s.server_identity)) AS server_identity, s.phase,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.base_time, 'unixepoch') AS base_time,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.fresh_as_of, 'unixepoch') AS fresh_as_of,
       s.coverage, s.clock_skew_ms, s.bindings,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.connected_since, 'unixepoch') AS connected_since,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.last_message_at, 'unixepoch') AS last_message_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.last_full_sync_at, 'unixepoch') AS last_full_sync_at,
       s.gaps_open, s.last_error,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.last_error_at, 'unixepoch') AS last_error_at,
       s.owner, s.owner_epoch, s.server_id,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.certificate_expires_at, 'unixepoch') AS certificate_expires_at,
       s.certificate_days, s.active_support, s.window_support,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.support_seen_at, 'unixepoch') AS support_seen_at,
       s.doubts, s.unreadable, s.refused,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.known_since, 'unixepoch') AS known_since, s.client_data,
       coalesce(a.alive, 0) AS agent_alive, a.heartbeat_at AS agent_heartbeat_at
FROM server AS s LEFT JOIN agent_overview AS a ON a.name = s.owner;
