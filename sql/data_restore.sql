-- What restoring a dump needs beside docperm._restoring().

-- Data alone, into a schema that is there already ----------------------------------------

-- Rows of a dump find docperm's own first rows in their place: the settings, Administrator and
-- Guest, the standard roles. docperm's triggers let the rows of the dump take over. Where they
-- are all disabled (pg_restore --data-only --disable-triggers), the place has to be free.

CREATE FUNCTION docperm.prepare_data_restore() RETURNS void
    LANGUAGE plpgsql
    SET search_path              = pg_catalog, pg_temp
    -- Triggers that keep the first rows do not fire; those that tell other sessions do.
    SET session_replication_role = replica
AS $$
DECLARE
    mine     text;
    dumped   record;
    has_rows boolean;
BEGIN
    SELECT w.what INTO mine
      FROM (SELECT format('user "%s"', u.name)    FROM docperm.users    AS u WHERE u.name NOT IN ('Administrator', 'Guest')
         UNION ALL
            SELECT format('role "%s"', r.name)    FROM docperm.roles    AS r WHERE NOT docperm._is_standard_role(r.name)
         UNION ALL
            SELECT format('doctype "%s"', d.name)
              FROM docperm.doctypes         AS d
              LEFT JOIN pg_catalog.pg_class AS c ON c.oid = d.relation
             WHERE c.relnamespace IS DISTINCT FROM 'docperm'::regnamespace
         UNION ALL
            SELECT format('the password of "%s"', p.user_name) FROM docperm.passwords AS p
         UNION ALL
            SELECT format('a change of %s "%s" in the log', l.object_type, l.object_name) FROM docperm.permission_log AS l) AS w (what)
     LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING
            ERRCODE = '55000',
            MESSAGE = format('docperm is in use in this database: there is %s', mine),
            DETAIL  = 'This empties all of docperm''s tables, and is for a database into which a dump is restored.',
            HINT    = 'Restore into a new database.';
    END IF;

    FOR dumped IN
        SELECT c.oid::regclass AS relation, k.condition
          FROM pg_catalog.pg_extension AS e
         CROSS JOIN LATERAL unnest(e.extconfig, e.extcondition) AS k (relation, condition)
          JOIN pg_catalog.pg_class     AS c ON c.oid = k.relation
         WHERE e.extname = 'docperm'
           AND c.relkind = 'r'
    LOOP
        -- Some refuse to be emptied, and are empty.
        EXECUTE format('SELECT EXISTS (SELECT FROM %s %s)', dumped.relation, dumped.condition) INTO has_rows;
        IF has_rows THEN
            EXECUTE format('DELETE FROM %s %s', dumped.relation, dumped.condition);
        END IF;
    END LOOP;
END
$$;

COMMENT ON FUNCTION docperm.prepare_data_restore() IS
    'Empties docperm''s tables for pg_restore --data-only --disable-triggers, which brings all of their rows. Until then everything is closed. For superusers, in a new database. Error: 55000 docperm is in use there';

REVOKE ALL ON FUNCTION docperm.prepare_data_restore() FROM PUBLIC;


-- Restoring in parallel ------------------------------------------------------------------

-- Whoever restores rows takes his turn (docperm._restoring) before he holds anything that
-- others wait for: triggers that asked for it after they had locked a user's row, say, would
-- wait for one who waits for that row.
CREATE FUNCTION docperm._restore_in_turn() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM docperm._restoring();
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION docperm._restore_in_turn() IS
    'Internal: trigger that lets sessions which restore a dump take turns before they write anything';

REVOKE ALL ON FUNCTION docperm._restore_in_turn() FROM PUBLIC;

DO $$
DECLARE
    dumped regclass;
BEGIN
    FOR dumped IN
        SELECT c.oid
          FROM pg_catalog.pg_extension AS e
          JOIN pg_catalog.pg_class     AS c ON c.oid = ANY (e.extconfig)
         WHERE e.extname = 'docperm'
           AND c.relkind = 'r'
    LOOP
        EXECUTE format('CREATE TRIGGER restore_in_turn BEFORE INSERT ON %s FOR EACH STATEMENT '
                       'WHEN (NOT pg_catalog.current_setting(''row_security'')::boolean) '
                       'EXECUTE FUNCTION docperm._restore_in_turn()', dumped);
    END LOOP;
END
$$;
