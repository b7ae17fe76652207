//! Making, renaming, disabling and deleting users, signing up, and why somebody has no desk.

use crate::support::{World, attempt, literal, names, one, refused, refused_with, table};

const ANN: &str = "ann@erp.test";
const BOSS: &str = "boss@erp.test";

fn world() -> World {
    let mut w = World::new(
        "INSERT INTO docperm.roles (name, desk_access) VALUES ('Clerk', true), ('Customer', false);
         INSERT INTO docperm.role_profiles VALUES ('Sales'); INSERT INTO docperm.role_profile_roles VALUES ('Sales', 'Clerk');
         INSERT INTO docperm.modules VALUES ('HR'); INSERT INTO docperm.module_profiles VALUES ('No HR');
         INSERT INTO docperm.module_profile_blocks VALUES ('No HR', 'HR');
         UPDATE docperm.settings SET argon2_memory_kib = 64, argon2_iterations = 1;",
    );
    w.user(ANN, &["Clerk"]);
    w.user(BOSS, &["System Manager"]);
    w
}

/// Lets the application sign people up and reset passwords.
fn may_sign_up(w: &mut World) {
    let app = w.app_role.clone();
    w.sql(&format!(
        "GRANT EXECUTE ON FUNCTION docperm.sign_up(text, text), docperm.request_password_reset(text),
                                   docperm.password_reset_recipient(text) TO {app};
         UPDATE docperm.settings SET allow_sign_up = true, default_portal_role = 'Customer';"
    ));
}

fn logged(w: &mut World, operation: &str) -> Vec<Vec<String>> {
    let log = "SELECT user_name, status, detail FROM docperm.activity_log WHERE operation =";
    table(&mut w.admin, &format!("{log} {} ORDER BY id", literal(operation)))
}

#[test]
fn an_administrator_makes_a_user_with_everything_that_belongs_to_him() {
    let mut w = world();
    let mut boss = w.acting(BOSS);
    let made = table(
        &mut boss,
        "SELECT user_name, welcome_token FROM docperm.create_user('New.User@ERP.test', 'New', 'User', roles => '{Clerk,Customer}',
                                                                  module_profile => 'No HR', password => 'Eastern_43A1W')",
    );
    assert_eq!(made[0][0], "new.user@erp.test");
    let found = "SELECT full_name, username, email, user_type, module_profile FROM docperm.users WHERE name = 'new.user@erp.test'";
    assert_eq!(
        table(&mut w.admin, found),
        [["New User", "new", "new.user@erp.test", "System User", "No HR"]]
    );
    let blocked = "SELECT module FROM docperm.user_blocked_modules WHERE user_name = 'new.user@erp.test'";
    assert_eq!(names(&mut w.admin, blocked), ["HR"]);
    table(&mut w.app(), "SELECT docperm.login('new.user@erp.test', 'Eastern_43A1W')");

    // The token of the welcome mail lets him choose another.
    let reset = format!("SELECT docperm.reset_password({}, 'Western_98B2X')", literal(&made[0][1]));
    assert_eq!(one(&mut w.app(), &reset), "new.user@erp.test");
    assert_eq!(logged(&mut w, "Create User"), [["new.user@erp.test", "Success", "by boss@erp.test"]]);

    let of_profile = "SELECT user_name, welcome_token FROM docperm.create_user('p@erp.test', 'P', roles => '{Clerk}', role_profiles => '{Sales}', send_welcome_email => false)";
    assert_eq!(table(&mut boss, of_profile), [["p@erp.test", "NULL"]]);
    assert_eq!(
        names(&mut w.admin, "SELECT role FROM docperm.user_roles WHERE user_name = 'p@erp.test'"),
        ["Clerk"]
    );
    assert_eq!(table(&mut boss, "SELECT user_name FROM docperm.create_user('robot', 'Robot')"), [["robot"]]);
}

#[test]
fn what_is_wrong_makes_no_user() {
    let mut w = world();
    let mut boss = w.acting(BOSS);
    for (arguments, sqlstate) in [
        ("'ANN@erp.test', 'Ann'", "23505"),
        ("'Administrator', 'Root'", "23505"),
        ("'', 'Nobody'", "22023"),
        ("NULL, 'Nobody'", "22023"),
        ("'a@erp.test', ' '", "22023"),
        ("'a b@erp.test', 'A'", "22023"),
        ("'a@erp.test', 'A', roles => '{None}'", "42704"),
        ("'a@erp.test', 'A', role_profiles => '{None}'", "42704"),
        ("'a@erp.test', 'A', module_profile => 'None'", "42704"),
        ("'a@erp.test', 'A', password => 'secret'", "22023"),
        ("'a@erp.test', 'A', roles => '{Customer}', role_profiles => '{Sales}'", "22023"),
    ] {
        let call = format!("SELECT docperm.create_user({arguments})");
        assert_eq!(refused_with(&mut boss, &call), sqlstate, "{call}");
    }
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.users"), "4");
}

#[test]
fn nobody_else_administers_users() {
    let mut w = world();
    let app = w.app_role.clone();
    let everything = "SELECT to_jsonb(u) - 'last_active' FROM docperm.users u ORDER BY name";
    let before = table(&mut w.admin, everything);
    for who in [ANN, "Guest"] {
        let mut client = w.acting(who);
        for call in [
            "create_user('a@erp.test', 'A')",
            "create_user('a@erp.test', 'A', roles => '{System Manager}')",
            "rename_user('ann@erp.test', 'administrator')",
            "rename_user('ann@erp.test', 'boss@erp.test')",
            "rename_user('boss@erp.test', 'ann2@erp.test')",
            "disable_user('boss@erp.test')",
            "enable_user('boss@erp.test')",
            "delete_user('boss@erp.test')",
            "delete_user('ann@erp.test')",
            "explain_desk_access('boss@erp.test')",
            "sign_up('a@erp.test', 'A')",
            "_make_website_user('a@erp.test', 'A', 'System Manager', 'x', '1 h')",
            "_rename_in_documents('boss@erp.test', 'ann@erp.test')",
            "_follow_role_profiles('{ann@erp.test}')",
        ] {
            let error = refused(&mut client, &format!("SELECT docperm.{call}"));
            assert_eq!(error.sqlstate, "42501", "{who}: {call}");
        }
        // Nor by a detour: a temporary function of his, a DO block, a transaction that he rolls back.
        let detour = "CREATE FUNCTION pg_temp.whoami() RETURNS text LANGUAGE sql AS $$ SELECT 'Administrator'::text $$;
                      DO $$ BEGIN PERFORM docperm.create_user('a@erp.test', 'A'); END $$";
        assert_eq!(refused_with(&mut client, detour), "42501");
        let rolled_back = format!("BEGIN; SELECT docperm.delete_user('{BOSS}')");
        assert_eq!(refused_with(&mut client, &rolled_back), "42501");
    }
    let mut plain = w.db.connect_as(&app);
    assert_eq!(refused_with(&mut plain, "SELECT docperm.create_user('a@erp.test', 'A')"), "42501");
    assert_eq!(table(&mut w.admin, everything), before);
}

#[test]
fn standard_users_are_left_alone_by_system_managers_as_well() {
    let w = world();
    let mut boss = w.acting(BOSS);
    for user in ["Administrator", "guest"] {
        for call in [
            "disable_user('?')",
            "delete_user('?')",
            "rename_user('?', 'x@erp.test')",
            "rename_user('ann@erp.test', '?')",
        ] {
            let call = call.replace('?', user);
            assert_eq!(refused_with(&mut boss, &format!("SELECT docperm.{call}")), "22023", "{call}");
        }
    }
    for call in
        ["disable_user('?')", "enable_user('?')", "delete_user('?')", "rename_user('?', 'x@erp.test')"]
    {
        for nobody in ["nobody@erp.test", ""] {
            let call = call.replace('?', nobody);
            assert_eq!(refused_with(&mut boss, &format!("SELECT docperm.{call}")), "42704", "{call}");
        }
    }
    assert_eq!(
        refused_with(&mut boss, "SELECT docperm.rename_user('ann@erp.test', 'boss@erp.test')"),
        "23505"
    );
    assert_eq!(
        refused_with(&mut boss, "SELECT docperm.rename_user('ann@erp.test', 'a b@erp.test')"),
        "22023"
    );
    assert_eq!(refused_with(&mut boss, "SELECT docperm.rename_user('ann@erp.test', NULL)"), "22023");
}

#[test]
fn only_so_many_users_are_made_within_an_hour_but_by_a_superuser() {
    let mut w = world();
    w.sql("UPDATE docperm.settings SET max_users_created_per_hour = 5");
    let mut boss = w.acting(BOSS);
    let make = |number: usize| format!("SELECT docperm.create_user('u{number}@erp.test', 'U')");
    // Four are there, Administrator and Guest included.
    table(&mut boss, &make(1));
    let error = refused(&mut boss, &make(2));
    assert_eq!(error.sqlstate, "53400");
    assert!(error.detail.unwrap().contains('5'));
    table(&mut w.admin, &make(3));
    w.sql("UPDATE docperm.users SET creation = now() - interval '61 minutes'");
    table(&mut boss, &make(4));
    w.sql("UPDATE docperm.settings SET max_users_created_per_hour = 0");
    table(&mut boss, &make(5));
}

#[test]
fn case_73_signing_up_answers_everybody_alike() {
    let mut w = world();
    let app = w.app_role.clone();
    w.sql(&format!("GRANT EXECUTE ON FUNCTION docperm.sign_up(text, text) TO {app}"));
    let mut client = w.app();
    assert_eq!(
        refused_with(&mut client, "SELECT docperm.sign_up('new@erp.test', 'New')"),
        "42501",
        "it is switched off"
    );
    may_sign_up(&mut w);
    w.user("gone@erp.test", &[]);
    w.sql("UPDATE docperm.users SET enabled = false WHERE name = 'gone@erp.test'");

    let before = one(&mut w.admin, "SELECT count(*) FROM docperm.users");
    for (address, is_new) in [
        ("New@erp.test", true),
        ("new@erp.test", false),
        (ANN, false),
        ("gone@erp.test", false),
        (BOSS, false),
    ] {
        let messages =
            attempt(&mut client, &format!("SELECT docperm.sign_up('{address}', 'Some Body')")).unwrap();
        let token = crate::support::rows_of(&messages)[0][0].clone();
        assert_eq!(token.len(), 64, "{address}");
        let recipient = one(&mut client, &format!("SELECT docperm.password_reset_recipient('{token}')"));
        let reset = format!("SELECT docperm.reset_password('{token}', 'Eastern_43A1W')");
        if is_new {
            assert_eq!(recipient, "new@erp.test");
            assert_eq!(one(&mut client, &reset), "new@erp.test");
            assert_eq!(refused_with(&mut client, &reset), "28000", "once");
        } else {
            assert_eq!(recipient, "NULL", "{address}: nothing is sent");
            assert_eq!(refused_with(&mut client, &reset), "28000", "{address}");
        }
    }
    let found = "SELECT u.user_type, u.full_name, r.role FROM docperm.users u JOIN docperm.user_roles r ON r.user_name = u.name
                  WHERE u.name = 'new@erp.test'";
    assert_eq!(table(&mut w.admin, found), [["Website User", "Some Body", "Customer"]]);
    let after = one(&mut w.admin, "SELECT count(*) FROM docperm.users");
    assert_eq!(
        after.parse::<i32>().unwrap(),
        before.parse::<i32>().unwrap() + 1,
        "nothing is left of the others"
    );
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.password_resets"), "1");
    assert_eq!(
        one(&mut w.admin, "SELECT count(*) FROM docperm.users WHERE name = 'gone@erp.test' AND enabled"),
        "0"
    );

    for (arguments, sqlstate) in [
        ("'Administrator', 'X'", "22023"),
        ("'x', 'X'", "22023"),
        ("'a b@erp.test', 'X'", "22023"),
        ("'x@erp.test', ' '", "22023"),
        ("NULL, 'X'", "22023"),
    ] {
        assert_eq!(
            refused_with(&mut client, &format!("SELECT docperm.sign_up({arguments})")),
            sqlstate,
            "{arguments}"
        );
    }
    // Nobody becomes a System User in this way.
    w.sql("UPDATE docperm.settings SET default_portal_role = 'Clerk'");
    table(&mut client, "SELECT docperm.sign_up('clerk@erp.test', 'Clerk')");
    assert_eq!(
        one(&mut w.admin, "SELECT count(*) FROM docperm.user_roles WHERE user_name = 'clerk@erp.test'"),
        "0"
    );
    w.sql("UPDATE docperm.settings SET max_signups_allowed_per_hour = 3");
    for address in ["more@erp.test", ANN] {
        assert_eq!(
            refused_with(&mut client, &format!("SELECT docperm.sign_up('{address}', 'X')")),
            "53400",
            "{address}"
        );
    }
}

/// Two at the same moment: one is made, the other learns no more than anybody.
#[test]
fn two_who_sign_up_under_one_address_become_one_user() {
    let mut w = world();
    may_sign_up(&mut w);
    let sign_up = "SELECT docperm.sign_up('new@erp.test', 'New')";
    let mut first = w.app();
    let mut second = w.app();
    first.batch_execute("BEGIN").unwrap();
    table(&mut first, sign_up);
    let waiting = std::thread::spawn(move || one(&mut second, sign_up));
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while !waiting.is_finished() && one(&mut w.admin, waits) == "0" {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    first.batch_execute("COMMIT").unwrap();
    let token = waiting.join().unwrap();
    assert_eq!(one(&mut w.app(), &format!("SELECT docperm.password_reset_recipient('{token}')")), "NULL");
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.users WHERE name = 'new@erp.test'"), "1");
}

#[test]
fn case_74_everything_follows_a_user_who_is_renamed() {
    let mut w = world();
    w.sql(
        "CREATE TABLE node (name text PRIMARY KEY, up text, owner varchar(40), changed_by name);
         CREATE TABLE doc (id int PRIMARY KEY, owner text, changed_by text, status int, touched int NOT NULL DEFAULT 0) PARTITION BY RANGE (id);
         CREATE TABLE doc_1 PARTITION OF doc FOR VALUES FROM (0) TO (10);
         CREATE TABLE doc_2 PARTITION OF doc FOR VALUES FROM (10) TO (20);
         CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.touched := OLD.touched + 1; RETURN NEW; END';
         CREATE TRIGGER touch BEFORE UPDATE ON doc FOR EACH ROW EXECUTE FUNCTION touch();
         INSERT INTO node VALUES ('n', NULL, 'ann@erp.test', 'ann@erp.test'), ('m', 'n', 'boss@erp.test', NULL);
         INSERT INTO doc VALUES (1, 'ann@erp.test', 'boss@erp.test', 1), (11, 'ann@erp.test', 'ann@erp.test', 0), (12, 'ann@erp.tes', 'x', 0);
         SELECT docperm.protect('node', 'Node', owner_column => 'owner', modified_by_column => 'changed_by', tree_parent_column => 'up');
         SELECT docperm.protect('doc', 'Doc', owner_column => 'owner', modified_by_column => 'changed_by', docstatus_column => 'status');
         INSERT INTO docperm.user_emails (user_name, email_account) VALUES ('ann@erp.test', 'Support');
         INSERT INTO docperm.shares (doctype, document, user_name, rights) VALUES ('Doc', '12', 'ann@erp.test', '{read}');
         INSERT INTO docperm.users (name) VALUES ('unrelated@erp.test');",
    );
    w.grant_tables();
    w.rule_if_owner("Doc", "Clerk", "{read}");
    w.allow(ANN, "Node", "n");
    w.sql("SELECT docperm.set_password('ann@erp.test', 'Eastern_43A1W')");
    let token = one(&mut w.app(), "SELECT docperm.login('ann@erp.test', 'Eastern_43A1W')");
    assert_eq!(w.sees(ANN, "Doc"), ["1", "11", "12"]);

    assert_eq!(
        one(&mut w.acting(BOSS), "SELECT docperm.rename_user('Ann@erp.test', ' Anna@New.test ')"),
        "anna@new.test"
    );
    assert_eq!(w.sees("anna@new.test", "Doc"), ["1", "11", "12"]);
    assert_eq!(
        table(&mut w.admin, "SELECT id, owner, changed_by, touched FROM doc ORDER BY id"),
        [
            ["1", "anna@new.test", "boss@erp.test", "0"],
            ["11", "anna@new.test", "anna@new.test", "0"],
            ["12", "ann@erp.tes", "x", "0"]
        ],
        "also what is submitted, and no trigger takes it for a change"
    );
    assert_eq!(
        table(&mut w.admin, "SELECT owner, changed_by FROM node ORDER BY name"),
        [["boss@erp.test", "NULL"], ["anna@new.test", "anna@new.test"]]
    );
    let of_hers = "SELECT (SELECT email FROM docperm.users WHERE name = 'anna@new.test'),
                          (SELECT role FROM docperm.user_roles WHERE user_name = 'anna@new.test'),
                          (SELECT for_value FROM docperm.user_permissions WHERE user_name = 'anna@new.test'),
                          (SELECT email_account FROM docperm.user_emails WHERE user_name = 'anna@new.test')";
    assert_eq!(table(&mut w.admin, of_hers), [["anna@new.test", "Clerk", "n", "Support"]]);
    assert_eq!(
        refused_with(&mut w.app(), &format!("SELECT docperm.resume('{token}')")),
        "28000",
        "sessions end"
    );
    table(&mut w.app(), "SELECT docperm.login('anna@new.test', 'Eastern_43A1W')");
    assert_eq!(refused_with(&mut w.app(), "SELECT docperm.login('ann@erp.test', 'Eastern_43A1W')"), "28P01");
    assert_eq!(
        logged(&mut w, "Rename User"),
        [["anna@new.test", "Success", "from ann@erp.test, by boss@erp.test"]]
    );

    // A name that fits nowhere leaves everything as it was.
    let long = format!("SELECT docperm.rename_user('anna@new.test', '{}@new.test')", "a".repeat(60));
    assert_eq!(refused_with(&mut w.admin, &long), "22001");
    assert_eq!(one(&mut w.admin, "SELECT count(*) FROM docperm.users WHERE name = 'anna@new.test'"), "1");
    assert_eq!(
        one(&mut w.acting(BOSS), "SELECT docperm.rename_user('boss@erp.test', 'chief@erp.test')"),
        "chief@erp.test"
    );
    assert_eq!(one(&mut w.admin, "SELECT owner FROM node WHERE name = 'm'"), "chief@erp.test");
}

#[test]
fn who_is_disabled_is_out_and_comes_back_with_his_roles() {
    let mut w = world();
    w.sql("SELECT docperm.set_password('ann@erp.test', 'Eastern_43A1W')");
    let token = one(&mut w.app(), "SELECT docperm.login('ann@erp.test', 'Eastern_43A1W')");
    let mut boss = w.acting(BOSS);
    table(&mut boss, "SELECT docperm.disable_user('ANN@erp.test')");
    table(&mut boss, "SELECT docperm.disable_user('ann@erp.test')");
    let resume = format!("SELECT docperm.resume('{token}')");
    assert_eq!(refused_with(&mut w.app(), &resume), "28000");
    table(&mut boss, "SELECT docperm.enable_user('ann@erp.test')");
    assert_eq!(refused_with(&mut w.app(), &resume), "28000", "no session comes back");
    table(&mut w.app(), "SELECT docperm.login('ann@erp.test', 'Eastern_43A1W')");
    assert_eq!(
        names(&mut w.admin, "SELECT role FROM docperm.user_roles WHERE user_name = 'ann@erp.test'"),
        ["Clerk"]
    );
    assert_eq!(logged(&mut w, "Disable User").len(), 1, "what changes nothing is not logged");
    assert_eq!(logged(&mut w, "Enable User"), [[ANN, "Success", "by boss@erp.test"]]);
}

#[test]
fn who_is_deleted_leaves_his_name_on_documents_and_nothing_else() {
    let mut w = world();
    w.sql(
        "CREATE TABLE doc (name text PRIMARY KEY, owner text); INSERT INTO doc VALUES ('d', 'ann@erp.test');
         SELECT docperm.protect('doc', 'Doc', owner_column => 'owner');
         INSERT INTO docperm.shares (doctype, document, user_name, rights) VALUES ('Doc', 'd', 'ann@erp.test', '{read}');
         INSERT INTO docperm.user_emails (user_name, email_account) VALUES ('ann@erp.test', 'Support');
         SELECT docperm.set_password('ann@erp.test', 'Eastern_43A1W');",
    );
    w.allow(ANN, "Doc", "d");
    let token = one(&mut w.app(), "SELECT docperm.login('ann@erp.test', 'Eastern_43A1W')");
    let key = table(
        &mut w.app(),
        "SELECT docperm.login('ann@erp.test', 'Eastern_43A1W', is_local => false); SELECT * FROM docperm.create_api_key()",
    );
    assert!(!key.is_empty());
    table(&mut w.acting(BOSS), "SELECT docperm.delete_user('ann@erp.test')");
    let with_users = "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'user_name'
                       WHERE c.relnamespace = 'docperm'::regnamespace AND c.relkind = 'r' AND c.relname NOT LIKE '%\\_log'";
    let tables = names(&mut w.admin, with_users);
    assert!(tables.len() > 8, "{tables:?}");
    for name in tables {
        let left = format!("SELECT count(*) FROM docperm.{name} WHERE user_name = '{ANN}'");
        assert_eq!(one(&mut w.admin, &left), "0", "{name}");
    }
    assert_eq!(refused_with(&mut w.app(), &format!("SELECT docperm.resume('{token}')")), "28000");
    assert_eq!(one(&mut w.admin, "SELECT owner FROM doc"), ANN);
    assert_eq!(logged(&mut w, "Delete User"), [[ANN, "Success", "by boss@erp.test"]]);
}

#[test]
fn why_somebody_has_no_desk() {
    let mut w = world();
    w.sql("INSERT INTO docperm.roles (name, disabled) VALUES ('Off', true)");
    w.user("portal@erp.test", &["Customer", "Off", "Desk User"]);
    w.user("none@erp.test", &[]);
    let explain = |w: &mut World, user: &str| {
        table(
            &mut w.admin,
            &format!("SELECT step, rule, verdict, detail FROM docperm.explain_desk_access('{user}')"),
        )
    };
    let told = explain(&mut w, "portal@erp.test");
    let short: Vec<[&str; 2]> = told.iter().map(|row| [row[1].as_str(), row[2].as_str()]).collect();
    assert_eq!(
        short,
        [
            ["user", "passed"],
            ["role", "failed"],
            ["role", "noted"],
            ["role", "failed"],
            ["user type", "denied"],
            ["password", "noted"],
            ["result", "denied"]
        ]
    );
    assert_eq!(
        told.iter().map(|row| row[0].parse::<usize>().unwrap()).collect::<Vec<_>>(),
        (1..=7).collect::<Vec<_>>()
    );
    assert!(
        told[1][3].contains("Customer gives no access") && told[3][3].contains("Off is disabled"),
        "{told:?}"
    );
    assert!(told[4][3].contains("Website User"));

    w.sql("INSERT INTO docperm.user_role_profiles VALUES ('none@erp.test', 'Sales')");
    let told = explain(&mut w, "none@erp.test");
    assert!(told[1][3].contains("Clerk (of Sales) gives access"), "{told:?}");
    assert_eq!(told.last().unwrap()[2], "allowed");
    w.sql("DELETE FROM docperm.role_profile_roles");
    let told = explain(&mut w, "none@erp.test");
    assert!(told[1][3].contains("has no role") && told.last().unwrap()[2] == "denied", "{told:?}");

    w.sql(
        "UPDATE docperm.users SET enabled = false, login_before = 1, login_after = 24, restrict_ip = '{10.0.0.0/8}' WHERE name = 'ann@erp.test';
         INSERT INTO docperm.login_throttle (key, failures, last_attempt, locked_until)
         VALUES ('user ann@erp.test', 9, now(), now() + interval '1 hour')",
    );
    let told = explain(&mut w, ANN);
    let rules: Vec<[&str; 2]> = told.iter().map(|row| [row[1].as_str(), row[2].as_str()]).collect();
    for step in [
        ["user", "denied"],
        ["lock", "failed"],
        ["hours", "failed"],
        ["address", "noted"],
        ["result", "denied"],
    ] {
        assert!(rules.contains(&step), "{step:?} in {rules:?}");
    }
    assert_eq!(explain(&mut w, "nobody@erp.test").concat()[1..3], ["user", "denied"]);
    assert_eq!(explain(&mut w, "Administrator").last().unwrap()[2], "allowed");
    assert_eq!(explain(&mut w, "guest").last().unwrap()[2], "denied");
    let own = "SELECT verdict FROM docperm.explain_desk_access() WHERE rule = 'result'";
    assert_eq!(one(&mut w.acting("portal@erp.test"), own), "denied");
}

#[test]
fn case_75_nobody_gives_himself_a_role() {
    let mut w = world();
    let mut ann = w.acting(ANN);
    for attempt in [
        "INSERT INTO docperm.user_roles VALUES ('ann@erp.test', 'System Manager')",
        "INSERT INTO docperm.user_role_profiles VALUES ('ann@erp.test', 'Sales')",
        "INSERT INTO docperm.role_profile_roles VALUES ('Sales', 'System Manager')",
        "UPDATE docperm.roles SET desk_access = true",
        "UPDATE docperm.users SET name = 'administrator' WHERE name = 'ann@erp.test'",
        "SELECT docperm.create_user('friend@erp.test', 'Friend', roles => '{System Manager}')",
    ] {
        assert_eq!(refused_with(&mut ann, attempt), "42501", "{attempt}");
    }
    let held = "SELECT role FROM docperm.user_roles WHERE user_name = 'ann@erp.test'";
    assert_eq!(names(&mut w.admin, held), ["Clerk"]);
}
