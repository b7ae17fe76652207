-- Passwords: kept as hashes, judged when they are new, reset by a token that is good once.
--
-- Functions that are given a secret call docperm._conceal_statement() before anything can fail,
-- so that the statement that holds it is not logged. Those in C do so by themselves.

CREATE TABLE docperm.passwords (
    user_name     text        NOT NULL,
    password_hash text        NOT NULL,
    changed_at    timestamptz NOT NULL DEFAULT now(),
    must_change   boolean     NOT NULL DEFAULT false,

    CONSTRAINT passwords_pkey                PRIMARY KEY (user_name),
    CONSTRAINT passwords_user_name_fkey      FOREIGN KEY (user_name) REFERENCES docperm.users (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT passwords_password_hash_check CHECK (password_hash ~ '^\$(argon2id|argon2i|argon2d|pbkdf2-sha256)\$')
);

COMMENT ON TABLE  docperm.passwords               IS 'Password hashes of users. Who has no row cannot log in with a password. Hashes of another system are imported by INSERT';
COMMENT ON COLUMN docperm.passwords.user_name     IS 'The user';
COMMENT ON COLUMN docperm.passwords.password_hash IS 'PHC string: $argon2id$, which docperm makes, or $argon2i$, $argon2d$ or Frappe''s $pbkdf2-sha256$, which are verified and made anew at login';
COMMENT ON COLUMN docperm.passwords.changed_at    IS 'When the user got this password';
COMMENT ON COLUMN docperm.passwords.must_change   IS 'The user has to choose another one at the next login';


CREATE TABLE docperm.password_resets (
    token_hash   bytea       NOT NULL,
    user_name    text        NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz,

    CONSTRAINT password_resets_pkey             PRIMARY KEY (token_hash),
    CONSTRAINT password_resets_user_name_fkey   FOREIGN KEY (user_name) REFERENCES docperm.users (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT password_resets_token_hash_check CHECK (octet_length(token_hash) = 32)
);

CREATE INDEX password_resets_user_name_idx ON docperm.password_resets (user_name, requested_at);

COMMENT ON TABLE  docperm.password_resets               IS 'Tokens with which users may choose a new password, of the last day';
COMMENT ON COLUMN docperm.password_resets.token_hash    IS 'SHA-256 of the token, which is stored nowhere';
COMMENT ON COLUMN docperm.password_resets.user_name     IS 'Whose password it resets';
COMMENT ON COLUMN docperm.password_resets.requested_at  IS 'When it was made';
COMMENT ON COLUMN docperm.password_resets.expires_at    IS 'Until when it is good';
COMMENT ON COLUMN docperm.password_resets.used_at       IS 'When it was used, or lost its use because the password was changed otherwise';
COMMENT ON INDEX  docperm.password_resets_user_name_idx IS 'A user''s tokens of the last hour';


-- The building blocks -------------------------------------------------------------------

CREATE FUNCTION docperm._conceal_statement() RETURNS void
    LANGUAGE c VOLATILE PARALLEL RESTRICTED STRICT COST 1
AS 'MODULE_PATHNAME', 'docperm_conceal_statement_wrapper';

COMMENT ON FUNCTION docperm._conceal_statement() IS
    'Internal: keeps the text of the current statement out of the server''s log, should it fail';


CREATE FUNCTION docperm._hash_password(password text, memory_kib integer, iterations integer, parallelism integer) RETURNS text
    LANGUAGE c VOLATILE PARALLEL RESTRICTED STRICT COST 10000000
AS 'MODULE_PATHNAME', 'docperm_hash_password_wrapper';

COMMENT ON FUNCTION docperm._hash_password(text, integer, integer, integer) IS
    'Internal: the Argon2id hash of a password at that cost, with a salt of its own';


CREATE FUNCTION docperm._require_password_hash(hash text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL RESTRICTED STRICT COST 10
AS 'MODULE_PATHNAME', 'docperm_require_password_hash_wrapper';

COMMENT ON FUNCTION docperm._require_password_hash(text) IS
    'Internal: an error (22023) unless a password can be verified against the hash, at a bearable cost';


CREATE FUNCTION docperm._password_weakness(password text, about_user text[], minimum_score integer, minimum_length integer) RETURNS text
    LANGUAGE c VOLATILE PARALLEL RESTRICTED STRICT COST 1000000
AS 'MODULE_PATHNAME', 'docperm_password_weakness_wrapper';

COMMENT ON FUNCTION docperm._password_weakness(text, text[], integer, integer) IS
    'Internal: what is wrong with a new password; NULL if nothing is';


CREATE FUNCTION docperm._reset_token() RETURNS text
    LANGUAGE c VOLATILE PARALLEL RESTRICTED STRICT COST 10
AS 'MODULE_PATHNAME', 'docperm_reset_token_wrapper';

COMMENT ON FUNCTION docperm._reset_token() IS 'Internal: 256 random bits as hexadecimal digits';


CREATE FUNCTION docperm._is_database_superuser() RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE STRICT COST 10
AS 'MODULE_PATHNAME', 'docperm_is_database_superuser_wrapper';

COMMENT ON FUNCTION docperm._is_database_superuser() IS
    'Internal: whether nobody acts but a database superuser';


CREATE FUNCTION docperm.hash_password(password text) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL RESTRICTED STRICT SECURITY DEFINER COST 10000000
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT docperm._hash_password(password, s.argon2_memory_kib, s.argon2_iterations, s.argon2_parallelism)
              FROM docperm.settings AS s);
END
$$;

COMMENT ON FUNCTION docperm.hash_password(text) IS
    'The Argon2id hash of a password as it is stored in docperm.passwords, at the cost in docperm.settings. Each call takes that memory and cannot be interrupted: EXECUTE is granted to nobody by default. Errors: 22023 an empty password, or one of more than 4096 bytes';


-- Volatile, so that the planner does not run it.
CREATE FUNCTION docperm.verify_password(password text, hash text) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL RESTRICTED STRICT COST 10000000
AS 'MODULE_PATHNAME', 'docperm_verify_password_wrapper';

COMMENT ON FUNCTION docperm.verify_password(text, text) IS
    'Whether the password is that of the hash: $argon2id$, $argon2i$, $argon2d$, or Frappe''s $pbkdf2-sha256$. Takes the memory that the hash asks for, up to 256 MiB, and cannot be interrupted: EXECUTE is granted to nobody by default. It counts no attempts. Errors: 22023 not such a hash, or one that costs too much';


CREATE FUNCTION docperm.password_strength(password text, user_inputs text[] DEFAULT '{}')
    RETURNS TABLE (score integer, guesses_log10 double precision, warning text, suggestions text[])
    LANGUAGE c VOLATILE PARALLEL RESTRICTED STRICT COST 1000000 ROWS 1
AS 'MODULE_PATHNAME', 'docperm_password_strength_wrapper';

COMMENT ON FUNCTION docperm.password_strength(text, text[]) IS
    'How hard a password is to guess (zxcvbn, its first 100 characters) for who knows user_inputs, such as the user''s names: score 0 to 4, the order of magnitude of the number of guesses, and what to say to the user';


-- Who may -------------------------------------------------------------------------------

CREATE FUNCTION docperm._require_password_administrator(user_name text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    reason text;
BEGIN
    -- Whoever has the Administrator's password is the Administrator.
    IF NOT docperm._administers() THEN
        reason := 'Only the Administrator and System Managers may.';
    ELSIF user_name = 'Administrator' AND docperm.whoami() <> 'Administrator' AND NOT docperm._is_database_superuser() THEN
        reason := 'Only the Administrator may set the Administrator''s, or a database superuser.';
    END IF;
    IF reason IS NOT NULL THEN
        PERFORM docperm._refuse(
            format('user "%s" may not set the password of "%s"', docperm.whoami(), user_name),
            reason,
            'Everybody changes his own password with docperm.change_password().');
    END IF;
    IF user_name IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = 'user_name is missing',
            HINT    = 'Name the user.';
    END IF;
    PERFORM docperm._require_user(user_name);
END
$$;

COMMENT ON FUNCTION docperm._require_password_administrator(text) IS
    'Internal: an error (42501) unless the acting user may set the password of that user, or (42704) if there is no such user';


CREATE FUNCTION docperm._check_password() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM docperm._conceal_statement();
    NEW.user_name := docperm._user_name(NEW.user_name);
    IF NEW.user_name = 'Guest' THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = 'user "Guest" has no password',
            HINT    = 'Guest is who has not logged in.';
    END IF;
    PERFORM docperm._require_user(NEW.user_name);
    IF NOT docperm._restoring() THEN
        PERFORM docperm._require_password_hash(NEW.password_hash);
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._check_password() IS
    'Internal: trigger that refuses unknown users, and hashes that no password could be verified against';

-- A rename that cascades comes by here too; the parent row bears the new name by then.
CREATE TRIGGER check_password
    BEFORE INSERT OR UPDATE ON docperm.passwords
    FOR EACH ROW EXECUTE FUNCTION docperm._check_password();


CREATE FUNCTION docperm._check_password_reset() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.user_name := docperm._user_name(NEW.user_name);
    PERFORM docperm._require_user(NEW.user_name);
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._check_password_reset() IS 'Internal: trigger that refuses unknown users';

CREATE TRIGGER check_names
    BEFORE INSERT OR UPDATE ON docperm.password_resets
    FOR EACH ROW EXECUTE FUNCTION docperm._check_password_reset();


-- New passwords -------------------------------------------------------------------------

-- Columns that a user's record may get or lose are looked up by name.
CREATE FUNCTION docperm._known_about(user_name text) RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN (SELECT array_agg(k.value ORDER BY k.position)
          FROM docperm.users AS u,
               unnest(ARRAY['name', 'first_name', 'last_name', 'middle_name', 'email', 'username',
                            'birth_date', 'mobile_no', 'phone', 'location']) WITH ORDINALITY AS c (name, position),
               LATERAL (SELECT to_jsonb(u) ->> c.name AS value, c.position) AS k
         WHERE u.name = _known_about.user_name
           AND k.value <> '');

COMMENT ON FUNCTION docperm._known_about(text) IS
    'Internal: what those know who guess the user''s password: names, addresses, numbers, the birth date';


-- That a new password is the old one is told to who has shown that he knows the old one, and to
-- nobody else: it would be a way to guess passwords that nobody counts.
CREATE FUNCTION docperm._check_new_password(user_name text, new_password text, old_password text = NULL) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    settings docperm.settings;
    weakness text;
BEGIN
    PERFORM docperm._conceal_statement();
    IF coalesce(new_password, '') = '' THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = 'the password is empty',
            HINT    = 'Choose another password.';
    END IF;
    IF octet_length(new_password) > 4096 THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = 'the password is longer than 4096 bytes',
            HINT    = 'Choose another password.';
    END IF;
    IF normalize(new_password, NFKC) = normalize(old_password, NFKC) THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('the new password of "%s" is the old one', user_name),
            HINT    = 'Choose another password.';
    END IF;

    SELECT * INTO STRICT settings FROM docperm.settings;
    IF settings.enable_password_policy THEN
        weakness := docperm._password_weakness(new_password, coalesce(docperm._known_about(user_name), '{}'),
                                               settings.minimum_password_score, settings.minimum_password_length);
        IF weakness IS NOT NULL THEN
            RAISE EXCEPTION USING
                ERRCODE = '22023',
                MESSAGE = format('the new password of "%s" is too easy to guess', user_name),
                DETAIL  = weakness,
                HINT    = 'docperm.password_strength() tells how strong a password is.';
        END IF;
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._check_new_password(text, text, text) IS
    'Internal: an error (22023) unless the password is good enough for the user; old_password only if it has been verified';


CREATE FUNCTION docperm._store_password(user_name text, password text, must_change boolean = false) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO docperm.passwords AS p (user_name, password_hash, changed_at, must_change)
    VALUES (_store_password.user_name, docperm.hash_password(password), clock_timestamp(), coalesce(_store_password.must_change, false))
        ON CONFLICT ON CONSTRAINT passwords_pkey DO UPDATE
       SET password_hash = excluded.password_hash,
           changed_at    = excluded.changed_at,
           must_change   = excluded.must_change;

    -- Who had a link before, perhaps because the mailbox is not the user's alone, has it no longer.
    UPDATE docperm.password_resets AS r
       SET used_at = clock_timestamp()
     WHERE r.user_name = _store_password.user_name
       AND r.used_at IS NULL;
END
$$;

COMMENT ON FUNCTION docperm._store_password(text, text, boolean) IS
    'Internal: hashes and stores a password that was checked before; reset tokens of the user lose their use';


CREATE FUNCTION docperm.set_password(
    user_name       text,
    new_password    text,
    logout_sessions boolean = true,
    must_change     boolean = false
) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    holder text := docperm._user_name(user_name);
BEGIN
    PERFORM docperm._conceal_statement();
    PERFORM docperm._require_password_administrator(holder);
    PERFORM docperm._check_new_password(holder, new_password);
    PERFORM docperm._store_password(holder, new_password, must_change);
    PERFORM docperm._log_activity('Set Password', holder, true, NULL, 'by ' || docperm._actor());
    IF coalesce(logout_sessions, true) THEN
        PERFORM docperm._end_sessions_of(holder, except_current => holder = docperm.whoami());
    END IF;
END
$$;

COMMENT ON FUNCTION docperm.set_password(text, text, boolean, boolean) IS
    'Gives a user a password, and ends his sessions elsewhere unless logout_sessions is false; with must_change he has to choose his own at the next login. For administrators; the Administrator''s is for the Administrator and database superusers. Errors: 42501 not an administrator, 42704 unknown user, 22023 a password that is too weak (DETAIL says why)';


CREATE FUNCTION docperm.import_password_hash(user_name text, hash text, changed_at timestamptz = NULL) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    holder text := docperm._user_name(user_name);
BEGIN
    PERFORM docperm._conceal_statement();
    PERFORM docperm._require_password_administrator(holder);
    INSERT INTO docperm.passwords AS p (user_name, password_hash, changed_at)
    VALUES (holder, hash, coalesce(import_password_hash.changed_at, clock_timestamp()))
        ON CONFLICT ON CONSTRAINT passwords_pkey DO UPDATE
       SET password_hash = excluded.password_hash,
           changed_at    = excluded.changed_at,
           must_change   = false;
    PERFORM docperm._log_activity('Set Password', holder, true, NULL, format('hash imported by %s', docperm._actor()));
END
$$;

COMMENT ON FUNCTION docperm.import_password_hash(text, text, timestamptz) IS
    'Gives a user the password hash that he has in another system, such as Frappe''s $pbkdf2-sha256$; it is made anew when he logs in. For those who may set his password. Errors: 42501 not an administrator, 42704 unknown user, 22023 not a hash that docperm verifies';


CREATE FUNCTION docperm._must_change_password(user_name text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN coalesce((SELECT p.must_change
                        OR s.force_user_to_reset_password > 0
                       AND p.changed_at < now() - make_interval(hours => 24 * s.force_user_to_reset_password)
                   FROM docperm.passwords AS p, docperm.settings AS s
                  WHERE p.user_name = _must_change_password.user_name
                    AND p.user_name NOT IN ('Administrator', 'Guest')), false);

COMMENT ON FUNCTION docperm._must_change_password(text) IS
    'Internal: whether the user has to choose another password before anything else: because somebody said so, or because his is older than force_user_to_reset_password';


-- Forgotten passwords -------------------------------------------------------------------

CREATE FUNCTION docperm.request_password_reset(login_id text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    token     text := docperm._reset_token();
    requester text;
    settings  docperm.settings;
BEGIN
    SELECT * INTO STRICT settings FROM docperm.settings;

    -- Two that find the same rows do not wait for each other.
    DELETE FROM docperm.password_resets AS r
     WHERE r.token_hash IN (SELECT o.token_hash
                              FROM docperm.password_resets AS o
                             WHERE greatest(o.requested_at, o.expires_at) < clock_timestamp() - interval '24 hours'
                               FOR UPDATE SKIP LOCKED);

    SELECT u.name INTO requester
      FROM docperm.users AS u
     WHERE u.name = docperm._user_name(login_id)
       AND u.enabled
       AND u.name NOT IN ('Administrator', 'Guest');

    -- Requests for one user take turns, so that each counts those before.
    PERFORM docperm._wait_for_turn('password reset ' || requester);
    IF settings.password_reset_limit > 0
       AND settings.password_reset_limit <= (SELECT count(*)
                                               FROM docperm.password_resets AS r
                                              WHERE r.user_name    = requester
                                                AND r.requested_at > clock_timestamp() - interval '1 hour') THEN
        requester := NULL;
    END IF;

    IF requester IS NOT NULL THEN
        INSERT INTO docperm.password_resets (token_hash, user_name, expires_at)
        VALUES (sha256(convert_to(token, 'UTF8')), requester, clock_timestamp() + settings.reset_password_link_expiry);
    ELSE
        -- Else the commit would have nothing to wait for, and its time would tell.
        PERFORM pg_logical_emit_message(true, 'docperm', repeat(' ', 200));
    END IF;
    RETURN token;
END
$$;

COMMENT ON FUNCTION docperm.request_password_reset(text) IS
    'A token with which the user of that name may choose a new password once (docperm.reset_password), within reset_password_link_expiry. A name that is unknown or disabled, the Administrator, and who has asked password_reset_limit times within an hour get a token that opens nothing; docperm.password_reset_recipient() tells to whom it may be sent. For applications that send it: whoever may execute it can become anybody. EXECUTE is granted to nobody by default';


-- Volatile, so that it sees the token that the same statement has made.
CREATE FUNCTION docperm.password_reset_recipient(token text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM docperm._conceal_statement();
    RETURN (SELECT u.email
              FROM docperm.password_resets AS r
              JOIN docperm.users           AS u ON u.name = r.user_name
             WHERE r.token_hash = sha256(convert_to(token, 'UTF8'))
               AND r.used_at IS NULL
               AND r.expires_at > clock_timestamp()
               AND u.enabled);
END
$$;

COMMENT ON FUNCTION docperm.password_reset_recipient(text) IS
    'The e-mail address to which a token of docperm.request_password_reset() is to be sent; NULL for one that opens nothing. An application that answers before it sends tells nobody which users exist. EXECUTE is granted to nobody by default';


CREATE FUNCTION docperm.reset_password(token text, new_password text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    presented bytea := sha256(convert_to(token, 'UTF8'));
    redeemed  docperm.password_resets;
    reason    text;
BEGIN
    PERFORM docperm._conceal_statement();

    -- Of two who come with the same token, the second waits here and then finds it used.
    UPDATE docperm.password_resets AS r
       SET used_at = clock_timestamp()
     WHERE r.token_hash = presented
       AND r.used_at IS NULL
       AND r.expires_at > clock_timestamp()
       AND EXISTS (SELECT FROM docperm.users AS u WHERE u.name = r.user_name AND u.enabled)
    RETURNING * INTO redeemed;

    IF NOT FOUND THEN
        -- Who has a token that was once good may know what became of it.
        SELECT CASE
                   WHEN r.used_at IS NOT NULL            THEN 'It has been used, or the password was changed since.'
                   WHEN r.expires_at <= clock_timestamp() THEN 'It has expired.'
               END INTO reason
          FROM docperm.password_resets AS r
         WHERE r.token_hash = presented;
        RAISE EXCEPTION USING
            ERRCODE = '28000',
            MESSAGE = 'the token does not reset a password',
            DETAIL  = coalesce(reason, 'It is not valid.'),
            HINT    = 'Ask for a new one.';
    END IF;

    PERFORM docperm._check_new_password(redeemed.user_name, new_password);
    PERFORM docperm._store_password(redeemed.user_name, new_password);
    PERFORM docperm._log_activity('Reset Password', redeemed.user_name, true, NULL, NULL);
    IF (SELECT s.logout_on_password_reset FROM docperm.settings AS s) THEN
        PERFORM docperm._end_sessions_of(redeemed.user_name, except_current => false);
    END IF;
    RETURN redeemed.user_name;
END
$$;

COMMENT ON FUNCTION docperm.reset_password(text, text) IS
    'Gives the user for whom the token was made a new password, once, and ends his sessions if logout_on_password_reset says so; returns his name. With a password that is too weak, the token stays good. Errors: 28000 a token that is unknown, used or expired (DETAIL says which), 22023 a password that is too weak (DETAIL says why)';


-- Privileges ----------------------------------------------------------------------------

REVOKE ALL ON FUNCTION
    docperm._check_new_password(text, text, text),
    docperm._check_password(),
    docperm._check_password_reset(),
    docperm._conceal_statement(),
    docperm._hash_password(text, integer, integer, integer),
    docperm._is_database_superuser(),
    docperm._known_about(text),
    docperm._must_change_password(text),
    docperm._password_weakness(text, text[], integer, integer),
    docperm._require_password_administrator(text),
    docperm._require_password_hash(text),
    docperm._reset_token(),
    docperm._store_password(text, text, boolean),
    docperm.hash_password(text),
    docperm.import_password_hash(text, text, timestamptz),
    docperm.password_reset_recipient(text),
    docperm.password_strength(text, text[]),
    docperm.request_password_reset(text),
    docperm.reset_password(text, text),
    docperm.set_password(text, text, boolean, boolean),
    docperm.verify_password(text, text)
FROM PUBLIC;

-- The first two ask who acts; the token is what the third asks for; the last knows no secret,
-- and costs no memory.
GRANT EXECUTE ON FUNCTION docperm.set_password(text, text, boolean, boolean)         TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.import_password_hash(text, text, timestamptz)      TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.reset_password(text, text)                         TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.password_strength(text, text[])                    TO PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('docperm.passwords', '');
-- Tokens that were used after the dump was made must not come back unused.
SELECT pg_catalog.pg_extension_config_dump('docperm.password_resets', 'WHERE false');
