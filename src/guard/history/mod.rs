//! The history of documents: who changed what, written after each statement.
//!
//! - [`columns`]: what of a row goes into it; [`store`]: how it is written;
//! - [`rows`]: what happened to rows of a child table, which is part of the history of the documents that they belong to.

mod columns;
mod rows;
mod store;

use std::collections::HashSet;

use self::columns::Columns;
use self::store::{Entry, Writer};
use super::{follows, merging};
use crate::catalog::load::Site;
use crate::catalog::scan::NewestSnapshot;
use crate::catalog::settings::Fixed;
use crate::catalog::statement::NextSnapshot;
use crate::catalog::transition::Values;
use crate::catalog::trigger_call::{Event, TriggerCall};
use crate::catalog::{document, values};
use crate::rules::Doctype;

/// Records what a statement did in the table of a doctype.
pub fn record(call: &TriggerCall, site: &Site, doctype: &str) {
    // A table that was detached keeps its triggers, and its rows are no documents any more.
    let Some(doctype) = site.model.doctypes.get(doctype).filter(|doctype| is_of(call, site, doctype)) else {
        return;
    };
    // What a MERGE moves between partitions is in the transition tables for INSERT and DELETE, if there is anybody to show
    // them to. In a MERGE row triggers look at what comes and goes.
    let is_row = call.row().is_some();
    let by_row = merging::is_merge_into_parts() && (is_row || call.is_partitioned());
    if is_row != by_row && matches!(call.event(), Event::Insert | Event::Delete) {
        return;
    }
    if store::is_restoring() {
        return;
    }
    let _settings = Fixed::for_names();
    if doctype.parentage.is_some() {
        return rows::record(call, site, doctype);
    }
    if !doctype.track_changes {
        return;
    }
    let name = call.attribute(&doctype.name_column, &doctype.name);
    let columns = Columns::of(call.attributes(), doctype);
    let mut history = History { site, doctype, writer: Writer::for_acting_user() };
    let name_of = |row: &dyn Values| {
        row.value(name).map(|datum| values::text_of(datum, name.atttypid)).unwrap_or_default()
    };
    match (call.event(), call.row()) {
        (Event::Insert, Some(row)) => history.came_by_merge(name_of(&row), &row, &columns),
        (Event::Delete, Some(row)) => history.went_by_merge(name_of(&row), &row, &columns),
        (Event::Insert, None) => {
            let (mut new, mut names) = (call.new_rows(), vec![]);
            while new.advance() {
                names.push(name_of(&new));
            }
            history.made(names);
        }
        (Event::Delete, None) => {
            let (mut old, mut names) = (call.old_rows(), vec![]);
            while old.advance() {
                let document = name_of(&old);
                history.deleted(&document, columns.taken(&old));
                names.push(document);
            }
            history.close(&names);
        }
        (Event::Update, _) => history.changed(call, &columns, name_of),
        (Event::Truncate, _) => truncated(call, site, doctype),
    }
    history.writer.flush();
}

/// Closes the history of documents that are not in the doctype's table any more.
pub fn note_gone(site: &Site, doctype: &str) {
    let Some(definition) = site.model.doctypes.get(doctype) else { return };
    if definition.parentage.is_some() || !site.relations.contains_key(doctype) {
        return;
    }
    let _settings = Fixed::for_names();
    let table = document::table_of(site, doctype);
    let mut gone: HashSet<String> = store::open_names(doctype).into_iter().collect();
    if gone.is_empty() {
        return;
    }
    table.scan(&NewestSnapshot::take(), |row| {
        let name = row.text_form(row.table().registered_attribute(&definition.name_column, doctype));
        if let Some(name) = name {
            gone.remove(&name);
        }
    });
    let gone: Vec<String> = gone.into_iter().collect();
    let mut writer = Writer::for_acting_user();
    for document in &gone {
        writer.add(entry(definition, document, "delete", None, true));
    }
    writer.flush();
    store::close(doctype, &gone);
}

fn is_of(call: &TriggerCall, site: &Site, doctype: &Doctype) -> bool {
    site.doctypes.get(&call.relation()) == Some(&doctype.name)
}

fn truncated(call: &TriggerCall, site: &Site, doctype: &Doctype) {
    let table = document::table_of(site, &doctype.name);
    if table.oid() == call.relation() && (table.is_partitioned() || !table.has_children()) {
        store::close_all(&doctype.name, "truncate");
    } else {
        // Only a part of several.
        note_gone(site, &doctype.name);
    }
}

fn entry(
    doctype: &Doctype,
    document: &str,
    action: &'static str,
    changes: Option<String>,
    gone: bool,
) -> Entry {
    Entry { doctype: doctype.name.clone(), document: document.to_owned(), action, child: None, changes, gone }
}

/// What happens to documents of one doctype.
struct History<'a> {
    site: &'a Site,
    doctype: &'a Doctype,
    writer: Writer,
}

impl History<'_> {
    fn add(&mut self, document: &str, action: &'static str, changes: Option<String>) {
        self.writer.add(entry(self.doctype, document, action, changes, false));
    }

    /// What a document is made with stands in the document, and from its first change on in the history.
    fn made(&mut self, documents: Vec<String>) {
        for document in &documents {
            self.add(document, "insert", None);
        }
        self.writer.flush();
        follows::follow_created(self.writer.user(), &self.doctype.name, &documents);
    }

    fn deleted(&mut self, document: &str, changes: String) {
        self.writer.add(entry(self.doctype, document, "delete", Some(changes), true));
    }

    fn close(&mut self, documents: &[String]) {
        self.writer.flush();
        store::close(&self.doctype.name, documents);
    }

    fn changed(&mut self, call: &TriggerCall, columns: &Columns, name_of: impl Fn(&dyn Values) -> String) {
        let name = call.attribute(&self.doctype.name_column, &self.doctype.name);
        let (mut old, mut new, mut renamed) = (call.old_rows(), call.new_rows(), vec![]);
        loop {
            match (old.advance(), new.advance()) {
                (true, true) if values::is_same(old.value(name), new.value(name), name) => {}
                (true, true) => renamed.push((name_of(&old), name_of(&new))),
                (false, false) => break,
                _ => return self.changed_and_lost(call, columns, name_of),
            }
        }
        // First what there is goes to the new names, then what is new comes under them.
        if !renamed.is_empty() {
            store::follow(&self.doctype.name, &renamed);
        }
        let (mut old, mut new) = (call.old_rows(), call.new_rows());
        while old.advance() && new.advance() {
            if let Some(changes) = columns.changed(&old, &new) {
                let is_renamed = !values::is_same(old.value(name), new.value(name), name);
                self.add(&name_of(&new), if is_renamed { "rename" } else { "update" }, Some(changes));
            }
        }
    }

    /// On its way to another partition a row was kept back by a trigger there, so which row became which is known by their
    /// names alone, and those without a successor are gone.
    fn changed_and_lost(
        &mut self,
        call: &TriggerCall,
        columns: &Columns,
        name_of: impl Fn(&dyn Values) -> String,
    ) {
        let (mut new, mut after) = (call.new_rows(), HashSet::new());
        while new.advance() {
            after.insert(name_of(&new));
        }
        let (mut old, mut lost) = (call.old_rows(), vec![]);
        while old.advance() {
            let document = name_of(&old);
            if after.remove(&document) {
                self.add(&document, "update", Some(columns.taken(&old)));
            } else {
                self.deleted(&document, columns.taken(&old));
                lost.push(document);
            }
        }
        for document in after {
            self.add(&document, "update", None);
        }
        self.close(&lost);
    }

    /// A document that a MERGE made, or moved here from another partition: then it had a history until now.
    fn came_by_merge(&mut self, document: String, row: &dyn Values, columns: &Columns) {
        if store::is_open(&self.doctype.name, &document) {
            self.add(&document, "update", Some(columns.brought(row)));
        } else {
            self.made(vec![document]);
        }
    }

    /// A document that a MERGE deleted, or moved from here: then it still is there.
    fn went_by_merge(&mut self, document: String, row: &dyn Values, columns: &Columns) {
        let mut is_there = false;
        let snapshot = NextSnapshot::take();
        document::find_as_of(self.site, &self.doctype.name, &document, snapshot.as_raw(), |_| {
            is_there = true
        });
        drop(snapshot);
        if is_there {
            self.add(&document, "update", Some(columns.taken(row)));
        } else {
            self.deleted(&document, columns.taken(row));
            self.close(&[document]);
        }
    }
}
