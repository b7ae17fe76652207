-- Who is acting.

CREATE FUNCTION docperm.whoami() RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE STRICT COST 1
AS 'MODULE_PATHNAME', 'docperm_whoami_wrapper';

COMMENT ON FUNCTION docperm.whoami() IS
    'The acting user: the one that docperm.set_user() named, otherwise the one that the database role acts as (users.db_role; SET ROLE counts, SECURITY DEFINER does not), otherwise Guest';


CREATE FUNCTION docperm.set_user(user_name text, is_local boolean DEFAULT true) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE COST 10
AS 'MODULE_PATHNAME', 'docperm_set_user_wrapper';

COMMENT ON FUNCTION docperm.set_user(text, boolean) IS
    'Become that user, until the end of the transaction or, with is_local false, of the session; NULL gives way to the database role''s user. For applications that did their own login: whoever may execute it can become anybody. Errors: 42704 unknown user, 28000 disabled user';


REVOKE ALL     ON FUNCTION docperm.whoami()                FROM PUBLIC;
REVOKE ALL     ON FUNCTION docperm.set_user(text, boolean) FROM PUBLIC;
GRANT  EXECUTE ON FUNCTION docperm.whoami()                TO   PUBLIC;
