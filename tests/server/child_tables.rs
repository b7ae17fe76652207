//! Which document a row of a child table belongs to, and what becomes of it when that is gone.

use crate::support::{World, attempt, names, one, refused, refused_with, sorted, table};

const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";

fn world_with(schema: &str) -> World {
    let mut w = World::new(schema);
    w.user(ANN, &["Clerk"]);
    w.user(BOB, &["Clerk"]);
    w
}

/// What is refused when a child table's column and its parents' key are of these types.
fn protected(parent: &str, child: &str, as_child: &str, child_first: bool) -> Result<(), String> {
    let mut w = World::new(&format!(
        "CREATE TABLE p (k {parent} PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p {child}, t text)"
    ));
    let (p, c) = (
        "SELECT docperm.protect('p', 'P')",
        format!("SELECT docperm.protect('c', 'C', parent_column => 'p', {as_child})"),
    );
    let both = if child_first { [c.as_str(), p] } else { [p, c.as_str()] };
    for sql in both {
        if let Err(error) = attempt(&mut w.admin, sql) {
            assert_eq!(error.sqlstate, "22023", "{error:?}");
            assert!(error.hint.is_some(), "{parent}, {child}");
            return Err(error.message);
        }
    }
    Ok(())
}

#[test]
fn a_row_belongs_to_one_document_for_certain_or_its_table_is_refused() {
    let (fixed, by_type) = ("parent_doctype => 'P'", "parenttype_column => 't'");
    for (parent, child) in [
        ("bigint", "double precision"),
        ("integer", "real"),
        ("numeric", "double precision"),
        ("double precision", "bigint"),
        ("double precision", "real"),
        ("double precision", "text"),
    ] {
        assert!(protected(parent, child, fixed, false).is_err(), "{parent}, {child}");
        assert!(protected(parent, child, by_type, false).is_err(), "{parent}, {child}, by type");
        assert!(
            protected(parent, child, by_type, true).is_err(),
            "{parent}, {child}, by type, the child first"
        );
    }
    assert!(protected("date", "text", fixed, false).is_err());
    for (parent, child) in [
        ("double precision", "double precision"),
        ("bigint", "integer"),
        ("numeric", "bigint"),
        ("integer", "text"),
        ("uuid", "uuid"),
        ("date", "date"),
    ] {
        if let Err(message) = protected(parent, child, fixed, false) {
            assert!(message.contains("cannot hold"), "{parent}, {child}: {message}");
        }
        assert!(parent != child || protected(parent, child, fixed, false).is_ok(), "{parent}");
    }
    assert!(protected("date", "text", by_type, false).is_ok());
    // A key that becomes another is looked at again.
    let mut w = World::new(
        "CREATE TABLE p (k int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int);
         SELECT docperm.protect('p', 'P'), docperm.protect('c', 'C', parent_column => 'p', parent_doctype => 'P');
         ALTER TABLE p ALTER COLUMN k TYPE double precision;",
    );
    assert_eq!(refused_with(&mut w.admin, "SELECT docperm.protect('p', 'P')"), "22023");
}

/// Orders with two kinds of rows: lines, without a foreign key, and notes, on whatever their type says.
const ORDERS: &str = "
    CREATE TABLE orders (name text PRIMARY KEY, owner text);
    CREATE TABLE task (name text PRIMARY KEY, owner text);
    CREATE TABLE line (id int PRIMARY KEY, orders text, item text);
    CREATE TABLE note (id int PRIMARY KEY, parent text, parenttype text, body text);
    INSERT INTO orders VALUES ('O-1', 'bob@erp.test');
    INSERT INTO line VALUES (1, 'O-1', 'gold');
    INSERT INTO note VALUES (1, 'O-1', 'Order', 'for gold'), (2, 'T-1', 'Task', 'secret');
    SELECT docperm.protect('orders', 'Order', owner_column => 'owner'), docperm.protect('task', 'Task', owner_column => 'owner');
    SELECT docperm.protect('line', 'Line', parent_doctype => 'Order', parent_column => 'orders');
    SELECT docperm.protect('note', 'Note', parenttype_column => 'parenttype', parent_column => 'parent');";

fn orders() -> World {
    let mut w = world_with(ORDERS);
    for doctype in ["Order", "Task"] {
        w.rule_if_owner(doctype, "Clerk", "{read,write,delete}");
        w.rule(doctype, "Clerk", "{create}");
    }
    w
}

#[test]
fn rows_that_a_document_left_behind_become_nobody_elses() {
    let create = "INSERT INTO orders VALUES ('O-1', 'ann@erp.test')";
    let rename = "INSERT INTO orders VALUES ('O-2', 'ann@erp.test'); UPDATE orders SET name = 'O-1' WHERE name = 'O-2'";
    for index in ["", "CREATE INDEX ON line (orders); CREATE INDEX ON note (parent)"] {
        for gone in ["DELETE FROM orders", "UPDATE orders SET name = 'O-9'"] {
            let mut w = orders();
            w.sql(index);
            w.acting(BOB).batch_execute(gone).unwrap();
            for takes in [create, rename] {
                let refusal = refused(&mut w.acting(ANN), takes);
                assert_eq!(refusal.sqlstate, "42501", "{takes}");
                assert!(!format!("{refusal:?}").contains("gold"), "{refusal:?}");
            }
            assert_eq!(w.denied(BOB, create), "42501", "whose they were cannot be known");
            // One kind of rows at a time, and rows of another doctype's document are no obstacle.
            w.sql("DELETE FROM line");
            assert_eq!(w.denied(ANN, create), "42501");
            w.sql("UPDATE note SET parenttype = 'Task'");
            assert!(w.try_as(ANN, create).is_ok());
            assert!(w.try_as(ANN, rename).is_ok());
            assert_eq!(w.denied(ANN, "INSERT INTO task VALUES ('T-1', 'ann@erp.test')"), "42501");
        }
    }
}

#[test]
fn new_documents_are_looked_at_as_soon_as_there_is_a_child_table() {
    let mut w = world_with(
        "CREATE TABLE a (name text, y int, PRIMARY KEY (name, y)) PARTITION BY LIST (y);
         CREATE TABLE a_1 PARTITION OF a FOR VALUES IN (1);
         CREATE TABLE b (name text PRIMARY KEY);
         CREATE TABLE line (id int PRIMARY KEY, parent text, kind text);
         INSERT INTO line VALUES (1, 'X', 'A'), (2, 'X', 'B');
         SELECT docperm.protect('a', 'A');",
    );
    w.rule("A", "Clerk", "{create}");
    let (whole, part) = ("INSERT INTO a VALUES ('X', 1)", "INSERT INTO a_1 VALUES ('X', 1)");
    let watched = "SELECT count(*) FROM pg_trigger WHERE tgname = 'docperm_document_created'";
    assert_eq!(one(&mut w.admin, watched), "0");
    assert!(w.try_as(ANN, whole).is_ok() && w.try_as(ANN, part).is_ok());
    w.sql("SELECT docperm.protect('line', 'Line', parent_column => 'parent', parenttype_column => 'kind')");
    assert!(w.denied(ANN, whole) == "42501" && w.denied(ANN, part) == "42501");
    // Those that come later, tables and parts of tables.
    w.sql("SELECT docperm.protect('b', 'B'); CREATE TABLE a_2 PARTITION OF a FOR VALUES IN (2)");
    w.grant_tables();
    w.rule("B", "Clerk", "{create}");
    assert_eq!(w.denied(ANN, "INSERT INTO b VALUES ('X')"), "42501");
    assert_eq!(w.denied(ANN, "INSERT INTO a_2 VALUES ('X', 2)"), "42501");
    assert!(w.try_as(ANN, "INSERT INTO a_2 VALUES ('Y', 2)").is_ok());
}

#[test]
fn rows_left_behind_hinder_neither_administrators_nor_whom_it_is_switched_off_for() {
    let create = "INSERT INTO orders VALUES ('O-1', 'ann@erp.test')";
    let mut w = orders();
    w.sql("DELETE FROM orders");
    assert!(w.try_as("Administrator", create).is_ok());
    w.sql(&format!("{create}; DELETE FROM orders"));
    assert_eq!(w.denied(ANN, create), "42501");
    w.sql("UPDATE docperm.settings SET refuse_orphans = false");
    assert!(w.try_as(ANN, create).is_ok());
}

#[test]
fn where_a_foreign_key_leaves_no_rows_behind_nothing_is_looked_for() {
    let mut w = world_with(ORDERS);
    w.rule("Order", "Clerk", "{read,write,create}");
    w.sql(
        "DELETE FROM note; INSERT INTO orders VALUES ('O-3');
         ALTER TABLE line ADD FOREIGN KEY (orders) REFERENCES orders ON DELETE CASCADE ON UPDATE CASCADE
             DEFERRABLE INITIALLY DEFERRED;",
    );
    let waiting = "INSERT INTO line VALUES (7, 'O-7', 'tin'); SET ROLE";
    let app = w.app_role.clone();
    let mut admin = w.db.admin();
    // What the foreign key is to check at the end is still open.
    let create = format!(
        "BEGIN; {waiting} {app}; SELECT docperm.set_user('{ANN}'); INSERT INTO orders VALUES ('O-7'); COMMIT; RESET ROLE"
    );
    admin.batch_execute(&create).unwrap();
    // One that was never checked may have left something.
    w.sql(
        "ALTER TABLE line DROP CONSTRAINT line_orders_fkey; DELETE FROM orders WHERE name = 'O-7';
         ALTER TABLE line ADD FOREIGN KEY (orders) REFERENCES orders NOT VALID;",
    );
    assert_eq!(w.denied(ANN, "INSERT INTO orders VALUES ('O-7')"), "42501");
}

// Who may add rows

#[test]
fn who_creates_a_document_of_his_own_adds_its_rows_in_the_same_transaction() {
    let mut w = orders();
    w.sql("DELETE FROM docperm.role_permissions WHERE if_owner; DELETE FROM line; DELETE FROM note");
    let both = |owner: &str| {
        format!("INSERT INTO orders VALUES ('O-2', '{owner}'); INSERT INTO line VALUES (2, 'O-2', 'tin')")
    };
    assert!(w.try_as(ANN, &both(ANN)).is_ok());
    assert!(w.try_as(ANN, &both(BOB)).is_ok(), "whoever makes a document owns it");
    w.sql(
        "CREATE FUNCTION make_for_bob() RETURNS void LANGUAGE sql SECURITY DEFINER
             BEGIN ATOMIC INSERT INTO orders VALUES ('O-2', 'bob@erp.test'); END",
    );
    let of_bob = "SELECT make_for_bob(); INSERT INTO line VALUES (2, 'O-2', 'tin')";
    assert_eq!(w.denied(ANN, of_bob), "42501", "a document of somebody else's");
    let mut c = w.acting(ANN);
    c.batch_execute(&format!("INSERT INTO orders VALUES ('O-2', '{ANN}')")).unwrap();
    assert_eq!(refused_with(&mut c, "INSERT INTO line VALUES (2, 'O-2', 'tin')"), "42501", "later");
    // A savepoint is part of the transaction.
    c.batch_execute(&format!(
        "BEGIN; SAVEPOINT a; INSERT INTO orders VALUES ('O-3', '{ANN}'); RELEASE a; INSERT INTO line VALUES (3, 'O-3', 'tin'); COMMIT"
    ))
    .unwrap();
}

#[test]
fn nobody_knows_whose_a_new_document_is_without_an_owner_column() {
    let mut w = world_with(
        "CREATE TABLE orders (name text PRIMARY KEY, owner text);
         CREATE TABLE line (id int PRIMARY KEY, orders text REFERENCES orders);
         SELECT docperm.protect('orders', 'Order');
         SELECT docperm.protect('line', 'Line', parent_doctype => 'Order', parent_column => 'orders');",
    );
    w.rule("Order", "Clerk", "{create}");
    let both = format!("INSERT INTO orders VALUES ('O-2', '{ANN}'); INSERT INTO line VALUES (2, 'O-2')");
    assert_eq!(w.denied(ANN, &both), "42501");
    w.rule("Order", "Writer", "{write}");
    w.user("kim@erp.test", &["Clerk", "Writer"]);
    assert!(w.try_as("kim@erp.test", &both).is_ok());
}

// Names and keys

#[test]
fn a_blank_parent_is_nobodys() {
    let mut w = world_with(
        "CREATE TABLE orders (name text PRIMARY KEY);
         CREATE TABLE line (id int PRIMARY KEY, orders text);
         INSERT INTO orders VALUES ('O-1'), ('');
         INSERT INTO line VALUES (1, 'O-1'), (2, ''), (3, NULL), (4, ' ');
         SELECT docperm.protect('orders', 'Order');
         SELECT docperm.protect('line', 'Line', parent_doctype => 'Order', parent_column => 'orders');",
    );
    w.rule("Order", "Clerk", "{read,write,create}");
    assert_eq!(w.sees(ANN, "Line"), ["1"]);
    assert_eq!(w.denied(ANN, "INSERT INTO line VALUES (9, '')"), "42501");
    assert_eq!(w.denied(ANN, "INSERT INTO line VALUES (9, NULL)"), "42501");
    assert_eq!(w.denied(ANN, "UPDATE line SET orders = NULL"), "42501");
}

/// One child table of documents whose keys are of every type, each with a document that a text names.
#[test]
fn rows_follow_documents_with_keys_of_any_type() {
    const UUID: &str = "00000000-0000-4000-8000-00000000000a";
    let mut w = world_with(&format!(
        "CREATE TABLE a (k int PRIMARY KEY, t text); CREATE TABLE b (k uuid PRIMARY KEY, t text);
         CREATE TABLE c (k numeric PRIMARY KEY, t text); CREATE TABLE d (k text PRIMARY KEY, t text);
         CREATE TABLE tag (name text PRIMARY KEY);
         CREATE TABLE line (id int PRIMARY KEY, parent text, parenttype text, tag text);
         INSERT INTO a VALUES (1), (2); INSERT INTO b VALUES ('{UUID}'); INSERT INTO c VALUES (1.5), (2); INSERT INTO d VALUES ('01');
         INSERT INTO line VALUES (1, '1', 'A'), (2, '01', 'A'), (3, ' 1', 'A'), (4, 'one', 'A'), (5, '99999999999', 'A'),
             (6, '{UUID}', 'B'), (7, upper('{UUID}'), 'B'), (8, 'x', 'B'), (9, '1.5', 'C'), (10, '1.50', 'C'), (11, '2', 'C'),
             (12, '01', 'D'), (13, '1', 'D'), (14, '2', 'A'), (15, '1', 'E'), (16, '', 'A'), (17, '2.0', 'A');
         SELECT docperm.protect(t::regclass, upper(t)) FROM unnest('{{a,b,c,d}}'::text[]) AS t;
         SELECT docperm.protect('tag', 'Tag');
         SELECT docperm.protect('line', 'Line', parenttype_column => 'parenttype', parent_column => 'parent');
         SELECT docperm.set_field('Line', 'tag', 'Tag');"
    ));
    for doctype in ["A", "B", "C", "D"] {
        w.rule(doctype, "Clerk", "{read,write}");
    }
    assert_eq!(w.sees(ANN, "Line"), sorted(["1", "6", "9", "11", "12", "14"].map(str::to_owned).to_vec()));
    assert_eq!(w.try_as(ANN, "INSERT INTO line VALUES (20, '1', 'A')").unwrap(), 1);
    for parent in ["'01', 'A'", "'one', 'A'", "'x', 'B'", "'1', 'B'", "'1.50', 'C'", "'1', 'D'"] {
        assert_eq!(w.denied(ANN, &format!("INSERT INTO line VALUES (20, {parent})")), "42501", "{parent}");
    }
    // And the other way: only rows that are its own restrict a document.
    w.sql("INSERT INTO tag VALUES ('good'), ('bad'); UPDATE line SET tag = 'bad' WHERE id IN (2, 4, 7, 8, 10, 13, 17)");
    w.allow(ANN, "Tag", "good");
    for (doctype, documents) in [("A", &["1", "2"][..]), ("B", &[UUID]), ("C", &["1.5", "2"]), ("D", &["01"])]
    {
        assert_eq!(w.sees(ANN, doctype), documents);
    }
    w.sql("UPDATE line SET tag = 'bad' WHERE id IN (1, 6, 9, 12)");
    for (doctype, documents) in [("A", &["2"][..]), ("B", &[]), ("C", &["2"]), ("D", &[])] {
        assert_eq!(w.sees(ANN, doctype), documents);
    }
}

#[test]
fn numbers_are_equal_as_numbers_whatever_they_are_written_as() {
    for (key, parent) in
        [("int", "numeric"), ("numeric", "int"), ("numeric(6,2)", "bigint"), ("numeric(6,2)", "numeric")]
    {
        let mut w = world_with(&format!(
            "CREATE TABLE orders (name {key} PRIMARY KEY, tag text);
             CREATE TABLE tag (name text PRIMARY KEY);
             CREATE TABLE line (id int PRIMARY KEY, orders {parent}, tag text REFERENCES tag);
             INSERT INTO tag VALUES ('good'), ('bad');
             INSERT INTO orders VALUES (1), (2.0);
             INSERT INTO line VALUES (1, 1.0, 'good'), (2, 2, 'bad'), (3, 3, 'good');
             SELECT docperm.protect('tag', 'Tag'), docperm.protect('orders', 'Order');
             SELECT docperm.protect('line', 'Line', parent_doctype => 'Order', parent_column => 'orders');"
        ));
        w.rule("Order", "Clerk", "{read}");
        assert_eq!(w.sees(ANN, "Line"), ["1", "2"], "{key}, {parent}");
        w.allow(ANN, "Tag", "good");
        assert_eq!(w.sees(ANN, "Order").len(), 1, "{key}, {parent}");
        assert_eq!(w.sees(ANN, "Line"), ["1"], "{key}, {parent}");
    }
}

#[test]
fn what_a_key_cannot_hold_names_nothing() {
    for (key, value) in [
        ("int", "1"),
        ("smallint", "1"),
        ("uuid", "00000000-0000-4000-8000-00000000000a"),
        ("date", "2024-02-09"),
        ("timestamptz", "2024-02-09 12:00:00+00"),
        ("numeric", "1.5"),
        ("double precision", "1.5"),
        ("inet", "10.0.0.1"),
        ("boolean", "true"),
    ] {
        let mut w = world_with(&format!(
            "CREATE TABLE doc (name {key} PRIMARY KEY); INSERT INTO doc VALUES ('{value}'); SELECT docperm.protect('doc', 'Doc')"
        ));
        w.rule("Doc", "Clerk", "{read,share,set_user_permissions}");
        let mut c = w.acting(ANN);
        for name in ["no such name", "99999999999999999999999", "", "2024-02-30", "1e999999"] {
            let has = format!("SELECT docperm.has_permission('Doc', 'read', '{name}')");
            assert_eq!(one(&mut c, &has), "f", "{key}: {name}");
            let told = table(&mut c, &format!("SELECT verdict FROM docperm.explain_access('Doc', '{name}')"));
            assert_eq!(told.last().unwrap(), &["denied"], "{key}: {name}");
            let who = format!("SELECT count(*) FROM docperm.who_can('Doc', '{name}')");
            assert_eq!(one(&mut w.admin, &who), "0", "{key}: {name}");
            let share = format!("SELECT docperm.share('Doc', '{name}', '{BOB}')");
            assert!(["42501", "22023"].contains(&refused_with(&mut c, &share).as_str()), "{key}: {name}");
        }
        assert_eq!(
            one(&mut c, &format!("SELECT docperm.has_permission('Doc', 'read', '{value}')")),
            "t",
            "{key}"
        );
    }
}

#[test]
fn rows_without_names_are_not_asked_about_by_name() {
    let mut w = world_with(
        "CREATE TABLE orders (name text PRIMARY KEY);
         CREATE TABLE line (orders text REFERENCES orders, place int, PRIMARY KEY (orders, place));
         INSERT INTO orders VALUES ('O-1'); INSERT INTO line VALUES ('O-1', 1);
         SELECT docperm.protect('orders', 'Order');
         SELECT docperm.protect('line', 'Line', parent_doctype => 'Order', parent_column => 'orders');",
    );
    w.rule("Order", "Clerk", "{read,share}");
    assert_eq!(names(&mut w.acting(ANN), "SELECT place FROM line"), ["1"]);
    for question in [
        "SELECT docperm.has_permission('Line', 'read', '1')",
        "SELECT * FROM docperm.explain_access('Line', '1')",
        "SELECT * FROM docperm.permitted_documents('Line')",
        "SELECT * FROM docperm.link_options('Line')",
        "SELECT docperm.share('Line', '1', 'bob@erp.test')",
    ] {
        assert_eq!(refused_with(&mut w.acting(ANN), question), "22023", "{question}");
        assert_eq!(refused_with(&mut w.acting("Administrator"), question), "22023", "{question}");
    }
    assert_eq!(refused_with(&mut w.admin, "SELECT * FROM docperm.who_can('Line', '1')"), "22023");
    assert_eq!(one(&mut w.acting(ANN), "SELECT docperm.has_permission('Line')"), "t");
    assert!(!table(&mut w.acting(ANN), "SELECT * FROM docperm.explain_access('Line')").is_empty());
}

/// Everybody may read his own user's record, by a rule without levels. What is open wherever rows may belong would be open
/// nowhere, and a row would be seen because it names a user.
#[test]
fn rows_of_any_document_belong_to_none_of_docperms_own() {
    let mut w = world_with(
        "CREATE TABLE company (name text PRIMARY KEY); CREATE TABLE employee (name text PRIMARY KEY);
         CREATE TABLE remark (name text PRIMARY KEY, parent text, parenttype text, body text);
         INSERT INTO company VALUES ('acme'); INSERT INTO employee VALUES ('eve');
         INSERT INTO remark VALUES ('1', 'acme', 'Company', 'a'), ('2', 'eve', 'Employee', 'b'), ('3', 'ann@erp.test', 'User', 'c');
         SELECT docperm.protect('company', 'Company'), docperm.protect('employee', 'Employee'),
                docperm.protect('remark', 'Remark', parent_column => 'parent', parenttype_column => 'parenttype');
         SELECT docperm.set_field('Remark', 'body', permlevel => 1);",
    );
    w.rule("Company", "Clerk", "{read,write}");
    w.rule("Employee", "Clerk", "{read,write}");
    assert_eq!(names(&mut w.acting(ANN), "SELECT name FROM remark"), ["1", "2"]);
    assert_eq!(refused_with(&mut w.acting(ANN), "SELECT body FROM remark"), "42501");
    w.sql(
        "INSERT INTO docperm.role_permissions (doctype, role, permlevel, rights)
         SELECT d, 'Clerk', 1, '{read,write}' FROM unnest('{Company,Employee}'::text[]) AS d",
    );
    assert_eq!(names(&mut w.acting(ANN), "SELECT body FROM remark"), ["a", "b"]);
    // Named, they may be docperm's.
    w.sql("SELECT docperm.protect('remark', 'Remark', parent_doctype => 'User', parenttype_column => '')");
    w.sql("SELECT docperm.set_field('Remark', 'body', permlevel => 0)");
    assert_eq!(names(&mut w.acting(ANN), "SELECT body FROM remark"), ["c"]);
}
