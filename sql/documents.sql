-- Documents that come, go, or get another name: triggers on the tables that hold them.

-- In the library, because they have to find shares that the transaction's own snapshot does
-- not see: one that was given while a REPEATABLE READ transaction was on its way to delete
-- the document would be there for the next document of that name.
CREATE FUNCTION docperm._drop_stale_shares(doctype text) RETURNS void
    LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'docperm_drop_stale_shares';

COMMENT ON FUNCTION docperm._drop_stale_shares(text) IS 'Internal: deletes the shares of documents that are not in their doctype''s table';


CREATE FUNCTION docperm._documents_deleted() RETURNS trigger
    LANGUAGE c
AS 'MODULE_PATHNAME', 'docperm_documents_deleted';

COMMENT ON FUNCTION docperm._documents_deleted() IS
    'Internal: trigger on protected tables that deletes the shares of documents that are deleted; its argument names the doctype';


CREATE FUNCTION docperm._documents_renamed() RETURNS trigger
    LANGUAGE c
AS 'MODULE_PATHNAME', 'docperm_documents_renamed';

COMMENT ON FUNCTION docperm._documents_renamed() IS
    'Internal: trigger on protected tables that lets shares follow documents that get another name, and refuses a name under which rows of child tables wait; its argument names the doctype';


CREATE FUNCTION docperm._documents_created() RETURNS trigger
    LANGUAGE c
AS 'MODULE_PATHNAME', 'docperm_documents_created';

COMMENT ON FUNCTION docperm._documents_created() IS
    'Internal: trigger on protected tables that refuses a name under which rows of child tables wait; its argument names the doctype';


CREATE FUNCTION docperm._dress_documents(relation regclass, doctype text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    happening record;
BEGIN
    -- After the statement, whose rows are final only then: a trigger may give a document yet
    -- another name, on its way into another partition as well, and two documents may exchange
    -- theirs. Each partition has its own, for statements that name the partition.
    FOR happening IN
        SELECT v.name, v.event, v.function
          FROM (VALUES ('created',   'INSERT ON %s REFERENCING NEW TABLE AS after',                     '_documents_created'),
                       ('deleted',   'DELETE ON %s REFERENCING OLD TABLE AS before',                    '_documents_deleted'),
                       ('truncated', 'TRUNCATE ON %s',                                                  '_documents_deleted'),
                       ('renamed',   'UPDATE ON %s REFERENCING OLD TABLE AS before NEW TABLE AS after', '_documents_renamed'))
               AS v (name, event, function)
    LOOP
        EXECUTE format('CREATE TRIGGER docperm_document_%s AFTER ', happening.name)
             || format(happening.event, relation)
             || format(' FOR EACH STATEMENT EXECUTE FUNCTION docperm.%I(%L)', happening.function, doctype);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER docperm_document_%s', relation, happening.name);
    END LOOP;
END
$$;

COMMENT ON FUNCTION docperm._dress_documents(regclass, text) IS
    'Internal: gives one table the triggers that keep what stands beside its documents in step with them';


CREATE FUNCTION docperm._undress_documents(relation regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path         = pg_catalog, pg_temp
    SET client_min_messages = 'warning'
AS $$
BEGIN
    EXECUTE format('DROP TRIGGER IF EXISTS docperm_document_created   ON %s', relation);
    EXECUTE format('DROP TRIGGER IF EXISTS docperm_document_deleted   ON %s', relation);
    EXECUTE format('DROP TRIGGER IF EXISTS docperm_document_truncated ON %s', relation);
    EXECUTE format('DROP TRIGGER IF EXISTS docperm_document_renamed   ON %s', relation);
END
$$;

COMMENT ON FUNCTION docperm._undress_documents(regclass) IS 'Internal: takes the triggers that keep things in step with documents off a table';
