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

SELECT pg_catalog.pg_extension_config_dump('docperm.role_permissions', '');
