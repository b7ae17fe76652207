//! A dump carries docperm along: the same people see the same rows in the restored database, in another cluster.
//!
//! Whatever table docperm has, its rows must come back, or the table must be in [`NOT_DUMPED`] and in docs/backup.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use crate::support::{World, attempt, names, one, refused_with, rows_of, run_on, set_user, table};
use docperm_testkit::{Database, Server, texts};
use postgres::Client;

/// What belongs to one server and one moment.
const NOT_DUMPED: [&str; 3] = ["login_throttle", "password_resets", "sessions"];

/// A bit of everything that docperm puts into a database.
const HOUSE: &str = r#"
    CREATE TABLE company (name text PRIMARY KEY, parent text REFERENCES company);
    CREATE TABLE sales_order (id int PRIMARY KEY, owner text, company text REFERENCES company);
    CREATE TABLE sales_order_item (id int PRIMARY KEY, sales_order int REFERENCES sales_order ON UPDATE CASCADE ON DELETE CASCADE,
                                   company text REFERENCES company);
    CREATE TABLE ledger (id int PRIMARY KEY, company text) PARTITION BY RANGE (id);
    CREATE TABLE ledger_1 PARTITION OF ledger FOR VALUES FROM (0) TO (10);
    CREATE TABLE ledger_2 PARTITION OF ledger FOR VALUES FROM (10) TO (20);
    CREATE TABLE memo (name text PRIMARY KEY, owner text, status int DEFAULT 0, amends text, made timestamptz, changed timestamptz, changed_by text);
    CREATE TABLE "Odd table" ("the key" uuid PRIMARY KEY, "select" text);
    INSERT INTO company VALUES ('A', NULL), ('A-sub', 'A'), ('B', NULL);
    INSERT INTO sales_order VALUES (1, 'ann@erp.test', 'A'), (2, 'bob@erp.test', 'A-sub'), (3, NULL, 'B'), (4, NULL, NULL);
    INSERT INTO sales_order_item VALUES (1, 1, 'A'), (2, 1, NULL), (3, 2, 'B'), (4, 4, NULL);
    INSERT INTO ledger VALUES (1, 'A'), (2, 'B'), (11, 'A-sub'), (12, NULL);
    INSERT INTO memo VALUES ('m1', 'kim@erp.test', 2, NULL, '2020-01-01', '2020-01-02', 'ann@erp.test'),
                            ('m2', 'ann@erp.test', 1, 'm1', '2020-01-03', '2020-01-04', 'bob@erp.test');
    INSERT INTO "Odd table" VALUES ('0188b0a1-0000-7000-8000-00000000000a', 'B'), ('0188b0a1-0000-7000-8000-00000000000b', 'A');
    SELECT docperm.protect('ledger', 'Ledger');
    SELECT docperm.protect('"Odd table"', 'Odd "one"', force => false);
    SELECT docperm.protect('sales_order', 'Sales Order', owner_column => 'owner');
    SELECT docperm.protect('sales_order_item', 'Sales Order Item', parent_doctype => 'Sales Order', parent_column => 'sales_order');
    SELECT docperm.protect('company', 'Company', tree_parent_column => 'parent');
    SELECT docperm.protect('memo', 'Memo', owner_column => 'owner', docstatus_column => 'status', amended_from_column => 'amends',
                           creation_column => 'made', modified_column => 'changed', modified_by_column => 'changed_by',
                           fill_defaults => true, track_changes => true);
    SELECT docperm.set_field('Ledger', 'company', link_to => 'Company');
    SELECT docperm.set_field('Odd "one"', 'select', link_to => 'Company');
    SELECT docperm.set_field('Memo', 'owner', permlevel => 2, allow_on_submit => true);
    INSERT INTO docperm.rights (name) VALUES ('approve');
    UPDATE docperm.settings SET strict_user_permissions = 'blank_links', enable_two_factor_auth = true, otp_issuer_name = 'Acme',
                                session_idle_timeout = NULL, argon2_memory_kib = 64, argon2_iterations = 1;
    UPDATE docperm.doctypes SET deny_by_default = false WHERE name = 'Company';
    UPDATE docperm.doctypes SET track_changes = true WHERE name IN ('Company', 'Ledger');
    SELECT docperm.set_field('Ledger', 'company', requires_select => true);"#;

/// What people have been doing there.
const LIFE: &str = r#"
    UPDATE docperm.roles SET two_factor_auth = true WHERE name IN ('All', 'Reader');
    UPDATE docperm.users SET username = 'bobby', mobile_no = '+41 1', login_after = 6, restrict_ip = '{10.0.0.0/8}' WHERE name = 'bob@erp.test';
    INSERT INTO docperm.users (name, enabled) VALUES ('gone@erp.test', false);
    INSERT INTO docperm.user_roles VALUES ('gone@erp.test', 'Reader'), ('bob@erp.test', 'System Manager');
    INSERT INTO docperm.two_factor VALUES ('ann@erp.test', 'docperm1.x.y', now(), now(), 42);
    INSERT INTO docperm.login_providers VALUES ('Example', 'https://id.test', 'erp', '{"keys": [{"kty": "OKP", "crv": "Ed25519",
         "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}', true, true, false);
    INSERT INTO docperm.user_identities VALUES ('Example', '248289761001', 'ann@erp.test');
    INSERT INTO docperm.passwords (user_name, password_hash, must_change) VALUES
        ('ann@erp.test', docperm._hash_password('correct horse', 64, 1, 1), true),
        ('Administrator', docperm._hash_password('battery staple', 64, 1, 1), false);
    INSERT INTO docperm.password_resets (token_hash, user_name, expires_at) VALUES (sha256('x'), 'ann@erp.test', now() + interval '1 hour');
    INSERT INTO docperm.api_keys (api_key, user_name, secret_hash, description) VALUES ('k1', 'ann@erp.test', repeat('0', 64), 'nightly');
    INSERT INTO docperm.shares (doctype, document, user_name, rights) VALUES ('Sales Order', '3', 'kim@erp.test', '{read,share}');
    INSERT INTO docperm.shares (doctype, document, everyone, rights) VALUES ('Company', 'B', true, '{read}');
    INSERT INTO docperm.role_permissions (doctype, role, custom, rights) VALUES ('Memo', 'Reader', true, '{read,write,create,submit}');
    INSERT INTO docperm.activity_log (user_name, operation, status) VALUES ('ann@erp.test', 'Login', 'Success'), (NULL, 'Login', 'Failed');
    SELECT docperm.customize('User');
    DELETE FROM docperm.role_permissions WHERE doctype = 'User' AND role = 'All' AND custom;
    INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ('Role', 'Guest', '{read}');
    UPDATE docperm.doctypes SET deny_by_default = true WHERE name = 'User';
    SELECT docperm.set_field('User', 'mobile_no', permlevel => 2), docperm.set_field('User', 'enabled', permlevel => 3);
    INSERT INTO docperm.modules VALUES ('HR');
    INSERT INTO docperm.module_profiles VALUES ('Sellers');
    INSERT INTO docperm.module_profile_blocks VALUES ('Sellers', 'HR');
    INSERT INTO docperm.user_blocked_modules VALUES ('bob@erp.test', 'HR');
    UPDATE docperm.users SET module_profile = 'Sellers', gender = 'f', birth_date = '1990-02-03', desk_theme = 'Dark', timeline = false,
                             time_zone = 'Europe/Berlin', thread_notify = false WHERE name = 'kim@erp.test';
    UPDATE docperm.users SET first_name = 'Root', mute_sounds = true WHERE name = 'Administrator';
    UPDATE docperm.settings SET default_portal_role = 'Owner';
    INSERT INTO docperm.role_profiles VALUES ('Owners');
    INSERT INTO docperm.role_profile_roles VALUES ('Owners', 'Owner');
    INSERT INTO docperm.user_role_profiles VALUES ('kim@erp.test', 'Owners');
    INSERT INTO docperm.pages VALUES ('orders', 'Orders', 'Selling');
    INSERT INTO docperm.page_roles VALUES ('orders', 'Reader', true);
    INSERT INTO docperm.reports (name, ref_doctype, report_type) VALUES ('Turnover', 'Sales Order', 'Query Report');
    INSERT INTO docperm.report_roles VALUES ('Turnover', 'Reader');
    INSERT INTO docperm.user_emails (user_name, email_account) VALUES ('ann@erp.test', 'Support');
    INSERT INTO docperm.separation_of_duties (role_a, role_b, mode) VALUES ('Reader', 'System Manager', 'warn');
    SELECT docperm.start_access_review('2026');
    UPDATE docperm.users SET document_follow_notify = true, document_follow_frequency = 'Hourly', follow_shared_documents = true
     WHERE name = 'ann@erp.test';
    SELECT docperm.follow('Company', 'A', 'ann@erp.test');
    INSERT INTO ledger VALUES (3, 'A');
    UPDATE ledger SET company = 'B' WHERE id = 3;
    DELETE FROM ledger WHERE id = 3;
    SELECT docperm.document_follow_digest();
    INSERT INTO docperm.login_throttle (key, failures) VALUES ('user bob@erp.test', 3);
    INSERT INTO docperm.sessions (token_hash, user_name) VALUES (repeat('a', 64), 'ann@erp.test');"#;

/// Rows for tables that [`LIFE`] leaves empty, made of what their columns are. So a new table is compared as well.
fn fill_empty_tables(admin: &mut Client) {
    admin.batch_execute("SET session_replication_role = replica").unwrap();
    for empty in own_tables(admin) {
        if one(admin, &format!("SELECT EXISTS (SELECT FROM docperm.{empty})")) == "t" {
            continue;
        }
        let columns = table(
            admin,
            &format!(
                "SELECT quote_ident(a.attname),
                        coalesce((SELECT format('(SELECT %I FROM %s LIMIT 1)', there.attname, k.confrelid::regclass)
                                    FROM pg_constraint k JOIN pg_attribute there ON there.attrelid = k.confrelid AND there.attnum = k.confkey[1]
                                   WHERE k.conrelid = a.attrelid AND k.contype = 'f' AND k.conkey[1] = a.attnum LIMIT 1),
                                 CASE t.typcategory WHEN 'N' THEN '1' WHEN 'B' THEN 'true' WHEN 'D' THEN '''2020-01-01'''
                                                    WHEN 'A' THEN '''{{}}''' WHEN 'T' THEN '''1 day''' WHEN 'I' THEN '''10.0.0.1'''
                                                    ELSE CASE WHEN t.typname LIKE 'json%' THEN '''{{}}''' WHEN t.typname LIKE 'reg%' THEN '''docperm.users'''
                                                              ELSE '''x''' END END)
                   FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                  WHERE a.attrelid = 'docperm.{empty}'::regclass AND a.attnum > 0 AND NOT a.attisdropped
                    AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' ORDER BY a.attnum"
            ),
        );
        let (columns, values): (Vec<_>, Vec<_>) =
            columns.iter().map(|column| (&*column[0], &*column[1])).unzip();
        let insert =
            format!("INSERT INTO docperm.{empty} ({}) SELECT {}", columns.join(", "), values.join(", "));
        attempt(admin, &insert)
            .unwrap_or_else(|why| panic!("give docperm.{empty} a row in LIFE: {insert}: {why:?}"));
    }
    admin.batch_execute("RESET session_replication_role").unwrap();
}

fn furnished(server: &'static Server) -> World {
    let mut w = World::on(server, HOUSE);
    w.user("ann@erp.test", &["Reader"]);
    w.user("bob@erp.test", &["Reader", "Owner"]);
    w.user("kim@erp.test", &["Owner"]);
    for doctype in ["Company", "Sales Order", "Ledger", "Odd \"one\"", "Memo"] {
        w.rule(doctype, "Reader", "{read,approve}");
    }
    w.rule_if_owner("Sales Order", "Owner", "{read,write}");
    w.rule("Company", "Guest", "{read}");
    w.allow("ann@erp.test", "Company", "A");
    w.allow("ann@erp.test", "Odd \"one\"", "0188b0a1-0000-7000-8000-00000000000b");
    w.allow_node_only("bob@erp.test", "Company", "A");
    w.allow_for("bob@erp.test", "Company", "B", "Ledger");
    w.sql(LIFE);
    let role = w.db.login_role("reporting");
    w.sql(&format!(
        "UPDATE docperm.users SET db_role = '{role}' WHERE name = 'ann@erp.test';
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};"
    ));
    fill_empty_tables(&mut w.admin);
    w
}

/// Where dumps are made, and another cluster where they are restored. Findings of the doctor about roles are compared, so
/// other tests have no business there.
fn source() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::private(&[]))
}

fn target() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::private(&[]))
}

fn own_tables(admin: &mut Client) -> Vec<String> {
    names(
        admin,
        "SELECT relname FROM pg_class WHERE relnamespace = 'docperm'::regnamespace AND relkind = 'r'",
    )
}

/// Everything about a database that a dump must bring back, by what it is.
type Picture = BTreeMap<String, Vec<String>>;

fn picture(server: &Server, database: &str, app_role: &str) -> Picture {
    let mut picture = Picture::new();
    let mut admin = server.connect("postgres", database, None);
    for name in own_tables(&mut admin) {
        // To be looked at leaves its own traces: who is refused a column is written down.
        let but = if name == "activity_log" { "WHERE operation <> 'Refused'" } else { "" };
        let rows = names(&mut admin, &format!("SELECT t::text FROM docperm.{name} t {but}"));
        picture.insert(format!("rows of docperm.{name}"), rows);
    }
    let sequences = names(
        &mut admin,
        "SELECT relname FROM pg_class WHERE relnamespace = 'docperm'::regnamespace AND relkind = 'S'
            AND relname <> 'activity_log_id_seq'",
    );
    for name in sequences {
        let state = texts(&mut admin, &format!("SELECT (last_value, is_called)::text FROM docperm.{name}"));
        picture.insert(format!("rows of docperm.{}", name.replace("_id_seq", " (sequence)")), state);
    }
    for name in names(
        &mut admin,
        "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')",
    ) {
        let rows = names(&mut admin, &format!("SELECT t::text FROM {name} t"));
        picture.insert(format!("rows of {name}"), rows);
    }
    for (what, sql) in [
        (
            "policies",
            "SELECT polrelid::regclass || ' ' || polname, polroles::text, coalesce(pg_get_expr(polqual, polrelid), '') ||
                    coalesce(pg_get_expr(polwithcheck, polrelid), '') FROM pg_policy ORDER BY 1",
        ),
        (
            "triggers",
            "SELECT tgrelid::regclass || ' ' || tgname, tgenabled::text, translate(pg_get_triggerdef(oid), '()', '') FROM pg_trigger
              WHERE NOT tgisinternal ORDER BY 1",
        ),
        ("event triggers", "SELECT evtname, evtenabled::text FROM pg_event_trigger ORDER BY 1"),
        (
            "row security",
            "SELECT oid::regclass::text, relrowsecurity::text, relforcerowsecurity::text FROM pg_class
              WHERE relnamespace IN ('public'::regnamespace, 'docperm'::regnamespace) AND relkind IN ('r', 'p') ORDER BY 1",
        ),
        (
            "privileges",
            "SELECT p.oid::regprocedure::text, a.grantee::regrole::text, a.privilege_type
               FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) a WHERE pronamespace = 'docperm'::regnamespace
             UNION ALL
             SELECT c.oid::regclass::text, a.grantee::regrole::text, a.privilege_type
               FROM pg_class c, aclexplode(coalesce(relacl, acldefault('r', relowner))) a
              WHERE relnamespace IN ('public'::regnamespace, 'docperm'::regnamespace) AND relkind IN ('r', 'p', 'v') ORDER BY 1, 2, 3",
        ),
        ("the doctor", "SELECT level, id, object, detail, remedy FROM docperm.doctor()"),
    ] {
        picture.insert(what.into(), table(&mut admin, sql).iter().map(|row| row.join(" | ")).collect());
    }

    let mut app = server.connect(app_role, database, None);
    let readable = names(
        &mut admin,
        &format!(
            "SELECT relation FROM docperm.doctypes WHERE relation IS NOT NULL
                AND has_table_privilege('{app_role}', relation, 'SELECT')"
        ),
    );
    for user in names(&mut admin, "SELECT name FROM docperm.users") {
        let act = format!("SELECT docperm.set_user('{user}', false)");
        if let Err(refused) = attempt(&mut app, &act) {
            picture.insert(format!("seen by {user}"), vec![refused.sqlstate]);
            continue;
        }
        for relation in &readable {
            let answer = match attempt(&mut app, &format!("SELECT t::text FROM {relation} t ORDER BY 1")) {
                Ok(messages) => rows_of(&messages).concat(),
                Err(refused) => vec![refused.sqlstate],
            };
            picture.insert(format!("seen by {user} in {relation}"), answer);
        }
    }
    picture
}

/// Compares part by part, so that what differs is what is shown.
#[track_caller]
fn same(before: &Picture, after: &Picture, left_out: &[&str]) {
    let keys: Vec<&String> = before.keys().collect();
    assert_eq!(keys, after.keys().collect::<Vec<_>>());
    let is_left_out = |key: &str| {
        left_out.iter().any(|table| {
            key.strip_prefix("rows of docperm.")
                .is_some_and(|name| name == *table || name.strip_suffix(" (sequence)") == Some(table))
        })
    };
    let mut wrong = vec![];
    for (key, expected) in before {
        let found = &after[key];
        if is_left_out(key) {
            if found.iter().any(|row| !row.starts_with("(1,f")) {
                wrong.push(format!("{key} must not come along: {found:#?}"));
            }
        } else if found != expected {
            let lost: Vec<_> = expected.iter().filter(|row| !found.contains(row)).collect();
            let came: Vec<_> = found.iter().filter(|row| !expected.contains(row)).collect();
            wrong.push(format!("{key}: lost {lost:#?}, came {came:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// That it says something.
fn is_telling(picture: &Picture) {
    for (key, rows) in picture {
        assert!(!key.starts_with("rows of docperm") || !rows.is_empty(), "{key}: there is nothing to lose");
    }
    let seen: Vec<_> = picture.iter().filter(|(key, _)| key.starts_with("seen by")).collect();
    assert!(seen.iter().any(|(_, rows)| rows.is_empty()) && seen.iter().any(|(_, rows)| rows.len() > 1));
}

/// It goes on working: permissions can be changed, trees move, new partitions are dressed, new rows get new numbers.
#[track_caller]
fn goes_on(server: &Server, database: &str, app_role: &str) {
    let mut admin = server.connect("postgres", database, None);
    let mut app = server.connect(app_role, database, None);
    set_user(&mut app, "ann@erp.test");
    assert_eq!(names(&mut app, "SELECT name FROM company"), ["A", "A-sub", "B"], "B is shared");
    docperm_testkit::run(
        &mut admin,
        "DELETE FROM docperm.shares WHERE doctype = 'Company';
         UPDATE company SET parent = 'B' WHERE name = 'A-sub';
         CREATE TABLE ledger_3 PARTITION OF ledger FOR VALUES FROM (20) TO (30);
         INSERT INTO ledger VALUES (21, 'A'), (22, NULL), (23, 'B');
         INSERT INTO docperm.activity_log (operation, status) VALUES ('Login', 'Failed');",
    );
    admin.batch_execute(&format!("GRANT SELECT ON ledger_3 TO {app_role}")).unwrap();
    assert_eq!(names(&mut app, "SELECT name FROM company"), ["A"]);
    assert_eq!(names(&mut app, "SELECT id FROM ledger_3"), ["21"]);
    docperm_testkit::run(
        &mut admin,
        "INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('ann@erp.test', 'Company', 'B')",
    );
    assert_eq!(names(&mut app, "SELECT name FROM company"), ["A", "A-sub", "B"]);
    assert_eq!(names(&mut app, "SELECT id FROM ledger_3"), ["21", "23"]);
    // Profiles are followed.
    docperm_testkit::run(
        &mut admin,
        "DELETE FROM docperm.role_profile_roles WHERE role = 'Owner';
         DELETE FROM docperm.module_profile_blocks;",
    );
    let followed = "SELECT role FROM docperm.user_roles WHERE user_name = 'kim@erp.test'
                    UNION ALL SELECT module FROM docperm.user_blocked_modules WHERE user_name = 'kim@erp.test'";
    assert!(names(&mut admin, followed).is_empty());
}

/// A file that goes when this does, a directory's content included.
struct Dump(PathBuf);

impl Dump {
    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    /// `pg_dump` with these arguments, into a file.
    fn of(w: &World, arguments: &[&str]) -> Dump {
        static NUMBERS: Mutex<u32> = Mutex::new(0);
        let number = {
            let mut last = NUMBERS.lock().unwrap();
            *last += 1;
            *last
        };
        let path = std::env::temp_dir().join(format!("docperm-dump-{}-{number}", std::process::id()));
        let dump = Dump(path);
        run_on(source(), "pg_dump", "postgres", w.db.name(), &[arguments, &["-f", dump.path()]].concat())
            .unwrap();
        dump
    }

    fn restore_by_psql(&self, database: &str) {
        let arguments = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", self.path()];
        run_on(target(), "psql", "postgres", database, &arguments).unwrap();
    }

    fn restore_by_pg_restore(&self, database: &str, arguments: &[&str]) {
        let arguments = [&["--exit-on-error"], arguments, &[self.path()]].concat();
        run_on(target(), "pg_restore", "postgres", database, &arguments).unwrap();
    }
}

impl Drop for Dump {
    fn drop(&mut self) {
        let _ = if self.0.is_dir() { fs::remove_dir_all(&self.0) } else { fs::remove_file(&self.0) };
    }
}

/// Roles are the cluster's: `pg_dumpall` brings them.
fn bring_roles() {
    static ONE_BY_ONE: Mutex<()> = Mutex::new(());
    let _turn = ONE_BY_ONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let roles = run_on(source(), "pg_dumpall", "postgres", "dbname=postgres", &["--roles-only"]).unwrap();
    let path = std::env::temp_dir().join(format!("docperm-roles-{}", std::process::id()));
    fs::write(&path, roles).unwrap();
    // Those that are there already are not made again.
    run_on(target(), "psql", "postgres", "postgres", &["-X", "-q", "-f", path.to_str().unwrap()]).unwrap();
    fs::remove_file(path).unwrap();
}

/// Dumps, restores into another cluster, compares.
#[track_caller]
fn there_and_back(restore: impl FnOnce(&World, &Database)) {
    let w = furnished(source());
    let before = picture(source(), w.db.name(), &w.app_role);
    is_telling(&before);
    bring_roles();
    let restored = target().empty_database();
    restore(&w, &restored);
    same(&before, &picture(target(), restored.name(), &w.app_role), &NOT_DUMPED);
    goes_on(target(), restored.name(), &w.app_role);
}

#[test]
fn through_psql() {
    there_and_back(|w, restored| Dump::of(w, &[]).restore_by_psql(restored.name()));
}

#[test]
fn through_psql_in_one_transaction() {
    there_and_back(|w, restored| {
        let dump = Dump::of(w, &["--disable-triggers"]);
        let arguments = ["-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", dump.path()];
        run_on(target(), "psql", "postgres", restored.name(), &arguments).unwrap();
    });
}

#[test]
fn as_inserts() {
    there_and_back(|w, restored| Dump::of(w, &["--column-inserts"]).restore_by_psql(restored.name()));
}

#[test]
fn through_pg_restore_in_parallel() {
    there_and_back(|w, restored| Dump::of(w, &["-Fc"]).restore_by_pg_restore(restored.name(), &["-j2"]));
}

#[test]
fn as_a_directory_in_parallel() {
    there_and_back(|w, restored| {
        Dump::of(w, &["-Fd", "-j2"]).restore_by_pg_restore(restored.name(), &["-j4"])
    });
}

#[test]
fn in_sections() {
    there_and_back(|w, restored| {
        let dump = Dump::of(w, &["-Fc"]);
        for section in ["pre-data", "data", "post-data"] {
            dump.restore_by_pg_restore(restored.name(), &["--section", section]);
        }
    });
}

#[test]
fn data_into_a_schema_that_is_there() {
    there_and_back(|w, restored| {
        Dump::of(w, &["--schema-only"]).restore_by_psql(restored.name());
        Dump::of(w, &["--data-only"]).restore_by_psql(restored.name());
    });
}

/// No trigger of docperm's makes way for the rows of the dump, and ENABLE TRIGGER ALL, with which it ends, leaves triggers
/// on that should always be on.
#[test]
fn data_with_all_triggers_disabled() {
    there_and_back(|w, restored| {
        Dump::of(w, &["--schema-only"]).restore_by_psql(restored.name());
        let mut admin = restored.admin();
        admin.batch_execute("SELECT docperm.prepare_data_restore()").unwrap();
        Dump::of(w, &["--data-only", "--disable-triggers"]).restore_by_psql(restored.name());
        let remedies = texts(
            &mut admin,
            "SELECT DISTINCT remedy FROM docperm.doctor() WHERE id IN ('own_trigger_disabled', 'trigger_disabled')",
        );
        assert!(!remedies.is_empty());
        admin.batch_execute("SET client_min_messages = warning").unwrap();
        for remedy in remedies {
            docperm_testkit::run(&mut admin, &remedy);
        }
    });
}

#[test]
fn preparing_for_data_is_for_superusers_and_erases_nothing_of_anybodys() {
    let w = furnished(source());
    let mut app = w.app();
    set_user(&mut app, "Administrator");
    assert_eq!(refused_with(&mut app, "SELECT docperm.prepare_data_restore()"), "42501");
    let before = picture(source(), w.db.name(), &w.app_role);
    let mut admin = w.db.admin();
    assert_eq!(refused_with(&mut admin, "SELECT docperm.prepare_data_restore()"), "55000");
    same(&before, &picture(source(), w.db.name(), &w.app_role), &[]);
    // Also where only one thing is somebody's.
    for mine in [
        "INSERT INTO docperm.users (name) VALUES ('ann@erp.test')",
        "INSERT INTO docperm.roles (name) VALUES ('Reader')",
        "CREATE TABLE memo (name text PRIMARY KEY); SELECT docperm.protect('memo', 'Memo')",
    ] {
        let db = source().database();
        let mut admin = db.admin();
        docperm_testkit::run(&mut admin, mine);
        assert_eq!(refused_with(&mut admin, "SELECT docperm.prepare_data_restore()"), "55000", "{mine}");
    }
}

/// Parallel jobs that lock rows of users and roles before they take turns wait for each other.
#[test]
fn jobs_that_restore_take_turns_before_they_touch_anything() {
    let db = source().database();
    let mut restoring = [db.admin(), db.admin()];
    for job in &mut restoring {
        job.batch_execute(
            "SET row_security = off; SET check_function_bodies = off; SET lock_timeout = '50ms'",
        )
        .unwrap();
    }
    let [first, second] = &mut restoring;
    let tables = table(
        &mut db.admin(),
        "SELECT c.relname, (SELECT quote_ident(attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND attnum > 0 AND attgenerated = '' LIMIT 1)
           FROM pg_class c, pg_extension e WHERE e.extname = 'docperm' AND c.oid = ANY (extconfig) AND c.relkind = 'r'",
    );
    assert!(tables.len() > 20);
    for row in &tables {
        let (name, column) = (&row[0], &row[1]);
        let nothing =
            format!("INSERT INTO docperm.{name} ({column}) SELECT {column} FROM docperm.{name} WHERE false");
        first.batch_execute("BEGIN").unwrap();
        first.batch_execute(&nothing).unwrap();
        assert_eq!(refused_with(second, &nothing), "55P03", "{name}");
        first.batch_execute("ROLLBACK").unwrap();
        second.batch_execute(&nothing).unwrap();
    }
    // Nobody else waits.
    first.batch_execute("BEGIN; INSERT INTO docperm.modules SELECT WHERE false").unwrap();
    db.admin()
        .batch_execute("SET lock_timeout = '50ms'; INSERT INTO docperm.roles (name) VALUES ('Reader')")
        .unwrap();
}

/// As in the middle of pg_upgrade and of restores: tables, policies and rows of documents are there, docperm's own are not.
#[test]
fn without_docperms_rows_everything_is_closed() {
    let w = furnished(source());
    bring_roles();
    for is_empty in [false, true] {
        let restored = target().empty_database();
        Dump::of(&w, &["--schema-only"]).restore_by_psql(restored.name());
        Dump::of(&w, &["--data-only", "-n", "public"]).restore_by_psql(restored.name());
        let mut admin = restored.admin();
        if is_empty {
            admin.batch_execute("SELECT docperm.prepare_data_restore()").unwrap();
            assert_eq!(one(&mut admin, "SELECT count(*) FROM docperm.settings"), "0");
        }
        assert_eq!(one(&mut admin, "SELECT count(*) FROM sales_order"), "4");
        for user in ["ann@erp.test", "Administrator", "Guest", ""] {
            let mut app = restored.connect_as(&w.app_role);
            if !user.is_empty() {
                let _ = attempt(&mut app, &format!("SELECT docperm.set_user('{user}', false)"));
            }
            for relation in
                ["company", "sales_order", "sales_order_item", "ledger", "ledger_1", "memo", "\"Odd table\""]
            {
                for statement in [
                    format!("SELECT * FROM {relation}"),
                    format!("DELETE FROM {relation}"),
                    format!("INSERT INTO {relation} DEFAULT VALUES"),
                ] {
                    let refused = attempt(&mut app, &statement);
                    assert!(refused.is_err(), "{user}: {statement}: {refused:?}");
                }
            }
            for question in [
                "SELECT docperm.has_permission('Sales Order', 'read', '1')",
                "SELECT count(*) FROM docperm.permitted_documents('Sales Order')",
                "SELECT docperm.login('ann@erp.test', 'correct horse')",
                "SELECT docperm.resume(repeat('a', 43))",
                "SELECT count(*) FROM docperm.doctor()",
            ] {
                if let Ok(messages) = attempt(&mut app, question) {
                    let answer = rows_of(&messages).concat();
                    let is_administrator =
                        user == "Administrator" && question.contains("doctor") && !is_empty;
                    assert!(
                        is_administrator || answer == ["f"] || answer == ["0"],
                        "{user}: {question}: {answer:?}"
                    );
                }
            }
        }
        // Superusers, who repair it, are told what is the matter.
        let found = names(&mut admin, "SELECT id FROM docperm.doctor() WHERE id = 'not_looked_for'");
        assert!(found.is_empty(), "{found:?}");
    }
}

#[test]
fn through_pg_upgrade() {
    let old: &'static Server = Box::leak(Box::new(Server::private(&[])));
    // Its database goes with its cluster, so nothing is to be dropped.
    let w = std::mem::ManuallyDrop::new(furnished(old));
    let before = picture(old, w.db.name(), &w.app_role);
    is_telling(&before);
    let new = old.upgraded();
    // Files are taken over, so the sessions are still there, too.
    same(&before, &picture(&new, w.db.name(), &w.app_role), &[]);
    goes_on(&new, w.db.name(), &w.app_role);
}

#[test]
fn a_dump_of_a_dump_is_the_same() {
    let w = furnished(source());
    bring_roles();
    let restored = target().empty_database();
    Dump::of(&w, &["-Fc"]).restore_by_pg_restore(restored.name(), &[]);
    let text = |server: &Server, database: &str| {
        let dump = run_on(server, "pg_dump", "postgres", database, &[]).unwrap();
        let mut lines: Vec<String> = String::from_utf8(dump)
            .unwrap()
            .lines()
            // Comments hold object numbers, and newer versions of pg_dump a random key.
            .filter(|line| !line.starts_with("--") && !line.starts_with("\\"))
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(text(target(), restored.name()), text(source(), w.db.name()));
}

#[test]
fn somebody_who_is_filtered_gets_an_error_and_not_half_a_dump() {
    let w = furnished(source());
    let refused =
        run_on(source(), "pg_dump", &w.app_role, w.db.name(), &["-t", "sales_order", "--data-only"]);
    assert!(refused.unwrap_err().contains("row-level security"));
}

#[test]
fn what_is_not_dumped_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/backup.md")).unwrap();
    let documented: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `docperm."))
        .filter_map(|line| line.split_once('`'))
        .map(|(table, _)| table)
        .collect();
    assert_eq!(documented, NOT_DUMPED);
    let db = source().database();
    let left_out = names(
        &mut db.admin(),
        "SELECT relname FROM pg_class c WHERE relnamespace = 'docperm'::regnamespace AND relkind = 'r'
            AND NOT EXISTS (SELECT FROM pg_extension, unnest(extconfig, extcondition) AS k (relation, condition)
                             WHERE extname = 'docperm' AND k.relation = c.oid AND k.condition <> 'WHERE false')",
    );
    assert_eq!(left_out, NOT_DUMPED);
}
