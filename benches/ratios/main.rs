//! Measures docperm against the WHERE clause that an expert writes by hand, against no row-level security at all,
//! and against the usual ways to write row-level security policies: side by side, on the same data, in one run.
//!
//! What counts are ratios, so everything here serves to make them fair: the baseline reads the very pages that docperm
//! reads, the contenders take turns in random order, their answers are compared before anything is timed, and the
//! baseline runs against itself to show the noise. `BENCHMARKS.md` explains it and holds a run's report.
//!
//! - `data`, `queries`: the tables and what is asked of them, with the hand-written WHERE
//! - `docperm`, `rivals`: the contenders
//! - `cases`: child tables, shares and readable views
//! - `contest`, `measure`, `change`, `churn`, `statistics`: who runs when, and what is made of the times
//! - `server`, `wire`: a throwaway server, and a client that adds little of its own
//! - `options`, `report`: command line and Markdown

mod cases;
mod change;
mod churn;
mod contest;
mod data;
mod docperm;
mod measure;
mod options;
mod queries;
mod report;
mod rivals;
mod server;
mod statistics;
mod wire;

use contest::{Contest, Protocol};
use measure::{Clock, Meter};
use options::Options;
use queries::{QUERIES, Query};
use report::Report;
use server::Server;
use std::process::ExitCode;
use std::time::Instant;

/// Whatever goes wrong ends the program with a message.
pub type Result<T = (), E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)).and_then(|options| options.map_or(Ok(()), run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("ratios: {err}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result {
    let known = QUERIES
        .iter()
        .map(|query| query.key)
        .chain(cases::KEYS)
        .chain(["change", "churn"])
        .collect::<Vec<_>>();
    if let Some(unknown) = options.only.iter().find(|only| !known.contains(&only.as_str())) {
        return Err(format!("--only {unknown}: there are {}", known.join(", ")).into());
    }
    let start = Instant::now();
    let server = Server::start(&options)?;
    let mut admin = server.admin()?;
    eprintln!("loading {} rows, twice", options.rows);
    data::load(&server, &options)?;
    if options.docperm {
        eprintln!("{:.0} s: protecting them, loading permissions", start.elapsed().as_secs_f64());
        docperm::install(&mut admin, &options)?;
    }
    let cases =
        if cases::wanted(&options) { cases::install(&server, &mut admin, &options)? } else { Vec::new() };
    eprintln!("{:.0} s: measuring", start.elapsed().as_secs_f64());

    let heading = heading(&mut admin, &server, &options)?;
    let mut report = Report { heading, cells: Vec::new(), changes: Vec::new(), churns: Vec::new() };
    let links = if options.wants_links() { options.links.as_slice() } else { &[] };
    let runs_of_all: usize =
        QUERIES.iter().filter(|query| options.wants(query.key)).map(|query| runs(query).len()).sum();
    let measured_cases = || cases.iter().filter(|case| options.wants(case.key));
    let runs_of_cases: usize =
        measured_cases().flat_map(|case| &case.queries).map(|query| case_runs(query).len()).sum();
    let cells = runs_of_all * links.len() * options.sizes.len() + runs_of_cases;
    let mut meter = Meter::new(&options, start + options.time_limit, cells);
    let mut measure = |contest: &mut Contest, query, protocol, clock| -> Result {
        let cell = meter.cell(contest, query, protocol, clock)?;
        eprintln!("{:>4.0} s {}", start.elapsed().as_secs_f64(), report::progress(&cell));
        if options.plans && cell.misses() {
            eprint!("{}", report::plans(&cell));
        }
        report.cells.push(cell);
        Ok(())
    };
    for case in measured_cases() {
        let mut contest = case.open(&server, &mut admin)?;
        for query in &case.queries {
            for (protocol, clock) in case_runs(query) {
                measure(&mut contest, query, protocol, clock)?;
            }
        }
    }
    if options.docperm && options.wants("churn") {
        report.churns = churn::measure(&server, &mut admin, &cases, &options)?;
    }
    for links in links {
        for size in &options.sizes {
            let mut contest = Contest::open(&server, &mut admin, &options, *links, *size)?;
            for query in QUERIES.iter().filter(|query| options.wants(query.key)) {
                for (protocol, clock) in runs(query) {
                    measure(&mut contest, query, protocol, clock)?;
                }
            }
            let largest = options.sizes.iter().max() == Some(size);
            if options.docperm && options.wants("change") && largest && contest.baselines().len() > 1 {
                report.changes.extend(change::measure(&mut admin, &mut contest, &options)?);
            }
        }
    }

    report.heading.push(format!("Took {:.0} s", start.elapsed().as_secs_f64()));
    let markdown = report.markdown(&options);
    println!("{markdown}");
    if let Some(path) = &options.write {
        report::write(path, &markdown)?;
    }
    Ok(())
}

/// How a query is measured.
fn runs(query: &Query) -> Vec<(Protocol, Clock)> {
    let mut runs = vec![(Protocol::Simple, Clock::Execution), (Protocol::Generic, Clock::Execution)];
    if query.is_lookup() {
        runs.extend(
            [Protocol::Simple, Protocol::Prepared, Protocol::Generic]
                .map(|protocol| (protocol, Clock::RoundTrip)),
        );
    }
    runs
}

/// How a query of a case is measured.
fn case_runs(query: &Query) -> Vec<(Protocol, Clock)> {
    let mut runs = vec![(Protocol::Simple, Clock::Execution), (Protocol::Generic, Clock::Execution)];
    if query.is_lookup() {
        runs.push((Protocol::Prepared, Clock::RoundTrip));
    }
    runs
}

/// When, where, and on what.
fn heading(admin: &mut wire::Wire, server: &Server, options: &Options) -> Result<Vec<String>> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let docperm = match options.docperm {
        true => admin.value("SELECT docperm.version()")?,
        false => "left out".into(),
    };
    Ok(vec![
        admin.value("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI \"UTC\"')")?,
        format!(
            "{}, {cores} cores, load {} at the start",
            model.unwrap_or(std::env::consts::ARCH),
            load.split(' ').next().unwrap_or("unknown")
        ),
        admin.value("SELECT version()")?,
        format!("docperm {docperm}"),
        format!(
            "{} sales orders ({}), {} ledger entries in 16 partitions, 200,000 documents of each link's target, seed {}{}",
            options.rows,
            admin.value("SELECT pg_size_pretty(pg_table_size('erp.sales_order'))")?,
            options.rows,
            options.seed,
            if options.quick { ", --quick" } else { "" }
        ),
        format!("{}; shared_buffers = {}", server.settings(), admin.value("SHOW shared_buffers")?),
    ])
}
