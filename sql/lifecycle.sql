-- What docperm writes into documents, and what their state allows: the row trigger on
-- protected tables, and the verbs submit, cancel, amend and discard.

-- The row trigger ------------------------------------------------------------------------

CREATE FUNCTION docperm._write_document() RETURNS trigger
    LANGUAGE c
AS 'MODULE_PATHNAME', 'docperm_write_document';

COMMENT ON FUNCTION docperm._write_document() IS
    'Internal: row trigger on protected tables that writes owner and times, and holds documents to their state; its argument names the doctype';


CREATE FUNCTION docperm._keep_constants() RETURNS trigger
    LANGUAGE c
AS 'MODULE_PATHNAME', 'docperm_keep_constants';

COMMENT ON FUNCTION docperm._keep_constants() IS
    'Internal: row trigger on protected tables that refuses another owner or time of creation; its argument names the doctype';


-- A trigger that fires BEFORE an UPDATE or a DELETE costs something in itself: PostgreSQL
-- locks each row for it. So there is none unless there is something to write or to check.
CREATE FUNCTION docperm._row_trigger_events(doctype text, is_partitioned boolean) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE
               WHEN need.lifecycle OR is_partitioned AND (need.stamps OR need.constants)
                                   THEN 'INSERT OR UPDATE OR DELETE'
               WHEN need.stamps    THEN 'INSERT OR UPDATE'
               WHEN need.constants THEN 'INSERT'
           END
      FROM docperm.doctypes AS d
     CROSS JOIN LATERAL (
        SELECT d.docstatus_column IS NOT NULL
               OR d.parent_column IS NOT NULL
               AND EXISTS (SELECT
                             FROM docperm.doctypes AS parent
                            WHERE parent.docstatus_column IS NOT NULL
                              AND coalesce(d.parent_doctype, parent.name) = parent.name)    AS lifecycle,
               num_nonnulls(d.modified_column, d.modified_by_column) > 0                     AS stamps,
               num_nonnulls(d.owner_column, d.creation_column)       > 0                     AS constants
     ) AS need
     WHERE d.name = _row_trigger_events.doctype;
END;

COMMENT ON FUNCTION docperm._row_trigger_events(text, boolean) IS
    'Internal: the events for which the tables of a doctype need the row trigger; NULL if for none';


CREATE FUNCTION docperm._dress_rows(relation regclass, doctype text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_partition   boolean;
    is_partitioned boolean;
    events         text;
    constants      text;
BEGIN
    SELECT c.relispartition, c.relkind = 'p' INTO is_partition, is_partitioned
      FROM pg_catalog.pg_class AS c
     WHERE c.oid = relation;
    -- Partitions inherit row triggers.
    IF is_partition THEN
        RETURN;
    END IF;

    -- Not ALWAYS: what a replica applies is as it was. The name lets it fire last: it has to
    -- see, and to write, what is going to be stored.
    events := docperm._row_trigger_events(doctype, is_partitioned);
    IF events IS NOT NULL THEN
        EXECUTE format('CREATE TRIGGER zz_docperm_write_document BEFORE %s ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION docperm._write_document(%L)', events, relation, doctype);
    END IF;

    -- The condition is evaluated when the row is changed, the function called after the
    -- statement: by then a change that a foreign key made looks like the user's own.
    IF events = 'INSERT' THEN
        SELECT string_agg(format('OLD.%1$I::text COLLATE "C" IS DISTINCT FROM NEW.%1$I::text COLLATE "C"', c.name), ' OR ')
          INTO constants
          FROM docperm.doctypes AS d
         CROSS JOIN LATERAL (VALUES (d.owner_column), (d.creation_column)) AS c (name)
         WHERE d.name = _dress_rows.doctype
           AND c.name IS NOT NULL;
        EXECUTE format('CREATE TRIGGER docperm_keep_constants AFTER UPDATE ON %1$s FOR EACH ROW '
                       'WHEN ((%2$s) AND pg_catalog.row_security_active(%1$L::pg_catalog.regclass)) '
                       'EXECUTE FUNCTION docperm._keep_constants(%3$L)', relation, constants, doctype);
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._dress_rows(regclass, text) IS
    'Internal: gives one table the row triggers that its doctype calls for';


CREATE FUNCTION docperm._undress_rows(relation regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path         = pg_catalog, pg_temp
    SET client_min_messages = 'warning'
AS $$
BEGIN
    -- A partition has those of its root.
    IF NOT (SELECT c.relispartition FROM pg_catalog.pg_class AS c WHERE c.oid = relation) THEN
        EXECUTE format('DROP TRIGGER IF EXISTS zz_docperm_write_document ON %s', relation);
        EXECUTE format('DROP TRIGGER IF EXISTS docperm_keep_constants    ON %s', relation);
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._undress_rows(regclass) IS 'Internal: takes the row triggers off a table';


-- Which row triggers a table needs changes with what is declared of its doctype, and of the
-- documents that its rows belong to.
CREATE FUNCTION docperm._redress_rows() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed text;
    part    record;
BEGIN
    -- A restore brings the triggers of the tables itself.
    IF docperm._restoring() THEN
        RETURN NULL;
    END IF;

    changed := NEW.name;
    FOR part IN
        SELECT p.relation, d.name
          FROM docperm.doctypes AS d
         CROSS JOIN LATERAL unnest(d.relation || d.partitions) AS p (relation)
          JOIN pg_catalog.pg_class AS c ON c.oid = p.relation
          LEFT JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = c.oid
                                              AND t.tgname  = 'zz_docperm_write_document'
         WHERE NOT c.relispartition
           -- A trigger there would be in no dump; sql/delegation.sql has docperm's own.
           AND NOT docperm._is_own(c.oid)
           AND (d.name = changed
                OR d.parent_column IS NOT NULL AND coalesce(d.parent_doctype, changed) = changed)
           -- Making them anew waits for all who use the table: not without need.
           AND (d.name = changed
                OR coalesce(t.tgtype, 0)
                   -- Of triggers FOR EACH ROW (1) that fire BEFORE (2).
                   <> CASE docperm._row_trigger_events(d.name, c.relkind = 'p')
                          WHEN 'INSERT'                     THEN 1 + 2 + 4
                          WHEN 'INSERT OR UPDATE'           THEN 1 + 2 + 4 + 16
                          WHEN 'INSERT OR UPDATE OR DELETE' THEN 1 + 2 + 4 + 16 + 8
                          ELSE                                   0
                      END)
    LOOP
        PERFORM docperm._undress_rows(part.relation);
        PERFORM docperm._dress_rows(part.relation, part.name);
    END LOOP;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._redress_rows() IS
    'Internal: trigger that gives tables the row triggers which they need from now on, and no others';

CREATE TRIGGER redress_rows_of_new
    AFTER INSERT ON docperm.doctypes
    FOR EACH ROW WHEN (NEW.docstatus_column IS NOT NULL)
    EXECUTE FUNCTION docperm._redress_rows();

CREATE TRIGGER redress_rows
    AFTER UPDATE OF owner_column, docstatus_column, parent_doctype, creation_column, modified_column, modified_by_column,
                    amended_from_column ON docperm.doctypes
    FOR EACH ROW
    WHEN ((OLD.owner_column, OLD.docstatus_column, OLD.parent_doctype, OLD.creation_column, OLD.modified_column,
           OLD.modified_by_column, OLD.amended_from_column)
          IS DISTINCT FROM
          (NEW.owner_column, NEW.docstatus_column, NEW.parent_doctype, NEW.creation_column, NEW.modified_column,
           NEW.modified_by_column, NEW.amended_from_column))
    EXECUTE FUNCTION docperm._redress_rows();


-- The steps of a document's life as verbs --------------------------------------------------

-- They are statements that the caller could write himself: they run with his privileges,
-- and policies and the row trigger decide.

CREATE FUNCTION docperm.submit(doctype text, document text) RETURNS void
    LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'docperm_submit_wrapper';

COMMENT ON FUNCTION docperm.submit(text, text) IS
    'Submits a draft, for which the user needs the rights write and submit on it. Errors: 42501 a right is missing, or there is no such document that he may read; 55000 it is no draft; 22023 the doctype has no docstatus_column; 42704 unknown doctype';


CREATE FUNCTION docperm.cancel(doctype text, document text) RETURNS void
    LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'docperm_cancel_wrapper';

COMMENT ON FUNCTION docperm.cancel(text, text) IS
    'Cancels a submitted document, for which the user needs the rights write and cancel on it. From then on it stays as it is. Errors as of docperm.submit()';


CREATE FUNCTION docperm.discard(doctype text, document text) RETURNS void
    LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'docperm_discard_wrapper';

COMMENT ON FUNCTION docperm.discard(text, text) IS
    'Gives a draft up: it becomes cancelled without ever having been submitted, for which the user needs the right write on it. Errors as of docperm.submit()';


CREATE FUNCTION docperm.amend(doctype text, document text) RETURNS text
    LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'docperm_amend_wrapper';

COMMENT ON FUNCTION docperm.amend(text, text) IS
    'Makes a new draft of a cancelled document, with its rows in child tables, and returns its name: NAME-1, NAME-2 where the key is a text, otherwise what the key''s default makes. The user needs the rights read and amend on the document, and create. A document is amended once. Errors as of docperm.submit(); 22023 also if the doctype has no amended_from_column';


-- Privileges -----------------------------------------------------------------------------

REVOKE ALL ON FUNCTION
    docperm._dress_rows(regclass, text),
    docperm._keep_constants(),
    docperm._redress_rows(),
    docperm._row_trigger_events(text, boolean),
    docperm._undress_rows(regclass),
    docperm._write_document()
FROM PUBLIC;

REVOKE ALL ON FUNCTION
    docperm.amend(text, text),
    docperm.cancel(text, text),
    docperm.discard(text, text),
    docperm.submit(text, text)
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION
    docperm.amend(text, text),
    docperm.cancel(text, text),
    docperm.discard(text, text),
    docperm.submit(text, text)
TO PUBLIC;
