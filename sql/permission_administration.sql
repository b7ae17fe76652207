-- Administering user permissions: the bulk editor, delegated administrators, defaults.

-- Who may administer ---------------------------------------------------------------------

-- The right set_user_permissions makes its holder an administrator of other users, as far
-- as documents go on which he has it. He must not come by more than he has himself, nor by
-- a friend's help: so who is restricted to some documents hands out only those, and takes
-- no restriction away.
CREATE FUNCTION docperm._require_restricting(user_name text, allow text, for_value text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    acting text := docperm.whoami();
    reason text;
BEGIN
    IF coalesce(user_name, '') = '' OR allow IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = 'user_name or allow is missing',
            HINT    = 'Name the user, and the doctype whose documents he is permitted.';
    END IF;

    IF NOT docperm._administers() THEN
        IF NOT docperm.has_permission(allow, 'set_user_permissions', for_value) THEN
            reason := CASE
                          WHEN for_value IS NULL THEN 'The user lacks the right set_user_permissions.'
                          ELSE 'There is no such document, or the user lacks the right set_user_permissions on it.'
                      END;
        ELSIF user_name <> 'Administrator' AND docperm._is_system_manager(user_name) THEN
            reason := 'Only administrators restrict administrators.';
        END IF;
    END IF;
    IF reason IS NULL AND docperm._is_oneself(user_name) AND acting <> 'Administrator' AND NOT docperm._is_database_superuser() THEN
        reason := 'Nobody changes what he himself may do.';
    END IF;
    IF reason IS NOT NULL THEN
        PERFORM docperm._refuse(
            format('user "%s" may not set user permissions of "%s" for doctype "%s"', acting, user_name, allow),
            reason,
            'The Administrator and other System Managers may, and who has the right set_user_permissions.');
    END IF;

    IF user_name IN ('Administrator', 'Guest') THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('user permissions do not apply to "%s"', user_name),
            HINT    = 'Restrict Guest by the rules of the role Guest; the Administrator cannot be restricted.';
    END IF;
    PERFORM docperm._require_doctype(allow);
    -- Two who change the same user's permissions take turns.
    PERFORM FROM docperm.users AS u WHERE u.name = _require_restricting.user_name FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        PERFORM docperm._require_user(user_name);
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_restricting(text, text, text) IS
    'Internal: an error (42501) unless the acting user may change user permissions of another for a doctype''s documents, or for one of them';


CREATE FUNCTION docperm._require_freeing(allow text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT docperm._administers()
       AND EXISTS (SELECT FROM docperm.user_permissions AS p WHERE p.user_name = docperm.whoami() AND p.allow = _require_freeing.allow) THEN
        PERFORM docperm._refuse(
            format('user "%s" may not take away user permissions for doctype "%s"', docperm.whoami(), allow),
            'The user is restricted to some of its documents himself, and must not free others from a restriction.',
            'Ask an administrator.');
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_freeing(text) IS
    'Internal: an error (42501) if the acting user may not free others, being restricted himself';


-- The bulk editor ------------------------------------------------------------------------

CREATE FUNCTION docperm.apply_user_permission(
    user_name        text,
    allow            text,
    for_value        text,
    apply_to_all     boolean = true,
    applicable_for   text[]  = '{}',
    is_default       boolean = false,
    hide_descendants boolean = false
) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path   = pg_catalog, pg_temp
    -- What a text means as a date must not change between a check and what is done then.
    SET datestyle     = 'ISO, YMD'
    SET intervalstyle = 'postgres'
    SET timezone      = 'UTC'
AS $$
DECLARE
    restricted text;
    value      text;
    -- NULL among them stands for all doctypes, as in the table.
    scopes     text[];
    other      text;
BEGIN
    restricted := docperm._user_name(user_name);
    PERFORM docperm._require_restricting(restricted, allow, coalesce(for_value, ''));

    value := docperm._document_name(allow, for_value);
    IF NOT docperm._document_exists(allow, value) THEN
        RAISE EXCEPTION USING
            ERRCODE = '42704',
            MESSAGE = format('unknown document "%s" of doctype "%s"', for_value, allow),
            HINT    = 'Give the name of a document in for_value.';
    END IF;

    IF coalesce(apply_to_all, true) THEN
        IF EXISTS (SELECT
                     FROM docperm.user_permissions AS p
                    WHERE p.user_name = restricted
                      AND p.allow     = apply_user_permission.allow
                      AND p.for_value = value
                      AND p.applicable_for IS NULL) THEN
            RETURN false;
        END IF;
        scopes := ARRAY[NULL::text];
    ELSE
        scopes := ARRAY(SELECT DISTINCT s.doctype FROM unnest(applicable_for) AS s (doctype) WHERE s.doctype <> '');
        IF scopes = '{}' THEN
            RETURN false;
        END IF;
        -- Elsewhere, it restricted and does so no longer.
        IF EXISTS (SELECT
                     FROM docperm.user_permissions AS p
                    WHERE p.user_name = restricted
                      AND p.allow     = apply_user_permission.allow
                      AND p.for_value = value
                      AND (p.applicable_for IS NULL OR p.applicable_for <> ALL (scopes))) THEN
            PERFORM docperm._require_freeing(allow);
        END IF;
    END IF;

    -- The right may be his on documents that he is not permitted everywhere.
    IF NOT docperm._administers()
       AND NOT (SELECT bool_and(docperm._may_permit(allow, value, s.doctype, hide_descendants)) FROM unnest(scopes) AS s (doctype)) THEN
        PERFORM docperm._refuse(
            format('user "%s" may not permit document "%s" of doctype "%s"', docperm.whoami(), value, allow),
            'The user is not permitted it himself, with what is below it, wherever the user permission would apply.',
            'Ask an administrator, set hide_descendants, or list fewer doctypes in applicable_for.');
    END IF;

    DELETE FROM docperm.user_permissions AS p
     WHERE p.user_name = restricted
       AND p.allow     = apply_user_permission.allow
       AND p.for_value = value
       AND NOT EXISTS (SELECT FROM unnest(scopes) AS s (doctype) WHERE s.doctype IS NOT DISTINCT FROM p.applicable_for);

    IF coalesce(is_default, false) THEN
        SELECT p.for_value INTO other
          FROM docperm.user_permissions AS p
         WHERE p.user_name = restricted
           AND p.allow     = apply_user_permission.allow
           AND p.for_value <> value
           AND p.is_default
           AND EXISTS (SELECT FROM unnest(scopes) AS s (doctype) WHERE s.doctype IS NOT DISTINCT FROM p.applicable_for)
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION USING
                ERRCODE = '23505',
                MESSAGE = format('"%s" is the default of user "%s" for doctype "%s" already', other, restricted, allow),
                HINT    = 'A user has one default per doctype and applicable_for. Set its is_default to false first.';
        END IF;
    END IF;

    INSERT INTO docperm.user_permissions (user_name, allow, for_value, applicable_for, is_default, hide_descendants)
    SELECT restricted, apply_user_permission.allow, value, s.doctype,
           coalesce(apply_user_permission.is_default, false), coalesce(apply_user_permission.hide_descendants, false)
      FROM unnest(scopes) AS s (doctype)
     WHERE NOT EXISTS (SELECT
                         FROM docperm.user_permissions AS p
                        WHERE p.user_name = restricted
                          AND p.allow     = apply_user_permission.allow
                          AND p.for_value = value
                          AND p.applicable_for IS NOT DISTINCT FROM s.doctype);
    RETURN true;
END
$$;

COMMENT ON FUNCTION docperm.apply_user_permission(text, text, text, boolean, text[], boolean, boolean) IS
$$Permits a user a document, in all doctypes or, with apply_to_all false, in those that applicable_for lists: entries that say otherwise for the document are replaced, entries that are there already stay as they are. True if it did something: false where an entry for all doctypes exists, or no doctype is listed.

For administrators, and, within the bounds of his own user permissions, for who has the right set_user_permissions on the document; for nobody about himself but the Administrator. Errors: 42501 not allowed, 42704 unknown user, doctype or document, 23505 a second default.$$;


CREATE FUNCTION docperm.clear_user_permissions(user_name text, allow text) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    restricted text;
    cleared    integer;
BEGIN
    restricted := docperm._user_name(user_name);
    PERFORM docperm._require_restricting(restricted, allow, NULL);
    PERFORM docperm._require_freeing(allow);

    DELETE FROM docperm.user_permissions AS p WHERE p.user_name = restricted AND p.allow = clear_user_permissions.allow;
    GET DIAGNOSTICS cleared = ROW_COUNT;
    RETURN cleared;
END
$$;

COMMENT ON FUNCTION docperm.clear_user_permissions(text, text) IS
    'Deletes all user permissions of a user for documents of a doctype, and tells how many there were. For administrators, and for who has the right set_user_permissions on the doctype and is not restricted by its documents himself. Errors: 42501 not allowed, 42704 unknown user or doctype';


-- Defaults -------------------------------------------------------------------------------

CREATE FUNCTION docperm.default_value(doctype text, column_name name) RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    acting  text := docperm.whoami();
    bound   regclass;
    target  text;
    in_tree boolean;
    context text;
    entry   record;
    value   text;
BEGIN
    PERFORM docperm._require_doctype(doctype);
    -- User permissions apply to rows of a child table as to their parent.
    SELECT d.relation, coalesce(d.parent_doctype, d.name) INTO bound, context
      FROM docperm.doctypes AS d
     WHERE d.name = default_value.doctype;
    IF bound IS NOT NULL THEN
        PERFORM docperm._require_column(bound, column_name);
    END IF;

    -- As in Frappe, a link to User gets no default: it would be the user himself or nobody he chose.
    SELECT f.link_to, coalesce(t.tree_parent_column, t.tree_left_column) IS NOT NULL INTO target, in_tree
      FROM docperm.doctype_fields AS f
      JOIN docperm.doctypes       AS t ON t.name = f.link_to
     WHERE f.doctype     = default_value.doctype
       AND f.column_name = default_value.column_name
       AND f.link_to    <> 'User'
       AND NOT f.ignore_user_permissions;
    IF NOT FOUND OR acting IN ('Administrator', 'Guest') OR NOT (SELECT u.enabled FROM docperm.users AS u WHERE u.name = acting) THEN
        RETURN NULL;
    END IF;

    -- The default for this very doctype comes before the one for all.
    SELECT p.for_value INTO value
      FROM docperm.user_permissions AS p
     WHERE p.user_name = acting
       AND p.allow     = target
       AND p.is_default
       AND coalesce(p.applicable_for, context) = context
     ORDER BY p.applicable_for NULLS LAST
     LIMIT 1;

    IF NOT FOUND THEN
        -- The one document that he is permitted at all; descendants count.
        SELECT count(*) AS entries,
               min(p.for_value) FILTER (WHERE coalesce(p.applicable_for, context) = context) AS for_value,
               bool_and(p.hide_descendants) AS alone
          INTO entry
          FROM (SELECT e.* FROM docperm.user_permissions AS e WHERE e.user_name = acting AND e.allow = target LIMIT 2) AS p;
        IF entry.entries = 1
           AND (entry.alone OR NOT in_tree
                OR (SELECT count(*) FROM docperm._permitted_values(target, context, acting)) = 1) THEN
            value := entry.for_value;
        END IF;
    END IF;

    IF docperm._document_exists(target, value) THEN
        RETURN value;
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm.default_value(text, name) IS
    'What a link of a new document is filled with for the acting user: the document of his user permissions that is marked is_default, or the only one that he is permitted; otherwise NULL. Errors: 42704 unknown doctype or column';


-- What default_value() says of every link of a doctype, as column and value. It knows
-- nothing of the row, which is the business of the trigger below.
CREATE FUNCTION docperm._default_values(doctype text) RETURNS jsonb
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Who is not restricted has no default; a dump that is restored has all its values.
    IF NOT EXISTS (SELECT FROM docperm.user_permissions AS p WHERE p.user_name = docperm.whoami()) THEN
        RETURN '{}';
    END IF;
    RETURN (SELECT coalesce(jsonb_object_agg(f.column_name, v.value), '{}')
              FROM docperm.doctype_fields AS f
             CROSS JOIN LATERAL docperm.default_value(f.doctype, f.column_name) AS v (value)
             WHERE f.doctype = _default_values.doctype
               AND f.link_to IS NOT NULL
               AND NOT f.ignore_user_permissions
               AND v.value IS NOT NULL);
END
$$;

COMMENT ON FUNCTION docperm._default_values(text) IS
    'Internal: what docperm.default_value() answers for each link of the doctype that has a default for the acting user';


-- With the privileges of whoever inserts: turning a row into jsonb and back runs casts
-- and domain checks that belong to the table''s owner.
CREATE FUNCTION docperm._fill_defaults() RETURNS trigger
    LANGUAGE plpgsql SECURITY INVOKER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    defaults jsonb := docperm._default_values(TG_ARGV[0]);
    given    jsonb;
    filled   jsonb;
BEGIN
    IF defaults = '{}' THEN
        RETURN NEW;
    END IF;
    given := to_jsonb(NEW);
    SELECT coalesce(jsonb_object_agg(d.key, d.value), '{}') INTO filled
      FROM jsonb_each(defaults) AS d
     WHERE given -> d.key = 'null';
    IF filled <> '{}' THEN
        NEW := jsonb_populate_record(NEW, filled);
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._fill_defaults() IS
    'Internal: trigger on protected tables that fills links which a new row leaves out; its argument names the doctype';


REVOKE ALL     ON FUNCTION docperm._default_values(text) FROM PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm._default_values(text) TO   PUBLIC;
REVOKE ALL     ON FUNCTION docperm.apply_user_permission(text, text, text, boolean, text[], boolean, boolean) FROM PUBLIC;
REVOKE ALL     ON FUNCTION docperm.clear_user_permissions(text, text)                                         FROM PUBLIC;
REVOKE ALL     ON FUNCTION docperm.default_value(text, name)                                                  FROM PUBLIC;
-- They ask what the acting user may, and who he is.
GRANT  EXECUTE ON FUNCTION docperm.apply_user_permission(text, text, text, boolean, text[], boolean, boolean) TO   PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.clear_user_permissions(text, text)                                         TO   PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.default_value(text, name)                                                  TO   PUBLIC;
