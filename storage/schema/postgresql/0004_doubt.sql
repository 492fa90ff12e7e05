-- What is not settled: bindings of which something was told that does not say whether they still are as they stand here.

-- Why it is not settled whether the binding is as it stands here; NULL: it is. Who has set it also moves base_time on to
-- when it came, so that an older word does not settle it.
ALTER TABLE binding ADD COLUMN doubt text CHECK (doubt IN
    ('unlisted',          -- a newer list of its client leaves it out
     'link_unknown',      -- likewise, but it cannot be told whether the list speaks of its link
     'other_client',      -- an end was told of another client than the one that has it
     'unreadable',        -- something was told of it that could not be read
     'scope_unreadable',  -- a full bulk did not list it, and had replies that could not be read
     'unlistable',        -- something may have been missed, and no bulk query can list it
     'refused'));         -- the database refused what was told of it last
-- No renewal of a binding that is not in doubt changes the one column or the other.
CREATE INDEX binding_doubt ON binding (server_id, binding_id) WHERE doubt IS NOT NULL;

-- 'asked': the server was asked for just this binding, and does not have it.
ALTER TABLE binding
    DROP CONSTRAINT binding_end_reason_check,
    ADD CONSTRAINT binding_end_reason_check CHECK
        (end_reason IN ('reported', 'expired', 'reconciled', 'unlisted', 'asked'));
ALTER TABLE assignment
    DROP CONSTRAINT assignment_end_reason_check,
    ADD CONSTRAINT assignment_end_reason_check CHECK
        (end_reason IN ('reported', 'expired', 'reconciled', 'unlisted', 'asked', 'replaced', 'moved'));

-- By a digest, which a hash index keeps in place of the value: a B-tree refuses values of more than some 2,700 octets.
-- `client_id = X` finds it as before. What is the same in very many rows makes a chain that each new row goes through:
-- a relay with 100,000 leases costs each new one some 0.03 ms, at ten times as many ten times that. Renewals go past it.
DROP INDEX binding_client_id, binding_hw_addr, binding_relay_id, binding_remote_id, assignment_client_id;
CREATE INDEX binding_client_id    ON binding    USING hash (client_id) WHERE client_id IS NOT NULL;
CREATE INDEX binding_hw_addr      ON binding    USING hash (hw_addr)   WHERE hw_addr IS NOT NULL;
CREATE INDEX binding_relay_id     ON binding    USING hash (relay_id)  WHERE relay_id IS NOT NULL;
CREATE INDEX binding_remote_id    ON binding    USING hash (remote_id) WHERE remote_id IS NOT NULL;
CREATE INDEX assignment_client_id ON assignment USING hash (client_id) WHERE client_id IS NOT NULL;

ALTER TABLE server
    ADD COLUMN doubts         bigint NOT NULL DEFAULT 0,  -- rows of `binding` with a doubt
    ADD COLUMN unreadable     bigint NOT NULL DEFAULT 0,  -- messages of the last full read and since that cost a binding
    ADD COLUMN refused        bigint NOT NULL DEFAULT 0,  -- rows of `binding` that the database refused, likewise
    ADD COLUMN refused_before bigint NOT NULL DEFAULT 0,  -- of these, before the last full bulk began
    ADD COLUMN known_since    timestamptz,                -- the end of the first full read: history begins here
    -- v6: what its lists of a client's leases leave out has ended ('snapshot') or not ('delta'); NULL: not known yet.
    ADD COLUMN client_data    text CHECK (client_data IN ('delta', 'snapshot')),
    ADD COLUMN disorder       bigint NOT NULL DEFAULT 0,  -- seconds by which its live messages were out of order
    ADD COLUMN written_at     timestamptz,                -- our clock when the last batch was closed
    ADD COLUMN lacking        bigint NOT NULL DEFAULT 0,  -- of `refused`, those for which no row is in doubt
    ADD COLUMN lacking_before bigint NOT NULL DEFAULT 0;  -- of these, before the last full bulk began
-- When the first one was is not known any more: by then it had been.
UPDATE server SET known_since = last_full_sync_at;

-- As before, and with `doubt`. Replaced, not dropped: others may have built on them. So what is new stands at the end.
CREATE OR REPLACE VIEW lease AS
SELECT s.name AS server,
       (SELECT string_agg(os.name, ',' ORDER BY os.name)
        FROM binding AS o JOIN server AS os ON os.server_id = o.server_id
        WHERE o.address = b.address AND o.kind = b.kind AND o.prefix_len = b.prefix_len AND o.vpn_id = b.vpn_id
          AND o.server_id <> b.server_id AND o.state = 'active'
          AND (o.expires_at IS NULL OR o.expires_at > statement_timestamp())) AS also_on,
       s.fresh_as_of,
       b.vpn_id, b.kind, b.family, b.address, b.prefix_len, b.state,
       b.client_id, identifier_text(b.client_id) AS client_id_text,
       b.hw_type, b.hw_addr, b.client_last_seen, b.state_since, b.expires_at, b.preferred_until, b.renew_at,
       b.rebind_at, b.link_address, b.relay_address,
       b.relay_id, identifier_text(b.relay_id) AS relay_id_text,
       b.remote_id, identifier_text(b.remote_id) AS remote_id_text,
       b.circuit_id, identifier_text(b.circuit_id) AS circuit_id_text,
       b.subscriber_id, b.hostname, b.options, b.data_source, b.base_time, b.via, b.updated_at,
       b.server_id, b.binding_id, b.network, b.doubt
FROM binding AS b JOIN server AS s ON s.server_id = b.server_id
WHERE b.state = 'active' AND (b.expires_at IS NULL OR b.expires_at > statement_timestamp())
  AND NOT EXISTS (  -- a record that comes before this one
      SELECT 1 FROM binding AS o JOIN server AS os ON os.server_id = o.server_id
      WHERE o.address = b.address AND o.kind = b.kind AND o.prefix_len = b.prefix_len AND o.vpn_id = b.vpn_id
        AND o.server_id <> b.server_id
        AND o.state NOT IN ('available', 'remote') AND o.end_reason IS DISTINCT FROM 'reconciled'
        AND CASE WHEN EXISTS (
                     SELECT 1 FROM binding AS n
                     WHERE n.address = b.address AND n.kind = b.kind AND n.prefix_len = b.prefix_len
                       AND n.vpn_id = b.vpn_id AND n.state NOT IN ('available', 'remote')
                       AND n.end_reason IS DISTINCT FROM 'reconciled'
                       AND n.client_last_seen IS NULL AND n.state_since IS NULL)
            THEN (o.data_source = 'local', o.base_time - coalesce(os.clock_skew_ms, 0) * interval '1 ms', -o.server_id)
               > (b.data_source = 'local', b.base_time - coalesce(s.clock_skew_ms, 0) * interval '1 ms', -b.server_id)
            ELSE (coalesce(o.client_last_seen, o.state_since), o.data_source = 'local',
                  o.base_time - coalesce(os.clock_skew_ms, 0) * interval '1 ms', -o.server_id)
               > (coalesce(b.client_last_seen, b.state_since), b.data_source = 'local',
                  b.base_time - coalesce(s.clock_skew_ms, 0) * interval '1 ms', -b.server_id) END);

CREATE OR REPLACE VIEW binding_overview AS
SELECT s.name AS server, b.vpn_id, b.kind, b.family, b.address, b.prefix_len, b.state, b.end_reason,
       b.client_id, identifier_text(b.client_id) AS client_id_text,
       b.hw_type, b.hw_addr, b.client_last_seen, b.state_since, b.expires_at, b.preferred_until, b.renew_at,
       b.rebind_at, b.link_address, b.relay_address,
       b.relay_id, identifier_text(b.relay_id) AS relay_id_text,
       b.remote_id, identifier_text(b.remote_id) AS remote_id_text,
       b.circuit_id, identifier_text(b.circuit_id) AS circuit_id_text,
       b.subscriber_id, b.hostname, b.options, b.data_source, b.base_time, b.via, b.updated_at,
       b.server_id, b.binding_id, b.network, b.doubt
FROM binding AS b JOIN server AS s ON s.server_id = b.server_id;

CREATE OR REPLACE VIEW server_overview AS
SELECT name, family, endpoint, encode(server_identity, 'hex') AS server_identity, phase, base_time, fresh_as_of,
       coverage, clock_skew_ms, bindings, connected_since, last_message_at, last_full_sync_at, gaps_open, last_error,
       last_error_at, owner, owner_epoch, server_id,
       certificate_expires_at, certificate_days, active_support, window_support, support_seen_at,
       doubts, unreadable, refused, known_since, client_data
FROM server;
