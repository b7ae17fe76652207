//! The rows that a statement took away, changed or brought, as its triggers are shown them.

use std::num::NonZeroUsize;

use pgrx::pg_sys;

/// A row of a trigger's relation.
pub trait Values {
    /// The value of an attribute of the relation; `None` for NULL.
    fn value(&self, attribute: &pg_sys::FormData_pg_attribute) -> Option<pg_sys::Datum>;
}

/// A transition table, read from its beginning, one row after another.
pub struct TransitionRows {
    rows: *mut pg_sys::Tuplestorestate,
    pointer: i32,
    slot: *mut pg_sys::TupleTableSlot,
}

impl TransitionRows {
    /// Of a transition table whose rows are described so. A read pointer of one's own leaves those of others where they are.
    ///
    /// # Safety
    /// Both outlive it.
    pub(super) unsafe fn of(rows: *mut pg_sys::Tuplestorestate, descriptor: pg_sys::TupleDesc) -> Self {
        // SAFETY: as demanded of the caller.
        unsafe {
            let pointer = pg_sys::tuplestore_alloc_read_pointer(rows, pg_sys::EXEC_FLAG_REWIND as _);
            pg_sys::tuplestore_select_read_pointer(rows, pointer);
            pg_sys::tuplestore_rescan(rows);
            let slot = pg_sys::MakeSingleTupleTableSlot(descriptor, &raw const pg_sys::TTSOpsMinimalTuple);
            TransitionRows { rows, pointer, slot }
        }
    }

    /// Goes on to the next row; false after the last.
    pub fn advance(&mut self) -> bool {
        // SAFETY: the table and the slot are alive. Values of a row are used before the next is fetched.
        unsafe {
            pg_sys::tuplestore_select_read_pointer(self.rows, self.pointer);
            let is_there = pg_sys::tuplestore_gettupleslot(self.rows, true, false, self.slot);
            if is_there {
                pg_sys::slot_getsomeattrs_int(self.slot, (*(*self.slot).tts_tupleDescriptor).natts);
            }
            is_there
        }
    }
}

impl Values for TransitionRows {
    fn value(&self, attribute: &pg_sys::FormData_pg_attribute) -> Option<pg_sys::Datum> {
        let place = usize::try_from(attribute.attnum).ok()?.checked_sub(1)?;
        // SAFETY: all attributes of the row are there once it has been advanced to.
        unsafe { (!*(*self.slot).tts_isnull.add(place)).then(|| *(*self.slot).tts_values.add(place)) }
    }
}

impl Drop for TransitionRows {
    fn drop(&mut self) {
        // On an error the transaction frees it.
        if !std::thread::panicking() {
            // SAFETY: made by `of`.
            unsafe { pg_sys::ExecDropSingleTupleTableSlot(self.slot) }
        }
    }
}

/// The one row that a row trigger fires for.
pub struct TriggerRow {
    pub(super) tuple: pg_sys::HeapTuple,
    pub(super) descriptor: pg_sys::TupleDesc,
}

impl Values for TriggerRow {
    fn value(&self, attribute: &pg_sys::FormData_pg_attribute) -> Option<pg_sys::Datum> {
        let number = NonZeroUsize::new(usize::try_from(attribute.attnum).ok()?)?;
        // SAFETY: a row of the relation that the descriptor describes, which lives as long as the trigger's call.
        unsafe { pgrx::htup::heap_getattr_raw(self.tuple, number, self.descriptor) }
    }
}
