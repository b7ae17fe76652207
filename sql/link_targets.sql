-- Links that may be set only to documents that the acting user may select
-- (doctype_fields.requires_select): triggers on the tables that have such links.

CREATE FUNCTION docperm._check_link_targets() RETURNS trigger
    LANGUAGE c
AS 'MODULE_PATHNAME', 'docperm_check_link_targets';

COMMENT ON FUNCTION docperm._check_link_targets() IS
    'Internal: trigger on protected tables that refuses links to documents that the acting user may not select; its argument names the doctype';


CREATE FUNCTION docperm._undress_links(relation regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path         = pg_catalog, pg_temp
    SET client_min_messages = 'warning'
AS $$
BEGIN
    EXECUTE format('DROP TRIGGER IF EXISTS docperm_links_set     ON %s', relation);
    EXECUTE format('DROP TRIGGER IF EXISTS docperm_links_changed ON %s', relation);
    -- A partition has the one of its root.
    IF NOT (SELECT c.relispartition FROM pg_catalog.pg_class AS c WHERE c.oid = relation) THEN
        EXECUTE format('DROP TRIGGER IF EXISTS docperm_links_merged ON %s', relation);
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._undress_links(regclass) IS 'Internal: takes the triggers that look at what links are set to off a table';


CREATE FUNCTION docperm._dress_links(relation regclass, doctype text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_root boolean;
BEGIN
    PERFORM docperm._undress_links(relation);
    -- Tables without such links cost what they did.
    IF NOT EXISTS (SELECT
                     FROM docperm.doctype_fields AS f
                    WHERE f.doctype = _dress_links.doctype
                      AND f.requires_select
                      AND f.link_to IS NOT NULL) THEN
        RETURN;
    END IF;

    -- After the statement, so that each value is looked at once. Each partition has its own,
    -- for statements that name the partition.
    EXECUTE format('CREATE TRIGGER docperm_links_set AFTER INSERT ON %s REFERENCING NEW TABLE AS after '
                   'FOR EACH STATEMENT EXECUTE FUNCTION docperm._check_link_targets(%L)', relation, doctype);
    EXECUTE format('CREATE TRIGGER docperm_links_changed AFTER UPDATE ON %s REFERENCING OLD TABLE AS before NEW TABLE AS after '
                   'FOR EACH STATEMENT EXECUTE FUNCTION docperm._check_link_targets(%L)', relation, doctype);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER docperm_links_set',     relation);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER docperm_links_changed', relation);
    -- For what a MERGE moves into another partition. Partitions inherit it.
    SELECT c.relkind = 'p' AND NOT c.relispartition INTO is_root FROM pg_catalog.pg_class AS c WHERE c.oid = relation;
    IF is_root THEN
        EXECUTE format('CREATE TRIGGER docperm_links_merged AFTER INSERT ON %s '
                       'FOR EACH ROW EXECUTE FUNCTION docperm._check_link_targets(%L)', relation, doctype);
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER docperm_links_merged', relation);
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._dress_links(regclass, text) IS
    'Internal: gives one table the triggers that look at what links are set to, if its doctype has links that require it; replaces those it has';


CREATE FUNCTION docperm._redress_links() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A restore brings the triggers of the tables itself.
    IF docperm._restoring() THEN
        RETURN NULL;
    END IF;
    PERFORM docperm._dress_links(c.oid::regclass, d.name)
       FROM docperm.doctypes     AS d
       JOIN pg_catalog.pg_class  AS c ON c.oid = ANY (d.relation || d.partitions)
      WHERE d.name = CASE TG_OP WHEN 'DELETE' THEN OLD.doctype ELSE NEW.doctype END;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._redress_links() IS
    'Internal: trigger that lets what links are set to be looked at as soon as one requires it, and no longer when none does';

CREATE TRIGGER redress_links_declared
    AFTER INSERT ON docperm.doctype_fields
    FOR EACH ROW WHEN (NEW.requires_select)
    EXECUTE FUNCTION docperm._redress_links();

CREATE TRIGGER redress_links_changed
    AFTER UPDATE ON docperm.doctype_fields
    FOR EACH ROW WHEN ((OLD.requires_select, OLD.link_to IS NULL) IS DISTINCT FROM (NEW.requires_select, NEW.link_to IS NULL))
    EXECUTE FUNCTION docperm._redress_links();

CREATE TRIGGER redress_links_dropped
    AFTER DELETE ON docperm.doctype_fields
    FOR EACH ROW WHEN (OLD.requires_select)
    EXECUTE FUNCTION docperm._redress_links();


REVOKE ALL ON FUNCTION docperm._check_link_targets()           FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._undress_links(regclass)        FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._dress_links(regclass, text)    FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._redress_links()                FROM PUBLIC;
