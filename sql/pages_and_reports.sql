-- Pages and reports: named things of an application that are open to some roles.
--
-- Each has standard roles, which come with it, and may be given custom ones: where there is a
-- custom row, the standard ones do not count, as with the rules of a doctype. Without any row it
-- is open to everybody. A report is about a doctype, and needs the right to report on that, too.

CREATE TABLE docperm.pages (
    name   text NOT NULL,
    title  text,
    module text,

    CONSTRAINT pages_pkey        PRIMARY KEY (name),
    CONSTRAINT pages_name_check  CHECK (name <> '' AND name = btrim(name)),
    CONSTRAINT pages_module_fkey FOREIGN KEY (module) REFERENCES docperm.modules (name) ON UPDATE CASCADE
);

CREATE INDEX pages_module_idx ON docperm.pages (module);

COMMENT ON TABLE  docperm.pages            IS 'Pages of the application that are open to some roles';
COMMENT ON COLUMN docperm.pages.name       IS 'Name of the page';
COMMENT ON COLUMN docperm.pages.title      IS 'What the menu calls it';
COMMENT ON COLUMN docperm.pages.module     IS 'Module that it belongs to';
COMMENT ON INDEX  docperm.pages_module_idx IS 'Pages of a module';


CREATE TABLE docperm.page_roles (
    page   text    NOT NULL,
    role   text    NOT NULL,
    custom boolean NOT NULL DEFAULT false,

    CONSTRAINT page_roles_pkey      PRIMARY KEY (page, role, custom),
    CONSTRAINT page_roles_page_fkey FOREIGN KEY (page) REFERENCES docperm.pages (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT page_roles_role_fkey FOREIGN KEY (role) REFERENCES docperm.roles (name) ON UPDATE CASCADE
);

CREATE INDEX page_roles_role_idx ON docperm.page_roles (role);

COMMENT ON TABLE  docperm.page_roles          IS 'Roles to which a page is open';
COMMENT ON COLUMN docperm.page_roles.page     IS 'The page';
COMMENT ON COLUMN docperm.page_roles.role     IS 'A role to which it is open';
COMMENT ON COLUMN docperm.page_roles.custom   IS 'Belongs to the set that replaces the standard roles';
COMMENT ON INDEX  docperm.page_roles_role_idx IS 'Pages of a role';


CREATE TABLE docperm.reports (
    name        text    NOT NULL,
    ref_doctype text,
    report_type text    NOT NULL DEFAULT 'Report Builder',
    module      text,
    disabled    boolean NOT NULL DEFAULT false,

    CONSTRAINT reports_pkey              PRIMARY KEY (name),
    CONSTRAINT reports_name_check        CHECK (name <> '' AND name = btrim(name)),
    CONSTRAINT reports_ref_doctype_fkey  FOREIGN KEY (ref_doctype) REFERENCES docperm.doctypes (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT reports_module_fkey       FOREIGN KEY (module)      REFERENCES docperm.modules  (name) ON UPDATE CASCADE,
    CONSTRAINT reports_about_check       CHECK (ref_doctype IS NOT NULL OR disabled),
    CONSTRAINT reports_report_type_check CHECK (report_type IN ('Report Builder', 'Query Report', 'Script Report', 'Custom Report'))
);

CREATE INDEX reports_ref_doctype_idx ON docperm.reports (ref_doctype);
CREATE INDEX reports_module_idx      ON docperm.reports (module);

COMMENT ON TABLE  docperm.reports                 IS 'Reports of the application. What one shows is filtered by its tables'' policies, whoever runs it';
COMMENT ON COLUMN docperm.reports.name            IS 'Name of the report';
COMMENT ON COLUMN docperm.reports.ref_doctype     IS 'Doctype that it is about: to run it one needs the rights report and read on that. NULL only while nobody runs it';
COMMENT ON COLUMN docperm.reports.report_type     IS 'Report Builder, Query Report, Script Report or Custom Report';
COMMENT ON COLUMN docperm.reports.module          IS 'Module that it belongs to; NULL: that of its doctype';
COMMENT ON COLUMN docperm.reports.disabled        IS 'Nobody runs it';
COMMENT ON INDEX  docperm.reports_ref_doctype_idx IS 'Reports about a doctype';
COMMENT ON INDEX  docperm.reports_module_idx      IS 'Reports of a module';


CREATE TABLE docperm.report_roles (
    report text    NOT NULL,
    role   text    NOT NULL,
    custom boolean NOT NULL DEFAULT false,

    CONSTRAINT report_roles_pkey        PRIMARY KEY (report, role, custom),
    CONSTRAINT report_roles_report_fkey FOREIGN KEY (report) REFERENCES docperm.reports (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT report_roles_role_fkey   FOREIGN KEY (role)   REFERENCES docperm.roles   (name) ON UPDATE CASCADE
);

CREATE INDEX report_roles_role_idx ON docperm.report_roles (role);

COMMENT ON TABLE  docperm.report_roles          IS 'Roles to which a report is open';
COMMENT ON COLUMN docperm.report_roles.report   IS 'The report';
COMMENT ON COLUMN docperm.report_roles.role     IS 'A role to which it is open';
COMMENT ON COLUMN docperm.report_roles.custom   IS 'Belongs to the set that replaces the standard roles';
COMMENT ON INDEX  docperm.report_roles_role_idx IS 'Reports of a role';


-- Checks -----------------------------------------------------------------------------

CREATE TRIGGER name_module
    BEFORE INSERT OR UPDATE OF module ON docperm.pages
    FOR EACH ROW EXECUTE FUNCTION docperm._name_module();

CREATE TRIGGER name_module
    BEFORE INSERT OR UPDATE OF module ON docperm.reports
    FOR EACH ROW EXECUTE FUNCTION docperm._name_module();

CREATE TRIGGER replace_stand_in
    BEFORE INSERT ON docperm.pages
    FOR EACH ROW EXECUTE FUNCTION docperm._replace_stand_in();

CREATE TRIGGER replace_stand_in
    BEFORE INSERT ON docperm.reports
    FOR EACH ROW EXECUTE FUNCTION docperm._replace_stand_in();


CREATE FUNCTION docperm._check_report() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.ref_doctype IS NOT NULL THEN
        PERFORM docperm._require_doctype(NEW.ref_doctype);
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._check_report() IS 'Internal: trigger that refuses reports about unknown doctypes';

CREATE TRIGGER check_doctype
    BEFORE INSERT OR UPDATE OF ref_doctype ON docperm.reports
    FOR EACH ROW EXECUTE FUNCTION docperm._check_report();


CREATE FUNCTION docperm._require_page(page text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM docperm.pages AS p WHERE p.name = page) THEN
        RETURN;
    END IF;
    IF docperm._restoring() THEN
        INSERT INTO docperm.pages (name) VALUES (page) ON CONFLICT DO NOTHING;
    ELSE
        RAISE EXCEPTION USING
            ERRCODE = '42704',
            MESSAGE = format('unknown page "%s"', page),
            HINT    = 'Pages are the rows of docperm.pages.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_page(text) IS 'Internal: an error (42704) unless the page exists; in a restore, a stand-in';


CREATE FUNCTION docperm._require_report(report text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM docperm.reports AS r WHERE r.name = report) THEN
        RETURN;
    END IF;
    IF docperm._restoring() THEN
        INSERT INTO docperm.reports (name, disabled) VALUES (report, true) ON CONFLICT DO NOTHING;
    ELSE
        RAISE EXCEPTION USING
            ERRCODE = '42704',
            MESSAGE = format('unknown report "%s"', report),
            HINT    = 'Reports are the rows of docperm.reports.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_report(text) IS 'Internal: an error (42704) unless the report exists; in a restore, a stand-in';


CREATE FUNCTION docperm._check_opening_role() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_TABLE_NAME = 'page_roles' THEN
        PERFORM docperm._require_page(NEW.page);
    ELSE
        PERFORM docperm._require_report(NEW.report);
    END IF;
    PERFORM docperm._require_role(NEW.role);
    -- A custom set is there to narrow: with All in it, it would not.
    IF NEW.custom AND NEW.role = 'All' AND NOT docperm._restoring() THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._check_opening_role() IS 'Internal: trigger that refuses unknown pages, reports and roles, and leaves All out of custom sets';

CREATE TRIGGER check_names
    BEFORE INSERT OR UPDATE ON docperm.page_roles
    FOR EACH ROW EXECUTE FUNCTION docperm._check_opening_role();

CREATE TRIGGER check_names
    BEFORE INSERT OR UPDATE ON docperm.report_roles
    FOR EACH ROW EXECUTE FUNCTION docperm._check_opening_role();


-- What is open ------------------------------------------------------------------------

-- Roles are NULL for who has no right at all.
CREATE FUNCTION docperm._standing_roles(user_name text) RETURNS text[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN nullif(docperm._roles_of(user_name), '{}');

COMMENT ON FUNCTION docperm._standing_roles(text) IS 'Internal: the roles that count for the user; NULL for who is disabled';


CREATE FUNCTION docperm._is_closed(user_name text, module text) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
RETURN coalesce(docperm._user_name(user_name), docperm.whoami()) <> 'Administrator'
   AND (SELECT s.enforce_module_access FROM docperm.settings AS s)
   AND docperm._is_blocked(user_name, module);

COMMENT ON FUNCTION docperm._is_closed(text, text) IS
    'Internal: whether the module is closed to the user, which it is if it is blocked and settings.enforce_module_access is on';


CREATE FUNCTION docperm._open_pages(user_name text)
    RETURNS TABLE (page text, title text, module text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT p.name, p.title, p.module
      FROM docperm.pages AS p,
           LATERAL (SELECT docperm._standing_roles(_open_pages.user_name) AS roles) AS h
     WHERE h.roles IS NOT NULL
       AND NOT docperm._is_closed(_open_pages.user_name, p.module)
       AND ('Administrator' = ANY (h.roles)
            OR NOT EXISTS (SELECT FROM docperm.page_roles AS r WHERE r.page = p.name)
            OR EXISTS (SELECT
                         FROM docperm.page_roles AS r
                        WHERE r.page = p.name
                          AND r.role = ANY (h.roles)
                          AND r.custom = EXISTS (SELECT FROM docperm.page_roles AS c WHERE c.page = p.name AND c.custom)));
END;

COMMENT ON FUNCTION docperm._open_pages(text) IS 'Internal: the pages that are open to the user (NULL: the acting one)';


CREATE FUNCTION docperm._open_reports(user_name text)
    RETURNS TABLE (report text, ref_doctype text, report_type text, module text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT p.name, p.ref_doctype, p.report_type, coalesce(p.module, d.module)
      FROM docperm.reports  AS p
      JOIN docperm.doctypes AS d ON d.name = p.ref_doctype
      JOIN docperm._doctype_rights(_open_reports.user_name) AS w ON w.doctype = d.name,
           LATERAL (SELECT docperm._standing_roles(_open_reports.user_name) AS roles) AS h
     WHERE NOT p.disabled
       AND w.rights @> '{read,report}'
       AND h.roles IS NOT NULL
       AND NOT docperm._is_closed(_open_reports.user_name, coalesce(p.module, d.module))
       AND ('Administrator' = ANY (h.roles)
            OR NOT EXISTS (SELECT FROM docperm.report_roles AS r WHERE r.report = p.name)
            OR EXISTS (SELECT
                         FROM docperm.report_roles AS r
                        WHERE r.report = p.name
                          AND r.role = ANY (h.roles)
                          AND r.custom = EXISTS (SELECT FROM docperm.report_roles AS c WHERE c.report = p.name AND c.custom)));
END;

COMMENT ON FUNCTION docperm._open_reports(text) IS 'Internal: the reports that the user (NULL: the acting one) may run';


CREATE FUNCTION docperm.can_open_page(page text, user_name text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM docperm._require_page(page);
    RETURN EXISTS (SELECT FROM docperm._open_pages(user_name) AS o WHERE o.page = can_open_page.page);
END
$$;

COMMENT ON FUNCTION docperm.can_open_page(text, text) IS
    'Whether the page is open to the user: to one of his roles, or to everybody, and not in a module that is closed to him. Without user_name: the acting user. Errors: 42704 unknown page or user; 42501 another user, not an administrator';


CREATE FUNCTION docperm.can_run_report(report text, user_name text DEFAULT NULL) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM docperm._require_report(report);
    RETURN EXISTS (SELECT FROM docperm._open_reports(user_name) AS o WHERE o.report = can_run_report.report);
END
$$;

COMMENT ON FUNCTION docperm.can_run_report(text, text) IS
    'Whether the user may run the report: it is open to one of his roles, or to everybody, and he has the rights report and read on its doctype. Without user_name: the acting user. Errors: 42704 unknown report or user; 42501 another user, not an administrator';


CREATE FUNCTION docperm.visible_pages(user_name text DEFAULT NULL)
    RETURNS TABLE (page text, title text, module text)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 100
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT o.page, o.title, o.module
      FROM docperm._open_pages(visible_pages.user_name) AS o
     WHERE NOT docperm._is_blocked(visible_pages.user_name, o.module)
     ORDER BY o.module, o.page;
END;

COMMENT ON FUNCTION docperm.visible_pages(text) IS
    'The pages that are open to the user and whose module is not blocked for him. Errors as of docperm.visible_doctypes()';


CREATE FUNCTION docperm.visible_reports(user_name text DEFAULT NULL)
    RETURNS TABLE (report text, ref_doctype text, report_type text, module text)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 100
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT o.report, o.ref_doctype, o.report_type, o.module
      FROM docperm._open_reports(visible_reports.user_name) AS o
     WHERE NOT docperm._is_blocked(visible_reports.user_name, o.module)
     ORDER BY o.module, o.report;
END;

COMMENT ON FUNCTION docperm.visible_reports(text) IS
    'The reports that the user may run and whose module, or their doctype''s, is not blocked for him. Errors as of docperm.visible_doctypes()';


CREATE FUNCTION docperm.visible_modules(user_name text DEFAULT NULL)
    RETURNS TABLE (module text)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 20
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT v.module
      FROM (SELECT d.module FROM docperm.visible_doctypes(visible_modules.user_name) AS d
             UNION
            SELECT p.module FROM docperm.visible_pages(visible_modules.user_name)    AS p
             UNION
            SELECT r.module FROM docperm.visible_reports(visible_modules.user_name)  AS r) AS v
     WHERE v.module IS NOT NULL
     ORDER BY v.module;
END;

COMMENT ON FUNCTION docperm.visible_modules(text) IS
    'The modules in which the user finds a doctype, a page or a report, and that are not blocked for him. Errors as of docperm.visible_doctypes()';


REVOKE ALL ON FUNCTION
    docperm._check_opening_role(),
    docperm._check_report(),
    docperm._is_closed(text, text),
    docperm._open_pages(text),
    docperm._open_reports(text),
    docperm._require_page(text),
    docperm._require_report(text),
    docperm._standing_roles(text),
    docperm.can_open_page(text, text),
    docperm.can_run_report(text, text),
    docperm.visible_modules(text),
    docperm.visible_pages(text),
    docperm.visible_reports(text)
FROM PUBLIC;

GRANT EXECUTE ON FUNCTION docperm.can_open_page(text, text)  TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.can_run_report(text, text) TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.visible_modules(text)      TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.visible_pages(text)        TO PUBLIC;
GRANT EXECUTE ON FUNCTION docperm.visible_reports(text)      TO PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('docperm.pages', '');
SELECT pg_catalog.pg_extension_config_dump('docperm.page_roles', '');
SELECT pg_catalog.pg_extension_config_dump('docperm.reports', '');
SELECT pg_catalog.pg_extension_config_dump('docperm.report_roles', '');
