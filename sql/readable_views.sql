-- Views that show a table without the columns that are above the reader's level.
--
-- Each column of such a view is docperm._readable(column), and its condition is
-- docperm._is_readable(row): the library puts in their place, for whoever acts, the column
-- or NULL, and what a policy would. The view belongs to the table's owner, so that its
-- readers need no right on the table.

-- For the planner ---------------------------------------------------------------------

CREATE FUNCTION docperm._is_readable_support(internal) RETURNS internal
    LANGUAGE c STRICT
AS 'MODULE_PATHNAME', 'docperm_is_readable_support';

COMMENT ON FUNCTION docperm._is_readable_support(internal) IS
    'Internal: planner support function of docperm._is_readable; puts conditions on columns in place of the call';

CREATE FUNCTION docperm._is_readable(document record) RETURNS boolean
    LANGUAGE c STABLE PARALLEL SAFE STRICT COST 1000
    SUPPORT docperm._is_readable_support
AS 'MODULE_PATHNAME', 'docperm_is_readable';

COMMENT ON FUNCTION docperm._is_readable(record) IS
    'Internal: whether the acting user may read the document; stands in readable views, and only until a query on them is planned';

CREATE FUNCTION docperm._readable_support(internal) RETURNS internal
    LANGUAGE c STRICT
AS 'MODULE_PATHNAME', 'docperm_readable_support';

COMMENT ON FUNCTION docperm._readable_support(internal) IS
    'Internal: planner support function of docperm._readable; puts the column, or NULL, in place of the call';

CREATE FUNCTION docperm._readable(value anyelement) RETURNS anyelement
    LANGUAGE c STABLE PARALLEL SAFE COST 1
    SUPPORT docperm._readable_support
AS 'MODULE_PATHNAME', 'docperm_readable';

COMMENT ON FUNCTION docperm._readable(anyelement) IS
    'Internal: the column if its level is open to the acting user, otherwise NULL; stands in readable views, and only until a query on them is planned';


-- Nobody writes through them ------------------------------------------------------------

CREATE FUNCTION docperm._refuse_view_write() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = '55000',
        MESSAGE = format('%I.%I is a view for reading', TG_TABLE_SCHEMA, TG_TABLE_NAME),
        DETAIL  = 'It was made by docperm.create_readable_view(), and columns in it may be NULL that are not.',
        HINT    = 'Write to the table that it shows.';
END
$$;

COMMENT ON FUNCTION docperm._refuse_view_write() IS 'Internal: trigger that refuses to write through a readable view';


-- Making them -----------------------------------------------------------------------------

CREATE FUNCTION docperm._readable_view_columns(view regclass) RETURNS smallint[]
    LANGUAGE c STABLE STRICT
AS 'MODULE_PATHNAME', 'docperm_readable_view_columns_wrapper';

COMMENT ON FUNCTION docperm._readable_view_columns(regclass) IS
    'Internal: the numbers of the columns of its table of which a readable view is made, in its order; NULL of any other view';


CREATE FUNCTION docperm._readable_view_query(relation regclass, columns smallint[], column_names name[]) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- Wrapped whatever their level is, so that a level that is declared later counts as well.
    -- The cast keeps the length of, say, varchar(20), which a function's result has not.
    SELECT format('SELECT %s FROM %s AS %I WHERE docperm._is_readable(%3$I.*)',
                  string_agg(format('docperm._readable(%I.%I)%s AS %I',
                                    c.relname,
                                    a.attname,
                                    CASE WHEN a.atttypmod <> -1 THEN '::' || format_type(a.atttypid, a.atttypmod) ELSE '' END,
                                    k.name),
                             ', ' ORDER BY k.place),
                  _readable_view_query.relation,
                  c.relname)
      FROM unnest(columns, column_names) WITH ORDINALITY AS k (number, name, place)
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = _readable_view_query.relation AND a.attnum = k.number
      JOIN pg_catalog.pg_class     AS c ON c.oid = a.attrelid
     GROUP BY c.relname;
END;

COMMENT ON FUNCTION docperm._readable_view_query(regclass, smallint[], name[]) IS
    'Internal: the query of a readable view on columns of a table, under these names';


CREATE FUNCTION docperm.create_readable_view(doctype text, view_name text) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bound   regclass;
    class   record;
    parts   text[];
    view    text;
    present regclass;
BEGIN
    IF coalesce(doctype, '') = '' OR coalesce(view_name, '') = '' THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = 'doctype or view_name is missing',
            HINT    = 'Name the doctype, and the view to make of its table.';
    END IF;
    SELECT d.relation INTO bound FROM docperm.doctypes AS d WHERE d.name = create_readable_view.doctype;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = '42704',
            MESSAGE = format('unknown doctype "%s"', doctype),
            HINT    = 'Doctypes are the rows of docperm.doctypes; docperm.protect() adds one.';
    END IF;
    SELECT c.relowner, n.nspname, r.rolname INTO class
      FROM pg_catalog.pg_class     AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_roles     AS r ON r.oid = c.relowner
     WHERE c.oid = bound;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('doctype "%s" has no table', doctype),
            HINT    = 'docperm.protect() gives it one.';
    END IF;
    IF NOT pg_has_role(current_user, class.relowner, 'USAGE') THEN
        RAISE EXCEPTION USING
            ERRCODE = '42501',
            MESSAGE = format('role %I may not make a readable view of table %s', current_user, bound),
            DETAIL  = 'The view reads the table with the rights of the table''s owner.',
            HINT    = format('Let %I do it, or a superuser.', class.rolname);
    END IF;

    parts := parse_ident(view_name);
    IF cardinality(parts) > 2 THEN
        RAISE EXCEPTION USING
            ERRCODE = '22023',
            MESSAGE = format('%s cannot be the name of a view', view_name),
            HINT    = 'Give a name, with a schema or without: then the view is made beside the table.';
    END IF;
    view := CASE cardinality(parts) WHEN 1 THEN format('%I.%I', class.nspname, parts[1]) ELSE format('%I.%I', parts[1], parts[2]) END;

    -- No column may come or go meanwhile.
    EXECUTE format('LOCK TABLE %s IN ACCESS SHARE MODE', bound);

    -- Made again, it is made up to date.
    present := to_regclass(view);
    IF present IS NOT NULL AND docperm._shows(present) = bound THEN
        PERFORM docperm._follow_table(present);
        RETURN;
    END IF;

    EXECUTE format('CREATE VIEW %s WITH (security_barrier = true) AS %s', view,
                   (SELECT docperm._readable_view_query(bound, array_agg(a.attnum ORDER BY a.attnum), array_agg(a.attname ORDER BY a.attnum))
                      FROM pg_catalog.pg_attribute AS a
                     WHERE a.attrelid = bound
                       AND a.attnum   > 0
                       AND NOT a.attisdropped));
    EXECUTE format('CREATE TRIGGER docperm_refuse_write INSTEAD OF INSERT OR UPDATE OR DELETE ON %s '
                   'FOR EACH ROW EXECUTE FUNCTION docperm._refuse_view_write()', view);
    IF class.rolname <> current_user THEN
        EXECUTE format('ALTER VIEW %s OWNER TO %I', view, class.rolname);
    END IF;
END
$$;

COMMENT ON FUNCTION docperm.create_readable_view(text, text) IS
$$Makes a view of a doctype's table in which columns above the permission level of whoever acts are NULL, and which shows the documents that he may read. Its readers need SELECT on the view, which nobody is granted, and no right on the table.

It filters everybody, superusers included, cannot be written, and follows its table: columns that are added or renamed are in the view, too. For the table's owner and superusers. Errors: 42704 unknown doctype, 42501 not the owner, 42P07 another relation has that name$$;


-- Following the table ----------------------------------------------------------------------

CREATE FUNCTION docperm._shows(view regclass) RETURNS regclass
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT d.refobjid::regclass
      FROM pg_catalog.pg_rewrite AS r
      JOIN pg_catalog.pg_depend  AS d ON d.classid    = 'pg_catalog.pg_rewrite'::regclass
                                     AND d.objid      = r.oid
                                     AND d.refclassid = 'pg_catalog.pg_class'::regclass
                                     AND d.refobjid  <> r.ev_class
      JOIN pg_catalog.pg_class   AS v ON v.oid = r.ev_class
      JOIN pg_catalog.pg_class   AS t ON t.oid = d.refobjid
     WHERE r.ev_class = _shows.view
       -- Anybody can write down such a query. What he makes of it is no business of the
       -- table's owner, whose ALTER TABLE would fail for a view that cannot follow.
       AND pg_has_role(v.relowner, t.relowner, 'USAGE')
       AND docperm._readable_view_columns(v.oid) IS NOT NULL
     LIMIT 1;
END;

COMMENT ON FUNCTION docperm._shows(regclass) IS
    'Internal: the table that a readable view of its owner, or of one who has his rights, shows; NULL of any other view';


-- A view's columns can be renamed and added to. One that it shows cannot be dropped from the
-- table, nor get another type, before the view is dropped: PostgreSQL says so.
CREATE FUNCTION docperm._follow_table(view regclass) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bound   regclass   := docperm._shows(view);
    numbers smallint[] := docperm._readable_view_columns(view);
    missing smallint[];
    renamed record;
BEGIN
    FOR renamed IN
        SELECT shown.attname AS old, a.attname AS new
          FROM unnest(numbers) WITH ORDINALITY AS k (number, place)
          JOIN pg_catalog.pg_attribute AS a     ON a.attrelid     = bound AND a.attnum     = k.number
          JOIN pg_catalog.pg_attribute AS shown ON shown.attrelid = view  AND shown.attnum = k.place
         WHERE shown.attname <> a.attname
    LOOP
        EXECUTE format('ALTER VIEW %s RENAME COLUMN %I TO %I', view, renamed.old, renamed.new);
    END LOOP;

    missing := ARRAY(SELECT a.attnum
                       FROM pg_catalog.pg_attribute AS a
                      WHERE a.attrelid = bound
                        AND a.attnum   > 0
                        AND NOT a.attisdropped
                        AND a.attnum <> ALL (numbers)
                      ORDER BY a.attnum);
    IF missing <> '{}' THEN
        numbers := numbers || missing;
        EXECUTE format('CREATE OR REPLACE VIEW %s WITH (security_barrier = true) AS %s', view,
                       (SELECT docperm._readable_view_query(bound, numbers, array_agg(a.attname ORDER BY k.place))
                          FROM unnest(numbers) WITH ORDINALITY AS k (number, place)
                          JOIN pg_catalog.pg_attribute AS a ON a.attrelid = bound AND a.attnum = k.number));
    END IF;
END
$$;

COMMENT ON FUNCTION docperm._follow_table(regclass) IS
    'Internal: gives a readable view the names of its table''s columns, and those columns that it lacks';


CREATE FUNCTION docperm._on_shown_table_changed() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    view regclass;
BEGIN
    FOR view IN
        SELECT DISTINCT r.ev_class::regclass
          FROM pg_event_trigger_ddl_commands() AS c
          JOIN pg_catalog.pg_depend            AS t ON t.refclassid = c.classid AND t.refobjid = c.objid
                                                   AND t.classid = 'pg_catalog.pg_rewrite'::regclass
          JOIN pg_catalog.pg_depend            AS f ON f.classid = t.classid AND f.objid = t.objid
                                                   AND f.refclassid = 'pg_catalog.pg_proc'::regclass
                                                   AND f.refobjid = 'docperm._is_readable(record)'::regprocedure
          JOIN pg_catalog.pg_rewrite           AS r ON r.oid = t.objid
         WHERE c.classid = 'pg_catalog.pg_class'::regclass
           AND docperm._shows(r.ev_class) = c.objid
    LOOP
        PERFORM docperm._follow_table(view);
    END LOOP;
END
$$;

COMMENT ON FUNCTION docperm._on_shown_table_changed() IS
    'Internal: event trigger that lets readable views follow their tables';

CREATE EVENT TRIGGER docperm_shown_table_changed
    ON ddl_command_end
    WHEN TAG IN ('ALTER TABLE')
    EXECUTE FUNCTION docperm._on_shown_table_changed();
ALTER EVENT TRIGGER docperm_shown_table_changed ENABLE ALWAYS;

COMMENT ON EVENT TRIGGER docperm_shown_table_changed IS 'Lets readable views follow their tables';


REVOKE ALL ON FUNCTION
    docperm.create_readable_view(text, text),
    docperm._follow_table(regclass),
    docperm._is_readable(record),
    docperm._is_readable_support(internal),
    docperm._on_shown_table_changed(),
    docperm._readable(anyelement),
    docperm._readable_support(internal),
    docperm._readable_view_columns(regclass),
    docperm._readable_view_query(regclass, smallint[], name[]),
    docperm._refuse_view_write(),
    docperm._shows(regclass)
FROM PUBLIC;
