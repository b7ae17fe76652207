//! Ways to learn what a column holds that is above one's level. Each is refused to the clerk, on a connection that knows
//! docperm and on one whose first statement it is, and answers who has the level.

use crate::levels::{closed_message, level, passes, world};
use crate::support::{attempt, one};
use docperm_testkit::db_error;
use postgres::Client;
use std::io::Read;

/// Each is run in a transaction of its own, which is rolled back.
const ATTACKS: &[&str] = &[
    // Plainly, and as a part of the row.
    "SELECT salary FROM employee",
    "SELECT * FROM employee",
    "SELECT e.* FROM employee e",
    "TABLE employee",
    "SELECT e FROM employee e",
    "SELECT e::text FROM employee e",
    "SELECT row_to_json(e) FROM employee e",
    "SELECT to_jsonb(e) - 'name' FROM employee e",
    "SELECT j.value FROM employee e, jsonb_each_text(to_jsonb(e)) j",
    "SELECT (e).salary FROM employee e",
    "SELECT salary(e) FROM employee e",
    "SELECT ROW(e.*) FROM employee e",
    "SELECT (json_populate_record(NULL::employee, to_json(e))).grade FROM employee e",
    "SELECT name FROM employee e WHERE e IS NOT NULL",
    "SELECT name FROM employee e WHERE e = (SELECT x FROM employee x LIMIT 1)",
    "SELECT name FROM employee e WHERE e IS DISTINCT FROM ROW('E1', 'Cook', 'A', 7771, 71, '', 1)::employee",
    "SELECT hash_record(e) FROM employee e",
    "SELECT pg_column_size(e), pg_column_size(salary) FROM employee e",
    "SELECT xmlforest(e AS e) FROM employee e",
    "SELECT array_agg(e) FROM employee e",
    "SELECT count(e) FROM employee e",
    "SELECT j FROM (employee e JOIN company c ON c.name = e.company) j",
    "SELECT s FROM (SELECT e AS s FROM employee e OFFSET 0) t",
    // By conditions, orders and groups.
    "SELECT name FROM employee WHERE salary > 7771",
    "SELECT name FROM employee WHERE salary IS NULL",
    "SELECT name FROM employee WHERE (name, salary) > ('E1', 7000)",
    "SELECT name FROM employee WHERE 1 / (salary - 5) > 0",
    "SELECT CASE WHEN grade > 71 THEN 1 END FROM employee",
    "SELECT name FROM employee ORDER BY salary",
    "SELECT name FROM employee ORDER BY salary * 2 LIMIT 1",
    "SELECT name FROM employee e ORDER BY e",
    "SELECT count(*) FROM employee GROUP BY salary",
    "SELECT title FROM employee GROUP BY title HAVING max(salary) > 1",
    "SELECT name, salary FROM employee GROUP BY name",
    "SELECT count(*) FROM employee GROUP BY GROUPING SETS ((title), (grade))",
    "SELECT DISTINCT grade FROM employee",
    "SELECT DISTINCT ON (grade) name FROM employee",
    "SELECT rank() OVER (ORDER BY salary) FROM employee",
    "SELECT name, count(*) OVER (PARTITION BY grade) FROM employee",
    "SELECT count(*) FILTER (WHERE salary > 7771) FROM employee",
    "SELECT array_agg(name ORDER BY salary) FROM employee",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY salary) FROM employee",
    "SELECT count(salary) FROM employee",
    "SELECT name, generate_series(1, grade) FROM employee",
    "SELECT 1 FROM employee LIMIT (SELECT grade FROM employee LIMIT 1)",
    "SELECT name FROM employee TABLESAMPLE SYSTEM (100) WHERE salary > 1",
    "SELECT name FROM employee WHERE salary > 1 FOR UPDATE",
    "SELECT rate FROM employee",
    // By joins and queries within queries.
    "SELECT e.name FROM employee e JOIN generate_series(7700, 7800) g ON g = e.salary",
    "SELECT name FROM employee JOIN (VALUES (71)) v (grade) USING (grade)",
    "SELECT 1 FROM employee NATURAL JOIN (VALUES (7771.00)) v (salary)",
    "SELECT c.name FROM company c LEFT JOIN employee e ON e.company = c.name AND e.salary > 7772",
    "SELECT s.x FROM company c, LATERAL (SELECT max(salary) AS x FROM employee e WHERE e.company = c.name) s",
    "SELECT (SELECT max(salary) FROM employee)",
    "SELECT 1 WHERE EXISTS (SELECT FROM employee WHERE salary > 7771)",
    "SELECT name FROM employee e WHERE EXISTS (SELECT WHERE e.salary > 7771)",
    "SELECT g FROM generate_series(70, 80) g WHERE g IN (SELECT grade FROM employee)",
    "SELECT unnest(ARRAY(SELECT salary FROM employee))",
    "WITH w AS MATERIALIZED (SELECT * FROM employee) SELECT name FROM w",
    "WITH RECURSIVE w AS (SELECT 1 AS n UNION SELECT n + 1 FROM w, employee WHERE n < grade) SELECT count(*) FROM w WHERE n < 5",
    "SELECT name FROM employee UNION SELECT salary::text FROM employee",
    "SELECT 7771.00 INTERSECT SELECT salary FROM employee",
    "VALUES ((SELECT max(grade) FROM employee))",
    // By other expressions, orders, groups and joins.
    "SELECT u FROM employee JOIN (VALUES (71)) v (grade) USING (grade) AS u",
    "SELECT u.grade FROM employee JOIN (VALUES (71)) v (grade) USING (grade) AS u",
    "SELECT d FROM (employee e CROSS JOIN (VALUES (1)) v (x)) AS j (a, b, c, d)",
    "SELECT j.* FROM (company NATURAL JOIN employee) j",
    "SELECT grade FROM employee FULL JOIN (VALUES (71)) v (grade) USING (grade)",
    "SELECT name FROM employee e FULL JOIN (VALUES (71)) v (g) ON e.grade = v.g",
    "WITH RECURSIVE t AS (SELECT name, title FROM employee UNION ALL SELECT t.name, t.title FROM t JOIN employee e ON e.name = t.name AND e.salary < 0) SEARCH DEPTH FIRST BY name SET o SELECT * FROM t",
    "WITH RECURSIVE t AS (SELECT name, salary FROM employee UNION ALL SELECT name, salary FROM t WHERE false) CYCLE salary SET c USING p SELECT name FROM t",
    "SELECT name FROM employee FETCH FIRST (SELECT (max(grade) - 70)::int FROM employee) ROWS ONLY",
    "SELECT name FROM employee OFFSET (SELECT count(*) FROM employee WHERE salary > 7772)",
    "SELECT name FROM employee e ORDER BY (SELECT e.salary)",
    "SELECT name FROM employee ORDER BY name, (employee).grade",
    "SELECT name, title FROM employee GROUP BY name, salary",
    "SELECT grouping(grade), count(*) FROM employee GROUP BY CUBE (title, grade)",
    "SELECT lag(name) OVER w FROM employee WINDOW w AS (PARTITION BY title ORDER BY salary ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)",
    "SELECT sum(1) OVER (ORDER BY grade RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM employee",
    "SELECT mode() WITHIN GROUP (ORDER BY grade) FROM employee",
    "SELECT name FROM employee TABLESAMPLE BERNOULLI (100) REPEATABLE (1) WHERE grade % 2 = 1",
    "SELECT * FROM ROWS FROM (unnest(ARRAY(SELECT grade FROM employee)), generate_series(1,2)) r",
    "SELECT x FROM employee, LATERAL unnest(ARRAY[grade]) x",
    "SELECT x FROM employee, XMLTABLE('/r' PASSING xmlelement(NAME r, salary) COLUMNS x text PATH '.') t",
    "SELECT xmlagg(xmlelement(NAME e, xmlattributes(salary))) FROM employee",
    "SELECT json_agg(employee) FROM employee",
    "SELECT json_build_object('s', salary) FROM employee",
    "SELECT jsonb_object_agg(name, grade) FROM employee",
    "SELECT json_populate_record(e, '{}') FROM employee e",
    "SELECT jsonb_populate_record(NULL::employee, to_jsonb(e)) FROM employee e",
    "SELECT e.*::text FROM employee e",
    "SELECT (e.*)::employee FROM employee e",
    "SELECT format('%s', e) FROM employee e",
    "SELECT concat(e, '') FROM employee e",
    "SELECT name FROM employee e WHERE e IN (SELECT x FROM employee x)",
    "SELECT name FROM employee e WHERE (e.*) = (e.*)",
    "SELECT name FROM employee e WHERE e *= e",
    "SELECT record_image_eq(e, e) FROM employee e",
    "SELECT max(e::text) FROM employee e",
    "SELECT num_nonnulls(salary) FROM employee",
    "SELECT coalesce(nullif(grade, 71), 0) FROM employee",
    "SELECT greatest(grade, 0) FROM employee",
    "SELECT name FROM employee WHERE salary BETWEEN SYMMETRIC 1 AND 9999",
    "SELECT name FROM employee WHERE salary::text SIMILAR TO '7%'",
    "SELECT name FROM employee WHERE int4range(71, 72) @> grade",
    "SELECT name FROM employee WHERE (SELECT salary) > 1",
    "SELECT name FROM employee WHERE grade = ANY (ARRAY[71])",
    "SELECT name FROM employee WHERE (title, grade) IN (VALUES ('Cook', 71))",
    "SELECT name FROM employee WHERE ROW(salary) IS NOT NULL",
    "SELECT pg_advisory_xact_lock(grade) FROM employee",
    "SELECT set_config('a.b', string_agg(salary::text, ','), true) FROM employee",
    "SELECT pg_notify('a', grade::text) FROM employee",
    "SELECT pg_sleep(grade / 1000000.0) FROM employee",
    "SELECT md5(salary::text) FROM employee",
    "SELECT name FROM employee WHERE title = 'Cook' AND (false AND salary > 1)",
    "SELECT name FROM employee e WHERE EXISTS (TABLE employee)",
    "SELECT name FROM employee WHERE NOT EXISTS (SELECT FROM (SELECT salary AS s FROM employee) x WHERE x.s > 9000)",
    "(SELECT name FROM employee) EXCEPT (SELECT name FROM employee WHERE salary > 7771)",
    "SELECT name FROM employee ORDER BY 1, salary USING >",
    // By writing.
    "UPDATE employee SET title = salary::text",
    "UPDATE employee SET title = (SELECT max(x.salary)::text FROM employee x)",
    "UPDATE employee SET title = 'x' WHERE salary > 7771",
    "UPDATE employee SET title = x.grade::text FROM employee x WHERE x.name = employee.name",
    "UPDATE employee SET title = 'x' RETURNING salary",
    "UPDATE employee SET title = 'x' RETURNING *",
    "DELETE FROM employee WHERE grade = 71",
    "DELETE FROM employee USING employee x WHERE x.salary > 7771 AND x.name = employee.name",
    "DELETE FROM employee RETURNING employee",
    "INSERT INTO employee (name) VALUES ('N') RETURNING salary",
    "INSERT INTO employee (name, title) SELECT name || 'x', salary::text FROM employee",
    "INSERT INTO employee (name) VALUES ('E1') ON CONFLICT (name) DO UPDATE SET title = employee.salary::text",
    "INSERT INTO employee (name) VALUES ('E1') ON CONFLICT (name) DO UPDATE SET title = excluded.salary::text",
    "INSERT INTO employee (name) VALUES ('E1') ON CONFLICT (name) DO UPDATE SET title = 'x' WHERE employee.grade > 71",
    "INSERT INTO employee (name) VALUES ('N') ON CONFLICT (grade) DO NOTHING",
    "INSERT INTO employee (name) VALUES ('N') ON CONFLICT ON CONSTRAINT employee_grade_key DO UPDATE SET title = 'x'",
    "WITH w AS (DELETE FROM employee RETURNING grade) SELECT max(grade) FROM w",
    "CREATE TEMP TABLE t (n int); MERGE INTO t USING employee e ON t.n = e.grade WHEN NOT MATCHED THEN INSERT VALUES (1)",
    "CREATE TEMP TABLE t (n int); MERGE INTO t USING employee e ON t.n = 1 WHEN NOT MATCHED THEN INSERT VALUES (e.grade)",
    "MERGE INTO employee e USING company c ON c.name = e.company WHEN MATCHED AND e.salary > 7771 THEN UPDATE SET title = 'x'",
    "MERGE INTO employee e USING company c ON c.name = e.company WHEN MATCHED THEN UPDATE SET title = e.salary::text",
    "INSERT INTO employee (name) VALUES ('E1') ON CONFLICT (name) DO UPDATE SET title = excluded::text",
    "INSERT INTO employee (name) VALUES ('E1') ON CONFLICT (name) DO UPDATE SET title = (excluded).salary::text",
    "INSERT INTO employee (name) VALUES ('E1') ON CONFLICT (name) DO UPDATE SET title = row_to_json(employee)::text",
    "INSERT INTO employee (name) VALUES ('E1') ON CONFLICT (name) DO UPDATE SET title = 'x' WHERE excluded.salary > 5",
    "INSERT INTO employee (name) VALUES ('E1') ON CONFLICT (name) WHERE salary > 10 DO NOTHING",
    "INSERT INTO employee (name) VALUES ('E1') ON CONFLICT (name) WHERE salary > 10 DO UPDATE SET title = 'x'",
    "INSERT INTO employee AS t (name) VALUES ('E1') ON CONFLICT (name) DO UPDATE SET title = (SELECT t.salary::text)",
    "INSERT INTO employee AS t (name) VALUES ('E1') ON CONFLICT (name) DO UPDATE SET (title, notes) = (SELECT t.grade::text, 'x')",
    "MERGE INTO employee e USING (VALUES (71)) v (g) ON e.grade = v.g WHEN MATCHED THEN DO NOTHING",
    "MERGE INTO employee e USING (VALUES (71)) v (g) ON e.grade = v.g WHEN MATCHED THEN UPDATE SET title = 'x'",
    "MERGE INTO employee e USING (VALUES (71)) v (g) ON e.grade = v.g WHEN MATCHED THEN DELETE",
    "MERGE INTO employee e USING (VALUES ('E1')) v (g) ON e.name = v.g WHEN MATCHED AND e::text LIKE '%7771%' THEN DELETE",
    "MERGE INTO employee e USING (SELECT name, salary FROM employee) v ON e.name = v.name WHEN MATCHED AND v.salary > 7771 THEN DO NOTHING",
    "MERGE INTO employee e USING company c ON c.name = e.company WHEN MATCHED THEN UPDATE SET title = (SELECT max(grade)::text FROM employee)",
    "UPDATE employee SET title = 'x' FROM (SELECT name AS n, salary AS s FROM employee) q WHERE q.n = name AND q.s > 7771",
    "UPDATE employee SET (title, notes) = (SELECT x.salary::text, 'x' FROM employee x WHERE x.name = employee.name)",
    "UPDATE employee SET (title, notes) = (employee.salary::text, 'x')",
    "DELETE FROM employee WHERE employee::text LIKE '%7771%'",
    "DELETE FROM employee e WHERE (e).grade = 71 RETURNING e.name",
    "COPY (INSERT INTO employee (name) VALUES ('N') RETURNING salary) TO STDOUT",
    "COPY (DELETE FROM employee RETURNING *) TO STDOUT",
    // By carrying the statement elsewhere.
    "COPY employee TO STDOUT",
    "COPY employee (name, salary) TO STDOUT",
    "COPY (SELECT salary FROM employee) TO STDOUT",
    "COPY (UPDATE employee SET title = 'x' RETURNING salary) TO STDOUT",
    "DECLARE c CURSOR FOR SELECT salary FROM employee; FETCH ALL FROM c",
    "PREPARE p1 AS SELECT salary FROM employee; EXECUTE p1",
    "PREPARE p2 (int) AS SELECT name FROM employee WHERE grade = $1; EXECUTE p2 (71)",
    "EXPLAIN SELECT name FROM employee WHERE salary > 7771",
    "EXPLAIN (ANALYZE, VERBOSE) SELECT salary FROM employee",
    "DO $$ DECLARE s numeric; BEGIN SELECT max(salary) INTO s FROM employee; RAISE NOTICE '%', s; END $$",
    "DO $$ BEGIN EXECUTE 'SELECT grade FROM employee'; END $$",
    "DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM employee LOOP RAISE NOTICE '%', r; END LOOP; END $$",
    "DO $$ DECLARE e employee; BEGIN SELECT * INTO e FROM employee LIMIT 1; RAISE NOTICE '%', e; END $$",
    "CREATE FUNCTION f() RETURNS SETOF employee LANGUAGE sql STABLE AS 'SELECT * FROM public.employee'; SELECT name FROM f()",
    "CREATE FUNCTION f() RETURNS numeric LANGUAGE sql AS 'SELECT max(salary) FROM public.employee'; SELECT f()",
    "CREATE FUNCTION f() RETURNS SETOF numeric LANGUAGE sql STABLE BEGIN ATOMIC SELECT salary FROM public.employee; END; SELECT * FROM f()",
    "CREATE FUNCTION f() RETURNS SETOF numeric LANGUAGE sql SECURITY DEFINER AS 'SELECT salary FROM public.employee'; SELECT * FROM f()",
    "CREATE FUNCTION f() RETURNS SETOF numeric LANGUAGE plpgsql AS 'BEGIN RETURN QUERY SELECT salary FROM public.employee; END'; SELECT * FROM f()",
    "CREATE FUNCTION f(employee) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT $1.salary'; SELECT f(e) FROM employee e",
    "CREATE FUNCTION pg_temp.f() RETURNS SETOF int LANGUAGE sql STABLE AS 'SELECT grade FROM public.employee'; SELECT * FROM pg_temp.f()",
    "CREATE VIEW v AS SELECT * FROM employee; SELECT name FROM v",
    "CREATE VIEW v WITH (security_invoker = true) AS SELECT e AS x FROM employee e; SELECT x FROM v",
    "CREATE VIEW v WITH (security_barrier = true) AS SELECT docperm._readable(salary) AS salary, salary AS s FROM employee e WHERE docperm._is_readable(e.*); SELECT * FROM v",
    "SELECT docperm._readable(e.salary), e.salary FROM employee e WHERE docperm._is_readable(e.*)",
    "SELECT docperm._readable(e.salary) FROM employee e WHERE docperm._is_readable(e.*) AND salary > 1",
    "SELECT docperm._readable(e.salary) FROM employee e WHERE docperm._is_readable(e.*) ORDER BY salary",
    "SELECT name FROM employee e WHERE docperm.permits(e.*, 'Employee', 'read')",
    "CREATE VIEW v AS SELECT name, title FROM employee WHERE salary > 7771; UPDATE v SET title = 'x'",
    "CREATE VIEW v AS SELECT name, title FROM employee WHERE salary > 7771; DELETE FROM v",
    "CREATE VIEW v AS SELECT name, title FROM employee WHERE salary > 5 WITH CHECK OPTION; INSERT INTO v VALUES ('N', 't')",
    "CREATE VIEW v AS SELECT name, salary AS s FROM employee; UPDATE v SET s = 5",
    "CREATE VIEW v AS SELECT name, salary AS s FROM employee; INSERT INTO v VALUES ('N', 5)",
    "CREATE TABLE t AS SELECT salary FROM employee",
    "SELECT grade INTO TEMP t FROM employee",
    "CREATE MATERIALIZED VIEW m AS SELECT salary FROM employee",
    "CREATE TABLE t (n numeric); CREATE RULE r AS ON INSERT TO t DO INSTEAD SELECT salary FROM employee; INSERT INTO t VALUES (1)",
    "CREATE TABLE t (n numeric);
     CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := (SELECT max(salary) FROM public.employee); RETURN NEW; END';
     CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); INSERT INTO t VALUES (1)",
    "SELECT query_to_xml('SELECT salary FROM employee', true, false, '')",
    "SELECT table_to_xml('employee', true, false, '')",
    "SELECT word FROM ts_stat('SELECT to_tsvector(''simple'', grade::text) FROM public.employee')",
    "DECLARE c CURSOR FOR SELECT name FROM employee WHERE grade = 71 FOR UPDATE; FETCH c; UPDATE employee SET title = 'x' WHERE CURRENT OF c",
    "DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT e FROM employee e; FETCH LAST FROM c",
    "DECLARE c CURSOR FOR SELECT name FROM employee FOR UPDATE; FETCH c; UPDATE employee SET title = salary::text WHERE CURRENT OF c",
    "DECLARE c CURSOR FOR SELECT name FROM employee FOR UPDATE; FETCH c; DELETE FROM employee WHERE CURRENT OF c RETURNING grade",
    "SELECT query_to_xml_and_xmlschema('SELECT salary FROM employee', true, false, '')",
    "SELECT schema_to_xml('public', true, false, '')",
    "SELECT database_to_xml(true, false, '')",
    "SELECT ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, grade::text::tsquery FROM public.employee')",
    "PREPARE p AS SELECT salary FROM employee; CREATE TEMP TABLE t AS EXECUTE p",
    "PREPARE p AS SELECT salary FROM employee; EXPLAIN EXECUTE p",
    "EXPLAIN (ANALYZE, COSTS OFF) SELECT count(*) FROM employee WHERE grade = 71",
    "DO $$ DECLARE c CURSOR (g int) FOR SELECT name FROM employee WHERE grade = g; r record; BEGIN OPEN c (71); FETCH c INTO r; RAISE NOTICE '%', r; END $$",
    "DO $$ DECLARE x employee%ROWTYPE; BEGIN SELECT e.* INTO x FROM employee e WHERE name = 'E1'; RAISE NOTICE '%', x.salary; END $$",
    "DO $$ DECLARE x employee.salary%TYPE; BEGIN SELECT salary INTO x FROM employee WHERE name = 'E1'; RAISE NOTICE '%', x; END $$",
    "DO $$ DECLARE n int; BEGIN DELETE FROM employee WHERE grade = 71; GET DIAGNOSTICS n = ROW_COUNT; RAISE NOTICE '%', n; END $$",
    "DO $$ BEGIN PERFORM FROM employee WHERE grade = 71; IF FOUND THEN RAISE NOTICE 'found'; END IF; END $$",
    "DO $$ DECLARE c refcursor; r record; BEGIN OPEN c FOR EXECUTE 'SELECT grade FROM employee WHERE grade > $1' USING 1; FETCH c INTO r; RAISE NOTICE '%', r; END $$",
    "SET plan_cache_mode = force_generic_plan; PREPARE p (int) AS SELECT name FROM employee WHERE grade = $1; EXPLAIN (ANALYZE, COSTS OFF) EXECUTE p (71)",
    // By code of one's own that runs for something else.
    "CREATE TABLE own AS SELECT generate_series(1, 200) AS i; CREATE FUNCTION f(int) RETURNS numeric LANGUAGE plpgsql STABLE PARALLEL SAFE COST 100000 AS 'BEGIN RETURN (SELECT max(salary) FROM public.employee); END'; SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0; SET LOCAL min_parallel_table_scan_size = 0; SELECT count(*) FROM own WHERE f(i) > 7771",
    "CREATE TABLE own (n int); INSERT INTO own VALUES (1); ALTER TABLE own ENABLE ROW LEVEL SECURITY; ALTER TABLE own FORCE ROW LEVEL SECURITY; CREATE POLICY p ON own USING (EXISTS (SELECT FROM employee WHERE salary > 7771)); SELECT * FROM own",
    "CREATE TABLE own (n int); ALTER TABLE own ENABLE ROW LEVEL SECURITY; ALTER TABLE own FORCE ROW LEVEL SECURITY; CREATE POLICY p ON own FOR INSERT WITH CHECK (n IN (SELECT grade FROM employee)); INSERT INTO own VALUES (71)",
    "CREATE TABLE own (n int); CREATE FUNCTION f(int) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.employee WHERE grade = $1)'; ALTER TABLE own ADD CHECK (f(n)); INSERT INTO own VALUES (71)",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT max(grade) FROM public.employee'; CREATE TABLE own (n int, m int DEFAULT f()); INSERT INTO own VALUES (71)",
    "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT max(grade) FROM public.employee'; CREATE TABLE own (n int, m int GENERATED ALWAYS AS (f(n)) STORED); INSERT INTO own VALUES (71)",
    "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT max(grade) FROM public.employee'; CREATE TABLE own (n int); INSERT INTO own VALUES (1); CREATE INDEX ON own (f(n))",
    "CREATE FUNCTION f(int) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.employee WHERE grade = $1)'; CREATE DOMAIN d AS int CHECK (f(VALUE)); SELECT 71::d",
    "CREATE FUNCTION f(int, int) RETURNS int LANGUAGE sql AS 'SELECT max(grade) FROM public.employee'; CREATE AGGREGATE agg(int) (SFUNC = f, STYPE = int, INITCOND = '0'); SELECT agg(1)",
    "CREATE FUNCTION f(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.employee WHERE grade = 71)'; CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = f); SELECT name FROM employee WHERE name === title",
    "CREATE MATERIALIZED VIEW m AS SELECT salary FROM employee WITH NO DATA; REFRESH MATERIALIZED VIEW m",
    "CREATE VIEW v AS SELECT name, title FROM employee; CREATE RULE r AS ON UPDATE TO v DO INSTEAD UPDATE employee SET title = salary::text WHERE name = OLD.name; UPDATE v SET title = 'x'",
    "CREATE VIEW v AS SELECT name, title FROM employee; CREATE RULE r AS ON INSERT TO v DO INSTEAD INSERT INTO employee (name, salary) VALUES (NEW.name, 9000); INSERT INTO v VALUES ('N')",
    "CREATE VIEW v AS SELECT name FROM employee; CREATE RULE r AS ON DELETE TO v DO INSTEAD DELETE FROM employee WHERE grade = 71; DELETE FROM v",
    "CREATE TABLE own (n int); CREATE RULE r AS ON INSERT TO own WHERE EXISTS (SELECT FROM employee WHERE grade = 71) DO INSTEAD NOTHING; INSERT INTO own VALUES (1)",
    "CREATE TABLE own (n int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE FUNCTION g() RETURNS boolean LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM public.employee WHERE grade = 71)'; CREATE TRIGGER t BEFORE INSERT ON own FOR EACH ROW WHEN (g()) EXECUTE FUNCTION f(); INSERT INTO own VALUES (1)",
    "CREATE VIEW v AS SELECT name, salary FROM employee; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''%'', OLD; RETURN OLD; END'; CREATE TRIGGER t INSTEAD OF UPDATE ON v FOR EACH ROW EXECUTE FUNCTION f(); UPDATE v SET name = 'x'",
    "CREATE VIEW v (a, b) AS SELECT name, grade FROM employee; CREATE VIEW w AS SELECT a FROM v WHERE b = 71; SELECT * FROM w",
    "CREATE RECURSIVE VIEW v (n) AS SELECT max(grade) FROM employee; SELECT * FROM v",
    "CREATE FUNCTION f(OUT a numeric) LANGUAGE plpgsql AS 'BEGIN a := (SELECT max(salary) FROM public.employee); END'; SELECT f()",
    "CREATE FUNCTION f(n text) RETURNS public.employee LANGUAGE sql STABLE AS 'SELECT e FROM public.employee e WHERE e.name = n'; SELECT (f('E1')).title",
    "CREATE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC DELETE FROM public.employee WHERE grade = 71; END; CALL p()",
    "CREATE PROCEDURE p(INOUT n int) LANGUAGE plpgsql AS 'BEGIN SELECT max(grade) INTO n FROM public.employee; END'; CALL p(1)",
];

#[test]
fn every_attack_is_refused_and_answered_with_the_level() {
    assert!(ATTACKS.len() >= 230);
    let (mut w, clerk, hr) = world();
    // What they could try if the internal functions were anybody's.
    w.sql("GRANT EXECUTE ON FUNCTION docperm._readable(anyelement), docperm._is_readable(record) TO PUBLIC; GRANT USAGE ON SCHEMA docperm TO PUBLIC");
    let connect = |role: &str| {
        let mut c = w.db.connect_as(role);
        c.batch_execute(&format!("SET search_path = {role}, public")).unwrap();
        c
    };
    let (mut c, mut h) = (connect(&clerk), connect(&hr));
    let _ = attempt(&mut c, "SELECT name FROM employee");
    for attack in ATTACKS {
        for c in [&mut c, &mut connect(&clerk)] {
            match tried(c, attack) {
                Err(error) if closed_message(&error) => {}
                other => panic!("not refused: {attack}\n{other:?}"),
            }
        }
        if let Err(error) = tried(&mut h, attack) {
            panic!("does not answer who has the level: {attack}\n{error:?}");
        }
    }
}

/// Ways to write a closed column.
const WRITES: &[&str] = &[
    "CREATE VIEW v AS SELECT name, title FROM employee; CREATE RULE r AS ON INSERT TO v DO INSTEAD INSERT INTO employee (name, salary) VALUES (NEW.name, 9000); INSERT INTO v VALUES ('N')",
    "CREATE TABLE own (n text); CREATE RULE r AS ON INSERT TO own DO ALSO UPDATE employee SET salary = 9000 WHERE name = NEW.n; INSERT INTO own VALUES ('E1')",
    "CREATE TABLE own (n text); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE public.employee SET salary = 9000 WHERE name = NEW.n; RETURN NEW; END'; CREATE TRIGGER t AFTER INSERT ON own FOR EACH ROW EXECUTE FUNCTION f(); INSERT INTO own VALUES ('E1')",
    "CREATE VIEW v AS SELECT name, salary FROM employee WITH CASCADED CHECK OPTION; UPDATE v SET salary = 9000",
    "CREATE VIEW v AS SELECT name, grade AS salary FROM employee; INSERT INTO v (name, salary) VALUES ('N', 9)",
    "DECLARE c CURSOR FOR SELECT name FROM employee FOR UPDATE; FETCH c; UPDATE employee SET salary = 5 WHERE CURRENT OF c",
    "PREPARE p (numeric) AS UPDATE employee SET salary = $1; EXECUTE p (5)",
    "UPDATE employee SET (title, salary) = ROW('x', DEFAULT)",
    "UPDATE employee SET (title, salary) = (SELECT 'x', 5)",
    "INSERT INTO employee (name, salary) SELECT 'N', NULL",
    "INSERT INTO employee (name, salary) OVERRIDING USER VALUE VALUES ('N', 5)",
    "INSERT INTO employee (name, salary) VALUES ('N', (SELECT 5))",
    "INSERT INTO employee (name, salary) VALUES ('N', CASE WHEN random() < 2 THEN 5 END)",
    "INSERT INTO employee (name) VALUES ('E1') ON CONFLICT (name) DO UPDATE SET (title, salary) = ('x', 5)",
    "INSERT INTO employee (name) VALUES ('E1') ON CONFLICT (name) DO UPDATE SET salary = DEFAULT",
    "MERGE INTO employee e USING (VALUES ('N')) v (n) ON e.name = v.n WHEN NOT MATCHED THEN INSERT VALUES (v.n, 't', NULL, 5)",
    "MERGE INTO employee e USING (VALUES ('E1')) v (n) ON e.name = v.n WHEN MATCHED THEN UPDATE SET (title, salary) = ('x', 5)",
    "WITH w AS (UPDATE employee SET salary = 5) INSERT INTO employee (name) VALUES ('N')",
    "EXPLAIN UPDATE employee SET salary = 5",
    "EXPLAIN ANALYZE INSERT INTO employee (name, salary) VALUES ('N', 5)",
    "DO $$ BEGIN UPDATE employee SET salary = 5; EXCEPTION WHEN division_by_zero THEN NULL; END $$",
    "CREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC UPDATE public.employee SET salary = 5; END; SELECT f()",
    "CREATE FUNCTION f() RETURNS SETOF text LANGUAGE sql AS 'UPDATE public.employee SET salary = 5 RETURNING name'; SELECT * FROM f()",
    "UPDATE ONLY employee SET salary = 5",
];

#[test]
fn every_way_to_write_a_closed_column_is_refused_or_changes_nothing() {
    let (mut w, clerk, hr) = world();
    // What is stored, for who may not read it, in his own transaction.
    w.sql(
        "CREATE FUNCTION stored() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
             AS $$SELECT string_agg(concat_ws(' ', salary, grade), ',' ORDER BY name) FROM public.employee WHERE name < 'F'$$;
         CREATE FUNCTION made() RETURNS text LANGUAGE sql STABLE SECURITY DEFINER
             AS $$SELECT string_agg(concat_ws(' ', salary, grade), ',') FROM public.employee WHERE name > 'F'$$",
    );
    let connect = |role: &str| {
        let mut c = w.db.connect_as(role);
        c.batch_execute(&format!("SET search_path = {role}, public")).unwrap();
        c
    };
    let (mut c, mut h) = (connect(&clerk), connect(&hr));
    let _ = attempt(&mut c, "SELECT name FROM employee");
    for write in WRITES {
        for c in [&mut c, &mut connect(&clerk)] {
            match tried(c, write) {
                Err(error) if closed_message(&error) => {}
                other => panic!("not refused: {write}\n{other:?}"),
            }
        }
        if let Err(error) = tried(&mut h, write) {
            panic!("does not let him who has the level: {write}\n{error:?}");
        }
    }
    w.admin.batch_execute("UPDATE docperm.settings SET field_level_write = 'reset'").unwrap();
    for write in WRITES {
        for c in [&mut c, &mut connect(&clerk)] {
            c.batch_execute("BEGIN").unwrap();
            match attempt(c, write) {
                Ok(_) => {
                    assert_eq!(one(c, "SELECT stored()"), "7771.00 71,7772.00 72,7773.00 73", "{write}");
                    let made = one(c, "SELECT coalesce(made(), 'none')");
                    assert!(["none", "1000.00"].contains(&&*made), "{write}: {made}");
                }
                // A view of his own reads what it names.
                Err(error) => {
                    let is_read = closed_message(&error) && error.message.contains("may not read");
                    assert!(is_read && write.starts_with("CREATE VIEW"), "{write}\n{error:?}");
                }
            }
            c.batch_execute("ROLLBACK; DEALLOCATE ALL").unwrap();
        }
    }
}

/// PostgreSQL does not note among the columns that an INSERT sets those that get a default of the view.
#[test]
fn a_default_of_ones_own_view_does_not_write_a_closed_column() {
    let (mut w, clerk, _) = world();
    level(&mut w, "Employee", "Clerk", 1, "{read}");
    w.db.connect_as(&clerk)
        .batch_execute(&format!(
            "SET search_path = {clerk}, public;
             CREATE VIEW v AS SELECT name, title, salary FROM employee;
             ALTER VIEW v ALTER name SET DEFAULT 'N', ALTER salary SET DEFAULT 9000"
        ))
        .unwrap();
    let inserts = [
        "INSERT INTO v DEFAULT VALUES",
        "INSERT INTO v (name) VALUES ('N')",
        "INSERT INTO v (name) VALUES ('N'), ('M')",
        "INSERT INTO v (name, salary) VALUES ('N', DEFAULT), ('M', DEFAULT)",
        "INSERT INTO v (name) SELECT 'N'",
        "INSERT INTO v (name) VALUES ('N') ON CONFLICT (name) DO UPDATE SET title = 'x'",
        "WITH n AS (INSERT INTO v (name) VALUES ('N') RETURNING name) SELECT FROM n",
    ];
    for mode in ["refuse", "reset"] {
        w.sql(&format!("UPDATE docperm.settings SET field_level_write = '{mode}'"));
        for insert in inserts {
            for first in [true, false] {
                let mut c = w.db.connect_as(&clerk);
                c.batch_execute(&format!("SET search_path = {clerk}, public; BEGIN")).unwrap();
                if !first {
                    passes(&mut c, "SELECT name FROM v");
                }
                match (mode, attempt(&mut c, insert)) {
                    ("refuse", Err(error)) if closed_message(&error) => {}
                    ("reset", Ok(_)) => {
                        let paid = one(&mut c, "SELECT DISTINCT salary FROM v WHERE name IN ('N', 'M')");
                        assert_eq!(paid, "1000.00", "{insert}");
                    }
                    (_, other) => panic!("with {mode}: {insert}\n{other:?}"),
                }
            }
        }
    }
    // Without such a default the view is written like the table.
    let mut c = w.db.connect_as(&clerk);
    c.batch_execute(&format!("SET search_path = {clerk}, public; ALTER VIEW v ALTER salary DROP DEFAULT"))
        .unwrap();
    w.sql("UPDATE docperm.settings SET field_level_write = 'refuse'");
    passes(&mut c, "INSERT INTO v DEFAULT VALUES");
    passes(&mut c, "INSERT INTO v (name) VALUES ('M'), ('O')");
    passes(
        &mut w.db.connect_as(&clerk),
        "INSERT INTO employee (name, title) VALUES ('P', 'Cook'), ('Q', 'Cook')",
    );
}

/// Runs it in a transaction that is rolled back.
fn tried(c: &mut Client, sql: &str) -> Result<(), docperm_testkit::ServerError> {
    c.batch_execute("BEGIN").unwrap();
    let done = if sql.starts_with("COPY") {
        c.copy_out(sql).map_err(|error| db_error(&error)).map(|mut out| {
            let mut rows = String::new();
            out.read_to_string(&mut rows).unwrap();
        })
    } else {
        attempt(c, sql).map(|_| ())
    };
    c.batch_execute("ROLLBACK; DEALLOCATE ALL").unwrap();
    done
}
