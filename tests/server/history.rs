//! What is written down of changes, who is told of it, and that nobody forges or erases it.

use crate::support::{World, attempt, names, one, refused_with, set_user, table, texts};
use postgres::Client;

const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";
const BOSS: &str = "boss@erp.test";

/// Ann reads invoices of level 0, the boss of level 1 as well; Bob reads none.
fn world() -> World {
    let mut w = World::new(
        "CREATE TABLE invoice (name text PRIMARY KEY, customer text, total numeric(30,10), margin int, paid boolean, scan bytea, extra jsonb,
                               docstatus smallint DEFAULT 0, modified timestamptz, modified_by text);
         CREATE TABLE invoice_line (id int PRIMARY KEY, parent text REFERENCES invoice ON UPDATE CASCADE ON DELETE CASCADE, item text, cost int);
         CREATE TABLE note (name text PRIMARY KEY, body text);
         CREATE TABLE remark (parent text, parenttype text, body text);
         CREATE TABLE visit (id int, at date, note text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
         CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
         CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM ('2026-07-01') TO ('2027-01-01');
         SELECT docperm.protect('invoice', 'Invoice', track_changes => true, modified_by_column => 'modified_by'),
                docperm.protect('invoice_line', 'Invoice Line', parent_doctype => 'Invoice', parent_column => 'parent'),
                docperm.protect('note', 'Note'), docperm.protect('visit', 'Visit', track_changes => true),
                docperm.protect('remark', 'Remark', parent_column => 'parent', parenttype_column => 'parenttype');
         SELECT docperm.set_field('Invoice', 'margin', permlevel => 1), docperm.set_field('Invoice Line', 'cost', permlevel => 1);",
    );
    w.user(ANN, &["Clerk"]);
    w.user(BOB, &["Visitor"]);
    w.user(BOSS, &["Clerk", "Boss"]);
    for doctype in ["Invoice", "Visit", "Note"] {
        w.rule(doctype, "Clerk", "{read,write,create,delete}");
    }
    w.rule("Visit", "Visitor", "{read}");
    w.sql("INSERT INTO docperm.role_permissions (doctype, role, permlevel, rights) VALUES ('Invoice', 'Boss', 0, '{read}'), ('Invoice', 'Boss', 1, '{read,write}')");
    w
}

/// What a user is told of a document, the earliest first.
fn told(c: &mut Client, doctype: &str, document: &str) -> Vec<String> {
    texts(
        c,
        &format!(
            "SELECT concat_ws(' ', action, child_doctype, child_name, changed_by, changes)
               FROM docperm.document_history('{doctype}', '{document}') ORDER BY id"
        ),
    )
}

#[test]
fn what_was_changed_is_written_down_with_old_and_new_values() {
    let mut w = world();
    let mut c = w.acting(BOSS);
    for statement in [
        "INSERT INTO invoice (name, customer, total, margin, paid, extra) VALUES ('I1', 'Öl & \"Gas\"', 12345678901234567890.5, 7, false, '{\"a\": 1.10}')",
        "UPDATE invoice SET paid = true, total = 12345678901234567891.5, customer = NULL",
        "UPDATE invoice SET scan = 'abcd', extra = '{\"a\": 1.1}', docstatus = 1",
        // Nothing changes, or nothing that counts.
        "UPDATE invoice SET paid = true",
        "UPDATE invoice SET modified_by = 'boss@erp.test'",
        "UPDATE invoice SET docstatus = 2, margin = NULL",
    ] {
        attempt(&mut c, statement).unwrap_or_else(|error| panic!("{statement}\n{error:#?}"));
    }
    let by = "boss@erp.test";
    let expected = [
        format!("insert {by}"),
        format!(
            r#"update {by} {{"paid": {{"new": true, "old": false}}, "total": {{"new": "12345678901234567891.5000000000", "old": "12345678901234567890.5000000000"}}, "customer": {{"new": null, "old": "Öl & \"Gas\""}}}}"#
        ),
        format!(
            r#"update {by} {{"scan": {{"new": "(4 bytes)", "old": null}}, "extra": {{"new": "{{\"a\": 1.1}}", "old": "{{\"a\": 1.10}}"}}, "docstatus": {{"new": 1, "old": 0}}}}"#
        ),
        format!(
            r#"update {by} {{"margin": {{"new": null, "old": 7}}, "docstatus": {{"new": 2, "old": 1}}}}"#
        ),
    ];
    assert_eq!(told(&mut c, "Invoice", "I1"), expected);
    attempt(&mut c, "DELETE FROM invoice").unwrap();
    assert!(told(&mut c, "Invoice", "I1").is_empty());
    let last = table(
        &mut w.admin,
        "SELECT action, gone, changes #>> '{paid,old}', changes ? 'customer', changed_by, database_role, impersonated_by, transaction_id > '0'
           FROM docperm.document_changes ORDER BY id DESC LIMIT 1",
    );
    assert_eq!(last, [["delete", "t", "true", "f", BOSS, &w.app_role, "NULL", "t"]]);
    assert_eq!(
        one(&mut w.admin, "SELECT count(*) FROM docperm.document_changes WHERE doctype = 'Note'"),
        "0"
    );
}

#[test]
fn long_values_are_kept_in_part() {
    let mut w = world();
    let mut c = w.acting(BOSS);
    attempt(
        &mut c,
        "INSERT INTO invoice (name) VALUES ('I1'); UPDATE invoice SET customer = repeat('ä', 8192)",
    )
    .unwrap();
    attempt(&mut c, "UPDATE invoice SET customer = repeat('ä', 8193)").unwrap();
    let kept = table(
        &mut w.admin,
        "SELECT length(changes #>> '{customer,old}'), right(changes #>> '{customer,new}', 20), length(changes #>> '{customer,new}')
           FROM docperm.document_changes ORDER BY id DESC LIMIT 1",
    );
    assert_eq!(
        kept,
        [[
            "8192",
            "äääää… (8193 characters)"
                .chars()
                .rev()
                .take(20)
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
                .collect::<String>()
                .as_str(),
            "8211"
        ]]
    );
}

#[test]
fn columns_above_the_readers_level_are_left_out() {
    let mut w = world();
    let mut boss = w.acting(BOSS);
    for statement in [
        "INSERT INTO invoice (name, total) VALUES ('I1', 1)",
        "UPDATE invoice SET total = 2, margin = 10",
        "UPDATE invoice SET margin = 11",
        "INSERT INTO invoice_line VALUES (1, 'I1', 'bolt', 5)",
        "UPDATE invoice_line SET cost = 6",
    ] {
        attempt(&mut boss, statement).unwrap_or_else(|error| panic!("{statement}\n{error:#?}"));
    }
    let everything = told(&mut boss, "Invoice", "I1");
    assert_eq!(everything.len(), 5);
    let mut ann = w.acting(ANN);
    let for_ann = [
        "insert boss@erp.test",
        r#"update boss@erp.test {"total": {"new": "2.0000000000", "old": "1.0000000000"}}"#,
        r#"insert Invoice Line 1 boss@erp.test {"id": {"new": 1}, "item": {"new": "bolt"}}"#,
    ];
    let history = "SELECT concat_ws(' ', action, child_doctype, child_name, changed_by, changes)
                     FROM docperm.document_history('Invoice', 'I1') ORDER BY id";
    assert_eq!(texts(&mut ann, history), for_ann);
    assert!(told(&mut w.acting(BOB), "Invoice", "I1").is_empty(), "he reads no invoice");
    assert!(told(&mut w.app(), "Invoice", "I1").is_empty(), "Guest");
    assert!(told(&mut ann, "Invoice", "I2").is_empty(), "there is none");
    assert_eq!(told(&mut w.acting("Administrator"), "Invoice", "I1"), everything);

    // A statement that was prepared before a change follows it.
    ann.batch_execute(&format!("SET plan_cache_mode = force_generic_plan; PREPARE p AS {history}")).unwrap();
    assert_eq!(texts(&mut ann, "EXECUTE p"), for_ann);
    w.sql("INSERT INTO docperm.role_permissions (doctype, role, permlevel, rights) VALUES ('Invoice', 'Clerk', 1, '{read}')");
    assert_eq!(texts(&mut ann, "EXECUTE p"), everything);
    w.sql("DELETE FROM docperm.role_permissions WHERE permlevel = 1 AND role = 'Clerk'");
    assert_eq!(texts(&mut ann, "EXECUTE p"), for_ann);
    set_user(&mut ann, BOB);
    assert!(texts(&mut ann, "EXECUTE p").is_empty());
    set_user(&mut ann, ANN);

    // The level that a column had counts like the one that it has.
    w.sql("SELECT docperm.set_field('Invoice', 'margin', permlevel => 0)");
    assert_eq!(texts(&mut ann, "EXECUTE p"), for_ann);
    w.sql("SELECT docperm.set_field('Invoice', 'total', permlevel => 1)");
    assert!(!texts(&mut ann, "EXECUTE p").concat().contains("total"));
    w.sql("SELECT docperm.set_field('Invoice', 'total', permlevel => 0)");
    // What becomes of a column's name is no way to what it held.
    w.sql("ALTER TABLE invoice RENAME total TO amount");
    assert!(!told(&mut boss, "Invoice", "I1").concat().contains("total"));
    assert!(told(&mut w.acting("Administrator"), "Invoice", "I1").concat().contains("total"));
    w.sql("ALTER TABLE invoice RENAME amount TO total");

    // Nobody is told through a function what his database role may not SELECT.
    let app = w.app_role.clone();
    w.sql(&format!("REVOKE SELECT ON invoice FROM {app}; GRANT SELECT (name, customer) ON invoice TO {app}"));
    assert!(!texts(&mut ann, "EXECUTE p").concat().contains("total"));
    w.sql(&format!("REVOKE SELECT (name, customer) ON invoice FROM {app}"));
    assert_eq!(refused_with(&mut ann, "EXECUTE p"), "42501");
}

#[test]
fn changes_of_child_rows_belong_to_their_document() {
    let mut w = world();
    let mut c = w.acting(BOSS);
    for statement in [
        "INSERT INTO invoice (name) VALUES ('I1'), ('I2')",
        "INSERT INTO invoice_line VALUES (1, 'I1', 'bolt', NULL), (2, 'I1', 'nut', NULL)",
        "UPDATE invoice_line SET item = item || 's'",
        "UPDATE invoice_line SET parent = 'I2' WHERE id = 2",
        // Rows that follow their document stay where they are.
        "UPDATE invoice SET name = 'I9' WHERE name = 'I1'",
        "DELETE FROM invoice_line WHERE id = 1",
    ] {
        attempt(&mut c, statement).unwrap_or_else(|error| panic!("{statement}\n{error:#?}"));
    }
    let by = "boss@erp.test";
    assert_eq!(
        told(&mut c, "Invoice", "I9"),
        [
            format!("insert {by}"),
            format!(r#"insert Invoice Line 1 {by} {{"id": {{"new": 1}}, "item": {{"new": "bolt"}}}}"#),
            format!(r#"insert Invoice Line 2 {by} {{"id": {{"new": 2}}, "item": {{"new": "nut"}}}}"#),
            format!(r#"update Invoice Line 1 {by} {{"item": {{"new": "bolts", "old": "bolt"}}}}"#),
            format!(r#"update Invoice Line 2 {by} {{"item": {{"new": "nuts", "old": "nut"}}}}"#),
            format!(r#"delete Invoice Line 2 {by} {{"id": {{"old": 2}}, "item": {{"old": "nuts"}}}}"#),
            format!(r#"rename {by} {{"name": {{"new": "I9", "old": "I1"}}}}"#),
            format!(r#"delete Invoice Line 1 {by} {{"id": {{"old": 1}}, "item": {{"old": "bolts"}}}}"#),
        ]
    );
    assert_eq!(told(&mut c, "Invoice", "I2").len(), 2);
    assert!(told(&mut c, "Invoice", "I1").is_empty());

    // Rows without a name, of documents of several doctypes, of which one is tracked.
    w.sql("INSERT INTO note VALUES ('N1', NULL); INSERT INTO remark VALUES ('I9', 'Invoice', 'well'), ('N1', 'Note', 'oh')");
    assert_eq!(
        told(&mut c, "Invoice", "I9").last().unwrap(),
        r#"insert Remark Guest {"body": {"new": "well"}}"#
    );
    assert!(told(&mut c, "Note", "N1").is_empty());
}

/// Another document of the name of one that is gone has another history.
#[test]
fn the_next_document_of_a_name_has_no_part_in_the_history() {
    let mut w = world();
    let mut c = w.acting(BOSS);
    let statements = "INSERT INTO invoice (name, total) VALUES ('I1', 1); UPDATE invoice SET total = 2; DELETE FROM invoice";
    attempt(&mut c, statements).unwrap();
    attempt(&mut c, "INSERT INTO invoice (name) VALUES ('I1')").unwrap();
    assert_eq!(told(&mut w.acting(ANN), "Invoice", "I1"), ["insert boss@erp.test"]);
    let all = |c: &mut Client| {
        texts(c, "SELECT action, gone FROM docperm.document_history('Invoice', 'I1') ORDER BY id")
    };
    assert_eq!(all(&mut w.acting("Administrator")), ["insert|t", "update|t", "delete|t", "insert|f"]);
    // A document that takes a name takes its own history there, and finds none.
    attempt(&mut c, "INSERT INTO invoice (name) VALUES ('I2'); UPDATE invoice SET total = 5; DELETE FROM invoice WHERE name = 'I1'").unwrap();
    attempt(&mut c, "UPDATE invoice SET name = 'I1'").unwrap();
    assert_eq!(all(&mut w.acting(ANN)), ["insert|f", "update|f", "rename|f"]);
    // Two that exchange their names exchange their histories.
    attempt(&mut c, "INSERT INTO invoice (name, paid) VALUES ('I5', true)").unwrap();
    attempt(&mut c, "UPDATE invoice SET name = CASE name WHEN 'I1' THEN 'I5' ELSE 'I1' END").unwrap_or_else(
        |error| {
            assert_eq!(error.sqlstate, "23505", "the key is checked row by row");
            vec![]
        },
    );
    w.sql("ALTER TABLE invoice_line DROP CONSTRAINT invoice_line_parent_fkey; ALTER TABLE invoice DROP CONSTRAINT invoice_pkey, ADD UNIQUE (name) DEFERRABLE");
    attempt(&mut c, "UPDATE invoice SET name = CASE name WHEN 'I1' THEN 'I5' ELSE 'I1' END").unwrap();
    assert_eq!(all(&mut w.acting(ANN)), ["insert|f", "rename|f"]);

    // With the table, or all of its rows, all documents go.
    w.sql("TRUNCATE invoice, invoice_line; INSERT INTO invoice (name) VALUES ('I1')");
    assert_eq!(all(&mut w.acting(ANN)), ["insert|f"]);
    w.sql("DROP TABLE invoice CASCADE; CREATE TABLE invoice (name text PRIMARY KEY); INSERT INTO invoice VALUES ('I1'); SELECT docperm.protect('invoice', 'Invoice')");
    w.grant_tables();
    assert!(all(&mut w.acting(ANN)).is_empty());
    let marks = "SELECT action, gone, count(*) FROM docperm.document_changes WHERE document = '' GROUP BY 1, 2 ORDER BY 1";
    assert_eq!(texts(&mut w.admin, marks), ["truncate|t|2", "unprotect|t|1"]);
}

#[test]
fn partitions_are_watched_like_other_tables() {
    let mut w = world();
    let mut c = w.acting(BOSS);
    let history = |c: &mut Client, id: u8| {
        texts(
            c,
            &format!("SELECT action, changes FROM docperm.document_history('Visit', '{id}') ORDER BY id"),
        )
    };
    for statement in [
        "INSERT INTO visit VALUES (1, '2026-02-01', 'a'), (2, '2026-08-01', 'b')",
        "INSERT INTO visit_1 VALUES (3, '2026-03-01', 'c')",
        "UPDATE visit SET note = note || '!' WHERE id <> 2",
        "UPDATE visit_2 SET note = 'x'",
        "UPDATE visit SET at = '2026-09-01' WHERE id = 1",
    ] {
        attempt(&mut c, statement).unwrap_or_else(|error| panic!("{statement}\n{error:#?}"));
    }
    let first = [
        "insert|NULL",
        r#"update|{"note": {"new": "a!", "old": "a"}}"#,
        r#"update|{"at": {"new": "2026-09-01", "old": "2026-02-01"}}"#,
    ];
    assert_eq!(history(&mut c, 1), first);
    assert_eq!(history(&mut c, 2), ["insert|NULL", r#"update|{"note": {"new": "x", "old": "b"}}"#]);
    assert_eq!(history(&mut c, 3), ["insert|NULL", r#"update|{"note": {"new": "c!", "old": "c"}}"#]);

    // MERGE shows triggers no row that it moves as one that it updates.
    attempt(
        &mut c,
        "MERGE INTO visit USING (VALUES (1, '2026-04-01'::date), (2, NULL), (3, '2026-03-02'), (4, '2026-05-05')) v (id, at) ON visit.id = v.id
          WHEN MATCHED AND v.at IS NULL THEN DELETE
          WHEN MATCHED THEN UPDATE SET at = v.at
          WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.at, 'new')",
    )
    .unwrap();
    assert_eq!(
        history(&mut c, 1)[3..],
        [
            r#"update|{"at": {"old": "2026-09-01"}, "id": {"old": 1}, "note": {"old": "a!"}}"#,
            r#"update|{"at": {"new": "2026-04-01"}, "id": {"new": 1}, "note": {"new": "a!"}}"#,
        ]
    );
    assert!(history(&mut c, 2).is_empty());
    assert_eq!(history(&mut c, 3)[2..], [r#"update|{"at": {"new": "2026-03-02", "old": "2026-03-01"}}"#]);
    assert_eq!(history(&mut c, 4), ["insert|NULL"]);
    assert_eq!(
        texts(
            &mut w.acting("Administrator"),
            "SELECT action, gone FROM docperm.document_history('Visit', '2') ORDER BY id"
        ),
        ["insert|t", "update|t", "delete|t"]
    );
    attempt(&mut c, "MERGE INTO visit_1 USING (VALUES (9)) v (id) ON visit_1.id = v.id WHEN NOT MATCHED THEN INSERT VALUES (9, '2026-06-01', 'leaf')").unwrap();
    assert_eq!(history(&mut c, 9), ["insert|NULL"], "once");

    // With a partition, its documents go.
    w.sql(
        "ALTER TABLE visit DETACH PARTITION visit_1; INSERT INTO visit VALUES (4, '2026-12-01', 'another')",
    );
    assert_eq!(history(&mut c, 4), ["insert|NULL"]);
    w.sql("INSERT INTO visit_1 VALUES (77, '2026-01-01', 'no document any more')");
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.document_changes WHERE document = '77'"), "0");
    w.sql("TRUNCATE visit_2; INSERT INTO visit VALUES (4, '2026-12-01', 'yet another')");
    assert_eq!(history(&mut c, 4), ["insert|NULL"]);
}

#[test]
fn nobody_forges_it_or_erases_it() {
    let mut w = world();
    let app = w.app_role.clone();
    w.sql(&format!("CREATE SCHEMA own AUTHORIZATION {app}"));
    let mut c = w.acting(BOSS);
    attempt(&mut c, "INSERT INTO invoice (name) VALUES ('I1'); UPDATE invoice SET total = 1").unwrap();
    c.batch_execute("CREATE TABLE own.invoice (name text)").unwrap();
    for refused in [
        "SELECT * FROM docperm.document_changes",
        "INSERT INTO docperm.document_changes (at, doctype, document, action, changed_by, database_role) VALUES (now(), 'Invoice', 'I1', 'update', 'bob@erp.test', 'x')",
        "UPDATE docperm.document_changes SET changed_by = 'bob@erp.test'",
        "DELETE FROM docperm.document_changes",
        "TRUNCATE docperm.document_changes",
        "SELECT nextval('docperm.document_changes_id_seq')",
        "SELECT docperm._note_gone('Invoice')",
        "SELECT docperm._close_history('Invoice', 'truncate')",
        "SELECT docperm._dress_history('own.invoice', 'Invoice')",
        "SELECT docperm._undress_history('invoice')",
        "CREATE TRIGGER x AFTER INSERT ON own.invoice REFERENCING NEW TABLE AS t FOR EACH STATEMENT EXECUTE FUNCTION docperm._record_changes('Invoice')",
        "DROP TRIGGER docperm_history_update ON invoice",
        "ALTER TABLE invoice DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "SELECT docperm.clear_document_history('0')",
    ] {
        assert_eq!(refused_with(&mut c, refused), "42501", "{refused}");
    }
    // Not even one who may execute it writes the history of another's documents by a table of his own.
    w.sql(&format!("GRANT EXECUTE ON FUNCTION docperm._record_changes() TO {app}"));
    attempt(&mut c, "CREATE TRIGGER x AFTER INSERT ON own.invoice REFERENCING NEW TABLE AS t FOR EACH STATEMENT EXECUTE FUNCTION docperm._record_changes('Invoice')").unwrap();
    attempt(&mut c, "INSERT INTO own.invoice VALUES ('I1')").unwrap();
    assert_eq!(told(&mut c, "Invoice", "I1").len(), 2);
    assert_eq!(refused_with(&mut c, "SELECT docperm._record_changes()"), "39P01");

    // What is rolled back was not.
    attempt(&mut c, "BEGIN; UPDATE invoice SET total = 3; SAVEPOINT s; UPDATE invoice SET total = 4; ROLLBACK TO s; COMMIT").unwrap();
    attempt(&mut c, "BEGIN; UPDATE invoice SET total = 5; ROLLBACK").unwrap();
    assert_eq!(told(&mut c, "Invoice", "I1").len(), 3);
    assert_eq!(refused_with(&mut c, "UPDATE invoice SET total = 1 / 0"), "22012");
    assert_eq!(told(&mut c, "Invoice", "I1").len(), 3);
    // Nor is it switched off with the triggers of a replica.
    w.sql("SET session_replication_role = replica; UPDATE invoice SET total = 6; RESET session_replication_role");
    assert_eq!(told(&mut c, "Invoice", "I1").len(), 4);
}

/// A value that is written by one user, in a statement of another, or by code of a third.
#[test]
fn who_acts_is_written_down_as_it_is() {
    let mut w = world();
    w.sql("CREATE FUNCTION deed() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$UPDATE invoice SET total = 9$$;
           SELECT docperm.set_password('ann@erp.test', 'Correct-Horse-8'), docperm.set_password('Administrator', 'Correct-Horse-9');
           INSERT INTO invoice (name) VALUES ('I1')");
    let mut c = w.app();
    attempt(&mut c, "SELECT docperm.login('Administrator', 'Correct-Horse-9')").unwrap();
    attempt(&mut c, "SELECT docperm.impersonate('ann@erp.test', 'to look')").unwrap();
    attempt(&mut c, "UPDATE invoice SET total = 8; SELECT deed()").unwrap();
    let role = w.app_role.clone();
    let changed = table(
        &mut w.admin,
        "SELECT changed_by, impersonated_by, database_role FROM docperm.document_changes WHERE action = 'update' ORDER BY id",
    );
    assert_eq!(changed, [[ANN, "Administrator", &role], [ANN, "Administrator", &role]]);
    let seen = "SELECT DISTINCT changed_by, impersonated_by FROM docperm.document_history('Invoice', 'I1') WHERE action = 'update'";
    assert_eq!(texts(&mut w.acting(ANN), seen), ["ann@erp.test|Administrator"]);
    w.sql("UPDATE docperm.users SET name = 'anna@erp.test' WHERE name = 'ann@erp.test'");
    assert_eq!(texts(&mut w.acting(BOSS), seen), ["anna@erp.test|Administrator"]);
}

#[test]
fn it_is_switched_on_and_off_and_follows_the_doctype() {
    let mut w = world();
    let triggers = |w: &mut World| {
        texts(
            &mut w.admin,
            "SELECT tgrelid::regclass, count(*) FROM pg_trigger WHERE tgname LIKE 'docperm\\_history%' GROUP BY 1 ORDER BY 1",
        )
    };
    let watched = ["invoice|4", "invoice_line|4", "remark|4", "visit_1|5", "visit_2|5", "visit|5"];
    let mut found = triggers(&mut w);
    found.sort();
    let mut expected = watched.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected);
    w.sql("UPDATE docperm.doctypes SET track_changes = false WHERE name = 'Invoice'");
    assert_eq!(triggers(&mut w).len(), 4, "remarks belong to visits as well");
    w.sql("SELECT docperm.protect('note', 'Note', track_changes => true)");
    assert_eq!(triggers(&mut w).len(), 5);
    w.sql("SELECT docperm.protect('invoice', 'Invoice', track_changes => true); CREATE TABLE visit_3 PARTITION OF visit FOR VALUES FROM ('2027-01-01') TO ('2027-07-01')");
    assert_eq!(triggers(&mut w).len(), 8);

    let mut c = w.acting(BOSS);
    attempt(&mut c, "INSERT INTO invoice (name) VALUES ('I1')").unwrap();
    attempt(&mut c, "INSERT INTO invoice_line VALUES (1, 'I1', 'x', NULL)").unwrap();
    w.sql("UPDATE docperm.doctypes SET name = 'Bill' WHERE name = 'Invoice'; UPDATE docperm.doctypes SET name = 'Bill Line' WHERE name = 'Invoice Line'");
    attempt(&mut c, "UPDATE invoice SET total = 1").unwrap();
    assert_eq!(
        texts(&mut c, "SELECT action, child_doctype FROM docperm.document_history('Bill', 'I1') ORDER BY id"),
        ["insert|NULL", "insert|Bill Line", "update|NULL"]
    );
    assert_eq!(refused_with(&mut c, "SELECT * FROM docperm.document_history('Invoice', 'I1')"), "42704");
    w.sql("SELECT docperm.unprotect('invoice_line'), docperm.unprotect('invoice'), docperm.unprotect('note'), docperm.unprotect('visit')");
    assert!(triggers(&mut w).is_empty());
    assert_eq!(refused_with(&mut c, "SELECT * FROM docperm.document_history('Bill', 'I1')"), "42704");
    let kept = "SELECT count(*), bool_and(gone) FROM docperm.document_history('Bill', 'I1')";
    assert_eq!(texts(&mut w.acting("Administrator"), kept), ["3|t"], "administrators still see it");
}

#[test]
fn old_history_can_be_cleared_by_administrators() {
    let mut w = world();
    let mut c = w.acting(BOSS);
    attempt(&mut c, "INSERT INTO invoice (name) VALUES ('I1'); INSERT INTO visit VALUES (1, '2026-01-01')")
        .unwrap();
    w.sql("UPDATE docperm.document_changes SET at = now() - interval '2 days'");
    attempt(&mut c, "UPDATE invoice SET total = 1").unwrap();
    let mut admin = w.acting("Administrator");
    assert_eq!(refused_with(&mut admin, "SELECT docperm.clear_document_history(NULL)"), "22023");
    assert_eq!(refused_with(&mut admin, "SELECT docperm.clear_document_history('-1 day')"), "22023");
    assert_eq!(refused_with(&mut admin, "SELECT docperm.clear_document_history('1 day', 'Nope')"), "42704");
    assert_eq!(one(&mut admin, "SELECT docperm.clear_document_history('1 day', 'Visit')"), "1");
    assert_eq!(one(&mut admin, "SELECT docperm.clear_document_history('1 day')"), "1");
    assert_eq!(told(&mut c, "Invoice", "I1").len(), 1);
    let log =
        "SELECT detail FROM docperm.activity_log WHERE operation = 'Clear Document History' ORDER BY id";
    assert_eq!(names(&mut w.admin, log), ["1 rows older than 1 day", "1 rows older than 1 day of Visit"]);
}

#[test]
fn many_rows_are_written_by_one_statement() {
    let mut w = world();
    let mut c = w.acting(BOSS);
    attempt(&mut c, "INSERT INTO invoice (name, total) SELECT i, i FROM generate_series(1, 25000) i")
        .unwrap();
    attempt(&mut c, "UPDATE invoice SET total = total + 1").unwrap();
    attempt(&mut c, "UPDATE invoice SET name = 'x' || name WHERE total > 20001").unwrap();
    attempt(&mut c, "DELETE FROM invoice").unwrap();
    let counts =
        "SELECT action, count(*), count(DISTINCT document), bool_and(gone), count(DISTINCT transaction_id)
                    FROM docperm.document_changes GROUP BY 1 ORDER BY 1";
    assert_eq!(
        texts(&mut w.admin, counts),
        [
            "delete|25000|25000|t|1",
            "insert|25000|25000|t|1",
            "rename|5000|5000|t|1",
            "update|25000|25000|t|1"
        ]
    );
}
