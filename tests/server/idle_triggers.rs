//! Statement triggers that would have nothing to do are left out of an execution, and only those.

use std::thread;

use crate::attempts::wait_until;
use crate::support::{World, attempt, names, one, refused, refused_with, texts};
use postgres::Client;

const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";

fn world_with(schema: &str) -> World {
    let mut w = World::new(schema);
    w.user(ANN, &["Author"]);
    w.user(BOB, &[]);
    w.rule("Note", "Author", "{read,write,create,delete,share}");
    w
}

const NOTES: &str = "
    CREATE TABLE note (name text PRIMARY KEY, body text, owner text);
    INSERT INTO note (name, body) VALUES ('A', 'a'), ('B', 'b'), ('C', 'c');
    SELECT docperm.protect('note', 'Note', owner_column => 'owner');";

fn share(w: &mut World, document: &str) {
    w.sql(&format!(
        "INSERT INTO docperm.shares (doctype, document, user_name, rights) VALUES ('Note', '{document}', '{BOB}', '{{read}}')"
    ));
}

fn shared(w: &mut World) -> Vec<String> {
    texts(&mut w.admin, "SELECT document FROM docperm.shares ORDER BY 1")
}

/// Which of docperm's AFTER triggers on documents fire for a statement, that is undone afterwards.
fn fires(client: &mut Client, statement: &str) -> Vec<String> {
    client.batch_execute("BEGIN").unwrap();
    let plan = texts(client, &format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {statement}"));
    client.batch_execute("ROLLBACK").unwrap();
    let triggers = plan.iter().filter_map(|line| line.strip_prefix("Trigger docperm_"));
    triggers.filter_map(|rest| rest.split(':').next()).map(str::to_owned).collect()
}

/// Has the connection find out whether something is shared.
fn look(client: &mut Client) {
    client.batch_execute("DELETE FROM note WHERE name = 'none'").unwrap();
}

// Which fire

#[test]
fn a_deletion_fires_none_where_nothing_was_shared() {
    let mut w = world_with(NOTES);
    let mut c = w.acting(ANN);
    let delete = "DELETE FROM note WHERE name = 'A'";
    assert!(fires(&mut c, delete).is_empty());
    assert!(fires(&mut c, &format!("WITH gone AS ({delete} RETURNING name) SELECT * FROM gone")).is_empty());
    share(&mut w, "B");
    assert_eq!(fires(&mut c, delete), ["document_deleted"], "a share is heard of");
    c.batch_execute("DELETE FROM note WHERE name = 'C'").unwrap();
    assert_eq!(shared(&mut w), ["B"]);
}

#[test]
fn an_update_fires_those_for_what_it_may_change() {
    let mut w = world_with(NOTES);
    share(&mut w, "A");
    let mut c = w.acting(ANN);
    let (body, name) = ("UPDATE note SET body = 'x'", "UPDATE note SET name = name || 'x', body = 'x'");
    assert!(fires(&mut c, body).is_empty());
    assert_eq!(fires(&mut c, name), ["document_renamed"]);
    assert_eq!(
        fires(&mut c, "MERGE INTO note USING (VALUES (1)) v ON true WHEN MATCHED THEN UPDATE SET body = 'x'"),
        ["document_renamed"]
    );
    let upsert = "INSERT INTO note VALUES ('A') ON CONFLICT (name) DO UPDATE SET name = 'X'";
    assert_eq!(fires(&mut c, upsert), ["document_renamed"]);
    // Somebody else's trigger may do what it likes.
    w.sql(
        "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER pass BEFORE UPDATE ON note FOR EACH ROW EXECUTE FUNCTION pass();",
    );
    assert_eq!(fires(&mut c, body), ["document_renamed"]);
}

#[test]
fn a_new_document_fires_one_while_child_rows_could_wait_for_it() {
    let mut w = world_with(NOTES);
    w.sql(
        "CREATE TABLE line (id int PRIMARY KEY, note text);
         SELECT docperm.protect('line', 'Line', parent_doctype => 'Note', parent_column => 'note');
         INSERT INTO line VALUES (1, 'gone');",
    );
    w.grant_tables();
    let mut c = w.acting(ANN);
    let (insert, waited_for) = ("INSERT INTO note VALUES ('D')", "INSERT INTO note VALUES ('gone')");
    assert_eq!(fires(&mut c, insert), ["document_created"]);
    assert_eq!(refused_with(&mut c, waited_for), "42501");
    w.sql("DELETE FROM line; ALTER TABLE line ADD CONSTRAINT of_note FOREIGN KEY (note) REFERENCES note");
    assert!(fires(&mut c, insert).is_empty());
    w.sql("ALTER TABLE line DROP CONSTRAINT of_note; INSERT INTO line VALUES (1, 'gone')");
    assert_eq!(refused_with(&mut c, waited_for), "42501");
    w.sql("ALTER TABLE line ADD CONSTRAINT of_note FOREIGN KEY (note) REFERENCES note NOT VALID");
    assert_eq!(refused_with(&mut c, waited_for), "42501");
    // One that waits for the end of the transaction lets rows wait as long, unless it takes them along at once.
    let (deleted, renamed) =
        ("DELETE FROM note WHERE name = 'A'", "UPDATE note SET name = 'X' WHERE name = 'A'");
    let along = "ON DELETE CASCADE ON UPDATE CASCADE";
    for (actions, gone, outcome) in [
        ("", deleted, "42501"),
        ("ON DELETE CASCADE", renamed, "42501"),
        (along, deleted, "ok"),
        (along, renamed, "ok"),
    ] {
        w.sql(&format!(
            "DELETE FROM line; INSERT INTO line VALUES (1, 'A'); ALTER TABLE line DROP CONSTRAINT of_note,
                 ADD CONSTRAINT of_note FOREIGN KEY (note) REFERENCES note {actions} DEFERRABLE"
        ));
        let exchange = format!("BEGIN; SET CONSTRAINTS ALL DEFERRED; {gone}; INSERT INTO note VALUES ('A')");
        let result = attempt(&mut c, &exchange).map_or_else(|error| error.sqlstate, |_| "ok".to_owned());
        assert_eq!(result, outcome, "{actions}: {gone}");
        c.batch_execute("ROLLBACK").unwrap();
    }
}

// What would be missed

#[test]
fn a_share_that_is_given_while_documents_are_deleted_goes_with_them() {
    let mut w = world_with(NOTES);
    while_two_are_shared(&mut w, "DELETE FROM note WHERE name = 'A' AND waited");
    assert_eq!(shared(&mut w), ["B"]);
    w.sql("INSERT INTO note VALUES ('A', 'another')");
    assert_eq!(w.sees(BOB, "Note"), ["B"]);
}

/// Runs a statement for Ann that, having begun, waits until A and B are shared.
fn while_two_are_shared(w: &mut World, statement: &str) {
    let mut c = w.acting(ANN);
    let statement = statement.replace("waited", "(SELECT pg_advisory_lock_shared(7) IS NOT NULL)");
    look(&mut c);
    assert!(fires(&mut c, "DELETE FROM note").is_empty());
    look(&mut c);
    w.sql("SELECT pg_advisory_lock(7)");
    let writes = thread::spawn(move || c.batch_execute(&statement).unwrap());
    wait_until(w, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)");
    share(w, "A");
    share(w, "B");
    w.sql("SELECT pg_advisory_unlock(7)");
    writes.join().unwrap();
}

/// Statements that delete the document A and make another of that name.
const EXCHANGES: [&str; 2] = [
    "WITH gone AS (DELETE FROM note WHERE name = 'A' AND waited RETURNING name) INSERT INTO note SELECT name, 'another' FROM gone",
    "DELETE FROM note WHERE name = 'A' AND waited RETURNING make(name)",
];

const MAKE: &str = "
    CREATE FUNCTION make(name text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO note VALUES (name, 'another'); END $$;";

#[test]
fn a_share_does_not_open_what_takes_the_place_of_its_document_in_the_same_statement() {
    for statement in EXCHANGES {
        let mut w = world_with(&format!("{NOTES}{MAKE}"));
        let mut c = w.acting(ANN);
        look(&mut c);
        share(&mut w, "A");
        share(&mut w, "B");
        c.batch_execute(&statement.replace("waited", "true")).unwrap();
        assert_eq!(shared(&mut w), ["B"], "{statement}");
        // One's own sharing, undone.
        w.sql("DELETE FROM docperm.shares WHERE document = 'B'");
        share(&mut w, "A");
        c.batch_execute(&format!(
            "BEGIN; SELECT docperm.unshare('Note', 'A', '{BOB}'); DELETE FROM note WHERE name = 'none'; ROLLBACK"
        ))
        .unwrap();
        c.batch_execute(&statement.replace("waited", "true")).unwrap();
        assert_eq!(shared(&mut w), [""; 0], "{statement}");
        assert_eq!(w.sees(BOB, "Note"), [""; 0], "{statement}");
    }
}

#[test]
fn nor_if_it_is_shared_while_the_statement_runs() {
    for statement in EXCHANGES {
        let mut w = world_with(&format!("{NOTES}{MAKE}"));
        while_two_are_shared(&mut w, statement);
        assert_eq!(shared(&mut w), ["B"], "{statement}");
        assert_eq!(w.sees(BOB, "Note"), ["B"], "{statement}");
    }
}

#[test]
fn a_share_counts_before_it_is_committed() {
    let mut w = world_with(NOTES);
    let mut c = w.acting(ANN);
    let (nothing, delete) = ("DELETE FROM note WHERE name = 'none'", "DELETE FROM note WHERE name = 'A'");
    c.batch_execute(nothing).unwrap();
    assert!(fires(&mut c, delete).is_empty());
    let mut sharer = w.acting(ANN);
    sharer.batch_execute(&format!("BEGIN; SELECT docperm.share('Note', 'B', '{BOB}')")).unwrap();
    c.batch_execute(nothing).unwrap();
    assert_eq!(fires(&mut c, delete), ["document_deleted"]);
    sharer.batch_execute("ROLLBACK").unwrap();
    c.batch_execute(nothing).unwrap();
    assert!(fires(&mut c, delete).is_empty());
    // What is undone is undone.
    share(&mut w, "B");
    w.admin
        .batch_execute(&format!(
            "{nothing}; BEGIN; DELETE FROM docperm.shares; {nothing}; ROLLBACK; {nothing}"
        ))
        .unwrap();
    w.sql("DELETE FROM note WHERE name = 'B'");
    assert!(shared(&mut w).is_empty());
}

#[test]
fn tables_of_a_database_without_the_extension_are_written_as_ever() {
    let mut w = World::new(
        "CREATE TABLE thing (id int PRIMARY KEY, note text);
         CREATE TABLE part (id int PRIMARY KEY, thing int REFERENCES thing ON DELETE CASCADE ON UPDATE CASCADE);
         CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER pass AFTER INSERT OR UPDATE OR DELETE ON part FOR EACH STATEMENT EXECUTE FUNCTION pass();",
    );
    let writes = "INSERT INTO thing VALUES (1); INSERT INTO part VALUES (1, 1); UPDATE thing SET id = 2; UPDATE part SET id = 2;
                  DELETE FROM part WHERE id = 1; DELETE FROM thing";
    w.sql(writes);
    let app = w.app_role.clone();
    w.sql(&format!(
        "CREATE TABLE secret (id int PRIMARY KEY, who name); INSERT INTO secret VALUES (1, '{app}'), (2, 'postgres');
         ALTER TABLE secret ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON secret USING (who = current_user);"
    ));
    w.grant_tables();
    w.sql("DROP EXTENSION docperm CASCADE");
    w.sql(writes);
    let mut fresh = w.db.admin();
    fresh.batch_execute("LOAD 'docperm'").unwrap();
    fresh.batch_execute(writes).unwrap();
    // Policies of others hold.
    fresh.batch_execute(&format!("SET ROLE {app}; UPDATE secret SET id = id + 10")).unwrap();
    assert_eq!(names(&mut fresh, "SELECT id::text FROM secret"), ["11"]);
}

#[test]
fn shares_of_the_same_transaction_go_with_their_documents_and_follow_them() {
    let mut w = world_with(NOTES);
    let mut c = w.acting(ANN);
    c.batch_execute(&format!(
        "DELETE FROM note WHERE name = 'none'; DELETE FROM note WHERE name = 'none';
         BEGIN;
         SELECT docperm.share('Note', name, '{BOB}') FROM note WHERE name < 'C';
         UPDATE note SET name = 'X' WHERE name = 'B';
         DELETE FROM note WHERE name = 'A';
         COMMIT"
    ))
    .unwrap();
    assert_eq!(shared(&mut w), ["X"]);
}

#[test]
fn what_a_trigger_makes_of_an_unchanged_name_is_followed() {
    let mut w = world_with(NOTES);
    w.sql(
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name := NEW.name || ''!''; RETURN NEW; END';
         CREATE TRIGGER shout BEFORE UPDATE ON note FOR EACH ROW EXECUTE FUNCTION shout();",
    );
    share(&mut w, "A");
    w.acting(ANN).batch_execute("UPDATE note SET body = 'x' WHERE name = 'A'").unwrap();
    assert_eq!(shared(&mut w), ["A!"]);
}

#[test]
fn an_owner_that_a_trigger_changes_is_refused() {
    let mut w = world_with(NOTES);
    let mut c = w.acting(ANN);
    c.batch_execute("UPDATE note SET body = 'x'").unwrap();
    assert_eq!(refused_with(&mut c, "UPDATE note SET owner = 'bob@erp.test'"), "42501");
    w.sql(
        "CREATE FUNCTION steal() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.owner := ''bob@erp.test''; RETURN NEW; END';
         CREATE TRIGGER steal BEFORE UPDATE ON note FOR EACH ROW EXECUTE FUNCTION steal();",
    );
    assert_eq!(refused_with(&mut c, "UPDATE note SET body = 'y'"), "42501");
}

// What others rely on

#[test]
fn other_triggers_are_shown_the_rows() {
    let mut w = world_with(NOTES);
    let count = |event: &str, table: &str| {
        format!(
            "CREATE TRIGGER zz_{event} AFTER {event} ON note REFERENCING {table} TABLE AS those FOR EACH STATEMENT EXECUTE FUNCTION tell();"
        )
    };
    w.sql(&format!(
        "CREATE TABLE told (what text);
         GRANT ALL ON told TO PUBLIC;
         CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO told SELECT TG_OP || '' '' || name FROM those; RETURN NULL; END';
         {} {} {}",
        count("UPDATE", "NEW"),
        count("DELETE", "OLD"),
        count("INSERT", "NEW")
    ));
    let mut c = w.acting(ANN);
    for _ in 0..2 {
        c.batch_execute(
            "DELETE FROM note WHERE name = 'none'; UPDATE note SET body = 'x' WHERE name = 'A';
             INSERT INTO note VALUES ('D'); DELETE FROM note WHERE name = 'D';",
        )
        .unwrap();
    }
    let told = ["DELETE D", "DELETE D", "INSERT D", "INSERT D", "UPDATE A", "UPDATE A"];
    assert_eq!(names(&mut w.admin, "SELECT what FROM told"), told);
    // And those of a row.
    w.sql(
        "CREATE FUNCTION tell_row() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO told VALUES (TG_OP || '' row ''  || NEW.name); RETURN NULL; END';
         DROP TRIGGER zz_update ON note;
         CREATE TRIGGER zz_row AFTER UPDATE ON note FOR EACH ROW EXECUTE FUNCTION tell_row();",
    );
    c.batch_execute("UPDATE note SET body = 'x' WHERE name = 'A'").unwrap();
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM told WHERE what = 'UPDATE row A'"), "1");
}

/// A framework tells by the names in an error what the user did wrong.
#[test]
fn errors_of_foreign_keys_keep_their_names() {
    let mut w = world_with(NOTES);
    w.sql("CREATE TABLE line (id int PRIMARY KEY, note text CONSTRAINT of_note REFERENCES note)");
    let error = w.admin.batch_execute("INSERT INTO line VALUES (1, 'none')").unwrap_err();
    let error = error.as_db_error().expect("the server's").clone();
    assert_eq!(
        (error.schema(), error.table(), error.constraint()),
        (Some("public"), Some("line"), Some("of_note"))
    );
    assert_eq!(error.detail(), Some("Key (note)=(none) is not present in table \"note\"."));
    w.sql("INSERT INTO line VALUES (1, 'A')");
    let refusal = refused(&mut w.acting(ANN), "DELETE FROM note WHERE name = 'A'");
    assert_eq!(refusal.sqlstate, "23503");
}

/// A statement of a trigger that fails, and is forgiven, does not hide what the statement is that the trigger fires for.
#[test]
fn a_merge_is_one_after_a_failure_in_its_triggers() {
    let mut w = world_with(
        "CREATE TABLE note (year int, name text, body text, PRIMARY KEY (year, name)) PARTITION BY LIST (year);
         CREATE TABLE note_1 PARTITION OF note FOR VALUES IN (1);
         CREATE TABLE note_2 PARTITION OF note FOR VALUES IN (2);
         INSERT INTO note VALUES (1, 'A', 'a'), (2, 'B', 'b'), (1, 'C', 'c');
         CREATE TABLE victim (id int PRIMARY KEY);
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END';
         CREATE TRIGGER fail AFTER INSERT ON victim FOR EACH STATEMENT EXECUTE FUNCTION fail();
         CREATE FUNCTION forgive() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN INSERT INTO victim VALUES (1); RETURN NULL; EXCEPTION WHEN raise_exception THEN RETURN NULL; END';
         SELECT docperm.protect('note', 'Note');
         CREATE TRIGGER a_first AFTER DELETE ON note FOR EACH STATEMENT EXECUTE FUNCTION forgive();",
    );
    share(&mut w, "A");
    w.sql(
        "MERGE INTO note n USING (VALUES ('A'), ('C')) v(n) ON n.name = v.n
         WHEN MATCHED AND n.name = 'C' THEN DELETE WHEN MATCHED THEN UPDATE SET year = 2",
    );
    assert_eq!(shared(&mut w), ["A"], "it has moved and is still there");
}
