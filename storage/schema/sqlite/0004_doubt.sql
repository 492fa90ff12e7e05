-- What is not settled: bindings of which something was told that does not say whether they still are as they stand here.

-- 'asked': the server was asked for just this binding, and does not have it. A CHECK can only be changed by writing the
-- table anew, or its text alone, which is what SQLite's documentation of ALTER TABLE advises where no row changes with
-- it: it takes no time and no room however many rows there are, and keeps the indexes, triggers and views that others
-- have made. A sqlite3 shell of version 3.42 or later runs this only with --unsafe-testing.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
SET sql = replace(sql, 'end_reason = ''unlisted''', 'end_reason = ''unlisted'' OR end_reason = ''asked''')
WHERE type = 'table' AND name IN ('binding', 'assignment');
PRAGMA writable_schema = RESET;  -- what is known of the schema is read anew

-- Why it is not settled whether the binding is as it stands here; NULL: it is. Who has set it also moves base_time on to
-- when it came, so that an older word does not settle it.
ALTER TABLE binding ADD COLUMN doubt TEXT CHECK (doubt IS NULL OR
    doubt = 'unlisted' OR          -- a newer list of its client leaves it out
    doubt = 'link_unknown' OR      -- likewise, but it cannot be told whether the list speaks of its link
    doubt = 'other_client' OR      -- an end was told of another client than the one that has it
    doubt = 'unreadable' OR        -- something was told of it that could not be read
    doubt = 'scope_unreadable' OR  -- a full bulk did not list it, and had replies that could not be read
    doubt = 'unlistable' OR        -- something may have been missed, and no bulk query can list it
    doubt = 'refused');            -- the database refused what was told of it last
CREATE INDEX binding_doubt ON binding (server_id) WHERE doubt IS NOT NULL;

-- No longer a generated column: with one, `VACUUM INTO` fails in a connection that only reads (SQLite 3.40). With
-- legacy_alter_table it does not matter that somebody may have made a view that names it.
DROP VIEW assignment_overview;
PRAGMA legacy_alter_table = ON;
ALTER TABLE assignment DROP COLUMN inferred;
ALTER TABLE assignment ADD COLUMN inferred INTEGER NOT NULL DEFAULT 0 CHECK (inferred IN (0, 1));  -- either of the two
PRAGMA legacy_alter_table = OFF;
UPDATE assignment SET inferred = 1 WHERE began_inferred = 1 OR ended_inferred = 1;

ALTER TABLE server ADD COLUMN doubts         INTEGER NOT NULL DEFAULT 0;  -- rows of `binding` with a doubt
ALTER TABLE server ADD COLUMN unreadable     INTEGER NOT NULL DEFAULT 0;  -- messages that cost a binding, of the last full read and since
ALTER TABLE server ADD COLUMN refused        INTEGER NOT NULL DEFAULT 0;  -- rows of `binding` that the database refused, likewise
ALTER TABLE server ADD COLUMN refused_before INTEGER NOT NULL DEFAULT 0;  -- of these, before the last full bulk began
ALTER TABLE server ADD COLUMN known_since    INTEGER;                     -- the end of the first full read: history begins here
-- v6: what its lists of a client's leases leave out has ended ('snapshot') or not ('delta'); NULL: not known yet.
ALTER TABLE server ADD COLUMN client_data    TEXT CHECK (client_data IN ('delta', 'snapshot'));
ALTER TABLE server ADD COLUMN disorder       INTEGER NOT NULL DEFAULT 0;  -- seconds by which its live messages were out of order
ALTER TABLE server ADD COLUMN written_at     INTEGER;                     -- our clock when the last batch was closed
ALTER TABLE server ADD COLUMN lacking        INTEGER NOT NULL DEFAULT 0;  -- of `refused`, those for which no row is in doubt
ALTER TABLE server ADD COLUMN lacking_before INTEGER NOT NULL DEFAULT 0;  -- of these, before the last full bulk began
-- When the first one was is not known any more: by then it had been.
UPDATE server SET known_since = last_full_sync_at;

-- As before, and with `doubt`.
DROP VIEW lease;
CREATE VIEW lease AS
SELECT s.name AS server,
       (SELECT group_concat(name, ',') FROM
           (SELECT os.name FROM binding AS o JOIN server AS os ON os.server_id = o.server_id
            WHERE o.address = b.address AND o.kind = b.kind AND o.prefix_len = b.prefix_len AND o.vpn_id = b.vpn_id
              AND o.server_id <> b.server_id AND o.state = 'active'
              AND (o.expires_at IS NULL OR o.expires_at > unixepoch())
            ORDER BY os.name)) AS also_on,
       strftime('%Y-%m-%dT%H:%M:%SZ', s.fresh_as_of, 'unixepoch') AS fresh_as_of,
       b.vpn_id, b.kind, b.family, b.address, b.prefix_len, b.state,
       b.client_id,
       CASE WHEN CAST(b.client_id AS TEXT) NOT GLOB '*[^ -~]*' AND instr(b.client_id, x'00') = 0 THEN CAST(b.client_id AS TEXT)
            WHEN b.client_id IS NOT NULL THEN
                (WITH RECURSIVE p (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM p WHERE i < length(b.client_id))
                 SELECT group_concat(lower(hex(substr(b.client_id, i, 1))), ':') FROM p) END AS client_id_text,
       b.hw_type, b.hw_addr,
       strftime('%Y-%m-%dT%H:%M:%SZ', b.client_last_seen, 'unixepoch') AS client_last_seen,
       strftime('%Y-%m-%dT%H:%M:%SZ', b.state_since, 'unixepoch') AS state_since,
       strftime('%Y-%m-%dT%H:%M:%SZ', b.expires_at, 'unixepoch') AS expires_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', b.preferred_until, 'unixepoch') AS preferred_until,
       strftime('%Y-%m-%dT%H:%M:%SZ', b.renew_at, 'unixepoch') AS renew_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', b.rebind_at, 'unixepoch') AS rebind_at,
       b.link_address, b.relay_address,
       b.relay_id,
       CASE WHEN CAST(b.relay_id AS TEXT) NOT GLOB '*[^ -~]*' AND instr(b.relay_id, x'00') = 0 THEN CAST(b.relay_id AS TEXT)
            WHEN b.relay_id IS NOT NULL THEN
                (WITH RECURSIVE p (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM p WHERE i < length(b.relay_id))
                 SELECT group_concat(lower(hex(substr(b.relay_id, i, 1))), ':') FROM p) END AS relay_id_text,
       b.remote_id,
       CASE WHEN CAST(b.remote_id AS TEXT) NOT GLOB '*[^ -~]*' AND instr(b.remote_id, x'00') = 0 THEN CAST(b.remote_id AS TEXT)
            WHEN b.remote_id IS NOT NULL THEN
                (WITH RECURSIVE p (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM p WHERE i < length(b.remote_id))
                 SELECT group_concat(lower(hex(substr(b.remote_id, i, 1))), ':') FROM p) END AS remote_id_text,
       b.circuit_id,
       CASE WHEN CAST(b.circuit_id AS TEXT) NOT GLOB '*[^ -~]*' AND instr(b.circuit_id, x'00') = 0 THEN CAST(b.circuit_id AS TEXT)
            WHEN b.circuit_id IS NOT NULL THEN
                (WITH RECURSIVE p (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM p WHERE i < length(b.circuit_id))
                 SELECT group_concat(lower(hex(substr(b.circuit_id, i, 1))), ':') FROM p) END AS circuit_id_text,
       b.subscriber_id, b.hostname, b.options, b.data_source,
       strftime('%Y-%m-%dT%H:%M:%SZ', b.base_time, 'unixepoch') AS base_time,
       b.via,
       strftime('%Y-%m-%dT%H:%M:%SZ', b.updated_at, 'unixepoch') AS updated_at,
       b.server_id, b.binding_id, b.address_key, b.last_key, b.doubt
FROM binding AS b JOIN server AS s ON s.server_id = b.server_id
WHERE b.state = 'active' AND (b.expires_at IS NULL OR b.expires_at > unixepoch())
  AND b.binding_id = (
      SELECT o.binding_id FROM binding AS o JOIN server AS os ON os.server_id = o.server_id
      WHERE o.address = b.address AND o.kind = b.kind AND o.prefix_len = b.prefix_len AND o.vpn_id = b.vpn_id
        AND o.state NOT IN ('available', 'remote') AND o.end_reason IS NOT 'reconciled'
      ORDER BY CASE WHEN NOT EXISTS (
                   SELECT 1 FROM binding AS n
                   WHERE n.address = o.address AND n.kind = o.kind AND n.prefix_len = o.prefix_len
                     AND n.vpn_id = o.vpn_id AND n.state NOT IN ('available', 'remote')
                     AND n.end_reason IS NOT 'reconciled'
                     AND n.client_last_seen IS NULL AND n.state_since IS NULL)
               THEN coalesce(o.client_last_seen, o.state_since) END DESC,
               o.data_source = 'local' DESC,
               o.base_time * 1000 - coalesce(os.clock_skew_ms, 0) DESC,
               o.server_id
      LIMIT 1);

DROP VIEW binding_overview;
CREATE VIEW binding_overview AS
SELECT s.name AS server, b.vpn_id, b.kind, b.family, b.address, b.prefix_len, b.state, b.end_reason,
       b.client_id,
       CASE WHEN CAST(b.client_id AS TEXT) NOT GLOB '*[^ -~]*' AND instr(b.client_id, x'00') = 0 THEN CAST(b.client_id AS TEXT)
            WHEN b.client_id IS NOT NULL THEN
                (WITH RECURSIVE p (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM p WHERE i < length(b.client_id))
                 SELECT group_concat(lower(hex(substr(b.client_id, i, 1))), ':') FROM p) END AS client_id_text,
       b.hw_type, b.hw_addr,
       strftime('%Y-%m-%dT%H:%M:%SZ', b.client_last_seen, 'unixepoch') AS client_last_seen,
       strftime('%Y-%m-%dT%H:%M:%SZ', b.state_since, 'unixepoch') AS state_since,
       strftime('%Y-%m-%dT%H:%M:%SZ', b.expires_at, 'unixepoch') AS expires_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', b.preferred_until, 'unixepoch') AS preferred_until,
       strftime('%Y-%m-%dT%H:%M:%SZ', b.renew_at, 'unixepoch') AS renew_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', b.rebind_at, 'unixepoch') AS rebind_at,
       b.link_address, b.relay_address,
       b.relay_id,
       CASE WHEN CAST(b.relay_id AS TEXT) NOT GLOB '*[^ -~]*' AND instr(b.relay_id, x'00') = 0 THEN CAST(b.relay_id AS TEXT)
            WHEN b.relay_id IS NOT NULL THEN
                (WITH RECURSIVE p (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM p WHERE i < length(b.relay_id))
                 SELECT group_concat(lower(hex(substr(b.relay_id, i, 1))), ':') FROM p) END AS relay_id_text,
       b.remote_id,
       CASE WHEN CAST(b.remote_id AS TEXT) NOT GLOB '*[^ -~]*' AND instr(b.remote_id, x'00') = 0 THEN CAST(b.remote_id AS TEXT)
            WHEN b.remote_id IS NOT NULL THEN
                (WITH RECURSIVE p (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM p WHERE i < length(b.remote_id))
                 SELECT group_concat(lower(hex(substr(b.remote_id, i, 1))), ':') FROM p) END AS remote_id_text,
       b.circuit_id,
       CASE WHEN CAST(b.circuit_id AS TEXT) NOT GLOB '*[^ -~]*' AND instr(b.circuit_id, x'00') = 0 THEN CAST(b.circuit_id AS TEXT)
            WHEN b.circuit_id IS NOT NULL THEN
                (WITH RECURSIVE p (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM p WHERE i < length(b.circuit_id))
                 SELECT group_concat(lower(hex(substr(b.circuit_id, i, 1))), ':') FROM p) END AS circuit_id_text,
       b.subscriber_id, b.hostname, b.options, b.data_source,
       strftime('%Y-%m-%dT%H:%M:%SZ', b.base_time, 'unixepoch') AS base_time,
       b.via,
       strftime('%Y-%m-%dT%H:%M:%SZ', b.updated_at, 'unixepoch') AS updated_at,
       b.server_id, b.binding_id, b.address_key, b.last_key, b.doubt
FROM binding AS b JOIN server AS s ON s.server_id = b.server_id;

CREATE VIEW assignment_overview AS
SELECT s.name AS server, a.vpn_id, a.kind, a.address, a.prefix_len,
       a.client_id,
       CASE WHEN CAST(a.client_id AS TEXT) NOT GLOB '*[^ -~]*' AND instr(a.client_id, x'00') = 0 THEN CAST(a.client_id AS TEXT)
            WHEN a.client_id IS NOT NULL THEN
                (WITH RECURSIVE p (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM p WHERE i < length(a.client_id))
                 SELECT group_concat(lower(hex(substr(a.client_id, i, 1))), ':') FROM p) END AS client_id_text,
       a.hw_addr, a.remote_id,
       CASE WHEN CAST(a.remote_id AS TEXT) NOT GLOB '*[^ -~]*' AND instr(a.remote_id, x'00') = 0 THEN CAST(a.remote_id AS TEXT)
            WHEN a.remote_id IS NOT NULL THEN
                (WITH RECURSIVE p (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM p WHERE i < length(a.remote_id))
                 SELECT group_concat(lower(hex(substr(a.remote_id, i, 1))), ':') FROM p) END AS remote_id_text,
       strftime('%Y-%m-%dT%H:%M:%SZ', a.began_at, 'unixepoch') AS began_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', a.ended_at, 'unixepoch') AS ended_at,
       a.end_reason, a.began_inferred, a.ended_inferred, a.inferred, a.server_id, a.assignment_id
FROM assignment AS a JOIN server AS s ON s.server_id = a.server_id;

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
       strftime('%Y-%m-%dT%H:%M:%SZ', support_seen_at, 'unixepoch') AS support_seen_at,
       doubts, unreadable, refused,
       strftime('%Y-%m-%dT%H:%M:%SZ', known_since, 'unixepoch') AS known_since, client_data
FROM server;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('binding', 'binding_doubt', '100 50');
