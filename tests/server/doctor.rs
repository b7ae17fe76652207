//! `docperm.doctor()`: finds what was planted, its remedies put it right, and it has nothing to say where nothing is wrong.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock};

use crate::doctor_faults::{FAULTS, Fault, Remedy};
use crate::support::{attempt, names, one, refused_with, run_on, set_user, table};
use docperm_testkit::{Database, Server};
use postgres::Client;

/// Some faults are the cluster's, such as superusers, so these tests have a server to themselves, one after the other.
fn alone() -> (&'static Server, MutexGuard<'static, ()>) {
    static SERVER: OnceLock<Server> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let server = SERVER.get_or_init(|| {
        let server = Server::private(&[]);
        let mut admin = server.connect("postgres", "postgres", None);
        admin.batch_execute("CREATE ROLE company_app LOGIN").unwrap();
        server
    });
    (server, turn)
}

/// A company in which nothing is wrong.
const COMPANY: &str = "
    CREATE TABLE company (name text PRIMARY KEY, parent text REFERENCES company);
    CREATE TABLE customer (name text PRIMARY KEY, company text REFERENCES company);
    CREATE TABLE sales_order (name text PRIMARY KEY, owner text, company text REFERENCES company,
                              customer text REFERENCES customer, tags jsonb);
    CREATE TABLE sales_order_item (id int PRIMARY KEY,
                                   sales_order text REFERENCES sales_order ON UPDATE CASCADE ON DELETE CASCADE);
    CREATE TABLE ledger (id int PRIMARY KEY, company text) PARTITION BY RANGE (id);
    CREATE TABLE ledger_1 PARTITION OF ledger FOR VALUES FROM (0) TO (10);
    INSERT INTO company VALUES ('A', NULL), ('B', 'A');
    SELECT docperm.protect('company',          'Company', tree_parent_column => 'parent');
    SELECT docperm.protect('customer',         'Customer');
    SELECT docperm.protect('sales_order',      'Sales Order', owner_column => 'owner');
    SELECT docperm.protect('sales_order_item', 'Sales Order Item', parent_doctype => 'Sales Order', parent_column => 'sales_order');
    SELECT docperm.protect('ledger',           'Ledger');
    INSERT INTO docperm.roles (name) VALUES ('Sales User');
    INSERT INTO docperm.users (name, first_name) VALUES ('ann@erp.test', 'Ann'), ('bob@erp.test', 'Bob');
    INSERT INTO docperm.user_roles SELECT name, 'Sales User' FROM docperm.users WHERE name LIKE '%@%';
    INSERT INTO docperm.role_permissions (doctype, role, rights)
    SELECT d.name, 'Sales User', '{read,write,create}' FROM docperm.doctypes d
     WHERE d.relation::text IN ('company', 'customer', 'sales_order', 'ledger');
    INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('ann@erp.test', 'Company', 'A');
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO company_app;
    GRANT EXECUTE ON FUNCTION docperm.set_user(text, boolean) TO company_app;";

/// Runs statements one by one, as psql does. None of them holds a semicolon in a literal.
fn each(client: &mut Client, statements: &str) -> Result<(), String> {
    for statement in statements.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        attempt(client, statement).map_err(|error| format!("{statement}: {error:?}"))?;
    }
    Ok(())
}

/// The findings: level, id, object, remedy.
fn findings(client: &mut Client) -> Vec<Vec<String>> {
    table(client, "SELECT level, id, object, remedy FROM docperm.doctor()")
}

/// Errors and warnings.
fn complaints(client: &mut Client) -> Vec<Vec<String>> {
    findings(client).into_iter().filter(|finding| finding[0] != "info").collect()
}

fn forget_roles(server: &Server) {
    let mut admin = server.connect("postgres", "postgres", None);
    for role in names(&mut admin, "SELECT rolname FROM pg_roles WHERE rolname ~ '^doc_'") {
        admin.batch_execute(&format!("DROP ROLE {role}")).unwrap();
    }
}

fn company(server: &'static Server) -> Database {
    let db = server.database();
    let mut admin = db.admin();
    admin.batch_execute("SET client_min_messages = warning").unwrap();
    docperm_testkit::run(&mut admin, COMPANY);
    db
}

/// What is wrong with how the doctor deals with one fault.
fn trial(db: &Database, fault: &Fault) -> Result<(), String> {
    let mut admin = db.admin();
    admin.batch_execute("SET client_min_messages = error").unwrap();
    admin.simple_query(fault.plant).map_err(|error| format!("cannot be planted: {error:?}"))?;

    // Settings of the database count from the next connection on.
    let mut admin = db.admin();
    admin.batch_execute("SET client_min_messages = error").unwrap();
    let all = findings(&mut admin);
    let found: Vec<_> = all.iter().filter(|finding| finding[1] == fault.id).collect();
    if !found.iter().any(|finding| finding[2] == fault.object) {
        return Err(format!("is not found: {all:#?}"));
    }
    if fault.id != "not_looked_for" && all.iter().any(|finding| finding[1] == "not_looked_for") {
        return Err(format!("stops another finding: {all:#?}"));
    }
    let is_comment = found[0][3].starts_with("--");
    match fault.remedy {
        Remedy::NotHere => return if is_comment { Err("its remedy is a comment".into()) } else { Ok(()) },
        Remedy::Decides if !is_comment => return Err(format!("somebody has to decide: {found:#?}")),
        Remedy::Decides => return Ok(()),
        Remedy::Runs => {}
    }
    // One remedy may put right what another finding is about as well.
    let mut last = found[0][3].clone();
    for _ in 0..5 {
        each(&mut admin, &last).map_err(|error| format!("its remedy does not run: {error}"))?;
        match findings(&mut db.admin()).into_iter().find(|finding| finding[1] == fault.id) {
            Some(finding) => last.clone_from(&finding[3]),
            None => return Ok(()),
        }
    }
    Err(format!("is still there: {last}"))
}

#[test]
fn every_planted_fault_is_found_and_its_remedy_puts_it_right() {
    let (server, _turn) = alone();
    let mut wrong = vec![];
    for fault in FAULTS {
        let db = company(server);
        if let Err(why) = trial(&db, fault) {
            wrong.push(format!("{} ({}) {why}", fault.id, fault.plant));
        }
        drop(db);
        forget_roles(server);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_findings_are_those_of_the_documentation_and_each_is_planted() {
    let (server, _turn) = alone();
    let db = server.database();
    let mut admin = db.admin();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/doctor.md")).unwrap();
    // | `id` | level | ... |
    let documented: BTreeSet<(String, String)> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split_once("` | "))
        .filter_map(|(id, rest)| Some((id.to_owned(), rest.split(' ').next()?.to_owned())))
        .filter(|(_, level)| ["error", "warning", "info"].contains(&&**level))
        .collect();
    let mut known: BTreeSet<(String, String)> =
        table(&mut admin, "SELECT id, level FROM docperm._doctor_findings()")
            .into_iter()
            .map(|row| (row[0].clone(), row[1].clone()))
            .collect();
    known.insert(("not_looked_for".into(), "error".into()));
    assert_eq!(documented, known);

    let planted: BTreeSet<&str> = FAULTS.iter().map(|fault| fault.id).collect();
    assert_eq!(planted, known.iter().map(|(id, _)| id.as_str()).collect());

    let mut functions = names(
        &mut admin,
        "SELECT substr(proname, 9) FROM pg_proc WHERE pronamespace = 'docperm'::regnamespace AND proname ~ '^_doctor_'
            AND proname <> '_doctor_findings'",
    );
    functions.push("not_looked_for".into());
    functions.sort();
    assert_eq!(functions, known.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>());
    assert_eq!(
        one(
            &mut admin,
            "SELECT string_agg(DISTINCT level, ' ') FROM (SELECT level, lag(level, 1, level) OVER () AS before, id
                FROM docperm._doctor_findings()) AS f WHERE (level, before) IN (('error', 'warning'), ('error', 'info'), ('warning', 'info'))"
        ),
        "NULL",
        "the worst come first"
    );
}

#[test]
fn a_clean_database_gives_no_reason_to_complain() {
    let (server, _turn) = alone();
    let nothing: Vec<Vec<String>> = vec![];
    let db = server.database();
    assert_eq!(findings(&mut db.admin()), nothing, "after CREATE EXTENSION");
    let db = company(server);
    assert_eq!(findings(&mut db.admin()), nothing, "with everything there is");
}

#[test]
fn the_demo_gives_no_reason_to_complain() {
    let (server, _turn) = alone();
    let db = server.empty_database();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for script in ["demo/company.sql", "demo/permissions.sql"] {
        let path = root.join(script);
        let arguments = ["-X", "-q", "-o", "/dev/null", "-f", path.to_str().unwrap()];
        run_on(server, "psql", "postgres", db.name(), &arguments).unwrap();
    }
    let found = complaints(&mut db.admin());
    let mut admin = db.admin();
    admin.batch_execute("DROP OWNED BY erp_app, bi_reader; DROP ROLE erp_app, bi_reader").unwrap();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn it_is_for_administrators_and_tells_them_no_password_but_those_they_may_set() {
    let (server, _turn) = alone();
    let db = company(server);
    let mut admin = db.admin();
    docperm_testkit::run(
        &mut admin,
        "INSERT INTO docperm.users (name) VALUES ('sue@erp.test'), ('max@erp.test');
         INSERT INTO docperm.user_roles VALUES ('sue@erp.test', 'System Manager'), ('max@erp.test', 'System Manager');
         INSERT INTO docperm.passwords (user_name, password_hash)
         SELECT name, docperm._hash_password('admin', 64, 1, 1) FROM unnest('{Administrator,max@erp.test,ann@erp.test}'::text[]) AS name;
         ALTER TABLE customer DISABLE ROW LEVEL SECURITY;",
    );
    let mut app = db.connect_as("company_app");
    for stranger in ["Guest", "ann@erp.test"] {
        set_user(&mut app, stranger);
        assert_eq!(refused_with(&mut app, "SELECT * FROM docperm.doctor()"), "42501", "{stranger}");
        assert_eq!(refused_with(&mut app, "SELECT * FROM docperm._doctor_password_guessable()"), "42501");
    }
    let guessable = |client: &mut Client| {
        names(client, "SELECT object FROM docperm.doctor() WHERE id = 'password_guessable'")
    };
    set_user(&mut app, "sue@erp.test");
    assert_eq!(
        guessable(&mut app),
        ["user 'max@erp.test'"],
        "only administrators, and not the Administrator"
    );
    assert!(findings(&mut app).iter().any(|finding| finding[1] == "row_security_off"));
    set_user(&mut app, "Administrator");
    assert_eq!(guessable(&mut app), ["user 'Administrator'", "user 'max@erp.test'"]);
    assert_eq!(guessable(&mut admin), ["user 'Administrator'", "user 'max@erp.test'"]);
    // A superuser who has become somebody asks as that user.
    set_user(&mut admin, "ann@erp.test");
    assert_eq!(refused_with(&mut admin, "SELECT * FROM docperm.doctor()"), "42501");
}

#[test]
fn what_it_looks_at_runs_nobodys_code() {
    let (server, _turn) = alone();
    let db = company(server);
    let mut admin = db.admin();
    // An owner's operators, domains, output functions and index expressions would run as superuser.
    docperm_testkit::run(
        &mut admin,
        "CREATE SEQUENCE ran;
         CREATE ROLE doc_owner; GRANT CREATE ON SCHEMA public TO doc_owner; GRANT ALL ON ran TO doc_owner;
         SET ROLE doc_owner;
         CREATE FUNCTION trap(v text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
             $$ BEGIN PERFORM nextval('public.ran'); RETURN true; END $$;
         CREATE DOMAIN key AS text CHECK (trap(VALUE));
         CREATE TABLE own (name key PRIMARY KEY, parent text, company text);
         CREATE TABLE own_row (id int PRIMARY KEY, own key);
         INSERT INTO own VALUES ('x'); INSERT INTO own_row VALUES (1, 'y');
         CREATE INDEX ON own ((trap(name)));
         CREATE FUNCTION text(own) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM trap('cast'); RETURN ''; END $$;
         RESET ROLE;
         SELECT docperm.protect('own', 'Own', tree_parent_column => 'parent');
         SELECT docperm.protect('own_row', 'Own Row', parent_doctype => 'Own', parent_column => 'own');
         INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ('bob@erp.test', 'Own', 'x'), ('bob@erp.test', 'Own', 'z');
         SELECT setval('ran', 1, false);",
    );
    let found = findings(&mut admin);
    for id in ["orphaned_rows", "user_permission_unknown_document"] {
        assert!(found.iter().any(|finding| finding[1] == id), "{id}: {found:#?}");
    }
    assert!(!found.iter().any(|finding| finding[1] == "not_looked_for"), "{found:#?}");
    assert_eq!(one(&mut admin, "SELECT is_called FROM ran"), "f", "nothing of the owner's was called");
    admin.batch_execute("DROP OWNED BY doc_owner").unwrap();
    forget_roles(server);
}

#[test]
fn odd_names_and_catalogs_do_not_stop_it() {
    let (server, _turn) = alone();
    let db = server.database();
    let mut admin = db.admin();
    admin.batch_execute("SET client_min_messages = warning").unwrap();
    let odd = r#"It's "odd" \ 'é'"#;
    docperm_testkit::run(
        &mut admin,
        &format!(
            r#"CREATE SCHEMA "Odd; schema";
               CREATE TABLE "Odd; schema"."Ta""ble" (gone int, "The key" int PRIMARY KEY, "select" int, "Owner" text, tree int);
               ALTER TABLE "Odd; schema"."Ta""ble" DROP COLUMN gone;
               ALTER TABLE "Odd; schema"."Ta""ble" ADD FOREIGN KEY ("select") REFERENCES "Odd; schema"."Ta""ble";
               CREATE TABLE "Odd; schema".deep (k int, p int, x text, PRIMARY KEY (k, p)) PARTITION BY LIST (p);
               CREATE TABLE "Odd; schema".deep_1 PARTITION OF "Odd; schema".deep FOR VALUES IN (1) PARTITION BY LIST (p);
               CREATE TABLE "Odd; schema".deep_1_1 PARTITION OF "Odd; schema".deep_1 FOR VALUES IN (1);
               CREATE TABLE "Odd; schema".deep_default PARTITION OF "Odd; schema".deep DEFAULT;
               CREATE TABLE grown (name text PRIMARY KEY); CREATE TABLE grown_1 (more int) INHERITS (grown);
               SELECT docperm.protect('"Odd; schema"."Ta""ble"', {odd}, tree_parent_column => 'tree', owner_column => 'Owner');
               SELECT docperm.protect('"Odd; schema".deep', 'Deep; one', name_column => 'k');
               SELECT docperm.protect('grown', 'Grown');
               CREATE TABLE lines (n int, parent int, parenttype text);
               SELECT docperm.protect('lines', 'Lines', parent_column => 'parent', parenttype_column => 'parenttype');
               ALTER TABLE "Odd; schema"."Ta""ble" DISABLE ROW LEVEL SECURITY;
               DROP POLICY docperm_select ON "Odd; schema".deep_1_1;
               DROP TRIGGER docperm_document_deleted ON grown_1;
               CREATE ROLE "doc_Odd; role" LOGIN; GRANT TRUNCATE ON "Odd; schema"."Ta""ble" TO "doc_Odd; role";
               CREATE VIEW "Odd; schema"."Vi""ew" AS SELECT * FROM "Odd; schema".deep;
               CREATE TEMP TABLE passing (name text PRIMARY KEY)"#,
            odd = literal_with_backslash(odd),
        ),
    );
    let found = findings(&mut admin);
    let found: Vec<(&str, &str)> =
        found.iter().filter(|f| f[0] != "info").map(|f| (&*f[1], &*f[2])).collect();
    let table = r#""Odd; schema"."Ta""ble""#;
    assert_eq!(
        found,
        [
            ("policy_missing", r#""Odd; schema".deep_1_1"#),
            ("row_security_off", table),
            ("trigger_missing", "public.grown_1"),
            ("view_unfiltered", r#""Odd; schema"."Vi""ew""#),
            ("truncate_granted", table),
        ]
    );
    for finding in findings(&mut admin).iter().filter(|finding| finding[0] != "info") {
        // One statement each, whose names hold semicolons.
        attempt(&mut admin, &finding[3]).unwrap_or_else(|error| panic!("{finding:#?}\n{error:#?}"));
    }
    let left = complaints(&mut admin);
    assert!(left.is_empty(), "{left:#?}");
    drop(admin);
    drop(db);
    let mut admin = server.connect("postgres", "postgres", None);
    admin.batch_execute(r#"DROP ROLE "doc_Odd; role""#).unwrap();
}

/// With a backslash, which stands for itself.
fn literal_with_backslash(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Whoever adds a trigger to protected tables tells the doctor, who otherwise would not miss it.
#[test]
fn the_triggers_it_expects_are_those_that_tables_get() {
    let (server, _turn) = alone();
    let db = company(server);
    let mut admin = db.admin();
    admin.batch_execute("SET client_min_messages = warning").unwrap();
    docperm_testkit::run(
        &mut admin,
        "CREATE TABLE tree (name text PRIMARY KEY, up text, lft int, rgt int, owner text, company text REFERENCES company,
                            docstatus int DEFAULT 0, amended_from text, creation timestamptz, modified timestamptz, modified_by text);
         SELECT docperm.protect('tree', 'Tree', tree_parent_column => 'up', owner_column => 'owner', docstatus_column => 'docstatus',
                                amended_from_column => 'amended_from', fill_defaults => true, creation_column => 'creation',
                                modified_column => 'modified', modified_by_column => 'modified_by', track_changes => true);
         CREATE TABLE tree_row (id int PRIMARY KEY, tree text REFERENCES tree ON UPDATE CASCADE ON DELETE CASCADE, company text REFERENCES company);
         SELECT docperm.protect('tree_row', 'Tree Row', parent_doctype => 'Tree', parent_column => 'tree', fill_defaults => true, track_changes => true);
         CREATE TABLE parts (k int, up int, docstatus int, at timestamptz, PRIMARY KEY (k)) PARTITION BY RANGE (k);
         CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
         SELECT docperm.protect('parts', 'Parts', tree_parent_column => 'up', docstatus_column => 'docstatus', fill_defaults => true,
                                modified_column => 'at', track_changes => true);
         CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
         SELECT docperm.set_field('Tree', 'company', requires_select => true, permlevel => 1);
         CREATE TABLE grown (name text PRIMARY KEY, docstatus int); CREATE TABLE grown_1 () INHERITS (grown);
         ALTER TABLE parts ADD COLUMN company text REFERENCES company; SELECT docperm.protect('parts', 'Parts');
         SELECT docperm.set_field('Parts', 'company', requires_select => true);
         SELECT docperm.protect('grown', 'Grown', docstatus_column => 'docstatus', track_changes => true);",
    );
    let expected = table(
        &mut admin,
        "SELECT relation, name FROM docperm._expected_triggers() AS e ORDER BY relation::text, name",
    );
    let there = table(
        &mut admin,
        "SELECT t.tgrelid::regclass, t.tgname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
          WHERE p.pronamespace = 'docperm'::regnamespace AND NOT t.tgisinternal
            AND t.tgrelid IN (SELECT relation FROM docperm._protected_tables())
            AND t.tgrelid::regclass::text NOT LIKE 'docperm.%'
          ORDER BY tgrelid::regclass::text, tgname",
    );
    assert_eq!(expected, there);
    let found = findings(&mut admin);
    let found: Vec<_> = found.iter().filter(|finding| finding[1].starts_with("trigger_")).collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// As above, of docperm's own tables: those that fire always are those that the doctor wants to.
#[test]
fn the_triggers_that_fire_always_are_those_it_asks_for() {
    let (server, _turn) = alone();
    let db = server.database();
    let differ = names(
        &mut db.admin(),
        "SELECT DISTINCT tgname || ' ' || tgenabled::text FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
          WHERE relnamespace = 'docperm'::regnamespace AND NOT tgisinternal
            AND docperm._fires_always(tgname) IS DISTINCT FROM (tgenabled = 'A')",
    );
    assert_eq!(differ, [""; 0]);
}

#[test]
fn it_only_reads() {
    let (server, _turn) = alone();
    let db = company(server);
    let mut admin = db.admin();
    admin.batch_execute("ALTER TABLE customer DISABLE ROW LEVEL SECURITY").unwrap();
    admin.batch_execute("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY").unwrap();
    assert_eq!(names(&mut admin, "SELECT id FROM docperm.doctor()"), ["row_security_off"]);
}
