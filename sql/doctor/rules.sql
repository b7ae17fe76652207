-- Findings about rules and user permissions that say something other than they seem to.

-- Rules that can never apply ---------------------------------------------------------------------

-- Custom rules stand in for a doctype's standard rules.
CREATE FUNCTION docperm._rules_in_force() RETURNS SETOF docperm.role_permissions
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT p.*
      FROM docperm.role_permissions AS p
     WHERE p.custom
        OR NOT EXISTS (SELECT FROM docperm.role_permissions AS c WHERE c.doctype = p.doctype AND c.custom);
END;

COMMENT ON FUNCTION docperm._rules_in_force() IS 'Internal: rules that custom ones do not replace';


CREATE FUNCTION docperm._doctor_rule_replaced() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('doctype %L', p.doctype),
           format('Its %s standard rules do not count, because it has custom ones.', count(*)),
           format('-- If the standard rules shall count again, this deletes the custom ones: SELECT docperm.reset(%L);', p.doctype)
      FROM docperm.role_permissions AS p
     WHERE NOT p.custom
       AND EXISTS (SELECT FROM docperm.role_permissions AS c WHERE c.doctype = p.doctype AND c.custom)
     GROUP BY p.doctype;
END;

COMMENT ON FUNCTION docperm._doctor_rule_replaced() IS 'Internal: finding of docperm.doctor(): custom rules replace standard ones';


CREATE FUNCTION docperm._doctor_rule_of_child_table() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('doctype %L', d.name),
           'A child table with rules for its documents: its rows follow the document that they belong to, and no rule of its own counts.',
           format('DELETE FROM docperm.role_permissions WHERE doctype = %L;', d.name)
      FROM docperm.doctypes AS d
     WHERE d.parent_column IS NOT NULL
       AND EXISTS (SELECT FROM docperm.role_permissions AS p WHERE p.doctype = d.name);
END;

COMMENT ON FUNCTION docperm._doctor_rule_of_child_table() IS 'Internal: finding of docperm.doctor(): there are rules for a child table';


CREATE FUNCTION docperm._doctor_if_owner_without_owner() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('doctype %L', d.name),
           format('Rules of %s are about own documents, but the doctype has no owner_column: nobody owns any.',
                  string_agg(DISTINCT format('"%s"', p.role), ', ')),
           CASE WHEN t.typcategory = 'S'
                THEN format('SELECT docperm.protect(%L, %L, owner_column => %L, force => %s);', d.relation, d.name, a.attname, c.relforcerowsecurity::text)
                ELSE format('-- Name the column that holds the owner: SELECT docperm.protect(%L, %L, owner_column => ...);', d.relation, d.name)
           END
      FROM docperm.doctypes               AS d
      JOIN pg_catalog.pg_class            AS c ON c.oid = d.relation
      JOIN docperm._rules_in_force()      AS p ON p.doctype = d.name
      LEFT JOIN pg_catalog.pg_attribute   AS a ON a.attrelid = c.oid AND a.attname = 'owner' AND NOT a.attisdropped
      LEFT JOIN pg_catalog.pg_type        AS t ON t.oid = a.atttypid
     WHERE p.if_owner
       AND d.owner_column  IS NULL
       AND d.parent_column IS NULL
     GROUP BY d.name, d.relation, a.attname, t.typcategory, c.relforcerowsecurity;
END;

COMMENT ON FUNCTION docperm._doctor_if_owner_without_owner() IS 'Internal: finding of docperm.doctor(): rules for owners on a doctype without an owner column';


CREATE FUNCTION docperm._doctor_role_disabled() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('role %L', r.name),
           format('It is disabled, but %s rules name it and %s users hold it: for docperm, nobody does.',
                  (SELECT count(*) FROM docperm._rules_in_force() AS p WHERE p.role = r.name),
                  (SELECT count(*) FROM docperm.user_roles        AS h WHERE h.role = r.name)),
           format('-- If it shall count: UPDATE docperm.roles SET disabled = false WHERE name = %L;', r.name)
      FROM docperm.roles AS r
     WHERE r.disabled
       AND (EXISTS (SELECT FROM docperm._rules_in_force() AS p WHERE p.role = r.name)
            OR EXISTS (SELECT FROM docperm.user_roles     AS h WHERE h.role = r.name));
END;

COMMENT ON FUNCTION docperm._doctor_role_disabled() IS 'Internal: finding of docperm.doctor(): a disabled role is named by rules or held by users';


CREATE FUNCTION docperm._doctor_role_without_holders() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('role %L', r.name),
           format('No enabled user holds it, so its rules apply to nobody: %s.',
                  docperm._listed(array_agg(DISTINCT format('"%s"', p.doctype) ORDER BY format('"%s"', p.doctype)), 5)),
           format('-- If somebody shall: INSERT INTO docperm.user_roles (user_name, role) VALUES (..., %L);', r.name)
      FROM docperm.roles             AS r
      JOIN docperm._rules_in_force() AS p ON p.role = r.name
     WHERE NOT r.disabled
       AND r.name NOT IN ('Administrator', 'All', 'Desk User', 'Guest')
       AND NOT p.shipped
       AND NOT EXISTS (SELECT
                         FROM docperm.user_roles AS h
                         JOIN docperm.users      AS u ON u.name = h.user_name
                        WHERE h.role = r.name
                          AND u.enabled)
     GROUP BY r.name;
END;

COMMENT ON FUNCTION docperm._doctor_role_without_holders() IS 'Internal: finding of docperm.doctor(): rules of a role that nobody holds';


CREATE FUNCTION docperm._doctor_doctype_without_rules() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('doctype %L', d.name),
           'No rule says who may do anything: only the Administrator sees its documents, and those with whom single ones are shared.',
           format('-- For instance: INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES (%L, ..., ''{read}'');', d.name)
      FROM docperm.doctypes    AS d
      JOIN pg_catalog.pg_class AS c ON c.oid = d.relation
     WHERE d.parent_column IS NULL
       AND NOT EXISTS (SELECT FROM docperm.role_permissions AS p WHERE p.doctype = d.name AND p.permlevel = 0);
END;

COMMENT ON FUNCTION docperm._doctor_doctype_without_rules() IS 'Internal: finding of docperm.doctor(): a protected doctype without rules';


-- User permissions ---------------------------------------------------------------------------------

CREATE FUNCTION docperm._doctor_user_permission_idle() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('user %L', u.user_name),
           format('%s user permissions for documents of "%s"%s restrict nothing: %s.', count(*), u.allow,
                  CASE WHEN u.applicable_for IS NULL THEN '' ELSE format(', applicable for "%s",', u.applicable_for) END,
                  CASE WHEN u.applicable_for IS NULL THEN 'that doctype has no table, and no doctype links to it'
                       ELSE 'that doctype has no link to it' END),
           format('DELETE FROM docperm.user_permissions WHERE user_name = %L AND allow = %L AND applicable_for IS NOT DISTINCT FROM %L;',
                  u.user_name, u.allow, u.applicable_for)
      FROM docperm.user_permissions AS u
     -- A document restricts itself; its links, and those in its child rows, restrict it.
     WHERE NOT EXISTS (SELECT
                         FROM docperm.doctypes            AS d
                         LEFT JOIN docperm.doctype_fields AS f ON f.link_to = u.allow AND NOT f.ignore_user_permissions
                         LEFT JOIN docperm.doctypes       AS s ON s.name = f.doctype
                        WHERE d.name = coalesce(u.applicable_for, d.name)
                          AND d.relation IS NOT NULL
                          AND (d.name = u.allow
                               OR f.doctype = d.name
                               OR s.parent_doctype = d.name
                               OR s.parenttype_column IS NOT NULL))
     GROUP BY u.user_name, u.allow, u.applicable_for;
END;

COMMENT ON FUNCTION docperm._doctor_user_permission_idle() IS 'Internal: finding of docperm.doctor(): user permissions that restrict nothing';


-- An entry for a document that is not there still restricts, to nothing. Without it the user
-- would see all, so what is left decides whether it may go.
CREATE FUNCTION docperm._doctor_user_permission_unknown_document() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH known AS MATERIALIZED (
        SELECT v.allow, v.for_value, docperm._document_exists(v.allow, v.for_value) AS exists
          FROM (SELECT DISTINCT u.allow, u.for_value
                  FROM docperm.user_permissions AS u
                  JOIN docperm.doctypes         AS d ON d.name = u.allow
                  JOIN pg_catalog.pg_class      AS c ON c.oid  = d.relation
                 WHERE docperm._existing_column(d.relation, d.name_column) IS NOT NULL) AS v
    )
    SELECT format('user %L', u.user_name),
           format('%s of his %s user permissions for "%s"%s name no document: %s.',
                  count(*) FILTER (WHERE NOT k.exists), count(*), u.allow,
                  CASE WHEN u.applicable_for IS NULL THEN '' ELSE format(', applicable for "%s",', u.applicable_for) END,
                  docperm._listed(array_agg(format('"%s"', u.for_value) ORDER BY u.for_value) FILTER (WHERE NOT k.exists), 3)),
           CASE WHEN bool_or(k.exists) THEN '' ELSE '-- The user is restricted to nothing; without these he would be restricted no more: ' END
        || format('DELETE FROM docperm.user_permissions WHERE user_name = %L AND allow = %L AND applicable_for IS NOT DISTINCT FROM %L AND for_value = ANY (%L);',
                  u.user_name, u.allow, u.applicable_for, array_agg(u.for_value ORDER BY u.for_value) FILTER (WHERE NOT k.exists))
      FROM docperm.user_permissions AS u
      JOIN known                    AS k ON k.allow = u.allow AND k.for_value = u.for_value
     GROUP BY u.user_name, u.allow, u.applicable_for
    HAVING NOT bool_and(k.exists);
END;

COMMENT ON FUNCTION docperm._doctor_user_permission_unknown_document() IS 'Internal: finding of docperm.doctor(): user permissions for documents that do not exist';


REVOKE ALL ON FUNCTION docperm._rules_in_force() FROM PUBLIC;
