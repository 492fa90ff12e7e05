-- The three roles of a leasemirror database, once per database, as a superuser or a role with CREATEROLE and CREATE on
-- the database:
--
--     createdb leases
--     psql -d leases -v schema=leasemirror -f deploy/postgresql/roles.sql
--     psql -d leases -c '\password leasemirror_owner' -c '\password leasemirror_writer'
--
--   leasemirror_owner   owns schema and tables. Nothing runs as it but migrations:
--                           leasemirror schema -c FILE migrate      with postgresql://leasemirror_owner@.../leases
--   leasemirror_writer  the agent runs as it: rows, and no table's shape. Names storage.schema in its configuration.
--   leasemirror_reader  IPAM, billing, people: GRANT leasemirror_reader TO somebody. Reads, and writes nothing.
--
-- What the owner creates later, in migrations to come, is granted alike (ALTER DEFAULT PRIVILEGES). It may be run again;
-- it takes nothing away and touches no schema but its own.
\set ON_ERROR_STOP on
\if :{?schema}
\else
\set schema leasemirror
\endif
BEGIN;

SELECT 'CREATE ROLE leasemirror_owner LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'leasemirror_owner')
\gexec
SELECT 'CREATE ROLE leasemirror_writer LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'leasemirror_writer')
\gexec
SELECT 'CREATE ROLE leasemirror_reader NOLOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'leasemirror_reader')
\gexec

-- The writer stages its batches in temporary tables.
SELECT format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO leasemirror_owner, leasemirror_writer', current_database())
\gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO leasemirror_reader', current_database())
\gexec

CREATE SCHEMA IF NOT EXISTS :"schema" AUTHORIZATION leasemirror_owner;
GRANT USAGE ON SCHEMA :"schema" TO leasemirror_writer, leasemirror_reader;

ALTER DEFAULT PRIVILEGES FOR ROLE leasemirror_owner IN SCHEMA :"schema"
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO leasemirror_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE leasemirror_owner IN SCHEMA :"schema"
    GRANT USAGE, SELECT ON SEQUENCES TO leasemirror_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE leasemirror_owner IN SCHEMA :"schema"
    GRANT SELECT ON TABLES TO leasemirror_reader;

-- And what is there already.
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA :"schema" TO leasemirror_writer;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA :"schema" TO leasemirror_writer;
GRANT SELECT ON ALL TABLES IN SCHEMA :"schema" TO leasemirror_reader;

COMMIT;
