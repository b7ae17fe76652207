-- Sessions: what a token opens. The token itself is stored nowhere, only its hash.

CREATE TABLE docperm.sessions (
    id              bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    token_hash      text        NOT NULL,
    user_name       text        NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_active     timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at      timestamptz NOT NULL DEFAULT 'infinity',
    client_address  inet,
    impersonated_by text,
    returns_to      bigint,

    CONSTRAINT sessions_pkey             PRIMARY KEY (id),
    CONSTRAINT sessions_token_hash_key   UNIQUE (token_hash),
    CONSTRAINT sessions_token_hash_check CHECK (token_hash ~ '^[0-9a-f]{64}$'),
    CONSTRAINT sessions_user_name_fkey   FOREIGN KEY (user_name) REFERENCES docperm.users (name) ON UPDATE CASCADE ON DELETE CASCADE
);

CREATE INDEX sessions_user_name_idx ON docperm.sessions (user_name, last_active);

COMMENT ON TABLE  docperm.sessions                 IS 'Sessions that are open. A row that is deleted ends its session everywhere, at the next statement. Not dumped: a copy of the database opens to no token of the original';
COMMENT ON COLUMN docperm.sessions.id              IS 'What a session is called by';
COMMENT ON COLUMN docperm.sessions.token_hash      IS 'SHA-256 of the token, in hexadecimal digits';
COMMENT ON COLUMN docperm.sessions.user_name       IS 'Who acts';
COMMENT ON COLUMN docperm.sessions.created_at      IS 'When it was opened';
COMMENT ON COLUMN docperm.sessions.last_active     IS 'When it was last taken up, to about a minute: docperm.resume() has it written down, not every query';
COMMENT ON COLUMN docperm.sessions.expires_at      IS 'When it ends, whatever happens (settings.session_absolute_timeout)';
COMMENT ON COLUMN docperm.sessions.client_address  IS 'From where it was opened, as far as it is known';
COMMENT ON COLUMN docperm.sessions.impersonated_by IS 'Who acts in truth';
COMMENT ON COLUMN docperm.sessions.returns_to      IS 'The session of who acts in truth, in which it was begun; it ends with that one';
COMMENT ON INDEX  docperm.sessions_user_name_idx   IS 'A user''s sessions, the least recently used first';


-- Opening -----------------------------------------------------------------------------

CREATE FUNCTION docperm._open_session(
    user_name       text,
    token_hash      text,
    client_address  inet,
    impersonated_by text,
    returns_to      bigint
) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lifetime interval := (SELECT s.session_absolute_timeout FROM docperm.settings AS s);
    rest     interval := (SELECT s.session_idle_timeout     FROM docperm.settings AS s);
    at_once  integer  := (SELECT u.simultaneous_sessions    FROM docperm.users    AS u WHERE u.name = _open_session.user_name);
    opened   bigint;
BEGIN
    INSERT INTO docperm.sessions AS s (user_name, token_hash, client_address, impersonated_by, returns_to, expires_at)
    VALUES (_open_session.user_name, _open_session.token_hash, _open_session.client_address,
            _open_session.impersonated_by, _open_session.returns_to,
            coalesce(clock_timestamp() + lifetime, 'infinity'))
    RETURNING s.id INTO opened;

    IF _open_session.impersonated_by IS NULL THEN
        DELETE FROM docperm.sessions AS s
         WHERE at_once > 0
           AND s.user_name = _open_session.user_name
           AND s.impersonated_by IS NULL
           AND s.id NOT IN (SELECT kept.id
                              FROM docperm.sessions AS kept
                             WHERE kept.user_name = _open_session.user_name
                               AND kept.impersonated_by IS NULL
                             ORDER BY kept.last_active DESC, kept.id DESC
                             LIMIT at_once);
    END IF;

    DELETE FROM docperm.sessions AS s
     WHERE s.id IN (SELECT old.id
                      FROM docperm.sessions AS old
                     WHERE old.expires_at < clock_timestamp()
                        OR old.last_active < clock_timestamp() - rest
                     LIMIT 100
                       FOR UPDATE SKIP LOCKED);
    RETURN opened;
END
$$;

COMMENT ON FUNCTION docperm._open_session(text, text, inet, text, bigint) IS
    'Internal: called by the login worker, which lets the logins of one user take turns. Opens a session, ends the user''s least recently used sessions above users.simultaneous_sessions, and clears away some that have expired';


CREATE FUNCTION docperm._note_login(user_name text, client_address inet, waits boolean) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF waits THEN
        PERFORM FROM docperm.users AS u WHERE u.name = _note_login.user_name FOR NO KEY UPDATE;
    ELSE
        PERFORM FROM docperm.users AS u WHERE u.name = _note_login.user_name FOR NO KEY UPDATE SKIP LOCKED;
    END IF;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    UPDATE docperm.users AS u
       SET last_login  = clock_timestamp(),
           last_ip     = _note_login.client_address,
           last_active = clock_timestamp()
     WHERE u.name = _note_login.user_name;
    RETURN true;
END
$$;

COMMENT ON FUNCTION docperm._note_login(text, inet, boolean) IS
    'Internal: called by the login worker. Writes the last login into docperm.users; false if another transaction holds the row and it was not to wait';


CREATE FUNCTION docperm._touch_session(session bigint, older_than interval) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    touched text;
BEGIN
    UPDATE docperm.sessions AS s
       SET last_active = clock_timestamp()
     WHERE s.id = (SELECT t.id
                     FROM docperm.sessions AS t
                    WHERE t.id = session
                      AND t.last_active < clock_timestamp() - older_than
                      FOR NO KEY UPDATE SKIP LOCKED)
    RETURNING s.user_name INTO touched;

    UPDATE docperm.users AS u
       SET last_active = clock_timestamp()
     WHERE u.name = (SELECT v.name
                       FROM docperm.users AS v
                      WHERE v.name = touched
                        FOR NO KEY UPDATE SKIP LOCKED);
END
$$;

COMMENT ON FUNCTION docperm._touch_session(bigint, interval) IS
    'Internal: called by a worker of its own, so that no transaction of a user''s holds these rows. Writes down that a session is in use, unless that was done within the interval or another transaction is doing it; waits for nobody';


-- Ending ------------------------------------------------------------------------------

CREATE FUNCTION docperm._session_id() RETURNS bigint
    LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'docperm_session_id_wrapper';

COMMENT ON FUNCTION docperm._session_id() IS 'Internal: the id of the session that acts; NULL without one and for API keys';


CREATE FUNCTION docperm._end_sessions_of(user_name text, except_current boolean) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept  bigint := CASE WHEN except_current THEN docperm._session_id() END;
    ended bigint;
BEGIN
    DELETE FROM docperm.sessions AS s
     WHERE _end_sessions_of.user_name IN (s.user_name, s.impersonated_by)
       AND s.id IS DISTINCT FROM kept;
    GET DIAGNOSTICS ended = ROW_COUNT;
    RETURN ended;
END
$$;

COMMENT ON FUNCTION docperm._end_sessions_of(text, boolean) IS
    'Internal: ends a user''s sessions, those included in which he acts as somebody else, if wanted all but the one that acts, and returns how many';


CREATE FUNCTION docperm.logout() RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ended bigint := docperm._session_id();
BEGIN
    IF ended IS NOT NULL THEN
        PERFORM docperm._log_activity('Logout', s.user_name, true, s.client_address,
                                      'by ' || s.impersonated_by)
           FROM docperm.sessions AS s
          WHERE s.id = ended;

        DELETE FROM docperm.sessions AS s WHERE s.id = ended;
    END IF;
    PERFORM set_config('docperm.session', '', false);
END
$$;

COMMENT ON FUNCTION docperm.logout() IS
    'Ends the session that acts, on all connections. Without one it does nothing. Error: 28000 the session has ended before';


CREATE FUNCTION docperm.logout_all(user_name text DEFAULT docperm.whoami()) RETURNS bigint
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    whose  text    := docperm._user_name(user_name);
    actor  text    := docperm._actor();
    is_own boolean := whose IS NOT DISTINCT FROM docperm.whoami();
    ended  bigint;
BEGIN
    IF NOT is_own THEN
        PERFORM docperm._require_administration('end the sessions of others');
        PERFORM docperm._require_user(whose);
        PERFORM docperm._require_power_over(whose);
    END IF;
    ended := docperm._end_sessions_of(whose, false);
    PERFORM docperm._log_activity('Logout', whose, true, NULL,
                                  format('all sessions (%s), by %s', ended, actor));
    IF is_own THEN
        PERFORM set_config('docperm.session', '', false);
    END IF;
    RETURN ended;
END
$$;

COMMENT ON FUNCTION docperm.logout_all(text) IS
    'Ends all sessions of the acting user, or, for administrators, of another one, and returns how many there were. Errors: 42501 not an administrator, 42704 unknown user';


CREATE FUNCTION docperm.my_sessions()
    RETURNS TABLE (id bigint, created_at timestamptz, last_active timestamptz, expires_at timestamptz,
                   client_address inet, impersonated_by text, is_current boolean)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.id, s.created_at, s.last_active, s.expires_at, s.client_address, s.impersonated_by,
           s.id IS NOT DISTINCT FROM docperm._session_id()
      FROM docperm.sessions AS s
     WHERE s.user_name = docperm.whoami()
     ORDER BY s.last_active DESC, s.id DESC;
END;

COMMENT ON FUNCTION docperm.my_sessions() IS
    'The acting user''s sessions, the latest used first, those included in which somebody else acts as him';


CREATE FUNCTION docperm.end_session(id bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    actor text := docperm._actor();
    ended docperm.sessions;
BEGIN
    -- Another's session that one may not end looks like one that does not exist.
    DELETE FROM docperm.sessions AS s
     WHERE s.id = end_session.id
       AND (s.user_name = docperm.whoami()
            OR (docperm._administers() AND docperm._has_power_over(s.user_name)))
    RETURNING s.* INTO ended;

    IF ended.id IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '42704',
            MESSAGE = format('there is no session %s', end_session.id),
            HINT    = 'docperm.my_sessions() lists your own.';
    END IF;
    PERFORM docperm._log_activity('Logout', ended.user_name, true, ended.client_address,
                                  format('session %s, by %s', ended.id, actor));
END
$$;

COMMENT ON FUNCTION docperm.end_session(bigint) IS
    'Ends one of the acting user''s sessions, or, for administrators, anybody''s. Error: 42704 there is no such session';


-- A disabled user has none, and who acts as somebody else does not outlast himself. To disable a
-- user waits for nobody: a session that its own user is just ending, in a transaction that he
-- keeps open, is good for nothing meanwhile. Should he give up, it is ended when he is enabled.
CREATE FUNCTION docperm._end_sessions_of_disabled() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.enabled THEN
        DELETE FROM docperm.sessions AS s WHERE NEW.name IN (s.user_name, s.impersonated_by);
    ELSE
        DELETE FROM docperm.sessions AS s
         WHERE s.id IN (SELECT e.id
                          FROM docperm.sessions AS e
                         WHERE NEW.name IN (e.user_name, e.impersonated_by)
                           FOR UPDATE SKIP LOCKED);
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._end_sessions_of_disabled() IS 'Internal: trigger that ends the sessions of a user who is disabled; to be enabled again does not bring them back';

CREATE TRIGGER end_sessions
    AFTER UPDATE ON docperm.users
    FOR EACH ROW
    WHEN (OLD.enabled <> NEW.enabled)
    EXECUTE FUNCTION docperm._end_sessions_of_disabled();


-- Taking up ---------------------------------------------------------------------------

CREATE FUNCTION docperm.resume(token text, is_local boolean DEFAULT false, client_address inet DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 10
AS 'MODULE_PATHNAME', 'docperm_resume_wrapper';

COMMENT ON FUNCTION docperm.resume(text, boolean, inet) IS
    'Acts as the user of the session that the token opens, or of the API key ("key:secret"), until the end of the database session or, with is_local, of the transaction, and returns the user''s name. client_address counts for users.restrict_ip if the database role may execute docperm.states_client_address(). Error: 28000 no such session, or it has ended, expired, or may not act now or from there';


CREATE FUNCTION docperm.session_info()
    RETURNS TABLE (user_name text, source text, actor text, session_id bigint, created_at timestamptz,
                   expires_at timestamptz, client_address inet)
    LANGUAGE c STABLE PARALLEL SAFE ROWS 1
AS 'MODULE_PATHNAME', 'docperm_session_info_wrapper';

COMMENT ON FUNCTION docperm.session_info() IS
    'Who acts and how that is known: source is acting user, session, API key, database role or nobody; actor is who acts in truth, which is another under impersonation. Error: 28000 the session has ended';


CREATE FUNCTION docperm._actor() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'docperm_actor_wrapper';

COMMENT ON FUNCTION docperm._actor() IS
    'Internal: who acts in truth, for the logs: the impersonator, the acting user, or the database role where nobody else is known';


CREATE FUNCTION docperm._impersonator() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE
AS 'MODULE_PATHNAME', 'docperm_impersonator_wrapper';

COMMENT ON FUNCTION docperm._impersonator() IS 'Internal: who acts as the acting user; NULL if nobody does';


-- Nobody but the Administrator, and a superuser of the database, has power over the
-- Administrator.
CREATE FUNCTION docperm._has_power_over(user_name text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN user_name <> 'Administrator'
       OR docperm.whoami() = 'Administrator'
       OR docperm._is_database_superuser();

COMMENT ON FUNCTION docperm._has_power_over(text) IS 'Internal: false for the Administrator, unless he acts himself or a superuser of the database does';


CREATE FUNCTION docperm._require_power_over(user_name text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT docperm._has_power_over(user_name) THEN
        PERFORM docperm._refuse(
            format('user "%s" may not do this to the Administrator', docperm.whoami()),
            'Only the Administrator himself may, and a superuser of the database.',
            'Ask the Administrator.');
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_power_over(text) IS 'Internal: an error (42501) where _has_power_over is false';


REVOKE ALL ON FUNCTION docperm._open_session(text, text, inet, text, bigint) FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._note_login(text, inet, boolean)              FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._touch_session(bigint, interval)              FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._session_id()                                 FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._end_sessions_of(text, boolean)               FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._end_sessions_of_disabled()                   FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._actor()                                      FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._impersonator()                               FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._has_power_over(text)                         FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._require_power_over(text)                     FROM PUBLIC;

REVOKE ALL     ON FUNCTION docperm.logout()                    FROM PUBLIC;
REVOKE ALL     ON FUNCTION docperm.logout_all(text)            FROM PUBLIC;
REVOKE ALL     ON FUNCTION docperm.my_sessions()               FROM PUBLIC;
REVOKE ALL     ON FUNCTION docperm.end_session(bigint)         FROM PUBLIC;
REVOKE ALL     ON FUNCTION docperm.resume(text, boolean, inet) FROM PUBLIC;
REVOKE ALL     ON FUNCTION docperm.session_info()              FROM PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.logout()                    TO   PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.logout_all(text)            TO   PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.my_sessions()               TO   PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.end_session(bigint)         TO   PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.resume(text, boolean, inet) TO   PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.session_info()              TO   PUBLIC;
