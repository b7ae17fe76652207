//! Permission levels on tables that are made of others: heirs, partitions that come later, partitions of partitions; and on the
//! columns that docperm itself works with.

use crate::levels::{CLERK, HR, closed, level, passes, role_of, world};
use crate::support::{World, names, one, refused, refused_with, texts};

const SAVED: &str = "{read,write,create,delete}";
const ALL: &str = "{read,write,create,delete,submit,cancel,amend}";

/// Files of persons; what one earns is of level 1. A manager's has columns of its own.
fn files() -> (World, String, String) {
    let mut w = World::new(
        "CREATE TABLE person (name text PRIMARY KEY, desk text, pay int);
         CREATE TABLE manager (bonus int, twice int GENERATED ALWAYS AS (pay * 2) STORED, PRIMARY KEY (name)) INHERITS (person);
         INSERT INTO person VALUES ('P1', 'd1', 771); INSERT INTO manager VALUES ('M1', 'd2', 772, 5);
         SELECT docperm.protect('person', 'Person'), docperm.set_field('Person', 'pay', permlevel => 1);
         CREATE TABLE director (car text) INHERITS (manager);
         INSERT INTO director VALUES ('D1', 'd3', 773, 6);",
    );
    w.user(CLERK, &["Clerk"]);
    w.user(HR, &["HR"]);
    for role in ["Clerk", "HR"] {
        w.rule("Person", role, SAVED);
    }
    level(&mut w, "Person", "HR", 1, "{read,write}");
    let (clerk, hr) = (role_of(&mut w, CLERK, "clerk"), role_of(&mut w, HR, "hr"));
    (w, clerk, hr)
}

#[test]
fn heirs_are_read_and_written_by_the_levels_of_their_doctype() {
    let (mut w, clerk, hr) = files();
    let (mut c, mut h) = (w.db.connect_as(&clerk), w.db.connect_as(&hr));
    assert_eq!(names(&mut c, "SELECT name FROM person WHERE desk > 'd'"), ["D1", "M1", "P1"]);
    for table in ["person", "ONLY person", "manager", "director"] {
        for (sql, column) in [
            ("SELECT pay FROM {}", "pay"),
            ("SELECT * FROM {}", "pay"),
            ("SELECT x FROM {} x", "pay"),
            ("SELECT name FROM {} ORDER BY pay", "pay"),
            ("UPDATE {} SET pay = 1", "pay"),
            ("UPDATE {} SET desk = 'x' WHERE pay > 771", "pay"),
            ("DELETE FROM {} WHERE pay > 771 RETURNING name", "pay"),
        ] {
            closed(&mut c, &sql.replace("{}", table), column);
            passes(&mut h, &format!("BEGIN; {}; ROLLBACK", sql.replace("{}", table)));
        }
        passes(&mut c, &format!("UPDATE {table} SET desk = desk || '!' RETURNING name, desk"));
    }
    // What only an heir has is of level 0, unless it is made of what is closed.
    assert_eq!(names(&mut c, "SELECT bonus FROM manager"), ["5", "6"]);
    for table in ["manager", "director"] {
        closed(&mut c, &format!("SELECT twice FROM {table}"), "twice");
        closed(&mut c, &format!("INSERT INTO {table} (name, pay) VALUES ('N', 5)"), "pay");
        passes(&mut c, &format!("INSERT INTO {table} (name, desk) VALUES ('N-{table}', 'd')"));
    }
    w.sql("UPDATE docperm.settings SET field_level_write = 'reset'");
    passes(&mut c, "UPDATE person SET pay = 1, desk = 'reset'");
    passes(&mut c, "INSERT INTO manager (name, pay, bonus) VALUES ('N2', 9, 9)");
    let stored = "SELECT name, pay FROM person WHERE pay IS NOT NULL ORDER BY name";
    assert_eq!(texts(&mut w.admin, stored), ["D1|773", "M1|772", "P1|771"]);
    // Through a view with NULL in place of it, heirs' rows are there like others.
    w.sql("SELECT docperm.create_readable_view('Person', 'people')");
    w.sql(&format!("GRANT SELECT ON people TO {clerk}, {hr}"));
    assert_eq!(one(&mut c, "SELECT count(*) || ' ' || count(pay) FROM people"), "6 0");
    assert_eq!(one(&mut h, "SELECT sum(pay) FROM people"), "2316");
}

#[test]
fn partitions_that_come_later_have_the_levels_too() {
    let mut w = World::new(
        "CREATE TABLE log (name text, day date, secret text, open text, both_of text GENERATED ALWAYS AS (secret || open) STORED,
                           PRIMARY KEY (name, day)) PARTITION BY RANGE (day);
         SELECT docperm.protect('log', 'Log', name_column => 'name'), docperm.set_field('Log', 'secret', permlevel => 1);
         CREATE TABLE log_1 PARTITION OF log FOR VALUES FROM ('2020-01-01') TO ('2021-01-01') PARTITION BY LIST (name);
         CREATE TABLE log_1_a PARTITION OF log_1 FOR VALUES IN ('a');
         CREATE TABLE attached (open text, gone int, both_of text GENERATED ALWAYS AS (secret || open) STORED, secret text, day date NOT NULL, name text NOT NULL);
         ALTER TABLE attached DROP COLUMN gone;
         ALTER TABLE log ATTACH PARTITION attached FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
         INSERT INTO log VALUES ('a', '2020-02-02', 's1', 'n1'), ('b', '2021-02-02', 's2', 'n2');",
    );
    w.user(CLERK, &["Clerk"]);
    w.rule("Log", "Clerk", SAVED);
    let clerk = role_of(&mut w, CLERK, "clerk");
    let mut c = w.db.connect_as(&clerk);
    for table in ["log", "log_1", "log_1_a", "attached"] {
        for column in ["secret", "both_of"] {
            closed(&mut c, &format!("SELECT {column} FROM {table}"), column);
            closed(&mut c, &format!("SELECT name FROM {table} WHERE {column} > 's'"), column);
        }
        closed(&mut c, &format!("UPDATE {table} SET secret = 'x'"), "secret");
        closed(
            &mut c,
            &format!(
                "MERGE INTO {table} t USING (VALUES ('a')) v (n) ON t.name = v.n WHEN MATCHED THEN UPDATE SET secret = 'x'"
            ),
            "secret",
        );
        passes(&mut c, &format!("UPDATE {table} SET open = open || '!' RETURNING open"));
    }
    // A row that moves keeps what is in it.
    w.sql("UPDATE docperm.settings SET field_level_write = 'reset'");
    passes(&mut c, "UPDATE log SET day = '2021-03-03', secret = 'x' WHERE name = 'a'");
    passes(
        &mut c,
        "MERGE INTO log t USING (VALUES ('b')) v (n) ON t.name = v.n WHEN MATCHED THEN UPDATE SET day = '2021-04-04', secret = 'x'",
    );
    assert_eq!(
        texts(&mut w.admin, "SELECT name, secret, both_of FROM log ORDER BY name"),
        ["a|s1|s1n1!!!", "b|s2|s2n2!!"]
    );
}

/// docperm goes by these columns whatever their level is, and tells nobody what they hold to whom they are closed.
#[test]
fn columns_that_docperm_works_with_may_be_closed() {
    let mut w = World::new(
        "CREATE TABLE orders (name text PRIMARY KEY, note text, docstatus int, owner text, amended_from text);
         CREATE TABLE line (id int PRIMARY KEY, parent text, item text);
         INSERT INTO orders VALUES ('D', 'n', 0, 'clerk@erp.test'), ('S', 'n', 1, 'clerk@erp.test'), ('C', 'n', 2, 'clerk@erp.test'), ('X', 'n', 0, 'x');
         INSERT INTO line VALUES (1, 'D', 'nut');
         SELECT docperm.protect('orders', 'Order', docstatus_column => 'docstatus', owner_column => 'owner', amended_from_column => 'amended_from'),
                docperm.protect('line', 'Line', parent_doctype => 'Order', parent_column => 'parent');
         SELECT docperm.set_field('Order', c, permlevel => 1) FROM unnest('{docstatus,owner,amended_from}'::name[]) AS c;
         SELECT docperm.set_field('Order', 'note', allow_on_submit => true), docperm.set_field('Line', 'parent', permlevel => 1);",
    );
    w.user(CLERK, &["Clerk"]);
    w.user(HR, &["HR"]);
    w.rule_if_owner("Order", "Clerk", ALL);
    w.rule("Order", "HR", ALL);
    level(&mut w, "Order", "HR", 1, "{read,write}");
    let (clerk, hr) = (role_of(&mut w, CLERK, "clerk"), role_of(&mut w, HR, "hr"));
    let mut c = w.db.connect_as(&clerk);
    assert_eq!(
        names(&mut c, "SELECT name FROM orders"),
        ["C", "D", "S"],
        "his own, whoever's he may not read"
    );
    for (sql, column) in [
        ("SELECT docstatus FROM orders", "docstatus"),
        ("SELECT name FROM orders WHERE owner = 'x'", "owner"),
        ("UPDATE orders SET docstatus = 1 WHERE name = 'D'", "docstatus"),
        ("SELECT docperm.submit('Order', 'D')", "docstatus"),
        ("SELECT docperm.cancel('Order', 'S')", "docstatus"),
        ("SELECT docperm.discard('Order', 'S')", "docstatus"),
        ("SELECT docperm.amend('Order', 'C')", "docstatus"),
        ("INSERT INTO orders (name, amended_from) VALUES ('N', 'C')", "amended_from"),
        ("SELECT parent FROM line", "parent"),
        ("INSERT INTO line VALUES (2, 'D')", "parent"),
        ("UPDATE line SET parent = 'S'", "parent"),
    ] {
        let message = refused(&mut c, sql);
        assert_eq!(message.sqlstate, "42501", "{sql}\n{message:?}");
        assert!(message.message.contains(&format!("column \"{column}\" of")), "{sql}\n{message:?}");
    }
    assert_eq!(refused_with(&mut c, "DELETE FROM orders WHERE name = 'S'"), "55000");
    passes(
        &mut c,
        "INSERT INTO orders (name) VALUES ('N'); UPDATE orders SET note = 'x' WHERE name <> 'C'; UPDATE line SET item = 'x'",
    );
    assert_eq!(
        texts(&mut w.admin, "SELECT owner, docstatus, note FROM orders WHERE name = 'N'"),
        ["clerk@erp.test|0|x"]
    );
    let mut h = w.db.connect_as(&hr);
    passes(
        &mut h,
        "INSERT INTO line VALUES (2, 'D'); SELECT docperm.submit('Order', 'D'), docperm.cancel('Order', 'S'), docperm.amend('Order', 'C')",
    );
}

/// Who has been shown a document alone, or only documents of his own, reads level 0 of them.
#[test]
fn shares_and_ownership_open_the_levels_that_they_open() {
    let (mut w, _, _) = world();
    w.user("guest@erp.test", &["Nobody"]);
    w.sql("INSERT INTO docperm.shares (doctype, document, user_name, rights) VALUES ('Employee', 'E1', 'guest@erp.test', '{read,write}')");
    let guest = role_of(&mut w, "guest@erp.test", "guest");
    let mut c = w.db.connect_as(&guest);
    assert_eq!(texts(&mut c, "SELECT name, title FROM employee"), ["E1|Cook"]);
    closed(&mut c, "SELECT salary FROM employee", "salary");
    closed(&mut c, "UPDATE employee SET salary = 5", "salary");
    passes(&mut c, "UPDATE employee SET title = 'Chef'");
    assert_eq!(texts(&mut w.admin, "SELECT title, salary FROM employee WHERE name = 'E1'"), ["Chef|7771.00"]);
}

/// An element of an array, a field of a composite value, a key of a document; an identity that is overridden.
#[test]
fn a_part_of_a_closed_column_is_closed() {
    let mut w = World::new(
        "CREATE TYPE pair AS (x int, y int);
         CREATE TABLE part (name text PRIMARY KEY, id int GENERATED ALWAYS AS IDENTITY, list int[] DEFAULT '{1,2}', both_of pair DEFAULT '(3,4)',
                            doc jsonb DEFAULT '{\"k\": 1}', open int);
         SELECT docperm.protect('part', 'Part');
         SELECT docperm.set_field('Part', c, permlevel => 1) FROM unnest('{id,list,both_of,doc}'::name[]) AS c;
         INSERT INTO part (name) VALUES ('P');",
    );
    w.user(CLERK, &["Clerk"]);
    w.rule("Part", "Clerk", SAVED);
    let clerk = role_of(&mut w, CLERK, "clerk");
    let writes = [
        ("INSERT INTO part (name, id) OVERRIDING SYSTEM VALUE VALUES ('N', 99)", "id"),
        ("INSERT INTO part (name, id) OVERRIDING SYSTEM VALUE VALUES ('N', 99), ('M', 98)", "id"),
        ("INSERT INTO part (name, list[1], list[2]) VALUES ('N', 7, 8)", "list"),
        ("INSERT INTO part (name, list[1]) SELECT 'N', 7", "list"),
        ("INSERT INTO part (name, both_of.x) VALUES ('N', 7)", "both_of"),
        ("UPDATE part SET list[1] = 9, list[2] = 9", "list"),
        ("UPDATE part SET both_of.x = 9, both_of.y = 9", "both_of"),
        ("UPDATE part SET doc['k'] = '9'", "doc"),
        ("UPDATE part SET (list[1], open) = (9, 1)", "list"),
        ("UPDATE part SET (list[1], open) = (SELECT 9, 1)", "list"),
        ("INSERT INTO part (name) VALUES ('P') ON CONFLICT (name) DO UPDATE SET list[1] = 9, open = 1", "list"),
        (
            "MERGE INTO part p USING (VALUES ('P'), ('N')) v (n) ON p.name = v.n
              WHEN MATCHED THEN UPDATE SET list[1] = 9, open = 1 WHEN NOT MATCHED THEN INSERT (name, list[1]) VALUES (v.n, 5)",
            "list",
        ),
    ];
    for mode in ["refuse", "reset"] {
        w.sql(&format!("UPDATE docperm.settings SET field_level_write = '{mode}'"));
        for (write, column) in writes {
            for first in [true, false] {
                let mut c = w.db.connect_as(&clerk);
                if !first {
                    passes(&mut c, "SELECT name FROM part");
                }
                if mode == "refuse" {
                    closed(&mut c, write, column);
                    continue;
                }
                passes(&mut c, write);
                let stored = texts(&mut w.admin, "SELECT DISTINCT list, both_of, doc, id < 90 FROM part");
                assert_eq!(stored, ["{1,2}|(3,4)|{\"k\": 1}|t"], "{write}");
                w.sql("DELETE FROM part WHERE name <> 'P'");
            }
        }
    }
    assert_eq!(one(&mut w.admin, "SELECT open FROM part"), "1");
}
