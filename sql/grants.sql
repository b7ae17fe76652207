-- What a database role needs, in one call.
--
-- docperm gives away little by itself: what everybody may call asks who acts. These give a
-- role the rest, for one of two purposes, and nothing else: the tests list all of it.


-- What is given ---------------------------------------------------------------------------

CREATE FUNCTION docperm._application_grants() RETURNS TABLE (privileges text, object text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'EXECUTE', 'FUNCTION ' || f.name
      FROM (VALUES ('docperm.set_user(text, boolean)'),
                   ('docperm.states_client_address()'),
                   ('docperm.request_password_reset(text)'),
                   ('docperm.password_reset_recipient(text)'),
                   ('docperm.start_enrollment(text)')) AS f (name);
END;

COMMENT ON FUNCTION docperm._application_grants() IS 'Internal: what docperm.grant_application() gives';


-- What is not given here is done by functions alone: passwords, second factors, API keys, and
-- how often logins failed.
CREATE FUNCTION docperm._administration_grants() RETURNS TABLE (privileges text, object text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT g.privileges, 'TABLE docperm.' || g.name
      FROM (VALUES ('SELECT, INSERT, UPDATE, DELETE', 'users'),
                   ('SELECT, INSERT, UPDATE, DELETE', 'roles'),
                   ('SELECT, INSERT, UPDATE, DELETE', 'user_roles'),
                   ('SELECT, INSERT, UPDATE, DELETE', 'rights'),
                   ('SELECT, INSERT, UPDATE, DELETE', 'role_permissions'),
                   ('SELECT, INSERT, UPDATE, DELETE', 'user_permissions'),
                   ('SELECT, INSERT, UPDATE, DELETE', 'shares'),
                   ('SELECT, INSERT, UPDATE, DELETE', 'login_providers'),
                   ('SELECT, INSERT, UPDATE, DELETE', 'role_profiles'),
                   ('SELECT, INSERT, UPDATE, DELETE', 'role_profile_roles'),
                   ('SELECT, INSERT, UPDATE, DELETE', 'user_role_profiles'),
                   ('SELECT, INSERT, UPDATE, DELETE', 'modules'),
                   ('SELECT, INSERT, UPDATE, DELETE', 'module_profiles'),
                   ('SELECT, INSERT, UPDATE, DELETE', 'module_profile_blocks'),
                   ('SELECT, INSERT, UPDATE, DELETE', 'user_blocked_modules'),
                   ('SELECT, INSERT, UPDATE, DELETE', 'user_emails'),
                   ('SELECT, INSERT, UPDATE, DELETE', 'pages'),
                   ('SELECT, INSERT, UPDATE, DELETE', 'page_roles'),
                   ('SELECT, INSERT, UPDATE, DELETE', 'reports'),
                   ('SELECT, INSERT, UPDATE, DELETE', 'report_roles'),
                   ('SELECT, UPDATE',                 'settings'),
                   ('SELECT',                         'doctypes'),
                   ('SELECT',                         'doctype_fields'),
                   ('SELECT',                         'activity_log'),
                   ('SELECT',                         'permission_log')) AS g (privileges, name)
    UNION ALL
    -- All of a session but the hash of its token.
    SELECT 'SELECT (id, user_name, created_at, last_active, expires_at, client_address, impersonated_by, returns_to)',
           'TABLE docperm.sessions'
    UNION ALL
    SELECT 'EXECUTE', 'FUNCTION ' || f.name
      FROM (VALUES ('docperm.customize(text)'),
                   ('docperm.reset(text)')) AS f (name);
END;

COMMENT ON FUNCTION docperm._administration_grants() IS 'Internal: what docperm.grant_administration() gives';


-- Giving and taking -----------------------------------------------------------------------

CREATE FUNCTION docperm._require_grantee(role name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT docperm._is_database_superuser() THEN
        PERFORM docperm._refuse(
            'only superusers decide what a database role may do with docperm',
            'What is granted here is theirs.',
            'Ask who runs the database.');
    END IF;
    IF role IS NULL OR NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = role) THEN
        RAISE EXCEPTION USING
            ERRCODE = '42704',
            MESSAGE = format('database role %s does not exist', coalesce(quote_literal(role), 'NULL')),
            HINT    = 'Give the name of a database role, made by CREATE ROLE. It is not a role of docperm.roles.';
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = role AND (r.rolsuper OR r.rolbypassrls)) THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('database role "%s" is not held by any policy', role),
            DETAIL  = 'It is a superuser, or has BYPASSRLS.',
            HINT    = 'Let the application connect with a role of its own that is neither.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_grantee(name) IS
    'Internal: an error unless a superuser of the database acts (42501) and the role exists (42704) and obeys policies (22023)';


CREATE FUNCTION docperm.grant_application(role name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given record;
BEGIN
    PERFORM docperm._require_grantee(role);
    FOR given IN SELECT * FROM docperm._application_grants() LOOP
        EXECUTE format('GRANT %s ON %s TO %I', given.privileges, given.object, role);
    END LOOP;
END
$$;

COMMENT ON FUNCTION docperm.grant_application(name) IS
    'Gives a database role what a trusted application needs: to say who its user is (set_user), from which address he comes (states_client_address), to send him a link for a new password (request_password_reset, password_reset_recipient) and the address for his authenticator (start_enrollment). Whoever can run statements of his own with this role can be anybody. Privileges on the application''s own tables are not its business. Again, it changes nothing. Errors: 42501 not a superuser, 42704 unknown database role, 22023 one that obeys no policies';


CREATE FUNCTION docperm.grant_administration(role name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given record;
BEGIN
    PERFORM docperm._require_grantee(role);
    FOR given IN SELECT * FROM docperm._administration_grants() LOOP
        EXECUTE format('GRANT %s ON %s TO %I', given.privileges, given.object, role);
    END LOOP;
END
$$;

COMMENT ON FUNCTION docperm.grant_administration(name) IS
    'Gives a database role docperm''s own tables, as far as they are doctypes: users, roles, rules, user permissions, shares, settings, logs. Who may read and write which rows and columns of them is decided by who acts, as everywhere, so the role may be that of people who write their own statements. What comes with grant_application() does not come with it. Again, it changes nothing. Errors as of grant_application()';


CREATE FUNCTION docperm.revoke_application(role name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given record;
BEGIN
    PERFORM docperm._require_grantee(role);
    FOR given IN SELECT * FROM docperm._application_grants() LOOP
        EXECUTE format('REVOKE %s ON %s FROM %I', given.privileges, given.object, role);
    END LOOP;
END
$$;

COMMENT ON FUNCTION docperm.revoke_application(name) IS 'Takes back what docperm.grant_application() gave. Errors as there';


CREATE FUNCTION docperm.revoke_administration(role name) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    given record;
BEGIN
    PERFORM docperm._require_grantee(role);
    FOR given IN SELECT * FROM docperm._administration_grants() LOOP
        EXECUTE format('REVOKE %s ON %s FROM %I', given.privileges, given.object, role);
    END LOOP;
END
$$;

COMMENT ON FUNCTION docperm.revoke_administration(name) IS 'Takes back what docperm.grant_administration() gave. Errors as there';


REVOKE ALL ON FUNCTION
    docperm._administration_grants(),
    docperm._application_grants(),
    docperm._require_grantee(name),
    docperm.grant_administration(name),
    docperm.grant_application(name),
    docperm.revoke_administration(name),
    docperm.revoke_application(name)
FROM PUBLIC;

-- Who watches the server may see who cannot log in.
GRANT SELECT ON docperm.locked_users TO pg_monitor;
