//! Columns that docperm writes: who made a document, who last changed it, and when.
//!
//! Where row security holds, whatever a statement says of them does not count. The owner and the time of creation are
//! written once. The time of the last change is also an optimistic lock: a statement that sets it to what was read, `UPDATE
//! ... SET modified = '...'`, fails if the document has been changed since.
//!
//! Where row security does not hold, what a statement says counts, and only gaps are filled: the rows of a dump, of a load, of
//! a replica are what they were. A change by such a role that leaves the time of the last change alone moves it as well;
//! otherwise others would overwrite what they have not seen.

use pgrx::pg_sys;

use super::row::TriggerRow;
use super::table::{Column, GuardedTable};
use super::writing::Writing;
use crate::catalog::memory::OwnedContext;
use crate::fault::{Fault, SqlState};

/// What is stamped in the rows of one statement.
pub struct Values {
    owner: Option<pg_sys::Datum>,
    creation: Option<pg_sys::Datum>,
    modified_by: Option<pg_sys::Datum>,
    /// The time of the last change, in the column's own terms.
    modified: Option<i64>,
    /// Of what is no number.
    _memory: OwnedContext,
}

impl Values {
    fn of(writing: &Writing) -> Self {
        let table = &writing.table;
        let memory = OwnedContext::create();
        let user = |column: &Option<Column>| {
            let (column, user) = column.as_ref().zip(writing.user())?;
            memory.enter(|| column.value_of(user))
        };
        Values {
            owner: user(&table.owner),
            modified_by: user(&table.modified_by),
            creation: table.creation.as_ref().map(|column| memory.enter(|| now(column))),
            modified: table.modified.as_ref().map(|column| now(column).value() as i64),
            _memory: memory,
        }
    }
}

fn values(writing: &Writing) -> &Values {
    writing.values.get_or_init(|| Values::of(writing))
}

/// The time at which the transaction began, as the column stores it.
fn now(column: &Column) -> pg_sys::Datum {
    // SAFETY: conversions of PostgreSQL's own.
    unsafe {
        let now = pg_sys::Datum::from(pg_sys::GetCurrentTransactionStartTimestamp());
        let convert = |function: u32| pg_sys::OidFunctionCall1Coll(function.into(), pg_sys::InvalidOid, now);
        match column.base_type {
            pg_sys::DATEOID => convert(pg_sys::F_DATE_TIMESTAMPTZ),
            pg_sys::TIMESTAMPOID => in_units(convert(pg_sys::F_TIMESTAMP_TIMESTAMPTZ), column),
            _ => in_units(now, column),
        }
    }
}

fn in_units(microseconds: pg_sys::Datum, column: &Column) -> pg_sys::Datum {
    let (microseconds, unit) = (microseconds.value() as i64, unit(column));
    // Rounded as PostgreSQL rounds what is assigned to the column.
    pg_sys::Datum::from((microseconds + unit / 2) / unit * unit)
}

/// The least difference between two times in the column, in microseconds.
fn unit(column: &Column) -> i64 {
    10_i64.pow(6 - u32::try_from(column.typmod).unwrap_or(6).min(6))
}

/// A new row, stamped.
pub fn inserted(writing: &Writing, row: TriggerRow) -> TriggerRow {
    let table = &writing.table;
    if [&table.owner, &table.creation, &table.modified, &table.modified_by]
        .iter()
        .all(|column| column.is_none())
    {
        return row;
    }
    let values = values(writing);
    let modified = values.modified.map(pg_sys::Datum::from);
    let stamps = [
        (&table.owner, values.owner),
        (&table.creation, values.creation),
        (&table.modified, modified),
        (&table.modified_by, values.modified_by),
    ];
    let is_stamped = |column: &Column| writing.is_filtered || row.datum(column).is_none();
    let changes: Vec<_> = stamps
        .iter()
        .filter_map(|(column, value)| Some((column.as_ref()?, *value)))
        .filter(|(column, value)| value.is_some() && is_stamped(column))
        .collect();
    if changes.is_empty() { row } else { row.with(&changes) }
}

/// A row that is changed, stamped.
pub fn updated(writing: &Writing, old: &TriggerRow, new: TriggerRow) -> TriggerRow {
    let table = &writing.table;
    if writing.is_filtered {
        require_constant(writing, old, &new);
    }
    if table.modified.is_none() && table.modified_by.is_none() {
        return new;
    }
    let values = values(writing);
    let mut changes = vec![];
    let mut speaks = true;
    if let (Some(column), Some(now)) = (&table.modified, values.modified) {
        let given = new.datum(column).filter(|_| !new.agrees(old, column));
        let before = old.datum(column).map(|datum| datum.value() as i64);
        // Whoever writes the present time himself says nothing about what he has read. If the document has had that time,
        // he may have read it.
        let is_now = given.is_some_and(|given| given.value() as i64 == now)
            && before.is_none_or(|before| before < now);
        let is_left_alone = new.agrees(old, column) || is_now;
        if writing.is_filtered && !is_left_alone {
            refuse_stale(writing, old, column);
        }
        speaks = is_left_alone;
        if is_left_alone {
            let next = next_time(now, before, unit(column), || old.is_of_this_transaction());
            changes.push((column, Some(pg_sys::Datum::from(next))));
        }
    }
    if let (Some(column), Some(user)) = (&table.modified_by, values.modified_by) {
        let is_given = !writing.is_filtered && !new.agrees(old, column);
        if speaks && !is_given {
            changes.push((column, Some(user)));
        }
    }
    if changes.is_empty() { new } else { new.with(&changes) }
}

/// A document's times are in the order of its changes, and no two transactions leave it with the same: that is what the lock
/// goes by. Transactions that began in another order than that in which they come to change it, and clocks that were put
/// back, make no exception.
fn next_time(now: i64, before: Option<i64>, unit: i64, is_of_this_transaction: impl FnOnce() -> bool) -> i64 {
    match before {
        // Infinity is no time of a change.
        Some(before) if before >= now && before < i64::MAX - unit => {
            if is_of_this_transaction() {
                before
            } else {
                before + unit
            }
        }
        _ => now,
    }
}

/// Refuses to change what is written once. What a document amends is among it.
fn require_constant(writing: &Writing, old: &TriggerRow, new: &TriggerRow) {
    let GuardedTable { owner, creation, amended_from, .. } = &*writing.table;
    for column in [owner, creation, amended_from].into_iter().flatten() {
        if !old.agrees(new, column) {
            refuse_change(writing, old, column);
        }
    }
}

/// 42501: a column that is written once.
pub fn refuse_change(writing: &Writing, old: &TriggerRow, column: &Column) -> ! {
    Fault::denied(format!("column \"{}\" of {} cannot be changed", column.name, writing.told(old)))
        .detail("Who made a document, when, and from which it was amended is written when it is inserted, and stays.")
        .hint(format!("Leave \"{}\" out of the UPDATE.", column.name))
        .raise()
}

fn refuse_stale(writing: &Writing, old: &TriggerRow, column: &Column) -> ! {
    Fault::new(
        SqlState::ERRCODE_T_R_SERIALIZATION_FAILURE,
        format!("{} has been changed since it was read", writing.told(old)),
    )
    .detail(format!(
        "The statement brings a time of the last change, in column \"{}\", that is not the one that is stored.",
        column.name
    ))
    .hint(format!(
        "Read the document again, and make the change to what it is now. To change it whatever it is, leave \"{}\" out.",
        column.name
    ))
    .raise()
}
