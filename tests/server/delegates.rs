//! Users who restrict others without being administrators: by the right `set_user_permissions`.

use crate::support::{World, attempt, refused_with, texts};

const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";

/// Ann may restrict others by companies, a tree, and reads orders, which link to them, as Bob does.
fn world() -> World {
    let mut w = World::new(
        "CREATE TABLE company (name text PRIMARY KEY, up text);
         CREATE TABLE sales_order (name text PRIMARY KEY, company text REFERENCES company);
         CREATE TABLE invoice (name text PRIMARY KEY, company text REFERENCES company);
         INSERT INTO company VALUES ('A', NULL), ('A1', 'A'), ('A2', 'A'), ('B', NULL);
         SELECT docperm.protect('company', 'Company', tree_parent_column => 'up');
         SELECT docperm.protect('sales_order', 'Order'), docperm.protect('invoice', 'Invoice');",
    );
    w.user(ANN, &["Reader", "Delegate"]);
    w.user(BOB, &["Reader"]);
    w.rule("Order", "Reader", "{read}");
    w.rule("Invoice", "Reader", "{read}");
    w.rule("Company", "Delegate", "{read,set_user_permissions}");
    w
}

/// Whether Ann may permit Bob that company, with these further arguments.
fn may(w: &mut World, company: &str, arguments: &str) -> bool {
    let before = texts(&mut w.admin, "SELECT t::text FROM docperm.user_permissions t ORDER BY 1");
    let mut ann = w.acting(ANN);
    ann.batch_execute("BEGIN").unwrap();
    let call = format!("SELECT docperm.apply_user_permission('{BOB}', 'Company', '{company}'{arguments})");
    let answer = attempt(&mut ann, &call);
    ann.batch_execute("ROLLBACK").unwrap();
    assert_eq!(texts(&mut w.admin, "SELECT t::text FROM docperm.user_permissions t ORDER BY 1"), before);
    answer.map_err(|error| assert_eq!(error.sqlstate, "42501", "{call}")).is_ok()
}

const ORDERS: &str = ", apply_to_all => false, applicable_for => '{Order}'";
const INVOICES: &str = ", apply_to_all => false, applicable_for => '{Invoice}'";
const BOTH: &str = ", apply_to_all => false, applicable_for => '{Invoice,Order}'";
const ALONE: &str = ", hide_descendants => true";

#[test]
fn who_is_not_restricted_restricts_by_anything() {
    let mut w = world();
    for company in ["A", "A1", "B"] {
        for arguments in ["", ORDERS, INVOICES, BOTH, ALONE] {
            assert!(may(&mut w, company, arguments), "{company}{arguments}");
        }
    }
    assert_eq!(
        refused_with(
            &mut w.acting(BOB),
            &format!("SELECT docperm.apply_user_permission('{ANN}', 'Company', 'A')")
        ),
        "42501"
    );
}

#[test]
fn nobody_permits_more_than_he_is_permitted_wherever_it_would_apply() {
    let mut w = world();
    // In orders, Ann is restricted to A; in companies and invoices she is not.
    w.allow_for(ANN, "Company", "A", "Order");
    assert!(
        may(&mut w, "A", "") && may(&mut w, "A1", "") && may(&mut w, "A", ORDERS) && may(&mut w, "A", BOTH)
    );
    assert!(may(&mut w, "B", INVOICES));
    assert!(!may(&mut w, "B", ORDERS));
    assert!(!may(&mut w, "B", BOTH));
    assert!(!may(&mut w, "B", ""), "an entry for all doctypes is one for orders");
    // What Bob has already does not matter.
    w.allow_for(BOB, "Company", "B", "Invoice");
    assert!(!may(&mut w, "B", "") && !may(&mut w, "B", BOTH));
    w.sql(&format!("DELETE FROM docperm.user_permissions WHERE user_name = '{BOB}'"));
    // A second entry widens her, an entry for all counts everywhere.
    w.allow_for(ANN, "Company", "B", "Order");
    assert!(may(&mut w, "B", ORDERS) && may(&mut w, "B", ""));
    w.allow(ANN, "Company", "A");
    assert!(!may(&mut w, "B", INVOICES) && may(&mut w, "A", INVOICES));
}

#[test]
fn nobody_permits_what_is_below_a_document_that_he_is_permitted_alone() {
    let mut w = world();
    w.allow_node_only(ANN, "Company", "A");
    assert!(!may(&mut w, "A", "") && may(&mut w, "A", ALONE));
    assert!(!may(&mut w, "A", ORDERS) && may(&mut w, "A", &format!("{ORDERS}{ALONE}")));
    assert!(!may(&mut w, "A1", "") && !may(&mut w, "A1", ALONE));
    w.allow(ANN, "Company", "A1");
    assert!(may(&mut w, "A1", "") && !may(&mut w, "A", ""));
}

#[test]
fn who_is_denied_by_default_has_nothing_to_hand_out() {
    let mut w = world();
    w.strict("deny_by_default");
    assert!(!may(&mut w, "A", ""), "Ann sees no order that links to a company");
    w.allow_for(ANN, "Company", "A", "Order");
    assert!(may(&mut w, "A", ORDERS) && !may(&mut w, "A", "") && !may(&mut w, "A", INVOICES));
    w.sql("UPDATE docperm.doctypes SET deny_by_default = false WHERE name = 'Company'");
    assert!(may(&mut w, "A", "") && may(&mut w, "B", INVOICES));
}
