-- Making, renaming, disabling and deleting users; signing up; why somebody has no desk.
--
-- The tables may be written as well (docperm.users and what refers to it), and everything holds
-- that triggers see to. These functions do what belongs together, check who calls them, and write
-- it down in docperm.activity_log.

-- Who may -------------------------------------------------------------------------------

CREATE FUNCTION docperm._require_user_administration(user_name text, what text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM docperm._require_administration(what);
    IF user_name IN ('Administrator', 'Guest') THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('user "%s" can be neither renamed, disabled nor deleted', user_name),
            HINT    = 'Every installation of docperm has this user.';
    END IF;
    -- To be alone with it, to the end of the transaction.
    PERFORM FROM docperm.users AS u WHERE u.name = user_name FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM docperm._require_user(coalesce(user_name, ''));
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_user_administration(text, text) IS
    'Internal: an error unless an administrator acts (42501), and on a user who exists (42704) and is not standard (22023); what completes "user may not ..."';


CREATE FUNCTION docperm._users_made_lately() RETURNS bigint
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT count(*) FROM docperm.users AS u WHERE u.creation > clock_timestamp() - interval '1 hour');

COMMENT ON FUNCTION docperm._users_made_lately() IS 'Internal: how many users were made within the last hour';

CREATE INDEX users_creation_idx ON docperm.users (creation);

COMMENT ON INDEX docperm.users_creation_idx IS 'The latest users';


-- Making --------------------------------------------------------------------------------

CREATE FUNCTION docperm.create_user(
    email              text,
    first_name         text,
    last_name          text    DEFAULT NULL,
    middle_name        text    DEFAULT NULL,
    roles              text[]  DEFAULT '{}',
    role_profiles      text[]  DEFAULT '{}',
    module_profile     text    DEFAULT NULL,
    password           text    DEFAULT NULL,
    send_welcome_email boolean DEFAULT true,
    OUT user_name      text,
    OUT welcome_token  text
)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    most integer := (SELECT s.max_users_created_per_hour FROM docperm.settings AS s);
BEGIN
    PERFORM docperm._conceal_statement();
    PERFORM docperm._require_administration('create users');

    user_name := docperm._user_name(email);
    IF coalesce(user_name, '') = '' OR coalesce(btrim(first_name), '') = '' THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = 'email or first_name is missing',
            HINT    = 'A user has an e-mail address and a name.';
    END IF;
    IF EXISTS (SELECT FROM docperm.users AS u WHERE u.name = create_user.user_name) THEN
        RAISE EXCEPTION USING
            ERRCODE = '23505',
            MESSAGE = format('user "%s" exists', user_name),
            HINT    = 'Give him roles, or enable him with docperm.enable_user().';
    END IF;
    -- Who has come by an administrator's session makes no thousands of users with it.
    IF most > 0 AND docperm._users_made_lately() >= most AND NOT docperm._is_database_superuser() THEN
        RAISE EXCEPTION USING
            ERRCODE = '53400',
            MESSAGE = 'too many users were made within an hour',
            DETAIL  = format('docperm.settings.max_users_created_per_hour is %s.', most),
            HINT    = 'Wait, or let a superuser of the database make them.';
    END IF;

    INSERT INTO docperm.users (name, email, first_name, middle_name, last_name, module_profile, send_welcome_email)
    VALUES (create_user.user_name, CASE WHEN strpos(create_user.user_name, '@') > 0 THEN create_user.user_name END,
            btrim(create_user.first_name), btrim(create_user.middle_name), btrim(create_user.last_name),
            create_user.module_profile, coalesce(create_user.send_welcome_email, true));

    INSERT INTO docperm.user_role_profiles (user_name, role_profile)
    SELECT DISTINCT create_user.user_name, p.name
      FROM unnest(create_user.role_profiles) AS p (name);

    -- A role that a profile has brought is there; another one beside profiles is refused.
    INSERT INTO docperm.user_roles (user_name, role)
    SELECT DISTINCT create_user.user_name, r.name
      FROM unnest(create_user.roles) AS r (name)
        ON CONFLICT DO NOTHING;

    IF password IS NOT NULL THEN
        PERFORM docperm._check_new_password(user_name, password);
        PERFORM docperm._store_password(user_name, password);
    END IF;
    IF coalesce(send_welcome_email, true) THEN
        welcome_token := docperm.request_password_reset(user_name);
    END IF;
    PERFORM docperm._log_activity('Create User', user_name, true, NULL, 'by ' || docperm._actor());
END
$$;

COMMENT ON FUNCTION docperm.create_user(text, text, text, text, text[], text[], text, text, boolean) IS
    'Makes a user with roles or role profiles, a module profile and a password, as far as they are given. welcome_token is for the link in his welcome mail: with it he chooses his password (docperm.reset_password); NULL with send_welcome_email false. For administrators. Errors: 42501 not an administrator, 23505 the user exists, 42704 unknown role or profile, 22023 not an address, a weak password (DETAIL says why), or a role that is in none of his profiles, 53400 too many users within an hour';


-- One answer for everybody: who signs up learns by mail whether he is new, and a stranger nothing.
-- So that time does not tell either, one who is known is made as well, under another name, and
-- taken back.
CREATE FUNCTION docperm.sign_up(email text, full_name text) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    newcomer text    := docperm._user_name(email);
    token    text    := docperm._reset_token();
    is_known boolean;
    settings docperm.settings;
BEGIN
    SELECT * INTO STRICT settings FROM docperm.settings;
    IF NOT settings.allow_sign_up THEN
        RAISE EXCEPTION USING
            ERRCODE = '42501',
            MESSAGE = 'nobody signs up here',
            DETAIL  = 'docperm.settings.allow_sign_up is off.',
            HINT    = 'Ask an administrator to make the user.';
    END IF;
    IF coalesce(strpos(newcomer, '@'), 0) = 0 OR coalesce(btrim(full_name), '') = '' THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = 'email or full_name is missing',
            HINT    = 'Who signs up gives an e-mail address and a name.';
    END IF;
    PERFORM docperm._require_email(newcomer);
    IF settings.max_signups_allowed_per_hour > 0 AND docperm._users_made_lately() >= settings.max_signups_allowed_per_hour THEN
        RAISE EXCEPTION USING
            ERRCODE = '53400',
            MESSAGE = 'too many have signed up within an hour',
            DETAIL  = format('docperm.settings.max_signups_allowed_per_hour is %s.', settings.max_signups_allowed_per_hour),
            HINT    = 'Try again later.';
    END IF;

    is_known := EXISTS (SELECT FROM docperm.users AS u WHERE u.name = newcomer);
    BEGIN
        PERFORM docperm._make_website_user(CASE WHEN is_known THEN left(token, 40) || '@sign-up.invalid' ELSE newcomer END,
                                           btrim(full_name), settings.default_portal_role, token,
                                           settings.reset_password_link_expiry);
        IF is_known THEN
            RAISE EXCEPTION USING ERRCODE = '23505', MESSAGE = format('user "%s" exists', newcomer);
        END IF;
    EXCEPTION
        -- Known, or by another who signs up under this address at this moment.
        WHEN unique_violation THEN
            is_known := true;
    END;
    PERFORM docperm._log_activity('Sign Up', newcomer, NOT is_known, NULL, CASE WHEN is_known THEN 'the user exists' END);
    RETURN token;
END
$$;

COMMENT ON FUNCTION docperm.sign_up(text, text) IS
    'Makes a Website User with settings.default_portal_role, and returns a token for the link in a mail to him: with it he chooses his password (docperm.reset_password), which proves that the address is his. For an address that is known the answer is the same, and the token opens nothing; docperm.password_reset_recipient() tells where it may be sent. For applications that send it: EXECUTE is granted to nobody by default. Errors: 42501 settings.allow_sign_up is off, 22023 not an address or no name, 53400 too many users within an hour';


CREATE FUNCTION docperm._make_website_user(user_name text, full_name text, role text, token text, good_for interval) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO docperm.users (name, email, first_name)
    VALUES (_make_website_user.user_name, _make_website_user.user_name, _make_website_user.full_name);

    INSERT INTO docperm.user_roles (user_name, role)
    SELECT _make_website_user.user_name, r.name
      FROM docperm.roles AS r
     WHERE r.name = _make_website_user.role
       AND NOT r.desk_access;

    INSERT INTO docperm.password_resets (token_hash, user_name, expires_at)
    VALUES (sha256(convert_to(token, 'UTF8')), _make_website_user.user_name, clock_timestamp() + good_for);
END
$$;

COMMENT ON FUNCTION docperm._make_website_user(text, text, text, text, interval) IS
    'Internal: makes a user without access to the desk, who may choose a password with the token';


-- Renaming ------------------------------------------------------------------------------

CREATE FUNCTION docperm._write_as_owner(relation regclass, statement text, old_name text, new_name text) RETURNS void
    LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'docperm_write_as_owner_wrapper';

COMMENT ON FUNCTION docperm._write_as_owner(regclass, text, text, text) IS
    'Internal: runs a statement on a table, with two names as $1 and $2, as the owner of the table, whose code checks, indexes, domains and triggers may call';


-- Triggers of the tables stay out of it: nobody edits a document here, and a submitted one follows
-- as well. What forms a tree tells everybody all the same, as it does in a replica.
CREATE FUNCTION docperm._rename_in_documents(old_name text, new_name text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path              = pg_catalog, pg_temp
    SET session_replication_role = 'replica'
AS $$
DECLARE
    place record;
BEGIN
    FOR place IN
        SELECT d.relation, c.name AS column_name, format('%I.%I', n.nspname, t.typname) AS type_name
          FROM docperm.doctypes AS d
         CROSS JOIN LATERAL (SELECT d.owner_column
                              UNION
                             SELECT d.modified_by_column
                              UNION
                             SELECT f.column_name
                               FROM docperm.doctype_fields AS f
                               JOIN docperm.doctypes       AS u ON u.name = f.link_to
                              WHERE f.doctype = d.name
                                AND u.relation = 'docperm.users'::regclass) AS c (name)
          JOIN pg_attribute AS a ON a.attrelid = d.relation AND a.attname = c.name AND a.attnum > 0 AND NOT a.attisdropped
          JOIN pg_type      AS t ON t.oid = a.atttypid
          JOIN pg_namespace AS n ON n.oid = t.typnamespace
         WHERE a.attgenerated = ''
           AND d.relation NOT IN (SELECT e.objid
                                    FROM pg_depend    AS e
                                    JOIN pg_extension AS x ON x.oid = e.refobjid AND e.refclassid = 'pg_extension'::regclass
                                   WHERE e.classid = 'pg_class'::regclass
                                     AND e.deptype = 'e'
                                     AND x.extname = 'docperm')
         ORDER BY d.name, c.name
    LOOP
        PERFORM docperm._write_as_owner(
                    place.relation,
                    format('UPDATE %1$s SET %2$I = $2 WHERE %2$I = CAST($1 AS %3$s)',
                           place.relation, place.column_name, place.type_name),
                    old_name, new_name);
    END LOOP;
END
$$;

COMMENT ON FUNCTION docperm._rename_in_documents(text, text) IS
    'Internal: writes a user''s new name wherever a protected table names its owner, who changed it last, or a user';


CREATE FUNCTION docperm.rename_user(old_name text, new_name text) RETURNS text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    former text := docperm._user_name(old_name);
    future text := docperm._user_name(new_name);
    actor  text := docperm._actor();
BEGIN
    PERFORM docperm._require_user_administration(former, 'rename users');
    IF coalesce(future, '') = '' OR future IN ('Administrator', 'Guest') THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('user "%s" cannot become "%s"', former, coalesce(future, '')),
            HINT    = 'Give an e-mail address or a login name.';
    END IF;
    IF future <> former AND EXISTS (SELECT FROM docperm.users AS u WHERE u.name = future) THEN
        RAISE EXCEPTION USING
            ERRCODE = '23505',
            MESSAGE = format('user "%s" exists', future),
            HINT    = 'Two users do not become one.';
    END IF;

    -- Nobody goes on under a name that he had when he logged in.
    PERFORM docperm._end_sessions_of(former, except_current => false);
    PERFORM docperm._end_sessions_of(future, except_current => false);
    IF future <> former THEN
        UPDATE docperm.users AS u SET name = future WHERE u.name = former;
        PERFORM docperm._rename_in_documents(former, future);
    END IF;
    PERFORM docperm._log_activity('Rename User', future, true, NULL, format('from %s, by %s', former, actor));
    RETURN future;
END
$$;

COMMENT ON FUNCTION docperm.rename_user(text, text) IS
    'Gives a user another name, with everything that is his: roles, user permissions, shares, keys, password, and the documents that name him as owner or as who changed them last. His sessions end; logs keep the name that was. Returns the name as it is stored. For administrators. Errors: 42501 not an administrator, 42704 unknown user, 23505 the name is taken, 22023 Administrator or Guest, or not an address';


-- Disabling and deleting ------------------------------------------------------------------

CREATE FUNCTION docperm.disable_user(user_name text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    whose text := docperm._user_name(user_name);
    actor text := docperm._actor();
BEGIN
    PERFORM docperm._require_user_administration(whose, 'disable users');
    UPDATE docperm.users AS u SET enabled = false WHERE u.name = whose AND u.enabled;
    IF FOUND THEN
        PERFORM docperm._log_activity('Disable User', whose, true, NULL, 'by ' || actor);
    END IF;
END
$$;

COMMENT ON FUNCTION docperm.disable_user(text) IS
    'Shuts a user out: his sessions end, no key or token of his opens anything, and he has no right at all. What is his stays. For administrators. Errors: 42501 not an administrator, 42704 unknown user, 22023 Administrator or Guest';


CREATE FUNCTION docperm.enable_user(user_name text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    whose text := docperm._user_name(user_name);
    actor text := docperm._actor();
BEGIN
    PERFORM docperm._require_user_administration(whose, 'enable users');
    UPDATE docperm.users AS u SET enabled = true WHERE u.name = whose AND NOT u.enabled;
    IF FOUND THEN
        PERFORM docperm._log_activity('Enable User', whose, true, NULL, 'by ' || actor);
    END IF;
END
$$;

COMMENT ON FUNCTION docperm.enable_user(text) IS
    'Lets a disabled user in again, with the roles that he had; no session comes back. For administrators. Errors as of docperm.disable_user()';


CREATE FUNCTION docperm.delete_user(user_name text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    whose text := docperm._user_name(user_name);
    actor text := docperm._actor();
BEGIN
    PERFORM docperm._require_user_administration(whose, 'delete users');
    PERFORM docperm._end_sessions_of(whose, except_current => false);
    DELETE FROM docperm.users AS u WHERE u.name = whose;
    PERFORM docperm._log_activity('Delete User', whose, true, NULL, 'by ' || actor);
END
$$;

COMMENT ON FUNCTION docperm.delete_user(text) IS
    'Deletes a user with his roles, user permissions, shares, sessions, keys, password and second factor. Documents and logs keep his name, so whoever is made under it again owns what he owned: who may come back is better disabled. For administrators. Errors as of docperm.disable_user()';


-- Why somebody has no desk ----------------------------------------------------------------

CREATE FUNCTION docperm.explain_desk_access(user_name text DEFAULT NULL)
    RETURNS TABLE (step integer, rule text, verdict text, detail text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    whose    text := coalesce(docperm._user_name(user_name), docperm.whoami());
    account  docperm.users;
    held     record;
    locked   timestamptz;
    now_hour integer := extract(hour FROM clock_timestamp() AT TIME ZONE current_setting('log_timezone'));
    is_open  boolean;
BEGIN
    IF whose IS DISTINCT FROM docperm.whoami() THEN
        PERFORM docperm._require_administration('ask about the desk of others');
    END IF;
    step := 0;

    SELECT u.* INTO account FROM docperm.users AS u WHERE u.name = whose;
    IF account.name IS NULL THEN
        step := step + 1; rule := 'user'; verdict := 'denied';
        detail := format('There is no user %s.', whose);
        RETURN NEXT;
    ELSE
        step := step + 1; rule := 'user';
        verdict := CASE WHEN account.enabled THEN 'passed' ELSE 'denied' END;
        detail  := format('%s is %s.', whose, CASE WHEN account.enabled THEN 'enabled' ELSE 'disabled: docperm.enable_user() lets him in again' END);
        RETURN NEXT;

        FOR held IN
            SELECT h.role, r.desk_access, r.disabled,
                   h.role IN ('Administrator', 'All', 'Guest', 'Desk User') AS is_automatic,
                   (SELECT string_agg(p.role_profile, ', ' ORDER BY p.role_profile)
                      FROM docperm.user_role_profiles AS p
                      JOIN docperm.role_profile_roles AS n ON n.role_profile = p.role_profile
                     WHERE p.user_name = whose
                       AND n.role      = h.role) AS profiles
              FROM docperm.user_roles AS h
              JOIN docperm.roles      AS r ON r.name = h.role
             WHERE h.user_name = whose
             ORDER BY h.role
        LOOP
            step := step + 1; rule := 'role';
            verdict := CASE WHEN held.is_automatic THEN 'noted' WHEN held.desk_access AND NOT held.disabled THEN 'passed' ELSE 'failed' END;
            detail  := format('The role %s%s %s.', held.role, coalesce(' (of ' || held.profiles || ')', ''),
                              CASE
                                  WHEN held.is_automatic THEN 'is automatic, and naming it has no effect'
                                  WHEN held.disabled     THEN 'is disabled, and counts as not held'
                                  WHEN held.desk_access  THEN 'gives access to the desk'
                                  ELSE 'gives no access to the desk'
                              END);
            RETURN NEXT;
        END LOOP;
        IF NOT FOUND AND whose NOT IN ('Administrator', 'Guest') THEN
            step := step + 1; rule := 'role'; verdict := 'failed';
            detail := format('%s has no role: docperm.user_roles, or a role profile, gives him some.', whose);
            RETURN NEXT;
        END IF;

        step := step + 1; rule := 'user type';
        verdict := CASE account.user_type WHEN 'System User' THEN 'passed' ELSE 'denied' END;
        detail  := format('%s is a %s%s.', whose, account.user_type,
                          CASE
                              WHEN whose = 'Administrator'          THEN ', whatever his roles'
                              WHEN whose = 'Guest'                  THEN ', whatever his roles'
                              WHEN account.user_type = 'System User' THEN ''
                              ELSE ': only a role with desk access makes him a System User'
                          END);
        RETURN NEXT;

        SELECT t.locked_until INTO locked
          FROM docperm.login_throttle AS t
         WHERE t.key = 'user ' || whose
           AND t.locked_until > clock_timestamp();
        IF locked IS NOT NULL THEN
            step := step + 1; rule := 'lock'; verdict := 'failed';
            detail := format('After too many failed logins he cannot log in before %s; docperm.unlock() lifts it.',
                             to_char(locked, 'YYYY-MM-DD HH24:MI:SSOF'));
            RETURN NEXT;
        END IF;
        IF account.login_after > 0 OR account.login_before > 0 THEN
            step := step + 1; rule := 'hours';
            verdict := CASE
                           WHEN account.login_after > 0 AND now_hour < account.login_after
                             OR account.login_before > 0 AND now_hour >= account.login_before THEN 'failed'
                           ELSE 'passed'
                       END;
            detail := format('He may work%s%s; it is %s o''clock (%s).',
                             CASE WHEN account.login_after  > 0 THEN format(' from %s',   account.login_after)  ELSE '' END,
                             CASE WHEN account.login_before > 0 THEN format(' until %s',  account.login_before) ELSE '' END,
                             now_hour, current_setting('log_timezone'));
            RETURN NEXT;
        END IF;
        IF cardinality(account.restrict_ip) > 0 THEN
            step := step + 1; rule := 'address'; verdict := 'noted';
            detail := format('He may come from %s only.', array_to_string(account.restrict_ip, ', '));
            RETURN NEXT;
        END IF;
        IF whose <> 'Guest' AND NOT EXISTS (SELECT FROM docperm.passwords AS p WHERE p.user_name = whose) THEN
            step := step + 1; rule := 'password'; verdict := 'noted';
            detail := 'He has no password; docperm.set_password() gives him one.';
            RETURN NEXT;
        END IF;
    END IF;

    is_open := account.enabled AND account.user_type = 'System User';
    step := step + 1; rule := 'result';
    verdict := CASE WHEN is_open THEN 'allowed' ELSE 'denied' END;
    detail  := format('%s %s access to the desk.', whose, CASE WHEN is_open THEN 'has' ELSE 'has no' END);
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION docperm.explain_desk_access(text) IS
    'Why the user has access to the desk, or why not, step by step; the last step is the result. What keeps him from logging in at present is told, too. Without user_name: the acting user; another: for administrators. Error: 42501 not an administrator';


REVOKE ALL ON FUNCTION
    docperm._make_website_user(text, text, text, text, interval),
    docperm._rename_in_documents(text, text),
    docperm._require_user_administration(text, text),
    docperm._users_made_lately(),
    docperm._write_as_owner(regclass, text, text, text),
    docperm.create_user(text, text, text, text, text[], text[], text, text, boolean),
    docperm.delete_user(text),
    docperm.disable_user(text),
    docperm.enable_user(text),
    docperm.explain_desk_access(text),
    docperm.rename_user(text, text),
    docperm.sign_up(text, text)
FROM PUBLIC;

-- Each asks who acts. Not sign_up(), whose token lets in whoever has it.
GRANT EXECUTE ON FUNCTION docperm.create_user(text, text, text, text, text[], text[], text, text, boolean) TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.delete_user(text)         TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.disable_user(text)        TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.enable_user(text)         TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.explain_desk_access(text) TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.rename_user(text, text)   TO PUBLIC;
