//! What the tests share: a database with a handful of helpers, and one way to ask who sees what.

use docperm_testkit::{Database, Server, ServerError, db_error, server};
use postgres::{Client, SimpleQueryMessage};
use std::fmt::Debug;

pub use docperm_testkit::{refused, sqlstate_of as refused_with, texts};

/// Runs `sql` over the simple protocol.
///
/// # Errors
/// What the server said. Panics when the connection broke: no input may take a backend down.
#[track_caller]
pub fn attempt(client: &mut Client, sql: &str) -> Result<Vec<SimpleQueryMessage>, ServerError> {
    client.simple_query(sql).map_err(|error| db_error(&error))
}

/// The rows of `sql`, every value as text and NULL as `NULL`.
#[track_caller]
pub fn table(client: &mut Client, sql: &str) -> Vec<Vec<String>> {
    let messages = attempt(client, sql).unwrap_or_else(|error| panic!("{sql}\n{error:#?}"));
    rows_of(&messages)
}

/// The data rows among the messages of a simple query.
pub fn rows_of(messages: &[SimpleQueryMessage]) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for message in messages {
        if let SimpleQueryMessage::Row(row) = message {
            rows.push((0..row.len()).map(|i| row.get(i).unwrap_or("NULL").to_owned()).collect());
        }
    }
    rows
}

/// The rows of `sql`, sorted: for comparing sets of names.
#[track_caller]
pub fn names(client: &mut Client, sql: &str) -> Vec<String> {
    sorted(texts(client, sql))
}

/// The single row of `sql`.
#[track_caller]
pub fn one(client: &mut Client, sql: &str) -> String {
    let mut values = texts(client, sql);
    assert_eq!(values.len(), 1, "one row expected from: {sql}");
    values.remove(0)
}

/// The plan of `sql` as one text.
pub fn explain(client: &mut Client, sql: &str) -> String {
    texts(client, &format!("EXPLAIN (COSTS OFF) {sql}")).join("\n")
}

pub fn sorted(mut values: Vec<String>) -> Vec<String> {
    values.sort();
    values
}

/// Quotes a text as an SQL literal.
pub fn literal(value: &str) -> String {
    assert!(!value.contains('\\'), "backslashes are not expected in test data");
    format!("'{}'", value.replace('\'', "''"))
}

/// Acts as `user` for the rest of the session.
pub fn set_user(client: &mut Client, user: &str) {
    table(client, &format!("SELECT docperm.set_user({}, false)", literal(user)));
}

/// A database with docperm, an administrator's connection, and the login role of an application which may
/// read and write every table of schema `public` and may say who its user is.
pub struct World {
    // Before `db`: connections close before the database is dropped.
    pub admin: Client,
    pub app_role: String,
    pub db: Database,
}

impl World {
    /// Runs `schema` as superuser in a fresh database.
    pub fn new(schema: &str) -> World {
        World::on(server(), schema)
    }

    /// The same on another server than the one that tests share.
    pub fn on(server: &'static Server, schema: &str) -> World {
        let db = server.database();
        let mut admin = db.admin();
        let app_role = db.login_role("app");
        admin.batch_execute("SET client_min_messages = warning").unwrap();
        let mut world = World { admin, app_role, db };
        world.sql(schema);
        world.grant_tables();
        let app = &world.app_role;
        let grant = format!("GRANT EXECUTE ON FUNCTION docperm.set_user(text, boolean) TO {app}");
        world.admin.batch_execute(&grant).unwrap();
        world
    }

    /// Gives the application's role all tables that exist by now.
    pub fn grant_tables(&mut self) {
        let app = &self.app_role;
        let grant = format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {app}");
        self.admin.batch_execute(&grant).unwrap();
    }

    /// Runs statements as superuser.
    #[track_caller]
    pub fn sql(&mut self, statements: &str) {
        docperm_testkit::run(&mut self.admin, statements);
    }

    /// A connection of the application that acts for nobody yet.
    pub fn app(&self) -> Client {
        self.db.connect_as(&self.app_role)
    }

    /// A connection of the application that acts as `user`.
    pub fn acting(&self, user: &str) -> Client {
        let mut client = self.app();
        set_user(&mut client, user);
        client
    }

    /// A user with roles; roles that do not exist yet are made.
    pub fn user(&mut self, user: &str, roles: &[&str]) {
        let user = literal(user);
        self.sql(&format!("INSERT INTO docperm.users (name, email) VALUES ({user}, {user})"));
        for role in roles {
            let role = literal(role);
            self.sql(&format!(
                "INSERT INTO docperm.roles (name) VALUES ({role}) ON CONFLICT DO NOTHING;
                 INSERT INTO docperm.user_roles (user_name, role) VALUES ({user}, {role});"
            ));
        }
    }

    /// A standard rule of level 0.
    pub fn rule(&mut self, doctype: &str, role: &str, rights: &str) {
        self.sql(&format!(
            "INSERT INTO docperm.roles (name) VALUES ({role}) ON CONFLICT DO NOTHING;
             INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES ({}, {role}, {});",
            literal(doctype),
            literal(rights),
            role = literal(role),
        ));
    }

    /// A standard rule of level 0 for the owner alone.
    pub fn rule_if_owner(&mut self, doctype: &str, role: &str, rights: &str) {
        self.sql(&format!(
            "INSERT INTO docperm.roles (name) VALUES ({role}) ON CONFLICT DO NOTHING;
             INSERT INTO docperm.role_permissions (doctype, role, if_owner, rights) VALUES ({}, {role}, true, {});",
            literal(doctype),
            literal(rights),
            role = literal(role),
        ));
    }

    /// A user permission for all doctypes.
    pub fn allow(&mut self, user: &str, doctype: &str, value: &str) {
        self.sql(&format!(
            "INSERT INTO docperm.user_permissions (user_name, allow, for_value) VALUES ({}, {}, {})",
            literal(user),
            literal(doctype),
            literal(value)
        ));
    }

    /// A user permission for one doctype.
    pub fn allow_for(&mut self, user: &str, doctype: &str, value: &str, applicable_for: &str) {
        self.sql(&format!(
            "INSERT INTO docperm.user_permissions (user_name, allow, for_value, applicable_for)
             VALUES ({}, {}, {}, {})",
            literal(user),
            literal(doctype),
            literal(value),
            literal(applicable_for)
        ));
    }

    /// A user permission for a tree node without what is below it.
    pub fn allow_node_only(&mut self, user: &str, doctype: &str, value: &str) {
        self.sql(&format!(
            "INSERT INTO docperm.user_permissions (user_name, allow, for_value, hide_descendants)
             VALUES ({}, {}, {}, true)",
            literal(user),
            literal(doctype),
            literal(value)
        ));
    }

    pub fn strict(&mut self, mode: &str) {
        self.sql(&format!("UPDATE docperm.settings SET strict_user_permissions = {}", literal(mode)));
    }

    /// The names of the documents that `user` may read.
    ///
    /// Asks in every way there is, and panics when the ways disagree: SELECT, a generic prepared plan,
    /// `has_permission` and `permitted_documents` as oneself and by an administrator, and `permits` run as a
    /// plain function.
    #[track_caller]
    pub fn sees(&mut self, user: &str, doctype: &str) -> Vec<String> {
        let d = literal(doctype);
        let found = table(
            &mut self.admin,
            &format!("SELECT relation, quote_ident(name_column) FROM docperm.doctypes WHERE name = {d}"),
        );
        let [relation, key] = &found[0][..] else { panic!("no doctype {doctype}") };
        let select = format!("SELECT {key}::text FROM {relation} t");
        let all = texts(&mut self.admin, &select);
        let listed = all.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", ");
        let listed = format!("unnest(ARRAY[{listed}]::text[]) AS t(document)");

        let mut own = self.acting(user);
        let answer = names(&mut own, &select);
        let same = |how: &str, rows: Vec<String>| {
            assert_eq!(rows, answer, "{how} differs from SELECT for {user} on {doctype}");
        };
        own.batch_execute("SET plan_cache_mode = force_generic_plan").unwrap();
        own.batch_execute(&format!("PREPARE generic AS {select}")).unwrap();
        same("a generic plan", names(&mut own, "EXECUTE generic"));
        let has =
            format!("SELECT document FROM {listed} WHERE docperm.has_permission({d}, 'read', document)");
        same("has_permission", names(&mut own, &has));
        let documents = "SELECT document FROM docperm.permitted_documents";
        same(
            "permitted_documents",
            names(&mut own, &format!("{documents}({d}) WHERE 'read' = ANY (rights)")),
        );

        let u = literal(user);
        let has = format!(
            "SELECT document FROM {listed} WHERE docperm.has_permission({d}, 'read', document, user_name => {u})"
        );
        same("has_permission by an administrator", names(&mut self.admin, &has));
        let documents = format!("{documents}({d}, user_name => {u}) WHERE 'read' = ANY (rights)");
        same("permitted_documents by an administrator", names(&mut self.admin, &documents));

        // A superuser passes row security, so that what is filtered here is filtered by the function alone; an
        // argument that is no constant leaves the call as it is.
        let mut plain = self.db.admin();
        set_user(&mut plain, user);
        let called = format!("{select} WHERE docperm.permits(t.*, (SELECT {d}), 'read')");
        assert!(explain(&mut plain, &called).contains("permits"), "the call must stay a call");
        same("permits as a function", names(&mut plain, &called));
        answer
    }

    /// The documents on which `has_permission` says that `user` holds `right`; `permitted_documents` must list the
    /// same right for those of them that the user may read.
    #[track_caller]
    pub fn may(&mut self, user: &str, doctype: &str, right: &str) -> Vec<String> {
        let (d, u) = (literal(doctype), literal(user));
        let relation =
            format!("SELECT relation, quote_ident(name_column) FROM docperm.doctypes WHERE name = {d}");
        let found = table(&mut self.admin, &relation);
        let [relation, key] = &found[0][..] else { panic!("no doctype {doctype}") };
        let mut held = |right: &str| {
            names(
                &mut self.admin,
                &format!(
                    "SELECT {key}::text FROM {relation}
                     WHERE docperm.has_permission({d}, {}, {key}::text, user_name => {u})",
                    literal(right)
                ),
            )
        };
        let (readable, held) = (held("read"), held(right));
        let listed = names(
            &mut self.admin,
            &format!(
                "SELECT document FROM docperm.permitted_documents({d}, {u}) WHERE {} = ANY (rights)",
                literal(right)
            ),
        );
        let both: Vec<String> = held.iter().filter(|name| readable.contains(name)).cloned().collect();
        assert_eq!(listed, both, "permitted_documents and has_permission differ: {user}, {doctype}, {right}");
        held
    }

    /// Runs a statement as `user` in a transaction that is rolled back; how many rows it touched.
    pub fn try_as(&self, user: &str, statement: &str) -> Result<u64, ServerError> {
        let mut client = self.acting(user);
        client.batch_execute("BEGIN").unwrap();
        let messages = attempt(&mut client, statement)?;
        client.batch_execute("ROLLBACK").unwrap();
        let touched = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
            _ => None,
        });
        Ok(touched.expect("a command tag"))
    }

    /// The SQLSTATE with which a statement of `user` is refused.
    #[track_caller]
    pub fn denied(&self, user: &str, statement: &str) -> String {
        match self.try_as(user, statement) {
            Err(error) => error.sqlstate,
            Ok(rows) => panic!("{user} must not be able to run this ({rows} rows): {statement}"),
        }
    }
}

/// Whether every value of `part` is in `whole`.
pub fn within<T: PartialEq + Debug>(part: &[T], whole: &[T]) -> bool {
    part.iter().all(|value| whole.contains(value))
}

/// Runs one of PostgreSQL's own programs against a database; its output.
///
/// # Errors
/// What it wrote to stderr, when it fails.
pub fn run(program: &str, role: &str, database: &str, arguments: &[&str]) -> Result<Vec<u8>, String> {
    run_on(server(), program, role, database, arguments)
}

/// The same on another server than the one that tests share.
///
/// # Errors
/// What it wrote to stderr, when it fails.
pub fn run_on(
    server: &Server,
    program: &str,
    role: &str,
    database: &str,
    arguments: &[&str],
) -> Result<Vec<u8>, String> {
    let done = std::process::Command::new(server.bin().join(program))
        .args(["-h", server.socket_dir().to_str().unwrap(), "-p", &server.port().to_string()])
        .args(["-U", role, "-d", database])
        .args(arguments)
        .env_remove("PGOPTIONS")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    if done.status.success() {
        Ok(done.stdout)
    } else {
        Err(String::from_utf8_lossy(&done.stderr).into_owned())
    }
}
