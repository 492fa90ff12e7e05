-- History knows the line of a client and its host name, and is found by them.

ALTER TABLE assignment ADD COLUMN relay_id      BLOB;  -- these four as last told
ALTER TABLE assignment ADD COLUMN circuit_id    BLOB;
ALTER TABLE assignment ADD COLUMN subscriber_id BLOB;
ALTER TABLE assignment ADD COLUMN hostname      TEXT;

-- Of those that go on it is known. Of those that ended it is not any more.
UPDATE assignment
SET relay_id = b.relay_id, circuit_id = b.circuit_id, subscriber_id = b.subscriber_id, hostname = b.hostname
FROM (SELECT assignment_id, relay_id, circuit_id, subscriber_id, hostname FROM binding
      WHERE assignment_id IS NOT NULL AND (relay_id IS NOT NULL OR circuit_id IS NOT NULL OR
                                           subscriber_id IS NOT NULL OR hostname IS NOT NULL)) AS b
WHERE assignment.assignment_id = b.assignment_id AND assignment.ended_at IS NULL;

-- No renewal changes one of these columns.
CREATE INDEX binding_circuit_id    ON binding    (circuit_id) WHERE circuit_id IS NOT NULL;
CREATE INDEX assignment_hw_addr    ON assignment (hw_addr)    WHERE hw_addr IS NOT NULL;
CREATE INDEX assignment_relay_id   ON assignment (relay_id)   WHERE relay_id IS NOT NULL;
CREATE INDEX assignment_remote_id  ON assignment (remote_id)  WHERE remote_id IS NOT NULL;
CREATE INDEX assignment_circuit_id ON assignment (circuit_id) WHERE circuit_id IS NOT NULL;

DROP VIEW assignment_overview;
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
       a.end_reason, a.began_inferred, a.ended_inferred, a.inferred, a.server_id, a.assignment_id,
       a.relay_id,
       CASE WHEN CAST(a.relay_id AS TEXT) NOT GLOB '*[^ -~]*' AND instr(a.relay_id, x'00') = 0 THEN CAST(a.relay_id AS TEXT)
            WHEN a.relay_id IS NOT NULL THEN
                (WITH RECURSIVE p (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM p WHERE i < length(a.relay_id))
                 SELECT group_concat(lower(hex(substr(a.relay_id, i, 1))), ':') FROM p) END AS relay_id_text,
       a.circuit_id,
       CASE WHEN CAST(a.circuit_id AS TEXT) NOT GLOB '*[^ -~]*' AND instr(a.circuit_id, x'00') = 0 THEN CAST(a.circuit_id AS TEXT)
            WHEN a.circuit_id IS NOT NULL THEN
                (WITH RECURSIVE p (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM p WHERE i < length(a.circuit_id))
                 SELECT group_concat(lower(hex(substr(a.circuit_id, i, 1))), ':') FROM p) END AS circuit_id_text,
       a.subscriber_id, a.hostname
FROM assignment AS a JOIN server AS s ON s.server_id = a.server_id;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('binding', 'binding_circuit_id', '1000000 10'),
    ('assignment', 'assignment_hw_addr', '5000000 10'),
    ('assignment', 'assignment_relay_id', '5000000 5000'),
    ('assignment', 'assignment_remote_id', '5000000 10'),
    ('assignment', 'assignment_circuit_id', '5000000 50');
