//! Throughput while another connection shares and unshares a document with somebody else, a hundred times a second: a
//! change for one user must leave the plans and permissions of others alone.

use crate::Result;
use crate::cases::Case;
use crate::contest::{Contest, Form, Protocol};
use crate::docperm;
use crate::options::Options;
use crate::queries::QUERIES;
use crate::server::{self, Server};
use crate::statistics::Summary;
use crate::wire::{Failure, Wire};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// One change in this time.
const INTERVAL: Duration = Duration::from_millis(10);

/// The user whom the changes concern.
const OTHER: &str = "bench_churn";

/// What one query showed.
pub struct Churn {
    /// The kind of user who runs it.
    pub case: &'static str,
    /// How many documents are shared with that user.
    pub size: usize,
    /// Title of the query.
    pub query: &'static str,
    /// docperm, or the hand-written form, which shows what the machine itself makes of the churn.
    pub form: Form,
    /// Queries per second while nothing changes.
    pub quiet: Summary,
    /// Queries per second during the churn.
    pub churned: Summary,
    /// The ratios of neighbouring phases.
    pub ratio: Summary,
    /// Changes per second.
    pub changes: f64,
}

impl Churn {
    /// At least this share of the throughput is to be left.
    pub const LEAST: f64 = 0.90;

    /// Whether docperm misses it.
    pub fn misses(&self) -> bool {
        self.form == Form::Docperm && self.ratio.median < Self::LEAST
    }
}

/// The connection that changes shares, in a thread of its own.
struct Changer {
    active: Arc<AtomicBool>,
    stopped: Arc<AtomicBool>,
    changes: Arc<AtomicUsize>,
    thread: JoinHandle<Result<(), Failure>>,
}

impl Changer {
    fn start(server: &Server) -> Result<Changer> {
        let mut connection = server.admin()?;
        // Not on the processor of the measured ones: what counts is what they have to do, not what the changer does.
        server::bind_elsewhere(&connection.value("SELECT pg_backend_pid()")?);
        let insert = format!(
            "INSERT INTO docperm.shares (doctype, document, user_name, rights)
             SELECT 'Sales Order', value::text, '{OTHER}@example.com', '{{read}}' FROM permit.shared WHERE rank = 1"
        );
        let delete = format!("DELETE FROM docperm.shares WHERE user_name = '{OTHER}@example.com'");
        connection.run(&delete)?;
        let (active, stopped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let changes = Arc::new(AtomicUsize::new(0));
        let (is_active, is_stopped, count) = (active.clone(), stopped.clone(), changes.clone());
        let thread = std::thread::spawn(move || {
            server::bind_this_thread_elsewhere();
            let mut next = Instant::now();
            while !is_stopped.load(Ordering::Relaxed) {
                next = (next + INTERVAL).max(Instant::now());
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
                if is_active.load(Ordering::Relaxed) {
                    let done = count.fetch_add(1, Ordering::Relaxed);
                    connection.run(if done % 2 == 0 { &insert } else { &delete })?;
                }
            }
            Ok(())
        });
        Ok(Changer { active, stopped, changes, thread })
    }

    fn stop(self) -> Result {
        self.stopped.store(true, Ordering::Relaxed);
        Ok(self.thread.join().map_err(|_| "the thread that changes shares panicked")??)
    }
}

/// Measures users of the cases with shares beside a restricted role, and without one.
pub fn measure(server: &Server, admin: &mut Wire, cases: &[Case], options: &Options) -> Result<Vec<Churn>> {
    docperm::add_user(admin, OTHER, false)?;
    let (phase, pairs) =
        if options.quick { (Duration::from_millis(200), 5) } else { (Duration::from_millis(300), 7) };
    let mut churns = Vec::new();
    // Without a role, and with one restricted link.
    for case in cases.iter().filter(|case| case.key == "shares" && case.size == 1_000).take(2) {
        let mut contest = case.open(server, admin)?;
        for query in QUERIES.iter().filter(|query| ["pk", "latest"].contains(&query.key)) {
            let baseline = contest.baselines()[0];
            contest.set(query, Protocol::Prepared, baseline)?;
            let changer = Changer::start(server)?;
            for form in [Form::Docperm, baseline] {
                churns.push(churn(&mut contest, query, form, &changer, phase, pairs)?);
            }
            changer.stop()?;
            let arguments = contest.arguments(query, 0);
            let mut answer = |form| contest.contender(form).expect("it takes part").rows(&arguments);
            if answer(Form::Docperm)? != answer(baseline)? {
                return Err(format!("{}: a wrong answer after the churn", query.key).into());
            }
        }
    }
    Ok(churns)
}

fn churn(
    contest: &mut Contest,
    query: &crate::queries::Query,
    form: Form,
    changer: &Changer,
    phase: Duration,
    pairs: usize,
) -> Result<Churn> {
    let (mut quiet, mut churned) = (Vec::new(), Vec::new());
    let mut changes = 0;
    // The first pair warms up.
    for pair in 0..=pairs {
        for active in [false, true] {
            changer.active.store(active, Ordering::Relaxed);
            let changes_before = changer.changes.load(Ordering::Relaxed);
            let (start, mut count) = (Instant::now(), 0);
            while start.elapsed() < phase {
                let arguments = contest.arguments(query, count);
                contest.contender(form).expect("it takes part").round_trip(&arguments)?;
                count += 1;
            }
            let throughput = count as f64 / start.elapsed().as_secs_f64();
            if pair > 0 {
                if active { &mut churned } else { &mut quiet }.push(throughput);
                changes += changer.changes.load(Ordering::Relaxed) - changes_before;
            }
        }
    }
    changer.active.store(false, Ordering::Relaxed);
    let ratios: Vec<f64> = churned.iter().zip(&quiet).map(|(churned, quiet)| churned / quiet).collect();
    let summary = |times: &[f64]| Summary::of(times).expect("there were pairs");
    Ok(Churn {
        case: contest.case,
        size: contest.size,
        query: query.title,
        form,
        quiet: summary(&quiet),
        churned: summary(&churned),
        ratio: summary(&ratios),
        changes: changes as f64 / (phase.as_secs_f64() * pairs as f64),
    })
}
