-- The first schema: servers, what they say of each address, recoveries, and what could not be understood.
--
-- Tables hold times as INTEGER Unix seconds; the views show the same as ISO 8601 text. Base-times and gap bounds are
-- in the clock of the DHCP server they belong to, every other time is in the agent's. NULL means "not told", except
-- expires_at: there it means "never". Foreign keys are declared for people and tools; the agent does not switch
-- their enforcement on, because it never deletes a server and never writes a row for one that it has not just read.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,  -- 'requestor_duid'
    value BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE server (
    server_id         INTEGER PRIMARY KEY,
    name              TEXT NOT NULL UNIQUE,
    family            TEXT NOT NULL CHECK (family IN ('v4', 'v6')),
    endpoint          TEXT NOT NULL,
    server_identity   BLOB,
    phase             TEXT NOT NULL DEFAULT 'connecting' CHECK (phase IN
                          ('connecting', 'bulk', 'catch_up', 'live', 'gap', 'polling', 'waiting', 'down', 'disabled')),
    base_time         INTEGER,
    fresh_as_of       INTEGER,
    coverage          TEXT NOT NULL DEFAULT 'partial' CHECK (coverage IN ('full', 'partial')),
    clock_skew_ms     INTEGER,
    bindings          INTEGER NOT NULL DEFAULT 0,  -- rows of `binding` with state 'active'
    connected_since   INTEGER,
    last_message_at   INTEGER,
    last_full_sync_at INTEGER,
    gaps_open         INTEGER NOT NULL DEFAULT 0,
    last_error        TEXT,
    last_error_at     INTEGER,
    owner             TEXT,
    owner_epoch       INTEGER NOT NULL DEFAULT 0,  -- counts take-overs; a writer that knows an older one is fenced
    epoch             INTEGER NOT NULL DEFAULT 0,  -- run of the server's clock and database that base-times belong to
    last_run          INTEGER NOT NULL DEFAULT 0,  -- number of the last bulk begun
    last_gap          INTEGER NOT NULL DEFAULT 0   -- highest gap number ever used
) STRICT;

-- Its words are checked with OR: for a list of three or more, IN builds a table of them anew for each row.
CREATE TABLE binding (
    binding_id       INTEGER PRIMARY KEY,
    server_id        INTEGER NOT NULL REFERENCES server (server_id),
    vpn_id           TEXT NOT NULL,     -- '', 'ascii:NAME' or 'rfc2685:HEX'
    kind             TEXT NOT NULL CHECK (kind IN ('address', 'prefix')),
    address          TEXT NOT NULL,     -- canonical (RFC 5952)
    prefix_len       INTEGER NOT NULL CHECK (prefix_len BETWEEN 0 AND 128),
    address_key      BLOB NOT NULL,     -- 16 octets that sort as addresses do: v6 as it is, v4 as ::ffff:a.b.c.d
    last_key         BLOB,              -- kind 'prefix': the last address in it, in the same form
    family           TEXT NOT NULL CHECK (family IN ('v4', 'v6')),
    state            TEXT NOT NULL CHECK (state = 'active' OR state = 'available' OR state = 'expired' OR
                         state = 'released' OR state = 'abandoned' OR state = 'reset' OR state = 'remote' OR
                         state = 'transitioning' OR state = 'ended'),
    client_id        BLOB,
    hw_type          INTEGER,
    hw_addr          TEXT,              -- lower case, with colons
    client_last_seen INTEGER,
    state_since      INTEGER,
    expires_at       INTEGER,           -- NULL: never
    preferred_until  INTEGER,
    renew_at         INTEGER,
    rebind_at        INTEGER,
    link_address     TEXT,
    relay_address    TEXT,
    relay_id         BLOB,
    remote_id        BLOB,
    circuit_id       BLOB,
    subscriber_id    BLOB,
    hostname         TEXT,              -- octets that are not printable UTF-8 as \xHH, a backslash as \\
    options          TEXT,              -- JSON: option code -> lower-case hex (an array of them if it came repeatedly)
    data_source      TEXT NOT NULL CHECK (data_source IN ('local', 'remote')),
    end_reason       TEXT CHECK (end_reason IS NULL OR end_reason = 'reported' OR end_reason = 'expired' OR
                         end_reason = 'reconciled' OR end_reason = 'unlisted'),  -- NULL: in force
    base_time        INTEGER NOT NULL,  -- server's clock: of the message, or of what ended it (bulk, client's list)
    via              TEXT NOT NULL CHECK (via = 'active' OR via = 'bulk' OR via = 'query'),
    updated_at       INTEGER NOT NULL,
    epoch            INTEGER NOT NULL,  -- server.epoch when it was told
    seen_run         INTEGER NOT NULL,  -- the last bulk that listed it, or had begun when it was told
    scope            INTEGER NOT NULL   -- the bulk query that last listed it; 0: none did
) STRICT;

-- None of these has a column that a renewal changes: a renewal rewrites the row and no index.
-- The key of the table. It begins with the address, so that it also finds one address on all servers.
CREATE UNIQUE INDEX binding_key       ON binding (address, kind, prefix_len, vpn_id, server_id);
CREATE INDEX        binding_server    ON binding (server_id);
CREATE INDEX        binding_client_id ON binding (client_id) WHERE client_id IS NOT NULL;
CREATE INDEX        binding_hw_addr   ON binding (hw_addr)   WHERE hw_addr IS NOT NULL;
CREATE INDEX        binding_relay_id  ON binding (relay_id)  WHERE relay_id IS NOT NULL;
CREATE INDEX        binding_remote_id ON binding (remote_id) WHERE remote_id IS NOT NULL;
-- The prefixes that contain an address, the longest first; :key is the address in the form of address_key. Prefixes
-- of one length do not overlap, so for each length in use (`len` finds them by skipping through the index) only the
-- last one that starts at or before the address can contain it. LIMIT tells the planner that the lengths are few, so that
-- it does not first make a filter out of all prefixes:
--
--   WITH RECURSIVE len (l) AS (
--       SELECT max(prefix_len) FROM binding WHERE last_key IS NOT NULL
--       UNION ALL
--       SELECT (SELECT max(prefix_len) FROM binding WHERE last_key IS NOT NULL AND prefix_len < l) FROM len WHERE l > 0
--       LIMIT 129)
--   SELECT lease.* FROM len CROSS JOIN lease
--   WHERE lease.prefix_len = l AND lease.last_key >= :key AND lease.address_key =
--       (SELECT max(address_key) FROM binding WHERE last_key IS NOT NULL AND prefix_len = l AND address_key <= :key)
--   ORDER BY l DESC;
--
-- It is not WHERE kind = 'prefix', because then every statement with kind = ? would be compiled anew for each value.
CREATE INDEX        binding_prefix    ON binding (prefix_len, address_key) WHERE last_key IS NOT NULL;

CREATE TABLE gap (
    server_id          INTEGER NOT NULL REFERENCES server (server_id),
    gap_number         INTEGER NOT NULL,
    gap_from           INTEGER NOT NULL,
    gap_to             INTEGER NOT NULL,
    cause              TEXT NOT NULL,
    opened_at          INTEGER NOT NULL,
    closed_at          INTEGER,
    outcome            TEXT,
    bindings_recovered INTEGER,
    PRIMARY KEY (server_id, gap_number)
) STRICT, WITHOUT ROWID;

CREATE TABLE quarantine (
    quarantine_id INTEGER PRIMARY KEY AUTOINCREMENT,
    server_id     INTEGER NOT NULL REFERENCES server (server_id),
    at            INTEGER NOT NULL,
    reason        TEXT NOT NULL,
    message       BLOB NOT NULL,    -- the first 64 KiB of it
    message_bytes INTEGER NOT NULL  -- its whole length
) STRICT;
CREATE INDEX quarantine_server ON quarantine (server_id, at);

-- One row per address or prefix over all servers, only what is in force at this moment.
--
-- Of the records that the servers have of one address, the winner is found as RFC 6926 section 7.6 says: each record
-- speaks for its client_last_seen, or for its state_since if it has none (the three cases of the RFC are this one
-- comparison), and the later one wins; else a local record beats a remote one; else the later base-time, brought to
-- our clock by the server's skew; else the lower server_id. Where a record has neither time nothing can be compared
-- with it, so then the times count for none of the records of this address: an order of all records, never a circle.
--
-- A winner that is not in force (ended, or past its expiry although no sweep has come by yet) hides the lease. It
-- does so only if it says something of the client: 'available' and 'remote' speak of their own server alone, and so
-- does a record that a full bulk no longer listed ('reconciled'), which is the absence of a record.
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
       b.server_id, b.binding_id, b.address_key, b.last_key
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

-- The tables with readable times, names and identifiers.
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
       owner, owner_epoch, server_id
FROM server;

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
       b.server_id, b.binding_id, b.address_key, b.last_key
FROM binding AS b JOIN server AS s ON s.server_id = b.server_id;

CREATE VIEW gap_overview AS
SELECT s.name AS server, g.gap_number,
       strftime('%Y-%m-%dT%H:%M:%SZ', g.gap_from, 'unixepoch') AS gap_from,
       strftime('%Y-%m-%dT%H:%M:%SZ', g.gap_to, 'unixepoch') AS gap_to,
       g.cause,
       strftime('%Y-%m-%dT%H:%M:%SZ', g.opened_at, 'unixepoch') AS opened_at,
       strftime('%Y-%m-%dT%H:%M:%SZ', g.closed_at, 'unixepoch') AS closed_at,
       g.outcome, g.bindings_recovered, g.server_id
FROM gap AS g JOIN server AS s ON s.server_id = g.server_id;

CREATE VIEW quarantine_overview AS
SELECT s.name AS server, strftime('%Y-%m-%dT%H:%M:%SZ', q.at, 'unixepoch') AS at, q.reason,
       lower(hex(q.message)) AS message, q.message_bytes, q.quarantine_id, q.server_id
FROM quarantine AS q JOIN server AS s ON s.server_id = q.server_id;

-- Without figures the planner takes every index for equally good. These tell it that a server or a relay has many
-- bindings and a client few; whoever runs ANALYZE gets the true ones.
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('binding', 'binding_key', '1000000 2 2 2 2 1'),
    ('binding', 'binding_server', '1000000 100000'),
    ('binding', 'binding_client_id', '1000000 3'),
    ('binding', 'binding_hw_addr', '1000000 3'),
    ('binding', 'binding_relay_id', '1000000 1000'),
    ('binding', 'binding_remote_id', '1000000 4'),
    ('binding', 'binding_prefix', '100000 20000 2');
