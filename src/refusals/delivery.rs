//! Handing refusals to a background worker, when what they ended has been rolled back.

use std::ffi::c_void;
use std::panic::AssertUnwindSafe;

use pgrx::pg_sys;
use pgrx::prelude::PgTryBuilder;

use super::{QUEUE, now};
use crate::auth::ask;

/// Begins to watch the ends of transactions and of the backend.
pub fn watch() {
    // SAFETY: called once, when the library is loaded; the callbacks stay valid as long as the library does.
    unsafe {
        pg_sys::RegisterXactCallback(Some(on_transaction_end), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(on_subtransaction_end), std::ptr::null_mut());
        pg_sys::before_shmem_exit(Some(on_exit), pg_sys::Datum::from(0));
    }
}

unsafe extern "C-unwind" fn on_transaction_end(event: pg_sys::XactEvent::Type, _arg: *mut c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT};
    if matches!(event, XACT_EVENT_ABORT | XACT_EVENT_COMMIT) {
        deliver(false);
    }
}

unsafe extern "C-unwind" fn on_subtransaction_end(
    event: pg_sys::SubXactEvent::Type,
    _subtransaction: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _arg: *mut c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        deliver(false);
    }
}

unsafe extern "C-unwind" fn on_exit(_code: std::ffi::c_int, _arg: pg_sys::Datum) {
    deliver(true);
}

/// Hands over what waits, if it may be now. Called where nothing may fail: an error here is forgotten, and so are the refusals.
fn deliver(is_last: bool) {
    let refusals = QUEUE.with(|queue| match queue.try_borrow_mut() {
        Ok(mut queue) => queue.take(now(), is_last),
        Err(_) => vec![],
    });
    // SAFETY: reads shared memory.
    if refusals.is_empty() || unsafe { pg_sys::RecoveryInProgress() } {
        return;
    }
    let is_started =
        PgTryBuilder::new(AssertUnwindSafe(|| ask::write_down(&refusals))).catch_others(|_| true).execute();
    if !is_started {
        QUEUE.with(|queue| {
            if let Ok(mut queue) = queue.try_borrow_mut() {
                queue.put_back(refusals);
            }
        });
    }
}
