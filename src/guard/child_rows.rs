//! Rows of child tables change as far as the state of their document allows it.
//!
//! The document is locked until the transaction ends, so that nobody submits or cancels it before the row's change is there
//! to be seen. Whoever may not write the document anyway does not get so far: he is refused without a look at it.

use std::cell::RefCell;
use std::collections::HashMap;

use pgrx::pg_sys;

use super::lifecycle::{self, deny, refuse, require_open_columns};
use super::row::TriggerRow;
use super::table::{Belonging, GuardedTable, is_text};
use super::writing::Writing;
use crate::catalog::document::{self, Name};
use crate::catalog::row_lock;
use crate::catalog::scan::NewestSnapshot;
use crate::catalog::values;
use crate::fault::{Fault, OrRaise, SqlState};
use crate::rules::lifecycle::{Refusal, RowChange, State, row_change};

/// A row that is added to a document.
pub fn inserted(writing: &Writing, new: &TriggerRow) {
    if let Some(belonging) = &writing.table.belonging
        && let Some(parent) = parent_of(writing, belonging, new)
    {
        check(writing, belonging, parent, RowChange::Comes, || {
            writing.has_right(&writing.table.doctype, "create", new)
        });
    }
}

/// A row that changes, and perhaps goes from one document to another.
pub fn updated(writing: &Writing, old: &TriggerRow, new: &TriggerRow) {
    let Some(belonging) = &writing.table.belonging else { return };
    let (before, after) = (parent_of(writing, belonging, old), parent_of(writing, belonging, new));
    if before == after {
        let Some(parent) = before else { return };
        if check(writing, belonging, parent, RowChange::Changes, || true) == State::Submitted {
            require_open_columns(writing, old, new, &told(writing));
        }
        return;
    }
    if let Some(parent) = before {
        check(writing, belonging, parent, RowChange::Goes, || true);
    }
    if let Some(parent) = after {
        check(writing, belonging, parent, RowChange::Comes, || {
            writing.has_right(&writing.table.doctype, "write", new)
        });
    }
}

/// A row that is taken away.
pub fn deleted(writing: &Writing, old: &TriggerRow) {
    if let Some(belonging) = &writing.table.belonging
        && let Some(parent) = parent_of(writing, belonging, old)
    {
        check(writing, belonging, parent, RowChange::Goes, || true);
    }
}

/// A row that a foreign key takes away, because something goes that it refers to. With its own document it does go; while
/// that is there, the document's state counts, and nobody's rights.
pub fn taken(writing: &Writing, old: &TriggerRow) {
    let Some(belonging) = &writing.table.belonging else { return };
    let state = state_of_document(writing, old);
    if let Err(refusal) = row_change(state, RowChange::Goes, belonging.rows_come_and_go) {
        refuse_row_change(writing, refusal);
    }
}

/// The state of the document that a row belongs to, which is locked: a draft, where there is none.
pub fn state_of_document(writing: &Writing, row: &TriggerRow) -> State {
    let Some(belonging) = &writing.table.belonging else { return State::Draft };
    let Some(parent) = parent_of(writing, belonging, row) else { return State::Draft };
    let known = recall(writing, &parent);
    let Some(document) = known.or_else(|| look_at(writing, belonging, &parent, || true)) else {
        return State::Draft;
    };
    if known.is_none() {
        remember(writing, parent, document);
    }
    document.state
}

/// As a message names a row.
pub fn told(writing: &Writing) -> String {
    format!("a row of doctype {}", writing.table.doctype)
}

/// A document that a row belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Parent {
    doctype: String,
    name: String,
}

/// The document that a row belongs to, if it is of a doctype whose documents have states.
fn parent_of(writing: &Writing, belonging: &Belonging, row: &TriggerRow) -> Option<Parent> {
    let name = row.text(&belonging.parent).filter(|name| !name.is_empty())?;
    let doctype = match (&belonging.parent_type, &belonging.only) {
        (Some(column), only) => {
            row.text(column).filter(|doctype| only.as_ref().is_none_or(|only| only == doctype))?
        }
        (None, only) => only.clone()?,
    };
    let is_submittable = writing.table.site.model.doctypes.get(&doctype)?.is_submittable();
    is_submittable.then_some(Parent { doctype, name })
}

/// What is known of documents that this (sub)transaction has locked.
struct Known {
    transaction: pg_sys::TransactionId,
    subtransaction: pg_sys::SubTransactionId,
    /// What its rules were.
    authority: u32,
    documents: HashMap<Parent, Document>,
}

#[derive(Clone, Copy)]
struct Document {
    state: State,
    /// The acting user has the right `submit` on it.
    is_submitter: bool,
}

/// So many documents are remembered: a statement that adds rows mostly does so document by document.
const REMEMBERED: usize = 64;

thread_local! {
    static KNOWN: RefCell<Option<Known>> = const { RefCell::new(None) };
}

/// What was known of documents, when one of the table is written: its state may be another.
pub fn forget_documents(table: &GuardedTable) {
    if table.docstatus.is_some() {
        KNOWN.set(None);
    }
}

/// Refuses a change of the document's rows that its state does not allow, and locks it otherwise; `may_write` tells whether the
/// acting user may write the document at all.
fn check(
    writing: &Writing,
    belonging: &Belonging,
    parent: Parent,
    change: RowChange,
    may_write: impl FnOnce() -> bool,
) -> State {
    let known = recall(writing, &parent);
    let Some(document) = known.or_else(|| look_at(writing, belonging, &parent, may_write)) else {
        // Of a document that is gone nothing keeps its rows.
        return State::Draft;
    };
    match row_change(document.state, change, belonging.rows_come_and_go) {
        Ok(Some(right)) if !document.is_submitter => deny(
            writing,
            right,
            &format!("document \"{}\" of doctype {}", parent.name, parent.doctype),
            "Changing the rows of a submitted document",
        ),
        Ok(_) => {}
        Err(refusal) => refuse_row_change(writing, refusal),
    }
    if known.is_none() {
        remember(writing, parent, document);
    }
    document.state
}

fn refuse_row_change(writing: &Writing, refusal: Refusal) -> ! {
    refuse(
        &format!("rows of {} of this document", writing.table.doctype),
        "changed, added or removed",
        refusal,
    )
}

fn transaction() -> (pg_sys::TransactionId, pg_sys::SubTransactionId) {
    // SAFETY: reads variables of the backend.
    unsafe { (pg_sys::GetTopTransactionIdIfAny(), pg_sys::GetCurrentSubTransactionId()) }
}

/// Locks that a subtransaction has taken are gone when it fails.
fn recall(writing: &Writing, parent: &Parent) -> Option<Document> {
    KNOWN.with_borrow(|known| {
        let known = known.as_ref()?;
        let is_good = (known.transaction, known.subtransaction) == transaction()
            && known.authority == writing.authority().stamp;
        if is_good { known.documents.get(parent).copied() } else { None }
    })
}

fn remember(writing: &Writing, parent: Parent, document: Document) {
    let ((transaction, subtransaction), authority) = (transaction(), writing.authority().stamp);
    KNOWN.with_borrow_mut(|known| {
        let is_good = known.as_ref().is_some_and(|known| {
            (known.transaction, known.subtransaction, known.authority)
                == (transaction, subtransaction, authority)
                && known.documents.len() < REMEMBERED
        });
        if !is_good {
            *known = Some(Known { transaction, subtransaction, authority, documents: HashMap::new() });
        }
        if let Some(known) = known {
            known.documents.insert(parent, document);
        }
    });
}

fn look_at(
    writing: &Writing,
    belonging: &Belonging,
    parent: &Parent,
    may_write: impl FnOnce() -> bool,
) -> Option<Document> {
    let authority = writing.authority();
    if !may_write() {
        Fault::denied(format!(
            "user \"{}\" may not add rows of {} to a document \"{}\" of doctype {}",
            writing.user().unwrap_or_default(),
            writing.table.doctype,
            parent.name,
            parent.doctype
        ))
        .detail("Rows are added to documents that the user may write.")
        .hint("docperm.explain_access() tells why he may not, for documents that he may read.")
        .raise();
    }
    let definition = &authority.site.model.doctypes[&parent.doctype];
    let column = definition.docstatus_column.as_deref()?;
    let submit = authority.ruling(&parent.doctype, "submit").map_err(Fault::from).or_raise();
    let name = Name { text: parent.name.clone(), is_text: is_text(&belonging.parent) };
    let mut found: Option<Document> = None;
    row_lock::lock_if(
        &authority.site,
        &parent.doctype,
        &definition.name_column,
        &name,
        |_| true,
        |row| {
            let attribute = row.table().registered_attribute(column, &parent.doctype);
            let base_type = values::base_type(attribute.atttypid);
            let state = lifecycle::state_of(&parent.doctype, column, base_type, row.datum(attribute));
            let is_submitter = submit
                .predicate
                .matches(&mut document::typed_row(authority, &parent.doctype, row))
                .or_raise();
            // Should several documents have the name, as partitions may, the strictest counts.
            let strictest = |other: Document| Document {
                state: if other.state == State::Draft || state == State::Cancelled {
                    state
                } else {
                    other.state
                },
                is_submitter: other.is_submitter && is_submitter,
            };
            found = Some(found.map_or(Document { state, is_submitter }, strictest));
        },
    );
    found
}

/// Whoever submits a document in a transaction that sees an older state submits the rows that he sees, or nothing: rows that
/// have been changed since would be submitted unseen. Nobody changes any meanwhile, for the document is locked by its UPDATE.
pub fn require_seen(writing: &Writing, document: &TriggerRow) {
    // SAFETY: a variable of the backend.
    if unsafe { pg_sys::XactIsoLevel } < pg_sys::XACT_REPEATABLE_READ as i32 {
        return;
    }
    let (site, doctype) = (&writing.table.site, &writing.table.doctype);
    let Some(key) = &writing.table.name else { return };
    let name = Name { text: document.text(key).unwrap_or_default(), is_text: is_text(key) };
    for child in site.model.doctypes.values().filter(|child| site.relations.contains_key(&child.name)) {
        let Some(parentage) = child.parentage.as_ref() else { continue };
        let rows = |snapshot| {
            let mut rows = vec![];
            document::find_by(site, &child.name, &parentage.column, &name, snapshot, |row| {
                let place = row.place();
                rows.push((
                    row.table().oid().to_u32(),
                    place.ip_blkid.bi_hi,
                    place.ip_blkid.bi_lo,
                    place.ip_posid,
                ));
            });
            rows.sort();
            rows
        };
        // SAFETY: triggers run with an active snapshot.
        let seen = unsafe { pg_sys::GetActiveSnapshot() };
        if parentage.admits(&site.model.doctypes[doctype])
            && rows(seen) != rows(NewestSnapshot::take().as_raw())
        {
            Fault::new(
                SqlState::ERRCODE_T_R_SERIALIZATION_FAILURE,
                format!("rows of {} of {} have been changed meanwhile", child.name, writing.told(document)),
            )
            .detail("The transaction sees an older state, and would submit rows that it does not see.")
            .hint("Run the transaction again.")
            .raise();
        }
    }
}
