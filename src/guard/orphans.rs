//! Rows of child tables that a document left behind when it was deleted or renamed.
//!
//! Nobody sees them, for what they belonged to is gone. The next document of its name would have them, and whoever may make
//! one would see what is in them. A foreign key leaves none; where there is none, a document is refused a name under which
//! rows wait.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use pgrx::pg_sys;

use super::foreign_key;
use crate::catalog::document::{self, Name};
use crate::catalog::load::Site;
use crate::catalog::remembered::Remembered;
use crate::catalog::scan::{NewestSnapshot, RowView, Table};
use crate::catalog::{cache, values};
use crate::fault::Fault;
use crate::identity;
use crate::rules::{Doctype, Parentage};

/// Up to how many names are looked up one by one.
const FEW: usize = 1_000;

thread_local! {
    /// By the doctype that they belong to.
    static POSSIBLE: Remembered<String, Rc<[String]>> = Remembered::default();
}

/// Child doctypes that may hold rows without a document of this doctype, in the order of their names.
fn names_of_possible(doctype: &str) -> Rc<[String]> {
    // A configuration that somebody holds already may be older than the news up to which this is going to be remembered.
    let find_out =
        || look_for_possible(&cache::site(), doctype).iter().map(|child| child.name.clone()).collect();
    POSSIBLE.with(|possible| possible.get_or(doctype, find_out))
}

fn possible<'s>(site: &'s Site, doctype: &str) -> impl Iterator<Item = (&'s Doctype, &'s Parentage)> {
    let names = names_of_possible(doctype);
    let children = (0..names.len()).filter_map(move |place| site.model.doctypes.get(&names[place]));
    children.filter_map(|child| Some((child, child.parentage.as_ref()?)))
}

fn look_for_possible<'s>(site: &'s Site, doctype: &str) -> Vec<&'s Doctype> {
    let Some(parent) = site.model.doctypes.get(doctype).filter(|_| site.refuse_orphans) else {
        return vec![];
    };
    let children = site.model.doctypes.values().filter_map(|child| Some((child, child.parentage.as_ref()?)));
    let mut children: Vec<_> = children
        .filter(|(child, parentage)| {
            site.relations.contains_key(&child.name)
                && parentage.admits(parent)
                && !is_held_together(site, parent, child, parentage)
        })
        .collect();
    children.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    children.into_iter().map(|(child, _)| child).collect()
}

/// A foreign key leads from each row to its document, after every statement.
fn is_held_together(site: &Site, parent: &Doctype, child: &Doctype, parentage: &Parentage) -> bool {
    let table = document::table_of(site, &child.name);
    let relation = site.relations.get(&parent.name);
    let Some(there) = relation.and_then(|oid| Table::open(*oid)) else { return false };
    let number = |table: &Table, column: &str| table.attribute(column).map(|attribute| attribute.attnum);
    let (here, there_number) = (number(&table, &parentage.column), number(&there, &parent.name_column));
    let Some((here, there_number)) = here.zip(there_number) else { return false };
    // Inheritors of a table do not have its foreign keys.
    if table.has_children() && !table.is_partitioned() {
        return false;
    }
    foreign_key::of(&table).iter().any(|key| {
        let columns = 0..key.nkeys as usize;
        key.confrelid == there.oid()
            && columns.into_iter().any(|i| key.conkey[i] == here && key.confkey[i] == there_number)
            && foreign_key::always_holds(key.conoid)
    })
}

/// Whether rows of some child table could wait for a document of this doctype.
pub fn may_wait(doctype: &str) -> bool {
    !names_of_possible(doctype).is_empty()
}

/// Whether the names that documents of the table get now matter: there may be orphans of them, and policies hold for whoever
/// names them. To the Administrator all rows are open anyway.
pub fn concern(doctype: &str, relation: pg_sys::Oid) -> bool {
    let is_administrator =
        || cache::authority(&identity::acting().user).record().is_some_and(|user| user.is_administrator());
    may_wait(doctype) && super::is_bound_by_policies(relation) && !is_administrator()
}

/// Refuses, with 42501, names under which rows of a child table wait.
pub fn refuse(site: &Site, doctype: &str, names: &[String]) {
    for (child, parentage) in possible(site, doctype) {
        if let Some(name) = waiting(site, doctype, child, parentage, names) {
            Fault::denied(format!("rows of {} wait for a document \"{name}\" of doctype {doctype}", child.name))
                .detail("They belonged to another document of that name, and would belong to this one.")
                .hint(
                    "Give it another name, or let an administrator delete them. A foreign key with ON DELETE CASCADE leaves none; \
                     refuse_orphans in docperm.settings switches this off.",
                )
                .raise();
        }
    }
}

/// One of the names that a row of the child table has as its parent's.
fn waiting(
    site: &Site,
    doctype: &str,
    child: &Doctype,
    parentage: &Parentage,
    names: &[String],
) -> Option<String> {
    let table = document::table_of(site, &child.name);
    let is_text = is_text(&document::table_of(site, doctype), &site.model.doctypes[doctype]);
    let snapshot = NewestSnapshot::take();
    let claims = |row: &RowView| match &parentage.type_column {
        Some(column) => {
            let attribute = row.table().registered_attribute(column, &child.name);
            row.text_form(attribute).as_deref() == Some(doctype)
        }
        None => true,
    };
    if names.len() <= FEW && table.is_indexed(&parentage.column) {
        return names
            .iter()
            .find(|name| {
                let (mut waits, name) = (false, Name { text: (*name).clone(), is_text });
                document::find_by(site, &child.name, &parentage.column, &name, snapshot.as_raw(), |row| {
                    waits |= claims(row);
                });
                waits
            })
            .cloned();
    }
    let (wanted, mut found) = (names.iter().collect::<HashSet<_>>(), None);
    table.scan(&snapshot, |row| {
        let parent = row.text_form(row.table().registered_attribute(&parentage.column, &child.name));
        if found.is_none() && parent.as_ref().is_some_and(|name| wanted.contains(name)) && claims(row) {
            found = parent;
        }
    });
    found
}

/// How many rows of a child table name a document that is not there, and one of the names. Rows that name none, or one of a
/// doctype that has no table, are not counted.
pub fn count(site: &Site, child: &Doctype, parentage: &Parentage) -> (i64, Option<String>) {
    let mut named: HashMap<(String, String), i64> = HashMap::new();
    document::each(site, &child.name, |row| {
        let text = |column: &str| row.text_form(row.table().registered_attribute(column, &child.name));
        let doctype = match &parentage.type_column {
            Some(column) => text(column),
            None => parentage.doctype.clone(),
        };
        if let Some((doctype, name)) = doctype.zip(text(&parentage.column).filter(|name| !name.is_empty())) {
            *named.entry((doctype, name)).or_default() += 1;
        }
    });
    let (mut orphans, mut example) = (0, None::<String>);
    for ((doctype, name), rows) in named {
        let parent = site.model.doctypes.get(&doctype);
        if !parent.is_some_and(|parent| site.relations.contains_key(&doctype) && parentage.admits(parent)) {
            continue;
        }
        let mut exists = false;
        document::find(site, &doctype, &name, |_| exists = true);
        if !exists {
            orphans += rows;
            if example.as_ref().is_none_or(|known| name < *known) {
                example = Some(name);
            }
        }
    }
    (orphans, example)
}

fn is_text(table: &Table, doctype: &Doctype) -> bool {
    values::can_be_empty(table.registered_attribute(&doctype.name_column, &doctype.name).atttypid)
}
