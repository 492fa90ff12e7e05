-- What a full bulk lists as it is stored is not written: which bindings that were stands with the agent, one bit each. The
-- last bulk of which that holds, so that no other session takes them for not listed.
ALTER TABLE server ADD COLUMN marked_run INTEGER NOT NULL DEFAULT 0;
