//! INVARIANT A: a plan made for one identity, or for permissions since changed, never returns a row to another
//! identity, or after the change has committed.

use crate::support::{
    World, attempt, explain, literal, names, one, refused_with, set_user, sorted, texts, within,
};
use docperm_testkit::{ServerError, db_error};
use postgres::{Client, Statement};

const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";
const NOBODY: [&str; 0] = [];

/// Documents 1 to 4 of the companies A to D; A-sub is below A and has document 5. Ann may read A's and all
/// below, Bob B's. The prober is the application's role and may administer docperm's tables, too.
fn world() -> World {
    let mut w = World::new(
        "CREATE TABLE company (name text PRIMARY KEY, parent text);
         CREATE TABLE doc (name text PRIMARY KEY, company text REFERENCES company, owner text);
         INSERT INTO company VALUES ('A', NULL), ('A-sub', 'A'), ('B', NULL), ('C', NULL), ('D', NULL);
         INSERT INTO doc VALUES ('1', 'A'), ('2', 'B'), ('3', 'C'), ('4', 'D'), ('5', 'A-sub'), ('6', NULL);
         SELECT docperm.protect('company', 'Company', tree_parent_column => 'parent');
         SELECT docperm.protect('doc', 'Doc', owner_column => 'owner');
         UPDATE docperm.settings SET strict_user_permissions = 'blank_links';
         INSERT INTO docperm.roles (name) VALUES ('Second'), ('Unused');",
    );
    w.user(ANN, &["Reader"]);
    w.user(BOB, &["Reader"]);
    w.rule("Doc", "Reader", "{read,write}");
    w.allow(ANN, "Company", "A");
    w.allow(BOB, "Company", "B");
    let (app, definer) = (w.app_role.clone(), w.db.login_role("definer"));
    w.sql(&format!(
        "GRANT SELECT ON doc, company TO PUBLIC;
         GRANT ALL ON ALL TABLES IN SCHEMA docperm TO {app};
         GRANT ALL ON ALL SEQUENCES IN SCHEMA docperm TO {app};
         GRANT EXECUTE ON FUNCTION docperm.set_user(text, boolean) TO {definer};
         CREATE FUNCTION by_superuser(statement text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN EXECUTE statement; END';
         CREATE FUNCTION static_sql() RETURNS SETOF text LANGUAGE plpgsql STABLE AS
             'BEGIN RETURN QUERY SELECT name FROM doc; END';
         CREATE FUNCTION looping() RETURNS SETOF text LANGUAGE plpgsql AS
             'DECLARE r record; BEGIN FOR r IN SELECT name FROM doc LOOP RETURN NEXT r.name; END LOOP; END';
         CREATE FUNCTION sql_function() RETURNS SETOF text LANGUAGE sql VOLATILE AS 'SELECT name FROM doc';
         CREATE FUNCTION definer_sql() RETURNS SETOF text LANGUAGE sql STABLE SECURITY DEFINER
             AS 'SELECT name FROM public.doc';
         CREATE FUNCTION definer_plpgsql() RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER AS
             'BEGIN RETURN QUERY SELECT name FROM public.doc; END';
         ALTER FUNCTION definer_sql() OWNER TO {definer};
         ALTER FUNCTION definer_plpgsql() OWNER TO {definer};"
    ));
    w
}

const FUNCTIONS: [&str; 5] = ["static_sql", "looping", "sql_function", "definer_sql", "definer_plpgsql"];

/// One connection with the same query prepared in every way that keeps a plan, all generic from the start.
struct Probe {
    client: Client,
    prepared: Statement,
    with_parameter: Statement,
}

impl Probe {
    fn over(mut client: Client) -> Probe {
        client
            .batch_execute(
                "SET plan_cache_mode = force_generic_plan;
                 PREPARE plain AS SELECT name FROM doc;
                 PREPARE joined AS SELECT d.name FROM doc d, LATERAL (SELECT FROM doc x WHERE x.name = d.name) j;",
            )
            .unwrap();
        let prepared = client.prepare("SELECT name FROM doc").unwrap();
        let with_parameter = client.prepare("SELECT name FROM doc WHERE name <> $1").unwrap();
        let mut probe = Probe { client, prepared, with_parameter };
        for form in 0..probe.forms() {
            // Every plan exists before anything changes.
            probe.ask(form).unwrap();
        }
        probe
    }

    fn acting(w: &World, user: &str) -> Probe {
        Probe::over(w.acting(user))
    }

    fn forms(&self) -> usize {
        5 + FUNCTIONS.len()
    }

    /// The documents seen through one of the forms.
    fn ask(&mut self, form: usize) -> Result<Vec<String>, ServerError> {
        let simple = match form {
            0 => "SELECT name FROM doc".to_owned(),
            1 => "EXECUTE plain".to_owned(),
            2 => "EXECUTE joined".to_owned(),
            3 => return self.extended(false),
            4 => return self.extended(true),
            _ => format!("SELECT {}()", FUNCTIONS[form - 5]),
        };
        let messages = attempt(&mut self.client, &simple)?;
        Ok(sorted(crate::support::rows_of(&messages).into_iter().map(|mut row| row.swap_remove(0)).collect()))
    }

    fn extended(&mut self, with_parameter: bool) -> Result<Vec<String>, ServerError> {
        let rows = if with_parameter {
            self.client.query(&self.with_parameter, &[&"none"])
        } else {
            self.client.query(&self.prepared, &[])
        };
        let rows = rows.map_err(|error| db_error(&error))?;
        Ok(sorted(rows.iter().map(|row| row.get(0)).collect()))
    }

    /// Every form answers with exactly these documents.
    #[track_caller]
    fn sees(&mut self, expected: &[&str]) {
        for form in 0..self.forms() {
            let answer = self.ask(form).unwrap_or_else(|refusal| panic!("form {form}: {refusal:?}"));
            assert_eq!(answer, expected, "form {form}");
        }
    }

    fn run(&mut self, sql: &str) {
        if let Err(refusal) = attempt(&mut self.client, sql) {
            panic!("{sql}\n{refusal:#?}");
        }
    }

    fn set_user(&mut self, user: &str) {
        set_user(&mut self.client, user);
    }

    fn set_user_local(&mut self, user: &str) {
        self.run(&format!("SELECT docperm.set_user({})", literal(user)));
    }
}

// Identity switches

#[test]
fn switching_the_user_switches_every_plan() {
    let w = world();
    let mut p = Probe::acting(&w, ANN);
    for _ in 0..3 {
        p.sees(&["1", "5"]);
        p.set_user(BOB);
        p.sees(&["2"]);
        p.set_user("Administrator");
        p.sees(&["1", "2", "3", "4", "5", "6"]);
        p.set_user("Guest");
        p.sees(&NOBODY);
        p.set_user(ANN);
    }
    p.run("SELECT docperm.set_user(NULL, false)");
    p.sees(&NOBODY);
}

#[test]
fn a_plan_that_sees_nothing_does_not_stick() {
    let w = world();
    let mut p = Probe::over(w.app());
    p.sees(&NOBODY);
    p.set_user(ANN);
    p.sees(&["1", "5"]);
}

#[test]
fn a_local_switch_ends_with_its_transaction() {
    let w = world();
    let mut p = Probe::acting(&w, ANN);
    for end in ["COMMIT", "ROLLBACK"] {
        p.run("BEGIN");
        p.sees(&["1", "5"]);
        p.set_user_local(BOB);
        p.sees(&["2"]);
        p.run(end);
        p.sees(&["1", "5"]);
    }
    p.set_user_local(BOB);
    p.sees(&["1", "5"]);
}

#[test]
fn a_session_switch_is_undone_with_its_transaction() {
    let w = world();
    let mut p = Probe::acting(&w, ANN);
    p.run("BEGIN");
    p.set_user(BOB);
    p.sees(&["2"]);
    p.run("ROLLBACK");
    p.sees(&["1", "5"]);
    p.run("BEGIN");
    p.set_user(BOB);
    p.run("COMMIT");
    p.sees(&["2"]);
}

#[test]
fn a_transaction_that_failed_takes_its_switch_with_it() {
    let w = world();
    let mut p = Probe::acting(&w, ANN);
    p.run("BEGIN");
    p.set_user(BOB);
    p.sees(&["2"]);
    assert_eq!(refused_with(&mut p.client, "SELECT 1 / 0"), "22012");
    p.run("ROLLBACK");
    p.sees(&["1", "5"]);
    let in_one = format!("SELECT docperm.set_user('{BOB}', false), 1 / 0");
    assert_eq!(refused_with(&mut p.client, &in_one), "22012");
    p.sees(&["1", "5"]);
}

#[test]
fn savepoints_undo_switches() {
    let w = world();
    let mut p = Probe::acting(&w, ANN);
    for local in ["true", "false"] {
        p.run(&format!("BEGIN; SAVEPOINT one; SELECT docperm.set_user('{BOB}', {local})"));
        p.sees(&["2"]);
        p.run(&format!("SAVEPOINT two; SELECT docperm.set_user('Administrator', {local})"));
        p.sees(&["1", "2", "3", "4", "5", "6"]);
        p.run("ROLLBACK TO two");
        p.sees(&["2"]);
        p.run("ROLLBACK TO one");
        p.sees(&["1", "5"]);
        p.run(&format!("SELECT docperm.set_user('{BOB}', {local}); RELEASE one"));
        p.sees(&["2"]);
        p.run("ROLLBACK");
        p.sees(&["1", "5"]);
    }
}

#[test]
fn exception_blocks_undo_switches() {
    let w = world();
    let mut p = Probe::acting(&w, ANN);
    for local in ["true", "false"] {
        p.run(&format!(
            "DO $$ BEGIN
                 PERFORM docperm.set_user('{BOB}', {local});
                 PERFORM count(*) FROM doc;
                 RAISE EXCEPTION 'undo';
             EXCEPTION WHEN raise_exception THEN
                 IF (SELECT string_agg(name, ' ' ORDER BY name) FROM doc) <> '1 5' THEN
                     RAISE EXCEPTION 'the switch outlived its block';
                 END IF;
             END $$"
        ));
        p.sees(&["1", "5"]);
    }
}

#[test]
fn reset_all_logs_out() {
    let w = world();
    let mut p = Probe::acting(&w, ANN);
    p.sees(&["1", "5"]);
    p.run("RESET ALL; SET plan_cache_mode = force_generic_plan");
    p.sees(&NOBODY);
    p.set_user(BOB);
    p.sees(&["2"]);
    p.run("BEGIN; RESET ALL; SET LOCAL plan_cache_mode = force_generic_plan");
    p.sees(&NOBODY);
    p.run("ROLLBACK");
    p.sees(&["2"]);
}

#[test]
fn discard_all_logs_out() {
    let w = world();
    let mut c = w.acting(ANN);
    for function in FUNCTIONS {
        assert_eq!(names(&mut c, &format!("SELECT {function}()")), ["1", "5"]);
    }
    c.batch_execute("DISCARD ALL").unwrap();
    assert_eq!(one(&mut c, "SELECT docperm.whoami()"), "Guest");
    for function in FUNCTIONS {
        assert!(names(&mut c, &format!("SELECT {function}()")).is_empty(), "{function}");
    }
    Probe::over(c).sees(&NOBODY);
}

#[test]
fn set_role_switches_between_mapped_roles() {
    let mut w = world();
    let (ann, bob, app) = (w.db.login_role("ann"), w.db.login_role("bob"), w.app_role.clone());
    w.sql(&format!(
        "UPDATE docperm.users SET db_role = '{ann}' WHERE name = '{ANN}';
         UPDATE docperm.users SET db_role = '{bob}' WHERE name = '{BOB}';
         GRANT {ann}, {bob} TO {app};"
    ));
    let mut p = Probe::over(w.app());
    p.sees(&NOBODY);
    for _ in 0..2 {
        p.run(&format!("SET ROLE {ann}"));
        p.sees(&["1", "5"]);
        p.run(&format!("SET ROLE {bob}"));
        p.sees(&["2"]);
        p.run("RESET ROLE");
        p.sees(&NOBODY);
    }
    p.run(&format!("BEGIN; SET LOCAL ROLE {ann}"));
    p.sees(&["1", "5"]);
    p.run(&format!("SAVEPOINT s; SET LOCAL ROLE {bob}"));
    p.sees(&["2"]);
    p.run("ROLLBACK TO s");
    p.sees(&["1", "5"]);
    p.run("COMMIT");
    p.sees(&NOBODY);

    // Whoever said who acts is not overruled by the role.
    p.set_user(BOB);
    p.run(&format!("SET ROLE {ann}"));
    p.sees(&["2"]);
    p.run("RESET ROLE; SELECT docperm.set_user(NULL, false)");
    p.sees(&NOBODY);
}

#[test]
fn set_session_authorization_switches_between_mapped_roles() {
    let mut w = world();
    let (ann, bob) = (w.db.login_role("ann"), w.db.login_role("bob"));
    w.sql(&format!(
        "UPDATE docperm.users SET db_role = '{ann}' WHERE name = '{ANN}';
         UPDATE docperm.users SET db_role = '{bob}' WHERE name = '{BOB}';"
    ));
    // The superuser himself passes row security, so the plans are made under each role.
    let mut superuser = w.db.admin();
    superuser.batch_execute(&format!("SET SESSION AUTHORIZATION {ann}")).unwrap();
    let mut p = Probe::over(superuser);
    p.sees(&["1", "5"]);
    p.run(&format!("RESET SESSION AUTHORIZATION; SET SESSION AUTHORIZATION {bob}"));
    p.sees(&["2"]);
    p.run(&format!("RESET SESSION AUTHORIZATION; BEGIN; SET LOCAL SESSION AUTHORIZATION {ann}"));
    p.sees(&["1", "5"]);
    p.run(&format!("ROLLBACK; SET SESSION AUTHORIZATION {bob}"));
    p.sees(&["2"]);
}

/// A mapping is by name, and no message of docperm's own tells that a role has another.
#[test]
fn a_role_that_is_renamed_no_longer_acts_as_the_user() {
    let mut w = world();
    let role = w.db.login_role("ann");
    w.sql(&format!("UPDATE docperm.users SET db_role = '{role}' WHERE name = '{ANN}'"));
    let mut c = w.db.connect_as(&role);
    c.batch_execute("SET plan_cache_mode = force_generic_plan; PREPARE plain AS SELECT name FROM doc")
        .unwrap();
    let statement = c.prepare("SELECT name FROM doc").unwrap();
    for _ in 0..3 {
        assert_eq!(names(&mut c, "EXECUTE plain"), BEFORE);
        assert_eq!(c.query(&statement, &[]).unwrap().len(), BEFORE.len());
    }
    w.sql(&format!("ALTER ROLE {role} RENAME TO {role}_x"));
    assert_eq!(c.query(&statement, &[]).unwrap().len(), 0);
    assert_eq!(names(&mut c, "EXECUTE plain"), NOBODY);
    assert_eq!(names(&mut c, "SELECT name FROM doc"), NOBODY);
    w.sql(&format!("ALTER ROLE {role}_x RENAME TO {role}"));
    assert_eq!(names(&mut c, "EXECUTE plain"), BEFORE);
}

#[test]
fn a_mapping_that_changes_switches_who_acts() {
    let mut w = world();
    let role = w.db.login_role("person");
    let map = |w: &mut World, user: &str| {
        w.sql(&format!(
            "UPDATE docperm.users SET db_role = NULL WHERE db_role = '{role}';
             UPDATE docperm.users SET db_role = '{role}' WHERE name = '{user}'"
        ));
    };
    map(&mut w, ANN);
    let mut p = Probe::over(w.db.connect_as(&role));
    p.sees(&["1", "5"]);
    map(&mut w, BOB);
    p.sees(&["2"]);
    w.sql("UPDATE docperm.users SET db_role = NULL");
    p.sees(&NOBODY);
    // Nothing has changed for Guest, only that it is no longer Guest who acts.
    map(&mut w, ANN);
    p.sees(&["1", "5"]);
}

#[test]
fn the_identity_may_change_in_the_middle_of_a_function() {
    let mut w = world();
    for (name, language_options) in [("hopping", ""), ("definer_hopping", "SECURITY DEFINER")] {
        w.sql(&format!(
            "CREATE FUNCTION {name}(users text[]) RETURNS text[] LANGUAGE plpgsql {language_options} AS $$
             DECLARE u text; found text; answers text[] = '{{}}';
             BEGIN
                 FOREACH u IN ARRAY users LOOP
                     PERFORM docperm.set_user(u, false);
                     SELECT string_agg(name, ' ' ORDER BY name) INTO found FROM public.doc;
                     answers = answers || coalesce(found, '-');
                 END LOOP;
                 RETURN answers;
             END $$"
        ));
    }
    let definer = one(&mut w.admin, "SELECT proowner::regrole FROM pg_proc WHERE proname = 'definer_sql'");
    w.sql(&format!("ALTER FUNCTION definer_hopping(text[]) OWNER TO {definer}"));
    let mut c = w.app();
    c.batch_execute("SET plan_cache_mode = force_generic_plan").unwrap();
    for name in ["hopping", "definer_hopping", "hopping"] {
        let users = format!("ARRAY['{ANN}', '{BOB}', 'Guest', '{ANN}', 'Administrator', '{BOB}']");
        let answers = texts(&mut c, &format!("SELECT unnest({name}({users}))"));
        assert_eq!(answers, ["1 5", "2", "-", "1 5", "1 2 3 4 5 6", "2"], "{name}");
    }
    let mut c = w.acting(ANN);
    let nested =
        format!("SELECT docperm.set_user('{BOB}', false); SELECT unnest(ARRAY(SELECT sql_function()))");
    assert_eq!(names(&mut c, &nested).last().unwrap(), "2");
}

#[test]
fn writes_follow_the_identity_as_well() {
    let w = world();
    let mut c = w.acting(ANN);
    c.batch_execute(
        "SET plan_cache_mode = force_generic_plan;
         PREPARE put(text) AS UPDATE doc SET company = $1 WHERE name = '1';
         PREPARE touch AS UPDATE doc SET company = company RETURNING name;",
    )
    .unwrap();
    let touched = |c: &mut Client, user: &str| {
        set_user(c, user);
        names(c, "EXECUTE touch")
    };
    assert_eq!(touched(&mut c, ANN), ["1", "5"]);
    assert_eq!(touched(&mut c, BOB), ["2"]);
    assert_eq!(touched(&mut c, ANN), ["1", "5"]);
    assert!(attempt(&mut c, "EXECUTE put('A-sub')").is_ok());
    assert_eq!(refused_with(&mut c, "EXECUTE put('B')"), "42501");
    set_user(&mut c, "Administrator");
    assert!(attempt(&mut c, "EXECUTE put('B')").is_ok());
    set_user(&mut c, BOB);
    assert_eq!(refused_with(&mut c, "EXECUTE put('A')"), "42501");
}

// Changes of permissions

/// A change of what Ann may see: what is done, and what she sees afterwards.
struct Change {
    what: &'static str,
    sql: &'static str,
    after: &'static [&'static str],
}

const BEFORE: [&str; 2] = ["1", "5"];

const CHANGES: &[Change] = &[
    Change {
        what: "a user permission more",
        sql: "INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('ann@erp.test', 'Company', 'C')",
        after: &["1", "3", "5"],
    },
    Change {
        what: "another value",
        sql: "UPDATE docperm.user_permissions SET for_value = 'D' WHERE user_name = 'ann@erp.test'",
        after: &["4"],
    },
    Change {
        what: "given to somebody else",
        sql: "UPDATE docperm.user_permissions SET user_name = 'bob@erp.test' WHERE user_name = 'ann@erp.test'",
        after: &["1", "2", "3", "4", "5", "6"],
    },
    Change {
        what: "no user permission left",
        sql: "DELETE FROM docperm.user_permissions WHERE user_name = 'ann@erp.test'",
        after: &["1", "2", "3", "4", "5", "6"],
    },
    Change {
        what: "user permissions truncated",
        sql: "TRUNCATE docperm.user_permissions",
        after: &["1", "2", "3", "4", "5", "6"],
    },
    Change {
        what: "descendants hidden",
        sql: "UPDATE docperm.user_permissions SET hide_descendants = true",
        after: &["1"],
    },
    Change {
        what: "applicable for another doctype",
        sql: "UPDATE docperm.user_permissions SET applicable_for = 'Company'",
        after: &["1", "2", "3", "4", "5", "6"],
    },
    Change {
        what: "a tree node moved away",
        sql: "UPDATE company SET parent = 'B' WHERE name = 'A-sub'",
        after: &["1"],
    },
    Change {
        what: "a tree node moved below",
        sql: "UPDATE company SET parent = 'A-sub' WHERE name = 'D'",
        after: &["1", "4", "5"],
    },
    Change {
        what: "the role disabled",
        sql: "UPDATE docperm.roles SET disabled = true WHERE name = 'Reader'",
        after: &[],
    },
    Change {
        what: "the role taken away",
        sql: "DELETE FROM docperm.user_roles WHERE user_name = 'ann@erp.test'",
        after: &[],
    },
    Change { what: "user_roles truncated", sql: "TRUNCATE docperm.user_roles", after: &[] },
    Change { what: "the rule deleted", sql: "DELETE FROM docperm.role_permissions", after: &[] },
    Change {
        what: "the rule without read",
        sql: "UPDATE docperm.role_permissions SET rights = '{write}'",
        after: &[],
    },
    Change {
        what: "the rule for owners only",
        sql: "UPDATE docperm.role_permissions SET if_owner = true",
        after: &[],
    },
    Change {
        what: "a custom rule for others",
        sql: "INSERT INTO docperm.role_permissions (doctype, role, custom, rights)
              VALUES ('Doc', 'Unused', true, '{read}')",
        after: &[],
    },
    Change {
        what: "strict mode off",
        sql: "UPDATE docperm.settings SET strict_user_permissions = 'off'",
        after: &["1", "5", "6"],
    },
    Change {
        what: "the field ignored",
        sql: "UPDATE docperm.doctype_fields SET ignore_user_permissions = true WHERE doctype = 'Doc'",
        after: &["1", "2", "3", "4", "5", "6"],
    },
    Change {
        what: "the field gone",
        sql: "DELETE FROM docperm.doctype_fields WHERE doctype = 'Doc'",
        after: &["1", "2", "3", "4", "5", "6"],
    },
    Change {
        what: "the user disabled",
        sql: "UPDATE docperm.users SET enabled = false WHERE name = 'ann@erp.test'",
        after: &[],
    },
    Change {
        what: "the user deleted",
        sql: "DELETE FROM docperm.users WHERE name = 'ann@erp.test'",
        after: &[],
    },
];

/// What Ann must not see any more, or must not see yet, is never among the rows.
#[track_caller]
fn never_wrong(what: &str, answer: &[String], allowed: &[&str]) {
    let allowed: Vec<String> = allowed.iter().map(|&name| name.to_owned()).collect();
    assert!(within(answer, &allowed), "{what}: {answer:?} seen, {allowed:?} permitted");
}

#[test]
fn a_committed_change_is_seen_by_the_next_statement() {
    for change in CHANGES {
        let mut w = world();
        let mut p = Probe::acting(&w, ANN);
        p.sees(&BEFORE);
        w.sql(change.sql);
        for form in 0..p.forms() {
            assert_eq!(p.ask(form).unwrap(), change.after, "{}, form {form}", change.what);
        }
    }
}

#[test]
fn a_change_that_is_rolled_back_is_seen_by_nobody() {
    let mut w = world();
    let mut p = Probe::acting(&w, ANN);
    for change in CHANGES {
        w.sql("BEGIN");
        w.sql(change.sql);
        if !change.sql.starts_with("TRUNCATE") {
            // TRUNCATE keeps every reader waiting, so there is nothing to ask while it is open.
            p.sees(&BEFORE);
        }
        w.sql("ROLLBACK");
        p.sees(&BEFORE);
    }
}

#[test]
fn a_change_committed_during_a_transaction_never_leaves_a_wrong_row() {
    for change in CHANGES {
        let mut w = world();
        let mut p = Probe::acting(&w, ANN);
        p.run("BEGIN");
        p.sees(&BEFORE);
        w.sql(change.sql);
        for form in 0..p.forms() {
            p.run("SAVEPOINT s");
            match p.ask(form) {
                Ok(answer) => assert_eq!(answer, change.after, "{}, form {form}", change.what),
                // A plan that was made before and started after: refused rather than run.
                Err(refusal) => {
                    assert_eq!(refusal.sqlstate, "40001", "{}, form {form}: {refusal:?}", change.what);
                    p.run("ROLLBACK TO s");
                    let answer = p.ask(form).unwrap();
                    assert_eq!(answer, change.after, "{}, form {form}, tried again", change.what);
                }
            }
        }
        p.run("COMMIT");
        p.sees(change.after);
    }
}

/// Changes that can be taken back, one for each kind of message: a user's, a tree's, everybody's.
const THERE_AND_BACK: [(&str, &str, &[&str]); 3] = [
    (
        "INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('ann@erp.test', 'Company', 'C')",
        "DELETE FROM docperm.user_permissions WHERE for_value = 'C'",
        &["1", "3", "5"],
    ),
    (
        "UPDATE company SET parent = 'B' WHERE name = 'A-sub'",
        "UPDATE company SET parent = 'A' WHERE name = 'A-sub'",
        &["1"],
    ),
    (
        "UPDATE docperm.settings SET strict_user_permissions = 'off'",
        "UPDATE docperm.settings SET strict_user_permissions = 'blank_links'",
        &["1", "5", "6"],
    ),
];

/// Within a transaction the tables are locked already, and PostgreSQL itself hears of nothing when it takes a plan from
/// its cache. Docperm listens, so that a statement is planned anew rather than refused.
#[test]
fn the_first_statement_after_a_change_is_planned_anew_within_a_transaction() {
    let mut w = world();
    let mut p = Probe::acting(&w, ANN);
    for (change, back, after) in THERE_AND_BACK {
        for form in 0..p.forms() {
            p.run("BEGIN");
            assert_eq!(p.ask(form).unwrap(), BEFORE, "form {form}");
            w.sql(change);
            let answer = p.ask(form).unwrap_or_else(|refusal| panic!("{change}, form {form}: {refusal:?}"));
            assert_eq!(answer, after, "{change}, form {form}");
            p.run("COMMIT");
            w.sql(back);
        }
        p.run("BEGIN");
        p.sees(&BEFORE);
        w.sql(change);
        let shown = texts(&mut p.client, "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE plain").join("\n");
        assert!(shown.contains(&format!("rows={} ", after.len())), "{change}\n{shown}");
        p.run("COMMIT");
        w.sql(back);
        p.run("BEGIN");
        p.sees(&BEFORE);
        w.sql(change);
        p.run("CREATE TEMP TABLE copied ON COMMIT DROP AS EXECUTE plain");
        assert_eq!(names(&mut p.client, "SELECT name FROM copied"), after, "{change}");
        p.run("COMMIT");
        w.sql(back);
    }
}

/// Binding a statement starts it, as opening a cursor does: such a portal keeps its rows. The next one has the new plan.
#[test]
fn a_bound_portal_is_an_open_cursor_and_the_next_one_is_planned_anew() {
    let mut w = world();
    for (change, back, after) in THERE_AND_BACK {
        let mut c = w.acting(ANN);
        c.batch_execute("SET plan_cache_mode = force_generic_plan").unwrap();
        let statement = c.prepare("SELECT name FROM doc").unwrap();
        let mut transaction = c.transaction().unwrap();
        let open = transaction.bind(&statement, &[]).unwrap();
        w.sql(change);
        let next = transaction.bind(&statement, &[]).unwrap();
        for (portal, seen) in [(next, after), (open, &BEFORE[..])] {
            let rows = transaction.query_portal(&portal, 0).unwrap();
            assert_eq!(sorted(rows.iter().map(|row| row.get(0)).collect()), seen, "{change}");
        }
        transaction.commit().unwrap();
        w.sql(back);
    }
}

/// Runs `sql`, which takes the advisory lock `number`, and commits `change` while it waits for it; its rows.
fn while_it_waits(w: &mut World, number: usize, mut c: Client, sql: &str, change: &str) -> Vec<String> {
    w.sql(&format!("BEGIN; SELECT pg_advisory_xact_lock({number})"));
    let sql = sql.to_owned();
    let waiting = std::thread::spawn(move || names(&mut c, &sql));
    let waits = "SELECT count(*) FROM pg_stat_activity
                  WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let mut observer = w.db.admin();
    while one(&mut observer, waits) == "0" {
        assert!(!waiting.is_finished(), "the statement did not wait");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    w.sql(&format!("{change}; COMMIT"));
    waiting.join().unwrap()
}

/// What a function waits for may be the change itself.
#[test]
fn a_function_that_waited_goes_on_with_the_rights_of_now() {
    let mut w = world();
    for (number, (change, back, after)) in THERE_AND_BACK.into_iter().enumerate() {
        let mut c = w.acting(ANN);
        c.batch_execute(&format!(
            "SET plan_cache_mode = force_generic_plan;
             CREATE FUNCTION pg_temp.waiting() RETURNS text LANGUAGE plpgsql AS $$
             DECLARE seen text := '';
             BEGIN
                 FOR i IN 1 .. 2 LOOP
                     seen := seen || (SELECT string_agg(name, ' ' ORDER BY name) FROM public.doc) || ';';
                     IF i = 1 THEN PERFORM pg_advisory_xact_lock({number}); END IF;
                 END LOOP;
                 RETURN seen;
             END $$"
        ))
        .unwrap();
        let waiting = while_it_waits(&mut w, number, c, "SELECT pg_temp.waiting()", change);
        assert_eq!(waiting, [format!("{};{};", BEFORE.join(" "), after.join(" "))], "{change}");
        w.sql(back);
    }
}

/// The change may come between the planning of a policy and the end of the planning.
#[test]
fn a_statement_that_a_change_overtook_while_it_was_planned_is_planned_again() {
    let mut w = world();
    for (number, (change, back, after)) in THERE_AND_BACK.into_iter().enumerate() {
        let mut c = w.acting(ANN);
        // Evaluated by the planner, which comes to the rows of VALUES after it has come to the policies of doc.
        c.batch_execute(&format!(
            "CREATE FUNCTION pg_temp.wait() RETURNS int LANGUAGE plpgsql IMMUTABLE AS
                 'BEGIN PERFORM pg_advisory_xact_lock({number}); RETURN 1; END'"
        ))
        .unwrap();
        let sql = "SELECT DISTINCT name FROM doc, (VALUES (pg_temp.wait()), (pg_temp.wait())) v(x)";
        assert_eq!(while_it_waits(&mut w, number, c, sql, change), after, "{change}");
        w.sql(back);
    }
}

#[test]
fn a_repeatable_read_transaction_leaves_nothing_stale() {
    for warm in [true, false] {
        for change in CHANGES {
            let mut w = world();
            let mut p = Probe::acting(&w, ANN);
            p.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
            if warm {
                p.sees(&BEFORE);
            }
            w.sql(change.sql);
            for form in 0..p.forms() {
                p.run("SAVEPOINT s");
                match p.ask(form) {
                    // Rows are those of the old snapshot, rights those of now.
                    Ok(answer) => never_wrong(change.what, &answer, change.after),
                    Err(refusal) => {
                        assert_eq!(refusal.sqlstate, "40001", "{}, form {form}: {refusal:?}", change.what);
                        p.run("ROLLBACK TO s");
                    }
                }
            }
            p.run("COMMIT");
            p.sees(change.after);
        }
    }
}

#[test]
fn an_old_snapshot_does_not_bring_old_permissions_back() {
    let mut w = world();
    let mut p = Probe::acting(&w, ANN);
    p.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM docperm.user_permissions");
    w.sql("DELETE FROM docperm.user_roles");
    // Another user is loaded in between, so that nothing of Ann's comes from the cache.
    p.set_user("Administrator");
    p.set_user_local(ANN);
    for form in 0..p.forms() {
        p.run("SAVEPOINT s");
        if let Ok(answer) = p.ask(form) {
            assert_eq!(answer, NOBODY, "form {form}");
        } else {
            p.run("ROLLBACK TO s");
        }
    }
    p.run("COMMIT");
    p.set_user(ANN);
    p.sees(&NOBODY);
}

#[test]
fn ones_own_change_is_seen_by_oneself_until_it_is_undone() {
    let w = world();
    let mut administrator = w.acting("Administrator");
    for change in CHANGES {
        let mut p = Probe::acting(&w, ANN);
        // Administrator makes the change to the tree, which Ann may not write; then Ann looks.
        let by_administrator = |p: &mut Probe, sql: &str| {
            p.set_user("Administrator");
            // Doctypes and their fields are a superuser's.
            p.run(&format!("SELECT by_superuser({})", literal(sql)));
            p.set_user_local(ANN);
        };
        let deletes = change.what == "the user disabled" || change.what == "the user deleted";
        p.run("BEGIN; SAVEPOINT s");
        if deletes {
            // Nobody can become a user who is disabled or gone; Ann has this change made.
            p.run(&format!("SELECT by_superuser({})", literal(change.sql)));
        } else {
            by_administrator(&mut p, change.sql);
        }
        for form in 0..p.forms() {
            assert_eq!(p.ask(form).unwrap(), change.after, "{}, form {form}", change.what);
        }
        p.run("ROLLBACK TO s");
        p.sees(&BEFORE);
        p.run("ROLLBACK");
        p.sees(&BEFORE);
        assert_eq!(names(&mut administrator, "SELECT name FROM doc").len(), 6);
    }
}

#[test]
fn changes_made_by_replication_count_too() {
    for change in CHANGES {
        let mut w = world();
        let mut p = Probe::acting(&w, ANN);
        p.sees(&BEFORE);
        w.sql("SET session_replication_role = replica");
        w.sql(change.sql);
        match change.what {
            // What hangs on the user stays, since foreign keys sleep; the user is gone all the same.
            "the user deleted" => p.sees(&NOBODY),
            _ => p.sees(change.after),
        }
    }
}

#[test]
fn a_prepared_transaction_changes_rights_when_it_commits() {
    let mut w = world();
    let mut p = Probe::acting(&w, ANN);
    let name = format!("change of {}", w.db.name());
    w.sql(&format!("BEGIN; DELETE FROM docperm.user_roles; PREPARE TRANSACTION '{name}'"));
    p.sees(&BEFORE);
    w.sql(&format!("COMMIT PREPARED '{name}'"));
    p.sees(&NOBODY);
}

#[test]
fn taking_a_table_out_and_in_again_changes_the_next_statement() {
    let mut w = world();
    let mut p = Probe::acting(&w, ANN);
    p.sees(&BEFORE);
    w.sql("SELECT docperm.unprotect('doc')");
    p.sees(&["1", "2", "3", "4", "5", "6"]);
    w.sql("SELECT docperm.protect('doc', 'Doc')");
    p.sees(&NOBODY);
    w.rule("Doc", "Reader", "{read}");
    p.sees(&BEFORE);
}

#[test]
fn a_link_declared_later_restricts_the_next_statement() {
    let mut w = world();
    w.sql("SELECT docperm.set_field('Doc', 'company', link_to => '')");
    let mut p = Probe::acting(&w, ANN);
    p.sees(&["1", "2", "3", "4", "5", "6"]);
    w.sql("SELECT docperm.set_field('Doc', 'company', link_to => 'Company')");
    p.sees(&BEFORE);
}

#[test]
fn one_users_change_reaches_every_backend() {
    let mut w = world();
    let mut probes: Vec<Probe> = (0..4).map(|_| Probe::acting(&w, ANN)).collect();
    let mut bob = Probe::acting(&w, BOB);
    w.allow(ANN, "Company", "C");
    for p in &mut probes {
        p.sees(&["1", "3", "5"]);
    }
    bob.sees(&["2"]);
}

// Parallel workers

/// The session settings under which every eligible plan is parallel, and the workers alone read rows.
const PARALLEL: &str = "SET plan_cache_mode = force_generic_plan; SET force_parallel_mode = on;
    SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
    SET max_parallel_workers_per_gather = 2; SET enable_indexscan = off; SET enable_bitmapscan = off;
    SET parallel_leader_participation = off;";

#[test]
fn workers_filter_as_the_leader_does() {
    let mut w = World::new(
        "CREATE TABLE company (name text PRIMARY KEY);
         CREATE TABLE big (id int PRIMARY KEY, company text NOT NULL REFERENCES company);
         INSERT INTO company SELECT 'c' || i FROM generate_series(1, 4000) i;
         INSERT INTO big SELECT i, 'c' || (1 + i % 4000) FROM generate_series(1, 20000) i;
         SELECT docperm.protect('company', 'Company'), docperm.protect('big', 'Big');
         ANALYZE;",
    );
    for user in [ANN, BOB] {
        w.user(user, &["Reader"]);
    }
    w.rule("Big", "Reader", "{read}");
    let inlined: i32 =
        one(&mut w.acting(ANN), "SELECT current_setting('docperm.max_inline_values')").parse().unwrap();
    assert!(inlined < 2000, "the test has too few companies");
    for few_then_many in [3, inlined + 500] {
        w.sql(&format!(
            "TRUNCATE docperm.user_permissions;
             INSERT INTO docperm.user_permissions (user_name, allow, for_value)
             SELECT '{ANN}', 'Company', 'c' || i FROM generate_series(1, {few_then_many}) i UNION ALL
             SELECT '{BOB}', 'Company', 'c' || i FROM generate_series(1001, 1000 + {few_then_many}) i;"
        ));
        let mut c = w.acting(ANN);
        c.batch_execute(PARALLEL).unwrap();
        c.batch_execute("PREPARE counted AS SELECT count(*) || ' ' || min(id) || ' ' || max(id) FROM big")
            .unwrap();
        for _ in 0..2 {
            for (user, first) in [(ANN, 1), (BOB, 1001)] {
                set_user(&mut c, user);
                let plan = explain(&mut c, "EXECUTE counted");
                assert!(plan.contains("Gather"), "{plan}");
                assert!(plan.contains("Parallel Seq Scan"), "the filter must run in the workers:\n{plan}");
                let last = first + few_then_many - 1;
                let by_hand = format!(
                    "SELECT count(*) || ' ' || min(id) || ' ' || max(id) FROM big
                     WHERE substr(company, 2)::int BETWEEN {first} AND {last}"
                );
                assert_eq!(
                    one(&mut c, "EXECUTE counted"),
                    one(&mut w.admin, &by_hand),
                    "{user}, {few_then_many}"
                );
            }
        }
    }
}

/// Sets of some types cannot be handed to workers: such a query has none, and the same rows.
#[test]
fn a_set_that_cannot_be_shared_keeps_the_query_in_the_leader() {
    let mut w = World::new(
        "CREATE TABLE part (no numeric PRIMARY KEY);
         CREATE TABLE big (id int PRIMARY KEY, part numeric NOT NULL REFERENCES part, note text);
         INSERT INTO part SELECT i FROM generate_series(1, 200) i;
         INSERT INTO big SELECT i, 1 + i % 200 FROM generate_series(1, 20000) i;
         SELECT docperm.protect('part', 'Part'), docperm.protect('big', 'Big');
         ANALYZE;",
    );
    w.user(ANN, &["Reader"]);
    w.rule("Big", "Reader", "{read}");
    w.sql(&format!(
        "INSERT INTO docperm.user_permissions (user_name, allow, for_value)
         SELECT '{ANN}', 'Part', i FROM generate_series(1, 50) i"
    ));
    let mut c = w.acting(ANN);
    c.batch_execute(PARALLEL).unwrap();
    let counted = "SELECT count(*) FROM big";
    for (inlined, parallel) in [("1000", true), ("10", false)] {
        c.batch_execute(&format!("SET docperm.max_inline_values = {inlined}")).unwrap();
        let plan = explain(&mut c, counted);
        assert_eq!(plan.contains("Parallel Seq Scan"), parallel, "{plan}");
        assert_eq!(one(&mut c, counted), "5000", "{inlined}");
    }
}

#[test]
fn permits_as_a_function_answers_the_same_in_a_worker() {
    let mut w = world();
    let mut c = w.db.admin();
    w.sql("ALTER TABLE doc SET (parallel_workers = 2)");
    c.batch_execute(PARALLEL).unwrap();
    for (user, seen) in [(ANN, vec!["1", "5"]), (BOB, vec!["2"]), ("Guest", vec![])] {
        set_user(&mut c, user);
        let query =
            "SELECT name FROM doc d WHERE docperm.permits(d.*, current_setting('application_name'), 'read')";
        c.batch_execute("SET application_name = 'Doc'").unwrap();
        let plan = explain(&mut c, query);
        assert!(plan.contains("Parallel Seq Scan") && plan.contains("permits"), "{plan}");
        assert_eq!(names(&mut c, query), seen, "{user}");
    }
}
