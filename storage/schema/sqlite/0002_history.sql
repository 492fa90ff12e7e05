-- The change feed, and who held what from when to when.

-- Written in the transaction of the change it tells of. SQLite has one writer at a time, so `seq` is the order of
-- commits; AUTOINCREMENT, so that a number never comes again after its row was removed. Whoever remembers the last seq
-- that it has seen asks for those above it, and misses nothing and sees nothing twice.
CREATE TABLE binding_change (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,  -- when it was written
    server_id  INTEGER NOT NULL REFERENCES server (server_id),
    vpn_id     TEXT NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('address', 'prefix')),
    address    TEXT NOT NULL,
    prefix_len INTEGER NOT NULL,
    change     TEXT NOT NULL CHECK (change = 'assigned' OR change = 'renewed' OR change = 'updated' OR change = 'ended'),
    state      TEXT NOT NULL,     -- of the binding, after the change
    client_id  BLOB,              -- who holds it, or held it until now
    expires_at INTEGER,
    detail     TEXT NOT NULL,     -- JSON: what changed in the other columns of `binding`, null where a value went away
    inferred   INTEGER NOT NULL CHECK (inferred IN (0, 1))  -- seen late or deduced: its time is a bound
) STRICT;

-- Intervals of one address on one server never overlap; ended_at is the first second that is not in it any more.
--
-- Who had an address then, in all VPNs; :address is its canonical text, :at Unix seconds:
--
--   SELECT s.name AS server, a.*
--   FROM assignment AS a JOIN server AS s ON s.server_id = a.server_id
--   WHERE a.address = :address AND a.kind = 'address' AND a.began_at <= :at AND (a.ended_at IS NULL OR a.ended_at > :at);
--
-- And who had the prefixes that contained it, the longest first; :key is the address in the form of address_key. It goes
-- through the lengths in use as the query for the lease of now does (0001_bindings.sql):
--
--   WITH RECURSIVE len (l) AS (
--       SELECT max(prefix_len) FROM assignment WHERE last_key IS NOT NULL
--       UNION ALL
--       SELECT (SELECT max(prefix_len) FROM assignment WHERE last_key IS NOT NULL AND prefix_len < l) FROM len WHERE l > 0
--       LIMIT 129)
--   SELECT s.name AS server, a.*
--   FROM len CROSS JOIN assignment AS a JOIN server AS s ON s.server_id = a.server_id
--   WHERE a.prefix_len = l AND a.last_key >= :key AND a.address_key =
--             (SELECT max(address_key) FROM assignment WHERE last_key IS NOT NULL AND prefix_len = l AND address_key <= :key)
--         AND a.began_at <= :at AND (a.ended_at IS NULL OR a.ended_at > :at)
--   ORDER BY l DESC;
CREATE TABLE assignment (
    assignment_id  INTEGER PRIMARY KEY AUTOINCREMENT,
    server_id      INTEGER NOT NULL REFERENCES server (server_id),
    vpn_id         TEXT NOT NULL,
    kind           TEXT NOT NULL CHECK (kind IN ('address', 'prefix')),
    address        TEXT NOT NULL,
    prefix_len     INTEGER NOT NULL,
    address_key    BLOB NOT NULL,
    last_key       BLOB,             -- kind 'prefix': the last address in it
    client_id      BLOB,
    hw_addr        TEXT,
    remote_id      BLOB,
    began_at       INTEGER NOT NULL,
    ended_at       INTEGER,          -- NULL: still
    end_reason     TEXT CHECK (end_reason IS NULL OR end_reason = 'reported' OR end_reason = 'expired' OR
                       end_reason = 'reconciled' OR end_reason = 'unlisted' OR
                       end_reason = 'replaced' OR     -- another client has it
                       end_reason = 'moved'),         -- the same client, at another hw_addr or remote_id
    began_inferred INTEGER NOT NULL CHECK (began_inferred IN (0, 1)),            -- it may have begun earlier
    ended_inferred INTEGER NOT NULL DEFAULT 0 CHECK (ended_inferred IN (0, 1)),  -- it may have ended earlier
    inferred       INTEGER NOT NULL GENERATED ALWAYS AS (began_inferred | ended_inferred) VIRTUAL,
    CHECK (ended_at IS NULL OR ended_at >= began_at),
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
) STRICT;

CREATE INDEX assignment_address   ON assignment (address, began_at);
CREATE INDEX assignment_client_id ON assignment (client_id) WHERE client_id IS NOT NULL;
CREATE INDEX assignment_prefix    ON assignment (prefix_len, address_key) WHERE last_key IS NOT NULL;
CREATE INDEX assignment_ended     ON assignment (ended_at) WHERE ended_at IS NOT NULL;  -- for retention

-- How many bindings each server has in each state: kept with them, since counting millions takes seconds.
CREATE TABLE binding_count (
    server_id INTEGER NOT NULL REFERENCES server (server_id),
    state     TEXT NOT NULL,
    bindings  INTEGER NOT NULL,
    PRIMARY KEY (server_id, state)
) STRICT, WITHOUT ROWID;

ALTER TABLE binding ADD COLUMN assignment_id INTEGER;  -- the open one, while in force
-- In force: when its assignment began; else when the last one ended. No later boundary lies before it.
ALTER TABLE binding ADD COLUMN boundary_at   INTEGER;
ALTER TABLE server ADD COLUMN committed_batch INTEGER NOT NULL DEFAULT 0;  -- the last one, of the present owner_epoch

-- What lies within a network: address_key BETWEEN its first and its last address. Of a delegated prefix:
--
--   SELECT lease.* FROM binding AS net JOIN lease ON lease.address_key BETWEEN net.address_key AND net.last_key
--   WHERE net.kind = 'prefix' AND net.address = :address AND net.prefix_len = :length
--   ORDER BY lease.address_key, lease.prefix_len;
CREATE INDEX binding_address_key ON binding (address_key);

-- What was there before the feed begins it: whoever reads it from its beginning has the whole table. Who held what
-- before is not known.
INSERT INTO assignment (server_id, vpn_id, kind, address, prefix_len, address_key, last_key, client_id, hw_addr,
                        remote_id, began_at, began_inferred)
SELECT server_id, vpn_id, kind, address, prefix_len, address_key, last_key, client_id, hw_addr, remote_id,
       min(coalesce(state_since, client_last_seen, updated_at), updated_at), state_since IS NULL
FROM binding WHERE state = 'active' ORDER BY binding_id;
UPDATE binding SET boundary_at = a.began_at, assignment_id = a.assignment_id
FROM assignment AS a
WHERE a.address = binding.address AND a.kind = binding.kind AND a.prefix_len = binding.prefix_len
  AND a.vpn_id = binding.vpn_id AND a.server_id = binding.server_id;
UPDATE binding SET boundary_at = updated_at WHERE state <> 'active';

INSERT INTO binding_change (at, server_id, vpn_id, kind, address, prefix_len, change, state, client_id, expires_at,
                            detail, inferred)
SELECT updated_at, server_id, vpn_id, kind, address, prefix_len, iif(state = 'active', 'assigned', 'updated'), state,
       client_id, expires_at,
       json_patch('{}', json_object(
           'end_reason', end_reason, 'hw_type', hw_type, 'hw_addr', hw_addr,
           'client_last_seen', strftime('%Y-%m-%dT%H:%M:%SZ', client_last_seen, 'unixepoch'),
           'state_since', strftime('%Y-%m-%dT%H:%M:%SZ', state_since, 'unixepoch'),
           'preferred_until', strftime('%Y-%m-%dT%H:%M:%SZ', preferred_until, 'unixepoch'),
           'renew_at', strftime('%Y-%m-%dT%H:%M:%SZ', renew_at, 'unixepoch'),
           'rebind_at', strftime('%Y-%m-%dT%H:%M:%SZ', rebind_at, 'unixepoch'),
           'link_address', link_address, 'relay_address', relay_address,
           'relay_id', iif(relay_id IS NULL, NULL, lower(hex(relay_id))),
           'remote_id', iif(remote_id IS NULL, NULL, lower(hex(remote_id))),
           'circuit_id', iif(circuit_id IS NULL, NULL, lower(hex(circuit_id))),
           'subscriber_id', iif(subscriber_id IS NULL, NULL, lower(hex(subscriber_id))),
           'hostname', hostname, 'options', json(options), 'data_source', data_source)), 1
FROM binding ORDER BY binding_id;

INSERT INTO binding_count (server_id, state, bindings)
SELECT server_id, state, count(*) FROM binding GROUP BY server_id, state;

CREATE VIEW binding_change_overview AS
SELECT c.seq, strftime('%Y-%m-%dT%H:%M:%SZ', c.at, 'unixepoch') AS at, s.name AS server, c.vpn_id, c.kind, c.address,
       c.prefix_len, c.change, c.state,
       c.client_id,
       CASE WHEN CAST(c.client_id AS TEXT) NOT GLOB '*[^ -~]*' AND instr(c.client_id, x'00') = 0 THEN CAST(c.client_id AS TEXT)
            WHEN c.client_id IS NOT NULL THEN
                (WITH RECURSIVE p (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM p WHERE i < length(c.client_id))
                 SELECT group_concat(lower(hex(substr(c.client_id, i, 1))), ':') FROM p) END AS client_id_text,
       strftime('%Y-%m-%dT%H:%M:%SZ', c.expires_at, 'unixepoch') AS expires_at, c.detail, c.inferred, c.server_id
FROM binding_change AS c JOIN server AS s ON s.server_id = c.server_id;

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

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('binding', 'binding_address_key', '1000000 2'),
    ('assignment', 'assignment_address', '5000000 5 1'),
    ('assignment', 'assignment_client_id', '5000000 10'),
    ('assignment', 'assignment_prefix', '500000 100000 5'),
    ('assignment', 'assignment_ended', '4000000 2');
