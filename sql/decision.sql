-- The decision: what policies call, and what users ask.

-- For the planner ---------------------------------------------------------------------

CREATE FUNCTION docperm._permits_support(internal) RETURNS internal
    LANGUAGE c STRICT
AS 'MODULE_PATHNAME', 'docperm_permits_support';

COMMENT ON FUNCTION docperm._permits_support(internal) IS
    'Internal: planner support function of docperm.permits; puts conditions on columns in place of the call';

CREATE FUNCTION docperm._is_permitted_support(internal) RETURNS internal
    LANGUAGE c STRICT
AS 'MODULE_PATHNAME', 'docperm_is_permitted_support';

COMMENT ON FUNCTION docperm._is_permitted_support(internal) IS
    'Internal: planner support function of docperm._is_permitted; estimates rows';

-- The cost is that of hashing and comparing one value, about that of an operator.
CREATE FUNCTION docperm._is_permitted(value "any", permitted_set bigint, secret bigint) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE STRICT COST 1
    SUPPORT docperm._is_permitted_support
AS 'MODULE_PATHNAME', 'docperm_is_permitted';

COMMENT ON FUNCTION docperm._is_permitted("any", bigint, bigint) IS
    'Internal: whether the value is in a set of permitted values that this backend holds; stands in plans of users with more than docperm.max_inline_values of them';

CREATE FUNCTION docperm._is_of_this_transaction(inserted_by xid) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE STRICT COST 1
AS 'MODULE_PATHNAME', 'docperm_is_of_this_transaction';

COMMENT ON FUNCTION docperm._is_of_this_transaction(xid) IS
    'Internal: whether the current transaction, subtransactions included, wrote the row that bears this xmin; stands in policies for rows of child tables';

-- Policies ----------------------------------------------------------------------------

-- Planned, it costs nothing, because nothing of it is left. The cost is for the case in
-- which it runs for each row.
CREATE FUNCTION docperm.permits(document record, doctype text, ptype text) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE STRICT COST 1000
    SUPPORT docperm._permits_support
AS 'MODULE_PATHNAME', 'docperm_permits';

COMMENT ON FUNCTION docperm.permits(record, text, text) IS
    'Whether the acting user has the right on the document, given as the whole row of its table. This is what the policies of protected tables call. Errors: 42704 unknown doctype, 22023 a row of another table';

-- Questions ---------------------------------------------------------------------------

CREATE FUNCTION docperm.has_permission(
    doctype   text,
    ptype     text DEFAULT 'read',
    document  text DEFAULT NULL,
    user_name text DEFAULT NULL
) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE COST 100
AS 'MODULE_PATHNAME', 'docperm_has_permission_wrapper';

COMMENT ON FUNCTION docperm.has_permission(text, text, text, text) IS
    'Whether the user has the right on the document; without a document, whether the doctype is open to him at all. False for a document that does not exist. Errors: 42704 unknown doctype, right or user, 42501 another user than oneself without being an administrator';


CREATE FUNCTION docperm.permitted_documents(doctype text, user_name text DEFAULT NULL)
    RETURNS TABLE (document text, rights text[])
    LANGUAGE c STABLE PARALLEL SAFE COST 10000 ROWS 1000
AS 'MODULE_PATHNAME', 'docperm_permitted_documents_wrapper';

COMMENT ON FUNCTION docperm.permitted_documents(text, text) IS
    'The documents that the user may read, each with the rights that he has on it. Errors as of docperm.has_permission()';


CREATE FUNCTION docperm.explain_access(
    doctype   text,
    document  text DEFAULT NULL,
    ptype     text DEFAULT 'read',
    user_name text DEFAULT NULL
) RETURNS TABLE (step integer, rule text, verdict text, detail text)
    LANGUAGE c STABLE PARALLEL SAFE COST 1000 ROWS 10
AS 'MODULE_PATHNAME', 'docperm_explain_access_wrapper';

COMMENT ON FUNCTION docperm.explain_access(text, text, text, text) IS
    'Why the user has the right, or why not, step by step; the last step is the result. What a document holds is told only to those who may read it and to administrators, and of columns only that the database role may SELECT and whose level is open to him. Of read, write and create a step tells which columns above level 0 are open. Errors as of docperm.has_permission()';


CREATE FUNCTION docperm.who_can(doctype text, document text, ptype text DEFAULT 'read')
    RETURNS TABLE (user_name text, via text)
    LANGUAGE c STABLE PARALLEL SAFE STRICT COST 10000 ROWS 10
AS 'MODULE_PATHNAME', 'docperm_who_can_wrapper';

COMMENT ON FUNCTION docperm.who_can(text, text, text) IS
    'The users who have the right on the document, each with what gives it: a role, ownership, a share. For administrators. Errors: 42501 not an administrator, 42704 unknown doctype or right';


CREATE FUNCTION docperm._is_selectable_support(internal) RETURNS internal
    LANGUAGE c STRICT
AS 'MODULE_PATHNAME', 'docperm_is_selectable_support';

COMMENT ON FUNCTION docperm._is_selectable_support(internal) IS
    'Internal: planner support function of docperm._is_selectable; puts conditions on columns in place of the call';

CREATE FUNCTION docperm._is_selectable(document record, doctype text, for_doctype text, ignore_user_permissions boolean)
    RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE COST 1000
    SUPPORT docperm._is_selectable_support
AS 'MODULE_PATHNAME', 'docperm_is_selectable';

COMMENT ON FUNCTION docperm._is_selectable(record, text, text, boolean) IS
    'Internal: whether a link picker may offer the document to the acting user; stands in the query of docperm.link_options(), and only until that is planned';


CREATE FUNCTION docperm.link_options(
    doctype                 text,
    search                  text    DEFAULT NULL,
    for_doctype             text    DEFAULT NULL,
    max_rows                integer DEFAULT 20,
    ignore_user_permissions boolean DEFAULT false
) RETURNS TABLE (name text, title text)
    -- Restricted: its query is planned, and large sets of permitted values are the leader's.
    LANGUAGE c STABLE PARALLEL RESTRICTED COST 10000 ROWS 20
AS 'MODULE_PATHNAME', 'docperm_link_options_wrapper';

COMMENT ON FUNCTION docperm.link_options(text, text, text, integer, boolean) IS
    'Name and title of documents that a link picker may offer to the acting user, who needs the right select or read, in the order of their names. search is looked for in both, in upper or lower case. for_doctype is the doctype in whose form is picked. Titles in a column that the database role may not SELECT, or whose level is closed, are NULL, and not searched. Errors: 42704 unknown doctype, 42501 ignore_user_permissions without such a link, or names that may not be read';


CREATE FUNCTION docperm._administers() RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE STRICT COST 10
AS 'MODULE_PATHNAME', 'docperm_administers_wrapper';

COMMENT ON FUNCTION docperm._administers() IS
    'Internal: whether the acting user is the Administrator or a System Manager, and so is whoever acts as him, or nobody acts but a database superuser';


CREATE FUNCTION docperm._refuse(message text, detail text, hint text) RETURNS void
    LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'docperm_refuse_wrapper';

COMMENT ON FUNCTION docperm._refuse(text, text, text) IS
    'Internal: an error (42501) that is written down in docperm.activity_log, also if the caller catches it';


CREATE FUNCTION docperm._require_administration(what text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT docperm._administers() THEN
        PERFORM docperm._refuse(
            format('user "%s" may not %s', docperm.whoami(), what),
            'Only the Administrator and System Managers may.',
            'Ask an administrator.');
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_administration(text) IS
    'Internal: an error (42501) unless an administrator acts; the argument completes "user may not ..."';


CREATE FUNCTION docperm._permitted_values(allow text, context text, user_name text)
    RETURNS SETOF text
    LANGUAGE c STABLE PARALLEL SAFE STRICT COST 1000 ROWS 10
AS 'MODULE_PATHNAME', 'docperm_permitted_values_wrapper';

COMMENT ON FUNCTION docperm._permitted_values(text, text, text) IS
    'Internal: the documents of doctype allow to which the user is restricted in documents of doctype context, tree descendants included; nothing where no entry applies';


CREATE FUNCTION docperm._may_permit(allow text, for_value text, applicable_for text, hide_descendants boolean) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE COST 100
AS 'MODULE_PATHNAME', 'docperm_may_permit_wrapper';

COMMENT ON FUNCTION docperm._may_permit(text, text, text, boolean) IS
    'Internal: whether the acting user is permitted a document himself, with what is below it unless hide_descendants, wherever a user permission with that applicable_for (NULL: all doctypes) would apply';


CREATE FUNCTION docperm._document_exists(doctype text, document text) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE COST 10
AS 'MODULE_PATHNAME', 'docperm_document_exists_wrapper';

COMMENT ON FUNCTION docperm._document_exists(text, text) IS 'Internal: whether there is a document of that name, whoever may see it';


CREATE FUNCTION docperm.version() RETURNS text
    LANGUAGE c IMMUTABLE PARALLEL SAFE STRICT COST 1
AS 'MODULE_PATHNAME', 'docperm_version_wrapper';

COMMENT ON FUNCTION docperm.version() IS 'Version of the library that is loaded';


REVOKE ALL ON FUNCTION docperm._permits_support(internal)              FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._is_permitted_support(internal)         FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._is_permitted("any", bigint, bigint)    FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._is_of_this_transaction(xid)            FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.permits(record, text, text)             FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.has_permission(text, text, text, text)  FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.permitted_documents(text, text)         FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.explain_access(text, text, text, text)  FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.who_can(text, text, text)               FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.link_options(text, text, text, integer, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._administers()                          FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._require_administration(text)           FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._refuse(text, text, text)               FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._permitted_values(text, text, text)     FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._may_permit(text, text, text, boolean)  FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._document_exists(text, text)            FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._is_selectable_support(internal)        FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._is_selectable(record, text, text, boolean) FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm.version()                               FROM PUBLIC;

-- Policies run with the privileges of whoever queries.
GRANT EXECUTE ON FUNCTION docperm.permits(record, text, text)             TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm._is_permitted("any", bigint, bigint)    TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm._is_of_this_transaction(xid)            TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.has_permission(text, text, text, text)  TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.permitted_documents(text, text)         TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.explain_access(text, text, text, text)  TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.who_can(text, text, text)               TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.link_options(text, text, text, integer, boolean) TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.version()                               TO PUBLIC;
