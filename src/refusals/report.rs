//! Refusals of PostgreSQL's own, seen when they are reported.

use std::ffi::{CStr, c_char};

use pgrx::pg_sys;

use crate::fault::SqlState;

/// The hook that was there before.
static mut NEXT: pg_sys::emit_log_hook_type = None;

/// Has errors looked at when they are reported.
pub fn watch() {
    // SAFETY: called once, when the library is loaded, by a backend that has one thread.
    unsafe {
        NEXT = pg_sys::emit_log_hook;
        pg_sys::emit_log_hook = Some(look_at);
    }
}

/// Called while an error is being reported, so that nothing in it may fail.
unsafe extern "C-unwind" fn look_at(error: *mut pg_sys::ErrorData) {
    // SAFETY: PostgreSQL passes an error that it is about to report; its texts are NULL or NUL-terminated.
    unsafe {
        let is_refusal = (*error).elevel == pgrx::PgLogLevel::ERROR as i32
            && (*error).sqlerrcode == SqlState::ERRCODE_INSUFFICIENT_PRIVILEGE as i32;
        // What a parallel worker reports, its leader reports as well.
        if is_refusal
            && pg_sys::ParallelWorkerNumber < 0
            && super::NOTED.get() != Some(super::statement_start())
            && (mentions_docperm(pg_sys::debug_query_string)
                || mentions_docperm((*error).context)
                || mentions_docperm(pg_sys::namespace_search_path))
            && !(*error).message.is_null()
        {
            super::note(&CStr::from_ptr((*error).message).to_string_lossy());
        }
        if let Some(next) = NEXT {
            next(error);
        }
    }
}

/// Whether a text names the schema: a statement, where an error comes from, where names are looked for.
unsafe fn mentions_docperm(text: *const c_char) -> bool {
    const NAME: &[u8] = b"docperm";
    // SAFETY: NULL or NUL-terminated, says the caller.
    !text.is_null()
        && unsafe { CStr::from_ptr(text) }
            .to_bytes()
            .windows(NAME.len())
            .any(|window| window.eq_ignore_ascii_case(NAME))
}
