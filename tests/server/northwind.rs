//! The main job on real data: Northwind under docperm.

use crate::support::{World, literal, names, one, refused, run, set_user, table};

const RIGHTS: &str = "{read,write,create,delete}";

/// Northwind, unprotected.
fn bare() -> World {
    World::new(include_str!("../data/northwind.sql"))
}

/// Northwind with four doctypes on which the role Sales User may do everything.
fn northwind() -> World {
    let mut w = bare();
    w.sql(
        "SELECT docperm.protect('customers', 'Customer');
         SELECT docperm.protect('employees', 'Employee', tree_parent_column => 'reports_to');
         SELECT docperm.protect('shippers', 'Shipper');
         SELECT docperm.protect('orders', 'Order');",
    );
    for doctype in ["Customer", "Employee", "Shipper", "Order"] {
        w.rule(doctype, "Sales User", RIGHTS);
    }
    w
}

/// The orders that a WHERE written by hand finds, unfiltered.
fn by_hand(w: &mut World, condition: &str) -> Vec<String> {
    names(&mut w.admin, &format!("SELECT order_id FROM orders WHERE {condition}"))
}

#[test]
fn an_employee_opens_the_orders_of_all_who_report_to_him() {
    let mut w = northwind();
    w.user("steven@northwind.test", &["Sales User"]);
    w.allow("steven@northwind.test", "Employee", "5");
    assert_eq!(w.sees("steven@northwind.test", "Employee"), ["5", "6", "7", "9"]);
    let orders = w.sees("steven@northwind.test", "Order");
    assert_eq!(orders.len(), 224);
    assert_eq!(orders, by_hand(&mut w, "employee_id IN (5, 6, 7, 9)"));
}

#[test]
fn hide_descendants_opens_the_employee_alone() {
    let mut w = northwind();
    w.user("steven@northwind.test", &["Sales User"]);
    w.allow_node_only("steven@northwind.test", "Employee", "5");
    assert_eq!(w.sees("steven@northwind.test", "Employee"), ["5"]);
    let orders = w.sees("steven@northwind.test", "Order");
    assert_eq!(orders.len(), 42);
    assert_eq!(orders, by_hand(&mut w, "employee_id = 5"));
}

#[test]
fn the_head_of_the_tree_opens_everything_below() {
    let mut w = northwind();
    w.user("andrew@northwind.test", &["Sales User"]);
    w.allow("andrew@northwind.test", "Employee", "2");
    assert_eq!(w.sees("andrew@northwind.test", "Employee").len(), 9);
    assert_eq!(w.sees("andrew@northwind.test", "Order").len(), 830);
}

#[test]
fn customers_and_shipper_must_both_hold() {
    let mut w = northwind();
    w.user("kim@northwind.test", &["Sales User"]);
    w.allow("kim@northwind.test", "Customer", "ERNSH");
    w.allow("kim@northwind.test", "Customer", "SAVEA");
    w.allow("kim@northwind.test", "Shipper", "1");
    let orders = w.sees("kim@northwind.test", "Order");
    assert_eq!(orders.len(), 21);
    assert_eq!(orders, by_hand(&mut w, "customer_id IN ('ERNSH', 'SAVEA') AND ship_via = 1"));
    assert_eq!(w.sees("kim@northwind.test", "Customer"), ["ERNSH", "SAVEA"]);
    assert_eq!(w.sees("kim@northwind.test", "Shipper"), ["1"]);
    assert_eq!(w.sees("kim@northwind.test", "Employee").len(), 9);
}

#[test]
fn applicable_for_restricts_orders_and_nothing_else() {
    let mut w = northwind();
    w.user("kim@northwind.test", &["Sales User"]);
    w.allow_for("kim@northwind.test", "Customer", "ERNSH", "Order");
    let orders = w.sees("kim@northwind.test", "Order");
    assert_eq!(orders.len(), 30);
    assert_eq!(orders, by_hand(&mut w, "customer_id = 'ERNSH'"));
    assert_eq!(w.sees("kim@northwind.test", "Customer").len(), 91);
}

#[test]
fn nothing_can_be_written_out_of_the_permitted_set() {
    let mut w = northwind();
    let steven = "steven@northwind.test";
    w.user(steven, &["Sales User"]);
    w.allow(steven, "Employee", "5");
    let insert = |employee: &str| {
        format!("INSERT INTO orders (order_id, customer_id, employee_id) VALUES (20001, 'ALFKI', {employee})")
    };
    assert_eq!(w.try_as(steven, &insert("6")).unwrap(), 1);
    assert_eq!(w.try_as(steven, &insert("NULL")).unwrap(), 1, "blank links pass while strict mode is off");
    assert_eq!(w.denied(steven, &insert("1")), "42501");

    let (own, foreign) = ("10248", "10251");
    let set = |order: &str, employee: &str| {
        format!("UPDATE orders SET employee_id = {employee} WHERE order_id = {order}")
    };
    assert_eq!(w.try_as(steven, &set(own, "9")).unwrap(), 1);
    assert_eq!(w.denied(steven, &set(own, "1")), "42501");
    assert_eq!(w.try_as(steven, &set(foreign, "5")).unwrap(), 0, "a hidden row cannot be pulled in");
    assert_eq!(w.try_as(steven, &format!("DELETE FROM orders WHERE order_id = {foreign}")).unwrap(), 0);
    assert_eq!(w.try_as(steven, "UPDATE orders SET freight = 0").unwrap(), 224);
}

#[test]
fn a_subordinate_may_be_added_below_a_permitted_employee_only() {
    let mut w = northwind();
    let steven = "steven@northwind.test";
    w.user(steven, &["Sales User"]);
    w.allow(steven, "Employee", "5");
    let insert = |boss: &str| {
        format!(
            "INSERT INTO employees (employee_id, last_name, first_name, reports_to) VALUES (20, 'X', 'Y', {boss})"
        )
    };
    assert_eq!(w.try_as(steven, &insert("5")).unwrap(), 1);
    assert_eq!(w.try_as(steven, &insert("6")).unwrap(), 1, "below a descendant as well");
    assert_eq!(w.denied(steven, &insert("2")), "42501");
    assert_eq!(w.denied(steven, &insert("NULL")), "42501");
}

#[test]
fn links_are_found_whichever_table_is_protected_first() {
    let calls = [
        "SELECT docperm.protect('customers', 'Customer')",
        "SELECT docperm.protect('employees', 'Employee', tree_parent_column => 'reports_to')",
        "SELECT docperm.protect('shippers', 'Shipper')",
        "SELECT docperm.protect('orders', 'Order')",
    ];
    let fields = |calls: &[&str]| {
        let mut w = bare();
        w.sql(&calls.join(";"));
        table(
            &mut w.admin,
            "SELECT doctype, column_name, link_to, ignore_user_permissions FROM docperm.doctype_fields
             WHERE link_to IN ('Employee', 'Customer', 'Shipper', 'Order', 'Product') ORDER BY 1, 2",
        )
    };
    let forwards = fields(&calls);
    assert_eq!(
        forwards,
        [
            ["Employee", "reports_to", "Employee", "t"],
            ["Order", "customer_id", "Customer", "f"],
            ["Order", "employee_id", "Employee", "f"],
            ["Order", "ship_via", "Shipper", "f"],
        ]
    );
    let backwards: Vec<&str> = calls.iter().rev().copied().collect();
    assert_eq!(fields(&backwards), forwards);
}

#[test]
fn order_details_have_no_key_to_be_documents_by() {
    let mut w = northwind();
    let refusal = refused(&mut w.admin, "SELECT docperm.protect('order_details', 'Order Detail')");
    assert_eq!(refusal.sqlstate, "22023");
    assert!(refusal.message.contains("order_details"), "{refusal:?}");
    assert!(refusal.hint.is_some(), "{refusal:?}");
    let state =
        "SELECT relrowsecurity OR EXISTS (SELECT FROM pg_policy WHERE polrelid = 'order_details'::regclass)
                 FROM pg_class WHERE oid = 'order_details'::regclass";
    assert_eq!(one(&mut w.admin, state), "f");
}

#[test]
fn an_aggregate_over_a_join_counts_visible_orders_alone() {
    let mut w = northwind();
    w.user("kim@northwind.test", &["Sales User"]);
    w.allow("kim@northwind.test", "Customer", "ERNSH");
    let total = "SELECT count(*) || ' ' || sum(quantity) FROM order_details JOIN orders USING (order_id)";
    let by_hand = one(&mut w.admin, &format!("{total} WHERE customer_id = 'ERNSH'"));
    assert_eq!(one(&mut w.acting("kim@northwind.test"), total), by_hand);
    assert_ne!(by_hand, one(&mut w.admin, total));
}

#[test]
fn two_people_run_one_query_in_psql_over_a_pool_and_prepared() {
    let mut w = northwind();
    w.user("kim@northwind.test", &["Sales User"]);
    w.user("lee@northwind.test", &["Sales User"]);
    w.allow("kim@northwind.test", "Customer", "ERNSH");
    w.allow("lee@northwind.test", "Shipper", "2");
    let expected = [("kim@northwind.test", "30"), ("lee@northwind.test", "326")];
    let query = "SELECT count(*) FROM orders";

    // psql: each with a database role of their own.
    for (user, count) in expected {
        let role = w.db.login_role("person");
        w.sql(&format!(
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};
             UPDATE docperm.users SET db_role = '{role}' WHERE name = {}",
            literal(user)
        ));
        let out = run("psql", &role, w.db.name(), &["-X", "-A", "-t", "-c", query]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap().trim(), count);
    }

    // A pool: one connection, one transaction after the other, each with its own user.
    let mut pooled = w.app();
    for (user, count) in expected.iter().cycle().take(6) {
        pooled.batch_execute("BEGIN").unwrap();
        table(&mut pooled, &format!("SELECT docperm.set_user({})", literal(user)));
        assert_eq!(one(&mut pooled, query), *count);
        pooled.batch_execute("COMMIT").unwrap();
        assert_eq!(one(&mut pooled, query), "0", "between two transactions the pool is Guest");
    }

    // A prepared statement that has long become a generic plan.
    let prepared = pooled.prepare("SELECT count(*) FROM orders WHERE order_id > $1").unwrap();
    for (user, count) in expected.iter().cycle().take(20) {
        set_user(&mut pooled, user);
        let found: i64 = pooled.query_one(&prepared, &[&0i16]).unwrap().get(0);
        assert_eq!(found.to_string(), *count);
    }
}

#[test]
fn without_roles_rules_or_identity_nothing_is_seen() {
    let mut w = northwind();
    w.user("nobody@northwind.test", &[]);
    for doctype in ["Customer", "Employee", "Shipper", "Order"] {
        assert!(w.sees("nobody@northwind.test", doctype).is_empty());
        assert!(w.sees("Guest", doctype).is_empty());
    }
    assert_eq!(one(&mut w.app(), "SELECT count(*) FROM orders"), "0");
    assert_eq!(w.sees("Administrator", "Order").len(), 830);
}

#[test]
fn unprotect_gives_northwind_back_as_it_was() {
    let mut w = bare();
    let state = "SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity,
                        (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid),
                        (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
                 FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' ORDER BY 1";
    let before = table(&mut w.admin, state);
    w.sql(
        "SELECT docperm.protect('employees', 'Employee', tree_parent_column => 'reports_to');
         SELECT docperm.protect('orders', 'Order');",
    );
    assert_ne!(table(&mut w.admin, state), before);
    w.sql("SELECT docperm.unprotect('orders'); SELECT docperm.unprotect('employees');");
    assert_eq!(table(&mut w.admin, state), before);
    assert_eq!(
        one(&mut w.admin, "SELECT count(*) FROM docperm.doctypes WHERE NOT docperm._is_own(relation)"),
        "0"
    );
    let fields = "SELECT count(*) FROM docperm.doctype_fields f JOIN docperm.doctypes d ON d.name = f.doctype
                   WHERE NOT docperm._is_own(d.relation)";
    assert_eq!(one(&mut w.admin, fields), "0");
    assert_eq!(one(&mut w.app(), "SELECT count(*) FROM orders"), "830");
}
