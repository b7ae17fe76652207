//! Receiving what [`channel`](super::channel)s say.

use std::cell::{Cell, RefCell};

use pgrx::pg_sys;

use super::channel::{self, Channel};

thread_local! {
    /// Relations and channels that are to be forgotten, in the order of their messages.
    static PENDING: RefCell<Vec<pg_sys::Oid>> = const { RefCell::new(Vec::new()) };
    /// Everything is to be forgotten.
    static EVERYTHING: Cell<bool> = const { Cell::new(false) };
}

/// Begins to listen.
pub fn listen() {
    // SAFETY: called once, when the library is loaded; the callback stays valid as long as the library does.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(on_message), pg_sys::Datum::from(0)) }
}

/// Notes a message. PostgreSQL calls this in the middle of anything, so it does nothing that could fail or recurse.
unsafe extern "C-unwind" fn on_message(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
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
    let mut message = pg_sys::SharedInvalidationMessage {
        rc: pg_sys::SharedInvalRelcacheMsg {
            id: pg_sys::SHAREDINVALRELCACHE_ID as i8,
            // SAFETY: a plain variable of the backend.
            dbId: unsafe { pg_sys::MyDatabaseId },
            relId: Channel::Identity.oid(),
        },
    };
    // SAFETY: what a message from another backend would do. It looks for a relation that is not there and calls the
    // callbacks, of which the plan cache's marks plans as invalid: no catalog access, allowed at the end of a failed
    // transaction, where settings are restored.
    unsafe { pg_sys::LocalExecuteInvalidationMessage(&mut message) }
}

/// Whether a relation that was named in a message can matter to anybody but its own plans.
pub fn is_channel(oid: pg_sys::Oid) -> bool {
    channel::is_channel(oid)
}
