//! Documents that amend a cancelled one.

use super::lifecycle::{self, deny};
use super::row::TriggerRow;
use super::table::is_text;
use super::writing::Writing;
use crate::catalog::document::{self, Name};
use crate::catalog::row_lock::{self, own_snapshot};
use crate::catalog::scan::NewestSnapshot;
use crate::catalog::values;
use crate::fault::{Fault, OrRaise, SqlState};
use crate::rules::lifecycle::State;

/// A new document may name a cancelled one that the acting user may read and amend, and that nobody has amended.
pub fn inserted(writing: &Writing, new: &TriggerRow) {
    let Some(column) = writing.table.amended_from.as_ref().filter(|column| !new.is_blank(column)) else {
        return;
    };
    let (doctype, authority) = (&writing.table.doctype, writing.authority());
    let name = Name { text: new.text(column).unwrap_or_default(), is_text: is_text(column) };
    let definition = &authority.site.model.doctypes[doctype];

    // Who may not amend it is not told whether it exists, and does not keep others waiting for it.
    let ruling = |right| authority.ruling(doctype, right).map_err(Fault::from).or_raise();
    let (read, amend) = (ruling("read"), ruling("amend"));
    let may = |row: &crate::catalog::scan::RowView| {
        let matches = |ruling: &crate::catalog::cache::Ruling| {
            ruling.predicate.matches(&mut document::typed_row(authority, doctype, row)).or_raise()
        };
        matches(&read) && matches(&amend)
    };
    let mut states = vec![];
    let originals = row_lock::lock_if(&authority.site, doctype, &definition.name_column, &name, may, |row| {
        let column = definition.docstatus_column.as_deref().unwrap_or_default();
        let attribute = row.table().registered_attribute(column, doctype);
        let base_type = values::base_type(attribute.atttypid);
        states.push(lifecycle::state_of(doctype, column, base_type, row.datum(attribute)));
    });
    if !originals.is_permitted || states.is_empty() {
        deny(
            writing,
            "amend",
            &format!("a document \"{}\" of doctype {doctype}", name.text),
            "Amending a document",
        );
    }
    if let Some(state) = states.iter().find(|state| **state != State::Cancelled) {
        refuse(
            &name,
            doctype,
            &format!("It is {}; only cancelled documents are amended.", state.told()),
            "Cancel it first.",
        );
    }
    if is_amended(writing, &column.name, &name) {
        let why = "Another document amends it already.";
        refuse(
            &name,
            doctype,
            why,
            "Go on with that one: when it is cancelled, it can be amended in its turn.",
        );
    }
}

fn refuse(name: &Name, doctype: &str, why: &str, remedy: &str) -> ! {
    Fault::new(
        SqlState::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("document \"{}\" of doctype {doctype} cannot be amended", name.text),
    )
    .detail(why)
    .hint(remedy)
    .raise()
}

/// Another document names it. Whoever amends it at the same time waits for the lock on it.
fn is_amended(writing: &Writing, column: &str, name: &Name) -> bool {
    let (site, doctype) = (&writing.authority().site, &writing.table.doctype);
    let mut is_amended = false;
    document::find_by(site, doctype, column, name, NewestSnapshot::take().as_raw(), |_| is_amended = true);
    // By the statement itself, too.
    document::find_by(site, doctype, column, name, own_snapshot(), |_| is_amended = true);
    is_amended
}
