//! Readable views: the table for everybody, with NULL where the reader's level ends.

use crate::levels::{CLERK, HR, level, passes, world};
use crate::support::{
    World, attempt, explain, names, one, refused, refused_with, run as run_program, set_user, table, texts,
};
use docperm_testkit::server;
use postgres::Client;

/// The employees behind a view; the clerk's and HR's roles have SELECT on the view and nothing else.
fn viewed(owned_by: Option<&str>) -> (World, String, String) {
    let (mut w, clerk, hr) = world();
    if let Some(hint) = owned_by {
        let owner = w.db.login_role(hint);
        w.sql(&format!(
            "GRANT CREATE, USAGE ON SCHEMA public TO {owner}; ALTER TABLE employee OWNER TO {owner}"
        ));
    }
    w.sql("SELECT docperm.create_readable_view('Employee', 'staff')");
    w.sql(&format!(
        "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {clerk}, {hr}; GRANT SELECT ON staff TO {clerk}, {hr}"
    ));
    (w, clerk, hr)
}

const OWNERS: [Option<&str>; 2] = [None, Some("owner")];

#[test]
fn closed_columns_are_null_and_open_ones_are_there() {
    for owner in OWNERS {
        let (mut w, clerk, hr) = viewed(owner);
        let all = "SELECT * FROM staff ORDER BY name";
        let mut c = w.db.connect_as(&clerk);
        let clerks = ["E1|Cook|A|NULL|NULL||NULL", "E2|Baker|A|NULL|NULL||NULL", "E3|Cook|B|NULL|NULL||NULL"];
        // The first statement of a session, and the ones after it.
        assert_eq!(texts(&mut c, all), clerks);
        assert_eq!(texts(&mut c, all), clerks);
        let mut h = w.db.connect_as(&hr);
        for _ in 0..2 {
            assert_eq!(one(&mut h, "SELECT sum(salary) || ' ' || sum(grade) FROM staff"), "23316.00 216");
            assert_eq!(one(&mut h, "SELECT round(rate) FROM staff WHERE name = 'E1'"), "648");
        }
        for c in [&mut c, &mut h] {
            assert_eq!(
                refused_with(c, "SELECT name FROM employee"),
                "42501",
                "no right on the table is needed or had"
            );
        }
        let found = "SELECT count(*) FROM docperm.doctor() WHERE object LIKE '%staff%'";
        assert_eq!(one(&mut w.admin, found), "0", "the doctor knows such views");
        // Rows are filtered as in the table, superusers not excepted.
        w.allow(CLERK, "Company", "A");
        assert_eq!(names(&mut c, "SELECT name FROM staff"), ["E1", "E2"]);
        let mut admin = w.db.admin();
        assert_eq!(one(&mut admin, "SELECT count(*) FROM staff"), "0", "nobody acts");
        set_user(&mut admin, CLERK);
        assert_eq!(texts(&mut admin, all), clerks[..2]);
        set_user(&mut admin, HR);
        assert_eq!(one(&mut admin, "SELECT max(salary) FROM staff"), "7773.00");
    }
}

#[test]
fn the_view_gives_nothing_away() {
    for owner in OWNERS {
        let (mut w, clerk, _) = viewed(owner);
        w.sql("UPDATE employee SET notes = 'note of ' || name");
        for prepared in [false, true] {
            let mut c = w.db.connect_as(&clerk);
            if prepared {
                c.batch_execute("SELECT docperm.whoami()").unwrap();
            }
            c.batch_execute(&format!("SET search_path = {clerk}, public")).unwrap();
            for (sql, answer) in [
                ("SELECT count(*) FROM staff WHERE salary > 0", "0"),
                ("SELECT count(*) FROM staff WHERE salary IS NULL AND grade IS NULL AND rate IS NULL", "3"),
                ("SELECT count(*) FROM staff WHERE salary IS NOT DISTINCT FROM 7771", "0"),
                ("SELECT count(*) FROM staff JOIN (VALUES (7771.00)) v (salary) USING (salary)", "0"),
                ("SELECT count(*) FROM staff NATURAL JOIN (VALUES (71)) v (grade)", "0"),
                (
                    "SELECT count(*) FROM company c RIGHT JOIN staff s ON s.grade = 71 WHERE s.grade IS NOT NULL",
                    "0",
                ),
                ("SELECT count(*) FROM staff s WHERE s::text LIKE '%777%'", "0"),
                (
                    "SELECT string_agg(name, ',') FROM (SELECT name FROM staff ORDER BY salary DESC NULLS LAST, name) s",
                    "E1,E2,E3",
                ),
                (
                    "SELECT string_agg(salary || ':' || n, ',') FROM (SELECT salary, count(*) AS n FROM staff GROUP BY salary) s",
                    "NULL",
                ),
                ("SELECT count(DISTINCT grade) FROM staff", "0"),
                ("SELECT string_agg((row_to_json(s)->>'salary'), ',') FROM staff s", "NULL"),
                (
                    "SELECT string_agg(v.value, ',') FROM staff s, jsonb_each_text(to_jsonb(s)) v WHERE v.key IN ('salary', 'grade', 'rate')",
                    "NULL",
                ),
                ("SELECT max(rank) FROM (SELECT rank() OVER (ORDER BY grade) AS rank FROM staff) s", "1"),
                ("SELECT max(1 / (salary - 7771)) FROM staff", "NULL"),
                ("SELECT count(*) FROM staff WHERE 1 / (grade - 71) > 0", "0"),
                (
                    "SELECT max(salary) FROM (SELECT * FROM staff UNION ALL SELECT * FROM staff OFFSET 0) s",
                    "NULL",
                ),
                ("WITH w AS MATERIALIZED (SELECT * FROM staff) SELECT max(grade) FROM w", "NULL"),
                (
                    "SELECT max(x) FROM company c, LATERAL (SELECT salary AS x FROM staff s WHERE s.company = c.name) s",
                    "NULL",
                ),
            ] {
                // The clerk may not read companies by privilege.
                let sql = sql.replace("company c", "(VALUES ('A'), ('B')) c (name)");
                assert_eq!(one(&mut c, &sql), answer, "{sql}");
            }
            for sql in [
                "EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM staff",
                "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM staff WHERE salary > 7771 OR name > ''",
                "BEGIN; DECLARE k CURSOR FOR TABLE staff; FETCH ALL FROM k; COMMIT",
                "PREPARE q AS TABLE staff; EXECUTE q",
                "CREATE VIEW own AS SELECT * FROM staff; SELECT * FROM own; DROP VIEW own",
                "CREATE FUNCTION f() RETURNS SETOF staff LANGUAGE sql STABLE AS 'SELECT * FROM public.staff'; SELECT * FROM f(); DROP FUNCTION f()",
                "CREATE TABLE copied AS TABLE staff; SELECT * FROM copied; DROP TABLE copied",
                "SELECT query_to_xml('SELECT * FROM staff', true, false, '')",
                "SELECT * FROM pg_stats WHERE tablename IN ('staff', 'employee')",
            ] {
                let told = format!("{:?}", attempt(&mut c, sql).unwrap());
                assert!(!told.contains("777") && !told.contains("648"), "{sql}\n{told}");
            }
        }
    }
}

/// By statements that use the view and write what they find into columns that are open.
const TELLING_WRITES: &[&str] = &[
    "MERGE INTO employee e USING staff s ON e.name = s.name WHEN MATCHED AND s.salary > 1 THEN UPDATE SET title = 'leak'",
    "MERGE INTO employee e USING staff s ON e.name = s.name WHEN MATCHED THEN UPDATE SET title = s.salary::text",
    "UPDATE employee e SET title = 'leak' FROM staff s WHERE s.name = e.name AND s.grade = 71",
    "UPDATE employee e SET title = (SELECT 'leak' || s.grade FROM staff s WHERE s.name = e.name)",
    "DELETE FROM employee e USING staff s WHERE s.name = e.name AND s.grade > 0",
    "INSERT INTO employee (name, title) SELECT name || 'x', salary::text FROM staff",
    "INSERT INTO employee (name) VALUES ('E1') ON CONFLICT (name) DO UPDATE SET title = (SELECT max(grade)::text FROM staff)",
    "CREATE MATERIALIZED VIEW m AS SELECT * FROM staff WITH NO DATA; REFRESH MATERIALIZED VIEW m; SELECT * FROM m",
    "CREATE VIEW o AS SELECT s.*, (SELECT max(x.salary) FROM staff x) AS top FROM staff s; SELECT * FROM o",
    "CREATE VIEW o WITH (security_barrier) AS SELECT name FROM staff WHERE salary > 1; SELECT count(*) FROM o",
    "SELECT name FROM staff ORDER BY grade DESC NULLS LAST LIMIT 1",
    "SELECT DISTINCT ON (grade) grade, salary FROM staff ORDER BY grade, salary",
    "SELECT grade, grouping(grade) FROM staff GROUP BY CUBE (grade, salary)",
    "SELECT count(*) FILTER (WHERE salary > 0), max(rate), string_agg(salary::text, ',') FROM staff",
    "SELECT count(*) FROM staff a JOIN staff b ON a.salary = b.salary",
    "SELECT * FROM staff EXCEPT SELECT name, title, company, NULL, NULL, notes, NULL FROM staff",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY salary) FROM staff",
    "WITH RECURSIVE r AS (SELECT name, salary FROM staff UNION SELECT r.name, s.salary FROM r JOIN staff s USING (name)) SELECT * FROM r",
    "SELECT (x).salary FROM (SELECT staff AS x FROM staff) q",
    "SELECT json_agg(s), xmlagg(xmlelement(NAME e, s.salary)) FROM staff s",
    "DO $$ DECLARE r staff%ROWTYPE; t text := ''; BEGIN FOR r IN SELECT * FROM staff LOOP t := t || r::text; END LOOP; RAISE NOTICE '%', t; END $$",
    "DECLARE c SCROLL CURSOR FOR SELECT * FROM staff; FETCH LAST FROM c",
    "EXPLAIN (ANALYZE, VERBOSE) SELECT * FROM staff s WHERE EXISTS (SELECT FROM staff t WHERE t.grade = 71)",
    "SELECT name FROM staff s WHERE CASE WHEN grade = 71 THEN 1 / (length(name) - 2) = 1 ELSE true END",
    "CREATE FUNCTION f() RETURNS SETOF staff LANGUAGE sql STABLE BEGIN ATOMIC SELECT * FROM public.staff WHERE grade = 71; END; SELECT * FROM f()",
    "CREATE FUNCTION f(g int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM public.staff WHERE grade = g'; SELECT f(71)",
    "CREATE TABLE own (n int); INSERT INTO own VALUES (1); ALTER TABLE own ENABLE ROW LEVEL SECURITY; ALTER TABLE own FORCE ROW LEVEL SECURITY; CREATE POLICY p ON own USING (EXISTS (SELECT FROM staff WHERE grade = 71)); SELECT * FROM own",
    "CREATE VIEW o AS SELECT name, salary FROM staff; CREATE RULE r AS ON UPDATE TO o DO INSTEAD UPDATE employee SET title = OLD.salary::text WHERE name = OLD.name; UPDATE o SET name = 'x'; SELECT title FROM employee",
    "LOCK TABLE staff IN ACCESS SHARE MODE; SELECT * FROM ONLY staff",
];

#[test]
fn nothing_is_learned_by_writing_what_the_view_shows() {
    for owner in OWNERS {
        let (mut w, clerk, _) = viewed(owner);
        w.sql(&format!("GRANT SELECT, INSERT, UPDATE, DELETE ON employee TO {clerk}"));
        for warm in [true, false] {
            for write in TELLING_WRITES {
                let mut c = w.db.connect_as(&clerk);
                if warm {
                    c.batch_execute("SELECT docperm.whoami()").unwrap();
                }
                c.batch_execute(&format!("SET search_path = {clerk}, public; BEGIN")).unwrap();
                let told = format!(
                    "{:?}",
                    attempt(&mut c, write).unwrap_or_else(|error| panic!("{write}\n{error:?}"))
                );
                let titles = names(&mut c, "SELECT coalesce(title, 'none') FROM employee").concat();
                for secret in ["777", "648", "leak"] {
                    assert!(!told.contains(secret) && !titles.contains(secret), "{write}\n{told} {titles}");
                }
                c.batch_execute("ROLLBACK").unwrap();
            }
        }
    }
}

/// PostgreSQL calls an operator with the most common values of a column while it estimates how many rows there are.
#[test]
fn an_estimate_is_not_shown_hidden_rows() {
    for owner in OWNERS {
        let (mut w, clerk, _) = viewed(owner);
        w.allow(CLERK, "Company", "A");
        w.sql(
            "INSERT INTO employee (name, title, company)
                  SELECT 'F' || n, CASE WHEN n % 2 = 0 THEN 'hidden' || n % 20 ELSE 'Cook' END, CASE WHEN n % 2 = 0 THEN 'B' ELSE 'A' END
                    FROM generate_series(1, 2000) n;
             ANALYZE employee;
             CREATE TABLE open AS TABLE employee; ANALYZE open; GRANT SELECT ON open TO PUBLIC;",
        );
        w.sql(&format!("GRANT SELECT ON employee TO {clerk}"));
        let prepare = format!(
            "SET search_path = {clerk}, public; CREATE TEMP TABLE leaked (value text);
             CREATE OR REPLACE FUNCTION leak(a text, b text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
                 'BEGIN INSERT INTO pg_temp.leaked VALUES (a), (b); RETURN a = b; END';"
        );
        let operator = "CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = leak, RESTRICT = eqsel, JOIN = eqjoinsel)";
        let mut c = w.db.connect_as(&clerk);
        c.batch_execute(&format!("{prepare} {operator}")).unwrap();
        let leaked = |c: &mut Client, sql: &str| {
            let _ = attempt(c, sql);
            let leaked = one(c, "SELECT count(*) FROM leaked WHERE value LIKE 'hidden%'");
            c.batch_execute("TRUNCATE leaked").unwrap();
            leaked != "0"
        };
        let estimate = "EXPLAIN SELECT name FROM open WHERE title === 'x'";
        assert!(leaked(&mut c, estimate), "an open table shows that the operator sees them");
        for table in ["staff", "employee"] {
            for sql in [
                estimate.replace("open", table),
                format!("EXPLAIN SELECT a.name FROM {table} a JOIN {table} b ON a.title === b.title"),
                format!(
                    "EXPLAIN SELECT a.name FROM {table} a JOIN (VALUES ('x'), ('y')) v (t) ON a.title === v.t"
                ),
                format!(
                    "EXPLAIN SELECT name FROM {table} a WHERE EXISTS (SELECT FROM {table} b WHERE a.title === b.title)"
                ),
                format!("EXPLAIN SELECT name FROM (SELECT * FROM {table} OFFSET 0) a WHERE title === 'x'"),
                format!("SELECT name FROM {table} WHERE title === 'x'"),
            ] {
                assert!(!leaked(&mut c, &sql), "{sql}");
                let mut first = w.db.connect_as(&clerk);
                first.batch_execute(&prepare).unwrap();
                assert!(!leaked(&mut first, &sql), "as the first that touches the table: {sql}");
            }
        }
    }
}

#[test]
fn a_cheap_function_is_not_shown_hidden_rows() {
    for owner in OWNERS {
        let (mut w, clerk, _) = viewed(owner);
        w.allow(CLERK, "Company", "A");
        w.sql("UPDATE employee SET notes = 'note of ' || name");
        for warm in [true, false] {
            let mut c = w.db.connect_as(&clerk);
            c.batch_execute(&format!(
                "CREATE TEMP TABLE leaked (value text);
                 SET search_path = {clerk}, public;
                 CREATE OR REPLACE FUNCTION leak(value text) RETURNS boolean COST 0.0000001 LANGUAGE plpgsql AS
                     'BEGIN INSERT INTO pg_temp.leaked VALUES (value); RETURN true; END'"
            ))
            .unwrap();
            if warm {
                c.batch_execute("SELECT docperm.whoami()").unwrap();
            }
            let _ = attempt(&mut c, "SELECT name FROM staff WHERE leak(notes)");
            assert_eq!(names(&mut c, "SELECT DISTINCT value FROM leaked"), ["note of E1", "note of E2"]);
            let _ = attempt(&mut c, "SELECT name FROM staff WHERE leak(coalesce(salary::text, 'closed'))");
            let seen = names(&mut c, "SELECT DISTINCT value FROM leaked");
            assert!(!seen.concat().contains("777") && !seen.concat().contains("E3"), "{seen:?}");
        }
    }
}

#[test]
fn it_is_planned_like_the_query_that_one_would_write() {
    for owner in OWNERS {
        let (mut w, clerk, hr) = viewed(owner);
        w.sql(
            "INSERT INTO employee (name, title, company, salary, grade)
                  SELECT 'F' || n, 'T' || n % 1000, 'A', 10000 + n, 1000 + n FROM generate_series(1, 5000) n;
             ANALYZE employee",
        );
        let mut c = w.db.connect_as(&clerk);
        c.batch_execute("SELECT docperm.whoami()").unwrap();
        let plan = explain(&mut c, "SELECT * FROM staff WHERE title = 'T7'");
        assert!(plan.contains("employee_title_idx") && !plan.contains("Subquery"), "{plan}");
        let plan = explain(&mut c, "SELECT * FROM staff ORDER BY name LIMIT 3");
        assert!(plan.contains("Index Scan using employee_pkey") && !plan.contains("Sort"), "{plan}");
        let plan = explain(&mut c, "SELECT count(*) FROM staff WHERE name = 'F7'");
        assert!(plan.contains("Index Only Scan using employee_pkey"), "{plan}");
        assert!(explain(&mut c, "SELECT * FROM staff WHERE salary > 5").contains("One-Time Filter: false"));
        let joined = "SELECT s.name FROM (VALUES ('T1'), ('T2')) v (t) LEFT JOIN staff s ON s.title = v.t";
        assert!(explain(&mut c, joined).contains("employee_title_idx"), "{}", explain(&mut c, joined));
        let mut h = w.db.connect_as(&hr);
        h.batch_execute("SELECT docperm.whoami()").unwrap();
        let plan = explain(&mut h, "SELECT * FROM staff WHERE grade = 1007");
        assert!(plan.contains("employee_grade_key"), "{plan}");
        let joined = "SELECT s.name FROM (VALUES (1001), (1002)) v (g) LEFT JOIN staff s ON s.grade = v.g";
        assert!(explain(&mut h, joined).contains("employee_grade_key"), "{}", explain(&mut h, joined));
        w.allow(HR, "Company", "B");
        let plan = explain(&mut h, "SELECT * FROM staff WHERE title = 'Cook'");
        assert_eq!(plan.matches(",B}").count(), 1, "the condition is there once: {plan}");
    }
}

#[test]
fn a_level_that_opens_or_closes_is_seen_by_the_next_statement() {
    for owner in OWNERS {
        let (mut w, clerk, _) = viewed(owner);
        let mut c = w.db.connect_as(&clerk);
        c.batch_execute("SET plan_cache_mode = force_generic_plan; PREPARE p AS SELECT salary, title FROM staff WHERE name = 'E1'").unwrap();
        let both = |c: &mut Client, answer: &str| {
            assert_eq!(one(c, "EXECUTE p"), answer);
            assert_eq!(one(c, "SELECT salary, title FROM staff WHERE name = 'E1'"), answer);
        };
        both(&mut c, "NULL|Cook");
        level(&mut w, "Employee", "Clerk", 1, "{read}");
        both(&mut c, "7771.00|Cook");
        w.sql("DELETE FROM docperm.role_permissions WHERE role = 'Clerk' AND permlevel = 1");
        both(&mut c, "NULL|Cook");
        // Also for a column that had no level when the view was made.
        w.sql("SELECT docperm.set_field('Employee', 'title', permlevel => 4)");
        both(&mut c, "NULL|NULL");
    }
}

#[test]
fn nobody_writes_through_it() {
    for owner in OWNERS {
        let (mut w, clerk, hr) = viewed(owner);
        let mut c = w.db.connect_as(&clerk);
        let writes = [
            "INSERT INTO staff (name) VALUES ('N')",
            "UPDATE staff SET title = 'x'",
            "UPDATE staff SET salary = 5",
            "DELETE FROM staff",
        ];
        for sql in writes {
            assert_eq!(refused_with(&mut c, sql), "42501", "{sql}");
        }
        w.sql(&format!("GRANT ALL ON staff TO {clerk}, {hr}"));
        for role in [&clerk, &hr] {
            let mut c = w.db.connect_as(role);
            for sql in writes {
                assert_eq!(refused_with(&mut c, sql), "55000", "{sql}");
            }
            let _ = attempt(&mut c, "SELECT * FROM staff FOR UPDATE");
        }
        assert_eq!(one(&mut w.admin, "SELECT count(*) FROM employee WHERE title <> 'x'"), "3");
    }
}

#[test]
fn it_follows_its_table() {
    for owner in OWNERS {
        let (mut w, clerk, _) = viewed(owner);
        let columns = "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'staff'::regclass AND attnum > 0";
        let owner =
            one(&mut w.admin, "SELECT relowner::regrole FROM pg_class WHERE oid = 'employee'::regclass");
        assert_eq!(
            one(&mut w.admin, "SELECT relowner::regrole FROM pg_class WHERE oid = 'staff'::regclass"),
            owner
        );
        w.sql(&format!("SET ROLE {owner}; ALTER TABLE employee ADD COLUMN \"odd; name\" varchar(7) DEFAULT 'odd', ADD phones text[] DEFAULT '{{1,2}}'; RESET ROLE"));
        w.sql("SELECT docperm.set_field('Employee', 'phones', permlevel => 1)");
        assert_eq!(one(&mut w.admin, columns), "name,title,company,salary,grade,notes,rate,odd; name,phones");
        let mut c = w.db.connect_as(&clerk);
        assert_eq!(one(&mut c, "SELECT \"odd; name\", phones FROM staff WHERE name = 'E1'"), "odd|NULL");
        let types = "SELECT string_agg(format_type(atttypid, atttypmod), ',' ORDER BY attnum) FROM pg_attribute WHERE attnum > 0 AND attrelid = ";
        assert_eq!(
            one(&mut w.admin, &format!("{types}'staff'::regclass")),
            one(&mut w.admin, &format!("{types}'employee'::regclass AND NOT attisdropped"))
        );
        w.sql("ALTER TABLE employee RENAME COLUMN title TO job; ALTER TABLE employee RENAME TO person");
        assert_eq!(one(&mut w.admin, columns), "name,job,company,salary,grade,notes,rate,odd; name,phones");
        assert_eq!(one(&mut c, "SELECT job FROM staff WHERE name = 'E1'"), "Cook");
        // PostgreSQL says itself what it cannot follow.
        assert_eq!(refused_with(&mut w.admin, "ALTER TABLE person DROP COLUMN job"), "2BP01");
        assert_eq!(refused_with(&mut w.admin, "ALTER TABLE person ALTER job TYPE varchar"), "0A000");
        // Another view of the same table is left alone, and one made again is brought up to date.
        w.sql("CREATE VIEW plain AS SELECT name FROM person; ALTER TABLE person ADD extra int; SELECT docperm.create_readable_view('Employee', 'staff')");
        assert!(one(&mut w.admin, columns).ends_with(",extra"));
        w.sql("DROP VIEW plain; SELECT docperm.unprotect('person')");
        let error = refused(&mut c, "SELECT name FROM staff");
        assert_eq!(error.sqlstate, "55000", "{error:?}");
    }
}

#[test]
fn a_view_that_somebody_else_has_written_down_is_left_alone() {
    for owner in OWNERS {
        let (mut w, clerk, _) = viewed(owner);
        let mut c = w.db.connect_as(&clerk);
        // It could not follow: one name would be there twice, and a column would get another type.
        c.batch_execute(&format!(
            "SET search_path = {clerk}, public;
             CREATE VIEW swapped AS SELECT docperm._readable(e.title) AS name, docperm._readable(e.name) AS title
                               FROM employee e WHERE docperm._is_readable(e.*);
             CREATE VIEW untyped AS SELECT docperm._readable(e.salary) FROM employee e WHERE docperm._is_readable(e.*)"
        ))
        .unwrap();
        w.sql("ALTER TABLE employee ADD COLUMN extra int; ALTER TABLE employee RENAME title TO job");
        passes(&mut w.admin, "SELECT extra, job FROM staff");
        let error = refused(
            &mut w.admin,
            &format!("SELECT docperm.create_readable_view('Employee', '{clerk}.swapped')"),
        );
        assert_eq!(error.sqlstate, "42P07", "{error:?}");
    }
}

#[test]
fn who_may_make_one() {
    let (mut w, clerk, _) = world();
    w.rule("DocType", "Clerk", "{read}");
    w.sql(&format!(
        "GRANT EXECUTE ON FUNCTION docperm.create_readable_view(text, text) TO {clerk}; GRANT SELECT ON docperm.doctypes TO {clerk}"
    ));
    let make = "SELECT docperm.create_readable_view('Employee', 'staff')";
    let error = refused(&mut w.db.connect_as(&clerk), make);
    assert_eq!(error.sqlstate, "42501");
    assert!(error.message.contains("may not make a readable view"), "{error:?}");
    for (sql, sqlstate) in [
        ("SELECT docperm.create_readable_view('Nothing', 'staff')", "42704"),
        ("SELECT docperm.create_readable_view(NULL, 'staff')", "22023"),
        ("SELECT docperm.create_readable_view('Employee', '')", "22023"),
        ("SELECT docperm.create_readable_view('Employee', 'a.b.c')", "22023"),
        ("SELECT docperm.create_readable_view('Employee', 'company')", "42P07"),
        ("SELECT docperm.create_readable_view('Employee', 'nowhere.staff')", "3F000"),
    ] {
        assert_eq!(refused_with(&mut w.admin, sql), sqlstate, "{sql}");
    }
    w.sql("CREATE SCHEMA reports; SELECT docperm.create_readable_view('Employee', 'reports.\"All Staff\"')");
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM reports.\"All Staff\""), "0");
    // It grants nobody anything.
    assert_eq!(refused_with(&mut w.db.connect_as(&clerk), "SELECT * FROM reports.\"All Staff\""), "42501");
    // The internal functions answer nobody.
    w.sql("GRANT EXECUTE ON FUNCTION docperm._readable(anyelement), docperm._is_readable(record) TO PUBLIC");
    let mut c = w.db.connect_as(&clerk);
    for sql in ["SELECT docperm._readable(1)", "SELECT docperm._is_readable(ROW(1))"] {
        assert_eq!(refused_with(&mut c, sql), "0A000", "{sql}");
    }
}

#[test]
fn a_child_tables_view_follows_the_parents_levels() {
    let (mut w, clerk, hr) = world();
    w.sql(
        "CREATE TABLE bonus (name text PRIMARY KEY, parent text REFERENCES employee ON DELETE CASCADE, amount int);
         INSERT INTO bonus VALUES ('B1', 'E1', 991), ('B3', 'E3', 993);
         SELECT docperm.protect('bonus', 'Bonus', parent_doctype => 'Employee', parent_column => 'parent');
         SELECT docperm.set_field('Bonus', 'amount', permlevel => 1);
         SELECT docperm.create_readable_view('Bonus', 'bonuses');",
    );
    w.sql(&format!("GRANT SELECT ON bonuses TO {clerk}, {hr}"));
    w.allow(CLERK, "Company", "A");
    assert_eq!(texts(&mut w.db.connect_as(&clerk), "SELECT * FROM bonuses"), ["B1|E1|NULL"]);
    let mut c = w.db.connect_as(&clerk);
    c.batch_execute("SELECT docperm.whoami()").unwrap();
    assert_eq!(texts(&mut c, "SELECT * FROM bonuses"), ["B1|E1|NULL"]);
    assert_eq!(one(&mut w.db.connect_as(&hr), "SELECT sum(amount) FROM bonuses"), "1984");
}

#[test]
fn it_survives_a_dump() {
    let (w, clerk, _) = viewed(None);
    let dump = run_program("pg_dump", "postgres", w.db.name(), &[]).unwrap();
    let copy = server().empty_database();
    let path = std::env::temp_dir().join(format!("docperm-dump-{}.sql", copy.name()));
    std::fs::write(&path, dump).unwrap();
    let arguments = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", path.to_str().unwrap()];
    let done = run_program("psql", "postgres", copy.name(), &arguments);
    std::fs::remove_file(&path).unwrap();
    done.unwrap();
    let mut c = copy.connect_as(&clerk);
    assert_eq!(
        table(&mut c, "SELECT name, salary FROM staff ORDER BY name").concat(),
        ["E1", "NULL", "E2", "NULL", "E3", "NULL"]
    );
    let mut admin = copy.admin();
    admin.batch_execute("ALTER TABLE employee ADD COLUMN added int").unwrap();
    passes(&mut c, "SELECT added FROM staff");
    assert_eq!(refused_with(&mut admin, "INSERT INTO staff (name) VALUES ('x')"), "55000");
}
