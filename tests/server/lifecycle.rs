//! Documents that are submitted, cancelled and amended: what their state allows, and whom.

use crate::support::{World, attempt, names, one, refused, refused_with, run, set_user, table};
use docperm_testkit::{server, texts};
use postgres::SimpleQueryMessage;

pub const FULL: &str = "full@erp.test";
pub const WRITER: &str = "writer@erp.test";
pub const SUBMITTER: &str = "submitter@erp.test";
pub const CANCELLER: &str = "canceller@erp.test";
pub const READER: &str = "reader@erp.test";
pub const ADMINISTRATOR: &str = "Administrator";

/// Orders with lines, whose number is fixed once they are submitted, and with remarks, which come and go.
pub const ORDERS: &str = "
    CREATE TABLE orders (name text PRIMARY KEY, region int, customer text, amount numeric, due date, note text, docstatus smallint,
                         owner text, amended_from text REFERENCES orders ON DELETE SET NULL, changed timestamptz,
                         doubled numeric GENERATED ALWAYS AS (amount * 2) STORED);";

/// The same in partitions, one of which has its columns in another order.
pub const PARTS: &str = "
    CREATE TABLE orders (name text, region int, customer text, amount numeric, due date, note text, docstatus smallint,
                         owner text, amended_from text, changed timestamptz, PRIMARY KEY (name, region)) PARTITION BY LIST (region);
    CREATE TABLE orders_1 PARTITION OF orders FOR VALUES IN (1);
    CREATE TABLE orders_2 (changed timestamptz, amended_from text, owner text, docstatus smallint, note text, due date,
                           amount numeric, customer text, region int NOT NULL, name text NOT NULL);
    ALTER TABLE orders ATTACH PARTITION orders_2 FOR VALUES IN (2);";

const REST: &str = "
    CREATE TABLE line (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent text, item text, qty numeric, delivered boolean);
    CREATE TABLE remark (name text PRIMARY KEY, parent text, parenttype text, body text);
    CREATE INDEX ON line (parent);
    INSERT INTO orders VALUES ('D', 1, 'Ann', 10.00, '2026-01-01', NULL, 0), ('S', 1, 'Ann', 10.00, '2026-01-01', NULL, 1),
                              ('C', 1, 'Ann', 10.00, '2026-01-01', NULL, 2);
    INSERT INTO line (parent, item, qty) SELECT d, i, 1 FROM unnest('{D,S,C}'::text[]) AS d, unnest('{nut,bolt}'::text[]) AS i;
    INSERT INTO remark SELECT 'R-' || d, d, 'Order', 'fine' FROM unnest('{D,S,C}'::text[]) AS d;
    SELECT docperm.protect('orders', 'Order', name_column => 'name', owner_column => 'owner', docstatus_column => 'docstatus',
                           amended_from_column => 'amended_from', modified_column => 'changed');
    SELECT docperm.protect('line', 'Line', parent_doctype => 'Order', parent_column => 'parent');
    SELECT docperm.protect('remark', 'Remark', parent_column => 'parent', parenttype_column => 'parenttype');
    SELECT docperm.set_field('Order', 'note', allow_on_submit => true);
    SELECT docperm.set_field('Line', 'delivered', allow_on_submit => true);
    SELECT docperm.set_field('Remark', 'parent', allow_on_submit => true);";

pub fn world_of(orders: &str) -> World {
    let mut w = World::new(&format!("{orders}{REST}"));
    for (user, role, rights) in [
        (FULL, "Full", "{read,write,create,delete,submit,cancel,amend}"),
        (WRITER, "Writer", "{read,write,create,delete}"),
        (SUBMITTER, "Submitter", "{read,write,submit}"),
        (CANCELLER, "Canceller", "{read,write,submit,cancel}"),
        (READER, "Reader", "{read}"),
    ] {
        w.user(user, &[role]);
        w.rule("Order", role, rights);
    }
    w
}

pub fn world() -> World {
    world_of(ORDERS)
}

/// What a statement comes to: the number of rows, or an SQLSTATE. Nothing of it stays.
pub fn outcome(w: &World, user: &str, statement: &str) -> String {
    let mut client = w.acting(user);
    client.batch_execute("BEGIN").unwrap();
    match attempt(&mut client, statement) {
        Ok(messages) => {
            let rows = messages.iter().rev().find_map(|message| match message {
                SimpleQueryMessage::CommandComplete(rows) => Some(rows.to_string()),
                _ => None,
            });
            rows.expect("a command tag")
        }
        Err(error) => {
            if ["42501", "55000"].contains(&&*error.sqlstate) && !error.message.contains("row-level security")
            {
                assert!(error.detail.is_some() && error.hint.is_some(), "{statement}: {error:?}");
            }
            error.sqlstate
        }
    }
}

#[track_caller]
pub fn assert_outcomes(w: &World, statement: &str, expected: &[(&str, &str)]) {
    for (user, outcome_of_user) in expected {
        assert_eq!(outcome(w, user, statement), *outcome_of_user, "{user}: {statement}");
    }
}

/// Documents, what is set in them, and what that comes to for who has all rights, write, submit, submit and cancel, and read
/// alone.
pub const TABLE: &[(&str, &str, [&str; 5])] = &[
    ("D", "customer = 'Bob', amount = 3", ["1", "1", "1", "1", "0"]),
    ("D", "docstatus = 0", ["1", "1", "1", "1", "0"]),
    ("D", "name = 'D-2'", ["1", "1", "1", "1", "0"]),
    ("D", "docstatus = 1", ["1", "42501", "1", "1", "0"]),
    ("D", "docstatus = 1, customer = 'Bob'", ["1", "42501", "1", "1", "0"]),
    ("D", "docstatus = 2", ["55000", "55000", "55000", "55000", "0"]),
    ("S", "note = 'x'", ["1", "42501", "1", "1", "0"]),
    ("S", "docstatus = 1", ["1", "42501", "1", "1", "0"]),
    ("S", "amount = 10, due = '1 Jan 2026'", ["1", "42501", "1", "1", "0"]),
    ("S", "amount = 10.01", ["55000", "42501", "55000", "55000", "0"]),
    ("S", "customer = NULL", ["55000", "42501", "55000", "55000", "0"]),
    ("S", "name = 'S-2'", ["55000", "42501", "55000", "55000", "0"]),
    ("S", "docstatus = 2", ["1", "42501", "42501", "1", "0"]),
    ("S", "docstatus = 2, note = 'x'", ["1", "42501", "42501", "1", "0"]),
    ("S", "docstatus = 2, amount = 0", ["55000", "42501", "42501", "55000", "0"]),
    ("S", "docstatus = 0", ["55000", "55000", "55000", "55000", "0"]),
    ("S", "docstatus = NULL", ["55000", "55000", "55000", "55000", "0"]),
    ("C", "note = 'x'", ["55000", "55000", "55000", "55000", "0"]),
    ("C", "docstatus = 0", ["55000", "55000", "55000", "55000", "0"]),
    ("C", "docstatus = 1", ["55000", "55000", "55000", "55000", "0"]),
    ("C", "docstatus = 2", ["55000", "55000", "55000", "55000", "0"]),
    ("D", "docstatus = 3", ["22023", "22023", "22023", "22023", "0"]),
    ("S", "docstatus = -1", ["22023", "22023", "22023", "22023", "0"]),
];

fn every_transition(orders: &str) {
    let w = world_of(orders);
    for (name, set, outcomes) in TABLE {
        let [full, writer, submitter, canceller, reader] = outcomes;
        let expected = [
            (FULL, *full),
            (WRITER, writer),
            (SUBMITTER, submitter),
            (CANCELLER, canceller),
            (READER, reader),
        ];
        let merge = format!(
            "MERGE INTO orders USING (VALUES ('{name}')) AS v (name) ON orders.name = v.name WHEN MATCHED THEN UPDATE SET {set}"
        );
        for statement in [
            format!("UPDATE orders SET {set} WHERE name = '{name}'"),
            format!("UPDATE orders SET {set} WHERE name = '{name}' OR name = 'none'"),
            format!("PREPARE p AS UPDATE orders SET {set} WHERE name = $1; EXECUTE p('{name}')"),
        ] {
            assert_outcomes(&w, &statement, &expected);
            // Administrator has all rights, and keeps to the rules all the same.
            assert_outcomes(&w, &statement, &[(ADMINISTRATOR, full)]);
        }
        // A MERGE is refused where an UPDATE passes over what may not be written.
        let merged = expected.map(|(user, outcome)| (user, if outcome == "0" { "42501" } else { outcome }));
        assert_outcomes(&w, &merge, &merged);
        if orders == ORDERS {
            let upsert =
                format!("INSERT INTO orders (name) VALUES ('{name}') ON CONFLICT (name) DO UPDATE SET {set}");
            assert_outcomes(&w, &upsert, &[(FULL, full), (ADMINISTRATOR, full)]);
        }
    }
}

#[test]
fn every_transition_of_the_table_takes_its_rights() {
    every_transition(ORDERS);
}

#[test]
fn every_transition_in_partitions_takes_them_too() {
    every_transition(PARTS);
}

#[test]
fn one_forbidden_row_stops_a_statement_for_many() {
    let mut w = world();
    w.sql(
        "INSERT INTO orders (name, docstatus) SELECT 'D' || i, 0 FROM generate_series(1, 100) AS i;
         INSERT INTO orders (name, docstatus) VALUES ('S9', 1);",
    );
    assert_outcomes(
        &w,
        "UPDATE orders SET docstatus = 1 WHERE docstatus = 0",
        &[(FULL, "101"), (SUBMITTER, "101"), (WRITER, "42501")],
    );
    assert_outcomes(
        &w,
        "UPDATE orders SET docstatus = 1 WHERE name <> 'S'",
        &[(FULL, "55000"), (SUBMITTER, "55000")],
    );
    assert_outcomes(&w, "UPDATE orders SET note = 'x'", &[(FULL, "55000")]);
    assert_outcomes(
        &w,
        "UPDATE orders SET note = 'x' WHERE docstatus IS DISTINCT FROM 2",
        &[(FULL, "103"), (WRITER, "42501")],
    );
    assert_outcomes(
        &w,
        "DELETE FROM orders WHERE docstatus = 0",
        &[(FULL, "101"), (WRITER, "101"), (SUBMITTER, "0")],
    );
    assert_outcomes(
        &w,
        "DELETE FROM orders",
        &[(FULL, "55000"), (WRITER, "55000"), (ADMINISTRATOR, "55000")],
    );
    let made = "INSERT INTO orders (name, docstatus) SELECT 'X' || i, i % 2 FROM generate_series(1, 50) AS i";
    assert_outcomes(&w, made, &[(FULL, "50"), (WRITER, "42501"), (SUBMITTER, "42501")]);
}

#[test]
fn documents_begin_as_drafts_or_submitted() {
    for orders in [ORDERS, PARTS] {
        let mut w = world_of(orders);
        let insert = |docstatus: &str| {
            format!("INSERT INTO orders (name, region, docstatus) VALUES ('N', 2, {docstatus})")
        };
        for draft in ["0", "NULL", "DEFAULT"] {
            assert_outcomes(
                &w,
                &insert(draft),
                &[(FULL, "1"), (WRITER, "1"), (SUBMITTER, "42501"), (ADMINISTRATOR, "1")],
            );
        }
        let expected = [(FULL, "1"), (WRITER, "42501"), (SUBMITTER, "42501"), (ADMINISTRATOR, "1")];
        assert_outcomes(&w, &insert("1"), &expected);
        for docstatus in ["2", "3"] {
            let state = if docstatus == "2" { "55000" } else { "22023" };
            assert_outcomes(
                &w,
                &insert(docstatus),
                &[(FULL, state), (WRITER, state), (ADMINISTRATOR, state)],
            );
        }
        // Without a docstatus it is a draft.
        w.acting(WRITER).batch_execute("INSERT INTO orders (name, region) VALUES ('N', 2)").unwrap();
        assert_eq!(one(&mut w.admin, "SELECT docstatus::text FROM orders WHERE name = 'N'"), "0");
        // One that came without is a draft as well.
        w.sql("UPDATE orders SET docstatus = NULL WHERE name = 'N'");
        w.acting(SUBMITTER).batch_execute("UPDATE orders SET docstatus = 1 WHERE name = 'N'").unwrap();
    }
}

#[test]
fn submitted_documents_are_not_deleted() {
    for orders in [ORDERS, PARTS] {
        let w = world_of(orders);
        for (name, expected) in [("D", "1"), ("S", "55000"), ("C", "1")] {
            let delete = format!("DELETE FROM orders WHERE name = '{name}'");
            assert_outcomes(
                &w,
                &delete,
                &[(FULL, expected), (WRITER, expected), (ADMINISTRATOR, expected), (SUBMITTER, "0")],
            );
            let merge = format!(
                "MERGE INTO orders USING (VALUES ('{name}')) AS v (name) ON orders.name = v.name WHEN MATCHED THEN DELETE"
            );
            assert_outcomes(&w, &merge, &[(FULL, expected)]);
        }
    }
}

#[test]
fn rights_are_asked_of_the_document_itself() {
    let mut w = world();
    w.sql("DELETE FROM docperm.role_permissions; INSERT INTO orders (name, docstatus, owner, customer) VALUES ('own', 0, 'writer@erp.test', 'Ann')");
    w.rule("Order", "Writer", "{read,write,create}");
    w.rule_if_owner("Order", "Writer", "{read,write,submit,cancel}");
    w.rule("Order", "Submitter", "{read,write}");
    w.sql("INSERT INTO docperm.shares (doctype, document, user_name, rights) VALUES ('Order', 'D', 'submitter@erp.test', '{read,write,submit}')");
    let submit = |name: &str| format!("UPDATE orders SET docstatus = 1 WHERE name = '{name}'");
    // The owner alone; who makes a document owns it, whatever he says.
    assert_outcomes(&w, &submit("own"), &[(WRITER, "1"), (SUBMITTER, "42501")]);
    assert_outcomes(&w, &submit("D"), &[(WRITER, "42501"), (SUBMITTER, "1")]);
    assert_outcomes(&w, "INSERT INTO orders (name, docstatus, owner) VALUES ('N', 1, 'x')", &[(WRITER, "1")]);
    // On the document as it was, and as it becomes: a name may be shared under which there is none.
    w.sql("INSERT INTO docperm.shares (doctype, document, user_name, rights) VALUES ('Order', 'N', 'submitter@erp.test', '{read,write,submit}')");
    for (from, to, outcome) in [("D", "N", "1"), ("D", "M", "42501"), ("own", "N", "42501")] {
        let rename = format!("UPDATE orders SET docstatus = 1, name = '{to}' WHERE name = '{from}'");
        assert_outcomes(&w, &rename, &[(SUBMITTER, outcome)]);
    }
    // User permissions: on the document as it was, and as it becomes.
    w.sql("DELETE FROM docperm.role_permissions; CREATE TABLE customer (name text PRIMARY KEY); INSERT INTO customer VALUES ('Ann'), ('Bob');
           SELECT docperm.protect('customer', 'Customer'); SELECT docperm.set_field('Order', 'customer', link_to => 'Customer');");
    w.rule("Order", "Submitter", "{read,write,create,submit}");
    w.allow(SUBMITTER, "Customer", "Bob");
    w.sql("DELETE FROM docperm.shares; UPDATE orders SET customer = 'Bob' WHERE name = 'own'");
    assert_outcomes(&w, &submit("own"), &[(SUBMITTER, "1")]);
    assert_outcomes(&w, &submit("D"), &[(SUBMITTER, "0")]);
    assert_outcomes(
        &w,
        "UPDATE orders SET docstatus = 1, customer = 'Ann' WHERE name = 'own'",
        &[(SUBMITTER, "42501")],
    );
}

#[test]
fn messages_name_documents_to_those_alone_who_may_read_them() {
    let mut w = world();
    w.sql("DELETE FROM docperm.role_permissions");
    w.rule("Order", "Writer", "{write,delete}");
    let mut writer = w.acting(WRITER);
    for statement in ["UPDATE orders SET docstatus = 2", "UPDATE orders SET note = 'x'", "DELETE FROM orders"]
    {
        let error = refused(&mut writer, statement);
        let all = format!("{error:?}");
        assert!(error.sqlstate == "55000" || error.sqlstate == "42501", "{all}");
        assert!(
            !all.contains("\\\"S\\\"") && !all.contains("\\\"C\\\"") && !all.contains("\\\"D\\\""),
            "{all}"
        );
    }
}

// Rows of child tables

#[test]
fn rows_change_with_their_document() {
    for orders in [ORDERS, PARTS] {
        let w = world_of(orders);
        let all = |statement: &str, d: [&str; 3], s: [&str; 3], c: [&str; 3]| {
            for (name, [full, writer, submitter]) in [("D", d), ("S", s), ("C", c)] {
                let statement = statement.replace('?', name);
                assert_outcomes(
                    &w,
                    &statement,
                    &[(FULL, full), (WRITER, writer), (SUBMITTER, submitter), (ADMINISTRATOR, full)],
                );
            }
        };
        let (free, frozen) = (["2"; 3], ["55000"; 3]);
        all(
            "INSERT INTO line (parent, item) SELECT '?', i FROM unnest('{a,b}'::text[]) AS i",
            free,
            frozen,
            frozen,
        );
        all("UPDATE line SET qty = 2 WHERE parent = '?'", free, ["55000", "42501", "55000"], frozen);
        all(
            "UPDATE line SET delivered = true, qty = 1.0 WHERE parent = '?'",
            free,
            ["2", "42501", "2"],
            frozen,
        );
        all("DELETE FROM line WHERE parent = '?'", free, frozen, frozen);
        // Remarks come and go while the document is submitted.
        let one = ["1"; 3];
        all("INSERT INTO remark VALUES ('N', '?', 'Order')", one, ["1", "42501", "1"], frozen);
        all("DELETE FROM remark WHERE parent = '?'", one, ["1", "42501", "1"], frozen);
        all("UPDATE remark SET body = 'x' WHERE parent = '?'", one, ["55000", "42501", "55000"], frozen);
    }
}

#[test]
fn rows_go_from_one_document_to_another_only_where_both_allow_it() {
    let mut w = world();
    w.sql("INSERT INTO orders (name, docstatus) VALUES ('D2', 0), ('S2', 1)");
    for (from, to, line, remark) in [
        ("D", "D2", "2", "1"),
        ("D", "S", "55000", "1"),
        ("S", "D", "55000", "1"),
        ("S", "S2", "55000", "1"),
        ("D", "C", "55000", "55000"),
        ("C", "D", "55000", "55000"),
    ] {
        assert_outcomes(
            &w,
            &format!("UPDATE line SET parent = '{to}' WHERE parent = '{from}'"),
            &[(FULL, line)],
        );
        assert_outcomes(
            &w,
            &format!("UPDATE remark SET parent = '{to}' WHERE parent = '{from}'"),
            &[(FULL, remark)],
        );
    }
    assert_outcomes(
        &w,
        "UPDATE remark SET parent = 'D2', body = 'x' WHERE parent = 'S'",
        &[(FULL, "1"), (WRITER, "42501")],
    );
    // Of no document, or of another doctype: the policies' business.
    assert_outcomes(&w, "UPDATE remark SET parenttype = 'Task' WHERE parent = 'D'", &[(FULL, "42501")]);
    assert_outcomes(&w, "UPDATE line SET parent = NULL WHERE parent = 'D'", &[(FULL, "42501")]);
}

#[test]
fn a_row_that_comes_after_its_document_in_one_statement_finds_it_changed() {
    let w = world();
    for (set, outcome) in [("docstatus = 1", "55000"), ("note = 'x'", "1")] {
        let row = format!(
            "WITH s AS (UPDATE orders SET {set} WHERE name = 'D' RETURNING name) INSERT INTO line (parent) SELECT name FROM s"
        );
        assert_outcomes(&w, &row, &[(FULL, outcome)]);
    }
}

#[test]
fn of_several_documents_of_a_name_the_strictest_counts() {
    let mut w = world_of(PARTS);
    w.sql("INSERT INTO orders (name, region, docstatus) VALUES ('DS', 1, 0), ('DS', 2, 1), ('SD', 1, 1), ('SD', 2, 0), ('DC', 1, 0), ('DC', 2, 2), ('CS', 1, 2), ('CS', 2, 1)");
    for name in ["DS", "SD", "DC", "CS"] {
        let line = format!("INSERT INTO line (parent) VALUES ('{name}')");
        assert_outcomes(&w, &line, &[(FULL, "55000"), (WRITER, "55000")]);
        let remark = format!("INSERT INTO remark VALUES ('N', '{name}', 'Order')");
        let outcomes = if name.contains('C') { ["55000", "55000"] } else { ["1", "42501"] };
        assert_outcomes(&w, &remark, &[(FULL, outcomes[0]), (WRITER, outcomes[1])]);
    }
}

#[test]
fn who_acts_next_in_the_transaction_is_asked_anew() {
    let w = world();
    let mut client = w.acting(SUBMITTER);
    client.batch_execute("BEGIN; INSERT INTO remark VALUES ('N', 'S', 'Order')").unwrap();
    set_user(&mut client, WRITER);
    assert_eq!(refused_with(&mut client, "INSERT INTO remark VALUES ('M', 'S', 'Order')"), "42501");
}

#[test]
fn what_is_submitted_in_the_same_transaction_or_statement_counts() {
    let w = world();
    let submit = "UPDATE orders SET docstatus = 1 WHERE name = 'D'";
    for row in [
        "INSERT INTO line (parent) VALUES ('D')",
        "DELETE FROM line WHERE parent = 'D'",
        "UPDATE line SET qty = qty + 1 WHERE parent = 'D'",
    ] {
        assert_outcomes(&w, &format!("{submit}; {row}"), &[(FULL, "55000")]);
        assert_outcomes(&w, &format!("{row}; {submit}"), &[(FULL, "1")]);
        // What was found of the document before is not believed afterwards.
        let again = row.replace(
            "DELETE FROM line WHERE parent = 'D'",
            "DELETE FROM line WHERE item = 'bolt' AND parent = 'D'",
        );
        let first = again.replace("'bolt'", "'nut'");
        assert_outcomes(&w, &format!("{first}; {submit}; {again}"), &[(FULL, "55000")]);
        let undone = format!("SAVEPOINT a; {submit}; ROLLBACK TO a; {first}; {submit}; SAVEPOINT b; {again}");
        assert_outcomes(&w, &undone, &[(FULL, "55000")]);
        let both = format!("WITH s AS ({submit} RETURNING 1) {row}");
        let refused = outcome(&w, FULL, &both);
        let order = outcome(&w, FULL, &format!("WITH r AS ({row} RETURNING 1) {submit}"));
        assert!(
            ["55000", "1", "2"].contains(&&*refused) && ["55000", "1"].contains(&&*order),
            "{both}: {refused}, {order}"
        );
        let both = format!(
            "WITH s AS ({submit} RETURNING name), t AS ({row} RETURNING 1) SELECT count(*) FROM s, t"
        );
        assert!(["55000", "1"].contains(&&*outcome(&w, FULL, &both)), "{both}");
    }
}

#[test]
fn a_document_that_begins_submitted_has_no_rows_to_come() {
    let w = world();
    let both = "INSERT INTO orders (name, docstatus) VALUES ('N', 1); INSERT INTO line (parent) VALUES ('N')";
    assert_outcomes(&w, both, &[(FULL, "55000")]);
    let draft = "INSERT INTO orders (name) VALUES ('N'); INSERT INTO line (parent) VALUES ('N'); UPDATE orders SET docstatus = 1 WHERE name = 'N'";
    assert_outcomes(&w, draft, &[(FULL, "1")]);
}

#[test]
fn who_may_not_write_a_document_learns_nothing_by_adding_rows_and_keeps_nobody_waiting() {
    let mut w = world();
    w.sql("DELETE FROM docperm.role_permissions WHERE role = 'Reader'; UPDATE orders SET owner = 'x'");
    w.rule_if_owner("Order", "Reader", "{read,write,create,submit}");
    let mut holder = w.acting(FULL);
    holder.batch_execute("BEGIN; UPDATE orders SET note = 'x' WHERE name IN ('D', 'S')").unwrap();
    let mut reader = w.acting(READER);
    reader.batch_execute("SET lock_timeout = '200ms'").unwrap();
    let said = |client: &mut postgres::Client, name: &str| {
        let error = refused(client, &format!("INSERT INTO line (parent) VALUES ('{name}')"));
        (error.sqlstate, error.message.replace(name, "?"), error.detail, error.hint)
    };
    let of_none = said(&mut reader, "none");
    assert_eq!(of_none.0, "42501");
    for name in ["D", "S", "C"] {
        assert_eq!(said(&mut reader, name), of_none, "{name}");
    }
    // Nor by amending.
    let said = |client: &mut postgres::Client, name: &str| {
        let error =
            refused(client, &format!("INSERT INTO orders (name, amended_from) VALUES ('N', '{name}')"));
        (error.sqlstate, error.message.replace(name, "?"), error.detail, error.hint)
    };
    let of_none = said(&mut reader, "none");
    assert_eq!(of_none.0, "42501");
    for name in ["D", "S", "C"] {
        assert_eq!(said(&mut reader, name), of_none, "{name}");
    }
    holder.batch_execute("COMMIT").unwrap();
}

#[test]
fn who_is_waited_for_is_seen() {
    let mut w = world();
    let (mut submitter, mut writer) = (w.acting(SUBMITTER), w.acting(WRITER));
    // A row waits for the document's submission, and is refused when that is done.
    for isolation in ["READ COMMITTED", "REPEATABLE READ"] {
        submitter.batch_execute("BEGIN; UPDATE orders SET docstatus = 1 WHERE name = 'D'").unwrap();
        let waiting = std::thread::scope(|scope| {
            let row = scope.spawn(|| {
                writer.batch_execute(&format!("BEGIN ISOLATION LEVEL {isolation}; SELECT 1")).unwrap();
                let outcome = attempt(&mut writer, "INSERT INTO line (parent) VALUES ('D')")
                    .err()
                    .map(|error| error.sqlstate);
                writer.batch_execute("ROLLBACK").unwrap();
                outcome
            });
            wait_for_lock(&mut w.admin);
            submitter.batch_execute("COMMIT").unwrap();
            row.join().unwrap()
        });
        assert_eq!(waiting.as_deref(), Some("55000"), "{isolation}");
        w.sql("UPDATE orders SET docstatus = 0 WHERE name = 'D'");
    }
    // The submission waits for a row, and is done with it.
    writer.batch_execute("BEGIN; INSERT INTO line (parent) VALUES ('D')").unwrap();
    std::thread::scope(|scope| {
        let submission =
            scope.spawn(|| submitter.batch_execute("UPDATE orders SET docstatus = 1 WHERE name = 'D'"));
        wait_for_lock(&mut w.admin);
        writer.batch_execute("COMMIT").unwrap();
        submission.join().unwrap().unwrap();
    });
    assert_eq!(one(&mut w.admin, "SELECT count(*)::text FROM line WHERE parent = 'D'"), "3");
    assert_eq!(one(&mut w.admin, "SELECT docstatus::text FROM orders WHERE name = 'D'"), "1");
}

#[test]
fn a_lock_that_a_savepoint_took_is_gone_with_it() {
    let w = world();
    let (mut submitter, mut writer) = (w.acting(SUBMITTER), w.acting(WRITER));
    let row = "INSERT INTO line (parent) VALUES ('D')";
    writer.batch_execute(&format!("BEGIN; SAVEPOINT a; {row}; ROLLBACK TO a")).unwrap();
    submitter.batch_execute("UPDATE orders SET docstatus = 1 WHERE name = 'D'").unwrap();
    assert_eq!(refused_with(&mut writer, row), "55000");
}

#[test]
fn nobody_submits_rows_that_he_does_not_see() {
    let w = world();
    let (mut submitter, mut writer) = (w.acting(SUBMITTER), w.acting(WRITER));
    for isolation in ["REPEATABLE READ", "SERIALIZABLE"] {
        for rows in [
            "INSERT INTO line (parent) VALUES ('D')",
            "UPDATE line SET qty = qty WHERE parent = 'D'",
            "DELETE FROM line WHERE parent = 'D' AND item IS NULL",
        ] {
            submitter
                .batch_execute(&format!("BEGIN ISOLATION LEVEL {isolation}; SELECT * FROM line"))
                .unwrap();
            writer.batch_execute(rows).unwrap();
            let refusal = refused_with(&mut submitter, "UPDATE orders SET docstatus = 1 WHERE name = 'D'");
            assert_eq!(refusal, "40001", "{isolation}: {rows}");
            submitter.batch_execute("ROLLBACK").unwrap();
        }
        submitter.batch_execute(&format!("BEGIN ISOLATION LEVEL {isolation}; SELECT * FROM line")).unwrap();
        writer.batch_execute("UPDATE orders SET note = 'x' WHERE name = 'E'").unwrap();
        submitter
            .batch_execute("UPDATE line SET qty = 5 WHERE parent = 'D'; UPDATE orders SET docstatus = 1 WHERE name = 'D'; ROLLBACK")
            .unwrap();
    }
}

/// Until somebody waits for a lock, which is soon if at all.
fn wait_for_lock(admin: &mut postgres::Client) {
    let waits = "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while one(admin, waits) == "0" {
        assert!(std::time::Instant::now() < end, "nobody waits for a lock");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

// Whom it does not concern

#[test]
fn loads_and_foreign_keys_are_not_held_to_it() {
    let mut w = world();
    w.sql(
        "UPDATE orders SET docstatus = 0, amount = 1 WHERE name = 'C'; UPDATE orders SET docstatus = 2 WHERE name = 'C';
         DELETE FROM line WHERE parent = 'S'; INSERT INTO line (parent) VALUES ('S'), ('C');
         INSERT INTO orders (name, docstatus, amended_from) VALUES ('old', 2, 'S'); DELETE FROM orders WHERE name = 'old';
         ALTER TABLE line ADD FOREIGN KEY (parent) REFERENCES orders ON DELETE CASCADE ON UPDATE CASCADE;
         CREATE TABLE customer (name text PRIMARY KEY); INSERT INTO customer VALUES ('Ann');
         ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customer ON UPDATE CASCADE;
         SELECT docperm.protect('customer', 'Customer');",
    );
    w.grant_tables();
    w.rule("Customer", "Full", "{read,write}");
    // A cancelled document goes with its rows; a renamed customer keeps its submitted orders.
    let mut full = w.acting(FULL);
    full.batch_execute("DELETE FROM orders WHERE name = 'C'; UPDATE customer SET name = 'Anne'").unwrap();
    assert_eq!(names(&mut w.admin, "SELECT DISTINCT customer FROM orders"), ["Anne"]);
    assert_eq!(one(&mut w.admin, "SELECT count(*)::text FROM line WHERE parent = 'C'"), "0");
}

#[test]
fn foreign_keys_take_away_nothing_that_was_submitted() {
    for action in ["CASCADE", "SET NULL"] {
        let mut w = world();
        w.sql(&format!(
            "CREATE TABLE customer (name text PRIMARY KEY); INSERT INTO customer VALUES ('Ann'), ('Bob');
             INSERT INTO orders (name, customer) VALUES ('D2', 'Bob');
             ALTER TABLE orders ADD FOREIGN KEY (customer) REFERENCES customer ON DELETE {action};
             ALTER TABLE line ADD FOREIGN KEY (parent) REFERENCES orders ON DELETE CASCADE ON UPDATE CASCADE;
             SELECT docperm.protect('customer', 'Customer');
             CREATE FUNCTION remove() RETURNS void SECURITY DEFINER LANGUAGE sql AS 'DELETE FROM customer';"
        ));
        w.grant_tables();
        w.rule("Customer", "Full", "{read,write,delete}");
        let before = texts(&mut w.admin, "SELECT orders::text FROM orders WHERE name <> 'D2' ORDER BY name");
        for user in [FULL, ADMINISTRATOR] {
            let mut c = w.acting(user);
            for delete in ["DELETE FROM customer WHERE name = 'Ann'", "DELETE FROM customer"] {
                assert_eq!(refused_with(&mut c, delete), "55000", "{action} {user}");
            }
            // Of a draft it takes what it is told to.
            c.batch_execute("BEGIN; DELETE FROM customer WHERE name = 'Bob'").unwrap();
            assert_eq!(one(&mut c, "SELECT count(*)::text FROM orders WHERE customer = 'Bob'"), "0");
            c.batch_execute("ROLLBACK").unwrap();
        }
        let after = texts(&mut w.admin, "SELECT orders::text FROM orders WHERE name <> 'D2' ORDER BY name");
        assert_eq!(after, before);
        // A function that runs past the policies does so here, too.
        w.acting(FULL).batch_execute("SELECT remove()").unwrap();
        assert_eq!(one(&mut w.admin, "SELECT count(*)::text FROM orders WHERE customer <> ''"), "0");
    }
}

#[test]
fn foreign_keys_set_no_default_in_what_was_submitted() {
    let mut w = world();
    w.sql(
        "CREATE TABLE customer (name text PRIMARY KEY); INSERT INTO customer VALUES ('Ann'), ('Bob'), ('any' || 'one');
         ALTER TABLE orders ALTER customer SET DEFAULT 'any' || 'one',
             ADD FOREIGN KEY (customer) REFERENCES customer ON DELETE SET DEFAULT ON UPDATE CASCADE;
         INSERT INTO orders (name, customer) VALUES ('D2', 'Bob');
         SELECT docperm.protect('customer', 'Customer');",
    );
    w.grant_tables();
    w.rule("Customer", "Full", "{read,write,delete}");
    let customers = "SELECT name || ' ' || customer FROM orders";
    let mut full = w.acting(FULL);
    assert_eq!(refused_with(&mut full, "DELETE FROM customer WHERE name = 'Ann'"), "55000");
    assert_eq!(names(&mut w.admin, customers), ["C Ann", "D Ann", "D2 Bob", "S Ann"]);
    full.batch_execute(
        "DELETE FROM customer WHERE name = 'Bob'; UPDATE customer SET name = 'Anne' WHERE name = 'Ann'",
    )
    .unwrap();
    assert_eq!(names(&mut w.admin, customers), ["C Anne", "D Anne", "D2 anyone", "S Anne"]);
}

#[test]
fn foreign_keys_take_away_no_rows_of_what_was_submitted() {
    for (action, of_draft) in
        [("CASCADE", "D bolt"), ("SET NULL", "D , D bolt"), ("SET DEFAULT", "D any, D bolt")]
    {
        let mut w = world();
        w.sql(&format!(
            "CREATE TABLE item (name text PRIMARY KEY); INSERT INTO item VALUES ('nut'), ('bolt'), ('any'), ('nail');
             ALTER TABLE line ALTER item SET DEFAULT 'any',
                 ADD FOREIGN KEY (item) REFERENCES item ON DELETE {action} ON UPDATE CASCADE,
                 ADD FOREIGN KEY (parent) REFERENCES orders ON DELETE CASCADE ON UPDATE CASCADE;
             SELECT docperm.protect('item', 'Item');"
        ));
        w.grant_tables();
        w.rule("Item", "Full", "{read,write,delete}");
        let lines = |w: &mut World, parent: &str| {
            names(
                &mut w.admin,
                &format!("SELECT concat(parent, ' ', item) FROM line WHERE parent = '{parent}'"),
            )
            .join(", ")
        };
        for user in [FULL, ADMINISTRATOR] {
            let delete = "DELETE FROM item WHERE name = 'nut'";
            assert_eq!(refused_with(&mut w.acting(user), delete), "55000", "{action} {user}");
        }
        assert_eq!(lines(&mut w, "S"), "S bolt, S nut");
        // An item that is renamed stays what it is, and rows follow their document and go with it.
        let mut full = w.acting(FULL);
        full.batch_execute(
            "UPDATE item SET name = 'Nut' WHERE name = 'nut'; UPDATE orders SET docstatus = 2 WHERE name = 'S';
             DELETE FROM orders WHERE docstatus = 2; UPDATE item SET name = 'nut' WHERE name = 'Nut'; DELETE FROM item WHERE name = 'nut'",
        )
        .unwrap();
        assert_eq!(lines(&mut w, "D"), of_draft, "{action}");
        assert_eq!(one(&mut w.admin, "SELECT count(*)::text FROM line WHERE parent <> 'D'"), "0");
    }
}

#[test]
fn nobody_gets_round_it() {
    let mut w = world();
    let app = w.app_role.clone();
    w.sql(&format!("CREATE VIEW open_orders AS SELECT * FROM orders; GRANT ALL ON open_orders TO {app}"));
    let statements = [
        "UPDATE open_orders SET docstatus = 0 WHERE name = 'S'",
        "DELETE FROM open_orders WHERE name = 'S'",
        "DO $$ BEGIN UPDATE orders SET docstatus = 0 WHERE name = 'S'; END $$",
        "WITH x AS (UPDATE orders SET docstatus = 0 WHERE name = 'S' RETURNING 1) SELECT * FROM x",
        "UPDATE orders AS o SET docstatus = 0 FROM line AS l WHERE l.parent = o.name AND o.name = 'S'",
        "BEGIN; DECLARE c CURSOR FOR SELECT * FROM orders WHERE name = 'S'; FETCH c; UPDATE orders SET docstatus = 0 WHERE CURRENT OF c",
        "UPDATE orders SET docstatus = 0 WHERE ctid = (SELECT ctid FROM orders WHERE name = 'S')",
        "SELECT docperm._discarding('Order', 'S'); UPDATE orders SET docstatus = 2 WHERE name = 'D'",
        "SELECT docperm._write_document()",
    ];
    for user in [FULL, ADMINISTRATOR] {
        for statement in statements {
            let refusal = refused_with(&mut w.acting(user), statement);
            assert!(["55000", "42883", "42501", "0A000"].contains(&&*refusal), "{statement}: {refusal}");
        }
    }
    assert_eq!(names(&mut w.admin, "SELECT name || docstatus FROM orders"), ["C2", "D0", "S1"]);
}

#[test]
fn rows_that_move_between_partitions_keep_their_state() {
    let mut w = world_of(PARTS);
    w.sql("SELECT docperm.set_field('Order', 'region', allow_on_submit => true); INSERT INTO orders (name, region, docstatus) VALUES ('S2', 1, 1)");
    for (name, expected) in [("D", "1"), ("S", "1"), ("C", "55000")] {
        assert_outcomes(
            &w,
            &format!("UPDATE orders SET region = 2 WHERE name = '{name}'"),
            &[(FULL, expected)],
        );
    }
    assert_outcomes(
        &w,
        "UPDATE orders SET region = 2 WHERE name = 'S'",
        &[(WRITER, "42501"), (SUBMITTER, "1")],
    );
    assert_outcomes(
        &w,
        "UPDATE orders SET region = 2, docstatus = docstatus + 1 WHERE docstatus < 2",
        &[(FULL, "3"), (SUBMITTER, "42501")],
    );
    assert_outcomes(&w, "UPDATE orders SET region = 2, docstatus = 0 WHERE name = 'S'", &[(FULL, "55000")]);
    // What moves is no DELETE, and a DELETE is none that moves.
    let trick = "BEGIN; UPDATE orders SET note = 'x' WHERE name = 'S'; DELETE FROM orders WHERE name = 'S'";
    assert_outcomes(&w, trick, &[(FULL, "55000")]);
    let trick = "WITH u AS (UPDATE orders SET region = 2 WHERE name = 'S' RETURNING 1) DELETE FROM orders WHERE name = 'S2'";
    assert_outcomes(&w, trick, &[(FULL, "55000")]);
    let trick = "MERGE INTO orders USING (VALUES ('S'), ('S2')) AS v (name) ON orders.name = v.name
                     WHEN MATCHED AND v.name = 'S' THEN UPDATE SET region = 2 WHEN MATCHED THEN DELETE";
    assert_outcomes(&w, trick, &[(FULL, "55000")]);
    let merge = trick.replace("THEN DELETE", "THEN DO NOTHING");
    assert_outcomes(&w, &merge, &[(FULL, "1")]);
}

#[test]
fn docstatus_may_be_any_number() {
    for kind in ["bigint", "int", "numeric", "numeric(3,1)", "real"] {
        let mut w = World::new(&format!(
            "CREATE TABLE t (name text PRIMARY KEY, docstatus {kind}); INSERT INTO t VALUES ('D', 0), ('S', 1), ('C', 2);
             SELECT docperm.protect('t', 'T', docstatus_column => 'docstatus')"
        ));
        w.user(FULL, &["Full"]);
        w.rule("T", "Full", "{read,write,create,delete,submit,cancel}");
        assert_outcomes(&w, "UPDATE t SET docstatus = docstatus + 1 WHERE docstatus < 2", &[(FULL, "2")]);
        assert_outcomes(&w, "UPDATE t SET docstatus = 2 WHERE name = 'C'", &[(FULL, "55000")]);
        assert_outcomes(&w, "UPDATE t SET docstatus = 7 WHERE name = 'D'", &[(FULL, "22023")]);
        assert_outcomes(&w, "SELECT docperm.submit('T', 'D'), docperm.cancel('T', 'S')", &[(FULL, "1")]);
    }
}

#[test]
fn what_is_declared_later_counts_for_the_next_statement() {
    let mut w = world();
    let mut full = w.acting(FULL);
    full.batch_execute("PREPARE change AS UPDATE orders SET customer = 'x' WHERE name = 'S'").unwrap();
    assert_eq!(refused_with(&mut full, "EXECUTE change"), "55000");
    w.sql("SELECT docperm.set_field('Order', 'customer', allow_on_submit => true)");
    full.batch_execute("EXECUTE change").unwrap();
    w.sql("SELECT docperm.set_field('Order', 'customer', allow_on_submit => false); UPDATE orders SET customer = 'y'");
    assert_eq!(refused_with(&mut full, "EXECUTE change"), "55000");
    w.sql("UPDATE docperm.role_permissions SET rights = '{read,write}' WHERE role = 'Full'");
    assert_eq!(refused_with(&mut full, "UPDATE orders SET note = 'x' WHERE name = 'S'"), "42501");
}

// The verbs

#[test]
fn verbs_do_what_the_statements_do() {
    for orders in [ORDERS, PARTS] {
        let w = world_of(orders);
        let call = |verb: &str, name: &str| format!("SELECT docperm.{verb}('Order', '{name}')");
        let (denied, wrong) = ("42501", "55000");
        for (verb, name, [full, writer, submitter, canceller, reader]) in [
            ("submit", "D", ["1", denied, "1", "1", denied]),
            ("submit", "S", [wrong, wrong, wrong, wrong, wrong]),
            ("submit", "C", [wrong, wrong, wrong, wrong, wrong]),
            ("cancel", "D", [wrong, wrong, wrong, wrong, wrong]),
            ("cancel", "S", ["1", denied, denied, "1", denied]),
            ("cancel", "C", [wrong, wrong, wrong, wrong, wrong]),
            ("discard", "D", ["1", "1", "1", "1", denied]),
            ("discard", "S", [wrong, wrong, wrong, wrong, wrong]),
            ("discard", "C", [wrong, wrong, wrong, wrong, wrong]),
            ("amend", "D", [wrong, wrong, wrong, wrong, wrong]),
            ("amend", "S", [wrong, wrong, wrong, wrong, wrong]),
            ("amend", "C", ["1", denied, denied, denied, denied]),
            ("submit", "none", [denied, denied, denied, denied, denied]),
            ("amend", "none", [denied, denied, denied, denied, denied]),
        ] {
            let expected = [
                (FULL, full),
                (ADMINISTRATOR, full),
                (WRITER, writer),
                (SUBMITTER, submitter),
                (CANCELLER, canceller),
                (READER, reader),
            ];
            assert_outcomes(&w, &call(verb, name), &expected);
        }
        // A draft that was discarded is frozen, and others are not discarded with it.
        assert_outcomes(
            &w,
            &format!("{}; UPDATE orders SET note = 'x' WHERE name = 'D'", call("discard", "D")),
            &[(FULL, wrong)],
        );
        let after = format!(
            "INSERT INTO orders (name, region) VALUES ('E', 1); {}; UPDATE orders SET docstatus = 2 WHERE name = 'E'",
            call("discard", "D")
        );
        assert_outcomes(&w, &after, &[(FULL, wrong)]);
        // Nor is it by an UPDATE, once discarding has been undone.
        let undone = format!(
            "SAVEPOINT a; {}; ROLLBACK TO a; UPDATE orders SET docstatus = 2 WHERE name = 'D'",
            call("discard", "D")
        );
        assert_outcomes(&w, &undone, &[(FULL, wrong)]);
    }
}

#[test]
fn verbs_say_what_is_wrong() {
    let mut w = world();
    w.sql(
        "CREATE TABLE plain (name text PRIMARY KEY); SELECT docperm.protect('plain', 'Plain');
           CREATE TABLE final (name text PRIMARY KEY, docstatus int); INSERT INTO final VALUES ('F', 2);
           SELECT docperm.protect('final', 'Final', docstatus_column => 'docstatus')",
    );
    w.grant_tables();
    let mut full = w.acting(FULL);
    for verb in ["submit", "cancel", "discard", "amend"] {
        let mut error = |arguments: &str| refused(&mut full, &format!("SELECT docperm.{verb}({arguments})"));
        assert_eq!(error("'Plain', 'x'").sqlstate, "22023", "no lifecycle");
        assert_eq!(error("'Nope', 'x'").sqlstate, "42704", "no doctype");
        assert_eq!(error("NULL, 'x'").sqlstate, "22023");
        assert_eq!(error("'Order', NULL").sqlstate, "22023");
        assert_eq!(error("'Line', '1'").sqlstate, "22023", "a child table");
    }
    assert_eq!(
        refused(&mut full, "SELECT docperm.amend('Final', 'F')").sqlstate,
        "22023",
        "nothing to amend with"
    );
    // A document that is hidden is answered like one that is not there.
    w.sql("DELETE FROM docperm.role_permissions WHERE role = 'Reader'");
    w.rule_if_owner("Order", "Reader", "{read,write,create,submit,cancel,amend}");
    let mut reader = w.acting(READER);
    for verb in ["submit", "cancel", "discard", "amend"] {
        let mut said = |name: &str| {
            let error = refused(&mut reader, &format!("SELECT docperm.{verb}('Order', '{name}')"));
            (error.sqlstate, error.message.replace(&format!("\"{name}\""), "?"), error.detail, error.hint)
        };
        let of_none = said("none");
        for name in ["D", "S", "C"] {
            assert_eq!(said(name), of_none, "{verb} {name}");
        }
    }
    // The privileges are the caller's own.
    let app = w.app_role.clone();
    w.sql(&format!("REVOKE UPDATE ON orders FROM {app}"));
    assert_eq!(refused_with(&mut full, "SELECT docperm.submit('Order', 'D')"), "42501");
    w.sql(&format!("GRANT UPDATE (docstatus) ON orders TO {app}"));
    full.batch_execute("SELECT docperm.submit('Order', 'D')").unwrap();
    w.sql(&format!("REVOKE SELECT ON orders FROM {app}"));
    assert_eq!(refused_with(&mut full, "SELECT docperm.cancel('Order', 'D')"), "42501");
    // Whoever is not filtered needs no right.
    w.sql("SELECT docperm.cancel('Order', 'D'), docperm.amend('Order', 'D')");
}

#[test]
fn verbs_are_not_misled_by_names_in_the_session() {
    let mut w = world();
    let mut full = w.acting(FULL);
    full.batch_execute(
        "CREATE FUNCTION pg_temp.never(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
         CREATE OPERATOR pg_temp.= (LEFTARG = text, RIGHTARG = text, FUNCTION = pg_temp.never);
         CREATE TEMP TABLE orders (name text, docstatus int); SET search_path = pg_temp, public, pg_catalog",
    )
    .unwrap();
    full.batch_execute("SELECT docperm.submit('Order', 'D')").unwrap();
    assert_eq!(names(&mut w.admin, "SELECT name || docstatus FROM public.orders"), ["C2", "D1", "S1"]);
}

// Amending

#[test]
fn an_amendment_is_a_copy_that_can_be_changed() {
    for orders in [ORDERS, PARTS] {
        let mut w = world_of(orders);
        w.sql("UPDATE orders SET owner = 'x', note = 'n', changed = '1999-01-01' WHERE name = 'C'");
        let mut full = w.acting(FULL);
        assert_eq!(one(&mut full, "SELECT docperm.amend('Order', 'C')"), "C-1");
        let columns = "name, region, customer, amount, due, note, docstatus, owner, amended_from, changed > now() - interval '1 minute'";
        let expected = ["C-1", "1", "Ann", "10.00", "2026-01-01", "n", "0", FULL, "C", "t"];
        assert_eq!(
            table(&mut w.admin, &format!("SELECT {columns} FROM orders WHERE name = 'C-1'")),
            [expected]
        );
        let lines = "SELECT item, qty FROM line WHERE parent = 'C-1' ORDER BY id";
        assert_eq!(table(&mut w.admin, lines), [["nut", "1"], ["bolt", "1"]]);
        assert_eq!(
            table(&mut w.admin, "SELECT body, parenttype FROM remark WHERE parent = 'C-1'"),
            [["fine", "Order"]]
        );
        assert_eq!(one(&mut w.admin, "SELECT count(*)::text FROM line WHERE parent = 'C'"), "2");
        // It lives as others do, and is amended in its turn.
        full.batch_execute("UPDATE orders SET amount = 11 WHERE name = 'C-1'; SELECT docperm.submit('Order', 'C-1'), docperm.cancel('Order', 'C-1')")
            .unwrap();
        assert_eq!(one(&mut full, "SELECT docperm.amend('Order', 'C-1')"), "C-2");
        assert_eq!(
            refused_with(&mut full, "SELECT docperm.amend('Order', 'C')"),
            "55000",
            "it is amended already"
        );
        assert_eq!(refused_with(&mut full, "SELECT docperm.amend('Order', 'C-1')"), "55000");
        full.batch_execute("DELETE FROM line WHERE parent = 'C-2'; DELETE FROM remark WHERE parent = 'C-2'; DELETE FROM orders WHERE name = 'C-2'").unwrap();
        assert_eq!(one(&mut full, "SELECT docperm.amend('Order', 'C-1')"), "C-2");
        // A name that is taken is passed over, whoever may see the document.
        w.sql(
            "INSERT INTO orders (name, region, docstatus) VALUES ('Z', 1, 2), ('Z-1', 1, 0), ('Z-2', 2, 0)",
        );
        assert_eq!(one(&mut full, "SELECT docperm.amend('Order', 'Z')"), "Z-3");
    }
}

#[test]
fn to_amend_takes_a_right_and_a_cancelled_original() {
    let mut w = world();
    let amend = |original: &str| format!("INSERT INTO orders (name, amended_from) VALUES ('N', {original})");
    assert_outcomes(
        &w,
        &amend("'C'"),
        &[(FULL, "1"), (ADMINISTRATOR, "1"), (WRITER, "42501"), (SUBMITTER, "42501")],
    );
    assert_outcomes(&w, &amend("NULL"), &[(FULL, "1"), (WRITER, "1")]);
    for name in ["'D'", "'S'"] {
        assert_outcomes(&w, &amend(name), &[(FULL, "55000"), (ADMINISTRATOR, "55000"), (WRITER, "42501")]);
    }
    assert_outcomes(&w, &amend("'none'"), &[(FULL, "42501"), (ADMINISTRATOR, "42501"), (WRITER, "42501")]);
    let twice = "INSERT INTO orders (name, amended_from) VALUES ('N', 'C'), ('M', 'C')";
    assert_outcomes(&w, twice, &[(FULL, "55000")]);
    assert_outcomes(
        &w,
        &format!("{}; INSERT INTO orders (name, amended_from) VALUES ('M', 'C')", amend("'C'")),
        &[(FULL, "55000")],
    );
    // What it amends is said when it is made.
    for set in ["amended_from = 'C'", "amended_from = NULL"] {
        let name = if set.ends_with("NULL") { "A" } else { "D" };
        let make = "INSERT INTO orders (name, amended_from) VALUES ('A', 'C')";
        assert_outcomes(
            &w,
            &format!("{make}; UPDATE orders SET {set} WHERE name = '{name}'"),
            &[(FULL, "42501"), (ADMINISTRATOR, "42501")],
        );
    }
    // The right is asked of the original.
    w.sql(
        "DELETE FROM docperm.role_permissions; UPDATE orders SET owner = 'writer@erp.test' WHERE name = 'C';
           INSERT INTO orders (name, docstatus, owner) VALUES ('C2', 2, 'x')",
    );
    w.rule("Order", "Writer", "{read,write,create}");
    w.rule_if_owner("Order", "Writer", "{read,write,create,submit,cancel,amend}");
    assert_outcomes(&w, &amend("'C'"), &[(WRITER, "1")]);
    assert_outcomes(&w, &amend("'C2'"), &[(WRITER, "42501")]);
    // What is hidden from him nobody amends.
    w.sql("UPDATE orders SET owner = 'submitter@erp.test' WHERE name = 'C2'");
    w.rule("Order", "Submitter", "{write,create,amend}");
    w.rule_if_owner("Order", "Submitter", "{read}");
    assert_outcomes(&w, &amend("'C'"), &[(SUBMITTER, "42501")]);
    assert_outcomes(&w, &amend("'C2'"), &[(SUBMITTER, "1")]);
    // Two at once: one has to wait, and is refused.
    w.rule("Order", "Full", "{read,write,create,submit,cancel,amend}");
    let (mut one, mut other) = (w.acting(FULL), w.acting(FULL));
    one.batch_execute("BEGIN; SELECT docperm.amend('Order', 'C')").unwrap();
    std::thread::scope(|scope| {
        let waiting = scope
            .spawn(|| refused_with(&mut other, "INSERT INTO orders (name, amended_from) VALUES ('M', 'C')"));
        wait_for_lock(&mut w.admin);
        one.batch_execute("COMMIT").unwrap();
        assert_eq!(waiting.join().unwrap(), "55000");
    });
}

#[test]
fn keys_of_other_types_are_made_by_their_defaults() {
    // Key and type of the document, its name; key of its lines, and their names.
    for (key, kind, name, key_of_line, names_of_lines) in [
        ("int GENERATED ALWAYS AS IDENTITY", "int", "", "uuid DEFAULT gen_random_uuid()", ["", ""]),
        ("uuid DEFAULT gen_random_uuid()", "uuid", "", "text", ["'L-1'", "'L-2'"]),
        ("serial", "int", "", "serial", ["", ""]),
        ("varchar(40)", "varchar(40)", "'old'", "varchar(40)", ["'L-1'", "'L-2'"]),
    ] {
        let mut w = World::new(&format!(
            "CREATE TABLE t (id {key} PRIMARY KEY, docstatus int, amended_from {kind}, body text);
             CREATE TABLE line (id {key_of_line} PRIMARY KEY, t {kind} REFERENCES t, n int);
             SELECT docperm.protect('t', 'T', docstatus_column => 'docstatus', amended_from_column => 'amended_from');
             SELECT docperm.protect('line', 'Line', parent_doctype => 'T', parent_column => 't');"
        ));
        let default = |name: &str| if name.is_empty() { "DEFAULT".to_owned() } else { name.to_owned() };
        w.sql(&format!("INSERT INTO t VALUES ({}, 2, NULL, 'x')", default(name)));
        for (n, name) in names_of_lines.iter().enumerate() {
            w.sql(&format!("INSERT INTO line VALUES ({}, (SELECT id FROM t), {n})", default(name)));
        }
        w.user(FULL, &["Full"]);
        w.rule("T", "Full", "{read,write,create,submit,cancel,amend}");
        let app = w.app_role.clone();
        w.sql(&format!("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {app}"));
        let old = one(&mut w.admin, "SELECT id::text FROM t");
        let new = one(&mut w.acting(FULL), &format!("SELECT docperm.amend('T', '{old}')"));
        let found =
            table(&mut w.admin, &format!("SELECT amended_from, body, docstatus FROM t WHERE id = '{new}'"));
        assert_eq!(found, [[&*old, "x", "0"]], "{key}");
        assert_eq!(
            names(&mut w.admin, &format!("SELECT n::text FROM line WHERE t = '{new}'")),
            ["0", "1"],
            "{key}"
        );
    }
    let w = World::new(
        "CREATE TABLE t (id int PRIMARY KEY, docstatus int, amended_from int); INSERT INTO t VALUES (1, 2);
         SELECT docperm.protect('t', 'T', docstatus_column => 'docstatus', amended_from_column => 'amended_from')",
    );
    assert_eq!(refused_with(&mut w.acting(ADMINISTRATOR), "SELECT docperm.amend('T', '1')"), "22023");
    assert_eq!(refused_with(&mut w.acting(ADMINISTRATOR), "SELECT docperm.amend('T', 'one')"), "42501");
}

#[test]
fn columns_above_the_users_level_are_not_copied() {
    let mut w = world();
    w.sql(
        "SELECT docperm.set_field('Order', 'amount', permlevel => 1); SELECT docperm.set_field('Line', 'qty', permlevel => 1);
         ",
    );
    let read = "SELECT coalesce(o.amount::text, '-') || ' ' || coalesce(l.qty::text, '-') FROM orders AS o JOIN line AS l ON l.parent = o.name
                 WHERE o.name LIKE 'C-%' LIMIT 1";
    w.acting(FULL).batch_execute("SELECT docperm.amend('Order', 'C')").unwrap();
    assert_eq!(one(&mut w.admin, read), "- -");
    w.sql("DELETE FROM line WHERE parent = 'C-1'; DELETE FROM remark WHERE parent = 'C-1'; DELETE FROM orders WHERE name = 'C-1';
           INSERT INTO docperm.role_permissions (doctype, role, permlevel, rights) VALUES ('Order', 'Full', 1, '{read,write}')");
    w.acting(FULL).batch_execute("SELECT docperm.amend('Order', 'C')").unwrap();
    assert_eq!(one(&mut w.admin, read), "10.00 1");
}

// Dumps

#[test]
fn a_dump_brings_documents_back_as_they_were() {
    let mut w = world_of(PARTS);
    w.sql("UPDATE orders SET changed = '1999-01-01', owner = NULL; INSERT INTO orders (name, region, docstatus, amended_from) VALUES ('A', 2, 1, 'C')");
    let all = "SELECT o::text FROM orders AS o UNION ALL SELECT l::text FROM line AS l UNION ALL SELECT r::text FROM remark AS r ORDER BY 1";
    let dump = run("pg_dump", "postgres", w.db.name(), &[]).unwrap();
    let file = std::env::temp_dir().join(format!("{}.sql", w.db.name()));
    std::fs::write(&file, dump).unwrap();
    let restored = server().empty_database();
    run("psql", "postgres", restored.name(), &["-q", "-v", "ON_ERROR_STOP=1", "-f", file.to_str().unwrap()])
        .unwrap();
    std::fs::remove_file(file).unwrap();
    let mut admin = restored.admin();
    assert_eq!(table(&mut admin, all), table(&mut w.admin, all));
    let triggers = "SELECT tgrelid::regclass || ' ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname ~ '^zz_docperm' ORDER BY 1";
    assert_eq!(table(&mut admin, triggers), table(&mut w.admin, triggers));
    let mut full = restored.connect_as(&w.app_role);
    set_user(&mut full, FULL);
    assert_eq!(refused_with(&mut full, "UPDATE orders SET docstatus = 0 WHERE name = 'S'"), "55000");
    assert_eq!(refused_with(&mut full, "INSERT INTO line (parent) VALUES ('S')"), "55000");
    full.batch_execute("SELECT docperm.submit('Order', 'D')").unwrap();
}

#[test]
fn explanations_tell_what_the_state_stands_in_the_way_of() {
    let mut w = world();
    let told = |ptype: &str, document: &str| {
        let call = format!("docperm.explain_access('Order', '{document}', '{ptype}')");
        let state = format!("SELECT detail FROM {call} WHERE rule = 'state'");
        let mut full = w.acting(FULL);
        let last = one(&mut full, &format!("SELECT rule FROM {call} ORDER BY step DESC LIMIT 1"));
        assert_eq!(last, "result");
        names(&mut full, &state).join("")
    };
    for (ptype, document, detail) in [
        ("write", "D", ""),
        (
            "write",
            "S",
            "It is submitted. Of its columns only note may change while it is, which needs the right submit.",
        ),
        (
            "write",
            "C",
            "It is cancelled. A cancelled document stays as it is, and so do its rows in child tables.",
        ),
        ("delete", "S", "It is submitted. Submitted documents are not deleted."),
        ("delete", "C", ""),
        ("submit", "D", ""),
        ("submit", "S", "It is submitted. The document is submitted already."),
        ("cancel", "D", "It is a draft. A draft is not cancelled: it is submitted first, or discarded."),
        ("cancel", "S", ""),
        ("amend", "S", "It is submitted. Only cancelled documents are amended."),
        ("amend", "C", ""),
        ("read", "C", ""),
    ] {
        assert_eq!(told(ptype, document), detail, "{ptype} {document}");
    }
    // The state is a column like others: who may not read it is not told.
    w.sql("SELECT docperm.set_field('Order', 'docstatus', permlevel => 1)");
    let call =
        "SELECT count(*)::text FROM docperm.explain_access('Order', 'S', 'write') WHERE rule = 'state'";
    assert_eq!(one(&mut w.acting(FULL), call), "0");
}
