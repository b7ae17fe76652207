-- Logging in by a provider of OpenID Connect: its ID tokens are verified against public keys
-- that are kept here, so the database asks nobody.

CREATE TABLE docperm.login_providers (
    name          text    NOT NULL,
    issuer        text,
    client_id     text,
    jwks          jsonb,
    enabled       boolean NOT NULL DEFAULT true,
    allow_signup  boolean NOT NULL DEFAULT false,
    require_nonce boolean NOT NULL DEFAULT true,

    CONSTRAINT login_providers_pkey          PRIMARY KEY (name),
    CONSTRAINT login_providers_name_check    CHECK (name <> '' AND name = btrim(name)),
    CONSTRAINT login_providers_enabled_check CHECK (NOT enabled OR (coalesce(issuer, '') <> '' AND coalesce(client_id, '') <> '' AND jwks IS NOT NULL))
);

COMMENT ON TABLE  docperm.login_providers               IS 'Providers of OpenID Connect whose ID tokens open a session';
COMMENT ON COLUMN docperm.login_providers.name          IS 'Name of the provider, as applications give it';
COMMENT ON COLUMN docperm.login_providers.issuer        IS 'Issuer exactly as in the provider''s tokens (iss), such as https://accounts.google.com';
COMMENT ON COLUMN docperm.login_providers.client_id     IS 'What the provider calls this application; tokens for others are refused';
COMMENT ON COLUMN docperm.login_providers.jwks          IS 'Public keys as the provider publishes them at its jwks_uri. Providers change them: copy them again from time to time';
COMMENT ON COLUMN docperm.login_providers.enabled       IS 'Tokens of a provider that is not enabled are refused';
COMMENT ON COLUMN docperm.login_providers.allow_signup  IS 'Whoever comes with a verified e-mail address that no user has becomes a user, without roles';
COMMENT ON COLUMN docperm.login_providers.require_nonce IS 'A token must hold the nonce that the application sent to the provider; without, a stolen token can be used by others';


CREATE TABLE docperm.user_identities (
    provider   text        NOT NULL,
    subject    text        NOT NULL,
    user_name  text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT user_identities_pkey           PRIMARY KEY (provider, subject),
    -- An address that has changed hands at the provider comes with another subject.
    CONSTRAINT user_identities_user_name_key  UNIQUE (user_name, provider),
    CONSTRAINT user_identities_provider_fkey  FOREIGN KEY (provider)  REFERENCES docperm.login_providers (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT user_identities_user_name_fkey FOREIGN KEY (user_name) REFERENCES docperm.users           (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT user_identities_subject_check  CHECK (subject <> '')
);

COMMENT ON TABLE  docperm.user_identities            IS 'Who users are at login providers. Rows are made at the first login; delete one to let the user come as somebody else';
COMMENT ON COLUMN docperm.user_identities.provider   IS 'The provider';
COMMENT ON COLUMN docperm.user_identities.subject    IS 'What the provider calls the user (sub), for ever';
COMMENT ON COLUMN docperm.user_identities.user_name  IS 'The user; never Administrator or Guest';
COMMENT ON COLUMN docperm.user_identities.created_at IS 'Since when';


-- Checks ------------------------------------------------------------------------------

CREATE FUNCTION docperm._require_jwks(jwks text) RETURNS void
    LANGUAGE c STABLE PARALLEL SAFE STRICT COST 1000
AS 'MODULE_PATHNAME', 'docperm_require_jwks_wrapper';

COMMENT ON FUNCTION docperm._require_jwks(text) IS
    'Internal: an error (22023) unless it is a set of public keys, one of which can verify signatures, and none is secret';


CREATE FUNCTION docperm._check_login_provider() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF docperm._restoring() THEN
        IF TG_OP = 'INSERT' THEN
            -- The true row of a provider that has a stand-in.
            UPDATE docperm.login_providers AS p
               SET issuer        = NEW.issuer,
                   client_id     = NEW.client_id,
                   jwks          = NEW.jwks,
                   enabled       = NEW.enabled,
                   allow_signup  = NEW.allow_signup,
                   require_nonce = NEW.require_nonce
             WHERE p.name = NEW.name
               AND num_nonnulls(p.issuer, p.client_id, p.jwks) = 0;
            IF FOUND THEN
                RETURN NULL;
            END IF;
        END IF;
    ELSE
        PERFORM docperm._require_jwks(NEW.jwks::text);
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._check_login_provider() IS
    'Internal: trigger that checks the keys of a provider, and lets a restored row replace what stands in for it';

CREATE TRIGGER check_keys
    BEFORE INSERT OR UPDATE ON docperm.login_providers
    FOR EACH ROW EXECUTE FUNCTION docperm._check_login_provider();


-- What one issuer calls a user is another user at the next.
CREATE FUNCTION docperm._forget_identities() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF OLD.issuer IS NOT NULL THEN
        DELETE FROM docperm.user_identities AS i WHERE i.provider = NEW.name;
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._forget_identities() IS
    'Internal: trigger that forgets who users are at a provider whose issuer changes';

CREATE TRIGGER forget_identities
    AFTER UPDATE ON docperm.login_providers
    FOR EACH ROW WHEN (OLD.issuer IS DISTINCT FROM NEW.issuer)
    EXECUTE FUNCTION docperm._forget_identities();


CREATE FUNCTION docperm._check_user_identity() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.user_name := docperm._user_name(NEW.user_name);
    IF NEW.user_name IN ('Administrator', 'Guest') THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('user "%s" does not log in by a provider', NEW.user_name),
            HINT    = 'Give the role System Manager to a user who does.';
    END IF;
    PERFORM docperm._require_user(NEW.user_name);

    IF NOT EXISTS (SELECT FROM docperm.login_providers AS p WHERE p.name = NEW.provider) THEN
        IF docperm._restoring() THEN
            INSERT INTO docperm.login_providers (name, enabled) VALUES (NEW.provider, false) ON CONFLICT DO NOTHING;
        ELSE
            RAISE EXCEPTION USING
                ERRCODE = '42704',
                MESSAGE = format('unknown login provider "%s"', NEW.provider),
                HINT    = 'Providers are the rows of docperm.login_providers.';
        END IF;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._check_user_identity() IS 'Internal: trigger that refuses unknown users and providers, and Administrator and Guest';

CREATE TRIGGER check_names
    BEFORE INSERT OR UPDATE ON docperm.user_identities
    FOR EACH ROW EXECUTE FUNCTION docperm._check_user_identity();

SELECT pg_catalog.pg_extension_config_dump('docperm.login_providers', '');
SELECT pg_catalog.pg_extension_config_dump('docperm.user_identities', '');


-- Tokens ------------------------------------------------------------------------------

-- The login calls this in the library, in a process of its own that commits and logs.
CREATE FUNCTION docperm._resolve_id_token(provider text, id_token text, nonce text, OUT user_name text, OUT is_new boolean, OUT refusal text)
    RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 10000 ROWS 1
    SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'docperm_resolve_id_token_wrapper';

COMMENT ON FUNCTION docperm._resolve_id_token(text, text, text) IS
    'Internal: the user whom an ID token is about, who is made if he is new and the provider lets him in; or the reason why it opens nothing';


REVOKE ALL ON FUNCTION docperm._check_login_provider()                  FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._check_user_identity()                   FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._forget_identities()                     FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._require_jwks(text)                      FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._resolve_id_token(text, text, text)      FROM PUBLIC;
