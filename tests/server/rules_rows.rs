//! The rule of the model, case by case, as the rows that people get.
//!
//! `World::sees` asks SELECT, a generic plan, `has_permission`, `permitted_documents` and `permits` as a plain
//! function, and fails when they disagree.

use crate::support::{World, attempt, literal, names, one, refused, refused_with, set_user, table, texts};
use std::io::Read;

const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";

const SCHEMA: &str = "
    CREATE TABLE company     (name text PRIMARY KEY, parent text REFERENCES company);
    CREATE TABLE customer    (name text PRIMARY KEY, company text REFERENCES company);
    -- company has no foreign key: blank is the empty string, too.
    CREATE TABLE sales_order (name text PRIMARY KEY, owner text, company text,
                              customer text REFERENCES customer, bill_to text REFERENCES customer,
                              amount numeric NOT NULL DEFAULT 0);
    INSERT INTO company  VALUES ('Unico', NULL), ('Toys', 'Unico'), ('Toys EU', 'Toys'), ('Acme', NULL);
    INSERT INTO customer VALUES ('C1', 'Unico'), ('C2', 'Acme'), ('C3', NULL);
    INSERT INTO sales_order (name, owner, company, customer, bill_to) VALUES
        ('SO-1', 'ann@erp.test', 'Unico',   'C1', 'C1'),
        ('SO-2', 'bob@erp.test', 'Toys',    'C1', 'C2'),
        ('SO-3', 'ann@erp.test', 'Acme',    'C2', 'C2'),
        ('SO-4', 'bob@erp.test', NULL,      'C1', NULL),
        ('SO-5', 'bob@erp.test', '',        'C2', NULL),
        ('SO-6', NULL,           'Toys EU', 'C3', NULL);
    SELECT docperm.protect('company', 'Company', tree_parent_column => 'parent');
    SELECT docperm.protect('customer', 'Customer');
    SELECT docperm.protect('sales_order', 'Sales Order', owner_column => 'owner');
    SELECT docperm.set_field('Sales Order', 'company', link_to => 'Company');";

const ORDERS: [&str; 6] = ["SO-1", "SO-2", "SO-3", "SO-4", "SO-5", "SO-6"];

/// Ann and Bob in the role Sales User, which has no rule yet.
fn erp() -> World {
    let mut w = World::new(SCHEMA);
    w.user(ANN, &["Sales User"]);
    w.user(BOB, &["Sales User"]);
    w
}

/// Ann and Bob may do everything.
fn free_erp() -> World {
    let mut w = erp();
    for doctype in ["Company", "Customer", "Sales Order"] {
        w.rule(doctype, "Sales User", "{read,write,create,delete}");
    }
    w
}

// Roles and rules

#[test]
fn without_a_rule_nothing() {
    let mut w = erp();
    assert!(w.sees(ANN, "Sales Order").is_empty());
    assert_eq!(w.denied(ANN, "INSERT INTO sales_order (name) VALUES ('SO-9')"), "42501");
    assert_eq!(one(&mut w.acting(ANN), "SELECT docperm.has_permission('Sales Order')"), "f");
}

#[test]
fn a_rule_opens_its_doctype_for_its_role() {
    let mut w = erp();
    w.rule("Sales Order", "Sales User", "{read}");
    w.user("kim@erp.test", &["Purchase User"]);
    assert_eq!(w.sees(ANN, "Sales Order"), ORDERS);
    assert!(w.sees(ANN, "Company").is_empty());
    assert!(w.sees("kim@erp.test", "Sales Order").is_empty());
    assert_eq!(one(&mut w.acting(ANN), "SELECT docperm.has_permission('Sales Order')"), "t");
}

#[test]
fn rules_are_merged_over_roles() {
    let mut w = erp();
    w.rule("Sales Order", "Sales User", "{read}");
    w.rule("Sales Order", "Sales Manager", "{write,delete}");
    w.user("kim@erp.test", &["Sales User", "Sales Manager"]);
    assert_eq!(w.sees("kim@erp.test", "Sales Order"), ORDERS);
    assert_eq!(w.may("kim@erp.test", "Sales Order", "write"), ORDERS);
    assert_eq!(w.may("kim@erp.test", "Sales Order", "delete"), ORDERS);
    assert!(w.may(ANN, "Sales Order", "write").is_empty());
    assert!(w.may("kim@erp.test", "Sales Order", "email").is_empty());
}

#[test]
fn select_without_read_opens_no_row() {
    let mut w = erp();
    w.rule("Sales Order", "Sales User", "{select}");
    assert!(w.sees(ANN, "Sales Order").is_empty());
}

#[test]
fn a_rule_of_a_higher_level_gives_no_document_right() {
    let mut w = erp();
    w.sql(
        "INSERT INTO docperm.role_permissions (doctype, role, permlevel, rights)
         VALUES ('Sales Order', 'Sales User', 0, '{create}'), ('Sales Order', 'Sales User', 1, '{read,write}')",
    );
    assert!(w.sees(ANN, "Sales Order").is_empty());
    assert!(w.may(ANN, "Sales Order", "write").is_empty());
}

#[test]
fn everybody_holds_guest_and_whoever_logged_in_holds_all() {
    let mut w = erp();
    w.user("plain@erp.test", &[]);
    w.rule("Company", "Guest", "{read}");
    w.rule("Customer", "All", "{read}");
    for user in ["Guest", "plain@erp.test", ANN] {
        assert_eq!(w.sees(user, "Company").len(), 4, "{user}");
    }
    assert!(w.sees("Guest", "Customer").is_empty());
    assert_eq!(w.sees("plain@erp.test", "Customer").len(), 3);
    assert_eq!(one(&mut w.app(), "SELECT count(*) FROM company"), "4", "nobody in particular is Guest");
}

#[test]
fn desk_users_hold_a_role_with_desk_access() {
    let mut w = erp();
    w.sql("INSERT INTO docperm.roles (name, desk_access) VALUES ('Portal', false)");
    w.user("portal@erp.test", &["Portal"]);
    w.user("plain@erp.test", &[]);
    w.rule("Company", "Desk User", "{read}");
    assert_eq!(w.sees(ANN, "Company").len(), 4);
    assert!(w.sees("portal@erp.test", "Company").is_empty());
    assert!(w.sees("plain@erp.test", "Company").is_empty());
    w.sql("UPDATE docperm.roles SET desk_access = true WHERE name = 'Portal'");
    assert_eq!(w.sees("portal@erp.test", "Company").len(), 4);
}

#[test]
fn administrator_passes_always_and_system_manager_does_not() {
    let mut w = erp();
    w.strict("deny_by_default");
    w.user("boss@erp.test", &["System Manager"]);
    assert_eq!(w.sees("Administrator", "Sales Order"), ORDERS);
    assert_eq!(w.may("Administrator", "Sales Order", "delete"), ORDERS);
    assert_eq!(w.try_as("Administrator", "DELETE FROM sales_order").unwrap(), 6);
    assert_eq!(w.try_as("Administrator", "INSERT INTO sales_order (name) VALUES ('SO-9')").unwrap(), 1);
    assert!(w.sees("boss@erp.test", "Sales Order").is_empty());
}

#[test]
fn custom_rules_replace_the_standard_ones() {
    let mut w = erp();
    w.rule("Sales Order", "Sales User", "{read,write}");
    w.rule("Company", "Sales User", "{read}");
    w.sql(
        "INSERT INTO docperm.roles (name) VALUES ('Auditor');
         INSERT INTO docperm.role_permissions (doctype, role, custom, rights)
         VALUES ('Sales Order', 'Auditor', true, '{read}')",
    );
    w.user("kim@erp.test", &["Auditor"]);
    assert_eq!(w.sees("kim@erp.test", "Sales Order"), ORDERS);
    assert!(w.sees(ANN, "Sales Order").is_empty());
    assert_eq!(w.sees(ANN, "Company").len(), 4, "other doctypes keep their standard rules");
    w.sql("SELECT docperm.reset('Sales Order')");
    assert_eq!(w.sees(ANN, "Sales Order"), ORDERS);
}

#[test]
fn a_disabled_role_is_not_held() {
    let mut w = free_erp();
    assert_eq!(w.sees(ANN, "Sales Order"), ORDERS);
    w.sql("UPDATE docperm.roles SET disabled = true WHERE name = 'Sales User'");
    assert!(w.sees(ANN, "Sales Order").is_empty());
    w.sql("UPDATE docperm.roles SET disabled = false WHERE name = 'Sales User'");
    assert_eq!(w.sees(ANN, "Sales Order"), ORDERS);
}

#[test]
fn a_disabled_user_has_no_right_at_all() {
    let mut w = free_erp();
    w.rule("Sales Order", "Guest", "{read}");
    let role = w.db.login_role("ann");
    w.grant_tables();
    w.sql(&format!(
        "GRANT SELECT ON sales_order TO {role}; UPDATE docperm.users SET db_role = '{role}' WHERE name = '{ANN}'"
    ));
    let mut acting = w.acting(ANN);
    let mut mapped = w.db.connect_as(&role);
    let count = "SELECT count(*) FROM sales_order";
    assert_eq!(one(&mut acting, count), "6");
    assert_eq!(one(&mut mapped, count), "6");
    w.sql(&format!("UPDATE docperm.users SET enabled = false WHERE name = '{ANN}'"));
    assert_eq!(one(&mut acting, count), "0", "not even what Guest sees");
    assert_eq!(one(&mut mapped, count), "0");
    assert_eq!(refused_with(&mut acting, "INSERT INTO sales_order (name) VALUES ('SO-9')"), "42501");
    let asked = format!("SELECT docperm.has_permission('Sales Order', 'read', 'SO-1', user_name => '{ANN}')");
    assert_eq!(one(&mut w.admin, &asked), "f");
    let listed = format!("SELECT count(*) FROM docperm.permitted_documents('Sales Order', '{ANN}')");
    assert_eq!(one(&mut w.admin, &listed), "0");
}

// Owners

#[test]
fn if_owner_opens_ones_own() {
    let mut w = erp();
    w.rule_if_owner("Sales Order", "Sales User", "{read,write,delete}");
    assert_eq!(w.sees(ANN, "Sales Order"), ["SO-1", "SO-3"]);
    assert_eq!(w.may(ANN, "Sales Order", "delete"), ["SO-1", "SO-3"]);
    assert_eq!(w.sees(BOB, "Sales Order"), ["SO-2", "SO-4", "SO-5"]);
    assert_eq!(w.try_as(ANN, "UPDATE sales_order SET amount = 1").unwrap(), 2);
    assert_eq!(w.denied(ANN, &format!("UPDATE sales_order SET owner = '{BOB}'")), "42501");
}

#[test]
fn a_free_rule_beats_an_owner_rule_for_the_same_right_only() {
    let mut w = erp();
    w.rule_if_owner("Sales Order", "Sales User", "{read,write}");
    w.rule("Sales Order", "Reader", "{read}");
    w.user("kim@erp.test", &["Reader", "Sales User"]);
    w.sql("UPDATE sales_order SET owner = 'kim@erp.test' WHERE name = 'SO-6'");
    assert_eq!(w.sees("kim@erp.test", "Sales Order"), ORDERS);
    assert_eq!(w.may("kim@erp.test", "Sales Order", "write"), ["SO-6"]);
}

#[test]
fn owner_only_rights_ignore_user_permissions() {
    let mut w = erp();
    w.rule_if_owner("Sales Order", "Sales User", "{read}");
    w.allow(ANN, "Company", "Toys EU");
    assert_eq!(w.sees(ANN, "Sales Order"), ["SO-1", "SO-3"]);
    w.strict("deny_by_default");
    assert_eq!(w.sees(ANN, "Sales Order"), ["SO-1", "SO-3"]);
}

#[test]
fn a_right_held_freely_is_limited_by_user_permissions_even_for_the_owner() {
    let mut w = erp();
    w.rule("Sales Order", "Sales User", "{read}");
    w.rule_if_owner("Sales Order", "Sales User", "{read,write}");
    w.allow(ANN, "Company", "Acme");
    assert_eq!(w.sees(ANN, "Sales Order"), ["SO-3", "SO-4", "SO-5"]);
    assert_eq!(w.may(ANN, "Sales Order", "write"), ["SO-1", "SO-3"]);
}

#[test]
fn create_is_never_owner_only() {
    let mut w = erp();
    w.rule_if_owner("Sales Order", "Sales User", "{read,create}");
    w.allow(ANN, "Company", "Unico");
    let insert = |owner: &str, company: &str| {
        format!("INSERT INTO sales_order (name, owner, company) VALUES ('SO-9', '{owner}', '{company}')")
    };
    assert_eq!(w.try_as(ANN, &insert(ANN, "Unico")).unwrap(), 1);
    assert_eq!(w.try_as(ANN, &insert(BOB, "Unico")).unwrap(), 1, "for somebody else as well");
    assert_eq!(w.denied(ANN, &insert(ANN, "Acme")), "42501");
}

#[test]
fn owners_are_compared_exactly() {
    let mut w = erp();
    w.rule_if_owner("Sales Order", "Sales User", "{read}");
    w.sql("UPDATE sales_order SET owner = 'Ann@erp.test' WHERE name = 'SO-1'");
    w.sql("UPDATE sales_order SET owner = 'ann@erp.test ' WHERE name = 'SO-3'");
    assert!(w.sees(ANN, "Sales Order").is_empty());
}

#[test]
fn an_owner_rule_on_a_table_without_owners_opens_nothing() {
    let mut w = erp();
    w.rule_if_owner("Company", "Sales User", "{read}");
    assert!(w.sees(ANN, "Company").is_empty());
}

// User permissions

#[test]
fn a_user_permission_restricts_links_and_leaves_other_users_alone() {
    let mut w = free_erp();
    w.allow(ANN, "Company", "Acme");
    assert_eq!(w.sees(ANN, "Sales Order"), ["SO-3", "SO-4", "SO-5"]);
    assert_eq!(w.sees(ANN, "Customer"), ["C2", "C3"]);
    assert_eq!(w.sees(BOB, "Sales Order"), ORDERS);
}

#[test]
fn it_restricts_the_doctype_itself() {
    let mut w = free_erp();
    w.allow(ANN, "Customer", "C1");
    w.allow(ANN, "Customer", "C3");
    assert_eq!(w.sees(ANN, "Customer"), ["C1", "C3"]);
    assert_eq!(w.denied(ANN, "INSERT INTO customer VALUES ('C9', NULL)"), "42501");
    assert_eq!(w.denied(ANN, "UPDATE customer SET name = 'C9' WHERE name = 'C3'"), "42501");
}

#[test]
fn every_link_must_pass_and_so_must_two_links_to_one_doctype() {
    let mut w = free_erp();
    w.allow(ANN, "Customer", "C1");
    assert_eq!(w.sees(ANN, "Sales Order"), ["SO-1", "SO-4"]);
    w.allow(ANN, "Company", "Unico");
    w.allow(ANN, "Customer", "C2");
    assert_eq!(w.sees(ANN, "Sales Order"), ["SO-1", "SO-2", "SO-4", "SO-5"]);
}

#[test]
fn blank_links_pass_unless_strict() {
    let mut w = free_erp();
    w.allow(ANN, "Company", "Unico");
    assert_eq!(w.sees(ANN, "Sales Order"), ["SO-1", "SO-2", "SO-4", "SO-5", "SO-6"]);
    w.strict("blank_links");
    assert_eq!(w.sees(ANN, "Sales Order"), ["SO-1", "SO-2", "SO-6"]);
    assert_eq!(w.sees(BOB, "Sales Order"), ORDERS, "whoever has no entry is not restricted");
    assert_eq!(w.denied(ANN, "INSERT INTO sales_order (name) VALUES ('SO-9')"), "42501");
    w.strict("off");
    assert_eq!(w.try_as(ANN, "INSERT INTO sales_order (name) VALUES ('SO-9')").unwrap(), 1);
}

#[test]
fn deny_by_default_closes_what_no_entry_opens() {
    let mut w = free_erp();
    w.strict("deny_by_default");
    assert!(w.sees(BOB, "Sales Order").is_empty());
    assert_eq!(w.sees(BOB, "Company").len(), 4, "the tree's parent column is no link that restricts");
    w.allow(ANN, "Company", "Unico");
    assert!(w.sees(ANN, "Sales Order").is_empty(), "there are links to Customer, too");
    assert_eq!(w.sees(ANN, "Customer"), ["C1"]);
    w.sql("UPDATE docperm.doctypes SET deny_by_default = false WHERE name = 'Customer'");
    assert_eq!(w.sees(ANN, "Sales Order"), ["SO-1", "SO-2", "SO-6"]);
    w.sql("UPDATE docperm.doctypes SET deny_by_default = false WHERE name = 'Company'");
    assert_eq!(w.sees(BOB, "Sales Order"), ORDERS);
}

#[test]
fn a_field_can_ignore_user_permissions() {
    let mut w = free_erp();
    w.allow(ANN, "Company", "Acme");
    w.sql("SELECT docperm.set_field('Sales Order', 'company', ignore_user_permissions => true)");
    assert_eq!(w.sees(ANN, "Sales Order"), ORDERS);
    w.strict("deny_by_default");
    w.sql("UPDATE docperm.doctypes SET deny_by_default = false WHERE name = 'Customer'");
    assert_eq!(w.sees(BOB, "Sales Order"), ORDERS);
    w.sql("SELECT docperm.set_field('Sales Order', 'company', ignore_user_permissions => false)");
    assert_eq!(w.sees(ANN, "Sales Order"), ["SO-3"]);
}

#[test]
fn applicable_for_limits_an_entry_to_one_doctype() {
    let mut w = free_erp();
    w.allow_for(ANN, "Company", "Acme", "Sales Order");
    assert_eq!(w.sees(ANN, "Sales Order"), ["SO-3", "SO-4", "SO-5"]);
    assert_eq!(w.sees(ANN, "Customer").len(), 3);
    assert_eq!(w.sees(ANN, "Company").len(), 4);
    w.allow_for(ANN, "Company", "Unico", "Customer");
    assert_eq!(w.sees(ANN, "Sales Order"), ["SO-3", "SO-4", "SO-5"]);
    assert_eq!(w.sees(ANN, "Customer"), ["C1", "C3"]);
    w.allow(ANN, "Company", "Toys EU");
    assert_eq!(w.sees(ANN, "Sales Order"), ["SO-3", "SO-4", "SO-5", "SO-6"]);
    assert_eq!(w.sees(ANN, "Company"), ["Toys EU"]);
}

#[test]
fn a_node_opens_what_is_below_it_unless_descendants_are_hidden() {
    let mut w = free_erp();
    w.allow(ANN, "Company", "Toys");
    assert_eq!(w.sees(ANN, "Company"), ["Toys", "Toys EU"]);
    assert_eq!(w.sees(ANN, "Sales Order"), ["SO-2", "SO-4", "SO-5", "SO-6"]);
    w.allow_node_only(BOB, "Company", "Unico");
    assert_eq!(w.sees(BOB, "Company"), ["Unico"]);
    assert_eq!(w.sees(BOB, "Sales Order"), ["SO-1", "SO-4", "SO-5"]);
}

#[test]
fn entries_are_united_and_one_that_hides_takes_nothing_from_one_that_does_not() {
    let mut w = free_erp();
    w.allow_node_only(ANN, "Company", "Toys");
    w.allow(ANN, "Company", "Unico");
    assert_eq!(w.sees(ANN, "Company"), ["Toys", "Toys EU", "Unico"]);
    w.allow_node_only(BOB, "Company", "Toys");
    w.allow_for(BOB, "Company", "Toys", "Sales Order");
    assert_eq!(w.sees(BOB, "Company"), ["Toys"]);
    assert_eq!(w.sees(BOB, "Sales Order"), ["SO-2", "SO-4", "SO-5", "SO-6"]);
}

#[test]
fn a_tree_with_a_cycle_is_an_error_for_whom_it_matters_and_never_a_guess() {
    let mut w = free_erp();
    w.allow(ANN, "Company", "Toys");
    w.allow(BOB, "Company", "Acme");
    let cycle = "UPDATE company SET parent = 'Toys EU' WHERE name = 'Unico'";
    let refusal = refused(&mut w.db.admin(), cycle);
    assert_eq!(refusal.sqlstate, "22023", "{refusal:?}");
    assert!(refusal.message.contains("Unico") && refusal.hint.is_some(), "{refusal:?}");
    // Changes that are replicated were checked where they come from; should they make a cycle all the same, it is met here.
    w.sql(&format!("SET session_replication_role = replica; {cycle}; RESET session_replication_role"));
    let refusal = refused(&mut w.acting(ANN), "SELECT name FROM company");
    assert!(refusal.message.contains("Company"), "{refusal:?}");
    assert_eq!(w.sees(BOB, "Company"), ["Acme"]);
    w.sql("UPDATE company SET parent = NULL WHERE name = 'Unico'");
    assert_eq!(w.sees(ANN, "Company"), ["Toys", "Toys EU"]);
}

#[test]
fn a_value_that_is_gone_still_restricts() {
    let mut w = free_erp();
    w.allow(ANN, "Company", "Gone Inc");
    assert_eq!(w.sees(ANN, "Sales Order"), ["SO-4", "SO-5"]);
    assert!(w.sees(ANN, "Company").is_empty());
}

#[test]
fn a_tree_parent_restricts_only_when_told_to() {
    let mut w = free_erp();
    w.allow(ANN, "Company", "Toys");
    assert_eq!(w.sees(ANN, "Company"), ["Toys", "Toys EU"]);
    w.sql("SELECT docperm.set_field('Company', 'parent', ignore_user_permissions => false)");
    assert_eq!(w.sees(ANN, "Company"), ["Toys EU"]);
}

#[test]
fn a_tree_is_read_as_it_is_at_that_moment() {
    let mut w = free_erp();
    w.allow(ANN, "Company", "Toys");
    w.sql("INSERT INTO company VALUES ('Toys US', 'Toys EU')");
    assert_eq!(w.sees(ANN, "Company"), ["Toys", "Toys EU", "Toys US"]);
    w.sql("UPDATE company SET parent = 'Acme' WHERE name = 'Toys EU'");
    assert_eq!(w.sees(ANN, "Company"), ["Toys"]);
}

#[test]
fn user_names_are_matched_in_their_stored_form() {
    let mut w = free_erp();
    w.sql("INSERT INTO docperm.users (name) VALUES ('  Kim@ERP.test ')");
    w.sql("INSERT INTO docperm.user_roles (user_name, role) VALUES ('KIM@erp.test', 'Sales User')");
    w.allow("Kim@Erp.Test", "Company", "Acme");
    assert_eq!(w.sees("kim@erp.test", "Company"), ["Acme"]);
}

// Keys of all kinds

#[test]
fn keys_of_every_type_restrict_rows_and_links() {
    // type, three keys as SQL, the permitted one as an administrator might write it, its canonical form
    let types = [
        ("smallint", "5", "6", "7", "05", "5"),
        ("integer", "70000", "6", "7", "070000", "70000"),
        ("bigint", "9007199254740993", "9007199254740992", "7", "+9007199254740993", "9007199254740993"),
        (
            "uuid",
            "'0188b0a1-0000-7000-8000-00000000000a'",
            "'0188b0a1-0000-7000-8000-00000000000b'",
            "'0188b0a1-0000-7000-8000-00000000000c'",
            "{0188B0A1-0000-7000-8000-00000000000A}",
            "0188b0a1-0000-7000-8000-00000000000a",
        ),
        ("varchar(5)", "'ALFKI'", "'ALFK'", "'B'", "ALFKI", "ALFKI"),
        ("char(3)", "'AB'", "'ABC'", "'B'", "AB", "AB"),
        ("text", "'it''s \"x\"'", "'its'", "'B'", "it's \"x\"", "it's \"x\""),
        ("name", "'alpha'", "'beta'", "'B'", "alpha", "alpha"),
        ("numeric(10,2)", "1.5", "1.51", "7", "1.5", "1.50"),
        ("date", "'2026-01-05'", "'2026-05-01'", "'2027-01-01'", "20260105", "2026-01-05"),
        ("timestamptz", "'2026-01-05 00:00Z'", "'2026-01-05 01:00Z'", "now()", "2026-01-05 01:00+01", ""),
        ("colour", "'red'", "'green'", "'blue'", "red", "red"),
        ("code", "'X1'", "'X2'", "'X3'", "X1", "X1"),
    ];
    let mut w = World::new(
        "CREATE TYPE colour AS ENUM ('red', 'green', 'blue');
         CREATE DOMAIN code AS text CHECK (VALUE ~ '^X');",
    );
    w.user(ANN, &["Reader"]);
    for (i, (kind, first, second, third, allowed, canonical)) in types.into_iter().enumerate() {
        let (target, source) = (format!("Target {i}"), format!("Source {i}"));
        w.sql(&format!(
            "CREATE TABLE target_{i} (id {kind} PRIMARY KEY);
             CREATE TABLE source_{i} (id int PRIMARY KEY, link {kind} REFERENCES target_{i});
             INSERT INTO target_{i} SELECT k FROM (VALUES ({first}::{kind}), ({second}), ({third})) v(k);
             INSERT INTO source_{i} VALUES (1, {first}), (2, {second}), (3, NULL);
             SELECT docperm.protect('source_{i}', '{source}');
             SELECT docperm.protect('target_{i}', '{target}');"
        ));
        w.grant_tables();
        w.rule(&target, "Reader", "{read}");
        w.rule(&source, "Reader", "{read}");
        w.allow(ANN, &target, allowed);
        let name = one(&mut w.admin, &format!("SELECT id::text FROM target_{i} WHERE id = {first}::{kind}"));
        assert_eq!(w.sees(ANN, &target), [name.as_str()], "{kind}");
        assert_eq!(w.sees(ANN, &source), ["1", "3"], "{kind}");
        let stored = format!("SELECT for_value FROM docperm.user_permissions WHERE allow = '{target}'");
        if !canonical.is_empty() {
            assert_eq!(one(&mut w.admin, &stored), canonical, "{kind}");
        }
        w.strict("blank_links");
        assert_eq!(w.sees(ANN, &source), ["1"], "{kind}, strict");
        w.strict("off");
    }
}

#[test]
fn a_link_may_have_another_type_than_the_key_it_points_to() {
    let mut w = World::new(
        "CREATE TABLE small (id smallint PRIMARY KEY);
         CREATE TABLE word  (id varchar(5) PRIMARY KEY);
         CREATE TABLE item  (id int PRIMARY KEY, small bigint REFERENCES small, word text REFERENCES word);
         INSERT INTO small VALUES (1), (2); INSERT INTO word VALUES ('A'), ('B');
         INSERT INTO item VALUES (1, 1, 'A'), (2, 2, 'A'), (3, 1, 'B'), (4, NULL, NULL);
         SELECT docperm.protect('small', 'Small'), docperm.protect('word', 'Word'), docperm.protect('item', 'Item');",
    );
    w.user(ANN, &["Reader"]);
    w.rule("Item", "Reader", "{read}");
    w.allow(ANN, "Small", "1");
    w.allow(ANN, "Word", "A");
    assert_eq!(w.sees(ANN, "Item"), ["1", "4"]);
}

#[test]
fn names_that_are_hostile_to_quoting_work() {
    let mut w = World::new(
        r#"CREATE SCHEMA "My Schema";
           CREATE TABLE "My Schema"."order" ("select" text PRIMARY KEY, "x""y" text REFERENCES "My Schema"."order",
                                             "Owner" text, "a.b" text);
           CREATE TABLE "My Schema"."o'brien ""x"" %I $1" ("a b" text PRIMARY KEY,
                                             "L.""1" text REFERENCES "My Schema"."order");
           INSERT INTO "My Schema"."order" VALUES ('it''s', NULL, 'ann@erp.test'), ('"q"', 'it''s', NULL), ('{}', NULL, NULL);
           INSERT INTO "My Schema"."o'brien ""x"" %I $1" VALUES ('1', 'it''s'), ('2', '"q"'), ('3', '{}');
           SELECT docperm.protect('"My Schema"."order"', 'O''Reilly "x" %L', tree_parent_column => 'x"y',
                                  owner_column => 'Owner');
           SELECT docperm.protect('"My Schema"."o''brien ""x"" %I $1"', '$$;--');"#,
    );
    let app = w.app_role.clone();
    w.sql(&format!(
        r#"GRANT USAGE ON SCHEMA "My Schema" TO {app}; GRANT ALL ON ALL TABLES IN SCHEMA "My Schema" TO {app}"#
    ));
    let order = r#"O'Reilly "x" %L"#;
    w.user(ANN, &["It's a role"]);
    w.user(BOB, &["Owners"]);
    w.rule(order, "It's a role", "{read,write}");
    w.rule("$$;--", "It's a role", "{read}");
    w.rule_if_owner(order, "Owners", "{read}");
    w.allow(ANN, order, "it's");
    assert_eq!(w.sees(ANN, order), ["\"q\"", "it's"]);
    assert_eq!(w.sees(ANN, "$$;--"), ["1", "2"]);
    assert!(w.sees(BOB, order).is_empty());
}

#[test]
fn columns_are_found_after_others_were_dropped() {
    let mut w = World::new(
        "CREATE TABLE company (name text PRIMARY KEY);
         CREATE TABLE item (junk int, name text PRIMARY KEY, more int, company text REFERENCES company);
         INSERT INTO company VALUES ('A'), ('B');
         INSERT INTO item VALUES (1, '1', 1, 'A'), (2, '2', 2, 'B');
         ALTER TABLE item DROP COLUMN junk, DROP COLUMN more;
         SELECT docperm.protect('item', 'Item'), docperm.protect('company', 'Company');",
    );
    w.user(ANN, &["Reader"]);
    w.rule("Item", "Reader", "{read}");
    w.allow(ANN, "Company", "B");
    assert_eq!(w.sees(ANN, "Item"), ["2"]);
    w.sql("ALTER TABLE item ADD COLUMN late text DEFAULT 'x'");
    assert_eq!(w.sees(ANN, "Item"), ["2"]);
}

#[test]
fn a_registered_column_that_is_gone_closes_the_table() {
    let mut w = free_erp();
    w.allow(ANN, "Company", "Acme");
    w.sql("ALTER TABLE sales_order RENAME COLUMN company TO firm");
    let refusal = refused(&mut w.acting(ANN), "SELECT count(*) FROM sales_order");
    assert!(refusal.message.contains("company"), "{refusal:?}");
}

// Commands

#[test]
fn reading_writing_and_deleting_are_separate_rights() {
    let mut w = erp();
    w.rule("Sales Order", "Sales User", "{read}");
    assert_eq!(w.try_as(ANN, "UPDATE sales_order SET amount = 1").unwrap(), 0);
    assert_eq!(w.try_as(ANN, "DELETE FROM sales_order").unwrap(), 0);
    assert_eq!(w.denied(ANN, "INSERT INTO sales_order (name) VALUES ('SO-9')"), "42501");
    w.rule("Sales Order", "Clerk", "{write}");
    w.user("clerk@erp.test", &["Clerk"]);
    assert_eq!(w.try_as("clerk@erp.test", "UPDATE sales_order SET amount = 1").unwrap(), 6);
    assert_eq!(w.try_as("clerk@erp.test", "UPDATE sales_order SET amount = 1 WHERE name > ''").unwrap(), 0);
    assert_eq!(w.try_as("clerk@erp.test", "SELECT FROM sales_order FOR UPDATE").unwrap(), 0);
}

#[test]
fn old_and_new_row_are_checked() {
    let mut w = free_erp();
    w.allow(ANN, "Company", "Unico");
    assert_eq!(w.try_as(ANN, "UPDATE sales_order SET company = 'Toys' WHERE name = 'SO-1'").unwrap(), 1);
    assert_eq!(w.try_as(ANN, "UPDATE sales_order SET company = NULL WHERE name = 'SO-1'").unwrap(), 1);
    assert_eq!(w.denied(ANN, "UPDATE sales_order SET company = 'Acme' WHERE name = 'SO-1'"), "42501");
    assert_eq!(w.try_as(ANN, "UPDATE sales_order SET company = 'Unico' WHERE name = 'SO-3'").unwrap(), 0);
    assert_eq!(w.try_as(ANN, "DELETE FROM sales_order WHERE name = 'SO-3'").unwrap(), 0);
    assert_eq!(w.try_as(ANN, "DELETE FROM sales_order").unwrap(), 5);
    assert_eq!(w.try_as(ANN, "SELECT FROM sales_order FOR UPDATE").unwrap(), 5);
}

#[test]
fn a_change_earlier_in_the_transaction_does_not_open_the_row_for_the_next_statement() {
    let mut w = free_erp();
    w.allow(ANN, "Company", "Unico");
    let mut c = w.acting(ANN);
    c.batch_execute("BEGIN; UPDATE sales_order SET customer = 'C2' WHERE name = 'SO-1'").unwrap();
    assert_eq!(refused_with(&mut c, "UPDATE sales_order SET company = 'Acme' WHERE name = 'SO-1'"), "42501");
    c.batch_execute("ROLLBACK").unwrap();
}

#[test]
fn returning_needs_the_right_to_read() {
    let mut w = erp();
    w.rule("Sales Order", "Sales User", "{create}");
    assert_eq!(w.try_as(ANN, "INSERT INTO sales_order (name) VALUES ('SO-9')").unwrap(), 1);
    assert_eq!(w.denied(ANN, "INSERT INTO sales_order (name) VALUES ('SO-9') RETURNING name"), "42501");
    w.rule("Sales Order", "Reader", "{read}");
    w.user("kim@erp.test", &["Sales User", "Reader"]);
    let insert = "INSERT INTO sales_order (name) VALUES ('SO-9') RETURNING name";
    assert!(w.try_as("kim@erp.test", insert).is_ok());
}

#[test]
fn on_conflict_does_not_touch_hidden_rows() {
    let mut w = free_erp();
    w.allow(ANN, "Company", "Unico");
    let upsert = |name: &str, company: &str| {
        format!(
            "INSERT INTO sales_order (name, company) VALUES ('{name}', 'Unico')
             ON CONFLICT (name) DO UPDATE SET company = '{company}'"
        )
    };
    assert_eq!(w.try_as(ANN, &upsert("SO-1", "Toys")).unwrap(), 1);
    assert_eq!(w.denied(ANN, &upsert("SO-1", "Acme")), "42501");
    assert_eq!(w.denied(ANN, &upsert("SO-3", "Unico")), "42501");
    let ignored = "INSERT INTO sales_order (name, company) VALUES ('SO-3', 'Unico') ON CONFLICT DO NOTHING";
    assert_eq!(w.try_as(ANN, ignored).unwrap(), 0);
    let inserted = "INSERT INTO sales_order (name, company) VALUES ('SO-9', 'Acme') ON CONFLICT DO NOTHING";
    assert_eq!(w.denied(ANN, inserted), "42501");
}

#[test]
fn merge_follows_the_rights_of_each_action() {
    let mut w = free_erp();
    w.allow(ANN, "Company", "Unico");
    let merge = |action: &str| {
        format!(
            "MERGE INTO sales_order s USING (VALUES ('SO-1'), ('SO-3')) v(n) ON s.name = v.n WHEN MATCHED THEN {action}"
        )
    };
    assert_eq!(w.try_as(ANN, &merge("UPDATE SET amount = 1")).unwrap(), 1, "the hidden row does not match");
    assert_eq!(w.try_as(ANN, &merge("DELETE")).unwrap(), 1);
    assert_eq!(w.denied(ANN, &merge("UPDATE SET company = 'Acme'")), "42501");
    let insert = "MERGE INTO sales_order s USING (VALUES ('SO-9')) v(n) ON s.name = v.n
                  WHEN NOT MATCHED THEN INSERT (name, company) VALUES (v.n, 'Acme')";
    assert_eq!(w.denied(ANN, insert), "42501");
    w.rule("Customer", "Reader", "{read}");
    w.user("kim@erp.test", &["Reader"]);
    let delete = "MERGE INTO customer c USING (VALUES ('C1')) v(n) ON c.name = v.n WHEN MATCHED THEN DELETE";
    assert_eq!(w.denied("kim@erp.test", delete), "42501");
}

#[test]
fn copy_out_is_filtered_and_copy_in_is_refused_by_postgresql() {
    let mut w = free_erp();
    w.allow(ANN, "Company", "Acme");
    let mut c = w.acting(ANN);
    for copy in ["COPY sales_order (name) TO STDOUT", "COPY (SELECT name FROM sales_order) TO STDOUT"] {
        let mut out = String::new();
        c.copy_out(copy).unwrap().read_to_string(&mut out).unwrap();
        let mut lines: Vec<&str> = out.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["SO-3", "SO-4", "SO-5"], "{copy}");
    }
    assert_eq!(refused_with(&mut c, "COPY sales_order (name) FROM STDIN"), "0A000");
}

#[test]
fn a_cursor_keeps_the_rows_of_the_identity_that_opened_it() {
    let mut w = free_erp();
    w.allow(ANN, "Company", "Acme");
    w.allow(BOB, "Company", "Toys EU");
    w.strict("blank_links");
    let mut c = w.acting(ANN);
    c.batch_execute("BEGIN; DECLARE held CURSOR FOR SELECT name FROM sales_order").unwrap();
    set_user(&mut c, BOB);
    assert_eq!(texts(&mut c, "FETCH ALL FROM held"), ["SO-3"], "PostgreSQL's own rule for roles, documented");
    c.batch_execute("DECLARE other CURSOR FOR SELECT name FROM sales_order").unwrap();
    assert_eq!(texts(&mut c, "FETCH ALL FROM other"), ["SO-6"]);
    c.batch_execute("COMMIT").unwrap();
}

#[test]
fn views_filter_as_their_owner_unless_they_run_as_the_invoker() {
    let mut w = free_erp();
    w.allow(ANN, "Company", "Acme");
    let (app, plain) = (w.app_role.clone(), w.db.login_role("owner"));
    w.sql(&format!(
        "CREATE VIEW definers AS SELECT * FROM sales_order;
         CREATE VIEW invokers WITH (security_invoker = true) AS SELECT * FROM sales_order;
         CREATE VIEW plain AS SELECT * FROM sales_order;
         ALTER VIEW plain OWNER TO {plain};
         GRANT SELECT ON sales_order TO {plain};
         GRANT SELECT ON definers, invokers, plain TO {app};"
    ));
    let mut c = w.acting(ANN);
    assert_eq!(names(&mut c, "SELECT name FROM invokers"), ["SO-3", "SO-4", "SO-5"]);
    let by_plain = names(&mut c, "SELECT name FROM plain");
    assert_eq!(by_plain, ["SO-3", "SO-4", "SO-5"], "an ordinary owner is filtered, by who acts");
    assert_eq!(
        names(&mut c, "SELECT name FROM definers"),
        ORDERS,
        "a superuser's view is not: a documented limit"
    );
}

#[test]
fn security_definer_functions_filter_by_who_acts() {
    let mut w = free_erp();
    w.allow(ANN, "Company", "Acme");
    let owner = w.db.login_role("definer");
    w.sql(&format!(
        "GRANT SELECT ON sales_order TO {owner};
         UPDATE docperm.users SET db_role = '{owner}' WHERE name = '{BOB}';
         CREATE FUNCTION listed() RETURNS SETOF text LANGUAGE sql STABLE SECURITY DEFINER
             SET search_path = public, pg_temp AS 'SELECT name FROM sales_order';
         CREATE FUNCTION listed_slowly() RETURNS SETOF text LANGUAGE plpgsql STABLE SECURITY DEFINER
             SET search_path = public, pg_temp AS 'BEGIN RETURN QUERY SELECT name FROM sales_order; END';
         ALTER FUNCTION listed() OWNER TO {owner};
         ALTER FUNCTION listed_slowly() OWNER TO {owner};"
    ));
    let mut c = w.acting(ANN);
    for function in ["listed", "listed_slowly"] {
        assert_eq!(names(&mut c, &format!("SELECT {function}()")), ["SO-3", "SO-4", "SO-5"], "{function}");
        let guest = names(&mut w.app(), &format!("SELECT {function}()"));
        assert!(guest.is_empty(), "{function}: its owner's mapped user does not act");
    }
}

#[test]
fn joins_subqueries_and_ctes_are_filtered_each() {
    let mut w = free_erp();
    w.allow(ANN, "Customer", "C1");
    let mut c = w.acting(ANN);
    let join = "SELECT s.name FROM sales_order s JOIN customer c ON c.name = s.customer";
    assert_eq!(names(&mut c, join), ["SO-1", "SO-4"]);
    let nested = "WITH x AS MATERIALIZED (SELECT * FROM sales_order)
                  SELECT c.name || ' ' || (SELECT count(*) FROM x WHERE x.customer = c.name) FROM customer c";
    assert_eq!(names(&mut c, nested), ["C1 2"]);
    let outer = "SELECT c.name FROM (VALUES ('C1'), ('C2')) v(n) LEFT JOIN customer c ON c.name = v.n";
    assert_eq!(names(&mut c, outer), ["C1", "NULL"]);
    assert_eq!(names(&mut c, "SELECT name FROM customer EXCEPT SELECT 'C1'").len(), 0);
    let twice = "SELECT name FROM customer UNION ALL SELECT name FROM customer";
    assert_eq!(names(&mut c, twice), ["C1", "C1"]);
}

// Protection

#[test]
fn partitions_are_protected_with_their_root_and_when_they_come_later() {
    let mut w = World::new(
        "CREATE TABLE company (name text PRIMARY KEY);
         CREATE TABLE entry (name text PRIMARY KEY, company text REFERENCES company) PARTITION BY RANGE (name);
         CREATE TABLE entry_a PARTITION OF entry FOR VALUES FROM ('a') TO ('b');
         CREATE TABLE entry_b PARTITION OF entry FOR VALUES FROM ('b') TO ('c') PARTITION BY RANGE (name);
         CREATE TABLE entry_b1 (company text REFERENCES company, junk int, name text NOT NULL);
         ALTER TABLE entry_b1 DROP COLUMN junk;
         ALTER TABLE entry_b ATTACH PARTITION entry_b1 FOR VALUES FROM ('b') TO ('c');
         INSERT INTO company VALUES ('A'), ('B');
         INSERT INTO entry VALUES ('a1', 'A'), ('a2', 'B'), ('b1', 'A'), ('b2', 'B');
         SELECT docperm.protect('company', 'Company'), docperm.protect('entry', 'Entry');",
    );
    w.user(ANN, &["Reader"]);
    w.rule("Entry", "Reader", "{read,create}");
    w.allow(ANN, "Company", "A");
    assert_eq!(w.sees(ANN, "Entry"), ["a1", "b1"]);
    w.sql(
        "CREATE TABLE entry_c PARTITION OF entry FOR VALUES FROM ('c') TO ('d');
         CREATE TABLE entry_d (name text PRIMARY KEY, company text REFERENCES company);
         INSERT INTO entry_d VALUES ('d1', 'A'), ('d2', 'B');
         ALTER TABLE entry ATTACH PARTITION entry_d FOR VALUES FROM ('d') TO ('e');
         INSERT INTO entry VALUES ('c1', 'A'), ('c2', 'B');",
    );
    w.grant_tables();
    assert_eq!(w.sees(ANN, "Entry"), ["a1", "b1", "c1", "d1"]);
    let mut c = w.acting(ANN);
    for (partition, seen) in
        [("entry_a", "a1"), ("entry_b", "b1"), ("entry_b1", "b1"), ("entry_c", "c1"), ("entry_d", "d1")]
    {
        assert_eq!(names(&mut c, &format!("SELECT name FROM {partition}")), [seen], "{partition} by itself");
    }
    assert_eq!(refused_with(&mut c, "INSERT INTO entry VALUES ('a9', 'B')"), "42501");
    assert_eq!(refused_with(&mut c, "INSERT INTO entry_b1 VALUES ('B', 'b9')"), "42501");
}

#[test]
fn an_owner_is_filtered_unless_protect_was_told_not_to_force() {
    let mut w = World::new(
        "CREATE TABLE forced (id int PRIMARY KEY); CREATE TABLE open (id int PRIMARY KEY);
         INSERT INTO forced VALUES (1); INSERT INTO open VALUES (1);",
    );
    let owner = w.db.login_role("owner");
    w.sql(&format!(
        "ALTER TABLE forced OWNER TO {owner}; ALTER TABLE open OWNER TO {owner};
         SELECT docperm.protect('forced', 'Forced'), docperm.protect('open', 'Open', force => false);"
    ));
    let mut c = w.db.connect_as(&owner);
    assert_eq!(one(&mut c, "SELECT count(*) FROM forced"), "0");
    assert_eq!(one(&mut c, "SELECT count(*) FROM open"), "1");
    assert_eq!(one(&mut w.app(), "SELECT count(*) FROM open"), "0", "everybody else is filtered");
    w.sql("SELECT docperm.protect('open', 'Open', force => true)");
    assert_eq!(one(&mut c, "SELECT count(*) FROM open"), "0");
}

#[test]
fn protecting_again_changes_what_is_given_and_keeps_the_rest() {
    let mut w = free_erp();
    w.allow(ANN, "Company", "Acme");
    let policies = "SELECT count(*) FROM pg_policy WHERE polrelid = 'sales_order'::regclass";
    assert_eq!(one(&mut w.admin, policies), "4");
    w.sql("SELECT docperm.protect('sales_order', 'Sales Order', allow_import => true)");
    assert_eq!(one(&mut w.admin, policies), "4");
    let row =
        "SELECT name_column, owner_column, allow_import FROM docperm.doctypes WHERE name = 'Sales Order'";
    assert_eq!(table(&mut w.admin, row), [["name", "owner", "t"]]);
    assert_eq!(w.sees(ANN, "Sales Order"), ["SO-3", "SO-4", "SO-5"]);
}

#[test]
fn policies_are_in_the_catalog_and_readable() {
    let mut w = erp();
    let found = table(
        &mut w.admin,
        "SELECT policyname, permissive, roles, cmd,
                coalesce(qual, '-') LIKE '%docperm.permits(%', coalesce(with_check, '-') LIKE '%docperm.permits(%'
           FROM pg_policies WHERE tablename = 'sales_order' ORDER BY 1",
    );
    assert_eq!(
        found,
        [
            ["docperm_delete", "PERMISSIVE", "{public}", "DELETE", "t", "f"],
            ["docperm_insert", "PERMISSIVE", "{public}", "INSERT", "f", "t"],
            ["docperm_select", "PERMISSIVE", "{public}", "SELECT", "t", "f"],
            ["docperm_update", "PERMISSIVE", "{public}", "UPDATE", "t", "t"],
        ]
    );
    let unprotected = one(
        &mut w.admin,
        "SELECT count(*) FROM pg_class WHERE oid IN (SELECT relation FROM docperm.doctypes WHERE NOT docperm._is_own(relation))
                                         AND NOT (relrowsecurity AND relforcerowsecurity)",
    );
    assert_eq!(unprotected, "0");
}

#[test]
fn a_restrictive_policy_of_the_dba_comes_on_top() {
    let mut w = free_erp();
    w.sql("CREATE POLICY audit ON sales_order AS RESTRICTIVE USING (name <> 'SO-1')");
    assert_eq!(names(&mut w.acting(ANN), "SELECT name FROM sales_order"), ORDERS[1..]);
}

#[test]
fn a_table_that_is_made_again_can_be_protected_again_with_its_rules() {
    let mut w = free_erp();
    w.sql("DROP TABLE sales_order");
    assert_eq!(
        one(&mut w.admin, "SELECT count(*) FROM docperm.role_permissions WHERE doctype = 'Sales Order'"),
        "1"
    );
    w.sql(
        "CREATE TABLE sales_order (name text PRIMARY KEY, company text);
         INSERT INTO sales_order VALUES ('N-1', 'Acme');
         SELECT docperm.protect('sales_order', 'Sales Order');",
    );
    w.grant_tables();
    assert_eq!(names(&mut w.acting(ANN), "SELECT name FROM sales_order"), ["N-1"]);
}

// Answers about rights

#[test]
fn explain_access_has_an_answer_for_every_document() {
    let mut w = free_erp();
    w.allow(ANN, "Company", "Acme");
    for document in ORDERS.iter().chain(&["no such order"]) {
        let steps = table(
            &mut w.admin,
            &format!(
                "SELECT step, rule, verdict, detail FROM docperm.explain_access('Sales Order', {}, 'read', '{ANN}')",
                literal(document)
            ),
        );
        assert!(!steps.is_empty(), "{document}");
        for step in &steps {
            assert!(
                step.iter().take(3).all(|text| !text.is_empty() && text != "NULL"),
                "{document}: {step:?}"
            );
        }
    }
}

#[test]
fn only_administrators_ask_about_others() {
    let mut w = free_erp();
    w.user("boss@erp.test", &["System Manager"]);
    let questions = [
        format!("SELECT docperm.has_permission('Sales Order', 'read', 'SO-1', user_name => '{BOB}')"),
        format!("SELECT count(*) FROM docperm.permitted_documents('Sales Order', user_name => '{BOB}')"),
        format!(
            "SELECT count(*) FROM docperm.explain_access('Sales Order', 'SO-1', 'read', user_name => '{BOB}')"
        ),
    ];
    for question in &questions {
        assert_eq!(refused_with(&mut w.acting(ANN), question), "42501", "{question}");
        assert_eq!(refused_with(&mut w.app(), question), "42501", "{question}");
        for asker in [BOB, "boss@erp.test", "Administrator"] {
            assert!(attempt(&mut w.acting(asker), question).is_ok(), "{asker}: {question}");
        }
        assert!(attempt(&mut w.admin, question).is_ok(), "{question}");
    }
}

#[test]
fn the_doctype_level_answers_whether_a_list_may_be_opened() {
    let mut w = erp();
    w.rule_if_owner("Sales Order", "Sales User", "{read,create}");
    let mut c = w.acting(ANN);
    let mut has =
        |right: &str| one(&mut c, &format!("SELECT docperm.has_permission('Sales Order', '{right}')"));
    assert_eq!(has("read"), "t", "there may be documents of one's own");
    assert_eq!(has("create"), "t");
    assert_eq!(has("delete"), "f");
}
