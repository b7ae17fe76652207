//! Columns that docperm writes: who made a document, when, who changed it last; and the lock that goes by it.

use crate::support::{World, names, one, refused, refused_with, set_user, table};
use postgres::Client;

const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";

/// Notes with all stamps, plain and partitioned; memos with an owner alone.
const TABLES: &str = "
    CREATE TABLE note (name text PRIMARY KEY, body text, author text, made timestamptz, changed timestamptz, changed_by varchar(140));
    CREATE TABLE memo (name text PRIMARY KEY, body text, owner text);
    CREATE TABLE entry (name text, year int, body text, owner text, made timestamp, changed timestamp(0), PRIMARY KEY (name, year))
        PARTITION BY LIST (year);
    CREATE TABLE entry_1 PARTITION OF entry FOR VALUES IN (1);
    CREATE TABLE entry_2 (owner text, changed timestamp(0), body text, year int NOT NULL, made timestamp, name text NOT NULL);
    ALTER TABLE entry ATTACH PARTITION entry_2 FOR VALUES IN (2);
    SELECT docperm.protect('note', 'Note', owner_column => 'author', creation_column => 'made',
                           modified_column => 'changed', modified_by_column => 'changed_by');
    SELECT docperm.protect('memo', 'Memo', owner_column => 'owner');
    SELECT docperm.protect('entry', 'Entry', owner_column => 'owner', creation_column => 'made', modified_column => 'changed');";

fn world() -> World {
    let mut w = World::new(TABLES);
    w.user(ANN, &["Clerk"]);
    w.user(BOB, &["Clerk"]);
    for doctype in ["Note", "Memo", "Entry"] {
        w.rule(doctype, "Clerk", "{read,write,create,delete}");
    }
    w
}

fn stamps(w: &mut World, name: &str) -> String {
    one(
        &mut w.admin,
        &format!(
            "SELECT format('%s %s %s %s', coalesce(author, '-'), coalesce(changed_by, '-'), coalesce(made::text, '-'),
                           coalesce(changed::text, '-')) FROM note WHERE name = '{name}'"
        ),
    )
}

#[test]
fn what_a_client_says_of_a_new_document_does_not_count() {
    let mut w = world();
    let mut ann = w.acting(ANN);
    ann.batch_execute(
        "INSERT INTO note VALUES ('given', 'x', 'bob@erp.test', '1999-01-01', '1999-01-01', 'bob@erp.test');
         INSERT INTO note (name) VALUES ('left out');
         INSERT INTO note (name, author) SELECT 'bulk ' || i, 'bob@erp.test' FROM generate_series(1, 100) AS i;
         PREPARE make AS INSERT INTO note (name, author) VALUES ($1, $2);
         EXECUTE make('prepared', 'bob@erp.test');
         MERGE INTO note USING (VALUES ('merged')) AS v (name) ON note.name = v.name
             WHEN NOT MATCHED THEN INSERT (name, author) VALUES (v.name, 'bob@erp.test');
         INSERT INTO memo VALUES ('given', 'x', 'bob@erp.test'), ('left out', 'x', NULL);
         INSERT INTO entry (name, year, owner) VALUES ('E', 1, 'bob@erp.test'), ('F', 2, NULL);
         INSERT INTO entry_2 (name, year, owner, made) VALUES ('G', 2, 'bob@erp.test', '1999-01-01');",
    )
    .unwrap();
    let own = "author = 'ann@erp.test' AND changed_by = author AND changed = made AND made > now() - interval '1 minute'";
    assert_eq!(one(&mut w.admin, &format!("SELECT count(*)::text FROM note WHERE {own}")), "104");
    assert_eq!(names(&mut w.admin, "SELECT DISTINCT author FROM note"), [ANN]);
    assert_eq!(names(&mut w.admin, "SELECT DISTINCT owner FROM memo"), [ANN]);
    let own =
        "owner = 'ann@erp.test' AND made > localtimestamp - interval '1 minute' AND changed IS NOT NULL";
    assert_eq!(names(&mut w.admin, &format!("SELECT name FROM entry WHERE {own}")), ["E", "F", "G"]);
}

#[test]
fn who_makes_a_document_has_what_owners_have() {
    let mut w = world();
    w.sql("DELETE FROM docperm.role_permissions");
    w.rule("Memo", "Clerk", "{create}");
    w.rule_if_owner("Memo", "Clerk", "{read,write,delete}");
    let mut ann = w.acting(ANN);
    // RETURNING reads the new row, which the rule opens to its owner.
    assert_eq!(one(&mut ann, "INSERT INTO memo VALUES ('M', 'x', 'bob@erp.test') RETURNING owner"), ANN);
    assert_eq!(names(&mut w.acting(BOB), "SELECT name FROM memo"), [""; 0]);
}

#[test]
fn owner_and_creation_stay_as_they_were_written() {
    let mut w = world();
    let make = "INSERT INTO note (name) VALUES ('N'); INSERT INTO memo (name) VALUES ('M');
                INSERT INTO entry (name, year) VALUES ('E', 1)";
    w.acting(BOB).batch_execute(make).unwrap();
    let statements = [
        "UPDATE note SET author = 'ann@erp.test'",
        "UPDATE note SET author = NULL",
        "UPDATE note SET made = '1999-01-01'",
        "UPDATE note SET made = made + interval '1 microsecond' WHERE name = 'N'",
        "INSERT INTO note (name) VALUES ('N') ON CONFLICT (name) DO UPDATE SET author = excluded.author",
        "MERGE INTO note USING (VALUES ('N')) AS v (name) ON note.name = v.name
             WHEN MATCHED THEN UPDATE SET author = 'ann@erp.test'",
        "WITH u AS (UPDATE note SET author = 'ann@erp.test' RETURNING 1) SELECT count(*) FROM u",
        "UPDATE memo SET owner = 'ann@erp.test'",
        "UPDATE memo SET owner = 'Bob@erp.test'",
        "UPDATE memo SET (body, owner) = ('x', NULL)",
        "INSERT INTO memo VALUES ('M') ON CONFLICT (name) DO UPDATE SET owner = excluded.owner",
        "MERGE INTO memo USING (VALUES ('M')) AS v (name) ON memo.name = v.name WHEN MATCHED THEN UPDATE SET owner = 'ann@erp.test'",
        "UPDATE entry SET owner = 'ann@erp.test'",
        "UPDATE entry SET owner = 'ann@erp.test', year = 2",
        "UPDATE entry_1 SET made = now()",
    ];
    for user in [ANN, "Administrator"] {
        for statement in statements {
            let statement = statement.replace(ANN, user);
            let error = refused(&mut w.acting(user), &statement);
            assert_eq!(error.sqlstate, "42501", "{statement}");
            assert!(error.message.contains("cannot be changed") && error.hint.is_some(), "{error:?}");
        }
    }
    let mut ann = w.acting(ANN);
    ann.batch_execute("PREPARE take AS UPDATE memo SET owner = $1").unwrap();
    assert_eq!(refused_with(&mut ann, "EXECUTE take('ann@erp.test')"), "42501");
    // What is the same is no change.
    let same = "UPDATE memo SET owner = owner, body = 'y'; UPDATE memo SET owner = 'bob@erp.test';
                UPDATE note SET author = author, made = made; UPDATE entry SET owner = owner, made = made, body = 'y';
                INSERT INTO memo VALUES ('M', 'z') ON CONFLICT (name) DO UPDATE SET body = excluded.body;";
    ann.batch_execute(same).unwrap();
    assert_eq!(one(&mut w.admin, "SELECT owner || body FROM memo"), "bob@erp.testz");
}

#[test]
fn every_change_is_stamped() {
    let mut w = world();
    w.acting(BOB).batch_execute("INSERT INTO note (name) VALUES ('N'), ('O')").unwrap();
    let before = one(&mut w.admin, "SELECT made FROM note WHERE name = 'N'");
    let mut ann = w.acting(ANN);
    for change in [
        "UPDATE note SET body = 'x' WHERE name = 'N'",
        "UPDATE note SET body = body",
        "UPDATE note SET body = 'x', changed_by = 'bob@erp.test'",
        "UPDATE note SET body = 'x', changed = now()",
        "INSERT INTO note (name) VALUES ('N') ON CONFLICT (name) DO UPDATE SET body = 'y', changed = excluded.changed",
        "MERGE INTO note USING (VALUES ('N')) AS v (name) ON note.name = v.name WHEN MATCHED THEN UPDATE SET body = 'z'",
    ] {
        let old = one(&mut w.admin, "SELECT changed FROM note WHERE name = 'N'");
        ann.batch_execute(change).unwrap();
        let sql = format!(
            "SELECT format('%s %s %s', author, changed_by, made = '{before}' AND changed > '{old}') FROM note WHERE name = 'N'"
        );
        assert_eq!(one(&mut w.admin, &sql), "bob@erp.test ann@erp.test t", "{change}");
    }
}

#[test]
fn a_change_made_from_an_older_state_is_refused() {
    let mut w = world();
    w.acting(BOB)
        .batch_execute("INSERT INTO note (name) VALUES ('N'); INSERT INTO entry (name, year) VALUES ('E', 1)")
        .unwrap();
    let (mut ann, mut bob) = (w.acting(ANN), w.acting(BOB));
    for (table, name) in [("note", "N"), ("entry", "E")] {
        let read =
            |client: &mut Client| one(client, &format!("SELECT changed FROM {table} WHERE name = '{name}'"));
        let save = |body: &str, read: &str| {
            format!("UPDATE {table} SET body = '{body}', changed = '{read}' WHERE name = '{name}'")
        };
        let (of_ann, of_bob) = (read(&mut ann), read(&mut bob));
        ann.batch_execute(&save("of ann", &of_ann)).unwrap();
        let error = refused(&mut bob, &save("of bob", &of_bob));
        assert_eq!(error.sqlstate, "40001");
        assert!(error.message.contains("changed since it was read") && error.hint.is_some(), "{error:?}");
        let again = read(&mut bob);
        bob.batch_execute(&save("of bob", &again)).unwrap();
        assert_eq!(one(&mut w.admin, &format!("SELECT body FROM {table}")), "of bob");
        // Forged ones as well, and none at all.
        for forged in ["'1999-01-01'", "'2999-01-01'", "NULL", "'infinity'"] {
            let statement = format!("UPDATE {table} SET changed = {forged}");
            assert_eq!(refused_with(&mut bob, &statement), "40001", "{statement}");
        }
    }
}

#[test]
fn no_two_transactions_leave_the_same_time() {
    let mut w = world();
    w.acting(BOB).batch_execute("INSERT INTO note (name) VALUES ('N')").unwrap();
    let (mut ann, mut bob) = (w.acting(ANN), w.acting(BOB));
    // Bob's transaction begins first and changes last.
    bob.batch_execute("BEGIN; SELECT 1").unwrap();
    ann.batch_execute("UPDATE note SET body = 'x'").unwrap();
    let of_ann = one(&mut ann, "SELECT changed FROM note");
    bob.batch_execute("UPDATE note SET body = 'y'; COMMIT").unwrap();
    let later = format!("SELECT (changed > '{of_ann}')::text FROM note");
    assert_eq!(one(&mut w.admin, &later), "true");
    assert_eq!(refused_with(&mut ann, &format!("UPDATE note SET changed = '{of_ann}'")), "40001");
    // To the second: what comes within the same second is later all the same.
    bob.batch_execute("INSERT INTO entry (name, year) VALUES ('E', 1)").unwrap();
    let mut times = vec![one(&mut w.admin, "SELECT changed FROM entry")];
    for _ in 0..3 {
        ann.batch_execute("UPDATE entry SET body = 'x'").unwrap();
        times.push(one(&mut w.admin, "SELECT changed FROM entry"));
    }
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}

#[test]
fn loads_keep_what_they_bring() {
    let mut w = world();
    w.sql(
        "INSERT INTO note VALUES ('old', 'x', 'gone@erp.test', '1999-01-01Z', '1999-01-02Z', 'left@erp.test'); INSERT INTO note VALUES ('bare');
         INSERT INTO memo VALUES ('bare');
         COPY note FROM PROGRAM 'echo copied,x,gone@erp.test,1999-01-01Z,1999-01-02Z,left@erp.test' (FORMAT csv);",
    );
    let old = "gone@erp.test left@erp.test 1999-01-01 00:00:00+00 1999-01-02 00:00:00+00";
    w.sql("SET timezone = 'UTC'");
    assert_eq!((stamps(&mut w, "old"), stamps(&mut w, "copied")), (old.to_owned(), old.to_owned()));
    let filled = stamps(&mut w, "bare");
    assert!(filled.starts_with("- - 2"), "nobody acts, but the times are known: {filled}");
    assert_eq!(one(&mut w.admin, "SELECT coalesce(owner, '-') FROM memo"), "-");

    // A change that says nothing of the time moves it: others have not seen what it made.
    w.sql("UPDATE note SET body = 'y' WHERE name = 'old'");
    let sql =
        "SELECT (changed > now() - interval '1 minute')::text || changed_by FROM note WHERE name = 'old'";
    assert_eq!(one(&mut w.admin, sql), "trueleft@erp.test");
    w.sql("UPDATE note SET author = 'ann@erp.test', made = '1998-01-01Z', changed = '1998-01-02Z', changed_by = NULL WHERE name = 'old'");
    assert_eq!(stamps(&mut w, "old"), "ann@erp.test - 1998-01-01 00:00:00+00 1998-01-02 00:00:00+00");

    // A superuser who acts as somebody fills gaps with his name.
    set_user(&mut w.admin, BOB);
    w.sql("INSERT INTO note (name, author) VALUES ('by bob', NULL), ('for ann', 'ann@erp.test')");
    assert_eq!(names(&mut w.admin, "SELECT author FROM note WHERE changed_by = 'bob@erp.test'"), [ANN, BOB]);

    // A replica applies what was written elsewhere.
    w.sql("SET session_replication_role = replica; INSERT INTO memo VALUES ('replicated', 'x', NULL), ('there', 'x', 'x@erp.test')");
    assert_eq!(
        table(&mut w.admin, "SELECT owner FROM memo WHERE body = 'x' ORDER BY name"),
        [["NULL"], ["x@erp.test"]]
    );
}

#[test]
fn who_is_not_filtered_owns_what_he_likes() {
    let mut w = world();
    let (owner, bypass) = (w.db.login_role("owner"), w.db.login_role("bypass"));
    w.sql(&format!(
        "ALTER ROLE {bypass} BYPASSRLS; GRANT ALL ON ALL TABLES IN SCHEMA public TO {bypass};
         ALTER TABLE memo OWNER TO {owner}; SELECT docperm.protect('memo', 'Memo', force => false);
         GRANT EXECUTE ON FUNCTION docperm.set_user(text, boolean) TO {owner}, {bypass};"
    ));
    for role in [&owner, &bypass] {
        let mut client = w.db.connect_as(role);
        set_user(&mut client, ANN);
        client.batch_execute(&format!("INSERT INTO memo VALUES ('{role}', 'x', 'bob@erp.test')")).unwrap();
        client
            .batch_execute(&format!("UPDATE memo SET owner = 'kim@erp.test' WHERE name = '{role}'"))
            .unwrap();
    }
    assert_eq!(names(&mut w.admin, "SELECT DISTINCT owner FROM memo"), ["kim@erp.test"]);
    // Once the owner is filtered, he is stamped like others.
    w.sql("SELECT docperm.protect('memo', 'Memo')");
    let mut client = w.db.connect_as(&owner);
    set_user(&mut client, ANN);
    client.batch_execute("INSERT INTO memo VALUES ('forced', 'x', 'bob@erp.test')").unwrap();
    assert_eq!(one(&mut w.admin, "SELECT owner FROM memo WHERE name = 'forced'"), ANN);
    assert_eq!(refused_with(&mut client, "UPDATE memo SET owner = 'ann@erp.test'"), "42501");
}

#[test]
fn a_document_that_moves_to_another_partition_stays_whose_it_was() {
    let mut w = world();
    w.acting(BOB)
        .batch_execute("INSERT INTO entry (name, year, body) VALUES ('E', 1, 'x'), ('F', 1, 'y')")
        .unwrap();
    let made = one(&mut w.admin, "SELECT min(made) FROM entry");
    let mut ann = w.acting(ANN);
    ann.batch_execute("UPDATE entry SET year = 2 WHERE name = 'E'; UPDATE entry SET year = 3 - year")
        .unwrap();
    let expected = [["E", "1", "bob@erp.test"], ["F", "2", "bob@erp.test"]];
    assert_eq!(table(&mut w.admin, "SELECT name, year, owner FROM entry ORDER BY 1"), expected);
    assert_eq!(one(&mut w.admin, "SELECT min(made) FROM entry"), made);
    let merge = "MERGE INTO entry USING (VALUES ('E')) AS v (name) ON entry.name = v.name
                     WHEN MATCHED THEN UPDATE SET year = 2, body = 'merged'";
    ann.batch_execute(merge).unwrap();
    assert_eq!(
        names(&mut w.admin, "SELECT DISTINCT owner || tableoid::regclass FROM entry"),
        ["bob@erp.testentry_2"]
    );

    // A trigger of the application's that makes something of every INSERT sees this one as well.
    w.sql(
        "CREATE FUNCTION claim() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN NEW.owner := 'claimed'; NEW.body := 'claimed'; RETURN NEW; END $$;
         CREATE TRIGGER claim BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION claim();",
    );
    ann.batch_execute("UPDATE entry SET year = 1 WHERE name = 'E'").unwrap();
    assert_eq!(table(&mut w.admin, "SELECT owner, body FROM entry WHERE name = 'E'"), [[BOB, "claimed"]]);
    // Nothing is left of a move that failed: what is inserted next is new.
    ann.batch_execute("ALTER TABLE entry ADD CONSTRAINT no_more CHECK (body <> 'stop') NOT VALID")
        .unwrap_err();
    w.sql("ALTER TABLE entry_2 ADD CONSTRAINT no_more CHECK (name <> 'E')");
    ann.batch_execute(
        "DO $$ BEGIN UPDATE entry SET year = 2 WHERE name = 'E'; EXCEPTION WHEN check_violation THEN
             DELETE FROM entry WHERE name = 'E'; INSERT INTO entry (name, year) VALUES ('E', 1); END $$",
    )
    .unwrap();
    assert_eq!(one(&mut w.admin, "SELECT owner FROM entry WHERE name = 'E'"), ANN);
}

#[test]
fn other_triggers_come_before() {
    let mut w = world();
    w.sql(
        "CREATE FUNCTION steal() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.owner := 'thief'; RETURN NEW; END $$;
         CREATE TRIGGER steal BEFORE INSERT OR UPDATE ON memo FOR EACH ROW EXECUTE FUNCTION steal();",
    );
    let mut ann = w.acting(ANN);
    ann.batch_execute("INSERT INTO memo VALUES ('M', 'x')").unwrap();
    assert_eq!(one(&mut w.admin, "SELECT owner FROM memo"), ANN);
    assert_eq!(refused_with(&mut ann, "UPDATE memo SET body = 'y'"), "42501", "it changes the owner");
    // One that would come after it is refused the last word.
    w.sql("ALTER TRIGGER steal ON memo RENAME TO zz_later");
    let error = refused(&mut ann, "INSERT INTO memo VALUES ('M-2', 'x')");
    assert_eq!(error.sqlstate, "55000");
    assert!(error.message.contains("zz_later"), "{error:?}");
    w.sql("ALTER TABLE memo DISABLE TRIGGER zz_later; INSERT INTO memo VALUES ('M-3')");
    ann.batch_execute("INSERT INTO memo VALUES ('M-2', 'x')").unwrap();
    w.sql("ALTER TABLE memo ENABLE TRIGGER zz_later");
    assert_eq!(refused_with(&mut ann, "INSERT INTO memo VALUES ('M-4', 'x')"), "55000");
}

#[test]
fn nobody_gets_round_the_trigger() {
    let mut w = world();
    w.acting(BOB)
        .batch_execute("INSERT INTO memo (name) VALUES ('M'); INSERT INTO note (name) VALUES ('N')")
        .unwrap();
    let mut ann = w.acting(ANN);
    for statement in [
        "ALTER TABLE memo DISABLE TRIGGER ALL",
        "DROP TRIGGER zz_docperm_write_document ON memo",
        "ALTER TRIGGER zz_docperm_write_document ON memo RENAME TO aa",
        "CREATE TRIGGER zzz BEFORE INSERT ON memo FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "SET session_replication_role = replica",
        "COPY memo FROM STDIN",
        "SELECT docperm._write_document()",
        "CREATE TABLE mine (name text); CREATE TRIGGER t BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION docperm._write_document('Memo')",
    ] {
        let error = refused(&mut ann, statement);
        assert!(["42501", "0A000", "42883"].contains(&&*error.sqlstate), "{statement}: {error:?}");
    }
    // Switches and functions of the session's own change nothing.
    ann.batch_execute(
        "SET search_path = pg_temp, public; CREATE FUNCTION pg_temp.row_security_active(regclass) RETURNS boolean LANGUAGE sql AS 'SELECT false';
         CREATE FUNCTION pg_temp.row_security_active(oid) RETURNS boolean LANGUAGE sql AS 'SELECT false';",
    )
    .unwrap();
    assert_eq!(refused_with(&mut ann, "UPDATE memo SET owner = 'ann@erp.test'"), "42501");
    assert_eq!(
        refused_with(&mut ann, "SET row_security = off; UPDATE memo SET owner = 'ann@erp.test'"),
        "42501"
    );
    let by_hand =
        "DO $$ BEGIN UPDATE memo SET owner = 'ann@erp.test'; EXCEPTION WHEN others THEN NULL; END $$";
    ann.batch_execute(by_hand).unwrap();
    assert_eq!(one(&mut w.admin, "SELECT owner FROM memo"), BOB);
    // In a view, too, it is whoever runs the statement.
    let app = w.app_role.clone();
    w.sql(&format!("CREATE VIEW memos AS SELECT * FROM memo; GRANT ALL ON memos TO {app}"));
    ann.batch_execute(
        "RESET search_path; RESET row_security; INSERT INTO memos VALUES ('V', 'x', 'bob@erp.test')",
    )
    .unwrap();
    assert_eq!(one(&mut w.admin, "SELECT owner FROM memo WHERE name = 'V'"), ANN);
}

#[test]
fn foreign_keys_are_followed() {
    let mut w = World::new(
        "CREATE TABLE person (name text PRIMARY KEY);
         CREATE TABLE memo (name text PRIMARY KEY, owner text REFERENCES person ON UPDATE CASCADE ON DELETE SET NULL);
         CREATE TABLE note (name text PRIMARY KEY, owner text REFERENCES person ON UPDATE CASCADE, changed timestamptz);
         SELECT docperm.protect('memo', 'Memo', owner_column => 'owner');
         SELECT docperm.protect('note', 'Note', owner_column => 'owner', modified_column => 'changed');
         INSERT INTO person VALUES ('ann@erp.test'), ('old');
         INSERT INTO memo VALUES ('M', 'old'); INSERT INTO note VALUES ('N', 'old');",
    );
    w.user(ANN, &["Clerk"]);
    w.rule("Memo", "Clerk", "{read,write,create}");
    w.rule("Note", "Clerk", "{read,write,create}");
    let mut ann = w.acting(ANN);
    ann.batch_execute("UPDATE person SET name = 'new' WHERE name = 'old'").unwrap();
    assert_eq!(names(&mut ann, "SELECT owner FROM memo UNION ALL SELECT owner FROM note"), ["new", "new"]);
    ann.batch_execute("DELETE FROM note").unwrap();
    w.sql("DELETE FROM note");
    ann.batch_execute("DELETE FROM person WHERE name = 'new'").unwrap();
    assert_eq!(table(&mut ann, "SELECT owner FROM memo"), [["NULL"]]);
}

// Which tables have the trigger

fn triggers(w: &mut World, table: &str) -> Vec<String> {
    names(
        &mut w.admin,
        &format!(
            "SELECT substring(pg_get_triggerdef(oid) FROM ' (zz_docperm_write_document (?:BEFORE|AFTER) [A-Z ]+ ON|docperm_keep_constants) ')
               FROM pg_trigger WHERE tgrelid = '{table}'::regclass AND tgname ~ '^zz_docperm|constants'"
        ),
    )
}

#[test]
fn a_table_has_the_triggers_that_it_needs() {
    let mut w = World::new(
        "CREATE TABLE t (name text PRIMARY KEY, owner text, made date, changed timestamptz, docstatus int, body text);
         CREATE TABLE line (id int PRIMARY KEY, t text);
         SELECT docperm.protect('t', 'T');
         SELECT docperm.protect('line', 'Line', parent_doctype => 'T', parent_column => 't');",
    );
    let (none, insert, update, delete): (&[&str], _, _, _) = (
        &[],
        ["docperm_keep_constants", "zz_docperm_write_document BEFORE INSERT ON"],
        ["zz_docperm_write_document BEFORE INSERT OR UPDATE ON"],
        ["zz_docperm_write_document BEFORE INSERT OR DELETE OR UPDATE ON"],
    );
    assert_eq!(triggers(&mut w, "t"), none);
    w.sql("SELECT docperm.protect('t', 'T', owner_column => 'owner', creation_column => 'made')");
    assert_eq!(triggers(&mut w, "t"), insert);
    w.sql("SELECT docperm.protect('t', 'T', modified_column => 'changed')");
    assert_eq!(triggers(&mut w, "t"), update);
    assert_eq!(triggers(&mut w, "line"), none);
    w.sql("SELECT docperm.protect('t', 'T', docstatus_column => 'docstatus')");
    assert_eq!(triggers(&mut w, "t"), delete);
    assert_eq!(triggers(&mut w, "line"), delete, "its rows depend on their document's state");
    w.sql("UPDATE docperm.doctypes SET docstatus_column = NULL, modified_column = NULL WHERE name = 'T'");
    assert_eq!(triggers(&mut w, "t"), insert);
    assert_eq!(triggers(&mut w, "line"), none);
    w.sql("UPDATE docperm.doctypes SET owner_column = NULL, creation_column = NULL WHERE name = 'T'");
    assert_eq!(triggers(&mut w, "t"), none);

    // Columns above level 0 need none: what a statement puts into them is settled when it is planned.
    w.sql("SELECT docperm.set_field('T', 'body', permlevel => 1); UPDATE docperm.settings SET field_level_write = 'reset'");
    assert_eq!(triggers(&mut w, "t"), none);
    w.sql("SELECT docperm.protect('t', 'T', owner_column => 'owner'); SELECT docperm.unprotect('line'), docperm.unprotect('t')");
    assert_eq!(triggers(&mut w, "t"), none);
    // A point in time is one.
    for (column, ty) in
        [("creation_column", "body"), ("modified_column", "made"), ("modified_column", "nope")]
    {
        let sql = format!("SELECT docperm.protect('t', 'T', {column} => '{ty}')");
        assert!(["22023", "42704"].contains(&&*refused_with(&mut w.admin, &sql)), "{sql}");
    }
}

#[test]
fn partitions_and_heirs_have_them_too() {
    let mut w = world();
    w.sql(
        "CREATE TABLE memo_heir () INHERITS (memo); CREATE TABLE entry_3 PARTITION OF entry FOR VALUES IN (3);
         CREATE TABLE note_heir () INHERITS (note);",
    );
    w.grant_tables();
    let mut ann = w.acting(ANN);
    ann.batch_execute(
        "INSERT INTO memo_heir VALUES ('H', 'x', 'bob@erp.test'); INSERT INTO entry VALUES ('E', 3); INSERT INTO note_heir (name) VALUES ('H')",
    )
    .unwrap();
    let owners =
        "SELECT DISTINCT owner FROM memo UNION ALL SELECT owner FROM entry UNION ALL SELECT author FROM note";
    assert_eq!(names(&mut w.admin, owners), [ANN, ANN, ANN]);
    assert_eq!(refused_with(&mut ann, "UPDATE memo SET owner = 'bob@erp.test'"), "42501");
    // With the table that it is detached from, a partition loses the trigger; unprotecting takes all away.
    w.sql("SELECT docperm.unprotect('memo'), docperm.unprotect('entry'), docperm.unprotect('note')");
    let left =
        "SELECT tgname FROM pg_trigger WHERE tgname ~ 'docperm' AND tgrelid::regclass::text !~ '^docperm'";
    assert_eq!(names(&mut w.admin, left), [""; 0]);
}

#[test]
fn a_column_that_was_renamed_closes_the_table_to_those_it_is_about() {
    let mut w = world();
    w.sql("ALTER TABLE note RENAME COLUMN changed TO altered");
    assert_eq!(refused_with(&mut w.acting(ANN), "INSERT INTO note (name) VALUES ('N')"), "42703");
    w.sql("INSERT INTO note (name) VALUES ('N'); SELECT docperm.protect('note', 'Note', modified_column => 'altered')");
    w.acting(ANN).batch_execute("INSERT INTO note (name) VALUES ('M')").unwrap();
}

#[test]
fn the_user_is_looked_up_for_each_row_that_he_may_not_have_written() {
    let mut w = world();
    let mut ann = w.acting(ANN);
    // The identity may change in the middle of a statement.
    ann.batch_execute(
        "CREATE FUNCTION pg_temp.become(u text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM docperm.set_user(u, false); RETURN u; END $$",
    )
    .unwrap();
    let outcome = ann.batch_execute(
        "INSERT INTO memo SELECT u, pg_temp.become(u), 'x' FROM unnest('{ann@erp.test,bob@erp.test,ann@erp.test-2}'::text[]) AS u
          WHERE u !~ '2'",
    );
    if outcome.is_ok() {
        assert_eq!(
            names(&mut w.admin, "SELECT name || owner FROM memo"),
            ["ann@erp.testann@erp.test", "bob@erp.testbob@erp.test"]
        );
    }
    set_user(&mut ann, BOB);
    ann.batch_execute("INSERT INTO memo VALUES ('after')").unwrap();
    assert_eq!(one(&mut w.admin, "SELECT owner FROM memo WHERE name = 'after'"), BOB);
    // Within a transaction that is undone, and after it.
    ann.batch_execute(&format!("BEGIN; SELECT docperm.set_user('{ANN}', true); INSERT INTO memo VALUES ('local'); COMMIT; INSERT INTO memo VALUES ('own')"))
        .unwrap();
    assert_eq!(names(&mut w.admin, "SELECT owner FROM memo WHERE name IN ('local', 'own')"), [ANN, BOB]);
}
