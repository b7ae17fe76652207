//! The one server of this process.

use crate::Database;
use postgres::{Client, NoTls};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// What tests need beyond the defaults: connections for tests in parallel, two-phase commit, parallel workers for
/// plans that are forced to be parallel, and plans that do not depend on a JIT library being there.
const SETTINGS: [&str; 5] = [
    "max_connections = 200",
    "max_prepared_transactions = 10",
    "max_worker_processes = 32",
    "max_parallel_workers = 16",
    "jit = off",
];

/// A private PostgreSQL server that lives as long as this process.
pub struct Server {
    socket_dir: PathBuf,
    port: u16,
    bin: PathBuf,
    template: OnceLock<String>,
    numbers: AtomicU32,
    /// `bin/throwaway-postgres run` removes the server when the pipe that is its input closes. The kernel closes it when
    /// this process ends in whatever way: a return, a panic, an abort, a signal.
    _keeper: Child,
}

/// The server of this process, started at the first call.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

impl Server {
    fn start() -> Server {
        Server::run("run", SETTINGS)
    }

    /// A server of its own for a test that does to it what others would not like. It goes when this is dropped.
    pub fn private(settings: &[&str]) -> Server {
        Server::run("run", SETTINGS.iter().chain(settings))
    }

    /// A hot standby of this server. It goes when it is dropped.
    pub fn standby(&self) -> Server {
        Server::run("run-standby", [&self.socket_dir])
    }

    /// Stops this server and takes it over into a new cluster with pg_upgrade. The new one goes when it is dropped.
    pub fn upgraded(&self) -> Server {
        Server::run("run-upgraded", [&self.socket_dir])
    }

    /// Kills the server as a crash would, and starts it again. Connections break.
    pub fn crash(&self) {
        let done = Command::new(script()).arg("crash").arg(&self.socket_dir).stdout(Stdio::null()).status();
        assert!(done.is_ok_and(|status| status.success()), "the server did not come back");
    }

    fn run(command: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Server {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
        let directory = format!("docperm-{}-{nanoseconds:x}-{number}", std::process::id());

        let mut keeper = Command::new(script())
            .arg(command)
            .arg(std::env::temp_dir().join(directory))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bin/throwaway-postgres could not be started");
        let (mut socket_dir, mut port) = (None, None);
        for line in BufReader::new(keeper.stdout.take().expect("its stdout is a pipe")).lines() {
            let line = line.expect("bin/throwaway-postgres prints text");
            match line.split_once('=') {
                Some(("HOST", host)) => socket_dir = Some(PathBuf::from(host)),
                Some(("PORT", number)) => port = number.parse().ok(),
                _ => {}
            }
            if socket_dir.is_some() && port.is_some() {
                break;
            }
        }
        let (Some(socket_dir), Some(port)) = (socket_dir, port) else {
            panic!("bin/throwaway-postgres started no server; it says above why");
        };

        Server {
            socket_dir,
            port,
            bin: bindir(),
            template: OnceLock::new(),
            numbers: AtomicU32::new(0),
            _keeper: keeper,
        }
    }

    /// A fresh database that has the extension.
    pub fn database(&'static self) -> Database {
        Database::create(self, Some(self.template()))
    }

    /// A fresh database without the extension.
    pub fn empty_database(&'static self) -> Database {
        Database::create(self, None)
    }

    /// The port, which is a part of the socket's name.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of the server's Unix socket; libpq and its programs take it as the host.
    pub fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// The directory of the server's programs: `psql`, `pg_dump`, `pgbench`.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// The database with the extension that others are copied from: copying is faster than installing.
    fn template(&self) -> &str {
        self.template.get_or_init(|| {
            let name = "docperm_template".to_owned();
            crate::run(&mut self.maintenance(), &format!("CREATE DATABASE {name}"));
            crate::run(&mut self.connect("postgres", &name, None), "CREATE EXTENSION docperm");
            name
        })
    }

    /// A superuser's connection for what cannot be done in the database concerned.
    pub(crate) fn maintenance(&self) -> Client {
        self.connect("postgres", "postgres", None)
    }

    /// A connection of that role, with settings at its start if there are any.
    #[track_caller]
    pub fn connect(&self, role: &str, database: &str, options: Option<&str>) -> Client {
        let mut config = postgres::Config::new();
        config.host_path(&self.socket_dir).port(self.port).user(role).dbname(database);
        if let Some(options) = options {
            config.options(options);
        }
        match config.connect(NoTls) {
            Ok(client) => client,
            Err(error) => panic!("no connection to {database} as {role}: {}", crate::query::full(&error)),
        }
    }

    /// A number that no other database or role of this server has in its name.
    pub(crate) fn next_number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bin/throwaway-postgres")
}

/// The programs of the PostgreSQL that the scripts in `bin/` use as well.
fn bindir() -> PathBuf {
    let pg_config = std::env::var("PG_CONFIG").unwrap_or("/usr/lib/postgresql/15/bin/pg_config".to_owned());
    let output = Command::new(&pg_config).arg("--bindir").output();
    let output = output.unwrap_or_else(|error| panic!("{pg_config}: {error}"));
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end())
}
