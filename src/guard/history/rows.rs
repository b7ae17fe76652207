//! What happened to rows of a child table: part of the history of the documents that they belong to.

use std::collections::HashMap;

use super::columns::Columns;
use super::store::{Entry, Writer};
use crate::catalog::load::Site;
use crate::catalog::statement::NextSnapshot;
use crate::catalog::transition::Values;
use crate::catalog::trigger_call::{Event, TriggerCall};
use crate::catalog::{document, values};
use crate::rules::{Doctype, Parentage};

/// Records what a statement did in a child table.
pub fn record(call: &TriggerCall, site: &Site, child: &Doctype) {
    let Some(parentage) = &child.parentage else { return };
    let columns = Columns::of(call.attributes(), child);
    let mut rows =
        Rows { call, site, child, parentage, writer: Writer::for_acting_user(), there: HashMap::new() };
    match (call.event(), call.row()) {
        (Event::Insert, Some(row)) => rows.came(&row, &columns),
        (Event::Delete, Some(row)) => rows.went(&row, &columns),
        (Event::Insert, None) => {
            let mut new = call.new_rows();
            while new.advance() {
                rows.came(&new, &columns);
            }
        }
        (Event::Delete, None) => {
            let mut old = call.old_rows();
            while old.advance() {
                rows.went(&old, &columns);
            }
        }
        (Event::Update, _) => {
            let (mut old, mut new) = (call.old_rows(), call.new_rows());
            loop {
                match (old.advance(), new.advance()) {
                    (true, true) => rows.changed(&old, &new, &columns),
                    (true, false) => rows.went(&old, &columns),
                    (false, true) => rows.came(&new, &columns),
                    (false, false) => break,
                }
            }
        }
        (Event::Truncate, _) => rows.truncated(),
    }
    rows.writer.flush();
}

struct Rows<'a> {
    call: &'a TriggerCall<'a>,
    site: &'a Site,
    child: &'a Doctype,
    parentage: &'a Parentage,
    writer: Writer,
    /// Whether there are documents, by doctype and name.
    there: HashMap<(String, String), bool>,
}

impl Rows<'_> {
    fn text(&self, row: &dyn Values, column: &str) -> String {
        let attribute = self.call.attribute(column, &self.child.name);
        row.value(attribute).map(|datum| values::text_of(datum, attribute.atttypid)).unwrap_or_default()
    }

    /// Doctype and name of the document that a row belongs to, if that is tracked.
    fn document(&self, row: &dyn Values) -> Option<(String, String)> {
        let named = self.parentage.type_column.as_ref().map(|column| self.text(row, column));
        let doctype = named.or_else(|| self.parentage.doctype.clone())?;
        let parent = self.site.model.doctypes.get(&doctype)?;
        let document = self.text(row, &self.parentage.column);
        (parent.track_changes && self.parentage.admits(parent) && !document.is_empty())
            .then_some((doctype, document))
    }

    fn add(&mut self, document: (String, String), row: &dyn Values, action: &'static str, changes: String) {
        let name = match self.child.name_column.as_str() {
            "" => String::new(),
            column => self.text(row, column),
        };
        // What becomes of rows that a document left behind is no matter of the next one of its name. Rows that are loaded may
        // come before their documents.
        let gone = action != "insert" && !self.is_there(&document);
        let child = Some((self.child.name.clone(), name));
        let (doctype, document) = document;
        self.writer.add(Entry { doctype, document, action, child, changes: Some(changes), gone });
    }

    fn came(&mut self, row: &dyn Values, columns: &Columns) {
        if let Some(document) = self.document(row) {
            self.add(document, row, "insert", columns.brought(row));
        }
    }

    fn went(&mut self, row: &dyn Values, columns: &Columns) {
        if let Some(document) = self.document(row) {
            self.add(document, row, "delete", columns.taken(row));
        }
    }

    fn changed(&mut self, old: &dyn Values, new: &dyn Values, columns: &Columns) {
        let (before, after) = (self.document(old), self.document(new));
        // A row that follows a document to its new name stays where it is.
        let stays = before == after
            || before.as_ref().is_some_and(|before| {
                after.as_ref().is_some_and(|after| before.0 == after.0) && !self.is_there(before)
            });
        if !stays {
            self.went(old, columns);
            self.came(new, columns);
        } else if let Some((document, changes)) = after.zip(columns.changed(old, new)) {
            self.add(document, new, "update", changes);
        }
    }

    /// A document bears that name, after what the statement has done.
    fn is_there(&mut self, document: &(String, String)) -> bool {
        if let Some(known) = self.there.get(document) {
            return *known;
        }
        let mut is_there = false;
        if self.site.relations.contains_key(&document.0) {
            let snapshot = NextSnapshot::take();
            document::find_as_of(self.site, &document.0, &document.1, snapshot.as_raw(), |_| is_there = true);
        }
        self.there.insert(document.clone(), is_there);
        is_there
    }

    /// To which documents they belonged is not known any more; that they went is noted for each doctype that it may have been.
    fn truncated(&mut self) {
        let parents = self.site.model.doctypes.values();
        let parents = parents.filter(|parent| parent.track_changes && self.parentage.admits(parent));
        for parent in parents {
            let child = Some((self.child.name.clone(), String::new()));
            let (doctype, document) = (parent.name.clone(), String::new());
            self.writer.add(Entry {
                doctype,
                document,
                action: "truncate",
                child,
                changes: None,
                gone: true,
            });
        }
    }
}
