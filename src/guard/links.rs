//! Links that may be set only to documents that the acting user may select: to what docperm.link_options() offers.
//!
//! A value counts when it is set: what a link holds already may stay. It is looked at after the statement, once for each
//! value that is new, however many rows have it.

use std::collections::HashSet;

use super::merging;
use crate::catalog::cache::{self, Authority};
use crate::catalog::document::{self, Name};
use crate::catalog::scan::Table;
use crate::catalog::settings::Fixed;
use crate::catalog::statement::NextSnapshot;
use crate::catalog::transition::Values;
use crate::catalog::trigger_call::{Event, TriggerCall};
use crate::catalog::values;
use crate::fault::{Fault, OrRaise};
use crate::identity;
use crate::rules::{Asking, Doctype, LinkField, Predicate};

/// Up to how many names are looked up one by one.
const FEW: usize = 1_000;

/// Refuses, with 42501, links that the statement sets to documents that the acting user may not select. Like policies, it
/// leaves alone the Administrator and roles that pass row-level security.
pub fn check(call: &TriggerCall, doctype: &str) {
    // What a MERGE moves into another partition is in no transition table that a trigger is shown, so in a MERGE the row
    // triggers look at what came.
    let is_row = call.row().is_some();
    let by_row = merging::is_merge_into_parts() && (is_row || call.is_partitioned());
    if is_row != by_row && call.event() == Event::Insert {
        return;
    }
    if !super::is_bound_by_policies(call.relation()) {
        return;
    }
    let authority = cache::authority(&identity::acting().user);
    let Some(definition) = authority.site.model.doctypes.get(doctype) else { return };
    let is_administrator = authority.record().is_some_and(|user| user.is_administrator());
    let requires = |link: &&LinkField| {
        !is_administrator && definition.fields.get(&link.column).is_some_and(|field| field.requires_select)
    };
    for link in definition.links.iter().filter(requires) {
        let names = newly_set(call, doctype, &link.column);
        if names.is_empty() {
            continue;
        }
        let target = Target::of(&authority, definition, link);
        if !target.are_selectable(names, holds_texts(call, doctype, &link.column)) {
            refuse(&authority, doctype, link);
        }
    }
}

/// The names that a link has now, where it had another before.
fn newly_set(call: &TriggerCall, doctype: &str, column: &str) -> HashSet<String> {
    let _settings = Fixed::for_names();
    let attribute = call.attribute(column, doctype);
    let mut names = HashSet::new();
    let mut take = |row: &dyn Values| {
        let text = row.value(attribute).map(|datum| values::text_of(datum, attribute.atttypid));
        names.extend(text.filter(|text| !text.is_empty()));
    };
    if let Some(row) = call.row() {
        take(&row);
        return names;
    }
    let mut new = call.new_rows();
    if call.event() == Event::Insert {
        while new.advance() {
            take(&new);
        }
        return names;
    }
    let mut old = call.old_rows();
    let paired = loop {
        match (old.advance(), new.advance()) {
            (true, true) if values::is_same(old.value(attribute), new.value(attribute), attribute) => {}
            (true, true) => take(&new),
            (false, false) => break true,
            _ => break false,
        }
    };
    if !paired {
        // On its way to another partition a row was kept back by a trigger there, so which was which is not known.
        let mut new = call.new_rows();
        while new.advance() {
            take(&new);
        }
    }
    names
}

fn holds_texts(call: &TriggerCall, doctype: &str, column: &str) -> bool {
    values::can_be_empty(call.attribute(column, doctype).atttypid)
}

/// What a link leads to, and what of it may be selected.
struct Target<'a> {
    authority: &'a Authority,
    doctype: &'a str,
    name_column: &'a str,
    selectable: Predicate,
}

impl<'a> Target<'a> {
    fn of(authority: &'a Authority, definition: &Doctype, link: &'a LinkField) -> Self {
        // That a tree's nodes name their parents is structure, and lets nobody see the whole tree.
        let is_structure = definition.tree_parent_column.as_ref() == Some(&link.column);
        let asking = Asking {
            for_doctype: Some(&definition.name),
            ignore_user_permissions: link.ignore_user_permissions && !is_structure,
        };
        Target {
            authority,
            doctype: &link.target,
            name_column: &authority.site.model.doctypes[&link.target].name_column,
            selectable: authority.selectable(&link.target, asking).map_err(Fault::from).or_raise(),
        }
    }

    /// Whether all of them are names of documents that may be selected.
    fn are_selectable(&self, mut names: HashSet<String>, is_text: bool) -> bool {
        if matches!(self.selectable, Predicate::Never) {
            return false;
        }
        // The statement itself may have brought them.
        let snapshot = NextSnapshot::take();
        let table = document::table_of(&self.authority.site, self.doctype);
        if names.len() > FEW || !table.is_indexed(self.name_column) {
            match self.found_by_scan(&table, &snapshot, &names) {
                Some(found) => names.retain(|name| !found.contains(name)),
                None => return false,
            }
        }
        names.into_iter().all(|text| self.is_selectable(&Name { text, is_text }, &snapshot))
    }

    /// Those of the names under which there are documents, all of which may be selected; `None` if one may not.
    fn found_by_scan(
        &self,
        table: &Table,
        snapshot: &NextSnapshot,
        names: &HashSet<String>,
    ) -> Option<HashSet<String>> {
        let (mut found, mut is_one_denied) = (HashSet::new(), false);
        table.scan_as_of(snapshot.as_raw(), |row| {
            let name = row.text_form(row.table().registered_attribute(self.name_column, self.doctype));
            if let Some(name) = name.filter(|name| !is_one_denied && names.contains(name)) {
                let mut document = document::typed_row(self.authority, self.doctype, row);
                is_one_denied |= !self.selectable.matches(&mut document).or_raise();
                found.insert(name);
            }
        });
        (!is_one_denied).then_some(found)
    }

    /// Should several documents have the name, as partitions may, all of them must be.
    fn is_selectable(&self, name: &Name, snapshot: &NextSnapshot) -> bool {
        let mut answer = None;
        document::find_by(
            &self.authority.site,
            self.doctype,
            self.name_column,
            name,
            snapshot.as_raw(),
            |row| {
                let mut document = document::typed_row(self.authority, self.doctype, row);
                let is_selectable = self.selectable.matches(&mut document).or_raise();
                answer = Some(answer.unwrap_or(true) && is_selectable);
            },
        );
        answer.unwrap_or(false)
    }
}

/// A document that is hidden looks like one that does not exist.
fn refuse(authority: &Authority, doctype: &str, link: &LinkField) -> ! {
    let (column, target, user) = (&link.column, &link.target, &authority.user);
    Fault::denied(format!("column \"{column}\" of {doctype} may not be set to such a {target}"))
        .detail(format!("There is no {target} of that name that user \"{user}\" may select or read."))
        .hint(format!(
            "docperm.link_options({}, for_doctype => {}) lists what the link may be set to.",
            values::literal(target),
            values::literal(doctype)
        ))
        .raise()
}
