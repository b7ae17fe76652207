//! The login worker: starts, does one request, ends. And smaller ones, which note that a session is in use, and what was refused.

use std::panic::AssertUnwindSafe;

use pgrx::bgworkers::BackgroundWorker;
use pgrx::pg_sys;
use pgrx::spi::Spi;

use super::attempt::expect;
use super::mailbox::Mailbox;
use super::request::{Answer, Request};
use super::{impersonation, login, new_session, provider_login};
use crate::refusals::Refusal;

/// Settings of the database or of the server that must not decide how attempts are counted.
const SETTINGS: [(&std::ffi::CStr, &std::ffi::CStr); 10] = [
    // What a database's connections become is not for the worker, which acts as docperm's owner.
    (c"role", c"none"),
    (c"search_path", c"pg_catalog, pg_temp"),
    (c"default_transaction_isolation", c"read committed"),
    (c"default_transaction_read_only", c"off"),
    (c"default_transaction_deferrable", c"off"),
    // An attempt that is lost with the server's power was not counted.
    (c"synchronous_commit", c"on"),
    (c"session_replication_role", c"origin"),
    // Whoever keeps a row of his own locked keeps no process waiting for ever.
    (c"lock_timeout", c"10s"),
    (c"row_security", c"on"),
    (c"check_function_bodies", c"on"),
];

/// Called by PostgreSQL in a process of its own; the argument is the mailbox.
#[unsafe(no_mangle)]
#[pgrx::pg_guard]
pub extern "C-unwind" fn docperm_login_worker(mailbox: pg_sys::Datum) {
    // Before anything that takes time: who asks may go, and nothing has been done yet.
    let Some(mailbox) = Mailbox::open(mailbox.value() as pg_sys::dsm_handle) else { return };
    connect(BackgroundWorker::get_extra());
    let Some(request) = mailbox.take_request::<Request>() else { return };
    let answer = answer(request);
    mailbox.answer(&answer);
    new_session::note_later();
}

/// Called by PostgreSQL in a process of its own: notes that a session is in use. See [`super::ask::note_activity`].
#[unsafe(no_mangle)]
#[pgrx::pg_guard]
pub extern "C-unwind" fn docperm_activity_worker(session: pg_sys::Datum) {
    let extra = BackgroundWorker::get_extra();
    let Some((database, older_than)) = extra.split_once(' ') else { return };
    connect(database);
    let older_than = older_than.parse::<f64>().unwrap_or_default();
    let arguments = [(session.value() as i64).into(), older_than.into()];
    let sql = "SELECT docperm._touch_session($1, pg_catalog.make_interval(secs => $2))";
    transaction(|| expect(Spi::run_with_args(sql, &arguments)));
}

/// Called by PostgreSQL in a process of its own: writes down what was refused. See [`super::ask::write_down`].
#[unsafe(no_mangle)]
#[pgrx::pg_guard]
pub extern "C-unwind" fn docperm_refusal_worker(mailbox: pg_sys::Datum) {
    let handle = mailbox.value() as pg_sys::dsm_handle;
    let Some(mailbox) = Mailbox::open(handle) else { return };
    Mailbox::give_up(handle);
    connect(BackgroundWorker::get_extra());
    let Some(refusals) = mailbox.take_request::<Vec<Refusal>>() else { return };
    let sql = "SELECT docperm._log_refusal($1, $2, $3, $4, $5, $6)";
    for Refusal { who, message, times } in refusals {
        let role = pg_sys::Oid::from(who.role);
        let arguments = [
            who.user.into(),
            who.token_hash.into(),
            who.api_key.into(),
            role.into(),
            message.into(),
            i64::from(times).into(),
        ];
        transaction(|| expect(Spi::run_with_args(sql, &arguments)));
    }
}

/// Becomes a process that acts for docperm in that database.
fn connect(database: &str) {
    let database = pg_sys::Oid::from(database.parse::<u32>().unwrap_or_default());
    // SAFETY: once, at the beginning of a background worker, whose signals are unblocked. No role: as the bootstrap
    // superuser, which needs no privileges on docperm's tables.
    unsafe {
        pg_sys::pqsignal(SIGTERM, Some(terminate));
        pg_sys::BackgroundWorkerUnblockSignals();
        pg_sys::BackgroundWorkerInitializeConnectionByOid(database, pg_sys::InvalidOid, 0);
        for (name, value) in SETTINGS {
            let (context, source) = (pg_sys::GucContext::PGC_SUSET, pg_sys::GucSource::PGC_S_OVERRIDE);
            pg_sys::SetConfigOption(name.as_ptr(), value.as_ptr(), context, source);
        }
    }
}

/// POSIX's number of the signal that asks a process to end.
const SIGTERM: i32 = 15;

/// What PostgreSQL's own handler does: the end comes where interrupts are looked for, not in the middle of anything.
unsafe extern "C-unwind" fn terminate(_signal: i32) {
    // SAFETY: flags and the latch of this process, which are made to be set by signal handlers.
    unsafe {
        (&raw mut pg_sys::ProcDiePending).write_volatile(1);
        (&raw mut pg_sys::InterruptPending).write_volatile(1);
        pg_sys::SetLatch(pg_sys::MyLatch);
    }
}

fn answer(request: Request) -> Answer {
    match request {
        Request::Login { login_id, password, code, from } => login::log_in(&login_id, &password, code, from),
        Request::VerifyPassword { user, password, from } => login::verify_password(&user, &password, from),
        Request::IdToken { provider, token, nonce, from } => {
            provider_login::log_in(&provider, &token, nonce.as_deref(), from)
        }
        Request::Impersonate { user, actor, returns_to, reason, from } => {
            impersonation::begin(&user, &actor, returns_to, &reason, from)
        }
    }
}

/// One transaction, which is committed.
pub fn transaction<R>(work: impl FnOnce() -> R) -> R {
    BackgroundWorker::transaction(AssertUnwindSafe(work))
}
