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


CREATE FUNCTION docperm._watch_documents(relation regclass, doctype text, happening text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    event   text;
    handler name;
BEGIN
    -- After the statement, whose rows are final only then: a trigger may give a document yet
    -- another name, on its way into another partition as well, and two documents may exchange
    -- theirs. Each partition has its own, for statements that name the partition.
    SELECT v.event, v.handler INTO STRICT event, handler
      FROM (VALUES ('created',   'INSERT ON %s REFERENCING NEW TABLE AS after',                     '_documents_created'),
                   ('deleted',   'DELETE ON %s REFERENCING OLD TABLE AS before',                    '_documents_deleted'),
                   ('truncated', 'TRUNCATE ON %s',                                                  '_documents_deleted'),
                   ('renamed',   'UPDATE ON %s REFERENCING OLD TABLE AS before NEW TABLE AS after', '_documents_renamed'))
           AS v (happening, event, handler)
     WHERE v.happening = _watch_documents.happening;
    EXECUTE format('CREATE TRIGGER docperm_document_%s AFTER ', happening)
         || format(event, relation)
         || format(' FOR EACH STATEMENT EXECUTE FUNCTION docperm.%I(%L)', handler, doctype);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER docperm_document_%s', relation, happening);
END
$$;

COMMENT ON FUNCTION docperm._watch_documents(regclass, text, text) IS
    'Internal: gives one table the trigger for documents that are created, deleted, truncated or renamed';


CREATE FUNCTION docperm._dress_documents(relation regclass, doctype text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM docperm._watch_documents(relation, doctype, v.happening)
       FROM (VALUES ('deleted'), ('truncated'), ('renamed')) AS v (happening);
    -- New documents cost what others do unless there are rows that could wait for them.
    IF EXISTS (SELECT
                 FROM docperm.doctypes AS child
                WHERE child.parent_column IS NOT NULL
                  AND coalesce(child.parent_doctype, doctype) = doctype) THEN
        PERFORM docperm._watch_documents(relation, doctype, 'created');
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._dress_documents(regclass, text) IS
    'Internal: gives one table the triggers that keep what stands beside its documents in step with them';


CREATE FUNCTION docperm._watch_parents() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A restore brings the triggers of the tables itself.
    IF docperm._restoring() THEN
        RETURN NULL;
    END IF;
    PERFORM docperm._watch_documents(part.relation, parent.name, 'created')
       FROM docperm.doctypes AS parent
      CROSS JOIN LATERAL unnest(parent.relation || parent.partitions) AS part (relation)
       JOIN pg_catalog.pg_class AS c ON c.oid = part.relation
      WHERE parent.parent_column IS NULL
        AND parent.name = coalesce(NEW.parent_doctype, parent.name)
        -- A trigger there would be in no dump.
        AND NOT docperm._is_own(part.relation)
        AND NOT EXISTS (SELECT
                          FROM pg_catalog.pg_trigger AS t
                         WHERE t.tgrelid = part.relation
                           AND t.tgname  = 'docperm_document_created');
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._watch_parents() IS
    'Internal: trigger that lets new documents of a doctype be looked at as soon as it has a child table';

CREATE TRIGGER watch_parents
    AFTER INSERT OR UPDATE OF parent_doctype, parent_column ON docperm.doctypes
    FOR EACH ROW WHEN (NEW.parent_column IS NOT NULL)
    EXECUTE FUNCTION docperm._watch_parents();


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
