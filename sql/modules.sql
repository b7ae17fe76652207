-- Modules: what a user finds in the menu and, with settings.enforce_module_access, what is open to
-- him at all. A module profile is a template of blocked modules that several users follow.

CREATE TABLE docperm.modules (
    name text NOT NULL,

    CONSTRAINT modules_pkey       PRIMARY KEY (name),
    CONSTRAINT modules_name_check CHECK (name <> '' AND name = btrim(name))
);

COMMENT ON TABLE  docperm.modules      IS 'Modules that doctypes, pages and reports belong to, such as Selling or HR. Naming one there makes it';
COMMENT ON COLUMN docperm.modules.name IS 'Name of the module';


CREATE TABLE docperm.module_profiles (
    name text NOT NULL,

    CONSTRAINT module_profiles_pkey       PRIMARY KEY (name),
    CONSTRAINT module_profiles_name_check CHECK (name <> '' AND name = btrim(name))
);

COMMENT ON TABLE  docperm.module_profiles      IS 'Module profiles: templates of blocked modules. For who has one (users.module_profile) exactly its modules are blocked; when it is taken from him, they stay blocked';
COMMENT ON COLUMN docperm.module_profiles.name IS 'Name of the profile, e.g. HR Users';


CREATE TABLE docperm.module_profile_blocks (
    module_profile text NOT NULL,
    module         text NOT NULL,

    CONSTRAINT module_profile_blocks_pkey                PRIMARY KEY (module_profile, module),
    CONSTRAINT module_profile_blocks_module_profile_fkey FOREIGN KEY (module_profile) REFERENCES docperm.module_profiles (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT module_profile_blocks_module_fkey         FOREIGN KEY (module)         REFERENCES docperm.modules         (name) ON UPDATE CASCADE ON DELETE CASCADE
);

CREATE INDEX module_profile_blocks_module_idx ON docperm.module_profile_blocks (module);

COMMENT ON TABLE  docperm.module_profile_blocks                IS 'The modules that a module profile blocks. A change reaches all its users at once';
COMMENT ON COLUMN docperm.module_profile_blocks.module_profile IS 'The profile';
COMMENT ON COLUMN docperm.module_profile_blocks.module         IS 'A module that is blocked for its users';
COMMENT ON INDEX  docperm.module_profile_blocks_module_idx     IS 'Profiles that block a module';


CREATE TABLE docperm.user_blocked_modules (
    user_name text NOT NULL,
    module    text NOT NULL,

    CONSTRAINT user_blocked_modules_pkey           PRIMARY KEY (user_name, module),
    CONSTRAINT user_blocked_modules_user_name_fkey FOREIGN KEY (user_name) REFERENCES docperm.users   (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT user_blocked_modules_module_fkey    FOREIGN KEY (module)    REFERENCES docperm.modules (name) ON UPDATE CASCADE ON DELETE CASCADE
);

CREATE INDEX user_blocked_modules_module_idx ON docperm.user_blocked_modules (module);

COMMENT ON TABLE  docperm.user_blocked_modules            IS 'Which modules are blocked for which user: hidden by docperm.visible_modules() and the like, and closed if settings.enforce_module_access is on';
COMMENT ON COLUMN docperm.user_blocked_modules.user_name  IS 'The user';
COMMENT ON COLUMN docperm.user_blocked_modules.module     IS 'A module that is blocked for him';
COMMENT ON INDEX  docperm.user_blocked_modules_module_idx IS 'For whom a module is blocked';


-- Names -------------------------------------------------------------------------------

CREATE TRIGGER replace_stand_in
    BEFORE INSERT ON docperm.modules
    FOR EACH ROW EXECUTE FUNCTION docperm._replace_stand_in();

CREATE TRIGGER replace_stand_in
    BEFORE INSERT ON docperm.module_profiles
    FOR EACH ROW EXECUTE FUNCTION docperm._replace_stand_in();


CREATE FUNCTION docperm._name_module() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    NEW.module := nullif(btrim(NEW.module), '');
    IF NEW.module IS NOT NULL THEN
        INSERT INTO docperm.modules (name) VALUES (NEW.module) ON CONFLICT DO NOTHING;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._name_module() IS 'Internal: trigger that makes the module that a doctype, page or report names';

CREATE TRIGGER name_module
    BEFORE INSERT OR UPDATE OF module ON docperm.doctypes
    FOR EACH ROW EXECUTE FUNCTION docperm._name_module();

-- A module goes when nothing belongs to it any more: its doctypes would be open to whom it is
-- blocked for.
ALTER TABLE docperm.doctypes
    ADD CONSTRAINT doctypes_module_fkey FOREIGN KEY (module) REFERENCES docperm.modules (name) ON UPDATE CASCADE;

CREATE INDEX doctypes_module_idx ON docperm.doctypes (module);

COMMENT ON INDEX docperm.doctypes_module_idx IS 'Doctypes of a module';


CREATE FUNCTION docperm._require_module(module text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM docperm.modules AS m WHERE m.name = module) THEN
        RETURN;
    END IF;
    IF docperm._restoring() THEN
        INSERT INTO docperm.modules (name) VALUES (module) ON CONFLICT DO NOTHING;
    ELSE
        RAISE EXCEPTION USING
            ERRCODE = '42704',
            MESSAGE = format('unknown module "%s"', module),
            HINT    = 'Modules are the rows of docperm.modules.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_module(text) IS 'Internal: an error (42704) unless the module exists; in a restore, a stand-in';


CREATE FUNCTION docperm._require_module_profile(module_profile text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM docperm.module_profiles AS p WHERE p.name = module_profile) THEN
        RETURN;
    END IF;
    IF docperm._restoring() THEN
        INSERT INTO docperm.module_profiles (name) VALUES (module_profile) ON CONFLICT DO NOTHING;
    ELSE
        RAISE EXCEPTION USING
            ERRCODE = '42704',
            MESSAGE = format('unknown module profile "%s"', module_profile),
            HINT    = 'Module profiles are the rows of docperm.module_profiles.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_module_profile(text) IS 'Internal: an error (42704) unless the module profile exists; in a restore, a stand-in';


CREATE FUNCTION docperm._check_blocked_module() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE TG_TABLE_NAME
        WHEN 'users' THEN
            IF NEW.module_profile IS NOT NULL THEN
                PERFORM docperm._require_module_profile(NEW.module_profile);
            END IF;
            RETURN NEW;
        WHEN 'module_profile_blocks' THEN
            PERFORM docperm._require_module_profile(NEW.module_profile);
        WHEN 'user_blocked_modules' THEN
            NEW.user_name := docperm._user_name(NEW.user_name);
            PERFORM docperm._require_user(NEW.user_name);
    END CASE;
    PERFORM docperm._require_module(NEW.module);
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._check_blocked_module() IS 'Internal: trigger that refuses unknown users, modules and module profiles';

CREATE TRIGGER check_names
    BEFORE INSERT OR UPDATE ON docperm.module_profile_blocks
    FOR EACH ROW EXECUTE FUNCTION docperm._check_blocked_module();

CREATE TRIGGER check_names
    BEFORE INSERT OR UPDATE ON docperm.user_blocked_modules
    FOR EACH ROW EXECUTE FUNCTION docperm._check_blocked_module();

-- Before the trigger guard, so that a restored row finds its profile.
CREATE TRIGGER check_module_profile
    BEFORE INSERT OR UPDATE OF module_profile ON docperm.users
    FOR EACH ROW EXECUTE FUNCTION docperm._check_blocked_module();

ALTER TABLE docperm.users
    ADD CONSTRAINT users_module_profile_fkey FOREIGN KEY (module_profile) REFERENCES docperm.module_profiles (name) ON UPDATE CASCADE ON DELETE SET NULL;

CREATE INDEX users_module_profile_idx ON docperm.users (module_profile);

COMMENT ON INDEX docperm.users_module_profile_idx IS 'Users of a module profile';


-- Blocked modules follow the profile ----------------------------------------------------

CREATE FUNCTION docperm._is_in_module_profile(user_name text, module text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN EXISTS (SELECT
                 FROM docperm.users                 AS u
                 JOIN docperm.module_profile_blocks AS b ON b.module_profile = u.module_profile
                WHERE u.name   = _is_in_module_profile.user_name
                  AND b.module = _is_in_module_profile.module);

COMMENT ON FUNCTION docperm._is_in_module_profile(text, text) IS 'Internal: whether the user''s module profile blocks the module';


-- As with role profiles: who changes a profile, gives one to a user, or blocks a module for a
-- user, first updates the profile's or the user's row, for nothing but to be alone with it.
CREATE FUNCTION docperm._alone_with_module_profiles(profiles text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM docperm.module_profiles AS p WHERE p.name = ANY (profiles) ORDER BY p.name FOR NO KEY UPDATE;
    UPDATE docperm.module_profiles AS p SET name = p.name WHERE p.name = ANY (profiles);
END
$$;

COMMENT ON FUNCTION docperm._alone_with_module_profiles(text[]) IS
    'Internal: waits until nobody else changes these module profiles or who has them, to the end of the transaction';


CREATE FUNCTION docperm._follow_module_profiles(followers text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM docperm.users AS u WHERE u.name = ANY (followers) ORDER BY u.name FOR NO KEY UPDATE;
    UPDATE docperm.users AS u SET name = u.name WHERE u.name = ANY (followers);

    INSERT INTO docperm.user_blocked_modules (user_name, module)
    SELECT u.name, b.module
      FROM docperm.users                 AS u
      JOIN docperm.module_profile_blocks AS b ON b.module_profile = u.module_profile
     WHERE u.name = ANY (followers)
       AND NOT EXISTS (SELECT FROM docperm.user_blocked_modules AS m WHERE m.user_name = u.name AND m.module = b.module)
     ORDER BY 1, 2
        ON CONFLICT DO NOTHING;

    DELETE FROM docperm.user_blocked_modules AS m
     USING docperm.users AS u
     WHERE u.name = ANY (followers)
       AND u.name = m.user_name
       AND u.module_profile IS NOT NULL
       AND NOT docperm._is_in_module_profile(m.user_name, m.module);
END
$$;

COMMENT ON FUNCTION docperm._follow_module_profiles(text[]) IS
    'Internal: blocks exactly the modules of their profile for those of the users who have one; for the others all stays as it is';


CREATE FUNCTION docperm._module_profile_edited() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    profiles text[];
BEGIN
    IF docperm._restoring() THEN
        RETURN NULL;
    END IF;

    CASE TG_OP
        WHEN 'UPDATE' THEN
            profiles := ARRAY(SELECT c.module_profile FROM changed AS c UNION SELECT r.module_profile FROM replaced AS r);
        WHEN 'TRUNCATE' THEN
            profiles := ARRAY(SELECT p.name FROM docperm.module_profiles AS p);
        ELSE
            profiles := ARRAY(SELECT DISTINCT c.module_profile FROM changed AS c);
    END CASE;

    -- A profile that is deleted is gone by now; what it blocked stays blocked.
    PERFORM docperm._alone_with_module_profiles(profiles);
    PERFORM docperm._follow_module_profiles(ARRAY(SELECT u.name
                                                    FROM docperm.users           AS u
                                                    JOIN docperm.module_profiles AS p ON p.name = u.module_profile
                                                   WHERE p.name = ANY (profiles)));
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._module_profile_edited() IS 'Internal: trigger that lets the blocked modules of its users follow a module profile';

CREATE TRIGGER follow_insert
    AFTER INSERT ON docperm.module_profile_blocks
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._module_profile_edited();

CREATE TRIGGER follow_update
    AFTER UPDATE ON docperm.module_profile_blocks
    REFERENCING OLD TABLE AS replaced NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._module_profile_edited();

CREATE TRIGGER follow_delete
    AFTER DELETE ON docperm.module_profile_blocks
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._module_profile_edited();

CREATE TRIGGER follow_truncate
    AFTER TRUNCATE ON docperm.module_profile_blocks
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._module_profile_edited();


CREATE FUNCTION docperm._module_profile_given() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT docperm._restoring() THEN
        PERFORM docperm._alone_with_module_profiles(ARRAY[NEW.module_profile]);
        PERFORM docperm._follow_module_profiles(ARRAY[NEW.name]);
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._module_profile_given() IS 'Internal: trigger that lets the blocked modules of a user follow when he gets a module profile';

CREATE TRIGGER follow_new_module_profile
    AFTER INSERT ON docperm.users
    FOR EACH ROW
    WHEN (NEW.module_profile IS NOT NULL)
    EXECUTE FUNCTION docperm._module_profile_given();

CREATE TRIGGER follow_module_profile
    AFTER UPDATE ON docperm.users
    FOR EACH ROW
    WHEN (NEW.module_profile IS NOT NULL AND OLD.module_profile IS DISTINCT FROM NEW.module_profile)
    EXECUTE FUNCTION docperm._module_profile_given();


CREATE FUNCTION docperm._match_module_profile() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    refused docperm.user_blocked_modules;
BEGIN
    IF docperm._restoring() THEN
        RETURN NULL;
    END IF;
    -- A module that is deleted or being renamed: the profiles follow, or have followed.
    IF TG_OP <> 'INSERT' AND NOT EXISTS (SELECT FROM docperm.modules AS m WHERE m.name = OLD.module) THEN
        RETURN NULL;
    END IF;

    IF TG_OP <> 'DELETE' THEN
        UPDATE docperm.users AS u SET name = u.name WHERE u.name = NEW.user_name;
        IF NOT docperm._is_in_module_profile(NEW.user_name, NEW.module) THEN
            refused := NEW;
        END IF;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        UPDATE docperm.users AS u SET name = u.name WHERE u.name = OLD.user_name;
        IF FOUND AND docperm._is_in_module_profile(OLD.user_name, OLD.module)
           AND NOT EXISTS (SELECT FROM docperm.user_blocked_modules AS m WHERE (m.user_name, m.module) = (OLD.user_name, OLD.module)) THEN
            refused := OLD;
        END IF;
    END IF;

    IF EXISTS (SELECT FROM docperm.users AS u WHERE u.name = refused.user_name AND u.module_profile IS NOT NULL) THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('the blocked modules of user "%s" follow from his module profile', refused.user_name),
            DETAIL  = CASE
                          WHEN docperm._is_in_module_profile(refused.user_name, refused.module)
                              THEN format('It blocks the module "%s".', refused.module)
                          ELSE format('It does not block the module "%s".', refused.module)
                      END,
            HINT    = 'Change the profile (docperm.module_profile_blocks), or take it from the user first (docperm.users.module_profile).';
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._match_module_profile() IS 'Internal: trigger that refuses to block and unblock modules beside those of the user''s module profile';

CREATE TRIGGER match_module_profile
    AFTER INSERT OR UPDATE OR DELETE ON docperm.user_blocked_modules
    FOR EACH ROW EXECUTE FUNCTION docperm._match_module_profile();


CREATE FUNCTION docperm._restore_profiled_modules() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT docperm._restoring() THEN
        PERFORM docperm._follow_module_profiles(ARRAY(SELECT u.name FROM docperm.users AS u WHERE u.module_profile IS NOT NULL));
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._restore_profiled_modules() IS 'Internal: trigger that blocks the modules of their profile again for those who have one after TRUNCATE of docperm.user_blocked_modules';

CREATE TRIGGER follow_truncate
    AFTER TRUNCATE ON docperm.user_blocked_modules
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._restore_profiled_modules();


-- What a user finds -------------------------------------------------------------------

CREATE FUNCTION docperm._doctype_rights(user_name text)
    RETURNS TABLE (doctype text, rights text[])
    LANGUAGE c STABLE PARALLEL SAFE COST 10000 ROWS 100
AS 'MODULE_PATHNAME', 'docperm_doctype_rights_wrapper';

COMMENT ON FUNCTION docperm._doctype_rights(text) IS
    'Internal: every doctype on which the user has a right at doctype level, and which. NULL: the acting user; another: for administrators';


CREATE FUNCTION docperm._roles_of(user_name text) RETURNS text[]
    LANGUAGE c STABLE PARALLEL SAFE COST 100
AS 'MODULE_PATHNAME', 'docperm_roles_of_wrapper';

COMMENT ON FUNCTION docperm._roles_of(text) IS
    'Internal: the roles that count for the user, automatic ones included; none for who is disabled. NULL: the acting user; another: for administrators';


CREATE FUNCTION docperm._is_blocked(user_name text, module text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN EXISTS (SELECT
                 FROM docperm.user_blocked_modules AS b
                WHERE b.user_name = coalesce(docperm._user_name(_is_blocked.user_name), docperm.whoami())
                  AND b.module    = _is_blocked.module);

COMMENT ON FUNCTION docperm._is_blocked(text, text) IS 'Internal: whether the module is blocked for the user (NULL: the acting one)';


CREATE FUNCTION docperm.visible_doctypes(user_name text DEFAULT NULL)
    RETURNS TABLE (doctype text, module text, rights text[])
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 100
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT d.name, d.module, r.rights
      FROM docperm._doctype_rights(visible_doctypes.user_name) AS r
      JOIN docperm.doctypes AS d ON d.name = r.doctype
     WHERE d.relation IS NOT NULL
       AND d.parent_column IS NULL
       AND r.rights && '{read,select}'
       AND NOT docperm._is_blocked(visible_doctypes.user_name, d.module)
     ORDER BY d.module, d.name;
END;

COMMENT ON FUNCTION docperm.visible_doctypes(text) IS
    'The doctypes that the user may read or select and whose module is not blocked for him, each with his rights at doctype level; child tables come with their documents. Without user_name: the acting user. Errors: 42501 another user, not an administrator; 42704 unknown user';


REVOKE ALL ON FUNCTION
    docperm._alone_with_module_profiles(text[]),
    docperm._check_blocked_module(),
    docperm._doctype_rights(text),
    docperm._follow_module_profiles(text[]),
    docperm._is_blocked(text, text),
    docperm._is_in_module_profile(text, text),
    docperm._match_module_profile(),
    docperm._module_profile_edited(),
    docperm._module_profile_given(),
    docperm._name_module(),
    docperm._require_module(text),
    docperm._require_module_profile(text),
    docperm._restore_profiled_modules(),
    docperm._roles_of(text),
    docperm.visible_doctypes(text)
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION docperm.visible_doctypes(text) TO PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('docperm.modules', '');
SELECT pg_catalog.pg_extension_config_dump('docperm.module_profiles', '');
SELECT pg_catalog.pg_extension_config_dump('docperm.module_profile_blocks', '');
SELECT pg_catalog.pg_extension_config_dump('docperm.user_blocked_modules', '');
