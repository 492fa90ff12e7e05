-- What each server has shown that it supports, and until when the certificates of both sides are good.

ALTER TABLE server ADD COLUMN certificate_expires_at INTEGER;  -- the earlier end, its or ours, at the last handshake; NULL: no TLS
ALTER TABLE server ADD COLUMN certificate_days       INTEGER;  -- whole days left when the row was last written; < 0: expired
-- By its answers so far, NULL: not known yet. Whether it answers an active query, and whether it heeds the start time
-- of a bulk query. Asked again after a day, and of another server that answers in its place.
ALTER TABLE server ADD COLUMN active_support  TEXT CHECK (active_support IN ('yes', 'no'));
ALTER TABLE server ADD COLUMN window_support  TEXT CHECK (window_support IN ('yes', 'no'));
ALTER TABLE server ADD COLUMN support_seen_at INTEGER;  -- when that was last found out

DROP VIEW server_overview;
CREATE VIEW server_overview AS
SELECT name, family, endpoint, lower(hex(server_identity)) AS server_identity, phase,
       strftime('%Y-%m-%dT%H:%M:%SZ', base_time, 'unixepoch') AS base_time,
       strftime('%Y-%m-%dT%H:%M:%SZ', fresh_as_of, 'unixepoch') AS fresh_as_of,
       coverage, clock_skew_ms, bindings,
       strftime('%Y-%m-%dT%H:%M:%SZ', connected_since, 'unixepoch') AS connected_since,
       strftime('%Y-%m-%dT%H:%M:%SZ', last_message_at, 'unixepoch') AS last_message_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', last_full_sync_at, 'unixepoch') AS last_full_sync_at,
       gaps_open, last_error,
       strftime('%Y-%m-%dT%H:%M:%SZ', last_error_at, 'unixepoch') AS last_error_at,
       owner, owner_epoch, server_id,
       strftime('%Y-%m-%dT%H:%M:%SZ', certificate_expires_at, 'unixepoch') AS certificate_expires_at, certificate_days,
       active_support, window_support,
       strftime('%Y-%m-%dT%H:%M:%SZ', support_seen_at, 'unixepoch') AS support_seen_at
FROM server;
