//! Statements that hold a secret are kept out of the server's log, and out of pg_stat_activity.
//!
//! PostgreSQL logs the text of every statement that fails (log_min_error_statement), whatever the failure is: a password that
//! is too weak, a timeout while it is hashed, a division by zero in the same statement. A function that is given a secret says
//! so before anything can fail, and until the statement's end its text, and the context that may quote it, are not logged.
//! Where a statement fails before any function is called, it is known by what it names.
//!
//! The text is also what pg_stat_activity shows to whoever has the same database role, which behind a pool is everybody, and
//! what PostgreSQL logs of the others in a deadlock, and of a process that crashed. There, something else takes its place, as
//! soon as docperm is called, or the statement has failed before.
//!
//! It is the statement that counts, not the transaction: statements are told apart by when they started. What is logged for
//! other reasons (log_statement, log_min_duration_statement) is not touched.

#[forbid(unsafe_code)]
mod names;

use std::cell::Cell;
use std::ffi::{CStr, c_char};

use pgrx::pg_sys;

use names::may_hold_a_secret;

thread_local! {
    /// When the statement started that was last said to hold a secret.
    static CONCEALED: Cell<Option<pg_sys::TimestampTz>> = const { Cell::new(None) };
}

/// The hook that was there before.
static mut NEXT: pg_sys::emit_log_hook_type = None;

/// Has messages looked at before they are logged.
pub fn init() {
    // SAFETY: called once, when the library is loaded, by a backend that has one thread.
    unsafe {
        NEXT = pg_sys::emit_log_hook;
        pg_sys::emit_log_hook = Some(look_at);
    }
}

/// What is shown in place of a statement.
const SHOWN: &CStr = c"<a statement that holds a secret>";

/// The statement that is being executed holds a secret.
pub fn conceal_statement() {
    CONCEALED.set(Some(statement_start()));
    show_another();
}

fn show_another() {
    // SAFETY: a statement is running; the text is copied, and nothing can fail. Does nothing where a process has no place in
    // pg_stat_activity.
    unsafe { pg_sys::pgstat_report_activity(pg_sys::BackendState::STATE_RUNNING, SHOWN.as_ptr()) }
}

/// Whether the statement that is being executed holds a secret, or may.
pub fn is_concealed() -> bool {
    // SAFETY: NULL or NUL-terminated, while a statement is executed.
    CONCEALED.get() == Some(statement_start()) || unsafe { names_a_secret(pg_sys::debug_query_string) }
}

fn statement_start() -> pg_sys::TimestampTz {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::GetCurrentStatementStartTimestamp() }
}

/// Called while an error is being reported, so that nothing in it may fail.
unsafe extern "C-unwind" fn look_at(message: *mut pg_sys::ErrorData) {
    // SAFETY: PostgreSQL passes a message that it is about to log, and reads these fields after the hook; the texts are NULL
    // or NUL-terminated.
    unsafe {
        let is_concealed = CONCEALED.get() == Some(statement_start());
        if is_concealed || names_a_secret(pg_sys::debug_query_string) {
            (*message).hide_stmt = true;
            (*message).hide_ctx = true;
            if !is_concealed {
                show_another();
            }
        }
        // A statement within a function that could not be parsed.
        if names_a_secret((*message).internalquery) {
            (*message).internalquery = std::ptr::null_mut();
            // A place in a text that is not there would break the protocol.
            (*message).internalpos = 0;
        }
        if let Some(next) = NEXT {
            next(message);
        }
    }
}

unsafe fn names_a_secret(text: *const c_char) -> bool {
    // SAFETY: NULL or NUL-terminated, says the caller.
    !text.is_null() && may_hold_a_secret(unsafe { CStr::from_ptr(text) }.to_bytes())
}
