//! Attempts to come by more, by people who may write their own statements: System Managers, delegated administrators,
//! ordinary users, Guest, whoever acts as somebody else, and programs. Each is refused with 42501, changes nothing, and is
//! written down.

use std::time::{Duration, Instant};

use crate::login::{RIGHT, log_in};
use crate::support::{World, attempt, one, table, texts};
use postgres::Client;

const MANAGER: &str = "manager@erp.test";
const SECOND: &str = "second@erp.test";
const DELEGATE: &str = "delegate@erp.test";
const BOSS: &str = "boss@erp.test";
const ANN: &str = "ann@erp.test";
const BOB: &str = "bob@erp.test";

/// People connect with a role that has docperm's tables and nothing else; who they are is told by their sessions.
struct Site {
    w: World,
    people: String,
}

impl Site {
    fn new() -> Site {
        let mut w = World::new(
            "CREATE TABLE company (name text PRIMARY KEY);
             INSERT INTO company VALUES ('A'), ('B');
             SELECT docperm.protect('company', 'Company');
             UPDATE docperm.settings SET argon2_memory_kib = 8, argon2_iterations = 1;
             INSERT INTO docperm.rights (name) VALUES ('impersonate');
             INSERT INTO docperm.roles (name) VALUES ('Secretary'), ('Warden'), ('Dormant'), ('Support');",
        );
        w.user(MANAGER, &["System Manager"]);
        w.user(SECOND, &["System Manager"]);
        w.user(DELEGATE, &["Secretary", "Clerk", "Dormant"]);
        w.user(BOSS, &["Support", "Clerk"]);
        w.user(ANN, &["Clerk"]);
        w.user(BOB, &["Clerk", "Warden"]);
        w.rule("Company", "Clerk", "{read}");
        for doctype in ["User", "Role", "Has Role", "Role Permission", "User Permission", "Share"] {
            w.rule(doctype, "Secretary", "{read,write,create,delete}");
        }
        w.rule("Settings", "Secretary", "{read,write}");
        w.rule("Social Login Key", "Secretary", "{read,write,create}");
        w.rule("Permission Type", "Secretary", "{read,write,create}");
        w.rule("User", "Support", "{read,impersonate}");
        w.sql(
            "INSERT INTO docperm.role_profiles VALUES ('Clerks'), ('Wardens'), ('Managers');
             INSERT INTO docperm.role_profile_roles VALUES ('Clerks', 'Clerk'), ('Wardens', 'Clerk'), ('Wardens', 'Warden'), ('Managers', 'System Manager');
             INSERT INTO docperm.user_role_profiles VALUES ('manager@erp.test', 'Managers');
             INSERT INTO docperm.module_profiles VALUES ('Narrow');
             INSERT INTO docperm.modules VALUES ('Selling'), ('HR');
             INSERT INTO docperm.module_profile_blocks VALUES ('Narrow', 'HR');
             UPDATE docperm.users SET module_profile = 'Narrow' WHERE name = 'manager@erp.test';
             INSERT INTO docperm.user_blocked_modules VALUES ('ann@erp.test', 'HR')",
        );
        w.allow(DELEGATE, "Company", "A");
        w.allow(MANAGER, "Company", "A");
        w.allow(ANN, "Company", "A");
        let people = w.db.login_role("people");
        w.sql(&format!(
            "UPDATE docperm.roles SET disabled = true WHERE name = 'Dormant';
             SELECT docperm.set_password(name, '{RIGHT}') FROM docperm.users WHERE name LIKE '%@erp.test';
             SELECT docperm.grant_administration('{people}');
             GRANT SELECT ON company TO {people};
             CREATE SCHEMA play; GRANT CREATE, USAGE ON SCHEMA play TO {people}"
        ));
        Site { w, people }
    }

    /// A connection of somebody who has logged in; nobody has for Guest.
    fn connect(&self, user: &str) -> Client {
        let mut client = self.w.db.connect_as(&self.people);
        if user != "Guest" {
            log_in(&mut client, user, RIGHT).unwrap();
        }
        client
    }

    /// How many refusals are written down about a user.
    fn refusals(&mut self, user: &str) -> i64 {
        let sql = format!(
            "SELECT coalesce(sum(coalesce(substring(detail FROM ', ([0-9]+) times$')::bigint, 1)), 0)
               FROM docperm.activity_log WHERE operation = 'Refused' AND status = 'Failed' AND user_name = '{user}'"
        );
        one(&mut self.w.admin, &sql).parse().unwrap()
    }

    /// Everything that decides about rights, and the secrets.
    fn contents(&mut self) -> Vec<Vec<String>> {
        let tables = texts(
            &mut self.w.admin,
            "SELECT relname FROM pg_class WHERE relnamespace = 'docperm'::regnamespace AND relkind = 'r'
                AND relname NOT IN ('activity_log', 'sessions', 'login_throttle', 'users', 'permission_log') ORDER BY 1",
        );
        let mut rows: Vec<String> =
            tables.iter().map(|name| format!("SELECT '{name}', t::text FROM docperm.{name} t")).collect();
        // When a user was last there changes with each login.
        rows.push(
            "SELECT 'users', (to_jsonb(t) - '{last_login,last_ip,last_active}'::text[])::text FROM docperm.users t".into(),
        );
        rows.push(
            "SELECT 'grants', relacl::text FROM pg_class WHERE relnamespace = 'docperm'::regnamespace".into(),
        );
        rows.push("SELECT 'triggers', tgname || ' ' || tgenabled::text FROM pg_trigger".into());
        table(&mut self.w.admin, &format!("{} ORDER BY 1, 2", rows.join(" UNION ALL ")))
    }

    /// Each of the statements, in a connection of its own, is refused, changes nothing, and is written down about `user`.
    #[track_caller]
    fn all_refused(&mut self, user: &str, connect: impl Fn(&Site) -> Client, statements: &[&str]) {
        let before = self.contents();
        for statement in statements {
            let known = self.refusals(user);
            let mut client = connect(self);
            match attempt(&mut client, statement) {
                Err(error) => assert_eq!(error.sqlstate, "42501", "{user}: {statement}\n{error:#?}"),
                Ok(_) => panic!("{user} must not be able to: {statement}"),
            }
            drop(client);
            assert_eq!(self.contents(), before, "{user}: {statement}");
            self.written_down(user, known + 1, statement);
        }
    }

    #[track_caller]
    fn written_down(&mut self, user: &str, count: i64, statement: &str) {
        let started = Instant::now();
        while self.refusals(user) < count {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "not written down about {user}: {statement}\n{:#?}",
                table(
                    &mut self.w.admin,
                    "SELECT user_name, detail FROM docperm.activity_log WHERE operation = 'Refused'"
                )
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

const AS_MANAGER: &[&str] = &[
    // His own rights.
    "INSERT INTO docperm.user_roles VALUES ('manager@erp.test', 'Clerk')",
    "INSERT INTO docperm.user_roles VALUES ('Manager@ERP.test ', 'Clerk')",
    "INSERT INTO docperm.user_roles VALUES ('manager@erp.test', 'Clerk') ON CONFLICT DO NOTHING",
    "UPDATE docperm.user_roles SET role = 'Clerk' WHERE user_name = 'manager@erp.test'",
    "UPDATE docperm.user_roles SET user_name = 'manager@erp.test' WHERE user_name = 'ann@erp.test'",
    "DELETE FROM docperm.user_roles WHERE user_name = 'manager@erp.test'",
    "WITH given AS (INSERT INTO docperm.user_roles VALUES ('manager@erp.test', 'Clerk') RETURNING role) SELECT * FROM given",
    "MERGE INTO docperm.user_roles AS u USING (VALUES ('manager@erp.test', 'Clerk')) AS v (a, b) ON u.user_name = v.a AND u.role = v.b
       WHEN NOT MATCHED THEN INSERT (user_name, role) VALUES (v.a, v.b)",
    "PREPARE give AS INSERT INTO docperm.user_roles VALUES ($1, $2); EXECUTE give('manager@erp.test', 'Clerk')",
    "DO $$ BEGIN INSERT INTO docperm.user_roles VALUES ('manager@erp.test', 'Clerk'); END $$",
    "CREATE FUNCTION pg_temp.give() RETURNS void LANGUAGE sql SECURITY DEFINER
       AS $$ INSERT INTO docperm.user_roles VALUES ('manager@erp.test', 'Clerk') $$; SELECT pg_temp.give()",
    "CREATE VIEW play.roles AS SELECT user_name, role FROM docperm.user_roles; INSERT INTO play.roles VALUES ('manager@erp.test', 'Clerk')",
    "CREATE TEMP TABLE bait (x int); CREATE FUNCTION pg_temp.give() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       INSERT INTO docperm.user_roles VALUES ('manager@erp.test', 'Clerk'); RETURN NULL; END $$;
     CREATE TRIGGER give AFTER INSERT ON bait EXECUTE FUNCTION pg_temp.give(); INSERT INTO bait VALUES (1)",
    "UPDATE docperm.users SET login_after = 1 WHERE name = 'manager@erp.test'",
    "UPDATE docperm.users SET restrict_ip = '{0.0.0.0/0}' WHERE name = 'manager@erp.test'",
    "UPDATE docperm.users SET simultaneous_sessions = 5 WHERE name = 'manager@erp.test'",
    "UPDATE docperm.users SET last_login = NULL WHERE name = 'manager@erp.test'",
    "DELETE FROM docperm.users WHERE name = 'manager@erp.test'",
    "DELETE FROM docperm.user_permissions WHERE user_name = 'manager@erp.test'",
    "INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('manager@erp.test', 'Company', 'B')",
    "UPDATE docperm.user_permissions SET for_value = 'B' WHERE user_name = 'manager@erp.test'",
    "UPDATE docperm.user_permissions SET user_name = 'manager@erp.test' WHERE user_name = 'ann@erp.test'",
    "SELECT docperm.apply_user_permission('manager@erp.test', 'Company', 'B')",
    "SELECT docperm.clear_user_permissions('manager@erp.test', 'Company')",
    "INSERT INTO docperm.shares (doctype, document, user_name, rights) VALUES ('Company', 'B', 'manager@erp.test', '{write}')",
    "INSERT INTO docperm.shares (doctype, document, everyone, rights) VALUES ('Company', 'B', true, '{read}')",
    "SELECT docperm.share('Company', 'A', 'manager@erp.test')",
    "SELECT docperm.share('User', 'manager@erp.test', 'manager@erp.test', '{write}')",
    "SELECT docperm.share('User', 'Administrator', 'second@erp.test', '{write}')",
    // Profiles that he has.
    "INSERT INTO docperm.role_profile_roles VALUES ('Managers', 'Clerk')",
    "UPDATE docperm.role_profile_roles SET role_profile = 'Managers' WHERE role = 'Warden'",
    "INSERT INTO docperm.role_profile_roles VALUES ('Clerks', 'Administrator')",
    "INSERT INTO docperm.user_role_profiles VALUES ('manager@erp.test', 'Clerks')",
    "UPDATE docperm.user_role_profiles SET role_profile = 'Clerks' WHERE user_name = 'manager@erp.test'",
    "DELETE FROM docperm.user_role_profiles WHERE user_name = 'manager@erp.test'",
    "UPDATE docperm.users SET module_profile = NULL WHERE name = 'manager@erp.test'",
    "DELETE FROM docperm.module_profile_blocks WHERE module_profile = 'Narrow'",
    "DELETE FROM docperm.user_blocked_modules WHERE user_name = 'manager@erp.test'",
    // Database roles that act as users.
    "UPDATE docperm.users SET db_role = current_user WHERE name = 'manager@erp.test'",
    "UPDATE docperm.users SET db_role = current_user WHERE name = 'second@erp.test'",
    "INSERT INTO docperm.users (name, db_role) VALUES ('puppet@erp.test', current_user)",
    // The Administrator and Guest.
    "UPDATE docperm.users SET first_name = 'Root' WHERE name = 'Administrator'",
    "UPDATE docperm.users SET enabled = false WHERE name = 'Administrator'",
    "UPDATE docperm.users SET email = 'manager@erp.test' WHERE name = 'Administrator'",
    "UPDATE docperm.users SET name = 'root@erp.test' WHERE name = 'Administrator'",
    "DELETE FROM docperm.users WHERE name = 'Administrator'",
    "UPDATE docperm.users SET first_name = 'Nobody' WHERE name = 'Guest'",
    "UPDATE docperm.users SET name = 'Administrator' WHERE name = 'bob@erp.test'",
    "UPDATE docperm.users SET name = ' administrator' WHERE name = 'bob@erp.test'",
    "INSERT INTO docperm.users (name) VALUES ('ADMINISTRATOR') ON CONFLICT (name) DO UPDATE SET enabled = true",
    "INSERT INTO docperm.user_roles VALUES ('Administrator', 'Clerk')",
    "INSERT INTO docperm.user_roles VALUES ('Guest', 'Clerk')",
    "INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('Administrator', 'Company', 'A')",
    "SELECT docperm.set_password('Administrator', 'correct horse battery staple')",
    "SELECT docperm.import_password_hash('Administrator', '$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA')",
    "SELECT docperm.create_api_key('Administrator')",
    "SELECT docperm.reset_two_factor('Administrator')",
    "SELECT docperm.logout_all('Administrator')",
    "SELECT docperm.unlock('Administrator')",
    "SELECT docperm.impersonate('Administrator', 'to see')",
    "SELECT docperm.impersonate('bob@erp.test', 'without the right')",
    // Roles and rules.
    "INSERT INTO docperm.user_roles VALUES ('bob@erp.test', 'Administrator')",
    "INSERT INTO docperm.user_roles VALUES ('bob@erp.test', 'Desk User')",
    "INSERT INTO docperm.roles (name) VALUES ('Administrator')",
    "INSERT INTO docperm.roles (name) VALUES (' administrator ')",
    "UPDATE docperm.roles SET name = 'Administrator' WHERE name = 'Clerk'",
    "INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('Company', 'Guest', '{read}')",
    "INSERT INTO docperm.role_permissions (doctype, role, rights, custom) VALUES ('User', 'All', '{read,write}', true)",
    "INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('Company', 'Clerk', '{read}')
       ON CONFLICT (doctype, role, permlevel, if_owner, custom) DO UPDATE SET role = 'All'",
    // What is a superuser's, and what is docperm's alone.
    "SELECT docperm.set_user('Administrator')",
    "SET docperm.acting_user = 'Administrator'",
    "SELECT docperm.protect('company', 'Company')",
    "SELECT docperm.unprotect('docperm.users')",
    "SELECT docperm.set_field('User', 'enabled', permlevel => 0)",
    "UPDATE docperm.doctype_fields SET permlevel = 0",
    "UPDATE docperm.doctypes SET relation = 'docperm.passwords' WHERE name = 'User'",
    "INSERT INTO docperm.doctypes (name, relation, name_column) VALUES ('Secret', 'docperm.passwords', 'user_name')",
    "SELECT docperm.grant_application(current_user)",
    "SELECT docperm.grant_administration('pg_monitor')",
    "SELECT * FROM docperm.passwords",
    "UPDATE docperm.passwords SET password_hash = '' WHERE user_name = 'Administrator'",
    "SELECT * FROM docperm.password_resets",
    "SELECT docperm.request_password_reset('second@erp.test')",
    "SELECT sealed_secret FROM docperm.two_factor",
    "SELECT secret_hash FROM docperm.api_keys",
    "SELECT token_hash FROM docperm.sessions",
    "SELECT s FROM docperm.sessions AS s",
    "INSERT INTO docperm.sessions (token_hash, user_name) VALUES (repeat('a', 64), 'Administrator')",
    "UPDATE docperm.sessions SET user_name = 'Administrator'",
    "DELETE FROM docperm.activity_log",
    "UPDATE docperm.activity_log SET user_name = 'bob@erp.test'",
    "INSERT INTO docperm.login_throttle (key) VALUES ('user Administrator')",
    "INSERT INTO docperm.user_identities (provider, subject, user_name) VALUES ('x', '1', 'second@erp.test')",
    "TRUNCATE docperm.user_permissions",
    "SET row_security = off; SELECT * FROM docperm.users",
    "ALTER TABLE docperm.user_roles DISABLE TRIGGER authorize",
    "ALTER TABLE docperm.users DISABLE ROW LEVEL SECURITY",
    "DROP POLICY docperm_select ON docperm.users",
    "CREATE TRIGGER mine BEFORE INSERT ON docperm.user_roles FOR EACH ROW EXECUTE FUNCTION docperm._refuse_truncate()",
    "CREATE INDEX ON docperm.users (docperm._user_name(name))",
    "SET ROLE postgres; INSERT INTO docperm.user_roles VALUES ('manager@erp.test', 'Clerk')",
    "SET session_replication_role = replica; INSERT INTO docperm.user_roles VALUES ('manager@erp.test', 'Clerk')",
];

#[test]
fn a_system_manager_raises_neither_himself_nor_touches_the_administrator() {
    let mut site = Site::new();
    site.all_refused(MANAGER, |site| site.connect(MANAGER), AS_MANAGER);
}

#[test]
fn a_delegated_administrator_gives_what_he_has_to_those_who_have_no_more() {
    let mut site = Site::new();
    // What he is there for.
    let mut client = site.connect(DELEGATE);
    for statement in [
        "INSERT INTO docperm.users (name, first_name) VALUES ('new@erp.test', 'New')",
        "INSERT INTO docperm.user_roles VALUES ('new@erp.test', 'Clerk')",
        "UPDATE docperm.users SET first_name = 'Newer' WHERE name = 'new@erp.test'",
        "INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('new@erp.test', 'Company', 'A')",
        "DELETE FROM docperm.user_roles WHERE user_name = 'new@erp.test'",
        "DELETE FROM docperm.users WHERE name = 'new@erp.test'",
    ] {
        attempt(&mut client, statement).unwrap_or_else(|error| panic!("{statement}\n{error:#?}"));
    }
    site.all_refused(
        DELEGATE,
        |site| site.connect(DELEGATE),
        &[
            "INSERT INTO docperm.user_roles VALUES ('delegate@erp.test', 'Warden')",
            "INSERT INTO docperm.user_roles VALUES ('ann@erp.test', 'Warden')",
            "INSERT INTO docperm.user_roles VALUES ('ann@erp.test', 'Secretary')",
            "INSERT INTO docperm.user_roles VALUES ('ann@erp.test', 'System Manager')",
            "INSERT INTO docperm.user_roles VALUES ('ann@erp.test', 'Dormant')",
            "INSERT INTO docperm.user_roles VALUES ('second@erp.test', 'Clerk')",
            "UPDATE docperm.user_roles SET role = 'Warden' WHERE user_name = 'ann@erp.test'",
            "UPDATE docperm.user_roles SET user_name = 'delegate@erp.test' WHERE role = 'Warden'",
            "DELETE FROM docperm.user_roles WHERE role = 'Warden'",
            "DELETE FROM docperm.user_roles WHERE user_name = 'manager@erp.test'",
            "UPDATE docperm.users SET first_name = 'x' WHERE name = 'manager@erp.test'",
            "UPDATE docperm.users SET first_name = 'x' WHERE name = 'boss@erp.test'",
            "UPDATE docperm.users SET enabled = false WHERE name = 'ann@erp.test'",
            "UPDATE docperm.users SET login_before = 0, login_after = 23 WHERE name = 'ann@erp.test'",
            "UPDATE docperm.users SET name = 'Administrator' WHERE name = 'ann@erp.test'",
            // Bob is a warden, which he is not: a new password would be sent to him.
            "UPDATE docperm.users SET name = 'mine@erp.test' WHERE name = 'bob@erp.test'",
            "UPDATE docperm.users SET mobile_no = '5551' WHERE name = 'bob@erp.test'",
            "DELETE FROM docperm.users WHERE name = 'second@erp.test'",
            "DELETE FROM docperm.users WHERE name = 'Administrator'",
            "UPDATE docperm.roles SET disabled = false WHERE name = 'Dormant'",
            "UPDATE docperm.roles SET two_factor_auth = true WHERE name = 'Secretary'",
            "DELETE FROM docperm.roles WHERE name = 'Support'",
            "INSERT INTO docperm.roles (name) VALUES ('System Manager')",
            "INSERT INTO docperm.role_permissions (doctype, role, permlevel, rights) VALUES ('User', 'Secretary', 1, '{read,write}')",
            "INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('Settings', 'Warden', '{read,write}')",
            "INSERT INTO docperm.role_permissions (doctype, role, if_owner, rights) VALUES ('Company', 'Clerk', true, '{write}')",
            "UPDATE docperm.role_permissions SET rights = '{read,write}' WHERE doctype = 'Company'",
            "UPDATE docperm.role_permissions SET role = 'Secretary' WHERE role = 'Support'",
            "INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('Company', 'Warden', '{read,delete}')",
            "SELECT docperm.customize('User')",
            "DELETE FROM docperm.user_permissions WHERE user_name = 'delegate@erp.test'",
            "DELETE FROM docperm.user_permissions WHERE user_name = 'ann@erp.test'",
            "INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('ann@erp.test', 'Company', 'B')",
            "INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('second@erp.test', 'Company', 'A')",
            "INSERT INTO docperm.shares (doctype, document, user_name, rights) VALUES ('Company', 'A', 'ann@erp.test', '{read}')",
            "INSERT INTO docperm.user_role_profiles VALUES ('bob@erp.test', 'Wardens')",
            "INSERT INTO docperm.user_role_profiles VALUES ('delegate@erp.test', 'Clerks')",
            "DELETE FROM docperm.user_blocked_modules",
            "UPDATE docperm.settings SET enable_password_policy = false",
            "INSERT INTO docperm.login_providers (name, enabled) VALUES ('Mine', false)",
            "INSERT INTO docperm.rights (name) VALUES ('fly')",
            "SELECT docperm.set_password('ann@erp.test', 'correct horse battery staple')",
            "SELECT docperm.create_api_key('ann@erp.test')",
            "SELECT docperm.logout_all('ann@erp.test')",
            "SELECT docperm.who_can('Company', 'A')",
        ],
    );
}

#[test]
fn an_ordinary_user_has_his_own_record_and_nothing_of_it_that_decides() {
    let mut site = Site::new();
    let refused = [
        "INSERT INTO docperm.user_roles VALUES ('ann@erp.test', 'System Manager')",
        "INSERT INTO docperm.users (name) VALUES ('puppet@erp.test')",
        "INSERT INTO docperm.roles (name) VALUES ('Mine')",
        "INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('Company', 'Clerk', '{write}')",
        "INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('ann@erp.test', 'Company', 'B')",
        "INSERT INTO docperm.shares (doctype, document, user_name, rights) VALUES ('Company', 'B', 'ann@erp.test', '{read}')",
        "INSERT INTO docperm.rights (name) VALUES ('fly')",
        "INSERT INTO docperm.settings DEFAULT VALUES",
        "UPDATE docperm.users SET enabled = false",
        "UPDATE docperm.users SET name = 'Administrator'",
        "UPDATE docperm.users SET name = 'bob@erp.test'",
        "UPDATE docperm.users SET name = 'other@erp.test'",
        "UPDATE docperm.users SET db_role = current_user",
        "UPDATE docperm.users SET restrict_ip = '{0.0.0.0/0}'",
        "UPDATE docperm.users SET last_active = 'infinity'",
        "UPDATE docperm.users SET username = 'bob@erp.test'",
        "UPDATE docperm.users SET username = ' @bob@erp.test'",
        "UPDATE docperm.users SET mobile_no = 'Administrator'",
        "DELETE FROM docperm.user_blocked_modules",
        "INSERT INTO docperm.user_role_profiles VALUES ('ann@erp.test', 'Wardens')",
        "INSERT INTO docperm.user_emails VALUES ('ann@erp.test', 'Support')",
        "INSERT INTO docperm.role_profile_roles VALUES ('Clerks', 'System Manager')",
        "INSERT INTO docperm.page_roles VALUES ('any', 'Clerk')",
        "SELECT docperm.share('Company', 'A', 'bob@erp.test')",
        "SELECT docperm.share('User', 'ann@erp.test', 'bob@erp.test', '{write}')",
        "SELECT docperm.set_password('bob@erp.test', 'correct horse battery staple')",
        "SELECT docperm.apply_user_permission('ann@erp.test', 'Company', 'B')",
        "SELECT docperm.unlock('ann@erp.test')",
        "SELECT docperm.clear_activity_log()",
        "SELECT docperm.impersonate('bob@erp.test', 'why not')",
        "SELECT docperm.has_permission('User', 'write', 'bob@erp.test', 'bob@erp.test')",
        "SELECT docperm.reset('User')",
    ];
    site.all_refused(ANN, |site| site.connect(ANN), &refused);
    let as_guest = [
        "INSERT INTO docperm.user_roles VALUES ('Guest', 'System Manager')",
        "INSERT INTO docperm.users (name) VALUES ('guest2@erp.test')",
        "INSERT INTO docperm.shares (doctype, document, user_name, rights) VALUES ('Company', 'A', 'Guest', '{read}')",
        "SELECT docperm.set_password('ann@erp.test', 'correct horse battery staple')",
        "SELECT docperm.create_api_key()",
    ];
    site.all_refused("Guest", |site| site.connect("Guest"), &as_guest);

    // What he does not see, he does not change either; that is no error.
    let before = site.contents();
    let mut client = site.connect(ANN);
    for statement in [
        "UPDATE docperm.users SET first_name = 'x' WHERE name <> 'ann@erp.test'",
        "DELETE FROM docperm.users",
        "DELETE FROM docperm.user_roles",
        "DELETE FROM docperm.user_permissions",
        "UPDATE docperm.roles SET disabled = true",
        "UPDATE docperm.role_permissions SET rights = '{read,write}'",
        "UPDATE docperm.settings SET enable_password_policy = false",
    ] {
        attempt(&mut client, statement).unwrap();
        assert_eq!(site.contents(), before, "{statement}");
    }
}

#[test]
fn whoever_acts_as_another_gains_nothing_that_lasts_and_is_named_in_the_log() {
    let mut site = Site::new();
    let as_delegate = |site: &Site| {
        let mut client = site.connect(BOSS);
        one(&mut client, "SELECT docperm.impersonate('delegate@erp.test', 'to help')");
        client
    };
    site.all_refused(
        DELEGATE,
        as_delegate,
        &[
            "INSERT INTO docperm.user_roles VALUES ('ann@erp.test', 'Clerk')",
            "INSERT INTO docperm.user_roles VALUES ('boss@erp.test', 'Clerk')",
            "INSERT INTO docperm.users (name) VALUES ('puppet@erp.test'); INSERT INTO docperm.user_roles VALUES ('puppet@erp.test', 'Clerk')",
            "INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('Company', 'Warden', '{read}')",
            "UPDATE docperm.users SET mobile_no = '12345' WHERE name = 'delegate@erp.test'",
            "UPDATE docperm.users SET username = 'mine' WHERE name = 'delegate@erp.test'",
            "UPDATE docperm.users SET enabled = false WHERE name = 'delegate@erp.test'",
            "SELECT docperm.create_api_key()",
            "SELECT docperm.impersonate('manager@erp.test', 'further')",
        ],
    );
    assert_eq!(
        one(
            &mut site.w.admin,
            "SELECT count(*) FROM docperm.activity_log WHERE operation = 'Refused' AND detail NOT LIKE '%by boss@erp.test%'"
        ),
        "0"
    );

    // A System Manager does not raise himself by acting as a second one.
    site.w.sql(
        "DELETE FROM docperm.user_role_profiles;
         INSERT INTO docperm.user_roles VALUES ('manager@erp.test', 'Support')",
    );
    let as_second = |site: &Site| {
        let mut client = site.connect(MANAGER);
        one(&mut client, "SELECT docperm.impersonate('second@erp.test', 'to help myself')");
        client
    };
    site.all_refused(
        SECOND,
        as_second,
        &[
            "INSERT INTO docperm.user_roles VALUES ('manager@erp.test', 'Clerk')",
            "INSERT INTO docperm.user_roles VALUES ('second@erp.test', 'Clerk')",
            "DELETE FROM docperm.user_permissions WHERE user_name = 'manager@erp.test'",
            "SELECT docperm.clear_user_permissions('manager@erp.test', 'Company')",
            "UPDATE docperm.users SET login_after = 3 WHERE name = 'manager@erp.test'",
        ],
    );

    // Who is made an administrator while somebody else acts as him is none for the other.
    let as_ann = |site: &Site| {
        let mut client = site.connect(BOSS);
        one(&mut client, "SELECT docperm.impersonate('ann@erp.test', 'to help')");
        client
    };
    let clients = std::cell::RefCell::new((0..9).map(|_| as_ann(&site)).collect::<Vec<_>>());
    site.w.sql("INSERT INTO docperm.user_roles VALUES ('ann@erp.test', 'System Manager')");
    site.all_refused(
        ANN,
        |_| clients.borrow_mut().pop().unwrap(),
        &[
            "SELECT docperm.set_password('second@erp.test', 'correct horse battery staple')",
            "SELECT docperm.logout_all('second@erp.test')",
            "SELECT docperm.clear_user_permissions('delegate@erp.test', 'Company')",
            "SELECT docperm.customize('Company')",
            "SELECT docperm.reset('Company')",
            "SELECT docperm.separate_duties('Clerk', 'Warden')",
            "SELECT docperm.start_access_review('mine')",
            "SELECT docperm.disable_dormant_users('1 second')",
            "INSERT INTO docperm.user_roles VALUES ('bob@erp.test', 'System Manager')",
        ],
    );
}

#[test]
fn nobody_is_given_what_another_is_found_by_for_his_short_name() {
    let mut site = Site::new();
    site.w.sql("UPDATE docperm.users SET mobile_no = '4917' WHERE name = 'bob@erp.test'");
    let mut client = site.connect(DELEGATE);
    for (user, first_name) in
        [("one@erp.test", "4917"), ("two@erp.test", "@Bob@erp.test"), ("three@erp.test", "Bob")]
    {
        attempt(
            &mut client,
            &format!("INSERT INTO docperm.users (name, first_name) VALUES ('{user}', '{first_name}')"),
        )
        .unwrap();
    }
    // Nor for his name, nor his address.
    drop(client);
    site.all_refused(
        DELEGATE,
        |site| site.connect(DELEGATE),
        &[
            "INSERT INTO docperm.users (name) VALUES ('4917')",
            "INSERT INTO docperm.users (name, email) VALUES ('four', 'Bob@ERP.test ')",
            "UPDATE docperm.users SET name = '4917' WHERE name = 'one@erp.test'",
        ],
    );
    assert_eq!(
        table(
            &mut site.w.admin,
            "SELECT name, coalesce(username, '') FROM docperm.users WHERE name IN ('one@erp.test', 'two@erp.test', 'three@erp.test') ORDER BY 1"
        ),
        [["one@erp.test", ""], ["three@erp.test", "bob"], ["two@erp.test", ""]]
    );
}

#[test]
fn a_statement_that_bears_the_name_of_reset_does_not_bring_standard_rules_back() {
    let mut site = Site::new();
    // Without the standard rules he reads what is shared with him.
    site.w.sql(
        "INSERT INTO docperm.role_permissions (doctype, role, rights, custom) VALUES ('Company', 'Warden', '{read}', true);
         INSERT INTO docperm.shares (doctype, document, user_name, rights) VALUES ('Company', 'A', 'delegate@erp.test', '{read}')",
    );
    let before = site.contents();
    let mut client = site.connect(DELEGATE);
    let statement = "DO $$ BEGIN DELETE FROM docperm.role_permissions /* docperm.reset(text) */ WHERE doctype = 'Company' AND custom; END $$";
    let error = attempt(&mut client, statement).unwrap_err();
    assert_eq!(error.sqlstate, "22023", "{error:#?}");
    assert_eq!(site.contents(), before);
}

#[test]
fn a_program_that_comes_by_a_key_gains_no_more_than_its_user() {
    let mut site = Site::new();
    let key = one(
        &mut site.w.admin,
        "SELECT api_key || ':' || api_secret FROM docperm.create_api_key('manager@erp.test')",
    );
    let by_key = |site: &Site| {
        let mut client = site.w.db.connect_as(&site.people);
        one(&mut client, &format!("SELECT docperm.resume('{key}')"));
        client
    };
    site.all_refused(
        MANAGER,
        by_key,
        &[
            "INSERT INTO docperm.user_roles VALUES ('manager@erp.test', 'Clerk')",
            "SELECT docperm.create_api_key()",
            "SELECT docperm.impersonate('bob@erp.test', 'by a program')",
            "UPDATE docperm.users SET enabled = false WHERE name = 'Administrator'",
        ],
    );
    let logged = one(
        &mut site.w.admin,
        "SELECT string_agg(DISTINCT substring(detail FROM 'API key [^,]+'), '') FROM docperm.activity_log WHERE operation = 'Refused'",
    );
    assert_eq!(logged, format!("API key {}", key.split(':').next().unwrap()), "and nothing of the secret");
}

#[test]
fn a_refusal_that_is_caught_or_rolled_back_is_written_down_all_the_same() {
    let mut site = Site::new();
    let mut client = site.connect(ANN);
    let swallowed = "DO $$ BEGIN INSERT INTO docperm.user_roles VALUES ('ann@erp.test', 'Warden');
                     EXCEPTION WHEN OTHERS THEN NULL; END $$";
    attempt(&mut client, swallowed).unwrap();
    site.written_down(ANN, 1, swallowed);
    client.batch_execute("BEGIN; SAVEPOINT s").unwrap();
    attempt(&mut client, "INSERT INTO docperm.roles (name) VALUES ('Mine')").unwrap_err();
    client.batch_execute("ROLLBACK TO s").unwrap();
    site.written_down(ANN, 2, "in a transaction that goes on");
    client.batch_execute("ROLLBACK").unwrap();
    assert_eq!(site.refusals(ANN), 2);
}

#[test]
fn refusals_fill_neither_the_log_nor_the_server() {
    let mut site = Site::new();
    let mut client = site.connect(ANN);
    attempt(
        &mut client,
        "DO $$ BEGIN FOR n IN 1..2000 LOOP
            BEGIN INSERT INTO docperm.roles (name) VALUES ('Mine'); EXCEPTION WHEN OTHERS THEN NULL; END;
         END LOOP; END $$",
    )
    .unwrap();
    drop(client);
    site.written_down(ANN, 2000, "the same two thousand times");
    let rows = "SELECT count(*) < 150 FROM docperm.activity_log WHERE operation = 'Refused'";
    assert_eq!(one(&mut site.w.admin, rows), "t");

    // Different ones are as many as there are to write down, and no more.
    let mut client = site.connect(ANN);
    attempt(
        &mut client,
        "DO $$ BEGIN FOR n IN 1..2000 LOOP
            BEGIN PERFORM docperm.unlock('user ' || n), docperm.impersonate('user ' || n, 'x');
            EXCEPTION WHEN OTHERS THEN NULL; END;
            BEGIN PERFORM docperm.impersonate('user ' || n, 'x'); EXCEPTION WHEN OTHERS THEN NULL; END;
         END LOOP; END $$",
    )
    .unwrap();
    drop(client);
    std::thread::sleep(Duration::from_millis(500));
    let rows = "SELECT count(*) < 600 FROM docperm.activity_log WHERE operation = 'Refused'";
    assert_eq!(one(&mut site.w.admin, rows), "t");
}

#[test]
fn secrets_are_not_written_down_with_a_refusal() {
    let mut site = Site::new();
    let mut client = site.connect(ANN);
    attempt(&mut client, "SELECT docperm.set_password('my secret phrase', 'another secret phrase')")
        .unwrap_err();
    drop(client);
    site.written_down(ANN, 1, "set_password");
    let leaked = "SELECT count(*) FROM docperm.activity_log WHERE detail LIKE '%secret%'";
    assert_eq!(one(&mut site.w.admin, leaked), "0");
}

/// Copying rows in gets past no policy: PostgreSQL refuses it, with an error of its own.
#[test]
fn rows_are_not_copied_in() {
    let mut site = Site::new();
    let before = site.contents();
    let mut client = site.connect(MANAGER);
    let copy =
        attempt(&mut client, "COPY docperm.user_roles (user_name, role) FROM PROGRAM 'echo'").unwrap_err();
    assert_eq!(copy.sqlstate, "42501");
    let Err(refused) = client.copy_in("COPY docperm.user_roles (user_name, role) FROM stdin").map(|_| ())
    else {
        panic!("COPY must be refused")
    };
    assert_eq!(docperm_testkit::db_error(&refused).sqlstate, "0A000");
    assert_eq!(site.contents(), before);
}

/// Who tries it with the privileges that trusted applications have, or as a superuser who is somebody else, is another matter:
/// such roles are trusted. Administration by superusers goes on as before.
#[test]
fn a_superuser_administers_as_before() {
    let mut site = Site::new();
    site.w.sql(
        "INSERT INTO docperm.user_roles VALUES ('Administrator', 'Clerk'), ('second@erp.test', 'Clerk');
         UPDATE docperm.users SET db_role = 'somebody' WHERE name = 'Administrator';
         INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('Company', 'Guest', '{read}');
         DELETE FROM docperm.user_permissions;
         SELECT docperm.set_password('Administrator', 'correct horse battery staple');",
    );
}

#[test]
fn the_code_of_a_tables_owner_runs_as_him_when_a_user_is_renamed() {
    let mut site = Site::new();
    let owner = site.w.db.login_role("memo_owner");
    site.w.sql(&format!("GRANT CREATE, USAGE ON SCHEMA play TO {owner}"));
    site.w
        .db
        .connect_as(&owner)
        .batch_execute(
            "CREATE TABLE play.seen (who text);
             CREATE FUNCTION play.look(text) RETURNS boolean LANGUAGE plpgsql AS
                 $$ BEGIN INSERT INTO play.seen VALUES (current_user || ' for ' || docperm.whoami()); RETURN true; END $$;
             CREATE FUNCTION play.look() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN INSERT INTO play.seen VALUES (current_user || ' for ' || docperm.whoami()); RETURN NEW; END $$;
             CREATE DOMAIN play.person AS text CHECK (play.look(VALUE));
             CREATE TABLE play.memo (name text PRIMARY KEY, owner play.person, CHECK (play.look(owner)));
             CREATE TRIGGER look BEFORE UPDATE ON play.memo FOR EACH ROW EXECUTE FUNCTION play.look();
             ALTER TABLE play.memo ENABLE ALWAYS TRIGGER look;
             INSERT INTO play.memo VALUES ('M', 'ann@erp.test')",
        )
        .unwrap();
    site.w.sql("SELECT docperm.protect('play.memo', 'Memo', 'name', 'owner'); TRUNCATE play.seen");
    let mut manager = site.connect(MANAGER);
    attempt(&mut manager, "SELECT docperm.rename_user('ann@erp.test', 'anna@erp.test')").unwrap();
    assert_eq!(one(&mut site.w.admin, "SELECT owner FROM play.memo"), "anna@erp.test");
    // He acts for nobody, least of all for the System Manager.
    assert_eq!(
        table(&mut site.w.admin, "SELECT DISTINCT who FROM play.seen"),
        [[format!("{owner} for Guest")]]
    );
}
