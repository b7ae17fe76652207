-- Findings about ways around row-level security: roles, views, functions, privileges, replication.

-- Roles ----------------------------------------------------------------------------------------

CREATE FUNCTION docperm._doctor_superuser_login() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.oid::regrole::text,
           'A superuser who can log in: nothing is filtered for this role. Nothing that people work with should connect with it.',
           format('ALTER ROLE %s NOSUPERUSER;', r.oid::regrole)
      FROM pg_catalog.pg_roles AS r
     WHERE r.rolsuper
       AND r.rolcanlogin
       -- The one that initdb made.
       AND r.oid <> 10;
END;

COMMENT ON FUNCTION docperm._doctor_superuser_login() IS 'Internal: finding of docperm.doctor(): a superuser can log in';


CREATE FUNCTION docperm._doctor_bypassrls_role() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.oid::regrole::text,
           'It has BYPASSRLS: nothing is filtered for it, nor for who may SET ROLE to it.',
           format('ALTER ROLE %s NOBYPASSRLS;', r.oid::regrole)
      FROM pg_catalog.pg_roles AS r
     WHERE r.rolbypassrls
       AND NOT r.rolsuper
       AND (r.rolcanlogin OR EXISTS (SELECT FROM pg_catalog.pg_auth_members AS m WHERE m.roleid = r.oid));
END;

COMMENT ON FUNCTION docperm._doctor_bypassrls_role() IS 'Internal: finding of docperm.doctor(): a role with BYPASSRLS can be had';


CREATE FUNCTION docperm._doctor_server_files_role() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.oid::regrole::text,
           format('A member of %s: it reads the files of the server, where all rows are, and the keys of second factors.', g.rolname),
           docperm._leave_statements(r.oid, g.oid)
      FROM pg_catalog.pg_roles AS r
      JOIN pg_catalog.pg_roles AS g ON g.rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')
     WHERE r.rolcanlogin
       AND NOT r.rolsuper
       AND pg_has_role(r.oid, g.oid, 'MEMBER');
END;

COMMENT ON FUNCTION docperm._doctor_server_files_role() IS 'Internal: finding of docperm.doctor(): a login role may read or write files of the server';


CREATE FUNCTION docperm._doctor_replication_role() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.oid::regrole::text,
           'It has REPLICATION: it can take a copy of all rows. Right for a standby, wrong for anything that people work with.',
           format('ALTER ROLE %s NOREPLICATION;', r.oid::regrole)
      FROM pg_catalog.pg_roles AS r
     WHERE r.rolreplication
       AND r.rolcanlogin
       AND NOT r.rolsuper;
END;

COMMENT ON FUNCTION docperm._doctor_replication_role() IS 'Internal: finding of docperm.doctor(): a login role may take a copy of the whole cluster';


CREATE FUNCTION docperm._doctor_application_role_bypasses() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT a.role::regrole::text,
           format('It %s, and is not filtered: it %s.', a.why,
                  CASE WHEN r.rolsuper     THEN 'is a superuser'
                       WHEN r.rolbypassrls THEN 'has BYPASSRLS'
                       ELSE format('may SET ROLE to %s', string_agg(t.oid::regrole::text, ', ')) END),
           CASE WHEN r.oid = 10
                THEN format('UPDATE docperm.users SET db_role = NULL WHERE db_role = %L;', r.rolname)
                WHEN r.rolsuper OR r.rolbypassrls
                THEN format('ALTER ROLE %s NOSUPERUSER NOBYPASSRLS;', a.role::regrole)
                ELSE string_agg(docperm._leave_statements(a.role, t.oid), ' ')
           END
      FROM docperm._application_roles() AS a
      JOIN pg_catalog.pg_roles          AS r ON r.oid = a.role
      LEFT JOIN pg_catalog.pg_roles     AS t ON (t.rolsuper OR t.rolbypassrls)
                                            AND NOT r.rolsuper
                                            AND t.oid <> r.oid
                                            AND pg_has_role(r.oid, t.oid, 'MEMBER')
     WHERE r.rolsuper OR r.rolbypassrls OR t.oid IS NOT NULL
     GROUP BY a.role, a.why, r.oid, r.rolname, r.rolsuper, r.rolbypassrls;
END;

COMMENT ON FUNCTION docperm._doctor_application_role_bypasses() IS 'Internal: finding of docperm.doctor(): a role that users or applications come in by passes row-level security';


CREATE FUNCTION docperm._doctor_application_role_owns() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT a.role::regrole::text,
           format('It %s, and has the privileges of the owner of %s: whoever comes in by it can switch row-level security off.',
                  a.why, docperm._listed(array_agg(t.relation::text ORDER BY t.relation::text), 5)),
           CASE WHEN a.role = c.relowner
                THEN '-- Give the tables to a role that nobody works with: '
                  || string_agg(format('ALTER TABLE %s OWNER TO ...;', t.relation), ' ' ORDER BY t.relation::text)
                ELSE docperm._leave_statements(a.role, c.relowner)
           END
      FROM docperm._application_roles() AS a
      JOIN pg_catalog.pg_roles          AS r ON r.oid = a.role
     CROSS JOIN docperm._protected_tables() AS t
      JOIN pg_catalog.pg_class          AS c ON c.oid = t.relation
     WHERE NOT r.rolsuper
       AND NOT docperm._is_superuser(c.relowner)
       AND pg_has_role(a.role, c.relowner, 'MEMBER')
     GROUP BY a.role, a.why, c.relowner;
END;

COMMENT ON FUNCTION docperm._doctor_application_role_owns() IS 'Internal: finding of docperm.doctor(): a role that users or applications come in by owns protected tables';


CREATE FUNCTION docperm._doctor_mapped_role_missing() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('user %L', u.name),
           format('There is no database role "%s". Should one of that name be made, it would act as this user.', u.db_role),
           format('UPDATE docperm.users SET db_role = NULL WHERE name = %L;', u.name)
      FROM docperm.users AS u
     WHERE u.db_role IS NOT NULL
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = u.db_role);
END;

COMMENT ON FUNCTION docperm._doctor_mapped_role_missing() IS 'Internal: finding of docperm.doctor(): a user is mapped to a database role that does not exist';


CREATE FUNCTION docperm._doctor_mapped_role_becomes_anybody() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.oid::regrole::text,
           format('It acts as user "%s", and may call docperm.set_user(): whoever connects with it can become anybody.', u.name),
           string_agg(CASE WHEN a.grantee = r.oid
                           THEN docperm._revoke_statement('EXECUTE', 'FUNCTION docperm.set_user(text, boolean)', a.grantee, a.grantor, p.proowner)
                           ELSE docperm._leave_statements(r.oid, a.grantee) END, ' ')
      FROM docperm.users       AS u
      JOIN pg_catalog.pg_roles AS r ON r.rolname = u.db_role
      JOIN pg_catalog.pg_proc  AS p ON p.oid = 'docperm.set_user(text, boolean)'::regprocedure
     CROSS JOIN LATERAL aclexplode(p.proacl) AS a
     WHERE NOT r.rolsuper
       AND a.grantee <> 0
       AND a.privilege_type = 'EXECUTE'
       AND pg_has_role(r.oid, a.grantee, 'MEMBER')
     GROUP BY u.name, r.oid;
END;

COMMENT ON FUNCTION docperm._doctor_mapped_role_becomes_anybody() IS 'Internal: finding of docperm.doctor(): a role that acts as a user may call docperm.set_user()';


-- Views, rules, functions ------------------------------------------------------------------------

-- Rules, those that make views included, that refer to protected tables.
CREATE FUNCTION docperm._rules_on_protected() RETURNS TABLE (rule oid, rule_name name, relation oid, protected regclass)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT DISTINCT r.oid, r.rulename, r.ev_class, t.relation
      FROM docperm._protected_tables() AS t
      JOIN pg_catalog.pg_depend        AS d ON d.refclassid = 'pg_catalog.pg_class'::regclass
                                           AND d.refobjid   = t.relation
                                           AND d.classid    = 'pg_catalog.pg_rewrite'::regclass
      JOIN pg_catalog.pg_rewrite       AS r ON r.oid = d.objid
     WHERE r.ev_class <> t.relation
       AND NOT docperm._is_of_docperm('pg_catalog.pg_class', r.ev_class);
END;

COMMENT ON FUNCTION docperm._rules_on_protected() IS 'Internal: views and rewrite rules that refer to protected tables';


CREATE FUNCTION docperm._asks_as_invoker(options text[]) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(bool_or(o.option_value::boolean), false)
      FROM pg_options_to_table(options) AS o
     WHERE o.option_name = 'security_invoker';
END;

COMMENT ON FUNCTION docperm._asks_as_invoker(text[]) IS 'Internal: whether a view with these options asks with the rights of its reader';


CREATE FUNCTION docperm._doctor_view_unfiltered() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT c.oid::regclass::text,
           format('It reads %s with the rights of its owner %s, who is not filtered: it shows all documents.',
                  string_agg(DISTINCT r.protected::text, ', '), c.relowner::regrole),
           format('ALTER VIEW %s SET (security_invoker = true);', c.oid::regclass)
      FROM docperm._rules_on_protected() AS r
      JOIN pg_catalog.pg_class           AS c ON c.oid = r.relation
     WHERE c.relkind = 'v'
       AND r.rule_name = '_RETURN'
       AND NOT docperm._asks_as_invoker(c.reloptions)
       -- Readable views filter whoever owns them.
       AND docperm._readable_view_columns(c.oid) IS NULL
       AND docperm._passes_policies(c.relowner, r.protected)
     GROUP BY c.oid, c.relowner;
END;

COMMENT ON FUNCTION docperm._doctor_view_unfiltered() IS 'Internal: finding of docperm.doctor(): a view shows all rows of a protected table';


CREATE FUNCTION docperm._doctor_view_of_owner() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT c.oid::regclass::text,
           format('It reads %s with the privileges of its owner %s. Rows are filtered for who is acting, as long as that owner is filtered.',
                  string_agg(DISTINCT r.protected::text, ', '), c.relowner::regrole),
           format('ALTER VIEW %s SET (security_invoker = true);', c.oid::regclass)
      FROM docperm._rules_on_protected() AS r
      JOIN pg_catalog.pg_class           AS c ON c.oid = r.relation
     WHERE c.relkind = 'v'
       AND r.rule_name = '_RETURN'
       AND NOT docperm._asks_as_invoker(c.reloptions)
       -- Readable views filter whoever owns them.
       AND docperm._readable_view_columns(c.oid) IS NULL
     GROUP BY c.oid, c.relowner
    HAVING NOT bool_or(docperm._passes_policies(c.relowner, r.protected));
END;

COMMENT ON FUNCTION docperm._doctor_view_of_owner() IS 'Internal: finding of docperm.doctor(): a view reads a protected table with its owner''s privileges';


CREATE FUNCTION docperm._doctor_rule_unfiltered() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('%I on %s', r.rule_name, c.oid::regclass),
           format('A rewrite rule that touches %s with the rights of the owner %s, who is not filtered.',
                  string_agg(DISTINCT r.protected::text, ', '), c.relowner::regrole),
           format('DROP RULE %I ON %s;', r.rule_name, c.oid::regclass)
      FROM docperm._rules_on_protected() AS r
      JOIN pg_catalog.pg_class           AS c ON c.oid = r.relation
     WHERE r.rule_name <> '_RETURN'
       AND docperm._passes_policies(c.relowner, r.protected)
     GROUP BY r.rule, r.rule_name, c.oid, c.relowner;
END;

COMMENT ON FUNCTION docperm._doctor_rule_unfiltered() IS 'Internal: finding of docperm.doctor(): a rewrite rule reads or writes a protected table past its policies';


CREATE FUNCTION docperm._doctor_materialized_view() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE reading (relation, protected) AS (
        SELECT r.relation, r.protected FROM docperm._rules_on_protected() AS r WHERE r.rule_name = '_RETURN'
        UNION
        SELECT r.ev_class, b.protected
          FROM reading                AS b
          JOIN pg_catalog.pg_depend   AS d ON d.refclassid = 'pg_catalog.pg_class'::regclass
                                          AND d.refobjid   = b.relation
                                          AND d.classid    = 'pg_catalog.pg_rewrite'::regclass
          JOIN pg_catalog.pg_rewrite  AS r ON r.oid = d.objid
         WHERE r.ev_class <> b.relation
           AND r.ev_type  = '1'
    ), readers (relation, grantee) AS (
        SELECT c.oid, a.grantee
          FROM pg_catalog.pg_class AS c
         CROSS JOIN LATERAL (
                   SELECT x.grantee FROM aclexplode(c.relacl) AS x WHERE x.privilege_type = 'SELECT'
                UNION
                   SELECT x.grantee
                     FROM pg_catalog.pg_attribute AS f
                    CROSS JOIN LATERAL aclexplode(f.attacl) AS x
                    WHERE f.attrelid = c.oid
                      AND x.privilege_type = 'SELECT'
               ) AS a
         WHERE c.relkind = 'm'
           AND a.grantee <> c.relowner
           AND NOT docperm._is_superuser(a.grantee)
    )
    SELECT c.oid::regclass::text,
           format('It holds what its owner saw of %s at the last refresh, and shows it to %s.',
                  string_agg(DISTINCT r.protected::text, ', '), string_agg(DISTINCT docperm._grantee_name(s.grantee), ', ')),
           format('REVOKE ALL ON %s FROM %s CASCADE;', c.oid::regclass,
                  string_agg(DISTINCT CASE s.grantee WHEN 0 THEN 'PUBLIC' ELSE s.grantee::regrole::text END, ', '))
      FROM reading             AS r
      JOIN readers             AS s ON s.relation = r.relation
      JOIN pg_catalog.pg_class AS c ON c.oid = r.relation
     GROUP BY c.oid;
END;

COMMENT ON FUNCTION docperm._doctor_materialized_view() IS 'Internal: finding of docperm.doctor(): a materialized view of a protected table can be read';


-- What a function's body reads cannot be told, so it is every one that could.
CREATE FUNCTION docperm._doctor_definer_function() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT p.oid::regprocedure::text,
           format('Everybody may execute it, and it runs with the rights of %s, who is not filtered: all that it tells, it tells unfiltered.', p.proowner::regrole),
           format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC;', p.oid::regprocedure)
      FROM pg_catalog.pg_proc      AS p
      JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
      JOIN pg_catalog.pg_roles     AS o ON o.oid = p.proowner
     WHERE p.prosecdef
       AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'docperm')
       -- Triggers cannot be called.
       AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
       AND (o.rolsuper OR o.rolbypassrls
            OR EXISTS (SELECT FROM docperm._protected_tables() AS t WHERE docperm._passes_policies(o.oid, t.relation)))
       AND EXISTS (SELECT
                     FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
                    WHERE a.grantee = 0
                      AND a.privilege_type = 'EXECUTE')
       AND NOT EXISTS (SELECT
                         FROM pg_catalog.pg_depend AS d
                        WHERE d.classid = 'pg_catalog.pg_proc'::regclass
                          AND d.objid   = p.oid
                          AND d.deptype = 'e');
END;

COMMENT ON FUNCTION docperm._doctor_definer_function() IS 'Internal: finding of docperm.doctor(): everybody may execute a SECURITY DEFINER function of an owner who is not filtered';


-- Copies -------------------------------------------------------------------------------------------

CREATE FUNCTION docperm._doctor_publication() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('publication %I', p.pubname),
           format('It publishes all rows of %s. A subscriber filters only if it has docperm and its tables as well.',
                  docperm._listed(array_agg(DISTINCT t.relation::text ORDER BY t.relation::text), 5)),
           CASE WHEN bool_and(named.relation IS NOT NULL)
                THEN format('ALTER PUBLICATION %I DROP TABLE %s;', p.pubname, string_agg(DISTINCT named.relation::text, ', '))
                ELSE format('-- If the subscriber shall not have them, name the tables that it shall have: ALTER PUBLICATION %I SET TABLE ...;', p.pubname)
           END
      FROM pg_catalog.pg_publication_tables AS p
      JOIN pg_catalog.pg_namespace          AS n ON n.nspname = p.schemaname
      JOIN pg_catalog.pg_class              AS c ON c.relnamespace = n.oid AND c.relname = p.tablename
      JOIN docperm._protected_tables()      AS t ON t.relation = c.oid
      -- It, or what it is a partition of, may have been named; or all tables are published.
      LEFT JOIN LATERAL (SELECT r.prrelid::regclass
                           FROM pg_catalog.pg_publication_rel AS r
                           JOIN pg_catalog.pg_publication     AS q ON q.oid = r.prpubid
                          WHERE q.pubname = p.pubname
                            AND r.prrelid IN (SELECT docperm._ancestors(t.relation))) AS named (relation) ON true
     GROUP BY p.pubname;
END;

COMMENT ON FUNCTION docperm._doctor_publication() IS 'Internal: finding of docperm.doctor(): a publication holds protected tables';


REVOKE ALL ON FUNCTION docperm._asks_as_invoker(text[]) FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._rules_on_protected()    FROM PUBLIC;
