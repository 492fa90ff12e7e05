-- What is the same in very many rows, a relay or a port, is found by a B-tree: in a hash index it makes a chain that each
-- new row goes through. No renewal changes these columns. A B-tree refuses values of more than some 2,700 octets: where
-- there are such, the column keeps its hash index, and where a server comes to tell one it gets it back.
DO $$
DECLARE
    identifier text;
    any_long   boolean;
BEGIN
    FOREACH identifier IN ARRAY ARRAY['relay_id', 'remote_id', 'circuit_id'] LOOP
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM binding WHERE octet_length(%I) > 2000)', identifier) INTO any_long;
        CONTINUE WHEN any_long;
        EXECUTE format('DROP INDEX IF EXISTS binding_%s', identifier);
        EXECUTE format('CREATE INDEX binding_%s ON binding (%I) WHERE %I IS NOT NULL', identifier, identifier, identifier);
    END LOOP;
END $$;

-- For a writer that does not own the tables (deploy/postgresql/roles.sql).
CREATE FUNCTION hash_identifier_index(identifier text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    definition text := format('CREATE INDEX binding_%1$s ON binding USING hash (%1$I) WHERE %1$I IS NOT NULL', identifier);
BEGIN
    IF identifier NOT IN ('relay_id', 'remote_id', 'circuit_id') OR NOT has_table_privilege(session_user, 'binding', 'UPDATE') THEN
        RAISE insufficient_privilege USING MESSAGE = 'this index is for whoever writes to binding';
    END IF;
    LOCK TABLE binding IN ACCESS EXCLUSIVE MODE;
    -- A first load may have left it out: then it comes back as it is to be.
    UPDATE meta SET value = convert_to(definition, 'UTF8') WHERE name = 'left out: binding_' || identifier;
    IF EXISTS (SELECT 1 FROM pg_class AS c JOIN pg_am AS a ON a.oid = c.relam
               WHERE c.oid = to_regclass('binding_' || identifier) AND a.amname = 'btree') THEN
        EXECUTE format('DROP INDEX binding_%s', identifier);
        EXECUTE definition;
    END IF;
END $$;
-- It is to find its own tables, whoever calls it, and no temporary ones of theirs.
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION hash_identifier_index(text) SET search_path TO %I, pg_temp', current_schema());
END $$;

-- An end changed a column of this index, and so went into all indexes of `assignment`. Without it, and with some room on each
-- page, it goes into none. Retention goes through the table by its key instead.
DROP INDEX assignment_ended;
ALTER TABLE assignment SET (fillfactor = 85);

-- What a full bulk lists as it is stored is not written: which bindings that were stands with the agent, one bit each. The
-- last bulk of which that holds, so that no other session takes them for not listed.
ALTER TABLE server ADD COLUMN marked_run bigint NOT NULL DEFAULT 0;
