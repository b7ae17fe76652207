-- Putting tables under docperm: docperm.protect(), docperm.unprotect(), docperm.set_field().
--
-- A protected table carries four policies that all say the same, "ask docperm.permits",
-- and so do its partitions. The event triggers at the end keep it so while tables
-- come and go.

-- Looking at tables -------------------------------------------------------------------

CREATE FUNCTION docperm._descendants(relation regclass) RETURNS SETOF regclass
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE below (relid) AS (
        SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = _descendants.relation
        UNION
        SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i JOIN below AS b ON i.inhparent = b.relid
    )
    SELECT b.relid::regclass FROM below AS b ORDER BY 1;
END;

COMMENT ON FUNCTION docperm._descendants(regclass) IS 'Internal: partitions and inheritance children of a table, at any depth';


CREATE FUNCTION docperm._ancestors(relation oid) RETURNS SETOF regclass
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE above (relid) AS (
        SELECT _ancestors.relation
        UNION
        SELECT i.inhparent FROM pg_catalog.pg_inherits AS i JOIN above AS a ON i.inhrelid = a.relid
    )
    SELECT a.relid::regclass FROM above AS a;
END;

COMMENT ON FUNCTION docperm._ancestors(oid) IS 'Internal: the table itself and all that it is a partition or inheritance child of';


CREATE FUNCTION docperm._base_type(type oid) RETURNS oid
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE made_of (type, base) AS (
        SELECT t.oid, t.typbasetype FROM pg_catalog.pg_type AS t WHERE t.oid = _base_type.type
        UNION ALL
        SELECT t.oid, t.typbasetype FROM pg_catalog.pg_type AS t JOIN made_of AS m ON t.oid = m.base
    )
    SELECT m.type FROM made_of AS m WHERE m.base = 0;
END;

COMMENT ON FUNCTION docperm._base_type(oid) IS 'Internal: what a domain is made of; any other type itself';


-- May the table be protected at all? ------------------------------------------------------

CREATE FUNCTION docperm._require_protectable(relation regclass) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    class  record;
    parent regclass;
BEGIN
    SELECT c.relkind, c.relpersistence, c.relispartition, n.nspname INTO class
      FROM pg_catalog.pg_class     AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.oid = relation;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = '42704',
            MESSAGE = format('table %s does not exist', relation),
            HINT    = 'Give the name of a table.';
    END IF;

    IF class.relkind NOT IN ('r', 'p') THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('%s is not a table but %s', relation,
                             CASE class.relkind
                                 WHEN 'v' THEN 'a view'
                                 WHEN 'm' THEN 'a materialized view'
                                 WHEN 'f' THEN 'a foreign table'
                                 WHEN 'S' THEN 'a sequence'
                                 WHEN 'i' THEN 'an index'
                                 WHEN 'I' THEN 'an index'
                                 WHEN 'c' THEN 'a type'
                                 ELSE          'something else'
                             END),
            HINT    = CASE class.relkind
                          WHEN 'v' THEN format('Protect the tables below it, and let it ask with the reader''s rights: '
                                               'ALTER VIEW %s SET (security_invoker = true).', relation)
                          WHEN 'm' THEN 'A materialized view holds what its owner saw. Replace it by a view on protected tables.'
                          WHEN 'f' THEN 'Protect the table on the server where it is.'
                          ELSE          'Only tables and partitioned tables can be protected.'
                      END;
    END IF;
    IF class.relpersistence = 't' THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('%s is a temporary table', relation),
            HINT    = 'Only its own session sees it anyway.';
    END IF;
    IF class.nspname IN ('docperm', 'information_schema') OR class.nspname LIKE 'pg\_%' THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('%s belongs to the system or to docperm itself', relation),
            HINT    = 'Protect tables of the application. Access to these is a matter of GRANT.';
    END IF;

    -- pg_dump leaves out the policies of such tables: a restored database would be open.
    IF EXISTS (SELECT
                 FROM pg_catalog.pg_depend AS d
                WHERE d.classid = 'pg_catalog.pg_class'::regclass
                  AND d.objid   = relation
                  AND d.deptype = 'e') THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('table %s belongs to an extension', relation),
            HINT    = 'A dump would lose its policies. Keep the data in a table of your own.';
    END IF;

    SELECT i.inhparent::regclass INTO parent
      FROM pg_catalog.pg_inherits AS i
     WHERE i.inhrelid = relation
     LIMIT 1;
    IF FOUND THEN
        IF class.relispartition THEN
            parent := pg_partition_root(relation);
        END IF;
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('table %s is %s of %s', relation,
                             CASE WHEN class.relispartition THEN 'a partition' ELSE 'an inheritance child' END, parent),
            HINT    = format('Protect %s; that covers all tables below it.', parent);
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_protectable(regclass) IS 'Internal: an error (22023) unless the table is one that can be protected';


CREATE FUNCTION docperm._require_coverable(relation regclass, doctype text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    other text;
BEGIN
    IF (SELECT c.relkind FROM pg_catalog.pg_class AS c WHERE c.oid = relation) NOT IN ('r', 'p') THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('%s, a part of the table of doctype "%s", is a foreign table', relation, doctype),
            HINT    = 'Row-level security cannot cover a foreign table. Use a table of this database.';
    END IF;

    SELECT d.name INTO other FROM docperm.doctypes AS d WHERE d.relation = _require_coverable.relation AND d.name <> doctype;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('table %s is already protected as doctype "%s"', relation, other),
            HINT    = format('Call docperm.unprotect(%L) first.', relation);
    END IF;

    SELECT p.polname INTO other
      FROM pg_catalog.pg_policy AS p
     WHERE p.polrelid = relation
       AND p.polpermissive
       AND p.polname NOT IN ('docperm_select', 'docperm_insert', 'docperm_update', 'docperm_delete')
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('table %s has the permissive policy "%s", which would open rows beside docperm', relation, other),
            HINT    = 'Drop the policy, or make it again AS RESTRICTIVE.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_coverable(regclass, text) IS
    'Internal: an error (22023) if policies on the table could not protect it, or are there for another purpose';


-- The key --------------------------------------------------------------------------------

-- A document's name has to pick out one row, and a unique index is PostgreSQL's word for
-- it. A unique index of a partitioned table has to contain the partition key, so there
-- PostgreSQL can vouch for no more than that a name is unique within its partition; that
-- it is unique in the whole table is up to who gives the names.
CREATE FUNCTION docperm._partition_key_columns(relation regclass) RETURNS name[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- An index covers the keys of partitions that are partitioned themselves as well.
    SELECT coalesce(array_agg(DISTINCT a.attname), '{}')
      FROM pg_catalog.pg_partitioned_table AS p
      JOIN pg_catalog.pg_attribute         AS a ON a.attrelid = p.partrelid
                                               AND a.attnum   = ANY (p.partattrs::smallint[])
     WHERE p.partrelid = _partition_key_columns.relation
        OR p.partrelid IN (SELECT docperm._descendants(_partition_key_columns.relation));
END;

COMMENT ON FUNCTION docperm._partition_key_columns(regclass) IS
    'Internal: columns by which a table and its partitions are partitioned; none for a plain table';


CREATE FUNCTION docperm._unique_keys(relation regclass) RETURNS TABLE (columns name[], is_primary boolean)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT (SELECT array_agg(a.attname ORDER BY k.place)
              FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (number, place)
              JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number
             WHERE k.place <= i.indnkeyatts),
           i.indisprimary
      FROM pg_catalog.pg_index AS i
     WHERE i.indrelid = _unique_keys.relation
       AND i.indisunique
       AND i.indisvalid
       AND i.indpred  IS NULL
       AND i.indexprs IS NULL;
END;

COMMENT ON FUNCTION docperm._unique_keys(regclass) IS 'Internal: the sets of columns of which no two rows have the same values';


CREATE FUNCTION docperm._primary_key_column(relation regclass) RETURNS name
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE
               WHEN cardinality(k.columns) = 1   THEN k.columns[1]
               WHEN cardinality(rest.columns) = 1 THEN rest.columns[1]
           END
      FROM docperm._unique_keys(relation) AS k
     CROSS JOIN LATERAL (SELECT ARRAY(SELECT c.name
                                        FROM unnest(k.columns) AS c (name)
                                       WHERE c.name <> ALL (docperm._partition_key_columns(relation)))) AS rest (columns)
     WHERE k.is_primary;
END;

COMMENT ON FUNCTION docperm._primary_key_column(regclass) IS
    'Internal: the column of a primary key of one column, or the only one that is not partitioned by; otherwise NULL';


CREATE FUNCTION docperm._require_key(relation regclass, column_name name) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong text;
BEGIN
    IF column_name IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('table %s has no primary key of one column', relation),
            HINT    = 'Name a column in name_column that is NOT NULL and has a unique index to itself. '
                      'The lines of an order need none if they are protected as a child table, with parent_column.';
    END IF;
    PERFORM docperm._require_column(relation, column_name);

    SELECT CASE
               WHEN NOT a.attnotnull
                   THEN 'it may be NULL'
               WHEN t.typtype IN ('c', 'r', 'm') OR t.typcategory = 'A' OR t.oid IN ('json'::regtype, 'jsonb'::regtype, 'xml'::regtype)
                   THEN format('its type %s has no plain text form', format_type(a.atttypid, a.atttypmod))
               WHEN NOT EXISTS (SELECT
                                  FROM docperm._unique_keys(relation) AS k
                                 WHERE a.attname = ANY (k.columns)
                                   AND k.columns <@ (a.attname || docperm._partition_key_columns(relation)))
                   THEN 'no unique index makes it the only one'
           END
      INTO wrong
      FROM pg_catalog.pg_attribute AS a
      JOIN pg_catalog.pg_type      AS t ON t.oid = docperm._base_type(a.atttypid)
     WHERE a.attrelid = relation
       AND a.attname  = column_name;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('column "%s" of table %s cannot name its documents: %s', column_name, relation, wrong),
            HINT    = 'Name a column in name_column that is NOT NULL and has a unique index to itself, '
                      'or, in a partitioned table, together with the columns that it is partitioned by.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_key(regclass, name) IS 'Internal: an error unless the column names each row of the table';


CREATE FUNCTION docperm._require_column_kind(relation regclass, column_name name, categories text, purpose text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_type     text;
    found_category text;
BEGIN
    IF column_name IS NULL THEN
        RETURN;
    END IF;
    PERFORM docperm._require_column(relation, column_name);

    SELECT format_type(a.atttypid, a.atttypmod), t.typcategory
      INTO found_type, found_category
      FROM pg_catalog.pg_attribute AS a
      JOIN pg_catalog.pg_type      AS t ON t.oid = docperm._base_type(a.atttypid)
     WHERE a.attrelid = relation
       AND a.attname  = column_name;
    IF strpos(categories, found_category) = 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('column "%s" of table %s is of type %s and cannot hold %s',
                             column_name, relation, found_type, purpose),
            HINT    = 'Name a column of a fitting type.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_column_kind(regclass, name, text, text) IS
    'Internal: an error unless the column exists and its type is of one of the categories (letters as in pg_type.typcategory)';


CREATE FUNCTION docperm._require_time_column(relation regclass, column_name name, types regtype[]) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_type oid;
BEGIN
    IF column_name IS NULL THEN
        RETURN;
    END IF;
    PERFORM docperm._require_column(relation, column_name);

    SELECT a.atttypid INTO found_type
      FROM pg_catalog.pg_attribute AS a
     WHERE a.attrelid = relation
       AND a.attname  = column_name;
    IF docperm._base_type(found_type) <> ALL (types::oid[]) THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('column "%s" of table %s is of type %s and cannot hold a point in time',
                             column_name, relation, format_type(found_type, NULL)),
            HINT    = format('Name a column of one of the types %s.', array_to_string(types, ', '));
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_time_column(regclass, name, regtype[]) IS
    'Internal: an error unless the column exists and its type is one of these, or a domain of one';


-- Child tables and nested sets -------------------------------------------------------------

CREATE FUNCTION docperm._require_child(relation regclass, doctype text, parent_column name, parent_doctype text, parenttype_column name)
    RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parent_category text;
BEGIN
    IF parent_column IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('parent_column of doctype "%s" is missing', doctype),
            HINT    = 'Name the column that holds the name of the parent document.';
    END IF;
    IF num_nonnulls(parent_doctype, parenttype_column) = 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('of which doctype the parents of doctype "%s" are is missing', doctype),
            HINT    = 'Give parent_doctype, or the column that holds it in parenttype_column.';
    END IF;
    IF parent_column = parenttype_column THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('column "%s" of table %s cannot hold both the parent''s name and its doctype', parent_column, relation),
            HINT    = 'Name two columns.';
    END IF;
    PERFORM docperm._require_parentage(doctype, parent_doctype);

    SELECT t.typcategory INTO parent_category
      FROM docperm.doctypes        AS d
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.relation
                                       AND a.attname  = d.name_column
                                       AND a.attnum   > 0
                                       AND NOT a.attisdropped
      JOIN pg_catalog.pg_type      AS t ON t.oid = docperm._base_type(a.atttypid)
     WHERE d.name = _require_child.parent_doctype;
    PERFORM docperm._require_column_kind(relation, parent_column, coalesce(parent_category, 'SNUDE'), 'the name of a parent document');
    PERFORM docperm._require_column_kind(relation, parenttype_column, 'S', 'the name of a doctype');
END
$$;

COMMENT ON FUNCTION docperm._require_child(regclass, text, name, text, name) IS
    'Internal: an error unless the columns can make the table a child table';


-- A row belongs to a document whose name it holds. Of floating-point numbers several are equal
-- to one integer, and what dates and the like are as texts is up to the session: with columns
-- of different types, a row could be one document's today and another's tomorrow.
CREATE FUNCTION docperm._require_exact_parents(doctype text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong record;
BEGIN
    SELECT child.relation, child.parent_column, parent.name, parent.name_column,
           format_type(here.atttypid, here.atttypmod) AS here, format_type(there.atttypid, there.atttypmod) AS there
      INTO wrong
      FROM docperm.doctypes        AS child
      JOIN docperm.doctypes        AS parent ON parent.parent_column IS NULL
                                            AND coalesce(child.parent_doctype, parent.name) = parent.name
      JOIN pg_catalog.pg_attribute AS here   ON here.attrelid  = child.relation  AND here.attname  = child.parent_column
      JOIN pg_catalog.pg_attribute AS there  ON there.attrelid = parent.relation AND there.attname = parent.name_column
     CROSS JOIN LATERAL (SELECT docperm._base_type(here.atttypid), docperm._base_type(there.atttypid)) AS type (here, there)
     WHERE child.parent_column IS NOT NULL
       AND _require_exact_parents.doctype IN (child.name, parent.name)
       AND type.here <> type.there
       AND (ARRAY[type.here, type.there] && '{float4,float8}'::regtype[]::oid[]
            -- Where a column names documents of any doctype, it holds texts.
            OR child.parent_doctype IS NOT NULL
               AND ARRAY[type.here, type.there] && '{date,timestamp,timestamptz,interval,bytea,money}'::regtype[]::oid[])
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('column "%s" of table %s is of type %s and cannot name documents of doctype "%s", whose key "%s" is of type %s',
                             wrong.parent_column, wrong.relation, wrong.here, wrong.name, wrong.name_column, wrong.there),
            DETAIL  = 'Which document a row belongs to would not be certain.',
            HINT    = format('Give both columns the same type: ALTER TABLE %s ALTER COLUMN %I TYPE %s.',
                             wrong.relation, wrong.parent_column, wrong.there);
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_exact_parents(text) IS
    'Internal: an error (22023) if it is not certain to which documents rows of a child table belong, the doctype being the child or the parent';


CREATE FUNCTION docperm._note_orphans(doctype text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    child docperm.doctypes%ROWTYPE;
BEGIN
    SELECT d.* INTO child FROM docperm.doctypes AS d WHERE d.name = doctype;
    IF NOT EXISTS (SELECT
                     FROM pg_catalog.pg_constraint AS c
                     JOIN docperm.doctypes         AS parent ON parent.relation = c.confrelid AND parent.name = child.parent_doctype
                     JOIN pg_catalog.pg_attribute  AS a      ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
                    WHERE c.conrelid = child.relation
                      AND c.contype  = 'f'
                      AND c.convalidated
                      AND a.attname  = child.parent_column) THEN
        RAISE NOTICE USING
            MESSAGE = format('rows of "%s" stay behind when their document is deleted or renamed', doctype),
            DETAIL  = 'No foreign key leads from them to their documents. No other document gets a name under which rows wait, while refuse_orphans in docperm.settings is on.',
            HINT    = 'Where it can be, make a foreign key with ON UPDATE CASCADE ON DELETE CASCADE, and an index on the column.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._note_orphans(text) IS 'Internal: a notice if no foreign key binds the rows of a child table to their documents';


CREATE FUNCTION docperm._require_nested_set(relation regclass, left_column name, right_column name) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong name;
BEGIN
    IF num_nonnulls(left_column, right_column) = 0 THEN
        RETURN;
    END IF;
    IF num_nonnulls(left_column, right_column) = 1 OR left_column = right_column THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('a nested set needs two columns of table %s', relation),
            HINT    = 'Give both tree_left_column and tree_right_column, or neither.';
    END IF;
    PERFORM docperm._require_column(relation, left_column);
    PERFORM docperm._require_column(relation, right_column);

    SELECT a.attname INTO wrong
      FROM pg_catalog.pg_attribute AS a
     WHERE a.attrelid = relation
       AND a.attname IN (left_column, right_column)
       AND docperm._base_type(a.atttypid) NOT IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('column "%s" of table %s cannot hold a bound of a nested set: it is no integer', wrong, relation),
            HINT    = 'Name columns of type integer.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_nested_set(regclass, name, name) IS
    'Internal: an error unless the columns can be the bounds of a nested set';


-- Dressing one table ---------------------------------------------------------------------

CREATE FUNCTION docperm._dress(relation regclass, doctype text, force boolean) RETURNS void
    LANGUAGE plpgsql
    SET search_path         = pg_catalog, pg_temp
    SET client_min_messages = 'warning'
AS $$
DECLARE
    table_name   name;
    is_partition boolean;
    policy       record;
    kind         docperm.doctypes%ROWTYPE;
BEGIN
    SELECT c.relname, c.relispartition INTO table_name, is_partition FROM pg_catalog.pg_class AS c WHERE c.oid = relation;

    FOR policy IN
        SELECT v.command, v.ptype, v.clauses
          FROM (VALUES ('select', 'read',   'USING (%1$s)'),
                       ('insert', 'create', 'WITH CHECK (%1$s)'),
                       ('update', 'write',  'USING (%1$s) WITH CHECK (%1$s)'),
                       ('delete', 'delete', 'USING (%1$s)')) AS v (command, ptype, clauses)
    LOOP
        EXECUTE format('DROP POLICY IF EXISTS docperm_%s ON %s', policy.command, relation);
        EXECUTE format('CREATE POLICY docperm_%s ON %s AS PERMISSIVE FOR %s TO PUBLIC ', policy.command, relation, policy.command)
             || format(policy.clauses,
                       format('docperm.permits(%I.*, %L::pg_catalog.text, %L::pg_catalog.text)', table_name, doctype, policy.ptype));
    END LOOP;

    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
    EXECUTE format('ALTER TABLE %s %s ROW LEVEL SECURITY', relation, CASE WHEN force THEN 'FORCE' ELSE 'NO FORCE' END);

    PERFORM docperm._undress_triggers(relation);
    SELECT d.* INTO kind FROM docperm.doctypes AS d WHERE d.name = _dress.doctype;
    IF coalesce(kind.tree_parent_column, kind.tree_left_column) IS NOT NULL THEN
        PERFORM docperm._dress_tree(relation, doctype);
    END IF;
    -- Rows of a child table cannot be shared, and have no child rows.
    IF kind.parent_column IS NULL THEN
        PERFORM docperm._dress_documents(relation, doctype);
    END IF;
    PERFORM docperm._dress_links(relation, doctype);
    PERFORM docperm._dress_history(relation, doctype);
    -- Partitions inherit this one.
    IF kind.fill_defaults AND NOT is_partition THEN
        EXECUTE format('CREATE TRIGGER docperm_fill_defaults BEFORE INSERT ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION docperm._fill_defaults(%L)', relation, doctype);
    END IF;
    PERFORM docperm._dress_rows(relation, doctype);
END
$$;

COMMENT ON FUNCTION docperm._dress(regclass, text, boolean) IS
    'Internal: gives one table the policies, row-level security and triggers that its doctype calls for; replaces those it has';


CREATE FUNCTION docperm._dress_tree(relation regclass, doctype text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Permitted trees are remembered; these tell every session that one has changed. A row
    -- trigger, because a logical replication worker fires no others, and because a
    -- statement that changes no node must disturb nobody. ALWAYS: also when a replica
    -- writes the rows. Partitions inherit it.
    IF NOT (SELECT c.relispartition FROM pg_catalog.pg_class AS c WHERE c.oid = relation) THEN
        EXECUTE format('CREATE TRIGGER docperm_tree_changed AFTER INSERT OR UPDATE OR DELETE ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION docperm._tree_changed(%L)', relation, doctype);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER docperm_tree_changed', relation);
    END IF;
    EXECUTE format('CREATE TRIGGER docperm_tree_truncated AFTER TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION docperm._tree_changed(%L)', relation, doctype);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER docperm_tree_truncated', relation);
END
$$;

COMMENT ON FUNCTION docperm._dress_tree(regclass, text) IS 'Internal: gives one table the triggers of a tree';


CREATE FUNCTION docperm._undress_triggers(relation regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path         = pg_catalog, pg_temp
    SET client_min_messages = 'warning'
AS $$
BEGIN
    EXECUTE format('DROP TRIGGER IF EXISTS docperm_tree_truncated ON %s', relation);
    -- A partition has the one of its root.
    IF NOT (SELECT c.relispartition FROM pg_catalog.pg_class AS c WHERE c.oid = relation) THEN
        EXECUTE format('DROP TRIGGER IF EXISTS docperm_tree_changed  ON %s', relation);
        EXECUTE format('DROP TRIGGER IF EXISTS docperm_fill_defaults ON %s', relation);
    END IF;
    PERFORM docperm._undress_documents(relation);
    PERFORM docperm._undress_links(relation);
    PERFORM docperm._undress_rows(relation);
    PERFORM docperm._undress_history(relation);
END
$$;

COMMENT ON FUNCTION docperm._undress_triggers(regclass) IS 'Internal: takes docperm''s triggers off a table';


CREATE FUNCTION docperm._undress(relation regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path         = pg_catalog, pg_temp
    SET client_min_messages = 'warning'
AS $$
DECLARE
    command text;
BEGIN
    PERFORM docperm._undress_triggers(relation);
    FOREACH command IN ARRAY ARRAY['select', 'insert', 'update', 'delete'] LOOP
        EXECUTE format('DROP POLICY IF EXISTS docperm_%s ON %s', command, relation);
    END LOOP;

    EXECUTE format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', relation);
    -- Somebody else's policies keep what they stand on.
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_policy AS p WHERE p.polrelid = relation) THEN
        EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', relation);
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._undress(regclass) IS 'Internal: takes policies, triggers and row-level security off one table';


-- Dresses what is below a protected table and has nothing on yet.
CREATE FUNCTION docperm._cover_partitions(doctype text, root regclass, force boolean) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known   regclass[];
    covered regclass[];
    bare    regclass[];
    part    regclass;
BEGIN
    -- A table that was detached keeps its policies, so nothing opens by detaching it.
    -- It only is no part any more; attached again, it gets new ones.
    -- A child of two protected tables stays with the one that had it first.
    SELECT d.partitions INTO known FROM docperm.doctypes AS d WHERE d.name = doctype;
    covered := ARRAY(SELECT k.relation
                       FROM unnest(known) WITH ORDINALITY AS k (relation, place)
                      WHERE k.relation IN (SELECT docperm._descendants(root))
                      ORDER BY k.place);
    bare    := ARRAY(SELECT t.relation
                       FROM docperm._descendants(root) AS t (relation)
                      WHERE NOT EXISTS (SELECT FROM docperm.doctypes AS d WHERE t.relation = ANY (d.partitions)));
    FOREACH part IN ARRAY bare LOOP
        PERFORM docperm._require_coverable(part, doctype);
    END LOOP;

    -- Known first: dressing them is DDL, and comes by here again.
    UPDATE docperm.doctypes AS d
       SET partitions = covered || bare
     WHERE d.name = doctype
       AND d.partitions <> covered || bare;

    FOREACH part IN ARRAY bare LOOP
        PERFORM docperm._dress(part, doctype, force);
    END LOOP;

    -- With a table that is detached, its documents go.
    IF NOT known <@ covered THEN
        PERFORM docperm._drop_stale_shares(doctype);
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._cover_partitions(text, regclass, boolean) IS
    'Internal: gives policies to partitions of a protected table that have none yet, and forgets those that are gone';


-- Links ----------------------------------------------------------------------------------

-- Foreign keys between protected tables, to and from this doctype. Of a key of several
-- columns it is the one that holds the target's name. That of a child table to its parent
-- is none: it says where the row belongs.
CREATE FUNCTION docperm._discover_links(doctype text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    DELETE FROM docperm.doctype_fields AS f
     USING docperm.doctypes AS d
     WHERE d.name    = _discover_links.doctype
       AND f.doctype = d.name
       AND f.discovered
       AND NOT EXISTS (SELECT
                         FROM pg_catalog.pg_attribute AS a
                        WHERE a.attrelid = d.relation
                          AND a.attname  = f.column_name
                          AND NOT a.attisdropped);

    INSERT INTO docperm.doctype_fields AS f (doctype, column_name, link_to, discovered)
    SELECT DISTINCT ON (source.name, here.attname)
           source.name, here.attname, target.name, true
      FROM pg_catalog.pg_constraint AS c
      JOIN docperm.doctypes         AS source ON source.relation = c.conrelid
      JOIN docperm.doctypes         AS target ON target.relation = c.confrelid
                                              OR c.confrelid = ANY (target.partitions::oid[])
     CROSS JOIN LATERAL unnest(c.conkey, c.confkey) AS k (here, there)
      JOIN pg_catalog.pg_attribute  AS here   ON here.attrelid  = c.conrelid  AND here.attnum  = k.here
      JOIN pg_catalog.pg_attribute  AS there  ON there.attrelid = c.confrelid AND there.attnum = k.there
                                             AND there.attname  = target.name_column
     WHERE c.contype = 'f'
       AND c.conparentid = 0                -- not the copies that partitions inherit
       AND here.attname IS DISTINCT FROM source.parent_column
       AND _discover_links.doctype IN (source.name, target.name)
     ORDER BY source.name, here.attname, c.conname
        ON CONFLICT ON CONSTRAINT doctype_fields_pkey DO UPDATE
       SET link_to = excluded.link_to
     WHERE f.discovered
       AND f.link_to IS NULL;
END
$$;

COMMENT ON FUNCTION docperm._discover_links(text) IS 'Internal: makes links of the foreign keys between a doctype''s table and other protected tables';


-- What users call ------------------------------------------------------------------------

CREATE FUNCTION docperm.protect(
    relation           regclass,
    doctype            text,
    name_column        name    = NULL,
    owner_column       name    = NULL,
    docstatus_column   name    = NULL,
    tree_parent_column name    = NULL,
    parent_doctype     text    = NULL,
    parent_column      name    = NULL,
    parenttype_column  name    = NULL,
    module             text    = NULL,
    allow_import       boolean = false,
    force              boolean = true,
    title_column       name    = NULL,
    tree_left_column   name    = NULL,
    tree_right_column  name    = NULL,
    fill_defaults      boolean = NULL,
    creation_column    name    = NULL,
    modified_column    name    = NULL,
    modified_by_column name    = NULL,
    amended_from_column name   = NULL,
    track_changes      boolean = NULL
) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stored       docperm.doctypes%ROWTYPE;
    other        text;
    part         regclass;
    key_category text;
    newly_bound  boolean;
    newly_tree   boolean;
BEGIN
    IF relation IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = 'relation is NULL',
            HINT    = 'Name the table to protect.';
    END IF;
    IF doctype IS NULL OR doctype = '' OR doctype <> btrim(doctype) THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('%L cannot be the name of a doctype', doctype),
            HINT    = 'Give a name that neither is empty nor begins or ends with a blank, e.g. Sales Order.';
    END IF;
    PERFORM docperm._require_protectable(relation);

    -- Of two tables that are protected at the same time, one comes second and finds the
    -- links between them. The table itself must not change while it is looked at.
    LOCK TABLE docperm.doctypes IN SHARE ROW EXCLUSIVE MODE;
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', relation);

    SELECT d.name INTO other FROM docperm.doctypes AS d WHERE d.relation = protect.relation AND d.name <> protect.doctype;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('table %s is already protected as doctype "%s"', relation, other),
            HINT    = format('Call docperm.unprotect(%L) first, or rename the doctype in docperm.doctypes.', relation);
    END IF;

    SELECT d.* INTO stored FROM docperm.doctypes AS d WHERE d.name = protect.doctype;
    IF stored.relation <> relation AND EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = stored.relation) THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('doctype "%s" already belongs to table %s', doctype, stored.relation),
            HINT    = 'A doctype has one table. Choose another name, or unprotect that table first.';
    END IF;

    -- What the doctype's last table had and this one has not, it cannot mean.
    IF stored.relation IS DISTINCT FROM relation THEN
        stored.name_column        := docperm._existing_column(relation, stored.name_column);
        stored.owner_column       := docperm._existing_column(relation, stored.owner_column);
        stored.docstatus_column   := docperm._existing_column(relation, stored.docstatus_column);
        stored.tree_parent_column := docperm._existing_column(relation, stored.tree_parent_column);
        stored.title_column       := docperm._existing_column(relation, stored.title_column);
        stored.creation_column    := docperm._existing_column(relation, stored.creation_column);
        stored.modified_column    := docperm._existing_column(relation, stored.modified_column);
        stored.modified_by_column := docperm._existing_column(relation, stored.modified_by_column);
        stored.amended_from_column := docperm._existing_column(relation, stored.amended_from_column);
        stored.parent_column      := docperm._existing_column(relation, stored.parent_column);
        stored.parenttype_column  := docperm._existing_column(relation, stored.parenttype_column);
        stored.tree_left_column   := docperm._existing_column(relation, stored.tree_left_column);
        stored.tree_right_column  := docperm._existing_column(relation, stored.tree_right_column);
        -- Half of what makes a nested set, or a child table, makes none.
        IF num_nonnulls(stored.tree_left_column, stored.tree_right_column) = 1 THEN
            stored.tree_left_column  := NULL;
            stored.tree_right_column := NULL;
        END IF;
        IF stored.parent_column IS NULL OR num_nonnulls(stored.parent_doctype, stored.parenttype_column) = 0 THEN
            stored.parent_column     := NULL;
            stored.parent_doctype    := NULL;
            stored.parenttype_column := NULL;
        END IF;
        -- Columns lft and rgt of integers are what Frappe calls them.
        IF stored.tree_left_column IS NULL
           AND 2 = (SELECT count(*)
                      FROM pg_catalog.pg_attribute AS a
                     WHERE a.attrelid = protect.relation
                       AND a.attname IN ('lft', 'rgt')
                       AND a.attnum   > 0
                       AND NOT a.attisdropped
                       AND docperm._base_type(a.atttypid) IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)) THEN
            stored.tree_left_column  := 'lft';
            stored.tree_right_column := 'rgt';
        END IF;
        DELETE FROM docperm.doctype_fields AS f
         WHERE f.doctype = protect.doctype
           AND docperm._existing_column(protect.relation, f.column_name) IS NULL;
    END IF;

    -- What is not given stays as it is; '' takes a title, a nested set, a parent away.
    parent_doctype     := nullif(coalesce(parent_doctype,    stored.parent_doctype),    '');
    parent_column      := nullif(coalesce(parent_column,     stored.parent_column),     '');
    parenttype_column  := nullif(coalesce(parenttype_column, stored.parenttype_column), '');
    IF parent_column IS NOT NULL OR num_nonnulls(parent_doctype, parenttype_column) > 0 THEN
        -- A child table has its parent's owner, docstatus and place in a tree.
        IF num_nonnulls(owner_column, docstatus_column, tree_parent_column, nullif(amended_from_column, ''),
                        nullif(tree_left_column, ''), nullif(tree_right_column, '')) > 0 THEN
            RAISE EXCEPTION USING
                ERRCODE = '22023',
                MESSAGE = format('doctype "%s" is a child table and has no owner, docstatus or tree of its own', doctype),
                HINT    = 'Leave out owner_column, docstatus_column and tree columns; they belong to the parent document.';
        END IF;
        stored.owner_column       := NULL;
        stored.docstatus_column   := NULL;
        stored.amended_from_column := NULL;
        stored.tree_parent_column := NULL;
        stored.tree_left_column   := NULL;
        stored.tree_right_column  := NULL;
        PERFORM docperm._require_child(relation, doctype, parent_column, parent_doctype, parenttype_column);
    END IF;
    title_column       := nullif(coalesce(title_column,      stored.title_column),      '');
    tree_left_column   := nullif(coalesce(tree_left_column,  stored.tree_left_column),  '');
    tree_right_column  := nullif(coalesce(tree_right_column, stored.tree_right_column), '');
    fill_defaults      := coalesce(fill_defaults, stored.fill_defaults, false);
    creation_column    := nullif(coalesce(creation_column,     stored.creation_column),     '');
    modified_column    := nullif(coalesce(modified_column,     stored.modified_column),     '');
    modified_by_column := nullif(coalesce(modified_by_column,  stored.modified_by_column),  '');
    amended_from_column := nullif(coalesce(amended_from_column, stored.amended_from_column), '');
    track_changes      := coalesce(track_changes, stored.track_changes, false);
    name_column        := coalesce(name_column,        stored.name_column, docperm._primary_key_column(relation));
    owner_column       := coalesce(owner_column,       stored.owner_column);
    docstatus_column   := coalesce(docstatus_column,   stored.docstatus_column);
    tree_parent_column := coalesce(tree_parent_column, stored.tree_parent_column);
    module             := coalesce(module,             stored.module);
    allow_import       := coalesce(allow_import,       stored.allow_import, false);
    force              := coalesce(force, true);

    newly_bound := stored.relation    IS DISTINCT FROM relation
                OR stored.name_column IS DISTINCT FROM name_column;
    newly_tree  := tree_parent_column IS NOT NULL
               AND (stored.relation IS NULL OR stored.tree_parent_column IS DISTINCT FROM tree_parent_column);

    -- Rows of a child table are told apart by their parent, and need no name.
    IF name_column IS NOT NULL OR parent_column IS NULL THEN
        PERFORM docperm._require_key(relation, name_column);
    END IF;
    SELECT t.typcategory INTO key_category
      FROM pg_catalog.pg_attribute AS a
      JOIN pg_catalog.pg_type      AS t ON t.oid = docperm._base_type(a.atttypid)
     WHERE a.attrelid = relation
       AND a.attname  = protect.name_column;
    PERFORM docperm._require_column_kind(relation, owner_column,       'S',          'the name of a user');
    PERFORM docperm._require_column_kind(relation, docstatus_column,   'N',          '0, 1 or 2');
    PERFORM docperm._require_column_kind(relation, tree_parent_column, key_category, 'the name of a parent document');
    PERFORM docperm._require_time_column(relation, creation_column,     '{timestamptz,timestamp,date}');
    PERFORM docperm._require_time_column(relation, modified_column,     '{timestamptz,timestamp}');
    PERFORM docperm._require_column_kind(relation, modified_by_column,  'S',          'the name of a user');
    PERFORM docperm._require_column_kind(relation, amended_from_column, key_category, 'the name of the document that was amended');
    IF amended_from_column IS NOT NULL AND docstatus_column IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('doctype "%s" has no docstatus_column, so its documents are not amended', doctype),
            HINT    = 'Name the column that holds 0, 1 or 2 in docstatus_column, or leave out amended_from_column.';
    END IF;
    IF tree_parent_column = name_column THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('column "%s" of table %s cannot name both a document and its parent', name_column, relation),
            HINT    = 'Name the column that refers to the parent in tree_parent_column.';
    END IF;

    PERFORM docperm._require_nested_set(relation, tree_left_column, tree_right_column);
    IF title_column IS NOT NULL THEN
        PERFORM docperm._require_column(relation, title_column);
    END IF;

    -- Shares name documents by the column that named them so far. If that is gone, it has
    -- been renamed, and they still do.
    IF stored.relation = relation
       AND stored.name_column <> name_column
       AND docperm._existing_column(relation, stored.name_column) IS NOT NULL
       AND EXISTS (SELECT FROM docperm.shares AS s WHERE s.doctype = protect.doctype) THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('documents of doctype "%s" are shared under the name in column "%s"', doctype, stored.name_column),
            HINT    = 'Delete the rows of docperm.shares for this doctype first.';
    END IF;

    PERFORM docperm._require_coverable(relation, doctype);

    -- The table is bound last: until then the event trigger below does not know it.
    INSERT INTO docperm.doctypes AS d (name, name_column, owner_column, docstatus_column, tree_parent_column, tree_left_column,
                                       tree_right_column, parent_doctype, parent_column, parenttype_column, title_column,
                                       creation_column, modified_column, modified_by_column, amended_from_column,
                                       module, allow_import, fill_defaults, track_changes)
    VALUES (protect.doctype, protect.name_column, protect.owner_column, protect.docstatus_column,
            protect.tree_parent_column, protect.tree_left_column, protect.tree_right_column, protect.parent_doctype,
            protect.parent_column, protect.parenttype_column, protect.title_column, protect.creation_column,
            protect.modified_column, protect.modified_by_column, protect.amended_from_column, protect.module,
            protect.allow_import, protect.fill_defaults, protect.track_changes)
        ON CONFLICT ON CONSTRAINT doctypes_pkey DO UPDATE
       SET name_column        = excluded.name_column,
           owner_column       = excluded.owner_column,
           docstatus_column   = excluded.docstatus_column,
           tree_parent_column = excluded.tree_parent_column,
           tree_left_column   = excluded.tree_left_column,
           tree_right_column  = excluded.tree_right_column,
           parent_doctype     = excluded.parent_doctype,
           parent_column      = excluded.parent_column,
           parenttype_column  = excluded.parenttype_column,
           title_column       = excluded.title_column,
           creation_column    = excluded.creation_column,
           modified_column    = excluded.modified_column,
           modified_by_column = excluded.modified_by_column,
           amended_from_column = excluded.amended_from_column,
           module             = excluded.module,
           allow_import       = excluded.allow_import,
           fill_defaults      = excluded.fill_defaults,
           track_changes      = excluded.track_changes
     WHERE (d.name_column, d.owner_column, d.docstatus_column, d.tree_parent_column, d.tree_left_column, d.tree_right_column,
            d.parent_doctype, d.parent_column, d.parenttype_column, d.title_column, d.creation_column, d.modified_column,
            d.modified_by_column, d.amended_from_column, d.module, d.allow_import, d.fill_defaults, d.track_changes)
           IS DISTINCT FROM
           (excluded.name_column, excluded.owner_column, excluded.docstatus_column, excluded.tree_parent_column,
            excluded.tree_left_column, excluded.tree_right_column, excluded.parent_doctype, excluded.parent_column,
            excluded.parenttype_column, excluded.title_column, excluded.creation_column, excluded.modified_column,
            excluded.modified_by_column, excluded.amended_from_column, excluded.module, excluded.allow_import,
            excluded.fill_defaults, excluded.track_changes);

    PERFORM docperm._cover_partitions(doctype, relation, force);
    PERFORM docperm._dress(relation, doctype, force);
    FOREACH part IN ARRAY (SELECT d.partitions FROM docperm.doctypes AS d WHERE d.name = protect.doctype) LOOP
        PERFORM docperm._require_coverable(part, doctype);
        PERFORM docperm._dress(part, doctype, force);
    END LOOP;

    UPDATE docperm.doctypes AS d
       SET relation = protect.relation
     WHERE d.name = protect.doctype
       AND d.relation IS DISTINCT FROM protect.relation;

    IF newly_bound THEN
        -- Links that foreign keys made to the column that named documents before.
        UPDATE docperm.doctype_fields AS f
           SET link_to = NULL
         WHERE f.link_to = protect.doctype
           AND f.discovered;
    END IF;
    DELETE FROM docperm.doctype_fields AS f
     WHERE f.doctype     = protect.doctype
       AND f.column_name = protect.parent_column
       AND f.discovered;
    PERFORM docperm._discover_links(doctype);

    PERFORM docperm._require_exact_parents(doctype);

    IF tree_parent_column IS NOT NULL THEN
        INSERT INTO docperm.doctype_fields AS f (doctype, column_name, link_to, ignore_user_permissions, discovered)
        VALUES (protect.doctype, protect.tree_parent_column, protect.doctype, true, true)
            ON CONFLICT ON CONSTRAINT doctype_fields_pkey DO UPDATE
           SET link_to                 = coalesce(f.link_to, excluded.link_to),
               ignore_user_permissions = f.ignore_user_permissions OR newly_tree
         WHERE f.discovered;
    END IF;

    IF parent_column IS NOT NULL THEN
        PERFORM docperm._note_orphans(doctype);
        DELETE FROM docperm.shares AS s WHERE s.doctype = protect.doctype;
    ELSIF stored.relation IS DISTINCT FROM relation THEN
        PERFORM docperm._drop_stale_shares(doctype);
    END IF;

    IF newly_bound THEN
        UPDATE docperm.user_permissions AS u
           SET for_value = docperm._canonical_name(u.allow, a.atttypid, a.atttypmod, u.for_value)
          FROM pg_catalog.pg_attribute AS a
         WHERE a.attrelid = protect.relation
           AND a.attname  = protect.name_column
           AND u.allow    = protect.doctype
           AND NOT docperm._is_canonical(a.atttypid, a.atttypmod, u.for_value)
           AND u.for_value <> docperm._canonical_name(u.allow, a.atttypid, a.atttypmod, u.for_value);
    END IF;
END
$$;

COMMENT ON FUNCTION docperm.protect(regclass, text, name, name, name, name, text, name, name, text, boolean, boolean, name, name, name, boolean, name, name, name, name, boolean) IS
$$Puts a table under docperm, as the given doctype: policies on it and on all its partitions, row-level security, also for the table's owner unless force is false.

name_column identifies a document (default: the primary key, if that is one column); owner_column holds the user who owns it; docstatus_column makes the doctype submittable; tree_parent_column makes it a tree, and so do tree_left_column and tree_right_column, a nested set, for which lft and rgt are taken if the table has them. parent_column makes it a child table, whose rows follow the document that it names: one of parent_doctype, or of the doctype in parenttype_column; with both, rows of another doctype are nobody's. A child table may do without a name_column.

title_column is what link pickers show; with fill_defaults, links that an INSERT leaves out get their docperm.default_value(). Foreign keys to and from other protected tables become links. Called again, it changes what is given, and finds foreign keys made since; '' takes away a title, a nested set, a parent.$$;


CREATE FUNCTION docperm.unprotect(relation regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bound_doctype text;
    root          regclass;
    tables        regclass[];
    part          regclass;
BEGIN
    IF relation IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = 'relation is NULL',
            HINT    = 'Name the table to unprotect.';
    END IF;
    LOCK TABLE docperm.doctypes IN SHARE ROW EXCLUSIVE MODE;

    SELECT d.relation INTO root FROM docperm.doctypes AS d WHERE unprotect.relation = ANY (d.partitions);
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('table %s is protected as a part of %s', relation, root),
            HINT    = format('Unprotect %s, or detach this table from it first.', root);
    END IF;

    SELECT d.name INTO bound_doctype FROM docperm.doctypes AS d WHERE d.relation = unprotect.relation;
    -- Without a registration there may still be policies: on a table that was detached,
    -- or whose doctype somebody deleted.
    IF NOT FOUND AND NOT EXISTS (SELECT
                                   FROM pg_catalog.pg_policy AS p
                                  WHERE p.polrelid = relation
                                    AND p.polname IN ('docperm_select', 'docperm_insert', 'docperm_update', 'docperm_delete')) THEN
        RAISE EXCEPTION USING
            ERRCODE = '42704',
            MESSAGE = format('table %s is not protected', relation),
            HINT    = 'Protected tables are named in docperm.doctypes.';
    END IF;

    tables := ARRAY[relation]
           || ARRAY(SELECT d.relation
                      FROM docperm._descendants(unprotect.relation) AS d (relation)
                      JOIN pg_catalog.pg_class AS c ON c.oid = d.relation
                     WHERE c.relkind IN ('r', 'p')
                       -- a child that is part of another protected table as well stays covered
                       AND NOT EXISTS (SELECT
                                         FROM docperm.doctypes AS o
                                        WHERE d.relation = ANY (o.partitions)
                                          AND o.name <> bound_doctype));
    DELETE FROM docperm.doctypes AS d WHERE d.name = bound_doctype;
    FOREACH part IN ARRAY tables LOOP
        PERFORM docperm._undress(part);
    END LOOP;
END
$$;

COMMENT ON FUNCTION docperm.unprotect(regclass) IS
    'Takes a table from under docperm: policies, triggers, row-level security, the doctype with its fields, its rules and the user permissions for its documents';


CREATE FUNCTION docperm.set_field(
    doctype                 text,
    column_name             name,
    link_to                 text    = NULL,
    ignore_user_permissions boolean = NULL,
    permlevel               integer = NULL,
    allow_on_submit         boolean = NULL,
    requires_select         boolean = NULL
) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF doctype IS NULL OR coalesce(column_name, '') = '' THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = 'doctype or column_name is missing',
            HINT    = 'Name the doctype and the column to declare.';
    END IF;

    IF permlevel NOT BETWEEN 0 AND 9 THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('permlevel %s of column "%s" is no level', permlevel, column_name),
            HINT    = 'Levels are 0 to 9.';
    END IF;

    -- Until somebody says what the column links to, its foreign keys do.
    INSERT INTO docperm.doctype_fields AS f (doctype, column_name, link_to, ignore_user_permissions, discovered,
                                             permlevel, allow_on_submit, requires_select)
    VALUES (set_field.doctype,
            set_field.column_name,
            nullif(set_field.link_to, ''),
            coalesce(set_field.ignore_user_permissions, false),
            set_field.link_to IS NULL,
            coalesce(set_field.permlevel, 0),
            coalesce(set_field.allow_on_submit, false),
            coalesce(set_field.requires_select, false))
        ON CONFLICT ON CONSTRAINT doctype_fields_pkey DO UPDATE
       SET link_to                 = CASE WHEN set_field.link_to IS NULL THEN f.link_to ELSE excluded.link_to END,
           ignore_user_permissions = coalesce(set_field.ignore_user_permissions, f.ignore_user_permissions),
           discovered              = f.discovered AND set_field.link_to IS NULL,
           permlevel               = coalesce(set_field.permlevel, f.permlevel),
           allow_on_submit         = coalesce(set_field.allow_on_submit, f.allow_on_submit),
           requires_select         = coalesce(set_field.requires_select, f.requires_select);
END
$$;

COMMENT ON FUNCTION docperm.set_field(text, name, text, boolean, integer, boolean, boolean) IS
    'Declares a column of a doctype, or changes what is declared; NULL leaves a property as it is. link_to: the doctype that the column links to, '''' for none';


-- A doctype that changes ---------------------------------------------------------------

CREATE FUNCTION docperm._redress() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    part   regclass;
    forced boolean;
BEGIN
    FOR part, forced IN
        SELECT c.oid::regclass, c.relforcerowsecurity
          FROM pg_catalog.pg_class AS c
         WHERE c.oid = ANY (NEW.relation || NEW.partitions)
    LOOP
        PERFORM docperm._dress(part, NEW.name, forced);
    END LOOP;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._redress() IS 'Internal: trigger that writes policies and triggers anew when a doctype is renamed, or its triggers would be others';

CREATE TRIGGER redress
    AFTER UPDATE OF name, name_column, tree_parent_column, tree_left_column, parent_column, fill_defaults ON docperm.doctypes
    FOR EACH ROW
    WHEN (NEW.relation IS NOT NULL AND OLD.relation = NEW.relation
          AND (OLD.name, OLD.name_column, OLD.tree_parent_column, OLD.tree_left_column, OLD.parent_column, OLD.fill_defaults)
              IS DISTINCT FROM
              (NEW.name, NEW.name_column, NEW.tree_parent_column, NEW.tree_left_column, NEW.parent_column, NEW.fill_defaults))
    EXECUTE FUNCTION docperm._redress();


-- Tables that come and go ----------------------------------------------------------------

-- For a table that has nothing to do with a protected one this is one look into
-- pg_inherits and one over docperm.doctypes.
CREATE FUNCTION docperm._on_table_changed() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner record;
BEGIN
    FOR owner IN
        SELECT DISTINCT d.name, d.relation, root.relforcerowsecurity AS force
          FROM pg_event_trigger_ddl_commands()      AS c
         CROSS JOIN LATERAL docperm._ancestors(c.objid) AS a (relation)
          JOIN docperm.doctypes                     AS d ON d.relation = a.relation OR a.relation = ANY (d.partitions)
          JOIN pg_catalog.pg_class                  AS root ON root.oid = d.relation
         WHERE c.classid = 'pg_catalog.pg_class'::regclass
    LOOP
        PERFORM docperm._cover_partitions(owner.name, owner.relation, owner.force);
    END LOOP;
END
$$;

COMMENT ON FUNCTION docperm._on_table_changed() IS 'Internal: event trigger that protects tables which become partitions of a protected one';

CREATE EVENT TRIGGER docperm_table_changed
    ON ddl_command_end
    WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE', 'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE', 'CREATE SCHEMA')
    EXECUTE FUNCTION docperm._on_table_changed();
ALTER EVENT TRIGGER docperm_table_changed ENABLE ALWAYS;

COMMENT ON EVENT TRIGGER docperm_table_changed IS 'Protects tables that become partitions of a protected table';


CREATE FUNCTION docperm._on_table_dropped() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    gone     oid;
    affected text[] := '{}';
    doctype  text;
BEGIN
    FOR gone IN
        SELECT o.objid
          FROM pg_event_trigger_dropped_objects() AS o
         WHERE o.classid  = 'pg_catalog.pg_class'::regclass
           AND o.objsubid = 0
           AND EXISTS (SELECT FROM docperm.doctypes AS d WHERE d.relation = o.objid OR o.objid = ANY (d.partitions::oid[]))
    LOOP
        affected := affected || ARRAY(SELECT d.name FROM docperm.doctypes AS d WHERE gone = ANY (d.partitions::oid[]));

        -- The rules stay, for a table that takes this one's place.
        UPDATE docperm.doctypes AS d
           SET relation   = nullif(d.relation, gone::regclass),
               partitions = array_remove(d.partitions, gone::regclass)
         WHERE d.relation = gone
            OR gone = ANY (d.partitions::oid[]);
    END LOOP;

    -- With a partition, its documents went.
    FOREACH doctype IN ARRAY affected LOOP
        PERFORM docperm._drop_stale_shares(doctype);
    END LOOP;
END
$$;

COMMENT ON FUNCTION docperm._on_table_dropped() IS 'Internal: event trigger that forgets tables which are dropped, and keeps their rules';

CREATE EVENT TRIGGER docperm_table_dropped
    ON sql_drop
    EXECUTE FUNCTION docperm._on_table_dropped();
ALTER EVENT TRIGGER docperm_table_dropped ENABLE ALWAYS;

COMMENT ON EVENT TRIGGER docperm_table_dropped IS 'Forgets protected tables that are dropped; their rules stay';
