-- The second factor: one-time codes of an authenticator app (RFC 6238).
--
-- The secrets are sealed with a key that is not in the database, in the file that the setting
-- docperm.secret_key_file names. So a dump, a backup, or a look into the table gives none away.

CREATE TABLE docperm.two_factor (
    user_name      text        NOT NULL,
    sealed_secret  text        NOT NULL,
    started_at     timestamptz NOT NULL DEFAULT now(),
    confirmed_at   timestamptz,
    last_used_step bigint,

    CONSTRAINT two_factor_pkey           PRIMARY KEY (user_name),
    CONSTRAINT two_factor_user_name_fkey FOREIGN KEY (user_name) REFERENCES docperm.users (name) ON UPDATE CASCADE ON DELETE CASCADE
);

COMMENT ON TABLE  docperm.two_factor                IS 'Second factors of users';
COMMENT ON COLUMN docperm.two_factor.user_name      IS 'The user';
COMMENT ON COLUMN docperm.two_factor.sealed_secret  IS 'The secret that the user''s authenticator app has as well, sealed for this user with a key of docperm.secret_key_file';
COMMENT ON COLUMN docperm.two_factor.started_at     IS 'When the secret was made; it has to be confirmed within a day';
COMMENT ON COLUMN docperm.two_factor.confirmed_at   IS 'When a first right code put it in force; NULL until then';
COMMENT ON COLUMN docperm.two_factor.last_used_step IS 'Half minutes since 1970 of the last code that was used: it and all before it are used up';


-- Not STRICT: confirmed_at is NULL until it is confirmed.
CREATE FUNCTION docperm._is_enrolment_good(confirmed_at timestamptz, started_at timestamptz) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
RETURN confirmed_at IS NOT NULL OR started_at > now() - interval '1 day';

COMMENT ON FUNCTION docperm._is_enrolment_good(timestamptz, timestamptz) IS
    'Internal: whether a second factor is in force, or new enough to be confirmed';


CREATE FUNCTION docperm._reseal_secret(sealed text, from_user text, to_user text) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE STRICT COST 100
AS 'MODULE_PATHNAME', 'docperm_reseal_secret_wrapper';

COMMENT ON FUNCTION docperm._reseal_secret(text, text, text) IS
    'Internal: for one user what was sealed for another; a sealed secret opens for its own user alone';


CREATE FUNCTION docperm._check_two_factor() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.user_name := docperm._user_name(NEW.user_name);
    PERFORM docperm._require_user(NEW.user_name);

    IF TG_OP = 'UPDATE' AND NEW.user_name <> OLD.user_name THEN
        -- The user has been renamed, so there is none of the old name any more.
        IF EXISTS (SELECT FROM docperm.users AS u WHERE u.name = OLD.user_name) THEN
            RAISE EXCEPTION USING
                ERRCODE = '22023',
                MESSAGE = format('the second factor of user "%s" cannot become another''s', OLD.user_name),
                HINT    = 'Let the other user enrol.';
        END IF;
        NEW.sealed_secret := docperm._reseal_secret(NEW.sealed_secret, OLD.user_name, NEW.user_name);
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._check_two_factor() IS 'Internal: trigger that refuses unknown users, and seals the secret anew for a user who is renamed';

CREATE TRIGGER check_names
    BEFORE INSERT OR UPDATE ON docperm.two_factor
    FOR EACH ROW EXECUTE FUNCTION docperm._check_two_factor();

SELECT pg_catalog.pg_extension_config_dump('docperm.two_factor', '');


-- Who needs one -----------------------------------------------------------------------

-- Also the roles that users hold without a row: a role that is marked, and asks nobody, would
-- be worse than one that asks too many.
CREATE FUNCTION docperm._requires_two_factor(user_name text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN _requires_two_factor.user_name NOT IN ('Administrator', 'Guest')
   AND EXISTS (SELECT FROM docperm.settings AS s WHERE s.enable_two_factor_auth)
   AND EXISTS (SELECT
                 FROM docperm.roles AS r
                WHERE r.two_factor_auth
                  AND NOT r.disabled
                  AND CASE
                          WHEN r.name IN ('All', 'Guest')  THEN true
                          WHEN r.name = 'Administrator'    THEN false
                          WHEN r.name = 'Desk User'        THEN docperm._user_type(_requires_two_factor.user_name) = 'System User'
                          ELSE EXISTS (SELECT
                                         FROM docperm.user_roles AS h
                                        WHERE h.user_name = _requires_two_factor.user_name
                                          AND h.role      = r.name)
                      END);

COMMENT ON FUNCTION docperm._requires_two_factor(text) IS
    'Internal: whether the user needs a one-time code to log in: the setting is on, and one of his roles has two_factor_auth';


-- For users ---------------------------------------------------------------------------

-- These are not SECURITY DEFINER: they have to see who calls them, and take the privileges
-- that they need after that.

CREATE FUNCTION docperm.enroll_two_factor() RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
    SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'docperm_enroll_two_factor_wrapper';

COMMENT ON FUNCTION docperm.enroll_two_factor() IS
    'A new second factor for the acting user: returns the otpauth address for the authenticator app, mostly shown as a QR code, this once. In force as soon as confirm_two_factor() got a right code, within a day. Errors: 55000 there is one in force, or no key to seal secrets with';


CREATE FUNCTION docperm.confirm_two_factor(otp text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
    SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'docperm_confirm_two_factor_wrapper';

COMMENT ON FUNCTION docperm.confirm_two_factor(text) IS
    'Puts the acting user''s new second factor in force, by a first code from the app. Errors: 28P01 the code is not right, 55000 there is nothing to confirm';


CREATE FUNCTION docperm.reset_two_factor(user_name text DEFAULT NULL) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
    SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'docperm_reset_two_factor_wrapper';

COMMENT ON FUNCTION docperm.reset_two_factor(text) IS
    'Takes away a second factor, one''s own or as an administrator that of another; whether there was one. That of the Administrator only he himself, or a database superuser. Errors: 42501 not one''s own, 42704 unknown user';


-- For applications and administrators ------------------------------------------------

CREATE FUNCTION docperm.start_enrollment(user_name text) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 1000
    SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'docperm_start_enrollment_wrapper';

COMMENT ON FUNCTION docperm.start_enrollment(text) IS
    'A new second factor for a user who cannot log in without one: returns the otpauth address for the application to send to this user and nobody else. The first right code at a login puts it in force, within a day. Whoever may execute it must be trusted. Errors: 55000 there is one in force, 42704 unknown user, 28000 disabled user';


CREATE FUNCTION docperm.reseal_secrets() RETURNS integer
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 10000
    SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'docperm_reseal_secrets_wrapper';

COMMENT ON FUNCTION docperm.reseal_secrets() IS
    'Seals with the first key of docperm.secret_key_file all secrets that were sealed with another, which can be removed from the file afterwards; how many that were';


-- The login calls this in the library, in a process of its own that commits. As a function
-- it could be rolled back by its caller, and guessed with, so it is for nobody.
CREATE FUNCTION docperm._verify_one_time_code(user_name text, code text) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE STRICT COST 1000
    SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'docperm_verify_one_time_code_wrapper';

COMMENT ON FUNCTION docperm._verify_one_time_code(text, text) IS
    'Internal: what a code is worth to log in with, and uses it up: right, wrong, already used, not enrolled';


REVOKE ALL ON FUNCTION docperm._check_two_factor()                                   FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._is_enrolment_good(timestamptz, timestamptz)          FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._requires_two_factor(text)                            FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._reseal_secret(text, text, text)                      FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._verify_one_time_code(text, text)                     FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.reseal_secrets()                                      FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.start_enrollment(text)                                FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.enroll_two_factor()                                   FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.confirm_two_factor(text)                              FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.reset_two_factor(text)                                FROM PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.enroll_two_factor()                               TO   PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.confirm_two_factor(text)                          TO   PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.reset_two_factor(text)                            TO   PUBLIC;
