//! The throwaway server that everything runs on.

use crate::Result;
use crate::options::Options;
use crate::wire::{Failure, Wire};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const DATABASE: &str = "bench";

/// What every measured connection is given, so that only the form of the filter differs. Parallel query and JIT are
/// off because their start-up costs vary far more from run to run than what is measured here; the data is cached, so
/// the costs of random access are those of memory.
const SETTINGS: [(&str, &str); 5] = [
    ("jit", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("synchronize_seqscans", "off"),
    ("random_page_cost", "1.1"),
    ("work_mem", "64MB"),
];

/// A private PostgreSQL, gone with this value and with this process.
pub struct Server {
    process: Child,
    dir: PathBuf,
    settings: Vec<(String, String)>,
    /// The last processor: where the measured ones are bound to.
    processor: usize,
}

impl Server {
    /// Starts the server, with all of the data in its buffers.
    pub fn start(options: &Options) -> Result<Server> {
        let dir = std::env::temp_dir().join(format!("docperm-bench-{}", std::process::id()));
        // Twins, indexes and permissions take about one kilobyte per row.
        let shared_buffers = (options.rows / 1024 * 2).clamp(512, 6144);
        let mut process = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/bin/throwaway-postgres"))
            .arg("run")
            .arg(&dir)
            .arg(format!("shared_buffers = {shared_buffers}MB"))
            // Nothing may run in the background while something is measured.
            .args(["autovacuum = off", "checkpoint_timeout = 1d", "max_wal_size = 32GB"])
            .args(["wal_level = minimal", "max_wal_senders = 0", "maintenance_work_mem = 256MB"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        if !lines.any(|line| line.is_ok_and(|line| line.starts_with("PORT="))) {
            return Err("the throwaway server did not start".into());
        }
        let processor = std::thread::available_parallelism().map_or(1, usize::from) - 1;
        let mut settings: Vec<_> =
            SETTINGS.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        settings.extend(options.settings.iter().cloned());
        let server = Server { process, dir, settings, processor };
        Wire::connect(&server.dir, "postgres", "postgres", &[])?
            .run(&format!("CREATE DATABASE {DATABASE}"))?;
        Ok(server)
    }

    /// A connection of the superuser.
    pub fn admin(&self) -> Result<Wire, Failure> {
        Wire::connect(&self.dir, "postgres", DATABASE, &[])
    }

    /// A connection to be measured.
    pub fn measured(&self, role: &str, extra: &[(&str, &str)]) -> Result<Wire, Failure> {
        let common = self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let settings: Vec<_> = common.chain(extra.iter().copied()).collect();
        Wire::connect(&self.dir, role, DATABASE, &settings)
    }

    /// Binds a connection's server process, and this one, to one processor. They never work at the same time, and
    /// waking up another processor for each message takes anything from ten to fifty microseconds: as much as a
    /// lookup, and at random. Without `taskset` the measurements are noisier, no more.
    pub fn pin(&self, connection: &mut Wire) -> Result<(), Failure> {
        for process in [connection.value("SELECT pg_backend_pid()")?, std::process::id().to_string()] {
            bind(&process, self.processor);
        }
        Ok(())
    }

    /// The settings of the measured connections, as text.
    pub fn settings(&self) -> String {
        self.settings.iter().map(|(name, value)| format!("{name} = {value}")).collect::<Vec<_>>().join(", ")
    }

    /// Runs a script with psql, which knows `\gexec` and variables.
    pub fn script(&self, sql: &str, variables: &[(&str, String)]) -> Result {
        let bindir = self.admin()?.value("SELECT setting FROM pg_config WHERE name = 'BINDIR'")?;
        let mut psql = Command::new(Path::new(&bindir).join("psql"));
        psql.args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--set=ON_ERROR_STOP=1",
            "--username=postgres",
        ]);
        psql.arg(format!("--host={}", self.dir.display()))
            .arg("--port=5432")
            .arg(format!("--dbname={DATABASE}"));
        psql.args(variables.iter().map(|(name, value)| format!("--set={name}={value}")));
        let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        psql.stdin.take().expect("piped").write_all(sql.as_bytes())?;
        if psql.wait()?.success() { Ok(()) } else { Err("a set-up script failed; see above".into()) }
    }
}

fn bind(process: &str, processor: usize) {
    let _ = Command::new("taskset")
        .args(["--pid", "--cpu-list", &processor.to_string(), process])
        .stdout(Stdio::null())
        .status();
}

/// Binds a process to the first processor, away from the measured ones where there are several.
pub fn bind_elsewhere(process: &str) {
    bind(process, 0);
}

/// The same for the calling thread, which has inherited the place of the one that measures.
pub fn bind_this_thread_elsewhere() {
    if let Ok(link) = std::fs::read_link("/proc/thread-self")
        && let Some(thread) = link.file_name().and_then(|name| name.to_str())
    {
        bind_elsewhere(thread);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input tells the process to stop the server and to remove its directory.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
