-- docperm's own tables as doctypes, under the same rules as everything else: who administers
-- users, roles and rules is itself a matter of rules.
--
-- docperm reads its tables with the privileges of their owner, a superuser, so nothing of
-- this concerns it. It is about who is granted the tables (docperm.grant_administration) and
-- comes with statements of his own.


-- The policies of tables that belong to an extension are not dumped: CREATE EXTENSION makes
-- them again, and the rows that register the tables. What belongs to a document of another
-- table follows that.
CREATE FUNCTION docperm._own_doctype(
    relation       regclass,
    doctype        text,
    name_column    name    = NULL,
    owner_column   name    = NULL,
    title_column   name    = NULL,
    parent_doctype text    = NULL,
    parent_column  name    = NULL,
    level_1        name[]  = '{}',
    read_only      boolean = false
) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    policy record;
BEGIN
    FOR policy IN
        SELECT v.command, v.ptype, v.clauses
          FROM (VALUES ('select', 'read',   'USING (%1$s)'),
                       ('insert', 'create', 'WITH CHECK (%1$s)'),
                       ('update', 'write',  'USING (%1$s) WITH CHECK (%1$s)'),
                       ('delete', 'delete', 'USING (%1$s)')) AS v (command, ptype, clauses)
         -- Without a policy, nobody but a superuser does it.
         WHERE v.command = 'select' OR NOT read_only
    LOOP
        EXECUTE format('CREATE POLICY docperm_%1$s ON %2$s AS PERMISSIVE FOR %1$s TO PUBLIC ', policy.command, relation)
             || format(policy.clauses,
                       format('docperm.permits(%I.*, %L::pg_catalog.text, %L::pg_catalog.text)',
                              (SELECT c.relname FROM pg_catalog.pg_class AS c WHERE c.oid = relation),
                              doctype, policy.ptype));
    END LOOP;
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);

    -- Strict permissions do not close what links to a user or role to those who have no user
    -- permission for it: that would be everybody.
    INSERT INTO docperm.doctypes (name, relation, name_column, owner_column, title_column, parent_doctype, parent_column,
                                  deny_by_default)
    VALUES (doctype, relation, name_column, owner_column, title_column, parent_doctype, parent_column, false);

    PERFORM docperm.set_field(doctype, c.name, permlevel => 1) FROM unnest(level_1) AS c (name);
    PERFORM docperm._discover_links(doctype);
END
$$;

COMMENT ON FUNCTION docperm._own_doctype(regclass, text, name, name, name, text, name, name[], boolean) IS
    'Internal: makes one of docperm''s own tables a doctype. level_1 are columns of level 1; read_only: nobody writes by statements of his own';


-- The doctypes ----------------------------------------------------------------------------

-- A user's record is his own.
SELECT docperm._own_doctype('docperm.users', 'User', 'name', owner_column => 'name', title_column => 'full_name',
                            level_1 => '{enabled,user_type,db_role,simultaneous_sessions,login_after,login_before,restrict_ip,module_profile}');
SELECT docperm._own_doctype('docperm.roles',            'Role',               'name');
SELECT docperm._own_doctype('docperm.user_roles',       'Has Role',           'id', owner_column => 'user_name');
SELECT docperm._own_doctype('docperm.rights',           'Permission Type',    'name');
SELECT docperm._own_doctype('docperm.role_permissions', 'Role Permission',    'id');
SELECT docperm._own_doctype('docperm.user_permissions', 'User Permission',    'id', owner_column => 'user_name');
SELECT docperm._own_doctype('docperm.shares',           'Share',              'id', owner_column => 'user_name');
SELECT docperm._own_doctype('docperm.settings',         'Settings',           'only_row');
SELECT docperm._own_doctype('docperm.login_providers',  'Social Login Key',   'name');
-- Templates, and what is found in menus. Their lines follow them, and those of a user's record
-- follow that, as far as the triggers of sql/delegation.sql let them.
SELECT docperm._own_doctype('docperm.role_profiles',         'Role Profile',         'name');
SELECT docperm._own_doctype('docperm.role_profile_roles',    'Role Profile Role',    parent_doctype => 'Role Profile',   parent_column => 'role_profile');
SELECT docperm._own_doctype('docperm.user_role_profiles',    'User Role Profile',    parent_doctype => 'User',           parent_column => 'user_name');
SELECT docperm._own_doctype('docperm.modules',               'Module Def',           'name');
SELECT docperm._own_doctype('docperm.module_profiles',       'Module Profile',       'name');
SELECT docperm._own_doctype('docperm.module_profile_blocks', 'Module Profile Block', parent_doctype => 'Module Profile', parent_column => 'module_profile');
SELECT docperm._own_doctype('docperm.user_blocked_modules',  'Block Module',         parent_doctype => 'User',           parent_column => 'user_name');
SELECT docperm._own_doctype('docperm.user_emails',           'User Email',           parent_doctype => 'User',           parent_column => 'user_name');
SELECT docperm._own_doctype('docperm.pages',                 'Page',                 'name', title_column => 'title');
SELECT docperm._own_doctype('docperm.page_roles',            'Page Role',            parent_doctype => 'Page',           parent_column => 'page');
SELECT docperm._own_doctype('docperm.reports',               'Report',               'name');
SELECT docperm._own_doctype('docperm.report_roles',          'Report Role',          parent_doctype => 'Report',         parent_column => 'report');
-- A table becomes a doctype by docperm.protect(), its columns fields by docperm.set_field(),
-- which are a superuser's.
SELECT docperm._own_doctype('docperm.doctypes',         'DocType',            'name', read_only => true);
SELECT docperm._own_doctype('docperm.doctype_fields',   'DocField',           parent_doctype => 'DocType', parent_column => 'doctype', read_only => true);
-- docperm alone writes these.
SELECT docperm._own_doctype('docperm.sessions',         'Session',            'id', owner_column => 'user_name', read_only => true);
SELECT docperm._own_doctype('docperm.activity_log',     'Activity Log',       'id', owner_column => 'user_name', read_only => true);
SELECT docperm._own_doctype('docperm.permission_log',   'Permission Log',     'id', read_only => true);


-- The rules that come with them -----------------------------------------------------------

INSERT INTO docperm.role_permissions (id, doctype, role, permlevel, if_owner, rights, shipped)
SELECT - row_number() OVER (), v.doctype, v.role, v.permlevel, v.if_owner, v.rights, true
  FROM (VALUES
            ('User',             'System Manager', 0, false, '{select,read,write,create,delete,report,export,print,email}'::text[]),
            ('User',             'System Manager', 1, false, '{read,write}'),
            ('User',             'Desk User',      0, false, '{select}'),
            ('User',             'All',            0, true,  '{read,write}'),
            ('Role',             'System Manager', 0, false, '{select,read,write,create,delete,report,export,print,email}'),
            ('Role',             'Desk User',      0, false, '{select}'),
            ('Has Role',         'System Manager', 0, false, '{select,read,write,create,delete,report,export,print,email}'),
            ('Has Role',         'All',            0, true,  '{read}'),
            ('Permission Type',  'System Manager', 0, false, '{select,read,write,create,delete,report,export,print,email}'),
            ('Role Permission',  'System Manager', 0, false, '{select,read,write,create,delete,report,export,print,email}'),
            ('User Permission',  'System Manager', 0, false, '{select,read,write,create,delete,report,export,print,email}'),
            ('User Permission',  'All',            0, true,  '{read}'),
            ('Share',            'System Manager', 0, false, '{select,read,write,create,delete,report,export,print,email}'),
            ('Share',            'All',            0, true,  '{read}'),
            ('Settings',         'System Manager', 0, false, '{select,read,write}'),
            ('Social Login Key', 'System Manager', 0, false, '{select,read,write,create,delete,report,export,print,email}'),
            ('Role Profile',     'System Manager', 0, false, '{select,read,write,create,delete,report,export,print,email}'),
            ('Module Def',       'System Manager', 0, false, '{select,read,write,create,delete,report,export,print,email}'),
            ('Module Profile',   'System Manager', 0, false, '{select,read,write,create,delete,report,export,print,email}'),
            ('Page',             'System Manager', 0, false, '{select,read,write,create,delete,report,export,print,email}'),
            ('Report',           'System Manager', 0, false, '{select,read,write,create,delete,report,export,print,email}'),
            ('DocType',          'System Manager', 0, false, '{select,read,report,export,print,email}'),
            ('DocType',          'Desk User',      0, false, '{select}'),
            ('Session',          'System Manager', 0, false, '{select,read,report,export,print,email}'),
            ('Session',          'All',            0, true,  '{read}'),
            ('Activity Log',     'System Manager', 0, false, '{select,read,report,export,print,email}'),
            ('Activity Log',     'All',            0, true,  '{read}'),
            ('Permission Log',   'System Manager', 0, false, '{select,read,report,export,print,email}')
       ) AS v (doctype, role, permlevel, if_owner, rights);


-- What comes with docperm stays -----------------------------------------------------------
--
-- So that it need not be dumped, and a restored database has what its version of docperm
-- brings, and what was changed there.

CREATE FUNCTION docperm._keep_own_doctype() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF docperm._restoring() THEN
            UPDATE docperm.doctypes AS d
               SET module          = NEW.module,
                   allow_import    = NEW.allow_import,
                   deny_by_default = NEW.deny_by_default
             WHERE d.name = NEW.name
               AND docperm._is_own(d.relation);
            IF FOUND THEN
                RETURN NULL;
            END IF;
        END IF;
        RETURN NEW;
    END IF;

    IF TG_OP = 'UPDATE'
       AND to_jsonb(OLD) - '{module,allow_import,deny_by_default}'::text[]
         = to_jsonb(NEW) - '{module,allow_import,deny_by_default}'::text[] THEN
        RETURN NEW;
    END IF;
    -- Unless the table goes, with all of docperm.
    IF docperm._is_own(OLD.relation) THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('doctype "%s" is docperm''s own and stays as it is', OLD.name),
            HINT    = 'Only its module, allow_import and deny_by_default can be changed.';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._keep_own_doctype() IS
    'Internal: trigger that keeps the doctypes of docperm''s own tables; what can be changed of them, a restored row changes';

CREATE TRIGGER keep_own
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.doctypes
    FOR EACH ROW EXECUTE FUNCTION docperm._keep_own_doctype();


CREATE FUNCTION docperm._keep_own_field() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM docperm.doctypes AS d WHERE d.name IN (NEW.doctype, OLD.doctype) AND docperm._is_own(d.relation)) THEN
        IF TG_OP = 'DELETE' THEN
            RETURN OLD;
        END IF;
        RETURN NEW;
    END IF;

    IF TG_OP = 'INSERT' AND docperm._restoring() THEN
        UPDATE docperm.doctype_fields AS f
           SET ignore_user_permissions = NEW.ignore_user_permissions,
               permlevel               = NEW.permlevel
         WHERE f.doctype     = NEW.doctype
           AND f.column_name = NEW.column_name;
        IF FOUND THEN
            RETURN NULL;
        END IF;
    END IF;

    -- A field that is left out of a dump would come back with what docperm brings for it, and
    -- triggers on these tables would be in no dump.
    IF TG_OP = 'DELETE'
       OR NEW.requires_select
       OR NEW.allow_on_submit
       OR TG_OP = 'UPDATE' AND (NEW.doctype, NEW.column_name, NEW.link_to) IS DISTINCT FROM (OLD.doctype, OLD.column_name, OLD.link_to) THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('field "%s" of doctype "%s" is docperm''s own and stays as it is',
                             coalesce(OLD.column_name, NEW.column_name), coalesce(OLD.doctype, NEW.doctype)),
            HINT    = 'docperm.set_field() changes its level and whether it ignores user permissions.';
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._keep_own_field() IS
    'Internal: trigger that keeps the fields of docperm''s own doctypes; what can be changed of them, a restored row changes';

CREATE TRIGGER keep_own
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.doctype_fields
    FOR EACH ROW EXECUTE FUNCTION docperm._keep_own_field();


-- No error: who deletes all rules deletes all that can be deleted.
CREATE FUNCTION docperm._keep_shipped_rule() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.shipped THEN
        RAISE NOTICE USING
            MESSAGE = format('the rule of role "%s" on doctype "%s", level %s, comes with docperm and stays as it is',
                             OLD.role, OLD.doctype, OLD.permlevel),
            HINT    = format('Custom rules count in its place: docperm.customize(%L) makes them.', OLD.doctype);
        RETURN NULL;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    NEW.shipped := false;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._keep_shipped_rule() IS 'Internal: trigger that keeps the rules that come with docperm, with a notice';

CREATE TRIGGER keep_shipped
    BEFORE INSERT OR UPDATE OR DELETE ON docperm.role_permissions
    FOR EACH ROW EXECUTE FUNCTION docperm._keep_shipped_rule();


REVOKE ALL ON FUNCTION docperm._keep_own_doctype()    FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._keep_own_field()      FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._keep_shipped_rule()   FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._own_doctype(regclass, text, name, name, name, text, name, name[], boolean) FROM PUBLIC;
