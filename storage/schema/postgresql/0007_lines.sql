-- History knows the line of a client and its host name, and is found by them.

ALTER TABLE assignment
    ADD COLUMN relay_id      bytea,  -- these four as last told
    ADD COLUMN circuit_id    bytea,
    ADD COLUMN subscriber_id bytea,
    ADD COLUMN hostname      text;

-- Of those that go on it is known. Of those that ended it is not any more.
UPDATE assignment AS a
SET relay_id = b.relay_id, circuit_id = b.circuit_id, subscriber_id = b.subscriber_id, hostname = b.hostname
FROM binding AS b
WHERE b.server_id = a.server_id AND b.assignment_id = a.assignment_id AND a.ended_at IS NULL
  AND num_nonnulls(b.relay_id, b.circuit_id, b.subscriber_id, b.hostname) > 0;

-- No renewal changes one of these columns. Identifiers may be longer than an index entry, so it is their digest that is
-- indexed. Of a line not by USING hash as in 0004_doubt.sql: history keeps many rows of one relay or port, and each further
-- one would be slower than the one before. Who looks there says both: md5(circuit_id) = md5(X) AND circuit_id = X.
CREATE INDEX binding_circuit_id    ON binding    USING hash (circuit_id)   WHERE circuit_id IS NOT NULL;
CREATE INDEX assignment_hw_addr    ON assignment USING hash (hw_addr)      WHERE hw_addr IS NOT NULL;
CREATE INDEX assignment_relay_id   ON assignment (md5(relay_id))           WHERE relay_id IS NOT NULL;
CREATE INDEX assignment_remote_id  ON assignment (md5(remote_id))          WHERE remote_id IS NOT NULL;
CREATE INDEX assignment_circuit_id ON assignment (md5(circuit_id))         WHERE circuit_id IS NOT NULL;

-- Replaced, not dropped: others may have built on them. So what is new stands at the end.
CREATE OR REPLACE VIEW assignment_overview AS
SELECT s.name AS server, a.vpn_id, a.kind, a.address, a.prefix_len,
       a.client_id, identifier_text(a.client_id) AS client_id_text,
       a.hw_addr, a.remote_id, identifier_text(a.remote_id) AS remote_id_text,
       a.began_at, a.ended_at, a.end_reason, a.began_inferred, a.ended_inferred, a.inferred, a.server_id,
       a.assignment_id, a.network,
       a.relay_id, identifier_text(a.relay_id) AS relay_id_text,
       a.circuit_id, identifier_text(a.circuit_id) AS circuit_id_text,
       a.subscriber_id, a.hostname
FROM assignment AS a JOIN server AS s ON s.server_id = a.server_id;

-- As before: but it names the columns that the view had when it was made.
CREATE OR REPLACE FUNCTION lease_at(at timestamptz) RETURNS SETOF assignment_overview LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT a.* FROM assignment_overview AS a
    WHERE a.began_at <= lease_at.at AND (a.ended_at IS NULL OR a.ended_at > lease_at.at);
END;
