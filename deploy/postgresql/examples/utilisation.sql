-- How full each network is, as a table that dashboards can read at any rate: counted now and then, not at each look.
--
--     psql -d leases -v schema=leasemirror -f deploy/postgresql/examples/utilisation.sql
--     psql -d leases -c 'REFRESH MATERIALIZED VIEW CONCURRENTLY ipam.utilisation'      # each minute, from cron or a timer
--
-- List your networks in ipam.network first:  INSERT INTO ipam.network VALUES ('192.0.2.0/24', 'cable east');
-- The count of addresses in a network is an index lookup in `lease` for each network, so that thousands of networks over
-- millions of leases take seconds.
\set ON_ERROR_STOP on
\if :{?schema}
\else
\set schema leasemirror
\endif
BEGIN;
CREATE SCHEMA IF NOT EXISTS ipam;
CREATE TABLE IF NOT EXISTS ipam.network (
    network cidr PRIMARY KEY,
    name    text
);
SELECT format($make$
CREATE MATERIALIZED VIEW IF NOT EXISTS ipam.utilisation AS
SELECT n.network, n.name, l.addresses, l.prefixes,
       -- Hosts of a v4 network; of v6 networks a percentage says nothing.
       CASE WHEN family(n.network) = 4 AND masklen(n.network) < 31
            THEN round(100.0 * l.addresses / ((2 ^ (32 - masklen(n.network)))::bigint - 2), 1) END AS percent,
       now() AS counted_at
FROM ipam.network AS n
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE kind = 'address') AS addresses, count(*) FILTER (WHERE kind = 'prefix') AS prefixes
    -- `address <<= network` uses the index too, but only where the network is a constant.
    FROM %1$I.lease WHERE address BETWEEN host(network(n.network))::inet AND host(broadcast(n.network))::inet) AS l
WITH DATA;
$make$, :'schema')
\gexec
CREATE UNIQUE INDEX IF NOT EXISTS utilisation_network ON ipam.utilisation (network);
COMMIT;
