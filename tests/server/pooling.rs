//! Through PgBouncer in transaction mode, whose clients share a few connections.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::login::{RIGHT, log_in, world};
use crate::support::{World, attempt, one};
use docperm_testkit::server;
use postgres::{Client, NoTls};

/// Clients, each with a user of its own.
const CLIENTS: usize = 8;
/// Connections to the server that they share.
const CONNECTIONS: usize = 2;
/// Transactions of each client.
const TRANSACTIONS: usize = 1250;

/// PgBouncer in front of one database, as one of its roles. It goes when this is dropped.
struct Pool {
    directory: PathBuf,
    process: Child,
}

impl Pool {
    fn start(w: &World) -> Pool {
        // Where PgBouncer can carry statements that are prepared by protocol from connection to connection, it does.
        let tracked = if tracks_prepared_statements() { "max_prepared_statements = 20\n" } else { "" };
        let directory = std::env::temp_dir().join(format!("docperm-pool-{}", w.db.name()));
        std::fs::create_dir_all(&directory).unwrap();
        let configuration = format!(
            "[databases]\npooled = host={} port={} dbname={} user={}\n[pgbouncer]\nlisten_addr =\nlisten_port = 6432\n\
             unix_socket_dir = {dir}\nauth_type = any\npool_mode = transaction\ndefault_pool_size = {CONNECTIONS}\n\
             logfile = {dir}/log\nserver_reset_query =\nmax_client_conn = 100\n{tracked}",
            server().socket_dir().display(),
            server().port(),
            w.db.name(),
            w.app_role,
            dir = directory.display(),
        );
        std::fs::write(directory.join("ini"), configuration).unwrap();
        // It refuses to run as root, and a system user may write to its own directory only.
        let mut permissions = std::fs::metadata(&directory).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o777);
        std::fs::set_permissions(&directory, permissions).unwrap();
        let is_root =
            std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        let mut command = Command::new("pgbouncer");
        if is_root {
            command.args(["-u", "postgres"]);
        }
        let process = command
            .args(["-q", directory.join("ini").to_str().unwrap()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbouncer is not installed: bin/setup installs it");
        Pool { directory, process }
    }

    fn connect(&self) -> Client {
        let mut configuration = postgres::Config::new();
        configuration.host_path(&self.directory).port(6432).user("anybody").dbname("pooled");
        let began = Instant::now();
        loop {
            match configuration.connect(NoTls) {
                Ok(client) => return client,
                Err(error) if began.elapsed() > Duration::from_secs(20) => {
                    let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                    panic!("{error}\n{log}")
                }
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

/// Whether PgBouncer can: since 1.21. Debian 12 has 1.18, to which `max_prepared_statements` is not known.
fn tracks_prepared_statements() -> bool {
    let output = Command::new("pgbouncer").arg("--version").output();
    let output = output.expect("pgbouncer is not installed: bin/setup installs it").stdout;
    let version = String::from_utf8_lossy(&output).into_owned();
    let numbers: Vec<u32> = version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .take(2)
        .collect();
    assert_eq!(numbers.len(), 2, "PgBouncer's version: {version}");
    numbers >= vec![1, 21]
}

impl Drop for Pool {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Every user reads his own memos.
fn pooled_world() -> World {
    let mut w = world();
    w.sql(
        "ALTER TABLE memo ADD owner text;
         INSERT INTO memo SELECT u || ' ' || i, 'body', 'user' || u || '@erp.test'
           FROM generate_series(1, 8) u, generate_series(1, 5) i;
         SELECT docperm.protect('memo', 'Memo', owner_column => 'owner');
         UPDATE docperm.role_permissions SET if_owner = true",
    );
    for user in 1..=CLIENTS {
        w.user(&format!("user{user}@erp.test"), &["Reader"]);
        w.sql(&format!("SELECT docperm.set_password('user{user}@erp.test', '{RIGHT}', false)"));
    }
    w
}

#[test]
fn ten_thousand_transactions_of_eight_users_on_two_connections_show_no_row_of_another() {
    let w = pooled_world();
    let pool = Pool::start(&w);
    let clients: Vec<_> = (1..=CLIENTS)
        .map(|user| {
            let name = format!("user{user}@erp.test");
            let token = log_in(&mut w.app(), &name, RIGHT).unwrap();
            (name, token, pool.connect())
        })
        .collect();
    let running: Vec<_> = clients
        .into_iter()
        .map(|(name, token, mut client)| {
            thread::spawn(move || {
                let mut processes = std::collections::BTreeSet::new();
                for round in 0..TRANSACTIONS {
                    let mut transaction = client.transaction().unwrap();
                    transaction.batch_execute(&format!("SELECT docperm.resume('{token}', true)")).unwrap();
                    // The extended protocol with an unnamed statement, which any version passes on.
                    let rows =
                        transaction.query_typed("SELECT owner, pg_backend_pid() FROM memo", &[]).unwrap();
                    let owners: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
                    assert_eq!(owners, vec![name.clone(); 5], "round {round}");
                    processes.insert(rows[0].get::<_, i32>(1));
                    if round % 3 == 0 {
                        transaction.rollback().unwrap()
                    } else {
                        transaction.commit().unwrap()
                    }
                    if round % 10 == 0 {
                        let left = one(&mut client, "SELECT docperm.whoami() || ' ' || count(*) FROM memo");
                        assert_eq!(left, "Guest 0", "nothing is left on the connection");
                    }
                }
                processes
            })
        })
        .collect();
    let used: Vec<_> = running.into_iter().map(|client| client.join().unwrap()).collect();
    let all: std::collections::BTreeSet<i32> = used.iter().flatten().copied().collect();
    assert!(all.len() <= CONNECTIONS, "{all:?}");
    assert!(used.iter().any(|one| one.len() > 1), "clients changed connections");
}

#[test]
fn statements_prepared_by_one_client_answer_each_user_of_the_connection() {
    let w = pooled_world();
    let pool = Pool::start(&w);
    let tokens: Vec<_> =
        (1..=3).map(|user| log_in(&mut w.app(), &format!("user{user}@erp.test"), RIGHT).unwrap()).collect();
    // PREPARE lives on the server's connection, whoever gets that next.
    let mut client = pool.connect();
    let mut prepared = std::collections::BTreeSet::new();
    for round in 0..60 {
        let user = round % 3;
        let mut transaction = client.transaction().unwrap();
        transaction.batch_execute(&format!("SELECT docperm.resume('{}', true)", tokens[user])).unwrap();
        let process: i32 = transaction.query_typed("SELECT pg_backend_pid()", &[]).unwrap()[0].get(0);
        if prepared.insert(process) {
            transaction
                .batch_execute("SET plan_cache_mode = force_generic_plan; PREPARE memos AS SELECT DISTINCT owner FROM memo")
                .unwrap();
        }
        let rows = transaction.simple_query("EXECUTE memos").unwrap();
        let owners: Vec<_> = crate::support::rows_of(&rows);
        assert_eq!(owners, [[format!("user{}@erp.test", user + 1)]]);
        transaction.commit().unwrap();
    }
}

/// As drivers prepare: by protocol, once, for as long as the client lives. A PgBouncer that tracks such statements makes them
/// anew on each connection. One that does not leaves them where they were made: within a transaction they work as ever; later
/// they are unknown wherever the client comes to another connection, and an error. Whatever it is, nobody sees another's rows.
#[test]
fn statements_prepared_by_protocol_answer_each_user_or_are_unknown() {
    let w = pooled_world();
    let pool = Pool::start(&w);
    let tracks = tracks_prepared_statements();
    let clients: Vec<_> = (1..=CLIENTS)
        .map(|user| {
            let name = format!("user{user}@erp.test");
            let token = log_in(&mut w.app(), &name, RIGHT).unwrap();
            (name, token, pool.connect())
        })
        .collect();
    let running: Vec<_> = clients
        .into_iter()
        .map(|(name, token, mut client)| {
            thread::spawn(move || {
                const MEMOS: &str = "SELECT owner FROM memo";
                let mut kept = None;
                let (mut answered, mut unknown) = (0, 0);
                for round in 0..120 {
                    let mut transaction = client.transaction().unwrap();
                    // The token is a parameter, as it should be; so this is prepared, too.
                    let resumed = transaction
                        .query_typed(
                            "SELECT docperm.resume($1, true)",
                            &[(&token, postgres::types::Type::TEXT)],
                        )
                        .unwrap();
                    assert_eq!(resumed[0].get::<_, &str>(0), name);
                    let new = transaction.prepare(MEMOS).unwrap();
                    // Often enough for a generic plan.
                    for _ in 0..7 {
                        let rows = transaction.query(&new, &[]).unwrap();
                        assert!(
                            rows.len() == 5 && rows.iter().all(|row| row.get::<_, &str>(0) == name),
                            "{round}"
                        );
                    }
                    let old = kept.get_or_insert(new);
                    match transaction.query(old, &[]) {
                        Ok(rows) => {
                            assert!(
                                rows.len() == 5 && rows.iter().all(|row| row.get::<_, &str>(0) == name),
                                "{round}"
                            );
                            answered += 1;
                            transaction.commit().unwrap();
                        }
                        Err(error) => {
                            assert_eq!(docperm_testkit::db_error(&error).sqlstate, "26000", "{round}");
                            unknown += 1;
                            transaction.rollback().unwrap();
                        }
                    }
                }
                (answered, unknown)
            })
        })
        .collect();
    let counts: Vec<(u32, u32)> = running.into_iter().map(|client| client.join().unwrap()).collect();
    assert!(counts.iter().all(|(answered, _)| *answered > 0), "{counts:?}");
    let unknown: u32 = counts.iter().map(|(_, unknown)| unknown).sum();
    if tracks {
        assert_eq!(unknown, 0);
    } else {
        assert!(unknown > 0, "clients changed connections: {counts:?}");
    }
}

#[test]
fn a_login_through_the_pool_leaves_nobody_on_the_connection() {
    let w = pooled_world();
    let pool = Pool::start(&w);
    let mut client = pool.connect();
    let token =
        one(&mut client, &format!("SELECT docperm.login('user1@erp.test', '{RIGHT}', is_local => true)"));
    for _ in 0..5 {
        assert_eq!(one(&mut client, "SELECT docperm.whoami()"), "Guest");
    }
    client.batch_execute(&format!("BEGIN; SELECT docperm.resume('{token}', true)")).unwrap();
    assert_eq!(one(&mut client, "SELECT count(*) FROM memo"), "5");
    client.batch_execute("SELECT docperm.logout(); COMMIT").unwrap();
    assert_eq!(
        attempt(&mut client, &format!("SELECT docperm.resume('{token}', true)")).unwrap_err().sqlstate,
        "28000"
    );
}
