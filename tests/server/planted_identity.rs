//! Nobody becomes somebody by planting a value, and who acts is not for everybody to say.

use crate::support::{World, attempt, literal, one, refused, refused_with, set_user, texts};
use postgres::Client;

const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";

/// One document that Ann may read. The stranger is a login role that is nobody.
struct Planted {
    w: World,
    stranger: String,
}

fn planted() -> Planted {
    let mut w = World::new(
        "CREATE TABLE doc (name text PRIMARY KEY); INSERT INTO doc VALUES ('secret');
         GRANT SELECT ON doc TO PUBLIC;
         SELECT docperm.protect('doc', 'Doc');",
    );
    w.user(ANN, &["Reader"]);
    w.user(BOB, &[]);
    w.rule("Doc", "Reader", "{read}");
    let stranger = w.db.login_role("stranger");
    Planted { w, stranger }
}

/// Whoever this connection is, it is Guest and sees nothing.
#[track_caller]
fn is_nobody(c: &mut Client, how: &str) {
    assert_eq!(one(c, "SELECT count(*) FROM doc"), "0", "{how}");
    assert_eq!(one(c, "SELECT docperm.whoami()"), "Guest", "{how}");
    assert_eq!(one(c, "SELECT docperm.has_permission('Doc', 'read', 'secret')"), "f", "{how}");
    assert_eq!(one(c, "SELECT count(*) FROM docperm.permitted_documents('Doc')"), "0", "{how}");
}

const NAMES: [&str; 3] = ["Administrator", ANN, "x"];

#[test]
fn a_value_set_before_the_library_is_loaded_does_not_count() {
    let p = planted();
    for name in NAMES {
        for how in [
            "SET docperm.acting_user = {}",
            "SET SESSION docperm.acting_user TO {}",
            "SELECT set_config('docperm.acting_user', {}, false)",
            "DO 'BEGIN PERFORM set_config(''docperm.acting_user'', ''Administrator'', false); END'",
        ] {
            let mut c = p.w.db.connect_as(&p.stranger);
            let sql = how.replace("{}", &literal(name));
            assert!(attempt(&mut c, &sql).is_ok(), "a placeholder can be set by anybody: {sql}");
            is_nobody(&mut c, &sql);
            c.batch_execute("RESET ALL").unwrap();
            is_nobody(&mut c, &format!("{sql}; RESET ALL"));
            c.batch_execute("DISCARD ALL").unwrap();
            is_nobody(&mut c, &format!("{sql}; DISCARD ALL"));
        }
    }
}

#[test]
fn nor_does_one_that_is_local_to_a_transaction_or_a_savepoint() {
    let p = planted();
    for undo in ["COMMIT", "ROLLBACK"] {
        let mut c = p.w.db.connect_as(&p.stranger);
        c.batch_execute("BEGIN; SET LOCAL docperm.acting_user = 'Administrator'; SAVEPOINT s").unwrap();
        is_nobody(&mut c, "SET LOCAL");
        c.batch_execute("ROLLBACK TO s").unwrap();
        is_nobody(&mut c, "SET LOCAL, ROLLBACK TO");
        c.batch_execute(undo).unwrap();
        is_nobody(&mut c, undo);
    }
    // The library is loaded inside the transaction that is rolled back to before the value was planted.
    let mut c = p.w.db.connect_as(&p.stranger);
    c.batch_execute("SET docperm.acting_user = 'Administrator'; BEGIN; SET LOCAL docperm.acting_user = 'x'")
        .unwrap();
    is_nobody(&mut c, "planted twice");
    c.batch_execute("ROLLBACK").unwrap();
    is_nobody(&mut c, "planted twice, rolled back");
}

#[test]
fn a_value_brought_along_by_the_connection_does_not_count() {
    let p = planted();
    for name in NAMES {
        for options in [format!("-c docperm.acting_user={name}"), format!("--docperm.acting_user={name}")] {
            let mut c = p.w.db.connect_with(&p.stranger, &options);
            is_nobody(&mut c, &options);
            for reset in ["RESET ALL", "DISCARD ALL", "RESET SESSION AUTHORIZATION"] {
                c.batch_execute(reset).unwrap();
                is_nobody(&mut c, &format!("{options}; {reset}"));
            }
            let _ = attempt(&mut c, "RESET docperm.acting_user");
            is_nobody(&mut c, &format!("{options}; RESET"));
            let _ = attempt(&mut c, "SET docperm.acting_user TO DEFAULT");
            is_nobody(&mut c, &format!("{options}; SET TO DEFAULT"));
        }
    }
}

#[test]
fn a_value_stored_with_a_role_or_a_database_does_not_count() {
    let mut p = planted();
    let (stranger, database) = (p.stranger.clone(), p.w.db.name().to_owned());
    let own = format!("ALTER ROLE {stranger} SET docperm.acting_user = 'Administrator'");
    // Whether PostgreSQL lets a role store it depends on the version; it must not count in any.
    let _ = attempt(&mut p.w.db.connect_as(&stranger), &own);
    is_nobody(&mut p.w.db.connect_as(&stranger), "stored by the role itself");
    for object in [format!("ROLE {stranger}"), format!("DATABASE {database}")] {
        let sql = format!("ALTER {object} SET docperm.acting_user = 'Administrator'");
        let _ = attempt(&mut p.w.admin, &sql);
        let mut c = p.w.db.connect_as(&stranger);
        is_nobody(&mut c, &sql);
        c.batch_execute("RESET ALL").unwrap();
        is_nobody(&mut c, &format!("{sql}; RESET ALL"));
        let _ = attempt(&mut p.w.admin, &format!("ALTER {object} RESET docperm.acting_user"));
    }
}

#[test]
fn a_function_cannot_bring_the_value_along() {
    let p = planted();
    for loaded in [false, true] {
        let mut c = p.w.db.connect_as(&p.stranger);
        if loaded {
            is_nobody(&mut c, "loaded");
        }
        let create = "CREATE FUNCTION pg_temp.sneak() RETURNS bigint LANGUAGE sql
                      SET docperm.acting_user = 'Administrator' AS 'SELECT count(*) FROM public.doc'";
        if attempt(&mut c, create).is_ok()
            && let Ok(messages) = attempt(&mut c, "SELECT pg_temp.sneak()")
        {
            assert_eq!(crate::support::rows_of(&messages), [["0"]]);
        }
        is_nobody(&mut c, "after the function");
    }
}

#[test]
fn once_the_library_is_loaded_nobody_sets_it_by_hand() {
    let mut p = planted();
    let attempts = [
        "SET docperm.acting_user = 'Administrator'",
        "SET LOCAL docperm.acting_user = 'Administrator'",
        "SELECT set_config('docperm.acting_user', 'Administrator', false)",
        "SELECT set_config('docperm.acting_user', 'Administrator', true)",
        "UPDATE pg_settings SET setting = 'Administrator' WHERE name = 'docperm.acting_user'",
    ];
    let app = p.w.app_role.clone();
    for role in [p.stranger.as_str(), app.as_str()] {
        let mut c = p.w.db.connect_as(role);
        is_nobody(&mut c, "before");
        for sql in attempts {
            // The setting may be hidden from pg_settings, and then there is nothing to update.
            if let Ok(messages) = attempt(&mut c, sql) {
                assert!(crate::support::rows_of(&messages).is_empty(), "{sql} was accepted for {role}");
                assert!(
                    sql.starts_with("UPDATE") || sql.starts_with("SET LOCAL"),
                    "{sql} was accepted for {role}"
                );
            }
            is_nobody(&mut c, sql);
        }
    }
    // A superuser may do everything else, but who acts is said with set_user alone.
    set_user(&mut p.w.admin, ANN);
    for sql in attempts {
        let _ = attempt(&mut p.w.admin, sql);
        assert_eq!(one(&mut p.w.admin, "SELECT docperm.whoami()"), ANN, "{sql}");
    }
}

#[test]
fn an_unknown_setting_with_the_prefix_is_refused_once_loaded() {
    let p = planted();
    let mut c = p.w.db.connect_as(&p.stranger);
    is_nobody(&mut c, "before");
    assert!(attempt(&mut c, "SET docperm.no_such_setting = 'x'").is_err());
}

#[test]
fn whoami_follows_the_order_of_the_resolution() {
    let mut p = planted();
    let role = p.w.db.login_role("mapped");
    p.w.sql(&format!(
        "UPDATE docperm.users SET db_role = '{role}' WHERE name = '{ANN}';
         GRANT EXECUTE ON FUNCTION docperm.set_user(text, boolean) TO {role};"
    ));
    let mut c = p.w.db.connect_as(&role);
    assert_eq!(one(&mut c, "SELECT docperm.whoami()"), ANN);
    set_user(&mut c, BOB);
    assert_eq!(one(&mut c, "SELECT docperm.whoami()"), BOB);
    c.batch_execute("SELECT docperm.set_user(NULL, false)").unwrap();
    assert_eq!(one(&mut c, "SELECT docperm.whoami()"), ANN);
    set_user(&mut c, "Guest");
    assert_eq!(one(&mut c, "SELECT docperm.whoami()"), "Guest", "said so, and not mapped");
    assert_eq!(one(&mut p.w.app(), "SELECT docperm.whoami()"), "Guest");
    assert_eq!(
        one(&mut p.w.admin, "SELECT docperm.whoami()"),
        "Guest",
        "a superuser is nobody in particular"
    );
    let local = format!("BEGIN; SELECT docperm.set_user('{BOB}'); SELECT docperm.whoami(); COMMIT");
    assert!(texts(&mut c, &local).contains(&BOB.to_owned()));
    assert_eq!(one(&mut c, "SELECT docperm.whoami()"), "Guest", "set_user is local unless told otherwise");
}

#[test]
fn a_member_of_a_mapped_role_is_not_that_user_until_set_role() {
    let mut p = planted();
    let (mapped, stranger) = (p.w.db.login_role("mapped"), p.stranger.clone());
    p.w.sql(&format!(
        "UPDATE docperm.users SET db_role = '{mapped}' WHERE name = '{ANN}'; GRANT {mapped} TO {stranger};"
    ));
    let mut c = p.w.db.connect_as(&stranger);
    is_nobody(&mut c, "a member");
    c.batch_execute(&format!("SET ROLE {mapped}")).unwrap();
    assert_eq!(one(&mut c, "SELECT count(*) FROM doc"), "1");
}

#[test]
fn security_definer_does_not_change_who_acts() {
    let mut p = planted();
    let mapped = p.w.db.login_role("mapped");
    p.w.sql(&format!(
        "UPDATE docperm.users SET db_role = '{mapped}' WHERE name = '{ANN}';
         CREATE FUNCTION who() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT docperm.whoami()';
         CREATE FUNCTION how_many() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM public.doc';
         CREATE FUNCTION who_plpgsql() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS
             'BEGIN RETURN docperm.whoami(); END';
         ALTER FUNCTION who() OWNER TO {mapped};
         ALTER FUNCTION how_many() OWNER TO {mapped};
         ALTER FUNCTION who_plpgsql() OWNER TO {mapped};"
    ));
    let mut c = p.w.db.connect_as(&p.stranger);
    assert_eq!(one(&mut c, "SELECT who() || ' ' || who_plpgsql() || ' ' || how_many()"), "Guest Guest 0");
    let mut c = p.w.db.connect_as(&mapped);
    assert_eq!(one(&mut c, "SELECT who() || ' ' || how_many()"), format!("{ANN} 1"));
}

#[test]
fn set_user_is_for_nobody_by_default_and_refuses_who_cannot_act() {
    let mut p = planted();
    let become_ann = format!("SELECT docperm.set_user('{ANN}')");
    let mut c = p.w.db.connect_as(&p.stranger);
    assert_eq!(refused_with(&mut c, &become_ann), "42501");
    assert_eq!(refused_with(&mut c, "SELECT docperm.set_user(NULL)"), "42501");
    is_nobody(&mut c, "after set_user was refused");

    let mut c = p.w.acting(BOB);
    for unknown in ["nobody@erp.test", "", " "] {
        let refusal = refused(&mut c, &format!("SELECT docperm.set_user({}, false)", literal(unknown)));
        assert_eq!(refusal.sqlstate, "42704", "{refusal:?}");
        assert!(refusal.hint.is_some(), "{refusal:?}");
    }
    p.w.sql(&format!("UPDATE docperm.users SET enabled = false WHERE name = '{ANN}'"));
    let refusal = refused(&mut c, &become_ann);
    assert_eq!(refusal.sqlstate, "28000");
    assert!(refusal.message.contains(ANN), "{refusal:?}");
    assert_eq!(one(&mut c, "SELECT docperm.whoami()"), BOB, "still who it was");
}

#[test]
fn a_stranger_can_neither_read_nor_change_what_decides() {
    let mut p = planted();
    let mut c = p.w.db.connect_as(&p.stranger);
    let tables = texts(
        &mut p.w.admin,
        "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'docperm'::regnamespace AND relkind IN ('r', 'p')",
    );
    assert!(tables.len() >= 8, "{tables:?}");
    for table in &tables {
        for sql in [
            format!("SELECT FROM {table}"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table} CASCADE"),
            format!("INSERT INTO {table} DEFAULT VALUES"),
            format!("DO 'BEGIN LOCK {table}; END'"),
            format!("COPY {table} TO STDOUT"),
            format!("ALTER TABLE {table} DISABLE TRIGGER ALL"),
        ] {
            assert_eq!(refused_with(&mut c, &sql), "42501", "{sql}");
        }
    }
    for sql in [
        "SELECT docperm.protect('doc', 'Doc')",
        "SELECT docperm.unprotect('doc')",
        "SELECT docperm.set_field('Doc', 'name', ignore_user_permissions => true)",
        "CREATE FUNCTION docperm.permits(text, text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        "CREATE OR REPLACE FUNCTION docperm.whoami() RETURNS text LANGUAGE sql AS 'SELECT ''Administrator'''",
        "DROP EXTENSION docperm CASCADE",
        "DROP POLICY docperm_select ON doc",
        "CREATE POLICY mine ON doc USING (true)",
        "ALTER TABLE doc DISABLE ROW LEVEL SECURITY",
    ] {
        assert_eq!(refused_with(&mut c, sql), "42501", "{sql}");
    }
    is_nobody(&mut c, "after all that");
}
