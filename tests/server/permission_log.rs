//! The permission log: every change of what decides permissions, by whom, and nothing else; kept from those it watches.

use crate::login::{ANN, BOB, RIGHT, log_in, world as with_passwords};
use crate::support::{World, attempt, names, one, refused_with, run, table};
use docperm_testkit::server;

const BOSS: &str = "boss@erp.test";

fn world() -> World {
    let mut w = World::new(
        "CREATE TABLE company (name text PRIMARY KEY);
         CREATE TABLE orders (id int PRIMARY KEY, owner text, company text REFERENCES company);
         INSERT INTO company SELECT 'C' || n FROM generate_series(1, 9) AS n;
         INSERT INTO orders VALUES (1, 'ann@erp.test', 'C1');
         SELECT docperm.protect('orders', 'Order', owner_column => 'owner');
         SELECT docperm.protect('company', 'Company');",
    );
    w.user(ANN, &["Sales"]);
    w.user(BOB, &["Sales"]);
    w.user(BOSS, &["System Manager"]);
    w.rule("Order", "Sales", "{read,write}");
    w
}

/// The last number of the log.
fn mark(w: &mut World) -> String {
    one(&mut w.admin, "SELECT coalesce(max(id), 0) FROM docperm.permission_log")
}

/// What was logged since: object type, object name, user, action.
fn since(w: &mut World, mark: &str) -> Vec<Vec<String>> {
    table(
        &mut w.admin,
        &format!(
            "SELECT object_type, object_name, user_name, action FROM docperm.permission_log WHERE id > {mark} ORDER BY id"
        ),
    )
}

/// What differs, since: one text for each row, such as `rights: ["read"] -> ["read", "write"]`.
fn changes_since(w: &mut World, mark: &str) -> Vec<String> {
    let sql = format!(
        "SELECT (SELECT string_agg(format('%s: %s -> %s', e.key, e.value -> 'from', e.value -> 'to'), ', ' ORDER BY e.key)
                   FROM jsonb_each(l.changes) AS e)
           FROM docperm.permission_log AS l WHERE id > {mark} ORDER BY id"
    );
    table(&mut w.admin, &sql).concat()
}

#[track_caller]
fn logs(w: &mut World, statement: &str, expected: &[[&str; 4]], changes: &[&str]) {
    let before = mark(w);
    w.sql(statement);
    assert_eq!(since(w, &before), expected, "{statement}");
    assert_eq!(changes_since(w, &before), changes, "{statement}");
}

#[test]
fn users_and_their_roles() {
    let mut w = world();
    let user = ["User", "eve@erp.test", "eve@erp.test"];
    let row = |action: &'static str| [user[0], user[1], user[2], action];
    logs(
        &mut w,
        "INSERT INTO docperm.users (name) VALUES ('Eve@erp.test')",
        &[row("Added")],
        &[concat!(
            r#"email: null -> "eve@erp.test", enabled: null -> true, login_after: null -> 0, login_before: null -> 0, "#,
            r#"name: null -> "eve@erp.test", user_type: null -> "Website User""#
        )],
    );
    for (set, changes) in [
        ("enabled = false", "enabled: true -> false"),
        ("db_role = 'eve'", r#"db_role: null -> "eve""#),
        ("restrict_ip = '{10.0.0.0/8}'", r#"restrict_ip: null -> ["10.0.0.0/8"]"#),
        ("login_after = 8, login_before = 18", "login_after: 0 -> 8, login_before: 0 -> 18"),
        ("simultaneous_sessions = 1", "simultaneous_sessions: null -> 1"),
        ("mobile_no = '+49 1'", r#"mobile_no: null -> "+49 1""#),
    ] {
        let update = format!("UPDATE docperm.users SET {set} WHERE name = 'eve@erp.test'");
        logs(&mut w, &update, &[row("Updated")], &[changes]);
    }
    logs(
        &mut w,
        "INSERT INTO docperm.user_roles VALUES ('eve@erp.test', 'Sales')",
        &[row("Updated"), ["Has Role", user[1], user[2], "Added"]],
        &[
            r#"user_type: "Website User" -> "System User""#,
            r#"role: null -> "Sales", user_name: null -> "eve@erp.test""#,
        ],
    );
    // His roles go with him.
    let before = mark(&mut w);
    w.sql("DELETE FROM docperm.users WHERE name = 'eve@erp.test'");
    assert_eq!(since(&mut w, &before), [row("Removed"), ["Has Role", user[1], user[2], "Removed"]]);
    let transactions =
        format!("SELECT count(DISTINCT transaction_id) FROM docperm.permission_log WHERE id > {before}");
    assert_eq!(one(&mut w.admin, &transactions), "1");
}

#[test]
fn roles_rules_and_fields() {
    let mut w = world();
    logs(
        &mut w,
        "INSERT INTO docperm.roles (name, desk_access) VALUES ('Clerk', false)",
        &[["Role", "Clerk", "NULL", "Added"]],
        &[
            r#"desk_access: null -> false, disabled: null -> false, name: null -> "Clerk", two_factor_auth: null -> false"#,
        ],
    );
    logs(
        &mut w,
        "UPDATE docperm.roles SET two_factor_auth = true WHERE name IN ('Clerk', 'All')",
        &[["Role", "All", "NULL", "Updated"], ["Role", "Clerk", "NULL", "Updated"]],
        &["two_factor_auth: false -> true", "two_factor_auth: false -> true"],
    );
    logs(
        &mut w,
        "INSERT INTO docperm.rights (name) VALUES ('approve')",
        &[["Permission Type", "approve", "NULL", "Added"]],
        &[r#"name: null -> "approve", standard: null -> false"#],
    );
    logs(
        &mut w,
        "INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('Order', 'Clerk', '{read}')",
        &[["Role Permission", "Order", "NULL", "Added"]],
        &[concat!(
            r#"custom: null -> false, doctype: null -> "Order", if_owner: null -> false, permlevel: null -> 0, "#,
            r#"rights: null -> ["read"], role: null -> "Clerk""#
        )],
    );
    logs(
        &mut w,
        "UPDATE docperm.role_permissions SET rights = '{read,approve}' WHERE role = 'Clerk'",
        &[["Role Permission", "Order", "NULL", "Updated"]],
        &[r#"rights: ["read"] -> ["read", "approve"]"#],
    );
    let key = "SELECT (row_key ->> 'role') || (row_key ->> 'permlevel') FROM docperm.permission_log ORDER BY id DESC LIMIT 1";
    assert_eq!(one(&mut w.admin, key), "Clerk0");
    logs(
        &mut w,
        "DELETE FROM docperm.role_permissions WHERE role = 'Clerk'",
        &[["Role Permission", "Order", "NULL", "Removed"]],
        &[concat!(
            r#"custom: false -> null, doctype: "Order" -> null, if_owner: false -> null, permlevel: 0 -> null, "#,
            r#"rights: ["read", "approve"] -> null, role: "Clerk" -> null"#
        )],
    );
    logs(
        &mut w,
        "SELECT docperm.set_field('Order', 'company', permlevel => 2, ignore_user_permissions => true)",
        &[["DocField", "Order", "NULL", "Updated"]],
        &["ignore_user_permissions: false -> true, permlevel: 0 -> 2"],
    );
    logs(
        &mut w,
        "UPDATE docperm.settings SET strict_user_permissions = 'blank_links', session_idle_timeout = '1 hour'",
        &[["Settings", "Settings", "NULL", "Updated"]],
        &[
            r#"session_idle_timeout: "06:00:00" -> "01:00:00", strict_user_permissions: "off" -> "blank_links""#,
        ],
    );
}

#[test]
fn profiles_modules_pages_and_reports() {
    let mut w = world();
    w.sql("INSERT INTO docperm.roles (name) VALUES ('Clerk'); INSERT INTO docperm.users (name) VALUES ('eve@erp.test')");
    let eve = ["eve@erp.test", "eve@erp.test"];
    logs(
        &mut w,
        "INSERT INTO docperm.role_profiles VALUES ('Office'); INSERT INTO docperm.role_profile_roles VALUES ('Office', 'Clerk')",
        &[["Role Profile", "Office", "NULL", "Added"], ["Role Profile Role", "Office", "NULL", "Added"]],
        &[r#"name: null -> "Office""#, r#"role: null -> "Clerk", role_profile: null -> "Office""#],
    );
    // What follows from a profile is logged as if it had been done by itself.
    let before = mark(&mut w);
    w.sql("INSERT INTO docperm.user_role_profiles VALUES ('eve@erp.test', 'Office')");
    let mut rows = since(&mut w, &before);
    rows.sort();
    assert_eq!(
        rows,
        [
            ["Has Role", eve[0], eve[1], "Added"],
            ["User", eve[0], eve[1], "Updated"],
            ["User Role Profile", eve[0], eve[1], "Added"],
        ]
    );
    let before = mark(&mut w);
    w.sql("INSERT INTO docperm.role_profile_roles VALUES ('Office', 'Sales')");
    assert_eq!(
        since(&mut w, &before),
        [["Has Role", eve[0], eve[1], "Added"], ["Role Profile Role", "Office", "NULL", "Added"]]
    );
    logs(
        &mut w,
        "INSERT INTO docperm.modules VALUES ('HR'); INSERT INTO docperm.module_profiles VALUES ('No HR')",
        &[["Module Def", "HR", "NULL", "Added"], ["Module Profile", "No HR", "NULL", "Added"]],
        &[r#"name: null -> "HR""#, r#"name: null -> "No HR""#],
    );
    let before = mark(&mut w);
    w.sql(
        "INSERT INTO docperm.module_profile_blocks VALUES ('No HR', 'HR');
         UPDATE docperm.users SET module_profile = 'No HR' WHERE name = 'eve@erp.test'",
    );
    let mut rows = since(&mut w, &before);
    rows.sort();
    assert_eq!(
        rows,
        [
            ["Block Module", eve[0], eve[1], "Added"],
            ["Module Profile Block", "No HR", "NULL", "Added"],
            ["User", eve[0], eve[1], "Updated"],
        ]
    );
    logs(
        &mut w,
        "INSERT INTO docperm.pages (name) VALUES ('Setup'); INSERT INTO docperm.page_roles VALUES ('Setup', 'Clerk');
         INSERT INTO docperm.reports (name, ref_doctype) VALUES ('Margins', 'Order');
         INSERT INTO docperm.report_roles VALUES ('Margins', 'Clerk', true);
         DELETE FROM docperm.page_roles",
        &[
            ["Page", "Setup", "NULL", "Added"],
            ["Page Role", "Setup", "NULL", "Added"],
            ["Report", "Margins", "NULL", "Added"],
            ["Report Role", "Margins", "NULL", "Added"],
            ["Page Role", "Setup", "NULL", "Removed"],
        ],
        &[
            r#"name: null -> "Setup""#,
            r#"custom: null -> false, page: null -> "Setup", role: null -> "Clerk""#,
            r#"disabled: null -> false, name: null -> "Margins", ref_doctype: null -> "Order", report_type: null -> "Report Builder""#,
            r#"custom: null -> true, report: null -> "Margins", role: null -> "Clerk""#,
            r#"custom: false -> null, page: "Setup" -> null, role: "Clerk" -> null"#,
        ],
    );
    // What a user tells of himself decides nothing.
    let before = mark(&mut w);
    w.sql("UPDATE docperm.users SET phone = '1', bio = 'x', first_name = 'Eve', mute_sounds = true, email_signature = 'e' WHERE name = 'eve@erp.test'");
    assert_eq!(since(&mut w, &before), [[""; 4]; 0]);
}

#[test]
fn user_permissions_and_shares() {
    let mut w = world();
    w.sql("SELECT docperm.set_user('Administrator', false)");
    logs(
        &mut w,
        "SELECT docperm.apply_user_permission('ann@erp.test', 'Company', 'C1')",
        &[["User Permission", ANN, ANN, "Added"]],
        &[concat!(
            r#"allow: null -> "Company", for_value: null -> "C1", hide_descendants: null -> false, "#,
            r#"is_default: null -> false, user_name: null -> "ann@erp.test""#
        )],
    );
    logs(
        &mut w,
        "UPDATE docperm.user_permissions SET is_default = true",
        &[["User Permission", ANN, ANN, "Updated"]],
        &["is_default: false -> true"],
    );
    logs(
        &mut w,
        "SELECT docperm.share('Order', '1', 'bob@erp.test')",
        &[["Share", "1", BOB, "Added"]],
        &[concat!(
            r#"doctype: null -> "Order", document: null -> "1", everyone: null -> false, "#,
            r#"rights: null -> ["read"], user_name: null -> "bob@erp.test""#
        )],
    );
    logs(
        &mut w,
        "SELECT docperm.share('Order', '1', 'bob@erp.test', '{write}')",
        &[["Share", "1", BOB, "Updated"]],
        &[r#"rights: ["read"] -> ["read", "write"]"#],
    );
    // A share goes with its document, and to take read away deletes it.
    let before = mark(&mut w);
    w.sql("SELECT docperm.share('Order', '1', everyone => true); DELETE FROM orders");
    let rows = since(&mut w, &before);
    assert_eq!(rows[0], ["Share", "1", "NULL", "Added"]);
    assert_eq!(rows.len(), 3);
    assert!(rows[1..].iter().all(|row| row[3] == "Removed"), "{rows:?}");
}

#[test]
fn doctypes_come_and_go_with_all_that_hangs_on_them() {
    let mut w = world();
    w.allow(ANN, "Company", "C1");
    w.sql("CREATE TABLE memo (name text PRIMARY KEY)");
    let before = mark(&mut w);
    w.sql("SELECT docperm.protect('memo', 'Memo'); SELECT docperm.protect('memo', 'Memo')");
    let rows = since(&mut w, &before);
    assert_eq!(rows[0], ["DocType", "Memo", "NULL", "Added"]);
    assert!(rows.iter().all(|row| row[..2] == ["DocType", "Memo"]), "{rows:?}");
    assert!(changes_since(&mut w, &before).iter().any(|c| c.contains(r#"relation: null -> "public.memo""#)));

    let before = mark(&mut w);
    w.sql("SELECT docperm.unprotect('orders'); SELECT docperm.unprotect('company')");
    let mut rows = since(&mut w, &before);
    rows.retain(|row| row[3] == "Removed");
    rows.sort();
    assert_eq!(
        rows,
        [
            ["DocField", "Order", "NULL", "Removed"],
            ["DocType", "Company", "NULL", "Removed"],
            ["DocType", "Order", "NULL", "Removed"],
            ["Role Permission", "Order", "NULL", "Removed"],
            ["User Permission", ANN, ANN, "Removed"],
        ]
    );
}

#[test]
fn going_back_to_the_standard_rules_is_one_row() {
    let mut w = world();
    w.rule("Order", "Clerk", "{read}");
    let before = mark(&mut w);
    w.sql("SELECT docperm.customize('Order')");
    assert_eq!(since(&mut w, &before), [["Role Permission", "Order", "NULL", "Added"]; 2]);
    let before = mark(&mut w);
    w.sql("SELECT docperm.reset('Order')");
    assert_eq!(since(&mut w, &before), [["Role Permission", "Order", "NULL", "Reset"]]);
    let roles = format!(
        "SELECT string_agg(r ->> 'role' || (r ->> 'rights'), ' ' ORDER BY r ->> 'role')
           FROM docperm.permission_log, jsonb_array_elements(changes -> 'rules' -> 'from') AS r WHERE id > {before}"
    );
    assert_eq!(one(&mut w.admin, &roles), r#"Clerk["read"] Sales["read", "write"]"#);
    // Without standard rules to go back to, it is a removal like any other.
    w.sql(
        "DELETE FROM docperm.role_permissions;
         INSERT INTO docperm.role_permissions (doctype, role, custom, rights) VALUES ('Order', 'Sales', true, '{read}')",
    );
    let before = mark(&mut w);
    w.sql("DELETE FROM docperm.role_permissions");
    assert_eq!(since(&mut w, &before), [["Role Permission", "Order", "NULL", "Removed"]]);
}

#[test]
fn nothing_is_logged_where_nothing_changed() {
    let mut w = world();
    w.allow(ANN, "Company", "C1");
    w.sql(
        "SELECT docperm.set_user('Administrator', false);
         SELECT docperm.share('Order', '1', 'bob@erp.test');
         SELECT docperm.customize('Order');",
    );
    let before = mark(&mut w);
    w.sql(
        "UPDATE docperm.users SET enabled = enabled, name = upper(name) WHERE name = 'ann@erp.test';
         UPDATE docperm.users SET last_login = now(), last_ip = '10.0.0.1', last_active = now();
         UPDATE docperm.user_roles SET role = role;
         UPDATE docperm.roles SET name = name;
         UPDATE docperm.role_permissions SET rights = rights || '{}';
         UPDATE docperm.user_permissions SET for_value = 'C1';
         UPDATE docperm.shares SET rights = rights;
         UPDATE docperm.settings SET check_child_links = true;
         UPDATE docperm.doctypes SET relation = relation;
         UPDATE docperm.doctype_fields SET permlevel = 0 WHERE doctype IN ('Order', 'Company');
         UPDATE docperm.user_roles SET role = 'Clerk' WHERE false;
         DELETE FROM docperm.user_permissions WHERE for_value = 'C2';
         INSERT INTO docperm.user_roles VALUES ('ann@erp.test', 'Sales') ON CONFLICT DO NOTHING;
         SELECT docperm.protect('orders', 'Order', owner_column => 'owner');
         SELECT docperm.set_field('Order', 'company', permlevel => 0);
         SELECT docperm.share('Order', '1', 'bob@erp.test');
         SELECT docperm.customize('Order');
         SELECT docperm.apply_user_permission('ann@erp.test', 'Company', 'C1');",
    );
    assert_eq!(since(&mut w, &before), [[""; 4]; 0]);
    // Of several rows those that differ, and of ON CONFLICT what it did.
    logs(
        &mut w,
        "UPDATE docperm.roles SET disabled = (name = 'Sales') WHERE name IN ('All', 'Sales', 'Guest')",
        &[["User", ANN, ANN, "Updated"], ["User", BOB, BOB, "Updated"], ["Role", "Sales", "NULL", "Updated"]],
        &[
            r#"user_type: "System User" -> "Website User""#,
            r#"user_type: "System User" -> "Website User""#,
            "disabled: false -> true",
        ],
    );
    w.sql("UPDATE docperm.roles SET disabled = false WHERE name = 'Sales'");
    logs(
        &mut w,
        "INSERT INTO docperm.roles (name) VALUES ('Sales'), ('Clerk')
             ON CONFLICT (name) DO UPDATE SET two_factor_auth = true",
        &[["Role", "Sales", "NULL", "Updated"], ["Role", "Clerk", "NULL", "Added"]],
        &[
            "two_factor_auth: false -> true",
            r#"desk_access: null -> true, disabled: null -> false, name: null -> "Clerk", two_factor_auth: null -> false"#,
        ],
    );
}

#[test]
fn what_is_rolled_back_leaves_nothing() {
    let mut w = world();
    let before = mark(&mut w);
    w.sql(
        "BEGIN; INSERT INTO docperm.user_roles VALUES ('bob@erp.test', 'System Manager'); ROLLBACK;
         BEGIN; SAVEPOINT s; DELETE FROM docperm.users WHERE name = 'bob@erp.test'; ROLLBACK TO s;
         DELETE FROM docperm.user_roles WHERE user_name = 'bob@erp.test' AND role = 'Sales'; COMMIT;",
    );
    assert_eq!(since(&mut w, &before), [["User", BOB, BOB, "Updated"], ["Has Role", BOB, BOB, "Removed"]]);
}

/// Who did it, since.
fn authors(w: &mut World, mark: &str) -> Vec<Vec<String>> {
    let sql = format!(
        "SELECT changed_by, impersonated_by, db_role, is_superuser FROM docperm.permission_log WHERE id > {mark} ORDER BY id"
    );
    table(&mut w.admin, &sql)
}

#[test]
fn it_says_who_it_was() {
    let mut w = with_passwords();
    w.user(BOSS, &["System Manager"]);
    let role = w.app_role.clone();
    w.sql(&format!(
        "SELECT docperm.set_password('{BOSS}', '{RIGHT}', false);
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA docperm TO {role}"
    ));
    let add = |n: u32| format!("INSERT INTO docperm.roles (name) VALUES ('R{n}')");

    let before = mark(&mut w);
    w.sql(&add(1));
    assert_eq!(authors(&mut w, &before), [["database role postgres", "NULL", "postgres", "t"]]);

    let before = mark(&mut w);
    w.acting(BOSS).batch_execute(&add(2)).unwrap();
    assert_eq!(authors(&mut w, &before), [[BOSS, "NULL", &role, "f"]]);

    // A superuser who has become somebody else is one all the same.
    let before = mark(&mut w);
    w.sql(&format!("SET ROLE {role}; SELECT docperm.set_user('{BOSS}', false); {}; RESET ROLE", add(3)));
    w.sql("SELECT docperm.set_user(NULL, false)");
    assert_eq!(authors(&mut w, &before), [[BOSS, "NULL", &role, "t"]]);

    // By a session, and by one of somebody else.
    w.sql(&format!("SELECT docperm.set_password('Administrator', '{RIGHT}', false)"));
    let mut c = w.app();
    let own = log_in(&mut c, "Administrator", RIGHT).unwrap();
    let before = mark(&mut w);
    c.batch_execute(&add(4)).unwrap();
    let as_boss = one(&mut c, &format!("SELECT docperm.impersonate('{BOSS}', 'to look')"));
    one(&mut c, &format!("SELECT docperm.resume('{as_boss}')"));
    c.batch_execute(&add(5)).unwrap();
    assert_eq!(
        authors(&mut w, &before),
        [["Administrator", "NULL", &role, "f"], [BOSS, "Administrator", &role, "f"]]
    );
    one(&mut c, &format!("SELECT docperm.resume('{own}')"));

    // By a database role that acts as a user.
    w.sql(&format!("UPDATE docperm.users SET db_role = '{role}' WHERE name = '{BOSS}'"));
    let before = mark(&mut w);
    w.app().batch_execute(&add(6)).unwrap();
    assert_eq!(authors(&mut w, &before), [[BOSS, "NULL", &role, "f"]]);
}

/// His session ends while the statement is under way; who he was is known.
#[test]
fn who_shuts_himself_out_is_written_down_too() {
    let ends = [
        "UPDATE docperm.users SET enabled = false WHERE name = 'bob@erp.test'",
        "UPDATE docperm.users SET restrict_ip = '{203.0.113.1/32}' WHERE name = 'bob@erp.test'",
        "DELETE FROM docperm.users WHERE name = 'bob@erp.test'",
    ];
    for end in ends {
        let mut w = with_passwords();
        let role = w.app_role.clone();
        // Nobody does it to himself by a statement of his own; a function of a superuser's may.
        w.sql(&format!(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA docperm TO {role};
             CREATE FUNCTION by_superuser(statement text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN EXECUTE statement; END'"
        ));
        let mut c = w.app();
        let token = log_in(&mut c, BOB, RIGHT).unwrap();
        let before = mark(&mut w);
        c.batch_execute("BEGIN").unwrap();
        // A policy would have asked who acts.
        let end = format!("SELECT by_superuser({})", crate::support::literal(end));
        c.batch_execute(&format!("SELECT docperm.whoami(); {end}")).unwrap();
        // He does nothing more by that session.
        assert_eq!(
            refused_with(&mut c, "INSERT INTO docperm.roles (name) VALUES ('Late')"),
            "28000",
            "{end}"
        );
        c.batch_execute("ROLLBACK").unwrap();
        // Nor is he, who is known, taken for who comes with another token.
        let other = format!(
            "SELECT docperm.whoami(); SET docperm.session = '{}'; {end}",
            token.replace('-', "_").to_lowercase()
        );
        assert_eq!(attempt(&mut c, &other).unwrap_err().sqlstate, "28000");
        c.batch_execute(&format!("SET docperm.session = '{token}'; SELECT docperm.whoami(); {end}")).unwrap();
        let authors = authors(&mut w, &before);
        assert!(
            !authors.is_empty() && authors.iter().all(|row| row[..2] == [BOB, "NULL"]),
            "{end}: {authors:?}"
        );
    }
}

#[test]
fn those_it_watches_can_read_it_and_change_nothing() {
    let mut w = world();
    let role = w.app_role.clone();
    // More than anybody should be given.
    w.sql(&format!(
        "GRANT ALL ON ALL TABLES IN SCHEMA docperm TO {role}; GRANT ALL ON ALL SEQUENCES IN SCHEMA docperm TO {role}"
    ));
    let rows = mark(&mut w);
    let attacks = [
        "UPDATE docperm.permission_log SET changed_by = 'ann@erp.test'",
        "DELETE FROM docperm.permission_log",
        "DELETE FROM docperm.permission_log WHERE false",
        "TRUNCATE docperm.permission_log",
        "INSERT INTO docperm.permission_log (changed_by, db_role, is_superuser, object_type, object_name, action, row_key, changes)
         VALUES ('ann@erp.test', 'app', false, 'Has Role', 'bob@erp.test', 'Added', '{}', '{\"role\": {}}')",
        "MERGE INTO docperm.permission_log AS l USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE",
        "WITH gone AS (DELETE FROM docperm.permission_log RETURNING 1) SELECT count(*) FROM gone",
        "ALTER TABLE docperm.permission_log DISABLE TRIGGER ALL",
        "ALTER TABLE docperm.user_roles DISABLE TRIGGER log_inserted",
        "DROP TRIGGER log_inserted ON docperm.user_roles",
        "SET session_replication_role = replica",
        "SELECT docperm.clear_permission_log('0 seconds')",
        "SET row_security = off; SET check_function_bodies = off; DELETE FROM docperm.permission_log",
        "CREATE FUNCTION pg_temp.clear_permission_log() RETURNS void LANGUAGE sql AS 'DELETE FROM docperm.permission_log';
         SELECT pg_temp.clear_permission_log()",
        "CREATE TEMP TABLE mine (name text); CREATE TRIGGER t AFTER INSERT ON mine
             FOR EACH STATEMENT EXECUTE FUNCTION docperm._log_changes('Has Role', 'name', '', '{name}', '{}')",
        "CREATE TRIGGER t AFTER INSERT ON docperm.roles FOR EACH STATEMENT EXECUTE FUNCTION docperm._log_changes('Has Role', '', '', '{}', '{}')",
        "SELECT docperm._watch_permissions('roles', 'Has Role', 'name', '{name}')",
        "SELECT * FROM docperm._author()",
        "DO $$ BEGIN EXECUTE 'DELETE FROM docperm.permission_log -- function docperm.clear_permission_log('; END $$",
    ];
    for attack in attacks {
        for user in [BOSS, ANN, "Guest"] {
            let mut c = w.acting(user);
            let sqlstate = attempt(&mut c, attack).expect_err(attack).sqlstate;
            assert_eq!(sqlstate, "42501", "{user}: {attack}");
        }
    }
    // Nor does a superuser by accident.
    for attack in &attacks[..7] {
        assert_eq!(refused_with(&mut w.admin, attack), "42501", "{attack}");
    }
    w.sql("SET session_replication_role = replica");
    assert_eq!(refused_with(&mut w.admin, "DELETE FROM docperm.permission_log"), "42501");
    w.sql("RESET session_replication_role");
    assert_eq!(mark(&mut w), rows);

    // Changes that are not logged are refused as well, or there are none.
    let mut c = w.acting(BOSS);
    c.batch_execute("SET row_security = off; SET check_function_bodies = off").unwrap();
    assert_eq!(refused_with(&mut c, "INSERT INTO docperm.roles (name) VALUES ('Quiet')"), "42501");
    assert_eq!(since(&mut w, &rows), [[""; 4]; 0]);
}

#[test]
fn it_is_for_administrators_to_read() {
    let mut w = world();
    let read = "SELECT count(*) > 3 FROM docperm.permission_changes()";
    for user in [ANN, "Guest"] {
        let error = attempt(&mut w.acting(user), read).unwrap_err();
        assert_eq!(error.sqlstate, "42501");
        assert_eq!(error.message, format!("user \"{user}\" may not read the permission log"));
        assert_eq!(refused_with(&mut w.acting(user), "SELECT * FROM docperm.permission_log"), "42501");
        let about_himself = format!("SELECT docperm.permission_changes('{user}')");
        assert_eq!(refused_with(&mut w.acting(user), &about_himself), "42501");
    }
    for user in [BOSS, "Administrator"] {
        assert_eq!(one(&mut w.acting(user), read), "t");
        assert_eq!(refused_with(&mut w.acting(user), "SELECT * FROM docperm.permission_log"), "42501");
    }
    w.sql("UPDATE docperm.role_permissions SET rights = '{read}'; INSERT INTO docperm.roles (name) VALUES ('Clerk')");
    let mut c = w.acting(BOSS);
    let asked = |arguments: &str| {
        format!(
            "SELECT object_type || ' ' || object_name || ' ' || action FROM docperm.permission_changes({arguments})"
        )
    };
    assert_eq!(table(&mut c, &asked("max_rows => 1")).concat(), ["Role Clerk Added"]);
    assert_eq!(
        table(&mut c, &asked("kind => 'Role Permission', object => 'Order'")).concat(),
        ["Role Permission Order Updated", "Role Permission Order Added"]
    );
    assert_eq!(table(&mut c, &asked("since => now() + interval '1 day'")).concat(), [""; 0]);
}

#[test]
fn a_renamed_user_keeps_his_history() {
    let mut w = world();
    for n in 0..300 {
        w.sql(&format!("INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('{ANN}', 'Company', 'X{n}')"));
    }
    let before = mark(&mut w);
    w.sql("UPDATE docperm.users SET name = 'anna@erp.test' WHERE name = 'ann@erp.test'");
    let anna = "anna@erp.test";
    // His rows are as many as they were: that they name him otherwise is one row for each table.
    assert_eq!(
        since(&mut w, &before),
        [
            ["User", anna, anna, "Updated"],
            ["Has Role", anna, anna, "Updated"],
            ["User Permission", anna, anna, "Updated"],
        ]
    );
    let rows = format!(
        "SELECT row_key ->> 'rows' FROM docperm.permission_log WHERE id > {before} AND row_key ? 'rows'"
    );
    assert_eq!(names(&mut w.admin, &rows), ["1", "300"]);

    // Another one gets the name that he had.
    w.user(ANN, &["Buyer"]);
    w.sql(
        "INSERT INTO docperm.user_roles VALUES ('anna@erp.test', 'Clerk2')"
            .replace("Clerk2", "Buyer")
            .as_str(),
    );
    let roles = |user: &str| {
        format!(
            "SELECT changes -> 'role' ->> 'to' FROM docperm.permission_changes('{user}', kind => 'Has Role') WHERE action = 'Added'"
        )
    };
    let mut boss = w.acting(BOSS);
    assert_eq!(table(&mut boss, &roles(anna)).concat(), ["Buyer", "Sales"]);
    assert_eq!(names(&mut boss, &roles(ANN)), ["Buyer", "Sales"], "whoever bore the name");
    w.sql(
        "UPDATE docperm.users SET name = 'hanna@erp.test' WHERE name = 'anna@erp.test';
         UPDATE docperm.roles SET name = 'Selling' WHERE name = 'Sales'",
    );
    assert_eq!(table(&mut boss, &roles("hanna@erp.test")).concat(), ["Buyer", "Sales"]);
    let renamed = "SELECT object_type || ' ' || (row_key ->> 'rows') FROM docperm.permission_log WHERE object_name = 'Selling' AND row_key ? 'rows'";
    assert_eq!(names(&mut w.admin, renamed), ["Has Role 2", "Role Permission 1"]);
}

/// A rename explains that rows name somebody otherwise, and nothing beside.
#[test]
fn behind_a_rename_nothing_hides() {
    let mut w = world();
    let before = mark(&mut w);
    w.sql(
        "BEGIN;
         UPDATE docperm.users SET name = 'anna@erp.test' WHERE name = 'ann@erp.test';
         UPDATE docperm.user_roles SET user_name = 'bob@erp.test', role = 'System Manager' WHERE user_name = 'anna@erp.test';
         COMMIT;",
    );
    let changes = changes_since(&mut w, &before);
    assert!(
        changes.contains(
            &r#"role: "Sales" -> "System Manager", user_name: "anna@erp.test" -> "bob@erp.test""#.to_owned()
        ),
        "{changes:?}"
    );
}

#[test]
fn many_rows_at_once_are_logged_one_by_one() {
    let mut w = world();
    let before = mark(&mut w);
    w.sql(
        "INSERT INTO docperm.user_permissions (user_name, allow, for_value)
         SELECT 'bob@erp.test', 'Company', 'C' || n FROM generate_series(1, 20000) AS n;
         UPDATE docperm.user_permissions SET hide_descendants = true WHERE for_value LIKE '%7';
         DELETE FROM docperm.user_permissions WHERE for_value LIKE '%3';
         TRUNCATE docperm.user_permissions;",
    );
    let counted = format!(
        "SELECT action, count(*), count(DISTINCT row_key ->> 'for_value'),
                count(*) FILTER (WHERE CASE action WHEN 'Added'   THEN changes -> 'for_value' ->> 'to'   = row_key ->> 'for_value'
                                                   WHEN 'Removed' THEN changes -> 'for_value' ->> 'from' = row_key ->> 'for_value'
                                                   ELSE changes = '{{\"hide_descendants\": {{\"from\": false, \"to\": true}}}}'
                                                        AND row_key ->> 'for_value' LIKE '%7' END)
           FROM docperm.permission_log WHERE id > {before} GROUP BY action ORDER BY action"
    );
    assert_eq!(
        table(&mut w.admin, &counted),
        [
            ["Added", "20000", "20000", "20000"],
            ["Removed", "20000", "20000", "20000"],
            ["Updated", "2000", "2000", "2000"],
        ]
    );
}

#[test]
fn truncated_tables_are_logged_before_they_are_empty() {
    let mut w = world();
    logs(
        &mut w,
        "TRUNCATE docperm.user_roles",
        &[
            ["Has Role", ANN, ANN, "Removed"],
            ["Has Role", BOB, BOB, "Removed"],
            ["Has Role", BOSS, BOSS, "Removed"],
            ["User", ANN, ANN, "Updated"],
            ["User", BOB, BOB, "Updated"],
            ["User", BOSS, BOSS, "Updated"],
        ],
        &[
            r#"role: "Sales" -> null, user_name: "ann@erp.test" -> null"#,
            r#"role: "Sales" -> null, user_name: "bob@erp.test" -> null"#,
            r#"role: "System Manager" -> null, user_name: "boss@erp.test" -> null"#,
            r#"user_type: "System User" -> "Website User""#,
            r#"user_type: "System User" -> "Website User""#,
            r#"user_type: "System User" -> "Website User""#,
        ],
    );
}

#[test]
fn secrets_are_not_in_it() {
    let mut w = with_passwords();
    let before = mark(&mut w);
    w.sql(&format!(
        "SELECT docperm.create_api_key('{BOB}', 'for the till');
         UPDATE docperm.api_keys SET secret_hash = repeat('a', 64);
         UPDATE docperm.api_keys SET description = 'for the new till';
         DELETE FROM docperm.api_keys;"
    ));
    assert_eq!(
        since(&mut w, &before),
        [["API Key", BOB, BOB, "Added"], ["API Key", BOB, BOB, "Updated"], ["API Key", BOB, BOB, "Removed"]]
    );
    let log = "SELECT string_agg(to_jsonb(l)::text, ' ') FROM docperm.permission_log AS l";
    let all = one(&mut w.admin, log);
    assert!(all.contains("for the new till"));
    for secret in ["secret", "hash", "argon2id", "token", RIGHT] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}

#[test]
fn only_the_administrator_clears_it_and_that_is_logged() {
    let mut w = world();
    let clear = "SELECT docperm.clear_permission_log('1 day')";
    for user in [BOSS, ANN] {
        assert_eq!(refused_with(&mut w.acting(user), clear), "42501");
    }
    let mut c = w.acting("Administrator");
    for nothing in ["NULL", "'-1 day'"] {
        assert_eq!(refused_with(&mut c, &format!("SELECT docperm.clear_permission_log({nothing})")), "22023");
    }
    let rows: u64 = one(&mut w.admin, "SELECT count(*) FROM docperm.permission_log").parse().unwrap();
    assert_eq!(one(&mut c, clear), "0");
    assert_eq!(one(&mut c, "SELECT docperm.clear_permission_log('0 seconds')"), rows.to_string());
    let left =
        "SELECT changed_by, object_type, action, changes -> 'rows' ->> 'from' FROM docperm.permission_log";
    let cleared = [["Administrator", "Permission Log", "Removed", &rows.to_string()]];
    assert_eq!(table(&mut w.admin, left), cleared);
    assert_eq!(one(&mut w.admin, "SELECT docperm.clear_permission_log('0 seconds')"), "0");
    assert_eq!(table(&mut w.admin, left), cleared, "that it was cleared is not cleared");
}

#[test]
fn a_restore_brings_the_log_along_and_adds_nothing() {
    let mut w = world();
    w.allow(ANN, "Company", "C1");
    w.sql("UPDATE docperm.users SET enabled = false WHERE name = 'bob@erp.test'");
    let read = "SELECT l::text FROM docperm.permission_log AS l ORDER BY id";
    let logged = table(&mut w.admin, read);
    for arguments in [&["-Fc"][..], &["-Fc", "--inserts"]] {
        let dump = run("pg_dump", "postgres", w.db.name(), arguments).unwrap();
        let restored = server().empty_database();
        let path = std::env::temp_dir().join(format!("docperm-log-{}.custom", restored.name()));
        std::fs::write(&path, dump).unwrap();
        let done =
            run("pg_restore", "postgres", restored.name(), &["--exit-on-error", path.to_str().unwrap()]);
        std::fs::remove_file(&path).unwrap();
        done.unwrap();
        let mut admin = restored.admin();
        assert_eq!(table(&mut admin, read), logged, "{arguments:?}");
        // It goes on where it was.
        admin.batch_execute("INSERT INTO docperm.roles (name) VALUES ('New')").unwrap();
        assert_eq!(table(&mut admin, read).len(), logged.len() + 1);
    }
}

/// Tables that change without anybody's permissions changing.
const NOT_WATCHED: &[&str] = &[
    "access_review_items",
    "access_reviews",
    "activity_log",
    "document_changes",
    "document_follow_digests",
    "document_follows",
    "login_throttle",
    "password_resets",
    "passwords",
    "permission_log",
    "sessions",
    "two_factor",
    "user_emails",
];

#[test]
fn every_table_is_watched_or_known_to_be_none_of_it() {
    let db = server().database();
    let mut admin = db.admin();
    let unwatched = names(
        &mut admin,
        "SELECT c.relname FROM pg_class AS c
          WHERE c.relnamespace = 'docperm'::regnamespace AND c.relkind = 'r'
            AND (SELECT count(*) FROM pg_trigger AS t WHERE t.tgrelid = c.oid
                    AND t.tgname IN ('log_inserted', 'log_updated', 'log_deleted', 'log_truncated')) < 4",
    );
    let forgotten: Vec<&String> =
        unwatched.iter().filter(|name| !NOT_WATCHED.contains(&name.as_str())).collect();
    assert!(
        forgotten.is_empty(),
        "neither in sql/permission_watch.sql nor known to change nobody's permissions: {forgotten:?}"
    );
    // What docperm brings itself nobody changed.
    assert_eq!(names(&mut admin, "SELECT object_name FROM docperm.permission_log"), [""; 0]);
}
