-- Settings: one row, changed with UPDATE docperm.settings SET ...

CREATE TABLE docperm.settings (
    only_row                 boolean NOT NULL DEFAULT true,
    strict_user_permissions  text    NOT NULL DEFAULT 'off',
    check_child_links        boolean NOT NULL DEFAULT true,
    disable_document_sharing boolean NOT NULL DEFAULT false,
    refuse_orphans           boolean NOT NULL DEFAULT true,
    field_level_write        text    NOT NULL DEFAULT 'refuse',
    enforce_module_access    boolean NOT NULL DEFAULT false,

    -- New users
    allow_sign_up                boolean NOT NULL DEFAULT false,
    default_portal_role          text,
    max_signups_allowed_per_hour integer NOT NULL DEFAULT 300,
    max_users_created_per_hour   integer NOT NULL DEFAULT 60,

    -- Passwords
    enable_password_policy       boolean  NOT NULL DEFAULT true,
    minimum_password_score       integer  NOT NULL DEFAULT 2,
    minimum_password_length      integer  NOT NULL DEFAULT 8,
    argon2_memory_kib            integer  NOT NULL DEFAULT 19456,
    argon2_iterations            integer  NOT NULL DEFAULT 2,
    argon2_parallelism           integer  NOT NULL DEFAULT 1,
    force_user_to_reset_password integer  NOT NULL DEFAULT 0,
    reset_password_link_expiry   interval NOT NULL DEFAULT '20 minutes',
    password_reset_limit         integer  NOT NULL DEFAULT 3,
    logout_on_password_reset     boolean  NOT NULL DEFAULT true,

    -- The second factor.
    enable_two_factor_auth   boolean NOT NULL DEFAULT false,
    otp_issuer_name          text    NOT NULL DEFAULT 'docperm',

    -- Logging in
    allow_consecutive_login_attempts integer  NOT NULL DEFAULT 10,
    allow_login_after_fail           interval NOT NULL DEFAULT '60 seconds',
    throttle_connection_address      boolean  NOT NULL DEFAULT false,
    allow_login_using_mobile_number  boolean  NOT NULL DEFAULT false,
    allow_login_using_user_name      boolean  NOT NULL DEFAULT false,
    session_idle_timeout             interval          DEFAULT '6 hours',
    session_absolute_timeout         interval          DEFAULT '7 days',
    activity_log_retention           interval          DEFAULT '1 year',

    -- Hashing cannot be interrupted, and its memory is not counted in work_mem: the library
    -- refuses more than these as well, also in a hash that says so of itself.
    CONSTRAINT settings_argon2_parallelism_check CHECK (argon2_parallelism BETWEEN 1 AND 16),
    CONSTRAINT settings_argon2_memory_kib_check  CHECK (argon2_memory_kib  BETWEEN 8 * argon2_parallelism AND 262144),
    CONSTRAINT settings_argon2_iterations_check  CHECK (argon2_iterations >= 1 AND argon2_iterations::bigint * argon2_memory_kib <= 1048576),
    CONSTRAINT settings_minimum_password_score_check       CHECK (minimum_password_score       BETWEEN 0 AND 4),
    CONSTRAINT settings_minimum_password_length_check      CHECK (minimum_password_length      BETWEEN 0 AND 64),
    CONSTRAINT settings_force_user_to_reset_password_check CHECK (force_user_to_reset_password BETWEEN 0 AND 36500),
    CONSTRAINT settings_reset_password_link_expiry_check   CHECK (reset_password_link_expiry   > '0'),
    CONSTRAINT settings_password_reset_limit_check         CHECK (password_reset_limit         >= 0),
    CONSTRAINT settings_otp_issuer_name_check CHECK (otp_issuer_name <> '' AND strpos(otp_issuer_name, ':') = 0),

    CONSTRAINT settings_pkey                          PRIMARY KEY (only_row),
    CONSTRAINT settings_only_row_check                CHECK (only_row),
    CONSTRAINT settings_strict_user_permissions_check CHECK (strict_user_permissions IN ('off', 'blank_links', 'deny_by_default')),
    CONSTRAINT settings_field_level_write_check       CHECK (field_level_write IN ('refuse', 'reset')),
    CONSTRAINT settings_default_portal_role_fkey      FOREIGN KEY (default_portal_role) REFERENCES docperm.roles (name) ON UPDATE CASCADE ON DELETE SET NULL,
    CONSTRAINT settings_max_signups_check             CHECK (max_signups_allowed_per_hour >= 0),
    CONSTRAINT settings_max_users_created_check       CHECK (max_users_created_per_hour   >= 0),
    CONSTRAINT settings_login_attempts_check          CHECK (allow_consecutive_login_attempts >= 0),
    CONSTRAINT settings_login_after_fail_check        CHECK (allow_login_after_fail >= '0 seconds'),
    CONSTRAINT settings_session_idle_check            CHECK (session_idle_timeout     > '0 seconds'),
    CONSTRAINT settings_session_absolute_check        CHECK (session_absolute_timeout > '0 seconds'),
    CONSTRAINT settings_activity_log_check            CHECK (activity_log_retention   > '0 seconds')
);

COMMENT ON TABLE  docperm.settings          IS 'Settings of docperm in this database: always one row';
COMMENT ON COLUMN docperm.settings.only_row IS 'Always true: keeps the table at one row';
COMMENT ON COLUMN docperm.settings.strict_user_permissions IS
    'off: a blank link restricts nobody. blank_links: it fails for users with entries for its target. deny_by_default: links to doctypes for which the user has no entry fail as well';
COMMENT ON COLUMN docperm.settings.check_child_links IS
    'Links in the rows of its child tables restrict a document as its own links do';
COMMENT ON COLUMN docperm.settings.disable_document_sharing IS
    'Nobody but the Administrator has the right share. What is shared already stays shared';
COMMENT ON COLUMN docperm.settings.refuse_orphans IS
    'No document gets a name under which rows of a child table wait that another document of that name left behind';

COMMENT ON COLUMN docperm.settings.field_level_write IS
    'What happens to a column above the permission level of who writes it. refuse: the statement fails. reset: the column keeps what is stored, or gets its default';

COMMENT ON COLUMN docperm.settings.enforce_module_access IS
    'A module that is blocked for a user (docperm.user_blocked_modules) is closed to him: no right on documents of its doctypes, shared ones included. Off: it is only hidden. The Administrator passes';
COMMENT ON COLUMN docperm.settings.allow_sign_up IS
    'Strangers may sign up (docperm.sign_up)';
COMMENT ON COLUMN docperm.settings.default_portal_role IS
    'Role of who signs up; it has to be one without desk access';
COMMENT ON COLUMN docperm.settings.max_signups_allowed_per_hour IS
    'When so many users were made within an hour, nobody signs up; 0: any number';
COMMENT ON COLUMN docperm.settings.max_users_created_per_hour IS
    'When so many users were made within an hour, docperm.create_user() makes no more, unless a superuser of the database calls it; 0: any number';

COMMENT ON COLUMN docperm.settings.enable_password_policy IS
    'New passwords must have the score and the length below';
COMMENT ON COLUMN docperm.settings.minimum_password_score IS
    'Lowest score (docperm.password_strength) of a new password, 0 to 4. Score 0 never passes';
COMMENT ON COLUMN docperm.settings.minimum_password_length IS
    'Fewest characters of a new password';
COMMENT ON COLUMN docperm.settings.argon2_memory_kib IS
    'Memory in KiB that hashing a password takes, at most 262144. Passwords hashed at another cost are hashed anew at their user''s next login';
COMMENT ON COLUMN docperm.settings.argon2_iterations IS
    'Passes over that memory. Memory times passes is at most 1048576, which takes about a second';
COMMENT ON COLUMN docperm.settings.argon2_parallelism IS
    'Lanes of Argon2, at most 16. docperm works on them one after the other';
COMMENT ON COLUMN docperm.settings.force_user_to_reset_password IS
    'Days after which a password must be changed; 0: never. Does not apply to the Administrator';
COMMENT ON COLUMN docperm.settings.reset_password_link_expiry IS
    'How long a token of docperm.request_password_reset() is good for';
COMMENT ON COLUMN docperm.settings.password_reset_limit IS
    'Tokens of docperm.request_password_reset() for a user within an hour; 0: any number';
COMMENT ON COLUMN docperm.settings.logout_on_password_reset IS
    'docperm.reset_password() ends the user''s sessions';

COMMENT ON COLUMN docperm.settings.enable_two_factor_auth IS
    'Users with a role that has two_factor_auth need a one-time code to log in; the Administrator does not';
COMMENT ON COLUMN docperm.settings.otp_issuer_name IS
    'What authenticator apps show as the issuer of the codes; without a colon';

COMMENT ON COLUMN docperm.settings.allow_consecutive_login_attempts IS
    'After so many failed logins in a row an account is locked; 0 for never';
COMMENT ON COLUMN docperm.settings.allow_login_after_fail IS
    'For how long it is locked, counted from the last of those failures';
COMMENT ON COLUMN docperm.settings.throttle_connection_address IS
    'Failures also count by the address of the database connection where no client_address is stated. Behind a pool all users share one';
COMMENT ON COLUMN docperm.settings.allow_login_using_mobile_number IS
    'Users may log in with users.mobile_no, too';
COMMENT ON COLUMN docperm.settings.allow_login_using_user_name IS
    'Users may log in with users.username, too';
COMMENT ON COLUMN docperm.settings.session_idle_timeout IS
    'A session that is not taken up for so long ends; NULL for never';
COMMENT ON COLUMN docperm.settings.session_absolute_timeout IS
    'A session ends after so long, whatever happens; NULL for never. For sessions opened from now on';
COMMENT ON COLUMN docperm.settings.activity_log_retention IS
    'How long rows of docperm.activity_log are kept; NULL for ever';

INSERT INTO docperm.settings DEFAULT VALUES;


-- There are never two rows. The row of a dump that is being restored takes the place of
-- the one that is there; any other INSERT ends at the key.
CREATE FUNCTION docperm._keep_one_settings_row() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    restored integer;
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = 'the row of docperm.settings cannot be deleted',
            HINT    = 'Change it with UPDATE.';
    END IF;

    IF docperm._restoring() THEN
        IF NEW.default_portal_role IS NOT NULL THEN
            PERFORM docperm._require_role(NEW.default_portal_role);
        END IF;
        EXECUTE (SELECT format('UPDATE docperm.settings AS s SET (%s) = ROW (%s)',
                               string_agg(quote_ident(a.attname), ', '),
                               string_agg(format('($1).%I', a.attname), ', '))
                   FROM pg_attribute AS a
                  WHERE a.attrelid = 'docperm.settings'::regclass
                    AND a.attnum > 0
                    AND NOT a.attisdropped)
          USING NEW;
        GET DIAGNOSTICS restored = ROW_COUNT;
        IF restored > 0 THEN
            RETURN NULL;
        END IF;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._keep_one_settings_row() IS 'Internal: trigger that keeps docperm.settings at exactly one row';

CREATE TRIGGER keep_one_row
    BEFORE INSERT OR DELETE ON docperm.settings
    FOR EACH ROW EXECUTE FUNCTION docperm._keep_one_settings_row();

CREATE TRIGGER guard_truncate
    BEFORE TRUNCATE ON docperm.settings
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._refuse_truncate();

SELECT pg_catalog.pg_extension_config_dump('docperm.settings', '');
