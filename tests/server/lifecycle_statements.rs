//! What documents' states allow in statements for many rows, by the verbs for many documents, in triggers and transactions of
//! others.

use crate::lifecycle::{
    ADMINISTRATOR, CANCELLER, FULL, ORDERS, PARTS, READER, SUBMITTER, TABLE, WRITER, assert_outcomes, world,
    world_of,
};
use crate::support::{World, attempt, names, one, refused_with};

/// Two more documents of each state, with rows.
const MORE: &str = "
    INSERT INTO orders (name, region, customer, amount, due, docstatus)
         SELECT o.name || i, 1 + i % 2, o.customer, o.amount, o.due, o.docstatus FROM orders AS o, generate_series(1, 2) AS i;
    INSERT INTO line (parent, item, qty) SELECT o.name, 'nut', 1 FROM orders AS o WHERE length(o.name) = 2";

fn many(outcome: &str) -> &str {
    if outcome == "1" { "3" } else { outcome }
}

#[test]
fn every_transition_of_many_documents_takes_its_rights() {
    for orders in [ORDERS, PARTS] {
        let mut w = world_of(orders);
        w.sql(MORE);
        for (name, set, outcomes) in TABLE.iter().filter(|(_, set, _)| !set.starts_with("name =")) {
            let users = [FULL, WRITER, SUBMITTER, CANCELLER, READER];
            let mut expected: Vec<_> =
                users.into_iter().zip(outcomes.iter().map(|outcome| many(outcome))).collect();
            expected.push((ADMINISTRATOR, many(outcomes[0])));
            for statement in [
                format!("UPDATE orders SET {set} WHERE name LIKE '{name}%'"),
                format!(
                    "UPDATE orders AS o SET {set} FROM (VALUES ('{name}'), ('{name}1'), ('{name}2')) AS v (name) WHERE v.name = o.name"
                ),
            ] {
                assert_outcomes(&w, &statement, &expected);
            }
            let merge = format!(
                "MERGE INTO orders USING (VALUES ('{name}'), ('{name}1'), ('{name}2')) AS v (name) ON orders.name = v.name
                  WHEN MATCHED THEN UPDATE SET {set}"
            );
            assert_outcomes(&w, &merge, &[(FULL, many(outcomes[0])), (SUBMITTER, many(outcomes[2]))]);
            // One of another state among them, and nothing is done.
            if outcomes[0] == "1" {
                let other = if *name == "C" { "S" } else { "C" };
                let mixed = format!("UPDATE orders SET {set} WHERE name LIKE '{name}%' OR name = '{other}'");
                assert_outcomes(&w, &mixed, &[(FULL, "55000"), (ADMINISTRATOR, "55000")]);
            }
        }
    }
}

#[test]
fn verbs_for_many_documents_do_what_they_do_for_one() {
    for orders in [ORDERS, PARTS] {
        let mut w = world_of(orders);
        w.sql(MORE);
        let (denied, wrong) = ("42501", "55000");
        for (verb, name, outcomes) in [
            ("submit", "D", ["3", denied, "3", "3", denied]),
            ("cancel", "S", ["3", denied, denied, "3", denied]),
            ("discard", "D", ["3", "3", "3", "3", denied]),
            ("amend", "C", ["3", denied, denied, denied, denied]),
            ("submit", "C", [wrong; 5]),
            ("cancel", "D", [wrong; 5]),
            ("discard", "S", [wrong; 5]),
            ("amend", "S", [wrong; 5]),
        ] {
            let users = [FULL, WRITER, SUBMITTER, CANCELLER, READER];
            let call = |names: &str| {
                format!("SELECT docperm.{verb}('Order', name) FROM unnest('{{{names}}}'::text[]) AS name")
            };
            let expected: Vec<_> =
                users.into_iter().zip(outcomes).chain([(ADMINISTRATOR, outcomes[0])]).collect();
            assert_outcomes(&w, &call(&format!("{name},{name}1,{name}2")), &expected);
            // One that is in another state stops them all.
            let other = if name == "S" { "C" } else { "S" };
            assert_outcomes(&w, &call(&format!("{name},{other}")), &[(FULL, wrong)]);
        }
        // Children count with their documents, many at a time as well.
        assert_outcomes(&w, "UPDATE line SET qty = 2", &[(FULL, wrong)]);
        assert_outcomes(
            &w,
            "UPDATE line SET qty = 2 WHERE parent LIKE 'D%'",
            &[(FULL, "4"), (WRITER, "4"), (READER, "0")],
        );
        assert_outcomes(&w, "DELETE FROM line WHERE parent LIKE 'D%'", &[(FULL, "4"), (READER, "0")]);
        assert_outcomes(
            &w,
            "UPDATE line SET delivered = true WHERE parent LIKE 'S%'",
            &[(FULL, "4"), (WRITER, denied), (SUBMITTER, "4")],
        );
    }
}

/// By hand, several originals are amended at once, each by one document.
#[test]
fn many_documents_are_amended_by_one_statement() {
    let mut w = world();
    w.sql(MORE);
    let amend = |which: &str| {
        format!(
            "INSERT INTO orders (name, amended_from) SELECT name || '-A', name FROM orders WHERE name {which}"
        )
    };
    assert_outcomes(&w, &amend("LIKE 'C%'"), &[(FULL, "3"), (ADMINISTRATOR, "3"), (WRITER, "42501")]);
    assert_outcomes(&w, &amend("IN ('C', 'S')"), &[(FULL, "55000")]);
    let merge = "MERGE INTO orders USING (VALUES ('C'), ('C1')) AS v (name) ON orders.name = v.name || '-A'
                  WHEN NOT MATCHED THEN INSERT (name, amended_from) VALUES (v.name || '-A', v.name)";
    assert_outcomes(&w, merge, &[(FULL, "2"), (WRITER, "42501")]);
}

/// An upsert is an INSERT to the document that it finds, too.
#[test]
fn an_upsert_takes_the_rights_of_both() {
    let w = world();
    let upsert = |name: &str, docstatus: u8, set: &str| {
        format!(
            "INSERT INTO orders (name, docstatus) VALUES ('{name}', {docstatus}) ON CONFLICT (name) DO UPDATE SET {set}"
        )
    };
    for (statement, full, writer) in [
        (upsert("D", 0, "docstatus = excluded.docstatus + 1"), "1", "42501"),
        (upsert("D", 1, "docstatus = excluded.docstatus"), "1", "42501"),
        (upsert("D", 2, "note = 'x'"), "55000", "55000"),
        (upsert("S", 0, "docstatus = excluded.docstatus"), "55000", "55000"),
        (upsert("S", 0, "note = 'x'"), "1", "42501"),
        (upsert("C", 0, "note = 'x'"), "55000", "55000"),
        (upsert("N", 1, "note = 'x'"), "1", "42501"),
    ] {
        assert_outcomes(&w, &statement, &[(FULL, full), (WRITER, writer), (ADMINISTRATOR, full)]);
    }
    let nothing = "INSERT INTO orders (name, docstatus) VALUES ('S', 0), ('N', 0) ON CONFLICT DO NOTHING";
    assert_outcomes(&w, nothing, &[(FULL, "1"), (WRITER, "1")]);
}

/// Triggers that somebody else has put on the table, before docperm's, after it, or at the end of the transaction.
#[test]
fn triggers_of_others_are_held_to_it() {
    let mut w = world();
    w.sql(
        "CREATE FUNCTION reopen() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.docstatus := 0; RETURN NEW; END$$;
         CREATE FUNCTION reopen_s() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN UPDATE orders SET docstatus = 0 WHERE name = 'S'; RETURN NULL; END$$;
         CREATE FUNCTION add_row() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO line (parent) VALUES ('S'); RETURN NULL; END$$;",
    );
    for trigger in [
        "CREATE TRIGGER a BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION reopen()",
        "CREATE TRIGGER zzz BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION reopen()",
        "CREATE TRIGGER zzz AFTER UPDATE ON orders FOR EACH ROW WHEN (NEW.note = 'x') EXECUTE FUNCTION reopen_s()",
        "CREATE TRIGGER a BEFORE UPDATE OF note ON orders FOR EACH STATEMENT EXECUTE FUNCTION reopen_s()",
        "CREATE TRIGGER a AFTER UPDATE OF note ON orders FOR EACH STATEMENT EXECUTE FUNCTION add_row()",
        "CREATE CONSTRAINT TRIGGER a AFTER UPDATE ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.note = 'x') EXECUTE FUNCTION reopen_s()",
        "CREATE CONSTRAINT TRIGGER a AFTER UPDATE ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.note = 'x') EXECUTE FUNCTION add_row()",
    ] {
        w.sql(trigger);
        let mut full = w.acting(FULL);
        let refusal = refused_with(&mut full, "BEGIN; UPDATE orders SET note = 'x' WHERE name = 'S'; COMMIT");
        assert_eq!(refusal, "55000", "{trigger}");
        w.sql("DROP TRIGGER IF EXISTS a ON orders; DROP TRIGGER IF EXISTS zzz ON orders");
        let state = "SELECT docstatus || coalesce(note, '-') || (SELECT count(*) FROM line WHERE parent = 'S') FROM orders WHERE name = 'S'";
        assert_eq!(one(&mut w.admin, state), "1-2", "{trigger}");
    }
}

/// What a subtransaction knew of documents goes with its locks.
#[test]
fn savepoints_keep_nothing_that_they_undo() {
    let mut w = world();
    let mut full = w.acting(FULL);
    for isolation in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        let mut other = w.acting(FULL);
        let begin = format!(
            "BEGIN ISOLATION LEVEL {isolation}; SAVEPOINT a; INSERT INTO line (parent) VALUES ('D'); ROLLBACK TO a"
        );
        attempt(&mut full, &begin).unwrap();
        // The lock is gone with the savepoint, and the document is submitted.
        attempt(&mut other, "SELECT docperm.submit('Order', 'D')").unwrap();
        for row in
            ["INSERT INTO line (parent) VALUES ('D')", "SAVEPOINT a; DELETE FROM line WHERE parent = 'D'"]
        {
            let refusal = refused_with(&mut full, &format!("SAVEPOINT b; {row}"));
            assert_eq!(refusal, "55000", "{isolation}: {row}");
            attempt(&mut full, "ROLLBACK TO b").unwrap();
        }
        attempt(&mut full, "COMMIT").unwrap();
        w.sql("UPDATE orders SET docstatus = 0 WHERE name = 'D'");
    }
    // A cancellation that is undone leaves the document submitted, one that is not leaves it frozen.
    let undone = "BEGIN; SAVEPOINT a; SELECT docperm.cancel('Order', 'S'); ROLLBACK TO a; UPDATE orders SET note = 'x' WHERE name = 'S'; ROLLBACK";
    attempt(&mut full, undone).unwrap();
    let released = "BEGIN; SAVEPOINT a; SELECT docperm.cancel('Order', 'S'); RELEASE a; UPDATE orders SET note = 'x' WHERE name = 'S'";
    assert_eq!(refused_with(&mut full, released), "55000");
    attempt(&mut full, "ROLLBACK").unwrap();
    // A draft whose giving up failed is not given up by the next statement.
    let failed = "BEGIN; SAVEPOINT a; SELECT docperm.discard('Order', 'S')";
    assert_eq!(refused_with(&mut full, failed), "55000");
    let refusal = refused_with(&mut full, "ROLLBACK TO a; UPDATE orders SET docstatus = 2 WHERE name = 'D'");
    assert_eq!(refusal, "55000");
    attempt(&mut full, "ROLLBACK").unwrap();
    assert_eq!(names(&mut w.admin, "SELECT name || docstatus FROM orders"), ["C2", "D0", "S1"]);
}

/// Two sessions with one document, whichever sees the older state.
#[test]
fn an_older_state_commits_no_forbidden_one() {
    for isolation in ["REPEATABLE READ", "SERIALIZABLE"] {
        for (now, then) in [
            ("SELECT docperm.submit('Order', 'D')", "UPDATE orders SET amount = 99 WHERE name = 'D'"),
            ("SELECT docperm.submit('Order', 'D')", "DELETE FROM orders WHERE name = 'D'"),
            ("SELECT docperm.submit('Order', 'D')", "SELECT docperm.discard('Order', 'D')"),
            ("SELECT docperm.submit('Order', 'D')", "INSERT INTO line (parent) VALUES ('D')"),
            ("SELECT docperm.submit('Order', 'D')", "UPDATE line SET qty = 9 WHERE parent = 'D'"),
            ("SELECT docperm.submit('Order', 'D')", "DELETE FROM line WHERE parent = 'D'"),
            ("SELECT docperm.cancel('Order', 'S')", "UPDATE orders SET note = 'x' WHERE name = 'S'"),
            ("SELECT docperm.cancel('Order', 'S')", "UPDATE line SET delivered = true WHERE parent = 'S'"),
            (
                "SELECT docperm.amend('Order', 'C')",
                "INSERT INTO orders (name, amended_from) VALUES ('N', 'C')",
            ),
            ("SELECT docperm.amend('Order', 'C')", "SELECT docperm.amend('Order', 'C')"),
        ] {
            let w: World = world();
            let (mut old, mut new) = (w.acting(FULL), w.acting(FULL));
            attempt(&mut old, &format!("BEGIN ISOLATION LEVEL {isolation}; SELECT FROM orders, line"))
                .unwrap();
            attempt(&mut new, now).unwrap();
            let refusal = refused_with(&mut old, then);
            assert!(["55000", "40001"].contains(&&*refusal), "{isolation}: {now}, {then}: {refusal}");
        }
    }
}

/// The optimistic lock holds for each of many documents: one that has been changed since stops the statement.
#[test]
fn many_changes_are_refused_if_one_is_made_from_an_older_state() {
    for orders in [ORDERS, PARTS] {
        let mut w = world_of(orders);
        w.sql(MORE);
        let (mut one_of_them, mut other) = (w.acting(FULL), w.acting(WRITER));
        let drafts = "SELECT string_agg(format('(%L, %L::timestamptz)', name, changed), ', ' ORDER BY name) FROM orders WHERE name LIKE 'D%'";
        let save = |read: &str, body: u8| {
            [
                format!(
                    "UPDATE orders AS o SET amount = {body}, changed = v.changed FROM (VALUES {read}) AS v (name, changed) WHERE v.name = o.name"
                ),
                format!(
                    "MERGE INTO orders AS o USING (VALUES {read}) AS v (name, changed) ON v.name = o.name
                      WHEN MATCHED THEN UPDATE SET amount = {body}, changed = v.changed"
                ),
            ]
        };
        for way in 0..2 {
            let read = one(&mut one_of_them, drafts);
            attempt(&mut other, &save(&read, 1)[way]).unwrap();
            let again = one(&mut one_of_them, drafts);
            attempt(&mut other, "UPDATE orders SET amount = 2 WHERE name = 'D1'").unwrap();
            for stale in [&read, &again] {
                assert_eq!(refused_with(&mut one_of_them, &save(stale, 3)[way]), "40001");
            }
            assert_eq!(
                names(&mut w.admin, "SELECT name || amount FROM orders WHERE name LIKE 'D%'"),
                ["D1", "D12", "D21"]
            );
            let now = one(&mut one_of_them, drafts);
            attempt(&mut one_of_them, &save(&now, 4)[way]).unwrap();
        }
    }
}
