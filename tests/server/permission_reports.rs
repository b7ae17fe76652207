//! Reports, against answers worked out by hand; and what a stranger can learn from them: nothing.

use crate::login::{ANN, BOB, RIGHT, log_in, world as with_passwords};
use crate::support::{World, attempt, one, refused_with, table, texts};

const BOSS: &str = "boss@erp.test";
const EVE: &str = "eve@erp.test";

/// Two doctypes, the one with custom rules, four users, a role profile.
fn world() -> World {
    let mut w = World::new(
        "CREATE TABLE company (name text PRIMARY KEY);
         CREATE TABLE orders (id text PRIMARY KEY, owner text, company text REFERENCES company, margin int, docstatus smallint DEFAULT 0);
         INSERT INTO company VALUES ('C1'), ('C2');
         INSERT INTO orders (id, owner, company) VALUES ('O1', 'ann@erp.test', 'C1'), ('O2', 'bob@erp.test', 'C2');
         SELECT docperm.protect('orders', 'Order', owner_column => 'owner', docstatus_column => 'docstatus');
         SELECT docperm.protect('company', 'Company');",
    );
    w.user(ANN, &["Sales"]);
    w.user(BOB, &["Sales", "Buyer"]);
    w.user(BOSS, &["System Manager"]);
    w.user(EVE, &[]);
    w.sql(
        "INSERT INTO docperm.roles (name) VALUES ('Old'), ('Clerk');
         UPDATE docperm.roles SET disabled = true WHERE name = 'Old';
         INSERT INTO docperm.user_roles VALUES ('ann@erp.test', 'Old');
         INSERT INTO docperm.role_profiles VALUES ('Office');
         INSERT INTO docperm.role_profile_roles VALUES ('Office', 'Clerk'), ('Office', 'Sales');
         INSERT INTO docperm.user_role_profiles VALUES ('eve@erp.test', 'Office');
         UPDATE docperm.users SET enabled = false WHERE name = 'bob@erp.test';
         INSERT INTO docperm.role_permissions (doctype, role, permlevel, if_owner, custom, rights) VALUES
             ('Order',   'Sales', 0, false, false, '{read,write,create,submit}'),
             ('Order',   'Sales', 0, false, true,  '{read}'),
             ('Order',   'Sales', 0, true,  true,  '{write,read}'),
             ('Order',   'Sales', 2, false, true,  '{read}'),
             ('Order',   'Clerk', 0, false, true,  '{read,write,print}'),
             ('Order',   'Clerk', 2, false, true,  '{read,write}'),
             ('Order',   'Old',   0, false, true,  '{read,write,delete}'),
             ('Company', 'All',   0, false, false, '{read}'),
             ('Company', 'Buyer', 0, false, false, '{read,export}');
         SELECT docperm.set_field('Order', 'margin', permlevel => 2);",
    );
    w
}

#[track_caller]
fn answers(w: &World, user: &str, sql: &str, expected: &[&[&str]]) {
    let rows = table(&mut w.acting(user), sql);
    assert_eq!(rows, expected, "{sql}");
}

#[test]
fn the_matrix_shows_the_rules_that_count() {
    let w = world();
    // Bob is disabled; the Administrator holds every role. All: all but Guest and Bob.
    let expected: &[&[&str]] = &[
        &["Company", "All", "0", "f", "f", "{read}", "4"],
        &["Company", "Buyer", "0", "f", "f", "{export,read}", "1"],
        &["Order", "Clerk", "0", "f", "t", "{print,read,write}", "2"],
        &["Order", "Clerk", "2", "f", "t", "{read,write}", "2"],
        &["Order", "Sales", "0", "f", "t", "{read}", "3"],
        &["Order", "Sales", "0", "t", "t", "{read,write}", "3"],
        &["Order", "Sales", "2", "f", "t", "{read}", "3"],
    ];
    // Beside the rules that docperm's own tables come with.
    let of_the_site = "for_doctype IN ('Company', 'Order')";
    let matrix = format!("SELECT * FROM docperm.role_permission_matrix() WHERE {of_the_site}");
    answers(&w, BOSS, &matrix, expected);
    answers(&w, BOSS, "SELECT * FROM docperm.role_permission_matrix('Order', 'Clerk')", &expected[2..4]);
    answers(
        &w,
        "Administrator",
        &format!("SELECT * FROM docperm.role_permission_matrix(role => 'All') WHERE {of_the_site}"),
        &expected[..1],
    );
    for (question, sqlstate) in [("'Nonsense'", "42704"), ("role => 'Nonsense'", "42704")] {
        let sql = format!("SELECT * FROM docperm.role_permission_matrix({question})");
        assert_eq!(refused_with(&mut w.acting(BOSS), &sql), sqlstate);
    }
}

#[test]
fn who_holds_a_role_and_from_what() {
    let mut w = world();
    w.sql("UPDATE docperm.users SET last_login = '2026-01-02 03:04:05+00' WHERE name = 'ann@erp.test'");
    let asked = |arguments: &str| {
        format!(
            "SELECT user_name, enabled, user_type, automatic, role_profiles, in_force, last_login AT TIME ZONE 'UTC'
               FROM docperm.users_with_role({arguments})"
        )
    };
    let administrator: &[&str] = &["Administrator", "t", "System User", "t", "{}", "t", "NULL"];
    let ann: &[&str] = &[ANN, "t", "System User", "f", "{}", "t", "2026-01-02 03:04:05"];
    let bob: &[&str] = &[BOB, "f", "System User", "f", "{}", "f", "NULL"];
    let eve: &[&str] = &[EVE, "t", "System User", "f", "{Office}", "t", "NULL"];
    answers(&w, BOSS, &asked("'Sales'"), &[administrator, ann, bob, eve]);
    answers(&w, BOSS, &asked("'Sales', include_disabled => false"), &[administrator, ann, eve]);
    answers(&w, BOSS, &asked("'Clerk'"), &[administrator, eve]);
    let names = |role: &str| format!("SELECT user_name, automatic FROM docperm.users_with_role('{role}')");
    let all = [["Administrator", "t"], [ANN, "t"], [BOB, "t"], [BOSS, "t"], [EVE, "t"]];
    let all: Vec<&[&str]> = all.iter().map(|row| &row[..]).collect();
    answers(&w, BOSS, &names("All"), &all);
    answers(&w, BOSS, &names("Desk User"), &all);
    answers(&w, BOSS, &names("Administrator"), &[&["Administrator", "t"]]);
    assert_eq!(refused_with(&mut w.acting(BOSS), &asked("'Nonsense'")), "42704");
    assert_eq!(refused_with(&mut w.acting(BOSS), &asked("NULL")), "42704");
    // A role that is disabled is nobody's.
    answers(&w, BOSS, "SELECT user_name FROM docperm.users_with_role('Old') WHERE in_force", &[]);
}

#[test]
fn what_a_users_roles_give_him() {
    let w = world();
    let asked = "SELECT * FROM docperm.user_doctype_permissions";
    // Beside what everybody may do with docperm's own tables.
    let of_the_site = "WHERE doctype IN ('Company', 'Order')";
    let company: &[&str] = &["Company", "f", "{read}", "{All}"];
    let ann: &[&[&str]] =
        &[company, &["Order", "f", "{read}", "{Sales}"], &["Order", "t", "{read,write}", "{Sales}"]];
    answers(&w, BOSS, &format!("{asked}('{ANN}') {of_the_site}"), ann);
    answers(&w, ANN, &format!("{asked}() {of_the_site}"), ann);
    answers(&w, ANN, &format!("{asked}('ANN@erp.test') {of_the_site}"), ann);
    answers(
        &w,
        BOSS,
        &format!("{asked}('{EVE}') {of_the_site}"),
        &[
            company,
            &["Order", "f", "{print,read,write}", "{Clerk,Sales}"],
            &["Order", "t", "{read,write}", "{Sales}"],
        ],
    );
    // Who is disabled has nothing, and the Administrator everything that there is to have.
    answers(&w, BOSS, &format!("{asked}('{BOB}')"), &[]);
    answers(
        &w,
        "Administrator",
        &format!("{asked}() {of_the_site}"),
        &[
            &[
                "Company",
                "f",
                "{create,delete,email,export,print,read,report,select,set_user_permissions,share,write}",
                "{Administrator}",
            ],
            &[
                "Order",
                "f",
                "{amend,cancel,create,delete,email,export,print,read,report,select,set_user_permissions,share,submit,write}",
                "{Administrator}",
            ],
        ],
    );
    assert_eq!(refused_with(&mut w.acting(BOSS), &format!("{asked}('nobody@erp.test')")), "42704");
}

#[test]
fn which_levels_are_open_to_a_user() {
    let w = world();
    let asked = "SELECT * FROM docperm.user_permission_levels";
    let rows = |first: [&'static str; 2], second: [&'static str; 2]| {
        vec![
            vec!["Order", "0", first[0], first[1], "NULL"],
            vec!["Order", "2", second[0], second[1], "{margin}"],
        ]
    };
    let mut boss = w.acting(BOSS);
    // By a rule for owners as well: levels are not the owner's.
    for (user, first, second) in [
        (ANN, ["t", "t"], ["t", "f"]),
        (EVE, ["t", "t"], ["t", "t"]),
        (BOB, ["f", "f"], ["f", "f"]),
        (BOSS, ["f", "f"], ["f", "f"]),
    ] {
        assert_eq!(table(&mut boss, &format!("{asked}('{user}', 'Order')")), rows(first, second), "{user}");
    }
    assert_eq!(
        table(&mut w.acting(ANN), &format!("{asked}(doctype => 'Order')")),
        rows(["t", "t"], ["t", "f"])
    );
    assert_eq!(
        table(&mut w.acting("Administrator"), &format!("{asked}(doctype => 'Order')")),
        rows(["t", "t"], ["t", "t"])
    );
    // No other doctype has levels.
    let doctypes = format!(
        "SELECT DISTINCT for_doctype FROM docperm.user_permission_levels('{ANN}') WHERE for_doctype IN ('Company', 'Order')"
    );
    assert_eq!(texts(&mut boss, &doctypes), ["Order"]);
}

#[test]
fn permitted_documents_with_a_column_for_each_right() {
    let w = world();
    let asked = |user: &str| format!("SELECT * FROM docperm.show_permissions('Order', '{user}')");
    answers(
        &w,
        BOSS,
        &asked(ANN),
        &[&["O1", "t", "t", "f", "f", "f", "f", "f", "{}"], &["O2", "t", "f", "f", "f", "f", "f", "f", "{}"]],
    );
    answers(
        &w,
        BOSS,
        &asked(EVE),
        &[
            &["O1", "t", "t", "f", "f", "f", "f", "f", "{print}"],
            &["O2", "t", "t", "f", "f", "f", "f", "f", "{print}"],
        ],
    );
    assert_eq!(refused_with(&mut w.acting(ANN), &asked(EVE)), "42501");
    answers(&w, ANN, "SELECT document FROM docperm.show_permissions('Order')", &[&["O1"], &["O2"]]);
}

#[test]
fn what_is_shared_with_whom_and_by_whom() {
    let mut w = world();
    w.sql(
        "SELECT docperm.set_user('Administrator', false);
         SELECT docperm.share('Order', 'O1', 'eve@erp.test', '{write}');
         SELECT docperm.share('Order', 'O1', 'bob@erp.test');
         SELECT docperm.share('Company', 'C2', everyone => true);
         SELECT docperm.set_user(NULL, false)",
    );
    let asked = |arguments: &str| {
        format!(
            "SELECT for_doctype, for_document, shared_with, everyone, rights, is_effective, shared_by
               FROM docperm.share_report({arguments}) WHERE shared_at > now() - interval '1 hour'"
        )
    };
    let everyone: &[&str] = &["Company", "C2", "NULL", "t", "{read}", "t", "Administrator"];
    let bob: &[&str] = &["Order", "O1", BOB, "f", "{read}", "f", "Administrator"];
    let eve: &[&str] = &["Order", "O1", EVE, "f", "{read,write}", "t", "Administrator"];
    answers(&w, BOSS, &asked(""), &[everyone, bob, eve]);
    answers(&w, BOSS, &asked("'Order'"), &[bob, eve]);
    answers(&w, BOSS, &asked("'Order', 'O2'"), &[]);
    answers(&w, BOSS, &asked("user_name => 'eve@erp.test'"), &[everyone, eve]);
    answers(&w, BOSS, &asked("user_name => 'Guest'"), &[]);
    answers(&w, EVE, &asked("user_name => 'eve@erp.test'"), &[everyone, eve]);
    assert_eq!(refused_with(&mut w.acting(EVE), &asked("'Order', 'O1'")), "42501");
}

#[test]
fn failed_logins_by_user_and_address() {
    let mut w = with_passwords();
    w.user(BOSS, &["System Manager"]);
    let mut c = w.app();
    let attempt_from = |c: &mut postgres::Client, user: &str, password: &str, address: &str| {
        let _ = attempt(
            c,
            &format!("SELECT docperm.login('{user}', '{password}', client_address => '{address}')"),
        );
    };
    for _ in 0..3 {
        attempt_from(&mut c, BOB, "guess", "10.0.0.1");
    }
    attempt_from(&mut c, BOB, RIGHT, "10.0.0.1");
    attempt_from(&mut c, BOB, "guess", "10.0.0.2");
    attempt_from(&mut c, "nobody@erp.test", "guess", "10.0.0.2");
    w.sql(
        "INSERT INTO docperm.activity_log (at, user_name, operation, status, client_address)
         VALUES (now() - interval '3 days', 'ann@erp.test', 'Login', 'Failed', '10.0.0.9')",
    );
    let asked = |arguments: &str| {
        format!(
            "SELECT user_name, client_address, attempts, got_in_at IS NOT NULL, cardinality(reasons) > 0
               FROM docperm.failed_logins({arguments}) ORDER BY client_address, user_name"
        )
    };
    let recent: &[&[&str]] = &[
        &[BOB, "10.0.0.1", "3", "t", "t"],
        &[BOB, "10.0.0.2", "1", "f", "t"],
        &["NULL", "10.0.0.2", "1", "f", "t"],
    ];
    answers(&w, BOSS, &asked(""), recent);
    let old: &[&str] = &[ANN, "10.0.0.9", "1", "f", "f"];
    answers(&w, BOSS, &asked("now() - interval '1 week'"), &[recent[0], recent[1], recent[2], old]);
    answers(&w, BOSS, "SELECT attempts FROM docperm.failed_logins()", &[&["3"], &["1"], &["1"]]);
}

/// Ann logged in today, Bob long ago, Eve never, and she was made long ago.
fn dormant() -> World {
    let mut w = world();
    w.sql(
        "UPDATE docperm.users SET enabled = true, creation = now() - interval '1 year' WHERE name <> 'boss@erp.test';
         UPDATE docperm.users SET last_login = now() WHERE name = 'ann@erp.test';
         UPDATE docperm.users SET last_login = now() - interval '200 days', last_active = now() - interval '100 days' WHERE name = 'bob@erp.test';
         INSERT INTO docperm.users (name, creation) VALUES ('web@erp.test', now() - interval '1 year'), ('new@erp.test', now());",
    );
    w
}

#[test]
fn dormant_users_are_found_and_disabled() {
    let mut w = dormant();
    let asked = |arguments: &str| format!("SELECT user_name FROM docperm.dormant_users({arguments})");
    answers(&w, BOSS, &asked(""), &[&[EVE], &["web@erp.test"], &[BOB]]);
    answers(&w, BOSS, &asked("'110 days'"), &[&[EVE], &["web@erp.test"]]);
    answers(&w, BOSS, &asked("user_type => 'System User'"), &[&[EVE], &[BOB]]);
    for (nonsense, sqlstate) in
        [("NULL", "22023"), ("'0'", "22023"), ("'-1 day'", "22023"), ("'1 day', 'User'", "22023")]
    {
        for function in ["dormant_users", "disable_dormant_users"] {
            let sql = format!("SELECT docperm.{function}({nonsense})");
            assert_eq!(refused_with(&mut w.acting(BOSS), &sql), sqlstate, "{sql}");
        }
    }
    // Who acts in other ways than by logging in is found, and left to be judged by somebody.
    let role = w.db.login_role("reporting");
    w.sql(&format!("UPDATE docperm.users SET db_role = '{role}' WHERE name = 'bob@erp.test'"));
    answers(
        &w,
        BOSS,
        "SELECT user_name, never_logs_in FROM docperm.dormant_users() WHERE never_logs_in <> '{}'",
        &[&[BOB, "{\"database role\"}"]],
    );
    // Nor does anybody shut himself out, however long he has been away.
    w.sql("UPDATE docperm.users SET creation = now() - interval '1 year' WHERE name = 'boss@erp.test'");
    let mut boss = w.acting(BOSS);
    let disable = "SELECT docperm.disable_dormant_users()";
    assert_eq!(texts(&mut boss, disable), [EVE, "web@erp.test"]);
    assert_eq!(texts(&mut boss, disable), [""; 0]);
    assert_eq!(
        texts(&mut w.admin, "SELECT name FROM docperm.users WHERE NOT enabled ORDER BY name"),
        [EVE, "web@erp.test"]
    );
    let logged = "SELECT object_name FROM docperm.permission_log
                   WHERE changed_by = 'boss@erp.test' AND changes = '{\"enabled\": {\"from\": true, \"to\": false}}' ORDER BY 1";
    assert_eq!(texts(&mut w.admin, logged), [EVE, "web@erp.test"]);
    assert_eq!(texts(&mut w.admin, "SELECT docperm.disable_dormant_users()"), [BOSS]);
}

#[test]
fn what_changed_in_roles() {
    let mut w = world();
    w.sql("DELETE FROM docperm.user_roles WHERE role = 'Old'");
    let before = one(&mut w.admin, "SELECT clock_timestamp()");
    w.sql(
        "SELECT docperm.set_user('boss@erp.test', false);
         INSERT INTO docperm.user_roles VALUES ('ann@erp.test', 'Buyer');
         UPDATE docperm.roles SET two_factor_auth = true WHERE name = 'Buyer';
         UPDATE docperm.role_permissions SET rights = '{read}' WHERE role = 'Buyer';
         DELETE FROM docperm.user_role_profiles;
         UPDATE docperm.users SET mobile_no = '+1' WHERE name = 'ann@erp.test';
         SELECT docperm.set_user(NULL, false)",
    );
    let asked = format!(
        "SELECT changed_by, action, object_type, role, user_name, belongs_to FROM docperm.role_changes('{before}')"
    );
    answers(
        &w,
        BOSS,
        &asked,
        &[
            &[BOSS, "Removed", "User Role Profile", "NULL", EVE, "Office"],
            &[BOSS, "Updated", "Role Permission", "Buyer", "NULL", "Company"],
            &[BOSS, "Updated", "Role", "Buyer", "NULL", "NULL"],
            &[BOSS, "Added", "Has Role", "Buyer", ANN, "NULL"],
        ],
    );
}

#[test]
fn pages_reports_and_who_is_not_restricted() {
    let mut w = world();
    w.sql(
        "INSERT INTO docperm.pages (name) VALUES ('Setup'), ('Home');
         INSERT INTO docperm.page_roles (page, role) VALUES ('Setup', 'Sales');
         INSERT INTO docperm.reports (name, ref_doctype) VALUES ('Margins', 'Order'), ('Idle', 'Order');
         UPDATE docperm.reports SET disabled = true WHERE name = 'Idle';
         INSERT INTO docperm.report_roles (report, role, custom) VALUES ('Margins', 'Sales', false), ('Margins', 'Clerk', true);",
    );
    answers(
        &w,
        BOSS,
        "SELECT kind, name, ref_doctype, role, custom, users FROM docperm.page_and_report_permissions()
          WHERE name IN ('Setup', 'Home', 'Margins', 'Idle')",
        &[
            &["Page", "Home", "NULL", "NULL", "NULL", "5"],
            &["Page", "Setup", "NULL", "Sales", "f", "3"],
            &["Report", "Margins", "Order", "Clerk", "t", "2"],
        ],
    );
    w.allow(EVE, "Company", "C1");
    w.allow_for(ANN, "Company", "C1", "Order");
    answers(&w, BOSS, "SELECT user_name FROM docperm.unrestricted_users('Company')", &[&[ANN], &[BOSS]]);
    assert_eq!(refused_with(&mut w.acting(BOSS), "SELECT docperm.unrestricted_users('Nonsense')"), "42704");
}

#[test]
fn who_acts_by_keys_and_database_roles() {
    let mut w = with_passwords();
    w.user(BOSS, &["System Manager"]);
    w.user(EVE, &["Reader"]);
    w.user("till@erp.test", &[]);
    let role = w.db.login_role("reporting");
    w.sql(&format!(
        "SELECT docperm.create_api_key('{BOB}'), docperm.create_api_key('{BOB}', expires_at => now() + interval '1 day');
         SELECT docperm.create_api_key('till@erp.test', expires_at => now() + interval '1 day');
         SELECT docperm.create_api_key('{ANN}', expires_at => now() + interval '1 day');
         UPDATE docperm.api_keys SET expires_at = now() - interval '1 day' WHERE user_name = '{ANN}';
         UPDATE docperm.users SET db_role = '{role}' WHERE name = '{EVE}';"
    ));
    answers(
        &w,
        BOSS,
        "SELECT user_name, db_role, api_keys, keys_without_end, roles, logs_in FROM docperm.integration_users()",
        &[
            &[BOB, "NULL", "2", "1", "{Reader}", "t"],
            &[EVE, &role, "0", "0", "{Reader}", "f"],
            &["till@erp.test", "NULL", "1", "0", "{}", "f"],
        ],
    );
}

#[test]
fn strangers_learn_nothing() {
    let w = world();
    for question in [
        "role_permission_matrix()",
        "role_permission_matrix('Order')",
        "users_with_role('Sales')",
        "users_with_role('Nonsense')",
        "user_doctype_permissions('bob@erp.test')",
        "user_doctype_permissions('nobody@erp.test')",
        "user_permission_levels('bob@erp.test')",
        "show_permissions('Order', 'bob@erp.test')",
        "share_report()",
        "share_report('Order', 'O1')",
        "share_report('Nonsense')",
        "share_report(user_name => 'bob@erp.test')",
        "share_report(user_name => 'nobody@erp.test')",
        "failed_logins()",
        "dormant_users()",
        "dormant_users(NULL)",
        "disable_dormant_users('1 microsecond')",
        "role_changes()",
        "page_and_report_permissions()",
        "integration_users()",
        "unrestricted_users('Company')",
        "unrestricted_users('Nonsense')",
        "permission_changes()",
    ] {
        for user in [ANN, "Guest"] {
            let mut c = w.acting(user);
            for sql in [
                format!("SELECT * FROM docperm.{question}"),
                // A setting that speaks of a restore, or of an administrator, opens nothing.
                format!(
                    "BEGIN; SET LOCAL row_security = off; SET LOCAL check_function_bodies = off; SELECT * FROM docperm.{question}"
                ),
            ] {
                assert_eq!(attempt(&mut c, &sql).expect_err(&sql).sqlstate, "42501", "{user}: {sql}");
                let _ = attempt(&mut c, "ROLLBACK");
            }
        }
    }
    // Who reads the helpers behind them has been given more than anybody should be.
    for helper in ["_holders('Sales')", "_counting_rules()", "_asked_about('bob@erp.test', 'x')"] {
        assert_eq!(refused_with(&mut w.acting(BOSS), &format!("SELECT * FROM docperm.{helper}")), "42501");
    }
    // An administrator who acts as somebody else is that.
    let mut boss = w.acting(BOSS);
    boss.batch_execute("SELECT * FROM docperm.role_changes()").unwrap();
    one(&mut boss, "SELECT docperm.set_user('ann@erp.test', false)");
    assert_eq!(refused_with(&mut boss, "SELECT * FROM docperm.role_changes()"), "42501");
}

#[test]
fn a_plan_that_an_administrator_prepared_answers_nobody_else() {
    let w = world();
    let mut c = w.acting(BOSS);
    c.batch_execute("SET plan_cache_mode = force_generic_plan; PREPARE report AS SELECT count(*) FROM docperm.role_permission_matrix()")
        .unwrap();
    assert!(one(&mut c, "EXECUTE report").parse::<u32>().unwrap() >= 7);
    one(&mut c, "SELECT docperm.set_user('ann@erp.test', false)");
    assert_eq!(refused_with(&mut c, "EXECUTE report"), "42501");
}

#[test]
fn a_session_of_a_system_manager_is_enough() {
    let mut w = with_passwords();
    w.user(BOSS, &["System Manager"]);
    w.sql(&format!("SELECT docperm.set_password('{BOSS}', '{RIGHT}', false)"));
    let mut c = w.app();
    log_in(&mut c, BOSS, RIGHT).unwrap();
    assert_eq!(
        texts(&mut c, "SELECT user_name FROM docperm.users_with_role('System Manager')"),
        ["Administrator", BOSS]
    );
}
