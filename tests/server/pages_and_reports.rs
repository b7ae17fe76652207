//! Pages and reports: open to roles, custom ones in place of standard ones, and to who may report on the doctype.

use crate::support::{World, names, one, refused_with, table};

const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";

/// Ann sells and reports on orders; Bob reads them.
fn world() -> World {
    let mut w = World::new(
        "CREATE TABLE orders (name text PRIMARY KEY);
         SELECT docperm.protect('orders', 'Order', module => 'Selling');
         INSERT INTO docperm.roles (name) VALUES ('Manager');
         INSERT INTO docperm.pages VALUES ('open', 'Open', NULL), ('setup', 'Setup', 'Core'), ('point-of-sale', 'POS', 'Selling');",
    );
    w.user(ANN, &["Seller"]);
    w.user(BOB, &["Reader"]);
    w.rule("Order", "Seller", "{read,report}");
    w.rule("Order", "Reader", "{read}");
    w.sql(
        "INSERT INTO docperm.page_roles VALUES ('setup', 'Manager'), ('point-of-sale', 'Seller'), ('point-of-sale', 'Manager');
         INSERT INTO docperm.reports (name, ref_doctype, report_type) VALUES
             ('Order Trends', 'Order', 'Script Report'), ('Margins', 'Order', 'Query Report'), ('Free', 'Order', DEFAULT);
         INSERT INTO docperm.report_roles VALUES ('Order Trends', 'Seller'), ('Order Trends', 'Reader'), ('Margins', 'Manager');",
    );
    w
}

fn pages(w: &World, user: &str) -> Vec<String> {
    let mut client = w.acting(user);
    let open = names(
        &mut client,
        "SELECT p FROM unnest('{open,setup,point-of-sale}'::text[]) p WHERE docperm.can_open_page(p)",
    );
    assert_eq!(names(&mut client, "SELECT page FROM docperm.visible_pages()"), open, "nothing is hidden");
    open
}

fn reports(w: &World, user: &str) -> Vec<String> {
    let mut client = w.acting(user);
    let open = names(
        &mut client,
        "SELECT r FROM unnest('{Order Trends,Margins,Free}'::text[]) r WHERE docperm.can_run_report(r)",
    );
    assert_eq!(names(&mut client, "SELECT report FROM docperm.visible_reports()"), open, "nothing is hidden");
    open
}

#[test]
fn a_page_is_open_to_its_roles_and_without_any_to_everybody() {
    let mut w = world();
    assert_eq!(pages(&w, ANN), ["open", "point-of-sale"]);
    assert_eq!(pages(&w, BOB), ["open"]);
    assert_eq!(pages(&w, "Guest"), ["open"]);
    assert_eq!(pages(&w, "Administrator"), ["open", "point-of-sale", "setup"]);
    w.sql("UPDATE docperm.roles SET disabled = true WHERE name = 'Seller'");
    assert_eq!(pages(&w, ANN), ["open"], "a disabled role is not held");
    w.sql("INSERT INTO docperm.page_roles VALUES ('setup', 'All')");
    assert_eq!(
        (pages(&w, BOB), pages(&w, "Guest")),
        (vec!["open".into(), "setup".into()], vec!["open".to_owned()])
    );
    w.sql(&format!("UPDATE docperm.users SET enabled = false WHERE name = '{BOB}'"));
    assert_eq!(one(&mut w.admin, &format!("SELECT docperm.can_open_page('open', '{BOB}')")), "f");
}

#[test]
fn a_report_needs_a_role_and_the_right_to_report_on_its_doctype() {
    let mut w = world();
    assert_eq!(reports(&w, ANN), ["Free", "Order Trends"]);
    assert!(reports(&w, BOB).is_empty(), "he may read, but not report");
    assert!(reports(&w, "Guest").is_empty());
    assert_eq!(reports(&w, "Administrator"), ["Free", "Margins", "Order Trends"]);
    w.sql("UPDATE docperm.role_permissions SET rights = '{read,report}' WHERE role = 'Reader'");
    assert_eq!(reports(&w, BOB), ["Free", "Order Trends"]);
    w.sql("UPDATE docperm.reports SET disabled = true WHERE name = 'Free'");
    assert_eq!(reports(&w, BOB), ["Order Trends"]);
    assert_eq!(one(&mut w.acting("Administrator"), "SELECT docperm.can_run_report('Free')"), "f");
    assert_eq!(
        refused_with(&mut w.admin, "UPDATE docperm.reports SET ref_doctype = NULL WHERE name = 'Margins'"),
        "23514"
    );
}

#[test]
fn custom_roles_replace_the_standard_ones_and_all_is_left_out_of_them() {
    let mut w = world();
    w.sql("INSERT INTO docperm.report_roles VALUES ('Order Trends', 'Manager', true), ('Margins', 'Seller', true)");
    w.sql("INSERT INTO docperm.page_roles VALUES ('point-of-sale', 'Reader', true)");
    assert_eq!(reports(&w, ANN), ["Free", "Margins"]);
    assert_eq!(
        (pages(&w, ANN), pages(&w, BOB)),
        (vec!["open".into()], vec!["open".into(), "point-of-sale".to_owned()])
    );
    w.sql("INSERT INTO docperm.page_roles VALUES ('setup', 'All', true)");
    assert_eq!(
        one(&mut w.admin, "SELECT count(*) FROM docperm.page_roles WHERE page = 'setup' AND custom"),
        "0"
    );
    assert_eq!(pages(&w, ANN), ["open"], "the standard ones stay in force");
    w.sql("DELETE FROM docperm.report_roles WHERE custom; DELETE FROM docperm.page_roles WHERE custom");
    assert_eq!(
        (reports(&w, ANN), pages(&w, ANN)),
        (vec!["Free".into(), "Order Trends".into()], vec!["open".into(), "point-of-sale".to_owned()])
    );
}

#[test]
fn blocked_modules_hide_pages_and_reports_and_enforced_close_them() {
    let mut w = world();
    w.sql(&format!("INSERT INTO docperm.user_blocked_modules VALUES ('{ANN}', 'Selling')"));
    let mut ann = w.acting(ANN);
    let open = "SELECT docperm.can_open_page('point-of-sale'), docperm.can_run_report('Order Trends')";
    assert_eq!(table(&mut ann, open), [["t", "t"]]);
    assert_eq!(names(&mut ann, "SELECT page FROM docperm.visible_pages()"), ["open"]);
    assert!(
        names(&mut ann, "SELECT report FROM docperm.visible_reports()").is_empty(),
        "they belong where their doctype does"
    );
    assert!(names(&mut ann, "SELECT module FROM docperm.visible_modules()").is_empty());
    w.sql("UPDATE docperm.settings SET enforce_module_access = true");
    assert_eq!(table(&mut ann, open), [["f", "f"]]);
    w.sql("UPDATE docperm.user_blocked_modules SET module = 'Core'; UPDATE docperm.reports SET module = 'Core' WHERE name = 'Order Trends'");
    assert_eq!(table(&mut ann, open), [["t", "f"]]);
    assert_eq!(names(&mut ann, "SELECT module FROM docperm.visible_modules()"), ["Selling"]);
}

#[test]
fn what_is_unknown_is_an_error_and_others_are_for_administrators() {
    let mut w = world();
    let mut ann = w.acting(ANN);
    for (call, sqlstate) in [
        ("can_run_report('None')", "42704"),
        ("can_open_page('None')", "42704"),
        ("can_run_report(NULL)", "42704"),
        ("can_run_report('Margins', 'bob@erp.test')", "42501"),
        ("can_open_page('open', 'bob@erp.test')", "42501"),
        ("visible_pages('bob@erp.test')", "42501"),
        ("visible_reports('bob@erp.test')", "42501"),
    ] {
        assert_eq!(refused_with(&mut ann, &format!("SELECT docperm.{call}")), sqlstate, "{call}");
    }
    assert_eq!(
        refused_with(&mut w.admin, "SELECT docperm.can_open_page('open', 'nobody@erp.test')"),
        "42704"
    );
    for insert in [
        "page_roles VALUES ('None', 'Seller')",
        "page_roles VALUES ('open', 'None')",
        "report_roles VALUES ('None', 'Seller')",
        "report_roles VALUES ('Free', 'None')",
        "reports (name, ref_doctype) VALUES ('x', 'None')",
    ] {
        assert_eq!(refused_with(&mut w.admin, &format!("INSERT INTO docperm.{insert}")), "42704", "{insert}");
    }
    for table in ["pages", "page_roles", "reports", "report_roles", "modules"] {
        assert_eq!(refused_with(&mut ann, &format!("DELETE FROM docperm.{table}")), "42501");
    }
    // Names follow.
    w.sql("UPDATE docperm.reports SET name = 'Trends' WHERE name = 'Order Trends'; UPDATE docperm.roles SET name = 'Vendor' WHERE name = 'Seller'");
    assert_eq!(one(&mut ann, "SELECT docperm.can_run_report('Trends')"), "t");
}
