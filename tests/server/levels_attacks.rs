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
];

#[test]
fn every_attack_is_refused_and_answered_with_the_level() {
    assert!(ATTACKS.len() >= 60);
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
