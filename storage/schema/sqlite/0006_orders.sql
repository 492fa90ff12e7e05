-- What operators ask of the agent, from any host: kept here until it is done, so that a restart forgets nothing. And what
-- came of the last comparison with the server.

ALTER TABLE server ADD COLUMN paused_at          INTEGER;  -- left alone since then; NULL: worked on
ALTER TABLE server ADD COLUMN paused_by          TEXT CHECK ((paused_at IS NULL) = (paused_by IS NULL));  -- USER@HOST
ALTER TABLE server ADD COLUMN resync_asked_at    INTEGER;  -- a full read is asked for, and has not ended; NULL: none is
ALTER TABLE server ADD COLUMN resync_asked_by    TEXT CHECK ((resync_asked_at IS NULL) = (resync_asked_by IS NULL));
ALTER TABLE server ADD COLUMN resync_number      INTEGER NOT NULL DEFAULT 0;  -- of the last one asked for: counts up
ALTER TABLE server ADD COLUMN last_verify_at     INTEGER;  -- when `verify` last compared all that could be
-- That it found then.
ALTER TABLE server ADD COLUMN verify_differences INTEGER CHECK ((last_verify_at IS NULL) = (verify_differences IS NULL));
ALTER TABLE server ADD COLUMN next_attempt_at    INTEGER;  -- while nothing is open: when the server is tried again
-- What it left is removed but for feed rows up to here; when they are, so is this row.
ALTER TABLE server ADD COLUMN forgotten_seq      INTEGER;

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
       coalesce(a.alive, 0) AS agent_alive, a.heartbeat_at AS agent_heartbeat_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.paused_at, 'unixepoch') AS paused_at, s.paused_by,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.resync_asked_at, 'unixepoch') AS resync_asked_at, s.resync_asked_by,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.last_verify_at, 'unixepoch') AS last_verify_at, s.verify_differences,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.next_attempt_at, 'unixepoch') AS next_attempt_at
FROM server AS s LEFT JOIN agent_overview AS a ON a.name = s.owner
WHERE s.forgotten_seq IS NULL;
