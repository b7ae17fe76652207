-- Role profiles: templates of roles that several users follow. A user may have several; while he
-- has any, he holds exactly the roles that they name together, whoever changes what.

CREATE TABLE docperm.role_profiles (
    name text NOT NULL,

    CONSTRAINT role_profiles_pkey       PRIMARY KEY (name),
    CONSTRAINT role_profiles_name_check CHECK (name <> '' AND name = btrim(name))
);

COMMENT ON TABLE  docperm.role_profiles      IS 'Role profiles: templates of roles. Who has one holds the roles of his profiles and no others; when the last is taken from him, he keeps the roles that he has';
COMMENT ON COLUMN docperm.role_profiles.name IS 'Name of the profile, e.g. Sales';


CREATE TABLE docperm.role_profile_roles (
    role_profile text NOT NULL,
    role         text NOT NULL,

    CONSTRAINT role_profile_roles_pkey              PRIMARY KEY (role_profile, role),
    CONSTRAINT role_profile_roles_role_profile_fkey FOREIGN KEY (role_profile) REFERENCES docperm.role_profiles (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT role_profile_roles_role_fkey         FOREIGN KEY (role)         REFERENCES docperm.roles         (name) ON UPDATE CASCADE
);

CREATE INDEX role_profile_roles_role_idx ON docperm.role_profile_roles (role);

COMMENT ON TABLE  docperm.role_profile_roles              IS 'The roles of a role profile. A change reaches all its users at once';
COMMENT ON COLUMN docperm.role_profile_roles.role_profile IS 'The profile';
COMMENT ON COLUMN docperm.role_profile_roles.role         IS 'A role that its users hold';
COMMENT ON INDEX  docperm.role_profile_roles_role_idx     IS 'Profiles with a role';


CREATE TABLE docperm.user_role_profiles (
    user_name    text NOT NULL,
    role_profile text NOT NULL,

    CONSTRAINT user_role_profiles_pkey              PRIMARY KEY (user_name, role_profile),
    CONSTRAINT user_role_profiles_user_name_fkey    FOREIGN KEY (user_name)    REFERENCES docperm.users         (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT user_role_profiles_role_profile_fkey FOREIGN KEY (role_profile) REFERENCES docperm.role_profiles (name) ON UPDATE CASCADE ON DELETE CASCADE
);

CREATE INDEX user_role_profiles_role_profile_idx ON docperm.user_role_profiles (role_profile);

COMMENT ON TABLE  docperm.user_role_profiles              IS 'Which user has which role profiles; his roles in docperm.user_roles follow';
COMMENT ON COLUMN docperm.user_role_profiles.user_name    IS 'The user';
COMMENT ON COLUMN docperm.user_role_profiles.role_profile IS 'A profile of his';
COMMENT ON INDEX  docperm.user_role_profiles_role_profile_idx IS 'Users of a profile';


-- Names -------------------------------------------------------------------------------

CREATE TRIGGER replace_stand_in
    BEFORE INSERT ON docperm.role_profiles
    FOR EACH ROW EXECUTE FUNCTION docperm._replace_stand_in();


CREATE FUNCTION docperm._require_role_profile(role_profile text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM docperm.role_profiles AS p WHERE p.name = role_profile) THEN
        RETURN;
    END IF;
    IF docperm._restoring() THEN
        INSERT INTO docperm.role_profiles (name) VALUES (role_profile) ON CONFLICT DO NOTHING;
    ELSE
        RAISE EXCEPTION USING
            ERRCODE = '42704',
            MESSAGE = format('unknown role profile "%s"', role_profile),
            HINT    = 'Role profiles are the rows of docperm.role_profiles.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_role_profile(text) IS 'Internal: an error (42704) unless the role profile exists; in a restore, a stand-in';


CREATE FUNCTION docperm._check_role_profile() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM docperm._require_role_profile(NEW.role_profile);
    IF TG_TABLE_NAME = 'role_profile_roles' THEN
        PERFORM docperm._require_role(NEW.role);
        RETURN NEW;
    END IF;

    NEW.user_name := docperm._user_name(NEW.user_name);
    IF NEW.user_name IN ('Administrator', 'Guest') THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('user "%s" cannot have a role profile', NEW.user_name),
            HINT    = 'The Administrator has every role, and Guest only his own.';
    END IF;
    PERFORM docperm._require_user(NEW.user_name);
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._check_role_profile() IS 'Internal: trigger that refuses unknown users, roles and profiles, and profiles for Administrator and Guest';

CREATE TRIGGER check_names
    BEFORE INSERT OR UPDATE ON docperm.role_profile_roles
    FOR EACH ROW EXECUTE FUNCTION docperm._check_role_profile();

CREATE TRIGGER check_names
    BEFORE INSERT OR UPDATE ON docperm.user_role_profiles
    FOR EACH ROW EXECUTE FUNCTION docperm._check_role_profile();


-- Roles follow profiles ---------------------------------------------------------------

CREATE FUNCTION docperm._is_in_role_profiles(user_name text, role text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN EXISTS (SELECT
                 FROM docperm.user_role_profiles AS p
                 JOIN docperm.role_profile_roles AS r ON r.role_profile = p.role_profile
                WHERE p.user_name = _is_in_role_profiles.user_name
                  AND r.role      = _is_in_role_profiles.role);

COMMENT ON FUNCTION docperm._is_in_role_profiles(text, text) IS 'Internal: whether a role profile of the user names the role';


-- Who changes a profile, who gives one to a user, and who gives a role to a user, each first
-- updates the row of the profile or the user, for nothing but to be alone with it. The later one
-- sees what the earlier one did; with a snapshot that is too old for that he fails (40001).
CREATE FUNCTION docperm._alone_with_role_profiles(profiles text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM docperm.role_profiles AS p WHERE p.name = ANY (profiles) ORDER BY p.name FOR NO KEY UPDATE;
    UPDATE docperm.role_profiles AS p SET name = p.name WHERE p.name = ANY (profiles);
END
$$;

COMMENT ON FUNCTION docperm._alone_with_role_profiles(text[]) IS
    'Internal: waits until nobody else changes these role profiles or who has them, to the end of the transaction';


CREATE FUNCTION docperm._follow_role_profiles(holders text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    followers text[];
BEGIN
    PERFORM FROM docperm.users AS u WHERE u.name = ANY (holders) ORDER BY u.name FOR NO KEY UPDATE;
    UPDATE docperm.users AS u SET name = u.name WHERE u.name = ANY (holders);

    followers := ARRAY(SELECT DISTINCT p.user_name FROM docperm.user_role_profiles AS p WHERE p.user_name = ANY (holders));

    INSERT INTO docperm.user_roles (user_name, role)
    SELECT DISTINCT p.user_name, r.role
      FROM docperm.user_role_profiles AS p
      JOIN docperm.role_profile_roles AS r ON r.role_profile = p.role_profile
     WHERE p.user_name = ANY (followers)
       AND NOT EXISTS (SELECT FROM docperm.user_roles AS h WHERE h.user_name = p.user_name AND h.role = r.role)
     ORDER BY 1, 2
        ON CONFLICT DO NOTHING;

    DELETE FROM docperm.user_roles AS h
     WHERE h.user_name = ANY (followers)
       AND NOT docperm._is_in_role_profiles(h.user_name, h.role);
END
$$;

COMMENT ON FUNCTION docperm._follow_role_profiles(text[]) IS
    'Internal: gives those of the users who have role profiles exactly the roles of these; the others keep theirs';


CREATE FUNCTION docperm._role_profile_edited() RETURNS trigger
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
            profiles := ARRAY(SELECT c.role_profile FROM changed AS c UNION SELECT r.role_profile FROM replaced AS r);
        WHEN 'TRUNCATE' THEN
            profiles := ARRAY(SELECT p.name FROM docperm.role_profiles AS p);
        ELSE
            profiles := ARRAY(SELECT DISTINCT c.role_profile FROM changed AS c);
    END CASE;

    -- A profile that is deleted is gone by now, and leaves its roles to its users.
    PERFORM docperm._alone_with_role_profiles(profiles);
    PERFORM docperm._follow_role_profiles(ARRAY(SELECT DISTINCT u.user_name
                                                  FROM docperm.user_role_profiles AS u
                                                  JOIN docperm.role_profiles      AS p ON p.name = u.role_profile
                                                 WHERE p.name = ANY (profiles)));
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._role_profile_edited() IS 'Internal: trigger that lets the roles of its users follow a role profile';

-- For statements, not for rows: a profile may have many users. Not ALWAYS: a replica gets the
-- roles that followed from it as well.
CREATE TRIGGER follow_insert
    AFTER INSERT ON docperm.role_profile_roles
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._role_profile_edited();

CREATE TRIGGER follow_update
    AFTER UPDATE ON docperm.role_profile_roles
    REFERENCING OLD TABLE AS replaced NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._role_profile_edited();

CREATE TRIGGER follow_delete
    AFTER DELETE ON docperm.role_profile_roles
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._role_profile_edited();

CREATE TRIGGER follow_truncate
    AFTER TRUNCATE ON docperm.role_profile_roles
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._role_profile_edited();


CREATE FUNCTION docperm._role_profile_given() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    profiles text[];
    holders  text[];
BEGIN
    IF docperm._restoring() THEN
        RETURN NULL;
    END IF;

    profiles := ARRAY(SELECT DISTINCT c.role_profile FROM changed AS c);
    holders  := ARRAY(SELECT DISTINCT c.user_name    FROM changed AS c);
    IF TG_OP = 'UPDATE' THEN
        holders := holders || ARRAY(SELECT DISTINCT r.user_name FROM replaced AS r);
    END IF;
    PERFORM docperm._alone_with_role_profiles(profiles);
    PERFORM docperm._follow_role_profiles(holders);
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._role_profile_given() IS 'Internal: trigger that lets the roles of users follow when they get or lose role profiles';

CREATE TRIGGER follow_insert
    AFTER INSERT ON docperm.user_role_profiles
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._role_profile_given();

CREATE TRIGGER follow_update
    AFTER UPDATE ON docperm.user_role_profiles
    REFERENCING OLD TABLE AS replaced NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._role_profile_given();

CREATE TRIGGER follow_delete
    AFTER DELETE ON docperm.user_role_profiles
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._role_profile_given();


-- Roles of who has profiles are not given and taken one by one.
CREATE FUNCTION docperm._match_role_profiles() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    refused docperm.user_roles;
BEGIN
    IF docperm._restoring() THEN
        RETURN NULL;
    END IF;
    -- A role that is being renamed has its new name here before it has it in the profiles.
    IF TG_OP <> 'INSERT' AND NOT EXISTS (SELECT FROM docperm.roles AS r WHERE r.name = OLD.role) THEN
        RETURN NULL;
    END IF;

    IF TG_OP <> 'DELETE' THEN
        UPDATE docperm.users AS u SET name = u.name WHERE u.name = NEW.user_name;
        IF NOT docperm._is_in_role_profiles(NEW.user_name, NEW.role) THEN
            refused := NEW;
        END IF;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        UPDATE docperm.users AS u SET name = u.name WHERE u.name = OLD.user_name;
        IF FOUND AND docperm._is_in_role_profiles(OLD.user_name, OLD.role)
           AND NOT EXISTS (SELECT FROM docperm.user_roles AS h WHERE (h.user_name, h.role) = (OLD.user_name, OLD.role)) THEN
            refused := OLD;
        END IF;
    END IF;

    IF EXISTS (SELECT FROM docperm.user_role_profiles AS p WHERE p.user_name = refused.user_name) THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('the roles of user "%s" follow from his role profiles', refused.user_name),
            DETAIL  = CASE
                          WHEN docperm._is_in_role_profiles(refused.user_name, refused.role)
                              THEN format('One of them names the role "%s".', refused.role)
                          ELSE format('None of them names the role "%s".', refused.role)
                      END,
            HINT    = 'Change the profile (docperm.role_profile_roles), or take it from the user first (docperm.user_role_profiles).';
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._match_role_profiles() IS 'Internal: trigger that refuses roles beside those of the user''s role profiles, and to take one of these';

CREATE TRIGGER match_role_profiles
    AFTER INSERT OR UPDATE OR DELETE ON docperm.user_roles
    FOR EACH ROW EXECUTE FUNCTION docperm._match_role_profiles();


CREATE FUNCTION docperm._restore_profiled_roles() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT docperm._restoring() THEN
        PERFORM docperm._follow_role_profiles(ARRAY(SELECT DISTINCT p.user_name FROM docperm.user_role_profiles AS p));
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._restore_profiled_roles() IS 'Internal: trigger that gives those who have role profiles their roles again after TRUNCATE of docperm.user_roles';

CREATE TRIGGER follow_truncate
    AFTER TRUNCATE ON docperm.user_roles
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._restore_profiled_roles();


REVOKE ALL ON FUNCTION
    docperm._alone_with_role_profiles(text[]),
    docperm._check_role_profile(),
    docperm._follow_role_profiles(text[]),
    docperm._is_in_role_profiles(text, text),
    docperm._match_role_profiles(),
    docperm._require_role_profile(text),
    docperm._restore_profiled_roles(),
    docperm._role_profile_edited(),
    docperm._role_profile_given()
FROM PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('docperm.role_profiles', '');
SELECT pg_catalog.pg_extension_config_dump('docperm.role_profile_roles', '');
SELECT pg_catalog.pg_extension_config_dump('docperm.user_role_profiles', '');
