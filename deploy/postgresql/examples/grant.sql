-- A program or a person that may read everything and write nothing:
--
--     psql -d leases -v schema=leasemirror -v who=ipam -f deploy/postgresql/examples/grant.sql
--
-- The role gets a search_path, so that it can write `SELECT ... FROM lease`.
\set ON_ERROR_STOP on
\if :{?schema}
\else
\set schema leasemirror
\endif
BEGIN;
SELECT format('CREATE ROLE %I LOGIN', :'who') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'who')
\gexec
GRANT leasemirror_reader TO :"who";
ALTER ROLE :"who" SET search_path = :"schema", public;
COMMIT;
