-- What the rivals' policies need: permission tables with native key types, and the usual helper functions over them.
-- They get every advantage that keeps them correct: a covering primary key, STABLE, PARALLEL SAFE, no SET clause
-- (which would cost on every call), and no escape for unrestricted users unless the measured user is one.
-- The application says who its user is with the setting app.user.

CREATE TABLE rls.unrestricted (user_name text PRIMARY KEY);
INSERT INTO rls.unrestricted VALUES ('n_0');
CREATE FUNCTION rls.is_unrestricted() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
RETURN EXISTS (SELECT FROM rls.unrestricted WHERE user_name = current_setting('app.user'));

SELECT replace(replace(statement, '<link>', link), '<type>', type)
  FROM (VALUES ('customer', 'text'), ('project', 'integer'), ('territory', 'text')) AS links (link, type),
       unnest(ARRAY[
           'CREATE TABLE rls.permitted_<link> (user_name text, value <type>, PRIMARY KEY (user_name, value))',
           'CREATE FUNCTION rls.<link>_array() RETURNS <type>[] LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
            RETURN (SELECT coalesce(array_agg(value), ''{}'') FROM rls.permitted_<link> WHERE user_name = current_setting(''app.user''))',
           'CREATE FUNCTION rls.<link>_set() RETURNS SETOF <type> LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
            BEGIN ATOMIC SELECT value FROM rls.permitted_<link> WHERE user_name = current_setting(''app.user''); END',
           'CREATE FUNCTION rls.sees_<link>_plpgsql(wanted <type>) RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
            AS $$ BEGIN RETURN EXISTS (SELECT FROM rls.permitted_<link> WHERE user_name = current_setting(''app.user'') AND value = wanted); END $$',
           'CREATE FUNCTION rls.sees_<link>_sql(wanted <type>) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER
            RETURN EXISTS (SELECT FROM rls.permitted_<link> WHERE user_name = current_setting(''app.user'') AND value = wanted)'
       ]) AS statement \gexec

SELECT format('INSERT INTO rls.permitted_%1$s SELECT ''n_'' || size, value FROM permit.%1$s, unnest(%2$L::integer[]) AS size WHERE rank <= size ORDER BY 1, 2',
              link, :'sizes')
  FROM unnest(ARRAY['customer', 'project', 'territory']) AS link \gexec

-- One table per large size: what the hand-written semi-join reads.
SELECT format('CREATE TABLE permit.%1$s_%2$s AS SELECT value FROM permit.%1$s WHERE rank <= %2$s', link, size)
  FROM unnest(ARRAY['customer', 'project', 'territory']) AS link, unnest(:'sizes'::integer[]) AS size
 WHERE size > 1000 \gexec
SELECT format('ALTER TABLE permit.%s_%s ADD PRIMARY KEY (value)', link, size)
  FROM unnest(ARRAY['customer', 'project', 'territory']) AS link, unnest(:'sizes'::integer[]) AS size
 WHERE size > 1000 \gexec
GRANT SELECT ON ALL TABLES IN SCHEMA permit TO bench_plain;

-- One role per kind of policy; the policies themselves come and go with what is measured.
SELECT replace(statement, '<role>', role)
  FROM unnest(ARRAY['bench_any', 'bench_in', 'bench_exists', 'bench_plpgsql', 'bench_sql']) AS role,
       unnest(ARRAY[
           'CREATE ROLE <role> LOGIN',
           'GRANT USAGE ON SCHEMA rls TO <role>',
           'GRANT SELECT ON ALL TABLES IN SCHEMA rls TO <role>']) AS statement \gexec
ALTER TABLE rls.customer     ENABLE ROW LEVEL SECURITY;
ALTER TABLE rls.sales_order  ENABLE ROW LEVEL SECURITY;
ALTER TABLE rls.ledger_entry ENABLE ROW LEVEL SECURITY;
VACUUM (ANALYZE, FREEZE);
