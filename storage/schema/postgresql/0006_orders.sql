-- What operators ask of the agent, from any host: kept here until it is done, so that a restart forgets nothing. And what
-- came of the last comparison with the server.

ALTER TABLE server
    ADD COLUMN paused_at          timestamptz,                -- left alone since then; NULL: worked on
    ADD COLUMN paused_by          text,                       -- USER@HOST
    ADD COLUMN resync_asked_at    timestamptz,                -- a full read is asked for, and has not ended; NULL: none is
    ADD COLUMN resync_asked_by    text,
    ADD COLUMN resync_number      bigint NOT NULL DEFAULT 0,  -- of the last one asked for: counts up
    ADD COLUMN last_verify_at     timestamptz,                -- when `verify` last compared all that could be
    ADD COLUMN verify_differences bigint,                     -- that it found then
    ADD COLUMN next_attempt_at    timestamptz,                -- while nothing is open: when the server is tried again
    ADD COLUMN forgotten_seq      bigint,                     -- what it left is removed but for feed rows up to here;
                                                              -- when they are, so is this row
    ADD CHECK ((paused_at IS NULL) = (paused_by IS NULL)),
    ADD CHECK ((resync_asked_at IS NULL) = (resync_asked_by IS NULL)),
    ADD CHECK ((last_verify_at IS NULL) = (verify_differences IS NULL));

CREATE OR REPLACE VIEW server_overview AS
SELECT s.name, s.family, s.endpoint, encode(s.server_identity, 'hex') AS server_identity, s.phase, s.base_time,
       s.fresh_as_of, s.coverage, s.clock_skew_ms, s.bindings, s.connected_since, s.last_message_at,
       s.last_full_sync_at, s.gaps_open, s.last_error, s.last_error_at, s.owner, s.owner_epoch, s.server_id,
       s.certificate_expires_at, s.certificate_days, s.active_support, s.window_support, s.support_seen_at,
       s.doubts, s.unreadable, s.refused, s.known_since, s.client_data,
       coalesce(a.alive, false) AS agent_alive, a.heartbeat_at AS agent_heartbeat_at,
       s.paused_at, s.paused_by, s.resync_asked_at, s.resync_asked_by, s.last_verify_at, s.verify_differences,
       s.next_attempt_at
FROM server AS s LEFT JOIN agent_overview AS a ON a.name = s.owner
WHERE s.forgotten_seq IS NULL;
