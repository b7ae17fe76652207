-- docperm.doctor() looks a database over. Each finding is a function in one of the files here,
-- docperm._doctor_<id>(), which returns a row for each object that has it: the object, what is
-- wrong with it, and SQL that puts it right. Where only a human can decide, that SQL is a
-- comment. docs/doctor.md lists them.
--
-- The functions read catalogs and docperm's own tables. None of them runs a query on somebody
-- else's table, whose operators, domains and index expressions would run as a superuser here.

-- What more than one of them needs ---------------------------------------------------------

CREATE FUNCTION docperm._protected_tables() RETURNS TABLE (doctype text, root regclass, relation regclass)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT d.name, d.relation, c.oid::regclass
      FROM docperm.doctypes AS d
     CROSS JOIN LATERAL unnest(d.relation || d.partitions) AS t (relation)
      JOIN pg_catalog.pg_class AS c ON c.oid = t.relation
     WHERE d.relation IS NOT NULL
       -- docperm's own come with CREATE EXTENSION, and do not have what others have.
       AND NOT docperm._is_own(d.relation);
END;

COMMENT ON FUNCTION docperm._protected_tables() IS
    'Internal: the tables of doctypes, their partitions and inheritance children included, as far as they exist';


CREATE FUNCTION docperm._protect_statement(doctype text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('SELECT docperm.protect(%L, %L, force => %s);', c.oid::regclass, d.name, c.relforcerowsecurity::text)
      FROM docperm.doctypes    AS d
      JOIN pg_catalog.pg_class AS c ON c.oid = d.relation
     WHERE d.name = _protect_statement.doctype;
END;

COMMENT ON FUNCTION docperm._protect_statement(text) IS
    'Internal: the statement that gives a doctype''s tables anew what they should have, and changes nothing else';


-- A privilege is taken away by who gave it.
CREATE FUNCTION docperm._revoke_statement(privilege text, object text, grantee oid, grantor oid, owner oid) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN CASE WHEN grantor <> owner THEN format('SET ROLE %s; ', grantor::regrole) ELSE '' END
    || format('REVOKE %s ON %s FROM %s CASCADE;', privilege, object,
              CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END)
    || CASE WHEN grantor <> owner THEN ' RESET ROLE;' ELSE '' END;

COMMENT ON FUNCTION docperm._revoke_statement(text, text, oid, oid, oid) IS
    'Internal: the statement that takes a privilege away from a role; 0 for everybody';


CREATE FUNCTION docperm._grantee_name(grantee oid) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN CASE grantee WHEN 0 THEN 'everybody' ELSE format('role %s', grantee::regrole) END;

COMMENT ON FUNCTION docperm._grantee_name(oid) IS 'Internal: whom a privilege is granted to, in words';


CREATE FUNCTION docperm._is_superuser(role oid) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = _is_superuser.role AND r.rolsuper);
END;

COMMENT ON FUNCTION docperm._is_superuser(oid) IS 'Internal: whether the database role is a superuser';


CREATE FUNCTION docperm._passes_policies(role oid, relation oid) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.rolsuper OR r.rolbypassrls
        OR EXISTS (SELECT
                     FROM pg_catalog.pg_class AS c
                    WHERE c.oid = _passes_policies.relation
                      AND NOT c.relforcerowsecurity
                      AND pg_has_role(r.oid, c.relowner, 'USAGE'))
      FROM pg_catalog.pg_roles AS r
     WHERE r.oid = _passes_policies.role;
END;

COMMENT ON FUNCTION docperm._passes_policies(oid, oid) IS
    'Internal: whether row-level security of the table does not hold for the database role';


CREATE FUNCTION docperm._is_of_docperm(catalog regclass, object oid) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT EXISTS (SELECT
                     FROM pg_catalog.pg_depend    AS d
                     JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
                    WHERE d.classid    = _is_of_docperm.catalog
                      AND d.objid      = _is_of_docperm.object
                      AND d.refclassid = 'pg_catalog.pg_extension'::regclass
                      AND d.deptype    = 'e'
                      AND e.extname    = 'docperm');
END;

COMMENT ON FUNCTION docperm._is_of_docperm(regclass, oid) IS 'Internal: whether the object belongs to this extension';


-- Database roles by which people come in without being superusers on purpose: those that act
-- as a user, and those that may say who is acting.
CREATE FUNCTION docperm._application_roles() RETURNS TABLE (role oid, why text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.oid, string_agg(w.why, ' and ' ORDER BY w.why)
      FROM pg_catalog.pg_roles AS r
     CROSS JOIN LATERAL (
               SELECT format('acts as user "%s"', u.name)
                 FROM docperm.users AS u
                WHERE u.db_role = r.rolname
            UNION ALL
               SELECT 'may call docperm.set_user()'
                 FROM pg_catalog.pg_proc AS p
                CROSS JOIN LATERAL aclexplode(p.proacl) AS a
                WHERE p.oid = 'docperm.set_user(text, boolean)'::regprocedure
                  AND a.privilege_type = 'EXECUTE'
                  AND a.grantee = r.oid
                  AND a.grantee <> p.proowner
           ) AS w (why)
     GROUP BY r.oid;
END;

COMMENT ON FUNCTION docperm._application_roles() IS
    'Internal: database roles that act as users or may say who is acting, and which of it';


CREATE FUNCTION docperm._leave_statements(role oid, target oid) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT string_agg(DISTINCT format('REVOKE %s FROM %s;', m.roleid::regrole, m.member::regrole), ' ')
      FROM pg_catalog.pg_auth_members AS m
     WHERE m.member = _leave_statements.role
       AND pg_has_role(m.roleid, _leave_statements.target, 'MEMBER');
END;

COMMENT ON FUNCTION docperm._leave_statements(oid, oid) IS
    'Internal: the statements after which the role is a member of the target no more';


CREATE FUNCTION docperm._listed(names text[], at_most integer) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN array_to_string(names[1:at_most], ', ')
    || CASE WHEN cardinality(names) > at_most THEN format(' and %s more', cardinality(names) - at_most) ELSE '' END;

COMMENT ON FUNCTION docperm._listed(text[], integer) IS 'Internal: the first of the names, and how many more there are';


REVOKE ALL ON FUNCTION docperm._application_roles()                           FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._grantee_name(oid)                             FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._is_of_docperm(regclass, oid)                  FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._is_superuser(oid)                             FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._leave_statements(oid, oid)                    FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._listed(text[], integer)                       FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._passes_policies(oid, oid)                     FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._protect_statement(text)                       FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._protected_tables()                            FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._revoke_statement(text, text, oid, oid, oid)   FROM PUBLIC;
