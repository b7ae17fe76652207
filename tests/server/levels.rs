//! Permission levels: which columns a statement may touch, and how a statement comes to know.

use crate::support::{
    World, attempt, names, one, refused, refused_with, run as run_program, set_user, table, texts,
};
use docperm_testkit::ServerError;
use postgres::Client;

pub const CLERK: &str = "clerk@erp.test";
pub const HR: &str = "hr@erp.test";

/// Employees, whose salary is of level 1 and whose grade is of level 2. The clerk's rules are of level 0; HR has all levels.
/// Both have database roles of their own, which may do with the tables what PostgreSQL lets them.
pub fn world() -> (World, String, String) {
    let mut w = World::new(
        "CREATE TABLE company (name text PRIMARY KEY);
         CREATE TABLE employee (
             gone   text,
             name   text PRIMARY KEY,
             title  text,
             company text REFERENCES company,
             salary numeric(12,2) DEFAULT 1000,
             grade  int UNIQUE,
             notes  text NOT NULL DEFAULT '',
             rate   numeric GENERATED ALWAYS AS (salary / 12) STORED,
             CONSTRAINT paid CHECK (salary > 0)
         );
         ALTER TABLE employee DROP COLUMN gone;
         CREATE INDEX ON employee (title);
         CREATE INDEX ON employee ((salary * 2));
         CREATE STATISTICS pay ON salary, grade FROM employee;
         INSERT INTO company VALUES ('A'), ('B');
         INSERT INTO employee (name, title, company, salary, grade)
              VALUES ('E1', 'Cook', 'A', 7771, 71), ('E2', 'Baker', 'A', 7772, 72), ('E3', 'Cook', 'B', 7773, 73);
         SELECT docperm.protect('company', 'Company'), docperm.protect('employee', 'Employee');
         SELECT docperm.set_field('Employee', 'salary', permlevel => 1), docperm.set_field('Employee', 'grade', permlevel => 2);
         ANALYZE;",
    );
    w.user(CLERK, &["Clerk"]);
    w.user(HR, &["HR"]);
    w.rule("Company", "Clerk", "{read}");
    for role in ["Clerk", "HR"] {
        w.rule("Employee", role, "{read,write,create,delete}");
    }
    level(&mut w, "Employee", "HR", 1, "{read,write}");
    level(&mut w, "Employee", "HR", 2, "{read,write}");
    let (clerk, hr) = (role_of(&mut w, CLERK, "clerk"), role_of(&mut w, HR, "hr"));
    (w, clerk, hr)
}

/// A rule of a level above 0.
pub fn level(w: &mut World, doctype: &str, role: &str, level: i16, rights: &str) {
    w.sql(&format!(
        "INSERT INTO docperm.role_permissions (doctype, role, permlevel, rights) VALUES ('{doctype}', '{role}', {level}, '{rights}')"
    ));
}

/// A database role that acts as the user, and has every privilege on the tables but those of owners.
pub fn role_of(w: &mut World, user: &str, hint: &str) -> String {
    let role = w.db.login_role(hint);
    w.sql(&format!(
        "UPDATE docperm.users SET db_role = '{role}' WHERE name = '{user}';
         CREATE SCHEMA {role} AUTHORIZATION {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};
         GRANT TEMPORARY ON DATABASE {} TO {role};",
        w.db.name()
    ));
    role
}

/// The refusal to touch a column because of its level.
pub fn closed_message(error: &ServerError) -> bool {
    error.sqlstate == "42501"
        && error.message.starts_with("user \"clerk@erp.test\" may not ")
        && error.message.contains(", which has level ")
}

/// Refused because of that column.
#[track_caller]
pub fn closed(c: &mut Client, sql: &str, column: &str) {
    let error = refused(c, sql);
    assert_eq!(error.sqlstate, "42501", "{sql}\n{error:?}");
    assert!(error.message.contains(&format!("column \"{column}\" of")), "{sql}\n{error:?}");
}

#[track_caller]
pub fn passes(c: &mut Client, sql: &str) {
    if let Err(error) = attempt(c, sql) {
        panic!("{sql}\n{error:?}");
    }
}

#[test]
fn a_refusal_names_the_column_its_level_the_doctype_and_what_to_do() {
    let (w, clerk, _) = world();
    let mut c = w.db.connect_as(&clerk);
    let error = refused(&mut c, "SELECT salary FROM employee");
    assert_eq!(error.sqlstate, "42501");
    assert_eq!(
        error.message,
        "user \"clerk@erp.test\" may not read column \"salary\" of Employee, which has level 1"
    );
    assert_eq!(
        error.detail.unwrap(),
        "No rule of Employee grants read on level 1 to a role of clerk@erp.test."
    );
    assert!(error.hint.unwrap().contains("create_readable_view"));
    let error = refused(&mut c, "UPDATE employee SET grade = 1");
    assert_eq!(
        error.message,
        "user \"clerk@erp.test\" may not write column \"grade\" of Employee, which has level 2"
    );
    let error = refused(&mut c, "SELECT rate FROM employee");
    assert_eq!(
        error.message,
        "user \"clerk@erp.test\" may not read column \"rate\" of Employee, which has level 1"
    );
    assert!(error.detail.unwrap().starts_with("rate is made of salary, which is of level 1."));
}

#[test]
fn permitted_columns_and_counts_go_on_working() {
    let (w, clerk, hr) = world();
    let mut c = w.db.connect_as(&clerk);
    assert_eq!(one(&mut c, "SELECT count(*) FROM employee"), "3");
    assert_eq!(
        names(&mut c, "SELECT name FROM employee WHERE title = 'Cook' ORDER BY company"),
        ["E1", "E3"]
    );
    assert_eq!(
        one(
            &mut c,
            "SELECT string_agg(DISTINCT title, ',') FROM employee NATURAL JOIN (VALUES ('A'), ('B')) v (company)"
        ),
        "Baker,Cook"
    );
    assert_eq!(
        one(
            &mut c,
            "SELECT count(*) FROM employee WHERE EXISTS (SELECT FROM employee x WHERE x.name > employee.name)"
        ),
        "2"
    );
    assert_eq!(texts(&mut c, "SELECT tableoid::regclass, name FROM employee WHERE ctid IS NOT NULL AND xmin IS NOT NULL LIMIT 1").len(), 1);
    passes(&mut c, "INSERT INTO employee (name) VALUES ('E4')");
    passes(&mut c, "UPDATE employee SET title = 'Chef' WHERE name = 'E4' RETURNING title");
    passes(
        &mut c,
        "INSERT INTO employee (name, title) VALUES ('E4', 'Cook') ON CONFLICT (name) DO UPDATE SET title = excluded.title",
    );
    passes(
        &mut c,
        "MERGE INTO employee e USING (VALUES ('E4')) v (name) ON e.name = v.name WHEN MATCHED THEN UPDATE SET title = 'X' WHEN NOT MATCHED THEN INSERT (name) VALUES (v.name)",
    );
    passes(&mut c, "SELECT name FROM employee WHERE name = 'E4' FOR UPDATE");
    assert!(c.copy_out("COPY employee (name, title) TO STDOUT").is_ok());
    passes(&mut c, "DELETE FROM employee WHERE name = 'E4'");
    let mut hr = w.db.connect_as(&hr);
    assert_eq!(one(&mut hr, "SELECT sum(salary) FROM employee"), "23316.00");
    passes(&mut hr, "SELECT * FROM employee");
    passes(&mut hr, "UPDATE employee SET salary = 1, grade = 5 WHERE name = 'E1'");
}

#[test]
fn a_column_is_written_by_whom_its_level_is_open_to() {
    let (mut w, clerk, _) = world();
    let mut c = w.db.connect_as(&clerk);
    for sql in [
        "INSERT INTO employee (name, salary) VALUES ('N', 5)",
        "INSERT INTO employee VALUES ('N', 't', NULL, 5)",
        "INSERT INTO employee (name, salary) SELECT 'N', 5",
        "INSERT INTO employee (name, salary) VALUES ('N', DEFAULT), ('O', 5)",
        "INSERT INTO employee (name, salary) VALUES ('N', NULL)",
        "UPDATE employee SET salary = 5",
        "UPDATE employee SET salary = DEFAULT",
        "UPDATE employee SET (title, salary) = ('x', 5)",
        "UPDATE employee SET salary = salary",
        "INSERT INTO employee (name) VALUES ('E1') ON CONFLICT (name) DO UPDATE SET salary = 5",
        "MERGE INTO employee e USING (VALUES ('E1')) v (name) ON e.name = v.name WHEN MATCHED THEN UPDATE SET salary = 5",
        "MERGE INTO employee e USING (VALUES ('N')) v (name) ON e.name = v.name WHEN NOT MATCHED THEN INSERT (name, salary) VALUES (v.name, 5)",
        "WITH x AS (UPDATE employee SET salary = 5 RETURNING name) SELECT count(*) FROM x",
        "WITH x AS (INSERT INTO employee (name, salary) VALUES ('N', 5)) SELECT 1",
    ] {
        closed(&mut c, sql, "salary");
    }
    for sql in [
        "INSERT INTO employee (name, salary, grade) VALUES ('N1', DEFAULT, DEFAULT)",
        "INSERT INTO employee (name, salary) VALUES ('N2', DEFAULT), ('N3', DEFAULT)",
        "INSERT INTO employee (name, grade) VALUES ('N4', NULL)",
        "INSERT INTO employee DEFAULT VALUES ON CONFLICT DO NOTHING",
        "MERGE INTO employee e USING (VALUES ('N5')) v (name) ON e.name = v.name WHEN NOT MATCHED THEN INSERT (name, salary) VALUES (v.name, DEFAULT)",
    ] {
        // The one without a name fails for that reason.
        if let Err(error) = attempt(&mut c, sql) {
            assert_eq!(error.sqlstate, "23502", "{sql}\n{error:?}");
        }
    }
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM employee WHERE salary = 1000"), "5");
    // Levels to read and to write are apart.
    level(&mut w, "Employee", "Clerk", 1, "{read}");
    closed(&mut c, "UPDATE employee SET salary = 5", "salary");
    assert_eq!(one(&mut c, "SELECT max(salary) FROM employee"), "7773.00");
    w.sql("UPDATE docperm.role_permissions SET rights = '{write}' WHERE role = 'Clerk' AND permlevel = 1");
    closed(&mut c, "UPDATE employee SET salary = 5 RETURNING salary", "salary");
    closed(&mut c, "UPDATE employee SET salary = salary + 5", "salary");
    passes(&mut c, "UPDATE employee SET salary = 5 WHERE name = 'N1'");
    // PostgreSQL itself refuses it to everybody who is filtered.
    let error = refused(&mut c, "COPY employee (name, salary) FROM STDIN");
    assert!(error.message.contains("COPY FROM not supported"), "{error:?}");
}

#[test]
fn a_level_that_opens_or_closes_makes_plans_anew() {
    let (mut w, clerk, _) = world();
    let mut c = w.db.connect_as(&clerk);
    c.batch_execute(
        "SET plan_cache_mode = force_generic_plan; PREPARE p AS SELECT salary FROM employee WHERE name = $1",
    )
    .unwrap();
    let statement = c.prepare("SELECT salary::text FROM employee WHERE name = 'E1'").unwrap();
    let opened = "7771.00";
    let open = |c: &mut Client| {
        assert_eq!(one(c, "EXECUTE p ('E1')"), opened);
        assert_eq!(c.query_one(&statement, &[]).unwrap().get::<_, String>(0), opened);
    };
    let shut = |c: &mut Client| {
        closed(c, "EXECUTE p ('E1')", "salary");
        let error = c.query(&statement, &[]).unwrap_err();
        assert_eq!(error.as_db_error().unwrap().code().code(), "42501");
    };
    shut(&mut c);
    let changes = [
        (
            "INSERT INTO docperm.role_permissions (doctype, role, permlevel, rights) VALUES ('Employee', 'Clerk', 1, '{read}')",
            "DELETE FROM docperm.role_permissions WHERE doctype = 'Employee' AND role = 'Clerk' AND permlevel = 1",
        ),
        (
            "SELECT docperm.set_field('Employee', 'salary', permlevel => 0)",
            "SELECT docperm.set_field('Employee', 'salary', permlevel => 1)",
        ),
        (
            "INSERT INTO docperm.user_roles (user_name, role) VALUES ('clerk@erp.test', 'HR')",
            "DELETE FROM docperm.user_roles WHERE user_name = 'clerk@erp.test' AND role = 'HR'",
        ),
    ];
    for (opens, closes) in changes {
        w.sql(opens);
        open(&mut c);
        w.sql(&format!("BEGIN; {closes}; ROLLBACK"));
        open(&mut c);
        w.sql(closes);
        shut(&mut c);
    }
    // Within a transaction that has run it already.
    w.sql(changes[0].0);
    c.batch_execute("BEGIN").unwrap();
    open(&mut c);
    w.sql(changes[0].1);
    closed(&mut c, "EXECUTE p ('E1')", "salary");
    c.batch_execute("ROLLBACK").unwrap();
    // And from one user to another.
    let mut app = w.acting(HR);
    app.batch_execute("SET plan_cache_mode = force_generic_plan; PREPARE p AS SELECT salary FROM employee WHERE name = 'E1'").unwrap();
    assert_eq!(one(&mut app, "EXECUTE p"), opened);
    set_user(&mut app, CLERK);
    closed(&mut app, "EXECUTE p", "salary");
    set_user(&mut app, HR);
    assert_eq!(one(&mut app, "EXECUTE p"), opened);
}

#[test]
fn the_first_statement_of_a_session_is_checked_as_well() {
    let (w, clerk, _) = world();
    for sql in [
        "SELECT salary FROM employee",
        "SELECT name FROM employee e WHERE row_to_json(e) IS NOT NULL",
        "INSERT INTO employee (name, salary) VALUES ('N', 5)",
        "UPDATE employee SET salary = 5 WHERE name = 'E1'",
        "DELETE FROM employee WHERE salary > 0",
        "SELECT 1 FROM company c, LATERAL (SELECT salary FROM employee e WHERE e.company = c.name) s",
    ] {
        closed(&mut w.db.connect_as(&clerk), sql, "salary");
    }
    let mut c = w.db.connect_as(&clerk);
    passes(&mut c, "INSERT INTO employee (name, salary) VALUES ('N', DEFAULT), ('O', DEFAULT)");
}

#[test]
fn the_administrator_and_who_is_not_filtered_see_all() {
    let (mut w, _, _) = world();
    passes(&mut w.acting("Administrator"), "SELECT * FROM employee");
    passes(&mut w.admin, "SELECT * FROM employee; UPDATE employee SET salary = 5 WHERE name = 'E1'");
    // A superuser who acts for somebody is not filtered, so no column is hidden either.
    let mut c = w.db.admin();
    set_user(&mut c, CLERK);
    passes(&mut c, "SELECT * FROM employee");
    passes(&mut c, "SELECT * FROM employee e WHERE docperm.permits(e.*, 'Employee', 'read')");
}

#[test]
fn a_link_above_the_users_level_restricts_him_all_the_same() {
    let (mut w, clerk, _) = world();
    w.sql("SELECT docperm.set_field('Employee', 'company', permlevel => 3)");
    w.allow(CLERK, "Company", "A");
    let mut c = w.db.connect_as(&clerk);
    assert_eq!(names(&mut c, "SELECT name FROM employee"), ["E1", "E2"]);
    closed(&mut c, "SELECT company FROM employee", "company");
    closed(&mut c, "SELECT 1 FROM employee NATURAL JOIN (VALUES ('A')) v (company)", "company");
    passes(&mut c, "UPDATE employee SET title = 'x'");
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM employee WHERE title = 'x'"), "2");
}

#[test]
fn views_ask_for_every_column_that_they_name() {
    let (mut w, clerk, hr) = world();
    w.sql(
        "CREATE VIEW narrow AS SELECT name, title FROM employee;
         CREATE VIEW wide WITH (security_invoker = true) AS SELECT * FROM employee;
         CREATE ROLE view_owner; GRANT SELECT ON employee TO view_owner;
         CREATE VIEW owned AS SELECT name, salary FROM employee; ALTER VIEW owned OWNER TO view_owner;",
    );
    w.sql(&format!("GRANT SELECT ON narrow, wide, owned TO {clerk}, {hr}"));
    let mut c = w.db.connect_as(&clerk);
    // Of a superuser: as without docperm, it shows everything that it names.
    assert_eq!(one(&mut c, "SELECT count(title) FROM narrow"), "3");
    closed(&mut c, "SELECT name FROM wide", "salary");
    closed(&mut c, "SELECT salary FROM owned", "salary");
    closed(&mut c, "SELECT name FROM owned", "salary");
    let mut hr = w.db.connect_as(&hr);
    assert_eq!(one(&mut hr, "SELECT max(salary) FROM owned"), "7773.00");
    passes(&mut hr, "SELECT * FROM wide");
    w.sql("DROP VIEW owned; DROP OWNED BY view_owner; DROP ROLE view_owner");
}

#[test]
fn in_a_view_columns_are_closed_where_its_owners_rows_are_filtered() {
    let (mut w, clerk, _) = world();
    w.sql(&format!(
        "CREATE VIEW everything AS SELECT name, salary FROM employee; GRANT SELECT ON everything TO {clerk}"
    ));
    let mut c = w.db.connect_as(&clerk);
    c.batch_execute(&format!(
        "CREATE VIEW {clerk}.own AS SELECT name, salary FROM public.employee;
         CREATE VIEW {clerk}.narrow AS SELECT name FROM public.employee"
    ))
    .unwrap();
    let mut admin = w.db.admin();
    set_user(&mut admin, CLERK);
    for _ in 0..2 {
        assert_eq!(one(&mut c, "SELECT max(salary) FROM everything"), "7773.00");
        closed(&mut admin, &format!("SELECT salary FROM {clerk}.own"), "salary");
        passes(&mut admin, &format!("SELECT name FROM {clerk}.narrow"));
    }
}

#[test]
fn a_partition_is_read_by_the_levels_of_its_doctype_whatever_its_columns_numbers_are() {
    let mut w = World::new(
        "CREATE TABLE log (name text, day date, secret text, note text, PRIMARY KEY (name, day)) PARTITION BY RANGE (day);
         CREATE TABLE old (note text, gone int, secret text, day date NOT NULL, name text NOT NULL);
         ALTER TABLE old DROP COLUMN gone;
         ALTER TABLE log ATTACH PARTITION old FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
         CREATE TABLE new PARTITION OF log FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
         INSERT INTO log VALUES ('a', '2020-02-02', 's1', 'n1'), ('b', '2021-02-02', 's2', 'n2');
         SELECT docperm.protect('log', 'Log', name_column => 'name');
         SELECT docperm.set_field('Log', 'secret', permlevel => 1);",
    );
    w.user(CLERK, &["Clerk"]);
    w.rule("Log", "Clerk", "{read,write,create}");
    let clerk = role_of(&mut w, CLERK, "clerk");
    let mut c = w.db.connect_as(&clerk);
    for relation in ["log", "old", "new", "ONLY old"] {
        closed(&mut c, &format!("SELECT secret FROM {relation}"), "secret");
        closed(&mut c, &format!("SELECT x FROM {relation} x"), "secret");
        closed(&mut c, &format!("UPDATE {relation} SET secret = 'x'"), "secret");
        passes(&mut c, &format!("SELECT name, day, note FROM {relation}"));
        passes(&mut c, &format!("UPDATE {relation} SET note = 'x' RETURNING note"));
    }
    passes(&mut c, "INSERT INTO log (name, day) VALUES ('c', '2021-03-03')");
    closed(&mut c, "INSERT INTO old (name, day, secret) VALUES ('d', '2020-03-03', 'x')", "secret");
}

#[test]
fn rows_of_a_child_table_follow_the_rules_of_their_parents_doctype() {
    let (mut w, clerk, hr) = world();
    w.sql(
        "CREATE TABLE bonus (name text PRIMARY KEY, parent text REFERENCES employee ON DELETE CASCADE, reason text, amount int);
         INSERT INTO bonus VALUES ('B1', 'E1', 'late', 991);
         SELECT docperm.protect('bonus', 'Bonus', parent_doctype => 'Employee', parent_column => 'parent');
         SELECT docperm.set_field('Bonus', 'amount', permlevel => 1);",
    );
    w.sql(&format!("GRANT ALL ON bonus TO {clerk}, {hr}"));
    let mut c = w.db.connect_as(&clerk);
    assert_eq!(texts(&mut c, "SELECT name, reason FROM bonus"), ["B1|late"]);
    closed(&mut c, "SELECT amount FROM bonus", "amount");
    closed(&mut c, "UPDATE bonus SET amount = 1", "amount");
    closed(
        &mut c,
        "SELECT e.name FROM employee e JOIN bonus b ON b.parent = e.name AND b.amount > 1",
        "amount",
    );
    let error = refused(&mut c, "SELECT amount FROM bonus");
    assert_eq!(
        error.detail.unwrap(),
        "No rule of Employee grants read on level 1 to a role of clerk@erp.test."
    );
    let mut hr = w.db.connect_as(&hr);
    assert_eq!(one(&mut hr, "SELECT amount FROM bonus"), "991");
    passes(&mut hr, "UPDATE bonus SET amount = 2");
}

#[test]
fn a_column_that_was_renamed_does_not_open() {
    let (mut w, clerk, _) = world();
    let mut c = w.db.connect_as(&clerk);
    passes(&mut c, "SELECT name FROM employee");
    w.sql("ALTER TABLE employee RENAME COLUMN salary TO pay");
    assert_eq!(refused_with(&mut c, "SELECT pay FROM employee"), "42703");
    assert_eq!(refused_with(&mut c, "SELECT name FROM employee"), "42703");
    w.sql("UPDATE docperm.doctype_fields SET column_name = 'pay' WHERE column_name = 'salary'");
    closed(&mut c, "SELECT pay FROM employee", "pay");
    passes(&mut c, "SELECT name FROM employee");
}

#[test]
fn what_docperm_tells_itself_has_no_closed_column_in_it() {
    let (mut w, clerk, hr) = world();
    w.sql(
        "ALTER TABLE employee ADD label text; UPDATE employee SET label = 'label ' || name;
         SELECT docperm.protect('employee', 'Employee', title_column => 'label');
         SELECT docperm.set_field('Employee', 'label', permlevel => 1), docperm.set_field('Employee', 'company', permlevel => 2);",
    );
    w.allow(CLERK, "Company", "A");
    w.allow(HR, "Company", "A");
    let (mut c, mut h) = (w.db.connect_as(&clerk), w.db.connect_as(&hr));
    let options = "SELECT name, title FROM docperm.link_options('Employee')";
    assert_eq!(texts(&mut c, options), ["E1|NULL", "E2|NULL"]);
    assert_eq!(texts(&mut h, options), ["E1|label E1", "E2|label E2"]);
    let search = "SELECT name FROM docperm.link_options('Employee', search => 'label')";
    assert!(texts(&mut c, search).is_empty(), "a title that may not be read cannot be searched for");
    assert_eq!(texts(&mut h, search).len(), 2);
    let told = |c: &mut Client| {
        table(c, "SELECT rule, verdict, detail FROM docperm.explain_access('Employee', 'E1')")
            .concat()
            .join(" ")
    };
    let clerks = told(&mut c);
    assert!(!clerks.contains("company is A"), "{clerks}");
    assert!(
        clerks.contains(
            "may read none, but not company (level 2), grade (level 2), label (level 1), salary (level 1)"
        ),
        "{clerks}"
    );
    let hrs = told(&mut h);
    assert!(
        hrs.contains("company is A")
            && hrs.contains("hr@erp.test may read every column, also company (level 2)"),
        "{hrs}"
    );
    // Asked about somebody else, the levels of who asks count.
    w.sql("INSERT INTO docperm.user_roles (user_name, role) VALUES ('clerk@erp.test', 'System Manager')");
    let about = texts(
        &mut c,
        "SELECT detail FROM docperm.explain_access('Employee', 'E1', user_name => 'hr@erp.test')",
    )
    .concat();
    assert!(!about.contains("company is A"), "{about}");
    // The column that names documents.
    w.sql("SELECT docperm.set_field('Employee', 'name', permlevel => 1)");
    for sql in [
        "SELECT * FROM docperm.link_options('Employee')",
        "SELECT * FROM docperm.permitted_documents('Employee')",
    ] {
        assert_eq!(refused_with(&mut c, sql), "42501", "{sql}");
        passes(&mut h, sql);
    }
}

#[test]
fn errors_of_constraints_show_no_row() {
    let (w, clerk, hr) = world();
    let mut c = w.db.connect_as(&clerk);
    for sql in [
        "UPDATE employee SET notes = NULL WHERE name = 'E1'",
        "INSERT INTO employee (name, notes) VALUES ('N', NULL)",
        "INSERT INTO employee (name) VALUES ('E1')",
        "UPDATE employee SET company = 'none' WHERE name = 'E1'",
        "UPDATE employee SET name = 'E2' WHERE name = 'E1'",
    ] {
        let error = refused(&mut c, sql);
        let told = format!("{error:?}");
        assert!(
            error.sqlstate.starts_with("23") && !told.contains("777") && !told.contains("1000"),
            "{sql}\n{told}"
        );
    }
    // Not even of columns that are open.
    let error = refused(&mut w.db.connect_as(&hr), "UPDATE employee SET salary = -7 WHERE name = 'E1'");
    assert_eq!((error.sqlstate.as_str(), error.detail), ("23514", None));
}

#[test]
fn statistics_tell_nothing() {
    let (w, clerk, _) = world();
    let mut c = w.db.connect_as(&clerk);
    for view in ["pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"] {
        assert_eq!(
            one(&mut c, &format!("SELECT count(*) FROM pg_catalog.{view} WHERE tablename = 'employee'")),
            "0",
            "{view}"
        );
    }
    assert_eq!(refused_with(&mut c, "SELECT * FROM pg_catalog.pg_statistic"), "42501");
    assert_eq!(refused_with(&mut c, "SELECT * FROM pg_catalog.pg_statistic_ext_data"), "42501");
}

#[test]
fn a_dump_of_the_clerk_is_refused() {
    let (w, clerk, _) = world();
    let error = run_program(
        "pg_dump",
        &clerk,
        w.db.name(),
        &["--enable-row-security", "-t", "employee", "--data-only"],
    );
    assert!(error.unwrap_err().contains("may not read column"));
}

#[test]
fn with_reset_a_closed_column_keeps_what_is_stored_or_gets_its_default() {
    let (mut w, clerk, hr) = world();
    w.sql("UPDATE docperm.settings SET field_level_write = 'reset'; CREATE SEQUENCE s; ALTER TABLE employee ADD turn int DEFAULT nextval('s');
           SELECT docperm.set_field('Employee', 'turn', permlevel => 1); GRANT USAGE ON SEQUENCE s TO PUBLIC");
    let stored = |admin: &mut Client, name: &str| {
        one(
            admin,
            &format!("SELECT concat_ws('|', title, salary, grade) FROM employee WHERE name = '{name}'"),
        )
    };
    // On a connection that knows docperm, and on one whose first statement it is.
    for warm in [true, false] {
        let run = |sql: &str| {
            let mut c = w.db.connect_as(&clerk);
            if warm {
                passes(&mut c, "SELECT docperm.whoami()");
            }
            passes(&mut c, sql);
        };
        for (sql, name, expected) in [
            (
                "UPDATE employee SET title = 'T1', salary = 5, grade = 5 WHERE name = 'E1'",
                "E1",
                "T1|7771.00|71",
            ),
            ("UPDATE employee SET salary = 5", "E2", "Baker|7772.00|72"),
            (
                "UPDATE employee SET (title, salary) = (SELECT 'T2', 5) WHERE name = 'E2'",
                "E2",
                "T2|7772.00|72",
            ),
            (
                "UPDATE employee e SET salary = 5, title = c.name FROM company c WHERE e.name = 'E3' AND c.name = 'A'",
                "E3",
                "A|7773.00|73",
            ),
            ("INSERT INTO employee (name, title, salary, grade) VALUES ('N1', 't', 5, 5)", "N1", "t|1000.00"),
            ("INSERT INTO employee (name, salary) VALUES ('N2', 5), ('N3', DEFAULT)", "N2", "1000.00"),
            ("INSERT INTO employee (name, salary, grade) SELECT 'N4', 5, 5", "N4", "1000.00"),
            (
                "INSERT INTO employee (name) VALUES ('E1') ON CONFLICT (name) DO UPDATE SET title = 'T4', salary = 5",
                "E1",
                "T4|7771.00|71",
            ),
            (
                "MERGE INTO employee e USING (VALUES ('E1'), ('N5')) v (name) ON e.name = v.name
                  WHEN MATCHED THEN UPDATE SET title = 'T5', salary = 5
                  WHEN NOT MATCHED THEN INSERT (name, salary, grade) VALUES (v.name, 5, 5)",
                "N5",
                "1000.00",
            ),
        ] {
            run(sql);
            assert_eq!(stored(&mut w.admin, name), expected, "{sql}");
        }
        assert_eq!(stored(&mut w.admin, "E1"), "T5|7771.00|71");
        // A default is taken once.
        assert_eq!(one(&mut w.admin, "SELECT setval('s', 100)"), "100");
        let mut c = w.db.connect_as(&clerk);
        passes(&mut c, "INSERT INTO employee (name, turn) VALUES ('N6', 7), ('N7', 8)");
        assert_eq!(
            one(
                &mut w.admin,
                "SELECT string_agg(turn::text, ',' ORDER BY turn) FROM employee WHERE name IN ('N6', 'N7')"
            ),
            "101,102"
        );
        // Reading is refused all the same, and who has the level writes.
        closed(&mut c, "UPDATE employee SET salary = salary + 5", "salary");
        passes(&mut w.db.connect_as(&hr), "UPDATE employee SET salary = 8000 WHERE name = 'N1'");
        assert_eq!(stored(&mut w.admin, "N1"), "t|8000.00");
        w.sql("DELETE FROM employee WHERE name LIKE 'N%'; UPDATE employee SET title = CASE name WHEN 'E2' THEN 'Baker' ELSE 'Cook' END");
    }
    // A prepared statement follows the setting.
    let mut c = w.db.connect_as(&clerk);
    c.batch_execute("SET plan_cache_mode = force_generic_plan; PREPARE p AS UPDATE employee SET salary = 5, title = 'x' WHERE name = 'E1'").unwrap();
    passes(&mut c, "EXECUTE p");
    w.sql("UPDATE docperm.settings SET field_level_write = 'refuse'");
    closed(&mut c, "EXECUTE p", "salary");
    w.sql("UPDATE docperm.settings SET field_level_write = 'reset'");
    passes(&mut c, "EXECUTE p");
    assert_eq!(stored(&mut w.admin, "E1"), "x|7771.00|71");
}

#[test]
fn with_reset_rows_of_child_tables_and_partitions_keep_their_columns_too() {
    let (mut w, clerk, _) = world();
    w.sql(
        "UPDATE docperm.settings SET field_level_write = 'reset';
         CREATE TABLE bonus (name text, parent text REFERENCES employee ON DELETE CASCADE, year int, reason text, amount int DEFAULT 10,
                             PRIMARY KEY (name, year)) PARTITION BY RANGE (year);
         CREATE TABLE bonus_1 (amount int DEFAULT 11, gone int, year int NOT NULL, reason text, parent text, name text NOT NULL);
         ALTER TABLE bonus_1 DROP COLUMN gone;
         ALTER TABLE bonus ATTACH PARTITION bonus_1 FOR VALUES FROM (2000) TO (2010);
         CREATE TABLE bonus_2 PARTITION OF bonus FOR VALUES FROM (2010) TO (2020);
         INSERT INTO bonus VALUES ('B1', 'E1', 2005, 'late', 991);
         SELECT docperm.protect('bonus', 'Bonus', name_column => 'name', parent_doctype => 'Employee', parent_column => 'parent');
         SELECT docperm.set_field('Bonus', 'amount', permlevel => 1);",
    );
    w.sql(&format!("GRANT ALL ON bonus, bonus_1, bonus_2 TO {clerk}"));
    let mut c = w.db.connect_as(&clerk);
    passes(&mut c, "UPDATE bonus SET reason = 'early', amount = 1");
    passes(&mut c, "UPDATE bonus_1 SET amount = 2");
    passes(&mut c, "INSERT INTO bonus VALUES ('B2', 'E1', 2006, 'x', 5), ('B3', 'E1', 2016, 'x', 5)");
    passes(&mut c, "INSERT INTO bonus_1 (name, parent, year, amount) VALUES ('B4', 'E1', 2007, 5)");
    passes(&mut c, "UPDATE bonus SET year = 2015, amount = 3 WHERE name = 'B1'");
    let stored =
        texts(&mut w.admin, "SELECT name, reason, amount, tableoid::regclass FROM bonus ORDER BY name");
    assert_eq!(stored, ["B1|early|991|bonus_2", "B2|x|10|bonus_1", "B3|x|10|bonus_2", "B4|NULL|11|bonus_1"]);
}

/// The defaults are in the statement like anything that it sets itself.
#[test]
fn a_closed_column_that_is_left_out_gets_its_default_whatever_that_is() {
    let (mut w, clerk, _) = world();
    w.sql(
        "CREATE DOMAIN code AS varchar(5) DEFAULT 'code' CHECK (VALUE <> '');
         CREATE FUNCTION five(n int DEFAULT 4) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n + 1';
         CREATE FUNCTION companies() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM public.company';
         CREATE TABLE odd (
             name text PRIMARY KEY,
             a int GENERATED ALWAYS AS IDENTITY,
             b int GENERATED BY DEFAULT AS IDENTITY,
             c bigserial,
             d uuid DEFAULT gen_random_uuid(),
             e timestamptz DEFAULT now() - interval '1 day',
             f name DEFAULT current_user,
             g code,
             h varchar(9) DEFAULT upper('x') || 'y',
             i int DEFAULT five(),
             j bigint DEFAULT companies(),
             k int[] DEFAULT ARRAY[1, five(1)],
             l numeric(4,1) DEFAULT 1.25 + 1,
             m date DEFAULT CURRENT_DATE,
             n text DEFAULT CASE WHEN five() > 4 THEN 'more' END,
             o int
         );
         SELECT docperm.protect('odd', 'Odd');
         SELECT docperm.set_field('Odd', c, permlevel => 1) FROM unnest('{a,b,c,d,e,f,g,h,i,j,k,l,m,n,o}'::text[]) c",
    );
    w.sql(&format!(
        "GRANT SELECT, INSERT, UPDATE ON odd TO {clerk}; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {clerk}"
    ));
    w.rule("Odd", "Clerk", "{read,write,create}");
    for mode in ["refuse", "reset"] {
        w.sql(&format!("UPDATE docperm.settings SET field_level_write = '{mode}'"));
        for insert in [
            "INSERT INTO odd (name) VALUES ('N')",
            "INSERT INTO odd (name) VALUES ('N'), ('M')",
            "INSERT INTO odd (name) SELECT 'N'",
            "INSERT INTO odd VALUES ('N', DEFAULT, DEFAULT, DEFAULT, DEFAULT, DEFAULT, DEFAULT, DEFAULT, DEFAULT, DEFAULT, DEFAULT, DEFAULT)",
            "INSERT INTO odd (name, g, i, o) VALUES ('N', DEFAULT, DEFAULT, DEFAULT), ('M', DEFAULT, DEFAULT, DEFAULT)",
            "INSERT INTO odd (name) VALUES ('N') ON CONFLICT (name) DO UPDATE SET name = 'O'",
            "MERGE INTO odd USING (VALUES ('N')) v (x) ON name = v.x WHEN NOT MATCHED THEN INSERT (name) VALUES (v.x)",
        ] {
            for first in [true, false] {
                let mut c = w.db.connect_as(&clerk);
                if !first {
                    passes(&mut c, "SELECT name FROM odd");
                }
                passes(&mut c, insert);
                let defaults = texts(&mut w.admin, "SELECT DISTINCT f, g, h, i, j, k, l, n, o FROM odd");
                assert_eq!(
                    defaults,
                    [format!("{clerk}|code|Xy|5|2|{{1,2}}|2.3|more|NULL")],
                    "{mode}: {insert}"
                );
                w.sql("TRUNCATE odd");
            }
        }
    }
}
