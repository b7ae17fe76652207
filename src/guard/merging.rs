//! Whether the statement whose triggers fire is a MERGE.
//!
//! A MERGE that updates a row into another partition leaves it out of the transition tables for UPDATE, and has it in those
//! for DELETE, though the document is still there. Triggers that go by these tables have to know.

use std::cell::Cell;

use pgrx::{PgList, pg_sys};

/// What the query that is being finished is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finished {
    /// A MERGE, into a table that has partitions or not.
    Merge { into_parts: bool },
    /// Anything else.
    Other,
}

thread_local! {
    /// Of the query that is being finished; `None` before this library has seen one.
    static FINISHED: Cell<Option<Finished>> = const { Cell::new(None) };
    static NEXT_HOOK: Cell<pg_sys::ExecutorFinish_hook_type> = const { Cell::new(None) };
}

/// Whether it is one, or may be one, because the library was loaded when its triggers had begun to fire.
pub fn may_be_merge() -> bool {
    FINISHED.get().is_none_or(|finished| finished != Finished::Other)
}

/// Whether it is one that writes to a partitioned table. Its statement triggers for INSERT and DELETE, which fire only if it
/// has such actions, are shown rows that were moved beside those that came and went; row triggers fire for all of these.
pub fn is_merge_into_parts() -> bool {
    FINISHED.get() == Some(Finished::Merge { into_parts: true })
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
struct Telling(Option<Finished>);

impl Drop for Telling {
    fn drop(&mut self) {
        FINISHED.set(self.0);
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn finish(query: *mut pg_sys::QueryDesc) {
    // SAFETY: what PostgreSQL passes and would have called itself.
    unsafe {
        let _before = Telling(FINISHED.replace(Some(what_is(query))));
        match NEXT_HOOK.get() {
            Some(next) => pg_sys::ffi::pg_guard_ffi_boundary(|| next(query)),
            None => pg_sys::standard_ExecutorFinish(query),
        }
    }
}

unsafe fn what_is(query: *mut pg_sys::QueryDesc) -> Finished {
    // PostgreSQL 14 has no MERGE.
    #[cfg(feature = "pg14")]
    {
        let _ = query;
        Finished::Other
    }
    #[cfg(not(feature = "pg14"))]
    // SAFETY: a query has a plan; its result relations are numbers of its range table, partitions and their root among them.
    unsafe {
        let plan = (*query).plannedstmt;
        if (*plan).commandType != pg_sys::CmdType::CMD_MERGE {
            return Finished::Other;
        }
        let targets = PgList::<pg_sys::RangeTblEntry>::from_pg((*plan).rtable);
        let is_partitioned = |index: i32| {
            let target = usize::try_from(index - 1).ok().and_then(|place| targets.get_ptr(place));
            target.is_some_and(|target| (*target).relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE)
        };
        let results = PgList::<i32>::from_pg((*plan).resultRelations);
        Finished::Merge { into_parts: results.iter_int().any(is_partitioned) }
    }
}
