//! Statements that hold a secret are kept out of the server's log.
//!
//! PostgreSQL logs the text of every statement that fails (log_min_error_statement), whatever the failure is: a password that
//! is too weak, a timeout while it is hashed, a division by zero in the same statement. A function that is given a secret says
//! so before anything can fail, and until the statement's end its text, and the context that may quote it, are not logged.
//!
//! It is the statement that counts, not the transaction: statements are told apart by when they started. What is logged for
//! other reasons (log_statement, log_min_duration_statement) is not touched.

use std::cell::Cell;

use pgrx::pg_sys;

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

/// The statement that is being executed holds a secret.
pub fn conceal_statement() {
    CONCEALED.set(Some(statement_start()));
}

fn statement_start() -> pg_sys::TimestampTz {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::GetCurrentStatementStartTimestamp() }
}

/// Called while an error is being reported, so that nothing in it may fail.
unsafe extern "C-unwind" fn look_at(message: *mut pg_sys::ErrorData) {
    // SAFETY: PostgreSQL passes a message that it is about to log, and reads these two fields after the hook.
    unsafe {
        if CONCEALED.get() == Some(statement_start()) {
            (*message).hide_stmt = true;
            (*message).hide_ctx = true;
        }
        if let Some(next) = NEXT {
            next(message);
        }
    }
}
