//! Watching queries that write, from their start to the end of their triggers.
//!
//! What comes next in each hook is called as C would call it, through frames that hold nothing to be dropped: an error of a
//! foreign key that was caught and raised again would have lost the names of the constraint, the table and the column.

use std::cell::RefCell;
use std::ffi::{c_int, c_void};

use pgrx::pg_sys;

use super::idle;
use super::merging::Writing;
use crate::entry_point::guarded;
use crate::identity;

type ExecutorStart = unsafe extern "C-unwind" fn(*mut pg_sys::QueryDesc, c_int);
type ExecutorFinish = unsafe extern "C-unwind" fn(*mut pg_sys::QueryDesc);

unsafe extern "C-unwind" {
    // executor/executor.h
    fn standard_ExecutorStart(query: *mut pg_sys::QueryDesc, flags: c_int);
    fn standard_ExecutorFinish(query: *mut pg_sys::QueryDesc);
}

/// What comes next in each hook.
#[derive(Clone, Copy)]
struct Next {
    start: ExecutorStart,
    finish: ExecutorFinish,
}

static mut NEXT: Next = Next { start: standard_ExecutorStart, finish: standard_ExecutorFinish };

/// A query whose AFTER triggers fire.
struct Finishing {
    writing: Writing,
    /// With whose privileges it runs.
    role: pg_sys::Oid,
    /// How many transactions it is in, one in the other.
    level: c_int,
}

thread_local! {
    /// The innermost is the last.
    static FINISHING: RefCell<Vec<Finishing>> = const { RefCell::new(vec![]) };
}

/// What the query is whose AFTER triggers fire; `None` if this library has seen none begin.
pub fn finishing() -> Option<Writing> {
    FINISHING.with_borrow(|all| all.last().map(|query| query.writing))
}

/// With whose privileges the query runs whose foreign keys change other tables now, as these tables' owners.
pub fn who_set_off_foreign_keys() -> pg_sys::Oid {
    let role = FINISHING.with_borrow(|all| all.last().map(|query| query.role));
    role.unwrap_or_else(identity::outer_role)
}

/// Whether a foreign key does what is being done: ON DELETE CASCADE and the like.
pub fn is_of_foreign_key() -> bool {
    // SAFETY: reads a variable of the backend. Only foreign keys (ri_triggers.c) do without row security for a table's owner.
    unsafe { pg_sys::InNoForceRLSOperation() }
}

/// Installs the hooks.
pub fn watch() {
    // SAFETY: called once, when the library is loaded, by the only thread; each hook calls the one that was there, and the
    // callbacks stay valid as long as the library does.
    unsafe {
        NEXT = Next {
            start: pg_sys::ExecutorStart_hook.unwrap_or(standard_ExecutorStart),
            finish: pg_sys::ExecutorFinish_hook.unwrap_or(standard_ExecutorFinish),
        };
        pg_sys::ExecutorStart_hook = Some(start);
        pg_sys::ExecutorFinish_hook = Some(finish);
        pg_sys::RegisterXactCallback(Some(on_transaction_end), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(on_subtransaction_end), std::ptr::null_mut());
    }
}

unsafe extern "C-unwind" fn start(query: *mut pg_sys::QueryDesc, flags: c_int) {
    // SAFETY: called by the executor with a query that is about to start. This frame holds nothing to be dropped.
    unsafe {
        (NEXT.start)(query, flags);
        if writes(query) && flags & pg_sys::EXEC_FLAG_EXPLAIN_ONLY as c_int == 0 {
            guarded(|| idle::silence(query));
        }
    }
}

/// AFTER triggers fire while a query is finished.
unsafe extern "C-unwind" fn finish(query: *mut pg_sys::QueryDesc) {
    // SAFETY: called by the executor with a query that has been run. This frame holds nothing to be dropped.
    unsafe {
        if !writes(query) {
            return (NEXT.finish)(query);
        }
        guarded(|| {
            let (writing, role) = (Writing::of(query), identity::current_role());
            let level = pg_sys::GetCurrentTransactionNestLevel();
            FINISHING.with_borrow_mut(|all| all.push(Finishing { writing, role, level }));
        });
        (NEXT.finish)(query);
        guarded(|| {
            FINISHING.with_borrow_mut(|all| all.pop());
            idle::make_up(query);
        });
    }
}

/// Whether triggers can fire for it. A query that only reads may call functions that write, by queries of their own.
unsafe fn writes(query: *mut pg_sys::QueryDesc) -> bool {
    // SAFETY: a query has a plan.
    unsafe {
        let plan = (*query).plannedstmt;
        (*plan).commandType != pg_sys::CmdType::CMD_SELECT || (*plan).hasModifyingCTE
    }
}

unsafe extern "C-unwind" fn on_transaction_end(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
    if matches!(event, XACT_EVENT_ABORT | XACT_EVENT_COMMIT | XACT_EVENT_PREPARE) {
        forget_from(0);
    }
}

unsafe extern "C-unwind" fn on_subtransaction_end(
    event: pg_sys::SubXactEvent::Type,
    _subtransaction: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _argument: *mut c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        // SAFETY: the one that is undone is the current one.
        forget_from(unsafe { pg_sys::GetCurrentTransactionNestLevel() });
    }
}

/// An error ended what was under way that deep.
fn forget_from(level: c_int) {
    // Nothing holds on to it, unless this is called in the middle of it.
    FINISHING.with(|all| {
        if let Ok(mut all) = all.try_borrow_mut() {
            all.retain(|query| query.level < level);
        }
    });
}
