//! What a document's state allows, where row security holds.
//!
//! [`rules::lifecycle`](crate::rules::lifecycle) has the table of what is allowed; here it is held against rows. Rights are
//! those that the policies would find: on the row as it was, and as it becomes. The right `write` is the policies' own
//! business.

use std::cell::RefCell;

use pgrx::pg_sys;

use super::row::TriggerRow;
use super::table::{Column, GuardedTable};
use super::writing::Writing;
use super::{amendment, child_rows, execution, foreign_key};
use crate::catalog::values;
use crate::fault::{Fault, SqlState};
use crate::rules::lifecycle::{self, Refusal, State, Step};

/// A document that is inserted.
pub fn inserted(writing: &Writing, new: TriggerRow) -> TriggerRow {
    if !writing.is_filtered {
        child_rows::forget_documents(&writing.table);
        return new;
    }
    let new = with_docstatus(writing, new);
    if let Some(column) = &writing.table.docstatus {
        match lifecycle::insertion(state(&writing.table, column, &new)) {
            Ok(None) => {}
            Ok(Some(right)) => require(writing, right, "A document that is inserted as submitted", &[&new]),
            Err(refusal) => {
                refuse(&format!("a document of doctype {}", writing.table.doctype), "inserted", refusal)
            }
        }
    }
    amendment::inserted(writing, &new);
    child_rows::inserted(writing, &new);
    new
}

/// A document that is updated.
pub fn updated(writing: &Writing, old: &TriggerRow, new: TriggerRow) -> TriggerRow {
    child_rows::forget_documents(&writing.table);
    if !writing.is_filtered {
        if is_due_to_another() {
            require_links_kept(writing, old, &new);
        }
        return new;
    }
    let new = with_docstatus(writing, new);
    let table = &writing.table;
    if let Some(column) = &table.docstatus {
        let (from, to) = (state(table, column, old), state(table, column, &new));
        let step = lifecycle::step(from, to, is_discarded(table, old))
            .unwrap_or_else(|refusal| refuse(&writing.told(old), "changed", refusal));
        if let Some(right) = step.right() {
            require(writing, right, purpose(step), &[old, &new]);
        }
        if step == Step::Submit {
            child_rows::require_seen(writing, &new);
        }
        if step.keeps_columns() {
            require_open_columns(writing, old, &new, &writing.told(old));
        }
    }
    child_rows::updated(writing, old, &new);
    new
}

/// A document that is deleted.
pub fn deleted(writing: &Writing, old: &TriggerRow) {
    child_rows::forget_documents(&writing.table);
    let is_due_to_another = !writing.is_filtered && is_due_to_another();
    if !writing.is_filtered && !is_due_to_another {
        return;
    }
    if let Some(column) = &writing.table.docstatus {
        lifecycle::deletion(state(&writing.table, column, old))
            .unwrap_or_else(|refusal| refuse(&writing.told(old), "deleted", refusal));
    }
    if is_due_to_another {
        child_rows::taken(writing, old);
    } else {
        child_rows::deleted(writing, old);
    }
}

/// A foreign key deletes or changes the document because somebody deletes or renames another, and he is bound by policies:
/// what the document's state forbids him does not happen on the way either. Rows that belong to a document do go with it.
fn is_due_to_another() -> bool {
    // SAFETY: look-ups.
    let is_exempt = |role| unsafe { pg_sys::superuser_arg(role) || pg_sys::has_bypassrls_privilege(role) };
    execution::is_of_foreign_key() && !is_exempt(execution::who_set_off_foreign_keys())
}

/// A link that follows a document to its new name says what it said; one that is taken away, or set to the column's default,
/// does not. Nor does one in a row of a child table.
fn require_links_kept(writing: &Writing, old: &TriggerRow, new: &TriggerRow) {
    let table = &writing.table;
    let is_lost = |column: &&Column| match (old.datum(column), new.datum(column)) {
        (Some(_), None) => true,
        (Some(_), Some(value)) => {
            !old.agrees(new, column) && foreign_key::sets_default(&table.site, &table.doctype, column, value)
        }
        (None, _) => false,
    };
    let Some(column) = table.closed.iter().find(is_lost) else { return };
    if table.docstatus.as_ref().is_some_and(|docstatus| state(table, docstatus, old) != State::Draft) {
        refuse_change(table, column, &writing.told(old));
    }
    if child_rows::state_of_document(writing, old) != State::Draft {
        refuse_change(table, column, &child_rows::told(writing));
    }
}

fn purpose(step: Step) -> &'static str {
    match step {
        Step::Cancel => "Cancelling a document",
        Step::UpdateSubmitted => "Changing a submitted document",
        Step::Submit | Step::Save | Step::Discard => "Submitting a document",
    }
}

/// Without a docstatus it is a draft.
fn with_docstatus(writing: &Writing, new: TriggerRow) -> TriggerRow {
    match &writing.table.docstatus {
        Some(column) if new.datum(column).is_none() => new.with(&[(column, column.value_of("0"))]),
        _ => new,
    }
}

/// The state that a row of the document's own table holds.
fn state(table: &GuardedTable, column: &Column, row: &TriggerRow) -> State {
    state_of(&table.doctype, &column.name, column.base_type, row.datum(column))
}

/// The state that a value of a docstatus column stands for; NULL is a draft's.
pub fn state_of(doctype: &str, column: &str, base_type: pg_sys::Oid, value: Option<pg_sys::Datum>) -> State {
    let Some(datum) = value else { return State::Draft };
    let number = match base_type {
        pg_sys::INT2OID => Some((datum.value() as i16).into()),
        pg_sys::INT4OID => Some((datum.value() as i32).into()),
        pg_sys::INT8OID => Some(datum.value() as i64),
        // A number with decimal places, perhaps.
        _ => {
            let number = values::text_of(datum, base_type).parse::<f64>().ok();
            number.filter(|number| number.fract() == 0.0).map(|number| number as i64)
        }
    };
    number.and_then(State::of_docstatus).unwrap_or_else(|| {
        let text = values::text_of(datum, base_type);
        Fault::bad_argument(format!("{text} in column \"{column}\" is no docstatus of doctype {doctype}"))
            .detail("A document is a draft (0), submitted (1) or cancelled (2).")
            .hint("Set it to one of these.")
            .raise()
    })
}

/// Refuses, with 42501, unless the acting user has the right on all of the rows.
fn require(writing: &Writing, right: &str, purpose: &str, rows: &[&TriggerRow]) {
    let doctype = &writing.table.doctype;
    if rows.iter().all(|row| writing.has_right(doctype, right, row)) {
        return;
    }
    deny(writing, right, &writing.told(rows[0]), purpose)
}

/// 42501: the right is missing.
pub fn deny(writing: &Writing, right: &str, what: &str, purpose: &str) -> ! {
    let user = writing.user().unwrap_or_default();
    Fault::denied(format!("user \"{user}\" has not the right {right} on {what}"))
        .detail(format!("{purpose} needs the right {right}, on the document as it was and as it becomes."))
        .hint("docperm.explain_access() tells who has it, and why others have not.")
        .raise()
}

/// 55000: the document's state does not allow it, whoever asks.
pub fn refuse(what: &str, done: &str, refusal: Refusal) -> ! {
    Fault::new(SqlState::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, format!("{what} cannot be {done}"))
        .detail(refusal.rule())
        .hint(refusal.remedy())
        .raise()
}

/// Refuses changes of columns that are closed while the document is submitted.
pub fn require_open_columns(writing: &Writing, old: &TriggerRow, new: &TriggerRow, what: &str) {
    if let Some(column) = writing.table.closed.iter().find(|column| !old.agrees(new, column)) {
        refuse_change(&writing.table, column, what);
    }
}

fn refuse_change(table: &GuardedTable, column: &Column, what: &str) -> ! {
    Fault::new(
        SqlState::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("column \"{}\" of {what} cannot be changed", column.name),
    )
    .detail("While a document is submitted, and when it is cancelled, only columns with allow_on_submit change.")
    .hint(format!(
        "Cancel the document and amend it, or open the column: SELECT docperm.set_field({}, {}, allow_on_submit => true).",
        values::literal(&table.doctype),
        values::literal(&column.name)
    ))
    .raise()
}

thread_local! {
    /// The draft that docperm.discard() is giving up: its doctype and name.
    static DISCARDED: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// While it lives, an UPDATE may make a cancelled document of this draft.
pub struct Discarding;

impl Discarding {
    /// Of the document of that name.
    pub fn of(doctype: &str, name: &str) -> Self {
        DISCARDED.set(Some((doctype.to_owned(), name.to_owned())));
        Discarding
    }
}

impl Drop for Discarding {
    fn drop(&mut self) {
        DISCARDED.set(None);
    }
}

fn is_discarded(table: &GuardedTable, row: &TriggerRow) -> bool {
    DISCARDED.with_borrow(|discarded| {
        discarded.as_ref().is_some_and(|(doctype, name)| {
            *doctype == table.doctype
                && table.name.as_ref().and_then(|column| row.text(column)).as_ref() == Some(name)
        })
    })
}
