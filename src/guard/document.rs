//! The row trigger on tables of documents: what is written into a row by docperm, and what may become of it.
//!
//! It fires last among the triggers that fire BEFORE a row is written, and for each row in this order:
//!
//! 1. [`moving`]: a row that an UPDATE moves to another partition is neither deleted nor inserted;
//! 2. [`stamps`]: who, and when;
//! 3. [`lifecycle`]: what the document's state allows.
//!
//! The policies come after it, and judge the row as it is then.

use pgrx::pg_sys;

use super::row::{Event, RowCall, TriggerRow};
use super::{lifecycle, moving, stamps, writing};
use crate::entry_point::entry_point;

entry_point! {
    /// BEFORE row trigger on the table of a doctype; its argument names the doctype: `docperm._write_document('Sales Order')`.
    fn docperm_write_document / pg_finfo_docperm_write_document (fcinfo) {
        let call = RowCall::of(fcinfo);
        pg_sys::Datum::from(written(&call).as_raw())
    }
}

fn written(call: &RowCall) -> TriggerRow {
    let row = || if call.event() == Event::Update { call.second() } else { call.first() };
    let Some(writing) = writing::of(call) else { return row() };
    if writing.is_filtered {
        writing.table.require_whole();
    }
    match call.event() {
        Event::Insert => {
            let new = call.first();
            if let Some(arrived) = moving::arrives(call, &writing, &new) {
                return arrived;
            }
            let new = stamps::inserted(&writing, new);
            lifecycle::inserted(&writing, new)
        }
        Event::Update => {
            let (old, new) = (call.first(), call.second());
            let new = stamps::updated(&writing, &old, new);
            let new = lifecycle::updated(&writing, &old, new);
            moving::note(call, &writing.table, &old, &new);
            new
        }
        Event::Delete => {
            let old = call.first();
            if !moving::leaves(call, &writing.table, &old) {
                lifecycle::deleted(&writing, &old);
            }
            old
        }
    }
}

entry_point! {
    /// AFTER UPDATE row trigger that fires where somebody whom row security filters has changed the owner or the time of
    /// creation: `docperm._keep_constants('Sales Order')`.
    fn docperm_keep_constants / pg_finfo_docperm_keep_constants (fcinfo) {
        let call = RowCall::of(fcinfo);
        if let Some(writing) = writing::of(&call) {
            let (old, new) = (call.first(), call.second());
            let constants = [&writing.table.owner, &writing.table.creation].into_iter().flatten();
            let changed = constants.into_iter().find(|column| !old.agrees(&new, column));
            if let Some(column) = changed {
                stamps::refuse_change(&writing, &old, column);
            }
        }
        pg_sys::Datum::from(0)
    }
}
