-- Rules: which role has which rights on which doctype.
--
-- Custom rules of a doctype replace all its standard rules.

CREATE TABLE docperm.role_permissions (
    doctype   text     NOT NULL,
    role      text     NOT NULL,
    permlevel smallint NOT NULL DEFAULT 0,
    if_owner  boolean  NOT NULL DEFAULT false,
    custom    boolean  NOT NULL DEFAULT false,
    rights    text[]   NOT NULL,

    CONSTRAINT role_permissions_pkey            PRIMARY KEY (doctype, role, permlevel, if_owner, custom),
    CONSTRAINT role_permissions_doctype_fkey    FOREIGN KEY (doctype) REFERENCES docperm.doctypes (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT role_permissions_role_fkey       FOREIGN KEY (role)    REFERENCES docperm.roles    (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT role_permissions_permlevel_check CHECK (permlevel BETWEEN 0 AND 9)
);

CREATE INDEX role_permissions_role_idx ON docperm.role_permissions (role);

COMMENT ON TABLE  docperm.role_permissions           IS 'Rules: the rights that a role has on a doctype';
COMMENT ON COLUMN docperm.role_permissions.doctype   IS 'The doctype';
COMMENT ON COLUMN docperm.role_permissions.role      IS 'The role';
COMMENT ON COLUMN docperm.role_permissions.permlevel IS 'Level of the fields that the rule is about, 0 to 9; only rules of level 0 grant rights on documents';
COMMENT ON COLUMN docperm.role_permissions.if_owner  IS 'The rights are had on one''s own documents only; create is had all the same';
COMMENT ON COLUMN docperm.role_permissions.custom    IS 'A rule of this site; where a doctype has one, its standard rules count no more';
COMMENT ON COLUMN docperm.role_permissions.rights    IS 'The rights, each a name in docperm.rights, at least one';
COMMENT ON INDEX  docperm.role_permissions_role_idx  IS 'Rules of a role';


CREATE FUNCTION docperm._check_role_permission() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong text;
BEGIN
    PERFORM docperm._require_doctype(NEW.doctype);
    PERFORM docperm._require_role(NEW.role);

    IF coalesce(cardinality(NEW.rights), 0) = 0 THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('the rule of role "%s" on doctype "%s" grants no right', NEW.role, NEW.doctype),
            HINT    = 'Name at least one right, or delete the rule.';
    END IF;
    IF array_ndims(NEW.rights) <> 1 OR array_position(NEW.rights, NULL) IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('the rights of role "%s" on doctype "%s" are not a plain list of names', NEW.role, NEW.doctype),
            HINT    = 'Write them as ''{read,write}'', without NULL.';
    END IF;

    SELECT g.name INTO wrong FROM unnest(NEW.rights) AS g (name) GROUP BY g.name HAVING count(*) > 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('right "%s" is named twice for role "%s" on doctype "%s"', wrong, NEW.role, NEW.doctype),
            HINT    = 'Name each right once.';
    END IF;

    -- Nothing tells a parallel restore to bring docperm.rights first.
    IF NOT docperm._restoring() THEN
        SELECT g.name INTO wrong
          FROM unnest(NEW.rights) AS g (name)
         WHERE NOT EXISTS (SELECT FROM docperm.rights AS r WHERE r.name = g.name)
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION USING
                ERRCODE = '42704',
                MESSAGE = format('unknown right "%s"', wrong),
                HINT    = 'Rights are the rows of docperm.rights; insert one to register your own.';
        END IF;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._check_role_permission() IS 'Internal: trigger that refuses unknown doctypes, roles and rights';

CREATE TRIGGER check_names
    BEFORE INSERT OR UPDATE ON docperm.role_permissions
    FOR EACH ROW EXECUTE FUNCTION docperm._check_role_permission();


-- Rules that make sense --------------------------------------------------------------
--
-- What Frappe checks when a doctype or its rules are saved. Of a dump that is restored
-- nothing is refused.

CREATE FUNCTION docperm._check_rights() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rule    text := format('the rule of role "%s" on doctype "%s", level %s%s', NEW.role, NEW.doctype, NEW.permlevel,
                           CASE WHEN NEW.if_owner THEN ', for owners' ELSE '' END);
    lacking record;
    kind    record;
BEGIN
    -- A doctype or role that is renamed comes by here too.
    IF TG_OP = 'UPDATE'
       AND (NEW.rights, NEW.permlevel, NEW.if_owner, NEW.custom) IS NOT DISTINCT FROM (OLD.rights, OLD.permlevel, OLD.if_owner, OLD.custom)
       OR docperm._restoring() THEN
        RETURN NEW;
    END IF;

    -- Rules of higher levels are about fields, which are read and written and nothing else.
    -- As in Frappe, such rights are dropped without a word.
    IF NEW.permlevel > 0 THEN
        NEW.rights := ARRAY(SELECT r.name
                              FROM unnest(NEW.rights) WITH ORDINALITY AS r (name, place)
                             WHERE r.name NOT IN ('create', 'submit', 'cancel', 'amend')
                             ORDER BY r.place);
    END IF;

    IF NOT NEW.rights && '{select,read,write,submit,cancel,create}' THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('%s opens no document', rule),
            HINT    = format('Grant one of %s.', CASE WHEN NEW.permlevel > 0 THEN 'select, read, write'
                                                      ELSE 'select, read, write, create, submit, cancel' END);
    END IF;

    SELECT v.granted, v.needed INTO lacking
      FROM (VALUES ('cancel', 'submit'),
                   ('submit', 'write'),
                   ('cancel', 'write'),
                   ('amend',  'write'),
                   ('amend',  'create'),
                   ('import', 'create')) AS v (granted, needed)
     WHERE v.granted = ANY (NEW.rights)
       AND v.needed <> ALL (NEW.rights)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('%s grants %s without %s', rule, lacking.granted, lacking.needed),
            HINT    = format('Grant %s as well, or leave out %s.', lacking.needed, lacking.granted);
    END IF;

    SELECT d.docstatus_column IS NOT NULL AS submittable, d.allow_import INTO kind
      FROM docperm.doctypes AS d
     WHERE d.name = NEW.doctype;
    IF NEW.rights && '{submit,amend}' AND NOT kind.submittable THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('%s grants submit or amend, but its documents cannot be submitted', rule),
            HINT    = 'docperm.protect() makes a doctype submittable, with docstatus_column.';
    END IF;
    IF 'import' = ANY (NEW.rights) AND NOT kind.allow_import THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('%s grants import, but documents of this doctype are not imported', rule),
            HINT    = 'docperm.protect() permits it, with allow_import.';
    END IF;

    -- Frappe refuses this where a site edits its rules, and takes it from standard ones: so
    -- does this, and copies of standard ones stay as they are.
    IF NEW.custom AND NEW.if_owner AND 'report' = ANY (NEW.rights)
       AND NOT EXISTS (SELECT
                         FROM docperm.role_permissions AS p
                        WHERE p.doctype   = NEW.doctype
                          AND p.role      = NEW.role
                          AND p.permlevel = NEW.permlevel
                          AND p.if_owner
                          AND NOT p.custom
                          AND 'report' = ANY (p.rights)) THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('%s grants report, which cannot be limited to own documents', rule),
            HINT    = 'Leave out report, or grant it by a rule without if_owner.';
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._check_rights() IS 'Internal: trigger that refuses rules whose rights contradict each other, or their doctype';

CREATE TRIGGER check_rights
    BEFORE INSERT OR UPDATE ON docperm.role_permissions
    FOR EACH ROW EXECUTE FUNCTION docperm._check_rights();


-- Conditions on all rules of a doctype, looked at when the statement is done, so that it
-- does not matter in which order one statement writes them.
CREATE FUNCTION docperm._check_rule_set() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    touched text[] := '{}';
    wrong   record;
    stack   text;
BEGIN
    IF docperm._restoring() THEN
        RETURN NULL;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        touched := ARRAY(SELECT DISTINCT c.doctype FROM came AS c);
    END IF;
    IF TG_OP <> 'INSERT' THEN
        touched := touched || ARRAY(SELECT DISTINCT g.doctype FROM gone AS g);
    END IF;

    -- Everybody has All and Desk User, so there it says nothing about a level of its own.
    SELECT p.doctype, p.role, p.permlevel INTO wrong
      FROM docperm.role_permissions AS p
     WHERE p.doctype = ANY (touched)
       AND p.permlevel > 0
       AND p.role NOT IN ('All', 'Desk User')
       AND NOT EXISTS (SELECT
                         FROM docperm.role_permissions AS z
                        WHERE z.doctype   = p.doctype
                          AND z.role      = p.role
                          AND z.custom    = p.custom
                          AND z.permlevel = 0)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('the rule of role "%s" on doctype "%s", level %s, stands without one of level 0',
                             wrong.role, wrong.doctype, wrong.permlevel),
            HINT    = 'Who has no right on documents has none on their fields. Write the rule of level 0 first, or delete it last.';
    END IF;

    -- The last custom rule holds off the standard ones. To have them back is a decision of
    -- its own, and docperm.reset() is how to say so.
    IF TG_OP <> 'INSERT' THEN
        SELECT g.doctype, g.role, g.permlevel INTO wrong
          FROM gone             AS g
          JOIN docperm.doctypes AS d ON d.name = g.doctype
         WHERE g.custom
           AND NOT EXISTS (SELECT FROM docperm.role_permissions AS p WHERE p.doctype = g.doctype AND p.custom)
           AND     EXISTS (SELECT FROM docperm.role_permissions AS p WHERE p.doctype = g.doctype AND NOT p.custom)
         LIMIT 1;
        IF FOUND THEN
            GET DIAGNOSTICS stack = PG_CONTEXT;
            IF strpos(stack, 'docperm.reset(text)') = 0 THEN
                RAISE EXCEPTION USING
                    ERRCODE = '22023',
                    MESSAGE = format('the rule of role "%s" on doctype "%s", level %s, is the last custom one: without it, the standard rules would count again',
                                     wrong.role, wrong.doctype, wrong.permlevel),
                    HINT    = format('If they shall, call docperm.reset(%L).', wrong.doctype);
            END IF;
        END IF;
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._check_rule_set() IS 'Internal: trigger that refuses rules of higher levels alone, and to bring standard rules back by accident';

CREATE TRIGGER check_set_inserted
    AFTER INSERT ON docperm.role_permissions
    REFERENCING NEW TABLE AS came
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._check_rule_set();

CREATE TRIGGER check_set_updated
    AFTER UPDATE ON docperm.role_permissions
    REFERENCING OLD TABLE AS gone NEW TABLE AS came
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._check_rule_set();

CREATE TRIGGER check_set_deleted
    AFTER DELETE ON docperm.role_permissions
    REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION docperm._check_rule_set();

SELECT pg_catalog.pg_extension_config_dump('docperm.role_permissions', '');
