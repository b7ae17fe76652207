//! A dump carries docperm along: the same people see the same rows in the restored database.

use crate::support::{World, names, run, set_user, table};
use docperm_testkit::{Database, server};
use postgres::Client;

const USERS: [&str; 5] = ["ann@erp.test", "bob@erp.test", "kim@erp.test", "Administrator", "Guest"];
const TABLES: [&str; 4] = ["company", "sales_order", "ledger", "\"Odd table\""];

/// A bit of everything that docperm puts into a database.
fn furnished() -> World {
    let mut w = World::new(
        r#"CREATE TABLE company (name text PRIMARY KEY, parent text REFERENCES company);
         CREATE TABLE sales_order (id int PRIMARY KEY, owner text, company text REFERENCES company);
         CREATE TABLE ledger (id int PRIMARY KEY, company text) PARTITION BY RANGE (id);
         CREATE TABLE ledger_1 PARTITION OF ledger FOR VALUES FROM (0) TO (10);
         CREATE TABLE ledger_2 PARTITION OF ledger FOR VALUES FROM (10) TO (20);
         CREATE TABLE "Odd table" ("the key" uuid PRIMARY KEY, "select" text);
         INSERT INTO company VALUES ('A', NULL), ('A-sub', 'A'), ('B', NULL);
         INSERT INTO sales_order VALUES (1, 'ann@erp.test', 'A'), (2, 'bob@erp.test', 'A-sub'), (3, NULL, 'B'), (4, NULL, NULL);
         INSERT INTO ledger VALUES (1, 'A'), (2, 'B'), (11, 'A-sub'), (12, NULL);
         INSERT INTO "Odd table" VALUES ('0188b0a1-0000-7000-8000-00000000000a', 'B'), ('0188b0a1-0000-7000-8000-00000000000b', 'A');
         SELECT docperm.protect('ledger', 'Ledger');
         SELECT docperm.protect('"Odd table"', 'Odd "one"', force => false);
         SELECT docperm.protect('sales_order', 'Sales Order', owner_column => 'owner');
         SELECT docperm.protect('company', 'Company', tree_parent_column => 'parent');
         SELECT docperm.set_field('Ledger', 'company', link_to => 'Company');
         SELECT docperm.set_field('Odd "one"', 'select', link_to => 'Company');
         INSERT INTO docperm.rights (name) VALUES ('approve');
         UPDATE docperm.settings SET strict_user_permissions = 'blank_links';
         UPDATE docperm.doctypes SET deny_by_default = false WHERE name = 'Company';
         UPDATE docperm.settings SET enable_two_factor_auth = true, otp_issuer_name = 'Acme';"#,
    );
    w.user("ann@erp.test", &["Reader"]);
    w.user("bob@erp.test", &["Reader", "Owner"]);
    w.user("kim@erp.test", &["Owner"]);
    for doctype in ["Company", "Sales Order", "Ledger", "Odd \"one\""] {
        w.rule(doctype, "Reader", "{read,approve}");
    }
    w.rule_if_owner("Sales Order", "Owner", "{read,write}");
    w.rule("Company", "Guest", "{read}");
    w.allow("ann@erp.test", "Company", "A");
    w.allow("ann@erp.test", "Odd \"one\"", "0188b0a1-0000-7000-8000-00000000000b");
    w.allow_node_only("bob@erp.test", "Company", "A");
    w.allow_for("bob@erp.test", "Company", "B", "Ledger");
    w.sql(
        r#"UPDATE docperm.roles SET two_factor_auth = true WHERE name IN ('All', 'Reader');
           INSERT INTO docperm.two_factor VALUES ('ann@erp.test', 'docperm1.x.y', now(), now(), 42);
           INSERT INTO docperm.login_providers VALUES ('Example', 'https://id.test', 'erp', '{"keys": [{"kty": "OKP", "crv": "Ed25519",
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}', true, true, false);
           INSERT INTO docperm.user_identities VALUES ('Example', '248289761001', 'ann@erp.test');"#,
    );
    let role = w.db.login_role("reporting");
    w.sql(&format!(
        "UPDATE docperm.users SET db_role = '{role}' WHERE name = 'ann@erp.test';
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};"
    ));
    w
}

/// What everybody sees in every table.
fn seen(c: &mut Client) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for user in USERS {
        set_user(c, user);
        for name in TABLES {
            all.push(names(c, &format!("SELECT t::text FROM {name} t")));
        }
    }
    all
}

/// Policies, triggers and row security, and the rows of docperm's own tables.
fn catalog(c: &mut Client) -> Vec<Vec<String>> {
    let mut found = table(
        c,
        "SELECT polrelid::regclass || ' ' || polname, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)
           FROM pg_policy
         UNION ALL
         SELECT tgrelid::regclass || ' ' || tgname, tgenabled::text, pg_get_triggerdef(oid) FROM pg_trigger
          WHERE NOT tgisinternal
         UNION ALL
         SELECT oid::regclass::text, relrowsecurity::text, relforcerowsecurity::text FROM pg_class
          WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
         ORDER BY 1, 2, 3",
    );
    let tables = names(
        c,
        "SELECT relname FROM pg_class WHERE relnamespace = 'docperm'::regnamespace AND relkind = 'r' ORDER BY 1",
    );
    for name in tables {
        found.push(names(c, &format!("SELECT '{name} ' || t::text FROM docperm.{name} t")));
    }
    found
}

#[track_caller]
fn same_after(w: &mut World, restored: &Database) {
    let mut before = w.app();
    let mut after = restored.connect_as(&w.app_role);
    let expected = seen(&mut before);
    assert!(expected.iter().any(|rows| rows.is_empty()) && expected.iter().any(|rows| rows.len() > 1));
    assert_eq!(seen(&mut after), expected);
    let mut admin = restored.admin();
    assert_eq!(catalog(&mut admin), catalog(&mut w.admin));
    let always = "SELECT DISTINCT tgenabled FROM pg_trigger
                   WHERE tgname LIKE 'docperm%' AND tgname NOT IN ('docperm_tree_replicated', 'docperm_keep_constants')
                     AND NOT tgisinternal";
    assert_eq!(names(&mut admin, always), ["A"], "triggers that invalidate fire always");

    // It goes on working: permissions can be changed, trees move, new partitions are dressed.
    admin
        .batch_execute(
            "INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('ann@erp.test', 'Company', 'B');
             UPDATE company SET parent = 'B' WHERE name = 'A-sub';
             CREATE TABLE ledger_3 PARTITION OF ledger FOR VALUES FROM (20) TO (30);
             INSERT INTO ledger VALUES (21, 'B'), (22, NULL);",
        )
        .unwrap();
    admin.batch_execute(&format!("GRANT SELECT ON ledger_3 TO {}", w.app_role)).unwrap();
    set_user(&mut after, "ann@erp.test");
    assert_eq!(names(&mut after, "SELECT name FROM company"), ["A", "A-sub", "B"]);
    assert_eq!(names(&mut after, "SELECT id FROM ledger_3"), ["21"]);
}

#[test]
fn through_psql() {
    let mut w = furnished();
    let dump = run("pg_dump", "postgres", w.db.name(), &[]).unwrap();
    let restored = server().empty_database();
    let path = std::env::temp_dir().join(format!("docperm-dump-{}.sql", restored.name()));
    std::fs::write(&path, dump).unwrap();
    let done = run(
        "psql",
        "postgres",
        restored.name(),
        &["-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", path.to_str().unwrap()],
    );
    std::fs::remove_file(&path).unwrap();
    done.unwrap();
    same_after(&mut w, &restored);
}

#[test]
fn through_pg_restore_in_parallel() {
    let mut w = furnished();
    let dump = run("pg_dump", "postgres", w.db.name(), &["-Fc"]).unwrap();
    let restored = server().empty_database();
    let path = std::env::temp_dir().join(format!("docperm-dump-{}.custom", restored.name()));
    std::fs::write(&path, dump).unwrap();
    let done =
        run("pg_restore", "postgres", restored.name(), &["--exit-on-error", "-j2", path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    done.unwrap();
    same_after(&mut w, &restored);
}

#[test]
fn a_dump_of_a_dump_is_the_same() {
    let w = furnished();
    let first = run("pg_dump", "postgres", w.db.name(), &["-Fc"]).unwrap();
    let path = std::env::temp_dir().join(format!("docperm-dump-{}-twice.custom", w.db.name()));
    std::fs::write(&path, first).unwrap();
    let restored = server().empty_database();
    let done = run("pg_restore", "postgres", restored.name(), &["--exit-on-error", path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    done.unwrap();
    let text = |database: &str| {
        let mut lines: Vec<String> = String::from_utf8(run("pg_dump", "postgres", database, &[]).unwrap())
            .unwrap()
            .lines()
            // Comments hold object numbers, and newer versions of pg_dump a random key.
            .filter(|line| !line.starts_with("--") && !line.starts_with("\\"))
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(text(restored.name()), text(w.db.name()));
}

#[test]
fn somebody_who_is_filtered_gets_an_error_and_not_half_a_dump() {
    let w = furnished();
    let refused = run("pg_dump", &w.app_role, w.db.name(), &["-t", "sales_order", "--data-only"]);
    assert!(refused.unwrap_err().contains("row-level security"));
}
