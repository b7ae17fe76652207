-- Findings about docperm itself: its own objects, and who may do what with them.

CREATE FUNCTION docperm._doctor_library_version() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'extension docperm',
           format('The library is version %s, the extension in this database version %s: they were not made for each other.', docperm.version(), e.extversion),
           format('ALTER EXTENSION docperm UPDATE TO %L;', docperm.version())
      FROM pg_catalog.pg_extension AS e
     WHERE e.extname = 'docperm'
       AND e.extversion <> docperm.version();
END;

COMMENT ON FUNCTION docperm._doctor_library_version() IS 'Internal: finding of docperm.doctor(): library and extension are of different versions';


CREATE FUNCTION docperm._doctor_object_owner() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('%s %s', i.type, i.identity),
           format('It belongs to %s, who is no superuser: who owns docperm''s objects changes what they do, and docperm cannot do its work.', o.owner::regrole),
           format('ALTER %s %s OWNER TO %s;', upper(i.type), i.identity, 10::oid::regrole)
      FROM (SELECT 'pg_catalog.pg_proc'::regclass, p.oid, p.proowner
              FROM pg_catalog.pg_proc AS p
             WHERE docperm._is_of_docperm('pg_catalog.pg_proc', p.oid)
         UNION ALL
            SELECT 'pg_catalog.pg_class'::regclass, c.oid, c.relowner
              FROM pg_catalog.pg_class AS c
             WHERE docperm._is_of_docperm('pg_catalog.pg_class', c.oid)
         UNION ALL
            SELECT 'pg_catalog.pg_namespace'::regclass, n.oid, n.nspowner
              FROM pg_catalog.pg_namespace AS n
             WHERE n.nspname = 'docperm') AS o (catalog, oid, owner)
     CROSS JOIN LATERAL pg_identify_object(o.catalog, o.oid, 0) AS i
     WHERE NOT docperm._is_superuser(o.owner);
END;

COMMENT ON FUNCTION docperm._doctor_object_owner() IS 'Internal: finding of docperm.doctor(): an object of docperm does not belong to a superuser';


CREATE FUNCTION docperm._doctor_schema_open() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'schema docperm',
           format('CREATE is granted to %s: a function of theirs could take the place of one of docperm''s.', docperm._grantee_name(a.grantee)),
           docperm._revoke_statement('CREATE', 'SCHEMA docperm', a.grantee, a.grantor, n.nspowner)
      FROM pg_catalog.pg_namespace AS n
     CROSS JOIN LATERAL aclexplode(n.nspacl) AS a
     WHERE n.nspname = 'docperm'
       AND a.privilege_type = 'CREATE'
       AND a.grantee <> n.nspowner
       AND NOT docperm._is_superuser(a.grantee);
END;

COMMENT ON FUNCTION docperm._doctor_schema_open() IS 'Internal: finding of docperm.doctor(): others than superusers may create objects in the schema docperm';


-- What docperm itself grants is noted with the extension.
CREATE FUNCTION docperm._doctor_granted_to_public() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT p.oid::regprocedure::text,
           'Everybody may execute it, though it trusts whoever calls it.',
           docperm._revoke_statement('EXECUTE', format('FUNCTION %s', p.oid::regprocedure), 0, a.grantor, p.proowner)
      FROM pg_catalog.pg_proc           AS p
      LEFT JOIN pg_catalog.pg_init_privs AS i ON i.classoid = 'pg_catalog.pg_proc'::regclass AND i.objoid = p.oid AND i.objsubid = 0
     CROSS JOIN LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
     WHERE p.pronamespace = 'docperm'::regnamespace
       AND a.grantee = 0
       -- Nothing is noted where it is PostgreSQL's own default; pg_upgrade leaves no more of it.
       AND NOT EXISTS (SELECT
                         FROM aclexplode(coalesce(i.initprivs, acldefault('f', p.proowner))) AS b
                        WHERE b.grantee = 0);
END;

COMMENT ON FUNCTION docperm._doctor_granted_to_public() IS 'Internal: finding of docperm.doctor(): everybody may execute a function of docperm''s that is not for everybody';


CREATE FUNCTION docperm._doctor_secrets_granted() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT c.oid::regclass::text,
           format('%s granted to %s: the table holds hashes or secrets, and is for functions only.',
                  string_agg(DISTINCT a.privilege, ', '), docperm._grantee_name(a.grantee)),
           string_agg(DISTINCT docperm._revoke_statement('ALL', c.oid::regclass::text, a.grantee, a.grantor, c.relowner), ' ')
      FROM pg_catalog.pg_class AS c
     CROSS JOIN LATERAL (
               SELECT x.grantee, x.grantor, x.privilege_type
                 FROM aclexplode(c.relacl) AS x
            UNION ALL
               SELECT x.grantee, x.grantor, format('%s (%I)', x.privilege_type, f.attname)
                 FROM pg_catalog.pg_attribute AS f
                CROSS JOIN LATERAL aclexplode(f.attacl) AS x
                WHERE f.attrelid = c.oid
           ) AS a (grantee, grantor, privilege)
     WHERE c.relnamespace = 'docperm'::regnamespace
       AND c.relname IN ('api_keys', 'password_resets', 'passwords', 'sessions', 'two_factor')
       AND a.grantee <> c.relowner
       AND NOT docperm._is_superuser(a.grantee)
     GROUP BY c.oid, a.grantee;
END;

COMMENT ON FUNCTION docperm._doctor_secrets_granted() IS 'Internal: finding of docperm.doctor(): a table with secrets can be read or written by others than docperm';


CREATE FUNCTION docperm._doctor_event_trigger_disabled() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('event trigger %I', e.evtname),
           'It is switched off, or not always on: docperm does not notice tables that come, go, or become partitions.',
           format('ALTER EVENT TRIGGER %I ENABLE ALWAYS;', e.evtname)
      FROM pg_catalog.pg_event_trigger AS e
     WHERE docperm._is_of_docperm('pg_catalog.pg_event_trigger', e.oid)
       AND e.evtenabled <> 'A';
END;

COMMENT ON FUNCTION docperm._doctor_event_trigger_disabled() IS 'Internal: finding of docperm.doctor(): an event trigger of docperm''s is switched off';


-- What tells sessions of changes, and what keeps logs as they were written.
CREATE FUNCTION docperm._fires_always(trigger_name name) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN trigger_name IN ('docperm_changed', 'docperm_truncated', 'keep_log', 'keep_review');

COMMENT ON FUNCTION docperm._fires_always(name) IS
    'Internal: whether a trigger on docperm''s own tables has to fire whatever session_replication_role says';

REVOKE ALL ON FUNCTION docperm._fires_always(name) FROM PUBLIC;


CREATE FUNCTION docperm._doctor_own_trigger_disabled() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('%I on %s', t.tgname, c.oid::regclass),
           CASE WHEN t.tgname IN ('docperm_changed', 'docperm_truncated')
                THEN 'It is switched off, or not always on: sessions go on with permissions that have been changed.'
                WHEN docperm._fires_always(t.tgname)
                THEN 'It is switched off, or not always on: what is kept can be changed.'
                ELSE 'It is switched off: docperm''s table is not checked any more, or what follows from it is not done.' END,
           format('ALTER TABLE %s ENABLE %sTRIGGER %I;', c.oid::regclass,
                  CASE WHEN docperm._fires_always(t.tgname) THEN 'ALWAYS ' ELSE '' END, t.tgname)
      FROM pg_catalog.pg_trigger AS t
      JOIN pg_catalog.pg_class   AS c ON c.oid = t.tgrelid
     WHERE c.relnamespace = 'docperm'::regnamespace
       AND NOT t.tgisinternal
       AND (t.tgenabled IN ('D', 'R')
            OR t.tgenabled = 'O' AND docperm._fires_always(t.tgname));
END;

COMMENT ON FUNCTION docperm._doctor_own_trigger_disabled() IS 'Internal: finding of docperm.doctor(): a trigger on a table of docperm''s is switched off';
