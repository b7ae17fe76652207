-- Users and the roles they hold.

CREATE TABLE docperm.users (
    name        text    NOT NULL,
    email       text,
    first_name  text,
    middle_name text,
    last_name   text,
    full_name   text    GENERATED ALWAYS AS (
                            nullif(btrim(coalesce(nullif(btrim(first_name),  '') || ' ', '')
                                      || coalesce(nullif(btrim(middle_name), '') || ' ', '')
                                      || coalesce(nullif(btrim(last_name),   ''),       '')), '')
                        ) STORED,
    username    text,
    mobile_no   text,
    enabled     boolean NOT NULL DEFAULT true,
    user_type   text    NOT NULL DEFAULT 'Website User',
    db_role     name,

    -- When and from where the user may log in and work, and what of it there was
    simultaneous_sessions integer,
    login_after           smallint NOT NULL DEFAULT 0,
    login_before          smallint NOT NULL DEFAULT 0,
    restrict_ip           cidr[],
    last_login            timestamptz,
    last_ip               inet,
    last_active           timestamptz,

    -- What the user tells of himself
    gender       text,
    phone        text,
    birth_date   date,
    location     text,
    interest     text,
    bio          text,
    user_image   text,
    banner_image text,
    language     text,
    time_zone    text,

    -- The desk
    module_profile    text,
    desk_theme        text    NOT NULL DEFAULT 'Light',
    mute_sounds       boolean NOT NULL DEFAULT false,
    search_bar        boolean NOT NULL DEFAULT true,
    notifications     boolean NOT NULL DEFAULT true,
    list_sidebar      boolean NOT NULL DEFAULT true,
    bulk_actions      boolean NOT NULL DEFAULT true,
    view_switcher     boolean NOT NULL DEFAULT true,
    form_sidebar      boolean NOT NULL DEFAULT true,
    timeline          boolean NOT NULL DEFAULT true,
    dashboard         boolean NOT NULL DEFAULT true,
    default_workspace text,
    default_app       text,
    redirect_url      text,

    -- Mail
    send_welcome_email  boolean NOT NULL DEFAULT true,
    thread_notify       boolean NOT NULL DEFAULT true,
    send_me_a_copy      boolean NOT NULL DEFAULT false,
    allowed_in_mentions boolean NOT NULL DEFAULT true,
    unsubscribed        boolean NOT NULL DEFAULT false,
    email_signature     text,

    -- Whether and how often the user wants to hear of changes of documents, and of which without asking
    document_follow_notify     boolean NOT NULL DEFAULT false,
    document_follow_frequency  text    NOT NULL DEFAULT 'Daily',
    follow_created_documents   boolean NOT NULL DEFAULT false,
    follow_commented_documents boolean NOT NULL DEFAULT false,
    follow_liked_documents     boolean NOT NULL DEFAULT false,
    follow_shared_documents    boolean NOT NULL DEFAULT false,
    follow_assigned_documents  boolean NOT NULL DEFAULT false,

    creation timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT users_pkey            PRIMARY KEY (name),
    CONSTRAINT users_username_key    UNIQUE (username),
    CONSTRAINT users_mobile_no_key   UNIQUE (mobile_no),
    CONSTRAINT users_db_role_key     UNIQUE (db_role),
    CONSTRAINT users_name_check      CHECK (name <> ''),
    CONSTRAINT users_db_role_check   CHECK (db_role <> ''),
    CONSTRAINT users_user_type_check CHECK (user_type IN ('System User', 'Website User')),
    CONSTRAINT users_document_follow_frequency_check CHECK (document_follow_frequency IN ('Hourly', 'Daily', 'Weekly')),
    CONSTRAINT users_simultaneous_sessions_check CHECK (simultaneous_sessions >= 0),
    CONSTRAINT users_login_after_check           CHECK (login_after  BETWEEN 0 AND 24),
    CONSTRAINT users_login_before_check          CHECK (login_before BETWEEN 0 AND 24),
    CONSTRAINT users_restrict_ip_check           CHECK (array_position(restrict_ip, NULL) IS NULL),
    CONSTRAINT users_user_image_check            CHECK (length(user_image) <= 2000),
    CONSTRAINT users_desk_theme_check            CHECK (desk_theme IN ('Light', 'Dark', 'Automatic'))
);

COMMENT ON TABLE  docperm.users             IS 'Users; Administrator and Guest exist from the start';
COMMENT ON COLUMN docperm.users.name        IS 'Lower-cased e-mail address or login name; Administrator and Guest are written as here';
COMMENT ON COLUMN docperm.users.email       IS 'E-mail address; follows the name where that is an address';
COMMENT ON COLUMN docperm.users.first_name  IS 'First name';
COMMENT ON COLUMN docperm.users.middle_name IS 'Middle name';
COMMENT ON COLUMN docperm.users.last_name   IS 'Last name';
COMMENT ON COLUMN docperm.users.full_name   IS 'Computed: first, middle and last name';
COMMENT ON COLUMN docperm.users.username    IS 'Short name, unique. A new user gets one made of his first name, unless somebody has that';
COMMENT ON COLUMN docperm.users.mobile_no   IS 'Mobile number, unique';
COMMENT ON COLUMN docperm.users.enabled     IS 'A disabled user has no right at all';
COMMENT ON COLUMN docperm.users.user_type   IS 'Computed: System User with a role that has desk access, otherwise Website User';
COMMENT ON COLUMN docperm.users.db_role     IS 'Database role that acts as this user without further ado, unique';
COMMENT ON COLUMN docperm.users.simultaneous_sessions IS 'So many sessions may be open at once: a login above it ends the least recently used one. NULL or 0 for any number';
COMMENT ON COLUMN docperm.users.login_after  IS 'Not before this hour of the day in the server''s time zone (log_timezone), 0 for any';
COMMENT ON COLUMN docperm.users.login_before IS 'Not from this hour of the day on, 0 for any. Holds for sessions that are open, too; nothing wraps over midnight';
COMMENT ON COLUMN docperm.users.restrict_ip  IS 'Only from these networks; from anywhere if NULL or empty';
COMMENT ON COLUMN docperm.users.last_login   IS 'When he last opened a session';
COMMENT ON COLUMN docperm.users.last_ip      IS 'From where, as far as it is known';
COMMENT ON COLUMN docperm.users.last_active  IS 'When a session of his was last taken up, to about a minute';
COMMENT ON COLUMN docperm.users.gender       IS 'Gender, in the user''s own words';
COMMENT ON COLUMN docperm.users.phone        IS 'Telephone number; for logging in there is mobile_no';
COMMENT ON COLUMN docperm.users.birth_date   IS 'Date of birth';
COMMENT ON COLUMN docperm.users.location     IS 'Where he is';
COMMENT ON COLUMN docperm.users.interest     IS 'What interests him';
COMMENT ON COLUMN docperm.users.bio          IS 'What he tells of himself';
COMMENT ON COLUMN docperm.users.user_image   IS 'Address of his picture';
COMMENT ON COLUMN docperm.users.banner_image IS 'Address of the picture above his page';
COMMENT ON COLUMN docperm.users.language     IS 'Language in which the application talks to him, e.g. de';
COMMENT ON COLUMN docperm.users.time_zone    IS 'Time zone of his, as PostgreSQL knows it; NULL for the server''s';
COMMENT ON COLUMN docperm.users.module_profile    IS 'Template of the modules that are blocked for him: docperm.user_blocked_modules follows it';
COMMENT ON COLUMN docperm.users.desk_theme        IS 'Light, Dark or Automatic';
COMMENT ON COLUMN docperm.users.mute_sounds       IS 'The desk makes no sounds';
COMMENT ON COLUMN docperm.users.search_bar        IS 'The desk shows the search bar';
COMMENT ON COLUMN docperm.users.notifications     IS 'The desk shows notifications';
COMMENT ON COLUMN docperm.users.list_sidebar      IS 'Lists have a sidebar';
COMMENT ON COLUMN docperm.users.bulk_actions      IS 'Lists offer actions on several documents';
COMMENT ON COLUMN docperm.users.view_switcher     IS 'Lists offer other views';
COMMENT ON COLUMN docperm.users.form_sidebar      IS 'Forms have a sidebar';
COMMENT ON COLUMN docperm.users.timeline          IS 'Forms show the timeline';
COMMENT ON COLUMN docperm.users.dashboard         IS 'Forms show the dashboard';
COMMENT ON COLUMN docperm.users.default_workspace IS 'Where the desk opens';
COMMENT ON COLUMN docperm.users.default_app       IS 'Which application opens';
COMMENT ON COLUMN docperm.users.redirect_url      IS 'Where he lands after logging in';
COMMENT ON COLUMN docperm.users.send_welcome_email  IS 'Gets a mail when he is made: docperm.create_user() and sign_up() give the application a token for it';
COMMENT ON COLUMN docperm.users.thread_notify       IS 'Is told of mails in threads that he takes part in';
COMMENT ON COLUMN docperm.users.send_me_a_copy      IS 'Gets a copy of the mails that he sends';
COMMENT ON COLUMN docperm.users.allowed_in_mentions IS 'Others may @mention him';
COMMENT ON COLUMN docperm.users.unsubscribed        IS 'Wants no mails';
COMMENT ON COLUMN docperm.users.email_signature     IS 'Goes below the mails that he sends';
COMMENT ON COLUMN docperm.users.creation            IS 'When the user was made';
COMMENT ON COLUMN docperm.users.document_follow_notify     IS 'Wants to hear of changes of documents that he follows';
COMMENT ON COLUMN docperm.users.document_follow_frequency  IS 'How often: Hourly, Daily or Weekly';
COMMENT ON COLUMN docperm.users.follow_created_documents   IS 'Follows documents that he makes';
COMMENT ON COLUMN docperm.users.follow_commented_documents IS 'Follows documents that he comments on';
COMMENT ON COLUMN docperm.users.follow_liked_documents     IS 'Follows documents that he likes';
COMMENT ON COLUMN docperm.users.follow_shared_documents    IS 'Follows documents that are shared with him';
COMMENT ON COLUMN docperm.users.follow_assigned_documents  IS 'Follows documents that are assigned to him';

INSERT INTO docperm.users (name, user_type) VALUES
    ('Administrator', 'System User'),
    ('Guest',         'Website User');


CREATE TABLE docperm.user_roles (
    user_name text NOT NULL,
    role      text NOT NULL,
    id        bigint GENERATED BY DEFAULT AS IDENTITY,

    CONSTRAINT user_roles_pkey           PRIMARY KEY (user_name, role),
    CONSTRAINT user_roles_id_key         UNIQUE (id),
    CONSTRAINT user_roles_user_name_fkey FOREIGN KEY (user_name) REFERENCES docperm.users (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT user_roles_role_fkey      FOREIGN KEY (role)      REFERENCES docperm.roles (name) ON UPDATE CASCADE
);

CREATE INDEX user_roles_role_idx ON docperm.user_roles (role);

COMMENT ON TABLE  docperm.user_roles           IS 'Which user holds which role; the automatic roles need no row and are ignored here';
COMMENT ON COLUMN docperm.user_roles.user_name IS 'The user';
COMMENT ON COLUMN docperm.user_roles.role      IS 'The role he holds';
COMMENT ON COLUMN docperm.user_roles.id        IS 'Number of the row, its name as a document of doctype Has Role';
COMMENT ON INDEX  docperm.user_roles_role_idx  IS 'Holders of a role';


CREATE TABLE docperm.user_emails (
    user_name         text    NOT NULL,
    email_account     text    NOT NULL,
    email_id          text,
    awaiting_password boolean NOT NULL DEFAULT false,
    enable_outgoing   boolean NOT NULL DEFAULT false,
    used_oauth        boolean NOT NULL DEFAULT false,

    CONSTRAINT user_emails_pkey                PRIMARY KEY (user_name, email_account),
    CONSTRAINT user_emails_user_name_fkey      FOREIGN KEY (user_name) REFERENCES docperm.users (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT user_emails_email_account_check CHECK (email_account <> '' AND email_account = btrim(email_account))
);

CREATE INDEX user_emails_email_account_idx ON docperm.user_emails (email_account);

COMMENT ON TABLE  docperm.user_emails                   IS 'Inboxes of users: mail accounts and mailing lists such as Support or Sales whose mails reach them';
COMMENT ON COLUMN docperm.user_emails.user_name         IS 'The user';
COMMENT ON COLUMN docperm.user_emails.email_account     IS 'The account or mailing list, as the application calls it';
COMMENT ON COLUMN docperm.user_emails.email_id          IS 'Its address';
COMMENT ON COLUMN docperm.user_emails.awaiting_password IS 'The account''s password has yet to be given to the application';
COMMENT ON COLUMN docperm.user_emails.enable_outgoing   IS 'The user may send from it';
COMMENT ON COLUMN docperm.user_emails.used_oauth        IS 'The account opens by OAuth';
COMMENT ON INDEX  docperm.user_emails_email_account_idx IS 'Whom mails to an account reach';


-- Names -------------------------------------------------------------------------------

-- No SET search_path, and not STRICT: either would keep it from becoming part of its caller.
-- Its body was parsed when it was made, so no search_path matters any more.
CREATE FUNCTION docperm._user_name(given text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE lower(btrim(given))
           WHEN 'administrator' THEN 'Administrator'
           WHEN 'guest'         THEN 'Guest'
           ELSE lower(btrim(given))
       END;

COMMENT ON FUNCTION docperm._user_name(text) IS
    'Internal: a user''s name as it is stored: trimmed and in lower case, save Administrator and Guest';


CREATE FUNCTION docperm._short_name(given text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
RETURN nullif(btrim(given, ' @'), '');

COMMENT ON FUNCTION docperm._short_name(text) IS
    'Internal: a user''s short name as it is stored, without blanks and @ around it; NULL if nothing is left';


CREATE FUNCTION docperm._require_user(user_name text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM docperm.users AS u WHERE u.name = user_name) THEN
        RETURN;
    END IF;
    IF docperm._restoring() THEN
        INSERT INTO docperm.users (name, enabled) VALUES (user_name, false) ON CONFLICT DO NOTHING;
    ELSE
        RAISE EXCEPTION USING
            ERRCODE = '42704',
            MESSAGE = format('unknown user "%s"', user_name),
            HINT    = 'Users are the rows of docperm.users.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_user(text) IS 'Internal: an error (42704) unless the user exists; in a restore, a stand-in';


CREATE FUNCTION docperm._require_email(address text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- What is no part of an address, or would be more than one, in the line of a mail that names
    -- its recipient.
    IF address !~ '^[^[:space:][:cntrl:]@,;:<>()"\\\[\]]+@[^[:space:][:cntrl:]@,;:<>()"\\\[\]]+$' OR length(address) > 254 THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('"%s" is not an e-mail address', address),
            HINT    = 'An address has the form name@example.com.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_email(text) IS 'Internal: an error (22023) unless it has the form of an e-mail address; NULL passes';


CREATE FUNCTION docperm._require_role(role text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM docperm.roles AS r WHERE r.name = role) THEN
        RETURN;
    END IF;
    IF docperm._restoring() THEN
        INSERT INTO docperm.roles (name, disabled) VALUES (role, true) ON CONFLICT DO NOTHING;
    ELSE
        RAISE EXCEPTION USING
            ERRCODE = '42704',
            MESSAGE = format('unknown role "%s"', role),
            HINT    = 'Roles are the rows of docperm.roles.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_role(text) IS 'Internal: an error (42704) unless the role exists; in a restore, a stand-in';


-- The type of a user -----------------------------------------------------------------

CREATE FUNCTION docperm._user_type(user_name text) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN CASE
           WHEN user_name = 'Administrator' THEN 'System User'
           WHEN user_name = 'Guest'         THEN 'Website User'
           WHEN EXISTS (SELECT
                          FROM docperm.user_roles AS h
                          JOIN docperm.roles      AS r ON r.name = h.role
                         WHERE h.user_name = _user_type.user_name
                           AND r.desk_access
                           AND NOT r.disabled
                           AND r.name NOT IN ('Administrator', 'All', 'Guest', 'Desk User'))
                                            THEN 'System User'
           ELSE 'Website User'
       END;

COMMENT ON FUNCTION docperm._user_type(text) IS 'Internal: System User or Website User, from the roles that the user holds';


CREATE FUNCTION docperm._refresh_user_type() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    holders text[];
    holder  text;
BEGIN
    IF TG_TABLE_NAME = 'roles' THEN
        holders := ARRAY(SELECT h.user_name FROM docperm.user_roles AS h WHERE h.role = NEW.name ORDER BY 1);
    ELSIF TG_OP = 'INSERT' THEN
        holders := ARRAY[NEW.user_name];
    ELSIF TG_OP = 'DELETE' THEN
        holders := ARRAY[OLD.user_name];
    ELSE
        holders := ARRAY[NEW.user_name, OLD.user_name];
    END IF;

    FOREACH holder IN ARRAY holders LOOP
        -- Two transactions that change roles of one user take turns here, so that the
        -- later one counts what the earlier one did.
        PERFORM FROM docperm.users AS u WHERE u.name = holder FOR NO KEY UPDATE;

        UPDATE docperm.users AS u
           SET user_type = docperm._user_type(u.name)
         WHERE u.name = holder
           AND u.user_type <> docperm._user_type(u.name);
    END LOOP;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._refresh_user_type() IS 'Internal: trigger that keeps docperm.users.user_type in step with the roles';

CREATE TRIGGER refresh_user_type
    AFTER INSERT OR UPDATE OR DELETE ON docperm.user_roles
    FOR EACH ROW EXECUTE FUNCTION docperm._refresh_user_type();

CREATE TRIGGER refresh_user_type
    AFTER UPDATE OF desk_access, disabled ON docperm.roles
    FOR EACH ROW EXECUTE FUNCTION docperm._refresh_user_type();


CREATE FUNCTION docperm._reset_user_types() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE docperm.users AS u
       SET user_type = docperm._user_type(u.name)
     WHERE u.user_type <> docperm._user_type(u.name);
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._reset_user_types() IS 'Internal: trigger that computes every user''s type anew after TRUNCATE of docperm.user_roles';

CREATE TRIGGER reset_user_types
    AFTER TRUNCATE ON docperm.user_roles
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._reset_user_types();


-- Checks -----------------------------------------------------------------------------

CREATE FUNCTION docperm._guard_user() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.name IN ('Administrator', 'Guest') THEN
        IF TG_OP = 'DELETE' OR docperm._user_name(NEW.name) IS DISTINCT FROM OLD.name THEN
            RAISE EXCEPTION USING
                ERRCODE = '22023',
                MESSAGE = format('user "%s" can be neither renamed nor deleted', OLD.name),
                HINT    = 'Every installation of docperm has this user.';
        END IF;
    END IF;

    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;

    NEW.name      := docperm._user_name(NEW.name);
    NEW.email     := nullif(lower(btrim(NEW.email)), '');
    NEW.username  := docperm._short_name(NEW.username);
    NEW.mobile_no := nullif(btrim(NEW.mobile_no), '');

    IF strpos(NEW.name, '@') > 0 THEN
        NEW.email := NEW.name;
    END IF;

    -- A row that is being renamed still has its roles under the old name.
    NEW.user_type := docperm._user_type(CASE TG_OP WHEN 'UPDATE' THEN OLD.name ELSE NEW.name END);

    -- On INSERT the row is there already: it ends at its key, and ON CONFLICT says how.
    IF TG_OP = 'UPDATE' AND NEW.name IN ('Administrator', 'Guest') AND NOT NEW.enabled THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('user "%s" cannot be disabled', NEW.name),
            HINT    = 'Take away what it is mapped to (db_role) or granted (docperm.role_permissions).';
    END IF;

    -- A restored dump brings these two once more, as they were there, and the true rows
    -- of users who have a stand-in.
    IF TG_OP = 'INSERT' AND docperm._restoring()
       AND docperm._restore_row(NEW, $condition$
               t.enabled = (t.name IN ('Administrator', 'Guest'))
           AND coalesce(t.email, t.name) = t.name
           AND docperm._is_untouched(t, '{name,email,enabled,user_type}')
           $condition$) THEN
        RETURN NULL;
    END IF;

    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._guard_user() IS 'Internal: trigger that writes names in their stored form, computes user_type, keeps Administrator and Guest, and lets a restored row replace what stands in for it';

CREATE TRIGGER guard
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.users
    FOR EACH ROW EXECUTE FUNCTION docperm._guard_user();

CREATE TRIGGER guard_truncate
    BEFORE TRUNCATE ON docperm.users
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._refuse_truncate();


-- Its name comes after that of the trigger above, which writes the row in its stored form.
CREATE FUNCTION docperm._inspect_user() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    short_name text;
BEGIN
    IF docperm._restoring() THEN
        RETURN NEW;
    END IF;

    IF TG_OP = 'INSERT' OR NEW.email IS DISTINCT FROM OLD.email THEN
        PERFORM docperm._require_email(NEW.email);
    END IF;
    IF NEW.time_zone IS NOT NULL AND (TG_OP = 'INSERT' OR NEW.time_zone IS DISTINCT FROM OLD.time_zone) THEN
        -- An error (22023) if it is unknown.
        PERFORM now() AT TIME ZONE NEW.time_zone;
    END IF;

    -- The first name as a short name, unless somebody is found by it. Two who are given the same one at
    -- the same time take turns, as they would at its key.
    IF TG_OP = 'INSERT' AND NEW.username IS NULL THEN
        short_name := docperm._short_name(regexp_replace(lower(btrim(NEW.first_name)), '[[:space:]-]+', '_', 'g'));
        IF short_name IS NOT NULL THEN
            PERFORM docperm._wait_for_turn('short name ' || short_name);
            IF NOT docperm._is_login_of_another(short_name, NEW.name) THEN
                NEW.username := short_name;
            END IF;
        END IF;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._inspect_user() IS 'Internal: trigger that refuses what is no address or time zone, and makes a short name of the first name';

CREATE TRIGGER inspect
    BEFORE INSERT OR UPDATE ON docperm.users
    FOR EACH ROW EXECUTE FUNCTION docperm._inspect_user();


CREATE FUNCTION docperm._check_user_name() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.user_name := docperm._user_name(NEW.user_name);
    PERFORM docperm._require_user(NEW.user_name);
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._check_user_name() IS 'Internal: trigger that refuses unknown users';

CREATE TRIGGER check_names
    BEFORE INSERT OR UPDATE ON docperm.user_emails
    FOR EACH ROW EXECUTE FUNCTION docperm._check_user_name();


CREATE FUNCTION docperm._check_user_role() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.user_name := docperm._user_name(NEW.user_name);
    PERFORM docperm._require_user(NEW.user_name);
    PERFORM docperm._require_role(NEW.role);
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._check_user_role() IS 'Internal: trigger that refuses unknown users and roles';

-- A rename that cascades comes by here too; the parent row bears the new name by then.
CREATE TRIGGER check_names
    BEFORE INSERT OR UPDATE ON docperm.user_roles
    FOR EACH ROW EXECUTE FUNCTION docperm._check_user_role();

SELECT pg_catalog.pg_extension_config_dump('docperm.users', '');
SELECT pg_catalog.pg_extension_config_dump('docperm.user_roles', '');
SELECT pg_catalog.pg_extension_config_dump('docperm.user_roles_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('docperm.user_emails', '');

REVOKE ALL ON FUNCTION
    docperm._check_user_name(),
    docperm._inspect_user(),
    docperm._require_email(text),
    docperm._short_name(text)
FROM PUBLIC;
