-- Logging in, and how failures are counted.
--
-- docperm.login() has a background worker do it, in transactions of its own: what the
-- caller does with his transaction changes nothing of what was counted and written down.

-- Counting ----------------------------------------------------------------------------

CREATE TABLE docperm.login_throttle (
    key          text        NOT NULL,
    failures     integer     NOT NULL DEFAULT 0,
    last_attempt timestamptz NOT NULL DEFAULT clock_timestamp(),
    locked_until timestamptz,

    CONSTRAINT login_throttle_pkey           PRIMARY KEY (key),
    CONSTRAINT login_throttle_key_check      CHECK (key ~ '^(user|nobody|address) '),
    CONSTRAINT login_throttle_failures_check CHECK (failures >= 0)
);

CREATE INDEX login_throttle_last_attempt_idx ON docperm.login_throttle (last_attempt);

COMMENT ON TABLE  docperm.login_throttle                  IS 'Consecutive failed logins by account and by address. Not dumped';
COMMENT ON COLUMN docperm.login_throttle.key              IS '"user" and the name; "nobody" and a hash of what was typed, where that is no user, so that unknown accounts lock like known ones; "address" and the address';
COMMENT ON COLUMN docperm.login_throttle.failures         IS 'Failed attempts since the last success or lock. An attempt counts from when it begins';
COMMENT ON COLUMN docperm.login_throttle.last_attempt     IS 'When the last of them began';
COMMENT ON COLUMN docperm.login_throttle.locked_until     IS 'Until then every attempt is refused and verifies nothing';
COMMENT ON INDEX  docperm.login_throttle_last_attempt_idx IS 'Those that are old enough to go';


CREATE VIEW docperm.locked_users AS
    SELECT u.name AS user_name, t.failures, t.locked_until
      FROM docperm.login_throttle AS t
      JOIN docperm.users          AS u ON t.key = 'user ' || u.name
     WHERE t.locked_until > clock_timestamp();

COMMENT ON VIEW   docperm.locked_users              IS 'Users who cannot log in at the moment because too many attempts failed. docperm.unlock() lifts it';
COMMENT ON COLUMN docperm.locked_users.user_name    IS 'The user';
COMMENT ON COLUMN docperm.locked_users.failures     IS 'How many attempts failed';
COMMENT ON COLUMN docperm.locked_users.locked_until IS 'When he can try again';


CREATE FUNCTION docperm._attempt_keys(login_id text, client_address inet, is_stated boolean)
    RETURNS TABLE (user_name text, keys text[])
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- The name first, then the others; a number or short name can be that of one user only.
    SELECT f.name,
           array_remove(ARRAY[
               coalesce('user ' || f.name, 'nobody ' || encode(sha256(convert_to(lower(btrim(login_id)), 'UTF8')), 'hex')),
               CASE WHEN is_stated OR s.throttle_connection_address THEN 'address ' || host(client_address) END
           ], NULL)
      FROM docperm.settings AS s
      LEFT JOIN LATERAL (SELECT u.name
                           FROM docperm.users AS u
                          WHERE u.name <> 'Guest'
                            AND (u.name = docperm._user_name(login_id)
                                 OR (s.allow_login_using_mobile_number AND u.mobile_no = btrim(login_id))
                                 OR (s.allow_login_using_user_name     AND u.username  = btrim(login_id)))
                          ORDER BY u.name <> docperm._user_name(login_id),
                                   u.mobile_no IS DISTINCT FROM btrim(login_id)
                          LIMIT 1) AS f ON true;
END;

COMMENT ON FUNCTION docperm._attempt_keys(text, inet, boolean) IS
    'Internal: called by the login worker. Whom a login name means, and under which keys an attempt counts: an address does if an application that is believed stated it, or if settings.throttle_connection_address says so';


CREATE FUNCTION docperm._begin_attempt(operation text, user_name text, keys text[], client_address inet)
    RETURNS TABLE (attempt bigint, locked_seconds double precision)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    allowed     integer  := (SELECT s.allow_consecutive_login_attempts FROM docperm.settings AS s);
    lock_period interval := (SELECT s.allow_login_after_fail           FROM docperm.settings AS s);
    moment      timestamptz := clock_timestamp();
    locked_end  timestamptz;
BEGIN
    IF allowed > 0 THEN
        SELECT max(t.locked_until) INTO locked_end
          FROM docperm.login_throttle AS t
         WHERE t.key = ANY (keys)
           AND t.locked_until > moment;
    END IF;

    IF locked_end IS NOT NULL THEN
        attempt        := docperm._log_activity(operation, user_name, false, client_address, 'locked');
        locked_seconds := extract(epoch FROM locked_end - moment);
        RETURN NEXT;
        RETURN;
    END IF;

    -- Counted as failed until it is known to have succeeded: whatever stops it, it was made.
    INSERT INTO docperm.login_throttle AS t (key, failures, last_attempt, locked_until)
    SELECT k.key, 1, moment, CASE WHEN allowed = 1 THEN moment + lock_period END
      FROM unnest(keys) AS k (key)
    ON CONFLICT (key) DO UPDATE
       SET failures     = CASE WHEN t.locked_until IS NULL THEN t.failures + 1 ELSE 1 END,
           last_attempt = moment,
           locked_until = CASE WHEN (CASE WHEN t.locked_until IS NULL THEN t.failures + 1 ELSE 1 END) >= nullif(allowed, 0)
                               THEN moment + lock_period
                          END;

    attempt := docperm._log_activity(operation, user_name, false, client_address, 'not finished');
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION docperm._begin_attempt(text, text, text[], inet) IS
    'Internal: called by the login worker. Counts and writes down an attempt before anything is verified; if too many have failed, says for how long nothing is verified, and counts nothing';


CREATE FUNCTION docperm._settle_attempt(attempt bigint, keys text[], outcome text, succeeded boolean, detail text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kept        interval;
    lock_period interval;
BEGIN
    UPDATE docperm.activity_log AS l
       SET status = CASE WHEN succeeded THEN 'Success' ELSE 'Failed' END,
           detail = _settle_attempt.detail
     WHERE l.id = attempt;

    CASE outcome
        WHEN 'right' THEN
            DELETE FROM docperm.login_throttle AS t WHERE t.key = ANY (keys);
        WHEN 'neither' THEN
            UPDATE docperm.login_throttle AS t
               SET failures     = greatest(t.failures - 1, 0),
                   locked_until = NULL
             WHERE t.key = ANY (keys);
        WHEN 'wrong' THEN
            -- The lock begins with the failure, not with the attempt.
            UPDATE docperm.login_throttle AS t
               SET locked_until = clock_timestamp() + s.allow_login_after_fail
              FROM docperm.settings AS s
             WHERE t.key = ANY (keys)
               AND t.locked_until IS NOT NULL;
    END CASE;

    -- A little of what is old goes with each attempt, so that nobody can fill a disk with
    -- names that nobody has.
    SELECT s.activity_log_retention, s.allow_login_after_fail INTO kept, lock_period FROM docperm.settings AS s;

    DELETE FROM docperm.login_throttle AS t
     WHERE t.key IN (SELECT old.key
                       FROM docperm.login_throttle AS old
                      WHERE old.last_attempt < clock_timestamp() - greatest(lock_period, '1 day')
                        AND old.key !~ '^user '
                      LIMIT 100
                        FOR UPDATE SKIP LOCKED);

    DELETE FROM docperm.activity_log AS l
     WHERE l.id IN (SELECT old.id
                      FROM docperm.activity_log AS old
                     WHERE old.at < clock_timestamp() - kept
                     LIMIT 100
                       FOR UPDATE SKIP LOCKED);
END
$$;

COMMENT ON FUNCTION docperm._settle_attempt(bigint, text[], text, boolean, text) IS
    'Internal: called by the login worker. Writes down how an attempt ended: right sets the count to nothing, neither takes back that it was counted, wrong leaves it counted';


CREATE FUNCTION docperm._forget_attempts() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM docperm.login_throttle AS t WHERE t.key = 'user ' || OLD.name;
    ELSE
        UPDATE docperm.login_throttle AS t SET key = 'user ' || NEW.name WHERE t.key = 'user ' || OLD.name;
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._forget_attempts() IS 'Internal: trigger that lets the count of failed logins follow its user';

CREATE TRIGGER forget_attempts
    AFTER DELETE ON docperm.users
    FOR EACH ROW EXECUTE FUNCTION docperm._forget_attempts();

CREATE TRIGGER rename_attempts
    AFTER UPDATE ON docperm.users
    FOR EACH ROW
    WHEN (OLD.name <> NEW.name)
    EXECUTE FUNCTION docperm._forget_attempts();


CREATE FUNCTION docperm.unlock(user_name text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    whose text := docperm._user_name(user_name);
    was_locked boolean;
BEGIN
    PERFORM docperm._require_administration('lift login locks');
    PERFORM docperm._require_user(whose);
    PERFORM docperm._require_power_over(whose);

    DELETE FROM docperm.login_throttle AS t WHERE t.key = 'user ' || whose RETURNING t.locked_until > clock_timestamp() INTO was_locked;
    PERFORM docperm._log_activity('Unlock', whose, true, NULL, 'by ' || docperm._actor());
    RETURN coalesce(was_locked, false);
END
$$;

COMMENT ON FUNCTION docperm.unlock(text) IS
    'Lifts a user''s login lock and counts failures from nothing again; true if there was a lock. For administrators. Errors: 42501 not an administrator, 42704 unknown user';


-- Logging in --------------------------------------------------------------------------

CREATE FUNCTION docperm.states_client_address() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
RETURN true;

COMMENT ON FUNCTION docperm.states_client_address() IS
    'A privilege in the form of a function: database roles that may execute it are believed when they say from which address a client comes. Granted to nobody';


CREATE FUNCTION docperm.login(
    login_id       text,
    password       text,
    otp            text    DEFAULT NULL,
    client_address inet    DEFAULT NULL,
    is_local       boolean DEFAULT false
) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000
AS 'MODULE_PATHNAME', 'docperm_login_wrapper';

COMMENT ON FUNCTION docperm.login(text, text, text, inet, boolean) IS
    'Opens a session, acts as its user and returns its token, of which docperm keeps the hash only. login_id is a user''s name, or a mobile number or short name where settings allow it. The attempt is counted and logged whatever becomes of the transaction. Errors: 28P01 wrong credentials, 53400 locked (DETAIL says for how long) or no background worker to be had, 28000 one-time code wanted, password too old, hour or address not allowed, 25006 on a standby';


CREATE FUNCTION docperm.login_with_id_token(
    provider       text,
    id_token       text,
    nonce          text    DEFAULT NULL,
    client_address inet    DEFAULT NULL,
    is_local       boolean DEFAULT false
) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000
AS 'MODULE_PATHNAME', 'docperm_login_with_id_token_wrapper';

COMMENT ON FUNCTION docperm.login_with_id_token(text, text, text, inet, boolean) IS
    'As docperm.login(), for the user whom an ID token (OpenID Connect) of a login provider is about. Errors: 28P01 the token is not good, 28000 hour or address not allowed, 25006 on a standby';


CREATE FUNCTION docperm.change_password(old_password text, new_password text, client_address inet DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000
AS 'MODULE_PATHNAME', 'docperm_change_password_wrapper';

COMMENT ON FUNCTION docperm.change_password(text, text, inet) IS
    'Changes the acting user''s password; settings.logout_on_password_reset ends his other sessions. That the old one is asked for counts as an attempt to log in. Errors: 28P01 the old password is wrong, 53400 locked, 22023 the new one is too weak (DETAIL says why), 42501 nobody acts who has a password';


-- As somebody else --------------------------------------------------------------------

CREATE FUNCTION docperm.impersonate(user_name text, reason text, client_address inet DEFAULT NULL, is_local boolean DEFAULT false) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 100000
AS 'MODULE_PATHNAME', 'docperm_impersonate_wrapper';

COMMENT ON FUNCTION docperm.impersonate(text, text, inet, boolean) IS
    'Opens a session as another user, acts in it and returns its token. For the Administrator, superusers of the database, and users with the right impersonate on the doctype User. Logged with the reason, whatever becomes of the transaction; the user sees it in docperm.my_activity() and my_sessions(). Errors: 42501 not allowed, 42704 unknown user, 22023 no reason, 28000 the user may not log in now or from there';


CREATE FUNCTION docperm.end_impersonation(is_local boolean DEFAULT false, own_token text DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
AS 'MODULE_PATHNAME', 'docperm_end_impersonation_wrapper';

COMMENT ON FUNCTION docperm.end_impersonation(boolean, text) IS
    'Ends a session as somebody else and returns to oneself: with own_token, the token of a session of one''s own, that session acts from now on, and the user''s name is returned; without, nobody does (NULL). Errors: 22023 nobody is impersonated, 28000 the token is not that of a session of one''s own';


CREATE FUNCTION docperm._end_impersonation() RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ended docperm.sessions;
BEGIN
    DELETE FROM docperm.sessions AS s WHERE s.id = docperm._session_id() RETURNING s.* INTO ended;
    PERFORM docperm._log_activity('Logout', ended.user_name, true, ended.client_address, 'by ' || ended.impersonated_by);
END
$$;

COMMENT ON FUNCTION docperm._end_impersonation() IS 'Internal: ends the session that acts';


-- Refused -----------------------------------------------------------------------------

CREATE FUNCTION docperm._log_refusal(acting_user text, token_hash text, api_key text, role oid, message text, times bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    role_name name := (SELECT r.rolname FROM pg_catalog.pg_roles AS r WHERE r.oid = role);
    session   docperm.sessions;
    refused   text := acting_user;
BEGIN
    IF token_hash IS NOT NULL THEN
        SELECT s.* INTO session FROM docperm.sessions AS s WHERE s.token_hash = _log_refusal.token_hash;
        refused := session.user_name;
    ELSIF api_key IS NOT NULL THEN
        refused := (SELECT k.user_name FROM docperm.api_keys AS k WHERE k.api_key = _log_refusal.api_key);
    ELSIF acting_user IS NULL THEN
        refused := coalesce((SELECT u.name FROM docperm.users AS u WHERE u.db_role = role_name), 'Guest');
    END IF;

    PERFORM docperm._log_activity('Refused', refused, false, session.client_address,
                                  concat_ws(', ', message,
                                            'by ' || session.impersonated_by,
                                            'API key ' || api_key,
                                            'database role ' || role_name,
                                            CASE WHEN times > 1 THEN times || ' times' END));

    -- As with logins, a little of what is old goes with what is new.
    DELETE FROM docperm.activity_log AS l
     WHERE l.id IN (SELECT old.id
                      FROM docperm.activity_log AS old
                     WHERE old.at < clock_timestamp() - (SELECT s.activity_log_retention FROM docperm.settings AS s)
                     LIMIT 100
                       FOR UPDATE SKIP LOCKED);
END
$$;

COMMENT ON FUNCTION docperm._log_refusal(text, text, text, oid, text, bigint) IS
    'Internal: called by a worker. Writes down what was refused: to the user whom an application named, to that of a session or an API key, or to that of a database role';


REVOKE ALL ON FUNCTION docperm._attempt_keys(text, inet, boolean)                      FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._begin_attempt(text, text, text[], inet)                FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._settle_attempt(bigint, text[], text, boolean, text)    FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._forget_attempts()                                      FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._end_impersonation()                                    FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._log_refusal(text, text, text, oid, text, bigint)       FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.states_client_address()                                 FROM PUBLIC;

REVOKE ALL     ON FUNCTION docperm.unlock(text)                                        FROM PUBLIC;
REVOKE ALL     ON FUNCTION docperm.login(text, text, text, inet, boolean)              FROM PUBLIC;
REVOKE ALL     ON FUNCTION docperm.login_with_id_token(text, text, text, inet, boolean) FROM PUBLIC;
REVOKE ALL     ON FUNCTION docperm.change_password(text, text, inet)                   FROM PUBLIC;
REVOKE ALL     ON FUNCTION docperm.impersonate(text, text, inet, boolean)              FROM PUBLIC;
REVOKE ALL     ON FUNCTION docperm.end_impersonation(boolean, text)                    FROM PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.unlock(text)                                        TO   PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.login(text, text, text, inet, boolean)              TO   PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.login_with_id_token(text, text, text, inet, boolean) TO   PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.change_password(text, text, inet)                   TO   PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.impersonate(text, text, inet, boolean)              TO   PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.end_impersonation(boolean, text)                    TO   PUBLIC;
