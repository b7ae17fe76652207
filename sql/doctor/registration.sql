-- Findings about what docperm.doctypes and docperm.doctype_fields say, and what has become of it.

CREATE FUNCTION docperm._registered_columns() RETURNS TABLE (doctype text, relation regclass, property name, column_name name)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT d.name, d.relation, k.property, k.column_name
      FROM docperm.doctypes    AS d
      JOIN pg_catalog.pg_class AS c ON c.oid = d.relation
     CROSS JOIN LATERAL (
               VALUES ('name_column'::name,    d.name_column),
                      ('owner_column',         d.owner_column),
                      ('docstatus_column',     d.docstatus_column),
                      ('tree_parent_column',   d.tree_parent_column),
                      ('tree_left_column',     d.tree_left_column),
                      ('tree_right_column',    d.tree_right_column),
                      ('parent_column',        d.parent_column),
                      ('parenttype_column',    d.parenttype_column),
                      ('title_column',         d.title_column),
                      ('creation_column',      d.creation_column),
                      ('modified_column',      d.modified_column),
                      ('modified_by_column',   d.modified_by_column),
                      ('amended_from_column',  d.amended_from_column)
           ) AS k (property, column_name)
     WHERE k.column_name IS NOT NULL;
END;

COMMENT ON FUNCTION docperm._registered_columns() IS 'Internal: columns of tables that docperm.doctypes names, and as what';


CREATE FUNCTION docperm._doctor_table_missing() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('doctype %L', d.name),
           CASE WHEN d.relation IS NULL THEN 'It has no table, never had one or has lost it: its rules and user permissions wait for one.'
                ELSE 'Its table was dropped while docperm''s event trigger was switched off.' END,
           format('-- docperm.protect() gives it a table. If there will be none, this deletes it with its rules: '
                  'DELETE FROM docperm.doctypes WHERE name = %L;', d.name)
      FROM docperm.doctypes AS d
     WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = d.relation);
END;

COMMENT ON FUNCTION docperm._doctor_table_missing() IS 'Internal: finding of docperm.doctor(): a doctype has no table';


CREATE FUNCTION docperm._doctor_column_missing() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH gone AS (
        SELECT k.doctype, k.relation, k.property, k.column_name
          FROM docperm._registered_columns() AS k
         WHERE docperm._existing_column(k.relation, k.column_name) IS NULL
    )
    SELECT format('%s (%I)', g.relation, g.column_name),
           format('Registered as the %s of doctype "%s", but the table has no such column. If it was renamed, tell docperm: '
                  'SELECT docperm.protect(%L, %L, %s => ...).',
                  replace(g.property, '_', ' '), g.doctype, g.relation, g.doctype, g.property),
           -- All at once, for each one that is left would be refused. Without a key or its parent a document is none.
           CASE WHEN EXISTS (SELECT FROM gone AS o WHERE o.doctype = g.doctype AND o.property IN ('name_column', 'parent_column', 'parenttype_column'))
                THEN format('-- SELECT docperm.protect(%L, %L, %s => ...);', g.relation, g.doctype, g.property)
                ELSE format('UPDATE docperm.doctypes SET %s WHERE name = %L;',
                            (SELECT string_agg(format('%I = NULL', o.property), ', ')
                               FROM (SELECT o.property FROM gone AS o WHERE o.doctype = g.doctype
                                UNION
                                     -- Of a nested set both bounds go, and what is not submittable is not amended.
                                     SELECT b.property
                                       FROM gone AS o
                                       JOIN (VALUES ('tree_left_column'::name, 'tree_right_column'::name),
                                                    ('tree_right_column',      'tree_left_column'),
                                                    ('docstatus_column',       'amended_from_column'))
                                            AS b (with_property, property) ON b.with_property = o.property
                                      WHERE o.doctype = g.doctype) AS o),
                            g.doctype)
           END
      FROM gone AS g
 UNION ALL
    SELECT format('%s (%I)', d.relation, f.column_name),
           format('Registered as a field of doctype "%s", but the table has no such column. If it was renamed, tell docperm: '
                  'UPDATE docperm.doctype_fields SET column_name = ...', d.name),
           format('DELETE FROM docperm.doctype_fields WHERE doctype = %L AND column_name = %L;', d.name, f.column_name)
      FROM docperm.doctypes       AS d
      JOIN docperm.doctype_fields AS f ON f.doctype = d.name
      JOIN pg_catalog.pg_class    AS c ON c.oid = d.relation
     WHERE docperm._existing_column(d.relation, f.column_name) IS NULL;
END;

COMMENT ON FUNCTION docperm._doctor_column_missing() IS 'Internal: finding of docperm.doctor(): a registered column is gone';


-- What protect() would refuse today, in protect()'s own words.
CREATE FUNCTION docperm._doctor_registration_stale() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind         docperm.doctypes%ROWTYPE;
    key_category text;
    advice       text;
BEGIN
    FOR kind IN
        SELECT d.*
          FROM docperm.doctypes    AS d
          JOIN pg_catalog.pg_class AS c ON c.oid = d.relation
         -- Columns that are gone are another finding.
         WHERE NOT EXISTS (SELECT
                             FROM docperm._registered_columns() AS k
                            WHERE k.doctype = d.name
                              AND docperm._existing_column(k.relation, k.column_name) IS NULL)
    LOOP
        object := kind.relation::text;
        BEGIN
            IF kind.name_column IS NOT NULL THEN
                PERFORM docperm._require_key(kind.relation, kind.name_column);
            END IF;
        EXCEPTION WHEN invalid_parameter_value THEN
            GET STACKED DIAGNOSTICS detail = MESSAGE_TEXT, advice = PG_EXCEPTION_HINT;
            SELECT CASE
                       WHEN NOT a.attnotnull
                           THEN format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL;', kind.relation, a.attname)
                       WHEN c.relkind = 'r'
                        AND NOT EXISTS (SELECT FROM docperm._unique_keys(kind.relation) AS k WHERE k.columns = ARRAY[a.attname])
                           THEN format('CREATE UNIQUE INDEX ON %s (%I);', kind.relation, a.attname)
                       ELSE '-- ' || advice
                   END
              INTO remedy
              FROM pg_catalog.pg_attribute AS a
              JOIN pg_catalog.pg_class     AS c ON c.oid = a.attrelid
             WHERE a.attrelid = kind.relation
               AND a.attname  = kind.name_column;
            RETURN NEXT;
        END;
        BEGIN
            SELECT t.typcategory INTO key_category
              FROM pg_catalog.pg_attribute AS a
              JOIN pg_catalog.pg_type      AS t ON t.oid = docperm._base_type(a.atttypid)
             WHERE a.attrelid = kind.relation
               AND a.attname  = kind.name_column;
            PERFORM docperm._require_column_kind(kind.relation, kind.owner_column,        'S',          'the name of a user');
            PERFORM docperm._require_column_kind(kind.relation, kind.docstatus_column,    'N',          '0, 1 or 2');
            PERFORM docperm._require_column_kind(kind.relation, kind.tree_parent_column,  key_category, 'the name of a parent document');
            PERFORM docperm._require_column_kind(kind.relation, kind.creation_column,     'D',          'a point in time');
            PERFORM docperm._require_column_kind(kind.relation, kind.modified_column,     'D',          'a point in time');
            PERFORM docperm._require_column_kind(kind.relation, kind.modified_by_column,  'S',          'the name of a user');
            PERFORM docperm._require_column_kind(kind.relation, kind.amended_from_column, key_category, 'the name of the document that was amended');
            PERFORM docperm._require_nested_set(kind.relation, kind.tree_left_column, kind.tree_right_column);
            IF kind.parent_column IS NOT NULL THEN
                PERFORM docperm._require_child(kind.relation, kind.name, kind.parent_column, kind.parent_doctype, kind.parenttype_column);
                PERFORM docperm._require_exact_parents(kind.name);
            END IF;
        EXCEPTION WHEN invalid_parameter_value OR undefined_object THEN
            GET STACKED DIAGNOSTICS detail = MESSAGE_TEXT, advice = PG_EXCEPTION_HINT;
            remedy := '-- ' || advice;
            RETURN NEXT;
        END;
    END LOOP;
END
$$;

COMMENT ON FUNCTION docperm._doctor_registration_stale() IS 'Internal: finding of docperm.doctor(): a table has become one that docperm.protect() would refuse';


CREATE FUNCTION docperm._doctor_link_unregistered() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('%s (%I)', source.relation, here.attname),
           format('A foreign key leads to documents of doctype "%s", made after the table was protected: user permissions do not restrict by it.',
                  min(target.name)),
           format('SELECT docperm.set_field(%L, %L, link_to => %L);', source.name, here.attname, min(target.name))
      FROM pg_catalog.pg_constraint AS k
      JOIN docperm.doctypes         AS source ON source.relation = k.conrelid
      JOIN docperm.doctypes         AS target ON target.relation = k.confrelid
                                              OR k.confrelid = ANY (target.partitions::oid[])
     CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS m (here, there)
      JOIN pg_catalog.pg_attribute  AS here   ON here.attrelid  = k.conrelid  AND here.attnum  = m.here
      JOIN pg_catalog.pg_attribute  AS there  ON there.attrelid = k.confrelid AND there.attnum = m.there
                                             AND there.attname  = target.name_column
     WHERE k.contype = 'f'
       AND k.conparentid = 0
       AND here.attname IS DISTINCT FROM source.parent_column
       -- Somebody may have said that it is none.
       AND NOT EXISTS (SELECT
                         FROM docperm.doctype_fields AS f
                        WHERE f.doctype     = source.name
                          AND f.column_name = here.attname
                          AND (f.link_to IS NOT NULL OR NOT f.discovered))
     GROUP BY source.relation, source.name, here.attname;
END;

COMMENT ON FUNCTION docperm._doctor_link_unregistered() IS 'Internal: finding of docperm.doctor(): a foreign key between protected tables is no link';


-- Child tables -----------------------------------------------------------------------------------

CREATE FUNCTION docperm._is_bound_to_parent(child text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT EXISTS (SELECT
                     FROM docperm.doctypes         AS c
                     JOIN docperm.doctypes         AS parent ON parent.name = c.parent_doctype
                     JOIN pg_catalog.pg_constraint AS k      ON k.conrelid = c.relation AND k.confrelid = parent.relation
                     JOIN pg_catalog.pg_attribute  AS a      ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
                    WHERE c.name    = _is_bound_to_parent.child
                      AND k.contype = 'f'
                      AND k.convalidated
                      AND a.attname = c.parent_column);
END;

COMMENT ON FUNCTION docperm._is_bound_to_parent(text) IS 'Internal: whether a foreign key binds the rows of a child table to their documents';


CREATE FUNCTION docperm._doctor_child_unbound() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT c.relation::text,
           'No foreign key binds its rows to their documents: they stay behind, hidden, when a document is deleted or renamed.',
           CASE WHEN parent.name_column IS NOT NULL AND c.parenttype_column IS NULL
                THEN format('ALTER TABLE %s ADD FOREIGN KEY (%I) REFERENCES %s (%I) ON UPDATE CASCADE ON DELETE CASCADE;',
                            c.relation, c.parent_column, parent.relation, parent.name_column)
                ELSE '-- The documents are of several doctypes, so there can be no foreign key. Let the application delete the rows with their documents.'
           END
      FROM docperm.doctypes      AS c
      JOIN pg_catalog.pg_class   AS r ON r.oid = c.relation
      LEFT JOIN docperm.doctypes AS parent ON parent.name = c.parent_doctype
     WHERE c.parent_column IS NOT NULL
       AND NOT docperm._is_bound_to_parent(c.name);
END;

COMMENT ON FUNCTION docperm._doctor_child_unbound() IS 'Internal: finding of docperm.doctor(): no foreign key binds the rows of a child table to their documents';


CREATE FUNCTION docperm._count_orphans(doctype text) RETURNS TABLE (orphans bigint, example text)
    LANGUAGE c STABLE STRICT COST 100000 ROWS 1
AS 'MODULE_PATHNAME', 'docperm_count_orphans_wrapper';

COMMENT ON FUNCTION docperm._count_orphans(text) IS
    'Internal: how many rows of a child table belong to no document, and the name that one of them gives';


CREATE FUNCTION docperm._doctor_orphaned_rows() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT c.relation::text,
           format('%s rows belong to no document, such as those of "%s". Nobody sees them, and no document can get that name while refuse_orphans is on.',
                  o.orphans, o.example),
           CASE WHEN c.parenttype_column IS NULL
                THEN format('DELETE FROM %s AS c WHERE c.%I IS NOT NULL AND NOT EXISTS (SELECT FROM %s AS p WHERE p.%I::text = c.%I::text);',
                            c.relation, c.parent_column, parent.relation, parent.name_column, c.parent_column)
                ELSE format('-- Look at them, and delete them: SELECT * FROM %s WHERE %I = %L;', c.relation, c.parent_column, o.example)
           END
      FROM docperm.doctypes      AS c
      JOIN pg_catalog.pg_class   AS r ON r.oid = c.relation
      LEFT JOIN docperm.doctypes AS parent ON parent.name = c.parent_doctype
     CROSS JOIN LATERAL docperm._count_orphans(CASE WHEN NOT docperm._is_bound_to_parent(c.name) THEN c.name END) AS o
     WHERE c.parent_column IS NOT NULL
       AND o.orphans > 0;
END;

COMMENT ON FUNCTION docperm._doctor_orphaned_rows() IS 'Internal: finding of docperm.doctor(): rows of a child table belong to no document';


CREATE FUNCTION docperm._doctor_levels_mixed() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT e.object,
           format('It is made of %s: by what fails, whoever may write the one column learns of the other, and a cast that fails quotes it.',
                  string_agg(format('%s (level %s)', l.column_name, l.permlevel), ', ' ORDER BY l.permlevel, l.column_name)),
           format('-- Make it of columns of one level, or give them one: SELECT docperm.set_field(%L, ..., permlevel => %s); '
                  'It is right as it is where everybody who writes the one may know the other.', t.doctype, max(l.permlevel))
      FROM docperm._protected_tables() AS t
     CROSS JOIN LATERAL (
               SELECT format('constraint %I on %s', k.conname, t.relation), k.conkey
                 FROM pg_catalog.pg_constraint AS k
                WHERE k.conrelid    = t.relation
                  AND k.contype     = 'c'
                  AND k.coninhcount = 0
                UNION ALL
               -- Others do not fail.
               SELECT format('index %s', i.indexrelid::regclass),
                      i.indkey::smallint[] || ARRAY(SELECT d.refobjsubid::smallint
                                                      FROM pg_catalog.pg_depend AS d
                                                     WHERE d.classid    = 'pg_catalog.pg_class'::regclass
                                                       AND d.objid      = i.indexrelid
                                                       AND d.refclassid = 'pg_catalog.pg_class'::regclass
                                                       AND d.refobjid   = i.indrelid)
                 FROM pg_catalog.pg_index AS i
                WHERE i.indrelid = t.relation
                  AND (i.indisunique OR i.indisexclusion OR i.indexprs IS NOT NULL)
                  AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = i.indexrelid)
                UNION ALL
               SELECT format('column %I of %s', a.attname, t.relation),
                      ARRAY(SELECT d.refobjsubid::smallint
                              FROM pg_catalog.pg_depend AS d
                             WHERE d.refclassid   = 'pg_catalog.pg_class'::regclass
                               AND d.refobjid     = a.attrelid
                               AND d.refobjsubid <> a.attnum
                               -- The one before PostgreSQL 15, the other since.
                               AND (   (d.classid, d.objid, d.objsubid) = ('pg_catalog.pg_class'::regclass,   a.attrelid, a.attnum)
                                    OR (d.classid, d.objid)             = ('pg_catalog.pg_attrdef'::regclass, x.oid)))
                 FROM pg_catalog.pg_attribute AS a
                 JOIN pg_catalog.pg_attrdef   AS x ON x.adrelid = a.attrelid AND x.adnum = a.attnum
                WHERE a.attrelid      = t.relation
                  AND a.attgenerated <> ''
                  AND a.attinhcount   = 0
           ) AS e (object, numbers)
     CROSS JOIN LATERAL (SELECT a.attname, coalesce(f.permlevel, 0)
                           FROM pg_catalog.pg_attribute     AS a
                           LEFT JOIN docperm.doctype_fields AS f ON f.doctype = t.doctype AND f.column_name = a.attname
                          WHERE a.attrelid = t.relation
                            AND a.attnum   = ANY (e.numbers)) AS l (column_name, permlevel)
     GROUP BY t.doctype, e.object
    HAVING count(DISTINCT l.permlevel) > 1;
END;

COMMENT ON FUNCTION docperm._doctor_levels_mixed() IS 'Internal: finding of docperm.doctor(): an expression or a unique index is made of columns of different permission levels';


REVOKE ALL ON FUNCTION docperm._count_orphans(text)      FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._is_bound_to_parent(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._registered_columns()     FROM PUBLIC;
