//! Refusals are written down: who was refused what, in docperm.activity_log.
//!
//! A refusal is an error, and what an error's transaction writes is undone. So the backend keeps refusals in a [`queue`] until
//! the transaction, or the part of it that failed, has been rolled back, and hands them to a background worker then
//! ([`delivery`]), which nobody waits for. Where no worker is to be had, and on a standby, the refusal stays an error and
//! nothing else.
//!
//! Two places notice them. Errors of docperm's own say so before they are raised, so that they are noticed also where the
//! statement that they end catches them (a DO block with EXCEPTION). Errors of PostgreSQL's (a table privilege that is missing, a
//! row that a policy does not let in) are seen when they are reported to the client ([`report`]).

mod delivery;
#[forbid(unsafe_code)]
mod queue;
mod report;

use std::cell::{Cell, RefCell};

use pgrx::pg_sys;

use crate::concealment;
use crate::fault;
use queue::Queue;
pub use queue::{Refusal, Who};

thread_local! {
    static QUEUE: RefCell<Queue> = RefCell::new(Queue::default());
    /// When the statement started whose refusal was noted last: what docperm raises comes by [`report`] as well.
    static NOTED: Cell<Option<pg_sys::TimestampTz>> = const { Cell::new(None) };
}

/// Begins to notice refusals.
pub fn init() {
    // SAFETY: a plain variable. Workers of docperm's own are not refused anything, and have nobody to tell.
    if unsafe { pg_sys::IsBackgroundWorker } {
        return;
    }
    fault::watch_denials(note);
    report::watch();
    delivery::watch();
}

/// Notes a refusal. Called while an error is on its way, so it neither fails nor looks anything up.
fn note(message: &str) {
    let message =
        if concealment::is_concealed() { queue::without_names(message) } else { message.to_owned() };
    NOTED.set(Some(statement_start()));
    QUEUE.with(|queue| {
        if let Ok(mut queue) = queue.try_borrow_mut() {
            queue.push(who(), message, now());
        }
    });
}

/// What tells who acts, as far as it can be told without looking anything up; the worker finds out the rest.
fn who() -> Who {
    use crate::catalog::session::hash_of;
    use crate::identity::settings;
    let role = crate::identity::outer_role().to_u32();
    match (settings::acting_user(), settings::session_token()) {
        (Some(user), _) => Who { user: Some(user.to_owned()), role, ..Default::default() },
        (None, Some(token)) => match token.split_once(':') {
            Some((key, _)) => Who { api_key: Some(key.to_owned()), role, ..Default::default() },
            None => Who { token_hash: Some(hash_of(token)), role, ..Default::default() },
        },
        (None, None) => Who { role, ..Default::default() },
    }
}

fn statement_start() -> pg_sys::TimestampTz {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::GetCurrentStatementStartTimestamp() }
}

/// In microseconds.
fn now() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}
