-- Findings about users: who has more than he should, and who can do nothing.

-- Administrators -----------------------------------------------------------------------------------

CREATE FUNCTION docperm._administrators() RETURNS SETOF docperm.users
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT u.*
      FROM docperm.users AS u
     WHERE u.enabled
       AND (u.name = 'Administrator'
            OR EXISTS (SELECT FROM docperm.user_roles AS h WHERE h.user_name = u.name AND h.role = 'System Manager'));
END;

COMMENT ON FUNCTION docperm._administrators() IS 'Internal: the Administrator and the enabled users who hold System Manager';


CREATE FUNCTION docperm._doctor_too_many_administrators() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'role ''System Manager''',
           format('%s enabled users hold it: %s. Each of them can give himself everything; more than three are hard to keep an eye on.',
                  count(*), docperm._listed(array_agg(a.name ORDER BY a.name), 10)),
           '-- Take it from those who need it seldom: DELETE FROM docperm.user_roles WHERE role = ''System Manager'' AND user_name IN (...);'
      FROM docperm._administrators() AS a
     WHERE a.name <> 'Administrator'
    HAVING count(*) > 3;
END;

COMMENT ON FUNCTION docperm._doctor_too_many_administrators() IS 'Internal: finding of docperm.doctor(): more than three users are System Managers';


-- A hash does not tell its password, so a few are tried, for administrators only: each costs
-- what a login costs. Whoever asks is told only of those whose passwords he may set.
CREATE FUNCTION docperm._doctor_password_guessable() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql VOLATILE COST 100000000
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('user %L', a.name),
           'The password of an administrator is the first thing that anybody would try. Whoever is to have it gets another one by docperm.set_password().',
           format('DELETE FROM docperm.passwords WHERE user_name = %L; SELECT docperm.logout_all(%L);', a.name, a.name)
      FROM (SELECT a.name, a.email, a.username, a.first_name, a.last_name, p.password_hash
              FROM docperm._administrators() AS a
              JOIN docperm.passwords         AS p ON p.user_name = a.name
             WHERE a.name <> 'Administrator'
                OR docperm.whoami() = 'Administrator'
                OR docperm._is_database_superuser()
             ORDER BY a.name
             LIMIT 10) AS a
     WHERE EXISTS (SELECT
                     FROM (VALUES ('admin'), ('administrator'), ('Administrator'), ('password'), ('changeme'), ('secret'), ('12345678'), ('docperm'),
                                  (a.name), (split_part(a.email, '@', 1)), (a.username), (lower(a.first_name)), (lower(a.last_name)))
                          AS v (guess)
                    WHERE v.guess <> ''
                      AND docperm.verify_password(v.guess, a.password_hash));
END;

COMMENT ON FUNCTION docperm._doctor_password_guessable() IS 'Internal: finding of docperm.doctor(): an administrator has a password that anybody would guess';


CREATE FUNCTION docperm._doctor_administrator_without_two_factor() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'role ''System Manager''',
           format('Who holds it logs in with a password alone: %s. Let them enrol before you demand it.',
                  docperm._listed(array_agg(a.name ORDER BY a.name), 5)),
           'UPDATE docperm.roles SET two_factor_auth = true WHERE name = ''System Manager''; '
           'UPDATE docperm.settings SET enable_two_factor_auth = true;'
      FROM docperm._administrators() AS a
      JOIN docperm.passwords         AS p ON p.user_name = a.name
     WHERE a.name <> 'Administrator'
       AND NOT docperm._requires_two_factor(a.name)
    HAVING count(*) > 0;
END;

COMMENT ON FUNCTION docperm._doctor_administrator_without_two_factor() IS 'Internal: finding of docperm.doctor(): System Managers log in without a second factor';


CREATE FUNCTION docperm._doctor_api_key_of_administrator() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('API key %s', k.api_key),
           format('It acts as administrator "%s" and never ends. Programs do better with a user of their own.', a.name),
           format('UPDATE docperm.api_keys SET expires_at = now() + interval ''90 days'' WHERE api_key = %L;', k.api_key)
      FROM docperm._administrators() AS a
      JOIN docperm.api_keys          AS k ON k.user_name = a.name
     WHERE k.expires_at IS NULL;
END;

COMMENT ON FUNCTION docperm._doctor_api_key_of_administrator() IS 'Internal: finding of docperm.doctor(): an administrator''s API key never ends';


-- Passwords ----------------------------------------------------------------------------------------

CREATE FUNCTION docperm._doctor_password_hash_old() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT 'docperm.passwords',
           format('The passwords of %s enabled users are hashed as another system did: %s. Each is hashed anew at its user''s next login.',
                  count(*), docperm._listed(array_agg(u.name ORDER BY u.name), 5)),
           '-- Those who never log in can be made to choose another: UPDATE docperm.passwords SET must_change = true WHERE password_hash NOT LIKE ''$argon2id$%'';'
      FROM docperm.passwords AS p
      JOIN docperm.users     AS u ON u.name = p.user_name
     WHERE u.enabled
       AND p.password_hash NOT LIKE '$argon2id$%'
    HAVING count(*) > 0;
END;

COMMENT ON FUNCTION docperm._doctor_password_hash_old() IS 'Internal: finding of docperm.doctor(): passwords are still hashed as another system did';


-- Users who can do nothing -------------------------------------------------------------------------

CREATE FUNCTION docperm._doctor_user_without_roles() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('user %L', u.name),
           'Enabled, and holds no role that counts: he has what everybody has.',
           format('-- INSERT INTO docperm.user_roles (user_name, role) VALUES (%L, ...); or: UPDATE docperm.users SET enabled = false WHERE name = %L;',
                  u.name, u.name)
      FROM docperm.users AS u
     WHERE u.enabled
       AND u.name NOT IN ('Administrator', 'Guest')
       AND NOT EXISTS (SELECT
                         FROM docperm.user_roles AS h
                         JOIN docperm.roles      AS r ON r.name = h.role
                        WHERE h.user_name = u.name
                          AND NOT r.disabled
                          AND r.name NOT IN ('Administrator', 'All', 'Desk User', 'Guest'));
END;

COMMENT ON FUNCTION docperm._doctor_user_without_roles() IS 'Internal: finding of docperm.doctor(): an enabled user holds no role';


CREATE FUNCTION docperm._doctor_user_cannot_log_in() RETURNS TABLE (object text, detail text, remedy text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('user %L', u.name),
           CASE
               WHEN v.is_shut_out THEN format('Logins are for the hours from %s to %s: there are none.', u.login_after, u.login_before)
               WHEN v.lacks_code  THEN 'He needs a one-time code to log in, and has not enrolled.'
               ELSE 'He has neither a password, nor an API key, nor a database role, and no provider vouches for him.'
           END,
           CASE
               WHEN v.is_shut_out THEN format('UPDATE docperm.users SET login_after = 0, login_before = 0 WHERE name = %L;', u.name)
               WHEN v.lacks_code  THEN format('-- Have the application send him what this returns: SELECT docperm.start_enrollment(%L);', u.name)
               ELSE format('-- SELECT docperm.set_password(%L, ...); or: UPDATE docperm.users SET enabled = false WHERE name = %L;', u.name, u.name)
           END
      FROM docperm.users AS u
     CROSS JOIN LATERAL (
               SELECT u.login_after > 0 AND u.login_before > 0 AND u.login_after >= u.login_before,
                      EXISTS (SELECT FROM docperm.passwords AS p WHERE p.user_name = u.name)
                  AND docperm._requires_two_factor(u.name)
                  AND NOT EXISTS (SELECT FROM docperm.two_factor AS t WHERE t.user_name = u.name AND t.confirmed_at IS NOT NULL),
                      NOT EXISTS (SELECT FROM docperm.passwords       AS p WHERE p.user_name = u.name)
                  AND NOT EXISTS (SELECT FROM docperm.api_keys        AS k WHERE k.user_name = u.name)
                  AND NOT EXISTS (SELECT FROM docperm.user_identities AS i WHERE i.user_name = u.name)
                  AND NOT EXISTS (SELECT FROM docperm.login_providers AS l WHERE l.enabled)
                  AND u.db_role IS NULL
                  -- An application that says who its user is has a login of its own.
                  AND NOT EXISTS (SELECT
                                    FROM pg_catalog.pg_proc AS p
                                   CROSS JOIN LATERAL aclexplode(p.proacl) AS a
                                   WHERE p.oid = 'docperm.set_user(text, boolean)'::regprocedure
                                     AND a.grantee <> p.proowner)
           ) AS v (is_shut_out, lacks_code, has_nothing)
     WHERE u.enabled
       AND u.name NOT IN ('Administrator', 'Guest')
       AND (v.is_shut_out OR v.lacks_code OR v.has_nothing);
END;

COMMENT ON FUNCTION docperm._doctor_user_cannot_log_in() IS 'Internal: finding of docperm.doctor(): an enabled user has no way to log in';


REVOKE ALL ON FUNCTION docperm._administrators() FROM PUBLIC;
