//! Doctypes of which nothing is shared: known without looking, until somebody begins to share.
//!
//! Whoever shares a document by docperm.share() locks it, writes the share, and tells every backend at once
//! (`docperm_share_changed` in [`catalog::triggers`](crate::catalog::triggers)), all before he commits. Whoever deletes the document
//! waits for that lock. So he has been told by the time he has deleted it, unless he looked after the share was written; and
//! who looks here sees shares that are not committed. An administrator's INSERT into docperm.shares locks nothing, and may
//! name a document that is not there.

use std::cell::RefCell;
use std::collections::HashMap;

use pgrx::pg_sys;

use crate::catalog::invalidation;
use crate::catalog::scan::{Key, Table};

thread_local! {
    /// Doctypes of which nothing was shared, and the news of then.
    static UNSHARED: RefCell<HashMap<String, u64>> = RefCell::default();
}

/// Whether a document of the doctype is shared, or being shared by a transaction that has not ended.
pub fn is_shared(doctype: &str) -> bool {
    // SAFETY: called inside a transaction.
    unsafe { pg_sys::AcceptInvalidationMessages() }
    let news = invalidation::news();
    if UNSHARED.with_borrow(|unshared| unshared.get(doctype) == Some(&news)) {
        return false;
    }
    let is_shared = Table::own("shares").any_even_uncommitted(&[Key::Text("doctype", doctype)]);
    UNSHARED.with_borrow_mut(|unshared| {
        if is_shared {
            unshared.remove(doctype);
        } else {
            unshared.insert(doctype.to_owned(), news);
        }
    });
    is_shared
}
