//! docperm's own tables are doctypes: who administers is a matter of rules, users see and edit their own record.

use crate::login::{RIGHT, log_in};
use crate::support::{World, attempt, literal, names, one, refused_with, set_user, table, texts};
use postgres::Client;

const MANAGER: &str = "manager@erp.test";
const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";

/// Tables that are reachable by functions alone: they hold secrets, or nothing that anybody asks for.
const BY_FUNCTIONS_ONLY: [&str; 12] = [
    "access_review_items",
    "access_reviews",
    "api_keys",
    "document_changes",
    "document_follow_digests",
    "document_follows",
    "login_throttle",
    "password_resets",
    "passwords",
    "separation_of_duties",
    "two_factor",
    "user_identities",
];

/// A System Manager and two clerks, who connect with a role that has docperm's tables.
fn site() -> (World, String) {
    let mut w = World::new(
        "UPDATE docperm.settings SET argon2_memory_kib = 8, argon2_iterations = 1;
         CREATE TABLE company (name text PRIMARY KEY); INSERT INTO company VALUES ('A'), ('B');
         SELECT docperm.protect('company', 'Company');",
    );
    w.user(MANAGER, &["System Manager"]);
    w.user(ANN, &["Clerk"]);
    w.user(BOB, &["Clerk"]);
    w.rule("Company", "Clerk", "{read}");
    let people = w.db.login_role("people");
    w.sql(&format!(
        "SELECT docperm.set_password(name, '{RIGHT}') FROM docperm.users WHERE name LIKE '%@erp.test';
         SELECT docperm.grant_administration('{people}');"
    ));
    (w, people)
}

fn connect(w: &World, people: &str, user: &str) -> Client {
    let mut client = w.db.connect_as(people);
    log_in(&mut client, user, RIGHT).unwrap();
    client
}

#[test]
fn every_table_is_a_doctype_or_reachable_by_functions_alone() {
    let (mut w, people) = site();
    let tables = names(
        &mut w.admin,
        "SELECT relname FROM pg_class WHERE relnamespace = 'docperm'::regnamespace AND relkind = 'r'",
    );
    let doctypes = names(
        &mut w.admin,
        "SELECT c.relname FROM docperm.doctypes d JOIN pg_class c ON c.oid = d.relation WHERE docperm._is_own(d.relation)",
    );
    for table in &tables {
        let is_doctype = doctypes.contains(table);
        let is_closed = BY_FUNCTIONS_ONLY.contains(&table.as_str());
        assert!(
            is_doctype != is_closed,
            "docperm.{table}: register it in sql/own_doctypes.sql, or list it here"
        );
        let guarded = one(
            &mut w.admin,
            &format!(
                "SELECT relrowsecurity AND EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid AND polname = 'docperm_select')
                   FROM pg_class c WHERE oid = 'docperm.{table}'::regclass"
            ),
        );
        assert_eq!(guarded == "t", is_doctype, "policies of docperm.{table}");
        let granted = one(
            &mut w.admin,
            &format!("SELECT has_any_column_privilege({}, 'docperm.{table}', 'SELECT')", literal(&people)),
        );
        assert_eq!(granted == "t", is_doctype, "SELECT on docperm.{table}");
    }
    // Who may write a table finds a trigger there that looks at what is written.
    let unguarded = names(
        &mut w.admin,
        &format!(
            "SELECT c.relname FROM pg_class c
              WHERE relnamespace = 'docperm'::regnamespace AND relkind = 'r'
                AND (has_any_column_privilege({0}, c.oid, 'INSERT') OR has_any_column_privilege({0}, c.oid, 'UPDATE'))
                AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'authorize' AND t.tgenabled = 'O')",
            literal(&people)
        ),
    );
    assert_eq!(unguarded, [""; 0]);
}

#[test]
fn a_system_manager_administers_through_the_application() {
    let (mut w, people) = site();
    let mut c = connect(&w, &people, MANAGER);
    for statement in [
        "INSERT INTO docperm.users (name, first_name) VALUES ('New@ERP.test', 'New')",
        "UPDATE docperm.users SET last_name = 'Comer', mobile_no = '123', restrict_ip = '{10.0.0.0/8}', login_after = 8 WHERE name = 'new@erp.test'",
        "INSERT INTO docperm.roles (name) VALUES ('Auditor')",
        "UPDATE docperm.roles SET desk_access = false WHERE name = 'Auditor'",
        "INSERT INTO docperm.user_roles VALUES ('new@erp.test', 'Auditor'), ('new@erp.test', 'System Manager')",
        "DELETE FROM docperm.user_roles WHERE user_name = 'new@erp.test' AND role = 'System Manager'",
        "INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('Company', 'Auditor', '{read}')",
        "UPDATE docperm.role_permissions SET rights = '{read,report}' WHERE role = 'Auditor'",
        "INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('new@erp.test', 'Company', 'A')",
        "UPDATE docperm.user_permissions SET for_value = 'B' WHERE user_name = 'new@erp.test'",
        "INSERT INTO docperm.rights (name) VALUES ('approve')",
        "SELECT docperm.customize('Company')",
        "SELECT docperm.reset('Company')",
        "UPDATE docperm.settings SET strict_user_permissions = 'blank_links', session_idle_timeout = '1 hour'",
        "INSERT INTO docperm.login_providers (name, enabled, jwks) VALUES ('Later', false, '{\"keys\": [{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}')",
        "SELECT docperm.set_password('new@erp.test', 'an altogether other phrase')",
        "UPDATE docperm.users SET enabled = false WHERE name = 'bob@erp.test'",
        "UPDATE docperm.users SET first_name = 'Max' WHERE name = 'manager@erp.test'",
    ] {
        let done = attempt(&mut c, statement).unwrap_or_else(|error| panic!("{statement}\n{error:#?}"));
        let touched = done.iter().any(
            |message| matches!(message, postgres::SimpleQueryMessage::CommandComplete(rows) if *rows > 0),
        );
        assert!(touched, "{statement}");
    }
    assert_eq!(
        names(&mut c, "SELECT name FROM docperm.users"),
        names(&mut w.admin, "SELECT name FROM docperm.users"),
        "he sees all users, also the Administrator, whom he cannot change"
    );
    for relation in
        ["doctypes", "doctype_fields", "activity_log", "permission_log", "roles", "role_permissions"]
    {
        let count = format!("SELECT count(*) FROM docperm.{relation}");
        assert_eq!(one(&mut c, &count), one(&mut w.admin, &count), "{relation}");
    }
    // What he administers is what counts.
    let mut new = w.acting("new@erp.test");
    assert_eq!(names(&mut new, "SELECT name FROM company"), ["B"]);
    assert_eq!(
        one(&mut c, "SELECT user_type FROM docperm.users WHERE name = 'new@erp.test'"),
        "Website User"
    );
    attempt(&mut c, "DELETE FROM docperm.users WHERE name = 'new@erp.test'").unwrap();
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.user_roles WHERE role = 'Auditor'"), "0");
}

#[test]
fn the_administrator_may_all_of_it_through_the_application() {
    let (mut w, people) = site();
    w.sql(&format!("SELECT docperm.set_password('Administrator', '{RIGHT}')"));
    let mut c = connect(&w, &people, "Administrator");
    for statement in [
        "UPDATE docperm.users SET first_name = 'Root', mobile_no = '1' WHERE name = 'Administrator'",
        "UPDATE docperm.users SET db_role = 'somebody' WHERE name = 'ann@erp.test'",
        "INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('Company', 'Guest', '{read}')",
        "INSERT INTO docperm.user_roles VALUES ('Administrator', 'Clerk')",
    ] {
        attempt(&mut c, statement).unwrap_or_else(|error| panic!("{statement}\n{error:#?}"));
    }
    // But what docperm alone writes.
    for statement in ["DELETE FROM docperm.activity_log", "UPDATE docperm.doctypes SET relation = NULL"] {
        assert_eq!(refused_with(&mut c, statement), "42501", "{statement}");
    }
}

#[test]
fn an_ordinary_user_sees_and_edits_his_own_record() {
    let (mut w, people) = site();
    w.sql("INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('ann@erp.test', 'Company', 'A'), ('bob@erp.test', 'Company', 'B')");
    let mut c = connect(&w, &people, ANN);
    assert_eq!(names(&mut c, "SELECT name FROM docperm.users"), [ANN]);
    attempt(
        &mut c,
        "UPDATE docperm.users SET first_name = 'Ann', last_name = 'Smith', mobile_no = '555', username = 'ann'",
    )
    .unwrap();
    assert_eq!(
        table(
            &mut w.admin,
            "SELECT name, full_name, mobile_no, username FROM docperm.users WHERE full_name IS NOT NULL"
        ),
        [[ANN, "Ann Smith", "555", "ann"]]
    );
    // What is his, and nothing else.
    assert_eq!(names(&mut c, "SELECT role FROM docperm.user_roles"), ["Clerk"]);
    assert_eq!(names(&mut c, "SELECT for_value FROM docperm.user_permissions"), ["A"]);
    assert_eq!(names(&mut c, "SELECT DISTINCT user_name FROM docperm.sessions"), [ANN]);
    assert_eq!(names(&mut c, "SELECT DISTINCT user_name FROM docperm.activity_log"), [ANN]);
    for relation in
        ["roles", "role_permissions", "settings", "doctypes", "doctype_fields", "login_providers", "rights"]
    {
        assert_eq!(one(&mut c, &format!("SELECT count(*) FROM docperm.{relation}")), "0", "{relation}");
    }
    // Link pickers offer him his colleagues.
    assert!(names(&mut c, "SELECT name FROM docperm.link_options('User')").contains(&BOB.to_owned()));
    // Guest has no record that he could read, nor anything else.
    let mut guest = w.db.connect_as(&people);
    for relation in ["users", "user_roles", "activity_log", "sessions", "shares"] {
        assert_eq!(one(&mut guest, &format!("SELECT count(*) FROM docperm.{relation}")), "0", "{relation}");
    }
}

#[test]
fn a_right_on_the_doctype_user_lets_its_holder_act_as_others() {
    let (mut w, people) = site();
    w.sql("INSERT INTO docperm.rights (name) VALUES ('impersonate'); INSERT INTO docperm.roles (name) VALUES ('Support'); INSERT INTO docperm.user_roles VALUES ('bob@erp.test', 'Support')");
    let mut c = connect(&w, &people, BOB);
    assert_eq!(refused_with(&mut c, "SELECT docperm.impersonate('ann@erp.test', 'to help')"), "42501");
    w.rule("User", "Support", "{read,impersonate}");
    assert_eq!(refused_with(&mut c, "SELECT docperm.impersonate('manager@erp.test', 'to help')"), "42501");
    one(&mut c, "SELECT docperm.impersonate('ann@erp.test', 'to help')");
    assert_eq!(names(&mut c, "SELECT name FROM docperm.users"), [ANN]);
    attempt(&mut c, "UPDATE docperm.users SET first_name = 'Helped'").unwrap();
}

#[test]
fn a_user_permission_on_users_makes_an_administrator_of_some() {
    let (mut w, people) = site();
    w.allow(MANAGER, "User", ANN);
    let mut c = connect(&w, &people, MANAGER);
    assert_eq!(names(&mut c, "SELECT name FROM docperm.users"), [ANN]);
    assert_eq!(names(&mut c, "SELECT user_name FROM docperm.user_roles"), [ANN]);
    attempt(&mut c, "UPDATE docperm.users SET first_name = 'x'").unwrap();
    assert_eq!(texts(&mut w.admin, "SELECT name FROM docperm.users WHERE first_name = 'x'"), [ANN]);
    w.sql("INSERT INTO docperm.roles (name) VALUES ('Auditor')");
    assert_eq!(
        refused_with(&mut c, "INSERT INTO docperm.user_roles VALUES ('bob@erp.test', 'Auditor')"),
        "42501"
    );
    attempt(&mut c, "INSERT INTO docperm.user_roles VALUES ('ann@erp.test', 'Auditor')").unwrap();
}

/// Rules of a site replace those that come with docperm, which stay.
#[test]
fn what_comes_with_docperm_stays_and_gives_way_to_custom_rules() {
    let (mut w, people) = site();
    let shipped = "SELECT doctype, role, permlevel, if_owner, rights FROM docperm.role_permissions WHERE shipped ORDER BY 1, 2, 3, 4";
    let before = table(&mut w.admin, shipped);
    assert!(before.len() > 20);
    w.sql(
        "DELETE FROM docperm.role_permissions;
         INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('Company', 'Clerk', '{read}');
         UPDATE docperm.role_permissions SET rights = '{read,report}'",
    );
    assert_eq!(table(&mut w.admin, shipped), before);
    assert_eq!(
        one(&mut w.admin, "SELECT rights FROM docperm.role_permissions WHERE NOT shipped"),
        "{read,report}"
    );
    let mut c = connect(&w, &people, ANN);
    assert_eq!(names(&mut c, "SELECT name FROM docperm.users"), [ANN]);
    w.sql(
        "SELECT docperm.customize('User');
         DELETE FROM docperm.role_permissions WHERE doctype = 'User' AND role = 'All' AND custom",
    );
    assert_eq!(names(&mut c, "SELECT name FROM docperm.users"), [""; 0]);
    for statement in [
        "DELETE FROM docperm.doctypes WHERE name = 'User'",
        "UPDATE docperm.doctypes SET name = 'Person' WHERE name = 'User'",
        "UPDATE docperm.doctypes SET owner_column = NULL WHERE name = 'User'",
        "UPDATE docperm.doctypes SET track_changes = true WHERE name = 'User'",
        "SELECT docperm.unprotect('docperm.users')",
        "SELECT docperm.protect('docperm.users', 'User')",
        "SELECT docperm.protect('company', 'User')",
        "DELETE FROM docperm.doctype_fields WHERE doctype = 'User'",
        "SELECT docperm.set_field('Has Role', 'role', requires_select => true)",
        "SELECT docperm.set_field('User', 'bio', link_to => 'Role'), docperm.set_field('Has Role', 'role', link_to => '')",
        "INSERT INTO docperm.shares (doctype, document, user_name, rights) VALUES ('User', 'ann@erp.test', 'bob@erp.test', '{write}')",
    ] {
        assert_eq!(refused_with(&mut w.admin, statement), "22023", "{statement}");
    }
}

/// A table of the site that refers to users is linked to their doctype, and nobody loses rows by it.
#[test]
fn foreign_keys_to_users_are_links_to_the_doctype_user() {
    let (mut w, _) = site();
    w.sql(
        "CREATE TABLE task (name text PRIMARY KEY, assignee text REFERENCES docperm.users);
         INSERT INTO task VALUES ('t1', 'ann@erp.test'), ('t2', 'bob@erp.test'), ('t3', NULL);
         SELECT docperm.protect('task', 'Task');",
    );
    w.grant_tables();
    w.rule("Task", "Clerk", "{read}");
    w.strict("deny_by_default");
    assert_eq!(w.sees(ANN, "Task"), ["t1", "t2", "t3"]);
    w.allow(ANN, "User", ANN);
    assert_eq!(w.sees(ANN, "Task"), ["t1"]);
    // Her own record is hers whatever she is permitted.
    let mut ann = w.acting(ANN);
    set_user(&mut ann, ANN);
    assert_eq!(one(&mut ann, "SELECT docperm.has_permission('User', 'write', 'ann@erp.test')"), "t");
}
