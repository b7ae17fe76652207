//! Shares stay with their documents, whatever happens to these, and are given by nobody who may not.

use crate::support::{World, attempt, names, one, refused_with, texts};

const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";

/// Ann may do everything with notes, Bob nothing.
fn world_with(schema: &str) -> World {
    let mut w = World::new(schema);
    w.user(ANN, &["Author"]);
    w.user(BOB, &[]);
    w.rule("Note", "Author", "{read,write,create,delete,share}");
    w
}

fn world() -> World {
    world_with(
        "CREATE TABLE note (name text PRIMARY KEY, body text);
         INSERT INTO note VALUES ('A', 'a'), ('B', 'b'), ('C', 'c');
         SELECT docperm.protect('note', 'Note');",
    )
}

/// What is shared: document and rights.
fn shared(w: &mut World) -> Vec<String> {
    texts(&mut w.admin, "SELECT document || ' ' || rights::text FROM docperm.shares ORDER BY 1")
}

fn share(w: &mut World, document: &str) {
    w.sql(&format!(
        "INSERT INTO docperm.shares (doctype, document, user_name, rights) VALUES ('Note', '{document}', '{BOB}', '{{read}}')"
    ));
}

// Shares that came after the snapshot

#[test]
fn a_share_that_is_younger_than_the_snapshot_goes_with_its_document() {
    for isolation in ["REPEATABLE READ", "SERIALIZABLE"] {
        let mut w = world();
        let mut old = w.acting(ANN);
        old.batch_execute(&format!("BEGIN ISOLATION LEVEL {isolation}; SELECT FROM note")).unwrap();
        let mut c = w.acting(ANN);
        for document in ["A", "B"] {
            c.batch_execute(&format!("SELECT docperm.share('Note', '{document}', '{BOB}')")).unwrap();
        }
        assert_eq!(one(&mut old, "SELECT count(*) FROM note"), "3");
        old.batch_execute(
            "DELETE FROM note WHERE name = 'A'; UPDATE note SET name = 'B2' WHERE name = 'B'; COMMIT",
        )
        .unwrap();
        assert_eq!(shared(&mut w), ["B2 {read}"], "{isolation}");
        w.sql("INSERT INTO note VALUES ('A', 'new'), ('B', 'new')");
        assert_eq!(w.sees(BOB, "Note"), ["B2"]);
    }
}

#[test]
fn a_share_that_is_younger_than_the_snapshot_goes_with_a_truncated_table() {
    let mut w = world();
    let mut old = w.db.admin();
    old.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM docperm.shares").unwrap();
    share(&mut w, "A");
    old.batch_execute("TRUNCATE note; COMMIT").unwrap();
    assert!(shared(&mut w).is_empty());
}

#[test]
fn a_document_that_goes_while_it_is_shared_is_not_shared() {
    let mut w = world();
    let mut sharer = w.acting(ANN);
    sharer.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM note").unwrap();
    w.sql("DELETE FROM note WHERE name = 'A'; UPDATE note SET name = 'X' WHERE name = 'B'; INSERT INTO note VALUES ('B', 'other')");
    for gone in ["A", "B"] {
        sharer.batch_execute("SAVEPOINT here").unwrap();
        let call = format!("SELECT docperm.share('Note', '{gone}', '{BOB}')");
        assert_eq!(refused_with(&mut sharer, &call), "40001");
        sharer.batch_execute("ROLLBACK TO here").unwrap();
    }
    sharer.batch_execute(&format!("SELECT docperm.share('Note', 'C', '{BOB}'); COMMIT")).unwrap();
    assert_eq!(shared(&mut w), ["C {read}"]);
}

// Several documents in one statement

#[test]
fn documents_that_exchange_their_names_keep_their_shares() {
    let mut w = world_with(
        "CREATE TABLE note (name text PRIMARY KEY DEFERRABLE, body text);
         INSERT INTO note VALUES ('A', 'a'), ('B', 'b'), ('C', 'c'), ('D', 'd');
         SELECT docperm.protect('note', 'Note');",
    );
    share(&mut w, "A");
    share(&mut w, "C");
    w.sql(&format!(
        "UPDATE docperm.shares SET rights = '{{read,write}}' WHERE document = 'C' AND user_name = '{BOB}'"
    ));
    let mut c = w.acting(ANN);
    c.batch_execute("UPDATE note SET name = translate(name, 'ABCD', 'BACD')").unwrap();
    assert_eq!(shared(&mut w), ["B {read}", "C {read,write}"]);
    assert_eq!(names(&mut w.acting(BOB), "SELECT body FROM note"), ["a", "c"]);
    // All in a circle.
    c.batch_execute("UPDATE note SET name = translate(name, 'ABCD', 'BCDA')").unwrap();
    assert_eq!(shared(&mut w), ["C {read}", "D {read,write}"]);
    assert_eq!(names(&mut w.acting(BOB), "SELECT body FROM note"), ["a", "c"]);
    // Two documents of one name, until the transaction ends: whose a share is cannot be told.
    c.batch_execute("BEGIN; SET CONSTRAINTS ALL DEFERRED; UPDATE note SET name = 'D' WHERE name = 'C'")
        .unwrap();
    c.batch_execute("UPDATE note SET name = 'E' WHERE body = 'c'; COMMIT").unwrap();
    assert!(shared(&mut w).is_empty());
}

#[test]
fn names_move_up_one_after_the_other() {
    let mut w = world_with(
        "CREATE TABLE note (id int PRIMARY KEY, body text);
         INSERT INTO note VALUES (3, 'c'), (2, 'b'), (1, 'a');
         SELECT docperm.protect('note', 'Note');",
    );
    share(&mut w, "2");
    share(&mut w, "3");
    w.acting(ANN).batch_execute("UPDATE note SET id = id + 1").unwrap();
    assert_eq!(shared(&mut w), ["3 {read}", "4 {read}"]);
    assert_eq!(names(&mut w.acting(BOB), "SELECT body FROM note"), ["b", "c"]);
}

// Partitions

const PARTITIONED: &str = "
    CREATE TABLE note (year int, name text, body text, PRIMARY KEY (year, name)) PARTITION BY LIST (year);
    CREATE TABLE note_1 PARTITION OF note FOR VALUES IN (1);
    CREATE TABLE note_2 (body text, name text NOT NULL, year int NOT NULL);
    ALTER TABLE note ATTACH PARTITION note_2 FOR VALUES IN (2);
    INSERT INTO note VALUES (1, 'A', 'a'), (2, 'B', 'b'), (1, 'C', 'c');
    SELECT docperm.protect('note', 'Note');";

#[test]
fn documents_of_different_partitions_exchange_their_names() {
    let mut w = world_with(PARTITIONED);
    share(&mut w, "A");
    w.acting(ANN).batch_execute("UPDATE note SET name = translate(name, 'AB', 'BA')").unwrap();
    assert_eq!(shared(&mut w), ["B {read}"]);
    assert_eq!(names(&mut w.acting(BOB), "SELECT body FROM note"), ["a"]);
}

#[test]
fn a_document_that_moves_to_another_partition_under_another_name_keeps_its_shares() {
    for update in [
        "UPDATE note SET year = 2, name = 'X' WHERE name = 'A'",
        "UPDATE note SET year = 3 - year, name = translate(name, 'AB', 'XY')",
        "UPDATE note_1 SET name = 'X' WHERE name = 'A'",
        "INSERT INTO note VALUES (1, 'A', 'a') ON CONFLICT (year, name) DO UPDATE SET name = 'X'",
        "MERGE INTO note n USING (VALUES ('A')) v(n) ON n.name = v.n WHEN MATCHED THEN UPDATE SET name = 'X'",
    ] {
        let mut w = world_with(PARTITIONED);
        share(&mut w, "A");
        w.sql(update);
        assert_eq!(shared(&mut w), ["X {read}"], "{update}");
        w.sql("DELETE FROM note WHERE name = 'A'; INSERT INTO note VALUES (1, 'A', 'another')");
        assert_eq!(names(&mut w.acting(BOB), "SELECT body FROM note"), ["a"], "{update}");
    }
}

/// PostgreSQL does not tell a MERGE's triggers of rows that change their partition.
#[test]
fn a_merge_into_another_partition_leaves_no_share_behind() {
    for (merge, left) in [
        ("UPDATE SET name = 'X', year = 2", ""),
        ("UPDATE SET year = 2", "A {read}"),
        ("UPDATE SET name = 'X'", "X {read}"),
    ] {
        let mut w = world_with(PARTITIONED);
        share(&mut w, "A");
        w.sql(&format!(
            "MERGE INTO note n USING (VALUES ('A'), ('C')) v(n) ON n.name = v.n
             WHEN MATCHED AND n.name = 'C' THEN DELETE WHEN MATCHED THEN {merge}"
        ));
        assert_eq!(shared(&mut w).join(""), left, "{merge}");
    }
    // A connection whose first statement it is.
    let mut w = world_with(PARTITIONED);
    share(&mut w, "A");
    let merge = "MERGE INTO note n USING (VALUES ('A')) v(n) ON n.name = v.n WHEN MATCHED THEN UPDATE SET name = 'X', year = 2";
    w.db.admin().batch_execute(merge).unwrap();
    assert!(shared(&mut w).is_empty());
}

#[test]
fn what_a_later_trigger_calls_a_document_is_its_name() {
    let mut w = world_with(PARTITIONED);
    w.sql(
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN NEW.name := upper(NEW.name) || TG_ARGV[0]; RETURN NEW; END';
         CREATE TRIGGER later BEFORE UPDATE ON note FOR EACH ROW EXECUTE FUNCTION shout('');
         CREATE TRIGGER zz_arrival BEFORE INSERT ON note_2 FOR EACH ROW EXECUTE FUNCTION shout('-2');",
    );
    share(&mut w, "A");
    w.acting(ANN).batch_execute("UPDATE note SET name = 'x' WHERE name = 'A'").unwrap();
    assert_eq!(shared(&mut w), ["X {read}"]);
    w.acting(ANN).batch_execute("UPDATE note SET year = 2, name = 'y' WHERE name = 'X'").unwrap();
    assert_eq!(shared(&mut w), ["Y-2 {read}"]);
    assert_eq!(names(&mut w.acting(BOB), "SELECT body FROM note"), ["a"]);
}

#[test]
fn where_it_cannot_be_told_whose_a_share_is_it_is_nobodys() {
    let mut w = world_with(PARTITIONED);
    // A name that a document in another partition has already.
    share(&mut w, "A");
    w.sql("UPDATE note SET name = 'B' WHERE name = 'A'");
    assert!(shared(&mut w).is_empty());
    assert_eq!(one(&mut w.acting(BOB), "SELECT count(*) FROM note"), "0");
    // A name of two documents, each of which gets another.
    let mut w = world_with(PARTITIONED);
    w.sql("INSERT INTO note VALUES (2, 'A', 'another a')");
    share(&mut w, "A");
    share(&mut w, "C");
    w.sql("UPDATE note SET name = name || year");
    assert_eq!(shared(&mut w), ["C1 {read}"]);
    // A row that is kept back on its way.
    let mut w = world_with(PARTITIONED);
    w.sql(
        "CREATE FUNCTION keep_back() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
         CREATE TRIGGER keep_back BEFORE INSERT ON note_2 FOR EACH ROW EXECUTE FUNCTION keep_back();",
    );
    share(&mut w, "A");
    share(&mut w, "C");
    w.sql("UPDATE note SET year = CASE name WHEN 'A' THEN 2 ELSE year END, name = name || '!'");
    assert!(shared(&mut w).is_empty());
}

#[test]
fn what_triggers_do_to_a_renamed_document_leaves_no_share_behind() {
    for does in
        ["UPDATE note SET name = ''later'' WHERE name = NEW.name", "DELETE FROM note WHERE name = NEW.name"]
    {
        let mut w = world();
        w.sql(&format!(
            "CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN {does}; RETURN NULL; END';
             CREATE TRIGGER a_trigger AFTER UPDATE ON note FOR EACH ROW WHEN (NEW.name = 'X') EXECUTE FUNCTION more();"
        ));
        share(&mut w, "A");
        w.sql("UPDATE note SET name = 'X' WHERE name = 'A'");
        assert!(shared(&mut w).iter().all(|share| share.starts_with("later")), "{does}");
        w.sql("INSERT INTO note VALUES ('X', 'another')");
        assert!(!w.sees(BOB, "Note").contains(&"X".to_owned()), "{does}");
    }
}

#[test]
fn shares_of_numbers_and_dates_follow_however_the_session_writes_them() {
    for (key, name, new) in [
        ("numeric", "1.50", "2.5"),
        ("date", "2024-02-09", "2024-02-10"),
        ("char(5)", "ab", "cd"),
        ("uuid", "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"),
        ("double precision", "0.1", "0.2"),
    ] {
        let mut w = world_with(&format!(
            "CREATE TABLE note (name {key} PRIMARY KEY); INSERT INTO note VALUES ('{name}'); SELECT docperm.protect('note', 'Note')"
        ));
        share(&mut w, name);
        w.admin.batch_execute("SET DateStyle = 'SQL, DMY'; SET extra_float_digits = -10").unwrap();
        w.sql(&format!("UPDATE note SET name = {key} '{new}'"));
        assert_eq!(shared(&mut w), [format!("{new} {{read}}")], "{key}");
        w.sql("DELETE FROM note");
        assert!(shared(&mut w).is_empty(), "{key}");
    }
}

#[test]
fn very_many_documents_go_and_move_at_once() {
    let mut w = world();
    w.sql(&format!(
        "INSERT INTO note SELECT 'n' || i FROM generate_series(1, 5000) AS i;
         INSERT INTO docperm.shares (doctype, document, user_name, rights)
         SELECT 'Note', name, '{BOB}', '{{read}}' FROM note;
         UPDATE note SET name = name || '!';
         DELETE FROM note WHERE name LIKE 'n%00!';"
    ));
    let stale = "SELECT count(*) FROM docperm.shares s WHERE NOT EXISTS (SELECT FROM note n WHERE n.name = s.document)";
    assert_eq!(one(&mut w.admin, stale), "0");
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.shares"), "4953");
    w.sql("TRUNCATE note");
    assert!(shared(&mut w).is_empty());
}

// Who shares

#[test]
fn a_role_that_may_not_read_the_table_does_not_share_its_documents() {
    let mut w = world();
    let app = w.app_role.clone();
    w.sql(&format!("REVOKE ALL ON note FROM {app}"));
    let (share, unshare) = (
        format!("SELECT docperm.share('Note', 'A', '{BOB}')"),
        format!("SELECT docperm.unshare('Note', 'A', '{BOB}')"),
    );
    for grant in ["UPDATE", "SELECT (body)"] {
        w.sql(&format!("GRANT {grant} ON note TO {app}"));
        assert_eq!(refused_with(&mut w.acting(ANN), &share), "42501", "{grant}");
        assert_eq!(refused_with(&mut w.acting(ANN), &unshare), "42501", "{grant}");
    }
    // A function of a role that may read it is another matter, as with any privilege.
    let owner = w.db.login_role("owner");
    w.sql(&format!(
        "GRANT SELECT ON note TO {owner};
         CREATE FUNCTION share_it() RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ {share} $$;
         ALTER FUNCTION share_it() OWNER TO {owner};"
    ));
    w.acting(ANN).batch_execute("SELECT share_it()").unwrap();
    assert_eq!(shared(&mut w), ["A {read}"]);
    w.sql(&format!("GRANT SELECT (name) ON note TO {app}"));
    w.acting(ANN).batch_execute(&unshare).unwrap();
    assert!(shared(&mut w).is_empty());
    w.acting(ANN).batch_execute(&share).unwrap();
    assert_eq!(shared(&mut w), ["A {read}"]);
    assert_eq!(
        refused_with(
            &mut w.acting(ANN),
            &format!("SELECT docperm._share('Note', 'A', '{BOB}', '{{read}}', false)")
        ),
        "42501"
    );
}

#[test]
fn nobody_but_administrators_shares_with_guest_and_nobody_with_himself() {
    let mut w = world();
    let share = |with: &str| format!("SELECT docperm.share('Note', 'A', '{with}')");
    for with in ["Guest", "guest ", ANN, "ANN@erp.test"] {
        assert_eq!(refused_with(&mut w.acting(ANN), &share(with)), "42501", "{with}");
    }
    w.user("boss@erp.test", &["System Manager", "Author"]);
    w.acting("boss@erp.test").batch_execute(&share("Guest")).unwrap();
    assert_eq!(names(&mut w.app(), "SELECT name FROM note"), ["A"], "Guest");
    assert_eq!(refused_with(&mut w.acting("boss@erp.test"), &share("boss@erp.test")), "42501");
    w.acting("Administrator").batch_execute(&share("Administrator")).unwrap();
}

#[test]
fn a_date_is_shared_as_it_is_stored() {
    let mut w = world_with(
        "CREATE TABLE note (day date PRIMARY KEY);
         INSERT INTO note VALUES ('2024-02-09'), ('2009-02-24');
         SELECT docperm.protect('note', 'Note');",
    );
    let mut c = w.acting(ANN);
    c.batch_execute("SET DateStyle = 'SQL, DMY'").unwrap();
    // Written with the year first it is one day, whatever the session prefers; and what it is checked as, it is shared as.
    c.batch_execute(&format!("SELECT docperm.share('Note', '2024-2-9', '{BOB}')")).unwrap();
    assert_eq!(shared(&mut w), ["2024-02-09 {read}"]);
    assert_eq!(names(&mut w.acting(BOB), "SELECT day FROM note"), ["2024-02-09"]);
    c.batch_execute(&format!("SELECT docperm.unshare('Note', '2024-2-9', '{BOB}')")).unwrap();
    assert!(shared(&mut w).is_empty());
    // To Ann's session this is a day of 2009, which is all that she may see; as a name it is one of 2024.
    w.allow(ANN, "Note", "2009-02-24");
    for call in ["share", "unshare"] {
        let refusal = refused_with(&mut c, &format!("SELECT docperm.{call}('Note', '24-02-09', '{BOB}')"));
        assert_eq!(refusal, "42501");
    }
    assert!(shared(&mut w).is_empty());
}

/// What PostgreSQL calls while it plans a query on a table is code of the table's owner.
#[test]
fn the_owner_of_a_table_is_no_superuser_because_documents_are_shared() {
    let mut w = World::new("CREATE SCHEMA desk");
    let owner = w.db.login_role("owner");
    w.sql(&format!("GRANT ALL ON SCHEMA desk TO {owner}; GRANT USAGE ON SCHEMA desk TO PUBLIC"));
    let mut o = w.db.connect_as(&owner);
    o.batch_execute(
        "CREATE TABLE desk.note (name text PRIMARY KEY, above text);
         INSERT INTO desk.note VALUES ('A'), ('B');
         CREATE FUNCTION desk.f(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
         CREATE INDEX ON desk.note (name) WHERE desk.f('x');
         CREATE OR REPLACE FUNCTION desk.f(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
             $$ BEGIN
                 PERFORM set_config('desk.ran_as', concat(current_setting('desk.ran_as', true), ' ', current_user), false);
                 RETURN true;
             END $$;
         GRANT SELECT, INSERT, UPDATE, DELETE ON desk.note TO PUBLIC;",
    )
    .unwrap();
    w.sql("SELECT docperm.protect('desk.note', 'Note', tree_parent_column => 'above')");
    w.user(ANN, &["Author"]);
    w.user(BOB, &[]);
    w.rule("Note", "Author", "{read,write,create,delete,share,select,set_user_permissions}");
    let mut c = w.acting(ANN);
    for call in [
        "SELECT docperm.share('Note', 'A', 'bob@erp.test')",
        "SELECT docperm.apply_user_permission('bob@erp.test', 'Note', 'A')",
        "SELECT docperm.default_value('Note', 'above')",
        "SELECT * FROM docperm.link_options('Note', 'a')",
        "SELECT * FROM docperm.permitted_documents('Note')",
        "SELECT * FROM docperm.explain_access('Note', 'A')",
        "UPDATE desk.note SET name = 'X' WHERE name = 'A'",
        "SELECT docperm.unshare('Note', 'X', 'bob@erp.test')",
        "SELECT docperm.share('Note', 'X', 'bob@erp.test')",
        "DELETE FROM desk.note WHERE name = 'X'",
    ] {
        attempt(&mut c, call).unwrap_or_else(|error| panic!("{call}: {error:?}"));
        let ran_as = one(&mut c, "SELECT current_setting('desk.ran_as', true)");
        assert!(!ran_as.contains("postgres"), "{call}: {ran_as}");
    }
    w.sql("INSERT INTO docperm.shares (doctype, document, user_name, rights) VALUES ('Note', 'B', 'bob@erp.test', '{read}')");
    o.batch_execute("TRUNCATE desk.note").unwrap();
    assert!(shared(&mut w).is_empty());
    for client in [&mut o, &mut c] {
        let ran_as = one(client, "SELECT current_setting('desk.ran_as', true)");
        assert!(ran_as.contains(&owner) && !ran_as.contains("postgres"), "{ran_as}");
    }
}
