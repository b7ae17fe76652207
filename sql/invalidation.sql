-- Triggers that tell every backend, when a change commits, what it made untrue.
--
-- They fire for each row, because a logical replication worker fires no others, and always, whatever
-- session_replication_role says: permissions that arrive by replication count like any other.

CREATE FUNCTION docperm._site_changed() RETURNS trigger
    LANGUAGE c
AS 'MODULE_PATHNAME', 'docperm_site_changed';

COMMENT ON FUNCTION docperm._site_changed() IS
    'Internal: trigger on tables that concern all users; their plans are made anew';

CREATE FUNCTION docperm._user_changed() RETURNS trigger
    LANGUAGE c
AS 'MODULE_PATHNAME', 'docperm_user_changed';

COMMENT ON FUNCTION docperm._user_changed() IS
    'Internal: trigger on tables that concern single users; its argument names the column that holds the user, whose plans are made anew';

CREATE FUNCTION docperm._share_changed() RETURNS trigger
    LANGUAGE c
AS 'MODULE_PATHNAME', 'docperm_share_changed';

COMMENT ON FUNCTION docperm._share_changed() IS
    'Internal: trigger on shares; plans of those with whom is shared are made anew';

REVOKE ALL ON FUNCTION docperm._share_changed() FROM PUBLIC;

CREATE FUNCTION docperm._session_changed() RETURNS trigger
    LANGUAGE c
AS 'MODULE_PATHNAME', 'docperm_session_changed';

COMMENT ON FUNCTION docperm._session_changed() IS
    'Internal: trigger on sessions and API keys; its argument names the column that tells them apart, and every connection forgets the ones that changed';

REVOKE ALL ON FUNCTION docperm._session_changed() FROM PUBLIC;


CREATE FUNCTION docperm._tree_changed() RETURNS trigger
    LANGUAGE c
AS 'MODULE_PATHNAME', 'docperm_tree_changed';

COMMENT ON FUNCTION docperm._tree_changed() IS
    'Internal: trigger on protected tables that form a tree; its argument names the doctype, and plans that depend on the tree are made anew';

REVOKE ALL ON FUNCTION docperm._tree_changed() FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._site_changed() FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._user_changed() FROM PUBLIC;


DO $$
DECLARE
    changed record;
BEGIN
    FOR changed IN
        SELECT v.relation, v.trigger_function
          FROM (VALUES ('rights',           '_site_changed()'),
                       ('roles',            '_site_changed()'),
                       ('doctypes',         '_site_changed()'),
                       ('doctype_fields',   '_site_changed()'),
                       ('role_permissions', '_site_changed()'),
                       ('settings',         '_site_changed()'),
                       ('shares',           '_share_changed()'),
                       ('users',            '_user_changed(''name'')'),
                       ('user_roles',       '_user_changed(''user_name'')'),
                       ('user_permissions', '_user_changed(''user_name'')'),
                       ('user_blocked_modules', '_user_changed(''user_name'')'),
                       ('sessions',         '_session_changed(''id'')'),
                       ('api_keys',         '_session_changed(''api_key'')')
               ) AS v (relation, trigger_function)
    LOOP
        EXECUTE format('CREATE TRIGGER docperm_changed AFTER INSERT OR UPDATE OR DELETE ON docperm.%I FOR EACH ROW EXECUTE FUNCTION docperm.%s',
                       changed.relation, changed.trigger_function);
        EXECUTE format('CREATE TRIGGER docperm_truncated AFTER TRUNCATE ON docperm.%I FOR EACH STATEMENT EXECUTE FUNCTION docperm.%s',
                       changed.relation, changed.trigger_function);
        EXECUTE format('ALTER TABLE docperm.%I ENABLE ALWAYS TRIGGER docperm_changed',   changed.relation);
        EXECUTE format('ALTER TABLE docperm.%I ENABLE ALWAYS TRIGGER docperm_truncated', changed.relation);
    END LOOP;
END
$$;
