-- Doctypes: which table holds which kind of document, and what its columns mean.

CREATE TABLE docperm.doctypes (
    name                text       NOT NULL,
    relation            regclass,
    name_column         name,
    owner_column        name,
    docstatus_column    name,
    tree_parent_column  name,
    tree_left_column    name,
    tree_right_column   name,
    parent_doctype      text,
    parent_column       name,
    parenttype_column   name,
    title_column        name,
    creation_column     name,
    modified_column     name,
    modified_by_column  name,
    amended_from_column name,
    module              text,
    allow_import        boolean    NOT NULL DEFAULT false,
    fill_defaults       boolean    NOT NULL DEFAULT false,
    track_changes       boolean    NOT NULL DEFAULT false,
    deny_by_default     boolean    NOT NULL DEFAULT true,
    partitions          regclass[] NOT NULL DEFAULT '{}',

    CONSTRAINT doctypes_pkey              PRIMARY KEY (name),
    CONSTRAINT doctypes_relation_key      UNIQUE (relation),
    CONSTRAINT doctypes_name_check        CHECK (name <> '' AND name = btrim(name)),
    CONSTRAINT doctypes_name_column_check CHECK (relation IS NULL OR name_column IS NOT NULL OR parent_column IS NOT NULL),
    CONSTRAINT doctypes_nested_set_check  CHECK ((tree_left_column IS NULL) = (tree_right_column IS NULL)),
    CONSTRAINT doctypes_child_check       CHECK (CASE
                                                     WHEN parent_column IS NULL
                                                         THEN num_nonnulls(parent_doctype, parenttype_column) = 0
                                                     ELSE num_nonnulls(parent_doctype, parenttype_column) > 0
                                                      AND num_nonnulls(owner_column, docstatus_column, tree_parent_column,
                                                                       tree_left_column, amended_from_column) = 0
                                                 END),
    CONSTRAINT doctypes_amended_from_check CHECK (amended_from_column IS NULL OR docstatus_column IS NOT NULL)
);

CREATE INDEX doctypes_parent_doctype_idx ON docperm.doctypes (parent_doctype) WHERE parent_doctype IS NOT NULL;

COMMENT ON INDEX  docperm.doctypes_parent_doctype_idx IS 'Child tables of a doctype';
COMMENT ON TABLE  docperm.doctypes                    IS 'Kinds of documents and the tables that hold them; docperm.protect() registers a table here';
COMMENT ON COLUMN docperm.doctypes.name                IS 'Name of the doctype, e.g. Sales Order';
COMMENT ON COLUMN docperm.doctypes.relation            IS 'The protected table; NULL while there is none, and again after it was dropped';
COMMENT ON COLUMN docperm.doctypes.name_column         IS 'Column that identifies a document; its text form is the document''s name. NULL only for a child table without such a column';
COMMENT ON COLUMN docperm.doctypes.owner_column        IS 'Column that holds the user who owns the document, for rules with if_owner';
COMMENT ON COLUMN docperm.doctypes.docstatus_column    IS 'Column that holds 0 (draft), 1 (submitted) or 2 (cancelled); makes the doctype submittable';
COMMENT ON COLUMN docperm.doctypes.tree_parent_column  IS 'Column that holds the name of the parent document; makes the doctype a tree';
COMMENT ON COLUMN docperm.doctypes.tree_left_column    IS 'Where the tree is a nested set as well: column that holds the left bound of a document (lft)';
COMMENT ON COLUMN docperm.doctypes.tree_right_column   IS 'The right bound (rgt): what lies below a document has its bounds between its own';
COMMENT ON COLUMN docperm.doctypes.parent_doctype      IS 'Child table: doctype of the documents that its rows belong to, if it is the same for all';
COMMENT ON COLUMN docperm.doctypes.parent_column       IS 'Column that holds the name of the parent document; makes the doctype a child table, whose rows follow their parent';
COMMENT ON COLUMN docperm.doctypes.parenttype_column   IS 'Child table: column that holds the doctype of the parent document';
COMMENT ON COLUMN docperm.doctypes.title_column        IS 'Column that a link picker shows beside the name';
COMMENT ON COLUMN docperm.doctypes.creation_column     IS 'Column that holds when the document was made; docperm writes it';
COMMENT ON COLUMN docperm.doctypes.modified_column     IS 'Column that holds when the document was last changed; docperm writes it, and refuses a change that was made from an older state';
COMMENT ON COLUMN docperm.doctypes.modified_by_column  IS 'Column that holds the user who last changed the document; docperm writes it';
COMMENT ON COLUMN docperm.doctypes.amended_from_column IS 'Column that holds the name of the cancelled document that this one amends';
COMMENT ON COLUMN docperm.doctypes.module              IS 'Module that the doctype belongs to';
COMMENT ON COLUMN docperm.doctypes.allow_import        IS 'The right import can be had on this doctype';
COMMENT ON COLUMN docperm.doctypes.fill_defaults       IS 'Links that an INSERT leaves out get their default_value()';
COMMENT ON COLUMN docperm.doctypes.track_changes       IS 'Every change of a document is kept in its history';
COMMENT ON COLUMN docperm.doctypes.deny_by_default     IS
    'With strict_user_permissions = deny_by_default: a user without an entry for this doctype sees no row that links to it. False exempts it as a link target';
-- Row-level security of a table does not reach who reads one of its partitions directly,
-- so each carries policies of its own. Which do is kept in the doctype's own row: a
-- restore brings the policies of a partition late, and until then it must not be taken
-- for one that was attached just now.
COMMENT ON COLUMN docperm.doctypes.partitions          IS
    'Partitions and inheritance children of the table, at any depth, that carry policies of their own. Kept by docperm';


CREATE TABLE docperm.doctype_fields (
    doctype                 text     NOT NULL,
    column_name             name     NOT NULL,
    link_to                 text,
    ignore_user_permissions boolean  NOT NULL DEFAULT false,
    discovered              boolean  NOT NULL DEFAULT false,
    permlevel               smallint NOT NULL DEFAULT 0,
    allow_on_submit         boolean  NOT NULL DEFAULT false,
    requires_select         boolean  NOT NULL DEFAULT false,

    CONSTRAINT doctype_fields_pkey            PRIMARY KEY (doctype, column_name),
    CONSTRAINT doctype_fields_doctype_fkey    FOREIGN KEY (doctype) REFERENCES docperm.doctypes (name) ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT doctype_fields_link_to_fkey    FOREIGN KEY (link_to) REFERENCES docperm.doctypes (name) ON UPDATE CASCADE ON DELETE SET NULL,
    CONSTRAINT doctype_fields_permlevel_check CHECK (permlevel BETWEEN 0 AND 9)
);

CREATE INDEX doctype_fields_link_to_idx ON docperm.doctype_fields (link_to);

COMMENT ON TABLE  docperm.doctype_fields                         IS 'Columns of a doctype that mean something to docperm, above all its links';
COMMENT ON COLUMN docperm.doctype_fields.doctype                 IS 'The doctype';
COMMENT ON COLUMN docperm.doctype_fields.column_name             IS 'The column of its table';
COMMENT ON COLUMN docperm.doctype_fields.link_to                 IS 'Doctype whose documents'' names the column holds; NULL: it is not a link';
COMMENT ON COLUMN docperm.doctype_fields.ignore_user_permissions IS 'User permissions on link_to do not restrict this column';
COMMENT ON COLUMN docperm.doctype_fields.discovered              IS 'link_to is left to the table''s foreign keys; false: somebody set it, and it stays';
COMMENT ON COLUMN docperm.doctype_fields.permlevel               IS 'Level of the column, 0 to 9: above 0 it is read and written by those alone whose rules of that level say so';
COMMENT ON COLUMN docperm.doctype_fields.allow_on_submit         IS 'May change while the document is submitted. On the parent column of a child table: its rows may come and go';
COMMENT ON COLUMN docperm.doctype_fields.requires_select         IS 'A link may be set only to documents that the acting user may select';
COMMENT ON INDEX  docperm.doctype_fields_link_to_idx             IS 'Links to a doctype';


-- Checks -----------------------------------------------------------------------------

CREATE FUNCTION docperm._require_doctype(doctype text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM docperm.doctypes AS d WHERE d.name = doctype) THEN
        RETURN;
    END IF;
    IF docperm._restoring() THEN
        INSERT INTO docperm.doctypes (name) VALUES (doctype) ON CONFLICT DO NOTHING;
    ELSE
        RAISE EXCEPTION USING
            ERRCODE = '42704',
            MESSAGE = format('unknown doctype "%s"', doctype),
            HINT    = 'Doctypes are the rows of docperm.doctypes; docperm.protect() adds one.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_doctype(text) IS 'Internal: an error (42704) unless the doctype exists; in a restore, a stand-in';


CREATE FUNCTION docperm._existing_column(relation regclass, column_name name) RETURNS name
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT a.attname
      FROM pg_catalog.pg_attribute AS a
     WHERE a.attrelid = _existing_column.relation
       AND a.attname  = _existing_column.column_name
       AND a.attnum   > 0
       AND NOT a.attisdropped;
END;

COMMENT ON FUNCTION docperm._existing_column(regclass, name) IS 'Internal: the column if the table has it, otherwise NULL';


CREATE FUNCTION docperm._require_column(relation regclass, column_name name) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF docperm._existing_column(relation, column_name) IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '42704',
            MESSAGE = format('table %s has no column "%s"', relation, column_name),
            HINT    = 'Column names are compared exactly, upper and lower case included.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_column(regclass, name) IS 'Internal: an error (42704) unless the table has the column';


CREATE FUNCTION docperm._check_doctype() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    column_name name;
BEGIN
    IF docperm._restoring() THEN
        IF TG_OP = 'INSERT' AND docperm._restore_row(NEW, 'num_nonnulls(t.relation, t.name_column) = 0') THEN
            RETURN NULL;
        END IF;
        RETURN NEW;
    END IF;

    IF NEW.parent_column IS NOT NULL
       AND (TG_OP = 'INSERT' OR (NEW.parent_column, NEW.parent_doctype) IS DISTINCT FROM (OLD.parent_column, OLD.parent_doctype)) THEN
        PERFORM docperm._require_parentage(NEW.name, NEW.parent_doctype);
    END IF;

    IF NEW.relation IS NULL THEN
        RETURN NEW;
    END IF;

    -- A registered table without policies would look protected and be open.
    IF (TG_OP = 'INSERT' OR NEW.relation IS DISTINCT FROM OLD.relation)
       AND NOT EXISTS (SELECT
                         FROM pg_catalog.pg_policy AS p
                        WHERE p.polrelid = NEW.relation
                          AND p.polname  = 'docperm_select') THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('table %s has no policies for doctype "%s"', NEW.relation, NEW.name),
            HINT    = 'docperm.protect() makes the policies and fills in the relation.';
    END IF;

    FOREACH column_name IN ARRAY array_remove(ARRAY[NEW.name_column, NEW.owner_column, NEW.docstatus_column,
                                                    NEW.tree_parent_column, NEW.tree_left_column, NEW.tree_right_column,
                                                    NEW.parent_column, NEW.parenttype_column, NEW.title_column,
                                                    NEW.creation_column, NEW.modified_column, NEW.modified_by_column,
                                                    NEW.amended_from_column], NULL) LOOP
        PERFORM docperm._require_column(NEW.relation, column_name);
    END LOOP;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._check_doctype() IS 'Internal: trigger that refuses tables without policies and unknown columns, and lets a restored row replace what stands in for it';

CREATE TRIGGER check_columns
    BEFORE INSERT OR UPDATE ON docperm.doctypes
    FOR EACH ROW EXECUTE FUNCTION docperm._check_doctype();


-- Child tables ------------------------------------------------------------------------

-- Triggers and no foreign key: pg_dump complains, in every dump, of a table that refers to itself.
CREATE FUNCTION docperm._require_parentage(doctype text, parent_doctype text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parent docperm.doctypes%ROWTYPE;
    child  text;
BEGIN
    SELECT d.name INTO child FROM docperm.doctypes AS d WHERE d.parent_doctype = _require_parentage.doctype LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('doctype "%s" is the parent of child table "%s" and cannot be one itself', doctype, child),
            HINT    = 'Let both name the same parent document, or only one of them be a child table.';
    END IF;
    IF parent_doctype IS NULL THEN
        RETURN;
    END IF;

    SELECT d.* INTO parent FROM docperm.doctypes AS d WHERE d.name = _require_parentage.parent_doctype;
    IF NOT FOUND AND parent_doctype <> doctype THEN
        RAISE EXCEPTION USING
            ERRCODE = '42704',
            MESSAGE = format('unknown parent doctype "%s" of doctype "%s"', parent_doctype, doctype),
            HINT    = 'Protect the table of the parent documents first.';
    END IF;
    IF parent_doctype = doctype OR parent.parent_column IS NOT NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('doctype "%s" cannot be the parent of "%s": it is a child table itself', parent_doctype, doctype),
            HINT    = 'Name the doctype of the documents that the rows belong to in the end.';
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._require_parentage(text, text) IS
    'Internal: an error unless the doctype can be a child table of the parent doctype (42704, 22023), or of any';


CREATE FUNCTION docperm._follow_parent_doctype() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    child text;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        UPDATE docperm.doctypes AS d SET parent_doctype = NEW.name WHERE d.parent_doctype = OLD.name;
        RETURN NULL;
    END IF;

    SELECT d.name INTO child FROM docperm.doctypes AS d WHERE d.parent_doctype = OLD.name LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('doctype "%s" cannot go: its child table "%s" is protected', OLD.name, child),
            HINT    = 'Call docperm.unprotect() for the child table first.';
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._follow_parent_doctype() IS
    'Internal: trigger that lets child tables follow a parent doctype that is renamed, and keeps it while there are any';

CREATE TRIGGER follow_renamed_parent
    AFTER UPDATE OF name ON docperm.doctypes
    FOR EACH ROW WHEN (OLD.name <> NEW.name)
    EXECUTE FUNCTION docperm._follow_parent_doctype();

CREATE TRIGGER keep_parent
    AFTER DELETE ON docperm.doctypes
    FOR EACH ROW EXECUTE FUNCTION docperm._follow_parent_doctype();


-- Fields -----------------------------------------------------------------------------

CREATE FUNCTION docperm._check_doctype_field() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation regclass;
BEGIN
    -- Only what changes: a doctype that is renamed comes by here once for each column
    -- that names it, and must not stumble over a table's column that is long gone.
    IF TG_OP = 'INSERT' OR NEW.doctype <> OLD.doctype THEN
        PERFORM docperm._require_doctype(NEW.doctype);
    END IF;
    IF NEW.link_to IS NOT NULL AND (TG_OP = 'INSERT' OR NEW.link_to IS DISTINCT FROM OLD.link_to) THEN
        PERFORM docperm._require_doctype(NEW.link_to);
    END IF;
    IF (TG_OP = 'INSERT' OR NEW.column_name <> OLD.column_name) AND NOT docperm._restoring() THEN
        SELECT d.relation INTO relation FROM docperm.doctypes AS d WHERE d.name = NEW.doctype;
        IF relation IS NOT NULL THEN
            PERFORM docperm._require_column(relation, NEW.column_name);
        END IF;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._check_doctype_field() IS 'Internal: trigger that refuses unknown doctypes and columns';

CREATE TRIGGER check_names
    BEFORE INSERT OR UPDATE ON docperm.doctype_fields
    FOR EACH ROW EXECUTE FUNCTION docperm._check_doctype_field();

SELECT pg_catalog.pg_extension_config_dump('docperm.doctypes', '');
SELECT pg_catalog.pg_extension_config_dump('docperm.doctype_fields', '');
