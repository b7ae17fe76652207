-- Nobody raises his own rights.
--
-- The rules say who may change docperm's tables at all (sql/own_doctypes.sql). These
-- triggers say what nobody may do there, whatever the rules are:
--
-- * Only the Administrator touches the Administrator, and Guest.
-- * Nobody changes what he himself may do: his roles, his user permissions, what he is
--   shared, the columns of his record that say who he is and when and from where he may
--   come. A System Manager needs a second one for it.
-- * Who administers by a rule of the site and is no System Manager gives what he has, and
--   to those who have no more than he.
--
-- They are about statements of those to whom the policies apply, and not about what docperm
-- does for them in its functions, nor about superusers.

CREATE FUNCTION docperm._obeys_policies() RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE STRICT COST 1
AS 'MODULE_PATHNAME', 'docperm_obeys_policies_wrapper';

COMMENT ON FUNCTION docperm._obeys_policies() IS
    'Internal: whether statements run with the privileges of a role that is no superuser; stands in conditions of triggers';


-- Who is who ------------------------------------------------------------------------------

CREATE FUNCTION docperm._is_oneself(user_name text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN coalesce(user_name IN (docperm.whoami(), docperm._impersonator()), false);

COMMENT ON FUNCTION docperm._is_oneself(text) IS 'Internal: whether that user acts, or whoever acts as him';


-- As rules/roles.rs has it.
CREATE FUNCTION docperm._held_roles(user_name text) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.name
      FROM docperm.roles AS r
     WHERE CASE
               WHEN _held_roles.user_name = 'Administrator' THEN true
               WHEN r.name = 'Guest'                      THEN true
               WHEN _held_roles.user_name = 'Guest'         THEN false
               WHEN r.name = 'All'                        THEN true
               WHEN r.name = 'Administrator'              THEN false
               WHEN r.name = 'Desk User'                  THEN docperm._user_type(_held_roles.user_name) = 'System User'
               ELSE NOT r.disabled
                AND EXISTS (SELECT
                              FROM docperm.user_roles AS h
                             WHERE h.user_name = _held_roles.user_name
                               AND h.role      = r.name)
           END;
END;

COMMENT ON FUNCTION docperm._held_roles(text) IS 'Internal: the roles that count for a user, the automatic ones included';


-- Of whoever acts as somebody else, as docperm._actor() names him.
CREATE FUNCTION docperm._is_system_manager(user_name text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN coalesce((SELECT u.name = 'Administrator'
                        OR u.enabled AND 'System Manager' IN (SELECT docperm._held_roles(u.name))
                   FROM docperm.users AS u
                  WHERE u.name = _is_system_manager.user_name),
                starts_with(user_name, 'database role '));

COMMENT ON FUNCTION docperm._is_system_manager(text) IS
    'Internal: whether that user administers: the Administrator, a System Manager, or a database role that began an impersonation';


-- What a user may do in docperm's own tables, but with what is his.
CREATE FUNCTION docperm._power_of(user_name text) RETURNS TABLE (doctype text, permlevel smallint, a_right text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT DISTINCT p.doctype, p.permlevel, r.name
      FROM docperm.role_permissions AS p
      JOIN docperm.doctypes         AS d ON d.name = p.doctype
     CROSS JOIN LATERAL unnest(p.rights) AS r (name)
     WHERE docperm._is_own(d.relation)
       AND NOT p.if_owner
       AND p.custom = EXISTS (SELECT FROM docperm.role_permissions AS c WHERE c.doctype = p.doctype AND c.custom)
       AND p.role IN (SELECT docperm._held_roles(_power_of.user_name));
END;

COMMENT ON FUNCTION docperm._power_of(text) IS 'Internal: the rights on docperm''s own doctypes that a user holds by his roles, not only on what is his own';


-- Roles that make administrators.
CREATE FUNCTION docperm._is_administrative(role text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN role = 'System Manager'
    OR EXISTS (SELECT
                 FROM docperm.role_permissions AS p
                 JOIN docperm.doctypes         AS d ON d.name = p.doctype
                WHERE p.role = _is_administrative.role
                  AND docperm._is_own(d.relation)
                  AND NOT p.if_owner
                  AND p.rights && '{write,create,delete,share,import,set_user_permissions,impersonate}');

COMMENT ON FUNCTION docperm._is_administrative(text) IS
    'Internal: whether a role may change anything in docperm''s own tables that is not its holder''s, or act as others';


-- What only some may do ---------------------------------------------------------------------

-- Before the policy says so: whoever catches the error does it all the same under the eyes
-- of the log.
CREATE FUNCTION docperm._require_creating(doctype text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT docperm.has_permission(doctype, 'create') THEN
        PERFORM docperm._refuse(
            format('user "%s" may not create documents of doctype "%s"', docperm.whoami(), doctype),
            'No rule gives any of his roles the right create.',
            'docperm.explain_access() tells which rules apply.');
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_creating(text) IS 'Internal: an error (42501) unless the acting user has the right create on the doctype';


CREATE FUNCTION docperm._require_power(user_name text, what text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    acting text := docperm.whoami();
    reason text;
BEGIN
    IF acting = 'Administrator' THEN
        RETURN;
    END IF;
    reason := CASE
                  WHEN user_name IN ('Administrator', 'Guest') THEN
                      format('Only the Administrator does this to "%s".', user_name)
                  WHEN docperm._is_oneself(user_name) THEN
                      'Nobody changes what he himself may do.'
                  WHEN docperm._administers() THEN
                      NULL
                  WHEN docperm._impersonator() IS NOT NULL THEN
                      format('"%s", who acts as him, is no administrator.', docperm._impersonator())
                  WHEN docperm._is_system_manager(user_name) THEN
                      format('"%s" is an administrator.', user_name)
                  WHEN EXISTS (SELECT docperm._power_of(user_name) EXCEPT SELECT docperm._power_of(acting)) THEN
                      format('"%s" may do more in docperm''s own tables than he.', user_name)
              END;
    IF reason IS NOT NULL THEN
        PERFORM docperm._refuse(format('user "%s" may not %s', acting, format(what, user_name)),
                                reason, 'Ask an administrator.');
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_power(text, text) IS
    'Internal: an error (42501) unless the acting user may change what that user may do; what completes "user may not ...", with %s for the user''s name';


CREATE FUNCTION docperm._require_granting(role text, what text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    acting text := docperm.whoami();
    reason text;
BEGIN
    IF acting = 'Administrator' THEN
        RETURN;
    END IF;
    reason := CASE
                  WHEN role IN ('Administrator', 'All', 'Guest', 'Desk User') THEN
                      'The role is automatic.'
                  WHEN docperm._administers() THEN
                      NULL
                  WHEN docperm._impersonator() IS NOT NULL THEN
                      format('"%s", who acts as him, is no administrator.', docperm._impersonator())
                  WHEN docperm._is_administrative(role) THEN
                      'The role makes administrators, and only those give it.'
                  WHEN role NOT IN (SELECT docperm._held_roles(acting)) THEN
                      'He does not hold the role himself.'
              END;
    IF reason IS NOT NULL THEN
        PERFORM docperm._refuse(format('user "%s" may not %s', acting, format(what, role)),
                                reason, 'Ask an administrator.');
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_granting(text, text) IS
    'Internal: an error (42501) unless the acting user may give and take the role; what completes "user may not ...", with %s for the role''s name';


-- Users -----------------------------------------------------------------------------------
--
-- Triggers that authorize run before all others of their table, so names may come in any
-- form; and before the policies are asked about the new row.

-- The columns of docperm.users that the acting user leaves alone in a record.
CREATE FUNCTION docperm._closed_columns(user_name text) RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN CASE
           WHEN docperm.whoami() = 'Administrator' THEN
               '{}'::text[]
           ELSE
               -- Written by docperm; and who gives a database role a user needs no password of his.
               '{last_login,last_ip,last_active,creation,db_role}'::text[]
               || CASE WHEN docperm._is_oneself(user_name) THEN
                      '{name,enabled,simultaneous_sessions,login_after,login_before,restrict_ip,module_profile}'::text[]
                  END
               -- What a user is found by outlasts that somebody acts as him; and who changes it can
               -- have a new password sent to himself.
               || CASE
                      WHEN docperm._is_oneself(user_name) AND docperm._impersonator() IS NOT NULL
                        OR NOT docperm._is_oneself(user_name)
                       AND NOT docperm._administers()
                       AND EXISTS (SELECT docperm._held_roles(user_name) EXCEPT SELECT docperm._held_roles(docperm.whoami())) THEN
                      '{name,email,username,mobile_no}'::text[]
                  END
               || ARRAY(SELECT f.column_name::text
                          FROM docperm.doctype_fields AS f
                         WHERE f.doctype   = 'User'
                           AND f.permlevel > 0
                           AND (docperm._is_oneself(user_name)
                                OR ('User', f.permlevel, 'write') NOT IN (SELECT p.doctype, p.permlevel, p.a_right
                                                                            FROM docperm._power_of(docperm.whoami()) AS p)))
       END;

COMMENT ON FUNCTION docperm._closed_columns(text) IS
    'Internal: the columns of that user''s record that the acting user does not change';


-- A login name has to mean one user, also where mobile numbers and short names are allowed, and
-- so has an address, by which login providers name him.
CREATE FUNCTION docperm._is_login_of_another(login_id text, user_name text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN EXISTS (SELECT
                 FROM docperm.users AS u
                WHERE u.name <> user_name
                  AND (u.name = docperm._user_name(login_id) OR btrim(login_id) IN (u.username, u.mobile_no) OR u.email = lower(btrim(login_id))));

COMMENT ON FUNCTION docperm._is_login_of_another(text, text) IS
    'Internal: whether another user than that one has it for his name, short name, mobile number or e-mail address';


CREATE FUNCTION docperm._authorize_user() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    acting  text   := docperm.whoami();
    named   text   := docperm._user_name(NEW.name);
    changed text[] := '{}';
    wrong   text;
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM docperm._require_creating('User');
        PERFORM docperm._require_power(named, 'make a user "%s"');
        -- Columns that are left out have their defaults, which nobody may mind.
        changed := ARRAY(SELECT c.name
                           FROM unnest('{name,email,last_login,last_ip,last_active,db_role,username,mobile_no}'::text[]) AS c (name)
                          WHERE to_jsonb(NEW) ->> c.name <> '');
    ELSE
        -- His own record is his, but for what says who he is and what he may do.
        IF OLD.name <> acting OR TG_OP = 'DELETE' THEN
            PERFORM docperm._require_power(OLD.name, CASE TG_OP WHEN 'DELETE' THEN 'delete the user "%s"' ELSE 'change the record of "%s"' END);
        END IF;
        IF TG_OP = 'DELETE' THEN
            RETURN OLD;
        END IF;
        IF named IS DISTINCT FROM OLD.name THEN
            PERFORM docperm._require_power(named, 'give a user the name "%s"');
        END IF;
        changed := ARRAY(SELECT n.key
                           FROM jsonb_each(to_jsonb(NEW)) AS n
                           JOIN jsonb_each(to_jsonb(OLD)) AS o USING (key)
                          WHERE n.value <> o.value
                            -- Computed, whatever is written.
                            AND n.key NOT IN ('full_name', 'user_type')
                            AND NOT (n.key = 'name' AND named = OLD.name));
    END IF;

    SELECT c.name INTO wrong
      FROM unnest(changed) AS c (name)
     WHERE c.name = ANY (docperm._closed_columns(CASE TG_OP WHEN 'UPDATE' THEN OLD.name ELSE named END))
       AND (TG_OP = 'UPDATE' OR c.name NOT IN ('name', 'email', 'username', 'mobile_no'))
     ORDER BY 1
     LIMIT 1;
    IF FOUND THEN
        PERFORM docperm._refuse(
            format('user "%s" may not set column "%s" of user "%s"', acting, wrong, coalesce(OLD.name, named)),
            CASE
                WHEN wrong IN ('last_login', 'last_ip', 'last_active', 'creation')
                                         THEN 'docperm alone writes it.'
                WHEN wrong = 'db_role'   THEN 'Which database role acts as a user, only the Administrator decides, and superusers.'
                WHEN docperm._is_oneself(coalesce(OLD.name, named))
                                         THEN 'Nobody changes what he himself may do, nor what a user is found by while he acts as him.'
                WHEN wrong IN ('name', 'email', 'username', 'mobile_no')
                                         THEN 'The user is found by it, and has roles that he has not.'
                ELSE                          'No rule lets him write columns of its level.'
            END,
            'Ask an administrator.');
    END IF;

    SELECT c.name INTO wrong
      -- As they are going to be stored.
      FROM (VALUES ('name', named), ('email', NEW.email), ('username', docperm._short_name(NEW.username)), ('mobile_no', NEW.mobile_no)) AS c (name, value)
     WHERE c.name = ANY (changed)
       -- Administrators may let two users share a mailbox.
       AND (c.name <> 'email' OR NOT docperm._administers())
       AND docperm._is_login_of_another(c.value, CASE TG_OP WHEN 'UPDATE' THEN OLD.name ELSE named END)
     LIMIT 1;
    IF FOUND THEN
        PERFORM docperm._refuse(
            format('user "%s" may not set column "%s" of user "%s" to this', acting, wrong, coalesce(OLD.name, named)),
            'Another user is found by it.',
            'Choose another.');
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._authorize_user() IS 'Internal: trigger that refuses to change the rights of oneself, of the Administrator, of who has more power';

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.users
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_user();


CREATE FUNCTION docperm._authorize_user_role() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM docperm._require_creating('Has Role');
    ELSE
        PERFORM docperm._require_power(OLD.user_name, 'take away roles of "%s"');
        PERFORM docperm._require_granting(OLD.role, 'take away the role "%s"');
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    PERFORM docperm._require_power(docperm._user_name(NEW.user_name), 'give "%s" a role');
    PERFORM docperm._require_granting(NEW.role, 'give the role "%s"');
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._authorize_user_role() IS 'Internal: trigger that refuses to give roles to oneself, or such that one may not give';

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.user_roles
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_user_role();


-- A role profile is as many roles at once.
CREATE FUNCTION docperm._authorize_user_profile() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM docperm._require_creating('Has Role');
    IF TG_OP <> 'INSERT' THEN
        PERFORM docperm._require_power(OLD.user_name, 'take away role profiles of "%s"');
        PERFORM docperm._require_granting(r.role, 'take away the role "%s"')
           FROM docperm.role_profile_roles AS r
          WHERE r.role_profile = OLD.role_profile;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    PERFORM docperm._require_power(docperm._user_name(NEW.user_name), 'give "%s" a role profile');
    PERFORM docperm._require_granting(r.role, 'give the role "%s"')
       FROM docperm.role_profile_roles AS r
      WHERE r.role_profile = NEW.role_profile;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._authorize_user_profile() IS 'Internal: trigger that refuses to give role profiles to oneself, or such that one may not give all roles of';

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.user_role_profiles
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_user_profile();


-- Lines of a user's record that are of level 1 in Frappe.
CREATE FUNCTION docperm._authorize_user_line() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM docperm._power_of(docperm.whoami()) AS p WHERE (p.doctype, p.permlevel, p.a_right) = ('User', 1, 'write')) THEN
        PERFORM docperm._refuse(
            format('user "%s" may not change documents of doctype "%s"', docperm.whoami(), TG_ARGV[0]),
            'No rule lets him write level 1 of the doctype User.',
            'docperm.explain_access() tells which rules apply.');
    END IF;
    IF TG_OP <> 'INSERT' THEN
        PERFORM docperm._require_power(OLD.user_name, 'change the record of "%s"');
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    PERFORM docperm._require_power(docperm._user_name(NEW.user_name), 'change the record of "%s"');
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._authorize_user_line() IS
    'Internal: trigger on lines of a user''s record that are of level 1; its argument names their doctype';

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.user_blocked_modules
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_user_line('Block Module');

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.user_emails
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_user_line('User Email');


-- A second entry for a doctype widens the first, and without entries there is no restriction:
-- either way somebody may come by more.
CREATE FUNCTION docperm._authorize_user_permission() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_delegate boolean := NOT docperm._administers();
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM docperm._require_creating('User Permission');
    ELSE
        PERFORM docperm._require_power(OLD.user_name, 'change user permissions of "%s"');
        IF is_delegate THEN
            PERFORM docperm._require_freeing(OLD.allow);
        END IF;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    PERFORM docperm._require_power(docperm._user_name(NEW.user_name), 'set user permissions of "%s"');
    IF is_delegate AND NOT docperm._may_permit(NEW.allow, NEW.for_value, NEW.applicable_for, NEW.hide_descendants) THEN
        PERFORM docperm._refuse(
            format('user "%s" may not permit document "%s" of doctype "%s"', docperm.whoami(), NEW.for_value, NEW.allow),
            'The user is not permitted it himself, with what is below it, wherever the user permission would apply.',
            'Ask an administrator.');
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._authorize_user_permission() IS 'Internal: trigger that refuses to change user permissions of oneself, or to hand out what one is not permitted';

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.user_permissions
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_user_permission();


-- As docperm.share() does it; a share that is taken away makes nobody more.
CREATE FUNCTION docperm._authorize_share() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    acting text := docperm.whoami();
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM docperm._require_creating('Share');
    END IF;
    IF acting = 'Administrator' THEN
        RETURN NEW;
    END IF;
    IF docperm._is_oneself(docperm._user_name(NEW.user_name)) THEN
        PERFORM docperm._refuse(
            format('user "%s" may not share with himself', acting),
            'Such a share would outlive the rights that it was given by.',
            'Share with others.');
    END IF;
    PERFORM docperm._require_giving(NEW.doctype, NEW.document, docperm._share_rights(NEW.rights));
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._authorize_share() IS 'Internal: trigger that refuses to share with oneself, or what one does not have';

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE ON docperm.shares
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_share();


-- Roles and rules -------------------------------------------------------------------------

CREATE FUNCTION docperm._authorize_role() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    acting text := docperm.whoami();
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM docperm._require_creating('Role');
    END IF;
    IF TG_OP <> 'DELETE'
       AND acting <> 'Administrator'
       AND NEW.name IS DISTINCT FROM OLD.name
       AND lower(btrim(NEW.name)) IN ('system manager', 'administrator', 'desk user', 'all', 'guest') THEN
        PERFORM docperm._refuse(
            format('user "%s" may not call a role "%s"', acting, NEW.name),
            'The name is that of a role that comes with docperm.',
            'Choose another name.');
    END IF;
    -- A role that is disabled counts when it is enabled again.
    IF TG_OP <> 'INSERT' AND NOT docperm._administers()
       AND (docperm._is_administrative(OLD.name)
            OR OLD.name IN (SELECT docperm._held_roles(acting))
            OR EXISTS (SELECT FROM docperm.user_roles AS h WHERE h.user_name = acting AND h.role = OLD.name)) THEN
        PERFORM docperm._refuse(
            format('user "%s" may not change the role "%s"', acting, OLD.name),
            'He holds the role himself, or it makes administrators.',
            'Ask an administrator.');
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._authorize_role() IS 'Internal: trigger that keeps who is no administrator from roles that are his or make administrators';

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.roles
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_role();


-- What a rule does to the rights of whoever writes it. System Managers write the rules, also
-- of roles that they hold; but what everybody holds is the Administrator's, as in Frappe, save
-- to copy what is there (docperm.customize).
CREATE FUNCTION docperm._require_ruling(rule docperm.role_permissions) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    acting text := docperm.whoami();
    reason text;
BEGIN
    IF acting = 'Administrator' THEN
        RETURN;
    END IF;
    reason := CASE
                  WHEN docperm._administers() THEN
                      CASE WHEN rule.role IN ('Administrator', 'All', 'Guest', 'Desk User')
                            AND NOT EXISTS (SELECT
                                              FROM docperm.role_permissions AS p
                                             WHERE p.doctype   = rule.doctype
                                               AND p.role      = rule.role
                                               AND p.permlevel = rule.permlevel
                                               AND p.if_owner  = rule.if_owner
                                               AND p.rights   @> rule.rights)
                           THEN 'What is for everybody, only the Administrator gives.'
                      END
                  WHEN docperm._impersonator() IS NOT NULL THEN
                      format('"%s", who acts as him, is no administrator.', docperm._impersonator())
                  WHEN EXISTS (SELECT FROM docperm.doctypes AS d WHERE d.name = rule.doctype AND docperm._is_own(d.relation)) THEN
                      'The doctype is docperm''s own.'
                  WHEN docperm._is_administrative(rule.role) THEN
                      'The role makes administrators.'
                  WHEN rule.role IN (SELECT docperm._held_roles(acting)) THEN
                      'He holds the role himself.'
                  WHEN EXISTS (SELECT FROM unnest(rule.rights) AS r (name) WHERE NOT docperm.has_permission(rule.doctype, r.name)) THEN
                      'He does not have all of its rights himself.'
              END;
    IF reason IS NOT NULL THEN
        PERFORM docperm._refuse(
            format('user "%s" may not write rules of role "%s" on doctype "%s"', acting, rule.role, rule.doctype),
            reason, 'Ask an administrator.');
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_ruling(docperm.role_permissions) IS 'Internal: an error (42501) unless the acting user may write such a rule';


CREATE FUNCTION docperm._authorize_role_permission() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM docperm._require_creating('Role Permission');
    ELSE
        PERFORM docperm._require_ruling(OLD);
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    PERFORM docperm._require_ruling(NEW);
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._authorize_role_permission() IS 'Internal: trigger that refuses rules by which who is no administrator would come by more';

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.role_permissions
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_role_permission();


-- The site --------------------------------------------------------------------------------

-- Who decides how people log in can be anybody, and who adds a right can be everywhere.
CREATE FUNCTION docperm._authorize_administration() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT docperm._administers() THEN
        PERFORM docperm._refuse(
            format('user "%s" may not change documents of doctype "%s"', docperm.whoami(), TG_ARGV[0]),
            'Only the Administrator and System Managers may.',
            'Ask an administrator.');
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._authorize_administration() IS 'Internal: trigger that refuses everybody but administrators; its argument names the doctype';

-- Templates reach all their users.
CREATE FUNCTION docperm._authorize_template_line() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    template text;
BEGIN
    IF NOT docperm._administers() THEN
        PERFORM docperm._refuse(
            format('user "%s" may not change documents of doctype "%s"', docperm.whoami(), TG_ARGV[0]),
            'Only the Administrator and System Managers may.',
            'Ask an administrator.');
    END IF;

    FOREACH template IN ARRAY array_remove(ARRAY[to_jsonb(OLD) ->> TG_ARGV[1], to_jsonb(NEW) ->> TG_ARGV[1]], NULL) LOOP
        PERFORM docperm._require_power(u.name, 'change what "%s" may do')
           FROM docperm.users AS u
          WHERE docperm._is_oneself(u.name)
            AND CASE TG_ARGV[1]
                    WHEN 'module_profile' THEN u.module_profile = template
                    ELSE EXISTS (SELECT
                                   FROM docperm.user_role_profiles AS p
                                  WHERE p.user_name    = u.name
                                    AND p.role_profile = template)
                END;
    END LOOP;
    PERFORM docperm._require_granting(r.role, 'put the role "%s" into a profile, or take it out')
       FROM (VALUES (to_jsonb(OLD) ->> 'role'), (to_jsonb(NEW) ->> 'role')) AS r (role)
      WHERE r.role IS NOT NULL;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._authorize_template_line() IS
    'Internal: trigger on lines of role profiles and module profiles that refuses everybody but administrators, and these where they have the profile themselves; its arguments name the doctype and the column with the profile';

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.role_profile_roles
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_template_line('Role Profile Role', 'role_profile');

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.module_profile_blocks
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_template_line('Module Profile Block', 'module_profile');


CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.role_profiles
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_administration('Role Profile');

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.modules
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_administration('Module Def');

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.module_profiles
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_administration('Module Profile');

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.pages
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_administration('Page');

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.page_roles
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_administration('Page Role');

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.reports
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_administration('Report');

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.report_roles
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_administration('Report Role');

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.settings
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_administration('Settings');

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.rights
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_administration('Permission Type');

CREATE TRIGGER authorize
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.login_providers
    FOR EACH ROW WHEN (docperm._obeys_policies())
    EXECUTE FUNCTION docperm._authorize_administration('Social Login Key');


REVOKE ALL ON FUNCTION
    docperm._authorize_administration(),
    docperm._authorize_role(),
    docperm._authorize_role_permission(),
    docperm._authorize_share(),
    docperm._authorize_template_line(),
    docperm._authorize_user(),
    docperm._authorize_user_line(),
    docperm._authorize_user_permission(),
    docperm._authorize_user_profile(),
    docperm._authorize_user_role(),
    docperm._closed_columns(text),
    docperm._is_administrative(text),
    docperm._is_login_of_another(text, text),
    docperm._is_oneself(text),
    docperm._is_system_manager(text),
    docperm._obeys_policies(),
    docperm._power_of(text),
    docperm._require_creating(text),
    docperm._require_granting(text, text),
    docperm._require_power(text, text),
    docperm._require_ruling(docperm.role_permissions),
    docperm._held_roles(text)
FROM PUBLIC;

-- Conditions of triggers run with the privileges of whoever writes.
GRANT EXECUTE ON FUNCTION docperm._obeys_policies() TO PUBLIC;
