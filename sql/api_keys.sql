-- API keys: for programs that act as a user. docperm.resume('key:secret', true) takes one
-- up like a session's token.

CREATE TABLE docperm.api_keys (
    api_key     text        NOT NULL,
    user_name   text        NOT NULL,
    secret_hash text        NOT NULL,
    description text,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at  timestamptz,

    CONSTRAINT api_keys_pkey              PRIMARY KEY (api_key),
    CONSTRAINT api_keys_user_name_fkey    FOREIGN KEY (user_name) REFERENCES docperm.users (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT api_keys_api_key_check     CHECK (api_key ~ '^[A-Za-z0-9_-]+$'),
    CONSTRAINT api_keys_secret_hash_check CHECK (secret_hash ~ '^[0-9a-f]{64}$')
);

CREATE INDEX api_keys_user_name_idx ON docperm.api_keys (user_name);

COMMENT ON TABLE  docperm.api_keys             IS 'API keys of users. A row that is deleted ends the key''s use everywhere, at the next statement';
COMMENT ON COLUMN docperm.api_keys.api_key     IS 'The key, which is no secret';
COMMENT ON COLUMN docperm.api_keys.user_name   IS 'Who acts by it';
COMMENT ON COLUMN docperm.api_keys.secret_hash IS 'SHA-256 of the secret (256 random bits), in hexadecimal digits';
COMMENT ON COLUMN docperm.api_keys.description IS 'What it is for';
COMMENT ON COLUMN docperm.api_keys.created_at  IS 'When it was made';
COMMENT ON COLUMN docperm.api_keys.expires_at  IS 'When it ends; NULL if it does not';
COMMENT ON INDEX  docperm.api_keys_user_name_idx IS 'A user''s keys';


CREATE FUNCTION docperm._random_token() RETURNS text
    LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'docperm_random_token_wrapper';

COMMENT ON FUNCTION docperm._random_token() IS 'Internal: 256 random bits as 43 characters';


CREATE FUNCTION docperm.create_api_key(
    user_name   text        DEFAULT docperm.whoami(),
    description text        DEFAULT NULL,
    expires_at  timestamptz DEFAULT NULL
) RETURNS TABLE (api_key text, api_secret text)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    whose text := docperm._user_name(user_name);
BEGIN
    IF whose IS DISTINCT FROM docperm.whoami() THEN
        PERFORM docperm._require_administration('make API keys for others');
        PERFORM docperm._require_user(whose);
        PERFORM docperm._require_power_over(whose);
    END IF;
    IF whose = 'Guest'
       OR docperm._impersonator() IS NOT NULL
       OR (whose = docperm.whoami() AND (SELECT i.source = 'API key' FROM docperm.session_info() AS i)) THEN
        RAISE EXCEPTION USING
            ERRCODE = '42501',
            MESSAGE = format('user "%s" gets no API key', whose),
            DETAIL  = 'Guest has none, and whoever acts as somebody else, or by an API key, makes none that would outlast it.',
            HINT    = 'Log in as the user.';
    END IF;

    -- The key tells rows apart and is no secret: a part of a token is random enough.
    api_key    := left(docperm._random_token(), 22);
    api_secret := docperm._random_token();
    INSERT INTO docperm.api_keys AS k (api_key, user_name, secret_hash, description, expires_at)
    VALUES (create_api_key.api_key, whose, encode(sha256(convert_to(api_secret, 'UTF8')), 'hex'),
            create_api_key.description, create_api_key.expires_at);
    PERFORM docperm._log_activity('API Key', whose, true, NULL,
                                  format('%s made by %s', create_api_key.api_key, docperm._actor()));
    RETURN NEXT;
END
$$;

COMMENT ON FUNCTION docperm.create_api_key(text, text, timestamptz) IS
    'Makes an API key for the acting user or, for administrators, another one. The secret is shown this once. Errors: 42501 not allowed, 42704 unknown user';


CREATE FUNCTION docperm.my_api_keys()
    RETURNS TABLE (api_key text, description text, created_at timestamptz, expires_at timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT k.api_key, k.description, k.created_at, k.expires_at
      FROM docperm.api_keys AS k
     WHERE k.user_name = docperm.whoami()
     ORDER BY k.created_at DESC, k.api_key;
END;

COMMENT ON FUNCTION docperm.my_api_keys() IS 'The acting user''s API keys, the latest first';


CREATE FUNCTION docperm.revoke_api_key(api_key text) RETURNS void
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Before: it may be the key that acts.
    actor   text := docperm._actor();
    revoked docperm.api_keys;
BEGIN
    DELETE FROM docperm.api_keys AS k
     WHERE k.api_key = revoke_api_key.api_key
       AND (k.user_name = docperm.whoami()
            OR (docperm._administers() AND docperm._has_power_over(k.user_name)))
    RETURNING k.* INTO revoked;

    IF revoked.api_key IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '42704',
            MESSAGE = 'there is no such API key',
            HINT    = 'docperm.my_api_keys() lists your own.';
    END IF;
    PERFORM docperm._log_activity('API Key', revoked.user_name, true, NULL,
                                  format('%s revoked by %s', revoked.api_key, actor));
END
$$;

COMMENT ON FUNCTION docperm.revoke_api_key(text) IS
    'Ends an API key of the acting user or, for administrators, of anybody. Error: 42704 there is no such key';


REVOKE ALL     ON FUNCTION docperm._random_token()                         FROM PUBLIC;
REVOKE ALL     ON FUNCTION docperm.create_api_key(text, text, timestamptz) FROM PUBLIC;
REVOKE ALL     ON FUNCTION docperm.my_api_keys()                           FROM PUBLIC;
REVOKE ALL     ON FUNCTION docperm.revoke_api_key(text)                    FROM PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.create_api_key(text, text, timestamptz) TO   PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.my_api_keys()                           TO   PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.revoke_api_key(text)                    TO   PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('docperm.api_keys', '');
