-- docperm.doctor(): all findings, the worst first.

-- error: somebody sees or changes what he must not, or something does not work.
-- warning: it is weaker than it could be, or does not do what it seems to.
-- info: worth knowing; often right as it is.
CREATE FUNCTION docperm._doctor_findings() RETURNS TABLE (level text, id text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    VALUES ('error',   'application_role_bypasses'),
           ('error',   'column_missing'),
           ('error',   'event_trigger_disabled'),
           ('error',   'granted_to_public'),
           ('error',   'library_version'),
           ('error',   'mapped_role_becomes_anybody'),
           ('error',   'object_owner'),
           ('error',   'own_trigger_disabled'),
           ('error',   'parent_unprotected'),
           ('error',   'partition_unprotected'),
           ('error',   'password_guessable'),
           ('error',   'policy_added'),
           ('error',   'policy_changed'),
           ('error',   'policy_missing'),
           ('error',   'registration_stale'),
           ('error',   'row_security_off'),
           ('error',   'schema_open'),
           ('error',   'secrets_granted'),
           ('error',   'trigger_disabled'),
           ('error',   'trigger_missing'),
           ('error',   'view_unfiltered'),
           ('warning', 'application_role_owns'),
           ('warning', 'bypassrls_role'),
           ('warning', 'definer_function'),
           ('warning', 'guessing_unbounded'),
           ('warning', 'if_owner_without_owner'),
           ('warning', 'index_missing'),
           ('warning', 'key_file_unusable'),
           ('warning', 'levels_mixed'),
           ('warning', 'link_unregistered'),
           ('warning', 'mapped_role_missing'),
           ('warning', 'materialized_view'),
           ('warning', 'orphaned_rows'),
           ('warning', 'owner_bypasses'),
           ('warning', 'password_hash_cheap'),
           ('warning', 'password_policy_weak'),
           ('warning', 'password_reset_weak'),
           ('warning', 'references_granted'),
           ('warning', 'role_disabled'),
           ('warning', 'rule_of_child_table'),
           ('warning', 'rule_unfiltered'),
           ('warning', 'server_files_role'),
           ('warning', 'session_unending'),
           ('warning', 'statements_logged'),
           ('warning', 'superuser_login'),
           ('warning', 'table_missing'),
           ('warning', 'table_unprotected'),
           ('warning', 'too_many_administrators'),
           ('warning', 'trigger_granted'),
           ('warning', 'truncate_granted'),
           ('warning', 'user_permission_idle'),
           ('warning', 'user_permission_unknown_document'),
           ('info',    'administrator_without_two_factor'),
           ('info',    'api_key_of_administrator'),
           ('info',    'child_unbound'),
           ('info',    'doctype_without_rules'),
           ('info',    'filter_not_leakproof'),
           ('info',    'password_hash_old'),
           ('info',    'publication'),
           ('info',    'replication_role'),
           ('info',    'role_without_holders'),
           ('info',    'rule_replaced'),
           ('info',    'slow_statements_logged'),
           ('info',    'user_cannot_log_in'),
           ('info',    'user_without_roles'),
           ('info',    'view_of_owner');
END;

COMMENT ON FUNCTION docperm._doctor_findings() IS
    'Internal: what docperm.doctor() looks for, in its order; docperm._doctor_<id>() finds it';


CREATE FUNCTION docperm.doctor() RETURNS TABLE (level text, id text, object text, detail text, remedy text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER COST 1000000 ROWS 10
    SET search_path = pg_catalog, pg_temp
    -- Compiling these queries takes longer than running them.
    SET jit         = off
AS $$
BEGIN
    PERFORM docperm._require_administration('ask the doctor');

    FOR level, id IN SELECT f.level, f.id FROM docperm._doctor_findings() AS f LOOP
        -- A catalog that one finding cannot cope with must not hide the others.
        BEGIN
            FOR object, detail, remedy IN
                EXECUTE format('SELECT f.object, f.detail, f.remedy FROM docperm.%I() AS f ORDER BY f.object, f.detail, f.remedy', '_doctor_' || id)
            LOOP
                RETURN NEXT;
            END LOOP;
        EXCEPTION WHEN OTHERS THEN
            object := format('finding %s', id);
            detail := format('It could not be looked for: %s', SQLERRM);
            remedy := format('-- What stops it: SELECT * FROM docperm.%I();', '_doctor_' || id);
            level  := 'error';
            id     := 'not_looked_for';
            RETURN NEXT;
        END;
    END LOOP;
END
$$;

COMMENT ON FUNCTION docperm.doctor() IS
    'What is wrong or weak in this installation, errors first: a level (error, warning, info), an id (see docs/doctor.md), the object, what is the matter, and SQL that puts it right, a comment where somebody has to decide. For administrators. Error: 42501 not an administrator';


DO $$
DECLARE
    finding regprocedure;
BEGIN
    FOR finding IN
        SELECT p.oid
          FROM pg_catalog.pg_proc AS p
         WHERE p.pronamespace = 'docperm'::regnamespace
           AND p.proname LIKE '\_doctor\_%'
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', finding);
    END LOOP;
END
$$;

REVOKE ALL     ON FUNCTION docperm.doctor() FROM PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.doctor() TO   PUBLIC;
