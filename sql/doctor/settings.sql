-- Findings about settings, docperm's and the server's.

-- Passwords, logins, sessions ----------------------------------------------------------------------

CREATE FUNCTION docperm._doctor_password_policy_weak() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'docperm.settings',
           concat_ws(' ',
                     CASE WHEN NOT s.enable_password_policy     THEN 'Any password is taken (enable_password_policy).' END,
                     CASE WHEN s.minimum_password_score  < 2    THEN format('Passwords that are guessed with some effort are taken (minimum_password_score = %s).', s.minimum_password_score) END,
                     CASE WHEN s.minimum_password_length < 8    THEN format('Passwords of %s characters are taken (minimum_password_length); 8 are the least that is recommended.', s.minimum_password_length) END),
           format('UPDATE docperm.settings SET enable_password_policy = true, minimum_password_score = %s, minimum_password_length = %s;',
                  greatest(s.minimum_password_score, 2), greatest(s.minimum_password_length, 8))
      FROM docperm.settings AS s
     WHERE NOT s.enable_password_policy
        OR s.minimum_password_score  < 2
        OR s.minimum_password_length < 8;
END;

COMMENT ON FUNCTION docperm._doctor_password_policy_weak() IS 'Internal: finding of docperm.doctor(): weak passwords are taken';


-- OWASP's list of settings that are equally strong.
CREATE FUNCTION docperm._doctor_password_hash_cheap() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'docperm.settings',
           format('Passwords are hashed with %s KiB and %s iterations: less than OWASP recommends, so stolen hashes are guessed faster.',
                  s.argon2_memory_kib, s.argon2_iterations),
           'UPDATE docperm.settings SET argon2_memory_kib = 19456, argon2_iterations = 2, argon2_parallelism = 1;'
      FROM docperm.settings AS s
     WHERE NOT EXISTS (SELECT
                         FROM (VALUES (47104, 1), (19456, 2), (12288, 3), (9216, 4), (7168, 5)) AS v (memory_kib, iterations)
                        WHERE s.argon2_memory_kib >= v.memory_kib
                          AND s.argon2_iterations >= v.iterations);
END;

COMMENT ON FUNCTION docperm._doctor_password_hash_cheap() IS 'Internal: finding of docperm.doctor(): hashing passwords costs too little';


CREATE FUNCTION docperm._doctor_guessing_unbounded() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'docperm.settings',
           CASE WHEN s.allow_consecutive_login_attempts = 0 THEN 'No account is ever locked: passwords can be guessed without end.'
                ELSE format('An account is locked for %s after %s failures: passwords can be guessed in peace.',
                            s.allow_login_after_fail, s.allow_consecutive_login_attempts) END,
           format('UPDATE docperm.settings SET allow_consecutive_login_attempts = %s, allow_login_after_fail = %L;',
                  CASE WHEN s.allow_consecutive_login_attempts BETWEEN 1 AND 100 THEN s.allow_consecutive_login_attempts ELSE 10 END,
                  greatest(s.allow_login_after_fail, '60 seconds'))
      FROM docperm.settings AS s
     WHERE s.allow_consecutive_login_attempts NOT BETWEEN 1 AND 100
        OR s.allow_login_after_fail < '10 seconds';
END;

COMMENT ON FUNCTION docperm._doctor_guessing_unbounded() IS 'Internal: finding of docperm.doctor(): passwords can be guessed without end';


CREATE FUNCTION docperm._doctor_session_unending() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'docperm.settings',
           concat_ws(' ',
                     CASE WHEN s.session_idle_timeout     IS NULL THEN 'A session that nobody uses stays open (session_idle_timeout).' END,
                     CASE WHEN s.session_absolute_timeout IS NULL THEN 'A session that is used never ends, a stolen one neither (session_absolute_timeout).' END),
           format('UPDATE docperm.settings SET session_idle_timeout = %L, session_absolute_timeout = %L;',
                  coalesce(s.session_idle_timeout, '6 hours'), coalesce(s.session_absolute_timeout, '7 days'))
      FROM docperm.settings AS s
     WHERE num_nulls(s.session_idle_timeout, s.session_absolute_timeout) > 0;
END;

COMMENT ON FUNCTION docperm._doctor_session_unending() IS 'Internal: finding of docperm.doctor(): sessions never end';


CREATE FUNCTION docperm._doctor_password_reset_weak() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'docperm.settings',
           concat_ws(' ',
                     CASE WHEN s.reset_password_link_expiry > '1 day' THEN format('A token that resets a password is good for %s (reset_password_link_expiry).', s.reset_password_link_expiry) END,
                     CASE WHEN s.password_reset_limit = 0             THEN 'Any number of them is made for a user (password_reset_limit).' END,
                     CASE WHEN NOT s.logout_on_password_reset         THEN 'Sessions stay open when a password is reset, a thief''s as well (logout_on_password_reset).' END),
           format('UPDATE docperm.settings SET reset_password_link_expiry = %L, password_reset_limit = %s, logout_on_password_reset = true;',
                  least(s.reset_password_link_expiry, '1 day'), coalesce(nullif(s.password_reset_limit, 0), 3))
      FROM docperm.settings AS s
     WHERE s.reset_password_link_expiry > '1 day'
        OR s.password_reset_limit = 0
        OR NOT s.logout_on_password_reset;
END;

COMMENT ON FUNCTION docperm._doctor_password_reset_weak() IS 'Internal: finding of docperm.doctor(): resetting passwords is too easy';


-- Keys ------------------------------------------------------------------------------------------------

CREATE FUNCTION docperm._key_file_problem() RETURNS text
    LANGUAGE c STABLE COST 1000
AS 'MODULE_PATHNAME', 'docperm_key_file_problem_wrapper';

COMMENT ON FUNCTION docperm._key_file_problem() IS
    'Internal: why docperm.secret_key_file cannot be used, without its path or what is in it; NULL if it can';


CREATE FUNCTION docperm._doctor_key_file_unusable() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'docperm.secret_key_file',
           format('%s Who has a second factor cannot log in, nobody can enrol.', p.problem),
           '-- See "One-time codes" in the README. In the end: ALTER SYSTEM SET docperm.secret_key_file = ''...''; SELECT pg_reload_conf();'
      FROM docperm._key_file_problem() AS p (problem)
     CROSS JOIN docperm.settings       AS s
     WHERE p.problem IS NOT NULL
       AND (s.enable_two_factor_auth
            OR EXISTS (SELECT FROM docperm.two_factor)
            OR coalesce(current_setting('docperm.secret_key_file', true), '') <> '');
END;

COMMENT ON FUNCTION docperm._doctor_key_file_unusable() IS 'Internal: finding of docperm.doctor(): the file with the keys of second factors is missing or open to others';


-- The server's log --------------------------------------------------------------------------------------

CREATE FUNCTION docperm._reset_statement(setting text, value text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE s.source
               WHEN 'session'       THEN format('SET %s = %L;', s.name, value)
               WHEN 'client'        THEN format('SET %s = %L;', s.name, value)
               WHEN 'database'      THEN format('ALTER DATABASE %I SET %s = %L;', current_database(), s.name, value)
               WHEN 'user'          THEN format('ALTER ROLE %I SET %s = %L;', session_user, s.name, value)
               WHEN 'database user' THEN format('ALTER ROLE %I IN DATABASE %I SET %s = %L;', session_user, current_database(), s.name, value)
               ELSE format('ALTER SYSTEM SET %s = %L; SELECT pg_reload_conf();', s.name, value)
           END
      FROM pg_catalog.pg_settings AS s
     WHERE s.name = _reset_statement.setting;
END;

COMMENT ON FUNCTION docperm._reset_statement(text, text) IS
    'Internal: the statement that gives a setting another value where it got the one that it has';


CREATE FUNCTION docperm._doctor_statements_logged() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.name,
           format('%s = %s: statements are logged whatever they hold, and with them passwords and tokens that are written into them.', s.name, s.setting),
           docperm._reset_statement(s.name, CASE s.name WHEN 'log_statement' THEN 'none' ELSE '-1' END)
      FROM pg_catalog.pg_settings AS s
     WHERE (s.name, s.setting) IN (('log_statement', 'all'), ('log_statement', 'mod'), ('log_min_duration_statement', '0'),
                                   ('log_min_duration_sample', '0'), ('auto_explain.log_min_duration', '0'));
END;

COMMENT ON FUNCTION docperm._doctor_statements_logged() IS 'Internal: finding of docperm.doctor(): the server logs statements that hold secrets';


CREATE FUNCTION docperm._doctor_slow_statements_logged() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.name,
           format('%s = %s: statements that are slow or fail are logged with their parameters or text, a slow login with its password, if the application lets it get there.', s.name, s.setting),
           docperm._reset_statement(s.name, CASE s.name WHEN 'log_parameter_max_length_on_error' THEN '0' ELSE '-1' END)
      FROM pg_catalog.pg_settings AS s
     WHERE s.name IN ('log_min_duration_statement', 'log_min_duration_sample', 'auto_explain.log_min_duration', 'log_parameter_max_length_on_error')
       AND CASE s.name WHEN 'log_parameter_max_length_on_error' THEN s.setting <> '0' ELSE s.setting::bigint > 0 END;
END;

COMMENT ON FUNCTION docperm._doctor_slow_statements_logged() IS 'Internal: finding of docperm.doctor(): the server logs some statements, which may hold secrets';


REVOKE ALL ON FUNCTION docperm._key_file_problem()           FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._reset_statement(text, text)  FROM PUBLIC;
