//! Rows that an UPDATE moves to another partition.
//!
//! PostgreSQL makes a DELETE and an INSERT of such an UPDATE, with the row triggers of both. To the document nothing of that
//! happens: it is neither deleted nor made anew. That it is moving is told by what cannot happen otherwise: the trigger is
//! called for an UPDATE of the row and then, in the same statement and for the same row, for a DELETE; an UPDATE that is done
//! leaves another row behind, and one that fails takes its statement with it.

use std::cell::RefCell;

use pgrx::{PgMemoryContexts, pg_sys};

use super::row::{RowCall, TriggerRow};
use super::table::{Column, GuardedTable};
use super::writing::Writing;

/// The row that the statement updated last in this table. It lives as long as the statement.
struct Updated {
    place: pg_sys::ItemPointerData,
    row: TriggerRow,
}

/// A row that has been taken out of a partition.
struct OnItsWay {
    root: pg_sys::Oid,
    transaction: pg_sys::TransactionId,
    subtransaction: pg_sys::SubTransactionId,
    /// What tells it from others.
    key: Option<String>,
    /// Columns that docperm writes, and what is in them.
    kept: Vec<(String, Option<String>)>,
}

thread_local! {
    static ON_ITS_WAY: RefCell<Option<OnItsWay>> = const { RefCell::new(None) };
}

/// Notes an UPDATE of a row that may leave its partition.
pub fn note(call: &RowCall, table: &GuardedTable, old: &TriggerRow, new: &TriggerRow) {
    if !table.is_partition {
        return;
    }
    let mut memory = PgMemoryContexts::For(call.statement_memory());
    // SAFETY: the copy and the note live as long as the statement that the trigger manager calls the trigger for; the copy
    // of the row before is freed when the note of it is replaced. The note is of plain values.
    unsafe {
        let copy = memory.switch_to(|_| pg_sys::heap_copytuple(new.as_raw()));
        let mut kept = call.kept();
        if kept.is_null() {
            kept = pg_sys::MemoryContextAllocZero(call.statement_memory(), size_of::<Updated>());
            call.keep(kept);
        } else {
            pg_sys::heap_freetuple((*kept.cast::<Updated>()).row.as_raw());
        }
        let row = TriggerRow::new(copy, (*call.relation()).rd_att);
        kept.cast::<Updated>().write(Updated { place: old.place(), row });
    }
}

/// Whether the DELETE of the row is the first half of an UPDATE that moves it.
pub fn leaves(call: &RowCall, table: &GuardedTable, old: &TriggerRow) -> bool {
    let kept = call.kept();
    if !table.is_partition || kept.is_null() {
        return false;
    }
    // SAFETY: written by `note`, in memory that lives as long as the statement.
    let updated = unsafe { &*kept.cast::<Updated>() };
    let (mut here, mut there) = (old.place(), updated.place);
    // SAFETY: two valid places.
    if !unsafe { pg_sys::ItemPointerEquals(&mut here, &mut there) } {
        return false;
    }
    let text = |column: &Column| (column.name.clone(), updated.row.text(column));
    let (transaction, subtransaction) = transaction();
    let on_its_way = OnItsWay {
        root: root(call.relation_oid()),
        transaction,
        subtransaction,
        key: key(table, &updated.row),
        kept: written(table).map(text).collect(),
    };
    ON_ITS_WAY.replace(Some(on_its_way));
    true
}

/// The row as it arrives, if its INSERT is the second half of an UPDATE that moves it: as it was on leaving, in the columns
/// that docperm writes.
pub fn arrives(call: &RowCall, writing: &Writing, row: &TriggerRow) -> Option<TriggerRow> {
    let table = &writing.table;
    if !table.is_partition || ON_ITS_WAY.with_borrow(Option::is_none) {
        return None;
    }
    let key = key(table, row);
    let is_it = |way: &mut OnItsWay| {
        way.root == root(call.relation_oid())
            && (way.transaction, way.subtransaction) == transaction()
            && way.key == key
    };
    let way = ON_ITS_WAY.with_borrow_mut(|way| way.take_if(is_it))?;
    let left_with = |column: &Column| {
        way.kept.iter().find(|(name, _)| *name == column.name).and_then(|(_, text)| text.clone())
    };
    let changed: Vec<_> = written(table).filter(|column| row.text(column) != left_with(column)).collect();
    let changes: Vec<_> = changed
        .into_iter()
        .map(|column| (column, left_with(column).and_then(|text| column.value_of(&text))))
        .collect();
    Some(if changes.is_empty() { *row } else { row.with(&changes) })
}

fn written(table: &GuardedTable) -> impl Iterator<Item = &Column> {
    let GuardedTable { owner, creation, modified, modified_by, docstatus, amended_from, .. } = table;
    [owner, creation, modified, modified_by, docstatus, amended_from].into_iter().flatten()
}

fn key(table: &GuardedTable, row: &TriggerRow) -> Option<String> {
    let column = table.name.as_ref().or(table.belonging.as_ref().map(|belonging| &belonging.parent))?;
    row.text(column)
}

/// A failure of the INSERT undoes the DELETE, and ends the (sub)transaction.
fn transaction() -> (pg_sys::TransactionId, pg_sys::SubTransactionId) {
    // SAFETY: reads variables of the backend.
    unsafe { (pg_sys::GetTopTransactionIdIfAny(), pg_sys::GetCurrentSubTransactionId()) }
}

/// The partitioned table that a partition belongs to in the end.
fn root(partition: pg_sys::Oid) -> pg_sys::Oid {
    // SAFETY: a look-up; the partition exists, and is one.
    let ancestors = unsafe {
        let list = pg_sys::ffi::pg_guard_ffi_boundary(|| get_partition_ancestors(partition));
        pgrx::PgList::<pg_sys::Oid>::from_pg(list)
    };
    ancestors.iter_oid().last().unwrap_or(partition)
}

unsafe extern "C-unwind" {
    // catalog/partition.h
    fn get_partition_ancestors(partition: pg_sys::Oid) -> *mut pg_sys::List;
}
