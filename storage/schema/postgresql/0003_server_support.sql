-- What each server has shown that it supports, and until when the certificates of both sides are good.

ALTER TABLE server
    ADD COLUMN certificate_expires_at timestamptz,  -- the earlier end, its or ours, at the last handshake; NULL: no TLS
    ADD COLUMN certificate_days       bigint,       -- whole days left when the row was last written; < 0: expired
    -- By its answers so far, NULL: not known yet. Whether it answers an active query, and whether it heeds the start
    -- time of a bulk query. Asked again after a day, and of another server that answers in its place.
    ADD COLUMN active_support  text CHECK (active_support IN ('yes', 'no')),
    ADD COLUMN window_support  text CHECK (window_support IN ('yes', 'no')),
    ADD COLUMN support_seen_at timestamptz;         -- when that was last found out

-- Replaced, not dropped: others may have built on it. So what is new stands at its end.
CREATE OR REPLACE VIEW server_overview AS
SELECT name, family, endpoint, encode(server_identity, 'hex') AS server_identity, phase, base_time, fresh_as_of,
       coverage, clock_skew_ms, bindings, connected_since, last_message_at, last_full_sync_at, gaps_open, last_error,
       last_error_at, owner, owner_epoch, server_id,
       certificate_expires_at, certificate_days, active_support, window_support, support_seen_at
FROM server;
