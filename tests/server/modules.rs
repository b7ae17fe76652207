//! Modules: hidden from whom they are blocked for, and closed where the setting says so; module profiles.

use crate::support::{World, names, one, refused, refused_with, set_user, table};

const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";

/// Orders with lines, of the module Selling; customers, which both name; items without a module.
fn world() -> World {
    let mut w = World::new(
        "CREATE TABLE customer (name text PRIMARY KEY);
         CREATE TABLE orders (name text PRIMARY KEY, owner text, customer text REFERENCES customer);
         CREATE TABLE order_line (id int PRIMARY KEY, parent text REFERENCES orders);
         CREATE TABLE item (name text PRIMARY KEY);
         INSERT INTO customer VALUES ('c');
         INSERT INTO orders VALUES ('o1', 'ann@erp.test', 'c'), ('o2', 'bob@erp.test', 'c');
         INSERT INTO order_line VALUES (1, 'o1'), (2, 'o2');
         INSERT INTO item VALUES ('i');
         SELECT docperm.protect('customer', 'Customer', module => 'CRM');
         SELECT docperm.protect('orders', 'Order', owner_column => 'owner', module => 'Selling');
         SELECT docperm.protect('order_line', 'Order Line', parent_doctype => 'Order', parent_column => 'parent', module => 'Lines');
         SELECT docperm.protect('item', 'Item');",
    );
    w.user(ANN, &["Seller"]);
    w.user(BOB, &["Seller"]);
    for doctype in ["Customer", "Order", "Item"] {
        w.rule(doctype, "Seller", "{read,write,create,delete,report,share}");
    }
    w
}

fn blocked(w: &mut World, user: &str) -> Vec<String> {
    names(
        &mut w.admin,
        &format!("SELECT module FROM docperm.user_blocked_modules WHERE user_name = '{user}'"),
    )
}

const VISIBLE: &str = "SELECT doctype FROM docperm.visible_doctypes() WHERE doctype IN ('Customer', 'Order', 'Order Line', 'Item')";

#[test]
fn naming_a_module_makes_it() {
    let mut w = world();
    assert_eq!(names(&mut w.admin, "SELECT name FROM docperm.modules"), ["CRM", "Lines", "Selling"]);
    w.sql("UPDATE docperm.doctypes SET module = ' Stock ' WHERE name = 'Item'");
    assert_eq!(one(&mut w.admin, "SELECT module FROM docperm.doctypes WHERE name = 'Item'"), "Stock");
    w.sql("UPDATE docperm.modules SET name = 'Inventory' WHERE name = 'Stock'");
    assert_eq!(one(&mut w.admin, "SELECT module FROM docperm.doctypes WHERE name = 'Item'"), "Inventory");
    let delete = "DELETE FROM docperm.modules WHERE name = 'Inventory'";
    assert_eq!(refused_with(&mut w.admin, delete), "23503", "something belongs to it");
    w.sql("UPDATE docperm.doctypes SET module = '' WHERE name = 'Item'");
    w.sql(delete);
}

#[test]
fn a_blocked_module_is_hidden_and_closes_nothing_by_itself() {
    let mut w = world();
    w.sql(&format!("INSERT INTO docperm.user_blocked_modules VALUES ('{ANN}', 'Selling')"));
    let mut ann = w.acting(ANN);
    assert_eq!(names(&mut ann, VISIBLE), ["Customer", "Item"]);
    assert_eq!(names(&mut ann, "SELECT module FROM docperm.visible_modules()"), ["CRM"]);
    assert_eq!(w.sees(ANN, "Order"), ["o1", "o2"]);
    let mut bob = w.acting(BOB);
    assert_eq!(
        names(&mut bob, VISIBLE),
        ["Customer", "Item", "Order"],
        "child tables come with their documents"
    );
    assert_eq!(names(&mut bob, "SELECT module FROM docperm.visible_modules()"), ["CRM", "Selling"]);
    let rights = "SELECT rights::text FROM docperm.visible_doctypes() WHERE doctype = 'Order'";
    assert_eq!(names(&mut bob, rights), ["{create,delete,read,report,share,write}"]);
}

#[test]
fn about_others_administrators_ask() {
    let mut w = world();
    let about = VISIBLE.replace("()", &format!("('{BOB}')"));
    assert_eq!(names(&mut w.admin, &about), ["Customer", "Item", "Order"]);
    for function in ["visible_doctypes", "visible_modules"] {
        let about = format!("SELECT * FROM docperm.{function}('{BOB}')");
        assert_eq!(refused_with(&mut w.acting(ANN), &about), "42501");
        assert_eq!(refused_with(&mut w.admin, &about.replace(BOB, "nobody@erp.test")), "42704");
    }
    assert_eq!(names(&mut w.acting("Administrator"), VISIBLE), ["Customer", "Item", "Order"]);
    assert!(names(&mut w.acting("Guest"), VISIBLE).is_empty());
    w.sql(&format!("UPDATE docperm.users SET enabled = false WHERE name = '{BOB}'"));
    assert!(names(&mut w.admin, &about).is_empty());
}

/// Everything that is asked in one way or another agrees.
#[test]
fn enforced_a_blocked_module_closes_its_documents_with_shares_own_ones_and_lines() {
    let mut w = world();
    w.sql(&format!(
        "UPDATE docperm.settings SET enforce_module_access = true;
         INSERT INTO docperm.user_blocked_modules VALUES ('{ANN}', 'Selling'), ('{BOB}', 'Lines'), ('Administrator', 'Selling');
         INSERT INTO docperm.shares (doctype, document, user_name, rights) VALUES ('Order', 'o1', '{ANN}', '{{read,write,share}}')"
    ));
    assert!(w.sees(ANN, "Order").is_empty());
    assert!(w.sees(ANN, "Order Line").is_empty(), "lines follow their document");
    assert_eq!(w.sees(ANN, "Customer"), ["c"]);
    assert_eq!(w.sees(BOB, "Order Line"), ["1", "2"], "and their own module says nothing");
    assert_eq!(w.sees("Administrator", "Order"), ["o1", "o2"]);
    for right in ["read", "write", "share", "select", "delete"] {
        assert!(w.may(ANN, "Order", right).is_empty(), "{right}");
    }
    assert_eq!(w.denied(ANN, "INSERT INTO orders VALUES ('o3', 'ann@erp.test', 'c')"), "42501");
    assert_eq!(w.denied(ANN, "INSERT INTO order_line VALUES (3, 'o1')"), "42501");
    assert_eq!(w.try_as(ANN, "UPDATE orders SET customer = NULL").unwrap(), 0);
    assert_eq!(w.try_as(ANN, "DELETE FROM order_line").unwrap(), 0);
    let mut ann = w.acting(ANN);
    assert!(names(&mut ann, "SELECT name FROM docperm.link_options('Order')").is_empty());
    assert_eq!(refused_with(&mut ann, &format!("SELECT docperm.share('Order', 'o1', '{BOB}')")), "42501");
    assert_eq!(
        names(&mut w.admin, "SELECT user_name FROM docperm.who_can('Order', 'o1')"),
        ["Administrator", BOB]
    );

    let why = "SELECT rule, verdict, detail FROM docperm.explain_access('Order', 'o1', 'read') WHERE rule = 'module'";
    let told = table(&mut ann, why);
    assert_eq!(told.len(), 1);
    assert_eq!(&told[0][..2], ["module", "denied"]);
    assert!(told[0][2].contains("Selling") && told[0][2].contains("enforce_module_access"), "{told:?}");
    let line = table(&mut ann, &why.replace("'Order', 'o1'", "'Order Line', '1'"));
    assert!(line.len() == 1 && line[0][2].contains("Selling"), "{line:?}");
    assert!(table(&mut w.acting(BOB), why).is_empty());
}

/// In an open connection, in prepared statements, within the transaction that changes it, and back after a rollback.
#[test]
fn what_is_blocked_and_unblocked_counts_from_the_next_statement_on() {
    let mut w = world();
    let mut ann = w.acting(ANN);
    ann.batch_execute("SET plan_cache_mode = force_generic_plan; PREPARE orders AS SELECT name FROM orders")
        .unwrap();
    let all = ["o1", "o2"];
    assert_eq!(names(&mut ann, "EXECUTE orders"), all);
    let block = format!("INSERT INTO docperm.user_blocked_modules VALUES ('{ANN}', 'Selling')");
    for (change, is_open) in [
        ("UPDATE docperm.settings SET enforce_module_access = true", true),
        (&block, false),
        ("UPDATE docperm.settings SET enforce_module_access = false", true),
        ("UPDATE docperm.settings SET enforce_module_access = true", false),
        ("UPDATE docperm.doctypes SET module = 'CRM' WHERE name = 'Order'", true),
        ("UPDATE docperm.user_blocked_modules SET module = 'CRM'", false),
        ("TRUNCATE docperm.user_blocked_modules", true),
        ("INSERT INTO docperm.module_profiles VALUES ('Clerks')", true),
        ("INSERT INTO docperm.module_profile_blocks VALUES ('Clerks', 'CRM')", true),
        ("UPDATE docperm.users SET module_profile = 'Clerks' WHERE name = 'ann@erp.test'", false),
        ("UPDATE docperm.module_profile_blocks SET module = 'Selling'", true),
        ("UPDATE docperm.doctypes SET module = 'Selling' WHERE name = 'Order'", false),
        ("UPDATE docperm.modules SET name = 'Sales' WHERE name = 'Selling'", false),
        ("DELETE FROM docperm.module_profile_blocks", true),
    ] {
        w.sql(&format!("BEGIN; {change}; ROLLBACK"));
        w.sql(change);
        let seen = names(&mut ann, "EXECUTE orders");
        assert_eq!(seen, if is_open { all.as_slice() } else { &[] }, "{change}");
    }
}

#[test]
fn case_71_blocked_modules_follow_the_module_profile() {
    let mut w = world();
    w.sql(
        "INSERT INTO docperm.module_profiles VALUES ('Clerks'), ('Guards');
         INSERT INTO docperm.module_profile_blocks VALUES ('Clerks', 'Selling'), ('Clerks', 'CRM'), ('Guards', 'Lines');
         INSERT INTO docperm.user_blocked_modules VALUES ('ann@erp.test', 'Lines')",
    );
    w.sql(
        "UPDATE docperm.users SET module_profile = 'Clerks' WHERE name IN ('ann@erp.test', 'bob@erp.test')",
    );
    assert_eq!(blocked(&mut w, ANN), ["CRM", "Selling"], "exactly those of the profile");
    assert_eq!(blocked(&mut w, BOB), ["CRM", "Selling"]);
    w.sql("INSERT INTO docperm.module_profile_blocks VALUES ('Clerks', 'Lines')");
    w.sql("DELETE FROM docperm.module_profile_blocks WHERE (module_profile, module) = ('Clerks', 'CRM')");
    assert_eq!(
        (blocked(&mut w, ANN), blocked(&mut w, BOB)),
        (vec!["Lines".into(), "Selling".into()], vec!["Lines".into(), "Selling".into()])
    );
    w.sql("UPDATE docperm.users SET module_profile = 'Guards' WHERE name = 'ann@erp.test'");
    assert_eq!(blocked(&mut w, ANN), ["Lines"], "switching replaces");
    w.sql("DELETE FROM docperm.module_profile_blocks WHERE module_profile = 'Guards'");
    assert!(blocked(&mut w, ANN).is_empty(), "clearing clears");
    w.sql("INSERT INTO docperm.module_profile_blocks VALUES ('Guards', 'Lines')");
    assert_eq!(blocked(&mut w, ANN), ["Lines"], "also for whom nothing was blocked");

    w.sql("UPDATE docperm.module_profiles SET name = 'Watch' WHERE name = 'Guards'");
    w.sql("INSERT INTO docperm.module_profile_blocks VALUES ('Watch', 'CRM')");
    assert_eq!(blocked(&mut w, ANN), ["CRM", "Lines"]);
    w.sql("DELETE FROM docperm.module_profiles WHERE name = 'Watch'");
    assert_eq!(
        one(&mut w.admin, "SELECT module_profile FROM docperm.users WHERE name = 'ann@erp.test'"),
        "NULL"
    );
    assert_eq!(blocked(&mut w, ANN), ["CRM", "Lines"], "without a profile the list is free, and stays");
    w.sql("DELETE FROM docperm.user_blocked_modules WHERE user_name = 'ann@erp.test'");
    w.sql("INSERT INTO docperm.users (name, module_profile) VALUES ('new@erp.test', 'Clerks')");
    assert_eq!(blocked(&mut w, "new@erp.test"), ["Lines", "Selling"]);
}

#[test]
fn modules_beside_the_profile_are_refused() {
    let mut w = world();
    w.sql(
        "INSERT INTO docperm.module_profiles VALUES ('Clerks'); INSERT INTO docperm.module_profile_blocks VALUES ('Clerks', 'Selling');
         UPDATE docperm.users SET module_profile = 'Clerks' WHERE name = 'ann@erp.test'",
    );
    for change in [
        "INSERT INTO docperm.user_blocked_modules VALUES ('ann@erp.test', 'CRM')",
        "DELETE FROM docperm.user_blocked_modules",
        "UPDATE docperm.user_blocked_modules SET module = 'CRM'",
        "UPDATE docperm.user_blocked_modules SET user_name = 'bob@erp.test'",
    ] {
        let error = refused(&mut w.admin, change);
        assert_eq!(error.sqlstate, "22023", "{change}");
        assert!(error.detail.is_some() && error.hint.is_some());
        assert_eq!(blocked(&mut w, ANN), ["Selling"], "{change}");
    }
    w.sql("TRUNCATE docperm.user_blocked_modules");
    assert_eq!(blocked(&mut w, ANN), ["Selling"], "they come back after TRUNCATE");
    w.sql("UPDATE docperm.users SET name = 'anna@erp.test' WHERE name = 'ann@erp.test'");
    assert_eq!(blocked(&mut w, "anna@erp.test"), ["Selling"]);
    w.sql("UPDATE docperm.doctypes SET module = NULL WHERE module = 'Selling'; DELETE FROM docperm.modules WHERE name = 'Selling'");
    assert!(blocked(&mut w, "anna@erp.test").is_empty());
    for (insert, sqlstate) in [
        ("user_blocked_modules VALUES ('nobody@erp.test', 'CRM')", "42704"),
        ("user_blocked_modules VALUES ('bob@erp.test', 'None')", "42704"),
        ("module_profile_blocks VALUES ('None', 'CRM')", "42704"),
        ("module_profile_blocks VALUES ('Clerks', 'None')", "42704"),
        ("users (name, module_profile) VALUES ('new@erp.test', 'None')", "42704"),
    ] {
        assert_eq!(
            refused_with(&mut w.admin, &format!("INSERT INTO docperm.{insert}")),
            sqlstate,
            "{insert}"
        );
    }
}

#[test]
fn nobody_opens_a_module_for_himself() {
    let mut w = world();
    w.sql(&format!(
        "UPDATE docperm.settings SET enforce_module_access = true; INSERT INTO docperm.user_blocked_modules VALUES ('{ANN}', 'Selling')"
    ));
    let mut ann = w.app();
    set_user(&mut ann, ANN);
    for change in [
        "DELETE FROM docperm.user_blocked_modules",
        "UPDATE docperm.settings SET enforce_module_access = false",
        "UPDATE docperm.users SET module_profile = NULL",
        "SELECT docperm._follow_module_profiles('{ann@erp.test}')",
        "SELECT * FROM docperm._doctype_rights(NULL)",
    ] {
        assert_eq!(refused_with(&mut ann, change), "42501", "{change}");
    }
}
