//! Locking documents below the level of SQL, as they are now.
//!
//! A rule about two rows in two tables, a document and a row that belongs to it, holds only if whoever changes either has to
//! wait for the other. So who relies on a document's state locks it, against changes, until his transaction ends.

use pgrx::pg_sys;

use super::document::{self, Name};
use super::load::Site;
use super::scan::{NewestSnapshot, RowView, Table};

/// What came of it.
pub struct Locked {
    /// There is such a document, and all of that name are permitted.
    pub is_permitted: bool,
}

/// Locks the documents that have this name in this column, if `may` permits all of them, and calls `locked` with each as it
/// is now. Of one that has been deleted or renamed meanwhile there is nothing to see.
pub fn lock_if(
    site: &Site,
    doctype: &str,
    column: &str,
    name: &Name,
    mut may: impl FnMut(&RowView) -> bool,
    mut locked: impl FnMut(&RowView),
) -> Locked {
    let (mut places, mut is_permitted) = (vec![], None);
    document::find_by(site, doctype, column, name, NewestSnapshot::take().as_raw(), |row| {
        is_permitted = Some(is_permitted.unwrap_or(true) && may(row));
        places.push((row.table().oid(), row.place()));
    });
    let is_permitted = is_permitted.unwrap_or(false);
    if is_permitted {
        let mut is_own = false;
        for (table, place) in places {
            is_own |= !lock(table, place, &mut |row| {
                let attribute = row.table().registered_attribute(column, doctype);
                // It may have got another name while it was waited for.
                if name.is_that_of(row, attribute) {
                    locked(row);
                }
            });
        }
        if is_own {
            // The statement itself has changed it, and nobody else can.
            document::find_by(site, doctype, column, name, own_snapshot(), locked);
        }
    }
    Locked { is_permitted }
}

/// What the transaction itself has written, up to now. Only for rows that nobody else can change meanwhile.
pub fn own_snapshot() -> pg_sys::Snapshot {
    &raw mut pg_sys::SnapshotSelfData
}

/// Locks one row in its newest version; false if that is one that the running statement has made.
fn lock(table: pg_sys::Oid, mut place: pg_sys::ItemPointerData, locked: &mut dyn FnMut(&RowView)) -> bool {
    let Some(table) = Table::open_to_lock(table) else { return true };
    let mut failure = pg_sys::TM_FailureData::default();
    // SAFETY: the table is open and locked for locking rows; the slot is of the table and dropped at the end, or by the
    // end of a transaction that fails. The row is one that the newest snapshot has seen.
    unsafe {
        let snapshot = NewestSnapshot::take();
        let slot = pg_sys::table_slot_create(table.as_raw(), std::ptr::null_mut());
        let method = (*(*table.as_raw()).rd_tableam).tuple_lock.expect("tables have this method");
        let flags =
            pg_sys::TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS | pg_sys::TUPLE_LOCK_FLAG_FIND_LAST_VERSION;
        let outcome = pg_sys::ffi::pg_guard_ffi_boundary(|| {
            method(
                table.as_raw(),
                &mut place,
                snapshot.as_raw(),
                slot,
                pg_sys::GetCurrentCommandId(false),
                pg_sys::LockTupleMode::LockTupleNoKeyExclusive,
                pg_sys::LockWaitPolicy::LockWaitBlock,
                flags as u8,
                &mut failure,
            )
        });
        if outcome == pg_sys::TM_Result::TM_Ok {
            let mut is_copy = false;
            let tuple = pg_sys::ExecFetchSlotHeapTuple(slot, true, &mut is_copy);
            locked(&RowView::new(&table, tuple));
            if is_copy {
                pg_sys::heap_freetuple(tuple);
            }
        }
        pg_sys::ExecDropSingleTupleTableSlot(slot);
        outcome != pg_sys::TM_Result::TM_SelfModified
    }
}
