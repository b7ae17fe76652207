-- Who may do what: reports for those who answer for it.
--
-- All but a few questions of a user about himself are for administrators: a report says more of
-- others than anybody should know who does not answer for them.

-- Whom a report may be asked about: anybody by administrators, otherwise oneself.
CREATE FUNCTION docperm._asked_about(user_name text, what text) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    whose text := coalesce(docperm._user_name(user_name), docperm.whoami());
BEGIN
    IF whose IS DISTINCT FROM docperm.whoami() THEN
        PERFORM docperm._require_administration(what);
    END IF;
    IF NOT EXISTS (SELECT FROM docperm.users AS u WHERE u.name = whose) THEN
        RAISE EXCEPTION USING
            ERRCODE = '42704',
            MESSAGE = format('unknown user "%s"', whose),
            HINT    = 'Users are the rows of docperm.users.';
    END IF;
    RETURN whose;
END
$$;

COMMENT ON FUNCTION docperm._asked_about(text, text) IS
    'Internal: the user whom a report is about, the acting one for NULL. An error if that is another and no administrator acts (42501; the argument completes "user may not ..."), or unknown (42704)';


-- Rules -------------------------------------------------------------------------------

CREATE FUNCTION docperm._sorted_rights(rights text[]) RETURNS text[]
    LANGUAGE sql STABLE PARALLEL SAFE
RETURN (SELECT coalesce(array_agg(DISTINCT r.name ORDER BY r.name), '{}') FROM unnest(rights) AS r (name));

COMMENT ON FUNCTION docperm._sorted_rights(text[]) IS 'Internal: rights, each once, in the order of their names';


CREATE FUNCTION docperm._counting_rules()
    RETURNS TABLE (doctype text, role text, permlevel smallint, if_owner boolean, custom boolean, rights text[])
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- Where a doctype has a custom rule, its standard rules count no more.
    SELECT p.doctype, p.role, p.permlevel, p.if_owner, p.custom, p.rights
      FROM docperm.role_permissions AS p
      JOIN docperm.roles            AS r ON r.name = p.role
     WHERE NOT r.disabled
       AND p.custom = EXISTS (SELECT
                                FROM docperm.role_permissions AS c
                               WHERE c.doctype = p.doctype
                                 AND c.custom);
END;

COMMENT ON FUNCTION docperm._counting_rules() IS
    'Internal: the rules that count: the custom ones of a doctype where it has any, none of roles that are disabled';


CREATE FUNCTION docperm._holders(role text)
    RETURNS TABLE (user_name text, automatic boolean)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- An automatic role follows from who somebody is, whatever docperm.user_roles says.
    SELECT u.name, true
      FROM docperm.users AS u
     WHERE CASE _holders.role
               WHEN 'Guest'         THEN true
               WHEN 'All'           THEN u.name <> 'Guest'
               WHEN 'Desk User'     THEN u.user_type = 'System User'
               WHEN 'Administrator' THEN u.name = 'Administrator'
               ELSE                      u.name = 'Administrator'
           END
     UNION ALL
    SELECT h.user_name, false
      FROM docperm.user_roles AS h
     WHERE h.role = _holders.role
       AND h.role NOT IN ('Guest', 'All', 'Desk User', 'Administrator')
       AND h.user_name NOT IN ('Administrator', 'Guest');
END;

COMMENT ON FUNCTION docperm._holders(text) IS
    'Internal: the users who hold a role; automatic where it follows from who they are. The Administrator holds every role, Guest no other than Guest';


CREATE FUNCTION docperm.role_permission_matrix(doctype text DEFAULT NULL, role text DEFAULT NULL)
    RETURNS TABLE (for_doctype text, for_role text, permlevel smallint, if_owner boolean, custom boolean, rights text[], users bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM docperm._require_administration('see the rules of all roles');
    IF role_permission_matrix.doctype IS NOT NULL THEN
        PERFORM docperm._require_doctype(role_permission_matrix.doctype);
    END IF;
    IF role_permission_matrix.role IS NOT NULL THEN
        PERFORM docperm._require_role(role_permission_matrix.role);
    END IF;

    RETURN QUERY
    SELECT p.doctype, p.role, p.permlevel, p.if_owner, p.custom, docperm._sorted_rights(p.rights),
           (SELECT count(*) FROM docperm._holders(p.role) AS h JOIN docperm.users AS u ON u.name = h.user_name AND u.enabled)
      FROM docperm._counting_rules() AS p
     WHERE (role_permission_matrix.doctype IS NULL OR p.doctype = role_permission_matrix.doctype)
       AND (role_permission_matrix.role    IS NULL OR p.role    = role_permission_matrix.role)
     ORDER BY p.doctype, p.role, p.permlevel, p.if_owner;
END
$$;

COMMENT ON FUNCTION docperm.role_permission_matrix(text, text) IS
    'The rules that are in force, by doctype, role, level and if_owner: custom ones where a doctype has any, none of disabled roles. users: how many who are enabled hold the role, the Administrator included. For administrators. Errors: 42501 anybody else, 42704 unknown doctype or role';


CREATE FUNCTION docperm.users_with_role(role text, include_disabled boolean DEFAULT true)
    RETURNS TABLE (user_name text, full_name text, enabled boolean, user_type text, automatic boolean, role_profiles text[],
                   in_force boolean, last_login timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    is_disabled boolean;
BEGIN
    PERFORM docperm._require_administration('see who holds a role');
    PERFORM docperm._require_role(coalesce(users_with_role.role, ''));
    SELECT r.disabled INTO is_disabled FROM docperm.roles AS r WHERE r.name = users_with_role.role;

    RETURN QUERY
    SELECT u.name, u.full_name, u.enabled, u.user_type, h.automatic,
           ARRAY(SELECT p.role_profile
                   FROM docperm.user_role_profiles AS p
                   JOIN docperm.role_profile_roles AS r ON r.role_profile = p.role_profile
                  WHERE p.user_name = u.name
                    AND r.role      = users_with_role.role
                    AND NOT h.automatic
                  ORDER BY 1),
           u.enabled AND NOT is_disabled, u.last_login
      FROM docperm._holders(users_with_role.role) AS h
      JOIN docperm.users AS u ON u.name = h.user_name
     WHERE u.enabled OR include_disabled
     ORDER BY u.name;
END
$$;

COMMENT ON FUNCTION docperm.users_with_role(text, boolean) IS
    'The users who hold a role, each with the role profiles that he has it from (none: it was given to him by itself) and when he last logged in. automatic: it follows from who he is; in_force: he is enabled, and so is the role. For administrators. Errors: 42501 anybody else, 42704 unknown role';


-- One user ----------------------------------------------------------------------------

CREATE FUNCTION docperm.user_doctype_permissions(user_name text DEFAULT NULL)
    RETURNS TABLE (doctype text, if_owner boolean, rights text[], roles text[])
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    whose text   := docperm._asked_about(user_doctype_permissions.user_name, 'see the permissions of others');
    held  text[] := docperm._roles_of(whose);
BEGIN
    IF whose = 'Administrator' THEN
        RETURN QUERY
        SELECT d.name, false, docperm._sorted_rights(g.names), ARRAY['Administrator']
          FROM docperm.doctypes AS d
         CROSS JOIN LATERAL (SELECT array_agg(r.name)
                               FROM docperm.rights AS r
                              WHERE (r.name <> ALL ('{submit,cancel,amend}') OR d.docstatus_column IS NOT NULL)
                                AND (r.name <> 'import' OR d.allow_import)) AS g (names)
         WHERE d.relation IS NOT NULL
         ORDER BY 1;
        RETURN;
    END IF;

    RETURN QUERY
    SELECT p.doctype, p.if_owner, docperm._sorted_rights(array_agg(g.name)), array_agg(DISTINCT p.role)
      FROM docperm._counting_rules() AS p
     CROSS JOIN LATERAL unnest(p.rights) AS g (name)
     WHERE p.permlevel = 0
       AND p.role = ANY (held)
     GROUP BY p.doctype, p.if_owner
     ORDER BY 1, 2;
END
$$;

COMMENT ON FUNCTION docperm.user_doctype_permissions(text) IS
    'The rights that the user''s roles give him, by doctype and if_owner, and which roles those are: rules of level 0 only. User permissions, shares and blocked modules are not in it. Without user_name: the acting user. Errors: 42501 another user, not an administrator; 42704 unknown user';


CREATE FUNCTION docperm.user_permission_levels(user_name text DEFAULT NULL, doctype text DEFAULT NULL)
    RETURNS TABLE (for_doctype text, permlevel smallint, read boolean, write boolean, columns name[])
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    whose text   := docperm._asked_about(user_permission_levels.user_name, 'see the permissions of others');
    held  text[] := docperm._roles_of(whose);
BEGIN
    IF user_permission_levels.doctype IS NOT NULL THEN
        PERFORM docperm._require_doctype(user_permission_levels.doctype);
    END IF;

    RETURN QUERY
      WITH leveled AS (
               -- Columns of a child table have levels that the rules of its parent open.
               SELECT d.name, f.permlevel, coalesce(d.parent_doctype, d.name) AS ruled_by,
                      array_agg(f.column_name ORDER BY f.column_name) AS columns
                 FROM docperm.doctypes       AS d
                 JOIN docperm.doctype_fields AS f ON f.doctype = d.name
                WHERE f.permlevel > 0
                GROUP BY d.name, f.permlevel
                UNION ALL
               SELECT d.name, 0::smallint, coalesce(d.parent_doctype, d.name), NULL
                 FROM docperm.doctypes AS d
                WHERE EXISTS (SELECT FROM docperm.doctype_fields AS f WHERE f.doctype = d.name AND f.permlevel > 0)
           )
    SELECT l.name, l.permlevel, o.opens OR coalesce(r.may_read, false), o.opens OR coalesce(r.may_write, false), l.columns
      FROM leveled AS l
     CROSS JOIN LATERAL (SELECT whose = 'Administrator'
                                OR (held <> '{}'
                                    AND NOT EXISTS (SELECT FROM docperm.role_permissions AS p WHERE p.doctype = l.ruled_by))) AS o (opens)
     CROSS JOIN LATERAL (SELECT bool_or('read' = ANY (p.rights)), bool_or('write' = ANY (p.rights))
                           FROM docperm._counting_rules() AS p
                          WHERE p.doctype   = l.ruled_by
                            AND p.permlevel = l.permlevel
                            AND p.role      = ANY (held)) AS r (may_read, may_write)
     WHERE user_permission_levels.doctype IS NULL OR l.name = user_permission_levels.doctype
     ORDER BY 1, 2;
END
$$;

COMMENT ON FUNCTION docperm.user_permission_levels(text, text) IS
    'Which levels of columns the user''s roles let him read and write, of doctypes that have columns above level 0; columns lists those of each level. Without user_name: the acting user. Errors: 42501 another user, not an administrator; 42704 unknown user or doctype';


CREATE FUNCTION docperm.show_permissions(doctype text, user_name text DEFAULT NULL)
    RETURNS TABLE (document text, "read" boolean, "write" boolean, "create" boolean, "delete" boolean, "submit" boolean,
                   "cancel" boolean, "amend" boolean, others text[])
    LANGUAGE sql STABLE ROWS 1000
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT p.document,
           'read'   = ANY (p.rights), 'write'  = ANY (p.rights), 'create' = ANY (p.rights), 'delete' = ANY (p.rights),
           'submit' = ANY (p.rights), 'cancel' = ANY (p.rights), 'amend'  = ANY (p.rights),
           ARRAY(SELECT o.name
                   FROM unnest(p.rights) AS o (name)
                  WHERE o.name <> ALL ('{read,write,create,delete,submit,cancel,amend}'))
      FROM docperm.permitted_documents(show_permissions.doctype, show_permissions.user_name) AS p;
END;

COMMENT ON FUNCTION docperm.show_permissions(text, text) IS
    'docperm.permitted_documents() with a column for each right that matters most. create: whether the user could have made the document as it is. Errors as of docperm.has_permission()';


-- Shares ------------------------------------------------------------------------------

CREATE FUNCTION docperm.share_report(doctype text DEFAULT NULL, document text DEFAULT NULL, user_name text DEFAULT NULL)
    RETURNS TABLE (for_doctype text, for_document text, shared_with text, everyone boolean, rights text[],
                   is_effective boolean, shared_at timestamptz, shared_by text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    whose text := docperm._user_name(share_report.user_name);
BEGIN
    -- What is shared with somebody he may read, and learn who shared it.
    IF whose IS NULL THEN
        PERFORM docperm._require_administration('see what is shared with others');
    ELSE
        whose := docperm._asked_about(whose, 'see what is shared with others');
    END IF;
    IF share_report.doctype IS NOT NULL THEN
        PERFORM docperm._require_doctype(share_report.doctype);
    END IF;

    RETURN QUERY
    SELECT s.doctype, s.document, s.user_name, s.everyone, s.rights,
           s.everyone OR (SELECT u.enabled FROM docperm.users AS u WHERE u.name = s.user_name),
           l.at, l.changed_by
      FROM docperm.shares AS s
      LEFT JOIN LATERAL (SELECT g.at, g.changed_by
                           FROM docperm.permission_log AS g
                          WHERE g.object_type = 'Share'
                            AND g.object_name = s.document
                            AND g.action      = 'Added'
                            AND g.row_key ->> 'doctype'   = s.doctype
                            AND g.row_key ->> 'user_name' IS NOT DISTINCT FROM s.user_name
                          ORDER BY g.at DESC
                          LIMIT 1) AS l ON true
     WHERE (share_report.doctype  IS NULL OR s.doctype  = share_report.doctype)
       AND (share_report.document IS NULL OR s.document = share_report.document)
       AND (whose IS NULL OR s.user_name = whose OR (s.everyone AND whose <> 'Guest'))
     ORDER BY s.doctype, s.document, s.everyone, s.user_name;
END
$$;

COMMENT ON FUNCTION docperm.share_report(text, text, text) IS
    'What is shared: all, of a doctype, of a document, or with a user, what is shared with everyone included; when and by whom as far as the permission log knows. is_effective: the user is enabled. For administrators, and for a user about himself. Errors: 42501 another user, 42704 unknown doctype or user';


-- Logins ------------------------------------------------------------------------------

CREATE FUNCTION docperm.failed_logins(since timestamptz DEFAULT now() - interval '1 day')
    RETURNS TABLE (user_name text, client_address inet, attempts bigint, first_at timestamptz, last_at timestamptz,
                   reasons text[], got_in_at timestamptz)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM docperm._require_administration('see the failed logins of others');

    RETURN QUERY
      WITH failed AS (
               SELECT l.user_name, l.client_address, count(*) AS attempts, min(l.at) AS first_at, max(l.at) AS last_at,
                      array_agg(DISTINCT l.detail) FILTER (WHERE l.detail IS NOT NULL) AS reasons
                 FROM docperm.activity_log AS l
                WHERE l.operation = 'Login'
                  AND l.status    = 'Failed'
                  AND l.at       >= since
                GROUP BY l.user_name, l.client_address
           )
    SELECT f.user_name, f.client_address, f.attempts, f.first_at, f.last_at, coalesce(f.reasons, '{}'),
           (SELECT min(s.at)
              FROM docperm.activity_log AS s
             WHERE s.user_name = f.user_name
               AND s.client_address IS NOT DISTINCT FROM f.client_address
               AND s.operation = 'Login'
               AND s.status    = 'Success'
               AND s.at        > f.first_at)
      FROM failed AS f
     ORDER BY f.attempts DESC, f.last_at DESC, f.user_name, f.client_address;
END
$$;

COMMENT ON FUNCTION docperm.failed_logins(timestamptz) IS
    'Failed logins since then, by user and address, the most first; user_name is NULL where nobody has the name that was given. got_in_at: when a login of that user from there first succeeded after the first failure. For administrators. Error: 42501 anybody else';


CREATE FUNCTION docperm._require_dormancy(unused interval, user_type text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF unused IS NULL OR unused <= interval '0' THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = 'nothing says after which time a user is dormant',
            HINT    = 'Give an interval, such as ''90 days''.';
    END IF;
    IF user_type NOT IN ('System User', 'Website User') THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('unknown type of users "%s"', user_type),
            HINT    = 'Users are of the type System User or Website User.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_dormancy(interval, text) IS
    'Internal: an error (22023) unless it is an interval, and a type of users if one is given';


CREATE FUNCTION docperm.dormant_users(unused interval DEFAULT '90 days', user_type text DEFAULT NULL)
    RETURNS TABLE (user_name text, full_name text, type text, last_seen timestamptz, created_at timestamptz, roles text[],
                   never_logs_in text[])
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM docperm._require_administration('see when others logged in');
    PERFORM docperm._require_dormancy(unused, dormant_users.user_type);

    RETURN QUERY
    SELECT u.name, u.full_name, u.user_type, greatest(u.last_login, u.last_active), u.creation,
           ARRAY(SELECT h.role FROM docperm.user_roles AS h WHERE h.user_name = u.name ORDER BY 1),
           array_remove(ARRAY[CASE WHEN u.db_role IS NOT NULL THEN 'database role' END,
                              CASE WHEN EXISTS (SELECT FROM docperm.api_keys AS k WHERE k.user_name = u.name) THEN 'API key' END], NULL)
      FROM docperm.users AS u
     WHERE u.enabled
       AND u.name NOT IN ('Administrator', 'Guest')
       AND coalesce(greatest(u.last_login, u.last_active), u.creation) < now() - unused
       AND (dormant_users.user_type IS NULL OR u.user_type = dormant_users.user_type)
     ORDER BY coalesce(greatest(u.last_login, u.last_active), u.creation), u.name;
END
$$;

COMMENT ON FUNCTION docperm.dormant_users(interval, text) IS
    'Users who are enabled and were not seen for so long: whose last session is older, or who have had none since they were made. never_logs_in: what lets a user act without logging in, a database role or an API key. For administrators. Errors: 42501 anybody else, 22023 no interval';


CREATE FUNCTION docperm.disable_dormant_users(unused interval DEFAULT '90 days', user_type text DEFAULT NULL)
    RETURNS SETOF text
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 100
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM docperm._require_administration('disable users');
    PERFORM docperm._require_dormancy(unused, disable_dormant_users.user_type);

    RETURN QUERY
      WITH disabled AS (
               UPDATE docperm.users AS u
                  SET enabled = false
                 FROM docperm.dormant_users(unused, disable_dormant_users.user_type) AS d
                WHERE u.name = d.user_name
                  AND d.never_logs_in = '{}'
                  AND u.name NOT IN ('Administrator', 'Guest', docperm.whoami(), docperm._actor())
                  -- One who logged in a moment ago is not dormant any more.
                  AND u.enabled
                  AND coalesce(greatest(u.last_login, u.last_active), u.creation) < now() - unused
            RETURNING u.name
           )
    SELECT n.name FROM disabled AS n ORDER BY 1;
END
$$;

COMMENT ON FUNCTION docperm.disable_dormant_users(interval, text) IS
    'Disables the users of docperm.dormant_users() and returns their names. Not who acts himself, nor who acts by a database role or an API key and never logs in. Logged in docperm.permission_log. For administrators. Errors: 42501 anybody else, 22023 no interval';


-- Changes -----------------------------------------------------------------------------

CREATE FUNCTION docperm.role_changes(since timestamptz DEFAULT now() - interval '30 days')
    RETURNS TABLE (at timestamptz, changed_by text, impersonated_by text, action text, object_type text, role text,
                   user_name text, belongs_to text, changes jsonb)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM docperm._require_administration('see the changes of roles');

    RETURN QUERY
    SELECT l.at, l.changed_by, l.impersonated_by, l.action, l.object_type,
           CASE WHEN l.object_type = 'Role' THEN l.object_name ELSE l.row_key ->> 'role' END,
           l.user_name,
           coalesce(l.row_key ->> 'role_profile', l.row_key ->> 'page', l.row_key ->> 'report', l.row_key ->> 'doctype'),
           l.changes
      FROM docperm.permission_log AS l
     WHERE l.at >= since
       AND l.object_type IN ('Has Role', 'Role', 'Role Permission', 'Role Profile', 'Role Profile Role', 'User Role Profile',
                             'Page Role', 'Report Role')
     ORDER BY l.id DESC;
END
$$;

COMMENT ON FUNCTION docperm.role_changes(timestamptz) IS
    'What changed in roles since then, the latest first: who got or lost one or a role profile, and what roles and profiles are and may do. belongs_to: the profile, page, report or doctype. For administrators. Error: 42501 anybody else';


-- What else is to be looked over --------------------------------------------------------

CREATE FUNCTION docperm.page_and_report_permissions()
    RETURNS TABLE (kind text, name text, module text, ref_doctype text, role text, custom boolean, users bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM docperm._require_administration('see who may open pages and run reports');

    RETURN QUERY
      WITH things AS (
               SELECT 'Page' AS kind, p.name, p.module, NULL::text AS ref_doctype FROM docperm.pages AS p
                UNION ALL
               SELECT 'Report', p.name, p.module, p.ref_doctype FROM docperm.reports AS p WHERE NOT p.disabled
           ),
           opens AS (
               SELECT 'Page' AS kind, p.page AS name, p.role, p.custom FROM docperm.page_roles AS p
                UNION ALL
               SELECT 'Report', p.report, p.role, p.custom FROM docperm.report_roles AS p
           )
    SELECT t.kind, t.name, t.module, t.ref_doctype, o.role, o.custom,
           CASE WHEN o.role IS NULL THEN (SELECT count(*) FROM docperm.users AS u WHERE u.enabled)
                ELSE (SELECT count(*) FROM docperm._holders(o.role) AS h JOIN docperm.users AS u ON u.name = h.user_name AND u.enabled)
           END
      FROM things AS t
      LEFT JOIN opens AS o ON o.kind = t.kind
                          AND o.name = t.name
                          AND o.custom = EXISTS (SELECT FROM opens AS c WHERE c.kind = t.kind AND c.name = t.name AND c.custom)
     ORDER BY t.kind, t.name, o.role;
END
$$;

COMMENT ON FUNCTION docperm.page_and_report_permissions() IS
    'Which roles open which pages and reports, the custom ones where there are any; a role of NULL: everybody. users: how many who are enabled hold the role. A report needs the rights read and report on its doctype besides. For administrators. Error: 42501 anybody else';


CREATE FUNCTION docperm.unrestricted_users(doctype text)
    RETURNS TABLE (user_name text, full_name text, roles text[])
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM docperm._require_administration('see who is restricted');
    PERFORM docperm._require_doctype(coalesce(unrestricted_users.doctype, ''));

    RETURN QUERY
    SELECT u.name, u.full_name, ARRAY(SELECT h.role FROM docperm.user_roles AS h WHERE h.user_name = u.name ORDER BY 1)
      FROM docperm.users AS u
     WHERE u.enabled
       AND u.name NOT IN ('Administrator', 'Guest')
       AND EXISTS (SELECT FROM docperm.user_roles AS h JOIN docperm.roles AS r ON r.name = h.role AND NOT r.disabled WHERE h.user_name = u.name)
       AND NOT EXISTS (SELECT
                         FROM docperm.user_permissions AS p
                        WHERE p.user_name = u.name
                          AND p.allow     = unrestricted_users.doctype
                          AND p.applicable_for IS NULL)
     ORDER BY u.name;
END
$$;

COMMENT ON FUNCTION docperm.unrestricted_users(text) IS
    'Users with roles who have no user permission on the doctype that applies everywhere: whom nothing keeps to single companies, if the doctype is Company. For administrators. Errors: 42501 anybody else, 42704 unknown doctype';


CREATE FUNCTION docperm.integration_users()
    RETURNS TABLE (user_name text, full_name text, enabled boolean, db_role name, api_keys bigint, keys_without_end bigint,
                   roles text[], logs_in boolean)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM docperm._require_administration('see by what others act');

    RETURN QUERY
    SELECT u.name, u.full_name, u.enabled, u.db_role, k.in_use, k.without_end,
           ARRAY(SELECT h.role FROM docperm.user_roles AS h WHERE h.user_name = u.name ORDER BY 1),
           EXISTS (SELECT FROM docperm.passwords       AS p WHERE p.user_name = u.name)
           OR EXISTS (SELECT FROM docperm.user_identities AS i WHERE i.user_name = u.name)
      FROM docperm.users AS u
     CROSS JOIN LATERAL (SELECT count(*), count(*) FILTER (WHERE a.expires_at IS NULL)
                           FROM docperm.api_keys AS a
                          WHERE a.user_name = u.name
                            AND coalesce(a.expires_at, 'infinity') > now()) AS k (in_use, without_end)
     WHERE u.db_role IS NOT NULL
        OR k.in_use > 0
     ORDER BY u.name;
END
$$;

COMMENT ON FUNCTION docperm.integration_users() IS
    'Users who act by an API key or a database role, with their roles; keys that have ended do not count. logs_in: he has a password or comes by a login provider as well, and is not there for a program alone. For administrators. Error: 42501 anybody else';


REVOKE ALL ON FUNCTION docperm._asked_about(text, text)                FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._holders(text)                          FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._require_dormancy(interval, text)       FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._counting_rules()                       FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._sorted_rights(text[])                  FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.disable_dormant_users(interval, text)   FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.dormant_users(interval, text)           FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.failed_logins(timestamptz)              FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.integration_users()                     FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.page_and_report_permissions()           FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.role_changes(timestamptz)               FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.role_permission_matrix(text, text)      FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.share_report(text, text, text)          FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.show_permissions(text, text)            FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.unrestricted_users(text)                FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.user_doctype_permissions(text)          FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.user_permission_levels(text, text)      FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.users_with_role(text, boolean)          FROM PUBLIC;

-- Each of them asks who is acting.
GRANT EXECUTE ON FUNCTION docperm.disable_dormant_users(interval, text)   TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.dormant_users(interval, text)           TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.failed_logins(timestamptz)              TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.integration_users()                     TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.page_and_report_permissions()           TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.role_changes(timestamptz)               TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.role_permission_matrix(text, text)      TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.share_report(text, text, text)          TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.show_permissions(text, text)            TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.unrestricted_users(text)                TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.user_doctype_permissions(text)          TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.user_permission_levels(text, text)      TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.users_with_role(text, boolean)          TO PUBLIC;
