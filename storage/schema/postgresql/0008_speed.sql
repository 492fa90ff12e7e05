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

-- An end changed a column of this index, and so went into all indexes of `assignment`. Without it, and with some room on each
-- page, it goes into none. Retention goes through the table by its key instead.
DROP INDEX assignment_ended;
ALTER TABLE assignment SET (fillfactor = 85);

-- What a full bulk lists as it is stored is not written: which bindings that were stands with the agent, one bit each. The
-- last bulk of which that holds, so that no other session takes them for not listed.
ALTER TABLE server ADD COLUMN marked_run bigint NOT NULL DEFAULT 0;
