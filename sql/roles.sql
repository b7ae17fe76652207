-- Roles: what users hold and rules name.
--
-- Administrator, All, Guest and Desk User are automatic: a user holds them because of
-- who he is, whatever docperm.user_roles says.

CREATE TABLE docperm.roles (
    name            text    NOT NULL,
    desk_access     boolean NOT NULL DEFAULT true,
    disabled        boolean NOT NULL DEFAULT false,
    two_factor_auth boolean NOT NULL DEFAULT false,

    CONSTRAINT roles_pkey       PRIMARY KEY (name),
    CONSTRAINT roles_name_check CHECK (name <> '' AND name = btrim(name))
);

COMMENT ON TABLE  docperm.roles                 IS 'Roles; System Manager, Administrator, All, Guest and Desk User exist from the start';
COMMENT ON COLUMN docperm.roles.name            IS 'Name of the role';
COMMENT ON COLUMN docperm.roles.desk_access     IS 'Whoever holds the role is a System User';
COMMENT ON COLUMN docperm.roles.disabled        IS 'The role counts as not held by anybody';
COMMENT ON COLUMN docperm.roles.two_factor_auth IS 'Whoever holds the role needs a one-time code to log in, if docperm.settings.enable_two_factor_auth is on';

INSERT INTO docperm.roles (name, desk_access) VALUES
    ('System Manager', true),
    ('Administrator',  true),
    ('Desk User',      true),
    ('All',            false),
    ('Guest',          false);


CREATE FUNCTION docperm._is_standard_role(name text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
RETURN name IN ('System Manager', 'Administrator', 'Desk User', 'All', 'Guest');

COMMENT ON FUNCTION docperm._is_standard_role(text) IS 'Internal: whether the role comes with docperm';


CREATE FUNCTION docperm._guard_role() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND docperm._is_standard_role(OLD.name) THEN
        IF TG_OP = 'DELETE' OR NEW.name IS DISTINCT FROM OLD.name THEN
            RAISE EXCEPTION USING
                ERRCODE = '22023',
                MESSAGE = format('role "%s" is standard and can be neither renamed nor deleted', OLD.name),
                HINT    = 'Take it away from the users or rules that should not have it.';
        END IF;
    END IF;

    IF TG_OP = 'DELETE' THEN
        -- The foreign keys refuse it as well, in other words.
        IF EXISTS (SELECT FROM docperm.user_roles AS h WHERE h.role = OLD.name)
           OR EXISTS (SELECT FROM docperm.role_profile_roles AS p WHERE p.role = OLD.name) THEN
            RAISE EXCEPTION USING
                ERRCODE = '23503',
                MESSAGE = format('role "%s" is in use and cannot be deleted', OLD.name),
                DETAIL  = 'Users hold it, or a role profile names it.',
                HINT    = 'Take it away from them first (docperm.user_roles, docperm.role_profile_roles), or disable it.';
        END IF;
        RETURN OLD;
    END IF;

    IF TG_OP = 'UPDATE' AND docperm._is_standard_role(NEW.name) THEN
        IF NEW.disabled THEN
            RAISE EXCEPTION USING
                ERRCODE = '22023',
                MESSAGE = format('role "%s" is standard and cannot be disabled', NEW.name),
                HINT    = 'Take it away from the users or rules that should not have it.';
        END IF;
        IF NEW.name = 'Guest' AND NEW.desk_access THEN
            RAISE EXCEPTION USING
                ERRCODE = '22023',
                MESSAGE = 'role "Guest" cannot have desk access',
                HINT    = 'Everybody holds it, also who is not logged in.';
        END IF;
    END IF;

    -- A standard role is there already, so that inserting it ends at its key. What follows
    -- is for ON CONFLICT to say, and not for an error here.
    IF TG_OP = 'INSERT' AND NEW.name = 'Guest' THEN
        NEW.desk_access := false;
    END IF;

    -- A restored dump brings the standard roles once more, as they were there, and the
    -- true rows of roles that have a stand-in.
    IF TG_OP = 'INSERT' AND docperm._restoring()
       AND docperm._restore_row(NEW, $condition$
               CASE
                   WHEN docperm._is_standard_role(t.name) THEN t.desk_access = (t.name NOT IN ('All', 'Guest'))
                   ELSE t.disabled
               END
           $condition$) THEN
        RETURN NULL;
    END IF;

    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._guard_role() IS 'Internal: trigger that keeps the standard roles, and lets a restored row replace what stands in for it';

CREATE TRIGGER guard
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.roles
    FOR EACH ROW EXECUTE FUNCTION docperm._guard_role();

CREATE TRIGGER guard_truncate
    BEFORE TRUNCATE ON docperm.roles
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._refuse_truncate();

SELECT pg_catalog.pg_extension_config_dump('docperm.roles', '');
