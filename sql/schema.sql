-- The schema itself. Loaded first: it decides who may look into the schema, and
-- makes sure that nobody but a superuser can put objects into it.

-- Policies call docperm.permits(...). Whoever may create functions in this schema
-- could add an overload that a policy made later would pick up, so a schema that
-- somebody else prepared is not taken over.
DO $$
BEGIN
    IF NOT (SELECT r.rolsuper
              FROM pg_catalog.pg_namespace AS n
              JOIN pg_catalog.pg_roles     AS r ON r.oid = n.nspowner
             WHERE n.nspname = 'docperm') THEN
        RAISE EXCEPTION USING
            ERRCODE = '42501',
            MESSAGE = 'schema "docperm" exists and does not belong to a superuser',
            HINT    = 'Drop the schema, or give it to a superuser after looking at what is in it.';
    END IF;
END
$$;

-- The library reads and compares names as UTF-8.
DO $$
BEGIN
    IF getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION USING
            ERRCODE = '0A000',
            MESSAGE = format('docperm does not support databases with the encoding %s', getdatabaseencoding()),
            HINT    = 'Use a database with the encoding UTF8.';
    END IF;
END
$$;

REVOKE ALL   ON SCHEMA docperm FROM PUBLIC;
GRANT  USAGE ON SCHEMA docperm TO   PUBLIC;

COMMENT ON SCHEMA docperm IS 'docperm: documents, roles and user permissions, enforced by row-level security';


CREATE FUNCTION docperm._wait_for_turn(key text) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE STRICT COST 10
AS 'MODULE_PATHNAME', 'docperm_wait_for_turn_wrapper';

COMMENT ON FUNCTION docperm._wait_for_turn(text) IS
    'Internal: waits until nobody else has the turn of that name, and keeps it to the end of the transaction. Unlike advisory locks it cannot be taken by strangers, to keep others waiting';


-- Whether this session restores a dump: pg_dump and pg_restore switch both settings off.
-- A restore must bring back everything that was there, for a restriction that is refused
-- is a restriction that is gone. So
--
-- * names that the *protected* tables have outgrown (a column renamed since, a key of
--   another type) are taken as they are. Queries on such tables fail until it is put right;
-- * rows may come before those that they refer to: pg_restore --jobs does not put the
--   tables of an extension in order. Such a row is given a stand-in to refer to, a role or
--   user that is disabled or a doctype without a table, until the true row takes its place.
--   Sessions that restore take turns, so that neither misses what the other did.
CREATE FUNCTION docperm._restoring() RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('row_security')::boolean OR current_setting('check_function_bodies')::boolean THEN
        RETURN false;
    END IF;
    -- Anybody can switch these off, and what a restore may do is not for anybody. The session
    -- user, because the triggers that ask run as their owner.
    IF NOT (SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.rolname = session_user) THEN
        RETURN false;
    END IF;
    PERFORM docperm._wait_for_turn('restore');
    RETURN true;
END
$$;

COMMENT ON FUNCTION docperm._restoring() IS
    'Internal: whether this session restores a dump; if so, it waits until no other does, to the end of the transaction';


-- Column by column, whatever columns the table has by now: one that was forgotten here would
-- come back from a dump as it is in a new database.
CREATE FUNCTION docperm._restore_row(restored anyelement, replaced text DEFAULT 'true') RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    written integer;
BEGIN
    EXECUTE (SELECT format('UPDATE %s AS t SET (%s) = ROW (%s) WHERE t.name = ($1).name AND (%s)',
                           t.typrelid::regclass,
                           string_agg(quote_ident(a.attname), ', '),
                           string_agg(format('($1).%I', a.attname), ', '),
                           replaced)
               FROM pg_catalog.pg_type      AS t
               JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.typrelid
              WHERE t.oid = pg_typeof(restored)
                AND a.attnum > 0
                AND NOT a.attisdropped
                AND a.attgenerated = ''
              GROUP BY t.typrelid)
      USING restored;
    GET DIAGNOSTICS written = ROW_COUNT;
    RETURN written > 0;
END
$$;

COMMENT ON FUNCTION docperm._restore_row(anyelement, text) IS
    'Internal: writes a row of a dump over the one that bears its name, if that fulfils the condition (alias t); whether there was one';


-- A row is untouched if everything in it but what is named is as an INSERT leaves it that gives
-- nothing else. Times that are taken when a row is made say nothing.
CREATE FUNCTION docperm._is_untouched(stored anyelement, but name[]) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    untouched boolean;
BEGIN
    EXECUTE (SELECT format('SELECT true %s',
                           string_agg(format('AND ($1).%I IS NOT DISTINCT FROM (%s)', a.attname,
                                             coalesce(pg_get_expr(d.adbin, d.adrelid), 'NULL')), ' '))
               FROM pg_catalog.pg_type         AS t
               JOIN pg_catalog.pg_attribute    AS a ON a.attrelid = t.typrelid
          LEFT JOIN pg_catalog.pg_attrdef      AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
              WHERE t.oid = pg_typeof(stored)
                AND a.attnum > 0
                AND NOT a.attisdropped
                AND a.attgenerated = ''
                AND a.attname <> ALL (but)
                AND NOT (a.atttypid = 'timestamptz'::regtype AND a.atthasdef))
       INTO untouched
      USING stored;
    RETURN untouched;
END
$$;

COMMENT ON FUNCTION docperm._is_untouched(anyelement, name[]) IS
    'Internal: whether every column of a row but those named holds its default';


CREATE FUNCTION docperm._replace_stand_in() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- What comes may be a stand-in itself, made by who did not see the true row in time.
    IF docperm._restoring() AND docperm._restore_row(NEW, $condition$docperm._is_untouched(t, '{name,disabled}')$condition$) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION docperm._replace_stand_in() IS
    'Internal: trigger on tables with a name, that lets a restored row replace what stands in for it';

REVOKE ALL ON FUNCTION docperm._restore_row(anyelement, text)     FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._is_untouched(anyelement, name[])  FROM PUBLIC;
REVOKE ALL ON FUNCTION docperm._replace_stand_in()                FROM PUBLIC;


-- Guards the tables whose first rows docperm brings itself.
CREATE FUNCTION docperm._refuse_truncate() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = '22023',
        MESSAGE = format('table docperm.%I cannot be truncated', TG_TABLE_NAME),
        HINT    = 'It holds rows that docperm needs. Use DELETE with a WHERE clause.';
END
$$;

COMMENT ON FUNCTION docperm._refuse_truncate() IS 'Internal: trigger that keeps tables with standard rows from being emptied';


CREATE FUNCTION docperm._is_own(relation oid) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT EXISTS (SELECT
                     FROM pg_catalog.pg_class AS c
                    WHERE c.oid = _is_own.relation
                      AND c.relnamespace = 'docperm'::regnamespace);
END;

COMMENT ON FUNCTION docperm._is_own(oid) IS 'Internal: whether the table is one of docperm''s own';

REVOKE ALL ON FUNCTION docperm._is_own(oid) FROM PUBLIC;
