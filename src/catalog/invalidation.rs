//! Receiving what [`channel`](super::channel)s say.

use std::cell::{Cell, RefCell};

use pgrx::pg_sys;

use super::channel::{self, Channel};

thread_local! {
    /// Relations and channels that are to be forgotten, in the order of their messages.
    static PENDING: RefCell<Vec<pg_sys::Oid>> = const { RefCell::new(Vec::new()) };
    /// The transaction has read permissions after it had written something.
    static READ_OWN_WORK: Cell<bool> = const { Cell::new(false) };
    /// Everything is to be forgotten.
    static EVERYTHING: Cell<bool> = const { Cell::new(false) };
    /// How many messages have come.
    static NEWS: Cell<u64> = const { Cell::new(0) };
}

/// A number that is another after every message that might be about permissions or about who acts.
pub fn news() -> u64 {
    NEWS.get()
}

/// Begins to listen.
pub fn listen() {
    // SAFETY: called once, when the library is loaded; the callbacks stay valid as long as the library does.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(on_message), pg_sys::Datum::from(0));
        pg_sys::CacheRegisterSyscacheCallback(
            pg_sys::SysCacheIdentifier::AUTHOID as _,
            Some(on_role_message),
            pg_sys::Datum::from(0),
        );
        pg_sys::RegisterXactCallback(Some(on_transaction_end), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(on_subtransaction_end), std::ptr::null_mut());
    }
}

/// Notes that permissions were read. What a transaction reads after it has written may be its own work, and untrue once it
/// is undone; and a statement that fails has not sent its messages yet.
pub fn note_reading() {
    // SAFETY: called inside a transaction.
    let has_written = unsafe { pg_sys::GetTopTransactionIdIfAny() } != pg_sys::InvalidTransactionId;
    if has_written {
        READ_OWN_WORK.set(true);
    }
}

unsafe extern "C-unwind" fn on_transaction_end(event: pg_sys::XactEvent::Type, _arg: *mut std::ffi::c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
    match event {
        XACT_EVENT_ABORT => undo_readings(),
        // What was prepared may still be undone, and then this backend need not be told.
        XACT_EVENT_PREPARE => undo_readings(),
        XACT_EVENT_COMMIT => READ_OWN_WORK.set(false),
        _ => {}
    }
}

unsafe extern "C-unwind" fn on_subtransaction_end(
    event: pg_sys::SubXactEvent::Type,
    _subtransaction: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _arg: *mut std::ffi::c_void,
) {
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        undo_readings();
    }
}

fn undo_readings() {
    if READ_OWN_WORK.replace(false) {
        EVERYTHING.set(true);
        forget_identity();
    }
}

/// A role may have been given another name, and so be that of another user.
unsafe extern "C-unwind" fn on_role_message(_arg: pg_sys::Datum, _cache: std::ffi::c_int, _hash: u32) {
    NEWS.set(NEWS.get().wrapping_add(1));
}

/// Notes a message. PostgreSQL calls this in the middle of anything, so it does nothing that could fail or recurse.
unsafe extern "C-unwind" fn on_message(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
    NEWS.set(NEWS.get().wrapping_add(1));
    let noted = PENDING.with(|pending| match pending.try_borrow_mut() {
        Ok(mut pending) if relation != pg_sys::InvalidOid && pending.len() < 10_000 => {
            pending.push(relation);
            true
        }
        _ => false,
    });
    if !noted {
        EVERYTHING.set(true);
    }
}

/// What there is to forget.
pub enum Forget {
    /// Everything.
    Everything,
    /// What these relations and channels stand for.
    These(Vec<pg_sys::Oid>),
}

/// Reads the messages of transactions that have committed meanwhile, and hands over all that came since the last call.
pub fn receive() -> Forget {
    // SAFETY: called inside a transaction, outside of any callback.
    unsafe { pg_sys::AcceptInvalidationMessages() }
    let noted = PENDING.with_borrow_mut(std::mem::take);
    if EVERYTHING.replace(false) { Forget::Everything } else { Forget::These(noted) }
}

/// Makes this backend plan anew whatever was planned for whoever acted until now.
pub fn forget_identity() {
    let mut message = channel::message(Channel::Identity.oid());
    // SAFETY: what a message from another backend would do. It looks for a relation that is not there and calls the
    // callbacks, of which the plan cache's marks plans as invalid: no catalog access, allowed at the end of a failed
    // transaction, where settings are restored.
    unsafe { pg_sys::LocalExecuteInvalidationMessage(&mut message) }
}
