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

CREATE FUNCTION docperm._primary_key_column(relation regclass) RETURNS name
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT a.attname
      FROM pg_catalog.pg_index     AS i
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
     WHERE i.indrelid = _primary_key_column.relation
       AND i.indisprimary
       AND i.indnkeyatts = 1;
END;

COMMENT ON FUNCTION docperm._primary_key_column(regclass) IS 'Internal: the column of a primary key of one column, otherwise NULL';


CREATE FUNCTION docperm._require_key(relation regclass, column_name name) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong       text;
    partitioned boolean;
BEGIN
    SELECT c.relkind = 'p' INTO partitioned FROM pg_catalog.pg_class AS c WHERE c.oid = relation;

    IF column_name IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('table %s has no primary key of one column', relation),
            HINT    = 'Name a column in name_column that is NOT NULL and has a unique index to itself. '
                      'Tables without one, such as the lines of an order, cannot be protected by this version.';
    END IF;
    PERFORM docperm._require_column(relation, column_name);

    -- A document's name has to pick out one row. A partitioned table can have no unique
    -- index without its partition key; there it is enough that the column is in one.
    SELECT CASE
               WHEN NOT a.attnotnull
                   THEN 'it may be NULL'
               WHEN t.typtype IN ('c', 'r', 'm') OR t.typcategory = 'A' OR t.oid IN ('json'::regtype, 'jsonb'::regtype, 'xml'::regtype)
                   THEN format('its type %s has no plain text form', format_type(a.atttypid, a.atttypmod))
               WHEN NOT EXISTS (SELECT
                                  FROM pg_catalog.pg_index AS i
                                 WHERE i.indrelid = a.attrelid
                                   AND i.indisunique
                                   AND i.indisvalid
                                   AND i.indpred IS NULL
                                   AND CASE
                                           WHEN partitioned THEN a.attnum = ANY (i.indkey::smallint[])
                                           ELSE i.indnkeyatts = 1 AND i.indkey[0] = a.attnum
                                       END)
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
            HINT    = 'Name a column in name_column that is NOT NULL and has a unique index to itself.';
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


-- Dressing one table ---------------------------------------------------------------------

CREATE FUNCTION docperm._dress(relation regclass, doctype text, force boolean, tree boolean) RETURNS void
    LANGUAGE plpgsql
    SET search_path         = pg_catalog, pg_temp
    SET client_min_messages = 'warning'
AS $$
DECLARE
    table_name   name;
    is_partition boolean;
    policy       record;
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

    PERFORM docperm._undress_tree(relation);
    IF tree THEN
        -- Permitted trees are remembered; these tell every session that one has changed.
        -- ALWAYS: also when a replica or a restore writes the rows.
        EXECUTE format('CREATE TRIGGER docperm_tree_changed AFTER INSERT OR UPDATE OR DELETE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION docperm._tree_changed(%L)', relation, doctype);
        EXECUTE format('CREATE TRIGGER docperm_tree_truncated AFTER TRUNCATE ON %s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION docperm._tree_changed(%L)', relation, doctype);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER docperm_tree_changed',   relation);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER docperm_tree_truncated', relation);

        -- A logical replication worker fires row triggers only. Partitions inherit this one.
        IF NOT is_partition THEN
            EXECUTE format('CREATE TRIGGER docperm_tree_replicated AFTER INSERT OR UPDATE OR DELETE ON %s '
                           'FOR EACH ROW EXECUTE FUNCTION docperm._tree_changed(%L)', relation, doctype);
            EXECUTE format('ALTER TABLE %s ENABLE REPLICA TRIGGER docperm_tree_replicated', relation);
        END IF;
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._dress(regclass, text, boolean, boolean) IS
    'Internal: gives one table its policies, row-level security and, in a tree, its triggers; replaces those it has';


CREATE FUNCTION docperm._undress_tree(relation regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path         = pg_catalog, pg_temp
    SET client_min_messages = 'warning'
AS $$
BEGIN
    EXECUTE format('DROP TRIGGER IF EXISTS docperm_tree_changed   ON %s', relation);
    EXECUTE format('DROP TRIGGER IF EXISTS docperm_tree_truncated ON %s', relation);
    -- A partition has the one of its root.
    IF NOT (SELECT c.relispartition FROM pg_catalog.pg_class AS c WHERE c.oid = relation) THEN
        EXECUTE format('DROP TRIGGER IF EXISTS docperm_tree_replicated ON %s', relation);
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._undress_tree(regclass) IS 'Internal: takes the triggers of a tree off a table';


CREATE FUNCTION docperm._undress(relation regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path         = pg_catalog, pg_temp
    SET client_min_messages = 'warning'
AS $$
DECLARE
    command text;
BEGIN
    PERFORM docperm._undress_tree(relation);
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
CREATE FUNCTION docperm._cover_partitions(doctype text, root regclass, force boolean, tree boolean) RETURNS void
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
        PERFORM docperm._dress(part, doctype, force, tree);
    END LOOP;
END
$$;

COMMENT ON FUNCTION docperm._cover_partitions(text, regclass, boolean, boolean) IS
    'Internal: gives policies to partitions of a protected table that have none yet, and forgets those that are gone';


-- Links ----------------------------------------------------------------------------------

-- Foreign keys between protected tables, to and from this doctype. Of a key of several
-- columns it is the one that holds the target's name.
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
    module             text    = NULL,
    allow_import       boolean = false,
    force              boolean = true
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

    -- What is not given stays as it is.
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

    PERFORM docperm._require_key(relation, name_column);
    SELECT t.typcategory INTO key_category
      FROM pg_catalog.pg_attribute AS a
      JOIN pg_catalog.pg_type      AS t ON t.oid = docperm._base_type(a.atttypid)
     WHERE a.attrelid = relation
       AND a.attname  = protect.name_column;
    PERFORM docperm._require_column_kind(relation, owner_column,       'S',          'the name of a user');
    PERFORM docperm._require_column_kind(relation, docstatus_column,   'N',          '0, 1 or 2');
    PERFORM docperm._require_column_kind(relation, tree_parent_column, key_category, 'the name of a parent document');
    IF tree_parent_column = name_column THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('column "%s" of table %s cannot name both a document and its parent', name_column, relation),
            HINT    = 'Name the column that refers to the parent in tree_parent_column.';
    END IF;

    PERFORM docperm._require_coverable(relation, doctype);

    -- The table is bound last: until then the event trigger below does not know it.
    INSERT INTO docperm.doctypes AS d (name, name_column, owner_column, docstatus_column, tree_parent_column, module, allow_import)
    VALUES (protect.doctype, protect.name_column, protect.owner_column, protect.docstatus_column,
            protect.tree_parent_column, protect.module, protect.allow_import)
        ON CONFLICT ON CONSTRAINT doctypes_pkey DO UPDATE
       SET name_column        = excluded.name_column,
           owner_column       = excluded.owner_column,
           docstatus_column   = excluded.docstatus_column,
           tree_parent_column = excluded.tree_parent_column,
           module             = excluded.module,
           allow_import       = excluded.allow_import
     WHERE (d.name_column, d.owner_column, d.docstatus_column, d.tree_parent_column, d.module, d.allow_import)
           IS DISTINCT FROM
           (excluded.name_column, excluded.owner_column, excluded.docstatus_column, excluded.tree_parent_column,
            excluded.module, excluded.allow_import);

    PERFORM docperm._cover_partitions(doctype, relation, force, tree_parent_column IS NOT NULL);
    PERFORM docperm._dress(relation, doctype, force, tree_parent_column IS NOT NULL);
    FOREACH part IN ARRAY (SELECT d.partitions FROM docperm.doctypes AS d WHERE d.name = protect.doctype) LOOP
        PERFORM docperm._require_coverable(part, doctype);
        PERFORM docperm._dress(part, doctype, force, tree_parent_column IS NOT NULL);
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
    PERFORM docperm._discover_links(doctype);

    IF tree_parent_column IS NOT NULL THEN
        INSERT INTO docperm.doctype_fields AS f (doctype, column_name, link_to, ignore_user_permissions, discovered)
        VALUES (protect.doctype, protect.tree_parent_column, protect.doctype, true, true)
            ON CONFLICT ON CONSTRAINT doctype_fields_pkey DO UPDATE
           SET link_to                 = coalesce(f.link_to, excluded.link_to),
               ignore_user_permissions = f.ignore_user_permissions OR newly_tree
         WHERE f.discovered;
    END IF;

    IF newly_bound THEN
        UPDATE docperm.user_permissions AS u
           SET for_value = docperm._canonical_name(u.allow, u.for_value)
         WHERE u.allow = protect.doctype
           AND u.for_value <> docperm._canonical_name(u.allow, u.for_value);
    END IF;
END
$$;

COMMENT ON FUNCTION docperm.protect(regclass, text, name, name, name, name, text, boolean, boolean) IS
$$Puts a table under docperm, as the given doctype: policies on it and on all its partitions, row-level security, also for the table's owner unless force is false.

name_column identifies a document (default: the primary key, if that is one column); owner_column holds the user who owns it; docstatus_column makes the doctype submittable; tree_parent_column makes it a tree. Foreign keys to and from other protected tables become links. Called again, it changes what is given, and finds foreign keys made since.$$;


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
    ignore_user_permissions boolean = NULL
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

    -- Until somebody says what the column links to, its foreign keys do.
    INSERT INTO docperm.doctype_fields AS f (doctype, column_name, link_to, ignore_user_permissions, discovered)
    VALUES (set_field.doctype,
            set_field.column_name,
            nullif(set_field.link_to, ''),
            coalesce(set_field.ignore_user_permissions, false),
            set_field.link_to IS NULL)
        ON CONFLICT ON CONSTRAINT doctype_fields_pkey DO UPDATE
       SET link_to                 = CASE WHEN set_field.link_to IS NULL THEN f.link_to ELSE excluded.link_to END,
           ignore_user_permissions = coalesce(set_field.ignore_user_permissions, f.ignore_user_permissions),
           discovered              = f.discovered AND set_field.link_to IS NULL;
END
$$;

COMMENT ON FUNCTION docperm.set_field(text, name, text, boolean) IS
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
        PERFORM docperm._dress(part, NEW.name, forced, NEW.tree_parent_column IS NOT NULL);
    END LOOP;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._redress() IS 'Internal: trigger that writes policies anew when a doctype is renamed or becomes a tree';

CREATE TRIGGER redress
    AFTER UPDATE OF name, tree_parent_column ON docperm.doctypes
    FOR EACH ROW
    WHEN (NEW.relation IS NOT NULL AND OLD.relation = NEW.relation
          AND (OLD.name, OLD.tree_parent_column) IS DISTINCT FROM (NEW.name, NEW.tree_parent_column))
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
        SELECT DISTINCT d.name, d.relation, d.tree_parent_column IS NOT NULL AS tree, root.relforcerowsecurity AS force
          FROM pg_event_trigger_ddl_commands()      AS c
         CROSS JOIN LATERAL docperm._ancestors(c.objid) AS a (relation)
          JOIN docperm.doctypes                     AS d ON d.relation = a.relation OR a.relation = ANY (d.partitions)
          JOIN pg_catalog.pg_class                  AS root ON root.oid = d.relation
         WHERE c.classid = 'pg_catalog.pg_class'::regclass
    LOOP
        PERFORM docperm._cover_partitions(owner.name, owner.relation, owner.force, owner.tree);
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
    gone oid;
BEGIN
    FOR gone IN
        SELECT o.objid
          FROM pg_event_trigger_dropped_objects() AS o
         WHERE o.classid  = 'pg_catalog.pg_class'::regclass
           AND o.objsubid = 0
           AND EXISTS (SELECT FROM docperm.doctypes AS d WHERE d.relation = o.objid OR o.objid = ANY (d.partitions::oid[]))
    LOOP
        -- The rules stay, for a table that takes this one's place.
        UPDATE docperm.doctypes AS d
           SET relation   = nullif(d.relation, gone::regclass),
               partitions = array_remove(d.partitions, gone::regclass)
         WHERE d.relation = gone
            OR gone = ANY (d.partitions::oid[]);
    END LOOP;
END
$$;

COMMENT ON FUNCTION docperm._on_table_dropped() IS 'Internal: event trigger that forgets tables which are dropped, and keeps their rules';

CREATE EVENT TRIGGER docperm_table_dropped
    ON sql_drop
    EXECUTE FUNCTION docperm._on_table_dropped();
ALTER EVENT TRIGGER docperm_table_dropped ENABLE ALWAYS;

COMMENT ON EVENT TRIGGER docperm_table_dropped IS 'Forgets protected tables that are dropped; their rules stay';
