-- Findings about protected tables: whether they still are what docperm.protect() made them.

-- Row-level security -----------------------------------------------------------------------

CREATE FUNCTION docperm._doctor_row_security_off() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.relation::text,
           format('Row-level security is switched off: whoever has privileges on the table sees all documents of doctype "%s".', t.doctype),
           format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY;', t.relation)
      FROM docperm._protected_tables() AS t
      JOIN pg_catalog.pg_class         AS c ON c.oid = t.relation
     WHERE NOT c.relrowsecurity;
END;

COMMENT ON FUNCTION docperm._doctor_row_security_off() IS 'Internal: finding of docperm.doctor(): row-level security of a protected table is switched off';


CREATE FUNCTION docperm._doctor_owner_bypasses() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.relation::text,
           format('Its owner %s, and whoever has that role''s privileges, is not filtered: protected with force => false, or changed since.', c.relowner::regrole),
           format('ALTER TABLE %s FORCE ROW LEVEL SECURITY;', t.relation)
      FROM docperm._protected_tables() AS t
      JOIN pg_catalog.pg_class         AS c ON c.oid = t.relation
     WHERE NOT c.relforcerowsecurity
       -- A superuser passes either way.
       AND NOT docperm._is_superuser(c.relowner);
END;

COMMENT ON FUNCTION docperm._doctor_owner_bypasses() IS 'Internal: finding of docperm.doctor(): the owner of a protected table is not filtered';


-- Policies -----------------------------------------------------------------------------------

CREATE FUNCTION docperm._expected_policies() RETURNS TABLE (doctype text, relation regclass, name name, command "char", using_text text, check_text text)
    LANGUAGE sql STABLE
    SET search_path                 = pg_catalog, pg_temp
    SET standard_conforming_strings = on
BEGIN ATOMIC
    SELECT t.doctype, t.relation, v.name, v.command,
           CASE WHEN v.has_using THEN e.call END,
           CASE WHEN v.has_check THEN e.call END
      FROM docperm._protected_tables() AS t
      JOIN pg_catalog.pg_class         AS c ON c.oid = t.relation
     CROSS JOIN (VALUES ('docperm_select'::name, 'r'::"char", 'read',   true,  false),
                        ('docperm_insert',       'a',         'create', false, true),
                        ('docperm_update',       'w',         'write',  true,  true),
                        ('docperm_delete',       'd',         'delete', true,  false))
                AS v (name, command, ptype, has_using, has_check)
     -- As pg_get_expr() writes it, which knows no E''.
     CROSS JOIN LATERAL (SELECT format('docperm.permits(%I.*, ''%s''::text, ''%s''::text)',
                                       c.relname, replace(t.doctype, '''', ''''''), v.ptype)) AS e (call);
END;

COMMENT ON FUNCTION docperm._expected_policies() IS 'Internal: the policies that protected tables carry, as pg_get_expr() writes them';


CREATE FUNCTION docperm._doctor_policy_missing() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT e.relation::text,
           format('Policy %s is missing: that command is refused, or left to policies that are not docperm''s.',
                  string_agg(e.name, ', ' ORDER BY e.name)),
           docperm._protect_statement(e.doctype)
      FROM docperm._expected_policies() AS e
     WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_policy AS p WHERE p.polrelid = e.relation AND p.polname = e.name)
     GROUP BY e.doctype, e.relation;
END;

COMMENT ON FUNCTION docperm._doctor_policy_missing() IS 'Internal: finding of docperm.doctor(): a protected table lacks a policy';


CREATE FUNCTION docperm._doctor_policy_changed() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path                 = pg_catalog, pg_temp
    SET standard_conforming_strings = on
BEGIN ATOMIC
    SELECT e.relation::text,
           format('Policy %s is not as docperm made it: its condition, its command or its roles have been changed.',
                  string_agg(e.name, ', ' ORDER BY e.name)),
           docperm._protect_statement(e.doctype)
      FROM docperm._expected_policies() AS e
      JOIN pg_catalog.pg_policy         AS p ON p.polrelid = e.relation AND p.polname = e.name
     WHERE (p.polcmd, p.polpermissive, p.polroles, pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
           IS DISTINCT FROM
           (e.command, true, '{0}'::oid[], e.using_text, e.check_text)
     GROUP BY e.doctype, e.relation;
END;

COMMENT ON FUNCTION docperm._doctor_policy_changed() IS 'Internal: finding of docperm.doctor(): a policy of docperm''s has been altered';


CREATE FUNCTION docperm._doctor_policy_added() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('%I on %s', p.polname, t.relation),
           'A permissive policy beside docperm''s: it opens rows that docperm closes.',
           format('DROP POLICY %I ON %s;', p.polname, t.relation)
      FROM docperm._protected_tables() AS t
      JOIN pg_catalog.pg_policy        AS p ON p.polrelid = t.relation
     WHERE p.polpermissive
       AND p.polname NOT IN ('docperm_select', 'docperm_insert', 'docperm_update', 'docperm_delete');
END;

COMMENT ON FUNCTION docperm._doctor_policy_added() IS 'Internal: finding of docperm.doctor(): a protected table has a permissive policy that is not docperm''s';


-- Triggers -----------------------------------------------------------------------------------

-- What _dress() gives. Row triggers of a partitioned table are inherited, statement triggers
-- are each table's own.
CREATE FUNCTION docperm._expected_triggers() RETURNS TABLE (doctype text, relation regclass, name name)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.doctype, t.relation, v.name
      FROM docperm._protected_tables() AS t
      JOIN docperm.doctypes            AS d ON d.name = t.doctype
      JOIN pg_catalog.pg_class         AS r ON r.oid  = t.root
     CROSS JOIN LATERAL (SELECT EXISTS (SELECT
                                          FROM docperm.doctype_fields AS f
                                         WHERE f.doctype = d.name
                                           AND f.requires_select
                                           AND f.link_to IS NOT NULL)) AS l (are_there)
     CROSS JOIN LATERAL (
               VALUES ('docperm_tree_changed'::name,  coalesce(d.tree_parent_column, d.tree_left_column) IS NOT NULL),
                      ('docperm_tree_truncated',      coalesce(d.tree_parent_column, d.tree_left_column) IS NOT NULL),
                      ('docperm_document_deleted',    d.parent_column IS NULL),
                      ('docperm_document_truncated',  d.parent_column IS NULL),
                      ('docperm_document_renamed',    d.parent_column IS NULL),
                      ('docperm_document_created',    d.parent_column IS NULL
                                                  AND EXISTS (SELECT
                                                                FROM docperm.doctypes AS child
                                                               WHERE child.parent_column IS NOT NULL
                                                                 AND coalesce(child.parent_doctype, d.name) = d.name)),
                      ('docperm_links_set',           l.are_there),
                      ('docperm_links_changed',       l.are_there),
                      ('docperm_links_merged',        l.are_there AND r.relkind = 'p'),
                      ('docperm_history_insert',      docperm._is_tracked(d.name)),
                      ('docperm_history_update',      docperm._is_tracked(d.name)),
                      ('docperm_history_delete',      docperm._is_tracked(d.name)),
                      ('docperm_history_truncate',    docperm._is_tracked(d.name)),
                      ('docperm_history_merge',       docperm._is_tracked(d.name) AND r.relkind = 'p'),
                      ('docperm_fill_defaults',       d.fill_defaults),
                      ('zz_docperm_write_document',   docperm._row_trigger_events(d.name, r.relkind = 'p') IS NOT NULL),
                      ('docperm_keep_constants',      docperm._row_trigger_events(d.name, r.relkind = 'p') = 'INSERT')
           ) AS v (name, is_due)
     WHERE v.is_due;
END;

COMMENT ON FUNCTION docperm._expected_triggers() IS 'Internal: the triggers that protected tables carry';


CREATE FUNCTION docperm._doctor_trigger_missing() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT e.relation::text,
           format('Trigger %s is missing: what docperm keeps beside the documents, such as shares and permitted trees, does not follow them any more.',
                  string_agg(e.name, ', ' ORDER BY e.name)),
           docperm._protect_statement(e.doctype)
      FROM docperm._expected_triggers() AS e
     WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = e.relation AND t.tgname = e.name)
     GROUP BY e.doctype, e.relation;
END;

COMMENT ON FUNCTION docperm._doctor_trigger_missing() IS 'Internal: finding of docperm.doctor(): a protected table lacks a trigger';


CREATE FUNCTION docperm._doctor_trigger_disabled() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.relation::text,
           format('Trigger %s is switched off, or not always on: what docperm keeps beside the documents does not follow them any more, or not on a replica.',
                  string_agg(g.tgname, ', ' ORDER BY g.tgname)),
           docperm._protect_statement(t.doctype)
      FROM docperm._protected_tables() AS t
      JOIN pg_catalog.pg_trigger       AS g ON g.tgrelid = t.relation
      JOIN pg_catalog.pg_proc          AS p ON p.oid     = g.tgfoid
     WHERE p.pronamespace = 'docperm'::regnamespace
       AND NOT docperm._is_of_docperm('pg_catalog.pg_class', t.relation)
       AND (g.tgenabled IN ('D', 'R')
            OR g.tgenabled = 'O' AND p.proname IN ('_tree_changed', '_documents_created', '_documents_deleted', '_documents_renamed'))
     GROUP BY t.doctype, t.relation;
END;

COMMENT ON FUNCTION docperm._doctor_trigger_disabled() IS 'Internal: finding of docperm.doctor(): a trigger of a protected table is switched off';


-- Partitions and inheritance -----------------------------------------------------------------

CREATE FUNCTION docperm._doctor_partition_unprotected() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT p.relation::text,
           format('A part of %s that docperm does not cover: whoever has privileges on it reads documents of doctype "%s" directly.',
                  d.relation, d.name),
           CASE WHEN c.relkind IN ('r', 'p')
                THEN docperm._protect_statement(d.name)
                ELSE format('-- Row-level security cannot cover a foreign table. Move its rows into a table of this database, then: ')
                  || CASE WHEN c.relispartition THEN format('ALTER TABLE %s DETACH PARTITION %s;', d.relation, p.relation)
                                                ELSE format('ALTER FOREIGN TABLE %s NO INHERIT %s;', p.relation, d.relation) END
           END
      FROM docperm.doctypes AS d
     CROSS JOIN LATERAL docperm._descendants(d.relation) AS p (relation)
      JOIN pg_catalog.pg_class AS c ON c.oid = p.relation
     WHERE NOT EXISTS (SELECT FROM docperm.doctypes AS o WHERE p.relation = ANY (o.partitions));
END;

COMMENT ON FUNCTION docperm._doctor_partition_unprotected() IS 'Internal: finding of docperm.doctor(): a partition or inheritance child of a protected table is not covered';


CREATE FUNCTION docperm._doctor_parent_unprotected() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.relation::text,
           format('It is a part of %s, which is not protected: whoever reads that reads documents of doctype "%s" past their policies.',
                  parent.relation, t.doctype),
           CASE WHEN c.relispartition THEN format('ALTER TABLE %s DETACH PARTITION %s;', parent.relation, t.relation)
                                      ELSE format('ALTER TABLE %s NO INHERIT %s;', t.relation, parent.relation) END
      FROM docperm._protected_tables() AS t
      JOIN pg_catalog.pg_class         AS c ON c.oid = t.relation
      JOIN pg_catalog.pg_inherits      AS i ON i.inhrelid = t.relation
     CROSS JOIN LATERAL (SELECT i.inhparent::regclass) AS parent (relation)
     WHERE NOT EXISTS (SELECT FROM docperm._protected_tables() AS o WHERE o.relation = parent.relation);
END;

COMMENT ON FUNCTION docperm._doctor_parent_unprotected() IS 'Internal: finding of docperm.doctor(): a protected table is a part of one that is not';


-- Privileges that policies do not filter -----------------------------------------------------

CREATE FUNCTION docperm._unfiltered_grants(privilege text) RETURNS TABLE (object text, grantee oid, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT t.relation::text, a.grantee,
           string_agg(DISTINCT docperm._revoke_statement(a.privilege, t.relation::text, a.grantee, a.grantor, c.relowner), ' ')
      FROM docperm._protected_tables() AS t
      JOIN pg_catalog.pg_class         AS c ON c.oid = t.relation
     CROSS JOIN LATERAL (
               SELECT x.grantee, x.grantor, x.privilege_type, x.privilege_type
                 FROM aclexplode(c.relacl) AS x
            UNION ALL
               SELECT x.grantee, x.grantor, x.privilege_type, format('%s (%I)', x.privilege_type, f.attname)
                 FROM pg_catalog.pg_attribute AS f
                CROSS JOIN LATERAL aclexplode(f.attacl) AS x
                WHERE f.attrelid = c.oid
                  AND NOT f.attisdropped
           ) AS a (grantee, grantor, kind, privilege)
     WHERE a.kind = _unfiltered_grants.privilege
       AND a.grantee <> c.relowner
       AND NOT docperm._is_superuser(a.grantee)
     GROUP BY t.relation, a.grantee;
END;

COMMENT ON FUNCTION docperm._unfiltered_grants(text) IS
    'Internal: who but owners and superusers has a privilege on protected tables, on a column counts as well';


CREATE FUNCTION docperm._doctor_truncate_granted() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT g.object,
           format('TRUNCATE is granted to %s: it deletes all documents, hidden ones as well, and no policy is asked.', docperm._grantee_name(g.grantee)),
           g.remedy
      FROM docperm._unfiltered_grants('TRUNCATE') AS g;
END;

COMMENT ON FUNCTION docperm._doctor_truncate_granted() IS 'Internal: finding of docperm.doctor(): TRUNCATE on a protected table is granted';


CREATE FUNCTION docperm._doctor_references_granted() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT g.object,
           format('REFERENCES is granted to %s: a foreign key to the table tells which documents exist, hidden ones as well.', docperm._grantee_name(g.grantee)),
           g.remedy
      FROM docperm._unfiltered_grants('REFERENCES') AS g;
END;

COMMENT ON FUNCTION docperm._doctor_references_granted() IS 'Internal: finding of docperm.doctor(): REFERENCES on a protected table is granted';


CREATE FUNCTION docperm._doctor_trigger_granted() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT g.object,
           format('TRIGGER is granted to %s: a trigger of theirs runs with the privileges of whoever writes, and sees what that one writes.', docperm._grantee_name(g.grantee)),
           g.remedy
      FROM docperm._unfiltered_grants('TRIGGER') AS g;
END;

COMMENT ON FUNCTION docperm._doctor_trigger_granted() IS 'Internal: finding of docperm.doctor(): TRIGGER on a protected table is granted';


-- Beside protected tables ----------------------------------------------------------------------

CREATE FUNCTION docperm._doctor_table_unprotected() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.relation::text,
           format('Not protected, though its foreign key refers to documents of doctype "%s": who may read it learns of documents that are closed to him.',
                  string_agg(DISTINCT t.doctype, '", "' ORDER BY t.doctype)),
           CASE WHEN docperm._primary_key_column(s.relation) IS NOT NULL AND NOT s.is_taken
                THEN format('SELECT docperm.protect(%L, %L);', s.relation, s.doctype)
                ELSE format('-- As the rows of its documents, or with the column that names its rows: '
                            'SELECT docperm.protect(%L, ..., parent_doctype => %L, parent_column => ...);', s.relation, min(t.doctype))
           END
      FROM pg_catalog.pg_constraint    AS k
      JOIN pg_catalog.pg_class         AS c ON c.oid = k.conrelid
      JOIN docperm._protected_tables() AS t ON t.relation = k.confrelid
     CROSS JOIN LATERAL (SELECT c.oid::regclass, initcap(replace(c.relname, '_', ' ')),
                                EXISTS (SELECT FROM docperm.doctypes AS d WHERE d.name = initcap(replace(c.relname, '_', ' '))))
                AS s (relation, doctype, is_taken)
     WHERE k.contype     = 'f'
       AND k.conparentid = 0
       AND c.relpersistence <> 't'
       AND NOT c.relispartition
       AND c.relnamespace <> 'docperm'::regnamespace
       AND NOT EXISTS (SELECT FROM docperm._protected_tables() AS o WHERE o.relation = c.oid)
     GROUP BY s.relation, s.doctype, s.is_taken;
END;

COMMENT ON FUNCTION docperm._doctor_table_unprotected() IS 'Internal: finding of docperm.doctor(): a table that refers to a protected one is not protected';


-- Indexes --------------------------------------------------------------------------------------

-- Small tables are read as a whole anyway.
CREATE FUNCTION docperm._doctor_index_missing() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('%s (%I)', d.relation, a.attname),
           format('No index begins with this column, by which rows of the table are filtered: %s.', string_agg(DISTINCT k.purpose, ', ')),
           format('CREATE INDEX ON %s (%I);', d.relation, a.attname)
      FROM docperm.doctypes AS d
     CROSS JOIN LATERAL (
               SELECT f.column_name, format('it links to "%s"', f.link_to)
                 FROM docperm.doctype_fields AS f
                WHERE f.doctype = d.name
                  AND f.link_to IS NOT NULL
                  AND NOT f.ignore_user_permissions
            UNION ALL
               SELECT d.owner_column, 'it holds the owner, whom rules with if_owner ask for'
                WHERE EXISTS (SELECT FROM docperm.role_permissions AS p WHERE p.doctype = d.name AND p.if_owner)
            UNION ALL
               SELECT d.parent_column, 'it holds the document that the row belongs to'
           ) AS k (column_name, purpose)
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.relation
                                       AND a.attname  = k.column_name
                                       AND a.attnum   > 0
                                       AND NOT a.attisdropped
     WHERE 10000 <= (SELECT sum(c.reltuples)
                       FROM docperm._protected_tables() AS t
                       JOIN pg_catalog.pg_class         AS c ON c.oid = t.relation
                      WHERE t.doctype = d.name
                        AND c.relkind = 'r')
       AND NOT EXISTS (SELECT
                         FROM pg_catalog.pg_index AS i
                         JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
                         JOIN pg_catalog.pg_am    AS m ON m.oid = x.relam
                        WHERE i.indrelid  = d.relation
                          AND i.indkey[0] = a.attnum
                          AND i.indisvalid
                          AND i.indpred IS NULL
                          AND m.amname IN ('btree', 'hash'))
     GROUP BY d.relation, a.attname;
END;

COMMENT ON FUNCTION docperm._doctor_index_missing() IS 'Internal: finding of docperm.doctor(): a large protected table has no index on a column by which it is filtered';


CREATE FUNCTION docperm._doctor_filter_not_leakproof() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT x.oid::regclass::text,
           format('For users who are restricted, the index serves none of these: %s of %s. Their functions are not leakproof, so the permission is tested first.',
                  string_agg(DISTINCT o.oprname, ' ' ORDER BY o.oprname), pg_get_indexdef(i.indexrelid, k.place, true)),
           format('-- Nothing is wrong. Index %s is of use to those whom nothing restricts; let the others filter by a column that is compared with =, < or >.',
                  x.oid::regclass)
      FROM docperm.doctypes        AS d
      JOIN pg_catalog.pg_index     AS i ON i.indrelid = d.relation
      JOIN pg_catalog.pg_class     AS x ON x.oid = i.indexrelid
      JOIN pg_catalog.pg_am        AS m ON m.oid = x.relam
     CROSS JOIN LATERAL (SELECT c.opclass, c.place::integer
                           FROM unnest(i.indclass::oid[]) WITH ORDINALITY AS c (opclass, place)) AS k
      JOIN pg_catalog.pg_opclass   AS l ON l.oid = k.opclass
      JOIN pg_catalog.pg_amop      AS a ON a.amopfamily  = l.opcfamily
                                       AND a.amoppurpose = 's'
                                       AND a.amoplefttype = l.opcintype
                                       AND (m.amname NOT IN ('btree', 'hash') OR a.amoprighttype = l.opcintype)
      JOIN pg_catalog.pg_operator  AS o ON o.oid = a.amopopr
      JOIN pg_catalog.pg_proc      AS p ON p.oid = o.oprcode
     WHERE NOT p.proleakproof
       AND NOT docperm._is_of_docperm('pg_catalog.pg_class', d.relation)
       -- docperm has functions of its own for these, see leakproof.sql.
       AND p.proname NOT IN ('numeric_eq', 'numeric_lt', 'numeric_le', 'numeric_gt', 'numeric_ge', 'enum_eq')
     GROUP BY x.oid, i.indexrelid, k.place;
END;

COMMENT ON FUNCTION docperm._doctor_filter_not_leakproof() IS 'Internal: finding of docperm.doctor(): an index of a protected table does not serve users who are restricted';


REVOKE ALL ON FUNCTION docperm._expected_policies()     FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._expected_triggers()     FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._unfiltered_grants(text) FROM PUBLIC;
