//! Asking a login worker: a process of its own, whose transactions end as they end, whatever becomes of the caller's.

use std::time::{Duration, Instant};

use pgrx::bgworkers::{BackgroundWorkerBuilder, BackgroundWorkerStatus, DynamicBackgroundWorker};
use pgrx::pg_sys;
use serde::Serialize;

use super::mailbox::Mailbox;
use super::request::{Answer, Request};
use crate::fault::{Fault, SqlState};

/// How long to wait for a process.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to look for one.
const PAUSE: i64 = 10;

/// Has the request done by a worker and waits for the answer. Who stops waiting (a cancel, a timeout, a broken connection)
/// does not stop the worker.
pub fn ask(request: &Request) -> Answer {
    refuse_on_standby();
    let mailbox = Mailbox::with_request(request);
    let worker = start(&mailbox);
    loop {
        if let Some(answer) = mailbox.take_answer() {
            return answer;
        }
        let has_ended = matches!(
            worker.pid(),
            Err(BackgroundWorkerStatus::Stopped | BackgroundWorkerStatus::PostmasterDied)
        );
        if has_ended {
            // It may have answered between the two looks.
            return mailbox.take_answer().unwrap_or_else(|| {
                Fault::new(SqlState::ERRCODE_INTERNAL_ERROR, "the login could not be completed")
                    .detail("The process that makes it has ended without an answer.")
                    .hint("Try again; the server's log says why.")
                    .raise()
            });
        }
        wait(1000);
    }
}

fn refuse_on_standby() {
    // SAFETY: reads shared memory.
    if unsafe { pg_sys::RecoveryInProgress() } {
        Fault::new(SqlState::ERRCODE_READ_ONLY_SQL_TRANSACTION, "nobody can log in on a standby")
            .detail("Every attempt is written down, and a standby cannot write.")
            .hint("Log in on the primary; the session's token is good here, too.")
            .raise();
    }
}

fn start(mailbox: &Mailbox) -> DynamicBackgroundWorker {
    let started = Instant::now();
    loop {
        // SAFETY: a plain variable of the backend.
        let process = unsafe { pg_sys::MyProcPid };
        let worker = worker("docperm login", "docperm_login_worker")
            .set_argument(Some(pg_sys::Datum::from(mailbox.handle())))
            .set_extra(&database().to_string())
            .set_notify_pid(process)
            .load_dynamic();
        if let Ok(worker) = worker {
            return worker;
        }
        if started.elapsed() > PATIENCE {
            Fault::new(
                SqlState::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
                "no process is free to make the login",
            )
            .detail("Every attempt is counted by a background worker. No password was verified.")
            .hint("Try again later, or increase max_worker_processes.")
            .raise();
        }
        wait(PAUSE);
    }
}

/// Has it noted that a session is in use, unless that was done within so many seconds, and waits for nothing. Not in the
/// caller's transaction: until its end, nobody else could change the session or its user, not even to end or disable them. Where
/// no process is free, the next one to take up the session notes it.
pub fn note_activity(session: i64, older_than: f64) {
    let _ = worker("docperm activity", "docperm_activity_worker")
        .set_argument(Some(pg_sys::Datum::from(session)))
        .set_extra(&format!("{} {older_than}", database()))
        .load_dynamic();
}

/// Has refusals written down, and waits for nothing; false if no process is free. May be called where a transaction ends.
pub fn write_down(refusals: &impl Serialize) -> bool {
    let mailbox = Mailbox::with_request(refusals);
    // Who asks is gone before the worker begins.
    mailbox.keep();
    let worker = worker("docperm refusals", "docperm_refusal_worker")
        .set_argument(Some(pg_sys::Datum::from(mailbox.handle())))
        .set_extra(&database().to_string())
        .load_dynamic();
    if worker.is_err() {
        Mailbox::give_up(mailbox.handle());
    }
    worker.is_ok()
}

fn worker(name: &str, function: &str) -> BackgroundWorkerBuilder {
    BackgroundWorkerBuilder::new(name)
        .set_type(name)
        .set_library("docperm")
        .set_function(function)
        .enable_spi_access()
}

fn database() -> u32 {
    // SAFETY: a plain variable of the backend.
    unsafe { pg_sys::MyDatabaseId }.to_u32()
}

/// Waits for this process to be woken, for so many milliseconds at most; cancels and timeouts end it with an error.
fn wait(milliseconds: i64) {
    let events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
    // SAFETY: this process's own latch.
    unsafe {
        pg_sys::WaitLatch(pg_sys::MyLatch, events as _, milliseconds as _, pg_sys::PG_WAIT_EXTENSION);
        pg_sys::ResetLatch(pg_sys::MyLatch);
    }
    pg_sys::check_for_interrupts!();
}
