//! Whether the statement whose triggers fire is a MERGE.
//!
//! A MERGE that updates a row into another partition leaves it out of the transition tables for UPDATE, and has it in those
//! for DELETE, though the document is still there. Triggers that go by these tables have to know.

use std::cell::Cell;

use pgrx::pg_sys;

thread_local! {
    /// Of the query that is being finished; `None` before this library has seen one.
    static FINISHES_MERGE: Cell<Option<bool>> = const { Cell::new(None) };
    static NEXT_HOOK: Cell<pg_sys::ExecutorFinish_hook_type> = const { Cell::new(None) };
}

/// Whether it is one, or may be one, because the library was loaded when its triggers had begun to fire.
pub fn may_be_merge() -> bool {
    FINISHES_MERGE.get().unwrap_or(true)
}

/// Installs the hook: AFTER triggers fire while a query is finished.
pub fn watch() {
    // SAFETY: the hook is set once, in a single thread, and calls the one that was there.
    unsafe {
        NEXT_HOOK.set(pg_sys::ExecutorFinish_hook);
        pg_sys::ExecutorFinish_hook = Some(finish);
    }
}

/// Sets what is told, until it is dropped.
struct Telling(Option<bool>);

impl Drop for Telling {
    fn drop(&mut self) {
        FINISHES_MERGE.set(self.0);
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn finish(query: *mut pg_sys::QueryDesc) {
    // SAFETY: what PostgreSQL passes and would have called itself.
    unsafe {
        let _before = Telling(FINISHES_MERGE.replace(Some(is_merge(query))));
        match NEXT_HOOK.get() {
            Some(next) => pg_sys::ffi::pg_guard_ffi_boundary(|| next(query)),
            None => pg_sys::standard_ExecutorFinish(query),
        }
    }
}

unsafe fn is_merge(query: *mut pg_sys::QueryDesc) -> bool {
    // PostgreSQL 14 has no MERGE.
    #[cfg(feature = "pg14")]
    {
        let _ = query;
        false
    }
    #[cfg(not(feature = "pg14"))]
    // SAFETY: a query has a plan.
    unsafe {
        (*(*query).plannedstmt).commandType == pg_sys::CmdType::CMD_MERGE
    }
}
