-- A consumer of the change feed in plain SQL, for billing or IPAM: it copies what began and ended into a table of its
-- own, in a schema of its own, and remembers how far it has come in the same transaction. So it misses nothing and sees
-- nothing twice, whatever happens to it, to the agent or to the database.
--
--     psql -d leases -v schema=leasemirror -f deploy/postgresql/examples/feed_consumer.sql   # once, as its owner-to-be
--     psql -d leases -c 'SELECT billing.consume()'                                         # again and again
--
-- Run it every few seconds, or when `LISTEN leasemirror` wakes the program that runs it: there is one notification per
-- transaction of the agent that wrote to the feed. It needs SELECT on binding_change and server (leasemirror_reader)
-- and CREATE on the database, for its schema.
\set ON_ERROR_STOP on
\if :{?schema}
\else
\set schema leasemirror
\endif
BEGIN;
CREATE SCHEMA IF NOT EXISTS billing;

-- One row. Its lock keeps two consumers apart.
CREATE TABLE IF NOT EXISTS billing.feed_cursor (
    seq bigint NOT NULL
);
INSERT INTO billing.feed_cursor SELECT 0 WHERE NOT EXISTS (SELECT FROM billing.feed_cursor);

CREATE TABLE IF NOT EXISTS billing.event (
    seq       bigint PRIMARY KEY,
    at        timestamptz NOT NULL,
    server    text NOT NULL,
    address   inet NOT NULL,
    prefix_len smallint NOT NULL,
    client_id bytea,
    began     boolean NOT NULL,
    inferred  boolean NOT NULL   -- the time is a bound: say so on the invoice, or leave the minutes out
);

-- Takes the next rows of the feed; says how many it took. 0: there is nothing new.
SELECT format($make$
CREATE OR REPLACE FUNCTION billing.consume(most integer DEFAULT 10000) RETURNS bigint LANGUAGE plpgsql AS $body$
DECLARE
    done bigint;
    last bigint;
    taken bigint;
BEGIN
    SELECT seq INTO done FROM billing.feed_cursor FOR UPDATE;
    -- Where the consumer was away for longer than `retention.changes`, rows may be gone that it never saw.
    IF done > 0 AND NOT EXISTS (SELECT FROM %1$I.binding_change WHERE seq <= done)
       AND (SELECT min(seq) FROM %1$I.binding_change) > done + 1 THEN
        RAISE WARNING 'the change feed begins at %%, this consumer ended at %%: what lay between may have been removed; compare with lease',
            (SELECT min(seq) FROM %1$I.binding_change), done;
    END IF;
    SELECT max(seq), count(*) INTO last, taken
    FROM (SELECT seq FROM %1$I.binding_change WHERE seq > done ORDER BY seq LIMIT most) AS part;
    IF taken = 0 THEN
        RETURN 0;
    END IF;
    INSERT INTO billing.event (seq, at, server, address, prefix_len, client_id, began, inferred)
    SELECT c.seq, c.at, s.name, c.address, c.prefix_len, c.client_id, c.change = 'assigned', c.inferred
    FROM %1$I.binding_change AS c JOIN %1$I.server AS s USING (server_id)
    WHERE c.seq > done AND c.seq <= last AND c.change IN ('assigned', 'ended');
    UPDATE billing.feed_cursor SET seq = last;
    RETURN taken;
END
$body$;
$make$, :'schema')
\gexec
COMMIT;
